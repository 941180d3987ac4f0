/* SPDX-License-Identifier: MIT */
#include "query/eval/labels.h"

#include <stdlib.h>
#include <string.h>

#include "data/csv.h"
#include "data/ct_rate.h"
#include "kernels/base/status.h"

static int name_column(int *col, const cts_csv *csv)
{
    static const char *const allowed[] = {"VolumeName", "NoteAcc_DEID", "AccessionNo"};

    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if ((*col = cts_csv_find(csv, allowed[i])) >= 0)
            return CTS_OK;
    return cts_fail(CTS_E_FORMAT, "%s: no column with names, allowed: VolumeName, NoteAcc_DEID or AccessionNo",
                    cts_csv_name(csv));
}

int cts_eval_csv_names(cts_csv **csv, const char ***names, const char *path)
{
    cts_csv *c = NULL;
    const char **list = NULL;
    int col, rc;

    if ((rc = cts_csv_load(&c, path)) || (rc = name_column(&col, c)))
        goto out;
    if (!(list = malloc((cts_csv_rows(c) + 1) * sizeof *list))) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu names", path, cts_csv_rows(c));
        goto out;
    }
    for (size_t r = 0; r < cts_csv_rows(c); r++)
        list[r] = cts_csv_cell(c, r, (size_t)col);
    *names = list;
    *csv = c;
    c = NULL; /* the caller's now */
out:
    cts_csv_destroy(c);
    return rc;
}

/* A CSV with the row of the set that each of its rows names, -1 for none. */
typedef struct {
    cts_csv *csv;
    int64_t *row;
    size_t matched;
} joined;

static void joined_close(joined *j)
{
    cts_csv_destroy(j->csv);
    free(j->row);
}

static int joined_open(joined *j, const cts_eval_set *s, const char *path)
{
    cts_eval_names names = {0};
    size_t *first = calloc(s->n + 1, sizeof *first); /* line that named a row */
    int col, rc = first ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %zu rows", s->n);

    *j = (joined){0};
    if (rc || (rc = cts_csv_load(&j->csv, path)) || (rc = name_column(&col, j->csv)) ||
        (rc = cts_eval_names_make(&names, s)))
        goto out;
    if (!(j->row = malloc((cts_csv_rows(j->csv) + 1) * sizeof *j->row))) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu rows", cts_csv_rows(j->csv));
        goto out;
    }
    for (size_t r = 0; r < cts_csv_rows(j->csv); r++) {
        const char *name = cts_csv_cell(j->csv, r, (size_t)col);
        int64_t row = j->row[r] = cts_eval_names_find(&names, name);

        if (row < 0)
            continue;
        if (first[row]) {
            rc = cts_fail(CTS_E_INPUT, "%s: the name %s is on lines %zu and %zu, allowed: every name once", path, name,
                          first[row], cts_csv_line(j->csv, r));
            goto out;
        }
        first[row] = cts_csv_line(j->csv, r);
        j->matched++;
    }
    if (!j->matched && s->n)
        rc = cts_fail(CTS_E_INPUT,
                      "%s: none of its %zu names is among the %zu volumes (%s, ...), allowed: the same names", path,
                      cts_csv_rows(j->csv), s->n, s->rows[0].name);
out:
    free(names.key);
    free(first);
    if (rc)
        joined_close(j);
    return rc;
}

/* ---- labels ---- */

static int parse_label(uint8_t *out, const cts_csv *csv, size_t row, size_t col)
{
    const char *cell = cts_csv_cell(csv, row, col);

    if (!strcmp(cell, "0") || !strcmp(cell, "0.0"))
        *out = 0;
    else if (!strcmp(cell, "1") || !strcmp(cell, "1.0"))
        *out = 1;
    else
        return cts_fail(CTS_E_INPUT, "%s: line %zu, %s: got \"%.40s\", allowed: 0 or 1", cts_csv_name(csv),
                        cts_csv_line(csv, row), cts_csv_header(csv, col), cell);
    return CTS_OK;
}

/* The column that holds a label; the second one of a rule that joins two of our findings, otherwise -1. */
typedef struct {
    int of, also;
} label_column;

