/* SPDX-License-Identifier: MIT */
#include "kernels/graph.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/status.h"

typedef struct {
    void **p;
    int n, cap;
} list;

struct cts_graph {
    cts_arena *arena;
    cts_params *params;
    list tensors, nodes, named;
    cts_state_update *update;
    int n_update, cap_update;
    int n_forward; /* -1 until backward is appended */
    uint64_t next_stream;
    bool failed;
};

static bool push(cts_graph *g, list *l, void *item)
{
    if (l->n == l->cap) {
        int cap = l->cap ? 2 * l->cap : 256;
        void **p = realloc(l->p, (size_t)cap * sizeof *p);

        if (!p) {
            g->failed = true;
            return false;
        }
        l->p = p;
        l->cap = cap;
    }
    l->p[l->n++] = item;
    return true;
}

int cts_graph_create(cts_graph **out, cts_params *params)
{
    cts_graph *g = calloc(1, sizeof *g);

    if (!g || !(g->arena = cts_arena_create(0))) {
        free(g);
        return cts_fail(CTS_E_NOMEM, "out of memory for a graph");
    }
    g->params = params;
    g->n_forward = -1;
    *out = g;
    return CTS_OK;
}

void cts_graph_destroy(cts_graph *g)
{
    if (!g)
        return;
    cts_arena_destroy(g->arena);
    free(g->tensors.p);
    free(g->nodes.p);
    free(g->named.p);
    free(g->update);
    free(g);
}

cts_params *cts_graph_params(const cts_graph *g)
{
    return g->params;
}

/* Out of graph memory leaves nothing sensible to return to a builder mid-expression, and a graph is a few hundred KB:
 * the process cannot go on usefully, so this one allocation is treated as a programmer's limit. */
void *cts_graph_alloc(cts_graph *g, size_t n)
{
    void *p = cts_arena_alloc(g->arena, n);

    CTS_ASSERT(p, "out of memory for %zu bytes of graph", n);
    return p;
}

static cts_tensor *new_tensor(cts_graph *g, const char *name, cts_dtype dtype, cts_role role, int ndim,
                              const int64_t *shape, cts_sym sym)
{
    cts_tensor *t = cts_graph_alloc(g, sizeof *t);
    int64_t n = 1;

    CTS_ASSERT(ndim >= 0 && ndim <= CTS_MAX_DIMS, "%s: %d dimensions", name, ndim);
    t->id = g->tensors.n;
    t->name = cts_arena_strdup(g->arena, name ? name : "");
    CTS_ASSERT(t->name, "out of memory");
    t->dtype = dtype;
    t->role = role;
    t->ndim = ndim;
    t->sym = sym;
    t->param = -1;
    for (int i = ndim - 1; i >= 0; i--) {
        CTS_ASSERT(shape[i] > 0, "%s: extent %d is %lld", name, i, (long long)shape[i]);
        t->shape[i] = shape[i];
        t->stride[i] = n;
        n *= shape[i];
    }
    push(g, &g->tensors, t);
    return t;
}

cts_tensor *cts_graph_input(cts_graph *g, const char *name, cts_dtype dtype, int ndim, const int64_t *shape,
                            cts_sym sym)
{
    cts_tensor *t = new_tensor(g, name, dtype, CTS_ROLE_INPUT, ndim, shape, sym);

    CTS_ASSERT(!cts_graph_find(g, name), "two tensors named %s", name);
    push(g, &g->named, t);
    return t;
}

/* The leaf of role `role` bound to entry `param`, made on first use. */
static cts_tensor *leaf(cts_graph *g, int param, cts_role role)
{
    const cts_param *e;
    cts_tensor *t;

    CTS_ASSERT(g->params, "this graph has no parameter list");
    e = cts_params_get(g->params, param);
    for (int i = 0; i < g->tensors.n; i++) {
        t = g->tensors.p[i];
        if (t->param == param && t->role == role)
            return t;
    }
    t = new_tensor(g, e->name, CTS_F32, role, e->ndim, e->shape, CTS_SYM_NONE);
    t->param = param;
    return t;
}

cts_tensor *cts_graph_param(cts_graph *g, int param)
{
    return leaf(g, param, cts_params_get(g->params, param)->state ? CTS_ROLE_STATE : CTS_ROLE_PARAM);
}

