/* SPDX-License-Identifier: MIT */
#include "query/session.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/file.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define RECIPE_BYTES ((size_t)1 << 20) /* far above any preprocess.json */

int cts_session_open_model(cts_session *s, const char *model_dir, const cts_common *c)
{
    int rc = s->runtime.pool ? CTS_OK : cts_runtime_open(&s->runtime, c);

    return rc ? rc : cts_engine_open(&s->engine, model_dir, s->runtime.backend);
}

int cts_session_open_index(cts_session *s, const char *path, bool writable, const char *model_dir, bool need_model,
                           const cts_common *c)
{
    const char *remembered;
    int rc;

    if ((rc = cts_runtime_open(&s->runtime, c)) || (rc = cts_index_open(&s->index, path, writable, 0)))
        return rc;
    remembered = cts_index_describe(s->index)->model;
    if (!model_dir && !need_model)
        return CTS_OK;
    if (!model_dir && !cts_is_dir(remembered))
        return cts_fail(CTS_E_NOTFOUND,
                        "%s: its model folder %s is not there any more, allowed: --model DIR with the same model", path,
                        *remembered ? remembered : "(none remembered)");
    if ((rc = cts_session_open_model(s, model_dir ? model_dir : remembered, c)))
        return rc;
    return cts_index_matches(s->index, s->engine);
}

void cts_session_close(cts_session *s)
{
    cts_index_close(s->index);
    cts_engine_close(s->engine);
    cts_runtime_close(&s->runtime);
    *s = (cts_session){0};
}

int cts_session_threads(const cts_session *s)
{
    return cts_pool_size(s->runtime.pool);
}

int cts_index_matches(const cts_index *ix, const cts_engine *e)
{
    const cts_index_info *info = cts_index_describe(ix);
    const cts_model_digests *d = cts_engine_digests(e);
    const char *name[3] = {"model", "tokenizer", "recipe"};
    const char *has[3] = {info->model_digest, info->tokenizer_digest, info->recipe_digest};
    const char *given[3] = {d->model, d->tokenizer, d->recipe};
    cts_str differ = {0};
    int rc = CTS_OK;

    for (int i = 0; i < 3; i++)
        if (strcmp(has[i], given[i]))
            cts_str_printf(&differ, "%s%s %.12s (the index has %.12s)", differ.n ? ", " : "", name[i], given[i],
                           has[i]);
    if (differ.n || (int64_t)info->dim != cts_engine_dim(e))
        rc = cts_fail(CTS_E_MISMATCH,
                      "%s: made with another model than %s: got %s; allowed: what the index was made with, %s",
                      cts_index_path(ix), cts_engine_path(e), differ.n ? cts_str_text(&differ) : "another dimension",
                      *info->model ? info->model : "or a new index");
    cts_str_free(&differ);
    return rc;
}

int cts_index_create_for(cts_index **out, const char *path, const cts_engine *e)
{
    const cts_model_digests *d = cts_engine_digests(e);
    char *model = realpath(cts_engine_path(e), NULL),
         *recipe_path = cts_path_join(cts_engine_path(e), "preprocess.json");
    char *recipe = NULL;
    size_t n;
    int rc;

    if (!model || !recipe_path) {
        rc = cts_fail(CTS_E_IO, "%s: no absolute path of this folder", cts_engine_path(e));
        goto out;
    }
    if (cts_file_exists(recipe_path) && (rc = cts_file_read(&recipe, &n, recipe_path, RECIPE_BYTES)))
        goto out; /* a model of texts alone has none */
    rc = cts_index_create(out, path,
                          &(cts_index_options){.dim = (size_t)cts_engine_dim(e),
                                               .model_digest = d->model,
                                               .tokenizer_digest = d->tokenizer,
                                               .recipe_digest = d->recipe,
                                               .model = model,
                                               .recipe = recipe,
                                               .meta = "{\"text\": \"clean\"}"});
out:
    free(model);
    free(recipe_path);
    free(recipe);
    return rc;
}

int cts_index_find_volume(cts_index *ix, const char *name, uint64_t *id)
{
    size_t n = cts_volume_stem(name);
    char *stem = cts_strdup(name);
    int rc;

    if (!stem)
        return cts_fail(CTS_E_NOMEM, "out of memory");
    if ((rc = cts_index_find(ix, name, id)) == CTS_E_NOTFOUND && name[n]) {
        stem[n] = '\0';
        rc = cts_index_find(ix, stem, id);
    }
    free(stem);
    return rc;
}
