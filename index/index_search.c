/* Search: exactly, or through an approximate index whose answers are completed and scored again.
 *
 * Through the approximate index: it is asked for more than k; ids that are gone or excluded are dropped; the rows it
 * does not know (ids beyond its max_id) are scanned exactly; every candidate is scored with its stored vector. A
 * query that then has fewer than k hits although there may be more is searched exactly, so a short answer means a
 * small index and never a lazy one.
 * SPDX-License-Identifier: MIT */
#include "index/index.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/flat.h"
#include "index/index_internal.h"
#include "kernels/base/check.h"
#include "kernels/base/status.h"

#define QUERY_TILE 256

/* One call of a search. */
typedef struct {
    cts_index *ix;
    const cts_index_query *query;
    const cts_store_rows *rows; /* of the picture */
    uint64_t *allowed;          /* bit set over rows, NULL = all */
    size_t n_allowed;
    size_t known;           /* rows before this are known to ann, if ids they had at its build */
    uint64_t *tail_allowed; /* bit set from row tail_from on, rows at or beyond `known` that are allowed */
    size_t tail_from;
    cts_flat_hit *found; /* room for the hits of one query or tile */
    size_t found_room;
    const cts_ann *ann;
} searcher;

static bool bit(const uint64_t *bits, size_t row)
{
    return bits[row / 64] >> (row % 64) & 1;
}

static int find_room(searcher *s, size_t n)
{
    cts_flat_hit *p;

    if (n <= s->found_room)
        return CTS_OK;
    if (!(p = realloc(s->found, n * sizeof(*p))))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu hits", cts_index_path(s->ix), n);
    s->found = p;
    s->found_room = n;
    return CTS_OK;
}

/* The rows that pass label filter and exclusions. */
static int allow_rows(searcher *s)
{
    const cts_index_query *q = s->query;
    size_t n = s->rows->n;

    s->n_allowed = n;
    if (!q->label_mask && !q->n_exclude)
        return CTS_OK;
    if (!(s->allowed = calloc(n / 64 + 1, sizeof(uint64_t))))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", cts_index_path(s->ix));
    for (size_t r = 0; r < n; r++)
        if ((s->rows->known[r] & q->label_mask) == q->label_mask &&
            (s->rows->labels[r] & q->label_mask) == q->label_value)
            s->allowed[r / 64] |= 1ull << (r % 64);
    for (size_t i = 0; i < q->n_exclude; i++) {
        int64_t r = cts_index_row_of(s->rows, q->exclude[i]);

        if (r >= 0)
            s->allowed[r / 64] &= ~(1ull << (r % 64));
    }
    s->n_allowed = 0;
    for (size_t w = 0; w < n / 64 + 1; w++)
        s->n_allowed += (size_t)__builtin_popcountll(s->allowed[w]);
    return CTS_OK;
}

static uint64_t group_of(const searcher *s, size_t row)
{
    return s->query->group == CTS_GROUP_PATIENT ? s->rows->patient[row]
           : s->query->group == CTS_GROUP_SCAN  ? s->rows->scan[row]
                                                : 0;
}

/* The first k of n ordered hits, one a group; returns how many. */
static size_t take(const searcher *s, const cts_flat_hit *found, size_t n, cts_index_hit *hits)
{
    size_t taken = 0;

    for (size_t i = 0; i < n && taken < s->query->k; i++) {
        uint64_t group;
        bool seen = false;

        if (found[i].row < 0)
            break;
        group = group_of(s, (size_t)found[i].row);
        for (size_t j = 0; group && j < taken && !seen; j++)
            seen = group_of(s, (size_t)cts_index_row_of(s->rows, hits[j].id)) == group;
        if (!seen)
            hits[taken++] = (cts_index_hit){s->rows->ids[found[i].row], found[i].score};
    }
    return taken;
}

/* Exact answers of n queries. With grouping the scan is repeated with a longer list until k groups are there or the
 * list holds every allowed row. */
