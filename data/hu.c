/* SPDX-License-Identifier: MIT */
#include "data/hu.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "kernels/base/check.h"

#define LOOK_AT ((size_t)1 << 20)
/* The least that a chest CT shows of each, far below what one does (air 30 to 60 %, soft tissue 10 to 30 %), far
 * above what a map that is off by 1000 puts there (calcified bone, below 0.5 %). */
#define LEAST_AIR 0.02
#define LEAST_TISSUE 0.02

static const char *const map_names[CTS_HU_MAPS] = {"header", "header+csv", "raw"};

const char *cts_hu_map_name(cts_hu_map m)
{
    return map_names[m];
}

static double voxel(const cts_volume *v, size_t i)
{
    return v->type == CTS_VOXEL_I16 ? ((const int16_t *)v->voxels)[i] : (double)((const float *)v->voxels)[i];
}

static void look(cts_hu_candidate *c, const cts_volume *v)
{
    size_t n = cts_volume_count(v), step = n / LOOK_AT + 1, air = 0, tissue = 0, seen = 0;

    c->given = true;
    c->min = c->max = c->slope * voxel(v, 0) + c->inter;
    /* an odd step walks through all columns of a volume whose sides are powers of two */
    for (size_t i = 0; i < n; i += step | 1, seen++) {
        double hu = c->slope * voxel(v, i) + c->inter;

        if (hu < c->min)
            c->min = hu;
        if (hu > c->max)
            c->max = hu;
        air += hu >= -1100 && hu <= -800;
        tissue += hu >= -20 && hu <= 100;
    }
    c->air = (double)air / (double)seen;
    c->tissue = (double)tissue / (double)seen;
    c->plausible = c->air >= LEAST_AIR && c->tissue >= LEAST_TISSUE;
}

static void choose(cts_hu_verdict *o, cts_hu_policy policy)
{
    o->chosen = o->map[CTS_HU_HEADER_CSV].given ? CTS_HU_HEADER_CSV : CTS_HU_HEADER;
    if (policy == CTS_HU_POLICY_HEADER)
        o->chosen = CTS_HU_HEADER;
    if (policy == CTS_HU_POLICY_AUTO)
        for (int m = CTS_HU_MAPS - 1; m >= 0; m--)
            if (o->map[m].given && o->map[m].plausible)
                o->chosen = (cts_hu_map)m;
    o->plausible = o->map[o->chosen].plausible;
}

void cts_hu_judge(cts_hu_verdict *out, const cts_volume *v, const double csv[2], cts_hu_policy policy)
{
    const cts_hu_candidate *c;
    int n;

    CTS_ASSERT(v->voxels, "a volume without voxels (%lld wide) has no verdict", (long long)v->dim[0]);
    memset(out, 0, sizeof *out);
    out->map[CTS_HU_HEADER] = (cts_hu_candidate){.slope = v->slope, .inter = v->inter};
    out->map[CTS_HU_RAW] = (cts_hu_candidate){.slope = 1, .inter = 0};
    look(&out->map[CTS_HU_HEADER], v);
    look(&out->map[CTS_HU_RAW], v);
    if (csv) {
        out->map[CTS_HU_HEADER_CSV] =
            (cts_hu_candidate){.slope = csv[0] * v->slope, .inter = csv[0] * v->inter + csv[1]};
        look(&out->map[CTS_HU_HEADER_CSV], v);
    }
    choose(out, policy);
    c = &out->map[out->chosen];
    n = snprintf(out->text, sizeof out->text, "%s map (HU = %g * voxel %+g): %.0f%% air, %.0f%% soft tissue, %s",
                 map_names[out->chosen], c->slope, c->inter, 100 * c->air, 100 * c->tissue,
                 c->plausible ? "looks like HU" : "does not look like a CT in HU");
    for (int m = 0; m < CTS_HU_MAPS && !c->plausible; m++)
        if (out->map[m].plausible && n > 0 && (size_t)n < sizeof out->text) {
            snprintf(out->text + n, sizeof out->text - (size_t)n, "; the %s map would", map_names[m]);
            break;
        }
}
