/* SPDX-License-Identifier: MIT */
#include "query/training/loop_options.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/status.h"
#include "kernels/base/str.h"
#include "query/cli.h"
#include "query/dataset_options.h"

enum {
    KEY_RESUME = 0x2600,
    KEY_STEPS,
    KEY_EPOCHS,
    KEY_MINUTES,
    KEY_EVAL,
    KEY_SAVE,
    KEY_KEEP,
    KEY_VAL_LABELS,
    KEY_VAL_METADATA,
    KEY_VAL_VOLUMES,
    KEY_RECIPE,
    KEY_SIZE,
    KEY_SPACING,
    KEY_HU_WINDOW,
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

/* Defaults that differ between commands are put behind these texts by with_default(). */
static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Run:", 2},
    {"out", 'o', "DIR", 0, "Run folder: model/, checkpoints/, log.jsonl (needed)", 2},
    {"resume", KEY_RESUME, NULL, 0, "Go on from the newest checkpoint in the run folder", 2},
    {"steps", KEY_STEPS, "N", 0, "Optimiser steps", 2},
    {"epochs", KEY_EPOCHS, "N", 0, "Instead of --steps: passes over the training data", 2},
    {"minutes", KEY_MINUTES, "M", 0, "Lower the number of steps so that the loop takes at most this long", 2},
    {"eval-every", KEY_EVAL, "N", 0, "Steps between validations and model saves", 2},
    {"save-every", KEY_SAVE, "N", 0, "Steps between checkpoints (default: only at the end and when interrupted)", 2},
    {"keep", KEY_KEEP, "N", 0, "Checkpoints kept", 2},
    {NULL, 0, NULL, 0, "Validation data:", 3},
    {"val-labels", KEY_VAL_LABELS, "CSV", 0, "Labels of the validation volumes", 3},
    {"val-volumes", KEY_VAL_VOLUMES, "DIR", 0, "Their files", 3},
    {"val-metadata", KEY_VAL_METADATA, "CSV", 0, "Their metadata", 3},
    {NULL, 0, NULL, 0, "Volumes:", 6},
    {"recipe", KEY_RECIPE, "NAME|FILE.json", 0, "Named preprocessing", 6},
    {"size", KEY_SIZE, "Z,X,Y", 0, "Free recipe: voxels of the tensor", 6},
    {"spacing", KEY_SPACING, "Z,X,Y", 0, "Free recipe: mm; 0,0,0 fits the whole field of view into the size (default)",
     6},
    {"hu-window", KEY_HU_WINDOW, "LO,HI", 0, "Free recipe: HU window that becomes -1..1 (default -1000,1000)", 6},
    {"cache-mb", KEY_CACHE, "N", 0,
     "Keep prepared volumes in memory up to this; supervised training as many again for validation", 6},
    {"loaders", KEY_LOADERS, "N", 0, "Threads that read volumes ahead", 6},
    {NULL, 0, NULL, 0, "Optimisation:", 7},
    {"batch", KEY_BATCH, "N", 0, "Volumes a micro-batch; in contrastive training each other's negatives", 7},
    {"accumulate", KEY_ACCUMULATE, "N", 0, "Micro-batches a step", 7},
    {"lr", KEY_LR, "X", 0, "Peak learning rate", 7},
    {"min-lr", KEY_MIN_LR, "X", 0, "Learning rate at the end of the cosine", 7},
    {"warmup", KEY_WARMUP, "N|P%", 0, "Linear warm-up: steps, or a part of all steps", 7},
    {"schedule", KEY_SCHEDULE, "KIND", 0, "cosine or constant", 7},
    {"weight-decay", KEY_DECAY, "X", 0, "On weights, not on biases and norms", 7},
    {"betas", KEY_BETAS, "B1,B2", 0, "Of AdamW", 7},
    {"clip", KEY_CLIP, "X", 0, "Largest gradient norm; 0 = no clipping", 7},
    {"no-shuffle", KEY_NO_SHUFFLE, NULL, 0, "Take the volumes in CSV order, epoch after epoch", 7},
    {"recompute", KEY_RECOMPUTE, NULL, 0, "Keep less for backward: less memory, more time", 7},
    {0}};

/* ---- parsing ----------------------------------------------------------------------------------------------------- */

