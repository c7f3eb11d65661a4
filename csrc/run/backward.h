/* Takes a block of images backward in lanes; train.c, train_lines.c and curvature.c call it. */
#ifndef LENET_BACKWARD_H
#define LENET_BACKWARD_H

#include "run/batch.h"

/* Takes one layer backward: the inputs from `in` on become its deltas. */
typedef void layer_step(const batch *b, float *memory, layer_call *c, float *in, const float *delta);

/* On entry each layer's outputs, and the last one's deltas, are in memory; a layer's outputs become its
 * deltas when the layer above is done with them. Sets the gradient of all parameters, or adds to it;
 * what it gives means nothing if the call is to end. */
void lenet_run_backward(const batch *b, float *memory, int groups, int add, float *gradient,
                        layer_step *step);

/* The same of the spatial layers alone. */
void lenet_run_spatial_back(const batch *b, float *memory, int groups, int add, float *gradient,
                            layer_step *step);

/* The step of a gradient. */
layer_step lenet_step_back;

#endif
