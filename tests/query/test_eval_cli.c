/* `ctsearch eval` on other people's numbers: .npy files written here, the JSON against the metrics of the library and
 * plain loops, and what bad input does.
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

#include "data/csv.h"
#include "data/findings.h"
#include "kernels/base/file.h"
#include "kernels/base/npy.h"
#include "kernels/base/rng.h"
#include "query/metrics/classify.h"
#include "query/metrics/map.h"
#include "tests/support/program.h"

#define N 40
#define D 8
#define M CTS_FINDINGS
#define SEED 20251122
#define ONE_CLASS 3 /* no volume has this finding */
#define TURNED 8    /* its scores are turned round */

static float image[N * D], text[N * D], prompt[2 * M * D], score[N * M], val_score[N * M];
static uint8_t label[N * M], val_label[N * M];

/* Both are undefined or within what nine printed digits allow. */
static void near(const json_t *got, double expected, const char *what)
{
    if (isnan(expected) ? !json_is_null(got) : !(fabs(json_number_value(got) - expected) <= 1e-8 * fmax(1.0, expected)))
        fail_msg("%s: got %.12g, expected %.12g", what, json_is_null(got) ? NAN : json_number_value(got), expected);
}

/* The figure in values of that metric and finding (NULL = of all). */
static const json_t *figure(const json_t *j, const char *metric, const char *finding)
{
    const json_t *v;
    size_t i;

    json_array_foreach(cts_json_at(j, "values"), i, v)
    {
        const char *of = json_string_value(json_object_get(v, "finding"));

        if (!strcmp(json_string_value(json_object_get(v, "metric")), metric) &&
            (finding ? of && !strcmp(of, finding) : !of))
            return v;
    }
    fail_msg("no figure %s of %s", metric, finding ? finding : "all");
    return NULL;
}

static const json_t *value_of(const json_t *j, const char *metric, const char *finding)
{
    return json_object_get(figure(j, metric, finding), "value");
}

/* ---- data ---- */

static void save_labels(const char *name, const uint8_t *l, size_t n, const char *prefix)
{
    cts_str s = {0};
    char *path = cts_path_join(cts_program_dir(), name);

    cts_str_append(&s, "VolumeName");
    for (int f = 0; f < M; f++)
        cts_str_printf(&s, ",%s", cts_findings[f].name);
    cts_str_append(&s, "\n");
    for (size_t i = 0; i < n; i++) { /* two reconstructions a scan, two scans a patient */
        cts_str_printf(&s, "%s_%zu_%c_%zu.nii.gz", prefix, i / 4, (int)('a' + i / 2 % 2), i % 2 + 1);
        for (int f = 0; f < M; f++)
            cts_str_printf(&s, ",%d", l[i * M + (size_t)f]);
        cts_str_append(&s, "\n");
    }
    assert_int_equal(cts_file_write_atomic(path, cts_str_text(&s), s.n), CTS_OK);
    cts_str_free(&s);
    free(path);
}

static void save(const char *name, const float *rows, size_t n, size_t d)
{
    char *path = cts_path_join(cts_program_dir(), name);

    assert_int_equal(cts_npy_save_f32(path, rows, n, d), CTS_OK);
    free(path);
}

static void unit_rows(float *v, size_t n, size_t d)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0.0;

        for (size_t k = 0; k < d; k++)
            sum += (double)v[i * d + k] * v[i * d + k];
        for (size_t k = 0; k < d; k++)
            v[i * d + k] = (float)(v[i * d + k] / sqrt(sum));
    }
}

