/* SPDX-License-Identifier: MIT */
#include "query/training/label_options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/status.h"
#include "query/dataset_options.h"
#include "query/orientation.h"

enum {
    KEY_VAL_LABELS = 0x2300,
    KEY_VAL_METADATA,
    KEY_VAL_VOLUMES,
    KEY_RESUME,
    KEY_STEPS,
    KEY_EPOCHS,
    KEY_MINUTES,
    KEY_EVAL,
    KEY_SAVE,
    KEY_KEEP,
    KEY_FINDINGS,
    KEY_POS_WEIGHT,
    KEY_BALANCE,
    KEY_HEAD_INPUT,
    KEY_HEAD_RELU,
    KEY_HEAD_DROPOUT,
    KEY_RECIPE,
    KEY_SIZE,
    KEY_SPACING,
    KEY_HU_WINDOW,
    KEY_AUGMENT,
    KEY_CACHE,
    KEY_LOADERS,
    KEY_BATCH,
    KEY_ACCUMULATE,
    KEY_LR,
    KEY_MIN_LR,
    KEY_WARMUP,
    KEY_SCHEDULE,
    KEY_DECAY,
    KEY_BETAS,
    KEY_CLIP,
    KEY_NO_SHUFFLE,
    KEY_RECOMPUTE
};

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Run:", 2},
    {"out", 'o', "DIR", 0, "Run folder: model/, checkpoints/, log.jsonl (needed)", 2},
    {"resume", KEY_RESUME, NULL, 0, "Go on from the newest checkpoint in the run folder", 2},
    {"steps", KEY_STEPS, "N", 0, "Optimiser steps", 2},
    {"epochs", KEY_EPOCHS, "N", 0, "Instead of --steps: passes over the volumes", 2},
    {"minutes", KEY_MINUTES, "M", 0, "Lower the number of steps so that the loop takes at most this long", 2},
    {"eval-every", KEY_EVAL, "N", 0, "Steps between validations (default: ten times a run)", 2},
    {"save-every", KEY_SAVE, "N", 0, "Steps between checkpoints (default: only at the end and when interrupted)", 2},
    {"keep", KEY_KEEP, "N", 0, "Checkpoints kept (default 2)", 2},
    {NULL, 0, NULL, 0, "Validation data (the best model by macro AUROC is kept, thresholds are fitted):", 3},
    {"val-labels", KEY_VAL_LABELS, "CSV", 0, "Labels of the validation volumes", 3},
    {"val-volumes", KEY_VAL_VOLUMES, "DIR", 0, "Their files", 3},
    {"val-metadata", KEY_VAL_METADATA, "CSV", 0, "Their metadata", 3},
    {NULL, 0, NULL, 0, "Labels:", 4},
    {"findings", KEY_FINDINGS, "LIST", 0, "Only these of the 18, separated by commas", 4},
    {"pos-weight", KEY_POS_WEIGHT, "KIND", 0,
     "Weight of a positive cell: none, balanced (negatives per positive), published (DCFormer's list) or a JSON file "
     "of "
     "finding and weight",
     4},
    {"balance", KEY_BALANCE, NULL, 0, "Class-balanced draws: volumes with rare findings come more often", 4},
    {"head-input", KEY_HEAD_INPUT, "KIND", 0, "A linear head on the encoder's vector or on the embedding", 4},
    {"head-relu", KEY_HEAD_RELU, "YES|NO", 0, "A relu before that head", 4},
    {"head-dropout", KEY_HEAD_DROPOUT, "P", 0, "Dropout before that head", 4},
    {NULL, 0, NULL, 0, "Volumes:", 6},
    {"recipe", KEY_RECIPE, "NAME|FILE.json", 0, "Named preprocessing, such as ctscroll", 6},
    {"size", KEY_SIZE, "Z,X,Y", 0, "Free recipe: voxels of the tensor", 6},
    {"spacing", KEY_SPACING, "Z,X,Y", 0, "Free recipe: mm; 0,0,0 fits the whole field of view into the size (default)",
     6},
    {"hu-window", KEY_HU_WINDOW, "LO,HI", 0, "Free recipe: HU window that becomes -1..1 (default -1000,1000)", 6},
    {"augment", KEY_AUGMENT, "LIST", 0,
     "Random variants: none, default, or a list of shift=X, rotate=X, noise=X, jitter=X, flip", 6},
    {"cache-mb", KEY_CACHE, "N", 0,
     "Keep prepared volumes in memory up to this, training and validation each (default "
     "2048)",
     6},
    {"loaders", KEY_LOADERS, "N", 0, "Threads that read volumes ahead (default 2)", 6},
    {NULL, 0, NULL, 0, "Optimisation:", 7},
    {"batch", KEY_BATCH, "N", 0, "Volumes a micro-batch", 7},
    {"accumulate", KEY_ACCUMULATE, "N", 0, "Micro-batches a step (default 1)", 7},
    {"lr", KEY_LR, "X", 0, "Peak learning rate", 7},
    {"min-lr", KEY_MIN_LR, "X", 0, "Learning rate at the end of the cosine (default 0)", 7},
    {"warmup", KEY_WARMUP, "N|P%", 0, "Linear warm-up: steps, or a part of all steps", 7},
    {"schedule", KEY_SCHEDULE, "KIND", 0, "cosine or constant (default cosine)", 7},
    {"weight-decay", KEY_DECAY, "X", 0, "On weights, not on biases and norms (default 0.01)", 7},
    {"betas", KEY_BETAS, "B1,B2", 0, "Of AdamW (default 0.9,0.999)", 7},
    {"clip", KEY_CLIP, "X", 0, "Largest gradient norm; 0 = no clipping", 7},
    {"no-shuffle", KEY_NO_SHUFFLE, NULL, 0, "Take the volumes in CSV order, epoch after epoch", 7},
    {"recompute", KEY_RECOMPUTE, NULL, 0, "Keep less for backward: less memory, more time", 7},
    {0}};

