/* Approximate indexes: types, measured recall, a store that moves on after the build, damaged blobs.
 * SPDX-License-Identifier: MIT */
#include "tests/index/index_oracle.h"

#include "kernels/base/file.h"

#define SEED 41u
#define DIM 32
#define N 3000

typedef struct {
    char *path;
    float *images, *texts;
    uint64_t ids[N];
    cts_index *ix;
} fixture;

static fixture fixture_make(void)
{
    fixture f = {
        .path = scratch_make(), .images = vectors_make(SEED, N, DIM, 40), .texts = vectors_make(SEED + 1, N, DIM, 40)};

    f.ix = index_make(f.path, DIM);
    OK(items_add(f.ix, 0, N, f.images, f.texts, false, f.ids));
    return f;
}

static void fixture_end(fixture *f)
{
    cts_index_close(f->ix);
    free(f->images);
    free(f->texts);
    scratch_remove(f->path);
}

/* Share of the exact hits that the stored approximate index finds; every score must be the exact one. */
static double recall_of(fixture *f, const float *queries, size_t n, size_t k, cts_index_search_info *info)
{
    cts_index_query q = {.queries = queries, .n_queries = n, .k = k};
    cts_index_hit *got = malloc(n * k * sizeof(*got)), *want = malloc(n * k * sizeof(*want));
    size_t *n_got = malloc(n * sizeof(*n_got)), *n_want = malloc(n * sizeof(*n_want)), good = 0, all = 0;

    OK(cts_index_search(f->ix, &q, got, n_got, info));
    q.exact = true;
    OK(cts_index_search(f->ix, &q, want, n_want, NULL));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(n_got[i], n_want[i]);
        for (size_t a = 0; a < n_want[i]; a++)
            for (size_t b = 0; b < n_got[i]; b++)
                if (want[i * k + a].id == got[i * k + b].id) {
                    good++;
                    assert_true(want[i * k + a].score == got[i * k + b].score);
                }
        all += n_want[i];
    }
    free(got);
    free(want);
    free(n_got);
    free(n_want);
    return (double)good / (double)all;
}

static void types(void **state)
{
    static const struct {
        const char *factory;
        int effort;
        double least;
    } cases[] = {{"IVF16,Flat", 0, 0.9},      {"IVF16,Flat", 16, 1.0}, {"HNSW16", 0, 0.95},
                 {"SQfp16", 0, 0.99},         {"IVF16,SQ8", 0, 0.9},   {"PQ8x4np", 0, 0.2},
                 {"PCA16,IVF8,Flat", 8, 0.3}, {"SQ8", 0, 0.95},        {"IVF16,PQ8x4", 16, 0.2}};
    fixture f = fixture_make();
    cts_pool *pool = NULL;

    (void)state;
    OK(cts_pool_create(&pool, 2));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cts_index_build_options o = {
            .factory = cases[i].factory, .effort = cases[i].effort, .pool = pool, .recall_queries = 100};
        cts_index_search_info info;
        cts_index_build_result r;
        cts_index_stat s;
        double recall;

        OK(cts_index_build(f.ix, CTS_SPACE_IMAGE, &o, &r));
        assert_string_equal(r.ann.factory, cases[i].factory);
        assert_int_equal(r.ann.n, N);
        assert_int_equal(r.ann.recall_queries, 100);
        assert_int_equal(r.ann.recall_k, 10);
        if (!(r.ann.recall >= cases[i].least && r.ann.recall <= 1.0))
            fail_msg("%s: recall %g, at least %g expected", cases[i].factory, r.ann.recall, cases[i].least);
        recall = recall_of(&f, f.texts, 100, 10, &info);
        print_message("%-16s recall measured %.3f, here %.3f, effort %d, %llu bytes\n", cases[i].factory, r.ann.recall,
                      recall, r.ann.effort, (unsigned long long)r.ann.bytes);
        assert_false(info.exact);
        assert_string_equal(info.note, "");
        if (!(fabs(recall - r.ann.recall) <= 0.25))
            fail_msg("%s: measured %g, here %g", cases[i].factory, r.ann.recall, recall);
        /* reopened: the same answers from the stored bytes */
        cts_index_close(f.ix);
        OK(cts_index_open(&f.ix, f.path, true, 0));
        if (!(fabs(recall_of(&f, f.texts, 100, 10, &info) - recall) <= 1e-9))
            fail_msg("%s: other answers after reopening", cases[i].factory);
        OK(cts_index_stats(f.ix, &s));
        assert_true(s.has_ann[CTS_SPACE_IMAGE] && !s.has_ann[CTS_SPACE_TEXT]);
        assert_string_equal(s.ann[CTS_SPACE_IMAGE].factory, cases[i].factory);
        index_verify(f.ix);
    }
    {
        cts_index_build_options o = {.factory = "Flat"};
        cts_index_search_info info;
        cts_index_build_result r;
        cts_index_stat s;

        OK(cts_index_build(f.ix, CTS_SPACE_IMAGE, &o, &r));
        assert_true(r.exact);
        OK(cts_index_stats(f.ix, &s));
        assert_false(s.has_ann[CTS_SPACE_IMAGE]);
        assert_true(recall_of(&f, f.texts, 20, 10, &info) >= 1.0);
        assert_true(info.exact);
    }
    cts_pool_destroy(pool);
    fixture_end(&f);
}

