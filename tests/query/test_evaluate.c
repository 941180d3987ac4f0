/* Zero-shot scores, AUROC tables, recall and pools over vectors made by hand. SPDX-License-Identifier: MIT */
#include "query/evaluate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/base/file.h"
#include "kernels/base/status.h"

#define DIM 4

static void near(double got, double expected, double limit)
{
    if (!(fabs(got - expected) <= limit))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

/* Finding f looks along axis f % DIM: present = +axis, not present = -axis. */
static cts_zeroshot axes(double scale)
{
    cts_zeroshot z = {.dim = DIM, .scale = scale, .prompt = calloc(2 * CTS_FINDINGS * DIM, sizeof(float))};

    for (int f = 0; f < CTS_FINDINGS; f++) {
        z.prompt[2 * f * DIM + f % DIM] = 1.0f;
        z.prompt[(2 * f + 1) * DIM + f % DIM] = -1.0f;
    }
    return z;
}

static void test_score(void **state)
{
    cts_zeroshot z = axes(3.0);
    const float image[DIM] = {0.6f, -0.8f, 0.0f, 0.0f};
    float p[CTS_FINDINGS];

    (void)state;
    cts_zeroshot_score(&z, image, p);
    for (int f = 0; f < CTS_FINDINGS; f++) /* the softmax over the two scaled logits, written out */
        near(p[f], exp(3.0 * image[f % DIM]) / (exp(3.0 * image[f % DIM]) + exp(-3.0 * image[f % DIM])), 1e-6);
    cts_zeroshot_clear(&z);
    cts_zeroshot_clear(&z);
}

static void push(cts_embeddings *x, const char *id, float image, bool labelled, int first_label)
{
    float v[DIM] = {image, -image, 0.5f, 0.0f};
    uint8_t labels[CTS_FINDINGS] = {(uint8_t)first_label, (uint8_t)first_label, 1};

    assert_int_equal(cts_embeddings_push(x, DIM, id, v, NULL, labelled ? labels : NULL), CTS_OK);
}

static void test_zeroshot(void **state)
{
    cts_zeroshot z = axes(1.0);
    cts_embeddings x = {0};
    cts_zeroshot_result r;
    json_t *j;

    (void)state;
    push(&x, "a", 0.1f, true, 0);
    push(&x, "b", 0.2f, true, 1);
    push(&x, "c", 0.9f, false, 0); /* no labels: takes no part */
    push(&x, "d", 0.3f, true, 0);
    push(&x, "e", 0.4f, true, 1);
    assert_int_equal(cts_evaluate_zeroshot(&r, &z, &x), CTS_OK);
    assert_int_equal(r.n, 4);
    near(r.auroc[0], 0.75, 1e-12);
    near(r.auroc[1], 0.25, 1e-12);  /* axis 1 is the negative of axis 0 */
    assert_true(isnan(r.auroc[2])); /* positives only */
    assert_true(isnan(r.auroc[3])); /* negatives only */
    assert_int_equal(r.positives[0], 2);
    assert_int_equal(r.positives[2], 4);
    assert_int_equal(r.positives[3], 0);
    assert_int_equal(r.defined, 2);
    near(r.macro, 0.5, 1e-12);

    j = cts_zeroshot_result_json(&r);
    assert_non_null(j);
    assert_int_equal(json_array_size(json_object_get(j, "findings")), CTS_FINDINGS);
    assert_true(json_is_null(json_object_get(json_array_get(json_object_get(j, "findings"), 2), "auroc")));
    near(json_real_value(json_object_get(j, "auroc_macro")), 0.5, 1e-12);
    json_decref(j);
    cts_embeddings_free(&x);

    assert_int_equal(cts_evaluate_zeroshot(&r, &z, &x), CTS_OK); /* nothing at all: every value undefined */
    assert_int_equal(r.defined, 0);
    assert_true(isnan(r.macro));
    j = cts_zeroshot_result_json(&r);
    assert_true(json_is_null(json_object_get(j, "auroc_macro")));
    json_decref(j);
    cts_zeroshot_clear(&z);
}

static void test_recall(void **state)
{
    cts_embeddings x = {0};
    cts_recall_result r;
    json_t *j;

    (void)state;
    assert_int_equal(cts_evaluate_recall(&r, &x, NULL), CTS_E_INPUT);
    for (int i = 0; i < 4; i++) { /* image i is axis i; text i too, but for text 3, which looks like image 0 */
        float image[DIM] = {0}, text[DIM] = {0};
        char id[16];

        image[i] = 1.0f;
        text[i == 3 ? 0 : i] = 1.0f;
        snprintf(id, sizeof id, "v%d", i);
        assert_int_equal(cts_embeddings_push(&x, DIM, id, image, text, NULL), CTS_OK);
    }
    assert_int_equal(cts_evaluate_recall(&r, &x, NULL), CTS_OK);
    near(r.t2i[0], 0.75, 1e-12);
    near(r.t2i[1], 1.0, 1e-12);
    near(r.i2t[0], 0.75, 1e-12); /* image 0 finds text 0 before its equal text 3; image 3 finds it last */
    near(r.chance[0], 0.25, 1e-12);
    near(r.chance[4], 1.0, 1e-12);
    near(r.median_rank_t2i, 1.0, 1e-12);
    j = cts_recall_result_json(&r, "all");
    near(json_real_value(json_object_get(json_object_get(j, "t2i"), "r@1")), 0.75, 1e-12);
    assert_string_equal(json_string_value(json_object_get(j, "pool")), "all");
    json_decref(j);
    cts_embeddings_free(&x);
}

static void test_growth(void **state)
{
    cts_embeddings x = {0};

    (void)state;
    for (int i = 0; i < 1000; i++) {
        float v[3] = {(float)i, 1, 2};
        char id[16];

        snprintf(id, sizeof id, "%d", i);
        assert_int_equal(cts_embeddings_push(&x, 3, id, v, i % 2 ? v : NULL, NULL), CTS_OK);
    }
    for (int i = 0; i < 1000; i++) {
        near(x.image[3 * i], i, 0);
        near(x.text[3 * i], i % 2 ? i : 0, 0);
        assert_false(x.has_labels[i]);
        assert_int_equal(atoi(x.id[i]), i);
    }
    cts_embeddings_free(&x);
    cts_embeddings_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_score),
        cmocka_unit_test(test_zeroshot),
        cmocka_unit_test(test_recall),
        cmocka_unit_test(test_growth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
