/* The sum over all strings that a grammar accepts, by states of its automaton and the class last seen.
 *
 * After a blank it does not matter which character came last, so a path is at one of two kinds of
 * places: a state, behind a blank or at the beginning; or an arrival, a state with the class that led
 * there and that the position shows. Only arrivals that an edge leads to have a place in memory. A
 * character may follow an arrival of its own class only behind a blank, so sums are wanted that leave
 * out one term: from both sides, since nothing is taken from a sum without loss. */
#include <string.h>

#include "strings/decode.h"

typedef struct edges {
    int32_t n, n_arrivals;
    int32_t *first;      /* [states + 1]: a state's edges, by class */
    int32_t *classes;    /* [edges] */
    int32_t *arrivals;   /* [edges]: where it leads */
    int32_t *same;       /* [edges]: the arrival of its own class in the state that it leaves; or -1 */
    int32_t *arrived;    /* [states + 1]: a state's arrivals */
    int32_t *shown;      /* [arrivals]: the class */
    int32_t *twin;       /* [arrivals]: the edge of its class that leaves the state, or -1 */
} edges;

static int64_t count_edges(const lenet_grammar *grammar, int32_t classes, int32_t blank)
{
    int64_t n = 0;
    for (int64_t s = 0; s < grammar->states; s++)
        for (int32_t c = 0; c < classes; c++) n += c != blank && grammar->next[s * classes + c] >= 0;
    return n;
}

static size_t whole(size_t bytes) { return (bytes + 15) & ~(size_t)15; }

size_t lenet_accept_workspace(const lenet_grammar *grammar, int32_t positions, int32_t classes,
                              int32_t blank)
{
    const size_t n = (size_t)count_edges(grammar, classes, blank), states = (size_t)grammar->states;
    return whole((5 * n + 2 * (states + 1) + (size_t)classes) * sizeof(int32_t))
           + (2 * states + (3 + (size_t)positions) * n + 2 * ((size_t)classes + 1)) * sizeof(wide);
}

/* Lists edges and arrivals; gives where the memory behind them begins. */
static void *list_edges(const lenet_grammar *grammar, int32_t classes, int32_t blank, edges *e,
                        void *workspace)
{
    const int32_t states = grammar->states;
    const int64_t n = count_edges(grammar, classes, blank);
    int32_t *room = workspace;
    e->n = (int32_t)n;
    e->first = room;
    e->arrived = e->first + states + 1;
    e->classes = e->arrived + states + 1;
    e->arrivals = e->classes + n;
    e->same = e->arrivals + n;
    e->shown = e->same + n;
    e->twin = e->shown + n;
    int32_t *by_class = e->twin + n;

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
    for (k = 0; k < e->n; k++) sorted[e->arrived[e->arrivals[k]]++] = k;
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
        for (int32_t a = begin; a < n_arrivals; a++) by_class[e->shown[a]] = -1;
    }
    e->arrived[states] = n_arrivals;
    e->n_arrivals = n_arrivals;
    return (char *)workspace
           + whole((5 * (size_t)n + 2 * ((size_t)states + 1) + (size_t)classes) * sizeof(int32_t));
}

/* Behind position t: what is in a state behind a blank, and at arrivals; and `in`, what comes to an
 * arrival from elsewhere at t. */
static void forward(const edges *e, int32_t states, int32_t blank, const wide *p, wide *behind,
                    wide *at, wide *in, wide *after)
{
    for (int32_t a = 0; a < e->n_arrivals; a++) in[a] = wide_zero;
    for (int32_t s = 0; s < states; s++) {
        const int32_t from = e->arrived[s], n = e->arrived[s + 1] - from;
        after[n] = wide_zero;
        for (int32_t i = n - 1; i >= 0; i--) after[i] = wide_add(after[i + 1], at[from + i]);
        const wide all = wide_add(behind[s], after[0]);
        if (all.v == 0.0) continue;
        wide before = behind[s];
        for (int32_t i = 0; i < n; i++) {
            const int32_t edge = e->twin[from + i];
            if (edge >= 0) {
                wide *to = &in[e->arrivals[edge]];
                *to = wide_add(*to, wide_add(before, after[i + 1]));
            }
            before = wide_add(before, at[from + i]);
        }
        for (int32_t edge = e->first[s]; edge < e->first[s + 1]; edge++)
            if (e->same[edge] < 0) in[e->arrivals[edge]] = wide_add(in[e->arrivals[edge]], all);
        behind[s] = wide_times(all, p[blank]);
    }
    for (int32_t a = 0; a < e->n_arrivals; a++) {
        const wide sum = wide_add(at[a], in[a]);
        at[a] = sum.v > 0.0 ? wide_times(sum, p[e->shown[a]]) : wide_zero;
    }
}

