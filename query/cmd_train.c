/* `ctsearch train clip`. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/base/status.h"
#include "query/cmd_train_labels.h"
#include "query/dataset_options.h"
#include "query/orientation.h"
#include "query/session.h"
#include "query/training/clip_run.h"
#include "query/training/presets.h"

typedef struct {
    cts_train_setup s;
    const cts_train_preset *preset;
    int model_key; /* of an option that shapes a new model; 0 = none was given */
    double spacing[3], size[3], window[2];
    bool free_recipe;
    double minutes;
    cts_dataset_paths data;
} options;

enum {
    KEY_VAL_REPORTS = 0x2000,
    KEY_VAL_LABELS,
    KEY_VAL_METADATA,
    KEY_VAL_VOLUMES,
    KEY_INIT,
    KEY_IMAGE,
    KEY_TEXT,
    KEY_TOKENIZER,
    KEY_KIND,
    KEY_VOCAB,
    KEY_LATENT,
    KEY_TEMPERATURE,
    KEY_SCALE,
    KEY_DROPOUT,
    KEY_POOLING,
    KEY_TEXT_INIT,
    KEY_NO_NORM,
    KEY_RECIPE,
    KEY_SPACING,
    KEY_SIZE,
    KEY_WINDOW,
    KEY_LOSS,
    KEY_BATCH,
    KEY_ACCUMULATE,
    KEY_STEPS,
    KEY_EPOCHS,
    KEY_LR,
    KEY_MIN_LR,
    KEY_WARMUP,
    KEY_SCHEDULE,
    KEY_DECAY,
    KEY_BETAS,
    KEY_CLIP,
    KEY_TOKENS,
    KEY_DRAW,
    KEY_IMPRESSIONS,
    KEY_NO_SHUFFLE,
    KEY_RECOMPUTE,
    KEY_EVAL,
    KEY_SAVE,
    KEY_MINUTES,
    KEY_RESUME,
    KEY_CACHE,
    KEY_LOADERS,
    KEY_KEEP,
    KEY_PRESET,
    KEY_CODEBOOK,
    KEY_REDUCTION
};

