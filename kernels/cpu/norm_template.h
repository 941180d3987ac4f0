/* Column sums for batch norm and bias gradients; layer norm by rows. Sums here are fp32 over one block that the
 * caller keeps short (a tile in cache); across blocks it adds in double. SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_NORM_TEMPLATE_H
#define CTS_KERNELS_NORM_TEMPLATE_H

#include "kernels/cpu/vec_template.h"

/* acc[j] over the nv vectors of a channel block */
#define EACH_VECTOR _Pragma("GCC unroll 4") for (int j = 0; j < nv; j++)

INLINE void sums_block(const int nv, const int m, float *s, const float *x, int64_t rows, int64_t C)
{
    vf acc[4] = {{0}};

    for (int64_t r = 0; r < rows; r++)
        EACH_VECTOR acc[j] += ldm(x + r * C + j * VL, m);
    EACH_VECTOR stm(s + j * VL, acc[j], m);
}

static void sums(float *s, const float *x, int64_t rows, int64_t C)
{
#define BLOCK(nv, m, c) sums_block(nv, m, s + (c), x + (c), rows, C)
    CHANNEL_BLOCKS(C, BLOCK);
#undef BLOCK
}

INLINE void dots_block(const int nv, const int m, float *s, const float *x, const float *y, int64_t rows, int64_t C)
{
    vf acc[4] = {{0}};

    for (int64_t r = 0; r < rows; r++)
        EACH_VECTOR acc[j] += ldm(x + r * C + j * VL, m) * ldm(y + r * C + j * VL, m);
    EACH_VECTOR stm(s + j * VL, acc[j], m);
}

static void dots(float *s, const float *x, const float *y, int64_t rows, int64_t C)
{
#define BLOCK(nv, m, c) dots_block(nv, m, s + (c), x + (c), y + (c), rows, C)
    CHANNEL_BLOCKS(C, BLOCK);
#undef BLOCK
}

INLINE void moments_block(const int nv, const int m, float *mean, float *m2, const float *x, int64_t rows, int64_t C)
{
    vf s[4] = {{0}}, q[4] = {{0}}, inv = splat(1.0f / (float)rows);

    for (int64_t r = 0; r < rows; r++)
        EACH_VECTOR s[j] += ldm(x + r * C + j * VL, m);
    EACH_VECTOR s[j] *= inv;
    for (int64_t r = 0; r < rows; r++)
        EACH_VECTOR
        {
            vf d = ldm(x + r * C + j * VL, m) - s[j];

            q[j] += d * d;
        }
    EACH_VECTOR stm(mean + j * VL, s[j], m);
    EACH_VECTOR stm(m2 + j * VL, q[j], m);
}

static void moments(float *mean, float *m2, const float *x, int64_t rows, int64_t C)
{
#define BLOCK(nv, m, c) moments_block(nv, m, mean + (c), m2 + (c), x + (c), rows, C)
    CHANNEL_BLOCKS(C, BLOCK);
#undef BLOCK
}

INLINE void bn_sums_block(const int nv, const int m, float *s1, float *s2, const float *dy, const float *x,
                          const float *mean, int64_t rows, int64_t C)
{
    vf a[4] = {{0}}, b[4] = {{0}}, mu[4];

    EACH_VECTOR mu[j] = ldm(mean + j * VL, m);
    for (int64_t r = 0; r < rows; r++)
        EACH_VECTOR
        {
            vf d = ldm(dy + r * C + j * VL, m);

            a[j] += d;
            b[j] += d * (ldm(x + r * C + j * VL, m) - mu[j]);
        }
    EACH_VECTOR stm(s1 + j * VL, a[j], m);
    EACH_VECTOR stm(s2 + j * VL, b[j], m);
}

static void bn_grad_sums(float *s1, float *s2, const float *dy, const float *x, const float *mean, int64_t rows,
                         int64_t C)
{
#define BLOCK(nv, m, c) bn_sums_block(nv, m, s1 + (c), s2 + (c), dy + (c), x + (c), mean + (c), rows, C)
    CHANNEL_BLOCKS(C, BLOCK);
#undef BLOCK
}

