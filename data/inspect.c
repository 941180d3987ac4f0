/* SPDX-License-Identifier: MIT */
#include "data/inspect.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"

#define BINS 16384 /* of the histogram; a quarter HU over a usual range of 4,096 */

const double cts_inspect_percentiles[CTS_INSPECT_PERCENTILES] = {0.1, 1, 5, 50, 95, 99, 99.9};

static void warn(cts_scan_facts *f, const char *fmt, ...) CTS_PRINTF(2, 3);
static void warn(cts_scan_facts *f, const char *fmt, ...)
{
    va_list ap;

    if (f->n_warnings == CTS_INSPECT_WARNINGS)
        return;
    va_start(ap, fmt);
    vsnprintf(f->warning[f->n_warnings++], sizeof f->warning[0], fmt, ap);
    va_end(ap);
}

static double voxel(const cts_volume *v, size_t i)
{
    return v->type == CTS_VOXEL_I16 ? ((const int16_t *)v->voxels)[i] : (double)((const float *)v->voxels)[i];
}

/* Range, mean and percentiles; the percentiles are exact for integers within BINS of each other, else to a bin's
 * width. */
static int statistics(cts_scan_facts *f, const cts_volume *v)
{
    const cts_hu_candidate *map = &f->hu.map[f->hu.chosen];
    size_t n = cts_volume_count(v), *bin = calloc(BINS, sizeof *bin), below = 0;
    double sum = 0, width;
    int at = 0;

    if (!bin)
        return cts_fail(CTS_E_NOMEM, "inspect: out of memory for a histogram");
    f->raw_min = f->raw_max = voxel(v, 0);
    for (size_t i = 0; i < n; i++) {
        double x = voxel(v, i);

        f->raw_min = x < f->raw_min ? x : f->raw_min;
        f->raw_max = x > f->raw_max ? x : f->raw_max;
        sum += x;
    }
    width = (f->raw_max - f->raw_min) / (BINS - 1);
    if (v->type == CTS_VOXEL_I16 && width < 1)
        width = 1;
    if (!(width > 0))
        width = 1;
    for (size_t i = 0; i < n; i++)
        bin[(size_t)((voxel(v, i) - f->raw_min) / width + 0.5)]++;
    for (int p = 0; p < CTS_INSPECT_PERCENTILES; p++) {
        /* with a falling map the low percentiles of HU are the high ones of the voxels */
        double share = (map->slope < 0 ? 100 - cts_inspect_percentiles[CTS_INSPECT_PERCENTILES - 1 - p]
                                       : cts_inspect_percentiles[p]) /
                       100;
        int to = map->slope < 0 ? CTS_INSPECT_PERCENTILES - 1 - p : p;

        while (at < BINS - 1 && (double)(below + bin[at]) < share * (double)n)
            below += bin[at++];
        f->hu_percentile[to] = map->slope * (f->raw_min + at * width) + map->inter;
    }
    free(bin);
    f->constant = f->raw_min == f->raw_max;
    f->hu_mean = map->slope * (sum / (double)n) + map->inter;
    f->hu_min = map->slope * (map->slope < 0 ? f->raw_max : f->raw_min) + map->inter;
    f->hu_max = map->slope * (map->slope < 0 ? f->raw_min : f->raw_max) + map->inter;
    return CTS_OK;
}

static void judge(cts_scan_facts *f, const cts_volume *v, const double csv[2])
{
    if (!f->has_affine)
        warn(f, "no affine (neither sform nor qform): orientation is unknown, axes are taken as stored");
    else if (f->oblique_deg > CTS_OBLIQUE_DEG)
        warn(f, "oblique: an axis is %.1f degrees off its world axis; reorientation goes to the nearest",
             f->oblique_deg);
    if (v->forms_deg > CTS_OBLIQUE_DEG)
        warn(f, "sform and qform lie %.0f degrees apart; the sform is used, other programs may use the other",
             v->forms_deg);
    for (int a = 0; a < 3; a++) {
        if (f->spacing[a] < 0.1 || f->spacing[a] > 10)
            warn(f, "spacing along %c is %g mm, usual for a chest CT are 0.3 to 5", "ijk"[a], f -> spacing[a]);
        if (f->extent[a] < 80 || f->extent[a] > 1500)
            warn(f, "extent along %c is %.0f mm, usual for a chest CT are 150 to 600", "ijk"[a], f -> extent[a]);
        if (v->pixdim[a] > 0 && fabs(v->pixdim[a] - f->spacing[a]) > 0.01 * f->spacing[a])
            warn(f, "pixdim along %c is %g mm, the sform says %g; the sform is used", "ijk"[a], v -> pixdim[a],
                 f -> spacing[a]);
    }
    if (f->constant)
        warn(f, "every voxel is %g: there is nothing to encode", f->raw_min);
    else if (!f->hu.plausible)
        warn(f, "no chest in Hounsfield units under the chosen map (%s)", cts_hu_map_name(f->hu.chosen));
    if (csv && f->hu.chosen != CTS_HU_HEADER_CSV)
        warn(f, "the map of the CSV (%g, %g) is not applied: the %s map is the plausible one", csv[0], csv[1],
             cts_hu_map_name(f->hu.chosen));
}

int cts_inspect_volume(cts_scan_facts *f, const cts_volume *v, const char *path, const double csv[2])
{
    int axis[3], rc;
    bool flip[3];

    CTS_ASSERT(v->voxels, "%s: nothing to inspect without voxels", path);
    memset(f, 0, sizeof *f);
    if ((rc = cts_file_size(&f->file_bytes, path)))
        return rc;
    for (int a = 0; a < 3; a++) {
        f->dim[a] = v->dim[a];
        f->spacing[a] = v->spacing[a];
        f->extent[a] = v->spacing[a] * (double)v->dim[a];
    }
    f->has_affine = v->has_affine;
    memcpy(f->affine, v->affine, sizeof f->affine);
    cts_volume_axis_codes(v, f->codes);
    if ((rc = cts_volume_orientation(v, "LPS", axis, flip)))
        return rc;
    if (!v->has_affine)
        flip[0] = flip[1] = flip[2] = false;
    cts_volume_orientation_text(axis, flip, f->to_lps);
    f->oblique_deg = cts_volume_oblique(v);
    snprintf(f->datatype, sizeof f->datatype, "%s", v->datatype);
    f->slope = v->slope;
    f->inter = v->inter;
    cts_hu_judge(&f->hu, v, csv, CTS_HU_POLICY_AUTO);
    if ((rc = statistics(f, v)))
        return rc;
    judge(f, v, csv);
    return CTS_OK;
}
