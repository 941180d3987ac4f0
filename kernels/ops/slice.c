/* Columns of a tensor: a run of channels as a tensor of its own, and back. SPDX-License-Identifier: MIT */
#include <string.h>

#include "kernels/ops/ops_internal.h"

cts_tensor *cts_op_slice(cts_graph *g, cts_tensor *x, int64_t first, int64_t n)
{
    cts_slice_attr a = {first};
    int64_t shape[CTS_MAX_DIMS];

    need_f32("slice", x);
    CTS_ASSERT(x->ndim >= 1 && first >= 0 && n >= 1 && first + n <= x->shape[x->ndim - 1],
               "slice: columns [%lld, %lld) of %s", (long long)first, (long long)(first + n), x->name);
    memcpy(shape, x->shape, sizeof shape);
    shape[x->ndim - 1] = n;
    return cts_node_out(g, cts_graph_node(g, CTS_OP_SLICE, 1, &x, &a, sizeof a), "slice", CTS_F32, x->ndim, shape,
                        x->sym);
}

static int slice_ref(const cts_call *c)
{
    const cts_slice_attr *a = c->node->attr;
    const cts_view *x = &c->in[0], *y = &c->out[0];
    int64_t rows = cts_view_rows(y), cols = cts_view_channels(y);

    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < cols; i++)
            row_at(y, r)[i * chan_stride(y)] = row_at(x, r)[(a->first + i) * chan_stride(x)];
    return CTS_OK;
}

/* dy -> dx: zero outside the columns */
static int slice_grad_ref(const cts_call *c)
{
    const cts_slice_attr *a = c->node->attr;
    const cts_view *dy = &c->in[0], *dx = &c->out[0];
    int64_t rows = cts_view_rows(dx), wide = cts_view_channels(dx), cols = cts_view_channels(dy);

    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < wide; i++) {
            int64_t from = i - a->first;

            row_at(dx, r)[i * chan_stride(dx)] =
                from >= 0 && from < cols ? row_at(dy, r)[from * chan_stride(dy)] : 0.0f;
        }
    return CTS_OK;
}

static void slice_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    if (dout[0] && need[0])
        din[0] =
            cts_node_out_like(g, cts_graph_node(g, CTS_OP_SLICE_GRAD, 1, &dout[0], n->attr, sizeof(cts_slice_attr)),
                              "slice.dx", n->in[0]);
}

const struct cts_op_def cts_opdef_slice = {"slice", slice_ref, slice_grad, NULL, -1};
const struct cts_op_def cts_opdef_slice_grad = {"slice_grad", slice_grad_ref, NULL, NULL, -1};
