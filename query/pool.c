/* SPDX-License-Identifier: MIT */
#include "query/pool.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/status.h"
#include "kernels/base/str.h"

const char *cts_eval_pool_name(cts_eval_pool p)
{
    return p == CTS_POOL_ALL ? "all" : "scan-first";
}

int cts_eval_pool_find(cts_eval_pool *out, const char *name)
{
    for (int p = CTS_POOL_ALL; p <= CTS_POOL_SCAN_FIRST; p++)
        if (!strcmp(name, cts_eval_pool_name((cts_eval_pool)p))) {
            *out = (cts_eval_pool)p;
            return CTS_OK;
        }
    return cts_fail(CTS_E_INPUT, "pool: got %s, allowed: all, scan-first", name);
}

/* One candidate of a pool: what decides whether it is the first of its scan. */
typedef struct {
    char *scan; /* owned */
    long reconstruction;
    size_t row;
    bool kept;
} member;

static int by_scan(const void *a, const void *b)
{
    const member *x = a, *y = b;
    int c = strcmp(x->scan, y->scan);

    if (c)
        return c;
    if (x->reconstruction != y->reconstruction)
        return x->reconstruction < y->reconstruction ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static int by_row(const void *a, const void *b)
{
    size_t x = ((const member *)a)->row, y = ((const member *)b)->row;

    return (x > y) - (x < y);
}

/* Mark the members of the pool; their order stays. A scan of its own name ("" = unknown) stands for itself. */
static void choose(member *m, size_t n, cts_eval_pool pool)
{
    if (pool == CTS_POOL_SCAN_FIRST)
        qsort(m, n, sizeof *m, by_scan);
    for (size_t i = 0; i < n; i++)
        m[i].kept = pool == CTS_POOL_ALL || !i || !*m[i].scan || strcmp(m[i].scan, m[i - 1].scan);
    qsort(m, n, sizeof *m, by_row);
}

static void members_free(member *m, size_t n)
{
    for (size_t i = 0; m && i < n; i++)
        free(m[i].scan);
    free(m);
}

/* Number behind the scan in "valid_53_a_2"; 0 when the name is not of that form. */
static long reconstruction_of(const char *name, const char *scan)
{
    size_t n = strlen(scan);

    return *scan && !strncmp(name, scan, n) && name[n] == '_' ? strtol(name + n + 1, NULL, 10) : 0;
}

static int index_members(cts_index *ix, const cts_store_rows *image, member *m, char **name)
{
    for (size_t i = 0; i < image->n; i++) {
        cts_index_record r = {0};
        int rc = cts_index_get(ix, image->ids[i], &r);

        if (rc)
            return rc;
        m[i] = (member){.scan = r.scan, .reconstruction = reconstruction_of(r.name, r.scan), .row = i};
        name[i] = r.name;
        r.scan = r.name = NULL; /* m and name own them now */
        cts_index_record_free(&r);
    }
    return CTS_OK;
}

int cts_embeddings_from_index(cts_embeddings *x, cts_index *ix, cts_eval_pool pool, bool texts, size_t *skipped)
{
    cts_store_rows image = {0}, text = {0};
    member *m = NULL;
    char **name = NULL;
    int rc;

    if ((rc = cts_index_matrix(ix, CTS_SPACE_IMAGE, &image)) ||
        (texts && (rc = cts_index_matrix(ix, CTS_SPACE_TEXT, &text))))
        goto out;
    m = calloc(image.n + 1, sizeof *m);
    name = calloc(image.n + 1, sizeof *name);
    if (!m || !name) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu items", image.n);
        goto out;
    }
    if ((rc = index_members(ix, &image, m, name)))
        goto out;
    choose(m, image.n, pool);
    for (size_t i = 0, j = 0; !rc && i < image.n; i++) {
        const uint32_t all = (1u << CTS_FINDINGS) - 1;
        uint8_t labels[CTS_FINDINGS];

        if (!m[i].kept)
            continue;
        while (j < text.n && text.ids[j] < image.ids[i])
            j++;
        if (texts && (j == text.n || text.ids[j] != image.ids[i])) {
            (*skipped)++;
            continue;
        }
        for (int f = 0; f < CTS_FINDINGS; f++)
            labels[f] = image.labels[i] >> f & 1;
        rc = cts_embeddings_push(x, (int64_t)image.dim, name[i], image.vectors + i * image.dim,
                                 texts ? text.vectors + j * text.dim : NULL,
                                 (image.known[i] & all) == all ? labels : NULL);
    }
out:
    for (size_t i = 0; name && i < image.n; i++)
        free(name[i]);
    free(name);
    members_free(m, m ? image.n : 0);
    cts_store_rows_free(&image);
    cts_store_rows_free(&text);
    return rc;
}

int cts_embeddings_from_dataset(cts_embeddings *x, cts_session *s, const cts_dataset *d, cts_eval_pool pool, bool texts,
                                size_t *skipped)
{
    member *m = calloc(d->n + 1, sizeof *m);
    cts_record *records = malloc((d->n + 1) * sizeof *records);
    cts_dataset chosen = *d;
    size_t n = 0;
    int rc = m && records ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for %zu records", d->n);

    for (size_t i = 0; !rc && i < d->n; i++) {
        const cts_record *r = &d->records[i];

        if (!r->path) { /* another reconstruction may stand for the scan */
            (*skipped)++;
            continue;
        }
        m[n] = (member){cts_strdup(r->scan), r->reconstruction, i, false};
        if (!m[n++].scan)
            rc = cts_fail(CTS_E_NOMEM, "out of memory for %zu records", d->n);
    }
    if (!rc) {
        choose(m, n, pool);
        chosen.n = 0;
        for (size_t i = 0; i < n; i++)
            if (m[i].kept)
                records[chosen.n++] = d->records[m[i].row];
        chosen.records = records; /* the strings stay d's */
        rc = cts_embeddings_compute(x, s->engine, &chosen, texts, cts_session_threads(s), "volumes", skipped);
    }
    members_free(m, n);
    free(records);
    return rc;
}
