/* SPDX-License-Identifier: MIT */
#include "query/engine.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/loader.h"
#include "data/nifti.h"
#include "kernels/base/arena.h"
#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/log.h"
#include "kernels/base/signal.h"
#include "kernels/base/status.h"
#include "query/orientation.h"

/* Volumes run together up to this many voxels: enough rows for small ones, one at a time for full-size scans. */
#define BATCH_VOXELS ((int64_t)8 << 20)
#define BATCH_MAX 16
#define TEXT_BATCH 32

struct cts_engine {
    cts_model *model; /* owned, or NULL when wrapped */
    cts_tokenizer *own_tokenizer;
    char *path;
    cts_clip *clip;
    const cts_tokenizer *tokenizer;
    cts_recipe recipe;
    cts_text_mode text;
    cts_backend *backend;
    cts_model_digests digest;
    char warning[192];
    bool logits;        /* volumes give logits */
    int64_t min_slices; /* of a scan as it is stored */
    cts_orientation_tally axes;
    pthread_mutex_t axes_lock;        /* loader threads count */
    cts_tower *tower[CTS_SIDE_COUNT]; /* made on first use */
    float *volumes;                   /* [batch][elements] */
};

int cts_engine_resolve(char **out, const char *dir)
{
    char *config = cts_path_join(dir, "config.json"), *inner = cts_path_join(dir, "model"),
         *inner_config = inner ? cts_path_join(inner, "config.json") : NULL;
    int rc = CTS_OK;

    if (!config || !inner || !inner_config)
        rc = cts_fail(CTS_E_NOMEM, "out of memory");
    else if (!cts_file_exists(config) && cts_file_exists(inner_config))
        *out = inner, inner = NULL;
    else if (!(*out = cts_strdup(dir)))
        rc = cts_fail(CTS_E_NOMEM, "out of memory");
    free(config);
    free(inner);
    free(inner_config);
    return rc;
}

static void warn_of_override(cts_engine *e)
{
    if (*e->recipe.override_of)
        snprintf(e->warning, sizeof e->warning,
                 "the model was made for %s, volumes are prepared with %s: embeddings are not those of the published "
                 "model",
                 e->recipe.override_of, e->recipe.name);
}

/* A model of texts alone needs no recipe. */
static int load_recipe(cts_engine *e)
{
    char *path;
    int rc;

    if (!e->model->preprocess && !e->clip->config.encoder[CTS_SIDE_IMAGE])
        return CTS_OK;
    if (!e->model->preprocess)
        return cts_fail(CTS_E_FORMAT,
                        "%s: preprocess.json is missing; allowed: a model folder with the recipe its volumes were "
                        "prepared with",
                        e->path);
    if (!(path = cts_path_join(e->path, "preprocess.json")))
        return cts_fail(CTS_E_NOMEM, "out of memory");
    if (!(rc = cts_recipe_load(&e->recipe, path)))
        rc = cts_recipe_digest(&e->recipe, e->digest.recipe);
    free(path);
    warn_of_override(e);
    return rc;
}

static int load_text_mode(cts_engine *e)
{
    const char *name = e->clip->config.report_text;
    int rc = *name ? cts_text_mode_find(&e->text, name) : CTS_OK;

    return rc ? cts_fail_in(CTS_E_FORMAT, "%s/config.json: \"report_text\"", cts_engine_path(e)) : CTS_OK;
}

/* A model of images alone needs no tokenizer; a pair that was imported without one embeds its volumes until it has one.
 */
static int load_tokenizer(cts_engine *e)
{
    if (!e->clip->config.encoder[CTS_SIDE_TEXT] || !e->model->tokenizer_path)
        return CTS_OK;
    return cts_tokenizer_open(&e->own_tokenizer, e->model->tokenizer_path);
}

/* Slices that the image encoder reads as one picture: a scan of fewer would be made of padding. */
static int64_t slices_at_once(const cts_clip *m)
{
    cts_encoder_info info = {.view = {.slab = 0}};

    if (m->config.encoder[CTS_SIDE_IMAGE])
        m->config.encoder[CTS_SIDE_IMAGE]->info(m->config.config[CTS_SIDE_IMAGE], &info);
    return cts_max_i64(1, info.view.slab);
}

