/* Classification metrics against their definitions. SPDX-License-Identifier: MIT */
#include "query/metrics/classify.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auroc_small),
        cmocka_unit_test(test_auroc_one_class),
        cmocka_unit_test(test_auroc_nan),
        cmocka_unit_test(test_auroc_pairs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
