/* SPDX-License-Identifier: MIT */
#include "query/eval/npy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "kernels/base/npy.h"
#include "kernels/base/status.h"
#include "query/eval/labels.h"
#include "query/thresholds.h"

#define SIDECAR_BYTES ((size_t)1 << 30) /* ids of more volumes than there are */
#define UNIT_TOLERANCE 1e-5             /* norms of rows that were normalised in float32 */

/* ---- names ---- */

static int names_from_csv(cts_eval_set *s, const char *path, size_t n, const char *csv_path)
{
    const char **names = NULL;
    cts_csv *csv = NULL;
    int rc = cts_eval_csv_names(&csv, &names, csv_path);

    if (!rc && cts_csv_rows(csv) != n)
        rc = cts_fail(CTS_E_INPUT,
                      "%s: %zu rows, but %s names %zu volumes, allowed: as many names as rows, or --names CSV with the "
                      "name of each row",
                      path, n, csv_path, cts_csv_rows(csv));
    if (!rc)
        rc = cts_eval_set_name_rows(s, names, n, csv_path);
    free(names);
    cts_csv_destroy(csv);
    return rc;
}

static int names_from_json(cts_eval_set *s, const char *path, size_t n, const char *json_path)
{
    const char **names = NULL;
    json_t *j = NULL, *ids;
    int rc = cts_json_load(&j, json_path, SIDECAR_BYTES);

    if (rc)
        return rc;
    ids = json_object_get(j, "ids");
    if (!json_is_array(ids) || json_array_size(ids) != n) {
        rc = cts_fail(CTS_E_INPUT, "%s: ids has %zu names, but %s has %zu rows, allowed: as many names as rows",
                      json_path, json_array_size(ids), path, n);
        goto out;
    }
    if (!(names = malloc((n + 1) * sizeof *names))) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu names", json_path, n);
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        if (!(names[i] = json_string_value(json_array_get(ids, i)))) {
            rc = cts_fail(CTS_E_FORMAT, "%s: ids[%zu] is no text, allowed: a volume name", json_path, i);
            goto out;
        }
    rc = cts_eval_set_name_rows(s, names, n, json_path);
out:
    free(names);
    json_decref(j);
    return rc;
}

/* The .json beside a .npy as `embed` writes it; NULL when path has another ending or memory is out. */
static char *sidecar(const char *path)
{
    size_t n = strlen(path);

    return n > 4 && !strcmp(path + n - 4, ".npy") ? cts_asprintf("%.*s.json", (int)n - 4, path) : NULL;
}

bool cts_eval_npy_has_names(const char *path)
{
    char *side = sidecar(path);
    bool has = side && cts_file_exists(side);

    free(side);
    return has;
}

int cts_eval_npy_names(cts_eval_set *s, const char *path, size_t n, const char *names_csv, const char *fallback_csv)
{
    char *side;
    int rc;

    if (names_csv)
        return names_from_csv(s, path, n, names_csv);
    if (cts_eval_npy_has_names(path)) {
        if (!(side = sidecar(path)))
            return cts_fail(CTS_E_NOMEM, "out of memory");
        rc = names_from_json(s, path, n, side);
        free(side);
        return rc;
    }
    if (fallback_csv)
        return names_from_csv(s, path, n, fallback_csv);
    return cts_fail(CTS_E_USAGE,
                    "%s: nothing names its rows, allowed: --names CSV, a .json beside it as embed writes it, "
                    "or --labels or --reports in the order of the rows",
                    path);
}

/* ---- vectors ---- */

int cts_eval_npy_load(float **rows, size_t *n, size_t *d, cts_eval_set *s, const char *what, const char *path)
{
    float *v;
    size_t rows_n, cols;
    int rc = cts_npy_load_f32(&v, &rows_n, &cols, path);

    if (rc)
        return rc;
    if (!rows_n || !cols)
        rc = cts_fail(CTS_E_INPUT, "%s: got an array of %zu x %zu, allowed: at least one row and one column", path,
                      rows_n, cols);
    if (!rc)
        rc = cts_eval_set_add_file(s, what, path);
    if (rc) {
        free(v);
        return rc;
    }
    *rows = v;
    *n = rows_n;
    *d = cols;
    return CTS_OK;
}

static double norm(const float *v, size_t d)
{
    double sum = 0.0;

    for (size_t i = 0; i < d; i++)
        sum += (double)v[i] * v[i];
    return sqrt(sum);
}

