/* Convolution by Winograd's F(2,5), for inference, with one image per lane.
 *
 * Along x two outputs of five taps take six products instead of ten: six inputs d become six sums
 * u, the taps w six sums g, and the outputs are sums of the products u g (the polynomials' points
 * are 0, 1, -1, 2, -2 and infinity). What is added up over input maps and kernel rows are the
 * products, so that for each of the six positions there is left a convolution with a column of five
 * taps, over maps half as wide: [position][map][y][tile][lane]. */
#ifndef LENET_KERNELS_WINOGRAD_H
#define LENET_KERNELS_WINOGRAD_H

enum { WINOGRAD_ROWS = 5 };

/* weights [connection][5][5] -> [position][connection][5] */
static void winograd_weights(const lenet_conv_shape *s, const float *weights, float *out)
{
    const ptrdiff_t n = (ptrdiff_t)s->first[s->out_maps] * 5;
    for (ptrdiff_t i = 0; i < n; i++, weights += 5, out++) {
        double w[5];
        for (int j = 0; j < 5; j++) w[j] = weights[j];
        double even = w[0] + w[2] + w[4], odd = w[1] + w[3];                     /* at 1 */
        double even_2 = w[0] + 4.0 * w[2] + 16.0 * w[4], odd_2 = 2.0 * w[1] + 8.0 * w[3];
        out[0] = (float)(w[0] / 4.0);
        out[n] = (float)((even + odd) / -6.0);
        out[2 * n] = (float)((even - odd) / -6.0);
        out[3 * n] = (float)((even_2 + odd_2) / 24.0);
        out[4 * n] = (float)((even_2 - odd_2) / 24.0);
        out[5 * n] = (float)w[4];
    }
}

static void winograd_input(const lenet_conv_shape *s, const float *in, float *out)
{
    const ptrdiff_t rows = (ptrdiff_t)s->in_maps * s->in_height, tiles = s->out_width / 2;
    const ptrdiff_t position = rows * tiles * LANES;
    const vf four = vf_set(4.0f), minus_four = vf_set(-4.0f), minus_five = vf_set(-5.0f);
    for (ptrdiff_t row = 0; row < rows; row++, in += (ptrdiff_t)s->in_width * LANES) {
        vf d0 = vf_load(in), d1 = vf_load(in + LANES);
        vf d2 = vf_load(in + 2 * LANES), d3 = vf_load(in + 3 * LANES);
        for (ptrdiff_t t = 0; t < tiles; t++, out += LANES) {
            const float *at = in + (2 * t + 4) * LANES;
            vf d4 = vf_load(at), d5 = vf_load(at + LANES);
            vf even = vf_fma(minus_four, d2, d4), odd = vf_fma(minus_four, d1, d3);
            vf even_2 = vf_sub(d4, d2), odd_2 = vf_sub(d3, d1);
            odd_2 = vf_add(odd_2, odd_2);
            vf_store(out, vf_fma(four, d0, vf_fma(minus_five, d2, d4)));
            vf_store(out + position, vf_add(even, odd));
            vf_store(out + 2 * position, vf_sub(even, odd));
            vf_store(out + 3 * position, vf_add(even_2, odd_2));
            vf_store(out + 4 * position, vf_sub(even_2, odd_2));
            vf_store(out + 5 * position, vf_fma(four, d1, vf_fma(minus_five, d3, d5)));
            d0 = d2;
            d1 = d3;
            d2 = d4;
            d3 = d5;
        }
    }
}

/* Some output maps, whose products of a tile are [map][position][y][tile]. */
typedef struct {
    const lenet_conv_shape *s;
    const float *weights, *bias;
    int first_map, maps;
    ptrdiff_t row, map, position;  /* of the transformed input, floats */
} winograd_terms;

/* sum[y][tile] += input row ROW of a tile, times the taps that it meets. Written out, as are the rows
 * below: gcc unrolls no deeper nest of loops early enough to keep the sums in registers. */
