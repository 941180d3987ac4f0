/* Confidence intervals by resampling patients: volumes of one patient are not independent, so a resample draws as many
 * patients as there are, with replacement, and takes all volumes of each. Resample r is a pure function of (seed, r):
 * the result is the same for any number of threads.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_METRICS_BOOTSTRAP_H
#define CTS_QUERY_METRICS_BOOTSTRAP_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/base/thread.h"
#include "query/metrics/classify.h"

#define CTS_BOOTSTRAP_RESAMPLES 1000

typedef struct {
    size_t n, n_patients, n_resamples;
    uint64_t seed;
    int64_t *patient; /* [n] 0 .. n_patients-1, in order of first appearance; owned */
} cts_bootstrap;

/* patient [n]: any number that is equal for rows of one patient (NULL: every row is its own). End with
 * cts_bootstrap_free(). CTS_E_INPUT when n or n_resamples is 0. */
int cts_bootstrap_init(cts_bootstrap *b, const int64_t *patient, size_t n, size_t n_resamples, uint64_t seed);
void cts_bootstrap_free(cts_bootstrap *b); /* zeroed allowed */
/* weight [n] of resample r: how often each row counts. count [n_patients] is scratch. */
void cts_bootstrap_weights(const cts_bootstrap *b, size_t r, uint32_t *count, uint32_t *weight);

/* out [n_values] for rows weighted by weight [n]; called at once from several threads; NaN = undefined there. */
typedef int (*cts_statistic_fn)(void *ctx, const uint32_t *weight, double *out);
/* sample [n_values, n_resamples]. */
int cts_bootstrap_run(const cts_bootstrap *b, cts_statistic_fn fn, void *ctx, size_t n_values, cts_pool *pool,
                      double *sample);

/* ---- statistics ---- */

/* AUROC of every label and their mean over the defined ones: sample [m + 1, n_resamples], the macro last. Scores are
 * sorted once a label; a resample costs O(n m). */
int cts_bootstrap_auroc(const cts_bootstrap *b, const float *scores, const uint8_t *labels, size_t m, cts_pool *pool,
                        double *sample);
/* Means of per-row values [n_values, n] (recall hits, MAP of queries), NaN rows left out: sample [n_values,
 * n_resamples]. */
int cts_bootstrap_means(const cts_bootstrap *b, const double *value, size_t n_values, cts_pool *pool, double *sample);
/* Whatever follows from the counts of fixed predictions (thresholds are those of all data, not refitted): fn gets
 * counts [m] of the resample and fills out [n_values]. */
typedef void (*cts_counts_fn)(void *ctx, const cts_counts *counts, size_t m, double *out);
int cts_bootstrap_counts(const cts_bootstrap *b, const uint8_t *prediction, const uint8_t *labels, size_t m,
                         cts_counts_fn fn, void *ctx, size_t n_values, cts_pool *pool, double *sample);

/* ---- intervals ---- */

typedef struct {
    double lower, upper, mean;
    size_t defined; /* resamples in which the statistic was defined */
} cts_interval;
/* Percentile interval of coverage 1 - alpha (alpha .05 for 95 %): the defined samples sorted, and the values at places
 * alpha/2 (d - 1) and (1 - alpha/2)(d - 1) counted from 0, linear between neighbours. NaN without defined samples. */
int cts_interval_percentile(const double *sample, size_t n, double alpha, cts_interval *out);
/* The published CT-CLIP rule for 95 %: sorted value number int(.025 n) - 1 and number int(.975 n) - 1 counted from 0
 * (number -1 is the last, as in the script's language); all three rounded to 4 digits. NaN samples: CTS_E_INPUT. */
int cts_interval_ctclip(const double *sample, size_t n, cts_interval *out);

#endif
