/* Strings numbered in the order they came, each with a count: the words and pieces of wordpiece_train.c.
 * One thread at a time.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TOKENIZER_LEXICON_H
#define CTS_TOKENIZER_LEXICON_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/base/arena.h"

typedef struct {
    const char *text; /* NUL-terminated, owned by the lexicon, never moves */
    size_t n_bytes;
    int64_t count; /* the caller's; 0 at first */
    uint64_t hash;
} cts_lexeme;

/* Zero it to start; end with cts_lexicon_free(). */
typedef struct {
    cts_lexeme *items; /* [n] by number; moves when one is added */
    size_t n, cap;
    int32_t *slots; /* [cap * 2] number or -1 */
    cts_arena *arena;
} cts_lexicon;

/* Number of the n_bytes at text, which is added when new. CTS_E_NOMEM; CTS_E_LIMIT over 2^30 strings. */
int cts_lexicon_add(cts_lexicon *l, const char *text, size_t n_bytes, int32_t *number);
void cts_lexicon_free(cts_lexicon *l);

#endif
