/* Depthwise runs along one axis or with any taps, channels last: taps in the inner loop, sums in registers.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_DWCONV_TEMPLATE_H
#define CTS_KERNELS_DWCONV_TEMPLATE_H

#include "kernels/cpu/vec_template.h"

INLINE void dw_block(const int nv, const int m, float *y, const float *x, const float *w, const float *bias, int64_t n,
                     int64_t C, int k0, int k1, int64_t step)
{
    vf b[4];

    _Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) b[j] = bias ? ldm(bias + j * VL, m) : (vf){0};
    for (int64_t v = 0; v < n; v++, x += C, y += C) {
        vf acc[4];

        _Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) acc[j] = b[j];
        for (int k = k0; k < k1; k++)
            _Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) acc[j] +=
                ldm(w + k * C + j * VL, m) * ldm(x + k * step + j * VL, m);
        _Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) stm(y + j * VL, acc[j], m);
    }
}

static void dw_run(float *y, const float *x, const float *w, const float *bias, int64_t n, int64_t C, int k0, int k1,
                   int64_t step)
{
#define BLOCK(nv, m, c) dw_block(nv, m, y + (c), x + (c), w + (c), bias ? bias + (c) : NULL, n, C, k0, k1, step)
    CHANNEL_BLOCKS(C, BLOCK);
#undef BLOCK
}

INLINE void dw_taps_block(const int nv, const int m, float *y, const float *x, const float *w, const float *bias,
                          int64_t n, int64_t C, int n_taps, const int64_t *xo, const int64_t *wo)
{
    vf b[4];

    _Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) b[j] = bias ? ldm(bias + j * VL, m) : (vf){0};
    for (int64_t v = 0; v < n; v++, x += C, y += C) {
        vf acc[4];

        _Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) acc[j] = b[j];
        for (int t = 0; t < n_taps; t++)
            _Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) acc[j] +=
                ldm(w + wo[t] + j * VL, m) * ldm(x + xo[t] + j * VL, m);
        _Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) stm(y + j * VL, acc[j], m);
    }
}

static void dw_taps(float *y, const float *x, const float *w, const float *bias, int64_t n, int64_t C, int n_taps,
                    const int64_t *xo, const int64_t *wo)
{
#define BLOCK(nv, m, c) dw_taps_block(nv, m, y + (c), x + (c), w + (c), bias ? bias + (c) : NULL, n, C, n_taps, xo, wo)
    CHANNEL_BLOCKS(C, BLOCK);
#undef BLOCK
}

INLINE void dw_dot_block(const int nv, const int m, float *acc, const float *x, const float *dy, int64_t n, int64_t C)
{
    vf a[4];

    _Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) a[j] = ldm(acc + j * VL, m);
    for (int64_t v = 0; v < n; v++)
        _Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) a[j] +=
            ldm(x + v * C + j * VL, m) * ldm(dy + v * C + j * VL, m);
    _Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) stm(acc + j * VL, a[j], m);
}

static void dw_dot(float *acc, const float *x, const float *dy, int64_t n, int64_t C)
{
#define BLOCK(nv, m, c) dw_dot_block(nv, m, acc + (c), x + (c), dy + (c), n, C)
    CHANNEL_BLOCKS(C, BLOCK);
#undef BLOCK
}

#endif
