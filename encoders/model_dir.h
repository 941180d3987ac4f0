/* Model directories: what a trained or imported model is on disk.
 *   config.json         configuration of the pair (clip.h)
 *   model.safetensors   every parameter and state, F32, under its published name
 *   vocab.txt | tokenizer.model   the tokenizer, copied byte for byte
 *   preprocess.json     the recipe of the volumes; an opaque object here, data/ reads it
 *   digest.json         digest of model.safetensors with the size and time of the file it was taken from
 * Saving builds a new folder beside the target and swaps the two in one step, so that a reader or a crash sees the old
 * or the new one.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_MODEL_DIR_H
#define CTS_ENCODERS_MODEL_DIR_H

#include "encoders/clip.h"
#include "encoders/safetensors.h"
#include "kernels/base/digest.h"

/* Digests of what decides an embedding; empty string where the file is absent. */
typedef struct {
    char model[CTS_DIGEST_HEX];     /* SHA-256 over the digests of config.json (canonical form) and model.safetensors */
    char tokenizer[CTS_DIGEST_HEX]; /* of the tokenizer file */
    char recipe[CTS_DIGEST_HEX];    /* of preprocess.json in canonical form (sorted keys, no spaces) */
} cts_model_digests;

typedef struct {
    cts_clip *clip;
    char *dir;
    char *tokenizer_path; /* NULL when the directory has none */
    json_t *preprocess;   /* NULL when it has none */
    cts_model_digests digest;
} cts_model;

/* Parameters of m (which hold data), the tokenizer file to copy (NULL = none; its name in the directory is vocab.txt
 * when it ends in .txt, otherwise tokenizer.model) and the recipe (NULL = none). An existing target is replaced only
 * when it is empty or a model directory. */
int cts_model_dir_save(const char *dir, const cts_clip *m, const char *tokenizer_path, const json_t *preprocess);
/* All files of a model directory but model.safetensors, written into the folder dir as above. */
int cts_model_dir_write_rest(const char *dir, const cts_clip_config *c, const char *tokenizer_path,
                             const json_t *preprocess);
/* Strict: a missing, extra or wrongly shaped tensor is CTS_E_MISMATCH and names it, got and wanted. The weights are
 * mapped: pages are read when they are used, so that a query pays for the side it asks. Nobody may change the file in
 * place meanwhile; saving a model into the same directory does not. */
int cts_model_dir_load(cts_model **out, const char *dir);
void cts_model_destroy(cts_model *m); /* NULL allowed */
/* Canonical digest of a recipe, as in cts_model_digests. */
int cts_json_digest(char out[CTS_DIGEST_HEX], const json_t *j);

/* All entries of p from the tensors whose name is prefix + entry name ("" = none); tensors without the prefix are left
 * alone. Strict as above: nothing is changed unless all fits. A scalar tensor fits shape [1]. Allocates the data. */
int cts_params_load(cts_params *p, const cts_safetensors *s, const char *prefix);
/* The same from the file at `path`, which stays mapped as long as p lives: F32 tensors at a multiple of 4 bytes are
 * used where they lie, others are copied. What is written to p is this process's own, the file never changes. For a p
 * whose entries have no data yet. */
int cts_params_map(cts_params *p, const char *path);
/* p's entries as tensors to write, in *t (free()) with room for `extra` more, and their names prefix + entry name in
 * *names, which has room for the same and ends with cts_st_names_free(). */
int cts_params_tensors(cts_st_tensor **t, char ***names, const cts_params *p, const char *prefix, int extra);
void cts_st_names_free(char **names, int n);

#endif
