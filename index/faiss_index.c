/* Build, keep and ask a FAISS index. The blob is {u64 magic, u64 n, u64 ids [n], FAISS's own bytes}.
 * SPDX-License-Identifier: MIT */
#include "index/faiss_index.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/faiss_shim.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"

#define MAGIC 0x31474c4258495443u /* "CTIXBLG1" read little endian */
#define GRAPH_EFFORT 128
#define LINKS_MAX 1024
#define ADD_ROWS 65536 /* rows handed to FAISS at a time */

struct cts_ann {
    cts_faiss *faiss;
    uint64_t *ids; /* [info.n] ascending */
    size_t dim;
    cts_ann_info info;
};

void cts_ann_destroy(cts_ann *a)
{
    if (!a)
        return;
    cts_faiss_destroy(a->faiss);
    free(a->ids);
    free(a);
}

void cts_ann_set_recall(cts_ann *a, double recall, int k, int queries)
{
    a->info.recall = recall;
    a->info.recall_k = k;
    a->info.recall_queries = queries;
}

const cts_ann_info *cts_ann_description(const cts_ann *a)
{
    return &a->info;
}

/* The number behind a word of a factory string ("IVF64,Flat", "HNSW32"), 0 when there is none. */
static uint64_t number_after(const char *factory, const char *word)
{
    const char *at = strstr(factory, word);

    return at ? strtoull(at + strlen(word), NULL, 10) : 0;
}

static int check_factory(const char *factory, const cts_store_rows *rows)
{
    if (strlen(factory) < 1 || strlen(factory) >= sizeof(((cts_ann_info *)0)->factory))
        return cts_fail(CTS_E_INPUT, "index type '%.40s' has %zu bytes, allowed 1 to %zu", factory, strlen(factory),
                        sizeof(((cts_ann_info *)0)->factory) - 1);
    if (rows->n < 1)
        return cts_fail(CTS_E_INPUT, "index type '%s': there are no vectors to build it from", factory);
    /* FAISS allocates lists and links before it notices that they make no sense. */
    if (number_after(factory, "IVF") > rows->n)
        return cts_fail(CTS_E_INPUT, "index type '%s': %llu lists from %zu vectors, allowed at most one list a vector",
                        factory, (unsigned long long)number_after(factory, "IVF"), rows->n);
    if (number_after(factory, "HNSW") > LINKS_MAX || number_after(factory, "NSG") > LINKS_MAX)
        return cts_fail(CTS_E_INPUT, "index type '%s': a graph may have at most %d links a vector", factory, LINKS_MAX);
    if (rows->n > INT32_MAX)
        return cts_fail(CTS_E_LIMIT, "index type '%s': %zu vectors, allowed %d", factory, rows->n, INT32_MAX);
    return CTS_OK;
}

int cts_ann_build(cts_ann **out, const cts_store_rows *rows, const char *factory, int effort, int n_threads)
{
    cts_ann *a = NULL;
    uint64_t lists;
    int rc;

    if ((rc = check_factory(factory, rows)) != CTS_OK)
        return rc;
    CTS_ASSERT(rows->vectors, "an index is built from %zu vectors that were not loaded", rows->n);
    if (!(a = calloc(1, sizeof(*a))) || !(a->ids = malloc(rows->n * sizeof(*a->ids)))) {
        rc = cts_fail(CTS_E_NOMEM, "index type '%s': out of memory", factory);
        goto out;
    }
    memcpy(a->ids, rows->ids, rows->n * sizeof(*a->ids));
    a->dim = rows->dim;
    snprintf(a->info.factory, sizeof(a->info.factory), "%s", factory);
    a->info.generation = rows->generation;
    a->info.max_id = rows->ids[rows->n - 1];
    a->info.n = rows->n;
    if ((rc = cts_faiss_create(&a->faiss, rows->dim, factory)) != CTS_OK ||
        (rc = cts_faiss_train(a->faiss, rows->n, rows->vectors, n_threads)) != CTS_OK) {
        cts_fail_in(rc, "index type '%s'", factory);
        goto out;
    }
    for (size_t at = 0; at < rows->n; at += ADD_ROWS) {
        size_t part = rows->n - at < ADD_ROWS ? rows->n - at : ADD_ROWS;

        if ((rc = cts_faiss_add(a->faiss, part, rows->vectors + at * rows->dim, n_threads)) != CTS_OK) {
            cts_fail_in(rc, "index type '%s'", factory);
            goto out;
        }
    }
    if (effort == 0) {
        /* One list in sqrt(lists), at least 8: a place to start that the measured recall judges. */
        lists = number_after(factory, "IVF");
        effort = lists ? (int)fmax(8.0, ceil(sqrt((double)lists))) : GRAPH_EFFORT;
    }
    if ((rc = cts_faiss_set_effort(a->faiss, effort, &a->info.effort)) != CTS_OK)
        goto out;
    *out = a;
    a = NULL;
out:
    cts_ann_destroy(a);
    return rc;
}

