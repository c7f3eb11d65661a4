/* The kernels, written once over a vector type: one image per lane (see kernels.h).
 *
 * Each kernels/isa_<isa>.c includes a kernels/vec/<isa>.h, which gives the vector type `vf`, its
 * operations and the tile sizes that its registers allow, a tanh_<how>.h, and then this file.
 *
 * A tile keeps its sums in registers: `INLINE` functions take tile sizes as arguments that are
 * constants at every call, so that the compiler unrolls the loops over them. The CASES macros
 * turn a size known at run time into such a constant; `n <= MOST ? n : 1` in a case keeps those
 * that cannot happen from being compiled with indices out of bounds. */
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

#if defined(_MSC_VER) && !defined(__clang__)
#define INLINE static __forceinline
#define OUTLINE static __declspec(noinline)
#define UNROLL
#define FORGET()
#define PIN(pointer)
#else
#define INLINE static inline __attribute__((always_inline))
#define OUTLINE static __attribute__((noinline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
/* Keeps values that were loaded before it from being kept for later: a tile's sums fill the
 * registers, and a second load is cheaper than a spill. */
#define FORGET() __asm__ volatile("" ::: "memory")
/* Keeps a pointer as it is in a register: left to itself gcc takes unrolled rows apart into sums of
 * offsets, more than there are registers for. */
#define PIN(pointer) __asm__("" : "+r"(pointer))
#endif

#define CASES_1_TO_6(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#define CASES_OF_ACTIVATIONS(CASE) \
    CASE(LENET_IDENTITY) CASE(LENET_SCALED_TANH) CASE(LENET_TANH) CASE(LENET_RELU)
#define CASES_1_TO_10(CASE) CASES_1_TO_6(CASE) CASE(7) CASE(8) CASE(9) CASE(10)

/* ---- the squashing function --------------------------------------------------------------
 *
 * vf_tanh, FIT_TANH and FIT_SCALED_TANH are tanh_rational.h's or, where lanes can look numbers up,
 * tanh_table.h's. */

INLINE vf squash_one(int activation, vf a)
{
    switch (activation) {
    case LENET_SCALED_TANH: return vf_tanh(&FIT_SCALED_TANH, a);
    case LENET_TANH: return vf_tanh(&FIT_TANH, a);
    case LENET_RELU: return vf_max(vf_set(0.0f), a);
    default: return a;
    }
}

/* f'(a) from y = f(a): A S - (S / A) y^2 and 1 - y^2 for the two tanh. */
INLINE vf slope(int activation, vf y)
{
    switch (activation) {
    case LENET_SCALED_TANH:
        return vf_fma(vf_mul(y, y), vf_set((float)(-2.0 / 3.0 / 1.7159)),
                      vf_set((float)(1.7159 * 2.0 / 3.0)));
    case LENET_TANH: return vf_fma(vf_mul(y, y), vf_set(-1.0f), vf_set(1.0f));
    case LENET_RELU: return vf_step(y);
    default: return vf_set(1.0f);
    }
}

/* n vectors, in registers. */
INLINE void squash_some(const int activation, const int N, vf *a)
{
    UNROLL
    for (int i = 0; i < N; i++) a[i] = squash_one(activation, a[i]);
}

INLINE void squash_all(const int activation, const float *a, ptrdiff_t n, float *y)
{
    enum { AT_ONCE = 4 };
    for (; n >= AT_ONCE * LANES; n -= AT_ONCE * LANES, a += AT_ONCE * LANES, y += AT_ONCE * LANES) {
        vf v[AT_ONCE];
        UNROLL
        for (int k = 0; k < AT_ONCE; k++) v[k] = vf_loadu(a + k * LANES);
        squash_some(activation, AT_ONCE, v);
        UNROLL
        for (int k = 0; k < AT_ONCE; k++) vf_storeu(y + k * LANES, v[k]);
    }
    for (; n > 0; n -= LANES, a += LANES, y += LANES)
        vf_store_part(y, squash_one(activation, vf_load_part(a, n)), n);
}

OUTLINE void squash(int activation, const float *a, ptrdiff_t n, float *y)
{
    switch (activation) {
#define CASE(kind) case kind: squash_all(kind, a, n, y); break;
        CASES_OF_ACTIVATIONS(CASE)
#undef CASE
    }
}

/* In place on n vectors of lanes. */
INLINE void squash_lanes(int activation, ptrdiff_t n, float *values)
{
    if (activation != LENET_IDENTITY) squash(activation, values, n * LANES, values);
}

/* in[i] = sum[i] * f'(a), for the n vectors of outputs f(a) in `in`. */
INLINE void store_delta(int activation, const vf *sum, int n, float *in)
{
    UNROLL
    for (int i = 0; i < n; i++)
        vf_store(in + i * LANES, vf_mul(sum[i], slope(activation, vf_load(in + i * LANES))));
}

INLINE vf squash_backward_one(int activation, vf y, vf dy)
{
    return vf_mul(dy, slope(activation, y));
}

static void squash_backward(int activation, const float *y, const float *dy, ptrdiff_t n,
                            float *da)
{
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vf_storeu(da + i, squash_backward_one(activation, vf_loadu(y + i), vf_loadu(dy + i)));
    if (i < n)
        vf_store_part(da + i,
                   squash_backward_one(activation, vf_load_part(y + i, n - i),
                                       vf_load_part(dy + i, n - i)),
                   n - i);
}

/* ---- images to lanes and back ------------------------------------------------------------ */

INLINE void fill(vf value, ptrdiff_t n, float *out)
{
    for (ptrdiff_t i = 0; i < n; i++) vf_store(out + i * LANES, value);
}

/* What lies around the middle height x width. */
static void fill_border(vf value, int height, int width, int out_height, int out_width, float *out)
{
    const ptrdiff_t top = (out_height - height) / 2, left = (out_width - width) / 2;
    const ptrdiff_t between = out_width - width, first = top * out_width + left;
    /* the right of a row and the left of the next are one piece */
    fill(value, first, out);
    for (int y = 1; y < height; y++)
        fill(value, between, out + (first + (ptrdiff_t)y * out_width - between) * LANES);
    const ptrdiff_t end = first + (ptrdiff_t)height * out_width - between;
    fill(value, (ptrdiff_t)out_height * out_width - end, out + end * LANES);
}

