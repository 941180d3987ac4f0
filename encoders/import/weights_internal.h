/* An open set of weights: one file, or the files of an index.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_IMPORT_WEIGHTS_INTERNAL_H
#define CTS_ENCODERS_IMPORT_WEIGHTS_INTERNAL_H

#include "encoders/import/torch_file.h"
#include "encoders/import/weights.h"

struct cts_weights {
    char *path;
    /* exactly one of the three */
    cts_safetensors *safetensors;
    cts_torch_file *torch;
    cts_weights **shard;
    int n_shards;

    cts_weight *t; /* names are the files' */
    const cts_weight **by_name;
    int n;
};

/* One file by its content; an index is none. */
int cts_weights_open_file(cts_weights **out, const char *path);
/* Fill w->shard and w->t from the index at w->path. */
int cts_weights_read_index(cts_weights *w);
/* Sort w->by_name once w->t is complete. */
int cts_weights_sort(cts_weights *w);

#endif
