/* Normalisation of each row: layer norm and division by the L2 norm, with their gradients.
 * SPDX-License-Identifier: MIT */
#include "kernels/ops/ops_internal.h"

/* One number a row, in the shape of x without its last axis (so that a symbol of dimension 0 stays true). */
static cts_tensor *per_row(cts_graph *g, cts_node *n, const char *name, const cts_tensor *x)
{
    int64_t one = 1;

    if (x->ndim < 2)
        return cts_node_out(g, n, name, CTS_F32, 1, &one, CTS_SYM_NONE);
    return cts_node_out(g, n, name, CTS_F32, x->ndim - 1, x->shape, x->sym);
}

/* ---- layer norm ---- */

cts_tensor *cts_op_layer_norm(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *b, float eps)
{
    cts_tensor *in[3] = {x, w, b}, *y;
    cts_layer_norm_attr a = {eps};
    cts_node *n;

    need_f32("layer_norm", x);
    need_vector("layer_norm", w, cts_tensor_channels(x));
    need_vector("layer_norm", b, cts_tensor_channels(x));
    n = cts_graph_node(g, CTS_OP_LAYER_NORM, 3, in, &a, sizeof(a));
    y = cts_node_out_like(g, n, "layer_norm", x);
    per_row(g, n, "layer_norm.mean", x);
    per_row(g, n, "layer_norm.rstd", x);
    return y;
}

/* y = (x - mean) * rstd * w + b over the last axis.  x, y [rows, C]   w, b [C]   mean, rstd [rows] */
static int layer_norm_ref(const cts_call *c)
{
    const cts_layer_norm_attr *a = c->node->attr;
    const cts_view *x = &c->in[0], *w = &c->in[1], *b = &c->in[2], *y = &c->out[0];
    int64_t rows = cts_view_rows(x), n_ch = cts_view_channels(x), xs = chan_stride(x);

    for (int64_t r = 0; r < rows; r++) {
        const float *xp = row_at(x, r);
        float *yp = row_at(y, r);
        double m = 0.0, v = 0.0, rstd;

        for (int64_t k = 0; k < n_ch; k++)
            m += xp[k * xs];
        m /= (double)n_ch;
        for (int64_t k = 0; k < n_ch; k++)
            v += (xp[k * xs] - m) * (xp[k * xs] - m);
        rstd = 1.0 / sqrt(v / (double)n_ch + a->eps); /* biased variance, as the paper */
        for (int64_t k = 0; k < n_ch; k++)
            yp[k * chan_stride(y)] = (float)((xp[k * xs] - m) * rstd * *elem_at(w, k) + *elem_at(b, k));
        *elem_at(&c->out[1], r) = (float)m;
        *elem_at(&c->out[2], r) = (float)rstd;
    }
    return CTS_OK;
}

/* With h = (x - mean) * rstd and g = dy * w:  dx = rstd (g - mean(g) - h mean(g h))   dw = sum dy h   db = sum dy */
static int layer_norm_grad_ref(const cts_call *c)
{
    const cts_view *dy = &c->in[0], *x = &c->in[1], *w = &c->in[2], *dx = &c->out[0];
    int64_t rows = cts_view_rows(x), n_ch = cts_view_channels(x), ds = chan_stride(dy), xs = chan_stride(x);

    for (int64_t r = 0; r < rows; r++) {
        const float *d = row_at(dy, r), *xp = row_at(x, r);
        double m = *elem_at(&c->in[3], r), rstd = *elem_at(&c->in[4], r), g = 0.0, gh = 0.0;

        for (int64_t k = 0; k < n_ch; k++) {
            double dw = (double)d[k * ds] * *elem_at(w, k);

            g += dw;
            gh += dw * (xp[k * xs] - m) * rstd;
        }
        for (int64_t k = 0; k < n_ch; k++) {
            double h = (xp[k * xs] - m) * rstd;
            double dk = (double)d[k * ds] * *elem_at(w, k) - (g + h * gh) / (double)n_ch;

            row_at(dx, r)[k * chan_stride(dx)] = (float)(rstd * dk);
        }
    }
    for (int64_t k = 0; k < n_ch; k++) {
        double dw = 0.0, db = 0.0;

        for (int64_t r = 0; r < rows; r++) {
            double d = row_at(dy, r)[k * ds];

            dw += d * (row_at(x, r)[k * xs] - *elem_at(&c->in[3], r)) * *elem_at(&c->in[4], r);
            db += d;
        }
        *elem_at(&c->out[1], k) = (float)dw;
        *elem_at(&c->out[2], k) = (float)db;
    }
    return CTS_OK;
}

