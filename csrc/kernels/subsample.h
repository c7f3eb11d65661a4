/* 2x2 layers: block sums times a coefficient, plus a bias, squashed; and backward. With images in
 * lanes; for one image with a map's columns in lanes, or the maps.
 *
 * Compiled once per instruction set: only files of kernels/ include it. */
#ifndef LENET_KERNELS_SUBSAMPLE_H
#define LENET_KERNELS_SUBSAMPLE_H

#include "kernels/reduce.h"
#include "kernels/squash.h"
#include "kernels/transpose.h"

/* ---- images in lanes ------------------------------------------------------------------------- */

INLINE vf pool_scale(const lenet_pool *p, int map)
{
    return vf_set(p->coefficient ? p->coefficient[map] : 0.25f);
}

INLINE vf pool_shift(const lenet_pool *p, int map) { return vf_set(p->bias ? p->bias[map] : 0.0f); }

INLINE vf block_sum(const float *upper, const float *lower)
{
    return vf_add(vf_add(vf_load(upper), vf_load(upper + LANES)),
                  vf_add(vf_load(lower), vf_load(lower + LANES)));
}

/* N blocks side by side. */
INLINE void subsample_some(const int N, const int activation, vf scale, vf shift,
                           const float *upper, const float *lower, float *out)
{
    vf y[4];
    UNROLL
    for (int x = 0; x < N; x++)
        y[x] = vf_fma(block_sum(upper + 2 * x * LANES, lower + 2 * x * LANES), scale, shift);
    squash_some(activation, N, y);
    UNROLL
    for (int x = 0; x < N; x++) vf_store(out + x * LANES, y[x]);
}

INLINE void subsample_any(const int activation, int maps, int width, const lenet_pool *pool,
                          const float *in, ptrdiff_t in_stride, int n_rows)
{
    const int out_width = width / 2;
    for (int map = 0; map < maps; map++) {
        const vf scale = pool_scale(pool, map), shift = pool_shift(pool, map);
        float *to = pool->out + map * pool->out_stride;
        for (int y = 0; y < n_rows; y++) {
            const float *upper = in + map * in_stride + (ptrdiff_t)2 * y * width * LANES;
            const float *lower = upper + (ptrdiff_t)width * LANES;
            for (int left = out_width, n; left > 0; left -= n, to += n * LANES) {
                n = left >= 4 ? 4 : 1;
                if (n == 4)
                    subsample_some(4, activation, scale, shift, upper, lower, to);
                else
                    subsample_some(1, activation, scale, shift, upper, lower, to);
                upper += 2 * n * LANES;
                lower += 2 * n * LANES;
            }
        }
    }
}

static void subsample(int maps, int width, const lenet_pool *pool, const float *in,
                      ptrdiff_t in_stride, int n_rows)
{
    WITH_ACTIVATION(KIND, pool->activation,
                    subsample_any(KIND, maps, width, pool, in, in_stride, n_rows))
}

/* The deltas d f'(a) of a block, from its outputs f(a), which they replace; gives their sum. */
INLINE vf block_backward(const int activation, vf d, float *upper, float *lower)
{
    vf y[4] = {vf_in_register(vf_load(upper)), vf_in_register(vf_load(upper + LANES)),
               vf_in_register(vf_load(lower)), vf_in_register(vf_load(lower + LANES))};
    vf sum = vf_add(vf_add(y[0], y[1]), vf_add(y[2], y[3]));
    UNROLL
    for (int i = 0; i < 4; i++) y[i] = vf_mul(d, slope(activation, y[i]));
    vf_store(upper, y[0]);
    vf_store(upper + LANES, y[1]);
    vf_store(lower, y[2]);
    vf_store(lower + LANES, y[3]);
    return sum;
}

INLINE void subsample_backward_any(int maps, int height, int width, const float *coefficient,
                                   const float *delta, const int in_activation, float *in,
                                   float *dcoefficient, float *dbias)
{
    const int out_height = height / 2, out_width = width / 2;
    const ptrdiff_t row = (ptrdiff_t)width * LANES;
    for (int map = 0; map < maps; map++, in += height * row) {
        const vf scale = vf_set(coefficient ? coefficient[map] : 0.25f);
        vf d_scale = vf_set(0.0f), d_shift = vf_set(0.0f);
        for (int y = 0; y < out_height; y++) {
            float *upper = in + 2 * y * row;
            for (int x = 0; x < out_width; x++, delta += LANES, upper += 2 * LANES) {
                vf d = vf_in_register(vf_load(delta));
                vf sum = block_backward(in_activation, vf_mul(d, scale), upper, upper + row);
                d_scale = vf_fma(d, sum, d_scale);
                d_shift = vf_add(d_shift, d);
            }
            /* an odd last column or row feeds nothing */
            if (width % 2) {
                vf_store(upper, vf_set(0.0f));
                vf_store(upper + row, vf_set(0.0f));
            }
        }
        if (height % 2) memset(in + (height - 1) * row, 0, (size_t)row * sizeof *in);
        if (coefficient) {
            float *dc = dcoefficient + map * LANES, *db = dbias + map * LANES;
            vf_store(dc, vf_add(vf_load(dc), d_scale));
            vf_store(db, vf_add(vf_load(db), d_shift));
        }
    }
}

