/* From a strip's outputs to strings: what one string needs to be looked at (decode.c). */
#ifndef LENET_DECODE_H
#define LENET_DECODE_H

#include "lenet.h"
#include "strings/wide.h"
#include "sys/watch.h"

/* A strip's outputs as probabilities, and what the search shares with the sums. */
typedef struct lenet_strip {
    int32_t positions, classes, blank;
    const wide *p;       /* [positions][classes]: softmax */
    const double *logs;  /* the same: their logarithms */
    lenet_watch *watch;
} lenet_strip;

/* ---- accept.c: all strings that a grammar accepts ---- */

/* Bytes for lenet_accept. */
size_t lenet_accept_workspace(const lenet_grammar *grammar, int32_t positions, int32_t classes,
                              int32_t blank);

/* Gives the probability of all strings that the grammar accepts, and births [positions][classes]: how
 * probable it is, among those, that a character of the class begins at the position. Nothing is
 * accepted: births are 0. */
lenet_status lenet_accept(const lenet_strip *strip, const lenet_grammar *grammar, wide *accepted,
                          double *births, void *workspace);

/* ---- align.c: one string ---- */

/* Bytes for the two below. */
size_t lenet_align_workspace(int32_t positions);

/* The probability of a string, summed over its paths; 0 where it cannot be spelt. */
lenet_status lenet_string_probability(const lenet_strip *strip, const int32_t *string, int32_t length,
                                      wide *probability, void *workspace);

/* The first and the last position of each character on the string's likeliest path, which of equal
 * ones is the first to move on. The string can be spelt. */
lenet_status lenet_align(const lenet_strip *strip, const int32_t *string, int32_t length,
                         int32_t *spans, void *workspace);

/* The positions where character i may stand when the others stand in their spans: first .. end - 1. */
static inline void lenet_place(const int32_t *spans, int32_t length, int32_t i, int32_t positions,
                               int32_t *first, int32_t *end)
{
    *first = i ? spans[2 * i - 1] + 1 : 0;
    *end = i + 1 < length ? spans[2 * i + 2] : positions;
}

#endif
