/* Writing safetensors: the header first, then the data in one pass, so that a file of any size needs the memory of one
 * piece. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "encoders/safetensors.h"
#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "kernels/base/status.h"

#define DATA_ALIGN 64

struct cts_st_writer {
    cts_writer *file;
    size_t left; /* bytes of data still to come */
};

static size_t bytes_of(const cts_st_tensor *t)
{
    return (size_t)t->count * cts_st_dtype_bytes(t->dtype);
}

static json_t *describe(const cts_st_tensor *t, size_t begin)
{
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", cts_st_dtype_name(t->dtype), "shape",
                     cts_json_from_ints(t->shape, (size_t)t->ndim), "data_offsets", (json_int_t)begin,
                     (json_int_t)(begin + bytes_of(t)));
}

/* The header's text, padded with spaces so that the data, which follows it and its 8 bytes of length, starts at a cache
 * line: a mapped file is used where it lies. NULL when out of memory. */
static char *header_text(size_t *n, int n_tensors, const cts_st_tensor *t, const json_t *metadata)
{
    json_t *h = json_object();
    size_t at = 0, len;
    char *text = NULL, *padded;

    if (!h || (metadata && json_object_set(h, "__metadata__", (json_t *)metadata) != 0))
        goto out;
    for (int i = 0; i < n_tensors; i++) {
        CTS_ASSERT(!json_object_get(h, t[i].name), "two tensors named %s", t[i].name);
        if (json_object_set_new(h, t[i].name, describe(&t[i], at)) != 0)
            goto out;
        at += bytes_of(&t[i]);
    }
    if (!(text = json_dumps(h, JSON_COMPACT)))
        goto out;
    len = strlen(text);
    *n = (8 + len + DATA_ALIGN - 1) / DATA_ALIGN * DATA_ALIGN - 8;
    if (!(padded = realloc(text, *n + 1))) {
        free(text);
        text = NULL;
        goto out;
    }
    text = padded;
    memset(text + len, ' ', *n - len);
out:
    json_decref(h);
    return text;
}

int cts_st_writer_open(cts_st_writer **out, const char *path, int n, const cts_st_tensor *t, const json_t *metadata)
{
    cts_st_writer *w = calloc(1, sizeof *w);
    size_t n_header = 0;
    char *header = header_text(&n_header, n, t, metadata);
    uint64_t length = n_header;
    int rc;

    if (!header || !w) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for a header of %d tensors", path, n);
        goto out;
    }
    for (int i = 0; i < n; i++)
        w->left += bytes_of(&t[i]);
    if ((rc = cts_writer_open(&w->file, path)) != CTS_OK ||
        (rc = cts_writer_write(w->file, &length, sizeof length)) != CTS_OK ||
        (rc = cts_writer_write(w->file, header, n_header)) != CTS_OK)
        goto out;
    *out = w;
    w = NULL;
out:
    cts_st_writer_destroy(w);
    free(header);
    return rc;
}

int cts_st_writer_add(cts_st_writer *w, const void *data, size_t n)
{
    CTS_ASSERT(n <= w->left, "%zu bytes of data, %zu are left of the tensors announced", n, w->left);
    w->left -= n;
    return cts_writer_write(w->file, data, n);
}

int cts_st_writer_commit(cts_st_writer *w)
{
    CTS_ASSERT(w->left == 0, "%zu bytes of the tensors announced are missing", w->left);
    return cts_writer_commit(w->file);
}

void cts_st_writer_destroy(cts_st_writer *w)
{
    if (!w)
        return;
    cts_writer_destroy(w->file);
    free(w);
}

int cts_safetensors_write(const char *path, int n, const cts_st_tensor *t, const json_t *metadata)
{
    cts_st_writer *w = NULL;
    int rc = cts_st_writer_open(&w, path, n, t, metadata);

    for (int i = 0; rc == CTS_OK && i < n; i++)
        rc = cts_st_writer_add(w, t[i].data, bytes_of(&t[i]));
    if (rc == CTS_OK)
        rc = cts_st_writer_commit(w);
    cts_st_writer_destroy(w);
    return rc;
}
