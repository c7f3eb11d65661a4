/* Holds each kernel of the table in use (LENET_C_ISA picks it) against plain loops in double, on
 * random values and odd sizes. Built and run by test_c_api.py, and for ARM by `make test-arm`;
 * ends with an error at the first value that differs, saying where. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

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
    float *start = aligned_alloc(64, (n + 2 * FENCE + 15) / 16 * 16 * sizeof *start);
    if (!start || n_buffers == MOST_BUFFERS) fail("no memory");
    for (size_t i = 0; i < n + 2 * FENCE; i++)
        start[i] = i < FENCE || i >= FENCE + n ? NAN : uniform();
    buffers[n_buffers].start = start;
    buffers[n_buffers++].n = n;
    return start + FENCE;
}

/* Sums in double, and the sums of their terms' sizes, which a float's error is a share of. */
typedef struct { double *sum, *size; size_t n; } expected;
static expected expectations[MOST_BUFFERS];
static int n_expectations;

static expected expect(size_t n)
{
    expected e = {calloc(n, sizeof *e.sum), calloc(n, sizeof *e.size), n};
    if (!e.sum || !e.size || n_expectations == MOST_BUFFERS) fail("no memory");
    return expectations[n_expectations++] = e;
}

static void add(expected e, size_t i, double term)
{
    e.sum[i] += term;
    e.size[i] += fabs(term);
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
        compare(name, got + row * stride, (expected){want.sum + row * n, want.size + row * n, n});
}

/* Frees what the case took, after a look at the fences. */
static void release(void)
{
    for (int b = 0; b < n_buffers; b++) {
        const float *start = buffers[b].start, *end = start + FENCE + buffers[b].n;
        for (int i = 0; i < FENCE; i++)
            if (!isnan(start[i]) || !isnan(end[i])) fail("wrote past an array");
        free(buffers[b].start);
    }
    for (int e = 0; e < n_expectations; e++) {
        free(expectations[e].sum);
        free(expectations[e].size);
    }
    n_buffers = n_expectations = 0;
}

/* ---- the activations ------------------------------------------------------------------------ */

enum { ACTIVATIONS = 4 };

static double activate(int activation, double a)
{
    switch (activation) {
    case LENET_SCALED_TANH: return 1.7159 * tanh(2.0 / 3.0 * a);
    case LENET_TANH: return tanh(a);
    case LENET_RELU: return a > 0.0 ? a : 0.0;
    default: return a;
    }
}

static double slope_at(int activation, double y)
{
    switch (activation) {
    case LENET_SCALED_TANH: return 2.0 / 3.0 * (1.7159 - y * y / 1.7159);
    case LENET_TANH: return 1.0 - y * y;
    case LENET_RELU: return y > 0.0;
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

/* Sums become f(sum). No slope is above 1.15. */
static void activate_all(int activation, expected e)
{
    for (size_t i = 0; i < e.n; i++) {
        e.sum[i] = activate(activation, e.sum[i]);
        e.size[i] *= 1.15;
    }
}

/* Sums become sum * f'(a), with f(a) in y. */
static void times_slope(int activation, expected e, const float *y)
{
    for (size_t i = 0; i < e.n; i++) {
        e.sum[i] *= slope_at(activation, y[i]);
        e.size[i] *= 1.15;
    }
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
        for (int n = 1; n <= L; n++) {
            describe("%d images of %d x %d into %d x %d", n, height, width, out_height, out_width);
            uint8_t *pixels = grey_pixels(n * height * width);
            const uint8_t *images[LENET_MAX_LANES];
            for (int i = 0; i < n; i++) images[i] = pixels + i * height * width;
            expected want = expect((size_t)(out_height * out_width * L));
            for (int lane = 0; lane < L; lane++)
                expect_grey(want, lane, L, lane < n ? images[lane] : NULL, height, width,
                            out_height, out_width);
            float *out = floats(want.n);
            table->load_grey(images, n, height, width, -0.1f, 1.175f, out_height, out_width, out);
            compare("out", out, want);
            free(pixels);
            release();
        }
    }
}

static void check_rows_to_lanes(void)
{
    for (int n = 1; n <= L; n++) {
        for (int count = 1; count < 20; count++) {
            describe("%d rows of %d", n, count);
            const float *in = floats((size_t)(n * count));
            const float *rows[LENET_MAX_LANES];
            for (int i = 0; i < n; i++) rows[i] = in + i * count;
            float *out = floats((size_t)(count * L));
            table->rows_to_lanes(rows, n, count, out);
            for (int i = 0; i < count; i++)
                for (int lane = 0; lane < L; lane++)
                    if (out[i * L + lane] != (lane < n ? rows[lane][i] : 0.0f))
                        fail("feature %d, lane %d", i, lane);
            release();
        }
    }
}

static void check_lanes_to_rows(void)
{
    for (int n = 1; n <= L; n++) {
        for (int count = 1; count < 20; count++) {
            describe("%d rows of %d", n, count);
            const float *in = floats((size_t)(count * L));
            float *out = floats((size_t)(n * count)), *rows[LENET_MAX_LANES];
            for (int i = 0; i < n; i++) rows[i] = out + i * count;
            table->lanes_to_rows(in, n, count, rows);
            for (int i = 0; i < count; i++)
                for (int lane = 0; lane < n; lane++)
                    if (rows[lane][i] != in[i * L + lane]) fail("feature %d, lane %d", i, lane);
            release();
        }
    }
}

/* ---- convolution ---------------------------------------------------------------------------- */

enum { MOST_MAPS = 16, MOST_CONNECTIONS = MOST_MAPS * MOST_MAPS };
enum { DENSE, SPARSE, ONE_UNUSED };  /* all to all; two of three; all but the last input map */

static int connected(int kind, int from, int to, int in_maps)
{
    if (kind == SPARSE) return (from + to) % 3 != 2 || in_maps == 1;
    return kind == DENSE || in_maps == 1 || from != in_maps - 1;
}

/* Fills the lists, which the next call overwrites. */
static lenet_conv_shape conv_shape(int in_maps, int out_height, int out_width, int out_maps,
                                   int side, int kind)
{
    static int32_t first[MOST_MAPS + 1], source[MOST_CONNECTIONS];
    static int32_t first_target[MOST_MAPS + 1], connection[MOST_CONNECTIONS];
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
        first_target[c] = n;
        for (int o = 0; o < out_maps; o++) {
            if (!connected(kind, c, o, in_maps)) continue;
            connection[n] = number[c][o];
            target[n++] = o;
        }
    }
    first_target[in_maps] = n;
    describe("%d -> %d maps of %d x %d, kernel %d x %d", in_maps, out_maps, out_height, out_width,
             side, side);
    return (lenet_conv_shape){
        .in_maps = in_maps, .in_height = out_height + side - 1, .in_width = out_width + side - 1,
        .out_maps = out_maps, .out_height = out_height, .out_width = out_width, .kernel = side,
        .first = first, .source = source,
        .first_target = first_target, .connection = connection, .target = target};
}

