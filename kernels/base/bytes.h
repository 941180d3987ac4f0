/* A bounded cursor over bytes: parsers touch input only through it. Reads past the end set `bad` and give 0; a parser
 * may therefore read a whole header and test `bad` once. Little endian unless `swap` is set.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_BASE_BYTES_H
#define CTS_KERNELS_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *p; /* borrowed */
    size_t n;         /* bytes in p */
    size_t at;        /* next byte */
    bool swap;        /* the data is big endian */
    bool bad;         /* something was read past the end */
} cts_bytes;

cts_bytes cts_bytes_of(const void *p, size_t n);
size_t cts_bytes_left(const cts_bytes *b);
void cts_bytes_seek(cts_bytes *b, size_t at);
void cts_bytes_skip(cts_bytes *b, size_t n);
/* Pointer to the next n bytes, which are consumed; NULL and `bad` when fewer are left. */
const uint8_t *cts_bytes_take(cts_bytes *b, size_t n);
uint8_t cts_bytes_u8(cts_bytes *b);
uint16_t cts_bytes_u16(cts_bytes *b);
uint32_t cts_bytes_u32(cts_bytes *b);
uint64_t cts_bytes_u64(cts_bytes *b);
int16_t cts_bytes_i16(cts_bytes *b);
int32_t cts_bytes_i32(cts_bytes *b);
int64_t cts_bytes_i64(cts_bytes *b);
float cts_bytes_f32(cts_bytes *b);
double cts_bytes_f64(cts_bytes *b);

#endif
