/* Pulmonary arteries, veins and airways: trees grown towards random points of the lung, radii by Murray's law (the cube
 * of a parent's radius is the sum of its children's cubes), bronchi beside the arteries.
 * SPDX-License-Identifier: MIT */
#include "data/phantom_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TREE_MAX 640
#define LEAF_RADIUS 0.8 /* mm: the finest vessels drawn; what is finer is the grain of the parenchyma */

typedef struct {
    double at[3];
    int parent, leaves;
} node;

typedef struct {
    node n[TREE_MAX];
    int count;
} tree;

static double dist2(const double a[3], const double b[3])
{
    double d = 0;

    for (int k = 0; k < 3; k++)
        d += (a[k] - b[k]) * (a[k] - b[k]);
    return d;
}

static int by_distance(const void *a, const void *b)
{
    double d = ((const double *)a)[3] - ((const double *)b)[3];

    return d < 0 ? -1 : d > 0;
}

static int add_node(tree *t, const double at[3], int parent)
{
    if (t->count == TREE_MAX)
        return t->count - 1;
    memcpy(t->n[t->count].at, at, 3 * sizeof at[0]);
    t->n[t->count].parent = parent;
    t->n[t->count].leaves = 0;
    return t->count++;
}

/* Join each target, nearest to the root first, to the closest node there is, over a bent half-way point. */
static void grow(const cts_phantom *p, tree *t, cts_rng *r, int side, int n_targets)
{
    double(*goal)[4] = malloc((size_t)n_targets * sizeof *goal);

    if (!goal)
        return;
    for (int i = 0; i < n_targets; i++) {
        cts_ph_place(p, r, side, -1, 4, NULL, goal[i]);
        goal[i][3] = dist2(goal[i], t->n[0].at);
    }
    qsort(goal, (size_t)n_targets, sizeof *goal, by_distance);
    for (int i = 0; i < n_targets; i++) {
        double best = 1e18, mid[3];
        int near = 0;

        for (int k = 0; k < t->count; k++) {
            /* A branch goes outwards: coming from a node farther from the root than the goal costs more. */
            double d = dist2(t->n[k].at, goal[i]), back = dist2(t->n[k].at, t->n[0].at) - goal[i][3];

            d += back > 0 ? back : 0;
            if (d < best)
                best = d, near = k;
        }
        for (int k = 0; k < 3; k++)
            mid[k] = 0.5 * (t->n[near].at[k] + goal[i][k]) + 0.08 * sqrt(best) * cts_rng_range(r, -1, 1);
        add_node(t, goal[i], add_node(t, mid, near));
    }
    for (int i = 0; i < t->count; i++) { /* every end counts 1, summed down to the root */
        bool end = true;

        for (int k = i + 1; k < t->count && end; k++)
            end = t->n[k].parent != i;
        for (int k = i; end && k >= 0; k = t->n[k].parent)
            t->n[k].leaves++;
    }
    free(goal);
}

static void keep_airway(cts_phantom *p, const node *from, const node *to, double radius, int side)
{
    airway *a;

    if (p->n_airways == p->cap_airways) {
        size_t cap = p->cap_airways ? 2 * p->cap_airways : 256;
        airway *grown = realloc(p->airways, cap * sizeof *grown);

        if (!grown) {
            p->no_memory = true;
            return;
        }
        p->airways = grown;
        p->cap_airways = cap;
    }
    a = &p->airways[p->n_airways++];
    for (int k = 0; k < 3; k++) {
        double off = (k == 1 ? 0.75 : k == 0 ? -0.66 * side : 0) * (2 * radius + 0.8);

        a->art_a[k] = (float)from->at[k];
        a->art_b[k] = (float)to->at[k];
        a->a[k] = (float)(from->at[k] + off);
        a->b[k] = (float)(to->at[k] + off);
    }
    a->art_r = (float)radius;
    a->leaves = to->leaves;
    a->side = side;
    a->lobe = cts_ph_lobe_at(&p->an, to->at);
}

static double murray(int leaves)
{
    return LEAF_RADIUS * cbrt(leaves);
}

