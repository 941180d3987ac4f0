/* The outcome of an evaluation: figures with intervals and with what a random and an all-knowing model would get, and
 * the facts without which they mean nothing.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EVAL_RESULT_H
#define CTS_QUERY_EVAL_RESULT_H

#include <jansson.h>

#include "kernels/base/thread.h"
#include "query/eval/pool.h"
#include "query/eval/protocols.h"
#include "query/eval/set.h"
#include "query/thresholds.h"

#define CTS_EVAL_METRIC_MAX 32

/* One figure. NaN = undefined (null in JSON, "-" in tables). */
typedef struct {
    char metric[CTS_EVAL_METRIC_MAX]; /* "t2i_r@5", "auroc", "f1_wml@0.5", "map_ctclip@10" */
    int label;                        /* of the set's labels; -1 = the whole set */
    double value, low, high;          /* 95 % interval; NaN without resamples */
    double random, oracle;
    size_t n; /* queries or volumes it is taken over */
} cts_eval_value;

/* Points of a ROC curve from (0, 0) to (1, 1). */
typedef struct {
    double *fpr, *tpr; /* [n] owned */
    size_t n;
} cts_eval_curve;

typedef struct {
    const char *verb; /* "recall", "zeroshot", "classify", "map" */
    const cts_eval_protocol *protocol;
    const cts_eval_pool *pool;
    const cts_eval_set *set; /* borrowed */
    unsigned figures;        /* those that were taken: a protocol's, where there was something to take them from */
    size_t n, unlabelled, patients, scans, n_val;
    size_t resamples;
    uint64_t seed;
    double seconds;
    cts_eval_value *value; /* [n_values] */
    size_t n_values, cap;
    double median_rank[2], mean_rank[2];    /* t2i, i2t; 1 = first */
    size_t positives[CTS_LABEL_MAP_MAX];    /* of each label */
    double threshold[3][CTS_LABEL_MAP_MAX]; /* roc, val, youden; NaN where none */
    cts_eval_curve roc[CTS_LABEL_MAP_MAX], macro;
    cts_str warnings; /* sentences, each ends in a newline */
} cts_eval_result;    /* zero it before; end with cts_eval_result_free() */

typedef struct {
    const cts_eval_protocol *protocol;
    const cts_eval_pool *pool;
    int64_t ks[CTS_EVAL_KS_MAX]; /* ends with 0 */
    size_t resamples;            /* 0 = no intervals */
    uint64_t seed;
    const cts_eval_set *val; /* validation data of f1_bin@val; NULL = none */
    /* without them: what was fitted on validation data before, for every label; NULL = nothing */
    const cts_thresholds *stored;
    cts_pool *threads;
} cts_eval_plan;

/* The tasks. r->verb, protocol and pool are set by the caller; s stays the caller's and must outlive r. */
int cts_eval_recall(cts_eval_result *r, const cts_eval_set *s, const cts_eval_plan *plan);
int cts_eval_classify(cts_eval_result *r, const cts_eval_set *s, const cts_eval_plan *plan);
int cts_eval_map(cts_eval_result *r, const cts_eval_set *s, const cts_eval_plan *plan);

void cts_eval_result_free(cts_eval_result *r);
/* Add a figure; random and oracle NaN. The pointer is good until the next one. NULL when out of memory. */
cts_eval_value *cts_eval_result_add(cts_eval_result *r, const char *metric, int label, double value);
/* The figure of that metric and label, or NULL. */
const cts_eval_value *cts_eval_result_find(const cts_eval_result *r, const char *metric, int label);
/* Intervals of `count` figures from place `first` on, from samples [count][resamples]. */
int cts_eval_result_intervals(cts_eval_result *r, size_t first, size_t count, const double *sample);

/* Outputs. */
json_t *cts_eval_result_json(const cts_eval_result *r);
void cts_eval_result_print(const cts_eval_result *r);
/* protocol,metric,finding,value,low,high,n,random,oracle: one line a figure, written atomically. */
int cts_eval_result_csv(const cts_eval_result *r, const char *path);
/* One self-contained page, written atomically (query/eval/html.c). */
int cts_eval_result_html(const cts_eval_result *r, const char *path);

#endif