static void load_grey(const uint8_t *const *images, int n, int height, int width,
                      float background, float foreground, int out_height, int out_width,
                      float *out)
{
    const vf base = vf_set(background), scale = vf_set((foreground - background) / 255.0f);
    const int top = (out_height - height) / 2, left = (out_width - width) / 2;
    const ptrdiff_t size = (ptrdiff_t)height * width;

    fill_border(base, height, width, out_height, out_width, out);
    out += ((ptrdiff_t)top * out_width + left) * LANES;
    for (ptrdiff_t i = 0, x = 0; i < size;) {
        uint8_t bytes[STRIP * LANES];
        ptrdiff_t m = size - i < STRIP ? size - i : STRIP;
        if (n == LANES && m == STRIP) {
            bytes_to_lanes(images, i, bytes);
        } else {
            memset(bytes, 0, sizeof bytes);
            for (int lane = 0; lane < n; lane++)
                for (ptrdiff_t k = 0; k < m; k++) bytes[k * LANES + lane] = images[lane][i + k];
        }
        for (ptrdiff_t k = 0; k < m; k++, i++) {
            vf_store(out + x * LANES, vf_fma(vf_from_bytes(bytes + k * LANES), scale, base));
            if (++x == width) {
                x = 0;
                out += out_width * LANES;
            }
        }
    }
}

static void rows_to_lanes(const float *const *rows, int n, ptrdiff_t count, float *out)
{
    if (n < LANES) memset(out, 0, (size_t)count * LANES * sizeof *out);
    for (int lane = 0; lane < n; lane++)
        for (ptrdiff_t i = 0; i < count; i++) out[i * LANES + lane] = rows[lane][i];
}

static void lanes_to_rows(const float *in, int n, ptrdiff_t count, float *const *rows)
{
    for (int lane = 0; lane < n; lane++)
        for (ptrdiff_t i = 0; i < count; i++) rows[lane][i] = in[i * LANES + lane];
}

/* ---- convolution --------------------------------------------------------------------------
 *
 * A tile is one output map, two rows, some columns. Both rows read the same input vectors:
 * input row r feeds the upper output row through kernel row r and the lower one through kernel
 * row r - 1. With registers for them, the weights of both kernel rows stay there and each input
 * vector is read once for all the sums it belongs to; otherwise it is read for each tap.
 *
 * The same tile serves one image with maps in lanes (kernels/maps.h): then a weight is a vector
 * and a pixel a scalar, or with slots a vector of PIXEL_MAPS input maps that is permuted. */

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

/* One or two rows of one map, in tiles. TAPS: the kernel's side, or 1 for any side. */
INLINE void conv_rows(const int TAPS, const int ROWS, const lenet_conv_shape *s,
                      const float *weights, float bias, int map, const float *in, float *out)
{
    const int first = s->first[map];
    const ptrdiff_t in_row = (ptrdiff_t)s->in_width * LANES;
    const conv_terms t = {.connections = s->first[map + 1] - first,
                          .kernel = s->kernel,
                          .source = s->source + first,
                          .weights = weights + (ptrdiff_t)first * s->kernel * s->kernel,
                          .in_row = in_row,
                          .in_map = s->in_height * in_row,
                          .out_row = (ptrdiff_t)s->out_width * LANES};
    for (pieces p = cut(s->out_width, TILE_COLUMNS); p.size; p = next(p)) {
        switch (p.size) {
#define CASE(n)                                                                               \
    case n:                                                                                   \
        if (n <= TILE_COLUMNS)                                                                \
            conv_tile(IMAGES_IN_LANES, TAPS, ROWS, n <= TILE_COLUMNS ? n : 1, &t,             \
                      vf_set(bias), in + p.start * LANES, out + p.start * LANES);             \
        break;
            CASES_1_TO_10(CASE)
#undef CASE
        }
    }
}

OUTLINE void conv_rows_5x5(const lenet_conv_shape *s, const float *weights, float bias, int map,
                           const float *in, float *out)
{
    conv_rows(5, 2, s, weights, bias, map, in, out);
}

OUTLINE void conv_rows_3x3(const lenet_conv_shape *s, const float *weights, float bias, int map,
                           const float *in, float *out)
{
    conv_rows(3, 2, s, weights, bias, map, in, out);
}

OUTLINE void conv_rows_any(const lenet_conv_shape *s, const float *weights, float bias, int map,
                           int n_rows, const float *in, float *out)
{
    if (n_rows == 2)
        conv_rows(1, 2, s, weights, bias, map, in, out);
    else
        conv_rows(1, 1, s, weights, bias, map, in, out);
}

static void conv(const lenet_conv_shape *s, const float *weights, const float *bias,
                 int activation, const float *in, int row, int n_rows, ptrdiff_t out_stride,
                 float *out)
{
    const ptrdiff_t in_row = (ptrdiff_t)s->in_width * LANES;
    const ptrdiff_t out_row = (ptrdiff_t)s->out_width * LANES;
    for (int y = 0; y < n_rows; y += 2) {
        int rows = n_rows - y < 2 ? 1 : 2;
        for (int map = 0; map < s->out_maps; map++) {
            const float *from = in + (row + y) * in_row;
            float *to = out + map * out_stride + y * out_row;
            if (rows == 2 && s->kernel == 5)
                conv_rows_5x5(s, weights, bias[map], map, from, to);
            else if (rows == 2 && s->kernel == 3)
                conv_rows_3x3(s, weights, bias[map], map, from, to);
            else
                conv_rows_any(s, weights, bias[map], map, rows, from, to);
            squash_lanes(activation, (ptrdiff_t)rows * s->out_width, to);
        }
    }
}

/* ---- convolution, backward to its input ----------------------------------------------------
 *
 * One row of one input map at a time, all its columns in registers. Each output map that the
 * input map feeds scatters its deltas: the delta at column x belongs to the sums x .. x + K-1.
 * No multiply-add is spent on the border. Widths not listed below gather instead. */

/* d_row: OUT_WIDTH deltas, `step` floats apart. */
INLINE void scatter_taps(const int K, const int OUT_WIDTH, const float *d_row, ptrdiff_t step,
                         const float *w_row, vf *sum)
{
    PIN(d_row); PIN(w_row);
    vf held[11];
    UNROLL
    for (int x = 0; HOLD_WEIGHTS && x < OUT_WIDTH; x++)
        held[x] = vf_in_register(vf_load(d_row + x * step));
    UNROLL
    for (int j = 0; j < K; j++) {
        vf weight = vf_in_register(vf_set(w_row[j]));
        UNROLL
        for (int x = 0; x < OUT_WIDTH; x++) {
            vf here = HOLD_WEIGHTS ? held[x] : vf_load(d_row + x * step);
            vf_accumulate(&sum[x + j], here, weight);
        }
    }
    FORGET();
}

