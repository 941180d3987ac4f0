/* The vector quantiser. Similarities are a product of the normalised tokens with the normalised code book, made block
 * by block with the micro-kernels of gemm.h and reduced to a running maximum at once: of the tokens x codes matrix
 * only a block of rows by CODE_BLOCK codes exists. A similarity is summed in the same order wherever its token and
 * its code lie in a block, so codes do not depend on the thread count and equal rows tie exactly.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "kernels/cpu/gemm.h"

enum { CODE_BLOCK = 512, TILE_ROWS = 96 };

typedef struct {
    const cts_isa *isa;
    const float *x, *embed;
    int64_t rows, C, K;
    bool straight_through;
    float *y;
    int32_t *codes;
    float *panels; /* the normalised code book */
    float *work;   /* a thread: tiles of a block of tokens, then their similarities to a block of codes */
    int64_t thread_floats;
} lookup;

static float unit_scale(const cts_isa *isa, const float *v, int64_t n)
{
    double norm = sqrt((double)isa->dot(v, v, n));

    return (float)(1.0 / (norm < 1e-12 ? 1e-12 : norm));
}

/* Tokens a block: whole micro-rows, and few enough for the block to stay in the second-level cache. */
static int64_t block_rows(const cts_isa *isa)
{
    return TILE_ROWS / isa->mr * isa->mr;
}

static int64_t code_block(const cts_isa *isa, int64_t K)
{
    return cts_min_i64(CODE_BLOCK / isa->nr, (K + isa->nr - 1) / isa->nr) * isa->nr;
}

static int64_t n_tiles(int64_t C)
{
    return (C + CTS_TILE_K - 1) / CTS_TILE_K;
}

static int64_t thread_floats(const cts_isa *isa, int64_t C, int64_t K)
{
    return cts_cpu_pad(block_rows(isa) * (n_tiles(C) * CTS_TILE_LD + code_block(isa, K)));
}

static int pack_task(void *ctx, int ith, int nth)
{
    const lookup *l = ctx;
    int64_t nr = l->isa->nr, lo, hi;

    cts_split((l->K + nr - 1) / nr, 1, ith, nth, &lo, &hi);
    cts_gemm_pack(l->isa, l->panels, l->embed, l->K, l->C, 1, l->C, 1, 0, lo, hi);
    for (int64_t p = lo; p < hi; p++)
        for (int64_t j = 0; j < cts_min_i64(nr, l->K - p * nr); j++) {
            float *d = l->panels + p * nr * l->C + j, s = unit_scale(l->isa, l->embed + (p * nr + j) * l->C, l->C);

            for (int64_t i = 0; i < l->C; i++)
                d[i * nr] *= s;
        }
    return CTS_OK;
}

/* Unit vectors of the tokens [r0, r0 + n), one tile after the other. */
static void gather_tokens(const lookup *l, float *tiles, int64_t r0, int64_t n)
{
    for (int64_t r = 0; r < n; r++) {
        const float *x = l->x + (r0 + r) * l->C;
        float s = unit_scale(l->isa, x, l->C);

        for (int64_t k0 = 0; k0 < l->C; k0 += CTS_TILE_K)
            l->isa->scale(tiles + (k0 / CTS_TILE_K * block_rows(l->isa) + r) * CTS_TILE_LD, x + k0, s,
                          cts_min_i64(CTS_TILE_K, l->C - k0));
    }
}

/* Codes of the tokens [r0, r0 + n). */
static void find_codes(const lookup *l, float *tiles, int64_t r0, int64_t n)
{
    const cts_isa *isa = l->isa;
    int64_t nb = code_block(isa, l->K), mb = block_rows(isa);
    float *s = tiles + mb * n_tiles(l->C) * CTS_TILE_LD, best[TILE_ROWS];

    gather_tokens(l, tiles, r0, n);
    for (int64_t r = 0; r < n; r++) {
        best[r] = -INFINITY;
        l->codes[r0 + r] = 0;
    }
    for (int64_t j = 0; j < l->K; j += nb) {
        int64_t cols = cts_min_i64(nb, l->K - j);

        for (int64_t k0 = 0; k0 < l->C; k0 += CTS_TILE_K)
            cts_gemm_block(isa, s, nb, tiles + k0 / CTS_TILE_K * mb * CTS_TILE_LD, n, cols, k0,
                           cts_min_i64(CTS_TILE_K, l->C - k0), l->C, l->panels + j * l->C, NULL, k0 > 0);
        for (int64_t r = 0; r < n; r++) {
            float top = isa->max(s + r * nb, cols);
            int64_t k = 0;

            if (!(top > best[r])) /* equal ones stay with the lower code */
                continue;
            while (s[r * nb + k] != top)
                k++;
            best[r] = top;
            l->codes[r0 + r] = (int32_t)(j + k);
        }
    }
}

static int lookup_task(void *ctx, int ith, int nth)
{
    const lookup *l = ctx;
    int64_t mb = block_rows(l->isa), lo, hi;
    float *tiles = l->work + ith * l->thread_floats;

    cts_split(l->rows, l->isa->mr, ith, nth, &lo, &hi);
    for (int64_t r0 = lo; r0 < hi; r0 += mb) {
        int64_t n = cts_min_i64(mb, hi - r0);

        find_codes(l, tiles, r0, n);
        for (int64_t r = r0; r < r0 + n; r++) {
            const float *x = l->x + r * l->C, *row = l->embed + l->codes[r] * l->C;
            float *y = l->y + r * l->C;

            for (int64_t i = 0; l->straight_through && i < l->C; i++)
                y[i] = x[i] + (row[i] - x[i]);
            if (!l->straight_through)
                memcpy(y, row, (size_t)l->C * sizeof *y);
        }
    }
    return CTS_OK;
}

