/* Shape and type: reshape (a view, nothing runs), permute (a dense copy), cast between f32 and the 16-bit floats.
 * SPDX-License-Identifier: MIT */
#include "kernels/base/half.h"
#include "kernels/ops/ops_internal.h"

/* ---- reshape ---- */

static cts_tensor *reshape_to(cts_graph *g, cts_tensor *x, int ndim, const int64_t *shape, cts_sym sym)
{
    cts_node *n = cts_graph_node(g, CTS_OP_RESHAPE, 1, &x, NULL, 0);

    return cts_node_out_view(g, n, "reshape", x, ndim, shape, sym);
}

cts_tensor *cts_op_reshape(cts_graph *g, cts_tensor *x, int ndim, const int64_t *shape)
{
    int64_t count = 1;
    bool same0;

    CTS_ASSERT(x && dense_tensor(x), "reshape: %s is not dense", x ? x->name : "(null)");
    CTS_ASSERT(ndim >= 0 && ndim <= CTS_MAX_DIMS, "reshape: %d dimensions", ndim);
    for (int d = 0; d < ndim; d++)
        count *= shape[d];
    CTS_ASSERT(count == cts_tensor_count(x), "reshape: %s has %lld elements, the new shape %lld", x->name,
               (long long)cts_tensor_count(x), (long long)count);
    same0 = ndim > 0 && x->ndim > 0 && shape[0] == x->shape[0];
    return reshape_to(g, x, ndim, shape, same0 ? x->sym : CTS_SYM_NONE);
}

static int reshape_ref(const cts_call *c)
{
    (void)c; /* the output is the input's memory */
    return CTS_OK;
}

static void reshape_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    const cts_tensor *x = n->in[0];

    if (dout[0] && need[0])
        din[0] = reshape_to(g, dout[0], x->ndim, x->shape, x->sym);
}

const struct cts_op_def cts_opdef_reshape = {"reshape", reshape_ref, reshape_grad, NULL, -1};

/* ---- permute ---- */

cts_tensor *cts_op_permute(cts_graph *g, cts_tensor *x, const int *perm)
{
    cts_permute_attr a = {{0}};
    int64_t shape[CTS_MAX_DIMS] = {0};
    bool seen[CTS_MAX_DIMS] = {false};
    cts_node *n;

    need_f32("permute", x);
    for (int d = 0; d < x->ndim; d++) {
        CTS_ASSERT(perm[d] >= 0 && perm[d] < x->ndim && !seen[perm[d]], "permute: bad entry %d", perm[d]);
        seen[perm[d]] = true;
        a.perm[d] = perm[d];
        shape[d] = x->shape[perm[d]];
    }
    CTS_ASSERT(x->sym == CTS_SYM_NONE || perm[0] == 0, "permute: %s has a symbol, dimension 0 must stay", x->name);
    n = cts_graph_node(g, CTS_OP_PERMUTE, 1, &x, &a, sizeof(a));
    return cts_node_out(g, n, "permute", x->dtype, x->ndim, shape, x->sym);
}

static int permute_ref(const cts_call *c)
{
    const cts_permute_attr *a = c->node->attr;
    const cts_view *x = &c->in[0], *y = &c->out[0];
    int64_t n = cts_view_count(y);

    for (int64_t i = 0; i < n; i++) {
        int64_t from = 0, to = 0, rest = i;

        for (int d = y->ndim - 1; d >= 0; d--) {
            int64_t at = rest % y->shape[d];

            rest /= y->shape[d];
            to += at * y->stride[d];
            from += at * x->stride[a->perm[d]];
        }
        ((float *)y->data)[to] = ((const float *)x->data)[from];
    }
    return CTS_OK;
}

static void permute_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    const cts_permute_attr *a = n->attr;
    int inverse[CTS_MAX_DIMS] = {0};

    if (!dout[0] || !need[0])
        return;
    for (int d = 0; d < n->in[0]->ndim; d++)
        inverse[a->perm[d]] = d;
    din[0] = cts_op_permute(g, dout[0], inverse);
}

const struct cts_op_def cts_opdef_permute = {"permute", permute_ref, permute_grad, NULL, -1};

/* ---- cast ---- */

cts_tensor *cts_op_cast(cts_graph *g, cts_tensor *x, cts_dtype to)
{
    bool wide = x->dtype == CTS_F32 && (to == CTS_BF16 || to == CTS_F16);
    bool narrow = to == CTS_F32 && (x->dtype == CTS_BF16 || x->dtype == CTS_F16);
    cts_node *n;

    CTS_ASSERT(wide || narrow, "cast: %s to %s", cts_dtype_name(x->dtype), cts_dtype_name(to));
    n = cts_graph_node(g, CTS_OP_CAST, 1, &x, NULL, 0);
    return cts_node_out(g, n, "cast", to, x->ndim, x->shape, x->sym);
}

static float load_as_f32(const cts_view *v, int64_t at)
{
    uint16_t h;

    if (v->dtype == CTS_F32)
        return ((const float *)v->data)[at];
    h = ((const uint16_t *)v->data)[at];
    return v->dtype == CTS_BF16 ? cts_bf16_to_f32(h) : cts_f16_to_f32(h);
}

static int cast_ref(const cts_call *c)
{
    const cts_view *x = &c->in[0], *y = &c->out[0];
    int64_t n = cts_view_count(y);

    for (int64_t i = 0; i < n; i++) {
        float v = load_as_f32(x, trail_at(x, 0, i));
        int64_t to = trail_at(y, 0, i);

        if (y->dtype == CTS_F32)
            ((float *)y->data)[to] = v;
        else
            ((uint16_t *)y->data)[to] = y->dtype == CTS_BF16 ? cts_f32_to_bf16(v) : cts_f32_to_f16(v);
    }
    return CTS_OK;
}

static void cast_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    if (dout[0] && need[0])
        din[0] = cts_op_cast(g, dout[0], n->in[0]->dtype);
}

const struct cts_op_def cts_opdef_cast = {"cast", cast_ref, cast_grad, NULL, -1};
