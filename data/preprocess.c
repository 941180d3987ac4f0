/* SPDX-License-Identifier: MIT */
#include "data/preprocess.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/geometry.h"
#include "kernels/base/arena.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"

#define TILE 16 /* floats of a cache line */

/* One axis of the tensor: where its content comes from. Arrays [n]. */
typedef struct {
    int64_t source;         /* voxels of the volume along it */
    int64_t resampled;      /* after resampling, before crop */
    int64_t size;           /* of the tensor */
    int64_t start, n;       /* content: [start, start + n) of the tensor */
    int64_t src_lo, src_hi; /* source voxels that take part: [src_lo, src_hi) */
    int32_t *lo, *hi;       /* the two neighbours of each content voxel */
    double *w;              /* weight of hi */
} axis_plan;

typedef struct {
    const cts_volume *v;
    axis_plan axis[3];       /* z, x, y */
    int64_t stride[3], base; /* of z, x, y in stored voxels; flips are negative strides */
    double slope, inter;     /* stored voxel to HU */
    double clip[2], window[2], out[2], scale;
    void *lut; /* HU of every int16, float or double; NULL for float volumes */
    float pad, *to;
    bool f64;
    float (*range)[2]; /* [threads] smallest and largest content value */
} job;

#define REAL float
#define NAME(x) x##_f32
#include "data/resample_template.h"
#undef REAL
#undef NAME
#define REAL double
#define NAME(x) x##_f64
#include "data/resample_template.h"
#undef REAL
#undef NAME

int64_t cts_resampled_size(int64_t n, double current, double target)
{
    double size = (double)n * (current / target); /* this order, in double: another one truncates differently */

    return size < (double)INT64_MAX / 2 ? (int64_t)size : INT64_MAX;
}

size_t cts_recipe_elements(const cts_recipe *r)
{
    return (size_t)r->size_zxy[0] * (size_t)r->size_zxy[1] * (size_t)r->size_zxy[2];
}

static void plan_free(job *t)
{
    for (int a = 0; a < 3; a++) {
        free(t->axis[a].lo);
        free(t->axis[a].hi);
        free(t->axis[a].w);
    }
    free(t->lut);
    free(t->range);
}

static int plan_axis(axis_plan *p, const cts_geometry_axis *g)
{
    p->source = g->source;
    p->resampled = g->resampled;
    p->size = g->size;
    p->start = g->start;
    p->n = g->n;
    p->lo = malloc((size_t)p->n * sizeof *p->lo);
    p->hi = malloc((size_t)p->n * sizeof *p->hi);
    p->w = malloc((size_t)p->n * sizeof *p->w);
    if (!p->lo || !p->hi || !p->w)
        return cts_fail(CTS_E_NOMEM, "preprocess: out of memory for %lld coordinates", (long long)p->n);
    for (int64_t i = 0; i < p->n; i++) {
        double at = cts_geometry_source(g, (double)(p->start + i));

        at = at < 0 ? 0 : at;
        p->lo[i] = (int32_t)cts_min_i64((int64_t)at, p->source - 1);
        p->hi[i] = (int32_t)cts_min_i64(p->lo[i] + 1, p->source - 1);
        p->w[i] = at - (double)p->lo[i];
    }
    p->src_lo = p->lo[0];
    p->src_hi = p->hi[p->n - 1] + 1;
    return CTS_OK;
}

static int plan_geometry(job *t, const cts_recipe *r, const double spacing_xyz[3], cts_preprocess_info *info)
{
    const cts_volume *v = t->v;
    const int64_t step[3] = {1, v->dim[0], v->dim[0] * v->dim[1]};
    cts_geometry g;
    int rc = cts_geometry_make(&g, v, r, spacing_xyz);

    if (rc)
        return rc;
    memcpy(info->orientation, g.orientation, sizeof info->orientation);
    info->has_affine = v->has_affine;
    if (v->has_affine) {
        cts_volume_axis_codes(v, info->stored_codes);
        info->oblique_deg = cts_volume_oblique(v);
        info->forms_deg = v->forms_deg;
    }
    for (int a = 0; a < 3; a++) {
        const cts_geometry_axis *p = &g.axis[a];

        if ((rc = plan_axis(&t->axis[a], p)))
            return rc;
        t->stride[a] = p->flip ? -step[p->stored] : step[p->stored];
        if (p->flip)
            t->base += step[p->stored] * (p->source - 1);
        info->spacing_zxy[a] = p->mm;
        info->stored_zxy[a] = p->source;
        info->resampled_zxy[a] = p->resampled;
        info->content_zxy[a][0] = p->start;
        info->content_zxy[a][1] = p->start + p->n;
    }
    return CTS_OK;
}

/* A volume whose voxels are all the same holds no picture. Ends at the first difference, so it costs nothing on real
 * ones. */
static int check_content(const cts_volume *v)
{
    size_t n = cts_volume_count(v), i = 1;

    if (v->type == CTS_VOXEL_I16) {
        const int16_t *p = v->voxels;

        while (i < n && p[i] == p[0])
            i++;
        if (i == n)
            return cts_fail(CTS_E_INPUT, "preprocess: all %zu voxels are %d, allowed a volume with a picture in it", n,
                            p[0]);
    } else {
        const float *p = v->voxels;

        while (i < n && p[i] == p[0])
            i++;
        if (i == n)
            return cts_fail(CTS_E_INPUT, "preprocess: all %zu voxels are %g, allowed a volume with a picture in it", n,
                            (double)p[0]);
    }
    return CTS_OK;
}

