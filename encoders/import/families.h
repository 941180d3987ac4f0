/* The model families whose published files can be imported: one file and one row in families.c each.
 *
 * A family recognises its files by their keys, reads the configuration from the shapes, and says by rules (mapping.h)
 * what every key becomes. Which tensors the model needs is not written down here: the encoders declare them, and
 * import.c holds both sides against each other.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_IMPORT_FAMILIES_H
#define CTS_ENCODERS_IMPORT_FAMILIES_H

#include <jansson.h>

#include "encoders/import/mapping.h"

/* What a sentence-transformers folder says beside its weights. */
typedef struct {
    bool mean;          /* pooling over the sequence; false = first token */
    bool normalize;     /* it ends in an L2 norm; ours always does */
    int64_t max_tokens; /* 0 = not said */
} cts_import_sentence;

/* What helps beyond the weights; zero it, then set what is known. Everything is borrowed. */
typedef struct {
    const char *family; /* by name; NULL = by the keys */
    const json_t *config;
    const char *config_path;             /* config.json that lay beside the weights and its path, NULL = none */
    const cts_import_sentence *sentence; /* NULL = no such folder */
    int64_t input_size[3];               /* voxels z, x, y; 0 0 0 = the published size */
    int64_t patch[3];                    /* voxels of a CT-ViT patch z, x, y; 0 0 0 = from the shapes */
    int64_t text_heads;                  /* 0 = config.json, otherwise by the width */
    int64_t tokenizer_size;              /* ids of the tokenizer; 0 = none is given */
} cts_import_options;

/* A target the file has no tensor for and that has one value throughout. */
typedef struct {
    const char *target;
    float value;
    const char *reason;
} cts_import_fill;

/* What a family makes of a file. Texts are constants. */
#define CTS_IMPORT_SECTIONS 6
typedef struct {
    json_t *config;        /* config.json of the model folder (clip.h); the draft's */
    json_t *notes;         /* list of sentences for the user; the draft's */
    const char *variant;   /* "v2"; NULL = there is one only */
    const char *recipe;    /* preprocessing by name; NULL = unknown or no images */
    const char *tokenizer; /* which one belongs to it, when a file carries none */
    cts_import_section section[CTS_IMPORT_SECTIONS];
    int n_sections;
    cts_import_fill fill;
} cts_import_draft;

typedef struct {
    const char *name;  /* "ctclip" */
    const char *about; /* one line */
    /* 0 = these keys are no file of the family; the highest of all families wins. */
    int (*detect)(const cts_import_keys *k, const cts_import_options *o);
    /* Fill *d, which is zeroed but for notes, an empty list. Sentences name no file: the caller adds it. */
    int (*plan)(cts_import_draft *d, const cts_import_keys *k, const cts_import_options *o);
} cts_import_family;

int cts_import_family_count(void);
const cts_import_family *cts_import_family_at(int i);
/* By name or by keys. CTS_E_NOTFOUND lists the known families, and for keys a few of them. */
int cts_import_family_find(const cts_import_family **out, const cts_import_keys *k, const cts_import_options *o);

#endif