static int setup(void **state)
{
    cts_rng r = cts_rng_make(SEED);

    printf("seed %d\n", SEED);
    if (cts_program_setup(state))
        return -1;
    for (int i = 0; i < N; i++) /* labels of a scan are those of both its reconstructions */
        for (int f = 0; f < M; f++) {
            label[i * M + f] = i % 2 ? label[(i - 1) * M + f] : f != ONE_CLASS && cts_rng_unit(&r) < 0.2 + 0.02 * f;
            val_label[i * M + f] = cts_rng_unit(&r) < 0.4;
            score[i * M + f] = (float)floor(32.0 * (0.5 * cts_rng_unit(&r) +
                                                    0.5 * (f == TURNED ? 1 - label[i * M + f] : label[i * M + f]) *
                                                        cts_rng_unit(&r))) /
                               32.0f;
            val_score[i * M + f] = (float)(0.6 * cts_rng_unit(&r) + 0.4 * val_label[i * M + f] * cts_rng_unit(&r));
        }
    for (int i = 0; i < N * D; i++)
        image[i] = (float)cts_rng_normal(&r);
    for (int i = 0; i < N; i++)
        for (int d = 0; d < D; d++)
            text[i * D + d] = image[(i - i % 2) * D + d] + 0.7f * image[i * D + (d + 1) % D];
    for (int i = 0; i < 2 * M * D; i++)
        prompt[i] = (float)cts_rng_normal(&r);
    unit_rows(image, N, D);
    unit_rows(text, N, D);
    unit_rows(prompt, 2 * M, D);
    save("i.npy", image, N, D);
    save("t.npy", text, N, D);
    save("p.npy", prompt, 2 * M, D);
    save("s.npy", score, N, M);
    save("vs.npy", val_score, N, M);
    save_labels("l.csv", label, N, "test");
    save_labels("vl.csv", val_label, N, "val");
    return 0;
}

/* ---- classification ---- */

static void column(const float *table, const uint8_t *labels, int f, float *s, uint8_t *l)
{
    for (int i = 0; i < N; i++) {
        s[i] = table[i * M + f];
        l[i] = labels[i * M + f];
    }
}

/* The three families from the library's parts, against the program's JSON. */
static void check_families(const json_t *j)
{
    double auroc[M], f1[3][M], value[M];
    cts_threshold t[3][M];
    cts_counts c[3][M];
    uint8_t prediction[N * M], l[N];
    float s[N];

    assert_int_equal(cts_auroc_table(score, label, N, M, auroc, NULL), CTS_OK);
    for (int f = 0; f < M; f++) {
        double best;
        int grid;

        t[0][f] = cts_threshold_half();
        column(score, label, f, s, l);
        assert_int_equal(cts_threshold_roc_corner(s, l, N, &t[1][f], &grid), CTS_OK);
        column(val_score, val_label, f, s, l);
        assert_int_equal(cts_threshold_f1_max(s, l, N, &t[2][f], &best), CTS_OK);
        near(value_of(j, "auroc", cts_findings[f].name), auroc[f], "auroc");
    }
    for (int k = 0; k < 3; k++) {
        cts_predict(score, N, M, t[k], prediction);
        cts_count_cells(prediction, label, N, M, NULL, c[k]);
        for (int f = 0; f < M; f++)
            f1[k][f] = isnan(t[k][f].value) ? NAN : k == 1 ? cts_f1_two_class(c[k][f]) : cts_f1_binary(c[k][f]);
    }
    for (int f = 0; f < M; f++) {
        near(value_of(j, "f1@0.5", cts_findings[f].name), f1[0][f], "f1@0.5");
        near(value_of(j, "f1_w2@roc", cts_findings[f].name), f1[1][f], "f1_w2@roc");
        near(value_of(j, "f1_bin@val", cts_findings[f].name), f1[2][f], "f1_bin@val");
        value[f] = isnan(t[1][f].value) ? NAN : cts_precision(c[1][f]);
    }
    near(value_of(j, "auroc", NULL), cts_mean_defined(auroc, M, NULL), "macro auroc");
    near(value_of(j, "f1_wml@0.5", NULL), cts_f1_multilabel_weighted(c[0], M), "f1_wml@0.5");
    near(value_of(j, "accuracy_cells@0.5", NULL), cts_accuracy(cts_counts_sum(c[0], M)), "accuracy_cells@0.5");
    near(value_of(j, "precision_micro@0.5", NULL), cts_precision(cts_counts_sum(c[0], M)), "precision_micro@0.5");
    near(value_of(j, "recall_micro@0.5", NULL), cts_recall(cts_counts_sum(c[0], M)), "recall_micro@0.5");
    near(value_of(j, "f1_w2@roc", NULL), cts_mean_defined(f1[1], M, NULL), "f1_w2@roc");
    near(value_of(j, "precision@roc", NULL), cts_mean_defined(value, M, NULL), "precision@roc");
    near(value_of(j, "f1_bin@val", NULL), cts_mean_defined(f1[2], M, NULL), "f1_bin@val");
    near(value_of(j, "f1_bin_weighted@val", NULL), cts_f1_multilabel_weighted(c[2], M), "f1_bin_weighted@val");
}

