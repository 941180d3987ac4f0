/* SPDX-License-Identifier: MIT */
#include "train/clip_trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/loader.h"
#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/log.h"
#include "kernels/base/signal.h"
#include "kernels/base/status.h"
#include "train/order.h"
#include "train/state.h"

#define TIMED_STEPS 8 /* steps measured before a time budget is applied */
#define WARM_STEPS 2  /* of them not measured */

typedef struct {
    cts_clip *m;
    const cts_pairs *pairs;
    cts_clip_train_config c;
    const cts_train_hooks *hooks;
    cts_grads *grads;
    cts_adamw *adamw;
    cts_tower *tower[CTS_SIDE_COUNT];
    cts_clip_loss *loss;
    cts_loader *loader;
    cts_order order;      /* of the loader's thread */
    cts_order draw_order; /* of the loop: epoch of a sequence number */
    FILE *log;
    int64_t step; /* done */
    int64_t batch_n;
    /* one micro-batch */
    float *volumes, *emb[CTS_SIDE_COUNT], *d_emb[CTS_SIDE_COUNT];
    int32_t *ids, *offsets;
    uint64_t *keys;
    uint8_t *bad; /* [pairs] could not be loaded */
    cts_train_result *result;
    cts_pool *pool;
} run;

static int64_t next_record(void *ctx, uint64_t seq)
{
    run *r = ctx;

    return cts_order_at(&r->order, seq);
}

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
                               .max_batch = r->c.batch,
                               .max_tokens = r->c.batch * r->c.max_tokens};

        if (side == CTS_SIDE_IMAGE)
            memcpy(o.volume, r->pairs->volume, sizeof o.volume);
        if ((rc = cts_tower_create(&r->tower[side], &spec, &o, backend, r->grads)))
            return rc;
    }
    return cts_clip_loss_create(&r->loss, r->m, r->c.loss, r->c.batch, backend, r->grads);
}

static int make_buffers(run *r)
{
    size_t b = (size_t)r->c.batch, d = (size_t)r->m->config.latent_dim;

    r->volumes = malloc(b * volume_floats(r->pairs) * sizeof(float));
    r->ids = malloc(b * (size_t)r->c.max_tokens * sizeof *r->ids);
    r->offsets = malloc((b + 1) * sizeof *r->offsets);
    r->keys = malloc(b * sizeof *r->keys);
    r->bad = calloc((size_t)r->pairs->n, 1);
    for (int s = 0; s < CTS_SIDE_COUNT; s++) {
        r->emb[s] = malloc(b * d * sizeof(float));
        r->d_emb[s] = malloc(b * d * sizeof(float));
        if (!r->emb[s] || !r->d_emb[s])
            goto nomem;
    }
    if (r->volumes && r->ids && r->offsets && r->keys && r->bad)
        return CTS_OK;
nomem:
    return cts_fail(CTS_E_NOMEM, "out of memory for batches of %lld volumes; lower --batch", (long long)r->c.batch);
}

static void report_plan(run *r)
{
    cts_plan_info image = cts_tower_plan_info(r->tower[CTS_SIDE_IMAGE]),
                  text = cts_tower_plan_info(r->tower[CTS_SIDE_TEXT]);
    size_t peak = image.arena_bytes + image.scratch_bytes + text.arena_bytes + text.scratch_bytes +
                  4 * sizeof(float) * (size_t)cts_params_count(r->m->params); /* values, gradients, two moments */

    r->result->peak_bytes = peak;
    if (r->hooks->planned)
        r->hooks->planned(r->hooks->ctx, &image, &text, peak);
}

static int start_loader(run *r)
{
    cts_loader_options o = {.n_items = r->pairs->n,
                            .item_floats = volume_floats(r->pairs),
                            .threads = r->c.loader_threads,
                            .depth = (int)r->c.batch + r->c.loader_threads,
                            .cache_bytes = r->c.cache_bytes,
                            .order = next_record,
                            .load = load_record,
                            .ctx = r};

    return cts_loader_create(&r->loader, &o, (uint64_t)(r->step * r->c.accumulate * r->c.batch));
}

