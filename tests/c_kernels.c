/* Holds each kernel of the table in use (--isa or LENET_C_ISA picks it) against plain loops in double,
 * on random values and odd sizes. Built and run by test_c_api.py, and for ARM by `make test-arm`;
 * ends with an error at the first value that differs, saying where.
 *
 * --bench [NAME]: times the same calls, of the kernels that have NAME in theirs, on shapes of the
 * networks, beside the plain loops and the most multiply-adds that the core does (make bench-kernels). */
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200112L  /* setenv */
#endif
#include <math.h>
#ifndef __wasm__
#include <setjmp.h>
#endif
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(_WIN32)
#include <malloc.h>
#define ALIGNED_ALLOC(size) _aligned_malloc(size, 64)
#define ALIGNED_FREE _aligned_free
#define setenv(name, value, anew) _putenv_s(name, value)
#else
#define ALIGNED_ALLOC(size) aligned_alloc(64, size)
#define ALIGNED_FREE free
#endif

#include "kernels/kernels.h"
#include "sys/watch.h"

static const lenet_kernels *table;
static int L;               /* its lanes */
static const char *kernel;  /* the one that is looked at */
static char what[200];      /* and the case */

static void describe(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
}

static _Noreturn void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("%s, %s, %s: ", table->name, kernel, what);
    vprintf(format, arguments);
    printf("\n");
    exit(1);
}

/* ---- the clock ------------------------------------------------------------------------------ */

enum { ROUNDS = 15, PLAIN_ROUNDS = 3 };
static const double round_seconds = 0.002;

static int is_timing;  /* a check then times its first call, and ends there */
static int shape, n_shapes;  /* the one to time, of so many that the kernel is timed on */
static struct {
    int64_t calls, left;  /* of a round */
    int rounds, plain_rounds;
    double begin, best;   /* seconds; of a call */
    double plain_begin, plain_best, plain;
    double multiply_adds;
} timing;

#ifdef __wasm__  /* has no longjmp: kernels are checked there, but not timed */
enum { CAN_TIME = 0 };
static void run_until_timed(void (*check)(void)) { check(); }
static void end_timing(void) {}
#else
enum { CAN_TIME = 1 };
static jmp_buf is_timed;
static void run_until_timed(void (*check)(void))
{
    if (!setjmp(is_timed)) check();
}
static _Noreturn void end_timing(void) { longjmp(is_timed, 1); }
#endif

/* Whether the call that has just come back is to be made again. */
static int again(void)
{
    if (!is_timing || --timing.left > 0) return is_timing;
    if (timing.calls) {
        const double took = lenet_seconds() - timing.begin;
        if (took < round_seconds) {
            timing.calls *= 2;
        } else {
            timing.best = fmin(timing.best, took / (double)timing.calls);
            if (++timing.rounds == ROUNDS) end_timing();
        }
    } else {
        timing.calls = 1;
    }
    timing.left = timing.calls;
    timing.begin = lenet_seconds();
    return 1;
}

/* Whether the plain loop is to run, again. */
static int plain_again(void)
{
    const double now = lenet_seconds();
    if (timing.plain_rounds > 0) timing.plain_best = fmin(timing.plain_best, now - timing.plain_begin);
    if (timing.plain_rounds == (is_timing ? PLAIN_ROUNDS : 1)) {
        timing.plain += timing.plain_best;
        timing.plain_rounds = 0;
        return 0;
    }
    if (timing.plain_rounds++ == 0) timing.plain_best = INFINITY;
    timing.plain_begin = lenet_seconds();
    return 1;
}

/* What a check asks the kernel for, and the plain loop that says what it ought to give. */
#define CALL(...) do { __VA_ARGS__; } while (again())
#define PLAIN(...) while (plain_again()) { __VA_ARGS__; }

/* From a plain loop: how many multiply-adds it has. */
static void count(double multiply_adds)
{
    if (timing.plain_rounds == 1) timing.multiply_adds += multiply_adds;
}

/* Sizes 1 .. most, or the one that is timed */
#define EACH_SIZE(n, most, timed) \
    for (int n = is_timing ? (timed) : 1; n <= (is_timing ? (timed) : (most)); n++)

/* ---- random values, memory that tells what was written past its ends, comparison ---------- */

static uint64_t state = 1;

static uint32_t draw(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}

static float uniform(void) { return (float)((double)draw() / 2147483648.0 - 1.0); }

enum { FENCE = 16, MOST_BUFFERS = 64 };  /* a fence keeps the 64 bytes of alignment */
static struct { float *start; size_t n; } buffers[MOST_BUFFERS];
static int n_buffers;

/* n values in (-1, 1) at an address that 64 divides, with NaN before and after: a kernel that
 * reads past the ends shows it in its sums. */
static float *floats(size_t n)
{
    float *start = ALIGNED_ALLOC((n + 2 * FENCE + 15) / 16 * 16 * sizeof *start);
    if (!start || n_buffers == MOST_BUFFERS) fail("no memory");
    for (size_t i = 0; i < n + 2 * FENCE; i++)
        start[i] = i < FENCE || i >= FENCE + n ? NAN : uniform();
    buffers[n_buffers].start = start;
    buffers[n_buffers++].n = n;
    return start + FENCE;
}

/* The same at an address that no kernel may count on. */
static float *unaligned(size_t n) { return floats(n + 1) + 1; }

static float *copy_of(const float *values, size_t n)
{
    return memcpy(floats(n), values, n * sizeof *values);
}

/* Sums in double, and the sums of their terms' sizes, which a float's error is a share of. */
typedef struct { double *sum, *size; size_t n; } expected;
static expected expectations[MOST_BUFFERS];
static int n_expectations;

static expected expect(size_t n)
{
    /* a loop that is timed does not look after its error */
    expected e = {calloc(n, sizeof *e.sum), is_timing ? NULL : calloc(n, sizeof *e.size), n};
    if (!e.sum || !(e.size || is_timing) || n_expectations == MOST_BUFFERS) fail("no memory");
    return expectations[n_expectations++] = e;
}

static void add(expected e, size_t i, double term)
{
    e.sum[i] += term;
    if (e.size) e.size[i] += fabs(term);
}

/* The error of value i grows with that of `other`, or by itself. */
static void grow(expected e, size_t i, double factor, double other)
{
    if (e.size) e.size[i] = factor * e.size[i] + other;
}

static void add_all(expected e, const float *terms)
{
    for (size_t i = 0; i < e.n; i++) add(e, i, terms[i]);
}

static expected part(expected e, size_t first, size_t n)
{
    return (expected){e.sum + first, e.size ? e.size + first : NULL, n};
}

static double tolerance = 2e-6;
static size_t n_compared, n_not_zero;  /* of this kernel's outputs */

static void compare(const char *name, const float *got, expected want)
{
    for (size_t i = 0; i < want.n; i++) {
        /* NaN is never within */
        if (!(fabs(got[i] - want.sum[i]) <= tolerance * want.size[i]))
            fail("%s[%zu] is %.9g, want %.9g", name, i, got[i], want.sum[i]);
        n_not_zero += got[i] != 0.0f;
    }
    n_compared += want.n;
}

/* compare() for rows that lie `stride` floats apart in `got` and without a gap in `want` */
static void compare_rows(const char *name, const float *got, int rows, ptrdiff_t stride,
                         expected want)
{
    const size_t n = want.n / (size_t)rows;
    for (int row = 0; row < rows; row++)
        compare(name, got + row * stride, part(want, row * n, n));
    for (ptrdiff_t i = 0; i < rows * stride; i++)
        if (!isfinite(got[i])) fail("%s: not finite past the width", name);
}

/* Frees what the case took, after a look at the fences. */
static void release(void)
{
    for (int b = 0; b < n_buffers; b++) {
        const float *start = buffers[b].start, *end = start + FENCE + buffers[b].n;
        for (int i = 0; i < FENCE; i++)
            if (!isnan(start[i]) || !isnan(end[i])) fail("wrote past an array");
        ALIGNED_FREE(buffers[b].start);
    }
    for (int e = 0; e < n_expectations; e++) {
        free(expectations[e].sum);
        free(expectations[e].size);
    }
    n_buffers = n_expectations = 0;
}

/* ---- the activations ------------------------------------------------------------------------ */

enum { ACTIVATIONS = LENET_ACTIVATIONS };

static double activate(int activation, double a)
{
    switch (activation) {
    case LENET_SCALED_TANH: return 1.7159 * tanh(2.0 / 3.0 * a);
    case LENET_TANH: return tanh(a);
    case LENET_RELU: return a > 0.0 ? a : 0.0;
    case LENET_SIGMOID: return 1.0 / (1.0 + exp(-a));
    default: return a;
    }
}

static double slope_at(int activation, double y)
{
    switch (activation) {
    case LENET_SCALED_TANH: return 2.0 / 3.0 * (1.7159 - y * y / 1.7159);
    case LENET_TANH: return 1.0 - y * y;
    case LENET_RELU: return y > 0.0;
    case LENET_SIGMOID: return y * (1.0 - y);
    default: return 1.0;
    }
}

/* n values that a layer with this activation can have given: ReLU's are 0 as often as not. */
static float *outputs_of(int activation, size_t n)
{
    float *y = floats(n);
    for (size_t i = 0; i < n; i++) y[i] = (float)activate(activation, y[i]);
    return y;
}

/* Sums become f(sum). No slope is above 1.15; f(0) has an error of its own if it is not 0. */
static void activate_all(int activation, expected e)
{
    for (size_t i = 0; i < e.n; i++) {
        e.sum[i] = activate(activation, e.sum[i]);
        grow(e, i, 1.15, activate(activation, 0.0));
    }
}

/* Sums become sum * f'(a), with f(a) in y. */
static void times_slope(int activation, expected e, const float *y)
{
    for (size_t i = 0; i < e.n; i++) {
        e.sum[i] *= slope_at(activation, y[i]);
        grow(e, i, 1.15, 0.0);
    }
}

/* The same for values in rows that lie `stride` floats apart in y */
static void times_slope_in_rows(int activation, expected e, const float *y, int rows,
                                ptrdiff_t stride)
{
    const size_t n = e.n / (size_t)rows;
    for (int row = 0; row < rows; row++)
        times_slope(activation, part(e, row * n, n), y + row * stride);
}

/* ---- images and rows to lanes and back ------------------------------------------------------ */

/* height, width, and what they are put into */
static const int grey_sizes[][4] = {{28, 28, 32, 32}, {28, 28, 28, 28}, {5, 7, 9, 11},
                                    {4, 4, 5, 6},     {3, 17, 6, 17},   {1, 1, 3, 2}};

/* No byte longer than they are, for the tools that see each byte read. */
static uint8_t *grey_pixels(int n)
{
    uint8_t *pixels = malloc((size_t)n);
    if (!pixels) fail("no memory");
    for (int i = 0; i < n; i++) pixels[i] = (uint8_t)(draw() >> 24);
    return pixels;
}

/* One lane of `lanes`; image NULL: nothing but background. */
static void expect_grey(expected want, int lane, int lanes, const uint8_t *image, int height,
                        int width, int out_height, int out_width)
{
    const int top = (out_height - height) / 2, left = (out_width - width) / 2;
    for (int y = 0; y < out_height; y++) {
        for (int x = 0; x < out_width; x++) {
            size_t i = (size_t)((y * out_width + x) * lanes + lane);
            add(want, i, -0.1f);
            if (image && y >= top && y < top + height && x >= left && x < left + width)
                add(want, i, 1.275 / 255.0 * image[(y - top) * width + x - left]);
        }
    }
}

static void check_load_grey(void)
{
    for (size_t c = 0; c < sizeof grey_sizes / sizeof *grey_sizes; c++) {
        const int height = grey_sizes[c][0], width = grey_sizes[c][1];
        const int out_height = grey_sizes[c][2], out_width = grey_sizes[c][3];
        for (int n = is_timing ? L : 1; n <= L; n++) {
            describe("%d images of %d x %d into %d x %d", n, height, width, out_height, out_width);
            uint8_t *pixels = grey_pixels(n * height * width);
            const uint8_t *images[LENET_MAX_LANES];
            for (int i = 0; i < n; i++) images[i] = pixels + i * height * width;
            expected want = expect((size_t)(out_height * out_width * L));
            for (int lane = 0; lane < L; lane++)
                expect_grey(want, lane, L, lane < n ? images[lane] : NULL, height, width,
                            out_height, out_width);
            float *out = floats(want.n);
            CALL(table->load_grey(images, n, height, width, -0.1f, 1.175f, out_height, out_width, out));
            compare("out", out, want);
            free(pixels);
            release();
        }
    }
}

