/* SIMD of WebAssembly: four images a vector. How many registers there are is the engine's to know: 16 on
 * x86, 32 on ARM.
 *
 * A multiply-add is two instructions, rounded twice, as with plain SSE2. Compiled with -mrelaxed-simd it
 * is one where the processor has it, and the bits are then those of the machine that runs it. */
#ifndef LENET_VEC_WASM_H
#define LENET_VEC_WASM_H

#define LENET_ISA wasm

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <wasm_simd128.h>

enum {
    LANES = 4,
    HOLD_WEIGHTS = 0,
    TILE_COLUMNS = 6,
    SCATTER_SUMS = 14,
    WINOGRAD_MAPS = 0,     /* not measured */
    WINOGRAD_TRAINS = 0,   /* not measured */
    WINOGRAD_STRIP = 1,
    WINOGRAD_TILES = 2,
    WEIGHT_MAPS = 2,
    COLUMN_ROWS = 8,
    COLUMN_MAPS = 1,
    TAP_ROWS = 2,
    FEW = 3,
    FEW_IN_TRAINING = 3,
    CACHED_VECTORS = 1024,
    DENSE_ROWS = 6,
    DENSE_GROUPS = 2,
    OUTER_ROWS = 2,
    OUTER_VECTORS = 5,
    STRIP = 16
};

typedef v128_t vf;

static inline vf vf_load(const float *p) { return wasm_v128_load(p); }
static inline vf vf_loadu(const float *p) { return wasm_v128_load(p); }
static inline void vf_store(float *p, vf a) { wasm_v128_store(p, a); }
static inline void vf_storeu(float *p, vf a) { wasm_v128_store(p, a); }
static inline vf vf_in_register(vf a) { return a; }
static inline vf vf_set(float a) { return wasm_f32x4_splat(a); }
static inline vf vf_add(vf a, vf b) { return wasm_f32x4_add(a, b); }
static inline vf vf_sub(vf a, vf b) { return wasm_f32x4_sub(a, b); }
static inline vf vf_mul(vf a, vf b) { return wasm_f32x4_mul(a, b); }
static inline vf vf_quotient(vf a, vf b) { return wasm_f32x4_div(a, b); }
static inline vf vf_sqrt(vf a) { return wasm_f32x4_sqrt(a); }
/* a < b ? a : b, and a > b ? a : b: b where either is NaN. One instruction on x86, which the minimum
 * that knows NaN is not. */
static inline vf vf_min(vf a, vf b) { return wasm_f32x4_pmin(b, a); }
static inline vf vf_max(vf a, vf b) { return wasm_f32x4_pmax(b, a); }
/* The power of two whose exponent has the last eight of u's bits; the ninth is 0. */
static inline vf vf_exponent(vf u) { return wasm_i32x4_shl(u, 23); }
/* a * b + c */
static inline vf vf_fma(vf a, vf b, vf c)
{
#ifdef __wasm_relaxed_simd__
    return wasm_f32x4_relaxed_madd(a, b, c);
#else
    return wasm_f32x4_add(wasm_f32x4_mul(a, b), c);
#endif
}
static inline void vf_accumulate(vf *sum, vf a, vf b) { *sum = vf_fma(a, b, *sum); }
/* 1 where a > 0, else 0 */
static inline vf vf_step(vf a)
{
    return wasm_v128_and(wasm_f32x4_gt(a, vf_set(0.0f)), vf_set(1.0f));
}
/* x where a == b, else 0 */
static inline vf vf_where_equal(vf a, vf b, vf x) { return wasm_v128_and(wasm_f32x4_eq(a, b), x); }
/* The first n lanes from memory, the others 0; the first n lanes to memory; n may be more than there
 * are. */
