/* SPDX-License-Identifier: MIT */
#include "query/training/label_set.h"

#include <stdlib.h>
#include <string.h>

#include "data/csv.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"
#include "query/dataset_options.h"
#include "query/engine.h"
#include "query/orientation.h"

int cts_label_choice_parse(cts_label_choice *out, const char *list)
{
    cts_label_choice c = {.n = 0};

    for (int i = 0; !list && i < CTS_FINDINGS; i++)
        c.index[c.n++] = i;
    for (const char *p = list; p;) {
        size_t n = strcspn(p, ",");
        char name[CTS_LABEL_BYTES];
        int k;

        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), p);
        if ((k = cts_finding_find(name)) < 0)
            return cts_fail(CTS_E_USAGE, "--findings: got \"%s\", allowed: names of the 18 findings, such as %s, %s",
                            name, cts_findings[0].slug, cts_findings[7].slug);
        for (int64_t i = 0; i < c.n; i++)
            if (c.index[i] == k)
                return cts_fail(CTS_E_USAGE, "--findings: got \"%s\" twice, allowed: each once", name);
        c.index[c.n++] = k;
        p = p[n] ? p + n + 1 : NULL;
    }
    *out = c;
    return CTS_OK;
}

/* A column that nobody reads is a misspelt one more often than not. */
static int check_columns(const char *path)
{
    cts_csv *csv = NULL;
    int rc = cts_csv_load(&csv, path);

    for (size_t c = 0; !rc && c < cts_csv_cols(csv); c++) {
        const char *name = cts_csv_header(csv, c);

        if (strcmp(name, "VolumeName") != 0 &&
            (cts_finding_find(name) < 0 || strcmp(cts_findings[cts_finding_find(name)].name, name) != 0))
            rc = cts_fail(
                CTS_E_FORMAT,
                "%s line 1: column %zu is \"%.60s\", allowed: VolumeName and the 18 findings as CT-RATE writes "
                "them (%s, ...)",
                path, c + 1, name, cts_findings[0].name);
    }
    cts_csv_destroy(csv);
    return rc;
}

static int keep_records(cts_label_set *s, const cts_dataset *d)
{
    int64_t m = s->choice.n;

    s->record = malloc((d->n + 1) * sizeof *s->record);
    s->labels = malloc((d->n + 1) * (size_t)m);
    if (!s->record || !s->labels)
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu records", d->n);
    for (size_t i = 0; i < d->n; i++) {
        const cts_record *r = &d->records[i];

        if (!r->has_labels)
            s->without_labels++;
        else if (!r->path)
            s->without_volume++;
        else {
            for (int64_t k = 0; k < m; k++)
                s->labels[s->n * (size_t)m + (size_t)k] = r->labels[s->choice.index[k]];
            s->record[s->n++] = r;
        }
    }
    if (!s->n)
        return cts_fail(CTS_E_INPUT,
                        "%s: got %zu records, %zu of them without a volume file and %zu without labels; allowed: at "
                        "least one with both",
                        s->what, d->n, s->without_volume, s->without_labels);
    return cts_axes_create(&s->axes, s->n, s->what);
}

int cts_label_set_open(cts_label_set *out, cts_dataset **d, const cts_dataset_paths *paths,
                       const cts_label_choice *choice, const char *what)
{
    cts_label_set s = {.choice = *choice, .what = what};
    cts_dataset *own = NULL;
    int rc;

    if (!paths->labels || !paths->volumes)
        return cts_fail(CTS_E_USAGE, "%s: a CSV of labels and a folder of volumes are needed", what);
    if ((rc = check_columns(paths->labels)) || (rc = cts_dataset_open(&own, paths)) || (rc = keep_records(&s, own)))
        goto out;
    *out = s;
    *d = own;
    memset(&s, 0, sizeof s);
    own = NULL;
out:
    cts_label_set_free(&s);
    cts_dataset_destroy(own);
    return rc;
}

void cts_label_set_free(cts_label_set *s)
{
    free(s->record);
    free(s->labels);
    cts_axes_destroy(s->axes);
    memset(s, 0, sizeof *s);
}

int cts_label_set_load(void *ctx, int64_t record, float *volume)
{
    const cts_label_set *s = ctx;
    cts_volume_source source = cts_record_source(s->record[record]);
    cts_preprocess_info info;
    int rc = cts_load_volume(&source, &s->recipe, NULL, volume, &info);

    if (!rc && info.stored_zxy[0] < s->min_slices)
        rc = cts_fail(CTS_E_INPUT, "%s: got %lld slice%s, allowed: at least %lld, which this model reads at once",
                      source.path, (long long)info.stored_zxy[0], info.stored_zxy[0] == 1 ? "" : "s",
                      (long long)s->min_slices);
    cts_axes_count(s->axes, record, rc ? NULL : &info);
    return rc;
}

typedef struct {
    const char *name;
    size_t at;
} named;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

int cts_label_set_patients(const cts_label_set *s, int64_t *patient)
{
    named *list = malloc((s->n + 1) * sizeof *list);
    int64_t k = -1;

    if (!list)
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu patients", s->n);
    for (size_t i = 0; i < s->n; i++)
        list[i] = (named){s->record[i]->patient, i};
    qsort(list, s->n, sizeof *list, by_name);
    for (size_t i = 0; i < s->n; i++) {
        k += i == 0 || strcmp(list[i].name, list[i - 1].name) != 0;
        patient[list[i].at] = k;
    }
    free(list);
    return CTS_OK;
}

int cts_label_set_digest(const cts_label_set *s, bool with_labels, char digest[CTS_DIGEST_HEX])
{
    cts_digest *d = NULL;
    char recipe[CTS_DIGEST_HEX];
    int rc = cts_recipe_digest(&s->recipe, recipe);

    if (rc || (rc = cts_digest_create(&d)))
        return rc;
    cts_digest_update(d, recipe, strlen(recipe));
    for (size_t i = 0; !rc && i < s->n; i++) {
        const cts_record *r = s->record[i];
        uint64_t bytes = 0;

        rc = cts_file_size(&bytes, r->path);
        cts_digest_update(d, r->name, strlen(r->name) + 1);
        cts_digest_update(d, &bytes, sizeof bytes);
        if (r->has_metadata) {
            cts_digest_update(d, r->spacing_xyz, sizeof r->spacing_xyz);
            cts_digest_update(d, r->rescale, sizeof r->rescale);
        }
    }
    for (int64_t k = 0; with_labels && k < s->choice.n; k++)
        cts_digest_update(d, cts_findings[s->choice.index[k]].slug, strlen(cts_findings[s->choice.index[k]].slug) + 1);
    if (with_labels)
        cts_digest_update(d, s->labels, s->n * (size_t)s->choice.n);
    if (!rc)
        rc = cts_digest_finish(d, digest);
    cts_digest_destroy(d);
    return rc;
}
