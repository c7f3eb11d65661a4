/* Runs a task on each block of a batch and adds up what they give; network.c and curvature.c call
 * it. */
#ifndef LENET_TRAIN_H
#define LENET_TRAIN_H

#include "run/reduce.h"

/* What block i of this round gives for all parameters, set or added; its loss and errors. */
typedef void block_task(batch *b, int64_t i, float *memory, int add, float *gradient);

/* The gradient of the mean loss, run one by one if they are few. */
block_task lenet_block_gradient;

/* Runs a task over all blocks; sums are added in one order, in pairs, (0 + 1) + (2 + 3) + .. The
 * reduction says where to; with an optimizer, its step in the same pass over the parameters, once the
 * loss is known. */
lenet_status lenet_run_rounds(batch *b, block_task *task, int32_t threads, reduction *c,
                              lenet_report *report);

#endif
