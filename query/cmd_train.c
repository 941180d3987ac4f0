/* `ctsearch train clip`. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/base/status.h"
#include "query/cmd_train_labels.h"
#include "query/orientation.h"
#include "query/session.h"
#include "query/training/clip_run.h"
#include "query/training/loop_options.h"
#include "query/training/presets.h"

typedef struct {
    cts_train_setup s;
    const cts_train_preset *preset;
    int model_key; /* of an option that shapes a new model; 0 = none was given */
    cts_loop_options run;
} options;

enum {
    KEY_PRESET = 0x2000,
    KEY_VAL_REPORTS,
    KEY_INIT,
    KEY_IMAGE,
    KEY_TEXT,
    KEY_TOKENIZER,
    KEY_KIND,
    KEY_VOCAB,
    KEY_LATENT,
    KEY_CODEBOOK,
    KEY_REDUCTION,
    KEY_TEMPERATURE,
    KEY_SCALE,
    KEY_DROPOUT,
    KEY_POOLING,
    KEY_TEXT_INIT,
    KEY_NO_NORM,
    KEY_WINDOW,
    KEY_LOSS,
    KEY_TOKENS,
    KEY_DRAW,
    KEY_IMPRESSIONS
};

static const struct argp_option argp_options[] = {
    {"preset", KEY_PRESET, "NAME", 0,
     "Defaults of everything below: ctsearch (ours, the default) or dcformer-published; see docs/TRAINING.md", 2},
    {"val-reports", KEY_VAL_REPORTS, "CSV", 0, "Reports of the validation volumes", 3},
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
    {"window", KEY_WINDOW, "LO,HI", 0, "The same as --hu-window", 6},
    {"loss", KEY_LOSS, "KIND", 0, "infonce, dcformer (published form) or siglip (default infonce)", 7},
    {"max-tokens", KEY_TOKENS, "N", 0, "Longest text (default 256)", 7},
    CTS_OPTION_REPORT_TEXT,
    {"text-draw", KEY_DRAW, "KIND", 0,
     "sentences: a part of the report, another each epoch; report: all of it (default sentences)", 7},
    {"impression-epochs", KEY_IMPRESSIONS, "N", 0,
     "Of sentence draws: first epochs that read impressions only; then both (default 4)", 7},
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

/* The preset, what is read of volumes and reports, and the loss. */
static error_t parse_run(options *o, int key, char *arg, struct argp_state *state)
{
    cts_train_setup *s = &o->s;

    switch (key) {
    case KEY_PRESET:
        if (!o->preset || strcmp(arg, o->preset->name))
            argp_error(state, "--preset: got %s, allowed: one of them, the option's name written out", arg);
        return 0;
    case KEY_VAL_REPORTS:
        o->run.valid.reports = arg;
        return 0;
    case KEY_WINDOW:
        cts_cli_doubles(state, "--window", arg, o->run.hu_window, 2, -32768, 32767);
        o->run.free_recipe = true;
        return 0;
    case CTS_KEY_REPORT_TEXT:
        s->report_text = arg;
        return 0;
    case KEY_LOSS:
        if (cts_loss_kind_parse(&s->clip.loss, arg))
            argp_error(state, "--loss: %s", cts_error());
        return 0;
    case KEY_TOKENS:
        s->clip.max_tokens = cts_cli_int(state, "--max-tokens", arg, 8, 8192);
        return 0;
    case KEY_DRAW:
        if (cts_draw_kind_parse(&s->draw, arg))
            argp_error(state, "%s", cts_error());
        return 0;
    case KEY_IMPRESSIONS:
        s->impressions = cts_cli_int(state, "--impression-epochs", arg, 0, 1 << 20);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;

    if (key == ARGP_KEY_END) {
        if (o->s.init && o->model_key)
            argp_error(state, "--%s with --init: the model in %s keeps its own", option_name(o->model_key), o->s.init);
        return 0;
    }
    return parse_model(o, key, arg, state) ? parse_run(o, key, arg, state) : 0;
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

static void take_run(options *o)
{
    o->s.train = o->run.train;
    o->s.valid = o->run.valid;
    o->s.out = o->run.out;
    o->s.epochs = o->run.epochs;
    o->s.recipe = o->run.recipe;
    o->s.recipe_given = o->run.recipe_given;
    o->s.clip.recompute = o->run.recompute;
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
    options o = {.run = {.loop = &o.s.clip.loop, .least_batch = 2, .default_recipe = "dcformer-512"}};
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
             &o, &common, &cts_loop_argp, &o.run)) ||
        (rc = cts_loop_options_finish(&o.run)))
        return rc;
    if (!o.run.train.reports || !o.run.train.volumes)
        return cts_fail(CTS_E_USAGE, "%s: --reports and --volumes are needed: pairs of a report and a volume", argv[0]);
    take_run(&o);
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
