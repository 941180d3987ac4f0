/* Flat ops and per-channel products, split by ranges of elements or rows. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu_kernels.h"

typedef struct {
    const cts_cpu *cpu;
    const cts_call *c;
    int64_t n; /* elements, or rows */
    void (*part)(const cts_cpu *cpu, const cts_call *c, int64_t lo, int64_t hi);
} flat_job;

static int flat_task(void *ctx, int ith, int nth)
{
    const flat_job *j = ctx;
    int64_t lo, hi;

    cts_split(j->n, 64, ith, nth, &lo, &hi);
    j->part(j->cpu, j->c, lo, hi);
    return CTS_OK;
}

static int run_flat(const cts_cpu *cpu, const cts_call *c, const cts_view *size,
                    void (*part)(const cts_cpu *, const cts_call *, int64_t, int64_t))
{
    flat_job j = {cpu, c, cts_view_count(size), part};

    return cts_cpu_for(c, j.n, flat_task, &j);
}

static float *in(const cts_call *c, int i, int64_t at)
{
    return cts_cpu_f32(&c->in[i]) + at;
}

static float *out(const cts_call *c, int64_t at)
{
    return cts_cpu_f32(&c->out[0]) + at;
}

static void act_part(const cts_cpu *cpu, const cts_call *c, int64_t lo, int64_t hi)
{
    cpu->isa->act(out(c, lo), in(c, 0, lo), hi - lo, (int)((const cts_act_attr *)c->node->attr)->kind);
}

int cts_cpu_act(const cts_cpu *cpu, const cts_call *c)
{
    return run_flat(cpu, c, &c->out[0], act_part);
}

static void act_grad_part(const cts_cpu *cpu, const cts_call *c, int64_t lo, int64_t hi)
{
    cpu->isa->act_grad(out(c, lo), in(c, 0, lo), in(c, 1, lo), hi - lo,
                       (int)((const cts_act_attr *)c->node->attr)->kind);
}

int cts_cpu_act_grad(const cts_cpu *cpu, const cts_call *c)
{
    return run_flat(cpu, c, &c->out[0], act_grad_part);
}

static void add_part(const cts_cpu *cpu, const cts_call *c, int64_t lo, int64_t hi)
{
    cpu->isa->add(out(c, lo), in(c, 0, lo), in(c, 1, lo), hi - lo);
}

int cts_cpu_add(const cts_cpu *cpu, const cts_call *c)
{
    return run_flat(cpu, c, &c->out[0], add_part);
}

static void accumulate_part(const cts_cpu *cpu, const cts_call *c, int64_t lo, int64_t hi)
{
    cpu->isa->add(in(c, 0, lo), in(c, 0, lo), in(c, 1, lo), hi - lo);
}

int cts_cpu_accumulate(const cts_cpu *cpu, const cts_call *c)
{
    return run_flat(cpu, c, &c->in[0], accumulate_part);
}

static void scale_part(const cts_cpu *cpu, const cts_call *c, int64_t lo, int64_t hi)
{
    cpu->isa->scale(out(c, lo), in(c, 0, lo), ((const cts_scale_attr *)c->node->attr)->s, hi - lo);
}

int cts_cpu_scale(const cts_cpu *cpu, const cts_call *c)
{
    return run_flat(cpu, c, &c->out[0], scale_part);
}

static void dropout_part(const cts_cpu *cpu, const cts_call *c, int64_t lo, int64_t hi)
{
    const cts_dropout_attr *a = c->node->attr;
    uint64_t key = cts_rng_split(cts_rng_split(c->seed, c->step), a->stream);

    cpu->isa->dropout(out(c, lo), in(c, 0, lo), hi - lo, key, (uint64_t)lo, cts_cpu_threshold(a->p),
                      (float)(1.0 / (1.0 - (double)a->p)));
}

int cts_cpu_dropout(const cts_cpu *cpu, const cts_call *c)
{
    return run_flat(cpu, c, &c->out[0], dropout_part);
}

