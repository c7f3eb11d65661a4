/* Trains on strings: pictures one position high, of which each lane has one. A block is a group of lanes; the
 * pictures are dealt to them by width, the widest first, so that those of a group are about as wide, and
 * what is narrower is background up to the widest's end, which the loss does not see. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/backward.h"
#include "run/forward.h"
#include "run/open.h"
#include "run/sweep.h"
#include "run/train.h"
#include "strings/criterion.h"

typedef struct string_batch {
    const lenet_plan *plan;      /* the network's own */
    const lenet_lines *given;
    const lenet_string_criterion *criterion;
    const int64_t *order;        /* of the pictures, by width */
    ptrdiff_t criterion_room;    /* floats behind a thread's other memory */
    size_t criterion_size;       /* bytes */
} string_batch;

static int32_t columns_of(const lenet_plan *plan, const lenet_pictures *p, int64_t i)
{
    int32_t positions[2];
    lenet_positions(plan, p->heights[i], p->widths[i], positions);
    return positions[1];
}

/* ---- before a call -------------------------------------------------------------------------- */

static lenet_status check(const lenet_plan *plan, const lenet_lines *s,
                          const lenet_string_criterion *criterion, int64_t n)
{
    lenet_status status = lenet_check_pictures(plan, &s->pictures, n);
    if (status == LENET_OK) status = lenet_check_criterion(criterion, plan->classes);
    for (int64_t i = 0; i < n && status == LENET_OK; i++) {
        const int64_t width = s->pictures.widths[i];
        if (s->pictures.heights[i] > plan->input.height || s->lengths[i] < 0
            || width * plan->input.height > LENET_MAX_STRIP)
            return LENET_BAD_ARGUMENT;
        status = lenet_check_label(criterion, columns_of(plan, &s->pictures, i), plan->classes,
                                   s->labels[i], s->lengths[i]);
    }
    return status;
}

/* What a thread needs: for its plan's layout, and for the criterion. */
typedef struct { ptrdiff_t total, criterion; size_t criterion_bytes; } sizes;

static lenet_status size_up(const lenet_plan *plan, const lenet_lines *s,
                            const lenet_string_criterion *criterion, int64_t n, lenet_plan *wide,
                            sizes *found)
{
    char seen[256] = {0};
    int32_t columns = 1, length = 0;
    *found = (sizes){0, 0, 0};
    for (int64_t i = 0; i < n; i++) {
        const int32_t here = columns_of(plan, &s->pictures, i);
        if (here > columns) columns = here;
        if (s->lengths[i] > length) length = s->lengths[i];
        if (here < 256 && seen[here]) continue;
        if (here < 256) seen[here] = 1;
        lenet_status status = lenet_widen(plan, 1, here, 1, wide);
        if (status != LENET_OK) return status;
        if (wide->layout[1].total > found->total) found->total = wide->layout[1].total;
    }
    found->criterion_bytes = lenet_string_workspace(criterion, columns, plan->classes, length);
    found->criterion = plan_padded((ptrdiff_t)((found->criterion_bytes + 3) / 4));
    return LENET_OK;
}

static int64_t blocks_of(int64_t n) { return ceil_div(n, lenet_kernels_active()->lanes); }

/* The plan of one position that says how large a block is; then each thread's plan and memory, gradients
 * as for images, and the order. */
static size_t workspace_of(const lenet_plan *plan, const sizes *s, int64_t n, int32_t n_threads)
{
    const int64_t blocks = blocks_of(n);
    const int32_t threads = lenet_clamp_threads(n_threads, blocks);
    const int64_t round = round_size(blocks, threads);
    const uint64_t each = (uint64_t)(WIDE_PLAN_FLOATS + s->total + s->criterion);
    const uint64_t gradients
        = (uint64_t)plan_padded(plan->n_parameters) * (uint64_t)(round + (round < blocks));
    return bytes_of_floats(WIDE_PLAN_FLOATS + each * (uint64_t)threads + gradients,
                           (uint64_t)n * sizeof(int64_t));
}