int cts_engine_open(cts_engine **out, const char *model_dir, cts_backend *backend)
{
    cts_engine *e = calloc(1, sizeof *e);
    int rc;

    if (!e)
        return cts_fail(CTS_E_NOMEM, "out of memory for a model");
    pthread_mutex_init(&e->axes_lock, NULL);
    e->backend = backend;
    if ((rc = cts_engine_resolve(&e->path, model_dir)) || (rc = cts_model_dir_load(&e->model, e->path)))
        goto out;
    e->clip = e->model->clip;
    e->digest = e->model->digest;
    if ((rc = load_text_mode(e)) || (rc = load_recipe(e)) || (rc = load_tokenizer(e)))
        goto out;
    e->tokenizer = e->own_tokenizer;
    e->min_slices = slices_at_once(e->clip);
    *out = e;
    e = NULL;
out:
    cts_engine_close(e);
    return rc;
}

int cts_engine_wrap(cts_engine **out, cts_clip *clip, const cts_recipe *recipe, const cts_tokenizer *tokenizer,
                    cts_backend *backend)
{
    cts_engine *e = calloc(1, sizeof *e);
    int rc;

    if (!e)
        return cts_fail(CTS_E_NOMEM, "out of memory for a model");
    pthread_mutex_init(&e->axes_lock, NULL);
    e->clip = clip;
    e->recipe = *recipe;
    e->tokenizer = tokenizer;
    e->backend = backend;
    e->min_slices = slices_at_once(clip);
    if ((rc = load_text_mode(e))) {
        cts_engine_close(e);
        return rc;
    }
    *out = e;
    return CTS_OK;
}

void cts_engine_close(cts_engine *e)
{
    if (!e)
        return;
    for (int s = 0; s < CTS_SIDE_COUNT; s++)
        cts_tower_destroy(e->tower[s]);
    cts_aligned_free(e->volumes);
    cts_tokenizer_close(e->own_tokenizer);
    cts_model_destroy(e->model);
    pthread_mutex_destroy(&e->axes_lock);
    free(e->path);
    free(e);
}

int64_t cts_engine_dim(const cts_engine *e)
{
    return e->clip->config.latent_dim;
}

const cts_clip *cts_engine_clip(const cts_engine *e)
{
    return e->clip;
}

const cts_recipe *cts_engine_recipe(const cts_engine *e)
{
    return &e->recipe;
}

const cts_tokenizer *cts_engine_tokenizer(const cts_engine *e)
{
    return e->tokenizer;
}

const char *cts_engine_path(const cts_engine *e)
{
    return e->path ? e->path : "";
}

const cts_model_digests *cts_engine_digests(const cts_engine *e)
{
    return &e->digest;
}

int64_t cts_engine_width(const cts_engine *e)
{
    return e->logits ? e->clip->config.classifier.n : cts_engine_dim(e);
}

void cts_engine_rest(cts_engine *e)
{
    cts_tower_destroy(e->tower[CTS_SIDE_IMAGE]);
    e->tower[CTS_SIDE_IMAGE] = NULL;
    cts_aligned_free(e->volumes);
    e->volumes = NULL;
}

int cts_engine_want_logits(cts_engine *e, bool logits)
{
    int rc = cts_engine_need(e, CTS_SIDE_IMAGE);

    if (!rc && logits && e->clip->config.classifier.head == CTS_HEAD_NONE)
        rc = cts_fail(CTS_E_MISMATCH, "%s: the model has no classifier, allowed: a supervised model",
                      cts_engine_path(e));
    if (!rc && logits != e->logits) {
        cts_engine_rest(e); /* its tower gives the other result */
        e->logits = logits;
    }
    return rc;
}

