/* Tiny random models in the scratch folder of cts_program_dir(), for tests of the program.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_SUPPORT_SMALL_MODEL_H
#define CTS_TESTS_SUPPORT_SMALL_MODEL_H

#include <stdint.h>

/* Configurations for volumes of 24 x 32 x 32: a CT-Scroll of the 18 findings by its own head; a DCFormer with a linear
 * head over three findings that are not in the order of the 18; the same with labels that are nobody's findings; a
 * DCFormer without head; a CT-ViT with its projection and code book, as CT-CLIP has them, without head. */
extern const char cts_small_scroll[], cts_small_linear[], cts_small_foreign[], cts_small_headless[], cts_small_ctvit[];

/* Save a model of this config.json with random weights, without tokenizer, and a recipe that fits the field of view
 * into its volume. Biases of heads are random too, so that no two labels of a scan score alike. */
void cts_small_model(const char *name, const char *config, uint64_t seed);

#endif
