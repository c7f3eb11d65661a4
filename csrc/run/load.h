/* Puts images into a thread's memory; forward.c and single.c begin with it. */
#ifndef LENET_LOAD_H
#define LENET_LOAD_H

#include "run/batch.h"

/* Images first .. first + n - 1 of the batch, into the lanes of a group. */
void lenet_load_group(const batch *b, int64_t first, int n, float *memory, int group);

/* One that runs by itself. */
void lenet_load_one(const batch *b, float *memory, int64_t image);

#endif
