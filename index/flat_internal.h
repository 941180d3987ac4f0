/* The inner-product kernels of index/flat.c. SPDX-License-Identifier: MIT */
#ifndef CTS_INDEX_FLAT_INTERNAL_H
#define CTS_INDEX_FLAT_INTERNAL_H

#include <stddef.h>

typedef struct {
    const char *name;
    /* scores [n_queries, stride] of queries [n_queries, dim] with rows [n_rows, dim], n_rows <= stride */
    void (*scores)(float *scores, size_t stride, const float *rows, size_t n_rows, const float *queries,
                   size_t n_queries, size_t dim);
    float (*dot)(const float *a, const float *b, size_t dim);
} flat_kernels;

/* The widest variant this CPU has and CTS_DISABLE_CPU_FEATURES leaves. */
const flat_kernels *cts_flat_pick_kernels(void);

#endif
