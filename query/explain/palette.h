/* Colours of heat: lightness rises evenly from dark violet through red to light yellow, so equal steps of heat look
 * equal, in print and to the colour-blind too. A path through OKLab (Ottosson 2020, "A perceptual color space for image
 * processing"), computed, not copied.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EXPLAIN_PALETTE_H
#define CTS_QUERY_EXPLAIN_PALETTE_H

#include <stdint.h>

/* heat is clamped to 0..1 */
void cts_palette(double heat, uint8_t rgb[3]);
/* How much of a pixel is colour, the rest being the picture below: 0 without heat, so that cold places stay grey. */
double cts_palette_cover(double heat);

#endif
