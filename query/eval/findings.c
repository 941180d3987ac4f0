/* SPDX-License-Identifier: MIT */
#include "query/eval/findings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/ct_rate.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"
#include "query/eval/bm25.h"
#include "query/present.h"

static const char *const names[CTS_RANKINGS] = {"model", "bm25_sentence", "bm25_words", "chance", "oracle"};

const char *cts_ranking_name(cts_ranking r)
{
    return names[r];
}

/* What is ranked, in id order. */
typedef struct {
    size_t n, dim;
    char **report;
    uint32_t *labels;
    float *vector; /* [n, dim] */
    double *score;
} pool;

static void pool_free(pool *p)
{
    for (size_t i = 0; p->report && i < p->n; i++)
        free(p->report[i]);
    free(p->report);
    free(p->labels);
    free(p->vector);
    free(p->score);
}

/* Labels of a CSV by stem, sorted. */
typedef struct {
    const char *stem;
    uint32_t labels;
} labelled;

static int by_stem(const void *a, const void *b)
{
    return strcmp(((const labelled *)a)->stem, ((const labelled *)b)->stem);
}

static int load_labels(cts_dataset **set, labelled **out, size_t *n, const char *path)
{
    cts_dataset_paths paths = {.labels = path};
    cts_dataset *d;
    int rc = cts_dataset_load(&d, &paths);

    if (rc)
        return rc;
    *set = d;
    if (!(*out = calloc(d->n + 1, sizeof **out)))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu rows", path, d->n);
    for (size_t i = 0; i < d->n; i++) {
        labelled *l = &(*out)[(*n)++];

        l->stem = d->records[i].stem;
        for (int f = 0; f < CTS_FINDINGS; f++)
            l->labels |= (uint32_t)(d->records[i].labels[f] != 0) << f;
    }
    qsort(*out, *n, sizeof **out, by_stem);
    return CTS_OK;
}

typedef struct {
    const char *text;
    size_t at; /* of all candidates, in id order */
} same_report;

static int by_report(const void *a, const void *b)
{
    const same_report *x = a, *y = b;
    int c = strcmp(x->text, y->text);

    return c ? c : (x->at > y->at) - (x->at < y->at);
}

/* Leave the first of every report. */
static int drop_repeats(pool *p, size_t *repeats)
{
    same_report *s = malloc((p->n + 1) * sizeof *s);
    bool *gone = calloc(p->n + 1, sizeof *gone);
    size_t kept = 0;

    if (!s || !gone) {
        free(s);
        free(gone);
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu reports", p->n);
    }
    for (size_t i = 0; i < p->n; i++)
        s[i] = (same_report){p->report[i], i};
    qsort(s, p->n, sizeof *s, by_report);
    for (size_t i = 1; i < p->n; i++)
        gone[s[i].at] = !strcmp(s[i].text, s[i - 1].text);
    for (size_t i = 0; i < p->n; i++) {
        if (gone[i]) {
            free(p->report[i]);
            continue;
        }
        p->report[kept] = p->report[i];
        p->labels[kept] = p->labels[i];
        if (kept != i)
            memcpy(p->vector + kept * p->dim, p->vector + i * p->dim, p->dim * sizeof *p->vector);
        kept++;
    }
    *repeats = p->n - kept;
    p->n = kept;
    free(s);
    free(gone);
    return CTS_OK;
}

/* Take one item of the index into the pool, or count why not. given NULL = the index's own labels. */
static int take(pool *p, cts_findings_result *r, cts_index *ix, const cts_store_rows *rows, size_t i,
                const labelled *given, size_t n_given)
{
    const uint32_t all = (1u << CTS_FINDINGS) - 1;
    uint32_t labels = rows->labels[i];
    bool known = (rows->known[i] & all) == all;
    cts_index_record item = {0};
    int rc = cts_index_get(ix, rows->ids[i], &item);

    if (rc)
        return rc;
    if (given) {
        labelled key = {.stem = item.name};
        const labelled *l = bsearch(&key, given, n_given, sizeof *given, by_stem);

        known = l != NULL;
        labels = l ? l->labels : 0;
    }
    if (!item.report || !*item.report) {
        r->without_report++;
    } else if (!known) {
        r->unlabelled++;
    } else {
        p->report[p->n] = item.report;
        item.report = NULL; /* the pool's now */
        p->labels[p->n] = labels;
        memcpy(p->vector + p->n * p->dim, rows->vectors + i * rows->dim, p->dim * sizeof *p->vector);
        p->n++;
    }
    cts_index_record_free(&item);
    return CTS_OK;
}

static int pool_make(pool *p, cts_findings_result *r, cts_session *s, const char *labels)
{
    cts_store_rows rows = {0};
    cts_dataset *set = NULL;
    labelled *given = NULL;
    size_t n_given = 0;
    int rc;

    if ((rc = cts_index_matrix(s->index, CTS_SPACE_TEXT, &rows)) ||
        (labels && (rc = load_labels(&set, &given, &n_given, labels))))
        goto out;
    p->dim = rows.dim;
    p->report = calloc(rows.n + 1, sizeof *p->report);
    p->labels = calloc(rows.n + 1, sizeof *p->labels);
    p->vector = malloc((rows.n * rows.dim + 1) * sizeof *p->vector);
    p->score = malloc((rows.n + 1) * sizeof *p->score);
    if (!p->report || !p->labels || !p->vector || !p->score)
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu reports", rows.n);
    for (size_t i = 0; !rc && i < rows.n; i++)
        rc = take(p, r, s->index, &rows, i, given, n_given);
    if (!rc)
        rc = drop_repeats(p, &r->repeats);
out:
    cts_store_rows_free(&rows);
    cts_dataset_destroy(set);
    free(given);
    return rc;
}

