/* What resume needs beside the parameters: the optimiser's moments, the step, and what the run was, so that a resume
 * under other conditions is refused.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TRAIN_STATE_H
#define CTS_TRAIN_STATE_H

#include <stdio.h>

#include "train/clip_trainer.h"

/* Write <dir>/checkpoints/checkpoint-<step>.safetensors atomically. */
int cts_train_state_save(const cts_clip_train_config *c, const cts_clip *m, const cts_adamw *a, int64_t step,
                         const cts_pairs *pairs);
/* Newest checkpoint of the run into m and a; *step = its step, *steps = the total it was planned for. CTS_E_NOTFOUND
 * when there is none; CTS_E_MISMATCH when seed, batch, number of pairs or data digest differ. */
int cts_train_state_load(const cts_clip_train_config *c, cts_clip *m, cts_adamw *a, const cts_pairs *pairs,
                         int64_t *step, int64_t *steps);

/* log.jsonl of the run: lines of later steps than `step` are dropped (a resume repeats them), then the file is open
 * for appending. step 0 starts anew. */
int cts_train_log_open(FILE **out, const char *dir, int64_t step);
/* One object as one line, flushed. */
int cts_train_log_line(FILE *f, const json_t *line);

#endif