int cts_engine_set_recipe(cts_engine *e, const cts_recipe *r)
{
    char digest[CTS_DIGEST_HEX], now[CTS_DIGEST_HEX], made_for[sizeof r->override_of];
    int rc;

    CTS_ASSERT(!e->tower[CTS_SIDE_IMAGE], "recipe %s comes before the first volume", r->name);
    if ((rc = cts_engine_need(e, CTS_SIDE_IMAGE)) || (rc = cts_recipe_check(r, r->name)) ||
        (rc = cts_recipe_digest(r, digest)) || (rc = cts_recipe_digest(&e->recipe, now)) || !strcmp(digest, now))
        return rc;
    snprintf(made_for, sizeof made_for, "%s", *e->recipe.override_of ? e->recipe.override_of : e->recipe.name);
    e->recipe = *r;
    snprintf(e->recipe.override_of, sizeof e->recipe.override_of, "%s", made_for);
    memcpy(e->digest.recipe, digest, sizeof digest);
    warn_of_override(e);
    return CTS_OK;
}

const char *cts_engine_warning(const cts_engine *e)
{
    return e->warning;
}

cts_text_mode cts_engine_text_mode(const cts_engine *e)
{
    return e->text;
}

void cts_engine_set_text_mode(cts_engine *e, cts_text_mode mode)
{
    e->text = mode;
}

const cts_orientation_tally *cts_engine_orientations(const cts_engine *e)
{
    return &e->axes;
}

int cts_engine_need(const cts_engine *e, cts_side side)
{
    int rc = cts_clip_config_need(&e->clip->config, side);

    return rc && e->path ? cts_fail_in(rc, "%s", e->path) : rc;
}

double cts_engine_scale(const cts_engine *e)
{
    int i = cts_params_find(e->clip->params, "temperature");

    return exp(i < 0 ? e->clip->config.temperature : (double)cts_params_get(e->clip->params, i)->data[0]);
}

int cts_engine_params_changed(cts_engine *e)
{
    int rc = CTS_OK;

    for (int s = 0; !rc && s < CTS_SIDE_COUNT; s++)
        if (e->tower[s])
            rc = cts_tower_params_changed(e->tower[s]);
    return rc;
}

/* texts: how many are to be run at once. A single sentence, which is what a query has, is planned for alone: room for
 * a whole batch would cost it more time than its forward pass. */
static int tower(cts_engine *e, cts_side side, size_t texts, cts_tower **out)
{
    cts_tower_spec spec =
        side == CTS_SIDE_IMAGE && e->logits ? cts_clip_logits_spec(e->clip) : cts_clip_tower_spec(e->clip, side);
    int64_t voxels = (int64_t)cts_recipe_elements(&e->recipe);
    cts_tower_options o = {0};
    int rc = cts_engine_need(e, side);

    if (!rc && texts > 1 && e->tower[side] && cts_tower_max_batch(e->tower[side]) == 1) {
        cts_tower_destroy(e->tower[side]);
        e->tower[side] = NULL;
    }
    if (!rc && !e->tower[side]) {
        if (side == CTS_SIDE_IMAGE) {
            o.max_batch = cts_max_i64(1, cts_min_i64(BATCH_MAX, BATCH_VOXELS / voxels));
            memcpy(o.volume, e->recipe.size_zxy, sizeof o.volume);
        } else {
            o.max_batch = texts > 1 ? TEXT_BATCH : 1;
        }
        rc = cts_tower_create(&e->tower[side], &spec, &o, e->backend, NULL);
        if (!rc && side == CTS_SIDE_IMAGE &&
            !(e->volumes = cts_aligned_alloc((size_t)(o.max_batch * voxels) * sizeof(float))))
            rc = cts_fail(CTS_E_NOMEM, "out of memory for %lld volumes of %lld voxels", (long long)o.max_batch,
                          (long long)voxels);
    }
    *out = e->tower[side];
    return rc;
}

/* A model that has diverged gives NaN for everything: say so here, before the numbers spread. */
static int check_finite(const float *v, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return cts_fail(CTS_E_INPUT,
                            "%s: the model gives a number that is not finite; allowed: a model whose weights are sound",
                            what);
    return CTS_OK;
}