static void each_rows(int to_lanes)
{
    for (int n = is_timing ? L : 1; n <= L; n++) {
        for (int count = is_timing ? 400 : 1; count < (is_timing ? 401 : 20); count++) {
            describe("%d rows of %d", n, count);
            float *lanes = floats((size_t)(count * L)), *values = floats((size_t)(n * count));
            float *rows[LENET_MAX_LANES];
            for (int i = 0; i < n; i++) rows[i] = values + i * count;
            if (to_lanes)
                CALL(table->rows_to_lanes((const float *const *)rows, n, count, lanes));
            else
                CALL(table->lanes_to_rows(lanes, n, count, rows));
            for (int i = 0; i < count; i++)
                for (int lane = 0; lane < (to_lanes ? L : n); lane++)
                    if (lanes[i * L + lane] != (lane < n ? rows[lane][i] : 0.0f))
                        fail("feature %d, lane %d", i, lane);
            release();
        }
    }
}

static void check_rows_to_lanes(void) { each_rows(1); }
static void check_lanes_to_rows(void) { each_rows(0); }

/* ---- convolution ---------------------------------------------------------------------------- */

enum { MOST_MAPS = 48, MOST_CONNECTIONS = MOST_MAPS * MOST_MAPS };
/* all to all; two of three; all but the last input map; from one to all; LeNet-5's C3 */
enum { DENSE, SPARSE, ONE_UNUSED, UNEVEN, TABLE_1998 };

static int connected(int kind, int from, int to, int in_maps)
{
    static const char *table_1998[] = {"#   ###  #### ##", "##   ###  #### #", "###   ###  # ###",
                                       " ###  ####  # ##", "  ###  #### ## #", "   ###  #### ###"};
    if (kind == TABLE_1998) return table_1998[from][to] == '#';
    if (kind == UNEVEN) return (from + to) % in_maps <= to * 5 % in_maps;
    if (kind == SPARSE) return (from + to) % 3 != 2 || in_maps == 1;
    return kind == DENSE || in_maps == 1 || from != in_maps - 1;
}

/* Fills the lists, which the next call overwrites. */
static lenet_conv_shape conv_shape(int in_maps, int out_height, int out_width, int out_maps,
                                   int side, int kind)
{
    static int32_t first[MOST_MAPS + 1], source[MOST_CONNECTIONS];
    static int32_t target_begin[MOST_MAPS + 1], connection[MOST_CONNECTIONS];
    static int32_t target[MOST_CONNECTIONS];
    int32_t number[MOST_MAPS][MOST_MAPS], n = 0;
    for (int o = 0; o < out_maps; o++) {
        first[o] = n;
        for (int c = 0; c < in_maps; c++) {
            if (!connected(kind, c, o, in_maps)) continue;
            number[c][o] = n;
            source[n++] = c;
        }
    }
    first[out_maps] = n;
    n = 0;
    for (int c = 0; c < in_maps; c++) {
        target_begin[c] = n;
        for (int o = 0; o < out_maps; o++) {
            if (!connected(kind, c, o, in_maps)) continue;
            connection[n] = number[c][o];
            target[n++] = o;
        }
    }
    target_begin[in_maps] = n;
    describe("%d -> %d maps of %d x %d, kernel %d x %d", in_maps, out_maps, out_height, out_width,
             side, side);
    lenet_conv_shape s = {
        .in_maps = in_maps, .in_height = out_height + side - 1, .in_width = out_width + side - 1,
        .out_maps = out_maps, .out_height = out_height, .out_width = out_width, .kernel = side,
        .begin = first, .source = source,
        .target_begin = target_begin, .connection = connection, .target = target};
    static lenet_slots slots[MOST_MAPS];
    if (lenet_deal(&s, L, slots)) s.slots = slots;
    return s;
}

/* As in outputs that are so many columns wide, sizes of networks that nobody has thought of. */
static lenet_conv_shape any_conv_shape(int width)
{
    const int side = 1 + (int)(draw() % 9), height = 1 + (int)(draw() % 6);
    const int in_maps = 1 + (int)(draw() % 20), most = 1 + 60 / in_maps;
    return conv_shape(in_maps, height, width, 1 + (int)(draw() % (most < 20 ? most : 20)), side,
                      (int)(draw() % TABLE_1998));
}

/* Layers of the networks, every tile width for every kind of kernel, and whole-map kernels. */
static void each_conv(void (*check)(const lenet_conv_shape *s, int activation))
{
    static const int shapes[][6] = {
        {1, 28, 28, 6, 5, DENSE},   {1, 24, 24, 6, 5, DENSE}, {6, 10, 10, 16, 5, SPARSE},
        {6, 8, 8, 16, 5, DENSE},    {1, 26, 26, 6, 3, DENSE}, {6, 11, 11, 16, 3, SPARSE},
        {3, 13, 10, 7, 5, SPARSE},  {4, 5, 8, 5, 5, SPARSE},  {3, 4, 11, 5, 3, ONE_UNUSED},
        {4, 7, 6, 11, 5, ONE_UNUSED}, {16, 1, 1, 9, 5, DENSE},  {16, 1, 1, 5, 4, DENSE},
        {2, 40, 29, 5, 5, DENSE},   {1, 37, 43, 4, 7, DENSE}, {3, 5, 13, 45, 5, DENSE},
        {5, 6, 4, 40, 3, SPARSE},   {3, 4, 5, 36, 4, ONE_UNUSED}, {1, 3, 21, 45, 7, DENSE},
        {6, 10, 10, 16, 5, TABLE_1998}, {6, 7, 9, 16, 3, TABLE_1998}, {6, 5, 3, 37, 5, UNEVEN},
        {8, 4, 3, 16, 3, UNEVEN},   {5, 3, 2, 41, 4, UNEVEN}, {7, 6, 1, 11, 2, UNEVEN},
        {3, 7, 6, 37, 5, SPARSE}, {3, 10, 2, 11, 5, UNEVEN},   {4, 8, 12, 7, 5, ONE_UNUSED},
        {1, 76, 4, 2, 5, DENSE},    {5, 2, 2, 7, 7, DENSE},   {4, 1, 4, 6, 3, SPARSE},
        {4, 5, 3, 5, 4, DENSE},     {3, 18, 20, 1, 3, DENSE}, {2, 9, 14, 1, 7, DENSE},
        {4, 5, 4, 6, 6, SPARSE},    {2, 11, 3, 1, 7, DENSE},  {3, 9, 1, 8, 7, ONE_UNUSED}};
    static const int sides[] = {1, 2, 3, 5, 7};
    /* C1 and C3 of 32 x 32 images, with 5 x 5 and with 3 x 3 kernels */
    static const int timed[][6] = {{1, 28, 28, 6, 5, DENSE}, {6, 10, 10, 16, 5, TABLE_1998},
                                   {1, 30, 30, 6, 3, DENSE}, {6, 13, 13, 16, 3, TABLE_1998}};
    int activation = 0;
    if (is_timing) {
        const int *c = timed[shape];
        const lenet_conv_shape s = conv_shape(c[0], c[1], c[2], c[3], c[4], c[5]);
        n_shapes = sizeof timed / sizeof *timed;
        check(&s, LENET_SCALED_TANH);
        return;
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int *c = shapes[i];
        lenet_conv_shape s = conv_shape(c[0], c[1], c[2], c[3], c[4], c[5]);
        for (activation = 0; activation < ACTIVATIONS; activation++) {
            check(&s, activation);
            release();
        }
    }
    for (size_t k = 0; k < sizeof sides / sizeof *sides; k++) {
        for (int width = 1; width <= 30; width++, activation++) {
            lenet_conv_shape s
                = conv_shape(2, 1 + width % 4, width, 1 + width % 5, sides[k], SPARSE);
            check(&s, activation % ACTIVATIONS);
            release();
        }
    }
    for (int width = 1; width <= 40; width++, activation++) {
        lenet_conv_shape s = any_conv_shape(width);
        check(&s, activation % ACTIVATIONS);
        release();
    }
}

static size_t n_inputs(const lenet_conv_shape *s)
{
    return (size_t)(s->in_maps * s->in_height * s->in_width * L);
}

static size_t n_outputs(const lenet_conv_shape *s)
{
    return (size_t)(s->out_maps * s->out_height * s->out_width * L);
}

static size_t n_weights(const lenet_conv_shape *s)
{
    return (size_t)(s->begin[s->out_maps] * s->kernel * s->kernel);
}

/* At no particular address, and not so large that most sums leave the curved part of tanh. */
static float *conv_weights(const lenet_conv_shape *s)
{
    float *weights = unaligned(n_weights(s));
    const float fan_in = (float)(s->kernel * s->kernel * s->in_maps);
    for (size_t i = 0; i < n_weights(s); i++) weights[i] *= 2.0f / sqrtf(fan_in);
    return weights;
}

/* Of the weights, inputs and deltas of a convolution two; the third is NULL. `lanes` images lie side
 * by side, in rows of inputs and of deltas that are so many values apart. */
typedef struct {
    const lenet_conv_shape *s;
    int lanes;
    ptrdiff_t in_stride, delta_stride;
    const float *weights, *in, *delta;
} conv_operands;

/* A group of lanes: rows without a gap. */
static conv_operands in_lanes(const lenet_conv_shape *s)
{
    return (conv_operands){
        .s = s, .lanes = L, .in_stride = s->in_width, .delta_stride = s->out_width};
}

/* The products of the two, added up where the third would be: outputs, where it is the deltas. */
static expected conv_products(const conv_operands *c)
{
    const lenet_conv_shape *s = c->s;
    const int K = s->kernel, lanes = c->lanes;
    expected sums = expect((!c->delta    ? n_outputs(s) / L
                            : !c->weights ? n_weights(s)
                                          : n_inputs(s) / L)
                           * lanes);
    for (int o = 0; o < s->out_maps; o++)
        for (int t = s->begin[o]; t < s->begin[o + 1]; t++)
            for (int y = 0; y < s->out_height; y++)
                for (int x = 0; x < s->out_width; x++)
                    for (int i = 0; i < K; i++)
                        for (int j = 0; j < K; j++) {
                            const int in_row = s->source[t] * s->in_height + y + i;
                            const int out_row = o * s->out_height + y, w = (t * K + i) * K + j;
                            const int third = !c->delta     ? out_row * s->out_width + x
                                              : !c->weights ? w
                                                            : in_row * s->in_width + x + j;
                            for (int lane = 0; lane < lanes; lane++) {
                                double product = c->weights ? c->weights[w] : 1.0;
                                if (c->in)
                                    product *= c->in[(in_row * c->in_stride + x + j) * lanes + lane];
                                if (c->delta)
                                    product *= c->delta[(out_row * c->delta_stride + x) * lanes
                                                        + lane];
                                add(sums, (size_t)(third * lanes + lane), product);
                            }
                        }
    count((double)n_weights(s) * s->out_height * s->out_width * lanes);
    return sums;
}

static expected conv_outputs(const conv_operands *c, const float *bias, int activation)
{
    expected want = conv_products(c);
    for (size_t i = 0; i < want.n; i++) add(want, i, bias[i / (want.n / c->s->out_maps)]);
    activate_all(activation, want);
    return want;
}

static expected conv_bias(const conv_operands *c)
{
    const int rows = c->s->out_height, row = c->s->out_width * c->lanes;
    expected want = expect((size_t)(c->s->out_maps * c->lanes));
    for (int y = 0; y < c->s->out_maps * rows; y++)
        for (int x = 0; x < row; x++)
            add(want, (size_t)(y / rows * c->lanes + x % c->lanes),
                c->delta[y * c->delta_stride * c->lanes + x]);
    return want;
}

/* What a convolution is given, by Winograd with scratch. */
typedef struct {
    const float *weights, *bias, *in;
    float *scratch;
    int activation;
} conv_inputs;

