/* MAP@k in its three definitions: neighbours, values and expectations against plain definitions, the oracle, and the
 * figures of CT-RATE's validation labels. SPDX-License-Identifier: MIT */
#include "query/metrics/map.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "data/csv.h"
#include "data/findings.h"
#include "kernels/base/check.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "query/metrics/baseline.h"
#include "query/metrics/classify.h"

#define SEED 20240612

static const cts_map_rule rules[] = {CTS_MAP_CTCLIP, CTS_MAP_SPECTRE, CTS_MAP_RADFINDER};

static void near(double got, double expected, double limit)
{
    if (!(fabs(got - expected) <= limit) && !(isnan(got) && isnan(expected)))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

static void random_labels(cts_rng *rng, uint8_t *labels, size_t n, size_t m)
{
    for (size_t i = 0; i < n * m; i++)
        labels[i] = cts_rng_below(rng, 3) == 0;
}

static double mean_of(const double *value, size_t n)
{
    return cts_mean_defined(value, n, NULL);
}

/* ---- plain definitions over a matrix of scores ---- */

static size_t common(const uint8_t *a, const uint8_t *b, size_t m, bool either)
{
    size_t count = 0;

    for (size_t j = 0; j < m; j++)
        count += either ? a[j] || b[j] : a[j] && b[j];
    return count;
}

static bool is_relevant(cts_map_rule rule, const uint8_t *a, const uint8_t *b, size_t m)
{
    return rule == CTS_MAP_SPECTRE ? !memcmp(a, b, m) : common(a, b, m, false) > 0;
}

static bool takes_part(cts_map_rule rule, const uint8_t *a, size_t m)
{
    return rule == CTS_MAP_SPECTRE || common(a, a, m, false) > 0;
}

static double plain_value(cts_map_rule rule, const float *scores, const uint8_t *labels, size_t n, size_t m, size_t i,
                          size_t k)
{
    size_t place = 0, hits = 0, relevant = 0, gallery = 0;
    bool *used = calloc(n, sizeof *used);
    double sum = 0.0;

    for (size_t j = 0; j < n; j++) {
        used[j] = !takes_part(rule, labels + j * m, m) || (rule != CTS_MAP_CTCLIP && j == i);
        gallery += !used[j];
        relevant += !used[j] && is_relevant(rule, labels + i * m, labels + j * m, m);
    }
    while (place < k && place < gallery) {
        size_t best = n;

        for (size_t j = 0; j < n; j++)
            if (!used[j] && (best == n || scores[i * n + j] > scores[i * n + best]))
                best = j;
        used[best] = true;
        place++;
        if (rule == CTS_MAP_CTCLIP) {
            size_t all = common(labels + i * m, labels + best * m, m, true);

            sum += (double)common(labels + i * m, labels + best * m, m, false) / (double)all;
        } else if (is_relevant(rule, labels + i * m, labels + best * m, m))
            sum += (double)++hits / (double)place;
    }
    free(used);
    if (rule == CTS_MAP_CTCLIP)
        return k <= gallery ? sum / (double)k : NAN;
    if (rule == CTS_MAP_RADFINDER)
        return takes_part(rule, labels + i * m, m) ? sum / (double)k : NAN;
    return relevant ? sum / (double)(relevant < k ? relevant : k) : NAN;
}

static void check(cts_map_rule rule, cts_rng *rng, size_t n, size_t d, size_t m, cts_pool *pool)
{
    const int64_t ks[] = {1, 3, 10, 64};
    enum { KS = sizeof ks / sizeof ks[0], K = 64 };
    float *v = malloc(n * d * sizeof *v), *scores = malloc(n * n * sizeof *scores);
    int64_t *row = malloc(n * K * sizeof *row), *of_matrix = malloc(n * K * sizeof *of_matrix);
    double *value = malloc(KS * n * sizeof *value);
    uint8_t *labels = malloc(n * m);

    random_labels(rng, labels, n, m);
    for (size_t i = 0; i < n * d; i++) /* one length for all, and sums that are exact: ties are ties */
        v[i] = cts_rng_below(rng, 2) ? 1.0f : -1.0f;
    for (size_t i = 0; i < n * n; i++) {
        scores[i] = 0.0f;
        for (size_t k = 0; k < d; k++)
            scores[i] += v[i / n * d + k] * v[i % n * d + k];
    }
    assert_int_equal(cts_map_neighbours(rule, v, n, d, labels, m, K, pool, row), CTS_OK);
    assert_int_equal(cts_map_neighbours_of_matrix(rule, scores, n, labels, m, K, of_matrix), CTS_OK);
    assert_memory_equal(row, of_matrix, n * K * sizeof *row);
    assert_int_equal(cts_map_values(rule, row, n, K, labels, m, ks, KS, value), CTS_OK);
    for (size_t j = 0; j < KS; j++)
        for (size_t i = 0; i < n; i++)
            near(value[j * n + i], plain_value(rule, scores, labels, n, m, i, (size_t)ks[j]), 1e-12);
    free(v);
    free(scores);
    free(row);
    free(of_matrix);
    free(value);
    free(labels);
}

static void test_definitions(void **state)
{
    static const size_t sizes[][3] = {{1, 3, 2}, {2, 1, 1}, {40, 5, 3}, {77, 8, 4}, {300, 9, 6}};
    cts_rng rng = cts_rng_make(SEED);
    cts_pool *pool;

    (void)state;
    print_message("seed %d\n", SEED);
    assert_int_equal(cts_pool_create(&pool, 3), CTS_OK);
    for (size_t s = 0; s < CTS_COUNT(sizes); s++)
        for (size_t r = 0; r < CTS_COUNT(rules); r++) {
            check(rules[r], &rng, sizes[s][0], sizes[s][1], sizes[s][2], NULL);
            check(rules[r], &rng, sizes[s][0], sizes[s][1], sizes[s][2], pool);
        }
    cts_pool_destroy(pool);
}

/* The expectation is the mean over all orders: here over many drawn ones. */
static void test_random(void **state)
{
    enum { N = 24, M = 3, DRAWS = 4000, KS = 3 };
    const int64_t ks[KS] = {1, 4, 12};
    float scores[N * N];
    int64_t row[N * 12];
    double value[KS * N], sum[KS * N], exact[KS * N];
    uint8_t labels[N * M];
    cts_rng rng = cts_rng_make(SEED + 1);

    (void)state;
    random_labels(&rng, labels, N, M);
    memset(labels, 0, 2 * M); /* two without a finding */
    for (size_t r = 0; r < CTS_COUNT(rules); r++) {
        memset(sum, 0, sizeof sum);
        for (int t = 0; t < DRAWS; t++) {
            for (size_t i = 0; i < N * N; i++)
                scores[i] = (float)cts_rng_unit(&rng);
            assert_int_equal(cts_map_neighbours_of_matrix(rules[r], scores, N, labels, M, 12, row), CTS_OK);
            assert_int_equal(cts_map_values(rules[r], row, N, 12, labels, M, ks, KS, value), CTS_OK);
            for (size_t i = 0; i < KS * N; i++)
                sum[i] += value[i];
        }
        assert_int_equal(cts_map_random(rules[r], labels, N, M, ks, KS, exact), CTS_OK);
        for (size_t i = 0; i < KS * N; i++)
            near(exact[i], sum[i] / DRAWS, 5 * 0.5 / sqrt(DRAWS)); /* a deviation of at most 1/2 a draw, five of it */
    }
}

/* No order is better than the oracle's, and for the two precisions it is 1 where there is enough to find. */
static void test_oracle(void **state)
{
    enum { N = 120, M = 4, KS = 3 };
    const int64_t ks[KS] = {1, 5, 20};
    int64_t row[N * 20];
    double best[KS * N], value[KS * N];
    uint8_t labels[N * M];
    float v[N * 6];
    cts_rng rng = cts_rng_make(SEED + 2);

    (void)state;
    random_labels(&rng, labels, N, M);
    for (size_t r = 0; r < CTS_COUNT(rules); r++) {
        assert_int_equal(cts_map_neighbours_oracle(rules[r], labels, N, M, 20, row), CTS_OK);
        assert_int_equal(cts_map_values(rules[r], row, N, 20, labels, M, ks, KS, best), CTS_OK);
        for (size_t i = 0; rules[r] == CTS_MAP_SPECTRE && i < KS * N; i++)
            assert_true(isnan(best[i]) || best[i] == 1.0);
        for (int t = 0; t < 20; t++) {
            for (size_t i = 0; i < N * 6; i++)
                v[i] = (float)cts_rng_normal(&rng);
            assert_int_equal(cts_map_neighbours(rules[r], v, N, 6, labels, M, 20, NULL, row), CTS_OK);
            assert_int_equal(cts_map_values(rules[r], row, N, 20, labels, M, ks, KS, value), CTS_OK);
            for (size_t i = 0; i < KS * N; i++)
                assert_true(isnan(best[i]) ? isnan(value[i]) : value[i] <= best[i] + 1e-12);
        }
    }
}

/* The share of volumes without a finding caps map_ctclip@1, whatever the model: counts of CT-RATE's validation set. */
static void test_oracle_without_findings(void **state)
{
    enum { N = 3039, NONE = 346, M = 18 };
    const int64_t one = 1;
    int64_t *row = malloc(N * sizeof *row);
    double *value = malloc(N * sizeof *value);
    uint8_t *labels = calloc(N, M);
    cts_rng rng = cts_rng_make(SEED + 3);

    (void)state;
    for (size_t i = NONE; i < N; i++)
        labels[i * M + cts_rng_below(&rng, M)] = labels[i * M + cts_rng_below(&rng, M)] = 1;
    assert_int_equal(cts_map_neighbours_oracle(CTS_MAP_CTCLIP, labels, N, M, 1, row), CTS_OK);
    assert_int_equal(cts_map_values(CTS_MAP_CTCLIP, row, N, 1, labels, M, &one, 1, value), CTS_OK);
    near(mean_of(value, N), 1.0 - (double)NONE / N, 1e-12);
    near(mean_of(value, N), 0.886, 0.0005);
    free(row);
    free(value);
    free(labels);
}

static void test_refusals(void **state)
{
    const float v[4] = {1, 0, 0, 0}, bad[4] = {1, 0, NAN, 0};
    uint8_t labels[2 * 65] = {1};
    int64_t row[4], k = 3, none = 0;
    double value[2];
    size_t a, b;

    (void)state;
    assert_int_equal(cts_map_neighbours(CTS_MAP_SPECTRE, v, 2, 2, labels, 1, 2, NULL, row), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "row 1"));
    assert_int_equal(cts_map_neighbours(CTS_MAP_SPECTRE, bad, 2, 2, labels, 1, 2, NULL, row), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "row 1"));
    assert_int_equal(cts_map_neighbours_of_matrix(CTS_MAP_SPECTRE, bad, 2, labels, 1, 2, row), CTS_E_INPUT);
    assert_int_equal(cts_map_parts(CTS_MAP_CTCLIP, labels, 2, 65, NULL, NULL, &a, &b), CTS_E_LIMIT);
    assert_int_equal(cts_map_values(CTS_MAP_CTCLIP, row, 2, 2, labels, 1, &k, 1, value), CTS_E_INPUT);
    assert_int_equal(cts_map_values(CTS_MAP_CTCLIP, row, 2, 2, labels, 1, &none, 1, value), CTS_E_INPUT);
    assert_int_equal(cts_map_random(CTS_MAP_CTCLIP, labels, 2, 1, &none, 1, value), CTS_E_INPUT);
}

