/* SPDX-License-Identifier: MIT */
#include "kernels/base/file.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "kernels/base/status.h"

static char scratch[64];
static char path_buf[8][256];

/* scratch/name; eight of them may be in use at once */
static const char *at(const char *name)
{
    static unsigned turn;
    char *p = path_buf[turn++ % 8];

    snprintf(p, sizeof(path_buf[0]), "%s/%s", scratch, name);
    return p;
}

static int setup(void **state)
{
    (void)state;
    strcpy(scratch, "/tmp/cts-file-XXXXXX");
    return mkdtemp(scratch) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return cts_remove_tree(scratch);
}

static void assert_content(const char *path, const char *expected)
{
    char *data = NULL;
    size_t n = 0;

    assert_int_equal(cts_file_read(&data, &n, path, 1 << 20), CTS_OK);
    assert_int_equal(n, strlen(expected));
    assert_string_equal(data, expected);
    free(data);
}

static size_t entries(const char *path)
{
    char **names = NULL;
    size_t n = 0;

    assert_int_equal(cts_dir_list(&names, &n, path), CTS_OK);
    cts_list_free(names, n);
    return n;
}

static void test_read(void **state)
{
    char *data = NULL;
    size_t n = 77;
    uint64_t size = 0;

    (void)state;
    assert_int_equal(cts_file_write_atomic(at("r"), "hello", 5), CTS_OK);
    assert_content(at("r"), "hello");
    assert_int_equal(cts_file_size(&size, at("r")), CTS_OK);
    assert_int_equal(size, 5);
    assert_int_equal(cts_file_read(&data, &n, at("r"), 5), CTS_OK);
    free(data);
    data = NULL;
    n = 77;
    assert_int_equal(cts_file_read(&data, &n, at("r"), 4), CTS_E_LIMIT);
    assert_non_null(strstr(cts_error(), "/r: file is 5 bytes, allowed at most 4"));
    assert_int_equal(cts_file_read(&data, &n, at("missing"), 10), CTS_E_IO);
    assert_non_null(strstr(cts_error(), "missing: cannot open"));
    assert_int_equal(cts_file_read(&data, &n, scratch, 10), CTS_E_IO);
    assert_non_null(strstr(cts_error(), "is a folder"));
    assert_null(data);
    assert_int_equal(n, 77);
    /* files that do not know their size, and endless ones */
    assert_int_equal(cts_file_read(&data, &n, "/proc/self/status", 1 << 20), CTS_OK);
    assert_true(n > 100 && strlen(data) == n);
    free(data);
    data = NULL;
    assert_int_equal(cts_file_read(&data, &n, "/dev/zero", 100000), CTS_E_LIMIT);
    assert_null(data);
}

static void test_map(void **state)
{
    cts_map m = {0};

    (void)state;
    assert_int_equal(cts_file_write_atomic(at("m"), "mapped", 6), CTS_OK);
    assert_int_equal(cts_map_open(&m, at("m"), 6), CTS_OK);
    assert_int_equal(m.n, 6);
    assert_memory_equal(m.p, "mapped", 6);
    cts_map_close(&m);
    cts_map_close(&m);
    assert_null(m.p);
    assert_int_equal(cts_map_open(&m, at("m"), 5), CTS_E_LIMIT);
    assert_int_equal(cts_map_open(&m, "/dev/zero", 5), CTS_E_IO);
    assert_int_equal(cts_map_open(&m, scratch, 5), CTS_E_IO);
    assert_int_equal(cts_file_write_atomic(at("m"), NULL, 0), CTS_OK);
    assert_int_equal(cts_map_open(&m, at("m"), 6), CTS_OK);
    assert_null(m.p);
    assert_int_equal(m.n, 0);
    cts_map_close(&m);
    cts_map_close(NULL);
}

static void test_writer(void **state)
{
    const char *target = at("w");
    cts_writer *w = NULL;
    size_t before = entries(scratch);

    (void)state;
    assert_int_equal(cts_writer_open(&w, target), CTS_OK);
    assert_int_equal(cts_writer_write(w, "one ", 4), CTS_OK);
    fprintf(cts_writer_file(w), "two %d", 3);
    assert_false(cts_file_exists(target)); /* nothing under the name before commit */
    assert_int_equal(cts_writer_commit(w), CTS_OK);
    cts_writer_destroy(w);
    assert_content(target, "one two 3");
    assert_int_equal(entries(scratch), before + 1);

    /* without commit the old bytes stay and the temporary goes */
    assert_int_equal(cts_writer_open(&w, target), CTS_OK);
    assert_int_equal(cts_writer_write(w, "other", 5), CTS_OK);
    cts_writer_destroy(w);
    cts_writer_destroy(NULL);
    assert_content(target, "one two 3");
    assert_int_equal(entries(scratch), before + 1);

    w = NULL;
    assert_int_equal(cts_writer_open(&w, at("no/such/folder/x")), CTS_E_IO);
    assert_non_null(strstr(cts_error(), "no/such/folder/x: cannot create"));
    assert_null(w);
}

