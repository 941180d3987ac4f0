/* `eval` of supervised models, of several together, and of scores and thresholds that it kept: figures against the
 * metrics library, ensembles against a calculation by hand, what a command line says otherwise than the model, and bad
 * input. Models are random and tiny.
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

#include "data/ct_rate.h"
#include "kernels/base/file.h"
#include "kernels/base/npy.h"
#include "query/metrics/classify.h"
#include "query/thresholds.h"
#include "tests/support/program.h"
#include "tests/support/small_model.h"

#define N 16
#define M CTS_FINDINGS
#define DATA " --quiet --labels set/labels.csv --volumes set/volumes "
#define FEW " --bootstrap 20 "

static int setup(void **state)
{
    if (cts_program_setup(state))
        return -1;
    if (cts_program_run("phantom --count 16 --size 32,32,24 --seed 5 --out set --quiet") ||
        cts_program_run("phantom --count 10 --size 32,32,24 --seed 6 --prefix valid --out val --quiet") ||
        cts_program_run("train clip --quiet --size 24,32,32 --steps 2 --batch 4 --latent 32 --reports set/reports.csv "
                        "--labels set/labels.csv --volumes set/volumes --out pair")) {
        print_error("setup: %s\n", cts_program_err());
        return -1;
    }
    cts_small_model("scroll", cts_small_scroll, 21);
    cts_small_model("linear", cts_small_linear, 22);
    cts_small_model("foreign", cts_small_foreign, 23);
    return 0;
}

static char *path_of(const char *name)
{
    char *path = cts_path_join(cts_program_dir(), name);

    assert_non_null(path);
    return path;
}

static void near(double got, double expected, const char *what)
{
    if (!(fabs(got - expected) <= 2e-6 * (1.0 + fabs(expected))))
        fail_msg("%s: got %.9g, expected %.9g", what, got, expected);
}

/* A figure of the result; finding NULL = of the whole set. NaN for null. */
static double figure(const json_t *j, const char *metric, const char *finding)
{
    const json_t *v;
    size_t i;

    json_array_foreach(cts_json_at(j, "values"), i, v)
    {
        const char *name = json_string_value(json_object_get(v, "finding"));

        if (!strcmp(json_string_value(json_object_get(v, "metric")), metric) &&
            (finding ? name && !strcmp(name, finding) : !name))
            return json_is_null(json_object_get(v, "value")) ? NAN : json_number_value(json_object_get(v, "value"));
    }
    fail_msg("no figure %s of %s", metric, finding ? finding : "the set");
    return NAN;
}

static bool has_figure(const json_t *j, const char *metric)
{
    const json_t *v;
    size_t i;

    json_array_foreach(cts_json_at(j, "values"), i, v)
    {
        if (!strcmp(json_string_value(json_object_get(v, "metric")), metric))
            return true;
    }
    return false;
}

static float *rows_of(const char *name, size_t n, size_t d)
{
    char *path = path_of(name);
    float *rows = NULL;
    size_t got_n, got_d;

    assert_int_equal(cts_npy_load_f32(&rows, &got_n, &got_d, path), CTS_OK);
    assert_int_equal(got_n, n);
    assert_int_equal(got_d, d);
    free(path);
    return rows;
}

/* Labels of set/, in the order of its CSV. */
static uint8_t *labels_of_set(void)
{
    char *csv = path_of("set/labels.csv");
    cts_dataset_paths paths = {.labels = csv};
    uint8_t *labels = malloc(N * M);
    cts_dataset *d;

    assert_non_null(labels);
    assert_int_equal(cts_dataset_load(&d, &paths), CTS_OK);
    assert_int_equal(d->n, N);
    for (size_t i = 0; i < N; i++)
        memcpy(labels + i * M, d->records[i].labels, M);
    cts_dataset_destroy(d);
    free(csv);
    return labels;
}

static void drop_thresholds(void)
{
    assert_int_equal(cts_program_shell("rm -rf */thresholds.json pair/model/thresholds.json"), 0);
}

/* What does not depend on where the scores came from. */
static bool same_figures(const json_t *a, const json_t *b)
{
    return json_equal(cts_json_at(a, "values"), cts_json_at(b, "values")) &&
           json_equal(cts_json_at(a, "findings"), cts_json_at(b, "findings")) &&
           json_equal(cts_json_at(a, "labels"), cts_json_at(b, "labels"));
}

/* The figures are those of the kept logits, which are those of `score`; kept scores give the same figures again. */
static void test_supervised(void **state)
{
    json_t *j = cts_program_json_of(0, "eval classify --json --model scroll --save-scores s.npy" FEW DATA), *k;
    float *logit = rows_of("s.npy", N, M), p[N * M];
    uint8_t *label = labels_of_set();
    double auroc[M];
    size_t positives[M], defined;

    (void)state;
    for (size_t i = 0; i < N * M; i++)
        p[i] = (float)cts_probability((double)logit[i]);
    assert_int_equal(cts_auroc_table(p, label, N, M, auroc, positives), CTS_OK);
    for (int f = 0; f < M; f++) {
        double got = figure(j, "auroc", cts_findings[f].name);

        assert_true(isnan(auroc[f]) == isnan(got));
        if (!isnan(got))
            near(got, auroc[f], cts_findings[f].name);
    }
    near(figure(j, "auroc", NULL), cts_mean_defined(auroc, M, &defined), "macro");
    assert_string_equal(json_string_value(cts_json_at(j, "labels")), "ct-rate-18");
    assert_int_equal(json_integer_value(cts_json_at(j, "n")), N);
    assert_true(has_figure(j, "f1_wml@0.5") && has_figure(j, "f1_w2@roc") && !has_figure(j, "f1_bin@val"));
    assert_string_equal(json_string_value(cts_json_at(j, "inputs.1.what")), "model");

    k = cts_program_json_of(0, "score --json --model scroll set/volumes/train_000002_a_1.nii.gz");
    near(json_number_value(cts_json_at(k, "findings.7.logit")), (double)logit[1 * M + 7], "logit of score");
    json_decref(k);
    k = cts_program_json_of(0, "eval classify --json --scores s.npy --quiet --labels set/labels.csv" FEW);
    assert_true(same_figures(j, k));
    json_decref(k);
    cts_program_runs(0, "eval classify --model scroll --html s.html" FEW DATA);
    assert_non_null(strstr(cts_program_out(), "accuracy@roc"));
    json_decref(j);
    free(logit);
    free(label);
}

