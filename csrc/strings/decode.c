/* Best path, and prefix beam search with a grammar.
 *
 * The beam holds beginnings of strings. Of each it knows the sum over the paths that spell it so far,
 * those that end with a blank apart from those that show its last character: the same character can
 * follow as another one only behind a blank. The beginnings are nodes of a tree, so that one that is
 * reached from two sides is one, and what left the beam is found again. Those are kept that hope for
 * most: the sum over their paths times that over what accepted endings add to them, where these were
 * summed (endings.c), else the former alone. */
#include <math.h>
#include <string.h>

#include "strings/endings.h"

static const double LITTLE = 1e-6; /* share of the best, below which others are left alone */
static const double LEAST_SUM = 1e-250;  /* beside which what underflows does not count */
static const int32_t NEVER = INT32_MAX / 2;

/* ---- probabilities -------------------------------------------------------------------------------- */

/* Gives log of the sum of e^evidence, and the best class; NaN if some is not finite. powers: NULL, or to
 * take e^(evidence - the best), 0 for what does not count beside 1. */
static double log_sum(const float *evidence, int32_t classes, int32_t *best, double *powers)
{
    double sum = 0.0;
    float finite = 0.0f;
    *best = 0;
    for (int32_t c = 1; c < classes; c++)
        if (evidence[c] > evidence[*best]) *best = c;
    for (int32_t c = 0; c < classes; c++) {
        const double behind = (double)evidence[c] - (double)evidence[*best];
        const double power = behind > -45.0 ? exp(behind) : 0.0;
        finite += evidence[c] * 0.0f;
        sum += power;
        if (powers) powers[c] = power;
    }
    return finite == 0.0f ? (double)evidence[*best] + log(sum) : NAN;
}

/* The softmax of a position and its logarithms; returns log_sum. */
static double softmax(const float *evidence, int32_t classes, wide *p, double *logs)
{
    int32_t best;
    const double sum = log_sum(evidence, classes, &best, logs), most = exp((double)evidence[best] - sum);
    for (int32_t c = 0; c < classes; c++) {
        const double power = logs[c], log_p = (double)evidence[c] - sum;
        logs[c] = wide_reach(log_p);
        p[c] = power > 0.0 ? (wide){power * most, 0} : wide_exp(logs[c]);
    }
    return sum;
}

/* The positions where character i may stand when the others stand in their spans: first .. end - 1. */
static void find_place(const int32_t *spans, int32_t length, int32_t i, int32_t positions,
                       int32_t *first, int32_t *end)
{
    *first = i ? spans[2 * i - 1] + 1 : 0;
    *end = i + 1 < length ? spans[2 * i + 2] : positions;
}

/* How probable it is that a character of the class begins in these positions, which are independent of
 * each other when nothing is known of the string; sums: log_sum of each position. */
static double begins(const float *evidence, int32_t classes, const double *sums, int32_t c,
                     int32_t first, int32_t end)
{
    double total = 0.0, before = 0.0;
    if (first > 0) before = exp((double)evidence[(ptrdiff_t)(first - 1) * classes + c] - sums[first - 1]);
    for (int32_t t = first; t < end; t++) {
        const double p = exp((double)evidence[(ptrdiff_t)t * classes + c] - sums[t]);
        total += p * (1.0 - before);
        before = p;
    }
    return total < 1.0 ? total : 1.0;
}

