/* SPDX-License-Identifier: MIT */
#include "query/run_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/base/check.h"
#include "kernels/base/json.h"
#include "kernels/base/status.h"

#define ANSWER_MAX_BYTES ((size_t)64 << 20)

static const cts_command *const commands[] = {&cts_cmd_phantom, &cts_cmd_train, &cts_cmd_index,  &cts_cmd_query,
                                              &cts_cmd_score,   &cts_cmd_eval,  &cts_cmd_inspect};

static const cts_command *find(const char *name)
{
    for (size_t i = 0; i < CTS_COUNT(commands); i++)
        if (!strcmp(commands[i]->name, name))
            return commands[i];
    return NULL;
}

void cts_line_text(cts_str *out, const char *const *words)
{
    cts_str_append(out, "ctsearch");
    for (; *words; words++)
        cts_str_printf(out, strpbrk(*words, " \t\"'$*") ? " \"%s\"" : " %s", *words);
}

/* argv of words: [0] "ctsearch NAME", then the rest and --json. The commands may put other pointers into it. */
static int call(const char *const *words)
{
    const cts_command *c = find(words[0]);
    char **argv, *name;
    int argc = 0, rc;

    CTS_ASSERT(c, "%s is no command that can be run inside another", words[0]);
    while (words[argc])
        argc++;
    argv = calloc((size_t)argc + 2, sizeof *argv);
    name = cts_asprintf("ctsearch %s", words[0]);
    if (!argv || !name) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for a command line");
    } else {
        memcpy(argv, words, (size_t)argc * sizeof *argv);
        argv[0] = name;
        argv[argc] = (char[]){"--json"};
        rc = c->run(argc + 1, argv);
    }
    free(name);
    free(argv);
    return rc;
}

static int read_answer(json_t **answer, FILE *f, const char *name)
{
    char *text = NULL;
    long n;
    int rc;

    if (fseek(f, 0, SEEK_END) || (n = ftell(f)) < 0 || (size_t)n > ANSWER_MAX_BYTES || fseek(f, 0, SEEK_SET))
        return cts_fail(CTS_E_IO, "%s: its answer cannot be read back", name);
    if (!(text = malloc((size_t)n + 1)))
        return cts_fail(CTS_E_NOMEM, "out of memory for an answer of %ld bytes", n);
    rc = fread(text, 1, (size_t)n, f) == (size_t)n ? cts_json_parse(answer, text, (size_t)n, name)
                                                   : cts_fail(CTS_E_IO, "%s: its answer cannot be read back", name);
    free(text);
    return rc;
}

int cts_run_line(json_t **answer, const char *const *words)
{
    FILE *f = tmpfile();
    int saved = -1, rc, read;

    fflush(stdout);
    if (!f || (saved = dup(STDOUT_FILENO)) < 0 || dup2(fileno(f), STDOUT_FILENO) < 0) {
        rc = cts_fail(CTS_E_IO, "standard output: cannot be redirected to a temporary file");
        goto out;
    }
    rc = call(words);
    fflush(stdout);
    if (dup2(saved, STDOUT_FILENO) < 0)
        rc = cts_fail(CTS_E_IO, "standard output: cannot be restored");
    else if ((!rc || rc == CTS_E_PARTIAL) && (read = read_answer(answer, f, words[0])))
        rc = read;
out:
    if (saved >= 0)
        close(saved);
    if (f)
        fclose(f);
    return rc;
}