INLINE void winograd_row(const int ROWS, const int TILES, const int ROW, const float *in,
                         ptrdiff_t in_row, const vf *weight, vf sum[][WINOGRAD_TILES])
{
    if (ROW >= ROWS + 4) return;
    in += ROW * in_row;
    PIN(in);
#define TAP(i) if (ROW >= i && ROW - i < ROWS) vf_accumulate(&sum[ROW - i][tile], pixel, weight[i]);
    UNROLL
    for (int tile = 0; tile < TILES; tile++) {
        vf pixel = vf_in_register(vf_load(in + tile * LANES));
        TAP(0) TAP(1) TAP(2) TAP(3) TAP(4)
    }
#undef TAP
    FORGET();
}

INLINE void winograd_tile(const int ROWS, const int TILES, int connections, const int32_t *source,
                          const float *w, vf bias, const float *in, ptrdiff_t in_row,
                          ptrdiff_t in_map, float *out)
{
    vf sum[WINOGRAD_ROWS][WINOGRAD_TILES];
#define ROW(y)                                                                                \
    UNROLL                                                                                    \
    for (int tile = 0; y < ROWS && tile < TILES; tile++) sum[y][tile] = bias;
    ROW(0) ROW(1) ROW(2) ROW(3) ROW(4)
#undef ROW
    for (int c = 0; c < connections; c++, w += 5) {
        const float *map = in + source[c] * in_map;
        vf weight[5];
        UNROLL
        for (int i = 0; i < 5; i++) weight[i] = vf_in_register(vf_set(w[i]));
#define ROW(y) winograd_row(ROWS, TILES, y, map, in_row, weight, sum);
        ROW(0) ROW(1) ROW(2) ROW(3) ROW(4) ROW(5) ROW(6) ROW(7) ROW(8)
#undef ROW
    }
#define ROW(y)                                                                                \
    UNROLL                                                                                    \
    for (int tile = 0; y < ROWS && tile < TILES; tile++)                                      \
        vf_store(out + (y * TILES + tile) * LANES, sum[y][tile]);
    ROW(0) ROW(1) ROW(2) ROW(3) ROW(4)
#undef ROW
}

INLINE void winograd_tiles(const int ROWS, const int TILES, const winograd_terms *t,
                           const float *in, float *out)
{
    const lenet_conv_shape *s = t->s;
    for (int p = 0; p < 6; p++) {
        const float *weights = t->weights + (ptrdiff_t)p * s->first[s->out_maps] * 5;
        for (int m = 0; m < t->maps; m++) {
            const int map = t->first_map + m, first = s->first[map];
            /* only the first output sees the first position, and the second the last */
            winograd_tile(ROWS, TILES, s->first[map + 1] - first, s->source + first,
                          weights + (ptrdiff_t)first * 5, vf_set(p % 5 ? 0.0f : t->bias[map]),
                          in + p * t->position, t->row, t->map,
                          out + (ptrdiff_t)(m * 6 + p) * ROWS * TILES * LANES);
        }
    }
}

OUTLINE void winograd_tiles_of(int rows, int tiles, const winograd_terms *t, const float *in,
                               float *out)
{
    switch (rows * 8 + tiles) {
#define CASE(y, x)                                                                            \
    case y * 8 + x:                                                                           \
        if (x <= WINOGRAD_TILES) winograd_tiles(y, x <= WINOGRAD_TILES ? x : 1, t, in, out);  \
        break;
#define CASES_OF_ROWS(y) CASE(y, 1) CASE(y, 2) CASE(y, 3) CASE(y, 4) CASE(y, 5)
        CASES_OF_ROWS(1) CASES_OF_ROWS(2) CASES_OF_ROWS(3) CASES_OF_ROWS(4) CASES_OF_ROWS(5)
#undef CASES_OF_ROWS
#undef CASE
    }
}

