/* Model directories: round trip, digests, replacement, and strictness about names and shapes.
 * SPDX-License-Identifier: MIT */
#include "encoders/model_dir.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "encoders/model_digest.h"
#include "encoders/tower.h"
#include "tests/support/scratch.h"

static void test_round_trip(void **state)
{
    cts_clip *m = cts_scratch_pair(11, true, 8);
    json_t *recipe = json_pack("{s:s, s:[i,i,i]}", "recipe", "dcformer-512", "size", 16, 32, 24);
    cts_model *r = NULL;
    char *text = NULL, digest[CTS_DIGEST_HEX];
    size_t n = 0;

    (void)state;
    cts_scratch_write(cts_scratch("words.txt"), "[PAD]\n[UNK]\n", 12);
    MUST(cts_model_dir_save(cts_scratch("model/"), m, cts_scratch("words.txt"), recipe));
    MUST(cts_model_dir_load(&r, cts_scratch("model")));
    assert_true(cts_same_params(m->params, r->clip->params));
    assert_true(r->clip->config.learned_temperature && r->clip->config.has_bias);
    assert_true(r->clip->config.temperature == 2.5 && r->clip->config.bias == -3.0);
    assert_true(cts_params_get(r->clip->params, cts_params_find(r->clip->params, "temperature"))->data[0] == 2.5f);
    assert_true(cts_params_get(r->clip->params, cts_params_find(r->clip->params, "logit_bias"))->data[0] == -3.0f);
    assert_true(json_equal(recipe, r->preprocess));
    assert_non_null(strstr(r->tokenizer_path, "/vocab.txt"));
    MUST(cts_file_read(&text, &n, r->tokenizer_path, 100));
    assert_string_equal(text, "[PAD]\n[UNK]\n");
    free(text);
    assert_int_equal(strlen(r->digest.model), 64);
    MUST(cts_digest_file(digest, cts_scratch("words.txt")));
    assert_string_equal(r->digest.tokenizer, digest);
    MUST(cts_json_digest(digest, recipe));
    assert_string_equal(r->digest.recipe, digest);
    cts_model_destroy(r);
    json_decref(recipe);
    cts_clip_destroy(m);
}

/* Without tokenizer and recipe; the digest follows the weights; the old model is replaced, nothing is left beside it.
 * */
static void test_replace(void **state)
{
    cts_clip *a = cts_scratch_pair(1, false, 8), *b = cts_scratch_pair(2, false, 8);
    cts_model *r = NULL;
    char first[CTS_DIGEST_HEX], **names = NULL;
    size_t n = 0;

    (void)state;
    MUST(cts_mkdir_p(cts_scratch("in")));
    MUST(cts_model_dir_save(cts_scratch("in/m"), a, NULL, NULL));
    MUST(cts_model_dir_load(&r, cts_scratch("in/m")));
    strcpy(first, r->digest.model);
    assert_null(r->tokenizer_path);
    assert_null(r->preprocess);
    assert_string_equal(r->digest.recipe, "");
    cts_model_destroy(r);
    MUST(cts_model_dir_save(cts_scratch("in/m"), b, NULL, NULL));
    MUST(cts_model_dir_load(&r, cts_scratch("in/m")));
    assert_true(cts_same_params(b->params, r->clip->params));
    assert_string_not_equal(first, r->digest.model);
    cts_model_destroy(r);
    MUST(cts_dir_list(&names, &n, cts_scratch("in")));
    assert_int_equal(n, 1);
    cts_list_free(names, n);

    /* folders that are no model are left alone */
    MUST(cts_mkdir_p(cts_scratch("photos")));
    cts_scratch_write(cts_scratch("photos/cat.png"), "x", 1);
    cts_assert_refused(cts_model_dir_save(cts_scratch("photos"), a, NULL, NULL), CTS_E_INPUT, "photos");
    assert_true(cts_file_exists(cts_scratch("photos/cat.png")));
    cts_assert_refused(cts_model_dir_save(cts_scratch("photos/cat.png"), a, NULL, NULL), CTS_E_INPUT, "no folder");
    cts_clip_destroy(a);
    cts_clip_destroy(b);
}

/* A failed save leaves the old model and no temporary folder. */
static void test_failed_save(void **state)
{
    cts_clip *a = cts_scratch_pair(1, false, 8), *b = cts_scratch_pair(2, false, 8);
    cts_model *r = NULL;
    char **names = NULL;
    size_t n = 0;

    (void)state;
    MUST(cts_mkdir_p(cts_scratch("f")));
    MUST(cts_model_dir_save(cts_scratch("f/m"), a, NULL, NULL));
    assert_int_equal(cts_model_dir_save(cts_scratch("f/m"), b, cts_scratch("no-such-vocab.txt"), NULL), CTS_E_IO);
    MUST(cts_model_dir_load(&r, cts_scratch("f/m")));
    assert_true(cts_same_params(a->params, r->clip->params));
    cts_model_destroy(r);
    MUST(cts_dir_list(&names, &n, cts_scratch("f")));
    assert_int_equal(n, 1);
    cts_list_free(names, n);
    cts_clip_destroy(a);
    cts_clip_destroy(b);
}