size_t lenet_lines_workspace_size(const lenet_plan *plan, const lenet_lines *strings, int64_t n,
                                  const lenet_string_criterion *criterion, int32_t n_threads)
{
    sizes s;
    if (check(plan, strings, criterion, n) != LENET_OK) return 0;
    lenet_plan *wide = malloc(sizeof *wide);
    if (!wide) return 0;
    const lenet_status status = size_up(plan, strings, criterion, n, wide, &s);
    free(wide);
    return status == LENET_OK ? workspace_of(plan, &s, n, n_threads) : 0;
}

/* Whether picture a goes before b. */
static int goes_first(const string_batch *s, int64_t a, int64_t b)
{
    const int32_t at_a = columns_of(s->plan, &s->given->pictures, a);
    const int32_t at_b = columns_of(s->plan, &s->given->pictures, b);
    return at_a > at_b || (at_a == at_b && a < b);
}

static void sort_by_width(const string_batch *s, int64_t n, int64_t *order)
{
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t gap = n / 2; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11)  /* Shell's */
        for (int64_t i = gap; i < n; i++) {
            const int64_t moved = order[i];
            int64_t k = i;
            for (; k >= gap && goes_first(s, moved, order[k - gap]); k -= gap) order[k] = order[k - gap];
            order[k] = moved;
        }
}

/* ---- a block -------------------------------------------------------------------------------- */

static void load_floats(const batch *b, const picture_part *part, int lane, float *to)
{
    const lenet_pictures *p = &b->strings->given->pictures;
    const lenet_input *input = &b->plan->input;
    const int32_t height = p->heights[part->picture], width = p->widths[part->picture];
    const float *from = p->pixels[part->picture];
    for (int32_t c = 0; c < input->channels; c++, from += (ptrdiff_t)height * width)
        for (int32_t y = 0; y < part->height; y++)
            for (int32_t x = 0; x < part->width; x++, to += b->at->lanes) {
                const int32_t row = part->top + y, column = part->left + x;
                const int is_in = row >= 0 && row < height && column >= 0 && column < width;
                to[lane] = is_in ? from[(ptrdiff_t)row * width + column] : input->background[c];
            }
}

/* Pictures order[first] .. to the lanes, as wide as the widest. */
static void load(const batch *b, float *memory, int64_t first, int n)
{
    const string_batch *s = b->strings;
    const lenet_pictures *p = &s->given->pictures;
    const lenet_input *input = &b->plan->input;
    const ptrdiff_t map = (ptrdiff_t)input->height * input->width;
    float *to = inputs_of(b, memory, 0, 0);
    picture_part parts[LENET_MAX_LANES];
    for (int i = 0; i < n; i++) {
        const int64_t picture = s->order[first + i];
        parts[i] = (picture_part){
            .picture = picture,
            .top = picture_begin(p->heights[picture], s->plan->input.height),
            .left = picture_begin(p->widths[picture], s->plan->input.width),
            .height = input->height,
            .width = input->width};
    }
    if (p->is_float) {
        memset(to, 0, (size_t)(input->channels * map * b->at->lanes) * sizeof *to);
        for (int i = 0; i < n; i++) load_floats(b, &parts[i], i, to);
        return;
    }
    for (int32_t c = 0; c < input->channels; c++, to += map * b->at->lanes) {
        const uint8_t *rows[LENET_MAX_LANES] = {NULL};
        for (int i = 0; i < n; i++) {
            uint8_t *bytes = (uint8_t *)(memory + b->at->distorted) + i * map;
            lenet_cut_bytes(p, &parts[i], c, bytes);
            rows[i] = bytes;
        }
        b->k->load_grey(rows, n, input->height, input->width, input->background[c],
                        input->foreground[c], input->height, input->width, to);
    }
}

/* The flat layers' inputs at n positions from `first` on, or back: their deltas are added to those of the
 * maps that they come from. */
