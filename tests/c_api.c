/* Uses csrc/lenet.h as a C program would: makes a small network, trains it on two kinds of
 * picture, reads them, and checks what it is told. Built and run by test_c_api.py; exits with
 * the number of the first check that failed. */
#include <math.h>
#ifndef __wasm__
#include <pthread.h>
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lenet.h"

#define CHECK(condition)                                            \
    do {                                                            \
        if (!(condition)) {                                         \
            printf("line %d: not true: %s\n", __LINE__, #condition); \
            return 1;                                               \
        }                                                           \
    } while (0)

enum { SIDE = 12, IMAGES = 100, CLASSES = 2 };

/* Class 0: an upright bar; class 1: a lying one. */
static void draw(uint8_t *image, int64_t label, int at)
{
    memset(image, 0, SIDE * SIDE);
    for (int i = 2; i < SIDE - 2; i++) image[label ? at * SIDE + i : i * SIDE + at] = 255;
}

/* Asked whether to end a call: yes, and counted. */
static int32_t stop(void *asked) { return ++*(int32_t *)asked; }

static lenet_status make_plan(const lenet_layer *layers, int32_t n, lenet_plan **plan)
{
    const lenet_input input = {1, SIDE, SIDE, {-0.1f}, {1.175f}};
    return lenet_plan_create(layers, n, &input, NULL, plan);
}

/* What a kind of layer ignores may be anything, and nothing else. */
static int check_ignored(void)
{
    lenet_layer layers[] = {{.kind = LENET_AVERAGE_POOL, .activation = -1, .maps = -1},
                            {.kind = LENET_DENSE, .maps = CLASSES, .kernel = -1}};
    lenet_plan *plan = NULL;
    CHECK(make_plan(layers, 2, &plan) == LENET_OK);
    lenet_plan_free(plan);
    layers[0].kind = LENET_SUBSAMPLE;
    CHECK(make_plan(layers, 2, &plan) == LENET_BAD_ARGUMENT && plan == NULL);
    layers[0].activation = LENET_TANH;
    layers[1].maps = 0;
    CHECK(make_plan(layers, 2, &plan) == LENET_BAD_ARGUMENT && plan == NULL);
    return 0;
}

/* As many zeros around as the kernel reaches over, and an input of no more than the largest side. */
static int check_padding(void)
{
    lenet_layer layers[] = {{.kind = LENET_CONV, .maps = 2, .kernel = 5, .padding = 4},
                            {.kind = LENET_DENSE, .maps = CLASSES, .padding = -1}};
    int32_t shape[3];
    lenet_plan *plan = NULL;
    CHECK(make_plan(layers, 2, &plan) == LENET_OK);
    lenet_plan_shape(plan, 0, shape);
    CHECK(shape[1] == SIDE + 4 && shape[2] == SIDE + 4);
    lenet_plan_free(plan);
    const int32_t wrong[] = {5, -1, INT32_MAX, INT32_MIN};
    for (int i = 0; i < 4; i++) {
        layers[0].padding = wrong[i];
        CHECK(make_plan(layers, 2, &plan) == LENET_BAD_ARGUMENT && plan == NULL);
    }
    layers[0].padding = 4;
    lenet_input input = {.channels = 1, .height = 1016, .width = 8, .foreground = {1.0f}};
    CHECK(lenet_plan_create(layers, 2, &input, NULL, &plan) == LENET_OK);
    lenet_plan_free(plan);
    input.height = 1017;
    CHECK(lenet_plan_create(layers, 2, &input, NULL, &plan) == LENET_BAD_ARGUMENT);
    return 0;
}

/* Where sizes have 32 bits: every part of a network counts, and what they hold in all; and what a batch
 * needs for many threads may be more than there can be. */
static int check_what_fits(void)
{
    const lenet_layer large[] = {{.kind = LENET_CONV, .maps = 1 << 11, .kernel = 1},
                                 {.kind = LENET_CONV, .maps = 1, .kernel = 1 << 6},
                                 {.kind = LENET_DENSE, .maps = CLASSES},
                                 {.kind = LENET_DENSE, .maps = 1 << 9},
                                 {.kind = LENET_RBF, .maps = 1 << 9, .trained = 1}};
    lenet_input input = {1, 1 << 6, 1 << 6, {0.0f}, {1.0f}};
    lenet_plan *plan = NULL;
    CHECK(lenet_plan_create(large, 3, &input, NULL, &plan) == LENET_NO_MEMORY);
    CHECK(lenet_plan_create(&large[3], 1, &input, NULL, &plan) == LENET_NO_MEMORY);
    CHECK(lenet_plan_create(&large[4], 1, &input, NULL, &plan) == LENET_NO_MEMORY);
    CHECK(lenet_plan_create(&large[2], 1, &input, NULL, &plan) == LENET_OK && plan);
    CHECK(lenet_workspace_size(plan, 1, INT64_MAX, 1) < SIZE_MAX / 256);
    lenet_plan_free(plan);
    input.channels = 7;
    CHECK(lenet_plan_create(&large[1], 2, &input, NULL, &plan) == LENET_OK);
    CHECK(lenet_workspace_size(plan, 1, INT64_MAX, 1) > SIZE_MAX / 256);
    CHECK(lenet_workspace_size(plan, 1, INT64_MAX, 256) == SIZE_MAX);
    const lenet_decoder decoder = {.classes = 11, .blank = 10, .beam = 8, .n_best = 1};
    CHECK(lenet_decode_workspace(&decoder, 1 << 12) > 0 && lenet_decode_workspace(&decoder, 1 << 24) == 0);
    lenet_plan_free(plan);
    return 0;
}

/* A convolution over a whole map of 2^31 values has too many inputs for a dense layer's kernels; its
 * plan must not count them in 32 bits. */
static int check_large_plan(void)
{
    enum { MAPS = 2048, LARGE = 1024 };
    const lenet_layer layers[] = {{.kind = LENET_CONV, .maps = MAPS, .kernel = 1},
                                  {.kind = LENET_CONV, .maps = 1, .kernel = LARGE},
                                  {.kind = LENET_DENSE, .maps = CLASSES}};
    const int64_t values = (int64_t)MAPS * LARGE * LARGE;
    const lenet_input input = {1, LARGE, LARGE, {0.0f}, {1.0f}};
    lenet_plan *plan = NULL;
    if (sizeof(size_t) < 8) {
        CHECK(lenet_plan_create(layers, 3, &input, NULL, &plan) == LENET_NO_MEMORY && !plan);
        return check_what_fits();
    }
    CHECK(lenet_plan_create(layers, 3, &input, NULL, &plan) == LENET_OK);
    CHECK(lenet_plan_parameters(plan) == 2 * MAPS + values + 1 + 2 * CLASSES);
    const uint64_t least = (uint64_t)values * (uint64_t)lenet_lanes() * sizeof(float);
    for (int training = 0; training < 2; training++) {
        const uint64_t size = lenet_workspace_size(plan, training, INT64_MAX, 256);
        CHECK(size / 256 > least && size < (uint64_t)1 << 60);
    }
    lenet_plan_free(plan);
    return 0;
}

/* As many layers and connections as there can be: sizes that nobody has, but they are counted. */
static int check_largest_plan(void)
{
    if (sizeof(size_t) < 8) return 0;
    enum { DEEP = 8, MAPS = 4096, LARGE = 1024 };
    lenet_layer layers[DEEP];
    uint8_t *table = calloc(MAPS, MAPS);
    CHECK(table);
    for (int i = 0; i < MAPS; i++) table[(size_t)i * MAPS + (size_t)i] = 1;
    for (int i = 0; i < DEEP; i++)
        layers[i] = (lenet_layer){.kind = LENET_CONV, .maps = MAPS, .kernel = i ? 1 : 5,
                                  .activation = LENET_TANH, .table = i ? table : NULL};
    layers[DEEP - 2] = (lenet_layer){.kind = LENET_CONV, .maps = MAPS, .kernel = LARGE - 4};
    layers[DEEP - 1] = (lenet_layer){.kind = LENET_DENSE, .maps = MAPS};
    const lenet_input input = {1, LARGE, LARGE, {0.0f}, {1.0f}};
    lenet_plan *plan = NULL;
    CHECK(lenet_plan_create(layers, DEEP, &input, NULL, &plan) == LENET_OK);
    const uint64_t weights = (uint64_t)lenet_plan_parameters(plan);
    CHECK(weights > (uint64_t)MAPS * MAPS * (LARGE - 4) * (LARGE - 4));
    const uint64_t alone = lenet_workspace_size(plan, 1, INT64_MAX, 1);
    const uint64_t all = lenet_workspace_size(plan, 1, INT64_MAX, INT32_MAX);
    const uint64_t curvature = lenet_curvature_workspace_size(plan, INT64_MAX, INT32_MAX);
    CHECK(alone > weights * 4 && all > 200 * (alone - weights * 4 * 5) && all < UINT64_MAX / 4);
    CHECK(curvature > weights * 4 && curvature < UINT64_MAX / 4);
    CHECK(lenet_workspace_size(plan, 1, INT64_MAX, 256) == all);
    CHECK(lenet_workspace_size(plan, 1, 0, 1) == 0 && lenet_workspace_size(plan, 0, -5, 1) == 0);
    lenet_plan_free(plan);
    free(table);
    return 0;
}

/* An input that cannot be; and bytes of three channels, each with its levels, in small and large batches
 * give what the same values as floats do. */
static int check_channels(void)
{
    enum { CHANNELS = 3, MANY = 40, PIXELS = SIDE * SIDE };
    const lenet_layer layers[] = {{.kind = LENET_CONV, .maps = 4, .kernel = 5},
                                  {.kind = LENET_AVERAGE_POOL},
                                  {.kind = LENET_DENSE, .maps = CLASSES}};
    lenet_input input = {CHANNELS, SIDE, SIDE, {-0.5f, 0.0f, 1.0f}, {0.5f, 2.0f, -1.0f}};
    lenet_plan *plan = NULL;
    for (int i = 0; i < 4; i++) {
        lenet_input wrong = input;
        if (i == 0) wrong.channels = 0;
        if (i == 1) wrong.channels = LENET_MAX_CHANNELS + 1;
        if (i == 2) wrong.background[CHANNELS - 1] = NAN;
        if (i == 3) wrong.foreground[CHANNELS - 1] = INFINITY;
        CHECK(lenet_plan_create(layers, 3, &wrong, NULL, &plan) == LENET_BAD_ARGUMENT && !plan);
    }
    input.background[CHANNELS] = NAN;  /* no channel of its own */
    CHECK(lenet_plan_create(layers, 3, &input, NULL, &plan) == LENET_OK);
    const int64_t n = lenet_plan_parameters(plan);
    CHECK(n == 4 * (CHANNELS * 25 + 1) + CLASSES * (4 * 4 * 4 + 1));

    uint8_t *bytes = malloc((size_t)MANY * CHANNELS * PIXELS);
    float *values = malloc((size_t)MANY * CHANNELS * PIXELS * sizeof *values);
    float *parameters = malloc((size_t)n * sizeof *parameters);
    const size_t size = lenet_workspace_size(plan, 0, MANY, 1);
    char *memory = malloc(size + 64);
    CHECK(bytes && values && parameters && memory);
    for (int64_t i = 0; i < n; i++) parameters[i] = (float)(i * 37 % 101) / 500.0f - 0.1f;
    for (int i = 0; i < MANY * CHANNELS * PIXELS; i++) {
        const int c = i / PIXELS % CHANNELS;
        bytes[i] = (uint8_t)(i * 89 % 251);
        values[i] = input.background[c]
                    + (float)bytes[i] / 255.0f * (input.foreground[c] - input.background[c]);
    }
    const lenet_run run = {.workspace = memory + (64 - (uintptr_t)memory % 64),
                           .workspace_size = size,
                           .n_threads = 1};
    const lenet_images raw = {.pixels = bytes, .height = SIDE, .width = SIDE};
    const lenet_images ready = {.pixels = values, .is_float = 1, .height = SIDE, .width = SIDE};
    static float of_bytes[MANY][CLASSES], of_values[MANY][CLASSES];
    for (int64_t count = 1; count <= MANY; count += MANY - 1) {
        CHECK(lenet_forward(plan, parameters, &raw, count, of_bytes[0], &run) == LENET_OK);
        CHECK(lenet_forward(plan, parameters, &ready, count, of_values[0], &run) == LENET_OK);
        for (int64_t i = 0; i < count; i++)
            for (int c = 0; c < CLASSES; c++)
                CHECK(fabsf(of_bytes[i][c] - of_values[i][c]) < 1e-4f);
    }
    CHECK(fabsf(of_bytes[0][0] - of_bytes[1][0]) > 1e-3f);
    lenet_plan_free(plan);
    free(bytes);
    free(values);
    free(parameters);
    free(memory);
    return 0;
}

/* Of two positions without evidence three of four paths spell the one character; a grammar may want
 * what does not fit. */
static int check_decoding(void)
{
    enum { POSITIONS = 2, BLANK = 1 };
    const int32_t one[] = {1, -1, -1, -1}, two[] = {1, INT32_MIN, 2, INT32_MIN, -1, INT32_MIN};
    const uint8_t at_one[] = {0, 1}, at_two[] = {0, 0, 1};
    const lenet_grammar of_one = {2, one, at_one}, of_two = {3, two, at_two};
    const float y[POSITIONS * 2] = {0};
    const float bad[POSITIONS * 2] = {0.0f, 0.0f, NAN, 0.0f};
    int32_t least[9], length[1], string[POSITIONS], span[POSITIONS * 2];
    double log_p[1], confidence[POSITIONS], room[POSITIONS];
    lenet_decoded found = {.log_probability = log_p, .length = length, .string = string, .span = span,
                           .confidence = confidence};
    lenet_decoder decoder = {.classes = 2, .blank = BLANK, .beam = 3, .n_best = 1, .least = least};
    static double memory[1000];
    void *workspace = (void *)(((uintptr_t)memory + 15) & ~(uintptr_t)15);
    const size_t size = sizeof memory - 16;
    CHECK(lenet_decode_workspace(&decoder, POSITIONS) <= size);
    CHECK(lenet_decode(&decoder, y, POSITIONS, &found, workspace, 8) == LENET_NO_MEMORY);
    CHECK(lenet_decode(&decoder, bad, POSITIONS, &found, workspace, size) == LENET_NOT_FINITE);
    CHECK(lenet_decode(&decoder, y, POSITIONS, &found, workspace, size) == LENET_OK);
    CHECK(found.n == 1 && length[0] == 1 && string[0] == 0 && fabs(log_p[0] - log(0.75)) < 1e-12);
    for (decoder.total = 0; decoder.total < 2; decoder.total++) {
        decoder.grammar = &of_one;
        CHECK(lenet_grammar_least(&of_one, 2, BLANK, least) == LENET_OK);
        CHECK(lenet_decode_workspace(&decoder, POSITIONS) <= size);
        CHECK(lenet_decode(&decoder, y, POSITIONS, &found, workspace, size) == LENET_OK);
        CHECK(found.n == 1 && length[0] == 1 && confidence[0] > 0.99);
        CHECK(decoder.total ? fabs(found.log_accepted - log(0.75)) < 1e-12 : isnan(found.log_accepted));
        decoder.grammar = &of_two;  /* the same character twice takes three positions */
        CHECK(lenet_grammar_least(&of_two, 2, BLANK, least) == LENET_OK);
        CHECK(lenet_decode(&decoder, y, POSITIONS, &found, workspace, size) == LENET_OK);
        CHECK(found.n == 0 && isinf(found.log_accepted));
    }
    const int32_t wrong[] = {2, -1, -1, -1};
    CHECK(lenet_grammar_least(&(lenet_grammar){2, wrong, at_one}, 2, BLANK, least) == LENET_BAD_ARGUMENT);
    decoder.blank = 2;
    CHECK(lenet_decode_workspace(&decoder, POSITIONS) == 0);
    CHECK(lenet_decode(&decoder, y, POSITIONS, &found, workspace, size) == LENET_BAD_ARGUMENT);
    CHECK(lenet_best_path(y, POSITIONS, 2, BLANK, &found, room) == LENET_OK && length[0] == 1);
    CHECK(span[0] == 0 && span[1] == 1 && fabs(log_p[0] - log(0.25)) < 1e-12);
    CHECK(lenet_best_path(bad, POSITIONS, 2, BLANK, &found, room) == LENET_NOT_FINITE);
    CHECK(lenet_best_path(y, POSITIONS, 2, -1, &found, room) == LENET_BAD_ARGUMENT);
    return 0;
}

/* What is kept for each class must not lie on the stack. */
static int check_many_classes(void)
{
    enum { MOST = 4096, N = 3 };
    const lenet_layer layer = {.kind = LENET_DENSE, .maps = MOST};
    lenet_plan *plan = NULL;
    CHECK(make_plan(&layer, 1, &plan) == LENET_OK);
    const size_t n = (size_t)lenet_plan_parameters(plan);
    size_t size = lenet_workspace_size(plan, 1, N, 1);
    const size_t more = lenet_curvature_workspace_size(plan, N, 1);
    if (more > size) size = more;
    float *parameters = calloc(n, sizeof *parameters), *outputs = calloc(N * MOST, sizeof *outputs);
    float *found = calloc(n, sizeof *found), *shares = calloc(N * MOST, sizeof *shares);
    char *memory = malloc(size + 64);
    CHECK(parameters && outputs && found && shares && memory);
    for (size_t i = 0; i < n; i++) parameters[i] = (float)(i % 7) * 0.1f - 0.3f;
    static uint8_t pixels[N][SIDE * SIDE];
    const int64_t labels[N] = {0, MOST - 1, 77};
    for (int i = 0; i < N; i++) draw(pixels[i], i % 2, 4 + i);
    const lenet_images images = {.pixels = pixels, .height = SIDE, .width = SIDE};
    const lenet_run run = {.workspace = memory + (64 - (uintptr_t)memory % 64),
                           .workspace_size = size,
                           .n_threads = 1};
    const lenet_loss loss = {.kind = LENET_MAP, .j = 1.0, .temperature = 1.0};
    lenet_optimizer optimizer = {.kind = LENET_SGD, .rate = 1e-3f};
    lenet_report report, scored;
    CHECK(lenet_forward(plan, parameters, &images, N, outputs, &run) == LENET_OK);
    CHECK(lenet_score(plan, outputs, labels, N, &loss, &scored) == LENET_OK);
    CHECK(lenet_gradient(plan, parameters, &images, labels, N, &loss, found, &report, &run)
          == LENET_OK);
    CHECK(fabs(scored.loss - report.loss) < 1e-4);
    lenet_probabilities(plan, outputs, N, 1e9, shares);  /* so hot that all are equal */
    CHECK(fabs(shares[0] * MOST - 1.0) < 1e-4);
    lenet_probabilities(plan, outputs, N, 1.0, shares);
    double sum = 0.0, slopes = 0.0;
    for (int i = 0; i < MOST; i++) {
        sum += shares[i];
        slopes += found[n - MOST + (size_t)i];
    }
    CHECK(fabs(sum - 1.0) < 1e-5);
    /* a bias's gradient is the share less the label's 1, and the rubbish class has a share too */
    CHECK(slopes < 0.0 && slopes > -0.01);
    CHECK(lenet_curvature(plan, parameters, &images, labels, N, &loss, found, &run) == LENET_OK);
    for (int64_t many = 1; many <= N; many += N - 1)
        CHECK(lenet_step(plan, parameters, &images, labels, many, &loss, &optimizer, &report, &run)
              == LENET_OK);
    lenet_plan_free(plan);
    free(parameters);
    free(outputs);
    free(found);
    free(shares);
    free(memory);
    return 0;
}

/* Where LENET_C_ISA asks for what is not there, every call that can say so does. */
static int check_without_isa(lenet_status why)
{
    const lenet_layer layer = {.kind = LENET_DENSE, .maps = CLASSES};
    const int32_t shape[3] = {1, 1, 1};
    lenet_layer_sizes sizes;
    lenet_plan *plan = NULL;
    const lenet_transform as_it_is = {.scale = 1.0f, .squeeze = 1.0f};
    const uint8_t pixel = 1;
    float one = 1.0f, y, room[512];
    uint8_t out;
    CHECK(make_plan(&layer, 1, &plan) == why && plan == NULL);
    CHECK(lenet_layer_describe(&layer, shape, &sizes) == why);
    CHECK(lenet_layer_forward(&layer, shape, &one, &one, &one, 1, &y, NULL, 0) == why);
    CHECK(lenet_squash(LENET_TANH, &one, 1, &y) == why);
    CHECK(lenet_squash_backward(LENET_TANH, &one, &one, 1, &y) == why);
    CHECK(lenet_distort_workspace(1, 1) <= sizeof room);
    CHECK(lenet_transform_images(&as_it_is, &pixel, 1, 1, 1, &out, room, sizeof room) == why);
    printf("refused with status %d\n", (int)why);
    return 0;
}

/* Images dark around, then of another polarity, range and form; and answers beyond thresholds. */
static int check_appearance(void)
{
    enum { N = 3, WIDTH = 9, PIXELS = WIDTH * WIDTH };
    uint8_t dark[N * PIXELS] = {0}, others[N * PIXELS];
    float floats[PIXELS] = {0};
    int64_t seen, unlike[LENET_UNLIKE_KINDS];
    for (int i = 0; i < N; i++) dark[i * PIXELS + PIXELS / 2] = 255;
    const lenet_images learnt = {dark, 0, WIDTH, WIDTH, NULL, NULL};
    const lenet_images bytes = {others, 0, WIDTH, WIDTH, NULL, NULL};
    const lenet_images values = {floats, 1, WIDTH, WIDTH, NULL, NULL};
    const lenet_input input = {1, SIDE, SIDE, {-1.0f}, {1.0f}};
    lenet_appearance look = {0};
    lenet_appearance_learn(&look, &learnt, N, 100, &input);
    CHECK(look.n == N && look.border[0] == -1.0f && look.border[1] == -1.0f);
    CHECK(look.low[0] == -1.0f && look.low[1] == -1.0f && fabsf(look.high[0] - 1.0f) < 1e-6f);
    lenet_appearance_compare(&look, &learnt, N, 2, &input, &seen, unlike);
    CHECK(seen == 2);
    for (int k = 0; k < LENET_UNLIKE_KINDS; k++) CHECK(unlike[k] == 0);
    for (int i = 0; i < N * PIXELS; i++) others[i] = (uint8_t)(255 - dark[i]);
    lenet_appearance_compare(&look, &bytes, N, 16, &input, &seen, unlike);
    CHECK(seen == N && unlike[LENET_INVERTED] == N);
    for (int i = 0; i < N * PIXELS; i++) others[i] = dark[i] / 255;
    lenet_appearance_compare(&look, &bytes, N, 16, &input, &seen, unlike);
    CHECK(unlike[LENET_ONES] == N);
    for (int i = 0; i < N * PIXELS; i++) others[i] = dark[i] / 16;
    lenet_appearance_compare(&look, &bytes, N, 16, &input, &seen, unlike);
    CHECK(unlike[LENET_FAINT] == N);
    floats[3 * WIDTH + 4] = 1.0f;  /* in a row that is looked at */
    lenet_appearance_compare(&look, &values, 1, 16, &input, &seen, unlike);
    CHECK(seen == 1 && unlike[LENET_RANGE] == 1);
    floats[3 * WIDTH + 4] = 255.0f;
    lenet_appearance_compare(&look, &values, 1, 16, &input, &seen, unlike);
    CHECK(unlike[LENET_FAR] == 1);
    const float outputs[] = {1, 9, 5, 9, 1, 2};
    CHECK(lenet_count_rejected(outputs, 3, 2, 1, 16, 4.0, 3.0) == 2);
    CHECK(lenet_count_rejected(outputs, 3, 2, 0, 16, 0.1, 0.0) == 1);
    return 0;
}

/* A model gives the plan's bits, and goes on giving them when the parameters change. */
static int check_model(const lenet_plan *plan, float *parameters, const lenet_images *images,
                       const lenet_run *run)
{
    static float outputs[IMAGES][CLASSES], packed[IMAGES][CLASSES];
    const size_t size = lenet_model_size(plan), n = (size_t)lenet_plan_parameters(plan);
    char *memory = malloc(size + 64);
    float *kept = malloc(n * sizeof *kept);
    CHECK(memory && kept);
    memcpy(kept, parameters, n * sizeof *kept);
    char *aligned = memory + (64 - (uintptr_t)memory % 64);
    const lenet_model *model = NULL;
    CHECK(lenet_model_create(plan, parameters, aligned, size - 1, &model) == LENET_NO_MEMORY);
    CHECK(lenet_model_create(plan, parameters, aligned - 4, size, &model) == LENET_NO_MEMORY);
    CHECK(model == NULL);
    CHECK(lenet_model_create(plan, parameters, aligned, size, &model) == LENET_OK);
    const int64_t some[] = {1, 5, 33, IMAGES};
    for (int i = 0; i < 4; i++) {
        CHECK(lenet_forward(plan, parameters, images, some[i], &outputs[0][0], run) == LENET_OK);
        memset(parameters, 0, n * sizeof *parameters);
        CHECK(lenet_model_forward(model, images, some[i], &packed[0][0], run) == LENET_OK);
        memcpy(parameters, kept, n * sizeof *parameters);
        CHECK(memcmp(outputs, packed, (size_t)some[i] * sizeof *outputs) == 0);
    }
    float *activations[] = {NULL, NULL, &packed[0][0]}, *others[] = {NULL, NULL, &outputs[0][0]};
    memset(packed, 0, sizeof packed);
    CHECK(lenet_model_activations(model, images, IMAGES, activations, run) == LENET_OK);
    CHECK(lenet_activations(plan, parameters, images, IMAGES, others, run) == LENET_OK);
    CHECK(memcmp(outputs, packed, sizeof outputs) == 0);
    CHECK(memcmp(lenet_model_parameters(model), kept, n * sizeof *kept) == 0);
    free(memory);
    free(kept);
    return 0;
}

/* Three of the four paths through two positions of two classes spell the one character; a string that does
 * not fit, or that a grammar does not accept, changes nothing. */
static int check_strings(void)
{
    enum { POSITIONS = 2, BLANK = 1 };
    lenet_string_criterion criterion = {LENET_ALL_PATHS, BLANK, -1.0, INFINITY, NULL};
    const int32_t label[] = {0, 0};
    float y[POSITIONS * 2] = {0};
    double loss = 7.0, memory[200];
    const size_t size = lenet_string_workspace(&criterion, POSITIONS, 2, 1);
    CHECK(size > 0 && size <= sizeof memory && lenet_string_workspace(&criterion, 0, 2, 1) == 0);
    CHECK(lenet_string_workspace(&criterion, INT32_MAX, INT32_MAX, INT32_MAX) > (size_t)1 << 28);
    lenet_status status = lenet_string_loss(&criterion, y, POSITIONS, 2, label, 2, &loss, y, memory, size);
    CHECK(status == LENET_TOO_SHORT);
    status = lenet_string_loss(&criterion, y, POSITIONS, 2, label, 1, &loss, y, memory, size - 1);
    CHECK(status == LENET_NO_MEMORY);
    status = lenet_string_loss(&criterion, y, POSITIONS, 2, label, 1, &loss, y, (char *)memory + 4, size);
    CHECK(status == LENET_NO_MEMORY);
    const int32_t next[] = {-1, INT32_MIN};  /* of the blank: ignored */
    const uint8_t accept[] = {1};
    const lenet_grammar grammar = {1, next, accept};
    const lenet_string_criterion strict = {LENET_ALLOWED_PATHS, BLANK, -1.0, INFINITY, &grammar};
    status = lenet_string_loss(&strict, y, POSITIONS, 2, label, 1, &loss, y, memory, sizeof memory);
    CHECK(status == LENET_NOT_ALLOWED && loss == 7.0 && y[0] == 0.0f);
    status = lenet_string_loss(&strict, y, POSITIONS, 2, label, 0, &loss, y, memory, sizeof memory);
    CHECK(status == LENET_OK && fabs(loss) < 1e-12);
    status = lenet_string_loss(&criterion, y, POSITIONS, 2, label, 1, &loss, NULL, memory, size);
    CHECK(status == LENET_OK && fabs(loss + log(0.75)) < 1e-12);
    /* penalties, and their gradient in their place: of each position's class 2/3 are wanted, 1/2 is there */
    status = lenet_string_loss(&criterion, y, POSITIONS, 2, label, 1, &loss, y, memory, size);
    CHECK(status == LENET_OK);
    for (int i = 0; i < POSITIONS * 2; i++)
        CHECK(fabs(y[i] - (i % 2 ? -1.0 : 1.0) / 6.0) < 1e-6);
    y[1] = NAN;
    CHECK(lenet_string_loss(&criterion, y, POSITIONS, 2, label, 1, &loss, y, memory, size) == LENET_NOT_FINITE);
    return 0;
}

/* Targets of 1 and 0 are labels, others lie between, and what are none are refused. */
static int check_targets(const lenet_plan *plan, const float *parameters, const lenet_images *images,
                         const int64_t *labels, const float *outputs, const lenet_run *run)
{
    static double targets[IMAGES * CLASSES];
    const lenet_loss plain = {.kind = LENET_CROSS_ENTROPY, .temperature = 1.0};
    lenet_loss loss = plain;
    const double refused[] = {-0.5, NAN, INFINITY, 0.9};
    const size_t n = (size_t)lenet_plan_parameters(plan);
    float *slopes = malloc(2 * n * sizeof *slopes);
    lenet_report right, same, between;
    CHECK(slopes);
    for (int i = 0; i < IMAGES; i++) targets[i * CLASSES + labels[i]] = 1.0;
    loss.targets = targets;
    CHECK(lenet_score(plan, outputs, labels, IMAGES, &plain, &right) == LENET_OK);
    CHECK(lenet_score(plan, outputs, labels, IMAGES, &loss, &same) == LENET_OK);
    CHECK(right.loss == same.loss && right.n_errors == same.n_errors);
    CHECK(lenet_gradient(plan, parameters, images, labels, IMAGES, &plain, slopes, &right, run)
          == LENET_OK);
    CHECK(lenet_gradient(plan, parameters, images, labels, IMAGES, &loss, slopes + n, &same, run)
          == LENET_OK);
    CHECK(memcmp(slopes, slopes + n, n * sizeof *slopes) == 0);
    for (int i = 0; i < IMAGES * CLASSES; i++) targets[i] = 1.0 / CLASSES;
    CHECK(lenet_score(plan, outputs, labels, IMAGES, &loss, &between) == LENET_OK);
    CHECK(between.loss > right.loss && between.n_errors == right.n_errors);
    for (int i = 0; i < 4; i++) {
        targets[IMAGES * CLASSES - 1] = refused[i];
        CHECK(lenet_score(plan, outputs, labels, IMAGES, &loss, &same) == LENET_BAD_ARGUMENT);
        CHECK(lenet_gradient(plan, parameters, images, labels, IMAGES, &loss, slopes, &same, run)
              == LENET_BAD_ARGUMENT);
    }
    targets[IMAGES * CLASSES - 1] = -0.1;
    targets[IMAGES * CLASSES - 2] = 2.0 / CLASSES + 0.1;  /* they add up to 1 */
    CHECK(lenet_score(plan, outputs, labels, IMAGES, &loss, &same) == LENET_BAD_ARGUMENT);
    free(slopes);
    return 0;
}

/* What an image of weight 0 is counts for nothing, and weights that are none are refused. */
static int check_weights(const lenet_plan *plan, const float *parameters, const lenet_images *images,
                         const int64_t *labels, const float *outputs, const lenet_run *run)
{
    static double weights[IMAGES];
    static int64_t others[IMAGES];
    const lenet_loss loss = {.kind = LENET_CROSS_ENTROPY, .temperature = 1.0, .weights = weights};
    const double refused[] = {-1.0, NAN, INFINITY};
    const size_t n = (size_t)lenet_plan_parameters(plan);
    float *slopes = malloc(2 * n * sizeof *slopes);
    double sum = 0.0;
    lenet_report right, wrong;
    CHECK(slopes);
    for (int i = 0; i < IMAGES; i++) {
        weights[i] = i % 2 ? 0.0 : 2.0 + i;
        others[i] = i % 2 ? (labels[i] + 1) % CLASSES : labels[i];
    }
    CHECK(lenet_score(plan, outputs, labels, IMAGES, &loss, &right) == LENET_OK);
    CHECK(lenet_score(plan, outputs, others, IMAGES, &loss, &wrong) == LENET_OK);
    CHECK(right.loss == wrong.loss && right.loss > 0.0 && wrong.n_errors == 0);
    CHECK(lenet_gradient(plan, parameters, images, labels, IMAGES, &loss, slopes, &wrong, run)
          == LENET_OK);
    CHECK(fabs(right.loss - wrong.loss) <= 1e-4 * right.loss);
    CHECK(lenet_gradient(plan, parameters, images, others, IMAGES, &loss, slopes + n, &wrong, run)
          == LENET_OK);
    CHECK(memcmp(slopes, slopes + n, n * sizeof *slopes) == 0);
    for (size_t i = 0; i < n; i++) sum += fabs((double)slopes[i]);
    CHECK(sum > 0.0);
    for (int i = 0; i < 3; i++) {
        weights[1] = refused[i];
        CHECK(lenet_score(plan, outputs, labels, IMAGES, &loss, &wrong) == LENET_BAD_ARGUMENT);
        CHECK(lenet_gradient(plan, parameters, images, labels, IMAGES, &loss, slopes, &wrong, run)
              == LENET_BAD_ARGUMENT);
    }
    memset(weights, 0, sizeof weights);
    CHECK(lenet_score(plan, outputs, labels, IMAGES, &loss, &wrong) == LENET_BAD_ARGUMENT);
    free(slopes);
    return 0;
}

static int check_all(void)
{
    const lenet_status ready = lenet_init();
    if (ready != LENET_OK) return check_without_isa(ready);
    if (check_decoding()) return 1;
    if (check_ignored() || check_padding() || check_large_plan() || check_largest_plan()
        || check_many_classes() || check_appearance() || check_channels() || check_strings())
        return 1;
    const lenet_layer layers[] = {
        {.kind = LENET_CONV, .activation = LENET_SCALED_TANH, .maps = 3, .kernel = 5},
        {.kind = LENET_SUBSAMPLE, .activation = LENET_SCALED_TANH},
        {.kind = LENET_DENSE, .activation = LENET_IDENTITY, .maps = CLASSES},
    };
    lenet_plan *plan = NULL;
    CHECK(make_plan(layers, 3, &plan) == LENET_OK);
    const int64_t n = lenet_plan_parameters(plan);
    CHECK(n == 3 * 26 + 3 * 2 + CLASSES * (3 * 4 * 4 + 1));
    CHECK(lenet_plan_classes(plan) == CLASSES);
    CHECK((lenet_plan_margin(plan) + 3 * 26 + 3 * 2) % 16 == 0);

    static uint8_t pixels[IMAGES][SIDE * SIDE];
    static int64_t labels[IMAGES], classes[IMAGES];
    static float outputs[IMAGES][CLASSES];
    for (int i = 0; i < IMAGES; i++) {
        labels[i] = i % CLASSES;
        draw(pixels[i], labels[i], 3 + i / 2 % 6);
    }

    float *parameters = malloc((size_t)n * sizeof *parameters);
    float *velocity = calloc((size_t)n, sizeof *velocity);
    CHECK(parameters && velocity);
    unsigned seed = 1;
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        parameters[i] = ((float)(seed >> 8) / (float)(1 << 24) - 0.5f) * 0.4f;
    }

    const lenet_images images = {.pixels = pixels, .height = SIDE, .width = SIDE};
    const lenet_loss loss = {.kind = LENET_CROSS_ENTROPY, .temperature = 1.0};
    lenet_optimizer optimizer = {
        .kind = LENET_SGD, .rate = 0.05f, .momentum = 0.9f, .first_moment = velocity};
    lenet_report report;
    size_t size = lenet_workspace_size(plan, 1, IMAGES, 2);
    char *memory = malloc(size + 64);
    CHECK(memory);
    lenet_run run = {.workspace = memory + (64 - (uintptr_t)memory % 64),
                     .workspace_size = size,
                     .n_threads = 2};

    double first = 0.0;
    for (int i = 0; i < 40; i++) {
        CHECK(lenet_step(plan, parameters, &images, labels, IMAGES, &loss, &optimizer, &report,
                         &run) == LENET_OK);
        if (i == 0) first = report.loss;
    }
    CHECK(report.loss < 0.2 * first);
    CHECK(optimizer.step == 40);

    CHECK(lenet_forward(plan, parameters, &images, IMAGES, &outputs[0][0], &run) == LENET_OK);
    lenet_classify(plan, &outputs[0][0], IMAGES, classes);
    CHECK(memcmp(classes, labels, sizeof labels) == 0);
    CHECK(lenet_score(plan, &outputs[0][0], labels, IMAGES, &loss, &report) == LENET_OK);
    CHECK(report.n_errors == 0);
    CHECK(check_weights(plan, parameters, &images, labels, &outputs[0][0], &run) == 0);
    CHECK(check_targets(plan, parameters, &images, labels, &outputs[0][0], &run) == 0);
    const lenet_loss no_loss = {.kind = 3, .temperature = 1.0};
    const lenet_loss no_j = {.kind = LENET_MAP, .temperature = 1.0};
    const lenet_loss no_temperature = {.kind = LENET_MAP, .j = 1.0};
    CHECK(lenet_score(plan, &outputs[0][0], labels, IMAGES, &no_loss, &report)
          == LENET_BAD_ARGUMENT);

    /* the last layer's activations are the outputs; the others are not asked for */
    float *activations[] = {NULL, NULL, &outputs[0][0]};
    memset(outputs, 0, sizeof outputs);
    memset(classes, -1, sizeof classes);
    CHECK(lenet_activations(plan, parameters, &images, IMAGES, activations, &run) == LENET_OK);
    lenet_classify(plan, &outputs[0][0], IMAGES, classes);
    CHECK(memcmp(classes, labels, sizeof labels) == 0);

    if (check_model(plan, parameters, &images, &run)) return 1;

    /* what is frozen stays as it is */
    const int64_t frozen[] = {1, n};
    const float kept = parameters[1], other = parameters[0];
    optimizer.frozen = frozen;
    optimizer.n_frozen = 1;
    CHECK(lenet_step(plan, parameters, &images, labels, IMAGES, &loss, &optimizer, &report, &run)
          == LENET_OK);
    CHECK(parameters[1] == kept && parameters[0] != other);
    optimizer.frozen = NULL;
    optimizer.n_frozen = 0;

    /* a gradient that the caller has: the same bits as a step */
    float *stepped = malloc(2 * (size_t)n * sizeof(float)), *gradient = stepped + n;
    CHECK(stepped);
    memcpy(stepped, parameters, (size_t)n * sizeof(float));
    lenet_optimizer plain = {.kind = LENET_SGD, .rate = 0.01f}, other_plain = plain;
    CHECK(lenet_gradient(plan, parameters, &images, labels, IMAGES, &loss, gradient, &report, &run) == LENET_OK);
    CHECK(lenet_step(plan, stepped, &images, labels, IMAGES, &loss, &plain, &report, &run) == LENET_OK);
    CHECK(lenet_apply(plan, parameters, gradient, &other_plain) == LENET_OK);
    CHECK(memcmp(stepped, parameters, (size_t)n * sizeof(float)) == 0 && other_plain.step == 1);
    gradient[n - 1] = INFINITY;
    CHECK(lenet_apply(plan, stepped, gradient, &plain) == LENET_NOT_FINITE);
    plain.kind = LENET_ADAM;
    CHECK(lenet_apply(plan, parameters, gradient, &plain) == LENET_BAD_ARGUMENT);
    free(stepped);

    /* distorted images: known shifts, the same numbers for the same seed, and a step on them */
    static uint8_t moved[IMAGES][SIDE * SIDE], again[IMAGES][SIDE * SIDE];
    size_t distorting = lenet_distort_workspace(SIDE, SIDE);
    char *room = malloc(distorting + 1);
    CHECK(room && lenet_distort_workspace(0, SIDE) == 0);
    const lenet_transform shift = {.dx = 2, .dy = -1, .scale = 1, .squeeze = 1};
    CHECK(lenet_transform_images(&shift, pixels[0], IMAGES, SIDE, SIDE, moved[0], room, distorting)
          == LENET_OK);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            CHECK(moved[5][y * SIDE + x]
                  == (x < 2 || y > SIDE - 2 ? 0 : pixels[5][(y + 1) * SIDE + x - 2]));
    lenet_distortion distortion = {
        .translation = 1, .shearing = 0.1f, .elastic = 0.5f, .smoothness = 2, .seed = 9};
    CHECK(lenet_distort(&distortion, pixels[0], IMAGES, SIDE, SIDE, moved[0], room, distorting)
          == LENET_OK);
    distortion.first = 3;
    CHECK(lenet_distort(&distortion, pixels[3], 2, SIDE, SIDE, again[0], room, distorting)
          == LENET_OK);
    CHECK(memcmp(moved[3], again[0], 2 * sizeof again[0]) == 0);
    CHECK(memcmp(moved[3], pixels[3], sizeof moved[3]) != 0);
    CHECK(lenet_distort(&distortion, pixels[0], 1, SIDE, SIDE, moved[0], room, distorting - 1)
          == LENET_NO_MEMORY);
    CHECK(lenet_distort(&distortion, pixels[0], 1, SIDE, SIDE, moved[0], room + 1, distorting)
          == LENET_NO_MEMORY);
    free(room);
    lenet_images distorted = images;
    distorted.distortion = &distortion;
    lenet_report of_distorted;
    CHECK(lenet_step(plan, parameters, &distorted, labels, IMAGES, &loss, &optimizer,
                     &of_distorted, &run) == LENET_OK);
    CHECK(of_distorted.loss > report.loss);
    CHECK(optimizer.step == 42);

    /* the curvature, and an update at the rates that follow from it */
    lenet_optimizer sdlm = {.kind = LENET_SDLM};
    CHECK(lenet_step(plan, parameters, &images, labels, IMAGES, &loss, &sdlm, &report, &run)
          == LENET_BAD_ARGUMENT);
    float *rates = velocity;
    size = lenet_curvature_workspace_size(plan, IMAGES, 2);
    char *more = malloc(size + 64);
    CHECK(more);
    lenet_run wide = {.workspace = more + (64 - (uintptr_t)more % 64),
                      .workspace_size = size,
                      .n_threads = 2};
    CHECK(lenet_blocks(1, IMAGES) > 1);
    CHECK(lenet_curvature(plan, parameters, &images, labels, IMAGES, &loss, rates, &wide)
          == LENET_OK);
    for (int64_t i = 0; i < n; i++) {
        CHECK(rates[i] >= 0.0f);
        rates[i] = 0.01f / (0.1f + rates[i]);
    }
    sdlm.first_moment = rates;
    double before = 0.0;
    for (int i = 0; i < 2; i++) {
        before = report.loss;
        CHECK(lenet_step(plan, parameters, &images, labels, IMAGES, &loss, &sdlm, &report, &run)
              == LENET_OK);
    }
    CHECK(report.loss < before);
    labels[7] = CLASSES;
    CHECK(lenet_curvature(plan, parameters, &images, labels, IMAGES, &loss, rates, &wide)
          == LENET_BAD_LABEL);
    labels[7] = 1;
    CHECK(lenet_curvature(plan, parameters, &images, labels, IMAGES, &no_loss, rates, &wide)
          == LENET_BAD_ARGUMENT);
    CHECK(lenet_curvature(plan, parameters, &images, labels, IMAGES, &no_j, rates, &wide)
          == LENET_BAD_ARGUMENT);
    CHECK(lenet_curvature(plan, parameters, &images, labels, IMAGES, &no_temperature, rates, &wide)
          == LENET_BAD_ARGUMENT);
    wide.workspace_size = size - 1;
    CHECK(lenet_curvature(plan, parameters, &images, labels, IMAGES, &loss, rates, &wide)
          == LENET_NO_MEMORY);
    free(more);

    /* an interrupted step, and one whose loss is not finite, change nothing */
    enum { MANY = 4000 * IMAGES };  /* more than 50 ms, after which it asks */
    static int64_t order[MANY];
    for (int i = 0; i < MANY; i++) order[i] = i % IMAGES;
    lenet_images repeated = images;
    repeated.order = order;
    int32_t asked = 0;
    lenet_run stopped = run;
    stopped.n_threads = 1;
    stopped.interrupted = stop;
    stopped.context = &asked;
    CHECK(lenet_workspace_size(plan, 1, MANY, 1) <= run.workspace_size);
    lenet_report unused;
    float *copy = malloc((size_t)n * sizeof *copy);
    CHECK(copy);
    memcpy(copy, parameters, (size_t)n * sizeof *copy);
    CHECK(lenet_step(plan, parameters, &repeated, labels, MANY, &loss, &sdlm, &unused, &stopped)
          == LENET_INTERRUPTED);
    CHECK(asked == 1 && memcmp(copy, parameters, (size_t)n * sizeof *copy) == 0);
    float *many = malloc((size_t)MANY * CLASSES * sizeof *many);
    CHECK(many);
    CHECK(lenet_forward(plan, parameters, &repeated, MANY, many, &stopped) == LENET_INTERRUPTED);
    activations[2] = many;
    CHECK(lenet_activations(plan, parameters, &repeated, MANY, activations, &stopped)
          == LENET_INTERRUPTED);
    CHECK(lenet_gradient(plan, parameters, &repeated, labels, MANY, &loss, rates, &unused, &stopped)
          == LENET_INTERRUPTED);
    CHECK(asked == 4);
    free(many);

    /* calls without a lenet_run ask what is said for all of them */
    const size_t pixels_of_many = (size_t)MANY * SIDE * SIDE;
    uint8_t *from = calloc(pixels_of_many, 1), *to = malloc(pixels_of_many);
    room = malloc(distorting);
    CHECK(from && to && room);
    lenet_set_interrupted(stop, &asked);
    CHECK(lenet_distort(&distortion, from, MANY, SIDE, SIDE, to, room, distorting)
          == LENET_INTERRUPTED);
    lenet_set_interrupted(NULL, NULL);
    CHECK(asked == 5);
    free(from);
    free(to);
    free(room);

    /* one whose parameters overflow was a step, which the caller undoes: of a batch, of one image */
    for (int64_t many = IMAGES; many >= 1; many -= IMAGES - 1) {
        lenet_optimizer wild = {.kind = LENET_SGD, .rate = INFINITY};
        CHECK(lenet_step(plan, parameters, &images, labels, many, &loss, &wild, &unused, &run)
              == LENET_NOT_FINITE);
        CHECK(wild.step == 1 && memcmp(copy, parameters, (size_t)n * sizeof *copy) != 0);
        memcpy(parameters, copy, (size_t)n * sizeof *copy);
    }
    copy[0] = parameters[0] = NAN;
    CHECK(lenet_step(plan, parameters, &images, labels, IMAGES, &loss, &sdlm, &unused, &run)
          == LENET_NOT_FINITE);
    CHECK(memcmp(copy, parameters, (size_t)n * sizeof *copy) == 0);
    free(copy);

    /* what cannot be is refused, and nothing changes */
    CHECK(lenet_forward(plan, parameters, &distorted, IMAGES, &outputs[0][0], &run)
          == LENET_BAD_ARGUMENT);
    distortion.scaling = 1.0f;
    CHECK(lenet_step(plan, parameters, &distorted, labels, IMAGES, &loss, &optimizer, &report, &run)
          == LENET_BAD_ARGUMENT);
    lenet_plan *none = NULL;
    CHECK(make_plan(layers, 2, &none) == LENET_BAD_ARGUMENT);
    CHECK(none == NULL);
    labels[7] = CLASSES;
    CHECK(lenet_step(plan, parameters, &images, labels, IMAGES, &loss, &optimizer, &report, &run)
          == LENET_BAD_LABEL);
    labels[7] = 1;
    run.workspace_size = 64;
    CHECK(lenet_step(plan, parameters, &images, labels, IMAGES, &loss, &optimizer, &report, &run)
          == LENET_NO_MEMORY);
    CHECK(optimizer.step == 42);

    lenet_plan_free(plan);
    free(parameters);
    free(velocity);
    free(memory);
    printf("lenet.h works from C: loss %.3f -> %.3f on %s\n", first, report.loss, lenet_isa());
    return 0;
}

#ifdef __wasm__  /* no threads; `make test-wasm` links it with such a stack */
int main(void) { return check_all(); }
#else
static void *on_a_thread(void *result)
{
    *(int *)result = check_all();
    return NULL;
}

/* All of it on a stack of 64 KiB, or the least that the system gives: musl's threads have 128. */
int main(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int result = 1;
    CHECK(pthread_attr_init(&attributes) == 0);
    size_t stack = 1 << 16;
    while (stack < 1 << 20 && pthread_attr_setstacksize(&attributes, stack) != 0) stack *= 2;
    CHECK(stack <= 1 << 17);
    CHECK(pthread_create(&thread, &attributes, on_a_thread, &result) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    pthread_attr_destroy(&attributes);
    return result;
}
#endif
