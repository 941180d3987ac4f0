/* Batch norm over rows. Statistics: per tile in fp32 about the tile's own mean, tiles and threads merged in double
 * by Chan's formula, so that a mean far from zero costs no digits. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu_kernels.h"

typedef struct {
    const cts_isa *isa;
    int64_t rows, C;
    const float *x, *dy, *mean;
    float *y;
    const float *a, *b, *c;
    float *part;     /* a thread: [2][C] of one tile */
    double *s1, *s2; /* a thread: [C] each: mean and squares about it, or the two sums of the gradient */
    int64_t *n;      /* a thread: rows merged so far */
} norm;

/* Scratch: vectors a, b, c [C]; then a thread's part, s1, s2; then n. */
static size_t norm_scratch(const cts_cpu *cpu, int64_t C)
{
    int64_t pad = cts_cpu_pad(C), t = cpu->n_threads;

    return (size_t)(3 * pad + t * 2 * pad) * sizeof(float) + (size_t)(2 * t * pad) * sizeof(double) +
           (size_t)t * 8 * sizeof(int64_t);
}

static norm norm_of(const cts_cpu *cpu, const cts_call *c, const cts_view *x, float *coef[3])
{
    norm s = {.isa = cpu->isa, .rows = cts_view_rows(x), .C = cts_view_channels(x), .x = x->data};
    int64_t pad = cts_cpu_pad(s.C);

    for (int i = 0; i < 3; i++)
        coef[i] = (float *)c->scratch + i * pad;
    s.part = (float *)c->scratch + 3 * pad;
    s.s1 = (double *)(s.part + cpu->n_threads * 2 * pad);
    s.s2 = s.s1 + cpu->n_threads * pad;
    s.n = (int64_t *)(s.s2 + cpu->n_threads * pad);
    return s;
}

static void merge(double *mean, double *m2, double n, const float *tile_mean, const float *tile_m2, double rows,
                  int64_t C)
{
    double share = rows / (n + rows), cross = n * share;

    for (int64_t c = 0; c < C; c++) {
        double d = tile_mean[c] - mean[c];

        mean[c] += d * share;
        m2[c] += tile_m2[c] + d * d * cross;
    }
}

static int moments_task(void *ctx, int ith, int nth)
{
    const norm *s = ctx;
    int64_t pad = cts_cpu_pad(s->C), tile = cts_cpu_tile_rows(s->C), lo, hi;
    float *m = s->part + ith * 2 * pad;
    double *mean = s->s1 + ith * pad, *m2 = s->s2 + ith * pad;

    memset(mean, 0, (size_t)s->C * sizeof *mean);
    memset(m2, 0, (size_t)s->C * sizeof *m2);
    cts_split(s->rows, tile, ith, nth, &lo, &hi);
    for (int64_t r = lo; r < hi; r += tile) {
        int64_t rows = cts_min_i64(tile, hi - r);

        s->isa->moments(m, m + pad, s->x + r * s->C, rows, s->C);
        merge(mean, m2, (double)(r - lo), m, m + pad, (double)rows, s->C);
    }
    s->n[ith * 8] = hi - lo;
    return CTS_OK;
}

/* Merge the threads' moments into those of thread 0. */
static void merge_threads(const norm *s, int parts)
{
    int64_t pad = cts_cpu_pad(s->C);
    double n = (double)s->n[0];

    for (int p = 1; p < parts; p++) {
        double rows = (double)s->n[p * 8];

        if (rows <= 0.0)
            continue;
        for (int64_t c = 0; c < s->C; c++) {
            double d = s->s1[p * pad + c] - s->s1[c];

            s->s1[c] += d * rows / (n + rows);
            s->s2[c] += s->s2[p * pad + c] + d * d * n * rows / (n + rows);
        }
        n += rows;
    }
}

static int normalize_task(void *ctx, int ith, int nth)
{
    const norm *s = ctx;
    int64_t lo, hi;

    cts_split(s->rows, 8, ith, nth, &lo, &hi);
    s->isa->normalize(s->y + lo * s->C, s->x + lo * s->C, s->mean, s->a, s->b, hi - lo, s->C);
    return CTS_OK;
}

size_t cts_cpu_batch_norm_scratch(const cts_cpu *cpu, const cts_node *n)
{
    return norm_scratch(cpu, cts_tensor_channels(n->in[0]));
}

int cts_cpu_batch_norm(const cts_cpu *cpu, const cts_call *c)
{
    const cts_batch_norm_attr *at = c->node->attr;
    float *coef[3], *mean = c->out[1].data, *rstd = c->out[2].data, *new_mean = c->out[3].data,
                    *new_var = c->out[4].data;
    const float *w = c->in[1].data, *rm = c->in[3].data, *rv = c->in[4].data;
    norm s = norm_of(cpu, c, &c->in[0], coef);
    int64_t work = s.rows * s.C;
    int rc = cts_cpu_for(c, work, moments_task, &s);

    if (rc)
        return rc;
    merge_threads(&s, work < CTS_CPU_SMALL ? 1 : cpu->n_threads);
    for (int64_t i = 0; i < s.C; i++) {
        double v = s.s2[i] / (double)s.rows, r = 1.0 / sqrt(v + at->eps), m = at->momentum;

        mean[i] = (float)s.s1[i];
        rstd[i] = (float)r;
        coef[0][i] = (float)(r * w[i]);
        new_mean[i] = (float)((1.0 - m) * rm[i] + m * s.s1[i]);
        new_var[i] = (float)((1.0 - m) * rv[i] + m * s.s2[i] / (double)cts_max_i64(s.rows - 1, 1));
    }
    s.mean = mean;
    s.a = coef[0];
    s.b = c->in[2].data;
    s.y = c->out[0].data;
    return cts_cpu_for(c, work, normalize_task, &s);
}

