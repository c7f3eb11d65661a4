/* 2x2 layers: the largest of each block; and backward, where a block's gradient goes to its largest
 * value, of equal ones to the first in reading order. With images in lanes; for one image with a map's
 * columns in lanes, or the maps.
 *
 * A block is four vectors in reading order. Compiled once per instruction set: only files of kernels/
 * include it. */
#ifndef LENET_KERNELS_MAX_POOL_H
#define LENET_KERNELS_MAX_POOL_H

#include "kernels/squash.h"
#include "kernels/transpose.h"

INLINE vf largest(const vf y[4]) { return vf_max(vf_max(y[0], y[1]), vf_max(y[2], y[3])); }

/* The same, but NaN where a value is not finite: vf_max may lose a NaN. */
INLINE vf block_max(const vf y[4])
{
    vf most = largest(y);
    UNROLL
    for (int i = 0; i < 4; i++) most = vf_fma(y[i], vf_set(0.0f), most);
    return most;
}

/* Outputs f(a) become deltas: d f'(a) of the first that is the largest, 0 of the others. */
INLINE void block_max_backward(const int activation, vf d, vf y[4])
{
    const vf most = largest(y);
    UNROLL
    for (int i = 0; i < 4; i++) {
        const vf here = vf_where_equal(y[i], most, d);
        d = vf_sub(d, here);
        y[i] = vf_mul(here, slope(activation, y[i]));
    }
}

INLINE void load_block(const float *upper, const float *lower, vf y[4])
{
    y[0] = vf_load(upper);
    y[1] = vf_load(upper + LANES);
    y[2] = vf_load(lower);
    y[3] = vf_load(lower + LANES);
}

INLINE void store_block(const vf y[4], float *upper, float *lower)
{
    vf_store(upper, y[0]);
    vf_store(upper + LANES, y[1]);
    vf_store(lower, y[2]);
    vf_store(lower + LANES, y[3]);
}

/* ---- images in lanes, or maps ----------------------------------------------------------------- */

INLINE void max_pool_map(int rows, int columns, ptrdiff_t in_row, const float *in, float *out)
{
    for (int y = 0; y < rows; y++, in += 2 * in_row) {
        for (int x = 0; x < columns; x++, out += LANES) {
            vf block[4];
            load_block(in + 2 * x * LANES, in + in_row + 2 * x * LANES, block);
            vf_store(out, block_max(block));
        }
    }
}

static void max_pool(int maps, int width, const lenet_pool *pool, const float *in,
                     ptrdiff_t in_stride, int n_rows)
{
    for (int map = 0; map < maps; map++)
        max_pool_map(n_rows, width / 2, (ptrdiff_t)width * LANES, in + map * in_stride,
                     pool->out + map * pool->out_stride);
}

INLINE void max_pool_backward_map(int height, int width, const float *delta, const int in_activation,
                                  float *in)
{
    const ptrdiff_t row = (ptrdiff_t)width * LANES;
    for (int y = 0; y < height / 2; y++) {
        float *upper = in + 2 * y * row;
        for (int x = 0; x < width / 2; x++, delta += LANES, upper += 2 * LANES) {
            vf block[4];
            load_block(upper, upper + row, block);
            block_max_backward(in_activation, vf_load(delta), block);
            store_block(block, upper, upper + row);
        }
        /* an odd last column or row feeds nothing */
        if (width % 2) {
            vf_store(upper, vf_set(0.0f));
            vf_store(upper + row, vf_set(0.0f));
        }
    }
    if (height % 2) memset(in + (height - 1) * row, 0, (size_t)row * sizeof *in);
}

OUTLINE void max_pool_backward(int maps, int height, int width, const float *delta,
                               int in_activation, float *in)
{
    const ptrdiff_t map = (ptrdiff_t)height * width * LANES;
    const ptrdiff_t pooled = (ptrdiff_t)(height / 2) * (width / 2) * LANES;
    for (int m = 0; m < maps; m++)
        WITH_ACTIVATION(KIND, in_activation,
                        max_pool_backward_map(height, width, delta + m * pooled, KIND, in + m * map))
}

/* ---- one image ------------------------------------------------------------------------------- */

