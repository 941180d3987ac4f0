/* bfloat16 and IEEE half conversions, round to nearest even.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_BASE_HALF_H
#define CTS_KERNELS_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float cts_bf16_to_f32(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;

    memcpy(&f, &u, 4);
    return f;
}

static inline uint16_t cts_f32_to_bf16(float f)
{
    uint32_t u;

    memcpy(&u, &f, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((u >> 16) | 0x40); /* NaN stays NaN */
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1)) >> 16);
}

float cts_f16_to_f32(uint16_t h);
uint16_t cts_f32_to_f16(float f);

#endif