/* Thresholds fitted on the very data give the figures that validation data equal to them give. */
static void test_thresholds(void **state)
{
    cts_thresholds t = {0};
    char *dir = path_of("scroll");
    json_t *stored, *fitted;

    (void)state;
    cts_program_runs(0, "eval classify --model scroll --save-scores s.npy --save-thresholds scroll" FEW DATA);
    assert_int_equal(cts_thresholds_load(&t, dir), CTS_OK);
    assert_int_equal(t.n, N);
    assert_int_equal(t.n_labels, M);
    assert_int_equal(strlen(t.made_for), 64);
    stored = cts_program_json_of(0, "eval classify --json --model scroll" FEW DATA);
    fitted = cts_program_json_of(0, "eval classify --json --scores s.npy --quiet --labels set/labels.csv --val-scores "
                                    "s.npy --val-labels set/labels.csv" FEW);
    assert_int_equal(json_integer_value(cts_json_at(stored, "n_validation")), N);
    for (int f = 0; f < M; f++) {
        static const char *const metrics[] = {"f1_bin@val", "accuracy@val", "precision@val", "recall@val"};
        const char *name = cts_findings[f].name;

        for (int m = 0; m < 4; m++)
            near(figure(stored, metrics[m], name), figure(fitted, metrics[m], name), name);
        near(figure(stored, "f1_bin@val", name), t.label[f].f1, name);
        near(figure(stored, "precision@val", name), t.label[f].precision, name);
        near(figure(stored, "recall@val", name), t.label[f].recall, name);
    }
    near(figure(stored, "f1_bin@val", NULL), figure(fitted, "f1_bin@val", NULL), "macro F1");
    near(figure(stored, "accuracy@val", NULL), figure(fitted, "accuracy@val", NULL), "macro accuracy");
    json_decref(stored);
    json_decref(fitted);
    stored = cts_program_json_of(0, "eval classify --json --model scroll --protocol zeroshot/ct-scroll" FEW DATA);
    assert_true(has_figure(stored, "f1_bin@val") && !has_figure(stored, "f1_w2@roc"));
    json_decref(stored);

    /* validation scans through the same model, and thresholds from them */
    stored = cts_program_json_of(0, "eval classify --json --model scroll --val-volumes val/volumes --val-labels "
                                    "val/labels.csv --save-thresholds aside" FEW DATA);
    assert_int_equal(json_integer_value(cts_json_at(stored, "n_validation")), 10);
    json_decref(stored);
    fitted = cts_program_json_of(0, "eval classify --json --model scroll --thresholds aside" FEW DATA);
    assert_int_equal(json_integer_value(cts_json_at(fitted, "n_validation")), 10);
    json_decref(fitted);
    assert_int_equal(cts_program_shell("sed 's/-1000/-900/' scroll/preprocess.json >other.json"), 0);
    cts_program_refuses(4, "eval classify --model scroll --thresholds aside --recipe ./other.json" FEW DATA,
                        "made for other weights");
    drop_thresholds();
    cts_program_refuses(1, "eval classify --model scroll --protocol zeroshot/ct-scroll" FEW DATA, "validation data");
    cts_thresholds_clear(&t);
    free(dir);
}

/* A model of its own labels: some of the 18, or none of them. */
static void test_own_labels(void **state)
{
    json_t *j = cts_program_json_of(0, "eval classify --json --model linear --save-scores few.npy" FEW DATA), *k;
    float *few = rows_of("few.npy", N, 3);

    (void)state;
    assert_string_equal(json_string_value(cts_json_at(j, "labels")), "own");
    assert_int_equal(json_array_size(cts_json_at(j, "findings")), 3);
    assert_string_equal(json_string_value(cts_json_at(j, "findings.0.name")), "Pleural effusion");
    k = cts_program_json_of(0, "eval classify --json --quiet --scores few.npy --labels set/labels.csv" FEW);
    assert_true(same_figures(j, k));
    json_decref(j);
    json_decref(k);
    cts_program_refuses(2, "eval classify --model foreign" FEW DATA, "Fracture");
    assert_int_equal(cts_program_shell("awk -F, 'NR == 1 {print \"VolumeName,Embolism,Fracture\"} NR > 1 {print $1 "
                                       "\",\" (NR %% 2) \",\" (NR %% 3 == 0)}' set/labels.csv >own.csv"),
                     0);
    j = cts_program_json_of(0, "eval classify --json --quiet --model foreign --labels own.csv --volumes "
                               "set/volumes" FEW);
    assert_int_equal(json_array_size(cts_json_at(j, "findings")), 2);
    assert_string_equal(json_string_value(cts_json_at(j, "findings.1.name")), "Embolism");
    assert_int_equal(json_integer_value(cts_json_at(j, "findings.1.positives")), N / 2);
    json_decref(j);
    cts_program_refuses(4, "eval classify --model linear --protocol radchest/hlip-15" FEW DATA, "has 3 labels");
    cts_program_refuses(4,
                        "eval classify --quiet --scores few.npy --labels set/labels.csv --val-scores s.npy "
                        "--val-labels set/labels.csv",
                        "validation data: got 18 labels");
    assert_int_equal(cts_program_shell("sed 's/,0,/,maybe,/' own.csv >bad.csv"), 0);
    cts_program_refuses(2, "eval classify --quiet --model foreign --labels bad.csv --volumes set/volumes", "maybe");
    free(few);
}

