/* SPDX-License-Identifier: MIT */
#include "query/training/label_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/log.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "query/dataset_options.h"
#include "query/training/label_features.h"
#include "query/training/label_model.h"
#include "query/training/label_validate.h"
#include "query/training/parts.h"
#include "train/state.h"

#define AUGMENT_STREAM 0x6175676d656e74u /* "augment" */

typedef struct {
    const cts_label_setup *s;
    const cts_common *common;
    cts_runtime *rt;
    cts_label_summary *sum;
    cts_dataset *train_data, *valid_data;
    cts_label_set train, valid;
    cts_label_choice labels;
    cts_label_model model;
    cts_label_features features;
    cts_tower_spec spec;   /* what the loop trains */
    cts_labelled train_on; /* its records */
    cts_labelled valid_on; /* n 0 = no validation */
    uint8_t *known[2];     /* labels of the records that have features */
    size_t *row[2];        /* their rows in features */
    int64_t *patient;      /* [valid_on.n] */
    float *pos_weight;
    cts_validator *validator;
    cts_augment_space space;
    float *scratch;
    double best;
    char *dir; /* of the model folder */
    char *tokenizer;
    cts_progress bar;
    double smooth; /* running mean of the loss, for the bar */
} job;

/* ---- records ---------------------------------------------------------------------------------------------------- */

static int vary(void *ctx, int64_t record, uint64_t seq, float *volume)
{
    job *j = ctx;
    uint64_t key = cts_rng_split(cts_rng_split(j->common->seed, AUGMENT_STREAM), seq);

    (void)record; /* a record's draws have numbers of their own */
    return cts_augment_apply(&j->s->augment, &j->space, key, volume, j->scratch, j->rt->pool);
}

static int load_train(void *ctx, int64_t record, float *out)
{
    return cts_label_set_load(&((job *)ctx)->train, record, out);
}

static int load_valid(void *ctx, int64_t record, float *out)
{
    return cts_label_set_load(&((job *)ctx)->valid, record, out);
}

static int feature_of(const job *j, int which, int64_t record, float *out)
{
    memcpy(out, j->features.rows + j->row[which][record] * j->features.width, j->features.width * sizeof *out);
    return CTS_OK;
}

static int feature_of_train(void *ctx, int64_t record, float *out)
{
    return feature_of(ctx, 0, record, out);
}

static int feature_of_valid(void *ctx, int64_t record, float *out)
{
    return feature_of(ctx, 1, record, out);
}

/* ---- the parts of the run --------------------------------------------------------------------------------------- */

static int open_data(job *j)
{
    int rc;

    if ((rc = cts_label_choice_parse(&j->labels, j->s->findings)) ||
        (rc = cts_label_set_open(&j->train, &j->train_data, &j->s->train, &j->labels, "training volumes")))
        return rc;
    if (cts_dataset_given(&j->s->valid) &&
        (rc = cts_label_set_open(&j->valid, &j->valid_data, &j->s->valid, &j->labels, "validation volumes")))
        return rc;
    j->sum->without_volume = j->train.without_volume;
    j->sum->without_labels = j->train.without_labels;
    if (j->train.without_volume || j->train.without_labels)
        cts_log(CTS_LOG_WARN, "left out: %zu records without a volume file, %zu without labels",
                j->train.without_volume, j->train.without_labels);
    return CTS_OK;
}

static int open_model(job *j)
{
    const cts_clip_config *c;
    cts_encoder_info info;
    int rc;

    if ((rc = cts_label_model_open(&j->model, j->s, &j->labels, j->common->seed)) ||
        (rc = cts_label_model_freeze(&j->model, j->s->mode, &j->sum->trained)))
        return rc;
    c = &j->model.clip->config;
    c->encoder[CTS_SIDE_IMAGE]->info(c->config[CTS_SIDE_IMAGE], &info);
    j->train.recipe = j->valid.recipe = j->model.recipe;
    j->train.min_slices = j->valid.min_slices = info.view.slab;
    j->sum->params = cts_params_count(j->model.clip->params);
    j->dir = cts_path_join(j->s->out, "model");
    if (!j->dir ||
        (j->model.init && j->model.init->tokenizer_path && !(j->tokenizer = cts_strdup(j->model.init->tokenizer_path))))
        return cts_fail(CTS_E_NOMEM, "out of memory");
    snprintf(j->sum->model, sizeof j->sum->model, "%s", j->dir);
    return CTS_OK;
}

