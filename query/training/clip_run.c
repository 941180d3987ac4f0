/* SPDX-License-Identifier: MIT */
#include "query/training/clip_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "query/dataset_options.h"
#include "query/training/data.h"
#include "query/training/parts.h"

#define QUANTISER "visual_transformer.vq._codebook.embed"
#define CODES 8192        /* in the configuration of an encoder that has no quantiser, as published */
#define SIGLIP_BIAS -10.0 /* initial, as Zhai et al. 2023 have it */

typedef struct {
    const cts_train_setup *s;
    const cts_common *common;
    cts_runtime *rt;
    cts_train_summary *sum;
    cts_dataset *train, *valid;
    cts_train_data data;
    cts_tokenizer *tokenizer;
    cts_clip *clip;
    cts_model *init;
    cts_recipe recipe;
    cts_text_mode mode;
    cts_engine *engine; /* validation */
    cts_progress bar;
    double smooth; /* running mean of the loss, for the bar */
} job;

/* ---- parts of the run -------------------------------------------------------------------------------------------- */

/* How report cells become texts: as asked, as the initial model has it, or clean. */
static int choose_text_mode(job *j)
{
    const char *own = j->init ? j->init->clip->config.report_text : "";
    int rc;

    own = *own ? own : cts_text_mode_name(CTS_TEXT_CLEAN);
    if ((rc = cts_text_mode_find(&j->mode, j->s->report_text ? j->s->report_text : own)))
        return cts_fail_in(j->s->report_text ? CTS_E_USAGE : rc, j->s->report_text ? "--report-text" : "config.json");
    if (j->init && strcmp(own, cts_text_mode_name(j->mode)))
        cts_log(CTS_LOG_INFO, "reports become text by the rule %s; the model's own is %s", cts_text_mode_name(j->mode),
                own);
    return CTS_OK;
}

/* The tokenizer: the given file, the initial model's, the one of the run being resumed, or a new one learned from
 * the reports. */
static int open_tokenizer(job *j)
{
    bool wordpiece = !strcmp(j->s->tokenizer_kind, "wordpiece");
    char *own = cts_path_join(j->s->out, wordpiece ? "vocab.txt" : "tokenizer.model");
    const char *path = j->s->tokenizer ? j->s->tokenizer : j->init ? j->init->tokenizer_path : own;
    int rc = own ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory");

    if (!rc && !path)
        rc = cts_fail(CTS_E_USAGE, "%s has no tokenizer: name its file with --tokenizer", j->init->dir);
    if (!rc && path == own && !(j->s->clip.loop.resume && cts_file_exists(own))) {
        const char *const *texts = (const char *const *)j->data.text;

        if (!(rc = cts_mkdir_p(j->s->out)))
            rc = wordpiece ? cts_wordpiece_train(own, texts, j->data.n, j->s->vocab)
                           : cts_sentencepiece_train(own, texts, j->data.n, j->s->vocab, j->s->tokenizer_kind);
    }
    if (!rc)
        rc = cts_tokenizer_open(&j->tokenizer, path);
    if (!rc && j->init && j->init->tokenizer_path &&
        strcmp(j->init->digest.tokenizer, cts_tokenizer_digest(j->tokenizer)))
        rc =
            cts_fail(CTS_E_USAGE, "--tokenizer: got %s, the model in %s was made with another one", path, j->init->dir);
    free(own);
    return rc;
}

/* A published loss curve is asked for with --init: what of the model stands against it is said, and the scale stands
 * still. */
static void keep_temperature(job *j)
{
    const cts_clip_config *c = &j->clip->config;
    int i = cts_params_find(j->clip->params, "temperature");

    cts_params_freeze(j->clip->params, "temperature", true);
    if (c->projection_norm || cts_params_find(j->clip->params, QUANTISER) < 0)
        cts_log(CTS_LOG_WARN, "%s: the model has %s; published loss curves are not to be expected", j->init->dir,
                c->projection_norm ? "batch norms before its projections" : "no quantiser");
    if (i >= 0 && fabsf(cts_params_get(j->clip->params, i)->data[0] - 1.0f) > 1e-6f)
        cts_log(CTS_LOG_WARN, "%s: the scale stays %g; the published one is e", j->init->dir,
                exp((double)cts_params_get(j->clip->params, i)->data[0]));
}

/* The published loaders read reports differently when they train and when they are asked; a model keeps the latter. */
static const char *inference_mode(cts_text_mode trained)
{
    return cts_text_mode_name(trained == CTS_TEXT_DCFORMER_TRAIN ? CTS_TEXT_DCFORMER_INFER
                              : trained == CTS_TEXT_CTCLIP_TRAIN ? CTS_TEXT_CTCLIP_INFER
                                                                 : trained);
}

