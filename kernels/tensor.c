/* SPDX-License-Identifier: MIT */
#include "kernels/tensor.h"

#include <stdio.h>

#include "kernels/base/check.h"

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {{"f32", 4}, {"bf16", 2}, {"f16", 2}, {"i32", 4}, {"u8", 1}};

_Static_assert(CTS_COUNT(dtypes) == CTS_DTYPE_COUNT, "a row a dtype");

size_t cts_dtype_bytes(cts_dtype t)
{
    return dtypes[t].bytes;
}

const char *cts_dtype_name(cts_dtype t)
{
    return dtypes[t].name;
}

static int64_t product(int ndim, const int64_t *shape)
{
    int64_t n = 1;

    for (int i = 0; i < ndim; i++)
        n *= shape[i];
    return n;
}

int64_t cts_tensor_count(const cts_tensor *t)
{
    return product(t->ndim, t->shape);
}

int64_t cts_tensor_span(const cts_tensor *t)
{
    int64_t last = 0;

    for (int i = 0; i < t->ndim; i++)
        last += (t->shape[i] - 1) * t->stride[i];
    return last + 1;
}

int64_t cts_tensor_rows(const cts_tensor *t)
{
    return t->ndim ? product(t->ndim - 1, t->shape) : 1;
}

int64_t cts_tensor_channels(const cts_tensor *t)
{
    return t->ndim ? t->shape[t->ndim - 1] : 1;
}

const char *cts_shape_text(char buf[96], int ndim, const int64_t *shape)
{
    size_t at = 0;

    at += (size_t)snprintf(buf, 96, "[");
    for (int i = 0; i < ndim && at < 90; i++)
        at += (size_t)snprintf(buf + at, 96 - at, "%s%lld", i ? ", " : "", (long long)shape[i]);
    if (at < 95)
        snprintf(buf + at, 96 - at, "]");
    return buf;
}

int64_t cts_view_count(const cts_view *v)
{
    return product(v->ndim, v->shape);
}

int64_t cts_view_rows(const cts_view *v)
{
    return v->ndim ? product(v->ndim - 1, v->shape) : 1;
}

int64_t cts_view_channels(const cts_view *v)
{
    return v->ndim ? v->shape[v->ndim - 1] : 1;
}

bool cts_view_dense(const cts_view *v)
{
    int64_t n = 1;

    for (int i = v->ndim - 1; i >= 0; i--) {
        if (v->shape[i] != 1 && v->stride[i] != n)
            return false;
        n *= v->shape[i];
    }
    return true;
}
