/* Direct convolution, forward: with images in lanes; for one image with a map's columns in lanes, or
 * with LANES output maps in them, where that takes fewer vectors (lenet_prefers_maps): C3 has 16 maps,
 * but 10 columns.
 *
 * Compiled once per instruction set: only files of kernels/ include it. */
#ifndef LENET_KERNELS_CONV_H
#define LENET_KERNELS_CONV_H

#include "kernels/squash.h"
#include "kernels/transpose.h"

/* ---- tiles ----------------------------------------------------------------------------------- */

/* A tile is one output map, two rows, some columns. Both rows read the same input vectors:
 * input row r feeds the upper output row through kernel row r and the lower one through kernel
 * row r - 1. With registers for them, the weights of both kernel rows stay there and each input
 * vector is read once for all the sums it belongs to; otherwise it is read for each tap.
 *
 * The same tile serves one image with maps in lanes: then a weight is a vector and a pixel a scalar, or
 * with slots a vector of PIXEL_MAPS input maps that is permuted. */

typedef enum { IMAGES_IN_LANES, MAPS_IN_LANES, SLOTS_IN_LANES } in_lanes;

enum { PIXEL_MAPS = LANES < (int)LENET_MAX_SLOTS ? LANES : (int)LENET_MAX_SLOTS };

INLINE vf pixel_at(const in_lanes WHAT, const float *in, int x, const int32_t *index)
{
    if (WHAT == SLOTS_IN_LANES)
        return vf_in_register(vf_permute(vf_loadu(in + x * PIXEL_MAPS), index));
    return vf_in_register(WHAT == IMAGES_IN_LANES ? vf_load(in + x * LANES) : vf_set(in[x]));
}

INLINE vf weight_at(const in_lanes WHAT, const float *w, int j)
{
    return WHAT == IMAGES_IN_LANES ? vf_set(w[j]) : vf_load(w + j * LANES);
}

INLINE void conv_row(const in_lanes WHAT, const int TAPS, const int COLUMNS, const float *w,
                     const float *in, const int32_t *index, vf *sum)
{
    PIN(in);
    if (HOLD_WEIGHTS) {
        vf weight[5];
        UNROLL
        for (int j = 0; j < TAPS; j++) weight[j] = vf_in_register(weight_at(WHAT, w, j));
        UNROLL
        for (int at = 0; at < COLUMNS + TAPS - 1; at++) {
            vf pixel = pixel_at(WHAT, in, at, index);
            UNROLL
            for (int j = 0; j < TAPS; j++)
                if (at >= j && at - j < COLUMNS) vf_accumulate(&sum[at - j], pixel, weight[j]);
        }
        FORGET();
        return;
    }
    UNROLL
    for (int j = 0; j < TAPS; j++) {
        vf weight = weight_at(WHAT, w, j);
        UNROLL
        for (int x = 0; x < COLUMNS; x++)
            sum[x] = vf_fma(pixel_at(WHAT, in, x + j, index), weight, sum[x]);
        FORGET();
    }
}

/* A kernel row for the upper sums and one for the lower, of the same input row (SHARED) or each of
 * its own: the kernel's first row and its last share none, but together they have enough sums for
 * one not to wait for another. */
INLINE void conv_row_pair(const in_lanes WHAT, const int TAPS, const int COLUMNS, const int SHARED,
                          const float *upper_w, const float *lower_w, const float *upper_in,
                          const float *lower_in, const int32_t *index, vf *upper, vf *lower)
{
    if (!SHARED && !HOLD_WEIGHTS) {
        conv_row(WHAT, TAPS, COLUMNS, upper_w, upper_in, index, upper);
        conv_row(WHAT, TAPS, COLUMNS, lower_w, lower_in, index, lower);
        return;
    }
    PIN(upper_in);
    PIN(lower_in);
    if (HOLD_WEIGHTS) {
        vf upper_weight[5], lower_weight[5];
        UNROLL
        for (int j = 0; j < TAPS; j++) {
            upper_weight[j] = vf_in_register(weight_at(WHAT, upper_w, j));
            lower_weight[j] = vf_in_register(weight_at(WHAT, lower_w, j));
        }
        UNROLL
        for (int at = 0; at < COLUMNS + TAPS - 1; at++) {
            vf for_upper = pixel_at(WHAT, upper_in, at, index), for_lower = for_upper;
            if (!SHARED) for_lower = pixel_at(WHAT, lower_in, at, index);
            UNROLL
            for (int j = 0; j < TAPS; j++) {
                if (at < j || at - j >= COLUMNS) continue;
                vf_accumulate(&upper[at - j], for_upper, upper_weight[j]);
                vf_accumulate(&lower[at - j], for_lower, lower_weight[j]);
            }
        }
        FORGET();
        return;
    }
    UNROLL
    for (int j = 0; j < TAPS; j++) {
        vf upper_weight = weight_at(WHAT, upper_w, j), lower_weight = weight_at(WHAT, lower_w, j);
        UNROLL
        for (int x = 0; x < COLUMNS; x++) {
            vf pixel = pixel_at(WHAT, upper_in, x + j, index);
            upper[x] = vf_fma(pixel, upper_weight, upper[x]);
            lower[x] = vf_fma(pixel, lower_weight, lower[x]);
        }
        FORGET();
    }
}

