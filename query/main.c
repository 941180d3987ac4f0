/* ctsearch: from a chest CT and a sentence to ranked answers. The table of subcommands and nothing else.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/signal.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"
#include "kernels/cpu/cpu_features.h"
#include "query/cli.h"

static const cts_command *const commands[] = {&cts_cmd_demo,     &cts_cmd_query,  &cts_cmd_score,   &cts_cmd_explain,
                                              &cts_cmd_inspect,  &cts_cmd_index,  &cts_cmd_embed,   &cts_cmd_train,
                                              &cts_cmd_eval,     &cts_cmd_import, &cts_cmd_phantom, &cts_cmd_models,
                                              &cts_cmd_tokenizer};
#define N_COMMANDS ((int)(sizeof commands / sizeof commands[0]))

static void usage(FILE *f)
{
    fprintf(f, "ctsearch: retrieval for 3-D chest CT, from a raw scan and a sentence to ranked answers.\n\nUsage: "
               "ctsearch COMMAND [OPTION...]\n\nCommands:\n");
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(f, "  %-10s %s\n", commands[i]->name, commands[i]->about);
    fprintf(f, "\nFirst steps:\n"
               "  ctsearch demo                                       train, index and search synthetic scans\n"
               "  ctsearch inspect scan.nii.gz --png scan.png         what is in a scan file\n"
               "  ctsearch query --index IDX --text \"pleural effusion\"\n"
               "\nctsearch COMMAND --help shows the options of a command with an example.\n"
               "Not a medical device: for research only.\n");
}

static int unknown(const char *name)
{
    cts_str names = {0};
    int rc;

    for (int i = 0; i < N_COMMANDS; i++)
        cts_str_printf(&names, "%s%s", i ? ", " : "", commands[i]->name);
    rc = cts_fail(CTS_E_USAGE, "command: got %s, allowed: %s", name, cts_str_text(&names));
    cts_str_free(&names);
    return rc;
}

static int dispatch(int argc, char **argv)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if (!strcmp(argv[1], commands[i]->name)) {
            char *name = cts_asprintf("ctsearch %s", argv[1]);
            int rc;

            if (!name)
                return cts_fail(CTS_E_NOMEM, "out of memory");
            argv[1] = name;
            rc = commands[i]->run(argc - 1, argv + 1);
            free(name);
            return rc;
        }
    return unknown(argv[1]);
}

int main(int argc, char **argv)
{
    int rc;

    if (argc < 2) {
        usage(stderr);
        return 1;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        usage(stdout);
        return 0;
    }
    if (!strcmp(argv[1], "--version")) {
        printf("ctsearch %s\ncpu: %s\n", CTS_VERSION, cts_cpu_features_text());
        return 0;
    }
    if ((rc = cts_signal_install()) == CTS_OK)
        rc = dispatch(argc, argv);
    if (rc)
        fprintf(stderr, "ctsearch: %s\n", *cts_error() ? cts_error() : cts_status_name(rc));
    return cts_exit_code(rc);
}
