/* The index: items with image and text vectors, searched by inner product. What the rest of the program uses;
 * index/store.h says how it is kept and has the types of items, records and options.
 *
 * Exact search is the default. An approximate index of FAISS can be built for each space and is then used where the
 * query allows it; answers stay exact with respect to what is in the index: removed items never appear, items added
 * after the build always take part, scores are always the exact inner products, and a query with a label filter is
 * searched exactly.
 *
 * Threads: any number may call any function on one handle, searches run while another thread adds. A pool is the
 * caller's; one pool serves one search at a time. Processes: many readers, one writer. Numbers come out the same for
 * any number of threads. Statuses and limits are those of index/store.h.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_INDEX_INDEX_H
#define CTS_INDEX_INDEX_H

#include "index/store.h"
#include "kernels/base/thread.h"

typedef struct cts_index cts_index;

/* ---- life ------------------------------------------------------------------------------------------------ */

int cts_index_create(cts_index **out, const char *path, const cts_index_options *options);
/* max_map_bytes: where growth ends, 0 = CTS_INDEX_MAP_MAX. */
int cts_index_open(cts_index **out, const char *path, bool writable, uint64_t max_map_bytes);
void cts_index_close(cts_index *ix); /* NULL allowed */
/* What was fixed at creation. Borrowed. */
const cts_index_info *cts_index_describe(const cts_index *ix);
const char *cts_index_path(const cts_index *ix);
/* CTS_E_MISMATCH with a sentence that names the part and both digests when one that is given (not NULL) differs. */
int cts_index_check(const cts_index *ix, const char *model_digest, const char *tokenizer_digest,
                    const char *recipe_digest);

/* ---- items ----------------------------------------------------------------------------------------------- */

/* One transaction a call: everything or nothing, durable on return. See cts_store_add(). */
int cts_index_add(cts_index *ix, const cts_index_item *items, size_t n, bool update, uint64_t *ids);
int cts_index_remove(cts_index *ix, const uint64_t *ids, size_t n);
int cts_index_remove_name(cts_index *ix, const char *name);
int cts_index_find(cts_index *ix, const char *name, uint64_t *id);
int cts_index_get(cts_index *ix, uint64_t id, cts_index_record *out);
/* Iterate: start with *id = 0; *id becomes 0 after the last. Sees changes made meanwhile. */
int cts_index_next(cts_index *ix, uint64_t *id);
/* out [dim]; CTS_E_NOTFOUND when the item has no vector in that space. */
int cts_index_vector(cts_index *ix, uint64_t id, cts_space space, float *out);
/* All vectors of a space in id order; end with cts_store_rows_free(). */
int cts_index_matrix(cts_index *ix, cts_space space, cts_store_rows *out);

/* ---- search ---------------------------------------------------------------------------------------------- */

typedef enum { CTS_GROUP_NONE, CTS_GROUP_PATIENT, CTS_GROUP_SCAN } cts_index_group;

typedef struct {
    cts_space space;      /* which vectors are searched */
    const float *queries; /* [n_queries, dim], unit norm */
    size_t n_queries, k;  /* k >= 1 */
    /* Only items whose labels in label_mask are all known and equal label_value. Mask 0 = every item. */
    uint32_t label_mask, label_value;
    const uint64_t *exclude; /* [n_exclude] ids that may not appear */
    size_t n_exclude;
    cts_index_group group; /* only the best item of each patient or scan; items without one stand alone */
    bool exact;            /* leave the approximate index aside */
    cts_pool *pool;        /* NULL = this thread only */
} cts_index_query;

typedef struct {
    uint64_t id;
    float score; /* inner product of stored vector and query */
} cts_index_hit;

typedef struct {
    bool exact;      /* every query was searched exactly */
    size_t searched; /* vectors in the space */
    char note[256];  /* "" or why the approximate index was not used, or should be rebuilt: one sentence for the user */
} cts_index_search_info;

/* hits [n_queries, k], best first, equal scores by smaller id; n_hits [n_queries] <= k. info may be NULL. CTS_E_INPUT
 * for a query that is not a finite unit vector. */
int cts_index_search(cts_index *ix, const cts_index_query *query, cts_index_hit *hits, size_t *n_hits,
                     cts_index_search_info *info);

/* ---- building, checking, counting ------------------------------------------------------------------------ */

typedef struct {
    const char *factory; /* FAISS factory string; "Flat" = exact search only */
    int effort;          /* nprobe or efSearch of later searches, 0 = a default */
    int recall_queries;  /* queries that recall@10 is measured with, 0 = 200 */
    cts_pool *pool;      /* its size is the number of threads; NULL = 1 */
} cts_index_build_options;

typedef struct {
    cts_ann_info ann; /* factory, n, bytes, recall; zero but for n and factory when `exact` */
    bool exact;       /* "Flat": nothing was built */
    double seconds;   /* training, adding and writing */
} cts_index_build_result;

/* CTS_OK when FAISS understands the factory string for vectors of this dimension; CTS_E_INPUT with its reason. */
int cts_index_check_factory(size_t dim, const char *factory);
/* Compact the tables, then train, fill, measure and store the approximate index of one space; replaces the last one,
 * atomically. Recall is measured with vectors of the other space where both have some, else with the space's own. */
int cts_index_build(cts_index *ix, cts_space space, const cts_index_build_options *options,
                    cts_index_build_result *result);

/* See cts_store_verify(). */
int cts_index_verify(cts_index *ix, cts_store_report *out);

typedef struct {
    cts_store_stat store;
    bool has_ann[CTS_SPACES];
    cts_ann_info ann[CTS_SPACES];
    uint64_t added_since[CTS_SPACES];   /* vectors the build does not know */
    uint64_t removed_since[CTS_SPACES]; /* vectors it knows that are gone */
} cts_index_stat;
int cts_index_stats(cts_index *ix, cts_index_stat *out);

#endif
