/* What the golden tests of CT-ViT and CT-CLIP share: configurations of their files, weights and volumes by their own
 * formula rules, and comparisons by the largest deviation. Every function ends the running test when it cannot deliver.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_SUPPORT_CTCLIP_RUN_H
#define CTS_TESTS_SUPPORT_CTCLIP_RUN_H

#include "tests/support/model_run.h"

/* Configuration of encoder "ctvit" from the metadata "config" of the file and the number of slices, which published
 * configurations do not have; json_decref(). */
json_t *cts_ctclip_config(const cts_golden *g, int64_t depth, const char *reduction);

/* As cts_test_weights(), by the rules of these files; the temperature too. */
void cts_ctclip_weights(cts_params *p, const cts_golden *g, uint64_t seed, const char *stored, const char *formula);

/* Volume (b, t, h, w) by the rule of these files. */
void cts_ctclip_volume(float *out, uint64_t seed, const char *name, const int64_t shape[4]);
/* Tensor `name` (b, 1, t, h, w) of the file, or its formula numbers where the file leaves it out; shape is given then,
 * and set otherwise. malloc'd. */
float *cts_ctclip_need_volume(const cts_golden *g, const char *name, int64_t shape[4]);

/* Largest |got - golden| <= relative * largest |golden| + absolute; tensors stored in full only. Prints a miss. */
bool cts_ctclip_max_near(const cts_golden *g, const char *name, const float *got, size_t n, double relative,
                         double absolute);

/* All gradients of the file named <prefix><parameter> against grads: every stored one must belong to a parameter and
 * the other way round, the parameters of metadata "without_gradient" must not exist. Those of "zero_gradient" are sums
 * of terms that cancel: they are held to 1e-6, or to 1e-6 of the file's largest gradient where that is above 1 (the
 * published float32 run itself is 5e-6 off in ctvit_mini, whose largest is 15). */
bool cts_ctclip_grads_near(const cts_golden *g, const char *prefix, const cts_params *p, const cts_grads *grads,
                           double relative);

#endif
