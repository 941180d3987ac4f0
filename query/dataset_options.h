/* The options of a command that reads volumes with CT-RATE-style CSVs, and what is said about the data set once it is
 * read.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_DATASET_OPTIONS_H
#define CTS_QUERY_DATASET_OPTIONS_H

#include <argp.h>

#include "data/ct_rate.h"

/* --reports, --labels, --metadata, --volumes. Its input is a zeroed cts_dataset_paths *, which borrows from argv; hand
 * both to cts_cli_parse_with(). */
extern const struct argp cts_dataset_argp;

/* One of the four was given. */
bool cts_dataset_given(const cts_dataset_paths *p);
/* Load, and say on standard error what does not fit together: records without a file (the first five by name), without
 * labels, rows that name no record, files that no record names. Those are no errors. CTS_E_USAGE when no option was
 * given; otherwise as cts_dataset_load(). *out is the caller's. */
int cts_dataset_open(cts_dataset **out, const cts_dataset_paths *p);

#endif