/* Layers of the networks, every tile width for every kind of kernel, and whole-map kernels. */
static void each_conv(void (*check)(const lenet_conv_shape *s, int activation))
{
    static const int shapes[][6] = {
        {1, 28, 28, 6, 5, DENSE},   {1, 24, 24, 6, 5, DENSE}, {6, 10, 10, 16, 5, SPARSE},
        {6, 8, 8, 16, 5, DENSE},    {1, 26, 26, 6, 3, DENSE}, {6, 11, 11, 16, 3, SPARSE},
        {3, 13, 10, 7, 5, SPARSE},  {4, 5, 8, 5, 5, SPARSE},  {3, 4, 11, 5, 3, ONE_UNUSED},
        {4, 7, 6, 11, 5, ONE_UNUSED}, {16, 1, 1, 9, 5, DENSE},  {16, 1, 1, 5, 4, DENSE},
        {2, 40, 29, 5, 5, DENSE},   {1, 37, 43, 4, 7, DENSE}};
    static const int sides[] = {1, 2, 3, 5, 7};
    int activation = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int *c = shapes[i];
        lenet_conv_shape s = conv_shape(c[0], c[1], c[2], c[3], c[4], c[5]);
        for (activation = 0; activation < ACTIVATIONS; activation++) check(&s, activation);
    }
    for (size_t k = 0; k < sizeof sides / sizeof *sides; k++) {
        for (int width = 1; width <= 30; width++, activation++) {
            lenet_conv_shape s
                = conv_shape(2, 1 + width % 4, width, 1 + width % 5, sides[k], SPARSE);
            check(&s, activation % ACTIVATIONS);
        }
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
    return (size_t)(s->first[s->out_maps] * s->kernel * s->kernel);
}

/* At no particular address, and not so large that most sums leave the curved part of tanh. */
static float *conv_weights(const lenet_conv_shape *s)
{
    float *weights = floats(n_weights(s) + 1) + 1;
    const float fan_in = (float)(s->kernel * s->kernel * s->in_maps);
    for (size_t i = 0; i < n_weights(s); i++) weights[i] *= 2.0f / sqrtf(fan_in);
    return weights;
}

/* One multiply-add of the convolution for one image: where its operands are. */
typedef void pair_of(void *context, size_t in, size_t weight, size_t out);

static void each_product(const lenet_conv_shape *s, pair_of *visit, void *context)
{
    const int K = s->kernel;
    for (int o = 0; o < s->out_maps; o++)
        for (int c = s->first[o]; c < s->first[o + 1]; c++)
            for (int y = 0; y < s->out_height; y++)
                for (int x = 0; x < s->out_width; x++)
                    for (int i = 0; i < K; i++)
                        for (int j = 0; j < K; j++)
                            visit(context,
                                  (size_t)(((s->source[c] * s->in_height + y + i) * s->in_width + x
                                            + j) * L),
                                  (size_t)((c * K + i) * K + j),
                                  (size_t)(((o * s->out_height + y) * s->out_width + x) * L));
}

typedef struct {
    const float *in, *weights, *delta;
    expected sums;
    int in_width, out_width;  /* of one image */
    ptrdiff_t delta_stride;
} conv_context;

static void product_forward(void *context, size_t in, size_t weight, size_t out)
{
    const conv_context *c = context;
    for (int lane = 0; lane < L; lane++)
        add(c->sums, out + lane, (double)c->in[in + lane] * c->weights[weight]);
}

static void product_to_input(void *context, size_t in, size_t weight, size_t out)
{
    const conv_context *c = context;
    for (int lane = 0; lane < L; lane++)
        add(c->sums, in + lane, (double)c->delta[out + lane] * c->weights[weight]);
}

static void product_to_weight(void *context, size_t in, size_t weight, size_t out)
{
    const conv_context *c = context;
    for (int lane = 0; lane < L; lane++)
        add(c->sums, weight * L + lane, (double)c->delta[out + lane] * c->in[in + lane]);
}

static void conv_case(const lenet_conv_shape *s, int activation)
{
    const size_t row_size = (size_t)(s->out_width * L), map_size = row_size * s->out_height;
    const float *in = floats(n_inputs(s)), *bias = floats((size_t)s->out_maps);
    const float *weights = conv_weights(s);
    expected want = expect(n_outputs(s));
    for (size_t i = 0; i < want.n; i++) add(want, i, bias[i / map_size]);
    each_product(s, product_forward, &(conv_context){.in = in, .weights = weights, .sums = want});
    activate_all(activation, want);

    /* the whole of it, then some rows, with room between the maps */
    for (int row = 0; row < s->out_height && row < 3; row++) {
        for (int n_rows = s->out_height - row; n_rows > 0; n_rows = n_rows > 3 ? 3 : n_rows - 1) {
            const size_t stride = n_rows * row_size + 16;
            float *out = floats(s->out_maps * stride);
            float *before = floats(s->out_maps * stride);
            memcpy(before, out, s->out_maps * stride * sizeof *out);
            table->conv(s, weights, bias, activation, in, row, n_rows, (ptrdiff_t)stride, out);
            for (int map = 0; map < s->out_maps; map++) {
                const size_t at = map * map_size + row * row_size;
                compare("out", out + map * stride,
                        (expected){want.sum + at, want.size + at, n_rows * row_size});
                if (memcmp(out + (map + 1) * stride - 16, before + (map + 1) * stride - 16,
                           16 * sizeof *out) != 0)
                    fail("wrote between the maps");
            }
        }
    }
    release();
}

static void conv_backward_input_case(const lenet_conv_shape *s, int activation)
{
    const float *weights = floats(n_weights(s) + 1) + 1, *delta = floats(n_outputs(s));
    float *in = outputs_of(activation, n_inputs(s));
    expected want = expect(n_inputs(s));
    each_product(s, product_to_input,
                 &(conv_context){.weights = weights, .delta = delta, .sums = want});
    times_slope(activation, want, in);
    table->conv_backward_input(s, weights, delta, activation, in);
    compare("in", in, want);
    release();
}