static void refused(void **state)
{
    fixture f = fixture_make();
    static const char *const bad[] = {"",    "NoSuchIndex",   "IVF4000,Flat", "IVF99999999999999999999,Flat",
                                      "PQ7", "IVF16,Flat,,x", "IDMap,Flat",   "HNSW2000000000"};
    cts_index_build_result r;
    cts_index_stat s;
    char longer[300];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cts_index_build_options o = {.factory = bad[i]};

        FAILS(CTS_E_INPUT, f.path, cts_index_build(f.ix, CTS_SPACE_IMAGE, &o, &r));
        print_message("%s\n", cts_error());
    }
    memset(longer, 'x', sizeof(longer));
    longer[299] = 0;
    FAILS(CTS_E_INPUT, "299 bytes",
          cts_index_build(f.ix, CTS_SPACE_IMAGE, &(cts_index_build_options){.factory = longer}, &r));
    OK(cts_index_stats(f.ix, &s));
    assert_false(s.has_ann[CTS_SPACE_IMAGE]);
    index_verify(f.ix);
    cts_index_close(f.ix);
    OK(cts_index_open(&f.ix, f.path, false, 0));
    FAILS(CTS_E_INPUT, "reading only",
          cts_index_build(f.ix, CTS_SPACE_IMAGE, &(cts_index_build_options){.factory = "Flat"}, &r));
    fixture_end(&f);
}

/* After the build items come, go and change. With every list probed the approximate index finds all it knows, so its
 * answers must be the exact ones: nothing removed, everything new, every exclusion and group. */
