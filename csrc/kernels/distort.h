/* Makes a distorted image: plain loops that compilers vectorise for each instruction set.
 *
 * Each pixel of the result asks where it came from and is interpolated there between four pixels.
 * The four are packed into one word beforehand, for every place between pixels and with a border
 * of background around, so that a pixel costs one load; what comes before and after that load is
 * arithmetic without a branch. Without fused multiply-adds, so that every instruction set gives the
 * same bytes (compilers fuse none in ISO C, clang none with the pragma).
 *
 * Compiled once per instruction set: only files of kernels/ include it. */
#ifndef LENET_KERNELS_DISTORT_H
#define LENET_KERNELS_DISTORT_H

#include <stddef.h>
#include <string.h>

#include "kernels/canvas.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

static void pack_corners(const lenet_canvas *c, const uint8_t *image)
{
    const int32_t stride = c->stride;
    for (int32_t y = 0; y < c->height; y++)
        memcpy(c->padded + (ptrdiff_t)(y + 1) * stride + 1, image + (ptrdiff_t)y * c->width,
               (size_t)c->width);
    const uint8_t *restrict above = c->padded, *restrict below = above + stride;
    int32_t *restrict corners = c->corners;
    const ptrdiff_t n = (ptrdiff_t)(c->height + 2) * stride;
    for (ptrdiff_t i = 0; i < n; i++)
        corners[i] = (int32_t)((uint32_t)above[i] | (uint32_t)above[i + 1] << 8
                               | (uint32_t)below[i] << 16 | (uint32_t)below[i + 1] << 24);
}

/* Into 0 .. high, NaN too. */
static inline float clamp(float v, float high)
{
    v = v > 0.0f ? v : 0.0f;
    return v < high ? v : high;
}

/* Where the pixels of row y came from, into row `row` of the strip. */
static void find_places(const lenet_canvas *c, const lenet_affine *a, int32_t y, int32_t row)
{
    const int32_t w = c->width;
    const ptrdiff_t at = (ptrdiff_t)row * w;
    /* places are counted from the border, and beyond it there is nothing but background */
    const float x0 = (float)(a->xy * y + a->x0 + 1.0), xx = (float)a->xx;
    const float y0 = (float)(a->yy * y + a->y0 + 1.0), yx = (float)a->yx;
    const float high_x = (float)(w + 1), high_y = (float)(c->height + 1);
    const float stride = (float)c->stride;
    const float *restrict move_x = c->move_x, *restrict move_y = c->move_y;
    float *restrict part_x = c->part_x + at, *restrict part_y = c->part_y + at;
    int32_t *restrict place = c->place + at;
    for (int32_t x = 0; x < w; x++) {
        float from_x = clamp(xx * (float)x + x0 + move_x[x], high_x);
        float from_y = clamp(yx * (float)x + y0 + move_y[x], high_y);
        float left = (float)(int32_t)from_x, top = (float)(int32_t)from_y;
        part_x[x] = from_x - left;
        part_y[x] = from_y - top;
        place[x] = (int32_t)(top * stride + left);  /* exact: sides are at most 1024 */
    }
}

static void look_up(const lenet_canvas *c, ptrdiff_t n)
{
    const int32_t *restrict corners = c->corners, *restrict place = c->place;
    int32_t *restrict found = c->found;
    for (ptrdiff_t i = 0; i < n; i++) found[i] = corners[place[i]];
}

static void interpolate(const lenet_canvas *c, ptrdiff_t n, uint8_t *restrict out)
{
    const float *restrict part_x = c->part_x, *restrict part_y = c->part_y;
    const int32_t *restrict found = c->found;
    for (ptrdiff_t i = 0; i < n; i++) {
        float a = (float)(found[i] & 255), b = (float)(found[i] >> 8 & 255);
        float d = (float)(found[i] >> 16 & 255), e = (float)(found[i] >> 24 & 255);
        float above = a + part_x[i] * (b - a), below = d + part_x[i] * (e - d);
        out[i] = (uint8_t)(int32_t)(above + part_y[i] * (below - above) + 0.5f);
    }
}

/* The grid's rows, drawn out to all columns of pixels. */
static void smooth_along(const lenet_canvas *c)
{
    const int32_t w = c->width;
    for (int32_t row = 0; row < 2 * c->grid_rows; row++) {
        const float *drawn = c->drawn + (ptrdiff_t)row * c->grid_columns;
        float *restrict values = c->smooth + (ptrdiff_t)row * w;
        memset(values, 0, (size_t)w * sizeof *values);
        for (int32_t i = 0; i < c->grid_columns; i++) {
            const float *restrict weight = c->weight + (ptrdiff_t)i * w;
            for (int32_t x = 0; x < w; x++) values[x] += drawn[i] * weight[x];
        }
    }
}

static void smooth_down(const float *grid, const float weight[4], int32_t w, float *restrict move)
{
    const float *a = grid, *b = a + w, *d = b + w, *e = d + w;
    for (int32_t x = 0; x < w; x++)
        move[x] = weight[0] * a[x] + weight[1] * b[x] + weight[2] * d[x] + weight[3] * e[x];
}

/* The displacements of row y. */
static void displace(const lenet_canvas *c, int32_t y)
{
    float weight[4];
    const ptrdiff_t w = c->width;
    const float *grid = c->smooth + lenet_splines(y, c->spacing, weight) * w;
    smooth_down(grid, weight, c->width, c->move_x);
    smooth_down(grid + c->grid_rows * w, weight, c->width, c->move_y);
}

static void distort(const lenet_canvas *c, const lenet_affine *a, const uint8_t *image,
                    uint8_t *out)
{
    pack_corners(c, image);
    if (c->spacing != 0.0f) smooth_along(c);
    for (int32_t y = 0; y < c->height; y += LENET_STRIP) {
        const int32_t left = c->height - y, rows = left < LENET_STRIP ? left : LENET_STRIP;
        for (int32_t row = 0; row < rows; row++) {
            if (c->spacing != 0.0f) displace(c, y + row);
            find_places(c, a, y + row, row);
        }
        look_up(c, (ptrdiff_t)rows * c->width);
        interpolate(c, (ptrdiff_t)rows * c->width, out + (ptrdiff_t)y * c->width);
    }
}

#if defined(__clang__)
#pragma STDC FP_CONTRACT DEFAULT  /* for what is included behind this */
#endif

#endif
