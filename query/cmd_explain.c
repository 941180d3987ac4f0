/* `ctsearch explain`: where in a scan a finding was seen. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "kernels/base/log.h"
#include "kernels/base/signal.h"
#include "kernels/base/status.h"
#include "query/explain/options.h"
#include "query/explain/report.h"
#include "query/orientation.h"
#include "query/scan_options.h"
#include "query/scorer.h"

#define REPORT "explain.json" /* in the folder of --out, written last */

typedef struct {
    const char *model, *scan, *out;
    cts_explain_options how;
    cts_overrides over;
    cts_scan_options scan_options;
    bool positive, all, png;
    const char **finding; /* borrowed strings, owned array */
    size_t n;
} options;

enum { KEY_PNG = 0x3100, KEY_POSITIVE };

static const struct argp_option argp_options[] = {
    {"model", 'm', "DIR", 0, "Model folder or run folder (needed)", 0},
    {"finding", 'f', "NAME", 0, "A finding the model knows; repeat it for more; \"all\" for every one", 0},
    {"positive", KEY_POSITIVE, NULL, 0, "Every finding that is present by its threshold (0.5 where there is none)", 0},
    {"out", 'o', "FOLDER", 0, "Write heat maps, pictures and " REPORT " here", 0},
    {"png", KEY_PNG, "on|off", 0, "Pictures too (default on)", 0},
    CTS_EXPLAIN_OPTIONS,
    {0}};

static void check(struct argp_state *state, const options *o)
{
    if (!o->model || !o->scan)
        argp_error(state, "%s", o->scan ? "--model is needed" : "a VOLUME is needed");
    if (!o->n && !o->positive && !o->all)
        argp_error(state, "--finding NAME or --positive is needed");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;

    switch (key) {
    case 'm':
        o->model = arg;
        return 0;
    case 'f':
        if (!strcasecmp(arg, "all"))
            o->all = true;
        else
            o->finding[o->n++] = arg;
        return 0;
    case KEY_POSITIVE:
        o->positive = true;
        return 0;
    case 'o':
        o->out = arg;
        return 0;
    case KEY_PNG:
        if (strcmp(arg, "on") != 0 && strcmp(arg, "off") != 0)
            argp_error(state, "--png: got %s, allowed: on, off", arg);
        o->png = !strcmp(arg, "on");
        return 0;
    case ARGP_KEY_ARG:
        if (o->scan)
            argp_error(state, "one VOLUME at a time, got %s as well", arg);
        o->scan = arg;
        return 0;
    case ARGP_KEY_END:
        check(state, o);
        return 0;
    default:
        return cts_explain_option(key, arg, state, &o->how, &o->over);
    }
}

/* Everything one run holds. */
typedef struct {
    const options *o;
    cts_session session;
    cts_scorer *scorer; /* knows which thresholds are this model's; NULL without any */
    cts_explainer *x;
    bool *asked; /* [labels] */
    json_t *findings;
    char **written; /* paths of this run, to be removed when it fails */
    size_t n_written;
} job;

/* A scorer would encode the prompts a second time, so it is made where there is something to read only. */
static int open_thresholds(job *w)
{
    cts_scorer_options o = {.prompts = w->o->how.prompts};
    char *path = cts_path_join(cts_engine_path(w->session.engine), CTS_THRESHOLDS_FILE);
    int rc = CTS_OK;

    if (!path)
        return cts_fail(CTS_E_NOMEM, "out of memory for paths");
    if (cts_file_exists(path))
        rc = cts_scorer_create(&w->scorer, &w->session.engine, 1, &o);
    free(path);
    return rc;
}

static int open_all(job *w, const cts_common *common)
{
    int rc = cts_session_open_model(&w->session, w->o->model, common);

    if (rc || (rc = cts_session_override(&w->session, &w->o->over)) ||
        (rc = cts_explainer_open(&w->x, &w->session, &w->o->how)) || (rc = open_thresholds(w)))
        return rc;
    w->asked = calloc(cts_explainer_count(w->x), sizeof *w->asked);
    w->written = calloc(2 * cts_explainer_count(w->x), sizeof *w->written);
    return w->asked && w->written && w->findings ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for findings");
}

/* NULL = there is none. */
static const cts_label_threshold *threshold(const job *w, size_t label)
{
    const cts_thresholds *t = w->scorer ? cts_scorer_thresholds(w->scorer) : NULL;
    const cts_label_threshold *one = t ? cts_thresholds_find(t, cts_explainer_name(w->x, label)) : NULL;

    return one && !isnan(one->threshold) ? one : NULL;
}

static int choose_named(job *w)
{
    for (size_t i = 0; i < w->o->n; i++) {
        size_t label;
        int rc = cts_explainer_find(w->x, w->o->finding[i], &label);

        if (rc)
            return rc;
        w->asked[label] = true;
    }
    return CTS_OK;
}

/* After the scan was seen. */
static size_t choose_rest(job *w)
{
    size_t n = 0;

    for (size_t i = 0; i < cts_explainer_count(w->x); i++) {
        const cts_label_threshold *t = threshold(w, i);
        double above = t ? t->threshold : 0.5;

        if (w->o->all || (w->o->positive && cts_explainer_probability(w->x, i) >= above))
            w->asked[i] = true;
        n += w->asked[i];
    }
    return n;
}

static int note(job *w, const char *path)
{
    if (path && !(w->written[w->n_written++] = cts_strdup(path)))
        return cts_fail(CTS_E_NOMEM, "out of memory for paths");
    return CTS_OK;
}

