/* Opening, creating and closing a store, and what is fixed at its creation.
 * SPDX-License-Identifier: MIT */
#include "index/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index/store_internal.h"
#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/str.h"

#define FIRST_MAP_BYTES (16ull << 20)
#define MAX_READERS 1024
#define FIXED_TEXT_MAX (16u << 20) /* bytes of one fixed text: recipe, meta */

static const char *const fixed_keys[6] = {"model_digest", "tokenizer_digest", "recipe_digest",
                                          "model",        "recipe",           "meta"};

const char *cts_store_space_name(cts_space space)
{
    return space == CTS_SPACE_IMAGE ? "image" : "text";
}

/* The largest block of STORE_BLOCK_PAGES pages, or as many pages as one row needs. */
size_t cts_store_rows_per_block(size_t dim, size_t *block_bytes)
{
    size_t row = sizeof(uint64_t) + dim * sizeof(float), pages = STORE_BLOCK_PAGES;

    while (pages * STORE_PAGE < STORE_PAGE_HEAD + sizeof(store_block) + row)
        pages++;
    *block_bytes = pages * STORE_PAGE - STORE_PAGE_HEAD;
    return (*block_bytes - sizeof(store_block)) / row;
}

/* LMDB must not have one file open twice in a process: closing one would drop the locks of the other. */
static int refuse_second_open(const cts_store *st, const char *data_path)
{
    DIR *d = NULL;
    struct dirent *e;
    struct stat data, sb;
    int rc = CTS_OK;

    if (stat(data_path, &data) != 0 || !(d = opendir("/proc/self/fd")))
        return CTS_OK;
    while (rc == CTS_OK && (e = readdir(d)))
        if (e->d_name[0] != '.' && fstat(atoi(e->d_name), &sb) == 0 && sb.st_dev == data.st_dev &&
            sb.st_ino == data.st_ino)
            rc = cts_fail(CTS_E_BUSY, "%s: this process has the index open already", st->path);
    closedir(d);
    return rc;
}

/* One writer a folder. flock() belongs to the open file, so the kernel frees it when the writer dies, however it
 * dies. */
static int lock_writer(cts_store *st)
{
    char *path = cts_path_join(st->path, "writer.lock"), text[32] = "";
    int fd = -1, n, rc = CTS_OK;

    if (!path)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", st->path);
    if ((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644)) < 0) {
        rc = cts_fail(CTS_E_IO, "%s: cannot open the writer's lock: %s", path, strerror(errno));
        goto out;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            rc = cts_fail(CTS_E_IO, "%s: cannot lock: %s", path, strerror(errno));
            goto out;
        }
        if (pread(fd, text, sizeof(text) - 1, 0) <= 0 || atol(text) <= 0)
            snprintf(text, sizeof(text), "unknown");
        text[strcspn(text, "\n")] = 0;
        rc = cts_fail(CTS_E_BUSY, "%s: another writer (process %s) has this index; only one may write at a time",
                      st->path, text);
        goto out;
    }
    n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        rc = cts_fail(CTS_E_IO, "%s: cannot write the process number: %s", path, strerror(errno));
        goto out;
    }
    st->lock_fd = fd;
    fd = -1;
out:
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

/* A file cut off opens without a word in LMDB and ends in SIGBUS at the first lost page. */
static int refuse_truncated(const cts_store *st, const char *data_path)
{
    MDB_envinfo info;
    MDB_stat stat_env;
    uint64_t size = 0, want;
    int rc;

    if ((rc = mdb_env_info(st->env, &info)) != MDB_SUCCESS || (rc = mdb_env_stat(st->env, &stat_env)) != MDB_SUCCESS)
        return cts_store_fail(st, rc, "reading the environment");
    if (stat_env.ms_psize != STORE_PAGE)
        return cts_fail(CTS_E_UNSUPPORTED, "%s: pages of %u bytes, this machine's index has %u", data_path,
                        stat_env.ms_psize, STORE_PAGE);
    if (!cts_mul_size(&want, info.me_last_pgno, STORE_PAGE) || !cts_add_size(&want, want, STORE_PAGE))
        want = UINT64_MAX;
    if ((rc = cts_file_size(&size, data_path)) != CTS_OK)
        return rc;
    if (size < want)
        return cts_fail(CTS_E_FORMAT, "%s: the file is cut off: %llu bytes, its last page needs %llu", data_path,
                        (unsigned long long)size, (unsigned long long)want);
    return CTS_OK;
}

