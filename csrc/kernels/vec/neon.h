/* NEON of AArch64: four images a vector, 32 registers. */
#ifndef LENET_VEC_NEON_H
#define LENET_VEC_NEON_H

#define LENET_ISA neon

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    LANES = 4,
    HOLD_WEIGHTS = 1,
    TILE_COLUMNS = 10,
    SCATTER_SUMS = 16,
    WINOGRAD_MAPS = 0,     /* not measured */
    WINOGRAD_TRAINS = 0,  /* not measured */
    WINOGRAD_STRIP = 10,
    WINOGRAD_TILES = 1,
    WEIGHT_MAPS = 5,
    COLUMN_ROWS = 10,
    COLUMN_MAPS = 2,
    TAP_ROWS = 5,
    FEW = 3,
    FEW_IN_TRAINING = 3,
    CACHED_VECTORS = 1024,
    DENSE_ROWS = 6,
    DENSE_GROUPS = 4,
    OUTER_ROWS = 4,
    OUTER_VECTORS = 5,
    STRIP = 16
};

typedef float32x4_t vf;

static inline vf vf_load(const float *p) { return vld1q_f32(p); }
static inline vf vf_loadu(const float *p) { return vld1q_f32(p); }
static inline void vf_store(float *p, vf a) { vst1q_f32(p, a); }
static inline void vf_storeu(float *p, vf a) { vst1q_f32(p, a); }
/* Loads a once for all its uses. */
static inline vf vf_in_register(vf a)
{
    __asm__("" : "+w"(a));
    return a;
}
static inline vf vf_set(float a) { return vdupq_n_f32(a); }
static inline vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
static inline vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
static inline vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
/* The estimate of the reciprocal has 8 bits here: two Newton steps would cost as much. */
static inline vf vf_quotient(vf a, vf b) { return vdivq_f32(a, b); }
static inline vf vf_sqrt(vf a) { return vsqrtq_f32(a); }
/* NaN if either operand is. */
static inline vf vf_min(vf a, vf b) { return vminq_f32(a, b); }
static inline vf vf_max(vf a, vf b) { return vmaxq_f32(a, b); }
/* The power of two whose exponent has the last eight of u's bits; the ninth is 0. */
static inline vf vf_exponent(vf u)
{
    return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(u), 23));
}
/* a * b + c */
static inline vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
/* *sum += a * b, in place, as the instruction has it: left to itself gcc may move a tile's sums
 * between registers. */
static inline void vf_accumulate(vf *sum, vf a, vf b)
{
    __asm__("fmla %0.4s, %1.4s, %2.4s" : "+w"(*sum) : "w"(a), "w"(b));
}
/* 1 where a > 0, else 0 */
static inline vf vf_step(vf a)
{
    uint32x4_t one = vreinterpretq_u32_f32(vdupq_n_f32(1.0f));
    return vreinterpretq_f32_u32(vandq_u32(vcgtzq_f32(a), one));
}
/* x where a == b, else 0 */
static inline vf vf_where_equal(vf a, vf b, vf x)
{
    return vreinterpretq_f32_u32(vandq_u32(vceqq_f32(a, b), vreinterpretq_u32_f32(x)));
}
/* The first n lanes from memory, the others 0; the first n lanes to memory; n may be more than there
 * are. */
static inline vf vf_load_part(const float *p, ptrdiff_t n)
{
    float all[LANES] = {0};
    for (int i = 0; i < n && i < LANES; i++) all[i] = p[i];
    return vld1q_f32(all);
}
static inline void vf_store_part(float *p, vf a, ptrdiff_t n)
{
    float all[LANES];
    vst1q_f32(all, a);
    for (int i = 0; i < n && i < LANES; i++) p[i] = all[i];
}
/* a with 0 in all lanes but the first n */
static inline vf vf_first(vf a, ptrdiff_t n)
{
    static const uint32_t lanes[LANES] = {0, 1, 2, 3};
    uint32x4_t first = vcltq_u32(vld1q_u32(lanes), vdupq_n_u32(n < LANES ? (uint32_t)n : LANES));
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), first));
}
/* Lane i of the result: lane index[i] of a. */
static inline vf vf_permute(vf a, const int32_t *index)
{
    float from[LANES], to[LANES];
    vst1q_f32(from, a);
    for (int i = 0; i < LANES; i++) to[i] = from[index[i]];
    return vld1q_f32(to);
}
/* a0 a0 a1 a1 and a2 a2 a3 a3 */
static inline vf vf_double_low(vf a) { return vzip1q_f32(a, a); }
static inline vf vf_double_high(vf a) { return vzip2q_f32(a, a); }
/* a0 + a1, a2 + a3, b0 + b1, b2 + b3 */
static inline vf vf_add_pairs(vf a, vf b) { return vpaddq_f32(a, b); }
/* a0 a2 b0 b2, and a1 a3 b1 b3 */
static inline vf vf_even(vf a, vf b) { return vuzp1q_f32(a, b); }
static inline vf vf_odd(vf a, vf b) { return vuzp2q_f32(a, b); }
/* a0 b0 a1 b1, and a2 b2 a3 b3 */
static inline vf vf_zip_low(vf a, vf b) { return vzip1q_f32(a, b); }
static inline vf vf_zip_high(vf a, vf b) { return vzip2q_f32(a, b); }
static inline float vf_sum(vf a) { return vaddvq_f32(a); }
static inline vf vf_from_bytes(const uint8_t *p)
{
    uint32_t four;
    memcpy(&four, p, sizeof four);
    uint16x8_t wide = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four)));
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(wide)));
}

/* Rows of a 4 x 4 square become its columns: 2 x 2 squares first, then the squares themselves. */
static inline void vf_transpose(vf square[LANES])
{
    float64x2_t a = vreinterpretq_f64_f32(vtrn1q_f32(square[0], square[1]));
    float64x2_t b = vreinterpretq_f64_f32(vtrn2q_f32(square[0], square[1]));
    float64x2_t c = vreinterpretq_f64_f32(vtrn1q_f32(square[2], square[3]));
    float64x2_t d = vreinterpretq_f64_f32(vtrn2q_f32(square[2], square[3]));
    square[0] = vreinterpretq_f32_f64(vtrn1q_f64(a, c));
    square[1] = vreinterpretq_f32_f64(vtrn1q_f64(b, d));
    square[2] = vreinterpretq_f32_f64(vtrn2q_f64(a, c));
    square[3] = vreinterpretq_f32_f64(vtrn2q_f64(b, d));
}
/* The next STRIP pixels, from `at` on, of LANES images: out[pixel][lane]. */
static inline void bytes_to_lanes(const uint8_t *const *images, ptrdiff_t at, uint8_t *out)
{
    uint8x16x4_t rows;
    for (int i = 0; i < 4; i++) rows.val[i] = vld1q_u8(images[i] + at);
    vst4q_u8(out, rows);  /* interleaves them */
}

#endif
