/* `ctsearch eval findings`: precision of report search, beside BM25 and chance. SPDX-License-Identifier: MIT */
#include "query/cmd_eval_findings.h"

#include <math.h>
#include <stdio.h>

#include "kernels/base/status.h"
#include "query/eval/findings.h"

typedef struct {
    const char *index, *model, *labels;
    int64_t k;
} options;

static const struct argp_option argp_options[] = {
    {"index", 'i', "INDEX", 0, "Index with reports (needed)", 0},
    {"model", 'm', "DIR", 0, "Model folder (default: the one the index remembers)", 0},
    {"labels", 'l', "CSV", 0, "VolumeName and the 18 findings, 0 or 1 (default: the labels in the index)", 0},
    {"k", 'k', "N", 0, "Reports looked at (default 10)", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;

    switch (key) {
    case 'i':
        o->index = arg;
        return 0;
    case 'm':
        o->model = arg;
        return 0;
    case 'l':
        o->labels = arg;
        return 0;
    case 'k':
        o->k = cts_cli_int(state, "-k", arg, 1, 1000);
        return 0;
    case ARGP_KEY_END:
        if (!o->index)
            argp_error(state, "--index is needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_row(const char *name, const double p[CTS_RANKINGS], size_t positives)
{
    printf("%-36s", name);
    for (int m = 0; m < CTS_RANKINGS; m++)
        if (isnan(p[m]))
            printf(" %9s", "-");
        else
            printf(" %9.3f", p[m]);
    if (positives)
        printf(" %9zu", positives);
    putchar('\n');
}

static void print_result(const cts_findings_result *r)
{
    printf("precision@%zu of \"<Finding> is present\" over %zu labelled reports (%zu of equal text left out)\n\n", r->k,
           r->n, r->repeats);
    printf("%-36s %9s %9s %9s %9s %9s %9s\n", "", "", "BM25", "BM25", "", "", "");
    printf("%-36s %9s %9s %9s %9s %9s %9s\n", "finding", "model", "sentence", "words", "chance", "oracle", "positives");
    for (int f = 0; f < CTS_FINDINGS; f++)
        print_row(cts_findings[f].name, r->precision[f], r->positives[f]);
    if (r->defined)
        print_row("mean", r->mean, 0);
}

int cts_run_eval_findings(int argc, char **argv)
{
    options o = {.k = 10};
    cts_common common;
    cts_session s = {0};
    cts_findings_result r;
    int rc = cts_cli_parse(
        argc, argv, argp_options, parse, NULL,
        "How good is report search? Of the k reports that \"<Finding> is present\" finds, the share labelled with "
        "the finding, for each of the 18: by the model's vectors; by BM25 (k1 1.2, b 0.75, no stop words) over the "
        "same texts with the same sentence, and with the finding's words alone; by chance, which is the share of "
        "positives; and the most there is. Equal scores go to the lower id."
        "\vExamples:\n  ctsearch eval findings --index reports.index\n"
        "  ctsearch eval findings --index reports.index --labels train_labels.csv -k 10 --json",
        &o, &common);

    if (!rc && !(rc = cts_session_open_index(&s, o.index, false, o.model, true, &common)) &&
        !(rc = cts_eval_findings(&r, &s, o.labels, (size_t)o.k))) {
        if (common.json)
            rc = cts_print_json(cts_findings_result_json(&r));
        else
            print_result(&r);
    }
    cts_session_close(&s);
    return rc;
}
