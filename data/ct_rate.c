/* SPDX-License-Identifier: MIT */
#include "data/ct_rate.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/csv.h"
#include "kernels/base/arena.h"
#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"

size_t cts_volume_stem(const char *name)
{
    size_t n = strlen(name);

    if (n > 7 && !strcmp(name + n - 7, ".nii.gz"))
        return n - 7;
    if (n > 4 && !strcmp(name + n - 4, ".nii"))
        return n - 4;
    return n;
}

int cts_xy_spacing_parse(double *mm, const char *cell)
{
    char buf[64], *end;
    size_t n = strlen(cell), keep;
    double v;

    /* first character off, last two off, then up to the comma */
    keep = n > 3 ? n - 3 : 0;
    if (keep < sizeof buf) {
        memcpy(buf, cell + (n ? 1 : 0), keep);
        buf[keep] = '\0';
        if (strchr(buf, ','))
            *strchr(buf, ',') = '\0';
        v = strtod(buf, &end);
        if (end != buf && end[strspn(end, " \t")] == '\0' && v > 0 && isfinite(v)) {
            *mm = v;
            return CTS_OK;
        }
    }
    return cts_fail(
        CTS_E_INPUT,
        "XYSpacing is \"%.40s\", allowed a bracketed pair of millimetres above 0, for example \"[0.75, 0.75]\"", cell);
}

/* ---- names ---- */

typedef struct {
    const char *stem; /* borrowed */
    size_t at;        /* row, record or file */
} key;

static int by_stem(const void *a, const void *b)
{
    const key *x = a, *y = b;
    int c = strcmp(x->stem, y->stem);

    return c ? c : (x->at > y->at) - (x->at < y->at);
}

/* First entry of the sorted keys with this stem, or NULL. */
static const key *find_key(const key *keys, size_t n, const char *stem)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (strcmp(keys[mid].stem, stem) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && !strcmp(keys[lo].stem, stem) ? &keys[lo] : NULL;
}

void cts_volume_name_split(const char *stem, size_t *patient, size_t *scan, int *reconstruction)
{
    const char *patient_end, *scan_end, *p = strchr(stem, '_');

    *patient = *scan = strlen(stem);
    *reconstruction = 0;
    if (!p || p == stem)
        return;
    patient_end = p + 1 + strspn(p + 1, "0123456789");
    if (patient_end == p + 1 || *patient_end != '_')
        return;
    scan_end = strchr(patient_end + 1, '_');
    if (!scan_end || scan_end == patient_end + 1)
        return;
    p = scan_end + 1;
    if (!*p || p[strspn(p, "0123456789")] || strlen(p) > 6)
        return;
    *reconstruction = atoi(p);
    *patient = (size_t)(patient_end - stem);
    *scan = (size_t)(scan_end - stem);
}

static int parse_name(cts_record *r, struct cts_arena *a)
{
    size_t patient, scan;

    cts_volume_name_split(r->stem, &patient, &scan, &r->reconstruction);
    r->patient = r->stem[patient] ? cts_arena_strndup(a, r->stem, patient) : r->stem;
    r->scan = r->stem[scan] ? cts_arena_strndup(a, r->stem, scan) : r->stem;
    return r->patient && r->scan ? CTS_OK : CTS_E_NOMEM;
}

/* ---- one CSV ---- */

typedef struct {
    cts_csv *csv;
    int name_col;
    key *keys; /* [rows], sorted by stem */
} table;

static void table_close(table *t)
{
    cts_csv_destroy(t->csv);
    free(t->keys);
}

