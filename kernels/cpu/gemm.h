/* Blocked products over the micro-kernels of an ISA table. The left operand is gathered row block by row block into
 * a tile, the right operand is packed once into panels of nr columns. SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_CPU_GEMM_H
#define CTS_KERNELS_CPU_GEMM_H

#include "kernels/cpu/cpu_kernels.h"

/* Floats of n columns and k rows in panels. */
int64_t cts_gemm_panel_floats(const cts_isa *isa, int64_t n, int64_t k);
/* Panels [p0, p1) of the right operand: element (t * C + c, j) = w[j * sj + c * sc + t * st], zero beyond column n.
 * panels: [n / nr][T * C][nr]. */
void cts_gemm_pack(const cts_isa *isa, float *panels, const float *w, int64_t n, int64_t C, int64_t T, int64_t sj,
                   int64_t sc, int64_t st, int64_t p0, int64_t p1);
/* Copy a rows x n block with row stride ld into panels [n / nr][rows][nr], zero beyond column n. */
void cts_gemm_pack_rows(const cts_isa *isa, float *panels, const float *b, int64_t ld, int64_t rows, int64_t n);

/* Rows of the tile for an output of n columns: small outputs keep the tile in the first-level cache, wide ones reuse
 * each panel more. */
int64_t cts_gemm_tile_rows(const cts_isa *isa, int64_t n);

/* c[rows, n] (+)= tile[rows, kc] * panels; kc <= CTS_TILE_K values starting at k0 of the K in the panels. bias only
 * when add is false. */
void cts_gemm_block(const cts_isa *isa, float *c, int64_t ldc, const float *tile, int64_t rows, int64_t n, int64_t k0,
                    int64_t kc, int64_t K, const float *panels, const float *bias, bool add);
/* c[m, n] += tile[rows, m]^T * panels[rows, n] */
void cts_gemm_block_tn(const cts_isa *isa, float *c, int64_t ldc, const float *tile, int64_t rows, int64_t m, int64_t n,
                       const float *panels);

/* c[M, N] = a * b on the calling thread, for small products: a(i, k) = a[i * ai + k * ak], b(k, j) = b[k * bk + j *
 * bj]; scratch of cts_gemm_small_floats(). */
int64_t cts_gemm_small_floats(const cts_isa *isa, int64_t N, int64_t K);
void cts_gemm_small(const cts_isa *isa, float *c, const float *a, const float *b, int64_t M, int64_t N, int64_t K,
                    int64_t ai, int64_t ak, int64_t bk, int64_t bj, float *scratch);

#endif
