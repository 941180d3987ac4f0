/* Resampling of patients. SPDX-License-Identifier: MIT */
#include "query/metrics/bootstrap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "query/metrics/scored_internal.h"

typedef struct {
    int64_t patient;
    size_t row;
} seen;

static int by_patient(const void *a, const void *b)
{
    const seen *x = a, *y = b;

    if (x->patient != y->patient)
        return (x->patient > y->patient) - (x->patient < y->patient);
    return (x->row > y->row) - (x->row < y->row);
}

/* number [n]: patients in order of first appearance, whatever numbers the caller has for them. */
static int number_patients(int64_t *number, const int64_t *patient, size_t n, size_t *n_patients)
{
    seen *s = malloc(n * sizeof *s);
    int64_t next = 0;

    if (!s)
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu rows", n);
    for (size_t i = 0; i < n; i++)
        s[i] = (seen){patient[i], i};
    qsort(s, n, sizeof *s, by_patient);
    for (size_t i = 0, first = 0; i < n; i++) { /* the row where its patient is met first */
        if (s[i].patient != s[first].patient)
            first = i;
        number[s[i].row] = (int64_t)s[first].row;
    }
    for (size_t i = 0; i < n; i++)
        number[i] = number[i] == (int64_t)i ? next++ : number[number[i]];
    *n_patients = (size_t)next;
    free(s);
    return CTS_OK;
}

int cts_bootstrap_init(cts_bootstrap *b, const int64_t *patient, size_t n, size_t n_resamples, uint64_t seed)
{
    cts_bootstrap made = {.n = n, .n_patients = n, .n_resamples = n_resamples, .seed = seed};
    int rc = CTS_OK;

    if (!n || !n_resamples)
        return cts_fail(CTS_E_INPUT, "bootstrap: got %zu rows and %zu resamples, allowed: at least one of each", n,
                        n_resamples);
    if (!(made.patient = malloc(n * sizeof *made.patient)))
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu rows", n);
    if (patient)
        rc = number_patients(made.patient, patient, n, &made.n_patients);
    else
        for (size_t i = 0; i < n; i++)
            made.patient[i] = (int64_t)i;
    if (rc)
        free(made.patient);
    else
        *b = made;
    return rc;
}

void cts_bootstrap_free(cts_bootstrap *b)
{
    free(b->patient);
    *b = (cts_bootstrap){0};
}

void cts_bootstrap_weights(const cts_bootstrap *b, size_t r, uint32_t *count, uint32_t *weight)
{
    cts_rng rng = cts_rng_make(cts_rng_split(b->seed, r));

    memset(count, 0, b->n_patients * sizeof *count);
    for (size_t i = 0; i < b->n_patients; i++)
        count[cts_rng_below(&rng, b->n_patients)]++;
    for (size_t i = 0; i < b->n; i++)
        weight[i] = count[b->patient[i]];
}

typedef struct {
    const cts_bootstrap *b;
    cts_statistic_fn fn;
    void *ctx;
    size_t n_values;
    double *sample;
} run_task;

static int run_part(void *ctx, int ith, int nth)
{
    const run_task *t = ctx;
    uint32_t *count = malloc(t->b->n_patients * sizeof *count), *weight = malloc(t->b->n * sizeof *weight);
    double *out = malloc((t->n_values + 1) * sizeof *out);
    int64_t lo, hi;
    int rc = count && weight && out ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %zu rows", t->b->n);

    cts_split((int64_t)t->b->n_resamples, 1, ith, nth, &lo, &hi);
    for (size_t r = (size_t)lo; !rc && r < (size_t)hi; r++) {
        cts_bootstrap_weights(t->b, r, count, weight);
        rc = t->fn(t->ctx, weight, out);
        for (size_t v = 0; !rc && v < t->n_values; v++)
            t->sample[v * t->b->n_resamples + r] = out[v];
    }
    free(count);
    free(weight);
    free(out);
    return rc;
}

int cts_bootstrap_run(const cts_bootstrap *b, cts_statistic_fn fn, void *ctx, size_t n_values, cts_pool *pool,
                      double *sample)
{
    run_task t = {b, fn, ctx, n_values, sample};

    return cts_parallel_for(pool, run_part, &t);
}

/* ---- areas under ROC curves ---- */

/* Rows of one label in falling order of score, one word each: the row, whether it is positive, and whether it ends a
 * run of equal scores. */
