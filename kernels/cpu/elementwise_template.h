/* Flat loops: activations, sums of tensors, dropout, casts, per-channel affine. SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_ELEMENTWISE_TEMPLATE_H
#define CTS_KERNELS_ELEMENTWISE_TEMPLATE_H

#include "kernels/cpu/vec_template.h"

#if defined(__F16C__)
#include <immintrin.h>
#endif

/* y may equal x (in place), never overlap it otherwise. */
#define FLAT_LOOP _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++)

INLINE float tanh_fast(float x)
{
    float e = exp_fast(2.0f * (x > 20.0f ? 20.0f : x));

    return 1.0f - 2.0f / (e + 1.0f);
}

static void act(float *y, const float *x, int64_t n, int kind)
{
    if (kind == CTS_ACT_GELU) {
        FLAT_LOOP
        {
            float e, v = x[i];

            y[i] = v * normal_cdf(v, &e);
        }
    } else if (kind == CTS_ACT_RELU) {
        FLAT_LOOP
        y[i] = x[i] < 0.0f ? 0.0f : x[i];
    } else if (kind == CTS_ACT_TANH) {
        FLAT_LOOP
        y[i] = tanh_fast(x[i]);
    } else if (kind == CTS_ACT_LEAKY) {
        FLAT_LOOP
        y[i] = x[i] < 0.0f ? 0.1f * x[i] : x[i];
    } else if (y != x) {
        memcpy(y, x, (size_t)n * sizeof *y);
    }
}

static void act_grad(float *dx, const float *dy, const float *x, int64_t n, int kind)
{
    if (kind == CTS_ACT_GELU) {
        FLAT_LOOP
        {
            float e, v = x[i], p = normal_cdf(v, &e);

            dx[i] = dy[i] * (p + v * e * 0.39894228040143268f);
        }
    } else if (kind == CTS_ACT_RELU) {
        FLAT_LOOP
        dx[i] = x[i] > 0.0f ? dy[i] : 0.0f;
    } else if (kind == CTS_ACT_TANH) {
        FLAT_LOOP
        {
            float t = tanh_fast(x[i]);

            dx[i] = dy[i] * (1.0f - t * t);
        }
    } else if (kind == CTS_ACT_LEAKY) {
        FLAT_LOOP
        dx[i] = x[i] > 0.0f ? dy[i] : 0.1f * dy[i];
    } else if (dx != dy) {
        memcpy(dx, dy, (size_t)n * sizeof *dx);
    }
}

static void geglu(float *y, const float *a, const float *g, int64_t n)
{
    FLAT_LOOP
    {
        float e, v = g[i];

        y[i] = a[i] * v * normal_cdf(v, &e);
    }
}

static void geglu_grad(float *da, float *dg, const float *dy, const float *a, const float *g, int64_t n)
{
    FLAT_LOOP
    {
        float e, v = g[i], p = normal_cdf(v, &e);

        da[i] = dy[i] * v * p;
        dg[i] = dy[i] * a[i] * (p + v * e * 0.39894228040143268f);
    }
}

static void add(float *y, const float *a, const float *b, int64_t n)
{
    FLAT_LOOP
    y[i] = a[i] + b[i];
}

static void scale(float *y, const float *x, float s, int64_t n)
{
    FLAT_LOOP
    y[i] = x[i] * s;
}

/* The random bits and the choice are separate loops: the one is 64-bit work, the other 32-bit, and mixed they do not
 * vectorise. */
static void dropout(float *y, const float *x, int64_t n, uint64_t key, uint64_t first, uint64_t threshold, float inv)
{
    enum { BLOCK = 256 };
    float factor[BLOCK];

    for (int64_t at = 0; at < n; at += BLOCK) {
        int64_t m = n - at < BLOCK ? n - at : BLOCK;

        for (int64_t i = 0; i < m; i++)
            factor[i] = (int64_t)(cts_rng_at(key, first + (uint64_t)(at + i)) >> 11) >= (int64_t)threshold ? inv : 0.0f;
        _Pragma("GCC ivdep") for (int64_t i = 0; i < m; i++) y[at + i] =
            factor[i] == 0.0f ? 0.0f : x[at + i] * factor[i];
    }
}

static void to_bf16(uint16_t *y, const float *x, int64_t n)
{
    FLAT_LOOP
    y[i] = cts_f32_to_bf16(x[i]);
}

static void from_bf16(float *y, const uint16_t *x, int64_t n)
{
    FLAT_LOOP
    y[i] = cts_bf16_to_f32(x[i]);
}

static void to_f16(uint16_t *y, const float *x, int64_t n)
{
    int64_t i = 0;

#if defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(y + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
#endif
    for (; i < n; i++)
        y[i] = cts_f32_to_f16(x[i]);
}

static void from_f16(float *y, const uint16_t *x, int64_t n)
{
    int64_t i = 0;

#if defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(x + i))));
#endif
    for (; i < n; i++)
        y[i] = cts_f16_to_f32(x[i]);
}

static void affine(float *y, const float *x, const float *a, const float *b, int64_t rows, int64_t C)
{
    for (int64_t r = 0; r < rows; r++, x += C, y += C) {
        int64_t c = 0;

        if (b)
            for (; c + VL <= C; c += VL)
                st(y + c, ld(x + c) * ld(a + c) + ld(b + c));
        else
            for (; c + VL <= C; c += VL)
                st(y + c, ld(x + c) * ld(a + c));
        for (; c < C; c++)
            y[c] = x[c] * a[c] + (b ? b[c] : 0.0f);
    }
}

static void normalize(float *y, const float *x, const float *mean, const float *a, const float *b, int64_t rows,
                      int64_t C)
{
    for (int64_t r = 0; r < rows; r++, x += C, y += C) {
        int64_t c = 0;

        for (; c + VL <= C; c += VL)
            st(y + c, (ld(x + c) - ld(mean + c)) * ld(a + c) + ld(b + c));
        for (; c < C; c++)
            y[c] = (x[c] - mean[c]) * a[c] + b[c];
    }
}

static void epilogue(float *c, int64_t ld_, const float *residual, int64_t rows, int64_t cols, int kind, const float *s)
{
    for (int64_t r = 0; r < rows; r++, c += ld_) {
        if (kind != CTS_ACT_NONE)
            act(c, c, cols, kind);
        if (s)
            affine(c, c, s, NULL, 1, cols);
        if (residual) {
            add(c, c, residual, cols);
            residual += ld_;
        }
    }
}

#endif
