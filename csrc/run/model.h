/* A packed model: parameters as they were, and what the kernels make of them before a call. network.c
 * runs it. */
#ifndef LENET_MODEL_H
#define LENET_MODEL_H

#include "plan/plan.h"

/* At the beginning of the caller's memory, which holds all that it points to. Written once. */
struct lenet_model {
    const lenet_plan *plan;
    const float *parameters;
    const float *arranged[2];     /* weights for the kernels, as plan->layout's: inference, training */
    const float *arranged_alone;  /* and for one image */
};

#endif
