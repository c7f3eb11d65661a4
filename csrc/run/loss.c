/* The criteria of section II.C, and what is read off the outputs: loss, class, probability. */
#include <math.h>

#include "run/loss.h"
#include "sys/dust.h"

enum { KEPT = 128 };  /* classes whose exponentials are not taken twice */

/* What a loss says of one image, whose outputs y lie `step` floats apart. */
typedef struct verdict {
    double loss;
    int is_error;          /* the best class is another than the label */
    int kind, is_rbf;
    int64_t label;
    const double *targets; /* of the classes; NULL: 1 of the label's */
    const float *y;
    ptrdiff_t step;
    double scale;          /* of the evidence */
    double top, sum;       /* of the exponentials e^(evidence - top); the rubbish class's too */
    double kept[KEPT];
} verdict;

/* A class's evidence: its logit, or its penalty negated, scaled. */
static double evidence(const verdict *v, int32_t i)
{
    const double y = (double)v->y[i * v->step] * v->scale;
    return v->is_rbf ? -y : y;
}

static double exponential(const verdict *v, int32_t i)
{
    return i < KEPT ? v->kept[i] : exp(evidence(v, i) - v->top);
}

/* Sums the exponentials; gives log(e^-j + sum of e^evidence). j infinite: no rubbish class. */
static double add_up(verdict *v, int32_t classes, double j)
{
    v->top = -j;
    for (int32_t i = 0; i < classes; i++)
        v->top = evidence(v, i) > v->top ? evidence(v, i) : v->top;
    v->sum = isinf(j) ? 0.0 : exp(-j - v->top);
    for (int32_t i = 0; i < classes; i++) {
        const double e = exp(evidence(v, i) - v->top);
        if (i < KEPT) v->kept[i] = e;
        v->sum += e;
    }
    return v->top + log(v->sum);
}

static int32_t best_class(int is_rbf, int32_t classes, const float *y, ptrdiff_t step)
{
    int32_t best = 0;
    for (int32_t i = 1; i < classes; i++)
        if (is_rbf ? y[i * step] < y[best * step] : y[i * step] > y[best * step]) best = i;
    return best;
}

/* Whether they are what a loss takes as an image's targets. */
static int are_targets(const double *targets, int32_t classes)
{
    double sum = 0.0;
    for (int32_t i = 0; i < classes; i++) {
        if (!(targets[i] >= 0.0)) return 0;
        sum += targets[i];
    }
    return fabs(sum - 1.0) <= 1e-6;
}

lenet_status lenet_check_loss(const lenet_plan *plan, const lenet_loss *loss,
                              const int64_t *order, const int64_t *labels, int64_t n, double *weight)
{
    double sum = 0.0;
    if (loss->kind < LENET_MSE || loss->kind > LENET_CROSS_ENTROPY
        || (loss->kind == LENET_MAP && !(loss->j > 0.0))
        || (loss->kind != LENET_MSE && !(loss->temperature > 0.0 && isfinite(loss->temperature))))
        return LENET_BAD_ARGUMENT;
    for (int64_t i = 0; i < n; i++) {
        int64_t index = order ? order[i] : i, label = labels[index];
        if (label < 0 || label >= plan->classes) return LENET_BAD_LABEL;
        if (loss->weights && !(loss->weights[index] >= 0.0)) return LENET_BAD_ARGUMENT;
        if (loss->targets && !are_targets(lenet_targets_of(loss, index, plan->classes), plan->classes))
            return LENET_BAD_ARGUMENT;
        sum += lenet_weight_of(loss, index);
    }
    *weight = sum;
    return n == 0 || (sum > 0.0 && isfinite(sum)) ? LENET_OK : LENET_BAD_ARGUMENT;
}

/* A class's target. */
static double target(const verdict *v, int32_t i)
{
    return v->targets ? v->targets[i] : (double)(i == v->label);
}

/* Of linear outputs: how far one is from +1, where its target is 1, or -1. */
static double gap(const verdict *v, int32_t i) { return evidence(v, i) - (2.0 * target(v, i) - 1.0); }

/* The mean evidence by the targets; what no target asks for may be infinite. */
static double wanted(const verdict *v, int32_t classes)
{
    if (!v->targets) return evidence(v, (int32_t)v->label);
    double sum = 0.0;
    for (int32_t i = 0; i < classes; i++)
        if (v->targets[i] > 0.0) sum += v->targets[i] * evidence(v, i);
    return sum;
}

/* index: of the image's label, and of its targets. */
static void judge(const lenet_loss *loss, int is_rbf, int32_t classes, const float *y, ptrdiff_t step,
                  int64_t label, int64_t index, verdict *v)
{
    v->kind = loss->kind;
    v->is_rbf = is_rbf;
    v->label = label;
    v->targets = lenet_targets_of(loss, index, classes);
    v->y = y;
    v->step = step;
    v->scale = lenet_loss_scale(loss);
    v->is_error = best_class(is_rbf, classes, y, step) != label;
    if (loss->kind == LENET_MSE) {
        v->loss = is_rbf ? -wanted(v, classes) : 0.0;
        for (int32_t i = 0; i < classes && !is_rbf; i++) v->loss += gap(v, i) * gap(v, i);
    } else {
        const double j = loss->kind == LENET_MAP ? loss->j : INFINITY;
        const double all = add_up(v, classes, j);
        v->loss = all - wanted(v, classes);
    }
}

