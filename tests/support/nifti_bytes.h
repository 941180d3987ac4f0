/* NIfTI files made byte by byte, in every variant the reader must take: an oracle that shares no code with data/.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_SUPPORT_NIFTI_BYTES_H
#define CTS_TESTS_SUPPORT_NIFTI_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int version; /* 1 or 2 */
    bool big_endian;
    int64_t dim[8];                         /* dim[0] axes */
    int datatype;                           /* NIfTI code */
    double pixdim[8], slope, inter, offset; /* offset 0 = right behind header and extension flag */
    int qform, sform, units;
    double quatern[3], qoffset[3], srow[3][4];
    const char *magic; /* NULL = right */
} cts_nifti_spec;

/* A 3-D int16 spec of this size with spacing 0.7, 0.8, 1.9 and a sform. */
cts_nifti_spec cts_nifti_spec_make(int64_t nx, int64_t ny, int64_t nz);
/* Header, flag and count values in the datatype (rounded towards zero for integers); malloc'd, *n bytes. */
uint8_t *cts_nifti_bytes(const cts_nifti_spec *s, const double *values, size_t count, size_t *n);
/* One gzip member of stored blocks around the bytes; malloc'd. */
uint8_t *cts_gzip_stored(const uint8_t *p, size_t n, size_t *n_out);

#endif
