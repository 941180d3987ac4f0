/* Attention over packed sequences. One item is one head of one sequence; a block of its queries is multiplied with
 * all keys that the band lets any of them see, so that banded attention costs the band. Scores of the block stay in
 * cache as tiles of CTS_TILE_K keys, the form the next product reads. Items write disjoint rows and columns, so
 * their order over threads does not matter; with a gradient of the bias a thread owns whole heads and adds sequence
 * after sequence. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "kernels/cpu/gemm.h"

typedef struct {
    const cts_isa *isa;
    const cts_attention_attr *a;
    const cts_call *c;
    const float *q, *k, *v;
    const int32_t *offsets, *mask; /* NULL = sequences of one length; no mask */
    const float *bias;             /* [heads, seq_len, seq_len] or NULL */
    int64_t rows, n_max, dh, ld, n_seq;
    uint64_t key, threshold;
    float inv;
    char *scratch;
    size_t thread_bytes;
    const float *d_o, *o, *lse; /* backward */
    float *d_bias;              /* NULL = not wanted */
} attention;

/* One item and its buffers. */
typedef struct {
    int64_t first, n, head,
        at;              /* rows [first, first + n) of the packed batch; at = offset of the head's first element */
    float *kt, *vp;      /* forward: keys as columns, values as rows; backward: kt, vt as columns, kp as rows */
    float *kp, *q, *d_o; /* tiles of queries and of do */
    float *qp, *op;      /* the same as panels */
    float *p, *dp;       /* tiles of scores */
    float *keep, *ones;
    int64_t q_tiles, p_tiles; /* floats a tile of CTS_TILE_K columns */
} item;

static int64_t block_rows(const cts_isa *isa)
{
    return 2 * isa->mr;
}

static int64_t tiles(int64_t n)
{
    return (n + CTS_TILE_K - 1) / CTS_TILE_K;
}

static float *carve(float **at, int64_t n)
{
    float *p = *at;

    *at += cts_cpu_pad(n);
    return p;
}

/* Lay the buffers of an item out from `base` for sequences of up to n_max rows; returns the floats used. */
static int64_t layout(item *it, const cts_isa *isa, float *base, int64_t n_max, int64_t dh, bool backward)
{
    int64_t tile = block_rows(isa) * CTS_TILE_LD;
    float *at = base;

    it->kt = carve(&at, cts_gemm_panel_floats(isa, n_max, dh));
    it->vp = carve(&at, cts_max_i64(cts_gemm_panel_floats(isa, dh, n_max), cts_gemm_panel_floats(isa, n_max, dh)));
    it->q = carve(&at, tile * tiles(dh));
    it->p = carve(&at, tile * (tiles(n_max) + 1)); /* the first key may lie within a panel */
    it->keep = carve(&at, CTS_TILE_K);
    it->ones = carve(&at, CTS_TILE_K);
    if (backward) {
        it->kp = carve(&at, cts_gemm_panel_floats(isa, dh, n_max));
        it->d_o = carve(&at, tile * tiles(dh));
        it->dp = carve(&at, tile * (tiles(n_max) + 1));
        it->qp = carve(&at, cts_gemm_panel_floats(isa, dh, block_rows(isa)));
        it->op = carve(&at, cts_gemm_panel_floats(isa, dh, block_rows(isa)));
    }
    return at - base;
}

/* Without a fixed length, a sequence may be as long as the planned rows. */
static int64_t longest(const cts_attention_attr *a, const cts_tensor *q)
{
    return a->seq_len ? a->seq_len : cts_tensor_rows(q);
}

static size_t attention_scratch(const cts_cpu *cpu, const cts_tensor *q, const cts_attention_attr *a, bool backward)
{
    item it;

    return (size_t)layout(&it, cpu->isa, NULL, longest(a, q), cts_tensor_channels(q) / a->heads, backward) *
           sizeof(float);
}

static int64_t offset_at(const attention *t, int64_t s)
{
    return t->offsets ? t->offsets[s] : s * t->a->seq_len;
}

