/* SPDX-License-Identifier: MIT */
#include "train/clip_trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/status.h"

typedef struct {
    cts_clip *m;
    const cts_pairs *pairs;
    cts_clip_train_config c;
    const cts_train_hooks *hooks;
    cts_loop *loop;
    cts_tower *tower[CTS_SIDE_COUNT];
    cts_clip_loss *loss;
    cts_step_report report; /* of the step in work */
    int64_t batch_n;
    /* one micro-batch */
    float *volumes, *emb[CTS_SIDE_COUNT], *d_emb[CTS_SIDE_COUNT];
    int32_t *ids, *offsets;
    int64_t *record;
    uint64_t *keys, *seq;
    cts_train_result *result;
} run;

static int load_record(void *ctx, int64_t record, float *out)
{
    run *r = ctx;

    return r->pairs->load(r->pairs->ctx, record, out);
}

static size_t volume_floats(const cts_pairs *p)
{
    return (size_t)p->volume[0] * (size_t)p->volume[1] * (size_t)p->volume[2];
}

static int make_towers(run *r, cts_backend *backend)
{
    int rc;

    for (int side = 0; side < CTS_SIDE_COUNT; side++) {
        cts_tower_spec spec = cts_clip_tower_spec(r->m, (cts_side)side);
        cts_tower_options o = {.train = true,
                               .recompute = r->c.recompute,
                               .max_batch = r->c.loop.batch,
                               .max_tokens = r->c.loop.batch * r->c.max_tokens};

        if (side == CTS_SIDE_IMAGE)
            memcpy(o.volume, r->pairs->volume, sizeof o.volume);
        if ((rc = cts_tower_create(&r->tower[side], &spec, &o, backend, cts_loop_grads(r->loop))))
            return rc;
    }
    return cts_clip_loss_create(&r->loss, r->m, r->c.loss, r->c.loop.batch, backend, cts_loop_grads(r->loop));
}

static int make_buffers(run *r)
{
    size_t b = (size_t)r->c.loop.batch, d = (size_t)r->m->config.latent_dim;

    r->volumes = malloc(b * volume_floats(r->pairs) * sizeof(float));
    r->ids = malloc(b * (size_t)r->c.max_tokens * sizeof *r->ids);
    r->offsets = malloc((b + 1) * sizeof *r->offsets);
    r->keys = malloc(b * sizeof *r->keys);
    r->seq = malloc(b * sizeof *r->seq);
    r->record = malloc(b * sizeof *r->record);
    for (int s = 0; s < CTS_SIDE_COUNT; s++) {
        r->emb[s] = malloc(b * d * sizeof(float));
        r->d_emb[s] = malloc(b * d * sizeof(float));
        if (!r->emb[s] || !r->d_emb[s])
            goto nomem;
    }
    if (r->volumes && r->ids && r->offsets && r->keys && r->seq && r->record)
        return CTS_OK;
nomem:
    return cts_fail(CTS_E_NOMEM, "out of memory for batches of %lld volumes; lower --batch",
                    (long long)r->c.loop.batch);
}

static void report_plan(run *r)
{
    cts_plan_info image = cts_tower_plan_info(r->tower[CTS_SIDE_IMAGE]),
                  text = cts_tower_plan_info(r->tower[CTS_SIDE_TEXT]);
    size_t peak =
        image.arena_bytes + image.scratch_bytes + text.arena_bytes + text.scratch_bytes + cts_loop_bytes(r->loop);

    r->result->peak_bytes = peak;
    if (r->hooks->planned)
        r->hooks->planned(r->hooks->ctx, &image, &text, peak);
}

/* Volumes and texts of the next micro-batch. */
static void gather(run *r)
{
    r->batch_n = cts_loop_gather(r->loop, r->volumes, r->record, r->seq);
    r->offsets[0] = 0;
    for (int64_t i = 0; i < r->batch_n; i++) {
        uint64_t draw = cts_loop_epoch(r->loop, r->seq[i]);

        r->offsets[i + 1] = r->offsets[i] + r->pairs->text(r->pairs->ctx, r->record[i], draw, r->ids + r->offsets[i],
                                                           (int32_t)r->c.max_tokens);
        r->keys[i] = r->pairs->text_key(r->pairs->ctx, r->record[i]);
    }
}

static int64_t count_equal_texts(const run *r)
{
    int64_t n = 0;

    for (int64_t i = 0; i < r->batch_n; i++)
        for (int64_t k = 0; k < i; k++)
            n += r->keys[i] == r->keys[k];
    return n;
}

static double current_scale(const run *r)
{
    int i = cts_params_find(r->m->params, "temperature");

    return i < 0 ? 1.0 : exp((double)cts_params_get(r->m->params, i)->data[0]);
}

