/* Rows by index: embedding tables, gather and scatter. Every index is checked at run time.
 * SPDX-License-Identifier: MIT */
#include "kernels/ops/ops_internal.h"

static void check_rows(const char *op, const cts_tensor *x, const cts_tensor *idx)
{
    need_f32(op, x);
    CTS_ASSERT(x->ndim == 2, "%s: %s is %d-D, want rows x channels", op, x->name, x->ndim);
    CTS_ASSERT(idx && idx->dtype == CTS_I32 && idx->ndim == 1, "%s: the indices must be i32 and 1-D", op);
}

static int read_index(int64_t *out, const cts_call *c, const cts_view *idx, int64_t i, int64_t n)
{
    int32_t v = ((const int32_t *)idx->data)[i * idx->stride[0]];

    if (v < 0 || v >= n)
        return cts_fail(CTS_E_INPUT, "%s: index %d at position %lld, allowed: 0 to %lld",
                        cts_op_def_of(c->node->op)->name, (int)v, (long long)i, (long long)(n - 1));
    *out = v;
    return CTS_OK;
}

/* y [m, C] = rows idx of x [n, C] */
static int take_rows(const cts_call *c, const cts_view *x, const cts_view *idx, const cts_view *y)
{
    for (int64_t i = 0; i < y->shape[0]; i++) {
        int64_t from = 0;
        int rc = read_index(&from, c, idx, i, x->shape[0]);

        if (rc)
            return rc;
        for (int64_t k = 0; k < y->shape[1]; k++)
            row_at(y, i)[k * chan_stride(y)] = row_at(x, from)[k * chan_stride(x)];
    }
    return CTS_OK;
}

/* y [n, C] = sum of the rows of x [m, C] whose index is the row's number, in order */
static int add_rows(const cts_call *c, const cts_view *x, const cts_view *idx, const cts_view *y)
{
    int64_t n = cts_view_count(y);

    for (int64_t i = 0; i < n; i++)
        *elem_at(y, i) = 0.0f;
    for (int64_t i = 0; i < x->shape[0]; i++) {
        int64_t to = 0;
        int rc = read_index(&to, c, idx, i, y->shape[0]);

        if (rc)
            return rc;
        for (int64_t k = 0; k < y->shape[1]; k++)
            row_at(y, to)[k * chan_stride(y)] += row_at(x, i)[k * chan_stride(x)];
    }
    return CTS_OK;
}

/* ---- embedding ---- */

cts_tensor *cts_op_embedding(cts_graph *g, cts_tensor *table, cts_tensor *ids)
{
    cts_tensor *in[2] = {table, ids};
    int64_t shape[2];

    check_rows("embedding", table, ids);
    shape[0] = ids->shape[0];
    shape[1] = table->shape[1];
    return cts_node_out(g, cts_graph_node(g, CTS_OP_EMBEDDING, 2, in, NULL, 0), "embedding", CTS_F32, 2, shape,
                        ids->sym);
}

static int embedding_ref(const cts_call *c)
{
    return take_rows(c, &c->in[0], &c->in[1], &c->out[0]);
}

/* inputs (ids, dy) */
static int embedding_grad_ref(const cts_call *c)
{
    return add_rows(c, &c->in[1], &c->in[0], &c->out[0]);
}

static void embedding_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    cts_tensor *in[2] = {n->in[1], dout[0]};
    cts_node *b;

    if (!dout[0] || !need[0])
        return;
    b = cts_graph_node(g, CTS_OP_EMBEDDING_GRAD, 2, in, NULL, 0);
    din[0] = cts_node_out_like(g, b, "embedding.dtable", n->in[0]);
}

const struct cts_op_def cts_opdef_embedding = {"embedding", embedding_ref, embedding_grad, NULL, -1};
const struct cts_op_def cts_opdef_embedding_grad = {"embedding_grad", embedding_grad_ref, NULL, NULL, -1};

/* ---- gather and scatter ---- */

cts_tensor *cts_op_gather_rows(cts_graph *g, cts_tensor *x, cts_tensor *idx)
{
    cts_tensor *in[2] = {x, idx};
    int64_t shape[2];

    check_rows("gather_rows", x, idx);
    shape[0] = idx->shape[0];
    shape[1] = x->shape[1];
    return cts_node_out(g, cts_graph_node(g, CTS_OP_GATHER_ROWS, 2, in, NULL, 0), "gather_rows", CTS_F32, 2, shape,
                        idx->sym);
}

static int gather_rows_ref(const cts_call *c)
{
    return take_rows(c, &c->in[0], &c->in[1], &c->out[0]);
}

/* inputs (dy, idx) */
static int scatter_rows_ref(const cts_call *c)
{
    return add_rows(c, &c->in[0], &c->in[1], &c->out[0]);
}

static void gather_rows_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need,
                             cts_tensor **din)
{
    cts_tensor *in[2] = {dout[0], n->in[1]};
    cts_node *b;

    if (!dout[0] || !need[0])
        return;
    b = cts_graph_node(g, CTS_OP_SCATTER_ROWS, 2, in, NULL, 0);
    din[0] = cts_node_out_like(g, b, "scatter_rows", n->in[0]);
}

const struct cts_op_def cts_opdef_gather_rows = {"gather_rows", gather_rows_ref, gather_rows_grad, NULL, -1};
const struct cts_op_def cts_opdef_scatter_rows = {"scatter_rows", scatter_rows_ref, NULL, NULL, -1};
