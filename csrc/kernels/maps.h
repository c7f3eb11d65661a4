/* A convolution of one image with LANES output maps in the lanes, where that takes fewer vectors than
 * the columns do (lenet_prefers_maps): C3 has 16 maps, but 10 columns.
 *
 * A part of kernels/rows.h, whose rows of pixels come in; maps go out in the lanes, to a 2x2 layer, or
 * as rows. Pixels multiply vectors of weights, turned to [input map][tap][lane] on the way in, with 0
 * where maps are not connected. Where many are not, slots take the input maps' place (lenet_slots): a
 * pixel is then a vector of all input maps, out of which each lane takes its own. */
#ifndef LENET_KERNELS_MAPS_H
#define LENET_KERNELS_MAPS_H

/* A number of each map. */
INLINE vf to_lanes(const lenet_lane_maps *m, const float *numbers)
{
    float lane[LANES] = {0};
    for (int i = 0; i < m->maps; i++) lane[i] = numbers[m->first + i * m->step];
    return vf_loadu(lane);
}

/* Sets or adds to a number of each map. */
INLINE void from_lanes(const lenet_lane_maps *m, vf a, int add, float *numbers)
{
    float lane[LANES];
    vf_storeu(lane, a);
    for (int i = 0; i < m->maps; i++) {
        float *to = numbers + m->first + i * m->step;
        *to = (add ? *to : 0.0f) + lane[i];
    }
}

/* Connections of an input map to the maps in the lanes; -1: none. */
INLINE void connections_to(const lenet_conv_shape *s, int map, const lenet_lane_maps *m,
                           int32_t *connection)
{
    const int end = s->first_target[map + 1];
    int t = s->first_target[map], target = m->first;
    for (int lane = 0; lane < LANES; lane++, target += m->step) {
        while (t < end && s->target[t] < target) t++;
        connection[lane] = t < end && s->target[t] == target ? s->connection[t] : -1;
    }
}

/* pixels[y][x][input map], rows of `width`; up to LANES floats behind the last are written. */
static void turn_pixels(const lenet_conv_shape *s, const float *in, ptrdiff_t in_stride, int width,
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

INLINE vf load_up_to(const float *p, ptrdiff_t n)
{
    return n >= LANES ? vf_loadu(p) : vf_load_part(p, n);
}

INLINE void store_up_to(float *p, vf a, ptrdiff_t n)
{
    if (n >= LANES)
        vf_storeu(p, a);
    else
        vf_store_part(p, a, n);
}

/* turned[tap][lane] of one input map or slot */
static void turn_weights(const int32_t *connection, ptrdiff_t taps, const float *weights,
                         float *turned)
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
            vf_store(turned + (tap + i) * LANES, square[i]);
    }
}

/* Vectors first .. first + LANES - 1 of n, behind which come zeros, turned: square[lane][vector]. */
INLINE void turn_vectors(const float *in, ptrdiff_t first, ptrdiff_t n, vf *square)
{
    UNROLL
    for (int i = 0; i < LANES; i++)
        square[i] = first + i < n ? vf_load(in + (first + i) * LANES) : vf_set(0.0f);
    vf_transpose(square);
}

