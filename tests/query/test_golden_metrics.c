/* Classification metrics and intervals against values of the published evaluation code (metrics.json,
 * metrics.safetensors, ctclip_metrics.json). Counts and lists are read from the files. SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "query/metrics/bootstrap.h"
#include "query/metrics/classify.h"
#include "query/metrics/label_map.h"
#include "tests/support/golden.h"

#define EXACT 1e-12 /* the order of sums is free, nothing else */

/* A number of the file; null is NaN on both sides. */
static void same(double got, const json_t *expected, const char *what, size_t at)
{
    if (!expected)
        fail_msg("%s[%zu] is not in the file", what, at);
    if (json_is_null(expected) ? !isnan(got) : !(fabs(got - json_number_value(expected)) <= EXACT))
        fail_msg("%s[%zu]: got %.17g, expected %.17g", what, at, got,
                 json_is_null(expected) ? NAN : json_number_value(expected));
}

static json_t *field(const json_t *j, const char *key)
{
    json_t *v = json_object_get(j, key);

    if (!v)
        fail_msg("\"%s\" is not in the file", key);
    return v;
}

static void same_list(const double *got, const json_t *list, size_t n, const char *what)
{
    assert_int_equal(json_array_size(list), n);
    for (size_t i = 0; i < n; i++)
        same(got[i], json_array_get(list, i), what, i);
}

typedef struct {
    size_t n, m;
    float *scores;
    uint8_t *labels, *prediction;
    double *value; /* [m] */
    cts_threshold *threshold;
    cts_counts *counts;
} table;

static void alloc_table(table *t, size_t n, size_t m)
{
    *t = (table){.n = n, .m = m};
    t->scores = malloc(n * m * sizeof *t->scores);
    t->labels = malloc(n * m);
    t->prediction = malloc(n * m);
    t->value = malloc(m * sizeof *t->value);
    t->threshold = malloc(m * sizeof *t->threshold);
    t->counts = malloc(m * sizeof *t->counts);
    assert_true(t->scores && t->labels && t->prediction && t->value && t->threshold && t->counts);
}

static void free_table(table *t)
{
    free(t->scores);
    free(t->labels);
    free(t->prediction);
    free(t->value);
    free(t->threshold);
    free(t->counts);
}

static void load_labels(const cts_golden *g, const char *name, uint8_t *labels, size_t count)
{
    float *f = cts_golden_need_floats(g, "%s", name);

    for (size_t i = 0; i < count; i++)
        labels[i] = f[i] != 0.0f;
    free(f);
}

static void load_table(table *t, const cts_golden *g, const char *scores, const char *labels)
{
    int64_t shape[8];
    float *f = cts_golden_need_floats(g, "%s", scores);

    assert_int_equal(cts_golden_need_shape(g, shape, "%s", scores), 2);
    alloc_table(t, (size_t)shape[0], (size_t)shape[1]);
    memcpy(t->scores, f, t->n * t->m * sizeof *f);
    free(f);
    load_labels(g, labels, t->labels, t->n * t->m);
}

/* Column j of a table, to be freed by the caller. */
static void column(const table *t, size_t j, float **scores, uint8_t **labels)
{
    *scores = malloc((t->n + 1) * sizeof **scores);
    *labels = malloc(t->n + 1);
    for (size_t i = 0; i < t->n; i++) {
        (*scores)[i] = t->scores[i * t->m + j];
        (*labels)[i] = t->labels[i * t->m + j];
    }
}

static void count_with(table *t)
{
    cts_predict(t->scores, t->n, t->m, t->threshold, t->prediction);
    cts_count_cells(t->prediction, t->labels, t->n, t->m, NULL, t->counts);
}

static void each_count(const table *t, double (*metric)(cts_counts c), const json_t *list, const char *what)
{
    for (size_t j = 0; j < t->m; j++)
        t->value[j] = metric(t->counts[j]);
    same_list(t->value, list, t->m, what);
}

static void test_auroc(void **state)
{
    cts_golden *g = cts_golden_need("metrics.safetensors");
    json_t *j = cts_golden_need_json("metrics.json"), *auroc = field(j, "auroc");
    table t;

    (void)state;
    load_table(&t, g, "probabilities", "labels");
    assert_int_equal(cts_auroc_table(t.scores, t.labels, t.n, t.m, t.value, NULL), CTS_OK);
    same_list(t.value, field(auroc, "per_label"), t.m, "auroc");
    same(cts_mean_defined(t.value, t.m, NULL), field(auroc, "macro_over_defined"), "macro", 0);
    for (size_t i = 0; i < json_array_size(field(auroc, "undefined")); i++)
        assert_true(isnan(t.value[json_integer_value(json_array_get(field(auroc, "undefined"), i))]));
    free_table(&t);
    json_decref(j);
    cts_golden_close(g);
}

