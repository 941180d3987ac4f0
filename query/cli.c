/* SPDX-License-Identifier: MIT */
#include "query/cli.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

enum { KEY_JSON = 0x1000, KEY_QUIET, KEY_THREADS, KEY_DEVICE, KEY_SEED };

static const struct argp_option common_options[] = {
    {NULL, 0, NULL, 0, "Common options:", 100},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object to standard output", 100},
    {"quiet", KEY_QUIET, NULL, 0, "No progress and no remarks on standard error", 100},
    {"threads", KEY_THREADS, "N", 0, "Threads to compute with (default: all CPUs)", 100},
    {"device", KEY_DEVICE, "NAME", 0, "cpu, cuda or ref (default cpu)", 100},
    {"seed", KEY_SEED, "N", 0, "Seed of everything random (default 1)", 100},
    {0}};

int64_t cts_cli_int(struct argp_state *state, const char *option, const char *text, int64_t min, int64_t max)
{
    char *end;
    long long v;

    errno = 0;
    v = strtoll(text, &end, 10);
    if (errno || end == text || *end || v < min || v > max)
        argp_error(state, "%s: got %s, allowed: a whole number from %lld to %lld", option, text, (long long)min,
                   (long long)max);
    return v;
}

double cts_cli_double(struct argp_state *state, const char *option, const char *text, double min, double max)
{
    char *end;
    double v = strtod(text, &end);

    if (end == text || *end || !(v >= min && v <= max))
        argp_error(state, "%s: got %s, allowed: a number from %g to %g", option, text, min, max);
    return v;
}

void cts_cli_doubles(struct argp_state *state, const char *option, const char *text, double *out, int n, double min,
                     double max)
{
    const char *p = text;

    for (int i = 0; i < n; i++) {
        char *end;
        double v = strtod(p, &end);
        bool last = i == n - 1;

        if (end == p || !(v >= min && v <= max) || (last ? *end != '\0' : *end != ',' && *end != 'x'))
            argp_error(state, "%s: got %s, allowed: %d numbers from %g to %g separated by commas", option, text, n, min,
                       max);
        out[i] = v;
        p = end + 1;
    }
}

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
    cts_common *c = state->input;

    switch (key) {
    case KEY_JSON:
        c->json = true;
        return 0;
    case KEY_QUIET:
        c->quiet = true;
        return 0;
    case KEY_THREADS:
        c->threads = (int)cts_cli_int(state, "--threads", arg, 1, 1024);
        return 0;
    case KEY_DEVICE:
        c->device = arg;
        return 0;
    case KEY_SEED:
        c->seed = (uint64_t)cts_cli_int(state, "--seed", arg, 0, INT64_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp cts_common_argp = {.options = common_options, .parser = parse_common};

/* argp hands every parser its own input; ours are kept side by side and given to the child here. */
typedef struct {
    argp_parser_t parse;
    void *input;
    cts_common *common;
    void *child_input;
} parse_ctx;

static error_t parse_own(int key, char *arg, struct argp_state *state)
{
    parse_ctx *ctx = state->input;
    error_t e;

    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = ctx->common;
        if (ctx->child_input)
            state->child_inputs[1] = ctx->child_input;
        return 0;
    }
    if (!ctx->parse ||
        key == ARGP_KEY_ARGS) /* a parser that answers ARGP_KEY_ARGS with 0 would swallow every further argument */
        return ARGP_ERR_UNKNOWN;
    state->input = ctx->input;
    e = ctx->parse(key, arg, state);
    state->input = ctx;
    return e;
}

int cts_cli_parse(int argc, char **argv, const struct argp_option *options, argp_parser_t parse, const char *args_doc,
                  const char *doc, void *input, cts_common *common)
{
    return cts_cli_parse_with(argc, argv, options, parse, args_doc, doc, input, common, NULL, NULL);
}

int cts_cli_parse_with(int argc, char **argv, const struct argp_option *options, argp_parser_t parse,
                       const char *args_doc, const char *doc, void *input, cts_common *common, const struct argp *child,
                       void *child_input)
{
    const struct argp_child children[] = {
        {&cts_common_argp, 0, NULL, 0}, {child, 0, NULL, 0}, {0}}; /* a NULL child ends the list */
    const struct argp argp = {
        .options = options, .parser = parse_own, .args_doc = args_doc, .doc = doc, .children = children};
    parse_ctx ctx = {parse, input, common, child ? child_input : NULL};

    *common = (cts_common){.device = "cpu", .seed = 1};
    argp_err_exit_status = 1;
    if (argp_parse(&argp, argc, argv, 0, NULL, &ctx))
        return cts_fail(CTS_E_USAGE, "%s: the command line could not be read", argv[0]);
    cts_log_set_quiet(common->quiet);
    return CTS_OK;
}

static void list_verbs(FILE *f, const char *of, const cts_command *verbs, int n)
{
    fprintf(f, "Usage: %s VERB [OPTION...]\n\nVerbs:\n", of);
    for (int i = 0; i < n; i++)
        fprintf(f, "  %-10s %s\n", verbs[i].name, verbs[i].about);
    fprintf(f, "\n%s VERB --help shows the options of a verb with an example.\n", of);
}

int cts_run_verb(const char *of, const cts_command *verbs, int n, int argc, char **argv)
{
    cts_str names = {0};
    int rc;

    if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "-?"))) {
        list_verbs(stdout, of, verbs, n);
        return CTS_OK;
    }
    for (int i = 0; argc >= 2 && i < n; i++)
        if (!strcmp(argv[1], verbs[i].name)) {
            char *name = cts_asprintf("%s %s", of, argv[1]);

            if (!name)
                return cts_fail(CTS_E_NOMEM, "out of memory");
            argv[1] = name;
            rc = verbs[i].run(argc - 1, argv + 1);
            free(name);
            return rc;
        }
    for (int i = 0; i < n; i++)
        cts_str_printf(&names, "%s%s", i ? ", " : "", verbs[i].name);
    rc = cts_fail(CTS_E_USAGE, "%s: got %s, allowed: %s", of, argc >= 2 ? argv[1] : "no verb", cts_str_text(&names));
    cts_str_free(&names);
    return rc;
}

int cts_runtime_open(cts_runtime *r, const cts_common *c)
{
    int rc = cts_pool_create(&r->pool, c->threads);

    return rc ? rc : cts_backend_create(&r->backend, c->device, r->pool);
}

void cts_runtime_close(cts_runtime *r)
{
    cts_backend_destroy(r->backend);
    cts_pool_destroy(r->pool);
    *r = (cts_runtime){0};
}

int cts_print_json(json_t *j)
{
    int rc = CTS_OK;

    if (!j)
        return cts_fail(CTS_E_NOMEM,
                        "the result cannot be written as JSON: no memory is left, or a text in it is not UTF-8");
    if (json_dumpf(j, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) || putchar('\n') == EOF || fflush(stdout))
        rc = cts_fail(CTS_E_IO, "standard output: cannot be written");
    json_decref(j);
    return rc;
}
