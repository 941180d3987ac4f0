/* The list of primitives: adding, shaping, ordering; and random places in the lung.
 * SPDX-License-Identifier: MIT */
#include "data/phantom_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a primitive goes once memory has run out: written, never read. */
static _Thread_local prim spill;

static prim *new_prim(cts_phantom *p, prim_kind kind, int layer, int bit, prim_clip clip, double hu)
{
    prim *b = &spill;

    if (p->n_prims == p->cap_prims) {
        size_t cap = p->cap_prims ? 2 * p->cap_prims : 1024;
        prim *grown = realloc(p->prims, cap * sizeof *grown);

        if (grown) {
            p->prims = grown;
            p->cap_prims = cap;
        } else {
            p->no_memory = true;
        }
    }
    if (p->n_prims < p->cap_prims && !p->no_memory)
        b = &p->prims[p->n_prims++];
    memset(b, 0, sizeof *b);
    b->kind = kind;
    b->layer = layer;
    b->bit = bit;
    b->clip = clip;
    b->hu = (float)hu;
    b->amp = 1;
    b->ct = 1;
    return b;
}

/* The lungs nearly touch behind the sternum: a finding of one does not spill into the other. */
static int half_of(const prim *b)
{
    return b->bit < 0 || b->clip != CLIP_LUNG ? 0 : b->a[0] < 0 ? -1 : 1;
}

static void bounds(prim *b, const double at[3], const double reach[3])
{
    for (int k = 0; k < 3; k++) {
        b->lo[k] = (float)(at[k] - reach[k]);
        b->hi[k] = (float)(at[k] + reach[k]);
    }
}

prim *cts_ph_ball(cts_phantom *p, int layer, int bit, prim_clip clip, const double c[3], double rx, double ry,
                  double rz, double hu)
{
    prim *b = new_prim(p, PRIM_BALL, layer, bit, clip, hu);
    double r[3] = {rx, ry, rz};

    for (int k = 0; k < 3; k++) {
        b->a[k] = (float)c[k];
        b->r[k] = (float)r[k];
    }
    b->half = half_of(b);
    bounds(b, c, r);
    return b;
}

prim *cts_ph_tube(cts_phantom *p, int layer, int bit, prim_clip clip, const double a[3], const double b[3], double ra,
                  double rb, double hu)
{
    prim *t = new_prim(p, PRIM_TUBE, layer, bit, clip, hu);
    double big = fmax(ra, rb);

    for (int k = 0; k < 3; k++) {
        t->a[k] = (float)a[k];
        t->b[k] = (float)b[k];
        t->lo[k] = (float)(fmin(a[k], b[k]) - big);
        t->hi[k] = (float)(fmax(a[k], b[k]) + big);
    }
    t->half = half_of(t);
    t->r[0] = (float)ra;
    t->r[1] = (float)rb;
    return t;
}

prim *cts_ph_plate(cts_phantom *p, int layer, int bit, prim_clip clip, const double c[3], const double n[3],
                   double radius, double thickness, double hu)
{
    prim *b = new_prim(p, PRIM_PLATE, layer, bit, clip, hu);
    double len = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]), reach[3];

    for (int k = 0; k < 3; k++) {
        double u = n[k] / len;

        b->a[k] = (float)c[k];
        b->b[k] = (float)u;
        reach[k] = radius * sqrt(fmax(0, 1 - u * u)) + thickness / 2;
    }
    b->r[0] = (float)radius;
    b->r[1] = (float)(thickness / 2);
    b->half = half_of(b);
    bounds(b, c, reach);
    return b;
}

prim *cts_ph_field(cts_phantom *p, prim_kind kind, int layer, int bit, const double c[3], const double r[3])
{
    prim *b = cts_ph_ball(p, layer, bit, CLIP_LUNG, c, r[0], r[1], r[2], 0);

    b->kind = kind;
    return b;
}

void cts_ph_turn(prim *b, double angle)
{
    double big = fmax(b->r[0], b->r[1]);

    b->ct = (float)cos(angle);
    b->st = (float)sin(angle);
    for (int k = 0; k < 2; k++) {
        b->lo[k] = (float)(b->a[k] - big);
        b->hi[k] = (float)(b->a[k] + big);
    }
}

void cts_ph_roughen(prim *b, cts_rng *r, double warp_mm, double cell_mm)
{
    b->warp = (float)warp_mm;
    b->cell = (float)cell_mm;
    for (int k = 0; k < 3; k++) {
        b->shift[k] = (float)cts_rng_range(r, 0, TEX);
        b->lo[k] -= (float)warp_mm;
        b->hi[k] += (float)warp_mm;
    }
}

/* Stable, by layer: painting order within a layer is the order of adding. */
void cts_ph_sort_prims(cts_phantom *p)
{
    prim *sorted;
    size_t n = 0;

    if (p->no_memory || !(sorted = malloc((p->n_prims + 1) * sizeof *sorted))) {
        p->no_memory = true;
        return;
    }
    for (int layer = 0; layer < LAYERS; layer++)
        for (size_t i = 0; i < p->n_prims; i++)
            if (p->prims[i].layer == layer && (p->prims[i].bit < 0 || p->shown >> p->prims[i].bit & 1))
                sorted[n++] = p->prims[i];
    free(p->prims);
    p->prims = sorted;
    p->cap_prims = p->n_prims + 1;
    p->n_prims = n;
}

