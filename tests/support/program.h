/* The program itself under test: run a command line, catch what it prints, parse its JSON.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_SUPPORT_PROGRAM_H
#define CTS_TESTS_SUPPORT_PROGRAM_H

#include <jansson.h>

#include "kernels/base/status.h"

/* A scratch folder for every test of this program, and the binary (environment CTS_BIN, otherwise `binary`). 0 or -1,
 * as a cmocka group setup; teardown removes the folder. */
int cts_program_setup(const char *binary);
int cts_program_teardown(void);
/* Scratch folder; commands run in it. */
const char *cts_program_dir(void);

/* Run `ctsearch <arguments>` through sh; returns its exit code, 1000 + the signal that ended it. What it printed stays
 * readable until the next run. */
int cts_program_run(const char *fmt, ...) CTS_PRINTF(1, 2);
/* Any shell command line, in the scratch folder. */
int cts_program_shell(const char *fmt, ...) CTS_PRINTF(1, 2);
const char *cts_program_out(void);
const char *cts_program_err(void);
/* Standard output as one JSON value, nothing after it; the running test fails with the text when it is none.
 * Release with json_decref(). */
json_t *cts_program_json(void);

/* Field by a path such as "query.kind" or "hits.0.score"; a missing one fails the running test. Borrowed. */
const json_t *cts_json_at(const json_t *j, const char *path);
/* The running test fails unless the keys of the object j are those of the space-separated list, in its order. */
void cts_json_keys(const json_t *j, const char *keys);

#endif
