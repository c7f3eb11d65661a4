/* Single kernels on rows of (maps, height, width), one group of lanes after another: the same
 * kernels that the network runs, for study and for tests. */
#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"

/* Cuts the caller's workspace into buffers. */
typedef struct {
    float *next;
    lenet_watch watch;  /* of the call */
} arena;

static size_t lanes_size(ptrdiff_t features)
{
    return ((size_t)features * LENET_MAX_LANES + 32) * sizeof(float);
}

static float *take(arena *p, ptrdiff_t features)
{
    float *here = p->next;
    p->next += lanes_size(features) / sizeof(float);
    return here;
}

static lenet_status open_arena(void *workspace, size_t size, size_t needed, arena *p)
{
    lenet_watch_host(&p->watch);
    lenet_status ready = lenet_init();
    if (ready != LENET_OK) return ready;
    if (size < needed || (uintptr_t)workspace % 64) return LENET_NO_MEMORY;
    p->next = workspace;
    memset(workspace, 0, needed);  /* sums over lanes begin at 0 */
    return LENET_OK;
}

/* Whether the call is to end, which is about to do so many multiply-adds for one image. */
static int is_stopped(const lenet_kernels *k, lenet_watch *watch, double work)
{
    return lenet_stopped(watch, 1, work * k->lanes);
}

static lenet_status ended(arena *p)
{
    return lenet_stopped(&p->watch, 1, 0.0) ? LENET_INTERRUPTED : LENET_OK;
}

/* Images first .. of `rows` (n of them, `size` floats each) to lanes; returns how many. */
static int to_lanes(const lenet_kernels *k, const float *rows, int64_t first, int64_t n,
                    ptrdiff_t size, float *lanes)
{
    const float *from[LENET_MAX_LANES];
    int here = n - first < k->lanes ? (int)(n - first) : k->lanes;
    for (int i = 0; i < here; i++) from[i] = rows + (first + i) * size;
    k->rows_to_lanes(from, here, size, lanes);
    return here;
}

static void to_rows(const lenet_kernels *k, const float *lanes, int64_t first, int n,
                    ptrdiff_t size, float *rows)
{
    float *to[LENET_MAX_LANES];
    for (int i = 0; i < n; i++) to[i] = rows + (first + i) * size;
    k->lanes_to_rows(lanes, n, size, to);
}

/* ---- convolution ---------------------------------------------------------------------------- */

typedef struct {
    lenet_conv_shape shape;
    int32_t *memory;
    ptrdiff_t in_size, out_size, n_weights;
} conv_plan;

static lenet_status open_conv(const lenet_conv_call *call, conv_plan *c)
{
    const lenet_conv_shape *s = &c->shape;
    lenet_status status = lenet_connect(call, &c->shape, &c->memory);
    if (status != LENET_OK) {
        free(c->memory);
        return status;
    }
    c->in_size = (ptrdiff_t)s->in_maps * s->in_height * s->in_width;
    c->out_size = (ptrdiff_t)s->out_maps * s->out_height * s->out_width;
    c->n_weights = (ptrdiff_t)s->first[s->out_maps] * s->kernel * s->kernel;
    return LENET_OK;
}

static size_t conv_workspace(const conv_plan *c)
{
    return lanes_size(c->in_size) + lanes_size(c->out_size) + lanes_size(c->n_weights)
           + lanes_size(c->shape.out_maps);
}

static double conv_work(const conv_plan *c)
{
    return (double)c->n_weights * c->shape.out_height * c->shape.out_width + (double)c->in_size;
}

/* Opens both; what it leaves in c->memory is the caller's to free, unless it fails. */
static lenet_status begin_conv(const lenet_conv_call *call, void *workspace, size_t size,
                               conv_plan *c, arena *p)
{
    lenet_status status = open_conv(call, c);
    if (status != LENET_OK) return status;
    status = open_arena(workspace, size, conv_workspace(c), p);
    if (status != LENET_OK) free(c->memory);
    return status;
}

size_t lenet_conv_workspace(const lenet_conv_call *call)
{
    conv_plan c;
    if (open_conv(call, &c) != LENET_OK) return 0;
    size_t size = conv_workspace(&c);
    free(c.memory);
    return size;
}