static int check_offsets(const attention *t)
{
    int64_t last = 0;

    for (int64_t s = 0; t->offsets && s <= t->n_seq; s++) {
        int64_t at = t->offsets[s];

        if (at < last || at > t->rows || (s == 0 && at != 0))
            return cts_fail(CTS_E_INPUT, "attention: offset %lld of sequence %lld, allowed: %lld to %lld",
                            (long long)at, (long long)s, (long long)last, (long long)(s ? t->rows : 0));
        last = at;
    }
    return CTS_OK;
}

static int attention_of(attention *t, const cts_cpu *cpu, const cts_call *c, int q, int offsets)
{
    const cts_attention_attr *a = c->node->attr;

    *t = (attention){.isa = cpu->isa,
                     .a = a,
                     .c = c,
                     .q = c->in[q].data,
                     .k = c->in[q + 1].data,
                     .v = c->in[q + 2].data,
                     .offsets = c->in[offsets].data,
                     .mask = c->in[offsets + 1].data,
                     .bias = c->in[offsets + 2].data,
                     .rows = cts_view_rows(&c->in[q]),
                     .n_max = cts_tensor_rows(c->node->in[q]),
                     .ld = cts_view_channels(&c->in[q]),
                     .dh = cts_view_channels(&c->in[q]) / a->heads,
                     .key = cts_rng_split(cts_rng_split(c->seed, c->step), a->stream),
                     .threshold = cts_cpu_threshold(a->p),
                     .inv = (float)(1.0 / (1.0 - (double)a->p)),
                     .scratch = c->scratch};
    t->n_seq = a->seq_len ? t->rows / a->seq_len : c->in[offsets].shape[0] - 1;
    t->thread_bytes = attention_scratch(cpu, c->node->in[q], a, q != 0);
    return check_offsets(t);
}

/* Rows [r0, r0 + rows) of x's head into tiles, times s. */
static void load_tile(const attention *t, const item *it, float *tile, const float *x, int64_t r0, int64_t rows,
                      float s)
{
    for (int64_t k0 = 0; k0 < t->dh; k0 += CTS_TILE_K, tile += it->q_tiles)
        for (int64_t r = 0; r < rows; r++)
            t->isa->scale(tile + r * CTS_TILE_LD, x + it->at + (r0 + r) * t->ld + k0, s,
                          cts_min_i64(CTS_TILE_K, t->dh - k0));
}

/* Scores of a query block against the key panels [k0, k1), both multiples of nr or the end, into tiles. */
static void scores(const attention *t, const item *it, float *s, const float *q, const float *panels, int64_t rows,
                   int64_t k0, int64_t k1)
{
    int64_t nr = t->isa->nr;

    for (int64_t j = k0; j < k1; j += nr) {
        float *tile = s + (j - k0) / CTS_TILE_K * it->p_tiles + (j - k0) % CTS_TILE_K;

        for (int64_t i = 0; i < rows; i += t->isa->mr)
            for (int64_t d = 0; d < t->dh; d += CTS_TILE_K)
                t->isa->gemm_nn(cts_min_i64(CTS_TILE_K, t->dh - d), q + d / CTS_TILE_K * it->q_tiles + i * CTS_TILE_LD,
                                panels + (j * t->dh + d * nr), tile + i * CTS_TILE_LD, CTS_TILE_LD, NULL, d > 0,
                                (int)cts_min_i64(t->isa->mr, rows - i), (int)nr);
    }
}

/* Keys a query sees, within the sequence. */
static void band(const attention *t, int64_t n, int64_t i, int64_t *lo, int64_t *hi)
{
    *lo = t->a->back < 0 ? 0 : cts_max_i64(0, i - t->a->back);
    *hi = t->a->ahead < 0 ? n : cts_min_i64(n, i + t->a->ahead + 1);
}

