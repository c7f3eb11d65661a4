/* Corrupts an image at random: strokes thicker or thinner, lines across, blur, faint ink on grey paper,
 * noise, dirt.
 *
 * Plain loops that compilers vectorise for each instruction set. Whole numbers wherever pixels are made,
 * and no fused multiply-adds where they are not (kernels/distort.h says how), so that every instruction
 * set gives the same bytes.
 *
 * Compiled once per instruction set: only files of kernels/ include it. */
#ifndef LENET_KERNELS_CORRUPT_H
#define LENET_KERNELS_CORRUPT_H

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "kernels/canvas.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

enum {
    MOST_RADIUS = 16,  /* of a blur: three deviations, which lenet_distortion_check bounds */
    LINE_NUMBERS = 8   /* random numbers that a line takes */
};

/* Which number of an image's sequence is for what; whether a corruption acts comes first. */
enum { ACTS, STRENGTH = ACTS + 6, INK = STRENGTH + 6, LINES = INK + 2, NOISE = LINES + 1024,
       DIRT = NOISE + (1 << 20) };

/* The order in which they act. */
enum { THICKNESS, LINE, BLUR, CONTRAST, NOISINESS, DIRTINESS };

typedef struct corrupted {
    uint8_t *image, *other;  /* [height][width] */
    uint16_t *sums;          /* [width + 1] */
    int32_t height, width;
    uint64_t sequence;       /* of this image's random numbers */
} corrupted;

/* ---- stroke width ----------------------------------------------------------------------------- */

/* Each pixel becomes the largest (sign 1) or the smallest (-1) of 2x2; `side` -1 takes those to the
 * left and above, 1 those to the right and below. */
static void take_extreme(const corrupted *c, int sign, int side)
{
    const int32_t w = c->width, h = c->height;
    const uint8_t flip = sign > 0 ? 0 : 255;  /* the smallest is the largest of what is inverted */
    for (int32_t y = 0; y < h; y++) {
        const int32_t beside = y + side < 0 || y + side >= h ? y : y + side;
        const uint8_t *a = c->image + (ptrdiff_t)y * w, *b = c->image + (ptrdiff_t)beside * w;
        uint8_t *restrict out = c->other + (ptrdiff_t)y * w;
        const int32_t first = side < 0, end = side < 0 ? w : w - 1, edge = side < 0 ? 0 : w - 1;
        for (int32_t x = first; x < end; x++) {
            const uint8_t p = a[x] ^ flip, q = a[x + side] ^ flip, r = b[x] ^ flip;
            const uint8_t s = b[x + side] ^ flip, high = p > q ? p : q, low = r > s ? r : s;
            out[x] = (high > low ? high : low) ^ flip;
        }
        const uint8_t p = a[edge] ^ flip, r = b[edge] ^ flip;
        out[edge] = (p > r ? p : r) ^ flip;
    }
}

static void change_thickness(const corrupted *c, float pixels)
{
    const int sign = pixels < 0.0f ? -1 : 1;
    const ptrdiff_t n = (ptrdiff_t)c->height * c->width;
    float left = fabsf(pixels);
    for (int side = 1; left > 0.0f; side = -side, left -= 1.0f) {
        const int32_t part = left < 1.0f ? (int32_t)(256.0f * left) : 256;
        const uint8_t *restrict other = c->other;
        uint8_t *restrict image = c->image;
        take_extreme(c, sign, side);
        for (ptrdiff_t i = 0; i < n; i++)
            image[i] = (uint8_t)((image[i] * (256 - part) + other[i] * part + 128) >> 8);
    }
}

/* ---- lines ------------------------------------------------------------------------------------ */

/* Draws line number `index`: through any place, in any direction, half a pixel to two wide, from a few
 * pixels long to all across; three of four are ink, the others cut through it. */
