/* Picks the kernel table once: the widest that the processor and the operating system have, or
 * the one that LENET_C_ISA names. A build with LENET_NO_AVX512, LENET_NO_AVX2 or LENET_NO_NEON is
 * without that one, and smaller. */
#include "kernels/kernels.h"
#include "sys/loop.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) || defined(_M_X64)
#define LENET_X86 1
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

#ifdef LENET_X86

static void cpuid(unsigned leaf, unsigned out[4])
{
#if defined(_MSC_VER) && !defined(__clang__)
    __cpuidex((int *)out, (int)leaf, 0);
#else
    __cpuid_count(leaf, 0, out[0], out[1], out[2], out[3]);
#endif
}

/* Which register sets the operating system saves: bits 1-2 for AVX, 5-7 too for AVX-512. */
static unsigned saved_state(void)
{
#if defined(_MSC_VER) && !defined(__clang__)
    return (unsigned)_xgetbv(0);
#else
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
#endif
}

enum { HAS_AVX2 = 1, HAS_AVX512 = 2 };

static int features(void)
{
    unsigned r[4];
    cpuid(0, r);
    if (r[0] < 7) return 0;
    cpuid(1, r);
    const unsigned fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28;
    if ((r[2] & (fma | osxsave | avx)) != (fma | osxsave | avx)) return 0;
    unsigned state = saved_state();
    if ((state & 0x06) != 0x06) return 0;
    cpuid(7, r);
    const unsigned avx2 = 1u << 5, f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    if (!(r[1] & avx2)) return 0;
    if ((state & 0xe6) != 0xe6 || (r[1] & (f | dq | bw | vl)) != (f | dq | bw | vl))
        return HAS_AVX2;
    return HAS_AVX2 | HAS_AVX512;
}

#endif

/* Best first; the portable table is always there. */
static int available(const lenet_kernels *tables[4])
{
    int n = 0;
#ifdef LENET_X86
    const int has = features();
    (void)has;
#ifndef LENET_NO_AVX512
    if (has & HAS_AVX512) tables[n++] = lenet_kernels_avx512();
#endif
#ifndef LENET_NO_AVX2
    if (has & HAS_AVX2) tables[n++] = lenet_kernels_avx2();
#endif
#elif defined(__aarch64__) && !defined(LENET_NO_NEON)
    tables[n++] = lenet_kernels_neon();
#elif defined(__wasm_simd128__)
    tables[n++] = lenet_kernels_wasm();
#endif
    tables[n++] = lenet_kernels_portable();
    return n;
}

static const lenet_kernels *active;

static lenet_status pick_kernels(void)
{
    if (active) return LENET_OK;
    static const char *const known[] = {"portable", "avx2", "avx512", "neon", "wasm"};
    const lenet_kernels *tables[4];
    int n = available(tables), is_known = 0;
    const char *wanted = getenv("LENET_C_ISA");
    if (!wanted || !*wanted) {
        active = tables[0];
        return LENET_OK;
    }
    for (int i = 0; i < n; i++) {
        if (strcmp(tables[i]->name, wanted) == 0) {
            active = tables[i];
            return LENET_OK;
        }
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        is_known |= strcmp(known[i], wanted) == 0;
    return is_known ? LENET_MISSING_ISA : LENET_UNKNOWN_ISA;
}

lenet_status lenet_init(void)
{
    const lenet_status ready = lenet_parallel_init(), picked = pick_kernels();
    return picked == LENET_OK ? ready : picked;
}

const lenet_kernels *lenet_kernels_active(void)
{
    return pick_kernels() == LENET_OK ? active : lenet_kernels_portable();
}

const char *lenet_isa(void) { return lenet_kernels_active()->name; }

int32_t lenet_lanes(void) { return lenet_kernels_active()->lanes; }

const char *lenet_available_isa(int32_t n)
{
    const lenet_kernels *tables[4];
    return n >= 0 && n < available(tables) ? tables[n]->name : NULL;
}

const char *lenet_version(void) { return LENET_VERSION; }

const char *lenet_compiler(void)
{
#if defined(__clang__)
    return "clang " __clang_version__;
#elif defined(__GNUC__)
    return "gcc " __VERSION__;
#elif defined(_MSC_VER)
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
    return "MSVC " TEXT(_MSC_VER);
#else
    return "unknown";
#endif
}
