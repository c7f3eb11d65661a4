/* One string in a strip: its probability, and where its characters stand.
 *
 * Its paths go through 2 length + 1 places: blank, first character, blank, .. last character, blank. At
 * each position a path stays, moves on, or skips a blank between two unequal characters. */
#include <math.h>

#include "strings/decode.h"

/* The class of place j. */
static int32_t class_of(const lenet_strip *strip, const int32_t *string, int32_t j)
{
    return j % 2 ? string[j / 2] : strip->blank;
}

static int may_skip(const int32_t *string, int32_t j)
{
    return j % 2 && j > 1 && string[j / 2] != string[j / 2 - 1];
}

/* Places that a path can be at after position t, from where it can still reach the end. */
static int32_t lowest(int32_t t, int32_t positions, int32_t length)
{
    const int64_t low = 2 * (int64_t)length - 1 - 2 * ((int64_t)positions - 1 - t);
    return low > 0 ? (int32_t)low : 0;
}

static int32_t highest(int32_t t, int32_t length)
{
    return t < length ? 2 * t + 1 : 2 * length;
}

size_t lenet_align_workspace(int32_t positions)
{
    const size_t n = (size_t)positions;
    /* a step for each place that is within reach, and the places' sums */
    return n * (n + 4) + (2 * n + 1) * sizeof(wide);
}

lenet_status lenet_string_probability(const lenet_strip *strip, const int32_t *string, int32_t length,
                                      wide *probability, void *workspace)
{
    wide *sums = workspace;
    const int32_t end = 2 * length;
    *probability = wide_zero;
    if (length > strip->positions) return LENET_OK;
    for (int32_t j = 0; j <= end; j++) sums[j] = wide_zero;
    for (int32_t t = 0; t < strip->positions; t++) {
        const wide *p = strip->p + (ptrdiff_t)t * strip->classes;
        const int32_t low = lowest(t, strip->positions, length);
        if (lenet_stopped(strip->watch, 1, 2.0 * end + 2.0)) return LENET_INTERRUPTED;
        for (int32_t j = highest(t, length); j >= low; j--) {  /* downward: those below are still old */
            wide sum = t == 0 ? (j < 2 ? wide_one : wide_zero) : sums[j];
            if (t && j) sum = wide_add(sum, sums[j - 1]);
            if (t && may_skip(string, j)) sum = wide_add(sum, sums[j - 2]);
            sums[j] = sum.v > 0.0 ? wide_times(sum, p[class_of(strip, string, j)]) : wide_zero;
        }
    }
    if (strip->positions == 0) *probability = wide_one;
    else *probability = length ? wide_add(sums[end], sums[end - 1]) : sums[0];
    return LENET_OK;
}

lenet_status lenet_align(const lenet_strip *strip, const int32_t *string, int32_t length,
                         int32_t *spans, void *workspace)
{
    const int32_t end = 2 * length;
    double *best = workspace;
    int8_t *steps = (int8_t *)(best + end + 1);  /* of a position: as many as are within reach */
    int8_t *step = steps;
    if (length == 0 || strip->positions == 0) return LENET_OK;
    for (int32_t j = 0; j <= end; j++) best[j] = -INFINITY;
    for (int32_t t = 0; t < strip->positions; t++) {
        const double *p = strip->logs + (ptrdiff_t)t * strip->classes;
        const int32_t low = lowest(t, strip->positions, length), high = highest(t, length);
        if (lenet_stopped(strip->watch, 1, 2.0 * end + 2.0)) return LENET_INTERRUPTED;
        for (int32_t j = high; j >= low; j--) {
            double most = t == 0 ? (j < 2 ? 0.0 : -INFINITY) : best[j];
            int8_t from = 0;
            if (t && j && best[j - 1] > most) {
                most = best[j - 1];
                from = 1;
            }
            if (t && may_skip(string, j) && best[j - 2] > most) {
                most = best[j - 2];
                from = 2;
            }
            best[j] = most + p[class_of(strip, string, j)];
            step[j - low] = from;
        }
        step += high - low + 1;
    }
    int32_t j = best[end - 1] > best[end] ? end - 1 : end;
    for (int32_t i = 0; i < length; i++) spans[2 * i + 1] = -1;
    for (int32_t t = strip->positions - 1; t >= 0; t--) {
        const int32_t low = lowest(t, strip->positions, length);
        step -= highest(t, length) - low + 1;
        if (j % 2) {
            spans[j - 1] = t;
            if (spans[j] < 0) spans[j] = t;
        }
        j -= step[j - low];
    }
    return LENET_OK;
}
