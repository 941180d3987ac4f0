/* Bars, clipped lines and lists of findings. SPDX-License-Identifier: MIT */
#include "query/present.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char *text;
static size_t n;

static FILE *open_memory(void)
{
    FILE *f = open_memstream(&text, &n);

    assert_non_null(f);
    return f;
}

static void check_bar(double fraction, const char *expected)
{
    FILE *f = open_memory();

    cts_print_bar(f, fraction, 4);
    fclose(f);
    assert_string_equal(text, expected);
    free(text);
}

static void test_bar(void **state)
{
    (void)state;
    check_bar(-0.3, "....");
    check_bar(0.0, "....");
    check_bar(0.5, "##..");
    check_bar(1.0, "####");
    check_bar(7.0, "####");
    check_bar(NAN, "....");
}

static void check_clip(const char *line, int columns, const char *expected)
{
    FILE *f = open_memory();
    int used = cts_print_clipped(f, line, columns);

    fclose(f);
    assert_string_equal(text, expected);
    assert_true(used <= columns);
    free(text);
}

static void test_clip(void **state)
{
    (void)state;
    check_clip("", 5, "");
    check_clip("abcde", 5, "abcde");
    check_clip("abcdef", 5, "ab...");
    check_clip("first\nsecond", 10, "first");
    check_clip("a\tb\x1b[31m", 10, "a b [31m"); /* a report cannot steer the terminal */
    check_clip("\xc3\xa4\xc3\xb6\xc3\xbc", 3, "\xc3\xa4\xc3\xb6\xc3\xbc");
    check_clip("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6", 4, "\xc3\xa4...");
}

static void test_labels(void **state)
{
    json_t *j = cts_labels_json(1u << 7 | 1u << 12);
    char *s;

    (void)state;
    assert_int_equal(json_array_size(j), 2);
    assert_string_equal(json_string_value(json_array_get(j, 0)), "Emphysema");
    assert_string_equal(json_string_value(json_array_get(j, 1)), "Pleural effusion");
    json_decref(j);
    s = cts_labels_text(1u << 7 | 1u << 12, 0x3ffff);
    assert_string_equal(s, "Emphysema, Pleural effusion");
    free(s);
    s = cts_labels_text(0, 0x3ffff);
    assert_string_equal(s, "no finding");
    free(s);
    s = cts_labels_text(0, 0);
    assert_string_equal(s, "not labelled");
    free(s);
}

static void test_number(void **state)
{
    json_t *a = cts_number_json(0.25), *b = cts_number_json(NAN);

    (void)state;
    assert_true(json_real_value(a) == 0.25);
    assert_true(json_is_null(b));
    json_decref(a);
    json_decref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bar), cmocka_unit_test(test_clip),
                                       cmocka_unit_test(test_labels), cmocka_unit_test(test_number)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