static void test_classify(void **state)
{
    json_t *j = cts_program_json_of(
        0, "eval classify --scores s.npy --labels l.csv --val-scores vs.npy --val-labels vl.csv --json "
           "--csv f.csv --html f.html --bootstrap 100 --seed 7");
    const json_t *row, *v;
    cts_csv *csv;
    char *path;
    size_t i;

    (void)state;
    check_families(j);
    assert_true(json_is_null(cts_json_at(j, "findings.3.auroc"))); /* one class */
    assert_int_equal(json_integer_value(cts_json_at(j, "findings.3.positives")), 0);
    assert_string_equal(json_string_value(cts_json_at(j, "pool")), "all");
    assert_true(json_is_null(cts_json_at(j, "protocol_name")));
    assert_int_equal(json_integer_value(cts_json_at(j, "n_validation")), N);
    assert_int_equal(json_integer_value(cts_json_at(j, "bootstrap.resamples")), 100);
    assert_int_equal(json_integer_value(cts_json_at(j, "bootstrap.seed")), 7);
    assert_int_equal(json_integer_value(cts_json_at(j, "bootstrap.patients")), N / 4);
    assert_int_equal(json_array_size(cts_json_at(j, "inputs")), 4);
    /* below chance: said on standard error, in the JSON, with the interval */
    assert_non_null(strstr(cts_program_err(), "Atelectasis: AUROC"));
    assert_true(json_array_size(cts_json_at(j, "warnings")) >= 1);
    json_array_foreach(cts_json_at(j, "values"), i, row)
    {
        v = json_object_get(row, "value");
        if (json_is_null(v))
            continue;
        assert_true(json_is_array(json_object_get(row, "interval")));
        assert_true(json_number_value(json_array_get(json_object_get(row, "interval"), 0)) <=
                    json_number_value(json_array_get(json_object_get(row, "interval"), 1)));
    }
    path = cts_path_join(cts_program_dir(), "f.csv");
    assert_int_equal(cts_csv_load(&csv, path), CTS_OK);
    free(path);
    assert_int_equal(cts_csv_rows(csv), json_array_size(cts_json_at(j, "values")));
    assert_string_equal(cts_csv_header(csv, 0), "protocol");
    for (i = 0; i < cts_csv_rows(csv); i++) {
        row = json_array_get(cts_json_at(j, "values"), i);
        assert_string_equal(cts_csv_cell(csv, i, 1), json_string_value(json_object_get(row, "metric")));
        if (json_is_null(json_object_get(row, "value")))
            assert_string_equal(cts_csv_cell(csv, i, 3), "");
        else
            near(json_object_get(row, "value"), strtod(cts_csv_cell(csv, i, 3), NULL), "CSV");
    }
    cts_csv_destroy(csv);
    json_decref(j);
    assert_int_equal(cts_program_shell("grep -q '</html>' f.html"), 0);
}

/* The same seed gives the same bytes whatever the threads, another seed other intervals but the same values. */
static void test_seeds(void **state)
{
    json_t *a =
        cts_program_json_of(0, "eval classify --scores s.npy --labels l.csv --json --quiet --threads 1 --bootstrap 60");
    json_t *b =
        cts_program_json_of(0, "eval classify --scores s.npy --labels l.csv --json --quiet --threads 2 --bootstrap 60");
    json_t *c =
        cts_program_json_of(0, "eval classify --scores s.npy --labels l.csv --json --quiet --seed 2 --bootstrap 60");

    (void)state;
    json_object_del(a, "seconds");
    json_object_del(b, "seconds");
    assert_true(json_equal(a, b));
    assert_false(json_equal(figure(a, "auroc", NULL), figure(c, "auroc", NULL)));
    assert_true(json_equal(value_of(a, "auroc", NULL), value_of(c, "auroc", NULL)));
    json_decref(a);
    json_decref(b);
    json_decref(c);
}

