/* A start for contrastive training from scratch. The pooled features of a new encoder are nearly the same for every
 * input: a large common mean and small differences. Behind a bias-free projection and the L2 norm all embeddings then
 * point in one direction, the logits of a batch are equal, and hundreds of steps go by before the loss moves. Taking the
 * mean direction out of the projection's rows, W <- W (I - m m' / |m|^2), leaves the differences alone to decide.
 * It is an initial value, like any other: the architecture does not change.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TRAIN_CLIP_INIT_H
#define CTS_TRAIN_CLIP_INIT_H

#include "train/clip_trainer.h"

/* Centre both projections of a new model by the means of up to n pairs (in record order; records that cannot be loaded
 * are passed over). Batch statistics are used, states stay as they are. CTS_E_INPUT when fewer than 2 pairs load. */
int cts_clip_center_projections(cts_clip *m, const cts_pairs *pairs, int64_t n, int64_t max_tokens,
                                cts_backend *backend);

#endif
