/* Prompt banks: what the built-in ones say, files of one's own, and the spread over phrasings made by hand.
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

#include "kernels/base/file.h"
#include "kernels/base/status.h"
#include "query/zeroshot.h"

static void says(const char *bank, const char *finding, const char *affirming, const char *denying)
{
    int f = cts_finding_find(finding);
    cts_prompt_bank *b = NULL;

    assert_true(f >= 0);
    assert_int_equal(cts_prompt_bank_open(&b, bank), CTS_OK);
    assert_string_equal(b->text[f][0][0], affirming);
    assert_string_equal(b->text[f][0][1], denying);
    cts_prompt_bank_close(b);
}

static void built_in(void **state)
{
    (void)state;
    says("ctclip", "Lung nodule", "Lung nodule is present.", "Lung nodule is not present.");
    says("ctclip-train", "Lung nodule", "There is Lung nodule.", "There is no Lung nodule.");
    says("fvlm", "Lung nodule", "Nodule.", "Not Nodule.");
    says("fvlm", "Pulmonary fibrotic sequela", "Pulmonary fibrotic.", "Not Pulmonary fibrotic.");
    says("fvlm", "Pleural effusion", "Pleural effusion.", "Not Pleural effusion.");
    says("hlip", "Lung nodule", "The volume shows: Lung nodule.", "The volume shows: Not lung nodule.");
    says("hlip", "Atelectasis", "The volume shows: Atelectasis.", "The volume shows: Not atelectatic.");
    says("merlin", "Hiatal hernia", "hiatal hernia", "no hiatal hernia");
    says("ensemble", "Cardiomegaly", "Cardiomegaly is present.", "Cardiomegaly is not present.");
}

/* Every finding of every bank has as many affirming as denying texts, all different, nothing left to fill in. */
static void complete(void **state)
{
    (void)state;
    assert_in_range(cts_prompt_bank_count(), 6, 64);
    for (size_t i = 0; i < cts_prompt_bank_count(); i++) {
        cts_prompt_bank *b = NULL;

        assert_int_equal(cts_prompt_bank_open(&b, cts_prompt_bank_name(i)), CTS_OK);
        assert_string_equal(b->name, cts_prompt_bank_name(i));
        for (int f = 0; f < CTS_FINDINGS; f++) {
            assert_in_range(b->n[f], strcmp(b->name, "ensemble") ? 1 : 5, CTS_PROMPT_PAIRS);
            for (int k = 0; k < 2 * b->n[f]; k++) {
                const char *text = b->text[f][k / 2][k % 2];

                assert_true(strlen(text) > 4 && !strpbrk(text, "{}"));
                for (int m = 0; m < k; m++)
                    assert_string_not_equal(text, b->text[f][m / 2][m % 2]);
            }
        }
        cts_prompt_bank_close(b);
    }
}

static char path[128];

static int open_text(cts_prompt_bank **b, const char *text)
{
    assert_int_equal(cts_file_write_atomic(path, text, strlen(text)), CTS_OK);
    return cts_prompt_bank_open(b, path);
}

