/* A model of texts alone and an index of reports alone: made, searched, filtered, and every question about scans
 * answered with a clear refusal. The model is tiny and random, its vocabulary learned here.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "data/recipe.h"
#include "encoders/model_dir.h"
#include "kernels/base/file.h"
#include "tests/support/model_run.h"
#include "tests/support/program.h"
#include "tokenizer/tokenizer.h"

#define REPORTS 7

static const char *const sentences[REPORTS] = {
    "Thin pleural effusion on the right. No nodule.",
    "Emphysema in both upper lobes.",
    "A small nodule in the left lower lobe, unchanged.",
    "The heart is of normal size. Calcified coronary arteries.",
    "Small hiatal hernia. The lungs are clear.",
    "Emphysema and a pleural effusion on the left.",
    "Normal chest.",
};

static void write_csv(const char *name, bool with_empty)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", cts_program_dir(), name);
    assert_non_null(f = fopen(path, "w"));
    fprintf(f, "VolumeName,Findings_EN,Impressions_EN\n");
    for (int i = 0; i < REPORTS; i++)
        fprintf(f, "text_%d_a_1.nii.gz,\"%s\",\n", i + 1, sentences[i]);
    if (with_empty)
        fprintf(f, "text_90_a_1.nii.gz,,\n");
    fclose(f);
}

/* Labels by words of the sentences. */
static void write_labels(void)
{
    static const char *const columns =
        "VolumeName,Medical material,Arterial wall calcification,Cardiomegaly,Pericardial effusion,Coronary artery "
        "wall calcification,Hiatal hernia,Lymphadenopathy,Emphysema,Atelectasis,Lung nodule,Lung opacity,Pulmonary "
        "fibrotic sequela,Pleural effusion,Mosaic attenuation pattern,Peribronchial thickening,Consolidation,"
        "Bronchiectasis,Interlobular septal thickening";
    char path[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/labels.csv", cts_program_dir());
    assert_non_null(f = fopen(path, "w"));
    fprintf(f, "%s\n", columns);
    for (int i = 0; i < REPORTS; i++) {
        fprintf(f, "text_%d_a_1.nii.gz", i + 1);
        for (int k = 0; k < 18; k++)
            fprintf(f, ",%d", (k == 7 && strstr(sentences[i], "Emphysema")) || (k == 12 && i == 5));
        fprintf(f, "\n");
    }
    fclose(f);
}

static void save_model(const char *name, const char *config, bool tokenizer)
{
    json_t *j = json_loads(config, 0, NULL);
    char dir[512], vocab[512];
    cts_clip_config c = {0};
    cts_clip *m = NULL;

    snprintf(dir, sizeof dir, "%s/%s", cts_program_dir(), name);
    snprintf(vocab, sizeof vocab, "%s/words.txt", cts_program_dir());
    assert_non_null(j);
    MUST(cts_clip_config_parse(&c, j, "test"));
    MUST(cts_clip_create_init(&m, &c, 77));
    MUST(cts_model_dir_save(dir, m, tokenizer ? vocab : NULL, NULL));
    cts_clip_destroy(m);
    json_decref(j);
}

static int setup(void **state)
{
    char vocab[512];

    if (cts_program_setup(state))
        return -1;
    snprintf(vocab, sizeof vocab, "%s/words.txt", cts_program_dir());
    MUST(cts_wordpiece_train(vocab, sentences, REPORTS, 200));
    save_model("model",
               "{\"image\": null, \"text\": {\"preset\": \"bert-tiny\", \"config\": {\"vocab_size\": 200, "
               "\"hidden_size\": 24, \"intermediate_size\": 32, \"max_position_embeddings\": 40, \"pooling\": "
               "\"mean\", \"initializer_range\": 0.3}}, \"latent_dim\": 24, \"projection\": {\"text\": \"none\"}, "
               "\"max_length\": 32}",
               true);
    write_csv("reports.csv", false);
    write_csv("gaps.csv", true);
    write_labels();
    MUST(cts_program_run("index create --text-only reports.csv --model model r.index --labels labels.csv --json"));
    return 0;
}

static void test_create(void **state)
{
    json_t *j;

    (void)state;
    assert_int_equal(cts_program_run("index create other.index reports.csv --text-only --model model --json"), 0);
    j = cts_program_json();
    assert_int_equal(json_integer_value(cts_json_at(j, "added")), REPORTS);
    assert_int_equal(json_integer_value(cts_json_at(j, "items")), REPORTS);
    assert_int_equal(json_integer_value(cts_json_at(j, "cut")), 1); /* one sentence is longer than 32 pieces */
    json_decref(j);
    assert_int_equal(cts_program_run("index stat r.index --json"), 0);
    j = cts_program_json();
    assert_int_equal(json_integer_value(cts_json_at(j, "vectors.text")), REPORTS);
    assert_int_equal(json_integer_value(cts_json_at(j, "vectors.image")), 0);
    json_decref(j);
    assert_int_equal(cts_program_run("index verify r.index"), 0);

    /* --reports without --text-only is the same; the same command again finds all there; a row without text is skipped
     */
    assert_int_equal(cts_program_run("index create third.index --reports gaps.csv --model model --json"), 5);
    j = cts_program_json();
    assert_int_equal(json_integer_value(cts_json_at(j, "added")), REPORTS);
    assert_int_equal(json_integer_value(cts_json_at(j, "skipped")), 1);
    json_decref(j);
    assert_int_equal(cts_program_run("index add third.index --reports reports.csv --json"), 0);
    j = cts_program_json();
    assert_int_equal(json_integer_value(cts_json_at(j, "present")), REPORTS);
    json_decref(j);
}

static void test_create_refused(void **state)
{
    (void)state;
    assert_int_equal(cts_program_run("index create --text-only --model model x.index"), 1);
    assert_non_null(strstr(cts_program_err(), "CSV of the reports"));
    assert_int_equal(cts_program_run("index create --text-only reports.csv --reports gaps.csv --model model x.index"),
                     1);
    assert_int_equal(cts_program_run("index create --text-only reports.csv --volumes . --model model x.index"), 1);
    assert_int_equal(cts_program_run("index create reports.csv --model model x.index"), 1);
    assert_non_null(strstr(cts_program_err(), "--text-only"));
    /* volumes for a model of texts: refused before a folder is made */
    assert_int_equal(cts_program_run("index create x.index --reports reports.csv --volumes . --model model"), 4);
    assert_non_null(strstr(cts_program_err(), "text encoder only"));
    assert_int_equal(cts_program_shell("test ! -e x.index"), 0);
}

/* A report longer than the model's 32 tokens is indexed by its beginning, and that is said. */
static void test_create_cuts(void **state)
{
    json_t *j;

    (void)state;
    assert_int_equal(cts_program_shell("{ head -n 2 reports.csv; printf 'long_1_a_1.nii.gz,'; seq -s ' ' 100; } | "
                                       "sed 's/^\\(long.*\\)$/\\1,/' > long.csv"),
                     0);
    assert_int_equal(cts_program_run("index create long.index --text-only long.csv --model model"), 0);
    assert_non_null(strstr(cts_program_out(), "1 of their reports are longer than the model reads"));
    assert_int_equal(cts_program_run("index add long.index --reports long.csv --update --json"), 0);
    j = cts_program_json();
    assert_int_equal(json_integer_value(cts_json_at(j, "cut")), 1);
    assert_int_equal(json_integer_value(cts_json_at(j, "updated")), 2);
    json_decref(j);
}

/* A first attempt that comes to nothing does not stand in the way of the second. */
static void test_create_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(cts_program_shell("cp -r model mute && rm mute/vocab.txt && cp -r model mad"), 0);
    assert_int_equal(cts_program_run("index create y.index --text-only reports.csv --model mute"), 2);
    assert_non_null(strstr(cts_program_err(), "no tokenizer"));
    assert_int_equal(cts_program_shell("test ! -e y.index"), 0);
    assert_int_equal(cts_program_shell("head -c 4096 /dev/zero | tr '\\0' '\\377' | dd of=mad/model.safetensors bs=1 "
                                       "seek=$(($(wc -c < mad/model.safetensors) - 4096)) conv=notrunc status=none"),
                     0);
    assert_int_equal(cts_program_run("index create y.index --text-only reports.csv --model mad"), 2);
    assert_non_null(strstr(cts_program_err(), "not finite"));
    assert_int_equal(cts_program_shell("test ! -e y.index && mkdir y.index && touch y.index/mine"), 0);
    assert_int_equal(cts_program_run("index create y.index --text-only reports.csv --model mad"), 2);
    assert_int_equal(cts_program_shell("test -e y.index/mine"), 0); /* a folder that was there is not ours to remove */
}