int cts_eval_unit_rows(float *rows, size_t n, size_t d, cts_eval_set *s, const char *path)
{
    double least = INFINITY, most = 0.0;

    for (size_t i = 0; i < n; i++) {
        double length = norm(rows + i * d, d);
        const char *name = i < s->n ? s->rows[i].name : "";

        if (!isfinite(length))
            return cts_fail(CTS_E_INPUT, "%s: row %zu%s%s has a component that is not a finite number", path, i,
                            *name ? ", " : "", name);
        if (length == 0.0)
            return cts_fail(CTS_E_INPUT, "%s: row %zu%s%s is all zeros, allowed: vectors with a direction", path, i,
                            *name ? ", " : "", name);
        least = fmin(least, length);
        most = fmax(most, length);
    }
    if (least > 1.0 - UNIT_TOLERANCE && most < 1.0 + UNIT_TOLERANCE)
        return CTS_OK;
    cts_str_printf(&s->remarks, "%s: rows of length %.6g to %.6g were normalised to 1\n", path, least, most);
    for (size_t i = 0; i < n; i++) {
        double length = norm(rows + i * d, d);

        for (size_t c = 0; c < d; c++)
            rows[i * d + c] = (float)(rows[i * d + c] / length);
    }
    return CTS_OK;
}

int cts_eval_npy_prompts(cts_zeroshot *z, cts_eval_set *s, const char *path, size_t d, double scale)
{
    cts_eval_set nameless = {0};
    float *v = NULL;
    size_t rows, cols;
    int rc = cts_eval_npy_load(&v, &rows, &cols, s, "prompts", path);

    if (rc)
        return rc;
    if (rows != 2 * CTS_FINDINGS || cols != d)
        rc = cts_fail(
            CTS_E_MISMATCH,
            "%s: got %zu x %zu, allowed: %d x %zu, present and not present of each finding in the order of the "
            "label CSV",
            path, rows, cols, 2 * CTS_FINDINGS, d);
    if (!rc)
        rc = cts_eval_unit_rows(v, rows, cols, &nameless, path);
    if (!rc && nameless.remarks.n)
        cts_str_append(&s->remarks, cts_str_text(&nameless.remarks));
    cts_eval_set_free(&nameless);
    if (rc) {
        free(v);
        return rc;
    }
    *z = (cts_zeroshot){.dim = (int64_t)d, .scale = scale > 0.0 ? scale : exp(1.0), .prompt = v};
    return CTS_OK;
}

/* ---- scores ---- */

static bool are_of(const cts_label_map *map, const char *const *names, size_t n)
{
    for (size_t i = 0; n == map->n && i < n; i++)
        if (strcasecmp(names[i], map->rule[i].name) != 0)
            return false;
    return n == map->n;
}

/* What the .json beside `path` says of its columns: labels go to the set, *logits becomes true. Without one nothing. */
static int scores_sidecar(cts_eval_set *s, bool *logits, size_t d, const cts_label_map *map, const char *path)
{
    const char **names = NULL, *values = "";
    char *side = sidecar(path);
    json_t *j = NULL, *labels;
    int rc = CTS_OK;

    if (!side || !cts_file_exists(side))
        goto out;
    if ((rc = cts_json_load(&j, side, SIDECAR_BYTES)) || (rc = cts_json_string(&values, j, "values", false, side)))
        goto out;
    *logits |= !strcmp(values, "logits");
    if (!json_is_array(labels = json_object_get(j, "labels")))
        goto out;
    if (json_array_size(labels) != d) {
        rc = cts_fail(CTS_E_INPUT, "%s: labels has %zu names, but %s has %zu columns, allowed: as many", side,
                      json_array_size(labels), path, d);
        goto out;
    }
    if (!(names = malloc((d + 1) * sizeof *names)))
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu names", side, d);
    for (size_t i = 0; !rc && i < d; i++)
        if (!(names[i] = json_string_value(json_array_get(labels, i))))
            rc = cts_fail(CTS_E_FORMAT, "%s: labels[%zu] is no text, allowed: the name of a label", side, i);
    if (!rc && map && are_of(map, names, d)) /* saved under this protocol */
        goto out;
    if (!rc && !(rc = cts_eval_set_own_labels(s, names, d)) && map && s->own)
        rc =
            cts_fail(CTS_E_MISMATCH,
                     "%s: the labels of the protocol are made of the %d findings, got %zu others; allowed: all of them",
                     side, CTS_FINDINGS, d);
    for (int f = 0; !rc && !s->own && f < CTS_FINDINGS; f++)
        if (strcasecmp(names[f], cts_findings[f].name) != 0)
            rc = cts_fail(CTS_E_INPUT, "%s: column %d is %s, allowed: %s, the order of the label CSV", side, f,
                          names[f], cts_findings[f].name);
out:
    free(names);
    free(side);
    json_decref(j);
    return rc;
}

