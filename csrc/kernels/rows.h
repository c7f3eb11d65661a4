/* The kernels for one image: a map's columns in lanes, or a dense layer's inputs.
 *
 * The tail of kernels/lanes.h. A map is rows of `stride` floats: a whole number of vectors where
 * a convolution or a 2x2 layer reads it, the plain width where a dense layer does. Columns past the
 * width hold finite numbers without meaning, but deltas are 0 there; LENET_ROW_SLACK floats behind
 * the last row may be read and written. */
#ifndef LENET_KERNELS_ROWS_H
#define LENET_KERNELS_ROWS_H

#include "kernels/maps.h"

static void load_grey_rows(const uint8_t *image, int height, int width, float background,
                           float foreground, int out_height, int out_width,
                           ptrdiff_t stride, float *out)
{
    const float scale = (foreground - background) / 255.0f;
    for (ptrdiff_t i = 0; i < out_height * stride; i += LANES)
        vf_storeu(out + i, vf_set(background));
    out += (out_height - height) / 2 * stride + (out_width - width) / 2;
    for (int y = 0; y < height; y++, image += width, out += stride) {
        for (int x = 0; x < width && width < LANES; x++)
            out[x] = (float)image[x] * scale + background;
        /* the last vector begins where it ends with the row */
        for (int x = 0; x < width && width >= LANES; x += LANES) {
            const int at = x + LANES <= width ? x : width - LANES;
            vf pixels = vf_from_bytes(image + at);
            vf_storeu(out + at, vf_fma(pixels, vf_set(scale), vf_set(background)));
        }
    }
}

/* ROWS rows of a vector of columns, of one map or two that have the same sources. Upright, what
 * conv_row is along a row: one column of the kernels stays in registers, and an input vector is read
 * once for all the rows it belongs to. The inputs come from two halves in turn: what was added to a
 * sum last is then long done. */
INLINE void conv_column(const int TAPS, const int MAPS, const int ROWS, int K, const float *w,
                        ptrdiff_t w_map, const float *in, ptrdiff_t in_stride,
                        vf sum[COLUMN_MAPS][COLUMN_ROWS])
{
    const int inputs = ROWS + TAPS - 1, half = (inputs + 1) / 2;
    const float *from[2] = {in, in + half * in_stride};
    PIN(from[0]);
    PIN(from[1]);
    vf weight[COLUMN_MAPS][5];
    UNROLL
    for (int o = 0; o < MAPS; o++)
        UNROLL
        for (int i = 0; i < TAPS; i++) weight[o][i] = vf_in_register(vf_set(w[o * w_map + i * K]));
    UNROLL
    for (int k = 0; k < inputs; k++) {
        const int at = k % 2 * half + k / 2;
        vf pixel = vf_in_register(vf_loadu(from[k % 2]));
        from[k % 2] += in_stride;
        UNROLL
        for (int i = 0; i < TAPS; i++) {
            if (at < i || at - i >= ROWS) continue;
            UNROLL
            for (int o = 0; o < MAPS; o++) vf_accumulate(&sum[o][at - i], pixel, weight[o][i]);
        }
    }
    FORGET();
}

INLINE void conv_column_tile(const int TAPS, const int MAPS, const int ROWS,
                             const lenet_conv_shape *s, const float *weights, const float *bias,
                             int map, const float *in, ptrdiff_t in_stride, ptrdiff_t out_stride,
                             int columns, float *out)
{
    const int K = TAPS > 1 ? TAPS : s->kernel, first = s->first[map];
    const int connections = s->first[map + 1] - first;
    const ptrdiff_t in_map = s->in_height * in_stride, out_map = s->out_height * out_stride;
    vf sum[COLUMN_MAPS][COLUMN_ROWS];
    UNROLL
    for (int o = 0; o < MAPS; o++)
        UNROLL
        for (int y = 0; y < ROWS; y++) sum[o][y] = vf_set(bias[map + o]);
    for (int c = first; c < first + connections; c++) {
        const float *w = weights + (ptrdiff_t)c * K * K, *from = in + s->source[c] * in_map;
        for (int i = 0; i < K; i += TAPS)
            for (int j = 0; j < K; j++)
                conv_column(TAPS, MAPS, ROWS, K, w + i * K + j, (ptrdiff_t)connections * K * K,
                            from + i * in_stride + j, in_stride, sum);
    }
    UNROLL
    for (int o = 0; o < MAPS; o++)
        UNROLL
        for (int y = 0; y < ROWS; y++)
            store_up_to(out + o * out_map + y * out_stride, sum[o][y], columns);
}