lenet_status lenet_best_path(const float *evidence, int32_t positions, int32_t classes, int32_t blank,
                             lenet_decoded *strings, double *room)
{
    int32_t n = 0, last = blank;
    double log_p = 0.0;
    if (positions < 0 || classes < 1 || blank < 0 || blank >= classes) return LENET_BAD_ARGUMENT;
    for (int32_t t = 0; t < positions; t++) {
        int32_t best;
        room[t] = log_sum(evidence + (ptrdiff_t)t * classes, classes, &best, NULL);
        if (isnan(room[t])) return LENET_NOT_FINITE;
        log_p += (double)evidence[(ptrdiff_t)t * classes + best] - room[t];
        if (best != blank && best != last) {
            strings->string[n] = best;
            strings->span[2 * n] = t;
            n++;
        }
        if (best != blank) strings->span[2 * n - 1] = t;
        last = best;
    }
    for (int32_t i = 0; i < n; i++) {
        int32_t first, end;
        find_place(strings->span, n, i, positions, &first, &end);
        strings->confidence[i] = begins(evidence, classes, room, strings->string[i], first, end);
    }
    strings->n = 1;
    strings->log_accepted = 0.0;
    strings->log_probability[0] = log_p;
    strings->length[0] = n;
    return LENET_OK;
}

/* ---- how far it is to an accepted end ------------------------------------------------------------- */

/* Of a state: positions that an accepted end takes, the class that it begins with, and what it takes if
 * it begins with another. */
enum { POSITIONS, CLASS, OTHERWISE, LEAST };

/* Positions to an end behind a character of class `last`, which a blank parts from its like; -1: behind
 * a blank. */
static int32_t to_end(const int32_t *least, int32_t last)
{
    if (last < 0 || last != least[CLASS]) return least[POSITIONS];
    return least[POSITIONS] + 1 < least[OTHERWISE] ? least[POSITIONS] + 1 : least[OTHERWISE];
}

lenet_status lenet_grammar_least(const lenet_grammar *grammar, int32_t classes, int32_t blank,
                                 int32_t *least)
{
    lenet_watch watch;
    lenet_watch_host(&watch);
    if (classes < 1 || blank < 0 || blank >= classes || !lenet_is_grammar(grammar, classes, blank))
        return LENET_BAD_ARGUMENT;
    for (int64_t s = 0; s < grammar->states; s++) {
        least[LEAST * s + POSITIONS] = least[LEAST * s + OTHERWISE] = grammar->accept[s] ? 0 : NEVER;
        least[LEAST * s + CLASS] = -1;
    }
    for (int changed = 1; changed;) {  /* states that are numbered from the first on take few rounds */
        changed = 0;
        for (int64_t s = grammar->states - 1; s >= 0; s--) {
            int32_t best = NEVER, other = NEVER, class = -1;
            if (grammar->accept[s]) continue;
            if (lenet_stopped(&watch, 1, 2.0 * classes)) return LENET_INTERRUPTED;
            for (int32_t c = 0; c < classes; c++) {
                const int64_t to = grammar->next[s * classes + c];
                if (c == blank || to < 0) continue;
                const int32_t end = to_end(least + LEAST * to, c);
                const int32_t n = end < NEVER ? end + 1 : NEVER;
                if (n < best) {
                    other = best;
                    best = n;
                    class = c;
                } else if (n < other) {
                    other = n;
                }
            }
            int32_t *own = least + LEAST * s;
            changed |= best != own[POSITIONS] || other != own[OTHERWISE] || class != own[CLASS];
            own[POSITIONS] = best;
            own[CLASS] = class;
            own[OTHERWISE] = other;
        }
    }
    return LENET_OK;
}

/* ---- the beam ------------------------------------------------------------------------------------- */

/* A beginning of a string. */
typedef struct node {
    int32_t parent, child, sibling;  /* or -1 */
    int32_t class, state, arrival;
    int32_t slot;                    /* in the beam, or -1 */
} node;

/* Its place in the beam. */
typedef struct entry {
    wide behind, shown, all;  /* sums over its paths that end with a blank, with its last character; both */
    wide hope;
    int32_t from;             /* the slot before: its own, or that which a class follows */
    int32_t class;            /* that class, or -1 */
    int32_t node;
    int64_t rank;             /* the first of equal ones stays */
} entry;

