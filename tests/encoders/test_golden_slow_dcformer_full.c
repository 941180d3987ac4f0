/* The full 256 x 512 x 512 volumes of dcformer_full: see test_golden_dcformer_full.c. SPDX-License-Identifier: MIT */
#include "tests/encoders/full_case.h"

static void test_full(void **state)
{
    cts_golden *g = cts_golden_need("dcformer_full.safetensors");
    int n;

    (void)state;
    n = full_cases(g, "full", "full_shape", "input.full");
    cts_golden_close(g);
    assert_true(n > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_full)};

    return cmocka_run_group_tests_name("golden dcformer full size", tests, NULL, NULL);
}
