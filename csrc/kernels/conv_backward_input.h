/* Direct convolution, backward: the gradient for its input, with images in lanes and for one image.
 *
 * Compiled once per instruction set: only files of kernels/ include it. */
#ifndef LENET_KERNELS_CONV_BACKWARD_INPUT_H
#define LENET_KERNELS_CONV_BACKWARD_INPUT_H

#include "kernels/conv.h"

/* ---- images in lanes ------------------------------------------------------------------------- */

/* A row of an input map's gradient is a row of sums. Each output map that the input map feeds scatters
 * its deltas: the delta at column x belongs to the sums x .. x + K-1, so that no multiply-add is spent
 * on the border. A tile is some columns of deltas times some taps, with their sums in registers. Of a
 * kernel of up to SCATTER_TAPS it hands the K-1 sums that the next tile adds to over to it. A wider one
 * has several tiles for its taps: the sums of some columns wait in memory, with a margin for what
 * belongs to their neighbours and is done again there. It goes row by row: the sums of several rows
 * would take more of the stack than a function may. Where all columns are few, one tile has all of its
 * taps: so few columns times a part of them are too few sums, each of which waits for itself. */

enum { SCATTER_TAPS = 5, SCATTER_COLUMNS = 12, SCATTER_WINDOW = 32, SCATTER_MARGIN = SCATTER_TAPS - 1,
       SCATTER_ROWS = 8, SCATTER_MORE_TAPS = 7, SCATTER_FEW_COLUMNS = 4 };

/* The most that the sums of so many taps leave room for */
#define SCATTER_COLUMNS_OF(TAPS) \
    ((TAPS) - SCATTER_TAPS > 0 ? SCATTER_FEW_COLUMNS \
     : SCATTER_SUMS + 1 - (TAPS) < SCATTER_COLUMNS ? SCATTER_SUMS + 1 - (TAPS) : SCATTER_COLUMNS)

/* COLUMNS deltas, `step` floats apart, times a kernel row's taps; the last delta first, for each sum to get
 * its taps in their order. In registers are the deltas, all of them; for want of registers the weights, or
 * where there are five a half of the deltas at a time. */
INLINE void scatter_taps(const int TAPS, const int COLUMNS, const float *delta, ptrdiff_t step,
                         const float *w, vf *sum)
{
    const int PARTS = HOLD_WEIGHTS ? 1 : 2;
    PIN(delta); PIN(w);
    if (!HOLD_WEIGHTS && TAPS < SCATTER_TAPS) {
        vf weight[SCATTER_TAPS];
        UNROLL
        for (int j = 0; j < TAPS; j++) weight[j] = vf_set(w[j]);
        UNROLL
        for (int x = COLUMNS - 1; x >= 0; x--) {
            vf d = vf_load(delta + x * step);
            UNROLL
            for (int j = 0; j < TAPS; j++) vf_accumulate(&sum[x + j], d, weight[j]);
        }
        FORGET();
        return;
    }
    UNROLL
    for (int part = PARTS - 1; part >= 0; part--) {
        const int first = part * COLUMNS / PARTS, end = (part + 1) * COLUMNS / PARTS;
        vf held[SCATTER_COLUMNS];
        UNROLL
        for (int x = first; x < end; x++) held[x] = vf_in_register(vf_load(delta + x * step));
        UNROLL
        for (int j = 0; j < TAPS; j++) {
            vf weight = vf_in_register(vf_set(w[j]));
            UNROLL
            for (int x = first; x < end; x++) vf_accumulate(&sum[x + j], held[x], weight);
        }
        FORGET();
    }
}

/* Where a tile stands in its row: what it finds in memory and what it leaves there. */
enum { SCATTER_FIRST = 1, SCATTER_LAST = 2, SCATTER_IN_PARTS = 4 };

/* Some rows of one input map. */
typedef struct {
    const lenet_conv_shape *s;
    int map, row, n_rows, in_activation;
} scatter_terms;