/* The whole of it, then some rows, with room between the maps. */
static void compare_rows_of_conv(const lenet_conv_shape *s, const conv_inputs *c, expected want)
{
    const size_t row_size = (size_t)(s->out_width * L), map_size = row_size * s->out_height;
    for (int row = 0; row < s->out_height && row < 3; row++) {
        for (int n_rows = s->out_height - row; n_rows > 0;
             n_rows = n_rows > 4 ? 4 : n_rows - 1) {
            const size_t stride = n_rows * row_size + 16;
            float *out = floats(s->out_maps * stride);
            const float *before = copy_of(out, s->out_maps * stride);
            if (c->scratch)
                CALL(table->winograd_conv(s, c->weights, c->bias, c->activation, c->in, row, n_rows,
                                          (ptrdiff_t)stride, c->scratch, out, NULL));
            else
                CALL(table->conv(s, c->weights, c->bias, c->activation, c->in, row, n_rows,
                                 (ptrdiff_t)stride, out));
            for (int map = 0; map < s->out_maps; map++) {
                compare("out", out + map * stride,
                        part(want, map * map_size + row * row_size, n_rows * row_size));
                if (memcmp(out + (map + 1) * stride - 16, before + (map + 1) * stride - 16,
                           16 * sizeof *out) != 0)
                    fail("wrote between the maps");
            }
        }
    }
}

static void conv_case(const lenet_conv_shape *s, int activation)
{
    conv_operands c = in_lanes(s);
    const float *bias = floats((size_t)s->out_maps);
    c.in = floats(n_inputs(s));
    c.weights = conv_weights(s);
    const conv_inputs given = {c.weights, bias, c.in, NULL, activation};
    expected want;
    PLAIN(want = conv_outputs(&c, bias, activation))
    compare_rows_of_conv(s, &given, want);
}

/* ---- convolution by Winograd's F(2,5) -------------------------------------------------------- */

enum { POSITIONS = 6 };
static const double points[POSITIONS - 1] = {0.0, 1.0, -1.0, 2.0, -2.0};  /* and infinity */

/* What tap j has to do with position p's sum of taps. */
static double share_of_tap(int p, int j)
{
    if (p == POSITIONS - 1) return j == 4;
    double share = pow(points[p], j);
    for (int k = 0; k < POSITIONS - 1; k++)
        if (k != p) share /= points[p] - points[k];
    return share;
}

static expected transformed_weights(const lenet_conv_shape *s, const float *weights)
{
    expected want = expect(lenet_winograd_weights(s));
    for (size_t i = 0; i < want.n; i++) {
        const size_t connection = i / (POSITIONS * 5), p = i / 5 % POSITIONS, row = i % 5;
        for (int j = 0; j < 5; j++)
            add(want, i, share_of_tap((int)p, j) * weights[(connection * 5 + row) * 5 + j]);
    }
    return want;
}

static void winograd_weights_case(const lenet_conv_shape *s, int activation)
{
    (void)activation;
    if (!lenet_can_winograd(s)) return;
    const float *weights = conv_weights(s);
    float *out = floats(lenet_winograd_weights(s));
    CALL(table->winograd_weights(s, weights, out));
    compare("out", out, transformed_weights(s, weights));
}

/* Errors become a share of the largest of some sums: by Winograd sums cancel that a value has no part
 * in. */
static void of_the_largest(expected sums, expected e)
{
    double largest = 0.0;
    for (size_t i = 0; i < sums.n; i++) largest = fmax(largest, fabs(sums.sum[i]));
    for (size_t i = 0; i < e.n; i++) grow(e, i, 0.0, largest);
}

/* With the 2x2 layer above: the bits of one after the other. */
static void compare_pooled(const lenet_conv_shape *s, const conv_inputs *c)
{
    const int height = s->out_height / 2, width = s->out_width / 2;
    const ptrdiff_t map = (ptrdiff_t)s->out_height * s->out_width * L;
    const ptrdiff_t pooled_map = (ptrdiff_t)height * width * L + 16;
    const size_t n = (size_t)(s->out_maps * map), n_pooled = (size_t)(s->out_maps * pooled_map);
    const float *coefficient = floats((size_t)s->out_maps), *shift = floats((size_t)s->out_maps);
    const lenet_pool pools[] = {
        {.rows = table->subsample, .activation = c->activation, .coefficient = coefficient,
         .bias = shift, .keep = 1},
        {.rows = table->subsample},
        {.rows = table->subsample, .activation = c->activation, .coefficient = coefficient,
         .bias = shift},
        {.rows = table->max_pool, .keep = 1},
        {.rows = table->max_pool},
    };
    float *want = floats(n), *out = floats(n);
    float *want_pooled = floats(n_pooled), *pooled = floats(n_pooled);
    for (int n_rows = s->out_height / 2 * 2; n_rows > 0; n_rows -= 2) {
        const int row = s->out_height - n_rows;
        table->winograd_conv(s, c->weights, c->bias, c->activation, c->in, row, n_rows, map,
                             c->scratch, want, NULL);
        for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) {
            lenet_pool pool = pools[i];
            pool.out_stride = pooled_map;
            memcpy(pooled, want_pooled, n_pooled * sizeof *pooled);
            pool.out = want_pooled;
            pool.rows(s->out_maps, s->out_width, &pool, want, map, n_rows / 2);
            pool.out = pooled;
            table->winograd_conv(s, c->weights, c->bias, c->activation, c->in, row, n_rows, map,
                                 c->scratch, out, &pool);
            if (memcmp(pooled, want_pooled, n_pooled * sizeof *pooled) != 0)
                fail("other bits from the 2x2 layer");
            for (int m = 0; pool.keep && m < s->out_maps; m++)
                if (memcmp(out + m * map, want + m * map,
                           (size_t)(n_rows * s->out_width * L) * sizeof *out) != 0)
                    fail("other bits with a 2x2 layer above");
        }
    }
}

static void winograd_conv_case(const lenet_conv_shape *s, int activation)
{
    if (!lenet_can_winograd(s)) return;
    conv_operands c = in_lanes(s);
    const float *bias = floats((size_t)s->out_maps);
    c.in = floats(n_inputs(s));
    c.weights = conv_weights(s);
    expected want;
    PLAIN(want = conv_outputs(&c, bias, activation))
    of_the_largest(conv_outputs(&c, bias, LENET_IDENTITY), want);

    float *weights = floats(lenet_winograd_weights(s));
    table->winograd_weights(s, c.weights, weights);
    const conv_inputs given = {weights, bias, c.in, floats(lenet_winograd_scratch(s) * (size_t)L),
                               activation};
    compare_rows_of_conv(s, &given, want);
    compare_pooled(s, &given);
}

static void winograd_backward_input_case(const lenet_conv_shape *s, int activation)
{
    if (!lenet_can_winograd(s)) return;
    conv_operands c = in_lanes(s);
    c.weights = conv_weights(s);
    c.delta = floats(n_outputs(s));
    float *in = outputs_of(activation, n_inputs(s)), *weights = floats(lenet_winograd_weights(s));
    float *scratch = floats(lenet_winograd_back_scratch(s) * (size_t)L);
    expected want;
    PLAIN(want = conv_products(&c))
    of_the_largest(want, want);
    times_slope(activation, want, in);
    table->winograd_weights(s, c.weights, weights);
    CALL(table->winograd_backward_input(s, weights, c.delta, activation, scratch, in));
    compare("in", in, want);
}

static void winograd_backward_weights_case(const lenet_conv_shape *s, int activation)
{
    (void)activation;
    if (!lenet_can_winograd(s)) return;
    conv_operands c = in_lanes(s);
    c.in = floats(n_inputs(s));
    c.delta = floats(n_outputs(s));
    expected weights, bias;
    PLAIN(weights = conv_products(&c); bias = conv_bias(&c))
    of_the_largest(weights, weights);
    float *dbias = floats(bias.n), *sums = floats(lenet_winograd_weights(s) * (size_t)L);
    const float *before = copy_of(sums, lenet_winograd_weights(s) * (size_t)L);
    add_all(bias, dbias);
    float *scratch = floats(lenet_winograd_back_scratch(s) * (size_t)L);
    CALL(table->winograd_backward_weights(s, c.in, c.delta, scratch, sums, dbias));
    float *dweights = floats(weights.n);
    for (int i = 0; i < (int)weights.n; i++) {
        const int lane = i % L, j = i / L % 5, row = i / L / 5 % 5, first = i / L / 25 * POSITIONS * 5;
        double sum = 0.0;
        for (int p = 0; p < POSITIONS; p++) {
            const int at = (first + p * 5 + row) * L + lane;
            sum += share_of_tap(p, j) * ((double)sums[at] - before[at]);
        }
        dweights[i] = (float)sum;
    }
    tolerance = 8e-6;  /* hundreds of rounded sums, some of six times the inputs and three deltas */
    compare("dweights", dweights, weights);
    tolerance = 2e-6;
    compare("dbias", dbias, bias);
}

static void winograd_gradient_case(const lenet_conv_shape *s, int activation)
{
    if (!lenet_can_winograd(s)) return;
    const float *in = floats(lenet_winograd_weights(s));
    float *dweights = floats(n_weights(s));
    const int adds = activation % 2;
    expected want = expect(n_weights(s));
    if (adds) add_all(want, dweights);
    for (size_t i = 0; i < want.n; i++)
        for (int p = 0; p < POSITIONS; p++)
            add(want, i, share_of_tap(p, (int)(i % 5))
                             * in[i / 25 * POSITIONS * 5 + (size_t)p * 5 + i / 5 % 5]);
    CALL(table->winograd_gradient(s, in, adds, dweights));
    compare("dweights", dweights, want);
}

static void conv_backward_input_case(const lenet_conv_shape *s, int activation)
{
    conv_operands c = in_lanes(s);
    c.weights = unaligned(n_weights(s));
    c.delta = floats(n_outputs(s));
    float *in = outputs_of(activation, n_inputs(s));
    expected want;
    PLAIN(want = conv_products(&c); times_slope(activation, want, in))
    CALL(table->conv_backward_input(s, c.weights, c.delta, activation, in));
    compare("in", in, want);
}

static void conv_backward_weights_case(const lenet_conv_shape *s, int activation)
{
    (void)activation;
    conv_operands c = in_lanes(s);
    c.in = floats(n_inputs(s));
    c.delta = floats(n_outputs(s));
    expected weights, bias;
    PLAIN(weights = conv_products(&c); bias = conv_bias(&c))
    float *dweights = floats(weights.n), *dbias = floats(bias.n);
    add_all(weights, dweights);
    add_all(bias, dbias);
    CALL(table->conv_backward_weights(s, c.in, c.delta, dweights, dbias));
    compare("dweights", dweights, weights);
    compare("dbias", dbias, bias);
}

/* ---- subsampling ---------------------------------------------------------------------------- */

typedef struct {
    int maps, height, width, activation;
    const float *coefficient, *bias;  /* NULL: the plain mean */
} pool;

static void each_subsample(void (*check)(const pool *p))
{
    if (is_timing) {  /* S2 and S4 */
        const pool p = {shape ? 16 : 6, shape ? 10 : 28, shape ? 10 : 28, LENET_SCALED_TANH,
                        floats(16), floats(16)};
        n_shapes = 2;
        describe("%d maps of %d x %d", p.maps, p.height, p.width);
        check(&p);
        return;
    }
    for (int width = 2; width <= 28; width += width < 9 ? 1 : 5) {
        for (int maps = 1; maps <= 3; maps++) {
            for (int activation = 0; activation < ACTIVATIONS; activation++) {
                for (int trained = 0; trained < 2; trained++) {
                    const pool p = {maps, 2 + (width + maps) % 4, width, activation,
                                    trained ? floats((size_t)maps) : NULL,
                                    trained ? floats((size_t)maps) : NULL};
                    describe("%d maps of %d x %d, activation %d, %s", maps, p.height, width,
                             activation, trained ? "trained" : "plain mean");
                    check(&p);
                    release();
                }
            }
        }
    }
}

/* One value of 2x2 blocks of `lanes` images that lie side by side. */
#define EACH_IN_BLOCKS(p)                                                                         \
    for (int map = 0; map < (p)->maps; map++)                                                     \
        for (int y = 0; y < (p)->height / 2 * 2; y++)                                             \
            for (int x = 0; x < (p)->width / 2 * 2; x++)                                          \
                for (int lane = 0; lane < lanes; lane++)

