/* SPDX-License-Identifier: MIT */
#include "data/phantom_set.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/csv.h"
#include "data/ct_rate.h"
#include "data/nifti.h"
#include "kernels/base/file.h"

#define MAX_VOLUMES 1000000

typedef struct {
    char *name; /* with .nii.gz */
    uint8_t labels[CTS_FINDINGS];
    cts_str findings, impressions;
    cts_phantom_info info;
} item;

typedef struct {
    const cts_phantom_set *set;
    const cts_dataset *given; /* NULL: drawn */
    item *items;
    int64_t n, lo, hi; /* this round does [lo, hi) */
} job;

static int save(const cts_volume *v, const char *folder, const char *sub, const char *name)
{
    char *path = cts_asprintf("%s/%s/%s", folder, sub, name);
    int rc = path ? cts_nifti_save(v, path, 1) : cts_fail(CTS_E_NOMEM, "phantom set: out of memory");

    free(path);
    return rc;
}

static int write_one(const job *w, int64_t i)
{
    const cts_phantom_set *set = w->set;
    item *it = &w->items[i];
    cts_phantom_spec spec = {.noise_hu = set->noise_hu, .without = set->without};
    cts_phantom *p = NULL;
    cts_volume *hu = NULL, *mask = NULL;
    int rc;

    spec.seed = cts_phantom_seed(set->seed, it->name);
    spec.noise_salt = cts_phantom_noise_salt(it->name);
    memcpy(spec.dim, set->dim, sizeof spec.dim);
    memcpy(spec.spacing, set->spacing, sizeof spec.spacing);
    if (w->given) {
        spec.labels_given = true;
        memcpy(spec.labels, w->given->records[i].labels, sizeof spec.labels);
    } else if (set->exactly) {
        spec.labels_given = true;
        for (int f = 0; f < CTS_FINDINGS; f++)
            spec.labels[f] = set->findings >> f & 1;
    }
    if ((rc = cts_phantom_create(&p, &spec)) != CTS_OK)
        goto out;
    if ((rc = cts_phantom_render(p, NULL, &hu, set->masks ? &mask : NULL)) != CTS_OK)
        goto out;
    if ((rc = save(hu, set->folder, CTS_PHANTOM_VOLUMES, it->name)) != CTS_OK)
        goto out;
    if (mask && (rc = save(mask, set->folder, CTS_PHANTOM_MASKS, it->name)) != CTS_OK)
        goto out;
    cts_phantom_labels(p, it->labels);
    it->info = *cts_phantom_info_get(p);
    if (!w->given)
        rc = cts_phantom_report(p, &it->findings, &it->impressions);
out:
    cts_volume_destroy(hu);
    cts_volume_destroy(mask);
    cts_phantom_destroy(p);
    return rc;
}

static int write_share(void *ctx, int ith, int nth)
{
    const job *w = ctx;
    int rc = CTS_OK;

    for (int64_t i = w->lo + ith; i < w->hi && rc == CTS_OK; i += nth)
        rc = write_one(w, i);
    return rc;
}

static int put_csv(const cts_phantom_set *set, const char *file, cts_str *text)
{
    char *path = cts_path_join(set->folder, file);
    int rc;

    if (!path || text->failed)
        rc = cts_fail(CTS_E_NOMEM, "phantom set: out of memory");
    else
        rc = cts_file_write_atomic(path, cts_str_text(text), text->n);
    free(path);
    cts_str_free(text);
    return rc;
}

static int put_labels(const job *w)
{
    cts_str t = {0};

    cts_csv_put(&t, "VolumeName", true);
    for (int f = 0; f < CTS_FINDINGS; f++)
        cts_csv_put(&t, cts_findings[f].name, false);
    cts_str_append(&t, "\n");
    for (int64_t i = 0; i < w->n; i++) {
        cts_csv_put(&t, w->items[i].name, true);
        for (int f = 0; f < CTS_FINDINGS; f++)
            cts_csv_put(&t, w->items[i].labels[f] ? "1" : "0", false);
        cts_str_append(&t, "\n");
    }
    return put_csv(w->set, CTS_PHANTOM_LABELS, &t);
}

