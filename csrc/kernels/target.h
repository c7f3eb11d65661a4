/* What the kernels are written with: the vector type of the instruction set at hand, and what keeps
 * loops unrolled and sums in registers.
 *
 * The files that include this one are templates: each kernels/isa_<isa>.c includes its
 * kernels/vec/<isa>.h, which gives the vector type `vf`, its operations and the tile sizes that its
 * registers allow, and then all of them by kernels/table.h. Opened by itself, in an editor or by
 * `make lint`, each is portable C.
 *
 * A register tile keeps its sums in registers: `INLINE` functions take tile sizes as arguments that are
 * constants at every call, so that the compiler unrolls the loops over them. The WITH macros turn what
 * is known at run time into such a constant. */
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
#if defined(LENET_PLAIN_LANES)
#define UNROLL  /* as above: what is tested is MSVC's way, and it compiles in a tenth of the time */
#elif defined(__clang__)
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

#define WITH_CASE(NAME, VALUE, ...)                                                           \
    case VALUE: {                                                                             \
        enum { NAME = VALUE };                                                                \
        __VA_ARGS__;                                                                          \
        break;                                                                                \
    }

/* Runs what follows with N, a constant, for n: 1 .. MOST, which is 12 or less. What is more than MOST
 * does not run, and is compiled as 1 so that no index is out of bounds. */
#define WITH_SIZE_CASE(N, VALUE, MOST, ...)                                                   \
    case VALUE:                                                                               \
        if (VALUE <= (MOST)) {                                                                \
            enum { N = VALUE <= (MOST) ? VALUE : 1 };                                         \
            __VA_ARGS__;                                                                      \
        }                                                                                     \
        break;
#define WITH_SIZE(N, n, MOST, ...)                                                            \
    switch (n) {                                                                              \
        WITH_SIZE_CASE(N, 1, MOST, __VA_ARGS__) WITH_SIZE_CASE(N, 2, MOST, __VA_ARGS__)       \
        WITH_SIZE_CASE(N, 3, MOST, __VA_ARGS__) WITH_SIZE_CASE(N, 4, MOST, __VA_ARGS__)       \
        WITH_SIZE_CASE(N, 5, MOST, __VA_ARGS__) WITH_SIZE_CASE(N, 6, MOST, __VA_ARGS__)       \
        WITH_SIZE_CASE(N, 7, MOST, __VA_ARGS__) WITH_SIZE_CASE(N, 8, MOST, __VA_ARGS__)       \
        WITH_SIZE_CASE(N, 9, MOST, __VA_ARGS__) WITH_SIZE_CASE(N, 10, MOST, __VA_ARGS__)      \
        WITH_SIZE_CASE(N, 11, MOST, __VA_ARGS__) WITH_SIZE_CASE(N, 12, MOST, __VA_ARGS__)     \
    }

/* The same with TAPS for a kernel's side where that is unrolled, 1 for any other. */
#define WITH_TAPS(TAPS, side, ...)                                                            \
    switch (side) {                                                                           \
        WITH_CASE(TAPS, 5, __VA_ARGS__)                                                       \
        WITH_CASE(TAPS, 3, __VA_ARGS__)                                                       \
    default: {                                                                                \
        enum { TAPS = 1 };                                                                    \
        __VA_ARGS__;                                                                          \
    }                                                                                         \
    }

#define WITH_ACTIVATION(KIND, activation, ...)                                                \
    switch (activation) {                                                                     \
        WITH_CASE(KIND, LENET_IDENTITY, __VA_ARGS__)                                          \
        WITH_CASE(KIND, LENET_SCALED_TANH, __VA_ARGS__)                                       \
        WITH_CASE(KIND, LENET_TANH, __VA_ARGS__)                                              \
        WITH_CASE(KIND, LENET_RELU, __VA_ARGS__)                                              \
        WITH_CASE(KIND, LENET_SIGMOID, __VA_ARGS__)                                           \
    }

#endif
