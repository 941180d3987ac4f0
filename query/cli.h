/* What every subcommand shares: the table row, common options, output rules.
 *
 * Results go to stdout, everything else to stderr. With --json a command prints exactly one object (docs/JSON.md). A
 * command returns a status; main() prints the error sentence and turns it into the exit code (0 ok, 1 usage, 2 bad
 * input, 3 I/O, 4 mismatch, 5 some items skipped, 130 interrupted).
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_CLI_H
#define CTS_QUERY_CLI_H

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels/backend.h"

/* One subcommand, or one verb of a subcommand. argv[0] is the name it was called by ("ctsearch index add"). */
typedef struct {
    const char *name, *about;
    int (*run)(int argc, char **argv);
} cts_command;

/* Run the verb argv[1] of `verbs` (a subcommand with its own subcommands); prints the list for --help or an unknown
 * verb. */
int cts_run_verb(const char *of, const cts_command *verbs, int n, int argc, char **argv);

/* Options every command has; put the child parser cts_common_argp into argp.children. */
typedef struct {
    bool json, quiet;
    int threads;        /* 0 = all CPUs */
    const char *device; /* "cpu" */
    uint64_t seed;
} cts_common;
extern const struct argp cts_common_argp; /* its input is a cts_common * */

/* Parse argv by argp. Options and arguments come from `options` and `parse` (state->input is `input`); the common
 * options fill *common. args_doc and doc as argp takes them; doc's part after \v is the example. A wrong command line
 * ends the process with exit code 1 and a sentence, as argp does. */
int cts_cli_parse(int argc, char **argv, const struct argp_option *options, argp_parser_t parse, const char *args_doc,
                  const char *doc, void *input, cts_common *common);
/* The same with one more child parser, such as cts_dataset_argp, and its input. */
int cts_cli_parse_with(int argc, char **argv, const struct argp_option *options, argp_parser_t parse,
                       const char *args_doc, const char *doc, void *input, cts_common *common, const struct argp *child,
                       void *child_input);

/* Numbers of options; CTS_E_USAGE with a sentence naming option, got, allowed, through argp_error(). */
int64_t cts_cli_int(struct argp_state *state, const char *option, const char *text, int64_t min, int64_t max);
double cts_cli_double(struct argp_state *state, const char *option, const char *text, double min, double max);
/* n numbers separated by commas or x: "64,96,96". */
void cts_cli_doubles(struct argp_state *state, const char *option, const char *text, double *out, int n, double min,
                     double max);

/* Pool and back end of a command. Zero it before; end with cts_runtime_close(). */
typedef struct {
    cts_pool *pool;
    cts_backend *backend;
} cts_runtime;
int cts_runtime_open(cts_runtime *r, const cts_common *c);
void cts_runtime_close(cts_runtime *r);

/* Print one JSON object and a newline to stdout and release it. CTS_E_IO when stdout is closed. NULL is CTS_E_NOMEM. */
int cts_print_json(json_t *j);

/* The commands. */
extern const cts_command cts_cmd_demo, cts_cmd_phantom, cts_cmd_inspect, cts_cmd_tokenizer, cts_cmd_train,
    cts_cmd_embed, cts_cmd_index, cts_cmd_query, cts_cmd_score, cts_cmd_explain, cts_cmd_eval, cts_cmd_models,
    cts_cmd_import;

#endif
