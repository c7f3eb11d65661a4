/* The kernels for x86-64 with AVX-512 (F, BW, DQ and VL: Skylake servers, Ice Lake, Zen 4 on). */
#include "kernels/kernels.h"

#if (defined(__x86_64__) || defined(_M_X64)) && !defined(LENET_NO_AVX512)

/* Distortions with eight lanes: sixteen took longer. */
#if defined(__clang__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
#include "kernels/corrupt.h"
#include "kernels/distort.h"
#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#if defined(__clang__)
#pragma clang attribute push(                                                            \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
#endif
#include "kernels/vec/avx512.h"
#include "kernels/table.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
