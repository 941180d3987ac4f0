/* The sigmoid loss over all pairs of a batch and its gradient. SPDX-License-Identifier: MIT */
#include "kernels/ops/ops_internal.h"

#define CHUNK 64 /* columns of da and db summed at once, on the stack */

cts_tensor *cts_op_siglip(cts_graph *g, cts_tensor *a, cts_tensor *b, cts_tensor *log_scale, cts_tensor *bias)
{
    cts_tensor *in[4] = {a, b, log_scale, bias};
    int64_t one = 1;

    need_f32("siglip", a);
    need_f32("siglip", b);
    need_vector("siglip", log_scale, 1);
    need_vector("siglip", bias, 1);
    CTS_ASSERT(a->ndim == 2 && same_shape(a, b), "siglip: %s and %s must be n x d alike", a->name, b->name);
    return cts_node_out(g, cts_graph_node(g, CTS_OP_SIGLIP, 4, in, NULL, 0), "siglip", CTS_F32, 1, &one, CTS_SYM_NONE);
}

/* in: a, b, log_scale, bias. *s = exp(log_scale) <a_i, b_j>; returns u = z (s + bias),
 * z = 1 on the diagonal, else -1. */
static double signed_logit(const cts_view *in, int64_t i, int64_t j, double *s)
{
    const float *ap = row_at(&in[0], i), *bp = row_at(&in[1], j);
    double sum = 0.0;

    for (int64_t k = 0; k < in[0].shape[1]; k++)
        sum += (double)ap[k * chan_stride(&in[0])] * bp[k * chan_stride(&in[1])];
    *s = exp((double)*elem_at(&in[2], 0)) * sum;
    sum = *s + *elem_at(&in[3], 0);
    return i == j ? sum : -sum;
}

static int siglip_ref(const cts_call *c)
{
    int64_t n = c->in[0].shape[0];
    double sum = 0.0, s;

    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double u = signed_logit(c->in, i, j, &s);

            sum += fmax(-u, 0.0) + log1p(exp(-fabs(u))); /* -log sigmoid(u) */
        }
    *elem_at(&c->out[0], 0) = (float)(sum / (double)n);
    return CTS_OK;
}

/* ---- gradient: inputs (dloss, a, b, log_scale, bias) ---- */

/* dL / dlogit_ij = -z sigmoid(-u) dloss / n */
static double logit_grad(const cts_call *c, int64_t i, int64_t j, double *s)
{
    double u = signed_logit(c->in + 1, i, j, s), e = exp(-fabs(u));
    double d = (u < 0.0 ? 1.0 : e) / (1.0 + e) * *elem_at(&c->in[0], 0) / (double)c->in[1].shape[0];

    return i == j ? -d : d;
}

/* Columns [k0, k1) of row `at` of da (of db when transposed). */
static void grad_chunk(const cts_call *c, int64_t at, bool transposed, int64_t k0, int64_t k1)
{
    const cts_view *other = transposed ? &c->in[1] : &c->in[2], *out = transposed ? &c->out[1] : &c->out[0];
    double acc[CHUNK] = {0.0}, scale = exp((double)*elem_at(&c->in[3], 0)), s;

    for (int64_t j = 0; j < other->shape[0]; j++) {
        double d = scale * (transposed ? logit_grad(c, j, at, &s) : logit_grad(c, at, j, &s));

        for (int64_t k = k0; k < k1; k++)
            acc[k - k0] += d * row_at(other, j)[k * chan_stride(other)];
    }
    for (int64_t k = k0; k < k1; k++)
        row_at(out, at)[k * chan_stride(out)] = (float)acc[k - k0];
}

static int siglip_grad_ref(const cts_call *c)
{
    int64_t n = c->in[1].shape[0], d = c->in[1].shape[1];
    double dscale = 0.0, dbias = 0.0, s;

    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < d; k += CHUNK) {
            grad_chunk(c, i, false, k, cts_min_i64(k + CHUNK, d));
            grad_chunk(c, i, true, k, cts_min_i64(k + CHUNK, d));
        }
        for (int64_t j = 0; j < n; j++) {
            double dl = logit_grad(c, i, j, &s);

            dscale += dl * s;
            dbias += dl;
        }
    }
    *elem_at(&c->out[2], 0) = (float)dscale;
    *elem_at(&c->out[3], 0) = (float)dbias;
    return CTS_OK;
}

static void siglip_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    cts_tensor *in[5] = {dout[0], n->in[0], n->in[1], n->in[2], n->in[3]};
    static const char *const names[4] = {"siglip.da", "siglip.db", "siglip.dlog_scale", "siglip.dbias"};
    cts_node *b;

    if (!dout[0])
        return;
    b = cts_graph_node(g, CTS_OP_SIGLIP_GRAD, 5, in, NULL, 0);
    for (int i = 0; i < 4; i++) {
        cts_tensor *d = cts_node_out_like(g, b, names[i], n->in[i]);

        if (need[i])
            din[i] = d;
    }
}

const struct cts_op_def cts_opdef_siglip = {"siglip", siglip_ref, siglip_grad, NULL, -1};
const struct cts_op_def cts_opdef_siglip_grad = {"siglip_grad", siglip_grad_ref, NULL, NULL, -1};
