/* Towers: partial batches and other orders give the same rows, fused inference equals the plain graph, dropout repeats
 * with its step, the loss runner, and the input errors. SPDX-License-Identifier: MIT */
#include "encoders/tower.h"

#include <math.h>

#include "kernels/base/rng.h"
#include "tests/support/scratch.h"

enum { N = 3, D = 6, Z = 16, X = 32, Y = 24 };

typedef struct {
    cts_backend *b;
    cts_clip *m;
    cts_grads *grads;
    float *volumes; /* [N, Z, X, Y] */
} fixture;

static int set_up(void **state)
{
    fixture *f = cts_test_alloc(sizeof *f);

    f->b = cts_test_backend(NULL);
    f->m = cts_scratch_pair(21, true, 8);
    /* layer scale and running statistics away from their initial values, so that every branch matters */
    for (int i = 0; i < cts_params_n(f->m->params); i++) {
        cts_param *p = cts_params_at(f->m->params, i);

        for (int64_t k = 0; k < p->count; k++)
            if (strstr(p->name, "gamma") || strstr(p->name, "running_"))
                p->data[k] = (float)(0.5 + 0.4 * cts_rng_unit_at((uint64_t)i, (uint64_t)k));
    }
    MUST(cts_grads_create(&f->grads, f->m->params));
    f->volumes = cts_test_alloc((size_t)N * Z * X * Y * sizeof(float));
    for (size_t k = 0; k < (size_t)N * Z * X * Y; k++)
        f->volumes[k] = (float)(2 * cts_rng_unit_at(5, k) - 1);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    free(f->volumes);
    cts_grads_destroy(f->grads);
    cts_clip_destroy(f->m);
    cts_backend_destroy(f->b);
    free(f);
    return 0;
}

static cts_tower *make(const fixture *f, cts_side side, cts_tower_options o)
{
    cts_tower_spec spec = cts_clip_tower_spec(f->m, side);
    cts_tower *t = NULL;

    MUST(cts_tower_create(&t, &spec, &o, f->b, o.train ? f->grads : NULL));
    return t;
}

static void assert_close(const float *a, const float *b, size_t n, double limit)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - b[i]) <= limit))
            fail_msg("value %zu: %.9g against %.9g", i, a[i], b[i]);
}

static void test_image_batches(void **state)
{
    const fixture *f = *state;
    cts_tower *t = make(f, CTS_SIDE_IMAGE, (cts_tower_options){.max_batch = N});
    float all[N * D], one[D];
    int64_t dim[3];

    assert_int_equal(cts_tower_dim(t), D);
    assert_int_equal(cts_tower_max_batch(t), N);
    cts_tower_volume_dim(t, dim);
    assert_true(dim[0] == Z && dim[1] == X && dim[2] == Y);
    assert_true(cts_tower_macs(t) > 0);
    assert_true(cts_tower_plan_info(t).arena_bytes > 0);
    MUST(cts_tower_volumes(t, N, f->volumes, 0, all));
    for (int i = 0; i < N; i++) {
        double norm = 0;

        MUST(cts_tower_volumes(t, 1, f->volumes + (size_t)i * Z * X * Y, 0, one));
        assert_close(one, all + i * D, D, 2e-6);
        for (int k = 0; k < D; k++)
            norm += (double)one[k] * one[k];
        assert_true(fabs(norm - 1) < 1e-5);
    }
    assert_int_equal(cts_tower_volumes(t, N + 1, f->volumes, 0, all), CTS_E_INPUT);
    assert_int_equal(cts_tower_volumes(t, 0, f->volumes, 0, all), CTS_E_INPUT);
    cts_tower_destroy(t);
}

/* Inference with fused epilogues = the differentiable graph with running statistics. */
static void test_fused_is_plain(void **state)
{
    const fixture *f = *state;
    cts_tower *t = make(f, CTS_SIDE_IMAGE, (cts_tower_options){.max_batch = N});
    const cts_clip_config *c = &f->m->config;
    float fused[N * D], plain[N * D];
    cts_encoder_inputs in;
    model_run r = {0};
    cts_tensor *y;
    cts_build b;

    MUST(cts_tower_volumes(t, N, f->volumes, 0, fused));
    MUST(cts_graph_create(&r.g, f->m->params));
    in = cts_encoder_image_inputs(r.g, N, (int64_t[]){Z, X, Y});
    b = cts_build_make(r.g, false);
    b.grad = true;
    y = cts_clip_build_tower(&b, c, CTS_SIDE_IMAGE, &in, NULL);
    cts_graph_output(r.g, y, "y");
    cts_test_plan(&r, f->b, NULL);
    MUST(cts_exec_write(r.e, in.volume, f->volumes));
    MUST(cts_exec_forward(r.e, 0));
    MUST(cts_exec_read(r.e, y, plain));
    assert_close(fused, plain, N * D, 5e-6);
    cts_test_end(&r);
    cts_tower_destroy(t);
}

