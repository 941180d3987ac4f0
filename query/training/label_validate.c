/* SPDX-License-Identifier: MIT */
#include "query/training/label_validate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/loader.h"
#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "query/metrics/classify.h"

struct cts_validator {
    const cts_labelled *data;
    cts_tower *tower;
    cts_loader *loader; /* round and round the records */
    size_t item_floats;
    float *volumes;  /* [batch, item_floats] */
    float *logits;   /* [n, labels] of the records that could be loaded */
    uint8_t *labels; /* [n, labels] */
    int64_t *record; /* [n] */
    int64_t n;       /* of the last run */
    bool *told;      /* [n] that it cannot be loaded */
};

static int64_t next_record(void *ctx, uint64_t seq)
{
    return (int64_t)(seq % (uint64_t)((cts_validator *)ctx)->data->n);
}

static int load_record(void *ctx, int64_t record, float *out)
{
    cts_validator *v = ctx;

    return v->data->load(v->data->ctx, record, out);
}

int cts_validator_create(cts_validator **out, const cts_tower_spec *spec, const cts_labelled *data, int64_t batch,
                         int threads, size_t cache_bytes, cts_backend *b)
{
    cts_validator *v = calloc(1, sizeof *v);
    cts_tower_options o = {.max_batch = batch};
    cts_loader_options l = {.n_items = data->n,
                            .threads = threads,
                            .depth = threads + 1,
                            .cache_bytes = cache_bytes,
                            .order = next_record,
                            .load = load_record,
                            .ctx = v};
    size_t cells = (size_t)data->n * (size_t)data->n_labels;
    int rc;

    if (!v)
        return cts_fail(CTS_E_NOMEM, "out of memory for validation");
    v->data = data;
    v->item_floats = l.item_floats = (size_t)(data->volume[0] * data->volume[1] * data->volume[2]);
    v->volumes = malloc((size_t)batch * v->item_floats * sizeof *v->volumes);
    v->logits = malloc((cells + 1) * sizeof *v->logits);
    v->labels = malloc(cells + 1);
    v->record = malloc(((size_t)data->n + 1) * sizeof *v->record);
    v->told = calloc((size_t)data->n + 1, sizeof *v->told);
    memcpy(o.volume, data->volume, sizeof o.volume);
    if (!v->volumes || !v->logits || !v->labels || !v->record || !v->told)
        rc = cts_fail(CTS_E_NOMEM, "out of memory for the validation of %lld volumes", (long long)data->n);
    else if (!(rc = cts_tower_create(&v->tower, spec, &o, b, NULL)))
        rc = cts_loader_create(&v->loader, &l, 0);
    if (rc)
        cts_validator_destroy(v);
    else
        *out = v;
    return rc;
}

void cts_validator_destroy(cts_validator *v)
{
    if (!v)
        return;
    cts_loader_destroy(v->loader);
    cts_tower_destroy(v->tower);
    free(v->volumes);
    free(v->logits);
    free(v->labels);
    free(v->record);
    free(v->told);
    free(v);
}

/* Logits of all records. */
static int forward(cts_validator *v)
{
    int64_t max = cts_tower_max_batch(v->tower), m = v->data->n_labels, held = 0;
    int rc = cts_tower_params_changed(v->tower);

    v->n = 0;
    for (int64_t i = 0; !rc && i < v->data->n; i++) {
        cts_loaded item;

        cts_loader_next(v->loader, &item);
        if (item.status) {
            if (!v->told[item.record])
                cts_log(CTS_LOG_WARN, "skipped: %s", item.error);
            v->told[item.record] = true;
        } else {
            memcpy(v->volumes + (size_t)held++ * v->item_floats, item.floats, v->item_floats * sizeof(float));
            memcpy(v->labels + v->n * m, v->data->labels + item.record * m, (size_t)m);
            v->record[v->n++] = item.record;
        }
        if (held == max || (held && i == v->data->n - 1)) {
            rc = cts_tower_volumes(v->tower, held, v->volumes, 0, v->logits + (v->n - held) * m);
            held = 0;
        }
    }
    return rc;
}

static double mean_loss(const cts_validator *v)
{
    int64_t cells = v->n * v->data->n_labels;
    double sum = 0;

    for (int64_t i = 0; i < cells; i++) {
        double z = v->logits[i], t = v->labels[i];

        sum += (z > 0 ? z : 0) + log1p(exp(-fabs(z))) - t * z;
    }
    return cells ? sum / (double)cells : NAN;
}

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

int cts_validator_run(cts_validator *v, json_t *into, const cts_classifier *labels, double *macro)
{
    double *auroc = malloc((size_t)v->data->n_labels * sizeof *auroc);
    json_t *each = json_object();
    int rc = auroc && each ? forward(v) : cts_fail(CTS_E_NOMEM, "out of memory for validation");

    if (!rc && v->n < 1)
        rc = cts_fail(CTS_E_INPUT, "validation volumes: got %lld, none of which can be loaded; allowed: at least one",
                      (long long)v->data->n);
    if (!rc && !(rc = cts_auroc_table(v->logits, v->labels, (size_t)v->n, (size_t)v->data->n_labels, auroc, NULL))) {
        *macro = cts_mean_defined(auroc, (size_t)v->data->n_labels, NULL);
        for (int64_t l = 0; l < labels->n; l++)
            json_object_set_new(each, labels->labels[l], number(auroc[l]));
        json_object_set_new(into, "val_n", json_integer((json_int_t)v->n));
        json_object_set_new(into, "val_loss", number(mean_loss(v)));
        json_object_set_new(into, "val_auroc_macro", number(*macro));
        json_object_set(into, "val_auroc", each);
    }
    json_decref(each);
    free(auroc);
    return rc;
}

int cts_validator_thresholds(cts_thresholds *out, const cts_validator *v, const cts_classifier *labels,
                             const int64_t *patient, uint64_t seed, cts_pool *pool)
{
    int64_t *own = malloc(((size_t)v->n + 1) * sizeof *own);
    int rc;

    if (!own)
        return cts_fail(CTS_E_NOMEM, "out of memory for thresholds");
    for (int64_t i = 0; i < v->n; i++)
        own[i] = patient[v->record[i]];
    rc = cts_thresholds_fit(out, (const char *const *)labels->labels, (size_t)labels->n, v->logits, v->labels,
                            (size_t)v->n, own, seed, pool);
    free(own);
    return rc;
}
