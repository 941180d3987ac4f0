/* tap_gemm, tap_dgrad and tap_wgrad: gathered rows times packed weights.
 *
 * The rows of the left operand are virtual: row r is the concatenation over the taps of the source voxels that
 * output place r reads, zero outside. A block of them is gathered into a tile in cache, multiplied, and finished
 * (bias, activation, scale, residual) before the next block. The gradient to the input is the same product with
 * source and target exchanged; the gradient to the weight sums outer products of the gathered rows with dy.
 * A linear layer of a few rows and a weight beyond the caches reads the weight once, where it lies: packing it would
 * cost more than the product, and as much memory again (the projection of CT-CLIP: 1 x 294,912 -> 512, 604 MB).
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "kernels/cpu/gemm.h"

enum { IN_X, IN_W, IN_BIAS, IN_SCALE, IN_RESIDUAL };
enum { WGRAD_ROWS = 96 };
enum { FEW_ROWS = 4, FEW_CHUNK = 4096, FEW_WEIGHTS = 1 << 22 }; /* rows; values summed in one go; smallest weight */

/* Where the gathered rows come from. */
typedef struct {
    const float *x; /* [N, src, C] */
    int64_t C, src[3], place[3], rows;
    const cts_tap *tap;
    int n_taps;
    int32_t stride[3];
    bool back; /* places are inputs of the forward op: place = source * stride + tap */
    bool linear;
} row_source;

static row_source source_of(const cts_tap_gemm_attr *a, const cts_view *x, int64_t rows, bool back)
{
    row_source s = {.x = x->data,
                    .C = cts_view_channels(x),
                    .rows = rows,
                    .tap = a->tap,
                    .n_taps = a->n_taps,
                    .back = back,
                    .linear = a->linear};

    for (int k = 0; k < 3; k++) {
        s.src[k] = back ? a->out_dim[k] : a->in_dim[k];
        s.place[k] = back ? a->in_dim[k] : a->out_dim[k];
        s.stride[k] = a->stride[k];
    }
    return s;
}

/* Source coordinate that place p reads through offset d on axis k; -1 when there is none. */
static int64_t source_at(const row_source *s, int k, int64_t p, int32_t d)
{
    int64_t i = s->back ? p - d : p * s->stride[k] + d;

    if (s->back) {
        if (i < 0 || i % s->stride[k])
            return -1;
        i /= s->stride[k];
    }
    return i >= 0 && i < s->src[k] ? i : -1;
}

static void zero_rows(float *dst, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++, dst += CTS_TILE_LD)
        memset(dst, 0, (size_t)n * sizeof(float));
}

/* Channels [c0, c0 + n) of tap t for `count` places along the last axis starting at p2; line is the source line,
 * NULL outside. */
static void gather_run(const cts_isa *isa, const row_source *s, float *dst, const float *line, int32_t d, int64_t p2,
                       int64_t count, int64_t n)
{
    int64_t lo = 0, hi = 0, step = s->stride[2];

    if (line && step > 1 && s->back) {
        for (int64_t i = 0; i < count; i++, dst += CTS_TILE_LD) {
            int64_t at = source_at(s, 2, p2 + i, d);

            if (at < 0)
                memset(dst, 0, (size_t)n * sizeof(float));
            else
                memcpy(dst, line + at * s->C, (size_t)n * sizeof(float));
        }
        return;
    }
    if (line) {
        int64_t first = s->back ? p2 - d : p2 * step + d; /* source coordinate of place p2; later ones are step apart */

        lo = first < 0 ? (-first + step - 1) / step : 0;
        hi = first < s->src[2] ? (s->src[2] - first + step - 1) / step : 0;
        lo = cts_min_i64(lo, count);
        hi = cts_max_i64(lo, cts_min_i64(hi, count));
        isa->copy_rows(dst + lo * CTS_TILE_LD, CTS_TILE_LD, line + (first + lo * step) * s->C, step * s->C, hi - lo, n);
    }
    zero_rows(dst, lo, n);
    zero_rows(dst + hi * CTS_TILE_LD, count - hi, n);
}

