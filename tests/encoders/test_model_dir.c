/* Model directories: round trip, digests, replacement, and strictness about names and shapes.
 * SPDX-License-Identifier: MIT */
#include "encoders/model_dir.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_failed_save),
        cmocka_unit_test(test_strict_load),
    };

    return cmocka_run_group_tests_name("model dir", tests, cts_scratch_make, cts_scratch_remove);
}
