/* AUROC and ranks against the definitions, pair by pair. SPDX-License-Identifier: MIT */
#include "query/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/base/rng.h"
#include "kernels/base/status.h"

#define SEED 20240611

static void near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-12))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

static void test_auroc_small(void **state)
{
    double a = -1;
    size_t p = 99;

    (void)state;
    assert_int_equal(cts_auroc((float[]){0.1f, 0.2f, 0.3f, 0.4f}, (uint8_t[]){0, 0, 1, 1}, 4, &a, &p), CTS_OK);
    near(a, 1.0);
    assert_int_equal(p, 2);
    assert_int_equal(cts_auroc((float[]){0.4f, 0.3f, 0.2f, 0.1f}, (uint8_t[]){0, 0, 1, 1}, 4, &a, &p), CTS_OK);
    near(a, 0.0);
    assert_int_equal(cts_auroc((float[]){7, 7, 7, 7, 7}, (uint8_t[]){0, 1, 0, 1, 1}, 5, &a, &p), CTS_OK);
    near(a, 0.5);
    assert_int_equal(cts_auroc((float[]){1, 2, 2, 3}, (uint8_t[]){0, 1, 0, 1}, 4, &a, &p), CTS_OK);
    near(a, 3.5 / 4.0);
    assert_int_equal(cts_auroc((float[]){-INFINITY, INFINITY}, (uint8_t[]){0, 1}, 2, &a, &p), CTS_OK);
    near(a, 1.0);
}

static void test_auroc_one_class(void **state)
{
    double a = 0;
    size_t p = 99;

    (void)state;
    assert_int_equal(cts_auroc((float[]){1, 2}, (uint8_t[]){1, 1}, 2, &a, &p), CTS_OK);
    assert_true(isnan(a));
    assert_int_equal(p, 2);
    a = 0;
    assert_int_equal(cts_auroc((float[]){1, 2}, (uint8_t[]){0, 0}, 2, &a, &p), CTS_OK);
    assert_true(isnan(a));
    assert_int_equal(p, 0);
    a = 0;
    assert_int_equal(cts_auroc(NULL, NULL, 0, &a, &p), CTS_OK);
    assert_true(isnan(a));
}

static void test_auroc_nan(void **state)
{
    double a = 5;
    size_t p = 6;

    (void)state;
    assert_int_equal(cts_auroc((float[]){1, 2, NAN}, (uint8_t[]){0, 1, 1}, 3, &a, &p), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "row 2"));
    near(a, 5);
    assert_int_equal(p, 6);
}

static void test_auroc_pairs(void **state)
{
    cts_rng rng = cts_rng_make(SEED);

    (void)state;
    print_message("seed %d\n", SEED);
    for (int round = 0; round < 200; round++) {
        float s[64];
        uint8_t y[64];
        size_t n = 2 + cts_rng_below(&rng, 62), levels = 1 + cts_rng_below(&rng, 12), positives = 0, p;
        double wins = 0.0, a;

        for (size_t i = 0; i < n; i++) {
            s[i] = (float)cts_rng_below(&rng, levels) - 3.0f;
            positives += y[i] = (uint8_t)cts_rng_below(&rng, 2);
        }
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                if (y[i] && !y[j])
                    wins += s[i] > s[j] ? 1.0 : s[i] == s[j] ? 0.5 : 0.0;
        assert_int_equal(cts_auroc(s, y, n, &a, &p), CTS_OK);
        assert_int_equal(p, positives);
        if (positives && positives < n)
            near(a, wins / ((double)positives * (double)(n - positives)));
        else
            assert_true(isnan(a));
    }
}

/* Few levels, so that equal scores and equal vectors are many. */
static void fill(cts_rng *rng, float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (float)cts_rng_below(rng, 3) - 1.0f;
}

static void check_ranks(cts_rng *rng, size_t n, size_t d, cts_pool *pool)
{
    float *q = malloc(n * d * sizeof *q), *c = malloc(n * d * sizeof *c);
    int64_t *rank = malloc(n * sizeof *rank);

    fill(rng, q, n * d);
    fill(rng, c, n * d);
    assert_int_equal(cts_pair_ranks(q, c, n, d, pool, rank), CTS_OK);
    for (size_t i = 0; i < n; i++) {
        float own = 0, s;
        int64_t expected = 0;

        for (size_t k = 0; k < d; k++)
            own += q[i * d + k] * c[i * d + k]; /* small integers: exact in any order */
        for (size_t j = 0; j < n; j++) {
            s = 0;
            for (size_t k = 0; k < d; k++)
                s += q[i * d + k] * c[j * d + k];
            expected += s > own || (s == own && j < i);
        }
        assert_int_equal(rank[i], expected);
    }
    free(q);
    free(c);
    free(rank);
}

static void test_ranks(void **state)
{
    static const size_t sizes[][2] = {{1, 1}, {2, 7}, {31, 8}, {32, 9}, {33, 16}, {100, 5}};
    cts_rng rng = cts_rng_make(SEED);
    cts_pool *pool;

    (void)state;
    print_message("seed %d\n", SEED);
    assert_int_equal(cts_pool_create(&pool, 3), CTS_OK);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        check_ranks(&rng, sizes[s][0], sizes[s][1], NULL);
        check_ranks(&rng, sizes[s][0], sizes[s][1], pool);
    }
    cts_pool_destroy(pool);
}

static void test_ranks_all_equal(void **state)
{
    float v[6 * 2];
    int64_t rank[6];

    (void)state;
    for (int i = 0; i < 12; i++)
        v[i] = 0.5f;
    assert_int_equal(cts_pair_ranks(v, v, 6, 2, NULL, rank), CTS_OK);
    for (int i = 0; i < 6; i++)
        assert_int_equal(rank[i], i); /* equal scores go to the lower index: no free hits for a constant model */
}

/* A model that has diverged must not look like a perfect one. */
static void test_ranks_not_finite(void **state)
{
    float good[4] = {1, 0, 0, 1}, bad[4] = {1, 0, NAN, 1};
    int64_t rank[2] = {-7, -7};

    (void)state;
    assert_int_equal(cts_pair_ranks(bad, good, 2, 2, NULL, rank), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "query vectors: row 1"));
    assert_int_equal(cts_pair_ranks(good, bad, 2, 2, NULL, rank), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "candidate vectors: row 1"));
    assert_int_equal(rank[0], -7);
}

static void test_recall_at(void **state)
{
    const int64_t rank[4] = {0, 4, 5, 9};

    (void)state;
    near(cts_recall_at(rank, 4, 1), 0.25);
    near(cts_recall_at(rank, 4, 5), 0.5);
    near(cts_recall_at(rank, 4, 10), 1.0);
    near(cts_recall_at(rank, 0, 10), 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auroc_small),
        cmocka_unit_test(test_auroc_one_class),
        cmocka_unit_test(test_auroc_nan),
        cmocka_unit_test(test_auroc_pairs),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_ranks_all_equal),
        cmocka_unit_test(test_ranks_not_finite),
        cmocka_unit_test(test_recall_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
