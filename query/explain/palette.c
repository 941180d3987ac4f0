/* SPDX-License-Identifier: MIT */
#include "query/explain/palette.h"

#include <math.h>

#define COVER 0.62  /* of the hottest pixel: the scan stays visible */
#define CLEAR 0.12  /* heat below which nothing is painted */
#define OPAQUE 0.55 /* heat from which on the full cover is */

static double clamp(double v)
{
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

/* Linear light to an sRGB byte. */
static uint8_t encode(double v)
{
    v = clamp(v);
    return (uint8_t)lrint(255 * (v <= 0.0031308 ? 12.92 * v : 1.055 * pow(v, 1 / 2.4) - 0.055));
}

void cts_palette(double heat, uint8_t rgb[3])
{
    const double t = clamp(heat), light = 0.28 + 0.64 * t, degree = acos(-1) / 180;
    const double chroma = 0.10 + 0.10 * sin(acos(-1) * (0.15 + 0.75 * t)), hue = (300 + 170 * t) * degree;
    const double a = chroma * cos(hue), b = chroma * sin(hue);
    const double l = pow(light + 0.3963377774 * a + 0.2158037573 * b, 3);
    const double m = pow(light - 0.1055613458 * a - 0.0638541728 * b, 3);
    const double s = pow(light - 0.0894841775 * a - 1.2914855480 * b, 3);

    rgb[0] = encode(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s);
    rgb[1] = encode(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s);
    rgb[2] = encode(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s);
}

double cts_palette_cover(double heat)
{
    double t = clamp((heat - CLEAR) / (OPAQUE - CLEAR));

    return COVER * t * t * (3 - 2 * t);
}
