/* Makes a plan: checks the layers, derives shapes, parameter offsets and connections. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"

lenet_status lenet_connect(const lenet_conv_call *call, lenet_conv_shape *shape,
                           int32_t **memory)
{
    const int32_t in_maps = call->in_maps, out_maps = call->out_maps, k = call->kernel;
    const uint8_t *table = call->table;
    *memory = NULL;
    if (in_maps < 1 || in_maps > LENET_MAX_MAPS || out_maps < 1 || out_maps > LENET_MAX_MAPS
        || k < 1 || k > call->height || k > call->width || call->height > LENET_MAX_SIDE
        || call->width > LENET_MAX_SIDE)
        return LENET_BAD_ARGUMENT;
    *shape = (lenet_conv_shape){.in_maps = in_maps,
                                .in_height = call->height,
                                .in_width = call->width,
                                .out_maps = out_maps,
                                .out_height = call->height - k + 1,
                                .out_width = call->width - k + 1,
                                .kernel = k};
    const size_t total = (size_t)in_maps * (size_t)out_maps;
    size_t n = 0;
    for (size_t i = 0; i < total; i++) n += !table || table[i];
    int32_t *ints = malloc(((size_t)in_maps + (size_t)out_maps + 2 + 3 * n) * sizeof *ints);
    *memory = ints;
    if (!ints) return LENET_NO_MEMORY;

    int32_t *first = ints, *source = first + out_maps + 1, *first_target = source + n;
    int32_t *connection = first_target + in_maps + 1, *target = connection + n;
    int32_t c = 0;
    for (int32_t o = 0; o < out_maps; o++) {
        first[o] = c;
        for (int32_t i = 0; i < in_maps; i++)
            if (!table || table[(ptrdiff_t)o * in_maps + i]) source[c++] = i;
        if (c == first[o]) return LENET_BAD_ARGUMENT;  /* a map that sees nothing */
    }
    first[out_maps] = c;

    /* the same by input map: a counting sort, after which first_target[i] is where map i's
     * connections end, which is where map i + 1's begin */
    for (int32_t i = 0; i <= in_maps; i++) first_target[i] = 0;
    for (int32_t i = 0; i < c; i++) first_target[source[i] + 1]++;
    for (int32_t i = 0; i < in_maps; i++) first_target[i + 1] += first_target[i];
    for (int32_t o = 0; o < out_maps; o++) {
        for (int32_t i = first[o]; i < first[o + 1]; i++) {
            int32_t t = first_target[source[i]]++;
            connection[t] = i;
            target[t] = o;
        }
    }
    for (int32_t i = in_maps; i > 0; i--) first_target[i] = first_target[i - 1];
    first_target[0] = 0;
    shape->first = first;
    shape->source = source;
    shape->first_target = first_target;
    shape->connection = connection;
    shape->target = target;
    return LENET_OK;
}

static lenet_status add_slots(lenet_conv_shape *s)
{
    const int lanes = lenet_kernels_active()->lanes, groups = lenet_groups(s->out_maps, lanes);
    if (s->in_maps > LENET_MAX_SLOTS || !lenet_prefers_maps(s, lanes)) return LENET_OK;
    lenet_slots *slots = malloc((size_t)groups * sizeof *slots);
    if (!slots) return LENET_NO_MEMORY;
    if (lenet_deal(s, lanes, slots))
        s->slots = slots;
    else
        free(slots);
    return LENET_OK;
}

static lenet_status add_conv(const lenet_layer *from, plan_layer *layer)
{
    const lenet_conv_call call = {.in_maps = layer->in_maps,
                                  .height = layer->in_height,
                                  .width = layer->in_width,
                                  .out_maps = from->maps,
                                  .kernel = from->kernel,
                                  .table = from->table};
    lenet_conv_shape *s = &layer->conv;
    int32_t *memory;
    lenet_status status = lenet_connect(&call, s, &memory);
    s->first = memory;  /* what lenet_plan_free releases, on failure too */
    if (status != LENET_OK) return status;
    status = add_slots(s);
    if (status != LENET_OK) return status;
    layer->out_maps = s->out_maps;
    layer->out_height = s->out_height;
    layer->out_width = s->out_width;
    layer->n_weights = (ptrdiff_t)s->first[s->out_maps] * s->kernel * s->kernel;
    layer->n_biases = s->out_maps;
    return LENET_OK;
}