static int put_reports(const job *w)
{
    cts_str t = {0};

    cts_str_append(&t, "VolumeName,Findings_EN,Impressions_EN\n");
    for (int64_t i = 0; i < w->n; i++) {
        cts_csv_put(&t, w->items[i].name, true);
        cts_csv_put(&t, cts_str_text(&w->items[i].findings), false);
        cts_csv_put(&t, cts_str_text(&w->items[i].impressions), false);
        cts_str_append(&t, "\n");
    }
    return put_csv(w->set, CTS_PHANTOM_REPORTS, &t);
}

/* The columns of CT-RATE's metadata that mean something here. The voxels are HU already: slope 1, intercept 0. */
static int put_metadata(const job *w, const int64_t dim[3], const double spacing[3])
{
    cts_str t = {0}, cell = {0};

    cts_str_append(
        &t, "VolumeName,Manufacturer,SeriesDescription,ManufacturerModelName,PatientSex,PatientAge,PatientPosition,"
            "ImageOrientationPatient,Rows,Columns,XYSpacing,RescaleIntercept,RescaleSlope,RescaleType,"
            "NumberofSlices,ZSpacing\n");
    for (int64_t i = 0; i < w->n; i++) {
        const cts_phantom_info *info = &w->items[i].info;

        cts_csv_put(&t, w->items[i].name, true);
        cts_str_printf(&t, ",ctsearch,synthetic chest,phantom,%c,%03dY,HFS,", info->sex, info->age_years);
        cts_str_append(&t, "\"[1, 0, 0, 0, 1, 0]\"");
        cts_str_printf(&t, ",%" PRId64 ",%" PRId64, dim[1], dim[0]);
        cts_str_clear(&cell);
        cts_str_printf(&cell, "[%.6g, %.6g]", spacing[0], spacing[1]);
        cts_csv_put(&t, cts_str_text(&cell), false);
        cts_str_printf(&t, ",0,1,HU,%" PRId64 ",%.6g\n", dim[2], spacing[2]);
    }
    t.failed |= cell.failed;
    cts_str_free(&cell);
    return put_csv(w->set, CTS_PHANTOM_METADATA, &t);
}

