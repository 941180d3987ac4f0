/* `ctsearch eval`: recall of the pairs, and zero-shot classification. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "query/cli.h"
#include "query/dataset_options.h"
#include "query/evaluate.h"
#include "query/pool.h"
#include "query/present.h"
#include "query/session.h"

typedef struct {
    const char *index, *model;
    cts_eval_pool pool;
    cts_dataset_paths data;
} options;

static const struct argp_option argp_options[] = {
    {"index", 'i', "INDEX", 0, "Evaluate what an index holds", 0},
    {"model", 'm', "DIR", 0, "Model folder or run folder, with data; beside --index: must be the index's own", 0},
    {"pool", 'p', "NAME", 0, "all volumes, or scan-first: the first reconstruction of each scan (default all)", 0},
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
    case 'p':
        if (cts_eval_pool_find(&o->pool, arg))
            argp_error(state, "--%s", cts_error());
        return 0;
    case ARGP_KEY_END:
        if (!o->index == !cts_dataset_given(&o->data))
            argp_error(state, "one of --index or data with --model is needed");
        if (!o->index && (!o->model || !o->data.volumes))
            argp_error(state, "--model and --volumes are needed without --index");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Open what the options name and get the vectors. A model is opened when it is named or when prompts are needed. */
static int gather(cts_session *s, const options *o, const cts_common *c, bool texts, bool prompts, cts_embeddings *x,
                  size_t *skipped)
{
    cts_dataset *d = NULL;
    int rc;

    if (o->index) {
        if ((rc = cts_session_open_index(s, o->index, false, o->model, prompts, c)))
            return rc;
        return cts_embeddings_from_index(x, s->index, o->pool, texts, skipped);
    }
    if (!(rc = cts_dataset_open(&d, &o->data)) && !(rc = cts_session_open_model(s, o->model, c)))
        rc = cts_embeddings_from_dataset(x, s, d, o->pool, texts, skipped);
    cts_dataset_destroy(d);
    return rc;
}

static int partial(size_t skipped, size_t n)
{
    return skipped ? cts_fail(CTS_E_PARTIAL, "%zu of %zu volumes could not take part", skipped, n + skipped) : CTS_OK;
}

static void print_recall(const cts_recall_result *r, const options *o)
{
    printf("%zu pairs, pool %s\n\n", r->n, cts_eval_pool_name(o->pool));
    printf("%-8s %14s %14s %10s\n", "", "text to image", "image to text", "chance");
    for (int k = 0; k < CTS_RECALL_KS; k++)
        printf("R@%-6lld %14.4f %14.4f %10.4f\n", (long long)cts_recall_k[k], r->t2i[k], r->i2t[k], r->chance[k]);
    printf("%-8s %14.1f %14.1f %10.1f\n", "median", r->median_rank_t2i, r->median_rank_i2t, ((double)r->n + 1.0) / 2.0);
}

static int run_recall(int argc, char **argv)
{
    options o = {0};
    cts_common common;
    cts_session s = {0};
    cts_embeddings x = {0};
    cts_recall_result r;
    size_t skipped = 0;
    int rc = cts_cli_parse_with(
        argc, argv, argp_options, parse, NULL,
        "Does a report find its own scan among all, and a scan its report? Recall at k with the rank rule of "
        "the published evaluations: equal scores go to the lower index. Chance is printed beside."
        "\vExamples:\n  ctsearch eval recall --index lungs.index --pool scan-first\n"
        "  ctsearch eval recall --model runs/nano --reports valid.csv --volumes ct/ --json",
        &o, &common, &cts_dataset_argp, &o.data);

    if (!rc && !o.index && !o.data.reports)
        rc = cts_fail(CTS_E_USAGE, "%s: --reports is needed", argv[0]);
    if (!rc && !(rc = gather(&s, &o, &common, true, false, &x, &skipped)) &&
        !(rc = cts_evaluate_recall(&r, &x, s.runtime.pool))) {
        if (common.json) {
            json_t *j = cts_recall_result_json(&r, cts_eval_pool_name(o.pool));

            json_object_set_new(j, "skipped", json_integer((json_int_t)skipped));
            rc = cts_print_json(j);
        } else {
            print_recall(&r, &o);
        }
    }
    if (!rc)
        rc = partial(skipped, x.n);
    cts_embeddings_free(&x);
    cts_session_close(&s);
    return rc;
}