static int micro_batch(void *ctx, cts_loop *l, uint64_t number, int64_t index, double *loss)
{
    run *r = ctx;
    cts_token_batch text;
    int rc;

    if (index == 0)
        r->report = (cts_step_report){.scale = current_scale(r), .negatives = INT64_MAX};
    gather(r);
    if (r->batch_n < 2)
        return cts_fail(
            CTS_E_INPUT,
            "step %lld: %lld of %lld volumes of the batch could be loaded, a contrastive batch needs at least 2",
            (long long)cts_loop_step_done(l) + 1, (long long)r->batch_n, (long long)r->c.loop.batch);
    text = (cts_token_batch){r->batch_n, r->ids, r->offsets};
    for (int s = 0; s < CTS_SIDE_COUNT; s++)
        cts_tower_set_step(r->tower[s], r->c.loop.seed, number);
    if ((rc = cts_tower_volumes(r->tower[CTS_SIDE_IMAGE], r->batch_n, r->volumes, CTS_RUN_UPDATE_STATE,
                                r->emb[CTS_SIDE_IMAGE])) ||
        (rc = cts_tower_tokens(r->tower[CTS_SIDE_TEXT], &text, CTS_RUN_UPDATE_STATE, r->emb[CTS_SIDE_TEXT])) ||
        (rc = cts_clip_loss_run(r->loss, r->batch_n, r->emb[CTS_SIDE_IMAGE], r->emb[CTS_SIDE_TEXT], 1.0, loss,
                                r->d_emb[CTS_SIDE_IMAGE], r->d_emb[CTS_SIDE_TEXT])) ||
        (rc = cts_tower_backward(r->tower[CTS_SIDE_IMAGE], r->d_emb[CTS_SIDE_IMAGE])) ||
        (rc = cts_tower_backward(r->tower[CTS_SIDE_TEXT], r->d_emb[CTS_SIDE_TEXT])))
        return rc;
    r->report.negatives = cts_min_i64(r->report.negatives, r->batch_n - 1);
    r->report.equal_texts += count_equal_texts(r);
    return CTS_OK;
}

static int params_changed(void *ctx)
{
    run *r = ctx;
    int rc = cts_clip_loss_params_changed(r->loss);

    for (int s = 0; !rc && s < CTS_SIDE_COUNT; s++)
        rc = cts_tower_params_changed(r->tower[s]);
    return rc;
}

static int stepped(void *ctx, const cts_loop_step *s, json_t *line)
{
    run *r = ctx;
    cts_step_report *p = &r->report;

    p->step = s->step;
    p->steps = s->steps;
    p->loss = s->loss;
    p->lr = s->lr;
    p->grad_norm = s->grad_norm;
    p->seconds = s->seconds;
    if (r->hooks->step)
        r->hooks->step(r->hooks->ctx, p);
    /* the line is step, loss, lr, grad_norm, negatives, seconds, and behind them what only we have */
    if (line &&
        (json_object_del(line, "seconds") ||
         json_object_set_new(line, "negatives", json_integer((json_int_t)p->negatives)) ||
         json_object_set_new(line, "seconds", json_real(p->seconds)) ||
         json_object_set_new(line, "scale", json_real(p->scale)) ||
         (p->equal_texts && json_object_set_new(line, "equal_texts", json_integer((json_int_t)p->equal_texts)))))
        return cts_fail(CTS_E_NOMEM, "out of memory for a log line");
    return CTS_OK;
}

static int validate(void *ctx, int64_t step, json_t *into)
{
    run *r = ctx;

    return r->hooks->validate(r->hooks->ctx, step, into);
}

static void finish(run *r)
{
    cts_loop_close(r->loop);
    cts_clip_loss_destroy(r->loss);
    for (int s = 0; s < CTS_SIDE_COUNT; s++) {
        cts_tower_destroy(r->tower[s]);
        free(r->emb[s]);
        free(r->d_emb[s]);
    }
    free(r->volumes);
    free(r->ids);
    free(r->offsets);
    free(r->keys);
    free(r->seq);
    free(r->record);
}

int cts_clip_train(cts_clip *m, const cts_pairs *pairs, const cts_clip_train_config *config,
                   const cts_train_hooks *hooks, cts_backend *backend, cts_train_result *result)
{
    run r = {.m = m, .pairs = pairs, .c = *config, .hooks = hooks, .result = result};
    cts_loop_task task = {.kind = cts_loss_kind_name(config->loss),
                          .params = m->params,
                          .n = pairs->n,
                          .item_floats = volume_floats(pairs),
                          .load = load_record,
                          .micro = micro_batch,
                          .changed = params_changed,
                          .stepped = stepped,
                          .validate = hooks->validate ? validate : NULL,
                          .ctx = &r};
    int rc;

    *result = (cts_train_result){0};
    if ((rc = cts_clip_config_need(&m->config, CTS_SIDE_IMAGE)) ||
        (rc = cts_clip_config_need(&m->config, CTS_SIDE_TEXT)))
        return rc;
    r.c.max_tokens = cts_min_i64(r.c.max_tokens, cts_clip_config_max_length(&m->config));
    if (!(rc = cts_loop_open(&r.loop, &r.c.loop, &task, backend->pool, result)) && !(rc = make_towers(&r, backend)) &&
        !(rc = make_buffers(&r))) {
        report_plan(&r);
        rc = cts_loop_run(r.loop);
    }
    finish(&r);
    return rc;
}
