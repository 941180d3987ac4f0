/* Parameters from and to safetensors, strictly by name and shape. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "encoders/model_dir.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

static bool fits(const cts_param *p, const cts_st_tensor *t)
{
    if (t->ndim == 0)
        return p->count == 1 && p->ndim <= 1;
    return t->ndim == p->ndim && !memcmp(t->shape, p->shape, (size_t)t->ndim * sizeof *t->shape);
}

static int check_entry(const cts_param *p, const cts_st_tensor *t, const char *name, const cts_safetensors *s)
{
    char got[96], want[96];

    if (!t)
        return cts_fail(CTS_E_MISMATCH, "%s: tensor %s %s is missing", cts_safetensors_path(s), name,
                        cts_shape_text(want, p->ndim, p->shape));
    if (!fits(p, t))
        return cts_fail(CTS_E_MISMATCH, "%s: tensor %s has shape %s, the configuration wants %s",
                        cts_safetensors_path(s), name, cts_shape_text(got, t->ndim, t->shape),
                        cts_shape_text(want, p->ndim, p->shape));
    return CTS_OK;
}

static int check_extra(const cts_params *p, const cts_safetensors *s, const char *prefix)
{
    size_t n = strlen(prefix);
    char got[96];

    for (int i = 0; i < cts_safetensors_n(s); i++) {
        const cts_st_tensor *t = cts_safetensors_at(s, i);

        if (!strncmp(t->name, prefix, n) && cts_params_find(p, t->name + n) < 0)
            return cts_fail(CTS_E_MISMATCH, "%s: tensor %s %s is extra, the configuration has none of that name",
                            cts_safetensors_path(s), t->name, cts_shape_text(got, t->ndim, t->shape));
    }
    return CTS_OK;
}

/* tensor [n] = where the data of each entry is; nothing of p is touched. */
static int find_all(const cts_st_tensor **tensor, const cts_params *p, const cts_safetensors *s, const char *prefix)
{
    for (int i = 0; i < cts_params_n(p); i++) {
        const cts_param *e = cts_params_get(p, i);
        char *name = cts_asprintf("%s%s", prefix, e->name);
        int rc;

        if (!name)
            return cts_fail(CTS_E_NOMEM, "out of memory while loading %s", e->name);
        tensor[i] = cts_safetensors_find(s, name);
        rc = check_entry(e, tensor[i], name, s);
        free(name);
        if (rc != CTS_OK)
            return rc;
    }
    return check_extra(p, s, prefix);
}

/* Whether an entry can lie where its tensor lies: the kernels take floats at any multiple of 4. */
static bool in_place(const cts_st_tensor *t)
{
    return t->dtype == CTS_ST_F32 && (uintptr_t)t->data % sizeof(float) == 0;
}

static void close_map(void *s)
{
    cts_safetensors_close(s);
}

/* With `map`, which is p's from then on, entries lie in it where they can. */
static int load(cts_params *p, const cts_safetensors *s, const char *prefix, cts_safetensors **map)
{
    int n = cts_params_n(p), rc;
    const cts_st_tensor **t = calloc((size_t)n + 1, sizeof *t);

    if (!t)
        return cts_fail(CTS_E_NOMEM, "out of memory for a list of %d tensors", n);
    if ((rc = find_all(t, p, s, prefix)) != CTS_OK)
        goto out;
    if (map) {
        for (int i = 0; i < n; i++)
            if (in_place(t[i]))
                cts_params_bind(p, i, (float *)(uintptr_t)t[i]->data);
        cts_params_keep(p, *map, close_map);
        *map = NULL;
    }
    if ((rc = cts_params_alloc(p)) != CTS_OK)
        goto out;
    for (int i = 0; i < n; i++)
        if ((const uint8_t *)cts_params_get(p, i)->data != t[i]->data)
            cts_st_to_f32(cts_params_at(p, i)->data, t[i]);
out:
    free(t);
    return rc;
}

int cts_params_load(cts_params *p, const cts_safetensors *s, const char *prefix)
{
    return load(p, s, prefix, NULL);
}

int cts_params_map(cts_params *p, const char *path)
{
    cts_safetensors *s = NULL;
    int rc;

    if ((rc = cts_safetensors_open_private(&s, path)) == CTS_OK)
        rc = load(p, s, "", &s);
    cts_safetensors_close(s);
    return rc;
}

void cts_st_names_free(char **names, int n)
{
    for (int i = 0; names && i < n; i++)
        free(names[i]);
    free(names);
}

int cts_params_tensors(cts_st_tensor **out, char ***out_names, const cts_params *p, const char *prefix, int extra)
{
    int n = cts_params_n(p);
    cts_st_tensor *t = calloc((size_t)(n + extra) + 1, sizeof *t);
    char **names = calloc((size_t)(n + extra) + 1, sizeof *names);

    if (!t || !names)
        goto fail;
    for (int i = 0; i < n; i++) {
        const cts_param *e = cts_params_get(p, i);

        CTS_ASSERT(e->data, "%s has no data to save", e->name);
        if (!(names[i] = cts_asprintf("%s%s", prefix, e->name)))
            goto fail;
        t[i] = (cts_st_tensor){names[i], CTS_ST_F32, e->ndim, {0}, e->count, (const uint8_t *)e->data};
        memcpy(t[i].shape, e->shape, sizeof t[i].shape);
    }
    *out = t;
    *out_names = names;
    return CTS_OK;
fail:
    cts_st_names_free(names, n);
    free(t);
    return cts_fail(CTS_E_NOMEM, "out of memory for a list of %d tensors", n);
}
