/* Exact search. Threads take contiguous ranges of rows and keep a heap of the k best a query; the heaps are joined in
 * the order of the threads. The order of hits is total (score, then row), so that the result does not depend on the
 * split.
 * SPDX-License-Identifier: MIT */
#include "index/flat.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "index/flat_internal.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"

#define ROW_TILE 64            /* rows scored at a time: 128 KB at 512 numbers, half of a small L2 */
#define QUERY_TILE 64          /* queries of one pass over the rows */
#define HEAP_BYTES (64u << 20) /* heaps of one pass, all threads */

/* a comes after b in the result */
static inline bool worse(const cts_flat_hit *a, const cts_flat_hit *b)
{
    return a->score < b->score || (!(a->score > b->score) && a->row > b->row);
}

/* The worst hit is at the root. */
typedef struct {
    cts_flat_hit *hits; /* [k] */
    size_t n, k;
} heap;

static void sift_down(cts_flat_hit *h, size_t n, size_t i)
{
    cts_flat_hit moving = h[i];

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= n)
            break;
        if (child + 1 < n && worse(&h[child + 1], &h[child]))
            child++;
        if (!worse(&h[child], &moving))
            break;
        h[i] = h[child];
        i = child;
    }
    h[i] = moving;
}

static void heap_push(heap *h, float score, int64_t row)
{
    cts_flat_hit hit = {isnan(score) ? -INFINITY : score, row};
    size_t i;

    if (h->n == h->k) {
        if (!worse(&h->hits[0], &hit))
            return;
        h->hits[0] = hit;
        sift_down(h->hits, h->n, 0);
        return;
    }
    i = h->n++;
    while (i > 0 && worse(&hit, &h->hits[(i - 1) / 2])) {
        h->hits[i] = h->hits[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->hits[i] = hit;
}

/* Heap to best-first order, in place; the rest is marked empty. */
static void heap_finish(heap *h)
{
    for (size_t n = h->n; n > 1; n--) {
        cts_flat_hit worst = h->hits[0];

        h->hits[0] = h->hits[n - 1];
        h->hits[n - 1] = worst;
        sift_down(h->hits, n - 1, 0);
    }
    for (size_t i = h->n; i < h->k; i++)
        h->hits[i] = (cts_flat_hit){-INFINITY, -1};
}

typedef struct {
    const cts_flat_base *base;
    const flat_kernels *kernels;
    const float *queries; /* of this pass */
    size_t n_queries, k;
    heap *heaps;   /* [nth, n_queries] */
    float *scores; /* [nth, QUERY_TILE, ROW_TILE] */
} scan;

/* Rows [from, from + n), n <= 64, from % 64 == 0, with bits of the allowed ones. */
static void scan_tile(const scan *s, heap *heaps, float *scores, size_t from, size_t n, uint64_t bits)
{
    s->kernels->scores(scores, ROW_TILE, s->base->rows + from * s->base->dim, n, s->queries, s->n_queries,
                       s->base->dim);
    for (size_t q = 0; q < s->n_queries; q++) {
        heap *h = &heaps[q];
        const float *line = scores + q * ROW_TILE;

        for (size_t r = 0; r < n; r++)
            if ((bits >> r & 1) &&
                (h->n < h->k || line[r] > h->hits[0].score)) /* rows ascend: a tie with the root loses */
                heap_push(h, line[r], (int64_t)(from + r));
    }
}

static int scan_rows(void *ctx, int ith, int nth)
{
    const scan *s = ctx;
    heap *heaps = s->heaps + (size_t)ith * s->n_queries;
    float *scores = s->scores + (size_t)ith * QUERY_TILE * ROW_TILE;
    int64_t lo, hi;

    cts_split((int64_t)s->base->n, ROW_TILE, ith, nth, &lo, &hi);
    for (size_t from = (size_t)lo; from < (size_t)hi; from += ROW_TILE) {
        size_t n = (size_t)hi - from < ROW_TILE ? (size_t)hi - from : ROW_TILE;
        uint64_t bits = s->base->allowed ? s->base->allowed[from / 64] : UINT64_MAX;

        if (bits)
            scan_tile(s, heaps, scores, from, n, bits);
    }
    return CTS_OK;
}

int cts_flat_search(const cts_flat_base *base, const float *queries, size_t n_queries, size_t k, cts_flat_hit *hits,
                    cts_pool *pool)
{
    size_t nth = (size_t)cts_pool_size(pool), tile = QUERY_TILE;
    scan s = {.base = base, .kernels = cts_flat_pick_kernels(), .k = k};
    cts_flat_hit *room = NULL;
    int rc = CTS_OK;

    CTS_ASSERT(k >= 1 && base->dim >= 1, "k %zu, dim %zu", k, base->dim);
    _Static_assert(ROW_TILE == 64, "a tile is one word of the bit set");
    if (n_queries == 0)
        return CTS_OK;
    while (tile > 1 && tile * nth * k > HEAP_BYTES / sizeof(cts_flat_hit))
        tile /= 2;
    if (tile > n_queries)
        tile = n_queries;
    s.heaps = calloc(nth * tile, sizeof(*s.heaps));
    s.scores = malloc(nth * QUERY_TILE * ROW_TILE * sizeof(float));
    room = calloc(nth * tile, k * sizeof(*room));
    if (!s.heaps || !s.scores || !room) {
        rc = cts_fail(CTS_E_NOMEM, "exact search: out of memory for %zu hits a query", k);
        goto out;
    }
    for (size_t from = 0; from < n_queries; from += tile) {
        s.queries = queries + from * base->dim;
        s.n_queries = n_queries - from < tile ? n_queries - from : tile;
        for (size_t i = 0; i < nth * s.n_queries; i++)
            s.heaps[i] = (heap){room + i * k, 0, k};
        if ((rc = cts_parallel_for(pool, scan_rows, &s)) != CTS_OK)
            goto out;
        for (size_t q = 0; q < s.n_queries; q++) {
            heap all = {hits + (from + q) * k, 0, k};

            for (size_t t = 0; t < nth; t++) {
                const heap *part = &s.heaps[t * s.n_queries + q];

                for (size_t i = 0; i < part->n; i++)
                    heap_push(&all, part->hits[i].score, part->hits[i].row);
            }
            heap_finish(&all);
        }
    }
out:
    free(s.heaps);
    free(s.scores);
    free(room);
    return rc;
}

int cts_flat_search_plain(const cts_flat_base *base, const float *queries, size_t n_queries, size_t k,
                          cts_flat_hit *hits)
{
    CTS_ASSERT(k >= 1 && base->dim >= 1, "k %zu, dim %zu", k, base->dim);
    for (size_t q = 0; q < n_queries; q++) {
        heap all = {hits + q * k, 0, k};

        for (size_t r = 0; r < base->n; r++) {
            double sum = 0.0;

            if (base->allowed && !(base->allowed[r / 64] >> (r % 64) & 1))
                continue;
            for (size_t i = 0; i < base->dim; i++)
                sum += (double)base->rows[r * base->dim + i] * queries[q * base->dim + i];
            heap_push(&all, (float)sum, (int64_t)r);
        }
        heap_finish(&all);
    }
    return CTS_OK;
}

float cts_flat_dot(const float *a, const float *b, size_t dim)
{
    return cts_flat_pick_kernels()->dot(a, b, dim);
}

const char *cts_flat_isa(void)
{
    return cts_flat_pick_kernels()->name;
}
