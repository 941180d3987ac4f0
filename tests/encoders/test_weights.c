/* Foreign weight files: what PyTorch saves in many shapes, sharded sets, folders, and the values of every dtype, stride
 * and byte order. SPDX-License-Identifier: MIT */
#include "encoders/import/weights.h"
#include "tests/support/scratch.h"
#include "tests/support/weight_compare.h"
#include "tests/support/zip_bytes.h"

#define FILES CTS_SOURCE_DIR "/tests/golden/torch_files/"

static int status_of(const char *name)
{
    for (int rc = 0; rc <= CTS_E_PARTIAL; rc++)
        if (!strcmp(cts_status_name(rc), name))
            return rc;
    fail_msg("no status is named %s", name);
    return -1;
}

/* files.json says what becomes of each file. */
static void test_torch_files(void **state)
{
    json_t *files = json_load_file(FILES "files.json", 0, NULL), *say;
    const char *name;
    char path[512];

    (void)state;
    assert_non_null(files);
    json_object_foreach(files, name, say)
    {
        const char *refused = json_string_value(json_object_get(say, "refused"));
        cts_weights *w = NULL;
        int rc;

        snprintf(path, sizeof path, FILES "%s", name);
        rc = cts_weights_open(&w, path);
        if (refused) {
            cts_assert_refused(rc, status_of(refused), json_string_value(json_object_get(say, "says")));
            assert_non_null(strstr(cts_error(), name));
            assert_null(w);
            continue;
        }
        if (rc)
            fail_msg("%s", cts_error());
        assert_string_equal(cts_weights_key(w), json_string_value(json_object_get(say, "key")));
        snprintf(path, sizeof path, FILES "%.*s.expected.safetensors", (int)strlen(name) - 4, name);
        cts_test_weights_equal(w, path);
        assert_null(cts_weights_find(w, "no such tensor"));
        cts_weights_close(w);
    }
    json_decref(files);
}

/* ---- archives made here ---------------------------------------------------------------------------------------- */

/* A (2, 3) tensor of storage 0, and {"w": it}, in protocol 2. */
#define TENSOR                                                                                                         \
    "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"                             \
    "0X\3\0\0\0cpuK\6tQK\0K\2K\3\x86K\3K\1\x86\x89}tR"
static const char one_tensor[] = "\x80\x02}X\1\0\0\0w" TENSOR "s.";
static const float six[6] = {0, 1, 2, 3, 4, 5};

static int open_archive(cts_weights **w, const cts_zip_part *parts, size_t n_parts, size_t spoil)
{
    const char *path = cts_scratch("made.pth");
    size_t n;
    uint8_t *bytes = cts_zip_bytes(&n, parts, n_parts);

    assert_non_null(bytes);
    if (spoil)
        bytes[spoil] ^= 1;
    cts_scratch_write(path, bytes, n);
    free(bytes);
    return cts_weights_open(w, path);
}

