/* Everything that follows from a confusion matrix. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "query/metrics/classify.h"

void cts_count_cells(const uint8_t *prediction, const uint8_t *labels, size_t n, size_t m, const uint32_t *weight,
                     cts_counts *counts)
{
    memset(counts, 0, m * sizeof *counts);
    for (size_t i = 0; i < n; i++) {
        uint64_t w = weight ? weight[i] : 1;

        for (size_t j = 0; j < m; j++) {
            bool predicted = prediction[i * m + j], positive = labels[i * m + j];

            counts[j].tp += predicted && positive ? w : 0;
            counts[j].fp += predicted && !positive ? w : 0;
            counts[j].fn += !predicted && positive ? w : 0;
            counts[j].tn += !predicted && !positive ? w : 0;
        }
    }
}

cts_counts cts_counts_sum(const cts_counts *counts, size_t m)
{
    cts_counts s = {0};

    for (size_t j = 0; j < m; j++) {
        s.tp += counts[j].tp;
        s.fp += counts[j].fp;
        s.fn += counts[j].fn;
        s.tn += counts[j].tn;
    }
    return s;
}

static double ratio(uint64_t part, uint64_t whole, double otherwise)
{
    return whole ? (double)part / (double)whole : otherwise;
}

double cts_accuracy(cts_counts c)
{
    return ratio(c.tp + c.tn, c.tp + c.fp + c.fn + c.tn, NAN);
}

double cts_precision(cts_counts c)
{
    return ratio(c.tp, c.tp + c.fp, 0.0);
}

double cts_recall(cts_counts c)
{
    return ratio(c.tp, c.tp + c.fn, 0.0);
}

double cts_f1_binary(cts_counts c)
{
    return ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn, 0.0);
}

double cts_sensitivity(cts_counts c)
{
    return ratio(c.tp, c.tp + c.fn, NAN);
}

double cts_specificity(cts_counts c)
{
    return ratio(c.tn, c.tn + c.fp, NAN);
}

double cts_youden_index(cts_counts c)
{
    return cts_sensitivity(c) + cts_specificity(c) - 1.0;
}

double cts_f1_two_class(cts_counts c)
{
    cts_counts negative = {.tp = c.tn, .fp = c.fn, .fn = c.fp, .tn = c.tp};
    double positives = (double)(c.tp + c.fn), negatives = (double)(c.tn + c.fp);

    return (positives * cts_f1_binary(c) + negatives * cts_f1_binary(negative)) / (positives + negatives);
}

double cts_f1_multilabel_weighted(const cts_counts *counts, size_t m)
{
    double sum = 0.0, support = 0.0;

    for (size_t j = 0; j < m; j++) {
        double positives = (double)(counts[j].tp + counts[j].fn);

        sum += positives * cts_f1_binary(counts[j]);
        support += positives;
    }
    return support > 0.0 ? sum / support : 0.0;
}
