/* Convolutions: stride 1, each map connected to some of the input's. By sums of products, or by
 * Winograd where that is faster: then the weights are transformed once a call.
 *
 * Kernels know no padding: where there is some, they run on a copy of the input that has zeros around,
 * at the beginning of the scratch. */
#include <stdlib.h>
#include <string.h>

#include "layers/layer.h"

/* Lists the connections of a table by output map and by input map, in memory of the layer's. */
static lenet_status connect(const uint8_t *table, net_layer *layer)
{
    lenet_conv_shape *s = &layer->conv;
    const int32_t in_maps = s->in_maps, out_maps = s->out_maps;
    const size_t total = (size_t)in_maps * (size_t)out_maps;
    size_t n = 0;
    for (size_t i = 0; i < total; i++) n += !table || table[i];
    int32_t *ints = malloc(((size_t)in_maps + (size_t)out_maps + 2 + 3 * n) * sizeof *ints);
    layer->owned[0] = ints;
    if (!ints) return LENET_NO_MEMORY;

    int32_t *begin = ints, *source = begin + out_maps + 1, *target_begin = source + n;
    int32_t *connection = target_begin + in_maps + 1, *target = connection + n;
    int32_t c = 0;
    for (int32_t o = 0; o < out_maps; o++) {
        begin[o] = c;
        for (int32_t i = 0; i < in_maps; i++)
            if (!table || table[(ptrdiff_t)o * in_maps + i]) source[c++] = i;
        if (c == begin[o]) return LENET_BAD_ARGUMENT;  /* a map that sees nothing */
    }
    begin[out_maps] = c;

    /* the same by input map: a counting sort, after which target_begin[i] is where map i's
     * connections end, which is where map i + 1's begin */
    for (int32_t i = 0; i <= in_maps; i++) target_begin[i] = 0;
    for (int32_t i = 0; i < c; i++) target_begin[source[i] + 1]++;
    for (int32_t i = 0; i < in_maps; i++) target_begin[i + 1] += target_begin[i];
    for (int32_t o = 0; o < out_maps; o++) {
        for (int32_t i = begin[o]; i < begin[o + 1]; i++) {
            int32_t t = target_begin[source[i]]++;
            connection[t] = i;
            target[t] = o;
        }
    }
    for (int32_t i = in_maps; i > 0; i--) target_begin[i] = target_begin[i - 1];
    target_begin[0] = 0;
    s->begin = begin;
    s->source = source;
    s->target_begin = target_begin;
    s->connection = connection;
    s->target = target;
    return LENET_OK;
}

static lenet_status add_slots(net_layer *layer)
{
    lenet_conv_shape *s = &layer->conv;
    const int lanes = lenet_kernels_active()->lanes, groups = lenet_groups(s->out_maps, lanes);
    lenet_slots *slots = malloc((size_t)groups * sizeof *slots);
    if (!slots) return LENET_NO_MEMORY;
    if (lenet_deal(s, lanes, slots))
        s->slots = layer->owned[1] = slots;
    else
        free(slots);
    return LENET_OK;
}

static lenet_status set_sizes(net_layer *layer)
{
    const int32_t k = layer->conv.kernel;
    const int32_t height = layer->in_height + 2 * layer->padding;
    const int32_t width = layer->in_width + 2 * layer->padding;
    if (k > height || k > width) return LENET_BAD_ARGUMENT;
    layer->conv.in_height = height;
    layer->conv.in_width = width;
    layer->conv.out_height = layer->out_height = height - k + 1;
    layer->conv.out_width = layer->out_width = width - k + 1;
    return LENET_OK;
}

static lenet_status resize(net_layer *layer)
{
    layer->conv.swept = 1;
    return set_sizes(layer);
}