static void test_archives(void **state)
{
    const cts_zip_part data = {"x/data.pkl", one_tensor, sizeof one_tensor - 1}, record = {"x/data/0", six, sizeof six};
    const struct {
        cts_zip_part part[4];
        size_t n, spoil;
        int want;
        const char *says;
    } cases[] = {
        {{data, record}, 2, 0, CTS_OK, ""},
        {{data, record, {"x/byteorder", "little", 6}}, 3, 0, CTS_OK, ""},
        {{data, record, {"x/byteorder", "middle", 6}}, 3, 0, CTS_E_FORMAT, "byteorder"},
        {{data, record, {"y/data.pkl", "N.", 2}}, 3, 0, CTS_E_FORMAT, "both"},
        {{data, record}, 2, 50, CTS_E_FORMAT, "checksum"},
        {{data, {"x/data/1", six, sizeof six}}, 2, 0, CTS_E_FORMAT, "x/data/0 is not in the archive"},
        {{data, {"x/data/0", six, 20}}, 2, 0, CTS_E_FORMAT, "20"},
        {{data, record, {"x/constants.pkl", "N.", 2}}, 3, 0, CTS_E_UNSUPPORTED, "TorchScript"},
        {{record}, 1, 0, CTS_E_FORMAT, "data.pkl"},
        {{{"data.pkl", one_tensor, sizeof one_tensor - 1}, record}, 2, 0, CTS_E_FORMAT, "data.pkl"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cts_weights *w = NULL;
        int rc = open_archive(&w, cases[i].part, cases[i].n, cases[i].spoil);
        float got[6];

        if (cases[i].want) {
            cts_assert_refused(rc, cases[i].want, cases[i].says);
            continue;
        }
        MUST(rc);
        assert_int_equal(cts_weights_n(w), 1);
        cts_weight_to_f32(got, cts_weights_at(w, 0));
        assert_memory_equal(got, six, sizeof six);
        cts_weights_close(w);
    }
}

/* Names twice, one state dict under two keys, and a state dict of absurdly many entries. */
static void test_mappings(void **state)
{
    static const char twice[] = "\x80\x02}X\1\0\0\0w" TENSOR "sX\1\0\0\0w" TENSOR "s.";
    static const char shared[] = "\x80\x02}X\5\0\0\0model}X\1\0\0\0w" TENSOR "sq\1sX\6\0\0\0moduleh\1s.";
    enum { ENTRIES = 300000 };
    char *many = cts_test_alloc(sizeof one_tensor + 3 * ENTRIES), *at = many + sizeof one_tensor - 2;
    cts_zip_part parts[] = {{"x/data.pkl", twice, sizeof twice - 1}, {"x/data/0", six, sizeof six}};
    cts_weights *w = NULL;

    (void)state;
    cts_assert_refused(open_archive(&w, parts, 2, 0), CTS_E_FORMAT, "two tensors are named w");
    parts[0] = (cts_zip_part){"x/data.pkl", shared, sizeof shared - 1};
    MUST(open_archive(&w, parts, 2, 0));
    assert_string_equal(cts_weights_key(w), "model");
    assert_int_equal(cts_weights_n(w), 1);
    cts_weights_close(w);
    w = NULL;
    memcpy(many, one_tensor, sizeof one_tensor - 2);
    for (int i = 0; i < ENTRIES; i++, at += 3)
        memcpy(at, "NNs", 3);
    *at++ = '.';
    parts[0] = (cts_zip_part){"x/data.pkl", many, (size_t)(at - many)};
    cts_assert_refused(open_archive(&w, parts, 2, 0), CTS_E_LIMIT, "300001 entries");
    assert_null(w);
    free(many);
}

static void test_contents(void **state)
{
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    char tar[512] = {0};
    cts_weights *w = NULL;
    const char *path = cts_scratch("file");

    (void)state;
    cts_assert_refused(cts_weights_open(&w, path), CTS_E_IO, path);
    cts_scratch_write(path, "", 0);
    cts_assert_refused(cts_weights_open(&w, path), CTS_E_FORMAT, "empty");
    cts_scratch_write(path, pointer, sizeof pointer - 1);
    cts_assert_refused(cts_weights_open(&w, path), CTS_E_FORMAT, "git lfs pull");
    cts_scratch_write(path, "hello", 5);
    cts_assert_refused(cts_weights_open(&w, path), CTS_E_FORMAT, "no weight file");
    memcpy(tar + 257, "ustar", 5);
    cts_scratch_write(path, tar, sizeof tar);
    cts_assert_refused(cts_weights_open(&w, path), CTS_E_UNSUPPORTED, "torch.save(torch.load(");
    cts_scratch_write(path, "PK\5\6", 4);
    cts_assert_refused(cts_weights_open(&w, path), CTS_E_FORMAT, "4 bytes");
    assert_null(w);
}

/* ---- several files --------------------------------------------------------------------------------------------- */

static void write_shard(const char *path, const char *a, const char *b)
{
    cts_st_tensor t[2] = {{.name = a, .dtype = CTS_ST_F32, .ndim = 2, .shape = {2, 3}, .count = 6},
                          {.name = b, .dtype = CTS_ST_F32, .ndim = 1, .shape = {2}, .count = 2}};

    t[0].data = (const uint8_t *)six;
    t[1].data = (const uint8_t *)(six + 1);
    MUST(cts_safetensors_write(path, b ? 2 : 1, t, NULL));
}

static int open_index(cts_weights **w, const char *text)
{
    const char *path = cts_scratch("model.safetensors.index.json");

    cts_scratch_write(path, text, strlen(text));
    return cts_weights_open(w, path);
}

static void test_shards(void **state)
{
    static const struct {
        const char *map;
        int want;
        const char *says;
    } bad[] = {
        {"{}", CTS_E_FORMAT, "weight_map"},
        {"{\"weight_map\": {}}", CTS_E_FORMAT, "weight_map"},
        {"{\"weight_map\": {\"a\": 1}}", CTS_E_FORMAT, "file of tensor a"},
        {"{\"weight_map\": {\"a\": \"../1.safetensors\"}}", CTS_E_FORMAT, "same folder"},
        {"{\"weight_map\": {\"a\": \"/tmp/1.safetensors\"}}", CTS_E_FORMAT, "same folder"},
        {"{\"weight_map\": {\"a\": \"..\"}}", CTS_E_FORMAT, "same folder"},
        {"{\"weight_map\": {\"a\": \"\"}}", CTS_E_FORMAT, "same folder"},
        {"{\"weight_map\": {\"a\": \"none.safetensors\"}}", CTS_E_IO, "none.safetensors"},
        {"{\"weight_map\": {\"a\": \"model.safetensors.index.json\"}}", CTS_E_FORMAT, "no weight file"},
        {"{\"weight_map\": {\"a\": \"1.safetensors\"}}", CTS_E_FORMAT, "holds tensor b, which weight_map does not"},
        {"{\"weight_map\": {\"a\": \"1.safetensors\", \"b\": \"2.safetensors\", \"c\": \"2.safetensors\"}}",
         CTS_E_FORMAT, "tensor b is not in 2.safetensors"},
        {"{\"weight_map\": {\"a\": \"1.safetensors\", \"b\": \"1.safetensors\", \"w\": \"made.pth\"}}", CTS_E_FORMAT,
         "different formats"},
        {"{\"weight_map\": ", CTS_E_FORMAT, "not valid JSON"},
    };
    static const char good[] = "{\"metadata\": {\"total_size\": 56}, \"weight_map\": {\"c\": \"2.safetensors\", \"a\": "
                               "\"1.safetensors\", \"b\": \"1.safetensors\"}}";
    const cts_zip_part parts[] = {{"x/data.pkl", one_tensor, sizeof one_tensor - 1}, {"x/data/0", six, sizeof six}};
    cts_weights *w = NULL;
    float got[6];

    (void)state;
    write_shard(cts_scratch("1.safetensors"), "a", "b");
    write_shard(cts_scratch("2.safetensors"), "c", NULL);
    MUST(open_archive(&w, parts, 2, 0));
    assert_string_equal(cts_weights_format(w), "pytorch");
    cts_weights_close(w);
    w = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cts_assert_refused(open_index(&w, bad[i].map), bad[i].want, bad[i].says);
        assert_non_null(strstr(cts_error(), "index.json"));
        assert_null(w);
    }
    MUST(open_index(&w, good));
    assert_string_equal(cts_weights_format(w), "sharded safetensors");
    assert_string_equal(cts_weights_key(w), "");
    assert_int_equal(cts_weights_n(w), 3);
    assert_string_equal(cts_weights_at(w, 0)->name, "c");
    cts_weight_to_f32(got, cts_weights_find(w, "b"));
    assert_true(got[0] == 1 && got[1] == 2);
    cts_weights_close(w);
    MUST(open_index(&w, "{\"weight_map\": {\"w\": \"made.pth\"}}"));
    assert_string_equal(cts_weights_format(w), "sharded pytorch");
    cts_weight_to_f32(got, cts_weights_find(w, "w"));
    assert_memory_equal(got, six, sizeof six);
    cts_weights_close(w);
}