/* A tile's share [*lo, *hi) of the visible keys [vlo, vhi); columns of the tile start at key k0. False when empty. */
static bool share(int64_t k0, int64_t width, int64_t vlo, int64_t vhi, int64_t *lo, int64_t *hi)
{
    *lo = cts_max_i64(0, vlo - k0);
    *hi = cts_min_i64(width, vhi - k0);
    return *lo < *hi;
}

static void hide_keys(const attention *t, const item *it, float *s, int64_t k0, int64_t lo, int64_t hi)
{
    for (int64_t j = lo; t->mask && j < hi; j++)
        if (!t->mask[it->first + k0 + j])
            s[j] = -INFINITY;
}

/* Add the bias of query i to its scores of keys [k0 + lo, k0 + hi). */
static void add_bias(const attention *t, const item *it, float *s, int64_t i, int64_t k0, int64_t lo, int64_t hi)
{
    if (t->bias)
        t->isa->add(s + lo, s + lo, t->bias + (it->head * it->n + i) * it->n + k0 + lo, hi - lo);
}

static void clear_outside(float *s, int64_t width, int64_t lo, int64_t hi)
{
    hi = cts_max_i64(hi, 0);
    lo = cts_min_i64(cts_max_i64(lo, 0), width);
    if (lo >= hi)
        lo = hi = 0;
    memset(s, 0, (size_t)lo * sizeof *s);
    memset(s + hi, 0, (size_t)(width - hi) * sizeof *s);
}

static uint64_t element(const attention *t, const item *it, int64_t i, int64_t j)
{
    return (uint64_t)((it->head * t->n_max + it->first + i) * t->n_max + it->first + j);
}

/* Scores of query i to unnormalised probabilities, dropped out; returns 1 / their sum before dropout, 0 when no key
 * is visible. */
static float softmax_row(const attention *t, const item *it, float *row, int64_t i, int64_t k0, int64_t k1, float *lse)
{
    int64_t vlo, vhi, lo, hi;
    float max = -INFINITY, sum = 0.0f;

    band(t, it->n, i, &vlo, &vhi);
    for (int64_t k = k0; k < k1; k += CTS_TILE_K) {
        float *s = row + (k - k0) / CTS_TILE_K * it->p_tiles, m;

        if (!share(k, CTS_TILE_K, vlo, vhi, &lo, &hi))
            continue;
        add_bias(t, it, s, i, k, lo, hi);
        hide_keys(t, it, s, k, lo, hi);
        m = t->isa->max(s + lo, hi - lo);
        max = m > max || m != m ? m : max;
    }
    for (int64_t k = k0; k < k1; k += CTS_TILE_K) {
        float *s = row + (k - k0) / CTS_TILE_K * it->p_tiles;

        if (max == -INFINITY || !share(k, CTS_TILE_K, vlo, vhi, &lo, &hi)) {
            memset(s, 0, CTS_TILE_K * sizeof *s);
            continue;
        }
        sum += t->isa->exp_sum(s + lo, s + lo, hi - lo, 1.0f, max);
        if (t->a->p > 0.0f)
            t->isa->dropout(s + lo, s + lo, hi - lo, t->key, element(t, it, i, k + lo), t->threshold, t->inv);
        clear_outside(s, CTS_TILE_K, lo, hi);
    }
    *lse = sum != 0.0f ? max + logf(sum) : 0.0f;
    return sum != 0.0f ? 1.0f / sum : 0.0f;
}

/* out[rows, dh] (+)= tiles of [rows, k0..k1) times the rows of the panels */
static void times_rows(const attention *t, const item *it, float *out, const float *tile, const float *panels,
                       int64_t rows, int64_t k0, int64_t k1)
{
    for (int64_t k = k0; k < k1; k += CTS_TILE_K, tile += it->p_tiles)
        cts_gemm_block(t->isa, out, t->ld, tile, rows, t->dh, k, cts_min_i64(CTS_TILE_K, k1 - k), it->n, panels, NULL,
                       k > k0);
}

