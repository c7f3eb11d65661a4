/* Runs a plan over blocks of images, forward and backward.
 *
 * A block is a fixed number of images, whatever the threads: a thread takes a block, puts its
 * images into lanes and runs all layers on them in memory of its own. Layers before
 * plan->first_flat run one group of lanes after another, so that a group's maps stay in the
 * cache; the flat layers run all groups of a block at once, so that a weight that was read
 * serves them all. Gradients of blocks are added in one order: in pairs, (0 + 1) + (2 + 3) + .. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/batch.h"

enum { UPDATE_CHUNK = 4096 };  /* parameters that are added up or updated at once */

static const double LARGE_IMAGE = 1 << 26;  /* multiply-adds: milliseconds */

static int64_t shares(int64_t n, int64_t size) { return n / size + (n % size != 0); }

int64_t lenet_blocks(int32_t training, int64_t n)
{
    return shares(n, training ? TRAINING_BLOCK : INFERENCE_BLOCK);
}

static int32_t clamp_threads(int32_t n_threads, int64_t blocks)
{
    if (n_threads < 1) n_threads = 1;
    if (n_threads > LENET_MAX_THREADS) n_threads = LENET_MAX_THREADS;
    return n_threads > blocks ? (int32_t)(blocks > 1 ? blocks : 1) : n_threads;
}

static int64_t round_size(int64_t blocks, int32_t threads)
{
    const int64_t most = threads == 1 ? ROUND_ALONE : ROUND;
    return blocks < most ? blocks : most;
}

size_t lenet_workspace_size(const lenet_plan *plan, int32_t training, int64_t n,
                            int32_t n_threads)
{
    if (n < 1) return 0;
    const int64_t blocks = lenet_blocks(training, n);
    const int32_t threads = clamp_threads(n_threads, blocks);
    size_t floats = (size_t)plan->layout[training != 0].total * (size_t)threads;
    floats += (size_t)plan->layout[training != 0].n_transformed;
    if (!training) return floats * sizeof(float);
    /* a gradient for each block of a round, and lenet_step's if there are several rounds */
    const int64_t round = round_size(blocks, threads);
    floats += (size_t)padded(plan->n_parameters) * (size_t)(round + (round < blocks));
    /* what trains may also run forward: inference has larger blocks, but more memory a thread */
    size_t forward = lenet_workspace_size(plan, 0, n, n_threads);
    return floats * sizeof(float) > forward ? floats * sizeof(float) : forward;
}

void lenet_lap(const batch *b, lenet_part part, int layer)
{
    double now = lenet_seconds();
    b->profile->seconds[part][layer] += now - b->profile->last;
    b->profile->last = now;
}

/* ---- forward -------------------------------------------------------------------------------- */

/* Replaces images by distorted copies in the thread's memory. */
static void distort_group(const batch *b, int64_t first, int n, float *memory,
                          const uint8_t **rows)
{
    const lenet_images *images = b->images;
    uint8_t *to = (uint8_t *)(memory + b->at->distorted);
    lenet_distort_some(images->distortion, (uint64_t)first, rows, n, images->height,
                       images->width, to, memory + b->at->distorting, b->watch, is_caller(b, memory));
    for (int i = 0; i < n; i++) rows[i] = to + (ptrdiff_t)i * images->height * images->width;
}

static void load_group(const batch *b, int64_t first, int n, float *memory, int group)
{
    float *input = memory + b->at->input + group * b->at->input_stride;
    const lenet_images *images = b->images;
    const ptrdiff_t size = (ptrdiff_t)images->height * images->width;
    if (images->is_float) {
        const float *rows[LENET_MAX_LANES];
        for (int i = 0; i < n; i++)
            rows[i] = (const float *)images->pixels + index_of(b, first + i) * size;
        b->k->rows_to_lanes(rows, n, size, input);
    } else {
        const uint8_t *rows[LENET_MAX_LANES] = {NULL};
        for (int i = 0; i < n; i++)
            rows[i] = (const uint8_t *)images->pixels + index_of(b, first + i) * size;
        if (images->distortion) distort_group(b, first, n, memory, rows);
        b->k->load_grey(rows, n, images->height, images->width, b->plan->background,
                        b->plan->foreground, b->plan->height, b->plan->width, input);
    }
}