static error_t parse_run(cts_loop_options *o, int key, char *arg, struct argp_state *state)
{
    cts_loop_config *c = o->loop;

    switch (key) {
    case 'o':
        o->out = arg;
        return 0;
    case KEY_RESUME:
        c->resume = true;
        return 0;
    case KEY_STEPS:
        c->schedule.steps = cts_cli_int(state, "--steps", arg, 1, INT32_MAX);
        o->steps_given = true;
        return 0;
    case KEY_EPOCHS:
        o->epochs = cts_cli_int(state, "--epochs", arg, 1, 1 << 20);
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

static error_t parse_volumes(cts_loop_options *o, int key, char *arg, struct argp_state *state)
{
    switch (key) {
    case KEY_VAL_LABELS:
        o->valid.labels = arg;
        return 0;
    case KEY_VAL_METADATA:
        o->valid.metadata = arg;
        return 0;
    case KEY_VAL_VOLUMES:
        o->valid.volumes = arg;
        return 0;
    case KEY_RECIPE:
        if (cts_recipe_open(&o->recipe, arg))
            argp_error(state, "--recipe: %s", cts_error());
        o->recipe_given = true;
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
    case KEY_CACHE:
        o->loop->cache_bytes = (size_t)cts_cli_int(state, "--cache-mb", arg, 0, 1 << 20) << 20;
        return 0;
    case KEY_LOADERS:
        o->loop->loader_threads = (int)cts_cli_int(state, "--loaders", arg, 1, 256);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* "20000" or "40%". */
static void parse_warmup(cts_schedule *s, const char *arg, struct argp_state *state)
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

static error_t parse_optimiser(cts_loop_options *o, int key, char *arg, struct argp_state *state)
{
    cts_loop_config *c = o->loop;
    double betas[2];

    switch (key) {
    case KEY_BATCH:
        c->batch = cts_cli_int(state, "--batch", arg, o->least_batch ? o->least_batch : 1, 1 << 16);
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
        o->recompute = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    static error_t (*const groups[])(cts_loop_options *, int, char *, struct argp_state *) = {parse_run, parse_volumes,
                                                                                              parse_optimiser};
    cts_loop_options *o = state->input;

    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = &o->train;
        o->defaults = *o->loop;
        o->hu_window[0] = -1000;
        o->hu_window[1] = 1000;
        return 0;
    }
    if (key == ARGP_KEY_END) {
        if (!o->out)
            argp_error(state, "--out: needed, the run folder");
        if (o->free_recipe && o->recipe_given)
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

/* ---- defaults in --help ------------------------------------------------------------------------------------------ */

/* malloc'd; NULL = none is said, or no memory is left. */
static char *default_text(const cts_loop_options *o, int key)
{
    const cts_loop_config *c = &o->defaults;

    switch (key) {
    case KEY_STEPS:
        return o->default_steps ? cts_strdup(o->default_steps) : cts_asprintf("%lld", (long long)c->schedule.steps);
    case KEY_EVAL:
        return c->eval_parts > 1 ? cts_asprintf("%lld times a run", (long long)c->eval_parts)
                                 : cts_strdup("only at the end");
    case KEY_KEEP:
        return cts_asprintf("%d", c->keep);
    case KEY_RECIPE:
        return cts_strdup(o->default_recipe ? o->default_recipe : "the model's");
    case KEY_CACHE:
        return cts_asprintf("%zu", c->cache_bytes >> 20);
    case KEY_LOADERS:
        return cts_asprintf("%d", c->loader_threads);
    case KEY_BATCH:
        return o->default_batch ? cts_strdup(o->default_batch) : cts_asprintf("%lld", (long long)c->batch);
    case KEY_ACCUMULATE:
        return cts_asprintf("%lld", (long long)c->accumulate);
    case KEY_LR:
        return o->default_lr ? cts_strdup(o->default_lr) : cts_asprintf("%g", c->schedule.lr);
    case KEY_MIN_LR:
        return cts_asprintf("%g", c->schedule.min_lr);
    case KEY_WARMUP:
        return c->schedule.warmup_part > 0 ? cts_asprintf("%g%%", 100 * c->schedule.warmup_part)
                                           : cts_asprintf("%lld", (long long)c->schedule.warmup);
    case KEY_SCHEDULE:
        return cts_strdup(cts_schedule_name(c->schedule.kind));
    case KEY_DECAY:
        return cts_asprintf("%g", c->adamw.weight_decay);
    case KEY_BETAS:
        return cts_asprintf("%g,%g", c->adamw.beta1, c->adamw.beta2);
    case KEY_CLIP:
        return cts_asprintf("%g", c->adamw.clip);
    default:
        return NULL;
    }
}

/* argp's help_filter: its answer is released by argp, or is the text it gave. */
static char *with_default(int key, const char *text, void *input)
{
    char *value = text && input ? default_text(input, key) : NULL;
    char *all = value ? cts_asprintf("%s (default %s)", text, value) : NULL;

    free(value);
    return all ? all : (char *)text;
}

static const struct argp_child children[] = {{&cts_dataset_argp, 0, NULL, 0}, {0}};
const struct argp cts_loop_argp = {
    .options = options, .parser = parse, .children = children, .help_filter = with_default};

int cts_loop_options_finish(cts_loop_options *o)
{
    int64_t size[3] = {(int64_t)o->size[0], (int64_t)o->size[1], (int64_t)o->size[2]};

    o->loop->time_budget = 60.0 * o->minutes;
    if (o->free_recipe) {
        o->recipe_given = true;
        return cts_recipe_free(&o->recipe, "free", o->spacing, size, o->hu_window);
    }
    return o->recipe_given || !o->default_recipe ? CTS_OK : cts_recipe_find(&o->recipe, o->default_recipe);
}
