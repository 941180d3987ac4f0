/* A heat map laid over the scan it explains: from the cells of a layer to the scan's own voxels, and what it says.
 *
 * The grid of cells is interpolated trilinearly between the centres of its cells, clamped at the outer ones, and
 * divided by its largest value. Voxels that the recipe cropped away, which the model never saw, are 0.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EXPLAIN_HEAT_H
#define CTS_QUERY_EXPLAIN_HEAT_H

#include "data/geometry.h"
#include "encoders/cam.h"
#include "kernels/base/thread.h"

typedef struct {
    cts_volume *volume; /* F32 0..1, dimensions, spacing and affine of the scan */
    double peak;        /* largest value of the grid, in units of the answer; 0 = nothing speaks for it, all is 0 */
    int64_t
        hottest[3]; /* voxel i, j, k: the middle of what the scan shows of the hottest cell (lowest of equal ones) */
    double half_cell[3]; /* along i, j, k, in voxels of the scan */
    double centre[3];    /* of mass, i, j, k; the middle of the scan when there is no heat */
    int body;            /* stored axis that runs along the body */
    bool head_first;     /* its first slice is the one nearest to the head */
    int64_t slices;      /* along it */
    double *mean, *max;  /* [slices] of each slice, in stored order */
} cts_heat;

/* Of a grid from cts_cam_map(), not changed. On success end with cts_heat_clear(). CTS_E_NOMEM. */
int cts_heat_make(cts_heat *out, const cts_volume *scan, const cts_geometry *g, const cts_cam_info *cam,
                  const float *grid, cts_pool *pool);
void cts_heat_clear(cts_heat *h); /* zeroed is fine */

/* The n slices with the largest mean, hottest first, at least one cell apart; where neighbours are equal the middle
 * one. Returns how many there are: fewer in a short scan, none without heat. */
int cts_heat_top(const cts_heat *h, int n, int64_t *slice);
/* 0..1 from the feet end, as cts_render_slice() counts axial slices. */
double cts_heat_position(const cts_heat *h, int64_t slice);

#endif
