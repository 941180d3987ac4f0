/* SPDX-License-Identifier: MIT */
#include "kernels/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_append(void **state)
{
    cts_str s = {0};
    char expected[4001];

    (void)state;
    assert_string_equal(cts_str_text(&s), "");
    for (int i = 0; i < 1000; i++)
        cts_str_append(&s, "abcd");
    for (int i = 0; i < 4000; i++)
        expected[i] = "abcd"[i % 4];
    expected[4000] = '\0';
    assert_int_equal(s.n, 4000);
    assert_string_equal(cts_str_text(&s), expected);
    cts_str_clear(&s);
    assert_string_equal(cts_str_text(&s), "");
    cts_str_printf(&s, "%d-%s", 12, "x");
    cts_str_append_n(&s, "yz!", 2);
    cts_str_printf(&s, "%200d", 5);
    assert_int_equal(s.n, 206);
    assert_memory_equal(s.p, "12-xyz", 6);
    assert_false(s.failed);
    cts_str_append_n(&s, "never read", SIZE_MAX - 10); /* cannot fit: sticky, nothing is touched */
    assert_true(s.failed);
    cts_str_append(&s, "more");
    assert_int_equal(s.n, 206);
    cts_str_free(&s);
    cts_str_free(&s);
    cts_str_free(NULL);
    assert_string_equal(cts_str_text(&s), "");
}

static void test_utf8_round_trip(void **state)
{
    char out[4];
    uint32_t cp;

    (void)state;
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        size_t n = cts_utf8_encode(out, c), want = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

        if (c >= 0xd800 && c <= 0xdfff) {
            assert_int_equal(n, 3);
            assert_memory_equal(out, "\xef\xbf\xbd", 3);
            continue;
        }
        if (n != want || cts_utf8_decode(&cp, out, n) != n || cp != c)
            fail_msg("code point %06x", c);
        if (n > 1 && (cts_utf8_decode(&cp, out, n - 1) != 1 || cp != 0xfffd))
            fail_msg("torn code point %06x", c);
    }
    assert_int_equal(cts_utf8_encode(out, 0x110000), 3);
}

static void test_utf8_malformed(void **state)
{
    static const struct {
        const char *p;
        size_t n;
    } rows[] = {
        {"\x80", 1},             /* continuation alone */
        {"\xbf\x80", 2},         /* the same, twice */
        {"\xc0\xaf", 2},         /* overlong slash */
        {"\xc1\xbf", 2},         /* overlong 7f */
        {"\xe0\x80\xaf", 3},     /* overlong slash */
        {"\xe0\x9f\xbf", 3},     /* overlong 7ff */
        {"\xf0\x8f\xbf\xbf", 4}, /* overlong ffff */
        {"\xed\xa0\x80", 3},     /* surrogate d800 */
        {"\xed\xbf\xbf", 3},     /* surrogate dfff */
        {"\xf4\x90\x80\x80", 4}, /* 110000 */
        {"\xf8\x88\x80\x80", 4}, /* five-byte lead */
        {"\xff", 1},
        {"\xc3(", 2},
        {"\xe2\x82(", 3},
    };
    uint32_t cp;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cp = 0;
        assert_int_equal(cts_utf8_decode(&cp, rows[i].p, rows[i].n), 1);
        assert_int_equal(cp, 0xfffd);
    }
}

static void test_fnv(void **state)
{
    (void)state;
    assert_true(cts_fnv1a64("", 0) == 0xcbf29ce484222325u);
    assert_true(cts_fnv1a64("a", 1) == 0xaf63dc4c8601ec8cu);
    assert_true(cts_fnv1a64("foobar", 6) == 0x85944171f73967e8u);
}

static void test_copies(void **state)
{
    char *p = cts_strdup("text");

    (void)state;
    assert_string_equal(p, "text");
    free(p);
    assert_null(cts_strdup(NULL));
    p = cts_asprintf("%s/%03d", "a", 7);
    assert_string_equal(p, "a/007");
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append), cmocka_unit_test(test_utf8_round_trip), cmocka_unit_test(test_utf8_malformed),
        cmocka_unit_test(test_fnv),    cmocka_unit_test(test_copies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