/* A number of the file as a probability. */
static int probability(float *p, bool logits, const char *path, size_t row, const char *volume, const char *label)
{
    if (logits && isfinite(*p))
        *p = (float)cts_probability((double)*p);
    else if (isnan(*p))
        return cts_fail(CTS_E_INPUT, "%s: row %zu (%s), %s: the score is not a number", path, row, volume, label);
    else if (!(*p >= 0.0f && *p <= 1.0f))
        return cts_fail(
            CTS_E_INPUT,
            "%s: row %zu (%s), %s: got %g, allowed: probabilities from 0 to 1, or finite logits with --logits", path,
            row, volume, label, (double)*p);
    return CTS_OK;
}

/* The table in terms of the map, in place of *scores. */
static int through_map(float **scores, size_t n, const cts_label_map *map)
{
    float *mapped = malloc((n * map->n + 1) * sizeof *mapped);

    if (!mapped)
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu scores", n * map->n);
    cts_label_map_scores(map, *scores, n, mapped);
    free(*scores);
    *scores = mapped;
    return CTS_OK;
}

int cts_eval_npy_scores(cts_eval_set *s, float *scores, size_t d, const cts_label_map *map, bool logits,
                        const char *path)
{
    float *p = NULL, *z = NULL;
    bool whole; /* in terms of our findings */
    int rc = scores_sidecar(s, &logits, d, map, path);

    if (rc)
        return rc;
    whole = !s->own && d == CTS_FINDINGS;
    if (!s->own && !whole && !(map && d == map->n))
        return cts_fail(CTS_E_INPUT, "%s: %zu columns, allowed: %d, a finding each in CT-RATE's order%s", path, d,
                        CTS_FINDINGS, map ? ", or as many as the protocol has labels" : "");
    p = malloc((s->n * d + 1) * sizeof *p);
    z = logits ? malloc((s->n * d + 1) * sizeof *z) : NULL;
    if (!p || (logits && !z))
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu scores", s->n * d);
    for (size_t i = 0; !rc && i < s->n * d; i++) {
        p[i] = scores[i];
        if (z)
            z[i] = scores[i];
        rc = probability(&p[i], logits, path, i / d, s->rows[i / d].name,
                         s->own  ? s->label_name[i % d]
                         : whole ? cts_findings[i % d].name
                                 : map->rule[i % d].name);
    }
    if (!rc && map && whole && !(rc = through_map(&p, s->n, map)) && z)
        rc = through_map(&z, s->n, map);
    if (rc) {
        free(p);
        free(z);
        return rc;
    }
    free(scores);
    free(s->score);
    free(s->logit);
    s->score = p;
    s->logit = z;
    cts_eval_set_name_labels(s, s->own ? s->own : map);
    return CTS_OK;
}

int cts_eval_npy_save_scores(const cts_eval_set *s, const char *path)
{
    char *side = sidecar(path);
    json_t *ids = json_array(), *labels = json_array(), *j = NULL;
    int rc;

    if (!side) {
        rc = cts_fail(CTS_E_INPUT, "--save-scores: got %s, allowed: a name that ends in .npy", path);
        goto out;
    }
    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(ids, json_string(s->rows[i].name));
    for (size_t i = 0; i < s->n_labels; i++)
        json_array_append_new(labels, json_string(s->label_name[i]));
    j = json_pack("{s:s, s:s, s:I, s:I, s:O, s:O, s:o}", "what", "scores", "values",
                  s->logit ? "logits" : "probabilities", "n", (json_int_t)s->n, "d", (json_int_t)s->n_labels, "labels",
                  labels, "ids", ids, "inputs", cts_eval_sources_json(s));
    rc = j ? cts_npy_save_f32(path, s->logit ? s->logit : s->score, s->n, s->n_labels)
           : cts_fail(CTS_E_NOMEM, "%s: out of memory", path);
    if (!rc && (rc = cts_json_save(j, side)))
        unlink(path); /* rows without their names are worth nothing */
out:
    free(side);
    json_decref(ids);
    json_decref(labels);
    json_decref(j);
    return rc;
}
