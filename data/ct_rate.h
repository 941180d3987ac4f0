/* A set of volumes with what CT-RATE's CSVs say of them: reports, the 18 labels, metadata; and where their files are.
 *
 * The records are the rows, in their order, of the reports CSV; without one, of the labels CSV; without either, the
 * volumes of the folder sorted by path; and with the metadata CSV alone, its rows. The other CSVs add to the records
 * they name; their further rows are counted in n_unused. Names match with or without .nii / .nii.gz. Files are looked
 * for anywhere below the folder (flat or CT-RATE's split/split_patient/split_patient_scan/ layout). A dataset is
 * read-only once loaded: any number of threads may read it. Source: the CSV files published with CT-RATE.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_CT_RATE_H
#define CTS_DATA_CT_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/findings.h"

typedef struct {
    const char *name;    /* as the CSV or the folder writes it: "valid_53_a_1.nii.gz" */
    const char *stem;    /* without extension: "valid_53_a_1", the id of the volume */
    const char *path;    /* of the file, or NULL when there is none (or no folder was given) */
    const char *patient; /* "valid_53"; the stem when the name is not split_patient_scan_reconstruction */
    const char *scan;    /* "valid_53_a"; the stem when ... */
    int reconstruction;  /* 1, 2, ...; 0 when ... */
    bool has_report;
    const char *findings, *impressions; /* cells as written, NULL without a report */
    bool has_labels;
    uint8_t labels[CTS_FINDINGS]; /* 0 or 1 */
    bool has_metadata;
    double spacing_xyz[3]; /* mm along the stored i, j, k: XYSpacing twice, ZSpacing */
    double rescale[2];     /* RescaleSlope, RescaleIntercept */
} cts_record;

typedef struct {
    const char *reports, *labels, *metadata; /* CSV paths, each may be NULL */
    const char *volumes;                     /* folder, may be NULL */
} cts_dataset_paths;

typedef struct {
    cts_record *records; /* [n] */
    size_t n;
    const char **missing; /* [n_missing] names of records without a file, in order, when a folder was given */
    size_t n_missing;
    size_t n_unlabelled;     /* records without labels, when a label CSV was given */
    size_t n_unused;         /* rows of later CSVs that name no record */
    size_t n_unlisted;       /* volume files that no record names */
    struct cts_arena *texts; /* owns every string */
} cts_dataset;

/* On success *out is the caller's (cts_dataset_destroy()). CTS_E_INPUT: a name twice in one CSV (both lines named), a
 * label that is not 0 or 1, a number that is none, two files for one name, nothing given or nothing found;
 * CTS_E_FORMAT: a column missing, a damaged CSV; CTS_E_IO, CTS_E_NOMEM. A record without a file is no error here: see
 * missing. */
int cts_dataset_load(cts_dataset **out, const cts_dataset_paths *paths);
void cts_dataset_destroy(cts_dataset *d); /* NULL allowed */
/* Index of a volume by name or stem; -1 when unknown. Linear. */
int64_t cts_dataset_find(const cts_dataset *d, const char *name);

/* CT-RATE's XYSpacing cell as the published loaders read it: the first and the last two characters dropped, then up
 * to the comma ("[0.75]" gives 0.7). CTS_E_INPUT when no number above 0 is left. */
int cts_xy_spacing_parse(double *mm, const char *cell);
/* Length of a volume name without .nii or .nii.gz. */
size_t cts_volume_stem(const char *name);
/* Of the stem "valid_53_a_1" (split_patient_scan_reconstruction): the lengths of the patient's name "valid_53" and of
 * the scan's "valid_53_a", and 1. A stem of another form stands for itself: both lengths its own, reconstruction 0. */
void cts_volume_name_split(const char *stem, size_t *patient, size_t *scan, int *reconstruction);

#endif