static void test_zeroshot(void **state)
{
    json_t *j = cts_program_json_of(
        0, "eval zeroshot --images i.npy --prompts-npy p.npy --labels l.csv --scale 3 --json --bootstrap 0");
    double auroc;
    uint8_t l[N];
    float p[N];

    (void)state;
    for (int f = 0; f < M; f++) {
        for (int i = 0; i < N; i++) {
            double margin = 0.0;

            for (int d = 0; d < D; d++)
                margin += (double)image[i * D + d] * prompt[2 * f * D + d] -
                          (double)image[i * D + d] * prompt[(2 * f + 1) * D + d];
            p[i] = (float)(1.0 / (1.0 + exp(-3.0 * margin)));
            l[i] = label[i * M + f];
        }
        assert_int_equal(cts_auroc(p, l, N, &auroc, NULL), CTS_OK);
        near(value_of(j, "auroc", cts_findings[f].name), auroc, cts_findings[f].name);
    }
    assert_true(json_is_null(json_object_get(figure(j, "auroc", NULL), "interval")));
    json_decref(j);
}

/* ---- recall ---- */

static double dot(const float *a, const float *b)
{
    double sum = 0.0;

    for (int d = 0; d < D; d++)
        sum += (double)a[d] * b[d];
    return sum;
}

/* Rank of row i's partner by plain loops; scans: the best of the scan's two rows. */
static int64_t plain_rank(const float *query, const float *candidate, int i, bool scans)
{
    int64_t best = N;

    for (int want = scans ? i - i % 2 : i; want <= (scans ? i - i % 2 + 1 : i); want++) {
        double own = dot(query + i * D, candidate + want * D);
        int64_t rank = 0;

        for (int c = 0; c < N; c++) {
            double s = dot(query + i * D, candidate + c * D);

            rank += c != want && s > own; /* the vectors are random: no two scores are equal */
        }
        best = rank < best ? rank : best;
    }
    return best;
}

static void test_recall(void **state)
{
    static const int64_t ks[] = {1, 5, 10, 30};
    json_t *j = cts_program_json_of(
        0, "eval recall --images i.npy --texts t.npy --names l.csv -k 1,5,10,30 --json --bootstrap 50");

    (void)state;
    for (int scans = 0; scans < 2; scans++)
        for (int way = 0; way < 2; way++)
            for (int k = 0; k < 4; k++) {
                int hits = 0;
                char metric[32];

                for (int i = 0; i < N; i++)
                    hits += plain_rank(way ? image : text, way ? text : image, i, scans) < ks[k];
                snprintf(metric, sizeof metric, "%s%s_r@%d", way ? "i2t" : "t2i", scans ? "_scan" : "", (int)ks[k]);
                near(value_of(j, metric, NULL), (double)hits / N, metric);
            }
    near(json_object_get(cts_json_at(j, "chance"), "r@5"), 5.0 / N, "chance");
    near(json_object_get(cts_json_at(j, "oracle"), "r@1"), 0.5, "oracle: a report of two reconstructions");
    near(json_object_get(cts_json_at(j, "oracle"), "r@5"), 1.0, "oracle");
    assert_true(json_equal(json_object_get(cts_json_at(j, "t2i"), "r@10"), value_of(j, "t2i_r@10", NULL)));
    assert_int_equal(json_integer_value(cts_json_at(j, "scans")), N / 2);
    json_decref(j);

    /* k beyond the pool: undefined by default, refused when it was asked for */
    j = cts_program_json_of(0, "eval recall --images i.npy --texts t.npy --names l.csv --json --bootstrap 0");
    assert_true(json_is_null(json_object_get(cts_json_at(j, "t2i"), "r@50")));
    json_decref(j);
    cts_program_refuses(2, "eval recall --images i.npy --texts t.npy --names l.csv -k 5,41",
                        "-k: got 41, allowed: at most the 40");
}

static void test_pools(void **state)
{
    json_t *j =
        cts_program_json_of(0, "eval recall --images i.npy --texts t.npy --names l.csv --protocol recall/scan --json "
                               "--bootstrap 0");

    (void)state;
    assert_int_equal(json_integer_value(cts_json_at(j, "n")), N / 2);
    assert_string_equal(json_string_value(cts_json_at(j, "protocol_name")), "recall/scan");
    assert_string_equal(json_string_value(cts_json_at(j, "pool")), "scan-1564");
    assert_non_null(strstr(cts_program_err(), "20 volumes here, 1564 on the validation part"));
    assert_true(json_array_size(cts_json_at(j, "remarks")) >= 1);
    json_decref(j);
    j = cts_program_json_of(
        0, "eval recall --images i.npy --texts t.npy --names l.csv --protocol recall/ct-clip --pool spectre-1 "
           "--json --bootstrap 0");
    assert_int_equal(json_integer_value(cts_json_at(j, "n")), N / 2);
    assert_true(json_is_null(json_object_get(cts_json_at(j, "t2i"), "r@100")));
    assert_null(json_object_get(cts_json_at(j, "t2i"), "r@1")); /* CT-CLIP prints 5, 10, 50, 100 */
    json_decref(j);
}

