/* Classification metrics against their definitions. SPDX-License-Identifier: MIT */
#include "query/metrics/classify.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "query/metrics/label_map.h"

#define SEED 20240611

static void near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-12))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

static void test_auroc_small(void **state)
{
    double a = -1;
    size_t p = 99;

    (void)state;
    assert_int_equal(cts_auroc((float[]){0.1f, 0.2f, 0.3f, 0.4f}, (uint8_t[]){0, 0, 1, 1}, 4, &a, &p), CTS_OK);
    near(a, 1.0);
    assert_int_equal(p, 2);
    assert_int_equal(cts_auroc((float[]){0.4f, 0.3f, 0.2f, 0.1f}, (uint8_t[]){0, 0, 1, 1}, 4, &a, &p), CTS_OK);
    near(a, 0.0);
    assert_int_equal(cts_auroc((float[]){7, 7, 7, 7, 7}, (uint8_t[]){0, 1, 0, 1, 1}, 5, &a, &p), CTS_OK);
    near(a, 0.5);
    assert_int_equal(cts_auroc((float[]){1, 2, 2, 3}, (uint8_t[]){0, 1, 0, 1}, 4, &a, &p), CTS_OK);
    near(a, 3.5 / 4.0);
    assert_int_equal(cts_auroc((float[]){-INFINITY, INFINITY}, (uint8_t[]){0, 1}, 2, &a, &p), CTS_OK);
    near(a, 1.0);
}

static void test_auroc_one_class(void **state)
{
    double a = 0;
    size_t p = 99;

    (void)state;
    assert_int_equal(cts_auroc((float[]){1, 2}, (uint8_t[]){1, 1}, 2, &a, &p), CTS_OK);
    assert_true(isnan(a));
    assert_int_equal(p, 2);
    a = 0;
    assert_int_equal(cts_auroc((float[]){1, 2}, (uint8_t[]){0, 0}, 2, &a, &p), CTS_OK);
    assert_true(isnan(a));
    assert_int_equal(p, 0);
    a = 0;
    assert_int_equal(cts_auroc(NULL, NULL, 0, &a, &p), CTS_OK);
    assert_true(isnan(a));
}

static void test_auroc_nan(void **state)
{
    double a = 5;
    size_t p = 6;

    (void)state;
    assert_int_equal(cts_auroc((float[]){1, 2, NAN}, (uint8_t[]){0, 1, 1}, 3, &a, &p), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "row 2"));
    near(a, 5);
    assert_int_equal(p, 6);
}

static void test_auroc_pairs(void **state)
{
    cts_rng rng = cts_rng_make(SEED);

    (void)state;
    print_message("seed %d\n", SEED);
    for (int round = 0; round < 200; round++) {
        float s[64];
        uint8_t y[64];
        size_t n = 2 + cts_rng_below(&rng, 62), levels = 1 + cts_rng_below(&rng, 12), positives = 0, p;
        double wins = 0.0, a;

        for (size_t i = 0; i < n; i++) {
            s[i] = (float)cts_rng_below(&rng, levels) - 3.0f;
            positives += y[i] = (uint8_t)cts_rng_below(&rng, 2);
        }
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                if (y[i] && !y[j])
                    wins += s[i] > s[j] ? 1.0 : s[i] == s[j] ? 0.5 : 0.0;
        assert_int_equal(cts_auroc(s, y, n, &a, &p), CTS_OK);
        assert_int_equal(p, positives);
        if (positives && positives < n)
            near(a, wins / ((double)positives * (double)(n - positives)));
        else
            assert_true(isnan(a));
    }
}

/* ---- curves, thresholds, counts ---- */

static void random_column(cts_rng *rng, float *scores, uint8_t *labels, size_t n, uint64_t levels)
{
    for (size_t i = 0; i < n; i++) {
        scores[i] = (float)cts_rng_below(rng, levels) / (float)(levels - 1);
        labels[i] = cts_rng_below(rng, 3) == 0;
    }
}

static cts_counts plain_counts(const float *scores, const uint8_t *labels, size_t n, double t, bool inclusive)
{
    cts_counts c = {0};

    for (size_t i = 0; i < n; i++) {
        bool predicted = inclusive ? (double)scores[i] >= t : (double)scores[i] > t;

        *(predicted ? labels[i] ? &c.tp : &c.fp : labels[i] ? &c.fn : &c.tn) += 1;
    }
    return c;
}

