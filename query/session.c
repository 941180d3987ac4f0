/* SPDX-License-Identifier: MIT */
#include "query/session.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/file.h"
#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define RECIPE_BYTES ((size_t)1 << 20) /* far above any preprocess.json */

/* The caller's text of an index as JSON, or NULL. */
static json_t *meta_of(const cts_index *ix)
{
    return ix ? json_loads(cts_index_describe(ix)->meta, 0, NULL) : NULL;
}

int cts_session_open_model(cts_session *s, const char *model_dir, const cts_common *c)
{
    int rc = s->runtime.pool ? CTS_OK : cts_runtime_open(&s->runtime, c);

    if (!rc && !(rc = cts_engine_open(&s->engine, model_dir, s->runtime.backend)) && !s->index &&
        *cts_engine_warning(s->engine))
        cts_log(CTS_LOG_WARN, "%s", cts_engine_warning(s->engine));
    return rc;
}

static int override_recipe(cts_session *s, const char *name)
{
    cts_recipe r, old = *cts_engine_recipe(s->engine);
    char digest[CTS_DIGEST_HEX];
    int rc;

    memcpy(digest, cts_engine_digests(s->engine)->recipe, sizeof digest);
    if ((rc = cts_recipe_open(&r, name)) || (rc = cts_engine_set_recipe(s->engine, &r)))
        return cts_fail_in(rc, "--recipe");
    if (!strcmp(digest, cts_engine_digests(s->engine)->recipe))
        return CTS_OK;
    cts_log(CTS_LOG_WARN, "%s", cts_engine_warning(s->engine));
    if (s->index)
        cts_log(CTS_LOG_WARN, "%s: its volumes were prepared with %s, not with %s: scores compare unlike things",
                cts_index_path(s->index), old.name, r.name);
    return CTS_OK;
}

int cts_session_override(cts_session *s, const cts_overrides *o)
{
    cts_text_mode mode, own = cts_engine_text_mode(s->engine);
    int rc;

    if (o->recipe && (rc = override_recipe(s, o->recipe)))
        return rc;
    if (!o->report_text)
        return CTS_OK;
    if (cts_text_mode_find(&mode, o->report_text))
        return cts_fail_in(CTS_E_USAGE, "--report-text");
    if (mode != own)
        cts_log(CTS_LOG_INFO, "reports become text by the rule %s; the model's own is %s", cts_text_mode_name(mode),
                cts_text_mode_name(own));
    cts_engine_set_text_mode(s->engine, mode);
    return CTS_OK;
}

json_t *cts_session_warnings(const cts_session *s)
{
    json_t *meta = meta_of(s->index), *list = json_array(), *w;
    const char *own = s->engine ? cts_engine_warning(s->engine) : "";
    bool known = !*own;
    size_t i;

    json_array_foreach(json_object_get(meta, "warnings"), i, w)
    {
        known |= json_is_string(w) && !strcmp(json_string_value(w), own);
        json_array_append(list, w);
    }
    if (!known)
        json_array_append_new(list, json_string(own));
    json_decref(meta);
    return list;
}

/* What the index was made with beside its model's own ways goes to the engine. */
static int adopt(cts_session *s)
{
    const cts_index_info *info = cts_index_describe(s->index);
    json_t *meta = meta_of(s->index);
    const char *text = json_string_value(json_object_get(meta, "text"));
    cts_text_mode mode;
    cts_recipe r;
    int rc = CTS_OK;

    if (text && !cts_text_mode_find(&mode, text))
        cts_engine_set_text_mode(s->engine, mode);
    if (json_object_get(meta, "override_of") && !(rc = cts_recipe_parse(&r, info->recipe, cts_index_path(s->index))))
        rc = cts_engine_set_recipe(s->engine, &r);
    json_decref(meta);
    return rc;
}

static void say_kept_warnings(const cts_session *s)
{
    json_t *list = cts_session_warnings(s), *w;
    size_t i;

    json_array_foreach(list, i, w)
    {
        if (json_is_string(w))
            cts_log(CTS_LOG_WARN, "%s: %s", cts_index_path(s->index), json_string_value(w));
    }
    json_decref(list);
}

int cts_session_open_index(cts_session *s, const char *path, bool writable, const char *model_dir, bool need_model,
                           const cts_common *c)
{
    const char *remembered;
    int rc;

    if ((rc = cts_runtime_open(&s->runtime, c)) || (rc = cts_index_open(&s->index, path, writable, 0)))
        return rc;
    remembered = cts_index_describe(s->index)->model;
    say_kept_warnings(s);
    if (!model_dir && !need_model)
        return CTS_OK;
    if (!model_dir && !cts_is_dir(remembered))
        return cts_fail(CTS_E_NOTFOUND,
                        "%s: its model folder %s is not there any more, allowed: --model DIR with the same model", path,
                        *remembered ? remembered : "(none remembered)");
    if ((rc = cts_session_open_model(s, model_dir ? model_dir : remembered, c)) || (rc = adopt(s)))
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

/* {"text": rule, "override_of": recipe the model was made for, "warnings": [..]}; the last two only where needed. */
static char *meta_for(const cts_engine *e)
{
    json_t *j = json_pack("{s:s}", "text", cts_text_mode_name(cts_engine_text_mode(e)));
    char *text;

    if (*cts_engine_warning(e))
        json_object_update_new(j, json_pack("{s:s, s:[s]}", "override_of", cts_engine_recipe(e)->override_of,
                                            "warnings", cts_engine_warning(e)));
    text = j ? json_dumps(j, 0) : NULL;
    json_decref(j);
    return text;
}

/* preprocess.json as it is, or the recipe that stands for it; NULL for a model of texts alone. */
static int recipe_text(char **out, const cts_engine *e)
{
    char *path;
    size_t n;
    int rc = CTS_OK;

    if (*cts_engine_warning(e))
        return cts_recipe_text(cts_engine_recipe(e), out);
    if (!(path = cts_path_join(cts_engine_path(e), "preprocess.json")))
        return cts_fail(CTS_E_NOMEM, "out of memory");
    if (cts_file_exists(path))
        rc = cts_file_read(out, &n, path, RECIPE_BYTES);
    free(path);
    return rc;
}

int cts_index_create_for(cts_index **out, const char *path, const cts_engine *e)
{
    const cts_model_digests *d = cts_engine_digests(e);
    char *model = realpath(cts_engine_path(e), NULL), *recipe = NULL, *meta = meta_for(e);
    int rc;

    if (!model || !meta) {
        rc = meta ? cts_fail(CTS_E_IO, "%s: no absolute path of this folder", cts_engine_path(e))
                  : cts_fail(CTS_E_NOMEM, "out of memory for an index");
        goto out;
    }
    if ((rc = recipe_text(&recipe, e)))
        goto out;
    rc = cts_index_create(out, path,
                          &(cts_index_options){.dim = (size_t)cts_engine_dim(e),
                                               .model_digest = d->model,
                                               .tokenizer_digest = d->tokenizer,
                                               .recipe_digest = d->recipe,
                                               .model = model,
                                               .recipe = recipe,
                                               .meta = meta});
out:
    free(model);
    free(recipe);
    free(meta);
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
