/* Exact search: checked against the plain loop first, then timed for one query and for a hundred.
 *   build/tests/bench_search [vectors] [dimension] [threads]        default 50000 512 2
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "index/flat.h"
#include "kernels/base/arena.h"
#include "kernels/base/check.h"
#include "kernels/base/log.h"
#include "kernels/base/rng.h"

#define K 10
#define QUERIES 100
#define RUNS 31

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static float *draw(size_t n, uint64_t key)
{
    float *v = cts_aligned_alloc(n * sizeof *v);

    CTS_ASSERT(v, "out of memory for %zu values", n);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)(cts_rng_unit_at(key, i) - 0.5);
    return v;
}

static bool same(const cts_flat_base *base, const float *queries, cts_pool *pool)
{
    cts_flat_hit got[3 * K], want[3 * K];

    if (cts_flat_search(base, queries, 3, K, got, pool) || cts_flat_search_plain(base, queries, 3, K, want))
        return false;
    for (int i = 0; i < 3 * K; i++)
        if (!(fabsf(got[i].score - want[i].score) <= 1e-4f))
            return false;
    return true;
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 50000, dim = argc > 2 ? strtoull(argv[2], NULL, 10) : 512;
    float *rows = draw(n * dim, 1), *queries = draw(QUERIES * dim, 2);
    cts_flat_base base = {.rows = rows, .n = n, .dim = dim};
    cts_flat_hit hits[QUERIES * K];
    cts_pool *pool = NULL;
    double t[RUNS];

    if (cts_pool_create(&pool, argc > 3 ? atoi(argv[3]) : 2) || !same(&base, queries, pool)) {
        fprintf(stderr, "bench_search: the fast search differs from the plain one\n");
        return 1;
    }
    printf("%zu x %zu fp32, %d threads, %s\n", n, dim, cts_pool_size(pool), cts_flat_isa());
    for (size_t q = 1; q <= QUERIES; q += QUERIES - 1) {
        for (int i = 0; i < RUNS; i++) {
            double t0 = cts_now();

            if (cts_flat_search(&base, queries, q, K, hits, pool))
                return 1;
            t[i] = cts_now() - t0;
        }
        qsort(t, RUNS, sizeof *t, by_value);
        printf("%3zu queries: median %.2f ms, least %.2f ms, %.1f GB/s of rows, %.1f GFLOP/s\n", q, t[RUNS / 2] * 1e3,
               t[0] * 1e3, (double)(n * dim) * 4e-9 / t[RUNS / 2], (double)(2 * n * dim * q) * 1e-9 / t[RUNS / 2]);
    }
    cts_aligned_free(rows);
    cts_aligned_free(queries);
    cts_pool_destroy(pool);
    return 0;
}
