/* `ctsearch demo`: synthetic scans -> training -> index -> search -> metrics, by the commands a user would type.
 *
 * Every line it prints after "$" is what it runs, inside this process, in the folder it names. The figures are those
 * the commands returned; what it adds is the truth beside them, which for phantoms is known.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/ct_rate.h"
#include "kernels/base/file.h"
#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"
#include "query/cli.h"
#include "query/demo_report.h"
#include "query/run_line.h"

#define SENTENCE "pleural effusion"
#define FINDING "Pleural effusion"
#define HITS "5"
#define BATCH 32 /* pairs; clearly better than 16 in the same time */

enum { KEY_MINUTES = 0x2000, KEY_KEEP, KEY_TRAIN, KEY_VALID, KEY_GALLERY, KEY_SIZE };

typedef struct {
    const char *out;
    bool keep;
    double minutes;
    int64_t n_train, n_valid, n_gallery;
    double size_zxy[3];
} options;

static const struct argp_option argp_options[] = {
    {"out", 'o', "DIR", 0, "Work and leave everything here (default: a temporary folder, removed at the end)", 0},
    {"keep", KEY_KEEP, NULL, 0, "Do not remove the temporary folder", 0},
    {"minutes", KEY_MINUTES, "M", 0, "Longest time in the training loop (default 3.3)", 0},
    {"train", KEY_TRAIN, "N", 0, "Scans to train on (default 960)", 0},
    {"valid", KEY_VALID, "N", 0, "Scans to validate training on (default 48)", 0},
    {"gallery", KEY_GALLERY, "N", 0, "Scans to index, search and evaluate on (default 160)", 0},
    {"size", KEY_SIZE, "Z,X,Y", 0, "Voxels of a scan (default 64,96,96)", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;

    switch (key) {
    case 'o':
        o->out = arg;
        return 0;
    case KEY_KEEP:
        o->keep = true;
        return 0;
    case KEY_MINUTES:
        o->minutes = cts_cli_double(state, "--minutes", arg, 0.01, 1e4);
        return 0;
    case KEY_TRAIN:
        o->n_train = cts_cli_int(state, "--train", arg, 16, 100000);
        return 0;
    case KEY_VALID:
        o->n_valid = cts_cli_int(state, "--valid", arg, 2, 100000);
        return 0;
    case KEY_GALLERY:
        o->n_gallery = cts_cli_int(state, "--gallery", arg, 2, 100000);
        return 0;
    case KEY_SIZE:
        cts_cli_doubles(state, "--size", arg, o->size_zxy, 3, 32, 1024);
        return 0;
    case ARGP_KEY_ARG:
        return ARGP_ERR_UNKNOWN;
    default:
        return 0;
    }
}

/* ---- running lines ---------------------------------------------------------------------------------------------- */

typedef struct {
    const options *o;
    const cts_common *common;
    json_t *result; /* grows by a field a section */
    json_t *commands;
    cts_dataset *gallery, *valid;
    bool human;
    int section;
    char threads[16], seed[32];
} demo;

static void heading(demo *d, const char *text)
{
    if (d->human)
        cts_demo_heading(++d->section, text);
}

/* Run words (up to NULL) with the options the demo hands on. Its answer is the caller's. A few skipped items are said
 * by the command and do not end the demo. */
static int line(demo *d, json_t **answer, const char *const *words)
{
    const char *all[48];
    cts_str text = {0};
    int n = 0, rc;

    while (words[n] && n < 36) {
        all[n] = words[n];
        n++;
    }
    if (d->common->threads) {
        all[n++] = "--threads";
        all[n++] = d->threads;
    }
    if (strcmp(d->common->device, "cpu")) {
        all[n++] = "--device";
        all[n++] = d->common->device;
    }
    if (d->common->quiet)
        all[n++] = "--quiet";
    all[n] = NULL;
    cts_line_text(&text, all);
    json_array_append_new(d->commands, json_string(cts_str_text(&text)));
    if (d->human)
        cts_demo_command_line(cts_str_text(&text));
    cts_str_free(&text);
    rc = cts_run_line(answer, all);
    return rc == CTS_E_PARTIAL ? CTS_OK : rc;
}

/* ---- sections --------------------------------------------------------------------------------------------------- */

static int render(demo *d)
{
    const struct {
        const char *name;
        int64_t n;
    } sets[] = {{"train", d->o->n_train}, {"valid", d->o->n_valid}, {"gallery", d->o->n_gallery}};
    const double *size = d->o->size_zxy;
    char count[24], voxels[64];
    json_t *all = json_object();
    int rc = CTS_OK;

    heading(d, "Render synthetic chest scans with reports and labels");
    snprintf(voxels, sizeof voxels, "%.0f,%.0f,%.0f", size[1], size[2], size[0]);
    for (int i = 0; !rc && i < 3; i++) {
        const char *words[] = {"phantom", "--out",  sets[i].name, "--prefix", sets[i].name, "--count",
                               count,     "--size", voxels,       "--seed",   d->seed,      NULL};
        json_t *one = NULL;

        snprintf(count, sizeof count, "%lld", (long long)sets[i].n);
        if ((rc = line(d, &one, words)))
            break;
        if (d->human)
            cts_demo_phantom(one);
        json_object_set_new(all, sets[i].name, one);
    }
    json_object_set_new(d->result, "phantom", all);
    return rc;
}

static int train(demo *d)
{
    const double *size = d->o->size_zxy;
    char voxels[64], minutes[32], batch[24];
    /* clang-format off */
    const char *words[] = {"train", "clip", "--reports", "train/reports.csv", "--volumes", "train/volumes",
                           "--val-reports", "valid/reports.csv", "--val-labels", "valid/labels.csv",
                           "--val-volumes", "valid/volumes", "--image", "dcformer-nano", "--text", "bert-tiny",
                           "--size", voxels, "--batch", batch, "--impression-epochs", "6",
                           "--steps", "4000", "--minutes", minutes, "--seed", d->seed, "--out", "run", NULL};
    /* clang-format on */
    json_t *j = NULL;
    int rc;

    heading(d, "Train DCFormer-nano and a small BERT on pairs of scan and report");
    snprintf(voxels, sizeof voxels, "%.0f,%.0f,%.0f", size[0], size[1], size[2]);
    snprintf(minutes, sizeof minutes, "%g", d->o->minutes);
    snprintf(batch, sizeof batch, "%d", d->o->n_train < 2 * BATCH ? BATCH / 2 : BATCH);
    if ((rc = line(d, &j, words)))
        return rc;
    if (d->human)
        cts_demo_train(j);
    json_object_set_new(d->result, "train", j);
    return CTS_OK;
}

static int build_index(demo *d)
{
    const char *create[] = {"index", "create", "gallery.index", "--model", "run", NULL};
    const char *add[] = {"index",
                         "add",
                         "gallery.index",
                         "--reports",
                         "gallery/reports.csv",
                         "--labels",
                         "gallery/labels.csv",
                         "--volumes",
                         "gallery/volumes",
                         NULL};
    json_t *j = NULL;
    int rc;

    heading(d, "Index scans that training never saw");
    if ((rc = line(d, &j, create)))
        return rc;
    json_decref(j);
    j = NULL;
    if ((rc = line(d, &j, add)))
        return rc;
    if (d->human)
        cts_demo_index(j);
    json_object_set_new(d->result, "index", j);
    return CTS_OK;
}

static const cts_record *record_of(const cts_dataset *set, const json_t *hit)
{
    const char *id = json_string_value(json_object_get(hit, "id"));
    int64_t i = id ? cts_dataset_find(set, id) : -1;

    return i < 0 ? NULL : &set->records[i];
}

static int text_query(demo *d)
{
    const char *words[] = {"query", "--index", "gallery.index", "--text", SENTENCE, "-k", HITS, NULL};
    int finding = cts_finding_find(FINDING), rc;
    size_t i, positives = 0;
    json_t *j = NULL, *hit;

    heading(d, "Search by a sentence");
    if ((rc = line(d, &j, words)))
        return rc;
    json_array_foreach(json_object_get(j, "hits"), i, hit)
    {
        const cts_record *r = record_of(d->gallery, hit);

        json_object_set_new(hit, "truth", json_boolean(r && r->labels[finding]));
    }
    for (i = 0; i < d->gallery->n; i++)
        positives += d->gallery->records[i].labels[finding];
    if (d->human)
        cts_demo_text_query(j, FINDING, (double)positives / (double)d->gallery->n);
    json_object_set_new(j, "prevalence", json_real((double)positives / (double)d->gallery->n));
    json_object_set_new(d->result, "text_query", j);
    return CTS_OK;
}

/* The first scan of a set with at least three findings, or the one with most. */
static const cts_record *interesting(const cts_dataset *set)
{
    const cts_record *best = &set->records[0];
    int most = -1;

    for (size_t i = 0; i < set->n && most < 3; i++) {
        int n = 0;

        for (int f = 0; f < CTS_FINDINGS; f++)
            n += set->records[i].labels[f];
        if (n > most) {
            most = n;
            best = &set->records[i];
        }
    }
    return best;
}

static int image_query(demo *d)
{
    const cts_record *r = interesting(d->gallery);
    const char *words[] = {"query", "--index", "gallery.index", "--image", r->path, "-k", HITS, NULL};
    cts_str truth = {0};
    json_t *j = NULL, *hit;
    size_t i;
    int rc;

    heading(d, "From a scan to the reports that fit it");
    if ((rc = line(d, &j, words)))
        return rc;
    json_array_foreach(json_object_get(j, "hits"), i, hit)
    {
        json_object_set_new(hit, "own", json_boolean(record_of(d->gallery, hit) == r));
    }
    for (int f = 0; f < CTS_FINDINGS; f++)
        if (r->labels[f])
            cts_str_printf(&truth, "%s%s", truth.n ? ", " : "", cts_findings[f].name);
    if (d->human)
        cts_demo_image_query(j, truth.n ? cts_str_text(&truth) : "no finding", d->gallery->n);
    cts_str_free(&truth);
    json_object_set_new(d->result, "image_query", j);
    return CTS_OK;
}

static int score(demo *d)
{
    const cts_record *r = interesting(d->valid);
    const char *words[] = {"score", "--model", "run", r->path, NULL};
    json_t *j = NULL, *f;
    size_t i;
    int rc;

    heading(d, "What one scan shows, by prompts alone, and what it truly has");
    if ((rc = line(d, &j, words)))
        return rc;
    json_array_foreach(json_object_get(j, "findings"), i, f)
    {
        const char *name = json_string_value(json_object_get(f, "name"));
        int at = name ? cts_finding_find(name) : -1;

        json_object_set_new(f, "truth", json_boolean(at >= 0 && r->labels[at]));
    }
    if (d->human)
        cts_demo_score(j);
    json_object_set_new(d->result, "score", j);
    return CTS_OK;
}

static int evaluate(demo *d)
{
    const char *recall[] = {"eval", "recall", "--index", "gallery.index", NULL};
    const char *zeroshot[] = {"eval", "zeroshot", "--index", "gallery.index", NULL};
    json_t *j = NULL;
    int rc;

    heading(d, "Do reports and scans find each other?");
    if ((rc = line(d, &j, recall)))
        return rc;
    if (d->human)
        cts_demo_recall(j);
    json_object_set_new(d->result, "recall", j);
    j = NULL;
    heading(d, "How well do prompts tell the findings apart?");
    if ((rc = line(d, &j, zeroshot)))
        return rc;
    if (d->human)
        cts_demo_zeroshot(j);
    json_object_set_new(d->result, "zeroshot", j);
    return CTS_OK;
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

static int load_truth(demo *d)
{
    const cts_dataset_paths gallery = {.labels = "gallery/labels.csv", .volumes = "gallery/volumes"};
    const cts_dataset_paths valid = {.labels = "valid/labels.csv", .volumes = "valid/volumes"};
    int rc = cts_dataset_load(&d->gallery, &gallery);

    return rc ? rc : cts_dataset_load(&d->valid, &valid);
}

static int run_sections(demo *d)
{
    static int (*const sections[])(demo *) = {render,     load_truth,  train, build_index,
                                              text_query, image_query, score, evaluate};
    int rc = CTS_OK;

    for (size_t i = 0; !rc && i < sizeof sections / sizeof sections[0]; i++)
        rc = sections[i](d);
    return rc;
}

/* The folder to work in, absolute and malloc'd; the process moves into it, so that the printed lines are short. */
static int enter_folder(char **folder, const options *o)
{
    const char *base = getenv("TMPDIR");
    char *path = o->out ? cts_strdup(o->out) : cts_asprintf("%s/ctsearch-demo-XXXXXX", base && *base ? base : "/tmp");
    int rc = path ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory");

    if (!rc && o->out)
        rc = cts_mkdir_p(path);
    else if (!rc && !mkdtemp(path))
        rc = cts_fail(CTS_E_IO, "%s: a temporary folder cannot be made: %s", path, strerror(errno));
    if (!rc && (!(*folder = realpath(path, NULL)) || chdir(*folder)))
        rc = cts_fail(CTS_E_IO, "%s: cannot be entered: %s", path, strerror(errno));
    free(path);
    return rc;
}

/* Earlier runs' files of the same names would mix with ours. */
static int refuse_leftovers(const char *folder)
{
    static const char *const names[] = {"train", "valid", "gallery", "run", "gallery.index"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (cts_file_exists(names[i]))
            return cts_fail(CTS_E_INPUT, "--out %s: it already holds %s, allowed: a new or empty folder", folder,
                            names[i]);
    return CTS_OK;
}

static int finish(demo *d, const char *folder, bool kept, double seconds)
{
    if (d->human) {
        printf("\nDone in %.0f s. ", seconds);
        if (kept)
            printf("Everything is in %s; cd there and try:\n"
                   "   ctsearch query --index gallery.index "
                   "--text \"enlarged heart\"\n",
                   folder);
        else
            printf("Run it with --keep to go on searching.\n");
        return CTS_OK;
    }
    json_object_set_new(d->result, "folder", kept ? json_string(folder) : json_null());
    json_object_set_new(d->result, "seconds", json_real(seconds));
    json_object_set(d->result, "commands", d->commands);
    return cts_print_json(json_incref(d->result));
}

static int run(int argc, char **argv)
{
    options o = {.minutes = 3.3, .n_train = 960, .n_valid = 48, .n_gallery = 160, .size_zxy = {64, 96, 96}};
    cts_common common;
    demo d = {.o = &o, .common = &common, .result = json_object(), .commands = json_array()};
    char *folder = NULL;
    double from = cts_now();
    bool kept;
    int rc =
        cts_cli_parse(argc, argv, argp_options, parse, NULL,
                      "Render synthetic chest scans, train on them, index others, search and evaluate: every step with "
                      "the command that does it."
                      "\vExample:\n  ctsearch demo --out demo",
                      &o, &common);

    if (rc || (rc = enter_folder(&folder, &o)))
        goto out;
    kept = o.keep || o.out;
    d.human = !common.json;
    snprintf(d.threads, sizeof d.threads, "%d", common.threads);
    snprintf(d.seed, sizeof d.seed, "%llu", (unsigned long long)common.seed);
    if (d.human)
        printf("Working in %s%s.\nPhantoms are synthetic: this shows the machinery, not what a model can do on "
               "patients.\n",
               folder, kept ? "" : ", removed at the end");
    if (!(rc = refuse_leftovers(folder)) && !(rc = run_sections(&d)))
        rc = finish(&d, folder, kept, cts_now() - from);
    if (!kept && chdir("/") == 0) {
        char sentence[1024];

        snprintf(sentence, sizeof sentence, "%s", cts_error());
        if (cts_remove_tree(folder) && rc) /* the first fault is the one to tell */
            cts_fail(rc, "%s", sentence);
    }
out:
    cts_dataset_destroy(d.gallery);
    cts_dataset_destroy(d.valid);
    json_decref(d.result);
    json_decref(d.commands);
    free(folder);
    return rc;
}

const cts_command cts_cmd_demo = {"demo", "train, index and search synthetic scans", run};
