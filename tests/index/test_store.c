/* The store: round trips, updates, removals, map growth and its limit, locks, files that are not an index.
 * SPDX-License-Identifier: MIT */
#include "tests/index/index_support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "index/store.h"

#define SEED 21u
#define DIM 40

static void check_item(cts_index *ix, size_t i, uint64_t id, const float *image, const float *text)
{
    float got[DIM];
    cts_index_record r;
    named_item want;
    uint64_t found = 0;

    item_make(&want, i, image, text);
    OK(cts_index_find(ix, want.name, &found));
    assert_int_equal(found, id);
    OK(cts_index_get(ix, id, &r));
    assert_int_equal(r.id, id);
    assert_string_equal(r.name, want.name);
    assert_string_equal(r.volume, want.volume);
    assert_string_equal(r.patient, want.patient);
    assert_string_equal(r.scan, want.scan);
    assert_string_equal(r.report, want.report);
    assert_string_equal(r.extra, "");
    assert_int_equal(r.labels, want.item.labels);
    assert_int_equal(r.labels_known, want.item.labels_known);
    assert_int_equal(r.flags, want.item.flags);
    assert_int_equal(r.has[CTS_SPACE_IMAGE], image != NULL);
    assert_int_equal(r.has[CTS_SPACE_TEXT], text != NULL);
    cts_index_record_free(&r);
    if (image) {
        OK(cts_index_vector(ix, id, CTS_SPACE_IMAGE, got));
        assert_memory_equal(got, image, sizeof(got));
    }
    if (text) {
        OK(cts_index_vector(ix, id, CTS_SPACE_TEXT, got));
        assert_memory_equal(got, text, sizeof(got));
    } else {
        FAILS(CTS_E_NOTFOUND, "no text vector", cts_index_vector(ix, id, CTS_SPACE_TEXT, got));
    }
}

static void round_trip(void **state)
{
    enum { n = 1500 };
    char *path = scratch_make();
    float *images = vectors_make(SEED, n, DIM, 0), *texts = vectors_make(SEED + 1, n, DIM, 0);
    uint64_t ids[n], id = 0, seen = 0;
    cts_index *ix = index_make(path, DIM);
    cts_store_rows rows = {0};
    cts_index_stat s;

    (void)state;
    OK(items_add(ix, 0, 700, images, texts, false, ids));
    OK(items_add(ix, 700, 800, images + 700 * DIM, NULL, false, ids + 700));
    for (int pass = 0; pass < 2; pass++) {
        index_verify(ix);
        for (size_t i = 0; i < n; i += 7)
            check_item(ix, i, ids[i], images + i * DIM, i < 700 ? texts + i * DIM : NULL);
        OK(cts_index_stats(ix, &s));
        assert_int_equal(s.store.n_items, n);
        assert_int_equal(s.store.n_vectors[CTS_SPACE_IMAGE], n);
        assert_int_equal(s.store.n_vectors[CTS_SPACE_TEXT], 700);
        OK(cts_index_matrix(ix, CTS_SPACE_IMAGE, &rows));
        assert_int_equal(rows.n, n);
        assert_memory_equal(rows.vectors, images, n * DIM * sizeof(float));
        assert_memory_equal(rows.ids, ids, sizeof(ids));
        cts_store_rows_free(&rows);
        cts_index_close(ix);
        OK(cts_index_open(&ix, path, pass, 0));
        assert_string_equal(cts_index_describe(ix)->model, "models/nano");
        assert_string_equal(cts_index_describe(ix)->recipe, "{\"size\": [64, 96, 96]}");
        assert_int_equal(cts_index_describe(ix)->dim, DIM);
    }
    OK(cts_index_next(ix, &id));
    while (id) {
        assert_int_equal(id, ids[seen++]);
        OK(cts_index_next(ix, &id));
    }
    assert_int_equal(seen, n);
    cts_index_close(ix);
    free(images);
    free(texts);
    scratch_remove(path);
}