static void paint_tree(cts_phantom *p, const tree *t, int side, bool arteries)
{
    double hu = p->an.contrast ? p->an.blood_hu : 38;

    for (int i = 1; i < t->count; i++) {
        const node *to = &t->n[i], *from = &t->n[to->parent < 0 ? 0 : to->parent];
        double rb = murray(to->leaves), ra = fmin(murray(from->leaves), 1.35 * rb);

        if (to->parent < 0)
            continue;
        cts_ph_tube(p, LAYER_VESSEL, -1, CLIP_LUNG, from->at, to->at, ra, rb, hu);
        if (arteries)
            keep_airway(p, from, to, rb, side);
    }
}

/* Central airways down to the lobes, walls and lumens. */
static void central_airways(cts_phantom *p, int side, double end[3][3])
{
    const anatomy *an = &p->an;
    double zc = an->carina_z, k = an->s, tr = an->female ? 0.88 : 1;
    /* from, to, radius; rows: main, second, upper, middle or lingula, lower */
    double right[5][7] = {{0, 18, zc, -24, 20, zc - 17, 7},
                          {-24, 20, zc - 17, -33, 20, zc - 40, 5.5},
                          {-24, 20, zc - 15, -44, 10, zc + 2, 4.6},
                          {-33, 20, zc - 40, -46, -6, zc - 52, 3.8},
                          {-33, 20, zc - 40, -43, 34, zc - 64, 4.8}};
    double left[5][7] = {{0, 18, zc, 30, 22, zc - 20, 6.3},
                         {30, 22, zc - 20, 39, 22, zc - 28, 5.5},
                         {39, 22, zc - 26, 52, 4, zc - 8, 4.5},
                         {39, 22, zc - 28, 54, -4, zc - 34, 3.5},
                         {39, 22, zc - 28, 46, 36, zc - 56, 4.8}};

    for (int i = 0; i < 5; i++) {
        double *row = side < 0 ? right[i] : left[i], a[3], b[3], r = row[6] * tr;

        for (int c = 0; c < 3; c++) {
            a[c] = c == 2 ? row[c] : row[c] * k + (c == 1 ? an->cy : 0);
            b[c] = c == 2 ? row[3 + c] : row[3 + c] * k + (c == 1 ? an->cy : 0);
        }
        cts_ph_tube(p, LAYER_ORGAN, -1, CLIP_NONE, a, b, r + 1.4, 0.95 * r + 1.2, 30)->solid = true;
        cts_ph_tube(p, LAYER_AIRWAY, -1, CLIP_NONE, a, b, r, 0.95 * r, -1000);
        if (i >= 2)
            memcpy(end[i - 2], b, sizeof b);
    }
}

static void segmental_airways(cts_phantom *p)
{
    for (size_t i = 0; i < p->n_airways; i++) {
        const airway *w = &p->airways[i];
        double a[3] = {w->a[0], w->a[1], w->a[2]}, b[3] = {w->b[0], w->b[1], w->b[2]}, lumen = 0.85 * w->art_r;

        if (w->leaves < 7) /* a bronchus below 1.1 mm is not seen */
            continue;
        cts_ph_tube(p, LAYER_AIRWAY, -1, CLIP_LUNG, a, b, lumen + 0.55 + 0.1 * lumen, lumen + 0.5, -40);
        cts_ph_tube(p, LAYER_AIRWAY, -1, CLIP_LUNG, a, b, lumen, lumen, -990);
    }
}

void cts_ph_add_trees(cts_phantom *p)
{
    tree *t = malloc(sizeof *t);
    cts_rng r = cts_ph_stream(p, SALT_TREE);

    if (!t) {
        p->no_memory = true;
        return;
    }
    for (int side = -1; side <= 1; side += 2) {
        double end[3][3], vein[3] = {side * 26 * p->an.s, p->an.cy + 12, -16};
        int root;

        central_airways(p, side, end);
        t->count = 0;
        root = add_node(t, (double[3]){side * 38 * p->an.s, p->an.cy + 12, p->an.carina_z - 18}, -1);
        for (int i = 0; i < 3; i++)
            add_node(t, end[i], root);
        grow(p, t, &r, side, 270);
        paint_tree(p, t, side, true);
        t->count = 0;
        add_node(t, vein, -1);
        grow(p, t, &r, side, 130);
        paint_tree(p, t, side, false);
    }
    segmental_airways(p);
    free(t);
}
