/* Reading and writing safetensors: round trip of every dtype, and each way a file can be wrong.
 * SPDX-License-Identifier: MIT */
#include "encoders/safetensors.h"

#include <math.h>

#include "kernels/base/check.h"
#include "tests/support/scratch.h"

static void test_round_trip(void **state)
{
    const float f32[6] = {0, -1.5f, 3e38f, 1e-40f, INFINITY, 7};
    const double f64[2] = {1.0 / 3, -2};
    const int64_t i64[1] = {-((int64_t)1 << 40)};
    const uint16_t bf16[2] = {0x3f80, 0xc000}, f16[3] = {0x3c00, 0x7bff, 0x0001};
    const int8_t i8[3] = {-128, 0, 127};
    const uint8_t u8[2] = {0, 255}, flag[2] = {1, 0};
    const cts_st_tensor t[] = {
        {"f32", CTS_ST_F32, 2, {2, 3}, 6, (const uint8_t *)f32},
        {"i8", CTS_ST_I8, 1, {3}, 3, (const uint8_t *)i8},
        {"f64", CTS_ST_F64, 1, {2}, 2, (const uint8_t *)f64},
        {"i64", CTS_ST_I64, 0, {0}, 1, (const uint8_t *)i64},
        {"bf16", CTS_ST_BF16, 1, {2}, 2, (const uint8_t *)bf16},
        {"f16", CTS_ST_F16, 1, {3}, 3, (const uint8_t *)f16},
        {"u8", CTS_ST_U8, 1, {2}, 2, u8},
        {"flag", CTS_ST_BOOL, 1, {2}, 2, flag},
        {"empty", CTS_ST_F32, 2, {0, 4}, 0, NULL},
    };
    const int n = (int)CTS_COUNT(t);
    json_t *meta = json_pack("{s:s, s:s}", "a", "1", "note", "x \"y\" \xc2\xb5");
    cts_safetensors *s = NULL;
    const cts_st_tensor *r;
    float v[8];

    (void)state;
    MUST(cts_safetensors_write(cts_scratch("all.safetensors"), n, t, meta));
    MUST(cts_safetensors_open(&s, cts_scratch("all.safetensors")));
    assert_int_equal(cts_safetensors_n(s), n);
    for (int i = 0; i < n; i++) {
        r = cts_safetensors_find(s, t[i].name);
        assert_non_null(r);
        assert_int_equal(r->dtype, t[i].dtype);
        assert_int_equal(r->ndim, t[i].ndim);
        assert_int_equal(r->count, t[i].count);
        if (t[i].count)
            assert_memory_equal(r->data, t[i].data, (size_t)t[i].count * cts_st_dtype_bytes(t[i].dtype));
    }
    assert_string_equal(cts_safetensors_meta(s, "note"), "x \"y\" \xc2\xb5");
    assert_null(cts_safetensors_meta(s, "b"));
    assert_null(cts_safetensors_find(s, "g"));
    cts_st_to_f32(v, cts_safetensors_find(s, "f64"));
    assert_true(v[0] == (float)(1.0 / 3) && v[1] == -2);
    cts_st_to_f32(v, cts_safetensors_find(s, "bf16"));
    assert_true(v[0] == 1 && v[1] == -2);
    cts_st_to_f32(v, cts_safetensors_find(s, "f16"));
    assert_true(v[0] == 1 && v[1] == 65504 && v[2] == 0x1p-24f);
    cts_st_to_f32(v, cts_safetensors_find(s, "i64"));
    assert_true(v[0] == -0x1p40f);
    cts_st_to_f32(v, cts_safetensors_find(s, "i8"));
    assert_true(v[0] == -128 && v[2] == 127);
    cts_safetensors_close(s);
    json_decref(meta);

    MUST(cts_safetensors_write(cts_scratch("none.safetensors"), 0, NULL, NULL));
    MUST(cts_safetensors_open(&s, cts_scratch("none.safetensors")));
    assert_int_equal(cts_safetensors_n(s), 0);
    assert_null(cts_safetensors_find(s, "x"));
    cts_safetensors_close(s);
}

/* A file of this header and n_data bytes is refused with this status and word. */
static void refuse(const char *header, size_t n_data, int want, const char *word)
{
    uint64_t n = strlen(header);
    uint8_t bytes[1024] = {0};
    cts_safetensors *s = NULL;

    assert_true(8 + n + n_data <= sizeof bytes);
    memcpy(bytes, &n, 8);
    memcpy(bytes + 8, header, n);
    cts_scratch_write(cts_scratch("bad.safetensors"), bytes, 8 + n + n_data);
    cts_assert_refused(cts_safetensors_open(&s, cts_scratch("bad.safetensors")), want, word);
    assert_non_null(strstr(cts_error(), "bad.safetensors"));
    assert_null(s);
}

#define W(dtype, shape, offsets)                                                                                       \
    "\"w\": {\"dtype\": \"" dtype "\", \"shape\": " shape ", \"data_offsets\": " offsets "}"
