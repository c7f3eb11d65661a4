/* Convolution by Winograd's F(2,5), with one image per lane: for inference, and where there are
 * registers for it for training.
 *
 * Along x two outputs of five taps take six products instead of ten: six inputs d become six sums
 * u, the taps w six sums g, and the outputs are sums of the products u g (the polynomials' points
 * are 0, 1, -1, 2, -2 and infinity). What is added up over input maps and kernel rows are the
 * products, so that for each of the six positions there is left a convolution with a column of five
 * taps, over maps half as wide.
 *
 * With registers for two positions of a column of outputs, a strip of rows goes two columns of outputs
 * at a time: positions are added up two by two, and every input that is read serves five rows. The 2x2
 * layer above takes its sums from the registers. Otherwise whole rows are transformed, positions are
 * added up one after another, and their products wait in memory.
 *
 * Compiled once per instruction set: only files of kernels/ include it. */
#ifndef LENET_KERNELS_WINOGRAD_H
#define LENET_KERNELS_WINOGRAD_H

#include "kernels/conv_backward_input.h"
#include "kernels/reduce.h"
#include "kernels/squash.h"
#include "kernels/subsample.h"

enum { WINOGRAD_ROWS = 5 };  /* of a tile */

/* weights [connection][5][5] -> [connection][position][5] */
static void winograd_weights(const lenet_conv_shape *s, const float *weights, float *out)
{
    for (ptrdiff_t c = 0; c < s->begin[s->out_maps]; c++, out += 6 * 5) {
        for (int i = 0; i < 5; i++, weights += 5) {
            float *g = out + i;
            double w[5];
            for (int j = 0; j < 5; j++) w[j] = weights[j];
            double even = w[0] + w[2] + w[4], odd = w[1] + w[3];                     /* at 1 */
            double even_2 = w[0] + 4.0 * w[2] + 16.0 * w[4], odd_2 = 2.0 * w[1] + 8.0 * w[3];
            g[0] = (float)(w[0] * 0.25);
            g[5] = (float)((even + odd) * (-1.0 / 6.0));
            g[10] = (float)((even - odd) * (-1.0 / 6.0));
            g[15] = (float)((even_2 + odd_2) * (1.0 / 24.0));
            g[20] = (float)((even_2 - odd_2) * (1.0 / 24.0));
            g[25] = (float)w[4];
        }
    }
}

/* The sums of six inputs, of which position p's goes to out + p * position. */
INLINE void winograd_transform(const vf d[6], ptrdiff_t position, float *out)
{
    const vf four = vf_set(4.0f), minus_four = vf_set(-4.0f), minus_five = vf_set(-5.0f);
    vf even = vf_fma(minus_four, d[2], d[4]), odd = vf_fma(minus_four, d[1], d[3]);
    vf even_2 = vf_sub(d[4], d[2]), odd_2 = vf_sub(d[3], d[1]);
    odd_2 = vf_add(odd_2, odd_2);
    vf_store(out, vf_fma(four, d[0], vf_fma(minus_five, d[2], d[4])));
    vf_store(out + position, vf_add(even, odd));
    vf_store(out + 2 * position, vf_sub(even, odd));
    vf_store(out + 3 * position, vf_add(even_2, odd_2));
    vf_store(out + 4 * position, vf_sub(even_2, odd_2));
    vf_store(out + 5 * position, vf_fma(four, d[1], vf_fma(minus_five, d[3], d[5])));
}

/* The same of six inputs side by side -> [position]. */
INLINE void winograd_transform_six(const float *in, float *out)
{
    vf d[6];
    UNROLL
    for (int x = 0; x < 6; x++) d[x] = vf_load(in + x * LANES);
    winograd_transform(d, LANES, out);
}

/* ---- strips: the sums of two positions in registers ------------------------------------------ */

/* Rows of two columns of outputs, for all output maps. */
typedef struct {
    const lenet_conv_shape *s;
    const float *weights, *bias;
    ptrdiff_t in_row, in_map, out_row, out_map;  /* floats */
    const lenet_pool *pool;
} winograd_strip;