static void test_text_batches(void **state)
{
    const fixture *f = *state;
    const int32_t ids[] = {2, 9, 17, 3, 2, 3, 2, 49, 0, 11, 30, 3}, offsets[] = {0, 4, 6, 12};
    cts_tower *t = make(f, CTS_SIDE_TEXT, (cts_tower_options){.max_batch = 5});
    cts_token_batch batch = {3, ids, offsets};
    float all[3 * D], one[D];

    MUST(cts_tower_tokens(t, &batch, 0, all));
    for (int s = 0; s < 3; s++) {
        const int32_t o[2] = {0, offsets[s + 1] - offsets[s]};
        cts_token_batch single = {1, ids + offsets[s], o};

        MUST(cts_tower_tokens(t, &single, 0, one));
        assert_close(one, all + s * D, D, 2e-6);
    }
    cts_tower_destroy(t);
}

static void test_text_errors(void **state)
{
    const fixture *f = *state;
    const int32_t ids[16] = {2, 50, 3}, negative[2] = {2, -1};
    const int32_t good[] = {0, 1}, bad_id[] = {0, 3}, empty[] = {0, 1, 1}, longer[] = {0, 13}, two[] = {0, 2};
    cts_tower *t = make(f, CTS_SIDE_TEXT, (cts_tower_options){.max_batch = 2, .max_tokens = 14});
    const int32_t *texts[1] = {ids};
    const int32_t n_ids[1] = {13};
    float out[2 * D];

    MUST(cts_tower_tokens(t, &(cts_token_batch){1, ids, good}, 0, out));
    cts_assert_refused(cts_tower_tokens(t, &(cts_token_batch){1, ids, bad_id}, 0, out), CTS_E_INPUT,
                       "id 50, allowed 0 to 49");
    cts_assert_refused(cts_tower_tokens(t, &(cts_token_batch){1, negative, two}, 0, out), CTS_E_INPUT, "id -1");
    cts_assert_refused(cts_tower_tokens(t, &(cts_token_batch){2, ids, empty}, 0, out), CTS_E_INPUT, "0 tokens");
    cts_assert_refused(cts_tower_tokens(t, &(cts_token_batch){1, ids, longer}, 0, out), CTS_E_INPUT,
                       "13 tokens, allowed 1 to 12");
    cts_assert_refused(cts_tower_encode_texts(t, 1, texts, n_ids, out), CTS_E_INPUT, "13 tokens");
    cts_assert_refused(cts_tower_tokens(t, &(cts_token_batch){0, ids, good}, 0, out), CTS_E_INPUT, "0 texts");
    cts_tower_destroy(t);
}

/* Dropout: the same step repeats its masks, another one does not; inference has none. */
static void test_dropout_steps(void **state)
{
    const fixture *f = *state;
    const int32_t ids[] = {2, 9, 17, 3, 2, 3}, offsets[] = {0, 4, 6};
    cts_token_batch batch = {2, ids, offsets};
    cts_tower *t = make(f, CTS_SIDE_TEXT, (cts_tower_options){.train = true, .max_batch = 2});
    float a[2 * D], b[2 * D], c[2 * D];

    cts_tower_set_step(t, 7, 1);
    MUST(cts_tower_tokens(t, &batch, 0, a));
    cts_tower_set_step(t, 7, 2);
    MUST(cts_tower_tokens(t, &batch, 0, b));
    cts_tower_set_step(t, 7, 1);
    MUST(cts_tower_tokens(t, &batch, 0, c));
    assert_memory_equal(a, c, sizeof a);
    assert_true(memcmp(a, b, sizeof a) != 0);
    cts_tower_destroy(t);
}