static int new_model(job *j)
{
    json_t *image = NULL, *text = NULL, *all = NULL;
    cts_clip_config config = {0};
    const cts_recipe *r = &j->recipe;
    int rc;

    if ((rc = cts_train_encoder_json(&image, j->s->image,
                                     json_pack("{s:[I,I,I], s:b, s:I, s:s}", "input_size", (json_int_t)r->size_zxy[0],
                                               (json_int_t)r->size_zxy[1], (json_int_t)r->size_zxy[2], "quantize",
                                               j->s->codebook > 0, "codebook_size",
                                               (json_int_t)(j->s->codebook > 0 ? j->s->codebook : CODES), "reduction",
                                               j->s->reduction))) ||
        (rc = cts_train_encoder_json(&text, j->s->text,
                                     json_pack("{s:I, s:I, s:f, s:f, s:s, s:f}", "vocab_size",
                                               (json_int_t)cts_tokenizer_size(j->tokenizer), "max_position_embeddings",
                                               (json_int_t)j->s->clip.max_tokens, "hidden_dropout_prob", j->s->dropout,
                                               "attention_probs_dropout_prob", j->s->dropout, "pooling", j->s->pooling,
                                               "initializer_range", j->s->text_init))))
        goto out;
    all = json_pack("{s:s, s:i, s:O, s:O, s:I, s:s, s:{s:s, s:f}}", "format", "ctsearch-clip", "version", 1, "image",
                    image, "text", text, "latent_dim", (json_int_t)j->s->latent, "projection_norm",
                    j->s->projection_norm ? "batch" : "none", "temperature", "kind",
                    j->s->learned_temperature ? "learned" : "constant", "value", j->s->temperature);
    if (!all) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for a configuration");
        goto out;
    }
    if (j->s->clip.loss == CTS_LOSS_SIGLIP)
        json_object_set_new(json_object_get(all, "temperature"), "bias", json_real(SIGLIP_BIAS));
    if (!(rc = cts_clip_config_parse(&config, all, "options")))
        rc = cts_clip_create_init(&j->clip, &config, j->common->seed);
    cts_clip_config_clear(&config);
out:
    json_decref(image);
    json_decref(text);
    json_decref(all);
    return rc;
}

static int save_model(job *j)
{
    char *dir = cts_path_join(j->s->out, "model");
    int rc = dir ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory");

    if (!rc && !(rc = cts_train_model_save(dir, j->clip, cts_tokenizer_path(j->tokenizer), &j->recipe)))
        snprintf(j->sum->model, sizeof j->sum->model, "%s", dir);
    free(dir);
    return rc;
}

/* ---- hooks of the loop ------------------------------------------------------------------------------------------- */

static void on_step(void *ctx, const cts_step_report *r)
{
    job *j = ctx;
    char note[64];

    cts_train_smooth(&j->smooth, r->loss);
    j->bar.total = (uint64_t)r->steps;
    snprintf(note, sizeof note, "loss %.3f, %lld negatives, %.2f s", j->smooth, (long long)r->negatives, r->seconds);
    cts_progress_set(&j->bar, (uint64_t)r->step, note);
}

static void on_plan(void *ctx, const cts_plan_info *image, const cts_plan_info *text, size_t peak)
{
    job *j = ctx;
    const cts_clip_train_config *c = &j->s->clip;

    cts_log(CTS_LOG_INFO, "%zu pairs, %lld a step as %lld x %lld: each anchor has %lld negatives", j->data.n,
            (long long)(c->loop.batch * c->loop.accumulate), (long long)c->loop.accumulate, (long long)c->loop.batch,
            (long long)c->loop.batch - 1);
    cts_log(CTS_LOG_INFO,
            "memory: image tower %.0f MB (%d nodes, %d in place), text tower %.0f MB, peak with parameters, gradients "
            "and moments %.0f MB",
            (double)image->arena_bytes / 1e6, image->n_nodes, image->n_inplace, (double)text->arena_bytes / 1e6,
            (double)peak / 1e6);
}

static double validation_loss(job *j, const cts_embeddings *x)
{
    int64_t b = cts_min_i64(j->s->clip.loop.batch, (int64_t)x->n), n = 0;
    cts_clip_loss *loss = NULL;
    double sum = 0.0, one;

    if (b < 2 || cts_clip_loss_create(&loss, j->clip, j->s->clip.loss, b, j->rt->backend, NULL))
        return NAN;
    for (size_t at = 0; at + (size_t)b <= x->n; at += (size_t)b, n++)
        if (!cts_clip_loss_run(loss, b, x->image + at * (size_t)x->dim, x->text + at * (size_t)x->dim, 1.0, &one, NULL,
                               NULL))
            sum += one;
    cts_clip_loss_destroy(loss);
    return n ? sum / (double)n : NAN;
}