INLINE void scatter_row(const int K, const int OUT_WIDTH, const lenet_conv_shape *s,
                        const float *weights, const float *delta, int map, int row,
                        int in_activation, float *in)
{
    vf sum[16];
    const int in_width = OUT_WIDTH + K - 1;
    UNROLL
    for (int x = 0; x < in_width; x++) sum[x] = vf_set(0.0f);
    const ptrdiff_t out_map = (ptrdiff_t)s->out_height * OUT_WIDTH * LANES;
    int lowest = row - (s->out_height - 1) > 0 ? row - (s->out_height - 1) : 0;
    int highest = row < K - 1 ? row : K - 1;

    for (int i = lowest; i <= highest; i++) {
        const float *d = delta + (ptrdiff_t)(row - i) * OUT_WIDTH * LANES;
        for (int t = s->first_target[map]; t < s->first_target[map + 1]; t++)
            scatter_taps(K, OUT_WIDTH, d + s->target[t] * out_map, LANES,
                         weights + ((ptrdiff_t)s->connection[t] * K + i) * K, sum);
    }
    store_delta(in_activation, sum, in_width, in);
}

OUTLINE void gather_row(const lenet_conv_shape *s, const float *weights, const float *delta,
                       int map, int row, int in_activation, float *in)
{
    enum { COLUMNS = 4 };
    const int K = s->kernel;
    for (int x0 = 0; x0 < s->in_width; x0 += COLUMNS) {
        vf sum[COLUMNS];
        int columns = s->in_width - x0 < COLUMNS ? s->in_width - x0 : COLUMNS;
        for (int x = 0; x < COLUMNS; x++) sum[x] = vf_set(0.0f);
        for (int t = s->first_target[map]; t < s->first_target[map + 1]; t++) {
            const float *w = weights + (ptrdiff_t)s->connection[t] * K * K;
            const float *d = delta
                             + (ptrdiff_t)s->target[t] * s->out_height * s->out_width * LANES;
            for (int i = 0; i < K; i++) {
                int y = row - i;
                if (y < 0 || y >= s->out_height) continue;
                const float *d_row = d + (ptrdiff_t)y * s->out_width * LANES;
                for (int j = 0; j < K; j++) {
                    vf weight = vf_set(w[i * K + j]);
                    for (int x = 0; x < COLUMNS; x++) {
                        int from = x0 + x - j;
                        if (from < 0 || from >= s->out_width) continue;
                        sum[x] = vf_fma(vf_load(d_row + from * LANES), weight, sum[x]);
                    }
                }
            }
        }
        for (int x = 0; x < columns; x++)
            store_delta(in_activation, sum + x, 1, in + (x0 + x) * LANES);
    }
}

static void conv_backward_input(const lenet_conv_shape *s, const float *weights,
                                const float *delta, int in_activation, float *in)
{
    for (int map = 0; map < s->in_maps; map++) {
        for (int row = 0; row < s->in_height; row++, in += (ptrdiff_t)s->in_width * LANES) {
            /* C3 of a 32 x 32 image, of 28 x 28, and of 28 x 28 with 3 x 3 kernels */
            if (s->kernel == 5 && s->out_width == 10)
                scatter_row(5, 10, s, weights, delta, map, row, in_activation, in);
            else if (s->kernel == 5 && s->out_width == 8)
                scatter_row(5, 8, s, weights, delta, map, row, in_activation, in);
            else if (s->kernel == 3 && s->out_width == 11)
                scatter_row(3, 11, s, weights, delta, map, row, in_activation, in);
            else
                gather_row(s, weights, delta, map, row, in_activation, in);
        }
    }
}

/* ---- convolution, gradient for its weights --------------------------------------------------
 *
 * dw[o][c][i][j] = sum over y, x of delta[o][y][x] in[c][y + i][x + j]. A tile is one input map,
 * one kernel row, some of its taps and some of the output maps that the input map feeds: a
 * position's inputs serve all those maps and its deltas all those taps. */

