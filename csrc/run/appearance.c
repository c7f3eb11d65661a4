/* What images look like, to tell those of another range or polarity than the ones learnt from. */
#include <math.h>
#include <string.h>

#include "lenet.h"

enum { BORDER = 64, LANES = 4, PADDED = 32, PADDING = 2 };

/* One image: of one channel in its own units, of several in the network's. */
typedef struct view {
    float low, high;
    float brightest;  /* in its own units */
    int is_blank;     /* each channel is of one level */
    float border[BORDER + 4 * LENET_MAX_CHANNELS];  /* of few more, by rounding */
    int n_border;
} view;

/* Level v of a channel is zero + unit * v in the network's units. */
typedef struct scale {
    float zero, unit;
} scale;

static scale scale_of(const lenet_images *images, const lenet_input *input, int32_t c)
{
    if (images->is_float) return (scale){0.0f, 1.0f};
    return (scale){input->background[c], (input->foreground[c] - input->background[c]) / 255.0f};
}

/* The same of a view. */
static scale scale_of_view(const lenet_images *images, const lenet_input *input)
{
    return input->channels > 1 ? (scale){0.0f, 1.0f} : scale_of(images, input, 0);
}

/* The levels that uint8 images can have, in the network's units. */
static void levels_of(const lenet_input *input, float *least, float *greatest)
{
    *least = fminf(input->background[0], input->foreground[0]);
    *greatest = fmaxf(input->background[0], input->foreground[0]);
    for (int32_t c = 1; c < input->channels; c++) {
        *least = fminf(*least, fminf(input->background[c], input->foreground[c]));
        *greatest = fmaxf(*greatest, fmaxf(input->background[c], input->foreground[c]));
    }
}

static void look_at_bytes(const uint8_t *pixels, int32_t n, view *v)
{
    uint8_t low = 255, high = 0;
    for (int32_t i = 0; i < n; i++) {
        low = pixels[i] < low ? pixels[i] : low;
        high = pixels[i] > high ? pixels[i] : high;
    }
    v->low = low;
    v->high = high;
}

/* Every third row tells enough. */
static void look_at_floats(const float *pixels, int32_t h, int32_t w, view *v)
{
    float low[LANES], high[LANES];  /* so that the compiler need not change the order */
    for (int k = 0; k < LANES; k++) low[k] = high[k] = pixels[0];
    for (int32_t y = 0; y < h; y += 3, pixels += 3 * w) {
        int32_t x = 0;
        for (; x + LANES <= w; x += LANES)
            for (int k = 0; k < LANES; k++) {
                const float p = pixels[x + k];
                low[k] = p < low[k] ? p : low[k];
                high[k] = p > high[k] ? p : high[k];
            }
        for (int k = 0; x < w; x++, k++) {
            low[k] = pixels[x] < low[k] ? pixels[x] : low[k];
            high[k] = pixels[x] > high[k] ? pixels[x] : high[k];
        }
    }
    v->low = low[0];
    v->high = high[0];
    for (int k = 1; k < LANES; k++) {
        v->low = low[k] < v->low ? low[k] : v->low;
        v->high = high[k] > v->high ? high[k] : v->high;
    }
}

/* Adds pixels of a channel without `cut` pixels at each side: about BORDER of all channels together. */
static void look_at_border(const lenet_images *images, const void *image, int32_t channels,
                           int32_t cut, view *v)
{
    const int32_t row = images->width, h = images->height - 2 * cut, w = row - 2 * cut;
    const int32_t step = 1 + (2 * (h + w) * channels - 1) / BORDER;  /* evenly apart */
    const int32_t first = cut * row + cut, last = (h - 1) * row;
    float *b = v->border + v->n_border;
#define COLLECT(type)                                                      \
    do {                                                                   \
        const type *p = (const type *)image + first;                       \
        for (int32_t x = 0; x < w; x += step) *b++ = (float)p[x];          \
        for (int32_t x = 0; x < w; x += step) *b++ = (float)p[last + x];   \
        for (int32_t y = step; y < h - 1; y += step) {                     \
            *b++ = (float)p[y * row];                                      \
            *b++ = (float)p[y * row + w - 1];                              \
        }                                                                  \
    } while (0)
    if (images->is_float) COLLECT(float);
    else COLLECT(uint8_t);
#undef COLLECT
    v->n_border = (int)(b - v->border);
}

