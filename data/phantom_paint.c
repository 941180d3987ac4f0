/* Painting primitives over the big organs.
 *
 * A thing thinner than a voxel is painted with the mass it has, not the contrast: a ramp of one voxel's width whose
 * integral is the thing's area or volume. For a ball of radius r and a ramp of width h the plain ramp holds r^3 + r h^2
 * / 4 in place of r^3, so the radius is taken as r - h^2 / (12 r) while r is large, and the ramp lowered when it is
 * not; a tube holds r^2 + h^2 / 12.
 * SPDX-License-Identifier: MIT */
#include "data/phantom_internal.h"

#include <math.h>

#define FAINT 0.02f /* weights below this are nothing: no change and no mask */

typedef struct {
    const prim *b;
    const cts_phantom *p;
    float h;             /* width of the ramp */
    float r[3], amp;     /* radii and weight after the correction above */
    float len2, axis[3]; /* tube: squared length, vector a to b */
} brush;

static float clamp01(float v)
{
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

static void load_brush(brush *s, const cts_phantom *p, const prim *b, float h)
{
    float r = cbrtf(b->r[0] * b->r[1] * b->r[2]), top;

    *s = (brush){.b = b, .p = p, .h = fmaxf(h, b->soft), .amp = b->amp};
    for (int k = 0; k < 3; k++) {
        s->r[k] = b->r[k];
        s->axis[k] = b->b[k] - b->a[k];
        s->len2 += s->axis[k] * s->axis[k];
    }
    if (b->kind == PRIM_BALL) {
        if (r >= 0.75f * h) {
            for (int k = 0; k < 3; k++)
                s->r[k] *= 1 - h * h / (12 * r * r);
        } else {
            top = r + 0.5f * h;
            s->amp *= r >= 0.5f * h ? 1 / (1 + h * h / (4 * r * r)) : 4 * r * r * r * h / (top * top * top * top);
        }
    } else if (b->kind == PRIM_TUBE) {
        r = 0.5f * (b->r[0] + b->r[1]);
        top = r + 0.5f * h;
        if (r > 0.6f * h) {
            s->r[0] *= sqrtf(1 - h * h / (12 * r * r));
            s->r[1] *= sqrtf(1 - h * h / (12 * r * r));
        } else {
            s->amp *= r > 0.5f * h ? 1 / (1 + h * h / (12 * r * r)) : 3 * r * r * h / (top * top * top);
        }
    }
}

static float rough(const brush *s, const float q[3])
{
    const prim *b = s->b;
    float c = 1 / b->cell;

    return b->warp *
           (cts_ph_noise(s->p, q[0] * c + b->shift[0], q[1] * c + b->shift[1], q[2] * c + b->shift[2]) +
            0.5f * cts_ph_noise(s->p, 2.3f * q[0] * c + b->shift[2], 2.3f * q[1] * c, 2.3f * q[2] * c + b->shift[1]));
}

static float ball_weight(const brush *s, const float q[3])
{
    const prim *b = s->b;
    float x = q[0] - b->a[0], y = q[1] - b->a[1], z = q[2] - b->a[2], u, v, w, k0, k1, d,
          reach = 0.5f * s->h + 1.5f * b->warp;

    u = (b->ct * x + b->st * y) / s->r[0];
    v = (b->ct * y - b->st * x) / s->r[1];
    w = z / s->r[2];
    k0 = sqrtf(u * u + v * v + w * w);
    k1 = sqrtf(u * u / (s->r[0] * s->r[0]) + v * v / (s->r[1] * s->r[1]) + w * w / (s->r[2] * s->r[2]) + 1e-12f);
    d = k0 * (k0 - 1) / k1;
    if (d > reach)
        return 0;
    if (b->warp > 0)
        d += rough(s, q);
    if (b->cut_on)
        d = fmaxf(d, b->cut[0] * q[0] + b->cut[1] * q[1] + b->cut[2] * q[2] + b->cut[3]);
    return cts_ph_cover(d, s->h);
}

static float tube_weight(const brush *s, const float q[3])
{
    const prim *b = s->b;
    float v[3] = {q[0] - b->a[0], q[1] - b->a[1], q[2] - b->a[2]}, t, d2 = 0, r, out;

    t = clamp01((v[0] * s->axis[0] + v[1] * s->axis[1] + v[2] * s->axis[2]) / (s->len2 + 1e-9f));
    for (int k = 0; k < 3; k++)
        d2 += (v[k] - t * s->axis[k]) * (v[k] - t * s->axis[k]);
    r = s->r[0] + t * (s->r[1] - s->r[0]);
    out = r + 0.5f * s->h + 1.5f * b->warp;
    if (d2 >= out * out)
        return 0;
    return cts_ph_cover(sqrtf(d2) - r + (b->warp > 0 ? rough(s, q) : 0), s->h);
}

static float plate_weight(const brush *s, const float q[3])
{
    const prim *b = s->b;
    float v[3] = {q[0] - b->a[0], q[1] - b->a[1], q[2] - b->a[2]}, dn, rho2, lo, hi, half = s->r[1];

    dn = v[0] * b->b[0] + v[1] * b->b[1] + v[2] * b->b[2];
    if (fabsf(dn) > half + 0.5f * s->h + 1.5f * b->warp)
        return 0;
    rho2 = v[0] * v[0] + v[1] * v[1] + v[2] * v[2] - dn * dn;
    if (rho2 > (s->r[0] + 0.5f * s->h) * (s->r[0] + 0.5f * s->h))
        return 0;
    if (b->warp > 0)
        dn += rough(s, q);
    lo = fmaxf(dn - 0.5f * s->h, -half);
    hi = fminf(dn + 0.5f * s->h, half);
    return clamp01((hi - lo) / s->h) * cts_ph_cover(sqrtf(fmaxf(rho2, 0)) - s->r[0], s->h);
}

/* The two nearest lobule centres: distance to the wall between them, and their random values. */
static float lobule_wall(const brush *s, const float q[3], float value[2])
{
    float cell = s->b->cell, u[3], best = 1e9f, next = 1e9f, pb[3] = {0}, pn[3] = {0}, gap = 0;
    int at[3];

    for (int k = 0; k < 3; k++) {
        u[k] = q[k] / cell + s->b->shift[k] + 4096 - 0.5f;
        at[k] = (int)u[k];
        u[k] -= (float)at[k] - 0.5f;
    }
    value[0] = value[1] = 0;
    for (int n = 0; n < 8; n++) {
        int di = n & 1, dj = n >> 1 & 1, dk = n >> 2;
        const float *c =
            s->p->cells[(at[2] + dk) & (CELLS - 1)][(at[1] + dj) & (CELLS - 1)][(at[0] + di) & (CELLS - 1)];
        float v[3] = {c[0] + (float)di - u[0], c[1] + (float)dj - u[1], c[2] + (float)dk - u[2]};
        float d = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];

        if (d < best) {
            next = best, value[1] = value[0];
            best = d, value[0] = c[3];
            for (int k = 0; k < 3; k++)
                pn[k] = pb[k], pb[k] = v[k];
        } else if (d < next) {
            next = d, value[1] = c[3];
            for (int k = 0; k < 3; k++)
                pn[k] = v[k];
        }
    }
    for (int k = 0; k < 3; k++)
        gap += (pb[k] - pn[k]) * (pb[k] - pn[k]);
    return cell * (next - best) / (2 * sqrtf(gap + 1e-9f));
}