/* What a tile adds up: input maps, of connection c the map source[c] (NULL: c) and the weights from
 * c * kernel * kernel on. */
typedef struct {
    int connections, kernel;
    const int32_t *source;
    const int32_t *index;  /* with slots: c's input maps, from c * LENET_MAX_LANES on */
    const float *weights;
    ptrdiff_t in_row, in_map, out_row;  /* floats */
} conv_terms;

INLINE void conv_tile(const in_lanes WHAT, const int TAPS, const int ROWS, const int COLUMNS,
                      const conv_terms *t, vf bias, const float *in, float *out)
{
    const int K = TAPS > 1 ? TAPS : t->kernel;
    const int PIXEL = WHAT == IMAGES_IN_LANES ? LANES : WHAT == SLOTS_IN_LANES ? PIXEL_MAPS : 1;
    const int WEIGHT = WHAT == IMAGES_IN_LANES ? 1 : LANES;
    vf upper[TILE_COLUMNS], lower[TILE_COLUMNS];
    UNROLL
    for (int x = 0; x < COLUMNS; x++) upper[x] = lower[x] = bias;

    for (int c = 0; c < t->connections; c++) {
        const float *w = t->weights + (ptrdiff_t)c * K * K * WEIGHT;
        const float *map = in + (t->source ? t->source[c] : c) * t->in_map;
        const int32_t *index = WHAT == SLOTS_IN_LANES ? t->index + c * LENET_MAX_LANES : NULL;
        for (int j = 0; j < K; j += TAPS, w += TAPS * WEIGHT) {
            const float *row = map + j * PIXEL;
            if (ROWS == 1) {
                for (int i = 0; i < K; i++)
                    conv_row(WHAT, TAPS, COLUMNS, w + i * K * WEIGHT, row + i * t->in_row, index,
                             upper);
                continue;
            }
            conv_row_pair(WHAT, TAPS, COLUMNS, 0, w, w + (K - 1) * K * WEIGHT, row,
                          row + K * t->in_row, index, upper, lower);
            for (int i = 1; i < K; i++)
                conv_row_pair(WHAT, TAPS, COLUMNS, 1, w + i * K * WEIGHT,
                              w + (i - 1) * K * WEIGHT, row + i * t->in_row, row + i * t->in_row,
                              index, upper, lower);
        }
    }
    UNROLL
    for (int x = 0; x < COLUMNS; x++) {
        vf_store(out + x * LANES, upper[x]);
        if (ROWS == 2) vf_store(out + t->out_row + x * LANES, lower[x]);
    }
}

/* ---- images in lanes ------------------------------------------------------------------------- */

INLINE conv_terms terms_of(const lenet_conv_shape *s, const float *weights, int map)
{
    const int first = s->begin[map];
    const ptrdiff_t in_row = (ptrdiff_t)s->in_width * LANES;
    return (conv_terms){.connections = s->begin[map + 1] - first,
                        .kernel = s->kernel,
                        .source = s->source + first,
                        .weights = weights + (ptrdiff_t)first * s->kernel * s->kernel,
                        .in_row = in_row,
                        .in_map = s->in_height * in_row,
                        .out_row = (ptrdiff_t)s->out_width * LANES};
}

