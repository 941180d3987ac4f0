/* Training checkpoints: round trip, the latest whole one, how many are kept. SPDX-License-Identifier: MIT */
#include "encoders/checkpoint.h"

#include <signal.h>
#include <sys/wait.h>

#include "kernels/base/log.h"
#include "tests/support/scratch.h"

static json_t *info_of(int64_t step)
{
    return json_pack("{s:I, s:{s:s}, s:[i,i]}", "samples", (json_int_t)(8 * step), "rng", "key", "18446744073709551615",
                     "order", 3, 1);
}

static int save(const char *dir, int64_t step, const cts_clip *m, int keep)
{
    float a[3] = {(float)step, 0.25f, -1}, b[1] = {1e-30f};
    const cts_checkpoint_array arrays[2] = {{"m.x", 3, a}, {"v.x", 1, b}};
    json_t *info = info_of(step);
    int rc = cts_checkpoint_save(NULL, dir, step, m->params, arrays, 2, info, keep);

    json_decref(info);
    return rc;
}

static void test_round_trip(void **state)
{
    cts_clip *m = cts_scratch_pair(3, false, 8), *r = cts_scratch_pair(4, false, 8);
    cts_checkpoint *c = NULL;
    json_t *want = info_of(40);
    char *path = NULL;
    float v[3];

    (void)state;
    MUST(save(cts_scratch("run"), 40, m, 0));
    MUST(cts_checkpoint_latest(&path, cts_scratch("run")));
    assert_non_null(strstr(path, "/checkpoint-40.safetensors"));
    MUST(cts_checkpoint_open(&c, path));
    assert_int_equal(cts_checkpoint_step(c), 40);
    assert_true(json_equal(cts_checkpoint_info(c), want));
    assert_false(cts_same_params(m->params, r->params));
    MUST(cts_checkpoint_params(c, r->params));
    assert_true(cts_same_params(m->params, r->params));
    assert_true(cts_checkpoint_has(c, "m.x"));
    assert_false(cts_checkpoint_has(c, "x"));
    MUST(cts_checkpoint_read(c, "m.x", v, 3));
    assert_true(v[0] == 40 && v[1] == 0.25f && v[2] == -1);
    cts_assert_refused(cts_checkpoint_read(c, "m.x", v, 2), CTS_E_MISMATCH, "m.x has 3");
    cts_assert_refused(cts_checkpoint_read(c, "m.y", v, 3), CTS_E_MISMATCH, "m.y is missing");
    cts_checkpoint_close(c);
    free(path);
    json_decref(want);
    cts_clip_destroy(m);
    cts_clip_destroy(r);
}

/* A model of another width is not loaded, and stays as it was. */
static void test_other_model(void **state)
{
    cts_clip *m = cts_scratch_pair(3, false, 8), *other = cts_scratch_pair(4, false, 12),
             *same = cts_scratch_pair(4, false, 12);
    cts_checkpoint *c = NULL;

    (void)state;
    MUST(save(cts_scratch("other"), 1, m, 0));
    MUST(cts_checkpoint_open(&c, cts_scratch("other/checkpoint-1.safetensors")));
    cts_assert_refused(cts_checkpoint_params(c, other->params), CTS_E_MISMATCH, "text_transformer");
    assert_true(cts_same_params(other->params, same->params));
    cts_checkpoint_close(c);
    cts_clip_destroy(m);
    cts_clip_destroy(other);
    cts_clip_destroy(same);
}

static void no_log(void *ctx, cts_log_level level, const char *line)
{
    (void)level;
    (void)line;
    ++*(int *)ctx;
}