/* Keys that any query of [i, i + rows) sees, from the start of a panel. */
static void block_band(const attention *t, const item *it, int64_t i, int64_t rows, int64_t *k0, int64_t *k1)
{
    int64_t unused;

    band(t, it->n, i, k0, &unused);
    band(t, it->n, i + rows - 1, &unused, k1);
    *k0 = *k0 / t->isa->nr * t->isa->nr;
}

static void attend(const attention *t, const item *it, float *o, float *lse)
{
    int64_t n_panels = (it->n + t->isa->nr - 1) / t->isa->nr, rows, k0, k1;

    cts_gemm_pack(t->isa, it->kt, t->k + it->at, it->n, t->dh, 1, t->ld, 1, 0, 0, n_panels);
    cts_gemm_pack_rows(t->isa, it->vp, t->v + it->at, t->ld, it->n, t->dh);
    for (int64_t i = 0; i < it->n; i += rows) {
        float *out = o + it->at + i * t->ld;

        rows = cts_min_i64(block_rows(t->isa), it->n - i);
        block_band(t, it, i, rows, &k0, &k1);
        load_tile(t, it, it->q, t->q, i, rows, t->a->scale);
        scores(t, it, it->p, it->q, it->kt, rows, k0, k1);
        for (int64_t r = 0; r < rows; r++)
            it->keep[r] = softmax_row(t, it, it->p + r * CTS_TILE_LD, i + r, k0, k1,
                                      &lse[(it->first + i + r) * t->a->heads + it->head]);
        times_rows(t, it, out, it->p, it->vp, rows, k0, k1);
        for (int64_t r = 0; r < rows; r++)
            t->isa->scale(out + r * t->ld, out + r * t->ld, it->keep[r], t->dh);
    }
}

static void item_of(const attention *t, item *it, int64_t index)
{
    int64_t s = index / t->a->heads;

    it->head = index % t->a->heads;
    it->first = offset_at(t, s);
    it->n = offset_at(t, s + 1) - it->first;
    it->at = it->first * t->ld + it->head * t->dh;
}

static void start_items(const attention *t, item *it, int ith, bool backward)
{
    layout(it, t->isa, (float *)(t->scratch + (size_t)ith * t->thread_bytes),
           longest(t->a, t->c->node->in[backward ? 1 : 0]), t->dh, backward);
    it->q_tiles = it->p_tiles = block_rows(t->isa) * CTS_TILE_LD;
    for (int i = 0; i < CTS_TILE_K; i++)
        it->ones[i] = 1.0f;
}

static int attention_task(void *ctx, int ith, int nth)
{
    const attention *t = ctx;
    float *o = t->c->out[0].data, *lse = t->c->out[1].data;
    int64_t used = offset_at(t, t->n_seq);
    item it = {0};

    start_items(t, &it, ith, false);
    for (int64_t i = ith; i < t->n_seq * t->a->heads; i += nth) {
        item_of(t, &it, i);
        attend(t, &it, o, lse);
    }
    if (ith == 0) {
        memset(o + used * t->ld, 0, (size_t)((t->rows - used) * t->ld) * sizeof *o);
        memset(lse + used * t->a->heads, 0, (size_t)((t->rows - used) * t->a->heads) * sizeof *lse);
    }
    return CTS_OK;
}

size_t cts_cpu_attention_scratch(const cts_cpu *cpu, const cts_node *n)
{
    return (size_t)cpu->n_threads * attention_scratch(cpu, n->in[0], n->attr, false);
}

int cts_cpu_attention(const cts_cpu *cpu, const cts_call *c)
{
    attention t;
    int rc = attention_of(&t, cpu, c, 0, 3);

    return rc ? rc : cts_cpu_for(c, t.rows * t.ld * 4, attention_task, &t);
}

/* ---- backward: inputs (do, q, k, v, o, lse, offsets, key_mask, bias) -> dq, dk, dv, dbias ---- */