static void update_and_remove(void **state)
{
    enum { n = 300 };
    char *path = scratch_make();
    float *a = vectors_make(SEED, n, DIM, 0), *b = vectors_make(SEED + 1, n, DIM, 0), got[DIM];
    uint64_t ids[n], newer[n], gone;
    cts_index *ix = index_make(path, DIM);
    cts_store *st;
    cts_index_stat s;
    cts_index_record r;

    (void)state;
    OK(items_add(ix, 0, n, a, a, false, ids));
    FAILS(CTS_E_INPUT, "scan_5", items_add(ix, 5, 1, b, b, false, NULL));
    FAILS(CTS_E_INPUT, "scan_100", items_add(ix, 100, n, b, b, false, NULL)); /* the whole batch is refused */
    OK(cts_index_stats(ix, &s));
    assert_int_equal(s.store.n_items, n);
    OK(items_add(ix, 100, 50, b, b, true, newer));
    for (size_t i = 0; i < 50; i++) {
        assert_true(newer[i] > ids[n - 1]);
        check_item(ix, 100 + i, newer[i], b + i * DIM, b + i * DIM);
        FAILS(CTS_E_NOTFOUND, "no item with id", cts_index_get(ix, ids[100 + i], &r));
    }
    OK(cts_index_remove(ix, ids + 10, 20));
    OK(cts_index_remove_name(ix, "scan_0"));
    FAILS(CTS_E_NOTFOUND, "scan_0", cts_index_remove_name(ix, "scan_0"));
    gone = ids[10];
    FAILS(CTS_E_NOTFOUND, "no item", cts_index_remove(ix, (uint64_t[]){ids[200], gone}, 2)); /* neither is removed */
    check_item(ix, 200, ids[200], a + 200 * DIM, a + 200 * DIM);
    FAILS(CTS_E_NOTFOUND, "", cts_index_vector(ix, gone, CTS_SPACE_IMAGE, got));
    index_verify(ix);
    OK(cts_index_stats(ix, &s));
    assert_int_equal(s.store.n_items, n - 21);
    assert_int_equal(s.store.n_rows[0], n + 50);
    cts_index_close(ix);
    OK(cts_store_open(&st, path, true, 0));
    OK(cts_store_compact(st));
    cts_store_close(st);
    OK(cts_index_open(&ix, path, true, 0));
    OK(cts_index_stats(ix, &s));
    assert_int_equal(s.store.n_rows[0], n - 21);
    assert_int_equal(s.store.n_rows[1], n - 21);
    index_verify(ix);
    for (size_t i = 160; i < n; i++)
        check_item(ix, i, ids[i], a + i * DIM, a + i * DIM);
    for (size_t i = 0; i < 50; i++)
        check_item(ix, 100 + i, newer[i], b + i * DIM, b + i * DIM);
    OK(items_add(ix, 1000, 40, a, NULL, false, NULL));
    index_verify(ix);
    /* a name twice in one batch: an update lets the later one win */
    {
        named_item twice[2];
        cts_index_item items[2];

        item_make(&twice[0], 2000, a, NULL);
        item_make(&twice[1], 2000, b, NULL);
        items[0] = twice[0].item;
        items[1] = twice[1].item;
        FAILS(CTS_E_INPUT, "scan_2000", cts_index_add(ix, items, 2, false, NULL));
        OK(cts_index_add(ix, items, 2, true, newer));
        check_item(ix, 2000, newer[1], b, NULL);
    }
    index_verify(ix);
    cts_index_close(ix);
    free(a);
    free(b);
    scratch_remove(path);
}

