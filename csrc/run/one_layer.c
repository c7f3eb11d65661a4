/* One layer by itself on rows of (maps, height, width), one group of lanes after another: what the
 * network runs, by sums of products, for study and for tests. And the squashing function. */
#include <string.h>

#include "plan/plan.h"

/* A layer, and where things lie in its workspace, in floats. */
typedef struct {
    net_layer layer;
    ptrdiff_t out, sums, scratch, total;
} one_layer;

/* lenet_free_layer releases it, unless it fails. */
static lenet_status make(const lenet_layer *from, const int32_t shape[3], one_layer *one)
{
    *one = (one_layer){0};
    const lenet_status ready = lenet_init();
    if (ready != LENET_OK) return ready;
    const int32_t maps = shape[0], height = shape[1], width = shape[2];
    if (maps < 1 || maps > LENET_MAX_MAPS || height < 1 || height > LENET_MAX_SIDE || width < 1
        || width > LENET_MAX_SIDE)
        return LENET_BAD_ARGUMENT;
    const net_layer below = {.out_maps = maps,
                             .out_height = height,
                             .out_width = width,
                             .out_size = (ptrdiff_t)maps * height * width};
    net_layer *layer = &one->layer;
    const lenet_status status = lenet_make_layer(from, &below, layer);
    if (status != LENET_OK) {
        lenet_free_layer(layer);
        return status;
    }
    const ptrdiff_t lanes = lenet_kernels_active()->lanes;
    const layer_manner plain = {0};
    one->out = plan_padded(layer->in_size * lanes);
    one->sums = one->out + plan_padded(layer->out_size * lanes);
    one->scratch = one->sums + plan_padded((layer->n_weights + layer->n_biases) * lanes);
    one->total = one->scratch + plan_padded((ptrdiff_t)layer->kind->scratch(layer, &plain, 1, 1, 0));
    return LENET_OK;
}

lenet_status lenet_layer_describe(const lenet_layer *layer, const int32_t shape[3],
                                  lenet_layer_sizes *sizes)
{
    one_layer one;
    const net_layer *made = &one.layer;
    const lenet_status status = make(layer, shape, &one);
    if (status != LENET_OK) return status;
    *sizes = (lenet_layer_sizes){.workspace = (size_t)one.total * sizeof(float),
                                 .n_weights = made->n_weights + made->n_fixed,
                                 .n_biases = made->n_biases,
                                 .shape = {made->out_maps, made->out_height, made->out_width}};
    lenet_free_layer(&one.layer);
    return LENET_OK;
}

/* What a call runs with. */
static lenet_status begin(const lenet_layer *from, const int32_t shape[3], void *workspace,
                          size_t size, one_layer *one, lenet_watch *watch, layer_call *c)
{
    lenet_status status = make(from, shape, one);
    if (status != LENET_OK) return status;
    if (size < (size_t)one->total * sizeof(float) || (uintptr_t)workspace % 64) {
        lenet_free_layer(&one->layer);
        return LENET_NO_MEMORY;
    }
    lenet_watch_host(watch);
    *c = (layer_call){.layer = &one->layer,
                      .k = lenet_kernels_active(),
                      .scratch = (float *)workspace + one->scratch,
                      .groups = 1,
                      .watch = watch,
                      .is_caller = 1};
    return LENET_OK;
}

static lenet_status end(one_layer *one, lenet_watch *watch)
{
    lenet_free_layer(&one->layer);
    return lenet_stopped(watch, 1, 0.0) ? LENET_INTERRUPTED : LENET_OK;
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

lenet_status lenet_layer_forward(const lenet_layer *layer, const int32_t shape[3], const float *weights,
                                 const float *biases, const float *x, int64_t n, float *y,
                                 void *workspace, size_t size)
{
    one_layer one;
    lenet_watch watch;
    layer_call c;
    lenet_status status = begin(layer, shape, workspace, size, &one, &watch, &c);
    if (status != LENET_OK) return status;
    float *in = workspace, *out = in + one.out;
    c.weights = weights;
    c.biases = biases;
    for (int64_t i = 0; i < n && !layer_stopped(&c, c.layer->work * c.k->lanes); i += c.k->lanes) {
        const int here = to_lanes(c.k, x, i, n, c.layer->in_size, in);
        c.layer->kind->forward(&c, in, out);
        to_rows(c.k, out, i, here, c.layer->out_size, y);
    }
    return end(&one, &watch);
}

lenet_status lenet_layer_backward(const lenet_layer *layer, const int32_t shape[3],
                                  const float *weights, const float *x, const float *dy, int64_t n,
                                  float *dx, float *dweights, float *dbiases, void *workspace,
                                  size_t size)
{
    one_layer one;
    lenet_watch watch;
    layer_call c;
    lenet_status status = begin(layer, shape, workspace, size, &one, &watch, &c);
    if (status != LENET_OK) return status;
    const net_layer *made = c.layer;
    const size_t n_sums = (size_t)(made->n_weights + made->n_biases) * (size_t)c.k->lanes;
    float *in = workspace, *delta = in + one.out, *sums = in + one.sums;
    c.weights = weights;
    c.in_activation = LENET_IDENTITY;
    c.to_input = dx != NULL;
    if (made->flat == made->kind) {  /* adds to the gradients themselves */
        c.add = 1;
        c.dweights = made->n_weights ? dweights : NULL;
        c.dbiases = made->n_biases ? dbiases : NULL;
        if (c.dweights) memset(dweights, 0, (size_t)made->n_weights * sizeof *dweights);
        if (c.dbiases) memset(dbiases, 0, (size_t)made->n_biases * sizeof *dbiases);
    } else if (made->n_weights) {
        c.dweights = memset(sums, 0, n_sums * sizeof *sums);
        c.dbiases = sums + made->n_weights * c.k->lanes;
    }
    const double work = 2.0 * made->work * c.k->lanes;
    for (int64_t i = 0; i < n && !layer_stopped(&c, work); i += c.k->lanes) {
        const int here = to_lanes(c.k, x, i, n, made->in_size, in);
        to_lanes(c.k, dy, i, n, made->out_size, delta);
        made->kind->backward(&c, in, delta);
        if (dx) to_rows(c.k, in, i, here, made->in_size, dx);
    }
    c.add = 0;
    c.dweights = made->n_weights ? dweights : NULL;
    c.dbiases = dbiases;
    made->kind->sum_lanes(&c, sums);
    return end(&one, &watch);
}

/* ---- squashing ------------------------------------------------------------------------- */

enum { SQUASHED = 1 << 18 };  /* values between two looks for an interrupt: whole vectors */

static lenet_status check_squash(int32_t activation)
{
    if (activation < 0 || activation >= LENET_ACTIVATIONS) return LENET_BAD_ARGUMENT;
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
