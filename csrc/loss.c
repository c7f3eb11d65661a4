/* The criteria of section II.C, and what is read off the outputs: loss, class, probability. */
#include <math.h>

#include "network.h"

/* log(e^-j + sum of e^z); z becomes e^z / (that sum). j infinite: no rubbish class. */
static double softmax(double *z, int32_t n, double j)
{
    double top = -j, sum;
    for (int32_t i = 0; i < n; i++) top = z[i] > top ? z[i] : top;
    sum = isinf(j) ? 0.0 : exp(-j - top);
    for (int32_t i = 0; i < n; i++) {
        z[i] = exp(z[i] - top);
        sum += z[i];
    }
    for (int32_t i = 0; i < n; i++) z[i] /= sum;
    return top + log(sum);
}

static int32_t best_class(int is_rbf, int32_t classes, const float *y)
{
    int32_t best = 0;
    for (int32_t i = 1; i < classes; i++)
        if (is_rbf ? y[i] < y[best] : y[i] > y[best]) best = i;
    return best;
}

lenet_status lenet_check_loss(const lenet_plan *plan, const lenet_loss *loss,
                              const int64_t *order, const int64_t *labels, int64_t n)
{
    if (loss->kind < LENET_MSE || loss->kind > LENET_CROSS_ENTROPY
        || (loss->kind == LENET_MAP && !(loss->j > 0.0)))
        return LENET_BAD_ARGUMENT;
    for (int64_t i = 0; i < n; i++) {
        int64_t label = labels[ordered(order, i)];
        if (label < 0 || label >= plan->classes) return LENET_BAD_LABEL;
    }
    return LENET_OK;
}

double lenet_loss_of_one(const lenet_loss *loss, int is_rbf, int32_t classes, const float *y,
                         int64_t label, double *dy, int *is_error)
{
    /* evidence z: logits, or negated penalties; dE/dy = sign dE/dz */
    const double sign = is_rbf ? -1.0 : 1.0;
    double z[LENET_MAX_MAPS], value;
    for (int32_t i = 0; i < classes; i++) z[i] = sign * (double)y[i];
    *is_error = best_class(is_rbf, classes, y) != label;

    if (loss->kind == LENET_MSE) {
        value = is_rbf ? y[label] : 0.0;
        for (int32_t i = 0; i < classes; i++) {
            double gap = is_rbf ? 0.0 : z[i] - (i == label ? 1.0 : -1.0);
            value += gap * gap;
            if (dy) dy[i] = is_rbf ? (double)(i == label) : 2.0 * gap;
        }
    } else {
        double j = loss->kind == LENET_MAP ? loss->j : INFINITY;
        double right = z[label];
        value = softmax(z, classes, j) - right;
        if (dy)
            for (int32_t i = 0; i < classes; i++) dy[i] = sign * (z[i] - (double)(i == label));
    }
    return value;
}

lenet_status lenet_score(const lenet_plan *plan, const float *outputs, const int64_t *labels,
                         int64_t n, const lenet_loss *loss, lenet_report *report)
{
    double sum = 0.0;
    int64_t n_errors = 0;
    lenet_status status = lenet_check_loss(plan, loss, NULL, labels, n);
    if (status != LENET_OK) return status;
    for (int64_t i = 0; i < n; i++) {
        int is_error;
        sum += lenet_loss_of_one(loss, plan_is_rbf(plan), plan->classes,
                                 outputs + i * plan->classes, labels[i], NULL, &is_error);
        n_errors += is_error;
    }
    report->loss = n ? sum / (double)n : 0.0;
    report->n_errors = n_errors;
    return LENET_OK;
}

void lenet_classify(const lenet_plan *plan, const float *outputs, int64_t n, int64_t *classes)
{
    for (int64_t i = 0; i < n; i++)
        classes[i] = best_class(plan_is_rbf(plan), plan->classes, outputs + i * plan->classes);
}

void lenet_probabilities(const lenet_plan *plan, const float *outputs, int64_t n,
                         float *probabilities)
{
    const double sign = plan_is_rbf(plan) ? -1.0 : 1.0;
    double z[LENET_MAX_MAPS] = {0.0};
    for (int64_t i = 0; i < n; i++) {
        for (int32_t c = 0; c < plan->classes; c++)
            z[c] = sign * (double)outputs[i * plan->classes + c];
        softmax(z, plan->classes, INFINITY);
        for (int32_t c = 0; c < plan->classes; c++)
            probabilities[i * plan->classes + c] = (float)z[c];
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
