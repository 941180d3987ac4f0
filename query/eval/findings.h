/* Do the reports that a sentence finds have the finding it names? Precision at k of "<Finding> is present" for each of
 * the 18 findings: by the vectors of the model, by BM25 over the same texts, by chance, and the most there is.
 *
 * The pool: items of an index with a text vector, a report and labels, and of items with the same report the first,
 * because the reconstructions of a scan share theirs. Every method ranks the whole pool; equal scores go to the lower
 * id. Precision at k = labelled positives among the first k, over k.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EVAL_FINDINGS_H
#define CTS_QUERY_EVAL_FINDINGS_H

#include <jansson.h>

#include "data/findings.h"
#include "query/session.h"

typedef enum {
    CTS_BY_MODEL,         /* "<Finding> is present", cosine */
    CTS_BY_BM25_SENTENCE, /* the same sentence, all its words */
    CTS_BY_BM25_WORDS,    /* the finding's own words */
    CTS_BY_CHANCE,        /* share of positives in the pool: the mean of all orders */
    CTS_BY_ORACLE,        /* positives first */
    CTS_RANKINGS
} cts_ranking;
/* "model", "bm25_sentence", "bm25_words", "chance", "oracle" */
const char *cts_ranking_name(cts_ranking r);

typedef struct {
    size_t n, k;                                /* pool; k <= n */
    size_t without_report, unlabelled, repeats; /* text vectors that are not in it, for each reason */
    size_t words;                               /* different words of its reports */
    size_t positives[CTS_FINDINGS];
    double precision[CTS_FINDINGS][CTS_RANKINGS]; /* NaN where the pool has no positive */
    double mean[CTS_RANKINGS];                    /* over the findings that have some; NaN when there is none */
    int defined;
} cts_findings_result;

/* The index and the engine of s. labels: a CSV whose labels replace those of the index, or NULL. CTS_E_INPUT when the
 * pool is empty or smaller than k. */
int cts_eval_findings(cts_findings_result *r, cts_session *s, const char *labels, size_t k);
/* {protocol, query, k, n, .., bm25: {..}, findings: [{name, positives, model, ..}], mean: {model, ..}} */
json_t *cts_findings_result_json(const cts_findings_result *r);

#endif
