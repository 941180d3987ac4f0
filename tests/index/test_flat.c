/* Exact search against the plain loop: shapes, ties, masks, threads, instruction sets.
 * SPDX-License-Identifier: MIT */
#include "tests/index/index_support.h"

#include "index/flat.h"

#define SEED 11u

/* Hits of the fast search are those of the plain one: scores to rounding, rows equal unless two scores are that
 * close. */
static void compare(const cts_flat_hit *got, const cts_flat_hit *want, size_t n, size_t dim)
{
    for (size_t i = 0; i < n; i++) {
        double limit = 1e-6 + 3e-7 * sqrt((double)dim);

        if (want[i].row < 0) {
            assert_int_equal(got[i].row, -1);
            continue;
        }
        if (!(fabs((double)got[i].score - want[i].score) <= limit))
            fail_msg("hit %zu: score %.9g, expected %.9g", i, got[i].score, want[i].score);
        if (got[i].row != want[i].row) {
            bool near = (i + 1 < n && fabs((double)want[i + 1].score - want[i].score) <= limit) ||
                        (i > 0 && fabs((double)want[i - 1].score - want[i].score) <= limit);

            if (!near)
                fail_msg("hit %zu: row %lld, expected %lld", i, (long long)got[i].row, (long long)want[i].row);
        }
    }
}

static void shapes(void **state)
{
    static const size_t ns[] = {1, 3, 63, 64, 65, 1000}, dims[] = {1, 3, 8, 17, 64, 100, 512}, nqs[] = {1, 4, 7, 130};
    static const size_t ks[] = {1, 10, 70};
    cts_pool *pool = NULL;

    (void)state;
    OK(cts_pool_create(&pool, 3));
    for (size_t a = 0; a < 6; a++)
        for (size_t b = 0; b < 7; b++)
            for (size_t c = 0; c < 4; c++)
                for (size_t d = 0; d < 3; d++) {
                    size_t n = ns[a], dim = dims[b], nq = nqs[c], k = ks[d];
                    float *rows = vectors_make(SEED + a, n, dim, 0), *queries = vectors_make(SEED + 50 + c, nq, dim, 0);
                    cts_flat_base base = {rows, n, dim, NULL};
                    cts_flat_hit *fast = malloc(nq * k * sizeof(*fast)), *plain = malloc(nq * k * sizeof(*plain));

                    OK(cts_flat_search_plain(&base, queries, nq, k, plain));
                    OK(cts_flat_search(&base, queries, nq, k, fast, (a + b + c) % 2 ? pool : NULL));
                    for (size_t q = 0; q < nq && dim > 1; q++) /* dim 1: every score is +1 or -1 to rounding */
                        compare(fast + q * k, plain + q * k, k, dim);
                    free(rows);
                    free(queries);
                    free(fast);
                    free(plain);
                }
    cts_pool_destroy(pool);
}

/* Small integers make every score exact, so plain and fast must agree to the bit, and most scores tie. */
static void ties_go_to_the_lower_row(void **state)
{
    enum { n = 700, dim = 24, nq = 9, k = 50 };
    float *rows = malloc(n * dim * sizeof(*rows)), queries[nq * dim];
    cts_flat_hit fast[nq * k], plain[nq * k];
    cts_rng rng = cts_rng_make(SEED);
    cts_pool *pool = NULL;

    (void)state;
    for (size_t i = 0; i < n * dim; i++)
        rows[i] = (float)cts_rng_below(&rng, 3) - 1;
    for (size_t i = 0; i < nq * dim; i++)
        queries[i] = (float)cts_rng_below(&rng, 3) - 1;
    for (int threads = 1; threads <= 4; threads++) {
        cts_flat_base base = {rows, n, dim, NULL};

        OK(cts_pool_create(&pool, threads));
        OK(cts_flat_search_plain(&base, queries, nq, k, plain));
        OK(cts_flat_search(&base, queries, nq, k, fast, pool));
        for (size_t i = 0; i < nq * k; i++) {
            assert_int_equal(fast[i].row, plain[i].row);
            assert_true(fast[i].score == plain[i].score);
            if (i % k && fast[i].score == fast[i - 1].score)
                assert_true(fast[i].row > fast[i - 1].row);
        }
        cts_pool_destroy(pool);
    }
    free(rows);
}