INLINE void weight_tile(const int TAPS, const int MAPS, const lenet_conv_shape *s, int first,
                        int tap, int n_rows, const float *in, const float *delta,
                        float *dweights)
{
    const int K = s->kernel;
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

/* Adds a map's deltas, n vectors, to its bias's gradient. Four sums, so that one addition need not
 * wait for another. */
INLINE void add_bias(const float *delta, ptrdiff_t n, float *dbias)
{
    vf sum[4] = {vf_load(dbias), vf_set(0.0f), vf_set(0.0f), vf_set(0.0f)};
    ptrdiff_t i = 0;
    for (; i + 4 <= n; i += 4, delta += 4 * LANES) {
        UNROLL
        for (int k = 0; k < 4; k++) sum[k] = vf_add(sum[k], vf_load(delta + k * LANES));
    }
    for (; i < n; i++, delta += LANES) sum[0] = vf_add(sum[0], vf_load(delta));
    vf_store(dbias, vf_add(vf_add(sum[0], sum[1]), vf_add(sum[2], sum[3])));
}

/* All that one input map feeds, from some rows of deltas. */
INLINE void weight_rows(const int K, const int TAPS, const lenet_conv_shape *s, int map,
                        int n_rows, const float *in, const float *delta, float *dweights,
                        float *dbias)
{
    const ptrdiff_t out_map = (ptrdiff_t)s->out_height * s->out_width * LANES;
    int n = s->first_target[map + 1] - s->first_target[map];
    if (n == 0) return;  /* a map that feeds nothing */
    for (pieces p = cut(n, WEIGHT_MAPS); p.size; p = next(p)) {
        int first = s->first_target[map] + p.start;
        for (int tap = 0; tap < K * K; tap += TAPS) {
            const float *from = in + ((ptrdiff_t)(tap / K) * s->in_width + tap % K) * LANES;
            switch (p.size) {
#define CASE(m)                                                                           \
    case m:                                                                               \
        if (m <= WEIGHT_MAPS)                                                             \
            weight_tile(TAPS, m <= WEIGHT_MAPS ? m : 1, s, first, tap, n_rows, from,      \
                        delta, dweights);                                                 \
        break;
                CASES_1_TO_6(CASE)
#undef CASE
            }
        }
        /* while the deltas are in the cache; once for each output map */
        for (int t = first; t < first + p.size; t++) {
            const int o = s->target[t];
            if (s->connection[t] == s->first[o])
                add_bias(delta + o * out_map, (ptrdiff_t)n_rows * s->out_width,
                         dbias + o * LANES);
        }
    }
}

OUTLINE void weight_rows_5x5(const lenet_conv_shape *s, int map, int n_rows, const float *in,
                             const float *delta, float *dweights, float *dbias)
{
    weight_rows(5, 5, s, map, n_rows, in, delta, dweights, dbias);
}

OUTLINE void weight_rows_3x3(const lenet_conv_shape *s, int map, int n_rows, const float *in,
                             const float *delta, float *dweights, float *dbias)
{
    weight_rows(3, 3, s, map, n_rows, in, delta, dweights, dbias);
}

OUTLINE void weight_rows_any(const lenet_conv_shape *s, int map, int n_rows, const float *in,
                             const float *delta, float *dweights, float *dbias)
{
    weight_rows(s->kernel, 1, s, map, n_rows, in, delta, dweights, dbias);
}

static void conv_backward_weights(const lenet_conv_shape *s, const float *in,
                                  const float *delta, float *dweights, float *dbias)
{
    const ptrdiff_t in_row = (ptrdiff_t)s->in_width * LANES, in_map = s->in_height * in_row;
    const ptrdiff_t out_row = (ptrdiff_t)s->out_width * LANES;
    for (int map = 0; map < s->in_maps; map++, in += in_map) {
        /* some rows at a time, so that all kernel rows find their deltas in the cache */
        const int fed = s->first_target[map + 1] - s->first_target[map];
        const int maps_at_once = fed < WEIGHT_MAPS ? fed : WEIGHT_MAPS;
        const int at_once = CACHED_VECTORS / (maps_at_once * s->out_width + 1) + 1;
        for (int y = 0, n; y < s->out_height; y += n) {
            n = s->out_height - y < at_once ? s->out_height - y : at_once;
            const float *from = in + y * in_row, *d = delta + y * out_row;
            if (s->kernel == 5)
                weight_rows_5x5(s, map, n, from, d, dweights, dbias);
            else if (s->kernel == 3)
                weight_rows_3x3(s, map, n, from, d, dweights, dbias);
            else
                weight_rows_any(s, map, n, from, d, dweights, dbias);
        }
    }
}

/* ---- subsampling --------------------------------------------------------------------------- */

INLINE vf pool_scale(const lenet_pool *p, int map)
{
    return vf_set(p->coefficient ? p->coefficient[map] : 0.25f);
}

INLINE vf pool_shift(const lenet_pool *p, int map) { return vf_set(p->bias ? p->bias[map] : 0.0f); }

INLINE vf block_sum(const float *upper, const float *lower)
{
    return vf_add(vf_add(vf_load(upper), vf_load(upper + LANES)),
                  vf_add(vf_load(lower), vf_load(lower + LANES)));
}

/* N blocks side by side. */
INLINE void subsample_some(const int N, const int activation, vf scale, vf shift,
                           const float *upper, const float *lower, float *out)
{
    vf y[4];
    UNROLL
    for (int x = 0; x < N; x++)
        y[x] = vf_fma(block_sum(upper + 2 * x * LANES, lower + 2 * x * LANES), scale, shift);
    squash_some(activation, N, y);
    UNROLL
    for (int x = 0; x < N; x++) vf_store(out + x * LANES, y[x]);
}

INLINE void subsample_any(const int activation, int maps, int width, const lenet_pool *pool,
                          const float *in, ptrdiff_t in_stride, int n_rows)
{
    const int out_width = width / 2;
    for (int map = 0; map < maps; map++) {
        const vf scale = pool_scale(pool, map), shift = pool_shift(pool, map);
        float *to = pool->out + map * pool->out_stride;
        for (int y = 0; y < n_rows; y++) {
            const float *upper = in + map * in_stride + (ptrdiff_t)2 * y * width * LANES;
            const float *lower = upper + (ptrdiff_t)width * LANES;
            for (int left = out_width, n; left > 0; left -= n, to += n * LANES) {
                n = left >= 4 ? 4 : 1;
                if (n == 4)
                    subsample_some(4, activation, scale, shift, upper, lower, to);
                else
                    subsample_some(1, activation, scale, shift, upper, lower, to);
                upper += 2 * n * LANES;
                lower += 2 * n * LANES;
            }
        }
    }
}

static void subsample(int maps, int width, const lenet_pool *pool, const float *in,
                      ptrdiff_t in_stride, int n_rows)
{
    switch (pool->activation) {
#define CASE(kind)                                                                        \
    case kind: subsample_any(kind, maps, width, pool, in, in_stride, n_rows); break;
        CASES_OF_ACTIVATIONS(CASE)
#undef CASE
    }
}

/* The deltas d f'(a) of a block, from its outputs f(a), which they replace; gives their sum. */
INLINE vf block_backward(const int activation, vf d, float *upper, float *lower)
{
    vf y[4] = {vf_in_register(vf_load(upper)), vf_in_register(vf_load(upper + LANES)),
               vf_in_register(vf_load(lower)), vf_in_register(vf_load(lower + LANES))};
    vf sum = vf_add(vf_add(y[0], y[1]), vf_add(y[2], y[3]));
    UNROLL
    for (int i = 0; i < 4; i++) y[i] = vf_mul(d, slope(activation, y[i]));
    vf_store(upper, y[0]);
    vf_store(upper + LANES, y[1]);
    vf_store(lower, y[2]);
    vf_store(lower + LANES, y[3]);
    return sum;
}

INLINE void subsample_backward_any(int maps, int height, int width, const float *coefficient,
                                   const float *delta, const int in_activation, float *in,
                                   float *dcoefficient, float *dbias)
{
    const int out_height = height / 2, out_width = width / 2;
    const ptrdiff_t row = (ptrdiff_t)width * LANES;
    for (int map = 0; map < maps; map++, in += height * row) {
        const vf scale = vf_set(coefficient ? coefficient[map] : 0.25f);
        vf d_scale = vf_set(0.0f), d_shift = vf_set(0.0f);
        for (int y = 0; y < out_height; y++) {
            float *upper = in + 2 * y * row;
            for (int x = 0; x < out_width; x++, delta += LANES, upper += 2 * LANES) {
                vf d = vf_in_register(vf_load(delta));
                vf sum = block_backward(in_activation, vf_mul(d, scale), upper, upper + row);
                d_scale = vf_fma(d, sum, d_scale);
                d_shift = vf_add(d_shift, d);
            }
            /* an odd last column or row feeds nothing */
            if (width % 2) {
                vf_store(upper, vf_set(0.0f));
                vf_store(upper + row, vf_set(0.0f));
            }
        }
        if (height % 2) memset(in + (height - 1) * row, 0, (size_t)row * sizeof *in);
        if (coefficient) {
            float *dc = dcoefficient + map * LANES, *db = dbias + map * LANES;
            vf_store(dc, vf_add(vf_load(dc), d_scale));
            vf_store(db, vf_add(vf_load(db), d_shift));
        }
    }
}

static void subsample_backward(int maps, int height, int width, const float *coefficient,
                               const float *delta, int in_activation, float *in,
                               float *dcoefficient, float *dbias)
{
    switch (in_activation) {
#define CASE(kind)                                                                        \
    case kind:                                                                            \
        subsample_backward_any(maps, height, width, coefficient, delta, kind, in,         \
                               dcoefficient, dbias);                                      \
        break;
        CASES_OF_ACTIVATIONS(CASE)
#undef CASE
    }
}

/* ---- dense layers --------------------------------------------------------------------------- */

/* sum[r][g] += sum over k of w[r * w_row + k * w_column] * in[g][k]: the weights as stored for
 * the way forward, transposed by their strides for the way back. */
INLINE void dense_tile(const int ROWS, const int GROUPS, int n, const float *w, ptrdiff_t w_row,
                       ptrdiff_t w_column, const float *in, ptrdiff_t in_stride,
                       vf sum[DENSE_ROWS][DENSE_GROUPS])
{
    for (int k = 0; k < n; k++, w += w_column, in += LANES) {
        vf x[DENSE_GROUPS];
        UNROLL
        for (int g = 0; g < GROUPS; g++) x[g] = vf_load(in + g * in_stride);
        UNROLL
        for (int r = 0; r < ROWS; r++) {
            vf weight = vf_set(w[r * w_row]);
            UNROLL
            for (int g = 0; g < GROUPS; g++) vf_accumulate(&sum[r][g], x[g], weight);
        }
    }
}

INLINE void dense_forward_tile(const int ROWS, const int GROUPS, const lenet_dense_shape *s,
                               const float *weights, const float *bias, int activation,
                               const float *in, float *out)
{
    vf sum[DENSE_ROWS][DENSE_GROUPS];
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        UNROLL
        for (int g = 0; g < GROUPS; g++) sum[r][g] = vf_set(bias[r]);
    }
    dense_tile(ROWS, GROUPS, s->inputs, weights, s->inputs, 1, in, s->in_stride, sum);
    UNROLL
    for (int g = 0; g < GROUPS; g++) {
        float *to = out + g * s->out_stride;
        UNROLL
        for (int r = 0; r < ROWS; r++) vf_store(to + r * LANES, sum[r][g]);
        squash_lanes(activation, ROWS, to);
    }
}

