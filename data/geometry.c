/* SPDX-License-Identifier: MIT */
#include "data/geometry.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/preprocess.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"

#define MAX_RESAMPLED ((int64_t)1 << 24) /* voxels of an axis; the source coordinate stays exact enough far beyond */

/* Samples of an axis on the recipe's grid. */
static int64_t samples(cts_grid grid, int64_t n, double current, double target)
{
    double size =
        grid == CTS_GRID_FIRST_VOXEL ? rint((double)(n - 1) * (current / target) + 1.0) : (double)n * current / target;

    if (grid == CTS_GRID_EXTENT)
        return cts_resampled_size(n, current, target);
    return size < (double)INT64_MAX / 2 ? (int64_t)size : INT64_MAX;
}

static int make_axis(cts_geometry_axis *a, char name, cts_grid grid, double target)
{
    a->first_voxel = grid == CTS_GRID_FIRST_VOXEL && target > 0;
    a->resampled = target > 0 ? samples(grid, a->source, a->mm, target) : a->size;
    if (a->resampled < 1)
        return cts_fail(CTS_E_INPUT, "preprocess: axis %c has %lld voxels of %g mm, which is less than one of %g mm",
                        name, (long long)a->source, a->mm, target);
    if (a->resampled > MAX_RESAMPLED || a->source > INT32_MAX)
        return cts_fail(CTS_E_LIMIT,
                        "preprocess: axis %c of %lld voxels of %g mm becomes more than %lld voxels of %g mm", name,
                        (long long)a->source, a->mm, (long long)MAX_RESAMPLED, target);
    a->n = cts_min_i64(a->resampled, a->size);
    a->crop = (a->resampled - a->n) / 2;
    a->start = (a->size - a->n) / 2;
    a->ratio = a->first_voxel ? target / a->mm : (double)a->source / (double)a->resampled;
    return CTS_OK;
}

/* Which stored axis each of the recipe's i, j, k is. Without an affine i, j, k are taken for x, y, z, and as nobody can
 * say which way they run, nothing is flipped. */
static int orient(const cts_volume *v, const cts_recipe *r, int axis[3], bool flip[3], char did[64])
{
    size_t n;
    int rc;

    for (int a = 0; a < 3; a++) {
        axis[a] = a;
        flip[a] = false;
    }
    if (!strcmp(r->orientation, "stored")) {
        snprintf(did, 64, "as stored");
        return CTS_OK;
    }
    if ((rc = cts_volume_orientation(v, r->orientation, axis, flip)))
        return rc;
    if (!v->has_affine)
        flip[0] = flip[1] = flip[2] = false;
    cts_volume_orientation_text(axis, flip, did);
    n = strlen(did);
    if (!v->has_affine)
        snprintf(did + n, 64 - n, " (the file has no affine)");
    return CTS_OK;
}

int cts_geometry_make(cts_geometry *out, const cts_volume *v, const cts_recipe *r, const double spacing_xyz[3])
{
    static const int voxel_axis[3] = {2, 0, 1}; /* z, x, y are k, i, j */
    static const char name[] = "zxy";
    cts_geometry g = {0};
    int axis[3], rc;
    bool flip[3];

    if ((rc = orient(v, r, axis, flip, g.orientation)))
        return rc;
    for (int a = 0; a < 3; a++) {
        cts_geometry_axis *p = &g.axis[a];
        int s = axis[voxel_axis[a]];

        p->stored = s;
        p->flip = flip[voxel_axis[a]];
        p->mm = spacing_xyz ? spacing_xyz[s] : v->spacing[s];
        if (!(p->mm > 0) || !isfinite(p->mm))
            return cts_fail(CTS_E_INPUT, "preprocess: spacing of stored axis %c is %g mm, allowed above 0", "ijk"[s],
                            p -> mm);
        p->source = v->dim[s];
        p->size = r->size_zxy[a];
        if ((rc = make_axis(p, name[a], r->grid, r->spacing_zxy[a])))
            return rc;
    }
    *out = g;
    return CTS_OK;
}

double cts_geometry_source(const cts_geometry_axis *a, double p)
{
    double r = p - (double)a->start + (double)a->crop;

    return a->first_voxel ? r * a->ratio : (r + 0.5) * a->ratio - 0.5;
}

double cts_geometry_tensor(const cts_geometry_axis *a, double source)
{
    double r = a->first_voxel ? source / a->ratio : (source + 0.5) / a->ratio - 0.5;

    return r - (double)a->crop + (double)a->start;
}

void cts_geometry_to_scan(const cts_geometry *g, const double zxy[3], double ijk[3])
{
    for (int i = 0; i < 3; i++) {
        const cts_geometry_axis *a = &g->axis[i];
        double s = cts_geometry_source(a, zxy[i]);

        ijk[a->stored] = a->flip ? (double)(a->source - 1) - s : s;
    }
}

void cts_geometry_to_tensor(const cts_geometry *g, const double ijk[3], double zxy[3])
{
    for (int i = 0; i < 3; i++) {
        const cts_geometry_axis *a = &g->axis[i];
        double s = ijk[a->stored];

        zxy[i] = cts_geometry_tensor(a, a->flip ? (double)(a->source - 1) - s : s);
    }
}

void cts_volume_world(const cts_volume *v, const double ijk[3], double ras[3])
{
    for (int w = 0; w < 3; w++)
        ras[w] = v->affine[w][0] * ijk[0] + v->affine[w][1] * ijk[1] + v->affine[w][2] * ijk[2] + v->affine[w][3];
}
