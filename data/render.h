/* Pictures of volumes: one slice at true proportions, captions in a small built-in font, a grid of pictures.
 * Views are radiological: axial from the feet (patient's right on the left, front on top), coronal from the front,
 * sagittal from the patient's left (front on the left).
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_RENDER_H
#define CTS_DATA_RENDER_H

#include <stddef.h>
#include <stdint.h>

#include "data/volume.h"

typedef struct {
    size_t w, h;
    uint8_t *px; /* [h][w] grey, owned */
} cts_picture;

typedef enum { CTS_PLANE_AXIAL, CTS_PLANE_CORONAL, CTS_PLANE_SAGITTAL } cts_plane;

/* Black picture. CTS_E_LIMIT above 64 megapixels, CTS_E_NOMEM. */
int cts_picture_create(cts_picture **out, size_t w, size_t h);
void cts_picture_destroy(cts_picture *p); /* NULL allowed */
int cts_picture_save(const cts_picture *p, const char *path);

/* The slice at `position` (0 = right, front or feet end, 1 = the other) with HU window lo..hi as black..white,
 * mm_per_pixel > 0. v needs voxels; its slope and inter give HU. */
int cts_render_slice(cts_picture **out, const cts_volume *v, cts_plane plane, double position, double lo, double hi,
                     double mm_per_pixel);
/* White text with a black edge at (x, y) = its upper left corner; glyphs of 5 x 7 times scale, 6 * scale apart.
 * Letters, digits and common signs of ASCII; lower case as written, others as a box. What does not fit is cut. */
void cts_render_text(cts_picture *p, size_t x, size_t y, const char *text, int scale);
/* n pictures in rows of `columns`, each in a cell of the largest one, captions (may be NULL, entries too) below. */
int cts_render_montage(cts_picture **out, const cts_picture *const *tiles, const char *const *captions, size_t n,
                       size_t columns);

#endif
