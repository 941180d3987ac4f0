/* Gated GELU, split by rows. SPDX-License-Identifier: MIT */
#include "kernels/cpu/cpu_kernels.h"

typedef struct {
    const cts_cpu *cpu;
    const cts_call *c;
    int64_t rows, n; /* of the narrow side */
    void (*part)(const cts_cpu *cpu, const cts_call *c, int64_t n, int64_t lo, int64_t hi);
} glu_job;

static int glu_task(void *ctx, int ith, int nth)
{
    const glu_job *j = ctx;
    int64_t lo, hi;

    cts_split(j->rows, 4, ith, nth, &lo, &hi);
    j->part(j->cpu, j->c, j->n, lo, hi);
    return CTS_OK;
}

static int run_glu(const cts_cpu *cpu, const cts_call *c, const cts_view *wide,
                   void (*part)(const cts_cpu *, const cts_call *, int64_t, int64_t, int64_t))
{
    glu_job j = {cpu, c, cts_view_rows(wide), cts_view_channels(wide) / 2, part};

    return cts_cpu_for(c, cts_view_count(wide), glu_task, &j);
}

static void geglu_part(const cts_cpu *cpu, const cts_call *c, int64_t n, int64_t lo, int64_t hi)
{
    const float *x = c->in[0].data;
    float *y = c->out[0].data;

    for (int64_t r = lo; r < hi; r++)
        cpu->isa->geglu(y + r * n, x + 2 * r * n, x + (2 * r + 1) * n, n);
}

int cts_cpu_geglu(const cts_cpu *cpu, const cts_call *c)
{
    return run_glu(cpu, c, &c->in[0], geglu_part);
}

static void geglu_grad_part(const cts_cpu *cpu, const cts_call *c, int64_t n, int64_t lo, int64_t hi)
{
    const float *dy = c->in[0].data, *x = c->in[1].data;
    float *dx = c->out[0].data;

    for (int64_t r = lo; r < hi; r++)
        cpu->isa->geglu_grad(dx + 2 * r * n, dx + (2 * r + 1) * n, dy + r * n, x + 2 * r * n, x + (2 * r + 1) * n, n);
}

int cts_cpu_geglu_grad(const cts_cpu *cpu, const cts_call *c)
{
    return run_glu(cpu, c, &c->in[1], geglu_grad_part);
}
