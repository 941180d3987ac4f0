/* Inputs of an evaluation: .npy files, the names of their rows, CSVs joined by name, and an index.
 * SPDX-License-Identifier: MIT */
#include "query/eval/input.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "kernels/base/file.h"
#include "kernels/base/half.h"
#include "kernels/base/npy.h"
#include "kernels/base/status.h"
#include "query/eval/labels.h"
#include "query/eval/npy.h"
#include "tests/support/scratch.h"

#define N 4
#define D 3

static const cts_common common = {.threads = 1, .device = "cpu"};
static const float images[N * D] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0.6f, 0.8f, 0};
static const char *const names[N] = {"v_1_a_1", "v_1_a_2", "v_2_a_1", "v_3_a_1"};

static const char *npy(const char *name, const float *rows, size_t n, size_t d)
{
    const char *p = cts_scratch(name);

    assert_int_equal(cts_npy_save_f32(p, rows, n, d), CTS_OK);
    return p;
}

/* A labels CSV of the four names: row i has finding i and nothing else. */
static const char *labels_csv(const char *name, const char *extra_row)
{
    cts_str s = {0};
    const char *p;

    cts_str_append(&s, "VolumeName");
    for (int f = 0; f < CTS_FINDINGS; f++)
        cts_str_printf(&s, ",%s", cts_findings[f].name);
    cts_str_append(&s, "\n");
    for (int i = 0; i < N; i++) {
        cts_str_printf(&s, "%s.nii.gz", names[i]);
        for (int f = 0; f < CTS_FINDINGS; f++)
            cts_str_append(&s, f == i ? ",1" : ",0");
        cts_str_append(&s, "\n");
    }
    cts_str_append(&s, extra_row);
    p = cts_scratch_text(name, cts_str_text(&s));
    cts_str_free(&s);
    return p;
}

static int open_input(cts_eval_set *s, const cts_eval_input *in, cts_eval_needs needs)
{
    cts_eval_input with_pool = *in;
    cts_session session = {0};
    cts_model_set models = {.n = 0};
    cts_zeroshot z = {0};
    int rc;

    if (!with_pool.pool)
        assert_int_equal(cts_eval_pool_find(&with_pool.pool, "all"), CTS_OK);
    rc = cts_eval_input_open(s, &with_pool, &needs, &session, &z, &models, &common);
    cts_zeroshot_clear(&z);
    cts_model_set_close(&models);
    cts_session_close(&session);
    return rc;
}

/* The input is refused with this status, and the sentence holds `word`. */
static void refuses(const cts_eval_input *in, cts_eval_needs needs, int status, const char *word)
{
    cts_eval_set s = {0};
    int rc = open_input(&s, in, needs);

    if (rc != status || !strstr(cts_error(), word))
        fail_msg("status %d, expected %d; looked for \"%s\" in: %s", rc, status, word, cts_error());
    cts_eval_set_free(&s);
}

static void test_vectors(void **state)
{
    const cts_eval_needs pairs = {.images = true, .texts = true};
    cts_eval_input in = {.images = npy("i.npy", images, N, D), .names = labels_csv("names.csv", "")};
    float doubled[N * D], bad[N * D];
    cts_eval_set s = {0};

    (void)state;
    for (int i = 0; i < N * D; i++)
        doubled[i] = 2.0f * images[i];
    in.texts = npy("t.npy", doubled, N, D);
    assert_int_equal(open_input(&s, &in, pairs), CTS_OK);
    assert_int_equal(s.n, N);
    assert_memory_equal(s.image, images, sizeof images); /* unit rows stay as they are */
    for (int i = 0; i < N * D; i++)
        assert_true(fabsf(s.text[i] - images[i]) <= 1e-7f);
    assert_non_null(strstr(cts_str_text(&s.remarks), "normalised"));
    assert_int_equal(s.n_sources, 2);
    assert_string_equal(s.source[1].what, "texts");
    assert_int_equal(strlen(s.source[1].sha256), 64);
    assert_string_equal(s.rows[1].scan, "v_1_a");
    assert_string_equal(s.rows[1].patient, "v_1");
    assert_int_equal(s.rows[1].reconstruction, 2);
    cts_eval_set_free(&s);

    in.texts = npy("short.npy", images, N - 1, D);
    refuses(&in, pairs, CTS_E_MISMATCH, "short.npy: got 3 x 3, allowed: 4 x 3");
    in.texts = NULL;
    refuses(&in, pairs, CTS_E_USAGE, "--texts");
    in.images = NULL;
    in.texts = npy("t.npy", images, N, D);
    refuses(&in, pairs, CTS_E_USAGE, "--images");
    memcpy(bad, images, sizeof bad);
    bad[2 * D + 1] = NAN;
    in.images = npy("nan.npy", bad, N, D);
    refuses(&in, pairs, CTS_E_INPUT, "nan.npy: row 2, v_2_a_1 has a component that is not a finite number");
    memset(bad + 3 * D, 0, D * sizeof *bad);
    bad[2 * D + 1] = 0.0f;
    in.images = npy("zero.npy", bad, N, D);
    refuses(&in, pairs, CTS_E_INPUT, "zero.npy: row 3, v_3_a_1 is all zeros");
    in.images = npy("none.npy", images, 0, D);
    refuses(&in, pairs, CTS_E_INPUT, "at least one row");
}

