/* A plan inside. SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_IMPORT_IMPORT_INTERNAL_H
#define CTS_ENCODERS_IMPORT_IMPORT_INTERNAL_H

#include "encoders/import/import.h"

typedef struct {
    const cts_weight *w; /* NULL = made: `value` throughout */
    int param;           /* index in the model's parameters; -1 = dropped */
    bool alias;          /* its rule allows a second name */
    float value;
    const char *note; /* constant text */
    char *own_note;   /* the row's; goes before note */
} plan_row;

struct cts_import_plan {
    const cts_weights *weights;
    const cts_import_family *family;
    cts_import_keys keys;
    cts_import_draft draft;
    cts_clip *model; /* parameters are declared and hold no data */
    plan_row *row;
    int n_rows;
    plan_row **source; /* [parameters] the row it comes from */
};

#endif
