/* SPDX-License-Identifier: MIT */
#include "encoders/import/sources.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define MAX_JSON ((size_t)1 << 20)

static const char *const weight_names[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                           "pytorch_model.bin.index.json"};
static const char *const tokenizer_names[] = {"vocab.txt", "tokenizer.model"};

static bool ends(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);

    return n >= k && !strcmp(s + n - k, end);
}

/* The first of the names that lies in dir, malloc'd; NULL = none. */
static int first_of(char **out, const char *dir, const char *const *names, size_t n)
{
    *out = NULL;
    for (size_t i = 0; i < n; i++) {
        char *path = cts_path_join(dir, names[i]);

        if (!path)
            return cts_fail(CTS_E_NOMEM, "%s: out of memory", dir);
        if (cts_file_exists(path)) {
            *out = path;
            return CTS_OK;
        }
        free(path);
    }
    return CTS_OK;
}

static int first_one(char **out, const char *dir, const char *name)
{
    return first_of(out, dir, &name, 1);
}

/* Into a slot that must be free. */
static int set(char **slot, const char *path, const char *what)
{
    if (*slot)
        return cts_fail(CTS_E_USAGE, "%s and %s are both %s; one is wanted", *slot, path, what);
    *slot = cts_strdup(path);
    return *slot ? CTS_OK : cts_fail(CTS_E_NOMEM, "%s: out of memory", path);
}

/* ---- sentence-transformers ------------------------------------------------------------------------------------- */

static int read_pooling(cts_import_sentence *s, const char *dir)
{
    static const char *const other[] = {"pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens",
                                        "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken"};
    char *path = cts_path_join(dir, "config.json");
    bool cls = false, mean = false, flag;
    const char *mode = NULL;
    json_t *j = NULL;
    int rc;

    if (!path)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", dir);
    if ((rc = cts_json_load(&j, path, MAX_JSON)) != CTS_OK ||
        (rc = cts_json_bool(&cls, j, "pooling_mode_cls_token", false, path)) != CTS_OK ||
        (rc = cts_json_bool(&mean, j, "pooling_mode_mean_tokens", false, path)) != CTS_OK ||
        (rc = cts_json_string(&mode, j, "pooling_mode", false, path)) != CTS_OK)
        goto out;
    if (mode) {
        cls = !strcmp(mode, "cls");
        mean = !strcmp(mode, "mean");
    }
    for (size_t i = 0; i < CTS_COUNT(other); i++) {
        flag = false;
        if ((rc = cts_json_bool(&flag, j, other[i], false, path)) != CTS_OK)
            goto out;
        if (flag) {
            rc = cts_fail(CTS_E_UNSUPPORTED, "%s: field \"%s\" is true; supported are the poolings cls and mean", path,
                          other[i]);
            goto out;
        }
    }
    if (cls == mean)
        rc = cts_fail(CTS_E_UNSUPPORTED, "%s: pooling is %s; supported are cls and mean, one of them", path,
                      mode  ? mode
                      : cls ? "cls and mean together"
                            : "not said");
    s->mean = mean;
out:
    json_decref(j);
    free(path);
    return rc;
}

static int read_longest(cts_import_sentence *s, const char *dir)
{
    char *path = NULL;
    json_t *j = NULL;
    int rc = first_one(&path, dir, "sentence_bert_config.json");

    if (rc == CTS_OK && path && (rc = cts_json_load(&j, path, MAX_JSON)) == CTS_OK)
        rc = cts_json_int(&s->max_tokens, j, "max_seq_length", false, 3, 1 << 20, path);
    json_decref(j);
    free(path);
    return rc;
}

