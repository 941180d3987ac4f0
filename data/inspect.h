/* What is in one scan file: the facts that `ctsearch inspect` prints, gathered once. Printing is the program's.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_INSPECT_H
#define CTS_DATA_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/hu.h"
#include "data/volume.h"

#define CTS_INSPECT_PERCENTILES 7 /* 0.1, 1, 5, 50, 95, 99, 99.9 */
#define CTS_INSPECT_WARNINGS 12

extern const double cts_inspect_percentiles[CTS_INSPECT_PERCENTILES];

typedef struct {
    uint64_t file_bytes;
    int64_t dim[3];
    double spacing[3], extent[3]; /* mm along i, j, k */
    bool has_affine;
    double affine[3][4];
    char codes[4];      /* axis codes, "LPS" */
    char to_lps[64];    /* what a recipe of LPS does to the axes: "as stored", "flipped i,j" */
    double oblique_deg; /* largest angle between a voxel axis and its world axis */
    char datatype[16];
    double slope, inter; /* of the header */
    double raw_min, raw_max;
    bool constant; /* every voxel the same */
    cts_hu_verdict hu;
    double hu_min, hu_max, hu_mean, hu_percentile[CTS_INSPECT_PERCENTILES]; /* under the chosen map */
    char warning[CTS_INSPECT_WARNINGS][160];
    int n_warnings;
} cts_scan_facts;

/* Facts of a volume read from `path`; csv = {slope, intercept} or NULL. v needs voxels.
 * CTS_E_IO when the file's size cannot be read, CTS_E_NOMEM. */
int cts_inspect_volume(cts_scan_facts *f, const cts_volume *v, const char *path, const double csv[2]);

#endif
