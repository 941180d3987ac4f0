/* SPDX-License-Identifier: MIT */
#include "kernels/base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/check.h"

#define ARENA_DEFAULT_BLOCK 65536
#define ARENA_ALIGN 16
#define CACHE_LINE 64

struct block {
    struct block *next;
    size_t used, cap; /* bytes of data[] */
    _Alignas(ARENA_ALIGN) unsigned char data[];
};

struct cts_arena {
    struct block *head; /* the block that is being filled */
    size_t block_bytes;
};

cts_arena *cts_arena_create(size_t block_bytes)
{
    cts_arena *a = calloc(1, sizeof(*a));

    if (a)
        a->block_bytes = block_bytes ? block_bytes : ARENA_DEFAULT_BLOCK;
    return a;
}

void cts_arena_destroy(cts_arena *a)
{
    struct block *next;

    if (!a)
        return;
    for (struct block *b = a->head; b; b = next) {
        next = b->next;
        free(b);
    }
    free(a);
}

static struct block *block_create(size_t cap)
{
    size_t bytes;
    struct block *b;

    if (!cts_add_size(&bytes, sizeof(*b), cap))
        return NULL;
    b = calloc(1, bytes);
    if (b)
        b->cap = cap;
    return b;
}

void *cts_arena_alloc(cts_arena *a, size_t n)
{
    struct block *b = a->head;
    size_t rounded;
    void *p;

    if (!cts_add_size(&rounded, n ? n : 1, ARENA_ALIGN - 1))
        return NULL;
    rounded &= ~(size_t)(ARENA_ALIGN - 1);
    if (!b || rounded > b->cap - b->used) {
        b = block_create(rounded > a->block_bytes ? rounded : a->block_bytes);
        if (!b)
            return NULL;
        /* A large object goes behind the current block, which may have room left for small ones. */
        if (a->head && rounded > a->block_bytes / 2) {
            b->next = a->head->next;
            a->head->next = b;
        } else {
            b->next = a->head;
            a->head = b;
        }
    }
    p = b->data + b->used;
    b->used += rounded;
    return p;
}

char *cts_arena_strndup(cts_arena *a, const char *s, size_t n)
{
    size_t bytes;
    char *p;

    if (!cts_add_size(&bytes, n, 1))
        return NULL;
    p = cts_arena_alloc(a, bytes);
    if (p && n)
        memcpy(p, s, n); /* the byte after it is zero already */
    return p;
}

char *cts_arena_strdup(cts_arena *a, const char *s)
{
    return cts_arena_strndup(a, s, strlen(s));
}

void *cts_aligned_alloc(size_t n)
{
    size_t rounded;
    void *p;

    if (!cts_add_size(&rounded, n ? n : 1, CACHE_LINE - 1))
        return NULL;
    rounded &= ~(size_t)(CACHE_LINE - 1);
    p = aligned_alloc(CACHE_LINE, rounded);
    if (p)
        memset(p, 0, rounded);
    return p;
}

void cts_aligned_free(void *p)
{
    free(p);
}