/* Maps and rows of `in` lie so many floats apart. */
static expected subsample_outputs(const pool *p, int lanes, const float *in, ptrdiff_t map_stride,
                                  ptrdiff_t row_stride)
{
    const int rows = p->height / 2, columns = p->width / 2;
    expected want = expect((size_t)(p->maps * rows * columns * lanes));
    EACH_IN_BLOCKS(p)
    {
        size_t i = (size_t)(((map * rows + y / 2) * columns + x / 2) * lanes + lane);
        add(want, i,
            (p->coefficient ? p->coefficient[map] : 0.25)
                * in[map * map_stride + y * row_stride + x * lanes + lane]);
        if (p->bias && y % 2 == 0 && x % 2 == 0) add(want, i, p->bias[map]);
    }
    activate_all(p->activation, want);
    return want;
}

/* Sums for the inputs, before the slope; those for the parameters are added to. */
static expected subsample_gradients(const pool *p, int lanes, const float *delta,
                                    ptrdiff_t delta_stride, const float *in, ptrdiff_t in_stride,
                                    expected scale, expected shift)
{
    expected want = expect((size_t)(p->maps * p->height * p->width * lanes));
    EACH_IN_BLOCKS(p)
    {
        const int row = map * p->height + y, delta_row = map * (p->height / 2) + y / 2;
        const size_t sum = (size_t)(map * lanes + lane);
        const double d = delta[delta_row * delta_stride + x / 2 * lanes + lane];
        add(want, (size_t)((row * p->width + x) * lanes + lane),
            d * (p->coefficient ? p->coefficient[map] : 0.25));
        add(scale, sum, d * in[row * in_stride + x * lanes + lane]);
        if (y % 2 == 0 && x % 2 == 0) add(shift, sum, d);
    }
    return want;
}

static void subsample_case(const pool *p)
{
    const int rows = p->height / 2;
    const ptrdiff_t in_stride = 2 * rows * p->width * L + 32, stride = rows * (p->width / 2) * L + 16;
    const float *in = floats((size_t)(p->maps * in_stride));
    float *out = floats((size_t)(p->maps * stride));
    expected want;
    PLAIN(want = subsample_outputs(p, L, in, in_stride, p->width * L))
    const lenet_pool to = {.rows = table->subsample, .coefficient = p->coefficient, .bias = p->bias, .out = out,
                           .out_stride = stride, .activation = p->activation};
    CALL(table->subsample(p->maps, p->width, &to, in, in_stride, rows));
    compare_rows("out", out, p->maps, stride, want);
}

static void subsample_backward_case(const pool *p)
{
    const int delta_row = p->width / 2 * L, row = p->width * L;
    const float *delta = floats((size_t)(p->maps * (p->height / 2) * delta_row));
    float *in = outputs_of(p->activation, (size_t)(p->maps * p->height * row));
    expected scale = expect((size_t)(p->maps * L)), shift = expect((size_t)(p->maps * L));
    expected want;
    PLAIN(want = subsample_gradients(p, L, delta, delta_row, in, row, scale, shift))
    float *dcoefficient = p->coefficient ? floats(scale.n) : NULL;
    float *dbias = p->bias ? floats(shift.n) : NULL;
    times_slope(p->activation, want, in);
    if (p->coefficient) {
        add_all(scale, dcoefficient);
        add_all(shift, dbias);
    }
    CALL(table->subsample_backward(p->maps, p->height, p->width, p->coefficient, delta, p->activation, in,
                                   dcoefficient, dbias));
    compare("in", in, want);
    if (!p->coefficient) return;
    compare("dcoefficient", dcoefficient, scale);
    compare("dbias", dbias, shift);
}

/* ---- max pooling ---------------------------------------------------------------------------- */

/* Values become few, so that often several of a block are the largest. */
static float *with_ties(float *values, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++) values[i] = roundf(4.0f * values[i]) / 4.0f;
    return values;
}

/* Where the first of the largest lies of the block that begins at in[at]; its rows are `row` floats
 * apart, its columns `column`. */
static ptrdiff_t first_largest(const float *in, ptrdiff_t at, ptrdiff_t row, ptrdiff_t column)
{
    const ptrdiff_t places[] = {at, at + column, at + row, at + row + column};
    ptrdiff_t first = at;
    for (int i = 1; i < 4; i++)
        if (in[places[i]] > in[first]) first = places[i];
    return first;
}

static expected max_pool_outputs(const pool *p, int lanes, const float *in, ptrdiff_t map_stride,
                                 ptrdiff_t row_stride)
{
    const int rows = p->height / 2, columns = p->width / 2;
    expected want = expect((size_t)(p->maps * rows * columns * lanes));
    for (size_t i = 0; i < want.n; i++) {
        const ptrdiff_t lane = (ptrdiff_t)i % lanes, x = (ptrdiff_t)i / lanes % columns;
        const ptrdiff_t y = (ptrdiff_t)i / lanes / columns % rows;
        const ptrdiff_t map = (ptrdiff_t)i / lanes / columns / rows;
        const ptrdiff_t at = map * map_stride + 2 * y * row_stride + 2 * x * lanes + lane;
        add(want, i, in[first_largest(in, at, row_stride, lanes)]);
    }
    return want;
}

/* What the inputs get, before the slope. */
static expected max_pool_gradients(const pool *p, int lanes, const float *delta,
                                   ptrdiff_t delta_stride, const float *in, ptrdiff_t in_stride)
{
    expected want = expect((size_t)(p->maps * p->height * p->width * lanes));
    EACH_IN_BLOCKS(p)
    {
        const int row = map * p->height + y, delta_row = map * (p->height / 2) + y / 2;
        if (y % 2 || x % 2) continue;
        const ptrdiff_t at = first_largest(in, row * in_stride + x * lanes + lane, in_stride, lanes);
        const ptrdiff_t i = at / in_stride * p->width * lanes + at % in_stride;
        add(want, (size_t)i, delta[delta_row * delta_stride + x / 2 * lanes + lane]);
    }
    return want;
}

/* Three of four gradients are 0, and ought to be. */
static void expect_zeros(expected want)
{
    for (size_t i = 0; i < want.n; i++) n_not_zero += want.sum[i] == 0.0;
}

static void max_pool_case(const pool *p)
{
    const int rows = p->height / 2;
    const ptrdiff_t in_stride = 2 * rows * p->width * L + 32, stride = rows * (p->width / 2) * L + 16;
    float *in = with_ties(floats((size_t)(p->maps * in_stride)), p->maps * in_stride);
    float *out = floats((size_t)(p->maps * stride));
    expected want;
    PLAIN(want = max_pool_outputs(p, L, in, in_stride, p->width * L))
    const lenet_pool to = {.rows = table->max_pool, .out = out, .out_stride = stride};
    CALL(table->max_pool(p->maps, p->width, &to, in, in_stride, rows));
    compare_rows("out", out, p->maps, stride, want);
    const int places[] = {0, L, p->width * L, (p->width + 1) * L};
    for (int i = 0; i < 4; i++) {  /* of a block */
        const float kept = in[places[i]];
        in[places[i]] = NAN;
        table->max_pool(p->maps, p->width, &to, in, in_stride, rows);
        if (!isnan(out[0])) fail("loses a NaN");
        in[places[i]] = kept;
    }
}

static void max_pool_backward_case(const pool *p)
{
    const int delta_row = p->width / 2 * L, row = p->width * L;
    const float *delta = floats((size_t)(p->maps * (p->height / 2) * delta_row));
    const ptrdiff_t n = p->maps * p->height * row;
    float *in = with_ties(outputs_of(p->activation, (size_t)n), n);
    expected want;
    PLAIN(want = max_pool_gradients(p, L, delta, delta_row, in, row))
    times_slope(p->activation, want, in);
    CALL(table->max_pool_backward(p->maps, p->height, p->width, delta, p->activation, in));
    compare("in", in, want);
    expect_zeros(want);
}

/* ---- dense layers and RBF units ------------------------------------------------------------- */

static void each_dense(void (*check)(const lenet_dense_shape *s, int activation))
{
    static const int inputs[] = {1, 3, 7, 16, 17, 45, 84, 120};
    static const int outputs[] = {1, 2, 5, 6, 7, 10, 13};
    static const int timed[][2] = {{400, 120}, {120, 84}, {84, 10}};  /* C5, F6 and the output */
    int activation = 0;
    if (is_timing) {
        const lenet_dense_shape s = {timed[shape][0], timed[shape][1], 4, timed[shape][0] * L,
                                     timed[shape][1] * L};
        n_shapes = sizeof timed / sizeof *timed;
        describe("%d inputs, %d outputs, %d groups", s.inputs, s.outputs, s.groups);
        check(&s, LENET_SCALED_TANH);
        return;
    }
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        for (size_t o = 0; o < sizeof outputs / sizeof *outputs; o++) {
            for (int groups = 1; groups <= 7; groups++, activation++) {
                const lenet_dense_shape s = {
                    inputs[i], outputs[o], groups,
                    (inputs[i] * L + 15) / 16 * 16 + 16, (outputs[o] * L + 15) / 16 * 16 + 32};
                describe("%d inputs, %d outputs, %d groups, activation %d", s.inputs, s.outputs,
                         groups, activation % ACTIVATIONS);
                check(&s, activation % ACTIVATIONS);
                release();
            }
        }
    }
}

/* `lanes` images side by side: each product, and where a feature lies when groups are `stride` floats
 * apart. */
#define EACH_PRODUCT(s)                                                                   \
    for (int g = 0; g < (s)->groups; g++)                                                 \
        for (int o = 0; o < (s)->outputs; o++)                                            \
            for (int k = 0; k < (s)->inputs; k++)                                         \
                for (int lane = 0; lane < lanes; lane++)
#define AT(stride, feature) ((size_t)(g * (stride) + (feature) * lanes + lane))

/* Of weights, inputs and deltas two, the third NULL: as conv_products. */
static expected dense_products(const lenet_dense_shape *s, int lanes, const float *weights,
                               const float *in, const float *delta)
{
    const int per_lane = s->groups * lanes;
    expected sums = expect((size_t)(!delta     ? s->outputs * per_lane
                                    : !weights ? s->inputs * s->outputs
                                               : s->inputs * per_lane));
    EACH_PRODUCT(s)
    {
        const size_t w = (size_t)(o * s->inputs + k);
        add(sums,
            !delta     ? AT(s->outputs * lanes, o)
            : !weights ? w
                       : AT(s->inputs * lanes, k),
            (weights ? weights[w] : 1.0) * (in ? in[AT(s->in_stride, k)] : 1.0)
                * (delta ? delta[AT(s->out_stride, o)] : 1.0));
    }
    count((double)s->inputs * s->outputs * per_lane);
    return sums;
}

static expected dense_outputs(const lenet_dense_shape *s, int lanes, const float *weights,
                              const float *bias, int activation, const float *in)
{
    expected want = dense_products(s, lanes, weights, in, NULL);
    for (size_t i = 0; i < want.n; i++) add(want, i, bias[i / lanes % s->outputs]);
    activate_all(activation, want);
    return want;
}

static expected dense_bias(const lenet_dense_shape *s, int lanes, const float *delta)
{
    expected want = expect((size_t)s->outputs);
    EACH_PRODUCT(s)
    if (k == 0) add(want, (size_t)o, delta[AT(s->out_stride, o)]);
    return want;
}

static expected rbf_outputs(const lenet_dense_shape *s, int lanes, const float *codes,
                            const float *in)
{
    expected want = expect((size_t)(s->groups * s->outputs * lanes));
    EACH_PRODUCT(s)
    {
        double distance = (double)in[AT(s->in_stride, k)] - codes[o * s->inputs + k];
        add(want, AT(s->outputs * lanes, o), distance * distance);
    }
    count((double)s->inputs * s->outputs * s->groups * lanes);
    return want;
}

/* For the inputs, before the slope, or for the codes, whose gradient is the opposite. */
static expected rbf_gradients(const lenet_dense_shape *s, int lanes, const float *codes,
                              const float *in, const float *delta, int for_codes)
{
    expected want = expect((size_t)(s->inputs * (for_codes ? s->outputs : s->groups * lanes)));
    EACH_PRODUCT(s)
    {
        const size_t w = (size_t)(o * s->inputs + k), i = for_codes ? w : AT(s->inputs * lanes, k);
        const double d = (for_codes ? -2.0 : 2.0) * delta[AT(s->out_stride, o)];
        add(want, i, d * in[AT(s->in_stride, k)]);
        add(want, i, -d * codes[w]);
    }
    count((double)s->inputs * s->outputs * s->groups * lanes);
    return want;
}

