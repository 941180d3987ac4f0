/* The table of inner loops that one ISA instance exports. Each isa_*.c includes the templates with its vector length
 * and fills one table; the back end picks a table once. All pointers are fp32 and need no alignment unless said; row
 * counts may be 0. "rows x C" blocks are dense; ld* are row strides in elements. Nothing here allocates or starts
 * threads. SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_CPU_ISA_H
#define CTS_KERNELS_CPU_ISA_H

#include <stdbool.h>
#include <stdint.h>

/* The left operand of every product is first gathered into a tile of rows of at most CTS_TILE_K values, CTS_TILE_LD
 * apart: a constant, so that the micro-kernel addresses all its rows from one register; 17 cache lines, so that rows
 * spread over the sets. The slack holds the last partial micro-row. */
enum { CTS_TILE_K = 256, CTS_TILE_LD = 272 };

typedef struct cts_isa {
    const char *name;
    int mr, nr; /* rows and columns of the micro-kernel */

    /* c[i, j] = (add ? c[i, j] : bias ? bias[j] : 0) + sum over k < kc of a[i * CTS_TILE_LD + k] * b[k * nr + j],
     * for i < rows <= mr, j < cols <= nr. a and b are read for all mr rows and nr columns; b is 64-byte aligned.
     * bias holds cols values. */
    void (*gemm_nn)(int64_t kc, const float *a, const float *b, float *c, int64_t ldc, const float *bias, bool add,
                    int rows, int cols);
    /* c[i, j] += sum over k < kc of a[k * CTS_TILE_LD + i] * b[k * nr + j] */
    void (*gemm_tn)(int64_t kc, const float *a, const float *b, float *c, int64_t ldc, int rows, int cols);
    /* c = act(c) * scale[col] + residual (both may be NULL), in place; residual has c's row stride */
    void (*epilogue)(float *c, int64_t ld, const float *residual, int64_t rows, int64_t cols, int act,
                     const float *scale);
    void (*copy_rows)(float *dst, int64_t ldd, const float *src, int64_t lds, int64_t rows, int64_t n);

    /* element-wise, n values; y may be x */
    void (*act)(float *y, const float *x, int64_t n, int kind);
    void (*act_grad)(float *dx, const float *dy, const float *x, int64_t n, int kind);
    void (*add)(float *y, const float *a, const float *b, int64_t n);
    /* y = a * gelu(g); da = dy * gelu(g), dg = dy * a * gelu'(g) */
    void (*geglu)(float *y, const float *a, const float *g, int64_t n);
    void (*geglu_grad)(float *da, float *dg, const float *dy, const float *a, const float *g, int64_t n);
    void (*scale)(float *y, const float *x, float s, int64_t n);
    /* survivors of elements [first, first + n) of stream key, times inv */
    void (*dropout)(float *y, const float *x, int64_t n, uint64_t key, uint64_t first, uint64_t threshold, float inv);
    void (*to_f16)(uint16_t *y, const float *x, int64_t n);
    void (*from_f16)(float *y, const uint16_t *x, int64_t n);
    void (*to_bf16)(uint16_t *y, const float *x, int64_t n);
    void (*from_bf16)(float *y, const uint16_t *x, int64_t n);

    /* rows x C against per-channel vectors */
    void (*affine)(float *y, const float *x, const float *a, const float *b, int64_t rows,
                   int64_t C); /* y = x * a + b; b may be NULL */
    void (*normalize)(float *y, const float *x, const float *mean, const float *a, const float *b, int64_t rows,
                      int64_t C);                                                    /* y = (x - mean) * a + b */
    void (*sums)(float *s, const float *x, int64_t rows, int64_t C);                 /* s = column sums */
    void (*dots)(float *s, const float *x, const float *y, int64_t rows, int64_t C); /* s = column sums of x * y */
    /* column means of the block and sums of squares about them */
    void (*moments)(float *mean, float *m2, const float *x, int64_t rows, int64_t C);
    /* s1 = sum dy, s2 = sum dy * (x - mean) */
    void (*bn_grad_sums)(float *s1, float *s2, const float *dy, const float *x, const float *mean, int64_t rows,
                         int64_t C);
    /* dx = a * dy + b * (x - mean) + c */
    void (*bn_grad_apply)(float *dx, const float *dy, const float *x, const float *mean, const float *a, const float *b,
                          const float *c, int64_t rows, int64_t C);

    void (*layer_norm)(float *y, float *mean, float *rstd, const float *x, const float *w, const float *b, int64_t rows,
                       int64_t C, float eps);
    /* dw and db [C] are added to; dx may be NULL */
    void (*layer_norm_grad)(float *dx, float *dw, float *db, const float *dy, const float *x, const float *w,
                            const float *mean, const float *rstd, int64_t rows, int64_t C);
    float (*dot)(const float *x, const float *y, int64_t n);

    /* n voxels that see the same taps [k0, k1): y[v, :] = bias + sum over k of w[k, :] * x[v, :] at x + k * step. x
     * points at tap 0. */
    void (*dw_run)(float *y, const float *x, const float *w, const float *bias, int64_t n, int64_t C, int k0, int k1,
                   int64_t step);
    /* n voxels that see the same taps: y[v, :] = bias + sum over t of w[wo[t] + :] * x[v, :] at x + xo[t] */
    void (*dw_taps)(float *y, const float *x, const float *w, const float *bias, int64_t n, int64_t C, int n_taps,
                    const int64_t *xo, const int64_t *wo);
    /* acc[C] += sum over n voxels of x * dy */
    void (*dw_dot)(float *acc, const float *x, const float *dy, int64_t n, int64_t C);

    /* One pooled voxel: n_win candidate rows at x + offset[i] with window places id[i]. */
    void (*pool_max)(float *y, uint8_t *winner, const float *x, const int64_t *offset, const uint8_t *id, int n_win,
                     int64_t C);
    /* One input voxel: the sum of dy + offset[i] where winner + offset[i] is id[i]. */
    void (*pool_max_grad)(float *dx, const float *dy, const uint8_t *winner, const int64_t *offset, const uint8_t *id,
                          int n_win, int64_t C);

    /* max over n, NaN when there is one; -INFINITY for n == 0 */
    float (*max)(const float *x, int64_t n);
    /* y = exp(x * s - m); returns the sum. y may be x. */
    float (*exp_sum)(float *y, const float *x, int64_t n, float s, float m);
    /* p = exp(s * scale - lse); keep NULL or the dropout factor of each key; ds = p * (dp * keep - delta) * scale,
     * then p *= keep */
    void (*softmax_grad)(float *p, float *dp, int64_t n, float scale, float lse, float delta, const float *keep);
} cts_isa;

extern const cts_isa cts_isa_generic;
extern const cts_isa cts_isa_avx2;
extern const cts_isa cts_isa_avx512;

#endif
