/* Where things lie in a thread's memory.
 *
 * Features of a group of lanes are consecutive; in training each layer has room for all groups of a
 * block, otherwise the spatial layers but the last reuse the room of one group (stride 0), and a
 * convolution under a 2x2 layer that of a few rows. */
#include "plan/plan.h"

static ptrdiff_t reserve(lenet_layout *at, ptrdiff_t floats)
{
    ptrdiff_t here = at->total;
    at->total += padded(floats);
    return here;
}

enum {
    MOST_SCRATCH = 1 << 18,  /* floats: what the second-level cache holds */
    MOST_PAIRS = 5           /* of rows that go by Winograd at a time: AVX-512's WINOGRAD_STRIP */
};

static int by_winograd(const lenet_plan *plan, int l, int training, const lenet_layout *at)
{
    const lenet_kernels *k = lenet_kernels_active();
    const plan_layer *layer = &plan->layers[l];
    if (l >= plan->first_flat || layer->kind != LENET_CONV) return 0;
    if (training && !(k->winograd_trains && lenet_can_winograd_back(&layer->conv, l > 0))) return 0;
    return k->winograd_maps && layer->in_maps >= k->winograd_maps && lenet_can_winograd(&layer->conv)
           && lenet_winograd_scratch(&layer->conv) * (size_t)at->lanes <= MOST_SCRATCH;
}

/* Which convolutions run by Winograd, and how many rows they hand to a 2x2 layer at a time: few
 * enough to stay in the cache, more by Winograd, which transforms four rows beyond. */
static void choose_rows(const lenet_plan *plan, int training, lenet_layout *at)
{
    for (int l = 0; l < plan->n_layers; l++) {
        const plan_layer *layer = &plan->layers[l];
        at->rows[l] = 2;
        at->transformed[l] = -1;
        if (!by_winograd(plan, l, training, at)) continue;
        const int pairs = layer->out_height / 2;
        at->rows[l] = pairs ? 2 * lenet_cut(pairs, MOST_PAIRS).size : 2;
        at->transformed[l] = at->n_transformed;
        at->n_transformed += padded((ptrdiff_t)lenet_winograd_weights(&layer->conv));
    }
}

static void lay_out_lanes(const lenet_plan *plan, int training, lenet_layout *at)
{
    const ptrdiff_t lanes = at->lanes, groups = at->block / lanes;
    ptrdiff_t size = (ptrdiff_t)plan->height * plan->width * lanes;
    int all = training || plan->first_flat == 0;
    at->input_stride = all ? size : 0;
    at->input = reserve(at, all ? size * groups : size);
    for (int l = 0; l < plan->n_layers; l++) {
        const plan_layer *layer = &plan->layers[l];
        size = layer->out_size * lanes;
        all = training || l + 1 >= plan->first_flat;
        if (!all && plan_is_under_pool(plan, l))
            size = (ptrdiff_t)layer->out_maps * at->rows[l] * layer->out_width * lanes;
        at->stride[l] = all ? size : 0;
        at->out[l] = reserve(at, all ? size * groups : size);
    }
}

/* Floats of scratch, for whichever kernel needs most. */
static size_t scratch_size(const lenet_plan *plan, int training, const lenet_layout *at)
{
    size_t size = 0;
    for (int l = 0; l < plan->n_layers; l++) {
        const plan_layer *layer = &plan->layers[l];
        const lenet_dense_shape s = plan_dense(plan, at, l, at->block / at->lanes);
        if (l >= plan->first_flat)
            size = lenet_most(size, training ? lenet_dense_scratch(&s) : 0);
        else if (layer->kind == LENET_CONV && at->has_one)
            size = lenet_most(size, lenet_conv_scratch_of_one(&layer->conv, at->lanes, training));
        else if (layer->kind != LENET_CONV && at->has_one)
            size = lenet_most(size, lenet_pool_scratch_of_one(layer->in_maps, layer->in_height,
                                                              layer->in_width, at->lanes));
        if (at->transformed[l] < 0) continue;
        size = lenet_most(size, lenet_winograd_scratch(&layer->conv) * (size_t)at->lanes);
        if (training) {
            size = lenet_most(size, lenet_winograd_back_scratch(&layer->conv) * (size_t)at->lanes);
            size = lenet_most(size, lenet_winograd_weights(&layer->conv));
        }
    }
    return size;
}

