/* Growable text and UTF-8. Out of memory is sticky: `failed` is set, later appends do nothing, and the caller tests
 * once.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_BASE_STR_H
#define CTS_KERNELS_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/base/status.h"

typedef struct {
    char *p; /* NUL-terminated once anything was appended; "" is p == NULL, n == 0 */
    size_t n, cap;
    bool failed;
} cts_str; /* zero it to start; end with cts_str_free() */

void cts_str_free(cts_str *s);
void cts_str_clear(cts_str *s);
void cts_str_append(cts_str *s, const char *text);
void cts_str_append_n(cts_str *s, const char *text, size_t n);
void cts_str_printf(cts_str *s, const char *fmt, ...) CTS_PRINTF(2, 3);
/* The text, never NULL. Valid until the next append. */
const char *cts_str_text(const cts_str *s);

/* Decode one code point of the n bytes at p: sets *cp, returns bytes used (1..4). A malformed byte gives U+FFFD, 1. n >
 * 0. */
size_t cts_utf8_decode(uint32_t *cp, const char *p, size_t n);
/* Encode cp into out[4]; returns bytes written. */
size_t cts_utf8_encode(char out[4], uint32_t cp);
/* FNV-1a 64 of n bytes (offset cbf29ce484222325, prime 100000001b3). */
uint64_t cts_fnv1a64(const void *p, size_t n);
/* strdup that is C11; NULL when out of memory or s is NULL. */
char *cts_strdup(const char *s);
/* malloc'd printf; NULL when out of memory. */
char *cts_asprintf(const char *fmt, ...) CTS_PRINTF(1, 2);

#endif
