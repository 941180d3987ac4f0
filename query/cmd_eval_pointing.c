/* `ctsearch eval pointing`: do heat maps point at the findings? SPDX-License-Identifier: MIT */
#include "query/cmd_eval_pointing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "data/nifti.h"
#include "kernels/base/file.h"
#include "kernels/base/log.h"
#include "kernels/base/signal.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"
#include "query/dataset_options.h"
#include "query/explain/options.h"
#include "query/explain/pointing.h"
#include "query/present.h"

typedef struct {
    const char *model, *masks;
    int64_t limit;
    cts_explain_options how;
    cts_overrides over;
} options;

enum { KEY_MASKS = 0x3100, KEY_LIMIT };

static const struct argp_option argp_options[] = {
    {"model", 'm', "DIR", 0, "Model folder or run folder (needed)", 0},
    {"masks", KEY_MASKS, "DIR", 0, "Masks of `ctsearch phantom --masks`, named as the volumes (needed)", 0},
    {"limit", KEY_LIMIT, "N", 0, "Look at the first N volumes only", 0},
    CTS_EXPLAIN_OPTIONS,
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;

    switch (key) {
    case 'm':
        o->model = arg;
        return 0;
    case KEY_MASKS:
        o->masks = arg;
        return 0;
    case KEY_LIMIT:
        o->limit = cts_cli_int(state, "--limit", arg, 1, INT64_MAX);
        return 0;
    case ARGP_KEY_END:
        if (!o->model || !o->masks)
            argp_error(state, "%s is needed", o->model ? "--masks" : "--model");
        return 0;
    default:
        return cts_explain_option(key, arg, state, &o->how, &o->over);
    }
}

static int add_record(cts_pointing *p, cts_explainer *x, const cts_record *r, const char *masks)
{
    cts_volume_source source = cts_record_source(r);
    char *file = cts_asprintf("%s.nii.gz", r->stem), *path = file ? cts_path_join(masks, file) : NULL;
    cts_volume *mask = NULL;
    int rc;

    if (!path)
        rc = cts_fail(CTS_E_NOMEM, "out of memory for paths");
    else if (!r->path)
        rc = cts_fail(CTS_E_NOTFOUND, "%s: no file of this name in the volume folder", r->name);
    else if (!(rc = cts_nifti_load(&mask, path, 0)) && !(rc = cts_explainer_see(x, &source)) &&
             (rc = cts_pointing_add(p, x, mask, r->labels)))
        rc = cts_fail_in(rc, "%s", r->name);
    cts_volume_destroy(mask);
    free(path);
    free(file);
    return rc;
}

static int play(cts_pointing *p, cts_explainer *x, const cts_dataset *d, const options *o, size_t *skipped)
{
    size_t n = o->limit && (size_t)o->limit < d->n ? (size_t)o->limit : d->n;
    cts_progress bar;
    int rc = CTS_OK;

    cts_progress_start(&bar, "pointing", n);
    for (size_t i = 0; !rc && i < n; i++) {
        if (cts_interrupted()) {
            rc = cts_fail(CTS_E_INTERRUPTED, "pointing: interrupted after %zu of %zu volumes", i, n);
        } else if (!d->records[i].has_labels) {
            cts_log(CTS_LOG_WARN, "skipped: %s: not labelled", d->records[i].name);
            (*skipped)++;
        } else if ((rc = add_record(p, x, &d->records[i], o->masks)) && rc != CTS_E_NOMEM) {
            cts_log(CTS_LOG_WARN, "skipped: %s", cts_error());
            (*skipped)++;
            rc = CTS_OK;
        }
        cts_progress_set(&bar, i + 1, NULL);
    }
    cts_progress_end(&bar);
    if (!rc && !p->volumes)
        rc =
            cts_fail(CTS_E_INPUT, "pointing: got no volume with labels and a mask among %zu, allowed: at least one", n);
    cts_pointing_finish(p);
    return rc;
}

/* ---- results ---------------------------------------------------------------------------------------------------- */

static json_t *rates_json(const cts_pointing_rates *r)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "strict", cts_number_json(r->strict), "chance", cts_number_json(r->chance),
                     "tolerant", cts_number_json(r->tolerant), "tolerant_chance", cts_number_json(r->tolerant_chance));
}

static json_t *result_json(const cts_pointing *p, const cts_explainer *x, const options *o, size_t skipped)
{
    const cts_cam_info *i = cts_explainer_cam(x);
    json_t *list = json_array();

    for (int f = 0; f < CTS_FINDINGS; f++) {
        const cts_pointing_row *r = &p->row[f];

        if (r->known)
            json_array_append_new(list, json_pack("{s:s, s:b, s:I, s:I, s:I, s:o, s:o}", "name", cts_findings[f].name,
                                                  "focal", cts_pointing_focal(f), "asked", (json_int_t)r->asked,
                                                  "unplaced", (json_int_t)r->unplaced, "cold", (json_int_t)r->cold,
                                                  "point", rates_json(&r->point), "slice", rates_json(&r->slice)));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:[I,I,I], s:[f,f,f], s:I, s:I, s:o, s:{s:o, s:o}, s:{s:o, s:o}}", "model",
                     o->model, "kind", cts_explainer_supervised(x) ? "classifier" : "prompts", "layer", i->layer,
                     "weights", cts_cam_weights_name(i->weights), "cells_zxy", (json_int_t)i->grid[0],
                     (json_int_t)i->grid[1], (json_int_t)i->grid[2], "half_cell_mm_zxy", p->half_cell_mm[0],
                     p->half_cell_mm[1], p->half_cell_mm[2], "volumes", (json_int_t)p->volumes, "skipped",
                     (json_int_t)skipped, "findings", list, "focal", "point", rates_json(&p->point[1]), "slice",
                     rates_json(&p->slice[1]), "all", "point", rates_json(&p->point[0]), "slice",
                     rates_json(&p->slice[0]));
}