typedef struct beam {
    const lenet_decoder *d;
    node *nodes;
    int32_t n_nodes;
    entry *now, *next;   /* the likeliest first; a heap, the worst first */
    int32_t n, n_next;
    uint8_t *taken;      /* [classes] */
    const lenet_endings *endings;  /* or NULL */
    const double *ends;  /* of these, behind the position */
} beam;

static int is_less(wide a, wide b)
{
    if (a.k == b.k) return a.v < b.v;
    if (a.k - b.k == 1) return a.v * WIDE_UNIT < b.v;
    if (b.k - a.k == 1) return a.v < b.v * WIDE_UNIT;
    return a.k < b.k;
}

static int is_better(const entry *a, const entry *b)
{
    if (is_less(b->hope, a->hope)) return 1;
    return !is_less(a->hope, b->hope) && a->rank < b->rank;
}

/* Moves the entry at i down a heap of n. */
static void sink(entry *heap, int32_t n, int32_t i)
{
    const entry moved = heap[i];
    for (int32_t below; (below = 2 * i + 1) < n; i = below) {
        if (below + 1 < n && is_better(&heap[below], &heap[below + 1])) below++;
        if (!is_better(&moved, &heap[below])) break;
        heap[i] = heap[below];
    }
    heap[i] = moved;
}

static void offer(beam *b, const entry *candidate)
{
    entry *heap = b->next;
    if (b->n_next < b->d->beam) {
        int32_t i = b->n_next++;
        for (int32_t above; i > 0; i = above) {
            above = (i - 1) / 2;
            if (!is_better(&heap[above], candidate)) break;
            heap[i] = heap[above];
        }
        heap[i] = *candidate;
    } else if (is_better(candidate, &heap[0])) {
        heap[0] = *candidate;
        sink(heap, b->n_next, 0);
    }
}

/* Whether a string can come to an accepted end in the positions left. */
static int can_end(const lenet_decoder *d, int32_t state, int32_t last, int32_t left)
{
    return !d->grammar || to_end(d->least + LEAST * (ptrdiff_t)state, last) <= left;
}

static int32_t arrival_at(const beam *b, int32_t state, int32_t c)
{
    return b->endings ? b->endings->arrival_of[(ptrdiff_t)state * b->d->classes + c] : -1;
}

static wide times_ending(const beam *b, wide paths, int32_t place)
{
    const double end = b->ends[place];
    if (end == 0.0) return wide_zero;
    return wide_times(paths, end < 0x1p-256 ? (wide){end * WIDE_UNIT, -1} : (wide){end, 0});
}

static int32_t state_after(const lenet_decoder *d, int32_t state, int32_t c)
{
    return d->grammar ? d->grammar->next[(ptrdiff_t)state * d->classes + c] : 0;
}

/* The paths behind which class c is a new character. */
static wide before_class(const beam *b, const entry *e, int32_t c)
{
    return b->nodes[e->node].class == c ? e->behind : e->all;
}

/* The node of a class behind another: the one that is there, or a new one. */
static int32_t follow(beam *b, int32_t parent, int32_t c)
{
    int32_t i = b->nodes[parent].child;
    while (i >= 0 && b->nodes[i].class != c) i = b->nodes[i].sibling;
    if (i >= 0) return i;
    const int32_t state = state_after(b->d, b->nodes[parent].state, c);
    i = b->n_nodes++;
    b->nodes[i] = (node){.parent = parent, .child = -1, .sibling = b->nodes[parent].child, .class = c,
                         .state = state, .arrival = arrival_at(b, state, c), .slot = -1};
    b->nodes[parent].child = i;
    return i;
}

