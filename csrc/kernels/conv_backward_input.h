/* Direct convolution, backward: the gradient for its input, with images in lanes and for one image.
 *
 * Compiled once per instruction set: only files of kernels/ include it. */
#ifndef LENET_KERNELS_CONV_BACKWARD_INPUT_H
#define LENET_KERNELS_CONV_BACKWARD_INPUT_H

#include "kernels/conv.h"

/* ---- images in lanes ------------------------------------------------------------------------- */

/* One row of one input map at a time, all its columns in registers. Each output map that the
 * input map feeds scatters its deltas: the delta at column x belongs to the sums x .. x + K-1.
 * No multiply-add is spent on the border. Widths not listed below gather instead. */

/* d_row: OUT_WIDTH deltas, `step` floats apart. */
INLINE void scatter_taps(const int K, const int OUT_WIDTH, const float *d_row, ptrdiff_t step,
                         const float *w_row, vf *sum)
{
    PIN(d_row); PIN(w_row);
    vf held[11];
    UNROLL
    for (int x = 0; HOLD_WEIGHTS && x < OUT_WIDTH; x++)
        held[x] = vf_in_register(vf_load(d_row + x * step));
    UNROLL
    for (int j = 0; j < K; j++) {
        vf weight = vf_in_register(vf_set(w_row[j]));
        UNROLL
        for (int x = 0; x < OUT_WIDTH; x++) {
            vf here = HOLD_WEIGHTS ? held[x] : vf_load(d_row + x * step);
            vf_accumulate(&sum[x + j], here, weight);
        }
    }
    FORGET();
}

INLINE void scatter_row(const int K, const int OUT_WIDTH, const lenet_conv_shape *s,
                        const float *weights, const float *delta, int map, int row,
                        int in_activation, float *in)
{
    vf sum[16];
    const int in_width = OUT_WIDTH + K - 1;
    UNROLL
    for (int x = 0; x < in_width; x++) sum[x] = vf_set(0.0f);
    const ptrdiff_t out_map = (ptrdiff_t)s->out_height * OUT_WIDTH * LANES;
    int lowest = row - (s->out_height - 1) > 0 ? row - (s->out_height - 1) : 0;
    int highest = row < K - 1 ? row : K - 1;

    for (int i = lowest; i <= highest; i++) {
        const float *d = delta + (ptrdiff_t)(row - i) * OUT_WIDTH * LANES;
        for (int t = s->target_begin[map]; t < s->target_begin[map + 1]; t++)
            scatter_taps(K, OUT_WIDTH, d + s->target[t] * out_map, LANES,
                         weights + ((ptrdiff_t)s->connection[t] * K + i) * K, sum);
    }
    store_delta(in_activation, sum, in_width, in);
}

OUTLINE void gather_row(const lenet_conv_shape *s, const float *weights, const float *delta,
                       int map, int row, int in_activation, float *in)
{
    enum { COLUMNS = 4 };
    const int K = s->kernel;
    for (int x0 = 0; x0 < s->in_width; x0 += COLUMNS) {
        vf sum[COLUMNS];
        int columns = s->in_width - x0 < COLUMNS ? s->in_width - x0 : COLUMNS;
        for (int x = 0; x < COLUMNS; x++) sum[x] = vf_set(0.0f);
        for (int t = s->target_begin[map]; t < s->target_begin[map + 1]; t++) {
            const float *w = weights + (ptrdiff_t)s->connection[t] * K * K;
            const float *d = delta
                             + (ptrdiff_t)s->target[t] * s->out_height * s->out_width * LANES;
            for (int i = 0; i < K; i++) {
                int y = row - i;
                if (y < 0 || y >= s->out_height) continue;
                const float *d_row = d + (ptrdiff_t)y * s->out_width * LANES;
                for (int j = 0; j < K; j++) {
                    vf weight = vf_set(w[i * K + j]);
                    for (int x = 0; x < COLUMNS; x++) {
                        int from = x0 + x - j;
                        if (from < 0 || from >= s->out_width) continue;
                        sum[x] = vf_fma(vf_load(d_row + from * LANES), weight, sum[x]);
                    }
                }
            }
        }
        for (int x = 0; x < columns; x++)
            store_delta(in_activation, sum + x, 1, in + (x0 + x) * LANES);
    }
}

static void conv_backward_input(const lenet_conv_shape *s, const float *weights,
                                const float *delta, int in_activation, float *in)
{
    for (int map = 0; map < s->in_maps; map++) {
        for (int row = 0; row < s->in_height; row++, in += (ptrdiff_t)s->in_width * LANES) {
            /* C3 of a 32 x 32 image, of 28 x 28, and of 28 x 28 with 3 x 3 kernels */
            if (s->kernel == 5 && s->out_width == 10)
                scatter_row(5, 10, s, weights, delta, map, row, in_activation, in);
            else if (s->kernel == 5 && s->out_width == 8)
                scatter_row(5, 8, s, weights, delta, map, row, in_activation, in);
            else if (s->kernel == 3 && s->out_width == 11)
                scatter_row(3, 11, s, weights, delta, map, row, in_activation, in);
            else
                gather_row(s, weights, delta, map, row, in_activation, in);
        }
    }
}

/* ---- one image, a map's columns in lanes ----------------------------------------------------- */

/* A layer's outputs become its deltas in place, as with one image per lane. Where a row of deltas
 * ends there are zeros, at least one fewer than the kernel of the convolution that made the map has
 * columns, and as many before the first row: a vector of them may start before a row and end behind
 * it. */

