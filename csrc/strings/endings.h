/* All strings that a grammar accepts, by where they end and where their characters begin: what decode.c
 * weighs beginnings with. */
#ifndef LENET_ENDINGS_H
#define LENET_ENDINGS_H

#include "strings/paths.h"

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

#endif
