/* Reports as token ids, tokenised once, and drawn for training: the whole report, or a part of it that changes from
 * epoch to epoch. Of a long report most words are the writer's choice and not the scan's; the impression says the
 * positives in few words, the findings say what is absent. Drawing either of them, or some sentences, gives the image
 * tower a clear target early and shows the text tower texts as short as the questions it will be asked.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TRAIN_REPORT_TOKENS_H
#define CTS_TRAIN_REPORT_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "tokenizer/tokenizer.h"

typedef enum {
    /* The whole text, every time. */
    CTS_DRAW_REPORT,
    /* Draws below `impressions`: the impression, its sentences in random order; later ones by halves that or a random
     * part, uniform from one to all, of the findings' sentences. A report with one section: a random part of it.
     * Impressions come first because, before the image tower sees anything, in a batch of both kinds telling the kinds
     * apart drowns everything else. */
    CTS_DRAW_SENTENCES
} cts_draw_kind;

typedef struct {
    int32_t *ids; /* all sentences back to back */
    uint32_t *at; /* [n_sentences + 1] */
    size_t n_sentences;
    size_t n_findings; /* the first so many come from the findings, the rest from the impression */
    uint64_t key;      /* hash of the text */
} cts_report_ids;

typedef struct {
    cts_report_ids *report; /* [n] */
    size_t n;
    int32_t first, last; /* ids that begin and end a sequence */
    uint64_t seed;
    cts_draw_kind kind;
    uint64_t impressions; /* of SENTENCES: so many first draws take the impression */
} cts_report_tokens;

/* Tokenise n reports (borrowed during the call); either section of one may be "" but not both. CTS_E_INPUT for a report
 * without a token. first_draws becomes .impressions. End with cts_report_tokens_free(). */
int cts_report_tokens_make(cts_report_tokens *out, const cts_tokenizer *t, const char *const *findings,
                           const char *const *impressions, size_t n, cts_draw_kind kind, uint64_t first_draws,
                           uint64_t seed);
void cts_report_tokens_free(cts_report_tokens *r);
/* Ids of report i at draw `draw`, cut to max_tokens with the end token kept; returns how many. Pure; any thread. */
int32_t cts_report_tokens_draw(const cts_report_tokens *r, size_t i, uint64_t draw, int32_t *ids, int32_t max_tokens);
/* "report", "sentences" */
int cts_draw_kind_parse(cts_draw_kind *out, const char *name);

#endif
