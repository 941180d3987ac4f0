/* Zip archives of stored entries, in memory, with right checksums. SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_SUPPORT_ZIP_BYTES_H
#define CTS_TESTS_SUPPORT_ZIP_BYTES_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *name;
    const void *p;
    size_t n;
} cts_zip_part;

/* malloc'd, *n bytes; NULL when out of memory. */
uint8_t *cts_zip_bytes(size_t *n, const cts_zip_part *parts, size_t n_parts);

#endif