/* One or two rows of one map, in tiles. TAPS: the kernel's side, or 1 for any side. */
INLINE void conv_rows(const int TAPS, const int ROWS, const lenet_conv_shape *s,
                      const float *weights, float bias, int map, int columns, const float *in,
                      float *out)
{
    const conv_terms t = terms_of(s, weights, map);
    for (lenet_pieces p = lenet_cut(columns, TILE_COLUMNS); p.size; p = lenet_next(p)) {
        WITH_SIZE(N, p.size, TILE_COLUMNS,
                  conv_tile(IMAGES_IN_LANES, TAPS, ROWS, N, &t, vf_set(bias),
                            in + p.start * LANES, out + p.start * LANES))
    }
}

OUTLINE void conv_row_pairs(const lenet_conv_shape *s, const float *weights, float bias, int map,
                            int columns, const float *in, float *out)
{
    WITH_TAPS(TAPS, s->kernel, conv_rows(TAPS, 2, s, weights, bias, map, columns, in, out))
}

OUTLINE void conv_last_row(const lenet_conv_shape *s, const float *weights, float bias, int map,
                           int columns, const float *in, float *out)
{
    conv_rows(1, 1, s, weights, bias, map, columns, in, out);
}

/* Whether a map and the next have the same sources. */
INLINE int has_twin(const lenet_conv_shape *s, int map)
{
    if (map + 1 == s->out_maps) return 0;
    const int32_t *first = s->begin + map;
    const int n = first[1] - first[0];
    return n == first[2] - first[1]
           && memcmp(s->source + first[0], s->source + first[1], (size_t)n * sizeof *s->source) == 0;
}

/* Two rows of few columns: of two maps that have the same sources at a time, for one sum not to wait for
 * another. */
enum { NARROW = 3 };

INLINE void conv_narrow_tile(const int TAPS, const int COLUMNS, const conv_terms *t, const float *bias,
                             const float *in, ptrdiff_t out_map, float *out)
{
    const int K = TAPS > 1 ? TAPS : t->kernel;
    const ptrdiff_t kernel = (ptrdiff_t)K * K;
    const float *w[2] = {t->weights, t->weights + t->connections * kernel};
    vf upper[2][NARROW], lower[2][NARROW];
    UNROLL
    for (int o = 0; o < 2; o++)
        UNROLL
        for (int x = 0; x < COLUMNS; x++) upper[o][x] = lower[o][x] = vf_set(bias[o]);
    for (int c = 0; c < t->connections; c++) {
        for (int j = 0; j < K; j += TAPS) {
            const float *row = in + t->source[c] * t->in_map + j * LANES;
            UNROLL
            for (int o = 0; o < 2; o++) {
                const float *tap = w[o] + c * kernel + j;
                conv_row_pair(IMAGES_IN_LANES, TAPS, COLUMNS, 0, tap, tap + (K - 1) * K, row,
                              row + K * t->in_row, NULL, upper[o], lower[o]);
            }
            for (int i = 1; i < K; i++) {
                row += t->in_row;
                UNROLL
                for (int o = 0; o < 2; o++) {
                    const float *tap = w[o] + c * kernel + i * K + j;
                    conv_row_pair(IMAGES_IN_LANES, TAPS, COLUMNS, 1, tap, tap - K, row, row, NULL,
                                  upper[o], lower[o]);
                }
            }
        }
    }
    UNROLL
    for (int o = 0; o < 2; o++) {
        UNROLL
        for (int x = 0; x < COLUMNS; x++) {
            vf_store(out + o * out_map + x * LANES, upper[o][x]);
            vf_store(out + o * out_map + t->out_row + x * LANES, lower[o][x]);
        }
    }
}

OUTLINE void conv_narrow(const lenet_conv_shape *s, const float *weights, const float *bias, int map,
                         const float *in, ptrdiff_t out_map, float *out)
{
    const conv_terms t = terms_of(s, weights, map);
    WITH_TAPS(TAPS, s->kernel,
              WITH_SIZE(N, s->out_width, NARROW,
                        conv_narrow_tile(TAPS, N, &t, bias + map, in, out_map, out)))
}

enum { CONV_CACHED = 1 << 17 };  /* floats of inputs, in the L2 cache */

/* Two rows of all maps, and of a wide picture some columns at a time: a map finds in the L2 cache what
 * the maps before it have read. */
