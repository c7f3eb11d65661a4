/* Paths that spell anything that a grammar accepts.
 *
 * Their states: the automaton's, each with the class that a path has just then: the blank's, or that of
 * the last character, which led to the automaton's state. The same class again is the same character; any
 * other goes on in the automaton. A row of probabilities is [states][classes]; most of it may be 0. */
#include "strings/paths.h"

typedef struct search {
    const lenet_strip *s;
    const lenet_grammar *grammar;
    /* characters from the first state to each, and from each to one that accepts; FAR: more than fit */
    int32_t *from_start, *to_end;
    wide *others;  /* [classes]: of a state, the sum of its row but one */
} search;

static const int32_t FAR = INT32_MAX - 1;

int lenet_is_grammar(const lenet_grammar *grammar, int32_t classes, int32_t blank)
{
    const int32_t *next = grammar->next;
    if (grammar->states < 1) return 0;
    for (int32_t s = 0; s < grammar->states; s++, next += classes)
        for (int32_t c = 0; c < classes; c++)
            if (c != blank && (next[c] < -1 || next[c] >= grammar->states)) return 0;
    return 1;
}

size_t lenet_grammar_memory(int32_t positions, int32_t classes, int32_t states)
{
    const size_t row = bytes_of((size_t)states, (size_t)classes);
    return bytes_of(bytes_of((size_t)positions + 2, row) + (size_t)classes, sizeof(wide))
           + bytes_of((size_t)states, 2 * sizeof(int32_t));
}

/* Whether a path may be in a state after position t: it can have come there, and can come to an end. */
static int is_live(const search *f, int32_t state, int32_t t)
{
    return f->from_start[state] <= t + 1 && f->to_end[state] <= f->s->positions - 1 - t;
}

static int32_t leads_to(const search *f, int32_t state, int32_t c)
{
    return c == f->s->blank ? -1 : f->grammar->next[(size_t)state * (size_t)f->s->classes + (size_t)c];
}

/* Makes each distance the least over the arcs once more; whether any changed. */
static int shorten(const search *f)
{
    const int32_t n = f->grammar->states;
    int changed = 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t back = n - 1 - i;  /* automata mostly lead from lower to higher states */
        for (int32_t c = 0; c < f->s->classes; c++) {
            const int32_t on = leads_to(f, i, c), from_back = leads_to(f, back, c);
            if (on >= 0 && f->from_start[i] + 1 < f->from_start[on]) {
                f->from_start[on] = f->from_start[i] + 1;
                changed = 1;
            }
            if (from_back >= 0 && f->to_end[from_back] + 1 < f->to_end[back]) {
                f->to_end[back] = f->to_end[from_back] + 1;
                changed = 1;
            }
        }
    }
    return changed;
}

static int measure_distances(const search *f)
{
    const lenet_grammar *g = f->grammar;
    for (int32_t i = 0; i < g->states; i++) {
        f->from_start[i] = i ? FAR : 0;
        f->to_end[i] = g->accept[i] ? 0 : FAR;
    }
    /* after as many rounds as there are positions, what is still wrong is too far to count */
    for (int32_t round = 0; round < f->s->positions && shorten(f); round++)
        if (is_stopped(f->s, 4.0 * g->states * f->s->classes)) return 0;
    return 1;
}

/* From values x of classes to `others`, the sums of all values but one, and the sum of all. (To take one
 * away from the sum would leave nothing where that is nearly all of it.) */
static wide add_others(const search *f, const wide *x)
{
    const int32_t n = f->s->classes;
    wide sum = wide_zero;
    for (int32_t c = 0; c < n; c++) {
        f->others[c] = sum;
        sum = wide_add(sum, x[c]);
    }
    const wide all = sum;
    sum = wide_zero;
    for (int32_t c = n - 1; c >= 0; c--) {
        f->others[c] = wide_add(f->others[c], sum);
        sum = wide_add(sum, x[c]);
    }
    return all;
}

/* A blank, or the rubbish class in its place. */
static wide blank_at(const lenet_strip *s, int32_t t)
{
    const wide p = s->p[(size_t)t * (size_t)s->classes + (size_t)s->blank];
    return s->rubbish ? wide_add(p, s->rubbish[t]) : p;
}