/* The index of a folder is taken before pytorch_model.bin, and model.safetensors before both. */
static void test_folder(void **state)
{
    static const char index[] = "{\"weight_map\": {\"a\": \"1.safetensors\"}}";
    char folder[256];
    cts_weights *w = NULL;

    (void)state;
    strcpy(folder, cts_scratch("hub"));
    MUST(cts_mkdir_p(folder));
    cts_assert_refused(cts_weights_open(&w, folder), CTS_E_NOTFOUND, "pytorch_model.bin.index.json");
    MUST(open_archive(&w, (cts_zip_part[]){{"x/data.pkl", one_tensor, sizeof one_tensor - 1}, {"x/data/0", six, 24}}, 2,
                      0));
    cts_weights_close(w);
    assert_int_equal(rename(cts_scratch("made.pth"), cts_scratch("hub/pytorch_model.bin")), 0);
    MUST(cts_weights_open(&w, folder));
    assert_string_equal(cts_weights_format(w), "pytorch");
    assert_non_null(strstr(cts_weights_path(w), "hub/pytorch_model.bin"));
    cts_weights_close(w);
    write_shard(cts_scratch("hub/1.safetensors"), "a", NULL);
    cts_scratch_write(cts_scratch("hub/model.safetensors.index.json"), index, strlen(index));
    MUST(cts_weights_open(&w, folder));
    assert_string_equal(cts_weights_format(w), "sharded safetensors");
    cts_weights_close(w);
    write_shard(cts_scratch("hub/model.safetensors"), "a", NULL);
    MUST(cts_weights_open(&w, folder));
    assert_string_equal(cts_weights_format(w), "safetensors");
    cts_weights_close(w);
}

