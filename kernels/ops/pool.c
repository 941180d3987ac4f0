/* Max pooling over windows of space or of planes and the mean over inner dimensions, with their gradients.
 * SPDX-License-Identifier: MIT */
#include "kernels/ops/ops_internal.h"

/* ---- max pool ---- */

static cts_tensor *max_pool(cts_graph *g, cts_tensor *x, const cts_max_pool_attr *window)
{
    cts_max_pool_attr a = *window;
    int64_t shape[5] = {0};
    cts_tensor *y;
    cts_node *n;

    need_f32("max_pool", x);
    CTS_ASSERT(x->ndim == 5, "max_pool: %s is %d-D", x->name, x->ndim);
    shape[0] = x->shape[0];
    shape[4] = x->shape[4];
    for (int d = 0; d < 3; d++) {
        int k = a.k[d], s = a.s[d], p = a.p[d];

        CTS_ASSERT(k >= 1 && k <= 6 && s >= 1 && p >= 0 && 2 * p <= k, "max_pool: window %d stride %d padding %d", k, s,
                   p);
        a.in_dim[d] = x->shape[1 + d];
        CTS_ASSERT(a.in_dim[d] + 2 * p >= k, "max_pool: %s is smaller than the window", x->name);
        shape[1 + d] = (a.in_dim[d] + 2 * p - k) / s + 1;
    }
    n = cts_graph_node(g, CTS_OP_MAX_POOL, 1, &x, &a, sizeof(a));
    y = cts_node_out(g, n, "max_pool", CTS_F32, 5, shape, x->sym);
    cts_node_out(g, n, "max_pool.winner", CTS_U8, 5, shape, x->sym);
    return y;
}

cts_tensor *cts_op_max_pool(cts_graph *g, cts_tensor *x, int k, int s, int p)
{
    return max_pool(g, x, &(cts_max_pool_attr){{k, k, k}, {s, s, s}, {p, p, p}, {0}});
}

cts_tensor *cts_op_max_pool_plane(cts_graph *g, cts_tensor *x, int k, int s, int p)
{
    return max_pool(g, x, &(cts_max_pool_attr){{1, k, k}, {1, s, s}, {0, p, p}, {0}});
}

/* Row number -> (n, i0, i1, i2) of a [N, D0, D1, D2, C] view. */
static void split_row(int64_t at[4], const cts_view *v, int64_t r)
{
    for (int d = 3; d >= 0; d--) {
        at[d] = r % v->shape[d];
        r /= v->shape[d];
    }
}

static void place_in_window(int w[3], const cts_max_pool_attr *a, int place)
{
    for (int d = 2; d >= 0; d--) {
        w[d] = place % a->k[d];
        place /= a->k[d];
    }
}

static int window_size(const cts_max_pool_attr *a)
{
    return a->k[0] * a->k[1] * a->k[2];
}

/* Input voxel that place `place` of output voxel o's window is; false in the padding. */
static bool window_voxel(int64_t i[3], const cts_max_pool_attr *a, const int64_t o[3], int place)
{
    int w[3];

    place_in_window(w, a, place);
    for (int d = 0; d < 3; d++) {
        i[d] = o[d] * a->s[d] - a->p[d] + w[d];
        if (i[d] < 0 || i[d] >= a->in_dim[d])
            return false;
    }
    return true;
}

/* The padding is -inf, so it never wins; the first of equal maxima does, and a NaN wins and stays. */
static int max_pool_ref(const cts_call *c)
{
    const cts_max_pool_attr *a = c->node->attr;
    const cts_view *x = &c->in[0], *y = &c->out[0], *win = &c->out[1];
    int64_t rows = cts_view_rows(y), o[4], i[3];

    for (int64_t r = 0; r < rows; r++) {
        split_row(o, y, r);
        for (int64_t ch = 0; ch < y->shape[4]; ch++) {
            float best = -INFINITY;
            int from = -1;

            for (int place = 0; place < window_size(a); place++) {
                float v;

                if (!window_voxel(i, a, o + 1, place))
                    continue;
                v = voxel_at(x, o[0], i[0], i[1], i[2])[ch * chan_stride(x)];
                if (from < 0 || v > best || (isnan(v) && !isnan(best))) {
                    best = v;
                    from = place;
                }
            }
            row_at(y, r)[ch * chan_stride(y)] = best;
            ((uint8_t *)win->data)[trail_at(win, 0, r * y->shape[4] + ch)] = (uint8_t)from;
        }
    }
    return CTS_OK;
}

