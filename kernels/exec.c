/* A planned graph with memory behind it. All views are made at creation and when an extent changes; a run only walks
 * the nodes.
 * SPDX-License-Identifier: MIT */
#include "kernels/exec.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/log.h"
#include "kernels/base/status.h"

struct cts_exec {
    cts_plan *plan;
    cts_graph *g;
    cts_backend *b;
    cts_grads *grads;
    char *arena, *scratch;
    size_t scratch_bytes;
    void **data;    /* [n_tensors] memory of each tensor on the back end */
    char *leaves;   /* device copies of parameters, states and gradients; NULL on host back ends */
    float *staging; /* host buffer for the largest gradient or state; NULL on host back ends */
    cts_call *call; /* [n_nodes] */
    int64_t extent[CTS_SYM_COUNT], extent_max[CTS_SYM_COUNT];
    bool profile;
    double seconds[CTS_OP_COUNT];
};

static bool is_leaf(const cts_tensor *t)
{
    return t->role == CTS_ROLE_PARAM || t->role == CTS_ROLE_STATE || t->role == CTS_ROLE_GRAD;
}

static float *host_leaf(const cts_exec *e, const cts_tensor *t)
{
    if (t->role == CTS_ROLE_GRAD) {
        CTS_ASSERT(e->grads && e->grads->data[t->param],
                   "gradient of %s has no buffer: the graph and the gradients were made from different freezes",
                   t->name);
        return e->grads->data[t->param];
    }
    return cts_params_get(cts_graph_params(e->g), t->param)->data;
}

static size_t leaf_bytes(const cts_tensor *t)
{
    return ((size_t)cts_tensor_count(t) * sizeof(float) + 63) / 64 * 64;
}

static int bind_leaves(cts_exec *e)
{
    size_t total = 0, largest = 0, at = 0;
    int rc;

    for (int i = 0; i < cts_graph_n_tensors(e->g); i++) {
        const cts_tensor *t = cts_graph_tensor_at(e->g, i);

        if (!is_leaf(t))
            continue;
        CTS_ASSERT(host_leaf(e, t), "%s has no data: call cts_params_alloc() first", t->name);
        e->data[i] = host_leaf(e, t);
        total += leaf_bytes(t);
        largest = leaf_bytes(t) > largest ? leaf_bytes(t) : largest;
    }
    if (e->b->host)
        return CTS_OK;
    if ((rc = e->b->alloc(e->b, (void **)&e->leaves, total)))
        return rc;
    if (!(e->staging = malloc(largest + 1)))
        return cts_fail(CTS_E_NOMEM, "out of memory for a staging buffer of %zu bytes", largest);
    for (int i = 0; i < cts_graph_n_tensors(e->g); i++) {
        const cts_tensor *t = cts_graph_tensor_at(e->g, i);

        if (is_leaf(t)) {
            e->data[i] = e->leaves + at;
            at += leaf_bytes(t);
        }
    }
    return cts_exec_params_changed(e);
}

static void bind_arena(cts_exec *e)
{
    for (int i = 0; i < cts_graph_n_tensors(e->g); i++) {
        const cts_tensor *t = cts_graph_tensor_at(e->g, i);
        const cts_tensor *root = t->base ? t->base : t;
        size_t at = cts_plan_offset(e->plan, t);

        if (is_leaf(root))
            e->data[i] = e->data[root->id];
        else if (at != SIZE_MAX)
            e->data[i] = e->arena + at;
        if (t->sym != CTS_SYM_NONE) {
            CTS_ASSERT(!e->extent_max[t->sym] || e->extent_max[t->sym] == t->shape[0],
                       "%s: extent %lld of a symbol that is %lld elsewhere", t->name, (long long)t->shape[0],
                       (long long)e->extent_max[t->sym]);
            e->extent_max[t->sym] = e->extent[t->sym] = t->shape[0];
        }
    }
}

static cts_view view_of(const cts_exec *e, const cts_tensor *t)
{
    cts_view v = {0};

    if (!t)
        return v;
    v.data = e->data[t->id];
    v.dtype = t->dtype;
    v.ndim = t->ndim;
    memcpy(v.shape, t->shape, sizeof v.shape);
    memcpy(v.stride, t->stride, sizeof v.stride);
    if (t->sym != CTS_SYM_NONE)
        v.shape[0] = e->extent[t->sym];
    return v;
}

