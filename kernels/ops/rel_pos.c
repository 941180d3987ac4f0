/* Continuous position bias: the table of offsets that its network reads, and the spread of its results over all pairs
 * of positions. SPDX-License-Identifier: MIT */
#include "kernels/ops/ops_internal.h"

/* ---- the table: a constant that costs no host input ---- */

cts_tensor *cts_op_rel_pos(cts_graph *g, int64_t h, int64_t w)
{
    cts_rel_pos_attr a = {h, w};
    int64_t shape[2] = {(2 * h - 1) * (2 * w - 1), 2};

    CTS_ASSERT(h > 0 && w > 0 && h <= 4096 && w <= 4096, "rel_pos: a grid of %lld x %lld", (long long)h, (long long)w);
    return cts_node_out(g, cts_graph_node(g, CTS_OP_REL_POS, 0, NULL, &a, sizeof(a)), "rel_pos", CTS_F32, 2, shape,
                        CTS_SYM_NONE);
}

static double signed_log(int64_t d)
{
    double v = log((double)(d < 0 ? -d : d) + 1.0);

    return d < 0 ? -v : v;
}

static int rel_pos_ref(const cts_call *c)
{
    const cts_rel_pos_attr *a = c->node->attr;
    const cts_view *y = &c->out[0];
    int64_t across = 2 * a->w - 1;

    for (int64_t r = 0; r < y->shape[0]; r++) {
        row_at(y, r)[0] = (float)signed_log(r / across - (a->h - 1));
        row_at(y, r)[chan_stride(y)] = (float)signed_log(r % across - (a->w - 1));
    }
    return CTS_OK;
}

const struct cts_op_def cts_opdef_rel_pos = {"rel_pos", rel_pos_ref, NULL, NULL, -1};

/* ---- the bias ---- */

cts_tensor *cts_op_rel_bias(cts_graph *g, cts_tensor *x, int64_t h, int64_t w)
{
    cts_rel_pos_attr a = {h, w};
    int64_t shape[3] = {0, h * w, h * w};

    need_f32("rel_bias", x);
    CTS_ASSERT(x->ndim == 2 && x->shape[0] == (2 * h - 1) * (2 * w - 1), "rel_bias: %s does not fit a grid %lld x %lld",
               x->name, (long long)h, (long long)w);
    shape[0] = x->shape[1];
    return cts_node_out(g, cts_graph_node(g, CTS_OP_REL_BIAS, 1, &x, &a, sizeof(a)), "rel_bias", CTS_F32, 3, shape,
                        CTS_SYM_NONE);
}

/* Row of the table that holds the difference of positions p and q. */
static int64_t row_of(const cts_rel_pos_attr *a, int64_t p, int64_t q)
{
    return (p / a->w - q / a->w + a->h - 1) * (2 * a->w - 1) + p % a->w - q % a->w + a->w - 1;
}

static int rel_bias_ref(const cts_call *c)
{
    const cts_rel_pos_attr *a = c->node->attr;
    const cts_view *x = &c->in[0], *y = &c->out[0];
    int64_t n = a->h * a->w;

    for (int64_t i = 0; i < cts_view_count(y); i++)
        *elem_at(y, i) = row_at(x, row_of(a, i / n % n, i % n))[i / (n * n) * chan_stride(x)];
    return CTS_OK;
}

/* Every row of the table collects the pairs p, q = p - d that read it. */
static int rel_bias_grad_ref(const cts_call *c)
{
    const cts_rel_pos_attr *a = c->node->attr;
    const cts_view *dy = &c->in[0], *dx = &c->out[0];
    int64_t n = a->h * a->w, across = 2 * a->w - 1;

    for (int64_t r = 0; r < dx->shape[0]; r++)
        for (int64_t head = 0; head < dx->shape[1]; head++) {
            int64_t d0 = r / across - (a->h - 1), d1 = r % across - (a->w - 1);
            double sum = 0.0;

            for (int64_t p = 0; p < n; p++) {
                int64_t q0 = p / a->w - d0, q1 = p % a->w - d1;

                if (q0 >= 0 && q0 < a->h && q1 >= 0 && q1 < a->w)
                    sum += *elem_at(dy, (head * n + p) * n + q0 * a->w + q1);
            }
            row_at(dx, r)[head * chan_stride(dx)] = (float)sum;
        }
    return CTS_OK;
}

static void rel_bias_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    if (!dout[0] || !need[0])
        return;
    din[0] = cts_node_out_like(g, cts_graph_node(g, CTS_OP_REL_BIAS_GRAD, 1, dout, n->attr, sizeof(cts_rel_pos_attr)),
                               "rel_bias.dx", n->in[0]);
}

const struct cts_op_def cts_opdef_rel_bias = {"rel_bias", rel_bias_ref, rel_bias_grad, NULL, -1};
const struct cts_op_def cts_opdef_rel_bias_grad = {"rel_bias_grad", rel_bias_grad_ref, NULL, NULL, -1};