static lenet_pool pool_of(const batch *b, const plan_layer *layer, int keep, int row, float *out)
{
    const ptrdiff_t out_row = (ptrdiff_t)layer->out_width * b->at->lanes;
    const int trained = layer->kind == LENET_SUBSAMPLE;
    return (lenet_pool){.coefficient = trained ? weights_of(b, layer) : NULL,
                        .bias = biases_of(b, layer),
                        .activation = layer->activation,
                        .keep = keep,
                        .out = out + row * out_row,
                        .out_stride = layer->out_height * out_row};
}

/* pool: NULL, or the layer above, for as many rows. */
static void run_conv(const batch *b, int l, const float *in, int row, int n_rows, ptrdiff_t stride,
                     float *memory, float *out, const lenet_pool *pool)
{
    const plan_layer *layer = &b->plan->layers[l];
    const float *bias = biases_of(b, layer);
    if (b->at->transformed[l] >= 0) {
        b->k->winograd_conv(&layer->conv, b->transformed + b->at->transformed[l], bias,
                            layer->activation, in, row, n_rows, stride, memory + b->at->scratch,
                            out, pool);
        lap(b, LENET_FORWARD, l);
        return;
    }
    b->k->conv(&layer->conv, weights_of(b, layer), bias, layer->activation, in, row, n_rows, stride,
               out);
    lap(b, LENET_FORWARD, l);
    if (!pool) return;
    b->k->subsample(layer->out_maps, layer->out_width, pool, out, stride, n_rows / 2);
    lap(b, LENET_FORWARD, l + 1);
}

/* A convolution and the 2x2 layer above it, a few rows at a time: the second finds its input in
 * the cache. keep: the convolution's outputs have room for all rows. */
static void run_conv_and_pool(const batch *b, int l, int keep, const float *in, float *memory,
                              float *between, float *out)
{
    const plan_layer *conv = &b->plan->layers[l], *pool = conv + 1;
    const int lanes = b->at->lanes, width = conv->out_width * lanes, most = b->at->rows[l];
    const int height = pool->out_height * 2;
    const ptrdiff_t stride = (ptrdiff_t)(keep ? conv->out_height : most) * width;
    for (int y = 0; y < height; y += most) {
        const int n_rows = height - y < most ? height - y : most;
        if (is_stopped(b, memory, conv->work * lanes * n_rows / conv->out_height)) return;
        float *rows = between + (keep ? (ptrdiff_t)y * width : 0);
        const lenet_pool above = pool_of(b, pool, keep, y / 2, out);
        run_conv(b, l, in, y, n_rows, stride, memory, rows, &above);
    }
    if (keep && conv->out_height % 2) {
        int last = conv->out_height - 1;
        run_conv(b, l, in, last, 1, stride, memory, between + (ptrdiff_t)last * width, NULL);
    }
}

/* Ends early, as all that follows, when the call is to end. */
static void run_spatial(const batch *b, float *memory, int group, int training)
{
    const lenet_plan *plan = b->plan;
    const lenet_layout *at = b->at;
    const float *in = memory + at->input + group * at->input_stride;
    for (int l = 0; l < plan->first_flat; l++) {
        const plan_layer *layer = &plan->layers[l];
        float *out = memory + at->out[l] + group * at->stride[l];
        const int under_pool = plan_is_under_pool(plan, l);
        if (is_stopped(b, memory, under_pool ? 0.0 : layer->work * at->lanes)) return;
        if (under_pool) {
            float *between = out;
            l++;
            out = memory + at->out[l] + group * at->stride[l];
            run_conv_and_pool(b, l - 1, training, in, memory, between, out);
        } else if (layer->kind == LENET_CONV) {
            run_conv(b, l, in, 0, layer->out_height,
                     (ptrdiff_t)layer->out_height * layer->out_width * at->lanes, memory, out, NULL);
        } else {
            const lenet_pool pool = pool_of(b, layer, 0, 0, out);
            b->k->subsample(layer->out_maps, layer->in_width, &pool, in,
                            (ptrdiff_t)layer->in_height * layer->in_width * at->lanes,
                            layer->out_height);
            lap(b, LENET_FORWARD, l);
        }
        in = out;
    }
}