/* The inputs under them -> [map][row][position]. */
INLINE void winograd_strip_inputs(const int ROWS, const winograd_strip *t, const float *in, float *out)
{
    for (int map = 0; map < t->s->in_maps; map++, in += t->in_map) {
        const float *from = in;
        for (int row = 0; row < ROWS + 4; row++, from += t->in_row, out += 6 * LANES)
            winograd_transform_six(from, out);
    }
}

/* sum[y] += the taps times the rows y .. y + 4 of one map and position. */
INLINE void winograd_column(const int ROWS, const float *in, const float *w, vf *sum)
{
    vf weight[5];
    UNROLL
    for (int i = 0; i < 5; i++) weight[i] = vf_in_register(vf_set(w[i]));
    UNROLL
    for (int row = 0; row < ROWS + 4; row++) {
        vf pixel = vf_in_register(vf_load(in + row * 6 * LANES));
#define TAP(i) if (row >= i && row - i < ROWS) vf_accumulate(&sum[row - i], pixel, weight[i]);
        TAP(0) TAP(1) TAP(2) TAP(3) TAP(4)
#undef TAP
    }
    FORGET();
}

/* The products of positions P and Q for one output map, and a bias. */
INLINE void winograd_products(const int ROWS, const int P, const int Q, const winograd_strip *t,
                              int map, const float *in, vf bias, vf *p, vf *q)
{
    const lenet_conv_shape *s = t->s;
    const float *w = t->weights + (ptrdiff_t)s->begin[map] * 6 * 5;
    UNROLL
    for (int y = 0; y < ROWS; y++) p[y] = q[y] = bias;
    for (int c = s->begin[map]; c < s->begin[map + 1]; c++, w += 6 * 5) {
        const float *from = in + s->source[c] * (ROWS + 4) * 6 * LANES;
        PIN(from);
        winograd_column(ROWS, from + P * LANES, w + P * 5, p);
        winograd_column(ROWS, from + Q * LANES, w + Q * 5, q);
    }
}

/* Adds in winograd_pair's order, for the bits of tiles. What waits for the last two positions: the first
 * output's sum so far; of the second output, the first two positions' difference, and the last one. */
INLINE void winograd_strip_map(const int ROWS, const int activation, const winograd_strip *t, int map,
                               const float *in, float *wait, float *out, float *pooled)
{
    float *difference = wait + ROWS * LANES, *last = wait + 2 * ROWS * LANES;
    vf p[WINOGRAD_STRIP], q[WINOGRAD_STRIP];
    winograd_products(ROWS, 1, 2, t, map, in, vf_set(0.0f), p, q);
    UNROLL
    for (int y = 0; y < ROWS; y++) {
        vf_store(wait + y * LANES, vf_add(p[y], q[y]));
        vf_store(difference + y * LANES, vf_sub(p[y], q[y]));
    }
    FORGET();
    /* only the first output sees the first position, and the second the last */
    winograd_products(ROWS, 0, 5, t, map, in, vf_set(t->bias[map]), p, q);
    UNROLL
    for (int y = 0; y < ROWS; y++) {
        vf_store(wait + y * LANES, vf_add(p[y], vf_load(wait + y * LANES)));
        vf_store(last + y * LANES, q[y]);
    }
    FORGET();
    winograd_products(ROWS, 3, 4, t, map, in, vf_set(0.0f), p, q);

    const int keep = !t->pool || t->pool->keep, n = ROWS > 1 ? 2 : 1;
    vf sum[(WINOGRAD_STRIP + 1) / 2];
    UNROLL
    for (int y = 0; y < ROWS; y += n) {
        vf v[4];
        UNROLL
        for (int k = 0; k < n; k++) {
            const ptrdiff_t at = (y + k) * LANES;
            v[2 * k] = vf_add(vf_load(wait + at), vf_add(p[y + k], q[y + k]));
            v[2 * k + 1] = vf_add(vf_fma(vf_set(2.0f), vf_sub(p[y + k], q[y + k]),
                                         vf_load(difference + at)), vf_load(last + at));
        }
        squash_some(activation, 2 * n, v);
        if (n == 2) sum[y / 2] = vf_add(vf_add(v[0], v[1]), vf_add(v[2], v[3]));
        if (!keep) continue;
        UNROLL
        for (int k = 0; k < n; k++) {
            vf_store(out + (y + k) * t->out_row, v[2 * k]);
            vf_store(out + (y + k) * t->out_row + LANES, v[2 * k + 1]);
        }
    }
    if (!t->pool) return;
    const vf scale = pool_scale(t->pool, map), shift = pool_shift(t->pool, map);
    UNROLL
    for (int y = 0; y < ROWS / 2; y++)
        vf_store(pooled + y * t->out_row / 2, vf_fma(sum[y], scale, shift));
}

