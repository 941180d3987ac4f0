/* Pools and lists of names to leave out, on names made by hand. SPDX-License-Identifier: MIT */
#include "query/eval/pool.h"
#include "tests/support/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"

static const char *const names[] = {"valid_1_a_10.nii.gz", "valid_1_a_2.nii.gz", "valid_2_a_1.nii.gz", "other",
                                    "valid_3_b_1.nii",     "valid_3_b_2",        "valid_4_a_1"};
#define N CTS_COUNT(names)

static cts_eval_set named(void)
{
    cts_eval_set s = {0};

    assert_int_equal(cts_eval_set_name_rows(&s, names, N, "names"), CTS_OK);
    return s;
}

/* The pool keeps exactly the rows whose digit in `expected` is 1. */
static cts_eval_pool_count keeps(const cts_eval_set *s, const char *pool, const cts_eval_exclude *x,
                                 const char *expected)
{
    const cts_eval_pool *p;
    cts_eval_pool_count c;
    bool kept[N];

    assert_int_equal(cts_eval_pool_find(&p, pool), CTS_OK);
    assert_int_equal(cts_eval_pool_choose(p, s->rows, s->n, x, kept, &c), CTS_OK);
    for (size_t i = 0; i < N; i++)
        if (kept[i] != (expected[i] == '1'))
            fail_msg("%s: row %zu (%s) is %s", pool, i, s->rows[i].name, kept[i] ? "kept" : "left out");
    assert_int_equal(c.before, N);
    assert_int_equal(c.before, c.n + c.excluded + c.reconstructions + c.same_report);
    return c;
}

static void test_rules(void **state)
{
    cts_eval_set s = named();
    cts_eval_pool_count c;

    (void)state;
    keeps(&s, "all", NULL, "1111111");
    keeps(&s, "ct-clip-3039", NULL, "1111111");
    keeps(&s, "scan-1564", NULL, "0111101"); /* 2 comes before 10 */
    keeps(&s, "scan-first", NULL, "0111101");
    c = keeps(&s, "spectre-1", NULL, "0010101");
    assert_int_equal(c.reconstructions, 4);
    cts_eval_set_free(&s);
}

static void test_colipri(void **state)
{
    cts_eval_set s = named();
    cts_eval_pool_count c = keeps(&s, "colipri-1493", NULL, "0111101"); /* nothing known: the lowest number */

    (void)state;
    assert_int_equal(c.without_voxel, 4);
    assert_int_equal(c.without_report, 5);
    s.rows[0].in_plane_mm = 0.6;
    s.rows[1].in_plane_mm = 0.7;
    s.rows[4].in_plane_mm = 0.5;
    s.rows[5].in_plane_mm = 0.5; /* equal: the lowest number */
    c = keeps(&s, "colipri-1493", NULL, "1011101");
    assert_int_equal(c.without_voxel, 0);
    s.rows[4].in_plane_mm = 0.0; /* one of the scan unknown: the lowest number */
    s.rows[5].in_plane_mm = 0.1;
    assert_int_equal(keeps(&s, "colipri-1493", NULL, "1011101").without_voxel, 2);
    s.rows[2].findings_text = "Clear lungs.";
    s.rows[4].findings_text = "Clear lungs. ";
    s.rows[6].findings_text = "Clear lungs.";
    s.rows[1].findings_text = "Clear lungs."; /* left out before texts are compared */
    c = keeps(&s, "colipri-1493", NULL, "1011100");
    assert_int_equal(c.same_report, 1);
    cts_eval_set_free(&s);
}

static void test_remarks(void **state)
{
    cts_eval_set s = named();
    const cts_eval_pool *p;
    cts_eval_pool_count c = keeps(&s, "colipri-1493", NULL, "0111101");
    cts_str out = {0};

    (void)state;
    assert_int_equal(cts_eval_pool_find(&p, "colipri-1493"), CTS_OK);
    cts_eval_pool_remarks(p, &c, false, &out);
    assert_non_null(strstr(cts_str_text(&out), "5 volumes here, 1493 on the validation part"));
    assert_non_null(strstr(cts_str_text(&out), "--exclude"));
    assert_non_null(strstr(cts_str_text(&out), "--metadata"));
    assert_non_null(strstr(cts_str_text(&out), "--reports"));
    cts_str_clear(&out);
    assert_int_equal(cts_eval_pool_find(&p, "all"), CTS_OK);
    c.without_voxel = c.without_report = 0;
    cts_eval_pool_remarks(p, &c, false, &out);
    assert_string_equal(cts_str_text(&out), "");
    cts_str_free(&out);
    cts_eval_set_free(&s);
    assert_int_equal(cts_eval_pool_find(&p, "some"), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "allowed: all, ct-clip-3039, scan-1564, colipri-1493, spectre-1"));
}