static void cut_windows(const batch *b, float *memory, int32_t first, int n, int back)
{
    const lenet_plan *plan = b->plan;
    const int l = plan->first_flat, lanes = b->at->lanes;
    const net_layer *flat = &plan->layers[l];
    const ptrdiff_t height = l ? plan->layers[l - 1].out_height : plan->input.height;
    const ptrdiff_t width = l ? plan->layers[l - 1].out_width : plan->input.width;
    const ptrdiff_t row = (ptrdiff_t)flat->in_width * lanes;
    float *window = memory + b->at->windows;
    float *maps = back ? memory + b->at->map_deltas : inputs_of(b, memory, l, 0);
    for (int p = 0; p < n; p++)
        for (int32_t map = 0; map < flat->in_maps; map++)
            for (int32_t y = 0; y < flat->in_height; y++, window += row) {
                float *at = maps + ((map * height + y) * width + first + p) * lanes;
                if (!back)
                    memcpy(window, at, (size_t)row * sizeof *at);
                else
                    for (ptrdiff_t i = 0; i < row; i++) at[i] += window[i];
            }
}

/* A flat layer at some positions, each of which is a group: its inputs and outputs. */
static float *flat_inputs(const batch *b, float *memory, int l, int32_t first, layer_call *c)
{
    c->in_stride = c->layer->in_size * b->at->lanes;
    return l == b->plan->first_flat ? memory + b->at->windows : inputs_of(b, memory, l, first);
}

static void flat_forward(const batch *b, float *memory, int32_t first, int n)
{
    layer_call c = begin_calls(b, memory, n);
    cut_windows(b, memory, first, n, 0);
    lap(b, LENET_LOAD, 0);
    for (int l = b->plan->first_flat; l < b->plan->n_layers; l++) {
        call_layer(b, l, &c);
        if (is_stopped(b, memory, c.layer->work * n * b->at->lanes)) return;
        const float *in = flat_inputs(b, memory, l, first, &c);
        c.layer->kind->forward(&c, in, outputs_of(b, memory, l, first));
        lap(b, LENET_FORWARD, l);
    }
}

/* Sets the gradient at the first positions of a block, and adds to it at the others. */
static void flat_back(const batch *b, float *memory, int32_t first, int n, float *gradient)
{
    layer_call c = begin_calls(b, memory, n);
    cut_windows(b, memory, first, n, 0);
    for (int l = b->plan->n_layers - 1; l >= b->plan->first_flat; l--) {
        call_layer_back(b, l, first > 0, gradient, &c);
        if (is_stopped(b, memory, 2.0 * c.layer->work * n * b->at->lanes)) return;
        float *in = flat_inputs(b, memory, l, first, &c);
        c.layer->kind->backward(&c, in, outputs_of(b, memory, l, first));
        lap(b, LENET_BACKWARD_INPUT, l);
    }
    if (b->plan->first_flat) cut_windows(b, memory, first, n, 1);
    lap(b, LENET_LOAD, 0);
}

/* Whether the best class of each position, without repeats and blanks, is the label. */
static int is_spelt(const float *y, int32_t positions, int32_t classes, int is_rbf, int32_t blank,
                    const int32_t *label, int32_t length)
{
    int32_t before = blank, found = 0;
    for (int32_t p = 0; p < positions; p++, y += classes) {
        int32_t best = 0;
        for (int32_t c = 1; c < classes; c++)
            if (is_rbf ? y[c] < y[best] : y[c] > y[best]) best = c;
        if (best != before && best != blank && (found == length || label[found++] != best)) return 0;
        before = best;
    }
    return found == length;
}

