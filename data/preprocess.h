/* A volume in memory to the tensor a recipe describes: reorient, HU, first clip, trilinear resampling, window, centre
 * crop, pad.
 *
 * Resampled size of an axis = int(n * (current / target)) in float64; source coordinate = (i + 0.5) * n / size - 0.5,
 * clamped at 0 (align_corners false, no antialiasing); with the grid CTS_GRID_FIRST_VOXEL size = round((n - 1) *
 * current / target + 1) and coordinate = i * target / current, clamped at n - 1. Crop starts at (size - target) / 2,
 * padding begins with (target - size) / 2. Only what survives the crop is computed. Source: the published loaders of
 * DCFormer, CT-CLIP, Merlin (MONAI), HLIP.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_PREPROCESS_H
#define CTS_DATA_PREPROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/hu.h"
#include "data/recipe.h"
#include "data/volume.h"
#include "kernels/base/thread.h"

typedef struct {
    char orientation[64];      /* "as stored", "flipped i,j", ... */
    char stored_codes[4];      /* axis codes of the file; "" when it has no affine */
    bool has_affine;           /* false: neither sform nor qform, i, j, k were taken for x, y, z, nothing was flipped */
    double oblique_deg;        /* largest angle between a voxel axis and the world axis it was taken for */
    double forms_deg;          /* angle between the file's sform and qform, 0 when it has one only */
    double spacing_zxy[3];     /* mm of the source that were used */
    int64_t stored_zxy[3];     /* voxels of the source */
    int64_t resampled_zxy[3];  /* size of the whole resampled volume */
    int64_t content_zxy[3][2]; /* [from, to) of the tensor that is not padding */
    cts_hu_verdict hu;
    float min, max; /* of the content */
} cts_preprocess_info;

/* Resampled voxels of an axis of n voxels of `current` mm at `target` mm. */
int64_t cts_resampled_size(int64_t n, double current, double target);

/* out [size z][size x][size y] of the recipe, all of it written. spacing_xyz: mm along the stored i, j, k instead of
 * the file's, or NULL; rescale: {slope, intercept} of a CSV, or NULL; pool and info may be NULL. v is not changed.
 * CTS_E_INPUT: all voxels are equal, before or after the window (nothing to encode), or an axis has no voxel left after
 * resampling; CTS_E_LIMIT; CTS_E_NOMEM. out and info are undefined then. Any number of threads may preprocess at
 * once. */
int cts_preprocess(const cts_volume *v, const cts_recipe *r, const double spacing_xyz[3], const double rescale[2],
                   cts_pool *pool, float *out, cts_preprocess_info *info);
/* Elements of the tensor. */
size_t cts_recipe_elements(const cts_recipe *r);

#endif
