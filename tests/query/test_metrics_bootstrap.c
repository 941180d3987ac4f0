/* Resamples of patients, the statistics over them, intervals, and the rows of chance and perfection.
 * SPDX-License-Identifier: MIT */
#include "query/metrics/bootstrap.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "query/metrics/baseline.h"
#include "query/metrics/pairs.h"

#define SEED 20240613
#define N 90
#define M 3
#define R 200

static void near(double got, double expected, double limit)
{
    if (!(fabs(got - expected) <= limit) && !(isnan(got) && isnan(expected)))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

typedef struct {
    float scores[N * M];
    uint8_t labels[N * M], prediction[N * M];
    double value[2 * N];
    int64_t patient[N];
    cts_bootstrap b;
} data;

static void make(data *d)
{
    cts_rng rng = cts_rng_make(SEED);

    for (size_t i = 0; i < N * M; i++) {
        d->scores[i] = (float)cts_rng_below(&rng, 12) / 8.0f;
        d->labels[i] = cts_rng_below(&rng, 3) == 0;
        d->prediction[i] = d->scores[i] > 0.5f;
    }
    for (size_t i = 0; i < N; i++) {
        d->labels[i * M] = i == 7; /* one positive: missing in a third of the resamples */
        d->patient[i] = (int64_t)cts_rng_below(&rng, 40) * 1000003 - 5;
        d->value[i] = cts_rng_unit(&rng);
        d->value[N + i] = i % 4 ? cts_rng_unit(&rng) : NAN;
    }
    assert_int_equal(cts_bootstrap_init(&d->b, d->patient, N, R, SEED), CTS_OK);
}

static void test_weights(void **state)
{
    uint32_t count[N], weight[N], again[N];
    double mean[N] = {0};
    cts_bootstrap other;
    data d;

    (void)state;
    print_message("seed %d\n", SEED);
    make(&d);
    assert_true(d.b.n_patients > 30 && d.b.n_patients <= 40);
    assert_int_equal(d.b.patient[0], 0);
    for (size_t r = 0; r < R; r++) {
        size_t drawn = 0;

        cts_bootstrap_weights(&d.b, r, count, weight);
        for (size_t p = 0; p < d.b.n_patients; p++)
            drawn += count[p];
        assert_int_equal(drawn, d.b.n_patients);
        for (size_t i = 0; i < N; i++) {
            mean[i] += weight[i];
            for (size_t j = 0; j < i; j++)
                if (d.patient[i] == d.patient[j])
                    assert_int_equal(weight[i], weight[j]); /* all volumes of a patient come and go together */
        }
        cts_bootstrap_weights(&d.b, r, count, again);
        assert_memory_equal(weight, again, sizeof weight);
    }
    for (size_t i = 0; i < N; i++)
        near(mean[i] / R, 1.0, 6 / sqrt(R)); /* a count of mean 1 and deviation 1 */
    assert_int_equal(cts_bootstrap_init(&other, d.patient, N, R, SEED + 1), CTS_OK);
    cts_bootstrap_weights(&other, 0, count, again);
    cts_bootstrap_weights(&d.b, 0, count, weight);
    assert_memory_not_equal(weight, again, sizeof weight);
    cts_bootstrap_free(&other);
    cts_bootstrap_free(&d.b);
    assert_int_equal(cts_bootstrap_init(&other, NULL, 0, R, 1), CTS_E_INPUT);
    assert_int_equal(cts_bootstrap_init(&other, NULL, 3, 0, 1), CTS_E_INPUT);
    assert_int_equal(cts_bootstrap_init(&other, NULL, 3, 1, 1), CTS_OK);
    assert_int_equal(other.n_patients, 3);
    cts_bootstrap_free(&other);
    cts_bootstrap_free(&other);
}

/* The rows of resample r written out one by one, as many times as they count. */
static size_t expand(const cts_bootstrap *b, size_t r, size_t *rows)
{
    uint32_t count[N], weight[N];
    size_t n = 0;

    cts_bootstrap_weights(b, r, count, weight);
    for (size_t i = 0; i < N; i++)
        for (uint32_t w = 0; w < weight[i]; w++)
            rows[n++] = i;
    return n;
}

static void f1_and_accuracy(void *ctx, const cts_counts *counts, size_t m, double *out)
{
    (void)ctx;
    out[0] = cts_f1_multilabel_weighted(counts, m);
    out[1] = cts_accuracy(cts_counts_sum(counts, m));
}

static void test_statistics(void **state)
{
    static double area[(M + 1) * R], mean[2 * R], f1[2 * R];
    size_t *rows = malloc(N * N * sizeof *rows), undefined = 0;
    float *scores = malloc(N * N * M * sizeof *scores);
    uint8_t *labels = malloc(N * N * M), *prediction = malloc(N * N * M);
    data d;

    (void)state;
    make(&d);
    assert_int_equal(cts_bootstrap_auroc(&d.b, d.scores, d.labels, M, NULL, area), CTS_OK);
    assert_int_equal(cts_bootstrap_means(&d.b, d.value, 2, NULL, mean), CTS_OK);
    assert_int_equal(cts_bootstrap_counts(&d.b, d.prediction, d.labels, M, f1_and_accuracy, NULL, 2, NULL, f1), CTS_OK);
    for (size_t r = 0; r < R; r++) {
        size_t n = expand(&d.b, r, rows), defined = 0;
        double expected[M], sum[2] = {0}, out[2];
        cts_counts counts[M];

        for (size_t i = 0; i < n; i++) {
            memcpy(scores + i * M, d.scores + rows[i] * M, M * sizeof *scores);
            memcpy(labels + i * M, d.labels + rows[i] * M, M);
            memcpy(prediction + i * M, d.prediction + rows[i] * M, M);
            sum[0] += d.value[rows[i]];
            defined += !isnan(d.value[N + rows[i]]);
            sum[1] += isnan(d.value[N + rows[i]]) ? 0.0 : d.value[N + rows[i]];
        }
        assert_int_equal(cts_auroc_table(scores, labels, n, M, expected, NULL), CTS_OK);
        for (size_t j = 0; j < M; j++)
            near(area[j * R + r], expected[j], 0.0);
        near(area[M * R + r], cts_mean_defined(expected, M, NULL), 0.0);
        undefined += isnan(expected[0]);
        near(mean[r], sum[0] / (double)n, 1e-12);
        near(mean[R + r], sum[1] / (double)defined, 1e-12);
        cts_count_cells(prediction, labels, n, M, NULL, counts);
        f1_and_accuracy(NULL, counts, M, out);
        near(f1[r], out[0], 0.0);
        near(f1[R + r], out[1], 0.0);
    }
    assert_true(undefined > 0 && undefined < R);
    free(rows);
    free(scores);
    free(labels);
    free(prediction);
    cts_bootstrap_free(&d.b);
}

static void test_any_number_of_threads(void **state)
{
    static double one[(M + 1) * R], many[(M + 1) * R];
    cts_pool *pool;
    data d;

    (void)state;
    make(&d);
    assert_int_equal(cts_bootstrap_auroc(&d.b, d.scores, d.labels, M, NULL, one), CTS_OK);
    for (int threads = 1; threads < 6; threads++) {
        memset(many, 0, sizeof many);
        assert_int_equal(cts_pool_create(&pool, threads), CTS_OK);
        assert_int_equal(cts_bootstrap_auroc(&d.b, d.scores, d.labels, M, pool, many), CTS_OK);
        assert_memory_equal(one, many, sizeof one);
        cts_pool_destroy(pool);
    }
    d.scores[5 * M + 1] = NAN;
    assert_int_equal(cts_bootstrap_auroc(&d.b, d.scores, d.labels, M, NULL, many), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "row 5, label 1"));
    cts_bootstrap_free(&d.b);
}

