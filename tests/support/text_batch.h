/* Padded golden ids as the packed inputs of a text encoder. SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_SUPPORT_TEXT_BATCH_H
#define CTS_TESTS_SUPPORT_TEXT_BATCH_H

#include "tests/support/model_run.h"

/* Rows of a padded batch, packed. row[i] is the padded row-major place of packed token i. */
typedef struct {
    int64_t n_seq, width, n_tokens;
    int32_t *ids, *positions, *types, *key_mask;
    int32_t *offsets, *first;
    int64_t *row;
} text_batch;

/* ids, mask [n_seq, width]; types NULL = 0. padded: padding stays in and is hidden by the key mask; otherwise a row
 * ends with its last unmasked token, and the mask hides only holes. */
text_batch cts_text_pack(const int64_t *ids, const int64_t *mask, const int64_t *types, int64_t n_seq, int64_t width,
                         bool padded);

void cts_text_free(text_batch *b);
/* All inputs of an encoder from b. */
void cts_text_write(cts_exec *e, const cts_encoder_inputs *in, const text_batch *b);

#endif
