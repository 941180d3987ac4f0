/* The options that every kind of training shares: the run folder, how long and how fast, the volumes and how they are
 * prepared, validation data. `train clip`, `train scroll` and `train probe` add their own.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_TRAINING_LOOP_OPTIONS_H
#define CTS_QUERY_TRAINING_LOOP_OPTIONS_H

#include <argp.h>

#include "data/ct_rate.h"
#include "data/recipe.h"
#include "train/loop.h"

typedef struct {
    /* Set before parsing. */
    cts_loop_config *loop;      /* holds the defaults; what is given is written there; borrowed */
    int64_t least_batch;        /* 0 = 1 */
    const char *default_recipe; /* name; NULL = the model's */
    /* For --help, where the default is not what *loop holds; NULL = that. */
    const char *default_steps, *default_batch, *default_lr;
    /* What was given; strings are argv's. */
    cts_dataset_paths train, valid;
    const char *out; /* run folder */
    int64_t epochs;  /* 0 = not given */
    double minutes;  /* 0 = not given */
    bool recompute;
    bool steps_given, batch_given, lr_given;
    cts_recipe recipe; /* of --recipe; after cts_loop_options_finish() what holds */
    bool recipe_given; /* by name or, after that call, by its fields */
    bool free_recipe;  /* by its fields: */
    double spacing[3], size[3], hu_window[2];
    cts_loop_config defaults; /* *loop as it was before parsing */
} cts_loop_options;

/* Its input is a cts_loop_options *; the data options (query/dataset_options.h) are its child. The groups of --help:
 * 2 run, 3 validation, 6 volumes, 7 optimisation; an option of a command that belongs there has the number. */
extern const struct argp cts_loop_argp;

/* After parsing: the time budget, and the recipe that is asked for, or the default one. Fails as cts_recipe_free() and
 * cts_recipe_find(). */
int cts_loop_options_finish(cts_loop_options *o);

#endif
