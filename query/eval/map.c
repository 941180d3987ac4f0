/* The three MAP@k, each with its random and its best possible value. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/status.h"
#include "query/eval/result.h"
#include "query/metrics/bootstrap.h"
#include "query/metrics/map.h"

typedef struct {
    cts_eval_result *r;
    const cts_eval_set *s;
    const cts_eval_plan *plan;
    size_t n_ks, most; /* number of ks, the largest */
    int64_t *row;      /* [n][most] neighbours */
    double *value;     /* [n_ks][n] */
} job;

static void means(const job *j, double *out, size_t *queries)
{
    for (size_t k = 0; k < j->n_ks; k++)
        out[k] = cts_mean_defined(j->value + k * j->s->n, j->s->n, queries ? &queries[k] : NULL);
}

/* Mean of each k for the order given (row) or over all orders. */
static int neighbours(const job *j, cts_map_rule rule, bool oracle)
{
    size_t n = j->s->n, m = j->s->n_labels;
    int rc = oracle ? cts_map_neighbours_oracle(rule, j->s->labels, n, m, j->most, j->row)
                    : cts_map_neighbours(rule, j->s->image, n, (size_t)j->s->dim, j->s->labels, m, j->most,
                                         j->plan->threads, j->row);

    return rc ? rc : cts_map_values(rule, j->row, n, j->most, j->s->labels, m, j->plan->ks, j->n_ks, j->value);
}

static int intervals(job *j, size_t first)
{
    int64_t *patient = malloc((j->s->n + 1) * sizeof *patient);
    double *sample = malloc((j->n_ks * j->plan->resamples + 1) * sizeof *sample);
    cts_bootstrap b = {0};
    int rc = patient && sample ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %zu resamples", j->plan->resamples);

    if (!rc && !(rc = cts_eval_set_patients(j->s, patient)) &&
        !(rc = cts_bootstrap_init(&b, patient, j->s->n, j->plan->resamples, j->plan->seed)) &&
        !(rc = cts_bootstrap_means(&b, j->value, j->n_ks, j->plan->threads, sample))) {
        j->r->patients = b.n_patients;
        rc = cts_eval_result_intervals(j->r, first, j->n_ks, sample);
    }
    cts_bootstrap_free(&b);
    free(patient);
    free(sample);
    return rc;
}

/* What the published script prints: a running mean over the values of k. */
static int running(job *j, size_t first)
{
    double alone[3][CTS_EVAL_KS_MAX];
    char metric[CTS_EVAL_METRIC_MAX];

    for (size_t k = 0; k < j->n_ks; k++) {
        alone[0][k] = j->r->value[first + k].value;
        alone[1][k] = j->r->value[first + k].random;
        alone[2][k] = j->r->value[first + k].oracle;
    }
    for (int i = 0; i < 3; i++)
        cts_map_running(alone[i], j->n_ks, alone[i]);
    for (size_t k = 0; k < j->n_ks; k++) {
        cts_eval_value *v;

        snprintf(metric, sizeof metric, "map_ctclip_running@%lld", (long long)j->plan->ks[k]);
        if (!(v = cts_eval_result_add(j->r, metric, -1, alone[0][k])))
            return cts_fail(CTS_E_NOMEM, "out of memory for figures");
        v->n = j->r->value[first + k].n;
        v->random = alone[1][k];
        v->oracle = alone[2][k];
    }
    return CTS_OK;
}

static int family(job *j, cts_map_rule rule)
{
    double mean[CTS_EVAL_KS_MAX], random[CTS_EVAL_KS_MAX], oracle[CTS_EVAL_KS_MAX];
    size_t queries[CTS_EVAL_KS_MAX], first = j->r->n_values;
    char metric[CTS_EVAL_METRIC_MAX];
    int rc;

    if ((rc = cts_map_random(rule, j->s->labels, j->s->n, j->s->n_labels, j->plan->ks, j->n_ks, j->value)))
        return rc;
    means(j, random, NULL);
    if ((rc = neighbours(j, rule, true)))
        return rc;
    means(j, oracle, NULL);
    if ((rc = neighbours(j, rule, false)))
        return rc;
    means(j, mean, queries);
    for (size_t k = 0; k < j->n_ks; k++) {
        cts_eval_value *v;

        snprintf(metric, sizeof metric, "%s@%lld", cts_map_name(rule), (long long)j->plan->ks[k]);
        if (!(v = cts_eval_result_add(j->r, metric, -1, mean[k])))
            return cts_fail(CTS_E_NOMEM, "out of memory for figures");
        v->n = queries[k];
        v->random = random[k];
        v->oracle = oracle[k];
    }
    if (j->plan->resamples && (rc = intervals(j, first)))
        return rc;
    return rule == CTS_MAP_CTCLIP ? running(j, first) : CTS_OK;
}

int cts_eval_map(cts_eval_result *r, const cts_eval_set *s, const cts_eval_plan *plan)
{
    static const struct {
        unsigned figure;
        cts_map_rule rule;
    } families[] = {{CTS_FIGURE_CTCLIP, CTS_MAP_CTCLIP},
                    {CTS_FIGURE_SPECTRE, CTS_MAP_SPECTRE},
                    {CTS_FIGURE_RADFINDER, CTS_MAP_RADFINDER}};
    job j = {.r = r, .s = s, .plan = plan};
    int rc = CTS_OK;

    for (; plan->ks[j.n_ks]; j.n_ks++)
        j.most = (size_t)plan->ks[j.n_ks] > j.most ? (size_t)plan->ks[j.n_ks] : j.most;
    j.row = malloc((s->n * j.most + 1) * sizeof *j.row);
    j.value = malloc((s->n * j.n_ks + 1) * sizeof *j.value);
    if (!j.row || !j.value)
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu neighbours of %zu volumes", j.most, s->n);
    r->set = s;
    r->n = s->n;
    r->figures = plan->protocol->figures;
    r->resamples = plan->resamples;
    r->seed = plan->seed;
    for (size_t i = 0; !rc && i < sizeof families / sizeof *families; i++)
        if (plan->protocol->figures & families[i].figure)
            rc = family(&j, families[i].rule);
    free(j.row);
    free(j.value);
    return rc;
}