static void test_curve(void **state)
{
    cts_rng rng = cts_rng_make(SEED + 1);
    double fpr[61], tpr[61], threshold[61];
    uint8_t labels[60];
    float scores[60];
    size_t points;

    (void)state;
    for (int t = 0; t < 50; t++) {
        cts_youden_point y;
        double area = 0.0, auroc, best = 0.0;
        size_t positives;

        random_column(&rng, scores, labels, 60, 2 + cts_rng_below(&rng, 40));
        assert_int_equal(cts_roc_curve(scores, labels, 60, fpr, tpr, threshold, &points), CTS_OK);
        near(fpr[0] + tpr[0], 0.0);
        near(fpr[points - 1] + tpr[points - 1], 2.0);
        for (size_t i = 0; i < points; i++) {
            cts_counts c = plain_counts(scores, labels, 60, threshold[i], true);

            near(tpr[i], cts_sensitivity(c));
            near(fpr[i], 1.0 - cts_specificity(c));
            best = fmax(best, cts_youden_index(c));
            if (i)
                area += (fpr[i] - fpr[i - 1]) * (tpr[i] + tpr[i - 1]) / 2.0;
        }
        assert_int_equal(cts_auroc(scores, labels, 60, &auroc, &positives), CTS_OK);
        near(area, auroc);
        assert_int_equal(cts_youden(scores, labels, 60, &y), CTS_OK);
        near(y.youden, best);
        if (best > 0.0)
            near(cts_youden_index(plain_counts(scores, labels, 60, y.threshold, true)), best);
    }
}

static void test_curve_degenerate(void **state)
{
    double fpr[3], tpr[3], threshold[3];
    cts_youden_point y;
    size_t points;

    (void)state;
    assert_int_equal(cts_roc_curve((float[]){1, 2}, (uint8_t[]){1, 1}, 2, fpr, tpr, threshold, &points), CTS_OK);
    assert_int_equal(points, 3);
    assert_true(isnan(fpr[1]) && tpr[1] == 0.5);
    assert_int_equal(cts_roc_curve(NULL, NULL, 0, fpr, tpr, threshold, &points), CTS_OK);
    assert_int_equal(points, 1);
    assert_int_equal(cts_youden((float[]){1, 2}, (uint8_t[]){0, 0}, 2, &y), CTS_OK);
    assert_true(isnan(y.youden) && isnan(y.specificity));
    assert_int_equal(cts_youden((float[]){1, 2}, (uint8_t[]){1, 0}, 2, &y), CTS_OK); /* below the diagonal */
    assert_true(y.youden == 0.0 && y.specificity == 0.0 && isnan(y.threshold));
    assert_int_equal(cts_youden((float[]){1, NAN}, (uint8_t[]){1, 0}, 2, &y), CTS_E_INPUT);
}

/* The published search, written out: every point of the grid, all rows. */
static void test_corner(void **state)
{
    cts_rng rng = cts_rng_make(SEED + 2);
    cts_threshold threshold;
    uint8_t labels[70];
    float scores[70];
    int grid;

    (void)state;
    for (int t = 0; t < 60; t++) {
        double nearest = 1e4;
        int best = -1;

        random_column(&rng, scores, labels, 70, t % 2 ? 100 : 7);
        labels[0] = 1;
        labels[1] = 0;
        for (int g = 0; g < 100; g++) {
            cts_counts c = plain_counts(scores, labels, 70, g == 99 ? 1.0 : g * (1.0 / 99.0), false);
            double x = 1.0 - cts_sensitivity(c), y = (double)c.fp / (double)(c.fp + c.tn),
                   distance = sqrt(x * x + y * y);

            if (distance <= nearest) {
                nearest = distance;
                best = g;
            }
        }
        assert_int_equal(cts_threshold_roc_corner(scores, labels, 70, &threshold, &grid), CTS_OK);
        assert_int_equal(grid, best);
        assert_false(threshold.inclusive);
    }
    for (int class = 0; class < 2; class ++) {
        memset(labels, class, sizeof labels);
        assert_int_equal(cts_threshold_roc_corner(scores, labels, 70, &threshold, &grid), CTS_OK);
        assert_true(grid == -1 && isnan(threshold.value));
    }
    assert_int_equal(cts_threshold_roc_corner((float[]){0.3f, 0.3f}, (uint8_t[]){0, 1}, 2, &threshold, &grid), CTS_OK);
    assert_true(grid == 99 && threshold.value == 1.0); /* a constant score */
}

static void test_f1_max(void **state)
{
    cts_rng rng = cts_rng_make(SEED + 3);
    cts_threshold threshold;
    uint8_t labels[50];
    float scores[50];
    double f1;

    (void)state;
    for (int t = 0; t < 60; t++) {
        double best = -1.0, at = 0.0;

        random_column(&rng, scores, labels, 50, 2 + cts_rng_below(&rng, 30));
        for (size_t i = 0; i < 50; i++) {
            double f = cts_f1_binary(plain_counts(scores, labels, 50, (double)scores[i], true));

            if (f > best || (f == best && (double)scores[i] < at)) {
                best = f;
                at = (double)scores[i];
            }
        }
        assert_int_equal(cts_threshold_f1_max(scores, labels, 50, &threshold, &f1), CTS_OK);
        near(f1, best);
        assert_true(threshold.value == at && threshold.inclusive);
    }
    assert_int_equal(cts_threshold_f1_max((float[]){0.5f, 0.25f}, (uint8_t[]){0, 0}, 2, &threshold, &f1), CTS_OK);
    assert_true(threshold.value == 0.25 && f1 == 0.0);
    assert_int_equal(cts_threshold_f1_max(NULL, NULL, 0, &threshold, &f1), CTS_E_INPUT);
}