static void bn_grad_apply(float *dx, const float *dy, const float *x, const float *mean, const float *a, const float *b,
                          const float *c, int64_t rows, int64_t C)
{
    for (int64_t r = 0; r < rows; r++, dx += C, dy += C, x += C) {
        int64_t i = 0;

        for (; i + VL <= C; i += VL)
            st(dx + i, ld(a + i) * ld(dy + i) + ld(b + i) * (ld(x + i) - ld(mean + i)) + ld(c + i));
        for (; i < C; i++)
            dx[i] = a[i] * dy[i] + b[i] * (x[i] - mean[i]) + c[i];
    }
}

static float dot(const float *x, const float *y, int64_t n)
{
    vf a = {0}, b = {0};
    int64_t i = 0;

    for (; i + 2 * VL <= n; i += 2 * VL) {
        a += ld(x + i) * ld(y + i);
        b += ld(x + i + VL) * ld(y + i + VL);
    }
    for (; i < n; i += VL) {
        int m = n - i < VL ? (int)(n - i) : VL;

        a += ldm(x + i, m) * ldm(y + i, m);
    }
    return hsum(a + b);
}

static void layer_norm(float *y, float *mean, float *rstd, const float *x, const float *w, const float *b, int64_t rows,
                       int64_t C, float eps)
{
    for (int64_t r = 0; r < rows; r++, x += C, y += C) {
        vf s = {0}, q = {0};
        float mu, rs;
        int64_t c = 0;

        for (; c < C; c += VL)
            s += C - c < VL ? ldm(x + c, (int)(C - c)) : ld(x + c);
        mu = hsum(s) / (float)C;
        for (c = 0; c + VL <= C; c += VL) {
            vf d = ld(x + c) - mu;

            q += d * d;
        }
        rs = hsum(q);
        for (; c < C; c++)
            rs += (x[c] - mu) * (x[c] - mu);
        rs = 1.0f / sqrtf(rs / (float)C + eps);
        for (c = 0; c + VL <= C; c += VL)
            st(y + c, (ld(x + c) - mu) * rs * ld(w + c) + ld(b + c));
        for (; c < C; c++)
            y[c] = (x[c] - mu) * rs * w[c] + b[c];
        mean[r] = mu;
        rstd[r] = rs;
    }
}

/* With h = dy * w and n = (x - mean) * rstd:  dx = rstd * (h - mean(h) - n * mean(h n)),  dw += dy n,  db += dy. */
static void layer_norm_grad(float *dx, float *dw, float *db, const float *dy, const float *x, const float *w,
                            const float *mean, const float *rstd, int64_t rows, int64_t C)
{
    for (int64_t r = 0; r < rows; r++, x += C, dy += C) {
        float mu = mean[r], rs = rstd[r], h1, h2;
        vf s1 = {0}, s2 = {0};

        for (int64_t c = 0; c < C; c += VL) {
            int m = C - c < VL ? (int)(C - c) : VL;
            vf d = ldm(dy + c, m), n = (ldm(x + c, m) - mu) * rs, h = d * ldm(w + c, m);

            s1 += h;
            s2 += h * n;
            stm(dw + c, ldm(dw + c, m) + d * n, m);
            stm(db + c, ldm(db + c, m) + d, m);
        }
        if (!dx)
            continue;
        h1 = hsum(s1) / (float)C;
        h2 = hsum(s2) / (float)C;
        for (int64_t c = 0; c < C; c += VL) {
            int m = C - c < VL ? (int)(C - c) : VL;
            vf n = (ldm(x + c, m) - mu) * rs, h = ldm(dy + c, m) * ldm(w + c, m);

            stm(dx + c, (h - h1 - n * h2) * rs, m);
        }
        dx += C;
    }
}

#endif
