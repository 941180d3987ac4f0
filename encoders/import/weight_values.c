/* Values of a foreign tensor in row-major order, whatever its dtype, strides and byte order.
 * SPDX-License-Identifier: MIT */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "encoders/import/weights.h"
#include "kernels/base/check.h"

enum { PIECE = 256 }; /* elements converted at a time: 2 KB at most */

static bool contiguous(const cts_weight *t)
{
    int64_t stride = 1;

    for (int i = t->ndim - 1; i >= 0; stride *= t->shape[i--])
        if (t->shape[i] != 1 && t->stride[i] != stride)
            return false;
    return true;
}

/* The unsigned number that an element's bytes are. */
static uint64_t bits_at(const uint8_t *p, size_t bytes, bool swapped)
{
    uint64_t v = 0;

    for (size_t i = 0; i < bytes; i++)
        v |= (uint64_t)p[swapped ? bytes - 1 - i : i] << (8 * i);
    return v;
}

static int64_t int_at(const uint8_t *p, cts_st_dtype dtype, bool swapped)
{
    uint64_t u = bits_at(p, cts_st_dtype_bytes(dtype), swapped);

    switch (dtype) {
    case CTS_ST_I32:
        return (int32_t)u;
    case CTS_ST_I16:
        return (int16_t)u;
    case CTS_ST_I8:
        return (int8_t)u;
    case CTS_ST_BOOL:
        return u != 0;
    case CTS_ST_U64:
        return u > INT64_MAX ? INT64_MAX : (int64_t)u;
    default:
        return (int64_t)u;
    }
}

/* Walks t in row-major order, one run along the last axis a step. */
struct walk {
    const cts_weight *t;
    const uint8_t *p; /* first element of the run */
    int64_t n, step;  /* of the run: elements, bytes from one to the next */
    int64_t at[CTS_MAX_DIMS];
    size_t bytes; /* of an element */
};

static struct walk walk_of(const cts_weight *t)
{
    struct walk w = {.t = t, .p = t->data, .n = 1, .bytes = cts_st_dtype_bytes(t->dtype)};

    if (t->ndim) {
        w.n = t->shape[t->ndim - 1];
        w.step = t->stride[t->ndim - 1] * (int64_t)w.bytes;
    }
    return w;
}

/* The next run; false after the last. */
static bool walk_on(struct walk *w)
{
    for (int i = w->t->ndim - 2; i >= 0; i--) {
        int64_t bytes = w->t->stride[i] * (int64_t)w->bytes;

        if (++w->at[i] < w->t->shape[i]) {
            w->p += bytes;
            return true;
        }
        w->p -= bytes * (w->at[i] - 1);
        w->at[i] = 0;
    }
    return false;
}

/* The run's elements, brought together and into this machine's byte order piece by piece; returns the end of dst. */
static float *run_to_f32(float *dst, const struct walk *w)
{
    uint8_t piece[PIECE * sizeof(uint64_t)];

    for (int64_t done = 0; done < w->n; done += PIECE) {
        cts_st_tensor s = {.name = w->t->name, .dtype = w->t->dtype, .data = piece};

        s.count = cts_min_i64(PIECE, w->n - done);
        for (int64_t i = 0; i < s.count; i++) {
            const uint8_t *from = w->p + (done + i) * w->step;
            uint8_t *to = piece + (size_t)i * w->bytes;

            for (size_t b = 0; b < w->bytes; b++)
                to[b] = from[w->t->swapped ? w->bytes - 1 - b : b];
        }
        cts_st_to_f32(dst, &s);
        dst += s.count;
    }
    return dst;
}

void cts_weight_to_f32(float *dst, const cts_weight *t)
{
    struct walk w = walk_of(t);

    if (!t->count)
        return;
    if (!t->swapped && contiguous(t)) {
        cts_st_tensor s = {.name = t->name, .dtype = t->dtype, .count = t->count, .data = t->data};

        cts_st_to_f32(dst, &s);
        return;
    }
    do
        dst = run_to_f32(dst, &w);
    while (walk_on(&w));
}

void cts_weight_to_i64(int64_t *dst, const cts_weight *t)
{
    struct walk w = walk_of(t);

    CTS_ASSERT(t->dtype >= CTS_ST_I64, "tensor %s of %s as integers", t->name, cts_st_dtype_name(t->dtype));
    if (!t->count)
        return;
    do {
        for (int64_t i = 0; i < w.n; i++)
            *dst++ = int_at(w.p + i * w.step, t->dtype, t->swapped);
    } while (walk_on(&w));
}

/* Only whole pages: those at the ends are shared with the neighbours. Pages that are needed again come back. */
void cts_weight_release(const cts_weight *t)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)t->data, to;
    int64_t last = 0;

    if (!t->count)
        return;
    for (int i = 0; i < t->ndim; i++)
        last += (t->shape[i] - 1) * t->stride[i];
    to = from + (uintptr_t)(last + 1) * cts_st_dtype_bytes(t->dtype);
    from = (from + page - 1) / page * page;
    to = to / page * page;
    if (from < to)
        (void)madvise((void *)from, to - from, MADV_DONTNEED);
}
