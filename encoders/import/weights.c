/* SPDX-License-Identifier: MIT */
#include "encoders/import/weights.h"

#include <stdlib.h>
#include <string.h>

#include "encoders/import/weights_internal.h"
#include "encoders/import/zip.h"
#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define MAX_BYTES ((size_t)1 << 40)

enum content { SAFETENSORS, ZIP, LEGACY, POINTER, EMPTY, TEXT, UNKNOWN };

/* ---- what a file is -------------------------------------------------------------------------------------------- */

/* A safetensors file begins with the length of its header, under 100 MB, and a brace. A longer one is its reader's to
 * refuse: whatever else has its brace there. */
static enum content content_of(const uint8_t *p, size_t n)
{
    static const char pointer[] = "version https://git-lfs.github.com/";

    if (!n)
        return EMPTY;
    if (cts_zip_is(p, n))
        return ZIP;
    if (n > 8 && p[8] == '{' && !p[6] && !p[7])
        return SAFETENSORS;
    if (cts_torch_is_legacy(p, n))
        return LEGACY;
    if (n > sizeof pointer && !memcmp(p, pointer, sizeof pointer - 1))
        return POINTER;
    return p[0] == '{' ? TEXT : UNKNOWN;
}

static int sniff(enum content *out, const char *path)
{
    cts_map map = {0};
    int rc = cts_map_open(&map, path, MAX_BYTES);

    if (rc)
        return rc;
    *out = content_of(map.p, map.n);
    cts_map_close(&map);
    return CTS_OK;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n >= m && !strcmp(s + n - m, end);
}

