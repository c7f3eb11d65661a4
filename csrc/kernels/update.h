/* A step of an optimizer: SGD, Adam, and SGD with a rate of each parameter's own (SDLM).
 *
 * Compiled once per instruction set: only files of kernels/ include it. */
#ifndef LENET_KERNELS_UPDATE_H
#define LENET_KERNELS_UPDATE_H

#include "kernels/target.h"

INLINE vf sgd_one(const lenet_optimizer *o, vf g, vf *velocity, vf p)
{
    if (velocity) g = *velocity = vf_fma(vf_set(o->momentum), *velocity, g);
    return vf_fma(g, vf_set(-o->rate), vf_mul(p, vf_set(1.0f - o->rate * o->weight_decay)));
}

static int update_sgd(const lenet_optimizer *o, const float *gradient, ptrdiff_t first,
                      ptrdiff_t n, float *parameters)
{
    float *velocity = o->first_moment ? o->first_moment + first : NULL;
    const ptrdiff_t whole = n / LANES * LANES, left = n - whole;
    vf probe = vf_set(0.0f), v = probe;
    gradient += first;
    parameters += first;
    for (ptrdiff_t i = 0; i < whole; i += LANES) {
        if (velocity) v = vf_loadu(velocity + i);
        vf p = sgd_one(o, vf_loadu(gradient + i), velocity ? &v : NULL, vf_loadu(parameters + i));
        if (velocity) vf_storeu(velocity + i, v);
        vf_storeu(parameters + i, p);
        probe = vf_fma(p, vf_set(0.0f), probe);
    }
    if (left) {
        if (velocity) v = vf_load_part(velocity + whole, left);
        vf p = sgd_one(o, vf_load_part(gradient + whole, left), velocity ? &v : NULL,
                       vf_load_part(parameters + whole, left));
        if (velocity) vf_store_part(velocity + whole, v, left);
        vf_store_part(parameters + whole, p, left);
        probe = vf_fma(p, vf_set(0.0f), probe);
    }
    return vf_sum(probe) == 0.0f;
}

static int update_sdlm(const lenet_optimizer *o, const float *gradient, ptrdiff_t first,
                       ptrdiff_t n, float *parameters)
{
    const float *rate = o->first_moment + first;
    const ptrdiff_t whole = n / LANES * LANES, left = n - whole;
    const vf zero = vf_set(0.0f);
    vf probe = zero;
    gradient += first;
    parameters += first;
    for (ptrdiff_t i = 0; i < whole; i += LANES) {
        vf p = vf_fma(vf_sub(zero, vf_loadu(rate + i)), vf_loadu(gradient + i),
                      vf_loadu(parameters + i));
        vf_storeu(parameters + i, p);
        probe = vf_fma(p, zero, probe);
    }
    if (left) {
        vf p = vf_fma(vf_sub(zero, vf_load_part(rate + whole, left)),
                      vf_load_part(gradient + whole, left), vf_load_part(parameters + whole, left));
        vf_store_part(parameters + whole, p, left);
        probe = vf_fma(p, zero, probe);
    }
    return vf_sum(probe) == 0.0f;
}

/* m and v start at 0; m_scale (with the rate in it) and v_scale make up for it. */
INLINE vf adam_one(const lenet_optimizer *o, float m_scale, float v_scale, vf g, vf *m, vf *v,
                   vf p)
{
    *m = vf_fma(vf_set(o->beta1), *m, vf_mul(vf_set(1.0f - o->beta1), g));
    *v = vf_fma(vf_set(o->beta2), *v, vf_mul(vf_set(1.0f - o->beta2), vf_mul(g, g)));
    vf size = vf_add(vf_sqrt(vf_mul(*v, vf_set(v_scale))), vf_set(o->epsilon));
    p = vf_fma(p, vf_set(-o->rate * o->weight_decay), p);
    return vf_sub(p, vf_quotient(vf_mul(*m, vf_set(m_scale)), size));
}

static int update_adam(const lenet_optimizer *o, const float *gradient, ptrdiff_t first,
                       ptrdiff_t n, float *parameters)
{
    const double t = (double)o->step;
    const float m_scale = (float)(o->rate / (1.0 - pow(o->beta1, t)));
    const float v_scale = (float)(1.0 / (1.0 - pow(o->beta2, t)));
    const ptrdiff_t whole = n / LANES * LANES, left = n - whole;
    float *first_moment = o->first_moment + first, *second_moment = o->second_moment + first;
    vf probe = vf_set(0.0f);
    gradient += first;
    parameters += first;
    for (ptrdiff_t i = 0; i < whole; i += LANES) {
        vf m = vf_loadu(first_moment + i), v = vf_loadu(second_moment + i);
        vf p = adam_one(o, m_scale, v_scale, vf_loadu(gradient + i), &m, &v,
                        vf_loadu(parameters + i));
        vf_storeu(first_moment + i, m);
        vf_storeu(second_moment + i, v);
        vf_storeu(parameters + i, p);
        /* a second moment that overflows would stop its parameter for good */
        probe = vf_fma(vf_add(p, v), vf_set(0.0f), probe);
    }
    if (left) {
        vf m = vf_load_part(first_moment + whole, left), v = vf_load_part(second_moment + whole, left);
        vf p = adam_one(o, m_scale, v_scale, vf_load_part(gradient + whole, left), &m, &v,
                        vf_load_part(parameters + whole, left));
        vf_store_part(first_moment + whole, m, left);
        vf_store_part(second_moment + whole, v, left);
        /* lanes past the end hold 0/0 when epsilon is 0: only what is stored counts */
        vf_store_part(parameters + whole, p, left);
        p = vf_load_part(parameters + whole, left);
        v = vf_load_part(second_moment + whole, left);
        probe = vf_fma(vf_add(p, v), vf_set(0.0f), probe);
    }
    return vf_sum(probe) == 0.0f;
}

#endif
