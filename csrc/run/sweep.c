/* Reads wider and higher pictures (section VII): the spatial layers run over a picture, or a piece of a long
 * one, with its columns in the lanes; the flat ones with its positions in them, those of several short
 * pictures together. */
#include "run/sweep.h"

#include <stdlib.h>
#include <string.h>

#include "run/open.h"
#include "run/single.h"

/* ---- pictures ---------------------------------------------------------------------------- */

static int32_t positions_along(int32_t length, int32_t wanted, int32_t stride)
{
    return length <= wanted ? 1 : 1 + (length - wanted + stride - 1) / stride;
}

void lenet_positions(const lenet_plan *plan, int32_t height, int32_t width, int32_t positions[2])
{
    const int32_t stride = lenet_stride(plan);
    positions[0] = positions_along(height, plan->input.height, stride);
    positions[1] = positions_along(width, plan->input.width, stride);
}

lenet_status lenet_check_pictures(const lenet_plan *plan, const lenet_pictures *pictures, int64_t n)
{
    if (n < 1) return LENET_BAD_ARGUMENT;
    for (int64_t i = 0; i < n; i++)
        if (pictures->heights[i] < 1 || pictures->heights[i] > LENET_MAX_LENGTH
            || pictures->widths[i] < 1 || pictures->widths[i] > LENET_MAX_LENGTH)
            return LENET_BAD_ARGUMENT;
    for (int32_t l = 0; l < plan->first_flat; l++)
        if (plan->layers[l].padding) return LENET_BAD_ARGUMENT;
    return LENET_OK;
}

/* What of a row or a column of a picture lies in a part: `size` of it, from `from` on, go to `to`. */
typedef struct { int32_t from, to, size; } overlap;

static overlap overlap_of(int32_t length, int32_t first, int32_t size)
{
    const int32_t begin = first > 0 ? first : 0, end = first + size < length ? first + size : length;
    return end > begin ? (overlap){begin, begin - first, end - begin} : (overlap){0, 0, 0};
}

void lenet_cut_bytes(const lenet_pictures *pictures, const picture_part *part, int32_t channel,
                     uint8_t *to)
{
    const int32_t height = pictures->heights[part->picture], width = pictures->widths[part->picture];
    const uint8_t *from = (const uint8_t *)pictures->pixels[part->picture]
                          + (ptrdiff_t)channel * height * width;
    const overlap y = overlap_of(height, part->top, part->height);
    const overlap x = overlap_of(width, part->left, part->width);
    memset(to, 0, (size_t)part->height * (size_t)part->width);
    for (int32_t i = 0; i < y.size; i++)
        memcpy(to + (ptrdiff_t)(y.to + i) * part->width + x.to,
               from + (ptrdiff_t)(y.from + i) * width + x.from, (size_t)x.size);
}

void lenet_cut_floats(const lenet_plan *plan, const lenet_pictures *pictures, const picture_part *part,
                      int32_t channel, ptrdiff_t to_row, float *to)
{
    const int32_t height = pictures->heights[part->picture], width = pictures->widths[part->picture];
    const float *from = (const float *)pictures->pixels[part->picture]
                        + (ptrdiff_t)channel * height * width;
    const overlap y = overlap_of(height, part->top, part->height);
    const overlap x = overlap_of(width, part->left, part->width);
    const float background = plan->input.background[channel];
    for (int32_t i = 0; i < part->height; i++, to += to_row) {
        for (int32_t k = 0; k < part->width; k++) to[k] = background;
        memset(to + part->width, 0, (size_t)(to_row - part->width) * sizeof *to);
        if (i >= y.to && i < y.to + y.size)
            memcpy(to + x.to, from + (ptrdiff_t)(y.from + i - y.to) * width + x.from,
                   (size_t)x.size * sizeof *to);
    }
}

/* ---- pieces -------------------------------------------------------------------------------- */

/* Long pictures are read piece by piece, of at most SWEEP_POSITIONS positions; neighbours share the
 * columns that both need. */
