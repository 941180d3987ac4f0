/* The training loop that every kind of training shares: order and loading of records, AdamW, schedule, time budget,
 * log, checkpoints, resume, Ctrl-C. What a micro-batch does is the task's.
 *
 *     cts_loop_open(&l, &config, &task, pool, &result);      reads the newest checkpoint when resuming
 *     ... towers are made with cts_loop_grads(l) ...
 *     cts_loop_run(l);                                       calls the task
 *     cts_loop_close(l);
 *
 * A step takes `accumulate` micro-batches of `batch` records in a seeded order. Records that cannot be loaded make
 * their micro-batch smaller and are reported once and counted. Everything that decides step s (order, learning rate,
 * and what the task draws from the numbers it is given) is a function of (seed, s), so a checkpoint is parameters,
 * states, moments and s; resuming on the same number of threads repeats the losses to the bit.
 * One thread of the caller's.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TRAIN_LOOP_H
#define CTS_TRAIN_LOOP_H

#include <jansson.h>

#include "kernels/base/thread.h"
#include "kernels/params.h"
#include "train/adamw.h"
#include "train/schedule.h"

typedef struct {
    cts_adamw_config adamw;
    cts_schedule schedule; /* .steps = all optimiser steps of the run */
    int64_t batch;         /* records a micro-batch */
    int64_t accumulate;    /* micro-batches a step */
    bool shuffle;
    uint64_t seed;
    int64_t eval_every; /* steps between validations; 0 = eval_parts of them, spread evenly */
    int64_t eval_parts; /* 0 or 1 = only at the end */
    int64_t save_every; /* steps between checkpoints; 0 = only at the end and when interrupted */
    /* seconds; 0 = none. schedule.steps is then the most: the number of steps, and with it the learning rates,
     * follow the pace, and a run cannot be repeated to the bit */
    double time_budget;
    int loader_threads;
    size_t cache_bytes;      /* keep loaded records in memory up to this */
    const char *dir;         /* run folder: checkpoints/, log.jsonl; NULL = keep nothing */
    bool resume;             /* go on from the newest checkpoint of dir */
    int keep;                /* checkpoints kept */
    const char *data_digest; /* identifies the records; a resume with other data is refused */
} cts_loop_config;

typedef struct {
    int64_t step; /* 1, 2, ...: steps done */
    int64_t steps;
    double loss, lr, grad_norm;
    double seconds; /* of this step */
} cts_loop_step;

typedef struct {
    int64_t steps_done, steps;
    int64_t skipped;        /* distinct records that could not be loaded */
    double seconds, waited; /* in the loop; waiting for records */
    double first_loss, last_loss;
    size_t peak_bytes; /* planned: towers, loss, parameters, gradients, moments; set by the task's owner */
} cts_train_result;

typedef struct cts_loop cts_loop;

/* What is trained. All borrowed; must outlive the loop. */
typedef struct {
    const char *kind; /* for the checkpoint: the loss */
    cts_params *params;
    int64_t n;             /* records */
    size_t item_floats;    /* floats of a loaded record */
    const double *weights; /* [n] how often a record is drawn (train/order.h); NULL = all alike */
    int (*load)(void *ctx, int64_t record, float *out); /* any thread */
    /* Micro-batch `number` of the run (0, 1, 2, ..), `index` of its step: cts_loop_gather(), forward, backward, which
     * adds to the gradients. Its mean loss in *loss. */
    int (*micro)(void *ctx, cts_loop *l, uint64_t number, int64_t index, double *loss);
    /* Parameters were changed by the optimiser. */
    int (*changed)(void *ctx);
    /* After each step, before its line is written; NULL allowed. line is NULL without a log. */
    int (*stepped)(void *ctx, const cts_loop_step *s, json_t *line);
    /* At validations: put metrics into the object `into`, which goes to the log. NULL = none. */
    int (*validate)(void *ctx, int64_t step, json_t *into);
    void *ctx;
} cts_loop_task;

/* config is copied. On success the caller ends it with cts_loop_close(), also when cts_loop_run() fails. */
int cts_loop_open(cts_loop **out, const cts_loop_config *config, const cts_loop_task *task, cts_pool *pool,
                  cts_train_result *result);
cts_grads *cts_loop_grads(cts_loop *l);        /* borrowed */
size_t cts_loop_bytes(const cts_loop *l);      /* values, gradients and two moments of the parameters */
int64_t cts_loop_step_done(const cts_loop *l); /* 0, or that of the checkpoint */
/* CTS_E_INTERRUPTED after Ctrl-C: a checkpoint of the last whole step is on disk. Other failures leave the newest
 * checkpoint as it was. result is filled as far as the run came, also on failure. */
int cts_loop_run(cts_loop *l);
void cts_loop_close(cts_loop *l); /* NULL allowed */

/* For micro(): the records of the next `batch` sequence numbers that could be loaded: floats [batch, item_floats],
 * record and seq [batch] (seq: place in the whole run, another one each time a record is drawn). Returns how many. */
int64_t cts_loop_gather(cts_loop *l, float *floats, int64_t *record, uint64_t *seq);
/* Epoch of a sequence number. */
uint64_t cts_loop_epoch(const cts_loop *l, uint64_t seq);

#endif
