/* The contrastive loop: overfitting, resume to the bit, skipped volumes, interruption, the learning-rate schedule
 * and the order of pairs.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "encoders/model_dir.h"
#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "kernels/base/log.h"
#include "kernels/base/rng.h"
#include "kernels/base/signal.h"
#include "kernels/base/status.h"
#include "train/clip_trainer.h"
#include "train/order.h"

#define SEED 20251122u
#define VOCAB 40
#define MAX_STEPS 256

/* A pair of small towers on volumes of 16 x 12 x 20 voxels. */
static const char model_json[] = "{\"format\": \"ctsearch-clip\", \"version\": 1, \"latent_dim\": 16, \"temperature\": "
                                 "{\"kind\": \"learned\", \"value\": 1.5},"
                                 "\"image\": {\"encoder\": \"dcformer\", \"config\": {\"num_blocks\": [1, 1, 1, 1, 1], "
                                 "\"channels\": [8, 8, 8, 16, 16], \"kernel_sizes\": [5, 3, 3, 3],"
                                 " \"reduction\": \"channel\", \"quantize\": %s, \"codebook_size\": 24}},"
                                 "\"text\": {\"encoder\": \"bert\", \"config\": {\"vocab_size\": 40, \"hidden_size\": "
                                 "16, \"num_hidden_layers\": 1, \"num_attention_heads\": 2,"
                                 " \"intermediate_size\": 32, \"max_position_embeddings\": 16, \"type_vocab_size\": 2, "
                                 "\"hidden_dropout_prob\": 0.1, \"attention_probs_dropout_prob\": 0.1}}}";

typedef struct {
    int64_t n, bad; /* record `bad` cannot be loaded; -1 = none */
    double loss[MAX_STEPS];
    int64_t negatives[MAX_STEPS];
    int n_steps, interrupt_at, validations;
} world;

static int load(void *ctx, int64_t record, float *v)
{
    const world *w = ctx;
    uint64_t key = cts_rng_split(SEED, (uint64_t)record);

    if (record == w->bad)
        return cts_fail(CTS_E_FORMAT, "record-%lld.nii.gz: damaged on purpose", (long long)record);
    for (int64_t i = 0; i < 16 * 12 * 20; i++)
        v[i] = (float)(2.0 * cts_rng_unit_at(key, (uint64_t)i / 64) - 1.0);
    return CTS_OK;
}

static int32_t text(void *ctx, int64_t record, uint64_t draw, int32_t *ids, int32_t max_tokens)
{
    int32_t n = 3 + (int32_t)(record % 4);

    (void)ctx;
    (void)draw;
    assert_true(max_tokens >= n);
    for (int32_t i = 0; i < n; i++)
        ids[i] = (int32_t)(cts_rng_at(SEED + (uint64_t)record, (uint64_t)i) % VOCAB);
    return n;
}

static uint64_t text_key(void *ctx, int64_t record)
{
    (void)ctx;
    return (uint64_t)record;
}

static void on_step(void *ctx, const cts_step_report *r)
{
    world *w = ctx;

    assert_true(w->n_steps < MAX_STEPS);
    w->negatives[w->n_steps] = r->negatives;
    w->loss[w->n_steps++] = r->loss;
    if (r->step == w->interrupt_at)
        cts_interrupt();
}

static int on_validate(void *ctx, int64_t step, json_t *into)
{
    world *w = ctx;

    (void)step;
    w->validations++;
    return json_object_set_new(into, "val_loss", json_real(1.0)) ? CTS_E_NOMEM : CTS_OK;
}

static json_t *make_config_json(bool quantize)
{
    char text[sizeof model_json + 8];
    json_t *j = NULL;

    snprintf(text, sizeof text, model_json, quantize ? "true" : "false");
    assert_int_equal(cts_json_parse(&j, text, strlen(text), "test model"), CTS_OK);
    return j;
}

static cts_clip *make_model_with(bool quantize)
{
    cts_clip_config c = {0};
    cts_clip *m = NULL;
    json_t *j = make_config_json(quantize);

    if (cts_clip_config_parse(&c, j, "test model"))
        fail_msg("%s", cts_error());
    assert_int_equal(cts_clip_create_init(&m, &c, SEED), CTS_OK);
    json_decref(j);
    return m;
}

static cts_clip *make_model(void)
{
    return make_model_with(false);
}