static void conv_backward_weights_case(const lenet_conv_shape *s, int activation)
{
    if (activation != LENET_IDENTITY) return;  /* it has none */
    const float *in = floats(n_inputs(s)), *delta = floats(n_outputs(s));
    float *dweights = floats(n_weights(s) * L), *dbias = floats((size_t)(s->out_maps * L));
    expected weights = expect(n_weights(s) * L), bias = expect((size_t)(s->out_maps * L));
    for (size_t i = 0; i < weights.n; i++) add(weights, i, dweights[i]);
    for (size_t i = 0; i < bias.n; i++) add(bias, i, dbias[i]);
    each_product(s, product_to_weight,
                 &(conv_context){.in = in, .delta = delta, .sums = weights});
    const size_t map_size = n_outputs(s) / (size_t)s->out_maps;
    for (size_t i = 0; i < n_outputs(s); i++)
        add(bias, i / map_size * L + i % L, delta[i]);
    table->conv_backward_weights(s, in, delta, dweights, dbias);
    compare("dweights", dweights, weights);
    compare("dbias", dbias, bias);
    release();
}

static void check_conv(void) { each_conv(conv_case); }
static void check_conv_backward_input(void) { each_conv(conv_backward_input_case); }
static void check_conv_backward_weights(void) { each_conv(conv_backward_weights_case); }

/* ---- subsampling ---------------------------------------------------------------------------- */

static void each_subsample(void (*check)(int maps, int height, int width, int activation,
                                         int trained))
{
    for (int width = 2; width <= 28; width += width < 9 ? 1 : 5) {
        for (int maps = 1; maps <= 3; maps++) {
            for (int activation = 0; activation < ACTIVATIONS; activation++) {
                for (int trained = 0; trained < 2; trained++) {
                    int height = 2 + (width + maps) % 4;
                    describe("%d maps of %d x %d, activation %d, %s", maps, height, width,
                             activation, trained ? "trained" : "plain mean");
                    check(maps, height, width, activation, trained);
                }
            }
        }
    }
}

static void subsample_case(int maps, int height, int width, int activation, int trained)
{
    const int n_rows = height / 2, columns = width / 2;
    const ptrdiff_t in_stride = 2 * n_rows * width * L + 32, stride = n_rows * columns * L + 16;
    const float *in = floats((size_t)(maps * in_stride));
    const float *coefficient = trained ? floats((size_t)maps) : NULL;
    const float *bias = trained ? floats((size_t)maps) : NULL;
    float *out = floats((size_t)(maps * stride));
    expected want = expect((size_t)(maps * n_rows * columns * L));
    for (int map = 0; map < maps; map++) {
        for (int y = 0; y < n_rows * 2; y++) {
            for (int x = 0; x < columns * 2; x++) {
                for (int lane = 0; lane < L; lane++) {
                    size_t i = (size_t)(((map * n_rows + y / 2) * columns + x / 2) * L + lane);
                    add(want, i,
                        (trained ? coefficient[map] : 0.25)
                            * in[map * in_stride + (y * width + x) * L + lane]);
                    if (trained && y % 2 == 0 && x % 2 == 0) add(want, i, bias[map]);
                }
            }
        }
    }
    activate_all(activation, want);
    table->subsample(maps, width, coefficient, bias, activation, in, in_stride, n_rows, stride,
                     out);
    compare_rows("out", out, maps, stride, want);
    release();
}

static void subsample_backward_case(int maps, int height, int width, int activation, int trained)
{
    const int rows = height / 2, columns = width / 2;
    const float *coefficient = trained ? floats((size_t)maps) : NULL;
    const float *delta = floats((size_t)(maps * rows * columns * L));
    float *in = outputs_of(activation, (size_t)(maps * height * width * L));
    float *dcoefficient = trained ? floats((size_t)(maps * L)) : NULL;
    float *dbias = trained ? floats((size_t)(maps * L)) : NULL;
    expected want = expect((size_t)(maps * height * width * L));
    expected scale = expect((size_t)(maps * L)), shift = expect((size_t)(maps * L));
    for (size_t i = 0; trained && i < scale.n; i++) {
        add(scale, i, dcoefficient[i]);
        add(shift, i, dbias[i]);
    }
    for (int map = 0; map < maps; map++) {
        for (int y = 0; y < rows * 2; y++) {
            for (int x = 0; x < columns * 2; x++) {
                for (int lane = 0; lane < L; lane++) {
                    double d = delta[((map * rows + y / 2) * columns + x / 2) * L + lane];
                    size_t i = (size_t)(((map * height + y) * width + x) * L + lane);
                    add(want, i, d * (trained ? coefficient[map] : 0.25));
                    add(scale, (size_t)(map * L + lane), d * in[i]);
                    if (y % 2 == 0 && x % 2 == 0) add(shift, (size_t)(map * L + lane), d);
                }
            }
        }
    }
    times_slope(activation, want, in);
    table->subsample_backward(maps, height, width, coefficient, delta, activation, in,
                              dcoefficient, dbias);
    compare("in", in, want);
    if (trained) {
        compare("dcoefficient", dcoefficient, scale);
        compare("dbias", dbias, shift);
    }
    release();
}

static void check_subsample(void) { each_subsample(subsample_case); }
static void check_subsample_backward(void) { each_subsample(subsample_backward_case); }

/* ---- dense layers and RBF units ------------------------------------------------------------- */

static void each_dense(void (*check)(const lenet_dense_shape *s, int activation))
{
    static const int inputs[] = {1, 3, 7, 16, 17, 45, 84, 120};
    static const int outputs[] = {1, 2, 5, 6, 7, 10, 13};
    int activation = 0;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        for (size_t o = 0; o < sizeof outputs / sizeof *outputs; o++) {
            for (int groups = 1; groups <= 7; groups++, activation++) {
                const lenet_dense_shape s = {
                    inputs[i], outputs[o], groups,
                    (inputs[i] * L + 15) / 16 * 16 + 16, (outputs[o] * L + 15) / 16 * 16 + 32};
                describe("%d inputs, %d outputs, %d groups, activation %d", s.inputs, s.outputs,
                         groups, activation % ACTIVATIONS);
                check(&s, activation % ACTIVATIONS);
            }
        }
    }
}

/* The index of a lane's feature in lanes with a stride, and without one. */
static size_t strided(ptrdiff_t stride, int g, int feature, int lane)
{
    return (size_t)(g * stride + feature * L + lane);
}

