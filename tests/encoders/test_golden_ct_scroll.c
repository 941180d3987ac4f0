/* CT-Scroll against the published code (ct_scroll_mini, ct_scroll): tokens after every step, predictions, loss, every
 * gradient in both modes of the batch norm and the running statistics; one volume at the published size. Shapes,
 * windows and tolerances come from the files. SPDX-License-Identifier: MIT */
#include <math.h>

#include "tests/support/model_run.h"

/* ReLU and max-pool decisions flip on rounding: gradients are compared as a whole, see the README of the goldens */
#define GRAD_RELATIVE 5e-4

typedef struct {
    const char *file;
    int64_t v[4]; /* N, z, x, y */
    int64_t window, width, embed, heads;
    const char *stored; /* prefix of stored weights; NULL = all by formula */
    const char *prefix; /* of the expected tensors: "" or "small." */
} scale;

typedef struct {
    model_net net;
    cts_tensor *labels, *loss;
} network;

static void *config_of(const scale *s, const cts_encoder_def *def)
{
    json_t *j = json_pack("{s:I, s:I, s:I, s:I, s:[III]}", "width", (json_int_t)s->width, "embed_dim",
                          (json_int_t)s->embed, "heads", (json_int_t)s->heads, "window", (json_int_t)s->window,
                          "input_size", (json_int_t)s->v[1], (json_int_t)s->v[2], (json_int_t)s->v[3]);
    void *config = NULL;

    assert_non_null(j);
    MUST(def->parse(&config, j, s->file));
    json_decref(j);
    return config;
}

static void make(network *n, const scale *s, const cts_golden *g, const char *backend, bool grad, bool train)
{
    const cts_encoder_def *def = cts_encoder_find("ct_scroll");
    void *config;
    cts_build b;

    assert_non_null(def);
    config = config_of(s, def);
    memset(n, 0, sizeof *n);
    cts_test_net_begin(&n->net, backend);
    n->net.in = cts_encoder_image_inputs(n->net.run.g, s->v[0], s->v + 1);
    b = cts_build_make(n->net.run.g, false);
    b.grad = grad;
    b.batch_stats = train;
    b.trace = true;
    def->build(&b, config, &n->net.in, &n->net.out);
    free(config);
    cts_test_weights(n->net.params, s->stored ? g : NULL, cts_golden_seed(g), s->stored ? s->stored : "", "");
    if (grad) {
        n->labels = cts_graph_input(n->net.run.g, "labels", CTS_F32, 2, n->net.out.logits->shape, CTS_SYM_BATCH);
        n->loss = cts_op_sigmoid_bce(n->net.run.g, n->net.out.logits, n->labels, NULL);
        cts_graph_output(n->net.run.g, n->loss, "loss");
    }
    cts_test_net_plan(&n->net, n->loss);
}

static float *input_volume(const scale *s, const cts_golden *g)
{
    float *p = cts_test_alloc((size_t)(s->v[0] * s->v[1] * s->v[2] * s->v[3]) * sizeof *p);

    cts_formula_scroll_volume(p, cts_golden_seed(g), "input.scroll", s->v);
    return p;
}

static bool check_tokens(network *n, const scale *s, const cts_golden *g, const char *mode)
{
    static const char *const names[] = {"gap",      "projection", "global", "caudal_cranial", "cranial_caudal",
                                        "norm_out", "logits"};
    bool ok = true;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const cts_tensor *t;
        float *got = cts_test_read(&n->net.run, names[i], &t);
        char golden[96];

        snprintf(golden, sizeof golden, "%s%s.token.%s", s->prefix, mode, names[i]);
        ok &= cts_golden_near(g, golden, got, (size_t)cts_tensor_count(t), -1, 0);
        free(got);
    }
    return ok;
}

/* predictions and the loss of every cell, from the logits */
static bool check_cells(network *n, const scale *s, const cts_golden *g, const char *mode, const float *labels)
{
    const cts_tensor *t;
    float *z = cts_test_read(&n->net.run, "logits", &t),
          *cell = cts_test_alloc((size_t)cts_tensor_count(t) * sizeof *cell);
    size_t count = (size_t)cts_tensor_count(t);
    char name[96];
    bool ok;

    for (size_t i = 0; i < count; i++)
        cell[i] = (float)(1.0 / (1.0 + exp(-(double)z[i])));
    snprintf(name, sizeof name, "%s%s.predictions", s->prefix, mode);
    ok = cts_golden_near(g, name, cell, count, -1, 1e-7);
    for (size_t i = 0; i < count; i++) {
        double x = z[i];

        cell[i] = (float)(fmax(x, 0) - x * (double)labels[i] + log1p(exp(-fabs(x))));
    }
    snprintf(name, sizeof name, "%s%s.loss", s->prefix, mode);
    ok &= cts_golden_near(g, name, cell, count, -1, 1e-7);
    free(z);
    free(cell);
    return ok;
}

