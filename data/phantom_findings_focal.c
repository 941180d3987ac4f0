/* Focal findings of the lung: nodules, consolidation, atelectasis, fibrotic sequelae.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "data/phantom_internal.h"

static double exponential(cts_rng *r, double mean)
{
    return -mean * log(1 - cts_rng_unit(r));
}

static cts_phantom_side side_at(const double at[3])
{
    return at[0] < 0 ? CTS_PHANTOM_SIDE_RIGHT : CTS_PHANTOM_SIDE_LEFT;
}

static void spicules(cts_phantom *p, cts_rng *r, const double at[3], double radius, double hu)
{
    for (int i = 0; i < 9; i++) {
        double end[3], len = 0;

        for (int k = 0; k < 3; k++) {
            end[k] = cts_rng_normal(r);
            len += end[k] * end[k];
        }
        for (int k = 0; k < 3; k++)
            end[k] = at[k] + end[k] / sqrt(len + 1e-9) * radius * cts_rng_range(r, 1.5, 2.1);
        cts_ph_tube(p, LAYER_NODULE, F_NODULE, CLIP_LUNG, at, end, 1.1, 0.4, hu);
    }
}

/* Mostly small and solid; the largest is the one a report measures. kind: 0 solid, 1 subsolid, 2 calcified. */
static void nodules(cts_phantom *p)
{
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_NODULE);
    double u = cts_rng_unit(&r), largest = fmin(round(4 + exponential(&r, 4.5)), 30), t = cts_rng_unit(&r),
           first[3] = {0}, hu = 0;
    int n = u < 0.45 ? 1 : u < 0.7 ? 2 : u < 0.84 ? 3 : 4 + (int)cts_rng_below(&r, 4);
    int kind = t < 0.75 ? 0 : t < 0.87 ? 1 : 2;
    cts_phantom_side side = CTS_PHANTOM_SIDE_NONE;

    if (!(p->wanted >> F_NODULE & 1))
        return;
    if (kind == 2)
        largest = fmin(largest, 9);
    for (int i = 0; i < n; i++) {
        double mm = i ? fmax(4, round(largest * cts_rng_range(&r, 0.4, 0.95))) : largest, at[3], rad = mm / 2;
        double density = kind == 0   ? cts_rng_range(&r, 20, 60)
                         : kind == 1 ? cts_rng_range(&r, -600, -380)
                                     : cts_rng_range(&r, 250, 600);
        prim *b;

        cts_ph_place(p, &r, 0, -1, rad + 2.5, NULL, at);
        b = cts_ph_ball(p, LAYER_NODULE, F_NODULE, CLIP_LUNG, at, rad, rad * cts_rng_range(&r, 0.85, 1),
                        rad * cts_rng_range(&r, 0.85, 1), density);
        if (mm > 8)
            cts_ph_roughen(b, &r, 0.07 * mm, 0.5 * mm);
        if (mm >= 14 && kind == 0 && cts_rng_unit(&r) < 0.55)
            spicules(p, &r, at, rad, density);
        side = side == CTS_PHANTOM_SIDE_NONE || side == side_at(at) ? side_at(at) : CTS_PHANTOM_SIDE_BOTH;
        if (!i) {
            memcpy(first, at, sizeof first);
            hu = density;
        }
    }
    cts_ph_set_fact(p, F_NODULE, side, largest, first, hu, n,
                    n == 1 ? cts_ph_segment_name(&p->an, first) : cts_ph_lobe_name(cts_ph_lobe_at(&p->an, first)));
    p->fact[F_NODULE].kind = kind;
}

/* Bronchi that run through a consolidated area stay open: those too fine to be seen in healthy lung now are. */
static void bronchograms(cts_phantom *p, const double at[3], double reach)
{
    for (size_t i = 0; i < p->n_airways; i++) {
        const airway *w = &p->airways[i];
        double a[3], b[3], d = 0;

        if (w->leaves < 2 || w->leaves > 30)
            continue;
        for (int k = 0; k < 3; k++) {
            a[k] = w->a[k], b[k] = w->b[k];
            d += (0.5 * (a[k] + b[k]) - at[k]) * (0.5 * (a[k] + b[k]) - at[k]);
        }
        if (d > reach * reach)
            continue;
        cts_ph_tube(p, LAYER_AIRWAY, F_CONSOLIDATION, CLIP_LUNG, a, b, 0.6 + 0.8 * w->art_r, 0.4 + 0.7 * w->art_r,
                    -960);
    }
}

