/* SPDX-License-Identifier: MIT */
#include "data/report_text.h"

#include <string.h>
#include <strings.h>

#include "kernels/base/check.h"

static const char *const mode_names[CTS_TEXT_MODES] = {
    [CTS_TEXT_CLEAN] = "clean",
    [CTS_TEXT_DCFORMER_TRAIN] = "dcformer_train",
    [CTS_TEXT_DCFORMER_INFER] = "dcformer_infer",
    [CTS_TEXT_CTCLIP_TRAIN] = "ctclip_train",
    [CTS_TEXT_CTCLIP_INFER] = "ctclip_infer",
};

const char *cts_text_mode_name(cts_text_mode mode)
{
    return mode_names[mode];
}

int cts_text_mode_find(cts_text_mode *out, const char *name)
{
    for (int m = 0; m < CTS_TEXT_MODES; m++)
        if (!strcmp(mode_names[m], name)) {
            *out = (cts_text_mode)m;
            return CTS_OK;
        }
    return cts_fail(CTS_E_INPUT,
                    "text mode is \"%s\", allowed clean, dcformer_train, dcformer_infer, ctclip_train, ctclip_infer",
                    name);
}

/* The cells that pandas' read_csv takes for missing by default. */
static bool missing(const char *cell)
{
    static const char *const words[] = {"",     "#N/A",   "#N/A N/A", "#NA",  "-1.#IND", "-1.#QNAN", "-NaN",
                                        "-nan", "1.#IND", "1.#QNAN",  "<NA>", "N/A",     "NA",       "NULL",
                                        "NaN",  "None",   "n/a",      "nan",  "null"};

    for (size_t i = 0; i < CTS_COUNT(words); i++)
        if (!strcmp(cell, words[i]))
            return true;
    return false;
}

/* One section as the published loaders write it. */
static void append_published(cts_str *out, const char *cell, bool drop_not_given)
{
    if (missing(cell))
        cell = "nan";
    if (drop_not_given && !strcmp(cell, "Not given."))
        return;
    for (const char *p = cell; *p;) {
        size_t n = strcspn(p, "\"'()");

        cts_str_append_n(out, p, n);
        p += n + (p[n] != '\0');
    }
}

static void append_clean(cts_str *out, const char *cell)
{
    static const char blanks[] = " \t\r\n";
    size_t n;

    cell += strspn(cell, blanks);
    n = strlen(cell);
    while (n && strchr(blanks, cell[n - 1]))
        n--;
    if (missing(cell) || n == 0 || (n == 10 && !strncasecmp(cell, "not given.", n)) ||
        (n == 9 && !strncasecmp(cell, "not given", n)))
        return;
    if (out->n)
        cts_str_append(out, " ");
    cts_str_append_n(out, cell, n);
}

int cts_report_text(cts_str *out, cts_text_mode mode, const char *findings, const char *impressions)
{
    bool drop = mode == CTS_TEXT_DCFORMER_INFER || mode == CTS_TEXT_CTCLIP_INFER;

    CTS_ASSERT(mode >= 0 && mode < CTS_TEXT_MODES, "text mode %d", (int)mode);
    cts_str_clear(out);
    if (!findings)
        findings = "";
    if (!impressions)
        impressions = "";
    if (mode == CTS_TEXT_CLEAN) {
        append_clean(out, findings);
        append_clean(out, impressions);
    } else {
        append_published(out, findings, drop);
        if (mode != CTS_TEXT_CTCLIP_TRAIN)
            append_published(out, impressions, drop);
    }
    return out->failed ? cts_fail(CTS_E_NOMEM, "report text: out of memory") : CTS_OK;
}