/* The bits of a score depend neither on the batch, nor on threads, nor on where the row stands. */
static void scores_do_not_depend_on_the_batch(void **state)
{
    enum { n = 333, dim = 77, nq = 11, k = 333 };
    float *rows = vectors_make(SEED, n, dim, 0), *queries = vectors_make(SEED + 1, nq, dim, 0);
    cts_flat_hit *batch = malloc(nq * k * sizeof(*batch)), *alone = malloc(k * sizeof(*alone));
    cts_flat_base base = {rows, n, dim, NULL};
    cts_pool *pool = NULL;

    (void)state;
    OK(cts_pool_create(&pool, 2));
    OK(cts_flat_search(&base, queries, nq, k, batch, pool));
    for (size_t q = 0; q < nq; q++) {
        OK(cts_flat_search(&base, queries + q * dim, 1, k, alone, NULL));
        for (size_t i = 0; i < k; i++) {
            assert_int_equal(alone[i].row, batch[q * k + i].row);
            assert_true(alone[i].score == batch[q * k + i].score);
            assert_true(alone[i].score == cts_flat_dot(rows + alone[i].row * dim, queries + q * dim, dim));
        }
    }
    cts_pool_destroy(pool);
    free(rows);
    free(queries);
    free(batch);
    free(alone);
}

static void masks(void **state)
{
    enum { n = 1000, dim = 32, k = 20 };
    float *rows = vectors_make(SEED, n, dim, 0), *query = vectors_make(SEED + 2, 1, dim, 0);
    uint64_t allowed[(n + 63) / 64];
    cts_flat_hit fast[k], plain[k];
    cts_flat_base base = {rows, n, dim, allowed};
    static const size_t every[] = {1, 2, 97, 999, 5000};

    (void)state;
    for (size_t e = 0; e < 5; e++) {
        memset(allowed, 0, sizeof(allowed));
        for (size_t r = every[e] - 1; r < n; r += every[e])
            allowed[r / 64] |= 1ull << (r % 64);
        OK(cts_flat_search_plain(&base, query, 1, k, plain));
        OK(cts_flat_search(&base, query, 1, k, fast, NULL));
        compare(fast, plain, k, dim);
        for (size_t i = 0; i < k; i++)
            assert_true(fast[i].row < 0 || ((size_t)fast[i].row + 1) % every[e] == 0);
    }
    free(rows);
    free(query);
}

static void nan_is_last(void **state)
{
    float rows[4] = {0.5f, NAN, 0.25f, 1.0f}, query[1] = {1.0f};
    cts_flat_base base = {rows, 4, 1, NULL};
    cts_flat_hit hits[4];

    (void)state;
    OK(cts_flat_search(&base, query, 1, 4, hits, NULL));
    assert_int_equal(hits[0].row, 3);
    assert_int_equal(hits[1].row, 0);
    assert_int_equal(hits[2].row, 2);
    assert_int_equal(hits[3].row, 1);
    assert_true(isinf(hits[3].score));
    OK(cts_flat_search(&base, query, 1, 2, hits, NULL));
    assert_int_equal(hits[1].row, 0);
}

/* Every variant this CPU has, chosen as a user would choose it. */
static void every_instruction_set(void **state)
{
    static const char *const off[3] = {"", "avx512f", "amx_bf16,avx512f,avx2"};

    for (int i = 0; i < 3; i++) {
        setenv("CTS_DISABLE_CPU_FEATURES", off[i], 1);
        print_message("variant %s\n", cts_flat_isa());
        if (i == 2)
            assert_string_equal(cts_flat_isa(), "generic");
        shapes(state);
        ties_go_to_the_lower_row(state);
        scores_do_not_depend_on_the_batch(state);
    }
    unsetenv("CTS_DISABLE_CPU_FEATURES");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks),
        cmocka_unit_test(nan_is_last),
        cmocka_unit_test(every_instruction_set),
    };

    print_message("seed %u\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