INLINE void dense_backward_tile(const int ROWS, const int GROUPS, const lenet_dense_shape *s,
                                const float *weights, const float *delta, int in_activation,
                                float *in)
{
    vf sum[DENSE_ROWS][DENSE_GROUPS];
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        UNROLL
        for (int g = 0; g < GROUPS; g++) sum[r][g] = vf_set(0.0f);
    }
    dense_tile(ROWS, GROUPS, s->outputs, weights, 1, s->inputs, delta, s->out_stride, sum);
    UNROLL
    for (int g = 0; g < GROUPS; g++) {
        vf column[DENSE_ROWS];
        UNROLL
        for (int r = 0; r < ROWS; r++) column[r] = sum[r][g];
        store_delta(in_activation, column, ROWS, in + g * s->in_stride);
    }
}

INLINE void dense_groups(const int GROUPS, const lenet_dense_shape *s, const float *weights,
                         const float *bias, int activation, const float *in, float *out)
{
    for (pieces p = cut(s->outputs, DENSE_ROWS); p.size; p = next(p)) {
        const int r = p.start;
        switch (p.size) {
#define CASE(n)                                                                           \
    case n:                                                                               \
        dense_forward_tile(n, GROUPS, s, weights + (ptrdiff_t)r * s->inputs, bias + r,    \
                           activation, in, out + r * LANES);                              \
        break;
            CASES_1_TO_6(CASE)
#undef CASE
        }
    }
}

INLINE void dense_backward_groups(const int GROUPS, const lenet_dense_shape *s,
                                  const float *weights, const float *delta, int in_activation,
                                  float *in)
{
    for (pieces p = cut(s->inputs, DENSE_ROWS); p.size; p = next(p)) {
        const int r = p.start;
        switch (p.size) {
#define CASE(n)                                                                           \
    case n:                                                                               \
        dense_backward_tile(n, GROUPS, s, weights + r, delta, in_activation,              \
                            in + r * LANES);                                              \
        break;
            CASES_1_TO_6(CASE)
#undef CASE
        }
    }
}