static double work_of(const plan_layer *layer)
{
    enum { SQUASH = 16 };  /* multiply-adds in the time of squashing a unit */
    const double units = (double)layer->out_size;
    double work = (double)layer->in_size + SQUASH * units;
    if (layer->kind == LENET_CONV)
        work += (double)layer->n_weights * layer->out_height * layer->out_width;
    else if (layer->kind == LENET_DENSE || layer->kind == LENET_RBF)
        work += (double)layer->in_size * units;
    return work;
}

static lenet_status add_layer(const lenet_layer *from, const plan_layer *below, int is_last,
                              plan_layer *layer)
{
    int below_is_dense = below->kind == LENET_DENSE || below->kind == LENET_RBF;
    layer->kind = from->kind;
    layer->activation = from->activation;
    layer->trained = from->trained != 0;

    switch (from->kind) {
    case LENET_CONV: {
        if (below_is_dense) return LENET_BAD_ARGUMENT;
        lenet_status status = add_conv(from, layer);
        if (status != LENET_OK) return status;
        break;
    }
    case LENET_SUBSAMPLE:
    case LENET_AVERAGE_POOL:
        if (below_is_dense || layer->in_height < 2 || layer->in_width < 2)
            return LENET_BAD_ARGUMENT;
        layer->out_maps = layer->in_maps;
        layer->out_height = layer->in_height / 2;
        layer->out_width = layer->in_width / 2;
        if (from->kind == LENET_SUBSAMPLE)
            layer->n_weights = layer->n_biases = layer->out_maps;
        else
            layer->activation = LENET_IDENTITY;
        break;
    case LENET_DENSE:
    case LENET_RBF:
        if (layer->in_size > LENET_MAX_INPUTS || from->maps < 1 || from->maps > LENET_MAX_MAPS)
            return LENET_BAD_ARGUMENT;
        layer->out_maps = from->maps;
        layer->out_height = layer->out_width = 1;
        if (from->kind == LENET_DENSE) {
            layer->n_weights = layer->in_size * layer->out_maps;
            layer->n_biases = layer->out_maps;
            if (is_last && from->activation != LENET_IDENTITY) return LENET_BAD_ARGUMENT;
        } else {
            if (!is_last) return LENET_BAD_ARGUMENT;
            layer->activation = LENET_IDENTITY;
            layer->n_weights = layer->trained ? layer->in_size * layer->out_maps : 0;
        }
        break;
    default: return LENET_BAD_ARGUMENT;
    }
    if (layer->activation < LENET_IDENTITY || layer->activation > LENET_RELU
        || (is_last && from->kind != LENET_DENSE && from->kind != LENET_RBF))
        return LENET_BAD_ARGUMENT;
    layer->out_size = (ptrdiff_t)layer->out_maps * layer->out_height * layer->out_width;
    layer->work = work_of(layer);
    return LENET_OK;
}

static int is_flat(const plan_layer *layer)
{
    if (layer->kind == LENET_DENSE || layer->kind == LENET_RBF) return 1;
    return layer->kind == LENET_CONV && layer->out_height == 1 && layer->out_width == 1
           && layer->in_size <= LENET_MAX_INPUTS
           && layer->n_weights == layer->in_size * layer->out_maps;
}

