/* Hiatal hernia and medical material.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "data/phantom_internal.h"

#define METAL 2900

/* A pouch of stomach between heart and spine: wall, fluid behind, gas in front (the patient lies on the back). */
static void hernia(cts_phantom *p)
{
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_HERNIA);
    const anatomy *an = &p->an;
    double mm = fmin(round(22 + 16 * -log(1 - cts_rng_unit(&r))), 95), rad = 0.5 * mm, gas = cts_rng_unit(&r),
           fluid = cts_rng_range(&r, 8, 38);
    double at[3] = {8 + 0.12 * mm + cts_rng_range(&r, -4, 6), an->spine_y - 24 - 0.42 * rad, 0},
           rx = rad * cts_rng_range(&r, 0.85, 1.1), ry = fmin(rad * 0.85, 30), rz = rad * cts_rng_range(&r, 0.75, 1.05),
           wall = cts_rng_range(&r, 3, 4.5);
    prim *b;

    if (!(p->wanted >> F_HERNIA & 1))
        return;
    at[2] = an->dome_z[0] - 8 + 0.5 * rz;
    b = cts_ph_ball(p, LAYER_MEDIASTINAL, F_HERNIA, CLIP_NONE, at, rx, ry, rz, 42);
    b->hides = true;
    cts_ph_roughen(b, &r, 0.05 * rad, rad);
    if (rad > 8) {
        double in = gas < 0.2 ? 99 : -0.1 * ry; /* some hold no gas */

        cts_ph_ball(p, LAYER_MEDIASTINAL, F_HERNIA, CLIP_NONE, at, rx - wall, ry - wall, rz - wall, fluid);
        b = cts_ph_ball(p, LAYER_MEDIASTINAL, F_HERNIA, CLIP_NONE, at, rx - wall, ry - wall, rz - wall, -960);
        b->cut[1] = 1; /* keep y below the level */
        b->cut[3] = (float)-(at[1] + (in > 90 ? -2 * ry : in));
        b->cut_on = true;
    }
    cts_ph_set_fact(p, F_HERNIA, CTS_PHANTOM_SIDE_NONE, mm, at, fluid, 1, "");
    p->fact[F_HERNIA].kind = mm < 35 ? 0 : mm < 60 ? 1 : 2;
}

static void path(cts_phantom *p, double (*pt)[3], int n, double rad, double hu)
{
    for (int i = 0; i + 1 < n; i++)
        cts_ph_tube(p, LAYER_DEVICE, F_MATERIAL, CLIP_NONE, pt[i], pt[i + 1], rad, rad, hu);
}

/* Box in the soft tissue below the clavicle and the way to the heart through the subclavian vein. */
static void pocket(const anatomy *an, int side, double out[3])
{
    out[0] = side * 0.62 * an->w;
    out[1] = an->body_cy + 1 - an->body_d * pow(1 - pow(fabs(out[0]) / an->body_w, 2.5), 0.4) + 10 + 0.5 * an->fat;
    out[2] = 72;
}

static void pacemaker(cts_phantom *p, cts_rng *r, int side, double at[3])
{
    const anatomy *an = &p->an;
    const ellipsoid *h = &p->heart_large[0], *ra = &p->heart_large[1];
    double n[3] = {side * 0.35, 1, 0}, k = an->s, c = an->cy;
    double v[6][3] = {{0},
                      {side * 0.55 * an->w, an->cy - 30, 106},
                      {side * 30, an->cy - 16, 100},
                      {-28 * k, c - 10, 55},
                      {-27 * k, c - 6, 5},
                      {0}};
    bool two = cts_rng_unit(r) < 0.6;

    pocket(an, side, at);
    cts_ph_plate(p, LAYER_DEVICE, F_MATERIAL, CLIP_NONE, at, n, cts_rng_range(r, 20, 26), cts_rng_range(r, 7, 11),
                 METAL);
    memcpy(v[0], at, sizeof v[0]);
    for (int i = 0; i < 3; i++)
        v[5][i] = ra->c[i];
    path(p, v, 6, 1.1, 2100);
    for (int i = 0; i < 3; i++) {
        v[4][i] = ra->c[i];
        v[5][i] = h->c[i] + 0.62 * h->r[0] * h->axis[0][i] - 0.3 * h->r[2] * h->axis[2][i];
    }
    path(p, v + 4, 2, 1.1, 2100);
    if (two) {
        for (int i = 0; i < 3; i++)
            v[5][i] = ra->c[i] - (i == 1) * 0.5 * ra->r[1];
        path(p, v + 4, 2, 1.1, 2100);
    }
}

static void port(cts_phantom *p, cts_rng *r, int side, double at[3])
{
    const anatomy *an = &p->an;
    double n[3] = {side * 0.35, 1, 0}, k = an->s, c = an->cy;
    double v[5][3] = {{0},
                      {side * 0.42 * an->w, c - 28, 108},
                      {side * 30, c - 16, 102},
                      {-28 * k, c - 10, 55},
                      {-27 * k, c - 6, cts_rng_range(r, -5, 20)}};

    pocket(an, side, at);
    cts_ph_plate(p, LAYER_DEVICE, F_MATERIAL, CLIP_NONE, at, n, 13, 10, 1700);
    memcpy(v[0], at, sizeof v[0]);
    path(p, v, 5, 1.2, 900);
}

