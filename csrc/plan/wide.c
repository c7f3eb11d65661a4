/* Plans for wider and higher pictures: the same layers, of which the spatial ones see a larger picture and
 * the flat ones stand at every position of it (section VII). */
#include "plan/plan.h"

int32_t lenet_plan_stride(const lenet_plan *plan, int32_t layer)
{
    int32_t stride = layer < plan->first_flat;
    for (int32_t l = layer + 1; l < plan->first_flat; l++) stride *= plan->layers[l].stride;
    return stride;
}

int32_t lenet_stride(const lenet_plan *plan)
{
    return plan->first_flat ? plan->layers[0].stride * lenet_plan_stride(plan, 0) : 1;
}

lenet_status lenet_widen(const lenet_plan *plan, int32_t rows, int32_t columns, int training,
                         lenet_plan *wide)
{
    const int32_t stride = lenet_stride(plan);
    const double positions = (double)rows * columns;
    *wide = *plan;
    wide->rows = rows;
    wide->columns = columns;
    wide->input.height += (rows - 1) * stride;
    wide->input.width += (columns - 1) * stride;
    wide->work = 0.0;
    double values = (double)wide->input.channels * wide->input.height * wide->input.width;
    if (!layer_fits(values)) return LENET_NO_MEMORY;
    net_layer below = {.out_maps = plan->input.channels,
                       .out_height = wide->input.height,
                       .out_width = wide->input.width};
    for (int32_t l = 0; l < plan->first_flat; l++) {
        net_layer *layer = &wide->layers[l];
        if (layer->padding) return LENET_BAD_ARGUMENT;
        layer->in_height = below.out_height;
        layer->in_width = below.out_width;
        if (!layer_fits((double)layer->in_maps * layer->in_height * layer->in_width)
            || !layer_fits((double)layer->out_maps * layer->in_height * layer->in_width))
            return LENET_NO_MEMORY;
        layer->in_size = (ptrdiff_t)layer->in_maps * layer->in_height * layer->in_width;
        lenet_status status = layer->kind->resize(layer);
        if (status != LENET_OK) return status;
        const double grown = (double)layer->out_height * layer->out_width
                             / ((double)plan->layers[l].out_height * plan->layers[l].out_width);
        layer->work *= grown;
        layer->out_size = (ptrdiff_t)layer->out_maps * layer->out_height * layer->out_width;
        wide->work += layer->work;
        values += (double)layer->out_size;
        below = *layer;
    }
    for (int32_t l = plan->first_flat; l < plan->n_layers; l++) {
        wide->work += plan->layers[l].work * positions;
        values += (double)plan->layers[l].out_size * positions;
    }
    if (!layer_fits(values)) return LENET_NO_MEMORY;
    lenet_lay_out_wide(wide, training);
    return LENET_OK;
}
