/* Chance and perfection. SPDX-License-Identifier: MIT */
#include "query/metrics/baseline.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/base/rng.h"
#include "kernels/base/status.h"

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* C(n - g, k) / C(n, k): no member of a group of g among k drawn from n. */
static double none_drawn(size_t n, size_t g, int64_t k)
{
    double p = 1.0;

    if ((size_t)k + g > n)
        return 0.0;
    for (size_t i = 0; i < g; i++)
        p *= (double)(n - (size_t)k - i) / (double)(n - i);
    return p;
}

static double group_chance(size_t n, size_t g, int64_t k)
{
    return (double)g * (1.0 - none_drawn(n, g, k));
}

static double group_best(size_t n, size_t g, int64_t k)
{
    (void)n;
    return (double)((int64_t)g < k ? g : (size_t)k);
}

/* Mean over rows; add() gives the sum over the g rows of one group. */
static int over_groups(const int64_t *group, size_t n, int64_t k, double (*add)(size_t n, size_t g, int64_t k),
                       double *out)
{
    int64_t *sorted;
    double sum = 0.0;

    if (k < 1)
        return cts_fail(CTS_E_INPUT, "recall: got k %lld, allowed: 1 and more", (long long)k);
    if (!n || k > (int64_t)n) {
        *out = NAN;
        return CTS_OK;
    }
    if (!(sorted = malloc(n * sizeof *sorted)))
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu rows", n);
    for (size_t i = 0; i < n; i++)
        sorted[i] = group ? group[i] : (int64_t)i;
    qsort(sorted, n, sizeof *sorted, by_value);
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && sorted[j] == sorted[i]; j++)
            ;
        sum += add(n, j - i, k);
    }
    free(sorted);
    *out = sum / (double)n;
    return CTS_OK;
}

int cts_recall_random(const int64_t *group, size_t n, int64_t k, double *out)
{
    int rc = over_groups(group, n, k, group_chance, out);

    if (!rc && !group && n && k <= (int64_t)n)
        *out = (double)k / (double)n; /* the same without the rounding of n terms */
    return rc;
}

int cts_recall_oracle(const int64_t *group, size_t n, int64_t k, double *out)
{
    return over_groups(group, n, k, group_best, out);
}

void cts_scores_random(float *scores, size_t n, size_t m, uint64_t seed)
{
    for (size_t i = 0; i < n * m; i++)
        scores[i] = (float)(cts_rng_at(seed, i) >> 40) * 0x1p-24f; /* 24 bits: exact, and never rounded up to 1 */
}

void cts_scores_oracle(float *scores, const uint8_t *labels, size_t n, size_t m)
{
    for (size_t i = 0; i < n * m; i++)
        scores[i] = labels[i] ? 1.0f : 0.0f;
}

void cts_vectors_random(float *rows, size_t n, size_t d, uint64_t seed)
{
    for (size_t i = 0; i < n; i++) {
        cts_rng rng = cts_rng_make(cts_rng_split(seed, i));
        float *row = rows + i * d;
        double square = 0.0;

        for (size_t k = 0; k < d; k++) {
            row[k] = (float)cts_rng_normal(&rng);
            square += (double)row[k] * row[k];
        }
        for (size_t k = 0; k < d; k++)
            row[k] = (float)(row[k] / sqrt(square));
    }
}