static void expect_first(const char *id)
{
    json_t *j = cts_program_json();

    assert_string_equal(json_string_value(cts_json_at(j, "target")), "text");
    assert_int_equal(json_integer_value(cts_json_at(j, "searched")), REPORTS);
    assert_string_equal(json_string_value(cts_json_at(j, "hits.0.id")), id);
    json_decref(j);
}

static void test_query(void **state)
{
    json_t *j;

    (void)state;
    assert_int_equal(cts_program_run("query --index r.index --text '%s' -k 3 --json", sentences[3]), 0);
    expect_first("text_4_a_1"); /* its own words: cosine 1 */
    j = cts_program_json();
    assert_true(json_real_value(cts_json_at(j, "hits.0.score")) > 0.9999);
    json_decref(j);
    assert_int_equal(cts_program_run("query --index r.index --report '%s' --json", sentences[5]), 0);
    expect_first("text_6_a_1");
    assert_int_equal(cts_program_run("query --index r.index --like text_2_a_1 -k %d --json", REPORTS), 0);
    j = cts_program_json();
    assert_string_equal(json_string_value(cts_json_at(j, "target")), "text");
    assert_int_equal(json_array_size(cts_json_at(j, "hits")), REPORTS - 1); /* all but itself */
    json_decref(j);
    assert_int_equal(cts_program_run("query --index r.index --text emphysema --filter label=emphysema --filter "
                                     "label!=pleural_effusion --json"),
                     0);
    j = cts_program_json();
    assert_int_equal(json_array_size(cts_json_at(j, "hits")), 1);
    assert_string_equal(json_string_value(cts_json_at(j, "hits.0.id")), "text_2_a_1");
    json_decref(j);
    assert_int_equal(cts_program_run("query --index r.index --text emphysema"), 0);
    assert_non_null(strstr(cts_program_out(), "report vectors"));
    /* what is asked for by name is not exchanged */
    assert_int_equal(cts_program_run("query --index r.index --text emphysema --target image --json"), 0);
    j = cts_program_json();
    assert_string_equal(json_string_value(cts_json_at(j, "target")), "image");
    assert_int_equal(json_array_size(cts_json_at(j, "hits")), 0);
    json_decref(j);
}