/* Replaces the outputs by the gradient of the mean loss for them. */
static void lose(batch *of, const batch *b, float *memory, int64_t block, int64_t first, int n)
{
    const string_batch *s = b->strings;
    const int32_t classes = b->plan->classes, blank = s->criterion->blank;
    const int lanes = b->at->lanes;
    float *evidence = memory + b->at->evidence, *room = memory + b->memory_stride - WIDE_PLAN_FLOATS
                                                        - s->criterion_room;
    for (int i = 0; i < lanes; i++) {
        const int64_t picture = i < n ? s->order[first + i] : 0;
        const int32_t positions = i < n ? columns_of(s->plan, &s->given->pictures, picture) : 0;
        const ptrdiff_t values = (ptrdiff_t)positions * classes;
        float *y = outputs_of(b, memory, b->plan->n_layers - 1, 0) + i;
        for (ptrdiff_t k = 0; k < values; k++) evidence[k] = y[k * lanes];
        if (i < n) {
            const int32_t *label = s->given->labels[picture], length = s->given->lengths[picture];
            double loss;
            of->block_errors[block] += !is_spelt(evidence, positions, classes, b->plan->gives_penalties,
                                                 blank, label, length);
            lenet_status status
                = lenet_lose_string(s->criterion, evidence, positions, classes, label, length, &loss,
                                    evidence, room, s->criterion_size,
                                    is_caller(b, memory) ? b->watch : NULL);
            if (status != LENET_OK) loss = NAN;  /* an output that is not finite, and so is the loss */
            of->block_loss[block] += loss;
        }
        const float scale = 1.0f / (float)b->n;
        for (ptrdiff_t k = 0; k < values; k++) y[k * lanes] = evidence[k] * scale;
        for (ptrdiff_t k = values; k < (ptrdiff_t)b->plan->columns * classes; k++) y[k * lanes] = 0.0f;
    }
}

static void block_gradient(batch *of, int64_t i, float *memory, int add, float *gradient)
{
    const string_batch *s = of->strings;
    int n;
    const int64_t first = block_start(of, i, &n);
    (void)add;  /* blocks are apart */
    const int32_t columns = columns_of(s->plan, &s->given->pictures, s->order[first]);
    lenet_plan *wide = wide_plan_of(memory);
    if (wide->columns != columns) lenet_widen(s->plan, 1, columns, 1, wide);  /* as size_up did */
    batch b = *of;
    b.plan = wide;
    b.at = &wide->layout[1];
    b.memory = is_caller(of, memory) ? memory : NULL;
    b.arranging = memory + b.at->arranging;
    b.arranged = b.arranging;
    lenet_arrange_weights(&b, memory);
    load(&b, memory, first, n);
    lap(&b, LENET_LOAD, 0);
    lenet_run_spatial(&b, memory, 0, 1);
    const int32_t last = (columns - 1) / SWEEP_CHUNK * SWEEP_CHUNK;
    for (int32_t p = 0; p < columns && !is_stopped(&b, memory, 0.0); p += SWEEP_CHUNK)
        flat_forward(&b, memory, p, p == last ? columns - p : SWEEP_CHUNK);
    if (is_stopped(&b, memory, 0.0)) return;
    lose(of, &b, memory, i, first, n);
    lap(&b, LENET_LOSS, 0);
    const int maps = wide->first_flat;
    const size_t deltas = (maps ? (size_t)wide->layers[maps - 1].out_size : 0) * (size_t)b.at->lanes;
    memset(memory + b.at->map_deltas, 0, deltas * sizeof(float));
    for (int32_t p = 0; p < columns && !is_stopped(&b, memory, 0.0); p += SWEEP_CHUNK)
        flat_back(&b, memory, p, p == last ? columns - p : SWEEP_CHUNK, gradient);
    if (is_stopped(&b, memory, 0.0)) return;
    memcpy(inputs_of(&b, memory, maps, 0), memory + b.at->map_deltas, deltas * sizeof(float));
    lenet_run_spatial_back(&b, memory, 1, 0, gradient, lenet_step_back);
    lap(&b, LENET_UPDATE, 0);
}

/* ---- calls ------------------------------------------------------------------------------------ */

