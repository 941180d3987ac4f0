/* SPDX-License-Identifier: MIT */
#include "query/thresholds.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "kernels/base/status.h"
#include "query/metrics/bootstrap.h"

#define MAX_FILE ((size_t)4 << 20)
#define MAX_ITERATIONS 100

/* ---- Platt scaling --------------------------------------------------------------------------------------------- */

typedef struct {
    const float *logits;
    const uint8_t *labels;
    size_t n, stride;
    double mean, scale; /* u = (z - mean) * scale is fitted */
    double target[2];   /* of negatives, of positives */
} platt;

/* log(1 + exp(x)) */
static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double unit(const platt *p, size_t i)
{
    return ((double)p->logits[i * p->stride] - p->mean) * p->scale;
}

/* Negative log likelihood, and its gradient g and Hessian h = {aa, ab, bb} unless NULL. */
static double likelihood(const platt *p, double a, double b, double g[2], double h[3])
{
    double sum = 0;

    if (g)
        g[0] = g[1] = h[0] = h[1] = h[2] = 0;
    for (size_t i = 0; i < p->n; i++) {
        double u = unit(p, i), x = a * u + b, t = p->target[p->labels[i * p->stride]], q = cts_probability(x);

        sum += softplus(x) - t * x;
        if (!g)
            continue;
        g[0] += (q - t) * u;
        g[1] += q - t;
        h[0] += q * (1 - q) * u * u;
        h[1] += q * (1 - q) * u;
        h[2] += q * (1 - q);
    }
    return sum;
}

/* Newton's steps with halving until the likelihood falls. */
static void newton(const platt *p, double *a, double *b)
{
    for (int i = 0; i < MAX_ITERATIONS; i++) {
        double g[2], h[3], at = likelihood(p, *a, *b, g, h), det, da, db, step = 1;

        h[0] += 1e-9;
        h[2] += 1e-9;
        det = h[0] * h[2] - h[1] * h[1];
        da = (h[2] * g[0] - h[1] * g[1]) / det;
        db = (h[0] * g[1] - h[1] * g[0]) / det;
        if (!(fabs(g[0]) + fabs(g[1]) > 1e-9 * (double)p->n))
            return;
        while (step > 1e-10 && !(likelihood(p, *a - step * da, *b - step * db, NULL, NULL) < at))
            step *= 0.5;
        if (step <= 1e-10)
            return;
        *a -= step * da;
        *b -= step * db;
    }
}

void cts_platt_fit(double *a, double *b, const float *logits, const uint8_t *labels, size_t n, size_t stride)
{
    platt p = {.logits = logits, .labels = labels, .n = n, .stride = stride};
    double positive = 0, square = 0, fa = 0, fb;

    for (size_t i = 0; i < n; i++) {
        positive += labels[i * stride];
        p.mean += (double)logits[i * stride];
    }
    *a = 1;
    *b = 0;
    if (!(positive > 0 && positive < (double)n))
        return;
    p.mean /= (double)n;
    for (size_t i = 0; i < n; i++)
        square += ((double)logits[i * stride] - p.mean) * ((double)logits[i * stride] - p.mean);
    p.scale = square > 0 ? 1 / sqrt(square / (double)n) : 1;
    p.target[0] = 1 / ((double)n - positive + 2);
    p.target[1] = (positive + 1) / (positive + 2);
    fb = log((positive + 1) / ((double)n - positive + 1));
    newton(&p, &fa, &fb);
    if (fa > 0) {
        *a = fa * p.scale;
        *b = fb - fa * p.scale * p.mean;
    } else {
        *a = 0;
        *b = log((positive + 1) / ((double)n - positive + 1));
    }
}

/* ---- fitting --------------------------------------------------------------------------------------------------- */

/* Precision and recall of score >= threshold. */
static void count(cts_label_threshold *t, const float *column, const uint8_t *y, size_t n, double threshold)
{
    cts_counts c = {0};

    for (size_t i = 0; i < n; i++) {
        bool present = (double)column[i] >= threshold;

        c.tp += present && y[i];
        c.fp += present && !y[i];
        c.fn += !present && y[i];
        c.tn += !present && !y[i];
    }
    t->precision = cts_precision(c);
    t->recall = cts_recall(c);
}

/* Everything but the intervals of label l. column [n], y [n]: scratch. */
static int fit_label(cts_label_threshold *t, const float *logits, const uint8_t *labels, size_t n, size_t m, size_t l,
                     float *column, uint8_t *y)
{
    size_t positives = 0;
    cts_threshold at;
    int rc;

    for (size_t i = 0; i < n; i++) {
        column[i] = logits[i * m + l];
        y[i] = labels[i * m + l];
    }
    if ((rc = cts_auroc(column, y, n, &t->auroc, &positives)) || (rc = cts_threshold_f1_max(column, y, n, &at, &t->f1)))
        return rc;
    t->threshold = cts_probability(at.value);
    count(t, column, y, n, at.value);
    t->prevalence = (double)positives / (double)n;
    cts_platt_fit(&t->a, &t->b, column, y, n, 1);
    return CTS_OK;
}

