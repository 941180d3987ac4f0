/* Metrics of retrieval and classification over plain arrays; no model, no index.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_METRICS_H
#define CTS_QUERY_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/base/thread.h"

/* Area under the ROC curve of scores [n] against labels [n] (0 or 1): probability that a positive scores above a
 * negative, ties count half. *auroc is NaN when one class is missing. CTS_E_INPUT names the row of a score that is NaN.
 * */
int cts_auroc(const float *scores, const uint8_t *labels, size_t n, double *auroc, size_t *positives);

/* Rank of the wanted partner of each query: rank[i] = number of candidates with a higher score than candidate i's +
 * number of equal ones with a lower index, where score = <query[i], candidate[j]> in fp32 products summed in double.
 * query, candidate [n, d]; 0 = found first.
 * Tiles over candidates, so memory stays at O(n). CTS_E_INPUT names the row of a vector that is not finite. Source: the
 * rule of CT-CLIP's and open_clip's evaluations. */
int cts_pair_ranks(const float *query, const float *candidate, size_t n, size_t d, cts_pool *pool, int64_t *rank);
/* Fraction of ranks below k. */
double cts_recall_at(const int64_t *rank, size_t n, int64_t k);

#endif