static void the_store_moves_on(void **state)
{
    static const char *const factories[] = {"IVF16,Flat", "HNSW32"};
    float *more = vectors_make(SEED + 9, 400, DIM, 40);

    (void)state;
    for (size_t t = 0; t < 2; t++) {
        fixture f = fixture_make();
        cts_index_build_options o = {.factory = factories[t], .effort = t ? 600 : 16};
        oracle_item *items = calloc(N + 400, sizeof(*items));
        uint64_t newer[400], gone[N];
        cts_index_build_result r;
        cts_index_stat s;
        size_t n = 0, n_gone = 0;

        OK(cts_index_build(f.ix, CTS_SPACE_IMAGE, &o, &r));
        for (size_t i = 0; i < N; i++) {
            if (i % 5 == 0)
                gone[n_gone++] = f.ids[i];
            else if (i >= 100)
                items[n++] = (oracle_item){f.ids[i], i, f.images + i * DIM, 0};
        }
        OK(cts_index_remove(f.ix, gone, n_gone));
        OK(items_add(f.ix, N, 300, more, NULL, false, newer));
        OK(items_add(f.ix, 0, 100, more + 300 * DIM, NULL, true,
                     newer + 300)); /* updates: the old vectors must not answer */
        for (size_t i = 0; i < 400; i++)
            items[n++] = (oracle_item){newer[i], i < 300 ? N + i : i - 300, more + i * DIM, 0};
        OK(cts_index_stats(f.ix, &s));
        assert_int_equal(s.added_since[CTS_SPACE_IMAGE], 400);
        assert_int_equal(s.removed_since[CTS_SPACE_IMAGE], n_gone + 80);
        for (int reopened = 0; reopened < 2; reopened++) {
            for (int group = 0; group < 3; group++)
                for (size_t k = 1; k <= 100; k *= 10)
                    for (int filter = 0; filter < 3; filter++) {
                        cts_index_query q = {.queries = f.texts,
                                             .n_queries = 20,
                                             .k = k,
                                             .group = (cts_index_group)group,
                                             .label_mask = filter == 1 ? 3 : 0,
                                             .label_value = filter == 1 ? 2 : 0,
                                             .exclude = filter == 2 ? f.ids + 500 : NULL,
                                             .n_exclude = filter == 2 ? 300 : 0};

                        oracle_compare(f.ix, &q, DIM, items, n);
                    }
            index_verify(f.ix);
            cts_index_close(f.ix);
            OK(cts_index_open(&f.ix, f.path, true, 0));
        }
        OK(cts_index_build(f.ix, CTS_SPACE_IMAGE, &o, &r));
        assert_int_equal(r.ann.n, n);
        OK(cts_index_stats(f.ix, &s));
        assert_int_equal(s.store.n_rows[CTS_SPACE_IMAGE], n);
        assert_int_equal(s.added_since[CTS_SPACE_IMAGE] + s.removed_since[CTS_SPACE_IMAGE], 0);
        oracle_compare(f.ix, &(cts_index_query){.queries = f.texts, .n_queries = 20, .k = 10}, DIM, items, n);
        free(items);
        fixture_end(&f);
    }
    free(more);
}

/* Most of what the build knew is gone: short answers are completed by an exact search. */
static void nearly_empty(void **state)
{
    fixture f = fixture_make();
    cts_index_build_options o = {.factory = "HNSW16"};
    oracle_item items[30];
    cts_index_build_result r;
    cts_index_search_info info;
    cts_index_hit hits[100];
    size_t n;

    (void)state;
    OK(cts_index_build(f.ix, CTS_SPACE_IMAGE, &o, &r));
    OK(cts_index_remove(f.ix, f.ids, N - 30));
    for (size_t i = 0; i < 30; i++)
        items[i] = (oracle_item){f.ids[N - 30 + i], N - 30 + i, f.images + (N - 30 + i) * DIM, 0};
    for (size_t k = 1; k <= 100; k *= 10)
        oracle_compare(f.ix, &(cts_index_query){.queries = f.texts, .n_queries = 10, .k = k}, DIM, items, 30);
    OK(cts_index_search(f.ix, &(cts_index_query){.queries = f.texts, .n_queries = 1, .k = 100}, hits, &n, &info));
    assert_non_null(strstr(info.note, "build it again"));
    fixture_end(&f);
}

