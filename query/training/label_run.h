/* A whole supervised training run: data, model, loop, validation, model folder. `train scroll` and `train probe` fill
 * the setup from their options.
 *
 * Run folder: model/ (the best model by validation macro AUROC, with thresholds.json; the last one without validation
 * data), checkpoints/, log.jsonl, and of a probe features.npy, features.json.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_TRAINING_LABEL_RUN_H
#define CTS_QUERY_TRAINING_LABEL_RUN_H

#include "data/augment.h"
#include "query/cli.h"
#include "query/thresholds.h"
#include "query/training/label_set.h"
#include "train/label_trainer.h"

typedef enum {
    CTS_LABEL_ALL,  /* every parameter that the logits depend on is trained */
    CTS_LABEL_HEAD, /* a linear head on the frozen encoder, whose vectors are computed once and kept */
    CTS_LABEL_DRIFT /* the published probe: only the head is trained, but batch norms and code books keep moving */
} cts_label_mode;

typedef struct {
    cts_dataset_paths train, valid; /* valid.labels NULL = no validation */
    const char *out;                /* run folder */
    cts_label_mode mode;
    const char *findings; /* list of names; NULL = all 18 */
    /* the model */
    const char *init;                            /* model folder to start from; NULL = new */
    const char *init_head;                       /* model folder whose linear head this run starts from; NULL = drawn */
    const char *encoder;                         /* preset of a new image encoder */
    const char *trunk;                           /* ImageNet ResNet-18 for a new CT-Scroll; NULL = drawn */
    int64_t width, embed, window, heads, blocks; /* of a new CT-Scroll; -1 = the preset's */
    double dropouts[3];                          /* of its projection, attention, head; -1 = the preset's */
    cts_recipe recipe;
    bool recipe_given;
    /* What is asked for of a linear head; the rest is as the encoder's family published it. With any of them the head
     * is linear. */
    struct {
        bool input_given, relu_given, dropout_given;
        cts_head_input input;
        bool relu;
        double dropout;
    } head;
    /* training */
    const char *pos_weight; /* "none", "balanced", "published" or a JSON file */
    bool balance;           /* class-balanced draws */
    cts_augment augment;
    int64_t epochs;         /* > 0: steps = epochs * volumes / (batch * accumulate) */
    cts_label_config label; /* loop.dir, .data_digest, .seed and pos_weight are filled in by the run */
} cts_label_setup;

typedef struct {
    cts_train_result loop;
    size_t volumes, without_volume, without_labels, validation;
    cts_orientation_tally axes; /* of the training volumes that were read */
    int64_t params, trained, macs;
    bool cached;               /* a probe's vectors were there already */
    int64_t best_step;         /* -1 = no validation */
    double last_macro;         /* of the last validation */
    cts_thresholds thresholds; /* of the model folder, owned; no labels without validation */
    char model[512];           /* model folder */
} cts_label_summary;

/* End the summary with cts_label_summary_clear(), also after a failure. */
int cts_label_run(const cts_label_setup *s, const cts_common *common, cts_runtime *rt, cts_label_summary *summary);
void cts_label_summary_clear(cts_label_summary *s);

#endif
