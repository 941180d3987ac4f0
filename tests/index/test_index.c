/* Searching an index: every combination of filter, exclusion and grouping against an oracle, ties, changes, and
 * readers beside a writer in one process and in two.
 * SPDX-License-Identifier: MIT */
#include "tests/index/index_oracle.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED 31u
#define DIM 48
#define N 700

static oracle_item *oracle_make(const uint64_t *ids, const float *v, size_t n, size_t dim)
{
    oracle_item *items = calloc(n, sizeof(*items));

    assert_non_null(items);
    for (size_t i = 0; i < n; i++)
        items[i] = (oracle_item){ids[i], i, v + i * dim, 0};
    return items;
}

static void every_combination(void **state)
{
    static const uint32_t masks[][2] = {{0, 0}, {1, 1}, {5, 4}, {7, 7}, {8, 8}, {8, 0}};
    static const size_t ks[] = {1, 10, 200, 5000};
    char *path = scratch_make();
    float *images = vectors_make(SEED, N, DIM, 30), *texts = vectors_make(SEED + 1, N, DIM, 30);
    float *queries = vectors_make(SEED + 2, 5, DIM, 30);
    uint64_t ids[N], exclude[60];
    cts_index *ix = index_make(path, DIM);
    cts_pool *pool = NULL;
    oracle_item *items;

    (void)state;
    OK(cts_pool_create(&pool, 2));
    OK(items_add(ix, 0, N, images, texts, false, ids));
    for (size_t i = 0; i < 60; i++)
        exclude[i] = i % 3 ? ids[i * 7] : 1000000 + i; /* some do not exist */
    for (size_t m = 0; m < 6; m++)
        for (int group = 0; group < 3; group++)
            for (size_t k = 0; k < 4; k++)
                for (int other = 0; other < 2; other++) {
                    cts_index_query q = {.space = other ? CTS_SPACE_TEXT : CTS_SPACE_IMAGE,
                                         .queries = queries,
                                         .n_queries = 5,
                                         .k = ks[k],
                                         .label_mask = masks[m][0],
                                         .label_value = masks[m][1],
                                         .exclude = other ? exclude : NULL,
                                         .n_exclude = other ? 60 : 0,
                                         .group = (cts_index_group)group,
                                         .pool = other ? pool : NULL};

                    items = oracle_make(ids, other ? texts : images, N, DIM);
                    oracle_compare(ix, &q, DIM, items, N);
                    free(items);
                }
    cts_pool_destroy(pool);
    cts_index_close(ix);
    free(images);
    free(texts);
    free(queries);
    scratch_remove(path);
}

/* Copies of one vector: equal scores come in the order of ids, and items without patient or scan are no group. */
static void ties_and_loners(void **state)
{
    char *path = scratch_make(), names[100][16];
    float v[DIM] = {0.6f, 0.8f};
    cts_index *ix = index_make(path, DIM);
    cts_index_item items[100];
    cts_index_hit hits[100];
    size_t n;

    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof(names[i]), "n%d", i);
        items[i] = (cts_index_item){.name = names[i], .image = v};
    }
    OK(cts_index_add(ix, items, 100, false, NULL));
    for (int group = 0; group < 3; group++) {
        cts_index_query q = {.queries = v, .n_queries = 1, .k = 100, .group = (cts_index_group)group};

        OK(cts_index_search(ix, &q, hits, &n, NULL));
        assert_int_equal(n, 100);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(hits[i].id, i + 1);
    }
    cts_index_close(ix);
    scratch_remove(path);
}

static void bad_queries(void **state)
{
    char *path = scratch_make();
    float v[2 * DIM] = {1.0f};
    cts_index *ix = index_make(path, DIM);
    cts_index_query q = {.queries = v, .n_queries = 2, .k = 3};
    cts_index_hit hits[6];
    size_t n[2] = {9, 9};
    cts_index_search_info info;

    (void)state;
    FAILS(CTS_E_INPUT, "query 1 has length 0", cts_index_search(ix, &q, hits, n, NULL));
    v[DIM] = NAN;
    FAILS(CTS_E_INPUT, "query 1 has length", cts_index_search(ix, &q, hits, n, NULL));
    v[DIM] = 1.0f;
    OK(cts_index_search(ix, &q, hits, n, &info)); /* an empty index has no hits */
    assert_int_equal(n[0] + n[1], 0);
    assert_true(info.exact);
    cts_index_close(ix);
    scratch_remove(path);
}

