/* The picture of one explanation: the hottest slices bare and under the heat, a coronal view through the hottest voxel
 * with the profile along the body beside it, and the legend.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EXPLAIN_PICTURE_H
#define CTS_QUERY_EXPLAIN_PICTURE_H

#include "query/explain/heat.h"
#include "query/scan_picture.h"

#define CTS_EXPLAIN_SLICES 3
#define CTS_EXPLAIN_LINES 10

typedef struct {
    const char *title;                    /* "Pleural effusion 0.91" */
    const char *lines[CTS_EXPLAIN_LINES]; /* of the legend, NULL ends them early */
    cts_hu_window window;
    int64_t slice[CTS_EXPLAIN_SLICES]; /* from cts_heat_top() */
    int n_slices;                      /* without heat 0: the middle slice is shown */
    int pixels;                        /* longer side of a tile; 0 = 300 */
} cts_explain_picture_spec;

/* RGB PNG, written atomically. CTS_E_NOMEM, CTS_E_LIMIT, CTS_E_IO. */
int cts_explain_picture(const char *path, const cts_volume *scan, const cts_heat *h, const cts_explain_picture_spec *s);

#endif
