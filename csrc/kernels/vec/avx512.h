/* AVX-512F (with BW, DQ and VL): sixteen images a vector, 32 registers. */
#ifndef LENET_VEC_AVX512_H
#define LENET_VEC_AVX512_H

#define LENET_ISA avx512
#define LENET_HAS_LOOKUP

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* For itself; isa_avx512.c says the same for the kernels. */
#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
#endif

enum {
    LANES = 16,
    HOLD_WEIGHTS = 1,      /* registers for a tile's weights too */
    TILE_COLUMNS = 10,     /* a convolution tile: 2 rows x 10 sums, 10 weights, 1 input */
    SCATTER_SUMS = 16,     /* a gradient for the input: 16 sums, 12 deltas, 1 weight */
    WINOGRAD_MAPS = 1,     /* input maps from which Winograd is faster */
    WINOGRAD_TRAINS = 1,  /* faster backward too */
    WINOGRAD_STRIP = 10,   /* 10 rows x 2 positions, 5 weights, 1 input; 1: by tiles */
    WINOGRAD_TILES = 1,    /* not used by strips */
    WEIGHT_MAPS = 5,       /* a weight gradient tile: 5 maps x 5 taps, 5 inputs, 1 delta */
    COLUMN_ROWS = 10,      /* a tile of one image: 2 maps x 10 rows, 10 weights, 1 input */
    COLUMN_MAPS = 2,
    TAP_ROWS = 5,          /* its weight gradient, maps in lanes: 5 x 5 sums, 2 deltas, 1 pixel */
    FEW = 8,               /* images that run faster one by one, measured */
    FEW_IN_TRAINING = 7,
    CACHED_VECTORS = 256,  /* of deltas: a third of the L1 cache */
    DENSE_ROWS = 6,        /* a dense tile: 6 units x 4 groups, 4 inputs, 1 weight */
    DENSE_GROUPS = 4,
    OUTER_ROWS = 5,        /* a dense weight gradient tile: 5 units x 5 vectors of inputs */
    OUTER_VECTORS = 5,
    STRIP = 16             /* pixels that bytes_to_lanes transposes at once */
};

typedef __m512 vf;

static inline vf vf_load(const float *p) { return _mm512_load_ps(p); }
static inline vf vf_loadu(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm512_store_ps(p, a); }
static inline void vf_storeu(float *p, vf a) { _mm512_storeu_ps(p, a); }
/* Loads a once for all its uses, where the compiler would fold a load into each of them. */
static inline vf vf_in_register(vf a)
{
#if defined(__GNUC__)
    __asm__("" : "+v"(a));
#endif
    return a;
}
static inline vf vf_set(float a) { return _mm512_set1_ps(a); }
static inline vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
/* a / b to within an ulp or so: the approximate reciprocal and one Newton step, for a division takes
 * 16 cycles. */
static inline vf vf_quotient(vf a, vf b)
{
    vf r = _mm512_rcp14_ps(b), q = _mm512_mul_ps(a, r);
    return _mm512_fmadd_ps(q, _mm512_fnmadd_ps(b, r, _mm512_set1_ps(1.0f)), q);
}
static inline vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
static inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf vf_abs(vf a) { return _mm512_abs_ps(a); }
/* The value of a, 0 or more, with the sign of b: a | (b & the sign bit). */
static inline vf vf_with_sign(vf a, vf b)
{
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(
        _mm512_castps_si512(a), _mm512_castps_si512(b), _mm512_set1_epi32(INT32_MIN), 0xf8));
}
/* In each lane one of 32 numbers, by the last two bits of u's exponent and the first three of its
 * mantissa. */
static inline vf vf_lookup(const float *numbers, vf u)
{
    return _mm512_permutex2var_ps(_mm512_loadu_ps(numbers),
                                  _mm512_srli_epi32(_mm512_castps_si512(u), 20),
                                  _mm512_loadu_ps(numbers + 16));
}
/* The power of two whose exponent has the last eight of u's bits; the ninth is 0. */
static inline vf vf_exponent(vf u)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(u), 23));
}
/* a * b + c */
static inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
/* *sum += a * b, in place: left to itself gcc moves a tile's sums between registers, and with
 * few of those to spare through memory. */
static inline void vf_accumulate(vf *sum, vf a, vf b)
{
#if defined(__GNUC__)
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(*sum) : "v"(a), "v"(b));
#else
    *sum = vf_fma(a, b, *sum);
