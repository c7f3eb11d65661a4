/* What the kernels that make distorted images share with run/distort.c, which draws the maps. */
#ifndef LENET_KERNELS_CANVAS_H
#define LENET_KERNELS_CANVAS_H

#include <stddef.h>
#include <stdint.h>

#include "lenet.h"

enum { LENET_STRIP = 8 };  /* rows that are made at once: whole vectors, whatever the width */

/* Where one call keeps things, in its workspace. */
typedef struct lenet_canvas {
    int32_t height, width;
    int32_t stride;      /* of the next two: the width and a border */
    int32_t *corners;    /* [height + 2][stride]: levels at (y,x) (y,x+1) (y+1,x) (y+1,x+1) */
    uint8_t *padded;     /* [height + 4][stride] */
    /* of the strip at hand, [LENET_STRIP][width] each: the place in `corners`, what is there, and
     * how far behind it the pixel came from */
    int32_t *place, *found;
    float *part_x, *part_y;
    float *move_x, *move_y;  /* [width], the displacements of the row at hand */
    /* elastic: a grid of random displacements, `spacing` pixels apart (0: none), those smoothed along
     * its rows, and the weight of each column of the grid in each column of pixels */
    float spacing;
    int32_t grid_rows, grid_columns;
    float *drawn;    /* [2 * grid_rows][grid_columns]: along x, then along y */
    float *smooth;   /* [2 * grid_rows][width] */
    float *weight;   /* [grid_columns][width] */
} lenet_canvas;

/* The inverse of a map: pixel (x, y) shows what is at (xx x + xy y + x0, yx x + yy y + y0). */
typedef struct lenet_affine {
    double xx, xy, yx, yy, x0, y0;
} lenet_affine;

/* Bytes that a corruption wants: a row of sums and an image. */
static inline size_t lenet_corrupt_workspace(int32_t height, int32_t width)
{
    return 2 * ((size_t)width + 1) + (size_t)height * (size_t)width;
}

/* ---- random numbers: a hash, so that nothing depends on the order in which images are made --------- */

/* The output function of SplitMix64 (Steele, Lea and Flood 2014). */
static inline uint64_t lenet_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* The index-th number of a sequence. */
static inline uint64_t lenet_hash(uint64_t sequence, uint64_t index)
{
    return lenet_mix(sequence + (index + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

/* In [-1, 1), a multiple of 2^-23. */
static inline float lenet_uniform(uint64_t sequence, uint64_t index)
{
    return (float)((int32_t)(lenet_hash(sequence, index) >> 40) - (1 << 23)) * (1.0f / (1 << 23));
}

/* Weights of the four uniform cubic B-splines over a pixel; returns the first of them. */
static inline int32_t lenet_splines(int32_t at, float spacing, float weight[4])
{
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF  /* it is inlined where there are fused multiply-adds, and where not */
#endif
    const float t = (float)at / spacing;
    const int32_t first = (int32_t)t;
    const float u = t - (float)first, v = 1.0f - u;
    weight[0] = v * v * v / 6.0f;
    weight[1] = (4.0f - 3.0f * u * u * (2.0f - u)) / 6.0f;
    weight[2] = (4.0f - 3.0f * v * v * (2.0f - v)) / 6.0f;
    weight[3] = u * u * u / 6.0f;
    return first;
}

#endif
