/* SPDX-License-Identifier: MIT */
#include "tests/support/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "kernels/base/file.h"
#include "kernels/base/str.h"

static char folder[64];
static char *program, *out, *err;

int cts_program_setup(void **state)
{
    const char *given = getenv("CTS_BIN"), *binary = given && *given ? given : CTS_BINARY;

    (void)state;
    strcpy(folder, "/tmp/cts-program-XXXXXX");
    program = realpath(binary, NULL);
    if (!program) {
        print_error("%s: not built\n", binary);
        return -1;
    }
    return mkdtemp(folder) ? 0 : -1;
}

int cts_program_teardown(void **state)
{
    (void)state;
    free(program);
    free(out);
    free(err);
    program = out = err = NULL;
    return cts_remove_tree(folder);
}

const char *cts_program_dir(void)
{
    return folder;
}

const char *cts_program_path(void)
{
    return program;
}

static char *slurp(const char *name)
{
    char *path = cts_path_join(folder, name), *text = NULL;
    size_t n;

    assert_non_null(path);
    assert_int_equal(cts_file_read(&text, &n, path, (size_t)64 << 20), CTS_OK);
    free(path);
    return text;
}

static int run(const char *line)
{
    char *whole = cts_asprintf("cd '%s' && { %s\n} >.out 2>.err </dev/null", folder, line);
    int status;

    assert_non_null(whole);
    status = system(whole);
    free(whole);
    free(out);
    free(err);
    out = slurp(".out");
    err = slurp(".err");
    if (WIFSIGNALED(status))
        return 1000 + WTERMSIG(status);
    return WEXITSTATUS(status);
}

int cts_program_shell(const char *fmt, ...)
{
    char line[8192];
    va_list ap;

    va_start(ap, fmt);
    assert_in_range(vsnprintf(line, sizeof line - 8, fmt, ap), 0, sizeof line - 9);
    va_end(ap);
    return run(line);
}

int cts_program_run(const char *fmt, ...)
{
    char arguments[4096], *line;
    va_list ap;
    int rc;

    va_start(ap, fmt);
    assert_in_range(vsnprintf(arguments, sizeof arguments, fmt, ap), 0, sizeof arguments - 1);
    va_end(ap);
    line = cts_asprintf("'%s' %s", program, arguments);
    assert_non_null(line);
    rc = run(line);
    free(line);
    return rc;
}

const char *cts_program_out(void)
{
    return out;
}

const char *cts_program_err(void)
{
    return err;
}

json_t *cts_program_json(void)
{
    json_error_t e;
    json_t *j = json_loads(out, JSON_REJECT_DUPLICATES, &e); /* refuses anything after the value */

    if (!j)
        fail_msg("not one JSON value: %s in:\n%s\nstandard error:\n%s", e.text, out, err);
    return j;
}

void cts_program_runs(int code, const char *arguments)
{
    int rc = cts_program_run("%s", arguments);

    if (rc != code)
        fail_msg("%s: exit code %d, expected %d\n%s%s", arguments, rc, code, out, err);
}

void cts_program_warns(int code, const char *arguments, const char *word)
{
    cts_program_runs(code, arguments);
    if (!strstr(err, word))
        fail_msg("%s: looked for \"%s\" in:\n%s", arguments, word, err);
}

void cts_program_refuses(int code, const char *arguments, const char *word)
{
    cts_program_warns(code, arguments, word);
    if (*out)
        fail_msg("%s: refused, and yet on standard output:\n%s", arguments, out);
}

/* Fields that the documentation writes with a letter for their number: percentiles ("50"), recall at any k ("r@10"). */
static bool is_numbered(const char *key)
{
    return (key[0] >= '0' && key[0] <= '9') || !strncmp(key, "r@", 2);
}

void cts_json_documented(const json_t *j)
{
    static char *text;
    const char *key;
    json_t *value;
    size_t n, i;

    if (!text)
        assert_int_equal(cts_file_read(&text, &n, CTS_SOURCE_DIR "/docs/JSON.md", (size_t)1 << 20), CTS_OK);
    if (json_is_array(j))
        json_array_foreach(j, i, value) cts_json_documented(value);
    json_object_foreach((json_t *)j, key, value)
    {
        char name[128];

        snprintf(name, sizeof name, "`%s`", key);
        if (!is_numbered(key) && !strstr(text, name))
            fail_msg("docs/JSON.md does not name the field %s", name);
        cts_json_documented(value);
    }
}

json_t *cts_program_json_of(int code, const char *arguments)
{
    json_t *j;

    cts_program_runs(code, arguments);
    j = cts_program_json();
    cts_json_documented(j);
    return j;
}

const json_t *cts_json_at(const json_t *j, const char *path)
{
    const char *p = path;

    while (j && *p) {
        char key[128];
        size_t n = strcspn(p, ".");

        assert_in_range(n, 1, sizeof key - 1);
        memcpy(key, p, n);
        key[n] = '\0';
        j = json_is_array(j) ? json_array_get(j, (size_t)strtoul(key, NULL, 10)) : json_object_get(j, key);
        p += n + (p[n] == '.');
    }
    if (!j)
        fail_msg("%s is missing in:\n%s", path, out);
    return j;
}

void cts_json_keys(const json_t *j, const char *keys)
{
    cts_str got = {0};
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)j, key, value) cts_str_printf(&got, "%s%s", got.n ? " " : "", key);
    assert_string_equal(cts_str_text(&got), keys);
    cts_str_free(&got);
}
