/* Bones of the chest wall, the spine, and the tubes of the mediastinum, as primitives.
 * SPDX-License-Identifier: MIT */
#include "data/phantom_internal.h"

#include <math.h>

#define PI 3.14159265358979323846

/* The point of the rib cage at angle phi from the back, towards side, `out` mm outside the pleura. */
static void cage_point(const anatomy *an, double z, double phi, int side, double out, double at[3])
{
    double w, d, cy, r, zz = fmin(z, an->za - 5);

    if (!cts_ph_cage_at(an, zz, &w, &d, &cy))
        w = d = 1, cy = an->cy;
    r = pow(pow(fabs(sin(phi)) / w, 2.5) + pow(fabs(cos(phi)) / d, 2.5), -0.4) + out;
    at[0] = side * r * sin(phi);
    at[1] = cy + r * cos(phi);
    at[2] = z;
}

static void bone_tube(cts_phantom *p, const double a[3], const double b[3], double r, double cortex, double marrow)
{
    cts_ph_tube(p, LAYER_WALL, -1, CLIP_NOT_LUNG, a, b, r, r, cortex);
    cts_ph_tube(p, LAYER_WALL, -1, CLIP_NOT_LUNG, a, b, r * 0.62, r * 0.62, marrow);
}

static void add_ribs(cts_phantom *p)
{
    const anatomy *an = &p->an;
    double cortex = 330 + 0.8 * an->bone_hu;

    for (int i = 0; i < 11; i++) {
        double z = an->za - 8 - 21.0 * i * an->s, drop = i == 0 ? 22 : i < 8 ? 50 + 3.5 * i : 60;
        double end = i < 7 ? 0.76 * PI : (0.76 - 0.1 * (i - 6)) * PI;
        int steps = 11;

        for (int side = -1; side <= 1; side += 2) {
            double a[3], b[3];

            cage_point(an, z, 0.13 * PI, side, 7, a);
            for (int k = 1; k <= steps; k++) {
                double t = (double)k / steps;

                cage_point(an, z - drop * t * t * (1.5 - 0.5 * t), (0.13 + (end / PI - 0.13) * t) * PI, side, 6.5, b);
                bone_tube(p, a, b, 4.8, cortex, an->bone_hu + 20);
                for (int c = 0; c < 3; c++)
                    a[c] = b[c];
            }
            if (i < 7) { /* cartilage to the sternum */
                double front[3];

                cage_point(an, fmin(z - drop + 12, an->za - 12), 0.955 * PI, side, 5, front);
                cts_ph_tube(p, LAYER_WALL, -1, CLIP_NOT_LUNG, a, front, 4.5, 4.5, 95);
            }
        }
    }
}

static void add_girdle(cts_phantom *p)
{
    const anatomy *an = &p->an;
    double cortex = 300 + 0.8 * an->bone_hu, a[3], b[3];

    for (int k = 0; k < 5; k++) {
        cage_point(an, 78 - 26.0 * k * an->s, PI, 1, 7, a);
        cage_point(an, 78 - 26.0 * (k + 1) * an->s, PI, 1, 7, b);
        for (int x = -1; x <= 1; x++) {
            double off = (k == 0 ? 11 : 7) * x, aa[3] = {off, a[1], a[2]}, bb[3] = {off, b[1], b[2]};

            bone_tube(p, aa, bb, 6, cortex * 0.8, an->bone_hu);
        }
    }
    for (int side = -1; side <= 1; side += 2) {
        double in[3] = {side * 16.0, 0, 92}, out[3] = {side * (an->w + 8.0), an->cy - 8, 132}, c[3],
               n[3] = {side * 0.72, 0.69, 0.1};

        cage_point(an, 84, PI, side, 6, a);
        in[1] = a[1];
        bone_tube(p, in, out, 6, cortex, an->bone_hu + 40);
        cage_point(an, 48, 0.27 * PI, side, 24, c);
        cts_ph_plate(p, LAYER_WALL, -1, CLIP_NOT_LUNG, c, n, 38, 5, cortex);
        if (an->female) {
            double fat = 0.6 * an->fat, size = 34 + 0.9 * an->fat;
            double at[3] = {side * 0.52 * an->w, an->body_cy - an->body_d + 10, -22};

            cts_ph_ball(p, LAYER_WALL, -1, CLIP_OUTSIDE, at, size * 1.3, 12 + 0.8 * fat, size * 1.1, an->fat_hu);
            cts_ph_roughen(cts_ph_ball(p, LAYER_WALL, -1, CLIP_NOT_LUNG, at, size * 0.6, 7 + 0.3 * fat, size * 0.55,
                                       an->age < 50 ? 25 : -60),
                           &(cts_rng){p->spec.seed, 7}, 5, 9);
        }
    }
}