/* Region of a field: an ellipsoid with a ragged, soft edge. */
static float region_weight(const brush *s, const float q[3])
{
    const prim *b = s->b;
    float u = (q[0] - b->a[0]) / b->r[0], v = (q[1] - b->a[1]) / b->r[1], w = (q[2] - b->a[2]) / b->r[2];
    float d2 = u * u + v * v + w * w;

    if (d2 >= 1)
        return 0;
    return clamp01((1 - sqrtf(d2)) * 4 +
                   0.6f * cts_ph_noise(s->p, q[0] * 0.04f + b->shift[0], q[1] * 0.04f, q[2] * 0.04f));
}

/* Mosaic: whole lobules lighter (r[..] hu > 0) or darker. Weight times hu is what is added; the sign travels in the
 * weight. */
static float mosaic_weight(const brush *s, const float q[3])
{
    float region = region_weight(s, q), value[2], wall, own, other, t;

    if (region <= 0)
        return 0;
    wall = lobule_wall(s, q, value);
    own = value[0] < s->b->soft ? -0.45f : 0.55f;
    other = value[1] < s->b->soft ? -0.45f : 0.55f;
    t = clamp01(0.5f + wall / s->h);
    return region * (t * own + (1 - t) * other);
}

static float septa_weight(const brush *s, const float q[3])
{
    float region = region_weight(s, q), value[2], wall, half = s->b->warp * 0.5f, lo, hi;

    if (region <= 0)
        return 0;
    wall = lobule_wall(s, q, value);
    if (value[0] + value[1] < s->b->soft) /* not every septum is thickened */
        return 0;
    lo = fmaxf(wall - 0.5f * s->h, -half);
    hi = fminf(wall + 0.5f * s->h, half);
    return clamp01(region * 2) * clamp01((hi - lo) / s->h);
}

static float effusion_weight(const brush *s, const float q[3])
{
    const cts_phantom *p = s->p;
    int side = q[0] > 0;
    double w, d, cy;
    float depth = (float)cts_ph_effusion_depth(p, side, q[1], q[2]), u, v, f, rho;

    if (depth <= 0 || !cts_ph_cage_at(&p->an, q[2], &w, &d, &cy))
        return 0;
    u = fabsf(q[0]) / (float)w, v = fabsf(q[1] - (float)cy) / (float)d;
    rho = sqrtf(q[0] * q[0] + (q[1] - (float)cy) * (q[1] - (float)cy));
    f = powf(u * u * sqrtf(u) + v * v * sqrtf(v), 0.4f);
    return cts_ph_cover(rho * (1 / (f + 1e-6f) - 1) - depth, s->h);
}

