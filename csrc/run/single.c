/* Runs and trains on one image by itself: the columns of a map in the lanes, or the maps, or the
 * inputs of a dense layer. */
#include "run/single.h"

#include <math.h>
#include <string.h>

#include "run/load.h"
#include "run/loss.h"

void lenet_clear_slack(const batch *b, float *memory, int n_layers)
{
    float *end = memory + b->at->buffer[0].one + b->at->buffer[0].n_one;
    for (int i = 1; i <= n_layers; i++) {
        float *out = memory + b->at->buffer[i].one;
        memset(end, 0, (size_t)(out - end) * sizeof *end);
        end = out + b->at->buffer[i].n_one;
    }
    memset(end, 0, LENET_ROW_SLACK * sizeof *end);
}

static void run_layers(const batch *b, float *memory, int n_layers)
{
    layer_call c = begin_calls(b, memory, 1);
    for (int l = 0; l < n_layers; l++) {
        call_layer(b, l, &c);
        if (is_stopped(b, memory, c.layer->work)) break;
        c.layer->kind->forward_of_one(&c, inputs_of_one(b, memory, l), outputs_of_one(b, memory, l));
        lap(b, LENET_FORWARD, l);
    }
}

void lenet_spatial_of_one(const batch *b, float *memory) { run_layers(b, memory, b->plan->first_flat); }

float *lenet_forward_of_one(const batch *b, float *memory, int64_t image)
{
    const int n_layers = b->plan->n_layers;
    lenet_clear_slack(b, memory, n_layers);
    lenet_load_one(b, memory, image);
    lap(b, LENET_LOAD, 0);
    run_layers(b, memory, n_layers);
    return outputs_of_one(b, memory, n_layers - 1);
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
    layer_call c = begin_calls(b, memory, 1);
    run_and_lose(b, memory, block, image);
    for (int l = b->plan->n_layers - 1; l >= 0; l--) {
        call_layer_back(b, l, add, gradient, &c);
        if (is_stopped(b, memory, 2.0 * c.layer->work)) break;
        c.layer->kind->backward_of_one(&c, inputs_of_one(b, memory, l), outputs_of_one(b, memory, l));
        lap(b, LENET_BACKWARD_INPUT, l);
    }
}

/* Each layer takes its step as soon as it has handed its deltas down. */
lenet_status lenet_step_of_one(batch *b, const lenet_optimizer *o, float *parameters,
                               float *gradient)
{
    int finite = 1;
    float *memory = b->memory;
    layer_call c = begin_calls(b, memory, 1);
    b->block_loss[0] = 0.0;
    b->block_errors[0] = 0;
    run_and_lose(b, memory, 0, 0);
    if (is_stopped(b, memory, 0.0)) return LENET_INTERRUPTED;
    if (!isfinite(b->block_loss[0])) return LENET_NOT_FINITE;
    for (int l = b->plan->n_layers - 1; l >= 0; l--) {
        call_layer_back(b, l, 0, gradient, &c);
        const net_layer *layer = c.layer;
        finite &= layer->kind->step_of_one(&c, o, inputs_of_one(b, memory, l),
                                           outputs_of_one(b, memory, l),
                                           layer->weights < 0 ? NULL : parameters + layer->weights);
    }
    return finite ? LENET_OK : LENET_NOT_FINITE;
}