/* ---- CT-RATE ---- */

/* Labels of the file's volumes in its order; `first` = only first reconstructions. */
static uint8_t *ct_rate_labels(const char *path, bool first, size_t *n)
{
    uint8_t *labels;
    cts_csv *csv;
    int name, col[CTS_FINDINGS];

    assert_int_equal(cts_csv_load(&csv, path), CTS_OK);
    assert_int_equal(cts_csv_require(&name, csv, "VolumeName"), CTS_OK);
    for (int f = 0; f < CTS_FINDINGS; f++)
        assert_int_equal(cts_csv_require(&col[f], csv, cts_findings[f].name), CTS_OK);
    labels = malloc((cts_csv_rows(csv) + 1) * CTS_FINDINGS);
    *n = 0;
    for (size_t i = 0; i < cts_csv_rows(csv); i++) {
        if (first && !strstr(cts_csv_cell(csv, i, (size_t)name), "_1.nii"))
            continue;
        for (size_t f = 0; f < CTS_FINDINGS; f++)
            labels[*n * CTS_FINDINGS + f] = atof(cts_csv_cell(csv, i, (size_t)col[f])) > 0.5;
        ++*n;
    }
    cts_csv_destroy(csv);
    return labels;
}

#define LONGEST 50

static void exact_figures(cts_map_rule rule, const uint8_t *labels, size_t n, bool oracle, const int64_t *ks,
                          const double *expected, size_t n_ks)
{
    int64_t *row = malloc(n * LONGEST * sizeof *row);
    double *value = malloc(n_ks * n * sizeof *value);

    if (oracle) {
        assert_int_equal(cts_map_neighbours_oracle(rule, labels, n, CTS_FINDINGS, LONGEST, row), CTS_OK);
        assert_int_equal(cts_map_values(rule, row, n, LONGEST, labels, CTS_FINDINGS, ks, n_ks, value), CTS_OK);
    } else
        assert_int_equal(cts_map_random(rule, labels, n, CTS_FINDINGS, ks, n_ks, value), CTS_OK);
    for (size_t j = 0; j < n_ks; j++) {
        print_message("%s@%lld, %s, %zu volumes: %.4f\n", cts_map_name(rule), (long long)ks[j],
                      oracle ? "oracle" : "random", n, mean_of(value + j * n, n));
        near(mean_of(value + j * n, n), expected[j], 0.0005);
    }
    free(row);
    free(value);
}

