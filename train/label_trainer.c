/* SPDX-License-Identifier: MIT */
#include "train/label_trainer.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/status.h"
#include "train/label_loss.h"

typedef struct {
    const cts_tower_spec *spec;
    const cts_labelled *data;
    cts_label_config c;
    const cts_label_hooks *hooks;
    cts_loop *loop;
    cts_tower *tower;
    cts_label_loss *loss;
    cts_train_result *result;
    /* one micro-batch */
    float *volumes, *logits, *d_logits, *labels;
    int64_t *record;
    uint64_t *seq;
} run;

void cts_label_pos_weight(float *out, const uint8_t *labels, int64_t n, int64_t n_labels, double most)
{
    for (int64_t l = 0; l < n_labels; l++) {
        int64_t positive = 0;
        double w;

        for (int64_t i = 0; i < n; i++)
            positive += labels[i * n_labels + l];
        w = positive == 0 || positive == n ? 1.0 : (double)(n - positive) / (double)positive;
        out[l] = (float)(w < most ? w : most);
    }
}

void cts_label_balance(double *out, const uint8_t *labels, int64_t n, int64_t n_labels)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = 0.0;
    for (int64_t l = 0; l < n_labels; l++) {
        int64_t count[2] = {0};

        for (int64_t i = 0; i < n; i++)
            count[labels[i * n_labels + l]]++;
        for (int64_t i = 0; count[0] && count[1] && i < n; i++)
            out[i] += 0.5 / (double)count[labels[i * n_labels + l]];
    }
    for (int64_t i = 0; i < n; i++)
        if (!(out[i] > 0.0)) /* every label has one class */
            out[i] = 1.0;
}

static size_t volume_floats(const cts_labelled *d)
{
    return (size_t)d->volume[0] * (size_t)d->volume[1] * (size_t)d->volume[2];
}

static int load_record(void *ctx, int64_t record, float *out)
{
    run *r = ctx;

    return r->data->load(r->data->ctx, record, out);
}

/* Volumes of the next micro-batch, changed as asked, and their labels; how many. */
static int gather(run *r, int64_t *n)
{
    int64_t m = r->data->n_labels;
    int rc = CTS_OK;

    *n = cts_loop_gather(r->loop, r->volumes, r->record, r->seq);
    if (*n < 1)
        return cts_fail(CTS_E_INPUT, "step %lld: none of the %lld volumes of the batch could be loaded",
                        (long long)cts_loop_step_done(r->loop) + 1, (long long)r->c.loop.batch);
    for (int64_t i = 0; !rc && i < *n; i++) {
        const uint8_t *y = r->data->labels + r->record[i] * m;

        for (int64_t k = 0; k < m; k++)
            r->labels[i * m + k] = y[k];
        if (r->data->vary)
            rc = r->data->vary(r->data->ctx, r->record[i], r->seq[i], r->volumes + (size_t)i * volume_floats(r->data));
    }
    return rc;
}

static int micro_batch(void *ctx, cts_loop *l, uint64_t number, int64_t index, double *loss)
{
    run *r = ctx;
    int64_t n = 0;
    int rc;

    (void)l;
    (void)index;
    if ((rc = gather(r, &n)))
        return rc;
    cts_tower_set_step(r->tower, r->c.loop.seed, number);
    if ((rc = cts_tower_volumes(r->tower, n, r->volumes, CTS_RUN_UPDATE_STATE, r->logits)) ||
        (rc = cts_label_loss_run(r->loss, n, r->logits, r->labels, loss, r->d_logits)))
        return rc;
    return cts_tower_backward(r->tower, r->d_logits);
}

static int params_changed(void *ctx)
{
    return cts_tower_params_changed(((run *)ctx)->tower);
}

static int stepped(void *ctx, const cts_loop_step *s, json_t *line)
{
    run *r = ctx;

    (void)line;
    if (r->hooks->step)
        r->hooks->step(r->hooks->ctx, s);
    return CTS_OK;
}

static int validate(void *ctx, int64_t step, json_t *into)
{
    run *r = ctx;

    return r->hooks->validate(r->hooks->ctx, step, into);
}

static int make_tower(run *r, cts_backend *backend)
{
    cts_tower_options o = {.train = true, .recompute = r->c.recompute, .max_batch = r->c.loop.batch};
    int rc;

    CTS_ASSERT(r->spec->result == CTS_RESULT_LOGITS, "label training of a tower without logits");
    memcpy(o.volume, r->data->volume, sizeof o.volume);
    if ((rc = cts_tower_create(&r->tower, r->spec, &o, backend, cts_loop_grads(r->loop))))
        return rc;
    if (cts_tower_dim(r->tower) != r->data->n_labels)
        return cts_fail(CTS_E_MISMATCH, "the model gives %lld logits, the data have %lld labels",
                        (long long)cts_tower_dim(r->tower), (long long)r->data->n_labels);
    return cts_label_loss_create(&r->loss, r->c.loop.batch, r->data->n_labels, r->c.pos_weight, backend);
}

static int make_buffers(run *r)
{
    size_t b = (size_t)r->c.loop.batch, m = (size_t)r->data->n_labels;

    r->volumes = malloc(b * volume_floats(r->data) * sizeof(float));
    r->logits = malloc(b * m * sizeof(float));
    r->d_logits = malloc(b * m * sizeof(float));
    r->labels = malloc(b * m * sizeof(float));
    r->record = malloc(b * sizeof *r->record);
    r->seq = malloc(b * sizeof *r->seq);
    if (r->volumes && r->logits && r->d_logits && r->labels && r->record && r->seq)
        return CTS_OK;
    return cts_fail(CTS_E_NOMEM, "out of memory for batches of %lld volumes; lower --batch",
                    (long long)r->c.loop.batch);
}

static void report_plan(run *r)
{
    cts_plan_info info = cts_tower_plan_info(r->tower);

    r->result->peak_bytes = info.arena_bytes + info.scratch_bytes + cts_loop_bytes(r->loop);
    if (r->hooks->planned)
        r->hooks->planned(r->hooks->ctx, &info, cts_tower_macs(r->tower), r->result->peak_bytes);
}

static void finish(run *r)
{
    cts_loop_close(r->loop);
    cts_label_loss_destroy(r->loss);
    cts_tower_destroy(r->tower);
    free(r->volumes);
    free(r->logits);
    free(r->d_logits);
    free(r->labels);
    free(r->record);
    free(r->seq);
}

int cts_label_train(const cts_tower_spec *spec, const cts_labelled *data, const cts_label_config *config,
                    const cts_label_hooks *hooks, cts_backend *backend, cts_train_result *result)
{
    run r = {.spec = spec, .data = data, .c = *config, .hooks = hooks, .result = result};
    cts_loop_task task = {.kind = "bce",
                          .params = spec->params,
                          .n = data->n,
                          .item_floats = volume_floats(data),
                          .weights = data->weights,
                          .load = load_record,
                          .micro = micro_batch,
                          .changed = params_changed,
                          .stepped = stepped,
                          .validate = hooks->validate ? validate : NULL,
                          .ctx = &r};
    int rc;

    *result = (cts_train_result){0};
    if (!(rc = cts_loop_open(&r.loop, &config->loop, &task, backend->pool, result)) &&
        !(rc = make_tower(&r, backend)) && !(rc = make_buffers(&r))) {
        report_plan(&r);
        rc = cts_loop_run(r.loop);
    }
    finish(&r);
    return rc;
}