static void bad_items(void **state)
{
    char *path = scratch_make(), longer[CTS_INDEX_NAME_MAX + 2];
    float v[DIM] = {1.0f}, bad[DIM] = {1.0f};
    cts_index *ix = index_make(path, DIM);
    cts_index_item item = {.name = "x", .image = bad};
    cts_index_stat s;
    cts_index_record r;
    uint64_t id;

    (void)state;
    bad[3] = NAN;
    FAILS(CTS_E_INPUT, "item 'x': its image vector holds a NaN", cts_index_add(ix, &item, 1, false, NULL));
    bad[3] = INFINITY;
    FAILS(CTS_E_INPUT, "infinity", cts_index_add(ix, &item, 1, false, NULL));
    bad[3] = 0.5f;
    FAILS(CTS_E_INPUT, "length 1.118", cts_index_add(ix, &item, 1, false, NULL));
    memset(bad, 0, sizeof(bad));
    FAILS(CTS_E_INPUT, "length 0", cts_index_add(ix, &item, 1, false, NULL));
    item = (cts_index_item){.name = "x", .image = v, .text = bad};
    FAILS(CTS_E_INPUT, "text vector", cts_index_add(ix, &item, 1, false, NULL));
    item = (cts_index_item){.name = "x"};
    FAILS(CTS_E_INPUT, "neither", cts_index_add(ix, &item, 1, false, NULL));
    item = (cts_index_item){.name = "", .image = v};
    FAILS(CTS_E_INPUT, "no name", cts_index_add(ix, &item, 1, false, NULL));
    memset(longer, 'n', sizeof(longer));
    longer[sizeof(longer) - 1] = 0;
    item = (cts_index_item){.name = longer, .image = v};
    FAILS(CTS_E_LIMIT, "501 bytes", cts_index_add(ix, &item, 1, false, NULL));
    item = (cts_index_item){.name = "x", .image = v, .report = "\xff\xfe broken"};
    FAILS(CTS_E_INPUT, "report is not UTF-8", cts_index_add(ix, &item, 1, false, NULL));
    item = (cts_index_item){.name = "x", .image = v, .extra = "[1]"};
    FAILS(CTS_E_INPUT, "not a JSON object", cts_index_add(ix, &item, 1, false, NULL));
    item = (cts_index_item){.name = "x", .image = v, .extra = "{broken"};
    FAILS(CTS_E_FORMAT, "JSON", cts_index_add(ix, &item, 1, false, NULL));
    OK(cts_index_stats(ix, &s));
    assert_int_equal(s.store.n_items, 0);
    assert_int_equal(s.store.generation, 0);
    longer[CTS_INDEX_NAME_MAX] = 0;
    item = (cts_index_item){.name = longer, .image = v, .extra = "{\"age\": 63}"};
    OK(cts_index_add(ix, &item, 1, false, &id));
    OK(cts_index_get(ix, id, &r));
    assert_string_equal(r.extra, "{\"age\":63}");
    cts_index_record_free(&r);
    index_verify(ix);
    cts_index_close(ix);
    scratch_remove(path);
}

static void mismatch(void **state)
{
    char *path = scratch_make();
    cts_index *ix = index_make(path, DIM);

    (void)state;
    OK(cts_index_check(ix, NULL, NULL, NULL));
    OK(cts_index_check(ix, "aaaaaaaaaaaaaaaa1111", "bbbbbbbbbbbbbbbb2222", "cccccccccccccccc3333"));
    FAILS(CTS_E_MISMATCH, "another model", cts_index_check(ix, "dddddddddddddddd", "bbbbbbbbbbbbbbbb2222", NULL));
    FAILS(CTS_E_MISMATCH, "another tokenizer: it has digest bbbbbbbbbbbb, the one given is eeeeeeeeeeee",
          cts_index_check(ix, NULL, "eeeeeeeeeeeeeeee", NULL));
    FAILS(CTS_E_MISMATCH, "recipe", cts_index_check(ix, NULL, NULL, ""));
    cts_index_close(ix);
    scratch_remove(path);
}

/* 1 MiB at first, 8,000 vectors of 512: the map must double several times, with another handle's reader in a second
 * process. */