static void note_bad(run *r, const cts_loaded *item)
{
    if (r->bad[item->record])
        return;
    r->bad[item->record] = 1;
    r->result->skipped++;
    cts_log(CTS_LOG_WARN, "skipped: %s", item->error);
}

/* Volumes and texts of the next `batch` sequence numbers, without the ones that cannot be loaded. */
static void gather(run *r)
{
    size_t voxels = volume_floats(r->pairs);

    r->batch_n = 0;
    r->offsets[0] = 0;
    for (int64_t i = 0; i < r->c.batch; i++) {
        cts_loaded item;
        int64_t at = r->batch_n;
        uint64_t draw;

        cts_loader_next(r->loader, &item);
        if (item.status) {
            note_bad(r, &item);
            continue;
        }
        draw = cts_order_epoch(&r->draw_order, item.seq);
        memcpy(r->volumes + (size_t)at * voxels, item.floats, voxels * sizeof(float));
        r->offsets[at + 1] = r->offsets[at] + r->pairs->text(r->pairs->ctx, item.record, draw, r->ids + r->offsets[at],
                                                             (int32_t)r->c.max_tokens);
        r->keys[at] = r->pairs->text_key(r->pairs->ctx, item.record);
        r->batch_n++;
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

static int micro_batch(run *r, int64_t index, cts_step_report *rep)
{
    cts_token_batch text;
    double loss = 0.0;
    int rc;

    gather(r);
    if (r->batch_n < 2)
        return cts_fail(
            CTS_E_INPUT,
            "step %lld: %lld of %lld volumes of the batch could be loaded, a contrastive batch needs at least 2",
            (long long)r->step + 1, (long long)r->batch_n, (long long)r->c.batch);
    text = (cts_token_batch){r->batch_n, r->ids, r->offsets};
    for (int s = 0; s < CTS_SIDE_COUNT; s++)
        cts_tower_set_step(r->tower[s], r->c.seed, (uint64_t)(r->step * r->c.accumulate + index));
    if ((rc = cts_tower_volumes(r->tower[CTS_SIDE_IMAGE], r->batch_n, r->volumes, CTS_RUN_UPDATE_STATE,
                                r->emb[CTS_SIDE_IMAGE])) ||
        (rc = cts_tower_tokens(r->tower[CTS_SIDE_TEXT], &text, CTS_RUN_UPDATE_STATE, r->emb[CTS_SIDE_TEXT])) ||
        (rc = cts_clip_loss_run(r->loss, r->batch_n, r->emb[CTS_SIDE_IMAGE], r->emb[CTS_SIDE_TEXT], 1.0, &loss,
                                r->d_emb[CTS_SIDE_IMAGE], r->d_emb[CTS_SIDE_TEXT])) ||
        (rc = cts_tower_backward(r->tower[CTS_SIDE_IMAGE], r->d_emb[CTS_SIDE_IMAGE])) ||
        (rc = cts_tower_backward(r->tower[CTS_SIDE_TEXT], r->d_emb[CTS_SIDE_TEXT])))
        return rc;
    rep->loss += loss / (double)r->c.accumulate;
    rep->negatives = index == 0 ? r->batch_n - 1 : cts_min_i64(rep->negatives, r->batch_n - 1);
    rep->equal_texts += count_equal_texts(r);
    return CTS_OK;
}

static double current_scale(const run *r)
{
    int i = cts_params_find(r->m->params, "temperature");

    return i < 0 ? 1.0 : exp((double)cts_params_get(r->m->params, i)->data[0]);
}

static int params_changed(run *r)
{
    int rc = cts_clip_loss_params_changed(r->loss);

    for (int s = 0; !rc && s < CTS_SIDE_COUNT; s++)
        rc = cts_tower_params_changed(r->tower[s]);
    return rc;
}

static int one_step(run *r, cts_step_report *rep)
{
    double t0 = cts_now();
    int rc = CTS_OK;

    *rep = (cts_step_report){.step = r->step + 1,
                             .steps = r->c.schedule.steps,
                             .lr = cts_schedule_lr(&r->c.schedule, r->step),
                             .scale = current_scale(r)};
    cts_grads_zero(r->grads);
    for (int64_t i = 0; !rc && i < r->c.accumulate; i++)
        rc = micro_batch(r, i, rep);
    if (!rc && !isfinite(rep->loss))
        rc = cts_fail(CTS_E_INPUT, "step %lld: the loss is %g, not a number; the step was not applied (lower --lr?)",
                      (long long)rep->step, rep->loss);
    if (!rc)
        rc = cts_adamw_step(r->adamw, r->m->params, r->grads, rep->lr, 1.0 / (double)r->c.accumulate, r->pool,
                            &rep->grad_norm);
    if (!rc)
        rc = params_changed(r);
    rep->seconds = cts_now() - t0;
    return rc;
}

static int log_step(run *r, const cts_step_report *rep)
{
    json_t *line = json_pack("{s:I, s:f, s:f, s:f, s:I, s:f, s:f}", "step", (json_int_t)rep->step, "loss", rep->loss,
                             "lr", rep->lr, "grad_norm", rep->grad_norm, "negatives", (json_int_t)rep->negatives,
                             "seconds", rep->seconds, "scale", rep->scale);
    int rc;

    if (line && rep->equal_texts)
        json_object_set_new(line, "equal_texts", json_integer((json_int_t)rep->equal_texts));
    rc = line ? cts_train_log_line(r->log, line) : cts_fail(CTS_E_NOMEM, "out of memory for a log line");
    json_decref(line);
    return rc;
}

static int validate(run *r)
{
    json_t *into;
    int rc;

    if (!r->hooks->validate)
        return CTS_OK;
    if (!(into = json_pack("{s:I}", "step", (json_int_t)r->step)))
        return cts_fail(CTS_E_NOMEM, "out of memory for a log line");
    rc = r->hooks->validate(r->hooks->ctx, r->step, into);
    if (!rc && r->log)
        rc = cts_train_log_line(r->log, into);
    json_decref(into);
    return rc;
}

static int save(run *r)
{
    return r->c.dir ? cts_train_state_save(&r->c, r->m, r->adamw, r->step, r->pairs) : CTS_OK;
}

/* How a time budget becomes a number of steps. Only a fresh run is changed; a resumed one keeps its plan. */
typedef struct {
    double started, since; /* of the loop, of the pace being measured */
    int64_t at, wanted;    /* step at `since`; steps asked for */
} pace;

/* As many steps as the rest of the budget holds at the pace since the last look. Looked at after the timed steps and
 * then after each tenth of the budget: the first steps read volumes that later ones find in memory, and other programs
 * come and go. */
static void apply_budget(run *r, pace *p)
{
    double now = cts_now(), left = r->c.time_budget - (now - p->started);
    double a_step = (now - p->since) / (double)(r->step - p->at);
    int64_t fit = cts_min_i64(r->step + (int64_t)(left / a_step), p->wanted);
    bool first = r->step == TIMED_STEPS;

    if (!first && (now - p->since < 0.1 * r->c.time_budget))
        return;
    p->since = now;
    p->at = r->step;
    r->c.schedule.steps = cts_max_i64(fit, r->step + 1);
    if (first && fit < p->wanted)
        cts_log(CTS_LOG_INFO, "%.0f s at %.3f s a step hold %lld steps; the number follows the pace", r->c.time_budget,
                a_step, (long long)r->c.schedule.steps);
}

static bool due(int64_t every, int64_t step)
{
    return every > 0 && step % every == 0;
}

static int loop(run *r)
{
    pace p = {.started = cts_now(), .since = cts_now(), .wanted = r->c.schedule.steps};
    int64_t first = r->step, saved = r->step;
    int rc = CTS_OK;

    while (!rc && r->step < r->c.schedule.steps) {
        cts_step_report rep;

        if (cts_interrupted()) {
            if (r->step > saved && (rc = save(r)))
                return rc;
            return cts_fail(CTS_E_INTERRUPTED, "interrupted after step %lld of %lld; %s", (long long)r->step,
                            (long long)r->c.schedule.steps, r->c.dir ? "go on with --resume" : "nothing was kept");
        }
        if ((rc = one_step(r, &rep)))
            return rc;
        r->step++;
        r->result->steps_done = r->step;
        r->result->last_loss = rep.loss;
        if (r->step == first + 1)
            r->result->first_loss = rep.loss;
        if (r->log)
            rc = log_step(r, &rep);
        if (r->hooks->step)
            r->hooks->step(r->hooks->ctx, &rep);
        if (r->step == WARM_STEPS) {
            p.since = cts_now();
            p.at = r->step;
        }
        if (first == 0 && r->c.time_budget > 0 && r->step >= TIMED_STEPS && r->step < r->c.schedule.steps)
            apply_budget(r, &p);
        if (!rc && (due(r->c.eval_every, r->step) || r->step == r->c.schedule.steps))
            rc = validate(r);
        if (!rc && r->c.dir && (due(r->c.save_every, r->step) || r->step == r->c.schedule.steps)) {
            rc = save(r);
            saved = r->step;
        }
    }
    return rc;
}

static int prepare(run *r, cts_backend *backend)
{
    int rc;

    if ((rc = cts_order_init(&r->order, r->pairs->n, r->c.batch, r->c.shuffle, r->c.seed)) ||
        (rc = cts_order_init(&r->draw_order, r->pairs->n, r->c.batch, r->c.shuffle, r->c.seed)) ||
        (rc = cts_grads_create(&r->grads, r->m->params)) ||
        (rc = cts_adamw_create(&r->adamw, r->m->params, &r->c.adamw)))
        return rc;
    if (r->c.dir && (rc = cts_mkdir_p(r->c.dir)))
        return rc;
    if (r->c.resume && (rc = cts_train_state_load(&r->c, r->m, r->adamw, r->pairs, &r->step, &r->c.schedule.steps)))
        return rc;
    if (r->c.dir && (rc = cts_train_log_open(&r->log, r->c.dir, r->step)))
        return rc;
    if ((rc = make_towers(r, backend)) || (rc = make_buffers(r)))
        return rc;
    report_plan(r);
    return start_loader(r);
}

static void finish(run *r)
{
    r->result->steps = r->c.schedule.steps;
    r->result->waited = r->loader ? cts_loader_waited(r->loader) : 0.0;
    cts_loader_destroy(r->loader);
    cts_clip_loss_destroy(r->loss);
    for (int s = 0; s < CTS_SIDE_COUNT; s++) {
        cts_tower_destroy(r->tower[s]);
        free(r->emb[s]);
        free(r->d_emb[s]);
    }
    cts_adamw_destroy(r->adamw);
    cts_grads_destroy(r->grads);
    cts_order_clear(&r->order);
    cts_order_clear(&r->draw_order);
    free(r->volumes);
    free(r->ids);
    free(r->offsets);
    free(r->keys);
    free(r->bad);
    if (r->log)
        fclose(r->log);
}

int cts_clip_train(cts_clip *m, const cts_pairs *pairs, const cts_clip_train_config *config,
                   const cts_train_hooks *hooks, cts_backend *backend, cts_train_result *result)
{
    run r = {.m = m, .pairs = pairs, .c = *config, .hooks = hooks, .result = result, .pool = backend->pool};
    double t0 = cts_now();
    int rc;

    *result = (cts_train_result){0};
    if ((rc = cts_clip_config_need(&m->config, CTS_SIDE_IMAGE)) ||
        (rc = cts_clip_config_need(&m->config, CTS_SIDE_TEXT)))
        return rc;
    r.c.max_tokens = cts_min_i64(r.c.max_tokens, cts_clip_config_max_length(&m->config));
    rc = prepare(&r, backend);
    if (!rc) {
        result->steps_done = r.step;
        rc = loop(&r);
    }
    finish(&r);
    result->seconds = cts_now() - t0;
    return rc;
}