INLINE void winograd_strip_rows(const int ROWS, const int activation, const winograd_strip *t,
                                const float *in, float *scratch, float *out, float *pooled)
{
    const lenet_conv_shape *s = t->s;
    float *transformed = scratch + 3 * ROWS * LANES;
    for (int x = 0; x < s->out_width; x += 2, in += 2 * LANES, out += 2 * LANES) {
        winograd_strip_inputs(ROWS, t, in, transformed);
        for (int map = 0; map < s->out_maps; map++)
            winograd_strip_map(ROWS, activation, t, map, transformed, scratch, out + map * t->out_map,
                               t->pool ? pooled + map * t->pool->out_stride + x / 2 * LANES : NULL);
    }
}

/* rows: 1, or an even number up to WINOGRAD_STRIP. */
OUTLINE void winograd_strip_of(int activation, int rows, const winograd_strip *t, const float *in,
                               float *scratch, float *out, float *pooled)
{
    if (rows == 1) {
        WITH_ACTIVATION(KIND, activation,
                        winograd_strip_rows(1, KIND, t, in, scratch, out, pooled))
        return;
    }
    WITH_ACTIVATION(KIND, activation,
                    WITH_SIZE(N, rows / 2, WINOGRAD_STRIP / 2,
                              winograd_strip_rows(2 * N <= WINOGRAD_STRIP ? 2 * N : 1, KIND, t, in,
                                                  scratch, out, pooled)))
}

/* The 2x2 layer's outputs are squashed at the end: the few of two columns would wait for one another. */
static void winograd_strips(const winograd_strip *t, int activation, const float *in, int n_rows,
                            float *scratch, float *out)
{
    const lenet_pool *pool = t->pool;
    for (int y = 0, rows; y < n_rows; y += rows) {
        const int pairs = (n_rows - y) / 2;
        rows = pairs ? 2 * lenet_cut(pairs, WINOGRAD_STRIP / 2).size : 1;
        winograd_strip_of(activation, rows, t, in + y * t->in_row, scratch, out + y * t->out_row,
                          pool ? pool->out + y / 2 * t->out_row / 2 : NULL);
    }
    for (int map = 0; pool && map < t->s->out_maps; map++)
        squash_lanes(pool->activation, n_rows / 2 * t->out_row / 2 / LANES,
                     pool->out + map * pool->out_stride);
}

/* ---- tiles: one position after another -------------------------------------------------------- */

/* n_rows rows of every input map -> [position][map][y][tile]. */
static void winograd_input(const lenet_conv_shape *s, const float *in, int n_rows, float *out)
{
    const ptrdiff_t tiles = s->out_width / 2, row = (ptrdiff_t)s->in_width * LANES;
    const ptrdiff_t position = s->in_maps * n_rows * tiles * LANES;
    for (int map = 0; map < s->in_maps; map++, in += s->in_height * row) {
        for (int y = 0; y < n_rows; y++) {
            const float *from = in + y * row;
            vf d[6];
            for (int k = 0; k < 4; k++) d[k] = vf_load(from + k * LANES);
            for (ptrdiff_t t = 0; t < tiles; t++, out += LANES) {
                d[4] = vf_load(from + (2 * t + 4) * LANES);
                d[5] = vf_load(from + (2 * t + 5) * LANES);
                winograd_transform(d, position, out);
                UNROLL
                for (int k = 0; k < 4; k++) d[k] = d[k + 2];
            }
        }
    }
}