/* Texts with names of their own go to the images of those names, whatever the order. */
static void test_paired_by_name(void **state)
{
    const cts_eval_needs pairs = {.images = true, .texts = true};
    const float texts[5 * D] = {0, 0, 1, 0.6f, 0.8f, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1};
    cts_eval_input in = {.images = npy("pi.npy", images, N, D), .texts = npy("pt.npy", texts, 5, D)};
    cts_eval_set s = {0};

    (void)state;
    cts_scratch_text("pi.json", "{\"ids\": [\"a\", \"b\", \"c\", \"d\"]}");
    refuses(&in, pairs, CTS_E_MISMATCH, "got 5 x 3, allowed: 4 x 3");
    cts_scratch_text("pt.json", "{\"ids\": [\"c\", \"d\", \"a\", \"b\", \"e\"]}");
    assert_int_equal(open_input(&s, &in, pairs), CTS_OK);
    assert_memory_equal(s.text, images, sizeof images);
    cts_eval_set_free(&s);
    cts_scratch_text("pt.json", "{\"ids\": [\"c\", \"d\", \"a\", \"x\", \"e\"]}");
    assert_int_equal(open_input(&s, &in, pairs), CTS_OK);
    assert_int_equal(s.n, N - 1);
    assert_int_equal(s.skipped, 1);
    assert_string_equal(s.rows[1].name, "c");
    assert_true(s.text[D + 2] == 1.0f);
    assert_non_null(strstr(cts_str_text(&s.remarks), "none for 1 of 4 images"));
    cts_eval_set_free(&s);
}

static void test_names(void **state)
{
    const cts_eval_needs needs = {.images = true};
    cts_eval_input in = {.images = npy("i.npy", images, N, D)};
    cts_eval_set s = {0};

    (void)state;
    refuses(&in, needs, CTS_E_USAGE, "--names CSV");
    cts_scratch_text("i.json", "{\"ids\": [\"a\", \"b.nii.gz\", \"c\", \"d\"]}");
    assert_int_equal(open_input(&s, &in, needs), CTS_OK);
    assert_string_equal(s.rows[1].name, "b");
    assert_string_equal(s.rows[1].scan, "b"); /* stands for itself */
    cts_eval_set_free(&s);
    in.names = labels_csv("names.csv", ""); /* goes before the .json */
    assert_int_equal(open_input(&s, &in, needs), CTS_OK);
    assert_string_equal(s.rows[3].name, "v_3_a_1");
    cts_eval_set_free(&s);
    in.names = NULL;

    cts_scratch_text("i.json", "{\"ids\": [\"a\", \"b\", \"c\"]}");
    refuses(&in, needs, CTS_E_INPUT, "ids has 3 names, but");
    cts_scratch_text("i.json", "{\"ids\": [\"a\", \"b\", \"c\", \"b.nii\"]}");
    refuses(&in, needs, CTS_E_INPUT, "the name b is in rows 1 and 3");
    cts_scratch_text("i.json", "{\"ids\": [\"a\", \"b\", \"c\", 4]}");
    refuses(&in, needs, CTS_E_FORMAT, "ids[3]");
    cts_scratch_text("i.json", "{\"ids\": [\"a\", \"\", \"c\", \"d\"]}");
    refuses(&in, needs, CTS_E_INPUT, "row 1 is empty");
    unlink(cts_scratch("i.json"));
    in.data.labels = labels_csv("five.csv", "v_9_a_1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0\n");
    refuses(&in, needs, CTS_E_INPUT, "4 rows, but");
    in.names = cts_scratch_text("noname.csv", "Volume,x\na,1\nb,1\nc,1\nd,1\n");
    refuses(&in, needs, CTS_E_FORMAT, "VolumeName, NoteAcc_DEID or AccessionNo");
}