/* inputs (dy, winner): every input voxel collects dy of the windows it won. */
static double collect_wins(const cts_call *c, const int64_t i[4], int64_t ch)
{
    const cts_max_pool_attr *a = c->node->attr;
    const cts_view *dy = &c->in[0], *win = &c->in[1];
    double sum = 0.0;

    for (int place = 0; place < window_size(a); place++) {
        int64_t o[3], row = i[0];
        bool inside = true;
        int w[3];

        place_in_window(w, a, place);
        for (int d = 0; d < 3; d++) {
            int64_t from = i[1 + d] + a->p[d] - w[d];

            o[d] = from / a->s[d];
            inside &= from >= 0 && from % a->s[d] == 0 && o[d] < dy->shape[1 + d];
            row = row * dy->shape[1 + d] + o[d];
        }
        if (inside && ((const uint8_t *)win->data)[trail_at(win, 0, row * dy->shape[4] + ch)] == place)
            sum += voxel_at(dy, i[0], o[0], o[1], o[2])[ch * chan_stride(dy)];
    }
    return sum;
}

static int max_pool_grad_ref(const cts_call *c)
{
    const cts_view *dx = &c->out[0];
    int64_t rows = cts_view_rows(dx), i[4];

    for (int64_t r = 0; r < rows; r++) {
        split_row(i, dx, r);
        for (int64_t ch = 0; ch < dx->shape[4]; ch++)
            row_at(dx, r)[ch * chan_stride(dx)] = (float)collect_wins(c, i, ch);
    }
    return CTS_OK;
}

static void max_pool_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    cts_tensor *in[2] = {dout[0], n->out[1]};
    cts_node *b;

    if (!dout[0] || !need[0])
        return;
    b = cts_graph_node(g, CTS_OP_MAX_POOL_GRAD, 2, in, n->attr, sizeof(cts_max_pool_attr));
    din[0] = cts_node_out_like(g, b, "max_pool.dx", n->in[0]);
}

const struct cts_op_def cts_opdef_max_pool = {"max_pool", max_pool_ref, max_pool_grad, NULL, -1};
const struct cts_op_def cts_opdef_max_pool_grad = {"max_pool_grad", max_pool_grad_ref, NULL, NULL, -1};

/* ---- mean ---- */

cts_tensor *cts_op_mean(cts_graph *g, cts_tensor *x, int first, int last)
{
    cts_mean_attr a = {1, 1, 1};
    int64_t shape[CTS_MAX_DIMS] = {0};
    int ndim = 0;
    cts_node *n;

    need_f32("mean", x);
    CTS_ASSERT(first > 0 && first <= last && last < x->ndim, "mean: dimensions %d to %d of %d", first, last, x->ndim);
    for (int d = 0; d < x->ndim; d++) {
        if (d < first)
            a.outer *= x->shape[d];
        else if (d <= last)
            a.n *= x->shape[d];
        else
            a.inner *= x->shape[d];
        if (d < first || d > last)
            shape[ndim++] = x->shape[d];
    }
    n = cts_graph_node(g, CTS_OP_MEAN, 1, &x, &a, sizeof(a));
    return cts_node_out(g, n, "mean", CTS_F32, ndim, shape, x->sym);
}

/* y[o, i] = mean over k of x[o, k, i] */
static int mean_ref(const cts_call *c)
{
    const cts_mean_attr *a = c->node->attr;
    int64_t n_out = cts_view_count(&c->out[0]);

    for (int64_t j = 0; j < n_out; j++) {
        int64_t first = j / a->inner * a->n * a->inner + j % a->inner;
        double sum = 0.0;

        for (int64_t k = 0; k < a->n; k++)
            sum += *elem_at(&c->in[0], first + k * a->inner);
        *elem_at(&c->out[0], j) = (float)(sum / (double)a->n);
    }
    return CTS_OK;
}

static int mean_grad_ref(const cts_call *c)
{
    const cts_mean_attr *a = c->node->attr;
    int64_t n_out = cts_view_count(&c->out[0]);

    for (int64_t i = 0; i < n_out; i++) {
        int64_t from = i / (a->n * a->inner) * a->inner + i % a->inner;

        *elem_at(&c->out[0], i) = (float)(*elem_at(&c->in[0], from) / (double)a->n);
    }
    return CTS_OK;
}

static void mean_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    cts_node *b;

    if (!dout[0] || !need[0])
        return;
    b = cts_graph_node(g, CTS_OP_MEAN_GRAD, 1, dout, n->attr, sizeof(cts_mean_attr));
    din[0] = cts_node_out_like(g, b, "mean.dx", n->in[0]);
}

const struct cts_op_def cts_opdef_mean = {"mean", mean_ref, mean_grad, NULL, -1};
const struct cts_op_def cts_opdef_mean_grad = {"mean_grad", mean_grad_ref, NULL, NULL, -1};
