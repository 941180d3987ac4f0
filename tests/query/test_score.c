/* `score` through the program: one form for supervised models, prompts and ensembles, verdicts, ensembles against a
 * calculation by hand, what CSVs say of a scan, and bad input; and the vectors of supervised models in an index. Models
 * are random and tiny.
 * SPDX-License-Identifier: MIT */
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
#include "kernels/base/file.h"
#include "kernels/base/npy.h"
#include "query/thresholds.h"
#include "tests/support/program.h"
#include "tests/support/small_model.h"

#define SCAN "set/volumes/train_000001_a_1.nii.gz"
#define OTHER "set/volumes/train_000002_a_1.nii.gz"
#define FIELDS "name probability logit calibrated threshold verdict auroc interval f1 precision recall prevalence"

static int setup(void **state)
{
    if (cts_program_setup(state))
        return -1;
    if (cts_program_run("phantom --count 6 --size 32,32,24 --seed 3 --out set --quiet") ||
        cts_program_run("train clip --quiet --size 24,32,32 --steps 2 --batch 4 --latent 32 --reports set/reports.csv "
                        "--labels set/labels.csv --volumes set/volumes --out pair")) {
        print_error("setup: %s\n", cts_program_err());
        return -1;
    }
    cts_small_model("scroll", cts_small_scroll, 11);
    cts_small_model("linear", cts_small_linear, 12);
    cts_small_model("foreign", cts_small_foreign, 13);
    cts_small_model("headless", cts_small_headless, 14);
    return 0;
}

static double number(const json_t *j, const char *path)
{
    const json_t *v = cts_json_at(j, path);

    assert_true(json_is_number(v));
    return json_number_value(v);
}

static const char *text(const json_t *j, const char *path)
{
    const json_t *v = cts_json_at(j, path);

    assert_true(json_is_string(v));
    return json_string_value(v);
}

/* The finding of that name. */
static const json_t *finding(const json_t *j, const char *name)
{
    const json_t *f;
    size_t i;

    json_array_foreach(cts_json_at(j, "findings"), i, f)
    {
        if (!strcmp(text(f, "name"), name))
            return f;
    }
    fail_msg("no finding %s", name);
    return NULL;
}

static void near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-5 * (1.0 + fabs(expected))))
        fail_msg("got %.9g, expected %.9g", got, expected);
}

static char *path_of(const char *name)
{
    char *path = cts_path_join(cts_program_dir(), name);

    assert_non_null(path);
    return path;
}

/* thresholds.json in the folder `dir` for labels of a model, by `one` for each. */
static void write_thresholds(const char *dir, const json_t *scores, void (*one)(cts_label_threshold *t, size_t i),
                             const char *made_for)
{
    const json_t *list = cts_json_at(scores, "findings"), *f;
    cts_thresholds t = {.rule = "f1-max", .n = 40, .patients = 30, .n_labels = json_array_size(list)};
    char *path = path_of(dir);
    size_t i;

    assert_non_null(t.label = calloc(t.n_labels, sizeof *t.label));
    snprintf(t.made_for, sizeof t.made_for, "%s", made_for);
    json_array_foreach(list, i, f)
    {
        t.label[i] =
            (cts_label_threshold){.threshold = number(f, "probability") * (1.0 - 1e-6), /* printed with 9 digits */
                                  .auroc = 0.75,
                                  .auroc_low = 0.5,
                                  .auroc_high = 0.875,
                                  .f1 = 0.5,
                                  .precision = 0.25,
                                  .recall = 1.0,
                                  .prevalence = 0.125,
                                  .a = 1.0};
        snprintf(t.label[i].name, sizeof t.label[i].name, "%s", text(f, "name"));
        if (one)
            one(&t.label[i], i);
    }
    assert_int_equal(cts_mkdir_p(path), CTS_OK);
    assert_int_equal(cts_thresholds_save(&t, path), CTS_OK);
    cts_thresholds_clear(&t);
    free(path);
}

static void drop_thresholds(void)
{
    assert_int_equal(cts_program_shell("rm -rf */thresholds.json pair/model/thresholds.json"), 0);
}

