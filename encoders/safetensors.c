/* SPDX-License-Identifier: MIT */
#include "encoders/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/bytes.h"
#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/half.h"
#include "kernels/base/json.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are copied as they lie in the file");

static const struct {
    const char *name;
    size_t bytes;
} dtypes[CTS_ST_COUNT] = {
    [CTS_ST_F64] = {"F64", 8},   [CTS_ST_F32] = {"F32", 4}, [CTS_ST_F16] = {"F16", 2}, [CTS_ST_BF16] = {"BF16", 2},
    [CTS_ST_I64] = {"I64", 8},   [CTS_ST_I32] = {"I32", 4}, [CTS_ST_I16] = {"I16", 2}, [CTS_ST_I8] = {"I8", 1},
    [CTS_ST_U64] = {"U64", 8},   [CTS_ST_U32] = {"U32", 4}, [CTS_ST_U16] = {"U16", 2}, [CTS_ST_U8] = {"U8", 1},
    [CTS_ST_BOOL] = {"BOOL", 1},
};

size_t cts_st_dtype_bytes(cts_st_dtype t)
{
    return dtypes[t].bytes;
}

const char *cts_st_dtype_name(cts_st_dtype t)
{
    return dtypes[t].name;
}

struct cts_safetensors {
    cts_map map;
    char *path;
    json_t *header; /* names and metadata live in it */
    cts_st_tensor *t;
    int n;
};

static int parse_dtype(cts_st_tensor *t, const json_t *j, const char *path)
{
    const char *name = json_string_value(json_object_get(j, "dtype"));

    if (!name)
        return cts_fail(CTS_E_FORMAT, "%s: tensor %s: field \"dtype\" is missing or no string", path, t->name);
    for (int i = 0; i < CTS_ST_COUNT; i++)
        if (!strcmp(name, dtypes[i].name)) {
            t->dtype = (cts_st_dtype)i;
            return CTS_OK;
        }
    return cts_fail(CTS_E_UNSUPPORTED, "%s: tensor %s: dtype \"%.16s\" is not supported", path, t->name, name);
}

static int parse_shape(cts_st_tensor *t, const json_t *j, const char *path)
{
    const json_t *a = json_object_get(j, "shape");
    size_t count = 1;

    if (!json_is_array(a))
        return cts_fail(CTS_E_FORMAT, "%s: tensor %s: field \"shape\" is missing or no array", path, t->name);
    if (json_array_size(a) > CTS_MAX_DIMS)
        return cts_fail(CTS_E_LIMIT, "%s: tensor %s has %zu axes, allowed at most %d", path, t->name,
                        json_array_size(a), CTS_MAX_DIMS);
    t->ndim = (int)json_array_size(a);
    for (int i = 0; i < t->ndim; i++) {
        const json_t *v = json_array_get(a, (size_t)i);

        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return cts_fail(CTS_E_FORMAT, "%s: tensor %s: shape[%d] is no integer of 0 or more", path, t->name, i);
        t->shape[i] = json_integer_value(v);
        if (!cts_mul_size(&count, count, (size_t)t->shape[i]) || count > INT64_MAX / 8)
            return cts_fail(CTS_E_FORMAT, "%s: tensor %s: the shape's product overflows", path, t->name);
    }
    t->count = (int64_t)count;
    return CTS_OK;
}

static int parse_offsets(cts_st_tensor *t, const json_t *j, const uint8_t *data, size_t n_data, const char *path)
{
    const json_t *a = json_object_get(j, "data_offsets");
    const json_t *b = json_array_get(a, 0), *e = json_array_get(a, 1);
    size_t want = (size_t)t->count * dtypes[t->dtype].bytes;
    json_int_t begin = json_integer_value(b), end = json_integer_value(e);

    if (json_array_size(a) != 2 || !json_is_integer(b) || !json_is_integer(e))
        return cts_fail(CTS_E_FORMAT, "%s: tensor %s: field \"data_offsets\" is no pair of integers", path, t->name);
    if (begin < 0 || end < begin || (uint64_t)end > n_data)
        return cts_fail(CTS_E_FORMAT, "%s: tensor %s: data_offsets are %lld to %lld, allowed 0 to %zu, ascending", path,
                        t->name, (long long)begin, (long long)end, n_data);
    if ((size_t)(end - begin) != want)
        return cts_fail(CTS_E_FORMAT, "%s: tensor %s: %lld bytes of data, its shape and dtype want %zu", path, t->name,
                        (long long)(end - begin), want);
    t->data = data + begin;
    return CTS_OK;
}