/* Probabilities of having come to each state after position t; before: those a position before. */
static void step_forward(const search *f, int32_t t, const wide *before, wide *now)
{
    const lenet_strip *s = f->s;
    const size_t n = (size_t)s->classes;
    const wide *p = s->p + (size_t)t * n;
    const wide blank = blank_at(s, t);
    for (size_t i = 0; i < (size_t)f->grammar->states * n; i++) now[i] = wide_zero;
    for (int32_t state = 0; state < f->grammar->states; state++) {
        if (!is_live(f, state, t - 1)) continue;
        const wide *row = before + (size_t)state * n;
        wide *stay = now + (size_t)state * n;
        const wide all = add_others(f, row);
        for (int32_t c = 0; c < s->classes; c++) {
            const int32_t on = leads_to(f, state, c);
            if (c == s->blank) stay[c] = wide_times(all, blank);
            else if (row[c].v > 0.0) stay[c] = wide_add(stay[c], wide_times(row[c], p[c]));
            if (on < 0 || !is_live(f, on, t)) continue;
            wide *go = now + (size_t)on * n + c;
            *go = wide_add(*go, wide_times(f->others[c], p[c]));
        }
    }
}

/* From the probabilities of coming from each state after position t to the end, those a position before,
 * to `before`. */
static void step_backward(const search *f, int32_t t, wide *after, wide *before)
{
    const lenet_strip *s = f->s;
    const size_t n = (size_t)s->classes;
    const wide *p = s->p + (size_t)t * n;
    const wide blank = blank_at(s, t);
    for (int32_t state = 0; state < f->grammar->states; state++) {
        if (!is_live(f, state, t)) continue;
        wide *row = after + (size_t)state * n;
        for (int32_t c = 0; c < s->classes; c++) row[c] = wide_times(row[c], c == s->blank ? blank : p[c]);
    }
    for (int32_t state = 0; state < f->grammar->states; state++) {
        const wide *stay = after + (size_t)state * n;
        wide *row = before + (size_t)state * n;
        const int live = is_live(f, state, t - 1);
        for (int32_t c = 0; c < s->classes; c++) {
            const int32_t on = live ? leads_to(f, state, c) : -1;
            row[c] = on < 0 ? wide_zero : after[(size_t)on * n + (size_t)c];
        }
        if (!live) continue;
        const wide all = add_others(f, row);
        for (int32_t c = 0; c < s->classes; c++)
            row[c] = wide_add(stay[s->blank], c == s->blank ? all : wide_add(stay[c], f->others[c]));
    }
}

/* Adds the shares of the classes at position t. */
static void share_out(const search *f, int32_t t, const wide *now, const wide *after, wide whole,
                      double weight, double *share)
{
    const lenet_strip *s = f->s;
    const size_t n = (size_t)s->classes;
    const wide p = s->p[(size_t)t * n + (size_t)s->blank];
    /* not of the rubbish class */
    const double of_blank = wide_share(p, wide_one, wide_inverse(blank_at(s, t)));
    for (int32_t state = 0; state < f->grammar->states; state++) {
        if (!is_live(f, state, t)) continue;
        for (size_t c = 0; c < n; c++) {
            const size_t i = (size_t)state * n + c;
            const double part = weight * wide_share(now[i], after[i], whole);
            share[c] += (int32_t)c == s->blank ? part * of_blank : part;
        }
    }
}

int lenet_grammar_sum(const lenet_strip *s, const lenet_grammar *grammar, double weight, void *memory,
                      double *log_sum, double *share)
{
    const size_t row = (size_t)grammar->states * (size_t)s->classes;
    const double work = 16.0 * (double)row;
    wide *const begin = memory;
    /* after a row for the end, those before the first position and after each */
    wide *after = begin, *const rows = begin + row;
    wide *const others = rows + ((size_t)s->positions + 1) * row;
    int32_t *const distances = (int32_t *)(others + s->classes);
    const search f = {s, grammar, distances, distances + grammar->states, others};
    if (!measure_distances(&f)) return 0;

    for (size_t i = 0; i < row; i++) rows[i] = wide_zero;
    rows[s->blank] = wide_one;
    for (int32_t t = 0; t < s->positions; t++) {
        if (is_stopped(s, work)) return 0;
        step_forward(&f, t, rows + (size_t)t * row, rows + ((size_t)t + 1) * row);
    }
    const wide *last = rows + (size_t)s->positions * row;
    wide sum = wide_zero;
    for (size_t i = 0; i < row; i++) {
        const int may_end = grammar->accept[i / (size_t)s->classes] != 0;
        after[i] = may_end ? wide_one : wide_zero;
        if (may_end) sum = wide_add(sum, last[i]);
    }
    *log_sum = wide_log(sum);
    if (!share) return 1;

    const wide whole = wide_inverse(sum);
    for (int32_t t = s->positions - 1; t >= 0; t--) {
        wide *now = rows + ((size_t)t + 1) * row;
        if (is_stopped(s, 2.0 * work)) return 0;
        share_out(&f, t, now, after, whole, weight, share + (size_t)t * (size_t)s->classes);
        step_backward(&f, t, after, now);  /* which is needed no more */
        after = now;
    }
    return 1;
}
