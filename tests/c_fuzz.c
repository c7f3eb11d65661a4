/* Random plans and calls over the whole of lenet.h, with pages that nobody may touch around every
 * buffer: a read or write beyond an end stops the program and names the plan's seed.
 *
 * c_fuzz [SECONDS [FIRST [COUNT [before [STACK]]]]]: plans FIRST, FIRST + 1, .. until SECONDS are over, or
 * COUNT of them. Buffers end at such a page, and with `before` they begin behind one; where the
 * alignment leaves room, bytes there are known and compared after each call. Compared too: one
 * thread and three, a step and a gradient, a batch and its images one by one, a sweep and a window, what is
 * decoded and the loss for it. The calling thread has a stack of STACK bytes, 65,536 if it is not said. */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lenet.h"

enum { BUFFERS = 96, CANARY = 0xA5 };

static uint64_t plan_seed, state;
static int before;

/* ---- random numbers ---- */

static uint64_t next(void)
{
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static int32_t below(int32_t n) { return (int32_t)(next() % (uint64_t)n); }
static int32_t between(int32_t low, int32_t high) { return low + below(high - low + 1); }
static int chance(int32_t one_in) { return below(one_in) == 0; }
static float real(float low, float high)
{
    return low + (high - low) * (float)(next() >> 40) / (float)(1 << 24);
}

/* ---- what is found ---- */

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) _exit(3);
}

static void say_plan(void)
{
    char digits[24], *at = digits + sizeof digits;
    uint64_t seed = plan_seed;
    *--at = 0;
    do *--at = (char)('0' + seed % 10);
    while (seed /= 10);
    say(" in plan ");
    say(at);
    say(before ? " with pages before\n" : " with pages behind\n");
}

static void on_signal(int number)
{
    say(number == SIGALRM ? "hangs" : "touched memory that is not its own, or ended,");
    say_plan();
    signal(number, SIG_DFL);
    raise(number == SIGALRM ? SIGKILL : number);
}

static void found(const char *what)
{
    say(what);
    say_plan();
    exit(1);
}

#define CHECK(condition) \
    do { \
        if (!(condition)) found("not true: " #condition); \
    } while (0)

/* ---- buffers ---- */

static struct buffer {
    char *mapped, *data;
    size_t mapped_size, room, size, page;
} buffers[BUFFERS];
static int n_buffers;

/* `size` bytes at a multiple of `alignment` (a power of 2), as close to a page without access as that
 * allows; behind one with `before`. They hold noise, in which there are NaN. */
static void *take(size_t size, size_t alignment)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct buffer *b = &buffers[n_buffers++];
    if (n_buffers > BUFFERS) found("too many buffers");
    const size_t room = (size + page) / page * page;
    if (b->mapped && (b->room < room || b->room > 16 * room + (1 << 20))) {
        munmap(b->mapped, b->mapped_size);
        b->mapped = NULL;
    }
    if (!b->mapped) {
        b->room = room;
        b->mapped_size = room + 2 * page;
        b->mapped = mmap(NULL, b->mapped_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (b->mapped == MAP_FAILED || mprotect(b->mapped + page, room, PROT_READ | PROT_WRITE))
            found("no memory for the test");
    }
    b->size = size;
    b->page = page;
    b->data = before ? b->mapped + page
                     : b->mapped + page + (b->room - size) / alignment * alignment;
    memset(b->data, 0xFF, size < 4096 ? size : 4096);
    if (before) {
        const size_t left = b->room - size;
        memset(b->data + size, CANARY, left < 256 ? left : 256);
    } else {
        const size_t left = (size_t)(b->data - b->mapped) - page;
        memset(b->data - (left < 256 ? left : 256), CANARY, left < 256 ? left : 256);
        memset(b->data + size, CANARY, b->room - left - size);
    }
    return b->data;
}

static float *floats(int64_t n) { return take((size_t)n * sizeof(float), 4); }

static float *noise(int64_t n, float width)
{
    float *values = floats(n);
    for (int64_t i = 0; i < n; i++) values[i] = real(-width, width);
    return values;
}

/* Bytes beside the buffers are as they were. */
static void check_canaries(void)
{
    for (int i = 0; i < n_buffers; i++) {
        const struct buffer *b = &buffers[i];
        const unsigned char *data = (const unsigned char *)b->data;
        const size_t left = (size_t)(b->data - b->mapped) - b->page;
        size_t behind = b->room - left - b->size, ahead = before ? 0 : left;
        if (behind > 256) behind = 256;
        if (ahead > 256) ahead = 256;
        for (size_t k = 0; k < behind; k++)
            if (data[b->size + k] != CANARY) found("wrote behind a buffer");
        for (size_t k = 1; k <= ahead; k++)
            if (data[-(ptrdiff_t)k] != CANARY) found("wrote before a buffer");
    }
}

static int all_finite(const float *values, int64_t n)
{
    return lenet_first_not_finite(values, n) == n;
}

/* Equal but for rounding. */
static int close_to(const float *a, const float *b, int64_t n, double tolerance)
{
    double most = 1.0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= tolerance * most)) return 0;
    return 1;
}

/* ---- a network ---- */

typedef struct network {
    lenet_plan *plan;
    lenet_layer layers[LENET_MAX_LAYERS];
    lenet_input input;
    int32_t n_layers, classes;
    int64_t n_parameters;
    float *parameters, *codes;
} network;

static int32_t some_size(int32_t most)
{
    const int32_t sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 31, 32, 33, 48, 84, 120};
    const int32_t size = chance(2) ? between(1, 12) : sizes[below(17)];
    return size < most ? size : most;
}

/* The table of sums of which each map reads one of the input's. */
static const uint8_t *one_each(int32_t maps, int32_t in_maps)
{
    uint8_t *table = take((size_t)maps * (size_t)in_maps, 1);
    memset(table, 0, (size_t)maps * (size_t)in_maps);
    for (int32_t m = 0; m < maps; m++) table[m * in_maps + below(in_maps)] = 1;
    return table;
}