cts_tensor *cts_graph_grad(cts_graph *g, int param)
{
    return leaf(g, param, CTS_ROLE_GRAD);
}

void cts_graph_output(cts_graph *g, cts_tensor *t, const char *name)
{
    CTS_ASSERT(!cts_graph_find(g, name), "two tensors named %s", name);
    CTS_ASSERT(t->role == CTS_ROLE_ACT, "output %s is not an intermediate", name);
    t->name = cts_arena_strdup(g->arena, name);
    CTS_ASSERT(t->name, "out of memory");
    t->pinned = true;
    push(g, &g->named, t);
}

void cts_graph_update_state(cts_graph *g, cts_tensor *state, cts_tensor *value)
{
    CTS_ASSERT(state->role == CTS_ROLE_STATE && cts_tensor_count(state) == cts_tensor_count(value), "update of %s",
               state->name);
    if (g->n_update == g->cap_update) {
        int cap = g->cap_update ? 2 * g->cap_update : 64;
        cts_state_update *u = realloc(g->update, (size_t)cap * sizeof *u);

        if (!u) {
            g->failed = true;
            return;
        }
        g->update = u;
        g->cap_update = cap;
    }
    value->pinned = true;
    g->update[g->n_update++] = (cts_state_update){state, value};
}

void cts_graph_cut(cts_graph *g, cts_tensor *t, const char *name)
{
    cts_node *n = t->producer;
    int64_t count = 1;
    int k = 0;

    CTS_ASSERT(t->role == CTS_ROLE_ACT && n && g->n_forward < 0, "cut at %s", t->name);
    CTS_ASSERT(!cts_graph_find(g, name), "two tensors named %s", name);
    while (n->out[k] != t)
        k++;
    n->out[k] = new_tensor(g, t->name, t->dtype, CTS_ROLE_ACT, t->ndim, t->shape, t->sym); /* nobody reads it */
    n->out[k]->base = t->base;
    n->out[k]->producer = n;
    t->role = CTS_ROLE_INPUT;
    t->producer = NULL;
    t->base = NULL;
    for (int i = t->ndim - 1; i >= 0; i--) {
        t->stride[i] = count;
        count *= t->shape[i];
    }
    for (int i = t->id + 1; i < g->tensors.n; i++) { /* views of t are views of the new memory */
        cts_tensor *v = g->tensors.p[i];
        const cts_tensor *of = v->base && v->producer ? v->producer->in[0] : NULL;

        if (of == t || (of && of->base == t))
            v->base = t;
    }
    t->name = cts_arena_strdup(g->arena, name);
    CTS_ASSERT(t->name, "out of memory");
    if (!t->pinned) /* an output is listed already */
        push(g, &g->named, t);
    t->pinned = false;
}

void cts_graph_recompute(cts_tensor *t)
{
    t->recompute = true;
}

void cts_graph_layout(cts_tensor *t, int64_t before, int64_t behind, const int64_t *stride)
{
    CTS_ASSERT(!t->base && (t->role == CTS_ROLE_ACT || t->role == CTS_ROLE_INPUT),
               "%s has no memory of its own to lay out", t->name);
    t->guard[0] = cts_max_i64(t->guard[0], before);
    t->guard[1] = cts_max_i64(t->guard[1], behind);
    for (int i = t->ndim - 1; stride && i >= 0; i--) {
        int64_t dense = i == t->ndim - 1 ? 1 : stride[i + 1] * t->shape[i + 1];

        CTS_ASSERT(i == t->ndim - 1 ? stride[i] == 1 : stride[i] >= dense, "%s: stride %d is %lld", t->name, i,
                   (long long)stride[i]);
        t->stride[i] = stride[i];
    }
}

cts_tensor *cts_graph_find(const cts_graph *g, const char *name)
{
    for (int i = 0; i < g->named.n; i++) {
        cts_tensor *t = g->named.p[i];

        if (!strcmp(t->name, name))
            return t;
    }
    return NULL;
}

