/* Paths that spell one label.
 *
 * Their states: before, between and after the characters the blank, and each character: state 2i + 1 is
 * character i. From one position to the next a path stays, or goes on by one state, or from a character
 * to the next by two unless they are equal. Only states that can be reached by then, and from which the
 * end can still be reached, have any part in it. */
#include "strings/paths.h"

typedef struct chain {
    const int32_t *label;
    int32_t blank;
    int64_t positions, states;
} chain;

enum { PAD = 2 };  /* zeros beside a row, for a path that would come from outside */

static chain chain_of(const lenet_strip *s, const int32_t *label, int32_t length)
{
    return (chain){label, s->blank, s->positions, 2 * (int64_t)length + 1};
}

static int64_t first_state(const chain *c, int64_t t)
{
    const int64_t first = c->states - 2 - 2 * (c->positions - 1 - t);
    return first > 0 ? first : 0;
}

static int64_t last_state(const chain *c, int64_t t)
{
    return 2 * t + 1 < c->states - 1 ? 2 * t + 1 : c->states - 1;
}

static int32_t class_of(const chain *c, int64_t state)
{
    return state & 1 ? c->label[state >> 1] : c->blank;
}

/* Whether there is such a state, to which a path may come from two before. */
static int may_skip(const chain *c, int64_t state)
{
    return state & 1 && state > 1 && state < c->states
           && c->label[state >> 1] != c->label[(state >> 1) - 1];
}

/* ---- the sum ---------------------------------------------------------------------------------- */

static size_t row_of(int64_t states) { return (size_t)states + 2 * PAD; }

size_t lenet_label_memory(int32_t positions, int32_t length, int with_share)
{
    const size_t row = row_of(2 * (int64_t)length + 1), rows = with_share ? (size_t)positions + 1 : 1;
    return bytes_of(bytes_of(rows, row), sizeof(wide));
}

/* Probabilities of having come to each state; downward, so that `now` may be where `before` is. */
static void step_forward(const chain *c, int64_t t, const wide *p, const wide *before, wide *now)
{
    const int64_t first = first_state(c, t), last = last_state(c, t);
    const wide blank = p[c->blank];
    for (int64_t state = last; state >= first; state--) {
        wide sum = wide_add(before[state], before[state - 1]);
        if (may_skip(c, state)) sum = wide_add(sum, before[state - 2]);
        now[state] = wide_times(sum, state & 1 ? p[c->label[state >> 1]] : blank);
    }
}

/* From the probabilities of coming from each state at position t to the end, those a position before. */
static void step_backward(const chain *c, int64_t t, const wide *p, wide *after)
{
    const int64_t first = first_state(c, t), last = last_state(c, t);
    for (int64_t state = first; state <= last; state++)
        after[state] = wide_times(after[state], p[class_of(c, state)]);
    const int64_t least = first_state(c, t - 1), most = last_state(c, t - 1);
    for (int64_t state = least; state <= most; state++) {
        wide sum = wide_add(after[state], after[state + 1]);
        if (may_skip(c, state + 2)) sum = wide_add(sum, after[state + 2]);
        after[state] = sum;
    }
}

int lenet_label_sum(const lenet_strip *s, const int32_t *label, int32_t length, double weight,
                    void *memory, wide *sum, double *share)
{
    const chain c = chain_of(s, label, length);
    /* a row for what comes after, then one for each position; or one that is overwritten */
    const size_t row = row_of(c.states), step = share ? row : 0;
    const double work = 16.0 * (double)c.states;
    wide *const after = (wide *)memory + PAD, *const forward = after + step;
    for (int64_t t = 0; t < c.positions; t++) {
        wide *now = forward + (size_t)t * step;
        const int64_t last = last_state(&c, t);
        if (is_stopped(s, work)) return 0;
        for (int i = 1; i <= PAD; i++) now[-i] = now[last + i] = wide_zero;
        const wide *p = s->p + t * s->classes;
        if (t > 0) {
            step_forward(&c, t, p, now - step, now);
        } else {
            for (int64_t state = 0; state <= last; state++) now[state] = p[class_of(&c, state)];
        }
    }
    const wide *end = forward + ((size_t)c.positions - 1) * step + c.states - 1;
    *sum = wide_add(end[0], end[-1]);
    if (!share) return 1;

    const wide whole = wide_inverse(*sum);
    for (int64_t state = -PAD; state < c.states + PAD; state++) after[state] = wide_zero;
    after[c.states - 1] = wide_one;
    if (length > 0) after[c.states - 2] = wide_one;
    for (int64_t t = c.positions - 1; t >= 0; t--) {
        const wide *now = forward + (size_t)t * step;
        double *here = share + t * s->classes;
        if (is_stopped(s, work)) return 0;
        const int64_t last = last_state(&c, t);
        for (int64_t state = first_state(&c, t); state <= last; state++)
            here[class_of(&c, state)] += weight * wide_share(now[state], after[state], whole);
        if (t > 0) step_backward(&c, t, s->p + t * s->classes, after);
    }
    return 1;
}

/* ---- the best --------------------------------------------------------------------------------- */

size_t lenet_best_memory(int32_t positions, int32_t length)
{
    const size_t n = (size_t)positions, states = 2 * (size_t)length + 1;
    /* moves to the states within reach, most where half of the positions are blanks */
    return bytes_of(row_of((int64_t)states), sizeof(double)) + bytes_of(n, states < n + 4 ? states : n + 4);
}

int lenet_best_label_path(const lenet_strip *s, const int32_t *label, int32_t length, void *memory,
                          double *log_best, int32_t *shown)
{
    const chain c = chain_of(s, label, length);
    double *const best = (double *)memory + PAD;
    uint8_t *move = (uint8_t *)((double *)memory + row_of(c.states));
    for (int64_t state = -PAD; state < c.states + PAD; state++) best[state] = -INFINITY;
    for (int64_t t = 0; t < c.positions; t++) {
        const double *logs = s->logs + t * s->classes;
        const int64_t first = first_state(&c, t), last = last_state(&c, t);
        if (is_stopped(s, 4.0 * (double)c.states)) return 0;
        for (int64_t state = last; state >= first; state--) {  /* downward: those below are still old */
            /* of equal ones the first: that which was there before */
            int from = 0;
            if (best[state - 1] > best[state]) from = 1;
            if (may_skip(&c, state) && best[state - 2] > best[state - from]) from = 2;
            move[state - first] = (uint8_t)from;
            best[state] = (t ? best[state - from] : 0.0) + logs[class_of(&c, state)];
        }
        move += last - first + 1;
    }
    int64_t state = c.states - 1;
    if (best[state - 1] > best[state]) state--;
    *log_best = best[state];
    for (int64_t t = c.positions - 1; t >= 0; t--) {
        const int64_t first = first_state(&c, t);
        move -= last_state(&c, t) - first + 1;
        shown[t] = state & 1 ? (int32_t)(state >> 1) : -1;
        state -= move[state - first];
    }
    return 1;
}