/* What all output maps and kernel rows add to one row of a tile. */
INLINE void scatter_maps(const int TAPS, const int COLUMNS, const int ONE, const scatter_terms *c,
                         int row, const float *weights, const float *delta, vf *sum)
{
    const lenet_conv_shape *s = c->s;
    const int K = s->kernel, kernel = K * K;
    const ptrdiff_t out_row = (ptrdiff_t)s->out_width * LANES, out_map = s->out_height * out_row;
    const int first = s->target_begin[c->map], end = s->target_begin[c->map + 1];
    const int above = row - (s->out_height - 1), lowest = above > 0 ? above : 0;
    const int highest = row < K - 1 ? row : K - 1;
    if (ONE) {
        const float *d = delta + s->target[first] * out_map;
        const float *w = weights + (ptrdiff_t)s->connection[first] * kernel;
        for (int i = lowest; i <= highest; i++)
            scatter_taps(TAPS, COLUMNS, d + (row - i) * out_row, LANES, w + i * K, sum);
        return;
    }
    for (int i = lowest; i <= highest; i++) {
        const float *d = delta + (row - i) * out_row, *w = weights + i * K;
        for (int t = first; t < end; t++)
            scatter_taps(TAPS, COLUMNS, d + s->target[t] * out_map, LANES,
                         w + (ptrdiff_t)s->connection[t] * kernel, sum);
    }
}

/* Whether a tile is of some rows. Not with five taps and few registers: gcc then moves sums to memory. */
#define SCATTER_GOES_DOWN(TAPS, ONE) (HOLD_WEIGHTS || (TAPS) < SCATTER_TAPS || (ONE))

/* From the first of its deltas and taps on. sums: all that it adds to if in parts, else of each row those
 * that the tile before has begun. */
INLINE void scatter_tile(const int TAPS, const int COLUMNS, const int ONE, const scatter_terms *c,
                         const float *weights, const float *delta, int place, float *sums, float *in)
{
    const ptrdiff_t in_row = (ptrdiff_t)c->s->in_width * LANES;
    const int end = c->row + (SCATTER_GOES_DOWN(TAPS, ONE) ? c->n_rows : 1);
    for (int row = c->row; row < end; row++, in += in_row) {
        vf sum[SCATTER_SUMS];
        UNROLL
        for (int k = 0; k < COLUMNS + TAPS - 1; k++) sum[k] = vf_set(0.0f);
        if (place & SCATTER_IN_PARTS) {
            UNROLL
            for (int k = 0; k < COLUMNS + TAPS - 1; k++) sum[k] = vf_load(sums + k * LANES);
        } else if (!(place & SCATTER_FIRST)) {
            UNROLL
            for (int k = 0; k < TAPS - 1; k++) sum[k] = vf_load(sums + k * LANES);
        }
        scatter_maps(TAPS, COLUMNS, ONE, c, row, weights, delta, sum);
        if (place & SCATTER_IN_PARTS) {
            UNROLL
            for (int k = 0; k < COLUMNS + TAPS - 1; k++) vf_store(sums + k * LANES, sum[k]);
        } else if (place & SCATTER_LAST) {
            store_delta(c->in_activation, sum, COLUMNS + TAPS - 1, in);
        } else {
            store_delta(c->in_activation, sum, COLUMNS, in);
            UNROLL
            for (int k = 0; k < TAPS - 1; k++) vf_store(sums + k * LANES, sum[COLUMNS + k]);
        }
        sums += (TAPS - 1) * LANES;
    }
}

INLINE int feeds_one(const lenet_conv_shape *s, int map)
{
    return s->target_begin[map + 1] - s->target_begin[map] == 1;
}

OUTLINE void scatter_tile_of_several(int taps, int columns, const scatter_terms *c, const float *weights,
                                     const float *delta, int place, float *sums, float *in)
{
    WITH_SIZE(TAPS, taps, SCATTER_MORE_TAPS,
              WITH_SIZE(COLUMNS, columns, SCATTER_COLUMNS_OF(TAPS),
                        scatter_tile(TAPS, COLUMNS, 0, c, weights, delta, place, sums, in)))
}

OUTLINE void scatter_tile_of_one(int taps, int columns, const scatter_terms *c, const float *weights,
                                 const float *delta, int place, float *sums, float *in)
{
    WITH_SIZE(TAPS, taps, SCATTER_TAPS,
              WITH_SIZE(COLUMNS, columns, SCATTER_COLUMNS_OF(TAPS),
                        scatter_tile(TAPS, COLUMNS, 1, c, weights, delta, place, sums, in)))
}

static void scatter_tile_of(int taps, int columns, const scatter_terms *c, const float *weights,
                            const float *delta, int place, float *sums, float *in)
{
    if (taps <= SCATTER_TAPS && feeds_one(c->s, c->map))
        scatter_tile_of_one(taps, columns, c, weights, delta, place, sums, in);
    else
        scatter_tile_of_several(taps, columns, c, weights, delta, place, sums, in);
}