static void cast_part(const cts_cpu *cpu, const cts_call *c, int64_t lo, int64_t hi)
{
    const void *x = c->in[0].data;
    void *y = c->out[0].data;

    if (c->out[0].dtype == CTS_BF16)
        cpu->isa->to_bf16((uint16_t *)y + lo, (const float *)x + lo, hi - lo);
    else if (c->out[0].dtype == CTS_F16)
        cpu->isa->to_f16((uint16_t *)y + lo, (const float *)x + lo, hi - lo);
    else if (c->in[0].dtype == CTS_BF16)
        cpu->isa->from_bf16((float *)y + lo, (const uint16_t *)x + lo, hi - lo);
    else
        cpu->isa->from_f16((float *)y + lo, (const uint16_t *)x + lo, hi - lo);
}

int cts_cpu_cast(const cts_cpu *cpu, const cts_call *c)
{
    if ((c->in[0].dtype == CTS_F32) == (c->out[0].dtype == CTS_F32))
        return cts_op_def_of(c->node->op)->ref(c);
    return run_flat(cpu, c, &c->out[0], cast_part);
}

/* ---- rows x channels ---- */

static int channel_scale_task(void *ctx, int ith, int nth)
{
    const flat_job *j = ctx;
    int64_t C = cts_view_channels(&j->c->in[0]), lo, hi;

    cts_split(j->n, 8, ith, nth, &lo, &hi);
    j->cpu->isa->affine(out(j->c, lo * C), in(j->c, 0, lo * C), j->c->in[1].data, NULL, hi - lo, C);
    return CTS_OK;
}

int cts_cpu_channel_scale(const cts_cpu *cpu, const cts_call *c)
{
    flat_job j = {cpu, c, cts_view_rows(&c->in[0]), NULL};

    return cts_cpu_for(c, cts_view_count(&c->in[0]), channel_scale_task, &j);
}

/* A thread's part of scratch: one tile's sums, then the double sums. */
static int64_t dot_floats(int64_t C)
{
    return 3 * cts_cpu_pad(C);
}

size_t cts_cpu_channel_dot_scratch(const cts_cpu *cpu, const cts_node *n)
{
    return (size_t)(cpu->n_threads * dot_floats(cts_tensor_channels(n->in[1]))) * sizeof(float);
}

static int channel_dot_task(void *ctx, int ith, int nth)
{
    const flat_job *j = ctx;
    int64_t C = cts_view_channels(&j->c->in[1]), tile = cts_cpu_tile_rows(C), lo, hi;
    float *part = (float *)j->c->scratch + ith * dot_floats(C);
    double *sum = (double *)(part + cts_cpu_pad(C));

    memset(sum, 0, (size_t)C * sizeof *sum);
    cts_split(j->n, tile, ith, nth, &lo, &hi);
    for (int64_t r = lo; r < hi; r += tile) {
        j->cpu->isa->dots(part, in(j->c, 0, r * C), in(j->c, 1, r * C), cts_min_i64(tile, hi - r), C);
        for (int64_t k = 0; k < C; k++)
            sum[k] += part[k];
    }
    return CTS_OK;
}

int cts_cpu_channel_dot(const cts_cpu *cpu, const cts_call *c)
{
    flat_job j = {cpu, c, cts_view_rows(&c->in[1]), NULL};
    int64_t C = cts_view_channels(&c->in[1]), work = j.n * C;
    int rc = cts_cpu_for(c, work, channel_dot_task, &j), parts = work < CTS_CPU_SMALL ? 1 : cpu->n_threads;

    for (int64_t k = 0; !rc && k < C; k++) {
        double s = 0.0;

        for (int p = 0; p < parts; p++)
            s += ((const double *)((const float *)c->scratch + p * dot_floats(C) + cts_cpu_pad(C)))[k];
        *out(c, k) = (float)s;
    }
    return rc;
}
