/* Replays the fuzz corpora, each file as it is and with bytes changed, cut and doubled from a fixed seed.
 * SPDX-License-Identifier: MIT */
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

#include "kernels/base/file.h"
#include "kernels/base/rng.h"

static void replay(const char *corpus, int (*target)(const uint8_t *, size_t), int rounds)
{
    const uint64_t seed = 20251126;
    cts_rng r = cts_rng_make(seed);
    char **names, *path, *data;
    size_t n_names, n;

    printf("seed %llu\n", (unsigned long long)seed);
    assert_int_equal(cts_dir_list(&names, &n_names, corpus), CTS_OK);
    assert_true(n_names > 0);
    for (size_t f = 0; f < n_names; f++) {
        path = cts_path_join(corpus, names[f]);
        assert_int_equal(cts_file_read(&data, &n, path, 1 << 20), CTS_OK);
        target((const uint8_t *)data, n);
        for (int round = 0; round < rounds && n; round++) {
            size_t m = round % 3 == 0 ? 1 + cts_rng_below(&r, n) : n;
            uint8_t *copy = malloc(m); /* exactly as large as the input, so that the sanitizer sees its end */

            assert_non_null(copy);
            memcpy(copy, data, m);
            for (uint64_t k = cts_rng_below(&r, 4); k; k--)
                copy[cts_rng_below(&r, m)] = (uint8_t)cts_rng_next(&r);
            if (round % 5 == 0) { /* a piece of it elsewhere */
                size_t from = cts_rng_below(&r, m), to = cts_rng_below(&r, m), room = m - (from > to ? from : to);

                memmove(copy + to, copy + from, cts_rng_below(&r, room + 1));
            }
            target(copy, m);
            free(copy);
        }
        free(data);
        free(path);
    }
    cts_list_free(names, n_names);
}

static void nifti(void **state)
{
    (void)state;
    replay(CTS_SOURCE_DIR "/tests/fuzz/nifti/corpus", fuzz_nifti, 400);
}

static void csv(void **state)
{
    (void)state;
    replay(CTS_SOURCE_DIR "/tests/fuzz/csv/corpus", fuzz_csv, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nifti),
        cmocka_unit_test(csv),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
