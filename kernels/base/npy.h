/* NumPy .npy files, written as version 1.0 in C order, and 8-bit PNG pictures: what scripts and people read. Target
 * cts_formats. SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_BASE_NPY_H
#define CTS_KERNELS_BASE_NPY_H

#include <stddef.h>
#include <stdint.h>

/* float32 [n, d], written atomically. */
int cts_npy_save_f32(const char *path, const float *rows, size_t n, size_t d);
/* Reads 2-D arrays of float16, float32 or float64, of either byte order and of C or Fortran order, into malloc'd
 * float32 rows. CTS_E_UNSUPPORTED: other numbers; CTS_E_FORMAT: a damaged file, or other than two dimensions. */
int cts_npy_load_f32(float **rows, size_t *n, size_t *d, const char *path);

#endif
