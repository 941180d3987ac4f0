/* Common part of the ISA templates. The including isa_*.c defines first
 *   VL   floats a vector (4, 8, 16), MR x NRV the micro-kernel (rows x vectors), so that MR * NRV + NRV + 1 fits the
 * vector registers; tested as 4/4/2 (generic), 8/6/2 (avx2), 16/14/2 (avx512). Only static functions live here: each
 * instance is compiled with flags of its own and nothing of it may be called before the back end has checked the CPU.
 *
 * GCC vector types carry reductions and register blocks; flat loops are plain C for the auto-vectoriser. Selects are
 * written as `c ? a : b` on values, which vectorise without -ffast-math, so NaN stays NaN.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_VEC_TEMPLATE_H
#define CTS_KERNELS_VEC_TEMPLATE_H

#include <math.h>
#include <string.h>

#include "kernels/base/half.h"
#include "kernels/base/rng.h"
#include "kernels/cpu/cpu_isa.h"
#include "kernels/ops.h"

#define NR (NRV * VL)
#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(4 * VL)));
typedef int32_t vi __attribute__((vector_size(4 * VL)));
typedef float vfu __attribute__((vector_size(4 * VL), aligned(4), may_alias));

INLINE vf ld(const float *p)
{
    return *(const vfu *)p;
}

INLINE void st(float *p, vf v)
{
    *(vfu *)p = v;
}

INLINE vf splat(float x)
{
    return x - (vf){0};
}

/* Comparisons of vectors give lanes of 0 or -1: masks. */
INLINE vf vselect(vi mask, vf a, vf b)
{
    return (vf)(((vi)a & mask) | ((vi)b & ~mask));
}

/* The first m of VL lanes; the others are 0. With a constant m == VL this is a plain load. */
INLINE vf ldm(const float *p, int m)
{
    vf v = {0};

    if (m == VL)
        return ld(p);
    for (int i = 0; i < m; i++)
        v[i] = p[i];
    return v;
}

INLINE void stm(float *p, vf v, int m)
{
    if (m == VL)
        st(p, v);
    else
        for (int i = 0; i < m; i++)
            p[i] = v[i];
}

/* Pairwise, so that the order does not depend on the compiler. */
INLINE float hsum(vf v)
{
    float a[VL];

    memcpy(a, &v, sizeof a);
    for (int h = VL / 2; h; h /= 2)
        for (int i = 0; i < h; i++)
            a[i] += a[i + h];
    return a[0];
}

/* Call block(nv, m, c) over the C channels: nv whole vectors at channel c, the last one with m lanes. */
#define CHANNEL_BLOCKS(C, block)                                                                                       \
    do {                                                                                                               \
        int64_t c_ = 0;                                                                                                \
        for (; c_ + 4 * VL <= (C); c_ += 4 * VL)                                                                       \
            block(4, VL, c_);                                                                                          \
        if (c_ + 2 * VL <= (C)) {                                                                                      \
            block(2, VL, c_);                                                                                          \
            c_ += 2 * VL;                                                                                              \
        }                                                                                                              \
        if (c_ + VL <= (C)) {                                                                                          \
            block(1, VL, c_);                                                                                          \
            c_ += VL;                                                                                                  \
        }                                                                                                              \
        if (c_ < (C))                                                                                                  \
            block(1, (int)((C)-c_), c_);                                                                               \
    } while (0)

/* e^x with a relative error below 2e-7: x = n ln 2 + r, |r| <= ln 2 / 2, the polynomial of Cephes' expf, 2^n by the
 * exponent bits. Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low mantissa bits. 0 below
 * -87, infinity above 88.37. */
INLINE float exp_fast(float x)
{
    const float magic = 12582912.0f;
    float c = x < -87.0f ? -87.0f : x, z, f, r, p, s;
    uint32_t u;

    c = c > 88.37f ? 88.37f : c;
    z = c * 1.44269504088896341f + magic;
    f = z - magic;
    r = c - f * 0.693359375f;
    r = r - f * -2.12194440e-4f;
    p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    memcpy(&u, &z, 4);
    u = (u << 23) + 0x3f800000u;
    memcpy(&s, &u, 4);
    p = p * s;
    p = x < -87.0f ? 0.0f : p;
    return x > 88.37f ? INFINITY : p;
}

/* The normal distribution function and e^(-x^2/2). erf by Abramowitz and Stegun 7.1.26: absolute error 1.5e-7, one
 * exponential for both. */
INLINE float normal_cdf(float x, float *e)
{
    float z = fabsf(x) * 0.70710678118654752f, t = 1.0f / (1.0f + 0.3275911f * z), q;

    *e = exp_fast(-0.5f * x * x);
    q = 1.061405429f;
    q = q * t - 1.453152027f;
    q = q * t + 1.421413741f;
    q = q * t - 0.284496736f;
    q = q * t + 0.254829592f;
    q = 0.5f * q * t * *e;
    return x < 0.0f ? q : 1.0f - q;
}

#endif