static void test_latest_and_keep(void **state)
{
    cts_clip *m = cts_scratch_pair(3, false, 8);
    char *path = NULL, **names = NULL;
    int lines = 0;
    size_t n = 0;

    (void)state;
    assert_int_equal(cts_checkpoint_latest(&path, cts_scratch("keep")), CTS_E_NOTFOUND);
    MUST(cts_mkdir_p(cts_scratch("keep")));
    assert_int_equal(cts_checkpoint_latest(&path, cts_scratch("keep")), CTS_E_NOTFOUND);
    cts_scratch_write(cts_scratch("keep/checkpoint-7.safetensors.tmp.1.2"), "x", 1); /* a killed run's */
    for (int64_t s = 8; s <= 11; s++)
        MUST(save(cts_scratch("keep"), s, m, 2));
    MUST(cts_dir_list(&names, &n, cts_scratch("keep")));
    assert_int_equal(n, 2);
    assert_string_equal(names[0],
                        "checkpoint-10.safetensors"); /* 10 before 9 is bytewise: steps are compared as numbers */
    assert_string_equal(names[1], "checkpoint-11.safetensors");
    cts_list_free(names, n);

    /* a torn newest file is passed over */
    cts_scratch_write(cts_scratch("keep/checkpoint-12.safetensors"), "torn", 4);
    cts_scratch_write(cts_scratch("keep/checkpoint-x.safetensors"), "", 0);
    cts_log_set_callback(no_log, &lines);
    MUST(cts_checkpoint_latest(&path, cts_scratch("keep")));
    cts_log_set_callback(NULL, NULL);
    assert_int_equal(lines, 1);
    assert_non_null(strstr(path, "checkpoint-11."));
    free(path);
    MUST(cts_checkpoint_latest(&path, cts_scratch("keep/checkpoint-10.safetensors")));
    assert_non_null(strstr(path, "checkpoint-10."));
    free(path);
    cts_clip_destroy(m);
}

static void test_wrong_kind_of_file(void **state)
{
    const float v[1] = {1};
    const cts_st_tensor t = {"v", CTS_ST_F32, 1, {1}, 1, (const uint8_t *)v};
    json_t *meta = json_pack("{s:s, s:s, s:s}", "format", "ctsearch-checkpoint", "step", "12x", "info", "{}");
    cts_checkpoint *c = NULL;

    (void)state;
    MUST(cts_safetensors_write(cts_scratch("w.safetensors"), 1, &t, NULL));
    cts_assert_refused(cts_checkpoint_open(&c, cts_scratch("w.safetensors")), CTS_E_FORMAT, "format");
    MUST(cts_safetensors_write(cts_scratch("w.safetensors"), 1, &t, meta));
    cts_assert_refused(cts_checkpoint_open(&c, cts_scratch("w.safetensors")), CTS_E_FORMAT, "12x");
    json_object_set_new(meta, "step", json_string("12"));
    json_object_set_new(meta, "info", json_string("[1]"));
    MUST(cts_safetensors_write(cts_scratch("w.safetensors"), 1, &t, meta));
    cts_assert_refused(cts_checkpoint_open(&c, cts_scratch("w.safetensors")), CTS_E_FORMAT, "info");
    json_object_del(meta, "info");
    MUST(cts_safetensors_write(cts_scratch("w.safetensors"), 1, &t, meta));
    cts_assert_refused(cts_checkpoint_open(&c, cts_scratch("w.safetensors")), CTS_E_FORMAT, "info");
    assert_null(c);
    json_decref(meta);
}

/* Twenty SIGKILLs in the middle of saving: the latest checkpoint is always whole, and never older than the last that
 * was finished. */
static void test_kill(void **state)
{
    cts_clip *m = cts_scratch_pair(3, false, 8);
    uint64_t seed = 20251122;
    int64_t done = 0;

    (void)state;
    print_message("kill seed %llu\n", (unsigned long long)seed);
    MUST(save(cts_scratch("kill"), 0, m, 2));
    for (int k = 0; k < 20; k++) {
        int pipe_fd[2];
        int64_t step;
        cts_checkpoint *c = NULL;
        char *path = NULL;
        pid_t pid;

        assert_int_equal(pipe(pipe_fd), 0);
        if ((pid = fork()) == 0) {
            for (step = done + 1;; step++)
                if (save(cts_scratch("kill"), step, m, 2) != CTS_OK ||
                    write(pipe_fd[1], &step, sizeof step) != sizeof step)
                    _exit(1);
        }
        assert_true(pid > 0);
        close(pipe_fd[1]);
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        usleep((useconds_t)(2000 + (seed >> 33) % 30000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        while (read(pipe_fd[0], &step, sizeof step) == sizeof step)
            done = step; /* promised */
        close(pipe_fd[0]);
        MUST(cts_checkpoint_latest(&path, cts_scratch("kill")));
        MUST(cts_checkpoint_open(&c, path));
        assert_true(cts_checkpoint_step(c) >= done);
        done = cts_checkpoint_step(c);
        MUST(cts_checkpoint_params(c, m->params));
        cts_checkpoint_close(c);
        free(path);
    }
    print_message("%lld checkpoints written\n", (long long)done);
    cts_clip_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_other_model),
        cmocka_unit_test(test_latest_and_keep),
        cmocka_unit_test(test_wrong_kind_of_file),
        cmocka_unit_test(test_kill),
    };

    return cmocka_run_group_tests_name("checkpoint", tests, cts_scratch_make, cts_scratch_remove);
}