static lenet_status make(const lenet_layer *from, const net_layer *below, net_layer *layer)
{
    const int32_t out_maps = from->maps, k = from->kernel, padding = from->padding;
    if (below->gives_units || out_maps < 1 || out_maps > LENET_MAX_MAPS || k < 1
        || k > LENET_MAX_SIDE || padding < 0 || padding >= k)
        return LENET_BAD_ARGUMENT;
    if (layer->in_height + 2 * padding > LENET_MAX_SIDE
        || layer->in_width + 2 * padding > LENET_MAX_SIDE)
        return LENET_BAD_ARGUMENT;
    layer->padding = padding;
    layer->stride = 1;
    layer->out_maps = out_maps;
    layer->conv = (lenet_conv_shape){.in_maps = layer->in_maps, .out_maps = out_maps, .kernel = k};
    lenet_status status = set_sizes(layer);
    if (status == LENET_OK) status = connect(from->table, layer);
    if (status != LENET_OK) return status;
    const lenet_conv_shape *s = &layer->conv;
    if (!layer_fits((double)s->in_maps * s->in_height * s->in_width)
        || !layer_fits((double)out_maps * s->out_height * s->out_width)
        || !layer_fits((double)s->begin[out_maps] * k * k))
        return LENET_NO_MEMORY;
    status = add_slots(layer);
    if (status != LENET_OK) return status;
    layer->n_weights = (ptrdiff_t)layer->conv.begin[out_maps] * k * k;
    layer->n_biases = out_maps;
    layer->work = (double)layer->n_weights * layer->out_height * layer->out_width;
    layer->hands_rows = 1;
    if (layer->out_height == 1 && layer->out_width == 1 && layer->in_size <= LENET_MAX_INPUTS
        && layer->n_weights == layer->in_size * out_maps)
        layer->flat = &lenet_kind_dense;
    return LENET_OK;
}

/* ---- memory ---- */

enum {
    MOST_SCRATCH = 1 << 18,  /* floats: what L2 holds */
    MOST_PAIRS = 5           /* of rows that go by Winograd at a time: AVX-512's WINOGRAD_STRIP */
};

static int by_winograd(const net_layer *layer, int training)
{
    const lenet_kernels *k = lenet_kernels_active();
    const lenet_conv_shape *s = &layer->conv;
    if (training && !k->winograd_trains) return 0;
    return k->winograd_maps && layer->in_maps >= k->winograd_maps && lenet_can_winograd(s)
           && lenet_winograd_scratch(s) * (size_t)k->lanes <= MOST_SCRATCH;
}

/* Few rows at a time for a 2x2 layer, so that they stay in the cache; more by Winograd, which
 * transforms four rows beyond. */
static layer_manner manner(const net_layer *layer, int training)
{
    layer_manner m = lenet_plain_manner(layer, training);
    const int lanes = lenet_kernels_active()->lanes, pairs = layer->out_height / 2;
    if (!training) m.n_arranged_alone = (ptrdiff_t)lenet_arranged_of_one(&layer->conv, lanes);
    if (!by_winograd(layer, training)) return m;
    m.rows = pairs ? 2 * lenet_cut(pairs, MOST_PAIRS).size : 2;
    m.n_arranged = m.n_sums = (ptrdiff_t)lenet_winograd_weights(&layer->conv);
    return m;
}

/* Floats of the padded copy, in lanes, which is more than one image takes: whole cache lines. */
static size_t padded_floats(const net_layer *layer)
{
    const lenet_conv_shape *s = &layer->conv;
    if (!layer->padding) return 0;
    const size_t lanes = (size_t)lenet_kernels_active()->lanes;
    const size_t pixels = (size_t)s->in_maps * (size_t)s->in_height * (size_t)s->in_width;
    return (pixels * lanes + LENET_ROW_SLACK + 15) / 16 * 16;
}

static size_t kernels_scratch(const net_layer *layer, const layer_manner *manner, int training,
                              int alone)
{
    const lenet_conv_shape *s = &layer->conv;
    const int lanes = lenet_kernels_active()->lanes;
    size_t size = alone ? lenet_conv_scratch_of_one(s, lanes, training) : 0;
    if (!manner->n_arranged) return size;
    size = lenet_most(size, lenet_winograd_scratch(s) * (size_t)lanes);
    if (!training) return size;
    size = lenet_most(size, lenet_winograd_back_scratch(s) * (size_t)lanes);
    return lenet_most(size, lenet_winograd_weights(s));
}

static size_t scratch(const net_layer *layer, const layer_manner *manner, int training, int groups,
                      int alone)
{
    (void)groups;
    return padded_floats(layer) + kernels_scratch(layer, manner, training, alone);
}

/* Whole vectors, with zeros for backward; not under a 2x2 layer that is only read: less to squash. */
static lenet_map_layout layout_of_one(const net_layer *layer, int training, int lanes)
{
    if (layer->feeds_above) {
        if (lenet_keeps_maps(&layer->conv, lanes)) return lenet_maps_in_lanes();
        if (!training) return lenet_rows(layer->out_width);
    }
    return layer_whole_vectors(layer->out_width + layer->conv.kernel - 1, lanes);
}

/* Backward its rows end in zeros (kernels.h), for which the flat layers leave no room; and its
 * kernel must not reach out of the slack. */
