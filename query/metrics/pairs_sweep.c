/* The walk over all tiles: blocks of queries, and for each the candidates in blocks that stay in the second-level
 * cache. SPDX-License-Identifier: MIT */
#include "kernels/base/arena.h"
#include "kernels/base/status.h"
#include "query/metrics/pairs_internal.h"

#define BLOCK_ROWS                                                                                                     \
    2016 /* packed queries of a worker, a multiple of every strip: 4 MB at 512 dimensions, read in order */
#define BLOCK_COLS 256 /* packed candidates: half a megabyte */

void cts_pair_pack(float *out, const float *v, size_t d, const int32_t *row, size_t first, size_t count, size_t width)
{
    for (size_t r = 0; r < width; r++) {
        const float *from = r < count ? v + (row ? (size_t)row[r] : first + r) * d : NULL;

        for (size_t k = 0; k < d; k++)
            out[k * width + r] = from ? from[k] : 0.0f;
    }
}

static void block(const cts_pair_kernels *k, size_t i0, size_t ni, size_t j0, size_t nj, size_t d, const float *a,
                  const float *b, float *tile, cts_strip_fn fn, void *ctx)
{
    size_t rows = (size_t)k->rows, cols = (size_t)k->cols;

    for (size_t i = 0; i < ni; i += rows) {
        for (size_t j = 0; j < nj; j += cols)
            k->tile(tile + j, BLOCK_COLS, a + i * d, b + j * d, d);
        fn(ctx, i0 + i, ni - i < rows ? ni - i : rows, j0, nj, tile, BLOCK_COLS);
    }
}

int cts_pair_sweep(const cts_pair_kernels *k, const float *query, size_t lo, size_t hi, const float *candidate,
                   size_t n, size_t d, cts_strip_fn fn, void *ctx)
{
    size_t rows = (size_t)k->rows, cols = (size_t)k->cols, most = BLOCK_ROWS;
    float *a, *b, *tile;

    if (hi - lo < most)
        most = (hi - lo + rows - 1) / rows * rows;
    a = cts_aligned_alloc(most * d * sizeof *a + 64);
    b = cts_aligned_alloc(BLOCK_COLS * d * sizeof *b + 64);
    tile = cts_aligned_alloc(CTS_PAIR_ROWS_MAX * BLOCK_COLS * sizeof *tile);
    for (size_t i0 = lo; a && b && tile && i0 < hi; i0 += most) {
        size_t ni = hi - i0 < most ? hi - i0 : most;

        for (size_t i = 0; i < ni; i += rows)
            cts_pair_pack(a + i * d, query, d, NULL, i0 + i, ni - i, rows);
        for (size_t j0 = 0; j0 < n; j0 += BLOCK_COLS) {
            size_t nj = n - j0 < BLOCK_COLS ? n - j0 : BLOCK_COLS;

            for (size_t j = 0; j < nj; j += cols)
                cts_pair_pack(b + j * d, candidate, d, NULL, j0 + j, nj - j, cols);
            block(k, i0, ni, j0, nj, d, a, b, tile, fn, ctx);
        }
    }
    cts_aligned_free(tile);
    cts_aligned_free(b);
    cts_aligned_free(a);
    return a && b && tile ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for tiles of %zu components", d);
}
