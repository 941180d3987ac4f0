/* Softmax over one row of scores, forward and backward. SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_ATTENTION_TEMPLATE_H
#define CTS_KERNELS_ATTENTION_TEMPLATE_H

#include "kernels/cpu/vec_template.h"

/* A NaN wins and stays. */
static float max_of(const float *x, int64_t n)
{
    vf best = splat(-INFINITY);
    float lane[VL], m;
    int64_t i = 0;

    for (; i + VL <= n; i += VL) {
        vf v = ld(x + i);

        best = vselect((v > best) | (v != v), v, best);
    }
    memcpy(lane, &best, sizeof lane);
    m = lane[0];
    for (int j = 1; j < VL; j++)
        m = lane[j] > m || isnan(lane[j]) ? lane[j] : m;
    for (; i < n; i++)
        m = x[i] > m || isnan(x[i]) ? x[i] : m;
    return m;
}

static float exp_sum(float *y, const float *x, int64_t n, float s, float m)
{
    vf acc = {0};
    float sum;
    int64_t i = 0;

    _Pragma("GCC ivdep") for (i = 0; i < n; i++) y[i] = exp_fast(x[i] * s - m);
    for (i = 0; i + VL <= n; i += VL)
        acc += ld(y + i);
    sum = hsum(acc);
    for (; i < n; i++)
        sum += y[i];
    return sum;
}

static void softmax_grad(float *p, float *dp, int64_t n, float scale_, float lse, float delta, const float *keep)
{
    if (keep) {
        _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++)
        {
            float e = exp_fast(p[i] * scale_ - lse);

            dp[i] = e * (dp[i] * keep[i] - delta) * scale_;
            p[i] = e * keep[i];
        }
        return;
    }
    _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++)
    {
        float e = exp_fast(p[i] * scale_ - lse);

        dp[i] = e * (dp[i] - delta) * scale_;
        p[i] = e;
    }
}

#endif