/* Draws layers that fit, at times some that do not: then there is no plan, and 0 is given. */
static int make(network *net)
{
    memset(net, 0, sizeof *net);
    lenet_input *input = &net->input;
    input->channels = chance(3) ? between(2, chance(4) ? LENET_MAX_CHANNELS : 4) : 1;
    input->height = chance(3) ? 28 + 4 * below(2) : some_size(40);
    input->width = chance(3) ? input->height : some_size(40);
    for (int32_t c = 0; c < input->channels; c++) {
        input->background[c] = c ? real(-0.5f, 0) : -0.1f;
        input->foreground[c] = c ? real(0.5f, 2) : 1.175f;
    }
    int32_t maps = input->channels, h = input->height, w = input->width, n = 0;
    const int32_t depth = below(6);
    while (n < depth) {
        lenet_layer *layer = &net->layers[n];
        layer->activation = below(LENET_ACTIVATIONS);
        const int32_t side = h < w ? h : w;
        if (chance(2) && side >= 2) {
            const int32_t pools[] = {LENET_SUBSAMPLE, LENET_AVERAGE_POOL, LENET_MAX_POOL};
            layer->kind = pools[below(3)];
            if (layer->kind == LENET_SUBSAMPLE && chance(3)) {
                layer->maps = some_size(33);
                layer->table = one_each(layer->maps, maps);
                maps = layer->maps;
            }
            h /= 2, w /= 2;
        } else {
            layer->kind = LENET_CONV;
            layer->kernel = chance(3) ? 5 : chance(2) ? 3 : between(1, 7);
            if (chance(12)) layer->kernel = side;
            if (layer->kernel > side) layer->kernel = side;
            layer->maps = some_size(maps * h * w > 4000 ? 8 : 33);
            if (chance(3)) {
                uint8_t *table = take((size_t)layer->maps * (size_t)maps, 1);
                for (int32_t i = 0; i < layer->maps * maps; i++) table[i] = !chance(2);
                for (int32_t i = 0; i < layer->maps; i++) table[i * maps + below(maps)] = 1;
                layer->table = table;
            }
            maps = layer->maps;
            if (chance(3)) layer->padding = chance(2) ? layer->kernel / 2 : below(layer->kernel);
            h += 2 * layer->padding - layer->kernel + 1;
            w += 2 * layer->padding - layer->kernel + 1;
        }
        n++;
    }
    for (int32_t k = below(3); k > 0; k--) {
        net->layers[n].kind = LENET_DENSE;
        net->layers[n].activation = below(LENET_ACTIVATIONS);
        net->layers[n++].maps = maps = some_size(130);
        h = w = 1;
    }
    lenet_layer *last = &net->layers[n++];
    last->maps = net->classes = chance(20) ? between(200, 300) : between(1, 12);
    last->kind = LENET_DENSE;
    if (h == 1 && w == 1 && n > 1 && chance(2)) {
        last->kind = LENET_RBF;
        last->trained = below(2);
        if (!last->trained) {
            net->codes = floats((int64_t)net->classes * maps);
            for (int64_t i = 0; i < (int64_t)net->classes * maps; i++)
                net->codes[i] = chance(2) ? 1.0f : -1.0f;
        }
    }
    if (chance(40)) {  /* something that cannot be */
        lenet_layer *wrong = &net->layers[below(n)];
        const int32_t values[] = {-1, 0, 4097, 1 << 30, INT32_MIN, INT32_MAX};
        switch (below(5)) {
        case 0: wrong->kind = values[below(6)]; break;
        case 1: wrong->activation = values[below(6)]; break;
        case 2: wrong->maps = values[below(3)]; break;
        case 3: wrong->padding = values[below(6)]; break;
        default: wrong->kernel = values[below(6)];
        }
    }
    net->n_layers = n;
    if (chance(40)) {
        const int32_t values[] = {0, -1, LENET_MAX_SIDE + 1, INT32_MIN, INT32_MAX};
        int32_t *sizes[] = {&input->channels, &input->height, &input->width};
        *sizes[below(3)] = values[below(5)];
    }
    const lenet_status status
        = lenet_plan_create(net->layers, n, input, net->codes, &net->plan);
    CHECK((status == LENET_OK) == (net->plan != NULL));
    if (status != LENET_OK) return 0;
    net->classes = lenet_plan_classes(net->plan);
    net->n_parameters = lenet_plan_parameters(net->plan);
    if (net->n_parameters < 1 || net->n_parameters > 2000000 || net->classes > 4096) {
        lenet_plan_free(net->plan);
        return 0;
    }
    net->parameters = noise(net->n_parameters, chance(20) ? 3.0f : 0.3f);
    return 1;
}

/* ---- a batch ---- */

typedef struct batch {
    lenet_images images;
    int64_t n;
    int64_t *labels;
    double *weights, *targets;
    lenet_distortion distortion;
} batch;

static void draw_distortion(lenet_distortion *d)
{
    memset(d, 0, sizeof *d);
    d->translation = chance(2) ? real(0, 3) : 0;
    d->scaling = chance(2) ? real(0, 0.9f) : 0;
    d->squeezing = chance(2) ? real(0, 0.9f) : 0;
    d->shearing = chance(2) ? real(0, 0.9f) : 0;
    d->rotation = chance(2) ? real(0, 180) : 0;
    d->elastic = chance(2) ? real(0, 5) : 0;
    d->smoothness = chance(2) ? real(2, 9) : real(0, 40);
    d->thickness = chance(3) ? real(0, 15.9f) : 0;
    d->lines = chance(3) ? (float)below(65) : 0;
    d->blur = chance(3) ? real(0, 4.9f) : 0;
    d->contrast = chance(3) ? real(0, 0.99f) : 0;
    d->noise = chance(3) ? real(0, 0.99f) : 0;
    d->impulses = chance(3) ? real(0, 0.99f) : 0;
    d->chance = chance(2) ? real(0, 1) : 0;
    if (chance(10)) d->translation = real(0, 1023);
    d->seed = next();
    d->first = chance(4) ? next() : 0;
}

static void draw_batch(const network *net, batch *b)
{
    memset(b, 0, sizeof *b);
    const int32_t sizes[] = {1, 1, 1, 2, 3, 7, 8, 15, 16, 17, 18, 31, 32, 33, 34, 48, 63, 64, 65};
    b->n = chance(25) ? between(66, 150) : sizes[below(19)];
    int64_t stored = b->n;
    b->images.is_float = chance(3);
    b->images.height = net->input.height;
    b->images.width = net->input.width;
    if (!b->images.is_float) {
        const int32_t dh = 2 * below(5), dw = 2 * below(5);
        if (chance(2) && dh < net->input.height && dw < net->input.width) {
            b->images.height -= dh;
            b->images.width -= dw;
        }
    }
    if (chance(3)) {
        stored = between(1, (int32_t)b->n + 3);
        int64_t *order = take((size_t)b->n * sizeof *order, 8);
        for (int64_t i = 0; i < b->n; i++) order[i] = below((int32_t)stored);
        b->images.order = order;
    }
    const int64_t pixels = stored * net->input.channels * b->images.height * b->images.width;
    if (b->images.is_float) {
        b->images.pixels = noise(pixels, 1.2f);
    } else {
        uint8_t *grey = take((size_t)pixels, 1);
        const int plain = chance(4);
        for (int64_t i = 0; i < pixels; i++) grey[i] = plain ? 255 : (uint8_t)next();
        b->images.pixels = grey;
        if (chance(3)) {
            draw_distortion(&b->distortion);
            if (lenet_distortion_check(&b->distortion) == LENET_OK) b->images.distortion = &b->distortion;
        }
    }
    b->labels = take((size_t)stored * sizeof *b->labels, 8);
    for (int64_t i = 0; i < stored; i++) b->labels[i] = below(net->classes);
    b->weights = take((size_t)stored * sizeof *b->weights, 8);
    for (int64_t i = 0; i < stored; i++) b->weights[i] = chance(4) ? 0.0 : (double)real(0.1f, 5.0f);
    b->targets = take((size_t)(stored * net->classes) * sizeof *b->targets, 8);
    for (int64_t i = 0; i < stored; i++) {
        double *own = b->targets + i * net->classes, sum = 0.0;
        for (int32_t c = 0; c < net->classes; c++) {
            own[c] = c && chance(2) ? 0.0 : (double)real(0.1f, 1.0f);
            sum += own[c];
        }
        for (int32_t c = 0; c < net->classes; c++) own[c] /= sum;
    }
}

static int64_t asked;
static int32_t ask(void *context)
{
    asked++;
    return context != NULL;
}

/* A run with a workspace of just the size that is wanted, that begins with NaN. */
static lenet_run a_run(size_t size, int32_t threads)
{
    lenet_run run;
    memset(&run, 0, sizeof run);
    run.workspace = take(size, 64);
    memset(run.workspace, 0xFF, chance(8) || size < 65536 ? size : 65536);
    run.workspace_size = size;
    run.n_threads = threads;
    run.interrupted = chance(2) ? ask : NULL;
    return run;
}

/* ---- calls ---- */