/* Columns that stand for the labels, under the rules' names or under ours; false when one is missing. */
static bool direct_columns(label_column *col, const cts_csv *csv, const cts_label_map *map)
{
    for (size_t i = 0; i < map->n; i++) {
        const int *f = map->rule[i].score;

        col[i] = (label_column){cts_csv_find(csv, map->rule[i].name), -1};
        if (col[i].of >= 0)
            continue;
        if (f[0] < 0 || (col[i].of = cts_csv_find(csv, cts_findings[f[0]].name)) < 0 ||
            (f[1] >= 0 && (col[i].also = cts_csv_find(csv, cts_findings[f[1]].name)) < 0))
            return false;
    }
    return true;
}

static int read_direct(const joined *j, const label_column *col, size_t m, uint8_t *out)
{
    int rc = CTS_OK;

    for (size_t r = 0; !rc && r < cts_csv_rows(j->csv); r++)
        for (size_t i = 0; !rc && j->row[r] >= 0 && i < m; i++) {
            uint8_t *label = &out[(size_t)j->row[r] * m + i], other = 0;

            rc = parse_label(label, j->csv, r, (size_t)col[i].of);
            if (!rc && col[i].also >= 0 && !(rc = parse_label(&other, j->csv, r, (size_t)col[i].also)))
                *label |= other;
        }
    return rc;
}

/* The columns of labels that have no other names than those of the map, ours without one. */
static int require_columns(label_column *col, const cts_csv *csv, const cts_label_map *map)
{
    size_t m = map ? map->n : CTS_FINDINGS;
    int rc = CTS_OK;

    if (!map && cts_csv_find(csv, "NoteAcc_DEID") >= 0 && cts_csv_find(csv, cts_findings[0].name) < 0)
        return cts_fail(CTS_E_INPUT,
                        "%s: its columns are those of Rad-ChestCT, allowed: with one of --protocol "
                        "radchest/ct-clip-16, radchest/hlip-15 and radchest/radfinder-16",
                        cts_csv_name(csv));
    for (size_t i = 0; !rc && i < m; i++) {
        col[i].also = -1;
        rc = cts_csv_require(&col[i].of, csv, map ? map->rule[i].name : cts_findings[i].name);
    }
    return rc;
}

/* Scores without names of their own are taken to stand in CT-RATE's order; a CSV in another may mean that they do not.
 */
static void remark_order(cts_eval_set *s, const label_column *col, const cts_csv *csv, size_t m)
{
    for (size_t i = 1; s->score && !s->own && i < m; i++)
        if (col[i].of < col[i - 1].of) {
            cts_str_printf(&s->remarks,
                           "%s: its columns stand in another order than CT-RATE's; they are taken by their names, the "
                           "columns of the scores in CT-RATE's order (%s first, %s last)\n",
                           cts_csv_name(csv), cts_findings[0].name, cts_findings[CTS_FINDINGS - 1].name);
            return;
        }
}

/* Whether a rule of the map reads this column: its name, or its name before a '*'. */
static bool wanted(const cts_label_map *map, const char *column)
{
    size_t n = strcspn(column, "*");

    for (size_t i = 0; i < map->n; i++)
        for (const char *const *c = map->rule[i].column; *c; c++)
            if (strlen(*c) == n && !strncmp(*c, column, n))
                return true;
    return false;
}

/* The other data set's own columns, through the map. */
static int read_mapped(const joined *j, const cts_eval_set *s, const cts_label_map *map, uint8_t *out)
{
    size_t all = cts_csv_cols(j->csv), n = 0;
    const char **name = malloc((all + 1) * sizeof *name);
    size_t *col = malloc((all + 1) * sizeof *col);
    uint8_t *values = NULL;
    int rc = name && col ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %zu columns", all);

    for (size_t c = 0; !rc && c < all; c++)
        if (wanted(map, cts_csv_header(j->csv, c))) {
            name[n] = cts_csv_header(j->csv, c);
            col[n++] = c;
        }
    if (!rc && !(values = calloc(s->n * n + 1, 1)))
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu labels", s->n * n);
    for (size_t r = 0; !rc && r < cts_csv_rows(j->csv); r++)
        for (size_t i = 0; !rc && j->row[r] >= 0 && i < n; i++)
            rc = parse_label(&values[(size_t)j->row[r] * n + i], j->csv, r, col[i]);
    if (!rc && (rc = cts_label_map_labels(map, name, n, values, s->n, out)))
        rc = cts_fail_in(rc, "%s", cts_csv_name(j->csv));
    free(name);
    free(col);
    free(values);
    return rc;
}

