/* What a plan holds: shared by network.c, which runs it, and plan.c, which makes it. */
#ifndef LENET_NETWORK_H
#define LENET_NETWORK_H

#include "kernels/kernels.h"
#include "sys/watch.h"

enum {
    LENET_MAX_MAPS = 4096,   /* bounds that keep every product below far from overflow */
    LENET_MAX_SIDE = 1024,
    LENET_MAX_INPUTS = 1 << 24  /* of a layer that runs through the dense kernels */
};

enum {
    INFERENCE_BLOCK = 32,  /* images; with 64 one thread was 0.7% faster, but alone with a batch of 64 */
    TRAINING_BLOCK = 32    /* every layer's maps are kept until the way back */
};

typedef struct plan_layer {
    int32_t kind, activation, trained;
    int32_t in_maps, in_height, in_width;
    int32_t out_maps, out_height, out_width;
    ptrdiff_t in_size, out_size;     /* features of one image */
    ptrdiff_t weights, biases;       /* where they begin in the parameters; -1: none */
    ptrdiff_t n_weights, n_biases;
    double work;                     /* for one image, about in multiply-adds */
    lenet_conv_shape conv;           /* LENET_CONV only */
} plan_layer;

/* Where things lie in a thread's memory, in floats (layout.c). */
typedef struct lenet_layout {
    int lanes, block;
    ptrdiff_t input, input_stride;
    ptrdiff_t out[LENET_MAX_LAYERS], stride[LENET_MAX_LAYERS];
    int has_one;                                 /* 0: an image cannot run by itself */
    ptrdiff_t one_input, one[LENET_MAX_LAYERS];  /* of an image that does */
    lenet_map_layout one_layout[LENET_MAX_LAYERS + 1];  /* the image's, layer 0's .. */
    /* Training only: gradients of the spatial layers' parameters, each [lane], a layer's weights, then
     * its biases. */
    ptrdiff_t lane_sums, n_lane_sums, sums[LENET_MAX_LAYERS];
    ptrdiff_t scratch;                           /* of the kernels */
    /* Rows that a convolution under a 2x2 layer makes at once, and where its transformed weights lie
     * in the memory that all threads share; -1: not by Winograd. */
    int rows[LENET_MAX_LAYERS];
    ptrdiff_t transformed[LENET_MAX_LAYERS], n_transformed;
    ptrdiff_t distorted;                         /* uint8 images of a group */
    ptrdiff_t distorting;                        /* workspace */
    ptrdiff_t total;
} lenet_layout;

struct lenet_plan {
    int32_t n_layers;
    /* Layers from here on have one value a map and all-to-all weights: they run through the
     * dense kernels, several groups of lanes at once. Those before run group by group. */
    int32_t first_flat;
    int32_t height, width, classes;
    float background, foreground;
    double work;                     /* of all layers */
    ptrdiff_t n_parameters;
    ptrdiff_t n_spatial_parameters;  /* parameters of the layers before first_flat: the first ones */
    float *codes;                    /* [classes][inputs] of a fixed RBF layer, else NULL */
    plan_layer layers[LENET_MAX_LAYERS];
    lenet_layout layout[2];          /* inference, training */
};

static inline int plan_is_rbf(const lenet_plan *plan)
{
    return plan->layers[plan->n_layers - 1].kind == LENET_RBF;
}

static inline int plan_is_pool(const plan_layer *layer)
{
    return layer->kind == LENET_SUBSAMPLE || layer->kind == LENET_AVERAGE_POOL;
}

/* A layer's weights as its kernels want them. */
static inline ptrdiff_t plan_kernel_weights(const lenet_plan *plan, const lenet_layout *at, int l)
{
    const plan_layer *layer = &plan->layers[l];
    return at->transformed[l] < 0 ? layer->n_weights : (ptrdiff_t)lenet_winograd_weights(&layer->conv);
}

/* A convolution whose rows the 2x2 layer above takes as soon as they are made. */
static inline int plan_is_under_pool(const lenet_plan *plan, int l)
{
    return plan->layers[l].kind == LENET_CONV && l + 1 < plan->n_layers
           && plan_is_pool(&plan->layers[l + 1]);
}

static inline lenet_dense_shape plan_dense(const lenet_plan *plan, const lenet_layout *at, int l,
                                           int groups)
{
    const plan_layer *layer = &plan->layers[l];
    return (lenet_dense_shape){.inputs = (int32_t)layer->in_size,
                               .outputs = (int32_t)layer->out_size,
                               .groups = groups,
                               .in_stride = l ? at->stride[l - 1] : at->input_stride,
                               .out_stride = at->stride[l]};
}

/* Floats of layer l's maps, of an image that runs by itself. */
static inline ptrdiff_t plan_one_size(const lenet_plan *plan, const lenet_layout *at, int l)
{
    const plan_layer *layer = &plan->layers[l];
    return lenet_map_floats(at->one_layout[l + 1], layer->out_maps, layer->out_height,
                            layer->out_width, (int)at->lanes);
}

/* Fills plan->layout (layout.c). */
void lenet_lay_out(lenet_plan *plan);

/* A convolution's shape and connections, from its sizes and table; the connections lie in memory
 * that free(*memory) releases, on failure too. */
lenet_status lenet_connect(const lenet_conv_call *call, lenet_conv_shape *shape,
                           int32_t **memory);

/* Distorts images `first` .. of a call to `out`, one behind the other, until the call is to end;
 * checks nothing (distort.c). */
void lenet_distort_some(const lenet_distortion *d, uint64_t first, const uint8_t *const *images,
                        int n, int32_t height, int32_t width, uint8_t *out, void *workspace,
                        lenet_watch *watch, int is_caller);

/* Which of the caller's images, and labels, is image i of the batch. */
static inline int64_t ordered(const int64_t *order, int64_t i) { return order ? order[i] : i; }

/* Floats of a buffer to whole cache lines, and one more that keeps it from the next. */
static inline ptrdiff_t padded(ptrdiff_t floats) { return (floats + 15) / 16 * 16 + 16; }

/* LENET_BAD_ARGUMENT if there is no such loss, LENET_BAD_LABEL if a label of n images is no class;
 * order as in lenet_images (loss.c). */
lenet_status lenet_check_loss(const lenet_plan *plan, const lenet_loss *loss,
                              const int64_t *order, const int64_t *labels, int64_t n);

enum { LENET_KEPT = 128 };  /* classes whose exponentials are not taken twice */

/* What a loss says of one image, whose outputs y lie `step` floats apart (loss.c). */
typedef struct lenet_verdict {
    double loss;
    int is_error;          /* the best class is another than the label */
    int kind, is_rbf;
    int64_t label;
    const float *y;
    ptrdiff_t step;
    double scale;          /* of the evidence */
    double top, sum;       /* of the exponentials e^(evidence - top); the rubbish class's too */
    double kept[LENET_KEPT];
} lenet_verdict;

void lenet_judge(const lenet_loss *loss, int is_rbf, int32_t classes, const float *y, ptrdiff_t step,
                 int64_t label, lenet_verdict *v);

/* The derivative of the loss by output i, for which y[i] must be as it was. */
double lenet_loss_slope(const lenet_verdict *v, int32_t i);

#endif
