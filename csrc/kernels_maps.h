/* A convolution of one image with LANES output maps in the lanes, where that takes fewer vectors than
 * the columns do (lenet_prefers_maps): C3 has 16 maps, but 10 columns.
 *
 * A part of kernels_rows.h, whose rows of pixels come in and go out. Pixels multiply vectors of
 * weights, turned to [input map][tap][lane] on the way in, with 0 where maps are not connected. Where
 * many are not, slots take the input maps' place: in slot k a lane has the k-th map that it is connected
 * to. A pixel is then a vector of all input maps, out of which each lane takes its own. */
#ifndef LENET_KERNELS_MAPS_H
#define LENET_KERNELS_MAPS_H

/* Connections of an input map to the output maps first .. first + LANES - 1; -1: none. */
INLINE void connections_to(const lenet_conv_shape *s, int map, int first, int32_t *connection)
{
    for (int lane = 0; lane < LANES; lane++) connection[lane] = -1;
    for (int t = s->first_target[map]; t < s->first_target[map + 1]; t++) {
        int lane = s->target[t] - first;
        if (lane >= 0 && lane < LANES) connection[lane] = s->connection[t];
    }
}

/* Which of the maps are in the lanes: lane i has map first + i * step. */
typedef struct { int first, step, maps; } lane_maps;

INLINE lane_maps maps_from(const lenet_conv_shape *s, int first, int step)
{
    const int left = (s->out_maps - first + step - 1) / step;
    return (lane_maps){first, step, left < LANES ? left : LANES};
}

/* Slots for LANES maps. What a map has more finds room in the last slot, in lanes that have less: those
 * sums are then moved, round by round, lane i's from lane from[round][i] where share is 1, not 0; round
 * 0 is for a lane's own. */
typedef struct {
    int slots, rounds;  /* rounds 0: nothing to move */
    int32_t connection[PIXEL_MAPS][LANES];  /* -1: none */
    int32_t index[PIXEL_MAPS][LANES];       /* its input map */
    int32_t owner[LANES];                   /* in the last slot: which lane a lane works for */
    int32_t from[PIXEL_MAPS][LANES];
    float share[PIXEL_MAPS][LANES];
} dealt;

/* count[lane]: connections. Returns the fewest slots. */
INLINE int slots_needed(const lenet_conv_shape *s, const lane_maps *m, int *count)
{
    int all = 0, slots;
    for (int lane = 0; lane < LANES; lane++) {
        const int32_t *first = s->first + m->first + lane * m->step;
        count[lane] = lane < m->maps ? first[1] - first[0] : 0;
        all += count[lane];
    }
    for (slots = all > LANES ? (all + LANES - 1) / LANES : 1;; slots++) {
        int room = 0;
        for (int lane = 0; lane < LANES; lane++)
            room += count[lane] > slots ? slots - count[lane] : count[lane] < slots;
        if (room >= 0) return slots;
    }
}

/* Groups of LANES maps that are dealt to slots, or 0 where that saves nothing. Neighbours go to
 * different groups: in the table of 1998 they have about as many connections. */
INLINE int groups_in_slots(const lenet_conv_shape *s)
{
    const int groups = (s->out_maps + LANES - 1) / LANES;
    if (s->in_maps > PIXEL_MAPS) return 0;
    for (int first = 0; first < groups; first++) {
        const lane_maps m = maps_from(s, first, groups);
        int count[LANES];
        if (slots_needed(s, &m, count) >= s->in_maps) return 0;
    }
    return groups;
}

INLINE void deal_one(const lenet_conv_shape *s, int32_t c, int slot, int lane, dealt *d)
{
    d->connection[slot][lane] = c;
    d->index[slot][lane] = s->source[c];
}