static void scatter_rows(const scatter_terms *c, const float *weights, const float *delta, float *in)
{
    /* as for all taps, though a tile that has more than SCATTER_TAPS is its row's only one and leaves none */
    _Alignas(64) float sums[SCATTER_ROWS * (SCATTER_MORE_TAPS - 1) * LANES];
    const int K = c->s->kernel;
    lenet_pieces x = lenet_cut(c->s->out_width, SCATTER_COLUMNS_OF(K));
    for (; x.size; x = lenet_next(x)) {
        const int place = (x.start ? 0 : SCATTER_FIRST) | (x.left == 1 ? SCATTER_LAST : 0);
        scatter_tile_of(K, x.size, c, weights, delta + x.start * LANES, place, sums,
                        in + x.start * LANES);
    }
}

/* One row. */
static void scatter_row_in_parts(const scatter_terms *c, const float *weights, const float *delta,
                                 float *in)
{
    _Alignas(64) float sums[(SCATTER_WINDOW + 2 * SCATTER_MARGIN) * LANES];
    const lenet_conv_shape *s = c->s;
    for (lenet_pieces w = lenet_cut(s->in_width, SCATTER_WINDOW); w.size; w = lenet_next(w)) {
        float *to = in + w.start * LANES;
        memset(sums, 0, (size_t)((w.size + 2 * SCATTER_MARGIN) * LANES) * sizeof *sums);
        for (lenet_pieces j = lenet_cut(s->kernel, SCATTER_TAPS); j.size; j = lenet_next(j)) {
            /* what delta x and these taps give begins at sum x + at */
            const int at = SCATTER_MARGIN + j.start - w.start, from = w.start - (j.start + j.size - 1);
            const int begin = from > 0 ? from : 0, past = w.start + w.size - j.start;
            const int end = past < s->out_width ? past : s->out_width;
            if (begin >= end) continue;
            lenet_pieces x = lenet_cut(end - begin, SCATTER_COLUMNS_OF(j.size));
            for (; x.size; x = lenet_next(x))
                scatter_tile_of(j.size, x.size, c, weights + j.start,
                                delta + (begin + x.start) * LANES, SCATTER_IN_PARTS,
                                sums + (begin + x.start + at) * LANES, NULL);
        }
        squash_backward(c->in_activation, to, sums + SCATTER_MARGIN * LANES, w.size * LANES, to);
    }
}

/* Map by map; row by row where all deltas are more than the L2 cache holds, so that the maps find a
 * row's there. A tile goes down some rows where half of the L1 cache holds the deltas of one:
 * CACHED_VECTORS are a third of it. */
static void conv_backward_input(const lenet_conv_shape *s, const float *weights,
                                const float *delta, int in_activation, float *in)
{
    const ptrdiff_t in_row = (ptrdiff_t)s->in_width * LANES;
    const ptrdiff_t deltas = (ptrdiff_t)s->out_maps * s->out_height * s->out_width * LANES;
    const int strip = deltas > CONV_CACHED ? 1 : s->in_height;
    const int few = s->kernel <= SCATTER_MORE_TAPS && s->out_width <= SCATTER_FEW_COLUMNS;
    const int in_parts = s->kernel > SCATTER_TAPS && !few;
    const int cached = s->out_width <= SCATTER_COLUMNS
                       || s->out_maps * s->kernel * SCATTER_COLUMNS <= 3 * CACHED_VECTORS / 2;
    for (int first = 0; first < s->in_height; first += strip) {
        for (int map = 0; map < s->in_maps; map++) {
            const int one = s->kernel <= SCATTER_TAPS && feeds_one(s, map);
            const int goes_down = !in_parts && cached && SCATTER_GOES_DOWN(s->kernel, one);
            const int most = goes_down ? SCATTER_ROWS : 1;
            for (lenet_pieces y = lenet_cut(strip, most); y.size; y = lenet_next(y)) {
                const scatter_terms c = {s, map, first + y.start, y.size, in_activation};
                float *to = in + ((ptrdiff_t)map * s->in_height + c.row) * in_row;
                if (in_parts)
                    scatter_row_in_parts(&c, weights, delta, to);
                else
                    scatter_rows(&c, weights, delta, to);
            }
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
