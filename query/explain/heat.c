/* SPDX-License-Identifier: MIT */
#include "query/explain/heat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/status.h"

#define EDGE 1e-9 /* of a voxel: the outer edges of scan and tensor meet up to rounding */

/* One stored axis of the scan: between which cells each of its voxels lies. Arrays [n]. */
typedef struct {
    int64_t n, cells, step; /* voxels; cells along it; distance of two cells in the grid */
    int32_t *lo, *hi;
    float *w;     /* weight of hi */
    bool *inside; /* the model saw it */
} axis;

typedef struct {
    axis axis[3]; /* i, j, k */
    const float *grid;
    double scale;
    float *to;
} job;

static void end(job *t)
{
    for (int a = 0; a < 3; a++) {
        free(t->axis[a].lo);
        free(t->axis[a].hi);
        free(t->axis[a].w);
        free(t->axis[a].inside);
    }
}

static int plan_axis(axis *t, const cts_geometry_axis *g, double origin, double step)
{
    size_t n = (size_t)t->n;

    t->lo = malloc(n * sizeof *t->lo);
    t->hi = malloc(n * sizeof *t->hi);
    t->w = malloc(n * sizeof *t->w);
    t->inside = malloc(n * sizeof *t->inside);
    if (!t->lo || !t->hi || !t->w || !t->inside)
        return cts_fail(CTS_E_NOMEM, "out of memory for a heat map");
    for (int64_t x = 0; x < t->n; x++) {
        double p = cts_geometry_tensor(g, (double)(g->flip ? g->source - 1 - x : x)), u = (p - origin) / step;

        u = u < 0 ? 0 : u > (double)(t->cells - 1) ? (double)(t->cells - 1) : u;
        t->lo[x] = (int32_t)u;
        t->hi[x] = (int32_t)cts_min_i64(t->lo[x] + 1, t->cells - 1);
        t->w[x] = (float)(u - t->lo[x]);
        t->inside[x] = p >= (double)g->start - 0.5 - EDGE && p <= (double)(g->start + g->n) - 0.5 + EDGE;
    }
    return CTS_OK;
}

/* Slices [from, to) along k: per row the four rows of cells become one, which is then spread along i. */
static int spread(void *ctx, int ith, int nth)
{
    const job *t = ctx;
    const axis *i = &t->axis[0], *j = &t->axis[1], *k = &t->axis[2];
    float *row = malloc((size_t)i->cells * sizeof *row);
    int64_t from, to;

    if (!row)
        return cts_fail(CTS_E_NOMEM, "out of memory for a heat map");
    cts_split(k->n, 1, ith, nth, &from, &to);
    for (int64_t z = from; z < to; z++)
        for (int64_t y = 0; y < j->n; y++) {
            float *out = t->to + (z * j->n + y) * i->n;
            const float *a = t->grid + k->lo[z] * k->step + j->lo[y] * j->step;
            const float *b = t->grid + k->lo[z] * k->step + j->hi[y] * j->step;
            const float *c = t->grid + k->hi[z] * k->step + j->lo[y] * j->step;
            const float *d = t->grid + k->hi[z] * k->step + j->hi[y] * j->step;

            if (!k->inside[z] || !j->inside[y])
                continue; /* zeros already */
            for (int64_t x = 0; x < i->cells; x++) {
                int64_t at = x * i->step;
                float p = a[at] + (b[at] - a[at]) * j->w[y], q = c[at] + (d[at] - c[at]) * j->w[y];

                row[x] = (float)t->scale * (p + (q - p) * k->w[z]);
            }
            for (int64_t x = 0; x < i->n; x++)
                out[x] = i->inside[x] ? fminf(row[i->lo[x]] + (row[i->hi[x]] - row[i->lo[x]]) * i->w[x], 1.0f) : 0.0f;
        }
    free(row);
    return CTS_OK;
}

/* Tensor coordinates of the part of cell c that is content; false when there is none. */
static bool visible(const cts_geometry_axis *g, double origin, double step, int64_t c, double *middle)
{
    double from = fmax(origin + ((double)c - 0.5) * step, (double)g->start - 0.5);
    double to = fmin(origin + ((double)c + 0.5) * step, (double)(g->start + g->n) - 0.5);

    *middle = (from + to) / 2;
    return from < to;
}

