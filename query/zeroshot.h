/* Zero-shot scores: a scan's vector against a sentence that affirms a finding and one that denies it.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_ZEROSHOT_H
#define CTS_QUERY_ZEROSHOT_H

#include "data/findings.h"
#include "query/engine.h"

/* "<Finding> is present." / "<Finding> is not present.", label text exactly as in the CSVs, encoded once per model.
 * score = sigmoid(scale * (<image, present> - <image, not present>)): the softmax over the two logits. */
typedef struct {
    int64_t dim;
    double scale;
    float *prompt; /* [18][2][dim]: present, not present */
} cts_zeroshot;
int cts_zeroshot_init(cts_zeroshot *z, cts_engine *e);
void cts_zeroshot_clear(cts_zeroshot *z);
void cts_zeroshot_score(const cts_zeroshot *z, const float *image, float probability[CTS_FINDINGS]);

#endif
