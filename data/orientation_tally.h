/* How the volumes of a data set lay in their files and what was done to their axes, counted.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_ORIENTATION_TALLY_H
#define CTS_DATA_ORIENTATION_TALLY_H

#include "data/preprocess.h"
#include "kernels/base/str.h"

#define CTS_ORIENTATION_ROWS 49 /* 48 axis codes, and no affine; a tally is of one recipe */

typedef struct {
    char codes[4]; /* of the files; "" = no affine */
    char did[64];  /* "flipped i,j" */
    size_t n;
} cts_orientation_row;

/* Zero it before. No memory of its own; one thread at a time. */
typedef struct {
    cts_orientation_row row[CTS_ORIENTATION_ROWS]; /* [n_rows] by codes */
    int n_rows;
    size_t n, moved; /* volumes; those that were permuted or flipped */
    size_t no_affine, oblique;
    double worst_deg;    /* of the oblique ones */
    size_t contradicted; /* by their own qform */
} cts_orientation_tally;

void cts_orientation_tally_add(cts_orientation_tally *t, const cts_preprocess_info *info);
/* Append "8 LPS as stored, 4 RAS flipped i,j". */
void cts_orientation_tally_text(cts_str *out, const cts_orientation_tally *t);

/* Append what is to be warned of in one volume, "" or for example "no affine (neither sform nor qform): ...". */
void cts_orientation_warning(cts_str *out, const cts_preprocess_info *info);

#endif
