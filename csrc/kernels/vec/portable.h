/* Plain C: four images a vector. With gcc and clang a vector type, which becomes SSE2, NEON or
 * whatever the target has; elsewhere a struct of four floats and short loops. */
#ifndef LENET_VEC_PORTABLE_H
#define LENET_VEC_PORTABLE_H

#define LENET_ISA portable

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    LANES = 4,
    HOLD_WEIGHTS = 0,
    TILE_COLUMNS = 6,
    SCATTER_SUMS = 14,
    WINOGRAD_MAPS = 0,
    WINOGRAD_TRAINS = 0,
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

#if defined(__GNUC__) && !defined(LENET_PLAIN_LANES)

typedef float vf __attribute__((vector_size(16)));
typedef int32_t vf_mask __attribute__((vector_size(16)));

static inline vf vf_set(float a) { return (vf){a, a, a, a}; }
static inline vf vf_add(vf a, vf b) { return a + b; }
static inline vf vf_sub(vf a, vf b) { return a - b; }
static inline vf vf_mul(vf a, vf b) { return a * b; }
static inline vf vf_quotient(vf a, vf b) { return a / b; }
static inline vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
static inline vf vf_select(vf_mask m, vf a, vf b)
{
    return (vf)((m & (vf_mask)a) | (~m & (vf_mask)b));
}
static inline vf vf_min(vf a, vf b) { return vf_select(a < b, a, b); }
static inline vf vf_max(vf a, vf b) { return vf_select(a > b, a, b); }
static inline vf vf_step(vf a) { return vf_select(a > vf_set(0.0f), vf_set(1.0f), vf_set(0.0f)); }
#define VF_LANE(a, i) ((a)[i])

#else

typedef struct vf { float v[LANES]; } vf;
#define VF_LANE(a, i) ((a).v[i])
#define VF_BINARY(name, expression)                                  \
    static inline vf name(vf a, vf b)                                \
    {                                                                \
        vf r;                                                        \
        for (int i = 0; i < LANES; i++) {                            \
            float x = a.v[i], y = b.v[i];                            \
            r.v[i] = (expression);                                   \
        }                                                            \
        return r;                                                    \
    }
VF_BINARY(vf_add, x + y)
VF_BINARY(vf_sub, x - y)
VF_BINARY(vf_mul, x *y)
VF_BINARY(vf_quotient, x / y)
VF_BINARY(vf_min, x < y ? x : y)
VF_BINARY(vf_max, x > y ? x : y)
#undef VF_BINARY

static inline vf vf_set(float a)
{
    vf r;
    for (int i = 0; i < LANES; i++) r.v[i] = a;
    return r;
}
static inline vf vf_fma(vf a, vf b, vf c)
{
    for (int i = 0; i < LANES; i++) c.v[i] += a.v[i] * b.v[i];
    return c;
}
static inline vf vf_step(vf a)
{
    for (int i = 0; i < LANES; i++) a.v[i] = a.v[i] > 0.0f ? 1.0f : 0.0f;
    return a;
}

#endif

static inline vf vf_loadu(const float *p)
{
    vf r;
    memcpy(&r, p, sizeof r);
    return r;
}
static inline void vf_storeu(float *p, vf a) { memcpy(p, &a, sizeof a); }
static inline void vf_accumulate(vf *sum, vf a, vf b) { *sum = vf_fma(a, b, *sum); }
static inline vf vf_in_register(vf a) { return a; }
static inline vf vf_load(const float *p) { return vf_loadu(p); }
static inline void vf_store(float *p, vf a) { vf_storeu(p, a); }
static inline vf vf_sqrt(vf a)
{
    for (int i = 0; i < LANES; i++) VF_LANE(a, i) = sqrtf(VF_LANE(a, i));
    return a;
}
/* The power of two whose exponent has the last eight of u's bits; the ninth is 0. */
static inline vf vf_exponent(vf u)
{
    uint32_t bits[LANES];
    memcpy(bits, &u, sizeof bits);
    for (int i = 0; i < LANES; i++) bits[i] <<= 23;
    memcpy(&u, bits, sizeof bits);
    return u;
}
/* x where a == b, else 0 */
static inline vf vf_where_equal(vf a, vf b, vf x)
{
    for (int i = 0; i < LANES; i++)
        if (VF_LANE(a, i) != VF_LANE(b, i)) VF_LANE(x, i) = 0.0f;
    return x;
}
/* The first n lanes from memory, the others 0; the first n lanes to memory; n may be more than there
 * are. */