static int check(const cts_phantom_set *set)
{
    const char *prefix = set->prefix ? set->prefix : "train";

    if (!set->folder || !*set->folder)
        return cts_fail(CTS_E_INPUT, "phantom set: no folder is given");
    if (set->n < (set->labels ? 0 : 1) || set->n > MAX_VOLUMES)
        return cts_fail(CTS_E_INPUT, "phantom set: n is %" PRId64 ", allowed are %d to %d", set->n, set->labels ? 0 : 1,
                        MAX_VOLUMES);
    if (set->first < 0 || set->first > MAX_VOLUMES)
        return cts_fail(CTS_E_INPUT, "phantom set: first is %" PRId64 ", allowed are 0 to %d", set->first, MAX_VOLUMES);
    if (!*prefix || strlen(prefix) > 40)
        return cts_fail(CTS_E_INPUT, "phantom set: prefix has %zu characters, allowed are 1 to 40", strlen(prefix));
    for (const char *c = prefix; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-')
            return cts_fail(CTS_E_INPUT, "phantom set: prefix is \"%s\", allowed are letters, digits and '-'", prefix);
    return CTS_OK;
}

/* Names of the volumes. */
static int list(job *w, const cts_phantom_set *set)
{
    int64_t first = set->first ? set->first : 1;

    w->n = set->n;
    if (w->given && (!set->n || (uint64_t)set->n > w->given->n))
        w->n = (int64_t)w->given->n;
    if (!(w->items = calloc((size_t)w->n, sizeof *w->items)))
        return cts_fail(CTS_E_NOMEM, "phantom set: out of memory");
    for (int64_t i = 0; i < w->n; i++) {
        if (!w->given) {
            w->items[i].name =
                cts_asprintf("%s_%06" PRId64 "_a_1.nii.gz", set->prefix ? set->prefix : "train", first + i);
        } else {
            const cts_record *r = &w->given->records[i];

            if (!r->has_labels)
                return cts_fail(CTS_E_INPUT, "%s: no row for volume %s of %s", set->labels, r->name, set->reports);
            if (strchr(r->stem, '/') || r->stem[0] == '.')
                return cts_fail(CTS_E_INPUT, "%s: VolumeName is \"%.80s\", allowed are plain file names",
                                set->reports ? set->reports : set->labels, r->name);
            w->items[i].name = cts_asprintf("%s.nii.gz", r->stem);
        }
        if (!w->items[i].name)
            return cts_fail(CTS_E_NOMEM, "phantom set: out of memory");
    }
    return CTS_OK;
}

static int make_folders(const cts_phantom_set *set)
{
    static const char *const subs[2] = {CTS_PHANTOM_VOLUMES, CTS_PHANTOM_MASKS};

    for (int s = 0; s < (set->masks ? 2 : 1); s++) {
        char *path = cts_path_join(set->folder, subs[s]);
        int rc = path ? cts_mkdir_p(path) : cts_fail(CTS_E_NOMEM, "phantom set: out of memory");

        free(path);
        if (rc != CTS_OK)
            return rc;
    }
    return CTS_OK;
}

/* In rounds, so that progress comes from the calling thread. */
static int write_volumes(job *w)
{
    int64_t round = 4 * cts_pool_size(w->set->pool);
    int rc;

    for (w->lo = 0; w->lo < w->n; w->lo = w->hi) {
        w->hi = w->lo + round < w->n ? w->lo + round : w->n;
        if ((rc = cts_parallel_for(w->set->pool, write_share, w)) != CTS_OK)
            return rc;
        if (w->set->progress && (rc = w->set->progress(w->set->progress_ctx, w->hi, w->n)) != CTS_OK)
            return rc;
    }
    return CTS_OK;
}

int cts_phantom_set_write(const cts_phantom_set *set, int64_t *written)
{
    cts_dataset *given = NULL;
    cts_phantom *probe = NULL;
    job w = {.set = set};
    cts_phantom_spec spec = {.noise_hu = set->noise_hu};
    int rc;

    if ((rc = check(set)) != CTS_OK)
        goto out;
    if (set->labels) {
        cts_dataset_paths paths = {.reports = set->reports, .labels = set->labels};

        if ((rc = cts_dataset_load(&given, &paths)) != CTS_OK)
            goto out;
        w.given = given;
    }
    memcpy(spec.dim, set->dim, sizeof spec.dim);
    memcpy(spec.spacing, set->spacing, sizeof spec.spacing);
    if ((rc = cts_phantom_create(&probe, &spec)) != CTS_OK) /* a wrong size is told before anything is written */
        goto out;
    if ((rc = list(&w, set)) != CTS_OK || (rc = make_folders(set)) != CTS_OK || (rc = write_volumes(&w)) != CTS_OK)
        goto out;
    cts_phantom_grid(probe, spec.dim, spec.spacing);
    if ((rc = put_metadata(&w, spec.dim, spec.spacing)) != CTS_OK)
        goto out;
    if (!given && ((rc = put_labels(&w)) != CTS_OK || (rc = put_reports(&w)) != CTS_OK))
        goto out;
    if (written)
        *written = w.n;
out:
    for (int64_t i = 0; w.items && i < w.n; i++) {
        free(w.items[i].name);
        cts_str_free(&w.items[i].findings);
        cts_str_free(&w.items[i].impressions);
    }
    free(w.items);
    cts_phantom_destroy(probe);
    cts_dataset_destroy(given);
    return rc;
}
