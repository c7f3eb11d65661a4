/* AVX2 with FMA: eight images a vector, 16 registers. */
#ifndef LENET_VEC_AVX2_H
#define LENET_VEC_AVX2_H

#define LENET_ISA avx2

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* For itself; isa_avx2.c says the same for the kernels. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

enum {
    LANES = 8,
    HOLD_WEIGHTS = 0,
    TILE_COLUMNS = 6,
    SCATTER_SUMS = 14,
    WINOGRAD_MAPS = 2,
    WINOGRAD_TRAINS = 0,
    WINOGRAD_STRIP = 1,
    WINOGRAD_TILES = 2,    /* of a tile: 5 rows x 2 sums */
    WEIGHT_MAPS = 2,
    COLUMN_ROWS = 8,
    COLUMN_MAPS = 1,
    TAP_ROWS = 2,
    FEW = 4,
    FEW_IN_TRAINING = 4,
    CACHED_VECTORS = 512,
    DENSE_ROWS = 6,
    DENSE_GROUPS = 2,
    OUTER_ROWS = 2,
    OUTER_VECTORS = 5,
    STRIP = 16
};

typedef __m256 vf;

static inline vf vf_load(const float *p) { return _mm256_load_ps(p); }
static inline vf vf_loadu(const float *p) { return _mm256_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm256_store_ps(p, a); }
static inline void vf_storeu(float *p, vf a) { _mm256_storeu_ps(p, a); }
/* Loads a once for all its uses, where the compiler would fold a load into each of them. */
static inline vf vf_in_register(vf a)
{
#if defined(__GNUC__)
    __asm__("" : "+x"(a));
#endif
    return a;
}
static inline vf vf_set(float a) { return _mm256_set1_ps(a); }
static inline vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf vf_quotient(vf a, vf b) { return _mm256_div_ps(a, b); }
static inline vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }
static inline vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
/* The power of two whose exponent has the last eight of u's bits; the ninth is 0. */
static inline vf vf_exponent(vf u)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(u), 23));
}
/* a * b + c */
static inline vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline void vf_accumulate(vf *sum, vf a, vf b) { *sum = vf_fma(a, b, *sum); }
/* 1 where a > 0, else 0 */
static inline vf vf_step(vf a)
{
    return _mm256_and_ps(_mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_GT_OQ),
                         _mm256_set1_ps(1.0f));
}
/* x where a == b, else 0 */
static inline vf vf_where_equal(vf a, vf b, vf x)
{
    return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ), x);
}
/* The first n lanes from memory, the others 0; the first n lanes to memory; n may be more than there
 * are. */
static inline __m256i vf_first_lanes(ptrdiff_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < 8 ? (int)n : 8),
                              _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0));
}
static inline vf vf_load_part(const float *p, ptrdiff_t n)
{
    return _mm256_maskload_ps(p, vf_first_lanes(n));
}
static inline void vf_store_part(float *p, vf a, ptrdiff_t n)
{
    _mm256_maskstore_ps(p, vf_first_lanes(n), a);
}
/* a with 0 in all lanes but the first n */
static inline vf vf_first(vf a, ptrdiff_t n)
{
    return _mm256_and_ps(a, _mm256_castsi256_ps(vf_first_lanes(n)));
}
/* Lane i of the result: lane index[i] of a. */
static inline vf vf_permute(vf a, const int32_t *index)
{
    return _mm256_permutevar8x32_ps(a, _mm256_loadu_si256((const __m256i *)index));
}
/* a0 a0 a1 a1 ... of the first half of a, and of the second */
static inline vf vf_double_low(vf a)
{
    return _mm256_permutevar8x32_ps(a, _mm256_set_epi32(3, 3, 2, 2, 1, 1, 0, 0));
}
static inline vf vf_double_high(vf a)
{
    return _mm256_permutevar8x32_ps(a, _mm256_set_epi32(7, 7, 6, 6, 5, 5, 4, 4));
}
/* a0 + a1, a2 + a3, ... b0 + b1, b2 + b3, ... */
static inline vf vf_add_pairs(vf a, vf b)
{
    __m256d halves = _mm256_castps_pd(_mm256_hadd_ps(a, b));  /* a, b, a, b */
    return _mm256_castpd_ps(_mm256_permute4x64_pd(halves, 0xd8));
}
/* a0 a2 ... b0 b2 ..., and a1 a3 ... b1 b3 ... */
static inline vf vf_even(vf a, vf b)
{
    __m256d halves = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88));  /* a, b, a, b */
    return _mm256_castpd_ps(_mm256_permute4x64_pd(halves, 0xd8));
}
static inline vf vf_odd(vf a, vf b)
{
    __m256d halves = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0xdd));
    return _mm256_castpd_ps(_mm256_permute4x64_pd(halves, 0xd8));
}
/* a0 b0 a1 b1 ... of the first halves, and of the second */
static inline vf vf_zip_low(vf a, vf b)
{
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20);
}
static inline vf vf_zip_high(vf a, vf b)
{
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31);
}
static inline float vf_sum(vf a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
static inline vf vf_from_bytes(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

/* Rows of an 8 x 8 square become its columns. */
static inline void vf_transpose(vf square[LANES])
{
    vf t[LANES];
    for (int i = 0; i < 8; i += 4) {
        vf a = _mm256_unpacklo_ps(square[i], square[i + 1]);
        vf b = _mm256_unpackhi_ps(square[i], square[i + 1]);
        vf c = _mm256_unpacklo_ps(square[i + 2], square[i + 3]);
        vf d = _mm256_unpackhi_ps(square[i + 2], square[i + 3]);
        t[i] = _mm256_shuffle_ps(a, c, 0x44);
        t[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
        t[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
        t[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
    for (int i = 0; i < 4; i++) {
        square[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
        square[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
    }
}
/* The next STRIP pixels, from `at` on, of LANES images: out[pixel][lane]. */
static inline void bytes_to_lanes(const uint8_t *const *images, ptrdiff_t at, uint8_t *out)
{
    __m128i a[8], b[8];
    for (int i = 0; i < 8; i++) a[i] = _mm_loadu_si128((const __m128i *)(images[i] + at));
    /* three times: interleave the first half of the rows with the second */
    for (int stage = 0; stage < 3; stage++) {
        for (int i = 0; i < 4; i++) {
            b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 4]);
            b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 4]);
        }
        for (int i = 0; i < 8; i++) a[i] = b[i];
    }
    for (int i = 0; i < 8; i++) _mm_storeu_si128((__m128i *)(out + 16 * i), a[i]);
}

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif
