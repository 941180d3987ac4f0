/* What was done to the axes of volumes, said on standard error and in JSON. SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_ORIENTATION_H
#define CTS_QUERY_ORIENTATION_H

#include <jansson.h>

#include "data/orientation_tally.h"

/* One volume: a remark when axes were permuted or flipped; warnings about its HU, a missing affine, a slanted one. */
void cts_say_volume(const char *path, const cts_preprocess_info *info);
/* {stored: "RAS" or null, did, oblique_deg, has_affine} */
json_t *cts_orientation_json(const cts_preprocess_info *info);
/* Warnings about the volume as texts. */
json_t *cts_volume_warnings_json(const cts_preprocess_info *info);

/* A data set: one line of counts when anything was moved, one warning each for missing and slanted affines. */
void cts_say_orientations(const char *label, const cts_orientation_tally *t);
/* [{stored, did, volumes}] */
json_t *cts_orientations_json(const cts_orientation_tally *t);

/* The same for a set of n volumes that loader threads read, again and again perhaps: each is counted once, and it is
 * said when all of them were. label is borrowed. Release with cts_axes_destroy(). */
typedef struct cts_axes cts_axes;
int cts_axes_create(cts_axes **out, size_t n, const char *label);
void cts_axes_destroy(cts_axes *a); /* NULL allowed */
/* Volume 0..n-1 was read; info NULL = it cannot be used. Any thread. */
void cts_axes_count(cts_axes *a, int64_t volume, const cts_preprocess_info *info);
const cts_orientation_tally *cts_axes_tally(const cts_axes *a); /* of those that were read so far */

#endif
