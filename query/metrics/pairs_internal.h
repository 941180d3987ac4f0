/* Tiles of inner products: the kernels, and the walk over all of them. SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_METRICS_PAIRS_INTERNAL_H
#define CTS_QUERY_METRICS_PAIRS_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#define CTS_PAIR_ROWS_MAX 14
#define CTS_PAIR_COLS_MAX 32

typedef struct {
    const char *name;
    int rows, cols; /* of a tile */
    /* tile [rows, stride]: products of a packed strip a [d, rows] and a packed panel b [d, cols]; 64-byte aligned. */
    void (*tile)(float *tile, size_t stride, const float *a, const float *b, size_t d);
    /* Of s [n]: how many are greater than t; how many are at least t. */
    uint32_t (*above)(const float *s, size_t n, float t);
    uint32_t (*at_least)(const float *s, size_t n, float t);
    /* count[j] += s[j] > own[j], or equal and row < target[j]. */
    void (*columns)(uint32_t *count, const float *s, const float *own, const int32_t *target, int32_t row, size_t n);
} cts_pair_kernels;

/* The widest variant this CPU has and the environment leaves; CTS_E_USAGE when the environment's list is wrong. */
int cts_pair_pick_kernels(const cts_pair_kernels **out);

/* rows of v [.., d] (members row[0 .. count) of it, or first, first + 1, ...) -> out [d, width], the rest zero. */
void cts_pair_pack(float *out, const float *v, size_t d, const int32_t *row, size_t first, size_t count, size_t width);

/* Scores of queries i0 .. i0 + ni with candidates j0 .. j0 + nj: s + r * stride is query i0 + r's. */
typedef void (*cts_strip_fn)(void *ctx, size_t i0, size_t ni, size_t j0, size_t nj, const float *s, size_t stride);
/* All products of queries lo .. hi of query [.., d] with candidate [n, d], a strip at a time; every query meets the
 * candidates in rising order. Scratch of a few megabytes; CTS_E_NOMEM. */
int cts_pair_sweep(const cts_pair_kernels *k, const float *query, size_t lo, size_t hi, const float *candidate,
                   size_t n, size_t d, cts_strip_fn fn, void *ctx);

#endif