static double spine_y(const anatomy *an, double z)
{
    double u = z / 150;

    return an->spine_y + an->kyphosis * (0.5 - u * u);
}

static void add_spine(cts_phantom *p)
{
    const anatomy *an = &p->an;
    double r = 16.5 * an->s, step = 25 * an->s;

    for (int i = -7; i <= 7; i++) {
        double z = i * step + 4, y = spine_y(an, z), y2 = spine_y(an, z + step), up = z + step;
        double a[3] = {0, y, z}, b[3] = {0, y2, up}, top[3] = {0, y + (y2 - y) * 0.62, z + 0.62 * step};
        double lam[3] = {0, y + 1.95 * r, z + 6}, tip[3] = {0, y + 3.2 * r, z - 12}, tl[3] = {-34, y + 1.7 * r, z + 8},
               tr[3] = {34, y + 1.7 * r, z + 8};
        double canal[3] = {0, y + 1.5 * r, z}, canal2[3] = {0, y2 + 1.5 * r, up}, cortex = 250 + 0.8 * an->bone_hu;

        cts_ph_tube(p, LAYER_ORGAN, -1, CLIP_NONE, a, b, r - 0.5, r - 0.5, 78)->solid = true; /* disc */
        cts_ph_tube(p, LAYER_ORGAN, -1, CLIP_NONE, tl, tr, 6, 6, cortex)->solid = true;
        cts_ph_ball(p, LAYER_ORGAN, -1, CLIP_NONE, lam, 17, 9, 11, cortex)->solid = true;
        cts_ph_tube(p, LAYER_ORGAN, -1, CLIP_NONE, lam, tip, 4.5, 3.5, cortex)->solid = true;
        for (int side = -1; side <= 1; side += 2) { /* the body is wider than deep: two overlapping columns */
            double sa[3] = {side * 5.0, a[1], z - 0.38 * step}, sb[3] = {side * 5.0, top[1], top[2] - 0.38 * step};

            sa[2] += 0.38 * step;
            sb[2] += 0.38 * step;
            cts_ph_tube(p, LAYER_ORGAN, -1, CLIP_NONE, sa, sb, r, r, cortex)->solid = true;
        }
        for (int side = -1; side <= 1; side += 2) {
            double sa[3] = {side * 5.0, a[1], z}, sb[3] = {side * 5.0, top[1], top[2]};

            cts_ph_tube(p, LAYER_ORGAN, -1, CLIP_NONE, sa, sb, r - 2, r - 2, an->bone_hu);
        }
        cts_ph_tube(p, LAYER_ORGAN, -1, CLIP_NONE, canal, canal2, 8.5, 8.5, 28)->solid = true;
    }
}

void cts_ph_add_skeleton(cts_phantom *p)
{
    add_ribs(p);
    add_girdle(p);
    add_spine(p);
}

/* A chain of solid tubes through n points of (x, y, z, radius). y counts from the centre of the rib cage. */
static void chain(cts_phantom *p, double (*pt)[4], int n, double hu)
{
    const anatomy *an = &p->an;

    for (int i = 0; i + 1 < n; i++) {
        double a[3] = {pt[i][0] * an->s, pt[i][1] * an->s + an->cy, pt[i][2]};
        double b[3] = {pt[i + 1][0] * an->s, pt[i + 1][1] * an->s + an->cy, pt[i + 1][2]};

        cts_ph_tube(p, LAYER_ORGAN, -1, CLIP_NONE, a, b, pt[i][3], pt[i + 1][3], hu)->solid = true;
    }
}

