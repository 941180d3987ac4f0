/* Transactions of the store: error codes, checksums, and the redo loop that grows the map.
 * SPDX-License-Identifier: MIT */
#include "index/store_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/base/check.h"

/* Room that is added beyond the last page before a commit, see reserve_file(). */
#define SLACK_BYTES (1u << 20)

int cts_store_fail(const cts_store *st, int mdb_rc, const char *what)
{
    int rc = CTS_E_IO;

    switch (mdb_rc) {
    case MDB_SUCCESS:
        return CTS_OK;
    case MDB_MAP_FULL:
        rc = CTS_E_FULL;
        break;
    case MDB_TXN_FULL:
        return cts_fail(CTS_E_LIMIT, "%s: %s: the batch has too many changes for one transaction; use smaller batches",
                        st->path, what);
    case MDB_READERS_FULL:
        rc = CTS_E_BUSY;
        break;
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INCOMPATIBLE:
    case MDB_BAD_VALSIZE:
    case MDB_NOTFOUND: /* callers that expect a missing key test for it themselves */
        rc = CTS_E_FORMAT;
        break;
    case ENOMEM:
        rc = CTS_E_NOMEM;
        break;
    default:
        break;
    }
    return cts_fail(rc, "%s: %s: %s", st->path, what, mdb_strerror(mdb_rc));
}

/* Four independent lanes of 8-byte words, so that checking costs little beside reading. Every step is a bijection of
 * the lane and the lanes are joined by bijections, hence one changed word always changes the sum. */
uint64_t cts_store_sum(const void *p, size_t n)
{
    const uint64_t k = 0x9e3779b97f4a7c15u;
    const uint8_t *b = p;
    uint64_t h[4] = {1, 2, 3, n}, w[4];

    while (n > 0) {
        size_t part = n < sizeof(w) ? n : sizeof(w);

        if (part < sizeof(w))
            memset(w, 0, sizeof(w));
        memcpy(w, b, part);
        for (int i = 0; i < 4; i++) {
            h[i] = (h[i] ^ w[i]) * k;
            h[i] = h[i] << 31 | h[i] >> 33;
        }
        b += part;
        n -= part;
    }
    for (int i = 1; i < 4; i++) {
        h[0] = (h[0] ^ (h[0] >> 32)) * k;
        h[0] ^= h[i];
    }
    h[0] = (h[0] ^ (h[0] >> 29)) * k;
    return h[0] ^ (h[0] >> 32);
}

/* Another process made the map larger: take over its size. */
static int adopt_map(cts_store *st)
{
    int rc;

    pthread_rwlock_wrlock(&st->map_lock);
    rc = mdb_env_set_mapsize(st->env, 0);
    pthread_rwlock_unlock(&st->map_lock);
    return cts_store_fail(st, rc, "taking over the size of the map");
}

int cts_store_read_begin(cts_store *st, MDB_txn **txn)
{
    int rc, dead;

    for (int attempt = 0; attempt < 16; attempt++) {
        pthread_rwlock_rdlock(&st->map_lock);
        rc = mdb_txn_begin(st->env, NULL, MDB_RDONLY, txn);
        if (rc == MDB_SUCCESS)
            return CTS_OK;
        pthread_rwlock_unlock(&st->map_lock);
        if (rc == MDB_MAP_RESIZED) {
            if ((rc = adopt_map(st)) != CTS_OK)
                return rc;
            rc = MDB_MAP_RESIZED;
        } else if (rc == MDB_READERS_FULL) {
            mdb_reader_check(st->env, &dead); /* slots of killed readers */
            if (dead == 0)
                break;
        } else {
            break;
        }
    }
    return cts_store_fail(st, rc, "starting to read");
}

void cts_store_read_end(cts_store *st, MDB_txn *txn)
{
    if (!txn)
        return;
    mdb_txn_abort(txn);
    pthread_rwlock_unlock(&st->map_lock);
}

int cts_store_state_get(cts_store *st, MDB_txn *txn, store_state *out)
{
    MDB_val key = {5, "state"}, v;
    store_state s;
    int rc = mdb_get(txn, st->meta, &key, &v);

    if (rc != MDB_SUCCESS)
        return cts_store_fail(st, rc, "reading the counters");
    if (v.mv_size != sizeof(s))
        return cts_fail(CTS_E_FORMAT, "%s: the counters have %zu bytes, expected %zu", st->path, v.mv_size, sizeof(s));
    memcpy(&s, v.mv_data, sizeof(s));
    if (s.magic != STORE_MAGIC)
        return cts_fail(CTS_E_FORMAT, "%s: not a ctsearch index (magic %08x, expected %08x)", st->path, s.magic,
                        STORE_MAGIC);
    if (s.format != STORE_FORMAT)
        return cts_fail(CTS_E_UNSUPPORTED, "%s: index format %u, this program reads format %u", st->path, s.format,
                        STORE_FORMAT);
    if (s.sum != cts_store_sum(&s, offsetof(store_state, sum)))
        return cts_fail(CTS_E_FORMAT, "%s: the counters fail their checksum", st->path);
    *out = s;
    return CTS_OK;
}

