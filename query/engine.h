/* From files and sentences to unit vectors: a CLIP model with its tokenizer and recipe, ready to run. Of a supervised
 * model the logits of its head, when they are asked for.
 *
 * Towers are planned on first use. One thread per engine. All vectors are [latent_dim] fp32 of unit length; logits are
 * [labels] fp32, in the order of the classifier's labels.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_ENGINE_H
#define CTS_QUERY_ENGINE_H

#include "data/ct_rate.h"
#include "data/orientation_tally.h"
#include "data/preprocess.h"
#include "data/report_text.h"
#include "encoders/model_dir.h"
#include "encoders/tower.h"
#include "query/cli.h"
#include "tokenizer/tokenizer.h"

typedef struct cts_engine cts_engine;

/* The model folder meant by `dir`, to be freed: `dir` when it holds config.json, otherwise the model/ inside it. */
int cts_engine_resolve(char **out, const char *dir);
/* A model folder, or a run folder of `train clip` (its model/ is taken). Owned by the engine. */
int cts_engine_open(cts_engine **out, const char *model_dir, cts_backend *backend);
/* Around a model somebody else holds (training's validation). All borrowed. */
int cts_engine_wrap(cts_engine **out, cts_clip *clip, const cts_recipe *recipe, const cts_tokenizer *tokenizer,
                    cts_backend *backend);
void cts_engine_close(cts_engine *e); /* NULL allowed */

int64_t cts_engine_dim(const cts_engine *e);
const cts_clip *cts_engine_clip(const cts_engine *e);
const cts_recipe *cts_engine_recipe(const cts_engine *e); /* zeroed when the model has no image side and no recipe */
const cts_tokenizer *cts_engine_tokenizer(const cts_engine *e); /* NULL without a text side or a tokenizer */
const char *cts_engine_path(const cts_engine *e);               /* of the model folder; "" when wrapped */
/* Digests an index is made with: model, tokenizer, recipe. Empty strings when wrapped. */
const cts_model_digests *cts_engine_digests(const cts_engine *e);
/* CTS_E_MISMATCH with a sentence when the model has no such side; every call below that wants the side fails so. */
int cts_engine_need(const cts_engine *e, cts_side side);
/* What volumes give from now on: unit vectors, as it is at the start, or the logits of the model's classifier.
 * CTS_E_MISMATCH: the model has no image side, or no classifier. */
int cts_engine_want_logits(cts_engine *e, bool logits);
/* Floats that a volume gives: latent_dim, or labels. */
int64_t cts_engine_width(const cts_engine *e);
/* Give back the memory of the image tower; the next volume plans it again. */
void cts_engine_rest(cts_engine *e);
/* Prepare volumes by another recipe from now on, before the first one. The digest of the recipe is then that of *r,
 * and cts_engine_warning() says so. A recipe that does the same to voxels changes nothing. CTS_E_MISMATCH: no image
 * side. */
int cts_engine_set_recipe(cts_engine *e, const cts_recipe *r);
/* Sentence about volumes prepared by another recipe than the model was made for, here or by who imported the model;
 * "" when they are not. */
const char *cts_engine_warning(const cts_engine *e);
/* How report cells become a text: the model's "report_text", or what was set since. */
cts_text_mode cts_engine_text_mode(const cts_engine *e);
void cts_engine_set_text_mode(cts_engine *e, cts_text_mode mode);
/* How the volumes lay that went through cts_engine_records(). */
const cts_orientation_tally *cts_engine_orientations(const cts_engine *e);
/* exp(temperature): scale of the zero-shot logits. */
double cts_engine_scale(const cts_engine *e);
/* After parameters of a wrapped model changed. */
int cts_engine_params_changed(cts_engine *e);

/* n texts -> out [n, d]. Texts longer than the tower are cut; how many is added to *cut (NULL allowed). An empty
 * text is CTS_E_INPUT. */
int cts_engine_texts(cts_engine *e, const char *const *texts, size_t n, float *out, size_t *cut);

/* Where a volume is and what a CSV says of it. */
typedef struct {
    const char *path;
    const double *spacing_xyz; /* NULL = the file's */
    const double *rescale;     /* {slope, intercept} of a CSV, NULL = none */
} cts_volume_source;
cts_volume_source cts_record_source(const cts_record *r);

/* One volume file through reader, recipe and image tower; out [cts_engine_width()]. info may be NULL. CTS_E_INPUT also
 * for a scan of fewer slices than an encoder that reads them in groups (CT-Scroll: 3) takes at once. */
int cts_engine_volume(cts_engine *e, const cts_volume_source *s, float *out, cts_preprocess_info *info);

/* Read and preprocess only: out has cts_recipe_elements(recipe) floats. Any thread. */
int cts_load_volume(const cts_volume_source *s, const cts_recipe *recipe, cts_pool *pool, float *out,
                    cts_preprocess_info *info);

/* Volumes of n records in order, loaded ahead by `threads` workers. What cannot be loaded is logged, counted and
 * left out.
 * each() gets every result [cts_engine_width()] as soon as it is there; a status of it other than CTS_OK ends the run.
 * Ctrl-C ends with CTS_E_INTERRUPTED after the current one. What was done to axes is said in the end.
 * *skipped counts records without file or with a bad one. label: of the progress bar. */
typedef int (*cts_engine_each)(void *ctx, const cts_record *record, const float *result);
int cts_engine_records(cts_engine *e, const cts_record *const *records, size_t n, int threads, const char *label,
                       cts_engine_each each, void *ctx, size_t *skipped);

#endif