/* As many groups at once as a tile takes: 4 (where it does), 2 or 1. */
INLINE int groups_at_once(int left)
{
    return DENSE_GROUPS == 4 && left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

static void dense(const lenet_dense_shape *s, const float *weights, const float *bias,
                  int activation, const float *in, float *out)
{
    for (int g = 0, n; g < s->groups; g += n, in += n * s->in_stride, out += n * s->out_stride) {
        n = groups_at_once(s->groups - g);
        if (n == 4)
            dense_groups(DENSE_GROUPS, s, weights, bias, activation, in, out);
        else if (n == 2)
            dense_groups(2, s, weights, bias, activation, in, out);
        else
            dense_groups(1, s, weights, bias, activation, in, out);
    }
}

static void dense_backward_input(const lenet_dense_shape *s, const float *weights,
                                 const float *delta, int in_activation, float *in)
{
    for (int g = 0, n; g < s->groups;
         g += n, in += n * s->in_stride, delta += n * s->out_stride) {
        n = groups_at_once(s->groups - g);
        if (n == 4)
            dense_backward_groups(DENSE_GROUPS, s, weights, delta, in_activation, in);
        else if (n == 2)
            dense_backward_groups(2, s, weights, delta, in_activation, in);
        else
            dense_backward_groups(1, s, weights, delta, in_activation, in);
    }
}

/* [group][feature][lane] -> [image][feature], rows `stride` floats apart and padded with 0 to
 * whole vectors. */
static void transpose(const float *in, ptrdiff_t in_stride, int groups, int features,
                      ptrdiff_t stride, float *rows)
{
    for (int g = 0; g < groups; g++) {
        float *to = rows + (ptrdiff_t)g * LANES * stride;
        for (int k = 0; k < features; k += LANES) {
            vf square[LANES];
            UNROLL
            for (int i = 0; i < LANES; i++)
                square[i] = k + i < features ? vf_load(in + g * in_stride + (k + i) * LANES)
                                             : vf_set(0.0f);
            vf_transpose(square);
            UNROLL
            for (int i = 0; i < LANES; i++) vf_storeu(to + i * stride + k, square[i]);
        }
    }
}

/* The first n floats of some vectors to `to`, or added to what is there. */
INLINE void store_sums(const int VECTORS, const vf *sum, int n, int add, float *to)
{
    if (n >= VECTORS * LANES) {
        UNROLL
        for (int v = 0; v < VECTORS; v++)
            vf_storeu(to + v * LANES, add ? vf_add(vf_loadu(to + v * LANES), sum[v]) : sum[v]);
        return;
    }
    UNROLL
    for (int v = 0; v < VECTORS; v++, to += LANES, n -= LANES)
        if (n > 0) vf_store_part(to, add ? vf_add(vf_load_part(to, n), sum[v]) : sum[v], n);
}

/* dw[o][k] for some units and some vectors of inputs: inputs in lanes here, so that no sum over
 * lanes is needed. The last vector may stick out of the row: `width` is what is left of it. */
INLINE void outer_tile(const int ROWS, const int VECTORS, int images, const float *in,
                       ptrdiff_t in_stride, const float *delta, ptrdiff_t delta_stride,
                       int width, int add, ptrdiff_t dw_stride, float *dw)
{
    vf sum[OUTER_ROWS][OUTER_VECTORS];
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        UNROLL
        for (int v = 0; v < VECTORS; v++) sum[r][v] = vf_set(0.0f);
    }
    for (int i = 0; i < images; i++, in += in_stride, delta += delta_stride) {
        vf x[OUTER_VECTORS];
        UNROLL
        for (int v = 0; v < VECTORS; v++) x[v] = vf_loadu(in + v * LANES);
        UNROLL
        for (int r = 0; r < ROWS; r++) {
            vf d = vf_set(delta[r]);
            UNROLL
            for (int v = 0; v < VECTORS; v++) vf_accumulate(&sum[r][v], x[v], d);
        }
    }
    UNROLL
    for (int r = 0; r < ROWS; r++) store_sums(VECTORS, sum[r], width, add, dw + r * dw_stride);
}

INLINE void outer_rows(const int VECTORS, const lenet_dense_shape *s, const float *in,
                       ptrdiff_t in_stride, const float *delta, ptrdiff_t delta_stride,
                       int first, int add, float *dw)
{
    const int images = s->groups * LANES;
    for (pieces p = cut(s->outputs, OUTER_ROWS); p.size; p = next(p)) {
        const int o = p.start;
        switch (p.size) {
#define CASE(n)                                                                           \
    case n:                                                                               \
        if (n <= OUTER_ROWS)                                                              \
            outer_tile(n <= OUTER_ROWS ? n : 1, VECTORS, images, in + first, in_stride,   \
                       delta + o, delta_stride, s->inputs - first, add, s->inputs,        \
                       dw + (ptrdiff_t)o * s->inputs + first);                            \
        break;
            CASES_1_TO_6(CASE)
#undef CASE
        }
    }
}

static void dense_backward_weights(const lenet_dense_shape *s, const float *in,
                                   const float *delta, float *scratch, int add, float *dweights,
                                   float *dbias)
{
    const int images = s->groups * LANES;
    const ptrdiff_t in_stride = ((ptrdiff_t)s->inputs + LANES - 1) / LANES * LANES;
    const ptrdiff_t delta_stride = ((ptrdiff_t)s->outputs + LANES - 1) / LANES * LANES;
    float *in_rows = scratch, *delta_rows = scratch + images * in_stride;
    transpose(in, s->in_stride, s->groups, s->inputs, in_stride, in_rows);
    transpose(delta, s->out_stride, s->groups, s->outputs, delta_stride, delta_rows);

    /* some columns of all images stay in the innermost cache while all units pass over them */
    const int vectors = (int)(in_stride / LANES);
    for (pieces p = cut(vectors, OUTER_VECTORS); p.size; p = next(p)) {
        switch (p.size) {
#define CASE(m)                                                                           \
    case m:                                                                               \
        if (m <= OUTER_VECTORS)                                                           \
            outer_rows(m <= OUTER_VECTORS ? m : 1, s, in_rows, in_stride, delta_rows,     \
                       delta_stride, p.start * LANES, add, dweights);                     \
        break;
            CASES_1_TO_6(CASE)
#undef CASE
        }
    }
    for (int o = 0; o < s->outputs; o++) {
        vf sum = vf_set(0.0f);
        for (int g = 0; g < s->groups; g++)
            sum = vf_add(sum, vf_load(delta + g * s->out_stride + o * LANES));
        dbias[o] = (add ? dbias[o] : 0.0f) + vf_sum(sum);
    }
}

/* ---- RBF output: y_i = sum over j of (x_j - w_ij)^2 ------------------------------------------ */

static void rbf(const lenet_dense_shape *s, const float *codes, const float *in, float *out)
{
    for (int g = 0; g < s->groups; g++) {
        const float *x = in + g * s->in_stride, *w = codes;
        float *y = out + g * s->out_stride;
        for (int i = 0; i < s->outputs; i++, w += s->inputs) {
            vf even = vf_set(0.0f), odd = vf_set(0.0f);
            for (int j = 0; j < s->inputs; j++) {
                vf distance = vf_sub(vf_load(x + j * LANES), vf_set(w[j]));
                if (j % 2)
                    odd = vf_fma(distance, distance, odd);
                else
                    even = vf_fma(distance, distance, even);
            }
            vf_store(y + i * LANES, vf_add(even, odd));
        }
    }
}

/* dE/dx_j = sum over i of 2 (x_j - w_ij) dE/dy_i, for some j at a time */
INLINE void rbf_backward_tile(const int COLUMNS, const lenet_dense_shape *s, const float *codes,
                              const float *delta, int in_activation, float *in)
{
    vf sum[6], x[6];
    UNROLL
    for (int j = 0; j < COLUMNS; j++) {
        sum[j] = vf_set(0.0f);
        x[j] = vf_load(in + j * LANES);
    }
    for (int i = 0; i < s->outputs; i++, codes += s->inputs, delta += LANES) {
        vf d = vf_load(delta);
        d = vf_add(d, d);
        UNROLL
        for (int j = 0; j < COLUMNS; j++)
            sum[j] = vf_fma(vf_sub(x[j], vf_set(codes[j])), d, sum[j]);
    }
    store_delta(in_activation, sum, COLUMNS, in);
}

