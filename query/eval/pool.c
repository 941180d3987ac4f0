/* SPDX-License-Identifier: MIT */
#include "query/eval/pool.h"

#include <stdlib.h>
#include <string.h>

#include "data/csv.h"
#include "data/ct_rate.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"

#define LIST_BYTES ((size_t)64 << 20) /* far above the names of all volumes of CT-RATE */

const cts_eval_pool cts_eval_pools[] = {
    {"all", NULL, "every volume; the reconstructions of a scan share one report", CTS_POOL_EVERY, 0},
    {"ct-clip-3039", NULL, "every volume of the validation part, as CT-CLIP's scripts take it", CTS_POOL_EVERY, 3039},
    {"scan-1564", "scan-first", "of each scan the lowest reconstruction number that is there", CTS_POOL_SCAN, 1564},
    {"colipri-1493", NULL,
     "of each scan the reconstruction with the smallest in-plane voxel, without the names of --exclude "
     "(no_chest), every Findings_EN once",
     CTS_POOL_SMALLEST, 1493},
    {"spectre-1", NULL, "the volumes whose name ends in _1", CTS_POOL_FIRST_ONLY, 1564},
};
const size_t cts_eval_pools_n = sizeof cts_eval_pools / sizeof cts_eval_pools[0];

int cts_eval_pool_find(const cts_eval_pool **out, const char *name)
{
    cts_str names = {0};
    int rc;

    for (size_t i = 0; i < cts_eval_pools_n; i++)
        if (!strcmp(name, cts_eval_pools[i].name) ||
            (cts_eval_pools[i].alias && !strcmp(name, cts_eval_pools[i].alias))) {
            *out = &cts_eval_pools[i];
            return CTS_OK;
        }
    for (size_t i = 0; i < cts_eval_pools_n; i++)
        cts_str_printf(&names, "%s%s", i ? ", " : "", cts_eval_pools[i].name);
    rc = cts_fail(CTS_E_INPUT, "pool: got %s, allowed: %s", name, cts_str_text(&names));
    cts_str_free(&names);
    return rc;
}

/* ---- names to leave out ---- */