static size_t in_groups(const lenet_dense_shape *s) { return (size_t)(s->groups * s->in_stride); }
static size_t out_groups(const lenet_dense_shape *s) { return (size_t)(s->groups * s->out_stride); }

static float *dense_weights(const lenet_dense_shape *s)
{
    return unaligned((size_t)(s->inputs * s->outputs));
}

static void dense_case(const lenet_dense_shape *s, int activation)
{
    const float *weights = dense_weights(s), *bias = unaligned((size_t)s->outputs);
    const float *in = floats(in_groups(s));
    float *out = floats(out_groups(s));
    expected want;
    PLAIN(want = dense_outputs(s, L, weights, bias, activation, in))
    CALL(table->dense(s, weights, bias, activation, in, out));
    compare_rows("out", out, s->groups, s->out_stride, want);
}

static void dense_backward_input_case(const lenet_dense_shape *s, int activation)
{
    const float *weights = dense_weights(s), *delta = floats(out_groups(s));
    float *in = outputs_of(activation, in_groups(s));
    expected want;
    PLAIN(want = dense_products(s, L, weights, NULL, delta))
    times_slope_in_rows(activation, want, in, s->groups, s->in_stride);
    CALL(table->dense_backward_input(s, weights, delta, activation, in));
    compare_rows("in", in, s->groups, s->in_stride, want);
}

static void dense_backward_weights_case(const lenet_dense_shape *s, int activation)
{
    (void)activation;
    const int add_to = s->groups % 2;
    const float *in = floats(in_groups(s)), *delta = floats(out_groups(s));
    float *scratch = floats(lenet_dense_scratch(s));
    float *dweights = dense_weights(s), *dbias = unaligned((size_t)s->outputs);
    expected weights, bias;
    PLAIN(weights = dense_products(s, L, NULL, in, delta); bias = dense_bias(s, L, delta))
    if (add_to) {
        add_all(weights, dweights);
        add_all(bias, dbias);
    }
    CALL(table->dense_backward_weights(s, in, delta, scratch, add_to, dweights, dbias));
    compare("dweights", dweights, weights);
    compare("dbias", dbias, bias);
}

static void rbf_case(const lenet_dense_shape *s, int activation)
{
    (void)activation;
    const float *codes = dense_weights(s), *in = floats(in_groups(s));
    float *out = floats(out_groups(s));
    expected want;
    PLAIN(want = rbf_outputs(s, L, codes, in))
    CALL(table->rbf(s, codes, in, out));
    compare_rows("out", out, s->groups, s->out_stride, want);
}

static void rbf_backward_input_case(const lenet_dense_shape *s, int activation)
{
    const float *codes = dense_weights(s), *delta = floats(out_groups(s));
    float *in = outputs_of(activation, in_groups(s));
    expected want;
    PLAIN(want = rbf_gradients(s, L, codes, in, delta, 0))
    times_slope_in_rows(activation, want, in, s->groups, s->in_stride);
    CALL(table->rbf_backward_input(s, codes, delta, activation, in));
    compare_rows("in", in, s->groups, s->in_stride, want);
}

static void rbf_backward_codes_case(const lenet_dense_shape *s, int activation)
{
    (void)activation;
    const int add_to = s->groups % 2;
    const float *codes = dense_weights(s), *in = floats(in_groups(s));
    const float *delta = floats(out_groups(s));
    float *dcodes = dense_weights(s);
    expected want;
    PLAIN(want = rbf_gradients(s, L, codes, in, delta, 1))
    if (add_to) add_all(want, dcodes);
    CALL(table->rbf_backward_codes(s, codes, in, delta, add_to, dcodes));
    compare("dcodes", dcodes, want);
}

/* ---- one image, a map's columns in lanes ---------------------------------------------------- */

static ptrdiff_t row_stride(int width) { return (width + L - 1) / L * L; }

/* Rows as a kernel for one image reads them: what lies past the width is finite, and must not reach
 * a result. */
static float *padded_rows(int rows, int width)
{
    const ptrdiff_t stride = row_stride(width);
    float *in = floats((size_t)(rows * stride) + LENET_ROW_SLACK);
    for (ptrdiff_t i = 0; i < rows * stride + LENET_ROW_SLACK; i++)
        if (i >= rows * stride || i % stride >= width) in[i] = 1e4f;
    return in;
}

static void check_load_grey_rows(void)
{
    for (size_t c = 0; c < sizeof grey_sizes / sizeof *grey_sizes; c++) {
        const int height = grey_sizes[c][0], width = grey_sizes[c][1];
        const int out_height = grey_sizes[c][2], out_width = grey_sizes[c][3];
        describe("%d x %d into %d x %d", height, width, out_height, out_width);
        uint8_t *image = grey_pixels(height * width);
        expected want = expect((size_t)(out_height * out_width));
        expect_grey(want, 0, 1, image, height, width, out_height, out_width);
        const ptrdiff_t stride = row_stride(out_width);
        float *out = floats((size_t)(out_height * stride) + LENET_ROW_SLACK);
        CALL(table->load_grey_rows(image, height, width, -0.1f, 1.175f, out_height, out_width, stride,
                                   out));
        compare_rows("out", out, out_height, stride, want);
        free(image);
        release();
    }
}

/* Deltas of a convolution as its backward kernels for one image want them: 0 past the width and
 * before the first row. */
static float *padded_deltas(int rows, int width, ptrdiff_t stride)
{
    float *delta = floats((size_t)(rows * stride) + 2 * LENET_ROW_SLACK) + LENET_ROW_SLACK;
    for (ptrdiff_t i = -LENET_ROW_SLACK; i < rows * stride + LENET_ROW_SLACK; i++)
        if (i < 0 || i >= rows * stride || i % stride >= width) delta[i] = 0.0f;
    return delta;
}

/* Rows whose values past the width are finite, and some activation's outputs. */
static float *output_rows(int activation, int rows, ptrdiff_t stride)
{
    return outputs_of(activation, (size_t)(rows * stride) + LENET_ROW_SLACK);
}

static void check_zero_past(int width, const float *in, int rows, ptrdiff_t stride)
{
    for (ptrdiff_t i = 0; i < rows * stride; i++)
        if (i % stride >= width && in[i] != 0.0f) fail("not 0 past the width");
}

/* [map][y][x] <-> [group][y][x][lane], in which map m is in lane m / groups of group m % groups. */
static ptrdiff_t place_in_lanes(int maps, ptrdiff_t size, ptrdiff_t i)
{
    const ptrdiff_t groups = (maps + L - 1) / L, map = i / size;
    return (map % groups * size + i % size) * L + map / groups;
}

static size_t n_in_lanes(int maps, ptrdiff_t size) { return (size_t)((maps + L - 1) / L * size * L); }

static float *to_lanes(int maps, ptrdiff_t size, int height, int width, const float *rows,
                       ptrdiff_t stride)
{
    float *lanes = floats(n_in_lanes(maps, size) + LENET_ROW_SLACK);
    memset(lanes, 0, n_in_lanes(maps, size) * sizeof *lanes);
    for (ptrdiff_t i = 0; i < maps * size; i++) {
        const ptrdiff_t map = i / size, y = i % size / width, x = i % width;
        lanes[place_in_lanes(maps, size, i)] = rows[(map * height + y) * stride + x];
    }
    return lanes;
}

static void compare_lanes(const char *what, const float *lanes, int maps, ptrdiff_t size,
                          expected want)
{
    float *got = floats((size_t)(maps * size));
    for (ptrdiff_t i = 0; i < maps * size; i++) got[i] = lanes[place_in_lanes(maps, size, i)];
    compare(what, got, want);
}

/* One image: rows that end in whole vectors. */
static conv_operands in_rows(const lenet_conv_shape *s)
{
    return (conv_operands){.s = s,
                           .lanes = 1,
                           .in_stride = row_stride(s->in_width),
                           .delta_stride = row_stride(s->out_width + s->kernel - 1)};
}

/* [group][slot or input map][tap][lane], 0 where a lane's map has no connection there. */
static void conv_weights_of_one_case(const lenet_conv_shape *s, int activation)
{
    (void)activation;
    const size_t n = lenet_arranged_of_one(s, L), taps = (size_t)(s->kernel * s->kernel);
    if (n == 0) return;
    const int groups = (s->out_maps + L - 1) / L;
    const float *weights = conv_weights(s);
    float *out = floats(n);
    CALL(table->conv_weights_of_one(s, weights, out));
    for (size_t i = 0; i < n; i++) {
        const int lane = (int)(i % (size_t)L), of = (int)(i / taps / (size_t)L) % s->in_maps;
        const int group = (int)(i / taps / (size_t)L) / s->in_maps, map = group + lane * groups;
        const size_t tap = i / (size_t)L % taps;
        int connection = -1;
        if (s->slots && of >= s->slots[group].slots) continue;
        if (s->slots) connection = s->slots[group].connection[of][lane];
        for (int c = s->begin[map < s->out_maps ? map : 0];
             !s->slots && map < s->out_maps && c < s->begin[map + 1]; c++)
            if (s->source[c] == of) connection = c;
        const float want = connection < 0 ? 0.0f : weights[(size_t)connection * taps + tap];
        if (out[i] != want) fail("out[%zu] is %g, want %g", i, out[i], want);
        n_compared += connection >= 0;
        n_not_zero += connection >= 0 && out[i] != 0.0f;
    }
}

static void conv_of_one_case(const lenet_conv_shape *s, int activation)
{
    conv_operands c = in_rows(s);
    const float *bias = floats((size_t)s->out_maps);
    const int rows = s->out_maps * s->out_height;
    c.in = padded_rows(s->in_maps * s->in_height, s->in_width);
    c.weights = conv_weights(s);
    expected want;
    PLAIN(want = conv_outputs(&c, bias, activation))
    float *scratch = floats(lenet_conv_scratch_of_one(s, L, 0) + 1);
    const ptrdiff_t strides[] = {
        s->out_width, row_stride(s->out_width), row_stride(s->out_width) + L};
    for (int i = 0; i < 3; i++) {
        float *out = floats((size_t)(rows * strides[i]) + LENET_ROW_SLACK);
        out[strides[i] - 1] = NAN;  /* as memory may be */
        CALL(table->conv_of_one(s, c.weights, NULL, bias, activation, c.in, c.in_stride,
                                lenet_rows(strides[i]), scratch, out));
        compare_rows("out", out, rows, strides[i], want);
        if (!lenet_arranged_of_one(s, L)) continue;
        const size_t n = (size_t)(rows * strides[i]);
        const float *before = copy_of(out, n);
        float *arranged = floats(lenet_arranged_of_one(s, L));
        table->conv_weights_of_one(s, c.weights, arranged);
        out[0] = NAN;
        table->conv_of_one(s, NULL, arranged, bias, activation, c.in, c.in_stride,
                           lenet_rows(strides[i]), scratch, out);
        if (memcmp(before, out, n * sizeof *out)) fail("other bits with arranged weights");
    }
    if (!lenet_keeps_maps(s, L)) return;
    const ptrdiff_t size = s->out_height * s->out_width;
    float *out = floats(n_in_lanes(s->out_maps, size) + LENET_ROW_SLACK);
    out[0] = NAN;
    table->conv_of_one(s, c.weights, NULL, bias, activation, c.in, c.in_stride, lenet_maps_in_lanes(),
                       scratch, out);
    compare_lanes("out in lanes", out, s->out_maps, size, want);
}

/* c's deltas, which lie in rows, or those with the maps in lanes */
static const float *deltas_in(lenet_map_layout layout, const conv_operands *c)
{
    const lenet_conv_shape *s = c->s;
    if (layout.order == LENET_ROWS) return c->delta;
    return to_lanes(s->out_maps, s->out_height * s->out_width, s->out_height, s->out_width, c->delta,
                    c->delta_stride);
}

