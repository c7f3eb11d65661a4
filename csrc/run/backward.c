/* Backward: the flat layers on all groups of a block at once, then the spatial ones group by group. */
#include "run/backward.h"

#include <string.h>

static void back_flat(const batch *b, float *memory, int groups, int add, float *gradient,
                      layer_step *step)
{
    for (int l = b->plan->n_layers - 1; l >= b->plan->first_flat; l--) {
        layer_call c = call_back(b, memory, l, groups, add, gradient);
        if (is_stopped(b, memory, 2.0 * c.layer->work * groups * b->at->lanes)) return;
        step(b, memory, &c, inputs_of(b, memory, l, 0), outputs_of(b, memory, l, 0));
        lap(b, LENET_BACKWARD_INPUT, l);
    }
}

/* Where layer l adds its gradients up by lane: its weights' and, behind them, its biases'. */
static void to_lane_sums(const batch *b, float *memory, int l, layer_call *c)
{
    const ptrdiff_t n = c->arranged ? b->at->manner[l].n_sums : c->layer->n_weights;
    if (!c->dweights) return;
    c->dweights = memory + b->at->sums[l];
    c->dbiases = c->dweights + n * b->at->lanes;
}

static void back_spatial(const batch *b, float *memory, int group, float *gradient, layer_step *step)
{
    for (int l = b->plan->first_flat - 1; l >= 0; l--) {
        layer_call c = call_back(b, memory, l, 1, 0, gradient);
        to_lane_sums(b, memory, l, &c);
        if (is_stopped(b, memory, c.layer->work * b->at->lanes)) return;
        step(b, memory, &c, inputs_of(b, memory, l, group), outputs_of(b, memory, l, group));
        lap(b, LENET_BACKWARD_INPUT, l);
    }
}

void lenet_step_back(const batch *b, float *memory, layer_call *c, float *in, const float *delta)
{
    (void)b;
    (void)memory;
    c->layer->kind->backward(c, in, delta);
}

void lenet_run_spatial_back(const batch *b, float *memory, int groups, int add, float *gradient,
                            layer_step *step)
{
    memset(memory + b->at->lane_sums, 0, (size_t)b->at->n_lane_sums * sizeof(float));
    /* the last group first: its maps are still in the cache */
    for (int g = groups - 1; g >= 0; g--) back_spatial(b, memory, g, gradient, step);
    for (int l = 0; l < b->plan->first_flat; l++) {
        const layer_call c = call_back(b, memory, l, 1, add, gradient);
        c.layer->kind->sum_lanes(&c, memory + b->at->sums[l]);
    }
}

void lenet_run_backward(const batch *b, float *memory, int groups, int add, float *gradient,
                        layer_step *step)
{
    back_flat(b, memory, groups, add, gradient, step);
    lenet_run_spatial_back(b, memory, groups, add, gradient, step);
}