lenet_status lenet_conv(const lenet_conv_call *call, const float *x, const float *weights,
                        const float *bias, int64_t n, float *y, void *workspace, size_t size)
{
    const lenet_kernels *k = lenet_kernels_active();
    conv_plan c;
    arena p;
    lenet_status status = begin_conv(call, workspace, size, &c, &p);
    if (status != LENET_OK) return status;
    float *in = take(&p, c.in_size), *out = take(&p, c.out_size);
    const ptrdiff_t map = (ptrdiff_t)c.shape.out_height * c.shape.out_width * k->lanes;
    const double work = conv_work(&c);
    for (int64_t i = 0; i < n && !is_stopped(k, &p.watch, work); i += k->lanes) {
        int here = to_lanes(k, x, i, n, c.in_size, in);
        k->conv(&c.shape, weights, bias, LENET_IDENTITY, in, 0, c.shape.out_height, map, out);
        to_rows(k, out, i, here, c.out_size, y);
    }
    free(c.memory);
    return ended(&p);
}

lenet_status lenet_conv_backward(const lenet_conv_call *call, const float *x,
                                 const float *weights, const float *dy, int64_t n, float *dx,
                                 float *dw, float *db, void *workspace, size_t size)
{
    const lenet_kernels *k = lenet_kernels_active();
    conv_plan c;
    arena p;
    lenet_status status = begin_conv(call, workspace, size, &c, &p);
    if (status != LENET_OK) return status;
    float *in = take(&p, c.in_size), *delta = take(&p, c.out_size);
    float *dw_lanes = take(&p, c.n_weights), *db_lanes = take(&p, c.shape.out_maps);
    const double work = 2.0 * conv_work(&c);
    for (int64_t i = 0; i < n && !is_stopped(k, &p.watch, work); i += k->lanes) {
        int here = to_lanes(k, x, i, n, c.in_size, in);
        to_lanes(k, dy, i, n, c.out_size, delta);
        k->conv_backward_weights(&c.shape, in, delta, dw_lanes, db_lanes);
        if (dx) {
            k->conv_backward_input(&c.shape, weights, delta, LENET_IDENTITY, in);
            to_rows(k, in, i, here, c.in_size, dx);
        }
    }
    k->sum_lanes(dw_lanes, c.n_weights, 0, dw);
    k->sum_lanes(db_lanes, c.shape.out_maps, 0, db);
    free(c.memory);
    return ended(&p);
}

/* ---- subsampling ---------------------------------------------------------------------------- */

static int bad_subsample(int32_t maps, int32_t height, int32_t width)
{
    return maps < 1 || maps > LENET_MAX_MAPS || height < 2 || width < 2
           || height > LENET_MAX_SIDE || width > LENET_MAX_SIDE;
}

size_t lenet_subsample_workspace(int32_t maps, int32_t height, int32_t width)
{
    if (bad_subsample(maps, height, width)) return 0;
    ptrdiff_t in_size = (ptrdiff_t)maps * height * width;
    return lanes_size(in_size) + lanes_size(in_size / 4 + 1) + 2 * lanes_size(maps);
}

lenet_status lenet_subsample(int32_t maps, int32_t height, int32_t width, const float *x,
                             const float *coefficient, const float *bias, int64_t n, float *y,
                             void *workspace, size_t size)
{
    const lenet_kernels *k = lenet_kernels_active();
    const ptrdiff_t in_map = (ptrdiff_t)height * width;
    const ptrdiff_t out_map = (ptrdiff_t)(height / 2) * (width / 2);
    arena p;
    if (bad_subsample(maps, height, width)) return LENET_BAD_ARGUMENT;
    lenet_status status = open_arena(workspace, size,
                                    lenet_subsample_workspace(maps, height, width), &p);
    if (status != LENET_OK) return status;
    float *in = take(&p, maps * in_map), *out = take(&p, maps * out_map);
    const lenet_pool pool = {.coefficient = coefficient, .bias = bias, .activation = LENET_IDENTITY,
                             .out = out, .out_stride = out_map * k->lanes};
    const double work = 4.0 * maps * (double)in_map;
    for (int64_t i = 0; i < n && !is_stopped(k, &p.watch, work); i += k->lanes) {
        int here = to_lanes(k, x, i, n, maps * in_map, in);
        k->subsample(maps, width, &pool, in, in_map * k->lanes, height / 2);
        to_rows(k, out, i, here, maps * out_map, y);
    }
    return ended(&p);
}

