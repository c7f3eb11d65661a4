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

/* Inputs of layer i, or the outputs of the one below. */
static ptrdiff_t size_of(const lenet_plan *plan, int i)
{
    return i ? plan->layers[i - 1].out_size : plan_image_size(plan);
}

static void lay_out_lanes(const lenet_plan *plan, int training, lenet_layout *at)
{
    const ptrdiff_t lanes = at->lanes, groups = at->block / lanes;
    for (int i = 0; i <= plan->n_layers; i++) {  /* the images, then the outputs of layer i - 1 */
        const net_layer *layer = i ? &plan->layers[i - 1] : NULL;
        const int all = training || i >= plan->first_flat;
        ptrdiff_t size = size_of(plan, i) * lanes;
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

/* The images and the outputs of so many layers. */
static void lay_out_one(const lenet_plan *plan, int training, int n_layers, lenet_layout *at)
{
    const int lanes = at->lanes;
    const lenet_input *input = &plan->input;
    plan_buffer *image = &at->buffer[0];
    image->layout
        = plan->first_flat ? layer_whole_vectors(input->width, lanes) : lenet_rows(input->width);
    image->n_one
        = lenet_map_floats(image->layout, input->channels, input->height, input->width, lanes);
    image->one = reserve(at, image->n_one + LENET_ROW_SLACK);
    for (int l = 0; l < n_layers; l++) {
        const net_layer *layer = &plan->layers[l];
        plan_buffer *out = &at->buffer[l + 1];
        out->layout = l + 1 >= plan->first_flat && n_layers > plan->first_flat
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
        if (at->has_one) lay_out_one(plan, training, plan->n_layers, at);
        /* a page between two threads' memories: neighbours would slow each other down */
        reserve(at, 1024);
    }
}

/* Scratch of all layers: of the flat ones for so many groups. */
static size_t scratch_of_wide(const lenet_plan *plan, int training, int groups, const lenet_layout *at)
{
    size_t size = 0;
    for (int l = 0; l < plan->n_layers; l++) {
        const net_layer *layer = &plan->layers[l];
        size = lenet_most(size, layer->kind->scratch(layer, &at->manner[l], training,
                                                     l < plan->first_flat ? 1 : groups, !training));
    }
    return size;
}

/* Inference runs the spatial layers on one picture with its columns in the lanes, and the flat ones with
 * positions in them; in training each lane has a picture, and each position is a group of lanes. */
void lenet_lay_out_wide(lenet_plan *plan, int training)
{
    const int lanes = lenet_kernels_active()->lanes;
    const int groups = training ? SWEEP_CHUNK : (SWEEP_POSITIONS + lanes - 1) / lanes;
    const ptrdiff_t kept = training ? (ptrdiff_t)plan->rows * plan->columns : groups;
    lenet_layout *at = &plan->layout[training];
    *at = (lenet_layout){.lanes = lanes, .block = lanes};
    choose_manners(plan, training, at);
    /* first, at the same place for pieces of all sizes, since several share it */
    at->windows = reserve(at, plan->layers[plan->first_flat].in_size * lanes * groups);
    for (int l = plan->first_flat; l < plan->n_layers; l++) {
        at->buffer[l + 1].stride = plan->layers[l].out_size * lanes;
        at->buffer[l + 1].lanes = reserve(at, at->buffer[l + 1].stride * kept);
    }
    if (training) {
        for (int i = 0; i <= plan->first_flat; i++) {
            const ptrdiff_t size = size_of(plan, i) * lanes;
            at->buffer[i].stride = size;
            at->buffer[i].lanes = reserve(at, size);
        }
        at->map_deltas = reserve(at, size_of(plan, plan->first_flat) * lanes);
        at->arranging = reserve(at, at->n_arranged);
        at->evidence = reserve(at, (ptrdiff_t)plan->columns * plan->classes);
        lay_out_training(plan, at);
    } else {
        at->has_one = 1;
        lay_out_one(plan, 0, plan->first_flat, at);
        at->distorted = reserve(at, (plan_image_size(plan) + 3) / 4);
    }
    at->scratch = reserve(at, (ptrdiff_t)scratch_of_wide(plan, training, groups, at));
    reserve(at, 1024);
}
