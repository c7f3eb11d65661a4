/* What the page of docs/demo calls: the C core with two networks in it, one for a digit and one for a
 * number. `python -m bench.demo` writes demo_networks.h, which holds them, and compiles this to
 * WebAssembly.
 *
 * The page writes an image to where page_image or page_strip says, calls, and reads answers from where the
 * others say. Nothing is freed between calls but what a call takes for itself. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "demo_networks.h"
#include "lenet.h"

#define EXPORT(name) __attribute__((export_name(#name))) name

enum {
    SIDE = 28,        /* of an image */
    HEIGHT = 32,      /* of a strip */
    WIDEST = 1024,
    LAYERS = 7,
    POSITIONS = WIDEST / 4,
    SEEN = 16,        /* side of what is compared with the class's images, each of 2x2 pixels */
    DIRECTIONS = 20   /* of a subspace, behind its mean */
};

typedef struct {
    lenet_plan *plan;
    float *parameters;
    float *outputs[LAYERS];  /* of the last image or strip */
} network;

static network digit, number;
static float codes[CODES], subspaces[CLASSES * (1 + DIRECTIONS) * SEEN * SEEN];

static uint8_t image[SIDE * SIDE], strip[HEIGHT * WIDEST];
static float probabilities[CLASSES];
static int32_t string[POSITIONS], spans[2 * POSITIONS];
static double confidence[POSITIONS], log_probability;

/* ---- opening ------------------------------------------------------------------------------------ */

static float from_half(uint16_t half)
{
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const float size = exponent ? ldexpf(1024.0f + (float)fraction, exponent - 25)
                                : ldexpf((float)fraction, -24);
    return half >> 15 ? -size : size;
}

static void expand(const uint16_t *halves, int n, float *to)
{
    for (int i = 0; i < n; i++) to[i] = from_half(halves[i]);
}

/* Makes a network; `columns` positions wide is the most that it will see. */
static int32_t open(network *net, const lenet_layer *layers, const lenet_input *input, const float *fixed,
                    const uint16_t *halves, int n, int columns)
{
    const lenet_status status = lenet_plan_create(layers, LAYERS, input, fixed, &net->plan);
    if (status != LENET_OK) return status;
    if (lenet_plan_parameters(net->plan) != n) return LENET_BAD_ARGUMENT;
    net->parameters = malloc((size_t)n * sizeof(float));
    if (!net->parameters) return LENET_NO_MEMORY;
    expand(halves, n, net->parameters);
    for (int32_t l = 0; l < LAYERS; l++) {
        int32_t shape[3];
        lenet_plan_shape(net->plan, l, shape);
        const int32_t stride = lenet_plan_stride(net->plan, l);
        const int32_t wide = stride ? shape[2] + (columns - 1) * stride : columns;
        net->outputs[l] = malloc((size_t)(shape[0] * shape[1] * wide) * sizeof(float));
        if (!net->outputs[l]) return LENET_NO_MEMORY;
    }
    return LENET_OK;
}

/* Once, before all others; 0 if it went well. */
int32_t EXPORT(page_open)(void)
{
    expand(DIGIT_CODES, CODES, codes);
    expand(DIGIT_SUBSPACES, CLASSES * (1 + DIRECTIONS) * SEEN * SEEN, subspaces);
    const int32_t status
        = open(&digit, DIGIT_LAYERS, &DIGIT_INPUT, codes, DIGIT_PARAMETERS, N_DIGIT_PARAMETERS, 1);
    return status ? status
                  : open(&number, NUMBER_LAYERS, &NUMBER_INPUT, NULL, NUMBER_PARAMETERS,
                         N_NUMBER_PARAMETERS, POSITIONS);
}

/* ---- a digit ------------------------------------------------------------------------------------ */

uint8_t *EXPORT(page_image)(void) { return image; }
float *EXPORT(page_probabilities)(void) { return probabilities; }
/* Outputs of a layer, [maps][height][width], for the last image. */
float *EXPORT(page_digit_layer)(int32_t l) { return digit.outputs[l]; }

/* Reads the image; gives its class, or -1 - the status if something went wrong. */
int32_t EXPORT(page_read_digit)(void)
{
    int64_t found = 0;
    const size_t size = lenet_workspace_size(digit.plan, 1, 1, 1);
    void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
    if (!memory) return -1 - LENET_NO_MEMORY;
    const lenet_images one = {.pixels = image, .height = SIDE, .width = SIDE};
    const lenet_run run = {.workspace = memory, .workspace_size = size, .n_threads = 1};
    const lenet_status status
        = lenet_activations(digit.plan, digit.parameters, &one, 1, digit.outputs, &run);
    free(memory);
    if (status != LENET_OK) return -1 - (int32_t)status;
    const float *penalties = digit.outputs[LAYERS - 1];
    lenet_classify(digit.plan, penalties, 1, &found);
    lenet_probabilities(digit.plan, penalties, 1, DIGIT_TEMPERATURE, probabilities);
    return (int32_t)found;
}