/* The stored tensors with one left out, renamed or of another shape. */
static void rewrite(const char *dir, const cts_clip *m, const char *victim, const char *rename, bool reshape)
{
    cts_st_tensor *t = NULL;
    char **names = NULL, path[512];
    int n = cts_params_n(m->params), kept = 0;

    MUST(cts_params_tensors(&t, &names, m->params, "", 0));
    for (int i = 0; i < n; i++) {
        cts_st_tensor x = t[i];

        if (!strcmp(x.name, victim)) {
            if (!rename && !reshape)
                continue;
            if (rename)
                x.name = rename;
            if (reshape) {
                x.ndim = 1;
                x.shape[0] = x.count;
            }
        }
        t[kept++] = x;
    }
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    MUST(cts_safetensors_write(path, kept, t, NULL));
    cts_st_names_free(names, n);
    free(t);
}

static void test_strict_load(void **state)
{
    cts_clip *m = cts_scratch_pair(5, false, 8), *other = cts_scratch_pair(5, false, 12);
    const char *victim = "text_transformer.encoder.layer.1.attention.self.key.weight";
    cts_model *r = NULL;
    char dir[256];

    (void)state;
    snprintf(dir, sizeof dir, "%s", cts_scratch("strict"));
    MUST(cts_model_dir_save(dir, m, NULL, NULL));
    rewrite(dir, m, victim, NULL, false);
    cts_assert_refused(cts_model_dir_load(&r, dir), CTS_E_MISMATCH, victim);
    assert_non_null(strstr(cts_error(), "missing"));
    rewrite(dir, m, victim, NULL, true);
    cts_assert_refused(cts_model_dir_load(&r, dir), CTS_E_MISMATCH, "[64]");
    assert_non_null(strstr(cts_error(), "[8, 8]"));
    rewrite(dir, m, "temperature", "temperature2", false);
    cts_assert_refused(cts_model_dir_load(&r, dir), CTS_E_MISMATCH, "temperature");
    rewrite(dir, other, "", NULL, false); /* another width */
    cts_assert_refused(cts_model_dir_load(&r, dir), CTS_E_MISMATCH, "shape");
    assert_null(r);

    /* an extra tensor */
    cts_st_tensor *t = NULL;
    char **names = NULL;
    int n = cts_params_n(m->params);
    MUST(cts_params_tensors(&t, &names, m->params, "", 1));
    t[n] = t[0];
    t[n].name = "classifier.weight";
    MUST(cts_safetensors_write(cts_scratch("strict/model.safetensors"), n + 1, t, NULL));
    cts_assert_refused(cts_model_dir_load(&r, dir), CTS_E_MISMATCH, "classifier.weight");
    cts_st_names_free(names, n);
    free(t);

    assert_int_equal(cts_model_dir_load(&r, cts_scratch("nowhere")), CTS_E_NOTFOUND);
    cts_scratch_write(cts_scratch("strict/config.json"), "{\"image\": 1}", 12);
    cts_assert_refused(cts_model_dir_load(&r, dir), CTS_E_FORMAT, "config.json");
    assert_null(r);
    cts_clip_destroy(m);
    cts_clip_destroy(other);
}

static void file_digest(char out[CTS_DIGEST_HEX], const char *dir)
{
    char path[512];

    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    MUST(cts_digest_file(out, path));
}

