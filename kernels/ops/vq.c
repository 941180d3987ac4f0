/* The cosine vector quantiser (van den Oord et al. 2017 with the unit-length code book of Yu et al. 2021): nearest code
 * of every token, and the moving-average update of the code book. Rules as in the package published models were trained
 * with (vector_quantize_pytorch 1.1.2, one head, no restart of unused codes).
 *
 *   z = x / max(|x|, 1e-12)     e_k = row_k / max(|row_k|, 1e-12)     code = first argmax of <z, e_k>     y = row_code
 *   size_k <- decay size_k + (1 - decay) n_k
 *   row_k  <- decay row_k + (1 - decay) t_k,  t_k = mean of its z, made unit length; e_k where n_k = 0
 * SPDX-License-Identifier: MIT */
#include "kernels/ops/ops_internal.h"

#define MIN_NORM 1e-12 /* what PyTorch's normalize() divides by at least */

enum { CHUNK = 64 }; /* channels summed at a time, on the stack */

static void need_codebook(const cts_tensor *x, const cts_tensor *embed)
{
    need_f32("vq", x);
    need_f32("vq", embed);
    CTS_ASSERT(x->ndim >= 2 && embed->ndim == 3 && embed->shape[0] == 1 && embed->shape[2] == cts_tensor_channels(x) &&
                   embed->shape[1] <= INT32_MAX,
               "vq: %s has %lld channels, code book %s is no [1, codes, channels]", x->name,
               (long long)cts_tensor_channels(x), embed->name);
}

cts_tensor *cts_op_vq(cts_graph *g, cts_tensor *x, cts_tensor *embed, bool straight_through, cts_tensor **codes)
{
    cts_vq_attr a = {straight_through};
    cts_tensor *in[2] = {x, embed}, *y;
    cts_node *n;

    need_codebook(x, embed);
    n = cts_graph_node(g, CTS_OP_VQ, 2, in, &a, sizeof(a));
    y = cts_node_out_like(g, n, "vq", x);
    *codes = cts_node_out(g, n, "vq.codes", CTS_I32, x->ndim - 1, x->shape, x->sym);
    return y;
}

void cts_op_vq_update(cts_graph *g, cts_tensor *x, cts_tensor *codes, cts_tensor *embed, cts_tensor *cluster_size,
                      double decay)
{
    cts_vq_update_attr a = {decay};
    cts_tensor *in[4] = {x, codes, embed, cluster_size}, *new_embed, *new_size;
    cts_node *n;

    need_codebook(x, embed);
    need_vector("vq_update", cluster_size, embed->shape[1]);
    CTS_ASSERT(codes->dtype == CTS_I32 && cts_tensor_count(codes) == cts_tensor_rows(x),
               "vq_update: %s does not fit %s", codes->name, x->name);
    n = cts_graph_node(g, CTS_OP_VQ_UPDATE, 4, in, &a, sizeof(a));
    new_embed = cts_node_out_like(g, n, "vq.new_embed", embed);
    new_size = cts_node_out_like(g, n, "vq.new_cluster_size", cluster_size);
    cts_graph_update_state(g, embed, new_embed);
    cts_graph_update_state(g, cluster_size, new_size);
}

/* 1 / max(|v|, MIN_NORM) of n values `step` apart */
static double unit_scale(const float *v, int64_t n, int64_t step)
{
    double sq = 0.0;

    for (int64_t i = 0; i < n; i++)
        sq += (double)v[i * step] * v[i * step];
    return 1.0 / fmax(sqrt(sq), MIN_NORM);
}

static const float *code_row(const cts_view *embed, int64_t k)
{
    return (const float *)embed->data + k * embed->stride[1];
}

static int32_t *code_at(const cts_view *codes, int64_t r)
{
    return (int32_t *)codes->data + trail_at(codes, 0, r);
}