static void make_calls(cts_exec *e)
{
    for (int i = 0; i < cts_graph_n_nodes(e->g); i++) {
        const cts_node *n = cts_graph_node_at(e->g, i);
        cts_call *c = &e->call[i];

        if (n->dead)
            continue;
        c->node = n;
        c->scratch = e->scratch;
        c->pool = e->b->pool;
        for (int k = 0; k < n->n_in; k++)
            c->in[k] = view_of(e, n->in[k]);
        for (int k = 0; k < n->n_out; k++)
            c->out[k] = view_of(e, n->out[k]);
    }
}

int cts_exec_create(cts_exec **out, cts_plan *plan, cts_backend *b, cts_grads *grads)
{
    cts_exec *e = calloc(1, sizeof *e);
    cts_plan_info info = cts_plan_get_info(plan);
    int rc = CTS_OK;

    if (!e)
        return cts_fail(CTS_E_NOMEM, "out of memory for an executor");
    e->plan = plan;
    e->g = cts_plan_graph(plan);
    e->b = b;
    e->grads = grads;
    e->data = calloc((size_t)cts_graph_n_tensors(e->g) + 1, sizeof *e->data);
    e->call = calloc((size_t)cts_graph_n_nodes(e->g) + 1, sizeof *e->call);
    if (!e->data || !e->call)
        rc = cts_fail(CTS_E_NOMEM, "out of memory for an executor");
    if (!rc)
        rc = b->alloc(b, (void **)&e->arena, info.arena_bytes);
    if (!rc && info.scratch_bytes)
        rc = b->alloc(b, (void **)&e->scratch, info.scratch_bytes);
    if (!rc)
        rc = bind_leaves(e);
    if (rc) {
        cts_exec_destroy(e);
        return rc;
    }
    bind_arena(e);
    make_calls(e);
    *out = e;
    return CTS_OK;
}

void cts_exec_destroy(cts_exec *e)
{
    if (!e)
        return;
    if (e->arena)
        e->b->free(e->b, e->arena);
    if (e->scratch)
        e->b->free(e->b, e->scratch);
    if (e->leaves)
        e->b->free(e->b, e->leaves);
    free(e->staging);
    free(e->data);
    free(e->call);
    free(e);
}

void cts_exec_set_extent(cts_exec *e, cts_sym sym, int64_t n)
{
    CTS_ASSERT(n > 0 && n <= e->extent_max[sym], "extent %lld of at most %lld", (long long)n,
               (long long)e->extent_max[sym]);
    if (e->extent[sym] == n)
        return;
    e->extent[sym] = n;
    make_calls(e);
}

void cts_exec_set_step(cts_exec *e, uint64_t seed, uint64_t step)
{
    for (int i = 0; i < cts_graph_n_nodes(e->g); i++) {
        e->call[i].seed = seed;
        e->call[i].step = step;
    }
}

/* Copy between a dense host array and the tensor's memory, run by run of rows that lie back to back. */
static int move(cts_exec *e, const cts_tensor *t, char *host, bool up)
{
    cts_view v = view_of(e, t);
    size_t item = cts_dtype_bytes(t->dtype), chunk = item;
    int d = v.ndim; /* dimensions [d, ndim) are dense */
    int64_t at[CTS_MAX_DIMS] = {0}, n = 1, dense = 1;

    while (d > 0 && (v.stride[d - 1] == dense || v.shape[d - 1] == 1)) {
        dense *= v.shape[--d];
        chunk = (size_t)dense * item;
    }
    for (int i = 0; i < d; i++)
        n *= v.shape[i];
    for (int64_t k = 0; k < n; k++, host += chunk) {
        int64_t off = 0;
        char *own;
        int rc;

        for (int i = 0; i < d; i++)
            off += at[i] * v.stride[i];
        own = (char *)v.data + (size_t)off * item;
        if ((rc = up ? e->b->upload(e->b, own, host, chunk) : e->b->download(e->b, host, own, chunk)))
            return rc;
        for (int i = d - 1; i >= 0 && ++at[i] == v.shape[i]; i--)
            at[i] = 0;
    }
    return CTS_OK;
}