static void run_flat(const batch *b, float *memory, int groups)
{
    const float *in = memory + b->at->input;
    if (b->plan->first_flat) in = memory + b->at->out[b->plan->first_flat - 1];
    for (int l = b->plan->first_flat; l < b->plan->n_layers; l++) {
        const plan_layer *layer = &b->plan->layers[l];
        lenet_dense_shape s = plan_dense(b->plan, b->at, l, groups);
        float *out = memory + b->at->out[l];
        if (is_stopped(b, memory, layer->work * groups * b->at->lanes)) return;
        if (layer->kind == LENET_RBF)
            b->k->rbf(&s, weights_of(b, layer), in, out);
        else
            b->k->dense(&s, weights_of(b, layer), biases_of(b, layer), layer->activation, in,
                        out);
        lap(b, LENET_FORWARD, l);
        in = out;
    }
}

/* Runs images first .. first + n - 1; returns the number of groups. */
static int run_forward(const batch *b, float *memory, int64_t first, int n, int training)
{
    const int lanes = b->at->lanes, groups = (n + lanes - 1) / lanes;
    for (int g = 0; g < groups; g++) {
        int left = n - g * lanes;
        if (is_stopped(b, memory, 0.0)) break;
        load_group(b, first + g * lanes, left < lanes ? left : lanes, memory, g);
        lap(b, LENET_LOAD, 0);
        run_spatial(b, memory, g, training);
    }
    run_flat(b, memory, groups);
    return groups;
}

/* Copies layer l's outputs of a block to rows of `to`. */
static void copy_out(const batch *b, const float *memory, int l, int64_t first, int n, float *to)
{
    const int lanes = b->at->lanes;
    const ptrdiff_t size = b->plan->layers[l].out_size;
    for (int g = 0; g * lanes < n; g++) {
        float *rows[LENET_MAX_LANES];
        int here = n - g * lanes < lanes ? n - g * lanes : lanes;
        for (int i = 0; i < here; i++) rows[i] = to + (first + g * lanes + i) * size;
        b->k->lanes_to_rows(memory + b->at->out[l] + g * b->at->stride[l], here, size, rows);
    }
}

/* The images of block i of this round. */
static int64_t block_start(const batch *b, int64_t i, int *n)
{
    int64_t first = (b->first_block + i) * b->at->block, left = b->n - first;
    *n = left < b->at->block ? (int)left : b->at->block;
    return first;
}

/* By the size of the call alone: an image's outputs do not depend on its place in it. */
static int runs_one_by_one(const batch *b) { return b->outputs && b->n <= b->k->few; }

static void forward_task(void *context, int64_t i, int32_t thread)
{
    const batch *b = context;
    float *memory = b->memory + thread * b->at->total;
    int n;
    int64_t first = block_start(b, i, &n);
    if (is_stopped(b, memory, 0.0)) return;
    if (runs_one_by_one(b)) {
        const size_t size = (size_t)b->plan->classes * sizeof(float);
        for (int k = 0; k < n; k++)
            memcpy(b->outputs + (first + k) * b->plan->classes,
                   lenet_forward_of_one(b, memory, first + k), size);
        return;
    }
    run_forward(b, memory, first, n, b->activations != NULL);
    if (is_stopped(b, memory, 0.0)) return;
    if (b->outputs) copy_out(b, memory, b->plan->n_layers - 1, first, n, b->outputs);
    for (int l = 0; b->activations && l < b->plan->n_layers; l++)
        if (b->activations[l]) copy_out(b, memory, l, first, n, b->activations[l]);
}

