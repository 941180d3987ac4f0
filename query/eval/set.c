/* SPDX-License-Identifier: MIT */
#include "query/eval/set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/ct_rate.h"
#include "kernels/base/arena.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"

#define STRING_BLOCK ((size_t)1 << 16)

void cts_eval_set_free(cts_eval_set *s)
{
    free(s->rows);
    free(s->image);
    free(s->text);
    free(s->score);
    free(s->logit);
    free(s->own);
    free(s->labels);
    free(s->labelled);
    cts_str_free(&s->remarks);
    cts_arena_destroy(s->strings);
    *s = (cts_eval_set){0};
}

void cts_eval_set_name_labels(cts_eval_set *s, const cts_label_map *map)
{
    s->n_labels = map ? map->n : CTS_FINDINGS;
    for (size_t i = 0; i < s->n_labels; i++)
        s->label_name[i] = map ? map->rule[i].name : cts_findings[i].name;
    s->label_set = map ? map->name : "ct-rate-18";
}

static struct cts_arena *strings(cts_eval_set *s)
{
    if (!s->strings)
        s->strings = cts_arena_create(STRING_BLOCK);
    return s->strings;
}

const char *cts_eval_set_string(cts_eval_set *s, const char *text)
{
    return strings(s) ? cts_arena_strdup(s->strings, text) : NULL;
}

static bool has_all_findings(const char *const *names, size_t n)
{
    for (int f = 0; n == CTS_FINDINGS && f < CTS_FINDINGS; f++) {
        size_t i = 0;

        while (i < n && strcasecmp(names[i], cts_findings[f].name))
            i++;
        if (i == n)
            return false;
    }
    return n == CTS_FINDINGS;
}

int cts_eval_set_own_labels(cts_eval_set *s, const char *const *names, size_t n)
{
    cts_label_map *map;

    if (has_all_findings(names, n)) {
        cts_eval_set_name_labels(s, NULL);
        return CTS_OK;
    }
    if (n > CTS_LABEL_MAP_MAX)
        return cts_fail(CTS_E_LIMIT, "labels: the model has %zu, allowed: up to %d", n, CTS_LABEL_MAP_MAX);
    if (!(map = calloc(1, sizeof *map)))
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu labels", n);
    *map = (cts_label_map){.name = "own", .source = "the model", .n = n};
    for (size_t i = 0; i < n; i++) {
        const char *name = cts_eval_set_string(s, names[i]);

        if (!name) {
            free(map);
            return cts_fail(CTS_E_NOMEM, "out of memory for %zu labels", n);
        }
        map->rule[i] = (cts_label_rule){.name = name, .score = {cts_finding_find(name), -1}, .column = {name}};
    }
    free(s->own);
    s->own = map;
    cts_eval_set_name_labels(s, map);
    return CTS_OK;
}

int64_t cts_eval_set_label(const cts_eval_set *s, const char *name)
{
    for (size_t i = 0; i < s->n_labels; i++)
        if (!strcasecmp(s->label_name[i], name))
            return (int64_t)i;
    return -1;
}

/* ---- names ---- */

static int by_name(const void *a, const void *b)
{
    const struct cts_eval_key *x = a, *y = b;
    int c = strcmp(x->name, y->name);

    return c ? c : (x->row > y->row) - (x->row < y->row);
}

int cts_eval_names_make(cts_eval_names *t, const cts_eval_set *s)
{
    struct cts_eval_key *key = malloc((s->n + 1) * sizeof *key);

    if (!key)
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu names", s->n);
    for (size_t i = 0; i < s->n; i++)
        key[i] = (struct cts_eval_key){s->rows[i].name, i};
    qsort(key, s->n, sizeof *key, by_name);
    *t = (cts_eval_names){key, s->n};
    return CTS_OK;
}

int64_t cts_eval_names_find(const cts_eval_names *t, const char *name)
{
    size_t stem = cts_volume_stem(name), lo = 0, hi = t->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strncmp(t->key[mid].name, name, stem);

        if (!c && t->key[mid].name[stem])
            c = 1;
        if (!c)
            return (int64_t)t->key[mid].row;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -1;
}

static int name_row(cts_eval_set *s, cts_eval_row *row, const char *name)
{
    char *stem = cts_arena_strndup(s->strings, name, cts_volume_stem(name));
    size_t patient, scan;
    int reconstruction;

    if (!stem)
        return CTS_E_NOMEM;
    cts_volume_name_split(stem, &patient, &scan, &reconstruction);
    *row = (cts_eval_row){.name = stem,
                          .patient = stem[patient] ? cts_arena_strndup(s->strings, stem, patient) : stem,
                          .scan = stem[scan] ? cts_arena_strndup(s->strings, stem, scan) : stem,
                          .reconstruction = reconstruction,
                          .whole = true};
    return row->patient && row->scan ? CTS_OK : CTS_E_NOMEM;
}