static size_t packed(int n, int g, int feature, int lane)
{
    return (size_t)((g * n + feature) * L + lane);
}

#define EACH_PRODUCT(s)                                                                   \
    for (int g = 0; g < (s)->groups; g++)                                                 \
        for (int o = 0; o < (s)->outputs; o++)                                            \
            for (int k = 0; k < (s)->inputs; k++)                                         \
                for (int lane = 0; lane < L; lane++)

static void dense_case(const lenet_dense_shape *s, int activation)
{
    const float *weights = floats((size_t)(s->inputs * s->outputs) + 1) + 1;
    const float *bias = floats((size_t)s->outputs + 1) + 1;
    const float *in = floats((size_t)(s->groups * s->in_stride));
    float *out = floats((size_t)(s->groups * s->out_stride));
    expected want = expect((size_t)(s->groups * s->outputs * L));
    EACH_PRODUCT(s)
    {
        size_t i = packed(s->outputs, g, o, lane);
        if (k == 0) add(want, i, bias[o]);
        add(want, i,
            (double)weights[o * s->inputs + k] * in[strided(s->in_stride, g, k, lane)]);
    }
    activate_all(activation, want);
    table->dense(s, weights, bias, activation, in, out);
    compare_rows("out", out, s->groups, s->out_stride, want);
    release();
}

static void dense_backward_input_case(const lenet_dense_shape *s, int activation)
{
    const float *weights = floats((size_t)(s->inputs * s->outputs) + 1) + 1;
    const float *delta = floats((size_t)(s->groups * s->out_stride));
    float *in = outputs_of(activation, (size_t)(s->groups * s->in_stride));
    const size_t n = (size_t)(s->inputs * L);
    expected want = expect(s->groups * n);
    EACH_PRODUCT(s)
    add(want, packed(s->inputs, g, k, lane),
        (double)weights[o * s->inputs + k] * delta[strided(s->out_stride, g, o, lane)]);
    for (int g = 0; g < s->groups; g++)
        times_slope(activation, (expected){want.sum + g * n, want.size + g * n, n},
                    in + g * s->in_stride);
    table->dense_backward_input(s, weights, delta, activation, in);
    compare_rows("in", in, s->groups, s->in_stride, want);
    release();
}

static void dense_backward_weights_case(const lenet_dense_shape *s, int activation)
{
    if (activation != LENET_IDENTITY && s->groups > 4) return;  /* it has none */
    const float *in = floats((size_t)(s->groups * s->in_stride));
    const float *delta = floats((size_t)(s->groups * s->out_stride));
    float *scratch = floats(lenet_dense_scratch(s));
    expected weights = expect((size_t)(s->inputs * s->outputs));
    expected bias = expect((size_t)s->outputs);
    float *dweights = floats(weights.n + 1) + 1, *dbias = floats(bias.n + 1) + 1;
    EACH_PRODUCT(s)
    {
        double d = delta[strided(s->out_stride, g, o, lane)];
        add(weights, (size_t)(o * s->inputs + k), d * in[strided(s->in_stride, g, k, lane)]);
        if (k == 0) add(bias, (size_t)o, d);
    }
    const int add_to = s->groups % 2;
    for (size_t i = 0; add_to && i < weights.n; i++) add(weights, i, dweights[i]);
    for (size_t i = 0; add_to && i < bias.n; i++) add(bias, i, dbias[i]);
    table->dense_backward_weights(s, in, delta, scratch, add_to, dweights, dbias);
    compare("dweights", dweights, weights);
    compare("dbias", dbias, bias);
    release();
}

static void rbf_case(const lenet_dense_shape *s, int activation)
{
    if (activation != LENET_IDENTITY && s->groups > 4) return;  /* it has none */
    const float *codes = floats((size_t)(s->inputs * s->outputs) + 1) + 1;
    const float *in = floats((size_t)(s->groups * s->in_stride));
    float *out = floats((size_t)(s->groups * s->out_stride));
    expected want = expect((size_t)(s->groups * s->outputs * L));
    EACH_PRODUCT(s)
    {
        double distance
            = (double)in[strided(s->in_stride, g, k, lane)] - codes[o * s->inputs + k];
        add(want, packed(s->outputs, g, o, lane), distance * distance);
    }
    table->rbf(s, codes, in, out);
    compare_rows("out", out, s->groups, s->out_stride, want);
    release();
}

static void rbf_backward_input_case(const lenet_dense_shape *s, int activation)
{
    const float *codes = floats((size_t)(s->inputs * s->outputs) + 1) + 1;
    const float *delta = floats((size_t)(s->groups * s->out_stride));
    float *in = outputs_of(activation, (size_t)(s->groups * s->in_stride));
    const size_t n = (size_t)(s->inputs * L);
    expected want = expect(s->groups * n);
    EACH_PRODUCT(s)
    {
        double d = 2.0 * delta[strided(s->out_stride, g, o, lane)];
        double x = in[strided(s->in_stride, g, k, lane)];
        size_t i = packed(s->inputs, g, k, lane);
        add(want, i, d * x);
        add(want, i, -d * codes[o * s->inputs + k]);
    }
    for (int g = 0; g < s->groups; g++)
        times_slope(activation, (expected){want.sum + g * n, want.size + g * n, n},
                    in + g * s->in_stride);
    table->rbf_backward_input(s, codes, delta, activation, in);
    compare_rows("in", in, s->groups, s->in_stride, want);
    release();
}

static void rbf_backward_codes_case(const lenet_dense_shape *s, int activation)
{
    if (activation != LENET_IDENTITY && s->groups > 4) return;  /* it has none */
    const float *codes = floats((size_t)(s->inputs * s->outputs) + 1) + 1;
    const float *in = floats((size_t)(s->groups * s->in_stride));
    const float *delta = floats((size_t)(s->groups * s->out_stride));
    expected want = expect((size_t)(s->inputs * s->outputs));
    float *dcodes = floats(want.n + 1) + 1;
    EACH_PRODUCT(s)
    {
        size_t i = (size_t)(o * s->inputs + k);
        double d = -2.0 * delta[strided(s->out_stride, g, o, lane)];
        add(want, i, d * in[strided(s->in_stride, g, k, lane)]);
        add(want, i, -d * codes[i]);
    }
    const int add_to = s->groups % 2;
    for (size_t i = 0; add_to && i < want.n; i++) add(want, i, dcodes[i]);
    table->rbf_backward_codes(s, codes, in, delta, add_to, dcodes);
    compare("dcodes", dcodes, want);
    release();
}