/* ---- values ---------------------------------------------------------------------------------------------------- */

/* The numbers 1 and -2 (or the nearest the type has), least significant byte first. */
static const struct {
    cts_st_dtype dtype;
    uint8_t one[8], other[8];
    float value;
} samples[] = {
    {CTS_ST_F64, {0, 0, 0, 0, 0, 0, 0xf0, 0x3f}, {0, 0, 0, 0, 0, 0, 0, 0xc0}, -2},
    {CTS_ST_F32, {0, 0, 0x80, 0x3f}, {0, 0, 0, 0xc0}, -2},
    {CTS_ST_F16, {0, 0x3c}, {0, 0xc0}, -2},
    {CTS_ST_BF16, {0x80, 0x3f}, {0, 0xc0}, -2},
    {CTS_ST_I64, {1}, {0xfe, 255, 255, 255, 255, 255, 255, 255}, -2},
    {CTS_ST_I32, {1}, {0xfe, 255, 255, 255}, -2},
    {CTS_ST_I16, {1}, {0xfe, 255}, -2},
    {CTS_ST_I8, {1}, {0xfe}, -2},
    {CTS_ST_U64, {1}, {0, 0, 0, 0, 0, 0, 0, 0x80}, 0x1p63f},
    {CTS_ST_U32, {1}, {0, 0, 0, 0x80}, 0x1p31f},
    {CTS_ST_U16, {1}, {0, 0x80}, 0x1p15f},
    {CTS_ST_U8, {1}, {0x80}, 128},
    {CTS_ST_BOOL, {1}, {0}, 0},
};

/* Each dtype in both byte orders, one after the other and with strides; at an odd address. */
static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        for (int form = 0; form < 4; form++) {
            size_t bytes = cts_st_dtype_bytes(samples[i].dtype);
            bool swapped = form & 1, turned = form & 2;
            cts_weight t = {.name = "t", .dtype = samples[i].dtype, .ndim = 2, .shape = {2, 2}, .count = 4};
            uint8_t *data = cts_test_alloc(4 * bytes + 1), *p = data + 1;
            float got[4], want[4];
            int64_t ints[4];

            t.stride[0] = turned ? 1 : 2;
            t.stride[1] = turned ? 2 : 1;
            t.swapped = swapped;
            t.data = p;
            for (size_t k = 0; k < 4; k++) /* 1 1 x x, or turned 1 x 1 x */
                for (size_t b = 0; b < bytes; b++)
                    p[k * bytes + (swapped ? bytes - 1 - b : b)] = (k < 2 ? samples[i].one : samples[i].other)[b];
            for (size_t k = 0; k < 4; k++)
                want[k] = (turned ? k % 2 == 0 : k < 2) ? 1 : samples[i].value;
            cts_weight_to_f32(got, &t);
            assert_memory_equal(got, want, sizeof want);
            if (t.dtype >= CTS_ST_I64) {
                cts_weight_to_i64(ints, &t);
                for (size_t k = 0; k < 4; k++) /* what does not fit is the largest number that does */
                    assert_true(ints[k] == (want[k] >= 0x1p63f ? INT64_MAX : (int64_t)want[k]));
            }
            free(data);
        }
}

