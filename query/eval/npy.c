/* SPDX-License-Identifier: MIT */
#include "query/eval/npy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "kernels/base/npy.h"
#include "kernels/base/status.h"
#include "query/eval/labels.h"

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

int cts_eval_npy_scores(cts_eval_set *s, float *scores, size_t d, const cts_label_map *map, bool logits,
                        const char *path)
{
    bool whole = d == CTS_FINDINGS; /* in terms of our findings */
    float *mapped;

    if (!whole && !(map && d == map->n))
        return cts_fail(CTS_E_INPUT, "%s: %zu columns, allowed: %d, a finding each in the order of the label CSV%s",
                        path, d, CTS_FINDINGS, map ? ", or as many as the protocol has labels" : "");
    for (size_t i = 0; i < s->n; i++)
        for (size_t f = 0; f < d; f++) {
            float *p = &scores[i * d + f];
            const char *label = whole ? cts_findings[f].name : map->rule[f].name;

            if (logits && isfinite(*p))
                *p = (float)(1.0 / (1.0 + exp(-(double)*p)));
            else if (isnan(*p))
                return cts_fail(CTS_E_INPUT, "%s: row %zu (%s), %s: the score is not a number", path, i,
                                s->rows[i].name, label);
            else if (!(*p >= 0.0f && *p <= 1.0f))
                return cts_fail(
                    CTS_E_INPUT,
                    "%s: row %zu (%s), %s: got %g, allowed: probabilities from 0 to 1, or finite logits with "
                    "--logits",
                    path, i, s->rows[i].name, label, (double)*p);
        }
    if (map && whole) {
        if (!(mapped = malloc((s->n * map->n + 1) * sizeof *mapped)))
            return cts_fail(CTS_E_NOMEM, "out of memory for %zu scores", s->n * map->n);
        cts_label_map_scores(map, scores, s->n, mapped);
        free(scores);
        scores = mapped;
    }
    free(s->score);
    s->score = scores;
    cts_eval_set_name_labels(s, map);
    return CTS_OK;
}
