/* Detection, the disable list and its errors. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/backend.h"
#include "kernels/base/status.h"
#include "kernels/cpu/cpu_features.h"

static cts_cpu_features with(const char *disabled)
{
    cts_cpu_features f = {0};

    assert_int_equal(cts_cpu_features_with(&f, disabled), CTS_OK);
    return f;
}

static void test_present(void **state)
{
    cts_cpu_features f = with(NULL);

    (void)state;
    assert_true(cts_cpu_has(&f, CTS_CPU_GENERIC));
    assert_int_equal(f.present, f.enabled);
    assert_int_equal(f.present & (f.present + 1), 0); /* levels build on each other: no gap */
    assert_int_equal(with("").enabled, f.enabled);
}

/* A disabled level takes those above it along, and never the generic one. */
static void test_disabled(void **state)
{
    uint32_t present = with(NULL).present;

    (void)state;
    for (int l = 1; l < CTS_CPU_LEVEL_COUNT; l++) {
        cts_cpu_features f = with(cts_cpu_level_name((cts_cpu_level)l));

        assert_int_equal(f.present, present);
        assert_int_equal(f.enabled, present & ((1u << l) - 1));
    }
    assert_int_equal(with("amx_bf16,avx2,avx512").enabled, 1);
    assert_int_equal(with(",avx2,").enabled, 1);
}

static void test_unknown(void **state)
{
    static const char *const bad[] = {"avx3", "avx2,sse9", "generic", "AVX2", "avx2 ,avx512", "avx51"};
    cts_cpu_features f = {7, 7};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(cts_cpu_features_with(&f, bad[i]), CTS_E_USAGE);
        assert_non_null(strstr(cts_error(), "CTS_DISABLE_CPU_FEATURES"));
        assert_non_null(strstr(cts_error(), "allowed"));
    }
    assert_int_equal(f.present, 7);
    assert_int_equal(f.enabled, 7);
}

/* The back end refuses an unknown word, and obeys a known one. */
static void test_environment(void **state)
{
    const char *before = getenv("CTS_DISABLE_CPU_FEATURES");
    char *saved = before ? strdup(before) : NULL;
    cts_backend *b = NULL;

    (void)state;
    setenv("CTS_DISABLE_CPU_FEATURES", "avx2,mmx", 1);
    assert_int_equal(cts_backend_create(&b, "cpu", NULL), CTS_E_USAGE);
    assert_non_null(strstr(cts_error(), "mmx"));
    assert_null(b);
    assert_non_null(strstr(cts_cpu_features_text(), "mmx"));
    setenv("CTS_DISABLE_CPU_FEATURES", "avx2", 1);
    assert_int_equal(cts_backend_create(&b, "cpu", NULL), CTS_OK);
    cts_backend_destroy(b);
    if (with(NULL).present > 1)
        assert_memory_equal(cts_cpu_features_text(), "generic (disabled: avx2", strlen("generic (disabled: avx2"));
    if (saved)
        setenv("CTS_DISABLE_CPU_FEATURES", saved, 1);
    else
        unsetenv("CTS_DISABLE_CPU_FEATURES");
    free(saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_present), cmocka_unit_test(test_disabled),
                                       cmocka_unit_test(test_unknown), cmocka_unit_test(test_environment)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
