/* Depthwise convolution over three axes, row by row of the last one: the taps that lie inside are listed for every run
 * of voxels that see the same of them, and the run is done in one go. SPDX-License-Identifier: MIT */
#include <string.h>

#include "kernels/cpu/cpu_kernels.h"

typedef struct {
    const cts_isa *isa;
    const cts_dwconv3d_attr *a;
    int64_t N, D[3], C;
    int taps;
    const float *x, *dy, *bias;
    const float *w; /* packed [taps][C] */
    float *y, *dw, *db;
    float *part; /* a thread: [C] fp32 */
    double *sum; /* a thread: [taps + 1][C], the last row is the bias */
} dwconv3d;

static dwconv3d dwconv3d_of(const cts_cpu *cpu, const cts_dwconv3d_attr *a, const cts_view *x)
{
    return (dwconv3d){.isa = cpu->isa,
                      .a = a,
                      .N = x->shape[0],
                      .D = {x->shape[1], x->shape[2], x->shape[3]},
                      .C = x->shape[4],
                      .taps = a->k[0] * a->k[1] * a->k[2],
                      .x = x->data};
}

/* Taps [*lo, *hi) of axis d that place i sees. */
static void range(const dwconv3d *d, int axis, int64_t i, int64_t *lo, int64_t *hi)
{
    *lo = cts_max_i64(0, d->a->before[axis] - i);
    *hi = cts_min_i64(d->a->k[axis], d->D[axis] - i + d->a->before[axis]);
}

/* The taps inside for voxel (i0, i1, i2) as offsets into x from that voxel and into w; returns how many. */
static int list_taps(const dwconv3d *d, const int64_t i[3], int64_t *xo, int64_t *wo)
{
    int64_t lo[3], hi[3];
    int n = 0;

    for (int axis = 0; axis < 3; axis++)
        range(d, axis, i[axis], &lo[axis], &hi[axis]);
    for (int64_t t0 = lo[0]; t0 < hi[0]; t0++)
        for (int64_t t1 = lo[1]; t1 < hi[1]; t1++)
            for (int64_t t2 = lo[2]; t2 < hi[2]; t2++, n++) {
                int64_t row = (t0 - d->a->before[0]) * d->D[1] + t1 - d->a->before[1];

                xo[n] = (row * d->D[2] + t2 - d->a->before[2]) * d->C;
                wo[n] = ((t0 * d->a->k[1] + t1) * d->a->k[2] + t2) * d->C;
            }
    return n;
}

static int run_task(void *ctx, int ith, int nth)
{
    const dwconv3d *d = ctx;
    int64_t xo[CTS_DWCONV3D_TAPS], wo[CTS_DWCONV3D_TAPS], lo, hi;

    cts_split(d->N * d->D[0] * d->D[1], 1, ith, nth, &lo, &hi);
    for (int64_t r = lo; r < hi; r++) {
        int64_t i[3] = {r / d->D[1] % d->D[0], r % d->D[1], 0};

        while (i[2] < d->D[2]) {
            int64_t at = (r * d->D[2] + i[2]) * d->C, end = i[2] + 1, a0, a1, b0, b1;

            range(d, 2, i[2], &a0, &a1);
            for (; end < d->D[2]; end++) {
                range(d, 2, end, &b0, &b1);
                if (a0 != b0 || a1 != b1)
                    break;
            }
            d->isa->dw_taps(d->y + at, d->x + at, d->w, d->bias, end - i[2], d->C, list_taps(d, i, xo, wo), xo, wo);
            i[2] = end;
        }
    }
    return CTS_OK;
}

size_t cts_cpu_dwconv3d_scratch(const cts_cpu *cpu, const cts_node *n)
{
    (void)cpu;
    return (size_t)cts_tensor_count(n->in[1]) * sizeof(float);
}

int cts_cpu_dwconv3d(const cts_cpu *cpu, const cts_call *c)
{
    const cts_dwconv3d_attr *a = c->node->attr;
    dwconv3d d = dwconv3d_of(cpu, a, &c->in[0]);
    const float *w = c->in[1].data;
    float *packed = c->scratch;

    for (int t = 0; t < d.taps; t++)
        for (int64_t ch = 0; ch < d.C; ch++)
            packed[t * d.C + ch] = w[ch * d.taps + (a->flip ? d.taps - 1 - t : t)];
    d.w = packed;
    d.y = c->out[0].data;
    d.bias = a->has_bias ? c->in[2].data : NULL;
    return cts_cpu_for(c, cts_view_count(&c->in[0]) * d.taps, run_task, &d);
}

