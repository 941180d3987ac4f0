/* Depthwise convolution along one axis of [N, D0, D1, D2, C] and the gradient of its weight; the gradient of its input
 * is the same op with the kernel reversed. SPDX-License-Identifier: MIT */
#include "kernels/ops/ops_internal.h"

static cts_tensor *dwconv_node(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *bias, const cts_dwconv_attr *a)
{
    cts_tensor *in[3] = {x, w, bias};
    cts_node *n = cts_graph_node(g, CTS_OP_DWCONV, 3, in, a, sizeof(*a));

    return cts_node_out_like(g, n, "dwconv", x);
}

cts_tensor *cts_op_dwconv(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *bias, int axis)
{
    cts_dwconv_attr a = {.axis = axis, .has_bias = bias != NULL};

    need_f32("dwconv", x);
    need_f32("dwconv", w);
    CTS_ASSERT(x->ndim == 5 && axis >= 0 && axis < 3, "dwconv: %s is %d-D, axis %d", x->name, x->ndim, axis);
    CTS_ASSERT(w->ndim >= 2 && w->shape[0] == x->shape[4], "dwconv: %s does not fit %lld channels", w->name,
               (long long)x->shape[4]);
    a.k = (int)(cts_tensor_count(w) / w->shape[0]);
    CTS_ASSERT(a.k % 2 == 1, "dwconv: %s has %d taps, want an odd number", w->name, a.k);
    if (bias)
        need_vector("dwconv bias", bias, w->shape[0]);
    return dwconv_node(g, x, w, bias, &a);
}

static int64_t dw_offset(const cts_view *w, int64_t c, int64_t j)
{
    return c * w->stride[0] + trail_at(w, 1, j);
}

static int dwconv_ref(const cts_call *c)
{
    const cts_dwconv_attr *a = c->node->attr;
    const cts_view *x = &c->in[0], *w = &c->in[1], *y = &c->out[0];
    int64_t len = y->shape[1 + a->axis], step = x->stride[1 + a->axis], rows = cts_view_rows(y), inner = 1;

    for (int d = 2 + a->axis; d < 4; d++)
        inner *= y->shape[d];
    for (int64_t r = 0; r < rows; r++) {
        int64_t at = r / inner % len;
        const float *xp = row_at(x, r);
        float *yp = row_at(y, r);

        for (int64_t ch = 0; ch < y->shape[4]; ch++) {
            double sum = a->has_bias ? *elem_at(&c->in[2], ch) : 0.0;

            for (int j = 0; j < a->k; j++) {
                int64_t d = j - a->k / 2;
                float wj = ((const float *)w->data)[dw_offset(w, ch, a->flip ? a->k - 1 - j : j)];

                if (at + d >= 0 && at + d < len)
                    sum += (double)xp[d * step + ch * chan_stride(x)] * wj;
            }
            yp[ch * chan_stride(y)] = (float)sum;
        }
    }
    return CTS_OK;
}

/* inputs (x, dy): dw[c, j] = sum over places p of dy[p, c] * x[p + j - k / 2, c];  db[c] = sum of dy[p, c] */
static int dwconv_wgrad_ref(const cts_call *c)
{
    const cts_dwconv_attr *a = c->node->attr;
    const cts_view *x = &c->in[0], *dy = &c->in[1], *dw = &c->out[0];
    int64_t len = x->shape[1 + a->axis], step = x->stride[1 + a->axis], rows = cts_view_rows(x), inner = 1;

    for (int d = 2 + a->axis; d < 4; d++)
        inner *= x->shape[d];
    for (int64_t ch = 0; ch < x->shape[4]; ch++) {
        double db = 0.0;

        for (int j = 0; j < a->k; j++) {
            int64_t d = j - a->k / 2;
            double sum = 0.0;

            for (int64_t r = 0; r < rows; r++) {
                int64_t at = r / inner % len + d;

                if (at >= 0 && at < len)
                    sum += (double)row_at(dy, r)[ch * chan_stride(dy)] * row_at(x, r)[d * step + ch * chan_stride(x)];
            }
            ((float *)dw->data)[dw_offset(dw, ch, j)] = (float)sum;
        }
        for (int64_t r = 0; r < rows && c->node->n_out > 1; r++)
            db += row_at(dy, r)[ch * chan_stride(dy)];
        if (c->node->n_out > 1)
            *elem_at(&c->out[1], ch) = (float)db;
    }
    return CTS_OK;
}

static void dwconv_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    const cts_dwconv_attr *a = n->attr;
    cts_dwconv_attr back = *a;
    cts_tensor *x = n->in[0], *w = n->in[1], *in[2] = {x, dout[0]};
    bool want_b = a->has_bias && need[2];
    cts_node *wg;

    if (!dout[0])
        return;
    if (need[0]) {
        back.flip = !a->flip;
        back.has_bias = false;
        din[0] = dwconv_node(g, dout[0], w, NULL, &back);
    }
    if (!need[1] && !want_b)
        return;
    CTS_ASSERT(!a->flip, "dwconv: the weight gradient of a reversed kernel is not defined");
    wg = cts_graph_node(g, CTS_OP_DWCONV_WGRAD, 2, in, a, sizeof(*a));
    din[1] = cts_node_out(g, wg, "dwconv_wgrad", CTS_F32, w->ndim, w->shape, CTS_SYM_NONE);
    if (want_b)
        din[2] = cts_node_out(g, wg, "dwconv_wgrad.bias", CTS_F32, 1, &w->shape[0], CTS_SYM_NONE);
    if (!need[1])
        din[1] = NULL;
}

static int64_t dwconv_macs(const cts_node *n)
{
    return ((const cts_dwconv_attr *)n->attr)->k * cts_tensor_count(n->out[0]);
}

const struct cts_op_def cts_opdef_dwconv = {"dwconv", dwconv_ref, dwconv_grad, dwconv_macs, -1};
const struct cts_op_def cts_opdef_dwconv_wgrad = {"dwconv_wgrad", dwconv_wgrad_ref, NULL, NULL, -1};
