/* SIGKILL at random moments of a writing process: what it had acknowledged is there, whole, and what it had not is
 * there whole or not at all.
 * SPDX-License-Identifier: MIT */
#include "tests/index/index_support.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SEED 51u
#define DIM 64
#define BATCH 40
#define KILLS 20

static const char *const factories[2] = {"IVF8,Flat", "HNSW8"};

/* Step s of the writer. Steps 0, 1 of every three add a batch; step 2 updates the batch of step 0 with other vectors
 * and removes the first half of the batch of step 1. That is two transactions; the second is acknowledged with the
 * step. */
static float *step_vectors(size_t s)
{
    return vectors_make(cts_rng_split(SEED, s), BATCH, DIM, 0);
}

static int step_do(cts_index *ix, size_t s, bool removal_too)
{
    float *v = step_vectors(s);
    uint64_t ids[BATCH / 2];
    char name[32];
    int rc;

    if (s % 3 != 2) {
        rc = items_add(ix, s * BATCH, BATCH, v, v, false, NULL);
    } else {
        rc = items_add(ix, (s - 2) * BATCH, BATCH, v, NULL, true, NULL);
        for (size_t i = 0; i < BATCH / 2 && rc == CTS_OK && removal_too; i++) {
            snprintf(name, sizeof(name), "scan_%zu", (s - 1) * BATCH + i);
            rc = cts_index_find(ix, name, &ids[i]);
        }
        if (rc == CTS_OK && removal_too)
            rc = cts_index_remove(ix, ids, BATCH / 2);
    }
    free(v);
    return rc;
}

/* Is the store what it is after `steps` steps and, with `half`, the update but not the removal of the next? Compares
 * vectors, not only names. */
static bool state_is(cts_index *ix, size_t steps, bool half)
{
    cts_index_stat stat;
    size_t want = 0;
    float got[DIM];
    bool same = true;

    for (size_t s = 0; s < steps + half && same; s++) {
        float *v = step_vectors(s);
        bool updated = s % 3 == 0 && s + 2 < steps + half, cut = s % 3 == 1 && s + 1 < steps;

        if (s % 3 != 2)
            want += cut ? BATCH / 2 : BATCH;
        for (size_t i = 0; i < BATCH && same && !updated; i++) {
            uint64_t id = 0;
            char name[32];
            int rc;

            snprintf(name, sizeof(name), "scan_%zu", (s % 3 == 2 ? s - 2 : s) * BATCH + i);
            rc = cts_index_find(ix, name, &id);
            if (cut && i < BATCH / 2)
                same = rc == CTS_E_NOTFOUND;
            else
                same = rc == CTS_OK && cts_index_vector(ix, id, CTS_SPACE_IMAGE, got) == CTS_OK &&
                       memcmp(got, v + i * DIM, sizeof(got)) == 0;
        }
        free(v);
    }
    OK(cts_index_stats(ix, &stat));
    return same && stat.store.n_items == want;
}

/* Run `child` in a process of its own, kill it after a random time of up to max_ms, return how many steps it
 * acknowledged. With `opened` the time starts at the byte that says that the child has the index open. */
static size_t run_and_kill(void (*child)(const char *path, size_t from, int ack), const char *path, size_t from,
                           cts_rng *rng, int max_ms, bool opened)
{
    uint64_t ns = cts_rng_below(rng, (uint64_t)max_ms * 1000000);
    struct timespec pause = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    int fd[2], status;
    char buffer[4096];
    size_t acked = 0;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe(fd), 0);
    if ((pid = fork()) == 0) {
        close(fd[0]);
        child(path, from, fd[1]);
        _exit(9);
    }
    close(fd[1]);
    if (opened)
        assert_int_equal(read(fd[0], buffer, 1), 1);
    nanosleep(&pause, NULL);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status))
        fail_msg("the writer ended by itself with status %d", status);
    while ((n = read(fd[0], buffer, sizeof(buffer))) > 0)
        acked += (size_t)n;
    close(fd[0]);
    return acked;
}

static void adder(const char *path, size_t from, int ack)
{
    cts_index *ix = NULL;

    if (cts_index_open(&ix, path, true, 0) != CTS_OK || write(ack, "o", 1) != 1) {
        fprintf(stderr, "writer: %s\n", cts_error());
        return;
    }
    for (size_t s = from;; s++)
        if (step_do(ix, s, true) != CTS_OK || write(ack, "s", 1) != 1) {
            fprintf(stderr, "writer, step %zu: %s\n", s, cts_error());
            return;
        }
}

