/* Data sets as pairs for training: records with a volume file and a report, their tokens, and the loader callbacks.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_TRAINING_DATA_H
#define CTS_QUERY_TRAINING_DATA_H

#include "data/ct_rate.h"
#include "data/recipe.h"
#include "data/report_text.h"
#include "query/orientation.h"
#include "train/clip_trainer.h"
#include "train/report_tokens.h"

typedef struct {
    const cts_record **record; /* [n] those with both; borrowed from the data set */
    char **text;               /* [n] report texts by the mode */
    char **section[2];         /* [n] clean findings, clean impressions; "" where not given. A published mode joins the
                                  sections in its own way: then the first is the whole text */
    size_t n, without_volume, without_report;
    cts_recipe recipe;
    cts_text_mode mode;
    cts_axes *axes; /* how the volumes lay that were loaded; owned */
    cts_report_tokens tokens;
    bool has_tokens;
} cts_train_data;

/* Choose the usable records; CTS_E_INPUT when there is none. The data set must outlive it. End with
 * cts_train_data_free(). */
int cts_train_data_make(cts_train_data *out, const cts_dataset *d, const cts_recipe *recipe, cts_text_mode mode);
void cts_train_data_free(cts_train_data *t); /* zeroed is fine */
int cts_train_data_tokenise(cts_train_data *t, const cts_tokenizer *tok, cts_draw_kind kind, int64_t impressions,
                            uint64_t seed);
/* The pairs view of it; borrowed. */
cts_pairs cts_train_data_pairs(cts_train_data *t);
/* SHA-256 over names, texts, recipe and tokenizer: what a resume must find again. */
int cts_train_data_digest(const cts_train_data *t, const cts_tokenizer *tok, char digest[CTS_DIGEST_HEX]);

#endif