static void subsample_backward(int maps, int height, int width, const float *coefficient,
                               const float *delta, int in_activation, float *in,
                               float *dcoefficient, float *dbias)
{
    WITH_ACTIVATION(KIND, in_activation,
                    subsample_backward_any(maps, height, width, coefficient, delta, KIND, in,
                                           dcoefficient, dbias))
}

/* ---- one image, maps in lanes ---------------------------------------------------------------- */

/* A 2x2 layer on maps in the lanes, [group][y][x][lane], to rows of each map. scratch: a group's
 * outputs. */
static void subsample_maps(int maps, int height, int width, const float *coefficient,
                           const float *bias, int activation, const float *in,
                           ptrdiff_t out_stride, float *scratch, float *out)
{
    const int out_height = height / 2, out_width = width / 2, row = width * LANES;
    for (int group = 0; group < lenet_groups(maps, LANES); group++, in += height * row) {
        const lenet_lane_maps m = lenet_maps_of(maps, LANES, group);
        const vf scale = coefficient ? to_lanes(&m, coefficient) : vf_set(0.25f);
        const vf shift = bias ? to_lanes(&m, bias) : vf_set(0.0f);
        float *sums = scratch;
        for (int y = 0; y < out_height; y++) {
            const float *block = in + 2 * y * row;
            for (int x = 0; x < out_width; x++, block += 2 * LANES, sums += LANES) {
                vf left = vf_add(vf_load(block), vf_load(block + row));
                vf right = vf_add(vf_load(block + LANES), vf_load(block + row + LANES));
                vf_store(sums, vf_fma(vf_add(left, right), scale, shift));
            }
        }
        squash_lanes(activation, out_height * out_width, scratch);
        if (out_stride == out_width)  /* the whole map is one row */
            maps_to_rows(&m, 1, out_height * out_width, scratch, out_height * out_width, out);
        else
            maps_to_rows(&m, out_height, out_width, scratch, out_stride, out);
    }
}

/* subsample_maps backward: maps in the lanes, their deltas in rows. */
static void subsample_backward_maps(int maps, int height, int width, const float *coefficient,
                                    const float *delta, ptrdiff_t delta_stride, int in_activation,
                                    float *in, int add, float *scratch, float *dcoefficient,
                                    float *dbias)
{
    const int out_height = height / 2, out_width = width / 2, row = width * LANES;
    const int n = out_height * out_width, flat = delta_stride == out_width;
    for (int group = 0; group < lenet_groups(maps, LANES); group++, in += height * row) {
        const lenet_lane_maps m = lenet_maps_of(maps, LANES, group);
        const vf scale = coefficient ? to_lanes(&m, coefficient) : vf_set(0.25f);
        const float *d = scratch;
        vf d_scale = vf_set(0.0f);
        if (flat)
            rows_to_maps(&m, 1, delta, n, n, scratch);
        else
            rows_to_maps(&m, out_height, delta, delta_stride, out_width, scratch);
        for (int y = 0; y < out_height; y++) {
            float *block = in + 2 * y * row;
            for (int x = 0; x < out_width; x++, block += 2 * LANES, d += LANES) {
                float *at[4] = {block, block + row, block + LANES, block + row + LANES};
                const vf here = vf_load(d), back = vf_mul(here, scale);
                vf out[4];
                UNROLL
                for (int k = 0; k < 4; k++) {
                    out[k] = vf_load(at[k]);
                    vf_store(at[k], vf_mul(back, slope(in_activation, out[k])));
                }
                d_scale = vf_fma(here, vf_add(vf_add(out[0], out[1]), vf_add(out[2], out[3])),
                                 d_scale);
            }
        }
        if (height % 2) memset(in + (height - 1) * row, 0, (size_t)row * sizeof *in);
        if (!coefficient) continue;
        from_lanes(&m, d_scale, add, dcoefficient);
        from_lanes(&m, sum_vectors(vf_set(0.0f), scratch, n), add, dbias);
    }
}