/* 0 axes, an axis of 0, a repeated axis, and eight axes in the reverse order. */
static void test_forms(void **state)
{
    cts_weight t = {.name = "t", .dtype = CTS_ST_F32, .count = 1, .data = (const uint8_t *)(six + 5)};
    float got[64], data[24];
    int k = 0;

    (void)state;
    cts_weight_to_f32(got, &t);
    assert_true(got[0] == 5);
    t = (cts_weight){.name = "t", .dtype = CTS_ST_F32, .ndim = 3, .shape = {2, 0, 3}, .stride = {3, 3, 1}};
    got[0] = 7;
    cts_weight_to_f32(got, &t);
    assert_true(got[0] == 7);
    t = (cts_weight){.name = "t", .dtype = CTS_ST_F32, .ndim = 3, .shape = {2, 3, 2}, .stride = {3, 1, 0}, .count = 12};
    t.data = (const uint8_t *)six;
    cts_weight_to_f32(got, &t);
    for (int i = 0; i < 12; i++)
        assert_true(got[i] == (float)(i / 2));
    t = (cts_weight){.name = "t", .dtype = CTS_ST_F32, .ndim = 8, .count = 24, .data = (const uint8_t *)data};
    memcpy(t.shape, (int64_t[]){2, 1, 2, 1, 3, 1, 2, 1}, sizeof t.shape);
    memcpy(t.stride, (int64_t[]){1, 2, 2, 4, 4, 12, 12, 24}, sizeof t.stride);
    for (int i = 0; i < 24; i++)
        data[i] = (float)i;
    cts_weight_to_f32(got, &t);
    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 2; b++)
            for (int c = 0; c < 3; c++)
                for (int d = 0; d < 2; d++)
                    assert_true(got[k++] == (float)(a + 2 * b + 4 * c + 12 * d));
}

/* Dropped pages come back from the file, and neighbours are left alone. */
static void test_release(void **state)
{
    enum { N = 5000 };
    static float values[2][N];
    cts_st_tensor t[2] = {{.name = "a", .dtype = CTS_ST_F32, .ndim = 1, .shape = {N}, .count = N},
                          {.name = "b", .dtype = CTS_ST_F32, .ndim = 1, .shape = {N}, .count = N}};
    const char *path = cts_scratch("big.safetensors");
    cts_weights *w = NULL;
    float *got = cts_test_alloc(sizeof *values);

    (void)state;
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < N; k++)
            values[i][k] = (float)(i * N + k);
        t[i].data = (const uint8_t *)values[i];
    }
    MUST(cts_safetensors_write(path, 2, t, NULL));
    MUST(cts_weights_open(&w, path));
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 2; i++) {
            cts_weight_to_f32(got, cts_weights_at(w, i));
            assert_memory_equal(got, values[i], sizeof *values);
            cts_weight_release(cts_weights_at(w, i));
        }
    cts_weights_close(w);
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_torch_files), cmocka_unit_test(test_archives), cmocka_unit_test(test_mappings),
        cmocka_unit_test(test_contents),    cmocka_unit_test(test_shards),   cmocka_unit_test(test_folder),
        cmocka_unit_test(test_values),      cmocka_unit_test(test_forms),    cmocka_unit_test(test_release),
    };

    return cmocka_run_group_tests_name("weights", tests, cts_scratch_make, cts_scratch_remove);
}
