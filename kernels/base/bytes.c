/* SPDX-License-Identifier: MIT */
#include "kernels/base/bytes.h"

#include <string.h>

cts_bytes cts_bytes_of(const void *p, size_t n)
{
    cts_bytes b = {p, n, 0, false, false};

    return b;
}

size_t cts_bytes_left(const cts_bytes *b)
{
    return b->n - b->at;
}

void cts_bytes_seek(cts_bytes *b, size_t at)
{
    if (at > b->n) {
        b->bad = true;
        at = b->n;
    }
    b->at = at;
}

void cts_bytes_skip(cts_bytes *b, size_t n)
{
    (void)cts_bytes_take(b, n);
}

const uint8_t *cts_bytes_take(cts_bytes *b, size_t n)
{
    const uint8_t *p;

    if (n > b->n - b->at) {
        b->bad = true;
        b->at = b->n; /* whatever follows fails too, instead of reading fields at the wrong place */
        return NULL;
    }
    /* An empty input may have p == NULL, to which no offset may be added. */
    p = b->p ? b->p + b->at : (const uint8_t *)"";
    b->at += n;
    return p;
}

/* The n (1..8) next bytes as an unsigned number in the cursor's byte order. */
static uint64_t take_number(cts_bytes *b, size_t n)
{
    const uint8_t *p = cts_bytes_take(b, n);
    uint64_t v = 0;

    if (!p)
        return 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[b->swap ? n - 1 - i : i] << (8 * i);
    return v;
}

uint8_t cts_bytes_u8(cts_bytes *b)
{
    return (uint8_t)take_number(b, 1);
}

uint16_t cts_bytes_u16(cts_bytes *b)
{
    return (uint16_t)take_number(b, 2);
}

uint32_t cts_bytes_u32(cts_bytes *b)
{
    return (uint32_t)take_number(b, 4);
}

uint64_t cts_bytes_u64(cts_bytes *b)
{
    return take_number(b, 8);
}

int16_t cts_bytes_i16(cts_bytes *b)
{
    return (int16_t)cts_bytes_u16(b);
}

int32_t cts_bytes_i32(cts_bytes *b)
{
    return (int32_t)cts_bytes_u32(b);
}

int64_t cts_bytes_i64(cts_bytes *b)
{
    return (int64_t)cts_bytes_u64(b);
}

float cts_bytes_f32(cts_bytes *b)
{
    uint32_t u = cts_bytes_u32(b);
    float f;

    memcpy(&f, &u, sizeof(f));
    return f;
}

double cts_bytes_f64(cts_bytes *b)
{
    uint64_t u = cts_bytes_u64(b);
    double f;

    memcpy(&f, &u, sizeof(f));
    return f;
}