/* Row i of scores and of <do_i, v_j> to dropped-out probabilities and score gradients (without the scale). */
static void softmax_grad_row(const attention *t, const item *it, float *p, float *dp, int64_t i, int64_t k0, int64_t k1)
{
    const float *o = t->o + it->at + i * t->ld, *d_o = t->d_o + it->at + i * t->ld;
    float delta = t->isa->dot(o, d_o, t->dh), lse = t->lse[(it->first + i) * t->a->heads + it->head];
    int64_t vlo, vhi, lo, hi;

    band(t, it->n, i, &vlo, &vhi);
    for (int64_t k = k0; k < k1; k += CTS_TILE_K, p += it->p_tiles, dp += it->p_tiles) {
        if (!share(k, CTS_TILE_K, vlo, vhi, &lo, &hi)) {
            memset(p, 0, CTS_TILE_K * sizeof *p);
            memset(dp, 0, CTS_TILE_K * sizeof *dp);
            continue;
        }
        add_bias(t, it, p, i, k, lo, hi);
        hide_keys(t, it, p, k, lo, hi);
        if (t->a->p > 0.0f)
            t->isa->dropout(it->keep, it->ones, hi - lo, t->key, element(t, it, i, k + lo), t->threshold, t->inv);
        t->isa->softmax_grad(p + lo, dp + lo, hi - lo, 1.0f, lse, delta, t->a->p > 0.0f ? it->keep : NULL);
        clear_outside(p, CTS_TILE_K, lo, hi);
        clear_outside(dp, CTS_TILE_K, lo, hi);
    }
}

/* Add row i of the score gradients to the bias's. It sums to 0 but for the rounding of o and lse, which sums over whole
 * rows would pile up: that is taken out first, in proportion to p. */
static void add_bias_grad(const attention *t, const item *it, float *p, float *dp, int64_t i, int64_t k0, int64_t k1)
{
    float *d = t->d_bias + (it->head * it->n + i) * it->n, sum = 0.0f, p_sum = 0.0f;
    int64_t n_tiles = tiles(k1 - k0);

    for (int64_t k = 0; k < n_tiles; k++) {
        sum += t->isa->dot(dp + k * it->p_tiles, it->ones, CTS_TILE_K);
        p_sum += t->isa->dot(p + k * it->p_tiles, it->ones, CTS_TILE_K);
    }
    for (int64_t k = 0; k < n_tiles; k++) {
        float *s = dp + k * it->p_tiles, *to = d + k0 + k * CTS_TILE_K;

        if (p_sum > 0.0f) {
            t->isa->scale(it->keep, p + k * it->p_tiles, -sum / p_sum, CTS_TILE_K);
            t->isa->add(s, s, it->keep, CTS_TILE_K);
        }
        t->isa->add(to, to, s, cts_min_i64(CTS_TILE_K, k1 - k0 - k * CTS_TILE_K));
    }
}

/* out[k0..k1, dh] += tiles[rows, k0..k1)^T * panels[rows, dh] */
static void times_columns(const attention *t, const item *it, float *out, const float *tile, const float *panels,
                          int64_t rows, int64_t k0, int64_t k1)
{
    for (int64_t k = k0; k < k1; k += CTS_TILE_K, tile += it->p_tiles)
        cts_gemm_block_tn(t->isa, out + k * t->ld, t->ld, tile, rows, cts_min_i64(CTS_TILE_K, k1 - k), t->dh, panels);
}

