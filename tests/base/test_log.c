/* SPDX-License-Identifier: MIT */
#include "kernels/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static char seen[4096];
static int lines;

static void take(void *ctx, cts_log_level level, const char *line)
{
    assert_ptr_equal(ctx, seen);
    snprintf(seen, sizeof(seen), "%d %s", (int)level, line);
    lines++;
}

static void test_levels(void **state)
{
    (void)state;
    cts_log_set_callback(take, seen);
    cts_log(CTS_LOG_ERROR, "%s %d", "bad", 3);
    assert_string_equal(seen, "0 bad 3");
    cts_log(CTS_LOG_DEBUG, "hidden");
    assert_int_equal(lines, 1);
    cts_log_set_level(CTS_LOG_DEBUG);
    cts_log(CTS_LOG_DEBUG, "shown");
    assert_string_equal(seen, "3 shown");
    cts_log_set_level(CTS_LOG_INFO);
    cts_log_set_quiet(true);
    cts_log(CTS_LOG_INFO, "dropped");
    assert_int_equal(lines, 2);
    cts_log(CTS_LOG_WARN, "kept");
    assert_string_equal(seen, "1 kept");
    cts_log_set_quiet(false);
    cts_log_set_callback(NULL, NULL);
}

static void test_progress(void **state)
{
    cts_progress p;
    double start = cts_now();

    (void)state;
    cts_log_set_callback(take, seen);
    lines = 0;
    cts_progress_start(&p, "rows", 10);
    for (uint64_t i = 0; i <= 10; i++)
        cts_progress_set(&p, i, "note");
    cts_progress_end(&p);
    cts_progress_end(&p);
    assert_true(cts_now() >= start);
    if (cts_now() - start < 0.05) /* nothing was due before the end */
        assert_int_equal(lines, 1);
    assert_non_null(strstr(seen, "2 rows: 10/10 (100 %), 0:00 spent"));
    cts_log_set_quiet(true);
    lines = 0;
    cts_progress_start(&p, "rows", 0);
    cts_progress_set(&p, 1, NULL);
    cts_progress_end(&p);
    assert_int_equal(lines, 0);
    cts_log_set_quiet(false);
    cts_log_set_callback(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_levels), cmocka_unit_test(test_progress)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
