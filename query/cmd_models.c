/* `ctsearch models`: every encoder preset with its exact size and cost; and the check of a model folder.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "encoders/describe.h"
#include "encoders/model_digest.h"
#include "encoders/model_dir.h"
#include "kernels/base/status.h"
#include "query/cli.h"

typedef struct {
    int64_t latent;
    const char *verify;
} options;

static const struct argp_option argp_options[] = {
    {"latent", 'd', "N", 0, "Width of the shared space for the projected count (default 512)", 0},
    {"verify", 'V', "DIR", 0, "Instead: read a model folder whole and compare its weights with the recorded digest", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;

    if (key == 'd') {
        o->latent = cts_cli_int(state, "--latent", arg, 1, 65536);
        return 0;
    }
    if (key == 'V') {
        o->verify = arg;
        return 0;
    }
    return key == ARGP_KEY_ARG ? ARGP_ERR_UNKNOWN : 0;
}

/* What digest.json says of the weights, in a word. */
static const char *verdict(const cts_model_digest_state *s)
{
    if (!*s->recorded)
        return "not recorded";
    if (!strcmp(s->sha256, s->recorded))
        return s->fresh ? "as recorded" : "as recorded, under another time";
    return s->fresh ? "changed" : "not recorded: the record is of another file";
}

static void print_head(const cts_classifier *c)
{
    printf("classifier: %lld labels from ", (long long)c->n);
    if (c->head == CTS_HEAD_ENCODER)
        printf("the encoder's own head");
    else
        printf("a linear layer on the %s%s", cts_head_input_name(c->input), c->relu ? " after relu" : "");
    for (int64_t i = 0; i < c->n; i++)
        printf("%s%s", i ? ", " : ": ", c->labels[i]);
    printf("\n");
}

/* Strict load, all bytes of the weights, digests. Only a file that changed under its size and time is an error: loading
 * would believe the record. */
static int verify(const char *dir, bool json)
{
    cts_model_digest_state s;
    cts_model *m = NULL;
    json_t *head = NULL;
    bool changed;
    int rc;

    if ((rc = cts_model_digest_verify(&s, dir)) || (rc = cts_model_dir_load(&m, dir)))
        return rc;
    changed = s.fresh && strcmp(s.sha256, s.recorded) != 0;
    head = m->clip->config.classifier.head != CTS_HEAD_NONE ? cts_classifier_write(&m->clip->config.classifier)
                                                            : json_null();
    if (json)
        rc = cts_print_json(json_pack(
            "{s:s, s:b, s:I, s:I, s:s, s:s, s:s, s:{s:s, s:s, s:s}, s:O?}", "model", dir, "ok", !changed, "bytes",
            (json_int_t)s.bytes, "params", (json_int_t)cts_params_count(m->clip->params), "weights_sha256", s.sha256,
            "recorded_sha256", s.recorded, "verdict", verdict(&s), "digests", "model", m->digest.model, "tokenizer",
            m->digest.tokenizer, "recipe", m->digest.recipe, "classifier", head));
    else
        printf("%s: %lld parameters, %lld bytes, sha256 %s: %s\n", dir, (long long)cts_params_count(m->clip->params),
               (long long)s.bytes, s.sha256, verdict(&s));
    if (!json && m->clip->config.classifier.head != CTS_HEAD_NONE)
        print_head(&m->clip->config.classifier);
    json_decref(head);
    if (!rc && changed)
        rc = cts_fail(CTS_E_MISMATCH,
                      "%s/model.safetensors: has SHA-256 %.12s, digest.json says %.12s of the same size and time: the "
                      "weights were changed; delete digest.json when that was meant",
                      dir, s.sha256, s.recorded);
    cts_model_destroy(m);
    return rc;
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
                           "\vExamples:\n  ctsearch models --json\n  ctsearch models --verify runs/nano/model",
                           &o, &common);

    if (!rc && o.verify) {
        json_decref(list);
        return verify(o.verify, common.json);
    }

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
