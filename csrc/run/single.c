/* Runs and trains on one image by itself: the columns of a map in the lanes, or the maps, or the
 * inputs of a dense layer (kernels/rows.h, kernels/maps.h). */
#include <math.h>
#include <string.h>

#include "run/batch.h"

static void load_one(const batch *b, float *memory, int64_t image)
{
    const lenet_images *images = b->images;
    const lenet_plan *plan = b->plan;
    const ptrdiff_t size = (ptrdiff_t)images->height * images->width, row = b->at->one_layout[0].stride;
    float *input = memory + b->at->one_input;
    if (images->is_float) {
        const float *from = (const float *)images->pixels + index_of(b, image) * size;
        const size_t width = (size_t)plan->width;
        for (int y = 0; y < plan->height; y++, input += row, from += width) {
            memcpy(input, from, width * sizeof *from);
            memset(input + width, 0, ((size_t)row - width) * sizeof *from);
        }
        return;
    }
    const uint8_t *from = (const uint8_t *)images->pixels + index_of(b, image) * size;
    if (images->distortion) {
        uint8_t *to = (uint8_t *)(memory + b->at->distorted);
        lenet_distort_some(images->distortion, (uint64_t)image, &from, 1, images->height,
                           images->width, to, memory + b->at->distorting, b->watch,
                           is_caller(b, memory));
        from = to;
    }
    b->k->load_grey_rows(from, images->height, images->width, plan->background, plan->foreground,
                         plan->height, plan->width, row, input);
}

/* What lies between an image's maps, one behind the other (layout.c): the kernels read past a row's
 * end, and on the way back 0 before a map's first row. */
static void clear_slack(const batch *b, float *memory)
{
    const lenet_plan *plan = b->plan;
    float *end = memory + b->at->one_input + plan->height * b->at->one_layout[0].stride;
    for (int l = 0; l < plan->n_layers; l++) {
        float *out = memory + b->at->one[l];
        memset(end, 0, (size_t)(out - end) * sizeof *end);
        end = out + plan_one_size(plan, b->at, l);
    }
    memset(end, 0, LENET_ROW_SLACK * sizeof *end);
}

float *lenet_forward_of_one(const batch *b, float *memory, int64_t image)
{
    const lenet_plan *plan = b->plan;
    const lenet_layout *at = b->at;
    float *in = memory + at->one_input;
    clear_slack(b, memory);
    load_one(b, memory, image);
    lap(b, LENET_LOAD, 0);
    for (int l = 0; l < plan->n_layers; l++) {
        const plan_layer *layer = &plan->layers[l];
        const float *w = weights_of(b, layer), *bias = biases_of(b, layer);
        const lenet_map_layout in_layout = at->one_layout[l], out_layout = at->one_layout[l + 1];
        const lenet_dense_shape s = plan_dense(plan, at, l, 1);
        float *out = memory + at->one[l];
        if (is_stopped(b, memory, layer->work)) break;
        if (layer->kind == LENET_RBF)
            b->k->rbf_of_one(&s, w, in, out);
        else if (l >= plan->first_flat)
            b->k->dense_of_one(&s, w, bias, layer->activation, in, out);
        else if (layer->kind == LENET_CONV)
            b->k->conv_of_one(&layer->conv, w, bias, layer->activation, in, in_layout.stride,
                              out_layout, memory + at->scratch, out);
        else
            b->k->subsample_of_one(layer->out_maps, layer->in_height, layer->in_width,
                                   layer->kind == LENET_SUBSAMPLE ? w : NULL, bias,
                                   layer->activation, in, in_layout, out_layout.stride,
                                   memory + at->scratch, out);
        lap(b, LENET_FORWARD, l);
        in = out;
    }
    return memory + at->one[plan->n_layers - 1];
}

/* The layers with all-to-all weights, from the deltas of the last. With an optimizer they take its
 * step as they go, otherwise their gradient is set or added. Returns 0 if a new weight is not
 * finite. */
