/* `ctsearch eval`: recall of the pairs, classification, retrieval of like by like; by the protocols of the field.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kernels/base/file.h"
#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "query/cli.h"
#include "query/cmd_eval_findings.h"
#include "query/cmd_eval_pointing.h"
#include "query/eval/npy.h"
#include "query/eval/options.h"
#include "query/eval/result.h"
#include "query/present.h"

/* Everything one run holds. */
typedef struct {
    cts_eval_options o;
    cts_session session, val_session;
    cts_eval_set set, val;
    cts_zeroshot z;
    cts_model_set models;   /* of scans that are scored */
    cts_scorer *by_prompts; /* the session's model by the prompts of z, where its thresholds count */
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

/* The scorer behind the scores of a model by prompts, when there is one and somebody wants to know. */
static int prompt_scorer(job *j)
{
    cts_engine *e = j->session.engine;
    char own[CTS_DIGEST_HEX] = "";
    cts_scorer_options o = {.prompts = j->o.in.bank, .scale = j->o.in.scale, .thresholds = j->o.in.thresholds};
    int rc;

    if (j->models.scorer || !e || j->o.in.prompts || cts_eval_verb_task(j->o.verb) != CTS_TASK_CLASSIFY)
        return CTS_OK;
    if ((rc = cts_thresholds_digest(own, cts_engine_path(e))) ||
        (!*own && !j->o.in.thresholds && !j->o.save_thresholds))
        return rc;
    if (!o.prompts) /* not by a classifier that it may have as well */
        o.prompts = *cts_engine_clip(e)->config.prompts ? cts_engine_clip(e)->config.prompts : "ctclip";
    return cts_scorer_create(&j->by_prompts, &e, 1, &o);
}

static const cts_scorer *scorer_of(const job *j)
{
    return j->models.scorer ? j->models.scorer : j->by_prompts;
}

/* Thresholds fitted before, where the labels are the ones they were fitted for. */
static const cts_thresholds *stored_of(const job *j)
{
    return scorer_of(j) && !j->o.has_val && !j->o.in.map ? cts_scorer_thresholds(scorer_of(j)) : NULL;
}

static int check_labels(const job *j)
{
    bool same = j->val.n_labels == j->set.n_labels;

    for (size_t i = 0; same && i < j->set.n_labels; i++)
        same = !strcasecmp(j->val.label_name[i], j->set.label_name[i]);
    return same ? CTS_OK
                : cts_fail(CTS_E_MISMATCH,
                           "validation data: got %zu labels (%s, ...), allowed: those of the data, %zu "
                           "(%s, ...)",
                           j->val.n_labels, j->val.label_name[0], j->set.n_labels, j->set.label_name[0]);
}

static int load_validation(job *j, const cts_eval_needs *needs)
{
    size_t dropped;
    int rc;

    if ((rc = cts_eval_input_open(&j->val, &j->o.val, needs, &j->val_session, &j->z, &j->models, &j->o.common)) ||
        (rc = cts_eval_set_drop_unlabelled(&j->val, &dropped)))
        return cts_fail_in(rc, "validation data");
    if (!j->val.n)
        return cts_fail(CTS_E_INPUT, "validation data: got no labelled volume, allowed: at least one");
    rc = check_labels(j);
    for (size_t i = 0; !rc && i < j->val.n_sources; i++) {
        char *what = cts_asprintf("validation %s", j->val.source[i].what);

        rc = what ? cts_eval_set_add_digest(&j->set, what, j->val.source[i].path, j->val.source[i].sha256)
                  : cts_fail(CTS_E_NOMEM, "out of memory");
        free(what);
    }
    cts_str_append(&j->set.remarks, cts_str_text(&j->val.remarks));
    return rc;
}

static int load(job *j)
{
    cts_eval_needs needs = cts_eval_verb_needs(j->o.verb);
    int rc = cts_eval_input_open(&j->set, &j->o.in, &needs, &j->session, &j->z, &j->models, &j->o.common);

    if (!rc && needs.labels && !(rc = cts_eval_set_drop_unlabelled(&j->set, &j->r.unlabelled))) {
        j->r.unlabelled += j->set.unlabelled;
        if (!j->set.n)
            rc = cts_fail(CTS_E_INPUT, "labels: got no labelled volume among %zu, allowed: at least one",
                          j->r.unlabelled);
    }
    if (!rc)
        rc = prompt_scorer(j);
    if (rc || j->o.has_val)
        return rc ? rc : load_validation(j, &needs);
    if (!(j->o.protocol->figures & CTS_FIGURE_BIN) || stored_of(j))
        return CTS_OK;
    if (j->o.protocol->figures == CTS_FIGURE_BIN)
        return cts_fail(CTS_E_USAGE,
                        "eval %s: protocol %s takes its thresholds from validation data, allowed: --val-scores, "
                        "--val-images, --val-volumes, --val-index or a model with thresholds.json",
                        cts_eval_verb_name(j->o.verb), j->o.protocol->name);
    cts_str_append(&j->set.remarks, "f1_bin@val: left out, its thresholds come from validation data (--val-scores, "
                                    "--val-images, --val-volumes or --val-index) or a model's thresholds.json\n");
    return CTS_OK;
}

/* ---- what is kept ---- */

/* "DIR", or "DIR/model" of a run folder. */
static char *model_folder(const char *dir)
{
    char *config = cts_path_join(dir, "config.json"), *inner = cts_path_join(dir, "model");
    char *inner_config = inner ? cts_path_join(inner, "config.json") : NULL, *found = NULL;

    if (config && inner_config)
        found = cts_strdup(!cts_file_exists(config) && cts_file_exists(inner_config) ? inner : dir);
    free(config);
    free(inner);
    free(inner_config);
    return found;
}

static int save_thresholds(job *j)
{
    const cts_eval_set *on = j->o.has_val ? &j->val : &j->set;
    int64_t *patient = malloc((on->n + 1) * sizeof *patient);
    char *dir = model_folder(j->o.save_thresholds);
    cts_thresholds t = {.n = 0};
    int rc = patient && dir ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for thresholds");

    if (!rc && !on->logit)
        rc = cts_fail(CTS_E_USAGE, "--save-thresholds: got probabilities, allowed: logits (--logits), or a model");
    if (!rc && !(rc = cts_eval_set_patients(on, patient)) &&
        !(rc = cts_thresholds_fit(&t, on->label_name, on->n_labels, on->logit, on->labels, on->n, patient,
                                  j->o.common.seed, j->session.runtime.pool))) {
        if (scorer_of(j))
            snprintf(t.made_for, sizeof t.made_for, "%s", cts_scorer_digest(scorer_of(j)));
        if (!(rc = cts_mkdir_p(dir)) && !(rc = cts_thresholds_save(&t, dir)))
            cts_str_printf(&j->set.remarks, "%s/%s: thresholds and calibration fitted on %zu %svolumes%s\n", dir,
                           CTS_THRESHOLDS_FILE, on->n, j->o.has_val ? "validation " : "",
                           j->o.has_val ? "" : ", those evaluated here: figures at these thresholds want others");
    }
    cts_thresholds_clear(&t);
    free(patient);
    free(dir);
    return rc;
}

static int save(job *j)
{
    int rc = j->o.save_scores ? cts_eval_npy_save_scores(&j->set, j->o.save_scores) : CTS_OK;

    return !rc && j->o.save_thresholds ? save_thresholds(j) : rc;
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
                          .stored = stored_of(j),
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

/* What sessions have said on standard error already belongs to the result too. */
static void add_warnings(job *j)
{
    json_t *list = cts_session_warnings(&j->session), *w;
    size_t i;

    cts_model_set_warnings(&j->models, list);
    json_array_foreach(list, i, w)
    {
        cts_str_printf(&j->r.warnings, "%s\n", json_string_value(w));
    }
    json_decref(list);
}

static int show(job *j)
{
    int rc = CTS_OK;

    say_lines(CTS_LOG_INFO, &j->set.remarks);
    say_lines(CTS_LOG_WARN, &j->r.warnings);
    add_warnings(j);
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

    if (!rc && !(rc = load(&j)) && !(rc = save(&j)) && !(rc = measure(&j)) && !(rc = show(&j)) && j.set.skipped)
        rc = cts_fail(CTS_E_PARTIAL, "%zu of %zu volumes could not take part", j.set.skipped,
                      j.r.n + j.r.unlabelled + j.set.skipped);
    cts_eval_result_free(&j.r);
    cts_eval_set_free(&j.set);
    cts_eval_set_free(&j.val);
    cts_zeroshot_clear(&j.z);
    cts_scorer_destroy(j.by_prompts);
    cts_model_set_close(&j.models);
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
        "The same figures for a supervised model, for several models together, or for the probabilities of any "
        "classifier."
        "\vExamples:\n  ctsearch eval classify --model runs/scroll --labels valid_labels.csv --volumes ct/\n"
        "  ctsearch eval classify --model runs/scroll --model runs/nano --labels val.csv --volumes ct/ "
        "--save-thresholds both\n"
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
        {"classify", "the findings by supervised models, or anybody's probabilities", run_classify},
        {"map", "do scans find scans with the same findings?", run_map},
        {"findings", "do sentences find the reports of a finding?", cts_run_eval_findings},
        {"pointing", "do heat maps point at the findings of phantoms?", cts_run_eval_pointing},
        {"protocols", "what the published evaluations do", run_protocols}};

    return cts_run_verb(argv[0], verbs, (int)(sizeof verbs / sizeof verbs[0]), argc, argv);
}

const cts_command cts_cmd_eval = {"eval", "recall, classification and retrieval, measured", run};
