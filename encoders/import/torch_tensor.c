/* SPDX-License-Identifier: MIT */
#include "encoders/import/torch_tensor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "encoders/import/torch_names.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"

#define MAX_KEY 64  /* of a storage; they are numbers */
#define MAX_WRAPS 4 /* a parameter of a tensor with a type ... */

typedef cts_pickle_value value;

struct storage {
    const uint8_t *data;
    size_t bytes;
    cts_st_dtype dtype; /* U8 of an untyped one: the tensor names its type */
    bool untyped;
};

static bool is_call(const value *v)
{
    return v->kind == CTS_PICKLE_CALL;
}

static const value *arg(const value *args, size_t i)
{
    return i < args->u.items.n ? args->u.items.v[i] : NULL;
}

static bool makes_tensor(cts_torch_group g)
{
    return g == CTS_TORCH_TENSOR || g == CTS_TORCH_TENSOR_V3 || g == CTS_TORCH_PARAMETER ||
           g == CTS_TORCH_TENSOR_AND_TYPE;
}

bool cts_torch_is_tensor(const cts_pickle_value *v)
{
    return is_call(v) && makes_tensor(cts_torch_group_of(v->of));
}

static int fail(const cts_weight *t, const cts_torch_archive *a, const char *what)
{
    return cts_fail(CTS_E_FORMAT, "%s: tensor %s: %s", a->path, t->name, what);
}

/* ---- the storage ----------------------------------------------------------------------------------------------- */

