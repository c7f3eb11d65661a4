/* Forward: the spatial layers on one group of lanes after another, so that a group's maps stay in the
 * cache; the flat ones on all groups of a block at once, so that a weight that was read serves them
 * all. */
#include "run/forward.h"

#include "run/load.h"

void lenet_arrange_weights(const batch *b, float *memory)
{
    for (int l = 0; l < b->plan->first_flat; l++) {
        const layer_call c = call_of(b, memory, l, 1);
        if (c.arranged) c.layer->kind->arrange(&c, 0, b->arranging + b->at->arranged[l]);
    }
}

/* Ends early, as all that follows, when the call is to end. */
void lenet_run_spatial(const batch *b, float *memory, int group, int keep)
{
    const lenet_plan *plan = b->plan;
    for (int l = 0; l < plan->first_flat; l++) {
        const int own = l, feeds = plan->layers[l].feeds_above;
        layer_call c = call_of(b, memory, own, 1), above;
        if (is_stopped(b, memory, feeds ? 0.0 : c.layer->work * b->at->lanes)) return;
        if (feeds) {  /* it runs both, and looks itself */
            above = call_of(b, memory, ++l, 1);
            c.above = &above;
            c.above_out = outputs_of(b, memory, l, group);
            c.keep = keep;
        }
        c.layer->kind->forward(&c, inputs_of(b, memory, own, group),
                               outputs_of(b, memory, own, group));
        lap(b, LENET_FORWARD, own);
    }
}

static void run_flat(const batch *b, float *memory, int groups)
{
    for (int l = b->plan->first_flat; l < b->plan->n_layers; l++) {
        const layer_call c = call_of(b, memory, l, groups);
        if (is_stopped(b, memory, c.layer->work * groups * b->at->lanes)) return;
        c.layer->kind->forward(&c, inputs_of(b, memory, l, 0), outputs_of(b, memory, l, 0));
        lap(b, LENET_FORWARD, l);
    }
}

int lenet_run_forward(const batch *b, float *memory, int64_t first, int n, int keep)
{
    const int lanes = b->at->lanes, groups = (n + lanes - 1) / lanes;
    for (int g = 0; g < groups; g++) {
        int left = n - g * lanes;
        if (is_stopped(b, memory, 0.0)) break;
        lenet_load_group(b, first + g * lanes, left < lanes ? left : lanes, memory, g);
        lap(b, LENET_LOAD, 0);
        lenet_run_spatial(b, memory, g, keep);
    }
    run_flat(b, memory, groups);
    return groups;
}

void lenet_copy_out(const batch *b, float *memory, int l, int64_t first, int n, float *to)
{
    const int lanes = b->at->lanes;
    const ptrdiff_t size = b->plan->layers[l].out_size;
    for (int g = 0; g * lanes < n; g++) {
        float *rows[LENET_MAX_LANES];
        int here = n - g * lanes < lanes ? n - g * lanes : lanes;
        for (int i = 0; i < here; i++) rows[i] = to + (first + g * lanes + i) * size;
        b->k->lanes_to_rows(outputs_of(b, memory, l, g), here, size, rows);
    }
}
