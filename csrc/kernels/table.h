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
#include "kernels/peak.h"
#include "kernels/pool.h"
#include "kernels/rbf.h"
#include "kernels/reduce.h"
#include "kernels/squash.h"
#include "kernels/transpose.h"
#include "kernels/update.h"
#include "kernels/winograd.h"

#define LENET_DEFINE_KERNELS(isa)                                                         \
    const lenet_kernels *lenet_kernels_##isa(void)                                        \
    {                                                                                     \
        static const lenet_kernels table = {                                              \
            .name = #isa,                                                                 \
            .lanes = LANES,                                                               \
            .few = FEW,                                                                   \
            .few_in_training = FEW_IN_TRAINING,                                           \
            .winograd_maps = WINOGRAD_MAPS,                                               \
            .winograd_trains = WINOGRAD_TRAINS,                                           \
            .load_grey = load_grey,                                                       \
            .rows_to_lanes = rows_to_lanes,                                               \
            .lanes_to_rows = lanes_to_rows,                                               \
            .conv = conv,                                                                 \
            .winograd_weights = winograd_weights,                                         \
            .winograd_conv = winograd_conv,                                               \
            .winograd_backward_input = winograd_backward_input,                           \
            .winograd_backward_weights = winograd_backward_weights,                       \
            .winograd_gradient = winograd_gradient,                                       \
            .conv_backward_input = conv_backward_input,                                   \
            .conv_backward_weights = conv_backward_weights,                               \
            .subsample = subsample,                                                       \
            .subsample_backward = subsample_backward,                                     \
            .dense = dense,                                                               \
            .dense_backward_input = dense_backward_input,                                 \
            .dense_backward_weights = dense_backward_weights,                             \
            .rbf = rbf,                                                                   \
            .rbf_backward_input = rbf_backward_input,                                     \
            .rbf_backward_codes = rbf_backward_codes,                                     \
            .load_grey_rows = load_grey_rows,                                             \
            .conv_of_one = conv_of_one,                                                   \
            .subsample_of_one = subsample_of_one,                                         \
            .dense_of_one = dense_of_one,                                                 \
            .rbf_of_one = rbf_of_one,                                                     \
            .conv_backward_weights_of_one = conv_backward_weights_of_one,                 \
            .conv_backward_input_of_one = conv_backward_input_of_one,                     \
            .subsample_backward_of_one = subsample_backward_of_one,                       \
            .dense_backward_of_one = dense_backward_of_one,                               \
            .dense_step_of_one = dense_step_of_one,                                       \
            .rbf_backward_of_one = rbf_backward_of_one,                                   \
            .squash = squash,                                                             \
            .squash_backward = squash_backward,                                           \
            .sum_lanes = sum_lanes,                                                       \
            .sum_partials = sum_partials,                                                 \
            .update_sgd = update_sgd,                                                     \
            .update_adam = update_adam,                                                   \
            .update_sdlm = update_sdlm,                                                   \
            .distort = distort,                                                           \
            .corrupt = corrupt,                                                           \
            .multiply_adds = multiply_adds,                                               \
        };                                                                                \
        return &table;                                                                    \
    }

#endif
