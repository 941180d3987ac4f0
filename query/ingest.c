/* SPDX-License-Identifier: MIT */
#include "query/ingest.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/log.h"
#include "kernels/base/signal.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

typedef struct {
    cts_session *s;
    cts_ingest_result *r;
    const cts_dataset *d;
    bool *replaces; /* [d->n] an item of this name exists */
    size_t n;       /* studies waiting */
    const cts_record *record[CTS_INGEST_BATCH];
    float *image, *text; /* [CTS_INGEST_BATCH, dim]; image NULL = reports only; text NULL = no text side */
} batch;

static char *absolute_path(const char *path)
{
    char *p = path ? realpath(path, NULL) : NULL;

    return p ? p : cts_strdup(path ? path : "");
}

/* {"path": absolute path of the file}: what the record keeps beside the fields the index knows. NULL for a path that is
 * not UTF-8, which JSON cannot hold. */
static char *extra_of(const cts_record *r)
{
    char *path = absolute_path(r->path), *text = NULL;
    json_t *j = path ? json_pack("{s:s%}", "path", path, strlen(path)) : NULL;

    text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    free(path);
    return text;
}

static uint32_t label_bits(const cts_record *r)
{
    uint32_t bits = 0;

    for (int i = 0; i < CTS_FINDINGS; i++)
        bits |= (uint32_t)(r->labels[i] != 0) << i;
    return bits;
}

/* Reports of the batch as texts [n] (NULL where there is none) and their vectors in b->text, row by row; a model
 * without a text side gives texts alone. Reports that the model does not read to their end are counted in *cut. */
static int embed_reports(batch *b, char **texts, size_t *cut)
{
    const char *given[CTS_INGEST_BATCH];
    size_t row[CTS_INGEST_BATCH], n = 0, dim = (size_t)cts_engine_dim(b->s->engine);
    cts_str s = {0};
    int rc = CTS_OK;

    for (size_t i = 0; !rc && i < b->n; i++) {
        const cts_record *r = b->record[i];

        if (!r->has_report ||
            (rc = cts_report_text(&s, cts_engine_text_mode(b->s->engine), r->findings, r->impressions)) || !s.n)
            continue;
        if (!(texts[i] = cts_strdup(cts_str_text(&s))))
            rc = cts_fail(CTS_E_NOMEM, "out of memory for reports");
        given[n] = texts[i];
        row[n++] = i;
    }
    if (!rc && b->text)
        rc = cts_engine_texts(b->s->engine, given, n, b->text, cut);
    for (size_t i = b->text ? n : 0; !rc && i-- > 0;) /* from dense rows to their places, last first: row[i] >= i */
        memmove(b->text + row[i] * dim, b->text + i * dim, dim * sizeof *b->text);
    cts_str_free(&s);
    return rc;
}

static int commit(batch *b)
{
    cts_index_item items[CTS_INGEST_BATCH] = {0};
    char *texts[CTS_INGEST_BATCH] = {0}, *extra[CTS_INGEST_BATCH] = {0};
    size_t dim = (size_t)cts_engine_dim(b->s->engine), n = 0;
    cts_ingest_result add = {0};
    int rc = embed_reports(b, texts, &add.cut);

    for (size_t i = 0; !rc && i < b->n; i++) {
        const cts_record *r = b->record[i];

        if (!b->image && !texts[i]) {
            cts_log(CTS_LOG_WARN, "skipped: %s: no report and no volume folder given", r->name);
            add.skipped++;
            continue;
        }
        extra[i] = extra_of(r);
        items[n++] = (cts_index_item){.name = r->stem,
                                      .image = b->image ? b->image + i * dim : NULL,
                                      .text = texts[i] && b->text ? b->text + i * dim : NULL,
                                      .volume = r->name,
                                      .patient = r->patient,
                                      .scan = r->scan,
                                      .report = texts[i],
                                      .extra = extra[i],
                                      .labels = r->has_labels ? label_bits(r) : 0,
                                      .labels_known = r->has_labels ? (1u << CTS_FINDINGS) - 1 : 0};
        add.without_report += !texts[i];
        *(b->replaces[r - b->d->records] ? &add.updated : &add.added) += 1;
    }
    if (!rc && !(rc = cts_index_add(b->s->index, items, n, true, NULL))) {
        b->r->added += add.added;
        b->r->updated += add.updated;
        b->r->skipped += add.skipped;
        b->r->without_report += add.without_report;
        b->r->cut += add.cut;
        b->n = 0;
    }
    for (size_t i = 0; i < CTS_INGEST_BATCH; i++) {
        free(texts[i]);
        free(extra[i]);
    }
    return rc;
}

