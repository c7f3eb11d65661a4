/* The logistic sigmoid, 1 / (1 + e^-a), over any vector type.
 *
 * e^-a = 2^n e^-s with s = a + n ln 2 and n the nearest whole number to -a / ln 2; e^-s is a polynomial of
 * degree 6 that goes through Chebyshev points of |s| <= ln 2 / 2 (relative error 2e-8). In float the
 * relative error of the sigmoid stays below 7e-7 where a > -87; below, it is what it is at -87: 1.6e-38.
 *
 * Compiled once per instruction set: only squash.h includes it. */
#ifndef LENET_KERNELS_SIGMOID_H
#define LENET_KERNELS_SIGMOID_H

#include "kernels/target.h"

static inline vf vf_sigmoid(vf a)
{
    static const float e[7] = {1.0f,             -1.0f,            0.5f,           -1.666641533e-01f,
                               4.166635126e-02f, -8.375134319e-03f, 1.394111896e-03f};
    /* added to n, leaves n + 127 in the last bits, which are those of 2^n's exponent */
    const vf round = vf_set(12582912.0f + 127.0f);
    /* the operands' order makes NaN pass through min and max */
    a = vf_min(vf_set(87.0f), vf_max(vf_set(-87.0f), a));
    const vf u = vf_fma(a, vf_set(-1.44269504f), round), n = vf_sub(u, round);
    /* ln 2 in two parts, of which n times the first is exact */
    const vf s = vf_fma(n, vf_set(-2.12194440e-4f), vf_fma(n, vf_set(0.693359375f), a));
    vf p = vf_set(e[6]);
    UNROLL
    for (int i = 5; i >= 0; i--) p = vf_fma(p, s, vf_set(e[i]));
    return vf_quotient(vf_set(1.0f), vf_fma(p, vf_exponent(u), vf_set(1.0f)));
}

#endif
