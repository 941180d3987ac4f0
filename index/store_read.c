/* Reading the store: look-ups, records, vectors, and one whole space as matrices.
 * SPDX-License-Identifier: MIT */
#include "index/store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/arena.h"
#include "kernels/base/check.h"

uint64_t *cts_store_block_ids(void *block)
{
    return (uint64_t *)((char *)block + sizeof(store_block));
}

float *cts_store_block_vectors(const cts_store *st, void *block)
{
    return (float *)(cts_store_block_ids(block) + st->rows_per_block);
}

int cts_store_block_check(const cts_store *st, cts_space space, uint64_t number, const MDB_val *v)
{
    const char *table = cts_store_space_name(space);
    store_block head;

    if (v->mv_size != st->block_bytes)
        return cts_fail(CTS_E_FORMAT, "%s: vec.%s block %llu has %zu bytes, expected %zu", st->path, table,
                        (unsigned long long)number, v->mv_size, st->block_bytes);
    memcpy(&head, v->mv_data, sizeof(head));
    if (head.sum != cts_store_sum((const char *)v->mv_data + sizeof(head.sum), v->mv_size - sizeof(head.sum)))
        return cts_fail(CTS_E_FORMAT, "%s: vec.%s block %llu fails its checksum", st->path, table,
                        (unsigned long long)number);
    if (head.number != number || head.dim != st->info.dim || head.n_rows > st->rows_per_block)
        return cts_fail(CTS_E_FORMAT, "%s: vec.%s block %llu says number %llu, dimension %u, %u rows", st->path, table,
                        (unsigned long long)number, (unsigned long long)head.number, head.dim, head.n_rows);
    return CTS_OK;
}

int cts_store_find(cts_store *st, const char *name, uint64_t *id)
{
    MDB_val key = {strlen(name), (void *)(uintptr_t)name}, v;
    MDB_txn *txn = NULL;
    int rc;

    if (key.mv_size < 1 || key.mv_size > CTS_INDEX_NAME_MAX)
        return cts_fail(CTS_E_NOTFOUND, "%s: no item has the name '%.80s' (%zu bytes, allowed 1 to %d)", st->path, name,
                        key.mv_size, CTS_INDEX_NAME_MAX);
    if ((rc = cts_store_read_begin(st, &txn)) != CTS_OK)
        return rc;
    rc = mdb_get(txn, st->names, &key, &v);
    if (rc == MDB_SUCCESS && v.mv_size == sizeof(*id))
        memcpy(id, v.mv_data, sizeof(*id));
    else if (rc == MDB_NOTFOUND)
        rc = cts_fail(CTS_E_NOTFOUND, "%s: no item with the name '%s'", st->path, name);
    else
        rc = cts_store_fail(st, rc ? rc : MDB_CORRUPTED, "looking a name up");
    cts_store_read_end(st, txn);
    return rc;
}

static int get_row(cts_store *st, MDB_txn *txn, uint64_t id, store_row *out)
{
    MDB_val key = {sizeof(id), &id}, v;
    int rc = mdb_get(txn, st->rows, &key, &v);

    if (rc == MDB_NOTFOUND)
        return cts_fail(CTS_E_NOTFOUND, "%s: no item with id %llu", st->path, (unsigned long long)id);
    if (rc != MDB_SUCCESS || v.mv_size != sizeof(*out))
        return cts_store_fail(st, rc ? rc : MDB_CORRUPTED, "reading a row");
    memcpy(out, v.mv_data, sizeof(*out));
    return CTS_OK;
}

int cts_store_get(cts_store *st, uint64_t id, cts_index_record *out)
{
    MDB_val key = {sizeof(id), &id}, v;
    MDB_txn *txn = NULL;
    cts_index_record r = {0};
    store_row row;
    int rc;

    if ((rc = cts_store_read_begin(st, &txn)) != CTS_OK)
        return rc;
    if ((rc = get_row(st, txn, id, &row)) != CTS_OK)
        goto out;
    if ((rc = mdb_get(txn, st->items, &key, &v)) != MDB_SUCCESS) {
        rc = cts_store_fail(st, rc, "reading a record");
        goto out;
    }
    if ((rc = cts_store_record_decode(&r, st, id, &v)) != CTS_OK)
        goto out;
    for (int s = 0; s < CTS_SPACES; s++)
        r.has[s] = row.row[s] != STORE_NO_ROW;
    *out = r;
out:
    cts_store_read_end(st, txn);
    return rc;
}