#endif
}
/* 1 where a > 0, else 0 */
static inline vf vf_step(vf a)
{
    __mmask16 positive = _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_GT_OQ);
    return _mm512_maskz_mov_ps(positive, _mm512_set1_ps(1.0f));
}
/* x where a == b, else 0 */
static inline vf vf_where_equal(vf a, vf b, vf x)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ), x);
}
/* The first n lanes from memory, the others 0; the first n lanes to memory; n may be more than there
 * are. */
static inline __mmask16 vf_first_lanes(ptrdiff_t n)
{
    return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1);
}
static inline vf vf_load_part(const float *p, ptrdiff_t n)
{
    return _mm512_maskz_loadu_ps(vf_first_lanes(n), p);
}
static inline void vf_store_part(float *p, vf a, ptrdiff_t n)
{
    _mm512_mask_storeu_ps(p, vf_first_lanes(n), a);
}
/* a with 0 in all lanes but the first n */
static inline vf vf_first(vf a, ptrdiff_t n)
{
    return _mm512_maskz_mov_ps(vf_first_lanes(n), a);
}
/* Lane i of the result: lane index[i] of a. */
static inline vf vf_permute(vf a, const int32_t *index)
{
    return _mm512_permutexvar_ps(_mm512_loadu_si512(index), a);
}
/* a0 a0 a1 a1 ... of the first half of a, and of the second */
static inline vf vf_double_low(vf a)
{
    return _mm512_permutexvar_ps(
        _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0), a);
}
static inline vf vf_double_high(vf a)
{
    return _mm512_permutexvar_ps(
        _mm512_set_epi32(15, 15, 14, 14, 13, 13, 12, 12, 11, 11, 10, 10, 9, 9, 8, 8), a);
}
/* a0 + a1, a2 + a3, ... b0 + b1, b2 + b3, ... */
static inline vf vf_add_pairs(vf a, vf b)
{
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    return _mm512_add_ps(_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b));
}
/* a0 a2 ... b0 b2 ..., and a1 a3 ... b1 b3 ... */
static inline vf vf_even(vf a, vf b)
{
    return _mm512_permutex2var_ps(
        a, _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0), b);
}
static inline vf vf_odd(vf a, vf b)
{
    return _mm512_permutex2var_ps(
        a, _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1), b);
}
/* a0 b0 a1 b1 ... of the first halves, and of the second */
static inline vf vf_zip_low(vf a, vf b)
{
    return _mm512_permutex2var_ps(
        a, _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0), b);
}
static inline vf vf_zip_high(vf a, vf b)
{
    return _mm512_permutex2var_ps(
        a, _mm512_set_epi32(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8), b);
}
static inline float vf_sum(vf a) { return _mm512_reduce_add_ps(a); }
static inline vf vf_from_bytes(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

/* Rows of a 16 x 16 square become its columns: 2 x 2 squares within 4 x 4, 4 x 4 within the
 * whole, and the same for the 4 x 4 squares. */
static inline void vf_transpose(vf square[LANES])
{
    vf t[LANES];
    for (int i = 0; i < 16; i += 4) {
        vf a = _mm512_unpacklo_ps(square[i], square[i + 1]);
        vf b = _mm512_unpackhi_ps(square[i], square[i + 1]);
        vf c = _mm512_unpacklo_ps(square[i + 2], square[i + 3]);
        vf d = _mm512_unpackhi_ps(square[i + 2], square[i + 3]);
        t[i] = _mm512_shuffle_ps(a, c, 0x44);
        t[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
        t[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
        t[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
    }
    for (int i = 0; i < 4; i++) {
        vf a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88);
        vf b = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88);
        vf c = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd);
        vf d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xdd);
        square[i] = _mm512_shuffle_f32x4(a, b, 0x88);
        square[i + 4] = _mm512_shuffle_f32x4(c, d, 0x88);
        square[i + 8] = _mm512_shuffle_f32x4(a, b, 0xdd);
        square[i + 12] = _mm512_shuffle_f32x4(c, d, 0xdd);
    }
}
/* The next STRIP pixels, from `at` on, of LANES images: out[pixel][lane]. */
static inline void bytes_to_lanes(const uint8_t *const *images, ptrdiff_t at, uint8_t *out)
{
    __m128i a[16], b[16];
    for (int i = 0; i < 16; i++) a[i] = _mm_loadu_si128((const __m128i *)(images[i] + at));
    /* four times: interleave the first half of the rows with the second */
    for (int stage = 0; stage < 4; stage++) {
        for (int i = 0; i < 8; i++) {
            b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
            b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
        }
        for (int i = 0; i < 16; i++) a[i] = b[i];
    }
    for (int i = 0; i < 16; i++) _mm_storeu_si128((__m128i *)(out + 16 * i), a[i]);
}

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif
