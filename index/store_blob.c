/* The serialised approximate index: chunks in the table faiss, its description in meta "ann.image" and "ann.text".
 *
 * A damaged blob makes FAISS read wild (of 1,500 flipped bytes a sixth ended in a signal), so nothing is handed out
 * whose SHA-256 was not verified.
 * SPDX-License-Identifier: MIT */
#include "index/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/digest.h"
#include "kernels/base/json.h"

static const char *info_key(cts_space space)
{
    return space == CTS_SPACE_IMAGE ? "ann.image" : "ann.text";
}

static uint64_t chunk_key(cts_space space, uint64_t i)
{
    return ((uint64_t)space << 40) | i;
}

static uint64_t chunk_count(uint64_t bytes)
{
    return (bytes + STORE_CHUNK - 1) / STORE_CHUNK;
}

static int info_encode(char **out, const cts_store *st, const cts_ann_info *a)
{
    json_t *j = json_pack("{s:s, s:I, s:I, s:I, s:I, s:i, s:f, s:i, s:i, s:s}", "factory", a->factory, "generation",
                          (json_int_t)a->generation, "max_id", (json_int_t)a->max_id, "n", (json_int_t)a->n, "bytes",
                          (json_int_t)a->bytes, "effort", a->effort, "recall", a->recall, "recall_k", a->recall_k,
                          "recall_queries", a->recall_queries, "sha256", a->sha256);

    *out = j ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    return *out ? CTS_OK : cts_fail(CTS_E_NOMEM, "%s: out of memory", st->path);
}

static int copy_text(char *out, size_t size, const json_t *j, const char *key, const char *where)
{
    const char *text = NULL;
    int rc;

    if ((rc = cts_json_string(&text, j, key, true, where)) != CTS_OK)
        return rc;
    if (strlen(text) >= size)
        return cts_fail(CTS_E_FORMAT, "%s: '%s' has %zu bytes, allowed %zu", where, key, strlen(text), size - 1);
    memcpy(out, text, strlen(text) + 1);
    return CTS_OK;
}

static int info_decode(cts_ann_info *out, const cts_store *st, const MDB_val *v)
{
    static const char *const keys[7] = {"generation", "max_id", "n", "bytes", "effort", "recall_k", "recall_queries"};
    int64_t values[7] = {0};
    cts_ann_info a;
    json_t *j = NULL;
    int rc;

    memset(&a, 0, sizeof(a));
    if ((rc = cts_json_parse(&j, v->mv_data, v->mv_size, st->path)) != CTS_OK)
        return rc;
    for (int i = 0; i < 7; i++)
        if ((rc = cts_json_int(&values[i], j, keys[i], true, 0, i < 4 ? INT64_MAX : INT32_MAX, st->path)) != CTS_OK)
            goto out;
    if ((rc = cts_json_double(&a.recall, j, "recall", true, st->path)) != CTS_OK ||
        (rc = copy_text(a.factory, sizeof(a.factory), j, "factory", st->path)) != CTS_OK ||
        (rc = copy_text(a.sha256, sizeof(a.sha256), j, "sha256", st->path)) != CTS_OK)
        goto out;
    a.generation = (uint64_t)values[0];
    a.max_id = (uint64_t)values[1];
    a.n = (uint64_t)values[2];
    a.bytes = (uint64_t)values[3];
    a.effort = (int)values[4];
    a.recall_k = (int)values[5];
    a.recall_queries = (int)values[6];
    *out = a;
out:
    json_decref(j);
    return rc;
}

static int read_info(cts_store *st, MDB_txn *txn, cts_space space, cts_ann_info *out)
{
    MDB_val key = {strlen(info_key(space)), (void *)(uintptr_t)info_key(space)}, v;
    int rc = mdb_get(txn, st->meta, &key, &v);

    if (rc == MDB_NOTFOUND)
        return cts_fail(CTS_E_NOTFOUND, "%s: no approximate index of the %s vectors", st->path,
                        cts_store_space_name(space));
    return rc ? cts_store_fail(st, rc, "reading the description of the approximate index") : info_decode(out, st, &v);
}

/* Remove the description and every chunk of the space, whatever the description says. */
static int drop(cts_store *st, MDB_txn *txn, cts_space space)
{
    MDB_val key = {strlen(info_key(space)), (void *)(uintptr_t)info_key(space)}, v;
    uint64_t from = chunk_key(space, 0), at;
    MDB_cursor *cursor = NULL;
    int rc = mdb_del(txn, st->meta, &key, NULL);

    if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND)
        return cts_store_fail(st, rc, "removing the old approximate index");
    if ((rc = mdb_cursor_open(txn, st->faiss, &cursor)) != MDB_SUCCESS)
        return cts_store_fail(st, rc, "removing the old approximate index");
    key.mv_size = sizeof(from);
    key.mv_data = &from;
    while ((rc = mdb_cursor_get(cursor, &key, &v, MDB_SET_RANGE)) == MDB_SUCCESS) {
        memcpy(&at, key.mv_data, sizeof(at));
        if (at >> 40 != (uint64_t)space)
            break;
        if ((rc = mdb_cursor_del(cursor, 0)) != MDB_SUCCESS)
            break;
        key.mv_size = sizeof(from);
        key.mv_data = &from;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? CTS_OK : cts_store_fail(st, rc, "removing the old approximate index");
}

