/* The supervised head of a model: which findings its logits are of, and where they come from.
 *
 * "classifier" of config.json:
 *   {"labels": ["Cardiomegaly", ..], "head": "encoder"}        the image encoder's own logits (CT-Scroll)
 *   {"labels": [..], "head": "linear", "input": "vector" | "embedding", "relu": false, "dropout": 0.0}
 *       logits = classifier.weight [labels, width] (relu? (x)) + classifier.bias [labels], dropout on x while training.
 *       x = the image encoder's vector, or the projected, L2-normalised embedding. CT-CLIP's linear probe is relu,
 *       dropout 0.3, on the embedding.
 * A model without the object has no head; its config.json, and with it its digest, are what they were.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_CLASSIFIER_H
#define CTS_ENCODERS_CLASSIFIER_H

#include "encoders/encoder.h"

#define CTS_LABELS_MAX 4096
#define CTS_LABEL_BYTES 128 /* of a name, with the 0 */

#define CTS_CLASSIFIER_WEIGHT "classifier.weight"
#define CTS_CLASSIFIER_BIAS "classifier.bias"

typedef enum { CTS_HEAD_NONE, CTS_HEAD_ENCODER, CTS_HEAD_LINEAR } cts_head_kind;
typedef enum { CTS_HEAD_VECTOR, CTS_HEAD_EMBEDDING } cts_head_input;

typedef struct {
    cts_head_kind head;   /* NONE: the model has no classifier, all else is 0 */
    cts_head_input input; /* LINEAR */
    bool relu;            /* LINEAR */
    double dropout;       /* LINEAR */
    int64_t n;            /* labels */
    char **labels;        /* [n], owned, distinct */
} cts_classifier;

/* From the object j of file `file`. On success the caller ends it with cts_classifier_clear(). */
int cts_classifier_parse(cts_classifier *out, const json_t *j, const char *file);
json_t *cts_classifier_write(const cts_classifier *c); /* NULL when out of memory */
/* A copy, to be cleared as well. */
int cts_classifier_copy(cts_classifier *out, const cts_classifier *c);
void cts_classifier_clear(cts_classifier *c); /* zeroed is fine */
/* Index of a label, upper and lower case alike; -1 = none. */
int64_t cts_classifier_find(const cts_classifier *c, const char *label);
const char *cts_head_name(cts_head_kind k);        /* "none", "encoder", "linear" */
const char *cts_head_input_name(cts_head_input i); /* "vector", "embedding" */

/* LINEAR: x [N, width] -> logits [N, n]. Without a prefix on b. */
cts_tensor *cts_classifier_build(cts_build *b, const cts_classifier *c, cts_tensor *x);

#endif