/* Values [k0, k0 + kc) of the gathered rows [r0, r0 + rows). */
static void gather(const cts_isa *isa, const row_source *s, float *tile, int64_t r0, int64_t rows, int64_t k0,
                   int64_t kc)
{
    if (s->linear) {
        isa->copy_rows(tile, CTS_TILE_LD, s->x + r0 * s->C + k0, s->C, rows, kc);
        return;
    }
    for (int64_t r = r0; r < r0 + rows;) {
        int64_t p2 = r % s->place[2], q = r / s->place[2], p1 = q % s->place[1], p0 = q / s->place[1] % s->place[0];
        int64_t n = q / s->place[1] / s->place[0], count = cts_min_i64(s->place[2] - p2, r0 + rows - r);
        float *dst = tile + (r - r0) * CTS_TILE_LD;

        for (int64_t k = k0; k < k0 + kc;) {
            int64_t t = k / s->C, c = k % s->C, len = cts_min_i64(s->C - c, k0 + kc - k);
            const int32_t *d = s->tap[t].d;
            int64_t i0 = source_at(s, 0, p0, d[0]), i1 = source_at(s, 1, p1, d[1]);
            const float *line =
                i0 < 0 || i1 < 0 ? NULL : s->x + (((n * s->src[0] + i0) * s->src[1] + i1) * s->src[2]) * s->C + c;

            gather_run(isa, s, dst + (k - k0), line, d[2], p2, count, len);
            k += len;
        }
        r += count;
    }
}

/* ---- forward and gradient to the input ---- */

typedef struct {
    const cts_isa *isa;
    row_source src;
    const float *w;
    int64_t n, K, sj, sc; /* output columns; packing strides of w, taps are adjacent */
    float *panels, *tiles, *y;
    const float *bias, *scale, *residual;
    int act;
} product;

static int pack_task(void *ctx, int ith, int nth)
{
    product *p = ctx;
    int64_t lo, hi;

    cts_split((p->n + p->isa->nr - 1) / p->isa->nr, 1, ith, nth, &lo, &hi);
    cts_gemm_pack(p->isa, p->panels, p->w, p->n, p->src.C, p->src.n_taps, p->sj, p->sc, 1, lo, hi);
    return CTS_OK;
}

static int product_task(void *ctx, int ith, int nth)
{
    const product *p = ctx;
    int64_t mb = cts_gemm_tile_rows(p->isa, p->n), lo, hi;
    float *tile = p->tiles + ith * mb * CTS_TILE_LD;

    cts_split(p->src.rows, p->isa->mr, ith, nth, &lo, &hi);
    for (int64_t r = lo; r < hi; r += mb) {
        int64_t rows = cts_min_i64(mb, hi - r);
        float *y = p->y + r * p->n;

        for (int64_t k0 = 0; k0 < p->K; k0 += CTS_TILE_K) {
            int64_t kc = cts_min_i64(CTS_TILE_K, p->K - k0);

            gather(p->isa, &p->src, tile, r, rows, k0, kc);
            cts_gemm_block(p->isa, y, p->n, tile, rows, p->n, k0, kc, p->K, p->panels, p->bias, k0 > 0);
        }
        if (p->act != CTS_ACT_NONE || p->scale || p->residual)
            p->isa->epilogue(y, p->n, p->residual ? p->residual + r * p->n : NULL, rows, p->n, p->act, p->scale);
    }
    return CTS_OK;
}

static size_t product_scratch(const cts_cpu *cpu, int64_t n, int64_t K)
{
    return (size_t)(cts_gemm_panel_floats(cpu->isa, n, K) +
                    cpu->n_threads * cts_gemm_tile_rows(cpu->isa, n) * CTS_TILE_LD) *
           sizeof(float);
}

static int run_product(const cts_call *c, product *p)
{
    int rc;

    p->K = p->src.C * p->src.n_taps;
    p->panels = c->scratch;
    p->tiles = p->panels + cts_gemm_panel_floats(p->isa, p->n, p->K);
    if ((rc = cts_cpu_for(c, p->n * p->K / 4, pack_task, p)))
        return rc;
    return cts_cpu_for(c, p->src.rows * p->n * p->K / 16, product_task, p);
}

/* ---- few rows: dot products with the rows of the weight ---- */

static bool few_rows(const cts_node *n)
{
    return ((const cts_tap_gemm_attr *)n->attr)->linear && cts_tensor_rows(n->out[0]) <= FEW_ROWS &&
           cts_tensor_count(n->in[IN_W]) >= FEW_WEIGHTS;
}