static void test_dcformer_at_half(void **state)
{
    cts_golden *g = cts_golden_need("metrics.safetensors");
    json_t *j = cts_golden_need_json("metrics.json"), *per = field(j, "dcformer_per_label@0.5");
    json_t *all = field(j, "dcformer@0.5");
    cts_counts micro;
    table t;

    (void)state;
    load_table(&t, g, "probabilities", "labels");
    for (size_t k = 0; k < t.m; k++)
        t.threshold[k] = cts_threshold_half();
    count_with(&t);
    each_count(&t, cts_accuracy, field(per, "accuracy"), "accuracy");
    each_count(&t, cts_f1_binary, field(per, "f1"), "f1");
    each_count(&t, cts_precision, field(per, "precision"), "precision");
    each_count(&t, cts_recall, field(per, "recall"), "recall");
    micro = cts_counts_sum(t.counts, t.m);
    same(cts_f1_multilabel_weighted(t.counts, t.m), field(all, "f1_wml@0.5"), "f1_wml@0.5", 0);
    same(cts_accuracy(micro), field(all, "accuracy"), "accuracy over cells", 0);
    same(cts_precision(micro), field(all, "precision_micro"), "precision_micro", 0);
    same(cts_recall(micro), field(all, "recall_micro"), "recall_micro", 0);
    for (size_t k = 0; k < t.m; k++) {
        cts_youden_point y;
        uint8_t *labels;
        float *scores;

        column(&t, k, &scores, &labels);
        assert_int_equal(cts_youden(scores, labels, t.n, &y), CTS_OK);
        /* For a label of one class the published routine leaves its initial 0; ours says undefined. */
        same(isnan(y.specificity) ? 0.0 : y.specificity, json_array_get(field(per, "specificity_at_youden"), k),
             "specificity_at_youden", k);
        if (json_is_null(json_array_get(field(per, "auc"), k)))
            assert_true(isnan(y.specificity) && isnan(y.youden));
        free(scores);
        free(labels);
    }
    free_table(&t);
    json_decref(j);
    cts_golden_close(g);
}

/* Threshold of every label by the corner rule; grid [m]. */
static void fit_corner(table *t, int *grid)
{
    for (size_t k = 0; k < t->m; k++) {
        uint8_t *labels;
        float *scores;

        column(t, k, &scores, &labels);
        assert_int_equal(cts_threshold_roc_corner(scores, labels, t->n, &t->threshold[k], &grid[k]), CTS_OK);
        free(scores);
        free(labels);
    }
}

static void test_ctclip_at_roc(void **state)
{
    cts_golden *g = cts_golden_need("metrics.safetensors");
    json_t *j = cts_golden_need_json("metrics.json"), *at = field(j, "ctclip@roc"), *per = field(at, "per_label");
    double f1 = 0.0, accuracy = 0.0, precision = 0.0;
    size_t averaged = 0;
    int *grid;
    table t;

    (void)state;
    load_table(&t, g, "probabilities", "labels");
    grid = malloc(t.m * sizeof *grid);
    fit_corner(&t, grid);
    count_with(&t);
    assert_int_equal(json_array_size(per), t.m);
    for (size_t k = 0; k < t.m; k++) {
        const json_t *row = json_array_get(per, k);

        if (json_object_get(row, "error")) {
            assert_int_equal(grid[k], -1);
            assert_true(isnan(t.threshold[k].value));
            continue;
        }
        assert_int_equal(grid[k], json_integer_value(field(row, "grid_index")));
        assert_true(t.threshold[k].value == json_number_value(field(row, "threshold")));
        same(cts_f1_two_class(t.counts[k]), field(row, "f1_weighted_two_classes"), "f1_w2", k);
        same(cts_accuracy(t.counts[k]), field(row, "accuracy"), "accuracy", k);
        same(cts_precision(t.counts[k]), field(row, "precision"), "precision", k);
        f1 += cts_f1_two_class(t.counts[k]);
        accuracy += cts_accuracy(t.counts[k]);
        precision += cts_precision(t.counts[k]);
        averaged++;
    }
    assert_int_equal(averaged, json_integer_value(field(at, "labels_averaged")));
    same(f1 / (double)averaged, field(at, "f1_w2@roc"), "f1_w2@roc", 0);
    same(accuracy / (double)averaged, field(at, "accuracy"), "accuracy", 0);
    same(precision / (double)averaged, field(at, "precision"), "precision", 0);
    free(grid);
    free_table(&t);
    json_decref(j);
    cts_golden_close(g);
}

