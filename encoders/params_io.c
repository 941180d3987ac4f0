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

int cts_params_load(cts_params *p, const cts_safetensors *s, const char *prefix)
{
    int n = cts_params_n(p), rc;

    /* first everything is looked at, then everything is copied */
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ((rc = check_extra(p, s, prefix)) != CTS_OK || (rc = cts_params_alloc(p)) != CTS_OK))
            return rc;
        for (int i = 0; i < n; i++) {
            cts_param *e = cts_params_at(p, i);
            char *name = cts_asprintf("%s%s", prefix, e->name);
            const cts_st_tensor *t;

            if (!name)
                return cts_fail(CTS_E_NOMEM, "out of memory while loading %s", e->name);
            t = cts_safetensors_find(s, name);
            rc = pass == 0 ? check_entry(e, t, name, s) : CTS_OK;
            free(name);
            if (rc != CTS_OK)
                return rc;
            if (pass == 1)
                cts_st_to_f32(e->data, t);
        }
    }
    return CTS_OK;
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
