/* Batch normalisation over rows, channels last: the training form, the evaluation form, and their gradients.
 * SPDX-License-Identifier: MIT */
#include "kernels/ops/ops_internal.h"

static cts_node *bn_node(cts_graph *g, cts_op_kind op, cts_tensor *const in[5], float eps, float momentum)
{
    cts_batch_norm_attr a = {eps, momentum};

    need_f32("batch_norm", in[0]);
    for (int i = 1; i < 5; i++)
        need_vector("batch_norm", in[i], cts_tensor_channels(in[0]));
    return cts_graph_node(g, op, 5, in, &a, sizeof(a));
}

cts_tensor *cts_op_batch_norm(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *b, cts_tensor *rm, cts_tensor *rv,
                              float eps, float momentum)
{
    cts_tensor *in[5] = {x, w, b, rm, rv}, *y, *new_rm, *new_rv;
    cts_node *n = bn_node(g, CTS_OP_BATCH_NORM, in, eps, momentum);
    int64_t c = cts_tensor_channels(x);

    y = cts_node_out_like(g, n, "batch_norm", x);
    cts_node_out(g, n, "batch_norm.mean", CTS_F32, 1, &c, CTS_SYM_NONE);
    cts_node_out(g, n, "batch_norm.rstd", CTS_F32, 1, &c, CTS_SYM_NONE);
    new_rm = cts_node_out(g, n, "batch_norm.new_mean", CTS_F32, 1, &c, CTS_SYM_NONE);
    new_rv = cts_node_out(g, n, "batch_norm.new_var", CTS_F32, 1, &c, CTS_SYM_NONE);
    if (rm->role == CTS_ROLE_STATE)
        cts_graph_update_state(g, rm, new_rm);
    if (rv->role == CTS_ROLE_STATE)
        cts_graph_update_state(g, rv, new_rv);
    return y;
}

cts_tensor *cts_op_batch_norm_eval(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *b, cts_tensor *rm,
                                   cts_tensor *rv, float eps)
{
    cts_tensor *in[5] = {x, w, b, rm, rv};

    return cts_node_out_like(g, bn_node(g, CTS_OP_BATCH_NORM_EVAL, in, eps, 0.0f), "batch_norm_eval", x);
}

/* y = (x - mean) * rstd * w + b;  x, y [rows, C]   the rest [C] */
static int batch_norm_ref(const cts_call *c)
{
    const cts_batch_norm_attr *a = c->node->attr;
    const cts_view *x = &c->in[0], *y = &c->out[0];
    int64_t rows = cts_view_rows(x), n_ch = cts_view_channels(x), xs = chan_stride(x), ys = chan_stride(y);

    for (int64_t ch = 0; ch < n_ch; ch++) {
        double m = 0.0, v = 0.0, rstd, w = *elem_at(&c->in[1], ch), b = *elem_at(&c->in[2], ch);

        for (int64_t r = 0; r < rows; r++)
            m += row_at(x, r)[ch * xs];
        m /= (double)rows;
        for (int64_t r = 0; r < rows; r++) {
            double d = row_at(x, r)[ch * xs] - m;

            v += d * d;
        }
        rstd = 1.0 / sqrt(v / (double)rows + a->eps);
        for (int64_t r = 0; r < rows; r++)
            row_at(y, r)[ch * ys] = (float)((row_at(x, r)[ch * xs] - m) * rstd * w + b);
        *elem_at(&c->out[1], ch) = (float)m;
        *elem_at(&c->out[2], ch) = (float)rstd;
        /* one row has no unbiased variance; 0 then, not a division by zero */
        v /= (double)cts_max_i64(rows - 1, 1);
        *elem_at(&c->out[3], ch) = (float)((1.0 - a->momentum) * *elem_at(&c->in[3], ch) + a->momentum * m);
        *elem_at(&c->out[4], ch) = (float)((1.0 - a->momentum) * *elem_at(&c->in[4], ch) + a->momentum * v);
    }
    return CTS_OK;
}

/* With g = dy and h = (x - mean) * rstd:  dw = sum g h   db = sum g   dx = w rstd (g - db / rows - h dw / rows);
 * with fixed statistics (the evaluation form) dx = w rstd g. */