static int explain_one(job *w, size_t label, FILE *text)
{
    cts_explanation e = {0};
    int rc = cts_explanation_make(&e, w->x, label, threshold(w, label)), kept;

    if (!rc && w->o->out) {
        rc = cts_explanation_save(&e, w->x, w->o->out, w->o->png);
        if ((kept = note(w, e.nifti)) || (kept = note(w, e.png)))
            rc = kept;
    }
    if (!rc)
        cts_explanation_print(text, &e, w->x);
    if (!rc && json_array_append_new(w->findings, cts_explanation_json(&e, w->x)))
        rc = cts_fail(CTS_E_NOMEM, "out of memory for the answer");
    cts_explanation_clear(&e);
    return rc;
}

static json_t *answer(const job *w)
{
    const cts_cam_info *i = cts_explainer_cam(w->x);
    const cts_preprocess_info *info = cts_explainer_info(w->x);
    json_t *warnings = cts_volume_warnings_json(info), *kept = cts_session_warnings(&w->session);
    const char *prompts = cts_explainer_prompts(w->x);

    json_array_extend(warnings, kept);
    json_decref(kept);
    return json_pack("{s:s, s:s, s:s, s:s?, s:s, s:s, s:{s:[I,I,I], s:[I,I,I]}, s:O, s:o, s:o}", "volume", w->o->scan,
                     "model", w->o->model, "kind", cts_explainer_supervised(w->x) ? "classifier" : "prompts", "prompts",
                     *prompts ? prompts : NULL, "layer", i->layer, "weights", cts_cam_weights_name(i->weights), "grid",
                     "cells_zxy", (json_int_t)i->grid[0], (json_int_t)i->grid[1], (json_int_t)i->grid[2], "tensor_zxy",
                     (json_int_t)i->volume[0], (json_int_t)i->volume[1], (json_int_t)i->volume[2], "findings",
                     w->findings, "orientation", cts_orientation_json(info), "warnings", warnings);
}

static int save_report(const job *w)
{
    char *path = cts_path_join(w->o->out, REPORT);
    json_t *j = answer(w);
    int rc = path && j ? cts_json_save(j, path) : cts_fail(CTS_E_NOMEM, "out of memory for the answer");

    json_decref(j);
    free(path);
    return rc;
}

/* Findings one after the other; what is said of them goes to text, so that nothing is printed when one fails. */
static int explain_all(job *w, FILE *text)
{
    int rc = CTS_OK;

    fprintf(text, "%s\n", w->o->scan);
    if (!choose_rest(w))
        cts_log(CTS_LOG_INFO, "no finding is present by its threshold");
    for (size_t i = 0; !rc && i < cts_explainer_count(w->x); i++)
        if (w->asked[i])
            rc = cts_interrupted() ? cts_fail(CTS_E_INTERRUPTED, "explain: interrupted") : explain_one(w, i, text);
    return rc;
}

static int explain(job *w, bool json)
{
    cts_volume_source source;
    char *said = NULL;
    size_t n = 0;
    FILE *text = NULL;
    int rc = choose_named(w);

    if (rc || (rc = cts_scan_source(&source, &w->o->scan_options, w->o->scan)) ||
        (rc = cts_explainer_see(w->x, &source)))
        return rc;
    cts_say_volume(w->o->scan, cts_explainer_info(w->x));
    if (w->o->out && (rc = cts_mkdir_p(w->o->out)))
        return rc;
    if (!(text = open_memstream(&said, &n)))
        return cts_fail(CTS_E_NOMEM, "out of memory for the answer");
    rc = explain_all(w, text);
    if (fclose(text) && !rc)
        rc = cts_fail(CTS_E_NOMEM, "out of memory for the answer");
    if (!rc && w->o->out)
        rc = save_report(w);
    if (!rc && json)
        rc = cts_print_json(answer(w));
    else if (!rc)
        fputs(said, stdout);
    free(said);
    return rc;
}

static void end(job *w, int rc)
{
    for (size_t i = 0; i < w->n_written; i++) {
        if (rc && w->written[i])
            unlink(w->written[i]); /* a folder holds the whole answer or nothing of it */
        free(w->written[i]);
    }
    free(w->written);
    free(w->asked);
    json_decref(w->findings);
    cts_explainer_close(w->x);
    cts_scorer_destroy(w->scorer);
    cts_session_close(&w->session);
}

static int run(int argc, char **argv)
{
    options o = {.png = true, .finding = calloc((size_t)argc + 1, sizeof *o.finding)};
    job w = {.o = &o, .findings = json_array()};
    cts_common common;
    int rc = o.finding ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for arguments");

    if (!rc)
        rc = cts_cli_parse_with(
            argc, argv, argp_options, parse, "VOLUME",
            "Where in a scan a finding was seen: the model's features weighted by the gradient of its answer "
            "(Grad-CAM), laid over the scan. Prints the profile along the body, and with --out writes the heat map as "
            "NIfTI in the scan's own geometry and a picture of the hottest slices. It shows what moved the model, "
            "which need not be the finding; it is no diagnosis."
            "\vExamples:\n  ctsearch explain --model runs/scroll --finding \"Pleural effusion\" scan.nii.gz\n"
            "  ctsearch explain --model runs/scroll --positive --out why/ scan.nii.gz\n"
            "  ctsearch explain --model runs/nano -f \"Lung nodule\" --layer stage2 --json scan.nii.gz",
            &o, &common, &cts_scan_argp, &o.scan_options);
    if (!rc && !(rc = cts_scan_options_open(&o.scan_options)) && !(rc = open_all(&w, &common)))
        rc = explain(&w, common.json);
    end(&w, rc);
    cts_scan_options_close(&o.scan_options);
    free(o.finding);
    return rc;
}

const cts_command cts_cmd_explain = {"explain", "where in a scan a finding was seen: heat maps", run};
