/* Direct convolution, backward: the gradient for its weights and biases, with images in lanes; for one
 * image with a map's columns in lanes, or the output maps.
 *
 * Compiled once per instruction set: only files of kernels/ include it. */
#ifndef LENET_KERNELS_CONV_BACKWARD_WEIGHTS_H
#define LENET_KERNELS_CONV_BACKWARD_WEIGHTS_H

#include "kernels/conv.h"
#include "kernels/reduce.h"

/* ---- images in lanes ------------------------------------------------------------------------- */

/* dw[o][c][i][j] = sum over y, x of delta[o][y][x] in[c][y + i][x + j]. A tile is one input map,
 * one kernel row, some of its taps and some of the output maps that the input map feeds: a
 * position's inputs serve all those maps and its deltas all those taps. */

enum { WEIGHT_TAPS = 5 };

INLINE void weight_tile(const int TAPS, const int MAPS, const lenet_conv_shape *s, int first,
                        int tap_row, int tap_column, int n_rows, const float *in, const float *delta,
                        float *dweights)
{
    const int K = s->kernel, tap = tap_row * K + tap_column;
    in += ((ptrdiff_t)tap_row * s->in_width + tap_column) * LANES;
    const ptrdiff_t out_map = (ptrdiff_t)s->out_height * s->out_width * LANES;
    const float *d[WEIGHT_MAPS];
    float *dw[WEIGHT_MAPS];
    vf sum[WEIGHT_MAPS][5];
    UNROLL
    for (int o = 0; o < MAPS; o++) {
        d[o] = delta + s->target[first + o] * out_map;
        dw[o] = dweights + ((ptrdiff_t)s->connection[first + o] * K * K + tap) * LANES;
        UNROLL
        for (int j = 0; j < TAPS; j++) sum[o][j] = vf_load(dw[o] + j * LANES);
    }
    for (int y = 0, at = 0; y < n_rows; y++, in += (ptrdiff_t)s->in_width * LANES) {
        /* the inputs under the taps: position x is pixel[x % TAPS], so that only one is read
         * when the taps move on */
        vf pixel[5];
        UNROLL
        for (int j = 0; j < TAPS - 1; j++) pixel[j] = vf_load(in + j * LANES);
        for (int x = 0; x < s->out_width; x += TAPS) {
            UNROLL
            for (int step = 0; step < TAPS; step++, at += LANES) {
                if (x + step >= s->out_width) break;
                pixel[(step + TAPS - 1) % TAPS]
                    = vf_in_register(vf_load(in + (x + step + TAPS - 1) * LANES));
                UNROLL
                for (int o = 0; o < MAPS; o++) {
                    vf here = vf_in_register(vf_load(d[o] + at));
                    UNROLL
                    for (int j = 0; j < TAPS; j++)
                        vf_accumulate(&sum[o][j], pixel[(step + j) % TAPS], here);
                }
            }
        }
    }
    UNROLL
    for (int o = 0; o < MAPS; o++) {
        UNROLL
        for (int j = 0; j < TAPS; j++) vf_store(dw[o] + j * LANES, sum[o][j]);
    }
}

/* The same for one output map, where the taps of one kernel row are too few sums for multiply-adds not
 * to wait: some kernel rows at a time. */
enum { WEIGHT_SUMS = 12, WEIGHT_ROWS = 4 };

/* The most kernel rows of so many taps */
#define WEIGHT_ROWS_OF(TAPS) \
    (WEIGHT_SUMS / (TAPS) < WEIGHT_ROWS ? WEIGHT_SUMS / (TAPS) : WEIGHT_ROWS)

