/* The patient's shape: numbers drawn once, and the surfaces they define, for placing things. The renderer evaluates the
 * same surfaces row by row (phantom_base.c).
 * SPDX-License-Identifier: MIT */
#include "data/phantom_internal.h"

#include <math.h>
#include <string.h>

static double clampd(double v, double lo, double hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* The heart as three ellipsoids: ventricles along an axis to the left, front and below; right atrium; left atrium.
 * Scaled about its base, so that a large heart grows towards the apex as a dilated ventricle does. */
static void place_heart(ellipsoid heart[HEART_PARTS], const anatomy *an, double scale)
{
    static const double shape[HEART_PARTS][6] = {
        {19, -24, -38, 62, 44, 42}, {-22, -8, -28, 27, 31, 38}, {2, 12, -16, 36, 22, 24}};
    static const double axis[3] = {0.69, -0.44, -0.57}, anchor[3] = {-4, -4, -8};
    double u[3], v[3], n;

    n = sqrt(axis[0] * axis[0] + axis[1] * axis[1]);
    u[0] = -axis[1] / n, u[1] = axis[0] / n, u[2] = 0;
    v[0] = axis[1] * u[2] - axis[2] * u[1];
    v[1] = axis[2] * u[0] - axis[0] * u[2];
    v[2] = axis[0] * u[1] - axis[1] * u[0];
    for (int e = 0; e < HEART_PARTS; e++) {
        ellipsoid *h = &heart[e];

        for (int k = 0; k < 3; k++) {
            h->c[k] = (float)(anchor[k] * an->s + (shape[e][k] - anchor[k]) * scale);
            h->r[k] = (float)(shape[e][3 + k] * scale);
            h->axis[0][k] = e ? k == 0 : (float)axis[k];
            h->axis[1][k] = e ? k == 1 : (float)u[k];
            h->axis[2][k] = e ? k == 2 : (float)v[k];
        }
        h->c[1] += (float)an->cy;
    }
}

static double heart_width(const ellipsoid heart[HEART_PARTS])
{
    double lo = 1e9, hi = -1e9;

    for (int e = 0; e < HEART_PARTS; e++) {
        double half = 0;

        for (int k = 0; k < 3; k++)
            half += pow((double)heart[e].axis[k][0] * heart[e].r[k], 2);
        half = sqrt(half);
        lo = fmin(lo, heart[e].c[0] - half);
        hi = fmax(hi, heart[e].c[0] + half);
    }
    return hi - lo;
}

/* Width grows linearly with the scale, so two evaluations give the scale for a wanted cardiothoracic ratio. */
void cts_ph_fit_heart(ellipsoid heart[HEART_PARTS], const anatomy *an, double ratio)
{
    double w1, w2, want = ratio * 2 * an->w;

    place_heart(heart, an, 1.0);
    w1 = heart_width(heart);
    place_heart(heart, an, 1.5);
    w2 = heart_width(heart);
    place_heart(heart, an, 1.0 + 0.5 * (want - w1) / (w2 - w1));
}

static void draw_outside(anatomy *an, cts_rng *r)
{
    double habitus = cts_rng_unit(r), build = clampd(cts_rng_normal(r), -2, 2);

    an->female = cts_rng_unit(r) < 0.45;
    an->age = (int)clampd(56 + 16 * cts_rng_normal(r), 19, 92);
    an->contrast = cts_rng_unit(r) < 0.12;
    an->w = (an->female ? 118 : 130) + 7 * build;
    an->d = (an->female ? 80 : 87) + 5 * build + cts_rng_range(r, -5, 8);
    an->fat = 5 + 30 * habitus * habitus + (an->female ? 5 : 0);
    an->skin = 2;
    an->body_w = an->w + 24 + an->fat * 1.15 + cts_rng_range(r, -3, 5);
    an->body_d = an->d + 25 + an->fat * 0.8 + cts_rng_range(r, -3, 3);
    an->cy = cts_rng_range(r, -4, 4);
    an->body_cy = an->cy + 6 + cts_rng_range(r, -2, 2);
    an->turn = clampd(0.035 * cts_rng_normal(r), -0.09, 0.09);
    an->shift[0] = clampd(6 * cts_rng_normal(r), -14, 14);
    an->shift[1] = clampd(6 * cts_rng_normal(r), -14, 14);
    an->shift[2] = clampd(7 * cts_rng_normal(r), -16, 16);
}

static void draw_inside(anatomy *an, cts_rng *r)
{
    double breath = cts_rng_range(r, -1, 1); /* -1 shallow: high diaphragm, dense lung */

    an->z0 = cts_rng_range(r, -35, -10);
    an->za = cts_rng_range(r, 112, 128);
    an->dome_z[0] = -72 - 14 * breath + cts_rng_range(r, -5, 5);
    an->dome_z[1] = an->dome_z[0] - cts_rng_range(r, 4, 18);
    an->dome_a = cts_rng_range(r, 20, 30);
    an->dome_b[0] = cts_rng_range(r, 24, 36);
    an->dome_b[1] = cts_rng_range(r, 62, 80);
    an->dome_x = 0.54;
    an->s = an->w / 128;
    an->med = 19 * an->s + cts_rng_range(r, -2, 4);
    an->carina_z = 30 + cts_rng_range(r, -6, 8);
    an->arch_z = an->carina_z + 32 + cts_rng_range(r, -4, 5);
    an->aorta_r = (11.5 + 0.05 * (an->age - 50) + cts_rng_range(r, -1, 1.5)) * (an->female ? 0.93 : 1.0);
    an->spine_y = an->cy + an->d - 27 + cts_rng_range(r, -3, 2);
    an->kyphosis = cts_rng_range(r, 4, 16) + (an->age > 65 ? 4 : 0);
    an->lung_hu = -856 - 22 * breath + cts_rng_range(r, -14, 14);
    an->lung_gradient = cts_rng_range(r, 18, 50);
    an->blood_hu = an->contrast ? cts_rng_range(r, 140, 260) : cts_rng_range(r, 34, 46);
    an->myocardium_hu = an->contrast ? cts_rng_range(r, 85, 120) : cts_rng_range(r, 40, 50);
    an->muscle_hu = cts_rng_range(r, 38, 62);
    an->fat_hu = cts_rng_range(r, -112, -92);
    an->liver_hu = cts_rng_unit(r) < 0.25 ? cts_rng_range(r, 8, 42) : cts_rng_range(r, 50, 66);
    an->bone_hu = 230 - 1.7 * (an->age - 30) + cts_rng_range(r, -25, 25);
    an->ctr_normal = clampd(0.435 + 0.025 * cts_rng_normal(r), 0.37, 0.485);
    an->epicardial_mm = cts_rng_range(r, 2.5, 6.5);
}

static void draw_tables(cts_phantom *p)
{
    cts_rng r = cts_rng_make(cts_rng_split(p->spec.seed, SALT_TEXTURE));

    for (int i = 0; i < TEX * TEX * TEX; i++)
        (&p->tex[0][0][0])[i] = (float)cts_rng_range(&r, -1, 1);
    for (int i = 0; i < CELLS * CELLS * CELLS; i++) {
        float *c = (&p->cells[0][0][0][0]) + (size_t)4 * (size_t)i;

        for (int k = 0; k < 3; k++)
            c[k] = (float)cts_rng_range(&r, 0.16, 0.84);
        c[3] = (float)cts_rng_unit(&r);
    }
}

void cts_ph_draw_anatomy(cts_phantom *p)
{
    cts_rng r = cts_rng_make(cts_rng_split(p->spec.seed, SALT_ANATOMY));
    anatomy *an = &p->an;
    double noise;

    draw_outside(an, &r);
    draw_inside(an, &r);
    noise = cts_rng_range(&r, 6, 18) * (1 + 0.008 * an->fat);
    cts_ph_fit_heart(p->heart_normal, an, an->ctr_normal);
    memcpy(p->heart_large, p->heart_normal, sizeof p->heart_large);
    memcpy(p->heart, p->heart_normal, sizeof p->heart);
    p->spleen = (ellipsoid){{(float)(0.62 * an->w), (float)(an->cy + 0.42 * an->d), (float)(an->dome_z[1] - 44)},
                            {26, 40, 30},
                            {{0.8f, 0.6f, 0}, {-0.6f, 0.8f, 0}, {0, 0, 1}}};
    p->stomach = (ellipsoid){{(float)(0.42 * an->w), (float)(an->cy - 0.18 * an->d), (float)(an->dome_z[1] - 40)},
                             {38, 40, 32},
                             {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
    for (int e = 0; e < 2; e++) {
        ellipsoid *o = e ? &p->stomach : &p->spleen;

        for (int k = 0; k < 3; k++)
            o->r[k] *= (float)(an->s * cts_rng_range(&r, 0.85, 1.1));
    }
    draw_tables(p);
    p->info.sex = an->female ? 'F' : 'M';
    p->info.age_years = an->age;
    p->info.contrast = an->contrast;
    p->info.cardiothoracic_ratio = an->ctr_normal;
    p->info.noise_hu = p->spec.noise_hu > 0 ? p->spec.noise_hu : p->spec.noise_hu < 0 ? 0 : noise;
}

bool cts_ph_cage_at(const anatomy *an, double z, double *w, double *d, double *cy)
{
    double u = (z - an->z0) / (an->za - an->z0), s;

    if (u >= 1)
        return false;
    s = u > 0 ? sqrt(1 - u * u) : 1 - 0.03 * u * u;
    *w = an->w * s;
    *d = an->d * (u > 0 ? pow(s, 0.75) : s);
    *cy = an->cy + (u > 0 ? 18 * u * u : 0);
    return true;
}

double cts_ph_diaphragm_z(const anatomy *an, double x, double y)
{
    double v = (y - an->cy) / an->d, best = -1e9;

    for (int side = 0; side < 2; side++) {
        double u = (x - (side ? 1 : -1) * an->dome_x * an->w) / (an->dome_x * an->w), w = v + 0.15;

        best = fmax(best, an->dome_z[side] - an->dome_a * u * u - an->dome_b[w > 0] * w * w);
    }
    return best;
}

double cts_ph_mediastinum_half(const anatomy *an, double y, double z)
{
    double top = clampd((z - an->arch_z) / 40, 0, 1), front = clampd((an->cy - 0.45 * an->d - y) / 25, 0, 1);

    return an->med + 14 * top * (1 - front) - 9 * front;
}

double cts_ph_ellipsoid_distance(const ellipsoid *e, const double at[3])
{
    double k0 = 0, k1 = 0;

    for (int a = 0; a < 3; a++) {
        double t = 0;

        for (int k = 0; k < 3; k++)
            t += e->axis[a][k] * (at[k] - e->c[k]);
        t /= e->r[a];
        k0 += t * t;
        k1 += t * t / ((double)e->r[a] * e->r[a]);
    }
    k0 = sqrt(k0);
    return k0 * (k0 - 1) / sqrt(k1 + 1e-12);
}

double cts_ph_heart_distance(const ellipsoid heart[HEART_PARTS], const double at[3])
{
    double d = 1e9;

    for (int e = 0; e < HEART_PARTS; e++)
        d = fmin(d, cts_ph_ellipsoid_distance(&heart[e], at));
    return d;
}

double cts_ph_effusion_depth(const cts_phantom *p, int side01, double y, double z)
{
    double back, height;

    if (p->effusion[side01].depth <= 0)
        return 0;
    back = clampd((y - p->effusion[side01].front) / (p->an.cy + p->an.d - p->effusion[side01].front), 0, 1);
    height = clampd((p->effusion[side01].top - z) / 70, 0, 1);
    return p->effusion[side01].depth * back * sqrt(height);
}

double cts_ph_lung_margin(const cts_phantom *p, const double at[3])
{
    const anatomy *an = &p->an;
    double w, d, cy, u, v, f, m, g;
    int side = at[0] > 0;

    if (!cts_ph_cage_at(an, at[2], &w, &d, &cy))
        return -1e3;
    u = fabs(at[0]) / w, v = fabs(at[1] - cy) / d;
    f = pow(pow(u, 2.5) + pow(v, 2.5), 0.4);
    m = sqrt(at[0] * at[0] + (at[1] - cy) * (at[1] - cy)) * (1 / (f + 1e-9) - 1);
    m = fmin(m, fabs(at[0]) - cts_ph_mediastinum_half(an, at[1], at[2]));
    m = fmin(m, (at[2] - cts_ph_diaphragm_z(an, at[0], at[1])) * 0.75);
    m = fmin(m, (an->za - at[2]) * 0.6);
    g = cts_ph_heart_distance(p->heart_large, at) - an->epicardial_mm - p->pericardial_wanted_mm;
    m = fmin(m, g);
    if (p->effusion[side].depth > 0)
        m = fmin(m, sqrt(at[0] * at[0] + (at[1] - cy) * (at[1] - cy)) * (1 / (f + 1e-9) - 1) -
                        cts_ph_effusion_depth(p, side, at[1], at[2]));
    return m;
}

int cts_ph_lobe_at(const anatomy *an, const double at[3])
{
    double oblique = -18 + 66 * (at[1] - an->cy) / an->d;

    if (at[0] < 0)
        return at[2] < oblique ? 2 : at[2] < 2 ? 1 : 0;
    return at[2] < oblique ? 4 : at[2] < -14 ? 5 : 3;
}

const char *cts_ph_lobe_name(int lobe)
{
    static const char *const names[6] = {"the right upper lobe", "the right middle lobe", "the right lower lobe",
                                         "the left upper lobe",  "the left lower lobe",   "the lingula"};

    return names[lobe];
}

const char *cts_ph_zone_name(int zone, cts_phantom_side side)
{
    static const char *const names[5][3] = {
        {"the right upper lobe", "the left upper lobe", "the upper lobes of both lungs"},
        {"the right lower lobe", "the left lower lobe", "the lower lobes of both lungs"},
        {"the right lung", "the left lung", "both lungs"},
        {"the right apex", "the left apex", "the apices of both lungs"},
        {"the lower zone of the right lung", "the lower zone of the left lung", "the lower zones of both lungs"}};

    return names[zone][side == CTS_PHANTOM_SIDE_RIGHT ? 0 : side == CTS_PHANTOM_SIDE_LEFT ? 1 : 2];
}

const char *cts_ph_segment_name(const anatomy *an, const double at[3])
{
    double v = (at[1] - an->cy) / an->d;
    int right = at[0] < 0;

    switch (cts_ph_lobe_at(an, at)) {
    case 0:
        return at[2] > 70 ? "the apical segment of the right upper lobe"
               : v < 0    ? "the anterior segment of the right upper lobe"
                          : "the posterior segment of the right upper lobe";
    case 1:
        return fabs(at[0]) < 0.55 * an->w ? "the medial segment of the right middle lobe"
                                          : "the lateral segment of the right middle lobe";
    case 3:
        return at[2] > 60 || v > 0 ? "the apicoposterior segment of the left upper lobe"
                                   : "the anterior segment of the left upper lobe";
    case 5:
        return at[2] > -40 ? "the superior segment of the lingula" : "the inferior segment of the lingula";
    default:
        if (at[2] > -5)
            return right ? "the superior segment of the right lower lobe"
                         : "the superior segment of the left lower lobe";
        if (v > 0.35)
            return right ? "the posterobasal segment of the right lower lobe"
                         : "the posterobasal segment of the left lower lobe";
        if (fabs(at[0]) > 0.6 * an->w)
            return right ? "the laterobasal segment of the right lower lobe"
                         : "the laterobasal segment of the left lower lobe";
        return right ? "the anterobasal segment of the right lower lobe"
                     : "the anterobasal segment of the left lower lobe";
    }
}
