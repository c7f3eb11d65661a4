/* tanh as a quotient of polynomials, over any vector type.
 *
 * tanh(a) = a p(a^2) / q(a^2), p of degree 3 and q of degree 4: a minimax fit for the relative
 * error (1.2e-7) on |a| < 7.8, where tanh is 1 - 3.4e-7; a is clamped to that. In float the
 * relative error stays below 4.5e-7. A tanh(S a) is the same with A and S multiplied into the
 * coefficients.
 *
 * Compiled once per instruction set: only squash.h includes it. */
#ifndef LENET_KERNELS_TANH_RATIONAL_H
#define LENET_KERNELS_TANH_RATIONAL_H

#include "kernels/target.h"

typedef struct { float p[4], q[4], limit; } tanh_fit;  /* the constant term of q is 1 */

static const tanh_fit FIT_TANH = {
    {9.999998808e-01f, 1.294311732e-01f, 2.969891066e-03f, 1.163573870e-05f},
    {4.627635479e-01f, 2.389240637e-02f, 2.413548791e-04f, 2.526242611e-07f},
    7.8f};
static const tanh_fit FIT_SCALED_TANH = {
    {1.143933177e+00f, 6.580472738e-02f, 6.710829330e-04f, 1.168549602e-06f},
    {2.056726813e-01f, 4.719487391e-03f, 2.118890552e-05f, 9.857004990e-09f},
    11.7f};

static inline vf vf_tanh(const tanh_fit *fit, vf a)
{
    /* the operands' order makes NaN pass through min and max */
    a = vf_min(vf_set(fit->limit), vf_max(vf_set(-fit->limit), a));
    vf t = vf_mul(a, a);
    vf p = vf_fma(vf_set(fit->p[3]), t, vf_set(fit->p[2]));
    vf q = vf_fma(vf_set(fit->q[3]), t, vf_set(fit->q[2]));
    p = vf_fma(p, t, vf_set(fit->p[1]));
    q = vf_fma(q, t, vf_set(fit->q[1]));
    p = vf_fma(p, t, vf_set(fit->p[0]));
    q = vf_fma(q, t, vf_set(fit->q[0]));
    return vf_quotient(vf_mul(a, p), vf_fma(q, t, vf_set(1.0f)));
}

#endif