INLINE void weight_tile_of_rows(const int TAPS, const int ROWS, const lenet_conv_shape *s, int t,
                                int tap_row, int tap_column, int n_rows, const float *in,
                                const float *delta, float *dweights)
{
    const int K = s->kernel;
    const ptrdiff_t in_row = (ptrdiff_t)s->in_width * LANES;
    const ptrdiff_t out_row = (ptrdiff_t)s->out_width * LANES;
    in += tap_row * in_row + tap_column * LANES;
    delta += s->target[t] * s->out_height * out_row;
    dweights += (((ptrdiff_t)s->connection[t] * K + tap_row) * K + tap_column) * LANES;
    vf sum[WEIGHT_ROWS][5];
    UNROLL
    for (int i = 0; i < ROWS; i++)
        UNROLL
        for (int j = 0; j < TAPS; j++) sum[i][j] = vf_load(dweights + (i * K + j) * LANES);
    for (int y = 0; y < n_rows; y++, in += in_row, delta += out_row) {
        const float *row[WEIGHT_ROWS];
        UNROLL
        for (int i = 0; i < ROWS; i++) {
            row[i] = in + i * in_row;
            PIN(row[i]);
        }
        for (ptrdiff_t x = 0; x < out_row; x += LANES) {
            vf here = vf_in_register(vf_load(delta + x));
            UNROLL
            for (int i = 0; i < ROWS; i++)
                UNROLL
                for (int j = 0; j < TAPS; j++)
                    vf_accumulate(&sum[i][j], vf_load(row[i] + x + j * LANES), here);
        }
    }
    UNROLL
    for (int i = 0; i < ROWS; i++)
        UNROLL
        for (int j = 0; j < TAPS; j++) vf_store(dweights + (i * K + j) * LANES, sum[i][j]);
}

/* The same of so few outputs that the deltas of some output maps stay in registers while all taps go by:
 * each sum is read and written once. */
enum { WEIGHT_OUTPUTS = 4 };

INLINE void weight_tile_of_few(const int OUTPUTS, const int MAPS, const lenet_conv_shape *s, int first,
                               const float *in, const float *delta, float *dweights)
{
    const int K = s->kernel;
    const ptrdiff_t out_map = (ptrdiff_t)s->out_height * s->out_width * LANES;
    vf here[WEIGHT_MAPS][WEIGHT_OUTPUTS];
    float *dw[WEIGHT_MAPS];
    const float *pixel[WEIGHT_OUTPUTS];
    UNROLL
    for (int k = 0; k < OUTPUTS; k++)
        pixel[k] = in + (k / s->out_width * (ptrdiff_t)s->in_width + k % s->out_width) * LANES;
    UNROLL
    for (int o = 0; o < MAPS; o++) {
        dw[o] = dweights + (ptrdiff_t)s->connection[first + o] * K * K * LANES;
        UNROLL
        for (int k = 0; k < OUTPUTS; k++)
            here[o][k] = vf_in_register(vf_load(delta + s->target[first + o] * out_map + k * LANES));
    }
    for (int i = 0, tap = 0; i < K; i++) {
        for (ptrdiff_t at = i * (ptrdiff_t)s->in_width * LANES, end = at + K * LANES; at < end;
             at += LANES, tap += LANES) {
            vf sum[WEIGHT_MAPS];
            UNROLL
            for (int o = 0; o < MAPS; o++) sum[o] = vf_load(dw[o] + tap);
            UNROLL
            for (int k = 0; k < OUTPUTS; k++) {
                vf in_k = vf_in_register(vf_load(pixel[k] + at));
                UNROLL
                for (int o = 0; o < MAPS; o++) vf_accumulate(&sum[o], in_k, here[o][k]);
            }
            UNROLL
            for (int o = 0; o < MAPS; o++) vf_store(dw[o] + tap, sum[o]);
        }
    }
}

