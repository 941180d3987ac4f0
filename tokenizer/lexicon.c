/* SPDX-License-Identifier: MIT */
#include "tokenizer/lexicon.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/status.h"
#include "kernels/base/str.h"

/* Slot of the string, or the empty one where it belongs. */
static size_t probe(const cts_lexicon *l, uint64_t hash, const char *text, size_t n_bytes)
{
    size_t mask = l->cap * 2 - 1, i = (size_t)(hash ^ (hash >> 32)) & mask;

    while (l->slots[i] >= 0) {
        const cts_lexeme *e = &l->items[l->slots[i]];

        if (e->hash == hash && e->n_bytes == n_bytes && memcmp(e->text, text, n_bytes) == 0)
            break;
        i = (i + 1) & mask;
    }
    return i;
}

static int grow(cts_lexicon *l)
{
    size_t cap = l->cap ? l->cap * 2 : 1024; /* a power of two: probe() masks */
    cts_lexeme *items;
    int32_t *slots;

    if (cap > (size_t)1 << 30)
        return cts_fail(CTS_E_LIMIT, "over %zu different strings", l->cap);
    if (!l->arena && !(l->arena = cts_arena_create(0)))
        return cts_fail(CTS_E_NOMEM, "no memory for a lexicon");
    if (!(items = realloc(l->items, cap * sizeof *items)))
        return cts_fail(CTS_E_NOMEM, "no memory for %zu different strings", cap);
    l->items = items;
    if (!(slots = malloc(cap * 2 * sizeof *slots)))
        return cts_fail(CTS_E_NOMEM, "no memory for %zu different strings", cap);
    memset(slots, 0xff, cap * 2 * sizeof *slots); /* all -1 */
    free(l->slots);
    l->slots = slots;
    l->cap = cap;
    for (size_t i = 0; i < l->n; i++)
        slots[probe(l, items[i].hash, items[i].text, items[i].n_bytes)] = (int32_t)i;
    return CTS_OK;
}

int cts_lexicon_add(cts_lexicon *l, const char *text, size_t n_bytes, int32_t *number)
{
    uint64_t hash = cts_fnv1a64(text, n_bytes);
    cts_lexeme e = {NULL, n_bytes, 0, hash};
    size_t slot;
    int rc;

    if (l->n == l->cap && (rc = grow(l)) != CTS_OK)
        return rc;
    slot = probe(l, hash, text, n_bytes);
    if (l->slots[slot] < 0) {
        if (!(e.text = cts_arena_strndup(l->arena, text, n_bytes)))
            return cts_fail(CTS_E_NOMEM, "no memory for %zu different strings", l->n + 1);
        l->items[l->n] = e;
        l->slots[slot] = (int32_t)l->n++;
    }
    *number = l->slots[slot];
    return CTS_OK;
}

void cts_lexicon_free(cts_lexicon *l)
{
    free(l->items);
    free(l->slots);
    cts_arena_destroy(l->arena);
    memset(l, 0, sizeof *l);
}
