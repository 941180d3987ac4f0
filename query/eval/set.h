/* What an evaluation works on: rows of volumes with what is known of each, wherever it came from (index, .npy files, a
 * model and a folder of scans), and where it came from.
 *
 * Matrices are row-major and owned; a part that was not asked for or not given is NULL. Labels and scores are in terms
 * of label_name: the 18 findings, those of a label map (query/metrics/label_map.h), or a supervised model's own. One
 * thread at a time.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EVAL_SET_H
#define CTS_QUERY_EVAL_SET_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/findings.h"
#include "kernels/base/digest.h"
#include "kernels/base/str.h"
#include "query/metrics/label_map.h"

/* One volume. Strings belong to the set. */
typedef struct {
    const char *name;          /* without .nii.gz: "valid_53_a_1" */
    const char *patient;       /* "valid_53"; the name where it has another form */
    const char *scan;          /* "valid_53_a"; the name where ... */
    int reconstruction;        /* 1, 2, ...; 0 where the name does not say */
    double in_plane_mm;        /* voxel in the slice plane; 0 unknown */
    const char *findings_text; /* of its report, what "the same report" is judged by; NULL without */
    bool whole;                /* it has every vector that is needed */
} cts_eval_row;

/* A file or model that went in, with its digest: what makes two results comparable. */
typedef struct {
    const char *what, *path; /* "images", "i.npy" */
    char sha256[CTS_DIGEST_HEX];
} cts_eval_source;

#define CTS_EVAL_SOURCES_MAX 64

typedef struct {
    size_t n;
    cts_eval_row *rows; /* [n] */
    int64_t dim;
    float *image, *text;                       /* [n][dim] unit rows */
    float *score;                              /* [n][n_labels] probabilities */
    float *logit;                              /* [n][n_labels] what they are the sigmoids of; NULL = not known */
    size_t n_labels;                           /* 18 unless a map says otherwise */
    const char *label_name[CTS_LABEL_MAP_MAX]; /* static, or the set's */
    const char *label_set;                     /* "ct-rate-18", a map's name, "own" */
    cts_label_map *own;                        /* labels of a model that are not the 18; owned, NULL = none */
    uint8_t *labels;                           /* [n][n_labels] 0 or 1 */
    bool *labelled;                            /* [n]; NULL together with labels */
    size_t skipped;                            /* of the pool, but without file, report or vector */
    size_t unlabelled;                         /* left out before anything was computed of them */
    cts_eval_source source[CTS_EVAL_SOURCES_MAX];
    size_t n_sources;
    cts_str remarks; /* sentences for the reader, each ends in a newline */
    struct cts_arena *strings;
} cts_eval_set; /* zero it before */

void cts_eval_set_free(cts_eval_set *s);
/* The label columns: the 18 findings, or the rules of a map. */
void cts_eval_set_name_labels(cts_eval_set *s, const cts_label_map *map);
/* The label columns of a model: the 18 findings when it has just these, otherwise s->own. CTS_E_LIMIT: more than
 * CTS_LABEL_MAP_MAX. */
int cts_eval_set_own_labels(cts_eval_set *s, const char *const *names, size_t n);
/* Column of a label, upper and lower case alike; -1 = none. */
int64_t cts_eval_set_label(const cts_eval_set *s, const char *name);
/* n rows with these names (with or without extension); patient, scan and reconstruction are read off the names.
 * CTS_E_INPUT: an empty name or a name twice, both rows named. what: for messages ("i.npy"). */
int cts_eval_set_name_rows(cts_eval_set *s, const char *const *names, size_t n, const char *what);
/* Keep the rows that are marked, in their order. */
void cts_eval_set_keep(cts_eval_set *s, const bool *kept);
/* Leave out rows without labels; the number of them. CTS_E_USAGE when there are no labels at all. */
int cts_eval_set_drop_unlabelled(cts_eval_set *s, size_t *dropped);
/* A copy of text that lives as long as the set; NULL when out of memory. */
const char *cts_eval_set_string(cts_eval_set *s, const char *text);
/* Add a file with its SHA-256, or something whose digest is known. */
int cts_eval_set_add_file(cts_eval_set *s, const char *what, const char *path);
int cts_eval_set_add_digest(cts_eval_set *s, const char *what, const char *path, const char *sha256);
/* Numbers that are equal for rows of one patient, of one scan. out [n]. */
int cts_eval_set_patients(const cts_eval_set *s, int64_t *out);
int cts_eval_set_scans(const cts_eval_set *s, int64_t *out);
/* The same for numbers in memory: n floats. */
int cts_eval_set_add_floats(cts_eval_set *s, const char *what, const char *path, const float *v, size_t n);
/* [{what, path, sha256}] */
json_t *cts_eval_sources_json(const cts_eval_set *s);

/* Rows by name: a sorted table. Borrowed from the set; end with free(t.key). */
typedef struct {
    struct cts_eval_key {
        const char *name;
        size_t row;
    } * key;
    size_t n;
} cts_eval_names;
int cts_eval_names_make(cts_eval_names *t, const cts_eval_set *s);
/* Row of a volume name with or without extension; -1 when it is not there. */
int64_t cts_eval_names_find(const cts_eval_names *t, const char *name);

#endif