static int table_open(table *t, const char *path, struct cts_arena *a)
{
    size_t rows;
    int rc;

    if ((rc = cts_csv_load(&t->csv, path)) || (rc = cts_csv_require(&t->name_col, t->csv, "VolumeName")))
        return rc;
    rows = cts_csv_rows(t->csv);
    if (!(t->keys = calloc(rows + 1, sizeof *t->keys)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu names", path, rows);
    for (size_t i = 0; i < rows; i++) {
        const char *name = cts_csv_cell(t->csv, i, (size_t)t->name_col);

        if (!*name)
            return cts_fail(CTS_E_INPUT, "%s line %zu: VolumeName is empty", path, cts_csv_line(t->csv, i));
        t->keys[i].at = i;
        if (!(t->keys[i].stem = cts_arena_strndup(a, name, cts_volume_stem(name))))
            return cts_fail(CTS_E_NOMEM, "%s: out of memory for names", path);
    }
    qsort(t->keys, rows, sizeof *t->keys, by_stem);
    for (size_t i = 1; i < rows; i++)
        if (!strcmp(t->keys[i].stem, t->keys[i - 1].stem))
            return cts_fail(CTS_E_INPUT, "%s: VolumeName \"%s\" stands on line %zu and again on line %zu, allowed once",
                            path, t->keys[i].stem, cts_csv_line(t->csv, t->keys[i - 1].at),
                            cts_csv_line(t->csv, t->keys[i].at));
    return CTS_OK;
}

/* The number of a cell; *empty when there is none. */
static int cell_number(double *out, bool *empty, const cts_csv *c, size_t row, int col)
{
    const char *cell = cts_csv_cell(c, row, (size_t)col);
    char *end;
    double v = strtod(cell, &end);

    *empty = !cell[strspn(cell, " \t")];
    if (!*empty && (end[strspn(end, " \t")] || !isfinite(v)))
        return cts_fail(CTS_E_INPUT, "%s line %zu: %s is \"%.40s\", allowed a number", cts_csv_name(c),
                        cts_csv_line(c, row), cts_csv_header(c, (size_t)col), cell);
    *out = v;
    return CTS_OK;
}

/* What a CSV says: its columns, then one row into one record. */
typedef struct {
    const char *const *columns;
    size_t n_columns;
    int (*fill)(cts_record *r, const table *t, const int *cols, size_t row, struct cts_arena *a);
} kind;

static int fill_report(cts_record *r, const table *t, const int *cols, size_t row, struct cts_arena *a)
{
    r->findings = cts_arena_strdup(a, cts_csv_cell(t->csv, row, (size_t)cols[0]));
    r->impressions = cts_arena_strdup(a, cts_csv_cell(t->csv, row, (size_t)cols[1]));
    r->has_report = true;
    return r->findings && r->impressions ? CTS_OK : cts_fail(CTS_E_NOMEM, "%s: out of memory", cts_csv_name(t->csv));
}

static int fill_labels(cts_record *r, const table *t, const int *cols, size_t row, struct cts_arena *a)
{
    (void)a;
    for (int f = 0; f < CTS_FINDINGS; f++) {
        double v = 0;
        bool empty;

        if (cell_number(&v, &empty, t->csv, row, cols[f]) || empty || (v != 0 && v != 1))
            return cts_fail(CTS_E_INPUT, "%s line %zu: %s is \"%.40s\", allowed 0 or 1", cts_csv_name(t->csv),
                            cts_csv_line(t->csv, row), cts_findings[f].name,
                            cts_csv_cell(t->csv, row, (size_t)cols[f]));
        r->labels[f] = v == 1;
    }
    r->has_labels = true;
    return CTS_OK;
}

static int fill_metadata(cts_record *r, const table *t, const int *cols, size_t row, struct cts_arena *a)
{
    double z = 0, slope = 0, inter = 0, xy;
    bool no_z, no_slope, no_inter;
    const char *cell = cts_csv_cell(t->csv, row, (size_t)cols[0]);
    int rc;

    (void)a;
    if ((rc = cell_number(&z, &no_z, t->csv, row, cols[1])) ||
        (rc = cell_number(&slope, &no_slope, t->csv, row, cols[2])) ||
        (rc = cell_number(&inter, &no_inter, t->csv, row, cols[3])))
        return rc;
    if (!*cell || no_z || no_slope || no_inter)
        return CTS_OK; /* some published rows have holes: no metadata then, and the header's own geometry stands */
    if ((rc = cts_xy_spacing_parse(&xy, cell)))
        return cts_fail_in(rc, "%s line %zu", cts_csv_name(t->csv), cts_csv_line(t->csv, row));
    if (!(z > 0))
        return cts_fail(CTS_E_INPUT, "%s line %zu: ZSpacing is %g, allowed above 0", cts_csv_name(t->csv),
                        cts_csv_line(t->csv, row), z);
    r->spacing_xyz[0] = r->spacing_xyz[1] = xy;
    r->spacing_xyz[2] = z;
    r->rescale[0] = slope;
    r->rescale[1] = inter;
    r->has_metadata = true;
    return CTS_OK;
}

static int columns_of(int *cols, const table *t, const kind *k)
{
    int rc = CTS_OK;

    for (size_t i = 0; i < k->n_columns && !rc; i++)
        rc = cts_csv_require(&cols[i], t->csv, k->columns ? k->columns[i] : cts_findings[i].name);
    return rc;
}

/* Records from the rows of the first CSV. */
static int make_records(cts_dataset *d, const table *t)
{
    size_t rows = cts_csv_rows(t->csv);

    if (!rows)
        return cts_fail(CTS_E_INPUT, "%s: the file has a header but no rows", cts_csv_name(t->csv));
    if (!(d->records = calloc(rows, sizeof *d->records)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu records", cts_csv_name(t->csv), rows);
    d->n = rows;
    for (size_t i = 0; i < rows; i++)
        d->records[t->keys[i].at].stem = t->keys[i].stem;
    for (size_t i = 0; i < rows; i++)
        if (!(d->records[i].name = cts_arena_strdup(d->texts, cts_csv_cell(t->csv, i, (size_t)t->name_col))))
            return cts_fail(CTS_E_NOMEM, "%s: out of memory", cts_csv_name(t->csv));
    return CTS_OK;
}

static int add_csv(cts_dataset *d, const char *path, const kind *k)
{
    table t = {0};
    int cols[CTS_FINDINGS], rc;
    size_t used = 0;
    bool first = !d->records;

    if ((rc = table_open(&t, path, d->texts)) || (rc = columns_of(cols, &t, k)))
        goto out;
    if (first && (rc = make_records(d, &t)))
        goto out;
    for (size_t i = 0; i < d->n; i++) {
        const key *at = find_key(t.keys, cts_csv_rows(t.csv), d->records[i].stem);

        if (at && (rc = k->fill(&d->records[i], &t, cols, at->at, d->texts)))
            goto out;
        used += at != NULL;
    }
    d->n_unused += cts_csv_rows(t.csv) - used;
out:
    table_close(&t);
    return rc;
}

/* ---- the folder ---- */

typedef struct {
    char **paths; /* of volumes, relative to the folder */
    size_t n_all, n;
    key *keys;  /* [n] sorted by stem; at = index in paths */
    bool *used; /* [n_all] */
} folder;

static void folder_close(folder *f)
{
    cts_list_free(f->paths, f->n_all);
    free(f->keys);
    free(f->used);
}

static int folder_open(folder *f, const char *path, struct cts_arena *a)
{
    int rc;

    if (!cts_is_dir(path))
        return cts_fail(CTS_E_IO, "%s: not a folder; the volumes must lie in one", path);
    if ((rc = cts_dir_walk(&f->paths, &f->n_all, path)))
        return rc;
    f->keys = calloc(f->n_all + 1, sizeof *f->keys);
    f->used = calloc(f->n_all + 1, sizeof *f->used);
    if (!f->keys || !f->used)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu files", path, f->n_all);
    for (size_t i = 0; i < f->n_all; i++) {
        const char *base = cts_path_base(f->paths[i]);
        size_t n = cts_volume_stem(base);

        if (!base[n] || base[0] == '.')
            continue; /* no volume: a CSV, a model, ... */
        if (!(f->keys[f->n].stem = cts_arena_strndup(a, base, n)))
            return cts_fail(CTS_E_NOMEM, "%s: out of memory", path);
        f->keys[f->n++].at = i;
    }
    qsort(f->keys, f->n, sizeof *f->keys, by_stem);
    return CTS_OK;
}

static int set_path(cts_record *r, const char *root, const char *relative, struct cts_arena *a)
{
    char *full = cts_path_join(root, relative);

    r->path = full ? cts_arena_strdup(a, full) : NULL;
    free(full);
    return r->path ? CTS_OK : cts_fail(CTS_E_NOMEM, "%s: out of memory", root);
}

/* The file of a record: the only one of its stem, or the only one whose name is exactly the record's. */
static int match_file(const char **relative, folder *f, const cts_record *r, const char *root)
{
    const key *first = find_key(f->keys, f->n, r->stem), *end = first, *pick = NULL;
    size_t same = 0, exact = 0;

    *relative = NULL;
    if (!first)
        return CTS_OK;
    for (; end < f->keys + f->n && !strcmp(end->stem, r->stem); end++, same++) {
        f->used[end->at] = true;
        if (!strcmp(cts_path_base(f->paths[end->at]), r->name)) {
            pick = end;
            exact++;
        }
    }
    if (same == 1)
        pick = first;
    else if (exact != 1)
        return cts_fail(CTS_E_INPUT, "%s: volume \"%s\" is there %zu times, %s and %s, allowed once", root, r->name,
                        same, f->paths[first->at], f->paths[first[1].at]);
    *relative = f->paths[pick->at];
    return CTS_OK;
}

static int find_files(cts_dataset *d, folder *f, const char *root)
{
    int rc;

    if (!(d->missing = calloc(d->n + 1, sizeof *d->missing)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", root);
    for (size_t i = 0; i < d->n; i++) {
        const char *relative;

        if ((rc = match_file(&relative, f, &d->records[i], root)))
            return rc;
        if (!relative)
            d->missing[d->n_missing++] = d->records[i].name;
        else if ((rc = set_path(&d->records[i], root, relative, d->texts)))
            return rc;
    }
    for (size_t i = 0; i < f->n; i++)
        d->n_unlisted += !f->used[f->keys[i].at];
    return CTS_OK;
}

/* No CSV: the files themselves are the records, in the order of the walk. */
static int records_of_folder(cts_dataset *d, folder *f, const char *root)
{
    int rc;

    if (!f->n)
        return cts_fail(CTS_E_INPUT, "%s: no .nii or .nii.gz file in the folder or below", root);
    for (size_t i = 1; i < f->n; i++)
        if (!strcmp(f->keys[i].stem, f->keys[i - 1].stem))
            return cts_fail(CTS_E_INPUT, "%s: volume \"%s\" is there twice, %s and %s, allowed once", root,
                            f->keys[i].stem, f->paths[f->keys[i - 1].at], f->paths[f->keys[i].at]);
    if (!(d->records = calloc(f->n, sizeof *d->records)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu records", root, f->n);
    for (size_t i = 0; i < f->n_all; i++) {
        const char *base = cts_path_base(f->paths[i]);
        size_t n = cts_volume_stem(base);
        cts_record *r = &d->records[d->n];

        if (!base[n] || base[0] == '.')
            continue;
        d->n++;
        r->name = cts_arena_strdup(d->texts, base);
        r->stem = cts_arena_strndup(d->texts, base, n);
        if (!r->name || !r->stem)
            return cts_fail(CTS_E_NOMEM, "%s: out of memory", root);
        if ((rc = set_path(r, root, f->paths[i], d->texts)))
            return rc;
    }
    return CTS_OK;
}

int cts_dataset_load(cts_dataset **out, const cts_dataset_paths *paths)
{
    static const char *const report_columns[] = {"Findings_EN", "Impressions_EN"};
    static const char *const metadata_columns[] = {"XYSpacing", "ZSpacing", "RescaleSlope", "RescaleIntercept"};
    static const kind reports = {report_columns, CTS_COUNT(report_columns), fill_report};
    static const kind labels = {NULL, CTS_FINDINGS, fill_labels};
    static const kind metadata = {metadata_columns, CTS_COUNT(metadata_columns), fill_metadata};
    cts_dataset *d = calloc(1, sizeof *d);
    folder f = {0};
    int rc = CTS_OK;

    if (!d || !(d->texts = cts_arena_create(0))) {
        rc = cts_fail(CTS_E_NOMEM, "dataset: out of memory");
        goto out;
    }
    if (!paths->reports && !paths->labels && !paths->metadata && !paths->volumes) {
        rc = cts_fail(CTS_E_INPUT, "dataset: neither a CSV nor a folder of volumes was given");
        goto out;
    }
    if ((paths->volumes && (rc = folder_open(&f, paths->volumes, d->texts))) ||
        (paths->reports && (rc = add_csv(d, paths->reports, &reports))) ||
        (paths->labels && (rc = add_csv(d, paths->labels, &labels))) ||
        (!d->records && paths->volumes && (rc = records_of_folder(d, &f, paths->volumes))) ||
        (paths->metadata && (rc = add_csv(d, paths->metadata, &metadata))) ||
        (paths->volumes && (rc = find_files(d, &f, paths->volumes))))
        goto out;
    for (size_t i = 0; i < d->n; i++) {
        if (parse_name(&d->records[i], d->texts)) {
            rc = cts_fail(CTS_E_NOMEM, "dataset: out of memory");
            goto out;
        }
        d->n_unlabelled += paths->labels && !d->records[i].has_labels;
    }
    *out = d;
    d = NULL;
out:
    folder_close(&f);
    cts_dataset_destroy(d);
    return rc;
}

void cts_dataset_destroy(cts_dataset *d)
{
    if (!d)
        return;
    free(d->records);
    free(d->missing);
    cts_arena_destroy(d->texts);
    free(d);
}

int64_t cts_dataset_find(const cts_dataset *d, const char *name)
{
    size_t n = cts_volume_stem(name);

    for (size_t i = 0; i < d->n; i++)
        if (strlen(d->records[i].stem) == n && !memcmp(d->records[i].stem, name, n))
            return (int64_t)i;
    return -1;
}
