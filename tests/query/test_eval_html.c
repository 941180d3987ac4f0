/* Charts and the page of an evaluation: well-formed, self-contained, escaped, every number finite.
 * SPDX-License-Identifier: MIT */
#include "query/eval/svg.h"

#include <ctype.h>
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
#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "query/eval/result.h"
#include "tests/support/scratch.h"

#define N 60
#define DEPTH 32
#define SEED 20251122

/* ---- a checker of well-formedness, as far as the page goes ---- */

static const char *skip_attributes(const char *p)
{
    while (*p && *p != '>' && *p != '/') {
        size_t name = strcspn(p, "= >/");

        if (!name || p[name] != '=' || p[name + 1] != '"')
            fail_msg("attribute without a quoted value at: %.60s", p);
        p += name + 2;
        p += strcspn(p, "\"<");
        if (*p != '"')
            fail_msg("attribute that does not end at: %.60s", p);
        p++;
        p += strspn(p, " ");
    }
    return p;
}

/* Every tag closed in order, every & an entity; fails the test otherwise. */
static void well_formed(const char *p)
{
    char open[DEPTH][24];
    int depth = 0;

    if (!strncmp(p, "<!DOCTYPE html>", 15))
        p += 15;
    while (*p) {
        size_t n;

        if (*p == '&') {
            n = strcspn(p, ";");
            if (n > 6 || !p[n])
                fail_msg("& that is no entity: %.40s", p);
        }
        if (*p != '<') {
            p++;
            continue;
        }
        if (p[1] == '/') {
            n = strcspn(p + 2, ">");
            if (!depth || strlen(open[depth - 1]) != n || strncmp(open[depth - 1], p + 2, n))
                fail_msg("</%.*s> closes %s", (int)n, p + 2, depth ? open[depth - 1] : "nothing");
            depth--;
            p += n + 3;
            continue;
        }
        n = strcspn(p + 1, " />");
        assert_true(n && n < sizeof open[0] && depth < DEPTH && isalpha((unsigned char)p[1]));
        snprintf(open[depth++], sizeof open[0], "%.*s", (int)n, p + 1);
        p = skip_attributes(p + 1 + n + strspn(p + 1 + n, " "));
        if (*p == '/') {
            depth--;
            p++;
        }
        if (*p != '>')
            fail_msg("tag that does not end at: %.40s", p);
        p++;
    }
    assert_int_equal(depth, 0);
}

/* Nothing that would be fetched or run, and no number that is none. */
static void self_contained(const char *page)
{
    static const char *const never[] = {"<script", "<link", "<img", "<iframe", "@import", "url(", "href=", "src="};
    cts_str lower = {0};

    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (strstr(page, never[i]))
            fail_msg("the page holds %s", never[i]);
    for (const char *p = page; (p = strstr(p, "http")); p++)
        if (strncmp(p, "http://www.w3.org/", 18)) /* names of namespaces */
            fail_msg("the page refers to %.40s", p);
    for (const char *p = page; *p; p++) {
        char c = (char)tolower((unsigned char)*p);

        cts_str_append_n(&lower, &c, 1);
    }
    for (const char *p = lower.p; (p = strpbrk(p, "ni")); p++) {
        bool word = !strncmp(p, "nan", 3) || !strncmp(p, "inf", 3);

        if (word && (p == lower.p || !isalpha((unsigned char)p[-1])) && !isalpha((unsigned char)p[3]))
            fail_msg("the page holds a number that is none: %.40s", p - 20);
    }
    cts_str_free(&lower);
}

/* ---- charts ---- */

