/* The dense arithmetic: convolutions of any kernel shape and linear layers as one GEMM a tap, and its two gradients.
 * SPDX-License-Identifier: MIT */
#include "kernels/ops/ops_internal.h"

#include <string.h>

enum { IN_X, IN_W, IN_BIAS, IN_SCALE, IN_RESIDUAL, IN_COUNT };

/* ---- builders ---- */

static void check_epilogue(const cts_tensor *w, const cts_tensor *bias, const cts_tensor *scale)
{
    if (bias)
        need_vector("tap_gemm bias", bias, w->shape[0]);
    if (scale)
        need_vector("tap_gemm scale", scale, w->shape[0]);
}

static void check_weight(const cts_tensor *x, const cts_tensor *w, int n_taps)
{
    need_f32("tap_gemm", x);
    need_f32("tap_gemm", w);
    CTS_ASSERT(w->ndim >= 2 && x->ndim >= 1, "tap_gemm: x %d-D, w %d-D", x->ndim, w->ndim);
    CTS_ASSERT(w->shape[1] == cts_tensor_channels(x), "tap_gemm: %s takes %lld channels, %s has %lld", w->name,
               (long long)w->shape[1], x->name, (long long)cts_tensor_channels(x));
    CTS_ASSERT(cts_tensor_count(w) == w->shape[0] * w->shape[1] * n_taps, "tap_gemm: %s does not hold %d taps", w->name,
               n_taps);
}

static cts_tensor *linear_node(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *bias, cts_act_kind act,
                               cts_tensor *scale, cts_tensor *residual)
{
    cts_tensor *in[IN_COUNT] = {x, w, bias, scale, residual};
    int64_t shape[CTS_MAX_DIMS] = {0};
    cts_tap *tap = cts_graph_alloc(g, sizeof(*tap));
    cts_tap_gemm_attr a = {.n_taps = 1,
                           .tap = tap,
                           .stride = {1, 1, 1},
                           .out_dim = {1, 1, 1},
                           .in_dim = {1, 1, 1},
                           .linear = true,
                           .act = act,
                           .has_bias = bias != NULL,
                           .has_scale = scale != NULL,
                           .has_residual = residual != NULL};
    cts_node *n;
    cts_tensor *y;

    check_weight(x, w, 1);
    check_epilogue(w, bias, scale);
    memset(tap, 0, sizeof(*tap));
    memcpy(shape, x->shape, sizeof(shape));
    shape[x->ndim - 1] = w->shape[0];
    n = cts_graph_node(g, CTS_OP_TAP_GEMM, IN_COUNT, in, &a, sizeof(a));
    y = cts_node_out(g, n, "linear", CTS_F32, x->ndim, shape, x->ndim > 1 ? x->sym : CTS_SYM_NONE);
    CTS_ASSERT(!residual || same_shape(residual, y), "linear: the residual %s has another shape", residual->name);
    return y;
}

cts_tensor *cts_op_linear(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *bias)
{
    return linear_node(g, x, w, bias, CTS_ACT_NONE, NULL, NULL);
}

cts_tensor *cts_op_linear_fused(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *bias, cts_act_kind act,
                                cts_tensor *scale, cts_tensor *residual)
{
    return linear_node(g, x, w, bias, act, scale, residual);
}

static bool is_pointwise(const cts_tensor *x, int n_taps, const cts_tap *tap, const int32_t stride[3],
                         const int64_t out_dim[3])
{
    if (n_taps != 1)
        return false;
    for (int k = 0; k < 3; k++)
        if (tap[0].d[k] != 0 || stride[k] != 1 || (x->ndim == 5 && out_dim[k] != x->shape[1 + k]))
            return false;
    return true;
}

cts_tensor *cts_op_tap_gemm(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *bias, int n_taps,
                            const cts_tap *tap, const int32_t stride[3], const int64_t out_dim[3])
{
    cts_tensor *in[IN_COUNT] = {x, w, bias, NULL, NULL};
    cts_tap_gemm_attr a = {.n_taps = n_taps, .has_bias = bias != NULL};
    cts_tap *copy;
    int64_t shape[5];
    cts_node *n;

    CTS_ASSERT(n_taps > 0, "tap_gemm: %d taps", n_taps);
    if (is_pointwise(x, n_taps, tap, stride, out_dim))
        return linear_node(g, x, w, bias, CTS_ACT_NONE, NULL, NULL);
    CTS_ASSERT(x->ndim == 5, "tap_gemm: %s is %d-D, want [N, D0, D1, D2, C]", x->name, x->ndim);
    check_weight(x, w, n_taps);
    check_epilogue(w, bias, NULL);
    copy = cts_graph_alloc(g, (size_t)n_taps * sizeof(*copy));
    memcpy(copy, tap, (size_t)n_taps * sizeof(*copy));
    a.tap = copy;
    shape[0] = x->shape[0];
    shape[4] = w->shape[0];
    for (int k = 0; k < 3; k++) {
        CTS_ASSERT(stride[k] > 0 && out_dim[k] > 0, "tap_gemm: stride %d, output %lld", stride[k],
                   (long long)out_dim[k]);
        a.stride[k] = stride[k];
        a.in_dim[k] = x->shape[1 + k];
        a.out_dim[k] = shape[1 + k] = out_dim[k];
    }
    n = cts_graph_node(g, CTS_OP_TAP_GEMM, IN_COUNT, in, &a, sizeof(a));
    return cts_node_out(g, n, "tap_gemm", CTS_F32, 5, shape, x->sym);
}