static void find_hottest(cts_heat *h, const cts_geometry *g, const cts_cam_info *cam, const float *grid)
{
    int64_t best[3] = {0};
    double peak = -1, zxy[3], ijk[3], m;

    for (int64_t z = 0; z < cam->grid[0]; z++)
        for (int64_t x = 0; x < cam->grid[1]; x++)
            for (int64_t y = 0; y < cam->grid[2]; y++) {
                const int64_t at[3] = {z, x, y};
                double heat = (double)grid[(z * cam->grid[1] + x) * cam->grid[2] + y];
                bool seen = heat > peak;

                for (int a = 0; seen && a < 3; a++)
                    seen = visible(&g->axis[a], cam->origin[a], cam->step[a], at[a], &m);
                if (seen) {
                    peak = heat;
                    memcpy(best, at, sizeof best);
                }
            }
    h->peak = fmax(peak, 0);
    for (int a = 0; a < 3; a++)
        visible(&g->axis[a], cam->origin[a], cam->step[a], best[a], &zxy[a]);
    cts_geometry_to_scan(g, zxy, ijk);
    for (int a = 0; a < 3; a++) {
        const cts_geometry_axis *p = &g->axis[a];

        h->hottest[p->stored] = cts_max_i64(0, cts_min_i64(llrint(ijk[p->stored]), p->source - 1));
        h->half_cell[p->stored] = cam->step[a] / 2 * p->ratio;
    }
}

/* Profile along the body and centre of mass. */
static void sum_up(cts_heat *h)
{
    const int64_t *dim = h->volume->dim;
    const float *p = h->volume->voxels;
    double total = 0, moment[3] = {0};
    int64_t at[3];

    for (at[2] = 0; at[2] < dim[2]; at[2]++)
        for (at[1] = 0; at[1] < dim[1]; at[1]++)
            for (at[0] = 0; at[0] < dim[0]; at[0]++) {
                double heat = (double)*p++;
                int64_t s = at[h->body];

                h->mean[s] += heat;
                h->max[s] = fmax(h->max[s], heat);
                total += heat;
                for (int a = 0; a < 3; a++)
                    moment[a] += heat * (double)at[a];
            }
    for (int a = 0; a < 3; a++)
        h->centre[a] = total > 0 ? moment[a] / total : (double)(dim[a] - 1) / 2;
    for (int64_t s = 0; s < h->slices; s++)
        h->mean[s] /= (double)cts_volume_count(h->volume) / (double)h->slices;
}

static int make_frame(cts_heat *h, const cts_volume *scan)
{
    int order[3], rc = cts_volume_create(&h->volume, scan->dim, scan->spacing, CTS_VOXEL_F32);
    bool flip[3];

    if (rc || (rc = cts_volume_orientation(scan, "LPS", order, flip)))
        return rc;
    h->volume->has_affine = scan->has_affine;
    memcpy(h->volume->affine, scan->affine, sizeof scan->affine);
    h->body = order[2];
    h->head_first = flip[2];
    h->slices = scan->dim[h->body];
    h->mean = calloc((size_t)h->slices, sizeof *h->mean);
    h->max = calloc((size_t)h->slices, sizeof *h->max);
    return h->mean && h->max ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for a profile");
}

int cts_heat_make(cts_heat *out, const cts_volume *scan, const cts_geometry *g, const cts_cam_info *cam,
                  const float *grid, cts_pool *pool)
{
    const int64_t step[3] = {cam->grid[1] * cam->grid[2], cam->grid[2], 1};
    cts_heat h = {0};
    job t = {.grid = grid};
    int rc = make_frame(&h, scan);

    if (rc)
        goto out;
    find_hottest(&h, g, cam, grid);
    t.scale = h.peak > 0 ? 1 / h.peak : 0;
    t.to = h.volume->voxels;
    for (int a = 0; a < 3; a++) {
        axis *x = &t.axis[g->axis[a].stored];

        *x = (axis){.n = g->axis[a].source, .cells = cam->grid[a], .step = step[a]};
        if ((rc = plan_axis(x, &g->axis[a], cam->origin[a], cam->step[a])))
            goto out;
    }
    if ((rc = cts_parallel_for(pool, spread, &t)))
        goto out;
    sum_up(&h);
    *out = h;
    h = (cts_heat){0}; /* the caller owns it now */
out:
    end(&t);
    cts_heat_clear(&h);
    return rc;
}

void cts_heat_clear(cts_heat *h)
{
    cts_volume_destroy(h->volume);
    free(h->mean);
    free(h->max);
    *h = (cts_heat){0};
}

int cts_heat_top(const cts_heat *h, int n, int64_t *slice)
{
    int64_t apart = cts_max_i64(1, cts_min_i64(llrint(2 * h->half_cell[h->body]), h->slices / (2 * n)));
    int got = 0;

    while (got < n) {
        int64_t best = -1, last;

        for (int64_t s = 0; s < h->slices; s++) {
            bool free_ = h->mean[s] > 0;

            for (int k = 0; free_ && k < got; k++)
                free_ = llabs((long long)(s - slice[k])) >= apart;
            if (free_ && (best < 0 || h->mean[s] > h->mean[best]))
                best = s;
        }
        if (best < 0)
            break;
        last = best;
        while (!got && last + 1 < h->slices && h->mean[last + 1] >= h->mean[best] * (1 - 1e-6))
            last++;
        slice[got++] = (best + last) / 2;
    }
    return got;
}

double cts_heat_position(const cts_heat *h, int64_t slice)
{
    int64_t up = h->head_first ? h->slices - 1 - slice : slice;

    return h->slices > 1 ? (double)up / (double)(h->slices - 1) : 0.5;
}