static int fails_in_resample(void *ctx, const uint32_t *weight, double *out)
{
    (void)weight;
    *out = 0.0;
    return cts_fail(CTS_E_INPUT, "%s", (const char *)ctx);
}

static void test_failure_comes_home(void **state)
{
    double sample[4];
    cts_bootstrap b;

    (void)state;
    assert_int_equal(cts_bootstrap_init(&b, NULL, 2, 4, 1), CTS_OK);
    assert_int_equal(cts_bootstrap_run(&b, fails_in_resample, "no such statistic", 1, NULL, sample), CTS_E_INPUT);
    assert_string_equal(cts_error(), "no such statistic");
    cts_bootstrap_free(&b);
}

static void test_intervals(void **state)
{
    double hundred[101], few[] = {3, NAN, 1, 2, NAN, 5, 4}, none[] = {NAN, NAN}, one[] = {0.123456};
    cts_interval i;

    (void)state;
    for (int k = 0; k <= 100; k++)
        hundred[k] = 100 - k;
    assert_int_equal(cts_interval_percentile(hundred, 101, 0.05, &i), CTS_OK);
    near(i.lower, 2.5, 1e-12);
    near(i.upper, 97.5, 1e-12);
    near(i.mean, 50.0, 1e-12);
    assert_int_equal(cts_interval_percentile(few, 7, 0.5, &i), CTS_OK);
    near(i.lower, 2.0, 1e-12);
    near(i.upper, 4.0, 1e-12);
    assert_int_equal(i.defined, 5);
    assert_int_equal(cts_interval_percentile(none, 2, 0.05, &i), CTS_OK);
    assert_true(isnan(i.lower) && isnan(i.upper) && isnan(i.mean) && i.defined == 0);
    assert_int_equal(cts_interval_percentile(one, 1, 0.05, &i), CTS_OK);
    near(i.lower, 0.123456, 0.0);
    near(i.upper, 0.123456, 0.0);
    assert_int_equal(cts_interval_ctclip(hundred, 100, &i), CTS_OK); /* 100 .. 1: numbers 2 - 1 and 97 - 1 */
    near(i.lower, 2.0, 0.0);
    near(i.upper, 97.0, 0.0);
    assert_int_equal(cts_interval_ctclip(one, 1, &i), CTS_OK); /* number -1 is the last */
    near(i.lower, 0.1235, 0.0);
    assert_int_equal(cts_interval_ctclip(few, 7, &i), CTS_E_INPUT);
    assert_int_equal(cts_interval_ctclip(few, 0, &i), CTS_E_INPUT);
}