static void add_part(double *sum, const float *part, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        sum[i] += part[i];
}

/* Row r of dy against the rows of x that its taps read. */
static void wgrad_row(const dwconv3d *d, int64_t r, float *part, double *sum)
{
    int64_t i0 = r / d->D[1] % d->D[0], i1 = r % d->D[1], lo[2], hi[2];
    const float *dy = d->dy + r * d->D[2] * d->C;

    range(d, 0, i0, &lo[0], &hi[0]);
    range(d, 1, i1, &lo[1], &hi[1]);
    for (int64_t t0 = lo[0]; t0 < hi[0]; t0++)
        for (int64_t t1 = lo[1]; t1 < hi[1]; t1++) {
            int64_t from = r + (t0 - d->a->before[0]) * d->D[1] + t1 - d->a->before[1];

            for (int64_t t2 = 0; t2 < d->a->k[2]; t2++) {
                int64_t shift = t2 - d->a->before[2], first = cts_max_i64(0, -shift);
                int64_t n = cts_min_i64(d->D[2], d->D[2] - shift) - first;

                if (n <= 0)
                    continue;
                memset(part, 0, (size_t)d->C * sizeof *part);
                d->isa->dw_dot(part, d->x + (from * d->D[2] + first + shift) * d->C, dy + first * d->C, n, d->C);
                add_part(sum + ((t0 * d->a->k[1] + t1) * d->a->k[2] + t2) * d->C, part, d->C);
            }
        }
    if (!d->db)
        return;
    d->isa->sums(part, dy, d->D[2], d->C);
    add_part(sum + d->taps * d->C, part, d->C);
}

static int wgrad_task(void *ctx, int ith, int nth)
{
    const dwconv3d *d = ctx;
    float *part = d->part + ith * cts_cpu_pad(d->C);
    double *sum = d->sum + ith * cts_cpu_pad((d->taps + 1) * d->C);
    int64_t lo, hi;

    memset(sum, 0, (size_t)((d->taps + 1) * d->C) * sizeof *sum);
    cts_split(d->N * d->D[0] * d->D[1], 1, ith, nth, &lo, &hi);
    for (int64_t r = lo; r < hi; r++)
        wgrad_row(d, r, part, sum);
    return CTS_OK;
}

size_t cts_cpu_dwconv3d_wgrad_scratch(const cts_cpu *cpu, const cts_node *n)
{
    const cts_dwconv3d_attr *a = n->attr;
    int64_t C = n->in[0]->shape[4], rows = a->k[0] * a->k[1] * a->k[2] + 1;

    return (size_t)cpu->n_threads *
           (size_t)(cts_cpu_pad(C) * (int64_t)sizeof(float) + cts_cpu_pad(rows * C) * (int64_t)sizeof(double));
}

int cts_cpu_dwconv3d_wgrad(const cts_cpu *cpu, const cts_call *c)
{
    dwconv3d d = dwconv3d_of(cpu, c->node->attr, &c->in[0]);
    int64_t stride = cts_cpu_pad((d.taps + 1) * d.C), work = cts_view_count(&c->in[0]) * d.taps;
    float *dw = c->out[0].data;
    int rc, parts = work < CTS_CPU_SMALL ? 1 : cpu->n_threads;

    d.dy = c->in[1].data;
    d.db = c->node->n_out > 1 ? c->out[1].data : NULL;
    d.part = c->scratch;
    d.sum = (double *)(d.part + cpu->n_threads * cts_cpu_pad(d.C));
    if ((rc = cts_cpu_for(c, work, wgrad_task, &d)))
        return rc;
    for (int64_t i = 0; i < (d.taps + 1) * d.C; i++) {
        double s = 0.0;

        for (int p = 0; p < parts; p++)
            s += d.sum[p * stride + i];
        if (i < d.taps * d.C)
            dw[i % d.C * d.taps + i / d.C] = (float)s;
        else if (d.db)
            d.db[i - d.taps * d.C] = (float)s;
    }
    return CTS_OK;
}