/* ---- map ---- */

static void test_map(void **state)
{
    static const int64_t ks[] = {1, 5, 10};
    json_t *j = cts_program_json_of(0, "eval map --images i.npy --labels l.csv -k 1,5,10 --json --bootstrap 50");
    int64_t row[N * 10];
    double value[3 * N], alone[3];

    (void)state;
    for (int rule = CTS_MAP_CTCLIP; rule <= CTS_MAP_RADFINDER; rule++) {
        assert_int_equal(cts_map_neighbours((cts_map_rule)rule, image, N, D, label, M, 10, NULL, row), CTS_OK);
        assert_int_equal(cts_map_values((cts_map_rule)rule, row, N, 10, label, M, ks, 3, value), CTS_OK);
        for (int k = 0; k < 3; k++) {
            char metric[32];

            snprintf(metric, sizeof metric, "%s@%d", cts_map_name((cts_map_rule)rule), (int)ks[k]);
            alone[k] = cts_mean_defined(value + k * N, N, NULL);
            near(value_of(j, metric, NULL), alone[k], metric);
            assert_true(json_number_value(json_object_get(figure(j, metric, NULL), "oracle")) >= alone[k]);
        }
        if (rule == CTS_MAP_CTCLIP)
            near(value_of(j, "map_ctclip_running@10", NULL), (alone[0] + alone[1] + alone[2]) / 3.0, "running");
    }
    json_decref(j);
}

/* ---- protocols ---- */

static void test_protocols(void **state)
{
    json_t *list = cts_program_json_of(0, "eval protocols --json"), *p, *j;
    size_t i;

    (void)state;
    assert_true(json_array_size(cts_json_at(list, "protocols")) >= 13);
    json_array_foreach(cts_json_at(list, "protocols"), i, p)
    {
        const char *name = json_string_value(json_object_get(p, "name")),
                   *task = json_string_value(json_object_get(p, "task"));
        char command[256];

        if (!strcmp(task, "recall"))
            snprintf(command, sizeof command,
                     "eval recall --images i.npy --texts t.npy --names l.csv --protocol %s --json --bootstrap 20",
                     name);
        else if (!strcmp(task, "map"))
            snprintf(command, sizeof command,
                     "eval map --images i.npy --labels l.csv --protocol %s --json --bootstrap 20", name);
        else
            snprintf(
                command, sizeof command,
                "eval classify --scores s.npy --labels l.csv --val-scores vs.npy --val-labels vl.csv --protocol %s "
                "--json --bootstrap 20",
                name);
        j = cts_program_json_of(0, command);
        assert_string_equal(json_string_value(cts_json_at(j, "protocol_name")), name);
        assert_true(json_object_size(cts_json_at(j, "rules")) >= 2);
        assert_true(json_equal(cts_json_at(j, "rules"), json_object_get(p, "rules")));
        assert_true(json_array_size(cts_json_at(j, "values")) >= 2);
        json_decref(j);
    }
    json_decref(list);
    cts_program_runs(0, "eval protocols");
    assert_non_null(strstr(cts_program_out(), "recall/colipri"));
    j = cts_program_json_of(
        0, "eval classify --scores s.npy --labels l.csv --protocol radchest/hlip-15 --json --bootstrap 0");
    assert_int_equal(json_array_size(cts_json_at(j, "findings")), 15);
    near(value_of(j, "auroc", "Cardiomegaly"), json_number_value(value_of(j, "auroc", "Cardiomegaly")), "itself");
    json_decref(j);
    cts_program_refuses(1, "eval recall --images i.npy --texts t.npy --protocol map/ct-clip",
                        "allowed here: recall/ct-clip");
    cts_program_refuses(1, "eval classify --scores s.npy --labels l.csv --protocol zeroshot/ct-scroll", "--val-scores");
}

/* ---- bad input ---- */

