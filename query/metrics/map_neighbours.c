/* Who stands nearest to whom: from vectors, from a matrix of scores, or from the labels themselves.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/flat.h"
#include "kernels/base/status.h"
#include "query/metrics/map_internal.h"

#define QUERIES 256 /* that share one pass over the gallery */

/* rows of v, each divided by its length; lengths and quotients in double. */
static int normalise(float **out, const float *v, size_t n, size_t d)
{
    float *unit = malloc((n * d + 1) * sizeof *unit);

    if (!unit)
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu vectors", n);
    for (size_t i = 0; i < n; i++) {
        const float *p = v + i * d;
        double square = 0.0;

        for (size_t k = 0; k < d; k++)
            square += (double)p[k] * p[k];
        if (!isfinite(square) || !(square > 0.0)) {
            free(unit);
            return cts_fail(CTS_E_INPUT, "MAP: vector of row %zu %s", i,
                            isfinite(square) ? "is zero and has no direction" : "has a component that is not finite");
        }
        for (size_t k = 0; k < d; k++)
            unit[i * d + k] = (float)(p[k] / sqrt(square));
    }
    *out = unit;
    return CTS_OK;
}

/* The first k of hits[n_hits] that are not row `self` (or all, when self is -1). */
static void keep(int64_t *row, size_t k, const cts_flat_hit *hits, size_t n_hits, int64_t self)
{
    size_t kept = 0;

    for (size_t h = 0; h < n_hits && kept < k; h++)
        if (hits[h].row >= 0 && hits[h].row != self)
            row[kept++] = hits[h].row;
    while (kept < k)
        row[kept++] = -1;
}

static bool removes_self(cts_map_rule rule)
{
    return rule != CTS_MAP_CTCLIP;
}

static int gallery_bits(uint64_t **out, cts_map_rule rule, const uint8_t *labels, size_t n, size_t m)
{
    uint64_t *bits = calloc(n / 64 + 1, sizeof *bits);
    uint8_t *member = malloc(n + 1);
    size_t gallery, queries;
    int rc = bits && member ? cts_map_parts(rule, labels, n, m, member, NULL, &gallery, &queries)
                            : cts_fail(CTS_E_NOMEM, "out of memory for %zu rows", n);

    for (size_t i = 0; !rc && i < n; i++)
        bits[i / 64] |= (uint64_t)member[i] << (i % 64);
    free(member);
    if (rc)
        free(bits);
    else
        *out = bits;
    return rc;
}

int cts_map_neighbours(cts_map_rule rule, const float *embeddings, size_t n, size_t d, const uint8_t *labels, size_t m,
                       size_t k, cts_pool *pool, int64_t *row)
{
    size_t wanted = k + removes_self(rule);
    cts_flat_hit *hits = malloc((QUERIES * wanted + 1) * sizeof *hits);
    uint64_t *allowed = NULL;
    float *unit = NULL;
    int rc = hits ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %zu neighbours", wanted);

    if (rc || (rc = normalise(&unit, embeddings, n, d)) || (rc = gallery_bits(&allowed, rule, labels, n, m)))
        goto out;
    for (size_t q = 0; !rc && k && q < n; q += QUERIES) {
        cts_flat_base base = {.rows = unit, .n = n, .dim = d, .allowed = allowed};
        size_t count = n - q < QUERIES ? n - q : QUERIES;

        rc = cts_flat_search(&base, unit + q * d, count, wanted, hits, pool);
        for (size_t i = 0; !rc && i < count; i++)
            keep(row + (q + i) * k, k, hits + i * wanted, wanted, removes_self(rule) ? (int64_t)(q + i) : -1);
    }
out:
    free(hits);
    free(unit);
    free(allowed);
    return rc;
}

static int by_score(const void *a, const void *b)
{
    const cts_flat_hit *x = a, *y = b;

    return x->score != y->score ? (x->score < y->score) - (x->score > y->score) : (x->row > y->row) - (x->row < y->row);
}