static error_t parse_run(cts_label_options *o, int key, char *arg, struct argp_state *state)
{
    cts_loop_config *c = &o->s.label.loop;

    switch (key) {
    case 'o':
        o->s.out = arg;
        return 0;
    case KEY_RESUME:
        c->resume = true;
        return 0;
    case KEY_STEPS:
        c->schedule.steps = cts_cli_int(state, "--steps", arg, 1, INT32_MAX);
        o->steps_given = true;
        return 0;
    case KEY_EPOCHS:
        o->s.epochs = cts_cli_int(state, "--epochs", arg, 1, 1 << 20);
        return 0;
    case KEY_MINUTES:
        o->minutes = cts_cli_double(state, "--minutes", arg, 0.01, 1e6);
        return 0;
    case KEY_EVAL:
        c->eval_every = cts_cli_int(state, "--eval-every", arg, 1, INT32_MAX);
        return 0;
    case KEY_SAVE:
        c->save_every = cts_cli_int(state, "--save-every", arg, 1, INT32_MAX);
        return 0;
    case KEY_KEEP:
        c->keep = (int)cts_cli_int(state, "--keep", arg, 1, 1 << 20);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_labels(cts_label_options *o, int key, char *arg, struct argp_state *state)
{
    switch (key) {
    case KEY_VAL_LABELS:
        o->s.valid.labels = arg;
        return 0;
    case KEY_VAL_METADATA:
        o->s.valid.metadata = arg;
        return 0;
    case KEY_VAL_VOLUMES:
        o->s.valid.volumes = arg;
        return 0;
    case KEY_FINDINGS:
        o->s.findings = arg;
        return 0;
    case KEY_POS_WEIGHT:
        o->s.pos_weight = arg;
        o->weights_given = true;
        return 0;
    case KEY_BALANCE:
        o->s.balance = true;
        return 0;
    case KEY_HEAD_INPUT:
        if (strcmp(arg, "vector") != 0 && strcmp(arg, "embedding") != 0)
            argp_error(state, "--head-input: got %s, allowed: vector, embedding", arg);
        o->s.head.input_given = true;
        o->s.head.input = strcmp(arg, "vector") ? CTS_HEAD_EMBEDDING : CTS_HEAD_VECTOR;
        return 0;
    case KEY_HEAD_RELU:
        if (strcmp(arg, "yes") != 0 && strcmp(arg, "no") != 0)
            argp_error(state, "--head-relu: got %s, allowed: yes, no", arg);
        o->s.head.relu_given = true;
        o->s.head.relu = !strcmp(arg, "yes");
        return 0;
    case KEY_HEAD_DROPOUT:
        o->s.head.dropout_given = true;
        o->s.head.dropout = cts_cli_double(state, "--head-dropout", arg, 0, 0.95);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_volumes(cts_label_options *o, int key, char *arg, struct argp_state *state)
{
    switch (key) {
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
    case KEY_HU_WINDOW:
        cts_cli_doubles(state, "--hu-window", arg, o->hu_window, 2, -32768, 32767);
        o->free_recipe = true;
        return 0;
    case KEY_AUGMENT:
        if (cts_augment_parse(&o->s.augment, arg))
            argp_error(state, "%s", cts_error());
        return 0;
    case KEY_CACHE:
        o->s.label.loop.cache_bytes = (size_t)cts_cli_int(state, "--cache-mb", arg, 0, 1 << 20) << 20;
        return 0;
    case KEY_LOADERS:
        o->s.label.loop.loader_threads = (int)cts_cli_int(state, "--loaders", arg, 1, 256);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* "20000" or "40%". */
static void parse_warmup(cts_schedule *s, char *arg, struct argp_state *state)
{
    size_t n = strlen(arg);
    char *end;
    double part;

    s->warmup_part = 0;
    if (!n || arg[n - 1] != '%') {
        s->warmup = cts_cli_int(state, "--warmup", arg, 0, INT32_MAX);
        return;
    }
    part = strtod(arg, &end);
    if (end != arg + n - 1 || !(part >= 0 && part <= 100))
        argp_error(state, "--warmup: got %s, allowed: steps, or 0%% to 100%%", arg);
    s->warmup = 0;
    s->warmup_part = part / 100;
}

static error_t parse_optimiser(cts_label_options *o, int key, char *arg, struct argp_state *state)
{
    cts_loop_config *c = &o->s.label.loop;
    double betas[2];

    switch (key) {
    case KEY_BATCH:
        c->batch = cts_cli_int(state, "--batch", arg, 1, 1 << 16);
        o->batch_given = true;
        return 0;
    case KEY_ACCUMULATE:
        c->accumulate = cts_cli_int(state, "--accumulate", arg, 1, 1 << 16);
        return 0;
    case KEY_LR:
        c->schedule.lr = cts_cli_double(state, "--lr", arg, 0, 10);
        o->lr_given = true;
        return 0;
    case KEY_MIN_LR:
        c->schedule.min_lr = cts_cli_double(state, "--min-lr", arg, 0, 10);
        return 0;
    case KEY_WARMUP:
        parse_warmup(&c->schedule, arg, state);
        return 0;
    case KEY_SCHEDULE:
        if (cts_schedule_parse(&c->schedule.kind, arg))
            argp_error(state, "%s", cts_error());
        return 0;
    case KEY_DECAY:
        c->adamw.weight_decay = cts_cli_double(state, "--weight-decay", arg, 0, 10);
        return 0;
    case KEY_BETAS:
        cts_cli_doubles(state, "--betas", arg, betas, 2, 0, 0.999999);
        c->adamw.beta1 = betas[0];
        c->adamw.beta2 = betas[1];
        return 0;
    case KEY_CLIP:
        c->adamw.clip = cts_cli_double(state, "--clip", arg, 0, 1e9);
        return 0;
    case KEY_NO_SHUFFLE:
        c->shuffle = false;
        return 0;
    case KEY_RECOMPUTE:
        o->s.label.recompute = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    static error_t (*const groups[])(cts_label_options *, int, char *,
                                     struct argp_state *) = {parse_run, parse_labels, parse_volumes, parse_optimiser};
    cts_label_options *o = state->input;

    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = &o->s.train;
        return 0;
    }
    if (key == ARGP_KEY_END) {
        if (!o->s.out)
            argp_error(state, "--out: needed, the run folder");
        if (!o->s.train.labels || !o->s.train.volumes)
            argp_error(state, "--labels and --volumes are needed: volumes and what they show");
        if (!o->s.valid.labels != !o->s.valid.volumes)
            argp_error(state, "--val-labels and --val-volumes: got one, allowed: both or none");
        if (o->free_recipe && o->s.recipe_given)
            argp_error(state, "--recipe and --size/--spacing/--hu-window: got both, allowed: one of them");
        if (o->free_recipe && o->size[0] == 0)
            argp_error(state, "--size: needed with --spacing or --hu-window");
        return 0;
    }
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        if (groups[i](o, key, arg, state) == 0)
            return 0;
    return ARGP_ERR_UNKNOWN;
}

static const struct argp_child children[] = {{&cts_dataset_argp, 0, NULL, 0}, {0}};
const struct argp cts_label_argp = {.options = options, .parser = parse, .children = children};

int cts_label_options_finish(cts_label_options *o, const char *recipe)
{
    int64_t size[3] = {(int64_t)o->size[0], (int64_t)o->size[1], (int64_t)o->size[2]};

    o->s.label.loop.time_budget = 60.0 * o->minutes;
    if (o->free_recipe) {
        o->s.recipe_given = true;
        return cts_recipe_free(&o->s.recipe, "free", o->spacing, size, o->hu_window);
    }
    return o->s.recipe_given || !recipe ? CTS_OK : cts_recipe_find(&o->s.recipe, recipe);
}

/* ---- what is printed -------------------------------------------------------------------------------------------- */

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *labels_json(const cts_thresholds *t)
{
    json_t *list = json_array();

    for (size_t i = 0; i < t->n_labels; i++) {
        const cts_label_threshold *l = &t->label[i];

        json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "name", l->name, "threshold",
                                              number(l->threshold), "auroc", number(l->auroc), "auroc_low",
                                              number(l->auroc_low), "auroc_high", number(l->auroc_high), "f1",
                                              number(l->f1), "prevalence", number(l->prevalence)));
    }
    return list;
}

static int print_json(const cts_label_summary *s)
{
    json_t *j =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:b}", "model", s->model,
                  "params", (json_int_t)s->params, "trained", (json_int_t)s->trained, "macs", (json_int_t)s->macs,
                  "volumes", (json_int_t)s->volumes, "validation", (json_int_t)s->validation, "steps",
                  (json_int_t)s->loop.steps_done, "skipped", (json_int_t)s->loop.skipped, "seconds", s->loop.seconds,
                  "waited", s->loop.waited, "first_loss", s->loop.first_loss, "last_loss", s->loop.last_loss,
                  "peak_bytes", (json_int_t)s->loop.peak_bytes, "without_volume", (json_int_t)s->without_volume,
                  "without_labels", (json_int_t)s->without_labels, "cached", s->cached);

    if (j) {
        json_object_set_new(j, "orientations", cts_orientations_json(&s->axes));
        json_object_set_new(j, "best_step", s->best_step < 0 ? json_null() : json_integer((json_int_t)s->best_step));
        json_object_set_new(j, "auroc_macro", number(cts_thresholds_macro(&s->thresholds)));
        json_object_set_new(j, "labels", labels_json(&s->thresholds));
    }
    return cts_print_json(j);
}

static void print_text(const cts_label_summary *s)
{
    printf("trained %lld of %lld steps on %zu volumes in %.1f s: loss %.3f -> %.3f\n", (long long)s->loop.steps_done,
           (long long)s->loop.steps, s->volumes, s->loop.seconds, s->loop.first_loss, s->loop.last_loss);
    if (s->thresholds.n_labels) {
        printf("%-36s %7s %15s %9s %6s %10s\n", "validation", "AUROC", "95 % interval", "threshold", "F1",
               "prevalence");
        for (size_t i = 0; i < s->thresholds.n_labels; i++) {
            const cts_label_threshold *l = &s->thresholds.label[i];

            printf("%-36s %7.3f   %.3f to %.3f %9.3f %6.3f %10.3f\n", l->name, l->auroc, l->auroc_low, l->auroc_high,
                   l->threshold, l->f1, l->prevalence);
        }
        printf("macro AUROC %.3f on %zu volumes of %zu patients", cts_thresholds_macro(&s->thresholds), s->thresholds.n,
               s->thresholds.patients);
        if (s->best_step >= 0)
            printf(", best at step %lld", (long long)s->best_step);
        printf("\n");
    }
    printf("model: %s (%lld parameters, %lld trained)\n", s->model, (long long)s->params, (long long)s->trained);
}

int cts_label_command(const cts_label_options *o, const cts_common *common)
{
    cts_label_summary sum = {.best_step = -1};
    cts_runtime rt = {0};
    int rc;

    if (!(rc = cts_runtime_open(&rt, common)))
        rc = cts_label_run(&o->s, common, &rt, &sum);
    cts_runtime_close(&rt);
    if (!rc && common->json)
        rc = print_json(&sum);
    else if (!rc)
        print_text(&sum);
    if (!rc && (sum.loop.skipped || sum.without_volume || sum.without_labels))
        rc = cts_fail(CTS_E_PARTIAL,
                      "left out: %lld volumes that cannot be read, %zu records without a file, %zu without labels",
                      (long long)sum.loop.skipped, sum.without_volume, sum.without_labels);
    cts_label_summary_clear(&sum);
    return rc;
}
