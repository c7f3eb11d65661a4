/* Sums of blocks' gradients, and the optimizer's step in the same pass over the parameters; lenet_apply, a
 * step by a sum that the caller made. */
#include "run/reduce.h"

enum { UPDATE_CHUNK = 4096 };  /* parameters that are added up or updated at once */

static ptrdiff_t chunk_size(const reduction *c, int64_t i)
{
    ptrdiff_t left = c->b->plan->n_parameters - i * UPDATE_CHUNK;
    return left < UPDATE_CHUNK ? left : UPDATE_CHUNK;
}

/* Adds the partials of a round up, or adds them to the rounds before; the pairs first, unless the
 * blocks have made them. */
static void add_chunk(reduction *c, int64_t i, int32_t thread)
{
    const batch *b = c->b;
    const ptrdiff_t first = i * UPDATE_CHUNK, n = chunk_size(c, i), stride = b->partial_stride;
    float *partials = b->partials + first;
    for (int64_t k = 0; !b->by_pairs && k + 1 < b->blocks; k += 2)
        b->k->sum_partials(partials + k * stride, stride, 2, 0, n, partials + k * stride);
    if (!b->k->sum_partials(partials, 2 * stride, (int)(b->blocks + 1) / 2, c->add, n,
                            c->gradient + first))
        c->finite[thread] = 0;
}

typedef int update(const lenet_optimizer *o, const float *gradient, ptrdiff_t first, ptrdiff_t n,
                   float *parameters);

static update *update_of(const lenet_optimizer *o, const lenet_kernels *k)
{
    switch (o->kind) {
    case LENET_SGD: return k->update_sgd;
    case LENET_ADAM: return k->update_adam;
    default: return k->update_sdlm;
    }
}

/* Whether the parameters first .. end - 1 are finite after it. */
static int update_range(const lenet_kernels *k, const lenet_optimizer *o, const float *gradient,
                        int64_t first, int64_t end, float *parameters)
{
    int is_finite = 1;
    for (int32_t r = 0; r <= o->n_frozen; r++) {  /* what lies before frozen range r, then past it */
        int64_t stop = r < o->n_frozen && o->frozen[2 * r] < end ? o->frozen[2 * r] : end;
        if (stop > first && !update_of(o, k)(o, gradient, first, stop - first, parameters))
            is_finite = 0;
        if (stop == end) break;
        if (o->frozen[2 * r + 1] > first) first = o->frozen[2 * r + 1];
    }
    return is_finite;
}

static void update_chunk(reduction *c, int64_t i, int32_t thread)
{
    const int64_t first = i * UPDATE_CHUNK;
    if (!update_range(c->b->k, c->optimizer, c->gradient, first, first + chunk_size(c, i), c->parameters))
        c->finite[thread] = 0;
}

/* One task a thread, of neighbouring chunks: mostly the same as at the update before, so that what a
 * thread needs is in its cache. */
static void chunks_task(void *context, int64_t i, int32_t thread)
{
    reduction *c = context;
    const int64_t n = ceil_div(c->b->plan->n_parameters, UPDATE_CHUNK);
    const int64_t end = (i + 1) * n / c->n_tasks;
    for (int64_t k = i * n / c->n_tasks; k < end; k++) {
        add_chunk(c, k, thread);
        if (c->update) update_chunk(c, k, thread);
    }
}

void lenet_reduce(reduction *c)
{
    lenet_parallel_for(c->n_tasks, c->n_tasks, chunks_task, c);
}

static int frozen_is_valid(const lenet_optimizer *o, ptrdiff_t n_parameters)
{
    int64_t after = 0;
    if (o->n_frozen < 0 || (o->n_frozen && !o->frozen)) return 0;
    for (int32_t r = 0; r < o->n_frozen; r++) {
        if (o->frozen[2 * r] < after || o->frozen[2 * r + 1] < o->frozen[2 * r]) return 0;
        after = o->frozen[2 * r + 1];
    }
    return after <= n_parameters;
}

int lenet_optimizer_is_valid(const lenet_optimizer *o, ptrdiff_t n_parameters)
{
    switch (o->kind) {
    case LENET_SGD:
        if (o->momentum != 0.0f && !o->first_moment) return 0;
        break;
    case LENET_ADAM:
        if (!o->first_moment || !o->second_moment) return 0;
        break;
    case LENET_SDLM:
        if (!o->first_moment) return 0;
        break;
    default: return 0;
    }
    return frozen_is_valid(o, n_parameters);
}

lenet_status lenet_apply(const lenet_plan *plan, float *parameters, const float *gradient,
                         lenet_optimizer *optimizer)
{
    if (!lenet_optimizer_is_valid(optimizer, plan->n_parameters)) return LENET_BAD_ARGUMENT;
    optimizer->step++;
    return update_range(lenet_kernels_active(), optimizer, gradient, 0, plan->n_parameters, parameters)
               ? LENET_OK
               : LENET_NOT_FINITE;
}
