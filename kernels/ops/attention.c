/* Packed multi-head attention with bands, key masks and dropout, and its gradient by recomputed probabilities.
 * Sequences lie at offsets, or all have one length; then a bias over their pairs may be added to the scores.
 * Rows that belong to no sequence, and queries without a visible key, give o = 0 and lse = 0.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "kernels/ops/ops_internal.h"

#define MAX_HEAD 1024 /* widest head: the references keep one row of it on the stack */

/* in: q, k, v, offsets, key_mask, bias */
static cts_tensor *attention_node(cts_graph *g, cts_tensor *const *in, cts_attention_attr *a)
{
    cts_tensor *q = in[0], *o;
    int64_t lse[CTS_MAX_DIMS] = {0}, c;
    cts_node *n;

    for (int i = 0; i < 3; i++)
        need_f32("attention", in[i]);
    CTS_ASSERT(q->ndim >= 2 && same_shape(q, in[1]) && same_shape(q, in[2]), "attention: q, k, v differ in shape");
    c = cts_tensor_channels(q);
    CTS_ASSERT(a->heads > 0 && c % a->heads == 0 && c / a->heads <= MAX_HEAD, "attention: %lld channels, %d heads",
               (long long)c, a->heads);
    CTS_ASSERT(a->p >= 0.0f && a->p < 1.0f, "attention: dropout %g", (double)a->p);
    if (a->p > 0.0f)
        a->stream = cts_graph_stream(g);
    n = cts_graph_node(g, CTS_OP_ATTENTION, 6, in, a, sizeof(*a));
    o = cts_node_out_like(g, n, "attention", q);
    memcpy(lse, q->shape, sizeof(lse));
    lse[q->ndim - 1] = a->heads;
    cts_node_out(g, n, "attention.lse", CTS_F32, q->ndim, lse, q->sym);
    return o;
}

cts_tensor *cts_op_attention(cts_graph *g, cts_tensor *q, cts_tensor *k, cts_tensor *v, cts_tensor *offsets,
                             cts_tensor *key_mask, int heads, float scale, int back, int ahead, float p)
{
    cts_tensor *in[6] = {q, k, v, offsets, key_mask, NULL};
    cts_attention_attr a = {.heads = heads, .back = back, .ahead = ahead, .scale = scale, .p = p};

    CTS_ASSERT(q && q->ndim == 2, "attention: q, k, v must be rows x channels");
    CTS_ASSERT(offsets && offsets->dtype == CTS_I32 && offsets->ndim == 1, "attention: offsets must be i32 and 1-D");
    CTS_ASSERT(!key_mask || (key_mask->dtype == CTS_I32 && cts_tensor_count(key_mask) == q->shape[0]),
               "attention: the key mask must be i32, one entry a row");
    return attention_node(g, in, &a);
}

cts_tensor *cts_op_attention_uniform(cts_graph *g, cts_tensor *q, cts_tensor *k, cts_tensor *v, cts_tensor *bias,
                                     int64_t seq_len, int heads, float scale, int back, int ahead, float p)
{
    cts_tensor *in[6] = {q, k, v, NULL, NULL, bias};
    cts_attention_attr a = {.heads = heads, .back = back, .ahead = ahead, .scale = scale, .p = p, .seq_len = seq_len};
    int64_t whole = q->sym == CTS_SYM_NONE ? cts_tensor_rows(q) : cts_tensor_rows(q) / q->shape[0];

    CTS_ASSERT(seq_len > 0 && whole % seq_len == 0, "attention: %lld rows are no whole sequences of %lld",
               (long long)whole, (long long)seq_len);
    if (bias)
        need_vector("attention bias", bias, heads * seq_len * seq_len);
    return attention_node(g, in, &a);
}

/* ---- what both passes share ---- */

typedef struct {
    const cts_attention_attr *a;
    const cts_view *q, *k, *v, *offsets, *mask, *bias;
    int64_t rows, dh, n_max; /* rows of this run, width of a head, planned rows */
    uint64_t key;
} heads_of;

