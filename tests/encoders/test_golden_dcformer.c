/* DCFormer against the published code (dcformer_mini): outputs of all stages, odd and tiny volumes, every gradient in
 * both modes of the batch norm, and the running statistics after one training pass. Configuration, shapes and
 * tolerances come from the files. SPDX-License-Identifier: MIT */
#include "tests/support/model_run.h"

#define FILE_NAME "dcformer_mini.safetensors"
/* max-pool decisions flip on rounding: gradients are compared as a whole, see the README of the goldens */
#define GRAD_RELATIVE 5e-4

typedef struct {
    cts_golden *g;
    uint64_t seed;
    void *config;
    const cts_encoder_def *def;
} fixture;

static int set_up(void **state)
{
    fixture *f = cts_test_alloc(sizeof *f);
    json_t *j;

    f->g = cts_golden_need(FILE_NAME);
    f->seed = cts_golden_seed(f->g);
    f->def = cts_encoder_find("dcformer");
    assert_non_null(f->def);
    j = cts_golden_need_meta_json(f->g, "config");
    MUST(f->def->parse(&f->config, j, FILE_NAME));
    json_decref(j);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    cts_golden_close(f->g);
    free(f->config);
    free(f);
    return 0;
}

enum { EVAL = 0, GRAD = 1, TRAIN = 2, RECOMPUTE = 4 };

static void make(model_net *n, const fixture *f, const char *backend, const int64_t volume[4], int flags)
{
    cts_build b;

    cts_test_net_begin(n, backend);
    n->in = cts_encoder_image_inputs(n->run.g, volume[0], volume + 1);
    b = cts_build_make(n->run.g, false);
    b.grad = flags & GRAD;
    b.batch_stats = flags & TRAIN;
    b.recompute = flags & RECOMPUTE;
    b.trace = true;
    n->in.volume->want_grad = flags & GRAD;
    f->def->build(&b, f->config, &n->in, &n->out);
    cts_test_weights(n->params, f->g, f->seed, "weight.", "");
    cts_test_net_plan(n, flags & GRAD ? n->out.tokens : NULL);
}

static void run_volume(model_net *n, const float *volume)
{
    MUST(cts_exec_write(n->run.e, n->in.volume, volume));
    MUST(cts_exec_forward(n->run.e, 0));
}

/* ---- odd and tiny volumes -------------------------------------------------------------------------------------- */

static void volume_shape(const cts_golden *g, int64_t v[4], const char *name)
{
    int64_t s[8];

    assert_int_equal(cts_golden_need_shape(g, s, "%s", name), 5);
    memcpy(v, (int64_t[]){s[0], s[2], s[3], s[4]}, 4 * sizeof *v);
}

static void odd_on(const fixture *f, const char *backend)
{
    float *volume = cts_golden_need_floats(f->g, "odd.input");
    bool ok = true;
    int64_t v[4];
    model_net n;

    volume_shape(f->g, v, "odd.input");
    make(&n, f, backend, v, EVAL);
    run_volume(&n, volume);
    for (int s = 0; s <= 4; s++) {
        char name[32], golden[32];

        snprintf(name, sizeof name, "stage%d", s);
        snprintf(golden, sizeof golden, "odd.stage%d", s);
        ok &= cts_test_grid_near(&n.run, name, f->g, golden, -1, 0);
    }
    assert_true(ok);
    free(volume);
    cts_test_net_end(&n);
}

static void test_odd_sizes(void **state)
{
    odd_on(*state, NULL);
    odd_on(*state, "ref");
}

static void test_tiny_sizes(void **state)
{
    const fixture *f = *state;
    char name[32];
    int cases = 0;

    for (;; cases++) {
        float *volume;
        int64_t v[4];
        model_net n;

        snprintf(name, sizeof name, "tiny%d.input", cases);
        if (!cts_golden_has(f->g, "%s", name))
            break;
        volume = cts_golden_need_floats(f->g, "%s", name);
        volume_shape(f->g, v, name);
        make(&n, f, NULL, v, EVAL);
        run_volume(&n, volume);
        snprintf(name, sizeof name, "tiny%d.output", cases);
        assert_true(cts_test_grid_near(&n.run, "stage4", f->g, name, -1, 0));
        free(volume);
        cts_test_net_end(&n);
    }
    assert_true(cases > 0);
}

/* ---- forward, loss, all gradients ------------------------------------------------------------------------------ */

static float *input_volume(const fixture *f, int64_t v[4])
{
    size_t count = 1;
    float *p;

    assert_int_equal(cts_golden_need_meta_ints(f->g, "volume_shape", v, 4), 4);
    for (int i = 0; i < 4; i++)
        count *= (size_t)v[i];
    p = cts_test_alloc(count * sizeof *p);
    cts_formula_volume(p, f->seed, "input.volume", v, 0, 1);
    return p;
}

static bool check_gradients(const model_net *n, const fixture *f, const char *mode)
{
    char prefix[32], name[256];
    double top;
    bool ok = true;

    snprintf(prefix, sizeof prefix, "%s.grad.encoder.", mode);
    top = cts_test_largest(f->g, prefix);
    for (int i = 0; i < cts_params_n(n->params); i++) {
        const cts_param *p = cts_params_get(n->params, i);
        /* a bias before a batch norm of batch statistics has no gradient: rounding only */
        bool zero =
            !strcmp(mode, "train") && strstr(p->name, ".0.bias") && strstr(p->name, ".c") && !strstr(p->name, "mlp");

        if (p->state)
            continue;
        snprintf(name, sizeof name, "%s.grad.%s", mode, p->name);
        ok &= cts_golden_near(f->g, name, n->grads->data[i], (size_t)p->count, zero ? 0 : GRAD_RELATIVE,
                              zero ? 5e-5 * top : 1e-7 * top);
    }
    return ok;
}