static int on_validate(void *ctx, int64_t step, json_t *into)
{
    job *j = ctx;
    cts_embeddings x = {0};
    cts_zeroshot z = {0};
    size_t skipped = 0;
    int rc;

    if ((rc = save_model(j)) || !j->valid)
        return rc;
    if ((rc = cts_engine_params_changed(j->engine)) || (rc = cts_zeroshot_init(&z, j->engine)) ||
        (rc = cts_embeddings_compute(&x, j->engine, j->valid, true, j->s->clip.loop.loader_threads, "validation",
                                     &skipped)) ||
        (rc = cts_evaluate_zeroshot(&j->sum->zeroshot, &z, &x)) ||
        (rc = cts_evaluate_recall(&j->sum->recall, &x, j->rt->pool)))
        goto out;
    j->sum->validated = true;
    j->sum->valid_loss = validation_loss(j, &x);
    json_object_set_new(into, "val_n", json_integer((json_int_t)x.n));
    json_object_set_new(into, "val_loss", isnan(j->sum->valid_loss) ? json_null() : json_real(j->sum->valid_loss));
    json_object_set_new(into, "val_auroc_macro",
                        isnan(j->sum->zeroshot.macro) ? json_null() : json_real(j->sum->zeroshot.macro));
    for (int k = 0; k < 3; k++) {
        char key[32];

        snprintf(key, sizeof key, "val_t2i_r@%lld", (long long)cts_recall_k[k]);
        json_object_set_new(into, key, json_real(j->sum->recall.t2i[k]));
        snprintf(key, sizeof key, "val_i2t_r@%lld", (long long)cts_recall_k[k]);
        json_object_set_new(into, key, json_real(j->sum->recall.i2t[k]));
    }
    cts_log(
        CTS_LOG_INFO, "step %lld: validation loss %.3f, zero-shot AUROC %.3f, R@10 text to image %.3f (chance %.3f)",
        (long long)step, j->sum->valid_loss, j->sum->zeroshot.macro, j->sum->recall.t2i[2], j->sum->recall.chance[2]);
out:
    cts_zeroshot_clear(&z);
    cts_embeddings_free(&x);
    return rc;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static int open_all(job *j)
{
    int rc;

    if ((j->s->init && (rc = cts_model_dir_load(&j->init, j->s->init))) ||
        (rc = cts_train_recipe(&j->recipe, j->init, !j->init || j->s->recipe_given ? &j->s->recipe : NULL)) ||
        (rc = choose_text_mode(j)) || (rc = cts_dataset_open(&j->train, &j->s->train)) ||
        (j->s->valid.volumes && (rc = cts_dataset_open(&j->valid, &j->s->valid))) ||
        (rc = cts_train_data_make(&j->data, j->train, &j->recipe, j->mode)) || (rc = open_tokenizer(j)) ||
        (rc = cts_train_data_tokenise(&j->data, j->tokenizer, j->s->draw, j->s->impressions, j->common->seed)))
        return rc;
    j->sum->pairs = j->data.n;
    j->sum->without_volume = j->data.without_volume;
    j->sum->without_report = j->data.without_report;
    if (j->data.without_volume || j->data.without_report)
        cts_log(CTS_LOG_WARN, "left out: %zu records without a volume file, %zu without a report",
                j->data.without_volume, j->data.without_report);
    if (j->init) {
        j->clip = j->init->clip;
        if (j->s->constant_temperature)
            keep_temperature(j);
    } else if ((rc = new_model(j))) {
        return rc;
    }
    snprintf(j->clip->config.report_text, sizeof j->clip->config.report_text, "%s", inference_mode(j->mode));
    j->sum->params = cts_params_count(j->clip->params);
    return cts_engine_wrap(&j->engine, j->clip, &j->recipe, j->tokenizer, j->rt->backend);
}

static int run_loop(job *j)
{
    cts_clip_train_config c = j->s->clip;
    cts_pairs pairs = cts_train_data_pairs(&j->data);
    cts_train_hooks hooks = {.step = on_step, .validate = on_validate, .planned = on_plan, .ctx = j};
    char digest[CTS_DIGEST_HEX];
    int rc;

    if ((rc = cts_train_data_digest(&j->data, j->tokenizer, digest)))
        return rc;
    c.loop.dir = j->s->out;
    c.loop.data_digest = digest;
    c.loop.seed = j->common->seed;
    if (j->s->epochs > 0)
        c.loop.schedule.steps = cts_train_epoch_steps(j->s->epochs, (int64_t)j->data.n, &c.loop);
    cts_progress_start(&j->bar, "training", (uint64_t)c.loop.schedule.steps);
    rc = cts_clip_train(j->clip, &pairs, &c, &hooks, j->rt->backend, &j->sum->loop);
    cts_progress_end(&j->bar);
    j->sum->axes = *cts_axes_tally(j->data.axes);
    return rc;
}

static void close_all(job *j)
{
    cts_engine_close(j->engine);
    if (!j->init)
        cts_clip_destroy(j->clip);
    cts_model_destroy(j->init);
    cts_train_data_free(&j->data);
    cts_tokenizer_close(j->tokenizer);
    cts_dataset_destroy(j->train);
    cts_dataset_destroy(j->valid);
}

int cts_train_run(const cts_train_setup *s, const cts_common *common, cts_runtime *rt, cts_train_summary *summary)
{
    job j = {.s = s, .common = common, .rt = rt, .sum = summary};
    int rc;

    *summary = (cts_train_summary){0};
    if (!(rc = open_all(&j)))
        rc = run_loop(&j);
    close_all(&j);
    return rc;
}
