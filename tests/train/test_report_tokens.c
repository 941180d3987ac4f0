/* Reports as training text: sentences, sections, draws that are pure and within bounds.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/base/file.h"
#include "kernels/base/status.h"
#include "train/report_tokens.h"

#define SEED 11u
#define DRAWS 200

static const char *const findings[] = {
    "Heart size is normal. A nodule of 3.5 mm is seen. No effusion! Lungs are clear.", "The lungs are clear.", ""};
static const char *const impressions[] = {"Small nodule. Follow up.", "", "Normal chest."};

typedef struct {
    char dir[64];
    cts_tokenizer *t;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    char path[128];
    const char *texts[6];

    for (int i = 0; i < 3; i++) {
        texts[i] = findings[i];
        texts[3 + i] = impressions[i];
    }
    strcpy(f->dir, "/tmp/ctsearch-tokens-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(path, sizeof path, "%s/vocab.txt", f->dir);
    if (cts_wordpiece_train(path, texts, 6, 200) || cts_tokenizer_open(&f->t, path))
        fail_msg("%s", cts_error());
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    cts_tokenizer_close(f->t);
    assert_int_equal(cts_remove_tree(f->dir), CTS_OK);
    free(f);
    return 0;
}

static cts_report_tokens make(fixture *f, cts_draw_kind kind)
{
    cts_report_tokens r;

    if (cts_report_tokens_make(&r, f->t, findings, impressions, 3, kind, 3, SEED))
        fail_msg("%s", cts_error());
    return r;
}

/* Text of the ids between the two end tokens. */
static char *text_of(fixture *f, const int32_t *ids, int32_t n)
{
    char *text = NULL;

    assert_int_equal(cts_tokenizer_decode(f->t, ids + 1, (size_t)n - 2, &text), CTS_OK);
    return text;
}

static void test_sentences_and_sections(void **state)
{
    cts_report_tokens r = make(*state, CTS_DRAW_SENTENCES);

    assert_int_equal(r.report[0].n_findings, 4); /* the point in 3.5 ends nothing */
    assert_int_equal(r.report[0].n_sentences, 6);
    assert_int_equal(r.report[1].n_findings, 1);
    assert_int_equal(r.report[1].n_sentences, 1);
    assert_int_equal(r.report[2].n_findings, 0);
    assert_int_equal(r.report[2].n_sentences, 1);
    assert_true(r.report[0].key != r.report[1].key);
    cts_report_tokens_free(&r);
}

static void test_whole_report_is_the_same_every_time(void **state)
{
    cts_report_tokens r = make(*state, CTS_DRAW_REPORT);
    int32_t a[128], b[128], n = cts_report_tokens_draw(&r, 0, 0, a, 128);

    assert_int_equal(r.report[0].n_sentences, 2); /* the sections, uncut */
    assert_int_equal(n, 2 + (int32_t)r.report[0].at[2]);
    assert_int_equal(cts_report_tokens_draw(&r, 0, 5, b, 128), n);
    assert_memory_equal(a, b, (size_t)n * sizeof *a);
    assert_int_equal(a[0], r.first);
    assert_int_equal(a[n - 1], r.last);
    cts_report_tokens_free(&r);
}

/* The impression in the first three draws and in about half of the others, otherwise findings; pure in (report,
 * draw). */
static void test_draws_one_section_at_a_time(void **state)
{
    cts_report_tokens r = make(*state, CTS_DRAW_SENTENCES);
    int impressions_drawn = 0, different = 0;
    char *before = NULL;

    for (uint64_t draw = 0; draw < DRAWS; draw++) {
        int32_t a[128], b[128], n = cts_report_tokens_draw(&r, 0, draw, a, 128);
        char *text;
        int small, other;

        assert_int_equal(cts_report_tokens_draw(&r, 0, draw, b, 128), n);
        assert_memory_equal(a, b, (size_t)n * sizeof *a);
        text = text_of(*state, a, n);
        small = strstr(text, "small") != NULL;
        other = strstr(text, "heart") || strstr(text, "clear") || strstr(text, "seen") || strstr(text, "effusion");
        assert_true(small != other);
        assert_true(draw >= 3 || small);
        impressions_drawn += small;
        if (small)
            assert_non_null(strstr(text, "follow"));
        different += before && strcmp(before, text) != 0;
        free(before);
        before = text;
    }
    free(before);
    assert_in_range(impressions_drawn, DRAWS / 3, 2 * DRAWS / 3);
    assert_true(different > DRAWS / 2);
    cts_report_tokens_free(&r);
}

static void test_long_reports_are_cut_with_their_end(void **state)
{
    cts_report_tokens r = make(*state, CTS_DRAW_REPORT);
    int32_t a[8], n = cts_report_tokens_draw(&r, 0, 0, a, 8);

    assert_int_equal(n, 8);
    assert_int_equal(a[7], r.last);
    cts_report_tokens_free(&r);
}

static void test_empty_report_is_named(void **state)
{
    fixture *f = *state;
    const char *none[] = {"Clear.", ""}, *empty[] = {"", " "};
    cts_report_tokens r;

    assert_int_equal(cts_report_tokens_make(&r, f->t, none, empty, 2, CTS_DRAW_REPORT, 0, SEED), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "report 2"));
}

static void test_kinds_by_name(void **state)
{
    cts_draw_kind k = CTS_DRAW_REPORT;

    (void)state;
    assert_int_equal(cts_draw_kind_parse(&k, "sentences"), CTS_OK);
    assert_int_equal(k, CTS_DRAW_SENTENCES);
    assert_int_equal(cts_draw_kind_parse(&k, "words"), CTS_E_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences_and_sections),      cmocka_unit_test(test_whole_report_is_the_same_every_time),
        cmocka_unit_test(test_draws_one_section_at_a_time), cmocka_unit_test(test_long_reports_are_cut_with_their_end),
        cmocka_unit_test(test_empty_report_is_named),       cmocka_unit_test(test_kinds_by_name),
    };

    printf("seed %u\n", SEED);
    return cmocka_run_group_tests(tests, setup, teardown);
}