static void consolidation(cts_phantom *p)
{
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_CONSOLIDATION);
    double hu = cts_rng_range(&r, 12, 48), at[3], first[3] = {0}, big = 0;
    int kind = cts_rng_unit(&r) < 0.55 ? 0 : 1,
        n = kind ? 2 + (int)cts_rng_below(&r, 4) : 1; /* 0 one area, 1 several */
    cts_phantom_side side = CTS_PHANTOM_SIDE_NONE;

    if (!(p->wanted >> F_CONSOLIDATION & 1))
        return;
    for (int i = 0; i < n; i++) {
        double size = kind ? cts_rng_range(&r, 8, 17) : cts_rng_range(&r, 15, 38);
        prim *halo, *b;

        cts_ph_place_peripheral(p, &r, 0, -1, 0.3 * size, 1.1 * size, at);
        halo = cts_ph_ball(p, LAYER_TEXTURE, F_CONSOLIDATION, CLIP_LUNG, at, 1.2 * size, 1.1 * size, 1.2 * size, -560);
        cts_ph_roughen(halo, &r, 0.25 * size, 0.8 * size);
        halo->soft = 6;
        b = cts_ph_ball(p, LAYER_DENSE, F_CONSOLIDATION, CLIP_LUNG, at, size, size * cts_rng_range(&r, 0.7, 1),
                        size * cts_rng_range(&r, 0.8, 1.1), hu);
        cts_ph_turn(b, cts_rng_range(&r, -1, 1));
        cts_ph_roughen(b, &r, 0.25 * size, 0.6 * size);
        bronchograms(p, at, 1.15 * size);
        side = side == CTS_PHANTOM_SIDE_NONE || side == side_at(at) ? side_at(at) : CTS_PHANTOM_SIDE_BOTH;
        if (size > big) {
            big = size;
            memcpy(first, at, sizeof first);
        }
    }
    cts_ph_set_fact(p, F_CONSOLIDATION, side, kind ? 0 : round(2 * big), first, hu, n,
                    cts_ph_lobe_name(cts_ph_lobe_at(&p->an, first)));
    p->fact[F_CONSOLIDATION].kind = kind;
}

static bool low_zone(const anatomy *an, const double at[3])
{
    int lobe = cts_ph_lobe_at(an, at);

    return (lobe == 1 || lobe == 2 || lobe == 4 || lobe == 5) && at[2] < an->carina_z - 40;
}

static bool back_base(const anatomy *an, const double at[3])
{
    return at[2] < an->carina_z - 50 && at[1] > an->cy + 0.25 * an->d;
}

/* kind 0: plates across the lower zones; 1: a collapsed segment at the base; 2: a dependent layer at the back. */
static void atelectasis(cts_phantom *p)
{
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_ATELECTASIS);
    double u = cts_rng_unit(&r), hu = cts_rng_range(&r, 15, 55), at[3] = {0}, first[3] = {0}, v = cts_rng_unit(&r);
    int kind = u < 0.58 ? 0 : u < 0.78 ? 1 : 2, n = kind == 0 ? 1 + (int)cts_rng_below(&r, 4) : kind == 1 ? 1 : 5;
    cts_phantom_side side = v < 0.32                ? CTS_PHANTOM_SIDE_RIGHT
                            : v < 0.64 || kind == 1 ? CTS_PHANTOM_SIDE_LEFT
                                                    : CTS_PHANTOM_SIDE_BOTH;

    if (!(p->wanted >> F_ATELECTASIS & 1))
        return;
    if (side == CTS_PHANTOM_SIDE_BOTH)
        n = n < 2 ? 2 : n;
    for (int i = 0; i < n * (kind == 2 && side == CTS_PHANTOM_SIDE_BOTH ? 2 : 1); i++) {
        int s = side == CTS_PHANTOM_SIDE_RIGHT ? -1 : side == CTS_PHANTOM_SIDE_LEFT ? 1 : i & 1 ? 1 : -1;
        double wet = p->effusion[s > 0].depth,
               dir[3] = {s * cts_rng_range(&r, -0.5, 0.6), cts_rng_range(&r, -0.5, 0.5), 1};
        prim *b;

        if (kind == 0) {
            cts_ph_place(p, &r, s, -1, 7, low_zone, at);
            b = cts_ph_plate(p, LAYER_NODULE, F_ATELECTASIS, CLIP_LUNG, at, dir, cts_rng_range(&r, 14, 32),
                             cts_rng_range(&r, 2.2, 5), hu);
            cts_ph_roughen(b, &r, 1.6, 14);
        } else if (kind == 1) {
            double size = cts_rng_range(&r, 17, 28);

            for (int tries = 0; tries < 25; tries++) {
                cts_ph_place_peripheral(p, &r, s, s < 0 ? 2 : 4, 4 + wet, 14 + wet, at);
                if (back_base(&p->an, at))
                    break;
            }
            b = cts_ph_ball(p, LAYER_NODULE, F_ATELECTASIS, CLIP_LUNG, at, size * 0.5, size * 1.2, size * 1.1, hu);
            cts_ph_turn(b, s * cts_rng_range(&r, 0.1, 0.6));
            cts_ph_roughen(b, &r, 2.2, 12);
        } else {
            for (int tries = 0; tries < 25; tries++) {
                cts_ph_place_peripheral(p, &r, s, -1, 1 + wet, 6 + wet, at);
                if (back_base(&p->an, at))
                    break;
            }
            b = cts_ph_ball(p, LAYER_NODULE, F_ATELECTASIS, CLIP_LUNG, at, cts_rng_range(&r, 14, 24),
                            cts_rng_range(&r, 4, 8), cts_rng_range(&r, 14, 26), hu);
            cts_ph_turn(b, -s * atan2(fabs(at[0]) / p->an.w, 1.2 * (at[1] - p->an.cy) / p->an.d) * 0.6);
            cts_ph_roughen(b, &r, 2, 12);
        }
        if (!i)
            memcpy(first, at, sizeof first);
    }
    cts_ph_set_fact(p, F_ATELECTASIS, side, 0, first, hu, n,
                    side == CTS_PHANTOM_SIDE_BOTH ? "the lower lobes of both lungs"
                                                  : cts_ph_lobe_name(cts_ph_lobe_at(&p->an, first)));
    p->fact[F_ATELECTASIS].kind = kind;
}