/* All that one input map feeds, from some rows of deltas. */
OUTLINE void weight_rows(const lenet_conv_shape *s, int map, int n_rows, const float *in,
                         const float *delta, float *dweights, float *dbias)
{
    const int K = s->kernel;
    const ptrdiff_t out_map = (ptrdiff_t)s->out_height * s->out_width * LANES;
    int n = s->target_begin[map + 1] - s->target_begin[map];
    if (n == 0) return;  /* a map that feeds nothing */
    const int few = n_rows * s->out_width <= WEIGHT_OUTPUTS ? n_rows * s->out_width : 0;
    for (lenet_pieces p = lenet_cut(n, WEIGHT_MAPS); p.size; p = lenet_next(p)) {
        int first = s->target_begin[map] + p.start;
        WITH_SIZE(OUTPUTS, few, WEIGHT_OUTPUTS,
                  WITH_SIZE(MAPS, p.size, WEIGHT_MAPS,
                            weight_tile_of_few(OUTPUTS, MAPS, s, first, in, delta, dweights)))
        for (lenet_pieces j = lenet_cut(K, WEIGHT_TAPS); j.size && !few; j = lenet_next(j)) {
            if (p.size == 1 && (j.size < WEIGHT_TAPS || !HOLD_WEIGHTS)) {
                for (lenet_pieces i = lenet_cut(K, WEIGHT_ROWS_OF(j.size)); i.size; i = lenet_next(i))
                    WITH_SIZE(TAPS, j.size, WEIGHT_TAPS,
                              WITH_SIZE(ROWS, i.size, WEIGHT_ROWS_OF(TAPS),
                                        weight_tile_of_rows(TAPS, ROWS, s, first, i.start, j.start,
                                                            n_rows, in, delta, dweights)))
                continue;
            }
            WITH_SIZE(TAPS, j.size, WEIGHT_TAPS,
                      WITH_SIZE(MAPS, p.size, WEIGHT_MAPS,
                                for (int i = 0; i < K; i++)
                                    weight_tile(TAPS, MAPS, s, first, i, j.start, n_rows, in, delta,
                                                dweights)))
        }
        /* while the deltas are in the cache; once for each output map */
        for (int t = first; t < first + p.size; t++) {
            const int o = s->target[t];
            if (s->connection[t] == s->begin[o])
                add_bias(delta + o * out_map, (ptrdiff_t)n_rows * s->out_width,
                         dbias + o * LANES);
        }
    }
}

static void conv_backward_weights(const lenet_conv_shape *s, const float *in,
                                  const float *delta, float *dweights, float *dbias)
{
    const ptrdiff_t in_row = (ptrdiff_t)s->in_width * LANES, in_map = s->in_height * in_row;
    const ptrdiff_t out_row = (ptrdiff_t)s->out_width * LANES;
    const ptrdiff_t n_weights = (ptrdiff_t)s->begin[s->out_maps] * s->kernel * s->kernel;
    /* some rows at a time, so that all kernel rows find their deltas in the L1 cache */
    const int maps = s->out_maps < WEIGHT_MAPS ? s->out_maps : WEIGHT_MAPS;
    const int at_once = CACHED_VECTORS / (maps * s->out_width + 1) + 1;
    /* of all sums and all deltas, the fewer go through the L2 cache again and again */
    const int few_sums = n_weights < (ptrdiff_t)s->out_maps * s->out_height * s->out_width;
    const int strip = few_sums ? at_once : s->out_height;
    for (int first = 0; first < s->out_height; first += strip) {
        const int end = s->out_height - first < strip ? s->out_height : first + strip;
        for (int map = 0; map < s->in_maps; map++) {
            for (int y = first; y < end; y += at_once)
                weight_rows(s, map, end - y < at_once ? end - y : at_once,
                            in + map * in_map + y * in_row, delta + y * out_row, dweights, dbias);
        }
    }
}

/* ---- one image, a map's columns in lanes ----------------------------------------------------- */

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
INLINE void weights_of_one(const int TAPS, const lenet_conv_shape *s, int map, const float *in,
                           ptrdiff_t in_stride, const float *delta, ptrdiff_t delta_stride,
                           float *dweights)
{
    const int K = TAPS > 1 ? TAPS : s->kernel;
    int n = s->target_begin[map + 1] - s->target_begin[map];
    if (n == 0) return;
    for (lenet_pieces p = lenet_cut(n, WEIGHT_MAPS); p.size; p = lenet_next(p)) {
        int first = s->target_begin[map] + p.start;
        for (int tap = 0; tap < K * K; tap += TAPS) {
            const float *from = in + tap / K * in_stride + tap % K;
            WITH_SIZE(N, p.size, WEIGHT_MAPS,
                      weight_tile_of_one(TAPS, N, s, first, tap, from, in_stride, delta,
                                         delta_stride, dweights))
        }
    }
}