static void check_dense(void) { each_dense(dense_case); }
static void check_dense_backward_input(void) { each_dense(dense_backward_input_case); }
static void check_dense_backward_weights(void) { each_dense(dense_backward_weights_case); }
static void check_rbf(void) { each_dense(rbf_case); }
static void check_rbf_backward_input(void) { each_dense(rbf_backward_input_case); }
static void check_rbf_backward_codes(void) { each_dense(rbf_backward_codes_case); }

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
        table->load_grey_rows(image, height, width, -0.1f, 1.175f, out_height, out_width, stride,
                              out);
        compare_rows("out", out, out_height, stride, want);
        free(image);
        release();
    }
}

static void product_of_one(void *context, size_t in, size_t weight, size_t out)
{
    const conv_context *c = context;
    add(c->sums, out / L,
        (double)c->in[in / L / c->in_width * row_stride(c->in_width) + in / L % c->in_width]
            * c->weights[weight]);
}

static void conv_of_one_case(const lenet_conv_shape *s, int activation)
{
    const float *in = padded_rows(s->in_maps * s->in_height, s->in_width);
    const float *bias = floats((size_t)s->out_maps), *weights = conv_weights(s);
    const int rows = s->out_maps * s->out_height;
    expected want = expect((size_t)(rows * s->out_width));
    for (size_t i = 0; i < want.n; i++) add(want, i, bias[i / (want.n / s->out_maps)]);
    each_product(s, product_of_one,
                 &(conv_context){
                     .in = in, .weights = weights, .sums = want, .in_width = s->in_width});
    activate_all(activation, want);
    const ptrdiff_t strides[] = {
        s->out_width, row_stride(s->out_width), row_stride(s->out_width) + L};
    for (int i = 0; i < 3; i++) {
        float *out = floats((size_t)(rows * strides[i]) + LENET_ROW_SLACK);
        out[strides[i] - 1] = NAN;  /* as memory may be */
        table->conv_of_one(s, weights, bias, activation, in, row_stride(s->in_width), strides[i],
                           out);
        compare_rows("out", out, rows, strides[i], want);
    }
    release();
}

static void subsample_of_one_case(int maps, int height, int width, int activation, int trained)
{
    const int rows = height / 2, columns = width / 2;
    const ptrdiff_t in_stride = row_stride(width);
    const float *in = padded_rows(maps * height, width);
    const float *coefficient = trained ? floats((size_t)maps) : NULL;
    const float *bias = trained ? floats((size_t)maps) : NULL;
    expected want = expect((size_t)(maps * rows * columns));
    for (int map = 0; map < maps; map++) {
        for (int y = 0; y < rows * 2; y++) {
            for (int x = 0; x < columns * 2; x++) {
                size_t i = (size_t)((map * rows + y / 2) * columns + x / 2);
                add(want, i,
                    (trained ? coefficient[map] : 0.25)
                        * in[(map * height + y) * in_stride + x]);
                if (trained && y % 2 == 0 && x % 2 == 0) add(want, i, bias[map]);
            }
        }
    }
    activate_all(activation, want);
    const ptrdiff_t strides[] = {columns, row_stride(columns)};
    for (int i = 0; i < 2; i++) {
        float *out = floats((size_t)(maps * rows * strides[i]) + LENET_ROW_SLACK);
        table->subsample_of_one(maps, height, width, coefficient, bias, activation, in, in_stride,
                                strides[i], out);
        compare_rows("out", out, maps * rows, strides[i], want);
    }
    release();
}

static void dense_of_one_case(const lenet_dense_shape *s, int activation)
{
    const float *weights = floats((size_t)(s->inputs * s->outputs) + 1) + 1;
    const float *bias = floats((size_t)s->outputs + 1) + 1, *in = padded_rows(1, s->inputs);
    float *out = floats((size_t)s->outputs + LENET_ROW_SLACK);
    expected want = expect((size_t)s->outputs);
    for (int o = 0; o < s->outputs; o++) {
        add(want, (size_t)o, bias[o]);
        for (int k = 0; k < s->inputs; k++)
            add(want, (size_t)o, (double)weights[o * s->inputs + k] * in[k]);
    }
    activate_all(activation, want);
    table->dense_of_one(s, weights, bias, activation, in, out);
    compare("out", out, want);
    release();
}

