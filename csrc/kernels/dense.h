/* Dense layers: with images in lanes, and for one image with its inputs in lanes.
 *
 * Compiled once per instruction set: only files of kernels/ include it. */
#ifndef LENET_KERNELS_DENSE_H
#define LENET_KERNELS_DENSE_H

#include "kernels/reduce.h"
#include "kernels/squash.h"
#include "kernels/transpose.h"
#include "kernels/update.h"

/* ---- images in lanes ------------------------------------------------------------------------- */

/* sum[r][g] += sum over k of w[r * w_row + k * w_column] * in[g][k]: the weights as stored for
 * forward, transposed by their strides backward. */
INLINE void dense_tile(const int ROWS, const int GROUPS, int n, const float *w, ptrdiff_t w_row,
                       ptrdiff_t w_column, const float *in, ptrdiff_t in_stride,
                       vf sum[DENSE_ROWS][DENSE_GROUPS])
{
    for (int k = 0; k < n; k++, w += w_column, in += LANES) {
        vf x[DENSE_GROUPS];
        UNROLL
        for (int g = 0; g < GROUPS; g++) x[g] = vf_load(in + g * in_stride);
        UNROLL
        for (int r = 0; r < ROWS; r++) {
            vf weight = vf_set(w[r * w_row]);
            UNROLL
            for (int g = 0; g < GROUPS; g++) vf_accumulate(&sum[r][g], x[g], weight);
        }
    }
}

INLINE void dense_forward_tile(const int ROWS, const int GROUPS, const lenet_dense_shape *s,
                               const float *weights, const float *bias, int activation,
                               const float *in, float *out)
{
    vf sum[DENSE_ROWS][DENSE_GROUPS];
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        UNROLL
        for (int g = 0; g < GROUPS; g++) sum[r][g] = vf_set(bias[r]);
    }
    dense_tile(ROWS, GROUPS, s->inputs, weights, s->inputs, 1, in, s->in_stride, sum);
    UNROLL
    for (int g = 0; g < GROUPS; g++) {
        float *to = out + g * s->out_stride;
        UNROLL
        for (int r = 0; r < ROWS; r++) vf_store(to + r * LANES, sum[r][g]);
        squash_lanes(activation, ROWS, to);
    }
}

INLINE void dense_backward_tile(const int ROWS, const int GROUPS, const lenet_dense_shape *s,
                                const float *weights, const float *delta, int in_activation,
                                float *in)
{
    vf sum[DENSE_ROWS][DENSE_GROUPS];
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        UNROLL
        for (int g = 0; g < GROUPS; g++) sum[r][g] = vf_set(0.0f);
    }
    dense_tile(ROWS, GROUPS, s->outputs, weights, 1, s->inputs, delta, s->out_stride, sum);
    UNROLL
    for (int g = 0; g < GROUPS; g++) {
        vf column[DENSE_ROWS];
        UNROLL
        for (int r = 0; r < ROWS; r++) column[r] = sum[r][g];
        store_delta(in_activation, column, ROWS, in + g * s->in_stride);
    }
}

INLINE void dense_groups(const int GROUPS, const lenet_dense_shape *s, const float *weights,
                         const float *bias, int activation, const float *in, float *out)
{
    for (lenet_pieces p = lenet_cut(s->outputs, DENSE_ROWS); p.size; p = lenet_next(p)) {
        const int r = p.start;
        WITH_SIZE(N, p.size, DENSE_ROWS,
                  dense_forward_tile(N, GROUPS, s, weights + (ptrdiff_t)r * s->inputs, bias + r,
                                     activation, in, out + r * LANES))
    }
}

INLINE void dense_backward_groups(const int GROUPS, const lenet_dense_shape *s,
                                  const float *weights, const float *delta, int in_activation,
                                  float *in)
{
    for (lenet_pieces p = lenet_cut(s->inputs, DENSE_ROWS); p.size; p = lenet_next(p)) {
        const int r = p.start;
        WITH_SIZE(N, p.size, DENSE_ROWS,
                  dense_backward_tile(N, GROUPS, s, weights + r, delta, in_activation,
                                      in + r * LANES))
    }
}

