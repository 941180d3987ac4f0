/* NumPy .npy files, version 1.0, C order, and 8-bit PNG pictures: what scripts and people read. Target cts_formats.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_BASE_NPY_H
#define CTS_KERNELS_BASE_NPY_H

#include <stddef.h>
#include <stdint.h>

/* float32 [n, d], written atomically. */
int cts_npy_save_f32(const char *path, const float *rows, size_t n, size_t d);
/* Reads float16, float32 or float64 C-order 2-D arrays into malloc'd float32. */
int cts_npy_load_f32(float **rows, size_t *n, size_t *d, const char *path);

#endif
