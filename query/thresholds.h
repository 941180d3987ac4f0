/* thresholds.json of a model folder: from which probability on a finding is called present, how well the model told it
 * on validation volumes, and how its logits become calibrated ones. Written by training, read by score and eval.
 *
 *   {"format": "ctsearch-thresholds", "version": 1, "rule": "f1-max", "n": validation volumes, "patients": ..,
 *    "made_for": digest, "labels": [{"name", "threshold", "auroc", "auroc_low", "auroc_high", "f1", "precision",
 *                "recall", "prevalence", "calibration": {"a", "b"}}, ..]}
 * With the model's logit z, its probability is cts_probability(z), and a finding is present when that is >= threshold
 * (CT-Scroll's rule: largest F1 on validation data). The calibrated logit is a z + b (Platt 1999, fitted as Lin, Lin
 * and Weng 2007 do). auroc_low and auroc_high bound the 95 % interval over resampled patients. What is not defined, as
 * an AUROC of one class, is null in the file and NaN here. made_for is absent, or says whose scores these are
 * (cts_scorer_digest() of query/scorer.h): models, recipes and prompts.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_THRESHOLDS_H
#define CTS_QUERY_THRESHOLDS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "encoders/classifier.h"
#include "kernels/base/digest.h"
#include "kernels/base/thread.h"

#define CTS_THRESHOLDS_FILE "thresholds.json"

typedef struct {
    char name[CTS_LABEL_BYTES];
    double threshold; /* of the probability; present when probability >= threshold */
    double auroc, auroc_low, auroc_high;
    double f1, precision, recall; /* binary, at the threshold, on the data it was chosen on; the latter two NaN where
                                     the file does not say */
    double prevalence;            /* part of the volumes that have it */
    double a, b;                  /* calibrated logit = a z + b */
} cts_label_threshold;

typedef struct {
    char rule[16];                 /* "f1-max" */
    char made_for[CTS_DIGEST_HEX]; /* "" = not said */
    size_t n, patients, n_labels;
    cts_label_threshold *label; /* [n_labels], owned */
} cts_thresholds;

static inline double cts_probability(double logit)
{
    return 1.0 / (1.0 + exp(-logit));
}

/* From logits and labels [n, m] of validation volumes. names [m]; patient [n] (any number, equal for one patient's
 * volumes) or NULL = each volume its own. CTS_E_INPUT when n is 0 or a logit is NaN. End with cts_thresholds_clear().
 */
int cts_thresholds_fit(cts_thresholds *out, const char *const *names, size_t m, const float *logits,
                       const uint8_t *labels, size_t n, const int64_t *patient, uint64_t seed, cts_pool *pool);
void cts_thresholds_clear(cts_thresholds *t); /* zeroed is fine */
/* Mean AUROC over the labels where it is defined; NaN without one. */
double cts_thresholds_macro(const cts_thresholds *t);
/* Row of a label, upper and lower case alike; NULL = none. */
const cts_label_threshold *cts_thresholds_find(const cts_thresholds *t, const char *name);

/* thresholds.json in the folder `dir`. Load: CTS_E_NOTFOUND without the file, CTS_E_FORMAT or CTS_E_INPUT naming file,
 * entry and field. */
int cts_thresholds_save(const cts_thresholds *t, const char *dir);
int cts_thresholds_load(cts_thresholds *out, const char *dir);
/* SHA-256 of the file; "" without one. */
int cts_thresholds_digest(char out[CTS_DIGEST_HEX], const char *dir);

/* Platt's a and b of one label: the maximum of the likelihood of sigmoid(a z + b) under targets drawn in by
 * (n+ + 1) / (n+ + 2) and 1 / (n- + 2). A label of one class keeps a 1, b 0; a slope that would come out negative is 0,
 * and b then says the prevalence. logits and labels of row i stand at i * stride. */
void cts_platt_fit(double *a, double *b, const float *logits, const uint8_t *labels, size_t n, size_t stride);

#endif
