/* State dicts as other programs write them, made from a model of ours: the same values under published names; and the
 * import of such a file. SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_SUPPORT_STATE_DICT_H
#define CTS_TESTS_SUPPORT_STATE_DICT_H

#include "encoders/import/import.h"
#include "encoders/model_dir.h"
#include "tests/support/scratch.h"

#define CTS_DICT_MAX 1024

typedef struct {
    cts_st_tensor t[CTS_DICT_MAX];
    char *name[CTS_DICT_MAX];
    float *own[CTS_DICT_MAX]; /* NULL where the model's data is used */
    int n;
} cts_dict;

/* Borrows data; NULL = zeros of its own. */
void cts_dict_add(cts_dict *d, const char *name, cts_st_dtype dtype, int ndim, const int64_t *shape, const float *data);
/* Zeros of dtype F32. */
void cts_dict_zeros(cts_dict *d, const char *name, int ndim, const int64_t *shape);
/* All entries of p; their data is borrowed. */
void cts_dict_of(cts_dict *d, const cts_params *p);
/* The index; fails the test when there is none. */
int cts_dict_find(const cts_dict *d, const char *name);
void cts_dict_remove(cts_dict *d, const char *name);
/* Takes the malloc'd name over. */
void cts_dict_set_name(cts_dict *d, int i, char *name);
/* In every name the first `from` becomes `to`; returns how many had it. */
int cts_dict_rename(cts_dict *d, const char *from, const char *to);
void cts_dict_prefix(cts_dict *d, const char *prefix);
/* Keep the names that begin with prefix, without it. */
void cts_dict_keep(cts_dict *d, const char *prefix);
void cts_dict_clear(cts_dict *d);
void cts_dict_write(const cts_dict *d, const char *path);
/* A model with drawn values of a config.json. */
cts_clip *cts_dict_model(const char *json);
/* Plan of the file at path; the weights stay open in *w. */
int cts_dict_plan(cts_import_plan **p, cts_weights **w, const char *path, const cts_import_options *o);
/* The file does not import, with this status and these two words in its sentence. */
void cts_dict_refused(const char *path, const cts_import_options *o, int want, const char *a, const char *b);
/* Import the file at path into dir and load that. */
cts_model *cts_dict_load(const char *path, const cts_import_options *o, const char *dir);

#endif
