/* The constructor of kernels/cpu/openblas_core.c ran before OpenBLAS chose its kernels.
 * SPDX-License-Identifier: MIT */
#include <cblas.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static void test_core(void **state)
{
    const char *wanted = getenv("OPENBLAS_CORETYPE");

    (void)state;
    if (!wanted)
        skip(); /* a CPU for which nothing is chosen */
    print_message("OpenBLAS core: %s, asked for %s\n", openblas_get_corename(), wanted);
    assert_string_equal(openblas_get_corename(), wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_core)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