static lenet_status fill(lenet_plan *plan, const lenet_layer *layers)
{
    plan_layer image = {.kind = -1,
                        .out_maps = 1,
                        .out_height = plan->height,
                        .out_width = plan->width,
                        .out_size = (ptrdiff_t)plan->height * plan->width};
    const plan_layer *below = &image;
    for (int32_t i = 0; i < plan->n_layers; i++) {
        plan_layer *layer = &plan->layers[i];
        layer->in_maps = below->out_maps;
        layer->in_height = below->out_height;
        layer->in_width = below->out_width;
        layer->in_size = below->out_size;
        lenet_status status = add_layer(&layers[i], below, i == plan->n_layers - 1, layer);
        if (status != LENET_OK) return status;
        layer->weights = layer->n_weights ? plan->n_parameters : -1;
        plan->n_parameters += layer->n_weights;
        layer->biases = layer->n_biases ? plan->n_parameters : -1;
        plan->n_parameters += layer->n_biases;
        plan->work += layer->work;
        below = layer;
    }
    plan->classes = below->out_maps;
    plan->first_flat = plan->n_layers;
    while (plan->first_flat > 0 && is_flat(&plan->layers[plan->first_flat - 1]))
        plan->first_flat--;
    for (int32_t i = 0; i < plan->first_flat; i++)
        plan->n_spatial_parameters += plan->layers[i].n_weights + plan->layers[i].n_biases;
    return LENET_OK;
}

static lenet_status copy_codes(lenet_plan *plan, const float *codes)
{
    const plan_layer *last = &plan->layers[plan->n_layers - 1];
    int fixed = last->kind == LENET_RBF && !last->trained;
    if (fixed != (codes != NULL)) return LENET_BAD_ARGUMENT;
    if (!fixed) return LENET_OK;
    size_t size = (size_t)last->in_size * (size_t)last->out_maps * sizeof *codes;
    plan->codes = malloc(size);
    if (!plan->codes) return LENET_NO_MEMORY;
    memcpy(plan->codes, codes, size);
    return LENET_OK;
}

lenet_status lenet_plan_create(const lenet_layer *layers, int32_t n_layers, int32_t height,
                               int32_t width, float background, float foreground,
                               const float *codes, lenet_plan **out)
{
    *out = NULL;
    lenet_status ready = lenet_init();
    if (ready != LENET_OK) return ready;
    if (n_layers < 1 || n_layers > LENET_MAX_LAYERS || height < 1 || width < 1
        || height > LENET_MAX_SIDE || width > LENET_MAX_SIDE || !isfinite(background)
        || !isfinite(foreground))
        return LENET_BAD_ARGUMENT;
    lenet_plan *plan = calloc(1, sizeof *plan);
    if (!plan) return LENET_NO_MEMORY;
    plan->n_layers = n_layers;
    plan->height = height;
    plan->width = width;
    plan->background = background;
    plan->foreground = foreground;
    lenet_status status = fill(plan, layers);
    if (status == LENET_OK) status = copy_codes(plan, codes);
    if (status != LENET_OK) {
        lenet_plan_free(plan);
        return status;
    }
    lenet_lay_out(plan);
    *out = plan;
    return LENET_OK;
}

void lenet_plan_free(lenet_plan *plan)
{
    if (!plan) return;
    for (int32_t i = 0; i < plan->n_layers; i++) {
        free((void *)plan->layers[i].conv.first);
        free((void *)plan->layers[i].conv.slots);
    }
    free(plan->codes);
    free(plan);
}

int64_t lenet_plan_parameters(const lenet_plan *plan) { return plan->n_parameters; }

int64_t lenet_plan_margin(const lenet_plan *plan)
{
    const ptrdiff_t line = 64 / sizeof(float);
    ptrdiff_t begin = 0, most = 0;
    for (int32_t i = plan->first_flat; i < plan->n_layers; i++) {
        const plan_layer *layer = &plan->layers[i];
        if (layer->weights < 0 || layer->n_weights <= most) continue;
        begin = layer->weights;
        most = layer->n_weights;
    }
    return (line - begin % line) % line;
}

int32_t lenet_plan_classes(const lenet_plan *plan) { return plan->classes; }

void lenet_plan_shape(const lenet_plan *plan, int32_t layer, int32_t shape[3])
{
    shape[0] = plan->layers[layer].out_maps;
    shape[1] = plan->layers[layer].out_height;
    shape[2] = plan->layers[layer].out_width;
}