/* What stays the same string. */
static void stay(beam *b, const wide *p, int32_t left)
{
    for (int32_t i = 0; i < b->n; i++) {
        const entry *e = &b->now[i];
        const node *n = &b->nodes[e->node];
        entry same = {.behind = wide_times(e->all, p[b->d->blank]), .shown = wide_zero, .from = i,
                      .class = -1, .rank = i};
        if (!can_end(b->d, n->state, -1, left)) continue;
        if (n->class >= 0) {
            const int32_t slot = b->nodes[n->parent].slot;
            same.shown = e->shown;
            if (slot >= 0) same.shown = wide_add(same.shown, before_class(b, &b->now[slot], n->class));
            if (same.shown.v > 0.0) same.shown = wide_times(same.shown, p[n->class]);
        }
        same.all = same.hope = wide_add(same.behind, same.shown);
        if (b->endings) {
            same.hope = times_ending(b, same.behind, n->state);
            if (same.shown.v > 0.0)
                same.hope = wide_add(same.hope,
                                     times_ending(b, same.shown, b->endings->states + n->arrival));
        }
        offer(b, &same);
    }
}

/* What becomes one character longer, other than to a string of the beam. top: the likeliest class. */
static void grow(beam *b, const wide *p, wide top, int32_t left)
{
    const int32_t classes = b->d->classes;
    for (int32_t i = 0; i < b->n; i++) {
        const entry *e = &b->now[i];
        const node *n = &b->nodes[e->node];
        const wide most = b->endings ? e->hope : wide_times(e->all, top);
        /* none of these, nor of those that follow, would come in */
        if (b->n_next == b->d->beam && !is_less(b->next[0].hope, most)) break;
        for (int32_t j = n->child; j >= 0; j = b->nodes[j].sibling)
            if (b->nodes[j].slot >= 0) b->taken[b->nodes[j].class] = 1;
        for (int32_t c = 0; c < classes; c++) {
            if (c == b->d->blank || b->taken[c]) continue;
            const wide from = before_class(b, e, c);
            if (from.v == 0.0) continue;
            const int32_t state = state_after(b->d, n->state, c);
            if (state < 0) continue;
            const wide shown = wide_times(from, p[c]);
            const wide hope =
                b->endings ? times_ending(b, shown, b->endings->states + arrival_at(b, state, c))
                           : shown;
            if (b->n_next == b->d->beam && !is_less(b->next[0].hope, hope)) continue;
            if (!can_end(b->d, state, c, left)) continue;
            const entry longer = {.behind = wide_zero, .shown = shown, .all = shown, .hope = hope,
                                  .from = i, .class = c,
                                  .rank = b->d->beam + (int64_t)i * classes + c};
            offer(b, &longer);
        }
        for (int32_t j = n->child; j >= 0; j = b->nodes[j].sibling) b->taken[b->nodes[j].class] = 0;
    }
}

/* Goes over to the entries that were kept, the likeliest first. */
static void turn(beam *b)
{
    entry *next = b->next;
    for (int32_t n = b->n_next; n > 1;) {
        const entry worst = next[0];
        next[0] = next[--n];
        sink(next, n, 0);
        next[n] = worst;
    }
    /* with all endings known, beginnings that hope for next to nothing do not catch up */
    while (b->endings && b->n_next > b->d->n_best
           && is_less(next[b->n_next - 1].hope, wide_times(next[0].hope, (wide){LITTLE, 0})))
        b->n_next--;
    for (int32_t i = 0; i < b->n; i++) b->nodes[b->now[i].node].slot = -1;
    for (int32_t i = 0; i < b->n_next; i++) {
        next[i].node = b->now[next[i].from].node;
        if (next[i].class >= 0) next[i].node = follow(b, next[i].node, next[i].class);
        b->nodes[next[i].node].slot = i;
    }
    b->next = b->now;
    b->now = next;
    b->n = b->n_next;
    b->n_next = 0;
}