int cts_map_neighbours_of_matrix(cts_map_rule rule, const float *scores, size_t n, const uint8_t *labels, size_t m,
                                 size_t k, int64_t *row)
{
    cts_flat_hit *hits = malloc((n + 1) * sizeof *hits);
    uint64_t *allowed = NULL;
    int rc = hits ? gallery_bits(&allowed, rule, labels, n, m) : cts_fail(CTS_E_NOMEM, "out of memory for %zu rows", n);

    for (size_t i = 0; !rc && i < n * n; i++)
        if (isnan(scores[i]))
            rc = cts_fail(CTS_E_INPUT, "scores: row %zu, column %zu is not a number", i / n, i % n);
    for (size_t i = 0; !rc && i < n; i++) {
        size_t count = 0;

        for (size_t j = 0; j < n; j++)
            if (allowed[j / 64] >> (j % 64) & 1)
                hits[count++] = (cts_flat_hit){scores[i * n + j], (int64_t)j};
        qsort(hits, count, sizeof *hits, by_score);
        keep(row + i * k, k, hits, count, removes_self(rule) ? (int64_t)i : -1);
    }
    free(hits);
    free(allowed);
    return rc;
}

/* ---- from the labels ---- */

/* Rows of every kind: start[t] .. start[t + 1] of rows[]. */
static void rows_by_kind(size_t *start, int64_t *rows, const cts_map_kind *kind, size_t n_kinds, const uint64_t *set,
                         size_t n)
{
    start[0] = 0;
    for (size_t t = 0; t < n_kinds; t++)
        start[t + 1] = start[t] + kind[t].count;
    for (size_t i = n; i-- > 0;) /* from behind, counting each kind's end down to its start */
        rows[--start[cts_map_kind_of(kind, n_kinds, set[i]) + 1]] = (int64_t)i;
    for (size_t t = 0; t < n_kinds; t++) /* start[t + 1] is now where kind t begins */
        start[t] = start[t + 1];
    start[n_kinds] = n;
}

/* Kinds of the gallery, the most useful first, into order[]; returns how many. */
static size_t kinds_by_use(cts_flat_hit *order, cts_map_rule rule, uint64_t query, const cts_map_kind *kind,
                           size_t n_kinds)
{
    size_t count = 0;

    for (size_t t = 0; t < n_kinds; t++)
        if (rule == CTS_MAP_SPECTRE || kind[t].set) {
            double use = rule == CTS_MAP_CTCLIP ? cts_map_jaccard(query, kind[t].set)
                                                : cts_map_relevant(rule, query, kind[t].set);

            order[count++] = (cts_flat_hit){(float)use, (int64_t)t};
        }
    qsort(order, count, sizeof *order, by_score);
    return count;
}

int cts_map_neighbours_oracle(cts_map_rule rule, const uint8_t *labels, size_t n, size_t m, size_t k, int64_t *row)
{
    cts_flat_hit *order = malloc((n + 1) * sizeof *order);
    size_t *start = malloc((n + 2) * sizeof *start), n_kinds = 0;
    int64_t *rows = malloc((n + 1) * sizeof *rows);
    cts_map_kind *kind = NULL;
    uint64_t *set = NULL;
    int rc = order && start && rows ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %zu rows", n);

    if (rc || (rc = cts_map_sets(&set, labels, n, m)) || (rc = cts_map_kinds(&kind, &n_kinds, set, n)))
        goto out;
    rows_by_kind(start, rows, kind, n_kinds, set, n);
    for (size_t t = 0; t < n_kinds; t++) {
        size_t count = kinds_by_use(order, rule, kind[t].set, kind, n_kinds);

        for (size_t q = start[t]; q < start[t + 1]; q++) {
            int64_t *list = row + (size_t)rows[q] * k;
            size_t kept = 0;

            for (size_t o = 0; o < count && kept < k; o++)
                for (size_t r = start[order[o].row]; r < start[order[o].row + 1] && kept < k; r++)
                    if (!removes_self(rule) || rows[r] != rows[q])
                        list[kept++] = rows[r];
            while (kept < k)
                list[kept++] = -1;
        }
    }
out:
    free(order);
    free(start);
    free(rows);
    free(kind);
    free(set);
    return rc;
}
