/* CT-ViT against the published code (ctvit_mini): every step of every layer, codes, and in training mode the output,
 * the code book after the step, and all gradients. Configuration and shapes come from the file, tolerances from section
 * 9 of its description. SPDX-License-Identifier: MIT */
#include <math.h>

#include "tests/support/ctclip_run.h"

#define ACTIVATION 1e-4 /* of the rms */
#define GRADIENT 1e-4   /* of the tensor's largest value */

typedef struct {
    cts_golden *g;
    uint64_t seed;
    const cts_encoder_def *def;
    void *config;
    int64_t v[4], grid[5]; /* volumes, tokens */
    float *video;
} fixture;

static int set_up(void **state)
{
    fixture *f = cts_test_alloc(sizeof *f);
    int64_t patch;
    json_t *j;

    f->g = cts_golden_need("ctvit_mini.safetensors");
    f->seed = cts_golden_seed(f->g);
    f->def = cts_encoder_find("ctvit");
    assert_non_null(f->def);
    assert_int_equal(cts_golden_need_meta_ints(f->g, "grid", f->grid, 4), 4);
    j = cts_golden_need_meta_json(f->g, "config");
    patch = json_integer_value(json_object_get(j, "temporal_patch_size"));
    f->grid[4] = json_integer_value(json_object_get(j, "dim"));
    f->v[0] = f->grid[0];
    f->v[1] = f->grid[1] * patch;
    for (size_t i = 0; i < 2; i++)
        f->v[2 + i] = json_integer_value(json_array_get(json_object_get(j, "image_size"), i));
    json_decref(j);
    f->video = cts_ctclip_need_volume(f->g, "input.video", f->v);
    j = cts_ctclip_config(f->g, f->v[1], "depth");
    MUST(f->def->parse(&f->config, j, "ctvit_mini"));
    json_decref(j);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    cts_golden_close(f->g);
    free(f->config);
    free(f->video);
    free(f);
    return 0;
}

enum { EVAL = 0, TRAIN = 1, RECOMPUTE = 2, TRACE = 4 };

static void make(model_net *n, const fixture *f, const char *backend, int flags)
{
    cts_build b;

    cts_test_net_begin(n, backend);
    n->in = cts_encoder_image_inputs(n->run.g, f->v[0], f->v + 1);
    n->in.volume->want_grad = flags & TRAIN;
    b = cts_build_make(n->run.g, flags & TRAIN);
    b.recompute = flags & RECOMPUTE;
    b.trace = flags & TRACE;
    f->def->build(&b, f->config, &n->in, &n->out);
    cts_graph_output(n->run.g, n->out.tokens, "tokens");
    if (!(flags & TRAIN))
        cts_graph_output(n->run.g, n->out.vector, "vector");
    cts_ctclip_weights(n->params, f->g, f->seed, "weight.", "");
    cts_test_net_plan(n, flags & TRAIN ? n->out.tokens : NULL);
    MUST(cts_exec_write(n->run.e, n->in.volume, f->video));
}

/* ---- forward --------------------------------------------------------------------------------------------------- */

/* [N, h, w, t, D], the order of the temporal layers, to [N, t, h, w, D] */
static float *to_slabs(const float *x, const int64_t grid[5])
{
    int64_t t = grid[1], hw = grid[2] * grid[3], d = grid[4];
    float *y = cts_test_alloc((size_t)(grid[0] * t * hw * d) * sizeof *y);

    for (int64_t n = 0; n < grid[0]; n++)
        for (int64_t i = 0; i < t; i++)
            for (int64_t p = 0; p < hw; p++)
                memcpy(y + ((n * t + i) * hw + p) * d, x + ((n * hw + p) * t + i) * d, (size_t)d * sizeof *y);
    return y;
}

static bool activation(model_net *n, const fixture *f, const char *name)
{
    bool columns = !strncmp(name, "temporal.", 9);
    const cts_tensor *t;
    float *v = cts_test_read(&n->run, name, &t), *y = columns ? to_slabs(v, f->grid) : v;
    char golden[64];
    bool ok;

    snprintf(golden, sizeof golden, "act.%s", name);
    ok = cts_golden_near(f->g, golden, y, (size_t)cts_tensor_count(t), ACTIVATION, 0);
    if (columns)
        free(y);
    free(v);
    return ok;
}

static bool same_codes(model_net *n, const fixture *f)
{
    const cts_tensor *t = cts_graph_find(n->run.g, "vq_indices");
    int64_t *want = cts_golden_need_ints(f->g, "out.indices"), count, differ = 0;
    int32_t *got;

    assert_non_null(t);
    count = cts_tensor_count(t);
    assert_int_equal(count, cts_golden_need_tensor(f->g, "out.indices")->count);
    got = cts_test_alloc((size_t)count * sizeof *got);
    MUST(cts_exec_read(n->run.e, t, got));
    for (int64_t i = 0; i < count; i++)
        differ += got[i] != want[i];
    if (differ)
        fprintf(stderr, "%lld of %lld codes differ\n", (long long)differ, (long long)count);
    free(want);
    free(got);
    return differ == 0;
}