/* Token ids of one text as the tower reads it; *cut when it did not fit. */
static int sequence(const cts_engine *e, const char *text, int32_t max, int32_t *ids, int32_t *n, size_t *cut)
{
    size_t got = 0;
    int rc;

    if (!text[strspn(text, " \t\r\n")])
        return cts_fail(CTS_E_INPUT, "text: got an empty one, allowed: at least one word");
    if ((rc = cts_tokenizer_encode_sequence(e->tokenizer, text, strlen(text), max, ids, &got)))
        return rc;
    *n = (int32_t)got;
    if (cut && (int32_t)got == max)
        (*cut)++;
    return CTS_OK;
}

int cts_engine_texts(cts_engine *e, const char *const *texts, size_t n, float *out, size_t *cut)
{
    cts_tower *t;
    int32_t **ids = NULL, *n_ids = NULL, max;
    int rc;

    if (!n)
        return CTS_OK;
    if ((rc = tower(e, CTS_SIDE_TEXT, n, &t)))
        return rc;
    if (!e->tokenizer)
        return cts_fail(CTS_E_FORMAT, "%s: no tokenizer; allowed: a model folder with vocab.txt or tokenizer.model",
                        cts_engine_path(e));
    max = (int32_t)cts_tower_max_length(t);
    ids = calloc(n, sizeof *ids);
    n_ids = calloc(n, sizeof *n_ids);
    for (size_t i = 0; ids && n_ids && !rc && i < n; i++) {
        if (!(ids[i] = malloc((size_t)max * sizeof **ids)))
            rc = cts_fail(CTS_E_NOMEM, "out of memory for token ids");
        else
            rc = sequence(e, texts[i], max, ids[i], &n_ids[i], cut);
    }
    if (!ids || !n_ids)
        rc = cts_fail(CTS_E_NOMEM, "out of memory for token ids");
    if (!rc && !(rc = cts_tower_encode_texts(t, (int64_t)n, (const int32_t *const *)ids, n_ids, out)))
        rc = check_finite(out, n * (size_t)cts_engine_dim(e), "texts");
    for (size_t i = 0; ids && i < n; i++)
        free(ids[i]);
    free(ids);
    free(n_ids);
    return rc;
}

cts_volume_source cts_record_source(const cts_record *r)
{
    return (cts_volume_source){r->path, r->has_metadata ? r->spacing_xyz : NULL, r->has_metadata ? r->rescale : NULL};
}

int cts_load_volume(const cts_volume_source *s, const cts_recipe *recipe, cts_pool *pool, float *out,
                    cts_preprocess_info *info)
{
    cts_volume *v = NULL;
    int rc = cts_nifti_load(&v, s->path, 0);

    if (!rc && (rc = cts_preprocess(v, recipe, s->spacing_xyz, s->rescale, pool, out, info)))
        rc = cts_fail_in(rc, "%s", s->path);
    cts_volume_destroy(v);
    return rc;
}

/* As this model needs it. */
static int load_for(const cts_engine *e, const cts_volume_source *s, cts_pool *pool, float *out,
                    cts_preprocess_info *info)
{
    int rc = cts_load_volume(s, &e->recipe, pool, out, info);

    if (!rc && info->stored_zxy[0] < e->min_slices)
        rc = cts_fail(CTS_E_INPUT, "%s: got %lld slice%s, allowed: at least %lld, which this model reads at once",
                      s->path, (long long)info->stored_zxy[0], info->stored_zxy[0] == 1 ? "" : "s",
                      (long long)e->min_slices);
    return rc;
}

int cts_engine_volume(cts_engine *e, const cts_volume_source *s, float *out, cts_preprocess_info *info)
{
    cts_preprocess_info own;
    cts_tower *t;
    int rc;

    if ((rc = tower(e, CTS_SIDE_IMAGE, 0, &t)) ||
        (rc = load_for(e, s, e->backend->pool, e->volumes, info ? info : &own)))
        return rc;
    rc = cts_tower_volumes(t, 1, e->volumes, 0, out);
    return rc ? rc : check_finite(out, (size_t)cts_engine_width(e), s->path);
}

typedef struct {
    cts_engine *e;
    const cts_record *const *records;
    size_t n;
} job;

