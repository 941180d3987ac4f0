/* How likely a scan shows each finding, by one model or by several together; each goes by the head it was trained with
 * or, a pair of image and text, by prompts.
 *
 * A scorer turns a volume into one logit a label, and cts_probability() of that is what is shown:
 *   one model    its own logit z: of the classifier, or scale * (<scan, affirming> - <scan, denying>) of the prompts
 *   several      the mean of their calibrated logits a z + b (Platt, from thresholds.json of each model folder), over
 *                the labels they all have, in the order of the first; or, when that is asked, the mean of the z
 * Thresholds are those fitted for this very scorer (thresholds.h): of one model its folder's, of several a folder that
 * holds theirs. They are never averaged: a threshold belongs to the scores it was chosen on.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_SCORER_H
#define CTS_QUERY_SCORER_H

#include <jansson.h>

#include "query/engine.h"
#include "query/thresholds.h"
#include "query/zeroshot.h"

#define CTS_SCORER_MODELS_MAX 16

typedef struct cts_scorer cts_scorer;

/* Zero = the default. All borrowed. */
typedef struct {
    const char *prompts;    /* NULL: a model with a classifier goes by it, another by its own bank. A bank's name or
                               file: every model with a text side goes by this bank. */
    double scale;           /* of the zero-shot logits; 0 = each model's */
    bool uncalibrated;      /* several models: the mean of the logits as they are */
    const char *thresholds; /* folder with thresholds.json, or a run folder with model/; NULL = a single model's own */
} cts_scorer_options;

/* Over n models, borrowed; they must outlive it. Prompts are encoded here. CTS_E_MISMATCH: a model that can do it
 * neither way, models without a label in common, a member without calibration (unless uncalibrated), thresholds that
 * were fitted for other models, recipes or prompts (those of a model's own folder are left alone then, which is said on
 * standard error).
 * End with cts_scorer_destroy(). One thread at a time. */
int cts_scorer_create(cts_scorer **out, cts_engine *const *engines, size_t n, const cts_scorer_options *o);
void cts_scorer_destroy(cts_scorer *s); /* NULL allowed */

size_t cts_scorer_n(const cts_scorer *s);
const char *const *cts_scorer_labels(const cts_scorer *s); /* [n] */
/* Index of a label, upper and lower case alike; the 18 findings by their short names too. CTS_E_MISMATCH lists what
 * there is. */
int cts_scorer_find(const cts_scorer *s, const char *label, size_t *at);
/* NULL = there are none, or none of this label. */
const cts_thresholds *cts_scorer_thresholds(const cts_scorer *s);
const cts_label_threshold *cts_scorer_threshold(const cts_scorer *s, size_t label);
/* Name of the prompt bank of the first model that goes by prompts; "" without one. */
const char *cts_scorer_prompts(const cts_scorer *s);
/* SHA-256 of how the scores come about: models, recipes, prompts, scales, how they are averaged. */
const char *cts_scorer_digest(const cts_scorer *s);
/* [{model, kind, prompts, digest, thresholds}] */
json_t *cts_scorer_models_json(const cts_scorer *s);

/* What one volume gets. All arrays are the caller's; spread and member may be NULL. */
typedef struct {
    float *logit;  /* [n] */
    float *member; /* [models][n] logits of each, before calibration */
    cts_prompt_spread
        *spread; /* [n]; pairs 0 where there is one model of one phrasing, no prompts, or several models */
} cts_scorer_result;
int cts_scorer_volume(cts_scorer *s, const cts_volume_source *v, const cts_scorer_result *r, cts_preprocess_info *info);
size_t cts_scorer_models(const cts_scorer *s);

/* Volumes of n records, one model after the other: logits [n][labels], and which rows are there. *skipped counts the
 * others; failures otherwise as cts_engine_records(). */
int cts_scorer_records(cts_scorer *s, const cts_record *const *records, size_t n, int threads, float *logits,
                       bool *whole, size_t *skipped);

#endif
