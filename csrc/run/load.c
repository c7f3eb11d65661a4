/* Puts images into memory: distorts, pads and normalises them on the way. */
#include <string.h>

#include "run/distort.h"
#include "run/load.h"

/* Replaces images by distorted copies in the thread's memory. */
static void distort_group(const batch *b, int64_t first, int n, float *memory,
                          const uint8_t **rows)
{
    const lenet_images *images = b->images;
    uint8_t *to = (uint8_t *)(memory + b->at->distorted);
    lenet_distort_some(images->distortion, (uint64_t)first, rows, n, images->height,
                       images->width, to, memory + b->at->distorting, b->watch, is_caller(b, memory));
    for (int i = 0; i < n; i++) rows[i] = to + (ptrdiff_t)i * images->height * images->width;
}

void lenet_load_group(const batch *b, int64_t first, int n, float *memory, int group)
{
    float *input = inputs_of(b, memory, 0, group);
    const lenet_images *images = b->images;
    const ptrdiff_t size = (ptrdiff_t)images->height * images->width;
    if (images->is_float) {
        const float *rows[LENET_MAX_LANES];
        for (int i = 0; i < n; i++)
            rows[i] = (const float *)images->pixels + index_of(b, first + i) * size;
        b->k->rows_to_lanes(rows, n, size, input);
    } else {
        const uint8_t *rows[LENET_MAX_LANES] = {NULL};
        for (int i = 0; i < n; i++)
            rows[i] = (const uint8_t *)images->pixels + index_of(b, first + i) * size;
        if (images->distortion) distort_group(b, first, n, memory, rows);
        b->k->load_grey(rows, n, images->height, images->width, b->plan->background,
                        b->plan->foreground, b->plan->height, b->plan->width, input);
    }
}

void lenet_load_one(const batch *b, float *memory, int64_t image)
{
    const lenet_images *images = b->images;
    const lenet_plan *plan = b->plan;
    const ptrdiff_t size = (ptrdiff_t)images->height * images->width;
    const ptrdiff_t row = b->at->buffer[0].layout.stride;
    float *input = inputs_of_one(b, memory, 0);
    if (images->is_float) {
        const float *from = (const float *)images->pixels + index_of(b, image) * size;
        const size_t width = (size_t)plan->width;
        for (int y = 0; y < plan->height; y++, input += row, from += width) {
            memcpy(input, from, width * sizeof *from);
            memset(input + width, 0, ((size_t)row - width) * sizeof *from);
        }
        return;
    }
    const uint8_t *from = (const uint8_t *)images->pixels + index_of(b, image) * size;
    if (images->distortion) {
        uint8_t *to = (uint8_t *)(memory + b->at->distorted);
        lenet_distort_some(images->distortion, (uint64_t)image, &from, 1, images->height,
                           images->width, to, memory + b->at->distorting, b->watch,
                           is_caller(b, memory));
        from = to;
    }
    b->k->load_grey_rows(from, images->height, images->width, plan->background, plan->foreground,
                         plan->height, plan->width, row, input);
}