static void check_forward(const network *net, const batch *b)
{
    const int64_t outputs = b->n * net->classes;
    lenet_images images = b->images;
    images.distortion = NULL;
    float *one = floats(outputs), *three = floats(outputs);
    const int32_t threads = between(2, 5);
    lenet_run run = a_run(lenet_workspace_size(net->plan, 0, b->n, 1), 1);
    CHECK(lenet_forward(net->plan, net->parameters, &images, b->n, one, &run) == LENET_OK);
    run = a_run(lenet_workspace_size(net->plan, 0, b->n, threads), threads);
    CHECK(lenet_forward(net->plan, net->parameters, &images, b->n, three, &run) == LENET_OK);
    CHECK(memcmp(one, three, (size_t)outputs * sizeof *one) == 0);
    check_canaries();
    if (!all_finite(one, outputs)) {  /* of large weights through rectified units */
        CHECK(lenet_first_not_finite(one, outputs) < outputs);
        return;
    }
    int64_t *classes = take((size_t)b->n * sizeof *classes, 8);
    lenet_classify(net->plan, one, b->n, classes);
    for (int64_t i = 0; i < b->n; i++) CHECK(classes[i] >= 0 && classes[i] < net->classes);
    const lenet_loss loss = {.kind = LENET_CROSS_ENTROPY, .temperature = 1.0};
    lenet_report report;
    CHECK(lenet_score(net->plan, one, classes, b->n, &loss, &report) == LENET_OK);
    CHECK(report.n_errors == 0 && report.loss >= 0.0);
    const int is_rbf = net->layers[net->n_layers - 1].kind == LENET_RBF;
    CHECK(lenet_count_rejected(one, b->n, net->classes, is_rbf, 2, INFINITY, -INFINITY) == 0);
    const int64_t rejected = lenet_count_rejected(one, b->n, net->classes, is_rbf, 9, 0.0, INFINITY);
    CHECK(rejected >= 0 && rejected <= (b->n < 9 ? b->n : 9));
    float *shares = floats(outputs);
    lenet_probabilities(net->plan, one, b->n, 1.0, shares);
    for (int64_t i = 0; i < b->n; i++) {
        double sum = 0;
        for (int32_t c = 0; c < net->classes; c++) sum += (double)shares[i * net->classes + c];
        CHECK(fabs(sum - 1) < 1e-4);
    }
    lenet_appearance look = {0};
    int64_t seen, unlike[LENET_UNLIKE_KINDS];
    const int64_t first = images.order ? 1 : b->n;  /* so many are there */
    lenet_appearance_learn(&look, &images, first, between(2, 40), &net->input);
    lenet_appearance_compare(&look, &images, first, between(2, 40), &net->input, &seen, unlike);
    CHECK(seen <= first && look.n <= first);
    /* one image of them by itself */
    const int64_t pick = below((int32_t)b->n), at = images.order ? images.order[pick] : pick;
    const size_t bytes = (size_t)net->input.channels * (size_t)images.height * (size_t)images.width
                         * (images.is_float ? 4 : 1);
    void *pixels = take(bytes, images.is_float ? 4 : 1);
    memcpy(pixels, (const char *)images.pixels + (size_t)at * bytes, bytes);
    lenet_images single = images;
    single.pixels = pixels;
    single.order = NULL;
    float *alone = floats(net->classes);
    run = a_run(lenet_workspace_size(net->plan, 0, 1, 1), 1);
    CHECK(lenet_forward(net->plan, net->parameters, &single, 1, alone, &run) == LENET_OK);
    CHECK(close_to(one + pick * net->classes, alone, net->classes, 2e-3));
    check_canaries();
}

static void check_activations(const network *net, const batch *b)
{
    float *outputs[LENET_MAX_LAYERS];
    lenet_images images = b->images;
    images.distortion = NULL;
    for (int32_t i = 0; i < net->n_layers; i++) {
        int32_t shape[3];
        lenet_plan_shape(net->plan, i, shape);
        const int64_t n = b->n * shape[0] * shape[1] * shape[2];
        outputs[i] = chance(4) ? NULL : floats(n);
    }
    const int32_t threads = between(1, 4);
    lenet_run run = a_run(lenet_workspace_size(net->plan, 1, b->n, threads), threads);
    CHECK(lenet_activations(net->plan, net->parameters, &images, b->n, outputs, &run) == LENET_OK);
    check_canaries();
}

/* A model, which nothing writes to, gives the bits of the parameters that it was made of. */
static void check_model(const network *net, const batch *b)
{
    const int64_t outputs = b->n * net->classes, n = net->n_parameters;
    const size_t size = lenet_model_size(net->plan);
    lenet_images images = b->images;
    images.distortion = NULL;
    float *live = floats(outputs), *packed = floats(outputs), *moved = floats(n);
    memcpy(moved, net->parameters, (size_t)n * sizeof *moved);
    void *memory = take(size, 64);
    const struct buffer pages = buffers[n_buffers - 1];
    const lenet_model *model;
    CHECK(lenet_model_create(net->plan, moved, memory, size - 1 - (size_t)below(64), &model)
          == LENET_NO_MEMORY);
    CHECK(model == NULL);
    CHECK(lenet_model_create(net->plan, moved, memory, size, &model) == LENET_OK);
    check_canaries();
    memset(moved, 0xFF, (size_t)n * sizeof *moved);
    if (mprotect(pages.mapped + pages.page, pages.room, PROT_READ)) found("no page to protect");
    const int32_t threads = between(1, 4);
    lenet_run run = a_run(lenet_workspace_size(net->plan, 0, b->n, threads), threads);
    CHECK(lenet_forward(net->plan, net->parameters, &images, b->n, live, &run) == LENET_OK);
    run = a_run(lenet_workspace_size(net->plan, 0, b->n, threads), threads);
    CHECK(lenet_model_forward(model, &images, b->n, packed, &run) == LENET_OK);
    CHECK(memcmp(live, packed, (size_t)outputs * sizeof *live) == 0);
    CHECK(memcmp(lenet_model_parameters(model), net->parameters, (size_t)n * sizeof *moved) == 0);
    float *one[LENET_MAX_LAYERS] = {NULL}, *other[LENET_MAX_LAYERS] = {NULL};
    const int32_t layer = below(net->n_layers);
    int32_t shape[3];
    lenet_plan_shape(net->plan, layer, shape);
    const int64_t values = b->n * shape[0] * shape[1] * shape[2];
    one[layer] = floats(values);
    other[layer] = floats(values);
    run = a_run(lenet_workspace_size(net->plan, 1, b->n, threads), threads);
    CHECK(lenet_activations(net->plan, net->parameters, &images, b->n, one, &run) == LENET_OK);
    CHECK(lenet_model_activations(model, &images, b->n, other, &run) == LENET_OK);
    CHECK(memcmp(one[layer], other[layer], (size_t)values * sizeof(float)) == 0);
    if (mprotect(pages.mapped + pages.page, pages.room, PROT_READ | PROT_WRITE))
        found("no page to give back");
    check_canaries();
}

static lenet_loss a_loss(const batch *b)
{
    double weight = 0.0;
    for (int64_t i = 0; i < b->n; i++) weight += b->weights[b->images.order ? b->images.order[i] : i];
    return (lenet_loss){.kind = below(3), .j = (double)real(0.1f, 8.0f),
                        .temperature = (double)real(0.1f, 20.0f),
                        .weights = weight > 0.0 && chance(2) ? b->weights : NULL,
                        .targets = chance(3) ? b->targets : NULL};
}

