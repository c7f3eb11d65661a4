/* What a layer is, and what a kind of layer must do: one table, indexed by kind.
 *
 * plan/ makes layers and run/ runs them through that table, and neither asks of which kind a layer is.
 * A kind's file sees one layer, never the network, and calls the kernels.
 *
 * A new kind is a name in lenet.h's enum, a line of LAYER_KINDS at the same place, and a file that ends
 * with LAYER_KIND. */
#ifndef LENET_LAYER_H
#define LENET_LAYER_H

#include "kernels/kernels.h"
#include "sys/watch.h"

typedef struct layer_kind layer_kind;

/* A layer of a network. The plan sets its input and activation before the kind's `make` sets the rest,
 * and where its parameters begin after. */
typedef struct net_layer {
    const layer_kind *kind;          /* whose functions run it */
    int32_t activation, trained;
    int32_t padding;                 /* zeros on each side of the input; `conv` has the padded sizes */
    int32_t in_maps, in_height, in_width;
    int32_t out_maps, out_height, out_width;
    ptrdiff_t in_size, out_size;     /* features of one image */
    ptrdiff_t weights, biases;       /* where they begin in the parameters; -1: none */
    ptrdiff_t n_weights, n_biases;
    ptrdiff_t n_fixed;               /* weights that are no parameters: codes that are not trained */
    float *fixed;                    /* those, or NULL */
    double work;                     /* for one image, about in multiply-adds */
    lenet_conv_shape conv;
    void *owned[2];                  /* memory that is freed with the layer */
    const layer_kind *flat;  /* kind that runs it through the dense kernels, behind all maps, or NULL */
    int gives_units;         /* no maps: a layer that reads maps cannot follow */
    int gives_penalties;     /* the smallest wins; otherwise logits */
    int may_be_last, must_be_last;
    int stride;              /* how far apart, in its input, two neighbours of its output begin */
    int hands_rows;          /* can give rows to the layer above as they are made, */
    int takes_rows;          /* and can take them */
    const int32_t *source;   /* of a 2x2 layer with a table: [out_maps], the map that each reads */
    int feeds_above;         /* so it is done, says the plan */
} net_layer;

/* How a layer runs on lanes. */
typedef struct layer_manner {
    int rows;              /* so many at once, if it feeds the layer above */
    ptrdiff_t n_arranged;  /* floats of weights that are arranged for the kernels once a call; 0: none */
    ptrdiff_t n_arranged_alone;  /* the same for one image: each call of the kernel arranges them unless
                                  * it is given them arranged, as a model has them */
    ptrdiff_t n_sums;      /* vectors in which a gradient of the weights is added up, by lane */
} layer_manner;

/* One layer at work. In a group of lanes the features of an image lie one vector apart. */
typedef struct layer_call {
    const net_layer *layer;
    const lenet_kernels *k;
    const float *weights, *biases;     /* NULL: it has none */
    const float *arranged, *arranged_alone;  /* the weights as layer_manner says, or NULL */
    float *scratch;
    int groups;                        /* of lanes; more than one for the dense kernels alone */
    ptrdiff_t in_stride, out_stride;   /* how far groups of lanes lie apart; */
    lenet_map_layout in_layout, out_layout;  /* how the maps of one image lie */
    const struct layer_call *above;    /* the layer that takes rows, or NULL; */
    float *above_out;                  /* its outputs; */
    int rows, keep;                    /* so many at once; whether one's own outputs are kept */
    int in_activation;                 /* backward: the squashing function of the input, */
    int to_input;                      /* whether its gradient is wanted, */
    int add;                           /* whether those of parameters are added or set: on maps in */
    float *dweights, *dbiases;         /* lanes they are always added, [weight][lane]; NULL: none */
    const float *x, *codes;            /* curvature: input and weights as they are, not their squares; */
    const double *image_weights;       /* what each image counts, -1 for lanes without one, */
    const double *targets;             /* [image][class] what the loss asks for, */
    const double *probabilities;       /* [image][class] of the layer that gives penalties, and by what */
    double scale;                      /* the loss multiplies those */
    lenet_watch *watch;
    int is_caller;
    lenet_profile *profile;
    int index;                         /* which layer of the network it is */
} layer_call;

struct layer_kind {
    /* Checks what is asked for; sets shape, parameters, work (of its sums) and properties. */
    lenet_status (*make)(const lenet_layer *from, const net_layer *below, net_layer *layer);
    /* For a wide plan: sets the sizes that follow from those of its input, which may differ from what it
     * was made for. LENET_BAD_ARGUMENT if it has one size alone. */
    lenet_status (*resize)(net_layer *layer);
    layer_manner (*manner)(const net_layer *layer, int training);
    /* Floats of scratch; alone: also for one image. */
    size_t (*scratch)(const net_layer *layer, const layer_manner *manner, int training, int groups,
                      int alone);
    /* How its maps lie, of an image that runs by itself, under a layer of maps. */
    lenet_map_layout (*layout_of_one)(const net_layer *layer, int training, int lanes);
    /* Whether one image can learn by itself; under_flat: the dense kernels read its outputs. */
    int (*learns_alone)(const net_layer *layer, int under_flat);