typedef struct {
    int64_t picture;  /* which */
    int64_t before;   /* positions of the pictures before it */
    int32_t row;      /* of positions, from which on a piece of it is next, */
    int32_t part;     /* and which of those side by side */
} cursor;

typedef struct {
    int32_t row, rows, column, columns;  /* positions */
    int32_t in_row;                      /* how many the picture has side by side */
} piece;

static int same_place(cursor a, cursor b)
{
    return a.picture == b.picture && a.row == b.row && a.part == b.part;
}

/* The piece at a cursor, which goes on behind it. */
static piece next_piece(const lenet_plan *plan, const lenet_pictures *pictures, cursor *at)
{
    int32_t all[2];
    lenet_positions(plan, pictures->heights[at->picture], pictures->widths[at->picture], all);
    const int32_t parts = (all[1] + SWEEP_POSITIONS - 1) / SWEEP_POSITIONS;
    const int32_t size = all[1] / parts, larger = all[1] % parts;
    const int32_t rows = SWEEP_POSITIONS / (size + (larger > 0)), left = all[0] - at->row;
    const piece p = {.row = at->row,
                     .rows = rows < left ? rows : left,
                     .column = at->part * size + (at->part < larger ? at->part : larger),
                     .columns = size + (at->part < larger),
                     .in_row = all[1]};
    at->part++;
    if (at->part == parts) {
        at->part = 0;
        at->row += p.rows;
    }
    if (at->row == all[0]) {
        at->picture++;
        at->before += (int64_t)all[0] * all[1];
        at->row = 0;
    }
    return p;
}

/* What a call needs: blocks of pieces with at most SWEEP_POSITIONS positions in all, which are a task
 * each; and floats of a thread's memory. */
typedef struct { int64_t blocks; ptrdiff_t total; } survey;

/* starts: NULL, or where each block begins and the last one ends. */
static lenet_status look_over(const lenet_plan *plan, const lenet_pictures *pictures, int64_t n,
                              lenet_plan *wide, cursor *starts, survey *s)
{
    char seen[SWEEP_POSITIONS + 1] = {0};  /* pieces one position high */
    int32_t in_block = SWEEP_POSITIONS;
    *s = (survey){0, 0};
    for (cursor at = {0, 0, 0, 0}, before = at; at.picture < n; before = at) {
        const piece p = next_piece(plan, pictures, &at);
        in_block += p.rows * p.columns;
        if (in_block > SWEEP_POSITIONS) {
            if (starts) starts[s->blocks] = before;
            s->blocks++;
            in_block = p.rows * p.columns;
        }
        if (starts) starts[s->blocks] = at;
        if (p.rows == 1 && seen[p.columns]) continue;
        if (p.rows == 1) seen[p.columns] = 1;
        lenet_status status = lenet_widen(plan, p.rows, p.columns, 0, wide);
        if (status != LENET_OK) return status;
        if (wide->layout[0].total > s->total) s->total = wide->layout[0].total;
    }
    return LENET_OK;
}

static size_t workspace_of(const survey *s, int32_t n_threads)
{
    const uint64_t threads = (uint64_t)lenet_clamp_threads(n_threads, s->blocks);
    return bytes_of_floats(threads * (uint64_t)(WIDE_PLAN_FLOATS + s->total),
                           (uint64_t)(s->blocks + 1) * sizeof(cursor));
}