static void check_gradient(const network *net, const batch *b)
{
    const lenet_loss loss = a_loss(b);
    const int64_t n = net->n_parameters;
    float *one = floats(n), *three = floats(n);
    lenet_report first, second;
    const int32_t threads = between(2, 4);
    lenet_run run = a_run(lenet_workspace_size(net->plan, 1, b->n, 1), 1);
    const lenet_status status = lenet_gradient(net->plan, net->parameters, &b->images, b->labels,
                                               b->n, &loss, one, &first, &run);
    CHECK(status == LENET_OK || status == LENET_NOT_FINITE);
    run = a_run(lenet_workspace_size(net->plan, 1, b->n, threads), threads);
    CHECK(lenet_gradient(net->plan, net->parameters, &b->images, b->labels, b->n, &loss, three,
                         &second, &run) == status);
    check_canaries();
    if (status != LENET_OK) return;
    CHECK(isfinite(first.loss) && first.loss == second.loss && first.n_errors == second.n_errors);
    CHECK(first.n_errors >= 0 && first.n_errors <= b->n);
    CHECK(memcmp(one, three, (size_t)n * sizeof *one) == 0);
    CHECK(all_finite(one, n));
    /* a step goes against the gradient */
    const float rate = 0.25f;
    float *moved = floats(n);
    memcpy(moved, net->parameters, (size_t)n * sizeof *moved);
    lenet_optimizer sgd;
    memset(&sgd, 0, sizeof sgd);
    sgd.kind = LENET_SGD;
    sgd.rate = rate;
    run = a_run(lenet_workspace_size(net->plan, 1, b->n, threads), threads);
    const lenet_status stepped = lenet_step(net->plan, moved, &b->images, b->labels, b->n, &loss,
                                            &sgd, &second, &run);
    CHECK(stepped == LENET_OK || stepped == LENET_NOT_FINITE);
    check_canaries();
    if (stepped != LENET_OK) return;
    CHECK(fabs(second.loss - first.loss) <= 1e-4 * (1 + fabs(first.loss)));
    double most = 1e-3;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs((double)one[i]));
    for (int64_t i = 0; i < n; i++) {
        const double taken = (double)net->parameters[i] - (double)moved[i];
        const double rounding = 1e-6 * (1 + fabs((double)moved[i]));
        CHECK(fabs(taken - (double)(rate * one[i])) <= 2e-3 * most * (double)rate + rounding);
    }
}

static void check_curvature(const network *net, const batch *b)
{
    const lenet_loss loss = a_loss(b);
    const int64_t n = net->n_parameters;
    lenet_images images = b->images;
    images.distortion = NULL;
    float *one = floats(n), *three = floats(n);
    const int32_t threads = between(2, 4);
    lenet_run run = a_run(lenet_curvature_workspace_size(net->plan, b->n, 1), 1);
    const lenet_status status = lenet_curvature(net->plan, net->parameters, &images, b->labels, b->n,
                                                &loss, one, &run);
    CHECK(status == LENET_OK || status == LENET_NOT_FINITE);
    run = a_run(lenet_curvature_workspace_size(net->plan, b->n, threads), threads);
    CHECK(lenet_curvature(net->plan, net->parameters, &images, b->labels, b->n, &loss, three,
                          &run) == status);
    check_canaries();
    if (status != LENET_OK) return;
    CHECK(memcmp(one, three, (size_t)n * sizeof *one) == 0);
    for (int64_t i = 0; i < n; i++) CHECK(one[i] >= 0 && isfinite(one[i]));
}

static void check_steps(const network *net, const batch *b)
{
    const lenet_loss loss = a_loss(b);
    const int64_t n = net->n_parameters;
    lenet_optimizer optimizer;
    memset(&optimizer, 0, sizeof optimizer);
    optimizer.kind = below(3);
    optimizer.rate = real(0, 0.1f);
    optimizer.momentum = chance(2) ? real(0, 0.9f) : 0;
    optimizer.beta1 = 0.9f;
    optimizer.beta2 = 0.999f;
    optimizer.epsilon = 1e-8f;
    optimizer.weight_decay = chance(3) ? real(0, 0.1f) : 0;
    if (optimizer.kind != LENET_SGD || optimizer.momentum > 0) {
        optimizer.first_moment = floats(n);
        memset(optimizer.first_moment, 0, (size_t)n * sizeof(float));
    }
    if (optimizer.kind == LENET_ADAM) {
        optimizer.second_moment = floats(n);
        memset(optimizer.second_moment, 0, (size_t)n * sizeof(float));
    }
    if (optimizer.kind == LENET_SDLM)
        for (int64_t i = 0; i < n; i++) optimizer.first_moment[i] = real(0, 0.01f);
    if (chance(3)) {
        const int32_t most = n < 8 ? 1 : between(1, 4);
        int64_t *frozen = take((size_t)most * 2 * sizeof *frozen, 8), at = 0;
        for (int32_t k = 0; k < most; k++) {
            const int64_t room = (n - at) / (most - k);
            frozen[2 * k] = at + (room > 1 ? below((int32_t)(room / 2) + 1) : 0);
            frozen[2 * k + 1] = at + room;
            at += room;
        }
        optimizer.frozen = frozen;
        optimizer.n_frozen = most;
    }
    float *moved = floats(n);
    memcpy(moved, net->parameters, (size_t)n * sizeof *moved);
    const int32_t threads = between(1, 4);
    lenet_run run = a_run(lenet_workspace_size(net->plan, 1, b->n, threads), threads);
    for (int k = 0; k < 2; k++) {
        lenet_report report;
        const lenet_status status = lenet_step(net->plan, moved, &b->images, b->labels, b->n, &loss,
                                               &optimizer, &report, &run);
        CHECK(status == LENET_OK || status == LENET_NOT_FINITE);
        check_canaries();
        if (status != LENET_OK) return;
        CHECK(isfinite(report.loss) && all_finite(moved, n));
        for (int32_t f = 0; f < optimizer.n_frozen; f++)
            for (int64_t i = optimizer.frozen[2 * f]; i < optimizer.frozen[2 * f + 1]; i++)
                CHECK(moved[i] == net->parameters[i]);
    }
    CHECK(optimizer.step == 2);
}

/* ---- wider and higher pictures ---- */

static int is_padded(const network *net)
{
    for (int32_t i = 0; i < net->n_layers; i++)
        if (net->layers[i].kind == LENET_CONV && net->layers[i].padding) return 1;
    return 0;
}

/* Some pictures; strips: no higher than the network's input. */
static lenet_pictures draw_pictures(const network *net, int32_t n, int strips)
{
    const int32_t h = net->input.height, w = net->input.width;
    const void **pixels = take((size_t)n * sizeof *pixels, sizeof *pixels);
    int32_t *heights = take((size_t)n * sizeof *heights, 4), *widths = take((size_t)n * sizeof *widths, 4);
    const lenet_pictures pictures = {pixels, heights, widths, chance(3)};
    for (int32_t i = 0; i < n; i++) {
        heights[i] = chance(2) ? h : strips ? between(1, h) : between(1, h + 20);
        widths[i] = chance(4) ? w : chance(20) ? between(1, w + 700) : between(1, w + 40);
        const int64_t size = (int64_t)net->input.channels * heights[i] * widths[i];
        if (pictures.is_float) {
            pixels[i] = noise(size, 1.2f);
            continue;
        }
        uint8_t *grey = take((size_t)size, 1);
        for (int64_t k = 0; k < size; k++) grey[k] = (uint8_t)next();
        pixels[i] = grey;
    }
    return pictures;
}