static void test_ctscroll_at_val(void **state)
{
    cts_golden *g = cts_golden_need("metrics.safetensors");
    json_t *j = cts_golden_need_json("metrics.json"), *at = field(j, "ctscroll@val");
    double sum = 0.0;
    table val, t;

    (void)state;
    load_table(&val, g, "val.probabilities", "val.labels");
    load_table(&t, g, "probabilities", "labels");
    for (size_t k = 0; k < t.m; k++) {
        uint8_t *labels;
        float *scores;

        column(&val, k, &scores, &labels);
        assert_int_equal(cts_threshold_f1_max(scores, labels, val.n, &t.threshold[k], NULL), CTS_OK);
        assert_true(t.threshold[k].value == json_number_value(json_array_get(field(at, "thresholds"), k)));
        free(scores);
        free(labels);
    }
    count_with(&t);
    each_count(&t, cts_f1_binary, field(at, "f1_per_label"), "f1_bin@val");
    for (size_t k = 0; k < t.m; k++)
        sum += t.value[k];
    same(sum / (double)t.m, field(at, "f1_bin@val"), "f1_bin@val", 0);
    same(cts_f1_multilabel_weighted(t.counts, t.m), field(at, "f1_bin_weighted_by_frequency"), "f1 by frequency", 0);
    free_table(&val);
    free_table(&t);
    json_decref(j);
    cts_golden_close(g);
}

static void test_external_labels(void **state)
{
    cts_golden *g = cts_golden_need("metrics.safetensors");
    json_t *j = cts_golden_need_json("metrics.json");
    const cts_label_map *map;
    table t, e;

    (void)state;
    assert_int_equal(cts_label_map_find("ctclip-16", &map), CTS_OK);
    load_table(&t, g, "probabilities", "labels");
    alloc_table(&e, t.n, map->n);
    load_labels(g, "external.labels", e.labels, e.n * e.m);
    cts_label_map_scores(map, t.scores, t.n, e.scores);
    assert_int_equal(cts_auroc_table(e.scores, e.labels, e.n, e.m, e.value, NULL), CTS_OK);
    same_list(e.value, field(j, "external16_auroc"), e.m, "external16_auroc");
    free_table(&e);
    free_table(&t);
    json_decref(j);
    cts_golden_close(g);
}

static void test_nan_is_named(void **state)
{
    cts_golden *g = cts_golden_need("metrics.safetensors");
    json_t *j = cts_golden_need_json("metrics.json"), *c = field(j, "nan_case");
    size_t row = (size_t)json_integer_value(field(c, "row")), label = (size_t)json_integer_value(field(c, "label"));
    char text[64];
    table t;

    (void)state;
    load_table(&t, g, "probabilities", "labels");
    t.scores[row * t.m + label] = NAN;
    assert_int_equal(cts_scores_check(t.scores, t.n, t.m, NULL), CTS_E_INPUT);
    snprintf(text, sizeof text, "row %zu, label %zu", row, label);
    assert_non_null(strstr(cts_error(), text));
    t.value[0] = -3.0;
    assert_int_equal(cts_auroc_table(t.scores, t.labels, t.n, t.m, t.value, NULL), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), text));
    assert_true(t.value[0] == -3.0);
    free_table(&t);
    json_decref(j);
    cts_golden_close(g);
}

/* ---- the other set: scores are multiples of 1/64 ---- */

static void load_ctclip(table *t, const json_t *j)
{
    const json_t *score = field(j, "score_numerator"), *label = field(j, "label");

    alloc_table(t, json_array_size(score), json_array_size(json_array_get(score, 0)));
    for (size_t i = 0; i < t->n * t->m; i++) {
        const json_t *s = json_array_get(score, i / t->m), *l = json_array_get(label, i / t->m);

        t->scores[i] = (float)json_integer_value(json_array_get(s, i % t->m)) / 64.0f;
        t->labels[i] = json_integer_value(json_array_get(l, i % t->m)) != 0;
    }
}

