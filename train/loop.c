/* SPDX-License-Identifier: MIT */
#include "train/loop.h"

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

#define TIMED_STEPS 8  /* steps measured before a time budget is applied */
#define WARM_STEPS 2   /* of them not measured */
#define LOOK_AGAIN 0.1 /* of the budget: how often the pace is looked at after that */

struct cts_loop {
    cts_loop_config c;
    cts_loop_task t;
    cts_train_result *result;
    cts_pool *pool;
    cts_grads *grads;
    cts_adamw *adamw;
    cts_loader *loader;
    cts_order order; /* of the loader's thread */
    FILE *log;
    int64_t step; /* done */
    uint8_t *bad; /* [n] could not be loaded */
};

cts_grads *cts_loop_grads(cts_loop *l)
{
    return l->grads;
}

/* States and what is frozen have a value and nothing else. */
size_t cts_loop_bytes(const cts_loop *l)
{
    size_t n = 0;

    for (int i = 0; i < cts_params_n(l->t.params); i++) {
        const cts_param *e = cts_params_get(l->t.params, i);

        n += (size_t)e->count * sizeof(float) * (e->state || e->frozen ? 1 : 4);
    }
    return n;
}

int64_t cts_loop_step_done(const cts_loop *l)
{
    return l->step;
}

uint64_t cts_loop_epoch(const cts_loop *l, uint64_t seq)
{
    return cts_order_epoch(&l->order, seq);
}

/* ---- records --------------------------------------------------------------------------------------------------- */

static int64_t next_record(void *ctx, uint64_t seq)
{
    cts_loop *l = ctx;

    return cts_order_at(&l->order, seq);
}

static int load_record(void *ctx, int64_t record, float *out)
{
    cts_loop *l = ctx;

    return l->t.load(l->t.ctx, record, out);
}

static int start_loader(cts_loop *l)
{
    cts_loader_options o = {.n_items = l->t.n,
                            .item_floats = l->t.item_floats,
                            .threads = l->c.loader_threads,
                            .depth = (int)l->c.batch + l->c.loader_threads,
                            .cache_bytes = l->c.cache_bytes,
                            .order = next_record,
                            .load = load_record,
                            .ctx = l};

    return cts_loader_create(&l->loader, &o, (uint64_t)(l->step * l->c.accumulate * l->c.batch));
}

static void note_bad(cts_loop *l, const cts_loaded *item)
{
    if (l->bad[item->record])
        return;
    l->bad[item->record] = 1;
    l->result->skipped++;
    cts_log(CTS_LOG_WARN, "skipped: %s", item->error);
}

int64_t cts_loop_gather(cts_loop *l, float *floats, int64_t *record, uint64_t *seq)
{
    int64_t n = 0;

    for (int64_t i = 0; i < l->c.batch; i++) {
        cts_loaded item;

        cts_loader_next(l->loader, &item);
        if (item.status) {
            note_bad(l, &item);
            continue;
        }
        memcpy(floats + (size_t)n * l->t.item_floats, item.floats, l->t.item_floats * sizeof *floats);
        record[n] = item.record;
        seq[n++] = item.seq;
    }
    return n;
}

/* ---- a step ---------------------------------------------------------------------------------------------------- */

static int one_step(cts_loop *l, cts_loop_step *s)
{
    double t0 = cts_now();
    int rc = CTS_OK;

    *s = (cts_loop_step){
        .step = l->step + 1, .steps = l->c.schedule.steps, .lr = cts_schedule_lr(&l->c.schedule, l->step)};
    cts_grads_zero(l->grads);
    for (int64_t i = 0; !rc && i < l->c.accumulate; i++) {
        double loss = 0.0;

        rc = l->t.micro(l->t.ctx, l, (uint64_t)(l->step * l->c.accumulate + i), i, &loss);
        s->loss += loss / (double)l->c.accumulate;
    }
    if (!rc && !isfinite(s->loss))
        rc = cts_fail(CTS_E_INPUT, "step %lld: the loss is %g, not a number; the step was not applied (lower --lr?)",
                      (long long)s->step, s->loss);
    if (!rc)
        rc = cts_adamw_step(l->adamw, l->t.params, l->grads, s->lr, 1.0 / (double)l->c.accumulate, l->pool,
                            &s->grad_norm);
    if (!rc)
        rc = l->t.changed(l->t.ctx);
    s->seconds = cts_now() - t0;
    return rc;
}

static int report_step(cts_loop *l, const cts_loop_step *s)
{
    json_t *line = NULL;
    int rc = CTS_OK;

    if (l->log && !(line = json_pack("{s:I, s:f, s:f, s:f, s:f}", "step", (json_int_t)s->step, "loss", s->loss, "lr",
                                     s->lr, "grad_norm", s->grad_norm, "seconds", s->seconds)))
        return cts_fail(CTS_E_NOMEM, "out of memory for a log line");
    if (l->t.stepped)
        rc = l->t.stepped(l->t.ctx, s, line);
    if (!rc && line)
        rc = cts_train_log_line(l->log, line);
    json_decref(line);
    return rc;
}

static int validate(cts_loop *l)
{
    json_t *into;
    int rc;

    if (!l->t.validate)
        return CTS_OK;
    if (!(into = json_pack("{s:I}", "step", (json_int_t)l->step)))
        return cts_fail(CTS_E_NOMEM, "out of memory for a log line");
    rc = l->t.validate(l->t.ctx, l->step, into);
    if (!rc && l->log)
        rc = cts_train_log_line(l->log, into);
    json_decref(into);
    return rc;
}

static int save(cts_loop *l)
{
    return l->c.dir ? cts_train_state_save(&l->c, &l->t, l->adamw, l->step) : CTS_OK;
}

/* ---- the loop -------------------------------------------------------------------------------------------------- */

