/* Zero-shot scores: a scan's vector against sentences that affirm a finding and sentences that deny it.
 *
 * Each side of a finding is one unit vector: of one phrasing its embedding, of several the mean of their embeddings
 * brought back to unit length. score = sigmoid(scale * (<image, affirming> - <image, denying>)): the softmax over the
 * two logits, scale = exp(temperature) of the model.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_ZEROSHOT_H
#define CTS_QUERY_ZEROSHOT_H

#include "data/findings.h"
#include "kernels/base/digest.h"
#include "query/engine.h"
#include "query/prompts.h"

typedef struct {
    int64_t dim;
    double scale;
    float *prompt;               /* [18][2][dim]: affirming, denying */
    float *phrasing;             /* [sum of pairs][2][dim], finding after finding; NULL = one pair each */
    int pairs[CTS_FINDINGS];     /* of each finding, 0 with phrasing NULL */
    char bank[64];               /* name of the prompts */
    char digest[CTS_DIGEST_HEX]; /* of their texts */
    char example[2][160];        /* its first pair, of "Pleural effusion" */
} cts_zeroshot;
/* Prompts through the text tower, once per model. prompts: a bank's name or file; NULL = what the model's config.json
 * names. */
int cts_zeroshot_open(cts_zeroshot *z, cts_engine *e, const char *prompts);
int cts_zeroshot_init(cts_zeroshot *z, cts_engine *e); /* the model's own prompts */
int cts_zeroshot_init_bank(cts_zeroshot *z, cts_engine *e, const cts_prompt_bank *b);
void cts_zeroshot_clear(cts_zeroshot *z);
/* scale * (<image, affirming> - <image, denying>); a score is the sigmoid of it. */
void cts_zeroshot_logits(const cts_zeroshot *z, const float *image, float logit[CTS_FINDINGS]);
void cts_zeroshot_score(const cts_zeroshot *z, const float *image, float probability[CTS_FINDINGS]);

/* How much the wording matters: the score of each pair of phrasings alone. */
typedef struct {
    int pairs;
    float mean, min, max; /* over the pairs; all equal to the score when there is one */
} cts_prompt_spread;
void cts_zeroshot_spread(const cts_zeroshot *z, const float *image, cts_prompt_spread spread[CTS_FINDINGS]);

#endif
