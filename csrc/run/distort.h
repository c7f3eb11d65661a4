/* Distorts the images of a batch, for load.c, and single ones, for draw_line.c. */
#ifndef LENET_DISTORT_H
#define LENET_DISTORT_H

#include "kernels/canvas.h"
#include "sys/watch.h"

/* Distorts images `first` .. of a call to `out`, one behind the other, until the call is to end: all
 * channels of an image by the same numbers. Checks nothing. */
void lenet_distort_some(const lenet_distortion *d, uint64_t first, const uint8_t *const *images,
                        int n, int32_t channels, int32_t height, int32_t width, uint8_t *out,
                        void *workspace, lenet_watch *watch, int is_caller);

/* What images of one size are distorted on: with displacements as smooth as this, at least 2 pixels, or
 * 0 for none. workspace: aligned to 4 bytes, of lenet_distort_workspace bytes. */
lenet_canvas lenet_make_canvas(int32_t height, int32_t width, float smoothness, void *workspace);

/* Puts one image through a map, scale and squeeze above 0, and, if the canvas is for displacements, those
 * of standard deviation `elastic` by the numbers of the sequence `image`. */
void lenet_distort_one(const lenet_canvas *c, const lenet_transform *t, float elastic, uint64_t image,
                       const uint8_t *from, uint8_t *to);

#endif