static size_t bytes_of(const cts_st_tensor *t)
{
    return (size_t)t->count * dtypes[t->dtype].bytes;
}

static int by_place(const void *pa, const void *pb)
{
    const cts_st_tensor *a = pa, *b = pb;

    if (a->data != b->data)
        return a->data < b->data ? -1 : 1;
    return bytes_of(a) < bytes_of(b) ? -1 : bytes_of(a) > bytes_of(b); /* empty ones first */
}

static int by_name(const void *pa, const void *pb)
{
    return strcmp(((const cts_st_tensor *)pa)->name, ((const cts_st_tensor *)pb)->name);
}

/* The data area is covered exactly once. */
static int check_cover(const cts_safetensors *s, const uint8_t *data, size_t n_data)
{
    size_t at = 0;

    for (int i = 0; i < s->n; i++) {
        size_t begin = (size_t)(s->t[i].data - data);

        if (begin != at)
            return cts_fail(CTS_E_FORMAT, "%s: tensor %s starts at byte %zu of the data, %s at %zu", s->path,
                            s->t[i].name, begin, begin < at ? "overlapping one that ends" : "after a gap that begins",
                            at);
        at += bytes_of(&s->t[i]);
    }
    if (at != n_data)
        return cts_fail(CTS_E_FORMAT, "%s: %zu bytes of data, the tensors cover %zu", s->path, n_data, at);
    return CTS_OK;
}

static int check_metadata(const cts_safetensors *s)
{
    json_t *meta = json_object_get(s->header, "__metadata__");
    const char *key;
    json_t *v;

    if (meta && !json_is_object(meta))
        return cts_fail(CTS_E_FORMAT, "%s: field \"__metadata__\" is no object", s->path);
    json_object_foreach(meta, key, v) if (!json_is_string(v)) return cts_fail(
        CTS_E_FORMAT, "%s: __metadata__ \"%s\" is no string", s->path, key);
    return CTS_OK;
}