typedef struct {
    cts_space space;
    const char *data;
    size_t n;
    const char *info;
} blob_job;

static int put_change(cts_store *st, MDB_txn *txn, store_state *state, void *ctx)
{
    const blob_job *job = ctx;
    int rc;

    (void)state;
    if ((rc = drop(st, txn, job->space)) != CTS_OK || !job->data)
        return rc;
    for (uint64_t i = 0; i < chunk_count(job->n); i++) {
        uint64_t key = chunk_key(job->space, i);
        size_t at = (size_t)i * STORE_CHUNK, part = job->n - at < STORE_CHUNK ? job->n - at : STORE_CHUNK;

        if ((rc = cts_store_put(st, txn, st->faiss, &key, sizeof(key), job->data + at, part, 0,
                                "writing the approximate index")) != CTS_OK)
            return rc;
    }
    return cts_store_put(st, txn, st->meta, info_key(job->space), strlen(info_key(job->space)), job->info,
                         strlen(job->info), 0, "describing the approximate index");
}

int cts_store_blob_put(cts_store *st, cts_space space, const void *data, size_t n, cts_ann_info *info)
{
    blob_job job = {.space = space, .data = data, .n = n};
    cts_ann_info a = *info;
    char *text = NULL;
    int rc;

    a.bytes = n;
    if ((rc = cts_digest_bytes(a.sha256, data, n)) != CTS_OK)
        return rc;
    if ((rc = info_encode(&text, st, &a)) != CTS_OK)
        return rc;
    job.info = text;
    if ((rc = cts_store_change(st, put_change, &job)) == CTS_OK)
        *info = a;
    free(text);
    return rc;
}

int cts_store_blob_drop(cts_store *st, cts_space space)
{
    blob_job job = {.space = space};
    cts_ann_info a;
    int rc = cts_store_blob_info(st, space, &a);

    return rc == CTS_E_NOTFOUND ? CTS_OK : cts_store_change(st, put_change, &job);
}

int cts_store_blob_info(cts_store *st, cts_space space, cts_ann_info *out)
{
    MDB_txn *txn = NULL;
    int rc;

    if ((rc = cts_store_read_begin(st, &txn)) != CTS_OK)
        return rc;
    rc = read_info(st, txn, space, out);
    cts_store_read_end(st, txn);
    return rc;
}

int cts_store_blob_read(cts_store *st, MDB_txn *txn, cts_space space, void **data, size_t *n, cts_ann_info *info)
{
    char sha[CTS_DIGEST_HEX], *bytes = NULL;
    cts_ann_info a;
    MDB_envinfo env;
    int rc;

    if ((rc = read_info(st, txn, space, &a)) != CTS_OK)
        return rc;
    mdb_env_info(st->env, &env);
    if (a.bytes < 1 || a.bytes > env.me_mapsize)
        return cts_fail(CTS_E_FORMAT, "%s: the approximate index says %llu bytes, the whole store has %zu", st->path,
                        (unsigned long long)a.bytes, (size_t)env.me_mapsize);
    if (!(bytes = malloc(a.bytes)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for the approximate index (%llu bytes)", st->path,
                        (unsigned long long)a.bytes);
    for (uint64_t i = 0; i < chunk_count(a.bytes); i++) {
        uint64_t k = chunk_key(space, i), at = i * STORE_CHUNK,
                 part = a.bytes - at < STORE_CHUNK ? a.bytes - at : STORE_CHUNK;
        MDB_val key = {sizeof(k), &k}, v;

        if (mdb_get(txn, st->faiss, &key, &v) != MDB_SUCCESS || v.mv_size != part) {
            rc = cts_fail(CTS_E_FORMAT,
                          "%s: chunk %llu of the approximate index of the %s vectors is missing or has the wrong size",
                          st->path, (unsigned long long)i, cts_store_space_name(space));
            goto out;
        }
        memcpy(bytes + at, v.mv_data, part);
    }
    if ((rc = cts_digest_bytes(sha, bytes, a.bytes)) != CTS_OK)
        goto out;
    if (strcmp(sha, a.sha256) != 0) {
        rc = cts_fail(CTS_E_FORMAT,
                      "%s: the approximate index of the %s vectors is damaged: SHA-256 %.12s..., expected %.12s...",
                      st->path, cts_store_space_name(space), sha, a.sha256);
        goto out;
    }
    *data = bytes;
    *n = a.bytes;
    if (info)
        *info = a;
    bytes = NULL;
out:
    free(bytes);
    return rc;
}

int cts_store_blob_get(cts_store *st, cts_space space, void **data, size_t *n, cts_ann_info *info)
{
    MDB_txn *txn = NULL;
    int rc;

    if ((rc = cts_store_read_begin(st, &txn)) != CTS_OK)
        return rc;
    rc = cts_store_blob_read(st, txn, space, data, n, info);
    cts_store_read_end(st, txn);
    return rc;
}
