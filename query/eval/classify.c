/* Classification figures of every family, with what random scores and the labels themselves would get.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "query/eval/result.h"
#include "query/metrics/baseline.h"
#include "query/metrics/bootstrap.h"

#define M CTS_LABEL_MAP_MAX
#define OVERALL_MAX 5
#define EACH_MAX 4
#define FIGURES_MAX (OVERALL_MAX + EACH_MAX * M)

/* A family: how thresholds come about and what is made of the counts. overall and each end with NULL. */
typedef struct {
    unsigned figure;
    int threshold; /* place in cts_eval_result.threshold; -1 = fixed */
    const char *overall[OVERALL_MAX + 1], *each[EACH_MAX + 1];
} family;

enum { ROC = 0, VAL = 1, YOUDEN = 2 };

static const family families[] = {
    {CTS_FIGURE_WML,
     -1,
     {"f1_wml@0.5", "accuracy_cells@0.5", "precision_micro@0.5", "recall_micro@0.5"},
     {"f1@0.5", "precision@0.5", "recall@0.5"}},
    {CTS_FIGURE_W2,
     ROC,
     {"f1_w2@roc", "accuracy@roc", "precision@roc"},
     {"f1_w2@roc", "accuracy@roc", "precision@roc", "recall@roc"}},
    {CTS_FIGURE_BIN,
     VAL,
     {"f1_bin@val", "f1_bin_weighted@val", "accuracy@val", "precision@val", "recall@val"},
     {"f1_bin@val", "accuracy@val", "precision@val", "recall@val"}},
    {CTS_FIGURE_YOUDEN,
     YOUDEN,
     {"f1_w2@youden", "accuracy_balanced@youden", "precision@youden"},
     {"f1_w2@youden", "sensitivity@youden", "specificity@youden", "precision@youden"}},
};

/* Scores of one kind (the model's, random ones, the labels) and those of the validation data. */
typedef struct {
    const float *score, *val;
} scores;

typedef struct {
    cts_eval_result *r;
    const cts_eval_set *s;
    const cts_eval_plan *plan;
    const family *f;
    bool defined[M]; /* labels that take part in the family's means */
    uint8_t *prediction;
} job;

static double mean(const double *v, const bool *use, size_t m)
{
    double some[M];

    for (size_t i = 0; i < m; i++)
        some[i] = use[i] ? v[i] : NAN;
    return cts_mean_defined(some, m, NULL);
}

/* Mean of f over the labels that take part; a label without rows of a class in a resample falls out by being NaN. */
static double mean_of(double (*f)(cts_counts), const cts_counts *c, const job *j)
{
    double v[M];

    for (size_t i = 0; i < j->s->n_labels; i++)
        v[i] = f(c[i]);
    return mean(v, j->defined, j->s->n_labels);
}

static double balanced(cts_counts c)
{
    return (cts_sensitivity(c) + cts_specificity(c)) / 2.0;
}

static double weighted_by_positives(const cts_counts *c, size_t m)
{
    return cts_f1_multilabel_weighted(c, m);
}

/* All figures of the family from the counts of every label: the overall ones, then EACH of label 0, of label 1, ... A
 * cts_counts_fn. */
static void from_counts(void *ctx, const cts_counts *c, size_t m, double *out)
{
    const job *j = ctx;
    cts_counts all = cts_counts_sum(c, m);

    switch (j->f->figure) {
    case CTS_FIGURE_WML:
        *out++ = cts_f1_multilabel_weighted(c, m);
        *out++ = cts_accuracy(all);
        *out++ = cts_precision(all);
        *out++ = cts_recall(all);
        break;
    case CTS_FIGURE_W2:
        *out++ = mean_of(cts_f1_two_class, c, j);
        *out++ = mean_of(cts_accuracy, c, j);
        *out++ = mean_of(cts_precision, c, j);
        break;
    case CTS_FIGURE_BIN:
        *out++ = mean_of(cts_f1_binary, c, j);
        *out++ = weighted_by_positives(c, m);
        *out++ = mean_of(cts_accuracy, c, j);
        *out++ = mean_of(cts_precision, c, j);
        *out++ = mean_of(cts_recall, c, j);
        break;
    default:
        *out++ = mean_of(cts_f1_two_class, c, j);
        *out++ = mean_of(balanced, c, j);
        *out++ = mean_of(cts_precision, c, j);
        break;
    }
    for (size_t i = 0; i < m; i++) {
        bool two = j->f->figure == CTS_FIGURE_W2 || j->f->figure == CTS_FIGURE_YOUDEN;

        *out++ = !j->defined[i] ? NAN : two ? cts_f1_two_class(c[i]) : cts_f1_binary(c[i]);
        if (j->f->figure == CTS_FIGURE_W2 || j->f->figure == CTS_FIGURE_BIN)
            *out++ = j->defined[i] ? cts_accuracy(c[i]) : NAN;
        if (j->f->figure == CTS_FIGURE_YOUDEN) {
            *out++ = cts_sensitivity(c[i]);
            *out++ = cts_specificity(c[i]);
        }
        *out++ = j->defined[i] ? cts_precision(c[i]) : NAN;
        if (j->f->figure != CTS_FIGURE_YOUDEN)
            *out++ = j->defined[i] ? cts_recall(c[i]) : NAN;
    }
}

