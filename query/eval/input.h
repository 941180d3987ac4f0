/* From command-line options to the rows of an evaluation. The inputs, one of them:
 *   an index                          vectors, names, labels and reports are in it
 *   --images and --texts FILE.npy     vectors of any model, float16/32/64 [n, d]; rows are named by --names CSV, or by
 *                                     the "ids" of the FILE.json beside the .npy (as `embed` writes it), or by the
 *                                     labels or reports CSV in its order; texts with a .json of their own go to the
 *                                     images of the same names, otherwise row i belongs to row i
 *   --scores FILE.npy                 probabilities [n, 18] of any classifier, rows named in the same way; a .json
 *                                     says "labels" of the columns and "values": "logits", as --save-scores writes
 *   --model with --volumes            the scans of a folder through a model; where scores alone are needed through
 *                                     several models, each by its classifier or by prompts (query/scorer.h)
 * A labels CSV, a reports CSV and a metadata CSV add to the rows they name. Vectors that are not of unit length are
 * normalised, with a remark. Only rows of the pool stay.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EVAL_INPUT_H
#define CTS_QUERY_EVAL_INPUT_H

#include "query/eval/pool.h"
#include "query/model_set.h"
#include "query/session.h"
#include "query/zeroshot.h"

typedef struct {
    const char *index, *model;
    const char *further[CTS_SCORER_MODELS_MAX]; /* models beside the first, where scores alone are needed */
    size_t n_further;
    cts_overrides over;                  /* of the first model, for scans */
    const char *images, *texts, *scores; /* .npy */
    const char *names;                   /* CSV */
    cts_dataset_paths data;
    const char *prompts;    /* .npy [36, d]: present, not present of each finding */
    const char *bank;       /* prompts for the text tower: a bank's name or file; NULL = the model's own */
    double scale;           /* of the zero-shot logits; 0 = the model's, or e with a .npy of prompts */
    bool logits;            /* --scores are logits: a sigmoid makes them probabilities */
    bool uncalibrated;      /* several models: the mean of their logits as they are */
    const char *thresholds; /* folder with thresholds.json of the models; NULL = a single model's own */
    const cts_eval_pool *pool;
    const char *exclude;      /* names that take no part; NULL = none */
    const cts_label_map *map; /* labels of another data set; NULL = the 18 findings */
} cts_eval_input;

/* What the task needs of the rows; what is not needed is not loaded. */
typedef struct {
    bool images, texts, scores, labels;
} cts_eval_needs;

/* Fill the zeroed set *s from `in`; session: opened here where one is needed, the caller's to close, also after a
 * failure. z: prompts of an earlier call are used when z->prompt is set, otherwise it is filled where scores come from
 * prompts; the caller's to clear. models: the same for scans that are scored; models->scorer says whether they were. It
 * belongs to the session of the call that opened it, to be closed before that. CTS_E_USAGE: an input that lacks what is
 * needed; CTS_E_INPUT names file, row and label of a number that cannot be used, and row counts that differ. */
int cts_eval_input_open(cts_eval_set *s, const cts_eval_input *in, const cts_eval_needs *needs, cts_session *session,
                        cts_zeroshot *z, cts_model_set *models, const cts_common *common);

#endif