/* Labels of the index or of a CSV; equal reports once; the formula itself is test_bm25's affair. */
static void test_findings(void **state)
{
    json_t *j;

    (void)state;
    assert_int_equal(cts_program_run("eval findings --index r.index -k 2 --json"), 0);
    j = cts_program_json();
    assert_int_equal(json_integer_value(cts_json_at(j, "n")), REPORTS);
    assert_int_equal(json_integer_value(cts_json_at(j, "k")), 2);
    assert_int_equal(json_integer_value(cts_json_at(j, "defined")), 2);
    assert_int_equal(json_integer_value(cts_json_at(j, "findings.7.positives")), 2);
    assert_true(json_real_value(cts_json_at(j, "findings.7.bm25_words")) == 1.0); /* both, and no other, say the word */
    assert_true(json_real_value(cts_json_at(j, "findings.7.oracle")) == 1.0);
    assert_true(json_real_value(cts_json_at(j, "findings.12.oracle")) == 0.5);
    assert_true(fabs(json_real_value(cts_json_at(j, "findings.7.chance")) - 2.0 / REPORTS) < 1e-8);
    assert_true(json_is_null(cts_json_at(j, "findings.0.model")));
    json_decref(j);
    /* no labels in the index: an error, unless a CSV has them; the same texts under other names count once */
    assert_int_equal(cts_program_run("index create bare.index --text-only reports.csv --model model"), 0);
    assert_int_equal(cts_program_run("eval findings --index bare.index -k 2"), 2);
    assert_non_null(strstr(cts_program_err(), "7 without labels"));
    assert_int_equal(cts_program_run("eval findings --index bare.index -k 2 --labels labels.csv"), 0);
    assert_int_equal(
        cts_program_shell("sed 's/_a_1/_a_2/' reports.csv > again.csv && sed '1d; s/_a_1/_a_2/' labels.csv "
                          "| cat labels.csv - > both.csv"),
        0);
    assert_int_equal(cts_program_run("index add bare.index --reports again.csv"), 0);
    assert_int_equal(cts_program_run("eval findings --index bare.index -k 2 --labels both.csv --json"), 0);
    j = cts_program_json();
    assert_int_equal(json_integer_value(cts_json_at(j, "n")), REPORTS);
    assert_int_equal(json_integer_value(cts_json_at(j, "left_out.same_report")), REPORTS);
    json_decref(j);
    assert_int_equal(cts_program_run("eval findings --index r.index -k 8"), 2);
}

