/* `ctsearch train scroll` and `ctsearch train probe`. SPDX-License-Identifier: MIT */
#include "query/cmd_train_labels.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "kernels/base/check.h"
#include "kernels/base/status.h"
#include "query/training/label_options.h"

/* Of a probe: vectors pass the loop, and then, when it tunes or drifts, volumes. Its epochs are the published ones. */
#define PROBE_EPOCHS 17
#define PROBE_BATCH 16
#define PROBE_LR 1e-2
#define TUNE_BATCH 4
#define TUNE_LR 1e-4
#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)

typedef struct {
    cts_label_options all;
    int64_t triplets;
    bool drift, finetune;
} options;

enum {
    KEY_INIT = 0x2400,
    KEY_TRUNK,
    KEY_ENCODER,
    KEY_WIDTH,
    KEY_EMBED,
    KEY_TRIPLETS,
    KEY_WINDOW,
    KEY_HEADS,
    KEY_BLOCKS,
    KEY_DROPOUTS,
    KEY_MODEL,
    KEY_DRIFT,
    KEY_FINETUNE,
    KEY_INIT_HEAD
};

/* The paper's schedule; of weight decay, betas and clipping it says nothing: PyTorch's defaults of AdamW. */
static cts_label_setup defaults(void)
{
    return (cts_label_setup){
        .encoder = "ct-scroll",
        .width = -1,
        .embed = -1,
        .window = -1,
        .heads = -1,
        .blocks = -1,
        .dropouts = {-1, -1, -1},
        .pos_weight = "none",
        .label = {.loop = {.adamw = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01, .clip = 0},
                           .schedule = {.kind = CTS_SCHEDULE_COSINE, .lr = 1e-4, .steps = 50000, .warmup_part = 0.4},
                           .batch = 4,
                           .accumulate = 1,
                           .shuffle = true,
                           .eval_parts = 10,
                           .loader_threads = 2,
                           .cache_bytes = (size_t)2 << 30,
                           .keep = 2}}};
}

/* ---- scroll ------------------------------------------------------------------------------------------------------ */

static const struct argp_option scroll_options[] = {
    {NULL, 0, NULL, 0, "Model:", 1},
    {"init", KEY_INIT, "MODEL", 0, "Start from this model folder: weights, configuration and recipe are its", 1},
    {"init-trunk", KEY_TRUNK, "FILE", 0, "Start a new CT-Scroll's trunk from a ResNet-18 with torchvision's names", 1},
    {"encoder", KEY_ENCODER, "PRESET", 0,
     "Another image encoder, with a linear head (default ct-scroll; see ctsearch models)", 1},
    {"triplets", KEY_TRIPLETS, "T", 0, "Slices by three over the body's length of the recipe ctscroll (published: 80)",
     1},
    {"width", KEY_WIDTH, "N", 0, "Channels of the trunk's first layer (default 64)", 1},
    {"embed-dim", KEY_EMBED, "N", 0, "Width of a triplet's token (default 512, at most 8 x width)", 1},
    {"window", KEY_WINDOW, "Q", 0, "Tokens of the local attention, itself included; 0 = all (default 16)", 1},
    {"heads", KEY_HEADS, "N", 0, "Attention heads (default 8)", 1},
    {"blocks", KEY_BLOCKS, "N", 0, "Scrolling blocks (default 1)", 1},
    {"dropouts", KEY_DROPOUTS, "P,A,H", 0, "Dropout of projection, attention and head (default 0.2,0.1,0.5)", 1},
    {0}};

/* Those that are one whole number. */
static const struct {
    int key;
    const char *name;
    size_t at; /* in options */
    int64_t least, most;
} numbers[] = {
    {KEY_TRIPLETS, "--triplets", offsetof(options, triplets), 1, 1365},
    {KEY_WIDTH, "--width", offsetof(options, all.s.width), 1, 4096},
    {KEY_EMBED, "--embed-dim", offsetof(options, all.s.embed), 1, 65536},
    {KEY_WINDOW, "--window", offsetof(options, all.s.window), 0, 1 << 20},
    {KEY_HEADS, "--heads", offsetof(options, all.s.heads), 1, 1024},
    {KEY_BLOCKS, "--blocks", offsetof(options, all.s.blocks), 1, 256},
};

