/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/csv.h"
#include "kernels/base/file.h"
#include "kernels/base/rng.h"

static cts_csv *parse(const char *text)
{
    cts_csv *c = NULL;

    if (cts_csv_parse(&c, text, strlen(text), "t.csv"))
        fail_msg("%s", cts_error());
    return c;
}

static void quoting(void **state)
{
    cts_csv *c = parse("\xEF\xBB\xBF"
                       "a,b,c\r\n"
                       "1,\"x, \"\"y\"\"\",\r\n"
                       "\n"
                       "\"two\r\nlines\",plain \"q\" here,\"\"\n"
                       "\xC3\xA9,last,no newline");

    (void)state;
    assert_int_equal(cts_csv_rows(c), 3);
    assert_int_equal(cts_csv_cols(c), 3);
    assert_string_equal(cts_csv_header(c, 0), "a");
    assert_string_equal(cts_csv_cell(c, 0, 1), "x, \"y\"");
    assert_string_equal(cts_csv_cell(c, 0, 2), "");
    assert_string_equal(cts_csv_cell(c, 1, 0), "two\r\nlines");
    assert_string_equal(cts_csv_cell(c, 1, 1), "plain \"q\" here");
    assert_string_equal(cts_csv_cell(c, 1, 2), "");
    assert_string_equal(cts_csv_cell(c, 2, 0), "\xC3\xA9");
    assert_string_equal(cts_csv_cell(c, 2, 2), "no newline");
    assert_int_equal(cts_csv_line(c, 0), 2);
    assert_int_equal(cts_csv_line(c, 1), 4);
    assert_int_equal(cts_csv_line(c, 2), 6);
    cts_csv_destroy(c);
}

static void edges(void **state)
{
    cts_csv *c = parse("a,b\n1,");

    (void)state;
    assert_int_equal(cts_csv_rows(c), 1);
    assert_string_equal(cts_csv_cell(c, 0, 1), "");
    cts_csv_destroy(c);
    c = parse("a");
    assert_int_equal(cts_csv_rows(c), 0);
    assert_int_equal(cts_csv_find(c, "a"), 0);
    assert_int_equal(cts_csv_find(c, "A"), -1);
    cts_csv_destroy(c);
    c = parse("a\r1\r2\r"); /* lone CR ends a line too */
    assert_int_equal(cts_csv_rows(c), 2);
    cts_csv_destroy(c);
}

static void malformed(void **state)
{
    static const struct {
        const char *text;
        size_t n;
        const char *says; /* part of the sentence */
    } bad[] = {
        {"", 0, "no header"},
        {"\n\r\n", 3, "no header"},
        {"\xEF\xBB\xBF", 3, "no header"},
        {"a,b\n1\n", 6, "line 2: the row has 1 cells, the header 2"},
        {"a,b\n1,2,3\n", 10, "line 2"},
        {"a,b\n1,\"open\n\n", 13, "line 2: the quote"},
        {"a\n\"x\"y\n", 7, "'y' follows"},
        {"a\nx\0y\n", 6, "NUL"},
        {"a\nb\n\xff\n", 6, "line 3: byte ff"},
        {"a,b,a\n1,2,3\n", 12, "\"a\" twice"},
    };
    cts_csv *c = NULL;
    int col = 77;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(cts_csv_parse(&c, bad[i].text, bad[i].n, "bad.csv"), CTS_E_FORMAT);
        assert_null(c);
        assert_non_null(strstr(cts_error(), "bad.csv"));
        if (!strstr(cts_error(), bad[i].says))
            fail_msg("%zu: %s", i, cts_error());
    }
    assert_int_equal(cts_csv_load(&c, "/nonexistent/x.csv"), CTS_E_IO);
    c = parse("a,b\n");
    assert_int_equal(cts_csv_require(&col, c, "VolumeName"), CTS_E_FORMAT);
    assert_int_equal(col, 77);
    assert_non_null(strstr(cts_error(), "a, b"));
    cts_csv_destroy(c);
}

/* Whatever cells are written come back. */
static void round_trip(void **state)
{
    static const char alphabet[] = "ab,\"\n\r \xC3\xA9";
    cts_rng r = cts_rng_make(20251123);

    (void)state;
    for (int round = 0; round < 200; round++) {
        size_t rows = 1 + cts_rng_below(&r, 4), cols = 2 + cts_rng_below(&r, 3);
        char cells[4][4][12];
        cts_str text = {0};
        cts_csv *c = NULL;

        for (size_t k = 0; k < cols; k++) {
            char name[8];

            snprintf(name, sizeof name, "h%zu", k);
            cts_csv_put(&text, name, k == 0);
        }
        cts_str_append(&text, "\r\n");
        for (size_t i = 0; i < rows; i++) {
            for (size_t k = 0; k < cols; k++) {
                size_t n = cts_rng_below(&r, 6), at = 0;

                while (n--) {
                    char ch = alphabet[cts_rng_below(&r, 7 + 1)];

                    cells[i][k][at++] = ch;
                    if (ch == '\xC3')
                        cells[i][k][at++] = '\xA9';
                }
                cells[i][k][at] = '\0';
                cts_csv_put(&text, cells[i][k], k == 0);
            }
            cts_str_append(&text, "\r\n");
        }
        if (cts_csv_parse(&c, cts_str_text(&text), text.n, "round"))
            fail_msg("round %d: %s", round, cts_error());
        assert_int_equal(cts_csv_rows(c), rows);
        for (size_t i = 0; i < rows; i++)
            for (size_t k = 0; k < cols; k++)
                assert_string_equal(cts_csv_cell(c, i, k), cells[i][k]);
        cts_csv_destroy(c);
        cts_str_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quoting),
        cmocka_unit_test(edges),
        cmocka_unit_test(malformed),
        cmocka_unit_test(round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
