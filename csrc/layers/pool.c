/* The kinds of 2x2 layers: sums times a trainable coefficient plus a bias, plain means, and maxima. */
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

static lenet_status make_subsample(const lenet_layer *from, const net_layer *below, net_layer *layer)
{
    layer->n_weights = layer->n_biases = layer->in_maps;
    return make(from, below, layer);
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
           .scratch = scratch,
           .layout_of_one = lenet_in_whole_vectors,
           .learns_alone = lenet_always_learns_alone,
           .arrange = lenet_arranges_nothing,
           .forward = forward,
           .take_rows = take_rows,
           .backward = backward,
           .sum_lanes = lenet_sum_all_lanes,
           .forward_of_one = forward_of_one,
           .backward_of_one = backward_of_one,
           .step_of_one = lenet_step_by_gradient,
           .curvature = backward);

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