/* What a call begins with. */
static lenet_status begin(const lenet_plan *plan, const float *parameters, const lenet_lines *strings,
                          int64_t n, const lenet_string_criterion *criterion, const lenet_run *run,
                          lenet_watch *watch, string_batch *s, batch *b)
{
    sizes found;
    lenet_status status = check(plan, strings, criterion, n);
    if (status != LENET_OK) return status;
    if ((uintptr_t)run->workspace % 64 || run->workspace_size < sizeof(lenet_plan))
        return LENET_NO_MEMORY;
    lenet_plan *one = run->workspace;
    status = size_up(plan, strings, criterion, n, one, &found);
    if (status != LENET_OK) return status;
    if (run->workspace_size < workspace_of(plan, &found, n, run->n_threads)) return LENET_NO_MEMORY;
    const int32_t threads = lenet_clamp_threads(run->n_threads, blocks_of(n));
    const int64_t round = round_size(blocks_of(n), threads);
    lenet_widen(plan, 1, 1, 1, one);
    *s = (string_batch){.plan = plan,
                        .given = strings,
                        .criterion = criterion,
                        .criterion_room = found.criterion,
                        .criterion_size = found.criterion_bytes};
    *b = (batch){.plan = one,
                 .k = lenet_kernels_active(),
                 .at = &one->layout[1],
                 .parameters = parameters,
                 .n = n,
                 .weight = (double)n,
                 .memory = (float *)run->workspace + 2 * WIDE_PLAN_FLOATS,
                 .memory_stride = WIDE_PLAN_FLOATS + found.total + found.criterion,
                 .partial_stride = plan_padded(plan->n_parameters),
                 .apart = 1,
                 .watch = watch,
                 .profile = run->n_threads == 1 ? run->profile : NULL,
                 .strings = s};
    b->partials = memory_of(b, threads) - WIDE_PLAN_FLOATS;
    int64_t *order = (int64_t *)(void *)(b->partials + (round + (round < blocks_of(n))) * b->partial_stride);
    sort_by_width(s, n, order);
    s->order = order;
    for (int32_t t = 0; t < threads; t++)
        wide_plan_of(memory_of(b, t))->columns = 0;
    lenet_watch_run(watch, run);
    if (b->profile) b->profile->last = lenet_seconds();
    return LENET_OK;
}

static lenet_status train(batch *b, const lenet_run *run, reduction *c, lenet_report *report)
{
    return lenet_run_rounds(b, block_gradient, lenet_clamp_threads(run->n_threads, blocks_of(b->n)), c,
                            report);
}

lenet_status lenet_lines_gradient(const lenet_plan *plan, const float *parameters,
                                  const lenet_lines *strings, int64_t n,
                                  const lenet_string_criterion *criterion, float *gradient,
                                  lenet_report *report, const lenet_run *run)
{
    lenet_watch watch;
    string_batch s;
    batch b;
    lenet_status status = begin(plan, parameters, strings, n, criterion, run, &watch, &s, &b);
    if (status != LENET_OK) return status;
    reduction c = {.b = &b, .gradient = gradient};
    return train(&b, run, &c, report);
}

lenet_status lenet_lines_step(const lenet_plan *plan, float *parameters, const lenet_lines *strings,
                              int64_t n, const lenet_string_criterion *criterion,
                              lenet_optimizer *optimizer, lenet_report *report, const lenet_run *run)
{
    lenet_watch watch;
    string_batch s;
    batch b;
    lenet_status status = begin(plan, parameters, strings, n, criterion, run, &watch, &s, &b);
    if (status != LENET_OK) return status;
    if (!lenet_optimizer_is_valid(optimizer, plan->n_parameters)) return LENET_BAD_ARGUMENT;
    const int64_t blocks = blocks_of(n);
    const int64_t round = round_size(blocks, lenet_clamp_threads(run->n_threads, blocks));
    reduction c = {.b = &b,
                   .gradient = b.partials + (round < blocks ? round * b.partial_stride : 0),
                   .optimizer = optimizer,
                   .parameters = parameters};
    return train(&b, run, &c, report);
}
