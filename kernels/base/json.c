/* SPDX-License-Identifier: MIT */
#include "kernels/base/json.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/file.h"
#include "kernels/base/status.h"

int cts_json_parse(json_t **out, const char *text, size_t n, const char *name)
{
    json_error_t error;
    json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);

    if (!j)
        return cts_fail(CTS_E_FORMAT, "%s: line %d, column %d: not valid JSON: %s", name, error.line, error.column,
                        error.text);
    *out = j;
    return CTS_OK;
}

int cts_json_load(json_t **out, const char *path, size_t max_bytes)
{
    char *text = NULL;
    size_t n = 0;
    int rc;

    if ((rc = cts_file_read(&text, &n, path, max_bytes)) != CTS_OK)
        return rc;
    rc = cts_json_parse(out, text, n, path);
    free(text);
    return rc;
}

int cts_json_save(const json_t *j, const char *path)
{
    cts_writer *w = NULL;
    char *text = json_dumps(j, JSON_INDENT(2));
    int rc;

    if (!text)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for JSON text, or a value JSON cannot hold", path);
    if ((rc = cts_writer_open(&w, path)) != CTS_OK)
        goto out;
    if ((rc = cts_writer_write(w, text, strlen(text))) != CTS_OK)
        goto out;
    if ((rc = cts_writer_write(w, "\n", 1)) != CTS_OK)
        goto out;
    rc = cts_writer_commit(w);
out:
    cts_writer_destroy(w);
    free(text);
    return rc;
}

static const char *type_name(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    }
    return "an unknown type";
}

/* *value = the field, or NULL when it may be and is absent. `wanted` names the type for the message. */
static int field(const json_t **value, const json_t *j, const char *key, bool required, const char *wanted,
                 const char *name)
{
    const json_t *v = NULL;

    if (!json_is_object(j))
        return cts_fail(CTS_E_FORMAT, "%s: an object with \"%s\" is wanted, got %s", name, key,
                        j ? type_name(j) : "nothing");
    v = json_object_get(j, key);
    if ((!v || json_is_null(v)) && required)
        return cts_fail(CTS_E_FORMAT, "%s: \"%s\" is missing, %s is wanted", name, key, wanted);
    *value = v && !json_is_null(v) ? v : NULL;
    return CTS_OK;
}

static int fail_type(const json_t *v, const char *key, const char *wanted, const char *name)
{
    return cts_fail(CTS_E_FORMAT, "%s: \"%s\" is %s, %s is wanted", name, key, type_name(v), wanted);
}

int cts_json_int(int64_t *out, const json_t *j, const char *key, bool required, int64_t min, int64_t max,
                 const char *name)
{
    const json_t *v = NULL;
    int64_t got;
    int rc;

    if ((rc = field(&v, j, key, required, "an integer", name)) != CTS_OK || !v)
        return rc;
    if (!json_is_integer(v))
        return fail_type(v, key, "an integer", name);
    got = json_integer_value(v);
    if (got < min || got > max)
        return cts_fail(CTS_E_INPUT, "%s: \"%s\" is %lld, allowed %lld to %lld", name, key, (long long)got,
                        (long long)min, (long long)max);
    *out = got;
    return CTS_OK;
}

int cts_json_double(double *out, const json_t *j, const char *key, bool required, const char *name)
{
    const json_t *v = NULL;
    int rc;

    if ((rc = field(&v, j, key, required, "a number", name)) != CTS_OK || !v)
        return rc;
    if (!json_is_number(v))
        return fail_type(v, key, "a number", name);
    *out = json_number_value(v);
    return CTS_OK;
}

int cts_json_bool(bool *out, const json_t *j, const char *key, bool required, const char *name)
{
    const json_t *v = NULL;
    int rc;

    if ((rc = field(&v, j, key, required, "true or false", name)) != CTS_OK || !v)
        return rc;
    if (!json_is_boolean(v))
        return fail_type(v, key, "true or false", name);
    *out = json_is_true(v);
    return CTS_OK;
}

int cts_json_string(const char **out, const json_t *j, const char *key, bool required, const char *name)
{
    const json_t *v = NULL;
    int rc;

    if ((rc = field(&v, j, key, required, "a string", name)) != CTS_OK || !v)
        return rc;
    if (!json_is_string(v))
        return fail_type(v, key, "a string", name);
    *out = json_string_value(v);
    return CTS_OK;
}

/* *array = the field as an array of n elements of one kind, NULL when absent. */
static int array_field(const json_t **array, const json_t *j, const char *key, bool required, size_t n, bool integers,
                       const char *name)
{
    const char *wanted = integers ? "an array of integers" : "an array of numbers";
    const json_t *v = NULL, *e;
    int rc;

    if ((rc = field(&v, j, key, required, wanted, name)) != CTS_OK)
        return rc;
    *array = v;
    if (!v)
        return CTS_OK;
    if (!json_is_array(v))
        return fail_type(v, key, wanted, name);
    if (json_array_size(v) != n)
        return cts_fail(CTS_E_FORMAT, "%s: \"%s\" has %zu elements, allowed %zu", name, key, json_array_size(v), n);
    for (size_t i = 0; i < n; i++) {
        e = json_array_get(v, i);
        if (integers ? !json_is_integer(e) : !json_is_number(e))
            return cts_fail(CTS_E_FORMAT, "%s: element %zu of \"%s\" is %s, %s is wanted", name, i, key, type_name(e),
                            integers ? "an integer" : "a number");
    }
    return CTS_OK;
}

int cts_json_doubles(double *out, size_t n, const json_t *j, const char *key, bool required, const char *name)
{
    const json_t *v = NULL;
    int rc = array_field(&v, j, key, required, n, false, name);

    for (size_t i = 0; rc == CTS_OK && v && i < n; i++)
        out[i] = json_number_value(json_array_get(v, i));
    return rc;
}

int cts_json_ints(int64_t *out, size_t n, const json_t *j, const char *key, bool required, const char *name)
{
    const json_t *v = NULL;
    int rc = array_field(&v, j, key, required, n, true, name);

    for (size_t i = 0; rc == CTS_OK && v && i < n; i++)
        out[i] = json_integer_value(json_array_get(v, i));
    return rc;
}

json_t *cts_json_from_ints(const int64_t *v, size_t n)
{
    json_t *a = json_array();

    for (size_t i = 0; a && i < n; i++)
        if (json_array_append_new(a, json_integer(v[i])) != 0) {
            json_decref(a);
            return NULL;
        }
    return a;
}