    /* Arranges weights as layer_manner says; alone: for one image. */
    void (*arrange)(const layer_call *c, int alone, float *arranged);
    void (*forward)(const layer_call *c, const float *in, float *out);
    /* What the layer below needs to give it rows from output row `row` on. */
    lenet_pool (*take_rows)(const layer_call *c, int keep, int row, float *out);
    /* From deltas; `in` is the layer below's outputs and becomes its deltas, if to_input. */
    void (*backward)(const layer_call *c, float *in, const float *delta);
    /* Sets dweights and dbiases, or adds to them, from what backward has left in the lanes. */
    void (*sum_lanes)(const layer_call *c, const float *sums);

    void (*forward_of_one)(const layer_call *c, const float *in, float *out);
    void (*backward_of_one)(const layer_call *c, float *in, const float *delta);
    /* The same, then a step of SGD without momentum: of the layer's weights and, right behind them, its
     * biases. Returns 0 if a new one is not finite. */
    int (*step_of_one)(const layer_call *c, const lenet_optimizer *o, float *in, const float *delta,
                       float *parameters);

    /* As backward, with second derivatives: `in` holds squares of inputs, and c squares of weights; the
     * squashing function is the identity. Of a layer of penalties it is that of loss and layer together,
     * and `delta` means nothing. */
    void (*curvature)(const layer_call *c, float *in, const float *delta);
};

/* Every kind in lenet.h's order: its number there, and the name of its file's LAYER_KIND. */
#define LAYER_KINDS(KIND)                        \
    KIND(LENET_CONV, conv)                       \
    KIND(LENET_SUBSAMPLE, subsample)             \
    KIND(LENET_AVERAGE_POOL, average_pool)       \
    KIND(LENET_DENSE, dense)                     \
    KIND(LENET_RBF, rbf)                         \
    KIND(LENET_MAX_POOL, max_pool)

#define LAYER_DECLARE(number, name) extern const layer_kind lenet_kind_##name;
LAYER_KINDS(LAYER_DECLARE)

/* The end of a kind's file: a function for each member of layer_kind. One that is left out is an
 * argument that the macro lacks, and one that stands twice an error too. */
enum { LAYER_MEMBERS = 15 };
_Static_assert(sizeof(layer_kind) == LAYER_MEMBERS * sizeof(void (*)(void)),
               "LAYER_KIND takes as many functions as there are members");
#define LAYER_KIND(name, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15) \
    const layer_kind lenet_kind_##name = {m1, m2,  m3,  m4,  m5,  m6,  m7,  m8,               \
                                          m9, m10, m11, m12, m13, m14, m15, /* so none is empty */}
#if defined(__clang__)
#pragma clang diagnostic error "-Winitializer-overrides"
#elif defined(__GNUC__)
#pragma GCC diagnostic error "-Woverride-init"
#endif

/* The functions of a kind's number, or NULL if there is no such kind (kinds.c). */
const layer_kind *lenet_kind_of(int32_t kind);

/* Whether sizes can be counted: where they have 32 bits, a network's maps and weights may have 2^21 values
 * in all, so that no sum of what a thread needs for them overflows. */
static inline int layer_fits(double values)
{
    return sizeof(ptrdiff_t) > 4 || values <= 2097152.0;
}

static inline void layer_lap(const layer_call *c, lenet_part part)
{
    lenet_lap(c->profile, part, c->index);
}

/* Whether the call is to end, before so much work. */
static inline int layer_stopped(const layer_call *c, double work)
{
    return lenet_stopped(c->watch, c->is_caller, work);
}

/* ---- what several kinds do alike (kinds.c) ---- */

lenet_status lenet_has_one_size(net_layer *layer);
layer_manner lenet_plain_manner(const net_layer *layer, int training);
lenet_map_layout lenet_in_whole_vectors(const net_layer *layer, int training, int lanes);
int lenet_always_learns_alone(const net_layer *layer, int under_flat);
void lenet_arranges_nothing(const layer_call *c, int alone, float *arranged);
lenet_pool lenet_takes_no_rows(const layer_call *c, int keep, int row, float *out);
void lenet_sum_all_lanes(const layer_call *c, const float *sums);
void lenet_has_no_sums(const layer_call *c, const float *sums);
int lenet_step_by_gradient(const layer_call *c, const lenet_optimizer *o, float *in,
                           const float *delta, float *parameters);

/* Rows that hold the width. */
static inline lenet_map_layout layer_whole_vectors(ptrdiff_t width, int lanes)
{
    return lenet_rows((width + lanes - 1) / lanes * lanes);
}

/* Sizes of a layer that runs through the dense kernels. */
static inline lenet_dense_shape layer_dense(const layer_call *c)
{
    return (lenet_dense_shape){.inputs = (int32_t)c->layer->in_size,
                               .outputs = (int32_t)c->layer->out_size,
                               .groups = c->groups,
                               .in_stride = c->in_stride,
                               .out_stride = c->out_stride};
}

#endif
