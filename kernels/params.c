/* The list of a model's named arrays. Names are looked up through an open-addressing hash table.
 * SPDX-License-Identifier: MIT */
#include "kernels/params.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/arena.h"
#include "kernels/base/check.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

struct cts_params {
    cts_param *item;
    int n, cap;
    int *slot; /* n_slot, -1 = empty */
    int n_slot;
    void *owner; /* of the memory of borrowed entries */
    void (*end)(void *owner);
};

int cts_params_create(cts_params **out)
{
    cts_params *p = calloc(1, sizeof *p);

    if (!p)
        return cts_fail(CTS_E_NOMEM, "out of memory for a parameter list");
    *out = p;
    return CTS_OK;
}

void cts_params_destroy(cts_params *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->n; i++) {
        free(p->item[i].name);
        if (!p->item[i].borrowed)
            cts_aligned_free(p->item[i].data);
    }
    if (p->end)
        p->end(p->owner);
    free(p->item);
    free(p->slot);
    free(p);
}

static int find_slot(const cts_params *p, const char *name)
{
    int at = (int)(cts_fnv1a64(name, strlen(name)) & (uint64_t)(p->n_slot - 1));

    while (p->slot[at] >= 0 && strcmp(p->item[p->slot[at]].name, name))
        at = (at + 1) & (p->n_slot - 1);
    return at;
}

static int grow(cts_params *p)
{
    int cap = p->cap ? 2 * p->cap : 64;
    cts_param *item = realloc(p->item, (size_t)cap * sizeof *item);
    int *slot;

    if (!item)
        return -1;
    p->item = item;
    if (!(slot = malloc((size_t)cap * 4 * sizeof *slot)))
        return -1;
    free(p->slot);
    p->slot = slot;
    p->cap = cap;
    p->n_slot = 4 * cap;
    for (int i = 0; i < p->n_slot; i++)
        slot[i] = -1;
    for (int i = 0; i < p->n; i++)
        slot[find_slot(p, p->item[i].name)] = i;
    return 0;
}

int cts_params_declare(cts_params *p, const char *name, bool state, bool decay, cts_init init, int ndim,
                       const int64_t *shape)
{
    char a[96], b[96];
    int i = cts_params_find(p, name);
    cts_param *e;

    CTS_ASSERT(ndim >= 0 && ndim <= CTS_MAX_DIMS, "%s: %d dimensions", name, ndim);
    if (i >= 0) {
        e = &p->item[i];
        CTS_ASSERT(e->ndim == ndim && !memcmp(e->shape, shape, (size_t)ndim * sizeof *shape),
                   "%s declared as %s and as %s", name, cts_shape_text(a, e->ndim, e->shape),
                   cts_shape_text(b, ndim, shape));
        return i;
    }
    if (p->n == p->cap && grow(p))
        return -1;
    e = &p->item[p->n];
    memset(e, 0, sizeof *e);
    if (!(e->name = cts_strdup(name)))
        return -1;
    e->state = state;
    e->decay = decay;
    e->init = init;
    e->ndim = ndim;
    e->count = 1;
    for (int d = 0; d < ndim; d++) {
        CTS_ASSERT(shape[d] >= 0, "%s: negative extent", name);
        e->shape[d] = shape[d];
        e->count *= shape[d];
    }
    p->slot[find_slot(p, name)] = p->n;
    return p->n++;
}

int cts_params_find(const cts_params *p, const char *name)
{
    return p->n_slot ? p->slot[find_slot(p, name)] : -1;
}

int cts_params_n(const cts_params *p)
{
    return p->n;
}

cts_param *cts_params_at(cts_params *p, int i)
{
    CTS_ASSERT(i >= 0 && i < p->n, "entry %d of %d", i, p->n);
    return &p->item[i];
}

const cts_param *cts_params_get(const cts_params *p, int i)
{
    CTS_ASSERT(i >= 0 && i < p->n, "entry %d of %d", i, p->n);
    return &p->item[i];
}

int64_t cts_params_count(const cts_params *p)
{
    int64_t n = 0;

    for (int i = 0; i < p->n; i++)
        if (!p->item[i].state)
            n += p->item[i].count;
    return n;
}

