/* The handle: life, items, caches, counts. SPDX-License-Identifier: MIT */
#include "index/index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/index_internal.h"
#include "kernels/base/status.h"

static int wrap(cts_index **out, cts_store *st)
{
    cts_index *ix = calloc(1, sizeof(*ix));

    if (!ix) {
        cts_store_close(st);
        return cts_fail(CTS_E_NOMEM, "out of memory for an index");
    }
    ix->store = st;
    pthread_mutex_init(&ix->lock, NULL);
    *out = ix;
    return CTS_OK;
}

int cts_index_create(cts_index **out, const char *path, const cts_index_options *options)
{
    cts_store *st = NULL;
    int rc = cts_store_create(&st, path, options);

    return rc ? rc : wrap(out, st);
}

int cts_index_open(cts_index **out, const char *path, bool writable, uint64_t max_map_bytes)
{
    cts_store *st = NULL;
    int rc = cts_store_open(&st, path, writable, max_map_bytes);

    return rc ? rc : wrap(out, st);
}

void cts_index_close(cts_index *ix)
{
    if (!ix)
        return;
    for (int s = 0; s < CTS_SPACES; s++) {
        cts_index_picture_release(ix, ix->picture[s]);
        cts_index_ann_release(ix, ix->ann[s]);
    }
    pthread_mutex_destroy(&ix->lock);
    cts_store_close(ix->store);
    free(ix);
}

const cts_index_info *cts_index_describe(const cts_index *ix)
{
    return cts_store_info(ix->store);
}

const char *cts_index_path(const cts_index *ix)
{
    return cts_store_path(ix->store);
}

int cts_index_check(const cts_index *ix, const char *model_digest, const char *tokenizer_digest,
                    const char *recipe_digest)
{
    const cts_index_info *info = cts_store_info(ix->store);
    const char *have[3] = {info->model_digest, info->tokenizer_digest, info->recipe_digest};
    const char *want[3] = {model_digest, tokenizer_digest, recipe_digest};
    static const char *const names[3] = {"model", "tokenizer", "preprocessing recipe"};

    for (int i = 0; i < 3; i++)
        if (want[i] && strcmp(want[i], have[i]) != 0)
            return cts_fail(CTS_E_MISMATCH,
                            "%s: the index was made with another %s: it has digest %.12s, the one given is %.12s%s%s",
                            cts_index_path(ix), names[i], *have[i] ? have[i] : "(none)", *want[i] ? want[i] : "(none)",
                            *info->model ? "; the index names its model " : "", info->model);
    return CTS_OK;
}

int cts_index_add(cts_index *ix, const cts_index_item *items, size_t n, bool update, uint64_t *ids)
{
    return cts_store_add(ix->store, items, n, update, ids);
}

int cts_index_remove(cts_index *ix, const uint64_t *ids, size_t n)
{
    return cts_store_remove(ix->store, ids, n);
}

int cts_index_remove_name(cts_index *ix, const char *name)
{
    uint64_t id;
    int rc = cts_store_find(ix->store, name, &id);

    return rc ? rc : cts_store_remove(ix->store, &id, 1);
}

int cts_index_find(cts_index *ix, const char *name, uint64_t *id)
{
    return cts_store_find(ix->store, name, id);
}

int cts_index_get(cts_index *ix, uint64_t id, cts_index_record *out)
{
    return cts_store_get(ix->store, id, out);
}

int cts_index_next(cts_index *ix, uint64_t *id)
{
    return cts_store_next(ix->store, id);
}

int cts_index_vector(cts_index *ix, uint64_t id, cts_space space, float *out)
{
    size_t bytes = cts_store_info(ix->store)->dim * sizeof(float);
    float *v = malloc(bytes);
    bool found = false;
    int rc;

    if (!v)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", cts_index_path(ix));
    rc = cts_store_vectors(ix->store, space, &id, 1, v, &found);
    if (rc == CTS_OK && !found)
        rc = cts_fail(CTS_E_NOTFOUND, "%s: id %llu has no %s vector", cts_index_path(ix), (unsigned long long)id,
                      space == CTS_SPACE_IMAGE ? "image" : "text");
    if (rc == CTS_OK)
        memcpy(out, v, bytes);
    free(v);
    return rc;
}

int cts_index_matrix(cts_index *ix, cts_space space, cts_store_rows *out)
{
    return cts_store_load(ix->store, space, true, out);
}

int cts_index_verify(cts_index *ix, cts_store_report *out)
{
    return cts_store_verify(ix->store, out);
}

/* ---- caches
 * -------------------------------------------------------------------------------------------------------- */

/* Both under ix->lock. */
static void drop_picture(index_picture *p)
{
    if (p && --p->users == 0) {
        cts_store_rows_free(&p->rows);
        free(p);
    }
}

static void drop_ann(index_ann *a)
{
    if (a && --a->users == 0) {
        cts_ann_destroy(a->ann);
        free(a);
    }
}

void cts_index_picture_release(cts_index *ix, index_picture *p)
{
    pthread_mutex_lock(&ix->lock);
    drop_picture(p);
    pthread_mutex_unlock(&ix->lock);
}