static int64_t positions_of(const network *net, const lenet_pictures *pictures, int32_t i)
{
    int32_t at[2];
    lenet_positions(net->plan, pictures->heights[i], pictures->widths[i], at);
    CHECK(at[0] > 0 && at[1] > 0);
    return (int64_t)at[0] * at[1];
}

/* The network on a picture's first window, which lies within it. */
static void check_first_window(const network *net, const lenet_pictures *pictures, const float *outputs)
{
    const int32_t h = net->input.height, w = net->input.width, wide = pictures->widths[0];
    const size_t each = pictures->is_float ? sizeof(float) : 1;
    if (pictures->heights[0] < h || wide < w) return;
    char *window = take((size_t)net->input.channels * (size_t)h * (size_t)w * each, each), *to = window;
    for (int32_t c = 0; c < net->input.channels; c++)
        for (int32_t y = 0; y < h; y++, to += (size_t)w * each) {
            const int64_t row = (int64_t)c * pictures->heights[0] + y;
            memcpy(to, (const char *)pictures->pixels[0] + (size_t)(row * wide) * each, (size_t)w * each);
        }
    const lenet_images image = {.pixels = window, .is_float = pictures->is_float, .height = h, .width = w};
    float *alone = floats(net->classes);
    lenet_run run = a_run(lenet_workspace_size(net->plan, 0, 1, 1), 1);
    CHECK(lenet_forward(net->plan, net->parameters, &image, 1, alone, &run) == LENET_OK);
    if (all_finite(alone, net->classes)) CHECK(close_to(outputs, alone, net->classes, 2e-3));
}

static void check_sweep(const network *net, const batch *b)
{
    const int32_t n = between(1, 6), threads = between(2, 5);
    const lenet_pictures pictures = draw_pictures(net, n, 0);
    (void)b;
    int64_t positions = 0;
    for (int32_t i = 0; i < n; i++) positions += positions_of(net, &pictures, i);
    size_t size = lenet_sweep_workspace_size(net->plan, &pictures, n, 1);
    CHECK((size == 0) == is_padded(net));
    if (!size) return;
    float *one = floats(positions * net->classes), *three = floats(positions * net->classes);
    lenet_run run = a_run(size, 1);
    CHECK(lenet_sweep(net->plan, net->parameters, &pictures, n, one, &run) == LENET_OK);
    check_canaries();
    run = a_run(lenet_sweep_workspace_size(net->plan, &pictures, n, threads), threads);
    CHECK(lenet_sweep(net->plan, net->parameters, &pictures, n, three, &run) == LENET_OK);
    check_canaries();
    CHECK(memcmp(one, three, (size_t)(positions * net->classes) * sizeof *one) == 0);
    check_first_window(net, &pictures, one);
    run.workspace_size = size - 1;
    run.n_threads = 1;
    CHECK(lenet_sweep(net->plan, net->parameters, &pictures, n, three, &run) == LENET_NO_MEMORY);
    /* a picture by itself: the last one, and its activations */
    const lenet_pictures last
        = {pictures.pixels + n - 1, pictures.heights + n - 1, pictures.widths + n - 1, pictures.is_float};
    int32_t at[2], shape[3];
    lenet_positions(net->plan, last.heights[0], last.widths[0], at);
    float *outputs[LENET_MAX_LAYERS];
    for (int32_t i = 0; i < net->n_layers; i++) {
        const int64_t stride = lenet_plan_stride(net->plan, i), rows = at[0], columns = at[1];
        lenet_plan_shape(net->plan, i, shape);
        const int64_t height = stride ? shape[1] + (rows - 1) * stride : rows * shape[1];
        const int64_t width = stride ? shape[2] + (columns - 1) * stride : columns * shape[2];
        outputs[i] = i + 1 < net->n_layers && chance(4) ? NULL : floats(shape[0] * height * width);
    }
    run = a_run(lenet_sweep_workspace_size(net->plan, &last, 1, 1), 1);
    CHECK(lenet_sweep_activations(net->plan, net->parameters, &last, outputs, &run) == LENET_OK);
    check_canaries();
    const int64_t own = (int64_t)at[0] * at[1] * net->classes;
    CHECK(memcmp(outputs[net->n_layers - 1], one + positions * net->classes - own, (size_t)own * 4) == 0);
}

static void check_lines(const network *net, const batch *b)
{
    const int32_t n = between(1, 40), threads = between(2, 4), length = 6;
    const int64_t size = net->n_parameters;
    (void)b;
    if (net->classes < 2) return;
    lenet_string_criterion criterion = {.kind = below(3), .blank = below(net->classes),
                                        .scale = chance(2) ? 1.0 : -0.3, .j = chance(2) ? INFINITY : 3.0};
    const lenet_pictures pictures = draw_pictures(net, n, 1);
    const int32_t **labels = take((size_t)n * sizeof *labels, sizeof *labels);
    int32_t *lengths = take((size_t)n * sizeof *lengths, 4);
    int32_t *values = take((size_t)n * (size_t)length * sizeof *values, 4);
    for (int32_t i = 0; i < n; i++) {
        const int64_t positions = positions_of(net, &pictures, i);
        labels[i] = values + (ptrdiff_t)i * length;
        lengths[i] = below((int32_t)(positions < 2 * length ? (positions + 1) / 2 : length) + 1);
        for (int32_t k = 0; k < length; k++)
            values[i * length + k] = (criterion.blank + between(1, net->classes - 1)) % net->classes;
    }
    lenet_lines lines = {pictures, labels, lengths};
    const size_t wanted = lenet_lines_workspace_size(net->plan, &lines, n, &criterion, 1);
    CHECK((wanted == 0) == is_padded(net));
    if (!wanted) return;
    float *one = floats(size), *three = floats(size);
    lenet_report first, second;
    lenet_run run = a_run(wanted, 1);
    const lenet_status status
        = lenet_lines_gradient(net->plan, net->parameters, &lines, n, &criterion, one, &first, &run);
    CHECK(status == LENET_OK || status == LENET_NOT_FINITE);
    check_canaries();
    run = a_run(lenet_lines_workspace_size(net->plan, &lines, n, &criterion, threads), threads);
    CHECK(lenet_lines_gradient(net->plan, net->parameters, &lines, n, &criterion, three, &second, &run)
          == status);
    check_canaries();
    if (status == LENET_OK) {
        CHECK(first.loss >= -1e-6 && first.loss == second.loss && first.n_errors == second.n_errors);
        CHECK(memcmp(one, three, (size_t)size * sizeof *one) == 0);
        lenet_optimizer sgd = {.kind = LENET_SGD, .rate = 0.25f};
        float *moved = floats(size);
        memcpy(moved, net->parameters, (size_t)size * sizeof *moved);
        run = a_run(lenet_lines_workspace_size(net->plan, &lines, n, &criterion, threads), threads);
        if (lenet_lines_step(net->plan, moved, &lines, n, &criterion, &sgd, &second, &run) == LENET_OK) {
            CHECK(second.loss == first.loss);
            for (int64_t i = 0; i < size; i++) three[i] = net->parameters[i] - sgd.rate * one[i];
            CHECK(close_to(moved, three, size, 1e-6));
        }
        check_canaries();
    }
    /* what it refuses, before it begins */
    int32_t *following = take((size_t)net->classes * sizeof *following, 4);
    memset(following, 0, (size_t)net->classes * sizeof *following);
    uint8_t *accept = take(1, 1);
    *accept = 1;
    const lenet_grammar grammar = {.states = 1, .next = following, .accept = accept};
    criterion.kind = LENET_ALLOWED_PATHS;
    criterion.grammar = &grammar;
    run = a_run(lenet_lines_workspace_size(net->plan, &lines, n, &criterion, 1), 1);
    const lenet_status allowed
        = lenet_lines_gradient(net->plan, net->parameters, &lines, n, &criterion, one, &first, &run);
    CHECK(allowed == LENET_OK || allowed == LENET_NOT_FINITE);
    check_canaries();
    *accept = 0;
    CHECK(lenet_lines_gradient(net->plan, net->parameters, &lines, n, &criterion, one, &first, &run)
          == LENET_NOT_ALLOWED);
    criterion.grammar = NULL;
    const int32_t at = below(n);
    run.workspace_size = 1;
    CHECK(lenet_lines_gradient(net->plan, net->parameters, &lines, n, &criterion, one, &first, &run)
          == LENET_NO_MEMORY);
    lengths[at] = positions_of(net, &pictures, at) < length ? length : -1;
    CHECK(lenet_lines_workspace_size(net->plan, &lines, n, &criterion, 1) == 0);
    lengths[at] = length;
    values[at * length + below(length)] = chance(2) ? criterion.blank : net->classes;
    CHECK(lenet_lines_gradient(net->plan, net->parameters, &lines, n, &criterion, one, &first, &run)
          == LENET_BAD_LABEL);
    criterion.scale = 0.0;
    CHECK(lenet_lines_gradient(net->plan, net->parameters, &lines, n, &criterion, one, &first, &run)
          == LENET_BAD_ARGUMENT);
}

