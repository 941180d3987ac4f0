/* What a command works with: threads and back end, a model, an index, and the proof that the two belong together.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_SESSION_H
#define CTS_QUERY_SESSION_H

#include "index/index.h"
#include "query/engine.h"

/* Zero it before; end with cts_session_close(), also after a failed open. */
typedef struct {
    cts_runtime runtime;
    cts_engine *engine; /* NULL when no model was asked for */
    cts_index *index;   /* NULL when no index was asked for */
} cts_session;

int cts_session_open_model(cts_session *s, const char *model_dir, const cts_common *c);
/* Open the index at `path`. With a model_dir, or when need_model is set, also the model: model_dir, or without one the
 * folder the index remembers. A model that is not the index's is CTS_E_MISMATCH; a remembered folder that is gone is
 * CTS_E_NOTFOUND with a hint at --model. */
int cts_session_open_index(cts_session *s, const char *path, bool writable, const char *model_dir, bool need_model,
                           const cts_common *c);
void cts_session_close(cts_session *s);
int cts_session_threads(const cts_session *s);

/* CTS_E_MISMATCH with a sentence that names every part of model, tokenizer and recipe in which the two differ. */
int cts_index_matches(const cts_index *ix, const cts_engine *e);
/* An empty index at `path` for the vectors of e: dimension, digests, recipe and the absolute path of the model folder
 * go with it. */
int cts_index_create_for(cts_index **out, const char *path, const cts_engine *e);
/* Id of the item of this volume name, with or without .nii or .nii.gz. CTS_E_NOTFOUND. */
int cts_index_find_volume(cts_index *ix, const char *name, uint64_t *id);

#endif
