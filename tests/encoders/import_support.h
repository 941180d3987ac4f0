/* State dicts as other programs write them, made from a model of ours: the same values under published names.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_ENCODERS_IMPORT_SUPPORT_H
#define CTS_TESTS_ENCODERS_IMPORT_SUPPORT_H

#include "encoders/import/import.h"
#include "encoders/model_dir.h"
#include "kernels/base/str.h"
#include "tests/support/scratch.h"

#define DICT_MAX 1024

typedef struct {
    cts_st_tensor t[DICT_MAX];
    char *name[DICT_MAX];
    float *own[DICT_MAX]; /* NULL where the model's data is used */
    int n;
} dict;

static inline void dict_add(dict *d, const char *name, cts_st_dtype dtype, int ndim, const int64_t *shape,
                            const float *data)
{
    cts_st_tensor *t = &d->t[d->n];
    int64_t count = 1;

    assert_true(d->n < DICT_MAX);
    for (int i = 0; i < ndim; i++)
        count *= shape[i];
    if (!data)
        data = d->own[d->n] = cts_test_alloc((size_t)count * 8 + 8); /* zeros */
    d->name[d->n] = cts_strdup(name);
    *t = (cts_st_tensor){d->name[d->n], dtype, ndim, {0}, count, (const uint8_t *)data};
    for (int i = 0; i < ndim; i++)
        t->shape[i] = shape[i];
    d->n++;
}

/* Zeros of dtype F32. */
static inline void dict_zeros(dict *d, const char *name, int ndim, const int64_t *shape)
{
    dict_add(d, name, CTS_ST_F32, ndim, shape, NULL);
}

static inline void dict_of(dict *d, const cts_params *p)
{
    memset(d, 0, sizeof *d);
    for (int i = 0; i < cts_params_n(p); i++) {
        const cts_param *e = cts_params_get(p, i);

        dict_add(d, e->name, CTS_ST_F32, e->ndim, e->shape, e->data);
    }
}

static inline int dict_find(const dict *d, const char *name)
{
    for (int i = 0; i < d->n; i++)
        if (!strcmp(d->name[i], name))
            return i;
    fail_msg("the state dict has no %s", name);
    return -1;
}

static inline void dict_remove(dict *d, const char *name)
{
    int i = dict_find(d, name);

    free(d->name[i]);
    free(d->own[i]);
    d->n--;
    for (; i < d->n; i++) {
        d->t[i] = d->t[i + 1];
        d->name[i] = d->name[i + 1];
        d->own[i] = d->own[i + 1];
    }
}

static inline void dict_set_name(dict *d, int i, char *name)
{
    free(d->name[i]);
    d->t[i].name = d->name[i] = name;
}

/* In every name the first `from` becomes `to`; returns how many had it. */
static inline int dict_rename(dict *d, const char *from, const char *to)
{
    int n = 0;

    for (int i = 0; i < d->n; i++) {
        char *at = strstr(d->name[i], from);

        if (!at)
            continue;
        dict_set_name(d, i, cts_asprintf("%.*s%s%s", (int)(at - d->name[i]), d->name[i], to, at + strlen(from)));
        n++;
    }
    return n;
}

static inline void dict_prefix(dict *d, const char *prefix)
{
    for (int i = 0; i < d->n; i++)
        dict_set_name(d, i, cts_asprintf("%s%s", prefix, d->name[i]));
}

/* Keep the names that begin with prefix, without it. */
static inline void dict_keep(dict *d, const char *prefix)
{
    size_t k = strlen(prefix);

    for (int i = d->n - 1; i >= 0; i--) {
        if (strncmp(d->name[i], prefix, k) != 0)
            dict_remove(d, d->name[i]);
        else
            dict_set_name(d, i, cts_strdup(d->name[i] + k));
    }
}

static inline void dict_clear(dict *d)
{
    for (int i = 0; i < d->n; i++) {
        free(d->name[i]);
        free(d->own[i]);
    }
    memset(d, 0, sizeof *d);
}

static inline void dict_write(const dict *d, const char *path)
{
    MUST(cts_safetensors_write(path, d->n, d->t, NULL));
}

/* A model with drawn values of a config.json. */
static inline cts_clip *import_model(const char *json)
{
    cts_clip_config c = {0};
    cts_clip *m = NULL;
    json_t *j = json_loads(json, 0, NULL);

    if (!j)
        fail_msg("no JSON: %s", json);
    MUST(cts_clip_config_parse(&c, j, "test"));
    MUST(cts_clip_create_init(&m, &c, 7));
    json_decref(j);
    return m;
}

/* Plan of the file at path; the weights stay open in *w. */
static inline int import_plan(cts_import_plan **p, cts_weights **w, const char *path, const cts_import_options *o)
{
    int rc;

    *p = NULL;
    *w = NULL;
    if ((rc = cts_weights_open(w, path)) == CTS_OK && (rc = cts_import_plan_create(p, *w, o)) != CTS_OK) {
        cts_weights_close(*w);
        *w = NULL;
    }
    return rc;
}

/* The file does not import, with this status and these two words in its sentence. */
static inline void import_refused(const char *path, const cts_import_options *o, int want, const char *a, const char *b)
{
    cts_import_plan *p = NULL;
    cts_weights *w = NULL;

    cts_assert_refused(import_plan(&p, &w, path, o), want, a);
    if (!strstr(cts_error(), b))
        fail_msg("\"%s\" does not hold \"%s\"", cts_error(), b);
    assert_null(p);
}

/* Import the file at path into dir and load that. */
static inline cts_model *import_load(const char *path, const cts_import_options *o, const char *dir)
{
    cts_import_extras extras = {0};
    cts_import_plan *p = NULL;
    cts_weights *w = NULL;
    cts_model *m = NULL;

    MUST(import_plan(&p, &w, path, o));
    MUST(cts_import_write(p, dir, &extras));
    cts_import_plan_destroy(p);
    cts_weights_close(w);
    MUST(cts_model_dir_load(&m, dir));
    return m;
}

#endif
