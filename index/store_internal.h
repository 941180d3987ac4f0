/* Shared by index/store*.c only: the handle, the byte layout of values, transactions.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_INDEX_STORE_INTERNAL_H
#define CTS_INDEX_STORE_INTERNAL_H

#include <lmdb.h>
#include <pthread.h>

#include "index/store.h"
#include "kernels/base/status.h"

#define STORE_FORMAT 1u
#define STORE_MAGIC 0x58495443u /* "CTIX" read little endian; also tells a big-endian file */
#define STORE_PAGE 4096u
#define STORE_PAGE_HEAD 16u /* LMDB's own header on an overflow page */
#define STORE_BLOCK_PAGES 16u
#define STORE_NO_ROW UINT64_MAX
#define STORE_CHUNK ((256u * STORE_PAGE) - STORE_PAGE_HEAD) /* of a FAISS blob */
#define STORE_HAS_IMAGE 1u
#define STORE_HAS_TEXT 2u

/* meta "state": the counters, rewritten by every change. */
typedef struct {
    uint32_t magic, format, dim, rows_per_block;
    uint64_t generation, next_id, n_items;
    uint64_t n_live[CTS_SPACES], n_rows[CTS_SPACES];
    uint64_t sum; /* over the bytes before */
} store_state;

/* Value of `rows`. */
typedef struct {
    uint32_t labels, known, flags, has;
    uint64_t patient, scan;
    uint64_t row[CTS_SPACES]; /* row number in the vector table, STORE_NO_ROW = none */
} store_row;

/* Head of a vector block; then ids [rows_per_block] (0 = hole), then vectors [rows_per_block, dim]. */
typedef struct {
    uint64_t sum; /* over all bytes after it */
    uint64_t number;
    uint32_t n_rows, dim;
    uint64_t spare;
} store_block;

struct cts_store {
    MDB_env *env;
    MDB_dbi meta, items, names, rows, vec[CTS_SPACES], faiss;
    char *path;
    int lock_fd; /* held by the writer, else -1 */
    bool writable;
    uint64_t max_map;
    size_t block_bytes, rows_per_block;
    cts_index_info info;
    char *strings[6]; /* behind info, in its order */
    /* Shared while a transaction is open in this process, exclusive while the map changes its size. */
    pthread_rwlock_t map_lock;
    pthread_mutex_t write_lock;
    uint64_t change_bytes; /* put by the transaction that is running; under write_lock */
};

/* An LMDB return code as a status with a sentence. */
int cts_store_fail(const cts_store *st, int mdb_rc, const char *what);
/* 64-bit checksum of n bytes: a change in any one byte always changes it. */
uint64_t cts_store_sum(const void *p, size_t n);

int cts_store_read_begin(cts_store *st, MDB_txn **txn);
void cts_store_read_end(cts_store *st, MDB_txn *txn);
int cts_store_state_get(cts_store *st, MDB_txn *txn, store_state *out);

/* Run fn in a write transaction with the current counters, which fn changes; commit. A full map is doubled and fn run
 * again, so fn starts from scratch each time. Any other failure leaves nothing behind. */
typedef int (*store_change_fn)(cts_store *st, MDB_txn *txn, store_state *state, void *ctx);
int cts_store_change(cts_store *st, store_change_fn fn, void *ctx);

int cts_store_put(cts_store *st, MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_n, const void *p, size_t n,
                  unsigned mdb_flags, const char *what);

/* Layout of a block. */
size_t cts_store_rows_per_block(size_t dim, size_t *block_bytes);
uint64_t *cts_store_block_ids(void *block);
float *cts_store_block_vectors(const cts_store *st, void *block);
/* Check size, number and checksum of a block read from a table. */
int cts_store_block_check(const cts_store *st, cts_space space, uint64_t number, const MDB_val *v);
const char *cts_store_space_name(cts_space space);

/* The record of an item: checksum and JSON text. */
int cts_store_record_encode(char **out, size_t *n, const cts_store *st, const cts_index_item *item);
int cts_store_record_decode(cts_index_record *out, const cts_store *st, uint64_t id, const MDB_val *v);

/* The name inside a record (borrowed from v), after the checksum was verified. */
int cts_store_record_name(const cts_store *st, uint64_t id, const MDB_val *v, const char **name, size_t *name_n);

/* Blob by an open transaction, for verify. */
int cts_store_blob_read(cts_store *st, MDB_txn *txn, cts_space space, void **data, size_t *n, cts_ann_info *info);

#endif