static float *head_row(const cts_view *v, int64_t row, int64_t head, int64_t dh)
{
    return row_at(v, row) + head * dh * chan_stride(v);
}

static double dot_head(const heads_of *h, const cts_view *x, int64_t i, const cts_view *y, int64_t j, int64_t head)
{
    const float *a = head_row(x, i, head, h->dh), *b = head_row(y, j, head, h->dh);
    double sum = 0.0;

    for (int64_t c = 0; c < h->dh; c++)
        sum += (double)a[c * chan_stride(x)] * b[c * chan_stride(y)];
    return sum;
}

static bool visible(const heads_of *h, int64_t i, int64_t j)
{
    if ((h->a->back >= 0 && j < i - h->a->back) || (h->a->ahead >= 0 && j > i + h->a->ahead))
        return false;
    return !h->mask->data || ((const int32_t *)h->mask->data)[j * h->mask->stride[0]] != 0;
}

static double score(const heads_of *h, int64_t i, int64_t j, int64_t head)
{
    int64_t n = h->a->seq_len;
    double s = h->a->scale * dot_head(h, h->q, i, h->k, j, head);

    return h->bias->data ? s + *elem_at(h->bias, (head * n + i % n) * n + j % n) : s;
}

/* 0 or 1 / (1 - p) */
static double drop_factor(const heads_of *h, int64_t i, int64_t j, int64_t head)
{
    uint64_t element = (uint64_t)((head * h->n_max + i) * h->n_max + j);

    if (h->a->p <= 0.0f)
        return 1.0;
    return cts_rng_unit_at(h->key, element) >= h->a->p ? 1.0 / (1.0 - (double)h->a->p) : 0.0;
}

static int64_t offset_at(const heads_of *h, int64_t s)
{
    if (h->a->seq_len)
        return s * h->a->seq_len;
    return ((const int32_t *)h->offsets->data)[s * h->offsets->stride[0]];
}

static int64_t sequences(const heads_of *h)
{
    return h->a->seq_len ? h->rows / h->a->seq_len : h->offsets->shape[0] - 1;
}

static int check_offsets(const heads_of *h)
{
    int64_t last = 0;

    for (int64_t s = 0; h->offsets->data && s < h->offsets->shape[0]; s++) {
        int64_t at = offset_at(h, s);

        if (at < last || at > h->rows || (s == 0 && at != 0))
            return cts_fail(CTS_E_INPUT, "attention: offset %lld of sequence %lld, allowed: %lld to %lld",
                            (long long)at, (long long)s, (long long)last, (long long)(s ? h->rows : 0));
        last = at;
    }
    return CTS_OK;
}

/* ---- forward ---- */

static void attend(const heads_of *h, const cts_view *o, const cts_view *lse, int64_t i, int64_t head, int64_t lo,
                   int64_t hi)
{
    float *op = head_row(o, i, head, h->dh);
    double acc[MAX_HEAD] = {0.0}, max = -INFINITY, sum = 0.0;

    for (int64_t j = lo; j < hi; j++)
        if (visible(h, i, j))
            max = fmax(max, score(h, i, j, head));
    for (int64_t j = lo; j < hi; j++) {
        const float *vp = head_row(h->v, j, head, h->dh);
        double e, d;

        if (!visible(h, i, j))
            continue;
        e = exp(score(h, i, j, head) - max);
        d = e * drop_factor(h, i, j, head);
        sum += e;
        for (int64_t c = 0; c < h->dh; c++)
            acc[c] += d * vp[c * chan_stride(h->v)];
    }
    for (int64_t c = 0; c < h->dh; c++)
        op[c * chan_stride(o)] = sum > 0.0 ? (float)(acc[c] / sum) : (float)sum;
    row_at(lse, i)[head * chan_stride(lse)] = sum > 0.0 ? (float)(max + log(sum)) : (float)sum;
}