static void rbf_backward_input(const lenet_dense_shape *s, const float *codes,
                               const float *delta, int in_activation, float *in)
{
    for (int g = 0; g < s->groups; g++, delta += s->out_stride, in += s->in_stride) {
        for (pieces p = cut(s->inputs, 6); p.size; p = next(p)) {
            switch (p.size) {
#define CASE(n)                                                                           \
    case n:                                                                               \
        rbf_backward_tile(n, s, codes + p.start, delta, in_activation,                    \
                          in + p.start * LANES);                                          \
        break;
                CASES_1_TO_6(CASE)
#undef CASE
            }
        }
    }
}

/* dE/dw_ij = -2 (x_j - w_ij) dE/dy_i, summed over the images */
static void rbf_backward_codes(const lenet_dense_shape *s, const float *codes, const float *in,
                               const float *delta, int add, float *dcodes)
{
    for (int i = 0; i < s->outputs; i++, delta += LANES) {
        for (int j = 0; j < s->inputs; j++, codes++, dcodes++) {
            vf sum = vf_set(0.0f), code = vf_set(*codes);
            for (int g = 0; g < s->groups; g++) {
                vf distance = vf_sub(vf_load(in + g * s->in_stride + j * LANES), code);
                sum = vf_fma(distance, vf_load(delta + g * s->out_stride), sum);
            }
            *dcodes = (add ? *dcodes : 0.0f) - 2.0f * vf_sum(sum);
        }
    }
}

/* ---- sums and updates ------------------------------------------------------------------------ */

static void sum_lanes(const float *in, ptrdiff_t n, int add, float *sums)
{
    ptrdiff_t i = 0;
    /* LANES sums at once: neighbours are added in pairs until one vector has them all */
    for (; i + LANES <= n; i += LANES, in += LANES * LANES) {
        vf part[LANES];
        UNROLL
        for (int k = 0; k < LANES; k++) part[k] = vf_load(in + k * LANES);
        UNROLL
        for (int left = LANES / 2; left > 0; left /= 2) {
            UNROLL
            for (int k = 0; k < left; k++) part[k] = vf_add_pairs(part[2 * k], part[2 * k + 1]);
        }
        vf_storeu(sums + i, add ? vf_add(vf_loadu(sums + i), part[0]) : part[0]);
    }
    for (; i < n; i++, in += LANES) sums[i] = (add ? sums[i] : 0.0f) + vf_sum(vf_load(in));
}

static int sum_partials(const float *partials, ptrdiff_t stride, int n_partials, int add,
                        ptrdiff_t n, float *sum)
{
    /* 0 * x is 0 if x is finite, else NaN */
    vf probe = vf_set(0.0f);
    float rest = 0.0f;
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf total = add ? vf_add(vf_loadu(sum + i), vf_loadu(partials + i)) : vf_loadu(partials + i);
        for (int p = 1; p < n_partials; p++)
            total = vf_add(total, vf_loadu(partials + p * stride + i));
        probe = vf_fma(total, vf_set(0.0f), probe);
        vf_storeu(sum + i, total);
    }
    for (; i < n; i++) {
        float total = add ? sum[i] + partials[i] : partials[i];
        for (int p = 1; p < n_partials; p++) total += partials[p * stride + i];
        rest += total * 0.0f;
        sum[i] = total;
    }
    return vf_sum(probe) + rest == 0.0f;
}

INLINE vf sgd_one(const lenet_optimizer *o, vf g, vf *velocity, vf p)
{
    if (velocity) g = *velocity = vf_fma(vf_set(o->momentum), *velocity, g);
    return vf_fma(g, vf_set(-o->rate), vf_mul(p, vf_set(1.0f - o->rate * o->weight_decay)));
}

static int update_sgd(const lenet_optimizer *o, const float *gradient, ptrdiff_t first,
                      ptrdiff_t n, float *parameters)
{
    float *velocity = o->first ? o->first + first : NULL;
    const ptrdiff_t whole = n / LANES * LANES, left = n - whole;
    vf probe = vf_set(0.0f), v = probe;
    gradient += first;
    parameters += first;
    for (ptrdiff_t i = 0; i < whole; i += LANES) {
        if (velocity) v = vf_loadu(velocity + i);
        vf p = sgd_one(o, vf_loadu(gradient + i), velocity ? &v : NULL, vf_loadu(parameters + i));
        if (velocity) vf_storeu(velocity + i, v);
        vf_storeu(parameters + i, p);
        probe = vf_fma(p, vf_set(0.0f), probe);
    }
    if (left) {
        if (velocity) v = vf_load_part(velocity + whole, left);
        vf p = sgd_one(o, vf_load_part(gradient + whole, left), velocity ? &v : NULL,
                       vf_load_part(parameters + whole, left));
        if (velocity) vf_store_part(velocity + whole, v, left);
        vf_store_part(parameters + whole, p, left);
        probe = vf_fma(p, vf_set(0.0f), probe);
    }
    return vf_sum(probe) == 0.0f;
}

static int update_sdlm(const lenet_optimizer *o, const float *gradient, ptrdiff_t first,
                       ptrdiff_t n, float *parameters)
{
    const float *rate = o->first + first;
    const ptrdiff_t whole = n / LANES * LANES, left = n - whole;
    const vf zero = vf_set(0.0f);
    vf probe = zero;
    gradient += first;
    parameters += first;
    for (ptrdiff_t i = 0; i < whole; i += LANES) {
        vf p = vf_fma(vf_sub(zero, vf_loadu(rate + i)), vf_loadu(gradient + i),
                      vf_loadu(parameters + i));
        vf_storeu(parameters + i, p);
        probe = vf_fma(p, zero, probe);
    }
    if (left) {
        vf p = vf_fma(vf_sub(zero, vf_load_part(rate + whole, left)),
                      vf_load_part(gradient + whole, left), vf_load_part(parameters + whole, left));
        vf_store_part(parameters + whole, p, left);
        probe = vf_fma(p, zero, probe);
    }
    return vf_sum(probe) == 0.0f;
}

/* m and v start at 0; m_scale (with the rate in it) and v_scale make up for it. */
INLINE vf adam_one(const lenet_optimizer *o, float m_scale, float v_scale, vf g, vf *m, vf *v,
                   vf p)
{
    *m = vf_fma(vf_set(o->beta1), *m, vf_mul(vf_set(1.0f - o->beta1), g));
    *v = vf_fma(vf_set(o->beta2), *v, vf_mul(vf_set(1.0f - o->beta2), vf_mul(g, g)));
    vf size = vf_add(vf_sqrt(vf_mul(*v, vf_set(v_scale))), vf_set(o->epsilon));
    p = vf_fma(p, vf_set(-o->rate * o->weight_decay), p);
    return vf_sub(p, vf_quotient(vf_mul(*m, vf_set(m_scale)), size));
}