/* PREFIX/data/KEY of the archive. The key is a name in one folder, not a path. */
static int find_record(struct storage *s, const value *key, const cts_weight *t, const cts_torch_archive *a)
{
    const cts_zip_entry *e;
    int rc;
    char name[1024 + MAX_KEY + 16];

    if (key->kind != CTS_PICKLE_TEXT || !key->u.text.n || key->u.text.n > MAX_KEY)
        return fail(t, a, "the key of its storage is no short string");
    for (size_t i = 0; i < key->u.text.n; i++) {
        char c = key->u.text.p[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-'))
            return fail(t, a, "the key of its storage is no plain name (letters, digits, - and _)");
    }
    snprintf(name, sizeof name, "%s/data/%.*s", a->prefix, (int)key->u.text.n, key->u.text.p);
    if (!(e = cts_zip_find(a->zip, name)))
        return cts_fail(CTS_E_FORMAT, "%s: tensor %s: its storage %s is not in the archive", a->path, t->name, name);
    if ((rc = cts_zip_stored(a->zip, e)) != CTS_OK)
        return rc;
    s->data = e->data;
    s->bytes = e->n;
    return CTS_OK;
}

/* The persistent id: ("storage", class, key, where it lived, number of elements). */
static int read_storage(struct storage *s, const value *v, const cts_weight *t, const cts_torch_archive *a)
{
    const value *id = v && v->kind == CTS_PICKLE_PERSISTENT ? v->args : NULL, *cls, *n;
    size_t want;
    int rc;

    if (!id || id->kind != CTS_PICKLE_TUPLE || id->u.items.n != 5 || !cts_pickle_is_text(id->u.items.v[0], "storage") ||
        id->u.items.v[1]->kind != CTS_PICKLE_CLASS)
        return fail(t, a, "its storage is no (\"storage\", class, key, device, count)");
    cls = id->u.items.v[1];
    n = id->u.items.v[4];
    s->untyped = cts_torch_group_of(cls->of) == CTS_TORCH_UNTYPED;
    if (!s->untyped && cts_torch_group_of(cls->of) != CTS_TORCH_STORAGE)
        return cts_fail(CTS_E_FORMAT, "%s: tensor %s: %s.%s is no class of a storage", a->path, t->name,
                        cls->of->module, cls->of->name);
    s->dtype = s->untyped ? CTS_ST_U8 : cts_torch_dtype_of(cls->of);
    if (s->dtype == CTS_TORCH_NO_DTYPE)
        return cts_fail(CTS_E_UNSUPPORTED, "%s: tensor %s: a %s, whose element type is not read", a->path, t->name,
                        cls->of->name);
    if (n->kind != CTS_PICKLE_INT || n->u.i < 0 || !cts_mul_size(&want, (size_t)n->u.i, cts_st_dtype_bytes(s->dtype)))
        return fail(t, a, "the count of its storage is no number of elements");
    if ((rc = find_record(s, id->u.items.v[2], t, a)) != CTS_OK)
        return rc;
    if (s->bytes != want)
        return cts_fail(CTS_E_FORMAT,
                        "%s: tensor %s: its storage of %" PRId64 " elements wants %zu bytes, the archive has %zu",
                        a->path, t->name, n->u.i, want, s->bytes);
    return CTS_OK;
}

/* ---- sizes and strides ----------------------------------------------------------------------------------------- */

static int read_extents(int64_t *out, int *n, const value *v, const char *what, const cts_weight *t,
                        const cts_torch_archive *a)
{
    if (v && is_call(v) && cts_torch_group_of(v->of) == CTS_TORCH_SIZE)
        v = arg(v->args, 0);
    if (!v || (v->kind != CTS_PICKLE_TUPLE && v->kind != CTS_PICKLE_LIST))
        return cts_fail(CTS_E_FORMAT, "%s: tensor %s: its %s is no tuple", a->path, t->name, what);
    if (v->u.items.n > CTS_MAX_DIMS)
        return cts_fail(CTS_E_LIMIT, "%s: tensor %s: its %s has %zu axes, allowed at most %d", a->path, t->name, what,
                        v->u.items.n, CTS_MAX_DIMS);
    for (size_t i = 0; i < v->u.items.n; i++) {
        const value *x = v->u.items.v[i];

        if (x->kind != CTS_PICKLE_INT || x->u.i < 0)
            return cts_fail(CTS_E_FORMAT, "%s: tensor %s: %s[%zu] is no integer of 0 or more that fits 64 bits",
                            a->path, t->name, what, i);
        out[i] = x->u.i;
    }
    *n = (int)v->u.items.n;
    return CTS_OK;
}

/* Every element lies in the storage, and there are not absurdly many. */
static int check_extent(cts_weight *t, size_t offset, size_t available, const cts_torch_archive *a)
{
    size_t count = 1, last = offset, step;

    for (int i = 0; i < t->ndim; i++)
        if (t->shape[i] == 0)
            count = 0;
    for (int i = 0; i < t->ndim && count; i++)
        if (!cts_mul_size(&count, count, (size_t)t->shape[i]) || count > INT64_MAX / 8)
            return fail(t, a, "the product of its size overflows");
    t->count = (int64_t)count;
    if (!count)
        return CTS_OK; /* wherever it starts: PyTorch saves slices of nothing with the offset they would have */
    for (int i = 0; i < t->ndim; i++)
        if (!cts_mul_size(&step, (size_t)(t->shape[i] - 1), (size_t)t->stride[i]) || !cts_add_size(&last, last, step))
            return fail(t, a, "its size and stride overflow");
    if (last >= available)
        return cts_fail(CTS_E_FORMAT, "%s: tensor %s: its last element is number %zu of a storage of %zu", a->path,
                        t->name, last, available);
    if (count > available && t->count > CTS_TORCH_MAX_BROADCAST)
        return cts_fail(CTS_E_LIMIT,
                        "%s: tensor %s: %zu elements repeat a storage of %zu, allowed are %" PRId64 " that do so",
                        a->path, t->name, count, available, CTS_TORCH_MAX_BROADCAST);
    return CTS_OK;
}

/* A view may be marked "conjugate" or "negative": its values are not those of its storage. */
static int check_marks(const cts_weight *t, const value *marks, const cts_torch_archive *a)
{
    if (!marks || marks->kind == CTS_PICKLE_NONE)
        return CTS_OK;
    if (marks->kind != CTS_PICKLE_DICT)
        return fail(t, a, "its metadata is no mapping");
    for (size_t i = 0; i + 1 < marks->u.items.n; i += 2)
        if (marks->u.items.v[i + 1]->kind == CTS_PICKLE_BOOL && marks->u.items.v[i + 1]->u.b)
            return cts_fail(CTS_E_UNSUPPORTED,
                            "%s: tensor %s is a lazily negated or conjugated view, which is not read: "
                            "save it resolved (x.resolve_neg().resolve_conj())",
                            a->path, t->name);
    return CTS_OK;
}

/* args: storage, offset, size, stride, and from v2 on whether it is trained, hooks, [v3: dtype,] metadata. */
static int read_tensor(cts_weight *t, const value *args, bool v3, const cts_torch_archive *a)
{
    const value *offset = arg(args, 1), *dtype = v3 ? arg(args, 6) : NULL;
    struct storage s;
    int n_strides = 0, rc;

    if ((rc = read_storage(&s, arg(args, 0), t, a)) != CTS_OK)
        return rc;
    if (v3) {
        if (!dtype || dtype->kind != CTS_PICKLE_CLASS || cts_torch_group_of(dtype->of) != CTS_TORCH_DTYPE)
            return fail(t, a, "its dtype is none");
        s.dtype = cts_torch_dtype_of(dtype->of);
        if (s.dtype == CTS_TORCH_NO_DTYPE)
            return cts_fail(CTS_E_UNSUPPORTED, "%s: tensor %s: dtype %s is not read", a->path, t->name,
                            dtype->of->name);
    } else if (s.untyped) {
        return fail(t, a, "its storage has no element type");
    }
    if (!offset || offset->kind != CTS_PICKLE_INT || offset->u.i < 0)
        return fail(t, a, "its offset is no integer of 0 or more");
    if ((rc = read_extents(t->shape, &t->ndim, arg(args, 2), "size", t, a)) != CTS_OK ||
        (rc = read_extents(t->stride, &n_strides, arg(args, 3), "stride", t, a)) != CTS_OK)
        return rc;
    if (n_strides != t->ndim)
        return fail(t, a, "its size and stride have different lengths");
    t->dtype = s.dtype;
    if ((rc = check_extent(t, (size_t)offset->u.i, s.bytes / cts_st_dtype_bytes(s.dtype), a)) != CTS_OK)
        return rc;
    t->data = s.data + (t->count ? (size_t)offset->u.i * cts_st_dtype_bytes(s.dtype) : 0);
    t->swapped = a->swapped;
    return check_marks(t, arg(args, v3 ? 7 : 6), a);
}

int cts_torch_tensor(cts_weight *t, const cts_pickle_value *v, const cts_torch_archive *a)
{
    cts_torch_group group = cts_torch_group_of(v->of);
    const value *args = v->args, *inner;

    for (int i = 0; i < MAX_WRAPS; i++)
        switch (group) {
        case CTS_TORCH_TENSOR:
        case CTS_TORCH_TENSOR_V3:
            return read_tensor(t, args, group == CTS_TORCH_TENSOR_V3, a);
        case CTS_TORCH_PARAMETER:
            inner = arg(args, 0);
            if (!inner || !cts_torch_is_tensor(inner))
                return fail(t, a, "a parameter without a tensor");
            group = cts_torch_group_of(inner->of);
            args = inner->args;
            break;
        case CTS_TORCH_TENSOR_AND_TYPE:
            inner = arg(args, 0);
            args = arg(args, 2);
            if (!inner || inner->kind != CTS_PICKLE_CLASS || !makes_tensor(cts_torch_group_of(inner->of)) || !args ||
                args->kind != CTS_PICKLE_TUPLE)
                return fail(t, a, "a tensor with a type, but without the way it is built");
            group = cts_torch_group_of(inner->of);
            break;
        default:
            return fail(t, a, "it is built by something that builds no tensor");
        }
    return fail(t, a, "it is wrapped too many times");
}