static void forward_on(const fixture *f, const char *backend)
{
    static const char prefix[] = "act.";
    int seen = 0;
    bool ok = true;
    float *v;
    model_net n;

    make(&n, f, backend, TRACE);
    MUST(cts_exec_forward(n.run.e, 0));
    for (size_t i = 0; i < cts_golden_count(f->g); i++) {
        const cts_golden_tensor *t = cts_golden_at(f->g, i);

        if (strncmp(t->name, prefix, strlen(prefix)) != 0)
            continue;
        ok &= activation(&n, f, t->name + strlen(prefix));
        seen++;
    }
    print_message("%d activations\n", seen);
    assert_true(seen >= 4);
    ok &= same_codes(&n, f);
    v = cts_test_read(&n.run, "tokens", NULL);
    ok &= cts_golden_near(f->g, "out.tokens", v, (size_t)cts_tensor_count(n.out.tokens), ACTIVATION, 0);
    assert_true(ok);
    free(v);
    cts_test_net_end(&n);
}

static void test_forward(void **state)
{
    forward_on(*state, NULL);
    forward_on(*state, "ref");
}

/* The fused graph of inference, and the vector: the mean over t. */
static void test_vector(void **state)
{
    const fixture *f = *state;
    int64_t t = f->grid[1], slab = f->grid[2] * f->grid[3] * f->grid[4];
    float *want = cts_golden_need_floats(f->g, "out.tokens"), *got;
    double worst = 0, scale = cts_golden_rms(want, (size_t)(f->grid[0] * t * slab));
    model_net n;

    make(&n, f, NULL, EVAL);
    MUST(cts_exec_forward(n.run.e, 0));
    got = cts_test_read(&n.run, "vector", NULL);
    assert_int_equal(cts_tensor_count(n.out.vector), f->grid[0] * slab);
    for (int64_t i = 0; i < f->grid[0] * slab; i++) {
        double mean = 0;

        for (int64_t k = 0; k < t; k++)
            mean += want[(i / slab * t + k) * slab + i % slab] / (double)t;
        if (!(fabs(got[i] - mean) <= worst))
            worst = fabs(got[i] - mean);
    }
    print_message("vector: off by at most %.3g\n", worst);
    assert_true(worst <= ACTIVATION * scale);
    free(want);
    free(got);
    cts_test_net_end(&n);
}

/* ---- training -------------------------------------------------------------------------------------------------- */

static float *loss_weight(const fixture *f, size_t *count)
{
    float *w;

    *count = (size_t)(f->grid[0] * f->grid[1] * f->grid[2] * f->grid[3] * f->grid[4]);
    w = cts_test_alloc(*count * sizeof *w);
    cts_formula_fill(w, *count, f->seed, "loss.weight", 0, 1);
    return w;
}

static bool code_book(const model_net *n, const fixture *f)
{
    static const char *const entry[2] = {"embed", "cluster_size"};
    char name[64], golden[64];
    bool ok = true;

    for (int i = 0; i < 2; i++) {
        const cts_param *e;

        snprintf(name, sizeof name, "vq._codebook.%s", entry[i]);
        snprintf(golden, sizeof golden, "train.%s_after", entry[i]);
        e = cts_params_get(n->params, cts_params_find(n->params, name));
        assert_true(e->state);
        ok &= cts_ctclip_max_near(f->g, golden, e->data, (size_t)e->count, 1e-5, 0);
    }
    return ok;
}

static void train_on(const fixture *f, const char *backend)
{
    float *w, *out, *d_video, loss;
    size_t count;
    bool ok;
    model_net n;

    make(&n, f, backend, TRAIN);
    w = loss_weight(f, &count);
    MUST(cts_exec_forward(n.run.e, CTS_RUN_UPDATE_STATE));
    out = cts_test_read(&n.run, "tokens", NULL);
    ok = cts_golden_near(f->g, "train.out", out, count, ACTIVATION, 0);
    loss = (float)cts_test_dot(out, w, count);
    ok &= cts_ctclip_max_near(f->g, "train.loss", &loss, 1, 1e-5, 5e-6);
    ok &= code_book(&n, f);
    MUST(cts_exec_write(n.run.e, n.d_target, w));
    MUST(cts_exec_backward(n.run.e));
    ok &= cts_ctclip_grads_near(f->g, "grad.", n.params, n.grads, GRADIENT);
    d_video = cts_test_read(&n.run, "d.volume", NULL);
    if (cts_golden_has(f->g, "grad.input.video")) /* the project's own copy leaves it out */
        ok &=
            cts_ctclip_max_near(f->g, "grad.input.video", d_video, (size_t)cts_tensor_count(n.in.volume), GRADIENT, 0);
    assert_true(ok);
    free(w);
    free(out);
    free(d_video);
    cts_test_net_end(&n);
}

