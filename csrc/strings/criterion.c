/* The criteria of strings: a strip's probabilities, the sums over its paths, loss and gradient. */
#include "strings/criterion.h"
#include "strings/paths.h"
#include "sys/dust.h"

static const double DEEP = -160.0;  /* e^DEEP, divided by a sum, is a wide number as it is */

/* Where things lie in a workspace. */
typedef struct areas {
    wide *p, *rubbish;
    double *share, *logs;
    int32_t *shown;
    void *paths;
    size_t size;
} areas;

static int has_grammar(const lenet_string_criterion *c)
{
    return c->kind == LENET_ALLOWED_PATHS && c->grammar;
}

static areas divide(const lenet_string_criterion *c, int32_t positions, int32_t classes, int32_t length,
                    void *workspace)
{
    const size_t values = bytes_of((size_t)positions, (size_t)classes);
    const int32_t fits = length < positions ? length : positions;
    const size_t sizes[] = {
        bytes_of(values, sizeof(wide)),
        has_grammar(c) ? bytes_of((size_t)positions, sizeof(wide)) : 0,
        bytes_of(values, sizeof(double)),
        c->kind == LENET_BEST_PATH ? bytes_of(values, sizeof(double)) : 0,
        c->kind == LENET_BEST_PATH ? bytes_of((size_t)positions / 2 + 1, sizeof(double)) : 0,
    };
    enum { PARTS = sizeof sizes / sizeof *sizes };
    size_t starts[PARTS + 1] = {0};
    for (int i = 0; i < PARTS; i++) starts[i + 1] = starts[i] + sizes[i];
    size_t paths = c->kind == LENET_BEST_PATH ? lenet_best_memory(positions, fits)
                                              : lenet_label_memory(positions, fits, 1);
    if (has_grammar(c)) {
        const size_t grammar = lenet_grammar_memory(positions, classes, c->grammar->states);
        paths = grammar > paths ? grammar : paths;
    }
    char *const at = workspace;
    areas a = {.size = starts[PARTS] + paths};
    if (!at) return a;
    a.p = (wide *)at;
    a.rubbish = sizes[1] ? (wide *)(at + starts[1]) : NULL;
    a.share = (double *)(at + starts[2]);
    a.logs = sizes[3] ? (double *)(at + starts[3]) : NULL;
    a.shown = sizes[4] ? (int32_t *)(at + starts[4]) : NULL;
    a.paths = at + starts[PARTS];
    return a;
}

size_t lenet_string_workspace(const lenet_string_criterion *criterion, int32_t positions,
                              int32_t classes, int32_t length)
{
    const lenet_grammar *g = criterion->grammar;
    if (positions < 1 || classes < 1 || length < 0 || (has_grammar(criterion) && g->states < 1)) return 0;
    return divide(criterion, positions, classes, length, NULL).size;
}

lenet_status lenet_check_criterion(const lenet_string_criterion *c, int32_t classes)
{
    if (c->kind < LENET_ALL_PATHS || c->kind > LENET_ALLOWED_PATHS || c->blank < 0 || c->blank >= classes
        || !isfinite(c->scale) || c->scale == 0.0 || !(c->j >= 0.0))
        return LENET_BAD_ARGUMENT;
    return !has_grammar(c) || lenet_is_grammar(c->grammar, classes, c->blank) ? LENET_OK : LENET_BAD_ARGUMENT;
}

lenet_status lenet_check_label(const lenet_string_criterion *c, int32_t positions, int32_t classes,
                               const int32_t *label, int32_t length)
{
    int64_t needed = length;
    for (int32_t i = 0; i < length; i++) {
        if (label[i] < 0 || label[i] >= classes || label[i] == c->blank) return LENET_BAD_LABEL;
        needed += i > 0 && label[i] == label[i - 1];
    }
    if (needed > positions) return LENET_TOO_SHORT;
    if (!has_grammar(c)) return LENET_OK;
    int32_t state = 0;
    for (int32_t i = 0; i < length && state >= 0; i++)
        state = c->grammar->next[(size_t)state * (size_t)classes + (size_t)label[i]];
    return state >= 0 && c->grammar->accept[state] ? LENET_OK : LENET_NOT_ALLOWED;
}

