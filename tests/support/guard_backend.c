/* SPDX-License-Identifier: MIT */
#include "tests/support/guard_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/status.h"

#define GUARD 256     /* bytes on either side */
#define SENTINEL 0xa5 /* of a guard byte */
#define POISON 0xff   /* four of them are a NaN */
#define ROW_PAD 3     /* elements between rows of strided inputs */

typedef struct {
    cts_backend base;
    cts_backend *inner;
    bool strided;
    int broken;
} guard;

static guard *guard_of(cts_backend *b)
{
    return (guard *)b; /* base is the first member */
}

static size_t view_bytes(const cts_view *v)
{
    return (size_t)cts_view_count(v) * cts_dtype_bytes(v->dtype);
}

static bool is_output(const cts_call *c, const cts_view *v)
{
    if (c->node->op == CTS_OP_ACCUMULATE)
        return v == &c->in[0];
    return v >= c->out;
}

/* The view's elements in a padded buffer; NULL when the view stays as it is. */
static char *stretch(cts_view *v)
{
    int64_t rows = cts_view_rows(v), n = cts_view_channels(v), ld = n + ROW_PAD;
    float *p;

    if (v->ndim < 2 || v->dtype != CTS_F32 || !cts_view_dense(v))
        return NULL;
    p = malloc((size_t)(rows * ld) * sizeof(float));
    CTS_ASSERT(p, "out of memory");
    memset(p, POISON, (size_t)(rows * ld) * sizeof(float));
    for (int64_t r = 0; r < rows; r++)
        memcpy(p + r * ld, (const float *)v->data + r * n, (size_t)n * sizeof(float));
    v->data = p;
    for (int d = v->ndim - 2; d >= 0; d--, ld *= v->shape[d + 1])
        v->stride[d] = ld;
    return (char *)p;
}

static char *fence(void **data, size_t n)
{
    char *p = aligned_alloc(64, (n + 2 * GUARD + 63) / 64 * 64);

    CTS_ASSERT(p, "out of memory");
    memset(p, SENTINEL, (n + 2 * GUARD + 63) / 64 * 64);
    memset(p + GUARD, POISON, n);
    *data = p + GUARD;
    return p;
}

/* k: the output's number, -1 = the scratch memory */
static void check_fence(guard *g, const cts_call *c, int k, const char *p, size_t n)
{
    size_t end = (n + 2 * GUARD + 63) / 64 * 64;

    for (size_t i = 0; i < end; i++) {
        if ((i >= GUARD && i < GUARD + n) || (unsigned char)p[i] == SENTINEL)
            continue;
        fprintf(stderr, "%s: output %d was written %lld bytes %s\n", cts_op_def_of(c->node->op)->name, k,
                i < GUARD ? (long long)(GUARD - i) : (long long)(i - GUARD - n + 1), i < GUARD ? "before" : "behind");
        g->broken++;
        return;
    }
}

static int guard_run(cts_backend *b, const cts_call *c)
{
    guard *g = guard_of(b);
    cts_call copy = *c;
    char *in[CTS_MAX_IN] = {NULL}, *out[CTS_MAX_OUT] = {NULL}, *scratch;
    int rc;

    for (int k = 0; k < c->node->n_in; k++)
        if (g->strided && copy.in[k].data && !is_output(c, &c->in[k]))
            in[k] = stretch(&copy.in[k]);
    for (int k = 0; k < c->node->n_out; k++)
        out[k] = fence(&copy.out[k].data, view_bytes(&copy.out[k]));
    scratch = fence(&copy.scratch, g->base.scratch_bytes(b, c->node));
    rc = g->inner->run(g->inner, &copy);
    for (int k = 0; k < c->node->n_out; k++) {
        check_fence(g, c, k, out[k], view_bytes(&c->out[k]));
        memcpy(c->out[k].data, copy.out[k].data, view_bytes(&c->out[k]));
        free(out[k]);
    }
    check_fence(g, c, -1, scratch, g->base.scratch_bytes(b, c->node));
    free(scratch);
    for (int k = 0; k < c->node->n_in; k++)
        free(in[k]);
    return rc;
}

static size_t guard_scratch(const cts_backend *b, const cts_node *n)
{
    const cts_backend *inner = ((const guard *)b)->inner;

    return inner->scratch_bytes ? inner->scratch_bytes(inner, n) : 0;
}

static bool guard_supports(const cts_backend *b, const cts_node *n)
{
    const cts_backend *inner = ((const guard *)b)->inner;

    return !inner->supports || inner->supports(inner, n);
}

static int guard_sync(cts_backend *b)
{
    return guard_of(b)->inner->sync(guard_of(b)->inner);
}

static void guard_destroy(cts_backend *b)
{
    free(b);
}

int cts_backend_guard(cts_backend **out, cts_backend *inner, bool strided)
{
    guard *g = calloc(1, sizeof(*g));

    if (!g)
        return cts_fail(CTS_E_NOMEM, "out of memory for a back end");
    CTS_ASSERT(inner->host, "guard: %s does not use host memory", inner->name);
    g->base = *inner;
    g->base.scratch_bytes = guard_scratch;
    g->base.supports = guard_supports;
    g->base.run = guard_run;
    g->base.sync = guard_sync;
    g->base.destroy = guard_destroy;
    g->inner = inner;
    g->strided = strided;
    *out = &g->base;
    return CTS_OK;
}

int cts_backend_guard_broken(const cts_backend *b)
{
    return ((const guard *)b)->broken;
}