static void conv_backward_input_of_one_case(const lenet_conv_shape *s, int activation)
{
    conv_operands c = in_rows(s);
    const int rows = s->in_maps * s->in_height;
    c.weights = unaligned(n_weights(s));
    c.delta = padded_deltas(s->out_maps * s->out_height, s->out_width, c.delta_stride);
    for (int i = 0; i < 2; i++) {
        const ptrdiff_t stride = c.in_stride + i * L;
        float *in = output_rows(activation, rows, stride);
        expected want;
        PLAIN(want = conv_products(&c); times_slope_in_rows(activation, want, in, rows, stride))
        const lenet_map_layout layout
            = i && lenet_keeps_maps(s, L) ? lenet_maps_in_lanes() : lenet_rows(c.delta_stride);
        const float *delta = deltas_in(layout, &c);
        float *scratch = floats(lenet_conv_scratch_of_one(s, L, 1));
        CALL(table->conv_backward_input_of_one(s, c.weights, delta, layout, activation, scratch, in,
                                               stride));
        compare_rows("in", in, rows, stride, want);
        check_zero_past(s->in_width, in, rows, stride);
    }
}

static void conv_backward_weights_of_one_case(const lenet_conv_shape *s, int activation)
{
    (void)activation;
    conv_operands c = in_rows(s);
    c.in = output_rows(LENET_IDENTITY, s->in_maps * s->in_height, c.in_stride);
    c.delta = padded_deltas(s->out_maps * s->out_height, s->out_width, c.delta_stride);
    const int add_to = s->in_maps % 2;
    for (int in_lanes = 0; in_lanes <= lenet_keeps_maps(s, L); in_lanes++) {
        expected weights, bias;
    PLAIN(weights = conv_products(&c); bias = conv_bias(&c))
        float *dweights = unaligned(weights.n), *dbias = unaligned(bias.n);
        if (add_to) {
            add_all(weights, dweights);
            add_all(bias, dbias);
        }
        const lenet_map_layout layout
            = in_lanes ? lenet_maps_in_lanes() : lenet_rows(c.delta_stride);
        const float *delta = deltas_in(layout, &c);
        float *scratch = floats(lenet_conv_scratch_of_one(s, L, 1));
        CALL(table->conv_backward_weights_of_one(s, c.in, c.in_stride, delta, layout, add_to, scratch,
                                                 dweights, dbias));
        compare("dweights", dweights, weights);
        compare("dbias", dbias, bias);
    }
}

static float *pool_scratch(const pool *p)
{
    return floats(lenet_pool_scratch_of_one(p->maps, p->height, p->width, L));
}

static void subsample_of_one_case(const pool *p)
{
    const int rows = p->maps * (p->height / 2), columns = p->width / 2;
    const ptrdiff_t in_stride = row_stride(p->width), strides[] = {columns, row_stride(columns)};
    const float *padded = padded_rows(p->maps * p->height, p->width);
    float *plain = floats((size_t)(p->maps * p->height * p->width) + LENET_ROW_SLACK);
    for (ptrdiff_t i = 0; i < p->maps * p->height * p->width; i++)
        plain[i] = padded[i / p->width * in_stride + i % p->width];
    const float *in[]
        = {padded, plain,
           to_lanes(p->maps, p->height * p->width, p->height, p->width, padded, in_stride)};
    const lenet_map_layout in_layouts[]
        = {lenet_rows(in_stride), lenet_rows(p->width), lenet_maps_in_lanes()};
    expected want;
    PLAIN(want = subsample_outputs(p, 1, padded, p->height * in_stride, in_stride))
    for (int i = 0; i < 6; i++) {
        const ptrdiff_t stride = strides[i % 2];
        float *out = floats((size_t)(rows * stride) + LENET_ROW_SLACK);
        float *scratch = pool_scratch(p);
        CALL(table->subsample_of_one(p->maps, p->height, p->width, p->coefficient, p->bias,
                                     p->activation, in[i / 2], in_layouts[i / 2], stride, scratch,
                                     out));
        compare_rows("out", out, rows, stride, want);
    }
}

static void check_free_lanes(int maps, ptrdiff_t size, const float *lanes)
{
    const ptrdiff_t groups = (maps + L - 1) / L;
    for (ptrdiff_t k = 0; k < (ptrdiff_t)n_in_lanes(maps, size); k++)
        if (k % L * groups + k / L / size >= maps && lanes[k] != 0.0f)
            fail("not 0 in a lane without a map");
}

static void subsample_backward_of_one_case(const pool *p)
{
    const int rows = p->maps * p->height, columns = p->width / 2;
    const ptrdiff_t size = p->height * p->width;
    const ptrdiff_t strides[] = {row_stride(p->width), row_stride(p->width + 4)};
    const ptrdiff_t deltas[] = {columns, row_stride(columns)};
    for (int i = 0; i < (p->width % 2 ? 2 : 4); i++) {  /* maps in lanes where the width is even */
        const int in_rows = i < 2;
        const ptrdiff_t stride = strides[in_rows ? i : 0], delta_stride = deltas[i % 2];
        float *in = output_rows(p->activation, rows, stride), *given = in;
        if (!in_rows) given = to_lanes(p->maps, size, p->height, p->width, in, stride);
        const float *delta = output_rows(LENET_IDENTITY, p->maps * (p->height / 2), delta_stride);
        expected scale = expect((size_t)p->maps), shift = expect((size_t)p->maps);
        expected want;
    PLAIN(want = subsample_gradients(p, 1, delta, delta_stride, in, stride, scale, shift))
        float *dcoefficient = p->coefficient ? unaligned(scale.n) : NULL;
        float *dbias = p->bias ? unaligned(shift.n) : NULL;
        const int add_to = i % 2 && p->coefficient;
        if (add_to) {
            add_all(scale, dcoefficient);
            add_all(shift, dbias);
        }
        times_slope_in_rows(p->activation, want, in, rows, stride);
        const lenet_map_layout layout = in_rows ? lenet_rows(stride) : lenet_maps_in_lanes();
        float *scratch = pool_scratch(p);
        CALL(table->subsample_backward_of_one(p->maps, p->height, p->width, p->coefficient, delta,
                                              delta_stride, p->activation, given, layout, add_to,
                                              scratch, dcoefficient, dbias));
        if (in_rows) {
            compare_rows("in", in, rows, stride, want);
            check_zero_past(p->width, in, rows, stride);
        } else {
            compare_lanes("in in lanes", given, p->maps, size, want);
            check_free_lanes(p->maps, size, given);
        }
        if (!p->coefficient) continue;
        compare("dcoefficient", dcoefficient, scale);
        compare("dbias", dbias, shift);
    }
}

/* The same layer for one image. */
static lenet_dense_shape dense_of_one(const lenet_dense_shape *s)
{
    return (lenet_dense_shape){s->inputs, s->outputs, 1, s->inputs, s->outputs};
}

static void dense_of_one_case(const lenet_dense_shape *s, int activation)
{
    const lenet_dense_shape one = dense_of_one(s);
    const float *weights = dense_weights(s), *bias = unaligned((size_t)s->outputs);
    const float *in = padded_rows(1, s->inputs);
    float *out = floats((size_t)s->outputs + LENET_ROW_SLACK);
    expected want;
    PLAIN(want = dense_outputs(&one, 1, weights, bias, activation, in))
    CALL(table->dense_of_one(s, weights, bias, activation, in, out));
    compare("out", out, want);
}

static void rbf_of_one_case(const lenet_dense_shape *s, int activation)
{
    (void)activation;
    const lenet_dense_shape one = dense_of_one(s);
    const float *codes = dense_weights(s), *in = padded_rows(1, s->inputs);
    float *out = floats((size_t)s->outputs + LENET_ROW_SLACK);
    expected want;
    PLAIN(want = rbf_outputs(&one, 1, codes, in))
    CALL(table->rbf_of_one(s, codes, in, out));
    compare("out", out, want);
}

static void dense_backward_of_one_case(const lenet_dense_shape *s, int activation)
{
    const lenet_dense_shape one = dense_of_one(s);
    const int add_to = s->groups % 2;
    const float *weights = dense_weights(s), *delta = unaligned((size_t)s->outputs);
    float *in = outputs_of(activation, (size_t)s->inputs), *scratch = floats((size_t)s->inputs);
    float *dweights = dense_weights(s), *dbias = unaligned((size_t)s->outputs);
    expected want;
    PLAIN(want = dense_products(&one, 1, weights, NULL, delta))
    expected dw, db;
    PLAIN(dw = dense_products(&one, 1, NULL, in, delta); db = dense_bias(&one, 1, delta))
    if (add_to) {
        add_all(dw, dweights);
        add_all(db, dbias);
    }
    times_slope(activation, want, in);
    CALL(table->dense_backward_of_one(s, weights, delta, activation, add_to, scratch, in, dweights, dbias));
    compare("in", in, want);
    compare("dweights", dweights, dw);
    compare("dbias", dbias, db);
}

/* The step gives the bits of a gradient and an update. */
static void dense_step_of_one_case(const lenet_dense_shape *s, int activation)
{
    const size_t n = (size_t)(s->inputs * s->outputs);
    const lenet_optimizer o = {.kind = LENET_SGD, .rate = 0.3f, .weight_decay = 0.1f};
    float *weights = dense_weights(s), *biases = unaligned((size_t)s->outputs);
    float *in = outputs_of(activation, (size_t)s->inputs);
    const float *delta = floats((size_t)s->outputs);
    float *same_in = copy_of(in, (size_t)s->inputs), *want = copy_of(weights, n);
    float *want_biases = copy_of(biases, (size_t)s->outputs);
    float *dweights = floats(n), *dbias = floats((size_t)s->outputs);
    float *scratch = floats((size_t)s->inputs);
    table->dense_backward_of_one(s, want, delta, activation, 0, scratch, same_in, dweights, dbias);
    table->update_sgd(&o, dweights, 0, (ptrdiff_t)n, want);
    table->update_sgd(&o, dbias, 0, s->outputs, want_biases);
    int is_finite;
    CALL(is_finite
         = table->dense_step_of_one(s, &o, delta, activation, scratch, in, weights, biases));
    if (!is_finite) fail("finite weights were said not to be");
    if (memcmp(want, weights, n * sizeof *want)
        || memcmp(want_biases, biases, (size_t)s->outputs * sizeof *want)
        || memcmp(same_in, in, (size_t)s->inputs * sizeof *in))
        fail("other bits than a gradient and an update");
    for (size_t i = 0; i < n; i++) n_not_zero += weights[i] != 0.0f;
    n_compared += n;
    weights[n - 1] = INFINITY;
    if (table->dense_step_of_one(s, &o, delta, activation, scratch, in, weights, biases))
        fail("did not see a weight that is not finite");
}

static void rbf_backward_of_one_case(const lenet_dense_shape *s, int activation)
{
    const lenet_dense_shape one = dense_of_one(s);
    const int add_to = s->groups % 2;
    const float *codes = dense_weights(s), *delta = floats((size_t)s->outputs);
    float *in = outputs_of(activation, (size_t)s->inputs);
    float *same_in = copy_of(in, (size_t)s->inputs), *dcodes = dense_weights(s);
    expected want;
    PLAIN(want = rbf_gradients(&one, 1, codes, in, delta, 0))
    expected dw;
    PLAIN(dw = rbf_gradients(&one, 1, codes, in, delta, 1))
    if (add_to) add_all(dw, dcodes);
    times_slope(activation, want, in);
    CALL(table->rbf_backward_of_one(s, codes, delta, activation, add_to, in, dcodes));
    compare("in", in, want);
    compare("dcodes", dcodes, dw);
    table->rbf_backward_of_one(s, codes, delta, activation, 0, same_in, NULL);
    compare("in with fixed codes", same_in, want);
}

static void max_pool_of_one_case(const pool *p)
{
    const int rows = p->maps * (p->height / 2), columns = p->width / 2;
    const ptrdiff_t in_stride = row_stride(p->width), strides[] = {columns, row_stride(columns)};
    float *padded = padded_rows(p->maps * p->height, p->width);
    with_ties(padded, p->maps * p->height * in_stride);
    float *plain = floats((size_t)(p->maps * p->height * p->width) + LENET_ROW_SLACK);
    for (ptrdiff_t i = 0; i < p->maps * p->height * p->width; i++)
        plain[i] = padded[i / p->width * in_stride + i % p->width];
    const float *in[]
        = {padded, plain,
           to_lanes(p->maps, p->height * p->width, p->height, p->width, padded, in_stride)};
    const lenet_map_layout in_layouts[]
        = {lenet_rows(in_stride), lenet_rows(p->width), lenet_maps_in_lanes()};
    expected want;
    PLAIN(want = max_pool_outputs(p, 1, padded, p->height * in_stride, in_stride))
    for (int i = 0; i < 6; i++) {
        const ptrdiff_t stride = strides[i % 2];
        float *out = floats((size_t)(rows * stride) + LENET_ROW_SLACK);
        float *scratch = pool_scratch(p);
        CALL(table->max_pool_of_one(p->maps, p->height, p->width, in[i / 2], in_layouts[i / 2],
                                    stride, scratch, out));
        compare_rows("out", out, rows, stride, want);
    }
}