int cts_store_next(cts_store *st, uint64_t *id)
{
    uint64_t from = *id + 1;
    MDB_val key = {sizeof(from), &from}, v;
    MDB_cursor *cursor = NULL;
    MDB_txn *txn = NULL;
    int rc;

    if ((rc = cts_store_read_begin(st, &txn)) != CTS_OK)
        return rc;
    if ((rc = mdb_cursor_open(txn, st->rows, &cursor)) == MDB_SUCCESS)
        rc = mdb_cursor_get(cursor, &key, &v, MDB_SET_RANGE);
    if (rc == MDB_SUCCESS && key.mv_size == sizeof(*id)) {
        memcpy(id, key.mv_data, sizeof(*id));
    } else if (rc == MDB_NOTFOUND) {
        *id = 0;
        rc = CTS_OK;
    } else {
        rc = cts_store_fail(st, rc ? rc : MDB_CORRUPTED, "listing items");
    }
    if (cursor)
        mdb_cursor_close(cursor);
    cts_store_read_end(st, txn);
    return rc;
}

static int copy_vector(cts_store *st, MDB_txn *txn, cts_space space, uint64_t id, uint64_t row, float *out)
{
    uint64_t number = row / st->rows_per_block;
    size_t at = row % st->rows_per_block;
    MDB_val key = {sizeof(number), &number}, v;
    int rc = mdb_get(txn, st->vec[space], &key, &v);

    if (rc != MDB_SUCCESS)
        return cts_store_fail(st, rc, "reading vectors");
    if ((rc = cts_store_block_check(st, space, number, &v)) != CTS_OK)
        return rc;
    if (cts_store_block_ids(v.mv_data)[at] != id)
        return cts_fail(CTS_E_FORMAT, "%s: vec.%s row %llu is not of id %llu", st->path, cts_store_space_name(space),
                        (unsigned long long)row, (unsigned long long)id);
    memcpy(out, cts_store_block_vectors(st, v.mv_data) + at * st->info.dim, st->info.dim * sizeof(float));
    return CTS_OK;
}

int cts_store_vectors(cts_store *st, cts_space space, const uint64_t *ids, size_t n, float *out, bool *found)
{
    MDB_txn *txn = NULL;
    store_row row;
    int rc;

    if ((rc = cts_store_read_begin(st, &txn)) != CTS_OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        rc = get_row(st, txn, ids[i], &row);
        found[i] = rc == CTS_OK && row.row[space] != STORE_NO_ROW;
        if (found[i])
            rc = copy_vector(st, txn, space, ids[i], row.row[space], out + i * st->info.dim);
        else
            memset(out + i * st->info.dim, 0, st->info.dim * sizeof(float));
        if (rc != CTS_OK && rc != CTS_E_NOTFOUND)
            goto out;
    }
    rc = CTS_OK;
out:
    cts_store_read_end(st, txn);
    return rc;
}

void cts_store_rows_free(cts_store_rows *r)
{
    if (!r)
        return;
    free(r->ids);
    free(r->labels);
    free(r->known);
    free(r->patient);
    free(r->scan);
    cts_aligned_free(r->vectors);
    memset(r, 0, sizeof(*r));
}

static int rows_alloc(cts_store_rows *r, const cts_store *st, size_t n, bool with_vectors)
{
    size_t bytes, room = n ? n : 1;

    r->n = n;
    r->dim = st->info.dim;
    r->ids = calloc(room, sizeof(*r->ids));
    r->labels = calloc(room, sizeof(*r->labels));
    r->known = calloc(room, sizeof(*r->known));
    r->patient = calloc(room, sizeof(*r->patient));
    r->scan = calloc(room, sizeof(*r->scan));
    if (with_vectors && cts_mul_size(&bytes, room, r->dim * sizeof(float)))
        r->vectors = cts_aligned_alloc(bytes);
    if (!r->ids || !r->labels || !r->known || !r->patient || !r->scan || (with_vectors && !r->vectors))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu vectors of %zu numbers", st->path, n, r->dim);
    return CTS_OK;
}