static void test_scores(void **state)
{
    const cts_eval_needs needs = {.scores = true, .labels = true};
    float p[N * CTS_FINDINGS];
    cts_eval_input in = {.data.labels = labels_csv("labels.csv", "ghost_1_a_1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1\n"),
                         .names = labels_csv("names.csv", "")};
    cts_eval_set s = {0};

    (void)state;
    for (int i = 0; i < N * CTS_FINDINGS; i++)
        p[i] = (float)i / (N * CTS_FINDINGS);
    in.scores = npy("s.npy", p, N, CTS_FINDINGS);
    assert_int_equal(open_input(&s, &in, needs), CTS_OK);
    assert_memory_equal(s.score, p, sizeof p);
    for (int i = 0; i < N; i++)
        for (int f = 0; f < CTS_FINDINGS; f++)
            assert_int_equal(s.labels[i * CTS_FINDINGS + f], i == f);
    cts_eval_set_free(&s);

    p[2 * CTS_FINDINGS + 9] = NAN;
    in.scores = npy("nan.npy", p, N, CTS_FINDINGS);
    refuses(&in, needs, CTS_E_INPUT, "nan.npy: row 2 (v_2_a_1), Lung nodule: the score is not a number");
    in.logits = true;
    refuses(&in, needs, CTS_E_INPUT, "row 2 (v_2_a_1), Lung nodule");
    p[2 * CTS_FINDINGS + 9] = -3.0f;
    in.scores = npy("logit.npy", p, N, CTS_FINDINGS);
    assert_int_equal(open_input(&s, &in, needs), CTS_OK);
    assert_true(fabs(s.score[2 * CTS_FINDINGS + 9] - 1.0 / (1.0 + exp(3.0))) < 1e-7);
    cts_eval_set_free(&s);
    in.logits = false;
    refuses(&in, needs, CTS_E_INPUT, "got -3, allowed: probabilities from 0 to 1");
    in.scores = npy("narrow.npy", p, N, 5);
    refuses(&in, needs, CTS_E_INPUT, "5 columns, allowed: 18");
}

static void test_labels(void **state)
{
    const cts_eval_needs needs = {.scores = true, .labels = true};
    float p[N * CTS_FINDINGS] = {0};
    cts_eval_input in = {.names = labels_csv("names.csv", ""), .scores = npy("s.npy", p, N, CTS_FINDINGS)};

    (void)state;
    in.data.labels = cts_scratch_text("column.csv", "VolumeName,Emphysema\nv_1_a_1,0\n");
    refuses(&in, needs, CTS_E_FORMAT, "Medical material");
    in.data.labels = labels_csv("twice.csv", "v_1_a_1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0\n");
    refuses(&in, needs, CTS_E_INPUT, "the name v_1_a_1 is on lines 2 and 6");
    in.names = in.data.labels;
    in.data.labels = labels_csv("ok.csv", "");
    refuses(&in, needs, CTS_E_INPUT, "4 rows, but");
    in.names = cts_scratch_text("renamed.csv", "VolumeName\na\nb\nc\nd\n");
    refuses(&in, needs, CTS_E_INPUT, "none of its 4 names is among the 4 volumes (a, ...)");
    in.names = cts_scratch_text("some.csv", "VolumeName\nv_1_a_1\nb\nc\nd\n");
    in.data.labels = labels_csv("seven.csv", "b,0,0,7,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0\n");
    refuses(&in, needs, CTS_E_INPUT, "seven.csv: line 6, Cardiomegaly: got \"7\", allowed: 0 or 1");
}

