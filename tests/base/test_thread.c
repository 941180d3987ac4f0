/* SPDX-License-Identifier: MIT */
#include "kernels/base/thread.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/base/rng.h"
#include "kernels/base/status.h"

#define N 10007

struct job {
    double value[N];
    double partial[64];
    atomic_int calls[64];
    int fail_from;
};

/* Each worker sums its part in order; the caller adds the parts in order. */
static int sum_part(void *ctx, int ith, int nth)
{
    struct job *j = ctx;
    int64_t lo, hi;

    cts_split(N, 1, ith, nth, &lo, &hi);
    j->partial[ith] = 0;
    for (int64_t i = lo; i < hi; i++)
        j->partial[ith] += j->value[i];
    atomic_fetch_add(&j->calls[ith], 1);
    return CTS_OK;
}

static void test_every_worker_once(void **state)
{
    static const int sizes[] = {1, 2, 3, 7, 16};
    struct job *j = calloc(1, sizeof(*j));

    (void)state;
    for (int i = 0; i < N; i++)
        j->value[i] = cts_rng_unit_at(5, (uint64_t)i);
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        cts_pool *p = NULL;
        double first = 0;

        assert_int_equal(cts_pool_create(&p, sizes[s]), CTS_OK);
        assert_int_equal(cts_pool_size(p), sizes[s]);
        memset(j->calls, 0, sizeof(j->calls));
        for (int run = 0; run < 500; run++) {
            double sum = 0;

            assert_int_equal(cts_parallel_for(p, sum_part, j), CTS_OK);
            for (int i = 0; i < sizes[s]; i++)
                sum += j->partial[i];
            if (run == 0)
                first = sum;
            assert_true(sum == first); /* the same to the bit on every run */
        }
        for (int i = 0; i < 64; i++)
            assert_int_equal(j->calls[i], i < sizes[s] ? 500 : 0);
        cts_pool_destroy(p);
    }
    free(j);
    cts_pool_destroy(NULL);
}

static int fail_some(void *ctx, int ith, int nth)
{
    struct job *j = ctx;

    if (ith >= j->fail_from)
        return cts_fail(ith % 2 ? CTS_E_FORMAT : CTS_E_IO, "worker %d of %d", ith, nth);
    return CTS_OK;
}

static void test_errors_come_home(void **state)
{
    struct job *j = calloc(1, sizeof(*j));
    cts_pool *p = NULL;

    (void)state;
    assert_int_equal(cts_pool_create(&p, 5), CTS_OK);
    for (int from = 0; from < 5; from++) {
        char expected[64];

        for (int run = 0; run < 50; run++) {
            j->fail_from = from;
            cts_fail(CTS_OK, "%s", "old");
            assert_int_equal(cts_parallel_for(p, fail_some, j), from % 2 ? CTS_E_FORMAT : CTS_E_IO);
            snprintf(expected, sizeof(expected), "worker %d of 5", from);
            assert_string_equal(cts_error(), expected);
        }
    }
    j->fail_from = 5;
    assert_int_equal(cts_parallel_for(p, fail_some, j), CTS_OK);
    j->fail_from = 0;
    assert_int_equal(cts_parallel_for(NULL, fail_some, j), CTS_E_IO);
    assert_string_equal(cts_error(), "worker 0 of 1");
    cts_pool_destroy(p);
    assert_int_equal(cts_pool_size(NULL), 1);
    free(j);
}

struct shared {
    cts_pool *pool;
    atomic_int inside, worst, total;
};

static int count_inside(void *ctx, int ith, int nth)
{
    struct shared *s = ctx;
    int now = atomic_fetch_add(&s->inside, 1) + 1;

    (void)ith;
    if (now > nth)
        atomic_store(&s->worst, now);
    atomic_fetch_add(&s->total, 1);
    atomic_fetch_sub(&s->inside, 1);
    return CTS_OK;
}

static void *caller_main(void *arg)
{
    struct shared *s = arg;

    for (int i = 0; i < 300; i++)
        cts_parallel_for(s->pool, count_inside, s);
    return NULL;
}

static void test_callers_take_turns(void **state)
{
    struct shared s = {0};
    pthread_t t[3];

    (void)state;
    assert_int_equal(cts_pool_create(&s.pool, 3), CTS_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, caller_main, &s), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(atomic_load(&s.total), 3 * 300 * 3);
    assert_int_equal(atomic_load(&s.worst), 0);
    cts_pool_destroy(s.pool);
}

static void test_split(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 70; n++)
        for (int64_t align = 1; align < 20; align += 3)
            for (int nth = 1; nth < 9; nth++) {
                int64_t lo, hi, end = 0, least = n, most = 0;

                for (int ith = 0; ith < nth; ith++) {
                    cts_split(n, align, ith, nth, &lo, &hi);
                    assert_true(lo == end && hi >= lo);
                    assert_true(hi == n || hi % align == 0);
                    if (hi < n || lo % align == 0) {
                        int64_t units = (hi - lo + align - 1) / align;

                        least = units < least ? units : least;
                        most = units > most ? units : most;
                    }
                    end = hi;
                }
                assert_true(end == n);
                assert_true(most - least <= 1);
            }
}

static void test_bad_counts(void **state)
{
    cts_pool *p = NULL;

    (void)state;
    assert_int_equal(cts_pool_create(&p, -1), CTS_E_USAGE);
    assert_int_equal(cts_pool_create(&p, 1 << 20), CTS_E_USAGE);
    assert_null(p);
    assert_int_equal(cts_pool_create(&p, 0), CTS_OK);
    assert_int_equal(cts_pool_size(p), cts_cpu_count());
    cts_pool_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_worker_once),  cmocka_unit_test(test_errors_come_home),
        cmocka_unit_test(test_callers_take_turns), cmocka_unit_test(test_split),
        cmocka_unit_test(test_bad_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