/* What only training needs. */
static void lay_out_training(const lenet_plan *plan, lenet_layout *at)
{
    ptrdiff_t n = 0;
    for (int l = 0; l < plan->first_flat; l++) {
        at->sums[l] = at->total + n;
        n += (plan_kernel_weights(plan, at, l) + plan->layers[l].n_biases) * at->lanes;
    }
    at->n_lane_sums = n;
    at->lane_sums = reserve(at, n);
    at->distorted = reserve(at, ((ptrdiff_t)plan->height * plan->width * at->lanes + 3) / 4);
    at->distorting = reserve(
        at, ((ptrdiff_t)lenet_distort_workspace(plan->height, plan->width) + 3) / 4);
}

/* On the way back a convolution's rows end in zeros (kernels.h), for which the flat layers leave no
 * room; and its kernel must not reach out of the slack. */
static int can_learn_alone(const lenet_plan *plan)
{
    for (int l = 0; l < plan->first_flat; l++) {
        const plan_layer *layer = &plan->layers[l];
        if (layer->kind == LENET_CONV
            && (l + 1 == plan->first_flat || layer->conv.kernel > LENET_ROW_SLACK / 2))
            return 0;
    }
    return 1;
}

/* How layer l's maps, so wide, lie for an image that runs by itself. */
static lenet_map_layout layout_of_one(const lenet_plan *plan, int training, int l, ptrdiff_t width,
                                      ptrdiff_t lanes)
{
    if (l + 1 >= plan->first_flat) return lenet_rows(width);
    if (l >= 0 && plan_is_under_pool(plan, l)) {
        if (lenet_keeps_maps(&plan->layers[l].conv, (int)lanes)) return lenet_maps_in_lanes();
        if (!training) return lenet_rows(width);  /* less to squash */
    }
    if (l >= 0 && plan->layers[l].kind == LENET_CONV) width += plan->layers[l].conv.kernel - 1;
    return lenet_rows((width + lanes - 1) / lanes * lanes);
}

static void lay_out_one(const lenet_plan *plan, int training, lenet_layout *at)
{
    at->one_layout[0] = layout_of_one(plan, training, -1, plan->width, at->lanes);
    at->one_input = reserve(at, plan->height * at->one_layout[0].stride + LENET_ROW_SLACK);
    for (int l = 0; l < plan->n_layers; l++) {
        at->one_layout[l + 1]
            = layout_of_one(plan, training, l, plan->layers[l].out_width, at->lanes);
        at->one[l] = reserve(at, plan_one_size(plan, at, l) + 2 * LENET_ROW_SLACK) + LENET_ROW_SLACK;
    }
}

void lenet_lay_out(lenet_plan *plan)
{
    for (int training = 0; training < 2; training++) {
        lenet_layout *at = &plan->layout[training];
        *at = (lenet_layout){.lanes = lenet_kernels_active()->lanes,
                             .block = training ? TRAINING_BLOCK : INFERENCE_BLOCK,
                             .has_one = !training || can_learn_alone(plan)};
        choose_rows(plan, training, at);
        lay_out_lanes(plan, training, at);
        at->scratch = reserve(at, (ptrdiff_t)scratch_size(plan, training, at));
        if (training) lay_out_training(plan, at);
        if (at->has_one) lay_out_one(plan, training, at);
        /* a page between two threads' memories: neighbours would slow each other down */
        reserve(at, 1024);
    }
}
