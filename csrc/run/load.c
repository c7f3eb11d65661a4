/* Puts images into memory: distorts, pads and normalises them on the way. */
#include <string.h>

#include "run/distort.h"
#include "run/load.h"

/* Values of a channel, and of a whole image. */
static ptrdiff_t channel_size(const batch *b)
{
    return (ptrdiff_t)b->images->height * b->images->width;
}
static ptrdiff_t image_size(const batch *b) { return b->plan->input.channels * channel_size(b); }

/* Replaces images by distorted copies in the thread's memory. */
static void distort_images(const batch *b, int64_t first, int n, float *memory, const uint8_t **rows)
{
    const lenet_images *images = b->images;
    uint8_t *to = (uint8_t *)(memory + b->at->distorted);
    lenet_distort_some(images->distortion, (uint64_t)first, rows, n, b->plan->input.channels,
                       images->height, images->width, to, memory + b->at->distorting, b->watch,
                       is_caller(b, memory));
    for (int i = 0; i < n; i++) rows[i] = to + i * image_size(b);
}

void lenet_load_group(const batch *b, int64_t first, int n, float *memory, int group)
{
    float *to = inputs_of(b, memory, 0, group);
    const lenet_images *images = b->images;
    const lenet_input *input = &b->plan->input;
    const ptrdiff_t size = image_size(b);
    if (images->is_float) {
        const float *rows[LENET_MAX_LANES];
        for (int i = 0; i < n; i++)
            rows[i] = (const float *)images->pixels + index_of(b, first + i) * size;
        b->k->rows_to_lanes(rows, n, size, to);
        return;
    }
    const uint8_t *rows[LENET_MAX_LANES] = {NULL};
    for (int i = 0; i < n; i++)
        rows[i] = (const uint8_t *)images->pixels + index_of(b, first + i) * size;
    if (images->distortion) distort_images(b, first, n, memory, rows);
    const ptrdiff_t map = (ptrdiff_t)input->height * input->width * b->at->lanes;
    for (int32_t c = 0; c < input->channels; c++) {
        b->k->load_grey(rows, n, images->height, images->width, input->background[c],
                        input->foreground[c], input->height, input->width, to + c * map);
        for (int i = 0; i < n; i++) rows[i] += channel_size(b);
    }
}

void lenet_load_one(const batch *b, float *memory, int64_t image)
{
    const lenet_images *images = b->images;
    const lenet_input *input = &b->plan->input;
    const ptrdiff_t row = b->at->buffer[0].layout.stride;
    float *to = inputs_of_one(b, memory, 0);
    if (images->is_float) {
        const float *from = (const float *)images->pixels + index_of(b, image) * image_size(b);
        const size_t width = (size_t)input->width;
        for (int y = 0; y < input->channels * input->height; y++, to += row, from += width) {
            memcpy(to, from, width * sizeof *from);
            memset(to + width, 0, ((size_t)row - width) * sizeof *from);
        }
        return;
    }
    const uint8_t *from = (const uint8_t *)images->pixels + index_of(b, image) * image_size(b);
    if (images->distortion) distort_images(b, image, 1, memory, &from);
    for (int32_t c = 0; c < input->channels; c++)
        b->k->load_grey_rows(from + c * channel_size(b), images->height, images->width,
                             input->background[c], input->foreground[c], input->height,
                             input->width, row, to + c * input->height * row);
}