static int parse_header(cts_safetensors *s)
{
    cts_bytes b = cts_bytes_of(s->map.p, s->map.n);
    uint64_t n_header = cts_bytes_u64(&b);
    const uint8_t *text, *data;
    size_t n_data;
    const char *name;
    json_t *j;
    int rc;

    if (b.bad)
        return cts_fail(CTS_E_FORMAT, "%s: %zu bytes, a safetensors file has at least 8", s->path, s->map.n);
    if (n_header > CTS_SAFETENSORS_MAX_HEADER)
        return cts_fail(CTS_E_LIMIT, "%s: header of %llu bytes, allowed at most %u", s->path,
                        (unsigned long long)n_header, CTS_SAFETENSORS_MAX_HEADER);
    if (!(text = cts_bytes_take(&b, (size_t)n_header)))
        return cts_fail(CTS_E_FORMAT, "%s: header of %llu bytes in a file of %zu", s->path,
                        (unsigned long long)n_header, s->map.n);
    data = text + n_header;
    n_data = cts_bytes_left(&b);
    if ((rc = cts_json_parse(&s->header, (const char *)text, (size_t)n_header, s->path)) != CTS_OK)
        return rc;
    if (!json_is_object(s->header))
        return cts_fail(CTS_E_FORMAT, "%s: the header is no JSON object", s->path);
    if ((rc = check_metadata(s)) != CTS_OK)
        return rc;
    if (!(s->t = calloc(json_object_size(s->header) + 1, sizeof *s->t)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu tensors", s->path, json_object_size(s->header));
    json_object_foreach(s->header, name, j)
    {
        cts_st_tensor *t = &s->t[s->n];

        if (!strcmp(name, "__metadata__"))
            continue;
        t->name = name;
        if (!json_is_object(j))
            return cts_fail(CTS_E_FORMAT, "%s: tensor %s is no object", s->path, name);
        if ((rc = parse_dtype(t, j, s->path)) != CTS_OK || (rc = parse_shape(t, j, s->path)) != CTS_OK ||
            (rc = parse_offsets(t, j, data, n_data, s->path)) != CTS_OK)
            return rc;
        s->n++;
    }
    qsort(s->t, (size_t)s->n, sizeof *s->t, by_place);
    if ((rc = check_cover(s, data, n_data)) != CTS_OK)
        return rc;
    qsort(s->t, (size_t)s->n, sizeof *s->t, by_name);
    return CTS_OK;
}

static int open_map(cts_safetensors **out, const char *path, bool private)
{
    cts_safetensors *s = calloc(1, sizeof *s);
    int rc;

    if (!s || !(s->path = cts_strdup(path))) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory", path);
        goto out;
    }
    rc = private ? cts_map_open_private(&s->map, path, CTS_SAFETENSORS_MAX_BYTES)
                 : cts_map_open(&s->map, path, CTS_SAFETENSORS_MAX_BYTES);
    if (rc != CTS_OK || (rc = parse_header(s)) != CTS_OK)
        goto out;
    *out = s;
    s = NULL;
out:
    cts_safetensors_close(s);
    return rc;
}

int cts_safetensors_open(cts_safetensors **out, const char *path)
{
    return open_map(out, path, false);
}

int cts_safetensors_open_private(cts_safetensors **out, const char *path)
{
    return open_map(out, path, true);
}

void cts_safetensors_close(cts_safetensors *s)
{
    if (!s)
        return;
    json_decref(s->header);
    cts_map_close(&s->map);
    free(s->t);
    free(s->path);
    free(s);
}

const char *cts_safetensors_path(const cts_safetensors *s)
{
    return s->path;
}

int cts_safetensors_n(const cts_safetensors *s)
{
    return s->n;
}

const cts_st_tensor *cts_safetensors_at(const cts_safetensors *s, int i)
{
    CTS_ASSERT(i >= 0 && i < s->n, "tensor %d of %d", i, s->n);
    return &s->t[i];
}

const cts_st_tensor *cts_safetensors_find(const cts_safetensors *s, const char *name)
{
    cts_st_tensor key = {.name = name};

    return s->n ? bsearch(&key, s->t, (size_t)s->n, sizeof *s->t, by_name) : NULL;
}

const char *cts_safetensors_meta(const cts_safetensors *s, const char *key)
{
    return json_string_value(json_object_get(json_object_get(s->header, "__metadata__"), key));
}

#define CONVERT(type, expr)                                                                                            \
    for (int64_t i = 0; i < t->count; i++) {                                                                           \
        type v;                                                                                                        \
                                                                                                                       \
        memcpy(&v, t->data + (size_t)i * sizeof v, sizeof v);                                                          \
        dst[i] = (float)(expr);                                                                                        \
    }                                                                                                                  \
    break

void cts_st_to_f32(float *dst, const cts_st_tensor *t)
{
    switch (t->dtype) {
    case CTS_ST_F32:
        if (t->count)
            memcpy(dst, t->data, (size_t)t->count * sizeof *dst);
        break;
    case CTS_ST_F64:
        CONVERT(double, v);
    case CTS_ST_F16:
        CONVERT(uint16_t, cts_f16_to_f32(v));
    case CTS_ST_BF16:
        CONVERT(uint16_t, cts_bf16_to_f32(v));
    case CTS_ST_I64:
        CONVERT(int64_t, v);
    case CTS_ST_I32:
        CONVERT(int32_t, v);
    case CTS_ST_I16:
        CONVERT(int16_t, v);
    case CTS_ST_I8:
        CONVERT(int8_t, v);
    case CTS_ST_U64:
        CONVERT(uint64_t, v);
    case CTS_ST_U32:
        CONVERT(uint32_t, v);
    case CTS_ST_U16:
        CONVERT(uint16_t, v);
    case CTS_ST_U8:
        CONVERT(uint8_t, v);
    case CTS_ST_BOOL:
        CONVERT(uint8_t, v != 0);
    case CTS_ST_COUNT:
        break;
    }
}
