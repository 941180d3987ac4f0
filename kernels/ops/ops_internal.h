/* Shared by the files of kernels/ops: element addresses of strided views, the scalar activation, shape checks of
 * builders. SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_OPS_INTERNAL_H
#define CTS_KERNELS_OPS_INTERNAL_H

#include <math.h>

#include "kernels/base/check.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "kernels/ops.h"

#define CTS_OP(id, symbol) extern const struct cts_op_def cts_opdef_##symbol;
#include "kernels/ops.def"
#undef CTS_OP

/* Offset of element i, counted in row-major order over the dimensions [first, ndim). */
static inline int64_t trail_at(const cts_view *v, int first, int64_t i)
{
    int64_t off = 0;

    for (int d = v->ndim - 1; d >= first; d--) {
        off += i % v->shape[d] * v->stride[d];
        i /= v->shape[d];
    }
    return off;
}

static inline float *elem_at(const cts_view *v, int64_t i)
{
    return (float *)v->data + trail_at(v, 0, i);
}

/* First channel of row r; the channels are chan_stride() apart. */
static inline float *row_at(const cts_view *v, int64_t r)
{
    int64_t off = 0;

    for (int d = v->ndim - 2; d >= 0; d--) {
        off += r % v->shape[d] * v->stride[d];
        r /= v->shape[d];
    }
    return (float *)v->data + off;
}

static inline int64_t chan_stride(const cts_view *v)
{
    return v->ndim > 0 ? v->stride[v->ndim - 1] : 1;
}

/* First channel of voxel (i0, i1, i2) of sample n in [N, D0, D1, D2, C]. */
static inline float *voxel_at(const cts_view *v, int64_t n, int64_t i0, int64_t i1, int64_t i2)
{
    return (float *)v->data + n * v->stride[0] + i0 * v->stride[1] + i1 * v->stride[2] + i2 * v->stride[3];
}

static inline double act_value(cts_act_kind kind, double x)
{
    switch (kind) {
    case CTS_ACT_GELU:
        return 0.5 * x * (1.0 + erf(x * 0.70710678118654752440));
    case CTS_ACT_RELU:
        return x < 0.0 ? 0.0 : x; /* this way round a NaN stays one */
    case CTS_ACT_TANH:
        return tanh(x);
    case CTS_ACT_LEAKY:
        return x < 0.0 ? 0.1 * x : x;
    case CTS_ACT_NONE:
        break;
    }
    return x;
}

static inline double act_slope(cts_act_kind kind, double x)
{
    double t;

    switch (kind) {
    case CTS_ACT_GELU:
        return 0.5 * (1.0 + erf(x * 0.70710678118654752440)) + x * 0.39894228040143267794 * exp(-0.5 * x * x);
    case CTS_ACT_RELU:
        return x > 0.0 ? 1.0 : 0.0;
    case CTS_ACT_TANH:
        t = tanh(x);
        return 1.0 - t * t;
    case CTS_ACT_LEAKY:
        return x > 0.0 ? 1.0 : 0.1;
    case CTS_ACT_NONE:
        break;
    }
    return 1.0;
}

/* Key of a node's random stream in this run (cts_dropout_attr). */
static inline uint64_t stream_key(const cts_call *c, uint64_t stream)
{
    return cts_rng_split(cts_rng_split(c->seed, c->step), stream);
}

static inline bool same_shape(const cts_tensor *a, const cts_tensor *b)
{
    if (a->ndim != b->ndim)
        return false;
    for (int d = 0; d < a->ndim; d++)
        if (a->shape[d] != b->shape[d])
            return false;
    return true;
}

static inline bool dense_tensor(const cts_tensor *t)
{
    int64_t want = 1;

    for (int d = t->ndim - 1; d >= 0; d--) {
        if (t->shape[d] != 1 && t->stride[d] != want)
            return false;
        want *= t->shape[d];
    }
    return true;
}

/* The two checks almost every builder makes. */
static inline void need_f32(const char *op, const cts_tensor *t)
{
    CTS_ASSERT(t && t->dtype == CTS_F32, "%s: %s must be f32", op, t ? t->name : "(null)");
}

static inline void need_vector(const char *op, const cts_tensor *t, int64_t n)
{
    need_f32(op, t);
    CTS_ASSERT(cts_tensor_count(t) == n, "%s: %s has %lld elements, want %lld", op, t->name,
               (long long)cts_tensor_count(t), (long long)n);
}

#endif
