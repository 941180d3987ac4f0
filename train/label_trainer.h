/* Supervised training on labels: the loop of `ctsearch train scroll` and `ctsearch train probe`.
 *
 * The loss is the binary cross entropy of every cell (volume, label), averaged over the cells of the micro-batch; a
 * positive cell of label l counts pos_weight[l] times. The loop, its steps, checkpoints and resume are train/loop.h's.
 *
 * What is trained are the entries of spec->params that are not frozen and that the tower reads. All others must be
 * frozen by the caller: the optimiser's decay would move them.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TRAIN_LABEL_TRAINER_H
#define CTS_TRAIN_LABEL_TRAINER_H

#include "encoders/tower.h"
#include "train/loop.h"

/* The records. All borrowed; must outlive the training. */
typedef struct {
    int64_t n;                                          /* records */
    int64_t volume[3];                                  /* z, x, y of every loaded record */
    int64_t n_labels;                                   /* those of the tower's logits */
    const uint8_t *labels;                              /* [n, n_labels] 0 or 1 */
    int (*load)(void *ctx, int64_t record, float *out); /* any thread */
    /* Change a loaded volume at random, for draw `seq` of the run; NULL = never. Pure. Called by one thread, after the
     * loader's cache. */
    int (*vary)(void *ctx, int64_t record, uint64_t seq, float *volume);
    const double *weights; /* [n] how often a record is drawn; NULL = all alike */
    void *ctx;
} cts_labelled;

typedef struct {
    cts_loop_config loop;
    const float *pos_weight; /* [n_labels]; NULL = 1 */
    bool recompute;          /* keep less for backward, compute more */
} cts_label_config;

typedef struct {
    void (*step)(void *ctx, const cts_loop_step *s); /* after each step; NULL allowed */
    /* At validations: put metrics into the object `into`, which goes to the log. Parameters hold still meanwhile. NULL
     * allowed. */
    int (*validate)(void *ctx, int64_t step, json_t *into);
    /* The plan of the tower, before the first step; NULL allowed. */
    void (*planned)(void *ctx, const cts_plan_info *tower, int64_t macs, size_t peak_bytes);
    void *ctx;
} cts_label_hooks;

/* Trains spec->params in place; spec->result is LOGITS. CTS_E_INTERRUPTED after Ctrl-C: a checkpoint of the last whole
 * step is on disk. Other failures leave the newest checkpoint as it was. result is filled as far as the run came. */
int cts_label_train(const cts_tower_spec *spec, const cts_labelled *data, const cts_label_config *config,
                    const cts_label_hooks *hooks, cts_backend *backend, cts_train_result *result);

/* Weights [n_labels] that make positives and negatives of a label count alike: negatives / positives, 1 for a label of
 * one class, at most `most`. */
void cts_label_pos_weight(float *out, const uint8_t *labels, int64_t n, int64_t n_labels, double most);
/* Weights [n] for class-balanced sampling: of every label, the volumes that have it and those that have it not share
 * one half of the draws each; a record's weight is the mean over the labels. Labels of one class do not count. */
void cts_label_balance(double *out, const uint8_t *labels, int64_t n, int64_t n_labels);

#endif
