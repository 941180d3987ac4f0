/* The options of a command that reads single scans: what a CSV or the command line says of their voxels where the file
 * does not, as CT-RATE's files do.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_SCAN_OPTIONS_H
#define CTS_QUERY_SCAN_OPTIONS_H

#include <argp.h>

#include "query/cli.h"
#include "query/engine.h"

/* Zero it before parsing and before opening; strings are argv's. */
typedef struct {
    const char *metadata;  /* CSV */
    double spacing_xyz[3]; /* mm along i, j, k; all 0 = not given */
    double rescale[2];     /* slope 0 = not given */
    cts_dataset *csv;      /* of metadata, once open */
} cts_scan_options;

/* --metadata, --spacing, --rescale; its input is a cts_scan_options *. */
extern const struct argp cts_scan_argp;
bool cts_scan_options_given(const cts_scan_options *o);
/* Read the CSV where there is one; end with cts_scan_options_close(). Fails as cts_dataset_load(). */
int cts_scan_options_open(cts_scan_options *o);
void cts_scan_options_close(cts_scan_options *o);
/* The scan at `path` with what is said of it; --spacing and --rescale go before the CSV. *out borrows from o and path.
 * CTS_E_INPUT when the CSV does not name it. */
int cts_scan_source(cts_volume_source *out, const cts_scan_options *o, const char *path);

#endif
