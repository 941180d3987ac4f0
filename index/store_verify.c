/* A full check of a store: every record, name, row, vector, checksum and counter, in one transaction.
 * SPDX-License-Identifier: MIT */
#include "index/store_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    cts_store *st;
    MDB_txn *txn;
    store_state state;
    cts_store_report report;
    uint64_t rows_seen[CTS_SPACES]; /* items that say they have a vector there */
} checker;

static void problem(checker *c, const char *fmt, ...) CTS_PRINTF(2, 3);
static void problem(checker *c, const char *fmt, ...)
{
    va_list ap;

    if (c->report.problems++ > 0)
        return;
    va_start(ap, fmt);
    vsnprintf(c->report.first, sizeof(c->report.first), fmt, ap);
    va_end(ap);
}

static bool get_row(checker *c, uint64_t id, store_row *out)
{
    MDB_val key = {sizeof(id), &id}, v;

    if (mdb_get(c->txn, c->st->rows, &key, &v) != MDB_SUCCESS || v.mv_size != sizeof(*out))
        return false;
    memcpy(out, v.mv_data, sizeof(*out));
    return true;
}

static void check_record(checker *c, uint64_t id, const MDB_val *v)
{
    cts_index_record r = {0};
    MDB_val key, named;
    uint64_t other = 0;
    store_row row;

    if (cts_store_record_decode(&r, c->st, id, v) != CTS_OK) {
        problem(c, "%s", cts_error());
        return;
    }
    key.mv_size = strlen(r.name);
    key.mv_data = r.name;
    if (mdb_get(c->txn, c->st->names, &key, &named) == MDB_SUCCESS && named.mv_size == sizeof(other))
        memcpy(&other, named.mv_data, sizeof(other));
    if (other != id)
        problem(c, "%s: item %" PRIu64 " '%s' is under id %" PRIu64 " in the table of names", c->st->path, id, r.name,
                other);
    if (!get_row(c, id, &row)) {
        problem(c, "%s: item %" PRIu64 " '%s' has no row", c->st->path, id, r.name);
    } else {
        unsigned has = 0;

        for (int s = 0; s < CTS_SPACES; s++)
            if (row.row[s] != STORE_NO_ROW) {
                has |= 1u << s;
                c->rows_seen[s]++;
            }
        if (has == 0 || has != row.has)
            problem(c, "%s: item %" PRIu64 " '%s' has vectors %u, its row says %u", c->st->path, id, r.name, has,
                    row.has);
        if (row.labels != r.labels || row.known != r.labels_known || row.flags != r.flags)
            problem(c, "%s: item %" PRIu64 " '%s': labels or flags of row and record differ", c->st->path, id, r.name);
    }
    cts_index_record_free(&r);
}

static int check_items(checker *c)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, v;
    MDB_stat names, rows;
    uint64_t id;
    int rc;

    if ((rc = mdb_cursor_open(c->txn, c->st->items, &cursor)) != MDB_SUCCESS)
        return cts_store_fail(c->st, rc, "reading items");
    while ((rc = mdb_cursor_get(cursor, &key, &v, MDB_NEXT)) == MDB_SUCCESS) {
        memcpy(&id, key.mv_data, sizeof(id));
        c->report.items++;
        if (id == 0 || id >= c->state.next_id)
            problem(c, "%s: item id %" PRIu64 " is outside 1 to %" PRIu64, c->st->path, id, c->state.next_id - 1);
        check_record(c, id, &v);
    }
    mdb_cursor_close(cursor);
    if (rc != MDB_NOTFOUND)
        return cts_store_fail(c->st, rc, "reading items");
    if ((rc = mdb_stat(c->txn, c->st->names, &names)) != MDB_SUCCESS ||
        (rc = mdb_stat(c->txn, c->st->rows, &rows)) != MDB_SUCCESS)
        return cts_store_fail(c->st, rc, "counting");
    if (c->report.items != c->state.n_items || names.ms_entries != c->report.items ||
        rows.ms_entries != c->report.items)
        problem(c, "%s: %" PRIu64 " records, %zu names, %zu rows, %" PRIu64 " by the counters", c->st->path,
                c->report.items, names.ms_entries, rows.ms_entries, c->state.n_items);
    return CTS_OK;
}