/* The vectors of a probe, and of either set the records that have one. */
static int use_features(job *j)
{
    cts_label_set *sets[2] = {&j->train, &j->valid};
    const cts_classifier *c = &j->model.clip->config.classifier;
    cts_tower_spec spec = cts_clip_tower_spec(j->model.clip, CTS_SIDE_IMAGE);
    size_t at = 0;
    int rc;

    spec.result = c->input == CTS_HEAD_EMBEDDING ? CTS_RESULT_EMBEDDING : CTS_RESULT_VECTOR;
    if ((rc = cts_label_features_make(&j->features, &spec, j->model.init->digest.model, sets, j->valid.n ? 2 : 1,
                                      j->s->label.loop.loader_threads, j->s->out, j->rt->backend)))
        return rc;
    j->sum->cached = j->features.cached;
    cts_log(CTS_LOG_INFO, "%zu vectors of %zu values %s", j->features.n, j->features.width,
            j->features.cached ? "were in the run folder" : "computed; the encoder does not run again");
    for (int i = 0; i < 2; i++) {
        cts_labelled *to = i ? &j->valid_on : &j->train_on;
        size_t m = (size_t)j->labels.n;

        *to = (cts_labelled){.volume = {1, 1, (int64_t)j->features.width},
                             .n_labels = j->labels.n,
                             .load = i ? feature_of_valid : feature_of_train,
                             .ctx = j};
        if (!(j->known[i] = malloc(sets[i]->n * m + 1)) || !(j->row[i] = malloc((sets[i]->n + 1) * sizeof *j->row[i])))
            return cts_fail(CTS_E_NOMEM, "out of memory for labels");
        for (size_t k = 0; k < sets[i]->n; k++, at++) {
            if (isnan(j->features.rows[at * j->features.width])) {
                j->sum->loop.skipped++;
                continue;
            }
            memcpy(j->known[i] + (size_t)to->n * m, sets[i]->labels + k * m, m);
            j->row[i][to->n++] = at;
        }
        to->labels = j->known[i];
    }
    j->spec = cts_features_spec(j->model.head);
    return CTS_OK;
}

static int use_volumes(job *j)
{
    const cts_recipe *r = &j->model.recipe;

    j->train_on = (cts_labelled){.n = (int64_t)j->train.n,
                                 .n_labels = j->labels.n,
                                 .labels = j->train.labels,
                                 .load = load_train,
                                 .vary = cts_augment_any(&j->s->augment) ? vary : NULL,
                                 .ctx = j};
    j->valid_on = (cts_labelled){
        .n = (int64_t)j->valid.n, .n_labels = j->labels.n, .labels = j->valid.labels, .load = load_valid, .ctx = j};
    memcpy(j->train_on.volume, r->size_zxy, sizeof r->size_zxy);
    memcpy(j->valid_on.volume, r->size_zxy, sizeof r->size_zxy);
    j->space = (cts_augment_space){.lo = (float)r->out[0], .hi = (float)r->out[1], .pad = (float)r->pad};
    memcpy(j->space.dim, r->size_zxy, sizeof r->size_zxy);
    if (j->train_on.vary && !(j->scratch = malloc(cts_recipe_elements(r) * sizeof *j->scratch)))
        return cts_fail(CTS_E_NOMEM, "out of memory for variants of volumes");
    if (j->s->augment.flip)
        cts_log(CTS_LOG_WARN,
                "--augment flip: half of the volumes are mirrored along each axis; a mirrored chest has its "
                "heart and its findings on the wrong side");
    j->spec = cts_clip_logits_spec(j->model.clip);
    return CTS_OK;
}