lenet_status lenet_subsample_backward(int32_t maps, int32_t height, int32_t width,
                                      const float *x, const float *coefficient,
                                      const float *dy, int64_t n, float *dx,
                                      float *dcoefficient, float *dbias, void *workspace,
                                      size_t size)
{
    const lenet_kernels *k = lenet_kernels_active();
    const ptrdiff_t in_size = (ptrdiff_t)maps * height * width;
    const ptrdiff_t out_size = (ptrdiff_t)maps * (height / 2) * (width / 2);
    arena p;
    if (bad_subsample(maps, height, width)) return LENET_BAD_ARGUMENT;
    lenet_status status = open_arena(workspace, size,
                                    lenet_subsample_workspace(maps, height, width), &p);
    if (status != LENET_OK) return status;
    float *in = take(&p, in_size), *delta = take(&p, out_size);
    float *dc_lanes = take(&p, maps), *db_lanes = take(&p, maps);
    const double work = 8.0 * (double)in_size;
    for (int64_t i = 0; i < n && !is_stopped(k, &p.watch, work); i += k->lanes) {
        int here = to_lanes(k, x, i, n, in_size, in);
        to_lanes(k, dy, i, n, out_size, delta);
        k->subsample_backward(maps, height, width, coefficient, delta, LENET_IDENTITY, in,
                              dc_lanes, db_lanes);
        to_rows(k, in, i, here, in_size, dx);
    }
    k->sum_lanes(dc_lanes, maps, 0, dcoefficient);
    k->sum_lanes(db_lanes, maps, 0, dbias);
    return ended(&p);
}

/* ---- dense layers and RBF ------------------------------------------------------------------- */

static int bad_dense(int32_t inputs, int32_t outputs)
{
    return inputs < 1 || outputs < 1 || inputs > LENET_MAX_MAPS || outputs > LENET_MAX_MAPS;
}

static lenet_dense_shape one_group(const lenet_kernels *k, int32_t inputs, int32_t outputs)
{
    return (lenet_dense_shape){.inputs = inputs,
                               .outputs = outputs,
                               .groups = 1,
                               .in_stride = (ptrdiff_t)inputs * k->lanes,
                               .out_stride = (ptrdiff_t)outputs * k->lanes};
}

/* Features of scratch for the weights' gradient. */
static ptrdiff_t dense_scratch(int32_t inputs, int32_t outputs)
{
    const lenet_dense_shape s = {.inputs = inputs, .outputs = outputs, .groups = 1};
    return (ptrdiff_t)(lenet_dense_scratch(&s) / LENET_MAX_LANES);
}

size_t lenet_dense_workspace(int32_t inputs, int32_t outputs)
{
    if (bad_dense(inputs, outputs)) return 0;
    return lanes_size(inputs) + lanes_size(outputs) + lanes_size(dense_scratch(inputs, outputs));
}

size_t lenet_rbf_workspace(int32_t inputs, int32_t classes)
{
    return lenet_dense_workspace(inputs, classes);
}

/* Without a bias the weights are the codes of RBF units. */
static lenet_status forward(int32_t inputs, int32_t outputs, const float *x, const float *weights,
                            const float *bias, int64_t n, float *y, void *workspace, size_t size)
{
    const lenet_kernels *k = lenet_kernels_active();
    arena p;
    if (bad_dense(inputs, outputs)) return LENET_BAD_ARGUMENT;
    lenet_status status = open_arena(workspace, size, lenet_dense_workspace(inputs, outputs), &p);
    if (status != LENET_OK) return status;
    const lenet_dense_shape s = one_group(k, inputs, outputs);
    float *in = take(&p, inputs), *out = take(&p, outputs);
    const double work = (double)inputs * outputs;
    for (int64_t i = 0; i < n && !is_stopped(k, &p.watch, work); i += k->lanes) {
        int here = to_lanes(k, x, i, n, inputs, in);
        if (bias)
            k->dense(&s, weights, bias, LENET_IDENTITY, in, out);
        else
            k->rbf(&s, weights, in, out);
        to_rows(k, out, i, here, outputs, y);
    }
    return ended(&p);
}

