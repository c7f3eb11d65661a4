/* The squashing function and its slope, on vectors in registers and on arrays.
 *
 * Compiled once per instruction set: only files of kernels/ include it. */
#ifndef LENET_KERNELS_SQUASH_H
#define LENET_KERNELS_SQUASH_H

#include "kernels/sigmoid.h"
#include "kernels/target.h"

/* vf_tanh, FIT_TANH and FIT_SCALED_TANH */
#ifdef LENET_HAS_LOOKUP
#include "kernels/tanh_table.h"
#else
#include "kernels/tanh_rational.h"
#endif

INLINE vf squash_one(int activation, vf a)
{
    switch (activation) {
    case LENET_SCALED_TANH: return vf_tanh(&FIT_SCALED_TANH, a);
    case LENET_TANH: return vf_tanh(&FIT_TANH, a);
    case LENET_RELU: return vf_max(vf_set(0.0f), a);
    case LENET_SIGMOID: return vf_sigmoid(a);
    default: return a;
    }
}

/* f'(a) from y = f(a): A S - (S / A) y^2 and 1 - y^2 for the two tanh, y (1 - y) for the
 * sigmoid. */
INLINE vf slope(int activation, vf y)
{
    switch (activation) {
    case LENET_SCALED_TANH:
        return vf_fma(vf_mul(y, y), vf_set((float)(-2.0 / 3.0 / 1.7159)),
                      vf_set((float)(1.7159 * 2.0 / 3.0)));
    case LENET_TANH: return vf_fma(vf_mul(y, y), vf_set(-1.0f), vf_set(1.0f));
    case LENET_RELU: return vf_step(y);
    case LENET_SIGMOID: return vf_mul(y, vf_sub(vf_set(1.0f), y));
    default: return vf_set(1.0f);
    }
}

/* n vectors, in registers. */
INLINE void squash_some(const int activation, const int N, vf *a)
{
    UNROLL
    for (int i = 0; i < N; i++) a[i] = squash_one(activation, a[i]);
}

INLINE void squash_all(const int activation, const float *a, ptrdiff_t n, float *y)
{
    enum { AT_ONCE = 4 };
    for (; n >= AT_ONCE * LANES; n -= AT_ONCE * LANES, a += AT_ONCE * LANES, y += AT_ONCE * LANES) {
        vf v[AT_ONCE];
        UNROLL
        for (int k = 0; k < AT_ONCE; k++) v[k] = vf_loadu(a + k * LANES);
        squash_some(activation, AT_ONCE, v);
        UNROLL
        for (int k = 0; k < AT_ONCE; k++) vf_storeu(y + k * LANES, v[k]);
    }
    for (; n > 0; n -= LANES, a += LANES, y += LANES)
        vf_store_part(y, squash_one(activation, vf_load_part(a, n)), n);
}

OUTLINE void squash(int activation, const float *a, ptrdiff_t n, float *y)
{
    WITH_ACTIVATION(KIND, activation, squash_all(KIND, a, n, y))
}

/* In place on n vectors of lanes. */
INLINE void squash_lanes(int activation, ptrdiff_t n, float *values)
{
    if (activation != LENET_IDENTITY) squash(activation, values, n * LANES, values);
}

/* in[i] = sum[i] * f'(a), for the n vectors of outputs f(a) in `in`. */
INLINE void store_delta(int activation, const vf *sum, int n, float *in)
{
    UNROLL
    for (int i = 0; i < n; i++)
        vf_store(in + i * LANES, vf_mul(sum[i], slope(activation, vf_load(in + i * LANES))));
}

INLINE vf squash_backward_one(int activation, vf y, vf dy)
{
    return vf_mul(dy, slope(activation, y));
}

static void squash_backward(int activation, const float *y, const float *dy, ptrdiff_t n,
                            float *da)
{
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vf_storeu(da + i, squash_backward_one(activation, vf_loadu(y + i), vf_loadu(dy + i)));
    if (i < n)
        vf_store_part(da + i,
                      squash_backward_one(activation, vf_load_part(y + i, n - i),
                                          vf_load_part(dy + i, n - i)),
                      n - i);
}

#endif