/* Positives among the k best scores, over k; equal scores by row. k rounds of picking the best: k is small. */
static double precision_at(pool *p, int finding, size_t k)
{
    size_t found = 0;

    for (size_t j = 0; j < k; j++) {
        size_t best = 0;

        for (size_t i = 1; i < p->n; i++)
            if (p->score[i] > p->score[best])
                best = i;
        found += p->labels[best] >> finding & 1;
        p->score[best] = -INFINITY;
    }
    return (double)found / (double)k;
}

static void score_vectors(pool *p, const float *query)
{
    for (size_t i = 0; i < p->n; i++) {
        const float *v = p->vector + i * p->dim;
        double sum = 0.0;

        for (size_t k = 0; k < p->dim; k++)
            sum += (double)v[k] * (double)query[k];
        p->score[i] = sum;
    }
}

static void measure(cts_findings_result *r, pool *p, const cts_bm25 *words, const char *sentence, const float *query,
                    int f)
{
    double *out = r->precision[f];

    for (size_t i = 0; i < p->n; i++)
        r->positives[f] += p->labels[i] >> f & 1;
    if (!r->positives[f]) {
        for (int m = 0; m < CTS_RANKINGS; m++)
            out[m] = NAN;
        return;
    }
    score_vectors(p, query);
    out[CTS_BY_MODEL] = precision_at(p, f, r->k);
    cts_bm25_score(words, sentence, p->score);
    out[CTS_BY_BM25_SENTENCE] = precision_at(p, f, r->k);
    cts_bm25_score(words, cts_findings[f].name, p->score);
    out[CTS_BY_BM25_WORDS] = precision_at(p, f, r->k);
    out[CTS_BY_CHANCE] = (double)r->positives[f] / (double)p->n;
    out[CTS_BY_ORACLE] = r->positives[f] < r->k ? (double)r->positives[f] / (double)r->k : 1.0;
    for (int m = 0; m < CTS_RANKINGS; m++)
        r->mean[m] += out[m];
    r->defined++;
}

int cts_eval_findings(cts_findings_result *out, cts_session *s, const char *labels, size_t k)
{
    cts_findings_result r = {.k = k};
    char text[CTS_FINDINGS][64];
    const char *texts[CTS_FINDINGS];
    float *query = NULL;
    cts_bm25 *words = NULL;
    pool p = {0};
    int rc;

    if ((rc = pool_make(&p, &r, s, labels)))
        goto out;
    if (p.n < k) {
        rc = cts_fail(CTS_E_INPUT,
                      "%s: got %zu labelled reports with a text vector, allowed: at least k = %zu (%zu without labels, "
                      "%zu without a report)",
                      cts_index_path(s->index), p.n, k, r.unlabelled, r.without_report);
        goto out;
    }
    r.n = p.n;
    for (int f = 0; f < CTS_FINDINGS; f++) {
        snprintf(text[f], sizeof text[f], "%s is present", cts_findings[f].name);
        texts[f] = text[f];
    }
    if (!(query = malloc(CTS_FINDINGS * p.dim * sizeof *query))) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for the queries");
        goto out;
    }
    if ((rc = cts_engine_texts(s->engine, texts, CTS_FINDINGS, query, NULL)) ||
        (rc = cts_bm25_create(&words, (const char *const *)p.report, p.n, CTS_BM25_K1, CTS_BM25_B)))
        goto out;
    r.words = cts_bm25_words(words);
    for (int f = 0; f < CTS_FINDINGS; f++)
        measure(&r, &p, words, texts[f], query + (size_t)f * p.dim, f);
    for (int m = 0; m < CTS_RANKINGS; m++)
        r.mean[m] = r.defined ? r.mean[m] / r.defined : NAN;
    *out = r;
out:
    cts_bm25_destroy(words);
    free(query);
    pool_free(&p);
    return rc;
}

json_t *cts_findings_result_json(const cts_findings_result *r)
{
    json_t *findings = json_array(), *mean = json_object();

    for (int f = 0; f < CTS_FINDINGS; f++) {
        json_t *j = json_pack("{s:s, s:I}", "name", cts_findings[f].name, "positives", (json_int_t)r->positives[f]);

        for (int m = 0; m < CTS_RANKINGS; m++)
            json_object_set_new(j, names[m], cts_number_json(r->precision[f][m]));
        json_array_append_new(findings, j);
    }
    for (int m = 0; m < CTS_RANKINGS; m++)
        json_object_set_new(mean, names[m], cts_number_json(r->mean[m]));
    return json_pack("{s:s, s:s, s:I, s:I, s:{s:I, s:I, s:I}, s:{s:f, s:f, s:I, s:b}, s:o, s:i, s:o}", "protocol",
                     "findings-precision@k", "query", "<Finding> is present", "k", (json_int_t)r->k, "n",
                     (json_int_t)r->n, "left_out", "same_report", (json_int_t)r->repeats, "unlabelled",
                     (json_int_t)r->unlabelled, "without_report", (json_int_t)r->without_report, "bm25", "k1",
                     CTS_BM25_K1, "b", CTS_BM25_B, "words", (json_int_t)r->words, "stop_words_dropped", 0, "findings",
                     findings, "defined", r->defined, "mean", mean);
}