size_t cts_cpu_batch_norm_eval_scratch(const cts_cpu *cpu, const cts_node *n)
{
    return norm_scratch(cpu, cts_tensor_channels(n->in[0]));
}

int cts_cpu_batch_norm_eval(const cts_cpu *cpu, const cts_call *c)
{
    float eps = ((const cts_batch_norm_attr *)c->node->attr)->eps, *coef[3];
    const float *w = c->in[1].data, *rv = c->in[4].data;
    norm s = norm_of(cpu, c, &c->in[0], coef);

    for (int64_t i = 0; i < s.C; i++)
        coef[0][i] = (float)(w[i] / sqrt((double)rv[i] + eps));
    s.mean = c->in[3].data;
    s.a = coef[0];
    s.b = c->in[2].data;
    s.y = c->out[0].data;
    return cts_cpu_for(c, s.rows * s.C, normalize_task, &s);
}

/* ---- gradients: inputs (dy, x, w, mean, rstd or running variance) ---- */

static int grad_sums_task(void *ctx, int ith, int nth)
{
    const norm *s = ctx;
    int64_t pad = cts_cpu_pad(s->C), tile = cts_cpu_tile_rows(s->C), lo, hi;
    float *m = s->part + ith * 2 * pad;
    double *s1 = s->s1 + ith * pad, *s2 = s->s2 + ith * pad;

    memset(s1, 0, (size_t)s->C * sizeof *s1);
    memset(s2, 0, (size_t)s->C * sizeof *s2);
    cts_split(s->rows, tile, ith, nth, &lo, &hi);
    for (int64_t r = lo; r < hi; r += tile) {
        s->isa->bn_grad_sums(m, m + pad, s->dy + r * s->C, s->x + r * s->C, s->mean, cts_min_i64(tile, hi - r), s->C);
        for (int64_t c = 0; c < s->C; c++) {
            s1[c] += m[c];
            s2[c] += m[pad + c];
        }
    }
    return CTS_OK;
}

static int grad_apply_task(void *ctx, int ith, int nth)
{
    const norm *s = ctx;
    int64_t lo, hi, at;

    cts_split(s->rows, 8, ith, nth, &lo, &hi);
    at = lo * s->C;
    if (s->b)
        s->isa->bn_grad_apply(s->y + at, s->dy + at, s->x + at, s->mean, s->a, s->b, s->c, hi - lo, s->C);
    else
        s->isa->affine(s->y + at, s->dy + at, s->a, NULL, hi - lo, s->C);
    return CTS_OK;
}

static int bn_grad(const cts_cpu *cpu, const cts_call *c, bool batch_stats)
{
    float eps = ((const cts_batch_norm_attr *)c->node->attr)->eps, *coef[3], *dw = c->out[1].data, *db = c->out[2].data;
    const float *w = c->in[2].data, *last = c->in[4].data;
    norm s = norm_of(cpu, c, &c->in[1], coef);
    int64_t work = s.rows * s.C, pad = cts_cpu_pad(s.C);
    int rc, parts = work < CTS_CPU_SMALL ? 1 : cpu->n_threads;

    s.dy = c->in[0].data;
    s.mean = c->in[3].data;
    if ((rc = cts_cpu_for(c, work, grad_sums_task, &s)))
        return rc;
    for (int64_t i = 0; i < s.C; i++) {
        double r = batch_stats ? (double)last[i] : 1.0 / sqrt((double)last[i] + eps), s1 = 0.0, s2 = 0.0,
               n = (double)s.rows;

        for (int p = 0; p < parts; p++) {
            s1 += s.s1[p * pad + i];
            s2 += s.s2[p * pad + i];
        }
        dw[i] = (float)(s2 * r);
        db[i] = (float)s1;
        coef[0][i] = (float)(w[i] * r);
        coef[1][i] = (float)(-w[i] * r * r * r * s2 / n);
        coef[2][i] = (float)(-w[i] * r * s1 / n);
    }
    s.a = coef[0];
    s.b = batch_stats ? coef[1] : NULL;
    s.c = coef[2];
    s.y = c->out[0].data;
    return cts_cpu_for(c, work, grad_apply_task, &s);
}

size_t cts_cpu_batch_norm_grad_scratch(const cts_cpu *cpu, const cts_node *n)
{
    return norm_scratch(cpu, cts_tensor_channels(n->in[1]));
}

int cts_cpu_batch_norm_grad(const cts_cpu *cpu, const cts_call *c)
{
    return bn_grad(cpu, c, true);
}

size_t cts_cpu_batch_norm_eval_grad_scratch(const cts_cpu *cpu, const cts_node *n)
{
    return norm_scratch(cpu, cts_tensor_channels(n->in[1]));
}

int cts_cpu_batch_norm_eval_grad(const cts_cpu *cpu, const cts_call *c)
{
    return bn_grad(cpu, c, false);
}
