/* SPDX-License-Identifier: MIT */
#include "encoders/model_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encoders/model_digest.h"
#include "encoders/model_swap.h"
#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define MAX_CONFIG ((size_t)1 << 20)
#define MAX_TOKENIZER ((size_t)256 << 20)

static const char *const tokenizer_files[] = {"vocab.txt", "tokenizer.model"};

int cts_json_digest(char out[CTS_DIGEST_HEX], const json_t *j)
{
    char *text = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    int rc;

    if (!text)
        return cts_fail(CTS_E_NOMEM, "out of memory for a digest");
    rc = cts_digest_bytes(out, text, strlen(text));
    free(text);
    return rc;
}

/* ---- saving ---------------------------------------------------------------------------------------------------- */

static int save_config(const char *dir, const cts_clip_config *c)
{
    json_t *j = cts_clip_config_write(c);
    char *path = cts_path_join(dir, "config.json");
    int rc = j && path ? cts_json_save(j, path) : cts_fail(CTS_E_NOMEM, "%s: out of memory for config.json", dir);

    free(path);
    json_decref(j);
    return rc;
}

static int save_weights(const char *dir, const cts_params *p)
{
    cts_st_tensor *t = NULL;
    char **names = NULL;
    char *path = cts_path_join(dir, "model.safetensors");
    json_t *meta = json_pack("{s:s}", "format", "ctsearch-model");
    int rc;

    if (!path || !meta)
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for model.safetensors", dir);
    else if ((rc = cts_params_tensors(&t, &names, p, "", 0)) == CTS_OK)
        rc = cts_safetensors_write(path, cts_params_n(p), t, meta);
    cts_st_names_free(names, cts_params_n(p));
    free(t);
    free(path);
    json_decref(meta);
    return rc;
}

static int copy_tokenizer(const char *dir, const char *from)
{
    size_t len = strlen(from), n = 0;
    bool txt = len >= 4 && !strcmp(from + len - 4, ".txt");
    char *path = cts_path_join(dir, tokenizer_files[txt ? 0 : 1]);
    char *data = NULL;
    int rc;

    if (!path)
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for the tokenizer", dir);
    else if ((rc = cts_file_read(&data, &n, from, MAX_TOKENIZER)) == CTS_OK)
        rc = cts_file_write_atomic(path, data, n);
    free(data);
    free(path);
    return rc;
}

static int save_recipe(const char *dir, const json_t *preprocess)
{
    char *path = cts_path_join(dir, "preprocess.json");
    int rc = path ? cts_json_save(preprocess, path) : cts_fail(CTS_E_NOMEM, "%s: out of memory", dir);

    free(path);
    return rc;
}

int cts_model_dir_write_rest(const char *dir, const cts_clip_config *c, const char *tokenizer_path,
                             const json_t *preprocess)
{
    int rc = save_config(dir, c);

    if (rc == CTS_OK && tokenizer_path)
        rc = copy_tokenizer(dir, tokenizer_path);
    if (rc == CTS_OK && preprocess)
        rc = save_recipe(dir, preprocess);
    return rc;
}

int cts_model_dir_save(const char *dir, const cts_clip *m, const char *tokenizer_path, const json_t *preprocess)
{
    cts_model_swap *s = NULL;
    int rc;

    if ((rc = cts_model_swap_begin(&s, dir)) != CTS_OK ||
        (rc = save_weights(cts_model_swap_dir(s), m->params)) != CTS_OK ||
        (rc = cts_model_dir_write_rest(cts_model_swap_dir(s), &m->config, tokenizer_path, preprocess)) != CTS_OK)
        goto out;
    rc = cts_model_swap_commit(s);
out:
    cts_model_swap_destroy(s);
    return rc;
}

/* ---- loading --------------------------------------------------------------------------------------------------- */

static int find_tokenizer(cts_model *m)
{
    for (size_t i = 0; i < sizeof tokenizer_files / sizeof *tokenizer_files; i++) {
        char *path = cts_path_join(m->dir, tokenizer_files[i]);

        if (!path)
            return cts_fail(CTS_E_NOMEM, "%s: out of memory", m->dir);
        if (!cts_file_exists(path)) {
            free(path);
            continue;
        }
        if (m->tokenizer_path) {
            free(path);
            return cts_fail(CTS_E_INPUT, "%s: holds both %s and %s; one tokenizer is wanted", m->dir,
                            tokenizer_files[0], tokenizer_files[1]);
        }
        m->tokenizer_path = path;
    }
    return m->tokenizer_path ? cts_digest_file(m->digest.tokenizer, m->tokenizer_path) : CTS_OK;
}

static int load_recipe(cts_model *m)
{
    char *path = cts_path_join(m->dir, "preprocess.json");
    int rc = CTS_OK;

    if (!path)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", m->dir);
    if (cts_file_exists(path) && (rc = cts_json_load(&m->preprocess, path, MAX_CONFIG)) == CTS_OK)
        rc = cts_json_digest(m->digest.recipe, m->preprocess);
    free(path);
    return rc;
}

static int load_config(cts_model *m, char digest[CTS_DIGEST_HEX])
{
    char *path = cts_path_join(m->dir, "config.json");
    cts_clip_config c = {0};
    json_t *j = NULL;
    int rc;

    if (!path)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", m->dir);
    if ((rc = cts_json_load(&j, path, MAX_CONFIG)) != CTS_OK || (rc = cts_clip_config_parse(&c, j, path)) != CTS_OK ||
        (rc = cts_json_digest(digest, j)) != CTS_OK)
        goto out;
    rc = cts_clip_create(&m->clip, &c);
out:
    cts_clip_config_clear(&c);
    json_decref(j);
    free(path);
    return rc;
}

static int load_weights(cts_model *m, const char *config_digest)
{
    char *path = cts_path_join(m->dir, "model.safetensors");
    char both[2 * CTS_DIGEST_HEX], weights[CTS_DIGEST_HEX];
    int rc;

    if (!path)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", m->dir);
    if ((rc = cts_params_map(m->clip->params, path)) == CTS_OK &&
        (rc = cts_model_weights_digest(weights, m->dir)) == CTS_OK) {
        snprintf(both, sizeof both, "%s %s", config_digest, weights);
        rc = cts_digest_bytes(m->digest.model, both, strlen(both));
    }
    free(path);
    return rc;
}

int cts_model_dir_load(cts_model **out, const char *dir)
{
    cts_model *m = calloc(1, sizeof *m);
    char config[CTS_DIGEST_HEX] = "";
    int rc;

    if (!m || !(m->dir = cts_strdup(dir))) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory", dir);
        goto out;
    }
    if (!cts_is_dir(dir)) {
        rc = cts_fail(CTS_E_NOTFOUND, "%s: no such model directory", dir);
        goto out;
    }
    if ((rc = load_config(m, config)) != CTS_OK || (rc = load_weights(m, config)) != CTS_OK ||
        (rc = find_tokenizer(m)) != CTS_OK || (rc = load_recipe(m)) != CTS_OK)
        goto out;
    *out = m;
    m = NULL;
out:
    cts_model_destroy(m);
    return rc;
}

void cts_model_destroy(cts_model *m)
{
    if (!m)
        return;
    cts_clip_destroy(m->clip);
    free(m->dir);
    free(m->tokenizer_path);
    json_decref(m->preprocess);
    free(m);
}
