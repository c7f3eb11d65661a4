/* The kernels that are always there: plain C, no instruction set beyond the target's own. */
#include "simd_portable.h"
#include "tanh_rational.h"

#include "kernels_lanes.h"

LENET_DEFINE_KERNELS(portable)