static int open_env(cts_store *st, const char *data_path, uint64_t map_bytes)
{
    int rc, dead;

    if ((rc = mdb_env_create(&st->env)) != MDB_SUCCESS)
        return cts_store_fail(st, rc, "starting LMDB");
    if ((rc = mdb_env_set_maxdbs(st->env, 8)) != MDB_SUCCESS ||
        (rc = mdb_env_set_maxreaders(st->env, MAX_READERS)) != MDB_SUCCESS)
        return cts_store_fail(st, rc, "setting up LMDB");
    if (map_bytes && (rc = mdb_env_set_mapsize(st->env, map_bytes)) != MDB_SUCCESS)
        return cts_store_fail(st, rc, "setting the size of the map");
    /* NOTLS: a read transaction belongs to its call, not to a thread. */
    rc = mdb_env_open(st->env, st->path, MDB_NOTLS | (st->writable ? 0u : MDB_RDONLY), 0644);
    if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH)
        return cts_fail(CTS_E_FORMAT, "%s: not an LMDB file of this version (%s)", data_path, mdb_strerror(rc));
    if (rc != MDB_SUCCESS)
        return cts_store_fail(st, rc, "opening data.mdb");
    mdb_reader_check(st->env, &dead);
    return refuse_truncated(st, data_path);
}

static int open_tables(cts_store *st, MDB_txn *txn, unsigned create)
{
    static const char *const names[7] = {"meta", "items", "names", "rows", "vec.image", "vec.text", "faiss"};
    MDB_dbi *dbi[7] = {&st->meta, &st->items, &st->names, &st->rows, &st->vec[0], &st->vec[1], &st->faiss};
    int rc;

    for (int i = 0; i < 7; i++) {
        unsigned flags = i == 0 || i == 2 ? 0u : MDB_INTEGERKEY;

        rc = mdb_dbi_open(txn, names[i], flags | create, dbi[i]);
        if (rc == MDB_NOTFOUND)
            return cts_fail(CTS_E_FORMAT,
                            "%s: no ctsearch index in data.mdb (table %s is missing; was its creation interrupted?)",
                            st->path, names[i]);
        if (rc != MDB_SUCCESS)
            return cts_store_fail(st, rc, names[i]);
    }
    return CTS_OK;
}

/* Read what is fixed into st->info and derive the layout. */
static int load_fixed(cts_store *st, MDB_txn *txn)
{
    const char **to[6] = {&st->info.model_digest, &st->info.tokenizer_digest, &st->info.recipe_digest,
                          &st->info.model,        &st->info.recipe,           &st->info.meta};
    store_state state;
    int rc;

    if ((rc = cts_store_state_get(st, txn, &state)) != CTS_OK)
        return rc;
    if (state.dim < 1 || state.dim > CTS_INDEX_DIM_MAX)
        return cts_fail(CTS_E_FORMAT, "%s: dimension %u, allowed 1 to %d", st->path, state.dim, CTS_INDEX_DIM_MAX);
    st->rows_per_block = cts_store_rows_per_block(state.dim, &st->block_bytes);
    if (state.rows_per_block != st->rows_per_block)
        return cts_fail(CTS_E_FORMAT, "%s: %u rows a block, expected %zu", st->path, state.rows_per_block,
                        st->rows_per_block);
    st->info.format = state.format;
    st->info.dim = state.dim;
    for (int i = 0; i < 6; i++) {
        MDB_val key = {strlen(fixed_keys[i]), (void *)(uintptr_t)fixed_keys[i]}, v;

        if ((rc = mdb_get(txn, st->meta, &key, &v)) != MDB_SUCCESS)
            return cts_store_fail(st, rc, fixed_keys[i]);
        if (!(st->strings[i] = malloc(v.mv_size + 1)))
            return cts_fail(CTS_E_NOMEM, "%s: out of memory", st->path);
        if (v.mv_size)
            memcpy(st->strings[i], v.mv_data, v.mv_size);
        st->strings[i][v.mv_size] = 0;
        *to[i] = st->strings[i];
    }
    return CTS_OK;
}