void cts_index_ann_release(cts_index *ix, index_ann *a)
{
    pthread_mutex_lock(&ix->lock);
    drop_ann(a);
    pthread_mutex_unlock(&ix->lock);
}

int cts_index_picture_get(cts_index *ix, cts_space space, bool with_vectors, index_picture **out)
{
    index_picture *p, *fresh = NULL;
    uint64_t generation;
    int rc;

    pthread_mutex_lock(&ix->lock);
    if ((rc = cts_store_generation(ix->store, &generation)) != CTS_OK)
        goto out;
    p = ix->picture[space];
    if (!p || p->rows.generation != generation || (with_vectors && !p->rows.vectors)) {
        if (!(fresh = calloc(1, sizeof(*fresh)))) {
            rc = cts_fail(CTS_E_NOMEM, "%s: out of memory", cts_index_path(ix));
            goto out;
        }
        if ((rc = cts_store_load(ix->store, space, with_vectors, &fresh->rows)) != CTS_OK)
            goto out;
        drop_picture(p);
        fresh->users = 1; /* the cache's */
        ix->picture[space] = p = fresh;
        fresh = NULL;
    }
    p->users++;
    *out = p;
out:
    pthread_mutex_unlock(&ix->lock);
    free(fresh);
    return rc;
}

int cts_index_ann_get(cts_index *ix, cts_space space, index_ann **out, char *note, size_t note_size)
{
    index_ann *fresh = NULL;
    cts_ann_info info;
    int rc;

    *out = NULL;
    note[0] = 0;
    rc = cts_store_blob_info(ix->store, space, &info);
    if (rc == CTS_E_NOTFOUND)
        return CTS_OK;
    if (rc != CTS_OK) { /* its description is damaged; the vectors are not */
        snprintf(note, note_size, "%s; searched exactly, build the index again", cts_error());
        return rc == CTS_E_FORMAT ? CTS_OK : rc;
    }
    pthread_mutex_lock(&ix->lock);
    if (ix->ann[space] && strcmp(cts_ann_description(ix->ann[space]->ann)->sha256, info.sha256) != 0) {
        drop_ann(ix->ann[space]);
        ix->ann[space] = NULL;
    }
    if (!ix->ann[space] && strcmp(ix->bad_sha[space], info.sha256) != 0) {
        if (!(fresh = calloc(1, sizeof(*fresh)))) {
            rc = cts_fail(CTS_E_NOMEM, "%s: out of memory", cts_index_path(ix));
        } else if ((rc = cts_ann_load(&fresh->ann, ix->store, space)) == CTS_OK) {
            fresh->users = 1;
            ix->ann[space] = fresh;
            fresh = NULL;
        } else if (rc == CTS_E_FORMAT) {
            snprintf(ix->bad_sha[space], sizeof(ix->bad_sha[space]), "%s", info.sha256);
            snprintf(ix->bad_why[space], sizeof(ix->bad_why[space]), "%s", cts_error());
            rc = CTS_OK;
        } else if (rc == CTS_E_NOTFOUND) { /* dropped between the two looks */
            rc = CTS_OK;
        }
    }
    if (rc == CTS_OK && ix->ann[space]) {
        *out = ix->ann[space];
        (*out)->users++;
    } else if (rc == CTS_OK && strcmp(ix->bad_sha[space], info.sha256) == 0) {
        snprintf(note, note_size, "%s; searched exactly, build the index again", ix->bad_why[space]);
    }
    pthread_mutex_unlock(&ix->lock);
    free(fresh);
    return rc;
}

size_t cts_index_rows_upto(const cts_store_rows *rows, uint64_t id)
{
    size_t lo = 0, hi = rows->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (rows->ids[mid] <= id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

int64_t cts_index_row_of(const cts_store_rows *rows, uint64_t id)
{
    size_t end = cts_index_rows_upto(rows, id);

    return end > 0 && rows->ids[end - 1] == id ? (int64_t)end - 1 : -1;
}

int cts_index_stats(cts_index *ix, cts_index_stat *out)
{
    cts_index_stat s;
    index_picture *p = NULL;
    int rc;

    memset(&s, 0, sizeof(s));
    if ((rc = cts_store_stats(ix->store, &s.store)) != CTS_OK)
        return rc;
    for (int i = 0; i < CTS_SPACES; i++) {
        size_t known;

        rc = cts_store_blob_info(ix->store, (cts_space)i, &s.ann[i]);
        if (rc == CTS_E_NOTFOUND)
            continue;
        if (rc != CTS_OK || (rc = cts_index_picture_get(ix, (cts_space)i, false, &p)) != CTS_OK)
            return rc;
        s.has_ann[i] = true;
        known = cts_index_rows_upto(&p->rows, s.ann[i].max_id);
        s.added_since[i] = p->rows.n - known;
        s.removed_since[i] = s.ann[i].n > known ? s.ann[i].n - known : 0;
        cts_index_picture_release(ix, p);
    }
    *out = s;
    return CTS_OK;
}
