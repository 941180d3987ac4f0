/* Recall at k of pairs: own partner, and any reconstruction of the scan. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/status.h"
#include "query/eval/result.h"
#include "query/metrics/baseline.h"
#include "query/metrics/bootstrap.h"
#include "query/metrics/pairs.h"

typedef struct {
    cts_eval_result *r;
    const cts_eval_set *s;
    const cts_eval_plan *plan;
    int64_t *scan;    /* [n] */
    int64_t *rank[2]; /* t2i, i2t: [n] */
    double *hit;      /* [values][n] */
    size_t n_hits;
} job;

static size_t count_ks(const int64_t *ks)
{
    size_t n = 0;

    while (ks[n])
        n++;
    return n;
}

/* One direction of one family: a figure for every k. */
static int figures(job *j, int direction, bool scans, double *median, double *mean)
{
    static const char *const name[2][2] = {{"t2i_r@%lld", "i2t_r@%lld"}, {"t2i_scan_r@%lld", "i2t_scan_r@%lld"}};
    const int64_t *rank = j->rank[direction];
    size_t n = j->s->n;
    int rc;

    for (size_t k = 0; j->plan->ks[k]; k++) {
        char metric[CTS_EVAL_METRIC_MAX];
        cts_eval_value *v;

        snprintf(metric, sizeof metric, name[scans][direction], (long long)j->plan->ks[k]);
        v = cts_eval_result_add(j->r, metric, -1, cts_recall_in_pool(rank, n, n, j->plan->ks[k]));
        if (!v)
            return cts_fail(CTS_E_NOMEM, "out of memory for figures");
        if ((rc = cts_recall_random(scans ? j->scan : NULL, n, j->plan->ks[k], &v->random)) ||
            (rc = cts_recall_oracle(scans ? NULL : j->scan, n, j->plan->ks[k], &v->oracle)))
            return rc;
        cts_recall_hits(rank, n, j->plan->ks[k], j->hit + j->n_hits++ * n);
    }
    return median ? cts_rank_summary(rank, n, median, mean) : CTS_OK;
}

static int intervals(job *j, size_t first)
{
    int64_t *patient = malloc((j->s->n + 1) * sizeof *patient);
    double *sample = malloc((j->n_hits * j->plan->resamples + 1) * sizeof *sample);
    cts_bootstrap b = {0};
    int rc = patient && sample ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %zu resamples", j->plan->resamples);

    if (!rc && !(rc = cts_eval_set_patients(j->s, patient)) &&
        !(rc = cts_bootstrap_init(&b, patient, j->s->n, j->plan->resamples, j->plan->seed)) &&
        !(rc = cts_bootstrap_means(&b, j->hit, j->n_hits, j->plan->threads, sample))) {
        j->r->patients = b.n_patients;
        rc = cts_eval_result_intervals(j->r, first, j->n_hits, sample);
    }
    cts_bootstrap_free(&b);
    free(patient);
    free(sample);
    return rc;
}

static int rank_all(job *j, const int64_t *group)
{
    return cts_pair_ranks(j->s->text, j->s->image, j->s->n, (size_t)j->s->dim, group, j->plan->threads, j->rank[0],
                          j->rank[1]);
}

static size_t groups(const int64_t *scan, size_t n)
{
    int64_t most = -1;

    for (size_t i = 0; i < n; i++)
        most = scan[i] > most ? scan[i] : most;
    return (size_t)(most + 1);
}

int cts_eval_recall(cts_eval_result *r, const cts_eval_set *s, const cts_eval_plan *plan)
{
    size_t n = s->n, n_ks = count_ks(plan->ks), first = r->n_values;
    job j = {.r = r, .s = s, .plan = plan};
    int rc = CTS_OK;

    j.scan = malloc((n + 1) * sizeof *j.scan);
    j.rank[0] = malloc((n + 1) * sizeof *j.rank[0]);
    j.rank[1] = malloc((n + 1) * sizeof *j.rank[1]);
    j.hit = malloc((4 * n_ks * n + 1) * sizeof *j.hit);
    if (!j.scan || !j.rank[0] || !j.rank[1] || !j.hit) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu pairs", n);
        goto out;
    }
    r->set = s;
    r->n = n;
    r->resamples = plan->resamples;
    r->seed = plan->seed;
    if ((rc = cts_eval_set_scans(s, j.scan)))
        goto out;
    r->scans = groups(j.scan, n);
    r->figures = plan->protocol->figures;
    if (r->scans == n) /* every scan once: the same figures again */
        r->figures &= ~(unsigned)CTS_FIGURE_SCAN;
    if (r->figures & CTS_FIGURE_PAIR)
        if ((rc = rank_all(&j, NULL)) || (rc = figures(&j, 0, false, &r->median_rank[0], &r->mean_rank[0])) ||
            (rc = figures(&j, 1, false, &r->median_rank[1], &r->mean_rank[1])))
            goto out;
    if (r->figures & CTS_FIGURE_SCAN)
        if ((rc = rank_all(&j, j.scan)) || (rc = figures(&j, 0, true, NULL, NULL)) ||
            (rc = figures(&j, 1, true, NULL, NULL)))
            goto out;
    if (plan->resamples)
        rc = intervals(&j, first);
out:
    free(j.scan);
    free(j.rank[0]);
    free(j.rank[1]);
    free(j.hit);
    return rc;
}
