/* `ctsearch score`: how likely a scan shows each finding, by supervised models, by prompts, or by several together.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/log.h"
#include "kernels/base/signal.h"
#include "kernels/base/status.h"
#include "query/cli.h"
#include "query/model_set.h"
#include "query/orientation.h"
#include "query/present.h"
#include "query/scan_options.h"
#include "query/score_report.h"
#include "query/session.h"

typedef struct {
    const char *model[CTS_SCORER_MODELS_MAX];
    size_t n_models;
    const char *index;
    cts_scorer_options scorer;
    cts_overrides over;
    cts_scan_options scan;
    char **findings, **volumes; /* borrowed strings, owned arrays */
    size_t n_findings, n;
} options;

enum { KEY_THRESHOLDS = 0x1400, KEY_UNCALIBRATED };

static const struct argp_option argp_options[] = {
    {"model", 'm', "DIR", 0, "Model folder or run folder; repeated: the mean of their calibrated logits", 0},
    {"ensemble", 'e', "DIR", OPTION_ALIAS, NULL, 0},
    {"index", 'i', "INDEX", 0, "Use the model of this index instead", 0},
    {"finding", 'f', "NAME", 0, "Only this one; may be repeated (default: all that the model has)", 0},
    {"thresholds", KEY_THRESHOLDS, "DIR", 0, "Folder with thresholds.json (default: the model's own)", 0},
    {"uncalibrated", KEY_UNCALIBRATED, NULL, 0, "Several models: the mean of their logits as they are", 0},
    {"prompts", 'p', "NAME|FILE.json", 0,
     "Go by this prompt bank (default: by the classifier, or by the model's own bank; `--prompts list` shows them)", 0},
    CTS_OPTION_RECIPE,
    {0}};

static bool lists(const options *o)
{
    return o->scorer.prompts && !strcmp(o->scorer.prompts, "list");
}

