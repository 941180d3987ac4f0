/* SPDX-License-Identifier: MIT */
#include "query/scan_options.h"

#include <math.h>
#include <string.h>

#include "kernels/base/status.h"

enum { KEY_METADATA = 0x1300, KEY_SPACING, KEY_RESCALE };

static const struct argp_option scan_options[] = {
    {NULL, 0, NULL, 0, "Scans whose files do not say it themselves:", 50},
    {"metadata", KEY_METADATA, "CSV", 0,
     "VolumeName, XYSpacing, ZSpacing, RescaleSlope, RescaleIntercept of every scan", 50},
    {"spacing", KEY_SPACING, "I,J,K", 0, "Voxel size in mm along the stored axes", 50},
    {"rescale", KEY_RESCALE, "SLOPE,INTERCEPT", 0, "HU = slope * value + intercept", 50},
    {0}};

static error_t parse_scan(int key, char *arg, struct argp_state *state)
{
    cts_scan_options *o = state->input;

    switch (key) {
    case KEY_METADATA:
        o->metadata = arg;
        return 0;
    case KEY_SPACING:
        cts_cli_doubles(state, "--spacing", arg, o->spacing_xyz, 3, 1e-3, 1e3);
        return 0;
    case KEY_RESCALE:
        cts_cli_doubles(state, "--rescale", arg, o->rescale, 2, -1e6, 1e6);
        if (fabs(o->rescale[0]) < 1e-9)
            argp_error(state, "--rescale: got slope 0, allowed: another one");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp cts_scan_argp = {.options = scan_options, .parser = parse_scan};

bool cts_scan_options_given(const cts_scan_options *o)
{
    return o->metadata || o->spacing_xyz[0] > 0.0 || fabs(o->rescale[0]) > 0.0;
}

int cts_scan_options_open(cts_scan_options *o)
{
    cts_dataset_paths paths = {.metadata = o->metadata};

    return o->metadata ? cts_dataset_load(&o->csv, &paths) : CTS_OK;
}

void cts_scan_options_close(cts_scan_options *o)
{
    cts_dataset_destroy(o->csv);
    o->csv = NULL;
}

int cts_scan_source(cts_volume_source *out, const cts_scan_options *o, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    cts_volume_source s = {.path = path};
    const cts_record *r = NULL;

    if (o->csv) {
        int64_t at = cts_dataset_find(o->csv, name);

        if (at < 0)
            return cts_fail(CTS_E_INPUT, "%s: no row names %s, allowed: a row for every scan that is given",
                            o->metadata, name);
        r = &o->csv->records[at];
    }
    if (r && r->has_metadata) {
        s.spacing_xyz = r->spacing_xyz;
        s.rescale = r->rescale;
    }
    if (o->spacing_xyz[0] > 0.0)
        s.spacing_xyz = o->spacing_xyz;
    if (fabs(o->rescale[0]) > 0.0)
        s.rescale = o->rescale;
    *out = s;
    return CTS_OK;
}