/* A column of a table. */
static void column(const float *table, const uint8_t *labels, size_t n, size_t m, size_t i, float *score,
                   uint8_t *label)
{
    for (size_t r = 0; r < n; r++) {
        score[r] = table[r * m + i];
        label[r] = labels[r * m + i];
    }
}

/* Those fitted before. They are of probabilities in double; the table's are rounded to float, and so is the threshold,
 * which keeps the volume that it was chosen at on its side. */
static int stored_thresholds(job *j, cts_threshold *t)
{
    for (size_t i = 0; i < j->s->n_labels; i++) {
        const cts_label_threshold *known = cts_thresholds_find(j->plan->stored, j->s->label_name[i]);

        if (!known)
            return cts_fail(CTS_E_MISMATCH, "thresholds: none for %s, allowed: one for every label",
                            j->s->label_name[i]);
        t[i] = (cts_threshold){(double)(float)known->threshold, true};
        j->defined[i] = isfinite(t[i].value);
    }
    return CTS_OK;
}

/* Threshold of every label by the family's rule. defined[i] = it has one. Beside stored thresholds the random and the
 * all-knowing scores, which nobody has fitted before, take theirs from the data. */
static int thresholds(job *j, const scores *x, cts_threshold *t)
{
    bool validation = j->f->threshold == VAL && j->plan->val;
    const cts_eval_set *on = validation ? j->plan->val : j->s;
    const float *table = validation ? x->val : x->score;
    size_t n = on->n, m = j->s->n_labels;
    float *score;
    uint8_t *label;
    int rc;

    if (j->f->threshold == VAL && !validation && x->score == j->s->score)
        return stored_thresholds(j, t);
    score = malloc((n + 1) * sizeof *score);
    label = malloc(n + 1);
    rc = score && label ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %zu scores", n);
    for (size_t i = 0; !rc && i < m; i++) {
        cts_youden_point point;
        double f1;
        int grid;

        column(table, on->labels, n, m, i, score, label);
        t[i] = cts_threshold_half();
        if (j->f->threshold == ROC)
            rc = cts_threshold_roc_corner(score, label, n, &t[i], &grid);
        else if (j->f->threshold == VAL)
            rc = cts_threshold_f1_max(score, label, n, &t[i], &f1);
        else if (j->f->threshold == YOUDEN && !(rc = cts_youden(score, label, n, &point)))
            t[i] = (cts_threshold){point.threshold, true};
        j->defined[i] = !isnan(t[i].value);
    }
    free(score);
    free(label);
    return rc;
}

/* Predictions by the family's thresholds, and its figures. t: the thresholds come back. */
static int measure(job *j, const scores *x, cts_threshold *t, double *out)
{
    cts_counts counts[M];
    int rc = thresholds(j, x, t);

    if (rc)
        return rc;
    cts_predict(x->score, j->s->n, j->s->n_labels, t, j->prediction);
    cts_count_cells(j->prediction, j->s->labels, j->s->n, j->s->n_labels, NULL, counts);
    from_counts(j, counts, j->s->n_labels, out);
    return CTS_OK;
}

static size_t count(const char *const *names)
{
    size_t n = 0;

    while (names[n])
        n++;
    return n;
}

static int add_figures(job *j, const double *value, const double *random, const double *oracle)
{
    size_t overall = count(j->f->overall), each = count(j->f->each), m = j->s->n_labels;

    for (size_t i = 0; i < overall + each * m; i++) {
        bool whole = i < overall;
        cts_eval_value *v = cts_eval_result_add(j->r, whole ? j->f->overall[i] : j->f->each[(i - overall) % each],
                                                whole ? -1 : (int)((i - overall) / each), value[i]);

        if (!v)
            return cts_fail(CTS_E_NOMEM, "out of memory for figures");
        v->random = isnan(value[i]) ? NAN : random[i];
        v->oracle = isnan(value[i]) ? NAN : oracle[i];
    }
    return CTS_OK;
}

