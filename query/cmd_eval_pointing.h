/* `ctsearch eval pointing`, a verb of cmd_eval.c. SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_CMD_EVAL_POINTING_H
#define CTS_QUERY_CMD_EVAL_POINTING_H

#include "query/cli.h"

int cts_run_eval_pointing(int argc, char **argv);

#endif