/* Weights lie in the map, 64 bytes aligned at the start; what is written to them stays in this process. */
static void test_mapped(void **state)
{
    cts_clip *m = cts_scratch_pair(9, true, 8);
    cts_model *a = NULL, *b = NULL;
    char dir[256], before[CTS_DIGEST_HEX], after[CTS_DIGEST_HEX];
    cts_safetensors *s = NULL;
    int lent = 0;

    (void)state;
    snprintf(dir, sizeof dir, "%s", cts_scratch("mapped"));
    MUST(cts_model_dir_save(dir, m, NULL, NULL));
    MUST(cts_safetensors_open(&s, cts_scratch("mapped/model.safetensors")));
    assert_true(((uintptr_t)cts_safetensors_find(s, cts_params_get(m->params, 0)->name)->data & 63) == 0);
    cts_safetensors_close(s);
    file_digest(before, dir);
    MUST(cts_model_dir_load(&a, dir));
    for (int i = 0; i < cts_params_n(a->clip->params); i++)
        lent += cts_params_get(a->clip->params, i)->borrowed;
    assert_int_equal(lent, cts_params_n(a->clip->params));
    for (int i = 0; i < cts_params_n(a->clip->params); i++) {
        cts_param *e = cts_params_at(a->clip->params, i);

        for (int64_t k = 0; k < e->count; k++)
            e->data[k] = 7.0f;
    }
    MUST(cts_model_dir_load(&b, dir));
    assert_true(cts_same_params(m->params, b->clip->params));
    file_digest(after, dir);
    assert_string_equal(before, after);

    /* into its own folder: the mapped file goes on living until a and b end */
    MUST(cts_model_dir_save(dir, a->clip, NULL, NULL));
    assert_true(cts_same_params(m->params, b->clip->params));
    cts_model_destroy(b);
    MUST(cts_model_dir_load(&b, dir));
    assert_true(cts_same_params(a->clip->params, b->clip->params));
    cts_model_destroy(a);
    cts_model_destroy(b);
    cts_clip_destroy(m);
}

/* The tensors of m with the data `shift` bytes off a cache line; every third as F64 when f64 is set. */
static void write_shifted(const char *path, const cts_clip *m, size_t shift, bool f64)
{
    cts_st_tensor *t = NULL;
    char **names = NULL, *image;
    int n = cts_params_n(m->params);
    double *wide[1024] = {0};
    size_t bytes = 0;
    uint64_t header;

    assert_true(n <= 1024);
    MUST(cts_params_tensors(&t, &names, m->params, "", 0));
    for (int i = 0; f64 && i < n; i += 3) {
        wide[i] = cts_test_alloc((size_t)t[i].count * sizeof **wide);
        for (int64_t k = 0; k < t[i].count; k++)
            wide[i][k] = (double)((const float *)(const void *)t[i].data)[k];
        t[i].dtype = CTS_ST_F64;
        t[i].data = (const uint8_t *)wide[i];
    }
    MUST(cts_safetensors_write(path, n, t, NULL));
    MUST(cts_file_read(&image, &bytes, path, (size_t)1 << 30));
    image = realloc(image, bytes + shift);
    assert_non_null(image);
    memcpy(&header, image, sizeof header);
    memmove(image + 8 + header + shift, image + 8 + header, bytes - 8 - header);
    memset(image + 8 + header, ' ', shift);
    header += shift;
    memcpy(image, &header, sizeof header);
    cts_scratch_write(path, image, bytes + shift);
    free(image);
    for (int i = 0; i < n; i++)
        free(wide[i]);
    cts_st_names_free(names, n);
    free(t);
}

/* Both towers of m on fixed inputs, [12] values. */
static void embed(const cts_clip *m, float out[12])
{
    cts_tower_spec image = cts_clip_tower_spec(m, CTS_SIDE_IMAGE), text = cts_clip_tower_spec(m, CTS_SIDE_TEXT);
    cts_tower_options o = {.max_batch = 1};
    const int32_t ids[] = {2, 7, 8, 9, 3}, offsets[] = {0, 5};
    const cts_token_batch batch = {1, ids, offsets};
    cts_backend *b = cts_test_backend(NULL);
    float *volume = cts_test_alloc(16 * 32 * 24 * sizeof *volume);
    cts_tower *t = NULL;

    for (int i = 0; i < 16 * 32 * 24; i++)
        volume[i] = (float)((i * 37) % 101) / 50.0f - 1.0f;
    MUST(cts_tower_create(&t, &image, &o, b, NULL));
    MUST(cts_tower_volumes(t, 1, volume, 0, out));
    cts_tower_destroy(t);
    MUST(cts_tower_create(&t, &text, &o, b, NULL));
    MUST(cts_tower_tokens(t, &batch, 0, out + 6));
    cts_tower_destroy(t);
    cts_backend_destroy(b);
    free(volume);
}

/* Weights at any multiple of 4 bytes are used where they lie and give the same bits; at odd places, or of another type,
 * they are copied. */
