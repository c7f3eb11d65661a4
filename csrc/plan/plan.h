/* What a plan holds: a network's layers, and where things lie in memory while it runs. Made by plan.c
 * and layout.c; run/ reads it. */
#ifndef LENET_PLAN_H
#define LENET_PLAN_H

#include "layers/layer.h"

/* Sizes are counted in ptrdiff_t. In WebAssembly, whose have 32 bits, what could overflow is refused
 * (layer_fits), and `make test-wasm` tests that; no other 32-bit system is tested. */
#ifndef __wasm__
_Static_assert(sizeof(ptrdiff_t) >= 8, "lenet_c is for 64-bit systems, and WebAssembly");
#endif

enum {
    INFERENCE_BLOCK = 32,  /* images; with 64 one thread was 0.7% faster, but alone with a batch of 64 */
    TRAINING_BLOCK = 32    /* every layer's maps are kept for backward */
};

/* Where the images or the outputs of a layer lie in a thread's memory. */
typedef struct plan_buffer {
    ptrdiff_t lanes, stride;  /* of groups of lanes; how far to the next group, 0: all in one place */
    ptrdiff_t one, n_one;     /* of an image that runs by itself, and how many floats that are */
    lenet_map_layout layout;
} plan_buffer;

/* Where things lie in a thread's memory, in floats (layout.c). */
typedef struct lenet_layout {
    int lanes, block;
    int has_one;                               /* 0: an image cannot run by itself */
    plan_buffer buffer[LENET_MAX_LAYERS + 1];  /* the images, and the outputs of each layer */
    layer_manner manner[LENET_MAX_LAYERS];
    /* where a layer's arranged weights lie in the memory that all threads share */
    ptrdiff_t arranged[LENET_MAX_LAYERS], n_arranged;
    /* and those for one image in a model's */
    ptrdiff_t arranged_alone[LENET_MAX_LAYERS], n_arranged_alone;
    /* Training only: gradients of the spatial layers' parameters, each [lane], a layer's weights, then
     * its biases. */
    ptrdiff_t lane_sums, n_lane_sums, sums[LENET_MAX_LAYERS];
    ptrdiff_t scratch;                         /* of the kernels */
    ptrdiff_t distorted;                       /* uint8 images of a group */
    ptrdiff_t distorting;                      /* workspace */
    /* A wide plan's: the flat layers' inputs at some positions, [position][feature][lane]; and for
     * training the deltas of the maps that they are cut from, and arranged weights. */
    ptrdiff_t windows, map_deltas, arranging;
    ptrdiff_t evidence;                        /* of one picture, [position][class]; and their deltas */
    ptrdiff_t total;
} lenet_layout;

struct lenet_plan {
    int32_t n_layers;
    /* Layers from here on have one value a map and all-to-all weights: they run through the
     * dense kernels, several groups of lanes at once. Those before run group by group. */
    int32_t first_flat;
    lenet_input input;
    int32_t classes;
    int32_t gives_penalties;         /* otherwise logits */
    double work;                     /* of all layers */
    ptrdiff_t n_parameters;
    net_layer layers[LENET_MAX_LAYERS];
    /* In a plan for wider or higher pictures the flat layers stand at so many positions; in others
     * at one. */
    int32_t rows, columns;
    lenet_layout layout[2];          /* inference, training */
};

enum {
    SWEEP_POSITIONS = 128,  /* that run through the flat layers at once */
    SWEEP_CHUNK = 8         /* the same in training, where each is a group of lanes */
};

/* Fills plan->layout (layout.c). */
void lenet_lay_out(lenet_plan *plan);

/* The same for wide plans, of which only the layout of inference or that of training is needed. */
void lenet_lay_out_wide(lenet_plan *plan, int training);

/* Fills a plan for pictures in which the flat layers stand at rows x columns positions; it shares what
 * `plan` holds, and is not freed. LENET_BAD_ARGUMENT for a network with padding (wide.c). */
lenet_status lenet_widen(const lenet_plan *plan, int32_t rows, int32_t columns, int training,
                         lenet_plan *wide);

/* How far apart, in the picture, two neighbouring positions are. */
int32_t lenet_stride(const lenet_plan *plan);

/* Makes a layer, all 0 before, whose inputs are the outputs of `below`; lenet_free_layer releases what
 * it holds, on failure too. */
lenet_status lenet_make_layer(const lenet_layer *from, const net_layer *below, net_layer *layer);
void lenet_free_layer(net_layer *layer);

/* Values of an image. */
static inline ptrdiff_t plan_image_size(const lenet_plan *plan)
{
    return (ptrdiff_t)plan->input.channels * plan->input.height * plan->input.width;
}

/* Floats of a buffer to whole cache lines, and one more that keeps it from the next. */
static inline ptrdiff_t plan_padded(ptrdiff_t floats) { return (floats + 15) / 16 * 16 + 16; }

#endif
