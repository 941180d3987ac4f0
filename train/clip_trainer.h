/* Contrastive training of a CLIP pair: the loop of `ctsearch train clip`.
 *
 * The loop, its steps, checkpoints and resume are train/loop.h's. Each micro-batch is its own softmax: an anchor has
 * batch - 1 negatives, and the log says so.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TRAIN_CLIP_TRAINER_H
#define CTS_TRAIN_CLIP_TRAINER_H

#include "encoders/clip.h"
#include "encoders/tower.h"
#include "train/loop.h"

/* The pairs. All borrowed; must outlive the training. */
typedef struct {
    int64_t n;                                             /* pairs */
    int64_t volume[3];                                     /* z, x, y of every loaded volume */
    int (*load)(void *ctx, int64_t record, float *volume); /* any thread */
    /* Ids of the text of a record at a given draw (the epoch): writes at most max_tokens ids, returns how many (>=
     * 1). Pure. */
    int32_t (*text)(void *ctx, int64_t record, uint64_t draw, int32_t *ids, int32_t max_tokens);
    /* A number that is equal for records whose texts are equal. */
    uint64_t (*text_key)(void *ctx, int64_t record);
    void *ctx;
} cts_pairs;

typedef struct {
    cts_loss_kind loss;
    int64_t max_tokens; /* longest text */
    bool recompute;
    cts_loop_config loop; /* records are pairs */
} cts_clip_train_config;

typedef struct {
    int64_t step; /* 1, 2, ...: steps done */
    int64_t steps;
    double loss, lr, grad_norm, scale; /* scale = exp(temperature) */
    double seconds;                    /* of this step */
    int64_t negatives;                 /* fewest an anchor of this step had */
    int64_t equal_texts; /* pairs of equal text that were treated as negatives of each other, in this step */
} cts_step_report;

typedef struct {
    /* After each step. */
    void (*step)(void *ctx, const cts_step_report *r);
    /* At eval_every and at the end: put metrics into the object `into`, which goes to the log. Parameters hold still
     * meanwhile. */
    int (*validate)(void *ctx, int64_t step, json_t *into);
    /* The plan, before the first step. */
    void (*planned)(void *ctx, const cts_plan_info *image, const cts_plan_info *text, size_t peak_bytes);
    void *ctx;
} cts_train_hooks;

/* Trains m in place. CTS_E_INTERRUPTED after Ctrl-C: a checkpoint of the last whole step is on disk. Other failures
 * leave the newest checkpoint as it was. result is filled as far as the run came (also on failure). */
int cts_clip_train(cts_clip *m, const cts_pairs *pairs, const cts_clip_train_config *config,
                   const cts_train_hooks *hooks, cts_backend *backend, cts_train_result *result);

#endif