/* 0.5 rounds to the even 0, as np.rint has it. */
static void test_half(void **state)
{
    const cts_threshold half[1] = {cts_threshold_half()}, undefined[1] = {{NAN, true}};
    const float scores[5] = {0.0f, 0.5f, 0.50000006f, 1.0f, 0.49999997f};
    uint8_t prediction[5];

    (void)state;
    cts_predict(scores, 5, 1, half, prediction);
    assert_memory_equal(prediction, ((uint8_t[]){0, 0, 1, 1, 0}), 5);
    cts_predict(scores, 5, 1, undefined, prediction);
    assert_memory_equal(prediction, ((uint8_t[]){0, 0, 0, 0, 0}), 5);
}

static void test_counts(void **state)
{
    const uint8_t prediction[8] = {1, 0, 1, 1, 0, 0, 0, 1}, labels[8] = {1, 0, 0, 1, 1, 0, 0, 1};
    const uint32_t weight[4] = {3, 0, 1, 2};
    const cts_counts empty = {0}, negatives = {.tn = 4}, silent = {.fn = 2, .tn = 2};
    cts_counts c[2];

    (void)state;
    cts_count_cells(prediction, labels, 4, 2, NULL,
                    c); /* columns 1 1 0 0 against 1 0 1 0, and 0 1 0 1 against itself */
    assert_memory_equal(&c[0], (&(cts_counts){1, 1, 1, 1}), sizeof c[0]);
    assert_memory_equal(&c[1], (&(cts_counts){2, 0, 0, 2}), sizeof c[1]);
    near(cts_f1_binary(c[0]), 0.5);
    near(cts_f1_two_class(c[0]), 0.5);
    near(cts_f1_two_class(c[1]), 1.0);
    near(cts_f1_multilabel_weighted(c, 2), 0.75);
    near(cts_accuracy(cts_counts_sum(c, 2)), 0.75);
    cts_count_cells(prediction, labels, 4, 2, weight, c);
    assert_memory_equal(&c[0], (&(cts_counts){3, 0, 1, 2}), sizeof c[0]);
    near(cts_precision(negatives), 0.0);
    near(cts_recall(negatives), 0.0);
    near(cts_f1_binary(negatives), 0.0);
    near(cts_f1_two_class(negatives), 1.0);
    near(cts_f1_two_class(silent), 1.0 / 3.0);
    near(cts_f1_multilabel_weighted(&negatives, 1), 0.0);
    assert_true(isnan(cts_sensitivity(negatives)) && isnan(cts_youden_index(negatives)));
    assert_true(isnan(cts_accuracy(empty)) && isnan(cts_f1_two_class(empty)) && isnan(cts_specificity(empty)));
}

static void test_scores_check(void **state)
{
    static const char *const names[] = {"Cardiomegaly", "Atelectasis"};
    float scores[4] = {0, 1, 0, NAN};
    double auroc[2];

    (void)state;
    assert_int_equal(cts_scores_check(scores, 2, 2, names), CTS_E_INPUT);
    assert_string_equal(cts_error(), "scores: row 1, label 1 (Atelectasis) is not a number");
    assert_int_equal(cts_auroc_table(scores, (uint8_t[]){0, 1, 1, 0}, 2, 2, auroc, NULL), CTS_E_INPUT);
    assert_string_equal(cts_error(), "scores: row 1, label 1 is not a number");
    assert_int_equal(cts_scores_check(scores, 1, 2, names), CTS_OK);
}

/* ---- other people's labels ---- */

static void test_label_maps(void **state)
{
    static const size_t sizes[] = {16, 15, 16};
    static const char *const columns[] = {"nodule*right_upper", "nodulegr1cm*other",   "nodules", "fibrosis",
                                          "scarring",           "calcification*heart", "suture",  "Cardiomegaly",
                                          "cardiomegaly"};
    const cts_label_map *map;
    uint8_t out[CTS_LABEL_MAP_MAX];

    (void)state;
    assert_int_equal(cts_label_maps_n, 3);
    for (size_t i = 0; i < 3; i++) {
        map = &cts_label_maps[i];
        assert_int_equal(map->n, sizes[i]);
        for (size_t j = 0; j < map->n; j++) {
            assert_true(map->rule[j].name && map->rule[j].column[0]);
            assert_true(map->rule[j].score[0] >= 0 && map->rule[j].score[0] < 18 && map->rule[j].score[0] != 13);
            assert_true(j == 0 || map->rule[j].score[0] > map->rule[j - 1].score[0]); /* our order */
        }
        assert_int_equal(cts_label_map_labels(map, columns, 9, (uint8_t[9]){0}, 1, out), CTS_E_INPUT);
        assert_non_null(strstr(cts_error(), map->name));
    }
    assert_int_equal(cts_label_map_find("ctclip-17", &map), CTS_E_USAGE);
    assert_non_null(strstr(cts_error(), "hlip-15"));
}