/* ---- one image, maps in lanes ---------------------------------------------------------------- */

/* sums[tap][lane] of some kernel rows, from one input map or slot. Two deltas at a time share their
 * pixels. */
INLINE void map_weights_tile(const in_lanes WHAT, const int TAP_ROWS, const int TAPS,
                             const lenet_conv_shape *s, const float *in, ptrdiff_t in_stride,
                             const int32_t *index, const float *transposed, int columns, float *sums)
{
    const int PIXEL = WHAT == SLOTS_IN_LANES ? PIXEL_MAPS : 1;
    vf sum[5][5];
    UNROLL
    for (int i = 0; i < TAP_ROWS; i++)
        UNROLL
        for (int j = 0; j < TAPS; j++) sum[i][j] = vf_set(0.0f);
    for (int y = 0; y < s->out_height; y++, in += in_stride) {
        for (int x = 0; x < columns; x += 2, transposed += 2 * LANES) {
            const vf delta[2] = {vf_load(transposed), vf_load(transposed + LANES)};
            UNROLL
            for (int i = 0; i < TAP_ROWS; i++) {
                const float *row = in + i * in_stride + x * PIXEL;
                UNROLL
                for (int j = 0; j < TAPS + 1; j++) {
                    vf pixel = pixel_at(WHAT, row, j, index);
                    if (j < TAPS) vf_accumulate(&sum[i][j], pixel, delta[0]);
                    if (j > 0) vf_accumulate(&sum[i][j - 1], pixel, delta[1]);
                }
            }
            FORGET();  /* or gcc carries pixels over to the next two columns, in memory */
        }
    }
    UNROLL
    for (int i = 0; i < TAP_ROWS; i++)
        UNROLL
        for (int j = 0; j < TAPS; j++) vf_store(sums + (i * TAPS + j) * LANES, sum[i][j]);
}

/* All taps from one input map or slot. TAPS: the kernel's side, or 1 for any side. */
INLINE void map_weights(const in_lanes WHAT, const int TAPS, const lenet_conv_shape *s,
                        const float *in, ptrdiff_t in_stride, const int32_t *index,
                        const float *transposed, int columns, float *sums)
{
    const int K = TAPS > 1 ? TAPS : s->kernel;
    const int PIXEL = WHAT == SLOTS_IN_LANES ? PIXEL_MAPS : 1;
    const int ROWS = TAPS < TAP_ROWS ? TAPS : TAP_ROWS;
    for (int i = 0, n; i < K; i += n, in += n * in_stride, sums += n * K * LANES) {
        n = K - i < ROWS ? 1 : ROWS;
        for (int j = 0; j < K; j += TAPS) {
            if (n == ROWS)
                map_weights_tile(WHAT, ROWS, TAPS, s, in + j * PIXEL, in_stride, index, transposed,
                                 columns, sums + j * LANES);
            else
                map_weights_tile(WHAT, 1, TAPS, s, in + j * PIXEL, in_stride, index, transposed,
                                 columns, sums + j * LANES);
        }
    }
}

/* dweights of connections, set or added to, from one input map or slot. */
INLINE void weights_of_lanes(const in_lanes WHAT, const lenet_conv_shape *s,
                             const int32_t *connection, const float *in, ptrdiff_t in_stride,
                             const int32_t *index, const float *transposed, int columns, int add,
                             float *sums, float *dweights)
{
    const ptrdiff_t taps = (ptrdiff_t)s->kernel * s->kernel;
    WITH_TAPS(TAPS, s->kernel,
              map_weights(WHAT, TAPS, s, in, in_stride, index, transposed, columns, sums))
    for (ptrdiff_t tap = 0; tap < taps; tap += LANES) {
        vf square[LANES];
        transpose_vectors(sums, tap, taps, square);
        const int left = taps - tap < LANES ? (int)(taps - tap) : LANES;
        for (int lane = 0; lane < LANES; lane++)
            if (connection[lane] >= 0)
                store_sums(1, &square[lane], left, add, dweights + connection[lane] * taps + tap);
    }
}