/* Whatever a model goes by, its answer has the same fields. */
static void test_one_form(void **state)
{
    static const char *const models[] = {"scroll", "linear", "foreign", "pair"};
    static const size_t n[] = {CTS_FINDINGS, 3, 2, CTS_FINDINGS};

    (void)state;
    for (int m = 0; m < 4; m++) {
        char line[128];
        const json_t *f;
        json_t *j;
        size_t i;

        snprintf(line, sizeof line, "score --json --model %s " SCAN, models[m]);
        j = cts_program_json_of(0, line);
        cts_json_keys(j, "volume models prompts validation findings orientation warnings");
        cts_json_keys(cts_json_at(j, "models.0"), "model kind prompts digest thresholds");
        assert_string_equal(text(j, "models.0.kind"), m < 3 ? "classifier" : "prompts");
        assert_true(json_is_null(cts_json_at(j, "prompts")) == (m < 3));
        assert_true(json_is_null(cts_json_at(j, "validation")));
        assert_int_equal(json_array_size(cts_json_at(j, "findings")), n[m]);
        json_array_foreach(cts_json_at(j, "findings"), i, f)
        {
            cts_json_keys(f, FIELDS);
            near(number(f, "probability"), 1.0 / (1.0 + exp(-number(f, "logit"))));
            assert_true(json_is_null(cts_json_at(f, "verdict")) && json_is_null(cts_json_at(f, "threshold")));
            assert_true(json_is_null(cts_json_at(f, "calibrated")) && json_is_null(cts_json_at(f, "interval")));
        }
        json_decref(j);
    }
    cts_program_runs(0, "score --model linear " SCAN);
    assert_non_null(strstr(cts_program_out(), "Pleural effusion"));
    assert_null(strstr(cts_program_out(), "present"));
    assert_null(strstr(cts_program_out(), "absent"));
}

/* Label 0 has its threshold below its probability, label 1 above it, label 2 was never seen. */
static void three_kinds(cts_label_threshold *t, size_t i)
{
    if (i == 1)
        t->threshold *= 1.0 + 2e-6;
    if (i == 2)
        t->f1 = t->prevalence = 0.0;
    t->a = 0.5;
    t->b = -1.0;
}

static void test_verdicts(void **state)
{
    json_t *j = cts_program_json_of(0, "score --json --model linear " SCAN), *k;
    const json_t *f;

    (void)state;
    write_thresholds("linear", j, three_kinds, "");
    k = cts_program_json_of(0, "score --json --model linear " SCAN);
    assert_string_equal(text(k, "findings.0.verdict"), "present");
    assert_string_equal(text(k, "findings.1.verdict"), "absent");
    assert_true(json_is_null(cts_json_at(k, "findings.2.verdict")));
    assert_true(json_is_null(cts_json_at(k, "findings.2.threshold")));
    f = cts_json_at(k, "findings.1");
    assert_true(number(f, "threshold") > number(f, "probability"));
    near(number(f, "calibrated"), 1.0 / (1.0 + exp(1.0 - 0.5 * number(f, "logit"))));
    near(number(f, "interval.0"), 0.5);
    near(number(f, "interval.1"), 0.875);
    near(number(f, "auroc"), 0.75);
    near(number(f, "precision"), 0.25);
    near(number(f, "recall"), 1.0);
    near(number(f, "f1"), 0.5);
    near(number(f, "prevalence"), 0.125);
    assert_int_equal(json_integer_value(cts_json_at(k, "validation.n")), 40);
    assert_int_equal(strlen(text(k, "models.0.thresholds")), 64);
    cts_program_runs(0, "score --model linear " SCAN);
    assert_non_null(strstr(cts_program_out(), "present"));
    assert_non_null(strstr(cts_program_out(), "absent"));
    assert_non_null(strstr(cts_program_out(), "40 validation volumes"));
    json_decref(j);
    json_decref(k);
    drop_thresholds();
}