static int take(cts_eval_set *s, uint8_t **labels, bool **labelled, const cts_label_map *map)
{
    free(s->labels);
    free(s->labelled);
    s->labels = *labels;
    s->labelled = *labelled;
    *labels = NULL; /* the set's now */
    *labelled = NULL;
    cts_eval_set_name_labels(s, map);
    return CTS_OK;
}

int cts_eval_labels_load(cts_eval_set *s, const char *path, const cts_label_map *map)
{
    size_t m = map ? map->n : CTS_FINDINGS;
    uint8_t *labels = calloc(s->n * m + 1, 1);
    bool *labelled = calloc(s->n + 1, sizeof *labelled);
    label_column col[CTS_LABEL_MAP_MAX];
    bool direct = true;
    int rc;
    joined j = {0};

    if (!labels || !labelled) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for the labels of %zu volumes", s->n);
        goto out;
    }
    if ((rc = joined_open(&j, s, path)))
        goto out;
    if (!map || map == s->own) /* no columns of another data set would do */
        rc = require_columns(col, j.csv, map);
    else
        direct = direct_columns(col, j.csv, map);
    if (!rc)
        rc = direct ? read_direct(&j, col, m, labels) : read_mapped(&j, s, map, labels);
    if (!rc && !map)
        remark_order(s, col, j.csv, m);
    for (size_t r = 0; !rc && r < cts_csv_rows(j.csv); r++)
        if (j.row[r] >= 0)
            labelled[j.row[r]] = true;
    if (!rc && !(rc = cts_eval_set_add_file(s, "labels", path)))
        rc = take(s, &labels, &labelled, map);
    joined_close(&j);
out:
    free(labels);
    free(labelled);
    return rc;
}

int cts_eval_labels_set(cts_eval_set *s, const uint32_t *bits, const bool *labelled, const cts_label_map *map)
{
    size_t m = map ? map->n : CTS_FINDINGS;
    uint8_t *labels = calloc(s->n * m + 1, 1);
    bool *known = calloc(s->n + 1, sizeof *known);
    int rc = labels && known ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for the labels of %zu volumes", s->n);

    for (size_t r = 0; !rc && r < s->n; r++) {
        known[r] = labelled[r];
        for (size_t i = 0; i < m; i++) {
            int a = map ? map->rule[i].score[0] : (int)i, b = map ? map->rule[i].score[1] : -1;

            labels[r * m + i] = (bits[r] >> a & 1) | (b >= 0 ? bits[r] >> b & 1 : 0);
        }
    }
    if (!rc)
        rc = take(s, &labels, &known, map);
    free(labels);
    free(known);
    return rc;
}

/* ---- reports and metadata ---- */

int cts_eval_reports_load(cts_eval_set *s, const char *path)
{
    joined j;
    int col, rc = joined_open(&j, s, path);

    if (rc)
        return rc;
    rc = cts_csv_require(&col, j.csv, "Findings_EN");
    for (size_t r = 0; !rc && r < cts_csv_rows(j.csv); r++)
        if (j.row[r] >= 0 &&
            !(s->rows[j.row[r]].findings_text = cts_eval_set_string(s, cts_csv_cell(j.csv, r, (size_t)col))))
            rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for reports", path);
    joined_close(&j);
    return rc ? rc : cts_eval_set_add_file(s, "reports", path);
}

int cts_eval_metadata_load(cts_eval_set *s, const char *path)
{
    joined j;
    int col, rc = joined_open(&j, s, path);

    if (rc)
        return rc;
    rc = cts_csv_require(&col, j.csv, "XYSpacing");
    for (size_t r = 0; !rc && r < cts_csv_rows(j.csv); r++)
        if (j.row[r] >= 0 &&
            (rc = cts_xy_spacing_parse(&s->rows[j.row[r]].in_plane_mm, cts_csv_cell(j.csv, r, (size_t)col))))
            rc = cts_fail_in(rc, "%s: line %zu", path, cts_csv_line(j.csv, r));
    joined_close(&j);
    return rc ? rc : cts_eval_set_add_file(s, "metadata", path);
}