static void attend_grad(const attention *t, const item *it, float *dq, float *dk, float *dv)
{
    int64_t n_panels = (it->n + t->isa->nr - 1) / t->isa->nr, rows, k0, k1;

    cts_gemm_pack(t->isa, it->kt, t->k + it->at, it->n, t->dh, 1, t->ld, 1, 0, 0, n_panels);
    cts_gemm_pack(t->isa, it->vp, t->v + it->at, it->n, t->dh, 1, t->ld, 1, 0, 0, n_panels);
    cts_gemm_pack_rows(t->isa, it->kp, t->k + it->at, t->ld, it->n, t->dh);
    for (int64_t r = 0; r < it->n; r++) {
        memset(dk + it->at + r * t->ld, 0, (size_t)t->dh * sizeof *dk);
        memset(dv + it->at + r * t->ld, 0, (size_t)t->dh * sizeof *dv);
    }
    for (int64_t i = 0; i < it->n; i += rows) {
        float *out = dq + it->at + i * t->ld;

        rows = cts_min_i64(block_rows(t->isa), it->n - i);
        block_band(t, it, i, rows, &k0, &k1);
        load_tile(t, it, it->q, t->q, i, rows, t->a->scale);
        load_tile(t, it, it->d_o, t->d_o, i, rows, 1.0f);
        scores(t, it, it->p, it->q, it->kt, rows, k0, k1);
        scores(t, it, it->dp, it->d_o, it->vp, rows, k0, k1);
        for (int64_t r = 0; r < rows; r++) {
            softmax_grad_row(t, it, it->p + r * CTS_TILE_LD, it->dp + r * CTS_TILE_LD, i + r, k0, k1);
            if (t->d_bias)
                add_bias_grad(t, it, it->p + r * CTS_TILE_LD, it->dp + r * CTS_TILE_LD, i + r, k0, k1);
        }
        times_rows(t, it, out, it->dp, it->kp, rows, k0, k1);
        for (int64_t r = 0; r < rows; r++)
            t->isa->scale(out + r * t->ld, out + r * t->ld, t->a->scale, t->dh);
        cts_gemm_pack_rows(t->isa, it->qp, t->q + it->at + i * t->ld, t->ld, rows, t->dh);
        cts_gemm_pack_rows(t->isa, it->op, t->d_o + it->at + i * t->ld, t->ld, rows, t->dh);
        times_columns(t, it, dk + it->at, it->dp, it->qp, rows, k0, k1);
        times_columns(t, it, dv + it->at, it->p, it->op, rows, k0, k1);
    }
    for (int64_t r = 0; r < it->n; r++)
        t->isa->scale(dk + it->at + r * t->ld, dk + it->at + r * t->ld, t->a->scale, t->dh);
}

static int attention_grad_task(void *ctx, int ith, int nth)
{
    const attention *t = ctx;
    int64_t used = offset_at(t, t->n_seq), heads = t->a->heads, square = t->a->seq_len * t->a->seq_len;
    /* items in steps of nth, or those of heads ith, ith + nth, .. one head after the other */
    int64_t n = t->d_bias ? (heads - ith + nth - 1) / nth * t->n_seq : (t->n_seq * heads - ith + nth - 1) / nth;
    item it = {0};

    start_items(t, &it, ith, true);
    for (int64_t i = 0; i < n; i++) {
        int64_t head = ith + i / t->n_seq * nth;

        if (t->d_bias && i % t->n_seq == 0)
            memset(t->d_bias + head * square, 0, (size_t)square * sizeof(float));
        item_of(t, &it, t->d_bias ? i % t->n_seq * heads + head : ith + i * nth);
        attend_grad(t, &it, t->c->out[0].data, t->c->out[1].data, t->c->out[2].data);
    }
    for (int k = 0; ith == 0 && k < 3; k++)
        memset(cts_cpu_f32(&t->c->out[k]) + used * t->ld, 0, (size_t)((t->rows - used) * t->ld) * sizeof(float));
    return CTS_OK;
}

size_t cts_cpu_attention_grad_scratch(const cts_cpu *cpu, const cts_node *n)
{
    return (size_t)cpu->n_threads * attention_scratch(cpu, n->in[1], n->attr, true);
}

int cts_cpu_attention_grad(const cts_cpu *cpu, const cts_call *c)
{
    attention t;
    int rc = attention_of(&t, cpu, c, 1, 6);

    t.d_o = c->in[0].data;
    t.o = c->in[4].data;
    t.lse = c->in[5].data;
    t.d_bias = c->node->n_out > 3 ? c->out[3].data : NULL;
    return rc ? rc : cts_cpu_for(c, t.rows * t.ld * 4, attention_grad_task, &t);
}