/* From behind position t to before it: how probable an accepted end is from a state behind a blank, and
 * from an arrival. `next` takes the arrivals' products at t, `out` those of a state's edges. */
static void backward(const edges *e, int32_t states, int32_t blank, const wide *p, wide *behind,
                     wide *at, wide *next, wide *after)
{
    for (int32_t a = 0; a < e->n_arrivals; a++)
        next[a] = at[a].v > 0.0 ? wide_times(at[a], p[e->shown[a]]) : wide_zero;
    for (int32_t s = 0; s < states; s++) {
        const int32_t from = e->first[s], n = e->first[s + 1] - from;
        after[n] = wide_zero;
        for (int32_t i = n - 1; i >= 0; i--)
            after[i] = wide_add(after[i + 1], next[e->arrivals[from + i]]);
        const wide stay = behind[s].v > 0.0 ? wide_times(behind[s], p[blank]) : wide_zero;
        const wide all = wide_add(stay, after[0]);
        for (int32_t a = e->arrived[s]; a < e->arrived[s + 1]; a++)
            if (e->twin[a] < 0) at[a] = wide_add(all, next[a]);
        wide before = stay;
        for (int32_t i = 0; i < n; i++) {
            const int32_t a = e->same[from + i];
            if (a >= 0) at[a] = wide_add(wide_add(before, after[i + 1]), next[a]);
            before = wide_add(before, next[e->arrivals[from + i]]);
        }
        behind[s] = all;
    }
}

lenet_status lenet_accept(const lenet_strip *strip, const lenet_grammar *grammar, wide *accepted,
                          double *births, void *workspace)
{
    const int32_t states = grammar->states, classes = strip->classes;
    const double work = 8.0 * states;
    edges e;
    wide *behind = list_edges(grammar, classes, strip->blank, &e, workspace);
    wide *at = behind + states, *next = at + e.n_arrivals, *after = next + e.n_arrivals;
    wide *in = after + classes + 1;  /* [positions][arrivals] */

    for (int32_t s = 0; s < states; s++) behind[s] = s ? wide_zero : wide_one;
    for (int32_t a = 0; a < e.n_arrivals; a++) at[a] = wide_zero;
    for (int32_t t = 0; t < strip->positions; t++) {
        if (lenet_stopped(strip->watch, 1, work + 8.0 * e.n)) return LENET_INTERRUPTED;
        forward(&e, states, strip->blank, strip->p + (ptrdiff_t)t * classes, behind, at,
                in + (ptrdiff_t)t * e.n_arrivals, after);
    }
    *accepted = wide_zero;
    for (int32_t s = 0; s < states; s++) {
        if (!grammar->accept[s]) continue;
        *accepted = wide_add(*accepted, behind[s]);
        for (int32_t a = e.arrived[s]; a < e.arrived[s + 1]; a++) *accepted = wide_add(*accepted, at[a]);
    }
    for (int64_t i = 0; i < (int64_t)strip->positions * classes; i++) births[i] = 0.0;
    if (accepted->v == 0.0) return LENET_OK;

    const wide inverse = wide_inverse(*accepted);
    for (int32_t s = 0; s < states; s++) {
        behind[s] = grammar->accept[s] ? wide_one : wide_zero;
        for (int32_t a = e.arrived[s]; a < e.arrived[s + 1]; a++) at[a] = behind[s];
    }
    for (int32_t t = strip->positions - 1; t >= 0; t--) {
        const wide *came = in + (ptrdiff_t)t * e.n_arrivals;
        if (lenet_stopped(strip->watch, 1, work + 16.0 * e.n)) return LENET_INTERRUPTED;
        backward(&e, states, strip->blank, strip->p + (ptrdiff_t)t * classes, behind, at, next, after);
        for (int32_t a = 0; a < e.n_arrivals; a++)
            births[(ptrdiff_t)t * classes + e.shown[a]] += wide_share(came[a], next[a], inverse);
    }
    return LENET_OK;
}