static float weight(const brush *s, const float q[3])
{
    switch (s->b->kind) {
    case PRIM_BALL:
        return ball_weight(s, q);
    case PRIM_TUBE:
        return tube_weight(s, q);
    case PRIM_PLATE:
        return plate_weight(s, q);
    case PRIM_MOSAIC:
        return mosaic_weight(s, q);
    case PRIM_SEPTA:
        return septa_weight(s, q);
    default:
        return effusion_weight(s, q);
    }
}

static void blend(const prim *b, float a, float *hu, float *lung, uint32_t *mask)
{
    /* Below are findings of the lung; where something opaque covers them they are no longer in the picture. */
    if (b->hides && a > 0.999f)
        *mask &= (1u << F_CARDIOMEGALY | 1u << F_PERICARDIAL);
    *hu += b->add ? a * b->hu : a * (b->hu - *hu);
    if (b->solid)
        *lung *= 1 - a;
    if (b->bit >= 0)
        *mask |= 1u << b->bit;
}

/* Voxel box of a primitive, grown by the blur; false when it misses slices [k0, k1). */
static bool voxel_box(const cts_ph_grid *g, const prim *b, int64_t k0, int64_t k1, int64_t lo[3], int64_t hi[3])
{
    const anatomy *an = &g->p->an;
    int64_t n[3] = {g->nx, g->ny, g->nz};
    double l[3] = {1e9, 1e9, 0}, u[3] = {-1e9, -1e9, 0}, grow = fmaxf(g->h, b->soft);

    for (int c = 0; c < 4; c++) {
        double x = c & 1 ? b->hi[0] : b->lo[0], y = c & 2 ? b->hi[1] : b->lo[1];
        double v[2] = {g->ct * x - g->st * y, g->st * x + g->ct * y};

        for (int k = 0; k < 2; k++) {
            l[k] = fmin(l[k], v[k]);
            u[k] = fmax(u[k], v[k]);
        }
    }
    l[2] = b->lo[2], u[2] = b->hi[2];
    for (int k = 0; k < 3; k++) {
        double mid = 0.5 * (double)(n[k] - 1);

        lo[k] = (int64_t)ceil(fmax((l[k] - grow + an->shift[k]) / g->sp[k] + mid, 0));
        hi[k] = (int64_t)floor(fmin((u[k] + grow + an->shift[k]) / g->sp[k] + mid, (double)(n[k] - 1))) + 1;
    }
    lo[2] = lo[2] < k0 ? k0 : lo[2];
    hi[2] = hi[2] > k1 ? k1 : hi[2];
    return lo[0] < hi[0] && lo[1] < hi[1] && lo[2] < hi[2];
}

static void paint_one(const cts_ph_grid *g, const prim *b, int64_t k0, int64_t k1, float *hu, float *lung,
                      uint32_t *mask)
{
    const anatomy *an = &g->p->an;
    int64_t lo[3], hi[3];
    brush s;

    if (!voxel_box(g, b, k0, k1, lo, hi))
        return;
    load_brush(&s, g->p, b, g->h);
    for (int64_t k = lo[2]; k < hi[2]; k++) {
        float q[3];

        q[2] = (float)(((double)k - 0.5 * (double)(g->nz - 1)) * g->sp[2] - an->shift[2]);
        for (int64_t j = lo[1]; j < hi[1]; j++) {
            int64_t row = g->nx * (j + g->ny * (k - k0));
            float y = (float)(((double)j - 0.5 * (double)(g->ny - 1)) * g->sp[1] - an->shift[1]);

            for (int64_t i = lo[0]; i < hi[0]; i++) {
                int64_t at = row + i;
                float x = (float)(((double)i - 0.5 * (double)(g->nx - 1)) * g->sp[0] - an->shift[0]), a = 1;

                if (b->clip == CLIP_LUNG)
                    a = lung[at];
                else if (b->clip == CLIP_NOT_LUNG)
                    a = 1 - lung[at];
                else if (b->clip == CLIP_OUTSIDE)
                    a = lung[at] > 0 ? 0 : clamp01((-100 - hu[at]) / 900);
                if (a < FAINT)
                    continue;
                q[0] = g->ct * x + g->st * y;
                if (b->half && q[0] * (float)b->half < 0)
                    continue;
                q[1] = g->ct * y - g->st * x;
                a *= s.amp * weight(&s, q);
                if (fabsf(a) >= FAINT)
                    blend(b, a, hu + at, lung + at, mask + at);
            }
        }
    }
}

void cts_ph_paint(const cts_ph_grid *g, int64_t k0, int64_t k1, float *hu, float *lung, uint32_t *mask)
{
    for (size_t i = 0; i < g->p->n_prims; i++)
        paint_one(g, &g->p->prims[i], k0, k1, hu, lung, mask);
}
