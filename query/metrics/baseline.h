/* What stands beside every table: a model that knows nothing and a model that knows everything. Exact where there is a
 * formula; seeded where something must be drawn. MAP's rows are in query/metrics/map.h.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_METRICS_BASELINE_H
#define CTS_QUERY_METRICS_BASELINE_H

#include <stddef.h>
#include <stdint.h>

/* Expected Recall@k of a random order of n candidates: k / n; with group [n] (any member of the query's group is right,
 * NULL = own partner only) the mean over queries of 1 - C(n - g, k) / C(n, k). NaN when k > n or n = 0. */
int cts_recall_random(const int64_t *group, size_t n, int64_t k, double *out);
/* Best Recall@k of a model to which the members of a group are one and the same (one report, several reconstructions):
 * own partner only, equal scores to the lower index, so min(k, g) of g queries are hits. NaN when k > n or n = 0. */
int cts_recall_oracle(const int64_t *group, size_t n, int64_t k, double *out);

/* scores [n, m]: uniform in [0, 1), element i of stream (seed); or the labels themselves. */
void cts_scores_random(float *scores, size_t n, size_t m, uint64_t seed);
void cts_scores_oracle(float *scores, const uint8_t *labels, size_t n, size_t m);
/* rows [n, d]: independent unit vectors, uniform on the sphere, row i from stream (seed, i). */
void cts_vectors_random(float *rows, size_t n, size_t d, uint64_t seed);

#endif
