/* What resume needs beside the parameters: the optimiser's moments, the step, and what the run was, so that a resume
 * under other conditions is refused.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TRAIN_STATE_H
#define CTS_TRAIN_STATE_H

#include <stdio.h>

#include "train/loop.h"

/* Write <dir>/checkpoints/checkpoint-<step>.safetensors atomically. */
int cts_train_state_save(const cts_loop_config *c, const cts_loop_task *t, const cts_adamw *a, int64_t step);
/* Newest checkpoint of the run into t->params and a; *step = its step, *steps = the total it was planned for.
 * CTS_E_NOTFOUND when there is none; CTS_E_MISMATCH when seed, batch, kind, number of records or data digest differ. */
int cts_train_state_load(const cts_loop_config *c, const cts_loop_task *t, cts_adamw *a, int64_t *step, int64_t *steps);

/* log.jsonl of the run: lines of later steps than `step` are dropped (a resume repeats them), then the file is open
 * for appending. step 0 starts anew. */
int cts_train_log_open(FILE **out, const char *dir, int64_t step);
/* Largest number that a line of log.jsonl in dir has under `key`; NaN without one or without a log. */
int cts_train_log_max(double *out, const char *dir, const char *key);
/* One object as one line, flushed. */
int cts_train_log_line(FILE *f, const json_t *line);

#endif