/* As many groups at once as a tile takes: 4 (where it does), 2 or 1. */
INLINE int groups_at_once(int left)
{
    return DENSE_GROUPS == 4 && left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

static void dense(const lenet_dense_shape *s, const float *weights, const float *bias,
                  int activation, const float *in, float *out)
{
    for (int g = 0, n; g < s->groups; g += n, in += n * s->in_stride, out += n * s->out_stride) {
        n = groups_at_once(s->groups - g);
        if (n == 4)
            dense_groups(DENSE_GROUPS, s, weights, bias, activation, in, out);
        else if (n == 2)
            dense_groups(2, s, weights, bias, activation, in, out);
        else
            dense_groups(1, s, weights, bias, activation, in, out);
    }
}

static void dense_backward_input(const lenet_dense_shape *s, const float *weights,
                                 const float *delta, int in_activation, float *in)
{
    for (int g = 0, n; g < s->groups;
         g += n, in += n * s->in_stride, delta += n * s->out_stride) {
        n = groups_at_once(s->groups - g);
        if (n == 4)
            dense_backward_groups(DENSE_GROUPS, s, weights, delta, in_activation, in);
        else if (n == 2)
            dense_backward_groups(2, s, weights, delta, in_activation, in);
        else
            dense_backward_groups(1, s, weights, delta, in_activation, in);
    }
}

/* dw[o][k] for some units and some vectors of inputs: inputs in lanes here, so that no sum over
 * lanes is needed. The last vector may stick out of the row: `width` is what is left of it. */
INLINE void outer_tile(const int ROWS, const int VECTORS, int images, const float *in,
                       ptrdiff_t in_stride, const float *delta, ptrdiff_t delta_stride,
                       int width, int add, ptrdiff_t dw_stride, float *dw)
{
    vf sum[OUTER_ROWS][OUTER_VECTORS];
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        UNROLL
        for (int v = 0; v < VECTORS; v++) sum[r][v] = vf_set(0.0f);
    }
    for (int i = 0; i < images; i++, in += in_stride, delta += delta_stride) {
        vf x[OUTER_VECTORS];
        UNROLL
        for (int v = 0; v < VECTORS; v++) x[v] = vf_loadu(in + v * LANES);
        UNROLL
        for (int r = 0; r < ROWS; r++) {
            vf d = vf_set(delta[r]);
            UNROLL
            for (int v = 0; v < VECTORS; v++) vf_accumulate(&sum[r][v], x[v], d);
        }
    }
    UNROLL
    for (int r = 0; r < ROWS; r++) store_sums(VECTORS, sum[r], width, add, dw + r * dw_stride);
}

INLINE void outer_rows(const int VECTORS, const lenet_dense_shape *s, const float *in,
                       ptrdiff_t in_stride, const float *delta, ptrdiff_t delta_stride,
                       int first, int add, float *dw)
{
    const int images = s->groups * LANES;
    for (lenet_pieces p = lenet_cut(s->outputs, OUTER_ROWS); p.size; p = lenet_next(p)) {
        const int o = p.start;
        WITH_SIZE(N, p.size, OUTER_ROWS,
                  outer_tile(N, VECTORS, images, in + first, in_stride, delta + o, delta_stride,
                             s->inputs - first, add, s->inputs,
                             dw + (ptrdiff_t)o * s->inputs + first))
    }
}

