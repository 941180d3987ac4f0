/* What is done to a volume before an encoder sees it, as data: one row of the table, one preprocess.json, one digest.
 *
 * Axes of a recipe are z, x, y: the voxel axes k, i, j after reorientation, and the axis order of the tensor.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_RECIPE_H
#define CTS_DATA_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/base/digest.h"

/* Which linear maps turn stored voxels into HU. */
typedef enum {
    CTS_HU_POLICY_AUTO,   /* the first plausible one of: header; header then CSV; raw. None: as CSV */
    CTS_HU_POLICY_HEADER, /* scl_slope and scl_inter of the file only */
    CTS_HU_POLICY_CSV     /* header, then slope and intercept of the CSV: what the published loaders do */
} cts_hu_policy;

/* Where the samples of a resampled axis lie. n voxels of `cur` mm become voxels of `target` mm. */
typedef enum {
    CTS_GRID_EXTENT,         /* int(n * (cur / target)) samples; outer edges coincide: torch's interpolate */
    CTS_GRID_EXTENT_PRODUCT, /* the same with int(n * cur / target), which truncates differently now and then */
    CTS_GRID_FIRST_VOXEL     /* round((n - 1) * cur / target + 1) samples, half to even; the first is the first voxel,
                                the others follow every target mm, past the last voxel its value: MONAI's Spacing */
} cts_grid;

typedef struct {
    char name[32];
    char orientation[8];   /* axis codes of i, j, k, "LPS"; or "stored": leave the axes as they are */
    double spacing_zxy[3]; /* target mm; 0 = the axis is resampled to size instead, whatever its spacing */
    int64_t size_zxy[3];   /* voxels of the tensor: centre crop or symmetric pad to it */
    bool has_first_clip;
    double first_clip[2]; /* HU clip before resampling */
    double window[2];     /* HU clip after resampling; window[0] < window[1] */
    double out[2];        /* what window[0] and window[1] become */
    double pad;           /* value outside the content */
    bool f64;             /* interpolate in double instead of float */
    cts_hu_policy hu;
    cts_grid grid;
    char override_of[32]; /* a remark: name of the recipe the model was made for, "" = this one */
} cts_recipe;

/* A built-in row by name: "dcformer-512", "ctclip-v1", "ctclip-v2-train", "ctclip-v2-infer", "ctscroll", "merlin",
 * "hlip", "fvlm". CTS_E_NOTFOUND lists them. */
int cts_recipe_find(cts_recipe *out, const char *name);
/* The same, or a preprocess.json: a text that ends in ".json" or holds a '/' is a path. */
int cts_recipe_open(cts_recipe *out, const char *name_or_path);
size_t cts_recipe_count(void);
const cts_recipe *cts_recipe_at(size_t i);
/* A free one: spacing and size in z, x, y, HU window to [-1, 1], pad -1, orientation LPS. Spacing 0 0 0 = fit the
 * whole field of view into size. CTS_E_INPUT for values that make no sense. */
int cts_recipe_free(cts_recipe *out, const char *name, const double spacing_zxy[3], const int64_t size_zxy[3],
                    const double window[2]);
/* CTS_E_INPUT names the field of a recipe that makes no sense; what is for messages. */
int cts_recipe_check(const cts_recipe *r, const char *what);

/* preprocess.json. Unknown keys are CTS_E_FORMAT: a newer recipe must not be half understood. */
int cts_recipe_load(cts_recipe *out, const char *path);
int cts_recipe_save(const cts_recipe *r, const char *path);
/* The same as a text: *text is malloc'd. what is for messages. */
int cts_recipe_parse(cts_recipe *out, const char *text, const char *what);
int cts_recipe_text(const cts_recipe *r, char **text);
/* SHA-256 of the canonical JSON (sorted keys, no spaces) of what is done to voxels: without name and override_of, and
 * without a grid of CTS_GRID_EXTENT, which files from before there was a choice do not have. Equal digests, equal
 * tensors. */
int cts_recipe_digest(const cts_recipe *r, char digest[CTS_DIGEST_HEX]);

const char *cts_hu_policy_name(cts_hu_policy p); /* "auto", "header", "csv" */
const char *cts_grid_name(cts_grid g);           /* "extent", "extent_product", "first_voxel" */

#endif
