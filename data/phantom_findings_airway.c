/* Findings of the bronchi: thick walls, dilatation.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "data/phantom_internal.h"

static void ends(const airway *w, double gap, double a[3], double b[3])
{
    /* The bronchus lies behind and medial to its artery; gap mm between the centre lines. */
    for (int k = 0; k < 3; k++) {
        double off = (k == 1 ? 0.75 : k == 0 ? -0.66 * w->side : 0) * gap;

        a[k] = w->art_a[k] + off;
        b[k] = w->art_b[k] + off;
    }
}

static void peribronchial(cts_phantom *p)
{
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_PERIBRONCHIAL);
    double thick = cts_rng_range(&r, 1.1, 2.2), hu = cts_rng_range(&r, -20, 35), at[3] = {0};
    int kind = (int)cts_rng_below(&r, 3), n = 0; /* 0 central and lower of both lungs, 1 both lungs, 2 lower lobes */

    if (!(p->wanted >> F_PERIBRONCHIAL & 1))
        return;
    for (size_t i = 0; i < p->n_airways; i++) {
        const airway *w = &p->airways[i];
        double lumen = fmax(0.85 * w->art_r, 0.8), a[3], b[3];
        bool low = w->lobe == 2 || w->lobe == 4 || w->lobe == 1 || w->lobe == 5;

        if (w->leaves < 6 || (kind == 2 && !low) || (kind == 0 && w->leaves < 9 && !low))
            continue;
        ends(w, lumen + thick + w->art_r, a, b);
        cts_ph_tube(p, LAYER_AIRWAY, F_PERIBRONCHIAL, CLIP_LUNG, a, b, lumen + thick, lumen + 0.9 * thick, hu);
        cts_ph_tube(p, LAYER_AIRWAY, F_PERIBRONCHIAL, CLIP_LUNG, a, b, lumen, lumen, -985);
        if (!n++)
            memcpy(at, b, sizeof at);
    }
    cts_ph_set_fact(p, F_PERIBRONCHIAL, CTS_PHANTOM_SIDE_BOTH, 0, at, hu, n,
                    kind == 2   ? "the lower lobes of both lungs"
                    : kind == 1 ? "both lungs"
                                : "the central parts of both lungs");
    p->fact[F_PERIBRONCHIAL].kind = kind;
}

/* A bronchus wider than its artery all the way to the outer lung. kind 0 cylindrical, 1 varicose, 2 with cysts. */
static void bronchiectasis(cts_phantom *p)
{
    static const int lobes[6] = {0, 1, 2, 3, 4, 5};
    cts_rng r = cts_ph_stream(p, SALT_FINDING + F_BRONCHIECTASIS);
    double u = cts_rng_unit(&r), widen = cts_rng_range(&r, 1.6, 2.5), wall = cts_rng_range(&r, 0.8, 1.5), at[3] = {0},
           best = 0;
    int kind = u < 0.65 ? 0 : u < 0.85 ? 1 : 2, pick = lobes[cts_rng_below(&r, 6)], n = 0;
    bool both = cts_rng_unit(&r) < 0.42;
    int other = both ? (pick == 0 ? 3 : pick == 1 ? 5 : pick == 2 ? 4 : pick == 3 ? 0 : pick == 4 ? 2 : 1) : -1;

    if (!(p->wanted >> F_BRONCHIECTASIS & 1))
        return;
    for (size_t i = 0; i < p->n_airways; i++) {
        const airway *w = &p->airways[i];
        double lumen = fmax(widen * w->art_r, 1.9), a[3], b[3], vary = cts_rng_range(&r, 0.75, 1.25),
               cyst = cts_rng_unit(&r), keep = cts_rng_unit(&r);

        if (w->leaves < 3 || w->leaves > 24 || (w->lobe != pick && w->lobe != other) || keep > 0.75)
            continue;
        lumen = fmin(kind == 1 ? lumen * vary : lumen, 7);
        ends(w, lumen + wall + w->art_r, a, b);
        cts_ph_tube(p, LAYER_AIRWAY, F_BRONCHIECTASIS, CLIP_LUNG, a, b, lumen + wall, 0.9 * lumen + wall, 10);
        cts_ph_tube(p, LAYER_AIRWAY, F_BRONCHIECTASIS, CLIP_LUNG, a, b, lumen, 0.9 * lumen, -990);
        if (kind == 2 && w->leaves < 6 && cyst < 0.5) {
            double size = cts_rng_range(&r, 4, 8);

            cts_ph_ball(p, LAYER_AIRWAY, F_BRONCHIECTASIS, CLIP_LUNG, b, size + wall, size + wall, size + wall, 10);
            cts_ph_ball(p, LAYER_AIRWAY, F_BRONCHIECTASIS, CLIP_LUNG, b, size, size, size, -990);
        }
        n++;
        if (lumen > best) {
            best = lumen;
            for (int k = 0; k < 3; k++)
                at[k] = 0.5 * (a[k] + b[k]);
        }
    }
    if (!n) { /* a lobe too small to hold a branch of that size: one dilated bronchus in it */
        double in[3];

        cts_ph_place(p, &r, pick < 3 ? -1 : 1, pick, 8, NULL, at);
        for (int k = 0; k < 3; k++)
            in[k] = at[k] + (k == 0 ? (pick < 3 ? 18 : -18) : k == 2 ? 6 : 0);
        cts_ph_tube(p, LAYER_AIRWAY, F_BRONCHIECTASIS, CLIP_LUNG, at, in, 2.6 + wall, 2.6 + wall, 10);
        cts_ph_tube(p, LAYER_AIRWAY, F_BRONCHIECTASIS, CLIP_LUNG, at, in, 2.6, 2.6, -990);
        n = 1;
    }
    cts_ph_set_fact(p, F_BRONCHIECTASIS,
                    both       ? CTS_PHANTOM_SIDE_BOTH
                    : pick < 3 ? CTS_PHANTOM_SIDE_RIGHT
                               : CTS_PHANTOM_SIDE_LEFT,
                    0, at, -990, n,
                    both ? (pick == 0 || pick == 3   ? "the upper lobes of both lungs"
                            : pick == 2 || pick == 4 ? "the lower lobes of both lungs"
                                                     : "the right middle lobe and the lingula")
                         : cts_ph_lobe_name(pick));
    p->fact[F_BRONCHIECTASIS].kind = kind;
}

void cts_ph_find_airway(cts_phantom *p)
{
    bronchiectasis(p);
    peribronchial(p);
}