static void files(void **state)
{
    static const char *const bad[][2] = {
        {"[]", "no JSON object"},
        {"{\"default\": [[\"a\", \"b\"]]}", "name"},
        {"{\"name\": \"x\"}", "Medical material has no prompts"},
        {"{\"name\": \"x\", \"default\": []}", "no list of pairs"},
        {"{\"name\": \"x\", \"default\": [[\"a\"]]}", "entry 1 is no pair"},
        {"{\"name\": \"x\", \"default\": [[\"a\", \" \"]]}", "entry 1 is no pair"},
        {"{\"name\": \"x\", \"default\": [[\"a\", \"b\"]], \"odd\": 1}", "\"odd\" is unknown"},
        {"{\"name\": \"x\", \"default\": [[\"a\", \"b\"]], \"findings\": {\"Flu\": [[\"a\", \"b\"]]}}",
         "none of the 18"},
        {"{\"name\": \"x\", \"default\": [[\"a\", \"b\"]], \"findings\": []}", "\"findings\" is no object"},
        {"{\"name\": \"x\", \"default\": [[\"a\", \"b\"]], \"findings\": {\"Emphysema\": [[\"a\", \"b\"]], "
         "\"emphysema\": [[\"a\", \"b\"]]}}",
         "names Emphysema twice"},
        {"{\"name\": \"x\", \"default\": [[\"{Findings}.\", \"No {finding}.\"]]}", "got {Findings}, allowed {Finding}"},
        {"{\"name\": \"x\", \"default\": [[\"{}\", \"No {finding}.\"]]}", "got {}"},
        {"{\"name\": \"x\", \"default\": [[\"{Finding}\", \"{Finding}\"]]}", "entry 1 affirms and denies by the same"},
        {"{\"name\": \"x\", \"default\": [[\"yes\", \"no\"], [\"is\", \"is not\"]]}", "all findings would be one"},
    };
    char dir[] = "/tmp/cts_prompts_XXXXXX", many[4096] = "{\"name\": \"x\", \"default\": [";
    cts_prompt_bank *b = NULL;
    int f = cts_finding_find("Emphysema");

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/mine.json", dir);
    assert_int_equal(open_text(&b, "{\"name\": \"mine\", \"about\": \"a test\", \"default\": [[\"{Finding}!\", \"no "
                                   "{finding} {x\"], [\"b\", \"c\"]], \"findings\": {\"emphysema\": [[\"air\", "
                                   "\"tissue\"]]}}"),
                     CTS_OK);
    assert_true(!strcmp(b->name, "mine") && !strcmp(b->about, "a test") && b->n[0] == 2 && b->n[f] == 1);
    assert_string_equal(b->text[0][0][0], "Medical material!");
    assert_string_equal(b->text[0][0][1], "no medical material {x");
    assert_string_equal(b->text[f][0][1], "tissue");
    cts_prompt_bank_close(b);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(open_text(&b, bad[i][0]), CTS_E_FORMAT);
        if (!strstr(cts_error(), bad[i][1]) || !strstr(cts_error(), "mine.json"))
            fail_msg("%s: looked for %s", cts_error(), bad[i][1]);
    }
    for (int i = 0; i <= CTS_PROMPT_PAIRS; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "%s[\"a\", \"b\"]", i ? ", " : "");
    strcat(many, "]}");
    assert_int_equal(open_text(&b, many), CTS_E_LIMIT);
    assert_int_equal(cts_prompt_bank_open(&b, "ctclop"), CTS_E_NOTFOUND);
    assert_non_null(strstr(cts_error(), "ctclip, ctclip-train, fvlm, hlip, merlin, ensemble"));
    assert_int_equal(cts_prompt_bank_open(&b, "./none"), CTS_E_IO);
    assert_int_equal(cts_remove_tree(dir), CTS_OK);
}

/* Two phrasings for finding 0, one for the others, along the axes of a plane. */
static void spread(void **state)
{
    enum { DIM = 2, ROWS = CTS_FINDINGS + 1 };
    float prompt[2 * CTS_FINDINGS * DIM] = {0}, phrasing[2 * ROWS * DIM] = {0};
    cts_zeroshot z = {.dim = DIM, .scale = 2.0, .prompt = prompt, .phrasing = phrasing};
    const float image[DIM] = {0.6f, 0.8f};
    cts_prompt_spread s[CTS_FINDINGS];
    double a, b;

    (void)state;
    for (int f = 0; f < CTS_FINDINGS; f++)
        z.pairs[f] = f ? 1 : 2;
    for (int r = 0; r < ROWS; r++) { /* row 1, finding 0's second, looks along y; all others along x */
        phrasing[2 * r * DIM + (r == 1)] = 1.0f;
        phrasing[(2 * r + 1) * DIM + (r == 1)] = -1.0f;
    }
    cts_zeroshot_spread(&z, image, s);
    a = 1.0 / (1.0 + exp(-2.0 * 1.2));
    b = 1.0 / (1.0 + exp(-2.0 * 1.6));
    assert_true(s[0].pairs == 2 && s[1].pairs == 1);
    assert_true(fabs(s[0].min - a) < 1e-6 && fabs(s[0].max - b) < 1e-6 && fabs(s[0].mean - (a + b) / 2) < 1e-6);
    for (int f = 1; f < CTS_FINDINGS; f++)
        assert_true(fabs(s[f].min - a) < 1e-6 && s[f].max == s[f].min && s[f].mean == s[f].min);
    z.phrasing = NULL; /* one pair each, the prompts themselves */
    prompt[0] = 1.0f;
    cts_zeroshot_spread(&z, image, s);
    assert_true(s[0].pairs == 1 && fabs(s[0].mean - 1.0 / (1.0 + exp(-2.0 * 0.6))) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_in),
        cmocka_unit_test(complete),
        cmocka_unit_test(files),
        cmocka_unit_test(spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