/* Gradient of sum(w * embedding) along a random direction of all parameters against the difference quotient, dropout at
 * a fixed step. */
static void direction_check(const fixture *f, cts_tower *t, int (*forward)(const fixture *f, cts_tower *t, float *out),
                            int64_t rows, const char *prefix)
{
    const double h = 2e-3;
    float out[N * D], w[N * D];
    double along = 0, value[2];

    for (int i = 0; i < N * D; i++)
        w[i] = (float)(2 * cts_rng_unit_at(99, (uint64_t)i) - 1);
    cts_grads_zero(f->grads);
    MUST(forward(f, t, out));
    MUST(cts_tower_backward(t, w));
    for (int side = 0; side < 2; side++) {
        for (int pass = 0; pass < 2; pass++) { /* there and back */
            for (int i = 0; i < cts_params_n(f->m->params); i++) {
                cts_param *p = cts_params_at(f->m->params, i);

                if (p->state || strncmp(p->name, prefix, strlen(prefix)))
                    continue;
                for (int64_t k = 0; k < p->count; k++) {
                    double u = 2 * cts_rng_unit_at(cts_rng_split(3, (uint64_t)i), (uint64_t)k) - 1;

                    if (side == 0 && pass == 0)
                        along += u * f->grads->data[i][k];
                    p->data[k] += (float)((side ? -h : h) * (pass ? -u : u));
                }
            }
            if (pass == 0) {
                MUST(cts_tower_params_changed(t));
                MUST(forward(f, t, out));
                value[side] = cts_test_dot(out, w, (size_t)(rows * D));
            }
        }
    }
    print_message("%s: along the gradient %.6g, by differences %.6g\n", prefix, along, (value[0] - value[1]) / (2 * h));
    if (!(fabs(along - (value[0] - value[1]) / (2 * h)) <= 0.02 * fabs(along) + 1e-3))
        fail_msg("the gradient is off");
}

static int forward_text(const fixture *f, cts_tower *t, float *out)
{
    static const int32_t ids[] = {2, 9, 17, 3, 2, 3, 2, 49, 0, 11, 30, 3}, offsets[] = {0, 4, 6, 12};

    (void)f;
    return cts_tower_tokens(t, &(cts_token_batch){3, ids, offsets}, 0, out);
}

static void test_text_gradient(void **state)
{
    const fixture *f = *state;
    cts_tower *t = make(f, CTS_SIDE_TEXT, (cts_tower_options){.train = true, .recompute = true, .max_batch = 4});

    cts_tower_set_step(t, 1, 1);
    direction_check(f, t, forward_text, 3, "text_transformer.");
    cts_tower_destroy(t);
}

/* The loss runner: value and gradients of all kinds against differences, a learned temperature, the weight. */
static void loss_kind(const fixture *f, cts_loss_kind kind)
{
    const double h = 1e-3;
    float a[N * D], b[N * D], da[N * D], db[N * D], twice[N * D];
    int scale = cts_params_find(f->m->params, "temperature");
    cts_clip_loss *l = NULL;
    double loss, up, down;

    for (int i = 0; i < N * D; i++) {
        a[i] = (float)(2 * cts_rng_unit_at(1, (uint64_t)i) - 1);
        b[i] = (float)(2 * cts_rng_unit_at(2, (uint64_t)i) - 1);
    }
    cts_grads_zero(f->grads);
    MUST(cts_clip_loss_create(&l, f->m, kind, N + 1, f->b, f->grads));
    MUST(cts_clip_loss_run(l, N, a, b, 1.0, &loss, da, db));
    for (int i = 0; i < N * D; i += 5) {
        float *v = i % 2 ? &a[i] : &b[i], keep = *v;

        *v = (float)(keep + h);
        MUST(cts_clip_loss_run(l, N, a, b, 1.0, &up, NULL, NULL));
        *v = (float)(keep - h);
        MUST(cts_clip_loss_run(l, N, a, b, 1.0, &down, NULL, NULL));
        *v = keep;
        if (!(fabs((up - down) / (2 * h) - (i % 2 ? da[i] : db[i])) <= 2e-2 * fabs((up - down) / (2 * h)) + 5e-3))
            fail_msg("%s: gradient %d is %g, by differences %g", cts_loss_kind_name(kind), i, i % 2 ? da[i] : db[i],
                     (up - down) / (2 * h));
    }
    assert_true(f->grads->data[scale][0] != 0);
    up = f->grads->data[scale][0];
    MUST(cts_clip_loss_run(l, N, a, b, 2.0, &loss, twice, db)); /* accumulates */
    assert_true(fabs(f->grads->data[scale][0] - 3 * up) <= 1e-5 * fabs(3 * up));
    for (int i = 0; i < N * D; i++)
        assert_true(fabsf(twice[i] - 2 * da[i]) <= 1e-5f + 1e-5f * fabsf(da[i]));
    assert_int_equal(cts_clip_loss_run(l, N + 2, a, b, 1.0, &loss, NULL, NULL), CTS_E_INPUT);
    cts_clip_loss_destroy(l);
}

