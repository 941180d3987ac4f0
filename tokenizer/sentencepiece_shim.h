/* The few calls of the SentencePiece library (C++, 0.1.97 or newer) that the project needs. Every body turns exceptions
 * and the library's own statuses into ours; no C++ type crosses. Messages of the library on stderr are switched off.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TOKENIZER_SENTENCEPIECE_SHIM_H
#define CTS_TOKENIZER_SENTENCEPIECE_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cts_sp cts_sp; /* immutable after opening, any number of threads */

/* From the n bytes of a model file, which are not kept. CTS_E_FORMAT with the library's reason. */
int cts_sp_open(cts_sp **out, const void *bytes, size_t n);
void cts_sp_close(cts_sp *sp); /* NULL allowed */

int32_t cts_sp_size(const cts_sp *sp);
/* Ids of <s> and </s>, -1 where the model has none. */
void cts_sp_ends(const cts_sp *sp, int32_t *begin, int32_t *end);

/* put(ctx, id) is called for every id in order and returns a status; the first that is not 0 ends the call with it. */
int cts_sp_encode(const cts_sp *sp, const char *text, size_t n_bytes, int (*put)(void *ctx, int32_t id), void *ctx);
/* put(ctx, text, n_bytes) is called once. Ids must be in [0, size). */
int cts_sp_decode(const cts_sp *sp, const int32_t *ids, size_t n,
                  int (*put)(void *ctx, const char *text, size_t n_bytes), void *ctx);

/* Train on n texts (C strings); put receives the bytes of the model file once. */
typedef struct {
    const char *model_type;    /* "unigram" or "bpe" */
    const char *normalization; /* the library's rule name, "nmt_nfkc_cf" */
    int32_t vocab_size;        /* upper bound */
    int byte_fallback;         /* 1: what is in no piece becomes bytes, never <unk> */
    size_t longest;            /* bytes of the longest text */
} cts_sp_training;
int cts_sp_train(const cts_sp_training *how, const char *const *texts, size_t n,
                 int (*put)(void *ctx, const char *bytes, size_t n_bytes), void *ctx);

#ifdef __cplusplus
}
#endif
#endif