/* One row: label `name` under a map, of a file that has every column of the map and those in `positive` set. */
static int label_under(const char *map_name, const char *name, const char *positive)
{
    const char *columns[CTS_LABEL_MAP_MAX * CTS_LABEL_COLUMNS_MAX];
    uint8_t values[CTS_LABEL_MAP_MAX * CTS_LABEL_COLUMNS_MAX], out[CTS_LABEL_MAP_MAX];
    const cts_label_map *map;
    size_t n = 0;

    assert_int_equal(cts_label_map_find(map_name, &map), CTS_OK);
    for (size_t j = 0; j < map->n; j++)
        for (size_t c = 0; map->rule[j].column[c]; c++) {
            columns[n] = map->rule[j].column[c];
            values[n] = !strcmp(columns[n], positive);
            n++;
        }
    columns[n] = positive; /* also where the map does not ask for it */
    values[n++] = 1;
    assert_int_equal(cts_label_map_labels(map, columns, n, values, 1, out), CTS_OK);
    for (size_t j = 0; j < map->n; j++)
        if (!strcmp(map->rule[j].name, name))
            return out[j];
    return -1;
}

static void test_label_columns(void **state)
{
    float scores[18] = {0}, mapped[CTS_LABEL_MAP_MAX];
    const cts_label_map *map;

    (void)state;
    assert_int_equal(label_under("radfinder-16", "Pulmonary fibrotic sequela", "scarring"), 1);
    assert_int_equal(label_under("radfinder-16", "Pulmonary fibrotic sequela", "fibrosis"), 0);
    assert_int_equal(label_under("hlip-15", "Pulmonary fibrotic sequela", "fibrosis"), 1);
    assert_int_equal(label_under("radfinder-16", "Lung nodule", "nodulegr1cm*left_lung"), 1);
    assert_int_equal(label_under("hlip-15", "Lung nodule", "nodulegr1cm"), 0);
    assert_int_equal(label_under("radfinder-16", "Medical material", "suture*other"), 1);
    assert_int_equal(label_under("hlip-15", "Medical material", "suture"), -1);
    assert_int_equal(label_under("hlip-15", "Lymphadenopathy", "suture"), -1);
    assert_int_equal(label_under("hlip-15", "Coronary artery wall calcification", "calcification*aorta"), 1);
    assert_int_equal(label_under("hlip-15", "Arterial wall calcification", "calcification"), 1);
    assert_int_equal(label_under("ctclip-16", "Calcification", "calcification"), 1);
    assert_int_equal(label_under("ctclip-16", "Cardiomegaly", "Cardiomegaly"), 1); /* the label's own name rules */
    assert_int_equal(cts_label_map_find("ctclip-16", &map), CTS_OK);
    scores[1] = 0.25f;
    scores[4] = 0.75f;
    scores[17] = 0.5f;
    cts_label_map_scores(map, scores, 1, mapped);
    assert_true(mapped[1] == 0.75f && mapped[15] == 0.5f);
    scores[4] = NAN;
    cts_label_map_scores(map, scores, 1, mapped);
    assert_true(isnan(mapped[1]));
    scores[4] = 0.0f;
    scores[1] = NAN;
    cts_label_map_scores(map, scores, 1, mapped);
    assert_true(isnan(mapped[1]));
    assert_int_equal(cts_label_map_find("hlip-15", &map), CTS_OK);
    scores[1] = 0.25f;
    cts_label_map_scores(map, scores, 1, mapped);
    assert_true(mapped[0] == 0.25f && mapped[3] == 0.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auroc_small),   cmocka_unit_test(test_auroc_one_class),
        cmocka_unit_test(test_auroc_nan),     cmocka_unit_test(test_auroc_pairs),
        cmocka_unit_test(test_curve),         cmocka_unit_test(test_curve_degenerate),
        cmocka_unit_test(test_corner),        cmocka_unit_test(test_f1_max),
        cmocka_unit_test(test_half),          cmocka_unit_test(test_counts),
        cmocka_unit_test(test_scores_check),  cmocka_unit_test(test_label_maps),
        cmocka_unit_test(test_label_columns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
