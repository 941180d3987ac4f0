/* Activations: GELU by erf, ReLU, tanh, leaky ReLU of slope 0.1. SPDX-License-Identifier: MIT */
#include "kernels/ops/ops_internal.h"

cts_tensor *cts_op_act(cts_graph *g, cts_tensor *x, cts_act_kind kind)
{
    cts_act_attr a = {kind};

    need_f32("act", x);
    if (kind == CTS_ACT_NONE)
        return x;
    return cts_node_out_like(g, cts_graph_node(g, CTS_OP_ACT, 1, &x, &a, sizeof(a)), "act", x);
}

static int act_ref(const cts_call *c)
{
    cts_act_kind kind = ((const cts_act_attr *)c->node->attr)->kind;
    int64_t n = cts_view_count(&c->out[0]);

    for (int64_t i = 0; i < n; i++)
        *elem_at(&c->out[0], i) = (float)act_value(kind, *elem_at(&c->in[0], i));
    return CTS_OK;
}

/* inputs (dy, x) */
static int act_grad_ref(const cts_call *c)
{
    cts_act_kind kind = ((const cts_act_attr *)c->node->attr)->kind;
    int64_t n = cts_view_count(&c->out[0]);

    for (int64_t i = 0; i < n; i++)
        *elem_at(&c->out[0], i) = (float)(*elem_at(&c->in[0], i) * act_slope(kind, *elem_at(&c->in[1], i)));
    return CTS_OK;
}

static void act_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    cts_tensor *in[2] = {dout[0], n->in[0]};
    cts_node *b;

    if (!dout[0] || !need[0])
        return;
    b = cts_graph_node(g, CTS_OP_ACT_GRAD, 2, in, n->attr, sizeof(cts_act_attr));
    din[0] = cts_node_out_like(g, b, "act.dx", n->in[0]);
}

const struct cts_op_def cts_opdef_act = {"act", act_ref, act_grad, NULL, 0};
const struct cts_op_def cts_opdef_act_grad = {"act_grad", act_grad_ref, NULL, NULL, 0};
