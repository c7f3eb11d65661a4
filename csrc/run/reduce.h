/* Adds the gradients of blocks up, in one order, and takes the optimizer's step; train.c calls it.
 *
 * Both are cut into chunks of parameters: each is a sum of its own, so the threads change nothing. */
#ifndef LENET_REDUCE_H
#define LENET_REDUCE_H

#include "run/batch.h"

typedef struct reduction {
    const batch *b;
    int32_t n_tasks;                 /* one a thread */
    int add;                         /* to the rounds before */
    int update;                      /* this round is the last: the optimizer takes its step */
    float *gradient;
    lenet_optimizer *optimizer;      /* NULL: only the gradient is wanted */
    float *parameters;
    char finite[LENET_MAX_THREADS];  /* by thread */
} reduction;

/* The gradients of this round's blocks. */
void lenet_reduce(reduction *c);

/* Whether it has what its kind needs, and what it freezes are parameters. */
int lenet_optimizer_is_valid(const lenet_optimizer *o, ptrdiff_t n_parameters);

#endif
