/* Training on labels: overfitting, resume to the bit with random variants and balanced sampling, interruption, frozen
 * parameters, the loss against its formula, weights of labels and draws.
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

#include "data/augment.h"
#include "encoders/clip.h"
#include "kernels/base/file.h"
#include "kernels/base/json.h"
#include "kernels/base/rng.h"
#include "kernels/base/signal.h"
#include "kernels/base/status.h"
#include "train/label_loss.h"
#include "train/label_trainer.h"
#include "train/order.h"

#define SEED 20251123u
enum { Z = 6, X = 24, Y = 24, LABELS = 3, MAX_STEPS = 256 };

static const char scroll_json[] =
    "{\"latent_dim\": 16, \"projection\": {\"image\": \"none\"}, \"image\": {\"encoder\": \"ct_scroll\", \"config\": "
    "{\"width\": 8, \"embed_dim\": 16, \"heads\": 2, \"window\": 1, \"input_size\": [6, 24, 24], \"n_labels\": 3, "
    "\"dropout\": 0.1, \"attention_dropout\": 0.1, \"head_dropout\": 0.1}}, "
    "\"classifier\": {\"labels\": [\"a\", \"b\", \"c\"], \"head\": \"encoder\"}}";
static const char linear_json[] =
    "{\"latent_dim\": 8, \"image\": {\"encoder\": \"dcformer\", \"config\": {\"num_blocks\": [1, 1, 1, 1, 1], "
    "\"channels\": [8, 8, 8, 16, 16], \"kernel_sizes\": [5, 3, 3, 3], \"input_size\": [6, 24, 24], \"reduction\": "
    "\"channel\", \"quantize\": true, \"codebook_size\": 24}}, "
    "\"classifier\": {\"labels\": [\"a\", \"b\", \"c\"], \"head\": \"linear\", \"input\": \"embedding\", \"relu\": "
    "true, "
    "\"dropout\": 0.3}}";

typedef struct {
    int64_t n;
    uint8_t labels[64 * LABELS];
    double weights[64];
    bool vary, balance;
    double loss[MAX_STEPS];
    int n_steps, interrupt_at, validations;
    float scratch[Z * X * Y];
} world;

static world make_world(int64_t n)
{
    world w = {.n = n};

    for (int64_t i = 0; i < n * LABELS; i++)
        w.labels[i] = (uint8_t)(cts_rng_at(SEED, (uint64_t)i) & 1);
    return w;
}

/* Label l is a bright block in its own place; the rest is noise. */
static int load(void *ctx, int64_t record, float *v)
{
    const world *w = ctx;
    uint64_t key = cts_rng_split(SEED, (uint64_t)record);

    for (int i = 0; i < Z * X * Y; i++)
        v[i] = (float)(0.4 * cts_rng_unit_at(key, (uint64_t)i) - 0.2);
    for (int l = 0; l < LABELS; l++)
        for (int z = 0; w->labels[record * LABELS + l] && z < Z; z++)
            for (int x = 0; x < 6; x++)
                for (int y = 0; y < 6; y++)
                    v[(z * X + 2 + 7 * l + x) * Y + 4 + 5 * l + y] += l == 1 ? -0.8f : 0.7f;
    return CTS_OK;
}

static int vary(void *ctx, int64_t record, uint64_t seq, float *v)
{
    static const cts_augment_space space = {{Z, X, Y}, -1, 1, -1};
    world *w = ctx;
    cts_augment a;

    (void)record;
    assert_int_equal(cts_augment_parse(&a, "default"), CTS_OK);
    return cts_augment_apply(&a, &space, cts_rng_split(SEED, seq), v, w->scratch, NULL);
}

static void on_step(void *ctx, const cts_loop_step *s)
{
    world *w = ctx;

    assert_true(w->n_steps < MAX_STEPS);
    w->loss[w->n_steps++] = s->loss;
    if (s->step == w->interrupt_at)
        cts_interrupt();
}

static int on_validate(void *ctx, int64_t step, json_t *into)
{
    (void)step;
    ((world *)ctx)->validations++;
    return json_object_set_new(into, "val_auroc_macro", json_real(0.5)) ? CTS_E_NOMEM : CTS_OK;
}

static cts_clip *make_model(const char *text)
{
    cts_clip_config c = {0};
    cts_clip *m = NULL;
    json_t *j = NULL;

    assert_int_equal(cts_json_parse(&j, text, strlen(text), "test model"), CTS_OK);
    if (cts_clip_config_parse(&c, j, "test model"))
        fail_msg("%s", cts_error());
    assert_int_equal(cts_clip_create_init(&m, &c, SEED), CTS_OK);
    json_decref(j);
    return m;
}

