/* Checks what calls were given, and shares their workspace out: a memory for each thread, arranged
 * weights, then gradients of blocks. */
#include "run/open.h"

#include "run/loss.h"

int64_t lenet_blocks(int32_t training, int64_t n)
{
    return ceil_div(n, training ? TRAINING_BLOCK : INFERENCE_BLOCK);
}

int32_t lenet_clamp_threads(int32_t n_threads, int64_t blocks)
{
    if (n_threads < 1) n_threads = 1;
    if (n_threads > LENET_MAX_THREADS) n_threads = LENET_MAX_THREADS;
    return n_threads > blocks ? (int32_t)(blocks > 1 ? blocks : 1) : n_threads;
}

size_t lenet_workspace_size(const lenet_plan *plan, int32_t training, int64_t n,
                            int32_t n_threads)
{
    if (n < 1) return 0;
    const int64_t blocks = lenet_blocks(training, n);
    const int32_t threads = lenet_clamp_threads(n_threads, blocks);
    uint64_t floats = (uint64_t)plan->layout[training != 0].total * (uint64_t)threads;
    floats += (uint64_t)plan->layout[training != 0].n_arranged;
    if (!training) return bytes_of_floats(floats, 0);
    /* a gradient for each block of a round, and lenet_step's if there are several rounds */
    const int64_t round = round_size(blocks, threads);
    floats += (uint64_t)plan_padded(plan->n_parameters) * (uint64_t)(round + (round < blocks));
    /* what trains may also run forward: inference has larger blocks, but more memory a thread */
    return lenet_most(bytes_of_floats(floats, 0), lenet_workspace_size(plan, 0, n, n_threads));
}

lenet_status lenet_open_batch(const lenet_plan *plan, const float *parameters,
                              const lenet_images *images, int64_t n, const lenet_run *run,
                              int training, lenet_watch *watch, batch *b)
{
    const int32_t height = plan->input.height, width = plan->input.width;
    if (n < 1 || images->height < 1 || images->width < 1 || images->height > height
        || images->width > width)
        return LENET_BAD_ARGUMENT;
    if (images->is_float && (images->height != height || images->width != width))
        return LENET_BAD_ARGUMENT;
    if (run->workspace_size < lenet_workspace_size(plan, training, n, run->n_threads)
        || (uintptr_t)run->workspace % 64)
        return LENET_NO_MEMORY;
    *b = (batch){.plan = plan,
                 .k = lenet_kernels_active(),
                 .at = &plan->layout[training != 0],
                 .parameters = parameters,
                 .images = images,
                 .n = n,
                 .memory = run->workspace,
                 .watch = watch,
                 .in_lanes = run->in_lanes,
                 .profile = run->n_threads == 1 ? run->profile : NULL};
    b->memory_stride = b->at->total;
    b->arranging = memory_of(b, lenet_clamp_threads(run->n_threads, lenet_blocks(training, n)));
    b->arranged = b->arranging;
    lenet_watch_run(watch, run);
    if (b->profile) b->profile->last = lenet_seconds();
    return LENET_OK;
}

lenet_status lenet_open_training(const lenet_plan *plan, const float *parameters,
                                 const lenet_images *images, const int64_t *labels, int64_t n,
                                 const lenet_loss *loss, const lenet_run *run, lenet_watch *watch,
                                 batch *b)
{
    lenet_status status = lenet_open_batch(plan, parameters, images, n, run, 1, watch, b);
    if (status != LENET_OK) return status;
    if (images->distortion) {
        if (images->is_float) return LENET_BAD_ARGUMENT;
        status = lenet_distortion_check(images->distortion);
        if (status != LENET_OK) return status;
    }
    b->labels = labels;
    b->loss = loss;
    b->partials = b->arranging + b->at->n_arranged;
    b->partial_stride = plan_padded(plan->n_parameters);
    return lenet_check_loss(plan, loss, images->order, labels, n, &b->weight);
}
