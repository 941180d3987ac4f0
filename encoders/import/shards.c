/* A set of weights in several files and its index: {"metadata": ..., "weight_map": {tensor: file}}. The files lie
 * beside the index; every tensor is where the map says, and the files hold no other.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "encoders/import/weights_internal.h"
#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define MAX_INDEX_BYTES ((size_t)64 << 20)
#define MAX_SHARDS 4096

struct set {
    cts_weights *w;
    char *folder; /* with its '/' */
    char **file;  /* names of the shards opened so far */
};

/* A name of one folder: no way out of it, no way to another. */
static bool sound_file(const char *name)
{
    return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strchr(name, '/') && !strchr(name, '\\');
}

static int add_shard(struct set *s, const char *file)
{
    cts_weights *w = s->w, **shards, *opened = NULL;
    char *path = cts_asprintf("%s%s", s->folder, file), *copy = cts_strdup(file), **files;
    int rc = CTS_OK;

    if (w->n_shards == MAX_SHARDS) {
        rc = cts_fail(CTS_E_LIMIT, "%s: more than %d files", w->path, MAX_SHARDS);
        goto out;
    }
    if ((shards = realloc(w->shard, ((size_t)w->n_shards + 1) * sizeof *shards)))
        w->shard = shards;
    if ((files = realloc(s->file, ((size_t)w->n_shards + 1) * sizeof *files)))
        s->file = files;
    if (!path || !copy || !shards || !files) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for its files", w->path);
        goto out;
    }
    if ((rc = cts_weights_open_file(&opened, path)) != CTS_OK) {
        rc = cts_fail_in(rc, "%s", w->path);
        goto out;
    }
    s->file[w->n_shards] = copy;
    copy = NULL;
    w->shard[w->n_shards++] = opened;
out:
    free(path);
    free(copy);
    return rc;
}

/* The opened shard of this name. */
static int need_shard(const cts_weights **out, struct set *s, const char *file)
{
    const char *path = s->w->path;
    int i, rc;

    if (!sound_file(file))
        return cts_fail(CTS_E_FORMAT, "%s: weight_map names the file \"%.100s\": allowed are names in the same folder",
                        path, file);
    for (i = s->w->n_shards - 1; i >= 0 && strcmp(s->file[i], file) != 0; i--)
        ;
    if (i < 0) {
        if ((rc = add_shard(s, file)) != CTS_OK)
            return rc;
        i = s->w->n_shards - 1;
        if (!s->w->shard[i]->torch != !s->w->shard[0]->torch)
            return cts_fail(CTS_E_FORMAT, "%s: %s and %s are of different formats", path, s->file[0], file);
    }
    *out = s->w->shard[i];
    return CTS_OK;
}

static int find_unlisted(const cts_weights *w, const json_t *map)
{
    for (int i = 0; i < w->n_shards; i++)
        for (int k = 0; k < w->shard[i]->n; k++)
            if (!json_object_get(map, w->shard[i]->t[k].name))
                return cts_fail(CTS_E_FORMAT, "%s: %s holds tensor %s, which weight_map does not list", w->path,
                                w->shard[i]->path, w->shard[i]->t[k].name);
    return cts_fail(CTS_E_FORMAT, "%s: a tensor is in two of its files", w->path);
}

static int read_map(struct set *s, json_t *map)
{
    cts_weights *w = s->w;
    long long held = 0;
    const char *name;
    json_t *file;
    int rc;

    if (!(w->t = calloc(json_object_size(map) + 1, sizeof *w->t)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu tensors", w->path, json_object_size(map));
    json_object_foreach(map, name, file)
    {
        const cts_weights *shard = NULL;
        const cts_weight *t;

        if (!json_is_string(file))
            return cts_fail(CTS_E_FORMAT, "%s: weight_map: the file of tensor %s is no string", w->path, name);
        if ((rc = need_shard(&shard, s, json_string_value(file))) != CTS_OK)
            return rc;
        if (!(t = cts_weights_find(shard, name)))
            return cts_fail(CTS_E_FORMAT, "%s: tensor %s is not in %s, where weight_map says it is", w->path, name,
                            json_string_value(file));
        w->t[w->n++] = *t;
    }
    for (int i = 0; i < w->n_shards; i++)
        held += w->shard[i]->n;
    return held == w->n ? CTS_OK : find_unlisted(w, map);
}

int cts_weights_read_index(cts_weights *w)
{
    struct set s = {.w = w};
    json_t *index = NULL, *map;
    int rc;

    if ((rc = cts_json_load(&index, w->path, MAX_INDEX_BYTES)) != CTS_OK)
        goto out;
    map = json_object_get(index, "weight_map");
    if (!json_is_object(map) || !json_object_size(map)) {
        rc = cts_fail(CTS_E_FORMAT, "%s: field \"weight_map\" is missing, empty or no object", w->path);
        goto out;
    }
    if (!(s.folder = cts_asprintf("%.*s", (int)(cts_path_base(w->path) - w->path), w->path))) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory", w->path);
        goto out;
    }
    rc = read_map(&s, map);
out:
    for (int i = 0; s.file && i < w->n_shards; i++)
        free(s.file[i]);
    free(s.file);
    free(s.folder);
    json_decref(index);
    return rc;
}
