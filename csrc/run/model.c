/* Packs a model into the caller's memory. */
#include "run/model.h"

#include <string.h>

enum { ALIGNMENT = 64 };

/* Where its parts begin, in floats behind the model. */
typedef struct {
    ptrdiff_t parameters, arranged[2], arranged_alone, total;
} places;

static ptrdiff_t reserve(places *at, ptrdiff_t floats)
{
    const ptrdiff_t here = at->total;
    at->total += plan_padded(floats);
    return here;
}

static places lay_out(const lenet_plan *plan)
{
    const ptrdiff_t margin = (ptrdiff_t)lenet_plan_margin(plan);
    places at = {0};
    at.parameters = reserve(&at, margin + plan->n_parameters) + margin;
    for (int training = 0; training < 2; training++)
        at.arranged[training] = reserve(&at, plan->layout[training].n_arranged);
    at.arranged_alone = reserve(&at, plan->layout[0].n_arranged_alone);
    return at;
}

static size_t head_size(void)
{
    return (sizeof(lenet_model) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

size_t lenet_model_size(const lenet_plan *plan)
{
    return head_size() + (size_t)lay_out(plan).total * sizeof(float);
}

static void arrange(const lenet_plan *plan, const float *parameters, int training, int alone,
                    float *to)
{
    const lenet_layout *at = &plan->layout[training];
    for (int l = 0; l < plan->n_layers; l++) {
        const net_layer *layer = &plan->layers[l];
        const layer_manner *manner = &at->manner[l];
        if (!(alone ? manner->n_arranged_alone : manner->n_arranged)) continue;
        const layer_call c = {.layer = layer,
                              .k = lenet_kernels_active(),
                              .weights = parameters + layer->weights};
        layer->kind->arrange(&c, alone, to + (alone ? at->arranged_alone[l] : at->arranged[l]));
    }
}

lenet_status lenet_model_create(const lenet_plan *plan, const float *parameters, void *memory,
                                size_t size, const lenet_model **model)
{
    *model = NULL;
    if (size < lenet_model_size(plan) || (uintptr_t)memory % ALIGNMENT) return LENET_NO_MEMORY;
    const places at = lay_out(plan);
    float *floats = (float *)((char *)memory + head_size());
    float *copy = floats + at.parameters;
    memcpy(copy, parameters, (size_t)plan->n_parameters * sizeof *copy);
    lenet_model *made = memory;
    *made = (lenet_model){.plan = plan, .parameters = copy};
    for (int training = 0; training < 2; training++) {
        float *to = floats + at.arranged[training];
        arrange(plan, copy, training, 0, to);
        made->arranged[training] = to;
    }
    arrange(plan, copy, 0, 1, floats + at.arranged_alone);
    made->arranged_alone = floats + at.arranged_alone;
    *model = made;
    return LENET_OK;
}

const float *lenet_model_parameters(const lenet_model *model) { return model->parameters; }
