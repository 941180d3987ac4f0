/* thresholds.json: fitted values against their definitions, Platt scaling against its likelihood, the file both ways,
 * and bad files.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/base/file.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "query/metrics/classify.h"
#include "query/thresholds.h"
#include "tests/support/scratch.h"

#define SEED 20251124u
enum { N = 300, M = 3 };

static const char *const names[M] = {"Emphysema", "Lung nodule", "Hiatal hernia"};

/* Label 0: p = sigmoid(0.5 z - 1); label 1: noise; label 2: never there. */
static void make(float *z, uint8_t *y)
{
    cts_rng r = cts_rng_make(SEED);

    for (int i = 0; i < N; i++) {
        z[i * M] = (float)(4 * cts_rng_normal(&r));
        z[i * M + 1] = (float)cts_rng_normal(&r);
        z[i * M + 2] = (float)cts_rng_normal(&r);
        y[i * M] = cts_rng_unit(&r) < cts_probability(0.5 * (double)z[i * M] - 1);
        y[i * M + 1] = cts_rng_unit(&r) < 0.3;
        y[i * M + 2] = 0;
    }
}

static void test_fit(void **state)
{
    static float z[N * M], column[N];
    static uint8_t y[N * M], own[N];
    int64_t patient[N];
    cts_thresholds t = {0}, pairs = {0};
    cts_counts c = {0, 0, 0, 0};
    double auroc;

    (void)state;
    make(z, y);
    for (int i = 0; i < N; i++) {
        column[i] = z[i * M];
        own[i] = y[i * M];
        patient[i] = i / 2;
    }
    MUST(cts_thresholds_fit(&t, names, M, z, y, N, NULL, 7, NULL));
    MUST(cts_thresholds_fit(&pairs, names, M, z, y, N, patient, 7, NULL));
    assert_int_equal(t.patients, N);
    assert_int_equal(pairs.patients, N / 2);
    MUST(cts_auroc(column, own, N, &auroc, NULL));
    assert_true(t.label[0].auroc == auroc && auroc > 0.75);
    assert_true(t.label[0].auroc_low < auroc && auroc < t.label[0].auroc_high);
    assert_true(t.label[0].auroc_high - t.label[0].auroc_low < 0.2);
    assert_true(t.label[0].auroc_low != pairs.label[0].auroc_low); /* other resamples */
    for (int i = 0; i < N; i++) { /* the threshold as everybody applies it gives the F1 that is written */
        bool said = cts_probability((double)column[i]) >= t.label[0].threshold;

        c.tp += said && own[i];
        c.fp += said && !own[i];
        c.fn += !said && own[i];
        c.tn += !said && !own[i];
    }
    assert_true(fabs(cts_f1_binary(c) - t.label[0].f1) <= 1e-12);
    assert_true(fabs(t.label[0].a - 0.5) <= 0.15 && fabs(t.label[0].b + 1) <= 0.5);
    assert_true(isnan(t.label[2].auroc) && isnan(t.label[2].auroc_low));
    assert_true(t.label[2].a == 1 && t.label[2].b == 0 && t.label[2].prevalence == 0);
    assert_true(fabs(cts_thresholds_macro(&t) - 0.5 * (t.label[0].auroc + t.label[1].auroc)) <= 1e-12);
    assert_ptr_equal(cts_thresholds_find(&t, "lung NODULE"), &t.label[1]);
    assert_null(cts_thresholds_find(&t, "Cough"));
    cts_thresholds_clear(&t);
    cts_thresholds_clear(&pairs);
}

static double likelihood(const float *z, const uint8_t *y, double a, double b)
{
    double positive = 0, sum = 0;

    for (int i = 0; i < N; i++)
        positive += y[i * M];
    for (int i = 0; i < N; i++) {
        double x = a * (double)z[i * M] + b, t = y[i * M] ? (positive + 1) / (positive + 2) : 1 / (N - positive + 2);

        sum += t * log(cts_probability(x)) + (1 - t) * log(cts_probability(-x));
    }
    return sum;
}