static void layer_norm_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need,
                            cts_tensor **din)
{
    cts_tensor *in[5] = {dout[0], n->in[0], n->in[1], n->out[1], n->out[2]}, *d[3];
    int64_t c = cts_tensor_channels(n->in[0]);
    cts_node *b;

    if (!dout[0])
        return;
    b = cts_graph_node(g, CTS_OP_LAYER_NORM_GRAD, 5, in, n->attr, sizeof(cts_layer_norm_attr));
    d[0] = cts_node_out_like(g, b, "layer_norm.dx", n->in[0]);
    d[1] = cts_node_out(g, b, "layer_norm.dw", CTS_F32, 1, &c, CTS_SYM_NONE);
    d[2] = cts_node_out(g, b, "layer_norm.db", CTS_F32, 1, &c, CTS_SYM_NONE);
    for (int i = 0; i < 3; i++)
        if (need[i])
            din[i] = d[i];
}

static int64_t layer_norm_macs(const cts_node *n)
{
    return 5 * cts_tensor_count(n->in[0]); /* fvcore's count for any affine normalisation */
}

const struct cts_op_def cts_opdef_layer_norm = {"layer_norm", layer_norm_ref, layer_norm_grad, layer_norm_macs, -1};
const struct cts_op_def cts_opdef_layer_norm_grad = {"layer_norm_grad", layer_norm_grad_ref, NULL, NULL, -1};

/* ---- L2 norm ---- */

cts_tensor *cts_op_l2_norm(cts_graph *g, cts_tensor *x, float eps)
{
    cts_layer_norm_attr a = {eps};
    cts_tensor *y;
    cts_node *n;

    need_f32("l2_norm", x);
    CTS_ASSERT(eps > 0.0f, "l2_norm: eps %g", (double)eps);
    n = cts_graph_node(g, CTS_OP_L2_NORM, 1, &x, &a, sizeof(a));
    y = cts_node_out_like(g, n, "l2_norm", x);
    per_row(g, n, "l2_norm.rnorm", x);
    return y;
}

static int l2_norm_ref(const cts_call *c)
{
    const cts_layer_norm_attr *a = c->node->attr;
    const cts_view *x = &c->in[0], *y = &c->out[0];
    int64_t rows = cts_view_rows(x), n_ch = cts_view_channels(x);

    for (int64_t r = 0; r < rows; r++) {
        const float *xp = row_at(x, r);
        double ss = 0.0, rn;

        for (int64_t k = 0; k < n_ch; k++)
            ss += (double)xp[k * chan_stride(x)] * xp[k * chan_stride(x)];
        ss = sqrt(ss);
        rn = 1.0 / (ss < a->eps ? (double)a->eps : ss);
        for (int64_t k = 0; k < n_ch; k++)
            row_at(y, r)[k * chan_stride(y)] = (float)(xp[k * chan_stride(x)] * rn);
        *elem_at(&c->out[1], r) = (float)rn;
    }
    return CTS_OK;
}

/* dx = rnorm (dy - y <dy, y>); where the norm was below eps the divisor is a constant: dx = rnorm dy. */
static int l2_norm_grad_ref(const cts_call *c)
{
    const cts_layer_norm_attr *a = c->node->attr;
    const cts_view *dy = &c->in[0], *y = &c->in[1], *dx = &c->out[0];
    int64_t rows = cts_view_rows(y), n_ch = cts_view_channels(y);
    float clamped = (float)(1.0 / (double)a->eps);

    for (int64_t r = 0; r < rows; r++) {
        const float *d = row_at(dy, r), *yp = row_at(y, r);
        float rn = *elem_at(&c->in[2], r);
        double dot = 0.0;

        for (int64_t k = 0; k < n_ch && rn < clamped; k++)
            dot += (double)d[k * chan_stride(dy)] * yp[k * chan_stride(y)];
        for (int64_t k = 0; k < n_ch; k++)
            row_at(dx, r)[k * chan_stride(dx)] = (float)(rn * (d[k * chan_stride(dy)] - dot * yp[k * chan_stride(y)]));
    }
    return CTS_OK;
}

static void l2_norm_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    cts_tensor *in[3] = {dout[0], n->out[0], n->out[1]};
    cts_node *b;

    if (!dout[0] || !need[0])
        return;
    b = cts_graph_node(g, CTS_OP_L2_NORM_GRAD, 3, in, n->attr, sizeof(cts_layer_norm_attr));
    din[0] = cts_node_out_like(g, b, "l2_norm.dx", n->in[0]);
}

const struct cts_op_def cts_opdef_l2_norm = {"l2_norm", l2_norm_ref, l2_norm_grad, NULL, -1};
const struct cts_op_def cts_opdef_l2_norm_grad = {"l2_norm_grad", l2_norm_grad_ref, NULL, NULL, -1};
