/* NIfTI-1 and NIfTI-2, .nii and .nii.gz (chosen by content, not by name).
 * Source: the NIfTI-1.1 and NIfTI-2 standards (nifti1.h, nifti2.h of the NIH reference).
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_NIFTI_H
#define CTS_DATA_NIFTI_H

#include <stddef.h>

#include "data/volume.h"

#define CTS_VOLUME_MAX_BYTES ((size_t)8 << 30) /* inflated bytes of one file */

/* Read the file at `path`. int16 stays int16; other integer types become int16 when all values fit, float
 * otherwise; NaN or infinite voxels are CTS_E_INPUT. On success *out is the caller's (cts_volume_destroy); on failure
 * *out is untouched, the status is CTS_E_IO, CTS_E_FORMAT, CTS_E_INPUT, CTS_E_LIMIT, CTS_E_UNSUPPORTED or CTS_E_NOMEM
 * and cts_error() names file, field, got, allowed. Never inflates more than max_bytes (0 = CTS_VOLUME_MAX_BYTES).
 * Thread-safe. */
int cts_nifti_load(cts_volume **out, const char *path, size_t max_bytes);
/* Header only: voxels is NULL. */
int cts_nifti_peek(cts_volume **out, const char *path);
/* Write NIfTI-1 atomically with slope and inter as given, sform and (where the axes are at right angles) qform when
 * has_affine; gzip when path ends in .gz (level 1..9, 0 = default 1, see gzip_write.h). CTS_E_LIMIT for a dim above
 * 32,767, CTS_E_IO, CTS_E_NOMEM. */
int cts_nifti_save(const cts_volume *v, const char *path, int gzip_level);

#endif
