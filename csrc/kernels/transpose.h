/* From one arrangement of data to another: [..][lane] and rows of each image or map.
 *
 * Compiled once per instruction set: only files of kernels/ include it. */
#ifndef LENET_KERNELS_TRANSPOSE_H
#define LENET_KERNELS_TRANSPOSE_H

#include "kernels/target.h"

/* Vectors first .. first + LANES - 1 of n, behind which come zeros, transposed: square[lane][vector]. */
INLINE void transpose_vectors(const float *in, ptrdiff_t first, ptrdiff_t n, vf *square)
{
    UNROLL
    for (int i = 0; i < LANES; i++)
        square[i] = first + i < n ? vf_load(in + (first + i) * LANES) : vf_set(0.0f);
    vf_transpose(square);
}

/* ---- images in lanes ------------------------------------------------------------------------- */

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

/* [group][feature][lane] -> [image][feature], rows `stride` floats apart and padded with 0 to
 * whole vectors. */
static void transpose(const float *in, ptrdiff_t in_stride, int groups, int features,
                      ptrdiff_t stride, float *rows)
{
    for (int g = 0; g < groups; g++) {
        float *to = rows + (ptrdiff_t)g * LANES * stride;
        for (int k = 0; k < features; k += LANES) {
            vf square[LANES];
            transpose_vectors(in + g * in_stride, k, features, square);
            UNROLL
            for (int i = 0; i < LANES; i++) vf_storeu(to + i * stride + k, square[i]);
        }
    }
}

/* ---- the maps of one image in lanes (lenet_lane_maps) ---------------------------------------- */

/* A number of each map. */
INLINE vf to_lanes(const lenet_lane_maps *m, const float *numbers)
{
    float lane[LANES] = {0};
    for (int i = 0; i < m->maps; i++) lane[i] = numbers[m->first + i * m->step];
    return vf_loadu(lane);
}

/* Sets or adds to a number of each map. */
INLINE void from_lanes(const lenet_lane_maps *m, vf a, int add, float *numbers)
{
    float lane[LANES];
    vf_storeu(lane, a);
    for (int i = 0; i < m->maps; i++) {
        float *to = numbers + m->first + i * m->step;
        *to = (add ? *to : 0.0f) + lane[i];
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

/* [column][lane] -> n floats of a row of each map, 0 from `columns` on. */
INLINE void columns_to_rows(const float *in, int columns, ptrdiff_t n, int maps, ptrdiff_t out_map,
                            float *out)
{
    for (ptrdiff_t x = 0; x < n; x += LANES) {
        vf square[LANES];
        transpose_vectors(in, x, columns, square);
        for (int map = 0; map < maps; map++)
            store_up_to(out + map * out_map + x, square[map], n - x);
    }
}

/* in[y][x][lane] -> rows of each map that end in zeros. */
static void maps_to_rows(const lenet_lane_maps *m, int height, int width, const float *in,
                         ptrdiff_t out_stride, float *out)
{
    const ptrdiff_t out_map = height * out_stride;
    out += m->first * out_map;
    for (int y = 0; y < height; y++, in += width * LANES, out += out_stride)
        columns_to_rows(in, width, out_stride, m->maps, m->step * out_map, out);
}

/* Rows of each map -> out[y][x][lane], with so many columns, perhaps more than a row has without its
 * zeros. */
static void rows_to_maps(const lenet_lane_maps *m, int height, const float *in, ptrdiff_t in_stride,
                         int columns, float *out)
{
    const ptrdiff_t map = height * in_stride;
    in += m->first * map;
    for (int y = 0; y < height; y++, in += in_stride, out += columns * LANES) {
        for (int x = 0; x < columns; x += LANES) {
            vf square[LANES];
            UNROLL
            for (int lane = 0; lane < LANES; lane++)
                square[lane] = lane < m->maps ? vf_loadu(in + lane * m->step * map + x)
                                              : vf_set(0.0f);
            vf_transpose(square);
            for (int i = 0; i < LANES && x + i < columns; i++)
                vf_store(out + (x + i) * LANES, square[i]);
        }
    }
}

#endif