/* ---- backward ------------------------------------------------------------------------------- */

/* As float, and 0 where that would be so small that it slows the multiply-adds down: some
 * processors are slow with numbers below 1e-38, and penalties of 100 are common. */
static float without_dust(double x) { return fabs(x) < 1e-30 ? 0.0f : (float)x; }

void lenet_lose(batch *b, int64_t block, int64_t i, float *y, ptrdiff_t step)
{
    const int64_t label = b->labels[index_of(b, i)];
    lenet_verdict v;
    lenet_judge(b->loss, plan_is_rbf(b->plan), b->plan->classes, y, step, label, &v);
    b->block_loss[block] += v.loss;
    b->block_errors[block] += v.is_error;
    for (int32_t c = 0; c < b->plan->classes; c++)
        y[c * step] = without_dust(lenet_loss_slope(&v, c) / (double)b->n);
}

/* Replaces the outputs of a block by the gradient of the batch's mean loss for them. */
static void run_loss(batch *b, float *memory, int64_t block, int64_t first, int n, int groups)
{
    const int last = b->plan->n_layers - 1, classes = b->plan->classes, lanes = b->at->lanes;
    for (int i = 0; i < groups * lanes; i++) {
        float *out = memory + b->at->out[last] + (i / lanes) * b->at->stride[last] + i % lanes;
        if (i < n)
            lenet_lose(b, block, first + i, out, lanes);
        else
            for (int c = 0; c < classes; c++) out[c * lanes] = 0.0f;
    }
}

/* On entry each layer's outputs, and the last one's deltas, are in memory; a layer's outputs
 * become its deltas when the layer above is done with them. */
static void back_flat(const batch *b, float *memory, int groups, int add, float *gradient)
{
    const lenet_plan *plan = b->plan;
    for (int l = plan->n_layers - 1; l >= plan->first_flat; l--) {
        const plan_layer *layer = &plan->layers[l];
        lenet_dense_shape s = plan_dense(plan, b->at, l, groups);
        const float *delta = memory + b->at->out[l], *w = weights_of(b, layer);
        float *in = memory + (l ? b->at->out[l - 1] : b->at->input);
        int below = activation_below(plan, l);
        if (is_stopped(b, memory, 2.0 * layer->work * groups * b->at->lanes)) return;
        if (layer->kind == LENET_RBF) {
            if (layer->trained)
                b->k->rbf_backward_codes(&s, w, in, delta, add, gradient + layer->weights);
            lap(b, LENET_BACKWARD_WEIGHTS, l);
            if (l) b->k->rbf_backward_input(&s, w, delta, below, in);
        } else {
            b->k->dense_backward_weights(&s, in, delta, memory + b->at->scratch, add,
                                         gradient + layer->weights, gradient + layer->biases);
            lap(b, LENET_BACKWARD_WEIGHTS, l);
            if (l) b->k->dense_backward_input(&s, w, delta, below, in);
        }
        lap(b, LENET_BACKWARD_INPUT, l);
    }
}

/* Adds to dw and db, and turns layer l's inputs into deltas unless they are the images. */
static void back_conv(const batch *b, int l, const float *delta, float *memory, float *in, float *dw,
                      float *db)
{
    const plan_layer *layer = &b->plan->layers[l];
    const lenet_conv_shape *s = &layer->conv;
    const int below = activation_below(b->plan, l), winograd = b->at->transformed[l] >= 0;
    float *scratch = memory + b->at->scratch;
    if (winograd)
        b->k->winograd_backward_weights(s, in, delta, scratch, dw, db);
    else
        b->k->conv_backward_weights(s, in, delta, dw, db);
    lap(b, LENET_BACKWARD_WEIGHTS, l);
    if (is_stopped(b, memory, layer->work * b->at->lanes)) return;
    if (l && winograd)
        b->k->winograd_backward_input(s, b->transformed + b->at->transformed[l], delta, below,
                                      scratch, in);
    else if (l)
        b->k->conv_backward_input(s, weights_of(b, layer), delta, below, in);
}

