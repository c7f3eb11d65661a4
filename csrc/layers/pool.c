/* The kinds of 2x2 layers: sums times a trainable coefficient plus a bias, plain means, and maxima.
 *
 * Sums may have a table: then each map reads one of the input's, and several may read the same. Kernels
 * know no table; they run map by map. */
#include <stdlib.h>
#include <string.h>

#include "layers/layer.h"

static lenet_status resize(net_layer *layer)
{
    if (layer->in_height < 2 || layer->in_width < 2) return LENET_BAD_ARGUMENT;
    layer->out_height = layer->in_height / 2;
    layer->out_width = layer->in_width / 2;
    return LENET_OK;
}

static lenet_status make(const lenet_layer *from, const net_layer *below, net_layer *layer)
{
    (void)from;
    if (below->gives_units) return LENET_BAD_ARGUMENT;
    layer->out_maps = layer->in_maps;
    layer->stride = 2;
    layer->takes_rows = 1;
    return resize(layer);
}

/* Lists of each map the one that it reads, in memory of the layer's. */
static lenet_status connect(const lenet_layer *from, net_layer *layer)
{
    const int32_t maps = from->maps, in_maps = layer->in_maps;
    if (maps < 1 || maps > LENET_MAX_MAPS) return LENET_BAD_ARGUMENT;
    if (!layer_fits((double)maps * layer->in_height * layer->in_width)) return LENET_NO_MEMORY;
    int32_t *source = malloc((size_t)maps * sizeof *source);
    layer->owned[0] = source;
    if (!source) return LENET_NO_MEMORY;
    for (int32_t m = 0; m < maps; m++) {
        int32_t n = 0;
        for (int32_t i = 0; i < in_maps; i++) {
            if (!from->table[(ptrdiff_t)m * in_maps + i]) continue;
            source[m] = i;
            n++;
        }
        if (n != 1) return LENET_BAD_ARGUMENT;
    }
    layer->source = source;
    layer->out_maps = maps;
    layer->takes_rows = 0;
    return LENET_OK;
}

static lenet_status make_subsample(const lenet_layer *from, const net_layer *below, net_layer *layer)
{
    lenet_status status = make(from, below, layer);
    if (status == LENET_OK && from->table) status = connect(from, layer);
    layer->n_weights = layer->n_biases = layer->out_maps;
    return status;
}

static lenet_status make_plain(const lenet_layer *from, const net_layer *below, net_layer *layer)
{
    layer->activation = LENET_IDENTITY;
    return make(from, below, layer);
}

static size_t scratch(const net_layer *layer, const layer_manner *manner, int training, int groups,
                      int alone)
{
    (void)manner;
    (void)training;
    (void)groups;
    return alone ? lenet_pool_scratch_of_one(layer->in_maps, layer->in_height, layer->in_width,
                                             lenet_kernels_active()->lanes)
                 : 0;
}

static lenet_pool take_rows(const layer_call *c, int keep, int row, float *out)
{
    const net_layer *layer = c->layer;
    const ptrdiff_t out_row = (ptrdiff_t)layer->out_width * c->k->lanes;
    return (lenet_pool){.rows = c->k->subsample,
                        .coefficient = c->weights,
                        .bias = c->biases,
                        .activation = layer->activation,
                        .keep = keep,
                        .out = out + row * out_row,
                        .out_stride = layer->out_height * out_row};
}

static void forward(const layer_call *c, const float *in, float *out)
{
    const net_layer *layer = c->layer;
    const lenet_pool pool = layer->kind->take_rows(c, 0, 0, out);
    pool.rows(layer->out_maps, layer->in_width, &pool, in,
              (ptrdiff_t)layer->in_height * layer->in_width * c->k->lanes, layer->out_height);
}

static void backward(const layer_call *c, float *in, const float *delta)
{
    const net_layer *layer = c->layer;
    if (!c->to_input && !c->dweights) return;
    c->k->subsample_backward(layer->out_maps, layer->in_height, layer->in_width, c->weights, delta,
                             c->in_activation, in, c->dweights, c->dbiases);
}

static void forward_of_one(const layer_call *c, const float *in, float *out)
{
    const net_layer *layer = c->layer;
    c->k->subsample_of_one(layer->out_maps, layer->in_height, layer->in_width, c->weights, c->biases,
                           layer->activation, in, c->in_layout, c->out_layout.stride, c->scratch, out);
}

