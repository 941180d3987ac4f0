/* Element-wise ops: add, scale, layer scale with its gradient's dot, dropout, and the accumulation of gradients.
 * SPDX-License-Identifier: MIT */
#include "kernels/ops/ops_internal.h"

/* ---- add ---- */

cts_tensor *cts_op_add(cts_graph *g, cts_tensor *a, cts_tensor *b)
{
    cts_tensor *in[2] = {a, b};

    need_f32("add", a);
    need_f32("add", b);
    CTS_ASSERT(same_shape(a, b), "add: %s and %s differ in shape", a->name, b->name);
    return cts_node_out_like(g, cts_graph_node(g, CTS_OP_ADD, 2, in, NULL, 0), "add", a);
}

static int add_ref(const cts_call *c)
{
    int64_t n = cts_view_count(&c->out[0]);

    for (int64_t i = 0; i < n; i++)
        *elem_at(&c->out[0], i) = *elem_at(&c->in[0], i) + *elem_at(&c->in[1], i);
    return CTS_OK;
}

static void add_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    (void)g;
    for (int i = 0; i < n->n_in; i++)
        if (need[i])
            din[i] = dout[0];
}

const struct cts_op_def cts_opdef_add = {"add", add_ref, add_grad, NULL, 0};

/* ---- scale ---- */

cts_tensor *cts_op_scale(cts_graph *g, cts_tensor *x, float s)
{
    cts_scale_attr a = {s};

    need_f32("scale", x);
    return cts_node_out_like(g, cts_graph_node(g, CTS_OP_SCALE, 1, &x, &a, sizeof(a)), "scale", x);
}

static int scale_ref(const cts_call *c)
{
    float s = ((const cts_scale_attr *)c->node->attr)->s;
    int64_t n = cts_view_count(&c->out[0]);

    for (int64_t i = 0; i < n; i++)
        *elem_at(&c->out[0], i) = *elem_at(&c->in[0], i) * s;
    return CTS_OK;
}

static void scale_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    if (dout[0] && need[0])
        din[0] = cts_op_scale(g, dout[0], ((const cts_scale_attr *)n->attr)->s);
}

const struct cts_op_def cts_opdef_scale = {"scale", scale_ref, scale_grad, NULL, 0};

/* ---- channel scale and channel dot ---- */

cts_tensor *cts_op_channel_scale(cts_graph *g, cts_tensor *x, cts_tensor *gamma)
{
    cts_tensor *in[2] = {x, gamma};

    need_f32("channel_scale", x);
    need_vector("channel_scale", gamma, cts_tensor_channels(x));
    return cts_node_out_like(g, cts_graph_node(g, CTS_OP_CHANNEL_SCALE, 2, in, NULL, 0), "channel_scale", x);
}

static int channel_scale_ref(const cts_call *c)
{
    const cts_view *x = &c->in[0], *y = &c->out[0];
    int64_t rows = cts_view_rows(x), n_ch = cts_view_channels(x);

    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < n_ch; k++)
            row_at(y, r)[k * chan_stride(y)] = row_at(x, r)[k * chan_stride(x)] * *elem_at(&c->in[1], k);
    return CTS_OK;
}

static int channel_dot_ref(const cts_call *c)
{
    const cts_view *dy = &c->in[0], *x = &c->in[1];
    int64_t rows = cts_view_rows(x), n_ch = cts_view_channels(x);

    for (int64_t k = 0; k < n_ch; k++) {
        double sum = 0.0;

        for (int64_t r = 0; r < rows; r++)
            sum += (double)row_at(dy, r)[k * chan_stride(dy)] * row_at(x, r)[k * chan_stride(x)];
        *elem_at(&c->out[0], k) = (float)sum;
    }
    return CTS_OK;
}

static void channel_scale_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need,
                               cts_tensor **din)
{
    cts_tensor *in[2] = {dout[0], n->in[0]};

    if (!dout[0])
        return;
    if (need[0])
        din[0] = cts_op_channel_scale(g, dout[0], n->in[1]);
    if (need[1])
        din[1] = cts_node_out_like(g, cts_graph_node(g, CTS_OP_CHANNEL_DOT, 2, in, NULL, 0), "channel_dot", n->in[1]);
}

const struct cts_op_def cts_opdef_channel_scale = {"channel_scale", channel_scale_ref, channel_scale_grad, NULL, 0};
const struct cts_op_def cts_opdef_channel_dot = {"channel_dot", channel_dot_ref, NULL, NULL, -1};

/* ---- dropout ---- */

static cts_tensor *dropout_node(cts_graph *g, cts_tensor *x, const cts_dropout_attr *a)
{
    return cts_node_out_like(g, cts_graph_node(g, CTS_OP_DROPOUT, 1, &x, a, sizeof(*a)), "dropout", x);
}

cts_tensor *cts_op_dropout(cts_graph *g, cts_tensor *x, float p)
{
    cts_dropout_attr a = {.p = p};

    need_f32("dropout", x);
    CTS_ASSERT(p >= 0.0f && p < 1.0f, "dropout: p is %g", (double)p);
    if (p == 0.0f)
        return x;
    a.stream = cts_graph_stream(g);
    return dropout_node(g, x, &a);
}

static int dropout_ref(const cts_call *c)
{
    const cts_dropout_attr *a = c->node->attr;
    uint64_t key = stream_key(c, a->stream);
    int64_t n = cts_view_count(&c->out[0]);

    for (int64_t i = 0; i < n; i++) {
        bool kept = cts_rng_unit_at(key, (uint64_t)i) >= a->p;

        *elem_at(&c->out[0], i) = kept ? (float)(*elem_at(&c->in[0], i) / (1.0 - (double)a->p)) : 0.0f;
    }
    return CTS_OK;
}

static void dropout_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    if (dout[0] && need[0])
        din[0] = dropout_node(g, dout[0], n->attr);
}

const struct cts_op_def cts_opdef_dropout = {"dropout", dropout_ref, dropout_grad, NULL, 0};

/* ---- accumulate ---- */

/* The GRAD tensor is input 0 and is written in place; the node has no output. */
void cts_op_accumulate(cts_graph *g, cts_tensor *grad, cts_tensor *src)
{
    cts_tensor *in[2] = {grad, src};

    CTS_ASSERT(grad->role == CTS_ROLE_GRAD && cts_tensor_count(grad) == cts_tensor_count(src),
               "accumulate: %s does not take %s", grad->name, src->name);
    cts_graph_node(g, CTS_OP_ACCUMULATE, 2, in, NULL, 0);
}

static int accumulate_ref(const cts_call *c)
{
    int64_t n = cts_view_count(&c->in[0]);

    for (int64_t i = 0; i < n; i++)
        *elem_at(&c->in[0], i) += *elem_at(&c->in[1], i);
    return CTS_OK;
}

const struct cts_op_def cts_opdef_accumulate = {"accumulate", accumulate_ref, NULL, NULL, -1};
