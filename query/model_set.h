/* Models opened to score together, and their scorer.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_MODEL_SET_H
#define CTS_QUERY_MODEL_SET_H

#include "query/scorer.h"
#include "query/session.h"

/* Zero it before; end with cts_model_set_close() before the session is closed, also after a failed open. */
typedef struct {
    cts_engine *engine[CTS_SCORER_MODELS_MAX]; /* the first is the session's */
    size_t n;
    cts_scorer *scorer;
} cts_model_set;

/* The session's model (open already) and those of the further folders; what a folder warns of is said on standard
 * error. Recipes other than the models' own are the caller's to set before, on the session. */
int cts_model_set_open(cts_model_set *m, const cts_session *s, const char *const *further, size_t n,
                       const cts_scorer_options *o);
void cts_model_set_close(cts_model_set *m);
/* Adds the warnings of the further models to a list of texts. */
void cts_model_set_warnings(const cts_model_set *m, json_t *list);

#endif
