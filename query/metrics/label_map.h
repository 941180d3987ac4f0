/* Label sets of other data in terms of ours: which finding is scored against which columns of the other file.
 *
 * Rad-ChestCT is evaluated in three ways that differ in labels and in what counts as positive:
 *   ctclip-16     CT-CLIP: 16 labels; no mosaic attenuation; one "Calcification" scored with the larger of our two. Its
 *                 authors published the rule of the scores, not the columns: these are HLIP's, and RadFinder's where
 *                 HLIP has none
 *   hlip-15       HLIP: 15 labels; no medical material, no lymphadenopathy, no mosaic attenuation; both
 *                 calcifications, each against `calcification`
 *   radfinder-16  RadFinder "standard": 16 labels; sequela from `scarring`, nodule from either size, 11 device columns
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_METRICS_LABEL_MAP_H
#define CTS_QUERY_METRICS_LABEL_MAP_H

#include <stddef.h>
#include <stdint.h>

#define CTS_LABEL_MAP_MAX 64
#define CTS_LABEL_COLUMNS_MAX 12

typedef struct {
    const char *name; /* as printed */
    int score[2];     /* indices of our findings, the larger score counts; score[1] -1 = one, both -1 = of none */
    const char *column[CTS_LABEL_COLUMNS_MAX + 1]; /* positive when any of them is; ends with NULL */
} cts_label_rule;

typedef struct {
    const char *name, *source; /* "ctclip-16"; whose evaluation it is */
    size_t n;
    cts_label_rule rule[CTS_LABEL_MAP_MAX];
} cts_label_map;

extern const cts_label_map cts_label_maps[];
extern const size_t cts_label_maps_n;
/* CTS_E_USAGE lists the names. *out is static. */
int cts_label_map_find(const char *name, const cts_label_map **out);

/* scores [n, 18] in the order of data/findings.h -> out [n, map->n]. */
void cts_label_map_scores(const cts_label_map *map, const float *scores, size_t n, float *out);
/* columns [n_columns]: names of the other file's columns; values uint8 [n, n_columns] of 0 and 1 -> out [n, map->n]. A
 * column belongs to a rule when it has that name, or that name before a '*' (the public files have one column for each
 * finding and place, `nodule*right_upper`). Where a column bears the rule's own name (a file mapped before), it alone
 * counts. CTS_E_INPUT names a rule none of whose columns is there. */
int cts_label_map_labels(const cts_label_map *map, const char *const *columns, size_t n_columns, const uint8_t *values,
                         size_t n, uint8_t *out);

#endif