static void test_train(void **state)
{
    train_on(*state, NULL);
    train_on(*state, "ref");
}

/* Recomputed activations give the same gradients to the bit, in less memory. */
static void test_recompute(void **state)
{
    const fixture *f = *state;
    size_t bytes[2], count;
    float *w = loss_weight(f, &count);
    model_net n[2];

    for (int i = 0; i < 2; i++) {
        make(&n[i], f, NULL, TRAIN | (i ? RECOMPUTE : 0));
        bytes[i] = cts_plan_get_info(n[i].run.plan).arena_bytes;
        MUST(cts_exec_forward(n[i].run.e, 0));
        MUST(cts_exec_write(n[i].run.e, n[i].d_target, w));
        MUST(cts_exec_backward(n[i].run.e));
    }
    for (int k = 0; k < n[0].grads->n; k++)
        if (n[0].grads->data[k])
            assert_memory_equal(n[0].grads->data[k], n[1].grads->data[k], (size_t)n[0].grads->count[k] * sizeof(float));
    print_message("arena %zu bytes, with recompute %zu\n", bytes[0], bytes[1]);
    assert_true(bytes[1] < bytes[0]);
    free(w);
    cts_test_net_end(&n[0]);
    cts_test_net_end(&n[1]);
}

/* Where the file has weights, volume and loss weights, the formula gives the same numbers. */
static void test_formula(void **state)
{
    const fixture *f = *state;
    float *v = cts_test_alloc((size_t)(f->v[0] * f->v[1] * f->v[2] * f->v[3]) * sizeof *v), *w;
    cts_params *formula;
    int compared = 0;
    size_t count;
    model_net n;

    make(&n, f, NULL, TRAIN);
    formula = n.params;
    cts_ctclip_weights(formula, NULL, f->seed, "", "");
    for (int i = 0; i < cts_params_n(formula); i++) {
        const cts_param *e = cts_params_get(formula, i);

        if (!cts_golden_find(f->g, "weight.%s", e->name))
            continue;
        w = cts_golden_need_floats(f->g, "weight.%s", e->name);
        if (memcmp(w, e->data, (size_t)e->count * sizeof *w) != 0)
            fail_msg("%s: the formula gives %.9g.., the file has %.9g", e->name, (double)e->data[0], (double)w[0]);
        free(w);
        compared++;
    }
    cts_ctclip_volume(v, f->seed, "input.video", f->v);
    assert_memory_equal(v, f->video, (size_t)(f->v[0] * f->v[1] * f->v[2] * f->v[3]) * sizeof *v);
    w = loss_weight(f, &count);
    if (cts_golden_find(f->g, "loss.weight")) {
        float *stored = cts_golden_need_floats(f->g, "loss.weight");

        assert_memory_equal(stored, w, count * sizeof *w);
        free(stored);
    }
    print_message("%d weights compared\n", compared);
    free(v);
    free(w);
    cts_test_net_end(&n);
}

/* ---- configurations ---------------------------------------------------------------------------------------------- */

static void refused(const fixture *f, const char *key, json_t *value, const char *word)
{
    json_t *j = cts_ctclip_config(f->g, f->v[1], "depth");
    void *config = NULL;

    if (value)
        json_object_set_new(j, key, value);
    else
        json_object_del(j, key);
    assert_int_not_equal(f->def->parse(&config, j, "config.json"), CTS_OK);
    assert_null(config);
    if (!strstr(cts_error(), word))
        fail_msg("%s: no \"%s\" in the message", cts_error(), word);
    json_decref(j);
}

static void test_bad_configs(void **state)
{
    const fixture *f = *state;

    refused(f, "dim", NULL, "dim");
    refused(f, "image_size", json_pack("[i,i]", 19, 40), "image_size");
    refused(f, "image_size", json_pack("[i]", 18), "image_size");
    refused(f, "patch_size", json_integer(0), "patch_size");
    refused(f, "depth_size", json_integer(f->v[1] + 1), "depth_size");
    refused(f, "reduction", json_string("channel"), "reduction");
    refused(f, "quantize", json_string("yes"), "quantize");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),   cmocka_unit_test(test_vector),  cmocka_unit_test(test_train),
        cmocka_unit_test(test_recompute), cmocka_unit_test(test_formula), cmocka_unit_test(test_bad_configs),
    };

    return cmocka_run_group_tests_name("golden ctvit", tests, set_up, tear_down);
}
