/* Replays the fuzz corpora of the weight files. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LLVMFuzzerTestOneInput fuzz_torch
#include "tests/fuzz/torch/fuzz.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_safetensors
#include "tests/fuzz/safetensors/fuzz.c"
#undef LLVMFuzzerTestOneInput

#include "tests/support/fuzz_replay.h"

static void torch(void **state)
{
    (void)state;
    cts_fuzz_replay("torch", fuzz_torch, 400);
}

static void safetensors(void **state)
{
    (void)state;
    cts_fuzz_replay("safetensors", fuzz_safetensors, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(torch),
        cmocka_unit_test(safetensors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
