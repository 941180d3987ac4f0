/* Another recipe or text rule than the model's, prompt banks at work, and axes that are turned and said, through the
 * program. SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/findings.h"
#include "data/nifti.h"
#include "kernels/base/status.h"
#include "query/zeroshot.h"
#include "tests/support/program.h"

#define DATA "--reports set/reports.csv --labels set/labels.csv --volumes set/volumes"
#define SCAN "set/volumes/train_000001_a_1.nii.gz"
#define WARNING "the model was made for free, volumes are prepared with wide: embeddings are not those of the published"

static const char *text_at(const json_t *j, const char *at)
{
    return json_string_value(cts_json_at(j, at));
}

/* Four phantoms, a model of the free recipe, and the same recipe with a wider window in wide.json. */
static int setup(void **state)
{
    if (cts_program_setup(state))
        return -1;
    if (cts_program_run("phantom --count 4 --size 32,32,24 --seed 3 --out set --quiet") ||
        cts_program_run("train clip --quiet --size 24,32,32 --steps 2 --batch 2 --latent 32 " DATA " --out run") ||
        cts_program_shell(
            "sed -e 's/-1000/-1400/' -e 's/\"free\"/\"wide\"/' run/model/preprocess.json >wide.json && "
            "! cmp -s run/model/preprocess.json wide.json && sed 's/\"wide\"/\"twin\"/' wide.json >twin.json")) {
        print_error("setup: %s\n", cts_program_err());
        return -1;
    }
    return 0;
}

static void recipe_of_a_run(void **state)
{
    json_t *a, *b, *same;

    (void)state;
    cts_program_warns(0, "embed --model run --volumes set/volumes --out v.npy --recipe wide.json", WARNING);
    a = cts_program_json_of(0, "embed --model run --volumes set/volumes --out v.npy --recipe wide.json --json");
    assert_non_null(strstr(text_at(a, "warnings.0"), WARNING));
    json_decref(a);
    a = cts_program_json_of(0, "score --model run " SCAN " --json");
    b = cts_program_json_of(0, "score --model run " SCAN " --json --recipe wide.json");
    same = cts_program_json_of(0, "score --model run " SCAN " --json --recipe run/model/preprocess.json");
    assert_int_equal(json_array_size(cts_json_at(a, "warnings")), 0);
    assert_non_null(strstr(text_at(b, "warnings.0"), WARNING));
    assert_false(json_equal(cts_json_at(a, "findings"), cts_json_at(b, "findings")));
    assert_true(json_equal(a, same)); /* the model's own recipe is no override */
    json_decref(a);
    json_decref(b);
    json_decref(same);
    cts_program_warns(2, "score --model run " SCAN " --recipe nosuch", "recipe \"nosuch\" is unknown");
    cts_program_warns(3, "score --model run " SCAN " --recipe no/such.json", "no/such.json");
}

static void recipe_of_an_index(void **state)
{
    json_t *j;

    (void)state;
    cts_program_warns(0, "index create wide --model run --recipe wide.json " DATA, WARNING);
    j = cts_program_json_of(0, "index stat wide --json");
    assert_non_null(strstr(text_at(j, "warnings.0"), WARNING));
    assert_string_equal(text_at(j, "recipe"), "wide");
    json_decref(j);
    cts_program_runs(0, "index stat wide");
    assert_non_null(strstr(cts_program_out(), WARNING));
    /* whoever opens it later is told, and prepares volumes the same way */
    cts_program_warns(0, "query --index wide --text effusion", WARNING);
    cts_program_warns(0, "query --index wide --like train_000001_a_1", WARNING);
    j = cts_program_json_of(0, "query --index wide --image " SCAN " --target image -k 1 --json");
    assert_int_equal(json_array_size(cts_json_at(j, "warnings")), 1);
    assert_non_null(strstr(text_at(j, "warnings.0"), WARNING));
    assert_string_equal(text_at(j, "hits.0.id"), "train_000001_a_1");
    assert_true(json_number_value(cts_json_at(j, "hits.0.score")) > 0.99999);
    json_decref(j);
    cts_program_warns(0, "index add wide " DATA, WARNING);
    cts_program_runs(0, "index add wide --recipe twin.json " DATA); /* another name, the same voxels */
    cts_program_warns(4, "index add wide --recipe run/model/preprocess.json " DATA, "got recipe ");
    cts_program_runs(0, "index create plain --model run " DATA);
    assert_null(strstr(cts_program_err(), "was made for"));
    cts_program_warns(4, "index add plain --recipe wide.json " DATA, "got recipe ");
    cts_program_warns(0, "query --index plain --image " SCAN " --recipe wide.json", "scores compare unlike things");
    cts_program_warns(1, "query --index plain --text a --recipe wide.json", "allowed: with --image");
}

