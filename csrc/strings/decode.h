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

/* How probable accepted endings are from each place of a grammar's automaton, before each position. */
typedef struct lenet_endings {
    int32_t states, n_edges, n_arrivals;
    int32_t *first;       /* [states + 1]: a state's edges, by class */
    int32_t *classes;     /* [edges] */
    int32_t *arrivals;    /* [edges]: where it leads */
    int32_t *same;        /* [edges]: the arrival of its own class in the state that it leaves; or -1 */
    int32_t *arrived;     /* [states + 1]: a state's arrivals */
    int32_t *shown;       /* [arrivals]: the class */
    int32_t *twin;        /* [arrivals]: the edge of its class that leaves the state, or -1 */
    int32_t *arrival_of;  /* [states][classes], or -1 */
    double *behind;       /* [positions + 1][states, then arrivals]; the first is all that is accepted */
    double *spare;
} lenet_endings;

size_t lenet_endings_workspace(const lenet_grammar *grammar, int32_t positions, int32_t classes,
                               int32_t blank);

lenet_status lenet_find_endings(const lenet_strip *strip, const lenet_grammar *grammar,
                                lenet_endings *endings, void *workspace);

/* births: [positions][classes], how probable it is, among accepted strings, that a character of the class
 * begins at the position. */
lenet_status lenet_find_births(const lenet_strip *strip, const lenet_endings *endings, double *births);

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
