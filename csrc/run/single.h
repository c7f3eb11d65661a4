/* Runs and trains on one image by itself; network.c and train.c call it. */
#ifndef LENET_SINGLE_H
#define LENET_SINGLE_H

#include "run/batch.h"

/* Runs one image in a thread's memory; returns its outputs there, which mean nothing if the call is to
 * end. */
float *lenet_forward_of_one(const batch *b, float *memory, int64_t image);

/* Forward, loss and gradient of one image; the gradient is set, or added if `add`. */
void lenet_gradient_of_one(batch *b, float *memory, int64_t block, int64_t image, int add,
                           float *gradient);

/* A step of SGD without momentum on a batch of one image; gradient: room for one. The call can be
 * ended until the first weight changes. */
lenet_status lenet_step_of_one(batch *b, const lenet_optimizer *o, float *parameters,
                               float *gradient);

#endif
