/* What the families share. SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_IMPORT_FAMILIES_INTERNAL_H
#define CTS_ENCODERS_IMPORT_FAMILIES_INTERNAL_H

#include "encoders/import/families.h"

extern const cts_import_family cts_import_dcformer, cts_import_med3dvlm, cts_import_ctclip, cts_import_ct_scroll,
    cts_import_bert, cts_import_sentence_transformer;

/* A sentence for the user. */
int cts_import_note(cts_import_draft *d, const char *fmt, ...) CTS_PRINTF(2, 3);
void cts_import_section_add(cts_import_draft *d, const char *from, const char *to, const cts_import_rule *rules, int n);
/* The one value of a tensor of one element. */
int cts_import_scalar(double *out, const cts_weight *t);

/* The list of the 18 findings of CT-RATE in the order of its label files, which the published classifiers' rows are in;
 * NULL when n is another number. */
json_t *cts_import_labels(int64_t n);

/* ---- BERT as a text side (family_bert.c) ---- */

/* Does a BERT or DistilBERT lie under this prefix? */
bool cts_import_has_bert(const cts_import_keys *k, const char *prefix);
/* {"encoder": "bert", "config": {..}} of the weights under prefix, and the sections that map them to text_transformer.
 * Fields that no shape shows come from o->config (checked against the shapes) or are BERT's own. */
int cts_import_bert_side(json_t **out, cts_import_draft *d, const cts_import_keys *k, const char *prefix,
                         const cts_import_options *o);

/* ---- DCFormer as an image side (family_dcformer.c) ---- */

bool cts_import_has_dcformer(const cts_import_keys *k, const char *prefix);
/* {"encoder": "dcformer", "config": {..}} and the section that maps prefix to visual_transformer. `projection` is the
 * weight of the image projection, whose width tells the reduction; NULL = channel. *width: of the vector. */
int cts_import_dcformer_side(json_t **out, int64_t *width, cts_import_draft *d, const cts_import_keys *k,
                             const char *prefix, const cts_weight *projection, const cts_import_options *o);

/* ---- the pair ---- */

/* d->config from its sides (references taken over, NULL = absent; both also when it fails). Without a projection on a
 * side its vector is the embedding. temperature: {..} or NULL for the constant 1. */
typedef struct {
    json_t *image, *text, *temperature;
    const char *image_projection, *text_projection; /* "linear", "affine"; NULL = none */
    int64_t latent_dim;
    const char *report_text; /* NULL = the default */
    int64_t max_length;      /* 0 = the encoder's */
    json_t *classifier;      /* reference taken over as well; NULL = none */
} cts_import_pair;
int cts_import_pair_config(cts_import_draft *d, cts_import_pair *p);
/* The references of a pair that comes to nothing. */
void cts_import_pair_drop(cts_import_pair *p);
/* p->temperature: learned, the logarithm in tensor `name`; left alone when there is none. */
int cts_import_pair_temperature(cts_import_pair *p, const cts_import_keys *k, const char *name);

#endif
