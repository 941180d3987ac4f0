/* The font behind cts_render_text().
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_RENDER_INTERNAL_H
#define CTS_DATA_RENDER_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#define CTS_GLYPH_W 5
#define CTS_GLYPH_H 7

/* Rows of the glyph, bit 4 leftmost; a box for what the font lacks. */
const uint8_t *cts_glyph(char c);

#endif
