/* Max pooling: the geometry of windows; the channels are the templates' work. SPDX-License-Identifier: MIT */
#include "kernels/cpu/cpu_kernels.h"

enum { MAX_WINDOW = 6 * 6 * 6 };

typedef struct {
    const cts_isa *isa;
    const cts_max_pool_attr *a;
    int64_t out_dim[3], C, rows; /* rows: voxels written */
    const float *x;
    const uint8_t *won;
    float *y;
    uint8_t *winner;
} pool_job;

static pool_job pool_of(const cts_cpu *cpu, const cts_call *c, const cts_view *pooled, const cts_view *written)
{
    pool_job j = {.isa = cpu->isa,
                  .a = c->node->attr,
                  .C = pooled->shape[4],
                  .rows = cts_view_rows(written),
                  .x = c->in[0].data,
                  .y = c->out[0].data};

    for (int d = 0; d < 3; d++)
        j.out_dim[d] = pooled->shape[1 + d];
    return j;
}

static void place_of(int64_t at[3], int64_t *sample, int64_t r, const int64_t dim[3])
{
    for (int d = 2; d >= 0; d--) {
        at[d] = r % dim[d];
        r /= dim[d];
    }
    *sample = r;
}

/* Voxels of the window of output place o that lie inside: offsets in elements from the sample's first voxel. */
static int window_inside(const pool_job *j, const int64_t o[3], int64_t *offset, uint8_t *id)
{
    const cts_max_pool_attr *a = j->a;
    int64_t lo[3], hi[3], first[3];
    int n = 0;

    for (int d = 0; d < 3; d++) {
        first[d] = o[d] * a->s[d] - a->p[d];
        lo[d] = cts_max_i64(0, -first[d]);
        hi[d] = cts_min_i64(a->k[d], a->in_dim[d] - first[d]);
    }
    for (int64_t u = lo[0]; u < hi[0]; u++)
        for (int64_t v = lo[1]; v < hi[1]; v++)
            for (int64_t w = lo[2]; w < hi[2]; w++) {
                offset[n] = (((first[0] + u) * a->in_dim[1] + first[1] + v) * a->in_dim[2] + first[2] + w) * j->C;
                id[n++] = (uint8_t)((u * a->k[1] + v) * a->k[2] + w);
            }
    return n;
}

static int pool_task(void *ctx, int ith, int nth)
{
    const pool_job *j = ctx;
    int64_t offset[MAX_WINDOW], o[3], sample, lo, hi, size = j->a->in_dim[0] * j->a->in_dim[1] * j->a->in_dim[2] * j->C;
    uint8_t id[MAX_WINDOW];

    cts_split(j->rows, 16, ith, nth, &lo, &hi);
    for (int64_t r = lo; r < hi; r++) {
        place_of(o, &sample, r, j->out_dim);
        j->isa->pool_max(j->y + r * j->C, j->winner + r * j->C, j->x + sample * size, offset, id,
                         window_inside(j, o, offset, id), j->C);
    }
    return CTS_OK;
}

int cts_cpu_max_pool(const cts_cpu *cpu, const cts_call *c)
{
    pool_job j = pool_of(cpu, c, &c->out[0], &c->out[0]);

    j.winner = c->out[1].data;
    return cts_cpu_for(c, cts_view_count(&c->in[0]), pool_task, &j);
}

/* Output places on one axis whose window holds input place i, in scan order of the window, with i's place in each. */
typedef struct {
    int n;
    int64_t at[6], place[6];
} axis_windows;

static axis_windows windows_at(const pool_job *j, int d, int64_t i)
{
    const cts_max_pool_attr *a = j->a;
    axis_windows x = {.n = 0};

    for (int w = 0; w < a->k[d]; w++) {
        int64_t from = i + a->p[d] - w;

        if (from < 0 || from % a->s[d] || from / a->s[d] >= j->out_dim[d])
            continue;
        x.at[x.n] = from / a->s[d];
        x.place[x.n++] = w;
    }
    return x;
}

static int windows_over(const pool_job *j, const axis_windows *x, int64_t *offset, uint8_t *id)
{
    int n = 0;

    for (int u = 0; u < x[0].n; u++)
        for (int v = 0; v < x[1].n; v++)
            for (int w = 0; w < x[2].n; w++) {
                offset[n] = ((x[0].at[u] * j->out_dim[1] + x[1].at[v]) * j->out_dim[2] + x[2].at[w]) * j->C;
                id[n++] = (uint8_t)((x[0].place[u] * j->a->k[1] + x[1].place[v]) * j->a->k[2] + x[2].place[w]);
            }
    return n;
}

static int pool_grad_task(void *ctx, int ith, int nth)
{
    const pool_job *j = ctx;
    int64_t offset[MAX_WINDOW], i[3], sample, lo, hi, size = j->out_dim[0] * j->out_dim[1] * j->out_dim[2] * j->C;
    uint8_t id[MAX_WINDOW];
    axis_windows x[3];

    cts_split(j->rows, 16, ith, nth, &lo, &hi);
    for (int64_t r = lo; r < hi; r++) {
        place_of(i, &sample, r, j->a->in_dim);
        if (r == lo || i[2] == 0) { /* a new line */
            x[0] = windows_at(j, 0, i[0]);
            x[1] = windows_at(j, 1, i[1]);
        }
        x[2] = windows_at(j, 2, i[2]);
        j->isa->pool_max_grad(j->y + r * j->C, j->x + sample * size, j->won + sample * size, offset, id,
                              windows_over(j, x, offset, id), j->C);
    }
    return CTS_OK;
}

/* inputs (dy, winner) */
int cts_cpu_max_pool_grad(const cts_cpu *cpu, const cts_call *c)
{
    pool_job j = pool_of(cpu, c, &c->in[0], &c->out[0]);

    j.won = c->in[1].data;
    return cts_cpu_for(c, cts_view_count(&c->out[0]), pool_grad_task, &j);
}