static const struct argp_option argp_options[] = {
    {NULL, 0, NULL, 0, "Run:", 1},
    {"out", 'o', "DIR", 0, "Run folder: model/, checkpoints/, log.jsonl (needed)", 1},
    {"preset", KEY_PRESET, "NAME", 0,
     "Defaults of everything below: ctsearch (ours, the default) or dcformer-published; see docs/TRAINING.md", 1},
    {"resume", KEY_RESUME, NULL, 0, "Go on from the newest checkpoint in the run folder", 1},
    {"steps", KEY_STEPS, "N", 0, "Optimiser steps (default 1000)", 1},
    {"epochs", KEY_EPOCHS, "N", 0, "Instead of --steps: passes over the pairs", 1},
    {"minutes", KEY_MINUTES, "M", 0, "Lower the number of steps so that the loop takes at most this long", 1},
    {"eval-every", KEY_EVAL, "N", 0, "Steps between validations and model saves (default: only at the end)", 1},
    {"save-every", KEY_SAVE, "N", 0, "Steps between checkpoints (default: only at the end and when interrupted)", 1},
    {"keep", KEY_KEEP, "N", 0, "Checkpoints kept (default 2)", 1},
    {NULL, 0, NULL, 0, "Validation data:", 3},
    {"val-reports", KEY_VAL_REPORTS, "CSV", 0, "Reports of the validation volumes", 3},
    {"val-labels", KEY_VAL_LABELS, "CSV", 0, "Their labels, for zero-shot AUROC", 3},
    {"val-metadata", KEY_VAL_METADATA, "CSV", 0, "Their metadata", 3},
    {"val-volumes", KEY_VAL_VOLUMES, "DIR", 0, "Their files", 3},
    {NULL, 0, NULL, 0, "Model:", 4},
    {"init", KEY_INIT, "MODEL", 0, "Start from this model folder: weights, configuration, tokenizer and recipe are its",
     4},
    {"image", KEY_IMAGE, "PRESET", 0, "Image encoder of a new model (default dcformer-nano; see ctsearch models)", 4},
    {"text", KEY_TEXT, "PRESET", 0, "Text encoder of a new model (default bert-tiny)", 4},
    {"latent", KEY_LATENT, "N", 0, "Width of the shared space (default 512)", 4},
    {"codebook", KEY_CODEBOOK, "N", 0, "Codes of a new image encoder's quantiser; 0 = none (default 0)", 4},
    {"reduction", KEY_REDUCTION, "KIND", 0, "From its tokens to a vector: channel, depth or none (default channel)", 4},
    {"tokenizer", KEY_TOKENIZER, "FILE", 0, "vocab.txt or SentencePiece model (default: learned from the reports)", 4},
    {"tokenizer-kind", KEY_KIND, "KIND", 0, "Kind of a learned one: wordpiece, unigram, bpe (default wordpiece)", 4},
    {"vocab", KEY_VOCAB, "N", 0, "Largest size of a learned one (default 4000)", 4},
    {"temperature", KEY_TEMPERATURE, "KIND", 0, "learned or constant (default learned)", 4},
    {"scale", KEY_SCALE, "X", 0, "Initial or constant scale of the similarities (default 2.718, as published)", 4},
    {"dropout", KEY_DROPOUT, "P", 0, "Dropout of a new text encoder (default 0.1)", 4},
    {"pooling", KEY_POOLING, "KIND", 0, "What a new text encoder projects: mean of the tokens or cls (default mean)",
     4},
    {"text-init", KEY_TEXT_INIT, "X", 0, "Standard deviation of its initial weights (default 0.05; BERT: 0.02)", 4},
    {"no-projection-norm", KEY_NO_NORM, NULL, 0, "No batch norm before a new model's projections, as published", 4},
    {NULL, 0, NULL, 0, "Volumes:", 5},
    {"recipe", KEY_RECIPE, "NAME|FILE.json", 0, "Named preprocessing, such as dcformer-512 (the default)", 5},
    {"size", KEY_SIZE, "Z,X,Y", 0, "Free recipe: voxels of the tensor", 5},
    {"spacing", KEY_SPACING, "Z,X,Y", 0, "Free recipe: mm; 0,0,0 fits the whole field of view into the size (default)",
     5},
    {"window", KEY_WINDOW, "LO,HI", 0, "Free recipe: HU window that becomes -1..1 (default -1000,1000)", 5},
    {"cache-mb", KEY_CACHE, "N", 0, "Keep prepared volumes in memory up to this (default 2048)", 5},
    {"loaders", KEY_LOADERS, "N", 0, "Threads that read volumes ahead (default 2)", 5},
    {NULL, 0, NULL, 0, "Optimisation:", 6},
    {"loss", KEY_LOSS, "KIND", 0, "infonce, dcformer (published form) or siglip (default infonce)", 6},
    {"batch", KEY_BATCH, "N", 0, "Pairs that are each other's negatives (default 16)", 6},
    {"accumulate", KEY_ACCUMULATE, "N", 0, "Batches a step; negatives stay those of one batch (default 1)", 6},
    {"lr", KEY_LR, "X", 0, "Peak learning rate (default 1e-3)", 6},
    {"min-lr", KEY_MIN_LR, "X", 0, "Learning rate at the end of the cosine (default 1e-5)", 6},
    {"warmup", KEY_WARMUP, "N", 0, "Steps of linear warm-up (default 50)", 6},
    {"schedule", KEY_SCHEDULE, "KIND", 0, "cosine or constant (default cosine)", 6},
    {"weight-decay", KEY_DECAY, "X", 0, "On weights, not on biases and norms (default 0.1)", 6},
    {"betas", KEY_BETAS, "B1,B2", 0, "Of AdamW (default 0.9,0.98)", 6},
    {"clip", KEY_CLIP, "X", 0, "Largest gradient norm; 0 = no clipping (default 1)", 6},
    {"max-tokens", KEY_TOKENS, "N", 0, "Longest text (default 256)", 6},
    CTS_OPTION_REPORT_TEXT,
    {"text-draw", KEY_DRAW, "KIND", 0,
     "sentences: a part of the report, another each epoch; report: all of it (default sentences)", 6},
    {"impression-epochs", KEY_IMPRESSIONS, "N", 0,
     "Of sentence draws: first epochs that read impressions only; then both (default 4)", 6},
    {"no-shuffle", KEY_NO_SHUFFLE, NULL, 0, "Take the pairs in CSV order, epoch after epoch", 6},
    {"recompute", KEY_RECOMPUTE, NULL, 0, "Keep less for backward: less memory, more time", 6},
    {0}};

