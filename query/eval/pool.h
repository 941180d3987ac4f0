/* Pools: which volumes of a set take part. The published figures differ by their pools as much as by their models, so
 * every result names the one it was taken on.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EVAL_POOL_H
#define CTS_QUERY_EVAL_POOL_H

#include "kernels/base/str.h"
#include "query/eval/set.h"

typedef enum {
    CTS_POOL_EVERY,     /* all rows */
    CTS_POOL_SCAN,      /* of each scan the lowest reconstruction number that is there */
    CTS_POOL_SMALLEST,  /* of each scan the smallest in-plane voxel; then every Findings_EN once */
    CTS_POOL_FIRST_ONLY /* reconstruction number 1 and no other */
} cts_pool_rule;

typedef struct {
    const char *name, *alias; /* "scan-1564", and the name of earlier versions or NULL */
    const char *about;        /* one sentence */
    cts_pool_rule rule;
    size_t expected; /* rows on the validation part of CT-RATE; 0 = the name promises nothing */
} cts_eval_pool;

extern const cts_eval_pool cts_eval_pools[];
extern const size_t cts_eval_pools_n;
/* CTS_E_INPUT names the pools. *out is static. */
int cts_eval_pool_find(const cts_eval_pool **out, const char *name);

/* Names that never take part (head scans among chest scans): a text file, a name a line with or without extension,
 * empty lines and what follows # ignored; or a CSV with a column VolumeName. End with cts_eval_exclude_free(). */
typedef struct {
    char **name; /* [n] sorted stems */
    size_t n;
} cts_eval_exclude;
int cts_eval_exclude_load(cts_eval_exclude *x, const char *path);
void cts_eval_exclude_free(cts_eval_exclude *x);

typedef struct {
    size_t before, excluded, reconstructions, same_report, n; /* rows in; left out for each reason; left */
    size_t without_voxel, without_report;                     /* rows for which a rule had nothing to go by */
} cts_eval_pool_count;
/* Mark the rows of the pool; kept [n]. x may be NULL. */
int cts_eval_pool_choose(const cts_eval_pool *p, const cts_eval_row *rows, size_t n, const cts_eval_exclude *x,
                         bool *kept, cts_eval_pool_count *count);
/* Remarks for the reader, one sentence a line, appended to out: another number than the name promises, a rule that had
 * nothing to go by, no list of names to leave out where the published pool has one. */
void cts_eval_pool_remarks(const cts_eval_pool *p, const cts_eval_pool_count *c, bool exclude_given, cts_str *out);

#endif
