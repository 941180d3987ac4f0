/* SPDX-License-Identifier: MIT */
#include "query/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/status.h"
#include "kernels/base/str.h"
#include "query/metrics/classify.h"
#include "query/metrics/pairs.h"
#include "query/present.h"

const int64_t cts_recall_k[CTS_RECALL_KS] = {1, 5, 10, 50, 100};

static bool grow(cts_embeddings *x)
{
    size_t cap = x->cap ? 2 * x->cap : 256;
    size_t row = (size_t)x->dim * sizeof(float);
    void *p;

#define GROW(field, bytes)                                                                                             \
    do {                                                                                                               \
        if (!(p = realloc(x->field, cap * (bytes))))                                                                   \
            return false;                                                                                              \
        x->field = p;                                                                                                  \
    } while (0)
    GROW(image, row);
    GROW(text, row);
    GROW(labels, CTS_FINDINGS);
    GROW(has_labels, sizeof *x->has_labels);
    GROW(id, sizeof *x->id);
#undef GROW
    x->cap = cap;
    return true;
}

static void put(float *dst, const float *src, int64_t dim)
{
    if (src)
        memcpy(dst, src, (size_t)dim * sizeof *dst);
    else
        memset(dst, 0, (size_t)dim * sizeof *dst);
}

int cts_embeddings_push(cts_embeddings *x, int64_t dim, const char *id, const float *image, const float *text,
                        const uint8_t *labels)
{
    x->dim = dim;
    if (x->n == x->cap && !grow(x))
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu embeddings", x->n + 1);
    if (!(x->id[x->n] = cts_strdup(id)))
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu embeddings", x->n + 1);
    put(x->image + x->n * (size_t)dim, image, dim);
    put(x->text + x->n * (size_t)dim, text, dim);
    x->has_labels[x->n] = labels != NULL;
    if (labels)
        memcpy(x->labels + x->n * CTS_FINDINGS, labels, CTS_FINDINGS);
    else
        memset(x->labels + x->n * CTS_FINDINGS, 0, CTS_FINDINGS);
    x->n++;
    return CTS_OK;
}

void cts_embeddings_free(cts_embeddings *x)
{
    for (size_t i = 0; i < x->n; i++)
        free(x->id[i]);
    free(x->image);
    free(x->text);
    free(x->labels);
    free(x->has_labels);
    free(x->id);
    *x = (cts_embeddings){0};
}

typedef struct {
    cts_embeddings *x;
    cts_engine *e;
    const cts_record **records; /* of the rows, to encode their reports afterwards */
} collect;

static int keep_image(void *ctx, const cts_record *r, const float *vector)
{
    collect *c = ctx;
    int rc = cts_embeddings_push(c->x, cts_engine_dim(c->e), r->stem, vector, NULL, r->has_labels ? r->labels : NULL);

    if (!rc)
        c->records[c->x->n - 1] = r;
    return rc;
}

static int encode_reports(collect *c)
{
    char **texts = calloc(c->x->n + 1, sizeof *texts);
    cts_str s = {0};
    int rc = texts ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for reports");

    for (size_t i = 0; !rc && i < c->x->n; i++)
        if (!(rc = cts_report_text(&s, cts_engine_text_mode(c->e), c->records[i]->findings,
                                   c->records[i]->impressions)) &&
            !(texts[i] = cts_strdup(cts_str_text(&s))))
            rc = cts_fail(CTS_E_NOMEM, "out of memory for reports");
    if (!rc)
        rc = cts_engine_texts(c->e, (const char *const *)texts, c->x->n, c->x->text, NULL);
    for (size_t i = 0; texts && i < c->x->n; i++)
        free(texts[i]);
    free(texts);
    cts_str_free(&s);
    return rc;
}

/* A record that can be used: with a report that says something, when reports are needed. */
static bool usable(const cts_record *r, bool texts, cts_text_mode mode, cts_str *s)
{
    return !texts || (r->has_report && !cts_report_text(s, mode, r->findings, r->impressions) && s->n);
}

int cts_embeddings_compute(cts_embeddings *x, cts_engine *e, const cts_dataset *d, bool texts, int threads,
                           const char *label, size_t *skipped)
{
    const cts_record **wanted = malloc((d->n + 1) * sizeof *wanted);
    collect c = {x, e, malloc((d->n + 1) * sizeof *c.records)};
    cts_str s = {0};
    size_t n = 0;
    int rc = CTS_OK;

    if (!wanted || !c.records)
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu records", d->n);
    for (size_t i = 0; !rc && i < d->n; i++) {
        if (usable(&d->records[i], texts, cts_engine_text_mode(e), &s))
            wanted[n++] = &d->records[i];
        else
            (*skipped)++;
    }
    if (!rc)
        rc = cts_engine_records(e, wanted, n, threads, label, keep_image, &c, skipped);
    if (!rc && texts)
        rc = encode_reports(&c);
    cts_str_free(&s);
    free(wanted);
    free(c.records);
    return rc;
}