static int attention_ref(const cts_call *c)
{
    const cts_attention_attr *a = c->node->attr;
    const cts_view *o = &c->out[0], *lse = &c->out[1];
    heads_of h = {.a = a,
                  .q = &c->in[0],
                  .k = &c->in[1],
                  .v = &c->in[2],
                  .offsets = &c->in[3],
                  .mask = &c->in[4],
                  .bias = &c->in[5],
                  .rows = cts_view_rows(&c->in[0]),
                  .dh = cts_view_channels(&c->in[0]) / a->heads,
                  .n_max = cts_tensor_rows(c->node->in[0]),
                  .key = stream_key(c, a->stream)};
    int64_t n_seq = sequences(&h);
    int rc = check_offsets(&h);

    if (rc)
        return rc;
    for (int64_t i = offset_at(&h, n_seq); i < h.rows; i++)
        for (int64_t head = 0; head < a->heads; head++)
            attend(&h, o, lse, i, head, 0, 0);
    for (int64_t s = 0; s < n_seq; s++)
        for (int64_t i = offset_at(&h, s); i < offset_at(&h, s + 1); i++)
            for (int64_t head = 0; head < a->heads; head++)
                attend(&h, o, lse, i, head, offset_at(&h, s), offset_at(&h, s + 1));
    return CTS_OK;
}

/* ---- backward: inputs (do, q, k, v, o, lse, offsets, key_mask, bias) ---- */

typedef struct {
    heads_of h;
    const cts_view *d_o, *o, *lse;
} grad_of;

static double probability(const grad_of *g, int64_t i, int64_t j, int64_t head)
{
    return exp(score(&g->h, i, j, head) - row_at(g->lse, i)[head * chan_stride(g->lse)]);
}

/* With P the probabilities and M the dropout factors:  dS_ij = P_ij (M_ij <do_i, v_j> - <do_i, o_i>).
 * *p = P_ij M_ij */
static double score_grad(const grad_of *g, int64_t i, int64_t j, int64_t head, double *p)
{
    const heads_of *h = &g->h;
    double prob = probability(g, i, j, head);
    double drop = drop_factor(h, i, j, head);

    *p = prob * drop;
    return prob * (drop * dot_head(h, g->d_o, i, h->v, j, head) - dot_head(h, g->d_o, i, g->o, i, head));
}

static void add_head(const heads_of *h, double *acc, double factor, const cts_view *x, int64_t row, int64_t head)
{
    const float *xp = head_row(x, row, head, h->dh);

    for (int64_t c = 0; c < h->dh; c++)
        acc[c] += factor * xp[c * chan_stride(x)];
}

static void store_head(const heads_of *h, const cts_view *x, int64_t row, int64_t head, const double *acc)
{
    float *xp = head_row(x, row, head, h->dh);

    for (int64_t c = 0; c < h->dh; c++)
        xp[c * chan_stride(x)] = (float)acc[c];
}

/* Row `at` of dq as a query, of dk and dv as a key, within the sequence [lo, hi). */
static void grad_row(const grad_of *g, const cts_view *out, int64_t at, int64_t head, int64_t lo, int64_t hi)
{
    const heads_of *h = &g->h;
    double dq[MAX_HEAD] = {0.0}, dk[MAX_HEAD] = {0.0}, dv[MAX_HEAD] = {0.0}, p;

    for (int64_t j = lo; j < hi; j++) {
        if (visible(h, at, j))
            add_head(h, dq, h->a->scale * score_grad(g, at, j, head, &p), h->k, j, head);
        if (visible(h, j, at)) {
            add_head(h, dk, h->a->scale * score_grad(g, j, at, head, &p), h->q, j, head);
            add_head(h, dv, p, g->d_o, j, head);
        }
    }
    store_head(h, &out[0], at, head, dq);
    store_head(h, &out[1], at, head, dk);
    store_head(h, &out[2], at, head, dv);
}

/* Row [head][i] of the bias's gradient: the score gradients of all sequences, added in order. A row of score gradients
 * sums to 0, and so do sums over whole rows that networks behind a bias take: the rounding of o and of lse, which
 * breaks that, is taken out by sum(P M <do, v>) / sum(P) in the place of <do, o>. */
