/* The three MAP@k from lists of neighbours, and their expectation under a random order. SPDX-License-Identifier: MIT */
#include "query/metrics/map.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/base/status.h"
#include "query/metrics/map_internal.h"

const char *cts_map_name(cts_map_rule rule)
{
    static const char *const name[] = {"map_ctclip", "map_spectre", "map_radfinder"};

    return name[rule];
}

const char *cts_map_definition(cts_map_rule rule)
{
    static const char *const text[] = {
        "mean Jaccard index between the findings of the query and of its k nearest; queries: all; gallery: volumes "
        "with a finding, the query among them; a query without finding scores 0",
        "average precision at k; relevant: the same set of findings; gallery: all but the query; divided by the "
        "smaller of k and the number of relevant volumes; queries without a relevant volume are left out",
        "sum of the precisions at the relevant ranks, divided by k; relevant: a common finding; queries and gallery: "
        "volumes with a finding, the query itself left out",
    };

    return text[rule];
}

int cts_map_sets(uint64_t **out, const uint8_t *labels, size_t n, size_t m)
{
    uint64_t *set;

    if (m > CTS_MAP_LABELS_MAX)
        return cts_fail(CTS_E_LIMIT, "MAP: got %zu labels, allowed: %d", m, CTS_MAP_LABELS_MAX);
    if (!(set = calloc(n + 1, sizeof *set)))
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu label sets", n);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++)
            set[i] |= (uint64_t)(labels[i * m + j] != 0) << j;
    *out = set;
    return CTS_OK;
}

bool cts_map_relevant(cts_map_rule rule, uint64_t a, uint64_t b)
{
    return rule == CTS_MAP_SPECTRE ? a == b : (a & b) != 0;
}

double cts_map_jaccard(uint64_t a, uint64_t b)
{
    return a | b ? (double)__builtin_popcountll(a & b) / (double)__builtin_popcountll(a | b) : 0.0;
}

static int by_set(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

int cts_map_kinds(cts_map_kind **out, size_t *n_kinds, const uint64_t *set, size_t n)
{
    cts_map_kind *kind = malloc((n + 1) * sizeof *kind);
    uint64_t *sorted = malloc((n + 1) * sizeof *sorted);
    size_t kinds = 0;

    if (!kind || !sorted) {
        free(kind);
        free(sorted);
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu label sets", n);
    }
    for (size_t i = 0; i < n; i++)
        sorted[i] = set[i];
    qsort(sorted, n, sizeof *sorted, by_set);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || sorted[i] != sorted[i - 1])
            kind[kinds++] = (cts_map_kind){sorted[i], 0};
        kind[kinds - 1].count++;
    }
    free(sorted);
    *out = kind;
    *n_kinds = kinds;
    return CTS_OK;
}

size_t cts_map_kind_of(const cts_map_kind *kind, size_t n_kinds, uint64_t set)
{
    size_t lo = 0, hi = n_kinds;

    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;

        *(kind[mid].set <= set ? &lo : &hi) = mid;
    }
    return lo;
}

int cts_map_parts(cts_map_rule rule, const uint8_t *labels, size_t n, size_t m, uint8_t *in_gallery, uint8_t *is_query,
                  size_t *gallery, size_t *queries)
{
    cts_map_kind *kind = NULL;
    uint64_t *set = NULL;
    size_t n_kinds, g = 0, q = 0;
    int rc;

    if ((rc = cts_map_sets(&set, labels, n, m)) || (rc = cts_map_kinds(&kind, &n_kinds, set, n)))
        goto out;
    for (size_t i = 0; i < n; i++) {
        bool member = rule == CTS_MAP_SPECTRE || set[i], asks = true;

        if (rule == CTS_MAP_RADFINDER)
            asks = set[i] != 0;
        else if (rule == CTS_MAP_SPECTRE)
            asks = kind[cts_map_kind_of(kind, n_kinds, set[i])].count > 1;
        g += member;
        q += asks;
        if (in_gallery)
            in_gallery[i] = member;
        if (is_query)
            is_query[i] = asks;
    }
    *gallery = g;
    *queries = q;
out:
    free(set);
    free(kind);
    return rc;
}

/* One query: precision at each hit, or Jaccard index, over the first k of list[]; relevant = how many there are. */
static double value_of(cts_map_rule rule, const int64_t *list, int64_t k, const uint64_t *set, uint64_t query,
                       size_t relevant)
{
    double sum = 0.0;
    int64_t hits = 0;

    for (int64_t r = 0; r < k && list[r] >= 0; r++)
        if (rule == CTS_MAP_CTCLIP)
            sum += cts_map_jaccard(query, set[list[r]]);
        else if (cts_map_relevant(rule, query, set[list[r]]))
            sum += (double)++hits / (double)(r + 1);
    if (rule == CTS_MAP_SPECTRE && (int64_t)relevant < k)
        return sum / (double)relevant;
    return sum / (double)k;
}

static int check_ks(const int64_t *ks, size_t n_ks)
{
    for (size_t j = 0; j < n_ks; j++)
        if (ks[j] < 1)
            return cts_fail(CTS_E_INPUT, "MAP: got k %lld, allowed: 1 and more", (long long)ks[j]);
    return CTS_OK;
}

