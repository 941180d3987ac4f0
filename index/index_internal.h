/* The handle of index/index.h and its two caches, for index/index*.c.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_INDEX_INDEX_INTERNAL_H
#define CTS_INDEX_INDEX_INTERNAL_H

#include <pthread.h>

#include "index/faiss_index.h"
#include "index/index.h"

/* One space in memory as of a generation; never changes, freed with the last user. */
typedef struct {
    int users; /* under cts_index.lock */
    cts_store_rows rows;
} index_picture;

/* A loaded approximate index, the same. */
typedef struct {
    int users;
    cts_ann *ann;
} index_ann;

struct cts_index {
    cts_store *store;
    pthread_mutex_t lock; /* guards what follows; held while a picture is loaded, so that it is loaded once */
    index_picture *picture[CTS_SPACES];
    index_ann *ann[CTS_SPACES];
    char bad_sha[CTS_SPACES]
                [65]; /* checksum of a build that could not be used, so that it is not read again and again */
    char bad_why[CTS_SPACES][200];
};

/* The newest picture; vectors only when asked for. Release when done. */
int cts_index_picture_get(cts_index *ix, cts_space space, bool with_vectors, index_picture **out);
void cts_index_picture_release(cts_index *ix, index_picture *p);
/* The stored approximate index, *out = NULL when there is none or it cannot be used; then note [note_size] says why. */
int cts_index_ann_get(cts_index *ix, cts_space space, index_ann **out, char *note, size_t note_size);
void cts_index_ann_release(cts_index *ix, index_ann *a);
/* how many of rows->ids are <= id */
size_t cts_index_rows_upto(const cts_store_rows *rows, uint64_t id);
/* index of id in rows->ids, -1 when absent */
int64_t cts_index_row_of(const cts_store_rows *rows, uint64_t id);
/* Search with a given approximate index in the place of the stored one (NULL = exactly): how recall is measured. */
int cts_index_search_with(cts_index *ix, const cts_index_query *query, const cts_ann *ann, cts_index_hit *hits,
                          size_t *n_hits, bool *exact, size_t *searched);

#endif
