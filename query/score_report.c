/* SPDX-License-Identifier: MIT */
#include "query/score_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/present.h"

#define BAR_CELLS 16

const char *cts_verdict_name(cts_verdict v)
{
    return v == CTS_VERDICT_PRESENT ? "present" : v == CTS_VERDICT_ABSENT ? "absent" : "-";
}

cts_verdict cts_verdict_of(const cts_label_threshold *t, double probability)
{
    if (!t || !isfinite(t->threshold) || t->f1 <= 0.0)
        return CTS_VERDICT_NONE;
    return probability >= t->threshold ? CTS_VERDICT_PRESENT : CTS_VERDICT_ABSENT;
}

typedef struct {
    size_t label;
    double probability;
} scored;

static int by_probability(const void *a, const void *b)
{
    const scored *x = a, *y = b;

    return x->probability != y->probability ? (x->probability < y->probability) - (x->probability > y->probability)
                                            : (x->label > y->label) - (x->label < y->label);
}

static void print_number(int width, double v)
{
    if (isfinite(v))
        printf("  %*.3f", width, v);
    else
        printf("  %*s", width, "-");
}

static void print_row(const cts_scorer *s, const cts_scorer_result *r, const scored *x)
{
    const cts_label_threshold *t = cts_scorer_threshold(s, x->label);
    cts_verdict v = cts_verdict_of(t, x->probability);

    printf("  %-36s %5.3f  ", cts_scorer_labels(s)[x->label], x->probability);
    cts_print_bar(stdout, x->probability, BAR_CELLS);
    print_number(9, v ? t->threshold : NAN);
    printf("  %-*s", t ? 7 : 1, cts_verdict_name(v));
    if (t) {
        print_number(5, t->auroc);
        if (isfinite(t->auroc_low))
            printf(" %5.3f to %5.3f", t->auroc_low, t->auroc_high);
        else
            printf(" %14s", "");
        print_number(9, v ? t->precision : NAN);
        print_number(6, v ? t->recall : NAN);
    }
    if (r->spread && r->spread[x->label].pairs > 1)
        printf("  %5.3f to %5.3f by %d phrasings", (double)r->spread[x->label].min, (double)r->spread[x->label].max,
               r->spread[x->label].pairs);
    putchar('\n');
}

void cts_score_print(const cts_scorer *s, const cts_scorer_result *r, const char *volume, const size_t *which, size_t n)
{
    const cts_thresholds *t = cts_scorer_thresholds(s);
    scored *x = malloc((n + 1) * sizeof *x);

    printf("%s\n", volume);
    printf("  %-36s %5s  %*s  %9s  verdict", "", "prob.", -BAR_CELLS, "", "threshold");
    if (t)
        printf("  %-20s  %9s  %6s", "AUROC, 95 %", "precision", "recall");
    putchar('\n');
    for (size_t i = 0; x && i < n; i++)
        x[i] = (scored){which[i], cts_probability((double)r->logit[which[i]])};
    if (x)
        qsort(x, n, sizeof *x, by_probability);
    for (size_t i = 0; x && i < n; i++)
        print_row(s, r, &x[i]);
    if (t)
        printf("  thresholds by %s, AUROC, precision and recall on %zu validation volumes of %zu patients\n", t->rule,
               t->n, t->patients);
    free(x);
}

/* ---- JSON ---- */

static json_t *spread_json(const cts_prompt_spread *p)
{
    return json_pack("{s:i, s:f, s:f, s:f}", "phrasings", p->pairs, "mean", (double)p->mean, "min", (double)p->min,
                     "max", (double)p->max);
}

static json_t *finding_json(const cts_scorer *s, const cts_scorer_result *r, size_t i)
{
    const cts_label_threshold *t = cts_scorer_threshold(s, i);
    double z = (double)r->logit[i], p = cts_probability(z);
    cts_verdict v = cts_verdict_of(t, p);
    json_t *j = json_pack(
        "{s:s, s:f, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", cts_scorer_labels(s)[i], "probability",
        p, "logit", z, "calibrated", cts_number_json(t ? cts_probability(t->a * z + t->b) : NAN), "threshold",
        cts_number_json(v ? t->threshold : NAN), "verdict", v ? json_string(cts_verdict_name(v)) : json_null(), "auroc",
        cts_number_json(t ? t->auroc : NAN), "interval",
        t && isfinite(t->auroc_low) ? json_pack("[f, f]", t->auroc_low, t->auroc_high) : json_null(), "f1",
        cts_number_json(v ? t->f1 : NAN), "precision", cts_number_json(v ? t->precision : NAN), "recall",
        cts_number_json(v ? t->recall : NAN), "prevalence", cts_number_json(t ? t->prevalence : NAN));

    if (r->spread && r->spread[i].pairs > 1)
        json_object_set_new(j, "spread", spread_json(&r->spread[i]));
    if (cts_scorer_models(s) > 1) {
        json_t *list = json_array();

        for (size_t k = 0; k < cts_scorer_models(s); k++)
            json_array_append_new(list, json_real(cts_probability((double)r->member[k * cts_scorer_n(s) + i])));
        json_object_set_new(j, "by_model", list);
    }
    return j;
}

json_t *cts_score_json(const cts_scorer *s, const cts_scorer_result *r, const char *volume, const size_t *which,
                       size_t n)
{
    const cts_thresholds *t = cts_scorer_thresholds(s);
    const char *bank = cts_scorer_prompts(s);
    json_t *findings = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(findings, finding_json(s, r, which[i]));
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:o}", "volume", volume, "models", cts_scorer_models_json(s), "prompts",
        *bank ? json_string(bank) : json_null(), "validation",
        t ? json_pack("{s:s, s:I, s:I}", "rule", t->rule, "n", (json_int_t)t->n, "patients", (json_int_t)t->patients)
          : json_null(),
        "findings", findings);
}
