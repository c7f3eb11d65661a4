/* Ways to compute that were tried and lost, each beside the one that is kept: make bench-variants.
 * Both give the same numbers, which is checked; the line says what the loss teaches.
 *
 * Compiled for the machine at hand, with the kernels as templates, as kernels/isa_<isa>.c are. */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifdef __GNUC__
#pragma GCC diagnostic ignored "-Wunused-function"  /* most of the kernels */
#endif
#include "kernels/kernels.h"
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#include "kernels/vec/avx512.h"
#elif defined(__AVX2__) && defined(__FMA__)
#include "kernels/vec/avx2.h"
#elif defined(__ARM_NEON)
#include "kernels/vec/neon.h"
#endif
#include "kernels/target.h"

/* both kinds of tanh: squash.h has one */
#ifdef LENET_HAS_LOOKUP
#define tanh_fit quotient_fit
#define FIT_TANH QUOTIENT_TANH
#define FIT_SCALED_TANH QUOTIENT_SCALED_TANH
#define vf_tanh vf_tanh_quotient
#include "kernels/tanh_rational.h"
#undef tanh_fit
#undef FIT_TANH
#undef FIT_SCALED_TANH
#undef vf_tanh
#endif
#include "kernels/conv.h"
#include "kernels/dense.h"

/* C3 of 14x14 maps, all connected; C5 */
enum { MAPS = 6, SIDE = 14, KERNEL = 5, OUT = 10, OUT_MAPS = 16, TAPS = MAPS * KERNEL * KERNEL };
enum { INPUTS = 400, UNITS = 120, VALUES = 4096 };

static _Alignas(64) float a[VALUES], y[VALUES], in[MAPS * SIDE * SIDE * LANES],
    out[OUT_MAPS * OUT * OUT * LANES], columns[OUT * OUT][TAPS * LANES], unit[UNITS * LANES],
    weights[UNITS * INPUTS], bias[UNITS], rows[LANES][INPUTS];
static float kept[OUT_MAPS * OUT * OUT * LANES];
static int32_t begin[OUT_MAPS + 1], source[OUT_MAPS * MAPS];
static const lenet_conv_shape C3 = {.in_maps = MAPS, .in_height = SIDE, .in_width = SIDE,
                                    .out_maps = OUT_MAPS, .out_height = OUT, .out_width = OUT,
                                    .kernel = KERNEL, .begin = begin, .source = source};
static const lenet_dense_shape C5 = {.inputs = INPUTS, .outputs = UNITS, .groups = 1,
                                     .in_stride = INPUTS * LANES, .out_stride = UNITS * LANES};

/* ---- squashing ---- */

static void squash_kept(void) { squash(LENET_SCALED_TANH, a, VALUES, y); }

#ifdef LENET_HAS_LOOKUP
static void squash_quotient(void)
{
    for (int i = 0; i < VALUES; i += 4 * LANES) {
        UNROLL
        for (int k = 0; k < 4 * LANES; k += LANES)
            vf_storeu(y + i + k, vf_tanh_quotient(&QUOTIENT_SCALED_TANH, vf_loadu(a + i + k)));
    }
}
#endif

static void squash_libm(void)
{
    for (int i = 0; i < VALUES; i++) y[i] = 1.7159f * tanhf((float)(2.0 / 3.0) * a[i]);
}

/* ---- a dense layer, C5, for one group of images ---- */

static void dense_kept(void) { dense(&C5, weights, bias, LENET_IDENTITY, in, unit); }

static void dense_unit_by_unit(void)
{
    for (int r = 0; r < UNITS; r++)
        dense_forward_tile(1, 1, &C5, weights + r * INPUTS, bias + r, LENET_IDENTITY, in,
                           unit + r * LANES);
}

/* Each image's inputs in the lanes, as in its row of memory. */
static void dense_over_lanes(void)
{
    for (int image = 0; image < LANES; image++) {
        for (int r = 0; r < UNITS; r++) {
            const float *w = weights + r * INPUTS;
            float lanes[LANES], total = bias[r];
            vf sum = vf_set(0.0f);
            for (int k = 0; k + LANES <= INPUTS; k += LANES)
                vf_accumulate(&sum, vf_loadu(rows[image] + k), vf_loadu(w + k));
            vf_storeu(lanes, sum);
            for (int k = 0; k < LANES; k++) total += lanes[k];
            unit[r * LANES + image] = total;
        }
    }
}

