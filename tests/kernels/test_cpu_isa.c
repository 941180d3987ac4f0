/* Every instruction set this CPU has, against the references: all op cases, and some large enough that each op
 * splits its work over threads and tiles. The case table's own numbers are small; here a few of its builders get
 * larger shapes. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/base/status.h"
#include "kernels/cpu/cpu_features.h"
#include "tests/support/op_cases.h"

/* Builder of a case with other arguments. Sums of hundreds to thousands of terms: four times the limit of the small
 * case. */
static const struct {
    const char *name;
    int64_t arg[CTS_CASE_ARGS];
} large[] = {
    {"tap_gemm/1x7x1", {2, 8, 9, 24, 32, 32, 1, 1, 3, 1, 0}},
    {"tap_gemm/1x7x1", {1, 24, 26, 29, 1, 33, 7, 1, 1, 4, -1}},
    {"tap_gemm/3x3x3", {2, 7, 9, 11, 20, 24, 3, 3, 3, 1}},
    {"linear/odd", {0, 0, 0, 150, 515, 300, 0, 1}},
    {"linear_fused/gelu_all", {0, 0, 0, 400, 70, 90, 0, CTS_ACT_GELU, 1, 1, 1}},
    {"dwconv/axis0_3", {2, 9, 10, 11, 33, 0, 0, 13, 1}},
    {"dwconv/axis0_3", {2, 9, 10, 11, 40, 0, 1, 11, 1}},
    {"dwconv/axis0_3", {2, 9, 10, 11, 24, 0, 2, 9, 0}},
    {"batch_norm/5d", {2, 11, 12, 13, 37}},
    {"batch_norm_eval/5d", {2, 11, 12, 13, 37, 0, 1}},
    {"layer_norm/rows", {0, 0, 0, 301, 130}},
    {"l2_norm/rows", {0, 0, 0, 301, 130}},
    {"act/gelu", {0, 0, 0, 301, 130, 0, CTS_ACT_GELU}},
    {"act/tanh", {0, 0, 0, 301, 130, 0, CTS_ACT_TANH}},
    {"act/relu", {0, 0, 0, 301, 130, 0, CTS_ACT_RELU}},
    {"add/odd", {0, 0, 0, 301, 130}},
    {"channel_scale/5d", {0, 0, 0, 701, 37}},
    {"dropout/half", {0, 0, 0, 301, 130, 0, 50}},
    {"max_pool/3_2_1", {2, 9, 11, 13, 40, 0, 3, 2, 1}},
    {"mean/space", {5, 6, 7, 8, 21, 0, 1, 3}},
    {"permute/channels_last", {4, 9, 10, 11, 12, 0, 0, 2, 3, 4, 1}},
    {"embedding/repeats", {300, 70, 400}},
    {"gather_rows/repeats", {300, 70, 400}},
    {"attention/packed", {600, 2, 40, 1, 1, -1, -1}},
    {"attention/band", {700, 2, 32, 0, 0, 20, 9}},
    {"attention/dropout", {300, 2, 24, 1, 0, -1, -1, 30}},
};

enum { N_LARGE = sizeof large / sizeof large[0] };

static cts_case_run *run_on(const cts_op_case *def, cts_backend *b)
{
    cts_case_run *r = cts_case_open(def, b, true);

    if (cts_case_go(r))
        fail_msg("%s on %s: %s", def->name, b->name, cts_error());
    return r;
}

static bool agrees(const cts_op_case *def, const cts_case_run *want, cts_backend *cpu, const char *how)
{
    cts_case_run *got = run_on(def, cpu), *again = run_on(def, cpu);
    char where[96];
    double used = cts_case_compare(want, got, def->limit, where);
    bool ok = used <= 1.0 && cts_case_same_bits(got, again);

    printf("%-28s %-8s %6.1f%% of the limit, at %s\n", def->name, how, 100.0 * used, where);
    if (!ok)
        fprintf(stderr, "%s on %s: %s%s\n", def->name, how, where, used <= 1.0 ? "; two runs differ" : "");
    cts_case_close(got);
    cts_case_close(again);
    return ok;
}

static cts_op_case case_at(int i)
{
    cts_op_case def;

    if (i < cts_n_op_cases)
        return cts_op_cases[i];
    def = *cts_op_case_find(large[i - cts_n_op_cases].name);
    memcpy(def.arg, large[i - cts_n_op_cases].arg, sizeof def.arg);
    def.limit *= 4.0;
    return def;
}

/* The back end that a cumulative disable list leaves. */
static cts_backend *backend_without(const char *list, cts_pool *pool)
{
    cts_backend *b = NULL;

    setenv("CTS_DISABLE_CPU_FEATURES", list, 1);
    assert_int_equal(cts_backend_create(&b, "cpu", pool), CTS_OK);
    unsetenv("CTS_DISABLE_CPU_FEATURES");
    return b;
}

static void test_all(void **state)
{
    static const char *const lists[] = {"", "avx512", "avx2"};
    static const cts_cpu_level top[] = {CTS_CPU_AVX512, CTS_CPU_AVX2, CTS_CPU_GENERIC};
    cts_cpu_features f = {0};
    cts_backend *ref = NULL, *cpu[3] = {NULL};
    cts_pool *pool = NULL;
    int missed = 0;

    (void)state;
    assert_int_equal(cts_cpu_features_with(&f, NULL), CTS_OK);
    assert_int_equal(cts_pool_create(&pool, 3), CTS_OK);
    assert_int_equal(cts_backend_create(&ref, "ref", NULL), CTS_OK);
    for (int k = 0; k < 3; k++) {
        if (cts_cpu_has(&f, top[k]))
            cpu[k] = backend_without(lists[k], pool);
        else
            printf("skipped: this CPU has no %s\n", cts_cpu_level_name(top[k]));
    }
    for (int i = 0; i < cts_n_op_cases + N_LARGE; i++) {
        cts_op_case def = case_at(i);
        cts_case_run *want = run_on(&def, ref);

        for (int k = 0; k < 3; k++)
            missed += cpu[k] && !agrees(&def, want, cpu[k], cts_cpu_level_name(top[k]));
        cts_case_close(want);
    }
    for (int k = 0; k < 3; k++)
        cts_backend_destroy(cpu[k]);
    cts_backend_destroy(ref);
    cts_pool_destroy(pool);
    assert_int_equal(missed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