size_t cts_cpu_vq_scratch(const cts_cpu *cpu, const cts_node *n)
{
    int64_t K = n->in[1]->shape[1], C = n->in[1]->shape[2];

    return (size_t)(cts_gemm_panel_floats(cpu->isa, K, C) + cpu->n_threads * thread_floats(cpu->isa, C, K)) *
           sizeof(float);
}

int cts_cpu_vq(const cts_cpu *cpu, const cts_call *c)
{
    const cts_view *embed = &c->in[1];
    lookup l = {.isa = cpu->isa,
                .x = c->in[0].data,
                .embed = embed->data,
                .rows = cts_view_rows(&c->in[0]),
                .C = embed->shape[2],
                .K = embed->shape[1],
                .straight_through = ((const cts_vq_attr *)c->node->attr)->straight_through,
                .y = c->out[0].data,
                .codes = c->out[1].data,
                .panels = c->scratch};
    int rc;

    l.work = l.panels + cts_gemm_panel_floats(cpu->isa, l.K, l.C);
    l.thread_floats = thread_floats(cpu->isa, l.C, l.K);
    if ((rc = cts_cpu_for(c, l.K * l.C / 4, pack_task, &l)))
        return rc;
    return cts_cpu_for(c, l.rows * l.K * l.C / 16, lookup_task, &l);
}

/* ---- update ---- */

typedef struct {
    const cts_isa *isa;
    const float *x, *embed, *size;
    float *new_embed, *new_size;
    int64_t C, K;
    double decay;
    const int32_t *head, *next; /* the tokens of each code in order, -1 at the end */
    double *sum;                /* a thread: [C] */
    int64_t pad;
} update;

static int update_task(void *ctx, int ith, int nth)
{
    const update *u = ctx;
    double *sum = u->sum + ith * u->pad;
    int64_t lo, hi;

    cts_split(u->K, 1, ith, nth, &lo, &hi);
    for (int64_t k = lo; k < hi; k++) {
        const float *row = u->embed + k * u->C;
        double sq = 0.0, scale = 0.0;
        int64_t count = 0;

        memset(sum, 0, (size_t)u->C * sizeof *sum);
        for (int32_t r = u->head[k]; r >= 0; r = u->next[r], count++) {
            const float *x = u->x + r * u->C;
            double s = (double)unit_scale(u->isa, x, u->C);

            for (int64_t i = 0; i < u->C; i++)
                sum[i] += s * x[i];
        }
        for (int64_t i = 0; i < u->C; i++) {
            sum[i] = count ? sum[i] : (double)row[i];
            sq += sum[i] * sum[i];
        }
        scale = (1.0 - u->decay) / fmax(sqrt(sq), 1e-12 * (double)cts_max_i64(count, 1));
        for (int64_t i = 0; i < u->C; i++)
            u->new_embed[k * u->C + i] = (float)(u->decay * row[i] + scale * sum[i]);
        u->new_size[k] = (float)(u->decay * u->size[k] + (1.0 - u->decay) * (double)count);
    }
    return CTS_OK;
}

static int64_t list_doubles(int64_t K, int64_t rows)
{
    return cts_cpu_pad((K + rows + 1) / 2);
}

size_t cts_cpu_vq_update_scratch(const cts_cpu *cpu, const cts_node *n)
{
    const cts_tensor *x = n->in[0];

    return (size_t)(list_doubles(n->in[2]->shape[1], cts_tensor_rows(x)) +
                    cpu->n_threads * cts_cpu_pad(cts_tensor_channels(x))) *
           sizeof(double);
}

/* Threads own codes, and a code's tokens are added in their order: one result for any thread count. */
int cts_cpu_vq_update(const cts_cpu *cpu, const cts_call *c)
{
    const cts_view *x = &c->in[0], *embed = &c->in[2];
    const int32_t *codes = c->in[1].data;
    int64_t rows = cts_view_rows(x), K = embed->shape[1], C = embed->shape[2];
    int32_t *head = c->scratch, *next = head + K;
    update u = {.isa = cpu->isa,
                .x = x->data,
                .embed = embed->data,
                .size = c->in[3].data,
                .new_embed = c->out[0].data,
                .new_size = c->out[1].data,
                .C = C,
                .K = K,
                .decay = ((const cts_vq_update_attr *)c->node->attr)->decay,
                .head = head,
                .next = next,
                .sum = (double *)c->scratch + list_doubles(K, rows),
                .pad = cts_cpu_pad(C)};

    for (int64_t k = 0; k < K; k++)
        head[k] = -1;
    for (int64_t r = rows - 1; r >= 0; r--) {
        CTS_ASSERT(codes[r] >= 0 && codes[r] < K, "vq_update: code %d of %lld", (int)codes[r], (long long)K);
        next[r] = head[codes[r]];
        head[codes[r]] = (int32_t)r;
    }
    return cts_cpu_for(c, K * C + rows * C, update_task, &u);
}
