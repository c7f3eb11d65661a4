/* AVX-512F (with BW, DQ and VL): sixteen images a vector, 32 registers. */
#ifndef LENET_SIMD_AVX512_H
#define LENET_SIMD_AVX512_H

#include <immintrin.h>
#include <stdint.h>

enum {
    LANES = 16,
    TILE_COLUMNS = 14,     /* a convolution tile: 2 rows x 14 sums, 2 weights, 1 input */
    WEIGHT_MAPS = 5,       /* a weight gradient tile: 5 maps x 5 taps, 5 inputs, 1 delta */
    DENSE_ROWS = 6,        /* a dense tile: 6 units x 4 groups, 4 inputs, 1 weight */
    DENSE_GROUPS = 4,
    OUTER_ROWS = 4,        /* a dense weight gradient tile: 4 units x 5 vectors of inputs */
    OUTER_VECTORS = 5
};

typedef __m512 vf;

static inline vf vf_load(const float *p) { return _mm512_load_ps(p); }
static inline vf vf_loadu(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm512_store_ps(p, a); }
static inline void vf_storeu(float *p, vf a) { _mm512_storeu_ps(p, a); }
static inline vf vf_set(float a) { return _mm512_set1_ps(a); }
static inline vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
static inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
/* a * b + c */
static inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
/* 1 where a > 0, else 0 */
static inline vf vf_step(vf a)
{
    __mmask16 positive = _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_GT_OQ);
    return _mm512_maskz_mov_ps(positive, _mm512_set1_ps(1.0f));
}
static inline float vf_sum(vf a) { return _mm512_reduce_add_ps(a); }
static inline vf vf_from_bytes(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

#endif