static int learns_alone(const net_layer *layer, int under_flat)
{
    return !under_flat && layer->conv.kernel <= LENET_ROW_SLACK / 2;
}

/* ---- padding ---- */

/* How an input lies, and its padded copy, in floats. */
typedef struct { ptrdiff_t pixel, row, padded_row; } row_sizes;

static row_sizes rows_in_lanes(const layer_call *c)
{
    const ptrdiff_t lanes = c->k->lanes;
    return (row_sizes){lanes, c->layer->in_width * lanes, c->layer->conv.in_width * lanes};
}

static row_sizes rows_of_one(const layer_call *c)
{
    const ptrdiff_t stride = c->in_layout.stride;
    if (!c->layer->padding) return (row_sizes){1, stride, stride};
    const lenet_map_layout padded = layer_whole_vectors(c->layer->conv.in_width, c->k->lanes);
    return (row_sizes){1, stride, padded.stride};
}

/* Where row y of a map begins in the padded copy, behind the zeros. */
static float *padded_row(const layer_call *c, row_sizes r, int map, int y)
{
    const ptrdiff_t padding = c->layer->padding;
    return c->scratch + ((ptrdiff_t)map * c->layer->conv.in_height + y + padding) * r.padded_row
           + padding * r.pixel;
}

/* The input with zeros around it, as the kernels want it: itself without padding. */
static const float *pad(const layer_call *c, row_sizes r, const float *in)
{
    const net_layer *layer = c->layer;
    if (!layer->padding) return in;
    const ptrdiff_t width = layer->in_width * r.pixel;
    float *zeros = c->scratch;
    for (int map = 0; map < layer->in_maps; map++) {
        for (int y = 0; y < layer->in_height; y++, in += r.row) {
            float *to = padded_row(c, r, map, y);
            memset(zeros, 0, (size_t)(to - zeros) * sizeof *to);
            memcpy(to, in, (size_t)width * sizeof *to);
            zeros = to + width;
        }
    }
    const ptrdiff_t size = (ptrdiff_t)layer->in_maps * layer->conv.in_height * r.padded_row;
    float *end = c->scratch + size + LENET_ROW_SLACK;
    memset(zeros, 0, (size_t)(end - zeros) * sizeof *end);
    return c->scratch;
}

/* The same for backward, which writes there. */
static float *pad_back(const layer_call *c, row_sizes r, float *in)
{
    pad(c, r, in);
    return c->layer->padding ? c->scratch : in;
}

/* From backward: what is in the middle of the padded copy; 0 past the width. */
static void unpad(const layer_call *c, row_sizes r, float *in)
{
    const net_layer *layer = c->layer;
    if (!layer->padding) return;
    const ptrdiff_t width = layer->in_width * r.pixel;
    for (int map = 0; map < layer->in_maps; map++) {
        for (int y = 0; y < layer->in_height; y++, in += r.row) {
            memcpy(in, padded_row(c, r, map, y), (size_t)width * sizeof *in);
            memset(in + width, 0, (size_t)(r.row - width) * sizeof *in);
        }
    }
}

/* Scratch of the kernels. */
static float *scratch_of(const layer_call *c) { return c->scratch + padded_floats(c->layer); }

/* ---- lanes ---- */

static void arrange(const layer_call *c, int alone, float *arranged)
{
    if (alone)
        c->k->conv_weights_of_one(&c->layer->conv, c->weights, arranged);
    else
        c->k->winograd_weights(&c->layer->conv, c->weights, arranged);
}

/* pool: NULL, or that of the layer above, for as many rows. */
static void forward_rows(const layer_call *c, const float *in, int row, int n_rows, ptrdiff_t stride,
                         float *out, const lenet_pool *pool)
{
    const net_layer *layer = c->layer;
    if (c->arranged) {
        c->k->winograd_conv(&layer->conv, c->arranged, c->biases, layer->activation, in, row, n_rows,
                            stride, scratch_of(c), out, pool);
        layer_lap(c, LENET_FORWARD);
        return;
    }
    c->k->conv(&layer->conv, c->weights, c->biases, layer->activation, in, row, n_rows, stride, out);
    layer_lap(c, LENET_FORWARD);
    if (!pool) return;
    pool->rows(layer->out_maps, layer->out_width, pool, out, stride, n_rows / 2);
    layer_lap(c->above, LENET_FORWARD);
}

