/* An approximate index: FAISS over the vectors of one picture of a space, and the ids of its rows. Kept in the store
 * as one blob.
 *
 * It never changes after it was built. An id stands for one vector for ever, so a build stays true while the store
 * moves on: ids that were removed since are dropped from its answers, ids beyond max_id are searched exactly beside
 * it (index/index_search.c).
 * SPDX-License-Identifier: MIT */
#ifndef CTS_INDEX_FAISS_INDEX_H
#define CTS_INDEX_FAISS_INDEX_H

#include "index/store.h"

typedef struct cts_ann cts_ann;

/* rows must have vectors and n >= 1. effort 0 = a default for the type. CTS_E_INPUT names what FAISS refused. */
int cts_ann_build(cts_ann **out, const cts_store_rows *rows, const char *factory, int effort, int n_threads);
void cts_ann_destroy(cts_ann *a); /* NULL allowed */
/* The recall to be stored with it. */
void cts_ann_set_recall(cts_ann *a, double recall, int k, int queries);
const cts_ann_info *cts_ann_description(const cts_ann *a);
/* Write into the store, in one transaction, in the place of the last one. */
int cts_ann_save(cts_ann *a, cts_store *st, cts_space space);
/* CTS_E_NOTFOUND none there, CTS_E_FORMAT damaged (checksums are verified before FAISS sees a byte). */
int cts_ann_load(cts_ann **out, cts_store *st, cts_space space);
/* queries [n, dim] -> ids [n, k] in FAISS's order, 0 where fewer were found. Any number of threads at once. */
int cts_ann_search(const cts_ann *a, const float *queries, size_t n, size_t k, uint64_t *ids, int n_threads);

#endif
