/* Ranks of true pairs against the definition, pair by pair: ties, groups, sizes around the tiles, any number of
 * threads, every instruction set. SPDX-License-Identifier: MIT */
#include "query/metrics/pairs.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/base/check.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"

#define SEED 20240611

static void near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-12))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

/* Few levels, so that equal scores and equal vectors are many; sums of these are exact in any order. */
static void fill(cts_rng *rng, float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (float)cts_rng_below(rng, 3) - 1.0f;
}

static float dot(const float *a, const float *b, size_t d)
{
    float s = 0.0f;

    for (size_t k = 0; k < d; k++)
        s += a[k] * b[k];
    return s;
}

/* Best rank over the right candidates, each rank by the definition. */
static int64_t plain_rank(const float *query, const float *candidates, size_t i, size_t n, size_t d,
                          const int64_t *group)
{
    int64_t best = INT64_MAX;

    for (size_t right = 0; right < n; right++) {
        float own = dot(query, candidates + right * d, d);
        int64_t rank = 0;

        if (group ? group[right] != group[i] : right != i)
            continue;
        for (size_t j = 0; j < n; j++) {
            float s = dot(query, candidates + j * d, d);

            rank += s > own || (s == own && j < right);
        }
        best = rank < best ? rank : best;
    }
    return best;
}

static void check_ranks(cts_rng *rng, size_t n, size_t d, bool grouped, cts_pool *pool)
{
    float *q = malloc(n * d * sizeof *q), *c = malloc(n * d * sizeof *c), *matrix = malloc(n * n * sizeof *matrix);
    int64_t *t2i = malloc(n * sizeof *t2i), *i2t = malloc(n * sizeof *i2t), *group = malloc(n * sizeof *group);
    int64_t *of_matrix = malloc(n * sizeof *of_matrix), *g = grouped ? group : NULL;

    fill(rng, q, n * d);
    fill(rng, c, n * d);
    for (size_t i = 0; i < n; i++)
        group[i] = (int64_t)cts_rng_below(rng, n / 2 + 1) - 3;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            matrix[i * n + j] = dot(q + i * d, c + j * d, d);
    assert_int_equal(cts_pair_ranks(q, c, n, d, g, pool, t2i, i2t), CTS_OK);
    assert_int_equal(cts_matrix_ranks(matrix, n, g, of_matrix), CTS_OK);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(t2i[i], plain_rank(q + i * d, c, i, n, d, g));
        assert_int_equal(i2t[i], plain_rank(c + i * d, q, i, n, d, g));
        assert_int_equal(of_matrix[i], t2i[i]);
    }
    free(q);
    free(c);
    free(matrix);
    free(t2i);
    free(i2t);
    free(group);
    free(of_matrix);
}

static void test_ranks(void **state)
{
    static const size_t sizes[][2] = {{1, 1}, {2, 7}, {13, 8}, {14, 9}, {33, 16}, {100, 5}, {257, 3}, {290, 17}};
    cts_rng rng = cts_rng_make(SEED);
    cts_pool *pool;

    (void)state;
    print_message("seed %d, %s\n", SEED, cts_pair_isa());
    assert_int_equal(cts_pool_create(&pool, 3), CTS_OK);
    for (size_t s = 0; s < CTS_COUNT(sizes); s++)
        for (int grouped = 0; grouped < 2; grouped++) {
            check_ranks(&rng, sizes[s][0], sizes[s][1], grouped, NULL);
            check_ranks(&rng, sizes[s][0], sizes[s][1], grouped, pool);
        }
    cts_pool_destroy(pool);
}

static void test_narrower_variants(void **state)
{
    static const char *const lists[] = {"avx512", "avx2"};
    cts_rng rng = cts_rng_make(SEED + 1);

    (void)state;
    for (size_t i = 0; i < CTS_COUNT(lists); i++) {
        setenv("CTS_DISABLE_CPU_FEATURES", lists[i], 1);
        print_message("without %s: %s\n", lists[i], cts_pair_isa());
        check_ranks(&rng, 300, 11, true, NULL);
    }
    setenv("CTS_DISABLE_CPU_FEATURES", "sse9", 1);
    assert_int_equal(cts_pair_ranks((float[]){1}, (float[]){1}, 1, 1, NULL, NULL, NULL, NULL), CTS_E_USAGE);
    unsetenv("CTS_DISABLE_CPU_FEATURES");
}

