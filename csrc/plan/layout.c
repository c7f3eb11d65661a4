/* Where things lie in a thread's memory.
 *
 * Features of a group of lanes are consecutive; in training each layer has room for all groups of a
 * block, otherwise the spatial layers but the last reuse the room of one group (stride 0), and a layer
 * that feeds the one above that of a few rows. */
#include "plan/plan.h"

static ptrdiff_t reserve(lenet_layout *at, ptrdiff_t floats)
{
    ptrdiff_t here = at->total;
    at->total += plan_padded(floats);
    return here;
}

static void choose_manners(const lenet_plan *plan, int training, lenet_layout *at)
{
    for (int l = 0; l < plan->n_layers; l++) {
        const net_layer *layer = &plan->layers[l];
        at->manner[l] = layer->kind->manner(layer, training);
        at->arranged[l] = at->n_arranged;
        if (at->manner[l].n_arranged) at->n_arranged += plan_padded(at->manner[l].n_arranged);
        at->arranged_alone[l] = at->n_arranged_alone;
        if (at->manner[l].n_arranged_alone)
            at->n_arranged_alone += plan_padded(at->manner[l].n_arranged_alone);
    }
}

static void lay_out_lanes(const lenet_plan *plan, int training, lenet_layout *at)
{
    const ptrdiff_t lanes = at->lanes, groups = at->block / lanes;
    for (int i = 0; i <= plan->n_layers; i++) {  /* the images, then the outputs of layer i - 1 */
        const net_layer *layer = i ? &plan->layers[i - 1] : NULL;
        const int all = training || i >= plan->first_flat;
        ptrdiff_t size = (i ? layer->out_size : plan_image_size(plan)) * lanes;
        if (!all && i && layer->feeds_above)
            size = (ptrdiff_t)layer->out_maps * at->manner[i - 1].rows * layer->out_width * lanes;
        at->buffer[i].stride = all ? size : 0;
        at->buffer[i].lanes = reserve(at, all ? size * groups : size);
    }
}

/* Floats of scratch, for whichever layer needs most. */
static size_t scratch_size(const lenet_plan *plan, int training, const lenet_layout *at)
{
    size_t size = 0;
    for (int l = 0; l < plan->n_layers; l++) {
        const net_layer *layer = &plan->layers[l];
        size = lenet_most(size, layer->kind->scratch(layer, &at->manner[l], training,
                                                     at->block / at->lanes, at->has_one));
    }
    return size;
}

/* What only training needs. */
static void lay_out_training(const lenet_plan *plan, lenet_layout *at)
{
    ptrdiff_t n = 0;
    for (int l = 0; l < plan->first_flat; l++) {
        at->sums[l] = at->total + n;
        n += (at->manner[l].n_sums + plan->layers[l].n_biases) * at->lanes;
    }
    at->n_lane_sums = n;
    at->lane_sums = reserve(at, n);
    const lenet_input *input = &plan->input;
    at->distorted = reserve(at, (plan_image_size(plan) * at->lanes + 3) / 4);
    at->distorting = reserve(
        at, ((ptrdiff_t)lenet_distort_workspace(input->height, input->width) + 3) / 4);
}

static int can_learn_alone(const lenet_plan *plan)
{
    for (int l = 0; l < plan->first_flat; l++)
        if (!plan->layers[l].kind->learns_alone(&plan->layers[l], l + 1 == plan->first_flat))
            return 0;
    return 1;
}

static void lay_out_one(const lenet_plan *plan, int training, lenet_layout *at)
{
    const int lanes = at->lanes;
    const lenet_input *input = &plan->input;
    plan_buffer *image = &at->buffer[0];
    image->layout
        = plan->first_flat ? layer_whole_vectors(input->width, lanes) : lenet_rows(input->width);
    image->n_one
        = lenet_map_floats(image->layout, input->channels, input->height, input->width, lanes);
    image->one = reserve(at, image->n_one + LENET_ROW_SLACK);
    for (int l = 0; l < plan->n_layers; l++) {
        const net_layer *layer = &plan->layers[l];
        plan_buffer *out = &at->buffer[l + 1];
        out->layout = l + 1 >= plan->first_flat
                          ? lenet_rows(layer->out_width)
                          : layer->kind->layout_of_one(layer, training, lanes);
        out->n_one = lenet_map_floats(out->layout, layer->out_maps, layer->out_height,
                                      layer->out_width, lanes);
        out->one = reserve(at, out->n_one + 2 * LENET_ROW_SLACK) + LENET_ROW_SLACK;
    }
}

void lenet_lay_out(lenet_plan *plan)
{
    for (int training = 0; training < 2; training++) {
        lenet_layout *at = &plan->layout[training];
        *at = (lenet_layout){.lanes = lenet_kernels_active()->lanes,
                             .block = training ? TRAINING_BLOCK : INFERENCE_BLOCK,
                             .has_one = !training || can_learn_alone(plan)};
        choose_manners(plan, training, at);
        lay_out_lanes(plan, training, at);
        at->scratch = reserve(at, (ptrdiff_t)scratch_size(plan, training, at));
        if (training) lay_out_training(plan, at);
        if (at->has_one) lay_out_one(plan, training, at);
        /* a page between two threads' memories: neighbours would slow each other down */
        reserve(at, 1024);
    }
}