/* An importer writes override_of into preprocess.json; the digest does not know it. */
static void recipe_of_a_model_folder(void **state)
{
    json_t *a, *b;

    (void)state;
    assert_int_equal(
        cts_program_shell("cp -r run/model moved && sed -i 's/\"name\"/\"override_of\": \"hlip\", \"name\"/' "
                          "moved/preprocess.json"),
        0);
    cts_program_warns(0, "score --model moved " SCAN, "the model was made for hlip, volumes are prepared with free");
    cts_program_runs(0, "index create other --model moved " DATA);
    a = cts_program_json_of(0, "index stat other --json");
    b = cts_program_json_of(0, "index stat plain --json");
    assert_true(json_equal(cts_json_at(a, "digests.recipe"), cts_json_at(b, "digests.recipe")));
    assert_int_equal(json_array_size(cts_json_at(a, "warnings")), 1);
    json_decref(a);
    json_decref(b);
}

static void text_rules(void **state)
{
    json_t *clean, *published;
    const char *a, *b;

    (void)state;
    cts_program_warns(0, "index create published --model run --report-text ctclip_infer " DATA,
                      "reports become text by the rule ctclip_infer; the model's own is clean");
    clean = cts_program_json_of(0, "query --index plain --like train_000001_a_1 --target text --json");
    published = cts_program_json_of(0, "query --index published --like train_000001_a_1 --target text --json");
    for (size_t i = 0; i < json_array_size(cts_json_at(clean, "hits")); i++)
        for (size_t k = 0; k < json_array_size(cts_json_at(published, "hits")); k++) {
            const json_t *x = json_array_get(cts_json_at(clean, "hits"), i),
                         *y = json_array_get(cts_json_at(published, "hits"), k);

            if (strcmp(text_at(x, "id"), text_at(y, "id")))
                continue;
            a = text_at(x, "report");
            b = text_at(y, "report"); /* findings and impressions without the blank between them */
            assert_true(strlen(b) < strlen(a) && !strncmp(a, b, 10));
        }
    json_decref(clean);
    json_decref(published);
    cts_program_warns(1, "index create odd --model run --report-text raw " DATA, "allowed clean, dcformer_train");
    /* the model's own rule, from config.json */
    assert_int_equal(cts_program_shell("cp -r run/model ruled && sed -i 's/\"latent_dim\"/\"report_text\": "
                                       "\"dcformer_train\", \"latent_dim\"/' ruled/config.json"),
                     0);
    clean = cts_program_json_of(0, "embed --model ruled --text --reports set/reports.csv --out t.npy --json");
    json_decref(clean);
    assert_int_equal(cts_program_shell("grep -q '\"report_text\": \"dcformer_train\"' t.json"), 0);
    cts_program_runs(
        0, "train clip --quiet --size 24,32,32 --steps 1 --batch 2 --latent 32 --report-text dcformer_infer " DATA
           " --out second");
    assert_int_equal(cts_program_shell("grep -q '\"report_text\": \"dcformer_infer\"' second/model/config.json"), 0);
    cts_program_warns(0, "train clip --init second/model --steps 1 --batch 2 --report-text clean " DATA " --out third",
                      "the model's own is dcformer_infer");
    assert_int_equal(cts_program_shell("! grep -q report_text third/model/config.json"), 0);
}

