/* SPDX-License-Identifier: MIT */
#include "kernels/base/status.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/base/arena.h"
#include "kernels/base/signal.h"
#include "kernels/base/str.h"

static void test_sentence(void **state)
{
    (void)state;
    assert_int_equal(cts_fail(CTS_E_FORMAT, "%s: field %d", "a.nii", 7), CTS_E_FORMAT);
    assert_string_equal(cts_error(), "a.nii: field 7");
    assert_int_equal(cts_fail_in(CTS_E_INPUT, "row %d", 3), CTS_E_INPUT);
    assert_string_equal(cts_error(), "row 3: a.nii: field 7");
    /* the old sentence may be an argument of the new one */
    cts_fail(CTS_E_IO, "again %s", cts_error());
    assert_string_equal(cts_error(), "again row 3: a.nii: field 7");
}

static void test_long_sentence(void **state)
{
    char wide[1200];

    (void)state;
    memset(wide, 'x', sizeof(wide));
    wide[sizeof(wide) - 1] = '\0';
    cts_fail(CTS_E_IO, "%s", wide);
    assert_int_equal(strlen(cts_error()), 1023);
    /* a cut inside of a two-byte letter takes the whole letter */
    memcpy(wide + 1022, "\xc3\xa9", 2);
    cts_fail(CTS_E_IO, "%s", wide);
    assert_int_equal(strlen(cts_error()), 1022);
    memcpy(wide + 1021, "\xc3\xa9", 2);
    cts_fail(CTS_E_IO, "%s", wide);
    assert_int_equal(strlen(cts_error()), 1023);
    cts_fail_in(CTS_E_IO, "%s", "context");
    assert_int_equal(strlen(cts_error()), 1023);
}

static void *other_thread(void *arg)
{
    strcpy(arg, cts_error());
    cts_fail(CTS_E_IO, "other");
    return NULL;
}

static void test_thread_local(void **state)
{
    char seen[64] = "unset";
    pthread_t t;

    (void)state;
    cts_fail(CTS_E_IO, "mine");
    assert_int_equal(pthread_create(&t, NULL, other_thread, seen), 0);
    pthread_join(t, NULL);
    assert_string_equal(seen, "");
    assert_string_equal(cts_error(), "mine");
}

static void test_codes(void **state)
{
    static const struct {
        int rc, exit_code;
        const char *name;
    } rows[] = {{CTS_OK, 0, "ok"},
                {CTS_E_USAGE, 1, "usage"},
                {CTS_E_FORMAT, 2, "format"},
                {CTS_E_INPUT, 2, "input"},
                {CTS_E_LIMIT, 2, "limit"},
                {CTS_E_NOTFOUND, 2, "notfound"},
                {CTS_E_IO, 3, "io"},
                {CTS_E_NOMEM, 3, "nomem"},
                {CTS_E_BUSY, 3, "busy"},
                {CTS_E_FULL, 3, "full"},
                {CTS_E_MISMATCH, 4, "mismatch"},
                {CTS_E_INTERRUPTED, 130, "interrupted"},
                {CTS_E_UNSUPPORTED, 2, "unsupported"},
                {CTS_E_PARTIAL, 5, "partial"},
                {99, 3, "unknown"},
                {-1, 3, "unknown"}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(cts_exit_code(rows[i].rc), rows[i].exit_code);
        assert_string_equal(cts_status_name(rows[i].rc), rows[i].name);
    }
}

static void test_arena(void **state)
{
    cts_arena *a = cts_arena_create(256);
    unsigned char *p[200];

    (void)state;
    assert_non_null(a);
    for (size_t i = 0; i < 200; i++) {
        p[i] = cts_arena_alloc(a, i * 3);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        for (size_t k = 0; k < i * 3; k++)
            assert_int_equal(p[i][k], 0);
        memset(p[i], (int)i, i * 3);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i * 3; k++)
            assert_int_equal(p[i][k], i & 255);
    assert_string_equal(cts_arena_strdup(a, "word"), "word");
    assert_string_equal(cts_arena_strndup(a, "word", 2), "wo");
    assert_string_equal(cts_arena_strndup(a, "", 0), "");
    assert_null(cts_arena_alloc(a, SIZE_MAX));
    assert_null(cts_arena_alloc(a, SIZE_MAX - 64));
    cts_arena_destroy(a);
    cts_arena_destroy(NULL);

    p[0] = cts_aligned_alloc(100);
    assert_non_null(p[0]);
    assert_int_equal((uintptr_t)p[0] % 64, 0);
    for (size_t k = 0; k < 100; k++)
        assert_int_equal(p[0][k], 0);
    cts_aligned_free(p[0]);
    cts_aligned_free(NULL);
    assert_null(cts_aligned_alloc(SIZE_MAX - 3));
}

static void test_interrupt_flag(void **state)
{
    (void)state;
    assert_false(cts_interrupted());
    cts_interrupt();
    assert_true(cts_interrupted());
    cts_interrupt_clear();
    assert_false(cts_interrupted());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentence), cmocka_unit_test(test_long_sentence), cmocka_unit_test(test_thread_local),
        cmocka_unit_test(test_codes),    cmocka_unit_test(test_arena),         cmocka_unit_test(test_interrupt_flag),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
