/* One explained finding as text and as JSON (docs/JSON.md, explain). SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EXPLAIN_REPORT_H
#define CTS_QUERY_EXPLAIN_REPORT_H

#include <stdio.h>

#include "query/explain/explainer.h"
#include "query/explain/picture.h"
#include "query/thresholds.h"

typedef struct {
    const char *name; /* borrowed */
    double logit, probability;
    const cts_label_threshold *threshold; /* borrowed; NULL = the model has none */
    cts_heat heat;
    int64_t slice[CTS_EXPLAIN_SLICES]; /* hottest first */
    int n_slices;
    char *nifti, *png; /* owned paths of what was written, NULL = nothing */
} cts_explanation;

/* Of the scan the explainer saw last. t: borrowed; NULL = none. On success end with cts_explanation_clear(). */
int cts_explanation_make(cts_explanation *out, cts_explainer *x, size_t label, const cts_label_threshold *t);
void cts_explanation_clear(cts_explanation *e); /* zeroed is fine */

/* Heat map and picture as <folder>/<slug>.nii.gz and .png; what stands in e afterwards was written. */
int cts_explanation_save(cts_explanation *e, const cts_explainer *x, const char *folder, bool png);

void cts_explanation_print(FILE *f, const cts_explanation *e, const cts_explainer *x);
json_t *cts_explanation_json(const cts_explanation *e, const cts_explainer *x);

#endif
