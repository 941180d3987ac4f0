/* SPDX-License-Identifier: MIT */
#include "query/eval/options.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/status.h"
#include "query/dataset_options.h"
#include "query/metrics/bootstrap.h"

#define KS_MAX 1000000 /* above any pool */

enum {
    KEY_IMAGES = 0x1200,
    KEY_TEXTS,
    KEY_NAMES,
    KEY_SCORES,
    KEY_LOGITS,
    KEY_PROMPTS,
    KEY_BANK,
    KEY_SCALE,
    KEY_PROTOCOL,
    KEY_EXCLUDE,
    KEY_BOOTSTRAP,
    KEY_CSV,
    KEY_HTML,
    KEY_VAL_INDEX,
    KEY_VAL_IMAGES,
    KEY_VAL_SCORES,
    KEY_VAL_LABELS,
    KEY_VAL_NAMES,
    KEY_VAL_VOLUMES,
    KEY_VAL_METADATA,
    KEY_UNCALIBRATED,
    KEY_THRESHOLDS,
    KEY_SAVE_SCORES,
    KEY_SAVE_THRESHOLDS,
};

/* Which verbs have an option. */
enum { R = 1 << CTS_EVAL_RECALL, Z = 1 << CTS_EVAL_ZEROSHOT, C = 1 << CTS_EVAL_CLASSIFY, M = 1 << CTS_EVAL_MAP };

static const struct {
    unsigned verbs;
    struct argp_option option;
} table[] = {
    {R | Z | C | M, {"index", 'i', "INDEX", 0, "Evaluate what an index holds", 0}},
    {R | Z | C | M, {"model", 'm', "DIR", 0, "Model or run folder, with data; beside --index: the index's own", 0}},
    {C,
     {"uncalibrated", KEY_UNCALIBRATED, NULL, 0,
      "Several models (--model repeated): the mean of their logits as they are, not of calibrated ones", 0}},
    {Z | C,
     {"thresholds", KEY_THRESHOLDS, "DIR", 0, "Folder with thresholds.json of the models (default: a model's own)", 0}},
    {R | Z | C | M, CTS_OPTION_RECIPE},
    {R, CTS_OPTION_REPORT_TEXT},
    {R | Z | C | M, {"images", KEY_IMAGES, "F.npy", 0, "Image vectors of any model, float16/32/64 [n, d]", 1}},
    {R, {"texts", KEY_TEXTS, "F.npy", 0, "Report vectors; row i belongs to image i, or to the image of its name", 1}},
    {C, {"scores", KEY_SCORES, "F.npy", 0, "Probabilities [n, 18] of any classifier, columns in CT-RATE's order", 1}},
    {C, {"logits", KEY_LOGITS, NULL, 0, "--scores and --val-scores are logits", 1}},
    {R | Z | C | M,
     {"names", KEY_NAMES, "CSV", 0, "VolumeName of each row (default: the .json beside, else the CSVs)", 1}},
    {Z | C,
     {"prompts", KEY_BANK, "NAME|FILE.json", 0, "Prompt bank (default: the model's), see `score --prompts list`", 1}},
    {Z | C, {"prompts-npy", KEY_PROMPTS, "F.npy", 0, "Text vectors [36, d]: present, not present of each finding", 1}},
    {Z | C, {"scale", KEY_SCALE, "S", 0, "Of the two logits (default: the model's, or e with --prompts-npy)", 1}},
    {R | Z | C | M,
     {"protocol", KEY_PROTOCOL, "NAME", 0, "Do as a published evaluation does, see `eval protocols`", 2}},
    {R | Z | C | M,
     {"pool", 'p', "NAME", 0, "Which volumes, see `eval protocols` (default: the protocol's, or all)", 2}},
    {R | Z | C | M, {"exclude", KEY_EXCLUDE, "FILE", 0, "Volume names that take no part, a line each", 2}},
    {R | M, {NULL, 'k', "LIST", 0, "Ks, by commas (default 1,5,10,50,100, or the protocol's)", 2}},
    {R | Z | C | M,
     {"bootstrap", KEY_BOOTSTRAP, "N", 0, "Resamples for the 95 % intervals, 0 = none (default 1000)", 2}},
    {R | Z | C | M, {"csv", KEY_CSV, "FILE", 0, "Write every figure, one a line", 3}},
    {R | Z | C | M, {"html", KEY_HTML, "FILE", 0, "Write a page with curves, bars and tables, whole in itself", 3}},
    {Z | C,
     {"save-scores", KEY_SAVE_SCORES, "F.npy", 0, "Write the logits and F.json with names and labels, for --scores",
      3}},
    {Z | C,
     {"save-thresholds", KEY_SAVE_THRESHOLDS, "DIR", 0,
      "Fit thresholds and calibration on the validation data, or without it on these data, and write thresholds.json "
      "into this model folder, or another folder for several models",
      3}},
    {Z | C, {"val-volumes", KEY_VAL_VOLUMES, "DIR", 0, "Validation scans for --model, with --val-labels", 4}},
    {Z | C, {"val-metadata", KEY_VAL_METADATA, "CSV", 0, "Metadata of the validation scans", 4}},
    {Z | C, {"val-index", KEY_VAL_INDEX, "INDEX", 0, "Validation data that give f1_bin@val its thresholds", 4}},
    {Z | C, {"val-images", KEY_VAL_IMAGES, "F.npy", 0, "The same as vectors, with --val-labels", 4}},
    {C, {"val-scores", KEY_VAL_SCORES, "F.npy", 0, "The same as scores, with --val-labels", 4}},
    {Z | C, {"val-labels", KEY_VAL_LABELS, "CSV", 0, "Labels of the validation data", 4}},
    {Z | C, {"val-names", KEY_VAL_NAMES, "CSV", 0, "VolumeName of each row of the validation data", 4}},
};
#define OPTIONS (sizeof table / sizeof table[0])