int cts_exec_write(cts_exec *e, const cts_tensor *t, const void *src)
{
    CTS_ASSERT(t->role == CTS_ROLE_INPUT, "%s is not an input", t->name);
    if (!e->data[t->id]) /* nobody reads it, so it has no memory */
        return CTS_OK;
    return move(e, t, (char *)src, true); /* only read */
}

int cts_exec_read(cts_exec *e, const cts_tensor *t, void *dst)
{
    CTS_ASSERT(t->pinned || t->role == CTS_ROLE_GRAD, "%s is not kept after a run: mark it with cts_graph_output()",
               t->name);
    return move(e, t, dst, false);
}

static int run_nodes(cts_exec *e, int from, int to)
{
    for (int i = from; i < to; i++) {
        const cts_node *n = cts_graph_node_at(e->g, i);
        double t0 = 0.0;
        int rc;

        if (n->dead || n->op == CTS_OP_RESHAPE)
            continue;
        if (e->profile)
            t0 = cts_now();
        if ((rc = e->b->run(e->b, &e->call[i])))
            return cts_fail_in(rc, "op %s", cts_op_def_of(n->op)->name);
        if (e->profile) {
            e->b->sync(e->b);
            e->seconds[n->op] += cts_now() - t0;
        }
    }
    return e->b->sync(e->b);
}

static int commit_states(cts_exec *e)
{
    int rc = CTS_OK;

    for (int i = 0; !rc && i < cts_graph_n_updates(e->g); i++) {
        cts_state_update u = cts_graph_update_at(e->g, i);
        size_t bytes = (size_t)cts_tensor_count(u.state) * sizeof(float);

        if (!(rc = e->b->download(e->b, host_leaf(e, u.state), e->data[u.value->id], bytes)) && !e->b->host)
            rc = e->b->copy(e->b, e->data[u.state->id], e->data[u.value->id], bytes);
    }
    return rc;
}

int cts_exec_forward(cts_exec *e, int flags)
{
    int rc = run_nodes(e, 0, cts_graph_n_forward(e->g));

    if (!rc && (flags & CTS_RUN_UPDATE_STATE))
        rc = commit_states(e);
    return rc;
}

/* On a device the gradients of one run are made there from zero and added to the host's accumulators afterwards. */
static int device_grads(cts_exec *e, bool fetch)
{
    int rc = CTS_OK;

    for (int i = 0; !rc && i < cts_graph_n_tensors(e->g); i++) {
        const cts_tensor *t = cts_graph_tensor_at(e->g, i);
        int64_t n = cts_tensor_count(t);
        float *host;

        if (t->role != CTS_ROLE_GRAD)
            continue;
        if (!fetch) {
            memset(e->staging, 0, (size_t)n * sizeof(float));
            rc = e->b->upload(e->b, e->data[i], e->staging, (size_t)n * sizeof(float));
            continue;
        }
        rc = e->b->download(e->b, e->staging, e->data[i], (size_t)n * sizeof(float));
        host = host_leaf(e, t);
        for (int64_t k = 0; !rc && k < n; k++)
            host[k] += e->staging[k];
    }
    return rc;
}

int cts_exec_backward(cts_exec *e)
{
    int rc = CTS_OK;

    if (!e->b->host)
        rc = device_grads(e, false);
    if (!rc)
        rc = run_nodes(e, cts_graph_n_forward(e->g), cts_graph_n_nodes(e->g));
    if (!rc && !e->b->host)
        rc = device_grads(e, true);
    return rc;
}

int cts_exec_params_changed(cts_exec *e)
{
    int rc = CTS_OK;

    if (e->b->host)
        return CTS_OK;
    for (int i = 0; !rc && i < cts_graph_n_tensors(e->g); i++) {
        const cts_tensor *t = cts_graph_tensor_at(e->g, i);

        if (t->role == CTS_ROLE_PARAM || t->role == CTS_ROLE_STATE)
            rc = e->b->upload(e->b, e->data[i], host_leaf(e, t), (size_t)cts_tensor_count(t) * sizeof(float));
    }
    return rc;
}

void cts_exec_profile(cts_exec *e, bool on)
{
    e->profile = on;
    memset(e->seconds, 0, sizeof e->seconds);
}

const double *cts_exec_seconds(const cts_exec *e)
{
    return e->seconds;
}