static void conv(const lenet_conv_shape *s, const float *weights, const float *bias,
                 int activation, const float *in, int row, int n_rows, ptrdiff_t out_stride,
                 float *out)
{
    const ptrdiff_t in_row = (ptrdiff_t)s->in_width * LANES;
    const ptrdiff_t out_row = (ptrdiff_t)s->out_width * LANES;
    const int fit = CONV_CACHED / (LANES * s->in_maps * (s->kernel + 1));
    const int at_once = fit > 2 * TILE_COLUMNS ? fit : 2 * TILE_COLUMNS;
    const int narrow = !HOLD_WEIGHTS && s->out_width <= NARROW;
    for (int y = 0; y < n_rows; y += 2) {
        const int rows = n_rows - y < 2 ? 1 : 2;
        for (lenet_pieces x = lenet_cut(s->out_width, at_once); x.size; x = lenet_next(x)) {
            const float *from = in + (row + y) * in_row + x.start * LANES;
            for (int map = 0, n; map < s->out_maps; map += n) {
                float *to = out + map * out_stride + y * out_row + x.start * LANES;
                n = narrow && rows == 2 && has_twin(s, map) ? 2 : 1;
                if (n == 2) {
                    conv_narrow(s, weights, bias, map, from, out_stride, to);
                    squash_lanes(activation, 2 * s->out_width, to + out_stride);
                } else if (rows == 2)
                    conv_row_pairs(s, weights, bias[map], map, x.size, from, to);
                else
                    conv_last_row(s, weights, bias[map], map, x.size, from, to);
                if (x.size == s->out_width) {
                    squash_lanes(activation, rows * out_row / LANES, to);
                } else {
                    for (int r = 0; r < rows; r++)
                        squash_lanes(activation, x.size, to + r * out_row);
                }
            }
        }
    }
}

/* ---- one image, a map's columns in lanes ----------------------------------------------------- */

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
    const int K = TAPS > 1 ? TAPS : s->kernel, first = s->begin[map];
    const int connections = s->begin[map + 1] - first;
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
        for (lenet_pieces p = lenet_cut(s->out_height, COLUMN_ROWS); p.size; p = lenet_next(p)) {
            const float *from = in + p.start * in_stride + x;
            float *to = out + p.start * out_stride + x;
            WITH_SIZE(N, p.size, COLUMN_ROWS,
                      conv_column_tile(TAPS, MAPS, N, s, weights, bias, map, from, in_stride,
                                       out_stride, columns, to))
        }
    }
}

/* ---- one image, maps in lanes ---------------------------------------------------------------- */

/* Pixels multiply vectors of weights, transposed to [input map][tap][lane], with 0 where maps are not
 * connected. Where many are not, slots take the input maps' place (lenet_slots): a pixel is then
 * a vector of all input maps, out of which each lane takes its own. Maps go out in the lanes, to a 2x2
 * layer, or as rows. */

/* Connections of an input map to the maps in the lanes; -1: none. */
INLINE void connections_to(const lenet_conv_shape *s, int map, const lenet_lane_maps *m,
                           int32_t *connection)
{
    const int end = s->target_begin[map + 1];
    int t = s->target_begin[map], target = m->first;
    for (int lane = 0; lane < LANES; lane++, target += m->step) {
        while (t < end && s->target[t] < target) t++;
        connection[lane] = t < end && s->target[t] == target ? s->connection[t] : -1;
    }
}

/* pixels[y][x][input map], rows of `width`; up to LANES floats behind the last are written. */
static void transpose_pixels(const lenet_conv_shape *s, const float *in, ptrdiff_t in_stride, int width,
                             float *pixels)
{
    const ptrdiff_t in_map = s->in_height * in_stride;
    for (int y = 0; y < s->in_height; y++, in += in_stride, pixels += width * PIXEL_MAPS) {
        for (int x = 0; x < width; x += LANES) {
            vf square[LANES];
            /* a second set of maps is a column further: vectors of two pixels */
            UNROLL
            for (int i = 0; i < LANES; i++)
                square[i] = i % PIXEL_MAPS < s->in_maps
                                ? vf_loadu(in + i % PIXEL_MAPS * in_map + x + i / PIXEL_MAPS)
                                : vf_set(0.0f);
            vf_transpose(square);
            UNROLL
            for (int i = 0; i < LANES; i += LANES / PIXEL_MAPS)
                if (x + i < width) vf_storeu(pixels + (x + i) * PIXEL_MAPS, square[i]);
        }
    }
}

/* transposed[tap][lane] of one input map or slot */
static void transpose_weights(const int32_t *connection, ptrdiff_t taps, const float *weights,
                              float *transposed)
{
    for (ptrdiff_t tap = 0; tap < taps; tap += LANES) {
        vf square[LANES];
        UNROLL
        for (int lane = 0; lane < LANES; lane++)
            square[lane] = connection[lane] < 0
                               ? vf_set(0.0f)
                               : load_up_to(weights + connection[lane] * taps + tap, taps - tap);
        vf_transpose(square);
        for (int i = 0; i < LANES && tap + i < taps; i++)
            vf_store(transposed + (tap + i) * LANES, square[i]);
    }
}