static bool check_entries(const network *n, const scale *s, const cts_golden *g, const char *mode, bool train)
{
    char name[256];
    double top;
    int compared = 0;
    bool ok = true;

    snprintf(name, sizeof name, "%s%s.grad.", s->prefix, mode);
    top = cts_test_largest(g, name);
    for (int i = 0; i < cts_params_n(n->net.params); i++) {
        const cts_param *p = cts_params_get(n->net.params, i);

        if (p->state && !train)
            continue;
        snprintf(name, sizeof name, "%s%s.%s.%s", s->prefix, mode, p->state ? "after" : "grad", p->name);
        if (!cts_golden_has(g, "%s", name))
            fail_msg("%s is not in %s", name, s->file);
        ok &= p->state ? cts_golden_near(g, name, p->data, (size_t)p->count, -1, 0)
                       : cts_golden_near(g, name, n->net.grads->data[i], (size_t)p->count, GRAD_RELATIVE, 1e-6 * top);
        compared++;
    }
    assert_true(compared > 0);
    return ok;
}

static void pass(const scale *s, const cts_golden *g, const char *backend, bool train)
{
    const char *mode = train ? "train" : "eval";
    float *volume = input_volume(s, g), *labels = cts_golden_need_floats(g, "%slabels", s->prefix), one = 1.0f;
    network n;
    bool ok;

    make(&n, s, g, backend, true, train);
    MUST(cts_exec_write(n.net.run.e, n.net.in.volume, volume));
    MUST(cts_exec_write(n.net.run.e, n.labels, labels));
    MUST(cts_exec_forward(n.net.run.e, train ? CTS_RUN_UPDATE_STATE : 0));
    ok = check_tokens(&n, s, g, mode);
    ok &= check_cells(&n, s, g, mode, labels);
    MUST(cts_exec_write(n.net.run.e, n.net.d_target, &one));
    MUST(cts_exec_backward(n.net.run.e));
    ok &= check_entries(&n, s, g, mode, train);
    assert_true(ok);
    free(volume);
    free(labels);
    cts_test_net_end(&n.net);
}

static cts_golden *open_mini(scale *s)
{
    cts_golden *g = cts_golden_need("ct_scroll_mini.safetensors");
    int64_t v[5];

    *s = (scale){.file = "ct_scroll_mini.safetensors", .stored = "weight.", .prefix = ""};
    assert_int_equal(cts_golden_need_meta_ints(g, "volume", v, 5), 5);
    memcpy(s->v, (int64_t[]){v[0], v[2], v[3], v[4]}, sizeof s->v);
    s->window = cts_golden_need_meta_int(g, "window");
    s->width = cts_golden_need_meta_int(g, "width");
    s->embed = cts_golden_need_meta_int(g, "embed_dim");
    s->heads = cts_golden_need_meta_int(g, "heads");
    return g;
}

static void test_mini(void **state)
{
    scale s;
    cts_golden *g = open_mini(&s);

    (void)state;
    for (int train = 0; train < 2; train++) {
        pass(&s, g, NULL, train);
        pass(&s, g, "ref", train);
    }
    cts_golden_close(g);
}

/* Without gradients the graph is another one, with fused linear layers: same tokens. */
static void test_inference(void **state)
{
    scale s;
    cts_golden *g = open_mini(&s);
    float *volume = input_volume(&s, g);
    network n;

    (void)state;
    make(&n, &s, g, NULL, false, false);
    MUST(cts_exec_write(n.net.run.e, n.net.in.volume, volume));
    MUST(cts_exec_forward(n.net.run.e, 0));
    assert_true(check_tokens(&n, &s, g, "eval"));
    free(volume);
    cts_test_net_end(&n.net);
    cts_golden_close(g);
}

/* "small" and "full" of ct_scroll: the published width, weights by formula. */
static cts_golden *open_scale(scale *s, const char *key)
{
    cts_golden *g = cts_golden_need("ct_scroll.safetensors");
    json_t *j = cts_golden_need_meta_json(g, key), *size = json_object_get(j, "size");
    int64_t triplets = (int64_t)json_integer_value(json_object_get(j, "triplets"));

    *s = (scale){.file = "ct_scroll.safetensors", .width = 64, .embed = 512, .heads = 8};
    s->v[0] = 1;
    s->v[1] = 3 * triplets;
    s->v[2] = (int64_t)json_integer_value(json_array_get(size, 0));
    s->v[3] = (int64_t)json_integer_value(json_array_get(size, 1));
    s->window = (int64_t)json_integer_value(json_object_get(j, "window"));
    json_decref(j);
    return g;
}

static void test_published_width(void **state)
{
    scale s;
    cts_golden *g = open_scale(&s, "small");

    (void)state;
    s.prefix = "small.";
    pass(&s, g, NULL, false);
    pass(&s, g, NULL, true);
    cts_golden_close(g);
}

static void test_published_size(void **state)
{
    scale s;
    cts_golden *g = open_scale(&s, "full");
    float *volume, *labels = cts_golden_need_floats(g, "full.labels");
    network n;

    (void)state;
    volume = input_volume(&s, g);
    make(&n, &s, g, NULL, false, false);
    MUST(cts_exec_write(n.net.run.e, n.net.in.volume, volume));
    free(volume);
    MUST(cts_exec_forward(n.net.run.e, 0));
    s.prefix = "";
    assert_true(check_tokens(&n, &s, g, "full"));
    assert_true(check_cells(&n, &s, g, "full", labels));
    free(labels);
    cts_test_net_end(&n.net);
    cts_golden_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mini),
        cmocka_unit_test(test_inference),
        cmocka_unit_test(test_published_width),
        cmocka_unit_test(test_published_size),
    };

    return cmocka_run_group_tests_name("golden ct_scroll", tests, NULL, NULL);
}
