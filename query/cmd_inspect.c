/* `ctsearch inspect`: what is in a scan file, as text, JSON and pictures. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/ct_rate.h"
#include "data/inspect.h"
#include "data/nifti.h"
#include "kernels/base/file.h"
#include "kernels/base/log.h"
#include "kernels/base/signal.h"
#include "kernels/base/status.h"
#include "query/cli.h"
#include "query/scan_picture.h"

enum {
    KEY_CSV = 0x2000,
    KEY_PLANE,
    KEY_POSITION,
    KEY_WINDOW,
    KEY_MONTAGE,
    KEY_COLUMNS,
    KEY_PIXELS,
    KEY_MASKS,
    KEY_FINDING
};

typedef struct {
    const char *png, *csv, *masks;
    bool montage;
    int finding; /* -1: the mask's first */
    int pixels, columns;
    cts_tile tile;
    const cts_hu_window *window; /* NULL: the finding's, or lung */
    cts_hu_window own_window;
    bool placed; /* --position given */
    char **file;
    int n;
} options;

static const struct argp_option argp_options[] = {
    {"png", 'p', "FILE", 0, "Draw axial, coronal and sagittal mid slices in lung and mediastinal windows", 1},
    {"csv", KEY_CSV, "CSV", 0, "CT-RATE-style metadata with RescaleSlope and RescaleIntercept", 1},
    {NULL, 0, NULL, 0, "Pictures:", 2},
    {"montage", KEY_MONTAGE, NULL, 0, "One slice of each file with a caption (also when several files are given)", 2},
    {"plane", KEY_PLANE, "PLANE", 0, "Of a montage: axial, coronal or sagittal (default axial)", 2},
    {"position", KEY_POSITION, "P", 0, "Slice from 0 (feet, front or right) to 1 (default 0.5)", 2},
    {"window", KEY_WINDOW, "W", 0, "lung, mediastinal, bone, wide or LO,HI in HU (default lung, or the finding's)", 2},
    {"masks", KEY_MASKS, "DIR", 0, "Masks of `ctsearch phantom --masks`: show the slice with most of a finding, framed",
     2},
    {"finding", KEY_FINDING, "NAME", 0, "The finding to show (default: the first in the mask)", 2},
    {"columns", KEY_COLUMNS, "N", 0, "Tiles in a row of a montage (default 6)", 2},
    {"pixels", KEY_PIXELS, "N", 0, "Longer side of a slice (default 320, in a montage 200)", 2},
    {0}};

static void parse_window(options *o, const char *arg, struct argp_state *state)
{
    double hu[2];

    if ((o->window = cts_hu_window_find(arg)))
        return;
    cts_cli_doubles(state, "--window", arg, hu, 2, -32768, 32767);
    if (!(hu[0] < hu[1]))
        argp_error(state, "--window: got %s, allowed: lung, mediastinal, bone, wide or two rising numbers", arg);
    o->own_window = (cts_hu_window){"own", hu[0], hu[1]};
    o->window = &o->own_window;
}

static cts_plane parse_plane(const char *arg, struct argp_state *state)
{
    static const char *const names[] = {"axial", "coronal", "sagittal"};

    for (int i = 0; i < 3; i++)
        if (!strcmp(arg, names[i]))
            return (cts_plane)i;
    argp_error(state, "--plane: got %s, allowed: axial, coronal, sagittal", arg);
    return CTS_PLANE_AXIAL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;

    switch (key) {
    case 'p':
        o->png = arg;
        return 0;
    case KEY_CSV:
        o->csv = arg;
        return 0;
    case KEY_MONTAGE:
        o->montage = true;
        return 0;
    case KEY_PLANE:
        o->tile.plane = parse_plane(arg, state);
        return 0;
    case KEY_POSITION:
        o->tile.position = cts_cli_double(state, "--position", arg, 0, 1);
        o->placed = true;
        return 0;
    case KEY_WINDOW:
        parse_window(o, arg, state);
        return 0;
    case KEY_MASKS:
        o->masks = arg;
        return 0;
    case KEY_FINDING:
        if ((o->finding = cts_finding_find(arg)) < 0)
            argp_error(state, "--finding: got %s, allowed: one of the 18 findings, such as \"Pleural effusion\"", arg);
        return 0;
    case KEY_COLUMNS:
        o->columns = (int)cts_cli_int(state, "--columns", arg, 1, 64);
        return 0;
    case KEY_PIXELS:
        o->pixels = (int)cts_cli_int(state, "--pixels", arg, 16, 4096);
        return 0;
    case ARGP_KEY_ARG:
        if (!o->n)
            o->file = &state->argv[state->next - 1];
        o->n++;
        return 0;
    case ARGP_KEY_END:
        if (!o->n)
            argp_error(state, "needed: at least one scan file");
        if (o->n > 1)
            o->montage = true;
        return 0;
    default:
        return 0;
    }
}

