/* Packed multi-head attention with bands, key masks and dropout, and its gradient by recomputed probabilities.
 * Rows that belong to no sequence, and queries without a visible key, give o = 0 and lse = 0.
 * SPDX-License-Identifier: MIT */
#include "kernels/ops/ops_internal.h"

#define MAX_HEAD 1024 /* widest head: the references keep one row of it on the stack */

cts_tensor *cts_op_attention(cts_graph *g, cts_tensor *q, cts_tensor *k, cts_tensor *v, cts_tensor *offsets,
                             cts_tensor *key_mask, int heads, float scale, int back, int ahead, float p)
{
    cts_tensor *in[5] = {q, k, v, offsets, key_mask}, *o;
    cts_attention_attr a = {.heads = heads, .back = back, .ahead = ahead, .scale = scale, .p = p};
    int64_t lse[2];
    cts_node *n;

    need_f32("attention", q);
    need_f32("attention", k);
    need_f32("attention", v);
    CTS_ASSERT(q->ndim == 2 && same_shape(q, k) && same_shape(q, v), "attention: q, k, v must be rows x channels");
    CTS_ASSERT(heads > 0 && q->shape[1] % heads == 0 && q->shape[1] / heads <= MAX_HEAD,
               "attention: %lld channels, %d heads", (long long)q->shape[1], heads);
    CTS_ASSERT(offsets && offsets->dtype == CTS_I32 && offsets->ndim == 1, "attention: offsets must be i32 and 1-D");
    CTS_ASSERT(!key_mask || (key_mask->dtype == CTS_I32 && cts_tensor_count(key_mask) == q->shape[0]),
               "attention: the key mask must be i32, one entry a row");
    CTS_ASSERT(p >= 0.0f && p < 1.0f, "attention: dropout %g", (double)p);
    if (p > 0.0f)
        a.stream = cts_graph_stream(g);
    n = cts_graph_node(g, CTS_OP_ATTENTION, 5, in, &a, sizeof(a));
    o = cts_node_out_like(g, n, "attention", q);
    lse[0] = q->shape[0];
    lse[1] = heads;
    cts_node_out(g, n, "attention.lse", CTS_F32, 2, lse, q->sym);
    return o;
}

/* ---- what both passes share ---- */

typedef struct {
    const cts_attention_attr *a;
    const cts_view *q, *k, *v, *offsets, *mask;
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
    return h->a->scale * dot_head(h, h->q, i, h->k, j, head);
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
    return ((const int32_t *)h->offsets->data)[s * h->offsets->stride[0]];
}

static int check_offsets(const heads_of *h)
{
    int64_t last = 0;

    for (int64_t s = 0; s < h->offsets->shape[0]; s++) {
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
                  .rows = c->in[0].shape[0],
                  .dh = c->in[0].shape[1] / a->heads,
                  .n_max = c->node->in[0]->shape[0],
                  .key = stream_key(c, a->stream)};
    int64_t n_seq = c->in[3].shape[0] - 1;
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

/* ---- backward: inputs (do, q, k, v, o, lse, offsets, key_mask) ---- */

typedef struct {
    heads_of h;
    const cts_view *d_o, *o, *lse;
} grad_of;

/* With P the probabilities and M the dropout factors:  dS_ij = P_ij (M_ij <do_i, v_j> - <do_i, o_i>).
 * *p = P_ij M_ij */
static double score_grad(const grad_of *g, int64_t i, int64_t j, int64_t head, double *p)
{
    const heads_of *h = &g->h;
    double prob = exp(score(h, i, j, head) - row_at(g->lse, i)[head * chan_stride(g->lse)]);
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

static int attention_grad_ref(const cts_call *c)
{
    const cts_attention_attr *a = c->node->attr;
    grad_of g = {.h = {.a = a,
                       .q = &c->in[1],
                       .k = &c->in[2],
                       .v = &c->in[3],
                       .offsets = &c->in[6],
                       .mask = &c->in[7],
                       .rows = c->in[1].shape[0],
                       .dh = c->in[1].shape[1] / a->heads,
                       .n_max = c->node->in[1]->shape[0],
                       .key = stream_key(c, a->stream)},
                 .d_o = &c->in[0],
                 .o = &c->in[4],
                 .lse = &c->in[5]};
    int64_t n_seq = c->in[6].shape[0] - 1;
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
    return CTS_OK;
}

static void attention_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din)
{
    cts_tensor *in[8] = {dout[0], n->in[0], n->in[1], n->in[2], n->out[0], n->out[1], n->in[3], n->in[4]};
    static const char *const names[3] = {"attention.dq", "attention.dk", "attention.dv"};
    cts_node *b;

    if (!dout[0])
        return;
    b = cts_graph_node(g, CTS_OP_ATTENTION_GRAD, 8, in, n->attr, sizeof(cts_attention_attr));
    for (int i = 0; i < 3; i++) {
        cts_tensor *d = cts_node_out_like(g, b, names[i], n->in[i]);

        if (need[i])
            din[i] = d;
    }
}

/* Both products at full length: the planned rows shared evenly by the planned sequences. */
static int64_t attention_macs(const cts_node *n)
{
    int64_t rows = n->in[0]->shape[0], n_seq = cts_max_i64(n->in[3]->shape[0] - 1, 1);

    return 2 * rows * rows / n_seq * n->in[0]->shape[1];
}

const struct cts_op_def cts_opdef_attention = {"attention", attention_ref, attention_grad, attention_macs, -1};
const struct cts_op_def cts_opdef_attention_grad = {"attention_grad", attention_grad_ref, NULL, NULL, -1};