/* Figures that come of one set of random vectors. Their scatter is measured here with sets of our own, whose mean must
 * also agree with the exact expectation. */
static void drawn_figures(cts_map_rule rule, const uint8_t *labels, size_t n, const int64_t *ks, const double *record,
                          size_t n_ks)
{
    enum { DRAWS = 12, D = 128 };
    int64_t *row = malloc(n * LONGEST * sizeof *row);
    double *value = malloc(n_ks * n * sizeof *value), sum[4] = {0}, square[4] = {0};
    float *v = malloc(n * D * sizeof *v);
    cts_pool *pool;

    assert_int_equal(cts_pool_create(&pool, 2), CTS_OK);
    for (uint64_t t = 0; t < DRAWS; t++) {
        cts_vectors_random(v, n, D, SEED + t);
        assert_int_equal(cts_map_neighbours(rule, v, n, D, labels, CTS_FINDINGS, LONGEST, pool, row), CTS_OK);
        assert_int_equal(cts_map_values(rule, row, n, LONGEST, labels, CTS_FINDINGS, ks, n_ks, value), CTS_OK);
        for (size_t j = 0; j < n_ks; j++) {
            double map = mean_of(value + j * n, n);

            sum[j] += map;
            square[j] += map * map;
        }
    }
    assert_int_equal(cts_map_random(rule, labels, n, CTS_FINDINGS, ks, n_ks, value), CTS_OK);
    for (size_t j = 0; j < n_ks; j++) {
        double exact = mean_of(value + j * n, n), mean = sum[j] / DRAWS;
        double scatter = sqrt((square[j] / DRAWS - mean * mean) * DRAWS / (DRAWS - 1));

        print_message("%s@%lld, random, %zu volumes: expected %.4f, one draw scatters by %.4f, draw on record %.3f\n",
                      cts_map_name(rule), (long long)ks[j], n, exact, scatter, record[j]);
        near(mean, exact, 4 * scatter / sqrt(DRAWS));
        near(record[j], exact, 3 * scatter);
    }
    cts_pool_destroy(pool);
    free(row);
    free(value);
    free(v);
}

