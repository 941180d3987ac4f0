/* The program itself under test: run a command line, catch what it prints, parse its JSON.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_SUPPORT_PROGRAM_H
#define CTS_TESTS_SUPPORT_PROGRAM_H

#include <jansson.h>

#include "kernels/base/status.h"

/* cmocka group set-up and tear-down: a scratch folder for every test of this program, and the binary (environment
 * CTS_BIN, otherwise the one of this build). */
int cts_program_setup(void **state);
int cts_program_teardown(void **state);
/* Path of the binary. */
const char *cts_program_path(void);
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

/* The running test fails, showing what the command said, unless it ends with exit code `code`. */
void cts_program_runs(int code, const char *arguments);
/* The same for a command that must say `word` on standard error. */
void cts_program_warns(int code, const char *arguments, const char *word);
/* The same for bad input: nothing on standard output. */
void cts_program_refuses(int code, const char *arguments, const char *word);
/* docs/JSON.md names every field of j. */
void cts_json_documented(const json_t *j);
/* JSON of a command that ends with `code`, every field documented. */
json_t *cts_program_json_of(int code, const char *arguments);

/* Field by a path such as "query.kind" or "hits.0.score"; a missing one fails the running test. Borrowed. */
const json_t *cts_json_at(const json_t *j, const char *path);
/* The running test fails unless the keys of the object j are those of the space-separated list, in its order. */
void cts_json_keys(const json_t *j, const char *keys);

#endif