static int fit_intervals(cts_thresholds *t, const float *logits, const uint8_t *labels, const int64_t *patient,
                         uint64_t seed, cts_pool *pool)
{
    double *sample = malloc((t->n_labels + 1) * CTS_BOOTSTRAP_RESAMPLES * sizeof *sample);
    cts_bootstrap b = {0};
    int rc = sample ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for intervals");

    if (!rc && !(rc = cts_bootstrap_init(&b, patient, t->n, CTS_BOOTSTRAP_RESAMPLES, seed)))
        rc = cts_bootstrap_auroc(&b, logits, labels, t->n_labels, pool, sample);
    t->patients = b.n_patients;
    for (size_t l = 0; !rc && l < t->n_labels; l++) {
        cts_interval v;

        if (!(rc = cts_interval_percentile(sample + l * CTS_BOOTSTRAP_RESAMPLES, CTS_BOOTSTRAP_RESAMPLES, 0.05, &v))) {
            t->label[l].auroc_low = v.lower;
            t->label[l].auroc_high = v.upper;
        }
    }
    cts_bootstrap_free(&b);
    free(sample);
    return rc;
}

int cts_thresholds_fit(cts_thresholds *out, const char *const *names, size_t m, const float *logits,
                       const uint8_t *labels, size_t n, const int64_t *patient, uint64_t seed, cts_pool *pool)
{
    cts_thresholds t = {.rule = "f1-max", .n = n, .n_labels = m, .label = calloc(m + 1, sizeof *t.label)};
    float *column = malloc((n + 1) * sizeof *column);
    uint8_t *y = malloc(n + 1);
    int rc = t.label && column && y ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for thresholds");

    if (!rc && !n)
        rc = cts_fail(CTS_E_INPUT, "thresholds: got 0 validation volumes, allowed: 1 or more");
    if (!rc)
        rc = cts_scores_check(logits, n, m, names);
    for (size_t l = 0; !rc && l < m; l++) {
        snprintf(t.label[l].name, sizeof t.label[l].name, "%s", names[l]);
        rc = fit_label(&t.label[l], logits, labels, n, m, l, column, y);
    }
    if (!rc)
        rc = fit_intervals(&t, logits, labels, patient, seed, pool);
    free(column);
    free(y);
    if (rc)
        cts_thresholds_clear(&t);
    else
        *out = t;
    return rc;
}

void cts_thresholds_clear(cts_thresholds *t)
{
    free(t->label);
    memset(t, 0, sizeof *t);
}

double cts_thresholds_macro(const cts_thresholds *t)
{
    double sum = 0;
    size_t k = 0;

    for (size_t l = 0; l < t->n_labels; l++)
        if (!isnan(t->label[l].auroc)) {
            sum += t->label[l].auroc;
            k++;
        }
    return k ? sum / (double)k : NAN;
}

const cts_label_threshold *cts_thresholds_find(const cts_thresholds *t, const char *name)
{
    for (size_t l = 0; l < t->n_labels; l++)
        if (!strcasecmp(t->label[l].name, name))
            return &t->label[l];
    return NULL;
}

/* ---- the file -------------------------------------------------------------------------------------------------- */

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *label_json(const cts_label_threshold *t)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o}}", "name", t->name, "threshold",
                     number(t->threshold), "auroc", number(t->auroc), "auroc_low", number(t->auroc_low), "auroc_high",
                     number(t->auroc_high), "f1", number(t->f1), "precision", number(t->precision), "recall",
                     number(t->recall), "prevalence", number(t->prevalence), "calibration", "a", number(t->a), "b",
                     number(t->b));
}

int cts_thresholds_save(const cts_thresholds *t, const char *dir)
{
    char *path = cts_path_join(dir, CTS_THRESHOLDS_FILE);
    json_t *list = json_array(), *j;
    int rc;

    for (size_t l = 0; l < t->n_labels; l++)
        if (json_array_append_new(list, label_json(&t->label[l])) != 0) {
            json_decref(list);
            list = NULL;
            break;
        }
    j = json_pack("{s:s, s:i, s:s, s:I, s:I, s:o}", "format", "ctsearch-thresholds", "version", 1, "rule", t->rule, "n",
                  (json_int_t)t->n, "patients", (json_int_t)t->patients, "labels", list);
    if (j && *t->made_for)
        json_object_set_new(j, "made_for", json_string(t->made_for));
    rc = j && path ? cts_json_save(j, path) : cts_fail(CTS_E_NOMEM, "%s: out of memory for thresholds", dir);
    json_decref(j);
    free(path);
    return rc;
}

/* Absent or null is NaN. */
static int optional(double *out, const json_t *j, const char *key, const char *file)
{
    *out = NAN;
    return cts_json_double(out, j, key, false, file);
}

