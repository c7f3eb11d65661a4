/* Grey images become a network's input: images in lanes, or the rows of one.
 *
 * Compiled once per instruction set: only files of kernels/ include it. */
#ifndef LENET_KERNELS_LOAD_H
#define LENET_KERNELS_LOAD_H

#include "kernels/target.h"

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

static void load_grey_rows(const uint8_t *image, int height, int width, float background,
                           float foreground, int out_height, int out_width,
                           ptrdiff_t stride, float *out)
{
    const vf scale = vf_set((foreground - background) / 255.0f), base = vf_set(background);
    for (ptrdiff_t i = 0; i < out_height * stride; i += LANES) vf_storeu(out + i, base);
    out += (out_height - height) / 2 * stride + (out_width - width) / 2;
    for (int y = 0; y < height; y++, image += width, out += stride) {
        if (width < LANES) {  /* by the same operation, so that a level has one value at any width */
            uint8_t bytes[LANES] = {0};
            float row[LANES];
            memcpy(bytes, image, (size_t)width);
            vf_storeu(row, vf_fma(vf_from_bytes(bytes), scale, base));
            memcpy(out, row, (size_t)width * sizeof *out);
        }
        /* the last vector begins where it ends with the row */
        for (int x = 0; x < width && width >= LANES; x += LANES) {
            const int at = x + LANES <= width ? x : width - LANES;
            vf pixels = vf_from_bytes(image + at);
            vf_storeu(out + at, vf_fma(pixels, scale, base));
        }
    }
}

#endif