/* ---- one image, a map's columns in lanes ----------------------------------------------------- */

static void subsample_of_one(int maps, int height, int width, const float *coefficient,
                             const float *bias, int activation, const float *in,
                             lenet_map_layout in_layout, ptrdiff_t out_stride, float *scratch,
                             float *out)
{
    const int out_height = height / 2, out_width = width / 2;
    const ptrdiff_t stride = in_layout.stride;
    if (in_layout.order == LENET_MAPS_IN_LANES) {
        subsample_maps(maps, height, width, coefficient, bias, activation, in, out_stride, scratch,
                       out);
        return;
    }
    for (int map = 0; map < maps; map++, in += height * stride) {
        const vf scale = vf_set(coefficient ? coefficient[map] : 0.25f);
        const vf shift = vf_set(bias ? bias[map] : 0.0f);
        float *row = out + map * out_height * out_stride;
        for (int y = 0; y < out_height; y++, row += out_stride) {
            for (int x = 0; x < out_width; x += LANES) {
                const float *upper = in + 2 * y * stride + 2 * x, *lower = upper + stride;
                vf left = vf_add(vf_loadu(upper), vf_loadu(lower));
                vf right = vf_add(vf_loadu(upper + LANES), vf_loadu(lower + LANES));
                vf sum = vf_fma(vf_add_pairs(left, right), scale, shift);
                vf_storeu(row + x, sum);  /* what sticks out of a row, the next one covers */
            }
        }
    }
    squash(activation, out, maps * out_height * out_stride, out);
}

/* A vector of blocks: d, doubled, belongs to two vectors of each of two rows, of which the second
 * may lie past the row's end. Gives their sum, each times its d. */
INLINE vf blocks_backward(const int activation, vf d, vf scale, int has_second, float *upper,
                          float *lower)
{
    const vf doubled[2] = {vf_double_low(d), vf_double_high(d)};
    vf sum = vf_set(0.0f);
    for (int half = 0; half < 1 + has_second; half++, upper += LANES, lower += LANES) {
        const vf y[2] = {vf_loadu(upper), vf_loadu(lower)};
        const vf delta = vf_mul(doubled[half], scale);
        sum = vf_fma(doubled[half], vf_add(y[0], y[1]), sum);
        vf_storeu(upper, vf_mul(delta, slope(activation, y[0])));
        vf_storeu(lower, vf_mul(delta, slope(activation, y[1])));
    }
    return sum;
}

static void subsample_backward_of_one(int maps, int height, int width, const float *coefficient,
                                      const float *delta, ptrdiff_t delta_stride,
                                      int in_activation, float *in, lenet_map_layout in_layout,
                                      int add, float *scratch, float *dcoefficient, float *dbias)
{
    const int out_height = height / 2, out_width = width / 2;
    const ptrdiff_t in_stride = in_layout.stride;
    float *bias_sums = scratch + maps * LANES;
    if (in_layout.order == LENET_MAPS_IN_LANES) {
        subsample_backward_maps(maps, height, width, coefficient, delta, delta_stride,
                                in_activation, in, add, scratch, dcoefficient, dbias);
        return;
    }
    for (int map = 0; map < maps; map++, in += height * in_stride) {
        const vf scale = vf_set(coefficient ? coefficient[map] : 0.25f);
        vf d_scale = vf_set(0.0f), d_shift = vf_set(0.0f);
        for (int y = 0; y < out_height; y++, delta += delta_stride) {
            float *upper = in + 2 * y * in_stride, *lower = upper + in_stride;
            for (int x = 0; 2 * x < in_stride; x += LANES) {
                vf d = vf_first(vf_loadu(delta + x), out_width - x > 0 ? out_width - x : 0);
                vf sum = blocks_backward(in_activation, d, scale, 2 * x + LANES < in_stride,
                                         upper + 2 * x, lower + 2 * x);
                d_scale = vf_add(d_scale, sum);
                d_shift = vf_add(d_shift, d);
            }
        }
        if (height % 2) memset(in + (height - 1) * in_stride, 0, (size_t)in_stride * sizeof *in);
        if (coefficient) {
            vf_store(scratch + map * LANES, d_scale);
            vf_store(bias_sums + map * LANES, d_shift);
        }
    }
    if (!coefficient) return;
    sum_lanes(scratch, maps, add, dcoefficient);
    sum_lanes(bias_sums, maps, add, dbias);
}

#endif