/* The label sets of Rad-ChestCT from its own columns, from a file in our names, and the scores with them. */
static void test_maps(void **state)
{
    const cts_eval_needs needs = {.scores = true, .labels = true};
    cts_eval_input in = {.names = labels_csv("names.csv", "")};
    float p[N * CTS_FINDINGS] = {0};
    cts_eval_set s = {0};
    cts_str text = {0};

    (void)state;
    assert_int_equal(cts_label_map_find("ctclip-16", &in.map), CTS_OK);
    p[1] = 0.25f;
    p[4] = 0.75f;
    in.scores = npy("s.npy", p, N, CTS_FINDINGS);
    cts_str_append(&text, "NoteAcc_DEID,nodule*right_upper,nodule*left_lung,age");
    for (size_t i = 0; i < in.map->n; i++)
        if (strcmp(in.map->rule[i].column[0], "nodule"))
            cts_str_printf(&text, ",%s*other_location", in.map->rule[i].column[0]);
    for (int i = 0; i < N; i++) {
        cts_str_printf(&text, "\n%s,0,%d,63", names[i], i == 2);
        for (size_t c = 1; c < in.map->n; c++)
            cts_str_append(&text, c == 2 ? ",1" : ",0"); /* the second column but nodule: calcification */
    }
    in.data.labels = cts_scratch_text("rad.csv", cts_str_text(&text));
    cts_str_free(&text);
    assert_int_equal(open_input(&s, &in, needs), CTS_OK);
    assert_int_equal(s.n_labels, 16);
    assert_string_equal(s.label_name[1], "Calcification");
    assert_true(s.score[1] == 0.75f);
    assert_int_equal(s.labels[1], 1);
    for (size_t i = 0; i < 16; i++)
        assert_int_equal(s.labels[2 * 16 + i], i == 1 || !strcmp(s.label_name[i], "Lung nodule"));
    cts_eval_set_free(&s);

    in.data.labels = cts_scratch_text("fewer.csv", "NoteAcc_DEID,nodule\nv_1_a_1,0\n");
    refuses(&in, needs, CTS_E_INPUT, "fewer.csv");
    in.data.labels = labels_csv("ours.csv", "");
    assert_int_equal(open_input(&s, &in, needs), CTS_OK);
    assert_int_equal(s.labels[16 + 1], 1); /* row 1 has Arterial wall calcification */
    cts_eval_set_free(&s);
}

/* A label CSV in another order of columns: joined by their names, and said where scores have none. */
static void test_column_order(void **state)
{
    const cts_eval_needs needs = {.scores = true, .labels = true};
    float p[N * CTS_FINDINGS] = {0};
    cts_eval_input in = {.names = labels_csv("names.csv", ""), .scores = npy("s.npy", p, N, CTS_FINDINGS)};
    cts_eval_set s = {0};
    cts_str text = {0};

    (void)state;
    cts_str_append(&text, "VolumeName");
    for (int f = CTS_FINDINGS; f-- > 0;)
        cts_str_printf(&text, ",%s", cts_findings[f].name);
    for (int i = 0; i < N; i++) {
        cts_str_printf(&text, "\n%s", names[i]);
        for (int f = CTS_FINDINGS; f-- > 0;)
            cts_str_append(&text, f == 4 && i == 0 ? ",1" : ",0"); /* the first volume: coronary calcification */
    }
    in.data.labels = cts_scratch_text("reversed.csv", cts_str_text(&text));
    cts_str_free(&text);
    assert_int_equal(open_input(&s, &in, needs), CTS_OK);
    for (int i = 0; i < N * CTS_FINDINGS; i++)
        assert_int_equal(s.labels[i], i == 4);
    assert_non_null(strstr(cts_str_text(&s.remarks), "reversed.csv: its columns stand in another order"));
    cts_eval_set_free(&s);
    /* a label that joins two findings has both columns */
    assert_int_equal(cts_label_map_find("ctclip-16", &in.map), CTS_OK);
    assert_int_equal(open_input(&s, &in, needs), CTS_OK);
    for (int i = 0; i < N * 16; i++)
        assert_int_equal(s.labels[i], i == 1);
    cts_eval_set_free(&s);
    in.map = NULL;
    in.data.labels = labels_csv("ok.csv", "");
    assert_int_equal(open_input(&s, &in, needs), CTS_OK);
    assert_null(strstr(cts_str_text(&s.remarks), "another order"));
    cts_eval_set_free(&s);
    in.data.labels = cts_scratch_text("radchest.csv", "NoteAcc_DEID,nodule*right_upper\nv_1_a_1,0\n");
    refuses(&in, needs, CTS_E_INPUT,
            "radchest.csv: its columns are those of Rad-ChestCT, allowed: with one of --protocol");
}