/* How a time budget becomes a number of steps. Only a fresh run is changed; a resumed one keeps its plan. */
typedef struct {
    double started, since; /* of the loop, of the pace being measured */
    int64_t at, wanted;    /* step at `since`; steps asked for */
} pace;

/* As many steps as the rest of the budget holds at the pace since the last look. Looked at after the timed steps and
 * then after each tenth of the budget: the first steps read volumes that later ones find in memory, and other programs
 * come and go. */
static void apply_budget(cts_loop *l, pace *p)
{
    double now = cts_now(), left = l->c.time_budget - (now - p->started);
    double a_step = (now - p->since) / (double)(l->step - p->at);
    int64_t fit = cts_min_i64(l->step + (int64_t)(left / a_step), p->wanted);
    bool first = l->step == TIMED_STEPS;

    if (!first && now - p->since < LOOK_AGAIN * l->c.time_budget)
        return;
    p->since = now;
    p->at = l->step;
    l->c.schedule.steps = cts_max_i64(fit, l->step + 1);
    if (first && fit < p->wanted)
        cts_log(CTS_LOG_INFO, "%.0f s at %.3f s a step hold %lld steps; the number follows the pace", l->c.time_budget,
                a_step, (long long)l->c.schedule.steps);
}

static bool due(int64_t every, int64_t step)
{
    return every > 0 && step % every == 0;
}

static bool validation_due(const cts_loop *l)
{
    int64_t steps = l->c.schedule.steps, parts = l->c.eval_parts;

    if (l->step == steps || due(l->c.eval_every, l->step))
        return true;
    return l->c.eval_every == 0 && parts > 1 && l->step * parts / steps > (l->step - 1) * parts / steps;
}

/* Interrupted between two steps. */
static int leave(cts_loop *l, bool unsaved)
{
    int rc;

    if (unsaved && (rc = save(l)))
        return rc;
    return cts_fail(CTS_E_INTERRUPTED, "interrupted after step %lld of %lld; %s", (long long)l->step,
                    (long long)l->c.schedule.steps, l->c.dir ? "go on with --resume" : "nothing was kept");
}

static int loop(cts_loop *l)
{
    pace p = {.started = cts_now(), .since = cts_now(), .wanted = l->c.schedule.steps};
    int64_t first = l->step, saved = l->step;
    int rc = CTS_OK;

    while (!rc && l->step < l->c.schedule.steps) {
        cts_loop_step s;

        if (cts_interrupted())
            return leave(l, l->step > saved);
        if ((rc = one_step(l, &s)))
            return rc;
        l->step++;
        l->result->steps_done = l->step;
        l->result->last_loss = s.loss;
        if (l->step == first + 1)
            l->result->first_loss = s.loss;
        rc = report_step(l, &s);
        if (l->step == WARM_STEPS) {
            p.since = cts_now();
            p.at = l->step;
        }
        if (first == 0 && l->c.time_budget > 0 && l->step >= TIMED_STEPS && l->step < l->c.schedule.steps)
            apply_budget(l, &p);
        if (!rc && validation_due(l))
            rc = validate(l);
        if (!rc && l->c.dir && (due(l->c.save_every, l->step) || l->step == l->c.schedule.steps)) {
            rc = save(l);
            saved = l->step;
        }
    }
    return rc;
}

int cts_loop_run(cts_loop *l)
{
    double t0 = cts_now();
    int rc = start_loader(l);

    if (!rc)
        rc = loop(l);
    l->result->seconds = cts_now() - t0;
    l->result->steps = l->c.schedule.steps;
    l->result->waited = l->loader ? cts_loader_waited(l->loader) : 0.0;
    return rc;
}

/* ---- open, close ----------------------------------------------------------------------------------------------- */

static int prepare(cts_loop *l)
{
    int rc;

    if ((rc = cts_order_init(&l->order, l->t.n, l->c.batch, l->c.shuffle, l->c.seed)) ||
        (l->t.weights && (rc = cts_order_weigh(&l->order, l->t.weights))) ||
        (rc = cts_grads_create(&l->grads, l->t.params)) || (rc = cts_adamw_create(&l->adamw, l->t.params, &l->c.adamw)))
        return rc;
    if (!(l->bad = calloc((size_t)l->t.n, 1)))
        return cts_fail(CTS_E_NOMEM, "out of memory for %lld records", (long long)l->t.n);
    if (l->c.dir && (rc = cts_mkdir_p(l->c.dir)))
        return rc;
    if (l->c.resume && (rc = cts_train_state_load(&l->c, &l->t, l->adamw, &l->step, &l->c.schedule.steps)))
        return rc;
    return l->c.dir ? cts_train_log_open(&l->log, l->c.dir, l->step) : CTS_OK;
}

int cts_loop_open(cts_loop **out, const cts_loop_config *config, const cts_loop_task *task, cts_pool *pool,
                  cts_train_result *result)
{
    cts_loop *l = calloc(1, sizeof *l);
    int rc;

    *result = (cts_train_result){0};
    if (!l)
        return cts_fail(CTS_E_NOMEM, "out of memory for a training loop");
    l->c = *config;
    l->t = *task;
    l->pool = pool;
    l->result = result;
    if ((rc = prepare(l)) != CTS_OK)
        goto out;
    result->steps_done = l->step;
    result->steps = l->c.schedule.steps;
    *out = l;
    l = NULL;
out:
    cts_loop_close(l);
    return rc;
}

void cts_loop_close(cts_loop *l)
{
    if (!l)
        return;
    cts_loader_destroy(l->loader);
    cts_adamw_destroy(l->adamw);
    cts_grads_destroy(l->grads);
    cts_order_clear(&l->order);
    free(l->bad);
    if (l->log)
        fclose(l->log);
    free(l);
}
