/* `index add` killed (SIGKILL) or stopped (SIGINT) at 20 random moments: the index always passes its check, what was
 * committed stays, whole batches only after a kill, and the same command goes on until everything is there.
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "kernels/base/log.h"
#include "kernels/base/rng.h"
#include "query/ingest.h"
#include "tests/support/program.h"

#define SEED 77
#define N 96 /* three batches */
#define KILLS 20

static int64_t items(void)
{
    json_t *j;
    int64_t n;

    if (cts_program_run("index verify k.index --json"))
        fail_msg("the index is damaged: %s", cts_program_err());
    j = cts_program_json();
    n = json_integer_value(cts_json_at(j, "items"));
    assert_int_equal(json_integer_value(cts_json_at(j, "vectors.image")), n);
    assert_int_equal(json_integer_value(cts_json_at(j, "vectors.text")), n);
    json_decref(j);
    return n;
}

/* Run the add until `seconds` have passed, then send `sig`; the wait status. What it says goes to the file "said". */
static int add_until(double seconds, int sig)
{
    struct timespec nap = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    int status;
    pid_t pid;

    pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        int said = chdir(cts_program_dir()) ? -1 : open("said", O_WRONLY | O_CREAT | O_TRUNC, 0644);

        if (said < 0 || dup2(said, 1) < 0 || dup2(said, 2) < 0)
            _exit(99);
        execl(cts_program_path(), "ctsearch", "index", "add", "k.index", "--reports", "set/reports.csv", "--volumes",
              "set/volumes", (char *)NULL);
        _exit(99);
    }
    nanosleep(&nap, NULL);
    kill(pid, sig);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void test_kills(void **state)
{
    cts_rng rng = cts_rng_make(SEED);
    int kills = 0, stops = 0;
    int64_t before = 0;
    double whole;

    (void)state;
    print_message("seed %d\n", SEED);
    whole = cts_now();
    assert_int_equal(
        cts_program_run("index create whole.index --model run --reports set/reports.csv --volumes set/volumes"), 0);
    whole = cts_now() - whole;
    assert_int_equal(cts_program_run("index create k.index --model run"), 0);
    for (int round = 0; round < KILLS; round++) {
        int sig = round % 3 == 2 ? SIGINT : SIGKILL, status = add_until(cts_rng_range(&rng, 0.0, whole), sig);
        int64_t now = items();

        if (now < before)
            fail_msg("round %d: %lld items, %lld before", round, (long long)now, (long long)before);
        if (WIFSIGNALED(status)) { /* the last batch is smaller where a stop put its remainder in before */
            assert_int_equal(WTERMSIG(status), sig);
            assert_true(now == N || (now - before) % CTS_INGEST_BATCH == 0);
            kills++;
        } else if (WEXITSTATUS(status) == 130) {
            assert_int_equal(cts_program_shell("grep -q 'are kept' said"), 0);
            stops++;
        } else {
            assert_int_equal(WEXITSTATUS(status), 0); /* it was done before the signal came */
            assert_int_equal(now, N);
        }
        before = now;
        if (now == N) {
            assert_int_equal(cts_program_shell("rm -r k.index"), 0);
            assert_int_equal(cts_program_run("index create k.index --model run"), 0);
            before = 0;
        }
    }
    print_message("%d killed, %d stopped\n", kills, stops);
    assert_true(kills > 0);
    assert_int_equal(cts_program_run("index add k.index --reports set/reports.csv --volumes set/volumes"), 0);
    assert_int_equal(items(), N);
}

static int setup(void **state)
{
    if (cts_program_setup(state))
        return -1;
    if (cts_program_run("phantom --count %d --size 24,24,20 --seed 3 --out set --quiet", N) ||
        cts_program_run("train clip --quiet --size 20,24,24 --steps 1 --batch 4 --latent 32 --reports set/reports.csv "
                        "--volumes set/volumes --out run")) {
        print_error("setup: %s\n", cts_program_err());
        return -1;
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kills)};

    return cmocka_run_group_tests(tests, setup, cts_program_teardown);
}
