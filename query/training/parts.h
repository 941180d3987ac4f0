/* What the trainings share in making a model: the recipe of its volumes, an encoder from a preset.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_TRAINING_PARTS_H
#define CTS_QUERY_TRAINING_PARTS_H

#include "data/recipe.h"
#include "encoders/model_dir.h"

/* The recipe of the model init, or `given` when there is no init; NULL: none was named. CTS_E_USAGE when both are there
 * and do different things to voxels, or when init has none and none was named. */
int cts_train_recipe(cts_recipe *out, const cts_model *init, const cts_recipe *given);
/* {"encoder": .., "config": ..} of a preset, with the fields of `changes` (released) set in its config. */
int cts_train_encoder_json(json_t **out, const char *preset, json_t *changes);

#endif