int cts_ann_save(cts_ann *a, cts_store *st, cts_space space)
{
    uint64_t head[2] = {MAGIC, a->info.n};
    size_t ids_bytes = a->info.n * sizeof(*a->ids), n = 0, total;
    void *faiss_bytes = NULL;
    char *blob = NULL;
    int rc;

    if ((rc = cts_faiss_write(a->faiss, &faiss_bytes, &n)) != CTS_OK)
        goto out;
    total = sizeof(head) + ids_bytes + n;
    if (!(blob = malloc(total))) {
        rc =
            cts_fail(CTS_E_NOMEM, "%s: out of memory for the approximate index (%zu bytes)", cts_store_path(st), total);
        goto out;
    }
    memcpy(blob, head, sizeof(head));
    memcpy(blob + sizeof(head), a->ids, ids_bytes);
    memcpy(blob + sizeof(head) + ids_bytes, faiss_bytes, n);
    free(faiss_bytes);
    faiss_bytes = NULL;
    rc = cts_store_blob_put(st, space, blob, total, &a->info);
out:
    free(faiss_bytes);
    free(blob);
    return rc;
}

int cts_ann_load(cts_ann **out, cts_store *st, cts_space space)
{
    cts_ann *a = calloc(1, sizeof(*a));
    uint64_t head[2];
    void *blob = NULL;
    size_t n = 0, at = sizeof(head);
    int rc;

    if (!a)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", cts_store_path(st));
    if ((rc = cts_store_blob_get(st, space, &blob, &n, &a->info)) != CTS_OK)
        goto out;
    rc = CTS_E_FORMAT;
    if (n >= sizeof(head))
        memcpy(head, blob, sizeof(head));
    if (n < sizeof(head) || head[0] != MAGIC || head[1] != a->info.n || head[1] < 1 ||
        head[1] > (n - at) / sizeof(*a->ids)) {
        cts_fail(rc, "%s: the approximate index of %zu bytes does not hold the %llu vectors it should",
                 cts_store_path(st), n, (unsigned long long)a->info.n);
        goto out;
    }
    if (!(a->ids = malloc(head[1] * sizeof(*a->ids)))) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory", cts_store_path(st));
        goto out;
    }
    memcpy(a->ids, (const char *)blob + at, head[1] * sizeof(*a->ids));
    at += head[1] * sizeof(*a->ids);
    if ((rc = cts_faiss_read(&a->faiss, (const char *)blob + at, n - at)) != CTS_OK)
        goto out;
    a->dim = cts_store_info(st)->dim;
    if (cts_faiss_count(a->faiss) != head[1] || cts_faiss_dim(a->faiss) != a->dim) {
        rc = cts_fail(CTS_E_FORMAT, "%s: the approximate index has %zu vectors of %zu numbers, expected %llu of %zu",
                      cts_store_path(st), cts_faiss_count(a->faiss), cts_faiss_dim(a->faiss),
                      (unsigned long long)head[1], a->dim);
        goto out;
    }
    if ((rc = cts_faiss_set_effort(a->faiss, a->info.effort, &a->info.effort)) != CTS_OK)
        goto out;
    *out = a;
    a = NULL;
out:
    free(blob);
    cts_ann_destroy(a);
    return rc;
}

int cts_ann_search(const cts_ann *a, const float *queries, size_t n, size_t k, uint64_t *ids, int n_threads)
{
    float *scores = NULL;
    int64_t *rows = NULL;
    int rc = CTS_OK;

    scores = malloc(n * k * sizeof(*scores));
    rows = malloc(n * k * sizeof(*rows));
    if (!scores || !rows) {
        rc = cts_fail(CTS_E_NOMEM, "approximate search: out of memory for %zu x %zu hits", n, k);
        goto out;
    }
    if ((rc = cts_faiss_search(a->faiss, n, queries, k, scores, rows, n_threads)) != CTS_OK)
        goto out;
    for (size_t i = 0; i < n * k; i++)
        ids[i] = rows[i] >= 0 && (uint64_t)rows[i] < a->info.n ? a->ids[rows[i]] : 0;
out:
    free(scores);
    free(rows);
    return rc;
}
