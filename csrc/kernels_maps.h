/* A convolution of one image with LANES output maps in the lanes, where that takes fewer vectors than
 * the columns do (lenet_prefers_maps): C3 has 16 maps, but 10 columns.
 *
 * A part of kernels_rows.h, whose rows of pixels come in and go out. Pixels multiply vectors of
 * weights, turned to [input map][tap][lane] on the way in, with 0 where maps are not connected. */
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

/* turned[input map][tap][lane] */
static void turn_weights(const lenet_conv_shape *s, const float *weights, int first, float *turned)
{
    const ptrdiff_t taps = (ptrdiff_t)s->kernel * s->kernel;
    for (int map = 0; map < s->in_maps; map++, turned += taps * LANES) {
        int32_t connection[LANES];
        connections_to(s, map, first, connection);
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

/* One or two rows of LANES maps. */
INLINE void conv_map_rows(const int TAPS, const int ROWS, const lenet_conv_shape *s,
                          conv_terms *t, vf bias, int activation, const float *in, int maps,
                          ptrdiff_t out_stride, float *out)
{
    for (pieces p = cut(s->out_width, TILE_COLUMNS); p.size; p = next(p)) {
        union { vf aligned; float at[2 * TILE_COLUMNS * LANES]; } sums;
        t->out_row = p.size * LANES;
        switch (p.size) {
#define CASE(n)                                                                               \
    case n:                                                                                   \
        if (n <= TILE_COLUMNS)                                                                \
            conv_tile(MAPS_IN_LANES, TAPS, ROWS, n <= TILE_COLUMNS ? n : 1, t, bias,          \
                      in + p.start, sums.at);                                                 \
        break;
            CASES_1_TO_10(CASE)
#undef CASE
        }
        squash_lanes(activation, ROWS * p.size, sums.at);
        /* the last tile fills the rows */
        const ptrdiff_t n = p.left == 1 ? out_stride - p.start : p.size;
        for (int y = 0; y < ROWS; y++)
            columns_to_rows(sums.at + y * t->out_row, p.size, n, maps, s->out_height * out_stride,
                            out + y * out_stride + p.start);
    }
}

static void conv_with_maps(const lenet_conv_shape *s, const float *weights, const float *bias,
                           int activation, const float *in, ptrdiff_t in_stride,
                           ptrdiff_t out_stride, float *turned, float *out)
{
    conv_terms t = {.connections = s->in_maps,
                    .kernel = s->kernel,
                    .weights = turned,
                    .in_row = in_stride,
                    .in_map = s->in_height * in_stride};
    for (int first = 0; first < s->out_maps; first += LANES) {
        const int maps = s->out_maps - first < LANES ? s->out_maps - first : LANES;
        const vf biases = load_up_to(bias + first, maps);
        turn_weights(s, weights, first, turned);
        for (int y = 0; y < s->out_height; y += 2) {
            const float *from = in + y * in_stride;
            float *to = out + (first * s->out_height + y) * out_stride;
            if (y + 1 == s->out_height)
                conv_map_rows(1, 1, s, &t, biases, activation, from, maps, out_stride, to);
            else if (s->kernel == 5)
                conv_map_rows(5, 2, s, &t, biases, activation, from, maps, out_stride, to);
            else if (s->kernel == 3)
                conv_map_rows(3, 2, s, &t, biases, activation, from, maps, out_stride, to);
            else
                conv_map_rows(1, 2, s, &t, biases, activation, from, maps, out_stride, to);
        }
    }
}

/* ---- backward ---------------------------------------------------------------------------------- */

/* turned[y][x][lane], rows of an even number of columns, the last perhaps of the zeros behind the
 * width; returns the sum over all. */
INLINE vf turn_deltas(const lenet_conv_shape *s, const float *delta, ptrdiff_t delta_stride,
                      int maps, int columns, float *turned)
{
    vf sum = vf_set(0.0f);
    for (int y = 0; y < s->out_height; y++, delta += delta_stride, turned += columns * LANES) {
        for (int x = 0; x < columns; x += LANES) {
            vf square[LANES];
            UNROLL
            for (int lane = 0; lane < LANES; lane++)
                square[lane] = lane < maps
                                   ? vf_loadu(delta + lane * s->out_height * delta_stride + x)
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

/* sums[tap][lane] of some kernel rows, from one input map. Two deltas at a time share their pixels. */
INLINE void map_weights_tile(const int TAP_ROWS, const int TAPS, const lenet_conv_shape *s,
                             const float *in, ptrdiff_t in_stride, const float *turned,
                             int columns, float *sums)
{
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
                const float *row = in + i * in_stride + x;
                UNROLL
                for (int j = 0; j < TAPS + 1; j++) {
                    vf pixel = vf_in_register(vf_set(row[j]));
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

/* All taps from one input map. TAPS: the kernel's side, or 1 for any side. */
INLINE void map_weights(const int K, const int TAPS, const lenet_conv_shape *s, const float *in,
                        ptrdiff_t in_stride, const float *turned, int columns, float *sums)
{
    const int ROWS = TAPS < TAP_ROWS ? TAPS : TAP_ROWS;
    for (int i = 0, n; i < K; i += n, in += n * in_stride, sums += n * K * LANES) {
        n = K - i < ROWS ? 1 : ROWS;
        for (int j = 0; j < K; j += TAPS) {
            if (n == ROWS)
                map_weights_tile(ROWS, TAPS, s, in + j, in_stride, turned, columns,
                                 sums + j * LANES);
            else
                map_weights_tile(1, TAPS, s, in + j, in_stride, turned, columns, sums + j * LANES);
        }
    }
}

/* dweights of the connections of one input map from sums[tap][lane]. */
static void turn_sums_back(const int32_t *connection, ptrdiff_t taps, const float *sums, int add,
                           float *dweights)
{
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
    const int columns = (s->out_width + 1) / 2 * 2;
    float *turned = scratch, *sums = scratch + (ptrdiff_t)s->out_height * columns * LANES;
    for (int first = 0; first < s->out_maps; first += LANES) {
        const int maps = s->out_maps - first < LANES ? s->out_maps - first : LANES;
        const vf sum = turn_deltas(s, delta + first * s->out_height * delta_stride, delta_stride,
                                   maps, columns, turned);
        store_sums(1, &sum, maps, add, dbias + first);
        for (int map = 0; map < s->in_maps; map++) {
            int32_t connection[LANES];
            connections_to(s, map, first, connection);
            const float *from = in + map * in_map;
            if (s->kernel == 5)
                map_weights(5, 5, s, from, in_stride, turned, columns, sums);
            else if (s->kernel == 3)
                map_weights(3, 3, s, from, in_stride, turned, columns, sums);
            else
                map_weights(s->kernel, 1, s, from, in_stride, turned, columns, sums);
            turn_sums_back(connection, taps, sums, add, dweights);
        }
    }
}

#endif
