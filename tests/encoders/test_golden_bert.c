/* BERT against transformers (bert_mini, bert_base): hidden states at all positions with padding and holes behind the
 * key mask, the same packed without padding, every gradient, and the full-size shape by formula weights.
 * SPDX-License-Identifier: MIT */
#include "tests/support/text_batch.h"

typedef struct {
    model_net net;
    cts_encoder_info info;
    int64_t layers;
} network;

static void make(network *n, const cts_golden *g, const char *file, const char *backend, const text_batch *batch,
                 bool mask, bool grad)
{
    const cts_encoder_def *def = cts_encoder_find("bert");
    json_t *j = cts_golden_need_meta_json(g, "config");
    void *config = NULL;
    cts_build b;

    assert_non_null(def);
    MUST(def->parse(&config, j, file));
    n->layers = json_integer_value(json_object_get(j, "num_hidden_layers"));
    def->info(config, &n->info);
    cts_test_net_begin(&n->net, backend);
    n->net.in = cts_encoder_text_inputs(n->net.run.g, batch->n_seq, batch->n_tokens, mask);
    b = cts_build_make(n->net.run.g, false);
    b.grad = grad;
    b.trace = true;
    def->build(&b, config, &n->net.in, &n->net.out);
    cts_graph_output(n->net.run.g, n->net.out.vector, "vector");
    cts_test_weights(n->net.params, NULL, cts_golden_seed(g), "", "");
    cts_test_net_plan(&n->net, grad ? n->net.out.vector : NULL);
    cts_text_write(n->net.run.e, &n->net.in, batch);
    MUST(cts_exec_forward(n->net.run.e, 0));
    json_decref(j);
    free(config);
}

static text_batch read_batch(const cts_golden *g, const char *mask_name, bool types, bool padded)
{
    int64_t *ids = cts_golden_need_ints(g, "input_ids"), *mask = cts_golden_need_ints(g, "%s", mask_name);
    int64_t *kind = types ? cts_golden_need_ints(g, "token_type_ids") : NULL, shape[8];
    text_batch b;

    assert_int_equal(cts_golden_need_shape(g, shape, "input_ids"), 2);
    b = cts_text_pack(ids, mask, kind, shape[0], shape[1], padded);
    free(ids);
    free(mask);
    free(kind);
    return b;
}

/* Hidden state of layer `layer` at the first tokens against golden cls.layer<layer>. */
static bool check_cls(network *n, const text_batch *batch, const cts_golden *g, int64_t layer)
{
    size_t h = (size_t)n->info.vector_dim;
    float *cls = cts_test_alloc((size_t)batch->n_seq * h * sizeof *cls), *v;
    char name[64];
    bool ok;

    snprintf(name, sizeof name, "hidden%lld", (long long)layer);
    v = cts_test_read(&n->net.run, name, NULL);
    for (int64_t s = 0; s < batch->n_seq; s++)
        memcpy(cls + (size_t)s * h, v + (size_t)batch->first[s] * h, h * sizeof *cls);
    snprintf(name, sizeof name, "cls.layer%lld", (long long)layer);
    ok = cts_golden_near(g, name, cls, (size_t)batch->n_seq * h, -1, 0);
    free(v);
    free(cls);
    return ok;
}

static void forward_on(const char *backend)
{
    cts_golden *g = cts_golden_need("bert_mini.safetensors");
    text_batch batch = read_batch(g, "attention_mask", true, true);
    bool ok = true;
    network n;
    float *last;
    char name[32];

    make(&n, g, "bert_mini", backend, &batch, true, false);
    for (int64_t l = 0; l <= n.layers; l++)
        ok &= check_cls(&n, &batch, g, l);
    snprintf(name, sizeof name, "hidden%lld", (long long)n.layers);
    last = cts_test_read(&n.net.run, name, NULL); /* padding included: packed rows are the padded rows */
    ok &= cts_golden_near(g, "last_hidden_state", last, (size_t)(batch.n_tokens * n.info.token_dim), -1, 0);
    assert_true(ok);
    free(last);
    cts_test_net_end(&n.net);
    cts_text_free(&batch);
    cts_golden_close(g);
}