int cts_evaluate_zeroshot(cts_zeroshot_result *r, const cts_zeroshot *z, const cts_embeddings *x)
{
    float *p = malloc((x->n + 1) * CTS_FINDINGS * sizeof *p), *column = malloc((x->n + 1) * sizeof *column);
    uint8_t *labels = malloc(x->n + 1);
    double sum = 0.0;
    int rc = p && column && labels ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %zu scores", x->n);

    *r = (cts_zeroshot_result){0};
    for (size_t i = 0; !rc && i < x->n; i++)
        if (x->has_labels[i])
            cts_zeroshot_score(z, x->image + i * (size_t)x->dim, p + i * CTS_FINDINGS);
    for (int f = 0; !rc && f < CTS_FINDINGS; f++) {
        size_t n = 0;

        for (size_t i = 0; i < x->n; i++)
            if (x->has_labels[i]) {
                column[n] = p[i * CTS_FINDINGS + (size_t)f];
                labels[n++] = x->labels[i * CTS_FINDINGS + (size_t)f];
            }
        r->n = n;
        if ((rc = cts_auroc(column, labels, n, &r->auroc[f], &r->positives[f])))
            rc = cts_fail_in(rc, "%s", cts_findings[f].name);
        else if (!isnan(r->auroc[f])) {
            sum += r->auroc[f];
            r->defined++;
        }
    }
    r->macro = r->defined ? sum / r->defined : NAN;
    free(p);
    free(column);
    free(labels);
    return rc;
}

json_t *cts_zeroshot_result_json(const cts_zeroshot_result *r)
{
    json_t *findings = json_array();

    for (int f = 0; f < CTS_FINDINGS; f++)
        json_array_append_new(findings,
                              json_pack("{s:s, s:o, s:I}", "name", cts_findings[f].name, "auroc",
                                        cts_number_json(r->auroc[f]), "positives", (json_int_t)r->positives[f]));
    return json_pack("{s:s, s:I, s:o, s:o}", "protocol",
                     "zero-shot: '<Finding> is present.' against '... is not present.'; AUROC, ties count half; macro "
                     "over findings with both classes",
                     "n", (json_int_t)r->n, "auroc_macro", cts_number_json(r->macro), "findings", findings);
}

static int one_direction(const int64_t *rank, size_t n, double *recall, double *median)
{
    double mean;

    for (int k = 0; k < CTS_RECALL_KS; k++)
        recall[k] = cts_recall_at(rank, n, cts_recall_k[k]);
    return cts_rank_summary(rank, n, median, &mean);
}

int cts_evaluate_recall(cts_recall_result *r, const cts_embeddings *x, cts_pool *pool)
{
    int64_t *rank;
    int rc;

    *r = (cts_recall_result){.n = x->n};
    if (!x->n)
        return cts_fail(CTS_E_INPUT, "recall: got no pair of volume and report, allowed: at least one");
    if (!(rank = malloc(2 * x->n * sizeof *rank)))
        return cts_fail(CTS_E_NOMEM, "out of memory for %zu ranks", x->n);
    if (!(rc = cts_pair_ranks(x->text, x->image, x->n, (size_t)x->dim, NULL, pool, rank, rank + x->n)) &&
        !(rc = one_direction(rank, x->n, r->t2i, &r->median_rank_t2i)))
        rc = one_direction(rank + x->n, x->n, r->i2t, &r->median_rank_i2t);
    for (int k = 0; k < CTS_RECALL_KS; k++)
        r->chance[k] = fmin(1.0, (double)cts_recall_k[k] / (double)x->n);
    free(rank);
    return rc;
}

static json_t *by_k(const double *v)
{
    json_t *j = json_object();
    char key[16];

    for (int k = 0; k < CTS_RECALL_KS; k++) {
        snprintf(key, sizeof key, "r@%lld", (long long)cts_recall_k[k]);
        json_object_set_new(j, key, json_real(v[k]));
    }
    return j;
}

json_t *cts_recall_result_json(const cts_recall_result *r, const char *pool_name)
{
    return json_pack(
        "{s:s, s:s, s:I, s:o, s:o, s:o, s:f, s:f}", "protocol",
        "recall@k: rank = candidates scoring higher + equal ones of lower index; a hit is the query's own partner",
        "pool", pool_name, "n", (json_int_t)r->n, "t2i", by_k(r->t2i), "i2t", by_k(r->i2t), "chance", by_k(r->chance),
        "median_rank_t2i", r->median_rank_t2i, "median_rank_i2t", r->median_rank_i2t);
}
