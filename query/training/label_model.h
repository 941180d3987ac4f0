/* The model of a supervised training run: new, or an existing one with a head for these labels.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_TRAINING_LABEL_MODEL_H
#define CTS_QUERY_TRAINING_LABEL_MODEL_H

#include "encoders/features.h"
#include "encoders/model_dir.h"
#include "query/training/label_run.h"

typedef struct {
    cts_model *init; /* NULL = new; its weights are used in place */
    cts_clip *clip;
    cts_recipe recipe;
    cts_features *head; /* of a linear head, its values to begin with, which mode HEAD trains here; NULL = another */
} cts_label_model;

/* Everything of the setup that shapes the model. End with cts_label_model_close(). */
int cts_label_model_open(cts_label_model *out, const cts_label_setup *s, const cts_label_choice *labels, uint64_t seed);
void cts_label_model_close(cts_label_model *m); /* zeroed is fine */
/* Freeze what this run does not train. *trained = how many values it does. */
int cts_label_model_freeze(cts_label_model *m, cts_label_mode mode, int64_t *trained);
/* Weights of positives [n] by the setup's pos_weight. labels [n_rows, n]. */
int cts_label_pos_weights(float *out, const char *kind, const cts_label_choice *choice, const uint8_t *labels,
                          size_t n_rows);

#endif
