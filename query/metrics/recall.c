/* What follows from ranks. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/status.h"
#include "query/metrics/pairs.h"

double cts_recall_at(const int64_t *rank, size_t n, int64_t k)
{
    size_t hits = 0;

    for (size_t i = 0; i < n; i++)
        hits += rank[i] < k;
    return n ? (double)hits / (double)n : 0.0;
}

double cts_recall_in_pool(const int64_t *rank, size_t n, size_t pool, int64_t k)
{
    return n && k <= (int64_t)pool ? cts_recall_at(rank, n, k) : NAN;
}

void cts_recall_hits(const int64_t *rank, size_t n, int64_t k, double *hit)
{
    for (size_t i = 0; i < n; i++)
        hit[i] = rank[i] < k ? 1.0 : 0.0;
}

static int by_rank(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

int cts_rank_summary(const int64_t *rank, size_t n, double *median, double *mean)
{
    int64_t *sorted = malloc((n + 1) * sizeof *sorted);
    double sum = 0.0;

    if (!sorted)
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu ranks", n);
    for (size_t i = 0; i < n; i++)
        sum += (double)(sorted[i] = rank[i]) + 1.0;
    qsort(sorted, n, sizeof *sorted, by_rank);
    *median = n ? (double)(sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0 + 1.0 : NAN;
    *mean = n ? sum / (double)n : NAN;
    free(sorted);
    return CTS_OK;
}