static int64_t next_record(void *ctx, uint64_t seq)
{
    const job *j = ctx;

    return seq < j->n ? (int64_t)seq : -1;
}

static int load_record(void *ctx, int64_t record, float *out)
{
    const job *j = ctx;
    const cts_record *r = j->records[record];
    cts_volume_source s = cts_record_source(r);
    cts_preprocess_info info;
    int rc;

    if (!r->path)
        return cts_fail(CTS_E_NOTFOUND, "%s: no file of this name in the volume folder", r->name);
    if ((rc = load_for(j->e, &s, NULL, out, &info)))
        return rc;
    pthread_mutex_lock(&j->e->axes_lock);
    cts_orientation_tally_add(&j->e->axes, &info);
    pthread_mutex_unlock(&j->e->axes_lock);
    return CTS_OK;
}

typedef struct {
    cts_engine *e;
    cts_tower *t;
    const cts_record *const *records;
    int64_t n, max;
    const cts_record *held[BATCH_MAX];
    float *results; /* [max, width] */
    cts_engine_each each;
    void *ctx;
} batch;

static int flush(batch *b)
{
    int64_t width = cts_engine_width(b->e);
    int rc = b->n ? cts_tower_volumes(b->t, b->n, b->e->volumes, 0, b->results) : CTS_OK;

    for (int64_t i = 0; !rc && i < b->n; i++) {
        const float *v = b->results + i * width;

        if (!(rc = check_finite(v, (size_t)width, b->held[i]->name)))
            rc = b->each(b->ctx, b->held[i], v);
    }
    b->n = 0;
    return rc;
}

static int consume(batch *b, cts_loader *l, size_t n, const char *label, size_t *skipped)
{
    size_t voxels = cts_recipe_elements(&b->e->recipe);
    cts_progress bar;
    cts_loaded item;
    int rc = CTS_OK;

    cts_progress_start(&bar, label, n);
    for (cts_loader_next(l, &item); !rc && item.record >= 0; cts_loader_next(l, &item)) {
        if (cts_interrupted()) {
            rc = cts_fail(CTS_E_INTERRUPTED, "%s: interrupted after %llu of %zu volumes", label,
                          (unsigned long long)item.seq, n);
            break;
        }
        if (item.status) {
            cts_log(CTS_LOG_WARN, "skipped: %s", item.error);
            (*skipped)++;
        } else {
            memcpy(b->e->volumes + (size_t)b->n * voxels, item.floats, voxels * sizeof(float));
            b->held[b->n++] = b->records[item.record];
            if (b->n == b->max)
                rc = flush(b);
        }
        cts_progress_set(&bar, item.seq + 1, NULL);
    }
    if (!rc)
        rc = flush(b);
    cts_progress_end(&bar);
    return rc;
}

int cts_engine_records(cts_engine *e, const cts_record *const *records, size_t n, int threads, const char *label,
                       cts_engine_each each, void *ctx, size_t *skipped)
{
    job j = {e, records, n};
    batch b = {.e = e, .records = records, .each = each, .ctx = ctx};
    cts_loader_options o = {.n_items = (int64_t)n,
                            .item_floats = cts_recipe_elements(&e->recipe),
                            .threads = threads,
                            .order = next_record,
                            .load = load_record,
                            .ctx = &j};
    cts_loader *l = NULL;
    bool said = e->axes.n > 0; /* once for what may be run again and again, such as a validation set */
    int rc;

    if ((rc = tower(e, CTS_SIDE_IMAGE, 0, &b.t)))
        return rc;
    b.max = cts_tower_max_batch(b.t);
    o.depth = threads + (int)cts_min_i64(b.max, 4);
    if (!(b.results = malloc((size_t)(b.max * cts_engine_width(e)) * sizeof(float))))
        return cts_fail(CTS_E_NOMEM, "out of memory for embeddings");
    if (!(rc = cts_loader_create(&l, &o, 0)))
        rc = consume(&b, l, n, label, skipped);
    cts_loader_destroy(l);
    free(b.results);
    if (!said)
        cts_say_orientations(label, &e->axes);
    return rc;
}
