/* Options that `train scroll` and `train probe` share, and what both print. SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_TRAINING_LABEL_OPTIONS_H
#define CTS_QUERY_TRAINING_LABEL_OPTIONS_H

#include <argp.h>

#include "query/training/label_run.h"
#include "query/training/loop_options.h"

typedef struct {
    cts_label_setup s;
    cts_loop_options run;
} cts_label_options;

/* Needs a cts_label_options with the command's defaults, run.loop among them; the options of the loop are its child.
 * Hand both to cts_cli_parse_with(). */
extern const struct argp cts_label_argp;

/* After parsing: what the options of the loop say goes into the setup. Fails as cts_loop_options_finish(). */
int cts_label_options_finish(cts_label_options *o);
/* Run, print, and say by CTS_E_PARTIAL what was left out. */
int cts_label_command(const cts_label_options *o, const cts_common *common);

#endif
