/* A batch that is being worked on: what all of run/ that works on one shares. */
#ifndef LENET_BATCH_H
#define LENET_BATCH_H

#include "plan/plan.h"

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
    double weight;               /* of all images together: n, unless they have weights */
    float *outputs;              /* [n][classes], or */
    float *const *activations;   /* a layer's outputs each */
    float *memory;               /* a thread's after another's, */
    ptrdiff_t memory_stride;     /* so many floats each: at->total or more */
    const float *arranged;       /* weights for the kernels, at->n_arranged; NULL: as they are */
    const float *arranged_alone; /* the same for one image, a model's; or NULL */
    float *arranging;            /* room for those in the workspace */
    float *squares;              /* curvature: of the parameters */
    float *partials;             /* a gradient for each block of a round */
    ptrdiff_t partial_stride;
    int by_pairs;                /* a block of odd number adds its gradient to the one before */
    int apart;                   /* never so: a block's gradient is added up in several steps */
    double block_loss[ROUND];
    int64_t block_errors[ROUND];
    lenet_watch *watch;
    lenet_profile *profile;      /* NULL: nobody asked */
    int in_lanes;                /* no image runs by itself */
    const struct string_batch *strings;  /* of strings: train_lines.c's */
} batch;

/* How many pieces of a size make n. */
static inline int64_t ceil_div(int64_t n, int64_t size) { return n / size + (n % size != 0); }

/* Bytes of so many floats and `more`; where a size cannot be so large, the largest, which nobody has. */
static inline size_t bytes_of_floats(uint64_t floats, uint64_t more)
{
    const uint64_t bytes = floats * sizeof(float) + more;
    return (size_t)bytes == bytes ? (size_t)bytes : SIZE_MAX;
}

/* Blocks whose gradients are kept at once, of those that are left. */
static inline int64_t round_size(int64_t blocks, int32_t threads)
{
    const int64_t most = threads == 1 ? ROUND_ALONE : ROUND;
    return blocks < most ? blocks : most;
}

static inline void lap(const batch *b, lenet_part part, int layer)
{
    lenet_lap(b->profile, part, layer);
}

static inline float *memory_of(const batch *b, int32_t thread)
{
    return b->memory + thread * b->memory_stride;
}

/* Whether the memory is of thread 0, the calling thread. */
static inline int is_caller(const batch *b, const float *memory) { return memory == b->memory; }

/* Whether the call is to end; on a thread that has this memory, and is about to do so much work. */
static inline int is_stopped(const batch *b, const float *memory, double work)
{
    return lenet_stopped(b->watch, is_caller(b, memory), work);
}

static inline int64_t index_of(const batch *b, int64_t i)
{
    return b->images->order ? b->images->order[i] : i;
}

/* The images of block i of this round. */
static inline int64_t block_start(const batch *b, int64_t i, int *n)
{
    const int64_t first = (b->first_block + i) * b->at->block, left = b->n - first;
    *n = left < b->at->block ? (int)left : b->at->block;
    return first;
}

/* Images, or a layer's inputs and outputs, of a group of lanes; and of an image that runs by itself. */
static inline float *inputs_of(const batch *b, float *memory, int l, int group)
{
    return memory + b->at->buffer[l].lanes + group * b->at->buffer[l].stride;
}
static inline float *outputs_of(const batch *b, float *memory, int l, int group)
{
    return inputs_of(b, memory, l + 1, group);
}
static inline float *inputs_of_one(const batch *b, float *memory, int l)
{
    return memory + b->at->buffer[l].one;
}
static inline float *outputs_of_one(const batch *b, float *memory, int l)
{
    return inputs_of_one(b, memory, l + 1);
}

/* A call of layers in a thread's memory, before the first of them. */
static inline layer_call begin_calls(const batch *b, float *memory, int groups)
{
    return (layer_call){.k = b->k,
                        .scratch = memory + b->at->scratch,
                        .groups = groups,
                        .watch = b->watch,
                        .is_caller = is_caller(b, memory),
                        .profile = b->profile};
}

/* Goes on to layer l, forward: in place, since one image takes microseconds. */
static inline void call_layer(const batch *b, int l, layer_call *c)
{
    const net_layer *layer = &b->plan->layers[l];
    const layer_manner *manner = &b->at->manner[l];
    c->layer = layer;
    c->weights = layer->weights < 0 ? layer->fixed : b->parameters + layer->weights;
    c->biases = layer->biases < 0 ? NULL : b->parameters + layer->biases;
    c->arranged = manner->n_arranged && b->arranged ? b->arranged + b->at->arranged[l] : NULL;
    c->arranged_alone = manner->n_arranged_alone && b->arranged_alone
                            ? b->arranged_alone + b->at->arranged_alone[l]
                            : NULL;
    c->in_stride = b->at->buffer[l].stride;
    c->out_stride = b->at->buffer[l + 1].stride;
    c->in_layout = b->at->buffer[l].layout;
    c->out_layout = b->at->buffer[l + 1].layout;
    c->rows = manner->rows;
    c->index = l;
}

/* Layer l at work in a thread's memory, forward. */
static inline layer_call call_of(const batch *b, float *memory, int l, int groups)
{
    layer_call c = begin_calls(b, memory, groups);
    call_layer(b, l, &c);
    return c;
}

/* And backward, with a gradient of all parameters. */
static inline void call_layer_back(const batch *b, int l, int add, float *gradient, layer_call *c)
{
    call_layer(b, l, c);
    c->in_activation = l ? b->plan->layers[l - 1].activation : LENET_IDENTITY;
    c->to_input = l > 0;
    c->add = add;
    c->dweights = c->layer->weights < 0 ? NULL : gradient + c->layer->weights;
    c->dbiases = c->layer->biases < 0 ? NULL : gradient + c->layer->biases;
}

static inline layer_call call_back(const batch *b, float *memory, int l, int groups, int add,
                                   float *gradient)
{
    layer_call c = begin_calls(b, memory, groups);
    call_layer_back(b, l, add, gradient, &c);
    return c;
}

#endif
