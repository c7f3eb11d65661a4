/* The kernels for one image: a map's columns in lanes, or a dense layer's inputs.
 *
 * The tail of kernels_lanes.h. A map is rows of `stride` floats: a whole number of vectors where
 * a convolution or a 2x2 layer reads it (row_stride), the plain width where a dense layer does.
 * Columns past the width hold numbers without meaning; ROW_SLACK floats behind the last row may be
 * read and written. */
#ifndef LENET_KERNELS_ROWS_H
#define LENET_KERNELS_ROWS_H

INLINE ptrdiff_t row_stride(int width) { return ((ptrdiff_t)width + LANES - 1) / LANES * LANES; }

static void load_grey_rows(const uint8_t *image, int height, int width, float background,
                           float foreground, int out_height, int out_width,
                           ptrdiff_t stride, float *out)
{
    const float scale = (foreground - background) / 255.0f;
    for (ptrdiff_t i = 0; i < out_height * stride; i += LANES)
        vf_storeu(out + i, vf_set(background));
    out += (out_height - height) / 2 * stride + (out_width - width) / 2;
    for (int y = 0; y < height; y++, image += width, out += stride)
        for (int x = 0; x < width; x++) out[x] = (float)image[x] * scale + background;
}

/* ROWS rows of a vector of columns. Upright, what conv_row is along a row: one column of the
 * kernel stays in registers, and an input vector is read once for all the rows it belongs to. */
INLINE void conv_column(const int TAPS, const int ROWS, int K, const float *w, const float *in,
                        ptrdiff_t in_stride, vf *sum)
{
    vf weight[5];
    UNROLL
    for (int i = 0; i < TAPS; i++) weight[i] = vf_set(w[i * K]);
    UNROLL
    for (int at = 0; at < ROWS + TAPS - 1; at++) {
        vf pixel = vf_loadu(in + at * in_stride);
        UNROLL
        for (int i = 0; i < TAPS; i++)
            if (at >= i && at - i < ROWS) vf_accumulate(&sum[at - i], pixel, weight[i]);
    }
    FORGET();
}

INLINE void conv_column_tile(const int TAPS, const int ROWS, const lenet_conv_shape *s,
                             const float *weights, float bias, int map, const float *in,
                             ptrdiff_t out_stride, int columns, float *out)
{
    const int K = TAPS > 1 ? TAPS : s->kernel;
    const ptrdiff_t in_stride = row_stride(s->in_width), in_map = s->in_height * in_stride;
    vf sum[COLUMN_ROWS];
    UNROLL
    for (int y = 0; y < ROWS; y++) sum[y] = vf_set(bias);
    for (int c = s->first[map]; c < s->first[map + 1]; c++) {
        const float *w = weights + (ptrdiff_t)c * K * K, *from = in + s->source[c] * in_map;
        for (int i = 0; i < K; i += TAPS)
            for (int j = 0; j < K; j++)
                conv_column(TAPS, ROWS, K, w + i * K + j, from + i * in_stride + j, in_stride,
                            sum);
    }
    UNROLL
    for (int y = 0; y < ROWS; y++) vf_store_part(out + y * out_stride, sum[y], columns);
}

/* One map. */
INLINE void conv_columns(const int TAPS, const lenet_conv_shape *s, const float *weights,
                         float bias, int map, const float *in, ptrdiff_t out_stride, float *out)
{
    const ptrdiff_t in_stride = row_stride(s->in_width);
    for (int x = 0; x < s->out_width; x += LANES) {
        /* whole vectors where the rows have room for them */
        int columns = out_stride % LANES ? s->out_width - x : LANES;
        for (pieces p = cut(s->out_height, COLUMN_ROWS); p.size; p = next(p)) {
            const float *from = in + p.start * in_stride + x;
            float *to = out + p.start * out_stride + x;
            switch (p.size) {
#define CASE(n)                                                                           \
    case n:                                                                               \
        if (n <= COLUMN_ROWS)                                                             \
            conv_column_tile(TAPS, n <= COLUMN_ROWS ? n : 1, s, weights, bias, map, from, \
                             out_stride, columns, to);                                    \
        break;
                CASES_1_TO_10(CASE)
                CASES_11_TO_14(CASE)
#undef CASE
            }
        }
    }
}

static void conv_of_one(const lenet_conv_shape *s, const float *weights, const float *bias,
                             int activation, const float *in, ptrdiff_t out_stride, float *out)
{
    const ptrdiff_t out_map = s->out_height * out_stride;
    for (int map = 0; map < s->out_maps; map++, out += out_map) {
        if (s->kernel == 5)
            conv_columns(5, s, weights, bias[map], map, in, out_stride, out);
        else if (s->kernel == 3)
            conv_columns(3, s, weights, bias[map], map, in, out_stride, out);
        else
            conv_columns(1, s, weights, bias[map], map, in, out_stride, out);
        squash(activation, out, out_map, out);
    }
}

static void subsample_of_one(int maps, int height, int width, const float *coefficient,
                                  const float *bias, int activation, const float *in,
                                  ptrdiff_t out_stride, float *out)
{
    const ptrdiff_t stride = row_stride(width);
    const int out_height = height / 2, out_width = width / 2;
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
                vf_store_part(row + x, sum, out_stride % LANES ? out_width - x : LANES);
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

#endif