/* Some output maps, whose products of a tile are [map][position][y][tile]. */
typedef struct {
    const lenet_conv_shape *s;
    const float *weights, *bias;
    int first_map, maps;
    ptrdiff_t row, map, position;  /* of the transformed inputs, floats */
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
    for (int c = 0; c < connections; c++, w += 6 * 5) {
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
        const float *weights = t->weights + p * 5;
        for (int m = 0; m < t->maps; m++) {
            const int map = t->first_map + m, first = s->begin[map];
            winograd_tile(ROWS, TILES, s->begin[map + 1] - first, s->source + first,
                          weights + (ptrdiff_t)first * 6 * 5, vf_set(p % 5 ? 0.0f : t->bias[map]),
                          in + p * t->position, t->row, t->map,
                          out + (ptrdiff_t)(m * 6 + p) * ROWS * TILES * LANES);
        }
    }
}

OUTLINE void winograd_tiles_of(int rows, int tiles, const winograd_terms *t, const float *in,
                               float *out)
{
    WITH_SIZE(Y, rows, WINOGRAD_ROWS,
              WITH_SIZE(X, tiles, WINOGRAD_TILES, winograd_tiles(Y, X, t, in, out)))
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
    WITH_ACTIVATION(KIND, activation,
                    winograd_outputs(KIND, rows, tiles, products, out_row, out))
}

/* ---- either ---------------------------------------------------------------------------------- */

static void winograd_conv(const lenet_conv_shape *s, const float *weights, const float *bias,
                          int activation, const float *in, int row, int n_rows,
                          ptrdiff_t out_stride, float *scratch, float *out,
                          const lenet_pool *pool)
{
    const ptrdiff_t in_row = (ptrdiff_t)s->in_width * LANES, out_row = (ptrdiff_t)s->out_width * LANES;
    in += row * in_row;
    if (WINOGRAD_STRIP > 1) {
        const int in_registers = pool && pool->rows == subsample;
        const winograd_strip t = {s, weights, bias, in_row, s->in_height * in_row, out_row,
                                  out_stride, in_registers ? pool : NULL};
        winograd_strips(&t, activation, in, n_rows, scratch, out);
        if (pool && !in_registers)
            pool->rows(s->out_maps, s->out_width, pool, out, out_stride, n_rows / 2);
        return;
    }
    const int tiles = s->out_width / 2, rows = n_rows + 4;
    winograd_terms t = {.s = s, .weights = weights, .bias = bias, .row = tiles * LANES,
                        .map = rows * tiles * LANES,
                        .position = (ptrdiff_t)s->in_maps * rows * tiles * LANES};
    float *transformed = scratch + LENET_WINOGRAD_PRODUCTS * LANES;
    winograd_input(s, in, rows, transformed);
    for (lenet_pieces y = lenet_cut(n_rows, WINOGRAD_ROWS); y.size; y = lenet_next(y)) {
        for (lenet_pieces x = lenet_cut(tiles, WINOGRAD_TILES); x.size; x = lenet_next(x)) {
            const float *from = transformed + y.start * t.row + x.start * LANES;
            float *to = out + y.start * out_row + 2 * x.start * LANES;
            for (lenet_pieces maps = lenet_cut(s->out_maps, LENET_WINOGRAD_MAPS); maps.size;
                 maps = lenet_next(maps)) {
                t.first_map = maps.start;
                t.maps = maps.size;
                winograd_tiles_of(y.size, x.size, &t, from, scratch);
                for (int m = 0; m < maps.size; m++)
                    winograd_outputs_of(activation, y.size, x.size,
                                        scratch + (ptrdiff_t)m * 6 * y.size * x.size * LANES,
                                        out_row, to + (maps.start + m) * out_stride);
            }
        }
    }
    if (pool) pool->rows(s->out_maps, s->out_width, pool, out, out_stride, n_rows / 2);
}