static void back_spatial(const batch *b, float *memory, int group)
{
    const lenet_plan *plan = b->plan;
    for (int l = plan->first_flat - 1; l >= 0; l--) {
        const plan_layer *layer = &plan->layers[l];
        const float *delta = memory + b->at->out[l] + group * b->at->stride[l];
        float *in = l ? memory + b->at->out[l - 1] + group * b->at->stride[l - 1]
                      : memory + b->at->input + group * b->at->input_stride;
        float *dw = memory + b->at->sums[l];
        float *db = dw + plan_kernel_weights(plan, b->at, l) * b->at->lanes;
        int below = activation_below(plan, l);
        if (is_stopped(b, memory, layer->work * b->at->lanes)) return;
        if (layer->kind == LENET_CONV) {
            back_conv(b, l, delta, memory, in, dw, db);
        } else if (layer->kind == LENET_SUBSAMPLE) {
            b->k->subsample_backward(layer->out_maps, layer->in_height, layer->in_width,
                                     weights_of(b, layer), delta, below, in, dw, db);
        } else if (l) {
            b->k->subsample_backward(layer->out_maps, layer->in_height, layer->in_width, NULL,
                                     delta, below, in, NULL, NULL);
        }
        lap(b, LENET_BACKWARD_INPUT, l);
    }
}

/* The spatial layers' gradients, from what a block's groups have left in each lane. */
static void sum_spatial(const batch *b, float *memory, int add, float *gradient)
{
    const lenet_plan *plan = b->plan;
    for (int l = 0; l < plan->first_flat; l++) {
        const plan_layer *layer = &plan->layers[l];
        const float *sums = memory + b->at->sums[l];
        const ptrdiff_t n = plan_kernel_weights(plan, b->at, l);
        if (layer->weights < 0) continue;
        if (b->at->transformed[l] >= 0) {
            float *transformed = memory + b->at->scratch;
            b->k->sum_lanes(sums, n, 0, transformed);
            b->k->winograd_gradient(&layer->conv, transformed, add, gradient + layer->weights);
        } else {
            b->k->sum_lanes(sums, n, add, gradient + layer->weights);
        }
        b->k->sum_lanes(sums + n * b->at->lanes, layer->n_biases, add, gradient + layer->biases);
    }
}

/* The gradient of block i of this round, to its place among the partials or onto the block before. */
static void block_gradient(batch *b, int64_t i, float *memory)
{
    const int add = b->by_pairs && i % 2;
    float *own = b->partials + i * b->partial_stride, *gradient = add ? own - b->partial_stride : own;
    int n;
    int64_t first = block_start(b, i, &n);
    b->block_loss[i] = 0.0;
    b->block_errors[i] = 0;
    if (n <= b->k->few_in_training && b->at->has_one) {
        /* the images of a block are always added up first: the same bits with and without `add` */
        float *sum = n > 1 ? own : gradient;
        for (int m = 0; m < n && !is_stopped(b, memory, 0.0); m++)
            lenet_gradient_of_one(b, memory, i, first + m, m > 0 || (add && sum == gradient), sum);
        if (sum != gradient)
            b->k->sum_partials(sum, 0, 1, 1, b->plan->n_parameters, gradient);
        return;
    }
    int groups = run_forward(b, memory, first, n, 1);
    if (is_stopped(b, memory, 0.0)) return;
    run_loss(b, memory, i, first, n, groups);
    lap(b, LENET_LOSS, 0);
    back_flat(b, memory, groups, add, gradient);
    memset(memory + b->at->lane_sums, 0, (size_t)b->at->n_lane_sums * sizeof(float));
    /* the last group first: its maps are still in the cache */
    for (int g = groups - 1; g >= 0; g--) back_spatial(b, memory, g);
    sum_spatial(b, memory, add, gradient);
    lap(b, LENET_UPDATE, 0);
}