static bool check_running_statistics(const model_net *n, const fixture *f)
{
    char name[256];
    bool ok = true;
    int states = 0;

    for (int i = 0; i < cts_params_n(n->params); i++) {
        const cts_param *p = cts_params_get(n->params, i);

        if (!p->state)
            continue;
        snprintf(name, sizeof name, "train.after.%s", p->name);
        ok &= cts_golden_near(f->g, name, p->data, (size_t)p->count, -1, 0);
        states++;
    }
    assert_true(states > 0);
    return ok;
}

static void pass(const fixture *f, const char *backend, const char *mode)
{
    bool train = !strcmp(mode, "train"), ok = true;
    float *volume, *out, *published, *weight, *ours, *d_volume, loss, want, *golden;
    int64_t v[4], shape[8];
    const cts_tensor *t;
    char name[64];
    size_t count;
    model_net n;

    volume = input_volume(f, v);
    make(&n, f, backend, v, GRAD | (train ? TRAIN : EVAL));
    MUST(cts_exec_write(n.run.e, n.in.volume, volume));
    MUST(cts_exec_forward(n.run.e, train ? CTS_RUN_UPDATE_STATE : 0));
    for (int s = 0; s < 4; s++) {
        char stage[32];

        snprintf(name, sizeof name, "%s.stage%d", mode, s);
        snprintf(stage, sizeof stage, "stage%d", s);
        if (cts_golden_has(f->g, "%s", name))
            ok &= cts_test_grid_near(&n.run, stage, f->g, name, -1, 0);
    }
    snprintf(name, sizeof name, "%s.output", mode);
    ok &= cts_test_grid_near(&n.run, "stage4", f->g, name, -1, 0);

    out = cts_test_read(&n.run, "stage4", &t);
    count = (size_t)cts_tensor_count(t);
    published = cts_test_published(out, t->shape, shape);
    weight = cts_test_alloc(count * sizeof *weight);
    cts_formula_fill(weight, count, f->seed, "loss.weight", 0, 1);
    loss = (float)cts_test_dot(published, weight, count);
    golden = cts_golden_need_floats(f->g, "%s.loss", mode);
    want = golden[0];
    free(golden);
    snprintf(name, sizeof name, "%s.loss", mode);
    ok &= cts_golden_near(f->g, name, &loss, 1, 1e-5, 1e-6 * (want < 0 ? -want : want));

    ours = cts_test_ours(weight, shape);
    MUST(cts_exec_write(n.run.e, n.d_target, ours));
    MUST(cts_exec_backward(n.run.e));
    ok &= check_gradients(&n, f, mode);
    d_volume = cts_test_read(&n.run, "d.volume", NULL);
    snprintf(name, sizeof name, "%s.grad.input", mode);
    if (cts_golden_has(f->g, "%s", name))
        ok &= cts_golden_near(f->g, name, d_volume, (size_t)(v[0] * v[1] * v[2] * v[3]), GRAD_RELATIVE, 0);
    if (train)
        ok &= check_running_statistics(&n, f);
    assert_true(ok);
    free(volume);
    free(out);
    free(published);
    free(weight);
    free(ours);
    free(d_volume);
    cts_test_net_end(&n);
}

static void test_eval(void **state)
{
    pass(*state, NULL, "eval");
}

static void test_train(void **state)
{
    pass(*state, NULL, "train");
}

/* Recomputed activations give the same gradients to the bit, in less memory. */
static void test_recompute(void **state)
{
    const fixture *f = *state;
    size_t bytes[2];
    float *volume, *weight = NULL;
    model_net n[2];
    int64_t v[4];

    volume = input_volume(f, v);
    for (int i = 0; i < 2; i++) {
        make(&n[i], f, NULL, v, GRAD | TRAIN | (i ? RECOMPUTE : 0));
        bytes[i] = cts_plan_get_info(n[i].run.plan).arena_bytes;
        if (!weight) {
            size_t count = (size_t)cts_tensor_count(n[i].out.tokens);

            weight = cts_test_alloc(count * sizeof *weight);
            cts_formula_fill(weight, count, f->seed, "loss.weight", 0, 1);
        }
        run_volume(&n[i], volume);
        MUST(cts_exec_write(n[i].run.e, n[i].d_target, weight));
        MUST(cts_exec_backward(n[i].run.e));
    }
    for (int k = 0; k < n[0].grads->n; k++)
        if (n[0].grads->data[k])
            assert_memory_equal(n[0].grads->data[k], n[1].grads->data[k], (size_t)n[0].grads->count[k] * sizeof(float));
    print_message("arena %zu bytes, with recompute %zu\n", bytes[0], bytes[1]);
    assert_true(bytes[1] < bytes[0]);
    free(volume);
    free(weight);
    cts_test_net_end(&n[0]);
    cts_test_net_end(&n[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_odd_sizes), cmocka_unit_test(test_tiny_sizes), cmocka_unit_test(test_eval),
        cmocka_unit_test(test_train),     cmocka_unit_test(test_recompute),
    };

    return cmocka_run_group_tests_name("golden dcformer", tests, set_up, tear_down);
}
