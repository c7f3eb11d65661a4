/* The sum over all strings that a grammar accepts, by states of its automaton and the class last seen.
 *
 * After a blank it does not matter which character came last, so a path is at one of two kinds of
 * places: a state, behind a blank or at the beginning; or an arrival, a state with the class that led
 * there and that the position shows. Only arrivals that an edge leads to have a place in memory. A
 * character may follow an arrival of its own class only behind a blank, so sums are wanted that leave
 * out one term.
 *
 * Plain numbers do: one that underflows is too little to count beside the sum of all, as long as that is
 * far from the least number itself. */
#include <math.h>
#include <string.h>

#include "strings/endings.h"

static int64_t count_edges(const lenet_grammar *grammar, int32_t classes, int32_t blank)
{
    int64_t n = 0;
    for (int64_t s = 0; s < grammar->states; s++)
        for (int32_t c = 0; c < classes; c++) n += c != blank && grammar->next[s * classes + c] >= 0;
    return n;
}

static size_t whole(size_t bytes) { return (bytes + 15) & ~(size_t)15; }

static size_t list_size(const lenet_grammar *grammar, int64_t n, int32_t classes)
{
    const size_t states = (size_t)grammar->states, c = (size_t)classes;
    return whole((5 * (size_t)n + 2 * (states + 1) + states * c + c) * sizeof(int32_t));
}

size_t lenet_endings_workspace(const lenet_grammar *grammar, int32_t positions, int32_t classes,
                               int32_t blank)
{
    const int64_t n = count_edges(grammar, classes, blank);
    const size_t places = (size_t)n + (size_t)grammar->states;
    return list_size(grammar, n, classes)
           + (((size_t)positions + 3) * places + (size_t)classes) * sizeof(double);
}

/* Lists edges and arrivals. */
static void list_edges(const lenet_grammar *grammar, int32_t classes, int32_t blank, lenet_endings *e,
                       void *workspace)
{
    const int32_t states = grammar->states;
    const int64_t n = count_edges(grammar, classes, blank);
    int32_t *room = workspace;
    e->n_edges = (int32_t)n;
    e->states = states;
    e->first = room;
    e->arrived = e->first + states + 1;
    e->classes = e->arrived + states + 1;
    e->arrivals = e->classes + n;
    e->same = e->arrivals + n;
    e->shown = e->same + n;
    e->twin = e->shown + n;
    e->arrival_of = e->twin + n;
    int32_t *by_class = e->arrival_of + (ptrdiff_t)states * classes;

    /* edges into each state, then where its edges begin when they are sorted by it */
    memset(e->arrived, 0, ((size_t)states + 1) * sizeof(int32_t));
    int32_t k = 0;
    for (int32_t s = 0; s < states; s++) {
        e->first[s] = k;
        for (int32_t c = 0; c < classes; c++) {
            const int32_t to = grammar->next[(int64_t)s * classes + c];
            if (c == blank || to < 0) continue;
            e->classes[k] = c;
            e->arrivals[k++] = to;  /* the state, for now */
            e->arrived[to + 1]++;
        }
    }
    e->first[states] = k;
    for (int32_t s = 0; s < states; s++) e->arrived[s + 1] += e->arrived[s];
    int32_t *sorted = e->shown;  /* of no use yet; each place is read before an arrival is put there */
    for (k = 0; k < e->n_edges; k++) sorted[e->arrived[e->arrivals[k]]++] = k;
    for (int32_t s = states; s > 0; s--) e->arrived[s] = e->arrived[s - 1];
    e->arrived[0] = 0;

    /* edges of one class into one state are one arrival */
    int32_t n_arrivals = 0;
    for (int32_t c = 0; c < classes; c++) by_class[c] = -1;
    for (int32_t s = 0; s < states; s++) {
        const int32_t from = e->arrived[s], to = e->arrived[s + 1], begin = n_arrivals;
        e->arrived[s] = begin;
        for (int32_t i = from; i < to; i++) {
            const int32_t edge = sorted[i], c = e->classes[edge];
            if (by_class[c] < 0) {
                by_class[c] = n_arrivals;
                e->shown[n_arrivals] = c;
                e->twin[n_arrivals++] = -1;
            }
            e->arrivals[edge] = by_class[c];
        }
        for (int32_t i = e->first[s]; i < e->first[s + 1]; i++) {
            e->same[i] = by_class[e->classes[i]];
            if (e->same[i] >= 0) e->twin[e->same[i]] = i;
        }
        memcpy(e->arrival_of + (ptrdiff_t)s * classes, by_class, (size_t)classes * sizeof(int32_t));
        for (int32_t a = begin; a < n_arrivals; a++) by_class[e->shown[a]] = -1;
    }
    e->arrived[states] = n_arrivals;
    e->n_arrivals = n_arrivals;
    e->behind = (double *)((char *)workspace + list_size(grammar, n, classes));
}

