/* Dense layers, every input to every unit; and convolutions over all of their input, which are the
 * same. */
#include "layers/layer.h"

static lenet_status make(const lenet_layer *from, const net_layer *below, net_layer *layer)
{
    (void)below;
    if (layer->in_size > LENET_MAX_INPUTS || from->maps < 1 || from->maps > LENET_MAX_MAPS)
        return LENET_BAD_ARGUMENT;
    if (!layer_fits((double)layer->in_size * from->maps)) return LENET_NO_MEMORY;
    layer->out_maps = from->maps;
    layer->out_height = layer->out_width = 1;
    layer->n_weights = layer->in_size * layer->out_maps;
    layer->n_biases = layer->out_maps;
    layer->work = (double)layer->n_weights;
    layer->stride = 1;
    layer->flat = layer->kind;
    layer->gives_units = 1;
    layer->may_be_last = from->activation == LENET_IDENTITY;
    return LENET_OK;
}

/* Of one image backward takes as many floats as inputs, which is less. */
static size_t scratch(const net_layer *layer, const layer_manner *manner, int training, int groups,
                      int alone)
{
    (void)manner;
    (void)alone;
    const lenet_dense_shape s = {.inputs = (int32_t)layer->in_size,
                                 .outputs = (int32_t)layer->out_size,
                                 .groups = groups};
    return training ? lenet_dense_scratch(&s) : 0;
}

static void forward(const layer_call *c, const float *in, float *out)
{
    const lenet_dense_shape s = layer_dense(c);
    c->k->dense(&s, c->weights, c->biases, c->layer->activation, in, out);
}

static void backward(const layer_call *c, float *in, const float *delta)
{
    const lenet_dense_shape s = layer_dense(c);
    c->k->dense_backward_weights(&s, in, delta, c->scratch, c->add, c->dweights, c->dbiases);
    layer_lap(c, LENET_BACKWARD_WEIGHTS);
    if (c->to_input) c->k->dense_backward_input(&s, c->weights, delta, c->in_activation, in);
}

static void forward_of_one(const layer_call *c, const float *in, float *out)
{
    const lenet_dense_shape s = layer_dense(c);
    c->k->dense_of_one(&s, c->weights, c->biases, c->layer->activation, in, out);
}

static void backward_of_one(const layer_call *c, float *in, const float *delta)
{
    const lenet_dense_shape s = layer_dense(c);
    c->k->dense_backward_of_one(&s, c->weights, delta, c->in_activation, c->add, c->scratch, in,
                                c->dweights, c->dbiases);
    layer_lap(c, LENET_BACKWARD_WEIGHTS);
}

static int step_of_one(const layer_call *c, const lenet_optimizer *o, float *in, const float *delta,
                       float *parameters)
{
    const lenet_dense_shape s = layer_dense(c);
    const int finite = c->k->dense_step_of_one(&s, o, delta, c->in_activation, c->scratch, in,
                                               parameters, parameters + c->layer->n_weights);
    layer_lap(c, LENET_BACKWARD_WEIGHTS);
    return finite;
}

LAYER_KIND(dense,
           .make = make,
           .resize = lenet_has_one_size,
           .manner = lenet_plain_manner,
           .scratch = scratch,
           .layout_of_one = lenet_in_whole_vectors,
           .learns_alone = lenet_always_learns_alone,
           .arrange = lenet_arranges_nothing,
           .forward = forward,
           .take_rows = lenet_takes_no_rows,
           .backward = backward,
           .sum_lanes = lenet_has_no_sums,
           .forward_of_one = forward_of_one,
           .backward_of_one = backward_of_one,
           .step_of_one = step_of_one,
           .curvature = backward);