/* ---- backward, to the input -----------------------------------------------------------------
 *
 * Two columns of deltas become six, one for each position, where there is a convolution with a column
 * of five taps again: its input's gradient is scattered as conv_backward_input does it, with a column
 * of sums in registers instead of a row. From the six positions' gradients come those of six inputs. */

/* The delta of position p's product, from those of the two outputs (winograd_pair). */
INLINE vf winograd_delta(const int p, vf a, vf b)
{
    switch (p) {
    case 0: return a;
    case 1: return vf_add(a, b);
    case 2: return vf_sub(a, b);
    case 3: return vf_fma(vf_set(2.0f), b, a);
    case 4: return vf_fma(vf_set(-2.0f), b, a);
    default: return b;
    }
}

/* Two columns of every map's deltas -> [map][row]. */
INLINE void winograd_column_of_deltas(const int P, const lenet_conv_shape *s, const float *delta,
                                      float *out)
{
    const ptrdiff_t rows = (ptrdiff_t)s->out_maps * s->out_height;
    for (ptrdiff_t y = 0; y < rows; y++, delta += s->out_width * LANES, out += LANES)
        vf_store(out, winograd_delta(P, vf_load(delta), vf_load(delta + LANES)));
}

/* Where position p's deltas are and how far its rows lie apart: the first position and the last have
 * one of the columns. */
static const float *winograd_deltas(int p, const lenet_conv_shape *s, const float *delta,
                                    float *scratch, ptrdiff_t *step)
{
    *step = LANES;
    switch (p) {
    case 1: winograd_column_of_deltas(1, s, delta, scratch); return scratch;
    case 2: winograd_column_of_deltas(2, s, delta, scratch); return scratch;
    case 3: winograd_column_of_deltas(3, s, delta, scratch); return scratch;
    case 4: winograd_column_of_deltas(4, s, delta, scratch); return scratch;
    default:
        *step = (ptrdiff_t)s->out_width * LANES;
        return p == 0 ? delta : delta + LANES;
    }
}

/* One position's gradient for a column of its inputs, of one map -> [row]: from some rows of deltas.
 * has_begun: the four rows that the tile above has begun are there. */
INLINE void winograd_scatter(const int ROWS, const lenet_conv_shape *s, const float *weights,
                             const float *delta, ptrdiff_t step, int map, int has_begun, float *out)
{
    vf sum[SCATTER_SUMS];
    UNROLL
    for (int y = 0; y < ROWS + 4; y++)
        sum[y] = has_begun && y < 4 ? vf_load(out + y * LANES) : vf_set(0.0f);
    for (int t = s->target_begin[map]; t < s->target_begin[map + 1]; t++)
        scatter_taps(5, ROWS, delta + s->target[t] * s->out_height * step, step,
                     weights + (ptrdiff_t)s->connection[t] * 6 * 5, sum);
    UNROLL
    for (int y = 0; y < ROWS + 4; y++) vf_store(out + y * LANES, sum[y]);
}

/* The gradients of winograd_transform's six inputs from those of its six sums. */
INLINE void winograd_spread(const float *in, ptrdiff_t position, vf d[6])
{
    const vf two = vf_set(2.0f), four = vf_set(4.0f), five = vf_set(5.0f);
    vf u[6];
    UNROLL
    for (int p = 0; p < 6; p++) u[p] = vf_load(in + p * position);
    vf sum = vf_add(u[1], u[2]), sum_2 = vf_add(u[3], u[4]);
    vf difference = vf_sub(u[1], u[2]), difference_2 = vf_mul(two, vf_sub(u[3], u[4]));
    vf both = vf_add(u[0], sum);
    d[0] = vf_mul(four, u[0]);
    d[1] = vf_sub(vf_mul(four, vf_sub(u[5], difference)), difference_2);
    d[2] = vf_sub(vf_set(0.0f), vf_fma(four, both, vf_add(u[0], sum_2)));
    d[3] = vf_sub(vf_add(difference, difference_2), vf_mul(five, u[5]));
    d[4] = vf_add(both, sum_2);
    d[5] = u[5];
}

