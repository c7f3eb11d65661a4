"""The C functions of an exported file; `TYPE` is what maps are made of, float or int8_t.

C99 that is C++ too. Names in capitals that begin with DIGIT_ get the file's own prefix.
"""

TYPES = {
    "float32": """\
typedef struct {          /* a convolution, and the 2x2 layer above it */
    int in_height, in_width;
    int maps;             /* that it makes */
    int side;             /* of its kernels */
    const uint16_t *begin, *source;  /* map m sees the input's maps source[begin[m] .. begin[m + 1] - 1] */
    const float *weights, *bias;
    int activation;
    int pool;             /* what is made of 2x2 of its values; their sums are multiplied and added to: */
    const float *coefficient, *pool_bias;
    int pool_activation;
} conv_layer;

typedef struct {          /* each unit sees all inputs */
    int inputs, units;
    const float *weights, *bias;
    int activation;
} dense_layer;
""",
    "int8": """\
typedef struct {          /* how sums become values: (sum * factor[map] / 2^shift), then `activation` */
    const int32_t *factor;
    int shift, activation;
} scaling;

typedef struct {          /* a convolution, and the 2x2 layer above it */
    int in_height, in_width;
    int maps;             /* that it makes */
    int side;             /* of its kernels */
    const uint16_t *begin, *source;  /* map m sees the input's maps source[begin[m] .. begin[m + 1] - 1] */
    const int8_t *weights;
    const int32_t *bias;
    scaling scale;
    int pool;             /* what is made of 2x2 of its values; their sums are multiplied and added to: */
    const int32_t *coefficient, *pool_bias;
    scaling pool_scale;
} conv_layer;

typedef struct {          /* each unit sees all inputs */
    int inputs, units;
    const int8_t *weights;
    const int32_t *bias;
    scaling scale;
    const float *unit;    /* what a sum of 1 stands for, where outputs are floats */
} dense_layer;
""",
}

TANH = """\
/* tanh(a), within 5e-7 of it: a quotient of polynomials. */
static float tanh_of(float a)
{
    float t, p, q;
    a = a < -7.8f ? -7.8f : a > 7.8f ? 7.8f : a;
    t = a * a;
    p = ((1.163573870e-05f * t + 2.969891066e-03f) * t + 1.294311732e-01f) * t + 9.999998808e-01f;
    q = ((2.526242611e-07f * t + 2.413548791e-04f) * t + 2.389240637e-02f) * t + 4.627635479e-01f;
    return a * p / (q * t + 1.0f);
}
"""

ACTIVATE = {
    "scaled_tanh": """\
    case SCALED_TANH:  /* 1.7159 tanh(2/3 a) */
        for (i = 0; i < n; i++) values[i] = 1.7159f * tanh_of(values[i] * (2.0f / 3.0f));
        break;
""",
    "tanh": """\
    case TANH:
        for (i = 0; i < n; i++) values[i] = tanh_of(values[i]);
        break;
""",
    "sigmoid": """\
    case SIGMOID:  /* 1 / (1 + e^-a) */
        for (i = 0; i < n; i++) values[i] = 0.5f + 0.5f * tanh_of(values[i] * 0.5f);
        break;
""",
    "relu": """\
    case RELU:
        for (i = 0; i < n; i++) values[i] = values[i] > 0.0f ? values[i] : 0.0f;
        break;
""",
}

ACTIVATE_BEGIN = """\
static void activate(int activation, int n, float *values)
{
    int i;
    switch (activation) {
"""
ACTIVATE_END = """\
    default: break;
    }
}
"""

REQUANTISE = """\
/* A sum as a value of 8 bits. Negative numbers are shifted to the right as compilers do: rounded down. */
static int8_t value_of(const scaling *s, int map, int32_t sum)
{
    int64_t v = (int64_t)sum * s->factor[map] + ((int64_t)1 << (s->shift - 1));
    v >>= s->shift;
    switch (s->activation) {
    case SQUASH: {
        const int64_t size = v < 0 ? -v : v;
        const int8_t y = squashes[size < N_SQUASHES ? size : N_SQUASHES - 1];
        return (int8_t)(v < 0 ? -y : y);
    }
    case RELU: return (int8_t)((v < 0 ? 0 : v > 255 ? 255 : v) - 128);
    default: return (int8_t)(v < -127 ? -127 : v > 127 ? 127 : v);
    }
}
"""

