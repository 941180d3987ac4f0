/* One voxel of max pooling, forward and backward; candidates come as offsets so that the window's geometry stays
 * with the caller. The first of equal maxima wins; a NaN wins and stays. SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_POOL_TEMPLATE_H
#define CTS_KERNELS_POOL_TEMPLATE_H

#include "kernels/cpu/vec_template.h"

/* Bytes widen by way of 16 bits: in one step the compiler takes them apart one by one. */
typedef uint8_t vb __attribute__((vector_size(VL)));
typedef uint16_t vh __attribute__((vector_size(2 * VL)));

static void pool_max(float *y, uint8_t *winner, const float *x, const int64_t *offset, const uint8_t *id, int n_win,
                     int64_t C)
{
    int64_t c = 0;

    for (; c + VL <= C; c += VL) {
        vf best = ld(x + offset[0] + c);
        vi win = (int32_t)id[0] - (vi){0};
        vb narrow;

        for (int i = 1; i < n_win; i++) {
            vf v = ld(x + offset[i] + c);
            vi gt = (v > best) | ((v != v) & (best == best));

            best = vselect(gt, v, best);
            win = (((int32_t)id[i] - (vi){0}) & gt) | (win & ~gt);
        }
        st(y + c, best);
        narrow = __builtin_convertvector(__builtin_convertvector(win, vh), vb);
        memcpy(winner + c, &narrow, sizeof narrow);
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

static void pool_max_grad(float *dx, const float *dy, const uint8_t *winner, const int64_t *offset, const uint8_t *id,
                          int n_win, int64_t C)
{
    int64_t c = 0;

    for (; c + VL <= C; c += VL) {
        vf sum = {0};

        for (int i = 0; i < n_win; i++) {
            vi won;
            vb w;

            memcpy(&w, winner + offset[i] + c, sizeof w);
            won = __builtin_convertvector(__builtin_convertvector(w, vh), vi) == (int32_t)id[i] - (vi){0};
            sum += (vf)((vi)ld(dy + offset[i] + c) & won);
        }
        st(dx + c, sum);
    }
    for (; c < C; c++) {
        dx[c] = 0.0f;
        for (int i = 0; i < n_win; i++)
            dx[c] += winner[offset[i] + c] == id[i] ? dy[offset[i] + c] : 0.0f;
    }
}

#endif
