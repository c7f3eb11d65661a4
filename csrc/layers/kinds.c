/* The table of kinds, and what several of them do alike. */
#include "layers/layer.h"

#define AT(number, name) AT_##name,
enum { LAYER_KINDS(AT) LISTED };
#define IN_ORDER(number, name) \
    _Static_assert((int)AT_##name == (int)number, "LAYER_KINDS has lenet.h's order: " #name);
LAYER_KINDS(IN_ORDER)
_Static_assert((int)LISTED == (int)LENET_LAYER_KINDS, "LAYER_KINDS lacks a kind of lenet.h");

#define ENTRY(number, name) &lenet_kind_##name,
static const layer_kind *const kinds[LENET_LAYER_KINDS] = {LAYER_KINDS(ENTRY)};

const layer_kind *lenet_kind_of(int32_t kind)
{
    return kind >= 0 && kind < LENET_LAYER_KINDS ? kinds[kind] : NULL;
}

lenet_status lenet_has_one_size(net_layer *layer)
{
    (void)layer;
    return LENET_BAD_ARGUMENT;
}

layer_manner lenet_plain_manner(const net_layer *layer, int training)
{
    (void)training;
    return (layer_manner){.rows = 2, .n_sums = layer->n_weights};
}

lenet_map_layout lenet_in_whole_vectors(const net_layer *layer, int training, int lanes)
{
    (void)training;
    return layer_whole_vectors(layer->out_width, lanes);
}

int lenet_always_learns_alone(const net_layer *layer, int under_flat)
{
    (void)layer;
    (void)under_flat;
    return 1;
}

void lenet_arranges_nothing(const layer_call *c, int alone, float *arranged)
{
    (void)c;
    (void)alone;
    (void)arranged;
}

lenet_pool lenet_takes_no_rows(const layer_call *c, int keep, int row, float *out)
{
    (void)c;
    (void)keep;
    (void)row;
    (void)out;
    return (lenet_pool){0};
}

void lenet_sum_all_lanes(const layer_call *c, const float *sums)
{
    const net_layer *layer = c->layer;
    if (!c->dweights) return;
    c->k->sum_lanes(sums, layer->n_weights, c->add, c->dweights);
    c->k->sum_lanes(sums + layer->n_weights * c->k->lanes, layer->n_biases, c->add, c->dbiases);
}

void lenet_has_no_sums(const layer_call *c, const float *sums)
{
    (void)c;
    (void)sums;
}

int lenet_step_by_gradient(const layer_call *c, const lenet_optimizer *o, float *in,
                           const float *delta, float *parameters)
{
    const net_layer *layer = c->layer;
    layer->kind->backward_of_one(c, in, delta);
    layer_lap(c, LENET_BACKWARD_INPUT);
    if (!c->dweights) return 1;
    const int finite = c->k->update_sgd(o, c->dweights, 0, layer->n_weights + layer->n_biases,
                                        parameters);
    layer_lap(c, LENET_UPDATE);
    return finite;
}