static cts_clip_train_config make_config(int64_t steps)
{
    return (cts_clip_train_config){
        .loss = CTS_LOSS_INFONCE,
        .max_tokens = 16,
        .loop = {.adamw = {0.9, 0.98, 1e-6, 0.01, 1.0},
                 .schedule = {.kind = CTS_SCHEDULE_COSINE, .lr = 3e-3, .min_lr = 1e-4, .warmup = 5, .steps = steps},
                 .batch = 8,
                 .accumulate = 1,
                 .shuffle = true,
                 .seed = SEED,
                 .loader_threads = 2,
                 .cache_bytes = 1 << 20,
                 .keep = 2,
                 .data_digest = "test"}};
}

static int train(cts_clip *m, world *w, const cts_clip_train_config *c, int threads, cts_train_result *result)
{
    cts_pairs pairs = {.n = w->n, .volume = {16, 12, 20}, .load = load, .text = text, .text_key = text_key, .ctx = w};
    cts_train_hooks hooks = {.step = on_step, .validate = on_validate, .ctx = w};
    cts_pool *pool = NULL;
    cts_backend *b = NULL;
    int rc;

    w->n_steps = 0;
    assert_int_equal(cts_pool_create(&pool, threads), CTS_OK);
    assert_int_equal(cts_backend_create(&b, "cpu", pool), CTS_OK);
    rc = cts_clip_train(m, &pairs, c, &hooks, b, result);
    cts_backend_destroy(b);
    cts_pool_destroy(pool);
    return rc;
}

static char *scratch_dir(void)
{
    char *dir = strdup("/tmp/ctsearch-trainer-XXXXXX");

    assert_non_null(mkdtemp(dir));
    return dir;
}

static void test_overfits_eight_pairs(void **state)
{
    world w = {.n = 8, .bad = -1};
    cts_clip_train_config c = make_config(200);
    cts_train_result r;
    cts_clip *m = make_model();

    (void)state;
    if (train(m, &w, &c, 2, &r))
        fail_msg("%s", cts_error());
    printf("loss %.4f -> %.4f in %lld steps, planned peak %.1f MB\n", r.first_loss, r.last_loss,
           (long long)r.steps_done, (double)r.peak_bytes / 1e6);
    assert_true(r.first_loss > 1.0);
    assert_true(r.last_loss < 0.05);
    assert_int_equal(w.negatives[0], 7);
    assert_int_equal(w.validations, 1);
    cts_clip_destroy(m);
}

/* 12 steps at once, and 7 steps, an interruption, and the rest in a new process's place. */
static void resume_is_bit_equal(bool quantize)
{
    world whole = {.n = 21, .bad = -1}, part = {.n = 21, .bad = -1, .interrupt_at = 7}, rest = {.n = 21, .bad = -1};
    cts_clip_train_config c = make_config(12);
    cts_clip *a = make_model_with(quantize), *b = make_model_with(quantize), *d = make_model_with(quantize);
    cts_train_result r;
    char *dir = scratch_dir();

    c.loop.accumulate = 2;
    c.loop.cache_bytes = 0;
    assert_int_equal(train(a, &whole, &c, 2, &r), CTS_OK);
    c.loop.dir = dir;
    assert_int_equal(train(b, &part, &c, 2, &r), CTS_E_INTERRUPTED);
    cts_interrupt_clear();
    assert_int_equal(part.n_steps, 7);
    c.loop.resume = true;
    if (train(d, &rest, &c, 2, &r))
        fail_msg("%s", cts_error());
    assert_int_equal(rest.n_steps, 5);
    for (int i = 0; i < 12; i++)
        assert_memory_equal(&whole.loss[i], i < 7 ? &part.loss[i] : &rest.loss[i - 7], sizeof(double));
    for (int i = 0; i < cts_params_n(a->params); i++)
        assert_memory_equal(cts_params_get(a->params, i)->data, cts_params_get(d->params, i)->data,
                            (size_t)cts_params_get(a->params, i)->count * sizeof(float));

    c.loop.seed = SEED + 1; /* another run's options are refused */
    assert_int_equal(train(d, &rest, &c, 2, &r), CTS_E_MISMATCH);
    c.loop.seed = SEED;
    c.loop.data_digest = "other data";
    assert_int_equal(train(d, &rest, &c, 2, &r), CTS_E_MISMATCH);
    printf("%s\n", cts_error());
    cts_clip_destroy(a);
    cts_clip_destroy(b);
    cts_clip_destroy(d);
    assert_int_equal(cts_remove_tree(dir), CTS_OK);
    free(dir);
}

