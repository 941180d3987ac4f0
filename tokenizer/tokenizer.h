/* Text to token ids behind one vtable: WordPiece (BERT) and SentencePiece. A third kind is a new file and a row in tokenizer.c.
 * A tokenizer is immutable after opening and may be used by any number of threads.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TOKENIZER_TOKENIZER_H
#define CTS_TOKENIZER_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/base/digest.h"

typedef struct cts_tokenizer cts_tokenizer;

/* By file: "vocab.txt" (one WordPiece a line) or a SentencePiece model (*.model); or a model folder that holds one of them.
 * CTS_E_IO, CTS_E_FORMAT, CTS_E_NOTFOUND. */
int cts_tokenizer_open(cts_tokenizer **out, const char *path);
void cts_tokenizer_close(cts_tokenizer *t); /* NULL allowed */

const char *cts_tokenizer_kind(const cts_tokenizer *t);   /* "wordpiece" or "sentencepiece" */
int32_t cts_tokenizer_size(const cts_tokenizer *t);       /* number of ids */
const char *cts_tokenizer_digest(const cts_tokenizer *t); /* SHA-256 of the file */
const char *cts_tokenizer_path(const cts_tokenizer *t);   /* the file itself, to copy into a model folder */

/* Ids of the n_bytes of UTF-8 at text. Without special tokens; *ids is malloc'd (free()), *n its length (0 gives NULL or a freeable pointer). */
int cts_tokenizer_encode(const cts_tokenizer *t, const char *text, size_t n_bytes, int32_t **ids, size_t *n);
/* The sequence a text tower reads: WordPiece [CLS] ids [SEP], SentencePiece <s> ids </s>, cut to at most max_tokens (>= 2) in all with
 * the end token kept. ids [max_tokens] is the caller's; *n receives the length. */
int cts_tokenizer_encode_sequence(const cts_tokenizer *t, const char *text, size_t n_bytes, int32_t max_tokens,
                                  int32_t *ids, size_t *n);
/* Text of ids, malloc'd, NUL-terminated. */
int cts_tokenizer_decode(const cts_tokenizer *t, const int32_t *ids, size_t n, char **text);

/* Train a model from n texts and write it atomically to path. Deterministic. vocab_size is an upper bound for WordPiece and SentencePiece alike.
 * WordPiece: lower-cased BERT basic tokens, [PAD] [UNK] [CLS] [SEP] [MASK] first, all characters, then pieces merged by likelihood gain. */
int cts_sentencepiece_train(const char *path, const char *const *texts, size_t n, int32_t vocab_size,
                            const char *kind /* "unigram" or "bpe" */);
int cts_wordpiece_train(const char *path, const char *const *texts, size_t n, int32_t vocab_size);

#endif