static cts_label_config make_config(int64_t steps)
{
    return (cts_label_config){
        .loop = {.adamw = {0.9, 0.999, 1e-8, 0.01, 1.0},
                 .schedule = {.kind = CTS_SCHEDULE_COSINE, .lr = 3e-3, .min_lr = 1e-4, .warmup = 5, .steps = steps},
                 .batch = 4,
                 .accumulate = 1,
                 .shuffle = true,
                 .seed = SEED,
                 .loader_threads = 2,
                 .cache_bytes = 1 << 20,
                 .keep = 2,
                 .data_digest = "test"}};
}

static int train(cts_clip *m, world *w, const cts_label_config *c, cts_train_result *result)
{
    cts_tower_spec spec = cts_clip_logits_spec(m);
    cts_labelled data = {.n = w->n,
                         .volume = {Z, X, Y},
                         .n_labels = LABELS,
                         .labels = w->labels,
                         .load = load,
                         .vary = w->vary ? vary : NULL,
                         .weights = w->balance ? w->weights : NULL,
                         .ctx = w};
    cts_label_hooks hooks = {.step = on_step, .validate = on_validate, .ctx = w};
    cts_pool *pool = NULL;
    cts_backend *b = NULL;
    int rc;

    w->n_steps = 0;
    cts_label_balance(w->weights, w->labels, w->n, LABELS);
    assert_int_equal(cts_pool_create(&pool, 2), CTS_OK);
    assert_int_equal(cts_backend_create(&b, "cpu", pool), CTS_OK);
    rc = cts_label_train(&spec, &data, c, &hooks, b, result);
    cts_backend_destroy(b);
    cts_pool_destroy(pool);
    return rc;
}

static char *scratch_dir(void)
{
    char *dir = strdup("/tmp/ctsearch-labels-XXXXXX");

    assert_non_null(mkdtemp(dir));
    return dir;
}

static void test_overfits_eight_volumes(void **state)
{
    world w = make_world(8);
    cts_label_config c = make_config(150);
    cts_clip *m = make_model(scroll_json);
    cts_train_result r;

    (void)state;
    c.loop.eval_parts = 5;
    if (train(m, &w, &c, &r))
        fail_msg("%s", cts_error());
    printf("loss %.4f -> %.4f in %lld steps, planned peak %.1f MB\n", r.first_loss, r.last_loss,
           (long long)r.steps_done, (double)r.peak_bytes / 1e6);
    assert_true(r.first_loss > 0.5);
    assert_true(r.last_loss < 0.1);
    assert_int_equal(w.validations, 5);
    cts_clip_destroy(m);
}

static void same_params(const cts_clip *a, const cts_clip *b, const char *prefix, bool same)
{
    for (int i = 0; i < cts_params_n(a->params); i++) {
        const cts_param *p = cts_params_get(a->params, i), *q = cts_params_get(b->params, i);

        if (!strncmp(p->name, prefix, strlen(prefix)) &&
            (memcmp(p->data, q->data, (size_t)p->count * sizeof(float)) == 0) != same)
            fail_msg("%s is %s", p->name, same ? "not the same" : "still the same");
    }
}

static void resume_is_bit_equal(const char *model, bool vary_too)
{
    world whole = make_world(21), part, rest;
    cts_label_config c = make_config(12);
    cts_clip *a = make_model(model), *b = make_model(model), *d = make_model(model);
    cts_train_result r;
    char *dir = scratch_dir();

    whole.vary = whole.balance = vary_too;
    part = rest = whole;
    part.interrupt_at = 7;
    c.loop.accumulate = 2;
    assert_int_equal(train(a, &whole, &c, &r), CTS_OK);
    c.loop.dir = dir;
    assert_int_equal(train(b, &part, &c, &r), CTS_E_INTERRUPTED);
    cts_interrupt_clear();
    assert_int_equal(part.n_steps, 7);
    c.loop.resume = true;
    if (train(d, &rest, &c, &r))
        fail_msg("%s", cts_error());
    assert_int_equal(rest.n_steps, 5);
    for (int i = 0; i < 12; i++)
        assert_memory_equal(&whole.loss[i], i < 7 ? &part.loss[i] : &rest.loss[i - 7], sizeof(double));
    same_params(a, d, "", true);
    c.loop.data_digest = "other data";
    assert_int_equal(train(d, &rest, &c, &r), CTS_E_MISMATCH);
    cts_clip_destroy(a);
    cts_clip_destroy(b);
    cts_clip_destroy(d);
    assert_int_equal(cts_remove_tree(dir), CTS_OK);
    free(dir);
}

static void test_resume(void **state)
{
    (void)state;
    resume_is_bit_equal(scroll_json, false);
    resume_is_bit_equal(scroll_json, true);
    resume_is_bit_equal(linear_json, true);
}

