/* DCFormer nano, naive and tiny at published widths with formula weights, on the small volume of dcformer_full: stages, encoder output, the mean over
 * the grid (what the quantiser is left out of). The full-size volumes are in test_golden_slow_dcformer_full.c.
 * SPDX-License-Identifier: MIT */
#include "tests/encoders/full_case.h"

static void test_small(void **state)
{
    cts_golden *g = cts_golden_need("dcformer_full.safetensors");
    int n;

    (void)state;
    n = full_cases(g, "small", "small_shape", "input.volume");
    cts_golden_close(g);
    assert_true(n > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_small)};

    return cmocka_run_group_tests_name("golden dcformer full", tests, NULL, NULL);
}