/* One family: figures of the model, of the random and of the all-knowing one, intervals. kind: those three. */
static int one_family(job *j, const scores kind[3], const cts_bootstrap *b)
{
    double value[3][FIGURES_MAX], *sample = NULL;
    size_t m = j->s->n_labels, n = count(j->f->overall) + count(j->f->each) * m, first = j->r->n_values;
    cts_threshold t[M];
    int rc = CTS_OK;

    for (int k = 2; !rc && k >= 0; k--) /* the model last: its predictions and thresholds stay */
        rc = measure(j, &kind[k], t, value[k]);
    if (rc || (rc = add_figures(j, value[0], value[1], value[2])))
        return rc;
    for (size_t i = 0; j->f->threshold >= 0 && i < m; i++)
        j->r->threshold[j->f->threshold][i] = t[i].value;
    if (!b->n)
        return CTS_OK;
    if (!(sample = malloc(n * b->n_resamples * sizeof *sample)))
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu resamples", b->n_resamples);
    if (!(rc = cts_bootstrap_counts(b, j->prediction, j->s->labels, m, from_counts, j, n, j->plan->threads, sample)))
        rc = cts_eval_result_intervals(j->r, first, n, sample);
    free(sample);
    return rc;
}

static int auroc(job *j, const cts_bootstrap *b)
{
    size_t m = j->s->n_labels, first = j->r->n_values, defined;
    double value[M + 1], *sample;
    int rc = cts_auroc_table(j->s->score, j->s->labels, j->s->n, m, value, j->r->positives);

    if (rc)
        return rc;
    value[m] = cts_mean_defined(value, m, &defined);
    for (size_t i = 0; i <= m; i++) {
        cts_eval_value *v = cts_eval_result_add(j->r, "auroc", i < m ? (int)i : -1, value[i]);

        if (!v)
            return cts_fail(CTS_E_NOMEM, "out of memory for figures");
        v->random = isnan(value[i]) ? NAN : 0.5;
        v->oracle = isnan(value[i]) ? NAN : 1.0;
    }
    if (!b->n)
        return CTS_OK;
    if (!(sample = malloc((m + 1) * b->n_resamples * sizeof *sample)))
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu resamples", b->n_resamples);
    if (!(rc = cts_bootstrap_auroc(b, j->s->score, j->s->labels, m, j->plan->threads, sample)))
        rc = cts_eval_result_intervals(j->r, first, m + 1, sample);
    free(sample);
    return rc;
}

/* ---- curves ---- */

static int curve(job *j, size_t i, float *score, uint8_t *label)
{
    cts_eval_curve *c = &j->r->roc[i];
    double *threshold = malloc((j->s->n + 1) * sizeof *threshold);
    int rc;

    c->fpr = malloc((j->s->n + 1) * sizeof *c->fpr);
    c->tpr = malloc((j->s->n + 1) * sizeof *c->tpr);
    if (!threshold || !c->fpr || !c->tpr)
        rc = cts_fail(CTS_E_NOMEM, "out of memory for a curve of %zu points", j->s->n);
    else {
        column(j->s->score, j->s->labels, j->s->n, j->s->n_labels, i, score, label);
        rc = cts_roc_curve(score, label, j->s->n, c->fpr, c->tpr, threshold, &c->n);
    }
    free(threshold);
    return rc;
}

/* True positive rate at x of a curve that rises from (0, 0): linear between its points, the upper end of a step. */
static double height(const cts_eval_curve *c, double x)
{
    size_t lo = 0, hi = c->n - 1;

    while (lo < hi) { /* first point to the right of x */
        size_t mid = (lo + hi) / 2;

        if (c->fpr[mid] > x)
            hi = mid;
        else
            lo = mid + 1;
    }
    if (c->fpr[lo] <= x)
        return c->tpr[lo];
    return c->tpr[lo - 1] + (c->tpr[lo] - c->tpr[lo - 1]) * (x - c->fpr[lo - 1]) / (c->fpr[lo] - c->fpr[lo - 1]);
}

#define MACRO_POINTS 101

/* Mean over the labels of the heights of their curves. */
static int macro_curve(job *j)
{
    cts_eval_curve *c = &j->r->macro;

    c->fpr = malloc(MACRO_POINTS * sizeof *c->fpr);
    c->tpr = malloc(MACRO_POINTS * sizeof *c->tpr);
    if (!c->fpr || !c->tpr)
        return cts_fail(CTS_E_NOMEM, "out of memory for a curve");
    for (size_t p = 0; p < MACRO_POINTS; p++) {
        double tpr[M];

        c->fpr[p] = (double)p / (MACRO_POINTS - 1);
        for (size_t i = 0; i < j->s->n_labels; i++) {
            const cts_eval_value *v = cts_eval_result_find(j->r, "auroc", (int)i);

            tpr[i] = isnan(v->value) ? NAN : height(&j->r->roc[i], c->fpr[p]);
        }
        c->tpr[p] = cts_mean_defined(tpr, j->s->n_labels, NULL);
    }
    c->n = MACRO_POINTS;
    return CTS_OK;
}

