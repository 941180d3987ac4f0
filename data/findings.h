/* The 18 findings of CT-RATE, in the order of its label files, with what a phantom and an evaluation need of each.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_DATA_FINDINGS_H
#define CTS_DATA_FINDINGS_H

#include <stddef.h>

#define CTS_FINDINGS 18

typedef struct {
    const char *name;    /* exact column name of the CT-RATE label CSV: "Medical material", ... */
    const char *slug;    /* "medical_material": for file names and options */
    int valid_positives; /* among the 3,039 validation volumes */
} cts_finding_def;

extern const cts_finding_def cts_findings[CTS_FINDINGS];
/* Index by name or slug, case-insensitive; -1 when unknown. */
int cts_finding_find(const char *name);

#endif
