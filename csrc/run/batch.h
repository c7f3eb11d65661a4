/* A batch that is being worked on: shared by network.c, which runs groups of images in lanes, and
 * single.c, which runs one image. */
#ifndef LENET_BATCH_H
#define LENET_BATCH_H

#include "plan/plan.h"
#include "sys/watch.h"

enum {
    ROUND = 16,      /* blocks whose gradients are kept before they are added up */
    ROUND_ALONE = 4  /* the same of a single thread */
};
_Static_assert(ROUND % 2 == 0 && ROUND_ALONE % 2 == 0 && ROUND_ALONE <= ROUND,
               "a pair of blocks is of one round");

typedef struct batch {
    const lenet_plan *plan;
    const lenet_kernels *k;
    const lenet_layout *at;
    const float *parameters;
    const lenet_images *images;
    const int64_t *labels;
    int64_t n;                   /* images */
    int64_t first_block, blocks; /* of this round */
    const lenet_loss *loss;
    float *outputs;              /* [n][classes], or */
    float *const *activations;   /* a layer's outputs each */
    float *memory;               /* at->total floats a thread */
    float *transformed;          /* weights of convolutions by Winograd, at->transformed */
    float *partials;             /* a gradient for each block of a round */
    ptrdiff_t partial_stride;
    int by_pairs;                /* a block of odd number adds its gradient to the one before */
    double block_loss[ROUND];
    int64_t block_errors[ROUND];
    lenet_watch *watch;
    lenet_profile *profile;      /* NULL: nobody asked */
} batch;

/* What ran since the last lap was this part of this layer. */
void lenet_lap(const batch *b, lenet_part part, int layer);

static inline void lap(const batch *b, lenet_part part, int layer)
{
    if (b->profile) lenet_lap(b, part, layer);
}

/* Whether the memory is of thread 0, the calling thread. */
static inline int is_caller(const batch *b, const float *memory) { return memory == b->memory; }

/* Whether the call is to end; on a thread that has this memory, and is about to do so much work. */
static inline int is_stopped(const batch *b, const float *memory, double work)
{
    return lenet_stopped(b->watch, is_caller(b, memory), work);
}

static inline const float *weights_of(const batch *b, const plan_layer *layer)
{
    return layer->weights < 0 ? b->plan->codes : b->parameters + layer->weights;
}

static inline const float *biases_of(const batch *b, const plan_layer *layer)
{
    return layer->biases < 0 ? NULL : b->parameters + layer->biases;
}

static inline int64_t index_of(const batch *b, int64_t i)
{
    return ordered(b->images->order, i);
}

static inline int activation_below(const lenet_plan *plan, int l)
{
    return l ? plan->layers[l - 1].activation : LENET_IDENTITY;
}

/* Replaces image i's outputs y, `step` floats apart, by the gradient of the batch's mean loss for
 * them; adds to the loss and the errors of a block. */
void lenet_lose(batch *b, int64_t block, int64_t i, float *y, ptrdiff_t step);

/* Runs one image by itself, in a thread's memory; returns its outputs there, which mean nothing if
 * the call is to end. */
float *lenet_forward_of_one(const batch *b, float *memory, int64_t image);

/* Forward, loss and gradient of one image; the gradient is set, or added if `add`. */
void lenet_gradient_of_one(batch *b, float *memory, int64_t block, int64_t image, int add,
                           float *gradient);

/* A step of SGD without momentum on a batch of one image; gradient: room for one. The call can be
 * ended until the first weight changes. */
lenet_status lenet_step_of_one(batch *b, const lenet_optimizer *o, float *parameters,
                               float *gradient);

#endif