LOAD = {
    "float32": """\
/* Columns `first` .. and on of an image as the first layer sees it: what lies outside of the pixels, of
 * which (0, 0) comes to (top, left), is background. */
static void load(const uint8_t *pixels, int row_stride, int height, int width, int top, int left, int first,
                 float background, float scale, float *out)
{
    int y, x;
    for (y = 0; y < IN_HEIGHT; y++, out += IN_WIDTH) {
        const int inside = y >= top && y < top + height;
        const uint8_t *row = inside ? pixels + (ptrdiff_t)(y - top) * row_stride : pixels;
        for (x = first; x < IN_WIDTH; x++)
            out[x] = inside && x >= left && x - left < width ? background + scale * (float)row[x - left]
                                                             : background;
    }
}
""",
    "int8": """\
/* Columns `first` .. and on of an image as the first layer sees it: what lies outside of the pixels, of
 * which (0, 0) comes to (top, left), is background. Levels are made -128 .. 127, and turned round if
 * ink is the smaller number. */
static void load(const uint8_t *pixels, int row_stride, int height, int width, int top, int left, int first,
                 int flipped, int8_t *out)
{
    int y, x;
    for (y = 0; y < IN_HEIGHT; y++, out += IN_WIDTH) {
        const int inside = y >= top && y < top + height;
        const uint8_t *row = inside ? pixels + (ptrdiff_t)(y - top) * row_stride : pixels;
        for (x = first; x < IN_WIDTH; x++) {
            const int level = inside && x >= left && x - left < width ? row[x - left] : 0;
            out[x] = (int8_t)(flipped ? 127 - level : level - 128);
        }
    }
}
""",
}

SLIDE = """\
/* Moves maps to the left: their last columns are then made anew. */
static void slide(TYPE *maps, int rows, int width, int columns)
{
    int x;
    for (; rows > 0; rows--, maps += width)
        for (x = columns; x < width; x++) maps[x - columns] = maps[x];
}
"""

PAD = {
    "float32": """\
/* Maps with zeros around. */
static void pad(const float *in, int maps, int height, int width, int padding, float *out)
{
    const int n = maps * (height + 2 * padding) * (width + 2 * padding);
    int m, y, x;
    for (x = 0; x < n; x++) out[x] = 0.0f;
    for (m = 0; m < maps; m++) {
        out += padding * (width + 2 * padding);
        for (y = 0; y < height; y++, in += width, out += width + 2 * padding)
            for (x = 0; x < width; x++) out[padding + x] = in[x];
        out += padding * (width + 2 * padding);
    }
}
""",
    "int8": """\
/* Maps with what stands for zero around. */
static void pad(const int8_t *in, int maps, int height, int width, int padding, const int8_t *fill,
                int8_t *out)
{
    const int n = (height + 2 * padding) * (width + 2 * padding);
    int m, y, x;
    for (m = 0; m < maps; m++) {
        for (x = 0; x < n; x++) out[x] = fill[m];
        out += padding * (width + 2 * padding);
        for (y = 0; y < height; y++, in += width, out += width + 2 * padding)
            for (x = 0; x < width; x++) out[padding + x] = in[x];
        out += padding * (width + 2 * padding);
    }
}
""",
}