/* One pixel of an even border tells as much, and takes less time. */
static void shorten_border(view *v)
{
    int differ = 0;
    for (int i = 1; i < v->n_border; i++) differ |= v->border[i] != v->border[0];
    if (!differ) v->n_border = 1;
}

/* Adds a channel to what was seen of an image of several. */
static void look_at_channel(const lenet_images *images, const void *channel, int32_t channels,
                            scale s, view *v)
{
    view own;
    const int begin = v->n_border;
    if (images->is_float) look_at_floats(channel, images->height, images->width, &own);
    else look_at_bytes(channel, images->height * images->width, &own);
    const float ends[2] = {s.zero + s.unit * own.low, s.zero + s.unit * own.high};
    v->low = fminf(v->low, fminf(ends[0], ends[1]));
    v->high = fmaxf(v->high, fmaxf(ends[0], ends[1]));
    v->brightest = fmaxf(v->brightest, own.high);
    v->is_blank &= !(own.low < own.high);
    look_at_border(images, channel, channels, 0, v);
    for (int i = begin; i < v->n_border; i++) v->border[i] = s.zero + s.unit * v->border[i];
}

/* Looks at the k-th of `looks` images among n, evenly apart: the image, of which look_at_border may
 * tell more. Blank ones of one channel have no border taken. */
static const void *look_at(const lenet_images *images, const lenet_input *input, int64_t k,
                           int64_t looks, int64_t n, view *v)
{
    const int32_t size = images->height * images->width, channels = input->channels;
    const int64_t i = looks < n ? k * (n - 1) / (looks - 1) : k;
    const ptrdiff_t bytes = size * (images->is_float ? (ptrdiff_t)sizeof(float) : 1);
    const char *image = (const char *)images->pixels + i * channels * bytes;
    v->n_border = 0;
    if (channels > 1) {
        v->low = INFINITY;
        v->high = v->brightest = -INFINITY;
        v->is_blank = 1;
        for (int32_t c = 0; c < channels; c++)
            look_at_channel(images, image + c * bytes, channels, scale_of(images, input, c), v);
    } else {
        if (images->is_float)
            look_at_floats((const float *)(const void *)image, images->height, images->width, v);
        else
            look_at_bytes((const uint8_t *)image, size, v);
        v->brightest = v->high;
        v->is_blank = !(v->low < v->high);
        if (!v->is_blank) look_at_border(images, image, 1, 0, v);
    }
    shorten_border(v);
    return image;
}

/* An image of 28x28 that was padded may hide its own border: looks at that, if so. Not of several
 * channels: people do not pad those by hand. */
static int look_within(const lenet_images *images, const lenet_input *input, const void *image,
                       view *v)
{
    if (input->channels > 1 || images->height != PADDED || images->width != PADDED
        || v->n_border > 1)
        return 0;
    v->n_border = 0;
    look_at_border(images, image, 1, PADDING, v);
    shorten_border(v);
    return 1;
}

/* Hoare's selection; changes the order. */
static float median(float *values, int n)
{
    const int middle = n / 2;
    int from = 1, to = n - 1;
    while (from < n && values[from] == values[0]) from++;
    if (from == n) return values[0];  /* as most are */
    from = 0;
    while (from < to) {
        const float pivot = values[middle];
        int i = from, j = to;
        while (i <= j) {
            while (values[i] < pivot) i++;
            while (values[j] > pivot) j--;
            if (i <= j) {
                const float kept = values[i];
                values[i++] = values[j];
                values[j--] = kept;
            }
        }
        if (j < middle) from = i;
        if (i > middle) to = j;
    }
    return values[middle];
}

static void widen(float range[2], float value, int is_first)
{
    if (is_first || value < range[0]) range[0] = value;
    if (is_first || value > range[1]) range[1] = value;
}

void lenet_appearance_learn(lenet_appearance *look, const lenet_images *images, int64_t n, int64_t looks,
                            const lenet_input *input)
{
    const scale s = scale_of_view(images, input);
    const float zero = s.zero, unit = s.unit;
    float least, greatest;
    view v;
    levels_of(input, &least, &greatest);
    if (looks > n) looks = n;
    for (int64_t k = 0; k < looks; k++) {
        const void *image = look_at(images, input, k, looks, n, &v);
        if (v.is_blank) continue;
        const float ends[2] = {zero + unit * v.low, zero + unit * v.high};
        const int is_first = look->n == 0;
        widen(look->border, zero + unit * median(v.border, v.n_border), is_first);
        if (look_within(images, input, image, &v))
            widen(look->border, zero + unit * median(v.border, v.n_border), 0);
        widen(look->low, fminf(ends[0], ends[1]), is_first);
        widen(look->high, fmaxf(ends[0], ends[1]), is_first);
        if (!images->is_float) {  /* how light and dark they can be is known */
            widen(look->low, least, 0);
            widen(look->high, greatest, 0);
        }
        look->n++;
    }
}

