/* Offsets by liveness: nodes are walked once in execution order; a tensor takes the best-fitting free range when it
 * is made and gives it back after its last reader. An element-wise op takes over its input's range when that input dies
 * there.
 * SPDX-License-Identifier: MIT */
#include "kernels/plan.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/status.h"

#define ALIGN ((size_t)64)
#define FOREVER 0x7fffffff

struct cts_plan {
    cts_graph *g;
    cts_plan_info info;
    size_t *offset; /* [n_tensors], of roots */
    int *last;      /* [n_tensors] last node that reads a root */
};

/* Free ranges of the arena, sorted by offset, never touching each other. */
typedef struct {
    size_t at, n;
} range;

typedef struct {
    range *r;
    int n, cap;
    size_t end; /* arena size so far */
} heap;

static const cts_tensor *root_of(const cts_tensor *t)
{
    return t->base ? t->base : t;
}

static bool has_memory(const cts_tensor *t)
{
    return t->role == CTS_ROLE_ACT || t->role == CTS_ROLE_INPUT;
}

/* Bytes before the first element; a multiple of the alignment, so that the element itself is aligned. */
static size_t guard_bytes(const cts_tensor *t)
{
    return ((size_t)t->guard[0] * cts_dtype_bytes(t->dtype) + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t bytes_of(const cts_tensor *t)
{
    size_t n = (size_t)(cts_tensor_span(t) + t->guard[1]) * cts_dtype_bytes(t->dtype);

    return guard_bytes(t) + (n + ALIGN - 1) / ALIGN * ALIGN;
}

/* Gaps and guards hold zeros, so memory that has them is never shared with another tensor and never handed on. */
static bool is_private(const cts_tensor *t)
{
    return t->guard[0] || t->guard[1] || cts_tensor_span(t) != cts_tensor_count(t);
}

static bool insert(heap *h, int i, range r)
{
    if (h->n == h->cap) {
        int cap = h->cap ? 2 * h->cap : 64;
        range *p = realloc(h->r, (size_t)cap * sizeof *p);

        if (!p)
            return false;
        h->r = p;
        h->cap = cap;
    }
    memmove(h->r + i + 1, h->r + i, (size_t)(h->n - i) * sizeof *h->r);
    h->r[i] = r;
    h->n++;
    return true;
}

static void erase(heap *h, int i)
{
    memmove(h->r + i, h->r + i + 1, (size_t)(h->n - i - 1) * sizeof *h->r);
    h->n--;
}

static size_t take(heap *h, size_t n)
{
    int best = -1;
    size_t at;

    for (int i = 0; i < h->n; i++)
        if (h->r[i].n >= n && (best < 0 || h->r[i].n < h->r[best].n))
            best = i;
    if (best < 0 && h->n && h->r[h->n - 1].at + h->r[h->n - 1].n == h->end) {
        best = h->n - 1; /* the last range touches the end: grow it */
        h->end = h->r[best].at + n;
        h->r[best].n = n;
    }
    if (best < 0) {
        at = h->end;
        h->end += n;
        return at;
    }
    at = h->r[best].at;
    h->r[best].at += n;
    h->r[best].n -= n;
    if (!h->r[best].n)
        erase(h, best);
    return at;
}

/* Fresh memory, that nobody had before. */
static size_t take_end(heap *h, size_t n)
{
    size_t at = h->end;

    h->end += n;
    return at;
}

static bool give(heap *h, size_t at, size_t n)
{
    int i = 0;

    while (i < h->n && h->r[i].at < at)
        i++;
    if (i > 0 && h->r[i - 1].at + h->r[i - 1].n == at) {
        h->r[i - 1].n += n;
        if (i < h->n && at + n == h->r[i].at) {
            h->r[i - 1].n += h->r[i].n;
            erase(h, i);
        }
        return true;
    }
    if (i < h->n && at + n == h->r[i].at) {
        h->r[i].at = at;
        h->r[i].n += n;
        return true;
    }
    return insert(h, i, (range){at, n});
}

static void find_last_readers(cts_plan *p)
{
    for (int i = 0; i < cts_graph_n_tensors(p->g); i++)
        p->last[i] = -1;
    for (int i = 0; i < cts_graph_n_nodes(p->g); i++) {
        const cts_node *n = cts_graph_node_at(p->g, i);

        for (int k = 0; !n->dead && k < n->n_in; k++)
            if (n->in[k])
                p->last[root_of(n->in[k])->id] = i;
        for (int k = 0; !n->dead && k < n->n_out; k++)
            p->last[root_of(n->out[k])->id] = i;
    }
    for (int i = 0; i < cts_graph_n_tensors(p->g); i++) {
        const cts_tensor *t = cts_graph_tensor_at(p->g, i);

        if (t->pinned)
            p->last[root_of(t)->id] = FOREVER;
    }
}

/* The input whose memory out[0] of n may take over, or NULL. */
static const cts_tensor *takes_over(const cts_plan *p, const cts_node *n)
{
    int k = cts_op_def_of(n->op)->inplace;
    const cts_tensor *t, *o = n->out[0];

    if (k < 0 || !n->in[k])
        return NULL;
    t = root_of(n->in[k]);
    if (t->role != CTS_ROLE_ACT || is_private(t) || is_private(o) || p->last[t->id] != n->id || t->dtype != o->dtype ||
        cts_tensor_count(t) != cts_tensor_count(o) || p->offset[t->id] == SIZE_MAX)
        return NULL;
    for (int i = 0; i < n->n_in; i++)
        if (i != k && n->in[i] && root_of(n->in[i]) == t)
            return NULL;
    return t;
}

static bool release(cts_plan *p, heap *h, const cts_tensor *root, int node)
{
    return p->last[root->id] != node || is_private(root) ||
           give(h, p->offset[root->id] - guard_bytes(root), bytes_of(root));
}

static bool place_node(cts_plan *p, heap *h, const cts_node *n)
{
    const cts_tensor *over = takes_over(p, n);
    bool ok = true;

    for (int k = 0; k < n->n_out; k++) {
        const cts_tensor *o = n->out[k];

        if (o->base)
            continue;
        p->info.sum_bytes += bytes_of(o);
        if (k == 0 && over) {
            p->offset[o->id] = p->offset[over->id];
            p->info.n_inplace++;
        } else {
            p->offset[o->id] = (is_private(o) ? take_end(h, bytes_of(o)) : take(h, bytes_of(o))) + guard_bytes(o);
        }
    }
    for (int k = 0; k < n->n_in; k++) {
        const cts_tensor *t = n->in[k] ? root_of(n->in[k]) : NULL;
        bool seen = !t || !has_memory(t) || t == over;

        for (int i = 0; i < k && !seen; i++)
            seen = n->in[i] && root_of(n->in[i]) == t;
        if (!seen)
            ok &= release(p, h, t, n->id);
    }
    for (int k = 0; k < n->n_out; k++)
        if (!n->out[k]->base)
            ok &= release(p, h, n->out[k], n->id);
    return ok;
}

static int place_all(cts_plan *p, const cts_backend *b)
{
    heap h = {0};
    bool ok = true;

    for (int i = 0; i < cts_graph_n_tensors(p->g); i++) {
        const cts_tensor *t = cts_graph_tensor_at(p->g, i);

        if (t->role == CTS_ROLE_INPUT && p->last[i] >= 0) { /* read by somebody */
            p->offset[i] = take_end(&h, bytes_of(t)) + guard_bytes(t);
            p->info.sum_bytes += bytes_of(t);
        }
    }
    for (int i = 0; i < cts_graph_n_nodes(p->g); i++) {
        const cts_node *n = cts_graph_node_at(p->g, i);
        size_t scratch;

        if (n->dead)
            continue;
        p->info.n_nodes++;
        p->info.n_forward += i < cts_graph_n_forward(p->g);
        ok &= place_node(p, &h, n);
        scratch = b->scratch_bytes ? b->scratch_bytes(b, n) : 0;
        p->info.scratch_bytes = scratch > p->info.scratch_bytes ? scratch : p->info.scratch_bytes;
    }
    p->info.arena_bytes = h.end;
    free(h.r);
    return ok ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for a plan");
}

static int check_supported(const cts_graph *g, const cts_backend *b)
{
    for (int i = 0; i < cts_graph_n_nodes(g); i++) {
        const cts_node *n = cts_graph_node_at(g, i);

        if (!n->dead && b->supports && !b->supports(b, n))
            return cts_fail(CTS_E_UNSUPPORTED, "back end %s has no kernel for op %s", b->name,
                            cts_op_def_of(n->op)->name);
    }
    return CTS_OK;
}

static int count_recomputed(const cts_graph *g)
{
    int n = 0;

    for (int i = cts_graph_n_forward(g); i < cts_graph_n_nodes(g); i++) {
        const cts_node *node = cts_graph_node_at(g, i);

        n += !node->dead && node->n_out && node->out[0]->recompute_clone;
    }
    return n;
}

int cts_plan_create(cts_plan **out, cts_graph *g, const cts_backend *b)
{
    cts_plan *p = NULL;
    size_t n = (size_t)cts_graph_n_tensors(g);
    int rc = cts_graph_status(g);

    if (rc)
        return rc;
    cts_graph_prune(g);
    if ((rc = check_supported(g, b)))
        return rc;
    p = calloc(1, sizeof *p);
    if (!p || !(p->offset = malloc((n + 1) * sizeof *p->offset)) || !(p->last = malloc((n + 1) * sizeof *p->last))) {
        cts_plan_destroy(p);
        return cts_fail(CTS_E_NOMEM, "out of memory for a plan");
    }
    for (size_t i = 0; i < n; i++)
        p->offset[i] = SIZE_MAX;
    p->g = g;
    find_last_readers(p);
    if ((rc = place_all(p, b))) {
        cts_plan_destroy(p);
        return rc;
    }
    p->info.n_recomputed = count_recomputed(g);
    *out = p;
    return CTS_OK;
}

void cts_plan_destroy(cts_plan *p)
{
    if (!p)
        return;
    free(p->offset);
    free(p->last);
    free(p);
}

cts_plan_info cts_plan_get_info(const cts_plan *p)
{
    return p->info;
}

cts_graph *cts_plan_graph(const cts_plan *p)
{
    return p->g;
}

size_t cts_plan_offset(const cts_plan *p, const cts_tensor *t)
{
    return p->offset[root_of(t)->id];
}