/* Only the head is trained; the published probe's batch norms and code book move all the same, its weights do not. */
static void test_frozen(void **state)
{
    world w = make_world(16);
    cts_label_config c = make_config(4);
    cts_clip *before = make_model(linear_json), *after = make_model(linear_json);
    cts_train_result r;

    (void)state;
    cts_params_freeze(after->params, "", true);
    cts_params_freeze(after->params, "classifier.", false);
    if (train(after, &w, &c, &r))
        fail_msg("%s", cts_error());
    for (int i = 0; i < cts_params_n(before->params); i++) {
        const cts_param *p = cts_params_get(before->params, i), *q = cts_params_get(after->params, i);
        bool same = !memcmp(p->data, q->data, (size_t)p->count * sizeof(float));

        if (!p->state && !strncmp(p->name, "classifier.", 11) == same)
            fail_msg("%s is %s", p->name, same ? "the same" : "another");
        if (strstr(p->name, "running_mean") && same)
            fail_msg("%s did not move", p->name);
    }
    same_params(before, after, "visual_transformer.vq._codebook.embed", false);
    cts_clip_destroy(before);
    cts_clip_destroy(after);
}

static void test_loss(void **state)
{
    float z[4 * LABELS], y[4 * LABELS], d[4 * LABELS], w[LABELS] = {1, 3, 0.5f};
    cts_label_loss *l = NULL;
    cts_backend *b = NULL;

    (void)state;
    for (int i = 0; i < 4 * LABELS; i++) {
        z[i] = (float)(6 * cts_rng_unit_at(3, (uint64_t)i) - 3);
        y[i] = (float)(cts_rng_at(4, (uint64_t)i) & 1);
    }
    assert_int_equal(cts_backend_create(&b, "cpu", NULL), CTS_OK);
    assert_int_equal(cts_label_loss_create(&l, 4, LABELS, w, b), CTS_OK);
    for (int n = 1; n <= 4; n++) {
        double want = 0, got;

        for (int i = 0; i < n * LABELS; i++)
            want += y[i] > 0 ? w[i % LABELS] * log1p(exp(-(double)z[i])) : log1p(exp((double)z[i]));
        want /= n * LABELS;
        assert_int_equal(cts_label_loss_run(l, n, z, y, &got, d), CTS_OK);
        if (!(fabs(got - want) <= 1e-6))
            fail_msg("loss of %d rows is %g, wanted %g", n, got, want);
        for (int i = 0; i < n * LABELS; i++) {
            double p = 1 / (1 + exp(-(double)z[i]));
            double g = (y[i] > 0 ? -w[i % LABELS] * (1 - p) : p) / (n * LABELS);

            if (!(fabs((double)d[i] - g) <= 1e-6))
                fail_msg("gradient %d of %d rows is %g, wanted %g", i, n, (double)d[i], g);
        }
    }
    cts_label_loss_destroy(l);
    cts_backend_destroy(b);
}

static void test_weights(void **state)
{
    /* label 0: 1 of 8; label 1: 4 of 8; label 2: all */
    uint8_t y[8 * LABELS];
    double w[8], share[2] = {0};
    float pos[LABELS];
    cts_order o = {0};
    int64_t drawn[8] = {0};

    (void)state;
    for (int i = 0; i < 8; i++) {
        y[i * LABELS] = i == 5;
        y[i * LABELS + 1] = i < 4;
        y[i * LABELS + 2] = 1;
    }
    cts_label_pos_weight(pos, y, 8, LABELS, 5.0);
    assert_true(pos[0] == 5.0f && pos[1] == 1.0f && pos[2] == 1.0f);
    cts_label_balance(w, y, 8, LABELS);
    for (int i = 0; i < 8; i++)
        share[0] += w[i];
    assert_true(fabs(share[0] - 2) <= 1e-12); /* two labels of two classes, one each */
    assert_int_equal(cts_order_init(&o, 8, 8, true, SEED), CTS_OK);
    assert_int_equal(cts_order_weigh(&o, w), CTS_OK);
    for (uint64_t seq = 0; seq < 8 * 1000; seq++)
        drawn[cts_order_at(&o, seq)]++;
    for (int i = 0; i < 8; i++)
        if (!(fabs((double)drawn[i] / 8000 - w[i] / 2) <= 0.006))
            fail_msg("record %d was drawn %lld times of 8000, its share is %g", i, (long long)drawn[i], w[i] / 2);
    w[3] = -1;
    assert_int_equal(cts_order_weigh(&o, w), CTS_E_INPUT);
    cts_order_clear(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overfits_eight_volumes),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_weights),
    };

    printf("seed %u\n", SEED);
    return cmocka_run_group_tests_name("label trainer", tests, NULL, NULL);
}
