/* The tile kernels of query/metrics/pairs.c. SPDX-License-Identifier: MIT */
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

#endif
