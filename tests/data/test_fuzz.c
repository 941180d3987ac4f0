/* Replays the fuzz corpora of the readers of data/. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LLVMFuzzerTestOneInput fuzz_nifti
#include "tests/fuzz/nifti/fuzz.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_csv
#include "tests/fuzz/csv/fuzz.c"
#undef LLVMFuzzerTestOneInput

#include "tests/support/fuzz_replay.h"

static void nifti(void **state)
{
    (void)state;
    cts_fuzz_replay("nifti", fuzz_nifti, 400);
}

static void csv(void **state)
{
    (void)state;
    cts_fuzz_replay("csv", fuzz_csv, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nifti),
        cmocka_unit_test(csv),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
