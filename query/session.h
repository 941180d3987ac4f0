/* What a command works with: threads and back end, a model, an index, and the proof that the two belong together.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_SESSION_H
#define CTS_QUERY_SESSION_H

#include <jansson.h>

#include "index/index.h"
#include "query/engine.h"

/* Zero it before; end with cts_session_close(), also after a failed open. */
typedef struct {
    cts_runtime runtime;
    cts_engine *engine; /* NULL when no model was asked for */
    cts_index *index;   /* NULL when no index was asked for */
} cts_session;

/* What a command line says otherwise than the model; NULL = as the model has it. */
typedef struct {
    const char *recipe;      /* --recipe: a built-in name or a preprocess.json */
    const char *report_text; /* --report-text: a text mode */
} cts_overrides;
enum { CTS_KEY_RECIPE = 0x2100, CTS_KEY_REPORT_TEXT };
#define CTS_OPTION_RECIPE                                                                                              \
    {                                                                                                                  \
        "recipe", CTS_KEY_RECIPE, "NAME|FILE.json", 0,                                                                 \
            "Prepare volumes by this recipe instead of the model's (a warning is printed and kept)", 0                 \
    }
#define CTS_OPTION_REPORT_TEXT                                                                                         \
    {                                                                                                                  \
        "report-text", CTS_KEY_REPORT_TEXT, "MODE", 0,                                                                 \
            "How the cells of a report become a text: clean, dcformer_train, dcformer_infer, ctclip_train or "         \
            "ctclip_infer (default: the model's rule)",                                                                \
            0                                                                                                          \
    }

/* What a warning of the model folder says goes to standard error. */
int cts_session_open_model(cts_session *s, const char *model_dir, const cts_common *c);
/* After a model is open: its recipe and text rule are what the overrides say; each difference is said on standard
 * error. Beside an open index whose recipe is another one, the warning names that. */
int cts_session_override(cts_session *s, const cts_overrides *o);
/* The index's kept warnings and the model's, each once, as an array of texts. */
json_t *cts_session_warnings(const cts_session *s);
/* Open the index at `path`. With a model_dir, or when need_model is set, also the model: model_dir, or without one the
 * folder the index remembers. A model that is not the index's is CTS_E_MISMATCH; a remembered folder that is gone is
 * CTS_E_NOTFOUND with a hint at --model. Warnings the index keeps are said on standard error; an index whose volumes
 * were prepared by another recipe than its model's hands that recipe, and its text rule, to the engine. */
int cts_session_open_index(cts_session *s, const char *path, bool writable, const char *model_dir, bool need_model,
                           const cts_common *c);
void cts_session_close(cts_session *s);
int cts_session_threads(const cts_session *s);

/* CTS_E_MISMATCH with a sentence that names every part of model, tokenizer and recipe in which the two differ. */
int cts_index_matches(const cts_index *ix, const cts_engine *e);
/* An empty index at `path` for the vectors of e: dimension, digests, recipe, text rule, the absolute path of the model
 * folder and the engine's warning go with it (docs/FORMATS.md: the caller's text). */
int cts_index_create_for(cts_index **out, const char *path, const cts_engine *e);
/* Id of the item of this volume name, with or without .nii or .nii.gz. CTS_E_NOTFOUND. */
int cts_index_find_volume(cts_index *ix, const char *name, uint64_t *id);

#endif
