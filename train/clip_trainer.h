/* Contrastive training of a CLIP pair: the loop of `ctsearch train clip`.
 *
 * A step takes `accumulate` micro-batches of `batch` pairs in a seeded order. Each micro-batch is its own softmax: an
 * anchor has batch - 1 negatives, and the log says so. Volumes that cannot be loaded make their micro-batch smaller and
 * are reported once and counted.
 * Everything that decides step s (order, dropout, learning rate) is a function of (seed, s), so a checkpoint is
 * parameters, states, moments and s; resuming on the same number of threads repeats the losses to the bit.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TRAIN_CLIP_TRAINER_H
#define CTS_TRAIN_CLIP_TRAINER_H

#include "encoders/clip.h"
#include "encoders/tower.h"
#include "train/adamw.h"
#include "train/schedule.h"

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
    cts_adamw_config adamw;
    cts_schedule schedule; /* .steps = all optimiser steps of the run */
    int64_t batch;         /* pairs a micro-batch */
    int64_t accumulate;    /* micro-batches a step */
    int64_t max_tokens;    /* longest text */
    bool shuffle, recompute;
    uint64_t seed;
    int64_t eval_every; /* steps between validations; 0 = only at the end */
    int64_t save_every; /* steps between checkpoints; 0 = only at the end and when interrupted */
    /* seconds; 0 = none. schedule.steps is then the most: the number of steps, and with it the learning rates,
     * follow the pace, and a run cannot be repeated to the bit */
    double time_budget;
    int loader_threads;
    size_t cache_bytes;      /* keep preprocessed volumes in memory up to this */
    const char *dir;         /* run folder: checkpoints/, log.jsonl; NULL = keep nothing */
    bool resume;             /* go on from the newest checkpoint of dir */
    int keep;                /* checkpoints kept */
    const char *data_digest; /* identifies the pairs; a resume with other data is refused */
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
    int64_t steps_done, steps;
    int64_t skipped;        /* distinct records that could not be loaded */
    double seconds, waited; /* in the loop; waiting for volumes */
    double first_loss, last_loss;
    size_t peak_bytes; /* planned: both towers, loss, parameters, gradients, moments */
} cts_train_result;

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