static const struct {
    const char *name;
    cts_eval_task task;
    cts_eval_needs needs;
} verbs[] = {
    {"recall", CTS_TASK_RECALL, {.images = true, .texts = true}},
    {"zeroshot", CTS_TASK_CLASSIFY, {.images = true, .scores = true, .labels = true}},
    {"classify", CTS_TASK_CLASSIFY, {.scores = true, .labels = true}},
    {"map", CTS_TASK_MAP, {.images = true, .labels = true}},
};

cts_eval_task cts_eval_verb_task(cts_eval_verb v)
{
    return verbs[v].task;
}

cts_eval_needs cts_eval_verb_needs(cts_eval_verb v)
{
    return verbs[v].needs;
}

const char *cts_eval_verb_name(cts_eval_verb v)
{
    return verbs[v].name;
}

static void parse_ks(struct argp_state *state, cts_eval_options *o, const char *text)
{
    size_t n = 0;

    for (const char *p = text; *p || p == text;) {
        char *end;
        long long k = strtoll(p, &end, 10);

        if (end == p || k < 1 || k > KS_MAX || (*end && *end != ',') || (*end == ',' && !end[1]) ||
            n == CTS_EVAL_KS_MAX - 1 || (n && k <= o->ks[n - 1]))
            argp_error(state, "-k: got %s, allowed: up to %d rising whole numbers from 1, separated by commas", text,
                       CTS_EVAL_KS_MAX - 1);
        o->ks[n++] = k;
        p = end + (*end == ',');
        if (!*end)
            break;
    }
    o->ks[n] = 0;
    o->own_ks = true;
}