/* [column][lane] -> n floats of a row of each map, 0 from `columns` on. */
INLINE void columns_to_rows(const float *in, int columns, ptrdiff_t n, int maps, ptrdiff_t out_map,
                            float *out)
{
    for (ptrdiff_t x = 0; x < n; x += LANES) {
        vf square[LANES];
        turn_vectors(in, x, columns, square);
        for (int map = 0; map < maps; map++)
            store_up_to(out + map * out_map + x, square[map], n - x);
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
    for (pieces p = cut(s->out_width, TILE_COLUMNS); p.size; p = next(p)) {
        for (int part = 0; part < parts; part++) {
            const vf from = part ? vf_set(0.0f) : bias;
            float *to = (part ? moved : out) + p.start * LANES;
            switch (p.size) {
#define CASE(n)                                                                               \
    case n:                                                                                   \
        if (n <= TILE_COLUMNS)                                                                \
            conv_tile(WHAT, TAPS, ROWS, n <= TILE_COLUMNS ? n : 1, t + part, from,            \
                      in + p.start * PIXEL, to);                                              \
        break;
                CASES_1_TO_10(CASE)
#undef CASE
            }
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
#define ROWS_OF(TAPS, ROWS) \
    conv_map_rows(WHAT, TAPS, ROWS, s, d, t, bias, activation, in, moved, out)
        if (y + 1 == s->out_height)
            ROWS_OF(1, 1);
        else if (s->kernel == 5)
            ROWS_OF(5, 2);
        else if (s->kernel == 3)
            ROWS_OF(3, 2);
        else
            ROWS_OF(1, 2);
#undef ROWS_OF
    }
}

/* in[y][x][lane] -> rows of each map that end in zeros. */
static void maps_to_rows(const lenet_lane_maps *m, int height, int width, const float *in,
                         ptrdiff_t out_stride, float *out)
{
    const ptrdiff_t out_map = height * out_stride;
    out += m->first * out_map;
    for (int y = 0; y < height; y++, in += width * LANES, out += out_stride)
        columns_to_rows(in, width, out_stride, m->maps, m->step * out_map, out);
}

/* Room for what conv_with_maps needs, one behind the other. */
typedef struct { float *moved, *weights, *pixels, *maps; } maps_scratch;

INLINE maps_scratch divide_scratch(const lenet_conv_shape *s, float *scratch)
{
    maps_scratch room = {.moved = scratch};
    room.weights = room.moved + lenet_moved_sums(s) * LANES;
    room.pixels = room.weights + (ptrdiff_t)s->in_maps * s->kernel * s->kernel * LANES;
    room.maps = room.pixels + lenet_turned_pixels(s) * LANES;
    return room;
}

INLINE void conv_in_slots(const lenet_conv_shape *s, const lenet_slots *d, const float *weights,
                          vf bias, int activation, const maps_scratch *room, float *out)
{
    const ptrdiff_t taps = (ptrdiff_t)s->kernel * s->kernel;
    const int last = d->slots - 1;
    for (int slot = 0; slot < d->slots; slot++)
        turn_weights(d->connection[slot], taps, weights, room->weights + slot * taps * LANES);
    conv_terms t[2];
    t[0] = (conv_terms){.connections = d->rounds ? last : d->slots,
                        .kernel = s->kernel,
                        .weights = room->weights,
                        .index = d->index[0],
                        .in_row = s->in_width * PIXEL_MAPS,
                        .out_row = s->out_width * LANES};
    t[1] = t[0];
    t[1].connections = 1;
    t[1].weights += last * taps * LANES;
    t[1].index = d->index[last];
    conv_group(SLOTS_IN_LANES, s, d, t, bias, activation, room->pixels, room->moved, out);
}

INLINE void conv_all_maps(const lenet_conv_shape *s, const lenet_lane_maps *m, const float *weights,
                          vf bias, int activation, const float *in, ptrdiff_t in_stride,
                          const maps_scratch *room, float *out)
{
    const ptrdiff_t taps = (ptrdiff_t)s->kernel * s->kernel;
    const conv_terms t = {.connections = s->in_maps,
                          .kernel = s->kernel,
                          .weights = room->weights,
                          .in_row = in_stride,
                          .in_map = s->in_height * in_stride,
                          .out_row = s->out_width * LANES};
    for (int map = 0; map < s->in_maps; map++) {
        int32_t connection[LANES];
        connections_to(s, map, m, connection);
        turn_weights(connection, taps, weights, room->weights + map * taps * LANES);
    }
    conv_group(MAPS_IN_LANES, s, NULL, &t, bias, activation, in, room->moved, out);
}

/* out_stride 0: the maps stay in the lanes. */
static void conv_with_maps(const lenet_conv_shape *s, const float *weights, const float *bias,
                           int activation, const float *in, ptrdiff_t in_stride,
                           ptrdiff_t out_stride, float *scratch, float *out)
{
    const maps_scratch room = divide_scratch(s, scratch);
    if (s->slots) turn_pixels(s, in, in_stride, s->in_width, room.pixels);
    for (int group = 0; group < lenet_groups(s->out_maps, LANES); group++) {
        const lenet_lane_maps m = lenet_maps_of(s->out_maps, LANES, group);
        const vf b = to_lanes(&m, bias);
        float *to = out_stride ? room.maps : out + group * lenet_map_size(s) * LANES;
        if (s->slots)
            conv_in_slots(s, &s->slots[group], weights, b, activation, &room, to);
        else
            conv_all_maps(s, &m, weights, b, activation, in, in_stride, &room, to);
        if (out_stride) maps_to_rows(&m, s->out_height, s->out_width, to, out_stride, out);
    }
}

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

/* ---- backward ---------------------------------------------------------------------------------- */

/* Rows of each map -> out[y][x][lane], with so many columns, perhaps more than a row has without its
 * zeros. */
static void rows_to_maps(const lenet_lane_maps *m, int height, const float *in, ptrdiff_t in_stride,
                         int columns, float *out)
{
    const ptrdiff_t map = height * in_stride;
    in += m->first * map;
    for (int y = 0; y < height; y++, in += in_stride, out += columns * LANES) {
        for (int x = 0; x < columns; x += LANES) {
            vf square[LANES];
            UNROLL
            for (int lane = 0; lane < LANES; lane++)
                square[lane] = lane < m->maps ? vf_loadu(in + lane * m->step * map + x)
                                              : vf_set(0.0f);
            vf_transpose(square);
            for (int i = 0; i < LANES && x + i < columns; i++)
                vf_store(out + (x + i) * LANES, square[i]);
        }
    }
}

/* The sum of n vectors. */
INLINE vf sum_vectors(const float *in, ptrdiff_t n)
{
    vf sum[4] = {vf_set(0.0f), vf_set(0.0f), vf_set(0.0f), vf_set(0.0f)};
    ptrdiff_t i = 0;
    for (; i + 4 <= n; i += 4)
        UNROLL
        for (int k = 0; k < 4; k++) sum[k] = vf_add(sum[k], vf_load(in + (i + k) * LANES));
    for (; i < n; i++) sum[0] = vf_add(sum[0], vf_load(in + i * LANES));
    return vf_add(vf_add(sum[0], sum[1]), vf_add(sum[2], sum[3]));
}

/* sums[tap][lane] of some kernel rows, from one input map or slot. Two deltas at a time share their
 * pixels. */
INLINE void map_weights_tile(const in_lanes WHAT, const int TAP_ROWS, const int TAPS,
                             const lenet_conv_shape *s, const float *in, ptrdiff_t in_stride,
                             const int32_t *index, const float *turned, int columns, float *sums)
{
    const int PIXEL = WHAT == SLOTS_IN_LANES ? PIXEL_MAPS : 1;
    vf sum[5][5];
    UNROLL
    for (int i = 0; i < TAP_ROWS; i++)
        UNROLL
        for (int j = 0; j < TAPS; j++) sum[i][j] = vf_set(0.0f);
    for (int y = 0; y < s->out_height; y++, in += in_stride) {
        for (int x = 0; x < columns; x += 2, turned += 2 * LANES) {
            const vf delta[2] = {vf_load(turned), vf_load(turned + LANES)};
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
INLINE void map_weights(const in_lanes WHAT, const int K, const int TAPS,
                        const lenet_conv_shape *s, const float *in, ptrdiff_t in_stride,
                        const int32_t *index, const float *turned, int columns, float *sums)
{
    const int PIXEL = WHAT == SLOTS_IN_LANES ? PIXEL_MAPS : 1;
    const int ROWS = TAPS < TAP_ROWS ? TAPS : TAP_ROWS;
    for (int i = 0, n; i < K; i += n, in += n * in_stride, sums += n * K * LANES) {
        n = K - i < ROWS ? 1 : ROWS;
        for (int j = 0; j < K; j += TAPS) {
            if (n == ROWS)
                map_weights_tile(WHAT, ROWS, TAPS, s, in + j * PIXEL, in_stride, index, turned,
                                 columns, sums + j * LANES);
            else
                map_weights_tile(WHAT, 1, TAPS, s, in + j * PIXEL, in_stride, index, turned,
                                 columns, sums + j * LANES);
        }
    }
}

/* dweights of connections, set or added to, from one input map or slot. */
INLINE void weights_of_lanes(const in_lanes WHAT, const lenet_conv_shape *s,
                             const int32_t *connection, const float *in, ptrdiff_t in_stride,
                             const int32_t *index, const float *turned, int columns, int add,
                             float *sums, float *dweights)
{
    const ptrdiff_t taps = (ptrdiff_t)s->kernel * s->kernel;
    if (s->kernel == 5)
        map_weights(WHAT, 5, 5, s, in, in_stride, index, turned, columns, sums);
    else if (s->kernel == 3)
        map_weights(WHAT, 3, 3, s, in, in_stride, index, turned, columns, sums);
    else
        map_weights(WHAT, s->kernel, 1, s, in, in_stride, index, turned, columns, sums);
    for (ptrdiff_t tap = 0; tap < taps; tap += LANES) {
        vf square[LANES];
        turn_vectors(sums, tap, taps, square);
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

/* delta_stride 0: the maps are in the lanes. */
static void conv_backward_weights_with_maps(const lenet_conv_shape *s, const float *in,
                                            ptrdiff_t in_stride, const float *delta,
                                            ptrdiff_t delta_stride, int add, float *scratch,
                                            float *dweights, float *dbias)
{
    const int columns = (s->out_width + 1) / 2 * 2;
    const ptrdiff_t in_map = s->in_height * in_stride, n = (ptrdiff_t)s->out_height * columns;
    float *turned = scratch, *own = turned + n * LANES, *sums = own + n * LANES;
    float *pixels = sums + (ptrdiff_t)s->kernel * s->kernel * LANES;
    if (s->slots) turn_pixels(s, in, in_stride, columns + s->kernel - 1, pixels);
    for (int group = 0; group < lenet_groups(s->out_maps, LANES); group++) {
        const lenet_lane_maps m = lenet_maps_of(s->out_maps, LANES, group);
        const float *from = delta_stride ? turned : delta + group * n * LANES;
        if (delta_stride) rows_to_maps(&m, s->out_height, delta, delta_stride, columns, turned);
        from_lanes(&m, sum_vectors(from, n), add, dbias);
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

/* delta[group][y][x][lane] -> rows as the gradient for the input wants them; returns where they begin. */
static float *turn_deltas(const lenet_conv_shape *s, const float *delta, ptrdiff_t row, float *scratch)
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

/* subsample_maps on the way back: maps in the lanes, their deltas in rows. */
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
        from_lanes(&m, sum_vectors(scratch, n), add, dbias);
    }
}

#endif