/* What a call must refuse: labels out of range, a workspace that is too small, an interrupt. */
static void check_refusals(const network *net, const batch *b)
{
    const lenet_loss loss = a_loss(b);
    float *gradient = floats(net->n_parameters);
    lenet_report report;
    const size_t size = lenet_workspace_size(net->plan, 1, b->n, 1);
    lenet_run run = a_run(size, 1);
    run.workspace_size = size - 1 - (size_t)below(64);
    CHECK(lenet_gradient(net->plan, net->parameters, &b->images, b->labels, b->n, &loss, gradient,
                         &report, &run) == LENET_NO_MEMORY);
    run.workspace_size = size;
    const int64_t pick = below((int32_t)b->n), at = b->images.order ? b->images.order[pick] : pick;
    const int64_t label = b->labels[at];
    b->labels[at] = chance(2) ? net->classes : chance(2) ? -1 : INT64_MAX;
    CHECK(lenet_gradient(net->plan, net->parameters, &b->images, b->labels, b->n, &loss, gradient,
                         &report, &run) == LENET_BAD_LABEL);
    b->labels[at] = label;
    const double weight = b->weights[at];
    lenet_loss weighted = loss;
    weighted.weights = b->weights;
    b->weights[at] = chance(2) ? -1e-30 : chance(2) ? NAN : INFINITY;
    CHECK(lenet_gradient(net->plan, net->parameters, &b->images, b->labels, b->n, &weighted, gradient,
                         &report, &run) == LENET_BAD_ARGUMENT);
    b->weights[at] = weight;
    run.interrupted = ask;
    run.context = &run;
    const lenet_status status = lenet_gradient(net->plan, net->parameters, &b->images, b->labels,
                                               b->n, &loss, gradient, &report, &run);
    CHECK(status == LENET_INTERRUPTED || status == LENET_OK || status == LENET_NOT_FINITE);
    check_canaries();
}

static void check_distort(void)
{
    const int32_t h = between(1, 40), w = between(1, 40), n = between(1, 4);
    const size_t bytes = (size_t)(n * h * w), size = lenet_distort_workspace(h, w);
    uint8_t *images = take(bytes, 1), *out = take(bytes, 1);
    for (size_t i = 0; i < bytes; i++) images[i] = (uint8_t)next();
    void *workspace = take(size, 4);
    lenet_distortion distortion;
    draw_distortion(&distortion);
    const lenet_status wanted = lenet_distortion_check(&distortion);
    CHECK(lenet_distort(&distortion, images, n, h, w, out, workspace, size) == wanted);
    const float far[] = {0, 1e-20f, 1e20f, -1e20f, 1000, -1000, 1e9f, INFINITY, NAN, 3e38f};
    lenet_transform t = {real(-5, 5), real(-5, 5), real(0.1f, 3), real(0.1f, 3), real(-1, 1),
                         real(-200, 200)};
    if (chance(3)) ((float *)&t)[below(6)] = far[below(10)];
    const lenet_status status = lenet_transform_images(&t, images, n, h, w, out, workspace, size);
    CHECK(status == LENET_OK || status == LENET_BAD_ARGUMENT);
    check_canaries();
}

/* Any layer by itself, there and back; its workspace is as large as it says. */
static void check_layer(lenet_layer layer, const int32_t shape[3], int32_t n)
{
    lenet_layer_sizes s;
    CHECK(lenet_layer_describe(&layer, shape, &s) == LENET_OK);
    const int64_t in = (int64_t)n * shape[0] * shape[1] * shape[2];
    const int64_t outputs = (int64_t)n * s.shape[0] * s.shape[1] * s.shape[2];
    const float *x = noise(in, 1), *dy = noise(outputs, 1);
    const float *weights = s.n_weights ? noise(s.n_weights, 0.3f) : NULL;
    const float *biases = s.n_biases ? noise(s.n_biases, 1) : NULL;
    float *y = floats(outputs), *dx = chance(3) ? NULL : floats(in);
    float *dw = s.n_weights ? floats(s.n_weights) : NULL, *db = s.n_biases ? floats(s.n_biases) : NULL;
    void *workspace = take(s.workspace, 64);
    CHECK(lenet_layer_forward(&layer, shape, weights, biases, x, n, y, workspace, s.workspace)
          == LENET_OK);
    CHECK(all_finite(y, outputs));
    if (layer.kind == LENET_RBF)
        for (int64_t i = 0; i < outputs; i++) CHECK(y[i] >= -1e-3f);
    CHECK(lenet_layer_backward(&layer, shape, weights, x, dy, n, dx, dw, db, workspace, s.workspace)
          == LENET_OK);
    if (dx) CHECK(all_finite(dx, in));
    const int fixed = layer.kind == LENET_RBF && !layer.trained;
    if (dw && !fixed) CHECK(all_finite(dw, s.n_weights));
    if (db) CHECK(all_finite(db, s.n_biases));
    CHECK(lenet_layer_forward(&layer, shape, weights, biases, x, n, y, workspace, s.workspace - 1)
          == LENET_NO_MEMORY);
    check_canaries();
}

