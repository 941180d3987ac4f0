/* Findings that change the density or the weave of the lung: emphysema, mosaic attenuation, ground glass, thick septa.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "data/phantom_internal.h"

static cts_phantom_side pick_side(cts_rng *r, double right, double left)
{
    double u = cts_rng_unit(r);

    return u < right ? CTS_PHANTOM_SIDE_RIGHT : u < right + left ? CTS_PHANTOM_SIDE_LEFT : CTS_PHANTOM_SIDE_BOTH;
}

static int sign_of(cts_phantom_side side, cts_rng *r)
{
    return side == CTS_PHANTOM_SIDE_RIGHT ? -1 : side == CTS_PHANTOM_SIDE_LEFT ? 1 : cts_rng_unit(r) < 0.5 ? -1 : 1;
}

static bool upper(const anatomy *an, const double at[3])
{
    return at[2] > an->carina_z - 28;
}

static bool basal(const anatomy *an, const double at[3])
{
    return at[2] < an->carina_z - 45;
}

/* Centrilobular holes, rows of subpleural holes, bullae; upper lobes first. */
static void emphysema(cts_phantom *p)
{
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_EMPHYSEMA);
    double u = cts_rng_unit(&r), grade = cts_rng_unit(&r), hu = cts_rng_range(&r, -985, -955), at[3], big = 0,
           where[3] = {0};
    int kind = u < 0.62   ? 0
               : u < 0.82 ? 1
                          : 2,
        n = kind == 0 ? 70 + (int)(200 * grade * grade) : 24 + (int)(60 * grade);

    if (!(p->wanted >> F_EMPHYSEMA & 1))
        return;
    for (int i = 0; i < n; i++) {
        int side = i & 1 ? 1 : -1;
        double size = kind == 0 ? cts_rng_range(&r, 2.2, 4.5 + 3.5 * grade) : cts_rng_range(&r, 3.5, 9);
        prim *b;

        if (kind == 0)
            cts_ph_place(p, &r, side, -1, size, cts_rng_unit(&r) < 0.88 ? upper : NULL, at);
        else
            for (int tries = 0; tries < 20; tries++) {
                cts_ph_place_peripheral(p, &r, side, -1, size * 0.7, size * 1.3, at);
                if (upper(&p->an, at))
                    break;
            }
        if (kind == 2 && i < 4)
            size = cts_rng_range(&r, 11, 22);
        b = cts_ph_ball(p, LAYER_TEXTURE, F_EMPHYSEMA, CLIP_LUNG, at, size, size * cts_rng_range(&r, 0.7, 1.1),
                        size * cts_rng_range(&r, 0.8, 1.3), hu);
        b->soft = kind == 0 ? 2.0f : 1.2f;
        cts_ph_roughen(b, &r, 0.22 * size, 1.2 * size);
        if (size > big) {
            big = size;
            for (int k = 0; k < 3; k++)
                where[k] = at[k];
        }
    }
    cts_ph_set_fact(p, F_EMPHYSEMA, CTS_PHANTOM_SIDE_BOTH, kind == 2 ? round(2 * big) : 0, where, hu, n,
                    "the upper lobes of both lungs");
    p->fact[F_EMPHYSEMA].kind = kind;
}

static void mosaic(cts_phantom *p)
{
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_MOSAIC);
    double step = cts_rng_range(&r, 60, 120), cell = cts_rng_range(&r, 15, 26), part = cts_rng_range(&r, 0.35, 0.6),
           c[3], size[3];
    int kind = (int)cts_rng_below(&r, 2); /* 0 everywhere, 1 lower zones */

    if (!(p->wanted >> F_MOSAIC & 1))
        return;
    for (int side = -1; side <= 1; side += 2) {
        prim *b;

        c[0] = side * 0.5 * p->an.w, c[1] = p->an.cy, c[2] = kind ? -42 : 5;
        size[0] = 0.85 * p->an.w, size[1] = 1.35 * p->an.d, size[2] = kind ? 95 : 165;
        b = cts_ph_field(p, PRIM_MOSAIC, LAYER_TEXTURE, F_MOSAIC, c, size);
        b->add = true;
        b->hu = (float)step;
        b->cell = (float)cell;
        b->soft = (float)part;
        for (int k = 0; k < 3; k++)
            b->shift[k] = (float)cts_rng_range(&r, 0, CELLS);
    }
    cts_ph_set_fact(p, F_MOSAIC, CTS_PHANTOM_SIDE_BOTH, 0, c, step, 2,
                    kind ? "the lower lobes of both lungs" : "both lungs");
    p->fact[F_MOSAIC].kind = kind;
}

typedef struct {
    double big, at[3], hu;
    int count;
} foci;