static void draw_line(const corrupted *c, int index)
{
    const uint64_t at = LINES + (uint64_t)(index * LINE_NUMBERS);
    float number[LINE_NUMBERS];
    for (int k = 0; k < LINE_NUMBERS; k++)
        number[k] = 0.5f + 0.5f * lenet_uniform(c->sequence, at + (uint64_t)k);
    const float x0 = number[0] * (float)c->width, y0 = number[1] * (float)c->height;
    const float a = number[2] - 0.5f, b = number[3] - 0.5f, length = sqrtf(a * a + b * b) + 1e-6f;
    const float nx = a / length, ny = b / length;
    const float half = 0.25f + 0.75f * number[4];
    const float reach = number[5] * number[5] * (float)(c->width + c->height);
    const float level = number[6] * 192.0f + 63.0f;
    const int cuts = number[7] < 0.25f;
    for (int32_t y = 0; y < c->height; y++) {
        uint8_t *restrict row = c->image + (ptrdiff_t)y * c->width;
        const float dy = (float)y - y0;
        for (int32_t x = 0; x < c->width; x++) {
            const float dx = (float)x - x0;
            const float across = fabsf(nx * dx + ny * dy), along = fabsf(nx * dy - ny * dx);
            float cover = half + 0.5f - across, end = reach + 0.5f - along;
            cover = cover < end ? cover : end;
            cover = cover < 0.0f ? 0.0f : cover > 1.0f ? 1.0f : cover;
            const int32_t ink = (int32_t)(cover * level), rest = (int32_t)(cover * 256.0f);
            const int32_t cut = (row[x] * (256 - rest)) >> 8, drawn = row[x] > ink ? row[x] : ink;
            row[x] = (uint8_t)(cuts ? cut : drawn);
        }
    }
}

/* ---- blur ------------------------------------------------------------------------------------- */

/* A Gaussian's weights, in 256ths that add up to 256; returns how far it reaches. */
static int gaussian(float deviation, int32_t *weight)
{
    const int radius = (int)(3.0f * deviation) + 1;
    double sum = 0.0, value[MOST_RADIUS + 1];
    for (int k = 0; k <= radius; k++) {
        value[k] = exp(-0.5 * k * k / ((double)deviation * deviation));
        sum += k ? 2.0 * value[k] : value[k];
    }
    weight[0] = 256;
    for (int k = 1; k <= radius; k++) {
        weight[k] = (int32_t)(256.0 * value[k] / sum + 0.5);
        weight[0] -= 2 * weight[k];
    }
    return radius;
}

/* out += weight * in, for as much of the row as there is; background beyond it. */
static void add_row(uint16_t *restrict out, const uint8_t *restrict in, int32_t n, int32_t weight)
{
    for (int32_t x = 0; x < n; x++) out[x] = (uint16_t)(out[x] + weight * in[x]);
}

static void round_row(const uint16_t *restrict sums, int32_t n, uint8_t *restrict out)
{
    for (int32_t x = 0; x < n; x++) out[x] = (uint8_t)((sums[x] + 128) >> 8);
}

static void blur(const corrupted *c, float deviation)
{
    const int32_t w = c->width, h = c->height;
    int32_t weight[MOST_RADIUS + 1];
    const int radius = gaussian(deviation, weight);
    for (int32_t y = 0; y < h; y++) {
        const uint8_t *row = c->image + (ptrdiff_t)y * w;
        memset(c->sums, 0, (size_t)w * sizeof *c->sums);
        add_row(c->sums, row, w, weight[0]);
        for (int32_t k = 1; k <= radius && k < w; k++) {
            add_row(c->sums, row + k, w - k, weight[k]);
            add_row(c->sums + k, row, w - k, weight[k]);
        }
        round_row(c->sums, w, c->other + (ptrdiff_t)y * w);
    }
    for (int32_t y = 0; y < h; y++) {
        memset(c->sums, 0, (size_t)w * sizeof *c->sums);
        for (int32_t k = -radius; k <= radius; k++)
            if (y + k >= 0 && y + k < h)
                add_row(c->sums, c->other + (ptrdiff_t)(y + k) * w, w, weight[k < 0 ? -k : k]);
        round_row(c->sums, w, c->image + (ptrdiff_t)y * w);
    }
}

/* ---- grey levels ------------------------------------------------------------------------------ */

/* Background becomes `paper` and full ink 255 - `faint`. */
static void flatten(const corrupted *c, int32_t paper, int32_t faint)
{
    const ptrdiff_t n = (ptrdiff_t)c->height * c->width;
    const int32_t range = 255 - paper - faint;
    uint8_t *restrict image = c->image;
    for (ptrdiff_t i = 0; i < n; i++)
        image[i] = (uint8_t)(paper + ((image[i] * range * 257 + 32768) >> 16));
}

