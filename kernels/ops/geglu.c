/* Gated GELU. SPDX-License-Identifier: MIT */
#include <string.h>

#include "kernels/ops/ops_internal.h"

cts_tensor *cts_op_geglu(cts_graph *g, cts_tensor *x)
{
    int64_t shape[CTS_MAX_DIMS] = {0};

    need_f32("geglu", x);
    CTS_ASSERT(x->ndim > 0 && cts_tensor_channels(x) % 2 == 0, "geglu: %s has %lld channels, want an even number",
               x->name, (long long)cts_tensor_channels(x));
    memcpy(shape, x->shape, sizeof(shape));
    shape[x->ndim - 1] /= 2;
    return cts_node_out(g, cts_graph_node(g, CTS_OP_GEGLU, 1, &x, NULL, 0), "geglu", CTS_F32, x->ndim, shape, x->sym);
}

static int geglu_ref(const cts_call *c)
{
    const cts_view *x = &c->in[0], *y = &c->out[0];
    int64_t rows = cts_view_rows(y), n = cts_view_channels(y), xs = chan_stride(x);

    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < n; k++)
            row_at(y, r)[k * chan_stride(y)] =
                (float)(row_at(x, r)[k * xs] * act_value(CTS_ACT_GELU, row_at(x, r)[(n + k) * xs]));
    return CTS_OK;
}

/* inputs (dy, x): with x = (a, g)  da = dy gelu(g)   dg = dy a gelu'(g) */
static int geglu_grad_ref(const cts_call *c)
{
    const cts_view *dy = &c->in[0], *x = &c->in[1], *dx = &c->out[0];
    int64_t rows = cts_view_rows(dy), n = cts_view_channels(dy), xs = chan_stride(x), ds = chan_stride(dx);

    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < n; k++) {
            double d = row_at(dy, r)[k * chan_stride(dy)], a = row_at(x, r)[k * xs], gate = row_at(x, r)[(n + k) * xs];

            row_at(dx, r)[k * ds] = (float)(d * act_value(CTS_ACT_GELU, gate));
            row_at(dx, r)[(n + k) * ds] = (float)(d * a * act_slope(CTS_ACT_GELU, gate));
        }
    return CTS_OK;
}

static void geglu_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    cts_tensor *in[2] = {dout[0], n->in[0]};

    if (!dout[0] || !need[0])
        return;
    din[0] = cts_node_out_like(g, cts_graph_node(g, CTS_OP_GEGLU_GRAD, 2, in, NULL, 0), "geglu.dx", n->in[0]);
}

const struct cts_op_def cts_opdef_geglu = {"geglu", geglu_ref, geglu_grad, NULL, -1};
const struct cts_op_def cts_opdef_geglu_grad = {"geglu_grad", geglu_grad_ref, NULL, NULL, -1};
