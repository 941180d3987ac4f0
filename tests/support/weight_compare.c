/* SPDX-License-Identifier: MIT */
#include "tests/support/weight_compare.h"

static int squeeze(int64_t out[CTS_MAX_DIMS], const int64_t *shape, int n, bool exact)
{
    int k = 0;

    for (int i = 0; i < n; i++)
        if (exact || shape[i] != 1)
            out[k++] = shape[i];
    return k;
}

static void compare_ints(const cts_weight *t, const cts_st_tensor *e)
{
    int64_t *got = cts_test_alloc(((size_t)t->count + 1) * sizeof *got), want;

    cts_weight_to_i64(got, t);
    for (int64_t i = 0; i < t->count; i++) {
        memcpy(&want, e->data + (size_t)i * sizeof want, sizeof want);
        if (got[i] != want)
            fail_msg("%s[%lld] is %lld, expected %lld", t->name, (long long)i, (long long)got[i], (long long)want);
    }
    free(got);
}

void cts_test_weight_equals(const cts_weight *t, const cts_st_tensor *e, bool exact_shape)
{
    int64_t a[CTS_MAX_DIMS], b[CTS_MAX_DIMS];
    int n = squeeze(a, t->shape, t->ndim, exact_shape), m = squeeze(b, e->shape, e->ndim, exact_shape);
    float *got, *want;

    if (n != m || memcmp(a, b, (size_t)n * sizeof *a) != 0 || t->count != e->count)
        fail_msg("%s: %lld elements on %d axes, expected %lld on %d", t->name, (long long)t->count, t->ndim,
                 (long long)e->count, e->ndim);
    if (e->dtype == CTS_ST_I64)
        compare_ints(t, e);
    got = cts_test_alloc(((size_t)t->count + 1) * sizeof *got);
    want = cts_test_alloc(((size_t)t->count + 1) * sizeof *want);
    cts_weight_to_f32(got, t);
    cts_st_to_f32(want, e);
    for (int64_t i = 0; i < t->count; i++)
        if (memcmp(&got[i], &want[i], sizeof *got) != 0 && !(got[i] != got[i] && want[i] != want[i]))
            fail_msg("%s[%lld] is %.9g, expected %.9g", t->name, (long long)i, got[i], want[i]);
    free(got);
    free(want);
}

static void check_dtype(const cts_weight *t, const json_t *dtypes)
{
    static const struct {
        const char *torch;
        cts_st_dtype dtype;
    } names[] = {
        {"float64", CTS_ST_F64}, {"float32", CTS_ST_F32}, {"float16", CTS_ST_F16}, {"bfloat16", CTS_ST_BF16},
        {"int64", CTS_ST_I64},   {"int32", CTS_ST_I32},   {"int16", CTS_ST_I16},   {"int8", CTS_ST_I8},
        {"uint64", CTS_ST_U64},  {"uint32", CTS_ST_U32},  {"uint16", CTS_ST_U16},  {"uint8", CTS_ST_U8},
        {"bool", CTS_ST_BOOL},
    };
    const char *want = json_string_value(json_object_get(dtypes, t->name));

    for (size_t i = 0; want && i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i].torch, want)) {
            if (t->dtype != names[i].dtype)
                fail_msg("%s is %s, expected %s", t->name, cts_st_dtype_name(t->dtype), want);
            return;
        }
    fail_msg("%s: no known dtype in the metadata", t->name);
}

void cts_test_weights_equal(const cts_weights *w, const char *expected_path)
{
    cts_safetensors *e = NULL;
    json_t *dtypes = NULL;

    MUST(cts_safetensors_open(&e, expected_path));
    if (cts_safetensors_meta(e, "dtypes"))
        assert_non_null(dtypes = json_loads(cts_safetensors_meta(e, "dtypes"), 0, NULL));
    if (cts_weights_n(w) != cts_safetensors_n(e))
        fail_msg("%s: %d tensors, expected %d", cts_weights_path(w), cts_weights_n(w), cts_safetensors_n(e));
    for (int i = 0; i < cts_safetensors_n(e); i++) {
        const cts_st_tensor *want = cts_safetensors_at(e, i);
        const cts_weight *got = cts_weights_find(w, want->name);

        if (!got)
            fail_msg("%s: no tensor %s", cts_weights_path(w), want->name);
        cts_test_weight_equals(got, want, true);
        if (dtypes)
            check_dtype(got, dtypes);
        cts_weight_release(got);
        cts_test_weight_equals(got, want, true); /* what was dropped comes back */
    }
    json_decref(dtypes);
    cts_safetensors_close(e);
}
