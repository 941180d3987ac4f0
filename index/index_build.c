/* Building an approximate index and measuring what it finds. SPDX-License-Identifier: MIT */
#include "index/index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/faiss_shim.h"
#include "index/index_internal.h"
#include "kernels/base/log.h"
#include "kernels/base/status.h"

#define RECALL_K 10
#define RECALL_QUERIES 200

int cts_index_check_factory(size_t dim, const char *factory)
{
    cts_faiss *f = NULL;
    int rc = cts_faiss_create(&f, dim, factory);

    cts_faiss_destroy(f);
    return rc;
}

/* Up to `want` vectors at equal distances in rows; ids [n] of those that lie in the searched space themselves, else
 * 0. */
static int sample_queries(const cts_store_rows *rows, bool own, size_t want, float **queries, uint64_t **ids, size_t *n)
{
    *n = want < rows->n ? want : rows->n;
    *queries = malloc(*n * rows->dim * sizeof(float));
    *ids = calloc(*n, sizeof(**ids));
    if (!*queries || !*ids)
        return cts_fail(CTS_E_NOMEM, "measuring recall: out of memory for %zu queries", *n);
    for (size_t i = 0; i < *n; i++) {
        size_t row = (size_t)((unsigned __int128)i * rows->n / *n);

        memcpy(*queries + i * rows->dim, rows->vectors + row * rows->dim, rows->dim * sizeof(float));
        (*ids)[i] = own ? rows->ids[row] : 0;
    }
    return CTS_OK;
}

/* Of the first RECALL_K hits without `self`, how many score at least `least`? Scores decide, so equal vectors do not
 * count as misses. With least = NULL: *kth = the score of the last of them, and their number is returned. */
static size_t count_hits(const cts_index_hit *hits, size_t n, uint64_t self, const float *least, float *kth)
{
    size_t seen = 0, good = 0;

    for (size_t i = 0; i < n && seen < RECALL_K; i++) {
        if (hits[i].id == self)
            continue;
        seen++;
        if (kth)
            *kth = hits[i].score;
        good += !least || hits[i].score >= *least;
    }
    return good;
}

static int measure(cts_index *ix, cts_space space, const cts_ann *ann, const float *queries, const uint64_t *self,
                   size_t n, cts_pool *pool, double *recall)
{
    cts_index_query q = {.space = space, .queries = queries, .n_queries = n, .k = RECALL_K + 1, .pool = pool};
    size_t *n_true = calloc(n, sizeof(*n_true)), *n_got = calloc(n, sizeof(*n_got)), searched, good = 0, all = 0;
    cts_index_hit *truth = calloc(n, q.k * sizeof(*truth)), *got = calloc(n, q.k * sizeof(*got));
    bool exact;
    int rc;

    if (!n_true || !n_got || !truth || !got) {
        rc = cts_fail(CTS_E_NOMEM, "measuring recall: out of memory for %zu queries", n);
        goto out;
    }
    if ((rc = cts_index_search_with(ix, &q, NULL, truth, n_true, &exact, &searched)) != CTS_OK ||
        (rc = cts_index_search_with(ix, &q, ann, got, n_got, &exact, &searched)) != CTS_OK)
        goto out;
    for (size_t i = 0; i < n; i++) {
        float kth = 0;

        all += count_hits(truth + i * q.k, n_true[i], self[i], NULL, &kth);
        good += count_hits(got + i * q.k, n_got[i], self[i], &kth, NULL);
    }
    *recall = all ? (double)good / (double)all : 1.0;
out:
    free(n_true);
    free(n_got);
    free(truth);
    free(got);
    return rc;
}

/* Queries come from the other space where it has vectors: text against images is what is asked later, and an
 * approximate index finds a stored vector's own neighbours more easily than a text's. */
static int measure_recall(cts_index *ix, cts_space space, const index_picture *own, const cts_index_build_options *o,
                          cts_ann *ann)
{
    cts_space other_space = space == CTS_SPACE_IMAGE ? CTS_SPACE_TEXT : CTS_SPACE_IMAGE;
    index_picture *other = NULL;
    const cts_store_rows *from = &own->rows;
    float *queries = NULL;
    uint64_t *self = NULL;
    double recall = 0;
    size_t n = 0;
    int rc;

    if ((rc = cts_index_picture_get(ix, other_space, true, &other)) != CTS_OK)
        return rc;
    if (other->rows.n)
        from = &other->rows;
    if ((rc = sample_queries(from, from == &own->rows,
                             o->recall_queries > 0 ? (size_t)o->recall_queries : RECALL_QUERIES, &queries, &self,
                             &n)) != CTS_OK)
        goto out;
    if ((rc = measure(ix, space, ann, queries, self, n, o->pool, &recall)) != CTS_OK)
        goto out;
    cts_ann_set_recall(ann, recall, RECALL_K, (int)n);
out:
    free(queries);
    free(self);
    cts_index_picture_release(ix, other);
    return rc;
}

int cts_index_build(cts_index *ix, cts_space space, const cts_index_build_options *options,
                    cts_index_build_result *result)
{
    cts_index_build_result made;
    index_picture *picture = NULL;
    double started = cts_now();
    cts_ann *ann = NULL;
    int rc;

    memset(&made, 0, sizeof(made));
    if (!cts_store_writable(ix->store))
        return cts_fail(CTS_E_INPUT, "%s: the index was opened for reading only", cts_index_path(ix));
    if ((rc = cts_store_compact(ix->store)) != CTS_OK)
        return rc;
    if ((rc = cts_index_picture_get(ix, space, true, &picture)) != CTS_OK)
        return rc;
    if (strcmp(options->factory, "Flat") == 0) {
        made.exact = true;
        made.ann.n = picture->rows.n;
        snprintf(made.ann.factory, sizeof(made.ann.factory), "Flat");
        rc = cts_store_blob_drop(ix->store, space);
        goto out;
    }
    if ((rc = cts_ann_build(&ann, &picture->rows, options->factory, options->effort, cts_pool_size(options->pool))) !=
        CTS_OK) {
        cts_fail_in(rc, "%s", cts_index_path(ix));
        goto out;
    }
    if ((rc = measure_recall(ix, space, picture, options, ann)) != CTS_OK)
        goto out;
    if ((rc = cts_ann_save(ann, ix->store, space)) != CTS_OK)
        goto out;
    made.ann = *cts_ann_description(ann);
out:
    made.seconds = cts_now() - started;
    if (rc == CTS_OK && result)
        *result = made;
    cts_ann_destroy(ann);
    cts_index_picture_release(ix, picture);
    return rc;
}