int cts_map_values(cts_map_rule rule, const int64_t *row, size_t n, size_t k, const uint8_t *labels, size_t m,
                   const int64_t *ks, size_t n_ks, double *value)
{
    uint8_t *is_query = malloc(n + 1);
    cts_map_kind *kind = NULL;
    uint64_t *set = NULL;
    size_t n_kinds, gallery, queries;
    int rc = is_query ? check_ks(ks, n_ks) : cts_fail(CTS_E_NOMEM, "out of memory for %zu queries", n);

    for (size_t j = 0; !rc && j < n_ks; j++)
        if (ks[j] > (int64_t)k)
            rc = cts_fail(CTS_E_INPUT, "MAP: got k %lld, allowed: lists hold %zu", (long long)ks[j], k);
    if (rc || (rc = cts_map_parts(rule, labels, n, m, NULL, is_query, &gallery, &queries)) ||
        (rc = cts_map_sets(&set, labels, n, m)) || (rc = cts_map_kinds(&kind, &n_kinds, set, n)))
        goto out;
    for (size_t i = 0; i < n; i++) {
        size_t relevant = kind[cts_map_kind_of(kind, n_kinds, set[i])].count - 1;

        for (size_t j = 0; j < n_ks; j++) {
            bool defined = is_query[i] && (rule != CTS_MAP_CTCLIP || ks[j] <= (int64_t)gallery);

            value[j * n + i] = defined ? value_of(rule, row + i * k, ks[j], set, set[i], relevant) : NAN;
        }
    }
out:
    free(is_query);
    free(kind);
    free(set);
    return rc;
}

/* Expected sum of precisions at the hits among the first k of a random order of `candidates`, `relevant` of them
 * relevant: place i (from 1) holds a hit with probability R / N, and then each of the i - 1 places before it does with
 * (R - 1) / (N - 1). */
static double expected_precisions(size_t relevant, size_t candidates, int64_t k)
{
    double first = (double)relevant / (double)candidates, sum = 0.0;
    double next = candidates > 1 ? ((double)relevant - 1.0) / ((double)candidates - 1.0) : 0.0;

    for (int64_t i = 1; i <= k && i <= (int64_t)candidates; i++)
        sum += first * (1.0 + (double)(i - 1) * next) / (double)i;
    return sum;
}

/* Of a query with this set; candidates and relevant ones without the query itself where the rule removes it. */
static double expected(cts_map_rule rule, uint64_t query, const cts_map_kind *kind, size_t n_kinds, size_t gallery,
                       int64_t k)
{
    size_t relevant = 0;
    double sum = 0.0;

    for (size_t t = 0; t < n_kinds; t++)
        if (rule == CTS_MAP_CTCLIP)
            sum += kind[t].set ? (double)kind[t].count * cts_map_jaccard(query, kind[t].set) : 0.0;
        else if (cts_map_relevant(rule, query, kind[t].set))
            relevant += kind[t].count;
    if (rule == CTS_MAP_CTCLIP)
        return k <= (int64_t)gallery ? sum / (double)gallery : NAN;
    relevant--;
    if (rule == CTS_MAP_SPECTRE && !relevant)
        return NAN;
    sum = gallery > 1 ? expected_precisions(relevant, gallery - 1, k) : 0.0;
    return sum / (double)(rule == CTS_MAP_SPECTRE && (int64_t)relevant < k ? (int64_t)relevant : k);
}

int cts_map_random(cts_map_rule rule, const uint8_t *labels, size_t n, size_t m, const int64_t *ks, size_t n_ks,
                   double *value)
{
    cts_map_kind *kind = NULL;
    uint64_t *set = NULL;
    double *of_kind = NULL;
    size_t n_kinds, gallery, queries;
    int rc;

    if ((rc = check_ks(ks, n_ks)) || (rc = cts_map_parts(rule, labels, n, m, NULL, NULL, &gallery, &queries)) ||
        (rc = cts_map_sets(&set, labels, n, m)) || (rc = cts_map_kinds(&kind, &n_kinds, set, n)))
        goto out;
    if (!(of_kind = malloc((n_kinds + 1) * sizeof *of_kind))) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu label sets", n_kinds);
        goto out;
    }
    for (size_t j = 0; j < n_ks; j++) {
        for (size_t t = 0; t < n_kinds; t++)
            of_kind[t] = rule == CTS_MAP_RADFINDER && !kind[t].set
                             ? NAN
                             : expected(rule, kind[t].set, kind, n_kinds, gallery, ks[j]);
        for (size_t i = 0; i < n; i++)
            value[j * n + i] = of_kind[cts_map_kind_of(kind, n_kinds, set[i])];
    }
out:
    free(of_kind);
    free(kind);
    free(set);
    return rc;
}

void cts_map_running(const double *alone, size_t n_ks, double *printed)
{
    double sum = 0.0;

    for (size_t j = 0; j < n_ks; j++) {
        sum += alone[j];
        printed[j] = sum / (double)(j + 1);
    }
}