static void map_growth(void **state)
{
    enum { n = 8000, dim = 512 };
    char *path = scratch_make();
    float *v = vectors_make(SEED, n, dim, 0);
    cts_index_options o = {.dim = dim, .map_bytes = 1 << 20};
    cts_index *ix = NULL;
    cts_index_stat s;
    int go[2], status;
    pid_t reader;
    char byte = 0;

    (void)state;
    assert_int_equal(pipe(go), 0);
    OK(cts_index_create(&ix, path, &o));
    OK(items_add(ix, 0, 10, v, NULL, false, NULL));
    cts_index_close(ix);
    if ((reader = fork()) == 0) {
        int bad =
            cts_index_open(&ix, path, false, 0) != CTS_OK || cts_index_stats(ix, &s) != CTS_OK || s.store.n_items != 10;

        if (!bad && read(go[0], &byte, 1) == 1)
            bad = cts_index_stats(ix, &s) != CTS_OK || s.store.n_items != n; /* the map was resized under it */
        cts_index_close(ix);
        _exit(bad);
    }
    OK(cts_index_open(&ix, path, true, 0));
    for (size_t at = 10; at < n; at += 1000)
        OK(items_add(ix, at, n - at < 1000 ? n - at : 1000, v + at * dim, NULL, false, NULL));
    assert_int_equal(write(go[1], &byte, 1), 1);
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_int_equal(status, 0);
    OK(cts_index_stats(ix, &s));
    assert_int_equal(s.store.n_items, n);
    assert_true(s.store.map_bytes >= 16 << 20);
    /* blocks keep the file near the payload: LMDB alone would have doubled it */
    print_message("%d x %d floats: file %.2f of the vectors' bytes\n", n, dim,
                  (double)s.store.file_bytes / (n * dim * 4.0));
    assert_true((double)s.store.file_bytes < 1.4 * n * dim * 4.0);
    index_verify(ix);
    cts_index_close(ix);
    close(go[0]);
    close(go[1]);
    free(v);
    scratch_remove(path);
}

static void map_limit(void **state)
{
    enum { n = 400, dim = 512 };
    char *path = scratch_make();
    float *v = vectors_make(SEED, n, dim, 0);
    cts_index_options o = {.dim = dim, .map_bytes = 1 << 20, .max_map_bytes = 4 << 20};
    size_t at = 0, before;
    cts_index *ix = NULL;
    cts_index_stat s;
    int rc = CTS_OK;

    (void)state;
    OK(cts_index_create(&ix, path, &o));
    while (at < 100 * n && (rc = items_add(ix, at, n, v, NULL, false, NULL)) == CTS_OK)
        at += n;
    assert_int_equal(rc, CTS_E_FULL);
    assert_non_null(strstr(cts_error(), "may not grow beyond 4194304"));
    before = at;
    OK(cts_index_stats(ix, &s));
    assert_int_equal(s.store.n_items, before);
    index_verify(ix);
    FAILS(CTS_E_FULL, path, items_add(ix, at, n, v, NULL, false, NULL));
    cts_index_close(ix);
    OK(cts_index_open(&ix, path, true, 64 << 20)); /* with more room it goes on */
    index_verify(ix);
    OK(items_add(ix, at, n, v, NULL, false, NULL));
    index_verify(ix);
    cts_index_close(ix);
    free(v);
    scratch_remove(path);
}