static void rbf_of_one_case(const lenet_dense_shape *s, int activation)
{
    if (activation != LENET_IDENTITY && s->groups > 4) return;  /* it has none */
    const float *codes = floats((size_t)(s->inputs * s->outputs) + 1) + 1;
    const float *in = padded_rows(1, s->inputs);
    float *out = floats((size_t)s->outputs + LENET_ROW_SLACK);
    expected want = expect((size_t)s->outputs);
    for (int o = 0; o < s->outputs; o++) {
        for (int k = 0; k < s->inputs; k++) {
            double distance = (double)in[k] - codes[o * s->inputs + k];
            add(want, (size_t)o, distance * distance);
        }
    }
    table->rbf_of_one(s, codes, in, out);
    compare("out", out, want);
    release();
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

/* Where the i-th value lies when rows of `width` are `stride` apart. */
static size_t in_rows(size_t i, int width, ptrdiff_t stride)
{
    return i / (size_t)width * (size_t)stride + i % (size_t)width;
}

static ptrdiff_t delta_stride(const lenet_conv_shape *s)
{
    return row_stride(s->out_width + s->kernel - 1);
}

static void product_to_input_of_one(void *context, size_t in, size_t weight, size_t out)
{
    const conv_context *c = context;
    add(c->sums, in / L,
        (double)c->delta[in_rows(out / L, c->out_width, c->delta_stride)] * c->weights[weight]);
}

static void product_to_weight_of_one(void *context, size_t in, size_t weight, size_t out)
{
    const conv_context *c = context;
    add(c->sums, weight,
        (double)c->delta[in_rows(out / L, c->out_width, c->delta_stride)]
            * c->in[in_rows(in / L, c->in_width, row_stride(c->in_width))]);
}

/* Rows whose values past the width are finite, and some activation's outputs. */
static float *output_rows(int activation, int rows, ptrdiff_t stride)
{
    return outputs_of(activation, (size_t)(rows * stride) + LENET_ROW_SLACK);
}

static void each_slope_in_rows(int activation, expected want, const float *in, int width,
                               ptrdiff_t stride)
{
    for (size_t i = 0; i < want.n; i++)
        times_slope(activation, (expected){want.sum + i, want.size + i, 1},
                    in + in_rows(i, width, stride));
}

static void conv_backward_input_of_one_case(const lenet_conv_shape *s, int activation)
{
    const float *weights = floats(n_weights(s) + 1) + 1;
    const float *delta = padded_deltas(s->out_maps * s->out_height, s->out_width, delta_stride(s));
    const int rows = s->in_maps * s->in_height;
    const ptrdiff_t strides[] = {row_stride(s->in_width), row_stride(s->in_width) + L};
    for (int i = 0; i < 2; i++) {
        float *in = output_rows(activation, rows, strides[i]);
        expected want = expect((size_t)(rows * s->in_width));
        each_product(s, product_to_input_of_one,
                     &(conv_context){.weights = weights, .delta = delta, .sums = want,
                                     .out_width = s->out_width, .delta_stride = delta_stride(s)});
        each_slope_in_rows(activation, want, in, s->in_width, strides[i]);
        table->conv_backward_input_of_one(s, weights, delta, delta_stride(s), activation, in,
                                          strides[i]);
        compare_rows("in", in, rows, strides[i], want);
        for (ptrdiff_t k = 0; k < rows * strides[i]; k++)
            if (k % strides[i] >= s->in_width && in[k] != 0.0f) fail("not 0 past the width");
    }
    release();
}

/* What a kernel leaves for sum_lanes to add up. */
static void compare_lane_sums(const char *name, const float *got, expected want)
{
    for (size_t i = 0; i < want.n; i++) {
        double sum = 0.0;
        for (int lane = 0; lane < L; lane++) sum += got[i * L + lane];
        float total = (float)sum;
        compare(name, &total, (expected){want.sum + i, want.size + i, 1});
    }
}

static void conv_backward_weights_of_one_case(const lenet_conv_shape *s, int activation)
{
    if (activation != LENET_IDENTITY) return;  /* it has none */
    const ptrdiff_t stride = row_stride(s->in_width);
    const float *in = output_rows(LENET_IDENTITY, s->in_maps * s->in_height, stride);
    const float *delta = padded_deltas(s->out_maps * s->out_height, s->out_width, delta_stride(s));
    float *dweights = floats(n_weights(s) * L), *dbias = floats((size_t)(s->out_maps * L));
    expected weights = expect(n_weights(s)), bias = expect((size_t)s->out_maps);
    each_product(s, product_to_weight_of_one,
                 &(conv_context){.in = in, .delta = delta, .sums = weights,
                                 .in_width = s->in_width, .out_width = s->out_width,
                                 .delta_stride = delta_stride(s)});
    for (size_t i = 0; i < n_outputs(s) / L; i++)
        add(bias, i / (n_outputs(s) / L / bias.n),
            delta[in_rows(i, s->out_width, delta_stride(s))]);
    table->conv_backward_weights_of_one(s, in, stride, delta, delta_stride(s), dweights, dbias);
    compare_lane_sums("dweights", dweights, weights);
    compare_lane_sums("dbias", dbias, bias);
    release();
}

static void subsample_backward_of_one_case(int maps, int height, int width, int activation,
                                           int trained)
{
    const int rows = height / 2, columns = width / 2;
    const float *coefficient = trained ? floats((size_t)maps) : NULL;
    const ptrdiff_t strides[] = {row_stride(width), row_stride(width + 4)};
    const ptrdiff_t deltas[] = {columns, row_stride(columns)};
    for (int i = 0; i < 2; i++) {
        float *in = output_rows(activation, maps * height, strides[i]);
        const float *delta = output_rows(LENET_IDENTITY, maps * rows, deltas[i]);
        float *dcoefficient = trained ? floats((size_t)(maps * L)) : NULL;
        float *dbias = trained ? floats((size_t)(maps * L)) : NULL;
        expected want = expect((size_t)(maps * height * width));
        expected scale = expect((size_t)maps), shift = expect((size_t)maps);
        for (int k = 0; k < maps * rows * 2 * columns * 2; k++) {
            const int x = k % (columns * 2), y = k / (columns * 2) % (rows * 2);
            const int map = k / (columns * 2) / (rows * 2);
            double d = delta[(map * rows + y / 2) * deltas[i] + x / 2];
            add(want, (size_t)((map * height + y) * width + x),
                d * (trained ? coefficient[map] : 0.25));
            add(scale, (size_t)map, d * in[(map * height + y) * strides[i] + x]);
            if (y % 2 == 0 && x % 2 == 0) add(shift, (size_t)map, d);
        }
        each_slope_in_rows(activation, want, in, width, strides[i]);
        table->subsample_backward_of_one(maps, height, width, coefficient, delta, deltas[i],
                                         activation, in, strides[i], dcoefficient, dbias);
        compare_rows("in", in, maps * height, strides[i], want);
        for (ptrdiff_t k = 0; k < maps * height * strides[i]; k++)
            if (k % strides[i] >= width && in[k] != 0.0f) fail("not 0 past the width");
        if (!trained) continue;
        compare_lane_sums("dcoefficient", dcoefficient, scale);
        compare_lane_sums("dbias", dbias, shift);
    }
    release();
}

static void dense_backward_of_one_case(const lenet_dense_shape *s, int activation)
{
    const int add_to = s->groups % 2;
    const float *weights = floats((size_t)(s->inputs * s->outputs) + 1) + 1;
    const float *delta = floats((size_t)s->outputs + 1) + 1;
    float *in = outputs_of(activation, (size_t)s->inputs);
    expected want = expect((size_t)s->inputs), dw = expect((size_t)(s->inputs * s->outputs));
    expected db = expect((size_t)s->outputs);
    float *dweights = floats(dw.n + 1) + 1, *dbias = floats(db.n + 1) + 1;
    for (size_t i = 0; add_to && i < dw.n; i++) add(dw, i, dweights[i]);
    for (size_t i = 0; i < db.n; i++) add(db, i, delta[i] + (add_to ? (double)dbias[i] : 0.0));
    for (size_t i = 0; i < dw.n; i++) {
        add(want, i % want.n, (double)weights[i] * delta[i / want.n]);
        add(dw, i, (double)in[i % want.n] * delta[i / want.n]);
    }
    times_slope(activation, want, in);
    float *scratch = floats((size_t)s->inputs);
    table->dense_backward_of_one(s, weights, delta, activation, add_to, scratch, in, dweights, dbias);
    compare("in", in, want);
    compare("dweights", dweights, dw);
    compare("dbias", dbias, db);
    release();
}

/* The step gives the bits of a gradient and an update. */
static void dense_step_of_one_case(const lenet_dense_shape *s, int activation)
{
    const size_t n = (size_t)(s->inputs * s->outputs);
    const lenet_optimizer o = {.kind = LENET_SGD, .rate = 0.3f, .weight_decay = 0.1f};
    float *weights = floats(n + 1) + 1, *biases = floats((size_t)s->outputs + 1) + 1;
    float *in = outputs_of(activation, (size_t)s->inputs), *same_in = floats((size_t)s->inputs);
    const float *delta = floats((size_t)s->outputs);
    float *want = floats(n), *want_biases = floats((size_t)s->outputs);
    float *dweights = floats(n), *dbias = floats((size_t)s->outputs);
    memcpy(same_in, in, (size_t)s->inputs * sizeof *in);
    memcpy(want, weights, n * sizeof *want);
    memcpy(want_biases, biases, (size_t)s->outputs * sizeof *want);
    float *scratch = floats((size_t)s->inputs);
    table->dense_backward_of_one(s, want, delta, activation, 0, scratch, same_in, dweights, dbias);
    table->update_sgd(&o, dweights, 0, (ptrdiff_t)n, want);
    table->update_sgd(&o, dbias, 0, s->outputs, want_biases);
    if (!table->dense_step_of_one(s, &o, delta, activation, scratch, in, weights, biases))
        fail("finite weights were said not to be");
    if (memcmp(want, weights, n * sizeof *want)
        || memcmp(want_biases, biases, (size_t)s->outputs * sizeof *want)
        || memcmp(same_in, in, (size_t)s->inputs * sizeof *in))
        fail("other bits than a gradient and an update");
    for (size_t i = 0; i < n; i++) n_not_zero += weights[i] != 0.0f;
    n_compared += n;
    weights[n - 1] = INFINITY;
    if (table->dense_step_of_one(s, &o, delta, activation, scratch, in, weights, biases))
        fail("did not see a weight that is not finite");
    release();
}

static void rbf_backward_of_one_case(const lenet_dense_shape *s, int activation)
{
    const int add_to = s->groups % 2;
    const float *codes = floats((size_t)(s->inputs * s->outputs) + 1) + 1;
    const float *delta = floats((size_t)s->outputs);
    float *in = outputs_of(activation, (size_t)s->inputs);
    float *same_in = floats((size_t)s->inputs);
    memcpy(same_in, in, (size_t)s->inputs * sizeof *in);
    expected want = expect((size_t)s->inputs), dw = expect((size_t)(s->inputs * s->outputs));
    float *dcodes = floats(dw.n + 1) + 1;
    for (size_t i = 0; i < dw.n; i++) {
        const double d = 2.0 * delta[i / want.n], x = in[i % want.n];
        if (add_to) add(dw, i, dcodes[i]);
        add(want, i % want.n, d * x);
        add(want, i % want.n, -d * codes[i]);
        add(dw, i, -d * x);
        add(dw, i, d * codes[i]);
    }
    times_slope(activation, want, in);
    table->rbf_backward_of_one(s, codes, delta, activation, add_to, in, dcodes);
    compare("in", in, want);
    compare("dcodes", dcodes, dw);
    table->rbf_backward_of_one(s, codes, delta, activation, 0, same_in, NULL);
    compare("in with fixed codes", same_in, want);
    release();
}

static void check_conv_backward_weights_of_one(void)
{
    each_conv(conv_backward_weights_of_one_case);
}

static void check_conv_backward_input_of_one(void) { each_conv(conv_backward_input_of_one_case); }
static void check_subsample_backward_of_one(void)
{
    each_subsample(subsample_backward_of_one_case);
}

static void check_dense_backward_of_one(void) { each_dense(dense_backward_of_one_case); }
static void check_dense_step_of_one(void) { each_dense(dense_step_of_one_case); }
static void check_rbf_backward_of_one(void) { each_dense(rbf_backward_of_one_case); }
static void check_conv_of_one(void) { each_conv(conv_of_one_case); }
static void check_subsample_of_one(void) { each_subsample(subsample_of_one_case); }
static void check_dense_of_one(void) { each_dense(dense_of_one_case); }
static void check_rbf_of_one(void) { each_dense(rbf_of_one_case); }

/* ---- the squashing function ----------------------------------------------------------------- */

static void check_squash(void)
{
    tolerance = 8e-7;  /* of the value itself, however small */
    for (int activation = 0; activation < ACTIVATIONS; activation++) {
        for (int n = 1; n <= 5 * L + 3; n++) {
            for (int power = -6; power <= 2; power++) {
                describe("activation %d, %d values up to 1e%d", activation, n, power);
                float *a = floats((size_t)n + 1) + 1, *y = floats((size_t)n + 3) + 3;
                for (int i = 0; i < n; i++) a[i] *= powf(10.0f, (float)power);
                expected want = expect((size_t)n);
                for (int i = 0; i < n; i++) add(want, (size_t)i, activate(activation, a[i]));
                table->squash(activation, a, n, y);
                compare("y", y, want);
                table->squash(activation, a, n, a);
                if (memcmp(a, y, (size_t)n * sizeof *a) != 0) fail("differs in place");
                release();
            }
        }
        for (int n = 1; n <= 2 * L + 1; n++) {
            for (int at = 0; at < n; at++) {
                describe("activation %d, NaN and infinity at %d of %d", activation, at, n);
                float *a = floats((size_t)n), *y = floats((size_t)n);
                a[at] = NAN;
                table->squash(activation, a, n, y);
                for (int i = 0; i < n; i++)
                    if (!isnan(y[i]) != (i != at)) fail("y[%d] is %g", i, y[i]);
                for (int sign = -1; sign <= 1; sign += 2) {
                    a[at] = sign * INFINITY;
                    table->squash(activation, a, n, y);
                    double want = activate(activation, sign * INFINITY);
                    if (!(y[at] == want || fabs(y[at] - want) <= 1e-6 * fabs(want)))
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
    for (int activation = 0; activation < ACTIVATIONS; activation++) {
        for (int n = 1; n <= 5 * L + 3; n++) {
            describe("activation %d, %d values", activation, n);
            float *y = outputs_of(activation, (size_t)n + 1) + 1, *dy = floats((size_t)n + 2) + 2;
            float *da = floats((size_t)n + 3) + 3;
            expected want = expect((size_t)n);
            for (int i = 0; i < n; i++) add(want, (size_t)i, dy[i]);
            times_slope(activation, want, y);
            table->squash_backward(activation, y, dy, n, da);
            compare("da", da, want);
            release();
        }
    }
}

/* ---- sums and updates ----------------------------------------------------------------------- */

static void check_sum_lanes(void)
{
    for (int n = 1; n < 40; n++) {
        const int add_to = n % 2;
        describe("%d sums%s", n, add_to ? ", added" : "");
        const float *in = floats((size_t)(n * L));
        float *sums = floats((size_t)n + 1) + 1;
        expected want = expect((size_t)n);
        for (int i = 0; i < n * L; i++) add(want, (size_t)(i / L), in[i]);
        for (int i = 0; add_to && i < n; i++) add(want, (size_t)i, sums[i]);
        table->sum_lanes(in, n, add_to, sums);
        compare("sums", sums, want);
        release();
    }
}

static void check_sum_partials(void)
{
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    for (int n = 1; n <= 3 * L + 2; n++) {
        for (int n_partials = 1; n_partials <= 5; n_partials++) {
            for (int add_to = 0; add_to < 2; add_to++) {
                describe("%d sums of %d%s", n, n_partials, add_to ? ", added" : "");
                const ptrdiff_t stride = n + 5;
                float *partials = floats((size_t)(n_partials * stride) + 1) + 1;
                float *sum = floats((size_t)n + 1) + 1, *want = floats((size_t)n);
                for (int i = 0; i < n; i++) {
                    want[i] = add_to ? sum[i] + partials[i] : partials[i];
                    for (int p = 1; p < n_partials; p++) want[i] += partials[p * stride + i];
                }
                if (!table->sum_partials(partials, stride, n_partials, add_to, n, sum))
                    fail("says that a sum is not finite");
                /* the order is stated, so these are the same bits */
                if (memcmp(sum, want, (size_t)n * sizeof *sum) != 0) fail("sums differ");
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
    o.first = has_first ? moment1 : NULL;
    o.second = moment2;
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
            want.size[i] += has_first ? o.rate * want1.size[i] : 0.0;
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
            want.size[i] += m_scale * want1.size[i] / size;
        }
    }
    if (!update(&o, gradient, first, n, parameters)) fail("says that a value is not finite");
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
    for (int n = 1; n <= 4 * L + 3; n++) {
        for (int k = 0; k < 4; k++) {
            const lenet_optimizer o = {.kind = LENET_SGD,
                                       .rate = 0.5f,
                                       .momentum = k % 2 ? 0.9f : 0.0f,
                                       .weight_decay = k / 2 ? 0.125f : 0.0f};
            describe("%d values, momentum %g, decay %g", n, o.momentum, o.weight_decay);
            update_case(table->update_sgd, o, 1 + n % 3, n);
        }
    }
}

static void check_update_adam(void)
{
    for (int n = 1; n <= 4 * L + 3; n++) {
        for (int k = 0; k < 4; k++) {
            const lenet_optimizer o = {.kind = LENET_ADAM,
                                       .rate = 0.25f,
                                       .beta1 = 0.9f,
                                       .beta2 = 0.999f,
                                       .epsilon = k % 2 ? 1e-3f : 0.0f,
                                       .weight_decay = k / 2 ? 0.125f : 0.0f,
                                       .step = 1 + n % 7};
            describe("%d values, epsilon %g, decay %g, step %d", n, o.epsilon, o.weight_decay,
                     (int)o.step);
            update_case(table->update_adam, o, 1 + n % 3, n);
        }
    }
}

static void check_update_sdlm(void)
{
    for (int n = 1; n <= 4 * L + 3; n++) {
        describe("%d values", n);
        update_case(table->update_sdlm, (lenet_optimizer){.kind = LENET_SDLM}, 1 + n % 3, n);
    }
}

static void check_multiply_adds(void)
{
    describe("100 rounds of x = x / 2 + 1 / 4");
    float *sink = floats(2);
    sink[0] = 0.5f;
    sink[1] = 0.25f;
    double n = table->multiply_adds(100, sink);
    /* every sum ends at 1/2 */
    double sums = 2.0 * sink[0];
    if (!(n >= sums && sums >= L && fmod(n, sums) == 0.0 && fmod(sums, L) == 0.0))
        fail("%g multiply-adds a round in %g sums", n, sums);
    release();
}

int main(void)
{
    static const struct { const char *name; void (*check)(void); } checks[] = {
#define CHECK(name) {#name, check_##name}
        CHECK(load_grey), CHECK(rows_to_lanes), CHECK(lanes_to_rows),
        CHECK(conv), CHECK(conv_backward_input), CHECK(conv_backward_weights),
        CHECK(subsample), CHECK(subsample_backward),
        CHECK(dense), CHECK(dense_backward_input), CHECK(dense_backward_weights),
        CHECK(rbf), CHECK(rbf_backward_input), CHECK(rbf_backward_codes),
        CHECK(load_grey_rows), CHECK(conv_of_one), CHECK(subsample_of_one),
        CHECK(dense_of_one), CHECK(rbf_of_one),
        CHECK(conv_backward_weights_of_one), CHECK(conv_backward_input_of_one),
        CHECK(subsample_backward_of_one), CHECK(dense_backward_of_one),
        CHECK(dense_step_of_one), CHECK(rbf_backward_of_one),
        CHECK(squash), CHECK(squash_backward),
        CHECK(sum_lanes), CHECK(sum_partials), CHECK(update_sgd), CHECK(update_adam),
        CHECK(update_sdlm), CHECK(multiply_adds),
    };
    enum { CHECKS = sizeof checks / sizeof *checks };
    _Static_assert(offsetof(lenet_kernels, load_grey) + CHECKS * sizeof(void (*)(void))
                       == sizeof(lenet_kernels),
                   "every kernel of the table has a check here");

    if (lenet_init() != LENET_OK) {
        printf("this processor or build has no such instruction set\n");
        return 1;
    }
    table = lenet_kernels_active();
    L = table->lanes;
    for (int i = 0; i < CHECKS; i++) {
        kernel = checks[i].name;
        checks[i].check();
        describe("all cases");
        if (n_not_zero < n_compared / 2) fail("most of what it gives is zero");
        n_compared = n_not_zero = 0;
    }
    printf("%d kernels agree with plain loops on %s\n", (int)CHECKS, table->name);
    return 0;
}