static void test_ct_rate(void **state)
{
    const char *path = getenv("CTS_CTRATE_LABELS");
    const int64_t ks[] = {1, 5, 10, LONGEST};
    uint8_t *labels;
    size_t n;

    (void)state;
    if (!path || !*path) {
        print_message("skipped: CTS_CTRATE_LABELS does not name CT-RATE's valid_predicted_labels.csv\n");
        skip();
    }
    labels = ct_rate_labels(path, false, &n);
    assert_int_equal(n, 3039);
    exact_figures(CTS_MAP_CTCLIP, labels, n, false, ks, (double[]){0.1512, 0.1512, 0.1512, 0.1512}, 4);
    exact_figures(CTS_MAP_CTCLIP, labels, n, true, ks, (double[]){0.886, 0.821, 0.770, 0.640}, 4);
    free(labels);
    labels = ct_rate_labels(path, true, &n);
    assert_int_equal(n, 1564);
    drawn_figures(CTS_MAP_RADFINDER, labels, n, ks + 1, (double[]){0.540, 0.508, 0.465}, 3);
    drawn_figures(CTS_MAP_SPECTRE, labels, n, ks, (double[]){0.036, 0.015, 0.011, 0.008}, 4);
    free(labels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definitions), cmocka_unit_test(test_random),
        cmocka_unit_test(test_oracle),      cmocka_unit_test(test_oracle_without_findings),
        cmocka_unit_test(test_refusals),    cmocka_unit_test(test_ct_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