/* inputs x [.., C], embed [1, K, C] -> y [.., C], codes [..] */
static int vq_ref(const cts_call *c)
{
    const cts_vq_attr *a = c->node->attr;
    const cts_view *x = &c->in[0], *embed = &c->in[1], *y = &c->out[0];
    int64_t rows = cts_view_rows(x), C = cts_view_channels(x), xs = chan_stride(x), es = chan_stride(embed);

    for (int64_t r = 0; r < rows; r++) {
        const float *token = row_at(x, r), *row;
        double best = -INFINITY, scale = unit_scale(token, C, xs);
        int64_t code = 0;

        for (int64_t k = 0; k < embed->shape[1]; k++) {
            double dot = 0.0;

            row = code_row(embed, k);
            for (int64_t i = 0; i < C; i++)
                dot += (double)token[i * xs] * row[i * es];
            dot *= scale * unit_scale(row, C, es);
            if (dot > best) {
                best = dot;
                code = k;
            }
        }
        row = code_row(embed, code);
        for (int64_t i = 0; i < C; i++) {
            float v = row[i * es], d = v - token[i * xs];

            row_at(y, r)[i * chan_stride(y)] = a->straight_through ? token[i * xs] + d : v;
        }
        *code_at(&c->out[1], r) = (int32_t)code;
    }
    return CTS_OK;
}

/* Sums over the tokens of code k of their unit vectors, n channels from c0; returns the number of tokens. */
static int64_t token_sums(double *sum, const cts_call *c, int64_t k, int64_t c0, int64_t n)
{
    const cts_view *x = &c->in[0];
    int64_t xs = chan_stride(x), count = 0;

    for (int64_t i = 0; i < n; i++)
        sum[i] = 0.0;
    for (int64_t r = 0; r < cts_view_rows(x); r++) {
        const float *token = row_at(x, r);
        double scale;

        if (*code_at(&c->in[1], r) != k)
            continue;
        scale = unit_scale(token, cts_view_channels(x), xs);
        for (int64_t i = 0; i < n; i++)
            sum[i] += scale * token[(c0 + i) * xs];
        count++;
    }
    return count;
}

/* inputs x, codes, embed, cluster_size [1, K] -> new embed, new cluster_size */
static int vq_update_ref(const cts_call *c)
{
    const cts_vq_update_attr *a = c->node->attr;
    const cts_view *embed = &c->in[2], *out = &c->out[0];
    int64_t C = cts_view_channels(embed), es = chan_stride(embed);

    for (int64_t k = 0; k < embed->shape[1]; k++) {
        const float *row = code_row(embed, k);
        double sum[CHUNK], sq = 0.0, scale = unit_scale(row, C, es);
        int64_t count = 0;

        for (int64_t c0 = 0; c0 < C; c0 += CHUNK) {
            int64_t n = cts_min_i64(CHUNK, C - c0);

            count = token_sums(sum, c, k, c0, n);
            for (int64_t i = 0; i < n; i++)
                sq += sum[i] * sum[i];
        }
        if (count)
            scale = 1.0 / fmax(sqrt(sq), MIN_NORM * (double)count); /* sum / |sum| is mean / |mean|, floor included */
        for (int64_t c0 = 0; c0 < C; c0 += CHUNK) {
            int64_t n = cts_min_i64(CHUNK, C - c0);

            if (count)
                token_sums(sum, c, k, c0, n);
            for (int64_t i = 0; i < n; i++) {
                double old = row[(c0 + i) * es], target = scale * (count ? sum[i] : old);

                *elem_at(out, k * C + c0 + i) = (float)(a->decay * old + (1.0 - a->decay) * target);
            }
        }
        *elem_at(&c->out[1], k) = (float)(a->decay * *elem_at(&c->in[3], k) + (1.0 - a->decay) * (double)count);
    }
    return CTS_OK;
}

/* Straight through: the token takes the gradient of its code unchanged. Without it nothing goes back. */
static void vq_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    (void)g;
    if (dout[0] && need[0] && ((const cts_vq_attr *)n->attr)->straight_through)
        din[0] = dout[0];
}

static int64_t vq_macs(const cts_node *n)
{
    return cts_tensor_count(n->in[0]) * n->in[1]->shape[1];
}

const struct cts_op_def cts_opdef_vq = {"vq", vq_ref, vq_grad, vq_macs, -1};
const struct cts_op_def cts_opdef_vq_update = {"vq_update", vq_update_ref, NULL, NULL, -1};
