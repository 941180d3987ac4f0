/* The big organs, evaluated voxel by voxel along rows: body wall, lungs, diaphragm and what lies below it, heart.
 *
 * Every surface is a signed distance that is true near the surface, turned into coverage over the width of a voxel. A
 * value depends on its own voxel only, so any split of the slices among threads gives the same bits.
 * SPDX-License-Identifier: MIT */
#include "data/phantom_internal.h"

#include <math.h>
#include <string.h>

/* What is constant in a slice. */
typedef struct {
    const cts_phantom *p;
    const anatomy *an;
    float z, h;
    float body_w, body_d, body_cy;
    bool has_cage;
    float w, d, cy;
    bool heart;
    float heart_lo[2], heart_hi[2];
} slice;

static float mix(float a, float b, float t)
{
    return a + t * (b - a);
}

static float clampf(float v, float lo, float hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* First-order distance to the superellipse |x/a|^2.5 + |y/b|^2.5 = 1. */
static float oval(float x, float y, float a, float b)
{
    float u = fabsf(x) / a, v = fabsf(y) / b, su = u * sqrtf(u), sv = v * sqrtf(v), gu = 2.5f * su / a,
          gv = 2.5f * sv / b;

    return (u * su + v * sv - 1) / (sqrtf(gu * gu + gv * gv) + 1e-6f);
}

static float ellipsoid_distance(const ellipsoid *e, float x, float y, float z)
{
    float q[3] = {x - e->c[0], y - e->c[1], z - e->c[2]}, k0 = 0, k1 = 0;

    for (int a = 0; a < 3; a++) {
        float t = (e->axis[a][0] * q[0] + e->axis[a][1] * q[1] + e->axis[a][2] * q[2]) / e->r[a];

        k0 += t * t;
        k1 += t * t / (e->r[a] * e->r[a]);
    }
    k0 = sqrtf(k0);
    return k0 * (k0 - 1) / sqrtf(k1 + 1e-9f);
}

static void begin_slice(slice *s, const cts_phantom *p, double z, float h)
{
    const anatomy *an = &p->an;
    double w = 1, d = 1, cy = 0, neck = z > 105 ? 1 - 0.0035 * (z - 105) : 1;

    *s = (slice){.p = p, .an = an, .z = (float)z, .h = h};
    s->has_cage = cts_ph_cage_at(an, z, &w, &d, &cy);
    s->w = (float)w, s->d = (float)d, s->cy = (float)cy;
    s->body_w = (float)(an->body_w * neck * (z < -60 ? 1 - 0.0004 * (-60 - z) : 1));
    s->body_d = (float)(an->body_d * neck);
    s->body_cy = (float)(an->body_cy + (z > 60 ? 0.08 * (z - 60) : 0));
    s->heart_lo[0] = s->heart_lo[1] = 1e9f;
    s->heart_hi[0] = s->heart_hi[1] = -1e9f;
    for (int e = 0; e < HEART_PARTS; e++) {
        float reach = (float)(an->epicardial_mm + p->pericardial_mm + 4) + h;

        for (int k = 0; k < 3; k++) {
            float half = 0;

            for (int a = 0; a < 3; a++)
                half += p->heart[e].axis[a][k] * p->heart[e].r[a] * p->heart[e].axis[a][k] * p->heart[e].r[a];
            /* The distance of a long ellipsoid is a little short off its axes: leave room. */
            half = 1.15f * sqrtf(half) + reach;
            if (k == 2) {
                s->heart |= fabsf((float)z - p->heart[e].c[2]) < half;
            } else {
                s->heart_lo[k] = fminf(s->heart_lo[k], p->heart[e].c[k] - half);
                s->heart_hi[k] = fmaxf(s->heart_hi[k], p->heart[e].c[k] + half);
            }
        }
    }
}

static float wall_hu(const slice *s, float x, float y, float db, float grain)
{
    const anatomy *an = s->an;
    float v = clampf((y - s->body_cy) / s->body_d, -1, 1),
          fat = (float)an->fat * (0.85f + 0.25f * v + 0.3f * fabsf(x) / s->body_w);
    float hu = mix(-1000, 15, cts_ph_cover(db, s->h));
    /* streaks of fat between muscles */
    float muscle = mix((float)an->muscle_hu, (float)an->fat_hu, clampf((fabsf(grain) - 0.42f) * 3.0f, 0, 0.85f));

    hu = mix(hu, (float)an->fat_hu + 6 * grain, cts_ph_cover(db + (float)an->skin, s->h));
    return mix(hu, muscle, cts_ph_cover(db + (float)an->skin + fat, s->h));
}

/* Below the diaphragm at depth d_dia: its muscle, then fat, liver, spleen, stomach. */
static float abdomen_hu(const slice *s, float hu, float x, float y, float d_dia, float grain)
{
    const cts_phantom *p = s->p;
    const anatomy *an = s->an;
    float h = s->h, below = cts_ph_cover(2.5f - d_dia, h), edge, d;

    hu = mix(hu, (float)an->muscle_hu, cts_ph_cover(-d_dia, h));
    hu = mix(hu, (float)an->fat_hu, below);
    edge = x - (30 - 0.75f * (y - (float)an->cy)) - 8 * grain;
    hu = mix(hu, (float)an->liver_hu + 4 * grain, below * cts_ph_cover(edge, h));
    if (x > 0) {
        d = ellipsoid_distance(&p->stomach, x, y, s->z);
        hu = mix(hu, 42, below * cts_ph_cover(d, h));
        hu = mix(hu, mix(18, -960, cts_ph_cover(y - (p->stomach.c[1] - 0.15f * p->stomach.r[1]), h)),
                 below * cts_ph_cover(d + 4, h));
        hu = mix(hu, 50, below * cts_ph_cover(ellipsoid_distance(&p->spleen, x, y, s->z), h));
    }
    return hu;
}

/* Heart and its sac over hu; *sac = how much of the voxel they take from the lung. */
static float heart_hu(const slice *s, float hu, float x, float y, float keep, float *sac, uint32_t *mask)
{
    const cts_phantom *p = s->p;
    const anatomy *an = s->an;
    float d = 1e9f, h = s->h, epi = (float)an->epicardial_mm, fluid = 0, a, inner;

    for (int e = 0; e < HEART_PARTS; e++)
        d = fminf(d, ellipsoid_distance(&p->heart[e], x, y, s->z));
    if (p->pericardial_mm > 0) { /* more behind and below, where it settles */
        float back = clampf(0.5f + (y - p->heart[0].c[1]) / 90, 0, 1),
              low = clampf(0.5f + (p->heart[0].c[2] - s->z) / 90, 0, 1);

        fluid = (float)p->pericardial_mm * (0.4f + 0.35f * back + 0.25f * low);
    }
    a = cts_ph_cover(d - epi - fluid - 1.3f, h) * keep;
    *sac = a;
    if (a <= 0)
        return hu;
    inner = cts_ph_cover(d - epi, h);
    if (p->shown >> F_CARDIOMEGALY & 1)
        *mask |= 1u << F_CARDIOMEGALY;
    if (fluid > 0 && (inner < 1 || keep < 1))
        *mask |= 1u << F_PERICARDIAL;
    hu = mix(hu, 22, a);
    if (fluid > 0)
        hu = mix(hu, (float)p->pericardial_hu, cts_ph_cover(d - epi - fluid, h) * keep);
    hu = mix(hu, (float)an->fat_hu + 12, inner * keep);
    hu = mix(hu, (float)an->myocardium_hu, cts_ph_cover(d, h) * keep);
    return mix(hu, (float)an->blood_hu, cts_ph_cover(d + 9, h) * keep);
}

static void voxel(const slice *s, float x, float y, float *hu_out, float *lung_out, uint32_t *mask)
{
    const cts_phantom *p = s->p;
    const anatomy *an = s->an;
    float h = s->h, db = oval(x, y - s->body_cy, s->body_w, s->body_d), d_rib, d_dia, grain, hu, lung, sac = 0, in;

    if (db > h) { /* outside: air, and the table under the back */
        float table = y - (float)(an->body_cy + an->body_d + 8);

        *hu_out = mix(-1000, -180, cts_ph_cover(fabsf(table - 0.0006f * x * x) - 2, h) * (fabsf(x) < 190));
        return;
    }
    grain = 0.7f * cts_ph_noise(p, 0.06f * x + 0.03f * y, 0.06f * y - 0.03f * x, 0.05f * s->z) +
            0.45f * cts_ph_noise(p, 0.13f * x - 0.09f * y, 0.13f * y + 0.09f * x, 0.11f * s->z + 5);
    hu = wall_hu(s, x, y, db, grain);
    if (s->has_cage && (d_rib = oval(x, y - s->cy, s->w, s->d)) < 1.5f + h) {
        d_dia = ((float)cts_ph_diaphragm_z(an, x, y) - s->z) * 0.75f;
        in = cts_ph_cover(d_rib - 1.5f, h);
        hu = mix(hu, (float)an->fat_hu + 10 * grain, in); /* of the mediastinum and under the pleura */
        if (d_dia > -h)
            hu = mix(hu, abdomen_hu(s, hu, x, y, d_dia, grain), in);
        lung = cts_ph_cover(d_rib, h) * cts_ph_cover(d_dia, h) *
               cts_ph_cover((float)cts_ph_mediastinum_half(an, y, s->z) + 2 * grain - fabsf(x), h) *
               cts_ph_cover(s->z - (float)an->za + 3, h);
        if (lung > 0) {
            float fine = cts_ph_noise(p, x * 0.23f + 9, y * 0.23f, s->z * 0.23f);
            float air =
                (float)an->lung_hu + (float)an->lung_gradient * (y - s->cy) / (float)an->d + 12 * grain + 14 * fine;

            hu = mix(hu, air, lung);
        }
        if (s->heart && x > s->heart_lo[0] && x < s->heart_hi[0] && y > s->heart_lo[1] && y < s->heart_hi[1])
            hu = heart_hu(s, hu, x, y, in * cts_ph_cover(d_dia, h), &sac, mask);
        *lung_out = lung * (1 - sac);
    }
    *hu_out = hu;
}

void cts_ph_base_slice(const cts_ph_grid *g, int64_t k, float *hu, float *lung, uint32_t *mask)
{
    const anatomy *an = &g->p->an;
    slice s;

    begin_slice(&s, g->p, ((double)k - 0.5 * (double)(g->nz - 1)) * g->sp[2] - an->shift[2], g->h);
    memset(lung, 0, (size_t)(g->nx * g->ny) * sizeof *lung);
    memset(mask, 0, (size_t)(g->nx * g->ny) * sizeof *mask);
    for (int64_t j = 0; j < g->ny; j++) {
        float y = (float)(((double)j - 0.5 * (double)(g->ny - 1)) * g->sp[1] - an->shift[1]);

        for (int64_t i = 0; i < g->nx; i++) {
            float x = (float)(((double)i - 0.5 * (double)(g->nx - 1)) * g->sp[0] - an->shift[0]);

            voxel(&s, g->ct * x + g->st * y, g->ct * y - g->st * x, hu + i + g->nx * j, lung + i + g->nx * j,
                  mask + i + g->nx * j);
        }
    }
}