/* ---- facts as text and JSON ------------------------------------------------------------------------------------- */

static void print_maps(const cts_scan_facts *f)
{
    printf("  HU maps      %-12s %9s %9s %7s %7s\n", "", "from", "to", "air", "tissue");
    for (int m = 0; m < CTS_HU_MAPS; m++) {
        const cts_hu_candidate *c = &f->hu.map[m];

        if (c->given)
            printf("             %c %-12s %9.0f %9.0f %5.1f %% %5.1f %%  %s\n",
                   f->hu.chosen == (cts_hu_map)m ? '>' : ' ', cts_hu_map_name((cts_hu_map)m), c->min, c->max,
                   100.0 * c->air, 100.0 * c->tissue, c->plausible ? "plausible" : "not plausible");
    }
    printf("  verdict      %s\n", f->hu.text);
}

static void print_facts(const cts_scan_facts *f, const char *path)
{
    printf("%s  (%.1f MB)\n", path, (double)f->file_bytes / 1e6);
    printf("  voxels       %lld x %lld x %lld of %.4g x %.4g x %.4g mm: %.0f x %.0f x %.0f mm\n", (long long)f->dim[0],
           (long long)f->dim[1], (long long)f->dim[2], f->spacing[0], f->spacing[1], f->spacing[2], f->extent[0],
           f->extent[1], f->extent[2]);
    if (f->has_affine)
        printf("  orientation  %s, oblique by %.1f degrees; to LPS: %s\n", f->codes, f->oblique_deg, f->to_lps);
    else
        printf("  orientation  %s, assumed: the file has neither sform nor qform\n", f->codes);
    printf("  stored       %s, slope %g, inter %g, values %g to %g%s\n", f->datatype, f->slope, f->inter, f->raw_min,
           f->raw_max, f->constant ? ", every voxel the same" : "");
    print_maps(f);
    printf("  HU           %.0f to %.0f, mean %.0f; ", f->hu_min, f->hu_max, f->hu_mean);
    for (int i = 0; i < CTS_INSPECT_PERCENTILES; i++)
        printf("%s%g %%: %.0f", i ? ", " : "", cts_inspect_percentiles[i], f->hu_percentile[i]);
    putchar('\n');
    for (int i = 0; i < f->n_warnings; i++)
        printf("  warning      %s\n", f->warning[i]);
}

static json_t *hu_json(const cts_scan_facts *f)
{
    json_t *maps = json_array(), *percentiles = json_object();
    char key[16];

    for (int m = 0; m < CTS_HU_MAPS; m++) {
        const cts_hu_candidate *c = &f->hu.map[m];

        if (c->given)
            json_array_append_new(maps, json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:b}", "name",
                                                  cts_hu_map_name((cts_hu_map)m), "slope", c->slope, "inter", c->inter,
                                                  "min", c->min, "max", c->max, "air", c->air, "tissue", c->tissue,
                                                  "plausible", c->plausible));
    }
    for (int i = 0; i < CTS_INSPECT_PERCENTILES; i++) {
        snprintf(key, sizeof key, "%g", cts_inspect_percentiles[i]);
        json_object_set_new(percentiles, key, json_real(f->hu_percentile[i]));
    }
    return json_pack("{s:s, s:b, s:s, s:o, s:f, s:f, s:f, s:o}", "chosen", cts_hu_map_name(f->hu.chosen), "plausible",
                     f->hu.plausible, "text", f->hu.text, "maps", maps, "min", f->hu_min, "max", f->hu_max, "mean",
                     f->hu_mean, "percentiles", percentiles);
}