static int by_string(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void cts_eval_exclude_free(cts_eval_exclude *x)
{
    for (size_t i = 0; i < x->n; i++)
        free(x->name[i]);
    free(x->name);
    *x = (cts_eval_exclude){0};
}

static int push(cts_eval_exclude *x, size_t *cap, const char *name, size_t n)
{
    cts_str stem = {0};

    if (x->n == *cap) {
        size_t more = *cap ? 2 * *cap : 64;
        char **p = realloc(x->name, more * sizeof *p);

        if (!p)
            return cts_fail(CTS_E_NOMEM, "out of memory for names");
        x->name = p;
        *cap = more;
    }
    cts_str_append_n(&stem, name, n);
    if (stem.failed) {
        cts_str_free(&stem);
        return cts_fail(CTS_E_NOMEM, "out of memory for names");
    }
    stem.p[cts_volume_stem(stem.p)] = '\0';
    x->name[x->n++] = stem.p;
    return CTS_OK;
}

static int from_csv(cts_eval_exclude *x, size_t *cap, const char *path, int *col)
{
    cts_csv *csv;
    int rc = cts_csv_load(&csv, path);

    if (rc)
        return rc;
    *col = cts_csv_find(csv, "VolumeName");
    for (size_t r = 0; !rc && *col >= 0 && r < cts_csv_rows(csv); r++) {
        const char *cell = cts_csv_cell(csv, r, (size_t)*col);

        if (*cell)
            rc = push(x, cap, cell, strlen(cell));
    }
    cts_csv_destroy(csv);
    return rc;
}

static int from_lines(cts_eval_exclude *x, size_t *cap, const char *path)
{
    char *text;
    size_t n;
    int rc = cts_file_read(&text, &n, path, LIST_BYTES);

    if (rc)
        return rc;
    for (char *p = text; !rc && *p;) {
        size_t line = strcspn(p, "\r\n"), from = strspn(p, " \t"), to = strcspn(p, "#\r\n");

        while (to > from && strchr(" \t,", p[to - 1]))
            to--;
        if (to > from)
            rc = push(x, cap, p + from, to - from);
        p += line;
        p += strspn(p, "\r\n");
    }
    free(text);
    return rc;
}

int cts_eval_exclude_load(cts_eval_exclude *x, const char *path)
{
    cts_eval_exclude made = {0};
    size_t cap = 0, n = strlen(path);
    int col = -1, rc = CTS_OK;

    if (n > 4 && !strcmp(path + n - 4, ".csv"))
        rc = from_csv(&made, &cap, path, &col);
    if (!rc && col < 0)
        rc = from_lines(&made, &cap, path);
    if (!rc && !made.n)
        rc = cts_fail(CTS_E_INPUT, "%s: got no name, allowed: a volume name a line", path);
    if (rc) {
        cts_eval_exclude_free(&made);
        return rc;
    }
    qsort(made.name, made.n, sizeof *made.name, by_string);
    *x = made;
    return CTS_OK;
}

static bool excluded(const cts_eval_exclude *x, const char *name)
{
    return x && x->n && bsearch(&name, x->name, x->n, sizeof *x->name, by_string);
}

/* ---- choosing ---- */

typedef struct {
    const cts_eval_row *row;
    size_t at;
} member;

static int by_scan(const void *a, const void *b)
{
    const member *x = a, *y = b;
    int c = strcmp(x->row->scan, y->row->scan);

    if (c)
        return c;
    if (x->row->reconstruction != y->row->reconstruction)
        return x->row->reconstruction < y->row->reconstruction ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static int by_text(const void *a, const void *b)
{
    const member *x = a, *y = b;
    int c = strcmp(x->row->findings_text, y->row->findings_text);

    return c ? c : (x->at > y->at) - (x->at < y->at);
}

/* Of each run of one scan keep the lowest reconstruction number or, with smallest, the smallest voxel; where a voxel of
 * the scan is unknown, and among equal ones, the lowest number. */
static void one_of_each_scan(member *m, size_t n, bool smallest, bool *kept, cts_eval_pool_count *c)
{
    qsort(m, n, sizeof *m, by_scan);
    for (size_t i = 0, j; i < n; i = j) {
        size_t best = i;
        bool known = true;

        for (j = i; j < n && !strcmp(m[j].row->scan, m[i].row->scan); j++)
            known = known && m[j].row->in_plane_mm > 0.0;
        for (size_t r = i + 1; smallest && known && r < j; r++)
            if (m[r].row->in_plane_mm < m[best].row->in_plane_mm)
                best = r;
        if (smallest && !known && j - i > 1)
            c->without_voxel += j - i;
        for (size_t r = i; r < j; r++)
            if (r != best) {
                kept[m[r].at] = false;
                c->reconstructions++;
            }
    }
}

/* Of rows with one and the same Findings_EN only the first stays. */
static void every_text_once(member *m, size_t n, bool *kept, cts_eval_pool_count *c)
{
    size_t k = 0;

    for (size_t i = 0; i < n; i++) {
        if (!kept[m[i].at])
            continue;
        if (m[i].row->findings_text)
            m[k++] = m[i];
        else
            c->without_report++;
    }
    qsort(m, k, sizeof *m, by_text);
    for (size_t i = 1; i < k; i++)
        if (!strcmp(m[i].row->findings_text, m[i - 1].row->findings_text)) {
            kept[m[i].at] = false;
            c->same_report++;
        }
}

int cts_eval_pool_choose(const cts_eval_pool *p, const cts_eval_row *rows, size_t n, const cts_eval_exclude *x,
                         bool *kept, cts_eval_pool_count *count)
{
    cts_eval_pool_count c = {.before = n};
    member *m = malloc((n + 1) * sizeof *m);
    size_t in = 0;

    if (!m)
        return cts_fail(CTS_E_NOMEM, "out of memory for a pool of %zu volumes", n);
    for (size_t i = 0; i < n; i++) {
        kept[i] = !excluded(x, rows[i].name);
        c.excluded += !kept[i];
        if (kept[i])
            m[in++] = (member){&rows[i], i};
    }
    if (p->rule == CTS_POOL_SCAN || p->rule == CTS_POOL_SMALLEST)
        one_of_each_scan(m, in, p->rule == CTS_POOL_SMALLEST, kept, &c);
    if (p->rule == CTS_POOL_SMALLEST)
        every_text_once(m, in, kept, &c);
    for (size_t i = 0; p->rule == CTS_POOL_FIRST_ONLY && i < in; i++)
        if (m[i].row->reconstruction != 1) {
            kept[m[i].at] = false;
            c.reconstructions++;
        }
    for (size_t i = 0; i < n; i++)
        c.n += kept[i];
    free(m);
    *count = c;
    return CTS_OK;
}

void cts_eval_pool_remarks(const cts_eval_pool *p, const cts_eval_pool_count *c, bool exclude_given, cts_str *out)
{
    if (p->expected && c->n != p->expected)
        cts_str_printf(out,
                       "pool %s: %zu volumes here, %zu on the validation part of CT-RATE: compare with published "
                       "figures only when the numbers agree\n",
                       p->name, c->n, p->expected);
    if (p->rule == CTS_POOL_SMALLEST && !exclude_given)
        cts_str_printf(out, "pool %s: without --exclude the head scans of the set (no_chest list) take part\n",
                       p->name);
    if (c->without_voxel)
        cts_str_printf(out,
                       "pool %s: the voxel size of %zu volumes is not known (--metadata); of their scans the lowest "
                       "reconstruction number stands\n",
                       p->name, c->without_voxel);
    if (c->without_report)
        cts_str_printf(out,
                       "pool %s: %zu volumes have no report text (--reports), so equal findings could not be left "
                       "out\n",
                       p->name, c->without_report);
}