static void print_number(double v)
{
    if (isnan(v))
        printf(" %6s", "-");
    else
        printf(" %6.3f", v);
}

static void print_row(const char *name, char mark, const cts_pointing_rates *point, const cts_pointing_rates *slice)
{
    const cts_pointing_rates *r[2] = {point, slice};

    printf("%-35s%c", name, mark);
    for (int i = 0; i < 2; i++) {
        printf(" ");
        print_number(r[i]->strict);
        print_number(r[i]->chance);
        print_number(r[i]->tolerant);
        print_number(r[i]->tolerant_chance);
    }
}

static void print_result(const cts_pointing *p, const cts_explainer *x)
{
    const cts_cam_info *i = cts_explainer_cam(x);

    printf("pointing game over %zu volumes; layer %s, weights %s, %lld x %lld x %lld cells (z, x, y), half of one is "
           "%.1f x %.1f x %.1f mm\n\n",
           p->volumes, i->layer, cts_cam_weights_name(i->weights), (long long)i->grid[0], (long long)i->grid[1],
           (long long)i->grid[2], p->half_cell_mm[0], p->half_cell_mm[1], p->half_cell_mm[2]);
    printf("%-36s %-28s %-28s\n", "", "  hottest point", "  top slice");
    printf("%-36s %6s %6s %6s %6s  %6s %6s %6s %6s  %5s\n", "finding (* focal)", "strict", "chance", "toler.", "chance",
           "strict", "chance", "toler.", "chance", "asked");
    for (int f = 0; f < CTS_FINDINGS; f++)
        if (p->row[f].known) {
            print_row(cts_findings[f].name, cts_pointing_focal(f) ? '*' : ' ', &p->row[f].point, &p->row[f].slice);
            printf("  %5zu", p->row[f].asked);
            if (p->row[f].cold)
                printf(" (%zu without heat)", p->row[f].cold);
            putchar('\n');
        }
    print_row("mean of the focal findings", '*', &p->point[1], &p->slice[1]);
    printf("\n");
    print_row("mean of all", ' ', &p->point[0], &p->slice[0]);
    printf("\n\n");
    cts_print_rule("point",
                   "the middle of the hottest cell lies in the finding; tolerant: at most half a cell from it");
    cts_print_rule("slice",
                   "the slice with the largest mean heat holds the finding; tolerant: at most half a cell off");
    cts_print_rule("chance", "the same for a random voxel, or slice, of the body");
}

int cts_run_eval_pointing(int argc, char **argv)
{
    options o = {0};
    cts_dataset_paths paths = {0};
    cts_pointing p = {0};
    cts_explainer *x = NULL;
    cts_dataset *d = NULL;
    cts_session s = {0};
    cts_common common;
    size_t skipped = 0;
    int rc = cts_cli_parse_with(
        argc, argv, argp_options, parse, NULL,
        "Do heat maps point at the findings? On phantoms the place is known: the share of positive volumes in which "
        "the hottest place of `ctsearch explain` lies in what was rendered, beside the share a random point gets."
        "\vExample:\n  ctsearch phantom --out valid --masks --count 200\n"
        "  ctsearch eval pointing --model runs/scroll --labels valid/labels.csv --volumes valid/volumes "
        "--masks valid/masks",
        &o, &common, &cts_dataset_argp, &paths);

    if (!rc && !paths.labels)
        rc = cts_fail(CTS_E_USAGE, "--labels CSV is needed");
    if (!rc && !paths.volumes)
        rc = cts_fail(CTS_E_USAGE, "--volumes DIR is needed");
    if (!rc && !cts_is_dir(o.masks))
        rc = cts_fail(CTS_E_NOTFOUND, "%s: no such folder of masks", o.masks);
    if (!rc && !(rc = cts_session_open_model(&s, o.model, &common)) && !(rc = cts_session_override(&s, &o.over)) &&
        !(rc = cts_explainer_open(&x, &s, &o.how)) && !(rc = cts_dataset_open(&d, &paths)))
        rc = play(&p, x, d, &o, &skipped);
    if (!rc && common.json)
        rc = cts_print_json(result_json(&p, x, &o, skipped));
    else if (!rc)
        print_result(&p, x);
    if (!rc && skipped)
        rc = cts_fail(CTS_E_PARTIAL, "%zu volumes could not take part", skipped);
    cts_dataset_destroy(d);
    cts_explainer_close(x);
    cts_session_close(&s);
    return rc;
}