/* Thresholds of other weights or prompts are left alone, or refused where they were asked for. */
static void test_whose_thresholds(void **state)
{
    static const char other[] = "0000000000000000000000000000000000000000000000000000000000000001";
    json_t *j = cts_program_json_of(0, "score --json --model linear " SCAN), *k;

    (void)state;
    write_thresholds("linear", j, NULL, other);
    cts_program_warns(0, "score --json --model linear " SCAN, "left alone");
    k = cts_program_json();
    assert_true(json_is_null(cts_json_at(k, "validation")));
    json_decref(k);
    drop_thresholds();
    write_thresholds("aside", j, NULL, other);
    cts_program_refuses(4, "score --model linear --thresholds aside " SCAN, "made for other weights");
    write_thresholds("aside", j, NULL, "");
    k = cts_program_json_of(0, "score --json --model linear --thresholds aside " SCAN);
    assert_string_equal(text(k, "findings.0.verdict"), "present");
    json_decref(k);
    cts_program_refuses(2, "score --model linear --thresholds nowhere " SCAN, "nowhere");
    assert_int_equal(cts_program_shell("echo '{\"format\": 3}' >linear/thresholds.json"), 0);
    cts_program_refuses(2, "score --model linear " SCAN, "thresholds.json");
    json_decref(j);
    drop_thresholds();
}

static void calibrate_linear(cts_label_threshold *t, size_t i)
{
    t->a = 0.5 + (double)i;
    t->b = 0.25 - (double)i;
}

static void calibrate_scroll(cts_label_threshold *t, size_t i)
{
    t->a = 2.0;
    t->b = 0.01 * (double)i;
}

/* Mean of a z + b over the models, label by label, from what each gives alone. */
static void test_ensemble(void **state)
{
    json_t *a = cts_program_json_of(0, "score --json --model linear " SCAN);
    json_t *b = cts_program_json_of(0, "score --json --model scroll " SCAN);
    json_t *p = cts_program_json_of(0, "score --json --model pair " SCAN), *j;
    static const char *const labels[] = {"Pleural effusion", "Emphysema", "Cardiomegaly"};

    (void)state;
    cts_program_refuses(4, "score --model linear --model scroll " SCAN, "calibration");
    j = cts_program_json_of(0, "score --json --uncalibrated --model linear --ensemble scroll -m pair " SCAN);
    assert_int_equal(json_array_size(cts_json_at(j, "models")), 3);
    assert_int_equal(json_array_size(cts_json_at(j, "findings")), 3); /* what all have, in the order of the first */
    for (int i = 0; i < 3; i++) {
        const json_t *f = json_array_get(cts_json_at(j, "findings"), (size_t)i);
        double za = number(finding(a, labels[i]), "logit"), zb = number(finding(b, labels[i]), "logit"),
               zp = number(finding(p, labels[i]), "logit");

        cts_json_keys(f, FIELDS " by_model");
        assert_string_equal(text(f, "name"), labels[i]);
        near(number(f, "logit"), (za + zb + zp) / 3.0);
        near(number(f, "by_model.0"), 1.0 / (1.0 + exp(-za)));
        near(number(f, "by_model.2"), 1.0 / (1.0 + exp(-zp)));
    }
    json_decref(j);
    write_thresholds("linear", a, calibrate_linear, "");
    cts_program_refuses(4, "score --model linear --model scroll " SCAN, "scroll: no calibration");
    write_thresholds("scroll", b, calibrate_scroll, "");
    j = cts_program_json_of(0, "score --json --model linear --model scroll " SCAN);
    for (int i = 0; i < 3; i++) {
        const json_t *f = json_array_get(cts_json_at(j, "findings"), (size_t)i);
        double za = number(finding(a, labels[i]), "logit"), zb = number(finding(b, labels[i]), "logit");
        double at = cts_finding_find(labels[i]);

        near(number(f, "logit"), ((0.5 + i) * za + 0.25 - i + 2.0 * zb + 0.01 * at) / 2.0);
        assert_true(json_is_null(cts_json_at(f, "verdict"))); /* thresholds of single models are not averaged */
    }
    write_thresholds("both", j, NULL, "");
    json_decref(j);
    j = cts_program_json_of(0, "score --json --model linear --model scroll --thresholds both " SCAN " " OTHER);
    assert_string_equal(text(j, "volumes.0.findings.0.verdict"), "present");
    json_decref(j);
    cts_program_refuses(4, "score --model linear --model foreign --uncalibrated " SCAN, "no finding in common");
    cts_program_refuses(1, "score --model linear --uncalibrated " SCAN, "--uncalibrated");
    cts_program_refuses(1, "score --model linear --model scroll --recipe dcformer-512 " SCAN, "--recipe");
    json_decref(a);
    json_decref(b);
    json_decref(p);
    drop_thresholds();
}