static int plan_values(job *t, const cts_recipe *r, const double rescale[2], int threads, cts_preprocess_info *info)
{
    const cts_hu_candidate *map;

    cts_hu_judge(&info->hu, t->v, rescale, r->hu);
    map = &info->hu.map[info->hu.chosen];
    t->slope = map->slope;
    t->inter = map->inter;
    if (!isfinite(t->slope) || !isfinite(t->inter))
        return cts_fail(CTS_E_INPUT, "preprocess: the map to HU is %g * voxel + %g, allowed finite numbers", t->slope,
                        t->inter);
    t->clip[0] = r->has_first_clip ? r->first_clip[0] : -HUGE_VAL;
    t->clip[1] = r->has_first_clip ? r->first_clip[1] : HUGE_VAL;
    memcpy(t->window, r->window, sizeof t->window);
    memcpy(t->out, r->out, sizeof t->out);
    t->scale = (r->out[1] - r->out[0]) / (r->window[1] - r->window[0]);
    t->pad = (float)r->pad;
    t->f64 = r->f64;
    if (t->v->type == CTS_VOXEL_I16) {
        if (!(t->lut = malloc(65536 * (r->f64 ? sizeof(double) : sizeof(float)))))
            return cts_fail(CTS_E_NOMEM, "preprocess: out of memory for the table of HU");
        for (int i = INT16_MIN; i <= INT16_MAX; i++) {
            double hu = t->slope * i + t->inter;

            hu = hu < t->clip[0] ? t->clip[0] : hu > t->clip[1] ? t->clip[1] : hu;
            if (r->f64)
                ((double *)t->lut)[(uint16_t)i] = hu;
            else
                ((float *)t->lut)[(uint16_t)i] = (float)hu;
        }
    }
    if (!(t->range = malloc((size_t)threads * sizeof *t->range)))
        return cts_fail(CTS_E_NOMEM, "preprocess: out of memory");
    for (int i = 0; i < threads; i++) {
        t->range[i][0] = HUGE_VALF;
        t->range[i][1] = -HUGE_VALF;
    }
    return CTS_OK;
}

static void fill(float *p, int64_t n, float value)
{
    for (int64_t i = 0; i < n; i++)
        p[i] = value;
}

/* What of slice z is not content. */
static void pad_slice(const job *t, int64_t z)
{
    const axis_plan *x = &t->axis[1], *y = &t->axis[2];
    float *slice = t->to + (size_t)z * (size_t)x->size * (size_t)y->size;

    if (z < t->axis[0].start || z >= t->axis[0].start + t->axis[0].n) {
        fill(slice, x->size * y->size, t->pad);
        return;
    }
    fill(slice, x->start * y->size, t->pad);
    fill(slice + (x->start + x->n) * y->size, (x->size - x->start - x->n) * y->size, t->pad);
    for (int64_t i = x->start; i < x->start + x->n; i++) {
        fill(slice + i * y->size, y->start, t->pad);
        fill(slice + i * y->size + y->start + y->n, y->size - y->start - y->n, t->pad);
    }
}

static int work(void *ctx, int ith, int nth)
{
    job *t = ctx;
    int64_t lo, hi;

    cts_split(t->axis[0].size, 1, ith, nth, &lo, &hi);
    for (int64_t z = lo; z < hi; z++)
        pad_slice(t, z);
    cts_split(t->axis[0].n, 1, ith, nth, &lo, &hi); /* the content is where the work is */
    if (lo >= hi)
        return CTS_OK;
    return t->f64 ? slices_f64(t, lo, hi, t->range[ith]) : slices_f32(t, lo, hi, t->range[ith]);
}

int cts_preprocess(const cts_volume *v, const cts_recipe *r, const double spacing_xyz[3], const double rescale[2],
                   cts_pool *pool, float *out, cts_preprocess_info *info)
{
    cts_preprocess_info own = {0};
    job t = {.v = v, .to = out};
    int threads = cts_pool_size(pool), rc;

    CTS_ASSERT(v->voxels && out, "preprocess needs voxels and a tensor (recipe %s)", r->name);
    if ((rc = cts_recipe_check(r, r->name)) || (rc = check_content(v)) ||
        (rc = plan_geometry(&t, r, spacing_xyz, &own)) || (rc = plan_values(&t, r, rescale, threads, &own)) ||
        (rc = cts_parallel_for(pool, work, &t)))
        goto out;
    own.min = HUGE_VALF;
    own.max = -HUGE_VALF;
    for (int i = 0; i < threads; i++) {
        own.min = fminf(own.min, t.range[i][0]);
        own.max = fmaxf(own.max, t.range[i][1]);
    }
    if (!(own.min < own.max)) {
        rc = cts_fail(CTS_E_INPUT, "preprocess: every voxel is %g after the window of %g to %g HU; %s", (double)own.min,
                      r->window[0], r->window[1], own.hu.text);
        goto out;
    }
    if (info)
        *info = own;
out:
    plan_free(&t);
    return rc;
}