int cts_params_alloc(cts_params *p)
{
    for (int i = 0; i < p->n; i++) {
        cts_param *e = &p->item[i];

        if (!e->data && !(e->data = cts_aligned_alloc((size_t)cts_max_i64(e->count, 1) * sizeof(float))))
            return cts_fail(CTS_E_NOMEM, "out of memory for parameter %s (%lld values)", e->name, (long long)e->count);
    }
    return CTS_OK;
}

void cts_params_bind(cts_params *p, int i, float *data)
{
    cts_param *e = cts_params_at(p, i);

    CTS_ASSERT((uintptr_t)data % _Alignof(float) == 0, "%s bound to memory that is not aligned", e->name);
    if (!e->borrowed)
        cts_aligned_free(e->data);
    e->data = data;
    e->borrowed = true;
}

void cts_params_keep(cts_params *p, void *owner, void (*end)(void *owner))
{
    CTS_ASSERT(!p->end, "a second owner of the memory of parameters");
    p->owner = owner;
    p->end = end;
}

/* Rows of the last axis to length init.a. */
static void scale_rows(cts_param *e)
{
    int64_t n = e->shape[e->ndim - 1];

    for (float *row = e->data; row < e->data + e->count; row += n) {
        double sq = 0.0;

        for (int64_t i = 0; i < n; i++)
            sq += (double)row[i] * row[i];
        for (int64_t i = 0; sq > 0.0 && i < n; i++)
            row[i] = (float)(row[i] * e->init.a / sqrt(sq));
    }
}

static void fill(cts_param *e, uint64_t key)
{
    cts_rng r = cts_rng_make(key);

    for (int64_t i = 0; i < e->count; i++) {
        double x = e->init.a;

        if (e->init.kind == CTS_INIT_UNIFORM || e->init.kind == CTS_INIT_UNIT) {
            x *= 2.0 * cts_rng_unit(&r) - 1.0;
        } else if (e->init.kind != CTS_INIT_CONST) {
            double z;

            do
                z = cts_rng_normal(&r);
            while (e->init.kind == CTS_INIT_TRUNC && fabs(z) > 2.0);
            x *= z;
        }
        e->data[i] = (float)x;
    }
    if (e->init.kind == CTS_INIT_UNIT)
        scale_rows(e);
}

int cts_params_init(cts_params *p, uint64_t seed)
{
    int rc = cts_params_alloc(p);

    if (rc)
        return rc;
    for (int i = 0; i < p->n; i++)
        fill(&p->item[i], cts_rng_split(seed, cts_fnv1a64(p->item[i].name, strlen(p->item[i].name))));
    return CTS_OK;
}

int cts_params_freeze(cts_params *p, const char *prefix, bool frozen)
{
    int n = 0;

    for (int i = 0; i < p->n; i++)
        if (!strncmp(p->item[i].name, prefix, strlen(prefix))) {
            p->item[i].frozen = frozen;
            n++;
        }
    return n;
}

int cts_grads_create(cts_grads **out, const cts_params *p)
{
    cts_grads *g = calloc(1, sizeof *g);
    int n = cts_params_n(p), rc = CTS_OK;

    if (!g)
        return cts_fail(CTS_E_NOMEM, "out of memory for gradients");
    g->n = n;
    g->data = calloc((size_t)n + 1, sizeof *g->data);
    g->count = calloc((size_t)n + 1, sizeof *g->count);
    if (!g->data || !g->count)
        rc = CTS_E_NOMEM;
    for (int i = 0; !rc && i < n; i++) {
        const cts_param *e = cts_params_get(p, i);

        if (e->state || e->frozen)
            continue;
        g->count[i] = e->count;
        if (!(g->data[i] = cts_aligned_alloc((size_t)cts_max_i64(e->count, 1) * sizeof(float))))
            rc = CTS_E_NOMEM;
    }
    if (rc) {
        cts_grads_destroy(g);
        return cts_fail(CTS_E_NOMEM, "out of memory for gradients");
    }
    *out = g;
    return CTS_OK;
}

void cts_grads_zero(cts_grads *g)
{
    for (int i = 0; i < g->n; i++)
        if (g->data[i])
            memset(g->data[i], 0, (size_t)g->count[i] * sizeof(float));
}

void cts_grads_destroy(cts_grads *g)
{
    if (!g)
        return;
    for (int i = 0; g->data && i < g->n; i++)
        cts_aligned_free(g->data[i]);
    free(g->data);
    free(g->count);
    free(g);
}
