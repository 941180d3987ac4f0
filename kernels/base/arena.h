/* Bump arena: many small objects with one lifetime (graph nodes, CSV rows, names). All memory is zeroed and 64-byte
 * aligned blocks are available through cts_aligned_alloc(). One thread at a time per arena.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_BASE_ARENA_H
#define CTS_KERNELS_BASE_ARENA_H

#include <stddef.h>

typedef struct cts_arena cts_arena;

/* NULL when out of memory. block_bytes 0 = 64 KB. */
cts_arena *cts_arena_create(size_t block_bytes);
void cts_arena_destroy(cts_arena *a); /* NULL allowed */
/* n zeroed bytes, 16-byte aligned, owned by the arena; NULL when out of memory. */
void *cts_arena_alloc(cts_arena *a, size_t n);
/* Copies of a string, owned by the arena; NULL when out of memory. */
char *cts_arena_strdup(cts_arena *a, const char *s);
char *cts_arena_strndup(cts_arena *a, const char *s, size_t n);

/* Zero-filled memory at 64-byte alignment; end with cts_aligned_free(). NULL when out of memory. */
void *cts_aligned_alloc(size_t n);
void cts_aligned_free(void *p);

#endif
