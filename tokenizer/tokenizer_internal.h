/* What a kind of tokenizer gives to tokenizer.c. A new kind is a file with one cts_tokenizer_kind_def and a row in
 * tokenizer.c.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TOKENIZER_TOKENIZER_INTERNAL_H
#define CTS_TOKENIZER_TOKENIZER_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/base/str.h"

/* A text of more bytes is CTS_E_LIMIT: a report has thousands, and SentencePiece holds some hundred bytes for each of
 * them. */
#define CTS_TOKENIZER_MAX_TEXT ((size_t)16 << 20)
#define CTS_TOKENIZER_MAX_FILE ((size_t)64 << 20)
#define CTS_TOKENIZER_MAX_IDS (1 << 20)

/* Growable ids; zero it to start, free(p) at the end. */
typedef struct {
    int32_t *p;
    size_t n, cap;
} cts_ids;
int cts_ids_push(cts_ids *ids, int32_t id);

/* All functions but open and close may be called by many threads at once on one state. Statuses and sentences as
 * everywhere. */
typedef struct {
    const char *kind;      /* what cts_tokenizer_kind() says */
    const char *file_name; /* its file in a model folder */
    const char *suffix;    /* what its file's name ends in elsewhere */
    /* n bytes at `bytes` are the file, valid during the call; path is for messages. */
    int (*open)(void **state, const char *bytes, size_t n, const char *path);
    void (*close)(void *state); /* NULL allowed */
    int32_t (*size)(const void *state);
    /* Ids that begin and end a sequence; a model without one is CTS_E_MISMATCH. */
    int (*ends)(const void *state, int32_t *begin, int32_t *end);
    /* Append ids of the text. May stop once `enough` were appended; may also append more. */
    int (*encode)(const void *state, const char *text, size_t n_bytes, size_t enough, cts_ids *ids);
    /* Ids are in [0, size). */
    int (*decode)(const void *state, const int32_t *ids, size_t n, cts_str *text);
} cts_tokenizer_kind_def;

extern const cts_tokenizer_kind_def cts_wordpiece_kind;
extern const cts_tokenizer_kind_def cts_sentencepiece_kind;

#endif