static void check(struct argp_state *state, const options *o)
{
    if (lists(o))
        return;
    if (!o->n || (!o->n_models && !o->index))
        argp_error(state, o->n ? "--model or --index is needed" : "at least one VOLUME is needed");
    if (o->n_models > 1 && o->index)
        argp_error(state, "--index: got it beside %zu models, allowed: one", o->n_models);
    if (o->n_models > 1 && o->over.recipe)
        argp_error(state, "--recipe: got it beside %zu models, allowed: one, each has a recipe of its own",
                   o->n_models);
    if (o->n_models < 2 && o->scorer.uncalibrated)
        argp_error(state, "--uncalibrated: got it beside one model, allowed: with several");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;

    switch (key) {
    case 'e':
    case 'm':
        if (o->n_models == CTS_SCORER_MODELS_MAX)
            argp_error(state, "--model: got more than %d of them, allowed: so many", CTS_SCORER_MODELS_MAX);
        o->model[o->n_models++] = arg;
        return 0;
    case 'i':
        o->index = arg;
        return 0;
    case 'f':
        o->findings[o->n_findings++] = arg;
        return 0;
    case 'p':
        o->scorer.prompts = arg;
        return 0;
    case KEY_THRESHOLDS:
        o->scorer.thresholds = arg;
        return 0;
    case KEY_UNCALIBRATED:
        o->scorer.uncalibrated = true;
        return 0;
    case CTS_KEY_RECIPE:
        o->over.recipe = arg;
        return 0;
    case ARGP_KEY_ARG:
        o->volumes[o->n++] = arg;
        return 0;
    case ARGP_KEY_END:
        check(state, o);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Everything one run holds. */
typedef struct {
    const options *o;
    cts_session session;
    cts_model_set models;
    size_t *which; /* labels asked for */
    size_t n_which;
    cts_scorer_result r;
} job;

static int open_models(job *j, const cts_common *c)
{
    const options *o = j->o;
    int rc = o->index ? cts_session_open_index(&j->session, o->index, false, o->n_models ? o->model[0] : NULL, true, c)
                      : cts_session_open_model(&j->session, o->model[0], c);

    if (rc || (rc = cts_session_override(&j->session, &o->over)))
        return rc;
    return cts_model_set_open(&j->models, &j->session, o->model + 1, o->n_models > 1 ? o->n_models - 1 : 0, &o->scorer);
}

/* The labels asked for, each once. */
static int choose(job *j)
{
    size_t n = cts_scorer_n(j->models.scorer);
    int rc = CTS_OK;

    j->which = malloc((n + 1) * sizeof *j->which);
    j->r.logit = malloc((n + 1) * sizeof *j->r.logit);
    j->r.member = malloc((n * j->models.n + 1) * sizeof *j->r.member);
    j->r.spread = calloc(n + 1, sizeof *j->r.spread);
    if (!j->which || !j->r.logit || !j->r.member || !j->r.spread)
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu findings", n);
    for (size_t i = 0; !rc && i < j->o->n_findings; i++) {
        size_t at = 0, k = 0;

        rc = cts_scorer_find(j->models.scorer, j->o->findings[i], &at);
        while (k < j->n_which && j->which[k] != at)
            k++;
        if (!rc && k == j->n_which)
            j->which[j->n_which++] = at;
    }
    for (size_t i = 0; !j->o->n_findings && i < n; i++)
        j->which[j->n_which++] = i;
    return rc;
}

static json_t *warnings_of(const job *j, const cts_preprocess_info *info)
{
    json_t *list = cts_volume_warnings_json(info), *kept = cts_session_warnings(&j->session);

    json_array_extend(list, kept);
    json_decref(kept);
    cts_model_set_warnings(&j->models, list);
    return list;
}

/* One volume, to stdout or, when list is not NULL, appended to it. */
static int score_one(job *j, const char *volume, json_t *list)
{
    cts_preprocess_info info;
    cts_volume_source source;
    int rc = cts_scan_source(&source, &j->o->scan, volume);

    if (rc || (rc = cts_scorer_volume(j->models.scorer, &source, &j->r, &info)))
        return rc;
    cts_say_volume(volume, &info);
    if (list) {
        json_t *one = cts_score_json(j->models.scorer, &j->r, volume, j->which, j->n_which);

        json_object_set_new(one, "orientation", cts_orientation_json(&info));
        json_object_set_new(one, "warnings", warnings_of(j, &info));
        json_array_append_new(list, one);
    } else {
        cts_score_print(j->models.scorer, &j->r, volume, j->which, j->n_which);
    }
    return CTS_OK;
}

static int score(job *j, bool json)
{
    const options *o = j->o;
    json_t *list = json ? json_array() : NULL, *skipped = json_array();
    int rc = CTS_OK;

    for (size_t i = 0; !rc && i < o->n; i++) {
        if (cts_interrupted())
            rc = cts_fail(CTS_E_INTERRUPTED, "score: interrupted after %zu of %zu volumes", i, o->n);
        else if ((rc = score_one(j, o->volumes[i], list)) && o->n > 1 && rc != CTS_E_NOMEM) { /* one of many: go on */
            cts_log(CTS_LOG_WARN, "skipped: %s", cts_error());
            json_array_append_new(skipped, json_pack("{s:s, s:s}", "volume", o->volumes[i], "error", cts_error()));
            rc = CTS_OK;
        }
    }
    if (!rc && json && o->n == 1)
        rc = cts_print_json(json_incref(json_array_get(list, 0)));
    else if (!rc && json)
        rc = cts_print_json(json_pack("{s:O, s:O}", "volumes", list, "skipped", skipped));
    if (!rc && json_array_size(skipped))
        rc = cts_fail(CTS_E_PARTIAL, "%zu of %zu volumes were skipped, each for the reason given above",
                      json_array_size(skipped), o->n);
    json_decref(list);
    json_decref(skipped);
    return rc;
}

static void close_job(job *j)
{
    cts_model_set_close(&j->models);
    cts_session_close(&j->session);
    free(j->which);
    free(j->r.logit);
    free(j->r.member);
    free(j->r.spread);
}

static int run(int argc, char **argv)
{
    options o = {.volumes = calloc((size_t)argc + 1, sizeof *o.volumes),
                 .findings = calloc((size_t)argc + 1, sizeof *o.findings)};
    cts_common common = {0};
    job j = {.o = &o};
    int rc = o.volumes && o.findings ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for arguments");

    if (!rc)
        rc = cts_cli_parse_with(
            argc, argv, argp_options, parse, "VOLUME...",
            "How likely a scan shows each finding: by the classifier of a supervised model, or by sentences that "
            "affirm and deny it (with a bank of several phrasings the range over them is shown), or by several models "
            "together. With thresholds.json in the model folder also present or absent, and how well the model told "
            "it on validation scans. This is no diagnosis."
            "\vExamples:\n  ctsearch score --model runs/scroll scan.nii.gz\n"
            "  ctsearch score --model runs/nano --prompts ensemble --finding \"Pleural effusion\" scan.nii.gz\n"
            "  ctsearch score --model runs/scroll --model runs/nano --thresholds both scan.nii.gz\n"
            "  ctsearch score --prompts list",
            &o, &common, &cts_scan_argp, &o.scan);
    if (!rc && lists(&o))
        rc = cts_prompt_banks_print(common.json);
    else if (!rc && !(rc = cts_scan_options_open(&o.scan)) && !(rc = open_models(&j, &common)) && !(rc = choose(&j)))
        rc = score(&j, common.json);
    close_job(&j);
    cts_scan_options_close(&o.scan);
    free(o.volumes);
    free(o.findings);
    return rc;
}

const cts_command cts_cmd_score = {"score", "probabilities of the findings of a scan, with thresholds and intervals",
                                   run};