/* A file-size limit stands in for the full disk: both come as a short write. */
static void test_short_write(void **state)
{
    const char *target = at("full");
    struct rlimit old, small;
    char *big = calloc(1, 300000);
    cts_writer *w = NULL;
    size_t before;

    (void)state;
    assert_int_equal(cts_file_write_atomic(target, "before", 6), CTS_OK);
    before = entries(scratch);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 100000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);

    assert_int_equal(cts_file_write_atomic(target, big, 300000), CTS_E_IO);
    assert_non_null(strstr(cts_error(), "/full: cannot write: "));
    assert_content(target, "before");
    assert_int_equal(entries(scratch), before);

    /* small pieces: the error appears when the buffer spills, and sticks */
    assert_int_equal(cts_writer_open(&w, target), CTS_OK);
    for (int i = 0; i < 3000; i++)
        cts_writer_write(w, big, 100);
    assert_int_equal(cts_writer_write(w, "x", 1), CTS_E_IO);
    assert_int_equal(cts_writer_commit(w), CTS_E_IO);
    cts_writer_destroy(w);
    assert_content(target, "before");

    /* written through the FILE, whose user looks at nothing */
    assert_int_equal(cts_writer_open(&w, target), CTS_OK);
    for (int i = 0; i < 3000; i++)
        fprintf(cts_writer_file(w), "%100d", i);
    assert_int_equal(cts_writer_commit(w), CTS_E_IO);
    assert_non_null(strstr(cts_error(), "File too large"));
    cts_writer_destroy(w);
    assert_content(target, "before");
    assert_int_equal(entries(scratch), before);

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    free(big);
}

static void test_folders(void **state)
{
    char **names = NULL;
    size_t n = 0;

    (void)state;
    assert_int_equal(cts_mkdir_p(at("d/e/f")), CTS_OK);
    assert_int_equal(cts_mkdir_p(at("d/e/f/")), CTS_OK);
    assert_true(cts_is_dir(at("d/e/f")));
    assert_int_equal(cts_file_write_atomic(at("d/b"), "1", 1), CTS_OK);
    assert_int_equal(cts_file_write_atomic(at("d/a"), "1", 1), CTS_OK);
    assert_int_equal(cts_file_write_atomic(at("d/e/z"), "1", 1), CTS_OK);
    assert_int_equal(cts_file_write_atomic(at("d/e/f/y"), "1", 1), CTS_OK);
    assert_int_equal(symlink("..", at("d/e/up")), 0);
    assert_int_equal(symlink("z", at("d/e/link")), 0);
    assert_int_equal(symlink("nowhere", at("d/e/dangling")), 0);
    assert_int_equal(cts_mkdir_p(at("d/a/x")), CTS_E_IO);
    assert_non_null(strstr(cts_error(), "d/a"));
    if (cts_is_dir("/sys")) { /* where nobody makes a folder: the reason is mkdir's, not that nothing is there */
        assert_int_equal(cts_mkdir_p("/sys/none/x"), CTS_E_IO);
        assert_non_null(strstr(cts_error(), "/sys/none: cannot make the folder"));
        assert_null(strstr(cts_error(), strerror(ENOENT)));
    }

    assert_int_equal(cts_dir_list(&names, &n, at("d")), CTS_OK);
    assert_int_equal(n, 3);
    assert_string_equal(names[0], "a");
    assert_string_equal(names[1], "b");
    assert_string_equal(names[2], "e");
    cts_list_free(names, n);
    assert_int_equal(cts_dir_walk(&names, &n, at("d")), CTS_OK);
    assert_int_equal(n, 5);
    assert_string_equal(names[0], "a");
    assert_string_equal(names[1], "b");
    assert_string_equal(names[2], "e/f/y");
    assert_string_equal(names[3], "e/link");
    assert_string_equal(names[4], "e/z");
    cts_list_free(names, n);
    cts_list_free(NULL, 0);
    assert_int_equal(cts_dir_list(&names, &n, at("missing")), CTS_E_IO);
    assert_int_equal(cts_dir_walk(&names, &n, at("missing")), CTS_E_IO);

    assert_int_equal(cts_remove_tree(at("d")), CTS_OK);
    assert_false(cts_file_exists(at("d")));
    assert_true(cts_is_dir(scratch)); /* the link to .. was removed, not followed */
    assert_int_equal(cts_remove_tree(at("d")), CTS_OK);
    assert_int_equal(cts_remove_tree(""), CTS_E_INPUT);
    assert_int_equal(cts_remove_tree("/"), CTS_E_INPUT);
    assert_int_equal(cts_remove_tree("//."), CTS_E_INPUT);
    assert_int_equal(cts_remove_tree(".."), CTS_E_INPUT);
}

static void test_paths(void **state)
{
    static const char *const rows[][3] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"},
                                          {"a", "/b", "/b"}, {"/", "b", "/b"},   {"a", "", "a/"}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *p = cts_path_join(rows[i][0], rows[i][1]);

        assert_string_equal(p, rows[i][2]);
        free(p);
    }
    assert_string_equal(cts_path_base("a/b.c"), "b.c");
    assert_string_equal(cts_path_base("b.c"), "b.c");
    assert_string_equal(cts_path_base("a/"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),        cmocka_unit_test(test_map),     cmocka_unit_test(test_writer),
        cmocka_unit_test(test_short_write), cmocka_unit_test(test_folders), cmocka_unit_test(test_paths),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
