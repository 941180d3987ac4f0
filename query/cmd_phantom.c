/* `ctsearch phantom`: synthetic chest CTs as NIfTI files, drawn with reports and labels or rendered for given CSVs.
 * SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "data/phantom_set.h"
#include "kernels/base/log.h"
#include "kernels/base/signal.h"
#include "kernels/base/status.h"
#include "query/cli.h"

enum {
    KEY_REPORTS = 0x2000,
    KEY_LABELS,
    KEY_SIZE,
    KEY_SPACING,
    KEY_PREFIX,
    KEY_FIRST,
    KEY_WITHOUT,
    KEY_MASKS,
    KEY_NOISE
};

typedef struct {
    cts_phantom_set set;
} options;

static const struct argp_option argp_options[] = {
    {"out", 'o', "DIR", 0, "Folder to fill: volumes/, reports.csv, labels.csv, metadata.csv (needed)", 1},
    {"count", 'n', "N", 0, "Volumes (default 16; of given CSVs: all)", 1},
    {"reports", KEY_REPORTS, "CSV", 0, "Render a volume for each row of this CSV; needs --labels", 1},
    {"labels", KEY_LABELS, "CSV", 0, "The findings to render, under the names of this CSV", 1},
    {NULL, 0, NULL, 0, "What is rendered:", 2},
    {"size", KEY_SIZE, "X,Y,Z", 0, "Voxels (default 96,96,64)", 2},
    {"spacing", KEY_SPACING, "X,Y,Z", 0, "mm (default: 360 x 280 x 300 mm over the voxels)", 2},
    {"noise", KEY_NOISE, "HU", 0, "Standard deviation of the noise, 0 = none (default: drawn per patient)", 2},
    {"findings", 'f', "A,B", 0, "Exactly these findings in every volume, \"none\" for no finding", 2},
    {"without", KEY_WITHOUT, "FINDING", 0, "Leave a finding out, all else the same; may be repeated", 2},
    {"masks", KEY_MASKS, NULL, 0, "Also masks/: sum of 2^i over the findings i at each voxel", 2},
    {"prefix", KEY_PREFIX, "NAME", 0, "Names are NAME_000001_a_1.nii.gz and on (default train)", 2},
    {"first", KEY_FIRST, "N", 0, "Number of the first volume (default 1)", 2},
    {0}};

static uint32_t finding_bit(const char *option, const char *name, struct argp_state *state)
{
    int i = cts_finding_find(name);

    if (i < 0)
        argp_error(state, "%s: got %s, allowed: the findings of a CT-RATE label CSV, such as \"Pleural effusion\"",
                   option, name);
    return 1u << i;
}

static void parse_findings(options *o, const char *arg, struct argp_state *state)
{
    char name[64];

    o->set.exactly = true;
    o->set.findings = 0;
    if (!strcmp(arg, "none"))
        return;
    for (const char *p = arg; *p;) {
        size_t n = strcspn(p, ",");

        snprintf(name, sizeof name, "%.*s", (int)n, p);
        o->set.findings |= finding_bit("--findings", name, state);
        p += n + (p[n] == ',');
        p += strspn(p, " ");
    }
}

static error_t parse_picture(options *o, int key, char *arg, struct argp_state *state)
{
    double v[3];

    switch (key) {
    case KEY_SIZE:
        cts_cli_doubles(state, "--size", arg, v, 3, 8, 1024);
        for (int i = 0; i < 3; i++)
            o->set.dim[i] = (int64_t)v[i];
        return 0;
    case KEY_SPACING:
        cts_cli_doubles(state, "--spacing", arg, o->set.spacing, 3, 0.2, 20);
        return 0;
    case KEY_NOISE:
        o->set.noise_hu = cts_cli_double(state, "--noise", arg, 0, 500);
        if (o->set.noise_hu == 0)
            o->set.noise_hu = -1; /* to the set, 0 means drawn and negative none */
        return 0;
    case 'f':
        parse_findings(o, arg, state);
        return 0;
    case KEY_WITHOUT:
        o->set.without |= finding_bit("--without", arg, state);
        return 0;
    case KEY_MASKS:
        o->set.masks = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;

    switch (key) {
    case 'o':
        o->set.folder = arg;
        return 0;
    case 'n':
        o->set.n = cts_cli_int(state, "--count", arg, 1, 1000000);
        return 0;
    case KEY_REPORTS:
        o->set.reports = arg;
        return 0;
    case KEY_LABELS:
        o->set.labels = arg;
        return 0;
    case KEY_PREFIX:
        o->set.prefix = arg;
        return 0;
    case KEY_FIRST:
        o->set.first = cts_cli_int(state, "--first", arg, 1, 1000000);
        return 0;
    case ARGP_KEY_END:
        if (!o->set.folder)
            argp_error(state, "--out: needed, the folder to fill");
        if (o->set.reports && !o->set.labels)
            argp_error(state, "--reports: got it alone, allowed: with --labels, which says what to render");
        if (o->set.labels && (o->set.exactly || o->set.prefix || o->set.first))
            argp_error(state,
                       "--labels: got it with --findings, --prefix or --first, allowed: names and findings of the CSV");
        return 0;
    default:
        return parse_picture(o, key, arg, state);
    }
}

static int on_progress(void *ctx, int64_t done, int64_t total)
{
    cts_progress *bar = ctx;

    bar->total = (uint64_t)total;
    cts_progress_set(bar, (uint64_t)done, NULL);
    if (cts_interrupted())
        return cts_fail(CTS_E_INTERRUPTED, "phantom: interrupted after %" PRId64 " of %" PRId64 " volumes", done,
                        total);
    return CTS_OK;
}

static int run(int argc, char **argv)
{
    options o = {0};
    cts_common common;
    cts_pool *pool = NULL;
    cts_progress bar;
    int64_t written = 0;
    double from = cts_now(), seconds;
    int rc = cts_cli_parse(
        argc, argv, argp_options, parse, NULL,
        "Synthetic chest CTs with any of 18 findings, their reports and labels. The same seed and name "
        "give the same patient at any size, with any finding left out."
        "\vExamples:\n  ctsearch phantom --count 100 --seed 7 --out set\n"
        "  ctsearch phantom --reports reports.csv --labels labels.csv --out set\n"
        "  ctsearch phantom --count 1 --findings \"Pleural effusion\" --masks --size 256,256,160 --out one",
        &o, &common);

    if (rc || (rc = cts_pool_create(&pool, common.threads)))
        return rc;
    o.set.seed = common.seed;
    o.set.pool = pool;
    o.set.progress = on_progress;
    o.set.progress_ctx = &bar;
    if (!o.set.n && !o.set.labels)
        o.set.n = 16;
    cts_progress_start(&bar, "rendering", (uint64_t)o.set.n);
    rc = cts_phantom_set_write(&o.set, &written);
    cts_progress_end(&bar);
    cts_pool_destroy(pool);
    if (rc)
        return rc;
    seconds = cts_now() - from;
    if (common.json)
        return cts_print_json(json_pack("{s:s, s:I, s:f, s:I, s:b}", "out", o.set.folder, "volumes",
                                        (json_int_t)written, "seconds", seconds, "seed", (json_int_t)common.seed,
                                        "masks", o.set.masks));
    printf("%" PRId64 " volume%s in %s, %.1f s\n", written, written == 1 ? "" : "s", o.set.folder, seconds);
    return CTS_OK;
}

const cts_command cts_cmd_phantom = {"phantom", "synthetic chest CTs with reports and labels", run};
