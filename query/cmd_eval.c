/* `ctsearch eval`: recall of the pairs, classification, retrieval of like by like; by the protocols of the field.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "query/cli.h"
#include "query/cmd_eval_findings.h"
#include "query/cmd_eval_pointing.h"
#include "query/eval/options.h"
#include "query/eval/result.h"
#include "query/present.h"

/* Everything one run holds. */
typedef struct {
    cts_eval_options o;
    cts_session session, val_session;
    cts_eval_set set, val;
    cts_zeroshot z;
    cts_eval_result r;
} job;

static void say_lines(cts_log_level level, const cts_str *s)
{
    for (const char *p = cts_str_text(s); *p;) {
        int n = (int)strcspn(p, "\n");

        cts_log(level, "%.*s", n, p);
        p += n + (p[n] == '\n');
    }
}

static int load(job *j)
{
    cts_eval_needs needs = cts_eval_verb_needs(j->o.verb);
    int rc = cts_eval_input_open(&j->set, &j->o.in, &needs, &j->session, &j->z, &j->o.common);
    size_t dropped;

    if (!rc && needs.labels && !(rc = cts_eval_set_drop_unlabelled(&j->set, &j->r.unlabelled)) && !j->set.n)
        rc = cts_fail(CTS_E_INPUT, "labels: got no labelled volume among %zu, allowed: at least one", j->r.unlabelled);
    if (!rc && !j->o.has_val && j->o.protocol->figures & CTS_FIGURE_BIN)
        cts_str_append(&j->set.remarks, "f1_bin@val: left out, its thresholds come from validation data (--val-scores, "
                                        "--val-images or --val-index)\n");
    if (rc || !j->o.has_val)
        return rc;
    if ((rc = cts_eval_input_open(&j->val, &j->o.val, &needs, &j->val_session, &j->z, &j->o.common)) ||
        (rc = cts_eval_set_drop_unlabelled(&j->val, &dropped)))
        return cts_fail_in(rc, "validation data");
    if (!j->val.n)
        rc = cts_fail(CTS_E_INPUT, "validation data: got no labelled volume, allowed: at least one");
    for (size_t i = 0; !rc && i < j->val.n_sources; i++) {
        char *what = cts_asprintf("validation %s", j->val.source[i].what);

        rc = what ? cts_eval_set_add_digest(&j->set, what, j->val.source[i].path, j->val.source[i].sha256)
                  : cts_fail(CTS_E_NOMEM, "out of memory");
        free(what);
    }
    cts_str_append(&j->set.remarks, cts_str_text(&j->val.remarks));
    return rc;
}

static int check_ks(const job *j)
{
    for (size_t i = 0; j->o.own_ks && j->o.ks[i]; i++)
        if ((size_t)j->o.ks[i] > j->set.n)
            return cts_fail(CTS_E_INPUT, "-k: got %lld, allowed: at most the %zu volumes of pool %s",
                            (long long)j->o.ks[i], j->set.n, j->o.in.pool->name);
    return CTS_OK;
}

static int measure(job *j)
{
    cts_eval_plan plan = {.protocol = j->o.protocol,
                          .pool = j->o.in.pool,
                          .resamples = j->o.resamples,
                          .seed = j->o.common.seed,
                          .val = j->o.has_val ? &j->val : NULL,
                          .threads = j->session.runtime.pool};
    double started = cts_now();
    int rc = check_ks(j);

    if (rc)
        return rc;
    memcpy(plan.ks, j->o.ks, sizeof plan.ks);
    j->r.verb = cts_eval_verb_name(j->o.verb);
    j->r.protocol = plan.protocol;
    j->r.pool = plan.pool;
    switch (plan.protocol->task) {
    case CTS_TASK_RECALL:
        rc = cts_eval_recall(&j->r, &j->set, &plan);
        break;
    case CTS_TASK_CLASSIFY:
        rc = cts_eval_classify(&j->r, &j->set, &plan);
        break;
    case CTS_TASK_MAP:
        rc = cts_eval_map(&j->r, &j->set, &plan);
        break;
    }
    j->r.seconds = cts_now() - started;
    return rc;
}

static int show(job *j)
{
    int rc = CTS_OK;

    say_lines(CTS_LOG_INFO, &j->set.remarks);
    say_lines(CTS_LOG_WARN, &j->r.warnings);
    if (j->o.csv)
        rc = cts_eval_result_csv(&j->r, j->o.csv);
    if (!rc && j->o.html)
        rc = cts_eval_result_html(&j->r, j->o.html);
    if (!rc && j->o.common.json)
        return cts_print_json(cts_eval_result_json(&j->r));
    if (!rc)
        cts_eval_result_print(&j->r);
    return rc;
}