/* One entry of modules.json; the Transformer's folder goes to *transformer. */
static int read_module(cts_import_sources *s, char **transformer, bool *pooled, const json_t *m, const char *dir,
                       const char *file)
{
    const char *type = NULL, *where = NULL, *kind;
    char *path = NULL;
    int rc;

    if ((rc = cts_json_string(&type, m, "type", true, file)) != CTS_OK ||
        (rc = cts_json_string(&where, m, "path", true, file)) != CTS_OK)
        return rc;
    if (*where == '/' || strstr(where, ".."))
        return cts_fail(CTS_E_FORMAT, "%s: field \"path\" is \"%.60s\", wanted a folder inside it", file, where);
    if (!(path = *where ? cts_path_join(dir, where) : cts_strdup(dir)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", dir);
    kind = strrchr(type, '.') ? strrchr(type, '.') + 1 : type;
    if (!strcmp(kind, "Transformer")) {
        rc = *transformer ? cts_fail(CTS_E_UNSUPPORTED, "%s: two modules of type Transformer", file) : CTS_OK;
        if (rc == CTS_OK) {
            *transformer = path;
            path = NULL;
        }
    } else if (!strcmp(kind, "Pooling")) {
        rc = read_pooling(&s->sentence, path);
        *pooled = true;
    } else if (!strcmp(kind, "Normalize")) {
        s->sentence.normalize = true;
    } else {
        rc = cts_fail(CTS_E_UNSUPPORTED,
                      "%s: a module of type %.60s, which this program does not run; supported are Transformer, Pooling "
                      "and Normalize",
                      file, kind);
    }
    free(path);
    return rc;
}

static int read_modules(cts_import_sources *s, char **transformer, const char *dir, const char *file)
{
    json_t *list = NULL, *m;
    bool pooled = false;
    size_t i;
    int rc = cts_json_load(&list, file, MAX_JSON);

    if (rc == CTS_OK && !json_is_array(list))
        rc = cts_fail(CTS_E_FORMAT, "%s: no list of modules", file);
    json_array_foreach(list, i, m) if (rc == CTS_OK) rc = read_module(s, transformer, &pooled, m, dir, file);
    if (rc == CTS_OK && (!*transformer || !pooled))
        rc = cts_fail(CTS_E_UNSUPPORTED, "%s: no module of type %s", file, pooled ? "Transformer" : "Pooling");
    if (rc == CTS_OK)
        rc = read_longest(&s->sentence, *transformer);
    s->is_sentence = rc == CTS_OK;
    json_decref(list);
    return rc;
}

/* ---- files and folders ----------------------------------------------------------------------------------------- */

/* A vocabulary's folder may say that it keeps capitals: our WordPiece does not, and would give other ids. */
static int check_case(const char *dir)
{
    char *path = NULL;
    json_t *j = NULL;
    bool lower = true;
    int rc = first_one(&path, dir, "tokenizer_config.json");

    if (rc == CTS_OK && path && (rc = cts_json_load(&j, path, MAX_JSON)) == CTS_OK)
        rc = cts_json_bool(&lower, j, "do_lower_case", false, path);
    if (rc == CTS_OK && !lower)
        rc = cts_fail(CTS_E_UNSUPPORTED,
                      "%s: field \"do_lower_case\" is false; this program's WordPiece lower-cases its texts", path);
    json_decref(j);
    free(path);
    return rc;
}

typedef struct {
    char *tokenizer, *config; /* of the weights' folder, used when none is given by name */
} implied;

static int add_folder(cts_import_sources *s, implied *m, const char *dir)
{
    char *modules = NULL, *transformer = NULL, *weights = NULL, *tokenizer = NULL;
    const char *at = dir;
    int rc = first_one(&modules, dir, "modules.json");

    if (rc == CTS_OK && modules) {
        rc = read_modules(s, &transformer, dir, modules);
        at = transformer;
    }
    if (rc != CTS_OK || (rc = first_of(&weights, at, weight_names, CTS_COUNT(weight_names))) != CTS_OK ||
        (rc = first_of(&tokenizer, at, tokenizer_names, CTS_COUNT(tokenizer_names))) != CTS_OK)
        goto out;
    if (tokenizer && ends(tokenizer, ".txt") && (rc = check_case(at)) != CTS_OK)
        goto out;
    if (weights) {
        if ((rc = set(&s->weights, at, "weights")) != CTS_OK || (rc = first_one(&m->config, at, "config.json")))
            goto out;
        m->tokenizer = tokenizer;
        tokenizer = NULL;
    } else if (tokenizer) {
        rc = set(&s->tokenizer, tokenizer, "tokenizers");
    } else {
        rc = cts_fail(CTS_E_NOTFOUND,
                      "%s: the folder holds neither weights (%s, %s or their index) nor a tokenizer (%s, %s)", at,
                      weight_names[0], weight_names[2], tokenizer_names[0], tokenizer_names[1]);
    }
out:
    free(modules);
    free(transformer);
    free(weights);
    free(tokenizer);
    return rc;
}

static int add(cts_import_sources *s, implied *m, const char *path)
{
    if (cts_is_dir(path))
        return add_folder(s, m, path);
    if (ends(path, ".txt") || ends(path, ".model"))
        return set(&s->tokenizer, path, "tokenizers");
    if (ends(path, ".json") && !ends(path, ".index.json"))
        return set(&s->config, path, "configurations");
    return set(&s->weights, path, "weights");
}

/* What an import makes is no input of one. */
static int check_foreign(const json_t *config, const char *path)
{
    const char *format = json_string_value(json_object_get(config, "format"));

    if (format && !strcmp(format, "ctsearch-clip"))
        return cts_fail(CTS_E_USAGE,
                        "%s: this is a model folder of ctsearch already, which needs no import: give the "
                        "folder to --model",
                        path);
    return CTS_OK;
}

int cts_import_sources_find(cts_import_sources *out, const char *const *paths, int n)
{
    cts_import_sources s = {0};
    implied m = {0};
    int rc = CTS_OK;

    for (int i = 0; rc == CTS_OK && i < n; i++)
        rc = cts_file_exists(paths[i]) ? add(&s, &m, paths[i])
                                       : cts_fail(CTS_E_NOTFOUND, "%s: no such file or folder", paths[i]);
    if (rc == CTS_OK && !s.weights)
        rc = cts_fail(CTS_E_USAGE, "no file of weights among those given");
    if (rc != CTS_OK)
        goto out;
    if (!s.tokenizer) {
        s.tokenizer = m.tokenizer;
        m.tokenizer = NULL;
    }
    if (!s.config) {
        s.config = m.config;
        m.config = NULL;
    }
    if (s.config && ((rc = cts_json_load(&s.config_json, s.config, MAX_JSON)) != CTS_OK ||
                     (rc = check_foreign(s.config_json, s.config)) != CTS_OK))
        goto out;
    *out = s;
    memset(&s, 0, sizeof s);
out:
    free(m.tokenizer);
    free(m.config);
    cts_import_sources_clear(&s);
    return rc;
}

void cts_import_sources_clear(cts_import_sources *s)
{
    free(s->weights);
    free(s->tokenizer);
    free(s->config);
    json_decref(s->config_json);
    memset(s, 0, sizeof *s);
}