static void grad_bias(const grad_of *g, const cts_view *out, int64_t head, int64_t i)
{
    int64_t n = g->h.a->seq_len;

    for (int64_t j = 0; j < n; j++)
        *elem_at(out, (head * n + i) * n + j) = 0.0f;
    for (int64_t s = 0; s < g->h.rows; s += n) {
        double sum = 0.0, p_sum = 0.0, p;

        for (int64_t j = s; j < s + n; j++)
            if (visible(&g->h, s + i, j)) {
                sum += score_grad(g, s + i, j, head, &p);
                p_sum += probability(g, s + i, j, head);
            }
        for (int64_t j = s; j < s + n; j++)
            if (visible(&g->h, s + i, j))
                *elem_at(out, (head * n + i) * n + j - s) +=
                    (float)(score_grad(g, s + i, j, head, &p) - probability(g, s + i, j, head) * sum / p_sum);
    }
}

static int attention_grad_ref(const cts_call *c)
{
    const cts_attention_attr *a = c->node->attr;
    grad_of g = {.h = {.a = a,
                       .q = &c->in[1],
                       .k = &c->in[2],
                       .v = &c->in[3],
                       .offsets = &c->in[6],
                       .mask = &c->in[7],
                       .bias = &c->in[8],
                       .rows = cts_view_rows(&c->in[1]),
                       .dh = cts_view_channels(&c->in[1]) / a->heads,
                       .n_max = cts_tensor_rows(c->node->in[1]),
                       .key = stream_key(c, a->stream)},
                 .d_o = &c->in[0],
                 .o = &c->in[4],
                 .lse = &c->in[5]};
    int64_t n_seq = sequences(&g.h);
    int rc = check_offsets(&g.h);

    if (rc)
        return rc;
    for (int64_t i = offset_at(&g.h, n_seq); i < g.h.rows; i++)
        for (int64_t head = 0; head < a->heads; head++)
            grad_row(&g, c->out, i, head, 0, 0);
    for (int64_t s = 0; s < n_seq; s++)
        for (int64_t i = offset_at(&g.h, s); i < offset_at(&g.h, s + 1); i++)
            for (int64_t head = 0; head < a->heads; head++)
                grad_row(&g, c->out, i, head, offset_at(&g.h, s), offset_at(&g.h, s + 1));
    for (int64_t head = 0; c->node->n_out > 3 && head < a->heads; head++)
        for (int64_t i = 0; i < a->seq_len; i++)
            grad_bias(&g, &c->out[3], head, i);
    return CTS_OK;
}

static void attention_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    cts_tensor *in[9] = {dout[0], n->in[0], n->in[1], n->in[2], n->out[0], n->out[1], n->in[3], n->in[4], n->in[5]};
    static const char *const names[3] = {"attention.dq", "attention.dk", "attention.dv"};
    cts_node *b;

    if (!dout[0])
        return;
    b = cts_graph_node(g, CTS_OP_ATTENTION_GRAD, 9, in, n->attr, sizeof(cts_attention_attr));
    for (int i = 0; i < 3; i++) {
        cts_tensor *d = cts_node_out_like(g, b, names[i], n->in[i]);

        if (need[i])
            din[i] = d;
    }
    if (n->in[5] && need[5])
        din[5] = cts_node_out_like(g, b, "attention.dbias", n->in[5]);
}

/* Both products at full length: the planned rows shared evenly by the planned sequences. */
static int64_t attention_macs(const cts_node *n)
{
    const cts_attention_attr *a = n->attr;
    int64_t rows = cts_tensor_rows(n->in[0]);
    int64_t keys = a->seq_len ? a->seq_len : rows / cts_max_i64(n->in[3]->shape[0] - 1, 1);

    return 2 * rows * keys * cts_tensor_channels(n->in[0]);
}

const struct cts_op_def cts_opdef_attention = {"attention", attention_ref, attention_grad, attention_macs, -1};
const struct cts_op_def cts_opdef_attention_grad = {"attention_grad", attention_grad_ref, NULL, NULL, -1};