/* From delta[y][x][lane] of the maps in the lanes. */
INLINE void weights_of_slots(const lenet_conv_shape *s, const lenet_slots *d, const float *delta,
                             int columns, int add, const float *pixels, float *own, float *sums,
                             float *dweights)
{
    const ptrdiff_t n = (ptrdiff_t)s->out_height * columns;
    const ptrdiff_t row = (columns + s->kernel - 1) * PIXEL_MAPS;
    for (int slot = 0; slot < d->slots; slot++) {
        if (d->rounds && slot == d->slots - 1) {  /* here lanes may work for others */
            for (ptrdiff_t i = 0; i < n; i++)
                vf_store(own + i * LANES, vf_permute(vf_load(delta + i * LANES), d->owner));
            delta = own;
        }
        weights_of_lanes(SLOTS_IN_LANES, s, d->connection[slot], pixels, row, d->index[slot], delta,
                         columns, add, sums, dweights);
    }
}

static void conv_backward_weights_with_maps(const lenet_conv_shape *s, const float *in,
                                            ptrdiff_t in_stride, const float *delta,
                                            lenet_map_layout delta_layout, int add, float *scratch,
                                            float *dweights, float *dbias)
{
    const int from_rows = delta_layout.order == LENET_ROWS;
    const int columns = (s->out_width + 1) / 2 * 2;
    const ptrdiff_t in_map = s->in_height * in_stride, n = (ptrdiff_t)s->out_height * columns;
    float *transposed = scratch, *own = transposed + n * LANES, *sums = own + n * LANES;
    float *pixels = sums + (ptrdiff_t)s->kernel * s->kernel * LANES;
    if (s->slots) transpose_pixels(s, in, in_stride, columns + s->kernel - 1, pixels);
    for (int group = 0; group < lenet_groups(s->out_maps, LANES); group++) {
        const lenet_lane_maps m = lenet_maps_of(s->out_maps, LANES, group);
        const float *from = from_rows ? transposed : delta + group * n * LANES;
        if (from_rows)
            rows_to_maps(&m, s->out_height, delta, delta_layout.stride, columns, transposed);
        from_lanes(&m, sum_vectors(vf_set(0.0f), from, n), add, dbias);
        if (s->slots) {
            weights_of_slots(s, &s->slots[group], from, columns, add, pixels, own, sums, dweights);
            continue;
        }
        for (int map = 0; map < s->in_maps; map++) {
            int32_t connection[LANES];
            connections_to(s, map, &m, connection);
            weights_of_lanes(MAPS_IN_LANES, s, connection, in + map * in_map, in_stride, NULL, from,
                             columns, add, sums, dweights);
        }
    }
}

static void conv_backward_weights_of_one(const lenet_conv_shape *s, const float *in,
                                         ptrdiff_t in_stride, const float *delta,
                                         lenet_map_layout delta_layout, int add, float *scratch,
                                         float *dweights, float *dbias)
{
    if (lenet_prefers_maps(s, LANES)) {
        conv_backward_weights_with_maps(s, in, in_stride, delta, delta_layout, add, scratch,
                                        dweights, dbias);
        return;
    }
    const ptrdiff_t delta_stride = delta_layout.stride;
    const ptrdiff_t in_map = s->in_height * in_stride;
    const ptrdiff_t n = (ptrdiff_t)s->begin[s->out_maps] * s->kernel * s->kernel;
    float *bias_sums = scratch + n * LANES;
    for (int map = 0; map < s->in_maps; map++, in += in_map) {
        WITH_TAPS(TAPS, s->kernel,
                  weights_of_one(TAPS, s, map, in, in_stride, delta, delta_stride, scratch))
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

#endif