/* The softmax of one position; 0 if an output is not finite. rubbish and logs may be NULL. */
static int normalise(const float *outputs, int32_t classes, double scale, double j, wide *p,
                     wide *rubbish, double *logs)
{
    double top = -j;
    int finite = 1;
    for (int32_t c = 0; c < classes; c++) {
        const double x = outputs[c] * scale;
        p[c].v = x;
        finite &= isfinite(x) != 0;
        top = x > top ? x : top;
    }
    if (!finite) return 0;
    double sum = isinf(j) ? 0.0 : exp(-j - top), lowest = 0.0;
    for (int32_t c = 0; c < classes; c++) {
        const double behind = p[c].v - top;
        lowest = behind < lowest ? behind : lowest;
        p[c] = (wide){exp(behind), 0};
        sum += p[c].v;
    }
    const double share = 1.0 / sum;
    for (int32_t c = 0; c < classes; c++) p[c].v *= share;
    if (lowest >= DEEP && !rubbish && !logs) return 1;
    const double log_sum = log(sum);
    for (int32_t c = 0; c < classes; c++) {
        const double behind = outputs[c] * scale - top, log_p = wide_reach(behind - log_sum);
        if (behind < DEEP) p[c] = wide_exp(log_p);
        if (logs) logs[c] = log_p;
    }
    if (rubbish) *rubbish = isinf(j) ? wide_zero : wide_exp(wide_reach(-j - top - log_sum));
    return 1;
}

lenet_status lenet_lose_string(const lenet_string_criterion *criterion, const float *outputs,
                               int32_t positions, int32_t classes, const int32_t *label, int32_t length,
                               double *loss, float *gradient, void *workspace, size_t size,
                               lenet_watch *watch)
{
    if (positions < 1 || classes < 1 || length < 0) return LENET_BAD_ARGUMENT;
    lenet_status status = lenet_check_criterion(criterion, classes);
    if (status == LENET_OK) status = lenet_check_label(criterion, positions, classes, label, length);
    if (status != LENET_OK) return status;
    const areas a = divide(criterion, positions, classes, length, workspace);
    if (!workspace || size < a.size || (uintptr_t)workspace % sizeof(double)) return LENET_NO_MEMORY;

    const size_t n = (size_t)classes, values = (size_t)positions * n;
    for (size_t t = 0; t < (size_t)positions; t++)
        if (!normalise(outputs + t * n, classes, criterion->scale, criterion->j, a.p + t * n,
                       a.rubbish ? a.rubbish + t : NULL, a.logs ? a.logs + t * n : NULL))
            return LENET_NOT_FINITE;
    /* the derivative for the evidence: what all paths have less what the label's have */
    double *const share = gradient ? a.share : NULL;
    for (size_t i = 0; share && i < values; i++)
        share[i] = has_grammar(criterion) ? 0.0 : wide_share(a.p[i], wide_one, wide_one);

    const lenet_strip s = {positions, classes, criterion->blank, a.p, a.rubbish, a.logs, watch};
    double all = 0.0, right = 0.0;
    int done = 1;
    if (has_grammar(criterion))
        done = lenet_grammar_sum(&s, criterion->grammar, 1.0, a.paths, &all, share);
    if (done && criterion->kind == LENET_BEST_PATH) {
        done = lenet_best_label_path(&s, label, length, a.paths, &right, a.shown);
        for (size_t t = 0; done && share && t < (size_t)positions; t++)
            share[t * n + (size_t)(a.shown[t] < 0 ? s.blank : label[a.shown[t]])] -= 1.0;
    } else if (done) {
        wide sum;
        done = lenet_label_sum(&s, label, length, -1.0, a.paths, &sum, share);
        if (done) right = wide_log(sum);
    }
    if (!done) return LENET_INTERRUPTED;
    *loss = all - right;
    for (size_t i = 0; share && i < values; i++) gradient[i] = without_dust(share[i] * criterion->scale);
    return LENET_OK;
}

lenet_status lenet_string_loss(const lenet_string_criterion *criterion, const float *outputs,
                               int32_t positions, int32_t classes, const int32_t *label, int32_t length,
                               double *loss, float *gradient, void *workspace, size_t size)
{
    lenet_watch watch;
    lenet_watch_host(&watch);
    return lenet_lose_string(criterion, outputs, positions, classes, label, length, loss, gradient,
                             workspace, size, &watch);
}
