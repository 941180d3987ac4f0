/* SPDX-License-Identifier: MIT */
#include "kernels/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "kernels/base/file.h"
#include "kernels/base/status.h"

static json_t *parse(const char *text)
{
    json_t *j = NULL;

    assert_int_equal(cts_json_parse(&j, text, strlen(text), "t.json"), CTS_OK);
    return j;
}

#define assert_error(call, rc, part)                                                                                   \
    do {                                                                                                               \
        assert_int_equal(call, rc);                                                                                    \
        assert_non_null(strstr(cts_error(), part));                                                                    \
    } while (0)

static void test_parse_errors(void **state)
{
    static const char *const bad[] = {"",         "{",       "{\"a\":1} x",           "{\"a\":1,\"a\":2}",   "[1,]",
                                      "\"text\"", "12",      "{\"a\":\"\xff\"}",      "{\"a\":\"\\u0000\"}", "{'a':1}",
                                      "[NaN]",    "[1e999]", "[99999999999999999999]"};
    json_t *j = NULL;
    char *deep = malloc(200001);

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_error(cts_json_parse(&j, bad[i], strlen(bad[i]), "t.json"), CTS_E_FORMAT, "t.json: line ");
        assert_null(j);
    }
    memset(deep, '[', 100000);
    memset(deep + 100000, ']', 100000);
    assert_error(cts_json_parse(&j, deep, 200000, "t.json"), CTS_E_FORMAT, "t.json: line 1");
    free(deep);
    assert_error(cts_json_parse(&j, "{\n \"a\": tru}", 12, "t.json"), CTS_E_FORMAT, "t.json: line 2, column");
}

static void test_fields(void **state)
{
    json_t *j =
        parse("{\"i\": 9007199254740993, \"d\": 2.5, \"b\": true, \"s\": \"text\", \"n\": null, \"a\": [1, 2, 3],"
              " \"m\": [1, 2.5], \"o\": {}}");
    int64_t i = -7, ints[3] = {-7, -7, -7};
    double d = -7, doubles[3] = {-7, -7, -7};
    const char *s = "unset";
    bool b = false;

    (void)state;
    assert_int_equal(cts_json_int(&i, j, "i", true, 0, INT64_MAX, "f"), CTS_OK);
    assert_true(i == 9007199254740993);
    assert_int_equal(cts_json_double(&d, j, "d", true, "f"), CTS_OK);
    assert_true(d == 2.5);
    assert_int_equal(cts_json_double(&d, j, "i", true, "f"), CTS_OK);
    assert_true(d == 9007199254740992.0);
    assert_int_equal(cts_json_bool(&b, j, "b", true, "f"), CTS_OK);
    assert_true(b);
    assert_int_equal(cts_json_string(&s, j, "s", true, "f"), CTS_OK);
    assert_string_equal(s, "text");
    assert_int_equal(cts_json_ints(ints, 3, j, "a", true, "f"), CTS_OK);
    assert_int_equal(ints[2], 3);
    assert_int_equal(cts_json_doubles(doubles, 2, j, "m", true, "f"), CTS_OK);
    assert_true(doubles[1] == 2.5);
    json_decref(j);
}

static void test_field_errors(void **state)
{
    json_t *j = parse("{\"i\": 5, \"d\": 2.5, \"s\": \"text\", \"n\": null, \"a\": [1, 2, 3], \"m\": [1, \"x\"]}");
    json_t *array = parse("[1]");
    int64_t i = -7, ints[3] = {-7, -7, -7};
    double d = -7, doubles[3] = {-7, -7, -7};
    const char *s = "unset";
    bool b = true;

    (void)state;
    assert_error(cts_json_int(&i, j, "i", true, 6, 9, "f"), CTS_E_INPUT, "f: \"i\" is 5, allowed 6 to 9");
    assert_error(cts_json_int(&i, j, "d", true, 0, 9, "f"), CTS_E_FORMAT, "f: \"d\" is a number, an integer is wanted");
    assert_error(cts_json_int(&i, j, "z", true, 0, 9, "f"), CTS_E_FORMAT, "f: \"z\" is missing");
    assert_error(cts_json_int(&i, j, "n", true, 0, 9, "f"), CTS_E_FORMAT, "f: \"n\" is missing");
    assert_error(cts_json_int(&i, array, "n", true, 0, 9, "f"), CTS_E_FORMAT, "got an array");
    assert_error(cts_json_int(&i, NULL, "n", false, 0, 9, "f"), CTS_E_FORMAT, "got nothing");
    assert_int_equal(cts_json_int(&i, j, "z", false, 0, 9, "f"), CTS_OK);
    assert_int_equal(cts_json_int(&i, j, "n", false, 0, 9, "f"), CTS_OK);
    assert_true(i == -7);
    assert_error(cts_json_double(&d, j, "s", true, "f"), CTS_E_FORMAT, "f: \"s\" is a string, a number is wanted");
    assert_true(d == -7);
    assert_error(cts_json_bool(&b, j, "i", false, "f"), CTS_E_FORMAT, "true or false is wanted");
    assert_true(b);
    assert_error(cts_json_string(&s, j, "i", false, "f"), CTS_E_FORMAT, "a string is wanted");
    assert_int_equal(cts_json_string(&s, j, "n", false, "f"), CTS_OK);
    assert_string_equal(s, "unset");
    assert_error(cts_json_ints(ints, 2, j, "a", true, "f"), CTS_E_FORMAT, "f: \"a\" has 3 elements, allowed 2");
    assert_error(cts_json_ints(ints, 3, j, "s", true, "f"), CTS_E_FORMAT, "an array of integers is wanted");
    assert_error(cts_json_doubles(doubles, 2, j, "m", true, "f"), CTS_E_FORMAT, "element 1 of \"m\" is a string");
    assert_int_equal(cts_json_doubles(doubles, 2, j, "z", false, "f"), CTS_OK);
    assert_true(doubles[0] == -7 && ints[0] == -7);
    json_decref(array);
    json_decref(j);
}

static void test_save_load(void **state)
{
    char folder[] = "/tmp/cts-json-XXXXXX", *path, *text = NULL;
    json_t *j = parse("{\"z\": 0.1, \"a\": [1], \"s\": \"\xc3\xa9\\n\"}"), *back = NULL;
    size_t n = 0;

    (void)state;
    assert_non_null(mkdtemp(folder));
    path = cts_path_join(folder, "x.json");
    assert_int_equal(cts_json_save(j, path), CTS_OK);
    assert_int_equal(cts_file_read(&text, &n, path, 1000), CTS_OK);
    assert_non_null(strstr(text, "{\n  \"z\": 0.1"));
    assert_true(text[n - 1] == '\n' && text[n - 2] == '}');
    assert_true(strstr(text, "\"z\"") < strstr(text, "\"a\"")); /* insertion order */
    assert_int_equal(cts_json_load(&back, path, 1000), CTS_OK);
    assert_true(json_equal(j, back));
    json_decref(back);
    back = NULL;
    assert_int_equal(cts_json_load(&back, path, 10), CTS_E_LIMIT);
    assert_null(back);
    assert_int_equal(cts_file_write_atomic(path, "{", 1), CTS_OK);
    assert_error(cts_json_load(&back, path, 10), CTS_E_FORMAT, "x.json: line 1");
    free(text);
    free(path);
    json_decref(j);
    assert_int_equal(cts_remove_tree(folder), CTS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_errors),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_field_errors),
        cmocka_unit_test(test_save_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