int cts_eval_set_name_rows(cts_eval_set *s, const char *const *names, size_t n, const char *what)
{
    cts_eval_row *rows = calloc(n + 1, sizeof *rows);
    cts_eval_set named = {.n = n, .rows = rows};
    cts_eval_names t = {0};
    int rc = rows && strings(s) ? CTS_OK : CTS_E_NOMEM;

    for (size_t i = 0; !rc && i < n; i++)
        rc = *names[i] ? name_row(s, &rows[i], names[i])
                       : cts_fail(CTS_E_INPUT, "%s: the name of row %zu is empty, allowed: a volume name", what, i);
    if (rc == CTS_E_NOMEM)
        cts_fail(rc, "%s: out of memory for %zu names", what, n);
    if (!rc && !(rc = cts_eval_names_make(&t, &named)))
        for (size_t i = 1; !rc && i < n; i++)
            if (!strcmp(t.key[i].name, t.key[i - 1].name))
                rc = cts_fail(CTS_E_INPUT, "%s: the name %s is in rows %zu and %zu, allowed: every name once", what,
                              t.key[i].name, t.key[i - 1].row, t.key[i].row);
    free(t.key);
    if (rc) {
        free(rows);
        return rc;
    }
    free(s->rows);
    s->rows = rows;
    s->n = n;
    return CTS_OK;
}

/* ---- rows ---- */

void cts_eval_set_keep(cts_eval_set *s, const bool *kept)
{
    size_t d = (size_t)s->dim, m = s->n_labels, to = 0;

    for (size_t i = 0; i < s->n; i++) {
        if (!kept[i])
            continue;
        if (to != i) {
            s->rows[to] = s->rows[i];
            if (s->image)
                memcpy(s->image + to * d, s->image + i * d, d * sizeof *s->image);
            if (s->text)
                memcpy(s->text + to * d, s->text + i * d, d * sizeof *s->text);
            if (s->score)
                memcpy(s->score + to * m, s->score + i * m, m * sizeof *s->score);
            if (s->logit)
                memcpy(s->logit + to * m, s->logit + i * m, m * sizeof *s->logit);
            if (s->labels) {
                memcpy(s->labels + to * m, s->labels + i * m, m);
                s->labelled[to] = s->labelled[i];
            }
        }
        to++;
    }
    s->n = to;
}

int cts_eval_set_drop_unlabelled(cts_eval_set *s, size_t *dropped)
{
    size_t before = s->n;
    bool *kept;

    if (!s->labels)
        return cts_fail(CTS_E_USAGE, "labels: got none, allowed: --labels CSV, or an index that has them");
    if (!(kept = malloc((s->n + 1) * sizeof *kept)))
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu rows", s->n);
    memcpy(kept, s->labelled, s->n * sizeof *kept); /* keep() moves labelled itself */
    cts_eval_set_keep(s, kept);
    free(kept);
    *dropped = before - s->n;
    return CTS_OK;
}

/* Numbers 0, 1, ... by first appearance in the order of the sorted names. */
static int number(const cts_eval_set *s, bool patients, int64_t *out)
{
    struct cts_eval_key *key = malloc((s->n + 1) * sizeof *key);
    int64_t group = -1;

    if (!key)
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu rows", s->n);
    for (size_t i = 0; i < s->n; i++)
        key[i] = (struct cts_eval_key){patients ? s->rows[i].patient : s->rows[i].scan, i};
    qsort(key, s->n, sizeof *key, by_name);
    for (size_t i = 0; i < s->n; i++) {
        group += !i || strcmp(key[i].name, key[i - 1].name);
        out[key[i].row] = group;
    }
    free(key);
    return CTS_OK;
}

int cts_eval_set_patients(const cts_eval_set *s, int64_t *out)
{
    return number(s, true, out);
}

int cts_eval_set_scans(const cts_eval_set *s, int64_t *out)
{
    return number(s, false, out);
}

/* ---- where it came from ---- */

int cts_eval_set_add_digest(cts_eval_set *s, const char *what, const char *path, const char *sha256)
{
    cts_eval_source *x = &s->source[s->n_sources];

    CTS_ASSERT(s->n_sources < CTS_EVAL_SOURCES_MAX, "more than %d inputs", CTS_EVAL_SOURCES_MAX);
    x->what = cts_eval_set_string(s, what);
    x->path = cts_eval_set_string(s, path);
    if (!x->what || !x->path)
        return cts_fail(CTS_E_NOMEM, "out of memory");
    snprintf(x->sha256, sizeof x->sha256, "%s", sha256);
    s->n_sources++;
    return CTS_OK;
}

int cts_eval_set_add_file(cts_eval_set *s, const char *what, const char *path)
{
    char digest[CTS_DIGEST_HEX];
    int rc = cts_digest_file(digest, path);

    return rc ? rc : cts_eval_set_add_digest(s, what, path, digest);
}

int cts_eval_set_add_floats(cts_eval_set *s, const char *what, const char *path, const float *v, size_t n)
{
    char digest[CTS_DIGEST_HEX];
    int rc = cts_digest_bytes(digest, v, n * sizeof *v);

    return rc ? rc : cts_eval_set_add_digest(s, what, path, digest);
}

json_t *cts_eval_sources_json(const cts_eval_set *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->n_sources; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "what", s->source[i].what, "path", s->source[i].path,
                                              "sha256", s->source[i].sha256));
    return list;
}