/* Patients of the validation records that are used. */
static int take_patients(job *j)
{
    int64_t *all = malloc((j->valid.n + 1) * sizeof *all);
    int rc;

    j->patient = malloc(((size_t)j->valid_on.n + 1) * sizeof *j->patient);
    rc = all && j->patient ? cts_label_set_patients(&j->valid, all) : cts_fail(CTS_E_NOMEM, "out of memory");
    for (int64_t i = 0; !rc && i < j->valid_on.n; i++)
        j->patient[i] = all[j->row[1] ? j->row[1][i] - j->train.n : (size_t)i];
    free(all);
    return rc;
}

static int prepare(job *j)
{
    const cts_label_setup *s = j->s;
    double *weights = NULL;
    int rc;

    if ((rc = open_data(j)) || (rc = open_model(j)) ||
        (rc = s->mode == CTS_LABEL_HEAD ? use_features(j) : use_volumes(j)))
        return rc;
    j->sum->volumes = (size_t)j->train_on.n;
    j->sum->validation = (size_t)j->valid_on.n;
    if (j->train_on.n < 1)
        return cts_fail(CTS_E_INPUT, "training volumes: got %zu, none of which can be loaded; allowed: at least one",
                        j->train.n);
    if (j->valid.n && j->valid_on.n < 1)
        return cts_fail(CTS_E_INPUT, "validation volumes: got %zu, none of which can be loaded; allowed: at least one",
                        j->valid.n);
    if (!(j->pos_weight = malloc((size_t)j->labels.n * sizeof *j->pos_weight)) ||
        (s->balance && !(weights = malloc((size_t)j->train_on.n * sizeof *weights))))
        return cts_fail(CTS_E_NOMEM, "out of memory for weights");
    if (weights)
        cts_label_balance(weights, j->train_on.labels, j->train_on.n, j->labels.n);
    j->train_on.weights = weights;
    if ((rc = cts_label_pos_weights(j->pos_weight, s->pos_weight, &j->labels, j->train_on.labels,
                                    (size_t)j->train_on.n)))
        return rc;
    if (j->valid_on.n == 0)
        return CTS_OK;
    if ((rc = take_patients(j)))
        return rc;
    return cts_validator_create(&j->validator, &j->spec, &j->valid_on, s->label.loop.batch,
                                s->label.loop.loader_threads, s->label.loop.cache_bytes, j->rt->backend);
}

/* What a resume must find again. */
static int run_digest(job *j, char digest[CTS_DIGEST_HEX])
{
    char data[CTS_DIGEST_HEX], augment[128], *text;
    int rc = cts_label_set_digest(&j->train, true, data);

    if (rc)
        return rc;
    cts_augment_text(augment, sizeof augment, &j->s->augment);
    text = cts_asprintf("%s %s %s %d %d", data, augment, j->s->pos_weight, j->s->balance, (int)j->s->mode);
    rc = text ? cts_digest_bytes(digest, text, strlen(text)) : cts_fail(CTS_E_NOMEM, "out of memory");
    free(text);
    return rc;
}

/* ---- the model folder ------------------------------------------------------------------------------------------- */

static int save_model(job *j)
{
    cts_thresholds t = {0};
    int rc = CTS_OK;

    if (j->s->mode == CTS_LABEL_HEAD)
        rc = cts_features_put(j->model.head, j->model.clip->params);
    if (!rc && j->validator)
        rc = cts_validator_thresholds(&t, j->validator, &j->model.clip->config.classifier, j->patient, j->common->seed,
                                      j->rt->pool);
    if (!rc && !(rc = cts_train_model_save(j->dir, j->model.clip, j->tokenizer, &j->model.recipe)) && j->validator)
        rc = cts_thresholds_save(&t, j->dir);
    cts_thresholds_clear(&t);
    return rc;
}

/* ---- hooks of the loop ------------------------------------------------------------------------------------------ */

static void on_step(void *ctx, const cts_loop_step *s)
{
    job *j = ctx;
    char note[64];

    cts_train_smooth(&j->smooth, s->loss);
    j->bar.total = (uint64_t)s->steps;
    snprintf(note, sizeof note, "loss %.3f, %.2f s", j->smooth, s->seconds);
    cts_progress_set(&j->bar, (uint64_t)s->step, note);
}

