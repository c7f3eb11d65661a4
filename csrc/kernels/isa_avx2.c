/* The kernels for x86-64 with AVX2 and FMA (2013 and later). */
#include "kernels/kernels.h"

#if (defined(__x86_64__) || defined(_M_X64)) && !defined(LENET_NO_AVX2)

#if defined(__clang__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx2,fma")
#endif
#include "kernels/vec/avx2.h"
#include "kernels/table.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
