/* Retrieval of pairs: where does the true partner of each query stand among all candidates?
 *
 * rank = number of candidates with a higher score than the partner's + number of equal ones with a lower index; 0 =
 * found first; a hit at k is rank < k. The rule of CT-CLIP's script (a stable sort) and of open_clip. Scores are fp32
 * inner products, each summed in one order (k = 0, 1, 2, ... with fused multiply-add where the processor has it),
 * whatever the tile, the side or the number of threads: equal vectors have exactly equal scores, and ranks do not
 * depend on the pool. All pairs are visited in tiles; memory is O(n (threads + 1) + threads * dim), never n x n.
 * CTS_DISABLE_CPU_FEATURES selects a narrower variant (kernels/cpu/cpu_features.h).
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_METRICS_PAIRS_H
#define CTS_QUERY_METRICS_PAIRS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/base/thread.h"

/* Text i belongs to image i. text, image [n, d] -> rank_t2i [n] (query text i, candidates all images), rank_i2t [n];
 * either may be NULL. Both directions share one pass over the products.
 *
 * group NULL: only image i is right for text i. Otherwise group [n] names each pair's report or scan, and every member
 * of query i's group is right: rank = the best over them. n 0 is allowed. CTS_E_INPUT names side and row of a vector
 * with a component that is not finite; CTS_E_LIMIT when n is 2^31 or more; on failure the ranks are untouched. */
int cts_pair_ranks(const float *text, const float *image, size_t n, size_t d, const int64_t *group, cts_pool *pool,
                   int64_t *rank_t2i, int64_t *rank_i2t);
/* The same from a matrix of scores [n, n], queries in rows: query i's partner is column i. NaN: CTS_E_INPUT. */
int cts_matrix_ranks(const float *scores, size_t n, const int64_t *group, int64_t *rank);
/* "avx512", "avx2" or "generic": the variant cts_pair_ranks() would use now. */
const char *cts_pair_isa(void);

/* Fraction of ranks below k; 0 when n is 0. Every k is allowed: from k = pool size on it is 1. */
double cts_recall_at(const int64_t *rank, size_t n, int64_t k);
/* The same, but NaN (undefined; null in JSON) when k exceeds the pool, where the published CT-CLIP script raises. */
double cts_recall_in_pool(const int64_t *rank, size_t n, size_t pool, int64_t k);
/* hit [n] = 1.0 where rank < k, else 0.0: the per-query values for cts_bootstrap_means(). */
void cts_recall_hits(const int64_t *rank, size_t n, int64_t k, double *hit);
/* Median and mean of 1 + rank; NaN when n is 0. */
int cts_rank_summary(const int64_t *rank, size_t n, double *median, double *mean);

#endif
