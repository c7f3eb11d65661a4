/* Sums: over lanes, over vectors, over the partial sums of blocks of images.
 *
 * Compiled once per instruction set: only files of kernels/ include it. */
#ifndef LENET_KERNELS_REDUCE_H
#define LENET_KERNELS_REDUCE_H

#include "kernels/target.h"

static void sum_lanes(const float *in, ptrdiff_t n, int add, float *sums)
{
    ptrdiff_t i = 0;
    /* LANES sums at once: neighbours are added in pairs until one vector has them all */
    for (; i + LANES <= n; i += LANES, in += LANES * LANES) {
        vf part[LANES];
        UNROLL
        for (int k = 0; k < LANES; k++) part[k] = vf_load(in + k * LANES);
        UNROLL
        for (int left = LANES / 2; left > 0; left /= 2) {
            UNROLL
            for (int k = 0; k < left; k++) part[k] = vf_add_pairs(part[2 * k], part[2 * k + 1]);
        }
        vf_storeu(sums + i, add ? vf_add(vf_loadu(sums + i), part[0]) : part[0]);
    }
    for (; i < n; i++, in += LANES) sums[i] = (add ? sums[i] : 0.0f) + vf_sum(vf_load(in));
}

static int sum_partials(const float *partials, ptrdiff_t stride, int n_partials, int add,
                        ptrdiff_t n, float *sum)
{
    /* 0 * x is 0 if x is finite, else NaN */
    vf probe = vf_set(0.0f);
    float rest = 0.0f;
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf total = add ? vf_add(vf_loadu(sum + i), vf_loadu(partials + i)) : vf_loadu(partials + i);
        for (int p = 1; p < n_partials; p++)
            total = vf_add(total, vf_loadu(partials + p * stride + i));
        probe = vf_fma(total, vf_set(0.0f), probe);
        vf_storeu(sum + i, total);
    }
    for (; i < n; i++) {
        float total = add ? sum[i] + partials[i] : partials[i];
        for (int p = 1; p < n_partials; p++) total += partials[p * stride + i];
        rest += total * 0.0f;
        sum[i] = total;
    }
    return vf_sum(probe) + rest == 0.0f;
}

/* `first` and n vectors. Four sums, so that one addition need not wait for another. */
INLINE vf sum_vectors(vf first, const float *in, ptrdiff_t n)
{
    vf sum[4] = {first, vf_set(0.0f), vf_set(0.0f), vf_set(0.0f)};
    ptrdiff_t i = 0;
    for (; i + 4 <= n; i += 4, in += 4 * LANES) {
        UNROLL
        for (int k = 0; k < 4; k++) sum[k] = vf_add(sum[k], vf_load(in + k * LANES));
    }
    for (; i < n; i++, in += LANES) sum[0] = vf_add(sum[0], vf_load(in));
    return vf_add(vf_add(sum[0], sum[1]), vf_add(sum[2], sum[3]));
}

/* Adds a map's deltas, n vectors, to its bias's gradient. */
INLINE void add_bias(const float *delta, ptrdiff_t n, float *dbias)
{
    vf_store(dbias, sum_vectors(vf_load(dbias), delta, n));
}

/* The first n floats of some vectors to `to`, or added to what is there. */
INLINE void store_sums(const int VECTORS, const vf *sum, int n, int add, float *to)
{
    if (n >= VECTORS * LANES) {
        UNROLL
        for (int v = 0; v < VECTORS; v++)
            vf_storeu(to + v * LANES, add ? vf_add(vf_loadu(to + v * LANES), sum[v]) : sum[v]);
        return;
    }
    UNROLL
    for (int v = 0; v < VECTORS; v++, to += LANES, n -= LANES)
        if (n > 0) vf_store_part(to, add ? vf_add(vf_load_part(to, n), sum[v]) : sum[v], n);
}

#endif
