/* The kernels for 64-bit ARM, where NEON with fused multiply-adds is always there. */
#include "kernels/kernels.h"

#if defined(__aarch64__) && !defined(LENET_NO_NEON)

/* gcc's scheduler before register allocation, which x86 does without, would move a tile's loads
 * so far ahead that its sums spill. */
#if !defined(__clang__)
#pragma GCC optimize("no-schedule-insns")
#endif
#include "kernels/vec/neon.h"
#include "kernels/table.h"

#endif
