/* Data sets for supervised training: records with a volume file and labels, and how their volumes are loaded.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_TRAINING_LABEL_SET_H
#define CTS_QUERY_TRAINING_LABEL_SET_H

#include "data/ct_rate.h"
#include "data/recipe.h"
#include "encoders/classifier.h"
#include "kernels/base/digest.h"
#include "query/orientation.h"

typedef struct {
    int index[CTS_FINDINGS]; /* [n] places in cts_findings */
    int64_t n;
} cts_label_choice;

/* "Emphysema,lung_nodule,...": names or slugs; NULL = all 18. CTS_E_USAGE names what is unknown or there twice. */
int cts_label_choice_parse(cts_label_choice *out, const char *list);

typedef struct {
    const cts_record **record; /* [n] borrowed from the data set */
    size_t n, without_volume, without_labels;
    uint8_t *labels; /* [n, choice.n] */
    cts_label_choice choice;
    cts_recipe recipe;
    int64_t min_slices; /* a scan of fewer is refused */
    cts_axes *axes;     /* how the volumes lay that were loaded; owned */
    const char *what;   /* "training volumes" */
} cts_label_set;

/* Load the data set and choose what can be used; what is left out is counted. CTS_E_USAGE without a label CSV or a
 * folder; CTS_E_FORMAT when the label CSV has a column that is neither VolumeName nor a finding, or lacks one;
 * CTS_E_INPUT for a cell other than 0 and 1, or when nothing is left. *d is the caller's too and outlives the set. */
int cts_label_set_open(cts_label_set *out, cts_dataset **d, const cts_dataset_paths *paths,
                       const cts_label_choice *choice, const char *what);
void cts_label_set_free(cts_label_set *s); /* zeroed is fine */
/* What one of its volumes becomes: reader, recipe, check of slices. ctx is the set; any thread. */
int cts_label_set_load(void *ctx, int64_t record, float *volume);
/* patient [n]: equal numbers for volumes of one patient. */
int cts_label_set_patients(const cts_label_set *s, int64_t *patient);
/* SHA-256 over recipe, names, sizes of the files, metadata where there are any and, with_labels, the labels. */
int cts_label_set_digest(const cts_label_set *s, bool with_labels, char digest[CTS_DIGEST_HEX]);

#endif
