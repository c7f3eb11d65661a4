/* How many multiply-adds a core does at most, beside which the other kernels are measured.
 *
 * Compiled once per instruction set: only files of kernels/ include it. */
#ifndef LENET_KERNELS_PEAK_H
#define LENET_KERNELS_PEAK_H

#include "kernels/target.h"

INLINE double multiply_adds_of(const int LOADS, int64_t rounds, float *sink)
{
    enum { SUMS = 12, REPEATS = 8 };
    const float *addend = sink + LANES;
    vf sum[SUMS], x = vf_set(sink[0]), y = vf_set(sink[1]);
    UNROLL
    for (int i = 0; i < SUMS; i++) sum[i] = vf_set((float)i);
    for (int64_t round = 0; round < rounds; round++) {
        UNROLL
        for (int k = 0; k < REPEATS; k++) {
            UNROLL
            for (int i = 0; i < SUMS; i += 2) {
                PIN(addend);  /* read each time, and where it is used */
                if (LOADS) y = vf_in_register(vf_load(addend + i / 2 * LANES));
                sum[i] = vf_fma(sum[i], x, y);
                sum[i + 1] = vf_fma(sum[i + 1], x, y);
            }
        }
    }
    vf total = sum[0];
    UNROLL
    for (int i = 1; i < SUMS; i++) total = vf_add(total, sum[i]);
    sink[0] = vf_sum(total);
    return (double)SUMS * REPEATS * LANES;
}

static double multiply_adds(int64_t rounds, int loads, float *sink)
{
    return loads ? multiply_adds_of(1, rounds, sink) : multiply_adds_of(0, rounds, sink);
}

#endif