/* More than half of the border is beyond `limit`. */
static int border_beyond(const view *v, float limit, int above)
{
    int beyond = 0;
    for (int i = 0; i < v->n_border; i++) beyond += above ? v->border[i] > limit : v->border[i] < limit;
    return 2 * beyond > v->n_border;
}

void lenet_appearance_compare(const lenet_appearance *look, const lenet_images *images, int64_t n,
                              int64_t looks, const lenet_input *input, int64_t *n_seen,
                              int64_t unlike[LENET_UNLIKE_KINDS])
{
    /* what was learnt from, in the units of these images */
    const scale s = scale_of_view(images, input);
    const float zero = s.zero, factor = s.unit != 0.0f ? 1.0f / s.unit : 0.0f;
    const int turned = factor < 0.0f;  /* a network whose foreground is the lower value */
    float border[2], low[2], high[2];
    for (int k = 0; k < 2; k++) {
        border[k] = (look->border[k ^ turned] - zero) * factor;
        low[k] = ((turned ? look->high : look->low)[k ^ turned] - zero) * factor;
        high[k] = ((turned ? look->low : look->high)[k ^ turned] - zero) * factor;
    }
    const float range = high[1] - low[0], slack = 0.04f * range;
    const float middle = 0.5f * (low[0] + high[1]);
    view v;
    *n_seen = 0;
    memset(unlike, 0, LENET_UNLIKE_KINDS * sizeof *unlike);
    if (looks > n) looks = n;
    for (int64_t k = 0; k < looks; k++) {
        const void *image = look_at(images, input, k, looks, n, &v);
        if (v.is_blank) continue;
        ++*n_seen;
        if (!images->is_float && v.brightest == 1.0f) {
            unlike[LENET_ONES]++;
            continue;
        }
        if (!(range > 0.0f)) continue;
        if (v.low < low[0] - 32 * range || v.high > high[1] + 32 * range) {
            unlike[LENET_FAR]++;
            continue;
        }
        /* light is two thirds up at least: 0 around -1 to 1 is a frame of another range */
        const float third = (v.high - v.low) / 3;
        int is_inverted = 0, is_beyond = 0;  /* by either border */
        for (int within = 0; within < 2 && !is_inverted; within++) {
            if (within && !look_within(images, input, image, &v)) break;
            const int above = border_beyond(&v, border[1] + slack, 1);
            const int below = !above && border_beyond(&v, border[0] - slack, 0);
            is_beyond |= above || below;
            is_inverted |= (border[1] < middle && above && border_beyond(&v, v.high - third, 1))
                || (border[0] > middle && below && border_beyond(&v, v.low + third, 0));
        }
        if (is_inverted)
            unlike[LENET_INVERTED]++;
        else if (is_beyond || v.low < low[0] - slack || v.low > low[1] + slack
                 || v.high > high[1] + slack)
            unlike[LENET_RANGE]++;
        else if (v.high - v.low < 0.1f * range && v.high < high[0] - slack)
            unlike[LENET_FAINT]++;
    }
}

int64_t lenet_count_rejected(const float *outputs, int64_t n, int32_t classes, int is_rbf,
                            int64_t looks, double penalty, double margin)
{
    int64_t rejected = 0;
    if (looks > n) looks = n;
    for (int64_t k = 0; k < looks; k++) {
        const float *y = outputs + (looks < n ? k * (n - 1) / (looks - 1) : k) * classes;
        const float sign = is_rbf ? 1.0f : -1.0f;
        float best = INFINITY, second = INFINITY;
        for (int32_t c = 0; c < classes; c++) {
            const float p = sign * y[c];
            second = p < best ? best : p < second ? p : second;
            best = p < best ? p : best;
        }
        double lowest = best;
        if (!is_rbf) {  /* -log of the largest probability */
            double sum = 0.0;
            for (int32_t c = 0; c < classes; c++)
                if (y[c] + best > -16.0f) sum += exp((double)y[c] + best);
            lowest = log(sum);
        }
        rejected += !(lowest <= penalty && (double)second - best >= margin);
    }
    return rejected;
}
