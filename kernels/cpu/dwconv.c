/* Depthwise convolution along one axis, seen as [outer, L, inner, C]: place l of L reads places l + k - K / 2, a
 * fixed step apart in memory. SPDX-License-Identifier: MIT */
#include <string.h>

#include "kernels/cpu/cpu_kernels.h"

enum { DOT_RUN = 512 }; /* voxels summed in fp32 before the sum goes to double */

typedef struct {
    const cts_isa *isa;
    int64_t outer, L, inner, C;
    int K;
    const float *x, *dy, *bias;
    const float *w; /* packed [K][C] */
    float *y, *dw, *db;
    float *part; /* a thread: [C] fp32 */
    double *sum; /* a thread: [K + 1][C], the last row is the bias */
} dwconv;

static dwconv dwconv_of(const cts_cpu *cpu, const cts_dwconv_attr *a, const cts_view *x)
{
    dwconv d = {.isa = cpu->isa,
                .outer = x->shape[0],
                .L = x->shape[1 + a->axis],
                .inner = 1,
                .C = x->shape[4],
                .K = a->k,
                .x = x->data};

    for (int i = 0; i < a->axis; i++)
        d.outer *= x->shape[1 + i];
    for (int i = a->axis + 1; i < 3; i++)
        d.inner *= x->shape[1 + i];
    return d;
}

static int run_task(void *ctx, int ith, int nth)
{
    const dwconv *d = ctx;
    int64_t lo, hi, step = d->inner * d->C, p = d->K / 2;

    cts_split(d->outer * d->L, 1, ith, nth, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        int64_t l = i % d->L, k0 = cts_max_i64(0, p - l), k1 = cts_min_i64(d->K, d->L - l + p);

        d->isa->dw_run(d->y + i * step, d->x + (i - p) * step, d->w, d->bias, d->inner, d->C, (int)k0, (int)k1, step);
    }
    return CTS_OK;
}

size_t cts_cpu_dwconv_scratch(const cts_cpu *cpu, const cts_node *n)
{
    (void)cpu;
    return (size_t)cts_tensor_count(n->in[1]) * sizeof(float);
}

int cts_cpu_dwconv(const cts_cpu *cpu, const cts_call *c)
{
    const cts_dwconv_attr *a = c->node->attr;
    dwconv d = dwconv_of(cpu, a, &c->in[0]);
    const float *w = c->in[1].data;
    float *packed = c->scratch;

    for (int k = 0; k < d.K; k++)
        for (int64_t ch = 0; ch < d.C; ch++)
            packed[k * d.C + ch] = w[ch * d.K + (a->flip ? d.K - 1 - k : k)];
    d.w = packed;
    d.y = c->out[0].data;
    d.bias = a->has_bias ? c->in[2].data : NULL;
    return cts_cpu_for(c, cts_view_count(&c->in[0]), run_task, &d);
}

static void add_part(double *sum, const float *part, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        sum[i] += part[i];
}

/* Item (o, k): the whole run of places of outer index o that see tap k is contiguous in x and in dy. */
static void wgrad_item(const dwconv *d, int64_t o, int64_t k, float *part, double *sum)
{
    int64_t shift = k - d->K / 2, n = cts_max_i64(0, d->L - (shift < 0 ? -shift : shift)) * d->inner,
            at = o * d->L * d->inner * d->C;
    const float *x = d->x + at + cts_max_i64(0, shift) * d->inner * d->C,
                *dy = d->dy + at + cts_max_i64(0, -shift) * d->inner * d->C;

    for (int64_t v = 0; v < n; v += DOT_RUN) {
        memset(part, 0, (size_t)d->C * sizeof *part);
        d->isa->dw_dot(part, x + v * d->C, dy + v * d->C, cts_min_i64(DOT_RUN, n - v), d->C);
        add_part(sum + k * d->C, part, d->C);
    }
    if (k || !d->db)
        return;
    for (int64_t v = 0; v < d->L * d->inner; v += DOT_RUN) {
        d->isa->sums(part, d->dy + at + v * d->C, cts_min_i64(DOT_RUN, d->L * d->inner - v), d->C);
        add_part(sum + d->K * d->C, part, d->C);
    }
}

static int wgrad_task(void *ctx, int ith, int nth)
{
    const dwconv *d = ctx;
    float *part = d->part + ith * cts_cpu_pad(d->C);
    double *sum = d->sum + ith * cts_cpu_pad((d->K + 1) * d->C);
    int64_t lo, hi;

    memset(sum, 0, (size_t)((d->K + 1) * d->C) * sizeof *sum);
    cts_split(d->outer * d->K, 1, ith, nth, &lo, &hi);
    for (int64_t i = lo; i < hi; i++)
        wgrad_item(d, i / d->K, i % d->K, part, sum);
    return CTS_OK;
}

size_t cts_cpu_dwconv_wgrad_scratch(const cts_cpu *cpu, const cts_node *n)
{
    const cts_dwconv_attr *a = n->attr;
    int64_t C = n->in[0]->shape[4];

    return (size_t)cpu->n_threads *
           (size_t)(cts_cpu_pad(C) * (int64_t)sizeof(float) + cts_cpu_pad((a->k + 1) * C) * (int64_t)sizeof(double));
}

int cts_cpu_dwconv_wgrad(const cts_cpu *cpu, const cts_call *c)
{
    const cts_dwconv_attr *a = c->node->attr;
    dwconv d = dwconv_of(cpu, a, &c->in[0]);
    int64_t stride = cts_cpu_pad((d.K + 1) * d.C), count = cts_view_count(&c->in[0]);
    float *dw = c->out[0].data;
    int rc, parts = count < CTS_CPU_SMALL ? 1 : cpu->n_threads;

    d.dy = c->in[1].data;
    d.db = c->node->n_out > 1 ? c->out[1].data : NULL;
    d.part = c->scratch;
    d.sum = (double *)(d.part + cpu->n_threads * cts_cpu_pad(d.C));
    if ((rc = cts_cpu_for(c, count, wgrad_task, &d)))
        return rc;
    for (int64_t i = 0; i < (d.K + 1) * d.C; i++) {
        double s = 0.0;

        for (int p = 0; p < parts; p++)
            s += d.sum[p * stride + i];
        if (i < d.K * d.C)
            dw[i % d.C * d.K + i / d.C] = (float)s;
        else if (d.db)
            d.db[i - d.K * d.C] = (float)s;
    }
    return CTS_OK;
}
