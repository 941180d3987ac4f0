/* BERT's basic tokens: clean-up, lower-casing, accent stripping and the split at spaces, punctuation and CJK
 * characters. The words are those of Hugging Face's BertTokenizer with do_lower_case (2018 BERT code by Devlin et al.),
 * code point by code point, in this order:
 *   1. U+0000, U+FFFD and every character of category C* but tab, LF and CR is dropped; malformed UTF-8 bytes count as
 *      U+FFFD;
 *   2. tab, LF, CR and the separators (Zs, Zl, Zp) end a word;
 *   3. a CJK ideograph stands alone;
 *   4. canonical decomposition (NFD), non-spacing marks (Mn) dropped, the rest lower-cased one by one;
 *   5. ASCII characters that are no letter, digit or space, and category P*, stand alone.
 * Nothing is allocated, so the text may be of any size. Any number of threads.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TOKENIZER_NORMALIZE_H
#define CTS_TOKENIZER_NORMALIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CTS_BERT_MAX_CHARS 100 /* a longer word is [UNK] */

/* One word, valid during the callback. A word of more than CTS_BERT_MAX_CHARS characters is cut there and flagged
 * too_long. */
typedef struct {
    const char *text; /* UTF-8, not terminated, at least one byte */
    size_t n_bytes;
    size_t n_chars;
    bool too_long;
} cts_bert_word;

/* Return 0 to go on; anything else ends cts_bert_words() with that value. */
typedef int (*cts_bert_word_fn)(void *ctx, const cts_bert_word *word);

/* Call fn for every word of the n bytes at text, in order. */
int cts_bert_words(const char *text, size_t n, cts_bert_word_fn fn, void *ctx);

/* True for a character that always is a word of its own (rules 3 and 5), so no piece "##c" of it can be used. */
bool cts_bert_stands_alone(uint32_t cp);

#endif
