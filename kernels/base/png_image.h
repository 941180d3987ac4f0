/* 8-bit grey and RGB PNG by libpng, written atomically. Target cts_formats.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_BASE_PNG_IMAGE_H
#define CTS_KERNELS_BASE_PNG_IMAGE_H

#include <stddef.h>
#include <stdint.h>

/* pixels [h, w, channels] row-major, channels 1 (grey) or 3 (RGB). */
int cts_png_save(const char *path, const uint8_t *pixels, size_t w, size_t h, int channels);

#endif
