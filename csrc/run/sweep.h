/* Networks swept over wider and higher pictures: what sweep.c and, in training, train_lines.c share. */
#ifndef LENET_SWEEP_H
#define LENET_SWEEP_H

#include "run/batch.h"

/* Bounds of a picture's sides, so that no product of sizes overflows. */
enum { LENET_MAX_LENGTH = 1 << 24 };

/* The part of a picture that a piece of it sees: from (top, left) on, rows and columns outside of the
 * picture are background. */
typedef struct picture_part {
    int64_t picture;
    int32_t top, left, height, width;
} picture_part;

lenet_status lenet_check_pictures(const lenet_plan *plan, const lenet_pictures *pictures, int64_t n);

/* Where the network's first position begins in a picture: 0, or less where that is smaller. */
static inline int32_t picture_begin(int32_t length, int32_t wanted)
{
    return length < wanted ? -((wanted - length) / 2) : 0;
}

/* A channel of a part, contiguous. */
void lenet_cut_bytes(const lenet_pictures *pictures, const picture_part *part, int32_t channel,
                     uint8_t *to);
void lenet_cut_floats(const lenet_plan *plan, const lenet_pictures *pictures, const picture_part *part,
                      int32_t channel, ptrdiff_t to_row, float *to);

/* Before a thread's memory lies its plan for the pictures that it is at. */
enum { WIDE_PLAN_FLOATS = (sizeof(lenet_plan) + 63) / 64 * 16 };

static inline lenet_plan *wide_plan_of(float *memory)
{
    return (lenet_plan *)(void *)(memory - WIDE_PLAN_FLOATS);
}

#endif
