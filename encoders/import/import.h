/* From a foreign weight file to a model folder: first a plan, which needs shapes only, then the writing.
 *
 * A plan names what becomes of every tensor of the file and where every tensor of the model comes from. It is refused
 * when a tensor of the file is neither used nor known to be droppable, when one the model needs has no source, or when
 * a shape is wrong. A tensor under two names (DCFormer's batch norms) must have the same values under both.
 * Axes of length 1 in front may be there or not: [1, 1, 512] fits [512], a scalar fits [1].
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_IMPORT_IMPORT_H
#define CTS_ENCODERS_IMPORT_IMPORT_H

#include "encoders/clip.h"
#include "encoders/import/families.h"

typedef struct cts_import_plan cts_import_plan;

/* One line of the table: the file's tensors in its order, then what has no source. Texts live as long as the plan. */
typedef struct {
    const char *source; /* name in the file; NULL = made */
    const char *target; /* name in the model; NULL = dropped */
    const char *note;   /* why it is dropped, or how it is made; NULL = copied as it is */
    cts_st_dtype dtype; /* of the source */
    int ndim;
    int64_t shape[CTS_MAX_DIMS];
    int64_t bytes; /* of the source's values */
} cts_import_row;

/* w is borrowed until the plan ends, o and what it points to only during the call. CTS_E_NOTFOUND (no family),
 * CTS_E_MISMATCH (names, shapes, sizes), CTS_E_UNSUPPORTED, CTS_E_INPUT (a hint is needed or wrong); the sentence names
 * the file. */
int cts_import_plan_create(cts_import_plan **out, const cts_weights *w, const cts_import_options *o);
void cts_import_plan_destroy(cts_import_plan *p); /* NULL allowed */

int cts_import_plan_rows(const cts_import_plan *p);
void cts_import_plan_row(cts_import_row *out, const cts_import_plan *p, int i);
const cts_import_family *cts_import_plan_family(const cts_import_plan *p);
const cts_import_draft *cts_import_plan_draft(const cts_import_plan *p); /* variant, recipe, notes, tokenizer */
const cts_weights *cts_import_plan_weights(const cts_import_plan *p);
/* The model's configuration, and its parameters without data. */
const cts_clip *cts_import_plan_model(const cts_import_plan *p);

typedef struct {
    const char *tokenizer_path; /* copied; NULL = none */
    const json_t *preprocess;   /* preprocess.json; NULL = none */
    const json_t *provenance;   /* provenance.json: where the model comes from; NULL = none */
} cts_import_extras;

/* Write the model folder `dir` (encoders/model_dir.h), tensor by tensor from the mapped file, all as F32; memory is a
 * few pieces of 8 MB. The folder appears whole or not at all. Polls for Ctrl-C: CTS_E_INTERRUPTED. */
int cts_import_write(const cts_import_plan *p, const char *dir, const cts_import_extras *extras);

#endif