/* float16 and float64 as NumPy writes them. */
static void test_types(void **state)
{
    static const char head16[] = "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2), }";
    uint8_t bytes[128 + 8] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 118, 0};
    const float value[4] = {1.0f, -0.5f, 65504.0f, 0.333251953125f};
    const char *p = cts_scratch("half.npy");
    float *rows;
    size_t n, d;

    (void)state;
    memset(bytes + 10, ' ', 118);
    memcpy(bytes + 10, head16, sizeof head16 - 1);
    bytes[127] = '\n';
    for (int i = 0; i < 4; i++) {
        uint16_t h = cts_f32_to_f16(value[i]);

        bytes[128 + 2 * i] = (uint8_t)(h & 255);
        bytes[129 + 2 * i] = (uint8_t)(h >> 8);
    }
    assert_int_equal(cts_file_write_atomic(p, bytes, sizeof bytes), CTS_OK);
    assert_int_equal(cts_npy_load_f32(&rows, &n, &d, p), CTS_OK);
    assert_true(n == 2 && d == 2);
    assert_memory_equal(rows, value, sizeof value);
    free(rows);
}

static void test_prompts(void **state)
{
    const cts_eval_needs needs = {.images = true, .scores = true, .labels = true};
    float prompt[2 * CTS_FINDINGS * D] = {0};
    cts_eval_input in = {.images = npy("i.npy", images, N, D), .data.labels = labels_csv("labels.csv", "")};
    cts_eval_set s = {0};

    (void)state;
    refuses(&in, needs, CTS_E_USAGE, "--prompts-npy");
    for (int f = 0; f < CTS_FINDINGS; f++) {
        prompt[2 * f * D] = 3.0f; /* present along x, not present along y; not of unit length */
        prompt[(2 * f + 1) * D + 1] = 1.0f;
    }
    in.prompts = npy("p.npy", prompt, 2 * CTS_FINDINGS, D);
    assert_int_equal(open_input(&s, &in, needs), CTS_OK);
    assert_true(fabs(s.score[0] - 1.0 / (1.0 + exp(-exp(1.0)))) < 1e-6);
    assert_true(fabs(s.score[3 * CTS_FINDINGS + 5] - 1.0 / (1.0 + exp(0.2 * exp(1.0)))) < 1e-6);
    assert_non_null(strstr(cts_str_text(&s.remarks), "p.npy"));
    cts_eval_set_free(&s);
    in.scale = 10.0;
    assert_int_equal(open_input(&s, &in, needs), CTS_OK);
    assert_true(fabs(s.score[0] - 1.0 / (1.0 + exp(-10.0))) < 1e-6);
    cts_eval_set_free(&s);
    in.prompts = npy("few.npy", prompt, CTS_FINDINGS, D);
    refuses(&in, needs, CTS_E_MISMATCH, "got 18 x 3, allowed: 36 x 3");
}

/* ---- an index ---- */

static void add(cts_index *ix, const char *name, const char *scan, int axis, bool with_text, uint32_t known)
{
    float v[D + 1] = {0};
    cts_index_item item = {
        .name = name, .image = v, .text = with_text ? v : NULL, .scan = scan, .labels = 5, .labels_known = known};

    v[axis] = 1.0f;
    assert_int_equal(cts_index_add(ix, &item, 1, false, NULL), CTS_OK);
}