static void kills_while_adding(void **state)
{
    char *path = scratch_make();
    cts_rng rng = cts_rng_make(SEED);
    cts_index_options o = {.dim = DIM, .map_bytes = 256 << 10}; /* small: kills hit map growth too */
    cts_index *ix = NULL;
    size_t done = 0, extra = 0;

    (void)state;
    OK(cts_index_create(&ix, path, &o));
    cts_index_close(ix);
    for (int kill_no = 0; kill_no < KILLS; kill_no++) {
        size_t acked = run_and_kill(adder, path, done, &rng, 150, true);
        size_t steps = done + acked;

        OK(cts_index_open(&ix, path, true, 0));
        index_verify(ix);
        if (state_is(ix, steps + 1, false)) { /* committed, not yet acknowledged */
            steps++;
            extra++;
        } else if (steps % 3 == 2 && state_is(ix, steps, true)) {
            OK(step_do(ix, steps, true)); /* killed between its two transactions: do the step again, as a user would */
            assert_true(state_is(ix, ++steps, false));
            extra++;
        } else if (!state_is(ix, steps, false)) {
            fail_msg("kill %d: the index is in none of the states it may be in after %zu steps", kill_no, steps);
        }
        cts_index_close(ix);
        done = steps;
    }
    print_message("%d kills, %zu steps, %zu of them committed and not acknowledged\n", KILLS, done, extra);
    assert_true(done > 0);
    scratch_remove(path);
}

static void builder(const char *path, size_t from, int ack)
{
    cts_index *ix = NULL;

    if (cts_index_open(&ix, path, true, 0) != CTS_OK || write(ack, "o", 1) != 1) {
        fprintf(stderr, "builder: %s\n", cts_error());
        return;
    }
    for (size_t s = from;; s++) {
        cts_index_build_options o = {.factory = factories[s % 2], .recall_queries = 5};
        char name[32];

        /* a removal before each build, so that every build compacts as well */
        snprintf(name, sizeof(name), "scan_%zu", s);
        if (cts_index_remove_name(ix, name) != CTS_OK || cts_index_build(ix, CTS_SPACE_IMAGE, &o, NULL) != CTS_OK ||
            write(ack, "b", 1) != 1) {
            fprintf(stderr, "builder, step %zu: %s\n", s, cts_error());
            return;
        }
    }
}

static void kills_while_building(void **state)
{
    enum { n = 2500 };
    char *path = scratch_make();
    float *v = vectors_make(SEED, n, DIM, 0);
    cts_rng rng = cts_rng_make(SEED + 1);
    cts_index *ix = index_make(path, DIM);
    cts_index_build_result r;
    size_t done = 0, built = 0; /* a removal may be committed and its build not */

    (void)state;
    OK(items_add(ix, 0, n, v, v, false, NULL));
    OK(cts_index_build(ix, CTS_SPACE_IMAGE, &(cts_index_build_options){.factory = factories[1], .recall_queries = 5},
                       &r));
    cts_index_close(ix);
    for (int kill_no = 0; kill_no < KILLS; kill_no++) {
        /* up to two builds as long as the first one, however slow this machine is just now */
        size_t acked = run_and_kill(builder, path, done, &rng, 50 + (int)(2000 * fmin(r.seconds, 5)), true), hits_n[3];
        cts_index_query q = {.queries = v, .n_queries = 3, .k = 10};
        cts_index_search_info info;
        cts_index_hit hits[30];
        cts_index_stat s;

        done += acked;
        built += acked;
        OK(cts_index_open(&ix, path, false, 0));
        index_verify(ix);
        OK(cts_index_stats(ix, &s));
        assert_true(s.store.n_items == n - done || s.store.n_items == n - done - 1);
        assert_true(s.has_ann[CTS_SPACE_IMAGE]);
        OK(cts_index_search(ix, &q, hits, hits_n, &info));
        assert_string_equal(info.note, "");
        assert_false(info.exact);
        cts_index_close(ix);
        done = n - (size_t)s.store.n_items;
    }
    print_message("%d kills, %zu builds finished\n", KILLS, built);
    free(v);
    scratch_remove(path);
}

/* Killed while it creates: the folder can be created again, or opens. */
static void creator(const char *path, size_t from, int ack)
{
    cts_index_options o = {.dim = DIM};
    cts_index *ix = NULL;

    (void)from;
    if (cts_index_create(&ix, path, &o) != CTS_OK)
        return;
    if (write(ack, "c", 1) == 1)
        pause();
}

static void kills_while_creating(void **state)
{
    cts_rng rng = cts_rng_make(SEED + 2);
    int finished = 0;

    (void)state;
    for (int kill_no = 0; kill_no < KILLS; kill_no++) {
        char *path = scratch_make();
        cts_index *ix = NULL;
        size_t acked = run_and_kill(creator, path, 0, &rng, 8, false);
        int rc = cts_index_open(&ix, path, true, 0);

        if (acked)
            assert_int_equal(rc, CTS_OK);
        if (rc != CTS_OK)
            ix = index_make(path, DIM);
        else
            finished++;
        index_verify(ix);
        cts_index_close(ix);
        scratch_remove(path);
    }
    print_message("%d kills, %d creations had been committed\n", KILLS, finished);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kills_while_adding),
        cmocka_unit_test(kills_while_building),
        cmocka_unit_test(kills_while_creating),
    };

    print_message("seed %u\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
