/* Whole training recipes by name; docs/TRAINING.md has the reasons of every field. Options replace single fields.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_TRAINING_PRESETS_H
#define CTS_QUERY_TRAINING_PRESETS_H

#include "query/training/clip_run.h"

typedef struct {
    const char *name, *about;
    /* The published loss curve is meant: a model that cannot follow it is said, and the temperature stands still. */
    bool published;
    cts_train_setup setup;
} cts_train_preset;

int cts_train_preset_count(void);
const cts_train_preset *cts_train_preset_at(int i);
/* CTS_E_USAGE names the known ones. */
int cts_train_preset_find(const cts_train_preset **out, const char *name);

#endif