static int curves(job *j)
{
    float *score = malloc((j->s->n + 1) * sizeof *score);
    uint8_t *label = malloc(j->s->n + 1);
    int rc = score && label ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %zu scores", j->s->n);

    for (size_t i = 0; !rc && i < j->s->n_labels; i++)
        rc = curve(j, i, score, label);
    free(score);
    free(label);
    return rc ? rc : macro_curve(j);
}

static void warn_below_chance(job *j)
{
    for (size_t i = 0; i < j->s->n_labels; i++) {
        const cts_eval_value *v = cts_eval_result_find(j->r, "auroc", (int)i);

        if (!(v->value < 0.5))
            continue;
        cts_str_printf(&j->r->warnings, "%s: AUROC %.4f", j->s->label_name[i], v->value);
        if (!isnan(v->low))
            cts_str_printf(&j->r->warnings, " (95 %% %.4f to %.4f)", v->low, v->high);
        cts_str_printf(&j->r->warnings, " is worse than chance%s\n",
                       v->high < 0.5    ? "; a prompt or a label may be turned round"
                       : isnan(v->high) ? ""
                                        : ", though chance lies within the interval");
    }
}

/* ---- all of it ---- */

/* Random scores and the labels as scores, for the data and for the validation data. table [4] owned by the caller. */
static int baselines(const job *j, float *table[4], scores kind[3])
{
    const cts_eval_set *val = j->plan->val;
    size_t m = j->s->n_labels;

    for (int i = 0; i < 4; i++) {
        const cts_eval_set *x = i < 2 ? j->s : val;

        if (!x)
            continue;
        if (!(table[i] = malloc((x->n * m + 1) * sizeof *table[i])))
            return cts_fail(CTS_E_NOMEM, "out of memory for %zu scores", x->n * m);
        if (i % 2)
            cts_scores_oracle(table[i], x->labels, x->n, m);
        else
            cts_scores_random(table[i], x->n, m, cts_rng_split(j->plan->seed, (uint64_t)i));
    }
    kind[0] = (scores){j->s->score, val ? val->score : NULL};
    kind[1] = (scores){table[0], table[2]};
    kind[2] = (scores){table[1], table[3]};
    return CTS_OK;
}

static int resampling(job *j, cts_bootstrap *b)
{
    int64_t *patient = malloc((j->s->n + 1) * sizeof *patient);
    int rc = patient ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %zu rows", j->s->n);

    if (!rc && !(rc = cts_eval_set_patients(j->s, patient)) && j->plan->resamples &&
        !(rc = cts_bootstrap_init(b, patient, j->s->n, j->plan->resamples, j->plan->seed)))
        j->r->patients = b->n_patients;
    free(patient);
    return rc;
}

int cts_eval_classify(cts_eval_result *r, const cts_eval_set *s, const cts_eval_plan *plan)
{
    job j = {.r = r, .s = s, .plan = plan};
    float *table[4] = {NULL};
    cts_bootstrap b = {0};
    scores kind[3];
    int rc;

    r->set = s;
    r->n = s->n;
    r->figures = plan->protocol->figures & ~(unsigned)(plan->val || plan->stored ? 0 : CTS_FIGURE_BIN);
    r->n_val = plan->val ? plan->val->n : plan->stored ? plan->stored->n : 0;
    r->resamples = plan->resamples;
    r->seed = plan->seed;
    for (int k = 0; k < 3; k++)
        for (size_t i = 0; i < M; i++)
            r->threshold[k][i] = NAN;
    j.prediction = malloc(s->n * s->n_labels + 1);
    if (!j.prediction)
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu predictions", s->n * s->n_labels);
    else
        rc = cts_scores_check(s->score, s->n, s->n_labels, s->label_name);
    if (!rc && !(rc = resampling(&j, &b)) && !(rc = auroc(&j, &b)))
        rc = baselines(&j, table, kind);
    for (size_t f = 0; !rc && f < sizeof families / sizeof *families; f++)
        if (r->figures & families[f].figure) {
            j.f = &families[f];
            rc = one_family(&j, kind, &b);
        }
    if (!rc && !(rc = curves(&j)))
        warn_below_chance(&j);
    cts_bootstrap_free(&b);
    free(j.prediction);
    for (int i = 0; i < 4; i++)
        free(table[i]);
    return rc;
}