/* ---- a convolution, C3, for one group of images ---- */

static void conv_kept(void)
{
    conv(&C3, weights, bias, LENET_IDENTITY, in, 0, OUT, OUT * OUT * LANES, out);
}

/* The convolution as a dense layer: the inputs of each output are copied beside each other. */
static void conv_by_columns(void)
{
    const lenet_dense_shape shape = {.inputs = TAPS, .outputs = OUT_MAPS, .groups = 1,
                                     .in_stride = TAPS * LANES, .out_stride = OUT_MAPS * LANES};
    int places[TAPS];
    for (int tap = 0; tap < TAPS; tap++) {
        const int map = tap / (KERNEL * KERNEL), row = tap / KERNEL % KERNEL, column = tap % KERNEL;
        places[tap] = ((map * SIDE + row) * SIDE + column) * LANES;
    }
    for (int p = 0; p < OUT * OUT; p++) {
        const float *from = in + (p / OUT * SIDE + p % OUT) * LANES;
        for (int tap = 0; tap < TAPS; tap++)
            vf_store(columns[p] + tap * LANES,
                     vf_load(from + places[tap]));
    }
    for (int p = 0; p < OUT * OUT; p++) {
        _Alignas(64) float of_maps[OUT_MAPS * LANES];
        dense(&shape, weights, bias, LENET_IDENTITY, columns[p], of_maps);
        for (int o = 0; o < OUT_MAPS; o++)
            memcpy(out + (o * OUT * OUT + p) * LANES, of_maps + o * LANES, LANES * sizeof(float));
    }
}

/* ---- the clock ---- */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double shortest(void (*run)(void))
{
    double least = 1.0;
    for (int round = 0; round < 300; round++) {
        const double from = seconds();
        for (int i = 0; i < 4; i++) run();
        const double took = (seconds() - from) / 4;
        if (took < least) least = took;
    }
    return least;
}

static int beside(const char *what, void (*one)(void), void (*other)(void), const float *result,
                  int n, const char *why)
{
    float apart = 0.0f;
    one();
    memcpy(kept, result, (size_t)n * sizeof(float));
    other();
    for (int i = 0; i < n; i++) apart = fmaxf(apart, fabsf(result[i] - kept[i]));
    const double before = shortest(one), took = shortest(other);
    const double again = shortest(one);
    printf("%-36s %7.2f us, %5.2f of the kept one; %s\n", what, 1e6 * took,
           2 * took / (before + again), why);
    if (apart < 1e-4f) return 0;
    printf("  wrong by %g\n", (double)apart);
    return 1;
}

int main(void)
{
    uint32_t state = 1;
#define FILL(array, scale)                                                                        \
    for (size_t i = 0; i < sizeof(array) / sizeof(float); i++) {                                  \
        state = state * 1664525u + 1013904223u;                                                   \
        ((float *)(array))[i] = (scale) * ((float)(state >> 8) / 8388608.0f - 1.0f);              \
    }
    FILL(a, 4.0f)
    FILL(in, 1.0f)
    FILL(weights, 0.05f)
    FILL(bias, 0.5f)
    for (int i = 0; i < INPUTS * LANES; i++) rows[i % LANES][i / LANES] = in[i];
    for (int o = 0; o <= OUT_MAPS; o++) begin[o] = o * MAPS;
    for (int c = 0; c < OUT_MAPS * MAPS; c++) source[c] = c % MAPS;

    int wrong = 0;
#ifdef LENET_HAS_LOOKUP
    wrong |= beside("tanh: a quotient, no table", squash_kept, squash_quotient, y, VALUES,
                    "more operations, and longer waits for each");
#endif
    wrong |= beside("tanh: the C library's", squash_kept, squash_libm, y, VALUES,
                    "one number at a time");
    wrong |= beside("dense: unit by unit, no tile", dense_kept, dense_unit_by_unit, unit,
                    UNITS * LANES, "each sum waits for itself, and inputs are read for one product");
    wrong |= beside("dense: inputs in the lanes", dense_kept, dense_over_lanes, unit, UNITS * LANES,
                    "two loads for a product, and sums over the lanes");
    wrong |= beside("convolution: columns, then dense", conv_kept, conv_by_columns, out,
                    OUT_MAPS * OUT * OUT * LANES, "inputs are copied 25 times, out of the L1 cache");
    return wrong;
}
