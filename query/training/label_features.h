/* Vectors of a frozen encoder for every volume of a probe, computed once and kept in the run folder: features.npy,
 * training volumes first, then validation, and features.json, which says by a digest what they are of. A volume that
 * cannot be loaded is a row of NaN.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_TRAINING_LABEL_FEATURES_H
#define CTS_QUERY_TRAINING_LABEL_FEATURES_H

#include "encoders/tower.h"
#include "query/training/label_set.h"

typedef struct {
    size_t n, width;
    float *rows; /* [n, width], owned */
    bool cached; /* they were there already */
} cts_label_features;

/* Of the volumes of `sets` (n_sets of them, in this order) through the tower spec (EMBEDDING or VECTOR) of a model with
 * this digest. dir: run folder; what is there is used when its digest is the same, otherwise replaced. Ctrl-C ends with
 * CTS_E_INTERRUPTED and keeps nothing. End with cts_label_features_free(). */
int cts_label_features_make(cts_label_features *out, const cts_tower_spec *spec, const char *model_digest,
                            cts_label_set *const *sets, int n_sets, int threads, const char *dir, cts_backend *backend);
void cts_label_features_free(cts_label_features *f); /* zeroed is fine */

#endif
