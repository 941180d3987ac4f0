/* What a search must answer, from arrays: sort everything, then apply the rules one by one.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_INDEX_ORACLE_H
#define CTS_TESTS_INDEX_ORACLE_H

#include "index/flat.h"
#include "tests/index/index_support.h"

/* One live item: `number` is what index_support.h made it from. */
typedef struct {
    uint64_t id;
    size_t number;
    const float *vector;
    float score;
} oracle_item;

static inline int oracle_order(const void *a, const void *b)
{
    const oracle_item *x = (const oracle_item *)a, *y = (const oracle_item *)b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

static inline bool oracle_passes(const cts_index_query *q, const oracle_item *it)
{
    named_item n;

    item_make(&n, it->number, NULL, NULL);
    for (size_t i = 0; i < q->n_exclude; i++)
        if (q->exclude[i] == it->id)
            return false;
    return (n.item.labels_known & q->label_mask) == q->label_mask && (n.item.labels & q->label_mask) == q->label_value;
}

static inline bool oracle_same_group(const cts_index_query *q, size_t a, size_t b)
{
    return q->group == CTS_GROUP_PATIENT ? a / 4 == b / 4 : q->group == CTS_GROUP_SCAN ? a / 2 == b / 2 : false;
}

/* hits [k]; returns their number. items [n] is reordered. */
static inline size_t oracle_search(const cts_index_query *q, const float *query, size_t dim, oracle_item *items,
                                   size_t n, cts_index_hit *hits)
{
    size_t taken = 0, *numbers = (size_t *)malloc((q->k + 1) * sizeof(*numbers));

    assert_non_null(numbers);
    for (size_t i = 0; i < n; i++)
        items[i].score = cts_flat_dot(items[i].vector, query, dim);
    qsort(items, n, sizeof(*items), oracle_order);
    for (size_t i = 0; i < n && taken < q->k; i++) {
        bool seen = false;

        if (!oracle_passes(q, &items[i]))
            continue;
        for (size_t j = 0; j < taken; j++)
            seen |= oracle_same_group(q, numbers[j], items[i].number);
        if (seen)
            continue;
        numbers[taken] = items[i].number;
        hits[taken].id = items[i].id;
        hits[taken++].score = items[i].score;
    }
    free(numbers);
    return taken;
}

/* Run the query and compare every hit with the oracle's. */
static inline void oracle_compare(cts_index *ix, const cts_index_query *q, size_t dim, oracle_item *items, size_t n)
{
    cts_index_hit *got = (cts_index_hit *)malloc(q->n_queries * q->k * sizeof(*got)),
                  *want = (cts_index_hit *)malloc(q->k * sizeof(*want));
    size_t *n_got = (size_t *)malloc(q->n_queries * sizeof(*n_got));
    cts_index_search_info info;

    assert_true(got && want && n_got);
    OK(cts_index_search(ix, q, got, n_got, &info));
    assert_int_equal(info.searched, n);
    for (size_t i = 0; i < q->n_queries; i++) {
        size_t n_want = oracle_search(q, q->queries + i * dim, dim, items, n, want);

        assert_int_equal(n_got[i], n_want);
        for (size_t j = 0; j < n_want; j++) {
            assert_int_equal(got[i * q->k + j].id, want[j].id);
            assert_true(got[i * q->k + j].score == want[j].score);
        }
    }
    free(got);
    free(want);
    free(n_got);
}

#endif
