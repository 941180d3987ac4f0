/* BM25 against the formula written out, on texts small enough to count by hand. SPDX-License-Identifier: MIT */
#include "query/eval/bm25.h"

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

static void near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-12 * (1.0 + fabs(expected))))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

static double part(double n, double df, double tf, double length, double mean, double k1, double b)
{
    return log(1.0 + (n - df + 0.5) / (df + 0.5)) * tf * (k1 + 1.0) / (tf + k1 * (1.0 - b + b * length / mean));
}

static void test_by_hand(void **state)
{
    /* 4, 3, 0 and 5 words: 12 in 4 texts, mean 3 */
    static const char *const texts[] = {"Pleural effusion. Pleural thickening", "No effusion-seen", "",
                                        "T4: \303\234ber 6mm nodule, nodule"};
    cts_bm25 *m = NULL;
    double s[4];

    (void)state;
    assert_int_equal(cts_bm25_create(&m, texts, 4, 1.2, 0.75), CTS_OK);
    assert_int_equal(cts_bm25_words(m), 9); /* pleural effusion thickening no seen t4 über 6mm nodule */
    cts_bm25_score(m, "PLEURAL effusion, absent", s);
    near(s[0], part(4, 1, 2, 4, 3, 1.2, 0.75) + part(4, 2, 1, 4, 3, 1.2, 0.75));
    near(s[1], part(4, 2, 1, 3, 3, 1.2, 0.75));
    assert_true(s[2] == 0.0 && s[3] == 0.0);
    cts_bm25_score(m, "nodule nodule", s); /* twice asked counts twice */
    near(s[3], 2.0 * part(4, 1, 2, 5, 3, 1.2, 0.75));
    cts_bm25_score(m,
                   "\303\234"
                   "ber",
                   s);
    near(s[3], part(4, 1, 1, 5, 3, 1.2, 0.75));
    cts_bm25_score(m, " ,; ", s);
    for (int i = 0; i < 4; i++)
        assert_true(s[i] == 0.0);
    cts_bm25_destroy(m);

    /* other constants; b = 0 forgets the length */
    assert_int_equal(cts_bm25_create(&m, texts, 4, 2.0, 0.0), CTS_OK);
    cts_bm25_score(m, "effusion", s);
    near(s[0], part(4, 2, 1, 4, 3, 2.0, 0.0));
    near(s[1], s[0]);
    cts_bm25_destroy(m);
}

static void test_empty(void **state)
{
    static const char *const nothing[] = {"", " - "};
    cts_bm25 *m = NULL;
    double s[2] = {1.0, 1.0};

    (void)state;
    assert_int_equal(cts_bm25_create(&m, NULL, 0, 1.2, 0.75), CTS_OK);
    cts_bm25_score(m, "effusion", s);
    assert_true(s[0] == 1.0);
    cts_bm25_destroy(m);
    assert_int_equal(cts_bm25_create(&m, nothing, 2, 1.2, 0.75), CTS_OK);
    cts_bm25_score(m, "effusion", s);
    assert_true(s[0] == 0.0 && s[1] == 0.0);
    cts_bm25_destroy(m);
    cts_bm25_destroy(NULL);
}

#define TEXTS 300
#define VOCABULARY 4000 /* enough for the table of words to grow */

/* Random texts, scored by counting words the slow way. */
static void test_many(void **state)
{
    static char text[TEXTS][1024];
    static int count[TEXTS][VOCABULARY];
    const char *texts[TEXTS];
    cts_rng r = cts_rng_make(20251123);
    double s[TEXTS], mean = 0.0;
    int length[TEXTS];
    cts_bm25 *m = NULL;
    char query[64];

    (void)state;
    print_message("seed 20251123\n");
    for (int i = 0; i < TEXTS; i++) {
        int at = 0;

        texts[i] = text[i];
        length[i] = (int)(cts_rng_unit(&r) * 100);
        mean += length[i];
        for (int k = 0; k < length[i]; k++) {
            int w = (int)(cts_rng_unit(&r) * cts_rng_unit(&r) * VOCABULARY);

            count[i][w]++;
            at += snprintf(text[i] + at, sizeof text[i] - (size_t)at, "%sw%d", k ? (k % 3 ? " " : ", ") : "", w);
        }
    }
    mean /= TEXTS;
    assert_int_equal(cts_bm25_create(&m, texts, TEXTS, 1.2, 0.75), CTS_OK);
    for (int q = 0; q < 200; q++) {
        int w[2] = {(int)(cts_rng_unit(&r) * 50), (int)(cts_rng_unit(&r) * VOCABULARY)}, df[2] = {0};

        snprintf(query, sizeof query, "w%d W%d", w[0], w[1]);
        cts_bm25_score(m, query, s);
        for (int i = 0; i < TEXTS; i++)
            for (int k = 0; k < 2; k++)
                df[k] += count[i][w[k]] > 0;
        for (int i = 0; i < TEXTS; i++) {
            double want = 0.0;

            for (int k = 0; k < 2; k++)
                if (count[i][w[k]])
                    want += part(TEXTS, df[k], count[i][w[k]], length[i], mean, 1.2, 0.75);
            near(s[i], want);
        }
    }
    cts_bm25_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_by_hand), cmocka_unit_test(test_empty),
                                       cmocka_unit_test(test_many)};

    return cmocka_run_group_tests_name("bm25", tests, NULL, NULL);
}
