/* SPDX-License-Identifier: MIT */
#include "kernels/cpu/gemm.h"

#include <string.h>

static int64_t n_panels(const cts_isa *isa, int64_t n)
{
    return (n + isa->nr - 1) / isa->nr;
}

int64_t cts_gemm_panel_floats(const cts_isa *isa, int64_t n, int64_t k)
{
    return cts_cpu_pad(n_panels(isa, n) * isa->nr * k);
}

void cts_gemm_pack(const cts_isa *isa, float *panels, const float *w, int64_t n, int64_t C, int64_t T, int64_t sj,
                   int64_t sc, int64_t st, int64_t p0, int64_t p1)
{
    int64_t nr = isa->nr;

    for (int64_t p = p0; p < p1; p++) {
        int64_t cols = cts_min_i64(nr, n - p * nr);
        float *d = panels + p * nr * C * T;

        for (int64_t t = 0; t < T; t++)
            for (int64_t c = 0; c < C; c++, d += nr) {
                const float *s = w + p * nr * sj + c * sc + t * st;

                for (int64_t j = 0; j < cols; j++)
                    d[j] = s[j * sj];
                for (int64_t j = cols; j < nr; j++)
                    d[j] = 0.0f;
            }
    }
}

void cts_gemm_pack_rows(const cts_isa *isa, float *panels, const float *b, int64_t ld, int64_t rows, int64_t n)
{
    int64_t nr = isa->nr;

    for (int64_t j = 0; j < n; j += nr, panels += rows * nr) {
        int64_t cols = cts_min_i64(nr, n - j);

        isa->copy_rows(panels, nr, b + j, ld, rows, cols);
        for (int64_t r = 0; cols < nr && r < rows; r++)
            memset(panels + r * nr + cols, 0, (size_t)(nr - cols) * sizeof(float));
    }
}

int64_t cts_gemm_tile_rows(const cts_isa *isa, int64_t n)
{
    return isa->mr * (n > 32 * isa->nr ? 16 : n > 8 * isa->nr ? 8 : 4);
}

void cts_gemm_block(const cts_isa *isa, float *c, int64_t ldc, const float *tile, int64_t rows, int64_t n, int64_t k0,
                    int64_t kc, int64_t K, const float *panels, const float *bias, bool add)
{
    for (int64_t j = 0; j < n; j += isa->nr, panels += K * isa->nr) {
        int cols = (int)cts_min_i64(isa->nr, n - j);

        for (int64_t i = 0; i < rows; i += isa->mr)
            isa->gemm_nn(kc, tile + i * CTS_TILE_LD, panels + k0 * isa->nr, c + i * ldc + j, ldc,
                         bias ? bias + j : NULL, add, (int)cts_min_i64(isa->mr, rows - i), cols);
    }
}

void cts_gemm_block_tn(const cts_isa *isa, float *c, int64_t ldc, const float *tile, int64_t rows, int64_t m, int64_t n,
                       const float *panels)
{
    for (int64_t i = 0; i < m; i += isa->mr)
        for (int64_t j = 0; j < n; j += isa->nr)
            isa->gemm_tn(rows, tile + i, panels + j * rows, c + i * ldc + j, ldc, (int)cts_min_i64(isa->mr, m - i),
                         (int)cts_min_i64(isa->nr, n - j));
}

int64_t cts_gemm_small_floats(const cts_isa *isa, int64_t N, int64_t K)
{
    return cts_gemm_panel_floats(isa, N, K) + cts_gemm_tile_rows(isa, N) * CTS_TILE_LD;
}

void cts_gemm_small(const cts_isa *isa, float *c, const float *a, const float *b, int64_t M, int64_t N, int64_t K,
                    int64_t ai, int64_t ak, int64_t bk, int64_t bj, float *scratch)
{
    int64_t mb = cts_gemm_tile_rows(isa, N);
    float *tile = scratch + cts_gemm_panel_floats(isa, N, K);

    cts_gemm_pack(isa, scratch, b, N, K, 1, bj, bk, 0, 0, n_panels(isa, N));
    for (int64_t i = 0; i < M; i += mb) {
        int64_t rows = cts_min_i64(mb, M - i);

        for (int64_t k0 = 0; k0 < K; k0 += CTS_TILE_K) {
            int64_t kc = cts_min_i64(CTS_TILE_K, K - k0);

            for (int64_t r = 0; r < rows; r++)
                for (int64_t k = 0; k < kc; k++)
                    tile[r * CTS_TILE_LD + k] = a[(i + r) * ai + (k0 + k) * ak];
            cts_gemm_block(isa, c + i * N, N, tile, rows, N, k0, kc, K, scratch, NULL, k0 > 0);
        }
    }
}