/* ids, labels and groups of the items that have a vector in the space. */
static int load_attributes(cts_store *st, MDB_txn *txn, cts_space space, cts_store_rows *r)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, v;
    store_row row;
    size_t n = 0;
    int rc;

    if ((rc = mdb_cursor_open(txn, st->rows, &cursor)) != MDB_SUCCESS)
        return cts_store_fail(st, rc, "reading rows");
    while ((rc = mdb_cursor_get(cursor, &key, &v, MDB_NEXT)) == MDB_SUCCESS) {
        if (v.mv_size != sizeof(row) || key.mv_size != sizeof(uint64_t)) {
            rc = MDB_CORRUPTED;
            break;
        }
        memcpy(&row, v.mv_data, sizeof(row));
        if (row.row[space] == STORE_NO_ROW)
            continue;
        if (n == r->n) {
            rc = MDB_CORRUPTED;
            break;
        }
        memcpy(&r->ids[n], key.mv_data, sizeof(uint64_t));
        r->labels[n] = row.labels;
        r->known[n] = row.known;
        r->patient[n] = row.patient;
        r->scan[n] = row.scan;
        n++;
    }
    mdb_cursor_close(cursor);
    if (rc != MDB_NOTFOUND)
        return cts_store_fail(st, rc, "reading rows");
    if (n != r->n)
        return cts_fail(CTS_E_FORMAT, "%s: %zu items have a %s vector, the counters say %zu", st->path, n,
                        cts_store_space_name(space), r->n);
    return CTS_OK;
}

/* Vectors in the order of r->ids, which must be the order of the table. */
static int load_vectors(cts_store *st, MDB_txn *txn, cts_space space, cts_store_rows *r)
{
    size_t n = 0, dim = st->info.dim;
    MDB_cursor *cursor = NULL;
    uint64_t number;
    MDB_val key, v;
    int rc;

    if ((rc = mdb_cursor_open(txn, st->vec[space], &cursor)) != MDB_SUCCESS)
        return cts_store_fail(st, rc, "reading vectors");
    while ((rc = mdb_cursor_get(cursor, &key, &v, MDB_NEXT)) == MDB_SUCCESS) {
        const uint64_t *ids;
        const float *vectors;

        memcpy(&number, key.mv_data, sizeof(number));
        if ((rc = cts_store_block_check(st, space, number, &v)) != CTS_OK)
            goto out;
        ids = cts_store_block_ids(v.mv_data);
        vectors = cts_store_block_vectors(st, v.mv_data);
        for (size_t i = 0; i < ((const store_block *)v.mv_data)->n_rows; i++) {
            if (ids[i] == 0)
                continue;
            if (n == r->n || ids[i] != r->ids[n]) {
                rc = cts_fail(CTS_E_FORMAT, "%s: vec.%s block %llu holds id %llu out of place", st->path,
                              cts_store_space_name(space), (unsigned long long)number, (unsigned long long)ids[i]);
                goto out;
            }
            memcpy(r->vectors + n++ * dim, vectors + i * dim, dim * sizeof(float));
        }
    }
    if (rc != MDB_NOTFOUND)
        rc = cts_store_fail(st, rc, "reading vectors");
    else
        rc = n == r->n ? CTS_OK
                       : cts_fail(CTS_E_FORMAT, "%s: vec.%s holds %zu vectors, expected %zu", st->path,
                                  cts_store_space_name(space), n, r->n);
out:
    mdb_cursor_close(cursor);
    return rc;
}

int cts_store_load(cts_store *st, cts_space space, bool with_vectors, cts_store_rows *out)
{
    cts_store_rows r = {0};
    MDB_txn *txn = NULL;
    store_state state;
    int rc;

    if ((rc = cts_store_read_begin(st, &txn)) != CTS_OK)
        return rc;
    if ((rc = cts_store_state_get(st, txn, &state)) != CTS_OK)
        goto out;
    if ((rc = rows_alloc(&r, st, state.n_live[space], with_vectors)) != CTS_OK)
        goto out;
    if ((rc = load_attributes(st, txn, space, &r)) != CTS_OK)
        goto out;
    if (with_vectors && (rc = load_vectors(st, txn, space, &r)) != CTS_OK)
        goto out;
    r.generation = state.generation;
    *out = r;
    memset(&r, 0, sizeof(r));
out:
    cts_store_read_end(st, txn);
    cts_store_rows_free(&r);
    return rc;
}
