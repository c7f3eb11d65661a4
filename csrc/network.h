/* What a plan holds: shared by network.c, which runs it, and plan.c, which makes it. */
#ifndef LENET_NETWORK_H
#define LENET_NETWORK_H

#include "kernels.h"

enum {
    LENET_MAX_MAPS = 4096,   /* bounds that keep every product below far from overflow */
    LENET_MAX_SIDE = 1024,
    LENET_MAX_INPUTS = 1 << 24  /* of a dense layer */
};

typedef struct plan_layer {
    int32_t kind, activation, trained;
    int32_t in_maps, in_height, in_width;
    int32_t out_maps, out_height, out_width;
    ptrdiff_t in_size, out_size;     /* features of one image */
    ptrdiff_t weights, biases;       /* where they begin in the parameters; -1: none */
    ptrdiff_t n_weights, n_biases;
    lenet_conv_shape conv;           /* LENET_CONV only */
} plan_layer;

struct lenet_plan {
    int32_t n_layers;
    /* Layers from here on have one value a map and all-to-all weights: they run through the
     * dense kernels, several groups of lanes at once. Those before run group by group. */
    int32_t first_flat;
    int32_t height, width, classes;
    float background, foreground;
    ptrdiff_t n_parameters;
    ptrdiff_t n_spatial_parameters;  /* parameters of the layers before first_flat: the first ones */
    float *codes;                    /* [classes][inputs] of a fixed RBF layer, else NULL */
    plan_layer layers[LENET_MAX_LAYERS];
};

static inline int plan_is_rbf(const lenet_plan *plan)
{
    return plan->layers[plan->n_layers - 1].kind == LENET_RBF;
}

/* A convolution's shape and connections, from its sizes and table; the connections lie in memory
 * that free(*memory) releases, on failure too. */
lenet_status lenet_connect(const lenet_conv_call *call, lenet_conv_shape *shape,
                           int32_t **memory);

/* Distorts images `first` .. of a call to `out`, one behind the other; checks nothing
 * (distort.c). */
void lenet_distort_some(const lenet_distortion *d, uint64_t first, const uint8_t *const *images,
                        int n, int32_t height, int32_t width, uint8_t *out, void *workspace);

/* Loss of one image from its outputs y, its gradient dy (may be NULL), and whether the best
 * class is another than the label (loss.c). */
double lenet_loss_of_one(const lenet_loss *loss, int is_rbf, int32_t classes, const float *y,
                         int64_t label, double *dy, int *is_error);

#endif
