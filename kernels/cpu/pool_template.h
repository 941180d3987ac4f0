/* One voxel of max pooling, forward and backward; candidates come as offsets so that the window's geometry stays with the caller.
 * The first of equal maxima wins; a NaN wins and stays. SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_POOL_TEMPLATE_H
#define CTS_KERNELS_POOL_TEMPLATE_H

#include "kernels/cpu/vec_template.h"

/* Comparisons of vectors give lanes of 0 or -1, which serve as masks. */
typedef int32_t vi __attribute__((vector_size(4 * VL)));

static void pool_max(float *y, uint8_t *winner, const float *x, const int64_t *offset, const uint8_t *id, int n_win, int64_t C)
{
    int64_t c = 0;

    for (; c + VL <= C; c += VL) {
        vi best = (vi)ld(x + offset[0] + c), win = (int32_t)id[0] - (vi){0};

        for (int i = 1; i < n_win; i++) {
            vi v = (vi)ld(x + offset[i] + c), gt = ((vf)v > (vf)best) | (((vf)v != (vf)v) & ((vf)best == (vf)best));

            best = (v & gt) | (best & ~gt);
            win = (((int32_t)id[i] - (vi){0}) & gt) | (win & ~gt);
        }
        st(y + c, (vf)best);
        for (int j = 0; j < VL; j++)
            winner[c + j] = (uint8_t)win[j];
    }
    for (; c < C; c++) {
        float best = x[offset[0] + c];
        uint8_t win = id[0];

        for (int i = 1; i < n_win; i++)
            if (x[offset[i] + c] > best || (isnan(x[offset[i] + c]) && !isnan(best))) {
                best = x[offset[i] + c];
                win = id[i];
            }
        y[c] = best;
        winner[c] = win;
    }
}

static void pool_max_grad(float *dx, const float *dy, const uint8_t *winner, const int64_t *offset, const uint8_t *id, int n_win, int64_t C)
{
    memset(dx, 0, (size_t)C * sizeof *dx);
    for (int i = 0; i < n_win; i++) {
        const float *d = dy + offset[i];
        const uint8_t *w = winner + offset[i];
        int wanted = id[i];

        _Pragma("GCC ivdep") for (int64_t c = 0; c < C; c++)
            dx[c] += w[c] == wanted ? d[c] : 0.0f;
    }
}

#endif