enum { MOVED = 4 };

/* Adds to each lane's sums what other lanes have added up for it, in n vectors and behind them up to a
 * multiple of MOVED. */
INLINE void move_sums(const lenet_slots *d, int n, const float *moved, float *sums)
{
    for (int i = 0; i < n; i += MOVED, sums += MOVED * LANES, moved += MOVED * LANES) {
        vf sum[MOVED];
        UNROLL
        for (int k = 0; k < MOVED; k++) sum[k] = vf_load(sums + k * LANES);
        for (int round = 0; round < d->rounds; round++) {
            const vf share = vf_loadu(d->share[round]);
            UNROLL
            for (int k = 0; k < MOVED; k++)
                sum[k] = vf_fma(vf_permute(vf_load(moved + k * LANES), d->from[round]), share, sum[k]);
        }
        UNROLL
        for (int k = 0; k < MOVED; k++) vf_store(sums + k * LANES, sum[k]);
    }
}

/* One or two rows of LANES maps. d: the slots, t[1] those to be moved. */
INLINE void conv_map_rows(const in_lanes WHAT, const int TAPS, const int ROWS,
                          const lenet_conv_shape *s, const lenet_slots *d, const conv_terms *t, vf bias,
                          int activation, const float *in, float *moved, float *out)
{
    const int PIXEL = WHAT == SLOTS_IN_LANES ? PIXEL_MAPS : 1;
    const int parts = WHAT == SLOTS_IN_LANES && d->rounds ? 2 : 1;
    for (lenet_pieces p = lenet_cut(s->out_width, TILE_COLUMNS); p.size; p = lenet_next(p)) {
        for (int part = 0; part < parts; part++) {
            const vf from = part ? vf_set(0.0f) : bias;
            float *to = (part ? moved : out) + p.start * LANES;
            WITH_SIZE(N, p.size, TILE_COLUMNS,
                      conv_tile(WHAT, TAPS, ROWS, N, t + part, from, in + p.start * PIXEL, to))
        }
    }
    if (parts == 2) move_sums(d, ROWS * s->out_width, moved, out);
    squash_lanes(activation, ROWS * s->out_width, out);
}

/* out[y][x][lane], and behind it up to LENET_ROW_SLACK floats. */
INLINE void conv_group(const in_lanes WHAT, const lenet_conv_shape *s, const lenet_slots *d,
                       const conv_terms *t, vf bias, int activation, const float *in, float *moved,
                       float *out)
{
    for (int y = 0; y < s->out_height; y += 2, in += 2 * t->in_row, out += 2 * t->out_row) {
        if (y + 1 == s->out_height) {
            conv_map_rows(WHAT, 1, 1, s, d, t, bias, activation, in, moved, out);
            break;
        }
        WITH_TAPS(TAPS, s->kernel,
                  conv_map_rows(WHAT, TAPS, 2, s, d, t, bias, activation, in, moved, out))
    }
}

/* Room for what conv_with_maps needs, one behind the other. */
typedef struct { float *moved, *weights, *pixels, *maps; } maps_scratch;

INLINE maps_scratch divide_scratch(const lenet_conv_shape *s, float *scratch)
{
    maps_scratch room = {.moved = scratch};
    room.weights = room.moved + lenet_moved_sums(s) * LANES;
    room.pixels = room.weights + lenet_map_weights(s) * LANES;
    room.maps = room.pixels + lenet_transposed_pixels(s) * LANES;
    return room;
}

/* The weights of a group of maps. */
static void arrange_group(const lenet_conv_shape *s, int group, const float *weights, float *out)
{
    const ptrdiff_t taps = (ptrdiff_t)s->kernel * s->kernel;
    if (s->slots) {
        const lenet_slots *d = &s->slots[group];
        for (int slot = 0; slot < d->slots; slot++)
            transpose_weights(d->connection[slot], taps, weights, out + slot * taps * LANES);
        return;
    }
    const lenet_lane_maps m = lenet_maps_of(s->out_maps, LANES, group);
    for (int map = 0; map < s->in_maps; map++) {
        int32_t connection[LANES];
        connections_to(s, map, &m, connection);
        transpose_weights(connection, taps, weights, out + map * taps * LANES);
    }
}