void cts_ph_aorta(const cts_phantom *p, double pt[CTS_PH_AORTA_POINTS][4])
{
    const anatomy *an = &p->an;
    double r = an->aorta_r, zt = an->arch_z, sy = (spine_y(an, 0) - an->cy) / an->s;
    double line[CTS_PH_AORTA_POINTS][4] = {
        {0, -6, -10, r + 3},      {-16, -18, 14, r + 3},      {-17, -17, zt - 22, r + 2.5}, {-9, -10, zt - 4, r + 1},
        {8, 8, zt, r + 0.5},      {20, 26, zt - 8, r},        {24, sy - 10, zt - 24, r},    {23, sy - 6, 0, r - 0.5},
        {18, sy - 8, -80, r - 1}, {8, sy - 16, -170, r - 1.5}};

    for (int i = 0; i < CTS_PH_AORTA_POINTS; i++) {
        pt[i][0] = line[i][0] * an->s;
        pt[i][1] = line[i][1] * an->s + an->cy;
        pt[i][2] = line[i][2];
        pt[i][3] = line[i][3];
    }
}

void cts_ph_add_mediastinum(cts_phantom *p)
{
    const anatomy *an = &p->an;
    double aorta[CTS_PH_AORTA_POINTS][4], zt = an->arch_z, zc = an->carina_z, k = an->s,
                                          sy = (spine_y(an, 0) - an->cy) / an->s;
    double neck[][3][4] = {{{-9, -10, zt, 6}, {-16, -8, zt + 25, 6}, {-24, -2, 165, 5}},
                           {{3, -2, zt, 4}, {9, -4, zt + 25, 4}, {16, -4, 165, 4}},
                           {{16, 18, zt - 2, 5}, {24, 12, zt + 25, 5}, {36, 2, 165, 4}},
                           {{-30, -12, 28, 8.5}, {-28, -14, zt + 6, 8}, {-32, -14, 165, 7}}};
    double left_vein[][4] = {{-27, -14, zt + 8, 7}, {8, -24, zt + 20, 6.5}, {30, -14, 165, 6}};
    double svc[][4] = {{-30, -10, 34, 9}, {-27, -4, -10, 9.5}},
           ivc[][4] = {{-22, 2, -45, 11}, {-20, 6, -100, 11}, {-18, 12, -170, 11}};
    double trunk[][4] = {{12, -34, -6, 12.5}, {18, -18, zc - 10, 12.5}, {30, -2, zc - 4, 10}, {42, 12, zc - 8, 9}},
           right_pa[][4] = {{14, -14, zc - 10, 10.5}, {-12, -2, zc - 13, 10}, {-40, 6, zc - 20, 8.5}};
    double hila[][2][4] = {
        {{-40, 6, zc - 20, 8.5}, {-44, 14, zc - 50, 6}}, {{42, 12, zc - 8, 9}, {46, 24, zc - 40, 6.5}},
        {{-42, 0, zc - 38, 6}, {-18, 10, -14, 8}},       {{44, 4, zc - 34, 6}, {20, 12, -12, 8}},
        {{-44, 26, zc - 64, 5}, {-18, 14, -22, 7}},      {{46, 30, zc - 60, 5}, {20, 16, -22, 7}}};
    double oeso[][4] = {
        {3, 22, 165, 7}, {4, 30, zc, 7.5}, {0, sy - 22, -20, 7.5}, {10, sy - 28, -85, 8}, {20, sy - 34, -120, 9}};
    double ta[3] = {0, 8 * k + an->cy, 170}, tb[3] = {0, 18 * k + an->cy, zc}, tr = an->female ? 7.5 : 9;

    chain(p, oeso, 5, 36);
    chain(p, svc, 2, an->blood_hu);
    chain(p, ivc, 3, an->blood_hu);
    chain(p, left_vein, 3, an->blood_hu);
    for (int i = 0; i < 4; i++)
        chain(p, neck[i], 3, an->blood_hu);
    for (int i = 0; i < 6; i++)
        chain(p, hila[i], 2, an->blood_hu);
    chain(p, right_pa, 3, an->blood_hu);
    chain(p, trunk, 4, an->blood_hu);
    cts_ph_aorta(p, aorta);
    for (int i = 0; i + 1 < CTS_PH_AORTA_POINTS; i++)
        cts_ph_tube(p, LAYER_ORGAN, -1, CLIP_NONE, aorta[i], aorta[i + 1], aorta[i][3], aorta[i + 1][3], an->blood_hu)
            ->solid = true;
    cts_ph_tube(p, LAYER_ORGAN, -1, CLIP_NONE, ta, tb, tr + 1.6, tr + 1.6, 35)->solid = true;
    cts_ph_tube(p, LAYER_AIRWAY, -1, CLIP_NONE, ta, tb, tr, tr, -1000);
}