/* A few rows at a time, which the layer above finds in the cache. */
static void feed_above(const layer_call *c, const float *in, float *out)
{
    const net_layer *layer = c->layer, *above = c->above->layer;
    const int lanes = c->k->lanes, width = layer->out_width * lanes;
    const int height = above->out_height * 2;
    const ptrdiff_t stride = (ptrdiff_t)(c->keep ? layer->out_height : c->rows) * width;
    for (int y = 0; y < height; y += c->rows) {
        const int n_rows = height - y < c->rows ? height - y : c->rows;
        if (layer_stopped(c, layer->work * lanes * n_rows / layer->out_height)) return;
        float *rows = out + (c->keep ? (ptrdiff_t)y * width : 0);
        const lenet_pool pool = above->kind->take_rows(c->above, c->keep, y / 2, c->above_out);
        forward_rows(c, in, y, n_rows, stride, rows, &pool);
    }
    if (c->keep && layer->out_height % 2) {
        const int last = layer->out_height - 1;
        forward_rows(c, in, last, 1, stride, out + (ptrdiff_t)last * width, NULL);
    }
}

static void forward(const layer_call *c, const float *in, float *out)
{
    const net_layer *layer = c->layer;
    in = pad(c, rows_in_lanes(c), in);
    if (c->above)
        feed_above(c, in, out);
    else
        forward_rows(c, in, 0, layer->out_height,
                     (ptrdiff_t)layer->out_height * layer->out_width * c->k->lanes, out, NULL);
}

static void backward(const layer_call *c, float *in, const float *delta)
{
    const lenet_conv_shape *s = &c->layer->conv;
    const row_sizes r = rows_in_lanes(c);
    float *x = pad_back(c, r, in);
    if (c->arranged)
        c->k->winograd_backward_weights(s, x, delta, scratch_of(c), c->dweights, c->dbiases);
    else
        c->k->conv_backward_weights(s, x, delta, c->dweights, c->dbiases);
    layer_lap(c, LENET_BACKWARD_WEIGHTS);
    if (!c->to_input || layer_stopped(c, c->layer->work * c->k->lanes)) return;
    if (c->arranged)
        c->k->winograd_backward_input(s, c->arranged, delta, c->in_activation, scratch_of(c), x);
    else
        c->k->conv_backward_input(s, c->weights, delta, c->in_activation, x);
    unpad(c, r, in);
}

static void sum_lanes(const layer_call *c, const float *sums)
{
    const net_layer *layer = c->layer;
    if (!c->arranged) {
        lenet_sum_all_lanes(c, sums);
        return;
    }
    const ptrdiff_t n = (ptrdiff_t)lenet_winograd_weights(&layer->conv);
    c->k->sum_lanes(sums, n, 0, c->scratch);
    c->k->winograd_gradient(&layer->conv, c->scratch, c->add, c->dweights);
    c->k->sum_lanes(sums + n * c->k->lanes, layer->n_biases, c->add, c->dbiases);
}

/* ---- one image ---- */

static void forward_of_one(const layer_call *c, const float *in, float *out)
{
    const row_sizes r = rows_of_one(c);
    c->k->conv_of_one(&c->layer->conv, c->weights, c->arranged_alone, c->biases,
                      c->layer->activation, pad(c, r, in), r.padded_row, c->out_layout,
                      scratch_of(c), out);
}

static void backward_of_one(const layer_call *c, float *in, const float *delta)
{
    const lenet_conv_shape *s = &c->layer->conv;
    const row_sizes r = rows_of_one(c);
    float *x = pad_back(c, r, in);
    c->k->conv_backward_weights_of_one(s, x, r.padded_row, delta, c->out_layout, c->add,
                                       scratch_of(c), c->dweights, c->dbiases);
    layer_lap(c, LENET_BACKWARD_WEIGHTS);
    if (!c->to_input) return;
    c->k->conv_backward_input_of_one(s, c->weights, delta, c->out_layout, c->in_activation,
                                     scratch_of(c), x, r.padded_row);
    unpad(c, r, in);
}

LAYER_KIND(conv,
           .make = make,
           .resize = resize,
           .manner = manner,
           .scratch = scratch,
           .layout_of_one = layout_of_one,
           .learns_alone = learns_alone,
           .arrange = arrange,
           .forward = forward,
           .take_rows = lenet_takes_no_rows,
           .backward = backward,
           .sum_lanes = sum_lanes,
           .forward_of_one = forward_of_one,
           .backward_of_one = backward_of_one,
           .step_of_one = lenet_step_by_gradient,
           .curvature = backward);
