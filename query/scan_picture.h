/* Pictures of one scan: the six views of `inspect --png`, and a tile of a montage whose slice a mask may choose.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_SCAN_PICTURE_H
#define CTS_QUERY_SCAN_PICTURE_H

#include <stdint.h>

#include "data/render.h"

typedef struct {
    const char *name;
    double lo, hi; /* HU that become black and white */
} cts_hu_window;
/* "lung", "mediastinal", "bone", "wide"; NULL for another name. */
const cts_hu_window *cts_hu_window_find(const char *name);

/* Axial, coronal and sagittal mid slices, lung windows above mediastinal ones, each `pixels` wide or high at most, with
 * captions. v's slope and inter give HU. The caller ends *out with cts_picture_destroy(). CTS_E_NOMEM, CTS_E_LIMIT. */
int cts_scan_six_views(cts_picture **out, const cts_volume *v, int pixels);

/* One slice at most `pixels` wide or high. */
typedef struct {
    cts_plane plane;
    double position; /* 0..1, see data/render.h */
    cts_hu_window window;
    int pixels;
} cts_tile;
/* mask: NULL, or a volume of the same geometry as `ctsearch phantom --masks` writes it; where bit `finding` is set is
 * framed. CTS_E_MISMATCH for a mask of another size. */
int cts_scan_tile(cts_picture **out, const cts_volume *v, const cts_tile *t, const cts_volume *mask, int finding);

/* Findings whose bit is set in some voxel of the mask. */
uint32_t cts_mask_findings(const cts_volume *mask);
/* Position of the slice with most voxels of the finding; 0.5 when it has none. */
double cts_mask_position(const cts_volume *mask, cts_plane plane, int finding);
/* The window in which the finding is looked for. */
const cts_hu_window *cts_finding_window(int finding);

#endif