static void gradient_task(void *context, int64_t i, int32_t thread)
{
    batch *b = context;
    const int64_t size = b->by_pairs ? 2 : 1, left = b->blocks - i * size;
    float *memory = b->memory + thread * b->at->total;
    for (int64_t k = 0; k < size && k < left && !is_stopped(b, memory, 0.0); k++)
        block_gradient(b, i * size + k, memory);
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* Checks what every call has in common, and fills a batch. */
static lenet_status open_batch(const lenet_plan *plan, const float *parameters,
                               const lenet_images *images, int64_t n, const lenet_run *run,
                               int training, lenet_watch *watch, batch *b)
{
    if (n < 1 || images->height < 1 || images->width < 1 || images->height > plan->height
        || images->width > plan->width)
        return LENET_BAD_ARGUMENT;
    if (images->is_float && (images->height != plan->height || images->width != plan->width))
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
                 .profile = run->n_threads == 1 ? run->profile : NULL};
    lenet_watch_run(watch, run);
    if (b->profile) b->profile->last = lenet_seconds();
    return LENET_OK;
}

/* Once a call, for all threads. */
static void transform_weights(const batch *b)
{
    for (int l = 0; l < b->plan->first_flat; l++)
        if (b->at->transformed[l] >= 0)
            b->k->winograd_weights(&b->plan->layers[l].conv, weights_of(b, &b->plan->layers[l]),
                                   b->transformed + b->at->transformed[l]);
}

static lenet_status run_forward_tasks(batch *b, const lenet_run *run, int training)
{
    const int64_t blocks = lenet_blocks(training, b->n);
    const int32_t threads = clamp_threads(run->n_threads, blocks);
    if (b->images->distortion) return LENET_BAD_ARGUMENT;
    b->transformed = b->memory + b->at->total * threads;
    if (!runs_one_by_one(b)) transform_weights(b);  /* those need none */
    lenet_watched_for(b->watch, b->plan->work * b->at->block, blocks, threads, forward_task, b);
    return is_stopped(b, b->memory, 0.0) ? LENET_INTERRUPTED : LENET_OK;
}

lenet_status lenet_forward(const lenet_plan *plan, const float *parameters,
                           const lenet_images *images, int64_t n, float *outputs,
                           const lenet_run *run)
{
    lenet_watch watch;
    batch b;
    lenet_status status = open_batch(plan, parameters, images, n, run, 0, &watch, &b);
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
    lenet_status status = open_batch(plan, parameters, images, n, run, 1, &watch, &b);
    if (status != LENET_OK) return status;
    b.activations = outputs;
    return run_forward_tasks(&b, run, 1);
}

/* Adding up and updating are cut into chunks of parameters: each is a sum of its own, so the
 * threads change nothing. */
typedef struct chunks {
    const batch *b;
    int32_t n_tasks;
    int add, update;
    float *gradient;
    lenet_optimizer *optimizer;      /* NULL: only the gradient is wanted */
    float *parameters;
    char finite[LENET_MAX_THREADS];  /* by thread */
} chunks;

static ptrdiff_t chunk_size(const chunks *c, int64_t i)
{
    ptrdiff_t left = c->b->plan->n_parameters - i * UPDATE_CHUNK;
    return left < UPDATE_CHUNK ? left : UPDATE_CHUNK;
}

/* Adds the partials of a round up, or adds them to the rounds before; the pairs first, unless the
 * blocks have made them. */