static inline vf vf_load_part(const float *p, ptrdiff_t n)
{
    float all[LANES] = {0};
    for (int i = 0; i < n && i < LANES; i++) all[i] = p[i];
    return wasm_v128_load(all);
}
static inline void vf_store_part(float *p, vf a, ptrdiff_t n)
{
    float all[LANES];
    wasm_v128_store(all, a);
    for (int i = 0; i < n && i < LANES; i++) p[i] = all[i];
}
/* a with 0 in all lanes but the first n */
static inline vf vf_first(vf a, ptrdiff_t n)
{
    const vf count = wasm_i32x4_splat(n < LANES ? (int32_t)n : LANES);
    return wasm_v128_and(a, wasm_i32x4_lt(wasm_i32x4_const(0, 1, 2, 3), count));
}
/* Lane i of the result: lane index[i] of a. */
static inline vf vf_permute(vf a, const int32_t *index)
{
    float from[LANES], to[LANES];
    wasm_v128_store(from, a);
    for (int i = 0; i < LANES; i++) to[i] = from[index[i]];
    return wasm_v128_load(to);
}
/* a0 a0 a1 a1 and a2 a2 a3 a3 */
static inline vf vf_double_low(vf a) { return wasm_i32x4_shuffle(a, a, 0, 0, 1, 1); }
static inline vf vf_double_high(vf a) { return wasm_i32x4_shuffle(a, a, 2, 2, 3, 3); }
/* a0 a2 b0 b2, and a1 a3 b1 b3 */
static inline vf vf_even(vf a, vf b) { return wasm_i32x4_shuffle(a, b, 0, 2, 4, 6); }
static inline vf vf_odd(vf a, vf b) { return wasm_i32x4_shuffle(a, b, 1, 3, 5, 7); }
/* a0 + a1, a2 + a3, b0 + b1, b2 + b3 */
static inline vf vf_add_pairs(vf a, vf b) { return vf_add(vf_even(a, b), vf_odd(a, b)); }
/* a0 b0 a1 b1, and a2 b2 a3 b3 */
static inline vf vf_zip_low(vf a, vf b) { return wasm_i32x4_shuffle(a, b, 0, 4, 1, 5); }
static inline vf vf_zip_high(vf a, vf b) { return wasm_i32x4_shuffle(a, b, 2, 6, 3, 7); }
static inline float vf_sum(vf a)
{
    return (wasm_f32x4_extract_lane(a, 0) + wasm_f32x4_extract_lane(a, 1))
           + (wasm_f32x4_extract_lane(a, 2) + wasm_f32x4_extract_lane(a, 3));
}
static inline vf vf_from_bytes(const uint8_t *p)
{
    const vf wide = wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(p));
    return wasm_f32x4_convert_i32x4(wasm_u32x4_extend_low_u16x8(wide));
}

/* Rows of a 4 x 4 square become its columns. */
static inline void vf_transpose(vf square[LANES])
{
    const vf a = vf_zip_low(square[0], square[2]), b = vf_zip_high(square[0], square[2]);
    const vf c = vf_zip_low(square[1], square[3]), d = vf_zip_high(square[1], square[3]);
    square[0] = vf_zip_low(a, c);
    square[1] = vf_zip_high(a, c);
    square[2] = vf_zip_low(b, d);
    square[3] = vf_zip_high(b, d);
}
/* The next STRIP pixels, from `at` on, of LANES images: out[pixel][lane]. */
static inline void bytes_to_lanes(const uint8_t *const *images, ptrdiff_t at, uint8_t *out)
{
    const vf a = wasm_v128_load(images[0] + at), b = wasm_v128_load(images[1] + at);
    const vf c = wasm_v128_load(images[2] + at), d = wasm_v128_load(images[3] + at);
#define LOW(x, y) wasm_i8x16_shuffle(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH(x, y) \
    wasm_i8x16_shuffle(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
    const vf ac = LOW(a, c), bd = LOW(b, d), ac_on = HIGH(a, c), bd_on = HIGH(b, d);
    wasm_v128_store(out, LOW(ac, bd));
    wasm_v128_store(out + 16, HIGH(ac, bd));
    wasm_v128_store(out + 32, LOW(ac_on, bd_on));
    wasm_v128_store(out + 48, HIGH(ac_on, bd_on));
#undef LOW
#undef HIGH
}

#endif