/* 0 to the vectors of each row that no column of the map is in. */
INLINE void clear_past(int rows, int width, ptrdiff_t stride, float *map)
{
    for (int y = 0; y < rows; y++)
        for (ptrdiff_t x = (width + LANES - 1) / LANES * LANES; x < stride; x += LANES)
            vf_storeu(map + y * stride + x, vf_set(0.0f));
}

/* One map, or two. */
INLINE void conv_columns(const int TAPS, const int MAPS, const lenet_conv_shape *s,
                         const float *weights, const float *bias, int map, const float *in,
                         ptrdiff_t in_stride, ptrdiff_t out_stride, float *out)
{
    for (int x = 0; x < s->out_width; x += LANES) {
        /* whole vectors where the rows have room for them */
        int columns = out_stride % LANES ? s->out_width - x : LANES;
        for (pieces p = cut(s->out_height, COLUMN_ROWS); p.size; p = next(p)) {
            const float *from = in + p.start * in_stride + x;
            float *to = out + p.start * out_stride + x;
            switch (p.size) {
#define CASE(n)                                                                              \
    case n:                                                                                  \
        if (n <= COLUMN_ROWS)                                                                \
            conv_column_tile(TAPS, MAPS, n <= COLUMN_ROWS ? n : 1, s, weights, bias, map,    \
                             from, in_stride, out_stride, columns, to);                      \
        break;
                CASES_1_TO_10(CASE)
#undef CASE
            }
        }
    }
}

/* Whether a map and the next have the same sources. */
INLINE int has_twin(const lenet_conv_shape *s, int map)
{
    if (map + 1 == s->out_maps) return 0;
    const int32_t *first = s->first + map;
    const int n = first[1] - first[0];
    return n == first[2] - first[1]
           && memcmp(s->source + first[0], s->source + first[1], (size_t)n * sizeof *s->source) == 0;
}

static void conv_of_one(const lenet_conv_shape *s, const float *weights, const float *bias,
                        int activation, const float *in, ptrdiff_t in_stride,
                        ptrdiff_t out_stride, float *scratch, float *out)
{
    const ptrdiff_t out_map = s->out_height * out_stride;
    if (lenet_prefers_maps(s, LANES)) {
        conv_with_maps(s, weights, bias, activation, in, in_stride, out_stride, scratch, out);
        return;
    }
    for (int map = 0, n; map < s->out_maps; map += n, out += n * out_map) {
        n = COLUMN_MAPS == 2 && (s->kernel == 5 || s->kernel == 3) && has_twin(s, map) ? 2 : 1;
        if (n == 2 && s->kernel == 5)
            conv_columns(5, COLUMN_MAPS, s, weights, bias, map, in, in_stride, out_stride, out);
        else if (n == 2)
            conv_columns(3, COLUMN_MAPS, s, weights, bias, map, in, in_stride, out_stride, out);
        else if (s->kernel == 5)
            conv_columns(5, 1, s, weights, bias, map, in, in_stride, out_stride, out);
        else if (s->kernel == 3)
            conv_columns(3, 1, s, weights, bias, map, in, in_stride, out_stride, out);
        else
            conv_columns(1, 1, s, weights, bias, map, in, in_stride, out_stride, out);
        if (out_stride % LANES == 0)
            clear_past(n * s->out_height, s->out_width, out_stride, out);
        squash(activation, out, n * out_map, out);
    }
}

