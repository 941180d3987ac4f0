/* Ranks of true pairs, tile by tile.
 *
 * First the score each query has to be compared with: that of its own partner, or of the best member of its group. Then
 * every tile of the n x n products is made once and counted twice: along its rows for texts that look for images, down
 * its columns for images that look for texts. A worker keeps the images' counts to itself and they are added at the
 * end; counts are whole numbers, so the sum does not depend on who did what.
 * SPDX-License-Identifier: MIT */
#include "query/metrics/pairs.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "kernels/base/arena.h"
#include "kernels/base/status.h"
#include "query/metrics/pairs_internal.h"

#define LINE (64 / sizeof(float)) /* floats in 64 bytes */

typedef struct {
    const cts_pair_kernels *k;
    const float *text, *image;
    size_t n, d;
    const int64_t *group;  /* NULL: every pair is its own */
    const int32_t *member; /* [n] rows by group, then by number */
    float *own_t, *own_i;  /* [n] score to beat */
    int32_t *target_t, *target_i;
    uint32_t *count_t; /* [n] */
    uint32_t *count_i; /* [workers, n] */
} pairs;

/* ---- the scores to beat ---- */

/* The better score, the lower row of equals. */
static void better(float *own, int32_t *target, float score, int32_t row)
{
    if (*target < 0 || score > *own || (score == *own && row < *target)) {
        *own = score;
        *target = row;
    }
}

/* Every text of one group with every image of it: g [n] are its rows, a and b room for packed strips. */
static void group_targets(pairs *p, const int32_t *g, size_t n, float *a, float *b)
{
    float tile[CTS_PAIR_ROWS_MAX * CTS_PAIR_COLS_MAX] __attribute__((aligned(64)));
    size_t rows = (size_t)p->k->rows, cols = (size_t)p->k->cols;

    for (size_t i0 = 0; i0 < n; i0 += rows) {
        size_t ni = n - i0 < rows ? n - i0 : rows;

        cts_pair_pack(a, p->text, p->d, g + i0, 0, ni, rows);
        for (size_t j0 = 0; j0 < n; j0 += cols) {
            size_t nj = n - j0 < cols ? n - j0 : cols;

            cts_pair_pack(b, p->image, p->d, g + j0, 0, nj, cols);
            p->k->tile(tile, cols, a, b, p->d);
            for (size_t i = 0; i < ni; i++)
                for (size_t j = 0; j < nj; j++) {
                    int32_t t = g[i0 + i], v = g[j0 + j];

                    better(&p->own_t[t], &p->target_t[t], tile[i * cols + j], v);
                    better(&p->own_i[v], &p->target_i[v], tile[i * cols + j], t);
                }
        }
    }
}

static bool same_group(const pairs *p, size_t a, size_t b)
{
    return p->group && p->group[p->member[a]] == p->group[p->member[b]];
}

/* Worker ith takes the groups that begin in its share of the members. */
static int target_part(void *ctx, int ith, int nth)
{
    pairs *p = ctx;
    /* strip and panel in one piece, the panel on a 64-byte line of its own */
    size_t strip = (p->d * CTS_PAIR_ROWS_MAX + LINE - 1) / LINE * LINE;
    float *a = cts_aligned_alloc((strip + p->d * CTS_PAIR_COLS_MAX) * sizeof *a);
    float *b = a ? a + strip : NULL;
    int64_t lo, hi;

    if (!a)
        return cts_fail(CTS_E_NOMEM, "out of memory for tiles of %zu components", p->d);
    cts_split((int64_t)p->n, 1, ith, nth, &lo, &hi);
    for (size_t i = (size_t)lo, j; i < (size_t)hi; i = j) {
        for (j = i + 1; j < p->n && same_group(p, j, i); j++)
            ;
        if (i == 0 || !same_group(p, i - 1, i))
            group_targets(p, p->member + i, j - i, a, b);
    }
    cts_aligned_free(a);
    return CTS_OK;
}

/* ---- counting ---- */

/* s [n]: scores of one text with images j0, j0 + 1, ... Equal ones count where their index is below the target's. */
static uint32_t count_row(const cts_pair_kernels *k, const float *s, size_t j0, size_t n, float own, int32_t target)
{
    size_t before = (size_t)target <= j0 ? 0 : (size_t)target - j0 < n ? (size_t)target - j0 : n;

    return k->at_least(s, before, own) + k->above(s + before, n - before, own);
}

typedef struct {
    pairs *p;
    uint32_t *count_i; /* the worker's own */
} count_task;

static void count_strip(void *ctx, size_t i0, size_t ni, size_t j0, size_t nj, const float *s, size_t stride)
{
    const count_task *c = ctx;
    pairs *p = c->p;

    for (size_t t = i0; t < i0 + ni; t++, s += stride) {
        p->count_t[t] += count_row(p->k, s, j0, nj, p->own_t[t], p->target_t[t]);
        p->k->columns(c->count_i + j0, s, p->own_i + j0, p->target_i + j0, (int32_t)t, nj);
    }
}