/* Scars: thin irregular bands that reach the pleura, at the apices or in the middle lobe, lingula and bases; apical
 * caps. */
static void fibrotic(cts_phantom *p)
{
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_FIBROTIC);
    double v = cts_rng_unit(&r), hu = cts_rng_range(&r, -140, 30), at[3] = {0}, first[3] = {0};
    int kind = cts_rng_unit(&r) < 0.6 ? 0 : 1, n = 2 + (int)cts_rng_below(&r, 4); /* 0 apical, 1 lower */
    cts_phantom_side side = v < 0.25   ? CTS_PHANTOM_SIDE_RIGHT
                            : v < 0.45 ? CTS_PHANTOM_SIDE_LEFT
                                       : CTS_PHANTOM_SIDE_BOTH;
    bool capped = cts_rng_unit(&r) < 0.5;
    double from = kind ? -200 : p->an.za - 62, to = kind ? p->an.carina_z - 30 : p->an.za;

    if (!(p->wanted >> F_FIBROTIC & 1))
        return;
    for (int i = 0; i < n * (side == CTS_PHANTOM_SIDE_BOTH ? 2 : 1); i++) {
        int s = side == CTS_PHANTOM_SIDE_RIGHT ? -1 : side == CTS_PHANTOM_SIDE_LEFT ? 1 : i & 1 ? 1 : -1;
        double in[3], len = cts_rng_range(&r, 16, 36), dir[3];
        prim *b;

        for (int tries = 0; tries < 60; tries++) {
            cts_ph_place_peripheral(p, &r, s, -1, 0.5, 6, at);
            if (at[2] > from && at[2] < to)
                break;
        }
        /* inwards, to the hilum, with some freedom */
        in[0] = s * 40, in[1] = p->an.cy + 10, in[2] = kind ? at[2] + cts_rng_range(&r, -10, 40) : p->an.carina_z;
        for (int k = 0; k < 3; k++)
            dir[k] = in[k] - at[k] + cts_rng_range(&r, -25, 25);
        v = sqrt(dir[0] * dir[0] + dir[1] * dir[1] + dir[2] * dir[2]);
        for (int k = 0; k < 3; k++)
            in[k] = at[k] + dir[k] / v * len;
        b = cts_ph_tube(p, LAYER_DENSE, F_FIBROTIC, CLIP_LUNG, at, in, cts_rng_range(&r, 1.6, 3.0), 0.7, hu);
        cts_ph_roughen(b, &r, 0.8, 6);
        for (int k = 0; k < 3; k++)
            in[k] = at[k] + dir[k] / v * 0.35 * len;
        {
            double nrm[3] = {dir[1], -dir[0], cts_rng_range(&r, -0.8, 0.8) * v};

            b = cts_ph_plate(p, LAYER_DENSE, F_FIBROTIC, CLIP_LUNG, in, nrm, cts_rng_range(&r, 7, 15),
                             cts_rng_range(&r, 1.2, 2.8), hu);
            cts_ph_roughen(b, &r, 2.2, 9);
        }
        if (kind == 0 && i < 2 && capped) {
            double cap[3] = {s * 0.42 * p->an.w, p->an.cy + 18, p->an.za - 16};

            b = cts_ph_ball(p, LAYER_DENSE, F_FIBROTIC, CLIP_LUNG, cap, 20, 16, cts_rng_range(&r, 2.5, 5), hu + 20);
            cts_ph_roughen(b, &r, 2.5, 9);
        }
        if (!i)
            memcpy(first, at, sizeof first);
    }
    cts_ph_set_fact(p, F_FIBROTIC, side, 0, first, hu, n, cts_ph_zone_name(kind ? 4 : 3, side));
    p->fact[F_FIBROTIC].kind = kind;
}

void cts_ph_find_focal(cts_phantom *p)
{
    nodules(p);
    consolidation(p);
    atelectasis(p);
    fibrotic(p);
}