static void max_pool_backward_of_one_case(const pool *p)
{
    const int rows = p->maps * p->height, columns = p->width / 2;
    const ptrdiff_t size = p->height * p->width;
    const ptrdiff_t strides[] = {row_stride(p->width), row_stride(p->width + 4)};
    const ptrdiff_t deltas[] = {columns, row_stride(columns)};
    for (int i = 0; i < (p->width % 2 ? 2 : 4); i++) {  /* maps in lanes where the width is even */
        const int in_rows = i < 2;
        const ptrdiff_t stride = strides[in_rows ? i : 0], delta_stride = deltas[i % 2];
        float *in = with_ties(output_rows(p->activation, rows, stride), rows * stride), *given = in;
        if (!in_rows) given = to_lanes(p->maps, size, p->height, p->width, in, stride);
        const float *delta = output_rows(LENET_IDENTITY, p->maps * (p->height / 2), delta_stride);
        expected want;
        PLAIN(want = max_pool_gradients(p, 1, delta, delta_stride, in, stride))
        times_slope_in_rows(p->activation, want, in, rows, stride);
        const lenet_map_layout layout = in_rows ? lenet_rows(stride) : lenet_maps_in_lanes();
        float *scratch = pool_scratch(p);
        CALL(table->max_pool_backward_of_one(p->maps, p->height, p->width, delta, delta_stride,
                                             p->activation, given, layout, scratch));
        if (in_rows) {
            compare_rows("in", in, rows, stride, want);
            check_zero_past(p->width, in, rows, stride);
        } else {
            compare_lanes("in in lanes", given, p->maps, size, want);
            check_free_lanes(p->maps, size, given);
        }
        expect_zeros(want);
    }
}

/* ---- the squashing function ----------------------------------------------------------------- */

static void check_squash(void)
{
    const double least = 2e-38;  /* a sigmoid below that need not be right */
    tolerance = 7e-7;  /* of the value itself, however small */
    for (int activation = is_timing ? LENET_SCALED_TANH : 0; activation < ACTIVATIONS; activation++) {
        EACH_SIZE(n, 5 * L + 3, 4704)
        {
            for (int power = -6; power <= 2; power++) {
                describe("activation %d, %d values up to 1e%d", activation, n, power);
                float *a = floats((size_t)n + 1) + 1, *y = floats((size_t)n + 3) + 3;
                for (int i = 0; i < n; i++) a[i] *= powf(10.0f, (float)power);
                expected want = expect((size_t)n);
                PLAIN(for (int i = 0; i < n; i++) add(want, (size_t)i, activate(activation, a[i])))
                for (int i = 0; i < n; i++) grow(want, (size_t)i, 1.0, least / tolerance);
                CALL(table->squash(activation, a, n, y));
                compare("y", y, want);
                table->squash(activation, a, n, a);
                if (memcmp(a, y, (size_t)n * sizeof *a) != 0) fail("differs in place");
                release();
            }
        }
        for (int n = 1; n <= 5 * L + 1; n++) {
            for (int at = 0; at < n; at++) {
                describe("activation %d, NaN and infinity at %d of %d", activation, at, n);
                float *a = floats((size_t)n), *y = floats((size_t)n);
                a[at] = NAN;
                table->squash(activation, a, n, y);
                for (int i = 0; i < n; i++)
                    if (!isnan(y[i]) == (i == at)) fail("y[%d] is %g", i, y[i]);
                for (int sign = -1; sign <= 1; sign += 2) {
                    a[at] = sign * INFINITY;
                    table->squash(activation, a, n, y);
                    double want = activate(activation, sign * INFINITY);
                    if (!(y[at] == want || fabs(y[at] - want) <= 1e-6 * fabs(want) + least))
                        fail("y[%d] is %g, want %g", at, y[at], want);
                }
                release();
            }
        }
    }
    tolerance = 2e-6;
}

static void check_squash_backward(void)
{
    for (int activation = is_timing ? LENET_SCALED_TANH : 0; activation < ACTIVATIONS; activation++) {
        EACH_SIZE(n, 5 * L + 3, 4704)
        {
            describe("activation %d, %d values", activation, n);
            float *y = outputs_of(activation, (size_t)n + 1) + 1, *dy = floats((size_t)n + 2) + 2;
            float *da = floats((size_t)n + 3) + 3;
            expected want = expect((size_t)n);
            for (int i = 0; i < n; i++) add(want, (size_t)i, dy[i]);
            times_slope(activation, want, y);
            CALL(table->squash_backward(activation, y, dy, n, da));
            compare("da", da, want);
            release();
        }
    }
}

/* ---- sums and updates ----------------------------------------------------------------------- */

static void check_sum_lanes(void)
{
    EACH_SIZE(n, 39, 1516)
    {
        const int add_to = n % 2;
        describe("%d sums%s", n, add_to ? ", added" : "");
        const float *in = floats((size_t)(n * L));
        float *sums = floats((size_t)n + 1) + 1;
        expected want = expect((size_t)n);
        PLAIN(for (int i = 0; i < n * L; i++) add(want, (size_t)(i / L), in[i]))
        for (int i = 0; add_to && i < n; i++) add(want, (size_t)i, sums[i]);
        CALL(table->sum_lanes(in, n, add_to, sums));
        compare("sums", sums, want);
        release();
    }
}

static void check_sum_partials(void)
{
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    EACH_SIZE(n, 3 * L + 2, 60000)
    {
        for (int n_partials = is_timing ? 5 : 1; n_partials <= 5; n_partials++) {
            for (int add_to = 0; add_to < 2; add_to++) {
                describe("%d sums of %d%s", n, n_partials, add_to ? ", added" : "");
                const ptrdiff_t stride = n + 5;
                float *partials = floats((size_t)(n_partials * stride) + 1) + 1;
                float *sum = floats((size_t)n + 1) + 1, *want = floats((size_t)n);
                for (int i = 0; i < n; i++) {
                    want[i] = add_to ? sum[i] + partials[i] : partials[i];
                    for (int p = 1; p < n_partials; p++) want[i] += partials[p * stride + i];
                }
                int is_finite;
                CALL(is_finite = table->sum_partials(partials, stride, n_partials, add_to, n, sum));
                if (!is_finite) fail("says that a sum is not finite");
                /* the order is stated, so these are the same bits */
                if (memcmp(sum, want, (size_t)n * sizeof *sum) != 0) fail("sums differ");
                float *copy = floats((size_t)(n_partials * stride) + 1) + 1;
                memcpy(copy, partials, (size_t)(n_partials * stride) * sizeof *copy);
                if (!add_to) {
                    table->sum_partials(copy, stride, n_partials, 0, n, copy);
                    if (memcmp(copy, want, (size_t)n * sizeof *copy) != 0) fail("differ in place");
                }
                for (int at = 0; at < n; at++) {
                    float *spoilt = &partials[at % n_partials * stride + at];
                    const float kept = *spoilt;
                    *spoilt = bad[at % 3];
                    if (table->sum_partials(partials, stride, n_partials, 0, n, sum))
                        fail("overlooks %g at %d", *spoilt, at);
                    *spoilt = kept;
                }
                release();
            }
        }
    }
}

/* Updates n parameters from `first` on, out of some more; the others stay what they are. */
static void update_case(int (*update)(const lenet_optimizer *, const float *, ptrdiff_t, ptrdiff_t,
                                      float *),
                        lenet_optimizer o, int first, int n)
{
    const size_t all = (size_t)(first + n + 2);
    const int has_first = o.kind != LENET_SGD || o.momentum != 0.0f;
    float *gradient = floats(all), *parameters = floats(all);
    float *moment1 = floats(all), *moment2 = floats(all);
    expected want = expect(all), want1 = expect(all), want2 = expect(all);
    o.first_moment = has_first ? moment1 : NULL;
    o.second_moment = moment2;
    for (size_t i = 0; i < all; i++) {
        double g = gradient[i], p = parameters[i], m = moment1[i], v;
        moment2[i] = fabsf(moment2[i]);
        v = moment2[i];
        if (i < (size_t)first || i >= (size_t)(first + n)) {
            add(want, i, p);
            add(want1, i, m);
            add(want2, i, v);
        } else if (o.kind == LENET_SGD) {
            if (has_first) add(want1, i, o.momentum * m);
            add(want1, i, has_first ? g : m);
            add(want, i, p);
            add(want, i, -(double)o.rate * o.weight_decay * p);
            add(want, i, -(double)o.rate * (has_first ? want1.sum[i] : g));
            if (has_first && want1.size) grow(want, i, 1.0, o.rate * want1.size[i]);
            add(want2, i, v);
        } else if (o.kind == LENET_SDLM) {
            add(want, i, p);
            add(want, i, -m * g);
            add(want1, i, m);
            add(want2, i, v);
        } else {
            const double m_scale = o.rate / (1.0 - pow(o.beta1, (double)o.step));
            const double v_scale = 1.0 / (1.0 - pow(o.beta2, (double)o.step));
            add(want1, i, o.beta1 * m);
            add(want1, i, (1.0 - o.beta1) * g);
            add(want2, i, o.beta2 * v);
            add(want2, i, (1.0 - o.beta2) * g * g);
            const double size = sqrt(want2.sum[i] * v_scale) + o.epsilon;
            add(want, i, p);
            add(want, i, -(double)o.rate * o.weight_decay * p);
            add(want, i, -m_scale * want1.sum[i] / size);
            if (want1.size) grow(want, i, 1.0, m_scale * want1.size[i] / size);
        }
    }
    int is_finite;
    CALL(is_finite = update(&o, gradient, first, n, parameters));
    if (!is_finite) fail("says that a value is not finite");
    compare("parameters", parameters, want);
    compare("the first moment", moment1, want1);
    compare("the second moment", moment2, want2);
    for (int at = first; at < first + n; at++) {
        const float kept = parameters[at];
        parameters[at] = NAN;
        if (update(&o, gradient, first, n, parameters)) fail("overlooks NaN at %d", at);
        parameters[at] = kept;
    }
    release();
}

static void check_update_sgd(void)
{
    EACH_SIZE(n, 4 * L + 3, 60000)
    {
        for (int k = 0; k < 4; k++) {
            const lenet_optimizer o = {
                .kind = LENET_SGD, .rate = 0.5f, .momentum = k % 2 ? 0.9f : 0.0f,
                .weight_decay = k / 2 ? 0.125f : 0.0f};
            describe("%d values, momentum %g, decay %g", n, o.momentum, o.weight_decay);
            update_case(table->update_sgd, o, 1 + n % 3, n);
        }
    }
}

static void check_update_adam(void)
{
    EACH_SIZE(n, 4 * L + 3, 60000)
    {
        for (int k = 0; k < 4; k++) {
            const lenet_optimizer o = {
                .kind = LENET_ADAM, .rate = 0.25f, .beta1 = 0.9f, .beta2 = 0.999f,
                .epsilon = k % 2 ? 1e-3f : 0.0f, .weight_decay = k / 2 ? 0.125f : 0.0f,
                .step = 1 + n % 7};
            describe("%d values, epsilon %g, decay %g, step %d", n, o.epsilon, o.weight_decay,
                     (int)o.step);
            update_case(table->update_adam, o, 1 + n % 3, n);
        }
    }
}

static void check_update_sdlm(void)
{
    EACH_SIZE(n, 4 * L + 3, 60000)
    {
        describe("%d values", n);
        update_case(table->update_sdlm, (lenet_optimizer){.kind = LENET_SDLM}, 1 + n % 3, n);
    }
}

/* ---- distortions ---------------------------------------------------------------------------- */

