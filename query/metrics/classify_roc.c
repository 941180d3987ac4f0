/* The ROC curve and what is read off it. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>

#include "kernels/base/status.h"
#include "query/metrics/classify.h"
#include "query/metrics/scored_internal.h"

int cts_scores_check(const float *scores, size_t n, size_t m, const char *const *names)
{
    for (size_t i = 0; i < n * m; i++)
        if (isnan(scores[i])) {
            if (names)
                return cts_fail(CTS_E_INPUT, "scores: row %zu, label %zu (%s) is not a number", i / m, i % m,
                                names[i % m]);
            return cts_fail(CTS_E_INPUT, "scores: row %zu, label %zu is not a number", i / m, i % m);
        }
    return CTS_OK;
}

static int descending(const void *a, const void *b)
{
    float x = ((const cts_scored *)a)->score, y = ((const cts_scored *)b)->score;

    return (x < y) - (x > y);
}

int cts_scored_sort(cts_scored **out, const float *scores, const uint8_t *labels, size_t n, size_t stride,
                    size_t *positives)
{
    cts_scored *s = malloc((n + 1) * sizeof *s);

    if (!s)
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu scores", n);
    *positives = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(scores[i * stride])) {
            free(s);
            return cts_fail(CTS_E_INPUT, "scores: row %zu is not a number", i);
        }
        s[i] = (cts_scored){scores[i * stride], (uint32_t)i, labels[i * stride] != 0};
        *positives += s[i].positive;
    }
    qsort(s, n, sizeof *s, descending);
    *out = s;
    return CTS_OK;
}

/* In a run of equal scores each positive beats the negatives below the run and half of those inside; counted twice, so
 * that halves are whole numbers. */
static double area(const cts_scored *s, size_t n, size_t positives)
{
    uint64_t wins = 0, above = 0, p, q, negatives = n - positives;

    if (!positives || !negatives)
        return NAN;
    for (size_t i = 0, j; i < n; i = j) {
        p = q = 0;
        for (j = i; j < n && s[j].score == s[i].score; j++)
            *(s[j].positive ? &p : &q) += 1;
        above += q;
        wins += p * (2 * (negatives - above) + q);
    }
    return (double)wins / (2.0 * (double)positives * (double)negatives);
}

static int auroc(const float *scores, const uint8_t *labels, size_t n, size_t stride, double *value, size_t *positives)
{
    cts_scored *s;
    size_t p;
    int rc = cts_scored_sort(&s, scores, labels, n, stride, &p);

    if (rc)
        return rc;
    if (value)
        *value = area(s, n, p);
    if (positives)
        *positives = p;
    free(s);
    return CTS_OK;
}

int cts_auroc(const float *scores, const uint8_t *labels, size_t n, double *value, size_t *positives)
{
    return auroc(scores, labels, n, 1, value, positives);
}

int cts_auroc_table(const float *scores, const uint8_t *labels, size_t n, size_t m, double *value, size_t *positives)
{
    int rc = cts_scores_check(scores, n, m, NULL);

    for (size_t j = 0; !rc && j < m; j++)
        rc = auroc(scores + j, labels + j, n, m, value ? value + j : NULL, positives ? positives + j : NULL);
    return rc;
}

double cts_mean_defined(const double *value, size_t n, size_t *defined)
{
    double sum = 0.0;
    size_t d = 0;

    for (size_t i = 0; i < n; i++)
        if (!isnan(value[i])) {
            sum += value[i];
            d++;
        }
    if (defined)
        *defined = d;
    return d ? sum / (double)d : NAN;
}

int cts_roc_curve(const float *scores, const uint8_t *labels, size_t n, double *false_positive_rate,
                  double *true_positive_rate, double *threshold, size_t *n_points)
{
    cts_scored *s;
    size_t positives, tp = 0, points = 1;
    int rc = cts_scored_sort(&s, scores, labels, n, 1, &positives);

    if (rc)
        return rc;
    false_positive_rate[0] = positives < n ? 0.0 : NAN;
    true_positive_rate[0] = positives ? 0.0 : NAN;
    threshold[0] = INFINITY;
    for (size_t i = 0; i < n; i++) {
        tp += s[i].positive;
        if (i + 1 < n && s[i + 1].score == s[i].score)
            continue;
        false_positive_rate[points] = positives < n ? (double)(i + 1 - tp) / (double)(n - positives) : NAN;
        true_positive_rate[points] = positives ? (double)tp / (double)positives : NAN;
        threshold[points++] = (double)s[i].score;
    }
    *n_points = points;
    free(s);
    return CTS_OK;
}

int cts_youden(const float *scores, const uint8_t *labels, size_t n, cts_youden_point *out)
{
    double *fpr = malloc(3 * (n + 1) * sizeof *fpr), *tpr = fpr + n + 1, *threshold = fpr + 2 * (n + 1);
    cts_youden_point best = {0.0, NAN, 0.0, 0.0};
    size_t points;
    int rc;

    if (!fpr)
        return cts_fail(CTS_E_NOMEM, "out of memory for a curve of %zu points", n + 1);
    if ((rc = cts_roc_curve(scores, labels, n, fpr, tpr, threshold, &points)))
        goto out;
    for (size_t i = 0; i < points; i++)
        if (tpr[i] - fpr[i] > best.youden)
            best = (cts_youden_point){tpr[i] - fpr[i], threshold[i], tpr[i], 1.0 - fpr[i]};
    *out = isnan(tpr[0]) || isnan(fpr[0]) ? (cts_youden_point){NAN, NAN, NAN, NAN} : best;
out:
    free(fpr);
    return rc;
}
