/* All kernels, compiled for the instruction set at hand, and the table of them.
 *
 * Included once by each kernels/isa_<isa>.c, behind its kernels/vec/<isa>.h. */
#ifndef LENET_KERNELS_TABLE_H
#define LENET_KERNELS_TABLE_H

#include "kernels/conv.h"
#include "kernels/conv_backward_input.h"
#include "kernels/conv_backward_weights.h"
#include "kernels/corrupt.h"
#include "kernels/dense.h"
#include "kernels/distort.h"
#include "kernels/load.h"
#include "kernels/max_pool.h"
#include "kernels/peak.h"
#include "kernels/rbf.h"
#include "kernels/reduce.h"
#include "kernels/squash.h"
#include "kernels/subsample.h"
#include "kernels/transpose.h"
#include "kernels/update.h"
#include "kernels/winograd.h"

#define LENET_TABLE_OF_(isa) lenet_kernels_##isa
#define LENET_TABLE_OF(isa) LENET_TABLE_OF_(isa)
#define LENET_NAME_OF_(isa) #isa
#define LENET_NAME_OF(isa) LENET_NAME_OF_(isa)

const lenet_kernels *LENET_TABLE_OF(LENET_ISA)(void)
{
    static const lenet_kernels table = {
        .name = LENET_NAME_OF(LENET_ISA),
        .lanes = LANES,
        .few = FEW,
        .few_in_training = FEW_IN_TRAINING,
        .winograd_maps = WINOGRAD_MAPS,
        .winograd_trains = WINOGRAD_TRAINS,
#define KERNEL(type, name, arguments) .name = name,
#include "kernels/list.h"
    };
    return &table;
}

#endif