cts_tensor *cts_op_tap_dgrad(cts_graph *g, cts_tensor *dy, cts_tensor *w, const cts_tensor *x_like,
                             const cts_tap_gemm_attr *a)
{
    cts_tensor *in[2] = {dy, w};
    cts_node *n = cts_graph_node(g, CTS_OP_TAP_DGRAD, 2, in, a, sizeof(*a));

    return cts_node_out(g, n, "tap_dgrad", CTS_F32, x_like->ndim, x_like->shape, x_like->sym);
}

void cts_op_tap_wgrad(cts_graph *g, cts_tensor *x, cts_tensor *dy, const cts_tensor *w_like, bool bias,
                      const cts_tap_gemm_attr *a, cts_tensor **dw, cts_tensor **db)
{
    cts_tensor *in[2] = {x, dy};
    cts_node *n = cts_graph_node(g, CTS_OP_TAP_WGRAD, 2, in, a, sizeof(*a));

    *dw = cts_node_out(g, n, "tap_wgrad", CTS_F32, w_like->ndim, w_like->shape, CTS_SYM_NONE);
    if (bias)
        *db = cts_node_out(g, n, "tap_wgrad.bias", CTS_F32, 1, &w_like->shape[0], CTS_SYM_NONE);
}

/* ---- addresses: both forms as N samples of O0 x O1 x O2 places ---- */

typedef struct {
    int64_t n, o[3], i[3]; /* samples, output places, input places */
} extents;

static extents extents_of(const cts_tap_gemm_attr *a, const cts_view *any)
{
    extents e = {.n = a->linear ? cts_view_rows(any) : any->shape[0]};

    for (int k = 0; k < 3; k++) {
        e.o[k] = a->out_dim[k];
        e.i[k] = a->in_dim[k];
    }
    return e;
}

static float *place_at(const cts_tap_gemm_attr *a, const cts_view *v, int64_t n, const int64_t p[3])
{
    return a->linear ? row_at(v, n) : voxel_at(v, n, p[0], p[1], p[2]);
}

/* Input place that tap t of output place o reads; false outside the input. */
static bool tap_source(int64_t i[3], const cts_tap_gemm_attr *a, int t, const int64_t o[3])
{
    for (int k = 0; k < 3; k++) {
        i[k] = o[k] * a->stride[k] + a->tap[t].d[k];
        if (i[k] < 0 || i[k] >= a->in_dim[k])
            return false;
    }
    return true;
}

/* Output place that reads input place i through tap t; false when none does. */
static bool tap_target(int64_t o[3], const cts_tap_gemm_attr *a, int t, const int64_t i[3])
{
    for (int k = 0; k < 3; k++) {
        int64_t d = i[k] - a->tap[t].d[k];

        o[k] = d / a->stride[k];
        if (d < 0 || d % a->stride[k] != 0 || o[k] >= a->out_dim[k])
            return false;
    }
    return true;
}

/* ---- references ---- */

static double gather_dot(const cts_call *c, const cts_tap_gemm_attr *a, int64_t n, const int64_t o[3], int64_t co)
{
    const cts_view *x = &c->in[IN_X], *w = &c->in[IN_W];
    int64_t n_in = w->shape[1], xs = chan_stride(x), ws = w->stride[1], i[3];
    double sum = 0.0;

    for (int t = 0; t < a->n_taps; t++) {
        const float *wt = (const float *)w->data + co * w->stride[0] + trail_at(w, 2, t), *xt;

        if (!tap_source(i, a, t, o))
            continue;
        xt = place_at(a, x, n, i);
        for (int64_t ci = 0; ci < n_in; ci++)
            sum += (double)xt[ci * xs] * wt[ci * ws];
    }
    return sum;
}

static void gemm_place(const cts_call *c, const cts_tap_gemm_attr *a, int64_t n, const int64_t o[3])
{
    const cts_view *y = &c->out[0], *res = &c->in[IN_RESIDUAL];
    float *yp = place_at(a, y, n, o);
    int64_t n_out = c->in[IN_W].shape[0], ys = chan_stride(y);

    for (int64_t co = 0; co < n_out; co++) {
        double v = gather_dot(c, a, n, o, co);

        if (a->has_bias)
            v += *elem_at(&c->in[IN_BIAS], co);
        v = act_value(a->act, v);
        if (a->has_scale)
            v *= *elem_at(&c->in[IN_SCALE], co);
        if (a->has_residual)
            v += place_at(a, res, n, o)[co * chan_stride(res)];
        yp[co * ys] = (float)v;
    }
}