/* One column of the kernel: the delta of output row y belongs to input rows y .. y + K - 1. */
INLINE void scatter_column(const int K, const int OUT_ROWS, const float *w, const float *delta,
                           ptrdiff_t stride, vf *sum)
{
    if (HOLD_WEIGHTS) {
        vf weight[5];
        UNROLL
        for (int i = 0; i < K; i++) weight[i] = vf_in_register(vf_set(w[i * K]));
        const int half = (OUT_ROWS + 1) / 2;
        const float *from[2] = {delta, delta + half * stride};
        PIN(from[0]);
        PIN(from[1]);
        UNROLL
        for (int k = 0; k < OUT_ROWS; k++) {
            const int y = k % 2 * half + k / 2;
            vf d = vf_in_register(vf_loadu(from[k % 2]));
            from[k % 2] += stride;
            UNROLL
            for (int i = 0; i < K; i++) vf_accumulate(&sum[y + i], d, weight[i]);
        }
        FORGET();
        return;
    }
    UNROLL
    for (int i = 0; i < K; i++) {
        vf weight = vf_set(w[i * K]);
        UNROLL
        for (int y = 0; y < OUT_ROWS; y++)
            sum[y + i] = vf_fma(vf_loadu(delta + y * stride), weight, sum[y + i]);
        FORGET();
    }
}

/* All rows of a vector of columns of one input map. */
INLINE void scatter_rows_of_one(const int K, const int OUT_ROWS, const lenet_conv_shape *s,
                                const float *weights, const float *delta, ptrdiff_t delta_stride,
                                int map, int in_activation, float *in, ptrdiff_t in_stride)
{
    vf sum[16];
    UNROLL
    for (int y = 0; y < OUT_ROWS + K - 1; y++) sum[y] = vf_set(0.0f);
    for (int t = s->target_begin[map]; t < s->target_begin[map + 1]; t++) {
        const float *w = weights + (ptrdiff_t)s->connection[t] * K * K;
        const float *d = delta + s->target[t] * OUT_ROWS * delta_stride;
        for (int j = 0; j < K; j++) scatter_column(K, OUT_ROWS, w + j, d - j, delta_stride, sum);
    }
    UNROLL
    for (int y = 0; y < OUT_ROWS + K - 1; y++) {
        float *to = in + y * in_stride;
        vf_storeu(to, vf_mul(sum[y], slope(in_activation, vf_loadu(to))));
    }
}

/* The same for any size. */
OUTLINE void gather_rows_of_one(const lenet_conv_shape *s, const float *weights,
                                const float *delta, ptrdiff_t delta_stride, int map,
                                int in_activation, float *in, ptrdiff_t in_stride)
{
    const int K = s->kernel;
    for (int row = 0; row < s->in_height; row++, in += in_stride) {
        vf sum = vf_set(0.0f);
        for (int t = s->target_begin[map]; t < s->target_begin[map + 1]; t++) {
            const float *w = weights + (ptrdiff_t)s->connection[t] * K * K;
            const float *d = delta + s->target[t] * s->out_height * delta_stride;
            for (int i = 0; i < K; i++) {
                int y = row - i;
                if (y < 0 || y >= s->out_height) continue;
                for (int j = 0; j < K; j++)
                    sum = vf_fma(vf_loadu(d + y * delta_stride - j), vf_set(w[i * K + j]), sum);
            }
        }
        vf_storeu(in, vf_mul(sum, slope(in_activation, vf_loadu(in))));
    }
}

/* delta[group][y][x][lane] -> rows as the gradient for the input wants them; returns where they begin. */
static float *transpose_deltas(const lenet_conv_shape *s, const float *delta, ptrdiff_t row,
                               float *scratch)
{
    float *rows = scratch + LENET_ROW_SLACK, *end = rows + s->out_maps * s->out_height * row;
    memset(scratch, 0, LENET_ROW_SLACK * sizeof *scratch);
    memset(end, 0, LENET_ROW_SLACK * sizeof *end);
    for (int group = 0; group < lenet_groups(s->out_maps, LANES); group++) {
        const lenet_lane_maps m = lenet_maps_of(s->out_maps, LANES, group);
        maps_to_rows(&m, s->out_height, s->out_width, delta + group * lenet_map_size(s) * LANES, row,
                     rows);
    }
    return rows;
}

static void conv_backward_input_of_one(const lenet_conv_shape *s, const float *weights,
                                       const float *delta, lenet_map_layout delta_layout,
                                       int in_activation, float *scratch, float *in,
                                       ptrdiff_t in_stride)
{
    ptrdiff_t delta_stride = delta_layout.stride;
    if (delta_layout.order == LENET_MAPS_IN_LANES) {
        delta_stride = lenet_groups(s->out_width + s->kernel - 1, LANES) * LANES;
        delta = transpose_deltas(s, delta, delta_stride, scratch);
    }
    for (int map = 0; map < s->in_maps; map++, in += s->in_height * in_stride) {
        for (int x = 0; x < s->in_width; x += LANES) {
#define SCATTER(K, ROWS)                                                                  \
    scatter_rows_of_one(K, ROWS, s, weights, delta + x, delta_stride, map, in_activation, \
                        in + x, in_stride)
            /* C3 of the 1998 network, of the one for 28 x 28 images and of that with 3 x 3 kernels */
            if (s->kernel == 5 && s->out_height == 10)
                SCATTER(5, 10);
            else if (s->kernel == 5 && s->out_height == 8)
                SCATTER(5, 8);
            else if (s->kernel == 3 && s->out_height == 11)
                SCATTER(3, 11);
            else
                gather_rows_of_one(s, weights, delta + x, delta_stride, map, in_activation, in + x,
                                   in_stride);
#undef SCATTER
        }
        clear_past(s->in_height, s->in_width, in_stride, in);
    }
}

#endif
