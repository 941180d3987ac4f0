/* Ops that move rows: embedding, gather, scatter, permute, slice, mean over inner dimensions.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "kernels/cpu/cpu_kernels.h"

typedef struct {
    const cts_cpu *cpu;
    const cts_call *c;
    const cts_view *x, *idx, *y;
} row_job;

static int check_index(const cts_call *c, const int32_t *idx, int64_t i, int64_t n)
{
    if (idx[i] < 0 || idx[i] >= n)
        return cts_fail(CTS_E_INPUT, "%s: index %d at position %lld, allowed: 0 to %lld",
                        cts_op_def_of(c->node->op)->name, (int)idx[i], (long long)i, (long long)(n - 1));
    return CTS_OK;
}

static int take_task(void *ctx, int ith, int nth)
{
    const row_job *j = ctx;
    const int32_t *idx = j->idx->data;
    int64_t C = j->y->shape[1], lo, hi;
    int rc;

    cts_split(j->y->shape[0], 1, ith, nth, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        if ((rc = check_index(j->c, idx, i, j->x->shape[0])))
            return rc;
        memcpy(cts_cpu_f32(j->y) + i * C, cts_cpu_f32(j->x) + idx[i] * C, (size_t)C * sizeof(float));
    }
    return CTS_OK;
}

int cts_cpu_embedding(const cts_cpu *cpu, const cts_call *c)
{
    row_job j = {cpu, c, &c->in[0], &c->in[1], &c->out[0]};

    return cts_cpu_for(c, cts_view_count(j.y), take_task, &j);
}

int cts_cpu_gather_rows(const cts_cpu *cpu, const cts_call *c)
{
    return cts_cpu_embedding(cpu, c);
}

/* Each thread owns a range of target rows and reads all indices, so that equal indices add in order without a race. */
static int add_task(void *ctx, int ith, int nth)
{
    const row_job *j = ctx;
    const int32_t *idx = j->idx->data;
    int64_t C = j->y->shape[1], n = j->y->shape[0], lo, hi;
    int rc;

    cts_split(n, 1, ith, nth, &lo, &hi);
    memset(cts_cpu_f32(j->y) + lo * C, 0, (size_t)((hi - lo) * C) * sizeof(float));
    for (int64_t i = 0; i < j->x->shape[0]; i++) {
        if ((rc = check_index(j->c, idx, i, n)))
            return rc;
        if (idx[i] >= lo && idx[i] < hi) {
            float *y = cts_cpu_f32(j->y) + idx[i] * C;

            j->cpu->isa->add(y, y, cts_cpu_f32(j->x) + i * C, C);
        }
    }
    return CTS_OK;
}

int cts_cpu_embedding_grad(const cts_cpu *cpu, const cts_call *c)
{
    row_job j = {cpu, c, &c->in[1], &c->in[0], &c->out[0]};

    return cts_cpu_for(c, cts_view_count(j.y), add_task, &j);
}

int cts_cpu_scatter_rows(const cts_cpu *cpu, const cts_call *c)
{
    row_job j = {cpu, c, &c->in[0], &c->in[1], &c->out[0]};

    return cts_cpu_for(c, cts_view_count(j.y), add_task, &j);
}

/* ---- permute ---- */

static int permute_task(void *ctx, int ith, int nth)
{
    const row_job *j = ctx;
    const int *perm = ((const cts_permute_attr *)j->c->node->attr)->perm;
    int last = j->y->ndim - 1;
    int64_t C = j->y->shape[last], step = j->x->stride[perm[last]], lo, hi;

    cts_split(cts_view_rows(j->y), 8, ith, nth, &lo, &hi);
    for (int64_t r = lo; r < hi; r++) {
        float *y = cts_cpu_f32(j->y) + r * C;
        const float *x = j->x->data;
        int64_t rest = r;

        for (int d = last - 1; d >= 0; d--) {
            x += rest % j->y->shape[d] * j->x->stride[perm[d]];
            rest /= j->y->shape[d];
        }
        if (step == 1)
            memcpy(y, x, (size_t)C * sizeof *y);
        else
            for (int64_t c = 0; c < C; c++)
                y[c] = x[c * step];
    }
    return CTS_OK;
}

int cts_cpu_permute(const cts_cpu *cpu, const cts_call *c)
{
    row_job j = {cpu, c, &c->in[0], NULL, &c->out[0]};

    if (cts_dtype_bytes(c->in[0].dtype) != sizeof(float) || c->out[0].ndim == 0)
        return cts_op_def_of(c->node->op)->ref(c);
    return cts_cpu_for(c, cts_view_count(j.y), permute_task, &j);
}

/* ---- slice ---- */