static void subsample_of_one(int maps, int height, int width, const float *coefficient,
                             const float *bias, int activation, const float *in,
                             ptrdiff_t stride, ptrdiff_t out_stride, float *scratch, float *out)
{
    const int out_height = height / 2, out_width = width / 2;
    if (!stride) {
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

/* The last LANES inputs, of which the first are 0 that the whole vectors before have dealt with:
 * a row of weights is then read no further than its end. */
INLINE vf last_inputs(const float *in, int n)
{
    float rest[LANES] = {0};
    int from = n / LANES * LANES;
    memcpy(rest + LANES - (n - from), in + from, (size_t)(n - from) * sizeof *in);
    return vf_loadu(rest);
}

INLINE void dense_rows_tile(const int ROWS, int n, const float *w, const float *bias,
                            const float *in, float *out)
{
    const int whole = n / LANES * LANES;
    vf sum[8];
    UNROLL
    for (int r = 0; r < ROWS; r++) sum[r] = vf_set(0.0f);
    for (int k = 0; k < whole; k += LANES) {
        vf x = vf_loadu(in + k);
        UNROLL
        for (int r = 0; r < ROWS; r++)
            sum[r] = vf_fma(vf_loadu(w + (ptrdiff_t)r * n + k), x, sum[r]);
    }
    if (whole < n && n >= LANES) {
        vf x = last_inputs(in, n);
        UNROLL
        for (int r = 0; r < ROWS; r++)
            sum[r] = vf_fma(vf_loadu(w + (ptrdiff_t)(r + 1) * n - LANES), x, sum[r]);
    }
    UNROLL
    for (int r = 0; r < ROWS; r++) out[r] = vf_sum(sum[r]) + bias[r];
    for (int k = n < LANES ? 0 : n; k < n; k++)
        for (int r = 0; r < ROWS; r++) out[r] += w[r * n + k] * in[k];
}

static void dense_of_one(const lenet_dense_shape *s, const float *weights, const float *bias,
                         int activation, const float *in, float *out)
{
    for (pieces p = cut(s->outputs, 8); p.size; p = next(p)) {
        const float *w = weights + (ptrdiff_t)p.start * s->inputs;
        switch (p.size) {
#define CASE(n)                                                                           \
    case n: dense_rows_tile(n, s->inputs, w, bias + p.start, in, out + p.start); break;
            CASES_1_TO_6(CASE)
            CASE(7)
            CASE(8)
#undef CASE
        }
    }
    squash(activation, out, s->outputs, out);
}

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

/* ---- backward ----------------------------------------------------------------------------------
 *
 * A layer's outputs become its deltas in place, as with one image per lane. Where a row of deltas
 * ends there are zeros, at least one fewer than the kernel of the convolution that made the map has
 * columns, and as many before the first row: a vector of them may start before a row and end behind
 * it. */

/* dw for one kernel row, some of its taps and some of the maps that an input map feeds. */
INLINE void weight_tile_of_one(const int TAPS, const int MAPS, const lenet_conv_shape *s, int first,
                               int tap, const float *in, ptrdiff_t in_stride, const float *delta,
                               ptrdiff_t delta_stride, float *dweights)
{
    const ptrdiff_t out_map = s->out_height * delta_stride;
    const float *d[WEIGHT_MAPS];
    vf sum[WEIGHT_MAPS][5];
    UNROLL
    for (int o = 0; o < MAPS; o++) {
        d[o] = delta + s->target[first + o] * out_map;
        UNROLL
        for (int j = 0; j < TAPS; j++) sum[o][j] = vf_set(0.0f);
    }
    for (int x = 0; x < s->out_width; x += LANES) {
        const float *row = in + x;
        ptrdiff_t at = x;
        for (int y = 0; y < s->out_height; y++, row += in_stride, at += delta_stride) {
            vf pixel[5];
            UNROLL
            for (int j = 0; j < TAPS; j++) pixel[j] = vf_in_register(vf_loadu(row + j));
            UNROLL
            for (int o = 0; o < MAPS; o++) {
                vf here = vf_in_register(vf_loadu(d[o] + at));
                UNROLL
                for (int j = 0; j < TAPS; j++) vf_accumulate(&sum[o][j], pixel[j], here);
            }
        }
    }
    UNROLL
    for (int o = 0; o < MAPS; o++) {
        const ptrdiff_t kernel = (ptrdiff_t)s->connection[first + o] * s->kernel * s->kernel;
        float *dw = dweights + (kernel + tap) * LANES;
        UNROLL
        for (int j = 0; j < TAPS; j++) vf_store(dw + j * LANES, sum[o][j]);
    }
}

/* All that one input map feeds. */
INLINE void weights_of_one(const int K, const int TAPS, const lenet_conv_shape *s, int map,
                           const float *in, ptrdiff_t in_stride, const float *delta,
                           ptrdiff_t delta_stride, float *dweights)
{
    int n = s->first_target[map + 1] - s->first_target[map];
    if (n == 0) return;
    for (pieces p = cut(n, WEIGHT_MAPS); p.size; p = next(p)) {
        int first = s->first_target[map] + p.start;
        for (int tap = 0; tap < K * K; tap += TAPS) {
            const float *from = in + tap / K * in_stride + tap % K;
            switch (p.size) {
#define CASE(m)                                                                           \
    case m:                                                                               \
        if (m <= WEIGHT_MAPS)                                                             \
            weight_tile_of_one(TAPS, m <= WEIGHT_MAPS ? m : 1, s, first, tap, from,       \
                               in_stride, delta, delta_stride, dweights);                 \
        break;
                CASES_1_TO_6(CASE)
#undef CASE
            }
        }
    }
}

static void conv_backward_weights_of_one(const lenet_conv_shape *s, const float *in,
                                         ptrdiff_t in_stride, const float *delta,
                                         ptrdiff_t delta_stride, int add, float *scratch,
                                         float *dweights, float *dbias)
{
    if (lenet_prefers_maps(s, LANES)) {
        conv_backward_weights_with_maps(s, in, in_stride, delta, delta_stride, add, scratch,
                                        dweights, dbias);
        return;
    }
    const ptrdiff_t in_map = s->in_height * in_stride;
    const ptrdiff_t n = (ptrdiff_t)s->first[s->out_maps] * s->kernel * s->kernel;
    float *bias_sums = scratch + n * LANES;
    for (int map = 0; map < s->in_maps; map++, in += in_map) {
        if (s->kernel == 5)
            weights_of_one(5, 5, s, map, in, in_stride, delta, delta_stride, scratch);
        else if (s->kernel == 3)
            weights_of_one(3, 3, s, map, in, in_stride, delta, delta_stride, scratch);
        else
            weights_of_one(s->kernel, 1, s, map, in, in_stride, delta, delta_stride, scratch);
    }
    for (int map = 0; map < s->out_maps; map++, delta += s->out_height * delta_stride) {
        vf sum = vf_set(0.0f);
        for (int y = 0; y < s->out_height; y++)
            for (int x = 0; x < s->out_width; x += LANES)
                sum = vf_add(sum, vf_loadu(delta + y * delta_stride + x));
        vf_store(bias_sums + map * LANES, sum);
    }
    sum_lanes(scratch, n, add, dweights);
    sum_lanes(bias_sums, s->out_maps, add, dbias);
}

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
    for (int t = s->first_target[map]; t < s->first_target[map + 1]; t++) {
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
        for (int t = s->first_target[map]; t < s->first_target[map + 1]; t++) {
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

static void conv_backward_input_of_one(const lenet_conv_shape *s, const float *weights,
                                       const float *delta, ptrdiff_t delta_stride,
                                       int in_activation, float *scratch, float *in,
                                       ptrdiff_t in_stride)
{
    if (!delta_stride) {
        delta_stride = lenet_groups(s->out_width + s->kernel - 1, LANES) * LANES;
        delta = turn_deltas(s, delta, delta_stride, scratch);
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
                                      int in_activation, float *in, ptrdiff_t in_stride, int add,
                                      float *scratch, float *dcoefficient, float *dbias)
{
    const int out_height = height / 2, out_width = width / 2;
    float *bias_sums = scratch + maps * LANES;
    if (!in_stride) {
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

/* What becomes of a dense layer's weights on the way back: their gradient is set, added, or at once
 * used for a step of plain SGD. */
typedef enum { SET, ADD, STEP } use_of_gradient;

/* The weights of ROWS units from k on, as many as there are lanes or `left`; `to` has their place in
 * the gradient, or for a step is `w` itself. Adds to dx, and to probe 0 times the new weights. */
INLINE void dense_vectors_of_one(const use_of_gradient USE, const int ROWS, ptrdiff_t n,
                                 ptrdiff_t left, const float *w, const vf *delta, vf rate, vf keep,
                                 const float *in, float *dx, float *to, vf *probe)
{
#define LOAD(p) (left < LANES ? vf_load_part(p, left) : vf_loadu(p))
#define STORE(p, a)                                                                       \
    do {                                                                                  \
        if (left < LANES)                                                                 \
            vf_store_part(p, a, left);                                                    \
        else                                                                              \
            vf_storeu(p, a);                                                              \
    } while (0)
    const vf x = vf_in_register(LOAD(in));
    vf sum = LOAD(dx);
    for (int r = 0; r < ROWS; r++) {
        vf weight = vf_in_register(LOAD(w + r * n)), g = vf_mul(delta[r], x);
        sum = vf_fma(delta[r], weight, sum);
        if (USE == ADD) g = vf_add(LOAD(to + r * n), g);
        if (USE == STEP) {
            g = vf_fma(g, rate, vf_mul(weight, keep));
            probe[r] = vf_fma(g, vf_set(0.0f), probe[r]);
        }
        STORE(to + r * n, g);
    }
    STORE(dx, sum);
#undef LOAD
#undef STORE
}

/* ROWS units: their weights are read from beginning to end, which the cache likes best. */
INLINE vf dense_units_of_one(const use_of_gradient USE, const int ROWS, ptrdiff_t n, const float *w,
                             const float *delta, vf rate, vf keep, const float *in, float *dx,
                             float *to)
{
    vf d[4], probe[4];
    UNROLL
    for (int r = 0; r < 4; r++) {
        d[r] = vf_set(delta[r < ROWS ? r : 0]);
        probe[r] = vf_set(0.0f);
    }
    ptrdiff_t k = 0;
    for (; k + LANES <= n; k += LANES)
        dense_vectors_of_one(USE, ROWS, n, LANES, w + k, d, rate, keep, in + k, dx + k, to + k,
                             probe);
    if (k < n)
        dense_vectors_of_one(USE, ROWS, n, n - k, w + k, d, rate, keep, in + k, dx + k, to + k,
                             probe);
    return vf_add(vf_add(probe[0], probe[1]), vf_add(probe[2], probe[3]));
}

INLINE vf dense_layer_of_one(const use_of_gradient USE, const lenet_dense_shape *s, const float *w,
                             const float *delta, vf rate, vf keep, int in_activation, float *dx,
                             float *in, float *to)
{
    const ptrdiff_t n = s->inputs;
    vf probe = vf_set(0.0f);
    memset(dx, 0, (size_t)n * sizeof *dx);
    for (pieces p = cut(s->outputs, 4); p.size; p = next(p)) {
        const ptrdiff_t at = p.start * n;
        switch (p.size) {
#define CASE(rows)                                                                        \
    case rows:                                                                            \
        probe = vf_add(probe, dense_units_of_one(USE, rows, n, w + at, delta + p.start,   \
                                                 rate, keep, in, dx, to + at));           \
        break;
            CASE(1) CASE(2) CASE(3) CASE(4)
#undef CASE
        }
    }
    squash_backward(in_activation, in, dx, n, in);
    return probe;
}

static void dense_backward_of_one(const lenet_dense_shape *s, const float *weights,
                                  const float *delta, int in_activation, int add, float *scratch,
                                  float *in, float *dweights, float *dbias)
{
    const vf none = vf_set(0.0f);
    for (int o = 0; o < s->outputs; o++) dbias[o] = add ? dbias[o] + delta[o] : delta[o];
    if (add)
        dense_layer_of_one(ADD, s, weights, delta, none, none, in_activation, scratch, in, dweights);
    else
        dense_layer_of_one(SET, s, weights, delta, none, none, in_activation, scratch, in, dweights);
}

static int dense_step_of_one(const lenet_dense_shape *s, const lenet_optimizer *o,
                             const float *delta, int in_activation, float *scratch, float *in,
                             float *weights, float *biases)
{
    const vf keep = vf_set(1.0f - o->rate * o->weight_decay);
    vf probe = dense_layer_of_one(STEP, s, weights, delta, vf_set(-o->rate), keep, in_activation,
                                  scratch, in, weights);
    return update_sgd(o, delta, 0, s->outputs, biases) && vf_sum(probe) == 0.0f;
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
