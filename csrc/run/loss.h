/* The criteria: loss, slope and curvature of one image's outputs. The files that train, and
 * network.c, call it. */
#ifndef LENET_LOSS_H
#define LENET_LOSS_H

#include "run/batch.h"

/* LENET_BAD_ARGUMENT if there is no such loss or weights or targets are none, LENET_BAD_LABEL if a label of n
 * images is no class; order as in lenet_images. *weight: of all images together. */
lenet_status lenet_check_loss(const lenet_plan *plan, const lenet_loss *loss,
                              const int64_t *order, const int64_t *labels, int64_t n, double *weight);

/* What image number `index` counts. */
static inline double lenet_weight_of(const lenet_loss *loss, int64_t index)
{
    return loss->weights ? loss->weights[index] : 1.0;
}

/* The targets of image number `index`, or NULL. */
static inline const double *lenet_targets_of(const lenet_loss *loss, int64_t index, int32_t classes)
{
    return loss->targets ? loss->targets + index * classes : NULL;
}

/* What the loss multiplies outputs by. */
static inline double lenet_loss_scale(const lenet_loss *loss)
{
    return loss->kind == LENET_MSE ? 1.0 : 1.0 / loss->temperature;
}

/* Replaces image i's outputs y, `step` floats apart, by the gradient of the batch's mean loss for
 * them; adds to the loss and the errors of a block. */
void lenet_lose(batch *b, int64_t block, int64_t i, float *y, ptrdiff_t step);

/* Second derivatives of image i's loss: logits are replaced by those for them; of penalties the
 * probabilities of the classes go to p and their targets to t, from which the layer that gave them has its
 * own (layer.h). */
void lenet_lose_twice(const batch *b, int64_t i, float *y, ptrdiff_t step, double *p, double *t);

#endif
