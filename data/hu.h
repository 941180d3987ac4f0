/* Are these voxels Hounsfield units? Published chest CTs come with a header map, a second map in a CSV, both, or
 * neither, and applying one too many is silent. Each candidate map is judged by its histogram: a chest CT shows air
 * (lungs and surroundings, around -1000 HU) and soft tissue (0 to 80 HU), and a wrong offset puts one of them
 * elsewhere.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_HU_H
#define CTS_DATA_HU_H

#include <stdbool.h>

#include "data/recipe.h"
#include "data/volume.h"

typedef enum { CTS_HU_HEADER, CTS_HU_HEADER_CSV, CTS_HU_RAW, CTS_HU_MAPS } cts_hu_map;

typedef struct {
    bool given;          /* the CSV map exists only where a CSV was given */
    double slope, inter; /* HU = slope * stored voxel + inter */
    double min, max;     /* HU of the voxels looked at */
    double air, tissue;  /* fraction of voxels within [-1100, -800] and [-20, 100] HU */
    bool plausible;
} cts_hu_candidate;

typedef struct {
    cts_hu_candidate map[CTS_HU_MAPS];
    cts_hu_map chosen;
    bool plausible; /* the chosen one is */
    char text[200]; /* one sentence for logs and inspect */
} cts_hu_verdict;

const char *cts_hu_map_name(cts_hu_map m); /* "header", "header+csv", "raw" */
/* csv = {slope, intercept} or NULL. Looks at every n-th voxel, about a million, always the same ones. v needs voxels.
 * */
void cts_hu_judge(cts_hu_verdict *out, const cts_volume *v, const double csv[2], cts_hu_policy policy);

#endif