static void test_alignment(void **state)
{
    cts_clip *m = cts_scratch_pair(9, false, 8);
    float want[12], got[12];
    char dir[256];

    (void)state;
    embed(m, want);
    snprintf(dir, sizeof dir, "%s", cts_scratch("shifted"));
    MUST(cts_model_dir_save(dir, m, NULL, NULL));
    for (size_t shift = 0; shift <= 12; shift += shift == 8 ? 1 : 4) { /* 0, 4, 8, 9 (odd) */
        bool mixed = shift == 8;
        cts_model *r = NULL;
        int lent = 0;

        write_shifted(cts_scratch("shifted/model.safetensors"), m, shift, mixed);
        MUST(cts_model_dir_load(&r, dir));
        for (int i = 0; i < cts_params_n(r->clip->params); i++)
            lent += cts_params_get(r->clip->params, i)->borrowed;
        print_message("shift %zu%s: %d of %d in place\n", shift, mixed ? ", some F64" : "", lent,
                      cts_params_n(r->clip->params));
        if (shift % 4)
            assert_int_equal(lent, 0);
        else
            assert_true(mixed ? lent > 0 && lent < cts_params_n(r->clip->params)
                              : lent == cts_params_n(r->clip->params));
        assert_true(cts_same_params(m->params, r->clip->params));
        embed(r->clip, got);
        assert_memory_equal(want, got, sizeof want);
        cts_model_destroy(r);
        if (shift % 4)
            break;
    }
    cts_clip_destroy(m);
}

static void set_time(const char *path, time_t seconds)
{
    struct timespec t[2] = {{seconds, 5}, {seconds, 5}};

    assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static void model_digest(char out[CTS_DIGEST_HEX], const char *dir)
{
    cts_model *r = NULL;

    MUST(cts_model_dir_load(&r, dir));
    memcpy(out, r->digest.model, CTS_DIGEST_HEX);
    cts_model_destroy(r);
}

/* Change one value of the weights, keep the size. */
static void tamper(const char *path)
{
    char *image = NULL;
    size_t n = 0;

    MUST(cts_file_read(&image, &n, path, (size_t)1 << 30));
    image[n - 6] = (char)(image[n - 6] + 1);
    cts_scratch_write(path, image, n);
    free(image);
}

/* digest.json is believed while size and time hold, taken again and rewritten otherwise; verifying never believes it.
 */
static void test_digest_record(void **state)
{
    cts_clip *m = cts_scratch_pair(4, false, 8);
    char dir[256], weights[300], record[300], first[CTS_DIGEST_HEX], other[CTS_DIGEST_HEX], sha[CTS_DIGEST_HEX];
    cts_model_digest_state v;

    (void)state;
    snprintf(dir, sizeof dir, "%s", cts_scratch("digest"));
    snprintf(weights, sizeof weights, "%s/model.safetensors", dir);
    snprintf(record, sizeof record, "%s/digest.json", dir);
    MUST(cts_model_dir_save(dir, m, NULL, NULL));
    assert_true(cts_file_exists(record));
    file_digest(sha, dir);
    MUST(cts_model_digest_verify(&v, dir));
    assert_true(v.fresh);
    assert_string_equal(v.sha256, sha);
    assert_string_equal(v.recorded, sha);
    model_digest(first, dir);

    /* the same bytes with another time, as after a copy: taken again, the same, and remembered */
    set_time(weights, 1000000000);
    MUST(cts_model_digest_verify(&v, dir));
    assert_false(v.fresh);
    model_digest(other, dir);
    assert_string_equal(first, other);
    MUST(cts_model_digest_verify(&v, dir));
    assert_true(v.fresh);

    /* other bytes and a later time: another digest */
    tamper(weights);
    model_digest(other, dir);
    assert_string_not_equal(first, other);

    /* other bytes of the same size under the same time: only verifying finds it */
    set_time(weights, 1000000000);
    model_digest(other, dir);
    tamper(weights);
    set_time(weights, 1000000000);
    model_digest(first, dir);
    assert_string_equal(first, other);
    MUST(cts_model_digest_verify(&v, dir));
    assert_true(v.fresh);
    assert_string_not_equal(v.sha256, v.recorded);

    /* no record, a damaged one, one of something else: as if there were none */
    static const char *const bad[] = {"", "{", "{\"format\": \"ctsearch-digest\", \"version\": 2}",
                                      "{\"format\": \"ctsearch-digest\", \"version\": 1, \"file\": "
                                      "\"model.safetensors\", \"bytes\": 1, \"mtime_ns\": 1, \"sha256\": \"xyz\"}"};
    file_digest(sha, dir);
    for (size_t i = 0; i <= sizeof bad / sizeof *bad; i++) {
        if (i < sizeof bad / sizeof *bad)
            cts_scratch_write(record, bad[i], strlen(bad[i]));
        else
            remove(record);
        MUST(cts_model_digest_verify(&v, dir));
        assert_string_equal(v.recorded, "");
        model_digest(other, dir);
        MUST(cts_model_digest_verify(&v, dir));
        assert_true(v.fresh);
        assert_string_equal(v.recorded, sha);
    }
    cts_clip_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_replace), cmocka_unit_test(test_failed_save),
        cmocka_unit_test(test_strict_load),   cmocka_unit_test(test_mapped),  cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_digest_record),
    };

    return cmocka_run_group_tests_name("model dir", tests, cts_scratch_make, cts_scratch_remove);
}