/* Of a class, without the rubbish class's; the squared error has none. */
static double probability(const verdict *v, int32_t i)
{
    return v->kind == LENET_MSE ? 0.0 : exponential(v, i) / v->sum;
}

/* The derivative of the loss by output i, for which y[i] must be as it was. */
static double slope(const verdict *v, int32_t i)
{
    if (v->kind == LENET_MSE) return v->is_rbf ? target(v, i) : 2.0 * gap(v, i);
    const double by_evidence = (exponential(v, i) / v->sum - target(v, i)) * v->scale;
    return v->is_rbf ? -by_evidence : by_evidence;
}

void lenet_lose(batch *b, int64_t block, int64_t i, float *y, ptrdiff_t step)
{
    const int64_t index = index_of(b, i);
    const double weight = lenet_weight_of(b->loss, index);
    verdict v;
    if (weight == 0.0) {  /* also where its loss is not finite */
        for (int32_t c = 0; c < b->plan->classes; c++) y[c * step] = 0.0f;
        return;
    }
    judge(b->loss, b->plan->gives_penalties, b->plan->classes, y, step, b->labels[index], index, &v);
    b->block_loss[block] += weight * v.loss;
    b->block_errors[block] += v.is_error;
    for (int32_t c = 0; c < b->plan->classes; c++)
        y[c * step] = without_dust(weight * slope(&v, c) / b->weight);
}

void lenet_lose_twice(const batch *b, int64_t i, float *y, ptrdiff_t step, double *p, double *t)
{
    const double least = 1e-20;  /* less, times a square, would be denormal, and slow */
    const int64_t index = index_of(b, i);
    const double weight = lenet_weight_of(b->loss, index);
    verdict v;
    judge(b->loss, b->plan->gives_penalties, b->plan->classes, y, step, b->labels[index], index, &v);
    for (int32_t c = 0; c < b->plan->classes; c++) {
        p[c] = probability(&v, c);
        t[c] = target(&v, c);
        if (v.is_rbf) continue;
        const double d2
            = weight * (v.kind == LENET_MSE ? 2.0 : p[c] * (1.0 - p[c]) * v.scale * v.scale);
        y[c * step] = d2 < least ? 0.0f : (float)d2;
    }
}

lenet_status lenet_score(const lenet_plan *plan, const float *outputs, const int64_t *labels,
                         int64_t n, const lenet_loss *loss, lenet_report *report)
{
    double sum = 0.0, all;
    int64_t n_errors = 0;
    lenet_status status = lenet_check_loss(plan, loss, NULL, labels, n, &all);
    if (status != LENET_OK) return status;
    for (int64_t i = 0; i < n; i++) {
        const double weight = lenet_weight_of(loss, i);
        verdict v;
        if (weight == 0.0) continue;
        judge(loss, plan->gives_penalties, plan->classes, outputs + i * plan->classes, 1, labels[i], i,
              &v);
        sum += weight * v.loss;
        n_errors += v.is_error;
    }
    report->loss = n ? sum / all : 0.0;
    report->n_errors = n_errors;
    return LENET_OK;
}

void lenet_classify(const lenet_plan *plan, const float *outputs, int64_t n, int64_t *classes)
{
    for (int64_t i = 0; i < n; i++)
        classes[i] = best_class(plan->gives_penalties, plan->classes, outputs + i * plan->classes, 1);
}

void lenet_probabilities(const lenet_plan *plan, const float *outputs, int64_t n,
                         double temperature, float *probabilities)
{
    verdict v;
    v.is_rbf = plan->gives_penalties;
    v.step = 1;
    v.scale = 1.0 / temperature;
    for (int64_t i = 0; i < n; i++, probabilities += plan->classes) {
        v.y = outputs + i * plan->classes;
        add_up(&v, plan->classes, INFINITY);
        for (int32_t c = 0; c < plan->classes; c++)
            probabilities[c] = (float)(exponential(&v, c) / v.sum);
    }
}

int64_t lenet_first_not_finite(const float *values, int64_t n)
{
    /* whole chunks first, by a sum that the compiler can vectorise: 0 * x is NaN for a bad x */
    enum { CHUNK = 1024 };
    for (int64_t from = 0; from < n; from += CHUNK) {
        int64_t to = from + CHUNK < n ? from + CHUNK : n;
        float probe[8] = {0};
        int64_t i = from;
        for (; i + 8 <= to; i += 8)
            for (int k = 0; k < 8; k++) probe[k] += values[i + k] * 0.0f;
        for (; i < to; i++) probe[0] += values[i] * 0.0f;
        for (int k = 1; k < 8; k++) probe[0] += probe[k];
        if (probe[0] == 0.0f) continue;
        for (i = from; i < to; i++)
            if (!isfinite(values[i])) return i;
    }
    return n;
}