static json_t *facts_json(const cts_scan_facts *f, const char *path)
{
    json_t *warnings = json_array();

    for (int i = 0; i < f->n_warnings; i++)
        json_array_append_new(warnings, json_string(f->warning[i]));
    return json_pack(
        "{s:s, s:I, s:[I,I,I], s:[f,f,f], s:[f,f,f], s:s, s:s, s:b, s:f, s:s, s:f, s:f, s:f, s:f, s:b, s:o, s:o}",
        "file", path, "bytes", (json_int_t)f->file_bytes, "dim", (json_int_t)f->dim[0], (json_int_t)f->dim[1],
        (json_int_t)f->dim[2], "spacing", f->spacing[0], f->spacing[1], f->spacing[2], "extent", f->extent[0],
        f->extent[1], f->extent[2], "orientation", f->codes, "to_lps", f->to_lps, "has_affine", f->has_affine,
        "oblique_deg", f->oblique_deg, "datatype", f->datatype, "slope", f->slope, "inter", f->inter, "stored_min",
        f->raw_min, "stored_max", f->raw_max, "constant", f->constant, "hu", hu_json(f), "warnings", warnings);
}

/* ---- pictures --------------------------------------------------------------------------------------------------- */

/* Mask of a file: the file of the same name in the folder. */
static int load_mask(cts_volume **out, const char *folder, const char *path)
{
    char *at = cts_path_join(folder, cts_path_base(path));
    int rc = at ? cts_nifti_load(out, at, 0) : cts_fail(CTS_E_NOMEM, "out of memory");

    free(at);
    return rc;
}

/* The montage's tile of one file and its caption: the finding, or the file's stem. */
static int draw_tile(cts_picture **out, char caption[64], const options *o, const cts_volume *v, const char *path)
{
    const char *name = cts_path_base(path);
    const cts_hu_window *w = o->window;
    cts_tile t = o->tile;
    cts_volume *mask = NULL;
    int finding = o->finding, rc = CTS_OK;

    snprintf(caption, 64, "%.*s", (int)cts_volume_stem(name), name);
    if (o->masks) {
        uint32_t bits;

        if ((rc = load_mask(&mask, o->masks, path)))
            return rc;
        bits = cts_mask_findings(mask);
        for (int f = 0; finding < 0 && f < CTS_FINDINGS; f++)
            if (bits >> f & 1)
                finding = f;
        if (finding >= 0 && (bits >> finding & 1)) {
            if (!o->placed)
                t.position = cts_mask_position(mask, t.plane, finding);
            snprintf(caption, 64, "%s", cts_findings[finding].name);
        }
    }
    if (!w)
        w = finding >= 0 ? cts_finding_window(finding) : cts_hu_window_find("lung");
    t.window = *w;
    t.pixels = o->pixels ? o->pixels : 200;
    rc = cts_scan_tile(out, v, &t, finding >= 0 ? mask : NULL, finding);
    cts_volume_destroy(mask);
    return rc;
}

/* Everything the command gathers over its files. */
typedef struct {
    const options *o;
    cts_dataset *csv;
    json_t *files;
    cts_picture **tile;   /* [o->n] */
    char (*caption)[64];  /* [o->n] */
    cts_picture *picture; /* six views of a single file */
    size_t tiles, skipped;
    bool json;
} work;

