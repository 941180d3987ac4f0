/* Options that `train scroll` and `train probe` share, and what both print. SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_TRAINING_LABEL_OPTIONS_H
#define CTS_QUERY_TRAINING_LABEL_OPTIONS_H

#include <argp.h>

#include "query/training/label_run.h"

typedef struct {
    cts_label_setup s;
    double minutes;
    double spacing[3], size[3], hu_window[2];
    bool free_recipe, batch_given, lr_given, steps_given, weights_given;
} cts_label_options;

/* Needs a cts_label_options with the command's defaults in s; the data options are its child. Hand both to
 * cts_cli_parse_with(). */
extern const struct argp cts_label_argp;

/* After parsing: the recipe, when one is asked for, and the budget. recipe: the name of the default, NULL = the
 * model's. */
int cts_label_options_finish(cts_label_options *o, const char *recipe);
/* Run, print, and say by CTS_E_PARTIAL what was left out. */
int cts_label_command(const cts_label_options *o, const cts_common *common);

#endif