/* Flip bytes of the blob in data.mdb: refused by the checksum, said in the note, answered exactly. */
static void damaged_blob(void **state)
{
    fixture f = fixture_make();
    cts_index_build_options o = {.factory = "HNSW16"};
    char *data = cts_path_join(f.path, "data.mdb"), *copy = NULL, *at = NULL;
    cts_rng rng = cts_rng_make(SEED);
    cts_store *st = NULL;
    cts_ann_info info;
    void *blob = NULL;
    size_t n_copy = 0, n_blob = 0;
    uint64_t chunk = 256 * 4096 - 16;

    (void)state;
    OK(cts_index_build(f.ix, CTS_SPACE_IMAGE, &o, NULL));
    cts_index_close(f.ix);
    OK(cts_store_open(&st, f.path, false, 0));
    OK(cts_store_blob_get(st, CTS_SPACE_IMAGE, &blob, &n_blob, &info));
    assert_int_equal(n_blob, info.bytes);
    assert_int_equal(info.n, N);
    cts_store_close(st);
    OK(cts_file_read(&copy, &n_copy, data, 1u << 30));
    at = memmem(copy, n_copy, blob, n_blob < chunk ? n_blob : chunk); /* a chunk lies in one piece */
    assert_non_null(at);
    for (int i = 0; i < 25; i++) {
        size_t where = (size_t)cts_rng_below(&rng, n_blob < chunk ? n_blob : chunk);
        char bit = (char)(1 << cts_rng_below(&rng, 8));
        cts_index_search_info said;
        cts_store_report report;

        at[where] ^= bit;
        OK(cts_file_write_atomic(data, copy, n_copy));
        OK(cts_index_open(&f.ix, f.path, i == 24, 0));
        for (int twice = 0; twice < 2; twice++) {
            assert_true(recall_of(&f, f.texts, 5, 10, &said) >= 1.0);
            assert_true(said.exact);
            assert_non_null(strstr(said.note, "damaged: SHA-256"));
            assert_non_null(strstr(said.note, "searched exactly"));
        }
        FAILS(CTS_E_FORMAT, "damaged", cts_index_verify(f.ix, &report));
        assert_int_equal(report.problems, 1);
        assert_int_equal(report.vectors[0], N);
        at[where] ^= bit;
        if (i < 24)
            cts_index_close(f.ix);
    }
    OK(cts_index_build(f.ix, CTS_SPACE_IMAGE, &o, NULL)); /* building again mends it */
    index_verify(f.ix);
    free(copy);
    free(blob);
    free(data);
    fixture_end(&f);
}

/* Flip bytes of vectors and records: reading says so, verify counts it. */
static void damaged_items(void **state)
{
    fixture f = fixture_make();
    char *data = cts_path_join(f.path, "data.mdb"), *copy = NULL, *at;
    size_t n_copy = 0;
    cts_store_report report;
    cts_index_record r;
    cts_index_hit hits[3];
    size_t n;

    (void)state;
    cts_index_close(f.ix);
    OK(cts_file_read(&copy, &n_copy, data, 1u << 30));
    at = memmem(copy, n_copy, f.images + 17 * DIM, DIM * sizeof(float));
    assert_non_null(at);
    at[5] ^= 4;
    OK(cts_file_write_atomic(data, copy, n_copy));
    OK(cts_index_open(&f.ix, f.path, false, 0));
    FAILS(CTS_E_FORMAT, "vec.image block 0 fails its checksum", cts_index_verify(f.ix, &report));
    FAILS(CTS_E_FORMAT, "checksum",
          cts_index_search(f.ix, &(cts_index_query){.queries = f.texts, .n_queries = 1, .k = 3}, hits, &n, NULL));
    cts_index_close(f.ix);
    at[5] ^= 4;
    at = memmem(copy, n_copy, "Report number 17:", 17);
    assert_non_null(at);
    at[3] ^= 1;
    OK(cts_file_write_atomic(data, copy, n_copy));
    OK(cts_index_open(&f.ix, f.path, false, 0));
    FAILS(CTS_E_FORMAT, "the record of id 18 fails its checksum", cts_index_verify(f.ix, &report));
    FAILS(CTS_E_FORMAT, "checksum", cts_index_get(f.ix, f.ids[17], &r));
    free(copy);
    free(data);
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types),        cmocka_unit_test(refused),      cmocka_unit_test(the_store_moves_on),
        cmocka_unit_test(nearly_empty), cmocka_unit_test(damaged_blob), cmocka_unit_test(damaged_items),
    };

    print_message("seed %u\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
