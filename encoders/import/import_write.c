/* Writing the model folder of a plan: one pass over the model's tensors, each in pieces from the mapped file.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "encoders/import/import_internal.h"
#include "encoders/model_dir.h"
#include "encoders/model_swap.h"
#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "kernels/base/log.h"
#include "kernels/base/signal.h"
#include "kernels/base/status.h"

/* Elements converted and written at a time: 8 MB make the calls cost nothing and are done before anybody who pressed
 * Ctrl-C notices. */
#define PIECE ((int64_t)2 << 20)

typedef struct {
    cts_st_writer *out;
    const cts_weights *weights;
    float *buffer; /* [cap] */
    int64_t cap;
    cts_progress bar;
    uint64_t done; /* bytes */
} pass;

/* float32 of this machine's byte order, row after row without gaps */
static bool is_plain(const cts_weight *t)
{
    int64_t step = 1;

    if (t->dtype != CTS_ST_F32 || t->swapped)
        return false;
    for (int i = t->ndim - 1; i >= 0; i--) {
        if (t->shape[i] != 1 && t->stride[i] != step)
            return false;
        step *= t->shape[i];
    }
    return true;
}

static int grow(pass *s, int64_t n)
{
    float *p;

    if (n <= s->cap)
        return CTS_OK;
    if (!(p = realloc(s->buffer, (size_t)n * sizeof *p)))
        return cts_fail(CTS_E_NOMEM, "out of memory for a piece of %lld values", (long long)n);
    s->buffer = p;
    s->cap = n;
    return CTS_OK;
}

static int put(pass *s, const void *data, int64_t n)
{
    int rc;

    if (cts_interrupted())
        return cts_fail(CTS_E_INTERRUPTED, "interrupted: no model was written");
    if ((rc = cts_st_writer_add(s->out, data, (size_t)n * sizeof(float))) != CTS_OK)
        return rc;
    s->done += (uint64_t)n * sizeof(float);
    cts_progress_set(&s->bar, s->done, NULL);
    return CTS_OK;
}

static int put_value(pass *s, float value, int64_t n)
{
    int rc = grow(s, cts_min_i64(n, PIECE));

    for (int64_t i = 0; rc == CTS_OK && i < cts_min_i64(n, PIECE); i++)
        s->buffer[i] = value;
    for (int64_t at = 0; rc == CTS_OK && at < n; at += PIECE)
        rc = put(s, s->buffer, cts_min_i64(n - at, PIECE));
    return rc;
}

/* The rows [from, from + n) of the first axis that is longer than 1, as a tensor of its own. */
static cts_weight rows_of(const cts_weight *t, int axis, int64_t from, int64_t n)
{
    cts_weight part = *t;

    part.data += (size_t)(from * t->stride[axis]) * cts_st_dtype_bytes(t->dtype);
    part.shape[axis] = n;
    part.count = t->count / t->shape[axis] * n;
    return part;
}

/* CTS_E_INPUT when one of the n values, of any alignment, is no finite number. */
static int check_finite(const pass *s, const cts_weight *t, const void *values, int64_t n)
{
    const uint8_t *p = values;
    uint32_t bits, odd = 0;
    float first;

    for (int64_t i = 0; i < n; i++) {
        memcpy(&bits, p + 4 * i, sizeof bits);
        odd |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    if (!odd)
        return CTS_OK;
    for (first = 0.0f; isfinite(first); p += 4)
        memcpy(&first, p, sizeof first);
    return cts_fail(CTS_E_INPUT, "%s: tensor %s holds %g%s, allowed are finite numbers", cts_weights_path(s->weights),
                    t->name, (double)first, t->dtype == CTS_ST_F64 ? " as a float of 4 bytes" : "");
}

/* In pieces of whole rows. What is stored as we write it goes out from where it lies in the mapped file; pages behind
 * the pass are given back. */
static int put_weight(pass *s, const cts_weight *t)
{
    bool plain = is_plain(t);
    int64_t rows = 1, step;
    int axis = 0, rc = CTS_OK;

    while (axis < t->ndim - 1 && t->shape[axis] == 1)
        axis++;
    if (t->ndim > 0)
        rows = t->shape[axis];
    if (t->count == 0)
        return CTS_OK;
    step = cts_max_i64(1, PIECE / (t->count / rows));
    for (int64_t at = 0; rc == CTS_OK && at < rows; at += step) {
        cts_weight part = t->ndim ? rows_of(t, axis, at, cts_min_i64(step, rows - at)) : *t;

        if (!plain && (rc = grow(s, part.count)) == CTS_OK)
            cts_weight_to_f32(s->buffer, &part);
        if (rc == CTS_OK &&
            (rc = check_finite(s, t, plain ? (const void *)part.data : s->buffer, part.count)) == CTS_OK)
            rc = put(s, plain ? (const void *)part.data : s->buffer, part.count);
        cts_weight_release(&part);
    }
    return rc;
}

static int write_tensors(const cts_import_plan *p, const char *path)
{
    const cts_params *params = p->model->params;
    int n = cts_params_n(params), rc;
    cts_st_tensor *t = calloc((size_t)n + 1, sizeof *t);
    json_t *meta = json_pack("{s:s}", "format", "ctsearch-model");
    pass s = {.weights = p->weights};
    uint64_t total = 0;

    if (!t || !meta) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for a list of %d tensors", n);
        goto out;
    }
    for (int i = 0; i < n; i++) {
        const cts_param *e = cts_params_get(params, i);

        t[i] = (cts_st_tensor){.name = e->name, .dtype = CTS_ST_F32, .ndim = e->ndim, .count = e->count};
        memcpy(t[i].shape, e->shape, sizeof t[i].shape);
        total += (uint64_t)e->count * sizeof(float);
    }
    if ((rc = cts_st_writer_open(&s.out, path, n, t, meta)) != CTS_OK)
        goto out;
    cts_progress_start(&s.bar, "import", total);
    for (int i = 0; rc == CTS_OK && i < n; i++) {
        const plan_row *r = p->source[i];

        rc = r->w ? put_weight(&s, r->w) : put_value(&s, r->value, t[i].count);
    }
    cts_progress_end(&s.bar);
    if (rc == CTS_OK)
        rc = cts_st_writer_commit(s.out);
out:
    cts_st_writer_destroy(s.out);
    free(s.buffer);
    free(t);
    json_decref(meta);
    return rc;
}

static int write_json(const char *dir, const char *name, const json_t *j)
{
    char *path = cts_path_join(dir, name);
    int rc = path ? cts_json_save(j, path) : cts_fail(CTS_E_NOMEM, "%s: out of memory for %s", dir, name);

    free(path);
    return rc;
}

int cts_import_write(const cts_import_plan *p, const char *dir, const cts_import_extras *extras)
{
    cts_model_swap *s = NULL;
    char *path = NULL;
    int rc;

    if ((rc = cts_model_swap_begin(&s, dir)) != CTS_OK)
        goto out;
    if (!(path = cts_path_join(cts_model_swap_dir(s), "model.safetensors"))) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory", dir);
        goto out;
    }
    if ((rc = cts_model_dir_write_rest(cts_model_swap_dir(s), &p->model->config, extras->tokenizer_path,
                                       extras->preprocess)) != CTS_OK ||
        (extras->provenance &&
         (rc = write_json(cts_model_swap_dir(s), "provenance.json", extras->provenance)) != CTS_OK) ||
        (rc = write_tensors(p, path)) != CTS_OK)
        goto out;
    rc = cts_model_swap_commit(s);
out:
    free(path);
    cts_model_swap_destroy(s);
    return rc;
}