static int new_store(cts_store **out, const char *path, bool writable, uint64_t max_map_bytes)
{
    cts_store *st = calloc(1, sizeof(*st));

    if (!st || !(st->path = cts_strdup(path))) {
        free(st);
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", path);
    }
    st->lock_fd = -1;
    st->writable = writable;
    st->max_map = max_map_bytes ? max_map_bytes : CTS_INDEX_MAP_MAX;
    pthread_rwlock_init(&st->map_lock, NULL);
    pthread_mutex_init(&st->write_lock, NULL);
    *out = st;
    return CTS_OK;
}

void cts_store_close(cts_store *st)
{
    if (!st)
        return;
    if (st->env)
        mdb_env_close(st->env);
    if (st->lock_fd >= 0) {
        if (ftruncate(st->lock_fd, 0) != 0) {
            /* the number stays behind; the lock itself is what counts */
        }
        close(st->lock_fd);
    }
    for (int i = 0; i < 6; i++)
        free(st->strings[i]);
    pthread_rwlock_destroy(&st->map_lock);
    pthread_mutex_destroy(&st->write_lock);
    free(st->path);
    free(st);
}

int cts_store_open(cts_store **out, const char *path, bool writable, uint64_t max_map_bytes)
{
    cts_store *st = NULL;
    MDB_txn *txn = NULL;
    char *data_path = cts_path_join(path, "data.mdb");
    int rc;

    if (!data_path)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", path);
    if (!cts_file_exists(data_path)) {
        rc = cts_fail(CTS_E_NOTFOUND, "%s: no index here (data.mdb is missing)", path);
        goto out;
    }
    if ((rc = new_store(&st, path, writable, max_map_bytes)) != CTS_OK)
        goto out;
    if ((rc = refuse_second_open(st, data_path)) != CTS_OK)
        goto out;
    if (writable && (rc = lock_writer(st)) != CTS_OK)
        goto out;
    if ((rc = open_env(st, data_path, 0)) != CTS_OK)
        goto out;
    if ((rc = cts_store_read_begin(st, &txn)) != CTS_OK)
        goto out;
    if ((rc = open_tables(st, txn, 0)) != CTS_OK)
        goto out;
    if ((rc = load_fixed(st, txn)) != CTS_OK)
        goto out;
    /* Commit keeps the table handles; it ends the transaction in any case. */
    rc = cts_store_fail(st, mdb_txn_commit(txn), "opening the tables");
    txn = NULL;
    pthread_rwlock_unlock(&st->map_lock);
    if (rc != CTS_OK)
        goto out;
    *out = st;
    st = NULL;
out:
    if (st)
        cts_store_read_end(st, txn);
    cts_store_close(st);
    free(data_path);
    return rc;
}

static int check_options(const char *path, const cts_index_options *o)
{
    const char *texts[6] = {o->model_digest, o->tokenizer_digest, o->recipe_digest, o->model, o->recipe, o->meta};

    if (o->dim < 1 || o->dim > CTS_INDEX_DIM_MAX)
        return cts_fail(CTS_E_INPUT, "%s: dimension %zu, allowed 1 to %d", path, o->dim, CTS_INDEX_DIM_MAX);
    for (int i = 0; i < 6; i++)
        if (texts[i] && strlen(texts[i]) > FIXED_TEXT_MAX)
            return cts_fail(CTS_E_LIMIT, "%s: %s has %zu bytes, allowed %u", path, fixed_keys[i], strlen(texts[i]),
                            FIXED_TEXT_MAX);
    return CTS_OK;
}

