/* SPDX-License-Identifier: MIT */
#include "tests/support/fuzz_replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/base/file.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"

static void mutate(cts_rng *r, const uint8_t *data, size_t n, int round, int (*target)(const uint8_t *, size_t))
{
    size_t m = round % 3 == 0 ? 1 + cts_rng_below(r, n) : n;
    uint8_t *copy = malloc(m); /* exactly as large as the input, so that the sanitizer sees its end */

    assert_non_null(copy);
    memcpy(copy, data, m);
    for (uint64_t k = cts_rng_below(r, 4); k; k--)
        copy[cts_rng_below(r, m)] = (uint8_t)cts_rng_next(r);
    if (round % 5 == 0) { /* a piece of it elsewhere */
        size_t from = cts_rng_below(r, m), to = cts_rng_below(r, m), room = m - (from > to ? from : to);

        memmove(copy + to, copy + from, cts_rng_below(r, room + 1));
    }
    target(copy, m);
    free(copy);
}

void cts_fuzz_replay(const char *name, int (*target)(const uint8_t *, size_t), int rounds)
{
    const uint64_t seed = 20251126;
    cts_rng r = cts_rng_make(seed);
    char **names, *path, *data, corpus[512];
    size_t n_names, n;

    printf("seed %llu\n", (unsigned long long)seed);
    snprintf(corpus, sizeof corpus, CTS_SOURCE_DIR "/tests/fuzz/%s/corpus", name);
    assert_int_equal(cts_dir_list(&names, &n_names, corpus), CTS_OK);
    assert_true(n_names > 0);
    for (size_t f = 0; f < n_names; f++) {
        path = cts_path_join(corpus, names[f]);
        assert_int_equal(cts_file_read(&data, &n, path, 1 << 20), CTS_OK);
        target((const uint8_t *)data, n);
        for (int round = 0; round < rounds && n; round++)
            mutate(&r, (const uint8_t *)data, n, round, target);
        free(data);
        free(path);
    }
    cts_list_free(names, n_names);
}
