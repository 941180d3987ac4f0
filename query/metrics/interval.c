/* Two rules that make an interval of resampled values. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>

#include "kernels/base/status.h"
#include "query/metrics/bootstrap.h"

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int sort_defined(double **out, const double *sample, size_t n, size_t *defined)
{
    double *sorted = malloc((n + 1) * sizeof *sorted);
    size_t d = 0;

    if (!sorted)
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu samples", n);
    for (size_t i = 0; i < n; i++)
        if (!isnan(sample[i]))
            sorted[d++] = sample[i];
    qsort(sorted, d, sizeof *sorted, by_value);
    *out = sorted;
    *defined = d;
    return CTS_OK;
}

/* Value at place `at`, which may lie between two. */
static double quantile(const double *sorted, size_t n, double at)
{
    size_t i = (size_t)at < n - 1 ? (size_t)at : n - 1;

    return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[i];
}

int cts_interval_percentile(const double *sample, size_t n, double alpha, cts_interval *out)
{
    double *sorted = NULL;
    size_t d = 0;
    int rc = sort_defined(&sorted, sample, n, &d);

    if (rc)
        return rc;
    *out = (cts_interval){NAN, NAN, cts_mean_defined(sample, n, NULL), d};
    if (d) {
        out->lower = quantile(sorted, d, alpha / 2 * (double)(d - 1));
        out->upper = quantile(sorted, d, (1 - alpha / 2) * (double)(d - 1));
    }
    free(sorted);
    return CTS_OK;
}

static double four_digits(double x)
{
    return rint(x * 1e4) / 1e4;
}

int cts_interval_ctclip(const double *sample, size_t n, cts_interval *out)
{
    const double alpha = 0.05;
    size_t d = 0, lower, upper;
    double *sorted = NULL;
    int rc = sort_defined(&sorted, sample, n, &d);

    if (rc)
        return rc;
    if (d < n || !n) {
        free(sorted);
        return cts_fail(CTS_E_INPUT, "interval: got %zu defined samples of %zu, allowed: all, and at least one", d, n);
    }
    lower = (size_t)(alpha / 2 * (double)n);
    upper = (size_t)((1 - alpha / 2) * (double)n);
    *out =
        (cts_interval){four_digits(sorted[lower ? lower - 1 : n - 1]), four_digits(sorted[upper ? upper - 1 : n - 1]),
                       four_digits(cts_mean_defined(sorted, n, NULL)), n};
    free(sorted);
    return CTS_OK;
}
