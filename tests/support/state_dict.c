/* SPDX-License-Identifier: MIT */
#include "tests/support/state_dict.h"

#include "kernels/base/str.h"

void cts_dict_add(cts_dict *d, const char *name, cts_st_dtype dtype, int ndim, const int64_t *shape, const float *data)
{
    cts_st_tensor *t = &d->t[d->n];
    int64_t count = 1;

    assert_true(d->n < CTS_DICT_MAX);
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

void cts_dict_zeros(cts_dict *d, const char *name, int ndim, const int64_t *shape)
{
    cts_dict_add(d, name, CTS_ST_F32, ndim, shape, NULL);
}

void cts_dict_of(cts_dict *d, const cts_params *p)
{
    memset(d, 0, sizeof *d);
    for (int i = 0; i < cts_params_n(p); i++) {
        const cts_param *e = cts_params_get(p, i);

        cts_dict_add(d, e->name, CTS_ST_F32, e->ndim, e->shape, e->data);
    }
}

int cts_dict_find(const cts_dict *d, const char *name)
{
    for (int i = 0; i < d->n; i++)
        if (!strcmp(d->name[i], name))
            return i;
    fail_msg("the state dict has no %s", name);
    return -1;
}

void cts_dict_remove(cts_dict *d, const char *name)
{
    int i = cts_dict_find(d, name);

    free(d->name[i]);
    free(d->own[i]);
    d->n--;
    for (; i < d->n; i++) {
        d->t[i] = d->t[i + 1];
        d->name[i] = d->name[i + 1];
        d->own[i] = d->own[i + 1];
    }
}

void cts_dict_set_name(cts_dict *d, int i, char *name)
{
    free(d->name[i]);
    d->t[i].name = d->name[i] = name;
}

int cts_dict_rename(cts_dict *d, const char *from, const char *to)
{
    int n = 0;

    for (int i = 0; i < d->n; i++) {
        char *at = strstr(d->name[i], from);

        if (!at)
            continue;
        cts_dict_set_name(d, i, cts_asprintf("%.*s%s%s", (int)(at - d->name[i]), d->name[i], to, at + strlen(from)));
        n++;
    }
    return n;
}

void cts_dict_prefix(cts_dict *d, const char *prefix)
{
    for (int i = 0; i < d->n; i++)
        cts_dict_set_name(d, i, cts_asprintf("%s%s", prefix, d->name[i]));
}

void cts_dict_keep(cts_dict *d, const char *prefix)
{
    size_t k = strlen(prefix);

    for (int i = d->n - 1; i >= 0; i--) {
        if (strncmp(d->name[i], prefix, k) != 0)
            cts_dict_remove(d, d->name[i]);
        else
            cts_dict_set_name(d, i, cts_strdup(d->name[i] + k));
    }
}

void cts_dict_clear(cts_dict *d)
{
    for (int i = 0; i < d->n; i++) {
        free(d->name[i]);
        free(d->own[i]);
    }
    memset(d, 0, sizeof *d);
}

void cts_dict_write(const cts_dict *d, const char *path)
{
    MUST(cts_safetensors_write(path, d->n, d->t, NULL));
}

cts_clip *cts_dict_model(const char *json)
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

int cts_dict_plan(cts_import_plan **p, cts_weights **w, const char *path, const cts_import_options *o)
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

void cts_dict_refused(const char *path, const cts_import_options *o, int want, const char *a, const char *b)
{
    cts_import_plan *p = NULL;
    cts_weights *w = NULL;

    cts_assert_refused(cts_dict_plan(&p, &w, path, o), want, a);
    if (!strstr(cts_error(), b))
        fail_msg("\"%s\" does not hold \"%s\"", cts_error(), b);
    assert_null(p);
}

cts_model *cts_dict_load(const char *path, const cts_import_options *o, const char *dir)
{
    cts_import_extras extras;
    cts_import_plan *p = NULL;
    cts_weights *w = NULL;
    cts_model *m = NULL;

    memset(&extras, 0, sizeof extras);
    MUST(cts_dict_plan(&p, &w, path, o));
    MUST(cts_import_write(p, dir, &extras));
    cts_import_plan_destroy(p);
    cts_weights_close(w);
    MUST(cts_model_dir_load(&m, dir));
    return m;
}