static void add_chunk(chunks *c, int64_t i, int32_t thread)
{
    const batch *b = c->b;
    const ptrdiff_t first = i * UPDATE_CHUNK, n = chunk_size(c, i), stride = b->partial_stride;
    float *partials = b->partials + first;
    for (int64_t k = 0; !b->by_pairs && k + 1 < b->blocks; k += 2)
        b->k->sum_partials(partials + k * stride, stride, 2, 0, n, partials + k * stride);
    if (!b->k->sum_partials(partials, 2 * stride, (int)(b->blocks + 1) / 2, c->add, n,
                            c->gradient + first))
        c->finite[thread] = 0;
}

static void update_chunk(chunks *c, int64_t i, int32_t thread)
{
    const lenet_kernels *k = c->b->k;
    const lenet_optimizer *o = c->optimizer;
    const int64_t end = i * UPDATE_CHUNK + chunk_size(c, i);
    int64_t first = i * UPDATE_CHUNK;
    for (int32_t r = 0; r <= o->n_frozen; r++) {  /* what lies before frozen range r, then past it */
        int64_t stop = r < o->n_frozen && o->frozen[2 * r] < end ? o->frozen[2 * r] : end;
        if (stop > first) {
            int finite = (o->kind == LENET_SGD    ? k->update_sgd
                          : o->kind == LENET_ADAM ? k->update_adam
                                                  : k->update_sdlm)(
                o, c->gradient, first, stop - first, c->parameters);
            if (!finite) c->finite[thread] = 0;
        }
        if (stop == end) break;
        if (o->frozen[2 * r + 1] > first) first = o->frozen[2 * r + 1];
    }
}

/* One task a thread, of neighbouring chunks: mostly the same as at the update before, so that what a
 * thread needs is in its cache. */
static void chunks_task(void *context, int64_t i, int32_t thread)
{
    chunks *c = context;
    const int64_t n = shares(c->b->plan->n_parameters, UPDATE_CHUNK), end = (i + 1) * n / c->n_tasks;
    for (int64_t k = i * n / c->n_tasks; k < end; k++) {
        add_chunk(c, k, thread);
        if (c->update) update_chunk(c, k, thread);
    }
}

/* Gradient of the mean loss over the batch into c->gradient; with an optimizer, its step in the
 * same pass over the parameters, once the loss is known. */
static lenet_status train(batch *b, const lenet_run *run, chunks *c, lenet_report *report)
{
    const int64_t blocks = lenet_blocks(1, b->n);
    const int32_t threads = clamp_threads(run->n_threads, blocks);
    double loss = 0.0;
    report->n_errors = 0;
    memset(c->finite, 1, sizeof c->finite);
    c->n_tasks = threads;
    if (b->n > b->k->few_in_training || !b->at->has_one) transform_weights(b);
    for (int64_t left = blocks; left; left -= b->blocks) {
        b->first_block = blocks - left;
        b->blocks = round_size(left, threads);
        const int64_t pairs = (b->blocks + 1) / 2;
        /* half as many gradients to write and to fetch, unless a thread then has more blocks to run */
        b->by_pairs = 2 * shares(pairs, threads) <= shares(b->blocks, threads) || threads == 1;
        lenet_watched_for(b->watch, 3.0 * b->plan->work * b->at->block,
                          b->by_pairs ? pairs : b->blocks, threads, gradient_task, b);
        if (is_stopped(b, b->memory, 0.0)) return LENET_INTERRUPTED;
        for (int64_t i = 0; i < b->blocks; i++) {
            loss += b->block_loss[i];
            report->n_errors += b->block_errors[i];
        }
        report->loss = loss / (double)b->n;
        if (!isfinite(report->loss)) return LENET_NOT_FINITE;
        c->add = b->first_block > 0;
        c->update = c->optimizer && left == b->blocks;
        if (c->update) c->optimizer->step++;
        lenet_parallel_for(threads, threads, chunks_task, c);
        lap(b, LENET_UPDATE, 0);
    }
    for (int32_t i = 0; i < threads; i++)
        if (!c->finite[i]) return LENET_NOT_FINITE;
    return LENET_OK;
}