static void test_bad(void **state)
{
    float bad[N * M];

    (void)state;
    memcpy(bad, score, sizeof bad);
    bad[11 * M + 2] = NAN;
    save("nan.npy", bad, N, M);
    cts_program_refuses(2, "eval classify --scores nan.npy --labels l.csv", "row 11 (test_2_b_2), Cardiomegaly");
    save("few.npy", score, N - 1, M);
    cts_program_refuses(2, "eval classify --scores few.npy --labels l.csv", "few.npy: 39 rows, but l.csv names 40");
    assert_int_equal(cts_program_shell("(cat l.csv; tail -n 1 l.csv) >twice.csv; sed '1s/Emphysema/Emphyzema/' l.csv "
                                       ">column.csv; sed '3s/,[01]/,2/' l.csv >two.csv; (sed -n 1p l.csv) >head.csv; "
                                       "head -c 300 s.npy >cut.npy; sed 's/,1/,0/g' l.csv >zero.csv"),
                     0);
    cts_program_refuses(2, "eval classify --scores s.npy --names l.csv --labels twice.csv",
                        "test_9_b_2.nii.gz is on lines 41 and 42");
    cts_program_refuses(2, "eval classify --scores s.npy --labels column.csv", "Emphysema");
    cts_program_refuses(2, "eval classify --scores s.npy --labels two.csv", "line 3, Medical material: got \"2\"");
    cts_program_refuses(2, "eval classify --scores s.npy --labels head.csv", "40 rows");
    cts_program_refuses(2, "eval classify --scores cut.npy --labels l.csv", "cut.npy");
    cts_program_refuses(3, "eval classify --scores absent.npy --labels l.csv", "absent.npy");
    cts_program_refuses(2, "eval classify --scores i.npy --labels l.csv", "8 columns, allowed: 18");
    cts_program_refuses(4, "eval zeroshot --images i.npy --prompts-npy s.npy --labels l.csv", "allowed: 36 x 8");
    cts_program_refuses(
        2,
        "eval classify --scores s.npy --labels l.csv --exclude absent.csv --val-scores nan.npy --val-labels l.csv "
        "--bootstrap 0 --names head.csv",
        "40 rows");
    cts_program_refuses(1, "eval classify --scores s.npy", "--labels is needed");
    cts_program_refuses(1, "eval classify --scores s.npy --labels l.csv --val-scores vs.npy", "--val-labels is needed");
    cts_program_refuses(1, "eval classify --scores s.npy --images i.npy --labels l.csv", "got more than one");
    cts_program_refuses(1, "eval recall --images i.npy --texts t.npy -k 5,1", "rising whole numbers");
    cts_program_refuses(1, "eval recall --images i.npy --texts t.npy -k 5,", "rising whole numbers");
    cts_program_refuses(1, "eval recall --scores s.npy", "unrecognized option");
    cts_program_refuses(1, "eval recall --images i.npy --texts t.npy", "--names CSV");
    cts_program_refuses(3, "eval classify --scores s.npy --labels l.csv --bootstrap 0 --html /nowhere/x.html",
                        "/nowhere/x.html");
}

/* Labels of one class everywhere: nothing is defined, nothing is invented. */
static void test_one_class(void **state)
{
    json_t *j =
        cts_program_json_of(0, "eval classify --scores s.npy --labels zero.csv --json --bootstrap 20 --html zero.html");

    (void)state;
    assert_true(json_is_null(cts_json_at(j, "auroc_macro")));
    assert_true(json_is_null(value_of(j, "f1_w2@roc", NULL)));
    near(value_of(j, "f1_wml@0.5", NULL), 0.0, "no positives");
    assert_int_equal(json_array_size(cts_json_at(j, "warnings")), 0);
    json_decref(j);
    cts_program_runs(0, "eval classify --scores s.npy --labels zero.csv --bootstrap 20");
    assert_non_null(strstr(cts_program_out(), "one class"));
    assert_int_equal(cts_program_shell("! grep -qi '[^a-z]nan[^a-z]' zero.html"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classify),  cmocka_unit_test(test_seeds), cmocka_unit_test(test_zeroshot),
        cmocka_unit_test(test_recall),    cmocka_unit_test(test_pools), cmocka_unit_test(test_map),
        cmocka_unit_test(test_protocols), cmocka_unit_test(test_bad),   cmocka_unit_test(test_one_class),
    };

    return cmocka_run_group_tests(tests, setup, cts_program_teardown);
}
