/* The pairs an evaluation ranks: from an index or through a model, all volumes or one of each scan.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_POOL_H
#define CTS_QUERY_POOL_H

#include "query/evaluate.h"
#include "query/session.h"

typedef enum {
    CTS_POOL_ALL,       /* every volume; the reconstructions of a scan share one report */
    CTS_POOL_SCAN_FIRST /* of each scan the volume with the lowest reconstruction number that is there */
} cts_eval_pool;
const char *cts_eval_pool_name(cts_eval_pool p); /* "all", "scan-first" */
/* CTS_E_INPUT names the pools. */
int cts_eval_pool_find(cts_eval_pool *out, const char *name);

/* Items of the index that have an image vector and, when texts is set, a text vector, in id order. Items with labels
 * for all 18 findings count as labelled. *skipped counts the others of the pool. */
int cts_embeddings_from_index(cts_embeddings *x, cts_index *ix, cts_eval_pool pool, bool texts, size_t *skipped);
/* The same through the engine of s, in the order of the data set. */
int cts_embeddings_from_dataset(cts_embeddings *x, cts_session *s, const cts_dataset *d, cts_eval_pool pool, bool texts,
                                size_t *skipped);

#endif