#define V(offsets) "\"v\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": " offsets "}"

static void test_bad_headers(void **state)
{
    (void)state;
    refuse("{", 0, CTS_E_FORMAT, "JSON");
    refuse("[]", 0, CTS_E_FORMAT, "object");
    refuse("{\"w\": 3}", 0, CTS_E_FORMAT, "w is no object");
    refuse("{\"__metadata__\": {\"a\": 1}}", 0, CTS_E_FORMAT, "__metadata__");
    refuse("{\"__metadata__\": []}", 0, CTS_E_FORMAT, "__metadata__");
    refuse("{" W("F32", "[1]", "[0, 4]") ", " W("F32", "[1]", "[4, 8]") "}", 8, CTS_E_FORMAT, "duplicate");
    refuse("{" W("Q8", "[1]", "[0, 4]") "}", 4, CTS_E_UNSUPPORTED, "Q8");
    refuse("{\"w\": {\"shape\": [1], \"data_offsets\": [0, 4]}}", 4, CTS_E_FORMAT, "dtype");
    refuse("{" W("F32", "1", "[0, 4]") "}", 4, CTS_E_FORMAT, "shape");
    refuse("{" W("F32", "[-1]", "[0, 4]") "}", 4, CTS_E_FORMAT, "shape[0]");
    refuse("{" W("F32", "[1.5]", "[0, 4]") "}", 4, CTS_E_FORMAT, "shape[0]");
    refuse("{" W("F32", "[4294967296, 4294967296]", "[0, 4]") "}", 4, CTS_E_FORMAT, "overflow");
    refuse("{" W("F32", "[1,1,1,1,1,1,1,1,1]", "[0, 4]") "}", 4, CTS_E_LIMIT, "axes");
    refuse("{" W("F32", "[1]", "[0]") "}", 4, CTS_E_FORMAT, "data_offsets");
    refuse("{" W("F32", "[1]", "[4, 0]") "}", 4, CTS_E_FORMAT, "data_offsets");
    refuse("{" W("F32", "[1]", "[-4, 0]") "}", 4, CTS_E_FORMAT, "data_offsets");
    refuse("{" W("F32", "[2]", "[0, 8]") "}", 4, CTS_E_FORMAT, "allowed 0 to 4");
    refuse("{" W("F32", "[2]", "[0, 4]") "}", 4, CTS_E_FORMAT, "want 8");
}

static void test_bad_layout(void **state)
{
    uint64_t huge = (uint64_t)1 << 62;
    uint8_t few[4] = {0};
    cts_safetensors *s = NULL;

    (void)state;
    refuse("{" W("F32", "[1]", "[0, 4]") ", " V("[0, 4]") "}", 4, CTS_E_FORMAT, "overlapping");
    refuse("{" W("F32", "[1]", "[0, 4]") ", " V("[8, 12]") "}", 12, CTS_E_FORMAT, "gap");
    refuse("{" W("F32", "[1]", "[0, 4]") "}", 9, CTS_E_FORMAT, "cover 4");
    cts_scratch_write(cts_scratch("short"), few, sizeof few);
    cts_assert_refused(cts_safetensors_open(&s, cts_scratch("short")), CTS_E_FORMAT, "at least 8");
    cts_scratch_write(cts_scratch("short"), few, 0);
    cts_assert_refused(cts_safetensors_open(&s, cts_scratch("short")), CTS_E_FORMAT, "at least 8");
    cts_scratch_write(cts_scratch("long"), &huge, sizeof huge);
    cts_assert_refused(cts_safetensors_open(&s, cts_scratch("long")), CTS_E_LIMIT, "header");
    huge = 1000;
    cts_scratch_write(cts_scratch("long"), &huge, sizeof huge);
    cts_assert_refused(cts_safetensors_open(&s, cts_scratch("long")), CTS_E_FORMAT, "header of 1000");
    assert_int_equal(cts_safetensors_open(&s, cts_scratch("absent")), CTS_E_IO);
    assert_null(s);
}

/* Every single truncation of a good file is refused. */
static void test_truncations(void **state)
{
    const float v[3] = {1, 2, 3};
    const cts_st_tensor t = {"v", CTS_ST_F32, 1, {3}, 3, (const uint8_t *)v};
    cts_safetensors *s = NULL;
    char *bytes = NULL;
    size_t n = 0;

    (void)state;
    MUST(cts_safetensors_write(cts_scratch("good"), 1, &t, NULL));
    MUST(cts_file_read(&bytes, &n, cts_scratch("good"), 1 << 20));
    for (size_t k = 0; k < n; k++) {
        cts_scratch_write(cts_scratch("cut"), bytes, k);
        assert_int_not_equal(cts_safetensors_open(&s, cts_scratch("cut")), CTS_OK);
        assert_null(s);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_bad_layout),
        cmocka_unit_test(test_truncations),
    };

    return cmocka_run_group_tests_name("safetensors", tests, cts_scratch_make, cts_scratch_remove);
}