static void check_single_layers(void)
{
    const int32_t h = between(2, 20), w = between(2, 20), maps = some_size(17), n = between(1, 20);
    const int32_t out = some_size(33), side = h < w ? h : w;
    const int32_t shape[3] = {maps, h, w}, units[3] = {some_size(200), 1, 1};
    lenet_layer conv = {.kind = LENET_CONV, .maps = out, .kernel = between(1, side < 7 ? side : 7)};
    if (chance(2)) {
        uint8_t *table = take((size_t)maps * (size_t)out, 1);
        for (int32_t i = 0; i < out * maps; i++) table[i] = !chance(2);
        for (int32_t i = 0; i < out; i++) table[i * maps + below(maps)] = 1;
        conv.table = table;
    }
    if (chance(2)) conv.padding = below(conv.kernel);
    check_layer(conv, shape, n);
    check_layer((lenet_layer){.kind = LENET_SUBSAMPLE}, shape, n);
    check_layer((lenet_layer){.kind = LENET_SUBSAMPLE, .maps = out, .table = one_each(out, maps)}, shape, n);
    check_layer((lenet_layer){.kind = LENET_AVERAGE_POOL}, shape, n);
    check_layer((lenet_layer){.kind = LENET_MAX_POOL}, shape, n);
    check_layer((lenet_layer){.kind = LENET_DENSE, .maps = some_size(130)}, units, n);
    check_layer((lenet_layer){.kind = LENET_DENSE, .maps = some_size(13)}, shape, n);
    check_layer((lenet_layer){.kind = LENET_RBF, .maps = some_size(130), .trained = chance(2)}, units,
                n);
    const int32_t inputs = units[0];
    const int32_t kind = below(LENET_ACTIVATIONS);
    float *a = noise(inputs, 9), *squashed = floats(inputs);
    CHECK(lenet_squash(kind, a, inputs, squashed) == LENET_OK);
    CHECK(lenet_squash_backward(kind, squashed, a, inputs, floats(inputs)) == LENET_OK);
    check_canaries();
}

/* ---- strings ---- */

/* Images with ink, and which are whose: every writer has some. */
static void draw_characters(lenet_strings *s)
{
    const int32_t n_starts = s->writers * s->classes + 1;
    int64_t *starts = take((size_t)n_starts * sizeof *starts, 8), n = 0;
    for (int32_t i = 0; i + 1 < n_starts; i++) {
        starts[i] = n;
        n += i % s->classes == 0 ? between(1, 2) : below(3);
    }
    starts[n_starts - 1] = n;
    const int32_t side = LENET_CHARACTER_SIDE, n_images = between(1, 4);
    uint8_t *images = take((size_t)(n_images * side * side), 1);
    int64_t *order = take((size_t)n * sizeof *order, 8);
    memset(images, 0, (size_t)(n_images * side * side));
    for (int32_t i = 0; i < n_images; i++)
        for (int32_t k = chance(4) ? 1 : 200; k > 0; k--)
            images[(i * side + below(side)) * side + below(side)] = (uint8_t)between(1, 255);
    for (int64_t i = 0; i < n; i++) order[i] = below(n_images);
    s->images = images;
    s->order = order;
    s->starts = starts;
}

static void draw_settings(lenet_strings *s)
{
    const int32_t longest = chance(20) ? LENET_MAX_STRING : 12, widest = chance(4) ? 128 : 4;
    int32_t *digits[] = {&s->zero, &s->one, &s->seven};
    for (int k = 0; k < 3; k++) *digits[k] = between(-1, s->classes - 1);
    for (int k = 0; k < LENET_STRING_MARKS; k++) s->mark_counts[k] = below(2);
    s->stands = below(2);
    s->length[1] = between(1, longest);
    s->length[0] = between(1, s->length[1]);
    s->gap[1] = between(-16, widest);
    s->gap[0] = between(-16, s->gap[1]);
    s->empty = chance(3) ? real(0, 1) : 0.0f;
    s->repeat = chance(2) ? real(0, 1) : 0.0f;
    const int32_t seldom = between(1, 6);
    for (int e = 0; e < LENET_STRING_EFFECTS; e++) {
        const float most = lenet_string_most((lenet_string_effect)e);
        s->strength[e] = chance(seldom) ? chance(2) ? most : real(0, most) : 0.0f;
        s->chance[e] = chance(2) ? 1.0f : real(0, 1);
    }
    s->seed = next();
    s->first = chance(4) ? next() : 0;
}

static void check_drawing(void)
{
    lenet_strings s = {.writers = between(1, 3), .classes = between(1, 12)};
    draw_characters(&s);
    draw_settings(&s);
    CHECK(lenet_strings_check(&s) == LENET_OK);
    const int32_t n = between(1, 9), threads = between(2, 4), most = lenet_strings_labels(&s);
    const int64_t each = (int64_t)LENET_STRING_HEIGHT * lenet_strings_width(&s);
    uint8_t *strips[2];
    int32_t *widths[2], *labels[2], *counts[2];
    for (int k = 0; k < 2; k++) {
        const size_t size = lenet_strings_workspace(&s, k ? threads : 1);
        strips[k] = take((size_t)(n * each), 1);
        widths[k] = take((size_t)n * sizeof(int32_t), 4);
        labels[k] = take((size_t)n * (size_t)most * sizeof(int32_t), 4);
        counts[k] = take((size_t)n * sizeof(int32_t), 4);
        void *workspace = take(size, 4);
        CHECK(lenet_strings_draw(&s, n, strips[k], widths[k], labels[k], counts[k], k ? threads : 1,
                                 workspace, size - 1) == LENET_NO_MEMORY);
        CHECK(lenet_strings_draw(&s, n, strips[k], widths[k], labels[k], counts[k], k ? threads : 1,
                                 workspace, size) == LENET_OK);
        check_canaries();
    }
    for (int32_t i = 0; i < n; i++) {
        const int32_t width = widths[0][i], count = counts[0][i];
        CHECK(width > 0 && width * LENET_STRING_HEIGHT <= each && count >= 0 && count <= most);
        CHECK(widths[1][i] == width && counts[1][i] == count);
        CHECK(!memcmp(strips[0] + i * each, strips[1] + i * each, (size_t)(width * LENET_STRING_HEIGHT)));
        for (int32_t k = 0; k < count; k++) {
            const int32_t label = labels[0][i * most + k];
            CHECK(label >= 0 && label < s.classes + LENET_STRING_MARKS && label == labels[1][i * most + k]);
        }
    }
    s.length[0] = s.length[1] + 1;
    CHECK(lenet_strings_draw(&s, n, strips[0], widths[0], labels[0], counts[0], 1, NULL, 0)
          == LENET_BAD_ARGUMENT);
}

/* Outputs of a strip, a string that fits, and a grammar that accepts it. */
typedef struct spelling {
    int32_t positions, classes, blank, length;
    float *outputs;
    int32_t *string;
    int32_t *least;
    lenet_grammar grammar;
} spelling;

static spelling draw_spelling(void)
{
    spelling s = {.positions = chance(10) ? between(200, 400) : between(1, 30), .classes = between(1, 9)};
    s.blank = below(s.classes);
    s.outputs = noise((int64_t)s.positions * s.classes, chance(4) ? 1e4f : 6.0f);
    const int32_t states = between(1, 6);
    s.string = take((size_t)s.positions * sizeof *s.string, 4);
    int32_t *following = take((size_t)(states * s.classes) * sizeof *following, 4), at = 0;
    uint8_t *accept = take((size_t)states, 1);
    for (int32_t i = 0; i < states * s.classes; i++) following[i] = between(-1, states - 1);
    for (int32_t i = 0; i < states; i++) accept[i] = (uint8_t)below(2);
    int32_t left = chance(4) ? s.positions : below(s.positions + 1);
    while (s.classes > 1) {
        const int32_t c = (s.blank + between(1, s.classes - 1)) % s.classes;
        left -= 1 + (s.length > 0 && s.string[s.length - 1] == c);
        if (left < 0) break;
        s.string[s.length++] = c;
        int32_t *to = &following[at * s.classes + c];
        if (*to < 0) *to = below(states);
        at = *to;
    }
    accept[at] = 1;
    s.least = take((size_t)states * 3 * sizeof *s.least, 4);
    s.grammar = (lenet_grammar){states, following, accept};
    return s;
}