/* Without db the weights are the codes of RBF units. */
static lenet_status backward(int32_t inputs, int32_t outputs, const float *x,
                             const float *weights, const float *dy, int64_t n, float *dx,
                             float *dw, float *db, void *workspace, size_t size)
{
    const lenet_kernels *k = lenet_kernels_active();
    arena p;
    if (bad_dense(inputs, outputs)) return LENET_BAD_ARGUMENT;
    lenet_status status = open_arena(workspace, size, lenet_dense_workspace(inputs, outputs), &p);
    if (status != LENET_OK) return status;
    const lenet_dense_shape s = one_group(k, inputs, outputs);
    float *in = take(&p, inputs), *delta = take(&p, outputs);
    float *scratch = take(&p, dense_scratch(inputs, outputs));
    memset(dw, 0, (size_t)inputs * (size_t)outputs * sizeof *dw);
    if (db) memset(db, 0, (size_t)outputs * sizeof *db);
    const double work = 2.0 * inputs * outputs;
    for (int64_t i = 0; i < n && !is_stopped(k, &p.watch, work); i += k->lanes) {
        int here = to_lanes(k, x, i, n, inputs, in);
        to_lanes(k, dy, i, n, outputs, delta);
        if (db) {
            k->dense_backward_weights(&s, in, delta, scratch, 1, dw, db);
            k->dense_backward_input(&s, weights, delta, LENET_IDENTITY, in);
        } else {
            k->rbf_backward_codes(&s, weights, in, delta, 1, dw);
            k->rbf_backward_input(&s, weights, delta, LENET_IDENTITY, in);
        }
        to_rows(k, in, i, here, inputs, dx);
    }
    return ended(&p);
}

lenet_status lenet_dense(int32_t inputs, int32_t outputs, const float *x, const float *weights,
                         const float *bias, int64_t n, float *y, void *workspace, size_t size)
{
    if (!bias) return LENET_BAD_ARGUMENT;
    return forward(inputs, outputs, x, weights, bias, n, y, workspace, size);
}

lenet_status lenet_dense_backward(int32_t inputs, int32_t outputs, const float *x,
                                  const float *weights, const float *dy, int64_t n, float *dx,
                                  float *dw, float *db, void *workspace, size_t size)
{
    if (!db) return LENET_BAD_ARGUMENT;
    return backward(inputs, outputs, x, weights, dy, n, dx, dw, db, workspace, size);
}

lenet_status lenet_rbf(int32_t inputs, int32_t classes, const float *x, const float *codes,
                       int64_t n, float *y, void *workspace, size_t size)
{
    return forward(inputs, classes, x, codes, NULL, n, y, workspace, size);
}

lenet_status lenet_rbf_backward(int32_t inputs, int32_t classes, const float *x,
                                const float *codes, const float *dy, int64_t n, float *dx,
                                float *dcodes, void *workspace, size_t size)
{
    return backward(inputs, classes, x, codes, dy, n, dx, dcodes, NULL, workspace, size);
}

/* ---- squashing ------------------------------------------------------------------------- */

enum { SQUASHED = 1 << 18 };  /* values between two looks for an interrupt: whole vectors */

static lenet_status check_squash(int32_t activation)
{
    if (activation < LENET_IDENTITY || activation > LENET_RELU) return LENET_BAD_ARGUMENT;
    return lenet_init();
}

lenet_status lenet_squash(int32_t activation, const float *a, int64_t n, float *y)
{
    lenet_status status = check_squash(activation);
    if (status != LENET_OK) return status;
    const lenet_kernels *k = lenet_kernels_active();
    lenet_watch watch;
    lenet_watch_host(&watch);
    for (int64_t i = 0; i < n; i += SQUASHED) {
        if (lenet_stopped(&watch, 1, 16.0 * SQUASHED)) return LENET_INTERRUPTED;
        k->squash(activation, a + i, (ptrdiff_t)(n - i < SQUASHED ? n - i : SQUASHED), y + i);
    }
    return LENET_OK;
}

lenet_status lenet_squash_backward(int32_t activation, const float *y, const float *dy,
                                   int64_t n, float *da)
{
    lenet_status status = check_squash(activation);
    if (status != LENET_OK) return status;
    const lenet_kernels *k = lenet_kernels_active();
    lenet_watch watch;
    lenet_watch_host(&watch);
    for (int64_t i = 0; i < n; i += SQUASHED) {
        if (lenet_stopped(&watch, 1, 16.0 * SQUASHED)) return LENET_INTERRUPTED;
        k->squash_backward(activation, y + i, dy + i,
                           (ptrdiff_t)(n - i < SQUASHED ? n - i : SQUASHED), da + i);
    }
    return LENET_OK;
}

double lenet_multiply_adds(int64_t rounds, int32_t loads)
{
    _Alignas(64) float sink[7 * LENET_MAX_LANES] = {0.999f, 0.001f};
    for (int i = 2; i < 7 * LENET_MAX_LANES; i++) sink[i] = sink[1];
    return (double)rounds * lenet_kernels_active()->multiply_adds(rounds, loads, sink);
}