static int fail_content(enum content c, const char *path)
{
    switch (c) {
    case EMPTY:
        return cts_fail(CTS_E_FORMAT, "%s: the file is empty", path);
    case POINTER:
        return cts_fail(CTS_E_FORMAT,
                        "%s: a Git LFS pointer, the weights themselves were not downloaded (git lfs pull)", path);
    case LEGACY:
        return cts_fail(CTS_E_UNSUPPORTED,
                        "%s: a pickle or tar file as PyTorch wrote them before version 1.6, which is not read, and no "
                        "code was run; convert it with PyTorch: torch.save(torch.load(old, map_location=\"cpu\", "
                        "weights_only=True), new)",
                        path);
    default:
        return cts_fail(CTS_E_FORMAT,
                        "%s: no weight file: allowed are safetensors, PyTorch's zip format and the index.json of their "
                        "shards",
                        path);
    }
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static int by_name(const void *pa, const void *pb)
{
    return strcmp((*(const cts_weight *const *)pa)->name, (*(const cts_weight *const *)pb)->name);
}

int cts_weights_sort(cts_weights *w)
{
    if (!(w->by_name = calloc((size_t)w->n + 1, sizeof *w->by_name)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for %d tensors", w->path, w->n);
    for (int i = 0; i < w->n; i++)
        w->by_name[i] = &w->t[i];
    qsort(w->by_name, (size_t)w->n, sizeof *w->by_name, by_name);
    return CTS_OK;
}

static cts_weight of_safetensors(const cts_st_tensor *s)
{
    cts_weight t = {.name = s->name, .dtype = s->dtype, .ndim = s->ndim, .count = s->count, .data = s->data};
    int64_t stride = 1;

    for (int i = s->ndim - 1; i >= 0; i--) {
        t.shape[i] = s->shape[i];
        t.stride[i] = stride;
        stride *= cts_max_i64(s->shape[i], 1); /* an axis of 0 elsewhere lets the others be anything */
        if (s->count == 0)
            stride = 1;
    }
    return t;
}

static int take_tensors(cts_weights *w)
{
    int n = w->safetensors ? cts_safetensors_n(w->safetensors) : cts_torch_file_n(w->torch);

    if (!(w->t = calloc((size_t)n + 1, sizeof *w->t)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for %d tensors", w->path, n);
    for (w->n = 0; w->n < n; w->n++)
        w->t[w->n] = w->safetensors ? of_safetensors(cts_safetensors_at(w->safetensors, w->n))
                                    : *cts_torch_file_at(w->torch, w->n);
    return CTS_OK;
}

static cts_weights *create(const char *path)
{
    cts_weights *w = calloc(1, sizeof *w);

    if (w && !(w->path = cts_strdup(path))) {
        free(w);
        w = NULL;
    }
    if (!w)
        cts_fail(CTS_E_NOMEM, "%s: out of memory", path);
    return w;
}

int cts_weights_open_file(cts_weights **out, const char *path)
{
    enum content c = UNKNOWN;
    cts_weights *w = create(path);
    int rc;

    if (!w)
        return CTS_E_NOMEM;
    if ((rc = sniff(&c, path)) != CTS_OK)
        goto out;
    /* A broken file of a telling name gets the sentence of its own reader. */
    if (c == SAFETENSORS || (c == UNKNOWN && ends_with(path, ".safetensors")))
        rc = cts_safetensors_open(&w->safetensors, path);
    else if (c == ZIP)
        rc = cts_torch_file_open(&w->torch, path);
    else
        rc = fail_content(c, path);
    if (rc || (rc = take_tensors(w)) != CTS_OK || (rc = cts_weights_sort(w)) != CTS_OK)
        goto out;
    *out = w;
    w = NULL;
out:
    cts_weights_close(w);
    return rc;
}

static int open_index(cts_weights **out, const char *path)
{
    cts_weights *w = create(path);
    int rc;

    if (!w)
        return CTS_E_NOMEM;
    if ((rc = cts_weights_read_index(w)) == CTS_OK && (rc = cts_weights_sort(w)) == CTS_OK) {
        *out = w;
        w = NULL;
    }
    cts_weights_close(w);
    return rc;
}

static int open_path(cts_weights **out, const char *path)
{
    enum content c = UNKNOWN;
    int rc = sniff(&c, path);

    if (rc)
        return rc;
    return c == TEXT || ends_with(path, ".index.json") ? open_index(out, path) : cts_weights_open_file(out, path);
}

int cts_weights_open(cts_weights **out, const char *path)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                        "pytorch_model.bin.index.json"};

    if (!cts_is_dir(path))
        return open_path(out, path);
    for (size_t i = 0; i < CTS_COUNT(names); i++) {
        char *file = cts_path_join(path, names[i]);
        int rc = CTS_E_NOTFOUND;

        if (!file)
            return cts_fail(CTS_E_NOMEM, "%s: out of memory", path);
        if (cts_file_exists(file))
            rc = open_path(out, file);
        free(file);
        if (rc != CTS_E_NOTFOUND)
            return rc;
    }
    return cts_fail(CTS_E_NOTFOUND, "%s: no weights in this folder: wanted is one of %s, %s, %s, %s", path, names[0],
                    names[1], names[2], names[3]);
}

void cts_weights_close(cts_weights *w)
{
    if (!w)
        return;
    cts_safetensors_close(w->safetensors);
    cts_torch_file_close(w->torch);
    for (int i = 0; i < w->n_shards; i++)
        cts_weights_close(w->shard[i]);
    free(w->shard);
    free(w->by_name);
    free(w->t);
    free(w->path);
    free(w);
}

/* ---- asking ---------------------------------------------------------------------------------------------------- */

const char *cts_weights_path(const cts_weights *w)
{
    return w->path;
}

int cts_weights_n_files(const cts_weights *w)
{
    return 1 + w->n_shards;
}

const char *cts_weights_file(const cts_weights *w, int i)
{
    CTS_ASSERT(i >= 0 && i <= w->n_shards, "file %d of %d", i, 1 + w->n_shards);
    return i ? w->shard[i - 1]->path : w->path;
}

const char *cts_weights_format(const cts_weights *w)
{
    if (w->shard)
        return w->n_shards && w->shard[0]->torch ? "sharded pytorch" : "sharded safetensors";
    return w->torch ? "pytorch" : "safetensors";
}

const char *cts_weights_key(const cts_weights *w)
{
    if (w->shard)
        return w->n_shards ? cts_weights_key(w->shard[0]) : "";
    return w->torch ? cts_torch_file_key(w->torch) : "";
}

int cts_weights_n(const cts_weights *w)
{
    return w->n;
}

const cts_weight *cts_weights_at(const cts_weights *w, int i)
{
    CTS_ASSERT(i >= 0 && i < w->n, "tensor %d of %d", i, w->n);
    return &w->t[i];
}

const cts_weight *cts_weights_find(const cts_weights *w, const char *name)
{
    const cts_weight key = {.name = name}, *p = &key;
    const cts_weight **found = w->n ? bsearch(&p, w->by_name, (size_t)w->n, sizeof *w->by_name, by_name) : NULL;

    return found ? *found : NULL;
}