static int32_t *whole_numbers(size_t n)
{
    return memset(floats(n), 0, n * sizeof(int32_t));
}

static uint8_t *levels(size_t n) { return (uint8_t *)whole_numbers((n + 3) / 4); }

/* A canvas whose displacements are up to `elastic` pixels; spacing 0: none. */
static lenet_canvas canvas_of(int32_t height, int32_t width, float spacing, float elastic)
{
    const size_t strip = (size_t)(LENET_STRIP * width), stride = (size_t)width + 3;
    lenet_canvas c = {.height = height, .width = width, .stride = width + 3, .spacing = spacing};
    c.corners = whole_numbers((size_t)(height + 2) * stride);
    c.padded = levels((size_t)(height + 4) * stride);
    c.place = whole_numbers(strip);
    c.found = whole_numbers(strip);
    c.part_x = floats(strip);
    c.part_y = floats(strip);
    c.move_x = memset(floats((size_t)width), 0, (size_t)width * sizeof(float));
    c.move_y = memset(floats((size_t)width), 0, (size_t)width * sizeof(float));
    if (spacing == 0.0f) return c;
    c.grid_rows = (int32_t)((float)(height - 1) / spacing) + 4;
    c.grid_columns = (int32_t)((float)(width - 1) / spacing) + 4;
    const size_t drawn = (size_t)(2 * c.grid_rows * c.grid_columns);
    c.drawn = floats(drawn);
    for (size_t i = 0; i < drawn; i++) c.drawn[i] *= elastic;
    c.smooth = floats((size_t)(2 * c.grid_rows * width));
    c.weight = floats((size_t)(c.grid_columns * width));
    memset(c.weight, 0, (size_t)(c.grid_columns * width) * sizeof(float));
    for (int32_t x = 0; x < width; x++) {
        float weight[4];
        const int32_t first = lenet_splines(x, spacing, weight);
        for (int k = 0; k < 4; k++) c.weight[(first + k) * width + x] = weight[k];
    }
    return c;
}

/* A uniform cubic B-spline, not 0 for |t| < 2. */
static double spline(double t)
{
    t = fabs(t);
    return t < 1.0 ? 2.0 / 3.0 - t * t + t * t * t / 2.0
           : t < 2.0 ? (2.0 - t) * (2.0 - t) * (2.0 - t) / 6.0
                     : 0.0;
}

/* Column 0 and row 0 of the grid lie a spacing before the image's. axis: 0 along x, 1 along y. */
static double displacement(const lenet_canvas *c, int axis, int x, int y)
{
    double sum = 0.0;
    for (int i = 0; i < c->grid_rows; i++)
        for (int j = 0; j < c->grid_columns; j++)
            sum += (double)c->drawn[(axis * c->grid_rows + i) * c->grid_columns + j]
                   * spline(y / (double)c->spacing + 1 - i) * spline(x / (double)c->spacing + 1 - j);
    return sum;
}

static double bilinear(const uint8_t *image, int height, int width, double x, double y)
{
    double sum = 0.0;
    for (int i = 0; i < height; i++)
        for (int j = 0; j < width; j++)
            if (fabs(x - j) < 1.0 && fabs(y - i) < 1.0)
                sum += (1.0 - fabs(x - j)) * (1.0 - fabs(y - i)) * image[i * width + j];
    return sum;
}

static void distort_case(int32_t height, int32_t width, float spacing, const lenet_affine *a)
{
    const size_t n = (size_t)(height * width);
    const lenet_canvas c = canvas_of(height, width, spacing, 3.0f);
    uint8_t *image = levels(n), *out = levels(n), *same = levels(n);
    for (size_t i = 0; i < n; i++) image[i] = (uint8_t)draw();
    CALL(table->distort(&c, a, image, out));
    for (int32_t y = 0; y < height; y++) {
        for (int32_t x = 0; x < width; x++) {
            const double want = bilinear(image, height, width,
                                         a->xx * x + a->xy * y + a->x0 + displacement(&c, 0, x, y),
                                         a->yx * x + a->yy * y + a->y0 + displacement(&c, 1, x, y));
            const uint8_t got = out[y * width + x];
            if (!(fabs(got - want) < 0.51)) fail("(%d, %d) is %d, want %g", x, y, got, want);
            n_not_zero += got != 0;
        }
    }
    n_compared += n;
    lenet_kernels_portable()->distort(&c, a, image, same);
    if (memcmp(out, same, n) != 0) fail("differs from the portable one");
    release();
}

static void check_distort(void)
{
    static const int32_t sizes[][2] = {{1, 1}, {1, 9}, {7, 5}, {8, 16}, {28, 28}, {33, 20}};
    for (size_t i = is_timing ? 4 : 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int k = is_timing ? 3 : 0; k < 8; k++) {
            const float spacing = k % 2 ? 3.5f + (float)k : 0.0f;
            const double size = k / 2;  /* 0: the image as it is, and displacements */
            const lenet_affine a = {
                1.0 + 0.1 * size * uniform(), 0.1 * size * uniform(), 0.1 * size * uniform(),
                1.0 + 0.1 * size * uniform(), size * uniform(), size * uniform()};
            describe("%dx%d, spacing %g, strength %g", (int)sizes[i][0], (int)sizes[i][1],
                     (double)spacing, size);
            distort_case(sizes[i][0], sizes[i][1], spacing, &a);
        }
    }
}

/* The same bytes as portable C gives, which tests/test_distort.py holds against the reference. */
static void check_corrupt(void)
{
    static const int32_t sizes[][2] = {{1, 1}, {1, 9}, {7, 5}, {8, 16}, {28, 28}, {33, 20}};
    const lenet_distortion d = {.thickness = 2.5f, .lines = 3, .blur = 2, .contrast = 0.7f,
                                .noise = 0.3f, .impulses = 0.2f, .chance = 0.5f};
    for (size_t i = is_timing ? 4 : 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int32_t height = sizes[i][0], width = sizes[i][1];
        const size_t n = (size_t)(height * width), room = lenet_corrupt_workspace(height, width);
        size_t changed = 0;
        for (uint64_t sequence = 0; sequence < 64; sequence++) {
            uint8_t *image = levels(n), *out = levels(n), *same = levels(n);
            describe("%dx%d, sequence %d", (int)height, (int)width, (int)sequence);
            for (size_t k = 0; k < n; k++) image[k] = out[k] = same[k] = (uint8_t)draw();
            uint8_t *workspace = levels(room);
            CALL(table->corrupt(&d, sequence, height, width, out, workspace));
            lenet_kernels_portable()->corrupt(&d, sequence, height, width, same, levels(room));
            if (memcmp(out, same, n) != 0) fail("differs from the portable one");
            for (size_t k = 0; k < n; k++) changed += out[k] != image[k];
            n_compared += n;
            release();
        }
        n_not_zero += changed;
        if (changed * 4 < 64 * n) fail("only %d pixels changed", (int)changed);
    }
}

static void check_multiply_adds(void)
{
    for (int loads = 0; loads < 2; loads++) {
        describe("100 rounds of x = x / 2 + 1 / 4, loads %d", loads);
        float *sink = floats(7 * (size_t)L);
        sink[0] = 0.5f;
        for (int i = 1; i < 7 * L; i++) sink[i] = (loads ? i >= L : i == 1) ? 0.25f : NAN;
        double n;
        CALL(n = table->multiply_adds(100, loads, sink));
        /* every sum ends at 1/2 */
        double sums = 2.0 * sink[0];
        if (!(n >= sums && sums >= L && fmod(n, sums) == 0.0 && fmod(sums, L) == 0.0))
            fail("%g multiply-adds a round in %g sums", n, sums);
        release();
    }
}

#define CASES(each, name) \
    static void check_##name(void) { each(name##_case); }
CASES(each_conv, conv)
CASES(each_conv, winograd_weights)
CASES(each_conv, winograd_conv)
CASES(each_conv, winograd_backward_input)
CASES(each_conv, winograd_backward_weights)
CASES(each_conv, winograd_gradient)
CASES(each_conv, conv_backward_input)
CASES(each_conv, conv_backward_weights)
CASES(each_conv, conv_weights_of_one)
CASES(each_conv, conv_of_one)
CASES(each_conv, conv_backward_input_of_one)
CASES(each_conv, conv_backward_weights_of_one)
CASES(each_subsample, subsample)
CASES(each_subsample, subsample_backward)
CASES(each_subsample, subsample_of_one)
CASES(each_subsample, subsample_backward_of_one)
CASES(each_subsample, max_pool)
CASES(each_subsample, max_pool_backward)
CASES(each_subsample, max_pool_of_one)
CASES(each_subsample, max_pool_backward_of_one)
CASES(each_dense, dense)
CASES(each_dense, dense_backward_input)
CASES(each_dense, dense_backward_weights)
CASES(each_dense, dense_of_one)
CASES(each_dense, dense_backward_of_one)
CASES(each_dense, dense_step_of_one)
CASES(each_dense, rbf)
CASES(each_dense, rbf_backward_input)
CASES(each_dense, rbf_backward_codes)
CASES(each_dense, rbf_of_one)
CASES(each_dense, rbf_backward_of_one)

static const struct { const char *name; void (*check)(void); } checks[] = {
#define KERNEL(type, name, arguments) {#name, check_##name},
#include "kernels/list.h"
};
enum { CHECKS = sizeof checks / sizeof *checks };

static void check_all(void)
{
    for (int i = 0; i < CHECKS; i++) {
        kernel = checks[i].name;
        checks[i].check();
        describe("all cases");
        if (n_not_zero < n_compared / 2) fail("most of what it gives is zero");
        n_compared = n_not_zero = 0;
    }
    printf("%d kernels agree with plain loops on %s\n", (int)CHECKS, table->name);
}

/* Seconds of the check's first call, in timing.best. */
static void time_one(void (*check)(void))
{
    memset(&timing, 0, sizeof timing);
    timing.best = INFINITY;
    run_until_timed(check);
    release();
}

static int time_kernels(const char *part_of_name)
{
    const double rounds = 100;
    int found = 0;
    is_timing = 1;
    shape = 0;
    time_one(check_multiply_adds);
    const double most = rounds * table->multiply_adds(1, 0, floats((size_t)L)) / timing.best;
    printf("%s: at most %.1f G multiply-adds a second\n", table->name, 1e-9 * most);
    printf("%-28s  %-46s %9s %6s %5s %7s\n", "kernel", "shape", "ns", "G/s", "most", "plain");
    for (int i = 0; i < CHECKS; i++) {
        if (!strstr(checks[i].name, part_of_name)) continue;
        found = 1;
        kernel = checks[i].name;
        for (shape = 0, n_shapes = 1; shape < n_shapes; shape++) {
            time_one(checks[i].check);
            if (!isfinite(timing.best)) continue;  /* not for this shape */
            const double speed = timing.multiply_adds / timing.best;
            printf("%-28s  %-46s %9.0f", kernel, what, 1e9 * timing.best);
            if (speed > 0.0)
                printf(" %6.1f %4.0f%%", 1e-9 * speed, 100.0 * speed / most);
            else
                printf(" %6s %5s", "-", "-");
            if (timing.plain > 0.0)
                printf(" %6.1fx\n", timing.plain / timing.best);
            else
                printf(" %7s\n", "-");
        }
    }
    if (!found) printf("no kernel has \"%s\" in its name\n", part_of_name);
    return !found;
}

int main(int n_arguments, char **arguments)
{
    const char *bench = NULL;
    for (int i = 1; i < n_arguments; i++) {
        const int has_value = i + 1 < n_arguments && arguments[i + 1][0] != '-';
        if (strcmp(arguments[i], "--bench") == 0) {
            bench = has_value ? arguments[++i] : "";
        } else if (strcmp(arguments[i], "--isa") == 0 && has_value) {
            setenv("LENET_C_ISA", arguments[++i], 1);
        } else {
            printf("usage: c_kernels [--bench [NAME]] [--isa ISA]\n");
            return 2;
        }
    }
    if (bench && !CAN_TIME) {
        printf("--bench: there is no clock in WebAssembly\n");
        return 2;
    }
    if (lenet_init() != LENET_OK) {
        printf("this processor or build has no such instruction set\n");
        return 1;
    }
    table = lenet_kernels_active();
    L = table->lanes;
    if (bench) return time_kernels(bench);
    check_all();
    return 0;
}