POOL_BEGIN = {
    "float32": """\
/* What a row of 2x2 blocks becomes; the two rows are `width` wide. */
static void pool_row(int pool, const float *in, int width, int first, int end, float coefficient, float bias,
                     int activation, float *out)
{
    const float *below = in + width;
    int x;
    switch (pool) {
""",
    "int8": """\
/* What a row of 2x2 blocks becomes; the two rows are `width` wide. */
static void pool_row(int pool, const int8_t *in, int width, int first, int end, const int32_t *coefficient,
                     const int32_t *bias, const scaling *scale, int map, int8_t *out)
{
    const int8_t *below = in + width;
    int x;
    switch (pool) {
""",
}
POOL_SUBSAMPLE = {
    "float32": """\
    case SUBSAMPLE:
        for (x = first; x < end; x++)
            out[x] = (in[2 * x] + in[2 * x + 1] + below[2 * x] + below[2 * x + 1]) * coefficient + bias;
        activate(activation, end - first, out + first);
        break;
""",
    "int8": """\
    case SUBSAMPLE:
        for (x = first; x < end; x++)
            out[x] = value_of(scale, map, (in[2 * x] + in[2 * x + 1] + below[2 * x] + below[2 * x + 1])
                                              * coefficient[map] + bias[map]);
        break;
""",
}
POOL_AVERAGE = {
    "float32": """\
    case AVERAGE:
        for (x = first; x < end; x++)
            out[x] = (in[2 * x] + in[2 * x + 1] + below[2 * x] + below[2 * x + 1]) * 0.25f;
        break;
""",
    "int8": """\
    case AVERAGE:
        for (x = first; x < end; x++)
            out[x] = (int8_t)((in[2 * x] + in[2 * x + 1] + below[2 * x] + below[2 * x + 1] + 2) >> 2);
        break;
""",
}
POOL_MAX = """\
    case MAXIMUM:
        for (x = first; x < end; x++) {
            const TYPE above = in[2 * x] > in[2 * x + 1] ? in[2 * x] : in[2 * x + 1];
            const TYPE under = below[2 * x] > below[2 * x + 1] ? below[2 * x] : below[2 * x + 1];
            out[x] = above > under ? above : under;
        }
        break;
"""
POOL_END = {
    "float32": """\
    default: break;
    }
    (void)coefficient;
    (void)bias;
    (void)activation;
}
""",
    "int8": """\
    default: break;
    }
    (void)coefficient;
    (void)bias;
    (void)scale;
    (void)map;
}
""",
}

POOL_LAYER = {
    "float32": """\
/* A 2x2 layer by itself, from column `first` on. source: NULL, or of each map the one that it reads. */
static void pool(int kind, const float *in, int maps, const uint16_t *source, int height, int width,
                 const float *coefficient, const float *bias, int activation, int first, float *out)
{
    int m, y;
    for (m = 0; m < maps; m++) {
        const float *map = in + (source ? source[m] : m) * height * width;
        for (y = 0; y < height / 2; y++, out += width / 2)
            pool_row(kind, map + 2 * y * width, width, first, width / 2, coefficient ? coefficient[m] : 0.0f,
                     bias ? bias[m] : 0.0f, activation, out);
    }
}
""",
    "int8": """\
/* A 2x2 layer by itself, from column `first` on. source: NULL, or of each map the one that it reads. */
static void pool(int kind, const int8_t *in, int maps, const uint16_t *source, int height, int width,
                 const int32_t *coefficient, const int32_t *bias, const scaling *scale, int first, int8_t *out)
{
    int m, y;
    for (m = 0; m < maps; m++) {
        const int8_t *map = in + (source ? source[m] : m) * height * width;
        for (y = 0; y < height / 2; y++, out += width / 2)
            pool_row(kind, map + 2 * y * width, width, first, width / 2, coefficient, bias, scale, m, out);
    }
}
""",
}

UNROLL = """\
#if defined __GNUC__ && (__GNUC__ >= 8 || defined __clang__) && !defined __SSE2__ && !defined __ARM_NEON
/* Where there are no vectors, sums stay in registers without -O3 too. */
#define DIGIT_UNROLL _Pragma("GCC unroll 8")
#else
#define DIGIT_UNROLL
#endif
"""

