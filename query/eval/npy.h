/* Rows of numbers from .npy files for an evaluation: vectors made unit length, prompts, probabilities, and the names of
 * their rows.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EVAL_NPY_H
#define CTS_QUERY_EVAL_NPY_H

#include "query/eval/set.h"
#include "query/zeroshot.h"

/* Names of the n rows of `path`: from names_csv when given; else from "ids" of the .json beside path when it is there;
 * else from fallback_csv in its order. CTS_E_INPUT when the counts differ; CTS_E_USAGE when there is nothing to name
 * them by. Names the rows of s. */
int cts_eval_npy_names(cts_eval_set *s, const char *path, size_t n, const char *names_csv, const char *fallback_csv);

/* Whether a .json with names lies beside path. */
bool cts_eval_npy_has_names(const char *path);

/* float [n, d] that are finite; CTS_E_INPUT names file and row. what: "images", for the list of sources and remarks. */
int cts_eval_npy_load(float **rows, size_t *n, size_t *d, cts_eval_set *s, const char *what, const char *path);
/* Make rows unit length. All stay as they are, to the bit, when every norm is 1 within 1e-5; otherwise a remark says
 * so. CTS_E_INPUT names a row of zeros. */
int cts_eval_unit_rows(float *rows, size_t n, size_t d, cts_eval_set *s, const char *path);

/* Prompts [36, d] as cts_zeroshot; scale 0 = e. */
int cts_eval_npy_prompts(cts_zeroshot *z, cts_eval_set *s, const char *path, size_t d, double scale);
/* Scores [n, 18], or [n, map->n] as they are, into s->score in terms of its labels. logits: apply a sigmoid, and keep
 * them in s->logit; otherwise every number must lie in 0..1. A .json beside path may say "labels" (of the columns; with
 * labels that are not the 18 no map is possible, CTS_E_MISMATCH) and "values": "logits". CTS_E_INPUT names file, row,
 * volume and label. The rows of s are named. On success scores is the set's. */
int cts_eval_npy_scores(cts_eval_set *s, float *scores, size_t d, const cts_label_map *map, bool logits,
                        const char *path);

/* The logits of s, or the probabilities where those alone are known, as path (.npy) with the .json beside it that the
 * functions above read. Both are written atomically. */
int cts_eval_npy_save_scores(const cts_eval_set *s, const char *path);

#endif
