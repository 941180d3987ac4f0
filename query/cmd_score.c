/* `ctsearch score`: how likely a scan shows each of the 18 findings, by prompts alone. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "kernels/base/log.h"
#include "kernels/base/signal.h"
#include "kernels/base/status.h"
#include "query/cli.h"
#include "query/evaluate.h"
#include "query/present.h"
#include "query/session.h"

typedef struct {
    const char *model, *index;
    char **volumes; /* borrowed strings, owned array */
    size_t n;
} options;

static const struct argp_option argp_options[] = {{"model", 'm', "DIR", 0, "Model folder or run folder", 0},
                                                  {"index", 'i', "INDEX", 0, "Use the model of this index instead", 0},
                                                  {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;

    switch (key) {
    case 'm':
        o->model = arg;
        return 0;
    case 'i':
        o->index = arg;
        return 0;
    case ARGP_KEY_ARG:
        o->volumes[o->n++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (!o->n || (!o->model && !o->index))
            argp_error(state, o->n ? "--model or --index is needed" : "at least one VOLUME is needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

typedef struct {
    int finding;
    float probability;
} scored;

static int by_probability(const void *a, const void *b)
{
    const scored *x = a, *y = b;

    return x->probability != y->probability ? (x->probability < y->probability) - (x->probability > y->probability)
                                            : x->finding - y->finding;
}

static void print_scores(const char *volume, const float probability[CTS_FINDINGS])
{
    scored s[CTS_FINDINGS];

    for (int i = 0; i < CTS_FINDINGS; i++)
        s[i] = (scored){i, probability[i]};
    qsort(s, CTS_FINDINGS, sizeof s[0], by_probability);
    printf("%s\n", volume);
    for (int i = 0; i < CTS_FINDINGS; i++) {
        printf("  %-36s %5.3f  ", cts_findings[s[i].finding].name, (double)s[i].probability);
        cts_print_bar(stdout, s[i].probability, 32);
        putchar('\n');
    }
}

static json_t *scores_json(const char *volume, const float probability[CTS_FINDINGS])
{
    json_t *findings = json_array();

    for (int i = 0; i < CTS_FINDINGS; i++)
        json_array_append_new(
            findings, json_pack("{s:s, s:f}", "name", cts_findings[i].name, "probability", (double)probability[i]));
    return json_pack("{s:s, s:o}", "volume", volume, "findings", findings);
}

/* One volume, to stdout or, when list is not NULL, appended to it. */
static int score_one(cts_engine *e, const cts_zeroshot *z, const char *volume, float *vector, json_t *list)
{
    cts_volume_source source = {.path = volume};
    cts_preprocess_info info;
    float probability[CTS_FINDINGS];
    int rc = cts_engine_volume(e, &source, vector, &info);

    if (rc)
        return rc;
    if (!info.hu.plausible)
        cts_log(CTS_LOG_WARN, "%s: %s", volume, info.hu.text);
    cts_zeroshot_score(z, vector, probability);
    if (list)
        json_array_append_new(list, scores_json(volume, probability));
    else
        print_scores(volume, probability);
    return CTS_OK;
}

static int score(cts_engine *e, const options *o, bool json)
{
    cts_zeroshot z = {0};
    float *vector = malloc((size_t)cts_engine_dim(e) * sizeof *vector);
    json_t *list = json ? json_array() : NULL, *skipped = json_array();
    int rc = vector ? cts_zeroshot_init(&z, e) : cts_fail(CTS_E_NOMEM, "out of memory for a vector");

    for (size_t i = 0; !rc && i < o->n; i++) {
        if (cts_interrupted())
            rc = cts_fail(CTS_E_INTERRUPTED, "score: interrupted after %zu of %zu volumes", i, o->n);
        else if ((rc = score_one(e, &z, o->volumes[i], vector, list)) && o->n > 1 &&
                 rc != CTS_E_NOMEM) { /* one of many: go on */
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
    cts_zeroshot_clear(&z);
    free(vector);
    json_decref(list);
    json_decref(skipped);
    return rc;
}

static int run(int argc, char **argv)
{
    options o = {.volumes = calloc((size_t)argc + 1, sizeof *o.volumes)};
    cts_common common;
    cts_session s = {0};
    int rc = o.volumes ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for arguments");

    if (!rc)
        rc = cts_cli_parse(
            argc, argv, argp_options, parse, "VOLUME...",
            "Zero-shot probabilities of the 18 findings: the scan is compared with \"<Finding> is present.\" and "
            "\"<Finding> is not present.\". They rank scans; they are not calibrated, and this is no diagnosis."
            "\vExample:\n  ctsearch score --model runs/nano scan.nii.gz",
            &o, &common);
    if (!rc)
        rc = o.index ? cts_session_open_index(&s, o.index, false, o.model, true, &common)
                     : cts_session_open_model(&s, o.model, &common);
    if (!rc)
        rc = score(s.engine, &o, common.json);
    free(o.volumes);
    cts_session_close(&s);
    return rc;
}

const cts_command cts_cmd_score = {"score", "zero-shot probabilities of the 18 findings for a scan", run};