static inline vf vf_load_part(const float *p, ptrdiff_t n)
{
    vf r = vf_set(0.0f);
    for (int i = 0; i < n && i < LANES; i++) VF_LANE(r, i) = p[i];
    return r;
}
static inline void vf_store_part(float *p, vf a, ptrdiff_t n)
{
    for (int i = 0; i < n && i < LANES; i++) p[i] = VF_LANE(a, i);
}
/* a with 0 in all lanes but the first n */
static inline vf vf_first(vf a, ptrdiff_t n)
{
    for (int i = 0; i < LANES; i++)
        if (i >= n) VF_LANE(a, i) = 0.0f;
    return a;
}
/* What only kernels/tanh_table.h asks for. */
static inline vf vf_abs(vf a)
{
    for (int i = 0; i < LANES; i++) VF_LANE(a, i) = fabsf(VF_LANE(a, i));
    return a;
}
static inline vf vf_with_sign(vf a, vf b)
{
    for (int i = 0; i < LANES; i++) VF_LANE(a, i) = copysignf(VF_LANE(a, i), VF_LANE(b, i));
    return a;
}
static inline vf vf_lookup(const float *numbers, vf u)
{
    uint32_t bits[LANES];
    memcpy(bits, &u, sizeof bits);
    for (int i = 0; i < LANES; i++) VF_LANE(u, i) = numbers[bits[i] >> 20 & 31];
    return u;
}
/* Lane i of the result: lane index[i] of a. */
static inline vf vf_permute(vf a, const int32_t *index)
{
    vf r = a;
    for (int i = 0; i < LANES; i++) VF_LANE(r, i) = VF_LANE(a, index[i]);
    return r;
}
/* a0 a0 a1 a1 and a2 a2 a3 a3 */
static inline vf vf_double_low(vf a)
{
    VF_LANE(a, 3) = VF_LANE(a, 2) = VF_LANE(a, 1);
    VF_LANE(a, 1) = VF_LANE(a, 0);
    return a;
}
static inline vf vf_double_high(vf a)
{
    VF_LANE(a, 0) = VF_LANE(a, 1) = VF_LANE(a, 2);
    VF_LANE(a, 2) = VF_LANE(a, 3);
    return a;
}
/* a0 + a1, a2 + a3, b0 + b1, b2 + b3 */
static inline vf vf_add_pairs(vf a, vf b)
{
    vf r = a;
    VF_LANE(r, 0) = VF_LANE(a, 0) + VF_LANE(a, 1);
    VF_LANE(r, 1) = VF_LANE(a, 2) + VF_LANE(a, 3);
    VF_LANE(r, 2) = VF_LANE(b, 0) + VF_LANE(b, 1);
    VF_LANE(r, 3) = VF_LANE(b, 2) + VF_LANE(b, 3);
    return r;
}
/* a0 a2 b0 b2, and a1 a3 b1 b3 */
static inline vf vf_even(vf a, vf b)
{
    for (int i = 0; i < LANES; i++)
        VF_LANE(a, i) = i < LANES / 2 ? VF_LANE(a, 2 * i) : VF_LANE(b, 2 * i - LANES);
    return a;
}
static inline vf vf_odd(vf a, vf b)
{
    for (int i = 0; i < LANES; i++)
        VF_LANE(a, i) = i < LANES / 2 ? VF_LANE(a, 2 * i + 1) : VF_LANE(b, 2 * i + 1 - LANES);
    return a;
}
/* a0 b0 a1 b1, and a2 b2 a3 b3 */
static inline vf vf_zip_low(vf a, vf b)
{
    vf r = a;
    for (int i = 0; i < LANES; i++) VF_LANE(r, i) = i % 2 ? VF_LANE(b, i / 2) : VF_LANE(a, i / 2);
    return r;
}
static inline vf vf_zip_high(vf a, vf b)
{
    vf r = a;
    for (int i = 0, k = LANES / 2; i < LANES; k += i++ % 2)
        VF_LANE(r, i) = i % 2 ? VF_LANE(b, k) : VF_LANE(a, k);
    return r;
}
static inline float vf_sum(vf a)
{
    return (VF_LANE(a, 0) + VF_LANE(a, 1)) + (VF_LANE(a, 2) + VF_LANE(a, 3));
}
static inline vf vf_from_bytes(const uint8_t *p)
{
    vf r;
    for (int i = 0; i < LANES; i++) VF_LANE(r, i) = (float)p[i];
    return r;
}

static inline void vf_transpose(vf square[LANES])
{
    for (int i = 0; i < LANES; i++) {
        for (int j = 0; j < i; j++) {
            float kept = VF_LANE(square[i], j);
            VF_LANE(square[i], j) = VF_LANE(square[j], i);
            VF_LANE(square[j], i) = kept;
        }
    }
}
/* The next STRIP pixels, from `at` on, of LANES images: out[pixel][lane]. */
static inline void bytes_to_lanes(const uint8_t *const *images, ptrdiff_t at, uint8_t *out)
{
    for (int lane = 0; lane < LANES; lane++)
        for (int i = 0; i < STRIP; i++) out[i * LANES + lane] = images[lane][at + i];
}

#endif
