/* SPDX-License-Identifier: MIT */
#include "tests/support/zip_bytes.h"

#include <stdlib.h>
#include <string.h>

static uint32_t crc_of(const uint8_t *p, size_t n)
{
    uint32_t c = UINT32_MAX;

    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
    }
    return ~c;
}

static void put(uint8_t **at, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *(*at)++ = (uint8_t)(v >> (8 * i));
}

static void put_bytes(uint8_t **at, const void *p, size_t n)
{
    if (n)
        memcpy(*at, p, n);
    *at += n;
}

/* What local header and directory have in common: flags to the length of the extra field. */
static void put_common(uint8_t **at, const cts_zip_part *part)
{
    put(at, 0, 2); /* flags */
    put(at, 0, 2); /* stored */
    put(at, 0, 4); /* time */
    put(at, crc_of(part->p, part->n), 4);
    put(at, part->n, 4);
    put(at, part->n, 4);
    put(at, strlen(part->name), 2);
    put(at, 0, 2);
}

uint8_t *cts_zip_bytes(size_t *n, const cts_zip_part *parts, size_t n_parts)
{
    size_t total = 22, directory, local = 0;
    uint8_t *out, *at;

    for (size_t i = 0; i < n_parts; i++)
        total += 30 + 46 + 2 * strlen(parts[i].name) + parts[i].n;
    if (!(out = malloc(total)))
        return NULL;
    at = out;
    for (size_t i = 0; i < n_parts; i++) {
        put(&at, 0x04034b50, 4);
        put(&at, 20, 2);
        put_common(&at, &parts[i]);
        put_bytes(&at, parts[i].name, strlen(parts[i].name));
        put_bytes(&at, parts[i].p, parts[i].n);
    }
    directory = (size_t)(at - out);
    for (size_t i = 0; i < n_parts; i++) {
        put(&at, 0x02014b50, 4);
        put(&at, 20, 2);
        put(&at, 20, 2);
        put_common(&at, &parts[i]);
        put(&at, 0, 2); /* comment */
        put(&at, 0, 2); /* disk */
        put(&at, 0, 6); /* attributes */
        put(&at, local, 4);
        put_bytes(&at, parts[i].name, strlen(parts[i].name));
        local += 30 + strlen(parts[i].name) + parts[i].n;
    }
    put(&at, 0x06054b50, 4);
    put(&at, 0, 4);
    put(&at, n_parts, 2);
    put(&at, n_parts, 2);
    put(&at, (uint64_t)(at - out) - 12 - directory, 4);
    put(&at, directory, 4);
    put(&at, 0, 2);
    *n = total;
    return out;
}