static void conv_weights_of_one(const lenet_conv_shape *s, const float *weights, float *out)
{
    if (!lenet_prefers_maps(s, LANES)) return;
    for (int group = 0; group < lenet_groups(s->out_maps, LANES); group++)
        arrange_group(s, group, weights, out + group * lenet_map_weights(s) * LANES);
}

INLINE void conv_in_slots(const lenet_conv_shape *s, const lenet_slots *d, const float *weights,
                          vf bias, int activation, const maps_scratch *room, float *out)
{
    const ptrdiff_t taps = (ptrdiff_t)s->kernel * s->kernel;
    const int last = d->slots - 1;
    conv_terms t[2];
    t[0] = (conv_terms){.connections = d->rounds ? last : d->slots,
                        .kernel = s->kernel,
                        .weights = weights,
                        .index = d->index[0],
                        .in_row = s->in_width * PIXEL_MAPS,
                        .out_row = s->out_width * LANES};
    t[1] = t[0];
    t[1].connections = 1;
    t[1].weights += last * taps * LANES;
    t[1].index = d->index[last];
    conv_group(SLOTS_IN_LANES, s, d, t, bias, activation, room->pixels, room->moved, out);
}

INLINE void conv_all_maps(const lenet_conv_shape *s, const float *weights, vf bias, int activation,
                          const float *in, ptrdiff_t in_stride, const maps_scratch *room, float *out)
{
    const conv_terms t = {.connections = s->in_maps,
                          .kernel = s->kernel,
                          .weights = weights,
                          .in_row = in_stride,
                          .in_map = s->in_height * in_stride,
                          .out_row = s->out_width * LANES};
    conv_group(MAPS_IN_LANES, s, NULL, &t, bias, activation, in, room->moved, out);
}

static void conv_with_maps(const lenet_conv_shape *s, const float *weights, const float *arranged,
                           const float *bias, int activation, const float *in, ptrdiff_t in_stride,
                           lenet_map_layout out_layout, float *scratch, float *out)
{
    const maps_scratch room = divide_scratch(s, scratch);
    const int to_rows = out_layout.order == LENET_ROWS;
    if (s->slots) transpose_pixels(s, in, in_stride, s->in_width, room.pixels);
    for (int group = 0; group < lenet_groups(s->out_maps, LANES); group++) {
        const lenet_lane_maps m = lenet_maps_of(s->out_maps, LANES, group);
        const vf b = to_lanes(&m, bias);
        float *to = to_rows ? room.maps : out + group * lenet_map_size(s) * LANES;
        const float *w = arranged ? arranged + group * lenet_map_weights(s) * LANES : room.weights;
        if (!arranged) arrange_group(s, group, weights, room.weights);
        if (s->slots)
            conv_in_slots(s, &s->slots[group], w, b, activation, &room, to);
        else
            conv_all_maps(s, w, b, activation, in, in_stride, &room, to);
        if (to_rows) maps_to_rows(&m, s->out_height, s->out_width, to, out_layout.stride, out);
    }
}

static void conv_of_one(const lenet_conv_shape *s, const float *weights, const float *arranged,
                        const float *bias, int activation, const float *in, ptrdiff_t in_stride,
                        lenet_map_layout out_layout, float *scratch, float *out)
{
    const ptrdiff_t out_stride = out_layout.stride, out_map = s->out_height * out_stride;
    if (lenet_prefers_maps(s, LANES)) {
        conv_with_maps(s, weights, arranged, bias, activation, in, in_stride, out_layout, scratch,
                       out);
        return;
    }
    for (int map = 0, n; map < s->out_maps; map += n, out += n * out_map) {
        n = COLUMN_MAPS == 2 && (s->kernel == 5 || s->kernel == 3) && has_twin(s, map) ? 2 : 1;
        WITH_TAPS(TAPS, s->kernel,
                  if (TAPS > 1 && n == 2)
                      conv_columns(TAPS, COLUMN_MAPS, s, weights, bias, map, in, in_stride,
                                   out_stride, out);
                  else
                      conv_columns(TAPS, 1, s, weights, bias, map, in, in_stride, out_stride, out))
        if (out_stride % LANES == 0)
            clear_past(n * s->out_height, s->out_width, out_stride, out);
        squash(activation, out, n * out_map, out);
    }
}

#endif
