/* Ranks, recall and the three MAP@k against values of the published evaluation code (metrics.json, metrics.safetensors,
 * ctclip_retrieval.json, ctclip_retrieval.safetensors). Values of k, pools and sizes are read from the files.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "query/metrics/classify.h"
#include "query/metrics/map.h"
#include "query/metrics/pairs.h"
#include "tests/support/golden.h"

#define EXACT 1e-12 /* the order of sums is free, nothing else */
#define KS_MAX 16

static json_t *field(const json_t *j, const char *key)
{
    json_t *v = json_object_get(j, key);

    if (!v)
        fail_msg("\"%s\" is not in the file", key);
    return v;
}

static void same(double got, const json_t *expected, const char *what, int64_t k)
{
    if (!(fabs(got - json_number_value(expected)) <= EXACT))
        fail_msg("%s at %lld: got %.17g, expected %.17g", what, (long long)k, got, json_number_value(expected));
}

/* {"R@5": value} or {"5": value}: the number behind the last sign that is no digit. */
static int64_t k_of(const char *key)
{
    const char *p = key + strlen(key);

    while (p > key && p[-1] >= '0' && p[-1] <= '9')
        p--;
    return strtoll(p, NULL, 10);
}

static void same_recalls(const int64_t *rank, size_t n, const json_t *recall, const char *what)
{
    const char *key;
    json_t *v;

    assert_true(json_object_size(recall) > 0);
    json_object_foreach((json_t *)recall, key, v) same(cts_recall_at(rank, n, k_of(key)), v, what, k_of(key));
}

typedef struct {
    size_t n, d;
    float *text, *image, *matrix;
    int64_t *report, *t2i, *i2t;
} retrieval;

static void load_retrieval(retrieval *r, const cts_golden *g)
{
    int64_t shape[8];

    assert_int_equal(cts_golden_need_shape(g, shape, "retrieval.text"), 2);
    r->n = (size_t)shape[0];
    r->d = (size_t)shape[1];
    r->text = cts_golden_need_floats(g, "retrieval.text");
    r->image = cts_golden_need_floats(g, "retrieval.image");
    r->matrix = cts_golden_need_floats(g, "retrieval.similarity_t2i");
    r->report = cts_golden_need_ints(g, "retrieval.report_of");
    r->t2i = malloc(r->n * sizeof *r->t2i);
    r->i2t = malloc(r->n * sizeof *r->i2t);
}

static void free_retrieval(retrieval *r)
{
    free(r->text);
    free(r->image);
    free(r->matrix);
    free(r->report);
    free(r->t2i);
    free(r->i2t);
}

static void same_ranks(const cts_golden *g, const char *name, const int64_t *rank, size_t n)
{
    int64_t *expected = cts_golden_need_ints(g, "%s", name);

    for (size_t i = 0; i < n; i++)
        if (rank[i] != expected[i])
            fail_msg("%s[%zu]: got %lld, expected %lld", name, i, (long long)rank[i], (long long)expected[i]);
    free(expected);
}

static void same_direction(const json_t *j, const int64_t *rank, size_t n, const char *what)
{
    double median, mean;

    same_recalls(rank, n, field(j, "recall"), what);
    assert_int_equal(cts_rank_summary(rank, n, &median, &mean), CTS_OK);
    same(median, field(j, "median_rank"), "median rank", 0);
    same(mean, field(j, "mean_rank"), "mean rank", 0);
}

static void test_ranks(void **state)
{
    cts_golden *g = cts_golden_need("metrics.safetensors");
    json_t *j = cts_golden_need_json("metrics.json"), *r = field(j, "retrieval");
    retrieval x;

    (void)state;
    load_retrieval(&x, g);
    assert_int_equal(cts_pair_ranks(x.text, x.image, x.n, x.d, NULL, NULL, x.t2i, x.i2t), CTS_OK);
    same_ranks(g, "retrieval.rank_t2i", x.t2i, x.n);
    same_ranks(g, "retrieval.rank_i2t", x.i2t, x.n);
    same_direction(field(r, "t2i"), x.t2i, x.n, "t2i");
    same_direction(field(r, "i2t"), x.i2t, x.n, "i2t");
    assert_int_equal(cts_pair_ranks(x.text, x.image, x.n, x.d, x.report, NULL, x.t2i, x.i2t), CTS_OK);
    same_ranks(g, "retrieval.rank_any_sibling_t2i", x.t2i, x.n);
    same_ranks(g, "retrieval.rank_any_sibling_i2t", x.i2t, x.n);
    same_recalls(x.t2i, x.n, field(field(r, "t2i"), "recall_any_sibling"), "t2i, any sibling");
    same_recalls(x.i2t, x.n, field(field(r, "i2t"), "recall_any_sibling"), "i2t, any sibling");
    assert_int_equal(cts_matrix_ranks(x.matrix, x.n, NULL, x.t2i), CTS_OK);
    same_ranks(g, "retrieval.rank_t2i", x.t2i, x.n);
    free_retrieval(&x);
    json_decref(j);
    cts_golden_close(g);
}

