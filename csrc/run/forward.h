/* Runs images forward in lanes; network.c, train.c, train_lines.c and curvature.c call it. */
#ifndef LENET_FORWARD_H
#define LENET_FORWARD_H

#include "run/batch.h"

/* Arranges weights for the kernels, in b->arranging: once a call, for all threads. */
void lenet_arrange_weights(const batch *b, float *memory);

/* Runs the spatial layers on a group of lanes that is loaded. */
void lenet_run_spatial(const batch *b, float *memory, int group, int keep);

/* Runs images first .. first + n - 1; keep: all layers' outputs are wanted. Returns the number of
 * groups. What they give means nothing if the call is to end. */
int lenet_run_forward(const batch *b, float *memory, int64_t first, int n, int keep);

/* Copies layer l's outputs of images first .. first + n - 1 to rows of `to`. */
void lenet_copy_out(const batch *b, float *memory, int l, int64_t first, int n, float *to);

#endif
