/* An evaluation for a terminal. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "query/eval/result.h"
#include "query/present.h"

static void put_value(double v, int width)
{
    if (isnan(v))
        printf(" %*s", width, "-");
    else
        printf(" %*.4f", width, v);
}

static void put_interval(const cts_eval_result *r, const cts_eval_value *v)
{
    if (!r->resamples)
        return;
    if (!v || isnan(v->low))
        printf("  %-15s", "");
    else
        printf("  %.4f..%.4f ", v->low, v->high);
}

static const char *interval_title(const cts_eval_result *r)
{
    return r->resamples ? "  95 % interval  " : "";
}

static void put_rule(void *ctx, const char *key, const char *text)
{
    (void)ctx;
    cts_print_rule(key, text);
}

/* ---- recall ---- */

static void recall_table(const cts_eval_result *r, const char *t2i, const char *i2t, const char *title)
{
    size_t n = strlen(t2i);
    char other[CTS_EVAL_METRIC_MAX];

    printf("\n%-10s %7s%s %8s%s %8s %8s\n", title, "t2i", interval_title(r), "i2t", interval_title(r), "random",
           "oracle");
    for (size_t i = 0; i < r->n_values; i++) {
        const cts_eval_value *a = &r->value[i], *b;

        if (strncmp(a->metric, t2i, n) || a->metric[n] != '@')
            continue;
        snprintf(other, sizeof other, "%s%s", i2t, a->metric + n);
        b = cts_eval_result_find(r, other, -1);
        printf("R%-9s", a->metric + n);
        put_value(a->value, 7);
        put_interval(r, a);
        put_value(b ? b->value : NAN, 8);
        put_interval(r, b);
        put_value(a->random, 8);
        put_value(a->oracle, 8);
        putchar('\n');
    }
}

static void print_recall(const cts_eval_result *r)
{
    bool scans = false;

    recall_table(r, "t2i_r", "i2t_r", "partner");
    if (r->figures & CTS_FIGURE_PAIR) {
        int wide = r->resamples ? 17 : 0;

        printf("%-10s %7.1f%*s %8.1f%*s %8.1f\n", "median", r->median_rank[0], wide, "", r->median_rank[1], wide, "",
               ((double)r->n + 1.0) / 2.0);
    }
    for (size_t i = 0; i < r->n_values; i++)
        scans = scans || !strncmp(r->value[i].metric, "t2i_scan_r@", 11);
    if (scans)
        recall_table(r, "t2i_scan_r", "i2t_scan_r", "same scan");
}

/* ---- classification ---- */

static void label_columns(const cts_eval_result *r, const char *const *each, size_t n, int label)
{
    for (size_t i = 0; i < n; i++) {
        const cts_eval_value *v = cts_eval_result_find(r, each[i], label);

        put_value(v ? v->value : NAN, 12);
    }
}

static void print_labels(const cts_eval_result *r)
{
    static const char *const all[] = {"f1@0.5", "f1_w2@roc", "f1_bin@val", "f1_w2@youden"};
    const char *each[4];
    size_t n = 0;

    for (size_t i = 0; i < 4; i++)
        if (cts_eval_result_find(r, all[i], 0))
            each[n++] = all[i];
    printf("\n%-36s %9s %7s%s  %-12s", "finding", "positives", "AUROC", interval_title(r), "0.5 = chance");
    for (size_t i = 0; i < n; i++)
        printf(" %12s", each[i]);
    putchar('\n');
    for (size_t l = 0; l < r->set->n_labels; l++) {
        const cts_eval_value *v = cts_eval_result_find(r, "auroc", (int)l);

        printf("%-36s %9zu", r->set->label_name[l], r->positives[l]);
        put_value(v->value, 7);
        put_interval(r, v);
        printf("  ");
        if (isnan(v->value))
            printf("%-12s", "one class");
        else
            cts_print_bar(stdout, v->value, 12);
        label_columns(r, each, n, (int)l);
        putchar('\n');
    }
}

/* Accuracy, precision and recall of each label, at the thresholds of validation or else at the best the data has. */
static void print_counts(const cts_eval_result *r)
{
    static const char *const family[][4] = {{"threshold@val", "accuracy@val", "precision@val", "recall@val"},
                                            {"threshold@roc", "accuracy@roc", "precision@roc", "recall@roc"}};
    size_t f = cts_eval_result_find(r, family[0][1], 0) ? 0 : 1;

    if (!cts_eval_result_find(r, family[f][1], 0))
        return;
    printf("\n%-36s", "finding");
    for (size_t i = 0; i < 4; i++)
        printf(" %13s", family[f][i]);
    putchar('\n');
    for (size_t l = 0; l < r->set->n_labels; l++) {
        printf("%-36s", r->set->label_name[l]);
        put_value(r->threshold[f ? 0 : 1][l], 13);
        for (size_t i = 1; i < 4; i++)
            put_value(cts_eval_result_find(r, family[f][i], (int)l)->value, 13);
        putchar('\n');
    }
}

static void figure_table(const cts_eval_result *r)
{
    printf("\n%-36s %9s %7s%s %8s %8s\n", "figure", "n", "value", interval_title(r), "random", "oracle");
    for (size_t i = 0; i < r->n_values; i++) {
        const cts_eval_value *v = &r->value[i];

        if (v->label >= 0)
            continue;
        printf("%-36s %9zu", strcmp(v->metric, "auroc") ? v->metric : "auroc (macro)", v->n);
        put_value(v->value, 7);
        put_interval(r, v);
        put_value(v->random, 8);
        put_value(v->oracle, 8);
        putchar('\n');
    }
}

void cts_eval_result_print(const cts_eval_result *r)
{
    const char *what = r->protocol->task == CTS_TASK_RECALL ? "pairs" : "labelled volumes";

    printf("%s%s%s: %zu %s, pool %s", r->verb, *r->protocol->name ? ", protocol " : "", r->protocol->name, r->n, what,
           r->pool->name);
    if (r->protocol->task != CTS_TASK_RECALL && strcmp(r->set->label_set, "ct-rate-18"))
        printf(", labels %s", r->set->label_set);
    if (r->n_val)
        printf(", thresholds from %zu validation volumes", r->n_val);
    printf(", %.1f s\n", r->seconds);
    if (r->protocol->task == CTS_TASK_RECALL)
        print_recall(r);
    else
        figure_table(r);
    if (r->protocol->task == CTS_TASK_CLASSIFY)
        print_labels(r);
    if (r->protocol->task == CTS_TASK_CLASSIFY)
        print_counts(r);
    printf("\nrules\n");
    cts_eval_figure_rules(r->figures, put_rule, NULL);
    if (r->resamples)
        printf("  %-20s %zu resamples of %zu patients, seed %llu\n", "intervals", r->resamples, r->patients,
               (unsigned long long)r->seed);
    printf("inputs\n");
    for (size_t i = 0; i < r->set->n_sources; i++)
        printf("  %-20s %.12s  %s\n", r->set->source[i].what, r->set->source[i].sha256, r->set->source[i].path);
}
