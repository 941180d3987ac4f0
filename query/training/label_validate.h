/* Validation of a supervised training: logits of held-out records again and again, AUROC, loss, thresholds.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_TRAINING_LABEL_VALIDATE_H
#define CTS_QUERY_TRAINING_LABEL_VALIDATE_H

#include "query/thresholds.h"
#include "train/label_trainer.h"

typedef struct cts_validator cts_validator;

/* spec (LOGITS) and data are borrowed; data->vary and weights are not used. Loaded records are kept up to cache_bytes.
 */
int cts_validator_create(cts_validator **out, const cts_tower_spec *spec, const cts_labelled *data, int64_t batch,
                         int threads, size_t cache_bytes, cts_backend *b);
void cts_validator_destroy(cts_validator *v); /* NULL allowed */
/* With the parameters as they are now: val_n, val_loss, val_auroc_macro and val_auroc by label go into `into`, the
 * macro also to *macro (NaN when no label has both classes). Records that cannot be loaded are said once and left out;
 * CTS_E_INPUT when none can. */
int cts_validator_run(cts_validator *v, json_t *into, const cts_classifier *labels, double *macro);
/* Thresholds fitted on the logits of the last run. patient [data->n]. */
int cts_validator_thresholds(cts_thresholds *out, const cts_validator *v, const cts_classifier *labels,
                             const int64_t *patient, uint64_t seed, cts_pool *pool);

#endif