static void line(cts_phantom *p, cts_rng *r, int side, double at[3])
{
    const anatomy *an = &p->an;
    double k = an->s, c = an->cy;
    double v[4][3] = {{side * 34, c - 12, 160},
                      {side * 30, c - 14, 108},
                      {-28 * k, c - 11, 60},
                      {-27 * k, c - 6, cts_rng_range(r, -8, 24)}};

    memcpy(at, v[3], sizeof v[3]);
    path(p, v, 4, 1.3, 1100);
}

static void wires(cts_phantom *p, cts_rng *r, double at[3])
{
    const anatomy *an = &p->an;
    int n = 5 + (int)cts_rng_below(r, 3);

    for (int i = 0; i < n; i++) {
        double z = 66 - 21.0 * i * an->s, w, d, cy, v[9][3];

        if (!cts_ph_cage_at(an, z, &w, &d, &cy))
            continue;
        for (int s = 0; s < 9; s++) { /* a loop around the sternum */
            v[s][0] = 13 * cos(0.7853981634 * s + 1.2) + cts_rng_range(r, -1, 1);
            v[s][1] = cy - d - 7 + 8 * sin(0.7853981634 * s + 1.2);
            v[s][2] = z + 3 * sin(1.57 * s);
        }
        memcpy(at, v[0], sizeof v[0]);
        path(p, v, 9, 0.6, METAL);
    }
    for (int i = 0; i < 5; i++) { /* clips of the graft */
        double c[3];

        for (int k = 0; k < 3; k++)
            c[k] = p->heart_large[0].c[k] + cts_rng_range(r, -8, 8);
        c[1] -= p->heart_large[0].r[1] * 0.8;
        c[2] += 18 * i - 20;
        cts_ph_ball(p, LAYER_DEVICE, F_MATERIAL, CLIP_NONE, c, 1.2, 1.2, 2.2, METAL);
    }
}

static void valve(cts_phantom *p, cts_rng *r, double at[3])
{
    double pt[CTS_PH_AORTA_POINTS][4], rad = cts_rng_range(r, 11, 13), v[13][3];

    cts_ph_aorta(p, pt);
    for (int s = 0; s <= 12; s++) {
        double t = 0.5235987756 * s;

        v[s][0] = pt[0][0] + rad * cos(t);
        v[s][1] = pt[0][1] + rad * sin(t) * 0.8;
        v[s][2] = pt[0][2] + rad * cos(t) * 0.45 + 2;
    }
    memcpy(at, v[0], sizeof v[0]);
    path(p, v, 13, 1.3, 2300);
}

static void rods(cts_phantom *p, cts_rng *r, double at[3])
{
    const anatomy *an = &p->an;
    double z0 = cts_rng_range(r, -90, 20), step = 25 * an->s;
    int n = 2 + (int)cts_rng_below(r, 3);

    for (int side = -1; side <= 1; side += 2) {
        double rod[2][3] = {{side * 17.0, an->spine_y + 44, z0 - 8},
                            {side * 17.0, an->spine_y + 44, z0 + (n - 1) * step + 8}};

        path(p, rod, 2, 2.8, 2700);
        for (int i = 0; i < n; i++) {
            double screw[2][3] = {{side * 17.0, an->spine_y + 42, z0 + i * step},
                                  {side * 7.0, an->spine_y - 2, z0 + i * step}};

            path(p, screw, 2, 2.5, 2700);
            memcpy(at, screw[0], sizeof screw[0]);
        }
    }
}

/* kind: 0 pacemaker, 1 port, 2 sternal wires, 3 central line, 4 valve, 5 spinal rods */
static void material(cts_phantom *p)
{
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_MATERIAL);
    double u = cts_rng_unit(&r), at[3] = {0};
    int kind = u < 0.24   ? 0
               : u < 0.42 ? 1
               : u < 0.66 ? 2
               : u < 0.84 ? 3
               : u < 0.91 ? 4
                          : 5,
        side = cts_rng_unit(&r) < 0.5 ? -1 : 1;

    if (!(p->wanted >> F_MATERIAL & 1))
        return;
    if (kind == 0)
        pacemaker(p, &r, side = cts_rng_unit(&r) < 0.8 ? 1 : -1, at);
    else if (kind == 1)
        port(p, &r, side, at);
    else if (kind == 2)
        wires(p, &r, at);
    else if (kind == 3)
        line(p, &r, side, at);
    else if (kind == 4)
        valve(p, &r, at);
    else
        rods(p, &r, at);
    cts_ph_set_fact(p, F_MATERIAL,
                    kind == 0 || kind == 1 || kind == 3 ? (side < 0 ? CTS_PHANTOM_SIDE_RIGHT : CTS_PHANTOM_SIDE_LEFT)
                                                        : CTS_PHANTOM_SIDE_NONE,
                    0, at, METAL, 1, "");
    p->fact[F_MATERIAL].kind = kind;
}

void cts_ph_find_other(cts_phantom *p)
{
    hernia(p);
    material(p);
}