/* 95 % intervals of a mean hold the truth about 95 times in a hundred. */
static void test_coverage(void **state)
{
    enum { TRIALS = 200, ROWS = 60 };
    double value[ROWS], sample[R];
    int held = 0;

    (void)state;
    for (uint64_t t = 0; t < TRIALS; t++) {
        cts_rng rng = cts_rng_make(cts_rng_split(SEED, t));
        cts_bootstrap b;
        cts_interval i;

        for (int k = 0; k < ROWS; k++)
            value[k] = cts_rng_unit(&rng);
        assert_int_equal(cts_bootstrap_init(&b, NULL, ROWS, R, t), CTS_OK);
        assert_int_equal(cts_bootstrap_means(&b, value, 1, NULL, sample), CTS_OK);
        assert_int_equal(cts_interval_percentile(sample, R, 0.05, &i), CTS_OK);
        held += i.lower <= 0.5 && 0.5 <= i.upper;
        cts_bootstrap_free(&b);
    }
    print_message("%d of %d intervals hold the mean\n", held, TRIALS);
    assert_in_range(held, 178, 199);
}

/* ---- chance and perfection ---- */

static void test_recall_rows(void **state)
{
    enum { n = 12, D = 5, DRAWS = 4000 };
    const int64_t group[n] = {4, 4, 4, 9, 9, 1, 2, 3, 5, 6, 7, 7};
    int64_t rank[n];
    float text[n * D], image[n * D];
    double expected, sum = 0.0, alone;

    (void)state;
    assert_int_equal(cts_recall_random(NULL, 50, 5, &alone), CTS_OK);
    near(alone, 0.1, 0.0);
    assert_int_equal(cts_recall_random((int64_t[]){1, 2, 3, 4}, 4, 3, &alone), CTS_OK);
    near(alone, 0.75, 1e-12);
    assert_int_equal(cts_recall_random(group, n, 3, &expected), CTS_OK);
    for (uint64_t t = 0; t < DRAWS; t++) {
        cts_vectors_random(text, n, D, 2 * t);
        cts_vectors_random(image, n, D, 2 * t + 1);
        assert_int_equal(cts_pair_ranks(text, image, n, D, group, NULL, rank, NULL), CTS_OK);
        sum += cts_recall_at(rank, n, 3);
    }
    near(sum / DRAWS, expected, 5 * 0.5 / sqrt(DRAWS));
    for (size_t i = 0; i < n; i++) { /* a model that knows the report and no more */
        cts_vectors_random(text + i * D, 1, D, (uint64_t)group[i]);
        cts_vectors_random(image + i * D, 1, D, (uint64_t)group[i]);
    }
    assert_int_equal(cts_pair_ranks(text, image, n, D, NULL, NULL, rank, NULL), CTS_OK);
    for (int64_t k = 1; k <= n; k++) {
        assert_int_equal(cts_recall_oracle(group, n, k, &expected), CTS_OK);
        near(cts_recall_at(rank, n, k), expected, 0.0);
    }
    assert_int_equal(cts_recall_oracle(NULL, n, 1, &expected), CTS_OK);
    near(expected, 1.0, 0.0);
    assert_int_equal(cts_recall_oracle(group, n, n + 1, &expected), CTS_OK);
    assert_true(isnan(expected));
    assert_int_equal(cts_recall_random(NULL, 0, 1, &expected), CTS_OK);
    assert_true(isnan(expected));
    assert_int_equal(cts_recall_random(group, n, 0, &expected), CTS_E_INPUT);
}

