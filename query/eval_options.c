/* SPDX-License-Identifier: MIT */
#include "query/eval_options.h"

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
};

/* clang-format off */
#define INPUT_OPTIONS \
    {"index", 'i', "INDEX", 0, "Evaluate what an index holds", 0}, \
    {"model", 'm', "DIR", 0, "Model folder or run folder, with data; beside --index: must be the index's own", 0}, \
    {"images", KEY_IMAGES, "F.npy", 0, "Image vectors of any model, float16/32/64 [n, d]", 1}
#define NAMES_OPTION \
    {"names", KEY_NAMES, "CSV", 0, "VolumeName of each row (default: the .json beside the .npy, or --labels or --reports " \
     "row by row)", 1}
#define COMMON_OPTIONS \
    {"protocol", KEY_PROTOCOL, "NAME", 0, "Do as a published evaluation does: see `ctsearch eval protocols` (default: all " \
     "figures side by side)", 2}, \
    {"pool", 'p', "NAME", 0, "all, ct-clip-3039, scan-1564, colipri-1493 or spectre-1 (default: the protocol's, or all)", 2}, \
    {"exclude", KEY_EXCLUDE, "FILE", 0, "Volume names that take no part, a line each", 2}, \
    {"bootstrap", KEY_BOOTSTRAP, "N", 0, "Resamples of patients for the 95 % intervals, 0 = none (default 1000)", 2}, \
    {"csv", KEY_CSV, "FILE", 0, "Write every figure, one a line", 3}, \
    {"html", KEY_HTML, "FILE", 0, "Write a page with curves, bars and tables; it needs nothing but itself", 3}
#define K_OPTION {NULL, 'k', "LIST", 0, "Ks separated by commas (default 1,5,10,50,100, or the protocol's)", 2}
#define PROMPT_OPTIONS \
    {"prompts", KEY_BANK, "NAME|FILE.json", 0, "Prompt bank (default: the model's; `ctsearch score --prompts list` shows them)", 0}, \
    {"prompts-npy", KEY_PROMPTS, "F.npy", 0, "Text vectors [36, d]: present, not present of each finding", 1}, \
    {"scale", KEY_SCALE, "S", 0, "Scale of the two logits (default: the model's, or e with --prompts-npy)", 1}, \
    {"val-index", KEY_VAL_INDEX, "INDEX", 0, "Validation data that fit the thresholds of f1_bin@val", 4}, \
    {"val-images", KEY_VAL_IMAGES, "F.npy", 0, "The same as vectors, with --val-labels", 4}
#define VAL_OPTIONS \
    {"val-labels", KEY_VAL_LABELS, "CSV", 0, "Labels of the validation data", 4}, \
    {"val-names", KEY_VAL_NAMES, "CSV", 0, "VolumeName of each row of the validation data", 4}
#define SCORE_OPTIONS \
    {"scores", KEY_SCORES, "F.npy", 0, "Probabilities [n, 18] of any classifier, in the order of the label CSV", 1}, \
    {"logits", KEY_LOGITS, NULL, 0, "--scores and --val-scores are logits", 1}, \
    {"val-scores", KEY_VAL_SCORES, "F.npy", 0, "Scores of validation data that fit the thresholds of f1_bin@val", 4}

static const struct argp_option recall_options[] = {
    INPUT_OPTIONS, {"texts", KEY_TEXTS, "F.npy", 0, "Report vectors, row i belongs to row i of --images", 1},
    NAMES_OPTION, K_OPTION, COMMON_OPTIONS, {0}};
static const struct argp_option zeroshot_options[] = {
    INPUT_OPTIONS, NAMES_OPTION, PROMPT_OPTIONS, VAL_OPTIONS, COMMON_OPTIONS, {0}};
static const struct argp_option classify_options[] = {
    INPUT_OPTIONS, NAMES_OPTION, SCORE_OPTIONS, PROMPT_OPTIONS, VAL_OPTIONS, COMMON_OPTIONS, {0}};
static const struct argp_option map_options[] = {INPUT_OPTIONS, NAMES_OPTION, K_OPTION, COMMON_OPTIONS, {0}};
/* clang-format on */

static const struct {
    const char *name;
    cts_eval_task task;
    cts_eval_needs needs;
    const struct argp_option *options;
} verbs[] = {
    {"recall", CTS_TASK_RECALL, {.images = true, .texts = true}, recall_options},
    {"zeroshot", CTS_TASK_CLASSIFY, {.images = true, .scores = true, .labels = true}, zeroshot_options},
    {"classify", CTS_TASK_CLASSIFY, {.scores = true, .labels = true}, classify_options},
    {"map", CTS_TASK_MAP, {.images = true, .labels = true}, map_options},
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
    default:
        return ARGP_ERR_UNKNOWN;
    }
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
    if (o->val.names && !o->val.images && !o->val.scores)
        argp_error(state, "--val-names: got no rows to name, allowed: with --val-scores or --val-images");
    if ((o->val.index != NULL) + (o->val.images != NULL) + (o->val.scores != NULL) > 1)
        argp_error(state, "one of --val-index, --val-images and --val-scores is enough");
    if ((o->val.images || o->val.scores) && !o->val.data.labels)
        argp_error(state, "--val-labels is needed with --val-images and --val-scores");
    if (o->val.data.labels && !o->val.images && !o->val.scores && !o->val.index)
        argp_error(state,
                   "--val-labels: got no validation scores, allowed: with --val-scores, --val-images or --val-index");
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
    o->has_val = o->val.index || o->val.images || o->val.scores;
    o->val.map = o->in.map;
    o->val.logits = o->in.logits;
    o->val.bank = o->in.bank;
    if (!rc && o->has_val)
        rc = cts_eval_pool_find(&o->val.pool, "all");
    if (!rc && scans && verbs[o->verb].needs.texts && !o->in.data.reports)
        rc = cts_fail(CTS_E_USAGE, "%s: --reports is needed", command);
    if (!rc && !o->in.index && verbs[o->verb].needs.labels && !o->in.data.labels)
        rc = cts_fail(CTS_E_USAGE, "%s: --labels is needed", command);
    if (!rc && o->protocol->figures == CTS_FIGURE_BIN && !o->has_val)
        rc = cts_fail(
            CTS_E_USAGE,
            "%s: protocol %s takes its thresholds from validation data, allowed: --val-scores, --val-images or "
            "--val-index",
            command, o->protocol->name);
    return rc;
}

int cts_eval_options_parse(cts_eval_options *o, int argc, char **argv, const char *doc)
{
    int rc;

    o->resamples = CTS_BOOTSTRAP_RESAMPLES;
    rc = cts_cli_parse_with(argc, argv, verbs[o->verb].options, parse, NULL, doc, o, &o->common, &cts_dataset_argp,
                            &o->in.data);
    return rc ? rc : complete(o, argv[0]);
}