/* A map that is one row without gaps is copied as that. */
static void max_pool_of_one(int maps, int height, int width, const float *in,
                            lenet_map_layout in_layout, ptrdiff_t out_stride, float *scratch,
                            float *out)
{
    const int rows = height / 2, columns = width / 2, flat = out_stride == columns;
    if (in_layout.order == LENET_MAPS_IN_LANES) {
        for (int group = 0; group < lenet_groups(maps, LANES); group++, in += height * width * LANES) {
            const lenet_lane_maps m = lenet_maps_of(maps, LANES, group);
            max_pool_map(rows, columns, (ptrdiff_t)width * LANES, in, scratch);
            maps_to_rows(&m, flat ? 1 : rows, flat ? rows * columns : columns, scratch,
                         flat ? rows * columns : out_stride, out);
        }
        return;
    }
    const ptrdiff_t stride = in_layout.stride;
    for (int map = 0; map < maps; map++, in += height * stride) {
        for (int y = 0; y < rows; y++, out += out_stride) {
            for (int x = 0; x < columns; x += LANES) {
                const float *at = in + 2 * y * stride + 2 * x;
                const vf upper[2] = {vf_loadu(at), vf_loadu(at + LANES)};
                const vf lower[2] = {vf_loadu(at + stride), vf_loadu(at + stride + LANES)};
                const vf block[4] = {vf_even(upper[0], upper[1]), vf_odd(upper[0], upper[1]),
                                     vf_even(lower[0], lower[1]), vf_odd(lower[0], lower[1])};
                vf_storeu(out + x, block_max(block));  /* the next row covers what sticks out */
            }
        }
    }
}

/* A vector of blocks in two rows, whose second vectors may lie past the rows' ends. */
INLINE void max_blocks_backward(const int activation, vf d, int has_second, float *upper,
                                float *lower)
{
    const vf zero = vf_set(0.0f), first = vf_loadu(upper), third = vf_loadu(lower);
    const vf second = has_second ? vf_loadu(upper + LANES) : zero;
    const vf fourth = has_second ? vf_loadu(lower + LANES) : zero;
    vf block[4] = {vf_even(first, second), vf_odd(first, second), vf_even(third, fourth),
                   vf_odd(third, fourth)};
    block_max_backward(activation, d, block);
    vf_storeu(upper, vf_zip_low(block[0], block[1]));
    vf_storeu(lower, vf_zip_low(block[2], block[3]));
    if (!has_second) return;
    vf_storeu(upper + LANES, vf_zip_high(block[0], block[1]));
    vf_storeu(lower + LANES, vf_zip_high(block[2], block[3]));
}

static void max_pool_backward_of_one(int maps, int height, int width, const float *delta,
                                     ptrdiff_t delta_stride, int in_activation, float *in,
                                     lenet_map_layout in_layout, float *scratch)
{
    const int rows = height / 2, columns = width / 2, flat = delta_stride == columns;
    if (in_layout.order == LENET_MAPS_IN_LANES) {
        for (int group = 0; group < lenet_groups(maps, LANES); group++, in += height * width * LANES) {
            const lenet_lane_maps m = lenet_maps_of(maps, LANES, group);
            rows_to_maps(&m, flat ? 1 : rows, delta, flat ? rows * columns : delta_stride,
                         flat ? rows * columns : columns, scratch);
            max_pool_backward(1, height, width, scratch, in_activation, in);
        }
        return;
    }
    const ptrdiff_t stride = in_layout.stride;
    for (int map = 0; map < maps; map++, in += height * stride) {
        for (int y = 0; y < rows; y++, delta += delta_stride) {
            float *upper = in + 2 * y * stride;
            for (int x = 0; 2 * x < stride; x += LANES) {
                const vf d = vf_first(vf_loadu(delta + x), columns - x > 0 ? columns - x : 0);
                max_blocks_backward(in_activation, d, 2 * x + LANES < stride, upper + 2 * x,
                                    upper + stride + 2 * x);
            }
        }
        if (height % 2) memset(in + (height - 1) * stride, 0, (size_t)stride * sizeof *in);
    }
}

#endif
