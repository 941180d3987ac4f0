/* SPDX-License-Identifier: MIT */
#include "query/explain/report.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/nifti.h"
#include "kernels/base/check.h"
#include "kernels/base/file.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"
#include "query/present.h"

#define ROWS 24 /* of a profile in a terminal */

int cts_explanation_make(cts_explanation *out, cts_explainer *x, size_t label, const cts_label_threshold *t)
{
    cts_explanation e = {.name = cts_explainer_name(x, label), .threshold = t};
    int rc = cts_explainer_map(x, label, &e.heat);

    if (rc)
        return cts_fail_in(rc, "%s", e.name);
    e.logit = cts_explainer_logit(x, label);
    e.probability = cts_explainer_probability(x, label);
    e.n_slices = cts_heat_top(&e.heat, CTS_EXPLAIN_SLICES, e.slice);
    *out = e;
    return CTS_OK;
}

void cts_explanation_clear(cts_explanation *e)
{
    cts_heat_clear(&e->heat);
    free(e->nifti);
    free(e->png);
    *e = (cts_explanation){0};
}

static const char *verdict(const cts_explanation *e)
{
    return !e->threshold || isnan(e->threshold->threshold) ? NULL
           : e->probability >= e->threshold->threshold     ? "present"
                                                           : "absent";
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

/* <folder>/<name in small letters and _>.<ending> */
static char *path_of(const char *folder, const char *name, const char *ending)
{
    char slug[CTS_LABEL_BYTES], *file, *path;
    size_t n = 0;

    for (const char *p = name; *p && n < sizeof slug - 1; p++)
        slug[n++] = isalnum((unsigned char)*p) ? (char)tolower((unsigned char)*p) : '_';
    slug[n] = '\0';
    if (!(file = cts_asprintf("%s.%s", slug, ending)))
        return NULL;
    path = cts_path_join(folder, file);
    free(file);
    return path;
}

static int draw(const cts_explanation *e, const cts_explainer *x, const char *path)
{
    const cts_cam_info *i = cts_explainer_cam(x);
    const cts_volume *scan = cts_explainer_scan(x);
    int known = cts_finding_find(e->name);
    char title[CTS_LABEL_BYTES + 32], line[CTS_EXPLAIN_LINES][64] = {{0}};
    cts_explain_picture_spec s = {.title = title, .n_slices = e->n_slices};
    double at[3], ras[3];
    int n = 0;

    s.window = known < 0 ? *cts_hu_window_find("lung") : *cts_finding_window(known);
    memcpy(s.slice, e->slice, sizeof s.slice);
    snprintf(title, sizeof title, "%s %.3f", e->name, e->probability);
    if (verdict(e))
        snprintf(line[n++], sizeof line[0], "%s, threshold %.3f", verdict(e), e->threshold->threshold);
    else
        snprintf(line[n++], sizeof line[0], "%s",
                 cts_explainer_supervised(x) ? "no threshold known" : "zero-shot: ranks, not calibrated");
    snprintf(line[n++], sizeof line[0], "%s window", s.window.name);
    snprintf(line[n++], sizeof line[0], "layer %.20s, weights %s", i->layer, cts_cam_weights_name(i->weights));
    snprintf(line[n++], sizeof line[0], "%lld x %lld x %lld cells (z, x, y)", (long long)i->grid[0],
             (long long)i->grid[1], (long long)i->grid[2]);
    if (e->heat.peak > 0) {
        for (int a = 0; a < 3; a++)
            at[a] = (double)e->heat.hottest[a];
        cts_volume_world(scan, at, ras);
        snprintf(line[n++], sizeof line[0], "hottest (ring): %lld, %lld, %lld", (long long)e->heat.hottest[0],
                 (long long)e->heat.hottest[1], (long long)e->heat.hottest[2]);
        if (scan->has_affine)
            snprintf(line[n++], sizeof line[0], "RAS mm %.0f, %.0f, %.0f", ras[0], ras[1], ras[2]);
    } else {
        snprintf(line[n++], sizeof line[0], "nothing speaks for it");
    }
    snprintf(line[n++], sizeof line[0], "research only, no diagnosis");
    for (int k = 0; k < n; k++)
        s.lines[k] = line[k];
    return cts_explain_picture(path, scan, &e->heat, &s);
}

int cts_explanation_save(cts_explanation *e, const cts_explainer *x, const char *folder, bool png)
{
    char *nifti = path_of(folder, e->name, "nii.gz"), *picture = path_of(folder, e->name, "png");
    int rc = nifti && picture ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for paths");

    if (!rc && !(rc = cts_nifti_save(e->heat.volume, nifti, 0))) {
        e->nifti = nifti;
        nifti = NULL;
    }
    if (!rc && png && !(rc = draw(e, x, picture))) {
        e->png = picture;
        picture = NULL;
    }
    free(nifti);
    free(picture);
    return rc;
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

static void print_place(FILE *f, const char *what, const double ijk[3], const cts_volume *scan)
{
    double ras[3];

    cts_volume_world(scan, ijk, ras);
    fprintf(f, "  %-15s voxel i %.1f, j %.1f, k %.1f", what, ijk[0], ijk[1], ijk[2]);
    if (scan->has_affine)
        fprintf(f, "; %.1f mm %s, %.1f %s, %.1f %s\n", fabs(ras[0]), ras[0] < 0 ? "left" : "right", fabs(ras[1]),
                ras[1] < 0 ? "posterior" : "anterior", fabs(ras[2]), ras[2] < 0 ? "inferior" : "superior");
    else
        fprintf(f, " (the file has no affine)\n");
}

/* From head to feet, in at most ROWS rows of equally many slices. */
static void print_profile(FILE *f, const cts_heat *h)
{
    int64_t rows = cts_min_i64(ROWS, h->slices);
    double top = 0;

    for (int64_t s = 0; s < h->slices; s++)
        top = fmax(top, h->mean[s]);
    fprintf(f, "  mean heat of slices along %c, head to feet:\n", "ijk"[h->body]);
    for (int64_t r = 0; r < rows; r++) {
        int64_t from = r * h->slices / rows, to = (r + 1) * h->slices / rows;
        double mean = 0;

        for (int64_t u = from; u < to; u++)
            mean += h->mean[h->head_first ? u : h->slices - 1 - u] / (double)(to - from);
        if (!h->head_first) {
            int64_t first = h->slices - to;

            to = h->slices - from;
            from = first;
        }
        fprintf(f, "    %4lld - %-4lld %.4f ", (long long)from, (long long)to - 1, mean);
        cts_print_bar(f, top > 0 ? mean / top : 0, 40);
        fputc('\n', f);
    }
}

void cts_explanation_print(FILE *f, const cts_explanation *e, const cts_explainer *x)
{
    const cts_volume *scan = cts_explainer_scan(x);
    const double hottest[3] = {(double)e->heat.hottest[0], (double)e->heat.hottest[1], (double)e->heat.hottest[2]};

    fprintf(f, "%s %.3f", e->name, e->probability);
    if (verdict(e))
        fprintf(f, ", %s (threshold %.3f)", verdict(e), e->threshold->threshold);
    fputc('\n', f);
    if (!(e->heat.peak > 0)) {
        fprintf(f, "  no place of the scan speaks for it at layer %s\n", cts_explainer_cam(x)->layer);
        return;
    }
    print_place(f, "hottest cell", hottest, scan);
    print_place(f, "centre of heat", e->heat.centre, scan);
    fprintf(f, "  %-15s", "top slices");
    for (int i = 0; i < e->n_slices; i++)
        fprintf(f, "%s %c %lld (%.3f)", i ? "," : "", "ijk"[e->heat.body], (long long)e -> slice[i],
                e -> heat.mean[e->slice[i]]);
    fputc('\n', f);
    print_profile(f, &e->heat);
    if (e->nifti)
        fprintf(f, "  %s%s%s\n", e->nifti, e->png ? ", " : "", e->png ? e->png : "");
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

static json_t *place_json(const double ijk[3], const cts_volume *scan)
{
    double ras[3];
    json_t *j = json_pack("{s:[f,f,f], s:n}", "voxel", ijk[0], ijk[1], ijk[2], "ras_mm");

    cts_volume_world(scan, ijk, ras);
    if (scan->has_affine)
        json_object_set_new(j, "ras_mm", json_pack("[f,f,f]", ras[0], ras[1], ras[2]));
    return j;
}

static json_t *numbers_json(const double *v, int64_t n)
{
    json_t *list = json_array();

    for (int64_t i = 0; i < n; i++)
        json_array_append_new(list, json_real(v[i]));
    return list;
}

static json_t *slices_json(const cts_explanation *e)
{
    json_t *list = json_array();

    for (int i = 0; i < e->n_slices; i++)
        json_array_append_new(list, json_pack("{s:I, s:f, s:f}", "index", (json_int_t)e->slice[i], "mean",
                                              e->heat.mean[e->slice[i]], "max", e->heat.max[e->slice[i]]));
    return list;
}

json_t *cts_explanation_json(const cts_explanation *e, const cts_explainer *x)
{
    const cts_volume *scan = cts_explainer_scan(x);
    const cts_heat *h = &e->heat;
    const double hottest[3] = {(double)h->hottest[0], (double)h->hottest[1], (double)h->hottest[2]};
    const char axis[2] = {"ijk"[h->body], '\0'};
    bool hot = h->peak > 0;

    return json_pack("{s:s, s:f, s:f, s:o, s:s?, s:f, s:o, s:o, s:[f,f,f], s:o, s:{s:s, s:s, s:o, s:o}, s:s?, s:s?}",
                     "name", e->name, "probability", e->probability, "logit", e->logit, "threshold",
                     e->threshold ? cts_number_json(e->threshold->threshold) : json_null(), "verdict", verdict(e),
                     "peak", h->peak, "hottest", hot ? place_json(hottest, scan) : json_null(), "centre",
                     hot ? place_json(h->centre, scan) : json_null(), "half_cell", h->half_cell[0], h->half_cell[1],
                     h->half_cell[2], "top_slices", slices_json(e), "profile", "axis", axis, "first",
                     h->head_first ? "head" : "feet", "mean", numbers_json(h->mean, h->slices), "max",
                     numbers_json(h->max, h->slices), "nifti", e->nifti, "png", e->png);
}
