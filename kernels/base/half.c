/* SPDX-License-Identifier: MIT */
#include "kernels/base/half.h"

float cts_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exponent = h >> 10 & 0x1fu, fraction = h & 0x3ffu, u;
    float f;

    if (exponent == 0x1f) {
        u = sign | 0x7f800000u | fraction << 13; /* infinity, or NaN with its payload */
    } else if (exponent) {
        u = sign | (exponent + 127 - 15) << 23 | fraction << 13;
    } else {
        /* zero and subnormals: fraction * 2^-24 is exact in float */
        f = (float)fraction * 0x1p-24f;
        return sign ? -f : f;
    }
    memcpy(&f, &u, sizeof(f));
    return f;
}

uint16_t cts_f32_to_f16(float f)
{
    uint32_t u, sign, magnitude, kept, rest, halfway;
    int shift;

    memcpy(&u, &f, sizeof(u));
    sign = u >> 16 & 0x8000u;
    magnitude = u & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu)); /* NaN stays a (quiet) NaN */
    if (magnitude >= 0x477ff000u)
        return (uint16_t)(sign | 0x7c00u); /* 65520 and more round to infinity */
    if (magnitude >= 0x38800000u) {
        /* normal: move the bias, then add half of the last place less one, plus the last bit (ties to even); a carry
         * out of the fraction raises the exponent, which is what rounding up means */
        magnitude += 0xc8000000u + 0xfffu + (magnitude >> 13 & 1);
        return (uint16_t)(sign | magnitude >> 13);
    }
    if (magnitude <= 0x33000000u)
        return (uint16_t)sign; /* 2^-25 and less round to zero (the tie goes to even) */
    /* subnormal: the significand with its hidden bit, shifted to units of 2^-24 */
    shift = 126 - (int)(magnitude >> 23);
    magnitude = (magnitude & 0x7fffffu) | 0x800000u;
    kept = magnitude >> shift;
    rest = magnitude & ((1u << shift) - 1);
    halfway = 1u << (shift - 1);
    if (rest > halfway || (rest == halfway && (kept & 1)))
        kept++;
    return (uint16_t)(sign | kept);
}