static error_t parse_scroll(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;
    cts_label_setup *s = &o->all.s;

    for (size_t i = 0; i < CTS_COUNT(numbers); i++)
        if (numbers[i].key == key) {
            int64_t v = cts_cli_int(state, numbers[i].name, arg, numbers[i].least, numbers[i].most);

            memcpy((char *)o + numbers[i].at, &v, sizeof v);
            return 0;
        }
    switch (key) {
    case KEY_INIT:
        s->init = arg;
        return 0;
    case KEY_TRUNK:
        s->trunk = arg;
        return 0;
    case KEY_ENCODER:
        s->encoder = arg;
        return 0;
    case KEY_DROPOUTS:
        cts_cli_doubles(state, "--dropouts", arg, s->dropouts, 3, 0, 0.95);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Options that shape a new model make no sense beside one that has its shape. */
static int check_scroll(const options *o)
{
    const cts_label_setup *s = &o->all.s;
    bool shape = s->width >= 0 || s->embed >= 0 || s->window >= 0 || s->heads >= 0 || s->blocks >= 0 ||
                 s->dropouts[0] >= 0 || o->triplets || s->trunk || strcmp(s->encoder, "ct-scroll") != 0;

    if (s->init && shape)
        return cts_fail(
            CTS_E_USAGE,
            "--init with --encoder, --triplets, --width, --embed-dim, --window, --heads, --blocks, --dropouts or "
            "--init-trunk: the model in %s keeps its own",
            s->init);
    if (o->triplets && (o->all.run.free_recipe || o->all.run.recipe_given))
        return cts_fail(CTS_E_USAGE, "--triplets with --size or --recipe: got both, allowed: one of them");
    if (o->all.run.free_recipe && !s->init && !strcmp(s->encoder, "ct-scroll") && (int64_t)o->all.run.size[0] % 3 != 0)
        return cts_fail(CTS_E_USAGE, "--size: got %lld slices, allowed: multiples of 3, CT-Scroll reads them by three",
                        (long long)o->all.run.size[0]);
    return CTS_OK;
}

/* The recipe of the paper with thicker or thinner slices, so that as much of the body is seen. */
static int set_triplets(options *o)
{
    cts_recipe *r = &o->all.s.recipe;

    if (!o->triplets)
        return CTS_OK;
    r->spacing_zxy[0] *= (double)r->size_zxy[0] / (double)(3 * o->triplets);
    r->size_zxy[0] = 3 * o->triplets;
    o->all.s.recipe_given = true;
    snprintf(r->name, sizeof r->name, "ctscroll-%lld", (long long)o->triplets);
    return cts_recipe_check(r, "--triplets");
}

int cts_train_scroll(int argc, char **argv)
{
    options o = {.all = {.s = defaults(), .run = {.loop = &o.all.s.label.loop, .default_recipe = "ctscroll"}}};
    cts_common common;
    int rc;

    if ((rc = cts_cli_parse_with(
             argc, argv, scroll_options, parse_scroll, NULL,
             "Train a CT-Scroll, or another image encoder with a linear head, to tell the findings of a scan. The "
             "schedule is the paper's: batch 4, 50,000 steps, warm-up over 40 % of them, cosine, at most 1e-4. With "
             "validation data the best model by macro AUROC is kept, and its thresholds are fitted."
             "\vExample:\n  ctsearch train scroll --labels train_labels.csv --volumes train/ --val-labels "
             "valid_labels.csv \\\n      --val-volumes valid/ --size 48,96,96 --width 16 --embed-dim 64 --lr 1e-3 "
             "--minutes 20 --out runs/scroll\n\n"
             "Ctrl-C saves a checkpoint and leaves; --resume goes on to the bit.",
             &o, &common, &cts_label_argp, &o.all)) ||
        (rc = check_scroll(&o)))
        return rc;
    if (o.all.s.init)
        o.all.run.default_recipe = NULL;
    if ((rc = cts_label_options_finish(&o.all)) || (rc = set_triplets(&o)))
        return rc;
    return cts_label_command(&o.all, &common);
}

/* ---- probe ------------------------------------------------------------------------------------------------------- */

static const struct argp_option probe_options[] = {
    {NULL, 0, NULL, 0, "Model:", 1},
    {"model", KEY_MODEL, "MODEL", 0, "The model folder whose image encoder is probed (needed)", 1},
    {"finetune", KEY_FINETUNE, NULL, 0, "Train the encoder too", 1},
    {"drift", KEY_DRIFT, NULL, 0,
     "As the published code does it: weights frozen, batch norms and code book moving; every epoch reads all volumes",
     1},
    {"init-head", KEY_INIT_HEAD, "MODEL", 0, "Start from the linear head of this model folder, such as a probe's", 1},
    {0}};

static error_t parse_probe(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;

    switch (key) {
    case KEY_MODEL:
        o->all.s.init = arg;
        return 0;
    case KEY_FINETUNE:
        o->finetune = true;
        return 0;
    case KEY_DRIFT:
        o->drift = true;
        return 0;
    case KEY_INIT_HEAD:
        o->all.s.init_head = arg;
        return 0;
    case ARGP_KEY_END:
        if (!o->all.s.init)
            argp_error(state, "--model: needed, the model folder whose image encoder is probed");
        if (o->drift && o->finetune)
            argp_error(state, "--drift and --finetune: got both, allowed: one of them");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cts_train_probe(int argc, char **argv)
{
    options o = {
        .all = {.s = defaults(),
                .run = {.loop = &o.all.s.label.loop,
                        .default_steps = TEXT_OF(PROBE_EPOCHS) " epochs",
                        .default_batch = TEXT_OF(PROBE_BATCH) "; " TEXT_OF(TUNE_BATCH) " where the encoder runs",
                        .default_lr = TEXT_OF(PROBE_LR) "; " TEXT_OF(TUNE_LR) " with --finetune"}}};
    cts_loop_config *c = &o.all.s.label.loop;
    cts_common common;
    int rc;

    c->adamw.clip = 1.0;
    c->schedule.warmup_part = 0;
    o.all.s.pos_weight = "published";
    if ((rc = cts_cli_parse_with(
             argc, argv, probe_options, parse_probe, NULL,
             "Train a linear head on the image encoder of a model: 17 epochs, positive weights and clipping as "
             "published, relu and dropout 0.3 on the embedding of a pair. The frozen encoder runs once over each "
             "volume; its vectors are kept in the run folder. With validation data "
             "the best model by macro AUROC is kept, and its thresholds are fitted."
             "\vExample:\n  ctsearch train probe --model runs/first --labels train_labels.csv --volumes train/ \\\n"
             "      --val-labels valid_labels.csv --val-volumes valid/ --out runs/probe\n"
             "  ctsearch train probe --model runs/first --finetune --init-head runs/probe ... --out runs/tuned",
             &o, &common, &cts_label_argp, &o.all)))
        return rc;
    o.all.s.mode = o.finetune ? CTS_LABEL_ALL : o.drift ? CTS_LABEL_DRIFT : CTS_LABEL_HEAD;
    if (o.all.s.mode == CTS_LABEL_HEAD && cts_augment_any(&o.all.s.augment))
        return cts_fail(CTS_E_USAGE,
                        "--augment: a frozen encoder runs once over each volume; allowed with --finetune and "
                        "--drift");
    if (!o.all.run.batch_given)
        c->batch = o.all.s.mode == CTS_LABEL_HEAD ? PROBE_BATCH : TUNE_BATCH;
    if (!o.all.run.lr_given)
        c->schedule.lr = o.finetune ? TUNE_LR : PROBE_LR;
    if (!o.all.run.steps_given && !o.all.run.epochs)
        o.all.run.epochs = PROBE_EPOCHS;
    if ((rc = cts_label_options_finish(&o.all)))
        return rc;
    return cts_label_command(&o.all, &common);
}