static int inspect_one(work *w, const char *path)
{
    const double *rescale = NULL;
    cts_scan_facts f;
    cts_volume *v = NULL;
    int rc;

    if ((rc = cts_nifti_load(&v, path, 0)))
        return rc;
    if (w->csv) {
        int64_t i = cts_dataset_find(w->csv, cts_path_base(path));

        if (i >= 0 && w->csv->records[i].has_metadata)
            rescale = w->csv->records[i].rescale;
        else
            cts_log(CTS_LOG_WARN, "%s: no row for %s", w->o->csv, cts_path_base(path));
    }
    if ((rc = cts_inspect_volume(&f, v, path, rescale)))
        goto out;
    if (w->json)
        json_array_append_new(w->files, facts_json(&f, path));
    else
        print_facts(&f, path);
    v->slope = f.hu.map[f.hu.chosen].slope; /* draw what the verdict says */
    v->inter = f.hu.map[f.hu.chosen].inter;
    if (w->o->png && w->o->montage) {
        if (!(rc = draw_tile(&w->tile[w->tiles], w->caption[w->tiles], w->o, v, path)))
            w->tiles++;
    } else if (w->o->png) {
        rc = cts_scan_six_views(&w->picture, v, w->o->pixels ? w->o->pixels : 320);
    }
out:
    cts_volume_destroy(v);
    return rc;
}

static int save_picture(work *w)
{
    const char **captions;
    int rc = CTS_OK;

    if (!w->o->png || (!w->picture && !w->tiles))
        return CTS_OK;
    if (!w->picture) {
        if (!(captions = malloc(w->tiles * sizeof *captions)))
            return cts_fail(CTS_E_NOMEM, "out of memory for captions");
        for (size_t i = 0; i < w->tiles; i++)
            captions[i] = w->caption[i];
        rc = cts_render_montage(&w->picture, (const cts_picture *const *)w->tile, captions, w->tiles,
                                (size_t)w->o->columns);
        free(captions);
    }
    if (!rc)
        rc = cts_picture_save(w->picture, w->o->png);
    if (!rc)
        cts_log(CTS_LOG_INFO, "%s: %zu x %zu pixels", w->o->png, w->picture->w, w->picture->h);
    return rc;
}

static int inspect_all(work *w)
{
    const options *o = w->o;
    cts_dataset_paths paths = {.metadata = o->csv};
    int rc = CTS_OK;

    if (o->csv && (rc = cts_dataset_load(&w->csv, &paths)))
        return rc;
    w->tile = calloc((size_t)o->n, sizeof(cts_picture *));
    w->caption = calloc((size_t)o->n, sizeof w->caption[0]);
    if (!w->tile || !w->caption || !w->files)
        return cts_fail(CTS_E_NOMEM, "out of memory for %d files", o->n);
    for (int i = 0; i < o->n; i++) {
        if (cts_interrupted())
            return cts_fail(CTS_E_INTERRUPTED, "interrupted after %d of %d files", i, o->n);
        if ((rc = inspect_one(w, o->file[i]))) {
            if (o->n == 1)
                return rc;
            cts_log(CTS_LOG_WARN, "skipped: %s", cts_error());
            w->skipped++;
        }
    }
    if ((int)w->skipped == o->n)
        return cts_fail(rc, "none of the %d files could be read (named above)", o->n);
    return save_picture(w);
}

static int run(int argc, char **argv)
{
    options o = {.finding = -1, .columns = 6, .tile = {.position = 0.5}};
    cts_common common;
    work w = {.o = &o, .files = json_array()};
    int rc = cts_cli_parse(argc, argv, argp_options, parse, "FILE...",
                           "What is in a scan file: geometry, orientation, and which linear map gives Hounsfield units."
                           "\vExamples:\n  ctsearch inspect scan.nii.gz --png scan.png\n"
                           "  ctsearch inspect volumes/*.nii.gz --masks masks/ --png findings.png",
                           &o, &common);

    if (!rc) {
        w.json = common.json;
        rc = inspect_all(&w);
    }
    if (!rc && common.json)
        rc = cts_print_json(
            json_pack("{s:O, s:I, s:s?}", "files", w.files, "skipped", (json_int_t)w.skipped, "png", o.png));
    if (!rc && w.skipped)
        rc = cts_fail(CTS_E_PARTIAL, "%zu of %d files could not be read (named above)", w.skipped, o.n);
    for (int i = 0; w.tile && i < o.n; i++)
        cts_picture_destroy(w.tile[i]);
    cts_picture_destroy(w.picture);
    free(w.tile);
    free(w.caption);
    json_decref(w.files);
    cts_dataset_destroy(w.csv);
    return rc;
}

const cts_command cts_cmd_inspect = {"inspect", "what is in a scan file; --png draws it", run};