static void check_vector(checker *c, cts_space space, uint64_t row_number, uint64_t id, const float *v)
{
    double sum = 0.0;
    store_row row;

    for (size_t i = 0; i < c->st->info.dim; i++)
        sum += (double)v[i] * v[i];
    if (id == 0) {
        c->report.holes[space]++;
        if (!(sum <= 0.0))
            problem(c, "%s: vec.%s row %" PRIu64 " is a hole but not empty", c->st->path, cts_store_space_name(space),
                    row_number);
        return;
    }
    c->report.vectors[space]++;
    if (!(fabs(sqrt(sum) - 1.0) <= CTS_INDEX_NORM_TOLERANCE))
        problem(c, "%s: the %s vector of id %" PRIu64 " has length %g", c->st->path, cts_store_space_name(space), id,
                sqrt(sum));
    if (!get_row(c, id, &row) || row.row[space] != row_number)
        problem(c, "%s: vec.%s row %" PRIu64 " is of id %" PRIu64 ", which does not point back", c->st->path,
                cts_store_space_name(space), row_number, id);
}

static int check_space(checker *c, cts_space space)
{
    const size_t per_block = c->st->rows_per_block;
    MDB_cursor *cursor = NULL;
    uint64_t number, next = 0, last_id = 0, rows = 0;
    MDB_val key, v;
    int rc;

    if ((rc = mdb_cursor_open(c->txn, c->st->vec[space], &cursor)) != MDB_SUCCESS)
        return cts_store_fail(c->st, rc, "reading vectors");
    while ((rc = mdb_cursor_get(cursor, &key, &v, MDB_NEXT)) == MDB_SUCCESS) {
        size_t n;

        memcpy(&number, key.mv_data, sizeof(number));
        c->report.blocks++;
        if (number != next)
            problem(c, "%s: vec.%s has block %" PRIu64 " where %" PRIu64 " is due", c->st->path,
                    cts_store_space_name(space), number, next);
        next = number + 1;
        if (cts_store_block_check(c->st, space, number, &v) != CTS_OK) {
            problem(c, "%s", cts_error());
            continue;
        }
        n = ((const store_block *)v.mv_data)->n_rows;
        for (size_t i = 0; i < n; i++) {
            uint64_t id = cts_store_block_ids(v.mv_data)[i];

            if (id && id <= last_id)
                problem(c, "%s: vec.%s: id %" PRIu64 " after id %" PRIu64, c->st->path, cts_store_space_name(space), id,
                        last_id);
            last_id = id ? id : last_id;
            check_vector(c, space, number * per_block + i, id,
                         cts_store_block_vectors(c->st, v.mv_data) + i * c->st->info.dim);
        }
        rows = number * per_block + n;
    }
    mdb_cursor_close(cursor);
    if (rc != MDB_NOTFOUND)
        return cts_store_fail(c->st, rc, "reading vectors");
    if (rows != c->state.n_rows[space] || c->report.vectors[space] != c->state.n_live[space] ||
        c->rows_seen[space] != c->state.n_live[space])
        problem(c,
                "%s: vec.%s: %" PRIu64 " rows and %" PRIu64 " vectors of %" PRIu64 " items, the counters say %" PRIu64
                " and %" PRIu64,
                c->st->path, cts_store_space_name(space), rows, c->report.vectors[space], c->rows_seen[space],
                c->state.n_rows[space], c->state.n_live[space]);
    return CTS_OK;
}

static void check_blob(checker *c, cts_space space)
{
    cts_ann_info info;
    void *data = NULL;
    size_t n = 0;
    int rc = cts_store_blob_read(c->st, c->txn, space, &data, &n, &info);

    free(data);
    if (rc == CTS_E_NOTFOUND)
        return;
    if (rc != CTS_OK)
        problem(c, "%s", cts_error());
    else if (info.generation > c->state.generation || info.max_id >= c->state.next_id)
        problem(c,
                "%s: the approximate index of the %s vectors says transaction %" PRIu64 " and id %" PRIu64
                ", the store is at %" PRIu64 " and %" PRIu64,
                c->st->path, cts_store_space_name(space), info.generation, info.max_id, c->state.generation,
                c->state.next_id);
}

int cts_store_verify(cts_store *st, cts_store_report *out)
{
    checker c = {.st = st};
    int rc;

    if ((rc = cts_store_read_begin(st, &c.txn)) != CTS_OK)
        return rc;
    if ((rc = cts_store_state_get(st, c.txn, &c.state)) != CTS_OK)
        goto out;
    if ((rc = check_items(&c)) != CTS_OK)
        goto out;
    for (int s = 0; s < CTS_SPACES; s++) {
        if ((rc = check_space(&c, (cts_space)s)) != CTS_OK)
            goto out;
        check_blob(&c, (cts_space)s);
    }
    *out = c.report;
    if (c.report.problems)
        rc = cts_fail(CTS_E_FORMAT, "%s (%" PRIu64 " problems in all)", c.report.first, c.report.problems);
out:
    cts_store_read_end(st, c.txn);
    return rc;
}
