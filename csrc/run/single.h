/* Runs and trains on one image by itself; network.c, train.c and sweep.c call it. */
#ifndef LENET_SINGLE_H
#define LENET_SINGLE_H

#include "run/batch.h"

/* Sets what lies between the images and the outputs of so many layers, one behind the other (layout.c), to
 * 0: the kernels read past a row's end, and backward 0 before a map's first row. */
void lenet_clear_slack(const batch *b, float *memory, int n_layers);

/* Runs the layers before the flat ones on an image that is loaded. */
void lenet_spatial_of_one(const batch *b, float *memory);

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