static void on_plan(void *ctx, const cts_plan_info *tower, int64_t macs, size_t peak)
{
    job *j = ctx;
    const cts_loop_config *c = &j->s->label.loop;

    j->sum->macs = macs / cts_max_i64(1, c->batch);
    cts_log(CTS_LOG_INFO, "%lld volumes, %lld a step as %lld x %lld; %lld of %lld parameters are trained",
            (long long)j->train_on.n, (long long)(c->batch * c->accumulate), (long long)c->accumulate,
            (long long)c->batch, (long long)j->sum->trained, (long long)j->sum->params);
    cts_log(CTS_LOG_INFO, "memory: tower %.0f MB (%d nodes), peak with parameters, gradients and moments %.0f MB",
            (double)tower->arena_bytes / 1e6, tower->n_nodes, (double)peak / 1e6);
    if (j->s->mode == CTS_LABEL_DRIFT)
        cts_log(CTS_LOG_INFO,
                "--drift: the encoder's weights stand still, its batch norms and code book move, as in the "
                "published code; every epoch reads all volumes");
    if (c->resume && cts_train_log_max(&j->best, j->s->out, "val_auroc_macro"))
        j->best = NAN;
}

static int on_validate(void *ctx, int64_t step, json_t *into)
{
    job *j = ctx;
    int rc;

    if (!j->validator)
        return save_model(j);
    if ((rc = cts_validator_run(j->validator, into, &j->model.clip->config.classifier, &j->sum->last_macro)))
        return rc;
    cts_log(CTS_LOG_INFO, "step %lld: validation macro AUROC %.3f (best before %.3f)", (long long)step,
            j->sum->last_macro, j->best);
    if (j->sum->last_macro <= j->best)
        return CTS_OK;
    j->best = j->sum->last_macro;
    j->sum->best_step = step;
    return save_model(j);
}

/* ---- the run ---------------------------------------------------------------------------------------------------- */

static int run_loop(job *j)
{
    cts_label_config c = j->s->label;
    cts_label_hooks hooks = {.step = on_step, .validate = on_validate, .planned = on_plan, .ctx = j};
    int64_t skipped = j->sum->loop.skipped;
    char digest[CTS_DIGEST_HEX];
    int rc;

    if ((rc = run_digest(j, digest)))
        return rc;
    c.loop.dir = j->s->out;
    c.loop.data_digest = digest;
    c.loop.seed = j->common->seed;
    c.loop.batch = cts_min_i64(c.loop.batch, j->train_on.n);
    c.pos_weight = j->pos_weight;
    if (j->s->epochs > 0)
        c.loop.schedule.steps = cts_train_epoch_steps(j->s->epochs, j->train_on.n, &c.loop);
    j->best = NAN;
    cts_progress_start(&j->bar, "training", (uint64_t)c.loop.schedule.steps);
    rc = cts_label_train(&j->spec, &j->train_on, &c, &hooks, j->rt->backend, &j->sum->loop);
    cts_progress_end(&j->bar);
    j->sum->loop.skipped += skipped;
    j->sum->axes = *cts_axes_tally(j->train.axes);
    if (!rc && j->validator)
        rc = cts_thresholds_load(&j->sum->thresholds, j->dir);
    return rc;
}

static void close_all(job *j)
{
    cts_validator_destroy(j->validator);
    cts_label_features_free(&j->features);
    cts_label_model_close(&j->model);
    cts_label_set_free(&j->train);
    cts_label_set_free(&j->valid);
    cts_dataset_destroy(j->train_data);
    cts_dataset_destroy(j->valid_data);
    free((double *)j->train_on.weights);
    for (int i = 0; i < 2; i++) {
        free(j->known[i]);
        free(j->row[i]);
    }
    free(j->patient);
    free(j->pos_weight);
    free(j->scratch);
    free(j->dir);
    free(j->tokenizer);
}

int cts_label_run(const cts_label_setup *s, const cts_common *common, cts_runtime *rt, cts_label_summary *summary)
{
    job j = {.s = s, .common = common, .rt = rt, .sum = summary};
    int rc;

    *summary = (cts_label_summary){.best_step = -1, .last_macro = NAN};
    if (!(rc = prepare(&j)))
        rc = run_loop(&j);
    close_all(&j);
    return rc;
}

void cts_label_summary_clear(cts_label_summary *s)
{
    cts_thresholds_clear(&s->thresholds);
}
