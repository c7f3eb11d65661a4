/* Gradients of blocks, and the rounds in which they are added up.
 *
 * A block is a fixed number of images, whatever the threads: a thread takes a block, puts its images
 * into lanes and runs all layers on them in memory of its own. */
#include "run/train.h"

#include <math.h>
#include <string.h>

#include "run/backward.h"
#include "run/forward.h"
#include "run/loss.h"
#include "run/single.h"

/* Replaces the outputs of a block by the gradient of the batch's mean loss for them. */
static void run_loss(batch *b, float *memory, int64_t block, int64_t first, int n, int groups)
{
    const int last = b->plan->n_layers - 1, classes = b->plan->classes, lanes = b->at->lanes;
    for (int i = 0; i < groups * lanes; i++) {
        float *out = outputs_of(b, memory, last, i / lanes) + i % lanes;
        if (i < n)
            lenet_lose(b, block, first + i, out, lanes);
        else
            for (int c = 0; c < classes; c++) out[c * lanes] = 0.0f;
    }
}

/* Images one by one. They are always added up first: the same bits with and without `add`. */
static void gradient_one_by_one(batch *b, int64_t i, float *memory, int64_t first, int n, int add,
                                float *gradient)
{
    float *sum = n > 1 ? b->partials + i * b->partial_stride : gradient;
    for (int m = 0; m < n && !is_stopped(b, memory, 0.0); m++)
        lenet_gradient_of_one(b, memory, i, first + m, m > 0 || (add && sum == gradient), sum);
    if (sum != gradient) b->k->sum_partials(sum, 0, 1, 1, b->plan->n_parameters, gradient);
}

void lenet_block_gradient(batch *b, int64_t i, float *memory, int add, float *gradient)
{
    int n;
    const int64_t first = block_start(b, i, &n);
    if (n <= b->k->few_in_training && b->at->has_one) {
        gradient_one_by_one(b, i, memory, first, n, add, gradient);
        return;
    }
    const int groups = lenet_run_forward(b, memory, first, n, 1);
    if (is_stopped(b, memory, 0.0)) return;
    run_loss(b, memory, i, first, n, groups);
    lap(b, LENET_LOSS, 0);
    lenet_run_backward(b, memory, groups, add, gradient, lenet_step_back);
    lap(b, LENET_UPDATE, 0);
}

typedef struct {
    batch *b;
    block_task *task;
} blocks;

static void run_blocks(void *context, int64_t i, int32_t thread)
{
    const blocks *c = context;
    batch *b = c->b;
    const int64_t size = b->by_pairs ? 2 : 1, left = b->blocks - i * size;
    float *memory = memory_of(b, thread);
    for (int64_t k = 0; k < size && k < left && !is_stopped(b, memory, 0.0); k++) {
        const int64_t block = i * size + k;  /* to its own place, or onto the block before */
        b->block_loss[block] = 0.0;
        b->block_errors[block] = 0;
        c->task(b, block, memory, k > 0, b->partials + (block - k) * b->partial_stride);
    }
}

lenet_status lenet_run_rounds(batch *b, block_task *task, int32_t threads, reduction *c,
                              lenet_report *report)
{
    const int64_t all = ceil_div(b->n, b->at->block);
    blocks context = {b, task};
    double loss = 0.0;
    report->n_errors = 0;
    memset(c->finite, 1, sizeof c->finite);
    c->n_tasks = threads;
    for (int64_t left = all; left; left -= b->blocks) {
        b->first_block = all - left;
        b->blocks = round_size(left, threads);
        const int64_t pairs = (b->blocks + 1) / 2;
        /* half as many gradients to write and to fetch, unless a thread then has more blocks to run */
        b->by_pairs = !b->apart
                      && (2 * ceil_div(pairs, threads) <= ceil_div(b->blocks, threads) || threads == 1);
        lenet_watched_for(b->watch, 3.0 * b->plan->work * b->at->block,
                          b->by_pairs ? pairs : b->blocks, threads, run_blocks, &context);
        if (is_stopped(b, b->memory, 0.0)) return LENET_INTERRUPTED;
        for (int64_t i = 0; i < b->blocks; i++) {
            loss += b->block_loss[i];
            report->n_errors += b->block_errors[i];
        }
        report->loss = loss / b->weight;
        if (!isfinite(report->loss)) return LENET_NOT_FINITE;
        c->add = b->first_block > 0;
        c->update = c->optimizer && left == b->blocks;
        if (c->update) c->optimizer->step++;
        lenet_reduce(c);
        lap(b, LENET_UPDATE, 0);
    }
    for (int32_t i = 0; i < threads; i++)
        if (!c->finite[i]) return LENET_NOT_FINITE;
    return LENET_OK;
}
