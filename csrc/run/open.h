/* What every call begins with: checks what it was given, and shares its workspace out. The files of the
 * public calls include it. */
#ifndef LENET_OPEN_H
#define LENET_OPEN_H

#include "run/batch.h"

/* Threads that a call for so many blocks uses. */
int32_t lenet_clamp_threads(int32_t n_threads, int64_t blocks);

/* Fills a batch; `training` also says which layout. */
lenet_status lenet_open_batch(const lenet_plan *plan, const float *parameters,
                              const lenet_images *images, int64_t n, const lenet_run *run,
                              int training, lenet_watch *watch, batch *b);

/* The same with labels and a loss, and room for gradients. */
lenet_status lenet_open_training(const lenet_plan *plan, const float *parameters,
                                 const lenet_images *images, const int64_t *labels, int64_t n,
                                 const lenet_loss *loss, const lenet_run *run, lenet_watch *watch,
                                 batch *b);

#endif
