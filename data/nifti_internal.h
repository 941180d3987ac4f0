/* The NIfTI header as both versions and both byte orders give it; shared by the reader and its parts.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_NIFTI_INTERNAL_H
#define CTS_DATA_NIFTI_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/volume.h"

#define CTS_NIFTI1_BYTES 348
#define CTS_NIFTI2_BYTES 540

typedef struct {
    int version;        /* 1 or 2 */
    bool swap;          /* the file is big endian */
    int64_t dim[3];     /* voxels */
    int datatype;       /* NIfTI code */
    const char *type;   /* "int16", ... */
    size_t voxel_bytes; /* of one voxel in the file */
    size_t data_bytes;  /* dim product times voxel_bytes; offset + data_bytes fits size_t */
    size_t offset;      /* of the first voxel in the (inflated) file */
    double slope, inter, pixdim[3], spacing[3], affine[3][4];
    bool has_affine;
    double forms_deg; /* as in cts_volume */
} cts_nifti_header;

/* Parse the first n bytes of a file. CTS_E_FORMAT, CTS_E_INPUT, CTS_E_LIMIT (over max_bytes), CTS_E_UNSUPPORTED; name
 * is for messages. */
int cts_nifti_header_parse(cts_nifti_header *h, const void *p, size_t n, size_t max_bytes, const char *name);

#endif