static void print_zeroshot(const cts_zeroshot_result *r, const options *o)
{
    printf("%zu labelled volumes, pool %s\n\n%-36s %7s  %-18s %9s\n", r->n, cts_eval_pool_name(o->pool), "finding",
           "AUROC", "0.5 is chance", "positives");
    for (int f = 0; f < CTS_FINDINGS; f++) {
        if (isnan(r->auroc[f]))
            printf("%-36s %7s  %-18s %9zu\n", cts_findings[f].name, "-", "one class only", r->positives[f]);
        else {
            printf("%-36s %7.4f  ", cts_findings[f].name, r->auroc[f]);
            cts_print_bar(stdout, r->auroc[f], 18);
            printf(" %9zu\n", r->positives[f]);
        }
    }
    if (r->defined)
        printf("%-36s %7.4f  mean of %d\n", "macro", r->macro, r->defined);
}

static int run_zeroshot(int argc, char **argv)
{
    options o = {0};
    cts_common common;
    cts_session s = {0};
    cts_embeddings x = {0};
    cts_zeroshot z = {0};
    cts_zeroshot_result r;
    size_t skipped = 0;
    int rc = cts_cli_parse_with(
        argc, argv, argp_options, parse, NULL,
        "Zero-shot classification of the 18 findings: AUROC of each against the labels, ties count half, and "
        "their mean over the findings that have both classes."
        "\vExamples:\n  ctsearch eval zeroshot --index lungs.index\n"
        "  ctsearch eval zeroshot --model runs/nano --labels valid_labels.csv --volumes ct/ --json",
        &o, &common, &cts_dataset_argp, &o.data);

    if (!rc && !o.index && !o.data.labels)
        rc = cts_fail(CTS_E_USAGE, "%s: --labels is needed", argv[0]);
    if (!rc && !(rc = gather(&s, &o, &common, false, true, &x, &skipped)) && !(rc = cts_zeroshot_init(&z, s.engine)) &&
        !(rc = cts_evaluate_zeroshot(&r, &z, &x)) && !r.n)
        rc = cts_fail(CTS_E_INPUT, "zero-shot: got no volume with labels among %zu, allowed: at least one", x.n);
    for (int f = 0; !rc && f < CTS_FINDINGS; f++)
        if (r.auroc[f] < 0.5)
            cts_log(CTS_LOG_WARN, "%s: AUROC %.4f is worse than chance; a prompt or a label may be turned round",
                    cts_findings[f].name, r.auroc[f]);
    if (!rc && common.json) {
        json_t *j = cts_zeroshot_result_json(&r);

        json_object_set_new(j, "pool", json_string(cts_eval_pool_name(o.pool)));
        json_object_set_new(j, "skipped", json_integer((json_int_t)skipped));
        rc = cts_print_json(j);
    } else if (!rc) {
        print_zeroshot(&r, &o);
    }
    if (!rc)
        rc = partial(skipped, x.n);
    cts_zeroshot_clear(&z);
    cts_embeddings_free(&x);
    cts_session_close(&s);
    return rc;
}

static int run(int argc, char **argv)
{
    static const cts_command verbs[] = {{"recall", "do reports and scans find each other?", run_recall},
                                        {"zeroshot", "AUROC of the 18 findings by prompts alone", run_zeroshot}};

    return cts_run_verb(argv[0], verbs, (int)(sizeof verbs / sizeof verbs[0]), argc, argv);
}

const cts_command cts_cmd_eval = {"eval", "recall and zero-shot classification", run};