static void test_resume_is_bit_equal(void **state)
{
    (void)state;
    resume_is_bit_equal(false);
}

/* The code book is state: a checkpoint carries it, and training had moved it. */
static void test_resume_with_a_quantiser(void **state)
{
    const char *name = "visual_transformer.vq._codebook.embed";
    cts_clip *before = make_model_with(true), *after = make_model_with(true);
    world w = {.n = 16, .bad = -1};
    cts_clip_train_config c = make_config(3);
    cts_train_result r;
    const cts_param *p = cts_params_get(before->params, cts_params_find(before->params, name));
    const cts_param *q = cts_params_get(after->params, cts_params_find(after->params, name));

    (void)state;
    resume_is_bit_equal(true);
    assert_memory_equal(p->data, q->data, (size_t)p->count * sizeof(float));
    assert_int_equal(train(after, &w, &c, 2, &r), CTS_OK);
    assert_memory_not_equal(p->data, q->data, (size_t)p->count * sizeof(float));
    cts_clip_destroy(before);
    cts_clip_destroy(after);
}

static void test_log_has_each_step_once_after_a_resume(void **state)
{
    world w = {.n = 16, .bad = -1, .interrupt_at = 4};
    cts_clip_train_config c = make_config(6);
    cts_clip *m = make_model(), *k = make_model();
    cts_train_result r;
    char *dir = scratch_dir(), *path = cts_path_join(dir, "log.jsonl"), *textual = NULL;
    int64_t steps = 0, want = 1;
    size_t n;

    (void)state;
    c.loop.dir = dir;
    c.loop.save_every = 3;
    assert_int_equal(train(m, &w, &c, 1, &r), CTS_E_INTERRUPTED);
    cts_interrupt_clear();
    c.loop.resume = true;
    w.interrupt_at = 0;
    assert_int_equal(train(k, &w, &c, 1, &r), CTS_OK);
    assert_int_equal(cts_file_read(&textual, &n, path, 1 << 20), CTS_OK);
    for (char *line = strtok(textual, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *j = json_loads(line, 0, NULL);

        assert_non_null(j);
        if (json_object_get(j, "lr")) {
            assert_int_equal(json_integer_value(json_object_get(j, "step")), want++);
            assert_int_equal(json_integer_value(json_object_get(j, "negatives")), 7);
            steps++;
        }
        json_decref(j);
    }
    assert_int_equal(steps, 6);
    free(textual);
    free(path);
    cts_clip_destroy(m);
    cts_clip_destroy(k);
    assert_int_equal(cts_remove_tree(dir), CTS_OK);
    free(dir);
}

static void test_bad_volume_is_skipped_and_counted(void **state)
{
    world w = {.n = 16, .bad = 5};
    cts_clip_train_config c = make_config(6);
    cts_clip *m = make_model();
    cts_train_result r;
    int smaller = 0;

    (void)state;
    cts_log_set_quiet(true);
    assert_int_equal(train(m, &w, &c, 2, &r), CTS_OK);
    cts_log_set_quiet(false);
    assert_int_equal(r.skipped, 1);
    for (int i = 0; i < w.n_steps; i++)
        smaller += w.negatives[i] == 6;
    assert_int_equal(smaller, 3); /* one of the two batches of each of three epochs */
    cts_clip_destroy(m);
}

static void test_too_few_pairs(void **state)
{
    world w = {.n = 7, .bad = -1};
    cts_clip_train_config c = make_config(2);
    cts_clip *m = make_model();
    cts_train_result r;

    (void)state;
    assert_int_equal(train(m, &w, &c, 1, &r), CTS_E_INPUT);
    cts_clip_destroy(m);
}

/* A model that lies in its mapped file trains as one in memory does, and the file stays as it is. */
static void test_mapped_model(void **state)
{
    world a = {.n = 9, .bad = -1}, b = {.n = 9, .bad = -1};
    cts_clip_train_config c = make_config(4);
    char *dir = scratch_dir(), *weights = cts_path_join(dir, "model.safetensors");
    char before[CTS_DIGEST_HEX], after[CTS_DIGEST_HEX];
    cts_clip *m = make_model();
    cts_model *mapped = NULL;
    cts_train_result r;

    (void)state;
    assert_int_equal(cts_model_dir_save(dir, m, NULL, NULL), CTS_OK);
    assert_int_equal(cts_digest_file(before, weights), CTS_OK);
    assert_int_equal(cts_model_dir_load(&mapped, dir), CTS_OK);
    assert_true(cts_params_get(mapped->clip->params, 0)->borrowed);
    assert_int_equal(train(m, &a, &c, 2, &r), CTS_OK);
    assert_int_equal(train(mapped->clip, &b, &c, 2, &r), CTS_OK);
    assert_memory_equal(a.loss, b.loss, 4 * sizeof(double));
    for (int i = 0; i < cts_params_n(m->params); i++)
        assert_memory_equal(cts_params_get(m->params, i)->data, cts_params_get(mapped->clip->params, i)->data,
                            (size_t)cts_params_get(m->params, i)->count * sizeof(float));
    assert_int_equal(cts_digest_file(after, weights), CTS_OK);
    assert_string_equal(before, after);
    cts_model_destroy(mapped);
    cts_clip_destroy(m);
    assert_int_equal(cts_remove_tree(dir), CTS_OK);
    free(weights);
    free(dir);
}

/* A model of one side cannot be trained on pairs. */
static void test_one_side(void **state)
{
    world w = {.n = 8, .bad = -1};
    cts_clip_train_config c = make_config(2);
    cts_clip_config config = {0};
    json_t *j = make_config_json(false);
    cts_clip *m = NULL;
    cts_train_result r;

    (void)state;
    assert_int_equal(json_object_set_new(j, "image", json_null()), 0);
    assert_int_equal(cts_clip_config_parse(&config, j, "test model"), CTS_OK);
    assert_int_equal(cts_clip_create_init(&m, &config, SEED), CTS_OK);
    assert_int_equal(train(m, &w, &c, 1, &r), CTS_E_MISMATCH);
    assert_non_null(strstr(cts_error(), "text encoder only"));
    cts_clip_destroy(m);
    json_decref(j);
}

static void test_order_is_a_permutation_of_each_epoch(void **state)
{
    cts_order o, p;
    int seen[23] = {0};

    (void)state;
    assert_int_equal(cts_order_init(&o, 23, 5, true, 9), CTS_OK);
    assert_int_equal(cts_order_init(&p, 23, 5, true, 9), CTS_OK);
    for (uint64_t s = 0; s < 20; s++)
        seen[cts_order_at(&o, s)]++;
    for (int i = 0; i < 23; i++)
        assert_true(seen[i] <= 1);
    assert_int_equal(cts_order_epoch(&o, 19), 0);
    assert_int_equal(cts_order_epoch(&o, 20), 1);
    assert_int_equal(cts_order_at(&p, 33), cts_order_at(&o, 33)); /* asked first or in sequence: the same */
    cts_order_clear(&o);
    cts_order_clear(&p);
}

static void test_schedule(void **state)
{
    cts_schedule s = {.kind = CTS_SCHEDULE_COSINE, .lr = 1.0, .min_lr = 0.1, .warmup = 10, .steps = 110};

    (void)state;
    assert_true(fabs(cts_schedule_lr(&s, 0) - 0.1) < 1e-12);
    assert_true(fabs(cts_schedule_lr(&s, 9) - 1.0) < 1e-12);
    assert_true(fabs(cts_schedule_lr(&s, 60) - 0.55) < 1e-12);
    assert_true(fabs(cts_schedule_lr(&s, 110) - 0.1) < 1e-12);
    s.warmup_part = 0.4; /* instead of the 10 steps */
    s.steps = 50;
    assert_true(fabs(cts_schedule_lr(&s, 9) - 0.5) < 1e-12);
    assert_true(fabs(cts_schedule_lr(&s, 35) - 0.55) < 1e-12);
    s.kind = CTS_SCHEDULE_CONSTANT;
    assert_true(fabs(cts_schedule_lr(&s, 5000) - 1.0) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overfits_eight_pairs),
        cmocka_unit_test(test_resume_is_bit_equal),
        cmocka_unit_test(test_resume_with_a_quantiser),
        cmocka_unit_test(test_log_has_each_step_once_after_a_resume),
        cmocka_unit_test(test_bad_volume_is_skipped_and_counted),
        cmocka_unit_test(test_too_few_pairs),
        cmocka_unit_test(test_mapped_model),
        cmocka_unit_test(test_one_side),
        cmocka_unit_test(test_order_is_a_permutation_of_each_epoch),
        cmocka_unit_test(test_schedule),
    };

    printf("seed %u\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
