/* What CSVs say of the rows of an evaluation: labels, report texts, voxel sizes. Rows are joined by volume name, with
 * or without .nii.gz; rows of a CSV that name no row of the set are counted, no fault.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EVAL_LABELS_H
#define CTS_QUERY_EVAL_LABELS_H

#include "data/csv.h"
#include "query/eval/set.h"

/* Names of the first column there is of VolumeName, NoteAcc_DEID (Rad-ChestCT), AccessionNo; in row order. *csv owns
 * them and is the caller's. CTS_E_FORMAT names the columns that were looked for. */
int cts_eval_csv_names(cts_csv **csv, const char ***names, const char *path);

/* Labels 0 or 1 ("1.0" too). map NULL: the 18 findings by name. With a map: columns by the rules' own names or our
 * names of those findings, or else the other data set's columns. Replaces labels that are there. CTS_E_FORMAT a column
 * missing; CTS_E_INPUT another value, or a name twice: file, line and column are named. */
int cts_eval_labels_load(cts_eval_set *s, const char *path, const cts_label_map *map);
/* Labels of the 18 findings that are known already: bits [n], and which rows have them. Through the map when there is
 * one. */
int cts_eval_labels_set(cts_eval_set *s, const uint32_t *bits, const bool *labelled, const cts_label_map *map);
/* Findings_EN of a reports CSV as findings_text. */
int cts_eval_reports_load(cts_eval_set *s, const char *path);
/* XYSpacing of a metadata CSV as in_plane_mm. */
int cts_eval_metadata_load(cts_eval_set *s, const char *path);

#endif
