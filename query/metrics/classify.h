/* Metrics of multi-label classification: area under the ROC curve, threshold rules, and everything that follows from
 * counts of a confusion matrix. Plain numbers in, plain numbers out; no model, no file.
 *
 * Tables are row-major: scores float [n, m], labels and predictions uint8 [n, m] of 0 and 1; n rows (volumes), m labels
 * (findings). weight [n] says how often a row counts (a bootstrap resample); NULL = once each. What is undefined is
 * NaN, never 0 and never 0.5. A score that is NaN is refused: CTS_E_INPUT names row and label (both from 0).
 * Thread rule: pure functions of their arguments, any number of threads at once.
 *
 * Three quantities are called "F1" in the literature; here they never share a name:
 *   f1_wml@0.5  cts_threshold_half() for every label, cts_f1_multilabel_weighted()     DCFormer's evaluation
 *   f1_w2@roc   cts_threshold_roc_corner() on the same data, cts_f1_two_class() a label, mean over labels   CT-CLIP's
 *   f1_bin@val  cts_threshold_f1_max() on validation data, cts_f1_binary() a label, mean over labels, and the mean
 *               weighted by label frequency                                             CT-Scroll's
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_METRICS_CLASSIFY_H
#define CTS_QUERY_METRICS_CLASSIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CTS_E_INPUT when a score is NaN: "scores: row R, label L (<name>) is not a number". names [m] or NULL. */
int cts_scores_check(const float *scores, size_t n, size_t m, const char *const *names);

/* ---- area under the ROC curve ---- */

/* Area under the ROC curve of scores [n] against labels [n]: probability that a positive scores above a negative, ties
 * count half (midranks). *auroc is NaN when one class is missing. The pairs are counted as integers, so the result has
 * one rounding. CTS_E_INPUT names the row of a score that is NaN. */
int cts_auroc(const float *scores, const uint8_t *labels, size_t n, double *auroc, size_t *positives);
/* Every label of a table: auroc [m], positives [m] (either may be NULL). */
int cts_auroc_table(const float *scores, const uint8_t *labels, size_t n, size_t m, double *auroc, size_t *positives);
/* Mean over the values that are not NaN; *defined (may be NULL) says how many; NaN when there are none. */
double cts_mean_defined(const double *value, size_t n, size_t *defined);

/* Points of the ROC curve of one label, from (0, 0) to (1, 1), one for each distinct score in descending order plus the
 * first: a row is predicted positive when score >= threshold[i]; threshold[0] = +infinity. Room for n + 1 points each.
 * false_positive_rate is NaN without negatives, true_positive_rate is NaN without positives. */
int cts_roc_curve(const float *scores, const uint8_t *labels, size_t n, double *false_positive_rate,
                  double *true_positive_rate, double *threshold, size_t *n_points);
/* Largest TPR - FPR over the curve (the first in descending order of threshold among equals) with its threshold,
 * sensitivity and specificity. NaN when one class is missing. When no point lies above the diagonal: Youden,
 * sensitivity and specificity 0 as DCFormer's evaluation prints them, threshold NaN. */
typedef struct {
    double youden, threshold, sensitivity, specificity;
} cts_youden_point;
int cts_youden(const float *scores, const uint8_t *labels, size_t n, cts_youden_point *out);

/* ---- thresholds ---- */

/* A threshold with its sense of "over it". Scores are compared as doubles. */
typedef struct {
    double value;
    bool inclusive; /* true: score >= value; false: score > value */
} cts_threshold;

/* score > 0.5. It is np.rint for scores in [0, 1]: 0.5 itself rounds to the even 0. */
cts_threshold cts_threshold_half(void);
/* CT-CLIP's rule: of the 100 points of linspace(0, 1), prediction score > point, the one nearest to the ROC plot's
 * corner (TPR 1, FPR 0); the last among equals. *grid_index 0..99. A label of one class has no such point: out->value
 * is NaN and *grid_index -1 (CTS_OK); cts_roc_corner_undefined is the sentence for the reader. */
int cts_threshold_roc_corner(const float *scores, const uint8_t *labels, size_t n, cts_threshold *out, int *grid_index);
extern const char cts_roc_corner_undefined[];
/* CT-Scroll's rule: the score of these (validation) data at which score >= threshold has the largest F1; the smallest
 * threshold among equals. Without positives every F1 is 0 and it is the smallest score; n 0 gives CTS_E_INPUT. */
int cts_threshold_f1_max(const float *scores, const uint8_t *labels, size_t n, cts_threshold *out, double *f1);
/* prediction [n, m] = scores over threshold [m]. A threshold whose value is NaN predicts 0. */
void cts_predict(const float *scores, size_t n, size_t m, const cts_threshold *threshold, uint8_t *prediction);

/* ---- counts of predictions, and what follows from them ---- */

typedef struct {
    uint64_t tp, fp, fn, tn;
} cts_counts;

/* counts [m] of a table of predictions. */
void cts_count_cells(const uint8_t *prediction, const uint8_t *labels, size_t n, size_t m, const uint32_t *weight,
                     cts_counts *counts);
/* Sum over m labels: the counts of all cells together. */
cts_counts cts_counts_sum(const cts_counts *counts, size_t m);

/* Of one label, or of cts_counts_sum() for the "micro" value. Where the denominator is 0 the value is 0
 * (zero_division = 0 of the published evaluations), except accuracy, sensitivity and specificity: NaN. */
double cts_accuracy(cts_counts c);
double cts_precision(cts_counts c);
double cts_recall(cts_counts c);
double cts_f1_binary(cts_counts c);
double cts_sensitivity(cts_counts c);  /* = recall, but NaN without positives */
double cts_specificity(cts_counts c);  /* NaN without negatives */
double cts_youden_index(cts_counts c); /* sensitivity + specificity - 1 */
/* F1 of the positive and of the negative class, weighted by their supports (w2). NaN without rows. */
double cts_f1_two_class(cts_counts c);
/* Mean of the labels' binary F1 weighted by their positives (wml): sklearn's average="weighted" of a multi-label table.
 * 0 without positives. */
double cts_f1_multilabel_weighted(const cts_counts *counts, size_t m);

#endif