int cts_store_put(cts_store *st, MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_n, const void *p, size_t n,
                  unsigned mdb_flags, const char *what)
{
    MDB_val k = {key_n, (void *)(uintptr_t)key}, v = {n, (void *)(uintptr_t)p};

    st->change_bytes += n;
    return cts_store_fail(st, mdb_put(txn, dbi, &k, &v, mdb_flags), what);
}

/* LMDB may leave pages at the very end of the file unwritten when they were taken and given back in one transaction,
 * so that a sound file could be shorter than its last page says. The file is made longer (sparse) first; then
 * "shorter" always means cut off, and open can refuse it. A failure here shows up again in the commit. */
static void reserve_file(cts_store *st)
{
    MDB_envinfo info;
    struct stat sb;
    int fd;
    off_t want;

    if (mdb_env_info(st->env, &info) != MDB_SUCCESS || mdb_env_get_fd(st->env, &fd) != MDB_SUCCESS)
        return;
    want = (off_t)((info.me_last_pgno + 1) * STORE_PAGE + st->change_bytes + SLACK_BYTES);
    if ((uint64_t)want > info.me_mapsize)
        want = (off_t)info.me_mapsize;
    if (fstat(fd, &sb) == 0 && sb.st_size < want && ftruncate(fd, want) != 0)
        return;
}

static int grow_map(cts_store *st)
{
    MDB_envinfo info;
    uint64_t want;
    int rc;

    pthread_rwlock_wrlock(&st->map_lock);
    mdb_env_info(st->env, &info);
    want = (uint64_t)info.me_mapsize * 2;
    if (want > st->max_map)
        want = st->max_map / STORE_PAGE * STORE_PAGE;
    if (want <= info.me_mapsize) {
        pthread_rwlock_unlock(&st->map_lock);
        return cts_fail(CTS_E_FULL,
                        "%s: the index is full: its map has %zu bytes and may not grow beyond %llu; nothing of this "
                        "change was written",
                        st->path, (size_t)info.me_mapsize, (unsigned long long)st->max_map);
    }
    rc = mdb_env_set_mapsize(st->env, want);
    pthread_rwlock_unlock(&st->map_lock);
    return cts_store_fail(st, rc, "growing the map");
}

static int change_once(cts_store *st, store_change_fn fn, void *ctx)
{
    MDB_txn *txn = NULL;
    store_state state;
    int rc;

    pthread_rwlock_rdlock(&st->map_lock);
    rc = mdb_txn_begin(st->env, NULL, 0, &txn);
    if (rc == MDB_MAP_RESIZED) {
        pthread_rwlock_unlock(&st->map_lock);
        if ((rc = adopt_map(st)) != CTS_OK)
            return rc;
        pthread_rwlock_rdlock(&st->map_lock);
        rc = mdb_txn_begin(st->env, NULL, 0, &txn);
    }
    if ((rc = cts_store_fail(st, rc, "starting to write")) != CTS_OK)
        goto out;
    st->change_bytes = 0;
    if ((rc = cts_store_state_get(st, txn, &state)) != CTS_OK)
        goto out;
    if ((rc = fn(st, txn, &state, ctx)) != CTS_OK)
        goto out;
    state.generation++;
    state.sum = cts_store_sum(&state, offsetof(store_state, sum));
    if ((rc = cts_store_put(st, txn, st->meta, "state", 5, &state, sizeof(state), 0, "writing the counters")) != CTS_OK)
        goto out;
    reserve_file(st);
    rc = cts_store_fail(st, mdb_txn_commit(txn), "committing");
    txn = NULL; /* freed by commit, whatever it returned */
out:
    if (txn)
        mdb_txn_abort(txn);
    pthread_rwlock_unlock(&st->map_lock);
    return rc;
}

int cts_store_change(cts_store *st, store_change_fn fn, void *ctx)
{
    int rc;

    if (!st->writable)
        return cts_fail(CTS_E_INPUT, "%s: the index was opened for reading only", st->path);
    pthread_mutex_lock(&st->write_lock);
    while ((rc = change_once(st, fn, ctx)) == CTS_E_FULL)
        if ((rc = grow_map(st)) != CTS_OK)
            break;
    pthread_mutex_unlock(&st->write_lock);
    return rc;
}
