/* The three quantities that papers on chest CT retrieval print as "MAP@k". Volumes are found by volumes; labels (the
 * findings) say what is relevant. They differ by a factor of ten on the same embeddings, so the names say whose it is:
 *
 *   map_ctclip     mean Jaccard index between the findings of the query and of its k nearest. Queries: all. Gallery:
 *                  volumes with a finding. The query may find itself. A query without finding scores 0 always.
 *                  Undefined when the gallery has fewer than k volumes. The published script prints running averages:
 *                  cts_map_running().
 *   map_spectre    average precision at k; relevant = the same set of findings; gallery = all; the query itself
 *                  removed; sum of precisions at the hits / min(number of relevant, k). A query without partner is
 *                  skipped. Two volumes without any finding are relevant to each other.
 *   map_radfinder  queries and gallery: volumes with a finding; the query itself removed; relevant = a common finding;
 *                  sum of precisions at the hits / k.
 *
 * Neighbours are ordered by score, larger first, equal scores by lower row number. labels uint8 [n, m] of 0 and 1, m at
 * most 64. Per-query values: value[j * n + i] for the j-th k and query i, NaN where the query does not take part or the
 * value is undefined, so cts_mean_defined() of a row of n is the MAP and cts_bootstrap_means() takes them as they are.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_METRICS_MAP_H
#define CTS_QUERY_METRICS_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/base/thread.h"

typedef enum { CTS_MAP_CTCLIP, CTS_MAP_SPECTRE, CTS_MAP_RADFINDER } cts_map_rule;
/* "map_ctclip", "map_spectre", "map_radfinder", and one sentence that states the definition. */
const char *cts_map_name(cts_map_rule rule);
const char *cts_map_definition(cts_map_rule rule);

/* Gallery members and taking-part queries of a rule, as bytes [n] (either may be NULL); the counts come back too. */
int cts_map_parts(cts_map_rule rule, const uint8_t *labels, size_t n, size_t m, uint8_t *in_gallery, uint8_t *is_query,
                  size_t *gallery, size_t *queries);

/* The k nearest gallery rows of every row by cosine, self removed where the rule says so: row [n, k], filled up with
 * -1. embeddings [n, d] of any length; products are those of query/metrics/pairs.h, divided by both lengths in fp32,
 * as CT-CLIP's script does. CTS_E_INPUT names a row that is zero or not finite, or whose square is. Tiled: memory
 * O(n k + threads d). */
int cts_map_neighbours(cts_map_rule rule, const float *embeddings, size_t n, size_t d, const uint8_t *labels, size_t m,
                       size_t k, cts_pool *pool, int64_t *row);
/* The same from a matrix of scores [n, n]. NaN: CTS_E_INPUT. */
int cts_map_neighbours_of_matrix(cts_map_rule rule, const float *scores, size_t n, const uint8_t *labels, size_t m,
                                 size_t k, int64_t *row);
/* The best order there is, from the labels: for map_ctclip by falling Jaccard index, for the others relevant rows
 * first. */
int cts_map_neighbours_oracle(cts_map_rule rule, const uint8_t *labels, size_t n, size_t m, size_t k, int64_t *row);

/* value [n_ks, n] from neighbour lists row [n, k]; every ks[j] <= k. */
int cts_map_values(cts_map_rule rule, const int64_t *row, size_t n, size_t k, const uint8_t *labels, size_t m,
                   const int64_t *ks, size_t n_ks, double *value);
/* Expected value [n_ks, n] of every query over all orders of the gallery (map_ctclip: query and gallery unrelated, as
 * with CT-CLIP's random vectors): exact, nothing is drawn. */
int cts_map_random(cts_map_rule rule, const uint8_t *labels, size_t n, size_t m, const int64_t *ks, size_t n_ks,
                   double *value);
/* What the published CT-CLIP script prints: it never empties its list between values of k, so the j-th line is the mean
 * of the first j + 1 true values. printed[j] from alone[j] (both [n_ks], may be the same array). */
void cts_map_running(const double *alone, size_t n_ks, double *printed);

#endif