static error_t parse_input(int key, char *arg, struct argp_state *state, cts_eval_options *o)
{
    switch (key) {
    case 'i':
        o->in.index = arg;
        return 0;
    case 'm':
        if (o->in.model && o->verb != CTS_EVAL_CLASSIFY)
            argp_error(state, "--model: got %s beside %s, allowed: one; several with eval classify", arg, o->in.model);
        if (o->in.n_further + 1 >= CTS_SCORER_MODELS_MAX)
            argp_error(state, "--model: got more than %d of them, allowed: so many", CTS_SCORER_MODELS_MAX);
        if (o->in.model)
            o->in.further[o->in.n_further++] = arg;
        else
            o->in.model = arg;
        return 0;
    case KEY_IMAGES:
        o->in.images = arg;
        return 0;
    case KEY_TEXTS:
        o->in.texts = arg;
        return 0;
    case KEY_NAMES:
        o->in.names = arg;
        return 0;
    case KEY_SCORES:
        o->in.scores = arg;
        return 0;
    case KEY_LOGITS:
        o->in.logits = true;
        return 0;
    case KEY_PROMPTS:
        o->in.prompts = arg;
        return 0;
    case KEY_BANK:
        o->in.bank = arg;
        return 0;
    case KEY_SCALE:
        o->in.scale = cts_cli_double(state, "--scale", arg, 1e-6, 1e6);
        return 0;
    case KEY_VAL_INDEX:
        o->val.index = arg;
        return 0;
    case KEY_VAL_IMAGES:
        o->val.images = arg;
        return 0;
    case KEY_VAL_SCORES:
        o->val.scores = arg;
        return 0;
    case KEY_VAL_LABELS:
        o->val.data.labels = arg;
        return 0;
    case KEY_VAL_NAMES:
        o->val.names = arg;
        return 0;
    case KEY_VAL_VOLUMES:
        o->val.data.volumes = arg;
        return 0;
    case KEY_VAL_METADATA:
        o->val.data.metadata = arg;
        return 0;
    case KEY_UNCALIBRATED:
        o->in.uncalibrated = true;
        return 0;
    case KEY_THRESHOLDS:
        o->in.thresholds = arg;
        return 0;
    case CTS_KEY_RECIPE:
        o->in.over.recipe = arg;
        return 0;
    case CTS_KEY_REPORT_TEXT:
        o->in.over.report_text = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void check_validation(struct argp_state *state, const cts_eval_input *val)
{
    int sources = (val->index != NULL) + (val->images != NULL) + (val->scores != NULL) + (val->data.volumes != NULL);

    if (val->names && !val->images && !val->scores)
        argp_error(state, "--val-names: got no rows to name, allowed: with --val-scores or --val-images");
    if (sources > 1)
        argp_error(state, "one of --val-index, --val-images, --val-scores and --val-volumes is enough");
    if (sources && !val->index && !val->data.labels)
        argp_error(state, "--val-labels is needed with --val-images, --val-scores and --val-volumes");
    if (val->data.labels && !sources)
        argp_error(state,
                   "--val-labels: got no validation scores, allowed: with --val-scores, --val-images, --val-volumes or "
                   "--val-index");
    if (val->data.metadata && !val->data.volumes)
        argp_error(state, "--val-metadata: got no --val-volumes, allowed: with them");
}

/* What the combination of inputs must satisfy. */
static void check_inputs(struct argp_state *state, const cts_eval_options *o)
{
    bool npy = o->in.images || o->in.texts, scans = o->in.data.volumes != NULL;
    int sources = (o->in.index != NULL) + npy + (o->in.scores != NULL);
    const char *files = o->verb == CTS_EVAL_CLASSIFY ? "--scores, --images" : "--images";

    if (sources > 1 || (sources && scans))
        argp_error(state, "one of --index or data with --model is needed, or %s; got more than one", files);
    if (!sources && !(o->in.model && scans))
        argp_error(state, "--index, or %s, or --model and --volumes are needed", files);
    if (o->in.bank && o->in.prompts)
        argp_error(state, "one of --prompts and --prompts-npy is enough");
    if (o->in.n_further && (sources || !scans))
        argp_error(state, "--model: got %zu of them, allowed: several for scans (--volumes), otherwise one",
                   o->in.n_further + 1);
    if (o->in.uncalibrated && !o->in.n_further)
        argp_error(state, "--uncalibrated: got one model, allowed: with several");
    if ((o->in.over.recipe || o->in.over.report_text) && sources)
        argp_error(state, "--%s: got nothing that a model encodes, allowed: with --model and --volumes",
                   o->in.over.recipe ? "recipe" : "report-text");
    if (o->in.over.recipe && o->in.n_further)
        argp_error(state, "--recipe: got it beside %zu models, allowed: one, each has a recipe of its own",
                   o->in.n_further + 1);
    if (o->val.data.volumes && !scans)
        argp_error(state, "--val-volumes: got it without --volumes, allowed: scans on both sides");
    if (o->verb == CTS_EVAL_CLASSIFY && scans && (o->val.index || o->val.images))
        argp_error(state, "--val-%s: got it beside scans, allowed: --val-volumes or --val-scores",
                   o->val.index ? "index" : "images");
    check_validation(state, &o->val);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    cts_eval_options *o = state->input;

    switch (key) {
    case 'p':
        if (cts_eval_pool_find(&o->in.pool, arg))
            argp_error(state, "--%s", cts_error());
        return 0;
    case 'k':
        parse_ks(state, o, arg);
        return 0;
    case KEY_PROTOCOL:
        if (cts_eval_protocol_find(&o->protocol, arg, verbs[o->verb].task))
            argp_error(state, "--%s", cts_error());
        return 0;
    case KEY_EXCLUDE:
        o->in.exclude = arg;
        return 0;
    case KEY_BOOTSTRAP:
        o->resamples = (size_t)cts_cli_int(state, "--bootstrap", arg, 0, 100000);
        return 0;
    case KEY_CSV:
        o->csv = arg;
        return 0;
    case KEY_HTML:
        o->html = arg;
        return 0;
    case KEY_SAVE_SCORES:
        if (strlen(arg) < 5 || strcmp(arg + strlen(arg) - 4, ".npy") != 0)
            argp_error(state, "--save-scores: got %s, allowed: a name that ends in .npy", arg);
        o->save_scores = arg;
        return 0;
    case KEY_SAVE_THRESHOLDS:
        o->save_thresholds = arg;
        return 0;
    case ARGP_KEY_END:
        check_inputs(state, o);
        return 0;
    default:
        return parse_input(key, arg, state, o);
    }
}

static int complete(cts_eval_options *o, const char *command)
{
    bool scans = !o->in.index && !o->in.images && !o->in.texts && !o->in.scores;
    int rc = CTS_OK;

    if (!o->protocol)
        o->protocol = cts_eval_protocol_default(verbs[o->verb].task);
    if (!o->in.pool)
        rc = cts_eval_pool_find(&o->in.pool, o->protocol->pool);
    if (!rc && o->protocol->map)
        rc = cts_label_map_find(o->protocol->map, &o->in.map);
    if (!o->own_ks)
        memcpy(o->ks, o->protocol->ks, sizeof o->ks);
    o->has_val = o->val.index || o->val.images || o->val.scores || o->val.data.volumes;
    if (o->val.data.volumes)
        o->val.model = o->in.model;
    o->val.over = o->in.over;
    o->val.prompts = o->in.prompts;
    o->val.scale = o->in.scale;
    o->val.map = o->in.map;
    o->val.logits = o->in.logits;
    o->val.bank = o->in.bank;
    if (!rc && o->has_val)
        rc = cts_eval_pool_find(&o->val.pool, "all");
    if (!rc && o->save_thresholds && o->in.map)
        rc = cts_fail(CTS_E_USAGE, "%s: --save-thresholds: got labels of %s, allowed: the model's own labels", command,
                      o->in.map->name);
    if (!rc && scans && verbs[o->verb].needs.texts && !o->in.data.reports)
        rc = cts_fail(CTS_E_USAGE, "%s: --reports is needed", command);
    if (!rc && !o->in.index && verbs[o->verb].needs.labels && !o->in.data.labels)
        rc = cts_fail(CTS_E_USAGE, "%s: --labels is needed", command);
    return rc;
}

int cts_eval_options_parse(cts_eval_options *o, int argc, char **argv, const char *doc)
{
    struct argp_option options[OPTIONS + 1] = {{0}};
    size_t n = 0;
    int rc;

    for (size_t i = 0; i < OPTIONS; i++)
        if (table[i].verbs >> o->verb & 1)
            options[n++] = table[i].option;
    o->resamples = CTS_BOOTSTRAP_RESAMPLES;
    rc = cts_cli_parse_with(argc, argv, options, parse, NULL, doc, o, &o->common, &cts_dataset_argp, &o->in.data);
    return rc ? rc : complete(o, argv[0]);
}