static void deal(const lenet_conv_shape *s, const lane_maps *m, dealt *d)
{
    int count[LANES], room = 0;
    const int slots = slots_needed(s, m, count), last = slots - 1;
    memset(d, 0, sizeof *d);
    memset(d->connection, -1, sizeof d->connection);
    d->slots = slots;
    for (int lane = 0; lane < LANES; lane++) {
        const int32_t first = lane < m->maps ? s->first[m->first + lane * m->step] : 0;
        d->from[0][lane] = d->owner[lane] = lane;
        d->share[0][lane] = count[lane] >= slots ? 1.0f : 0.0f;
        for (int k = 0; k < count[lane] && k < slots; k++) deal_one(s, first + k, k, lane, d);
    }
    for (int lane = 0; lane < m->maps; lane++) {
        for (int k = slots; k < count[lane]; k++) {
            const int round = k - last;
            while (count[room] >= slots) room++;
            if (d->rounds <= round) d->rounds = round + 1;
            deal_one(s, s->first[m->first + lane * m->step] + k, last, room, d);
            d->from[round][lane] = room;
            d->share[round][lane] = 1.0f;
            d->owner[room++] = lane;
        }
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
INLINE void move_sums(const dealt *d, int n, const float *moved, float *sums)
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
                          const lenet_conv_shape *s, const lane_maps *m, const dealt *d,
                          const conv_terms *t, vf bias, int activation, const float *in,
                          float *sums, ptrdiff_t out_stride, float *out)
{
    const int PIXEL = WHAT == SLOTS_IN_LANES ? PIXEL_MAPS : 1;
    const int parts = WHAT == SLOTS_IN_LANES && d->rounds ? 2 : 1;
    float *moved = sums + lenet_most_sums(s) * LANES;
    for (pieces p = cut(s->out_width, TILE_COLUMNS); p.size; p = next(p)) {
        for (int part = 0; part < parts; part++) {
            const vf from = part ? vf_set(0.0f) : bias;
            float *to = (part ? moved : sums) + p.start * LANES;
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
    if (parts == 2) move_sums(d, ROWS * s->out_width, moved, sums);
    squash_lanes(activation, ROWS * s->out_width, sums);
    for (int y = 0; y < ROWS; y++)
        columns_to_rows(sums + y * t->out_row, s->out_width, out_stride, m->maps,
                        m->step * s->out_height * out_stride, out + y * out_stride);
}

INLINE void conv_group(const in_lanes WHAT, const lenet_conv_shape *s, const lane_maps *m,
                       const dealt *d, const conv_terms *t, const float *bias, int activation,
                       const float *in, float *sums, ptrdiff_t out_stride, float *out)
{
    float biases[LANES] = {0};
    for (int lane = 0; lane < m->maps; lane++) biases[lane] = bias[m->first + lane * m->step];
    const vf b = vf_loadu(biases);
    out += m->first * s->out_height * out_stride;
    for (int y = 0; y < s->out_height; y += 2, in += 2 * t->in_row, out += 2 * out_stride) {
        if (y + 1 == s->out_height)
            conv_map_rows(WHAT, 1, 1, s, m, d, t, b, activation, in, sums, out_stride, out);
        else if (s->kernel == 5)
            conv_map_rows(WHAT, 5, 2, s, m, d, t, b, activation, in, sums, out_stride, out);
        else if (s->kernel == 3)
            conv_map_rows(WHAT, 3, 2, s, m, d, t, b, activation, in, sums, out_stride, out);
        else
            conv_map_rows(WHAT, 1, 2, s, m, d, t, b, activation, in, sums, out_stride, out);
    }
}

static void conv_in_slots(const lenet_conv_shape *s, int groups, const float *weights,
                          const float *bias, int activation, const float *in, ptrdiff_t in_stride,
                          ptrdiff_t out_stride, float *scratch, float *out)
{
    const ptrdiff_t taps = (ptrdiff_t)s->kernel * s->kernel;
    float *turned = scratch + 2 * lenet_most_sums(s) * LANES;
    float *pixels = turned + s->in_maps * taps * LANES;
    turn_pixels(s, in, in_stride, s->in_width, pixels);
    for (int first = 0; first < groups; first++) {
        const lane_maps m = maps_from(s, first, groups);
        dealt d;
        deal(s, &m, &d);
        for (int slot = 0; slot < d.slots; slot++)
            turn_weights(d.connection[slot], taps, weights, turned + slot * taps * LANES);
        const int last = d.slots - 1;
        conv_terms t[2];
        t[0] = (conv_terms){.connections = d.rounds ? last : d.slots,
                            .kernel = s->kernel,
                            .weights = turned,
                            .index = d.index[0],
                            .in_row = s->in_width * PIXEL_MAPS,
                            .out_row = s->out_width * LANES};
        t[1] = t[0];
        t[1].connections = 1;
        t[1].weights += last * taps * LANES;
        t[1].index = d.index[last];
        conv_group(SLOTS_IN_LANES, s, &m, &d, t, bias, activation, pixels, scratch, out_stride,
                   out);
    }
}

static void conv_with_maps(const lenet_conv_shape *s, const float *weights, const float *bias,
                           int activation, const float *in, ptrdiff_t in_stride,
                           ptrdiff_t out_stride, float *scratch, float *out)
{
    const ptrdiff_t taps = (ptrdiff_t)s->kernel * s->kernel;
    const int groups = groups_in_slots(s);
    if (groups) {
        conv_in_slots(s, groups, weights, bias, activation, in, in_stride, out_stride, scratch, out);
        return;
    }
    float *turned = scratch + 2 * lenet_most_sums(s) * LANES;
    const conv_terms t = {.connections = s->in_maps,
                          .kernel = s->kernel,
                          .weights = turned,
                          .in_row = in_stride,
                          .in_map = s->in_height * in_stride,
                          .out_row = s->out_width * LANES};
    for (int first = 0; first < s->out_maps; first += LANES) {
        const lane_maps m = maps_from(s, first, 1);
        for (int map = 0; map < s->in_maps; map++) {
            int32_t connection[LANES];
            connections_to(s, map, first, connection);
            turn_weights(connection, taps, weights, turned + map * taps * LANES);
        }
        conv_group(MAPS_IN_LANES, s, &m, NULL, &t, bias, activation, in, scratch, out_stride, out);
    }
}

/* ---- backward ---------------------------------------------------------------------------------- */

/* turned[y][x][lane], rows of an even number of columns, the last perhaps of the zeros behind the
 * width; returns the sum over all. */
INLINE vf turn_deltas(const lenet_conv_shape *s, const lane_maps *m, const float *delta,
                      ptrdiff_t delta_stride, int columns, float *turned)
{
    const ptrdiff_t map = s->out_height * delta_stride;
    delta += m->first * map;
    vf sum = vf_set(0.0f);
    for (int y = 0; y < s->out_height; y++, delta += delta_stride, turned += columns * LANES) {
        for (int x = 0; x < columns; x += LANES) {
            vf square[LANES];
            UNROLL
            for (int lane = 0; lane < LANES; lane++)
                square[lane] = lane < m->maps ? vf_loadu(delta + lane * m->step * map + x)
                                              : vf_set(0.0f);
            vf_transpose(square);
            for (int i = 0; i < LANES && x + i < columns; i++) {
                vf_store(turned + (x + i) * LANES, square[i]);
                sum = vf_add(sum, square[i]);
            }
        }
    }
    return sum;
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

static void conv_backward_weights_with_maps(const lenet_conv_shape *s, const float *in,
                                            ptrdiff_t in_stride, const float *delta,
                                            ptrdiff_t delta_stride, int add, float *scratch,
                                            float *dweights, float *dbias)
{
    const ptrdiff_t taps = (ptrdiff_t)s->kernel * s->kernel, in_map = s->in_height * in_stride;
    const int columns = (s->out_width + 1) / 2 * 2, in_columns = columns + s->kernel - 1;
    const int in_slots = groups_in_slots(s), groups = (s->out_maps + LANES - 1) / LANES;
    const ptrdiff_t deltas = (ptrdiff_t)s->out_height * columns;
    float *turned = scratch, *sums = turned + deltas * LANES, *pixels = sums + taps * LANES;
    if (in_slots) turn_pixels(s, in, in_stride, in_columns, pixels);
    for (int group = 0; group < groups; group++) {
        const lane_maps m = in_slots ? maps_from(s, group, groups) : maps_from(s, group * LANES, 1);
        float sum[LANES];
        vf_storeu(sum, turn_deltas(s, &m, delta, delta_stride, columns, turned));
        for (int lane = 0; lane < m.maps; lane++) {
            float *d = dbias + m.first + lane * m.step;
            *d = (add ? *d : 0.0f) + sum[lane];
        }
        if (!in_slots) {
            for (int map = 0; map < s->in_maps; map++) {
                int32_t connection[LANES];
                connections_to(s, map, m.first, connection);
                weights_of_lanes(MAPS_IN_LANES, s, connection, in + map * in_map, in_stride, NULL,
                                 turned, columns, add, sums, dweights);
            }
            continue;
        }
        dealt d;
        deal(s, &m, &d);
        for (int slot = 0; slot < d.slots; slot++) {
            /* in the last slot lanes may work for others */
            for (ptrdiff_t i = 0; d.rounds && slot == d.slots - 1 && i < deltas; i++)
                vf_store(turned + i * LANES, vf_permute(vf_load(turned + i * LANES), d.owner));
            weights_of_lanes(SLOTS_IN_LANES, s, d.connection[slot], pixels, in_columns * PIXEL_MAPS,
                             d.index[slot], turned, columns, add, sums, dweights);
        }
    }
}

#endif