/* The mean of calibrated logits, from what each model gave alone and from the files; and its own thresholds. */
static void test_ensemble(void **state)
{
    static const int place[3] = {12, 7, 2}; /* of the linear model's labels among the 18 */
    cts_thresholds a = {0}, b = {0};
    char *dir_a = path_of("linear"), *dir_b = path_of("pair/model");
    float *za, *zb, *both;
    json_t *j;

    (void)state;
    cts_program_runs(0, "eval classify --model linear --save-scores a.npy --save-thresholds linear" FEW DATA);
    cts_program_refuses(4, "eval classify --model linear --model pair" FEW DATA, "no calibration");
    cts_program_runs(0, "eval zeroshot --model pair --save-scores b.npy --save-thresholds pair" FEW DATA);
    assert_int_equal(cts_thresholds_load(&a, dir_a), CTS_OK);
    assert_int_equal(cts_thresholds_load(&b, dir_b), CTS_OK);
    j = cts_program_json_of(0, "eval classify --json --model linear --model pair --save-scores both.npy "
                               "--save-thresholds both" FEW DATA);
    assert_false(has_figure(j, "f1_bin@val")); /* single models' thresholds are not those of the two */
    json_decref(j);
    za = rows_of("a.npy", N, 3);
    zb = rows_of("b.npy", N, M);
    both = rows_of("both.npy", N, 3);
    for (int i = 0; i < N; i++)
        for (int l = 0; l < 3; l++) {
            const cts_label_threshold *ta = &a.label[l], *tb = &b.label[place[l]];

            assert_string_equal(ta->name, tb->name);
            near((double)both[i * 3 + l],
                 (ta->a * (double)za[i * 3 + l] + ta->b + tb->a * (double)zb[i * M + place[l]] + tb->b) / 2.0,
                 ta->name);
        }
    j = cts_program_json_of(0, "eval classify --json --model linear --model pair --thresholds both" FEW DATA);
    assert_int_equal(json_integer_value(cts_json_at(j, "n_validation")), N);
    json_decref(j);
    j = cts_program_json_of(0, "score --json --model linear --model pair --thresholds both "
                               "set/volumes/train_000001_a_1.nii.gz");
    near(json_number_value(cts_json_at(j, "findings.1.logit")), (double)both[1], "score of the ensemble");
    assert_int_equal(json_integer_value(cts_json_at(j, "validation.n")), N);
    json_decref(j);
    cts_program_refuses(4, "score --model pair --model linear --thresholds both set/volumes/train_000001_a_1.nii.gz",
                        "made for other weights");
    cts_program_runs(0, "eval classify --model linear --model scroll --uncalibrated" FEW DATA);
    cts_program_refuses(1, "eval zeroshot --model pair --model linear" FEW DATA, "--model");
    cts_program_refuses(1, "eval classify --index ix --model pair --model linear", "several for scans");
    free(za);
    free(zb);
    free(both);
    free(dir_a);
    free(dir_b);
    cts_thresholds_clear(&a);
    cts_thresholds_clear(&b);
    drop_thresholds();
}

