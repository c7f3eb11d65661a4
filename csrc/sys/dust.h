/* Gradients too small to count. */
#ifndef LENET_DUST_H
#define LENET_DUST_H

#include <math.h>

/* As float, and 0 where that would be so small that it slows the multiply-adds down: some processors are
 * slow with numbers below 1e-38, and penalties of 100 are common. */
static inline float without_dust(double x) { return fabs(x) < 1e-30 ? 0.0f : (float)x; }

#endif