static lenet_status search(beam *b, const lenet_strip *strip)
{
    const lenet_decoder *d = b->d;
    b->nodes[0] = (node){.parent = -1, .child = -1, .sibling = -1, .class = -1, .arrival = -1};
    b->n_nodes = 1;
    b->now[0] = (entry){.behind = wide_one, .shown = wide_zero, .all = wide_one, .hope = wide_one};
    b->n = can_end(d, 0, -1, strip->positions);
    b->n_next = 0;
    memset(b->taken, 0, (size_t)d->classes);
    for (int32_t t = 0; t < strip->positions && b->n; t++) {
        const wide *p = strip->p + (ptrdiff_t)t * d->classes;
        const int32_t left = strip->positions - 1 - t;
        wide top = wide_zero;
        for (int32_t c = 0; c < d->classes; c++)
            if (c != d->blank && is_less(top, p[c])) top = p[c];
        if (is_stopped(strip, 8.0 * b->n * d->classes)) return LENET_INTERRUPTED;
        if (b->endings)
            b->ends = b->endings->behind
                      + (ptrdiff_t)(t + 1) * (b->endings->states + b->endings->n_arrivals);
        stay(b, p, left);
        grow(b, p, top, left);
        turn(b);
    }
    return LENET_OK;
}

/* ---- the strings that it found -------------------------------------------------------------------- */

typedef struct found {
    wide p;
    int32_t length;
    int32_t *string, *spans;  /* [positions], [positions][2] */
} found;

static int comes_first(const found *a, const found *b)
{
    if (is_less(b->p, a->p)) return 1;
    if (is_less(a->p, b->p)) return 0;
    for (int32_t i = 0; i < a->length && i < b->length; i++)
        if (a->string[i] != b->string[i]) return a->string[i] < b->string[i];
    return a->length < b->length;
}

static int32_t most_looked_at(const lenet_decoder *d)
{
    const int32_t wanted = d->n_best > 8 ? 2 * d->n_best : 16;
    return wanted < d->beam ? wanted : d->beam;
}

/* Strings that may come to be among the wanted ones when they are summed anew, or of which a character's
 * share is taken. */
static int32_t n_looked_at(const beam *b)
{
    int32_t n = 0;
    if (b->n == 0) return 0;
    const double close = b->d->grammar && !b->endings ? LITTLE : 0.1;
    const wide least = wide_times(b->now[0].all, (wide){close, 0});
    for (; n < b->n && n < most_looked_at(b->d); n++)
        if (n >= b->d->n_best && is_less(b->now[n].all, least)) break;
    return n;
}

/* The beam's sums lack the paths of beginnings that it left out, so these are taken anew. */
static lenet_status take(const beam *b, const lenet_strip *strip, found *strings, int32_t n, void *room)
{
    for (int32_t i = 0; i < n; i++) {
        found one = strings[i];
        const node *last = &b->nodes[b->now[i].node];
        one.length = 0;
        for (const node *k = last; k->parent >= 0; k = &b->nodes[k->parent]) one.length++;
        for (int32_t j = one.length; j > 0; last = &b->nodes[last->parent]) one.string[--j] = last->class;
        one.p = wide_one;
        if (strip->positions && !lenet_label_sum(strip, one.string, one.length, 0.0, room, &one.p, NULL))
            return LENET_INTERRUPTED;
        int32_t j = i;
        for (; j > 0 && comes_first(&one, &strings[j - 1]); j--) strings[j] = strings[j - 1];
        strings[j] = one;
    }
    return LENET_OK;
}

/* Where a string's characters stand on its likeliest path: the first and the last position of each. */
static lenet_status align(const lenet_strip *strip, found *f, int32_t *shown, void *room)
{
    double log_best;
    if (f->length == 0) return LENET_OK;
    if (!lenet_best_label_path(strip, f->string, f->length, room, &log_best, shown))
        return LENET_INTERRUPTED;
    for (int32_t t = 0; t < strip->positions; t++) {
        const int32_t i = shown[t];
        if (i < 0) continue;
        if (t == 0 || shown[t - 1] != i) f->spans[2 * i] = t;
        f->spans[2 * i + 1] = t;
    }
    return LENET_OK;
}