static const char *option_name(int key)
{
    for (size_t i = 0; i < sizeof argp_options / sizeof argp_options[0]; i++)
        if (argp_options[i].key == key && argp_options[i].name)
            return argp_options[i].name;
    return "?";
}

/* Options that shape a new model. */
static error_t parse_shape(options *o, int key, char *arg, struct argp_state *state)
{
    cts_train_setup *s = &o->s;

    switch (key) {
    case KEY_IMAGE:
        s->image = arg;
        return 0;
    case KEY_TEXT:
        s->text = arg;
        return 0;
    case KEY_LATENT:
        s->latent = cts_cli_int(state, "--latent", arg, 1, 65536);
        return 0;
    case KEY_CODEBOOK:
        s->codebook = cts_cli_int(state, "--codebook", arg, 0, 1 << 20);
        return 0;
    case KEY_REDUCTION:
        if (strcmp(arg, "channel") && strcmp(arg, "depth") && strcmp(arg, "none"))
            argp_error(state, "--reduction: got %s, allowed: channel, depth, none", arg);
        s->reduction = arg;
        return 0;
    case KEY_KIND:
        if (strcmp(arg, "wordpiece") && strcmp(arg, "unigram") && strcmp(arg, "bpe"))
            argp_error(state, "--tokenizer-kind: got %s, allowed: wordpiece, unigram, bpe", arg);
        s->tokenizer_kind = arg;
        return 0;
    case KEY_VOCAB:
        s->vocab = (int32_t)cts_cli_int(state, "--vocab", arg, 32, 1 << 20);
        return 0;
    case KEY_TEMPERATURE:
        if (strcmp(arg, "learned") && strcmp(arg, "constant"))
            argp_error(state, "--temperature: got %s, allowed: learned, constant", arg);
        s->learned_temperature = !strcmp(arg, "learned");
        return 0;
    case KEY_SCALE:
        s->temperature = log(cts_cli_double(state, "--scale", arg, 1e-3, 1e4));
        return 0;
    case KEY_DROPOUT:
        s->dropout = cts_cli_double(state, "--dropout", arg, 0.0, 0.9);
        return 0;
    case KEY_POOLING:
        if (strcmp(arg, "mean") && strcmp(arg, "cls"))
            argp_error(state, "--pooling: got %s, allowed: mean, cls", arg);
        s->pooling = arg;
        return 0;
    case KEY_NO_NORM:
        s->projection_norm = false;
        return 0;
    case KEY_TEXT_INIT:
        s->text_init = cts_cli_double(state, "--text-init", arg, 1e-4, 1);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_model(options *o, int key, char *arg, struct argp_state *state)
{
    switch (key) {
    case KEY_INIT:
        o->s.init = arg;
        return 0;
    case KEY_TOKENIZER:
        o->s.tokenizer = arg;
        return 0;
    default:
        if (parse_shape(o, key, arg, state))
            return ARGP_ERR_UNKNOWN;
        o->model_key = key;
        return 0;
    }
}

static error_t parse_volumes(options *o, int key, char *arg, struct argp_state *state)
{
    switch (key) {
    case CTS_KEY_REPORT_TEXT:
        o->s.report_text = arg;
        return 0;
    case KEY_RECIPE:
        if (cts_recipe_open(&o->s.recipe, arg))
            argp_error(state, "--recipe: %s", cts_error());
        o->s.recipe_given = true;
        return 0;
    case KEY_SIZE:
        cts_cli_doubles(state, "--size", arg, o->size, 3, 1, 4096);
        o->free_recipe = true;
        return 0;
    case KEY_SPACING:
        cts_cli_doubles(state, "--spacing", arg, o->spacing, 3, 0, 100);
        o->free_recipe = true;
        return 0;
    case KEY_WINDOW:
        cts_cli_doubles(state, "--window", arg, o->window, 2, -32768, 32767);
        o->free_recipe = true;
        return 0;
    case KEY_CACHE:
        o->s.clip.loop.cache_bytes = (size_t)cts_cli_int(state, "--cache-mb", arg, 0, 1 << 20) << 20;
        return 0;
    case KEY_LOADERS:
        o->s.clip.loop.loader_threads = (int)cts_cli_int(state, "--loaders", arg, 1, 256);
        return 0;
    case KEY_VAL_REPORTS:
        o->s.valid.reports = arg;
        return 0;
    case KEY_VAL_LABELS:
        o->s.valid.labels = arg;
        return 0;
    case KEY_VAL_METADATA:
        o->s.valid.metadata = arg;
        return 0;
    case KEY_VAL_VOLUMES:
        o->s.valid.volumes = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_run(options *o, int key, char *arg, struct argp_state *state)
{
    cts_clip_train_config *c = &o->s.clip;

    switch (key) {
    case 'o':
        o->s.out = arg;
        return 0;
    case KEY_PRESET:
        if (!o->preset || strcmp(arg, o->preset->name))
            argp_error(state, "--preset: got %s, allowed: one of them, the option's name written out", arg);
        return 0;
    case KEY_RESUME:
        c->loop.resume = true;
        return 0;
    case KEY_STEPS:
        c->loop.schedule.steps = cts_cli_int(state, "--steps", arg, 1, INT32_MAX);
        return 0;
    case KEY_EPOCHS:
        o->s.epochs = cts_cli_int(state, "--epochs", arg, 1, 1 << 20);
        return 0;
    case KEY_MINUTES:
        o->minutes = cts_cli_double(state, "--minutes", arg, 0.01, 1e6);
        return 0;
    case KEY_EVAL:
        c->loop.eval_every = cts_cli_int(state, "--eval-every", arg, 1, INT32_MAX);
        return 0;
    case KEY_SAVE:
        c->loop.save_every = cts_cli_int(state, "--save-every", arg, 1, INT32_MAX);
        return 0;
    case KEY_KEEP:
        c->loop.keep = (int)cts_cli_int(state, "--keep", arg, 1, 1 << 20);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_optimiser(options *o, int key, char *arg, struct argp_state *state)
{
    cts_clip_train_config *c = &o->s.clip;
    double betas[2];

    switch (key) {
    case KEY_LOSS:
        if (cts_loss_kind_parse(&c->loss, arg))
            argp_error(state, "--loss: %s", cts_error());
        return 0;
    case KEY_BATCH:
        c->loop.batch = cts_cli_int(state, "--batch", arg, 2, 1 << 16);
        return 0;
    case KEY_ACCUMULATE:
        c->loop.accumulate = cts_cli_int(state, "--accumulate", arg, 1, 1 << 16);
        return 0;
    case KEY_LR:
        c->loop.schedule.lr = cts_cli_double(state, "--lr", arg, 0, 10);
        return 0;
    case KEY_MIN_LR:
        c->loop.schedule.min_lr = cts_cli_double(state, "--min-lr", arg, 0, 10);
        return 0;
    case KEY_WARMUP:
        c->loop.schedule.warmup = cts_cli_int(state, "--warmup", arg, 0, INT32_MAX);
        return 0;
    case KEY_SCHEDULE:
        if (cts_schedule_parse(&c->loop.schedule.kind, arg))
            argp_error(state, "%s", cts_error());
        return 0;
    case KEY_DECAY:
        c->loop.adamw.weight_decay = cts_cli_double(state, "--weight-decay", arg, 0, 10);
        return 0;
    case KEY_BETAS:
        cts_cli_doubles(state, "--betas", arg, betas, 2, 0, 0.999999);
        c->loop.adamw.beta1 = betas[0];
        c->loop.adamw.beta2 = betas[1];
        return 0;
    case KEY_CLIP:
        c->loop.adamw.clip = cts_cli_double(state, "--clip", arg, 0, 1e9);
        return 0;
    case KEY_TOKENS:
        c->max_tokens = cts_cli_int(state, "--max-tokens", arg, 8, 8192);
        return 0;
    case KEY_DRAW:
        if (cts_draw_kind_parse(&o->s.draw, arg))
            argp_error(state, "%s", cts_error());
        return 0;
    case KEY_IMPRESSIONS:
        o->s.impressions = cts_cli_int(state, "--impression-epochs", arg, 0, 1 << 20);
        return 0;
    case KEY_NO_SHUFFLE:
        c->loop.shuffle = false;
        return 0;
    case KEY_RECOMPUTE:
        c->recompute = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    static error_t (*const groups[])(options *, int, char *, struct argp_state *) = {parse_run, parse_model,
                                                                                     parse_volumes, parse_optimiser};
    options *o = state->input;

    if (key == ARGP_KEY_END) {
        if (!o->s.out)
            argp_error(state, "--out: needed, the run folder");
        if (o->free_recipe && o->s.recipe_given)
            argp_error(state, "--recipe and --size/--spacing/--window: got both, allowed: one of them");
        if (o->free_recipe && o->size[0] == 0)
            argp_error(state, "--size: needed with --spacing or --window");
        if (o->s.init && o->model_key)
            argp_error(state, "--%s with --init: the model in %s keeps its own", option_name(o->model_key), o->s.init);
        return 0;
    }
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        if (groups[i](o, key, arg, state) == 0)
            return 0;
    return ARGP_ERR_UNKNOWN;
}

static int choose_recipe(options *o)
{
    int64_t size[3] = {(int64_t)o->size[0], (int64_t)o->size[1], (int64_t)o->size[2]};

    if (o->free_recipe) {
        o->s.recipe_given = true;
        return cts_recipe_free(&o->s.recipe, "free", o->spacing, size, o->window);
    }
    return o->s.recipe_given ? CTS_OK : cts_recipe_find(&o->s.recipe, "dcformer-512");
}

/* The preset's fields, before any option is read and wherever --preset stands. */
static int apply_preset(options *o, int argc, char **argv)
{
    const char *name = "ctsearch";
    int rc;

    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--preset") && i + 1 < argc)
            name = argv[i + 1];
        else if (!strncmp(argv[i], "--preset=", 9))
            name = argv[i] + 9;
    if ((rc = cts_train_preset_find(&o->preset, name)))
        return rc;
    o->s = o->preset->setup;
    o->s.constant_temperature = o->preset->published;
    return CTS_OK;
}

static int print_summary(const cts_train_summary *sum, const cts_common *common)
{
    json_t *j;

    if (!common->json) {
        printf("trained %lld of %lld steps on %zu pairs in %.1f s: loss %.3f -> %.3f\n",
               (long long)sum->loop.steps_done, (long long)sum->loop.steps, sum->pairs, sum->loop.seconds,
               sum->loop.first_loss, sum->loop.last_loss);
        if (sum->validated)
            printf("validation: loss %.3f, zero-shot AUROC %.3f (macro of %d findings), R@10 text to image %.3f, image "
                   "to text %.3f (chance %.3f)\n",
                   sum->valid_loss, sum->zeroshot.macro, sum->zeroshot.defined, sum->recall.t2i[2], sum->recall.i2t[2],
                   sum->recall.chance[2]);
        printf("model: %s (%lld parameters)\n", sum->model, (long long)sum->params);
        return CTS_OK;
    }
    j = json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:I}", "model", sum->model, "params",
                  (json_int_t)sum->params, "pairs", (json_int_t)sum->pairs, "steps", (json_int_t)sum->loop.steps_done,
                  "skipped", (json_int_t)sum->loop.skipped, "seconds", sum->loop.seconds, "waited", sum->loop.waited,
                  "first_loss", sum->loop.first_loss, "last_loss", sum->loop.last_loss, "peak_bytes",
                  (json_int_t)sum->loop.peak_bytes, "without_volume", (json_int_t)sum->without_volume, "without_report",
                  (json_int_t)sum->without_report);
    if (j)
        json_object_set_new(j, "orientations", cts_orientations_json(&sum->axes));
    if (j && sum->validated) {
        json_object_set_new(j, "valid_loss", isnan(sum->valid_loss) ? json_null() : json_real(sum->valid_loss));
        json_object_set_new(j, "zeroshot", cts_zeroshot_result_json(&sum->zeroshot));
        json_object_set_new(j, "recall", cts_recall_result_json(&sum->recall, "validation"));
    }
    return cts_print_json(j);
}

static int run_clip(int argc, char **argv)
{
    options o = {.window = {-1000, 1000}};
    cts_train_summary sum;
    cts_runtime rt = {0};
    cts_common common;
    int rc;

    if ((rc = apply_preset(&o, argc, argv)))
        return rc;
    o.s.clip.loop.schedule.steps = 1000;
    if ((rc = cts_cli_parse_with(
             argc, argv, argp_options, parse, NULL,
             "Train a DCFormer image encoder and a BERT text encoder contrastively on pairs of volume and report."
             "\vExample:\n  ctsearch train clip --reports train_reports.csv --labels train_labels.csv --volumes train/ "
             "\\\n"
             "      --val-reports valid_reports.csv --val-labels valid_labels.csv --val-volumes valid/ \\\n"
             "      --size 64,96,96 --epochs 20 --batch 16 --out runs/first\n\n"
             "Ctrl-C saves a checkpoint and leaves; --resume goes on to the bit.",
             &o, &common, &cts_dataset_argp, &o.data)) ||
        (rc = choose_recipe(&o)))
        return rc;
    if (!o.data.reports || !o.data.volumes)
        return cts_fail(CTS_E_USAGE, "%s: --reports and --volumes are needed: pairs of a report and a volume", argv[0]);
    o.s.train = o.data;
    o.s.clip.loop.time_budget = 60.0 * o.minutes;
    if (!(rc = cts_runtime_open(&rt, &common)))
        rc = cts_train_run(&o.s, &common, &rt, &sum);
    cts_runtime_close(&rt);
    if (!rc)
        rc = print_summary(&sum, &common);
    if (!rc && (sum.loop.skipped || sum.without_volume || sum.without_report))
        rc = cts_fail(CTS_E_PARTIAL,
                      "left out: %lld volumes that cannot be read, %zu records without a file, %zu without a report",
                      (long long)sum.loop.skipped, sum.without_volume, sum.without_report);
    return rc;
}

static int run(int argc, char **argv)
{
    static const cts_command verbs[] = {
        {"clip", "contrastive pair of image and text encoder", run_clip},
        {"scroll", "supervised classifier of the findings, CT-Scroll", cts_train_scroll},
        {"probe", "linear head on the image encoder of a model, or fine-tuning", cts_train_probe}};

    return cts_run_verb("ctsearch train", verbs, (int)(sizeof verbs / sizeof *verbs), argc, argv);
}

const cts_command cts_cmd_train = {"train", "train a model: clip, scroll, probe", run};
