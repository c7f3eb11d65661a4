/* What paper and picture do to a strip (kernels/corrupt.h): rules, dirt, what a scanner does. */
#include <math.h>

#include "run/draw_strings.h"

/* A ruled line that is worn here and there. */
static void draw_rule(const sheet *to, float x0, float y0, float x1, float y1, float half, uint64_t sequence)
{
    const float level = 120.0f + 135.0f * share(sequence, 0), length = x1 - x0;
    const float whole = share(sequence, 1) < 0.5f ? 1.0f : 0.4f + 0.5f * share(sequence, 2);
    uint64_t at = 3;
    for (float x = x0; x < x1; at += 2) {
        const float piece = 4.0f + 16.0f * share(sequence, at);
        const float end = x + piece < x1 ? x + piece : x1;
        if (share(sequence, at + 1) < whole)
            lenet_draw_stroke(to, x, y0 + (y1 - y0) * (x - x0) / length, end,
                        y0 + (y1 - y0) * (end - x0) / length, half, level);
        x = end;
    }
}

float lenet_reach_of_rules(const lenet_strings *s, uint64_t sequence)
{
    const int any = acts(s, sequence, LENET_STRING_UNDERLINE) || acts(s, sequence, LENET_STRING_BOX);
    return any ? 1.0f + 5.0f * share(sequence, LINES + 4) : 0.0f;
}

/* Lines around what is between these columns, those at the ends so far within. */
static void draw_rules(const line *l, const sheet *to, float left, float right, float within)
{
    const lenet_strings *s = l->desk->strings;
    const float from = (float)l->left, end = (float)l->right;  /* on the sheet */
    const uint64_t sequence = lenet_hash(l->sequence, LINES);
    const float under = amount(s, l->sequence, LENET_STRING_UNDERLINE);
    const float box = amount(s, l->sequence, LENET_STRING_BOX);
    if (under > 0.0f) {
        const float below_ = 1.0f + 4.0f * share(sequence, 0), rise = 1.5f * lenet_uniform(sequence, 1);
        draw_rule(to, left, clamped(base_at(l, from) + below_ - rise, 4.0f, HEIGHT - 2.0f), right,
                  clamped(base_at(l, end) + below_ + rise, 4.0f, HEIGHT - 2.0f), 0.2f + 0.4f * under,
                  lenet_hash(sequence, 2));
    }
    if (box > 0.0f) {
        const float half = 0.2f + 0.4f * box;
        const float top = 1.0f + 3.0f * share(sequence, 3);
        const float bottom = HEIGHT - 2.0f - 2.0f * share(sequence, 4);
        const float which = share(sequence, 5);
        draw_rule(to, left, top, right, top + lenet_uniform(sequence, 6), half, lenet_hash(sequence, 7));
        if (which < 0.7f) draw_rule(to, left, bottom, right, bottom, half, lenet_hash(sequence, 8));
        if (which < 0.5f) lenet_draw_stroke(to, left + within, top, left + within, bottom, half, 200.0f);
        if (which < 0.4f) lenet_draw_stroke(to, right - within, top, right - within, bottom, half, 200.0f);
    }
}

static void draw_specks(const lenet_strings *s, uint64_t strip, const sheet *to)
{
    const uint64_t sequence = lenet_hash(strip, PICTURE);
    const int32_t n = (int32_t)ceilf(amount(s, strip, LENET_STRING_SPECKS));
    for (int32_t i = 0; i < n; i++) {
        const uint64_t at = 6 * (uint64_t)i;
        const float x = (float)to->width * share(sequence, at), y = HEIGHT * share(sequence, at + 1);
        lenet_draw_stroke(to, x, y, x + 3.0f * lenet_uniform(sequence, at + 2),
                    y + 1.5f * lenet_uniform(sequence, at + 3), 0.2f + 0.6f * share(sequence, at + 4),
                    60.0f + 195.0f * share(sequence, at + 5));
    }
}

/* Stretches levels as one does who knows how dark ink is here: what is fainter than `part` of that goes,
 * and the darkest becomes 255. */
static void stretch(uint8_t *restrict pixels, int32_t n, float part, float darkest)
{
    int32_t sum = 0, inked = 0;
    for (int32_t i = 0; i < n; i++) {
        sum += pixels[i] > 31 ? pixels[i] : 0;
        inked += pixels[i] > 31;
    }
    const float level = inked ? (float)sum / (float)inked : 255.0f, low = part * level;
    const float high = level + (255.0f - level) * darkest;
    const int32_t from = (int32_t)low, factor = (int32_t)(65536.0f * 255.0f / (high - low));
    for (int32_t i = 0; i < n; i++) {
        const int32_t above = pixels[i] > from ? pixels[i] - from : 0;
        const int32_t value = (above * factor) >> 16;
        pixels[i] = (uint8_t)(value < 255 ? value : 255);
    }
}

