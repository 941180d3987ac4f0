/* Findings as bit sets, and how often each set occurs: few hundred sets serve tens of thousands of volumes.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_METRICS_MAP_INTERNAL_H
#define CTS_QUERY_METRICS_MAP_INTERNAL_H

#include <stdbool.h>

#include "query/metrics/map.h"

#define CTS_MAP_LABELS_MAX 64 /* bits of a set */

typedef struct {
    uint64_t set;
    size_t count;
} cts_map_kind;

/* *out [n], to be freed: bit j of a row's set = label j. CTS_E_LIMIT over CTS_MAP_LABELS_MAX labels. */
int cts_map_sets(uint64_t **out, const uint8_t *labels, size_t n, size_t m);
/* *out [*n_kinds], to be freed: the different sets, rising. */
int cts_map_kinds(cts_map_kind **out, size_t *n_kinds, const uint64_t *set, size_t n);
/* Where a set that occurs stands among them. */
size_t cts_map_kind_of(const cts_map_kind *kind, size_t n_kinds, uint64_t set);
/* Same set (map_spectre) or a common finding. */
bool cts_map_relevant(cts_map_rule rule, uint64_t a, uint64_t b);
double cts_map_jaccard(uint64_t a, uint64_t b);

#endif
