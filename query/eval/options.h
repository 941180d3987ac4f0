/* Options of the verbs of `ctsearch eval`: inputs, protocol, pool, outputs.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EVAL_OPTIONS_H
#define CTS_QUERY_EVAL_OPTIONS_H

#include "query/eval/input.h"
#include "query/eval/protocols.h"

typedef enum { CTS_EVAL_RECALL, CTS_EVAL_ZEROSHOT, CTS_EVAL_CLASSIFY, CTS_EVAL_MAP } cts_eval_verb;

typedef struct {
    cts_eval_verb verb; /* set before parsing */
    cts_eval_input in, val;
    bool has_val;
    const cts_eval_protocol *protocol; /* the default one without --protocol */
    int64_t ks[CTS_EVAL_KS_MAX];       /* ends with 0 */
    bool own_ks;                       /* -k was given */
    size_t resamples;
    const char *csv, *html;
    const char *save_scores;     /* .npy */
    const char *save_thresholds; /* folder */
    cts_common common;
} cts_eval_options;

/* Parse the command line of o->verb; everything borrows from argv. A wrong command line ends the process as argp does;
 * CTS_E_USAGE, CTS_E_INPUT for what argp does not see. doc as cts_cli_parse() takes it. */
int cts_eval_options_parse(cts_eval_options *o, int argc, char **argv, const char *doc);
cts_eval_task cts_eval_verb_task(cts_eval_verb v);
cts_eval_needs cts_eval_verb_needs(cts_eval_verb v);
const char *cts_eval_verb_name(cts_eval_verb v);

#endif
