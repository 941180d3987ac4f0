/* SPDX-License-Identifier: MIT */
#include "query/training/label_options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/base/status.h"
#include "query/orientation.h"

enum {
    KEY_FINDINGS = 0x2300,
    KEY_POS_WEIGHT,
    KEY_BALANCE,
    KEY_HEAD_INPUT,
    KEY_HEAD_RELU,
    KEY_HEAD_DROPOUT,
    KEY_AUGMENT
};

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Labels:", 4},
    {"findings", KEY_FINDINGS, "LIST", 0, "Only these of the 18, separated by commas", 4},
    {"pos-weight", KEY_POS_WEIGHT, "KIND", 0,
     "Weight of a positive cell: none, balanced (negatives per positive), published (DCFormer's list) or a JSON file "
     "of finding and weight",
     4},
    {"balance", KEY_BALANCE, NULL, 0, "Class-balanced draws: volumes with rare findings come more often", 4},
    {"head-input", KEY_HEAD_INPUT, "KIND", 0, "A linear head on the encoder's vector or on the embedding", 4},
    {"head-relu", KEY_HEAD_RELU, "YES|NO", 0, "A relu before that head", 4},
    {"head-dropout", KEY_HEAD_DROPOUT, "P", 0, "Dropout before that head", 4},
    {"augment", KEY_AUGMENT, "LIST", 0,
     "Random variants: none, default, or a list of shift=X, rotate=X, noise=X, jitter=X, flip", 6},
    {0}};

static error_t parse_labels(cts_label_options *o, int key, char *arg, struct argp_state *state)
{
    switch (key) {
    case KEY_FINDINGS:
        o->s.findings = arg;
        return 0;
    case KEY_POS_WEIGHT:
        o->s.pos_weight = arg;
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
    case KEY_AUGMENT:
        if (cts_augment_parse(&o->s.augment, arg))
            argp_error(state, "%s", cts_error());
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    cts_label_options *o = state->input;
    const cts_loop_options *run = &o->run;

    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = &o->run;
        return 0;
    }
    if (key == ARGP_KEY_END) {
        if (!run->train.labels || !run->train.volumes)
            argp_error(state, "--labels and --volumes are needed: volumes and what they show");
        if (!run->valid.labels != !run->valid.volumes)
            argp_error(state, "--val-labels and --val-volumes: got one, allowed: both or none");
        return 0;
    }
    return parse_labels(o, key, arg, state);
}

static const struct argp_child children[] = {{&cts_loop_argp, 0, NULL, 0}, {0}};
const struct argp cts_label_argp = {.options = options, .parser = parse, .children = children};

int cts_label_options_finish(cts_label_options *o)
{
    const cts_loop_options *run = &o->run;
    cts_label_setup *s = &o->s;
    int rc = cts_loop_options_finish(&o->run);

    s->train = run->train;
    s->valid = run->valid;
    s->out = run->out;
    s->epochs = run->epochs;
    s->recipe = run->recipe;
    s->recipe_given = run->recipe_given;
    s->label.recompute = run->recompute;
    return rc;
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
