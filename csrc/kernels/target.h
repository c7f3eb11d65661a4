/* What the kernels are written with: the vector type of the instruction set at hand, and what keeps
 * loops unrolled and sums in registers.
 *
 * The files that include this one are templates: each kernels/isa_<isa>.c includes its
 * kernels/vec/<isa>.h, which gives the vector type `vf`, its operations and the tile sizes that its
 * registers allow, and then all of them by kernels/table.h. Opened by itself, in an editor or by
 * `make lint`, each is portable C.
 *
 * A tile keeps its sums in registers: `INLINE` functions take tile sizes as arguments that are
 * constants at every call, so that the compiler unrolls the loops over them. The CASES macros
 * turn a size known at run time into such a constant; `n <= MOST ? n : 1` in a case keeps those
 * that cannot happen from being compiled with indices out of bounds. */
#ifndef LENET_KERNELS_TARGET_H
#define LENET_KERNELS_TARGET_H

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

#ifndef LENET_ISA
#include "kernels/vec/portable.h"
#endif

#if defined(_MSC_VER) && !defined(__clang__)
#define INLINE static __forceinline
#define OUTLINE static __declspec(noinline)
#define UNROLL
#define FORGET()
#define PIN(pointer)
#else
#define INLINE static inline __attribute__((always_inline))
#define OUTLINE static __attribute__((noinline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
/* Keeps values that were loaded before it from being kept for later: a tile's sums fill the
 * registers, and a second load is cheaper than a spill. */
#define FORGET() __asm__ volatile("" ::: "memory")
/* Keeps a pointer as it is in a register: left to itself gcc takes unrolled rows apart into sums of
 * offsets, more than there are registers for. */
#define PIN(pointer) __asm__("" : "+r"(pointer))
#endif

#define CASES_1_TO_6(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#define CASES_OF_ACTIVATIONS(CASE) \
    CASE(LENET_IDENTITY) CASE(LENET_SCALED_TANH) CASE(LENET_TANH) CASE(LENET_RELU)
#define CASES_1_TO_10(CASE) CASES_1_TO_6(CASE) CASE(7) CASE(8) CASE(9) CASE(10)

#endif
