/* The text engine with a published model, all-MiniLM-L6-v2, against sentence-transformers: token ids, embeddings, and
 * the similarity of all pairs.
 *
 * The weights are no part of the project. CTS_MINILM_DIR, or minilm/ in the data folder, is a model folder of this
 * program or the folder as published (golden minilm.json says how to obtain it), which is imported first. Without
 * either the test is skipped.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "kernels/base/digest.h"
#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "query/engine.h"
#include "tests/support/model_run.h"
#include "tests/support/program.h"

#define COSINE 0.99999
#define SIMILARITY 2e-5 /* of a pair: what two vectors at that cosine from the expected ones may differ by, and less */

static const char *folder(void)
{
    static char path[4096];
    const char *given = getenv("CTS_MINILM_DIR");

    if (given && *given)
        snprintf(path, sizeof path, "%s", given);
    else
        snprintf(path, sizeof path, "%s/minilm", cts_golden_data_dir());
    return path;
}

/* Whether config.json of the folder is one of this program's. */
static bool is_ours(const char *dir)
{
    char *path = cts_path_join(dir, "config.json");
    const char *format = "";
    json_t *j = NULL;
    bool ours;

    MUST(cts_json_load(&j, path, (size_t)1 << 20));
    MUST(cts_json_string(&format, j, "format", false, path));
    ours = !strcmp(format, "ctsearch-clip");
    json_decref(j);
    free(path);
    return ours;
}

static char *model_dir(void)
{
    const char *given = folder();
    char *config = cts_path_join(given, "config.json"), *dir;
    bool there = cts_file_exists(config);

    free(config);
    if (!there) {
        print_message("%s: no such model; skipped (set CTS_MINILM_DIR)\n", given);
        skip();
    }
    if (is_ours(given))
        return cts_strdup(given);
    dir = cts_path_join(cts_program_dir(), "minilm");
    if (!cts_is_dir(dir) && cts_program_run("import '%s' --out '%s'", given, dir))
        fail_msg("import of %s: %s", given, cts_program_err());
    return dir;
}

/* Rows of input_ids without the padding. */
static void check_ids(const cts_tokenizer *t, const cts_golden *g, const json_t *sentences, int64_t max)
{
    int64_t *ids = cts_golden_need_ints(g, "input_ids"), *mask = cts_golden_need_ints(g, "attention_mask"), shape[8];
    int32_t *got = cts_test_alloc((size_t)max * sizeof *got);

    cts_golden_need_shape(g, shape, "input_ids");
    assert_int_equal(shape[0], (int64_t)json_array_size(sentences));
    for (int64_t s = 0; s < shape[0]; s++) {
        const char *text = json_string_value(json_array_get(sentences, (size_t)s));
        size_t n = 0, wanted = 0;

        for (int64_t k = 0; k < shape[1]; k++)
            wanted += mask[s * shape[1] + k] != 0;
        MUST(cts_tokenizer_encode_sequence(t, text, strlen(text), (int32_t)max, got, &n));
        if (n != wanted)
            fail_msg("\"%s\": %zu ids, expected %zu", text, n, wanted);
        for (size_t k = 0; k < n; k++)
            if (got[k] != ids[s * shape[1] + (int64_t)k])
                fail_msg("\"%s\": id %zu is %d, expected %lld", text, k, got[k],
                         (long long)ids[s * shape[1] + (int64_t)k]);
    }
    free(ids);
    free(mask);
    free(got);
}

static void check_embeddings(const float *got, const cts_golden *g, size_t n, size_t d)
{
    float *want = cts_golden_need_floats(g, "embedding"), *similarity = cts_golden_need_floats(g, "similarity");
    double worst = 1.0, most = 0.0;

    for (size_t i = 0; i < n; i++) {
        double length = sqrt(cts_test_dot(want + i * d, want + i * d, d)),
               cosine = cts_test_dot(got + i * d, want + i * d, d) / length;

        if (!(cosine >= COSINE))
            fail_msg("sentence %zu: cosine with the expected embedding %.8f, wanted %.5f", i, cosine, COSINE);
        worst = fmin(worst, cosine);
        for (size_t k = 0; k < n; k++) {
            double off = fabs(cts_test_dot(got + i * d, got + k * d, d) - (double)similarity[i * n + k]);

            if (!(off <= SIMILARITY))
                fail_msg("sentences %zu and %zu: similarity is off by %g, allowed %g", i, k, off, SIMILARITY);
            most = fmax(most, off);
        }
    }
    print_message("%zu sentences: smallest cosine %.9f, similarity off by at most %.2e\n", n, worst, most);
    assert_true(cts_golden_near(g, "embedding", got, n * d, 1e-4, 0.0));
    free(want);
    free(similarity);
}

static void test_sentences(void **state)
{
    char *dir = model_dir(); /* first: without the model there is nothing to open */
    cts_golden *g = cts_golden_need("minilm.safetensors");
    json_t *about = cts_golden_need_json("minilm.json");
    const json_t *sentences = json_object_get(about, "sentences");
    size_t n = json_array_size(sentences), d;
    const char **texts = cts_test_alloc((n + 1) * sizeof *texts);
    cts_backend *b = cts_test_backend(NULL);
    cts_engine *e = NULL;
    float *got;

    (void)state;
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++)
        texts[i] = json_string_value(json_array_get(sentences, i));
    MUST(cts_engine_open(&e, dir, b));
    d = (size_t)cts_engine_dim(e);
    assert_int_equal(cts_golden_need_tensor(g, "embedding")->shape[1], (int64_t)d);
    check_ids(cts_engine_tokenizer(e), g, sentences, cts_clip_config_max_length(&cts_engine_clip(e)->config));
    got = cts_test_alloc(n * d * sizeof *got);
    MUST(cts_engine_texts(e, texts, n, got, NULL));
    check_embeddings(got, g, n, d);
    /* one at a time gives what a batch gives: padding has no say */
    for (size_t i = 0; i < n; i++) {
        float *one = cts_test_alloc(d * sizeof *one);

        MUST(cts_engine_texts(e, &texts[i], 1, one, NULL));
        for (size_t k = 0; k < d; k++)
            if (!(fabsf(one[k] - got[i * d + k]) <= 1e-6f))
                fail_msg("sentence %zu alone differs at %zu: %g, in the batch %g", i, k, (double)one[k],
                         (double)got[i * d + k]);
        free(one);
    }
    free(got);
    free(dir);
    free(texts);
    cts_engine_close(e);
    cts_backend_destroy(b);
    cts_golden_close(g);
    json_decref(about);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sentences)};

    return cmocka_run_group_tests_name("minilm", tests, cts_program_setup, cts_program_teardown);
}