/* The sums of four random bytes for n pixels of a row; room for one more. */
static void draw_sums(const corrupted *c, uint64_t first, int32_t n)
{
    for (int32_t x = 0; x < n; x += 2) {
        const uint64_t bits = lenet_hash(c->sequence, first + (uint64_t)x);
        /* the bytes of both halves are added up at once */
        const uint64_t pairs = (bits & UINT64_C(0x00ff00ff00ff00ff))
                               + (bits >> 8 & UINT64_C(0x00ff00ff00ff00ff));
        const uint64_t sums = pairs + (pairs >> 16);
        c->sums[x] = (uint16_t)sums;
        c->sums[x + 1] = (uint16_t)(sums >> 32);
    }
}

/* Adds to each pixel a random number of mean 0. */
static void add_noise(const corrupted *c, float deviation)
{
    const float unit = 147.8f;  /* that of the sum of four bytes, 2 sqrt((256^2 - 1) / 12) */
    const int32_t factor = (int32_t)(deviation * 65536.0f / unit), w = c->width;
    for (int32_t y = 0; y < c->height; y++) {
        uint8_t *restrict row = c->image + (ptrdiff_t)y * w;
        const uint16_t *restrict sums = c->sums;
        draw_sums(c, NOISE + (uint64_t)y * (uint64_t)w, w);
        for (int32_t x = 0; x < w; x++) {
            const int32_t value = row[x] + ((((int32_t)sums[x] - 510) * factor + 32768) >> 16);
            row[x] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
        }
    }
}

/* Makes a share of the pixels black or white. */
static void add_dirt(const corrupted *c, float share)
{
    const uint64_t n = (uint64_t)c->height * (uint64_t)c->width;
    const uint64_t dirty = (uint64_t)(share * (float)n + 0.5f);
    for (uint64_t i = 0; i < dirty; i++) {
        const uint64_t bits = lenet_hash(c->sequence, DIRT + i);
        c->image[(bits >> 32) * n >> 32] = bits & 1 ? 255 : 0;
    }
}

/* ---- one image -------------------------------------------------------------------------------- */

static void corrupt(const lenet_distortion *d, uint64_t image, int32_t height, int32_t width,
                    uint8_t *pixels, void *workspace)
{
    const float most[6] = {d->thickness, d->lines, d->blur, d->contrast, d->noise, d->impulses};
    const corrupted c = {.image = pixels,
                         .other = (uint8_t *)((uint16_t *)workspace + width + 1),
                         .sums = workspace,
                         .height = height,
                         .width = width,
                         /* other numbers than the maps' */
                         .sequence = lenet_mix(image ^ UINT64_C(0xd1b54a32d192ed03))};
    for (int kind = THICKNESS; kind <= DIRTINESS; kind++) {
        const float chance = 0.5f + 0.5f * lenet_uniform(c.sequence, ACTS + (uint64_t)kind);
        const float sign = lenet_uniform(c.sequence, STRENGTH + (uint64_t)kind);
        const float strength = most[kind] * (0.5f + 0.5f * sign);  /* 0 .. most */
        if (most[kind] == 0.0f || chance >= d->chance) continue;
        if (kind == THICKNESS) {
            change_thickness(&c, most[kind] * sign);
        } else if (kind == LINE) {
            for (int i = 0; i < 1 + (int)strength && i < (int)most[kind]; i++) draw_line(&c, i);
        } else if (kind == BLUR) {
            if (strength > 0.2f) blur(&c, strength);  /* less changes nothing */
        } else if (kind == CONTRAST) {
            const float paper = 0.5f + 0.5f * lenet_uniform(c.sequence, INK);
            flatten(&c, (int32_t)(255.0f * strength * paper),
                    (int32_t)(255.0f * strength * (1.0f - paper)));
        } else if (kind == NOISINESS) {
            add_noise(&c, 255.0f * strength);
        } else {
            add_dirt(&c, strength);
        }
    }
}

#if defined(__clang__)
#pragma STDC FP_CONTRACT DEFAULT  /* for what is included behind this */
#endif

#endif