static void test_padded_forward(void **state)
{
    (void)state;
    forward_on(NULL);
    forward_on("ref");
}

/* Without padding and without a mask, the unpadded positions come out the same. */
static void test_packed_forward(void **state)
{
    cts_golden *g = cts_golden_need("bert_mini.safetensors");
    text_batch batch = read_batch(g, "attention_mask", true, false);
    network n;
    float *last, *all;
    size_t h;
    char name[32];

    (void)state;
    make(&n, g, "bert_mini", NULL, &batch, false, false);
    assert_true(batch.n_tokens < batch.n_seq * batch.width);
    h = (size_t)n.info.token_dim;
    for (int64_t l = 0; l <= n.layers; l++)
        assert_true(check_cls(&n, &batch, g, l));
    snprintf(name, sizeof name, "hidden%lld", (long long)n.layers);
    last = cts_test_read(&n.net.run, name, NULL);
    all = cts_golden_need_floats(g, "last_hidden_state");
    for (int64_t i = 0; i < batch.n_tokens; i++) /* put into place, the padding's rows stay as they are */
        memcpy(all + (size_t)batch.row[i] * h, last + (size_t)i * h, h * sizeof *all);
    assert_true(cts_golden_near(g, "last_hidden_state", all, (size_t)(batch.n_seq * batch.width) * h, -1, 0));
    free(last);
    free(all);
    cts_test_net_end(&n.net);
    cts_text_free(&batch);
    cts_golden_close(g);
}

static void vector_case(const char *mask, bool types, const char *golden)
{
    cts_golden *g = cts_golden_need("bert_mini.safetensors");
    text_batch batch = read_batch(g, mask, types, true);
    network n;
    float *v;

    make(&n, g, "bert_mini", NULL, &batch, true, false);
    v = cts_test_read(&n.net.run, "vector", NULL);
    assert_true(cts_golden_near(g, golden, v, (size_t)(batch.n_seq * n.info.vector_dim), -1, 0));
    free(v);
    cts_test_net_end(&n.net);
    cts_text_free(&batch);
    cts_golden_close(g);
}

static void test_default_types(void **state)
{
    (void)state;
    vector_case("attention_mask", false, "default_types.cls");
}

static void test_hole_in_mask(void **state)
{
    (void)state;
    vector_case("hole.attention_mask", false, "hole.cls");
}

static void gradients_on(const char *backend, bool padded)
{
    cts_golden *g = cts_golden_need("bert_mini.safetensors");
    text_batch batch = read_batch(g, "attention_mask", true, padded);
    float *weight = cts_golden_need_floats(g, "loss_weight"), *v, loss;
    double top = cts_test_largest(g, "grad.");
    bool ok = true;
    network n;

    make(&n, g, "bert_mini", backend, &batch, padded, true);
    v = cts_test_read(&n.net.run, "vector", NULL);
    loss = (float)cts_test_dot(v, weight, (size_t)(batch.n_seq * n.info.vector_dim));
    ok &= cts_golden_near(g, "loss", &loss, 1, -1, 1e-5);
    MUST(cts_exec_write(n.net.run.e, n.net.d_target, weight));
    MUST(cts_exec_backward(n.net.run.e));
    for (int i = 0; i < cts_params_n(n.net.params); i++) {
        const cts_param *p = cts_params_get(n.net.params, i);
        char name[256];

        snprintf(name, sizeof name, "grad.%s", p->name);
        /* a key bias moves all scores of a query alike: zero in exact arithmetic */
        ok &= cts_golden_near(g, name, n.net.grads->data[i], (size_t)p->count, strstr(p->name, "key.bias") ? 0 : -1,
                              1e-6 * top);
    }
    assert_true(ok);
    free(weight);
    free(v);
    cts_test_net_end(&n.net);
    cts_text_free(&batch);
    cts_golden_close(g);
}