static void changes_are_seen_at_once(void **state)
{
    char *path = scratch_make();
    float *v = vectors_make(SEED, 100, DIM, 0);
    cts_index *ix = index_make(path, DIM);
    cts_index_query q = {.queries = v + 7 * DIM, .n_queries = 1, .k = 1};
    uint64_t ids[100], newer;
    cts_index_hit hit;
    size_t n;

    (void)state;
    OK(items_add(ix, 0, 100, v, NULL, false, ids));
    OK(cts_index_search(ix, &q, &hit, &n, NULL));
    assert_int_equal(hit.id, ids[7]);
    OK(cts_index_remove(ix, &ids[7], 1));
    OK(cts_index_search(ix, &q, &hit, &n, NULL));
    assert_int_not_equal(hit.id, ids[7]);
    OK(items_add(ix, 9, 1, v + 7 * DIM, NULL, true, &newer));
    OK(cts_index_search(ix, &q, &hit, &n, NULL));
    assert_int_equal(hit.id, newer);
    cts_index_close(ix);
    free(v);
    scratch_remove(path);
}

typedef struct {
    cts_index *ix;
    const float *queries;
    _Atomic int stop, failed;
    int rounds;
} reader_job;

/* Whatever the writer is at, an answer is whole: k hits, ordered, ids that exist or were just removed, scores true. */
static void *reader_main(void *arg)
{
    reader_job *job = arg;
    cts_index_hit hits[10 * 4];
    size_t n[4];

    while (!job->stop && !job->failed) {
        cts_index_query q = {
            .queries = job->queries, .n_queries = 4, .k = 10, .group = (cts_index_group)(job->rounds % 3)};

        if (cts_index_search(job->ix, &q, hits, n, NULL) != CTS_OK) {
            fprintf(stderr, "reader: %s\n", cts_error());
            job->failed = 1;
        }
        for (size_t i = 0; i < 4; i++) {
            job->failed |= n[i] != 10;
            for (size_t j = 1; j < n[i]; j++)
                job->failed |= !(hits[i * 10 + j].score <= hits[i * 10 + j - 1].score);
        }
        job->rounds++;
    }
    return NULL;
}

static void readers_beside_a_writer(void **state)
{
    enum { n_threads = 3 };
    char *path = scratch_make();
    float *v = vectors_make(SEED, N, DIM, 0);
    cts_index_options o = {.dim = DIM, .map_bytes = 1 << 20}; /* small, so that the map grows under the readers */
    cts_index *ix = NULL;
    reader_job jobs[n_threads];
    pthread_t threads[n_threads];
    uint64_t ids[N];
    int rounds = 0;

    (void)state;
    OK(cts_index_create(&ix, path, &o));
    OK(items_add(ix, 0, 100, v, NULL, false, ids));
    for (int i = 0; i < n_threads; i++) {
        jobs[i] = (reader_job){.ix = ix, .queries = v + i * DIM};
        assert_int_equal(pthread_create(&threads[i], NULL, reader_main, &jobs[i]), 0);
    }
    for (size_t at = 100; at < N; at += 20) {
        OK(items_add(ix, at, 20, v + at * DIM, at % 40 ? v : NULL, false, ids + at));
        OK(cts_index_remove(ix, ids + at, 5));
    }
    for (int i = 0; i < n_threads; i++) {
        jobs[i].stop = 1;
        pthread_join(threads[i], NULL);
        assert_int_equal(jobs[i].failed, 0);
        rounds += jobs[i].rounds;
    }
    print_message("%d searches beside the writer\n", rounds);
    assert_true(rounds > 0);
    index_verify(ix);
    cts_index_close(ix);
    free(v);
    scratch_remove(path);
}

/* A reading process sees whole batches only: the number of items is always a multiple of the batch. */
static void reader_in_another_process(void **state)
{
    enum { batch = 35 };
    char *path = scratch_make();
    float *v = vectors_make(SEED, N, DIM, 0);
    cts_index *ix = index_make(path, DIM);
    int status;
    pid_t child;

    (void)state;
    OK(items_add(ix, 0, batch, v, v, false, NULL));
    cts_index_close(ix);
    if ((child = fork()) == 0) {
        cts_index_hit hits[N];
        int bad = cts_index_open(&ix, path, false, 0) != CTS_OK;
        size_t n = 0;

        while (!bad && n < N) {
            cts_index_query q = {.queries = v, .n_queries = 1, .k = N};

            bad = cts_index_search(ix, &q, hits, &n, NULL) != CTS_OK || n % batch != 0;
        }
        if (bad)
            fprintf(stderr, "reader: %zu hits, %s\n", n, cts_error());
        cts_index_close(ix);
        _exit(bad);
    }
    OK(cts_index_open(&ix, path, true, 0));
    for (size_t at = batch; at < N; at += batch) {
        OK(items_add(ix, at, batch, v + at * DIM, v, false, NULL));
        usleep(2000);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    cts_index_close(ix);
    free(v);
    scratch_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_combination),
        cmocka_unit_test(ties_and_loners),
        cmocka_unit_test(bad_queries),
        cmocka_unit_test(changes_are_seen_at_once),
        cmocka_unit_test(readers_beside_a_writer),
        cmocka_unit_test(reader_in_another_process),
    };

    print_message("seed %u\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