static void glass(cts_phantom *p, cts_rng *r, const double at[3], double size, double hu, foci *f)
{
    double rx = size * cts_rng_range(r, 0.8, 1.15), ry = size * cts_rng_range(r, 0.7, 1.1),
           rz = size * cts_rng_range(r, 0.75, 1.2);
    prim *b = cts_ph_ball(p, LAYER_TEXTURE, F_OPACITY, CLIP_LUNG, at, rx, ry, rz, hu);

    cts_ph_turn(b, cts_rng_range(r, -1.5, 1.5));
    cts_ph_roughen(b, r, 0.22 * size, 0.7 * size);
    b->soft = (float)cts_rng_range(r, 3, 8);
    b->amp = 0.95f;
    f->count++;
    if (2 * size > f->big) {
        f->big = 2 * size;
        f->hu = hu;
        for (int k = 0; k < 3; k++)
            f->at[k] = at[k];
    }
}

/* Ground glass: many peripheral patches, one area, or hazy perihilar shadows. */
static void opacity(cts_phantom *p)
{
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_OPACITY);
    double u = cts_rng_unit(&r), hu = cts_rng_range(&r, -660, -380), at[3];
    int kind = u < 0.5   ? 0
               : u < 0.8 ? 1
                         : 2,
        n = kind == 0   ? 3 + (int)cts_rng_below(&r, 9)
            : kind == 1 ? 1
                        : 4 + (int)cts_rng_below(&r, 4);
    cts_phantom_side side = kind == 1 ? pick_side(&r, 0.55, 0.45) : pick_side(&r, kind ? 0.1 : 0.18, kind ? 0.1 : 0.15);
    foci f = {0};

    if (!(p->wanted >> F_OPACITY & 1))
        return;
    for (int i = 0; i < n; i++) {
        int s = side == CTS_PHANTOM_SIDE_BOTH ? (i & 1 ? 1 : -1) : sign_of(side, &r);

        if (kind == 0)
            cts_ph_place_peripheral(p, &r, s, -1, 4, 22, at);
        else
            cts_ph_place(p, &r, s, -1, kind == 1 ? 12 : 6, kind == 2 ? basal : NULL, at);
        glass(p, &r, at,
              kind == 0   ? cts_rng_range(&r, 7, 20)
              : kind == 1 ? cts_rng_range(&r, 10, 30)
                          : cts_rng_range(&r, 22, 40),
              hu + cts_rng_range(&r, -40, 40), &f);
    }
    cts_ph_set_fact(p, F_OPACITY, side, kind == 1 ? round(f.big) : 0, f.at, f.hu, f.count,
                    kind == 1 ? cts_ph_lobe_name(cts_ph_lobe_at(&p->an, f.at)) : cts_ph_zone_name(2, side));
    p->fact[F_OPACITY].kind = kind;
}

static void septa(cts_phantom *p)
{
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_SEPTAL);
    double cell = cts_rng_range(&r, 13, 19), thick = cts_rng_range(&r, 0.8, 1.7), hu = cts_rng_range(&r, -60, 25),
           at[3], size[3];
    double share = cts_rng_range(&r, 0.75, 1.1); /* two uniform values per wall: 72 to 40 % of the walls are thick */
    cts_phantom_side side = pick_side(&r, 0.12, 0.1);
    int kind = cts_rng_unit(&r) < 0.7 ? 0 : 1; /* 0 lower zones, 1 upper */

    if (!(p->wanted >> F_SEPTAL & 1))
        return;
    for (int s = -1; s <= 1; s += 2) {
        prim *b;
        double c[3] = {s * 0.62 * p->an.w, p->an.cy + cts_rng_range(&r, 0.0, 0.3) * p->an.d,
                       kind ? 62 : -42 + cts_rng_range(&r, -10, 15)};

        if (side == (s > 0 ? CTS_PHANTOM_SIDE_RIGHT : CTS_PHANTOM_SIDE_LEFT))
            continue;
        size[0] = 0.62 * p->an.w, size[1] = 0.95 * p->an.d, size[2] = cts_rng_range(&r, 48, 80);
        b = cts_ph_field(p, PRIM_SEPTA, LAYER_DENSE, F_SEPTAL, c, size);
        b->hu = (float)hu;
        b->cell = (float)cell;
        b->warp = (float)thick;
        b->soft = (float)share;
        for (int k = 0; k < 3; k++) {
            b->shift[k] = (float)cts_rng_range(&r, 0, CELLS);
            at[k] = c[k];
        }
    }
    cts_ph_set_fact(p, F_SEPTAL, side, 0, at, hu, side == CTS_PHANTOM_SIDE_BOTH ? 2 : 1,
                    cts_ph_zone_name(kind ? 0 : 1, side));
    p->fact[F_SEPTAL].kind = kind;
}

void cts_ph_find_texture(cts_phantom *p)
{
    emphysema(p);
    mosaic(p);
    opacity(p);
    septa(p);
}
