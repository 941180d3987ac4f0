/* Assertions for programming mistakes, on in every build, and checked size arithmetic.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_BASE_CHECK_H
#define CTS_KERNELS_BASE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* CTS_ASSERT(cond, "printf format", ...): a builder's mistake (shapes, null handles), never bad data. Prints place,
 * condition and the message, then aborts. */
#define CTS_ASSERT(cond, ...)                                                                                          \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: assertion failed: %s: ", __FILE__, __LINE__, #cond);                               \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fputc('\n', stderr);                                                                                       \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#define CTS_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* *out = a * b; false (and *out untouched) when it does not fit. */
static inline bool cts_mul_size(size_t *out, size_t a, size_t b)
{
    if (b && a > SIZE_MAX / b)
        return false;
    *out = a * b;
    return true;
}

/* *out = a + b; false (and *out untouched) when it does not fit. */
static inline bool cts_add_size(size_t *out, size_t a, size_t b)
{
    if (a > SIZE_MAX - b)
        return false;
    *out = a + b;
    return true;
}

static inline int64_t cts_min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t cts_max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

#endif