/* Everything that wants scans of a model of texts. */
static void test_no_scans(void **state)
{
    (void)state;
    assert_int_equal(cts_program_run("query --index r.index --image scan.nii.gz"), 4);
    assert_non_null(strstr(cts_program_err(), "text encoder only"));
    assert_int_equal(cts_program_run("score --model model a.nii.gz b.nii.gz"), 4);
    assert_non_null(strstr(cts_program_err(), "text encoder only"));
    assert_int_equal(cts_program_run("embed --model model --volumes . --labels labels.csv --out x.npy"), 4);
    assert_int_equal(cts_program_run("embed --model model --text --reports reports.csv --out x.npy --json"), 0);
}

static void test_verify(void **state)
{
    json_t *j;

    (void)state;
    assert_int_equal(cts_program_run("models --verify model"), 0);
    assert_non_null(strstr(cts_program_out(), "as recorded"));
    assert_int_equal(cts_program_shell("cp -r model copy"), 0);
    assert_int_equal(cts_program_run("models --verify copy --json"), 0); /* loading has recorded it anew */
    /* the same index, the copied folder: digests are the file's, not the record's */
    assert_int_equal(cts_program_run("query --index r.index --model copy --text emphysema"), 0);
    assert_int_equal(
        cts_program_shell("touch -r copy/model.safetensors stamp && printf x | dd of=copy/model.safetensors bs=1 "
                          "seek=9000 conv=notrunc 2>/dev/null && touch -r stamp copy/model.safetensors"),
        0);
    assert_int_equal(cts_program_run("models --verify copy --json"), 4);
    j = cts_program_json();
    assert_true(json_is_false(cts_json_at(j, "ok")));
    assert_string_equal(json_string_value(cts_json_at(j, "verdict")), "changed");
    json_decref(j);
    assert_int_equal(cts_program_shell("rm copy/digest.json"), 0);
    assert_int_equal(cts_program_run("query --index r.index --model copy --text emphysema"), 4);
    assert_int_equal(cts_program_run("models --verify nowhere"), 2);
}

/* A model of volumes alone: no tokenizer; sentences are refused. */
static void test_image_only(void **state)
{
    cts_recipe recipe;
    char path[512];

    (void)state;
    save_model("image",
               "{\"text\": null, \"image\": {\"preset\": \"dcformer-nano\", \"config\": {\"num_blocks\": [1, 1, 1, 1, "
               "1], \"channels\": [4, 4, 8, 8, 8], \"kernel_sizes\": [5, 3, 3, 3], \"volume\": [16, 24, 24]}}, "
               "\"latent_dim\": 8}",
               false);
    assert_int_equal(cts_program_run("embed --model image --text --reports reports.csv --out y.npy"), 2);
    assert_non_null(strstr(cts_program_err(), "preprocess.json"));
    MUST(cts_recipe_free(&recipe, "small", (const double[]){2, 2, 2}, (const int64_t[]){16, 24, 24},
                         (const double[]){-1000, 1000}));
    snprintf(path, sizeof path, "%s/image/preprocess.json", cts_program_dir());
    MUST(cts_recipe_save(&recipe, path));
    assert_int_equal(cts_program_run("embed --model image --text --reports reports.csv --out y.npy"), 4);
    assert_non_null(strstr(cts_program_err(), "image encoder only"));
    assert_int_equal(cts_program_run("score --model image a.nii.gz"), 4);
    assert_int_equal(cts_program_run("index create z.index --text-only reports.csv --model image"), 4);
    assert_int_equal(cts_program_shell("test ! -e z.index"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),      cmocka_unit_test(test_create_refused),
        cmocka_unit_test(test_create_cuts), cmocka_unit_test(test_create_leaves_nothing),
        cmocka_unit_test(test_query),       cmocka_unit_test(test_no_scans),
        cmocka_unit_test(test_findings),    cmocka_unit_test(test_verify),
        cmocka_unit_test(test_image_only),
    };

    return cmocka_run_group_tests_name("text only", tests, setup, cts_program_teardown);
}
