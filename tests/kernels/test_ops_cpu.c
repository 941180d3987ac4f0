/* Every op case, forward and backward: the cpu back end against the references, with one thread and with three; two
 * runs of one thread count agree to the bit; no kernel writes outside its outputs or leaves a value out; padded rows
 * give the same result. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernels/base/status.h"
#include "kernels/base/thread.h"
#include "tests/support/guard_backend.h"
#include "tests/support/op_cases.h"

static const int thread_counts[] = {1, 3};

static cts_case_run *run_on(const cts_op_case *def, cts_backend *b)
{
    cts_case_run *r = cts_case_open(def, b, true);

    if (cts_case_go(r))
        fail_msg("%s on %s: %s", def->name, b->name, cts_error());
    return r;
}

/* Run the case on b and report how it compares; false on a miss. */
static bool agrees(const cts_case_run *want, cts_backend *b, const char *how)
{
    cts_case_run *got = run_on(want->def, b);
    char where[96];
    double used = cts_case_compare(want, got, want->def->limit, where);
    bool ok = used <= 1.0;

    printf("%-32s %-12s %6.1f%% of the limit, at %s\n", want->def->name, how, 100.0 * used, where);
    if (!ok)
        fprintf(stderr, "%s (%s): %s\n", want->def->name, how, where);
    cts_case_close(got);
    return ok;
}

static bool repeats(const cts_op_case *def, cts_backend *b)
{
    cts_case_run *first = run_on(def, b), *second = run_on(def, b);
    bool same = cts_case_same_bits(first, second);

    if (same && !cts_case_go(second)) /* the same memory once more */
        same = cts_case_same_bits(first, second);
    if (!same)
        fprintf(stderr, "%s: two runs on %s differ\n", def->name, b->name);
    cts_case_close(first);
    cts_case_close(second);
    return same;
}

static bool guarded(const cts_case_run *want, cts_backend *cpu, bool strided)
{
    cts_backend *g = NULL;
    bool ok;

    assert_int_equal(cts_backend_guard(&g, cpu, strided), CTS_OK);
    ok = agrees(want, g, strided ? "padded rows" : "guarded");
    ok &= cts_backend_guard_broken(g) == 0;
    cts_backend_destroy(g);
    return ok;
}

static void check_case(void **state)
{
    const cts_op_case *def = *state;
    cts_backend *ref = NULL, *cpu = NULL;
    cts_case_run *want;
    bool ok = true;

    assert_int_equal(cts_backend_create(&ref, "ref", NULL), CTS_OK);
    want = run_on(def, ref);
    for (size_t k = 0; k < sizeof(thread_counts) / sizeof(thread_counts[0]); k++) {
        cts_pool *pool = NULL;
        char how[16];

        assert_int_equal(cts_pool_create(&pool, thread_counts[k]), CTS_OK);
        assert_int_equal(cts_backend_create(&cpu, "cpu", pool), CTS_OK);
        snprintf(how, sizeof(how), "%d thread%s", thread_counts[k], thread_counts[k] > 1 ? "s" : "");
        ok &= agrees(want, cpu, how);
        ok &= repeats(def, cpu);
        ok &= guarded(want, cpu, false);
        ok &= guarded(want, cpu, true);
        cts_backend_destroy(cpu);
        cts_pool_destroy(pool);
    }
    cts_case_close(want);
    cts_backend_destroy(ref);
    assert_true(ok);
}

int main(void)
{
    struct CMUnitTest *test = calloc((size_t)cts_n_op_cases, sizeof(*test));
    int rc;

    if (!test)
        return 1;
    for (int i = 0; i < cts_n_op_cases; i++)
        test[i] = (struct CMUnitTest){cts_op_cases[i].name, check_case, NULL, NULL, (void *)&cts_op_cases[i]};
    rc = _cmocka_run_group_tests("ops_cpu", test, (size_t)cts_n_op_cases, NULL, NULL);
    free(test);
    return rc;
}