/* With the tiles at column x two columns of a map's inputs are done, at last all six; the next tiles
 * add to what is kept: [row][4]. */
INLINE void winograd_finish(const lenet_conv_shape *s, int x, const float *products, float *kept,
                            int in_activation, float *in)
{
    for (int y = 0; y < s->in_height; y++, products += LANES, kept += 4 * LANES) {
        float *to = in + ((ptrdiff_t)y * s->in_width + x) * LANES;
        vf d[6];
        winograd_spread(products, (ptrdiff_t)s->in_height * LANES, d);
        if (x > 0) {
            UNROLL
            for (int k = 0; k < 4; k++) d[k] = vf_add(d[k], vf_load(kept + k * LANES));
        }
        UNROLL
        for (int k = 0; k < 4; k++) vf_store(kept + k * LANES, d[k + 2]);
        store_delta(in_activation, d, 2, to);
        if (x + 2 == s->out_width) store_delta(in_activation, d + 2, 4, to + 2 * LANES);
    }
}

/* scratch: deltas, products [map][position][row], and what is kept. */
static void winograd_backward_input(const lenet_conv_shape *s, const float *weights,
                                    const float *delta, int in_activation, float *scratch, float *in)
{
    const ptrdiff_t column = (ptrdiff_t)s->in_height * LANES;
    float *products = scratch + (ptrdiff_t)s->out_maps * s->out_height * LANES;
    float *kept = products + s->in_maps * 6 * column;
    for (int x = 0; x < s->out_width; x += 2) {
        const float *w = weights;
        for (int p = 0; p < 6; p++, w += 5) {
            ptrdiff_t step;
            const float *d = winograd_deltas(p, s, delta + x * LANES, scratch, &step);
            for (int map = 0; map < s->in_maps; map++) {
                float *to = products + (map * 6 + p) * column;
                lenet_pieces y = lenet_cut(s->out_height, SCATTER_COLUMNS_OF(5));
                for (; y.size; y = lenet_next(y))
                    WITH_SIZE(ROWS, y.size, SCATTER_COLUMNS_OF(5),
                              winograd_scatter(ROWS, s, w, d + y.start * step, step, map,
                                               y.start > 0, to + y.start * LANES))
            }
        }
        for (int map = 0; map < s->in_maps; map++)
            winograd_finish(s, x, products + map * 6 * column, kept + map * 4 * column,
                            in_activation, in + map * s->in_width * column);
    }
}

/* ---- backward, to the weights ---------------------------------------------------------------
 *
 * As weight_tile, for one connection: all five rows of its column of taps, and three of the six
 * positions at a time, for their sums and five rows of their inputs fill the registers. */

enum { WINOGRAD_CACHED = 448 };  /* vectors of inputs: a good half of the L1 cache */

