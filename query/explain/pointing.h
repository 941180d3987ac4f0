/* The pointing game (Zhang et al. 2016, arXiv 1608.00507) where the place is known: does the hottest place of the heat
 * map lie in the finding? Masks are those of `ctsearch phantom --masks`: a voxel is the sum of 2^i over the findings i
 * of data/findings.h that changed it.
 *
 *   point   the middle of the hottest cell is a voxel of the finding (strict), or at most half a cell away from one
 *           along every axis (tolerant: a map cannot point finer than its cells)
 *   slice   the slice with the largest mean heat holds a voxel of the finding, or lies at most half a cell from one
 *   chance  the same for a random voxel of the body, or a random slice of it. The body is what lies between the
 *           outermost voxels above -300 HU of every row from right to left
 * Asked of every volume that is labelled with the finding and whose mask shows it. A map without heat misses.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EXPLAIN_POINTING_H
#define CTS_QUERY_EXPLAIN_POINTING_H

#include "data/findings.h"
#include "query/explain/explainer.h"

typedef struct {
    double strict, tolerant, chance, tolerant_chance; /* rates, NaN without a case; sums before finish */
} cts_pointing_rates;

typedef struct {
    bool known;      /* the model has the finding */
    size_t asked;    /* cases */
    size_t unplaced; /* labelled, but no voxel of the mask: left out */
    size_t cold;     /* cases without heat */
    cts_pointing_rates point, slice;
} cts_pointing_row;

typedef struct {
    cts_pointing_row row[CTS_FINDINGS];
    cts_pointing_rates point[2], slice[2]; /* means over findings: of all, of the focal ones */
    size_t volumes;
    double half_cell_mm[3]; /* z, x, y of the tensor: of the volume added last */
} cts_pointing;

/* Findings of the phantom that are small and in one place. */
bool cts_pointing_focal(int finding);

/* The scan the explainer has seen, its mask and its labels [CTS_FINDINGS]. CTS_E_MISMATCH: the mask has another size or
 * lies elsewhere. */
int cts_pointing_add(cts_pointing *p, cts_explainer *x, const cts_volume *mask, const uint8_t labels[CTS_FINDINGS]);
/* Sums to rates and means. Once, after the last volume. */
void cts_pointing_finish(cts_pointing *p);

#endif
