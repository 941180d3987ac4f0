/* Layer norm and L2 norm: every row by itself. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu_kernels.h"

enum { GRAD_ROWS = 64 }; /* rows whose weight gradient is summed in fp32 before it goes to double */

typedef struct {
    const cts_cpu *cpu;
    const cts_call *c;
    int64_t rows, C;
    float *part; /* a thread: dw and db, [2][pad(C)] */
    double *sum; /* the same in double */
} row_job;

static int layer_norm_task(void *ctx, int ith, int nth)
{
    const row_job *j = ctx;
    const cts_call *c = j->c;
    int64_t lo, hi;

    cts_split(j->rows, 4, ith, nth, &lo, &hi);
    j->cpu->isa->layer_norm(cts_cpu_f32(&c->out[0]) + lo * j->C, cts_cpu_f32(&c->out[1]) + lo,
                            cts_cpu_f32(&c->out[2]) + lo, cts_cpu_f32(&c->in[0]) + lo * j->C, c->in[1].data,
                            c->in[2].data, hi - lo, j->C, ((const cts_layer_norm_attr *)c->node->attr)->eps);
    return CTS_OK;
}

int cts_cpu_layer_norm(const cts_cpu *cpu, const cts_call *c)
{
    row_job j = {cpu, c, cts_view_rows(&c->in[0]), cts_view_channels(&c->in[0]), NULL, NULL};

    return cts_cpu_for(c, j.rows * j.C, layer_norm_task, &j);
}

static int layer_norm_grad_task(void *ctx, int ith, int nth)
{
    const row_job *j = ctx;
    const cts_call *c = j->c;
    int64_t pad = cts_cpu_pad(j->C), lo, hi;
    float *part = j->part + ith * 2 * pad;
    double *sum = j->sum + ith * 2 * pad;

    memset(sum, 0, (size_t)(2 * pad) * sizeof *sum);
    cts_split(j->rows, 4, ith, nth, &lo, &hi);
    for (int64_t r = lo; r < hi; r += GRAD_ROWS) {
        memset(part, 0, (size_t)(2 * pad) * sizeof *part);
        j->cpu->isa->layer_norm_grad(cts_cpu_f32(&c->out[0]) + r * j->C, part, part + pad,
                                     cts_cpu_f32(&c->in[0]) + r * j->C, cts_cpu_f32(&c->in[1]) + r * j->C,
                                     c->in[2].data, cts_cpu_f32(&c->in[3]) + r, cts_cpu_f32(&c->in[4]) + r,
                                     cts_min_i64(GRAD_ROWS, hi - r), j->C);
        for (int64_t i = 0; i < 2 * pad; i++)
            sum[i] += part[i];
    }
    return CTS_OK;
}

size_t cts_cpu_layer_norm_grad_scratch(const cts_cpu *cpu, const cts_node *n)
{
    return (size_t)(cpu->n_threads * 2 * cts_cpu_pad(cts_tensor_channels(n->in[1]))) * (sizeof(float) + sizeof(double));
}

int cts_cpu_layer_norm_grad(const cts_cpu *cpu, const cts_call *c)
{
    row_job j = {cpu, c, cts_view_rows(&c->in[1]), cts_view_channels(&c->in[1]), c->scratch, NULL};
    int64_t pad = cts_cpu_pad(j.C), work = j.rows * j.C;
    float *dw = c->out[1].data, *db = c->out[2].data;
    int rc, parts = work < CTS_CPU_SMALL ? 1 : cpu->n_threads;

    j.sum = (double *)(j.part + cpu->n_threads * 2 * pad);
    if ((rc = cts_cpu_for(c, work, layer_norm_grad_task, &j)))
        return rc;
    for (int64_t i = 0; i < j.C; i++) {
        double w = 0.0, b = 0.0;

        for (int p = 0; p < parts; p++) {
            w += j.sum[p * 2 * pad + i];
            b += j.sum[(p * 2 + 1) * pad + i];
        }
        dw[i] = (float)w;
        db[i] = (float)b;
    }
    return CTS_OK;
}

static int l2_norm_task(void *ctx, int ith, int nth)
{
    const row_job *j = ctx;
    float eps = ((const cts_layer_norm_attr *)j->c->node->attr)->eps;
    int64_t lo, hi;

    cts_split(j->rows, 4, ith, nth, &lo, &hi);
    for (int64_t r = lo; r < hi; r++) {
        const float *x = cts_cpu_f32(&j->c->in[0]) + r * j->C;
        double norm = sqrt((double)j->cpu->isa->dot(x, x, j->C));
        float rn = (float)(1.0 / (norm < eps ? (double)eps : norm));

        j->cpu->isa->scale(cts_cpu_f32(&j->c->out[0]) + r * j->C, x, rn, j->C);
        cts_cpu_f32(&j->c->out[1])[r] = rn;
    }
    return CTS_OK;
}

int cts_cpu_l2_norm(const cts_cpu *cpu, const cts_call *c)
{
    row_job j = {cpu, c, cts_view_rows(&c->in[0]), cts_view_channels(&c->in[0]), NULL, NULL};

    return cts_cpu_for(c, j.rows * j.C, l2_norm_task, &j);
}

/* dx = rnorm (dy - y <dy, y>); a clamped norm is a constant, then dx = rnorm dy. */
static int l2_norm_grad_task(void *ctx, int ith, int nth)
{
    const row_job *j = ctx;
    float clamped = (float)(1.0 / (double)((const cts_layer_norm_attr *)j->c->node->attr)->eps);
    int64_t lo, hi;

    cts_split(j->rows, 4, ith, nth, &lo, &hi);
    for (int64_t r = lo; r < hi; r++) {
        const float *dy = cts_cpu_f32(&j->c->in[0]) + r * j->C, *y = cts_cpu_f32(&j->c->in[1]) + r * j->C;
        float *dx = cts_cpu_f32(&j->c->out[0]) + r * j->C, rn = cts_cpu_f32(&j->c->in[2])[r];
        float d = rn < clamped ? j->cpu->isa->dot(dy, y, j->C) : 0.0f;

        for (int64_t i = 0; i < j->C; i++)
            dx[i] = rn * (dy[i] - d * y[i]);
    }
    return CTS_OK;
}

int cts_cpu_l2_norm_grad(const cts_cpu *cpu, const cts_call *c)
{
    row_job j = {cpu, c, cts_view_rows(&c->in[1]), cts_view_channels(&c->in[1]), NULL, NULL};

    return cts_cpu_for(c, j.rows * j.C, l2_norm_grad_task, &j);
}
