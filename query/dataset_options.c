/* SPDX-License-Identifier: MIT */
#include "query/dataset_options.h"

#include "kernels/base/log.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define NAMES_SHOWN 5

enum { KEY_REPORTS = 0x1100, KEY_LABELS, KEY_METADATA, KEY_VOLUMES };

static const struct argp_option dataset_options[] = {
    {NULL, 0, NULL, 0, "Data (columns as in CT-RATE's CSVs; each optional):", 50},
    {"reports", KEY_REPORTS, "CSV", 0, "VolumeName, Findings_EN, Impressions_EN", 50},
    {"labels", KEY_LABELS, "CSV", 0, "VolumeName and the 18 findings, 0 or 1", 50},
    {"metadata", KEY_METADATA, "CSV", 0, "VolumeName, XYSpacing, ZSpacing, RescaleSlope, RescaleIntercept", 50},
    {"volumes", KEY_VOLUMES, "DIR", 0, "Folder with the .nii.gz files, at any depth", 50},
    {0}};

static error_t parse_dataset(int key, char *arg, struct argp_state *state)
{
    cts_dataset_paths *p = state->input;

    switch (key) {
    case KEY_REPORTS:
        p->reports = arg;
        return 0;
    case KEY_LABELS:
        p->labels = arg;
        return 0;
    case KEY_METADATA:
        p->metadata = arg;
        return 0;
    case KEY_VOLUMES:
        p->volumes = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp cts_dataset_argp = {.options = dataset_options, .parser = parse_dataset};

bool cts_dataset_given(const cts_dataset_paths *p)
{
    return p->reports || p->labels || p->metadata || p->volumes;
}

static void say_missing(const cts_dataset *d, const char *folder)
{
    cts_str names = {0};

    for (size_t i = 0; i < d->n_missing && i < NAMES_SHOWN; i++)
        cts_str_printf(&names, "%s%s", i ? ", " : "", d->missing[i]);
    cts_log(CTS_LOG_WARN, "%s: no file for %zu of %zu volumes: %s%s", folder, d->n_missing, d->n, cts_str_text(&names),
            d->n_missing > NAMES_SHOWN ? ", ..." : "");
    cts_str_free(&names);
}

int cts_dataset_open(cts_dataset **out, const cts_dataset_paths *p)
{
    cts_dataset *d;
    int rc;

    if (!cts_dataset_given(p))
        return cts_fail(CTS_E_USAGE,
                        "data: got no CSV and no folder, allowed: --reports, --labels, --metadata, --volumes");
    if ((rc = cts_dataset_load(&d, p)))
        return rc;
    if (d->n_missing)
        say_missing(d, p->volumes);
    if (d->n_unlabelled)
        cts_log(CTS_LOG_WARN, "%s: no labels for %zu of %zu volumes", p->labels, d->n_unlabelled, d->n);
    if (d->n_unused)
        cts_log(CTS_LOG_INFO, "data: %zu rows of the CSVs name no volume of the set and are not used", d->n_unused);
    if (d->n_unlisted)
        cts_log(CTS_LOG_INFO, "%s: %zu volume files that no CSV names are not used", p->volumes, d->n_unlisted);
    *out = d;
    return CTS_OK;
}
