/* Training checkpoints: one file <dir>/checkpoint-<step>.safetensors that holds parameters and states ("model.<name>"),
 * named float arrays of the trainer ("train.<name>": optimiser moments) and a JSON object (configuration, schedule,
 * random state, data position) in its metadata. Written to a temporary name, synced, renamed: it exists whole or not at
 * all; older ones are removed only afterwards.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_CHECKPOINT_H
#define CTS_ENCODERS_CHECKPOINT_H

#include "encoders/safetensors.h"
#include "kernels/params.h"

typedef struct {
    const char *name;
    int64_t count;
    const float *data;
} cts_checkpoint_array;

/* keep: how many checkpoints of dir to keep, this one included; 0 = all. Makes dir. *path (NULL allowed, free()) is the
 * file written. */
int cts_checkpoint_save(char **path, const char *dir, int64_t step, const cts_params *p,
                        const cts_checkpoint_array *arrays, int n, const json_t *info, int keep);
/* The checkpoint of highest step in dir that opens as a whole file; path itself when it is a file. Unreadable newer
 * ones are logged and passed over. CTS_E_NOTFOUND when there is none. Free with free(). */
int cts_checkpoint_latest(char **path, const char *dir_or_file);

typedef struct cts_checkpoint cts_checkpoint;
int cts_checkpoint_open(cts_checkpoint **out, const char *path);
void cts_checkpoint_close(cts_checkpoint *c); /* NULL allowed */
int64_t cts_checkpoint_step(const cts_checkpoint *c);
const json_t *cts_checkpoint_info(const cts_checkpoint *c); /* borrowed */
/* Strict, as cts_params_load(). */
int cts_checkpoint_params(const cts_checkpoint *c, cts_params *p);
/* Exactly count floats of array `name`; CTS_E_MISMATCH otherwise. */
int cts_checkpoint_read(const cts_checkpoint *c, const char *name, float *dst, int64_t count);
bool cts_checkpoint_has(const cts_checkpoint *c, const char *name);

#endif
