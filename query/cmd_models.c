/* `ctsearch models`: every encoder preset with its exact size and cost. SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "encoders/describe.h"
#include "kernels/base/status.h"
#include "query/cli.h"

typedef struct {
    int64_t latent;
} options;

static const struct argp_option argp_options[] = {
    {"latent", 'd', "N", 0, "Width of the shared space for the projected count (default 512)", 0}, {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;

    if (key == 'd') {
        o->latent = cts_cli_int(state, "--latent", arg, 1, 65536);
        return 0;
    }
    return key == ARGP_KEY_ARG ? ARGP_ERR_UNKNOWN : 0;
}

static json_t *row_json(const cts_description *d)
{
    json_t *input = json_array();

    for (int i = 0; i < d->n_input; i++)
        json_array_append_new(input, json_integer(d->input[i]));
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "name", d->name, "kind",
                     d->kind == CTS_KIND_IMAGE ? "image" : "text", "about", d->about, "params", (json_int_t)d->params,
                     "params_projected", (json_int_t)d->params_projected, "macs", (json_int_t)d->macs, "input", input);
}

static void print_row(const cts_description *d)
{
    char input[64];
    int at = 0;

    for (int i = 0; i < d->n_input && at < 48; i++)
        at += snprintf(input + at, sizeof input - (size_t)at, "%s%lld", i ? "x" : "", (long long)d->input[i]);
    printf("%-22s %-6s %14lld %16lld %12.3f  %s\n", d->name, d->kind == CTS_KIND_IMAGE ? "image" : "text",
           (long long)d->params, (long long)d->params_projected, (double)d->macs * 1e-9, input);
}

static int run(int argc, char **argv)
{
    options o = {.latent = 512};
    cts_common common;
    json_t *list = json_array();
    int rc = cts_cli_parse(argc, argv, argp_options, parse, NULL,
                           "Encoder presets with trained parameters and multiply-accumulates at their input size, "
                           "counted by building each of them. Batch norms count "
                           "5 x elements, as fvcore counts them; the projected count includes the bias-free projection "
                           "to the shared space."
                           "\vExample:\n  ctsearch models --json",
                           &o, &common);

    if (!rc && !common.json)
        printf("%-22s %-6s %14s %16s %12s  %s\n", "name", "kind", "parameters", "with projection", "GMACs", "input");
    for (int i = 0; !rc && i < cts_describe_count(); i++) {
        cts_description d;

        if ((rc = cts_describe(&d, i, o.latent)))
            break;
        if (common.json)
            json_array_append_new(list, row_json(&d));
        else
            print_row(&d);
    }
    if (!rc && common.json)
        return cts_print_json(list);
    json_decref(list);
    return rc;
}

const cts_command cts_cmd_models = {"models", "list encoder presets with parameters and operations", run};
