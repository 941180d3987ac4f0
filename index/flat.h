/* Exact search: the k rows with the largest inner product with a query. The reference that approximate indexes are
 * measured against, and the default.
 *
 * Order: larger score first, equal scores by smaller row number. The score of a (query, row) pair is the same float
 * whatever the number of queries, threads and allowed rows, because every path sums in one order; only the
 * instruction set changes it. CTS_DISABLE_CPU_FEATURES (a comma-separated list with avx512f, avx2) selects a narrower
 * variant.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_INDEX_FLAT_H
#define CTS_INDEX_FLAT_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/base/thread.h"

typedef struct {
    float score;
    int64_t row; /* -1: fewer than k rows were allowed; score is then -infinity */
} cts_flat_hit;

/* Borrowed. allowed: bit (r % 64) of word r / 64 lets row r take part; NULL = all rows. */
typedef struct {
    const float *rows; /* [n, dim] */
    size_t n, dim;
    const uint64_t *allowed; /* [(n + 63) / 64] or NULL */
} cts_flat_base;

/* queries [n_queries, dim] -> hits [n_queries, k], k >= 1. A NaN score counts as -infinity. Threads of `pool` split
 * the rows; NULL runs on the caller alone. Only CTS_E_NOMEM. */
int cts_flat_search(const cts_flat_base *base, const float *queries, size_t n_queries, size_t k, cts_flat_hit *hits,
                    cts_pool *pool);
/* The same by one plain loop with double sums: the oracle of the tests (scores agree to rounding). */
int cts_flat_search_plain(const cts_flat_base *base, const float *queries, size_t n_queries, size_t k,
                          cts_flat_hit *hits);
/* Inner product of two vectors, summed as cts_flat_search() sums it. */
float cts_flat_dot(const float *a, const float *b, size_t dim);
/* "avx512f", "avx2" or "generic": the variant a search would use now. */
const char *cts_flat_isa(void);

#endif
