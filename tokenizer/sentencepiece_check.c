/* A bounded walk over the protocol buffer ModelProto (sentencepiece_model.proto):
 *   1 pieces (repeated: 1 text, 2 score float, 3 type), 2 trainer_spec, 3 normalizer_spec (2
 *   precompiled_charsmap, bytes),
 *   5 denormalizer_spec (same type as 3).
 * The library writes them in this order, so a file that has 2 and 3 whole was not cut in anything that matters.
 *
 * precompiled_charsmap = uint32 size | a double array of 32-bit units (Yata's darts-clone) | NUL-terminated strings.
 * A walk of the array goes from unit i with offset o to unit i ^ o ^ byte, and, if the unit has a leaf, reads the value
 * at i ^ o, which is a place among the strings. All of these must lie inside; unused units of a real array have offset
 * 0 and its size is a multiple of 256, so every real array passes.
 *
 * SPDX-License-Identifier: MIT */
#include "tokenizer/sentencepiece_check.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels/base/bytes.h"
#include "kernels/base/status.h"
#include "tokenizer/tokenizer_internal.h"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

typedef struct {
    uint32_t number;
    uint32_t type;
    uint32_t bits;   /* of FIXED32 */
    cts_bytes bytes; /* of BYTES */
} field;

static uint64_t varint(cts_bytes *b)
{
    uint64_t v = 0;

    for (int shift = 0; shift < 64; shift += 7) {
        uint8_t byte = cts_bytes_u8(b);

        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return v;
    }
    b->bad = true;
    return 0;
}

/* The next field; false at the end or when the bytes are no fields (b->bad). */
static bool next_field(field *f, cts_bytes *b)
{
    uint64_t key, n;

    if (b->bad || !cts_bytes_left(b))
        return false;
    key = varint(b);
    f->number = (uint32_t)(key >> 3);
    f->type = (uint32_t)(key & 7);
    f->bits = 0;
    f->bytes = cts_bytes_of(NULL, 0);
    switch (f->type) {
    case VARINT:
        varint(b);
        break;
    case FIXED64:
        cts_bytes_skip(b, 8);
        break;
    case FIXED32:
        f->bits = cts_bytes_u32(b);
        break;
    case BYTES:
        n = varint(b);
        if (n > cts_bytes_left(b)) {
            b->bad = true;
            break;
        }
        f->bytes = cts_bytes_of(cts_bytes_take(b, (size_t)n), (size_t)n);
        break;
    default:
        b->bad = true;
    }
    return !b->bad && key >> 3 != 0;
}

static int check_piece(cts_bytes piece, size_t index, const char *path)
{
    field f;

    while (next_field(&f, &piece)) {
        union {
            uint32_t bits;
            float value;
        } score = {f.bits};

        if (f.number == 2 && f.type == FIXED32 && !isfinite(score.value))
            return cts_fail(CTS_E_FORMAT, "%s: the score of piece %zu is not a finite number", path, index);
    }
    if (piece.bad)
        return cts_fail(CTS_E_FORMAT, "%s: piece %zu is damaged", path, index);
    return CTS_OK;
}

static uint32_t unit_at(const uint8_t *p, size_t i)
{
    return (uint32_t)p[4 * i] | (uint32_t)p[4 * i + 1] << 8 | (uint32_t)p[4 * i + 2] << 16 |
           (uint32_t)p[4 * i + 3] << 24;
}

static int check_charsmap(cts_bytes map, const char *path)
{
    const uint8_t *units, *strings;
    size_t n_units, n_strings;
    uint32_t size;

    if (!cts_bytes_left(&map))
        return CTS_OK; /* no rules */
    size = cts_bytes_u32(&map);
    if (map.bad || size >= cts_bytes_left(&map) || size % 1024 || !size)
        return cts_fail(CTS_E_FORMAT, "%s: normalizer_spec.precompiled_charsmap has a trie of %u bytes in %zu", path,
                        (unsigned)size, map.n);
    units = cts_bytes_take(&map, size);
    n_units = size / 4;
    n_strings = cts_bytes_left(&map);
    strings = cts_bytes_take(&map, n_strings);
    if (strings[n_strings - 1] != 0)
        return cts_fail(CTS_E_FORMAT, "%s: the last string of normalizer_spec.precompiled_charsmap has no end", path);
    for (size_t i = 0; i < n_units; i++) {
        uint32_t unit = unit_at(units, i);
        size_t to;

        if (unit & 0x80000000u)
            continue; /* a value, no place to go on from */
        to = i ^ ((size_t)(unit >> 10) << ((unit & 0x200) >> 6));
        if ((to | 0xff) >= n_units)
            return cts_fail(CTS_E_FORMAT, "%s: unit %zu of normalizer_spec.precompiled_charsmap points to %zu of %zu",
                            path, i, to | 0xff, n_units);
        if ((unit & 0x100) && (unit_at(units, to) & 0x7fffffffu) >= n_strings)
            return cts_fail(CTS_E_FORMAT, "%s: unit %zu of normalizer_spec.precompiled_charsmap has its text outside",
                            path, i);
    }
    return CTS_OK;
}

static int check_normalizer(cts_bytes spec, const char *path)
{
    field f;
    int rc;

    while (next_field(&f, &spec))
        if (f.number == 2 && f.type == BYTES && (rc = check_charsmap(f.bytes, path)) != CTS_OK)
            return rc;
    if (spec.bad)
        return cts_fail(CTS_E_FORMAT, "%s: normalizer_spec is damaged", path);
    return CTS_OK;
}

int cts_sp_check_model(const void *bytes, size_t n, const char *path)
{
    cts_bytes b = cts_bytes_of(bytes, n);
    bool trainer = false, normalizer = false;
    size_t pieces = 0;
    field f;
    int rc;

    while (next_field(&f, &b)) {
        if (f.type != BYTES)
            continue;
        if (f.number == 1 && (rc = check_piece(f.bytes, pieces++, path)) != CTS_OK)
            return rc;
        if ((f.number == 3 || f.number == 5) && (rc = check_normalizer(f.bytes, path)) != CTS_OK)
            return rc;
        trainer = trainer || f.number == 2;
        normalizer = normalizer || f.number == 3;
    }
    if (b.bad || cts_bytes_left(&b))
        return cts_fail(CTS_E_FORMAT, "%s: not a SentencePiece model, or cut short, near byte %zu of %zu", path, b.at,
                        n);
    if (!pieces || !trainer || !normalizer)
        return cts_fail(CTS_E_FORMAT, "%s: the SentencePiece model is cut short: it has no %s", path,
                        !pieces    ? "pieces"
                        : !trainer ? "trainer_spec"
                                   : "normalizer_spec");
    if (pieces > CTS_TOKENIZER_MAX_IDS)
        return cts_fail(CTS_E_LIMIT, "%s: %zu pieces, a model has at most %d", path, pieces, CTS_TOKENIZER_MAX_IDS);
    return CTS_OK;
}
