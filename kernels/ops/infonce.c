/* The symmetric InfoNCE loss over the pairs of a batch and its gradient. SPDX-License-Identifier: MIT */
#include "kernels/ops/ops_internal.h"

#define CHUNK 64 /* columns of da and db summed at once, on the stack */

cts_tensor *cts_op_infonce(cts_graph *g, cts_tensor *a, cts_tensor *b, cts_tensor *log_scale, float eps)
{
    cts_tensor *in[3] = {a, b, log_scale}, *loss;
    cts_layer_norm_attr attr = {eps};
    int64_t one = 1;
    cts_node *n;

    need_f32("infonce", a);
    need_f32("infonce", b);
    need_vector("infonce", log_scale, 1);
    CTS_ASSERT(a->ndim == 2 && same_shape(a, b), "infonce: %s and %s must be n x d alike", a->name, b->name);
    n = cts_graph_node(g, CTS_OP_INFONCE, 3, in, &attr, sizeof(attr));
    loss = cts_node_out(g, n, "infonce", CTS_F32, 1, &one, CTS_SYM_NONE);
    cts_node_out(g, n, "infonce.lse_row", CTS_F32, 1, &a->shape[0], a->sym);
    cts_node_out(g, n, "infonce.lse_col", CTS_F32, 1, &a->shape[0], a->sym);
    return loss;
}

/* s_ij = exp(log_scale) <a_i, b_j> */
static double similarity(const cts_view *a, const cts_view *b, double scale, int64_t i, int64_t j)
{
    const float *ap = row_at(a, i), *bp = row_at(b, j);
    double sum = 0.0;

    for (int64_t k = 0; k < a->shape[1]; k++)
        sum += (double)ap[k * chan_stride(a)] * bp[k * chan_stride(b)];
    return scale * sum;
}

/* log(sum over j of exp(s_ij) + eps), of row i of s or (by_col) of its column i. The largest term is taken out; eps is
 * a term like the others, exp(log eps), so that nothing overflows and eps = 0 drops out exactly. */
static double log_sum(const cts_view *a, const cts_view *b, double scale, double log_eps, int64_t i, bool by_col)
{
    double max = log_eps, sum;

    for (int64_t j = 0; j < a->shape[0]; j++)
        max = fmax(max, by_col ? similarity(a, b, scale, j, i) : similarity(a, b, scale, i, j));
    sum = exp(log_eps - max);
    for (int64_t j = 0; j < a->shape[0]; j++)
        sum += exp((by_col ? similarity(a, b, scale, j, i) : similarity(a, b, scale, i, j)) - max);
    return max + log(sum);
}

/* log(exp(s) + eps) */
static double log_with_eps(double s, double log_eps)
{
    double max = fmax(s, log_eps);

    return max + log(exp(s - max) + exp(log_eps - max));
}

static int infonce_ref(const cts_call *c)
{
    const cts_view *a = &c->in[0], *b = &c->in[1];
    double scale = exp((double)*elem_at(&c->in[2], 0)), sum = 0.0;
    double log_eps = log((double)((const cts_layer_norm_attr *)c->node->attr)->eps); /* -inf for 0 */
    int64_t n = a->shape[0];

    for (int64_t i = 0; i < n; i++) {
        double row = log_sum(a, b, scale, log_eps, i, false), col = log_sum(a, b, scale, log_eps, i, true);

        *elem_at(&c->out[1], i) = (float)row;
        *elem_at(&c->out[2], i) = (float)col;
        sum += 0.5 * (row + col) - log_with_eps(similarity(a, b, scale, i, i), log_eps);
    }
    *elem_at(&c->out[0], 0) = (float)(sum / (double)n);
    return CTS_OK;
}

/* ---- gradient: inputs (dloss, a, b, log_scale, lse_row, lse_col) ---- */

/* dL / ds_ij = dloss / 2n (exp(s_ij - lse_row_i) + exp(s_ij - lse_col_j) - [i = j] 2 exp(s_ii) / (exp(s_ii) + eps)) */
static double similarity_grad(const cts_call *c, int64_t i, int64_t j, double *s)
{
    const cts_view *a = &c->in[1], *b = &c->in[2];
    double log_eps = log((double)((const cts_layer_norm_attr *)c->node->attr)->eps), d;

    *s = similarity(a, b, exp((double)*elem_at(&c->in[3], 0)), i, j);
    d = exp(*s - *elem_at(&c->in[4], i)) + exp(*s - *elem_at(&c->in[5], j));
    if (i == j)
        d -= 2.0 * exp(*s - log_with_eps(*s, log_eps));
    return d * *elem_at(&c->in[0], 0) / (2.0 * (double)a->shape[0]);
}

/* Columns [k0, k1) of row `at` of da (of db when transposed): scale * sum over j of dS times the other side's rows. */
static void grad_chunk(const cts_call *c, int64_t at, bool transposed, int64_t k0, int64_t k1)
{
    const cts_view *other = transposed ? &c->in[1] : &c->in[2], *out = transposed ? &c->out[1] : &c->out[0];
    double acc[CHUNK] = {0.0}, scale = exp((double)*elem_at(&c->in[3], 0)), s;

    for (int64_t j = 0; j < other->shape[0]; j++) {
        double d = scale * (transposed ? similarity_grad(c, j, at, &s) : similarity_grad(c, at, j, &s));

        for (int64_t k = k0; k < k1; k++)
            acc[k - k0] += d * row_at(other, j)[k * chan_stride(other)];
    }
    for (int64_t k = k0; k < k1; k++)
        row_at(out, at)[k * chan_stride(out)] = (float)acc[k - k0];
}

static int infonce_grad_ref(const cts_call *c)
{
    int64_t n = c->in[1].shape[0], d = c->in[1].shape[1];
    double dscale = 0.0, s;

    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < d; k += CHUNK) {
            grad_chunk(c, i, false, k, cts_min_i64(k + CHUNK, d));
            grad_chunk(c, i, true, k, cts_min_i64(k + CHUNK, d));
        }
        for (int64_t j = 0; j < n; j++) {
            double ds = similarity_grad(c, i, j, &s);

            dscale += ds * s; /* d s / d log_scale = s */
        }
    }
    *elem_at(&c->out[2], 0) = (float)dscale;
    return CTS_OK;
}

static void infonce_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    cts_tensor *in[6] = {dout[0], n->in[0], n->in[1], n->in[2], n->out[1], n->out[2]};
    static const char *const names[3] = {"infonce.da", "infonce.db", "infonce.dlog_scale"};
    cts_node *b;

    if (!dout[0])
        return;
    b = cts_graph_node(g, CTS_OP_INFONCE_GRAD, 6, in, n->attr, sizeof(cts_layer_norm_attr));
    for (int i = 0; i < 3; i++) {
        cts_tensor *d = cts_node_out_like(g, b, names[i], n->in[i]);

        if (need[i])
            din[i] = d;
    }
}

const struct cts_op_def cts_opdef_infonce = {"infonce", infonce_ref, infonce_grad, NULL, -1};
const struct cts_op_def cts_opdef_infonce_grad = {"infonce_grad", infonce_grad_ref, NULL, NULL, -1};