static void test_findings_asked_for(void **state)
{
    json_t *all = cts_program_json_of(0, "score --json --model linear " SCAN);
    json_t *j = cts_program_json_of(0, "score --json --model linear -f emphysema --finding 'PLEURAL effusion' -f "
                                       "Emphysema " SCAN);

    (void)state;
    assert_int_equal(json_array_size(cts_json_at(j, "findings")), 2);
    assert_string_equal(text(j, "findings.0.name"), "Emphysema");
    assert_true(json_equal(cts_json_at(j, "findings.0"), finding(all, "Emphysema")));
    assert_true(json_equal(cts_json_at(j, "findings.1"), finding(all, "Pleural effusion")));
    json_decref(all);
    json_decref(j);
    cts_program_refuses(4, "score --model linear --finding Atelectasis " SCAN,
                        "Pleural effusion, Emphysema, Cardiomegaly");
    cts_program_refuses(4, "score --model foreign --finding nonsense " SCAN, "Fracture, Embolism");
    cts_program_refuses(4, "score --model headless " SCAN, "neither a classifier nor a text side");
    cts_program_refuses(4, "score --model scroll --prompts ensemble " SCAN, "--prompts");
}

/* SCAN with 1024 added to every voxel. */
static void save_shifted(const char *name)
{
    char *from = path_of(SCAN), *to = path_of(name);
    cts_volume *v = NULL;

    assert_int_equal(cts_nifti_load(&v, from, 0), CTS_OK);
    assert_int_equal(v->type, CTS_VOXEL_I16);
    for (size_t i = 0; i < cts_volume_count(v); i++)
        ((int16_t *)v->voxels)[i] = (int16_t)(((int16_t *)v->voxels)[i] + 1024);
    assert_int_equal(cts_nifti_save(v, to, 0), CTS_OK);
    cts_volume_destroy(v);
    free(from);
    free(to);
}

/* --metadata says of a scan what its file does not; CT-RATE's XYSpacing stands for both axes of the plane. */
static void test_metadata(void **state)
{
    json_t *plain = cts_program_json_of(0, "score --json --model linear " SCAN), *a, *b;

    (void)state;
    a = cts_program_json_of(0, "score --json --model linear --spacing 11.25,8.75,12.5 --rescale 1,0 " SCAN);
    assert_true(json_equal(cts_json_at(plain, "findings"), cts_json_at(a, "findings"))); /* the file's own */
    json_decref(a);
    a = cts_program_json_of(0, "score --json --model linear --metadata set/metadata.csv " SCAN);
    b = cts_program_json_of(0, "score --json --model linear --spacing 11.25,11.25,12.5 --rescale 1,0 " SCAN);
    assert_true(json_equal(cts_json_at(a, "findings"), cts_json_at(b, "findings")));
    json_decref(a);
    json_decref(b);
    save_shifted("raw_000001_a_1.nii.gz"); /* voxels without the header that makes them HU */
    a = cts_program_json_of(0, "score --json --model linear --rescale 1,-1024 raw_000001_a_1.nii.gz");
    assert_true(json_equal(cts_json_at(plain, "findings"), cts_json_at(a, "findings")));
    json_decref(a);
    assert_int_equal(cts_program_shell("grep -v train_000003 set/metadata.csv >short.csv"), 0);
    cts_program_refuses(2, "score --model linear --metadata short.csv set/volumes/train_000003_a_1.nii.gz",
                        "no row names train_000003_a_1.nii.gz");
    cts_program_refuses(1, "score --model linear --spacing 1,1 " SCAN, "--spacing");
    cts_program_refuses(1, "score --model linear --rescale 0,1 " SCAN, "slope 0");
    cts_program_refuses(2, "score --model linear --metadata set/labels.csv " SCAN, "labels.csv");
    json_decref(plain);
}