/* A disk that refuses: the file may not grow. Nothing of the batch stays, and the store goes on afterwards. */
static void disk_full(void **state)
{
    enum { n = 3000, dim = 512 };
    char *path = scratch_make();
    float *v = vectors_make(SEED, n, dim, 0);
    cts_index *ix = index_make(path, dim);
    int status;
    pid_t child;

    (void)state;
    OK(items_add(ix, 0, 50, v, NULL, false, NULL));
    cts_index_close(ix);
    if ((child = fork()) == 0) {
        struct rlimit limit = {3 << 20, 3 << 20};
        cts_index_stat s;
        int bad;

        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        bad = cts_index_open(&ix, path, true, 0) != CTS_OK || items_add(ix, 100, n, v, NULL, false, NULL) != CTS_E_IO ||
              !strstr(cts_error(), path) || cts_index_stats(ix, &s) != CTS_OK || s.store.n_items != 50;
        if (bad)
            fprintf(stderr, "disk_full: %s\n", cts_error());
        cts_index_close(ix);
        _exit(bad);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    OK(cts_index_open(&ix, path, true, 0));
    index_verify(ix);
    OK(items_add(ix, 100, n, v, NULL, false, NULL));
    index_verify(ix);
    cts_index_close(ix);
    free(v);
    scratch_remove(path);
}

static void two_writers(void **state)
{
    char *path = scratch_make(), pid[64], byte = 0;
    cts_index *ix = index_make(path, DIM), *other = NULL;
    cts_index_options o = {.dim = DIM};
    int ready[2], go[2], status;
    pid_t child;

    (void)state;
    FAILS(CTS_E_BUSY, "open already", cts_index_open(&other, path, true, 0));
    FAILS(CTS_E_BUSY, "open already", cts_index_open(&other, path, false, 0));
    cts_index_close(ix);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    if ((child = fork()) == 0) {
        int rc = cts_index_open(&ix, path, true, 0);

        if (write(ready[1], "r", 1) != 1 || read(go[0], &byte, 1) != 1)
            rc = CTS_E_IO;
        _exit(rc); /* without closing: the lock must die with the process */
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    snprintf(pid, sizeof(pid), "(process %ld)", (long)child);
    FAILS(CTS_E_BUSY, pid, cts_index_open(&other, path, true, 0));
    FAILS(CTS_E_BUSY, path, cts_index_create(&other, path, &o));
    OK(cts_index_open(&other, path, false, 0)); /* readers never wait */
    FAILS(CTS_E_INPUT, "reading only", items_add(other, 0, 1, (float[DIM]){1.0f}, NULL, false, NULL));
    cts_index_close(other);
    assert_int_equal(write(go[1], "g", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    OK(cts_index_open(&other, path, true, 0));
    cts_index_close(other);
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(go[i]);
    }
    scratch_remove(path);
}

static void file_write(const char *path, const char *name, const void *p, size_t n)
{
    char *full = cts_path_join(path, name);

    OK(cts_file_write_atomic(full, p, n));
    free(full);
}

static void not_an_index(void **state)
{
    char *path = scratch_make(), *data = cts_path_join(path, "data.mdb"), *copy = NULL, garbage[20000];
    float *v = vectors_make(SEED, 2000, DIM, 0);
    cts_index_options o = {.dim = 0};
    cts_index *ix = NULL;
    cts_rng rng = cts_rng_make(SEED);
    size_t n = 0;
    struct stat sb;

    (void)state;
    FAILS(CTS_E_NOTFOUND, "data.mdb is missing", cts_index_open(&ix, path, false, 0));
    FAILS(CTS_E_INPUT, "dimension 0", cts_index_create(&ix, path, &o));
    for (size_t i = 0; i < sizeof(garbage); i++)
        garbage[i] = (char)cts_rng_next(&rng);
    for (int write_too = 0; write_too < 2; write_too++) {
        file_write(path, "data.mdb", garbage, sizeof(garbage));
        FAILS(CTS_E_FORMAT, "not an LMDB file", cts_index_open(&ix, path, write_too, 0));
        file_write(path, "data.mdb", garbage, 100);
        FAILS(CTS_E_FORMAT, "not an LMDB file", cts_index_open(&ix, path, write_too, 0));
    }
    file_write(path, "data.mdb", "", 0);
    assert_int_not_equal(cts_index_open(&ix, path, false, 0), CTS_OK);
    FAILS(CTS_E_FORMAT, "creation interrupted", cts_index_open(&ix, path, true, 0));
    ix = index_make(path, DIM); /* what an interrupted creation left may be created again */
    OK(items_add(ix, 0, 2000, v, v, false, NULL));
    cts_index_close(ix);
    o.dim = DIM;
    FAILS(CTS_E_INPUT, "there is an index here already", cts_index_create(&ix, path, &o));
    /* cut off at every tenth of what the disk holds: refused, and never a signal */
    OK(cts_file_read(&copy, &n, data, 1u << 30));
    assert_int_equal(stat(data, &sb), 0);
    assert_true((size_t)sb.st_blocks * 512 <= n);
    for (int tenth = 9; tenth >= 1; tenth--) {
        file_write(path, "data.mdb", copy, (size_t)sb.st_blocks * 512 / 10 * (size_t)tenth);
        FAILS(CTS_E_FORMAT, "cut off", cts_index_open(&ix, path, tenth % 2, 0));
    }
    file_write(path, "data.mdb", copy, n);
    OK(cts_index_open(&ix, path, false, 0));
    index_verify(ix);
    cts_index_close(ix);
    free(copy);
    free(data);
    free(v);
    scratch_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip), cmocka_unit_test(update_and_remove), cmocka_unit_test(bad_items),
        cmocka_unit_test(mismatch),   cmocka_unit_test(map_growth),        cmocka_unit_test(map_limit),
        cmocka_unit_test(disk_full),  cmocka_unit_test(two_writers),       cmocka_unit_test(not_an_index),
    };

    print_message("seed %u\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
