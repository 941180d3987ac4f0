/* Changes of the store: add, remove, compact. Vectors go through a buffer of one block a table, so that a batch
 * writes every block once.
 * SPDX-License-Identifier: MIT */
#include "index/store_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/str.h"

/* The block of one table that is being changed. */
typedef struct {
    cts_store *st;
    MDB_txn *txn;
    cts_space space;
    uint64_t number;
    bool loaded, dirty;
    void *bytes; /* [block_bytes] */
} block_buffer;

static int block_open(block_buffer *b, cts_store *st, MDB_txn *txn, cts_space space)
{
    *b = (block_buffer){.st = st, .txn = txn, .space = space};
    if (!(b->bytes = malloc(st->block_bytes)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for a block", st->path);
    return CTS_OK;
}

static int block_flush(block_buffer *b)
{
    store_block *head = b->bytes;

    if (!b->loaded || !b->dirty)
        return CTS_OK;
    head->sum = cts_store_sum((const char *)b->bytes + sizeof(head->sum), b->st->block_bytes - sizeof(head->sum));
    b->dirty = false;
    return cts_store_put(b->st, b->txn, b->st->vec[b->space], &b->number, sizeof(b->number), b->bytes,
                         b->st->block_bytes, 0, "writing vectors");
}

/* Make `number` the block in the buffer, empty when `fresh`. */
static int block_load(block_buffer *b, uint64_t number, bool fresh)
{
    store_block *head = b->bytes;
    MDB_val key = {sizeof(number), &number}, v;
    int rc;

    if (b->loaded && b->number == number)
        return CTS_OK;
    if ((rc = block_flush(b)) != CTS_OK)
        return rc;
    b->loaded = false;
    if (fresh) {
        memset(b->bytes, 0, b->st->block_bytes);
        head->number = number;
        head->dim = (uint32_t)b->st->info.dim;
    } else {
        if ((rc = mdb_get(b->txn, b->st->vec[b->space], &key, &v)) != MDB_SUCCESS)
            return cts_store_fail(b->st, rc, "reading vectors");
        if ((rc = cts_store_block_check(b->st, b->space, number, &v)) != CTS_OK)
            return rc;
        memcpy(b->bytes, v.mv_data, v.mv_size);
    }
    b->number = number;
    b->loaded = true;
    b->dirty = fresh;
    return CTS_OK;
}

static int block_append(block_buffer *b, uint64_t row, uint64_t id, const float *vector)
{
    const cts_store *st = b->st;
    size_t at = row % st->rows_per_block, dim = st->info.dim;
    int rc;

    if ((rc = block_load(b, row / st->rows_per_block, at == 0)) != CTS_OK)
        return rc;
    cts_store_block_ids(b->bytes)[at] = id;
    memcpy(cts_store_block_vectors(st, b->bytes) + at * dim, vector, dim * sizeof(float));
    ((store_block *)b->bytes)->n_rows = (uint32_t)(at + 1);
    b->dirty = true;
    return CTS_OK;
}

static int block_erase(block_buffer *b, uint64_t row, uint64_t id)
{
    const cts_store *st = b->st;
    size_t at = row % st->rows_per_block, dim = st->info.dim;
    int rc;

    if ((rc = block_load(b, row / st->rows_per_block, false)) != CTS_OK)
        return rc;
    if (cts_store_block_ids(b->bytes)[at] != id)
        return cts_fail(CTS_E_FORMAT, "%s: %s row %llu belongs to id %llu, expected %llu", st->path,
                        cts_store_space_name(b->space), (unsigned long long)row,
                        (unsigned long long)cts_store_block_ids(b->bytes)[at], (unsigned long long)id);
    cts_store_block_ids(b->bytes)[at] = 0;
    memset(cts_store_block_vectors(st, b->bytes) + at * dim, 0, dim * sizeof(float));
    b->dirty = true;
    return CTS_OK;
}

/* A removal or an update inside a batch must see the blocks as the batch has changed them: both go through these
 * buffers. */
typedef struct {
    block_buffer block[CTS_SPACES];
} batch_blocks;

static int blocks_open(batch_blocks *b, cts_store *st, MDB_txn *txn)
{
    int rc = CTS_OK;

    memset(b, 0, sizeof(*b));
    for (int s = 0; s < CTS_SPACES && rc == CTS_OK; s++)
        rc = block_open(&b->block[s], st, txn, (cts_space)s);
    return rc;
}

static int blocks_flush(batch_blocks *b)
{
    int rc = CTS_OK;

    for (int s = 0; s < CTS_SPACES && rc == CTS_OK; s++)
        rc = block_flush(&b->block[s]);
    return rc;
}

static void blocks_close(batch_blocks *b)
{
    for (int s = 0; s < CTS_SPACES; s++)
        free(b->block[s].bytes);
}

static int delete_key(cts_store *st, MDB_txn *txn, MDB_dbi dbi, const void *p, size_t n, const char *what)
{
    MDB_val key = {n, (void *)(uintptr_t)p};

    return cts_store_fail(st, mdb_del(txn, dbi, &key, NULL), what);
}

static int remove_item(cts_store *st, MDB_txn *txn, store_state *state, batch_blocks *blocks, uint64_t id)
{
    MDB_val key = {sizeof(id), &id}, v;
    char name_copy[CTS_INDEX_NAME_MAX];
    const char *name;
    store_row row;
    size_t name_n;
    int rc = mdb_get(txn, st->rows, &key, &v);

    if (rc == MDB_NOTFOUND)
        return cts_fail(CTS_E_NOTFOUND, "%s: no item with id %llu", st->path, (unsigned long long)id);
    if (rc != MDB_SUCCESS || v.mv_size != sizeof(row))
        return rc ? cts_store_fail(st, rc, "reading a row")
                  : cts_fail(CTS_E_FORMAT, "%s: the row of id %llu has %zu bytes", st->path, (unsigned long long)id,
                             v.mv_size);
    memcpy(&row, v.mv_data, sizeof(row));
    if ((rc = mdb_get(txn, st->items, &key, &v)) != MDB_SUCCESS)
        return cts_store_fail(st, rc, "reading a record");
    if ((rc = cts_store_record_name(st, id, &v, &name, &name_n)) != CTS_OK)
        return rc;
    memcpy(name_copy, name, name_n); /* v dies with the first change of the tree */
    for (int s = 0; s < CTS_SPACES; s++) {
        if (row.row[s] == STORE_NO_ROW)
            continue;
        if ((rc = block_erase(&blocks->block[s], row.row[s], id)) != CTS_OK)
            return rc;
        state->n_live[s]--;
    }
    if ((rc = delete_key(st, txn, st->names, name_copy, name_n, "removing a name")) != CTS_OK ||
        (rc = delete_key(st, txn, st->items, &id, sizeof(id), "removing a record")) != CTS_OK ||
        (rc = delete_key(st, txn, st->rows, &id, sizeof(id), "removing a row")) != CTS_OK)
        return rc;
    state->n_items--;
    return CTS_OK;
}

static uint64_t group_hash(const char *text)
{
    uint64_t h = text && *text ? cts_fnv1a64(text, strlen(text)) : 0;

    return h == 0 && text && *text ? 1 : h;
}

typedef struct {
    const cts_index_item *items;
    char **records; /* [n] encoded, made once */
    size_t *record_n;
    size_t n;
    bool update;
    uint64_t *ids; /* [n] or NULL */
} add_job;

static int add_item(cts_store *st, MDB_txn *txn, store_state *state, batch_blocks *blocks, const add_job *job, size_t i)
{
    const cts_index_item *item = &job->items[i];
    const float *vectors[CTS_SPACES] = {item->image, item->text};
    store_row row = {.labels = item->labels, .known = item->labels_known, .flags = item->flags};
    MDB_val key = {strlen(item->name), (void *)(uintptr_t)item->name}, v;
    uint64_t id = state->next_id, old;
    int rc = mdb_get(txn, st->names, &key, &v);

    if (rc == MDB_SUCCESS) {
        memcpy(&old, v.mv_data, sizeof(old));
        if (!job->update)
            return cts_fail(CTS_E_INPUT,
                            "%s: item '%s' is in the index already (id %llu) and an update was not asked for", st->path,
                            item->name, (unsigned long long)old);
        if ((rc = remove_item(st, txn, state, blocks, old)) != CTS_OK)
            return rc;
    } else if (rc != MDB_NOTFOUND) {
        return cts_store_fail(st, rc, "looking a name up");
    }
    row.patient = group_hash(item->patient);
    row.scan = group_hash(item->scan);
    for (int s = 0; s < CTS_SPACES; s++) {
        row.row[s] = STORE_NO_ROW;
        if (!vectors[s])
            continue;
        if ((rc = block_append(&blocks->block[s], state->n_rows[s], id, vectors[s])) != CTS_OK)
            return rc;
        row.row[s] = state->n_rows[s]++;
        row.has |= 1u << s;
        state->n_live[s]++;
    }
    /* ids only grow: appending keeps the pages full */
    if ((rc = cts_store_put(st, txn, st->items, &id, sizeof(id), job->records[i], job->record_n[i], MDB_APPEND,
                            "writing a record")) != CTS_OK ||
        (rc = cts_store_put(st, txn, st->rows, &id, sizeof(id), &row, sizeof(row), MDB_APPEND, "writing a row")) !=
            CTS_OK ||
        (rc = cts_store_put(st, txn, st->names, item->name, strlen(item->name), &id, sizeof(id), 0,
                            "writing a name")) != CTS_OK)
        return rc;
    state->next_id++;
    state->n_items++;
    if (job->ids)
        job->ids[i] = id;
    return CTS_OK;
}

static int add_change(cts_store *st, MDB_txn *txn, store_state *state, void *ctx)
{
    const add_job *job = ctx;
    batch_blocks blocks;
    int rc;

    if ((rc = blocks_open(&blocks, st, txn)) != CTS_OK)
        goto out;
    for (size_t i = 0; i < job->n; i++)
        if ((rc = add_item(st, txn, state, &blocks, job, i)) != CTS_OK)
            goto out;
    rc = blocks_flush(&blocks);
out:
    blocks_close(&blocks);
    return rc;
}

static int check_vector(const cts_store *st, const char *name, const char *what, const float *v)
{
    double sum = 0.0, length;

    for (size_t i = 0; i < st->info.dim; i++)
        sum += (double)v[i] * v[i];
    length = sqrt(sum);
    if (!(length <= 3.4e38))
        return cts_fail(CTS_E_INPUT, "%s: item '%s': its %s vector holds a NaN or an infinity", st->path, name, what);
    if (!(fabs(length - 1.0) <= CTS_INDEX_NORM_TOLERANCE))
        return cts_fail(CTS_E_INPUT, "%s: item '%s': its %s vector has length %.6g, allowed 1 within %g", st->path,
                        name, what, length, CTS_INDEX_NORM_TOLERANCE);
    return CTS_OK;
}

static int check_item(const cts_store *st, const cts_index_item *item, size_t i)
{
    int rc = CTS_OK;

    if (!item->name || !*item->name)
        return cts_fail(CTS_E_INPUT, "%s: item %zu of the batch has no name", st->path, i);
    if (strlen(item->name) > CTS_INDEX_NAME_MAX)
        return cts_fail(CTS_E_LIMIT, "%s: the name '%.40s...' has %zu bytes, allowed %d", st->path, item->name,
                        strlen(item->name), CTS_INDEX_NAME_MAX);
    if (!item->image && !item->text)
        return cts_fail(CTS_E_INPUT, "%s: item '%s' has neither an image nor a text vector", st->path, item->name);
    if (item->image)
        rc = check_vector(st, item->name, "image", item->image);
    if (rc == CTS_OK && item->text)
        rc = check_vector(st, item->name, "text", item->text);
    return rc;
}

int cts_store_add(cts_store *st, const cts_index_item *items, size_t n, bool update, uint64_t *ids)
{
    add_job job = {.items = items, .n = n, .update = update};
    int rc = CTS_OK;

    if (n == 0)
        return CTS_OK;
    job.records = calloc(n, sizeof(*job.records));
    job.record_n = calloc(n, sizeof(*job.record_n));
    job.ids = calloc(n, sizeof(*job.ids)); /* the caller's array stays untouched on failure */
    if (!job.records || !job.record_n || !job.ids) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for a batch of %zu items", st->path, n);
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        if ((rc = check_item(st, &items[i], i)) != CTS_OK)
            goto out;
        if ((rc = cts_store_record_encode(&job.records[i], &job.record_n[i], st, &items[i])) != CTS_OK)
            goto out;
    }
    if ((rc = cts_store_change(st, add_change, &job)) != CTS_OK)
        goto out;
    if (ids)
        memcpy(ids, job.ids, n * sizeof(*ids));
out:
    for (size_t i = 0; job.records && i < n; i++)
        free(job.records[i]);
    free(job.records);
    free(job.record_n);
    free(job.ids);
    return rc;
}

typedef struct {
    const uint64_t *ids;
    size_t n;
} remove_job;

static int remove_change(cts_store *st, MDB_txn *txn, store_state *state, void *ctx)
{
    const remove_job *job = ctx;
    batch_blocks blocks;
    int rc;

    if ((rc = blocks_open(&blocks, st, txn)) != CTS_OK)
        goto out;
    for (size_t i = 0; i < job->n; i++)
        if ((rc = remove_item(st, txn, state, &blocks, job->ids[i])) != CTS_OK)
            goto out;
    rc = blocks_flush(&blocks);
out:
    blocks_close(&blocks);
    return rc;
}

int cts_store_remove(cts_store *st, const uint64_t *ids, size_t n)
{
    remove_job job = {ids, n};

    return n == 0 ? CTS_OK : cts_store_change(st, remove_change, &job);
}

/* Point id's row of one space at `row`. */
static int move_row(cts_store *st, MDB_txn *txn, cts_space space, uint64_t id, uint64_t row)
{
    MDB_val key = {sizeof(id), &id}, v;
    store_row r;
    int rc = mdb_get(txn, st->rows, &key, &v);

    if (rc != MDB_SUCCESS || v.mv_size != sizeof(r))
        return cts_store_fail(st, rc ? rc : MDB_CORRUPTED, "reading a row");
    memcpy(&r, v.mv_data, sizeof(r));
    r.row[space] = row;
    return cts_store_put(st, txn, st->rows, &id, sizeof(id), &r, sizeof(r), 0, "writing a row");
}

/* Rows move down in order. Block `to` is only written when block `from` >= to has been copied out, so nothing is
 * lost. */
static int compact_space(cts_store *st, MDB_txn *txn, store_state *state, cts_space space)
{
    uint64_t n_blocks = (state->n_rows[space] + st->rows_per_block - 1) / st->rows_per_block, n = 0;
    block_buffer from = {0}, to = {0};
    int rc;

    if ((rc = block_open(&from, st, txn, space)) != CTS_OK || (rc = block_open(&to, st, txn, space)) != CTS_OK)
        goto out;
    for (uint64_t number = 0; number < n_blocks; number++) {
        if ((rc = block_load(&from, number, false)) != CTS_OK)
            goto out;
        for (size_t i = 0; i < ((store_block *)from.bytes)->n_rows; i++) {
            uint64_t id = cts_store_block_ids(from.bytes)[i];

            if (id == 0)
                continue;
            if (n != number * st->rows_per_block + i && (rc = move_row(st, txn, space, id, n)) != CTS_OK)
                goto out;
            if ((rc = block_append(&to, n++, id, cts_store_block_vectors(st, from.bytes) + i * st->info.dim)) != CTS_OK)
                goto out;
        }
    }
    if ((rc = block_flush(&to)) != CTS_OK)
        goto out;
    for (uint64_t number = (n + st->rows_per_block - 1) / st->rows_per_block; number < n_blocks; number++)
        if ((rc = delete_key(st, txn, st->vec[space], &number, sizeof(number), "removing a block")) != CTS_OK)
            goto out;
    state->n_rows[space] = n;
out:
    free(from.bytes);
    free(to.bytes);
    return rc;
}

static int compact_change(cts_store *st, MDB_txn *txn, store_state *state, void *ctx)
{
    int rc = CTS_OK;

    (void)ctx;
    for (int s = 0; s < CTS_SPACES && rc == CTS_OK; s++)
        if (state->n_rows[s] != state->n_live[s])
            rc = compact_space(st, txn, state, (cts_space)s);
    return rc;
}

int cts_store_compact(cts_store *st)
{
    cts_store_stat s;
    int rc;

    if ((rc = cts_store_stats(st, &s)) != CTS_OK)
        return rc;
    if (s.n_rows[0] == s.n_vectors[0] && s.n_rows[1] == s.n_vectors[1])
        return CTS_OK;
    return cts_store_change(st, compact_change, NULL);
}
