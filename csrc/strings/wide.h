/* Numbers from 0 up whose exponent has no end: sums over paths in them lose nothing to underflow, as
 * sums of logarithms do not, and cost a multiplication where those cost an exponential.
 *
 * A number is v 2^(512 k), v within 2^-256 .. 2^256 or 0. Nearly always k is 0. */
#ifndef LENET_WIDE_H
#define LENET_WIDE_H

#include <math.h>
#include <stdint.h>

typedef struct wide {
    double v;
    int64_t k;  /* of 0 so low that it never counts in a sum */
} wide;

#define WIDE_UNIT 0x1p512
#define WIDE_LOG_UNIT 354.89135644669199  /* 512 log 2 */

static const wide wide_zero = {0.0, -((int64_t)1 << 60)};
static const wide wide_one = {1.0, 0};

static inline wide wide_add(wide a, wide b)
{
    if (a.k == b.k) return (wide){a.v + b.v, a.k};
    if (a.k < b.k) {
        const wide c = a;
        a = b;
        b = c;
    }
    if (a.k - b.k == 1) a.v += b.v / WIDE_UNIT;  /* farther apart: nothing to add */
    return a;
}

/* Of sums of numbers and of what wide_exp gives. */
static inline wide wide_times(wide a, wide b)
{
    wide c = {a.v * b.v, a.k + b.k};
    if (c.v < 0x1p-256) {
        c.v *= WIDE_UNIT;
        c.k--;
    } else if (c.v > 0x1p256) {
        c.v /= WIDE_UNIT;
        c.k++;
    }
    return c;
}

/* How far evidence is behind its position's best: more than this counts as this. */
static inline double wide_reach(double behind) { return behind > -1e12 ? behind : -1e12; }

/* e^x, x from -1e12 to 0. */
static inline wide wide_exp(double x)
{
    const int64_t k = (int64_t)(x / WIDE_LOG_UNIT - 0.5);
    return (wide){exp(x - (double)k * WIDE_LOG_UNIT), k};
}

/* Minus infinity of 0. */
static inline double wide_log(wide a)
{
    return a.v > 0.0 ? log(a.v) + (double)a.k * WIDE_LOG_UNIT : -INFINITY;
}

/* 1 / a, of more than 0. */
static inline wide wide_inverse(wide a) { return (wide){1.0 / a.v, -a.k}; }

/* a b c, which is at most about 1, as a double. */
static inline double wide_share(wide a, wide b, wide c)
{
    const double v = a.v * b.v * c.v;
    const int64_t k = a.k + b.k + c.k;
    return k == 0 ? v : k == -1 ? v / WIDE_UNIT : k == 1 ? v * WIDE_UNIT : 0.0;
}

#endif