static void test_scan_pool(void **state)
{
    cts_golden *g = cts_golden_need("metrics.safetensors");
    json_t *j = cts_golden_need_json("metrics.json"), *pool = field(field(j, "retrieval"), "scan_pool");
    size_t n = json_array_size(field(pool, "indices"));
    retrieval x;

    (void)state;
    load_retrieval(&x, g);
    for (size_t i = 0; i < n; i++) { /* indices rise, so rows can move up in place */
        size_t from = (size_t)json_integer_value(json_array_get(field(pool, "indices"), i));

        memmove(x.text + i * x.d, x.text + from * x.d, x.d * sizeof *x.text);
        memmove(x.image + i * x.d, x.image + from * x.d, x.d * sizeof *x.image);
    }
    assert_int_equal(cts_pair_ranks(x.text, x.image, n, x.d, NULL, NULL, x.t2i, x.i2t), CTS_OK);
    same_recalls(x.t2i, n, field(pool, "t2i"), "scan pool t2i");
    same_recalls(x.i2t, n, field(pool, "i2t"), "scan pool i2t");
    free_retrieval(&x);
    json_decref(j);
    cts_golden_close(g);
}

/* ---- MAP ---- */

typedef struct {
    size_t n_ks;
    int64_t ks[KS_MAX];
    double map[KS_MAX];
} by_k;

static void read_ks(by_k *b, const json_t *values)
{
    const char *key;
    json_t *v;

    b->n_ks = 0;
    json_object_foreach((json_t *)values, key, v)
    {
        assert_true(b->n_ks < KS_MAX);
        b->ks[b->n_ks++] = k_of(key);
    }
    assert_true(b->n_ks > 0);
}

static void same_by_k(const by_k *b, const double *got, const json_t *values, const char *what)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)values, key, v) for (size_t i = 0; i < b->n_ks; i++) if (b->ks[i] == k_of(key))
        same(got[i], v, what, b->ks[i]);
}

static void compute_map(by_k *b, cts_map_rule rule, const float *embeddings, size_t n, size_t d, const uint8_t *labels,
                        size_t m)
{
    int64_t longest = 0, *row;
    double *value = malloc(b->n_ks * n * sizeof *value);
    cts_pool *pool;

    for (size_t i = 0; i < b->n_ks; i++)
        longest = b->ks[i] > longest ? b->ks[i] : longest;
    row = malloc(n * (size_t)longest * sizeof *row);
    assert_int_equal(cts_pool_create(&pool, 2), CTS_OK);
    assert_int_equal(cts_map_neighbours(rule, embeddings, n, d, labels, m, (size_t)longest, pool, row), CTS_OK);
    assert_int_equal(cts_map_values(rule, row, n, (size_t)longest, labels, m, b->ks, b->n_ks, value), CTS_OK);
    for (size_t i = 0; i < b->n_ks; i++)
        b->map[i] = cts_mean_defined(value + i * n, n, NULL);
    cts_pool_destroy(pool);
    free(row);
    free(value);
}

static uint8_t *load_labels(const cts_golden *g, const char *name, size_t *n, size_t *m)
{
    int64_t shape[8], *from;
    uint8_t *labels;

    assert_int_equal(cts_golden_need_shape(g, shape, "%s", name), 2);
    *n = (size_t)shape[0];
    *m = (size_t)shape[1];
    from = cts_golden_need_ints(g, "%s", name);
    labels = malloc(*n * *m);
    for (size_t i = 0; i < *n * *m; i++)
        labels[i] = from[i] != 0;
    free(from);
    return labels;
}

static void same_parts(cts_map_rule rule, const uint8_t *labels, size_t n, size_t m, const json_t *j)
{
    size_t gallery, queries;

    assert_int_equal(cts_map_parts(rule, labels, n, m, NULL, NULL, &gallery, &queries), CTS_OK);
    assert_int_equal(queries, json_integer_value(field(j, "queries")));
    if (json_is_integer(json_object_get(j, "gallery")))
        assert_int_equal(gallery, json_integer_value(field(j, "gallery")));
    if (json_is_integer(json_object_get(j, "skipped")))
        assert_int_equal(n - queries, json_integer_value(field(j, "skipped")));
}