cts_node *cts_graph_node(cts_graph *g, cts_op_kind op, int n_in, cts_tensor *const *in, const void *attr,
                         size_t attr_bytes)
{
    cts_node *n = cts_graph_alloc(g, sizeof *n);

    CTS_ASSERT(n_in <= CTS_MAX_IN, "%s: %d inputs", cts_op_def_of(op)->name, n_in);
    n->op = op;
    n->id = g->nodes.n;
    n->n_in = n_in;
    for (int i = 0; i < n_in; i++)
        n->in[i] = in[i];
    if (attr_bytes) {
        void *copy = cts_graph_alloc(g, attr_bytes);

        memcpy(copy, attr, attr_bytes);
        n->attr = copy;
    }
    push(g, &g->nodes, n);
    return n;
}

cts_tensor *cts_node_out(cts_graph *g, cts_node *n, const char *name, cts_dtype dtype, int ndim, const int64_t *shape,
                         cts_sym sym)
{
    cts_tensor *t = new_tensor(g, name, dtype, CTS_ROLE_ACT, ndim, shape, sym);

    CTS_ASSERT(n->n_out < CTS_MAX_OUT, "%s: too many outputs", name);
    t->producer = n;
    n->out[n->n_out++] = t;
    return t;
}

cts_tensor *cts_node_out_like(cts_graph *g, cts_node *n, const char *name, const cts_tensor *like)
{
    return cts_node_out(g, n, name, like->dtype, like->ndim, like->shape, like->sym);
}

cts_tensor *cts_node_out_view(cts_graph *g, cts_node *n, const char *name, cts_tensor *t, int ndim,
                              const int64_t *shape, cts_sym sym)
{
    cts_tensor *v = cts_node_out(g, n, name, t->dtype, ndim, shape, sym);

    CTS_ASSERT(cts_tensor_count(v) == cts_tensor_count(t), "view %s: another element count", name);
    v->base = t->base ? t->base : t;
    return v;
}

uint64_t cts_graph_stream(cts_graph *g)
{
    return ++g->next_stream;
}

int cts_graph_status(const cts_graph *g)
{
    return g->failed ? cts_fail(CTS_E_NOMEM, "out of memory while building a graph") : CTS_OK;
}

int cts_graph_n_nodes(const cts_graph *g)
{
    return g->nodes.n;
}

cts_node *cts_graph_node_at(const cts_graph *g, int i)
{
    CTS_ASSERT(i >= 0 && i < g->nodes.n, "node %d of %d", i, g->nodes.n);
    return g->nodes.p[i];
}

int cts_graph_n_tensors(const cts_graph *g)
{
    return g->tensors.n;
}

cts_tensor *cts_graph_tensor_at(const cts_graph *g, int i)
{
    CTS_ASSERT(i >= 0 && i < g->tensors.n, "tensor %d of %d", i, g->tensors.n);
    return g->tensors.p[i];
}

int cts_graph_n_updates(const cts_graph *g)
{
    return g->n_update;
}

cts_state_update cts_graph_update_at(const cts_graph *g, int i)
{
    CTS_ASSERT(i >= 0 && i < g->n_update, "update %d of %d", i, g->n_update);
    return g->update[i];
}

int cts_graph_n_forward(const cts_graph *g)
{
    return g->n_forward >= 0 ? g->n_forward : g->nodes.n;
}

void cts_graph_set_forward(cts_graph *g, int n)
{
    g->n_forward = n;
}

void cts_graph_prune(cts_graph *g)
{
    bool *live = cts_graph_alloc(g, (size_t)g->tensors.n + 1);

    for (int i = g->nodes.n - 1; i >= 0; i--) {
        cts_node *n = g->nodes.p[i];
        bool needed = n->op == CTS_OP_ACCUMULATE;

        for (int o = 0; o < n->n_out; o++)
            needed |= n->out[o]->pinned || live[n->out[o]->id];
        n->dead = !needed;
        for (int k = 0; needed && k < n->n_in; k++)
            if (n->in[k])
                live[n->in[k]->id] = true;
    }
}

int64_t cts_graph_macs(const cts_graph *g)
{
    int64_t sum = 0;

    for (int i = 0; i < cts_graph_n_forward(g); i++) {
        const cts_node *n = g->nodes.p[i];
        const struct cts_op_def *d = cts_op_def_of(n->op);

        if (!n->dead && d->macs)
            sum += d->macs(n);
    }
    return sum;
}