static double string_loss(const spelling *s, const lenet_string_criterion *criterion,
                          const int32_t *string, int32_t length, float *gradient)
{
    const size_t size = lenet_string_workspace(criterion, s->positions, s->classes, length);
    void *workspace = take(size, 8);
    double loss;
    CHECK(lenet_string_loss(criterion, s->outputs, s->positions, s->classes, string, length, &loss, gradient,
                            workspace, size - 1) == LENET_NO_MEMORY);
    CHECK(lenet_string_loss(criterion, s->outputs, s->positions, s->classes, string, length, &loss, gradient,
                            workspace, size) == LENET_OK);
    check_canaries();
    return loss;
}

static int are_close(double a, double b) { return fabs(a - b) <= 1e-6 * (1.0 + fabs(b)); }

static void check_criteria(const spelling *s)
{
    lenet_string_criterion criterion = {below(3), s->blank, chance(2) ? 1.0 : -0.3,
                                        chance(2) ? INFINITY : 3.0, chance(2) ? &s->grammar : NULL};
    const int64_t values = (int64_t)s->positions * s->classes;
    float *gradient = floats(values);
    const double loss = string_loss(s, &criterion, s->string, s->length, gradient);
    CHECK(isfinite(loss) && loss >= -1e-6 * s->positions && all_finite(gradient, values));
    CHECK(string_loss(s, &criterion, s->string, s->length, NULL) == loss);
}

/* What is found is spelt where it says, and its loss is what it says. */
static void check_found(const spelling *s, const lenet_decoded *d, int32_t n_best, int kind)
{
    const lenet_string_criterion criterion = {kind, s->blank, 1.0, INFINITY, NULL};
    const ptrdiff_t positions = s->positions;
    const int kept = n_buffers;
    CHECK(d->n >= 0 && d->n <= n_best);
    for (int32_t i = 0; i < d->n; i++) {
        const int32_t *string = d->string + i * positions, *span = d->span + i * positions * 2;
        CHECK(d->length[i] >= 0 && d->length[i] <= positions);
        for (int32_t k = 0; k < d->length[i]; k++) {
            const double confidence = d->confidence[i * positions + k];
            CHECK(confidence >= 0.0 && confidence <= 1.0);
            CHECK(span[2 * k] <= span[2 * k + 1] && span[2 * k + 1] < positions);
            CHECK(span[2 * k] > (k ? span[2 * k - 1] : -1));
        }
        CHECK(i == 0 || d->log_probability[i] <= d->log_probability[i - 1]);
        CHECK(are_close(string_loss(s, &criterion, string, d->length[i], NULL), -d->log_probability[i]));
        n_buffers = kept;
    }
}

static void check_decoding(const spelling *s)
{
    const int32_t beam = between(1, 20), n_best = between(1, beam < 4 ? beam : 4);
    const size_t n = (size_t)n_best, values = n * (size_t)s->positions;
    lenet_decoder decoder = {.classes = s->classes, .blank = s->blank, .beam = beam, .n_best = n_best,
                             .least = s->least, .total = below(2)};
    lenet_decoded best = {.log_probability = take(n * sizeof(double), 8),
                          .length = take(n * sizeof(int32_t), 4),
                          .string = take(values * sizeof(int32_t), 4),
                          .span = take(2 * values * sizeof(int32_t), 4),
                          .confidence = take(values * sizeof(double), 8)};
    CHECK(lenet_grammar_least(&s->grammar, s->classes, s->blank, s->least) == LENET_OK);
    if (chance(2)) decoder.grammar = &s->grammar;
    const size_t size = lenet_decode_workspace(&decoder, s->positions);
    void *workspace = take(size, 16);
    CHECK(lenet_decode(&decoder, s->outputs, s->positions, &best, workspace, size - 1) == LENET_NO_MEMORY);
    CHECK(lenet_decode(&decoder, s->outputs, s->positions, &best, workspace, size) == LENET_OK);
    check_canaries();
    CHECK(best.n > 0);
    check_found(s, &best, n_best, LENET_ALL_PATHS);
    double *room = take((size_t)s->positions * sizeof *room, 8);
    CHECK(lenet_best_path(s->outputs, s->positions, s->classes, s->blank, &best, room) == LENET_OK);
    check_canaries();
    check_found(s, &best, 1, LENET_BEST_PATH);
}

static void check_strings(void)
{
    const spelling s = draw_spelling();
    check_criteria(&s);
    check_decoding(&s);
    const int bad = below(s.positions * s.classes);
    const lenet_string_criterion criterion = {below(3), s.blank, 1.0, INFINITY, NULL};
    double loss, memory[1];
    s.outputs[bad] = chance(2) ? NAN : INFINITY;
    const size_t size = lenet_string_workspace(&criterion, s.positions, s.classes, s.length);
    CHECK(lenet_string_loss(&criterion, s.outputs, s.positions, s.classes, s.string, s.length, &loss, NULL,
                            take(size, 8), size) == LENET_NOT_FINITE);
    if (s.length == 0) return;
    s.string[below(s.length)] = chance(2) ? s.blank : s.classes;
    CHECK(lenet_string_loss(&criterion, s.outputs, s.positions, s.classes, s.string, s.length, &loss, NULL,
                            memory, sizeof memory) == LENET_BAD_LABEL);
}

static void check_plan(uint64_t seed)
{
    plan_seed = seed;
    state = seed * 0x2545F4914F6CDD1Du + 1;
    n_buffers = 0;
    alarm(60);
    if (chance(6)) {
        check_distort();
        check_single_layers();
        n_buffers = 0;
        check_drawing();
        n_buffers = 0;
        check_strings();
        return;
    }
    network net;
    if (!make(&net)) return;
    batch b;
    draw_batch(&net, &b);
    const int kept = n_buffers;
    void (*const checks[])(const network *, const batch *) = {
        check_forward, check_gradient, check_steps, check_curvature, check_activations,
        check_refusals, check_model, check_sweep, check_lines};
    for (int k = 0; k < 3; k++) {
        checks[k == 0 ? 0 : below(9)](&net, &b);
        n_buffers = kept;
    }
    lenet_plan_free(net.plan);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static struct work {
    double end;
    uint64_t first, count, done;
} work;

static void *run_plans(void *unused)
{
    static char signal_stack[1 << 16];
    const stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    sigaltstack(&stack, NULL);
    (void)unused;
    for (; work.done < work.count && now() < work.end; work.done++)
        check_plan(work.first + work.done);
    return NULL;
}

int main(int n_arguments, char **arguments)
{
    work.end = now() + (n_arguments > 1 ? atof(arguments[1]) : 5);
    work.first = n_arguments > 2 ? strtoull(arguments[2], NULL, 10) : 0;
    work.count = n_arguments > 3 ? strtoull(arguments[3], NULL, 10) : UINT64_MAX;
    before = n_arguments > 4 && strcmp(arguments[4], "before") == 0;
    const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_ONSTACK;
    for (int k = 0; k < 6; k++) sigaction(signals[k], &action, NULL);
    if (lenet_init() != LENET_OK) {
        say("this instruction set is not here\n");
        return 2;
    }
    pthread_t thread;
    pthread_attr_t small;
    pthread_attr_init(&small);
    const size_t stack = n_arguments > 5 ? strtoull(arguments[5], NULL, 10) : 64 << 10;
    if (pthread_attr_setstacksize(&small, stack) || pthread_create(&thread, &small, run_plans, NULL)) {
        say("no thread for the test\n");
        return 2;
    }
    pthread_join(thread, NULL);
    printf("%llu plans on %s with pages %s, nothing found\n", (unsigned long long)work.done,
           lenet_isa(), before ? "before" : "behind");
    return 0;
}