/* Two outputs from the products of six positions. */
INLINE void winograd_pair(vf first, vf a, vf b, vf c, vf d, vf last, vf *y)
{
    y[0] = vf_add(vf_add(first, vf_add(a, b)), vf_add(c, d));
    y[1] = vf_add(vf_fma(vf_set(2.0f), vf_sub(c, d), vf_sub(a, b)), last);
}

INLINE void winograd_pair_from(const float *products, ptrdiff_t position, vf *y)
{
    winograd_pair(vf_load(products), vf_load(products + position),
                  vf_load(products + 2 * position), vf_load(products + 3 * position),
                  vf_load(products + 4 * position), vf_load(products + 5 * position), y);
}

INLINE void winograd_outputs(const int activation, int rows, int tiles, const float *products,
                             ptrdiff_t out_row, float *out)
{
    const ptrdiff_t position = (ptrdiff_t)rows * tiles * LANES;
    for (int y = 0; y < rows; y++, out += out_row) {
        float *to = out;
        int t = 0;
        for (; t + 2 <= tiles; t += 2, products += 2 * LANES, to += 4 * LANES) {
            vf v[4];
            winograd_pair_from(products, position, v);
            winograd_pair_from(products + LANES, position, v + 2);
            squash_some(activation, 4, v);
            UNROLL
            for (int k = 0; k < 4; k++) vf_store(to + k * LANES, v[k]);
        }
        if (t < tiles) {
            vf v[2];
            winograd_pair_from(products, position, v);
            squash_some(activation, 2, v);
            vf_store(to, v[0]);
            vf_store(to + LANES, v[1]);
            products += LANES;
        }
    }
}

OUTLINE void winograd_outputs_of(int activation, int rows, int tiles, const float *products,
                                 ptrdiff_t out_row, float *out)
{
    switch (activation) {
#define CASE(kind)                                                                            \
    case kind: winograd_outputs(kind, rows, tiles, products, out_row, out); break;
        CASES_OF_ACTIVATIONS(CASE)
#undef CASE
    }
}

/* ---- of a single input map: the sums of all positions in registers ---------------------------- */

/* sum[y] = start + the taps times the rows y .. y + 4 of a column of vectors. */
INLINE void winograd_column(const int ROWS, const float *in, ptrdiff_t in_row, const float *w,
                            vf start, vf *sum)
{
    vf weight[5];
    UNROLL
    for (int i = 0; i < 5; i++) weight[i] = vf_in_register(vf_set(w[i]));
    UNROLL
    for (int y = 0; y < ROWS; y++) sum[y] = start;
    UNROLL
    for (int row = 0; row < ROWS + 4; row++) {
        vf pixel = vf_in_register(vf_load(in + row * in_row));
#define TAP(i) if (row >= i && row - i < ROWS) vf_accumulate(&sum[row - i], pixel, weight[i]);
        TAP(0) TAP(1) TAP(2) TAP(3) TAP(4)
#undef TAP
    }
    FORGET();
}

/* Rows of two columns of outputs. w: position p's taps begin at w + p * w_position. */
INLINE void winograd_two_columns(const int ROWS, const int activation, const winograd_terms *t,
                                 const float *w, ptrdiff_t w_position, float bias, const float *in,
                                 ptrdiff_t out_row, float *out)
{
    const vf zero = vf_set(0.0f);
    vf sum[6][WINOGRAD_STRIP];
#define POSITION(p)                                                                           \
    winograd_column(ROWS, in + p * t->position, t->row, w + p * w_position,                   \
                    p % 5 ? zero : vf_set(bias), sum[p]);
    POSITION(0) POSITION(1) POSITION(2) POSITION(3) POSITION(4) POSITION(5)
#undef POSITION
    UNROLL
    for (int y = 0; y < ROWS; y += 2) {
        vf v[4];
        UNROLL
        for (int k = 0; k < 2; k++) {
            if (y + k == ROWS) continue;
            winograd_pair(sum[0][y + k], sum[1][y + k], sum[2][y + k], sum[3][y + k],
                          sum[4][y + k], sum[5][y + k], v + 2 * k);
        }
        squash_some(activation, y + 1 < ROWS ? 4 : 2, v);
        UNROLL
        for (int k = 0; k < 2; k++) {
            if (y + k == ROWS) continue;
            vf_store(out + (y + k) * out_row, v[2 * k]);
            vf_store(out + (y + k) * out_row + LANES, v[2 * k + 1]);
        }
    }
}