static void test_gradients(void **state)
{
    (void)state;
    gradients_on(NULL, true);
    gradients_on(NULL, false);
    gradients_on("ref", false);
}

/* The stored state dict holds the formula's values under our names, and beside them only the pooler. */
static void test_state_dict_names(void **state)
{
    cts_golden *g = cts_golden_need("bert_mini.safetensors"), *w = NULL;
    text_batch batch = read_batch(g, "attention_mask", true, false);
    char path[4096];
    network n;

    (void)state;
    snprintf(path, sizeof path, "%s/bert_mini/model.safetensors", cts_golden_dir());
    if (cts_golden_open_path(&w, path) != CTS_OK) {
        if (getenv("CTS_GOLDEN_DIR"))
            fail_msg("%s", cts_error());
        print_message("skipped: %s\n", cts_error());
        cts_text_free(&batch);
        cts_golden_close(g);
        skip();
    }
    make(&n, g, "bert_mini", NULL, &batch, false, false);
    for (int i = 0; i < cts_params_n(n.net.params); i++) {
        const cts_param *p = cts_params_get(n.net.params, i);
        float *v = cts_golden_need_floats(w, "%s", p->name);

        assert_int_equal(cts_golden_need_tensor(w, "%s", p->name)->count, p->count);
        assert_memory_equal(v, p->data, (size_t)p->count * sizeof *v);
        free(v);
    }
    for (size_t i = 0; i < cts_golden_count(w); i++)
        if (!strstr(cts_golden_at(w, i)->name, "pooler"))
            assert_true(cts_params_find(n.net.params, cts_golden_at(w, i)->name) >= 0);
    cts_test_net_end(&n.net);
    cts_text_free(&batch);
    cts_golden_close(w);
    cts_golden_close(g);
}

static void test_base(void **state)
{
    cts_golden *g = cts_golden_need("bert_base.safetensors");
    text_batch batch = read_batch(g, "attention_mask", false, false);
    char name[64];
    int64_t last = 0;
    size_t h;
    float *all, *v;
    network n;

    (void)state;
    make(&n, g, "bert_base", NULL, &batch, false, false);
    h = (size_t)n.info.vector_dim;
    all = cts_test_alloc((size_t)(batch.n_seq * (n.layers + 1)) * h * sizeof *all);
    for (int64_t l = 0; l <= n.layers; l++) {
        snprintf(name, sizeof name, "hidden%lld", (long long)l);
        v = cts_test_read(&n.net.run, name, NULL);
        for (int64_t s = 0; s < batch.n_seq; s++)
            memcpy(all + (size_t)(s * (n.layers + 1) + l) * h, v + (size_t)batch.first[s] * h, h * sizeof *v);
        free(v);
    }
    assert_true(cts_golden_near(g, "cls.layers", all, (size_t)(batch.n_seq * (n.layers + 1)) * h, -1, 0));
    free(all);
    snprintf(name, sizeof name, "hidden%lld", (long long)n.layers);
    v = cts_test_read(&n.net.run, name, NULL);
    for (int64_t s = 0; s < batch.n_seq; s++) { /* stored for the sequences that fill the width */
        snprintf(name, sizeof name, "last_hidden_state.seq%lld", (long long)s);
        if (!cts_golden_has(g, "%s", name))
            continue;
        assert_int_equal(batch.offsets[s + 1] - batch.offsets[s], batch.width);
        assert_true(cts_golden_near(g, name, v + (size_t)batch.first[s] * h, (size_t)batch.width * h, -1, 0));
        last++;
    }
    assert_true(last > 0);
    free(v);
    cts_test_net_end(&n.net);
    cts_text_free(&batch);
    cts_golden_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_padded_forward), cmocka_unit_test(test_packed_forward),
        cmocka_unit_test(test_default_types),  cmocka_unit_test(test_hole_in_mask),
        cmocka_unit_test(test_gradients),      cmocka_unit_test(test_state_dict_names),
        cmocka_unit_test(test_base),
    };

    return cmocka_run_group_tests_name("golden bert", tests, NULL, NULL);
}