static int frozen_is_valid(const lenet_optimizer *o, ptrdiff_t n_parameters)
{
    int64_t after = 0;
    if (o->n_frozen < 0 || (o->n_frozen && !o->frozen)) return 0;
    for (int32_t r = 0; r < o->n_frozen; r++) {
        if (o->frozen[2 * r] < after || o->frozen[2 * r + 1] < o->frozen[2 * r]) return 0;
        after = o->frozen[2 * r + 1];
    }
    return after <= n_parameters;
}

static lenet_status open_training(const lenet_plan *plan, const float *parameters,
                                  const lenet_images *images, const int64_t *labels, int64_t n,
                                  const lenet_loss *loss, const lenet_run *run,
                                  lenet_watch *watch, batch *b)
{
    lenet_status status = open_batch(plan, parameters, images, n, run, 1, watch, b);
    if (status != LENET_OK) return status;
    if (images->distortion) {
        if (images->is_float) return LENET_BAD_ARGUMENT;
        status = lenet_distortion_check(images->distortion);
        if (status != LENET_OK) return status;
    }
    b->labels = labels;
    b->loss = loss;
    b->partial_stride = padded(plan->n_parameters);
    /* the shared memory lies behind the threads' own: transformed weights, gradients of the blocks,
     * and lenet_step's */
    b->transformed = b->memory + b->at->total * clamp_threads(run->n_threads, lenet_blocks(1, n));
    b->partials = b->transformed + b->at->n_transformed;
    return lenet_check_loss(plan, loss, images->order, labels, n);
}

lenet_status lenet_gradient(const lenet_plan *plan, const float *parameters,
                            const lenet_images *images, const int64_t *labels, int64_t n,
                            const lenet_loss *loss, float *gradient, lenet_report *report,
                            const lenet_run *run)
{
    lenet_watch watch;
    batch b;
    lenet_status status = open_training(plan, parameters, images, labels, n, loss, run, &watch, &b);
    if (status != LENET_OK) return status;
    chunks c = {.b = &b, .gradient = gradient};
    return train(&b, run, &c, report);
}

lenet_status lenet_step(const lenet_plan *plan, float *parameters, const lenet_images *images,
                        const int64_t *labels, int64_t n, const lenet_loss *loss,
                        lenet_optimizer *optimizer, lenet_report *report, const lenet_run *run)
{
    lenet_watch watch;
    batch b;
    lenet_status status = open_training(plan, parameters, images, labels, n, loss, run, &watch, &b);
    if (status != LENET_OK) return status;
    if ((optimizer->kind == LENET_ADAM && !(optimizer->first && optimizer->second))
        || (optimizer->kind == LENET_SGD && optimizer->momentum != 0.0f && !optimizer->first)
        || (optimizer->kind == LENET_SDLM && !optimizer->first)
        || optimizer->kind < LENET_SGD || optimizer->kind > LENET_SDLM
        || !frozen_is_valid(optimizer, plan->n_parameters))
        return LENET_BAD_ARGUMENT;
    const int64_t blocks = lenet_blocks(1, n);
    const int64_t round = round_size(blocks, clamp_threads(run->n_threads, blocks));
    chunks c = {.b = &b,
                /* with one round, onto the first block's, which is in a cache */
                .gradient = b.partials + (round < blocks ? round * b.partial_stride : 0),
                .optimizer = optimizer,
                .parameters = parameters};
    /* in one go, which cannot be ended once the first weights have changed: other than with a gradient
     * first, which gives the same bits */
    if (n == 1 && b.at->has_one && optimizer->kind == LENET_SGD && !optimizer->first
        && !optimizer->n_frozen && plan->work < LARGE_IMAGE) {
        status = lenet_step_of_one(&b, optimizer, parameters, c.gradient);
        *report = (lenet_report){b.block_loss[0], b.block_errors[0]};
        optimizer->step += isfinite(report->loss) != 0;
        return status;
    }
    return train(&b, run, &c, report);
}