size_t lenet_sweep_workspace_size(const lenet_plan *plan, const lenet_pictures *pictures, int64_t n,
                                  int32_t n_threads)
{
    survey s;
    if (lenet_check_pictures(plan, pictures, n) != LENET_OK) return 0;
    lenet_plan *wide = malloc(sizeof *wide);
    if (!wide) return 0;
    const lenet_status status = look_over(plan, pictures, n, wide, NULL, &s);
    free(wide);
    return status == LENET_OK ? workspace_of(&s, n_threads) : 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

typedef struct {
    batch b;
    const lenet_pictures *pictures;
    const cursor *starts;
    float *outputs;             /* [position][class], or */
    float *const *activations;  /* of one picture, a layer's outputs each */
} sweep;

/* Puts a piece of a picture into memory. */
static void load_piece(const sweep *s, const batch *b, float *memory, int64_t picture, const piece *p)
{
    const lenet_plan *wide = b->plan;
    const lenet_input *input = &wide->input;
    const int32_t stride = lenet_stride(wide);
    const int32_t height = input->height - (p->rows - 1) * stride;
    const int32_t width = input->width - (p->columns - 1) * stride;
    const picture_part part
        = {.picture = picture,
           .top = picture_begin(s->pictures->heights[picture], height) + p->row * stride,
           .left = picture_begin(s->pictures->widths[picture], width) + p->column * stride,
           .height = input->height,
           .width = input->width};
    const ptrdiff_t row = b->at->buffer[0].layout.stride;
    float *to = inputs_of_one(b, memory, 0);
    for (int32_t c = 0; c < input->channels; c++, to += input->height * row) {
        if (s->pictures->is_float) {
            lenet_cut_floats(wide, s->pictures, &part, c, row, to);
            continue;
        }
        uint8_t *bytes = (uint8_t *)(memory + b->at->distorted);
        lenet_cut_bytes(s->pictures, &part, c, bytes);
        b->k->load_grey_rows(bytes, input->height, input->width, input->background[c],
                             input->foreground[c], input->height, input->width, row, to);
    }
}

/* n neighbours of each feature of a window, from `from` on, to lanes. `whole`: as many as there are
 * lanes may be written. */
static void cut_windows(const net_layer *flat, ptrdiff_t height, ptrdiff_t stride, const float *from,
                        int n, int lanes, int whole, float *to)
{
    for (int32_t map = 0; map < flat->in_maps; map++)
        for (int32_t y = 0; y < flat->in_height; y++) {
            const float *row = from + (map * height + y) * stride;
            for (int32_t x = 0; x < flat->in_width; x++, to += lanes) {
                if (!whole)
                    for (int i = 0; i < n; i++) to[i] = row[x + i];
                else if (lanes == 16)
                    memcpy(to, row + x, 16 * sizeof *to);
                else if (lanes == 8)
                    memcpy(to, row + x, 8 * sizeof *to);
                else
                    memcpy(to, row + x, (size_t)lanes * sizeof *to);
            }
        }
}

/* The windows of a piece's positions to lanes `first` and on of the flat layers' inputs. */
static void gather(const batch *b, float *memory, const piece *p, int first)
{
    const lenet_plan *wide = b->plan;
    const int lanes = b->at->lanes, l = wide->first_flat;
    const net_layer *flat = &wide->layers[l];
    const ptrdiff_t stride = b->at->buffer[l].layout.stride;
    const ptrdiff_t height = l ? wide->layers[l - 1].out_height : wide->input.height;
    for (int32_t row = 0; row < p->rows; row++) {
        for (int32_t x = 0, n; x < p->columns; x += n) {
            const int place = first + row * p->columns + x, lane = place % lanes;
            n = p->columns - x < lanes - lane ? p->columns - x : lanes - lane;
            cut_windows(flat, height, stride, inputs_of_one(b, memory, l) + row * stride + x, n, lanes,
                        lane == 0,
                        memory + b->at->windows + place / lanes * flat->in_size * lanes + lane);
        }
    }
}

/* The wide plan for a piece, unless it is there already. */
static void use_plan(const sweep *s, batch *b, float *memory, const piece *p)
{
    lenet_plan *wide = wide_plan_of(memory);
    if (wide->rows != p->rows || wide->columns != p->columns)
        lenet_widen(s->b.plan, p->rows, p->columns, 0, wide);  /* was checked by look_over */
    b->plan = wide;
    b->at = &wide->layout[0];
}

static void run_flat(const batch *b, float *memory, int groups)
{
    const float *in = memory + b->at->windows;
    layer_call c = begin_calls(b, memory, groups);
    for (int l = b->plan->first_flat; l < b->plan->n_layers; l++) {
        float *out = memory + b->at->buffer[l + 1].lanes;
        call_layer(b, l, &c);
        c.in_stride = c.layer->in_size * b->at->lanes;
        if (is_stopped(b, memory, c.layer->work * groups * b->at->lanes)) return;
        c.layer->kind->forward(&c, in, out);
        lap(b, LENET_FORWARD, l);
        in = out;
    }
}

/* Layer l's outputs of a piece's positions, which have the lanes from `first` on, to rows: that of the
 * position at (0, 0) is `to`, the next one's in its row `size` floats on. */
static void copy_positions(const batch *b, float *memory, int l, const piece *p, int first, float *to)
{
    const int lanes = b->at->lanes, n = p->rows * p->columns;
    const ptrdiff_t size = b->plan->layers[l].out_size, group = b->at->buffer[l + 1].stride;
    for (int i = 0; i < n; i++) {
        const int place = first + i;
        const float *from = memory + b->at->buffer[l + 1].lanes + place / lanes * group + place % lanes;
        const ptrdiff_t row = p->row + i / p->columns, column = p->column + i % p->columns;
        float *at = to + (row * p->in_row + column) * size;
        for (ptrdiff_t k = 0; k < size; k++) at[k] = from[k * lanes];
    }
}

/* Where a spatial layer's value lies, of one picture. */
static float value_of_one(const net_layer *layer, lenet_map_layout layout, const float *maps, int lanes,
                          int32_t map, int32_t y, int32_t x)
{
    const ptrdiff_t height = layer->out_height, width = layer->out_width;
    if (layout.order == LENET_ROWS) return maps[(map * height + y) * layout.stride + x];
    const int groups = lenet_groups(layer->out_maps, lanes);
    return maps[((map % groups * height + y) * width + x) * lanes + map / groups];
}

/* The same with the maps of a spatial layer, to their place in those of the whole picture. */
static void copy_maps(const sweep *s, const batch *b, float *memory, int l, const piece *p, float *to)
{
    const net_layer *layer = &b->plan->layers[l];
    const int32_t stride = lenet_plan_stride(b->plan, l);
    int32_t all[2];
    lenet_positions(s->b.plan, s->pictures->heights[0], s->pictures->widths[0], all);
    const ptrdiff_t height = layer->out_height + (ptrdiff_t)(all[0] - p->rows) * stride;
    const ptrdiff_t width = layer->out_width + (ptrdiff_t)(all[1] - p->columns) * stride;
    const ptrdiff_t top = (ptrdiff_t)p->row * stride, left = (ptrdiff_t)p->column * stride;
    for (int32_t map = 0; map < layer->out_maps; map++)
        for (int32_t y = 0; y < layer->out_height; y++)
            for (int32_t x = 0; x < layer->out_width; x++)
                to[(map * height + top + y) * width + left + x]
                    = value_of_one(layer, b->at->buffer[l + 1].layout, outputs_of_one(b, memory, l),
                                   b->at->lanes, map, y, x);
}

static void copy_activations(const sweep *s, const batch *b, float *memory, const piece *p, int first)
{
    for (int l = 0; l < b->plan->n_layers; l++) {
        float *to = s->activations[l];
        if (!to) continue;
        if (l < b->plan->first_flat)
            copy_maps(s, b, memory, l, p, to);
        else
            copy_positions(b, memory, l, p, first, to);
    }
}

static void sweep_block(void *context, int64_t i, int32_t thread)
{
    const sweep *s = context;
    float *memory = memory_of(&s->b, thread);
    batch b = s->b;
    int n = 0;
    b.memory = thread == 0 ? memory : NULL;
    for (cursor at = s->starts[i]; !same_place(at, s->starts[i + 1]);) {
        const int64_t picture = at.picture;
        const piece p = next_piece(s->b.plan, s->pictures, &at);
        if (is_stopped(&s->b, memory, 0.0)) return;
        use_plan(s, &b, memory, &p);
        lenet_clear_slack(&b, memory, b.plan->first_flat);
        load_piece(s, &b, memory, picture, &p);
        lap(&b, LENET_LOAD, 0);
        lenet_spatial_of_one(&b, memory);
        gather(&b, memory, &p, n);
        lap(&b, LENET_LOAD, 0);
        n += p.rows * p.columns;
        if (is_stopped(&s->b, memory, 0.0)) return;
        if (!s->activations) continue;
        run_flat(&b, memory, (n + b.at->lanes - 1) / b.at->lanes);
        copy_activations(s, &b, memory, &p, n - p.rows * p.columns);
    }
    if (!s->outputs) return;
    run_flat(&b, memory, (n + b.at->lanes - 1) / b.at->lanes);
    if (is_stopped(&s->b, memory, 0.0)) return;
    n = 0;
    for (cursor at = s->starts[i]; !same_place(at, s->starts[i + 1]);) {
        float *to = s->outputs + at.before * b.plan->classes;
        const piece p = next_piece(s->b.plan, s->pictures, &at);
        copy_positions(&b, memory, b.plan->n_layers - 1, &p, n, to);
        n += p.rows * p.columns;
    }
}

static lenet_status run_sweep(const lenet_plan *plan, const float *parameters,
                              const lenet_pictures *pictures, int64_t n, const lenet_run *run, sweep *s)
{
    survey found;
    lenet_watch watch;
    lenet_status status = lenet_check_pictures(plan, pictures, n);
    if (status != LENET_OK) return status;
    if ((uintptr_t)run->workspace % 64 || run->workspace_size < sizeof(lenet_plan))
        return LENET_NO_MEMORY;
    status = look_over(plan, pictures, n, run->workspace, NULL, &found);
    if (status != LENET_OK) return status;
    if (run->workspace_size < workspace_of(&found, run->n_threads)) return LENET_NO_MEMORY;
    const int32_t threads = lenet_clamp_threads(run->n_threads, found.blocks);
    s->b = (batch){.plan = plan,
                   .k = lenet_kernels_active(),
                   .parameters = parameters,
                   .memory = (float *)run->workspace + WIDE_PLAN_FLOATS,
                   .memory_stride = WIDE_PLAN_FLOATS + found.total,
                   .watch = &watch,
                   .profile = run->n_threads == 1 ? run->profile : NULL};
    cursor *starts = (cursor *)(void *)((float *)run->workspace + threads * s->b.memory_stride);
    look_over(plan, pictures, n, run->workspace, starts, &found);
    s->pictures = pictures;
    s->starts = starts;
    for (int32_t t = 0; t < threads; t++)
        wide_plan_of(memory_of(&s->b, t))->rows = 0;
    lenet_watch_run(&watch, run);
    if (s->b.profile) s->b.profile->last = lenet_seconds();
    lenet_watched_for(&watch, plan->work * SWEEP_POSITIONS / 4.0, found.blocks, threads, sweep_block, s);
    return is_stopped(&s->b, s->b.memory, 0.0) ? LENET_INTERRUPTED : LENET_OK;
}

lenet_status lenet_sweep(const lenet_plan *plan, const float *parameters,
                         const lenet_pictures *pictures, int64_t n, float *outputs,
                         const lenet_run *run)
{
    sweep s = {.outputs = outputs};
    return run_sweep(plan, parameters, pictures, n, run, &s);
}

lenet_status lenet_sweep_activations(const lenet_plan *plan, const float *parameters,
                                     const lenet_pictures *picture, float *const *outputs,
                                     const lenet_run *run)
{
    sweep s = {.activations = outputs};
    return run_sweep(plan, parameters, picture, 1, run, &s);
}
