/* What the trainings share around their loops: the recipe of the volumes, an encoder from a preset, the number of
 * steps, the model folder.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_TRAINING_PARTS_H
#define CTS_QUERY_TRAINING_PARTS_H

#include "data/recipe.h"
#include "encoders/model_dir.h"
#include "train/loop.h"

/* The recipe of the model init, or `given` when there is no init; NULL: none was named. CTS_E_USAGE when both are there
 * and do different things to voxels, or when init has none and none was named. */
int cts_train_recipe(cts_recipe *out, const cts_model *init, const cts_recipe *given);
/* {"encoder": .., "config": ..} of a preset, with the fields of `changes` (released) set in its config. */
int cts_train_encoder_json(json_t **out, const char *preset, json_t *changes);
/* Steps of so many passes over n records, whole batches only; at least 1. */
int64_t cts_train_epoch_steps(int64_t epochs, int64_t n, const cts_loop_config *c);
/* The running mean of the loss that the progress bar shows; *mean is 0 before the first step. */
void cts_train_smooth(double *mean, double loss);
/* The model folder `dir`; tokenizer: file, NULL = none. Fails as cts_model_dir_save(). */
int cts_train_model_save(const char *dir, const cts_clip *m, const char *tokenizer, const cts_recipe *recipe);

#endif