static int parse_label(cts_label_threshold *t, const json_t *j, const char *file)
{
    const json_t *c = json_object_get(j, "calibration");
    const char *name = "";
    int rc;

    if (!json_is_object(j))
        return cts_fail(CTS_E_FORMAT, "%s: an entry of \"labels\" is no object", file);
    t->a = 1;
    if ((rc = cts_json_string(&name, j, "name", true, file)) || (rc = optional(&t->threshold, j, "threshold", file)) ||
        (rc = optional(&t->auroc, j, "auroc", file)) || (rc = optional(&t->auroc_low, j, "auroc_low", file)) ||
        (rc = optional(&t->auroc_high, j, "auroc_high", file)) || (rc = optional(&t->f1, j, "f1", file)) ||
        (rc = optional(&t->precision, j, "precision", file)) || (rc = optional(&t->recall, j, "recall", file)) ||
        (rc = optional(&t->prevalence, j, "prevalence", file)) ||
        (c && ((rc = cts_json_double(&t->a, c, "a", true, file)) || (rc = cts_json_double(&t->b, c, "b", true, file)))))
        return rc;
    if (!*name || strlen(name) >= sizeof t->name)
        return cts_fail(CTS_E_INPUT, "%s: field \"name\" of a label is \"%.40s\", allowed 1 to %zu bytes", file, name,
                        sizeof t->name - 1);
    if (!(t->threshold >= 0 && t->threshold <= 1))
        return cts_fail(CTS_E_INPUT, "%s: field \"threshold\" of %s is %g, allowed 0 to 1", file, name, t->threshold);
    if (!isfinite(t->a) || !isfinite(t->b))
        return cts_fail(CTS_E_INPUT, "%s: field \"calibration\" of %s is no pair of numbers", file, name);
    snprintf(t->name, sizeof t->name, "%s", name);
    return CTS_OK;
}

static int parse_file(cts_thresholds *t, const json_t *j, const char *file)
{
    const json_t *labels = json_object_get(j, "labels");
    const char *format = "", *rule = "", *made_for = "";
    int64_t version = 0, n = 0, patients = 0;
    int rc;

    if (!json_is_object(j))
        return cts_fail(CTS_E_FORMAT, "%s: not a JSON object", file);
    if ((rc = cts_json_string(&format, j, "format", true, file)) ||
        (rc = cts_json_int(&version, j, "version", true, 1, 1, file)) ||
        (rc = cts_json_string(&rule, j, "rule", true, file)) ||
        (rc = cts_json_int(&n, j, "n", true, 0, INT64_MAX, file)) ||
        (rc = cts_json_string(&made_for, j, "made_for", false, file)) ||
        (rc = cts_json_int(&patients, j, "patients", false, 0, INT64_MAX, file)))
        return rc;
    if (strcmp(format, "ctsearch-thresholds") != 0)
        return cts_fail(CTS_E_FORMAT, "%s: field \"format\" is \"%.40s\", wanted ctsearch-thresholds", file, format);
    if (!json_is_array(labels) || json_array_size(labels) < 1 || json_array_size(labels) > CTS_LABELS_MAX)
        return cts_fail(CTS_E_FORMAT, "%s: field \"labels\" is no list of 1 to %d entries", file, CTS_LABELS_MAX);
    snprintf(t->rule, sizeof t->rule, "%s", rule);
    snprintf(t->made_for, sizeof t->made_for, "%s", made_for);
    t->n = (size_t)n;
    t->patients = (size_t)patients;
    if (!(t->label = calloc(json_array_size(labels), sizeof *t->label)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", file);
    for (size_t l = 0; l < json_array_size(labels); l++) {
        if ((rc = parse_label(&t->label[l], json_array_get(labels, l), file)))
            return rc;
        if (cts_thresholds_find(t, t->label[l].name))
            return cts_fail(CTS_E_INPUT, "%s: the label %s is there twice", file, t->label[l].name);
        t->n_labels++;
    }
    return CTS_OK;
}

int cts_thresholds_load(cts_thresholds *out, const char *dir)
{
    char *path = cts_path_join(dir, CTS_THRESHOLDS_FILE);
    cts_thresholds t = {0};
    json_t *j = NULL;
    int rc;

    if (!path)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", dir);
    if (!cts_file_exists(path))
        rc = cts_fail(CTS_E_NOTFOUND, "%s: no such file", path);
    else if (!(rc = cts_json_load(&j, path, MAX_FILE)))
        rc = parse_file(&t, j, path);
    if (rc)
        cts_thresholds_clear(&t);
    else
        *out = t;
    json_decref(j);
    free(path);
    return rc;
}

int cts_thresholds_digest(char out[CTS_DIGEST_HEX], const char *dir)
{
    char *path = cts_path_join(dir, CTS_THRESHOLDS_FILE);
    int rc = CTS_OK;

    *out = '\0';
    if (!path)
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", dir);
    if (cts_file_exists(path))
        rc = cts_digest_file(out, path);
    free(path);
    return rc;
}