static int count_part(void *ctx, int ith, int nth)
{
    pairs *p = ctx;
    count_task c = {p, p->count_i + (size_t)ith * p->n};
    int64_t lo, hi;

    cts_split((int64_t)p->n, p->k->rows, ith, nth, &lo, &hi);
    return cts_pair_sweep(p->k, p->text, (size_t)lo, (size_t)hi, p->image, p->n, p->d, count_strip, &c);
}

/* ---- the whole ---- */

static int by_group(const void *a, const void *b, void *ctx)
{
    const int64_t *group = ctx;
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

    return group[x] != group[y] ? (group[x] > group[y]) - (group[x] < group[y]) : (x > y) - (x < y);
}

static int32_t *sort_members(const int64_t *group, size_t n)
{
    int32_t *m = malloc(n * sizeof *m);

    for (size_t i = 0; m && i < n; i++)
        m[i] = (int32_t)i;
    if (m && group)
        qsort_r(m, n, sizeof *m, by_group, (void *)group);
    return m;
}

/* A NaN is neither above nor equal to anything, so its row would have rank 0: a model that has diverged would look
 * perfect. */
static int check_finite(const float *v, size_t n, size_t d, const char *what)
{
    for (size_t i = 0; i < n * d; i++)
        if (!isfinite(v[i]))
            return cts_fail(CTS_E_INPUT, "%s vectors: row %zu has a component that is not finite", what, i / d);
    return CTS_OK;
}

static int check_scores(const pairs *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (!isfinite(p->own_t[i]) || !isfinite(p->own_i[i]))
            return cts_fail(CTS_E_INPUT, "text and image vectors: the score of pair %zu is not finite", i);
    return CTS_OK;
}

static int run(pairs *p, cts_pool *pool, int64_t *rank_t2i, int64_t *rank_i2t)
{
    int workers = cts_pool_size(pool), rc;

    for (size_t i = 0; i < p->n; i++)
        p->target_t[i] = p->target_i[i] = -1;
    if ((rc = cts_parallel_for(pool, target_part, p)) || (rc = check_scores(p)) ||
        (rc = cts_parallel_for(pool, count_part, p)))
        return rc;
    for (size_t i = 0; i < p->n; i++) {
        uint32_t sum = 0;

        for (int w = 0; w < workers; w++)
            sum += p->count_i[(size_t)w * p->n + i];
        if (rank_t2i)
            rank_t2i[i] = p->count_t[i];
        if (rank_i2t)
            rank_i2t[i] = sum;
    }
    return CTS_OK;
}

int cts_pair_ranks(const float *text, const float *image, size_t n, size_t d, const int64_t *group, cts_pool *pool,
                   int64_t *rank_t2i, int64_t *rank_i2t)
{
    pairs p = {.text = text, .image = image, .n = n, .d = d, .group = group};
    int32_t *members = NULL;
    uint32_t *count = NULL;
    float *own = NULL;
    int32_t *target = NULL;
    int rc;

    if (!n)
        return CTS_OK;
    if (n > INT32_MAX)
        return cts_fail(CTS_E_LIMIT, "recall: got %zu pairs, allowed: %d", n, INT32_MAX);
    if ((rc = check_finite(text, n, d, "text")) || (rc = check_finite(image, n, d, "image")) ||
        (rc = cts_pair_pick_kernels(&p.k)))
        return rc;
    own = malloc(2 * n * sizeof *own);
    target = malloc(2 * n * sizeof *target);
    count = calloc((1 + (size_t)cts_pool_size(pool)) * n, sizeof *count);
    p.member = members = sort_members(group, n);
    if (own && target && count && members) {
        p.own_t = own;
        p.own_i = own + n;
        p.target_t = target;
        p.target_i = target + n;
        p.count_t = count;
        p.count_i = count + n;
        rc = run(&p, pool, rank_t2i, rank_i2t);
    } else
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu ranks", n);
    free(own);
    free(target);
    free(count);
    free(members);
    return rc;
}

int cts_matrix_ranks(const float *scores, size_t n, const int64_t *group, int64_t *rank)
{
    for (size_t i = 0; i < n * n; i++)
        if (isnan(scores[i]))
            return cts_fail(CTS_E_INPUT, "scores: row %zu, column %zu is not a number", i / n, i % n);
    for (size_t i = 0; i < n; i++) {
        const float *s = scores + i * n;
        size_t best = i;

        for (size_t j = 0; group && j < n; j++)
            if (group[j] == group[i] && (s[j] > s[best] || (s[j] == s[best] && j < best)))
                best = j;
        rank[i] = 0;
        for (size_t j = 0; j < n; j++)
            rank[i] += s[j] > s[best] || (s[j] == s[best] && j < best);
    }
    return CTS_OK;
}

const char *cts_pair_isa(void)
{
    const cts_pair_kernels *k;

    return cts_pair_pick_kernels(&k) ? "none" : k->name;
}
