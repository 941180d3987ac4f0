/* Vectors that were computed before, as if they came from an encoder: what trains a linear head on a frozen encoder
 * without running it again. A tower of this kind reads "volumes" of 1 x 1 x width values, and has the linear head of a
 * classifier and nothing else.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_FEATURES_H
#define CTS_ENCODERS_FEATURES_H

#include "encoders/tower.h"

typedef struct {
    int64_t width;
    cts_classifier head; /* owned; reads the vector, whatever it is of */
    cts_params *params;  /* owned: classifier.weight, classifier.bias */
} cts_features;

/* A head like `head` (LINEAR) over vectors of `width` values, with initial values drawn from seed. */
int cts_features_create(cts_features **out, const cts_classifier *head, int64_t width, uint64_t seed);
void cts_features_destroy(cts_features *f); /* NULL allowed */
/* Its tower, result LOGITS; f must outlive it. */
cts_tower_spec cts_features_spec(cts_features *f);
/* The head's values from, or into, the entries of the same names of p. CTS_E_MISMATCH when p has none of this shape. */
int cts_features_get(cts_features *f, const cts_params *p);
int cts_features_put(const cts_features *f, cts_params *p);

#endif