static void bn_channel_grad(const cts_call *c, int64_t ch, double mean, double rstd, bool batch_stats)
{
    const cts_view *dy = &c->in[0], *x = &c->in[1], *dx = &c->out[0];
    int64_t rows = cts_view_rows(x);
    double w = *elem_at(&c->in[2], ch), dw = 0.0, db = 0.0;

    for (int64_t r = 0; r < rows; r++) {
        double d = row_at(dy, r)[ch * chan_stride(dy)];

        dw += d * (row_at(x, r)[ch * chan_stride(x)] - mean) * rstd;
        db += d;
    }
    for (int64_t r = 0; r < rows; r++) {
        double d = row_at(dy, r)[ch * chan_stride(dy)];
        double h = (row_at(x, r)[ch * chan_stride(x)] - mean) * rstd;

        if (batch_stats)
            d -= (db + h * dw) / (double)rows;
        row_at(dx, r)[ch * chan_stride(dx)] = (float)(w * rstd * d);
    }
    *elem_at(&c->out[1], ch) = (float)dw;
    *elem_at(&c->out[2], ch) = (float)db;
}

static int batch_norm_grad_ref(const cts_call *c)
{
    int64_t n_ch = cts_view_channels(&c->in[1]);

    for (int64_t ch = 0; ch < n_ch; ch++)
        bn_channel_grad(c, ch, *elem_at(&c->in[3], ch), *elem_at(&c->in[4], ch), true);
    return CTS_OK;
}

static int batch_norm_eval_ref(const cts_call *c)
{
    const cts_batch_norm_attr *a = c->node->attr;
    const cts_view *x = &c->in[0], *y = &c->out[0];
    int64_t rows = cts_view_rows(x), n_ch = cts_view_channels(x);

    for (int64_t ch = 0; ch < n_ch; ch++) {
        double w = *elem_at(&c->in[1], ch), b = *elem_at(&c->in[2], ch), m = *elem_at(&c->in[3], ch);
        double rstd = 1.0 / sqrt((double)*elem_at(&c->in[4], ch) + a->eps);

        for (int64_t r = 0; r < rows; r++)
            row_at(y, r)[ch * chan_stride(y)] = (float)((row_at(x, r)[ch * chan_stride(x)] - m) * rstd * w + b);
    }
    return CTS_OK;
}

static int batch_norm_eval_grad_ref(const cts_call *c)
{
    const cts_batch_norm_attr *a = c->node->attr;
    int64_t n_ch = cts_view_channels(&c->in[1]);

    for (int64_t ch = 0; ch < n_ch; ch++)
        bn_channel_grad(c, ch, *elem_at(&c->in[3], ch), 1.0 / sqrt((double)*elem_at(&c->in[4], ch) + a->eps), false);
    return CTS_OK;
}

static void bn_grad(cts_graph *g, const cts_node *n, cts_op_kind op, cts_tensor *mean, cts_tensor *other,
                    cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    cts_tensor *in[5] = {dout[0], n->in[0], n->in[1], mean, other}, *d[3];
    int64_t c = cts_tensor_channels(n->in[0]);
    cts_node *b;

    if (!dout[0] || !(need[0] || need[1] || need[2]))
        return;
    b = cts_graph_node(g, op, 5, in, n->attr, sizeof(cts_batch_norm_attr));
    d[0] = cts_node_out_like(g, b, "batch_norm.dx", n->in[0]);
    d[1] = cts_node_out(g, b, "batch_norm.dw", CTS_F32, 1, &c, CTS_SYM_NONE);
    d[2] = cts_node_out(g, b, "batch_norm.db", CTS_F32, 1, &c, CTS_SYM_NONE);
    for (int i = 0; i < 3; i++)
        if (need[i])
            din[i] = d[i];
}

static void batch_norm_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need,
                            cts_tensor **din)
{
    bn_grad(g, n, CTS_OP_BATCH_NORM_GRAD, n->out[1], n->out[2], dout, need, din);
}

static void batch_norm_eval_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need,
                                 cts_tensor **din)
{
    bn_grad(g, n, CTS_OP_BATCH_NORM_EVAL_GRAD, n->in[3], n->in[4], dout, need, din);
}

static int64_t bn_macs(const cts_node *n)
{
    return 5 * cts_tensor_count(n->in[0]); /* fvcore's count for any affine normalisation */
}

const struct cts_op_def cts_opdef_batch_norm = {"batch_norm", batch_norm_ref, batch_norm_grad, bn_macs, -1};
const struct cts_op_def cts_opdef_batch_norm_grad = {"batch_norm_grad", batch_norm_grad_ref, NULL, NULL, -1};
const struct cts_op_def cts_opdef_batch_norm_eval = {"batch_norm_eval", batch_norm_eval_ref, batch_norm_eval_grad,
                                                     bn_macs, 0};
const struct cts_op_def cts_opdef_batch_norm_eval_grad = {"batch_norm_eval_grad", batch_norm_eval_grad_ref, NULL, NULL,
                                                          -1};