static void test_index(void **state)
{
    const uint32_t all = (1u << CTS_FINDINGS) - 1;
    cts_eval_input in = {.index = cts_scratch("ix")};
    cts_index *ix = NULL;
    cts_eval_set s = {0};
    size_t dropped;

    (void)state;
    assert_int_equal(cts_index_create(&ix, in.index, &(cts_index_options){.dim = D + 1}), CTS_OK);
    add(ix, "p_1_a_10", "p_1_a", 0, true, all); /* 10 comes after 2, though not as text */
    add(ix, "p_1_a_2", "p_1_a", 1, true, all);
    add(ix, "other", "", 2, true, 0);
    add(ix, "another", "", 3, true, 1);
    add(ix, "p_2_a_1", "p_2_a", 1, false, all); /* no report */
    cts_index_close(ix);

    assert_int_equal(open_input(&s, &in, (cts_eval_needs){.images = true, .texts = true}), CTS_OK);
    assert_int_equal(s.n, 4);
    assert_int_equal(s.skipped, 1);
    assert_string_equal(s.rows[0].name, "p_1_a_10");
    assert_true(s.labelled[0]);
    assert_int_equal(s.labels[0], 1);
    assert_int_equal(s.labels[1], 0);
    assert_int_equal(s.labels[2], 1);
    assert_false(s.labelled[2]);
    assert_false(s.labelled[3]); /* some labels known is not labelled */
    assert_true(s.text[0] == 1.0f);
    cts_eval_set_free(&s);

    assert_int_equal(cts_eval_pool_find(&in.pool, "scan-1564"), CTS_OK);
    assert_int_equal(open_input(&s, &in, (cts_eval_needs){.images = true, .labels = true}), CTS_OK);
    assert_int_equal(s.n, 4);
    assert_int_equal(s.skipped, 0);
    assert_string_equal(s.rows[0].name, "p_1_a_2");
    assert_string_equal(s.rows[1].name, "other");
    assert_string_equal(s.rows[2].name, "another");
    assert_string_equal(s.rows[3].name, "p_2_a_1");
    assert_int_equal(cts_eval_set_drop_unlabelled(&s, &dropped), CTS_OK);
    assert_int_equal(dropped, 2);
    cts_eval_set_free(&s);
    assert_int_equal(cts_label_map_find("hlip-15", &in.map), CTS_OK);
    assert_int_equal(open_input(&s, &in, (cts_eval_needs){.images = true, .labels = true}), CTS_OK);
    assert_int_equal(s.n_labels, 15);
    assert_string_equal(s.label_name[1], "Cardiomegaly");
    assert_int_equal(s.labels[1], 1);
    cts_eval_set_free(&s);
}

/* Reports and metadata are joined by name and decide the pool. */
static void test_joined(void **state)
{
    cts_eval_input in = {.images = npy("i.npy", images, N, D), .names = labels_csv("names.csv", "")};
    cts_eval_set s = {0};

    (void)state;
    in.data.reports =
        cts_scratch_text("reports.csv", "VolumeName,Findings_EN\nv_2_a_1,Same.\nv_3_a_1.nii.gz,Same.\nv_1_a_1,Other.\n"
                                        "v_1_a_2,Other.\nx,y\n");
    in.data.metadata =
        cts_scratch_text("meta.csv", "VolumeName,XYSpacing\nv_1_a_1,\"[0.8, 0.8]\"\nv_1_a_2,\"[0.7, 0.7]\"\n");
    in.exclude = cts_scratch_text("no_chest.txt", "nobody\n");
    assert_int_equal(cts_eval_pool_find(&in.pool, "colipri-1493"), CTS_OK);
    assert_int_equal(open_input(&s, &in, (cts_eval_needs){.images = true}), CTS_OK);
    assert_int_equal(s.n, 2);
    assert_string_equal(s.rows[0].name, "v_1_a_2");
    assert_string_equal(s.rows[1].name, "v_2_a_1");
    cts_eval_set_free(&s);
    in.data.metadata = cts_scratch_text("badmeta.csv", "VolumeName,XYSpacing\nv_1_a_1,none\n");
    refuses(&in, (cts_eval_needs){.images = true}, CTS_E_INPUT, "badmeta.csv: line 2");
    in.data.metadata = NULL;
    in.exclude = cts_scratch_text("everyone.txt", "v_1_a_1\nv_1_a_2\nv_2_a_1\nv_3_a_1\n");
    refuses(&in, (cts_eval_needs){.images = true}, CTS_E_INPUT, "got no volume");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_names),        cmocka_unit_test(test_paired_by_name),
        cmocka_unit_test(test_scores),  cmocka_unit_test(test_labels),       cmocka_unit_test(test_maps),
        cmocka_unit_test(test_types),   cmocka_unit_test(test_prompts),      cmocka_unit_test(test_index),
        cmocka_unit_test(test_joined),  cmocka_unit_test(test_column_order),
    };

    return cmocka_run_group_tests(tests, cts_scratch_make, cts_scratch_remove);
}