static void dense_backward_weights(const lenet_dense_shape *s, const float *in,
                                   const float *delta, float *scratch, int add, float *dweights,
                                   float *dbias)
{
    const int images = s->groups * LANES;
    const ptrdiff_t in_stride = ((ptrdiff_t)s->inputs + LANES - 1) / LANES * LANES;
    const ptrdiff_t delta_stride = ((ptrdiff_t)s->outputs + LANES - 1) / LANES * LANES;
    float *in_rows = scratch, *delta_rows = scratch + images * in_stride;
    transpose(in, s->in_stride, s->groups, s->inputs, in_stride, in_rows);
    transpose(delta, s->out_stride, s->groups, s->outputs, delta_stride, delta_rows);

    /* some columns of all images stay in the L1 cache while all units pass over them */
    const int vectors = (int)(in_stride / LANES);
    for (lenet_pieces p = lenet_cut(vectors, OUTER_VECTORS); p.size; p = lenet_next(p)) {
        WITH_SIZE(N, p.size, OUTER_VECTORS,
                  outer_rows(N, s, in_rows, in_stride, delta_rows, delta_stride,
                             p.start * LANES, add, dweights))
    }
    for (int o = 0; o < s->outputs; o++) {
        vf sum = vf_set(0.0f);
        for (int g = 0; g < s->groups; g++)
            sum = vf_add(sum, vf_load(delta + g * s->out_stride + o * LANES));
        dbias[o] = (add ? dbias[o] : 0.0f) + vf_sum(sum);
    }
}

/* ---- one image, inputs in lanes -------------------------------------------------------------- */

/* The last LANES inputs, of which the first are 0 that the whole vectors before have dealt with:
 * a row of weights is then read no further than its end. */
INLINE vf last_inputs(const float *in, int n)
{
    float rest[LANES] = {0};
    int from = n / LANES * LANES;
    memcpy(rest + LANES - (n - from), in + from, (size_t)(n - from) * sizeof *in);
    return vf_loadu(rest);
}

INLINE void dense_rows_tile(const int ROWS, int n, const float *w, const float *bias,
                            const float *in, float *out)
{
    const int whole = n / LANES * LANES;
    vf sum[8];
    UNROLL
    for (int r = 0; r < ROWS; r++) sum[r] = vf_set(0.0f);
    for (int k = 0; k < whole; k += LANES) {
        vf x = vf_loadu(in + k);
        UNROLL
        for (int r = 0; r < ROWS; r++)
            sum[r] = vf_fma(vf_loadu(w + (ptrdiff_t)r * n + k), x, sum[r]);
    }
    if (whole < n && n >= LANES) {
        vf x = last_inputs(in, n);
        UNROLL
        for (int r = 0; r < ROWS; r++)
            sum[r] = vf_fma(vf_loadu(w + (ptrdiff_t)(r + 1) * n - LANES), x, sum[r]);
    }
    UNROLL
    for (int r = 0; r < ROWS; r++) out[r] = vf_sum(sum[r]) + bias[r];
    for (int k = n < LANES ? 0 : n; k < n; k++)
        for (int r = 0; r < ROWS; r++) out[r] += w[r * n + k] * in[k];
}

static void dense_of_one(const lenet_dense_shape *s, const float *weights, const float *bias,
                         int activation, const float *in, float *out)
{
    for (lenet_pieces p = lenet_cut(s->outputs, 8); p.size; p = lenet_next(p)) {
        const float *w = weights + (ptrdiff_t)p.start * s->inputs;
        WITH_SIZE(N, p.size, 8,
                  dense_rows_tile(N, s->inputs, w, bias + p.start, in, out + p.start))
    }
    squash(activation, out, s->outputs, out);
}

/* What becomes of a dense layer's weights backward: their gradient is set, added, or at once
 * used for a step of plain SGD. */
typedef enum { SET, ADD, STEP } use_of_gradient;

/* The weights of ROWS units from k on, as many as there are lanes or `left`; `to` has their place in
 * the gradient, or for a step is `w` itself. Adds to dx, and to probe 0 times the new weights. */
