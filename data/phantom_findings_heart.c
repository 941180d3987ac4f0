/* Findings that decide what is lung: cardiomegaly, pericardial and pleural effusion.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "data/phantom_internal.h"

static void large_heart(cts_phantom *p)
{
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_CARDIOMEGALY);
    double at[3];

    p->an.ctr_large = cts_rng_range(&r, 0.525, 0.63);
    if (!(p->wanted >> F_CARDIOMEGALY & 1))
        return;
    cts_ph_fit_heart(p->heart_large, &p->an, p->an.ctr_large);
    if (p->shown >> F_CARDIOMEGALY & 1) {
        memcpy(p->heart, p->heart_large, sizeof p->heart);
        p->info.cardiothoracic_ratio = p->an.ctr_large;
    }
    for (int k = 0; k < 3; k++)
        at[k] = p->heart_large[0].c[k];
    cts_ph_set_fact(p, F_CARDIOMEGALY, CTS_PHANTOM_SIDE_NONE, p->an.ctr_large * 2 * p->an.w, at, p->an.blood_hu, 1, "");
}

static void pericardial(cts_phantom *p)
{
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_PERICARDIAL);
    double mm = 5 + 4 * -log(1 - cts_rng_unit(&r)), hu = cts_rng_range(&r, 2, 22), at[3];

    mm = fmin(mm, 22);
    if (!(p->wanted >> F_PERICARDIAL & 1))
        return;
    p->pericardial_wanted_mm = mm;
    if (p->shown >> F_PERICARDIAL & 1) {
        p->pericardial_mm = mm;
        p->pericardial_hu = hu;
    }
    for (int k = 0; k < 3; k++)
        at[k] = p->heart_large[0].c[k] + (k == 1 ? (double)p->heart_large[0].r[1] : 0);
    cts_ph_set_fact(p, F_PERICARDIAL, CTS_PHANTOM_SIDE_NONE, round(mm), at, hu, 1, "");
}

/* Free fluid of a lying patient: a crescent along the back, deepest at the base. */
static void pleural(cts_phantom *p)
{
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_EFFUSION);
    double which = cts_rng_unit(&r), hu = cts_rng_range(&r, 2, 18), box[3] = {p->an.w, p->an.d, 130}, at[3], big = 0;
    cts_phantom_side side = which < 0.3    ? CTS_PHANTOM_SIDE_RIGHT
                            : which < 0.55 ? CTS_PHANTOM_SIDE_LEFT
                                           : CTS_PHANTOM_SIDE_BOTH;
    int worst = 0;

    if (!(p->wanted >> F_EFFUSION & 1))
        return;
    for (int s = 0; s < 2; s++) {
        double depth = fmin(10 + 16 * -log(1 - cts_rng_unit(&r)), 62), low = p->an.dome_z[s] - 30;
        double c[3] = {(s ? 0.5 : -0.5) * p->an.w, p->an.cy, 0};
        prim *b;

        if (side == (s ? CTS_PHANTOM_SIDE_RIGHT : CTS_PHANTOM_SIDE_LEFT))
            continue;
        p->effusion[s].depth = round(depth);
        p->effusion[s].hu = hu;
        p->effusion[s].top = fmin(low + 50 + 2.4 * depth + cts_rng_range(&r, 0, 25), p->an.za - 25);
        p->effusion[s].front = p->an.cy + p->an.d * cts_rng_range(&r, -0.25, 0.15) - 0.4 * depth;
        b = cts_ph_field(p, PRIM_EFFUSION, LAYER_FLUID, F_EFFUSION, c, box);
        b->lo[s ? 0 : 1] = s ? 0 : b->lo[1]; /* one side only; the midline is mediastinum */
        if (!s)
            b->hi[0] = 0;
        b->hu = (float)hu;
        b->hides = true;
        if (p->effusion[s].depth > big)
            big = p->effusion[s].depth, worst = s;
    }
    at[0] = (worst ? 0.45 : -0.45) * p->an.w;
    at[1] = p->an.cy + 0.84 * p->an.d - 0.3 * big;
    at[2] = p->an.dome_z[worst] - 12;
    cts_ph_set_fact(p, F_EFFUSION, side, big, at, hu, side == CTS_PHANTOM_SIDE_BOTH ? 2 : 1, "");
    p->fact[F_EFFUSION].kind = big < 15 ? 0 : big < 35 ? 1 : 2;
}

void cts_ph_find_heart(cts_phantom *p)
{
    large_heart(p);
    pericardial(p);
    pleural(p);
}