static int few_rows_task(void *ctx, int ith, int nth)
{
    const product *p = ctx;
    int64_t lo, hi;

    cts_split(p->n, 16, ith, nth, &lo, &hi);
    for (int64_t r = 0; r < p->src.rows; r++)
        for (int64_t j = lo; j < hi; j++)
            p->y[r * p->n + j] = p->bias ? p->bias[j] : 0.0f;
    for (int64_t k = 0; k < p->K; k += FEW_CHUNK)
        for (int64_t j = lo; j < hi; j++)
            for (int64_t r = 0; r < p->src.rows; r++)
                p->y[r * p->n + j] +=
                    p->isa->dot(p->src.x + r * p->K + k, p->w + j * p->K + k, cts_min_i64(FEW_CHUNK, p->K - k));
    if (lo < hi && (p->act != CTS_ACT_NONE || p->scale || p->residual))
        p->isa->epilogue(p->y + lo, p->n, p->residual ? p->residual + lo : NULL, p->src.rows, hi - lo, p->act,
                         p->scale ? p->scale + lo : NULL);
    return CTS_OK;
}

static int64_t weight_taps(const cts_node *n)
{
    return ((const cts_tap_gemm_attr *)n->attr)->n_taps;
}

size_t cts_cpu_tap_gemm_scratch(const cts_cpu *cpu, const cts_node *n)
{
    if (few_rows(n))
        return 0;
    return product_scratch(cpu, n->in[IN_W]->shape[0], n->in[IN_W]->shape[1] * weight_taps(n));
}

int cts_cpu_tap_gemm(const cts_cpu *cpu, const cts_call *c)
{
    const cts_tap_gemm_attr *a = c->node->attr;
    const cts_view *w = &c->in[IN_W];
    product p = {.isa = cpu->isa,
                 .src = source_of(a, &c->in[IN_X], cts_view_rows(&c->out[0]), false),
                 .w = w->data,
                 .n = w->shape[0],
                 .y = c->out[0].data};

    p.sj = w->shape[1] * a->n_taps;
    p.sc = a->n_taps;
    p.bias = a->has_bias ? c->in[IN_BIAS].data : NULL;
    p.scale = a->has_scale ? c->in[IN_SCALE].data : NULL;
    p.residual = a->has_residual ? c->in[IN_RESIDUAL].data : NULL;
    p.act = a->act;
    if (few_rows(c->node)) {
        p.K = p.sj;
        return cts_cpu_for(c, p.n * p.K, few_rows_task, &p);
    }
    return run_product(c, &p);
}

size_t cts_cpu_tap_dgrad_scratch(const cts_cpu *cpu, const cts_node *n)
{
    return product_scratch(cpu, n->in[1]->shape[1], n->in[1]->shape[0] * weight_taps(n));
}

int cts_cpu_tap_dgrad(const cts_cpu *cpu, const cts_call *c)
{
    const cts_tap_gemm_attr *a = c->node->attr;
    const cts_view *w = &c->in[1];
    product p = {.isa = cpu->isa,
                 .src = source_of(a, &c->in[0], cts_view_rows(&c->out[0]), true),
                 .w = w->data,
                 .n = w->shape[1],
                 .y = c->out[0].data};

    p.sj = a->n_taps;
    p.sc = w->shape[1] * a->n_taps;
    return run_product(c, &p);
}

/* ---- gradient to the weight ---- */

typedef struct {
    const cts_isa *isa;
    row_source src;
    const float *dy;
    float *dw, *db; /* db may be NULL */
    int64_t n, K;
    bool by_k; /* threads own ranges of K instead of ranges of rows */
    int parts;
    float *sum;  /* [parts][K, n] transposed gradient */
    float *tile; /* a thread: tile [WGRAD_ROWS, CTS_TILE_LD], then panels of dy */
    int64_t sum_floats, thread_floats;
    double *bias; /* [parts][n] */
} wgrad;

/* A large gradient is split by K, so that it is stored once; a small one by rows, with one partial a thread, added
 * in order. */
static bool wgrad_by_k(int64_t K, int64_t n, int nth)
{
    return K * n >= 131072 && K >= 32 * nth;
}

static void wgrad_layout(wgrad *g, const cts_cpu *cpu, int nth)
{
    g->by_k = wgrad_by_k(g->K, g->n, nth);
    g->parts = g->by_k ? 1 : nth;
    g->sum_floats = cts_cpu_pad(g->K * g->n);
    g->thread_floats = WGRAD_ROWS * CTS_TILE_LD + cts_gemm_panel_floats(cpu->isa, g->n, WGRAD_ROWS) + cts_cpu_pad(g->n);
}

size_t cts_cpu_tap_wgrad_scratch(const cts_cpu *cpu, const cts_node *n)
{
    const cts_tensor *w = n->out[0];
    wgrad g = {.n = w->shape[0], .K = w->shape[1] * weight_taps(n)};

    wgrad_layout(&g, cpu, cpu->n_threads);
    return (size_t)(g.parts * g.sum_floats + cpu->n_threads * (g.thread_floats + 2 * cts_cpu_pad(g.n))) * sizeof(float);
}