static void backward_of_one(const layer_call *c, float *in, const float *delta)
{
    const net_layer *layer = c->layer;
    if (!c->to_input && !c->dweights) return;
    c->k->subsample_backward_of_one(layer->out_maps, layer->in_height, layer->in_width, c->weights,
                                    delta, c->out_layout.stride, c->in_activation, in, c->in_layout,
                                    c->add, c->scratch, c->dweights, c->dbiases);
}

/* The kernel's weight is 1/4: once more for the square. */
static void curvature_of_mean(const layer_call *c, float *in, const float *delta)
{
    const ptrdiff_t n = c->layer->in_size * c->k->lanes;
    backward(c, in, delta);
    for (ptrdiff_t i = 0; i < n; i++) in[i] *= 0.25f;
}

/* ---- sums with a table ---- */

/* Floats of a map of the input: in lanes, and of one image in rows. */
static ptrdiff_t map_in_lanes(const net_layer *layer, int lanes)
{
    return (ptrdiff_t)layer->in_height * layer->in_width * lanes;
}

static ptrdiff_t map_in_rows(const net_layer *layer, ptrdiff_t stride)
{
    return layer->in_height * stride;
}

/* Backward: the inputs and a map of theirs; for one image behind what the kernel takes for a map. */
static size_t scratch_with_table(const net_layer *layer, const layer_manner *manner, int training,
                                 int groups, int alone)
{
    if (!layer->source) return scratch(layer, manner, training, groups, alone);
    const int lanes = lenet_kernels_active()->lanes;
    const ptrdiff_t widest = layer_whole_vectors(layer->in_width + LENET_ROW_SLACK, lanes).stride;
    const size_t maps = (size_t)layer->in_maps + 1;
    const size_t kernels
        = lenet_pool_scratch_of_one(1, layer->in_height, layer->in_width, lanes);
    if (!training) return alone ? kernels : 0;
    return lenet_most(maps * (size_t)map_in_lanes(layer, lanes),
                      alone ? kernels + maps * (size_t)map_in_rows(layer, widest) : 0);
}

static void forward_sums(const layer_call *c, const float *in, float *out)
{
    const net_layer *layer = c->layer;
    const ptrdiff_t map = map_in_lanes(layer, c->k->lanes);
    if (!layer->source) {
        forward(c, in, out);
        return;
    }
    lenet_pool pool = take_rows(c, 0, 0, out);
    for (int m = 0; m < layer->out_maps; m++) {
        pool.rows(1, layer->in_width, &pool, in + layer->source[m] * map, map, layer->out_height);
        pool.coefficient++;
        pool.bias++;
        pool.out += pool.out_stride;
    }
}

/* Moves the inputs to `x` and makes them the sum of the maps' deltas, of which there are none yet. */
static void set_aside(float *in, ptrdiff_t n, float *x)
{
    memcpy(x, in, (size_t)n * sizeof *in);
    memset(in, 0, (size_t)n * sizeof *in);
}

static void add_to(float *sum, const float *x, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++) sum[i] += x[i];
}

static void backward_sums(const layer_call *c, float *in, const float *delta)
{
    const net_layer *layer = c->layer;
    const ptrdiff_t map = map_in_lanes(layer, c->k->lanes);
    const ptrdiff_t out_map = (ptrdiff_t)layer->out_height * layer->out_width * c->k->lanes;
    float *x = c->scratch, *here = x + layer->in_maps * map;
    if (!layer->source) {
        backward(c, in, delta);
        return;
    }
    set_aside(in, layer->in_maps * map, x);
    for (int m = 0; m < layer->out_maps; m++) {
        const ptrdiff_t from = layer->source[m] * map, sums = (ptrdiff_t)m * c->k->lanes;
        memcpy(here, x + from, (size_t)map * sizeof *x);
        c->k->subsample_backward(1, layer->in_height, layer->in_width, c->weights + m,
                                 delta + m * out_map, c->in_activation, here, c->dweights + sums,
                                 c->dbiases + sums);
        add_to(in + from, here, map);
    }
}

/* Under a layer that takes no rows the maps are in rows. */
static void forward_sums_of_one(const layer_call *c, const float *in, float *out)
{
    const net_layer *layer = c->layer;
    const ptrdiff_t map = map_in_rows(layer, c->in_layout.stride);
    const ptrdiff_t out_map = layer->out_height * c->out_layout.stride;
    if (!layer->source) {
        forward_of_one(c, in, out);
        return;
    }
    for (int m = 0; m < layer->out_maps; m++)
        c->k->subsample_of_one(1, layer->in_height, layer->in_width, c->weights + m, c->biases + m,
                               layer->activation, in + layer->source[m] * map, c->in_layout,
                               c->out_layout.stride, c->scratch, out + m * out_map);
}