/* A scan of 2 slices, stored along the last axis. */
static void save_flat(const char *name)
{
    static const int64_t dim[3] = {32, 32, 2};
    static const double mm[3] = {1, 1, 2};
    char *path = path_of(name);
    cts_volume *v = NULL;

    assert_int_equal(cts_volume_create(&v, dim, mm, CTS_VOXEL_I16), CTS_OK);
    for (int64_t i = 0; i < dim[0] * dim[1] * dim[2]; i++)
        ((int16_t *)v->voxels)[i] = (int16_t)(i % 97 - 500);
    assert_int_equal(cts_nifti_save(v, path, 0), CTS_OK);
    cts_volume_destroy(v);
    free(path);
}

static void test_few_slices(void **state)
{
    json_t *j;

    (void)state;
    assert_int_equal(cts_program_shell("mkdir -p flat && cp " SCAN " flat/"), 0);
    save_flat("flat/thin_000001_a_1.nii.gz");
    cts_program_refuses(2, "score --model scroll flat/thin_000001_a_1.nii.gz", "got 2 slices, allowed: at least 3");
    cts_program_runs(0, "score --model linear flat/thin_000001_a_1.nii.gz");
    cts_program_warns(5, "embed --model scroll --volumes flat --out f.npy --json", "got 2 slices");
    j = cts_program_json();
    assert_int_equal(json_integer_value(cts_json_at(j, "n")), 1);
    json_decref(j);
}

/* Supervised models give vectors too: of unit length, searchable by image. */
static void test_vectors(void **state)
{
    static const char *const models[] = {"scroll", "linear"};
    static const size_t dim[] = {16, 24};

    (void)state;
    for (int m = 0; m < 2; m++) {
        char line[256], *path = path_of("v.npy");
        float *rows = NULL;
        size_t n, d;
        json_t *j;

        snprintf(line, sizeof line, "embed --quiet --model %s --volumes set/volumes --out v.npy", models[m]);
        cts_program_runs(0, line);
        assert_int_equal(cts_npy_load_f32(&rows, &n, &d, path), CTS_OK);
        assert_int_equal(n, 6);
        assert_int_equal(d, dim[m]);
        for (size_t i = 0; i < n; i++) {
            double sum = 0.0;

            for (size_t k = 0; k < d; k++)
                sum += (double)rows[i * d + k] * rows[i * d + k];
            near(sum, 1.0);
        }
        snprintf(line, sizeof line,
                 "index create ix%d --quiet --model %s --volumes set/volumes --labels set/labels.csv --json", m,
                 models[m]);
        j = cts_program_json_of(0, line);
        assert_int_equal(json_integer_value(cts_json_at(j, "items")), 6);
        json_decref(j);
        snprintf(line, sizeof line, "query --index ix%d --image " OTHER " --json", m);
        j = cts_program_json_of(0, line); /* no text vectors: scans are searched */
        assert_string_equal(text(j, "target"), "image");
        assert_string_equal(text(j, "hits.0.id"), "train_000002_a_1");
        json_decref(j);
        snprintf(line, sizeof line, "query --index ix%d --image " OTHER " --spacing 11.25,8.75,12.5 --json", m);
        j = cts_program_json_of(0, line);
        assert_true(number(j, "hits.0.score") > 0.9999);
        json_decref(j);
        snprintf(line, sizeof line, "query --index ix%d --text effusion", m);
        cts_program_refuses(4, line, "text");
        snprintf(line, sizeof line, "score --index ix%d --json " SCAN, m);
        j = cts_program_json_of(0, line);
        assert_string_equal(text(j, "models.0.kind"), "classifier");
        json_decref(j);
        free(rows);
        free(path);
    }
    cts_program_refuses(1, "query --index ix0 --like train_000002_a_1 --metadata set/metadata.csv", "with --image");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_form),           cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_whose_thresholds),   cmocka_unit_test(test_ensemble),
        cmocka_unit_test(test_findings_asked_for), cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_few_slices),         cmocka_unit_test(test_vectors),
    };

    return cmocka_run_group_tests(tests, setup, cts_program_teardown);
}