#define ROW(x) ((x) >> 2)
#define POSITIVE(x) ((x) >> 1 & 1)
#define ENDS_RUN(x) ((x)&1)

typedef struct {
    uint32_t *order; /* [m, n] */
    size_t n, m;
} area_task;

static double weighted_area(const uint32_t *order, size_t n, const uint32_t *weight)
{
    uint64_t wins = 0, positives = 0, negatives = 0, p = 0, q = 0;

    /* From above: a negative loses to all positives above it and to half of those in its own run. Counted twice. */
    for (size_t i = 0; i < n; i++) {
        uint64_t w = weight[ROW(order[i])];

        if (POSITIVE(order[i]))
            p += w;
        else
            q += w;
        if (ENDS_RUN(order[i])) {
            wins += q * (2 * positives + p);
            positives += p;
            negatives += q;
            p = q = 0;
        }
    }
    return positives && negatives ? (double)wins / (2.0 * (double)positives * (double)negatives) : NAN;
}

static int areas(void *ctx, const uint32_t *weight, double *out)
{
    const area_task *t = ctx;

    for (size_t j = 0; j < t->m; j++)
        out[j] = weighted_area(t->order + j * t->n, t->n, weight);
    out[t->m] = cts_mean_defined(out, t->m, NULL);
    return CTS_OK;
}

int cts_bootstrap_auroc(const cts_bootstrap *b, const float *scores, const uint8_t *labels, size_t m, cts_pool *pool,
                        double *sample)
{
    area_task t = {NULL, b->n, m};
    int rc = cts_scores_check(scores, b->n, m, NULL);

    if (rc)
        return rc;
    if (b->n >> 30)
        return cts_fail(CTS_E_LIMIT, "bootstrap: got %zu rows, allowed: 2^30 - 1", b->n);
    if (!(t.order = malloc((m * b->n + 1) * sizeof *t.order)))
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu scores", m * b->n);
    for (size_t j = 0; !rc && j < m; j++) {
        cts_scored *s;
        size_t positives;

        if ((rc = cts_scored_sort(&s, scores + j, labels + j, b->n, m, &positives)))
            break;
        for (size_t i = 0; i < b->n; i++)
            t.order[j * b->n + i] = (uint32_t)s[i].row << 2 | (uint32_t)s[i].positive << 1 |
                                    (i + 1 == b->n || s[i + 1].score != s[i].score);
        free(s);
    }
    if (!rc)
        rc = cts_bootstrap_run(b, areas, &t, m + 1, pool, sample);
    free(t.order);
    return rc;
}

/* ---- means and counts ---- */

typedef struct {
    const double *value; /* [n_values, n] */
    size_t n, n_values;
} mean_task;

static int means(void *ctx, const uint32_t *weight, double *out)
{
    const mean_task *t = ctx;

    for (size_t v = 0; v < t->n_values; v++) {
        const double *value = t->value + v * t->n;
        double sum = 0.0;
        uint64_t count = 0;

        for (size_t i = 0; i < t->n; i++)
            if (!isnan(value[i])) {
                sum += weight[i] * value[i];
                count += weight[i];
            }
        out[v] = count ? sum / (double)count : NAN;
    }
    return CTS_OK;
}

int cts_bootstrap_means(const cts_bootstrap *b, const double *value, size_t n_values, cts_pool *pool, double *sample)
{
    mean_task t = {value, b->n, n_values};

    return cts_bootstrap_run(b, means, &t, n_values, pool, sample);
}

typedef struct {
    const uint8_t *prediction, *labels; /* [n, m] */
    size_t n, m;
    cts_counts_fn fn;
    void *ctx;
} count_task;

static int counted(void *ctx, const uint32_t *weight, double *out)
{
    const count_task *t = ctx;
    cts_counts *counts = malloc((t->m + 1) * sizeof *counts);

    if (!counts)
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu labels", t->m);
    cts_count_cells(t->prediction, t->labels, t->n, t->m, weight, counts);
    t->fn(t->ctx, counts, t->m, out);
    free(counts);
    return CTS_OK;
}

int cts_bootstrap_counts(const cts_bootstrap *b, const uint8_t *prediction, const uint8_t *labels, size_t m,
                         cts_counts_fn fn, void *ctx, size_t n_values, cts_pool *pool, double *sample)
{
    count_task t = {prediction, labels, b->n, m, fn, ctx};

    return cts_bootstrap_run(b, counted, &t, n_values, pool, sample);
}