static int create_tables(cts_store *st, const cts_index_options *o)
{
    const char *texts[6] = {o->model_digest, o->tokenizer_digest, o->recipe_digest, o->model, o->recipe, o->meta};
    MDB_txn *txn = NULL;
    MDB_dbi old;
    store_state state;
    size_t block_bytes;
    int rc;

    if ((rc = mdb_txn_begin(st->env, NULL, 0, &txn)) != MDB_SUCCESS)
        return cts_store_fail(st, rc, "starting to write");
    if (mdb_dbi_open(txn, "meta", 0, &old) == MDB_SUCCESS) {
        rc = cts_fail(CTS_E_INPUT, "%s: there is an index here already; add to it or choose another folder", st->path);
        goto out;
    }
    if ((rc = open_tables(st, txn, MDB_CREATE)) != CTS_OK)
        goto out;
    for (int i = 0; i < 6; i++)
        if ((rc = cts_store_put(st, txn, st->meta, fixed_keys[i], strlen(fixed_keys[i]), texts[i] ? texts[i] : "",
                                texts[i] ? strlen(texts[i]) : 0, 0, fixed_keys[i])) != CTS_OK)
            goto out;
    memset(&state, 0, sizeof(state));
    state.magic = STORE_MAGIC;
    state.format = STORE_FORMAT;
    state.dim = (uint32_t)o->dim;
    state.rows_per_block = (uint32_t)cts_store_rows_per_block(o->dim, &block_bytes);
    state.next_id = 1;
    state.sum = cts_store_sum(&state, offsetof(store_state, sum));
    if ((rc = cts_store_put(st, txn, st->meta, "state", 5, &state, sizeof(state), 0, "writing the counters")) != CTS_OK)
        goto out;
    if ((rc = load_fixed(st, txn)) != CTS_OK)
        goto out;
    rc = cts_store_fail(st, mdb_txn_commit(txn), "committing the new index");
    txn = NULL;
out:
    if (txn)
        mdb_txn_abort(txn);
    return rc;
}

int cts_store_create(cts_store **out, const char *path, const cts_index_options *options)
{
    cts_store *st = NULL;
    char *data_path = cts_path_join(path, "data.mdb");
    uint64_t map = options->map_bytes ? options->map_bytes : FIRST_MAP_BYTES;
    int rc;

    if (!data_path)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", path);
    if ((rc = check_options(path, options)) != CTS_OK)
        goto out;
    if ((rc = cts_mkdir_p(path)) != CTS_OK)
        goto out;
    if ((rc = new_store(&st, path, true, options->max_map_bytes)) != CTS_OK)
        goto out;
    if ((rc = refuse_second_open(st, data_path)) != CTS_OK)
        goto out;
    if ((rc = lock_writer(st)) != CTS_OK)
        goto out;
    if (map > st->max_map)
        map = st->max_map;
    if ((rc = open_env(st, data_path, map / STORE_PAGE * STORE_PAGE)) != CTS_OK)
        goto out;
    if ((rc = create_tables(st, options)) != CTS_OK)
        goto out;
    *out = st;
    st = NULL;
out:
    cts_store_close(st);
    free(data_path);
    return rc;
}

const cts_index_info *cts_store_info(const cts_store *st)
{
    return &st->info;
}

const char *cts_store_path(const cts_store *st)
{
    return st->path;
}

bool cts_store_writable(const cts_store *st)
{
    return st->writable;
}

int cts_store_stats(cts_store *st, cts_store_stat *out)
{
    MDB_txn *txn = NULL;
    MDB_envinfo info;
    store_state s;
    struct stat sb = {0};
    int rc, fd;

    if ((rc = cts_store_read_begin(st, &txn)) != CTS_OK)
        return rc;
    if ((rc = cts_store_state_get(st, txn, &s)) != CTS_OK)
        goto out;
    if ((rc = mdb_env_info(st->env, &info)) != MDB_SUCCESS || (rc = mdb_env_get_fd(st->env, &fd)) != MDB_SUCCESS) {
        rc = cts_store_fail(st, rc, "reading the environment");
        goto out;
    }
    if (fstat(fd, &sb) != 0) {
        rc = cts_fail(CTS_E_IO, "%s: data.mdb: %s", st->path, strerror(errno));
        goto out;
    }
    memset(out, 0, sizeof(*out));
    out->generation = s.generation;
    out->n_items = s.n_items;
    for (int i = 0; i < CTS_SPACES; i++) {
        out->n_vectors[i] = s.n_live[i];
        out->n_rows[i] = s.n_rows[i];
    }
    out->next_id = s.next_id;
    out->map_bytes = info.me_mapsize;
    out->file_bytes = (uint64_t)sb.st_blocks * 512; /* what the disk holds: the end of the file is sparse */
out:
    cts_store_read_end(st, txn);
    return rc;
}

int cts_store_generation(cts_store *st, uint64_t *out)
{
    MDB_txn *txn = NULL;
    store_state s;
    int rc;

    if ((rc = cts_store_read_begin(st, &txn)) != CTS_OK)
        return rc;
    if ((rc = cts_store_state_get(st, txn, &s)) == CTS_OK)
        *out = s.generation;
    cts_store_read_end(st, txn);
    return rc;
}