CONV = """\
/* Columns begin .. end - 1 of a row of a convolution's map, TILE at a time; where they are no multiple of
 * that, some are made twice. `in` is the row of the first input map at which the kernel begins. */
static void conv_row(const conv_layer *c, const TYPE *in, int map, const WEIGHT *weights, int begin, int end,
                     TYPE *out)
{
    const int n = c->begin[map + 1] - c->begin[map];
    const uint16_t *source = c->source + c->begin[map];
    int x;
    for (x = begin; x < end; x += DIGIT_TILE) {
        const int at = x + DIGIT_TILE < end ? x : end - DIGIT_TILE;
        const WEIGHT *w = weights;
        SUM sum[DIGIT_TILE];
        int i, j, k, t;
        DIGIT_UNROLL
        for (t = 0; t < DIGIT_TILE; t++) sum[t] = c->bias[map];
        for (i = 0; i < n; i++) {
            const TYPE *row = in + source[i] * c->in_height * c->in_width + at;
            for (j = 0; j < SIDE; j++, row += c->in_width, w += SIDE)
                for (k = 0; k < SIDE; k++) {
                    DIGIT_UNROLL
                    for (t = 0; t < DIGIT_TILE; t++) sum[t] += PRODUCT;
                }
        }
        DIGIT_UNROLL
        for (t = 0; t < DIGIT_TILE; t++) out[at + t] = STORED;
    }
}

/* From column `first` of its output, or of the 2x2 layer's, on. rows: room for two of its rows. */
static void conv(const conv_layer *c, const TYPE *in, int first, TYPE *rows, TYPE *out)
{
    const int height = c->in_height - SIDE + 1, width = c->in_width - SIDE + 1;
    const int end = c->pool == NO_POOL ? width : width / 2 * 2, wanted = c->pool == NO_POOL ? first : 2 * first;
    const int begin = wanted < end - DIGIT_TILE ? wanted : end - DIGIT_TILE;
    const WEIGHT *w = c->weights;
    int m, y, r;
    (void)rows;
    for (m = 0; m < c->maps; m++) {
        if (c->pool == NO_POOL)
            for (y = 0; y < height; y++, out += width) {
                conv_row(c, in + y * c->in_width, m, w, begin, end, out);
                FINISH_ROW
            }
        else
            for (y = 0; y < height / 2; y++, out += width / 2) {
                for (r = 0; r < 2; r++) {
                    conv_row(c, in + (2 * y + r) * c->in_width, m, w, begin, end, rows + r * width);
                    FINISH_ROWS
                }
                POOL_ROW
            }
        w += (c->begin[m + 1] - c->begin[m]) * SIDE * SIDE;
    }
}
"""

DENSE = {
    "float32": """\
static void dense(const dense_layer *d, const float *in, float *out)
{
    const float *w = d->weights;
    const int whole = d->inputs / 8 * 8;
    int u, i, t;
    for (u = 0; u < d->units; u++, w += d->inputs) {
        float sum[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f}, rest = d->bias[u];
        for (i = 0; i < whole; i += 8) {
            DIGIT_UNROLL
            for (t = 0; t < 8; t++) sum[t] += w[i + t] * in[i + t];
        }
        for (i = whole; i < d->inputs; i++) rest += w[i] * in[i];
        out[u] = ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7])) + rest;
    }
    activate(d->activation, d->units, out);
}
""",
    "int8": """\
static int32_t dense_sum(const dense_layer *d, const int8_t *in, int unit)
{
    const int8_t *w = d->weights + (ptrdiff_t)unit * d->inputs;
    int32_t sum = d->bias[unit];
    int i;
    for (i = 0; i < d->inputs; i++) sum += w[i] * in[i];
    return sum;
}
""",
}
DENSE_BYTES = """\

static void dense(const dense_layer *d, const int8_t *in, int8_t *out)
{
    int u;
    for (u = 0; u < d->units; u++) out[u] = value_of(&d->scale, u, dense_sum(d, in, u));
}
"""
DENSE_FLOATS = """\

static void dense_floats(const dense_layer *d, const int8_t *in, float *out)
{
    int u;
    for (u = 0; u < d->units; u++) out[u] = (float)dense_sum(d, in, u) * d->unit[u];
    activate(d->scale.activation, d->units, out);
}
"""
WIDEN = """\
/* What bytes stand for. */
static void widen(const int8_t *in, int maps, const float *scale, const float *offset, float *out)
{
    int i;
    for (i = 0; i < maps; i++) out[i] = (float)in[i] * scale[i] + offset[i];
}
"""