cts_rng cts_ph_stream(const cts_phantom *p, int salt)
{
    return cts_rng_make(cts_rng_split(p->spec.seed, (uint64_t)salt));
}

void cts_ph_set_fact(cts_phantom *p, int f, cts_phantom_side side, double size_mm, const double at[3], double hu,
                     int count, const char *where)
{
    cts_phantom_fact *fact = &p->fact[f];
    const anatomy *an = &p->an;
    double c = cos(an->turn), s = sin(an->turn);

    fact->present = true;
    fact->side = side;
    fact->size_mm = size_mm;
    /* patient to scanner, then L-P-S to R-A-S */
    fact->centre_mm[0] = -(c * at[0] - s * at[1] + an->shift[0]);
    fact->centre_mm[1] = -(s * at[0] + c * at[1] + an->shift[1]);
    fact->centre_mm[2] = at[2] + an->shift[2];
    fact->hu = hu;
    fact->count = count;
    snprintf(fact->where, sizeof fact->where, "%s", where);
}

/* Bones, great vessels and airways bulge into what the smooth surfaces call lung. */
static bool clear_of_organs(const cts_phantom *p, const double at[3], double margin)
{
    for (size_t i = 0; i < p->n_prims; i++) {
        const prim *b = &p->prims[i];
        double t = 0, len = 1e-9, d = 0;
        bool near = b->solid;

        for (int k = 0; k < 3 && near; k++)
            near = at[k] > (double)b->lo[k] - margin && at[k] < (double)b->hi[k] + margin;
        if (!near)
            continue;
        if (b->kind != PRIM_TUBE) /* its box is close enough */
            return false;
        for (int k = 0; k < 3; k++) {
            t += (at[k] - b->a[k]) * (b->b[k] - b->a[k]);
            len += (b->b[k] - b->a[k]) * (b->b[k] - b->a[k]);
        }
        t = fmin(fmax(t / len, 0), 1);
        for (int k = 0; k < 3; k++)
            d += pow(at[k] - b->a[k] - t * (b->b[k] - b->a[k]), 2);
        if (sqrt(d) < fmax(b->r[0], b->r[1]) + margin)
            return false;
    }
    return true;
}

static void lung_box(const anatomy *an, cts_rng *r, int side, double at[3])
{
    int s = side ? side : cts_rng_unit(r) < 0.54 ? -1 : 1; /* the right lung is the larger */

    at[0] = s * cts_rng_range(r, 0.1 * an->w, an->w);
    at[1] = an->cy + cts_rng_range(r, -an->d, an->d);
    at[2] = cts_rng_range(r, an->dome_z[0] - 45, an->za - 4);
}

bool cts_ph_place(const cts_phantom *p, cts_rng *r, int side, int lobe, double margin, cts_ph_accept_fn accept,
                  double at[3])
{
    double best = -1e9, q[3];

    for (int i = 0; i < 600; i++) {
        double m;
        bool fits;

        lung_box(&p->an, r, side, q);
        if ((lobe >= 0 && cts_ph_lobe_at(&p->an, q) != lobe) || (accept && !accept(&p->an, q)))
            continue;
        m = cts_ph_lung_margin(p, q);
        fits = m >= margin && clear_of_organs(p, q, margin);
        if (fits || m > best) {
            best = m;
            memcpy(at, q, sizeof q);
        }
        if (fits)
            return true;
    }
    /* A side, lobe and region that exclude each other: anywhere in that lung. */
    return best > -1e9 ? false : cts_ph_place(p, r, side, -1, margin, NULL, at);
}

bool cts_ph_place_peripheral(const cts_phantom *p, cts_rng *r, int side, int lobe, double near_mm, double far_mm,
                             double at[3])
{
    for (int i = 0; i < 600; i++) {
        double w, d, cy, u, v, depth, q[3];

        lung_box(&p->an, r, side, q);
        if (lobe >= 0 && cts_ph_lobe_at(&p->an, q) != lobe)
            continue;
        if (!cts_ph_cage_at(&p->an, q[2], &w, &d, &cy))
            continue;
        u = fabs(q[0]) / w, v = fabs(q[1] - cy) / d;
        depth = hypot(q[0], q[1] - cy) * (1 / (pow(pow(u, 2.5) + pow(v, 2.5), 0.4) + 1e-9) - 1);
        if (depth >= near_mm && depth <= far_mm && cts_ph_lung_margin(p, q) > fmin(2, near_mm) &&
            clear_of_organs(p, q, 3)) {
            memcpy(at, q, sizeof q);
            return true;
        }
    }
    return cts_ph_place(p, r, side, lobe, near_mm, NULL, at);
}