static int keep(void *ctx, const cts_record *r, const float *vector)
{
    batch *b = ctx;
    size_t dim = (size_t)cts_engine_dim(b->s->engine);

    b->record[b->n] = r;
    if (vector)
        memcpy(b->image + b->n * dim, vector, dim * sizeof *vector);
    return ++b->n == CTS_INGEST_BATCH ? commit(b) : CTS_OK;
}

static int reports_only(batch *b, const cts_record *const *wanted, size_t n)
{
    cts_progress bar;
    int rc = CTS_OK;

    cts_progress_start(&bar, "reports", n);
    for (size_t i = 0; !rc && i < n; i++) {
        if (cts_interrupted())
            rc = cts_fail(CTS_E_INTERRUPTED, "reports: interrupted after %zu of %zu", i, n);
        else
            rc = keep(b, wanted[i], NULL);
        cts_progress_set(&bar, i + 1, NULL);
    }
    cts_progress_end(&bar);
    return rc;
}

/* The records to embed: all, or with `update` off those whose name is new. */
static int choose(batch *b, bool update, const cts_record **wanted, size_t *n)
{
    for (size_t i = 0; i < b->d->n; i++) {
        uint64_t id;
        int rc = cts_index_find(b->s->index, b->d->records[i].stem, &id);

        if (rc && rc != CTS_E_NOTFOUND)
            return rc;
        b->replaces[i] = !rc;
        if (rc || update)
            wanted[(*n)++] = &b->d->records[i];
        else
            b->r->present++;
    }
    return CTS_OK;
}

int cts_ingest(cts_session *s, const cts_dataset *d, bool volumes, bool update, cts_ingest_result *r)
{
    batch b = {.s = s, .r = r, .d = d, .replaces = calloc(d->n + 1, sizeof *b.replaces)};
    const cts_record **wanted = calloc(d->n + 1, sizeof *wanted);
    size_t n = 0, row = CTS_INGEST_BATCH * (size_t)cts_engine_dim(s->engine) * sizeof(float);
    bool texts = cts_engine_need(s->engine, CTS_SIDE_TEXT) == CTS_OK;
    int rc = CTS_OK;

    *r = (cts_ingest_result){0};
    b.text = texts ? malloc(row) : NULL;
    b.image = volumes ? malloc(row) : NULL;
    if (!b.replaces || !wanted || (texts && !b.text) || (volumes && !b.image))
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu records", d->n);
    if (!rc && !(rc = choose(&b, update, wanted, &n)) && n)
        rc = volumes
                 ? cts_engine_records(s->engine, wanted, n, cts_session_threads(s), "volumes", keep, &b, &r->skipped)
                 : reports_only(&b, wanted, n);
    if ((rc == CTS_OK || rc == CTS_E_INTERRUPTED) && b.n) { /* what is embedded already is not thrown away */
        int last = commit(&b);

        rc = last ? last : rc;
    }
    if (rc == CTS_E_INTERRUPTED)
        cts_fail(rc,
                 "%s: interrupted; %zu of %zu studies were added and are kept, `ctsearch index add` goes on from there",
                 cts_index_path(s->index), r->added + r->updated, n);
    else if (rc && r->added + r->updated)
        cts_fail_in(rc, "%s: %zu of %zu studies were added before this and are kept", cts_index_path(s->index),
                    r->added + r->updated, n);
    free(b.replaces);
    free(wanted);
    free(b.text);
    free(b.image);
    return rc;
}
