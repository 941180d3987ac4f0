/* The verb `ctsearch eval findings`. SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_CMD_EVAL_FINDINGS_H
#define CTS_QUERY_CMD_EVAL_FINDINGS_H

#include "query/cli.h"

int cts_run_eval_findings(int argc, char **argv);

#endif
