/* The public calls that run and train a network: lenet_forward, lenet_activations, the same of a packed
 * model, lenet_gradient and lenet_step. */
#include <math.h>
#include <string.h>

#include "run/forward.h"
#include "run/model.h"
#include "run/open.h"
#include "run/single.h"
#include "run/train.h"

static const double LARGE_IMAGE = 1 << 26;  /* multiply-adds: milliseconds */

/* By the size of the call alone: an image's outputs do not depend on its place in it. */
static int runs_one_by_one(const batch *b) { return b->outputs && b->n <= b->k->few && !b->in_lanes; }

static void forward_task(void *context, int64_t i, int32_t thread)
{
    const batch *b = context;
    const lenet_plan *plan = b->plan;
    float *memory = memory_of(b, thread);
    int n;
    int64_t first = block_start(b, i, &n);
    if (is_stopped(b, memory, 0.0)) return;
    if (runs_one_by_one(b)) {
        const size_t size = (size_t)plan->classes * sizeof(float);
        for (int k = 0; k < n; k++)
            memcpy(b->outputs + (first + k) * plan->classes,
                   lenet_forward_of_one(b, memory, first + k), size);
        return;
    }
    lenet_run_forward(b, memory, first, n, b->activations != NULL);
    if (is_stopped(b, memory, 0.0)) return;
    if (b->outputs) lenet_copy_out(b, memory, plan->n_layers - 1, first, n, b->outputs);
    for (int l = 0; b->activations && l < plan->n_layers; l++)
        if (b->activations[l]) lenet_copy_out(b, memory, l, first, n, b->activations[l]);
}

static lenet_status run_forward_tasks(batch *b, const lenet_run *run, int training)
{
    const int64_t blocks = lenet_blocks(training, b->n);
    const int32_t threads = lenet_clamp_threads(run->n_threads, blocks);
    if (b->images->distortion) return LENET_BAD_ARGUMENT;
    if (b->arranged == b->arranging && !runs_one_by_one(b)) lenet_arrange_weights(b, b->memory);
    lenet_watched_for(b->watch, b->plan->work * b->at->block, blocks, threads, forward_task, b);
    return is_stopped(b, b->memory, 0.0) ? LENET_INTERRUPTED : LENET_OK;
}

lenet_status lenet_forward(const lenet_plan *plan, const float *parameters,
                           const lenet_images *images, int64_t n, float *outputs,
                           const lenet_run *run)
{
    lenet_watch watch;
    batch b;
    lenet_status status = lenet_open_batch(plan, parameters, images, n, run, 0, &watch, &b);
    if (status != LENET_OK) return status;
    b.outputs = outputs;
    return run_forward_tasks(&b, run, 0);
}

lenet_status lenet_activations(const lenet_plan *plan, const float *parameters,
                               const lenet_images *images, int64_t n, float *const *outputs,
                               const lenet_run *run)
{
    lenet_watch watch;
    batch b;
    lenet_status status = lenet_open_batch(plan, parameters, images, n, run, 1, &watch, &b);
    if (status != LENET_OK) return status;
    b.activations = outputs;
    return run_forward_tasks(&b, run, 1);
}

lenet_status lenet_model_forward(const lenet_model *model, const lenet_images *images, int64_t n,
                                 float *outputs, const lenet_run *run)
{
    lenet_watch watch;
    batch b;
    lenet_status status
        = lenet_open_batch(model->plan, model->parameters, images, n, run, 0, &watch, &b);
    if (status != LENET_OK) return status;
    b.arranged = model->arranged[0];
    b.arranged_alone = model->arranged_alone;
    b.outputs = outputs;
    return run_forward_tasks(&b, run, 0);
}

lenet_status lenet_model_activations(const lenet_model *model, const lenet_images *images, int64_t n,
                                     float *const *outputs, const lenet_run *run)
{
    lenet_watch watch;
    batch b;
    lenet_status status
        = lenet_open_batch(model->plan, model->parameters, images, n, run, 1, &watch, &b);
    if (status != LENET_OK) return status;
    b.arranged = model->arranged[1];
    b.activations = outputs;
    return run_forward_tasks(&b, run, 1);
}

static lenet_status train(batch *b, const lenet_run *run, reduction *c, lenet_report *report)
{
    if (b->n > b->k->few_in_training || !b->at->has_one) lenet_arrange_weights(b, b->memory);
    return lenet_run_rounds(b, lenet_block_gradient,
                            lenet_clamp_threads(run->n_threads, lenet_blocks(1, b->n)), c, report);
}

lenet_status lenet_gradient(const lenet_plan *plan, const float *parameters,
                            const lenet_images *images, const int64_t *labels, int64_t n,
                            const lenet_loss *loss, float *gradient, lenet_report *report,
                            const lenet_run *run)
{
    lenet_watch watch;
    batch b;
    lenet_status status
        = lenet_open_training(plan, parameters, images, labels, n, loss, run, &watch, &b);
    if (status != LENET_OK) return status;
    reduction c = {.b = &b, .gradient = gradient};
    return train(&b, run, &c, report);
}

lenet_status lenet_step(const lenet_plan *plan, float *parameters, const lenet_images *images,
                        const int64_t *labels, int64_t n, const lenet_loss *loss,
                        lenet_optimizer *optimizer, lenet_report *report, const lenet_run *run)
{
    lenet_watch watch;
    batch b;
    lenet_status status
        = lenet_open_training(plan, parameters, images, labels, n, loss, run, &watch, &b);
    if (status != LENET_OK) return status;
    if (!lenet_optimizer_is_valid(optimizer, plan->n_parameters)) return LENET_BAD_ARGUMENT;
    const int64_t blocks = lenet_blocks(1, n);
    const int64_t round = round_size(blocks, lenet_clamp_threads(run->n_threads, blocks));
    reduction c = {.b = &b,
                   /* with one round, onto the first block's, which is in a cache */
                   .gradient = b.partials + (round < blocks ? round * b.partial_stride : 0),
                   .optimizer = optimizer,
                   .parameters = parameters};
    /* in one go, which cannot be ended once the first weights have changed: other than with a gradient
     * first, which gives the same bits */
    if (n == 1 && b.at->has_one && optimizer->kind == LENET_SGD && !optimizer->first_moment
        && !optimizer->n_frozen && plan->work < LARGE_IMAGE) {
        status = lenet_step_of_one(&b, optimizer, parameters, c.gradient);
        *report = (lenet_report){b.block_loss[0] / b.weight, b.block_errors[0]};
        optimizer->step += isfinite(report->loss) != 0;
        return status;
    }
    return train(&b, run, &c, report);
}