static void test_ctclip_table(void **state)
{
    json_t *j = cts_golden_need_json("ctclip_metrics.json"), *mean = field(j, "mean_over_defined");
    double *f1, *accuracy, *precision;
    cts_counts all;
    int *grid;
    table t;

    (void)state;
    load_ctclip(&t, j);
    grid = malloc(t.m * sizeof *grid);
    f1 = malloc(3 * t.m * sizeof *f1);
    accuracy = f1 + t.m;
    precision = f1 + 2 * t.m;
    assert_int_equal(cts_auroc_table(t.scores, t.labels, t.n, t.m, t.value, NULL), CTS_OK);
    same_list(t.value, field(j, "auroc"), t.m, "auroc");
    same(cts_mean_defined(t.value, t.m, NULL), field(mean, "auroc"), "mean auroc", 0);
    fit_corner(&t, grid);
    count_with(&t);
    for (size_t k = 0; k < t.m; k++) {
        const json_t *threshold = json_array_get(field(j, "threshold"), k);
        bool defined = !json_is_null(threshold);

        assert_int_equal(grid[k], defined ? json_integer_value(json_array_get(field(j, "threshold_index"), k)) : -1);
        assert_true(defined ? t.threshold[k].value == json_number_value(threshold) : isnan(t.threshold[k].value));
        f1[k] = defined ? cts_f1_two_class(t.counts[k]) : NAN;
        accuracy[k] = defined ? cts_accuracy(t.counts[k]) : NAN;
        precision[k] = defined ? cts_precision(t.counts[k]) : NAN;
    }
    same_list(f1, field(j, "f1_weighted"), t.m, "f1_weighted");
    same_list(accuracy, field(j, "accuracy"), t.m, "accuracy");
    same_list(precision, field(j, "precision"), t.m, "precision");
    same(cts_mean_defined(f1, t.m, NULL), field(mean, "f1_weighted"), "mean f1", 0);
    same(cts_mean_defined(accuracy, t.m, NULL), field(mean, "accuracy"), "mean accuracy", 0);
    same(cts_mean_defined(precision, t.m, NULL), field(mean, "precision"), "mean precision", 0);
    for (size_t k = 0; k < t.m; k++)
        t.threshold[k] = cts_threshold_half();
    count_with(&t);
    all = cts_counts_sum(t.counts, t.m);
    same(cts_f1_binary(all), field(field(j, "training_log"), "f1_micro"), "f1_micro", 0);
    same(cts_accuracy(all), field(field(j, "training_log"), "accuracy_flat"), "accuracy_flat", 0);
    free(grid);
    free(f1);
    free_table(&t);
    json_decref(j);
}

static void test_ctclip_external(void **state)
{
    json_t *j = cts_golden_need_json("ctclip_metrics.json"), *external = field(j, "external");
    const cts_label_map *map;
    table t, e;

    (void)state;
    assert_int_equal(cts_label_map_find("ctclip-16", &map), CTS_OK);
    load_ctclip(&t, j);
    alloc_table(&e, t.n, map->n);
    for (size_t i = 0; i < e.n * e.m; i++)
        e.labels[i] =
            json_integer_value(json_array_get(json_array_get(field(external, "label"), i / e.m), i % e.m)) != 0;
    cts_label_map_scores(map, t.scores, t.n, e.scores);
    assert_int_equal(cts_auroc_table(e.scores, e.labels, e.n, e.m, e.value, NULL), CTS_OK);
    same_list(e.value, field(external, "auroc"), e.m, "external auroc");
    free_table(&e);
    free_table(&t);
    json_decref(j);
}

static void test_ctclip_interval(void **state)
{
    json_t *j = cts_golden_need_json("ctclip_metrics.json"), *i = field(j, "interval"), *rows = field(i, "samples");
    size_t n = json_array_size(rows), m = json_array_size(json_array_get(rows, 0));
    double *sample = malloc(n * sizeof *sample);

    (void)state;
    for (size_t k = 0; k < m; k++) {
        cts_interval got;

        for (size_t r = 0; r < n; r++)
            sample[r] = json_number_value(json_array_get(json_array_get(rows, r), k));
        assert_int_equal(cts_interval_ctclip(sample, n, &got), CTS_OK);
        same(got.lower, json_array_get(field(i, "lower"), k), "lower", k);
        same(got.upper, json_array_get(field(i, "upper"), k), "upper", k);
        same(got.mean, json_array_get(field(i, "mean"), k), "mean", k);
    }
    free(sample);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auroc),           cmocka_unit_test(test_dcformer_at_half),
        cmocka_unit_test(test_ctclip_at_roc),   cmocka_unit_test(test_ctscroll_at_val),
        cmocka_unit_test(test_external_labels), cmocka_unit_test(test_nan_is_named),
        cmocka_unit_test(test_ctclip_table),    cmocka_unit_test(test_ctclip_external),
        cmocka_unit_test(test_ctclip_interval),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
