/* Binary cross entropy of logits, mean over all cells, with optional weights of the positive term.
 * SPDX-License-Identifier: MIT */
#include "kernels/ops/ops_internal.h"

cts_tensor *cts_op_sigmoid_bce(cts_graph *g, cts_tensor *logits, cts_tensor *labels, cts_tensor *pos_weight)
{
    cts_tensor *in[3] = {logits, labels, pos_weight};
    cts_node *n;
    int64_t one = 1;

    need_f32("sigmoid_bce", logits);
    need_f32("sigmoid_bce", labels);
    CTS_ASSERT(same_shape(logits, labels), "sigmoid_bce: %s and %s differ in shape", logits->name, labels->name);
    if (pos_weight)
        need_vector("sigmoid_bce", pos_weight, cts_tensor_channels(logits));
    n = cts_graph_node(g, CTS_OP_SIGMOID_BCE, 3, in, NULL, 0);
    return cts_node_out(g, n, "sigmoid_bce", CTS_F32, 1, &one, CTS_SYM_NONE);
}

static double positive_weight(const cts_view *w, int64_t cell, int64_t n_ch)
{
    return w->data ? (double)*elem_at(w, cell % n_ch) : 1.0;
}

/* -(w y log sigmoid(x) + (1 - y) log(1 - sigmoid(x))) = (1 - y) x + (1 + (w - 1) y) log(1 + exp(-x)) */
static int sigmoid_bce_ref(const cts_call *c)
{
    int64_t n = cts_view_count(&c->in[0]), n_ch = cts_view_channels(&c->in[0]);
    double sum = 0.0;

    for (int64_t i = 0; i < n; i++) {
        double x = *elem_at(&c->in[0], i), y = *elem_at(&c->in[1], i);
        double softplus = fmax(-x, 0.0) + log1p(exp(-fabs(x)));

        sum += (1.0 - y) * x + (1.0 + (positive_weight(&c->in[2], i, n_ch) - 1.0) * y) * softplus;
    }
    *elem_at(&c->out[0], 0) = (float)(sum / (double)n);
    return CTS_OK;
}

/* inputs (dloss, logits, labels, pos_weight):  dx = (1 - y) - (1 + (w - 1) y) sigmoid(-x),
 * written without cancellation */
static int sigmoid_bce_grad_ref(const cts_call *c)
{
    int64_t n = cts_view_count(&c->in[1]), n_ch = cts_view_channels(&c->in[1]);
    double share = *elem_at(&c->in[0], 0) / (double)n;

    for (int64_t i = 0; i < n; i++) {
        double x = *elem_at(&c->in[1], i), y = *elem_at(&c->in[2], i), e = exp(-fabs(x));
        double p = (x < 0.0 ? e : 1.0) / (1.0 + e), q = (x < 0.0 ? 1.0 : e) / (1.0 + e);

        *elem_at(&c->out[0], i) = (float)(share * ((1.0 - y) * p - positive_weight(&c->in[3], i, n_ch) * y * q));
    }
    return CTS_OK;
}

static void sigmoid_bce_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need,
                             cts_tensor **din)
{
    cts_tensor *in[4] = {dout[0], n->in[0], n->in[1], n->in[2]};
    cts_node *b;

    CTS_ASSERT(!need[1] && !need[2], "sigmoid_bce: labels and weights take no gradient");
    if (!dout[0] || !need[0])
        return;
    b = cts_graph_node(g, CTS_OP_SIGMOID_BCE_GRAD, 4, in, NULL, 0);
    din[0] = cts_node_out_like(g, b, "sigmoid_bce.dx", n->in[0]);
}

const struct cts_op_def cts_opdef_sigmoid_bce = {"sigmoid_bce", sigmoid_bce_ref, sigmoid_bce_grad, NULL, -1};
const struct cts_op_def cts_opdef_sigmoid_bce_grad = {"sigmoid_bce_grad", sigmoid_bce_grad_ref, NULL, NULL, -1};