static void test_exclude(void **state)
{
    cts_eval_set s = named();
    cts_eval_exclude x = {0};
    const char *path;

    (void)state;
    path = cts_scratch_text("no_chest.txt", "# heads\r\nvalid_4_a_1.nii.gz\r\n\r\n  valid_1_a_2 # too\nunknown_1\n");
    assert_int_equal(cts_eval_exclude_load(&x, path), CTS_OK);
    assert_int_equal(x.n, 3);
    assert_int_equal(keeps(&s, "all", &x, "1011110").excluded, 2);
    keeps(&s, "scan-1564", &x, "1011100"); /* the other reconstruction stands for its scan */
    cts_eval_exclude_free(&x);

    path = cts_scratch_text("no_chest.csv", "n,VolumeName\n1,valid_2_a_1.nii.gz\n2,other\n");
    assert_int_equal(cts_eval_exclude_load(&x, path), CTS_OK);
    keeps(&s, "all", &x, "1100111");
    cts_eval_exclude_free(&x);

    path = cts_scratch_text("plain.csv", "valid_2_a_1.nii.gz\nother\n"); /* no header: lines */
    assert_int_equal(cts_eval_exclude_load(&x, path), CTS_OK);
    cts_eval_exclude_free(&x);

    path = cts_scratch_text("empty.txt", "# nobody\n");
    assert_int_equal(cts_eval_exclude_load(&x, path), CTS_E_INPUT);
    assert_int_equal(cts_eval_exclude_load(&x, "/nowhere/list.txt"), CTS_E_IO);
    assert_null(x.name);
    cts_eval_set_free(&s);
}

/* keep() moves every part of a row together. */
static void test_keep(void **state)
{
    cts_eval_set s = named();
    bool kept[N] = {false, true, false, true, false, false, true};
    int64_t scan[N], patient[N];

    (void)state;
    assert_int_equal(cts_eval_set_scans(&s, scan), CTS_OK);
    assert_true(scan[0] == scan[1] && scan[4] == scan[5] && scan[0] != scan[4] && scan[3] != scan[6]);
    assert_int_equal(cts_eval_set_patients(&s, patient), CTS_OK);
    assert_true(patient[0] == patient[1] && patient[0] != patient[2]);
    cts_eval_set_name_labels(&s, NULL);
    s.dim = 2;
    s.image = malloc(N * 2 * sizeof *s.image);
    s.score = malloc(N * CTS_FINDINGS * sizeof *s.score);
    s.labels = malloc(N * CTS_FINDINGS);
    s.labelled = malloc(N * sizeof *s.labelled);
    assert_true(s.image && s.score && s.labels && s.labelled);
    for (size_t i = 0; i < N; i++) {
        s.image[2 * i] = s.image[2 * i + 1] = (float)i;
        s.labelled[i] = i != 3;
        for (size_t f = 0; f < CTS_FINDINGS; f++) {
            s.score[i * CTS_FINDINGS + f] = (float)i;
            s.labels[i * CTS_FINDINGS + f] = (uint8_t)i;
        }
    }
    cts_eval_set_keep(&s, kept);
    assert_int_equal(s.n, 3);
    for (size_t i = 0; i < 3; i++) {
        const int from[] = {1, 3, 6};

        assert_true(s.image[2 * i + 1] == (float)from[i]);
        assert_true(s.score[i * CTS_FINDINGS + 17] == (float)from[i]);
        assert_int_equal(s.labels[i * CTS_FINDINGS + 17], from[i]);
        assert_int_equal(s.labelled[i], from[i] != 3);
    }
    assert_string_equal(s.rows[2].name, "valid_4_a_1");
    {
        size_t dropped;

        assert_int_equal(cts_eval_set_drop_unlabelled(&s, &dropped), CTS_OK);
        assert_int_equal(dropped, 1);
        assert_int_equal(s.n, 2);
        assert_int_equal(s.labels[CTS_FINDINGS], 6);
    }
    cts_eval_set_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),   cmocka_unit_test(test_colipri), cmocka_unit_test(test_remarks),
        cmocka_unit_test(test_exclude), cmocka_unit_test(test_keep),
    };

    return cmocka_run_group_tests(tests, cts_scratch_make, cts_scratch_remove);
}