/* Sums of these round, and differently in another order: equal vectors must still tie, on any number of threads. */
static void test_equal_vectors_tie(void **state)
{
    enum { N = 331, D = 67, KINDS = 5 };
    float *text = malloc(N * D * sizeof *text), *image = malloc(N * D * sizeof *image);
    int64_t first[N], rank[N], other[N];
    cts_pool *pool;

    (void)state;
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < D; k++) {
            text[i * D + k] = (float)(cts_rng_unit_at(1, i * D + k) - 0.5);
            image[i * D + k] = (float)(cts_rng_unit_at(2, (i % KINDS) * D + k) - 0.5);
        }
    assert_int_equal(cts_pair_ranks(text, image, N, D, NULL, NULL, first, other), CTS_OK);
    for (size_t i = 0; i < N; i++) { /* kinds above are whole blocks of copies, then the copies before this one */
        int64_t copies_before = (int64_t)(i / KINDS), rest = first[i] - copies_before;
        bool whole = false;

        for (int set = 0; set < 1 << KINDS; set++) {
            int64_t sum = 0;

            for (size_t k = 0; k < KINDS; k++)
                if (set >> k & 1 && k != i % KINDS)
                    sum += (N - (int64_t)k + KINDS - 1) / KINDS;
            whole |= sum == rest;
        }
        assert_true(whole);
    }
    for (int threads = 1; threads < 6; threads++) {
        assert_int_equal(cts_pool_create(&pool, threads), CTS_OK);
        assert_int_equal(cts_pair_ranks(text, image, N, D, NULL, pool, rank, NULL), CTS_OK);
        assert_memory_equal(rank, first, sizeof rank);
        assert_int_equal(cts_pair_ranks(text, image, N, D, NULL, pool, NULL, rank), CTS_OK);
        assert_memory_equal(rank, other, sizeof rank);
        cts_pool_destroy(pool);
    }
    free(text);
    free(image);
}

/* A model that gives every scan the same vector gets no free hits. */
static void test_constant_model(void **state)
{
    float v[6 * 2];
    int64_t t2i[6], i2t[6];

    (void)state;
    for (int i = 0; i < 12; i++)
        v[i] = 0.5f;
    assert_int_equal(cts_pair_ranks(v, v, 6, 2, NULL, NULL, t2i, i2t), CTS_OK);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(t2i[i], i);
        assert_int_equal(i2t[i], i);
    }
    assert_int_equal(cts_pair_ranks(v, v, 6, 2, (int64_t[]){7, 7, 8, 8, 8, 9}, NULL, t2i, i2t), CTS_OK);
    assert_memory_equal(t2i, ((int64_t[]){0, 0, 2, 2, 2, 5}), sizeof t2i);
    assert_memory_equal(i2t, t2i, sizeof t2i);
}

/* A model that has diverged must not look like a perfect one. */
static void test_not_finite(void **state)
{
    float good[4] = {1, 0, 0, 1}, bad[4] = {1, 0, NAN, 1}, huge[4] = {1, 0, 3e38f, 3e38f};
    int64_t rank[2] = {-7, -7};

    (void)state;
    assert_int_equal(cts_pair_ranks(bad, good, 2, 2, NULL, NULL, rank, NULL), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "text vectors: row 1"));
    assert_int_equal(cts_pair_ranks(good, bad, 2, 2, NULL, NULL, rank, NULL), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "image vectors: row 1"));
    assert_int_equal(cts_pair_ranks(huge, huge, 2, 2, NULL, NULL, rank, NULL), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "pair 1"));
    assert_int_equal(cts_matrix_ranks(bad, 2, NULL, rank), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "row 1, column 0"));
    assert_int_equal(rank[0], -7);
}

static void test_recall(void **state)
{
    const int64_t rank[4] = {0, 4, 5, 9};
    double median, mean, hit[4];

    (void)state;
    near(cts_recall_at(rank, 4, 1), 0.25);
    near(cts_recall_at(rank, 4, 5), 0.5);
    near(cts_recall_at(rank, 4, 100), 1.0);
    near(cts_recall_at(rank, 0, 10), 0.0);
    near(cts_recall_in_pool(rank, 4, 10, 10), 1.0);
    assert_true(isnan(cts_recall_in_pool(rank, 4, 10, 11)));
    assert_true(isnan(cts_recall_in_pool(rank, 0, 0, 0)));
    cts_recall_hits(rank, 4, 5, hit);
    assert_memory_equal(hit, ((double[]){1, 1, 0, 0}), sizeof hit);
    assert_int_equal(cts_rank_summary(rank, 4, &median, &mean), CTS_OK);
    near(median, 5.5);
    near(mean, 5.5); /* ranks 1, 5, 6, 10 */
    assert_int_equal(cts_rank_summary(rank, 0, &median, &mean), CTS_OK);
    assert_true(isnan(median) && isnan(mean));
    assert_int_equal(cts_pair_ranks(NULL, NULL, 0, 5, NULL, NULL, NULL, NULL), CTS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_narrower_variants),
        cmocka_unit_test(test_equal_vectors_tie),
        cmocka_unit_test(test_constant_model),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_recall),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
