/* Distorts the images of a batch; load.c calls it. */
#ifndef LENET_DISTORT_H
#define LENET_DISTORT_H

#include "sys/watch.h"

/* Distorts images `first` .. of a call to `out`, one behind the other, until the call is to end;
 * checks nothing. */
void lenet_distort_some(const lenet_distortion *d, uint64_t first, const uint8_t *const *images,
                        int n, int32_t height, int32_t width, uint8_t *out, void *workspace,
                        lenet_watch *watch, int is_caller);

#endif