static void test_maps(void **state)
{
    cts_golden *g = cts_golden_need("metrics.safetensors");
    json_t *j = cts_golden_need_json("metrics.json"), *c = field(j, "map_ctclip"), *s = field(j, "map_spectre");
    json_t *r = field(j, "map_radfinder");
    float *embeddings = cts_golden_need_floats(g, "map.embeddings");
    double printed[KS_MAX];
    int64_t shape[8];
    uint8_t *labels;
    size_t n, m, d;
    by_k b;

    (void)state;
    cts_golden_need_shape(g, shape, "map.embeddings");
    d = (size_t)shape[1];
    labels = load_labels(g, "map.labels", &n, &m);
    assert_int_equal(shape[0], n);
    read_ks(&b, field(c, "each_k_alone"));
    compute_map(&b, CTS_MAP_CTCLIP, embeddings, n, d, labels, m);
    same_by_k(&b, b.map, field(c, "each_k_alone"), "map_ctclip alone");
    cts_map_running(b.map, b.n_ks, printed);
    same_by_k(&b, printed, field(c, "printed_running_average"), "map_ctclip printed");
    same_parts(CTS_MAP_CTCLIP, labels, n, m, c);
    read_ks(&b, field(s, "values"));
    compute_map(&b, CTS_MAP_SPECTRE, embeddings, n, d, labels, m);
    same_by_k(&b, b.map, field(s, "values"), "map_spectre");
    same_parts(CTS_MAP_SPECTRE, labels, n, m, s);
    read_ks(&b, field(r, "values"));
    compute_map(&b, CTS_MAP_RADFINDER, embeddings, n, d, labels, m);
    same_by_k(&b, b.map, field(r, "values"), "map_radfinder");
    same_parts(CTS_MAP_RADFINDER, labels, n, m, r);
    free(embeddings);
    free(labels);
    json_decref(j);
    cts_golden_close(g);
}

/* ---- the other set ---- */

static void ctclip_recall(const cts_golden *g, const json_t *j, const char *kind)
{
    const json_t *hits = field(field(j, "recall_hits"), kind), *error = field(field(j, "recall_error"), kind);
    float *text = cts_golden_need_floats(g, "%s.text", kind), *image = cts_golden_need_floats(g, "%s.image", kind);
    int64_t shape[8], *rank;
    const char *key;
    json_t *v;
    size_t n;

    assert_int_equal(cts_golden_need_shape(g, shape, "%s.text", kind), 2);
    n = (size_t)shape[0];
    rank = malloc(n * sizeof *rank);
    assert_int_equal(cts_pair_ranks(text, image, n, (size_t)shape[1], NULL, NULL, rank, NULL), CTS_OK);
    assert_int_equal(json_array_size(hits), n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(rank[i], json_integer_value(json_array_get(hits, i)));
    same_recalls(rank, n, field(field(j, "recall"), kind), kind);
    json_object_foreach((json_t *)error, key, v) assert_true(isnan(cts_recall_in_pool(rank, n, n, k_of(key))));
    free(text);
    free(image);
    free(rank);
}

static void ctclip_map(const cts_golden *g, const json_t *j, const char *kind)
{
    float *image = cts_golden_need_floats(g, "%s.image", kind);
    const json_t *label = field(j, "label"), *members = field(j, "gallery");
    size_t n = json_array_size(label), m = json_array_size(json_array_get(label, 0)), gallery, queries;
    uint8_t *labels = malloc(n * m), *in_gallery = malloc(n);
    double printed[KS_MAX];
    int64_t shape[8];
    by_k b;

    cts_golden_need_shape(g, shape, "%s.image", kind);
    for (size_t i = 0; i < n * m; i++)
        labels[i] = json_integer_value(json_array_get(json_array_get(label, i / m), i % m)) != 0;
    assert_int_equal(cts_map_parts(CTS_MAP_CTCLIP, labels, n, m, in_gallery, NULL, &gallery, &queries), CTS_OK);
    assert_int_equal(gallery, json_array_size(members));
    for (size_t i = 0; i < gallery; i++)
        assert_true(in_gallery[json_integer_value(json_array_get(members, i))]);
    read_ks(&b, field(field(j, "map_not_cumulated"), kind));
    compute_map(&b, CTS_MAP_CTCLIP, image, n, (size_t)shape[1], labels, m);
    same_by_k(&b, b.map, field(field(j, "map_not_cumulated"), kind), "map_not_cumulated");
    cts_map_running(b.map, b.n_ks, printed);
    same_by_k(&b, printed, field(field(j, "map"), kind), "map");
    free(image);
    free(labels);
    free(in_gallery);
}

static void test_ctclip(void **state)
{
    cts_golden *g = cts_golden_need("ctclip_retrieval.safetensors");
    json_t *j = cts_golden_need_json("ctclip_retrieval.json");

    (void)state;
    ctclip_recall(g, j, "sign");
    ctclip_recall(g, j, "real");
    ctclip_map(g, j, "sign");
    ctclip_map(g, j, "real");
    json_decref(j);
    cts_golden_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_scan_pool),
        cmocka_unit_test(test_maps),
        cmocka_unit_test(test_ctclip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