/* A sum without one of its terms; the others are added anew where the difference would be rough. */
static double without(double sum, double term, double first, const double *terms, const int32_t *which,
                      int32_t n, int32_t left_out)
{
    if (term <= 0.5 * sum) return sum - term;
    for (int32_t i = 0; i < n; i++)
        if (i != left_out) first += terms[which ? which[i] : i];
    return first;
}

static void take_position(const lenet_strip *strip, int32_t t, double *p)
{
    const wide *from = strip->p + (ptrdiff_t)t * strip->classes;
    for (int32_t c = 0; c < strip->classes; c++) p[c] = from[c].k == 0 ? from[c].v : exp(wide_log(from[c]));
}

lenet_status lenet_find_endings(const lenet_strip *strip, const lenet_grammar *grammar,
                                lenet_endings *e, void *workspace)
{
    const ptrdiff_t step = grammar->states;
    list_edges(grammar, strip->classes, strip->blank, e, workspace);
    const ptrdiff_t places = step + e->n_arrivals;
    double *end = e->behind + strip->positions * places;
    double *next = e->spare = end + places;  /* from arrivals, and their position */
    double *p = next + 2 * (step + e->n_edges);
    for (int32_t s = 0; s < e->states; s++) {
        end[s] = grammar->accept[s] ? 1.0 : 0.0;
        for (int32_t a = e->arrived[s]; a < e->arrived[s + 1]; a++) end[step + a] = end[s];
    }
    for (int32_t t = strip->positions - 1; t >= 0; t--) {
        double *behind = e->behind + t * places, *at = behind + step;
        const double *behind_next = behind + places, *at_next = at + places;
        if (is_stopped(strip, 4.0 * e->states + 8.0 * e->n_edges)) return LENET_INTERRUPTED;
        take_position(strip, t, p);
        for (int32_t a = 0; a < e->n_arrivals; a++) next[a] = at_next[a] * p[e->shown[a]];
        for (int32_t s = 0; s < e->states; s++) {
            const int32_t from = e->first[s], n = e->first[s + 1] - from;
            const int32_t *to = e->arrivals + from;
            const double stay = behind_next[s] * p[strip->blank];
            double all = stay;
            for (int32_t i = 0; i < n; i++) all += next[to[i]];
            behind[s] = all;
            for (int32_t a = e->arrived[s]; a < e->arrived[s + 1]; a++) {
                const int32_t i = e->twin[a] - from;
                at[a] = next[a]
                        + (e->twin[a] < 0 ? all : without(all, next[to[i]], stay, next, to, n, i));
            }
        }
    }
    return LENET_OK;
}

lenet_status lenet_find_births(const lenet_strip *strip, const lenet_endings *e, double *births)
{
    const double accepted = e->behind[0];
    const ptrdiff_t places = e->states + e->n_arrivals;
    double *behind = e->spare, *at = behind + e->states, *in = at + e->n_arrivals;
    double *p = behind + 2 * ((ptrdiff_t)e->states + e->n_edges);
    for (int64_t i = 0; i < (int64_t)strip->positions * strip->classes; i++) births[i] = 0.0;
    for (int32_t s = 0; s < e->states; s++) behind[s] = s ? 0.0 : 1.0;
    for (int32_t a = 0; a < e->n_arrivals; a++) at[a] = 0.0;
    for (int32_t t = 0; t < strip->positions; t++) {
        const double *after = e->behind + (t + 1) * places + e->states;
        double *born = births + (ptrdiff_t)t * strip->classes;
        if (is_stopped(strip, 4.0 * e->states + 8.0 * e->n_edges)) return LENET_INTERRUPTED;
        take_position(strip, t, p);
        for (int32_t a = 0; a < e->n_arrivals; a++) in[a] = 0.0;
        for (int32_t s = 0; s < e->states; s++) {
            const int32_t from = e->arrived[s], n = e->arrived[s + 1] - from;
            double all = behind[s];
            for (int32_t i = 0; i < n; i++) all += at[from + i];
            for (int32_t i = e->first[s]; i < e->first[s + 1]; i++) {
                const int32_t a = e->same[i];
                in[e->arrivals[i]] +=
                    a < 0 ? all : without(all, at[a], behind[s], at + from, NULL, n, a - from);
            }
            behind[s] = all * p[strip->blank];
        }
        for (int32_t a = 0; a < e->n_arrivals; a++) {
            const double here = p[e->shown[a]];
            born[e->shown[a]] += in[a] * here * after[a];
            at[a] = (in[a] + at[a]) * here;
        }
        for (int32_t c = 0; c < strip->classes; c++) born[c] /= accepted;
    }
    return LENET_OK;
}
