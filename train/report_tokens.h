/* Reports as token ids, tokenised once, and drawn for training: the whole report, or some of its sentences in
 * another order at each epoch, so that a text tower that is asked short questions later has seen short texts.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TRAIN_REPORT_TOKENS_H
#define CTS_TRAIN_REPORT_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "tokenizer/tokenizer.h"

typedef enum {
    CTS_DRAW_REPORT, /* the whole text, every time */
    /* a random subset of the sentences, shuffled: each draw keeps a share drawn from [1 / n, 1], at least one */
    CTS_DRAW_SENTENCES
} cts_draw_kind;

typedef struct {
    int32_t *ids; /* all sentences back to back */
    uint32_t *at; /* [n_sentences + 1] */
    size_t n_sentences;
    uint64_t key; /* hash of the text */
} cts_report_ids;

typedef struct {
    cts_report_ids *report; /* [n] */
    size_t n;
    int32_t first, last; /* ids that begin and end a sequence */
    uint64_t seed;
    cts_draw_kind kind;
} cts_report_tokens;

/* Tokenise n texts (borrowed during the call). CTS_E_INPUT for a text without a token. End with
 * cts_report_tokens_free(). */
int cts_report_tokens_make(cts_report_tokens *out, const cts_tokenizer *t, const char *const *texts, size_t n,
                           cts_draw_kind kind, uint64_t seed);
void cts_report_tokens_free(cts_report_tokens *r);
/* Ids of report i at draw `draw`, cut to max_tokens with the end token kept; returns how many. Pure; any thread. */
int32_t cts_report_tokens_draw(const cts_report_tokens *r, size_t i, uint64_t draw, int32_t *ids, int32_t max_tokens);
/* "report", "sentences" */
int cts_draw_kind_parse(cts_draw_kind *out, const char *name);

#endif
