/* Sums over the paths through a strip's outputs, and the best of them. */
#ifndef LENET_PATHS_H
#define LENET_PATHS_H

#include <stddef.h>

#include "lenet.h"
#include "strings/wide.h"
#include "sys/watch.h"

typedef struct lenet_strip {
    int32_t positions, classes, blank;
    const wide *p;        /* [positions][classes]: probabilities */
    const wide *rubbish;  /* [positions]: what a grammar's paths may have in place of a blank; or NULL */
    const double *logs;   /* [positions][classes]: logarithms of p; lenet_best_label_path alone */
    lenet_watch *watch;   /* or NULL */
} lenet_strip;

/* The functions below return 0 if the call is to end before they are done. memory: as large as the function
 * beside each says, aligned to 8 bytes. share: adds `weight` times the probability that a path through the
 * sum has class c at position t to share[t][c]; NULL: not wanted. */

/* The sum of all paths that spell a label, which fits into the positions. with_share: memory for a share. */
size_t lenet_label_memory(int32_t positions, int32_t length, int with_share);
int lenet_label_sum(const lenet_strip *s, const int32_t *label, int32_t length, double weight,
                    void *memory, wide *sum, double *share);
/* The logarithm of the likeliest of them, of equal ones the first to move on; and the character that it
 * shows at each position, by its place in the label, or -1. */
size_t lenet_best_memory(int32_t positions, int32_t length);
int lenet_best_label_path(const lenet_strip *s, const int32_t *label, int32_t length, void *memory,
                          double *log_best, int32_t *shown);
/* The logarithm of the sum of all paths that spell anything that a grammar accepts. */
size_t lenet_grammar_memory(int32_t positions, int32_t classes, int32_t states);
int lenet_grammar_sum(const lenet_strip *s, const lenet_grammar *grammar, double weight, void *memory,
                      double *log_sum, double *share);

/* Whether its states are within range. */
int lenet_is_grammar(const lenet_grammar *grammar, int32_t classes, int32_t blank);

/* Bytes of n things, or so many that nobody has them. */
static inline size_t bytes_of(size_t n, size_t each)
{
    const size_t most = SIZE_MAX / 16;
    return each && n > most / each ? most : n * each;
}

static inline int is_stopped(const lenet_strip *s, double work)
{
    return s->watch && lenet_stopped(s->watch, 1, work);
}

#endif