INLINE void dense_vectors_of_one(const use_of_gradient USE, const int ROWS, ptrdiff_t n,
                                 ptrdiff_t left, const float *w, const vf *delta, vf rate, vf keep,
                                 const float *in, float *dx, float *to, vf *probe)
{
    const vf x = vf_in_register(load_up_to(in, left));
    vf sum = load_up_to(dx, left);
    for (int r = 0; r < ROWS; r++) {
        vf weight = vf_in_register(load_up_to(w + r * n, left)), g = vf_mul(delta[r], x);
        sum = vf_fma(delta[r], weight, sum);
        if (USE == ADD) g = vf_add(load_up_to(to + r * n, left), g);
        if (USE == STEP) {
            g = vf_fma(g, rate, vf_mul(weight, keep));
            probe[r] = vf_fma(g, vf_set(0.0f), probe[r]);
        }
        store_up_to(to + r * n, g, left);
    }
    store_up_to(dx, sum, left);
}

/* ROWS units: their weights are read from beginning to end, which the cache likes best. */
INLINE vf dense_units_of_one(const use_of_gradient USE, const int ROWS, ptrdiff_t n, const float *w,
                             const float *delta, vf rate, vf keep, const float *in, float *dx,
                             float *to)
{
    vf d[4], probe[4];
    UNROLL
    for (int r = 0; r < 4; r++) {
        d[r] = vf_set(delta[r < ROWS ? r : 0]);
        probe[r] = vf_set(0.0f);
    }
    ptrdiff_t k = 0;
    for (; k + LANES <= n; k += LANES)
        dense_vectors_of_one(USE, ROWS, n, LANES, w + k, d, rate, keep, in + k, dx + k, to + k,
                             probe);
    if (k < n)
        dense_vectors_of_one(USE, ROWS, n, n - k, w + k, d, rate, keep, in + k, dx + k, to + k,
                             probe);
    return vf_add(vf_add(probe[0], probe[1]), vf_add(probe[2], probe[3]));
}

INLINE vf dense_layer_of_one(const use_of_gradient USE, const lenet_dense_shape *s, const float *w,
                             const float *delta, vf rate, vf keep, int in_activation, float *dx,
                             float *in, float *to)
{
    const ptrdiff_t n = s->inputs;
    vf probe = vf_set(0.0f);
    memset(dx, 0, (size_t)n * sizeof *dx);
    for (lenet_pieces p = lenet_cut(s->outputs, 4); p.size; p = lenet_next(p)) {
        const ptrdiff_t at = p.start * n;
        WITH_SIZE(N, p.size, 4,
                  probe = vf_add(probe, dense_units_of_one(USE, N, n, w + at, delta + p.start, rate,
                                                           keep, in, dx, to + at)))
    }
    squash_backward(in_activation, in, dx, n, in);
    return probe;
}

static void dense_backward_of_one(const lenet_dense_shape *s, const float *weights,
                                  const float *delta, int in_activation, int add, float *scratch,
                                  float *in, float *dweights, float *dbias)
{
    const vf none = vf_set(0.0f);
    for (int o = 0; o < s->outputs; o++) dbias[o] = add ? dbias[o] + delta[o] : delta[o];
    if (add)
        dense_layer_of_one(ADD, s, weights, delta, none, none, in_activation, scratch, in, dweights);
    else
        dense_layer_of_one(SET, s, weights, delta, none, none, in_activation, scratch, in, dweights);
}

static int dense_step_of_one(const lenet_dense_shape *s, const lenet_optimizer *o,
                             const float *delta, int in_activation, float *scratch, float *in,
                             float *weights, float *biases)
{
    const vf keep = vf_set(1.0f - o->rate * o->weight_decay);
    vf probe = dense_layer_of_one(STEP, s, weights, delta, vf_set(-o->rate), keep, in_activation,
                                  scratch, in, weights);
    return update_sgd(o, delta, 0, s->outputs, biases) && vf_sum(probe) == 0.0f;
}

#endif
