/* The three threshold rules. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>

#include "kernels/base/status.h"
#include "query/metrics/classify.h"
#include "query/metrics/scored_internal.h"

#define GRID 100 /* points of the published grid */

const char cts_roc_corner_undefined[] =
    "undefined: the label has one class in these data, where the published threshold search fails";

cts_threshold cts_threshold_half(void)
{
    return (cts_threshold){0.5, false};
}

/* numpy's linspace(0, 1, 100): multiples of the rounded step, and the end as given. */
static double grid_point(int i)
{
    return i == GRID - 1 ? 1.0 : i * (1.0 / (GRID - 1));
}

int cts_threshold_roc_corner(const float *scores, const uint8_t *labels, size_t n, cts_threshold *out, int *grid_index)
{
    size_t positives, tp = 0, i = 0;
    double nearest = INFINITY, distance[GRID];
    int best = -1, rc;
    cts_scored *s;

    if ((rc = cts_scored_sort(&s, scores, labels, n, 1, &positives)))
        return rc;
    for (int g = GRID - 1; g >= 0; g--) { /* scores fall, so the points are met from the last to the first */
        double tpr, fpr;

        for (; i < n && (double)s[i].score > grid_point(g); i++)
            tp += s[i].positive;
        tpr = (double)tp / (double)positives;
        fpr = (double)(i - tp) / (double)(n - positives);
        distance[g] = sqrt((1.0 - tpr) * (1.0 - tpr) + fpr * fpr);
    }
    for (int g = 0; g < GRID && positives && positives < n; g++)
        if (distance[g] <= nearest) {
            nearest = distance[g];
            best = g;
        }
    *out = (cts_threshold){best < 0 ? NAN : grid_point(best), false};
    *grid_index = best;
    free(s);
    return CTS_OK;
}

int cts_threshold_f1_max(const float *scores, const uint8_t *labels, size_t n, cts_threshold *out, double *f1)
{
    size_t positives, tp = 0;
    uint64_t best_tp = 0, best_sum = 1; /* F1 = 2 tp / (positives + predicted), compared without rounding */
    float best = 0.0f;
    cts_scored *s;
    int rc;

    if (!n)
        return cts_fail(CTS_E_INPUT, "threshold: got no validation scores, allowed: at least one");
    if ((rc = cts_scored_sort(&s, scores, labels, n, 1, &positives)))
        return rc;
    for (size_t i = 0; i < n; i++) {
        tp += s[i].positive;
        if (i + 1 < n && s[i + 1].score == s[i].score)
            continue;
        if (tp * best_sum >= best_tp * (positives + i + 1)) { /* later scores are smaller, and win among equals */
            best_tp = tp;
            best_sum = positives + i + 1;
            best = s[i].score;
        }
    }
    *out = (cts_threshold){(double)best, true};
    if (f1)
        *f1 = 2.0 * (double)best_tp / (double)best_sum;
    free(s);
    return CTS_OK;
}

void cts_predict(const float *scores, size_t n, size_t m, const cts_threshold *threshold, uint8_t *prediction)
{
    for (size_t i = 0; i < n * m; i++) {
        const cts_threshold *t = &threshold[i % m];

        prediction[i] = t->inclusive ? (double)scores[i] >= t->value : (double)scores[i] > t->value;
    }
}
