/* Zero-shot classification and retrieval over embeddings, with the prompts and rules of the published evaluations.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EVALUATE_H
#define CTS_QUERY_EVALUATE_H

#include <jansson.h>

#include "data/findings.h"
#include "query/engine.h"
#include "query/zeroshot.h"

/* Embeddings of a data set, rows in the order they came. Grows; zero it before, end with cts_embeddings_free(). */
typedef struct {
    size_t n, cap;
    int64_t dim;
    float *image, *text; /* [n][dim] */
    uint8_t *labels;     /* [n][18] */
    bool *has_labels;    /* [n] */
    char **id;           /* [n] stems of volume names */
} cts_embeddings;
/* Room for one more row; pointers move. image, text, labels may be NULL (zeros). */
int cts_embeddings_push(cts_embeddings *x, int64_t dim, const char *id, const float *image, const float *text,
                        const uint8_t *labels);
void cts_embeddings_free(cts_embeddings *x);
/* Volumes and, when texts is set, reports of the records through the engine. Records without what is needed, or
 * whose volume cannot be read, are counted in
 * *skipped. */
int cts_embeddings_compute(cts_embeddings *x, cts_engine *e, const cts_dataset *d, bool texts, int threads,
                           const char *label, size_t *skipped);

typedef struct {
    double auroc[CTS_FINDINGS]; /* NaN where one class is missing */
    size_t positives[CTS_FINDINGS];
    double macro; /* mean over the defined ones; NaN when there is none */
    int defined;
    size_t n; /* volumes with labels */
} cts_zeroshot_result;
int cts_evaluate_zeroshot(cts_zeroshot_result *r, const cts_zeroshot *z, const cts_embeddings *x);
/* {protocol, n, auroc_macro, findings: [{name, auroc, positives}]}; undefined values are null. */
json_t *cts_zeroshot_result_json(const cts_zeroshot_result *r);

#define CTS_RECALL_KS 5
extern const int64_t cts_recall_k[CTS_RECALL_KS]; /* 1 5 10 50 100 */
typedef struct {
    size_t n;
    double t2i[CTS_RECALL_KS], i2t[CTS_RECALL_KS], chance[CTS_RECALL_KS];
    double median_rank_t2i, median_rank_i2t; /* 1 = first */
} cts_recall_result;
/* Row i of image belongs to row i of text. */
int cts_evaluate_recall(cts_recall_result *r, const cts_embeddings *x, cts_pool *pool);
/* {protocol, pool, n, t2i: {"r@1": ..}, i2t: {..}, chance: {..}} */
json_t *cts_recall_result_json(const cts_recall_result *r, const char *pool_name);

#endif
