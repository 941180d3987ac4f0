/* Depthwise convolution over the three axes of [N, D0, D1, D2, C] with padding given per side, and the gradient of its
 * weight; the gradient of its input is the same op with the kernel and the padding reversed.
 * SPDX-License-Identifier: MIT */
#include "kernels/ops/ops_internal.h"

static cts_tensor *dwconv3d_node(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *bias,
                                 const cts_dwconv3d_attr *a)
{
    cts_tensor *in[3] = {x, w, bias};

    return cts_node_out_like(g, cts_graph_node(g, CTS_OP_DWCONV3D, 3, in, a, sizeof(*a)), "dwconv3d", x);
}

cts_tensor *cts_op_dwconv3d(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *bias, const int before[3])
{
    cts_dwconv3d_attr a = {.has_bias = bias != NULL};

    need_f32("dwconv3d", x);
    need_f32("dwconv3d", w);
    CTS_ASSERT(x->ndim == 5 && w->ndim == 5 && w->shape[0] == x->shape[4] && w->shape[1] == 1,
               "dwconv3d: %s does not fit %s", w->name, x->name);
    CTS_ASSERT(w->shape[2] * w->shape[3] * w->shape[4] <= CTS_DWCONV3D_TAPS, "dwconv3d: %s has too many taps", w->name);
    for (int d = 0; d < 3; d++) {
        a.k[d] = (int)w->shape[2 + d];
        a.before[d] = before[d];
        CTS_ASSERT(before[d] >= 0 && before[d] < a.k[d], "dwconv3d: padding %d in front of axis %d, kernel %d",
                   before[d], d, a.k[d]);
    }
    if (bias)
        need_vector("dwconv3d bias", bias, w->shape[0]);
    return dwconv3d_node(g, x, w, bias, &a);
}

static int n_taps(const cts_dwconv3d_attr *a)
{
    return a->k[0] * a->k[1] * a->k[2];
}

/* Row of x that tap t reads for row r of y; -1 in the padding. */
static int64_t tap_row(const cts_dwconv3d_attr *a, const cts_view *x, int64_t r, int t)
{
    int64_t at[3] = {r / (x->shape[2] * x->shape[3]), r / x->shape[3], r};
    int64_t tap[3] = {t / (a->k[1] * a->k[2]), t / a->k[2] % a->k[1], t % a->k[2]}, row = at[0] / x->shape[1];

    for (int d = 0; d < 3; d++) {
        int64_t i = at[d] % x->shape[1 + d] + tap[d] - a->before[d];

        if (i < 0 || i >= x->shape[1 + d])
            return -1;
        row = row * x->shape[1 + d] + i;
    }
    return row;
}

static int dwconv3d_ref(const cts_call *c)
{
    const cts_dwconv3d_attr *a = c->node->attr;
    const cts_view *x = &c->in[0], *y = &c->out[0];
    int64_t rows = cts_view_rows(y);
    int taps = n_taps(a);

    for (int64_t r = 0; r < rows; r++)
        for (int64_t ch = 0; ch < y->shape[4]; ch++) {
            double sum = a->has_bias ? *elem_at(&c->in[2], ch) : 0.0;

            for (int t = 0; t < taps; t++) {
                int64_t from = tap_row(a, x, r, t);

                if (from >= 0)
                    sum += (double)row_at(x, from)[ch * chan_stride(x)] *
                           *elem_at(&c->in[1], ch * taps + (a->flip ? taps - 1 - t : t));
            }
            row_at(y, r)[ch * chan_stride(y)] = (float)sum;
        }
    return CTS_OK;
}

/* inputs (x, dy): dw[c, t] = sum over voxels p of dy[p, c] * x[p + t - before, c];  db[c] = sum of dy[p, c] */
static int dwconv3d_wgrad_ref(const cts_call *c)
{
    const cts_dwconv3d_attr *a = c->node->attr;
    const cts_view *x = &c->in[0], *dy = &c->in[1];
    int64_t rows = cts_view_rows(x);
    int taps = n_taps(a);

    for (int64_t ch = 0; ch < x->shape[4]; ch++) {
        double db = 0.0;

        for (int t = 0; t < taps; t++) {
            double sum = 0.0;

            for (int64_t r = 0; r < rows; r++) {
                int64_t from = tap_row(a, x, r, t);

                if (from >= 0)
                    sum += (double)row_at(dy, r)[ch * chan_stride(dy)] * row_at(x, from)[ch * chan_stride(x)];
            }
            *elem_at(&c->out[0], ch * taps + t) = (float)sum;
        }
        for (int64_t r = 0; r < rows && c->node->n_out > 1; r++)
            db += row_at(dy, r)[ch * chan_stride(dy)];
        if (c->node->n_out > 1)
            *elem_at(&c->out[1], ch) = (float)db;
    }
    return CTS_OK;
}

static void dwconv3d_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    const cts_dwconv3d_attr *a = n->attr;
    cts_dwconv3d_attr back = *a;
    cts_tensor *x = n->in[0], *w = n->in[1], *in[2] = {x, dout[0]}, *dw, *db = NULL;
    bool want_b = a->has_bias && need[2];
    cts_node *wg;

    if (!dout[0])
        return;
    if (need[0]) {
        for (int d = 0; d < 3; d++)
            back.before[d] = a->k[d] - 1 - a->before[d];
        back.flip = !a->flip;
        back.has_bias = false;
        din[0] = dwconv3d_node(g, dout[0], w, NULL, &back);
    }
    if (!need[1] && !want_b)
        return;
    CTS_ASSERT(!a->flip, "dwconv3d: the weight gradient of a reversed kernel is not defined");
    wg = cts_graph_node(g, CTS_OP_DWCONV3D_WGRAD, 2, in, a, sizeof(*a));
    dw = cts_node_out(g, wg, "dwconv3d_wgrad", CTS_F32, w->ndim, w->shape, CTS_SYM_NONE);
    if (want_b)
        db = cts_node_out(g, wg, "dwconv3d_wgrad.bias", CTS_F32, 1, &w->shape[0], CTS_SYM_NONE);
    din[1] = need[1] ? dw : NULL;
    din[2] = db;
}

static int64_t dwconv3d_macs(const cts_node *n)
{
    return n_taps(n->attr) * cts_tensor_count(n->out[0]);
}

const struct cts_op_def cts_opdef_dwconv3d = {"dwconv3d", dwconv3d_ref, dwconv3d_grad, dwconv3d_macs, -1};
const struct cts_op_def cts_opdef_dwconv3d_wgrad = {"dwconv3d_wgrad", dwconv3d_wgrad_ref, NULL, NULL, -1};