static void add_double(double *sum, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        sum[i] += x[i];
}

static int wgrad_task(void *ctx, int ith, int nth)
{
    wgrad *g = ctx;
    const cts_isa *isa = g->isa;
    int64_t r_lo = 0, r_hi = g->src.rows, k_lo = 0, k_hi = g->K;
    float *sum = g->sum + (g->by_k ? 0 : ith) * g->sum_floats, *tile = g->tile + ith * g->thread_floats;
    float *panels = tile + WGRAD_ROWS * CTS_TILE_LD, *col = panels + cts_gemm_panel_floats(isa, g->n, WGRAD_ROWS);
    double *bias = g->bias + ith * cts_cpu_pad(g->n);
    bool count_bias = g->db && (!g->by_k || ith == 0);

    if (g->by_k)
        cts_split(g->K, isa->mr, ith, nth, &k_lo, &k_hi);
    else
        cts_split(g->src.rows, WGRAD_ROWS, ith, nth, &r_lo, &r_hi);
    memset(sum + k_lo * g->n, 0, (size_t)((k_hi - k_lo) * g->n) * sizeof *sum);
    memset(bias, 0, (size_t)g->n * sizeof *bias);
    for (int64_t r = r_lo; r < r_hi; r += WGRAD_ROWS) {
        int64_t rows = cts_min_i64(WGRAD_ROWS, r_hi - r);

        cts_gemm_pack_rows(isa, panels, g->dy + r * g->n, g->n, rows, g->n);
        for (int64_t k0 = k_lo; k0 < k_hi; k0 += CTS_TILE_K) {
            int64_t kc = cts_min_i64(CTS_TILE_K, k_hi - k0);

            gather(isa, &g->src, tile, r, rows, k0, kc);
            cts_gemm_block_tn(isa, sum + k0 * g->n, g->n, tile, rows, kc, g->n, panels);
        }
        if (count_bias) {
            isa->sums(col, g->dy + r * g->n, rows, g->n);
            add_double(bias, col, g->n);
        }
    }
    return CTS_OK;
}

/* dw[n, c, t] = the partials' sum at [t * C + c, n]: a transpose, in blocks of 16 channels to write lines whole. */
static int wgrad_store_task(void *ctx, int ith, int nth)
{
    wgrad *g = ctx;
    int64_t lo, hi, C = g->src.C, T = g->src.n_taps;

    cts_split(g->n, 16, ith, nth, &lo, &hi);
    for (int64_t t = 0; t < T; t++)
        for (int64_t c0 = 0; c0 < C; c0 += 16)
            for (int64_t j = lo; j < hi; j++)
                for (int64_t c = c0; c < cts_min_i64(c0 + 16, C); c++) {
                    const float *s = g->sum + (t * C + c) * g->n + j;
                    float v = s[0];

                    for (int p = 1; p < g->parts; p++)
                        v += s[p * g->sum_floats];
                    g->dw[j * g->K + c * T + t] = v;
                }
    for (int64_t j = lo; g->db && j < hi; j++) {
        double b = 0.0;

        for (int p = 0; p < g->parts; p++)
            b += g->bias[p * cts_cpu_pad(g->n) + j];
        g->db[j] = (float)b;
    }
    return CTS_OK;
}

int cts_cpu_tap_wgrad(const cts_cpu *cpu, const cts_call *c)
{
    const cts_tap_gemm_attr *a = c->node->attr;
    const cts_view *dy = &c->in[1];
    int64_t rows = cts_view_rows(dy);
    wgrad g = {.isa = cpu->isa,
               .src = source_of(a, &c->in[0], rows, false),
               .dy = dy->data,
               .dw = c->out[0].data,
               .n = cts_view_channels(dy)};
    bool small;
    int rc;

    g.db = c->node->n_out > 1 ? c->out[1].data : NULL;
    g.K = g.src.C * g.src.n_taps;
    small = rows * g.n * g.K / 16 < CTS_CPU_SMALL;
    wgrad_layout(&g, cpu, small ? 1 : cpu->n_threads);
    g.sum = c->scratch;
    g.tile = g.sum + g.parts * g.sum_floats;
    g.bias = (double *)(g.tile + cpu->n_threads * g.thread_floats);
    if ((rc = small ? wgrad_task(&g, 0, 1) : cts_parallel_for(c->pool, wgrad_task, &g)))
        return rc;
    return cts_cpu_for(c, g.K * g.n * g.parts, wgrad_store_task, &g);
}