static int run_verb(cts_eval_verb verb, int argc, char **argv, const char *doc)
{
    job j = {.o = {.verb = verb}};
    int rc = cts_eval_options_parse(&j.o, argc, argv, doc);

    if (!rc && !(rc = load(&j)) && !(rc = measure(&j)) && !(rc = show(&j)) && j.set.skipped)
        rc = cts_fail(CTS_E_PARTIAL, "%zu of %zu volumes could not take part", j.set.skipped,
                      j.r.n + j.r.unlabelled + j.set.skipped);
    cts_eval_result_free(&j.r);
    cts_eval_set_free(&j.set);
    cts_eval_set_free(&j.val);
    cts_zeroshot_clear(&j.z);
    cts_session_close(&j.session);
    cts_session_close(&j.val_session);
    return rc;
}

static int run_recall(int argc, char **argv)
{
    return run_verb(CTS_EVAL_RECALL, argc, argv,
                    "Does a report find its own scan among all (t2i), and a scan its report (i2t)? Recall at k; equal "
                    "scores go to the lower row. Beside it what random and all-knowing models get."
                    "\vExamples:\n  ctsearch eval recall --index lungs.index --pool scan-1564\n"
                    "  ctsearch eval recall --images i.npy --texts t.npy --names valid.csv --html recall.html\n"
                    "  ctsearch eval recall --model runs/nano --reports valid.csv --volumes ct/ --json");
}

static int run_zeroshot(int argc, char **argv)
{
    return run_verb(CTS_EVAL_ZEROSHOT, argc, argv,
                    "Zero-shot classification by a sentence that affirms and one that denies each finding: AUROC, and "
                    "the three quantities that papers call F1, each under its own name."
                    "\vExamples:\n  ctsearch eval zeroshot --index lungs.index --html zeroshot.html\n"
                    "  ctsearch eval zeroshot --images i.npy --prompts-npy p.npy --labels valid_labels.csv\n"
                    "  ctsearch eval zeroshot --model runs/nano --labels valid_labels.csv --volumes ct/ --json");
}

static int run_classify(int argc, char **argv)
{
    return run_verb(
        CTS_EVAL_CLASSIFY, argc, argv,
        "The same figures for the probabilities of any classifier."
        "\vExamples:\n  ctsearch eval classify --scores p.npy --labels valid_labels.csv\n"
        "  ctsearch eval classify --scores p.npy --labels test.csv --val-scores v.npy --val-labels val.csv\n"
        "  ctsearch eval classify --scores p.npy --labels radchest.csv --protocol radchest/ct-clip-16");
}

static int run_map(int argc, char **argv)
{
    return run_verb(
        CTS_EVAL_MAP, argc, argv,
        "Scans found by scans, relevant by their findings: the three quantities that papers call MAP@k, each "
        "under its own name."
        "\vExamples:\n  ctsearch eval map --index lungs.index\n"
        "  ctsearch eval map --images i.npy --labels valid_labels.csv --protocol map/ct-clip");
}

static void print_rule(void *ctx, const char *key, const char *text)
{
    (void)ctx;
    cts_print_rule(key, text);
}

static int run_protocols(int argc, char **argv)
{
    cts_common common;
    int rc = cts_cli_parse(argc, argv, NULL, NULL, NULL,
                           "The published evaluations that --protocol names, with their pools and rules."
                           "\vExample:\n  ctsearch eval protocols",
                           NULL, &common);

    if (rc)
        return rc;
    if (common.json)
        return cts_print_json(json_pack("{s:o}", "protocols", cts_eval_protocols_json()));
    for (size_t i = 0; i < cts_eval_protocols_n; i++) {
        const cts_eval_protocol *p = &cts_eval_protocols[i];

        printf("%s%s: %s\n", i ? "\n" : "", p->name, p->about);
        cts_print_rule("pool", p->pool);
        cts_eval_figure_rules(p->figures, print_rule, NULL);
    }
    printf("\npools (the number is that of CT-RATE's validation part)\n");
    for (size_t i = 0; i < cts_eval_pools_n; i++)
        cts_print_rule(cts_eval_pools[i].name, cts_eval_pools[i].about);
    return CTS_OK;
}

static int run(int argc, char **argv)
{
    static const cts_command verbs[] = {
        {"recall", "do reports and scans find each other?", run_recall},
        {"zeroshot", "the 18 findings by prompts alone", run_zeroshot},
        {"classify", "the 18 findings by anybody's probabilities", run_classify},
        {"map", "do scans find scans with the same findings?", run_map},
        {"findings", "do sentences find the reports of a finding?", cts_run_eval_findings},
        {"pointing", "do heat maps point at the findings of phantoms?", cts_run_eval_pointing},
        {"protocols", "what the published evaluations do", run_protocols}};

    return cts_run_verb(argv[0], verbs, (int)(sizeof verbs / sizeof verbs[0]), argc, argv);
}

const cts_command cts_cmd_eval = {"eval", "recall, classification and retrieval, measured", run};
