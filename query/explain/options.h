/* The options of the commands that look where a model looked: explain and eval pointing.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EXPLAIN_OPTIONS_H
#define CTS_QUERY_EXPLAIN_OPTIONS_H

#include <argp.h>

#include "query/explain/explainer.h"
#include "query/session.h"

enum { CTS_KEY_LAYER = 0x3000, CTS_KEY_WEIGHTS };

/* Rows of an argp table. */
#define CTS_EXPLAIN_OPTIONS                                                                                            \
    {"layer", CTS_KEY_LAYER, "NAME", 0, "Features to look at (default: the encoder's; a wrong name lists them)", 0},   \
        {"weights",                                                                                                    \
         CTS_KEY_WEIGHTS,                                                                                              \
         "RULE",                                                                                                       \
         0,                                                                                                            \
         "How features are weighted: by their mean gradient over the whole grid (all, Grad-CAM), over each slab of "   \
         "slices (slab), or by their own (cell, HiResCAM); default auto: slab or cell, what suits the encoder",        \
         0},                                                                                                           \
        {"prompts", 'p', "NAME|FILE.json", 0, "Prompt bank of a model without classifier (default: the model's)", 0},  \
        CTS_OPTION_RECIPE

/* What a parser does with the keys of these rows; ARGP_ERR_UNKNOWN for any other. */
error_t cts_explain_option(int key, char *arg, struct argp_state *state, cts_explain_options *how, cts_overrides *over);

#endif
