/* SPDX-License-Identifier: MIT */
#include "query/training/label_features.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/loader.h"
#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "kernels/base/log.h"
#include "kernels/base/npy.h"
#include "kernels/base/signal.h"
#include "kernels/base/status.h"

#define MAX_RECORD ((size_t)1 << 16)

void cts_label_features_free(cts_label_features *f)
{
    free(f->rows);
    memset(f, 0, sizeof *f);
}

static int digest_of(char out[CTS_DIGEST_HEX], const cts_tower_spec *spec, const char *model,
                     cts_label_set *const *sets, int n_sets)
{
    const char *result = spec->result == CTS_RESULT_EMBEDDING ? "embedding" : "vector";
    cts_digest *d = NULL;
    int rc = cts_digest_create(&d);

    if (rc)
        return rc;
    cts_digest_update(d, model, strlen(model));
    cts_digest_update(d, result, strlen(result));
    for (int i = 0; !rc && i < n_sets; i++) {
        char one[CTS_DIGEST_HEX];

        if (!(rc = cts_label_set_digest(sets[i], false, one)))
            cts_digest_update(d, one, strlen(one));
    }
    if (!rc)
        rc = cts_digest_finish(d, out);
    cts_digest_destroy(d);
    return rc;
}

/* What lies in the run folder, when it is of this digest; f->rows stays NULL otherwise. */
static int reuse(cts_label_features *f, const char *rows, const char *record, const char *digest)
{
    const char *is = "";
    json_t *j = NULL;
    size_t n = 0, d = 0;
    int rc = CTS_OK;

    if (!cts_file_exists(rows) || !cts_file_exists(record) || cts_json_load(&j, record, MAX_RECORD))
        return CTS_OK;
    if (!cts_json_string(&is, j, "digest", true, record) && !strcmp(is, digest) &&
        !(rc = cts_npy_load_f32(&f->rows, &n, &d, rows))) {
        if (n == f->n && d == f->width) {
            f->cached = true;
        } else {
            free(f->rows);
            f->rows = NULL;
        }
    }
    json_decref(j);
    return rc;
}

static int keep(const cts_label_features *f, const char *rows, const char *record, const char *digest)
{
    json_t *j = json_pack("{s:s, s:i, s:s, s:I, s:I}", "format", "ctsearch-features", "version", 1, "digest", digest,
                          "rows", (json_int_t)f->n, "width", (json_int_t)f->width);
    int rc = j ? cts_npy_save_f32(rows, f->rows, f->n, f->width) : cts_fail(CTS_E_NOMEM, "out of memory");

    if (!rc)
        rc = cts_json_save(j, record);
    json_decref(j);
    return rc;
}

typedef struct {
    cts_label_set *const *sets;
    int n_sets;
    int64_t n;
} source;

static int64_t next_record(void *ctx, uint64_t seq)
{
    const source *s = ctx;

    return (int64_t)seq < s->n ? (int64_t)seq : -1;
}

static int load_record(void *ctx, int64_t record, float *out)
{
    const source *s = ctx;
    int i = 0;

    while (record >= (int64_t)s->sets[i]->n)
        record -= (int64_t)s->sets[i++]->n;
    return cts_label_set_load(s->sets[i], record, out);
}

static int compute(cts_label_features *f, cts_tower *t, source *s, int threads)
{
    int64_t dim[3];
    cts_loader_options o = {
        .n_items = s->n, .threads = threads, .depth = threads + 1, .order = next_record, .load = load_record, .ctx = s};
    cts_loader *l = NULL;
    cts_progress bar;
    int rc;

    cts_tower_volume_dim(t, dim);
    o.item_floats = (size_t)(dim[0] * dim[1] * dim[2]);
    if ((rc = cts_loader_create(&l, &o, 0)))
        return rc;
    cts_progress_start(&bar, "features", (uint64_t)s->n);
    for (int64_t i = 0; !rc && i < s->n; i++) {
        float *row = f->rows + (size_t)i * f->width;
        cts_loaded item;

        cts_loader_next(l, &item);
        if (item.status) {
            cts_log(CTS_LOG_WARN, "skipped: %s", item.error);
            for (size_t k = 0; k < f->width; k++)
                row[k] = NAN;
        } else {
            rc = cts_tower_volumes(t, 1, item.floats, 0, row);
        }
        if (!rc && cts_interrupted())
            rc = cts_fail(CTS_E_INTERRUPTED, "interrupted after %lld of %lld volumes; nothing was kept",
                          (long long)(i + 1), (long long)s->n);
        cts_progress_set(&bar, (uint64_t)(i + 1), NULL);
    }
    cts_progress_end(&bar);
    cts_loader_destroy(l);
    return rc;
}

int cts_label_features_make(cts_label_features *out, const cts_tower_spec *spec, const char *model_digest,
                            cts_label_set *const *sets, int n_sets, int threads, const char *dir, cts_backend *backend)
{
    char *rows = cts_path_join(dir, "features.npy"), *record = cts_path_join(dir, "features.json");
    cts_label_features f = {0};
    source s = {sets, n_sets, 0};
    cts_tower_options o = {.max_batch = 1};
    cts_tower *t = NULL;
    char digest[CTS_DIGEST_HEX];
    int rc = rows && record ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory");

    for (int i = 0; i < n_sets; i++)
        s.n += (int64_t)sets[i]->n;
    memcpy(o.volume, sets[0]->recipe.size_zxy, sizeof o.volume);
    if (rc || (rc = digest_of(digest, spec, model_digest, sets, n_sets)) ||
        (rc = cts_tower_create(&t, spec, &o, backend, NULL)))
        goto out;
    f.n = (size_t)s.n;
    f.width = (size_t)cts_tower_dim(t);
    if ((rc = reuse(&f, rows, record, digest)))
        goto out;
    if (!f.rows) {
        if (!(f.rows = malloc((f.n * f.width + 1) * sizeof *f.rows)))
            rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu vectors of %zu values", f.n, f.width);
        if (rc || (rc = cts_mkdir_p(dir)) || (rc = compute(&f, t, &s, threads)) ||
            (rc = keep(&f, rows, record, digest)))
            goto out;
    }
    *out = f;
    memset(&f, 0, sizeof f);
out:
    cts_tower_destroy(t);
    cts_label_features_free(&f);
    free(rows);
    free(record);
    return rc;
}