static int tap_gemm_ref(const cts_call *c)
{
    const cts_tap_gemm_attr *a = c->node->attr;
    extents e = extents_of(a, &c->out[0]);
    int64_t o[3];

    for (int64_t n = 0; n < e.n; n++)
        for (o[0] = 0; o[0] < e.o[0]; o[0]++)
            for (o[1] = 0; o[1] < e.o[1]; o[1]++)
                for (o[2] = 0; o[2] < e.o[2]; o[2]++)
                    gemm_place(c, a, n, o);
    return CTS_OK;
}

static void dgrad_place(const cts_call *c, const cts_tap_gemm_attr *a, int64_t n, const int64_t i[3])
{
    const cts_view *dy = &c->in[0], *w = &c->in[1], *dx = &c->out[0];
    float *dxp = place_at(a, dx, n, i);
    int64_t o[3];

    for (int64_t ci = 0; ci < w->shape[1]; ci++) {
        double sum = 0.0;

        for (int t = 0; t < a->n_taps; t++) {
            const float *wt = (const float *)w->data + ci * w->stride[1] + trail_at(w, 2, t), *d;

            if (!tap_target(o, a, t, i))
                continue;
            d = place_at(a, dy, n, o);
            for (int64_t co = 0; co < w->shape[0]; co++)
                sum += (double)d[co * chan_stride(dy)] * wt[co * w->stride[0]];
        }
        dxp[ci * chan_stride(dx)] = (float)sum;
    }
}

static int tap_dgrad_ref(const cts_call *c)
{
    const cts_tap_gemm_attr *a = c->node->attr;
    extents e = extents_of(a, &c->out[0]);
    int64_t i[3];

    for (int64_t n = 0; n < e.n; n++)
        for (i[0] = 0; i[0] < e.i[0]; i[0]++)
            for (i[1] = 0; i[1] < e.i[1]; i[1]++)
                for (i[2] = 0; i[2] < e.i[2]; i[2]++)
                    dgrad_place(c, a, n, i);
    return CTS_OK;
}

/* Sum over all output places of dy[co] * x[ci] through tap t; with x NULL the sum of dy[co] alone. */
static double wgrad_sum(const cts_tap_gemm_attr *a, const cts_view *x, const cts_view *dy, int t, int64_t co,
                        int64_t ci)
{
    extents e = extents_of(a, dy);
    int64_t o[3], i[3];
    double sum = 0.0;

    for (int64_t n = 0; n < e.n; n++)
        for (o[0] = 0; o[0] < e.o[0]; o[0]++)
            for (o[1] = 0; o[1] < e.o[1]; o[1]++)
                for (o[2] = 0; o[2] < e.o[2]; o[2]++) {
                    double d = place_at(a, dy, n, o)[co * chan_stride(dy)];

                    if (!x)
                        sum += d;
                    else if (tap_source(i, a, t, o))
                        sum += d * place_at(a, x, n, i)[ci * chan_stride(x)];
                }
    return sum;
}

static int tap_wgrad_ref(const cts_call *c)
{
    const cts_tap_gemm_attr *a = c->node->attr;
    const cts_view *x = &c->in[0], *dy = &c->in[1], *dw = &c->out[0];

    for (int64_t co = 0; co < dw->shape[0]; co++) {
        for (int64_t ci = 0; ci < dw->shape[1]; ci++)
            for (int t = 0; t < a->n_taps; t++) {
                float *at = (float *)dw->data + co * dw->stride[0] + ci * dw->stride[1] + trail_at(dw, 2, t);

                *at = (float)wgrad_sum(a, x, dy, t, co, ci);
            }
        if (c->node->n_out > 1)
            *elem_at(&c->out[1], co) = (float)wgrad_sum(a, NULL, dy, 0, co, 0);
    }
    return CTS_OK;
}

/* ---- gradient and cost ---- */

static void tap_gemm_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    const cts_tap_gemm_attr *a = n->attr;
    bool want_b = a->has_bias && need[IN_BIAS];

    CTS_ASSERT(a->act == CTS_ACT_NONE && !a->has_scale && !a->has_residual,
               "tap_gemm: a fused epilogue is for inference, differentiate the separate ops");
    if (!dout[0])
        return;
    if (need[IN_X])
        din[IN_X] = cts_op_tap_dgrad(g, dout[0], n->in[IN_W], n->in[IN_X], a);
    if (need[IN_W] || want_b)
        cts_op_tap_wgrad(g, n->in[IN_X], dout[0], n->in[IN_W], want_b, a, &din[IN_W], &din[IN_BIAS]);
    if (!need[IN_W])
        din[IN_W] = NULL;
}

static int64_t tap_gemm_macs(const cts_node *n)
{
    const cts_tap_gemm_attr *a = n->attr;

    return a->n_taps * n->in[IN_W]->shape[1] * cts_tensor_count(n->out[0]);
}

const struct cts_op_def cts_opdef_tap_gemm = {"tap_gemm", tap_gemm_ref, tap_gemm_grad, tap_gemm_macs, -1};
const struct cts_op_def cts_opdef_tap_dgrad = {"tap_dgrad", tap_dgrad_ref, NULL, NULL, -1};
const struct cts_op_def cts_opdef_tap_wgrad = {"tap_wgrad", tap_wgrad_ref, NULL, NULL, -1};