/* Some tiles: in [tile][row][position], two columns of deltas each; dweights [position][5]. */
INLINE void winograd_weight_tile(const int FIRST, const int SECOND, const int THIRD,
                                 const lenet_conv_shape *s, int tiles, const float *in,
                                 const float *delta, float *dweights)
{
    const int position[3] = {FIRST, SECOND, THIRD};
    vf sum[3][5];
    UNROLL
    for (int k = 0; k < 3; k++) {
        UNROLL
        for (int i = 0; i < 5; i++) sum[k][i] = vf_load(dweights + (position[k] * 5 + i) * LANES);
    }
    for (int t = 0; t < tiles; t++, delta += 2 * LANES) {
        const float *d = delta;
        vf pixel[3][5];  /* row y's is at y % 5 */
        UNROLL
        for (int k = 0; k < 3; k++) {
            UNROLL
            for (int i = 0; i < 4; i++) pixel[k][i] = vf_load(in + (i * 6 + position[k]) * LANES);
        }
        in += 4 * 6 * LANES;
        for (int y = 0; y < s->out_height; y += 5) {
            UNROLL
            for (int step = 0; step < 5; step++, in += 6 * LANES, d += s->out_width * LANES) {
                if (y + step >= s->out_height) break;
                vf a = vf_in_register(vf_load(d)), b = vf_in_register(vf_load(d + LANES));
                UNROLL
                for (int k = 0; k < 3; k++)
                    pixel[k][(step + 4) % 5] = vf_in_register(vf_load(in + position[k] * LANES));
                UNROLL
                for (int k = 0; k < 3; k++) {
                    vf here = vf_in_register(winograd_delta(position[k], a, b));
                    UNROLL
                    for (int i = 0; i < 5; i++)
                        vf_accumulate(&sum[k][i], pixel[k][(step + i) % 5], here);
                }
                FORGET();
            }
        }
    }
    UNROLL
    for (int k = 0; k < 3; k++) {
        UNROLL
        for (int i = 0; i < 5; i++) vf_store(dweights + (position[k] * 5 + i) * LANES, sum[k][i]);
    }
}

OUTLINE void winograd_weight_tiles(const lenet_conv_shape *s, int tiles, const float *in,
                                   const float *delta, float *dweights)
{
    winograd_weight_tile(0, 5, 1, s, tiles, in, delta, dweights);
    winograd_weight_tile(2, 3, 4, s, tiles, in, delta, dweights);
}

static void winograd_backward_weights(const lenet_conv_shape *s, const float *in, const float *delta,
                                      float *scratch, float *dweights, float *dbias)
{
    const ptrdiff_t in_row = (ptrdiff_t)s->in_width * LANES;
    const ptrdiff_t out_map = (ptrdiff_t)s->out_height * s->out_width * LANES;
    const int fit = WINOGRAD_CACHED / (6 * s->in_height), at_once = fit > 1 ? fit : 1;
    for (int map = 0; map < s->in_maps; map++, in += s->in_height * in_row) {
        for (lenet_pieces t = lenet_cut(s->out_width / 2, at_once); t.size; t = lenet_next(t)) {
            float *to = scratch;
            for (int x = 2 * t.start; x < 2 * (t.start + t.size); x += 2) {
                for (int y = 0; y < s->in_height; y++, to += 6 * LANES)
                    winograd_transform_six(in + y * in_row + x * LANES, to);
            }
            for (int c = s->target_begin[map]; c < s->target_begin[map + 1]; c++)
                winograd_weight_tiles(s, t.size, scratch,
                                      delta + s->target[c] * out_map + 2 * t.start * LANES,
                                      dweights + (ptrdiff_t)s->connection[c] * 6 * 5 * LANES);
        }
    }
    for (int map = 0; map < s->out_maps; map++)
        add_bias(delta + map * out_map, out_map / LANES, dbias + map * LANES);
}

/* The gradients of winograd_weights' taps from those of its six sums. */
static void winograd_gradient(const lenet_conv_shape *s, const float *in, int add, float *dweights)
{
    for (ptrdiff_t c = 0; c < s->begin[s->out_maps]; c++, in += 6 * 5) {
        for (int i = 0; i < 5; i++, dweights += 5) {
            const float *u = in + i;
            const float even = (u[5] + u[10]) / 6.0f, odd = (u[5] - u[10]) / 6.0f;
            const float even_2 = (u[15] + u[20]) / 24.0f, odd_2 = (u[15] - u[20]) / 12.0f;
            const float dw[5] = {u[0] / 4.0f + even_2 - even, odd_2 - odd, 4.0f * even_2 - even,
                                 4.0f * odd_2 - odd, 16.0f * even_2 - even + u[25]};
            for (int j = 0; j < 5; j++) dweights[j] = (add ? dweights[j] : 0.0f) + dw[j];
        }
    }
}

#endif