static void test_losses(void **state)
{
    const fixture *f = *state;
    cts_clip *plain = cts_scratch_pair(1, false, 8);
    cts_clip_loss *l = NULL;
    cts_loss_kind k;

    loss_kind(f, CTS_LOSS_DCFORMER);
    loss_kind(f, CTS_LOSS_INFONCE);
    loss_kind(f, CTS_LOSS_SIGLIP);
    cts_assert_refused(cts_clip_loss_create(&l, plain, CTS_LOSS_SIGLIP, 4, f->b, NULL), CTS_E_INPUT, "bias");
    MUST(cts_loss_kind_parse(&k, "siglip"));
    assert_int_equal(k, CTS_LOSS_SIGLIP);
    assert_int_equal(cts_loss_kind_parse(&k, "triplet"), CTS_E_INPUT);
    cts_clip_destroy(plain);
}

/* One pair has nothing to be told from: the loss is 0. */
static void test_single_pair(void **state)
{
    const fixture *f = *state;
    float a[D] = {1}, da[D], db[D];
    cts_clip_loss *l = NULL;
    double loss;

    MUST(cts_clip_loss_create(&l, f->m, CTS_LOSS_INFONCE, 4, f->b, f->grads));
    MUST(cts_clip_loss_run(l, 1, a, a, 1.0, &loss, da, db));
    assert_true(fabs(loss) < 1e-6);
    cts_clip_loss_destroy(l);
}

static void test_volume_size(void **state)
{
    const fixture *f = *state;
    cts_tower_spec spec = cts_clip_tower_spec(f->m, CTS_SIDE_IMAGE);
    cts_tower_options o = {.max_batch = 1, .volume = {5, 7, 1}};
    json_t *j = json_pack("{s:s, s:{s:s, s:[i,i,i]}}", "preset", "dcformer-nano", "config", "reduction", "depth",
                          "input_size", 8, 8, 8);
    const cts_encoder_def *def = NULL;
    float volume[35] = {0}, out[D];
    cts_params *params = NULL;
    cts_tower *t = NULL;
    void *config = NULL;

    MUST(cts_tower_create(&t, &spec, &o, f->b, NULL)); /* the channel reduction takes any size */
    MUST(cts_tower_volumes(t, 1, volume, 0, out));
    cts_tower_destroy(t);
    t = NULL;
    MUST(cts_encoder_from_json(&def, &config, j, CTS_KIND_IMAGE, "test"));
    MUST(cts_params_create(&params));
    spec =
        (cts_tower_spec){.params = params, .encoder = def, .config = config, .prefix = "", .result = CTS_RESULT_VECTOR};
    cts_assert_refused(cts_tower_create(&t, &spec, &o, f->b, NULL), CTS_E_MISMATCH, "wants 8 x 8 x 8");
    spec.result = CTS_RESULT_LOGITS;
    o = (cts_tower_options){0};
    cts_assert_refused(cts_tower_create(&t, &spec, &o, f->b, NULL), CTS_E_INPUT, "logits");
    assert_null(t);
    cts_params_destroy(params);
    json_decref(j);
    free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_image_batches), cmocka_unit_test(test_fused_is_plain),
        cmocka_unit_test(test_text_batches),  cmocka_unit_test(test_text_errors),
        cmocka_unit_test(test_dropout_steps), cmocka_unit_test(test_text_gradient),
        cmocka_unit_test(test_losses),        cmocka_unit_test(test_single_pair),
        cmocka_unit_test(test_volume_size),
    };

    return cmocka_run_group_tests_name("tower", tests, set_up, tear_down);
}