/* How far the image is from those of a class: from the subspace that they lie near, in 16x16 (as
 * lenet_c/calibration.py has it). */
double EXPORT(page_distance)(int32_t class)
{
    const float *mean = subspaces + (ptrdiff_t)class * (1 + DIRECTIONS) * SEEN * SEEN;
    double apart[SEEN * SEEN] = {0}, ink = 0.0, of_mean = 0.0, square = 0.0;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            apart[(y + 2) / 2 * SEEN + (x + 2) / 2] += image[y * SIDE + x] / (4.0 * 255.0);
    for (int i = 0; i < SEEN * SEEN; i++) {
        ink += apart[i] * apart[i];
        of_mean += (double)mean[i] * mean[i];
    }
    const double scale = fmax(LEAST_INK * sqrt(of_mean) / sqrt(ink), 1.0);
    for (int i = 0; i < SEEN * SEEN; i++) {
        apart[i] = apart[i] * scale - mean[i];
        square += apart[i] * apart[i];
    }
    for (int k = 1; k <= DIRECTIONS; k++) {
        double along = 0.0;
        for (int i = 0; i < SEEN * SEEN; i++) along += apart[i] * mean[k * SEEN * SEEN + i];
        square -= along * along;
    }
    return ink > 0.0 ? sqrt(fmax(square, 0.0)) : INFINITY;
}

/* ---- a number ----------------------------------------------------------------------------------- */

/* [32][width] of the strip that is read next, up to WIDEST columns. */
uint8_t *EXPORT(page_strip)(void) { return strip; }
/* Outputs of a layer that sees all of the strip, [maps][height][width]; else [position][unit]. */
float *EXPORT(page_number_layer)(int32_t l) { return number.outputs[l]; }
int32_t *EXPORT(page_string)(void) { return string; }
int32_t *EXPORT(page_spans)(void) { return spans; }
double *EXPORT(page_confidence)(void) { return confidence; }
double EXPORT(page_log_probability)(void) { return log_probability; }

int32_t EXPORT(page_columns)(int32_t width)
{
    int32_t positions[2];
    lenet_positions(number.plan, HEIGHT, width + 2 * MARGIN, positions);
    return positions[1];
}

static int32_t decode(int32_t columns)
{
    enum { NUMBER_CLASSES = CLASSES + 1 };
    static float evidence[POSITIONS * NUMBER_CLASSES];
    const lenet_decoder decoder
        = {.classes = NUMBER_CLASSES, .blank = CLASSES, .beam = BEAM, .n_best = 1};
    lenet_decoded found = {.log_probability = &log_probability, .length = &(int32_t){0},
                           .string = string, .span = spans, .confidence = confidence};
    for (int i = 0; i < columns * NUMBER_CLASSES; i++)
        evidence[i] = number.outputs[LAYERS - 1][i] / (float)NUMBER_TEMPERATURE;
    const size_t size = lenet_decode_workspace(&decoder, columns);
    void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
    if (!memory) return -1 - LENET_NO_MEMORY;
    const lenet_status status = lenet_decode(&decoder, evidence, columns, &found, memory, size);
    free(memory);
    return status == LENET_OK ? found.length[0] : -1 - (int32_t)status;
}

/* Reads the strip of this width; gives how many digits it has, or -1 - the status. */
int32_t EXPORT(page_read_number)(int32_t width)
{
    static uint8_t padded[HEIGHT * (WIDEST + 2 * MARGIN)];
    const int32_t height = HEIGHT, wide = width + 2 * MARGIN;
    if (width < 1 || width > WIDEST) return -1 - LENET_BAD_ARGUMENT;
    memset(padded, 0, sizeof padded);
    for (int y = 0; y < HEIGHT; y++)
        memcpy(padded + y * wide + MARGIN, strip + y * width, (size_t)width);
    const void *pixels = padded;
    const lenet_pictures one = {.pixels = &pixels, .heights = &height, .widths = &wide};
    const size_t size = lenet_sweep_workspace_size(number.plan, &one, 1, 1);
    void *memory = size ? aligned_alloc(64, (size + 63) / 64 * 64) : NULL;
    if (!memory) return -1 - LENET_NO_MEMORY;
    const lenet_run run = {.workspace = memory, .workspace_size = size, .n_threads = 1};
    const lenet_status status
        = lenet_sweep_activations(number.plan, number.parameters, &one, number.outputs, &run);
    free(memory);
    return status == LENET_OK ? decode(page_columns(width)) : -1 - (int32_t)status;
}