static int back_flat(const batch *b, float *memory, const lenet_optimizer *o, float *parameters,
                     int add, float *gradient)
{
    const lenet_plan *plan = b->plan;
    int finite = 1;
    for (int l = plan->n_layers - 1; l >= plan->first_flat; l--) {
        const plan_layer *layer = &plan->layers[l];
        const lenet_dense_shape s = plan_dense(plan, b->at, l, 1);
        const float *delta = memory + b->at->one[l], *w = weights_of(b, layer);
        float *in = memory + (l ? b->at->one[l - 1] : b->at->one_input);
        const int below = activation_below(plan, l);
        if (!o && is_stopped(b, memory, 2.0 * layer->work)) break;
        if (layer->kind == LENET_RBF) {
            float *dcodes = layer->trained ? gradient + layer->weights : NULL;
            b->k->rbf_backward_of_one(&s, w, delta, below, add, in, dcodes);
            if (o && dcodes)
                finite &= b->k->update_sgd(o, gradient, layer->weights, layer->n_weights, parameters);
        } else if (o) {
            finite &= b->k->dense_step_of_one(&s, o, delta, below, memory + b->at->scratch, in,
                                              parameters + layer->weights,
                                              parameters + layer->biases);
        } else {
            b->k->dense_backward_of_one(&s, w, delta, below, add, memory + b->at->scratch, in,
                                        gradient + layer->weights, gradient + layer->biases);
        }
        lap(b, LENET_BACKWARD_WEIGHTS, l);
    }
    return finite;
}

/* can_end: nothing has changed yet. */
static void back_spatial(const batch *b, float *memory, int can_end, int add, float *gradient)
{
    const lenet_plan *plan = b->plan;
    const lenet_layout *at = b->at;
    float *scratch = memory + at->scratch;
    for (int l = plan->first_flat - 1; l >= 0; l--) {
        const plan_layer *layer = &plan->layers[l];
        const float *delta = memory + at->one[l], *w = weights_of(b, layer);
        float *in = memory + (l ? at->one[l - 1] : at->one_input);
        const lenet_map_layout in_layout = at->one_layout[l], layout = at->one_layout[l + 1];
        const int below = activation_below(plan, l), trained = layer->kind == LENET_SUBSAMPLE;
        const int has_weights = layer->kind != LENET_AVERAGE_POOL;
        float *dw = has_weights ? gradient + layer->weights : NULL;
        float *db = has_weights ? gradient + layer->biases : NULL;
        if (can_end && is_stopped(b, memory, 2.0 * layer->work)) break;
        if (layer->kind == LENET_CONV) {
            b->k->conv_backward_weights_of_one(&layer->conv, in, in_layout.stride, delta, layout, add,
                                               scratch, dw, db);
            lap(b, LENET_BACKWARD_WEIGHTS, l);
            if (l)
                b->k->conv_backward_input_of_one(&layer->conv, w, delta, layout, below, scratch, in,
                                                 in_layout.stride);
        } else if (l || trained) {
            b->k->subsample_backward_of_one(layer->out_maps, layer->in_height, layer->in_width,
                                            trained ? w : NULL, delta, layout.stride, below, in,
                                            in_layout, add, scratch, dw, db);
        }
        lap(b, LENET_BACKWARD_INPUT, l);
    }
}

/* Forward, and the deltas of the outputs in their place. */
static void run_and_lose(batch *b, float *memory, int64_t block, int64_t image)
{
    float *outputs = lenet_forward_of_one(b, memory, image);
    if (is_stopped(b, memory, 0.0)) return;
    lenet_lose(b, block, image, outputs, 1);
    lap(b, LENET_LOSS, 0);
}

void lenet_gradient_of_one(batch *b, float *memory, int64_t block, int64_t image, int add,
                           float *gradient)
{
    run_and_lose(b, memory, block, image);
    back_flat(b, memory, NULL, NULL, add, gradient);
    back_spatial(b, memory, 1, add, gradient);
    lap(b, LENET_UPDATE, 0);
}

lenet_status lenet_step_of_one(batch *b, const lenet_optimizer *o, float *parameters,
                               float *gradient)
{
    b->block_loss[0] = 0.0;
    b->block_errors[0] = 0;
    run_and_lose(b, b->memory, 0, 0);
    if (is_stopped(b, b->memory, 0.0)) return LENET_INTERRUPTED;
    if (!isfinite(b->block_loss[0])) return LENET_NOT_FINITE;
    int finite = back_flat(b, b->memory, o, parameters, 0, gradient);
    back_spatial(b, b->memory, 0, 0, gradient);
    finite &= b->k->update_sgd(o, gradient, 0, b->plan->n_spatial_parameters, parameters);
    lap(b, LENET_UPDATE, 0);
    return finite ? LENET_OK : LENET_NOT_FINITE;
}
