/* Calcium in arterial walls, and lymph nodes of the mediastinum.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "data/phantom_internal.h"

#define PI 3.14159265358979323846

/* A point of the ventricles' surface in its own frame, 1.5 mm out in the fat: along -1..1 base to apex, angle about the
 * axis. */
static void heart_point(const cts_phantom *p, double along, double angle, double at[3])
{
    const ellipsoid *h = &p->heart_large[0];
    double ring = sqrt(1 - along * along),
           f[3] = {along * h->r[0], ring * h->r[1] * cos(angle), ring * h->r[2] * sin(angle)};

    f[1] += 1.5 * cos(angle);
    f[2] += 1.5 * sin(angle);
    for (int k = 0; k < 3; k++)
        at[k] = h->c[k] + f[0] * h->axis[0][k] + f[1] * h->axis[1][k] + f[2] * h->axis[2][k];
}

/* t in 0..1 along an artery: 0 LAD in the groove in front, 1 circumflex and 2 right coronary in the groove behind the
 * base. */
static void coronary_point(const cts_phantom *p, int artery, double t, double at[3])
{
    if (artery == 0)
        heart_point(p, -0.62 + 1.15 * t, (0.62 + 0.1 * t) * PI, at);
    else if (artery == 1)
        heart_point(p, -0.58 + 0.22 * t, (0.55 - 0.6 * t) * PI, at);
    else
        heart_point(p, -0.60 + 0.30 * t, (0.80 + 0.50 * t) * PI, at);
}

static void coronary(cts_phantom *p)
{
    static const char *const names[8] = {"",
                                         "the left anterior descending artery",
                                         "the circumflex artery",
                                         "the left anterior descending and circumflex arteries",
                                         "the right coronary artery",
                                         "the left anterior descending and right coronary arteries",
                                         "the circumflex and right coronary arteries",
                                         "all three coronary arteries"};
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_CORONARY_CALC);
    double grade = cts_rng_unit(&r), at[3], first[3] = {0}, first_hu = 0, b[3];
    int n = 3 + (int)(14 * grade), seen = 0;

    if (!(p->wanted >> F_CORONARY_CALC & 1))
        return;
    for (int i = 0; i < n; i++) {
        double u = cts_rng_unit(&r), t = cts_rng_range(&r, 0.02, 0.8), mm = cts_rng_range(&r, 3, 8 + 7 * grade);
        double rad = cts_rng_range(&r, 0.7, 1.2 + 0.8 * grade), hu = cts_rng_range(&r, 280, 950);
        int artery = u < 0.55 ? 0 : u < 0.75 ? 1 : 2;

        if (grade < 0.3)
            artery = 0;
        coronary_point(p, artery, t, at);
        coronary_point(p, artery, t + mm / 110, b);
        cts_ph_tube(p, LAYER_CALCIUM, F_CORONARY_CALC, CLIP_NONE, at, b, rad, rad, hu);
        seen |= 1 << artery;
        if (!i) {
            memcpy(first, at, sizeof first);
            first_hu = hu;
        }
    }
    cts_ph_set_fact(p, F_CORONARY_CALC, CTS_PHANTOM_SIDE_NONE, 0, first, first_hu, n, names[seen]);
    p->fact[F_CORONARY_CALC].kind = n < 6 ? 0 : n < 11 ? 1 : 2;
}