static int search_exactly(searcher *s, const float *queries, size_t n, cts_index_hit *hits, size_t *n_hits)
{
    const cts_index_query *q = s->query;
    cts_flat_base base = {s->rows->vectors, s->rows->n, s->rows->dim, s->allowed};
    size_t want = q->group == CTS_GROUP_NONE ? q->k : q->k * 4 + 16;
    int rc;

    if (want > s->n_allowed)
        want = s->n_allowed;
    if (want == 0) {
        memset(n_hits, 0, n * sizeof(*n_hits));
        return CTS_OK;
    }
    if ((rc = find_room(s, n * want)) != CTS_OK ||
        (rc = cts_flat_search(&base, queries, n, want, s->found, q->pool)) != CTS_OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        n_hits[i] = take(s, s->found + i * want, want, hits + i * q->k);
    for (size_t i = 0; i < n; i++)
        for (size_t longer = want; n_hits[i] < q->k && longer < s->n_allowed;) {
            longer = longer * 4 < s->n_allowed ? longer * 4 : s->n_allowed;
            if ((rc = find_room(s, longer)) != CTS_OK ||
                (rc = cts_flat_search(&base, queries + i * base.dim, 1, longer, s->found, q->pool)) != CTS_OK)
                return rc;
            n_hits[i] = take(s, s->found, longer, hits + i * q->k);
        }
    return CTS_OK;
}

static int by_rank(const void *a, const void *b)
{
    const cts_flat_hit *x = a, *y = b;

    if (x->score < y->score || x->score > y->score)
        return x->score < y->score ? 1 : -1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Bits of the rows the approximate index does not know. */
static int allow_tail(searcher *s)
{
    size_t n = s->rows->n;

    s->tail_from = s->known / 64 * 64;
    if (s->known == n)
        return CTS_OK;
    if (!(s->tail_allowed = calloc((n - s->tail_from) / 64 + 1, sizeof(uint64_t))))
        return cts_fail(CTS_E_NOMEM, "%s: out of memory", cts_index_path(s->ix));
    for (size_t r = s->known; r < n; r++)
        if (!s->allowed || bit(s->allowed, r))
            s->tail_allowed[(r - s->tail_from) / 64] |= 1ull << ((r - s->tail_from) % 64);
    return CTS_OK;
}

/* Score the candidates ids [n] with their stored vectors and append them to s->found [*n_found]. scratch [n, dim]. */
static int score_candidates(searcher *s, const float *query, const uint64_t *ids, size_t n, float *scratch, bool *there,
                            size_t *n_found)
{
    size_t dim = s->rows->dim;
    int rc;

    if (!s->rows->vectors && (rc = cts_store_vectors(s->ix->store, s->query->space, ids, n, scratch, there)) != CTS_OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        int64_t row = ids[i] ? cts_index_row_of(s->rows, ids[i]) : -1;
        const float *v;

        if (row < 0 || (s->allowed && !bit(s->allowed, (size_t)row)) || (size_t)row >= s->known)
            continue;
        if (!s->rows->vectors && !there[i])
            continue;
        v = s->rows->vectors ? s->rows->vectors + (size_t)row * dim : scratch + i * dim;
        s->found[(*n_found)++] = (cts_flat_hit){cts_flat_dot(v, query, dim), row};
    }
    return CTS_OK;
}

/* One query: candidates of the approximate index and the best of the tail, ordered. *complete says that the answer
 * stands. */
static int complete_one(searcher *s, const float *query, const uint64_t *ids, size_t n_ids, float *scratch, bool *there,
                        cts_index_hit *hits, size_t *n_hits, bool *complete)
{
    size_t tail = s->rows->n - s->tail_from,
           want = s->query->group == CTS_GROUP_NONE ? s->query->k : s->query->k * 4 + 16;
    size_t n_found = 0, n_tail = 0;
    int rc;

    if (want > tail)
        want = tail;
    if ((rc = find_room(s, n_ids + want)) != CTS_OK)
        return rc;
    if ((rc = score_candidates(s, query, ids, n_ids, scratch, there, &n_found)) != CTS_OK)
        return rc;
    if (s->tail_allowed) {
        cts_flat_base base = {s->rows->vectors + s->tail_from * s->rows->dim, tail, s->rows->dim, s->tail_allowed};
        cts_flat_hit *out = s->found + n_found;

        if ((rc = cts_flat_search(&base, query, 1, want, out, s->query->pool)) != CTS_OK)
            return rc;
        while (n_tail < want && out[n_tail].row >= 0)
            out[n_tail++].row += (int64_t)s->tail_from;
    }
    n_found += n_tail;
    qsort(s->found, n_found, sizeof(*s->found), by_rank);
    *n_hits = take(s, s->found, n_found, hits);
    *complete = *n_hits == s->query->k || n_found == s->n_allowed;
    return CTS_OK;
}

static int search_approximately(searcher *s, const float *queries, size_t n, cts_index_hit *hits, size_t *n_hits,
                                size_t *n_exact)
{
    const cts_index_query *q = s->query;
    const cts_ann_info *info = cts_ann_description(s->ann);
    size_t dim = s->rows->dim, gone = info->n > s->known ? info->n - s->known : 0, k = q->k, ask;
    uint64_t *ids = NULL;
    float *scratch = NULL;
    bool *there = NULL;
    int rc;

    /* Room for what will be dropped: the removed in proportion, the excluded, members of one group. */
    ask = k + k / 2 + 8 + (gone < 3 * k ? gone : 3 * k) + q->n_exclude + (q->group == CTS_GROUP_NONE ? 0 : 4 * k);
    if (ask > info->n)
        ask = info->n;
    ids = malloc(n * ask * sizeof(*ids));
    scratch = s->rows->vectors ? NULL : malloc(ask * dim * sizeof(*scratch));
    there = malloc(ask * sizeof(*there));
    if (!ids || !there || (!s->rows->vectors && !scratch)) {
        rc = cts_fail(CTS_E_NOMEM, "%s: out of memory for %zu x %zu candidates", cts_index_path(s->ix), n, ask);
        goto out;
    }
    if ((rc = cts_ann_search(s->ann, queries, n, ask, ids, cts_pool_size(q->pool))) != CTS_OK)
        goto out;
    for (size_t i = 0; i < n; i++) {
        bool complete = false;

        if ((rc = complete_one(s, queries + i * dim, ids + i * ask, ask, scratch, there, hits + i * k, &n_hits[i],
                               &complete)) != CTS_OK)
            goto out;
        n_hits[i] = complete ? n_hits[i] : SIZE_MAX; /* to be searched exactly, when the vectors are there */
        *n_exact += !complete;
    }
out:
    free(ids);
    free(scratch);
    free(there);
    return rc;
}

static void searcher_end(searcher *s)
{
    free(s->allowed);
    free(s->tail_allowed);
    free(s->found);
    s->allowed = s->tail_allowed = NULL;
    s->found = NULL;
    s->found_room = 0;
}

/* Everything with one picture. *need_vectors: the picture must be taken again with vectors. */
static int search_picture(searcher *s, cts_index_hit *hits, size_t *n_hits, size_t *n_exact, bool *need_vectors)
{
    const cts_index_query *q = s->query;
    size_t dim = s->rows->dim;
    bool approximate = s->ann && !q->label_mask;
    int rc;

    *n_exact = 0;
    s->known = 0;
    if (approximate)
        s->known = cts_index_rows_upto(s->rows, cts_ann_description(s->ann)->max_id);
    *need_vectors = !s->rows->vectors && s->rows->n && (!approximate || s->known < s->rows->n);
    if (*need_vectors)
        return CTS_OK;
    if ((rc = allow_rows(s)) != CTS_OK || (approximate && (rc = allow_tail(s)) != CTS_OK))
        return rc;
    for (size_t at = 0; at < q->n_queries; at += QUERY_TILE) {
        size_t n = q->n_queries - at < QUERY_TILE ? q->n_queries - at : QUERY_TILE;
        const float *queries = q->queries + at * dim;

        if (!approximate) {
            if ((rc = search_exactly(s, queries, n, hits + at * q->k, n_hits + at)) != CTS_OK)
                return rc;
            *n_exact += n;
            continue;
        }
        if ((rc = search_approximately(s, queries, n, hits + at * q->k, n_hits + at, n_exact)) != CTS_OK)
            return rc;
        for (size_t i = at; i < at + n; i++) {
            if (n_hits[i] != SIZE_MAX)
                continue;
            if ((*need_vectors = !s->rows->vectors))
                return CTS_OK;
            if ((rc = search_exactly(s, q->queries + i * dim, 1, hits + i * q->k, &n_hits[i])) != CTS_OK)
                return rc;
        }
    }
    return CTS_OK;
}

int cts_index_search_with(cts_index *ix, const cts_index_query *query, const cts_ann *ann, cts_index_hit *hits,
                          size_t *n_hits, bool *exact, size_t *searched)
{
    searcher s = {.ix = ix, .query = query, .ann = ann};
    index_picture *picture = NULL;
    bool with_vectors = !ann || query->label_mask;
    size_t n_exact = 0;
    int rc;

    for (;;) {
        bool need_vectors = false;

        if ((rc = cts_index_picture_get(ix, query->space, with_vectors, &picture)) != CTS_OK)
            break;
        s.rows = &picture->rows;
        rc = search_picture(&s, hits, n_hits, &n_exact, &need_vectors);
        searcher_end(&s);
        *searched = picture->rows.n;
        cts_index_picture_release(ix, picture);
        if (rc != CTS_OK || !need_vectors)
            break;
        with_vectors = true;
    }
    *exact = n_exact == query->n_queries;
    return rc;
}

static int check_query(const cts_index *ix, const cts_index_query *q)
{
    size_t dim = cts_store_info(ix->store)->dim;

    CTS_ASSERT(q->k >= 1 && (int)q->space >= 0 && (int)q->space < CTS_SPACES, "k %zu, space %d", q->k, (int)q->space);
    for (size_t i = 0; i < q->n_queries; i++) {
        double sum = 0.0;

        for (size_t j = 0; j < dim; j++)
            sum += (double)q->queries[i * dim + j] * q->queries[i * dim + j];
        if (!(fabs(sqrt(sum) - 1.0) <= CTS_INDEX_NORM_TOLERANCE))
            return cts_fail(CTS_E_INPUT, "%s: query %zu has length %g, allowed 1 within %g", cts_index_path(ix), i,
                            sqrt(sum), CTS_INDEX_NORM_TOLERANCE);
    }
    return CTS_OK;
}

int cts_index_search(cts_index *ix, const cts_index_query *query, cts_index_hit *hits, size_t *n_hits,
                     cts_index_search_info *info)
{
    cts_index_search_info said = {0};
    index_ann *ann = NULL;
    const cts_ann_info *built;
    int rc;

    if ((rc = check_query(ix, query)) != CTS_OK)
        return rc;
    if (!query->exact && (rc = cts_index_ann_get(ix, query->space, &ann, said.note, sizeof(said.note))) != CTS_OK)
        return rc;
    rc = cts_index_search_with(ix, query, ann ? ann->ann : NULL, hits, n_hits, &said.exact, &said.searched);
    if (rc == CTS_OK && ann) {
        built = cts_ann_description(ann->ann);
        if (said.searched > built->n + built->n / 4 || built->n > said.searched + said.searched / 4)
            snprintf(said.note, sizeof(said.note),
                     "%s: the approximate index knows %llu vectors, the index holds %zu: build it again",
                     cts_index_path(ix), (unsigned long long)built->n, said.searched);
    }
    if (ann)
        cts_index_ann_release(ix, ann);
    if (rc == CTS_OK && info)
        *info = said;
    return rc;
}
