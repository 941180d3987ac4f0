/* Who stands nearest to whom: from vectors, from a matrix of scores, or from the labels themselves.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>

#include "kernels/base/status.h"
#include "query/metrics/map_internal.h"
#include "query/metrics/pairs_internal.h"

typedef struct {
    float score;
    int64_t row;
} hit;

static bool removes_self(cts_map_rule rule)
{
    return rule != CTS_MAP_CTCLIP;
}

static int gallery_of(uint8_t **out, cts_map_rule rule, const uint8_t *labels, size_t n, size_t m)
{
    uint8_t *member = malloc(n + 1);
    size_t gallery, queries;
    int rc = member ? cts_map_parts(rule, labels, n, m, member, NULL, &gallery, &queries)
                    : cts_fail(CTS_E_NOMEM, "out of memory for %zu rows", n);

    if (rc)
        free(member);
    else
        *out = member;
    return rc;
}

/* ---- from vectors ---- */

typedef struct {
    const cts_pair_kernels *kernels;
    const float *embeddings;
    float *length; /* [n] */
    size_t n, d, k;
    bool removes_self;
    const uint8_t *in_gallery;
    int64_t *row; /* [n, k] */
    float *score; /* [n, k] of those rows */
} nearest;

static int lengths(float *length, const float *v, size_t n, size_t d)
{
    for (size_t i = 0; i < n; i++, v += d) {
        double square = 0.0;

        for (size_t k = 0; k < d; k++)
            square += (double)v[k] * v[k];
        length[i] = (float)sqrt(square);
        if (!isfinite(length[i] * length[i]) || !(length[i] * length[i] > 0.0f))
            return cts_fail(CTS_E_INPUT,
                            "MAP: length of the vector of row %zu: got %g, allowed: finite and above 0, its "
                            "square too",
                            i, (double)length[i]);
    }
    return CTS_OK;
}

/* Candidates come in rising order, so an equal score stands behind what is already there. */
static void insert(int64_t *row, float *score, size_t k, float s, int64_t j)
{
    size_t at = k - 1;

    for (; at > 0 && (row[at - 1] < 0 || s > score[at - 1]); at--) {
        row[at] = row[at - 1];
        score[at] = score[at - 1];
    }
    row[at] = j;
    score[at] = s;
}

/* Products are divided by the lengths, and not vectors before: vectors of small whole numbers keep their exact ties. */
static void keep_strip(void *ctx, size_t i0, size_t ni, size_t j0, size_t nj, const float *s, size_t stride)
{
    const nearest *t = ctx;

    for (size_t i = i0; i < i0 + ni; i++, s += stride) {
        int64_t *row = t->row + i * t->k;
        float *score = t->score + i * t->k;

        for (size_t j = j0; j < j0 + nj; j++) {
            float cosine = s[j - j0] / (t->length[i] * t->length[j]);

            if ((row[t->k - 1] < 0 || cosine > score[t->k - 1]) && t->in_gallery[j] && !(t->removes_self && i == j))
                insert(row, score, t->k, cosine, (int64_t)j);
        }
    }
}

static int nearest_part(void *ctx, int ith, int nth)
{
    nearest *t = ctx;
    int64_t lo, hi;

    cts_split((int64_t)t->n, t->kernels->rows, ith, nth, &lo, &hi);
    return cts_pair_sweep(t->kernels, t->embeddings, (size_t)lo, (size_t)hi, t->embeddings, t->n, t->d, keep_strip, t);
}

int cts_map_neighbours(cts_map_rule rule, const float *embeddings, size_t n, size_t d, const uint8_t *labels, size_t m,
                       size_t k, cts_pool *pool, int64_t *row)
{
    nearest t = {.embeddings = embeddings, .n = n, .d = d, .k = k, .removes_self = removes_self(rule), .row = row};
    uint8_t *member = NULL;
    int rc;

    t.length = malloc((n + 1) * sizeof *t.length);
    t.score = malloc((n * k + 1) * sizeof *t.score);
    rc = t.length && t.score ? cts_pair_pick_kernels(&t.kernels)
                             : cts_fail(CTS_E_NOMEM, "out of memory for %zu neighbours of %zu rows", k, n);
    if (rc || (rc = lengths(t.length, embeddings, n, d)) || (rc = gallery_of(&member, rule, labels, n, m)))
        goto out;
    t.in_gallery = member;
    for (size_t i = 0; i < n * k; i++)
        row[i] = -1;
    if (n && k)
        rc = cts_parallel_for(pool, nearest_part, &t);
out:
    free(t.length);
    free(t.score);
    free(member);
    return rc;
}

/* ---- from a matrix ---- */

static int by_score(const void *a, const void *b)
{
    const hit *x = a, *y = b;

    return x->score != y->score ? (x->score < y->score) - (x->score > y->score) : (x->row > y->row) - (x->row < y->row);
}

/* The first k of hits[n_hits] that are not row `self` (or all, when self is -1). */
static void keep(int64_t *row, size_t k, const hit *hits, size_t n_hits, int64_t self)
{
    size_t kept = 0;

    for (size_t h = 0; h < n_hits && kept < k; h++)
        if (hits[h].row != self)
            row[kept++] = hits[h].row;
    while (kept < k)
        row[kept++] = -1;
}

int cts_map_neighbours_of_matrix(cts_map_rule rule, const float *scores, size_t n, const uint8_t *labels, size_t m,
                                 size_t k, int64_t *row)
{
    hit *hits = malloc((n + 1) * sizeof *hits);
    uint8_t *in_gallery = NULL;
    int rc =
        hits ? gallery_of(&in_gallery, rule, labels, n, m) : cts_fail(CTS_E_NOMEM, "out of memory for %zu rows", n);

    for (size_t i = 0; !rc && i < n * n; i++)
        if (isnan(scores[i]))
            rc = cts_fail(CTS_E_INPUT, "scores: row %zu, column %zu is not a number", i / n, i % n);
    for (size_t i = 0; !rc && i < n; i++) {
        size_t count = 0;

        for (size_t j = 0; j < n; j++)
            if (in_gallery[j])
                hits[count++] = (hit){scores[i * n + j], (int64_t)j};
        qsort(hits, count, sizeof *hits, by_score);
        keep(row + i * k, k, hits, count, removes_self(rule) ? (int64_t)i : -1);
    }
    free(hits);
    free(in_gallery);
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
static size_t kinds_by_use(hit *order, cts_map_rule rule, uint64_t query, const cts_map_kind *kind, size_t n_kinds)
{
    size_t count = 0;

    for (size_t t = 0; t < n_kinds; t++)
        if (rule == CTS_MAP_SPECTRE || kind[t].set) {
            double use = rule == CTS_MAP_CTCLIP ? cts_map_jaccard(query, kind[t].set)
                                                : cts_map_relevant(rule, query, kind[t].set);

            order[count++] = (hit){(float)use, (int64_t)t};
        }
    qsort(order, count, sizeof *order, by_score);
    return count;
}

int cts_map_neighbours_oracle(cts_map_rule rule, const uint8_t *labels, size_t n, size_t m, size_t k, int64_t *row)
{
    hit *order = malloc((n + 1) * sizeof *order);
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