static void test_scores_and_vectors(void **state)
{
    enum { n = 4000, m = 2, d = 7 };
    float *scores = malloc(n * m * sizeof *scores), *rows = malloc(n * d * sizeof *rows);
    uint8_t *labels = malloc(n * m);
    double area[m], sum[d] = {0};

    (void)state;
    cts_scores_random(scores, n, m, SEED);
    for (size_t i = 0; i < n * m; i++) {
        assert_true(scores[i] >= 0.0f && scores[i] < 1.0f);
        labels[i] = cts_rng_at(SEED + 9, i) % 3 == 0;
    }
    assert_int_equal(cts_auroc_table(scores, labels, n, m, area, NULL), CTS_OK);
    near(area[0], 0.5, 0.05);
    near(area[1], 0.5, 0.05);
    cts_scores_oracle(scores, labels, n, m);
    assert_int_equal(cts_auroc_table(scores, labels, n, m, area, NULL), CTS_OK);
    near(area[0], 1.0, 0.0);
    cts_vectors_random(rows, n, d, SEED);
    for (size_t i = 0; i < n; i++) {
        double square = 0.0;

        for (size_t k = 0; k < d; k++) {
            square += (double)rows[i * d + k] * rows[i * d + k];
            sum[k] += rows[i * d + k];
        }
        near(square, 1.0, 1e-6);
    }
    for (size_t k = 0; k < d; k++)
        near(sum[k] / n, 0.0, 5 / sqrt(d) / sqrt(n));
    free(scores);
    free(rows);
    free(labels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_any_number_of_threads),
        cmocka_unit_test(test_failure_comes_home),
        cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_coverage),
        cmocka_unit_test(test_recall_rows),
        cmocka_unit_test(test_scores_and_vectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
