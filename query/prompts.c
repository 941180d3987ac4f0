/* SPDX-License-Identifier: MIT */
#include "query/prompts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/json.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"
#include "query/cli.h"
#include "query/prompts_internal.h"

#define MAX_FILE ((size_t)1 << 20)

size_t cts_prompt_bank_count(void)
{
    return cts_prompt_rows_n;
}

const char *cts_prompt_bank_name(size_t i)
{
    return cts_prompt_rows[i].name;
}

void cts_prompt_bank_close(cts_prompt_bank *b)
{
    if (!b)
        return;
    for (int f = 0; f < CTS_FINDINGS; f++)
        for (int k = 0; k < CTS_PROMPT_PAIRS; k++)
            for (int side = 0; side < 2; side++)
                free(b->text[f][k][side]);
    free(b->about);
    free(b);
}

/* The template with the finding's name in it; NULL when out of memory. */
static char *filled(const char *template, const char *finding)
{
    cts_str s = {0};
    char *text = NULL;

    for (const char *p = template; *p;) {
        size_t n = strcspn(p, "{");

        cts_str_append_n(&s, p, n);
        p += n;
        if (!strncmp(p, "{Finding}", 9) || !strncmp(p, "{finding}", 9)) {
            char first = p[1] == 'F' ? *finding : (char)tolower((unsigned char)*finding);

            cts_str_append_n(&s, &first, 1);
            cts_str_append(&s, finding + 1);
            p += 9;
        } else if (*p) {
            cts_str_append_n(&s, p++, 1);
        }
    }
    if (!s.failed)
        text = cts_strdup(cts_str_text(&s));
    cts_str_free(&s);
    return text;
}

static int add_pair(cts_prompt_bank *b, int finding, const char *affirming, const char *denying)
{
    const char *side[2] = {affirming, denying};
    int k = b->n[finding];

    if (k == CTS_PROMPT_PAIRS)
        return cts_fail(CTS_E_LIMIT, "prompts %s: %s has more than %d pairs", b->name, cts_findings[finding].name,
                        CTS_PROMPT_PAIRS);
    for (int s = 0; s < 2; s++)
        if (!(b->text[finding][k][s] = filled(side[s], cts_findings[finding].name)))
            return cts_fail(CTS_E_NOMEM, "out of memory for prompts");
    b->n[finding]++;
    return CTS_OK;
}

/* ---- built in ----- */

static int add_row(cts_prompt_bank *b, int finding, const cts_prompt_pair *pair)
{
    int rc = CTS_OK;

    for (int k = 0; !rc && k < CTS_PROMPT_ROW && pair[k][0]; k++)
        rc = add_pair(b, finding, pair[k][0], pair[k][1]);
    return rc;
}

static int fill_built_in(cts_prompt_bank *b, const cts_prompt_row *row)
{
    int rc = CTS_OK;

    for (int f = 0; !rc && f < CTS_FINDINGS; f++) {
        const cts_prompt_special *own = row->special;

        while (own && own->finding && strcmp(own->finding, cts_findings[f].name))
            own++;
        if (own && !own->finding)
            own = NULL;
        if (!own || row->extra)
            rc = add_row(b, f, row->pair);
        if (!rc && own)
            rc = add_row(b, f, own->pair);
    }
    snprintf(b->name, sizeof b->name, "%s", row->name);
    if (!rc && !(b->about = cts_strdup(row->about)))
        rc = cts_fail(CTS_E_NOMEM, "out of memory for prompts");
    return rc;
}

static const cts_prompt_row *built_in(const char *name)
{
    for (size_t i = 0; i < cts_prompt_rows_n; i++)
        if (!strcmp(cts_prompt_rows[i].name, name))
            return &cts_prompt_rows[i];
    return NULL;
}

/* ---- files ----- */

/* A word in braces that is no place for the finding would go to the model as it stands. */
static int check_places(const char *text, const char *key, const char *path)
{
    for (const char *p = strchr(text, '{'); p; p = strchr(p + 1, '{')) {
        size_t n = strcspn(p + 1, "{} ") + 2;

        if (p[n - 1] == '}' && strncmp(p, "{Finding}", n) != 0 && strncmp(p, "{finding}", n) != 0)
            return cts_fail(CTS_E_FORMAT, "%s: \"%s\": got %.*s, allowed {Finding} and {finding}", path, key,
                            (int)(n < 40 ? n : 40), p);
    }
    return CTS_OK;
}

static int add_list(cts_prompt_bank *b, int finding, const json_t *list, const char *key, const char *path)
{
    json_t *pair;
    size_t i;
    int rc = CTS_OK;

    if (!json_is_array(list) || !json_array_size(list))
        return cts_fail(CTS_E_FORMAT, "%s: \"%s\" is no list of pairs, allowed [[affirming, denying], ..]", path, key);
    json_array_foreach(list, i, pair)
    {
        const char *yes = json_string_value(json_array_get(pair, 0)), *no = json_string_value(json_array_get(pair, 1));

        if (json_array_size(pair) != 2 || !yes || !no || !yes[strspn(yes, " \t\r\n")] || !no[strspn(no, " \t\r\n")])
            return cts_fail(CTS_E_FORMAT, "%s: \"%s\": entry %zu is no pair, allowed two texts: affirming, denying",
                            path, key, i + 1);
        if (!strcmp(yes, no))
            return cts_fail(CTS_E_FORMAT, "%s: \"%s\": entry %zu affirms and denies by the same text, allowed two",
                            path, key, i + 1);
        if ((rc = check_places(yes, key, path)) || (rc = check_places(no, key, path)) ||
            (rc = add_pair(b, finding, yes, no)))
            return rc;
    }
    return CTS_OK;
}

