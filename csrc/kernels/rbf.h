/* RBF outputs, y_i = sum over j of (x_j - w_ij)^2: with images in lanes, and for one image with its
 * inputs in lanes.
 *
 * Compiled once per instruction set: only files of kernels/ include it. */
#ifndef LENET_KERNELS_RBF_H
#define LENET_KERNELS_RBF_H

#include "kernels/squash.h"

/* ---- images in lanes ------------------------------------------------------------------------- */

static void rbf(const lenet_dense_shape *s, const float *codes, const float *in, float *out)
{
    for (int g = 0; g < s->groups; g++) {
        const float *x = in + g * s->in_stride, *w = codes;
        float *y = out + g * s->out_stride;
        for (int i = 0; i < s->outputs; i++, w += s->inputs) {
            vf even = vf_set(0.0f), odd = vf_set(0.0f);
            for (int j = 0; j < s->inputs; j++) {
                vf distance = vf_sub(vf_load(x + j * LANES), vf_set(w[j]));
                if (j % 2)
                    odd = vf_fma(distance, distance, odd);
                else
                    even = vf_fma(distance, distance, even);
            }
            vf_store(y + i * LANES, vf_add(even, odd));
        }
    }
}

/* dE/dx_j = sum over i of 2 (x_j - w_ij) dE/dy_i, for some j at a time */
INLINE void rbf_backward_tile(const int COLUMNS, const lenet_dense_shape *s, const float *codes,
                              const float *delta, int in_activation, float *in)
{
    vf sum[6], x[6];
    UNROLL
    for (int j = 0; j < COLUMNS; j++) {
        sum[j] = vf_set(0.0f);
        x[j] = vf_load(in + j * LANES);
    }
    for (int i = 0; i < s->outputs; i++, codes += s->inputs, delta += LANES) {
        vf d = vf_load(delta);
        d = vf_add(d, d);
        UNROLL
        for (int j = 0; j < COLUMNS; j++)
            sum[j] = vf_fma(vf_sub(x[j], vf_set(codes[j])), d, sum[j]);
    }
    store_delta(in_activation, sum, COLUMNS, in);
}

static void rbf_backward_input(const lenet_dense_shape *s, const float *codes,
                               const float *delta, int in_activation, float *in)
{
    for (int g = 0; g < s->groups; g++, delta += s->out_stride, in += s->in_stride) {
        for (lenet_pieces p = lenet_cut(s->inputs, 6); p.size; p = lenet_next(p)) {
            WITH_SIZE(N, p.size, 6,
                      rbf_backward_tile(N, s, codes + p.start, delta, in_activation,
                                        in + p.start * LANES))
        }
    }
}

/* dE/dw_ij = -2 (x_j - w_ij) dE/dy_i, summed over the images */
static void rbf_backward_codes(const lenet_dense_shape *s, const float *codes, const float *in,
                               const float *delta, int add, float *dcodes)
{
    for (int i = 0; i < s->outputs; i++, delta += LANES) {
        for (int j = 0; j < s->inputs; j++, codes++, dcodes++) {
            vf sum = vf_set(0.0f), code = vf_set(*codes);
            for (int g = 0; g < s->groups; g++) {
                vf distance = vf_sub(vf_load(in + g * s->in_stride + j * LANES), code);
                sum = vf_fma(distance, vf_load(delta + g * s->out_stride), sum);
            }
            *dcodes = (add ? *dcodes : 0.0f) - 2.0f * vf_sum(sum);
        }
    }
}

/* ---- one image, inputs in lanes -------------------------------------------------------------- */

static void rbf_of_one(const lenet_dense_shape *s, const float *codes, const float *in,
                       float *out)
{
    const int n = s->inputs, whole = n / LANES * LANES;
    for (int i = 0; i < s->outputs; i++, codes += n) {
        vf sum = vf_set(0.0f);
        for (int k = 0; k < whole; k += LANES) {
            vf distance = vf_sub(vf_loadu(in + k), vf_loadu(codes + k));
            sum = vf_fma(distance, distance, sum);
        }
        out[i] = vf_sum(sum);
        for (int k = whole; k < n; k++) out[i] += (in[k] - codes[k]) * (in[k] - codes[k]);
    }
}

static void rbf_backward_of_one(const lenet_dense_shape *s, const float *codes, const float *delta,
                                int in_activation, int add, float *in, float *dcodes)
{
    for (ptrdiff_t k = 0; k < s->inputs; k += LANES) {
        const ptrdiff_t left = s->inputs - k;
        const vf x = vf_load_part(in + k, left);
        vf sum = vf_set(0.0f);
        for (int i = 0; i < s->outputs; i++) {
            const ptrdiff_t at = (ptrdiff_t)i * s->inputs + k;
            vf d = vf_mul(vf_set(2.0f * delta[i]), vf_sub(x, vf_load_part(codes + at, left)));
            sum = vf_add(sum, d);
            if (!dcodes) continue;
            vf before = add ? vf_load_part(dcodes + at, left) : vf_set(0.0f);
            vf_store_part(dcodes + at, vf_sub(before, d), left);
        }
        vf_store_part(in + k, vf_mul(sum, slope(in_activation, x)), left);
    }
}

#endif
