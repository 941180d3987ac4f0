/* `ctsearch score`: how likely a scan shows each of the 18 findings, by prompts alone. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/log.h"
#include "kernels/base/signal.h"
#include "kernels/base/status.h"
#include "query/cli.h"
#include "query/orientation.h"
#include "query/present.h"
#include "query/session.h"
#include "query/zeroshot.h"

typedef struct {
    const char *model, *index, *prompts;
    cts_overrides over;
    char **volumes; /* borrowed strings, owned array */
    size_t n;
} options;

static const struct argp_option argp_options[] = {
    {"model", 'm', "DIR", 0, "Model folder or run folder", 0},
    {"index", 'i', "INDEX", 0, "Use the model of this index instead", 0},
    {"prompts", 'p', "NAME|FILE.json", 0, "Prompt bank (default: the model's; `--prompts list` shows them)", 0},
    CTS_OPTION_RECIPE,
    {0}};

static bool lists(const options *o)
{
    return o->prompts && !strcmp(o->prompts, "list");
}

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
    case 'p':
        o->prompts = arg;
        return 0;
    case CTS_KEY_RECIPE:
        o->over.recipe = arg;
        return 0;
    case ARGP_KEY_ARG:
        o->volumes[o->n++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (!lists(o) && (!o->n || (!o->model && !o->index)))
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

static void print_scores(const char *volume, const float probability[CTS_FINDINGS],
                         const cts_prompt_spread spread[CTS_FINDINGS])
{
    scored s[CTS_FINDINGS];

    for (int i = 0; i < CTS_FINDINGS; i++)
        s[i] = (scored){i, probability[i]};
    qsort(s, CTS_FINDINGS, sizeof s[0], by_probability);
    printf("%s\n", volume);
    for (int i = 0; i < CTS_FINDINGS; i++) {
        const cts_prompt_spread *p = &spread[s[i].finding];

        printf("  %-36s %5.3f  ", cts_findings[s[i].finding].name, (double)s[i].probability);
        cts_print_bar(stdout, s[i].probability, 32);
        if (p->pairs > 1)
            printf("  %5.3f to %5.3f by %d phrasings", (double)p->min, (double)p->max, p->pairs);
        putchar('\n');
    }
}

static json_t *scores_json(const char *volume, const cts_zeroshot *z, const cts_preprocess_info *info,
                           const float probability[CTS_FINDINGS], const cts_prompt_spread spread[CTS_FINDINGS])
{
    json_t *findings = json_array();

    for (int i = 0; i < CTS_FINDINGS; i++) {
        json_t *one = json_pack("{s:s, s:f}", "name", cts_findings[i].name, "probability", (double)probability[i]);

        if (spread[i].pairs > 1)
            json_object_set_new(one, "spread",
                                json_pack("{s:i, s:f, s:f, s:f}", "phrasings", spread[i].pairs, "mean",
                                          (double)spread[i].mean, "min", (double)spread[i].min, "max",
                                          (double)spread[i].max));
        json_array_append_new(findings, one);
    }
    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "volume", volume, "prompts", z->bank, "findings", findings,
                     "orientation", cts_orientation_json(info), "warnings", cts_volume_warnings_json(info));
}

/* One volume, to stdout or, when list is not NULL, appended to it. */
static int score_one(cts_session *s, const cts_zeroshot *z, const char *volume, float *vector, json_t *list)
{
    cts_volume_source source = {.path = volume};
    cts_preprocess_info info;
    cts_prompt_spread spread[CTS_FINDINGS];
    float probability[CTS_FINDINGS];
    int rc = cts_engine_volume(s->engine, &source, vector, &info);

    if (rc)
        return rc;
    cts_say_volume(volume, &info);
    cts_zeroshot_score(z, vector, probability);
    cts_zeroshot_spread(z, vector, spread);
    if (list) {
        json_t *j = scores_json(volume, z, &info, probability, spread), *kept = cts_session_warnings(s);

        json_array_extend(json_object_get(j, "warnings"), kept);
        json_decref(kept);
        json_array_append_new(list, j);
    } else {
        print_scores(volume, probability, spread);
    }
    return CTS_OK;
}

static int score(cts_session *s, const options *o, bool json)
{
    cts_zeroshot z = {0};
    float *vector = malloc((size_t)cts_engine_dim(s->engine) * sizeof *vector);
    json_t *list = json ? json_array() : NULL, *skipped = json_array();
    int rc = vector ? cts_engine_need(s->engine, CTS_SIDE_IMAGE) : cts_fail(CTS_E_NOMEM, "out of memory for a vector");

    if (!rc)
        rc = cts_zeroshot_open(&z, s->engine, o->prompts);
    for (size_t i = 0; !rc && i < o->n; i++) {
        if (cts_interrupted())
            rc = cts_fail(CTS_E_INTERRUPTED, "score: interrupted after %zu of %zu volumes", i, o->n);
        else if ((rc = score_one(s, &z, o->volumes[i], vector, list)) && o->n > 1 &&
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
            "Zero-shot probabilities of the 18 findings: the scan is compared with sentences that affirm and deny "
            "each. With a bank of several phrasings the range over them is shown. They rank scans; they are not "
            "calibrated, and this is no diagnosis."
            "\vExamples:\n  ctsearch score --model runs/nano scan.nii.gz\n"
            "  ctsearch score --model runs/nano --prompts ensemble scan.nii.gz\n  ctsearch score --prompts list",
            &o, &common);
    if (!rc && lists(&o)) {
        free(o.volumes);
        return cts_prompt_banks_print(common.json);
    }
    if (!rc)
        rc = o.index ? cts_session_open_index(&s, o.index, false, o.model, true, &common)
                     : cts_session_open_model(&s, o.model, &common);
    if (!rc && !(rc = cts_session_override(&s, &o.over)))
        rc = score(&s, &o, common.json);
    free(o.volumes);
    cts_session_close(&s);
    return rc;
}

const cts_command cts_cmd_score = {"score", "zero-shot probabilities of the 18 findings for a scan", run};
