/* Where the voxels of a prepared tensor lie in the scan: the geometry of data/preprocess.h, both ways.
 *
 * Coordinates count voxels, the centre of the first one is 0; they may be fractions and may lie outside. Axes of a
 * tensor are z, x, y, those of a scan the stored i, j, k. What goes through, axis by axis:
 *   tensor p -> resampled r = p - start + crop -> oriented source s -> stored (s, or source - 1 - s when flipped)
 *   s = (r + 0.5) * source / resampled - 0.5, or r * ratio on the grid CTS_GRID_FIRST_VOXEL
 * cts_preprocess() takes its own coordinates from here, so the two cannot differ. A cropped voxel of the scan lies
 * outside the tensor, a padded voxel of the tensor outside the scan.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_GEOMETRY_H
#define CTS_DATA_GEOMETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "data/recipe.h"
#include "data/volume.h"

/* One axis of the tensor. */
typedef struct {
    int stored;        /* which of i, j, k it runs along */
    bool flip;         /* backwards */
    bool first_voxel;  /* samples start at the first voxel (CTS_GRID_FIRST_VOXEL) */
    double mm;         /* spacing of the source that is used */
    double ratio;      /* source voxels a resampled one */
    int64_t source;    /* voxels of the scan along it */
    int64_t resampled; /* after resampling, before crop and pad */
    int64_t size;      /* of the tensor */
    int64_t crop;      /* resampled voxels cut off before the first */
    int64_t start, n;  /* content: [start, start + n) of the tensor, the rest is padding */
} cts_geometry_axis;

typedef struct {
    cts_geometry_axis axis[3]; /* z, x, y */
    char orientation[64];      /* what was done to the axes: "as stored", "flipped i,j", ... */
} cts_geometry;

/* Of volume v (its voxels are not read) under r. spacing_xyz: mm along the stored i, j, k instead of the file's, or
 * NULL. CTS_E_INPUT: a spacing that is none, or an axis without a voxel after resampling; CTS_E_LIMIT: an axis that
 * becomes too long. */
int cts_geometry_make(cts_geometry *out, const cts_volume *v, const cts_recipe *r, const double spacing_xyz[3]);

/* Source coordinate of tensor coordinate p along an axis, before the flip, and back. */
double cts_geometry_source(const cts_geometry_axis *a, double p);
double cts_geometry_tensor(const cts_geometry_axis *a, double source);

void cts_geometry_to_scan(const cts_geometry *g, const double zxy[3], double ijk[3]);
void cts_geometry_to_tensor(const cts_geometry *g, const double ijk[3], double zxy[3]);

/* RAS mm of a (fractional) voxel of v. */
void cts_volume_world(const cts_volume *v, const double ijk[3], double ras[3]);

#endif