/* The two vectors of each finding are the means of its phrasings' unit vectors, of unit length again. */
static void several_phrasings(void **state)
{
    char dir[512];
    cts_pool *pool = NULL;
    cts_backend *backend = NULL;
    cts_engine *e = NULL;
    cts_zeroshot z = {0}, one = {0};
    const float *at;

    (void)state;
    snprintf(dir, sizeof dir, "%s/run/model", cts_program_dir());
    assert_int_equal(cts_pool_create(&pool, 1), CTS_OK);
    assert_int_equal(cts_backend_create(&backend, "cpu", pool), CTS_OK);
    assert_int_equal(cts_engine_open(&e, dir, backend), CTS_OK);
    assert_int_equal(cts_zeroshot_open(&z, e, "ensemble"), CTS_OK);
    assert_int_equal(cts_zeroshot_init(&one, e), CTS_OK);
    assert_true(!strcmp(z.bank, "ensemble") && !strcmp(one.bank, "ctclip"));
    at = z.phrasing;
    for (int f = 0; f < CTS_FINDINGS; f++) {
        for (int64_t i = 0; i < 2 * z.dim; i++) /* its first phrasing is ctclip's */
            assert_true(fabs(at[i] - one.prompt[2 * f * z.dim + i]) < 1e-5);
        for (int side = 0; side < 2; side++) {
            const float *got = z.prompt + (2 * f + side) * z.dim;
            double mean[512] = {0}, norm = 0;

            assert_in_range(z.dim, 1, 512);
            for (int64_t i = 0; i < z.dim; i++) {
                for (int k = 0; k < z.pairs[f]; k++)
                    mean[i] += (double)at[(2 * k + side) * z.dim + i];
                norm += mean[i] * mean[i];
            }
            for (int64_t i = 0; i < z.dim; i++)
                assert_true(fabs(got[i] - mean[i] / sqrt(norm)) < 1e-6);
        }
        at += 2 * z.pairs[f] * z.dim;
    }
    cts_zeroshot_clear(&z);
    cts_zeroshot_clear(&one);
    cts_engine_close(e);
    cts_backend_destroy(backend);
    cts_pool_destroy(pool);
}

static void prompts(void **state)
{
    json_t *plain = cts_program_json_of(0, "score --model run " SCAN " --json"), *j, *row;
    size_t i;

    (void)state;
    assert_string_equal(text_at(plain, "prompts"), "ctclip");
    j = cts_program_json_of(0, "score --model run --prompts ensemble " SCAN " --json");
    assert_string_equal(text_at(j, "prompts"), "ensemble");
    json_array_foreach(cts_json_at(j, "findings"), i, row)
    {
        double p = json_number_value(cts_json_at(row, "spread.mean")),
               lo = json_number_value(cts_json_at(row, "spread.min")),
               hi = json_number_value(cts_json_at(row, "spread.max"));

        cts_json_keys(row, "name probability logit calibrated threshold verdict auroc interval f1 precision recall "
                           "prevalence spread");
        cts_json_keys(cts_json_at(row, "spread"), "phrasings mean min max");
        assert_true(lo <= p && p <= hi && json_integer_value(cts_json_at(row, "spread.phrasings")) == 5);
    }
    json_decref(j);
    cts_program_runs(0, "score --model run --prompts ensemble " SCAN);
    assert_non_null(strstr(cts_program_out(), "by 5 phrasings"));
    /* a file that says what ctclip says */
    assert_int_equal(cts_program_shell("printf '{\"name\": \"ctclip\", \"default\": [[\"{Finding} is present.\", "
                                       "\"{Finding} is not present.\"]]}' >mine.json"),
                     0);
    j = cts_program_json_of(0, "score --model run --prompts mine.json " SCAN " --json");
    assert_true(json_equal(j, plain));
    json_decref(j);
    json_decref(plain);
    j = cts_program_json_of(0, "score --prompts list --json");
    assert_true(json_array_size(cts_json_at(j, "prompts")) >= 6);
    cts_json_keys(cts_json_at(j, "prompts.0"), "name about phrasings example");
    json_decref(j);
    cts_program_runs(0, "score --prompts list");
    assert_non_null(strstr(cts_program_out(), "The volume shows: Pleural effusion."));
    cts_program_warns(2, "score --model run --prompts nosuch " SCAN, "built in are ctclip");
    assert_int_equal(
        cts_program_shell("cp -r run/model asked && sed -i 's/\"latent_dim\"/\"prompts\": \"hlip\", \"latent_dim\"/' "
                          "asked/config.json"),
        0);
    j = cts_program_json_of(0, "score --model asked " SCAN " --json");
    assert_string_equal(text_at(j, "prompts"), "hlip");
    json_decref(j);
}