/* Plaques in the wall of arch and descending aorta, seldom the ascending: short arcs around or along the vessel. */
static void aortic(cts_phantom *p)
{
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_AORTIC_CALC);
    double pt[CTS_PH_AORTA_POINTS][4], grade = cts_rng_unit(&r), first[3] = {0}, first_hu = 0;
    int n = 3 + (int)(15 * grade * sqrt(grade)), arch = 0, down = 0;

    cts_ph_aorta(p, pt);
    if (!(p->wanted >> F_AORTIC_CALC & 1))
        return;
    for (int i = 0; i < n; i++) {
        double u = cts_rng_unit(&r), t = cts_rng_unit(&r), angle = cts_rng_range(&r, -PI, PI),
               hu = cts_rng_range(&r, 350, 1000);
        double mm = cts_rng_range(&r, 5, 10 + 10 * grade), rad = cts_rng_range(&r, 0.8, 1.3 + 0.7 * grade), dir[3],
               e1[3], e2[3], len = 0, last[3];
        int seg = u < 0.08   ? 1
                  : u < 0.55 ? 3 + (int)cts_rng_below(&r, 3)
                             : 6 + (int)cts_rng_below(&r, 2),
            steps = 2 + (int)(mm / 4);
        bool around = cts_rng_unit(&r) < 0.6;

        for (int k = 0; k < 3; k++) {
            dir[k] = pt[seg + 1][k] - pt[seg][k];
            len += dir[k] * dir[k];
        }
        for (int k = 0; k < 3; k++)
            dir[k] /= sqrt(len);
        /* two directions across the vessel */
        e1[0] = -dir[1], e1[1] = dir[0], e1[2] = 0;
        if (hypot(e1[0], e1[1]) < 0.2)
            e1[0] = 1, e1[1] = 0, e1[2] = -dir[0] / (fabs(dir[2]) > 0.1 ? dir[2] : 0.1);
        len = sqrt(e1[0] * e1[0] + e1[1] * e1[1] + e1[2] * e1[2]);
        for (int k = 0; k < 3; k++)
            e1[k] /= len;
        e2[0] = dir[1] * e1[2] - dir[2] * e1[1], e2[1] = dir[2] * e1[0] - dir[0] * e1[2],
        e2[2] = dir[0] * e1[1] - dir[1] * e1[0];
        for (int s = 0; s <= steps; s++) {
            double at[3], along = around ? 0 : mm * s / steps, R = pt[seg][3] + t * (pt[seg + 1][3] - pt[seg][3]) - 0.4;
            double th = angle + (around ? mm / R * s / steps : 0);

            for (int k = 0; k < 3; k++)
                at[k] = pt[seg][k] + t * (pt[seg + 1][k] - pt[seg][k]) + along * dir[k] +
                        R * (cos(th) * e1[k] + sin(th) * e2[k]);
            if (s)
                cts_ph_tube(p, LAYER_CALCIUM, F_AORTIC_CALC, CLIP_NONE, last, at, rad, rad, hu);
            memcpy(last, at, sizeof at);
        }
        arch |= seg < 6, down |= seg >= 6;
        if (!i) {
            memcpy(first, last, sizeof first);
            first_hu = hu;
        }
    }
    cts_ph_set_fact(p, F_AORTIC_CALC, CTS_PHANTOM_SIDE_NONE, 0, first, first_hu, n,
                    arch && down ? "the aortic arch and descending aorta"
                    : arch       ? "the aortic arch"
                                 : "the descending aorta");
    p->fact[F_AORTIC_CALC].kind = n < 6 ? 0 : n < 11 ? 1 : 2;
}

/* Nodes with a short axis above 10 mm at the usual stations. */
static void nodes(cts_phantom *p)
{
    static const char *const names[7] = {"the right upper paratracheal region",
                                         "the right lower paratracheal region",
                                         "the prevascular space",
                                         "the aortopulmonary window",
                                         "the subcarinal region",
                                         "the right hilum",
                                         "the left hilum"};
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_NODES);
    const anatomy *an = &p->an;
    double zc = an->carina_z,
           station[7][3] = {{-17, 6, zc + 34}, {-16, 4, zc + 10},  {6, -36, zc + 16}, {24, 6, zc + 14},
                            {2, 24, zc - 22},  {-44, 12, zc - 32}, {50, 14, zc - 26}};
    double largest = fmin(round(11 + 4.5 * -log(1 - cts_rng_unit(&r))), 32), hu = cts_rng_range(&r, 25, 50),
           first[3] = {0};
    int n = 1 + (int)cts_rng_below(&r, 5), start = (int)cts_rng_below(&r, 7), step = 1 + (int)cts_rng_below(&r, 6);

    if (!(p->wanted >> F_NODES & 1))
        return;
    if (an->contrast)
        hu += 35;
    for (int i = 0; i < n; i++) {
        int where = (start + i * step) % 7;
        double rad = 0.5 * (i ? fmax(10.5, largest * cts_rng_range(&r, 0.6, 1)) : largest), at[3];
        prim *b;

        for (int k = 0; k < 3; k++)
            at[k] = station[where][k] * (k < 2 ? an->s : 1) + (k == 1 ? an->cy : 0) + cts_rng_range(&r, -2, 2);
        b = cts_ph_ball(p, LAYER_MEDIASTINAL, F_NODES, CLIP_NONE, at, rad, rad * cts_rng_range(&r, 1, 1.25),
                        rad * cts_rng_range(&r, 1.1, 1.6), hu);
        cts_ph_turn(b, cts_rng_range(&r, -1, 1));
        cts_ph_roughen(b, &r, 0.08 * rad, rad);
        b->hides = true;
        if (!i)
            memcpy(first, at, sizeof first);
    }
    cts_ph_set_fact(p, F_NODES, CTS_PHANTOM_SIDE_NONE, largest, first, hu, n, names[start]);
    p->fact[F_NODES].kind = start;
}

void cts_ph_find_vessel(cts_phantom *p)
{
    coronary(p);
    aortic(p);
    nodes(p);
}