static int update_adam(const lenet_optimizer *o, const float *gradient, ptrdiff_t first,
                       ptrdiff_t n, float *parameters)
{
    const double t = (double)o->step;
    const float m_scale = (float)(o->rate / (1.0 - pow(o->beta1, t)));
    const float v_scale = (float)(1.0 / (1.0 - pow(o->beta2, t)));
    const ptrdiff_t whole = n / LANES * LANES, left = n - whole;
    float *first_moment = o->first + first, *second_moment = o->second + first;
    vf probe = vf_set(0.0f);
    gradient += first;
    parameters += first;
    for (ptrdiff_t i = 0; i < whole; i += LANES) {
        vf m = vf_loadu(first_moment + i), v = vf_loadu(second_moment + i);
        vf p = adam_one(o, m_scale, v_scale, vf_loadu(gradient + i), &m, &v,
                        vf_loadu(parameters + i));
        vf_storeu(first_moment + i, m);
        vf_storeu(second_moment + i, v);
        vf_storeu(parameters + i, p);
        /* a second moment that overflows would stop its parameter for good */
        probe = vf_fma(vf_add(p, v), vf_set(0.0f), probe);
    }
    if (left) {
        vf m = vf_load_part(first_moment + whole, left), v = vf_load_part(second_moment + whole, left);
        vf p = adam_one(o, m_scale, v_scale, vf_load_part(gradient + whole, left), &m, &v,
                        vf_load_part(parameters + whole, left));
        vf_store_part(first_moment + whole, m, left);
        vf_store_part(second_moment + whole, v, left);
        /* lanes past the end hold 0/0 when epsilon is 0: only what is stored counts */
        vf_store_part(parameters + whole, p, left);
        p = vf_load_part(parameters + whole, left);
        v = vf_load_part(second_moment + whole, left);
        probe = vf_fma(vf_add(p, v), vf_set(0.0f), probe);
    }
    return vf_sum(probe) == 0.0f;
}

/* ---- what the core can do at most -------------------------------------------------------------- */

INLINE double multiply_adds_of(const int LOADS, int64_t rounds, float *sink)
{
    enum { SUMS = 12, REPEATS = 8 };
    const float *addend = sink + LANES;
    vf sum[SUMS], x = vf_set(sink[0]), y = vf_set(sink[1]);
    UNROLL
    for (int i = 0; i < SUMS; i++) sum[i] = vf_set((float)i);
    for (int64_t round = 0; round < rounds; round++) {
        UNROLL
        for (int k = 0; k < REPEATS; k++) {
            UNROLL
            for (int i = 0; i < SUMS; i += 2) {
                PIN(addend);  /* read each time, and where it is used */
                if (LOADS) y = vf_in_register(vf_load(addend + i / 2 * LANES));
                sum[i] = vf_fma(sum[i], x, y);
                sum[i + 1] = vf_fma(sum[i + 1], x, y);
            }
        }
    }
    vf total = sum[0];
    UNROLL
    for (int i = 1; i < SUMS; i++) total = vf_add(total, sum[i]);
    sink[0] = vf_sum(total);
    return (double)SUMS * REPEATS * LANES;
}

static double multiply_adds(int64_t rounds, int loads, float *sink)
{
    return loads ? multiply_adds_of(1, rounds, sink) : multiply_adds_of(0, rounds, sink);
}

#include "kernels/winograd.h"
#include "kernels/rows.h"
#include "kernels/corrupt.h"
#include "kernels/distort.h"

#define LENET_DEFINE_KERNELS(isa)                                                         \
    const lenet_kernels *lenet_kernels_##isa(void)                                        \
    {                                                                                     \
        static const lenet_kernels table = {                                              \
            .name = #isa,                                                                 \
            .lanes = LANES,                                                               \
            .few = FEW,                                                                   \
            .few_in_training = FEW_IN_TRAINING,                                           \
            .winograd_maps = WINOGRAD_MAPS,                                               \
            .winograd_trains = WINOGRAD_TRAINS,                                           \
            .load_grey = load_grey,                                                       \
            .rows_to_lanes = rows_to_lanes,                                               \
            .lanes_to_rows = lanes_to_rows,                                               \
            .conv = conv,                                                                 \
            .winograd_weights = winograd_weights,                                         \
            .winograd_conv = winograd_conv,                                               \
            .winograd_backward_input = winograd_backward_input,                           \
            .winograd_backward_weights = winograd_backward_weights,                       \
            .winograd_gradient = winograd_gradient,                                       \
            .conv_backward_input = conv_backward_input,                                   \
            .conv_backward_weights = conv_backward_weights,                               \
            .subsample = subsample,                                                       \
            .subsample_backward = subsample_backward,                                     \
            .dense = dense,                                                               \
            .dense_backward_input = dense_backward_input,                                 \
            .dense_backward_weights = dense_backward_weights,                             \
            .rbf = rbf,                                                                   \
            .rbf_backward_input = rbf_backward_input,                                     \
            .rbf_backward_codes = rbf_backward_codes,                                     \
            .load_grey_rows = load_grey_rows,                                             \
            .conv_of_one = conv_of_one,                                                   \
            .subsample_of_one = subsample_of_one,                                         \
            .dense_of_one = dense_of_one,                                                 \
            .rbf_of_one = rbf_of_one,                                                     \
            .conv_backward_weights_of_one = conv_backward_weights_of_one,                 \
            .conv_backward_input_of_one = conv_backward_input_of_one,                     \
            .subsample_backward_of_one = subsample_backward_of_one,                       \
            .dense_backward_of_one = dense_backward_of_one,                               \
            .dense_step_of_one = dense_step_of_one,                                       \
            .rbf_backward_of_one = rbf_backward_of_one,                                   \
            .squash = squash,                                                             \
            .squash_backward = squash_backward,                                           \
            .sum_lanes = sum_lanes,                                                       \
            .sum_partials = sum_partials,                                                 \
            .update_sgd = update_sgd,                                                     \
            .update_adam = update_adam,                                                   \
            .update_sdlm = update_sdlm,                                                   \
            .distort = distort,                                                           \
            .corrupt = corrupt,                                                           \
            .multiply_adds = multiply_adds,                                               \
        };                                                                                \
        return &table;                                                                    \
    }