INLINE void winograd_strip(const int ROWS, const int activation, const winograd_terms *t,
                           const float *in, ptrdiff_t out_stride, float *out)
{
    const lenet_conv_shape *s = t->s;
    const ptrdiff_t connections = s->first[s->out_maps], out_row = 2 * t->row;
    for (ptrdiff_t x = 0; x < t->row; x += LANES)
        for (int map = 0; map < s->out_maps; map++)
            winograd_two_columns(ROWS, activation, t, t->weights + (ptrdiff_t)s->first[map] * 5,
                                 connections * 5, t->bias[map], in + x, out_row,
                                 out + map * out_stride + 2 * x);
}

OUTLINE void winograd_strip_of(int activation, int rows, const winograd_terms *t, const float *in,
                               ptrdiff_t out_stride, float *out)
{
    switch (activation * 4 + rows - 1) {
#define CASE_OF_ROWS(kind, n)                                                                 \
    case kind * 4 + n - 1:                                                                    \
        if (n <= WINOGRAD_STRIP)                                                              \
            winograd_strip(n <= WINOGRAD_STRIP ? n : 1, kind, t, in, out_stride, out);        \
        break;
#define CASE(kind)                                                                            \
    CASE_OF_ROWS(kind, 1) CASE_OF_ROWS(kind, 2) CASE_OF_ROWS(kind, 3) CASE_OF_ROWS(kind, 4)
        CASES_OF_ACTIVATIONS(CASE)
#undef CASE
#undef CASE_OF_ROWS
    }
}

static void winograd_conv(const lenet_conv_shape *s, const float *weights, const float *bias,
                          int activation, const float *in, int row, int n_rows,
                          ptrdiff_t out_stride, float *products, float *out)
{
    const int width = s->out_width / 2;
    const ptrdiff_t in_row = (ptrdiff_t)width * LANES, out_row = 2 * in_row;
    winograd_terms t = {.s = s, .weights = weights, .bias = bias, .row = in_row,
                        .map = s->in_height * in_row,
                        .position = s->in_maps * s->in_height * in_row};
    if (s->in_maps == 1) {
        for (pieces y = cut(n_rows, WINOGRAD_STRIP); y.size; y = next(y))
            winograd_strip_of(activation, y.size, &t, in + (row + y.start) * in_row, out_stride,
                              out + y.start * out_row);
        return;
    }
    for (pieces y = cut(n_rows, WINOGRAD_ROWS); y.size; y = next(y)) {
        for (pieces x = cut(width, WINOGRAD_TILES); x.size; x = next(x)) {
            const float *from = in + (row + y.start) * in_row + x.start * LANES;
            float *to = out + y.start * out_row + 2 * x.start * LANES;
            for (pieces maps = cut(s->out_maps, LENET_WINOGRAD_MAPS); maps.size; maps = next(maps)) {
                t.first_map = maps.start;
                t.maps = maps.size;
                winograd_tiles_of(y.size, x.size, &t, from, products);
                for (int m = 0; m < maps.size; m++)
                    winograd_outputs_of(activation, y.size, x.size,
                                        products + (ptrdiff_t)m * 6 * y.size * x.size * LANES,
                                        out_row, to + (maps.start + m) * out_stride);
            }
        }
    }
}

#endif
