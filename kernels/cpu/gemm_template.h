/* The micro-kernels of all dense products: MR x NR accumulators in registers, one row of b loaded and MR values of a
 * broadcast per step. Parameters and limits: vec_template.h; operands: cpu_isa.h. SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_GEMM_TEMPLATE_H
#define CTS_KERNELS_GEMM_TEMPLATE_H

#include "kernels/cpu/vec_template.h"

#define EACH_ROW _Pragma("GCC unroll 16") for (int i = 0; i < MR; i++)
#define EACH_COL _Pragma("GCC unroll 4") for (int j = 0; j < NRV; j++)

/* The whole block has constant bounds, so that the accumulators never leave their registers. */
INLINE void store_block(vf acc[MR][NRV], float *c, int64_t ldc, const float *bias, bool add_to, int rows, int cols)
{
    float t[MR][NR];

    if (cols == NR && rows == MR) {
        if (add_to)
            EACH_ROW EACH_COL st(c + i * ldc + j * VL, acc[i][j] + ld(c + i * ldc + j * VL));
        else if (bias)
            EACH_ROW EACH_COL st(c + i * ldc + j * VL, acc[i][j] + ld(bias + j * VL));
        else
            EACH_ROW EACH_COL st(c + i * ldc + j * VL, acc[i][j]);
        return;
    }
    EACH_ROW EACH_COL st(&t[i][j * VL], acc[i][j]);
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < cols; j++)
            c[r * ldc + j] = t[r][j] + (add_to ? c[r * ldc + j] : bias ? bias[j] : 0.0f);
}

/* Step k of the product: a_k[i * step] are the broadcast values. */
#define GEMM_STEP(a_k, step, b_k)                                                                                      \
    do {                                                                                                               \
        vf b_[NRV];                                                                                                    \
        EACH_COL b_[j] = *(const vf *)((b_k) + j * VL);                                                                \
        EACH_ROW                                                                                                       \
        {                                                                                                              \
            vf a_ = splat((a_k)[i * (step)]);                                                                          \
            EACH_COL acc[i][j] += a_ * b_[j];                                                                          \
        }                                                                                                              \
    } while (0)

static void gemm_nn(int64_t kc, const float *a, const float *b, float *c, int64_t ldc, const float *bias, bool add_to,
                    int rows, int cols)
{
    vf acc[MR][NRV];

    EACH_ROW EACH_COL acc[i][j] = (vf){0};
    for (int64_t k = 0; k < kc; k++)
        GEMM_STEP(a + k, CTS_TILE_LD, b + k * NR);
    store_block(acc, c, ldc, bias, add_to, rows, cols);
}

static void gemm_tn(int64_t kc, const float *a, const float *b, float *c, int64_t ldc, int rows, int cols)
{
    vf acc[MR][NRV];

    EACH_ROW EACH_COL acc[i][j] = (vf){0};
    for (int64_t k = 0; k < kc; k++)
        GEMM_STEP(a + k * CTS_TILE_LD, 1, b + k * NR);
    store_block(acc, c, ldc, NULL, true, rows, cols);
}

/* Rows of two vectors are the narrow channels of a stem, where the copy counts: no inner loop. Sources are asked for
 * ahead of use, for a gather reads runs too short for the hardware to follow. */
static void copy_rows(float *dst, int64_t ldd, const float *src, int64_t lds, int64_t rows, int64_t n)
{
    for (int64_t r = 0; n == 2 * VL && r < rows; r++, dst += ldd, src += lds) {
        __builtin_prefetch(src + 24 * lds);
        __builtin_prefetch(src + 24 * lds + VL);
        st(dst, ld(src));
        st(dst + VL, ld(src + VL));
    }
    for (int64_t r = 0; n != 2 * VL && r < rows; r++, dst += ldd, src += lds) {
        int64_t c = 0;

        for (; c + VL <= n; c += VL)
            st(dst + c, ld(src + c));
        for (; c < n; c++)
            dst[c] = src[c];
    }
}

#endif
