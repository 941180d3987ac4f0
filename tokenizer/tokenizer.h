/* Text to token ids behind one vtable: WordPiece (BERT) and SentencePiece. A third kind is a new file and a row in
 * tokenizer.c. A tokenizer is immutable after opening and may be used by any number of threads. Statuses and sentences
 * as kernels/base/status.h says; results stay untouched on failure. Ids equal those of Hugging Face transformers and of
 * the sentencepiece package.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TOKENIZER_TOKENIZER_H
#define CTS_TOKENIZER_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/base/digest.h"

typedef struct cts_tokenizer cts_tokenizer;

/* By file: a vocabulary, one WordPiece a line (*.txt), or a SentencePiece model (*.model); or a model folder that holds
 * one of them as vocab.txt or tokenizer.model (in this order). The file is read whole and not kept open.
 * CTS_E_NOTFOUND; CTS_E_FORMAT (no [UNK], [CLS] or [SEP], a piece twice, an empty line, no UTF-8; a cut or damaged
 * model); CTS_E_LIMIT (over 64 MB or 2^20 ids); CTS_E_IO. */
int cts_tokenizer_open(cts_tokenizer **out, const char *path);
void cts_tokenizer_close(cts_tokenizer *t); /* NULL allowed */

const char *cts_tokenizer_kind(const cts_tokenizer *t);   /* "wordpiece" or "sentencepiece" */
int32_t cts_tokenizer_size(const cts_tokenizer *t);       /* number of ids */
const char *cts_tokenizer_digest(const cts_tokenizer *t); /* SHA-256 of the file */
const char *cts_tokenizer_path(const cts_tokenizer *t);   /* the file itself, to copy into a model folder */

/* Its name inside a model folder: "vocab.txt" or "tokenizer.model". */
const char *cts_tokenizer_file_name(const cts_tokenizer *t);

/* Ids of the n_bytes of UTF-8 at text, without the two ends of a sequence. *ids is malloc'd (free()), *n its length; no
 * ids give NULL or a block that can be freed. Malformed bytes count as U+FFFD (WordPiece drops those, SentencePiece has
 * them as characters). WordPiece: the names [PAD] [UNK] [CLS] [SEP] [MASK] in the text become their ids, a word of more
 * than 100 characters is [UNK]. CTS_E_LIMIT over 16 MB. */
int cts_tokenizer_encode(const cts_tokenizer *t, const char *text, size_t n_bytes, int32_t **ids, size_t *n);
/* The sequence a text tower reads: WordPiece [CLS] ids [SEP], SentencePiece <s> ids </s>, cut to at most max_tokens
 * (>= 2) in all with the end token kept. ids [max_tokens] is the caller's; *n receives the length, nothing is padded.
 * CTS_E_MISMATCH when a SentencePiece model has no <s> or </s>. */
int cts_tokenizer_encode_sequence(const cts_tokenizer *t, const char *text, size_t n_bytes, int32_t max_tokens,
                                  int32_t *ids, size_t *n);
/* Text of ids, malloc'd, NUL-terminated. The ends of a sequence and padding are no text. WordPiece puts one space
 * between words and punctuation marks; what clean-up and [UNK] took does not come back. CTS_E_INPUT for an id outside
 * [0, size). */
int cts_tokenizer_decode(const cts_tokenizer *t, const int32_t *ids, size_t n, char **text);

/* Learn a tokenizer from n texts (C strings) and write its file atomically to path. Deterministic. vocab_size is an
 * upper bound for both. CTS_E_INPUT when no text has a word or vocab_size cannot hold the single characters.
 * WordPiece: [PAD] [UNK] [CLS] [SEP] [MASK] = 0 to 4, all characters of the texts, then pieces joined by likelihood
 * gain (wordpiece_train.c), lower-cased without accents.
 * SentencePiece, kind "unigram" or "bpe": <pad> <unk> <s> </s> = 0 to 3, NFKC and case folding; bpe cuts what it does
 * not know into bytes, unigram has <unk>. */
int cts_wordpiece_train(const char *path, const char *const *texts, size_t n, int32_t vocab_size);
int cts_sentencepiece_train(const char *path, const char *const *texts, size_t n, int32_t vocab_size, const char *kind);

#endif