/* A pair's thresholds hold for the prompts they were fitted with. */
static void test_prompts(void **state)
{
    json_t *j;

    (void)state;
    cts_program_runs(0, "eval zeroshot --model pair --save-thresholds pair" FEW DATA);
    j = cts_program_json_of(0, "eval zeroshot --json --model pair" FEW DATA);
    assert_true(has_figure(j, "f1_bin@val"));
    json_decref(j);
    j = cts_program_json_of(0, "score --json --model pair set/volumes/train_000001_a_1.nii.gz");
    assert_int_equal(json_integer_value(cts_json_at(j, "validation.n")), N);
    json_decref(j);
    cts_program_warns(0, "score --model pair --prompts ensemble set/volumes/train_000001_a_1.nii.gz", "left alone");
    cts_program_warns(0, "eval zeroshot --model pair --prompts ensemble" FEW DATA, "left alone");
    j = cts_program_json_of(0, "eval classify --json --model pair" FEW DATA); /* the same scores by the other way */
    assert_true(has_figure(j, "f1_bin@val"));
    json_decref(j);
    drop_thresholds();
    cts_program_refuses(1,
                        "eval classify --quiet --scores s.npy --labels set/labels.csv --protocol radchest/hlip-15 "
                        "--save-thresholds x",
                        "--save-thresholds");
}

/* --recipe and --report-text in eval: said in the result. */
static void test_overrides(void **state)
{
    const char *const verbs[] = {"eval recall --json --model pair --reports set/reports.csv --report-text ctclip_infer",
                                 "eval zeroshot --json --model pair", "eval classify --json --model scroll",
                                 "eval map --json --model pair"};

    (void)state;
    assert_int_equal(cts_program_shell("sed 's/-1000/-900/' scroll/preprocess.json >other.json && "
                                       "! cmp -s other.json scroll/preprocess.json"),
                     0);
    for (int v = 0; v < 4; v++) {
        char line[512];
        const json_t *w;
        bool found = false;
        json_t *j;
        size_t i;

        snprintf(line, sizeof line, "%s --recipe ./other.json%s" FEW DATA, verbs[v], v == 0 || v == 3 ? " -k 1" : "");
        j = cts_program_json_of(0, line);
        json_array_foreach(cts_json_at(j, "warnings"), i, w)
        {
            found = found || strstr(json_string_value(w), "volumes are prepared with");
        }
        assert_true(found);
        json_decref(j);
    }
    cts_program_refuses(1, "eval classify --scores s.npy --labels set/labels.csv --recipe ./other.json", "--recipe");
    cts_program_refuses(1, "eval recall --model pair --report-text nonsense --reports set/reports.csv" DATA,
                        "--report-text");
    cts_program_refuses(3, "eval classify --model scroll --recipe ./nowhere.json" DATA, "nowhere.json");
}

/* Rows without labels are not scored, damaged scans are counted. */
static void test_left_out(void **state)
{
    json_t *j;

    (void)state;
    assert_int_equal(cts_program_shell("mkdir -p bad && cp -r set/volumes bad/ && head -c 300 "
                                       "set/volumes/train_000002_a_1.nii.gz >bad/volumes/train_000002_a_1.nii.gz && "
                                       "head -n 11 set/labels.csv >short.csv"),
                     0);
    j = cts_program_json_of(5, "eval classify --json --quiet --model linear --model scroll --uncalibrated --labels "
                               "short.csv --volumes bad/volumes" FEW);
    assert_int_equal(json_integer_value(cts_json_at(j, "n")), 9);
    assert_int_equal(json_integer_value(cts_json_at(j, "skipped")), 1);
    json_decref(j);
    cts_program_refuses(1, "eval classify --model scroll --volumes set/volumes", "--labels");
    cts_program_refuses(1, "eval classify --model scroll --val-volumes val/volumes" DATA, "--val-labels");
    cts_program_refuses(1, "eval classify --model scroll --val-index ix" DATA, "--val-index");
    cts_program_refuses(1, "eval classify --model scroll --save-scores x.csv" DATA, ".npy");
    cts_program_refuses(1, "eval classify --model scroll --uncalibrated" DATA, "--uncalibrated");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_supervised), cmocka_unit_test(test_thresholds), cmocka_unit_test(test_own_labels),
        cmocka_unit_test(test_ensemble),   cmocka_unit_test(test_prompts),    cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_left_out),
    };

    return cmocka_run_group_tests(tests, setup, cts_program_teardown);
}