static int slice_task(void *ctx, int ith, int nth)
{
    const cts_call *c = ctx;
    const cts_slice_attr *a = c->node->attr;
    int64_t wide = cts_view_channels(&c->in[0]), n = cts_view_channels(&c->out[0]), lo, hi;
    const float *x = cts_cpu_f32(&c->in[0]) + a->first;
    float *y = cts_cpu_f32(&c->out[0]);

    cts_split(cts_view_rows(&c->out[0]), 1, ith, nth, &lo, &hi);
    for (int64_t r = lo; r < hi; r++)
        memcpy(y + r * n, x + r * wide, (size_t)n * sizeof *y);
    return CTS_OK;
}

int cts_cpu_slice(const cts_cpu *cpu, const cts_call *c)
{
    (void)cpu;
    return cts_cpu_for(c, cts_view_count(&c->out[0]), slice_task, (void *)c);
}

static int slice_grad_task(void *ctx, int ith, int nth)
{
    const cts_call *c = ctx;
    const cts_slice_attr *a = c->node->attr;
    int64_t wide = cts_view_channels(&c->out[0]), n = cts_view_channels(&c->in[0]), lo, hi;
    const float *dy = cts_cpu_f32(&c->in[0]);
    float *dx = cts_cpu_f32(&c->out[0]);

    cts_split(cts_view_rows(&c->out[0]), 1, ith, nth, &lo, &hi);
    for (int64_t r = lo; r < hi; r++) {
        memset(dx + r * wide, 0, (size_t)wide * sizeof *dx);
        memcpy(dx + r * wide + a->first, dy + r * n, (size_t)n * sizeof *dx);
    }
    return CTS_OK;
}

int cts_cpu_slice_grad(const cts_cpu *cpu, const cts_call *c)
{
    (void)cpu;
    return cts_cpu_for(c, cts_view_count(&c->out[0]), slice_grad_task, (void *)c);
}

/* ---- mean over the middle of [outer, n, inner] ---- */

typedef struct {
    const cts_cpu *cpu;
    const cts_call *c;
    int64_t outer, n, inner;
} mean_job;

static mean_job mean_of(const cts_cpu *cpu, const cts_call *c, const cts_view *wide)
{
    const cts_mean_attr *a = c->node->attr;

    return (mean_job){cpu, c, cts_view_count(wide) / (a->n * a->inner), a->n, a->inner};
}

static int64_t mean_floats(int64_t inner)
{
    return 3 * cts_cpu_pad(inner);
}

size_t cts_cpu_mean_scratch(const cts_cpu *cpu, const cts_node *n)
{
    return (size_t)(cpu->n_threads * mean_floats(((const cts_mean_attr *)n->attr)->inner)) * sizeof(float);
}

static int mean_task(void *ctx, int ith, int nth)
{
    const mean_job *j = ctx;
    float *part = (float *)j->c->scratch + ith * mean_floats(j->inner), *y = j->c->out[0].data;
    double *sum = (double *)(part + cts_cpu_pad(j->inner));
    int64_t tile = cts_cpu_tile_rows(j->inner), lo, hi;

    cts_split(j->outer, 1, ith, nth, &lo, &hi);
    for (int64_t o = lo; o < hi; o++) {
        const float *x = cts_cpu_f32(&j->c->in[0]) + o * j->n * j->inner;

        memset(sum, 0, (size_t)j->inner * sizeof *sum);
        for (int64_t k = 0; k < j->n; k += tile) {
            j->cpu->isa->sums(part, x + k * j->inner, cts_min_i64(tile, j->n - k), j->inner);
            for (int64_t i = 0; i < j->inner; i++)
                sum[i] += part[i];
        }
        for (int64_t i = 0; i < j->inner; i++)
            y[o * j->inner + i] = (float)(sum[i] / (double)j->n);
    }
    return CTS_OK;
}

int cts_cpu_mean(const cts_cpu *cpu, const cts_call *c)
{
    mean_job j = mean_of(cpu, c, &c->in[0]);

    return cts_cpu_for(c, cts_view_count(&c->in[0]), mean_task, &j);
}

static int mean_grad_task(void *ctx, int ith, int nth)
{
    const mean_job *j = ctx;
    const float *dy = j->c->in[0].data;
    float *dx = j->c->out[0].data, inv = (float)(1.0 / (double)j->n);
    int64_t lo, hi;

    cts_split(j->outer * j->n, 1, ith, nth, &lo, &hi);
    for (int64_t r = lo; r < hi; r++)
        j->cpu->isa->scale(dx + r * j->inner, dy + r / j->n * j->inner, inv, j->inner);
    return CTS_OK;
}

int cts_cpu_mean_grad(const cts_cpu *cpu, const cts_call *c)
{
    mean_job j = mean_of(cpu, c, &c->out[0]);

    return cts_cpu_for(c, cts_view_count(&c->out[0]), mean_grad_task, &j);
}