/* Ink paler along the strip, in waves. parts: room for a row. */
static void fade(uint8_t *pixels, int32_t width, float paler, uint64_t sequence, uint16_t *restrict parts)
{
    const float waves = 0.3f + 1.5f * share(sequence, 0), phase = share(sequence, 1);
    for (int32_t x = 0; x < width; x++) {
        float at = phase + waves * (float)x / (float)width;
        at -= floorf(at);
        parts[x] = (uint16_t)(256.0f * (1.0f - paler * fabsf(2.0f * at - 1.0f)));
    }
    for (int32_t y = 0; y < HEIGHT; y++) {
        uint8_t *restrict row = pixels + (ptrdiff_t)y * width;
        for (int32_t x = 0; x < width; x++) row[x] = (uint8_t)((row[x] * parts[x]) >> 8);
    }
}

static void invert(uint8_t *pixels, int32_t n, float part, uint64_t sequence)
{
    const uint32_t limit = (uint32_t)(part * 65536.0f + 0.5f);
    for (int32_t i = 0; i < n; i += 4) {
        const uint64_t bits = lenet_hash(sequence, INVERTED + (uint64_t)i);
        for (int k = 0; k < 4; k++)
            pixels[i + k] ^= (uint8_t)((bits >> (16 * k) & 0xffff) < limit ? 255 : 0);
    }
}

static void corrupt_strip(const desk *d, const lenet_distortion *c, uint64_t sequence, uint8_t *pixels,
                          int32_t width)
{
    lenet_kernels_active()->corrupt(c, sequence, HEIGHT, width, pixels, d->room);
}

static float if_acts(const lenet_strings *s, uint64_t sequence, effect e)
{
    return acts(s, sequence, e) ? s->strength[e] : 0.0f;
}

/* What a scanner does. */
static void scan(const desk *d, uint64_t strip, uint8_t *pixels, int32_t width)
{
    const lenet_strings *s = d->strings;
    const int32_t n = HEIGHT * width;
    const lenet_distortion lens = {.lines = if_acts(s, strip, LENET_STRING_SCRATCHES),
                                   .blur = if_acts(s, strip, LENET_STRING_BLUR),
                                   .chance = 1.0f};
    const lenet_distortion grain = {.contrast = if_acts(s, strip, LENET_STRING_CONTRAST),
                                    .noise = if_acts(s, strip, LENET_STRING_NOISE),
                                    .impulses = if_acts(s, strip, LENET_STRING_IMPULSES),
                                    .chance = 1.0f};
    if (lens.lines > 0.0f || lens.blur > 0.0f)
        corrupt_strip(d, &lens, lenet_hash(strip, PICTURE + 1), pixels, width);
    if (acts(s, strip, LENET_STRING_LEVELS))
        stretch(pixels, n, amount(s, strip, LENET_STRING_LEVELS), share(strip, LINES + 1));
    const float pale = amount(s, strip, LENET_STRING_FADE);
    if (pale > 0.0f) fade(pixels, width, pale, lenet_hash(strip, PICTURE + 2), d->room);
    if (grain.contrast > 0.0f || grain.noise > 0.0f || grain.impulses > 0.0f)
        corrupt_strip(d, &grain, lenet_hash(strip, PICTURE + 3), pixels, width);
    if (acts(s, strip, LENET_STRING_INVERSION))
        invert(pixels, n, s->strength[LENET_STRING_INVERSION], strip);
}

void lenet_spoil(const line *l, const sheet *strip, int32_t left, float reach)
{
    const desk *d = l->desk;
    const lenet_strings *s = d->strings;
    if (acts(s, l->sequence, LENET_STRING_THICKNESS)) {
        const lenet_distortion pen = {.thickness = s->strength[LENET_STRING_THICKNESS], .chance = 1.0f};
        corrupt_strip(d, &pen, lenet_hash(l->sequence, PICTURE + 4), strip->pixels, strip->width);
    }
    if (reach > 0.0f)
        draw_rules(l, strip, (float)left, (float)(left + l->right - l->left), 0.5f * reach);
    draw_specks(s, l->sequence, strip);
    scan(d, l->sequence, strip->pixels, strip->width);
}