/* The scan again as a file with other axes; degrees: turned about z. */
static void write_turned(const char *name, const char *codes, bool affine, double degrees)
{
    char from[512], to[512];
    double c = cos(degrees * acos(-1) / 180), s = sin(degrees * acos(-1) / 180);
    cts_volume *v = NULL;

    snprintf(from, sizeof from, "%s/" SCAN, cts_program_dir());
    snprintf(to, sizeof to, "%s/%s", cts_program_dir(), name);
    assert_int_equal(cts_nifti_load(&v, from, 0), CTS_OK);
    assert_int_equal(cts_volume_reorient(v, codes, NULL), CTS_OK);
    v->has_affine = affine;
    for (int k = 0; k < 4; k++) {
        double x = v->affine[0][k], y = v->affine[1][k];

        v->affine[0][k] = c * x - s * y;
        v->affine[1][k] = s * x + c * y;
    }
    assert_int_equal(cts_nifti_save(v, to, 0), CTS_OK);
    cts_volume_destroy(v);
}

static void axes(void **state)
{
    json_t *plain = cts_program_json_of(0, "score --model run " SCAN " --json"), *j;

    (void)state;
    write_turned("ras.nii.gz", "RAS", true, 0);
    write_turned("pir.nii.gz", "PIR", true, 0);
    write_turned("none.nii.gz", "LPS", false, 0);
    write_turned("slant.nii.gz", "LPS", true, 12);
    cts_program_warns(0, "score --model run ras.nii.gz", "ras.nii.gz: stored as RAS, flipped i,j");
    j = cts_program_json_of(0, "score --model run pir.nii.gz --json");
    assert_true(json_equal(cts_json_at(j, "findings"), cts_json_at(plain, "findings")));
    cts_json_keys(cts_json_at(j, "orientation"), "stored did oblique_deg has_affine");
    assert_string_equal(text_at(j, "orientation.stored"), "PIR");
    assert_string_equal(text_at(j, "orientation.did"), "permuted k,i,j; flipped k,j");
    json_decref(j);
    cts_program_warns(0, "query --index plain --image pir.nii.gz", "pir.nii.gz: stored as PIR, permuted");
    j = cts_program_json_of(0, "query --index plain --image none.nii.gz --json");
    assert_non_null(strstr(text_at(j, "warnings.0"), "no affine"));
    assert_true(json_is_null(cts_json_at(j, "query.orientation.stored")));
    json_decref(j);
    cts_program_warns(0, "score --model run none.nii.gz", "no affine (neither sform nor qform)");
    cts_program_warns(0, "score --model run slant.nii.gz", "oblique by 12.0 degrees");
    j = cts_program_json_of(0, "inspect ras.nii.gz --json");
    assert_string_equal(text_at(j, "files.0.to_lps"), "flipped i,j");
    json_decref(j);
    json_decref(plain);
}

/* One line for a data set, not one for every volume. */
static void axes_of_a_set(void **state)
{
    json_t *j;

    (void)state;
    assert_int_equal(cts_program_shell("mkdir -p mixed && cp ras.nii.gz pir.nii.gz none.nii.gz slant.nii.gz mixed/ && "
                                       "cp ras.nii.gz mixed/ras2.nii.gz"),
                     0);
    cts_program_warns(
        0, "index create mixed.index --model run --volumes mixed",
        "volumes: axes: 1 as stored (the file has no affine), 1 LPS as stored, 1 PIR permuted k,i,j; flipped k,j, 2 "
        "RAS "
        "flipped i,j");
    assert_non_null(strstr(cts_program_err(), "1 of 5 have no affine"));
    assert_non_null(strstr(cts_program_err(), "1 of 5 are oblique, up to 12.0 degrees"));
    assert_null(strstr(cts_program_err(), "ras.nii.gz: stored as"));
    j = cts_program_json_of(0, "embed --model run --volumes mixed --out m.npy --json");
    json_decref(j);
    j = cts_program_json_of(0, "index create again.index --model run --volumes mixed --json");
    assert_int_equal(json_array_size(cts_json_at(j, "orientations")), 4);
    assert_int_equal(json_integer_value(cts_json_at(j, "orientations.3.volumes")), 2);
    json_decref(j);
    j = cts_program_json_of(0,
                            "train clip --size 24,32,32 --steps 3 --batch 2 --latent 32 " DATA " --out fourth --json");
    assert_int_equal(json_integer_value(cts_json_at(j, "orientations.0.volumes")), 4);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipe_of_a_run),
        cmocka_unit_test(recipe_of_an_index),
        cmocka_unit_test(recipe_of_a_model_folder),
        cmocka_unit_test(text_rules),
        cmocka_unit_test(several_phrasings),
        cmocka_unit_test(prompts),
        cmocka_unit_test(axes),
        cmocka_unit_test(axes_of_a_set),
    };

    return cmocka_run_group_tests(tests, setup, cts_program_teardown);
}