RBF = """\
/* Penalties: squared distances to the classes' codes. */
static void distances(const CODE *codes, int inputs, int classes, const float *in, float *out)
{
    int c, i;
    for (c = 0; c < classes; c++, codes += inputs) {
        float sum = 0.0f;
        for (i = 0; i < inputs; i++) {
            const float apart = in[i] - (float)codes[i];
            sum += apart * apart;
        }
        out[c] = sum;
    }
}
"""

BEST = """\
static int best_of(const float *outputs)
{
    int best = 0, c;
    for (c = 1; c < N_BEST; c++)
        if (outputs[c] BETTER outputs[best]) best = c;
    return best;
}
"""

READ_IMAGE = """\
int digit_read(const uint8_t *image, float *outputs, float *scratch)
{
    if (!image || !outputs || !scratch) return -1;
    run(image, DIGIT_WIDTH, DIGIT_WIDTH, IMAGE_LEFT, 0, outputs, scratch);
    return best_of(outputs);
}
"""

READ_STRING = """\
int digit_start(const uint8_t *columns, int row_stride, float *outputs, float *scratch)
{
    if (!columns || !outputs || !scratch) return -1;
    run(columns, row_stride, DIGIT_WINDOW, 0, 0, outputs, scratch);
    return best_of(outputs);
}

int digit_next(const uint8_t *columns, int row_stride, float *outputs, float *scratch)
{
    if (!columns || !outputs || !scratch) return -1;
    run(columns, row_stride, DIGIT_STEP, DIGIT_WINDOW - DIGIT_STEP, 1, outputs, scratch);
    return best_of(outputs);
}

int digit_read(const uint8_t *strip, int width, int *characters, int *columns, int capacity, float *scratch)
{
    float outputs[DIGIT_CLASSES];
    int p, beyond, left, positions, n = 0, last = DIGIT_BLANK, begin = 0;
    if (!strip || !scratch || !characters || width < 1 || width > DIGIT_MOST_WIDTH || capacity < 0) return -1;
    beyond = width + 2 * DIGIT_MARGIN - DIGIT_WINDOW;
    positions = beyond > 0 ? 1 + (beyond + DIGIT_STEP - 1) / DIGIT_STEP : 1;
    left = DIGIT_MARGIN + (beyond < 0 ? -beyond / 2 : 0);  /* a narrow strip stands in the middle */
    for (p = 0; p < positions; p++) {
        int best;
        run(strip, width, width, left - p * DIGIT_STEP, p > 0, outputs, scratch);
        best = best_of(outputs);
        if (best != DIGIT_BLANK && best != last) {
            if (n < capacity) characters[n] = best;
            begin = p;
            n++;
        }
        if (best != DIGIT_BLANK && columns && n <= capacity)
            columns[n - 1] = (begin + p) * DIGIT_STEP / 2 + DIGIT_WINDOW / 2 - left;
        last = best;
    }
    return n;
}
"""

SELF_TEST = """\
#ifdef DIGIT_SELF_TEST
/* An image, and what the network made of it when this file was written. 0 if it does so here: try it
 * once with a new compiler or processor. */
IMAGE
OUTPUTS
int digit_self_test(float *scratch);
int digit_self_test(float *scratch)
{
    float outputs[DIGIT_CLASSES];
    int c;
    CALL
    for (c = 0; c < DIGIT_CLASSES; c++) {
        const float apart = outputs[c] - test_outputs[c];
        if (!(apart <= TOLERANCE && apart >= -TOLERANCE)) return 1;
    }
    return 0;
}

int main(void)
{
    static float scratch[DIGIT_SCRATCH];
    return digit_self_test(scratch);
}
#endif
"""