/* Without a place for the name in it a common list gives all findings one probability. */
static int check_common(const json_t *list, const char *path)
{
    json_t *pair, *text;
    size_t i, k;

    json_array_foreach(list, i, pair)
    {
        json_array_foreach(pair, k, text)
        {
            if (strstr(json_string_value(text), "inding}"))
                return CTS_OK;
        }
    }
    return cts_fail(CTS_E_FORMAT,
                    "%s: no text of \"default\" has {Finding} or {finding} in it, so that all findings "
                    "would be one",
                    path);
}

static int check_keys(const json_t *j, const char *path)
{
    static const char *const known[] = {"name", "about", "default", "findings"};
    const char *key;
    json_t *value, *findings;

    if (!json_is_object(j))
        return cts_fail(CTS_E_FORMAT, "%s: the file holds no JSON object, allowed a prompt bank", path);
    json_object_foreach((json_t *)j, key, value)
    {
        size_t i = 0;

        while (i < 4 && strcmp(known[i], key))
            i++;
        if (i == 4)
            return cts_fail(CTS_E_FORMAT, "%s: field \"%s\" is unknown, allowed name, about, default, findings", path,
                            key);
    }
    findings = json_object_get(j, "findings");
    if (findings && !json_is_object(findings))
        return cts_fail(CTS_E_FORMAT, "%s: \"findings\" is no object, allowed names of findings with pairs", path);
    json_object_foreach(findings, key, value)
    {
        if (cts_finding_find(key) < 0)
            return cts_fail(CTS_E_FORMAT, "%s: \"findings\": \"%s\" is none of the 18 findings", path, key);
    }
    return CTS_OK;
}

static int fill_from_file(cts_prompt_bank *b, const json_t *j, const char *path)
{
    const json_t *findings = json_object_get(j, "findings"), *common = json_object_get(j, "default");
    const char *name, *about = "", *key;
    json_t *value;
    int defaults = 0, rc = check_keys(j, path);

    if (rc || (rc = cts_json_string(&name, j, "name", true, path)) ||
        (json_object_get(j, "about") && (rc = cts_json_string(&about, j, "about", true, path))))
        return rc;
    snprintf(b->name, sizeof b->name, "%s", name);
    if (!(b->about = cts_strdup(about)))
        return cts_fail(CTS_E_NOMEM, "out of memory for prompts");
    json_object_foreach((json_t *)findings, key, value)
    {
        int f = cts_finding_find(key);

        if (b->n[f])
            return cts_fail(CTS_E_FORMAT, "%s: \"findings\" names %s twice", path, cts_findings[f].name);
        if ((rc = add_list(b, f, value, key, path)))
            return rc;
    }
    for (int f = 0; f < CTS_FINDINGS; f++) {
        if (!b->n[f] && !common)
            return cts_fail(CTS_E_FORMAT, "%s: %s has no prompts and there is no \"default\"", path,
                            cts_findings[f].name);
        if (b->n[f])
            continue;
        if ((rc = add_list(b, f, common, "default", path)))
            return rc;
        defaults++;
    }
    return defaults > 1 ? check_common(common, path) : CTS_OK;
}

int cts_prompt_bank_open(cts_prompt_bank **out, const char *name_or_path)
{
    size_t n = strlen(name_or_path);
    bool file = strchr(name_or_path, '/') || (n > 5 && !strcmp(name_or_path + n - 5, ".json"));
    const cts_prompt_row *row = file ? NULL : built_in(name_or_path);
    cts_prompt_bank *b = NULL;
    json_t *j = NULL;
    int rc;

    if (!file && !row) {
        cts_str names = {0};

        for (size_t i = 0; i < cts_prompt_rows_n; i++)
            cts_str_printf(&names, "%s%s", i ? ", " : "", cts_prompt_rows[i].name);
        rc = cts_fail(CTS_E_NOTFOUND, "prompts \"%s\" are unknown, built in are %s; a file's name ends in .json",
                      name_or_path, cts_str_text(&names));
        cts_str_free(&names);
        return rc;
    }
    if (file && (rc = cts_json_load(&j, name_or_path, MAX_FILE)))
        return rc;
    if (!(b = calloc(1, sizeof *b)))
        rc = cts_fail(CTS_E_NOMEM, "out of memory for prompts");
    else
        rc = file ? fill_from_file(b, j, name_or_path) : fill_built_in(b, row);
    json_decref(j);
    if (rc) {
        cts_prompt_bank_close(b);
        return rc;
    }
    *out = b;
    return CTS_OK;
}

/* ---- the list ----- */

int cts_prompt_banks_print(bool json)
{
    json_t *list = json_array();
    int rc = CTS_OK;

    for (size_t i = 0; !rc && i < cts_prompt_rows_n; i++) {
        const int shown = 12; /* pleural effusion */
        cts_prompt_bank *b = NULL;

        if ((rc = cts_prompt_bank_open(&b, cts_prompt_rows[i].name)))
            break;
        if (json)
            json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:[s, s]}", "name", b->name, "about", b->about,
                                                  "phrasings", b->n[shown], "example", b->text[shown][0][0],
                                                  b->text[shown][0][1]));
        else
            printf("%-14s %s\n", b->name, b->about);
        for (int k = 0; !json && k < b->n[shown]; k++)
            printf("%14s   \"%s\" / \"%s\"\n", "", b->text[shown][k][0], b->text[shown][k][1]);
        cts_prompt_bank_close(b);
    }
    if (!rc && json)
        rc = cts_print_json(json_pack("{s:O}", "prompts", list));
    json_decref(list);
    return rc;
}
