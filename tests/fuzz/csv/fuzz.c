/* libFuzzer target of the CSV reader: any bytes end in a status or a table all of whose cells can be read.
 * tools/fuzz.sh csv builds and runs it; without clang, tests/data/test_fuzz.c replays the corpus.
 * SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/csv.h"
#include "kernels/base/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cts_csv *c = NULL, *again = NULL;
    cts_str text = {0};
    int rc = cts_csv_parse(&c, (const char *)data, size, "fuzz");

    if (rc ? c || !*cts_error() : !c)
        abort();
    if (!c)
        return 0;
    for (size_t i = 0; i <= cts_csv_rows(c); i++) {
        for (size_t k = 0; k < cts_csv_cols(c); k++)
            cts_csv_put(&text, i ? cts_csv_cell(c, i - 1, k) : cts_csv_header(c, k), k == 0);
        cts_str_append(&text, "\n");
    }
    /* what was read can be written and read again, but for rows of one empty cell, which an empty line cannot say */
    if (cts_csv_cols(c) > 1) {
        if (cts_csv_parse(&again, cts_str_text(&text), text.n, "again") || cts_csv_rows(again) != cts_csv_rows(c))
            abort();
        for (size_t i = 0; i < cts_csv_rows(c); i++)
            for (size_t k = 0; k < cts_csv_cols(c); k++)
                if (strcmp(cts_csv_cell(c, i, k), cts_csv_cell(again, i, k)))
                    abort();
    }
    cts_csv_destroy(again);
    cts_csv_destroy(c);
    cts_str_free(&text);
    return 0;
}
