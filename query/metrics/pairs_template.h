/* Products of a strip of queries with a panel of candidates, and the counting of ranks, for one instruction set.
 * Included by query/metrics/pairs_kernels.c with
 *   PAIR_NAME(x)   x with the variant's suffix
 *   PAIR_TARGET    function attribute that enables the instruction set
 *   PAIR_LANES     floats in a vector register
 *   PAIR_ROWS      queries in a strip; a panel is two vectors wide
 *   PAIR_LABEL     name of the variant
 * Tested: 4 lanes and 4 rows (SSE2), 8 and 6 (AVX2 + FMA), 16 and 14 (AVX-512F): rows * 2 sums and 3 operands fill the
 * registers.
 *
 * Every product has ONE sum, a lane of one register, to which the terms are added in the order of the components.
 * So its bits depend neither on the place in the tile nor on the tile, and a vector met twice scores the same twice.
 * SPDX-License-Identifier: MIT */

typedef float PAIR_NAME(vec) __attribute__((vector_size(PAIR_LANES * 4)));

#define VEC PAIR_NAME(vec)
#define EACH_ROW _Pragma("GCC unroll 16") for (int r = 0; r < PAIR_ROWS; r++)

PAIR_TARGET static void PAIR_NAME(tile)(float *tile, size_t stride, const float *a, const float *b, size_t d)
{
    VEC low[PAIR_ROWS], high[PAIR_ROWS];

    EACH_ROW
    {
        low[r] = (VEC){0};
        high[r] = (VEC){0};
    }
    for (size_t k = 0; k < d; k++, a += PAIR_ROWS, b += 2 * PAIR_LANES) {
        VEC left = *(const VEC *)b, right = *(const VEC *)(b + PAIR_LANES);

        EACH_ROW
        {
            low[r] += left * a[r];
            high[r] += right * a[r];
        }
    }
    EACH_ROW
    {
        *(VEC *)(tile + (size_t)r * stride) = low[r];
        *(VEC *)(tile + (size_t)r * stride + PAIR_LANES) = high[r];
    }
}

PAIR_TARGET static uint32_t PAIR_NAME(above)(const float *s, size_t n, float t)
{
    uint32_t count = 0;

    for (size_t j = 0; j < n; j++)
        count += s[j] > t;
    return count;
}

PAIR_TARGET static uint32_t PAIR_NAME(at_least)(const float *s, size_t n, float t)
{
    uint32_t count = 0;

    for (size_t j = 0; j < n; j++)
        count += s[j] >= t;
    return count;
}

PAIR_TARGET static void PAIR_NAME(columns)(uint32_t *restrict count, const float *s, const float *own,
                                           const int32_t *target, int32_t row, size_t n)
{
    for (size_t j = 0; j < n; j++)
        count[j] += (s[j] > own[j] ? 1u : 0u) | ((s[j] == own[j] ? 1u : 0u) & (row < target[j] ? 1u : 0u));
}

static const cts_pair_kernels PAIR_NAME(kernels) = {
    PAIR_LABEL, PAIR_ROWS, 2 * PAIR_LANES, PAIR_NAME(tile), PAIR_NAME(above), PAIR_NAME(at_least), PAIR_NAME(columns)};

#undef VEC
#undef EACH_ROW
#undef PAIR_NAME
#undef PAIR_TARGET
#undef PAIR_LANES
#undef PAIR_ROWS
#undef PAIR_LABEL