static void backward_sums_of_one(const layer_call *c, float *in, const float *delta)
{
    const net_layer *layer = c->layer;
    const ptrdiff_t map = map_in_rows(layer, c->in_layout.stride);
    const ptrdiff_t out_map = layer->out_height * c->out_layout.stride;
    float *x = c->scratch
               + lenet_pool_scratch_of_one(1, layer->in_height, layer->in_width, c->k->lanes);
    float *here = x + layer->in_maps * map;
    if (!layer->source) {
        backward_of_one(c, in, delta);
        return;
    }
    set_aside(in, layer->in_maps * map, x);
    for (int m = 0; m < layer->out_maps; m++) {
        const ptrdiff_t from = layer->source[m] * map;
        memcpy(here, x + from, (size_t)map * sizeof *x);
        c->k->subsample_backward_of_one(1, layer->in_height, layer->in_width, c->weights + m,
                                        delta + m * out_map, c->out_layout.stride, c->in_activation,
                                        here, c->in_layout, c->add, c->scratch, c->dweights + m,
                                        c->dbiases + m);
        add_to(in + from, here, map);
    }
}

/* ---- maxima ---- */

static lenet_pool take_rows_for_max(const layer_call *c, int keep, int row, float *out)
{
    lenet_pool pool = take_rows(c, keep, row, out);
    pool.rows = c->k->max_pool;
    return pool;
}

static void backward_max(const layer_call *c, float *in, const float *delta)
{
    const net_layer *layer = c->layer;
    if (c->to_input)
        c->k->max_pool_backward(layer->out_maps, layer->in_height, layer->in_width, delta,
                                c->in_activation, in);
}

static void forward_max_of_one(const layer_call *c, const float *in, float *out)
{
    const net_layer *layer = c->layer;
    c->k->max_pool_of_one(layer->out_maps, layer->in_height, layer->in_width, in, c->in_layout,
                          c->out_layout.stride, c->scratch, out);
}

static void backward_max_of_one(const layer_call *c, float *in, const float *delta)
{
    const net_layer *layer = c->layer;
    if (c->to_input)
        c->k->max_pool_backward_of_one(layer->out_maps, layer->in_height, layer->in_width, delta,
                                       c->out_layout.stride, c->in_activation, in, c->in_layout,
                                       c->scratch);
}

/* Squares do not tell which input was the largest. */
static void curvature_of_max(const layer_call *c, float *in, const float *delta)
{
    memcpy(in, c->x, (size_t)(c->layer->in_size * c->k->lanes) * sizeof *in);
    backward_max(c, in, delta);
}

LAYER_KIND(subsample,
           .make = make_subsample,
           .resize = resize,
           .manner = lenet_plain_manner,
           .scratch = scratch_with_table,
           .layout_of_one = lenet_in_whole_vectors,
           .learns_alone = lenet_always_learns_alone,
           .arrange = lenet_arranges_nothing,
           .forward = forward_sums,
           .take_rows = take_rows,
           .backward = backward_sums,
           .sum_lanes = lenet_sum_all_lanes,
           .forward_of_one = forward_sums_of_one,
           .backward_of_one = backward_sums_of_one,
           .step_of_one = lenet_step_by_gradient,
           .curvature = backward_sums);

LAYER_KIND(average_pool,
           .make = make_plain,
           .resize = resize,
           .manner = lenet_plain_manner,
           .scratch = scratch,
           .layout_of_one = lenet_in_whole_vectors,
           .learns_alone = lenet_always_learns_alone,
           .arrange = lenet_arranges_nothing,
           .forward = forward,
           .take_rows = take_rows,
           .backward = backward,
           .sum_lanes = lenet_has_no_sums,
           .forward_of_one = forward_of_one,
           .backward_of_one = backward_of_one,
           .step_of_one = lenet_step_by_gradient,
           .curvature = curvature_of_mean);

LAYER_KIND(max_pool,
           .make = make_plain,
           .resize = resize,
           .manner = lenet_plain_manner,
           .scratch = scratch,
           .layout_of_one = lenet_in_whole_vectors,
           .learns_alone = lenet_always_learns_alone,
           .arrange = lenet_arranges_nothing,
           .forward = forward,
           .take_rows = take_rows_for_max,
           .backward = backward_max,
           .sum_lanes = lenet_has_no_sums,
           .forward_of_one = forward_max_of_one,
           .backward_of_one = backward_max_of_one,
           .step_of_one = lenet_step_by_gradient,
           .curvature = curvature_of_max);
