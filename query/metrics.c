/* SPDX-License-Identifier: MIT */
#include "query/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/base/status.h"

typedef struct {
    float score;
    uint8_t label;
} scored;

static int by_score(const void *a, const void *b)
{
    float x = ((const scored *)a)->score, y = ((const scored *)b)->score;

    return (x > y) - (x < y);
}

int cts_auroc(const float *scores, const uint8_t *labels, size_t n, double *auroc, size_t *positives)
{
    scored *s = malloc((n + 1) * sizeof *s);
    double wins = 0.0, below = 0.0;
    size_t pos = 0;

    if (!s)
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu scores", n);
    for (size_t i = 0; i < n; i++) {
        if (isnan(scores[i])) {
            free(s);
            return cts_fail(CTS_E_INPUT, "scores: row %zu is not a number", i);
        }
        s[i] = (scored){scores[i], labels[i]};
        pos += labels[i] != 0;
    }
    qsort(s, n, sizeof *s, by_score);
    for (size_t i = 0, j; i < n;
         i = j) { /* a run of equal scores: each positive beats the negatives below and half of those in the run */
        double p = 0.0, q = 0.0;

        for (j = i; j < n && s[j].score == s[i].score; j++)
            *(s[j].label ? &p : &q) += 1.0;
        wins += p * (below + 0.5 * q);
        below += q;
    }
    *auroc = pos && pos < n ? wins / ((double)pos * (double)(n - pos)) : NAN;
    *positives = pos;
    free(s);
    return CTS_OK;
}

typedef struct {
    const float *query, *candidate;
    size_t n, d;
    int64_t *rank;
} rank_task;

static double dot(const float *a, const float *b, size_t d)
{
    double part[8] = {0};
    size_t i = 0;

    for (; i + 8 <= d; i += 8)
        for (size_t k = 0; k < 8; k++)
            part[k] += (double)a[i + k] * b[i + k];
    for (; i < d; i++)
        part[0] += (double)a[i] * b[i];
    return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
}

#define QUERIES 32 /* queries that share one pass over the candidates */

static int rank_part(void *ctx, int ith, int nth)
{
    const rank_task *t = ctx;
    int64_t lo, hi;

    cts_split((int64_t)t->n, QUERIES, ith, nth, &lo, &hi);
    for (int64_t q0 = lo; q0 < hi; q0 += QUERIES) {
        int64_t q1 = q0 + QUERIES < hi ? q0 + QUERIES : hi;
        float own[QUERIES];

        for (int64_t q = q0; q < q1; q++) {
            own[q - q0] = (float)dot(t->query + (size_t)q * t->d, t->candidate + (size_t)q * t->d, t->d);
            t->rank[q] = 0;
        }
        for (size_t c = 0; c < t->n; c++)
            for (int64_t q = q0; q < q1; q++) {
                float s = (float)dot(t->query + (size_t)q * t->d, t->candidate + c * t->d, t->d);

                t->rank[q] += s > own[q - q0] || (s == own[q - q0] && (int64_t)c < q);
            }
    }
    return CTS_OK;
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

int cts_pair_ranks(const float *query, const float *candidate, size_t n, size_t d, cts_pool *pool, int64_t *rank)
{
    rank_task t = {query, candidate, n, d, rank};
    int rc;

    if ((rc = check_finite(query, n, d, "query")) || (rc = check_finite(candidate, n, d, "candidate")))
        return rc;
    return cts_parallel_for(pool, rank_part, &t);
}

double cts_recall_at(const int64_t *rank, size_t n, int64_t k)
{
    size_t hits = 0;

    for (size_t i = 0; i < n; i++)
        hits += rank[i] < k;
    return n ? (double)hits / (double)n : 0.0;
}
