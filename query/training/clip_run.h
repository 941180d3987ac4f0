/* A whole contrastive training run: data, tokenizer, model, loop, validation, model folder. `train clip` fills the
 * setup from its options, the demo from its own.
 *
 * Run folder: model/ (the model folder, written when training ends and at every checkpoint), checkpoints/, log.jsonl,
 * tokenizer file while training.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_TRAINING_CLIP_RUN_H
#define CTS_QUERY_TRAINING_CLIP_RUN_H

#include "data/ct_rate.h"
#include "data/recipe.h"
#include "query/cli.h"
#include "query/evaluate.h"
#include "train/clip_trainer.h"
#include "train/report_tokens.h"

typedef struct {
    cts_dataset_paths train, valid; /* valid.volumes NULL = no validation */
    const char *out;                /* run folder */
    const char *init;               /* model folder to start from; NULL = new */
    const char *image, *text;       /* encoder presets of a new model */
    const char *tokenizer;          /* file; NULL = learned from the training reports */
    const char *tokenizer_kind;     /* "wordpiece", "unigram", "bpe" */
    int32_t vocab;                  /* of a learned one */
    int64_t latent;
    int64_t codebook;      /* codes of a new image encoder's quantiser; 0 = none */
    const char *reduction; /* of a new image encoder: "channel", "depth", "none" */
    bool learned_temperature;
    double temperature;   /* log of the scale; initial value when learned */
    double dropout;       /* of a new text encoder */
    const char *pooling;  /* of a new text encoder: "cls" or "mean" */
    double text_init;     /* standard deviation of its initial weights */
    bool projection_norm; /* of a new model: batch norms before the projections (encoders/clip.h) */
    cts_recipe recipe;
    bool recipe_given;         /* with init: refuse another recipe than the model's */
    const char *report_text;   /* text mode; NULL = the initial model's, or clean */
    bool constant_temperature; /* with init: keep the scale where it is, even if the model learns it */
    cts_draw_kind draw;
    int64_t impressions;        /* of sentence draws: so many first epochs read impressions only */
    cts_clip_train_config clip; /* loop.dir, .data_digest, .seed are filled in by the run */
    int64_t epochs;             /* > 0: steps = epochs * pairs / (batch * accumulate) */
} cts_train_setup;

/* The preset "ctsearch" (query/training/presets.h). docs/BENCHMARK.md has what it reaches. */
cts_train_setup cts_train_defaults(void);

typedef struct {
    cts_train_result loop;
    size_t pairs, without_volume, without_report;
    cts_orientation_tally axes; /* of the training volumes that were read */
    bool validated;
    double valid_loss;
    cts_zeroshot_result zeroshot;
    cts_recall_result recall;
    int64_t params;
    char model[512]; /* model folder */
} cts_train_summary;

int cts_train_run(const cts_train_setup *s, const cts_common *common, cts_runtime *rt, cts_train_summary *summary);

#endif