/* The share of the strings of which one of class c begins in a place. */
static double share(const found *strings, int32_t n, int32_t c, int32_t first, int32_t end)
{
    const wide most = wide_inverse(strings[0].p);
    double with = 0.0, all = 0.0;
    for (int32_t i = 0; i < n; i++) {
        const double p = wide_share(strings[i].p, wide_one, most);
        int has = 0;
        for (int32_t j = 0; j < strings[i].length; j++) {
            const int32_t begin = strings[i].spans[2 * j];
            has |= strings[i].string[j] == c && begin >= first && begin < end;
        }
        all += p;
        if (has) with += p;
    }
    return with / all;
}

/* ---- the call ------------------------------------------------------------------------------------- */

/* What lies in the workspace. */
typedef struct memory {
    wide *p;
    entry *now, *next;
    found *strings;
    double *logs, *sums, *births;
    node *nodes;
    int32_t *characters, *spans, *shown;
    uint8_t *taken;
    void *endings;
    void *rest;   /* for one string */
} memory;

/* Whether the memory's size can be counted, where sizes have 32 bits: it takes some 64 bytes for each of
 * these at most. */
static int fits(const lenet_decoder *d, int32_t positions)
{
    const double most = 1 << 23, edges = d->grammar ? (double)d->grammar->states * (d->classes + 1) : 0.0;
    const double strings = most_looked_at(d);
    return sizeof(size_t) > 4
           || ((double)positions + 4.0) * ((double)d->classes + d->beam + strings + edges) <= most;
}

static int is_right(const lenet_decoder *d, int32_t positions)
{
    return d->classes >= 1 && d->blank >= 0 && d->blank < d->classes && d->beam >= 1
           && d->beam <= LENET_MAX_BEAM && d->n_best >= 1 && d->n_best <= d->beam && positions >= 0
           && (int64_t)positions * d->beam < INT32_MAX && positions < INT32_MAX / 2 - 1
           && (!d->grammar || (d->grammar->states >= 1 && d->least)) && fits(d, positions);
}

static void *part(uintptr_t *end, size_t n, size_t size)
{
    const uintptr_t begin = *end;
    *end += (n * size + 15) & ~(size_t)15;
    return (void *)begin;
}

/* Lays the memory out from `base` on; gives the bytes that it takes. */
static size_t lay_out(const lenet_decoder *d, int32_t positions, memory *m,
                      uintptr_t base)
{
    const size_t t = (size_t)positions, c = (size_t)d->classes, beam = (size_t)d->beam;
    const size_t looked_at = (size_t)most_looked_at(d);
    uintptr_t end = base;
    m->p = part(&end, t * c, sizeof(wide));
    m->now = part(&end, beam, sizeof(entry));
    m->next = part(&end, beam, sizeof(entry));
    m->strings = part(&end, looked_at, sizeof(found));
    m->logs = part(&end, t * c, sizeof(double));
    m->sums = part(&end, t, sizeof(double));
    m->births = part(&end, d->grammar && d->total ? t * c : 0, sizeof(double));
    m->nodes = part(&end, t * beam + 1, sizeof(node));
    m->characters = part(&end, looked_at * t, sizeof(int32_t));
    m->spans = part(&end, looked_at * t, 2 * sizeof(int32_t));
    m->shown = part(&end, t, sizeof(int32_t));
    m->taken = part(&end, c, 1);
    const size_t endings = d->grammar && d->total
                               ? lenet_endings_workspace(d->grammar, positions, d->classes, d->blank) : 0;
    m->endings = part(&end, endings, 1);
    const size_t sum = lenet_label_memory(positions, positions, 0);
    const size_t path = lenet_best_memory(positions, positions);
    m->rest = part(&end, sum > path ? sum : path, 1);
    return end - base;
}

size_t lenet_decode_workspace(const lenet_decoder *decoder, int32_t positions)
{
    memory m;
    return is_right(decoder, positions) ? lay_out(decoder, positions, &m, 0) : 0;
}

