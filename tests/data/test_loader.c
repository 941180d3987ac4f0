/* The prefetching loader: strict order whatever the threads do, failures handed through, resume in the middle,
 * cache, early end.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "data/loader.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"

#define ITEM 5

typedef struct {
    int64_t n, end; /* records; sequence numbers before the end, -1 = never */
    int64_t bad;
    int loads; /* counted without a lock: read only after the threads ended, with one thread */
} source;

static int64_t order(void *ctx, uint64_t seq)
{
    const source *s = ctx;

    return s->end >= 0 && (int64_t)seq >= s->end ? -1 : (int64_t)((seq * 7) % (uint64_t)s->n);
}

static int load(void *ctx, int64_t record, float *out)
{
    source *s = ctx;
    struct timespec nap = {0, (long)(cts_rng_at(3, (uint64_t)record) % 300000)};

    nanosleep(&nap, NULL); /* finish out of order */
    if (record == s->bad)
        return cts_fail(CTS_E_FORMAT, "record %lld is bad", (long long)record);
    for (int i = 0; i < ITEM; i++)
        out[i] = (float)(record * 10 + i);
    s->loads++;
    return CTS_OK;
}

static cts_loader *open_loader(source *s, int threads, int depth, size_t cache, uint64_t first)
{
    cts_loader_options o = {.n_items = s->n,
                            .item_floats = ITEM,
                            .threads = threads,
                            .depth = depth,
                            .cache_bytes = cache,
                            .order = order,
                            .load = load,
                            .ctx = s};
    cts_loader *l = NULL;

    assert_int_equal(cts_loader_create(&l, &o, first), CTS_OK);
    return l;
}

static void expect(cts_loader *l, const source *s, uint64_t seq)
{
    cts_loaded item;

    cts_loader_next(l, &item);
    assert_int_equal(item.seq, seq);
    assert_int_equal(item.record, order((void *)s, seq));
    if (item.record == s->bad) {
        assert_int_equal(item.status, CTS_E_FORMAT);
        assert_non_null(strstr(item.error, "is bad"));
        assert_null(item.floats);
        return;
    }
    assert_int_equal(item.status, CTS_OK);
    for (int i = 0; i < ITEM; i++)
        assert_true(item.floats[i] == (float)(item.record * 10 + i));
}

static void test_order_and_failures(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 4; threads++)
        for (int depth = 1; depth <= 5; depth += 2) {
            source s = {.n = 11, .end = 60, .bad = 4};
            cts_loader *l = open_loader(&s, threads, depth, 0, 0);
            cts_loaded item;

            for (uint64_t seq = 0; seq < 60; seq++)
                expect(l, &s, seq);
            for (int i = 0; i < 2; i++) {
                cts_loader_next(l, &item);
                assert_int_equal(item.record, -1);
            }
            cts_loader_destroy(l);
        }
}

static void test_starts_anywhere_and_may_end_early(void **state)
{
    source s = {.n = 9, .end = -1, .bad = -1};
    cts_loader *l = open_loader(&s, 3, 4, 0, 23);

    (void)state;
    expect(l, &s, 23);
    expect(l, &s, 24);
    cts_loader_destroy(l); /* workers are busy */
}

static void test_cache_loads_each_record_once(void **state)
{
    source s = {.n = 6, .end = 30, .bad = -1};
    cts_loader *l = open_loader(&s, 1, 2, 1 << 20, 0);

    (void)state;
    for (uint64_t seq = 0; seq < 30; seq++)
        expect(l, &s, seq);
    cts_loader_destroy(l);
    assert_int_equal(s.loads, 6);
}

static void test_cache_has_a_limit(void **state)
{
    source s = {.n = 6, .end = 18, .bad = -1};
    cts_loader *l = open_loader(&s, 1, 2, 2 * ITEM * sizeof(float), 0);

    (void)state;
    for (uint64_t seq = 0; seq < 18; seq++)
        expect(l, &s, seq);
    cts_loader_destroy(l);
    assert_int_equal(s.loads, 6 + 4 + 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_failures), cmocka_unit_test(test_starts_anywhere_and_may_end_early),
        cmocka_unit_test(test_cache_loads_each_record_once), cmocka_unit_test(test_cache_has_a_limit)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