static void test_platt(void **state)
{
    static float z[N * M];
    static uint8_t y[N * M];
    const float far[4] = {-2000, -1000, 1000, 3000};
    const uint8_t split[4] = {0, 0, 1, 1}, turned[4] = {1, 1, 0, 0};
    double a, b, best;

    (void)state;
    make(z, y);
    cts_platt_fit(&a, &b, z, y, N, M);
    best = likelihood(z, y, a, b);
    for (int k = 0; k < 8; k++) /* a maximum */
        assert_true(likelihood(z, y, a + 0.01 * cos(k), b + 0.01 * sin(k)) < best);
    cts_platt_fit(&a, &b, far, split, 4, 1);
    assert_true(isfinite(a) && isfinite(b) && a > 0 && cts_probability(a * 3000 + b) > 0.6);
    cts_platt_fit(&a, &b, far, turned, 4, 1);
    assert_true(a == 0 && b == 0); /* two of four */
}

static void test_file(void **state)
{
    static float z[N * M];
    static uint8_t y[N * M];
    char digest[CTS_DIGEST_HEX];
    cts_thresholds t = {0}, r = {0};

    (void)state;
    make(z, y);
    MUST(cts_thresholds_fit(&t, names, M, z, y, N, NULL, 7, NULL));
    MUST(cts_mkdir_p(cts_scratch("model")));
    MUST(cts_thresholds_digest(digest, cts_scratch("model")));
    assert_string_equal(digest, "");
    cts_assert_refused(cts_thresholds_load(&r, cts_scratch("model")), CTS_E_NOTFOUND, "thresholds.json");
    MUST(cts_thresholds_save(&t, cts_scratch("model")));
    MUST(cts_thresholds_load(&r, cts_scratch("model")));
    MUST(cts_thresholds_digest(digest, cts_scratch("model")));
    assert_int_equal(strlen(digest), 64);
    assert_int_equal(r.n, N);
    assert_int_equal(r.n_labels, M);
    assert_string_equal(r.rule, "f1-max");
    for (int l = 0; l < M; l++) {
        assert_string_equal(r.label[l].name, names[l]);
        assert_true(r.label[l].threshold == t.label[l].threshold && r.label[l].a == t.label[l].a &&
                    r.label[l].b == t.label[l].b && r.label[l].f1 == t.label[l].f1);
    }
    assert_true(r.label[0].auroc == t.label[0].auroc && isnan(r.label[2].auroc));
    cts_thresholds_clear(&t);
    cts_thresholds_clear(&r);
}

static void refused(const char *labels, int want, const char *word)
{
    cts_thresholds t = {0};
    char text[512];

    snprintf(text, sizeof text,
             "{\"format\": \"ctsearch-thresholds\", \"version\": 1, \"rule\": \"f1-max\", \"n\": 3, \"labels\": %s}",
             labels);
    MUST(cts_mkdir_p(cts_scratch("bad")));
    cts_scratch_write(cts_scratch("bad/thresholds.json"), text, strlen(text));
    cts_assert_refused(cts_thresholds_load(&t, cts_scratch("bad")), want, word);
    assert_null(t.label);
}

static void test_bad_files(void **state)
{
    float z[2] = {1, NAN};
    uint8_t y[2] = {0, 1};
    cts_thresholds t = {0};

    (void)state;
    refused("[]", CTS_E_FORMAT, "labels");
    refused("[3]", CTS_E_FORMAT, "labels");
    refused("[{\"threshold\": 0.5}]", CTS_E_FORMAT, "name");
    refused("[{\"name\": \"a\"}]", CTS_E_INPUT, "threshold");
    refused("[{\"name\": \"a\", \"threshold\": 1.5}]", CTS_E_INPUT, "1.5");
    refused("[{\"name\": \"a\", \"threshold\": 0.5}, {\"name\": \"A\", \"threshold\": 0.5}]", CTS_E_INPUT, "twice");
    refused("[{\"name\": \"a\", \"threshold\": 0.5, \"calibration\": {\"a\": 1}}]", CTS_E_FORMAT, "\"b\"");
    cts_assert_refused(cts_thresholds_fit(&t, names, 1, z, y, 0, NULL, 1, NULL), CTS_E_INPUT, "0 validation");
    cts_assert_refused(cts_thresholds_fit(&t, names, 1, z, y, 2, NULL, 1, NULL), CTS_E_INPUT, "Emphysema");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_platt),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_bad_files),
    };

    printf("seed %u\n", SEED);
    return cmocka_run_group_tests_name("thresholds", tests, cts_scratch_make, cts_scratch_remove);
}