/* births: of lenet_find_births, or NULL. */
static void confide(const lenet_decoder *d, const lenet_strip *strip, const memory *m,
                    const float *evidence, const double *births, int32_t n, lenet_decoded *out)
{
    for (int32_t k = 0; k < out->n; k++) {
        const found *f = &m->strings[k];
        double *confidence = out->confidence + (ptrdiff_t)k * strip->positions;
        for (int32_t i = 0; i < f->length; i++) {
            int32_t first, end;
            find_place(f->spans, f->length, i, strip->positions, &first, &end);
            if (!d->grammar) {
                confidence[i] = begins(evidence, d->classes, m->sums, f->string[i], first, end);
            } else if (births) {
                double sum = 0.0;
                for (int32_t t = first; t < end; t++)
                    sum += births[(ptrdiff_t)t * d->classes + f->string[i]];
                confidence[i] = sum < 1.0 ? sum : 1.0;
            } else {
                confidence[i] = share(m->strings, n, f->string[i], first, end);
            }
        }
    }
}

lenet_status lenet_decode(const lenet_decoder *d, const float *evidence, int32_t positions,
                          lenet_decoded *out, void *workspace, size_t size)
{
    memory m;
    lenet_watch watch;
    const int32_t classes = d->classes;
    if (!is_right(d, positions)) return LENET_BAD_ARGUMENT;
    const uintptr_t base = (uintptr_t)workspace;
    if (base % 16 || lay_out(d, positions, &m, base) > size) return LENET_NO_MEMORY;
    lenet_watch_host(&watch);
    const lenet_strip strip = {.positions = positions, .classes = classes, .blank = d->blank, .p = m.p,
                               .logs = m.logs, .watch = &watch};
    for (int32_t t = 0; t < positions; t++) {
        const ptrdiff_t i = (ptrdiff_t)t * classes;
        m.sums[t] = softmax(evidence + i, classes, m.p + i, m.logs + i);
        if (isnan(m.sums[t])) return LENET_NOT_FINITE;
    }

    beam b = {.d = d, .nodes = m.nodes, .now = m.now, .next = m.next, .taken = m.taken};
    lenet_endings endings;
    lenet_status status = LENET_OK;
    out->log_accepted = d->grammar ? NAN : 0.0;
    if (d->grammar && d->total) {
        status = lenet_find_endings(&strip, d->grammar, &endings, m.endings);
        if (status != LENET_OK) return status;
        if (endings.behind[0] >= LEAST_SUM) {
            status = lenet_find_births(&strip, &endings, m.births);
            if (status != LENET_OK) return status;
            out->log_accepted = log(endings.behind[0]);
            b.endings = &endings;
        }
    }
    status = search(&b, &strip);
    if (status != LENET_OK) return status;
    const int32_t n = n_looked_at(&b);
    for (int32_t i = 0; i < n; i++) {
        m.strings[i].string = m.characters + (ptrdiff_t)i * positions;
        m.strings[i].spans = m.spans + (ptrdiff_t)i * positions * 2;
    }
    status = take(&b, &strip, m.strings, n, m.rest);
    if (status != LENET_OK) return status;

    out->n = n < d->n_best ? n : d->n_best;
    if (d->grammar && n == 0) out->log_accepted = -INFINITY;
    const int all_are_compared = d->grammar && !b.endings;
    for (int32_t i = 0; i < (all_are_compared ? n : out->n); i++) {
        found *f = &m.strings[i];
        status = align(&strip, f, m.shown, m.rest);
        if (status != LENET_OK) return status;
        if (i >= out->n) continue;
        out->length[i] = f->length;
        out->log_probability[i] = wide_log(f->p) < 0.0 ? wide_log(f->p) : 0.0;
        memcpy(out->string + (ptrdiff_t)i * positions, f->string, (size_t)f->length * sizeof(int32_t));
        memcpy(out->span + (ptrdiff_t)i * positions * 2, f->spans,
               (size_t)f->length * 2 * sizeof(int32_t));
    }
    confide(d, &strip, &m, evidence, b.endings ? m.births : NULL, n, out);
    return LENET_OK;
}