static void test_text(void **state)
{
    cts_str s = {0};

    (void)state;
    cts_xml_text(&s, "a<b> & \"c\" 'd'\n\xc3\xa9");
    assert_string_equal(cts_str_text(&s), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39; \xc3\xa9");
    cts_str_free(&s);
}

static void test_chart(void **state)
{
    const cts_chart c = {100, 100, 10, 10, 10, 10, 1, 100, 0, 1, true};
    const double x[] = {1, 10, 100, NAN, 100}, y[] = {0, 0.5, 1.0, 0.2, INFINITY}, at[] = {1, 10, 100};
    cts_str s = {0};

    (void)state;
    assert_true(fabs(cts_chart_x(&c, 1) - 10) < 1e-12);
    assert_true(fabs(cts_chart_x(&c, 10) - 50) < 1e-12);
    assert_true(fabs(cts_chart_y(&c, 1) - 10) < 1e-12);
    assert_true(fabs(cts_chart_y(&c, 0) - 90) < 1e-12);
    cts_chart_begin(&c, &s, "a & b");
    cts_chart_grid_x(&c, &s, at, 3, true);
    cts_chart_grid_y(&c, &s, y, 2, true);
    cts_chart_line(&c, &s, x, y, 5, "c1");
    cts_chart_dots(&c, &s, x, y, 5, "c1");
    cts_chart_bar(&c, &s, 20, 8, 1, 10, 5, NAN, "c1fill");
    cts_chart_bar(&c, &s, 40, 8, 1, NAN, 5, 20, "c1fill");
    cts_chart_end(&s);
    well_formed(cts_str_text(&s));
    self_contained(cts_str_text(&s));
    assert_non_null(strstr(cts_str_text(&s), "points=\"10,90 90,10\"")); /* the middle point lies on the line */
    assert_non_null(strstr(cts_str_text(&s), "<title>a &amp; b</title>"));
    cts_str_free(&s);
}

/* Corners stay, points between them go. */
static void test_corners(void **state)
{
    const cts_chart c = {10, 10, 0, 0, 0, 0, 0, 1, 0, 1, false};
    const double x[] = {0, 0, 0, 0.5, 0.5, 1}, y[] = {0, 0.2, 0.5, 0.5, 1, 1};
    cts_str s = {0};

    (void)state;
    cts_chart_line(&c, &s, x, y, 6, "c1");
    assert_non_null(strstr(cts_str_text(&s), "points=\"0,10 0,5 5,5 5,0 10,0\""));
    cts_str_free(&s);
}

/* ---- the page ---- */

static void fill(cts_eval_set *s)
{
    char name[N][24];
    const char *names[N];
    cts_rng rng = cts_rng_make(SEED);

    for (int i = 0; i < N; i++) {
        snprintf(name[i], sizeof name[i], "v_%d_a_%d", i / 2, i % 2 + 1);
        names[i] = name[i];
    }
    assert_int_equal(cts_eval_set_name_rows(s, names, N, "names"), CTS_OK);
    cts_eval_set_name_labels(s, NULL);
    s->label_name[2] = "<script>&\"quoted\"";
    s->dim = 4;
    s->image = malloc(N * 4 * sizeof *s->image);
    s->text = malloc(N * 4 * sizeof *s->text);
    s->score = malloc(N * CTS_FINDINGS * sizeof *s->score);
    s->labels = malloc(N * CTS_FINDINGS);
    s->labelled = malloc(N * sizeof *s->labelled);
    assert_true(s->image && s->text && s->score && s->labels && s->labelled);
    for (int i = 0; i < N; i++) {
        s->labelled[i] = true;
        for (int d = 0; d < 4; d++) {
            s->image[4 * i + d] = d == i % 4;
            s->text[4 * i + d] = d == i / 2 % 4;
        }
        for (int f = 0; f < CTS_FINDINGS; f++) {
            s->labels[i * CTS_FINDINGS + f] = f == 4 ? 0 : cts_rng_unit(&rng) < 0.3; /* one label of one class */
            s->score[i * CTS_FINDINGS + f] = (float)cts_rng_unit(&rng);
        }
    }
    cts_str_append(&s->remarks, "a remark with <angles> & more\n");
    assert_int_equal(cts_eval_set_add_floats(s, "im<ages", "a&b.npy", s->image, 4), CTS_OK);
}

/* Write the page of a task, check it, and hand it over; free() it. */
static char *page_of(cts_eval_task task, size_t resamples, const cts_eval_set *val)
{
    const char *const verb[] = {"recall", "classify", "map"};
    cts_eval_plan plan = {
        .protocol = cts_eval_protocol_default(task), .ks = {1, 5, 10, 100, 0}, .resamples = resamples};
    cts_eval_result r = {.verb = verb[task], .protocol = plan.protocol};
    cts_eval_set s = {0};
    const char *path = cts_scratch("page.html");
    char *page;
    size_t n;
    int rc;

    fill(&s);
    assert_int_equal(cts_eval_pool_find(&r.pool, "all"), CTS_OK);
    plan.pool = r.pool;
    plan.seed = SEED;
    plan.val = val;
    rc = task == CTS_TASK_RECALL ? cts_eval_recall(&r, &s, &plan)
         : task == CTS_TASK_MAP  ? cts_eval_map(&r, &s, &plan)
                                 : cts_eval_classify(&r, &s, &plan);
    if (rc)
        fail_msg("%s", cts_error());
    assert_int_equal(cts_eval_result_html(&r, path), CTS_OK);
    assert_int_equal(cts_file_read(&page, &n, path, (size_t)16 << 20), CTS_OK);
    well_formed(page);
    self_contained(page);
    assert_non_null(strstr(page, "a remark with &lt;angles&gt; &amp; more"));
    assert_non_null(strstr(page, "im&lt;ages"));
    assert_int_equal(cts_eval_result_html(&r, "/nowhere/page.html"), CTS_E_IO);
    cts_eval_result_free(&r);
    cts_eval_set_free(&s);
    return page;
}

static size_t count(const char *page, const char *what)
{
    size_t n = 0;

    for (const char *p = page; (p = strstr(p, what)); p++)
        n++;
    return n;
}

static void test_classify_page(void **state)
{
    cts_eval_set val = {0};
    char *page;

    (void)state;
    fill(&val);
    page = page_of(CTS_TASK_CLASSIFY, 50, &val);
    assert_int_equal(count(page, "<svg"), 17 + 2); /* the label of one class has no curve */
    assert_non_null(strstr(page, "one class only"));
    assert_non_null(strstr(page, "&lt;script&gt;&amp;&quot;quoted&quot;"));
    assert_non_null(strstr(page, "f1_bin@val"));
    assert_non_null(strstr(page, "is worse than chance")); /* scores are random: some lie below */
    free(page);
    page = page_of(CTS_TASK_CLASSIFY, 0, NULL);
    assert_null(strstr(page, "f1_bin@val</td>"));
    free(page);
    cts_eval_set_free(&val);
}

static void test_recall_page(void **state)
{
    char *page = page_of(CTS_TASK_RECALL, 50, NULL); /* k = 100 is beyond the pool: undefined */

    (void)state;
    assert_int_equal(count(page, "<svg"), 2);
    assert_non_null(strstr(page, "t2i_scan_r@5"));
    assert_non_null(strstr(page, "median rank"));
    free(page);
}

static void test_map_page(void **state)
{
    char *page = page_of(CTS_TASK_MAP, 50, NULL);

    (void)state;
    assert_int_equal(count(page, "<svg"), 3);
    assert_non_null(strstr(page, "map_ctclip_running@10"));
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),          cmocka_unit_test(test_chart),       cmocka_unit_test(test_corners),
        cmocka_unit_test(test_classify_page), cmocka_unit_test(test_recall_page), cmocka_unit_test(test_map_page),
    };

    return cmocka_run_group_tests(tests, cts_scratch_make, cts_scratch_remove);
}
