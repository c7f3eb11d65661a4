/* Makes a plan: checks the layers, derives shapes and where parameters begin. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"

lenet_status lenet_make_layer(const lenet_layer *from, const net_layer *below, net_layer *layer)
{
    enum { SQUASH = 16 };  /* multiply-adds in the time of squashing a unit */
    layer->kind = lenet_kind_of(from->kind);
    if (!layer->kind) return LENET_BAD_ARGUMENT;
    layer->activation = from->activation;
    layer->trained = from->trained != 0;
    layer->in_maps = below->out_maps;
    layer->in_height = below->out_height;
    layer->in_width = below->out_width;
    layer->in_size = below->out_size;
    layer->weights = layer->biases = -1;
    lenet_status status = layer->kind->make(from, below, layer);
    if (status != LENET_OK) return status;
    if (layer->activation < 0 || layer->activation >= LENET_ACTIVATIONS) return LENET_BAD_ARGUMENT;
    layer->out_size = (ptrdiff_t)layer->out_maps * layer->out_height * layer->out_width;
    layer->work += (double)layer->in_size + SQUASH * (double)layer->out_size;
    return LENET_OK;
}

void lenet_free_layer(net_layer *layer)
{
    free(layer->owned[0]);
    free(layer->owned[1]);
    free(layer->fixed);
}

/* The last layers that the dense kernels can run, and what feeds what. */
static void join(lenet_plan *plan)
{
    plan->first_flat = plan->n_layers;
    while (plan->first_flat > 0 && plan->layers[plan->first_flat - 1].flat) plan->first_flat--;
    for (int32_t l = plan->first_flat; l < plan->n_layers; l++)
        plan->layers[l].kind = plan->layers[l].flat;
    for (int32_t l = 0; l + 1 < plan->first_flat; l++)
        plan->layers[l].feeds_above = plan->layers[l].hands_rows && plan->layers[l + 1].takes_rows;
}

static lenet_status fill(lenet_plan *plan, const lenet_layer *layers)
{
    const net_layer image = {.out_maps = plan->input.channels,
                             .out_height = plan->input.height,
                             .out_width = plan->input.width,
                             .out_size = plan_image_size(plan)};
    const net_layer *below = &image;
    double values = (double)image.out_size;
    if (!layer_fits(values)) return LENET_NO_MEMORY;
    for (int32_t i = 0; i < plan->n_layers; i++) {
        net_layer *layer = &plan->layers[i];
        const int is_last = i == plan->n_layers - 1;
        lenet_status status = lenet_make_layer(&layers[i], below, layer);
        if (status != LENET_OK) return status;
        if (is_last ? !layer->may_be_last : layer->must_be_last) return LENET_BAD_ARGUMENT;
        values += (double)layer->out_size + (double)layer->n_weights + (double)layer->n_fixed;
        if (!layer_fits(values)) return LENET_NO_MEMORY;
        if (layer->n_weights) layer->weights = plan->n_parameters;
        plan->n_parameters += layer->n_weights;
        if (layer->n_biases) layer->biases = plan->n_parameters;
        plan->n_parameters += layer->n_biases;
        plan->work += layer->work;
        below = layer;
    }
    plan->rows = plan->columns = 1;
    plan->classes = below->out_maps;
    plan->gives_penalties = below->gives_penalties;
    join(plan);
    return LENET_OK;
}

static lenet_status copy_codes(lenet_plan *plan, const float *codes)
{
    net_layer *last = &plan->layers[plan->n_layers - 1];
    if ((last->n_fixed > 0) != (codes != NULL)) return LENET_BAD_ARGUMENT;
    if (!codes) return LENET_OK;
    const size_t size = (size_t)last->n_fixed * sizeof *codes;
    last->fixed = malloc(size);
    if (!last->fixed) return LENET_NO_MEMORY;
    memcpy(last->fixed, codes, size);
    return LENET_OK;
}

static int input_is_valid(const lenet_input *input)
{
    if (input->channels < 1 || input->channels > LENET_MAX_CHANNELS || input->height < 1
        || input->height > LENET_MAX_SIDE || input->width < 1 || input->width > LENET_MAX_SIDE)
        return 0;
    for (int32_t c = 0; c < input->channels; c++)
        if (!isfinite(input->background[c]) || !isfinite(input->foreground[c])) return 0;
    return 1;
}

lenet_status lenet_plan_create(const lenet_layer *layers, int32_t n_layers, const lenet_input *input,
                               const float *codes, lenet_plan **out)
{
    *out = NULL;
    lenet_status ready = lenet_init();
    if (ready != LENET_OK) return ready;
    if (n_layers < 1 || n_layers > LENET_MAX_LAYERS || !input_is_valid(input))
        return LENET_BAD_ARGUMENT;
    lenet_plan *plan = calloc(1, sizeof *plan);
    if (!plan) return LENET_NO_MEMORY;
    plan->n_layers = n_layers;
    plan->input = *input;
    lenet_status status = fill(plan, layers);
    if (status == LENET_OK) status = copy_codes(plan, codes);
    if (status != LENET_OK) {
        lenet_plan_free(plan);
        return status;
    }
    lenet_lay_out(plan);
    *out = plan;
    return LENET_OK;
}

void lenet_plan_free(lenet_plan *plan)
{
    if (!plan) return;
    for (int32_t i = 0; i < plan->n_layers; i++) lenet_free_layer(&plan->layers[i]);
    free(plan);
}

int64_t lenet_plan_parameters(const lenet_plan *plan) { return plan->n_parameters; }

int64_t lenet_plan_margin(const lenet_plan *plan)
{
    const ptrdiff_t line = 64 / sizeof(float);
    ptrdiff_t begin = 0, most = 0;
    for (int32_t i = plan->first_flat; i < plan->n_layers; i++) {
        const net_layer *layer = &plan->layers[i];
        if (layer->weights < 0 || layer->n_weights <= most) continue;
        begin = layer->weights;
        most = layer->n_weights;
    }
    return (line - begin % line) % line;
}

int32_t lenet_plan_classes(const lenet_plan *plan) { return plan->classes; }

void lenet_plan_shape(const lenet_plan *plan, int32_t layer, int32_t shape[3])
{
    shape[0] = plan->layers[layer].out_maps;
    shape[1] = plan->layers[layer].out_height;
    shape[2] = plan->layers[layer].out_width;
}
