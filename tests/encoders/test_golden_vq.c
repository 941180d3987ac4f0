/* The vector quantiser against vector_quantize_pytorch (vq): lookup, straight-through training, two updates of the code
 * book, ties and zeros, and behind a DCFormer.
 * SPDX-License-Identifier: MIT */
#include "encoders/quantizer.h"
#include "tests/support/model_run.h"

#define EMBED "vq._codebook.embed"
#define SIZE "vq._codebook.cluster_size"

typedef struct {
    cts_backend *b;
    cts_params *params;
    cts_grads *grads;
    model_run r;
    cts_tensor *x, *y, *dy;
    size_t count; /* of x and y */
} fixture;

/* A quantiser on tokens of the shape of golden tensor `like`. */
static fixture open_quantizer(const cts_golden *g, const char *like, int64_t codes, bool train, bool backward)
{
    fixture f = {.b = cts_test_backend(NULL)};
    int64_t shape[8];
    int n_dims = cts_golden_need_shape(g, shape, "%s", like);
    cts_build b;

    MUST(cts_params_create(&f.params));
    MUST(cts_graph_create(&f.r.g, f.params));
    f.x = cts_graph_input(f.r.g, "x", CTS_F32, n_dims, shape, CTS_SYM_NONE);
    f.x->want_grad = true;
    f.count = (size_t)cts_tensor_count(f.x);
    b = cts_build_make(f.r.g, train);
    b.trace = true;
    f.y = cts_block_quantize(&b, f.x, codes);
    cts_graph_output(f.r.g, f.y, "y");
    if (backward)
        MUST(cts_backward(f.r.g, 1, &f.y, &f.dy));
    MUST(cts_params_init(f.params, 1));
    MUST(cts_grads_create(&f.grads, f.params));
    cts_test_plan(&f.r, f.b, f.grads);
    return f;
}

static void close_quantizer(fixture *f)
{
    cts_test_end(&f->r);
    cts_grads_destroy(f->grads);
    cts_params_destroy(f->params);
    cts_backend_destroy(f->b);
}

static float *entry(const fixture *f, const char *name)
{
    int i = cts_params_find(f->params, name);

    assert_true(i >= 0);
    return cts_params_at(f->params, i)->data;
}

static void load(const fixture *f, const char *name, const cts_golden *g, const char *golden)
{
    float *v = cts_golden_need_floats(g, "%s", golden);

    assert_int_equal(cts_golden_need_tensor(g, "%s", golden)->count,
                     cts_params_get(f->params, cts_params_find(f->params, name))->count);
    memcpy(entry(f, name), v, cts_golden_need_tensor(g, "%s", golden)->count * sizeof *v);
    free(v);
}

static int64_t n_codes(const cts_golden *g, const char *book)
{
    int64_t shape[8];
    int n = cts_golden_need_shape(g, shape, "%s", book);

    return shape[n - 2];
}

static void forward(fixture *f, const cts_golden *g, const char *tokens, int flags)
{
    float *x = cts_golden_need_floats(g, "%s", tokens);

    MUST(cts_exec_write(f->r.e, f->x, x));
    MUST(cts_exec_params_changed(f->r.e));
    MUST(cts_exec_forward(f->r.e, flags));
    free(x);
}

/* Codes and, unless NULL, the output (relative < 0 = the rule of tolerances.json). The codes must be equal: no margin
 * of the file is a matter of rounding. */
static bool check(fixture *f, const cts_golden *g, const char *indices, const char *output, double relative)
{
    int64_t *want = cts_golden_need_ints(g, "%s", indices);
    size_t n = cts_golden_need_tensor(g, "%s", indices)->count;
    int32_t *codes = cts_test_alloc(n * sizeof *codes);
    float *y = cts_test_read(&f->r, "y", NULL);
    bool ok = true;

    MUST(cts_exec_read(f->r.e, cts_graph_find(f->r.g, "vq_indices"), codes));
    for (size_t i = 0; i < n; i++)
        if (codes[i] != want[i]) {
            fprintf(stderr, "%s[%zu]: code %d, wanted %lld\n", indices, i, codes[i], (long long)want[i]);
            ok = false;
        }
    if (output)
        ok &= cts_golden_near(g, output, y, f->count, relative, 0);
    free(want);
    free(codes);
    free(y);
    return ok;
}

/* Evaluation: rows as they are stored, to the bit; nothing goes back. */
static void test_eval(void **state)
{
    cts_golden *g = cts_golden_need("vq.safetensors");
    fixture f = open_quantizer(g, "tokens", n_codes(g, "before._codebook.embed"), false, true);

    (void)state;
    assert_null(cts_graph_find(f.r.g, "d.x"));
    load(&f, EMBED, g, "before._codebook.embed");
    forward(&f, g, "tokens", CTS_RUN_UPDATE_STATE);
    assert_true(check(&f, g, "eval.indices", "eval.quantized", 0));
    assert_true(cts_golden_near(g, "before._codebook.embed", entry(&f, EMBED),
                                cts_golden_need_tensor(g, "before._codebook.embed")->count, 0, 0));
    close_quantizer(&f);
    cts_golden_close(g);
}

static bool check_book(const fixture *f, const cts_golden *g, const char *when)
{
    char name[64];
    bool ok;

    snprintf(name, sizeof name, "%s._codebook.embed", when);
    ok = cts_golden_near(g, name, entry(f, EMBED), cts_golden_need_tensor(g, "%s", name)->count, -1, 0);
    snprintf(name, sizeof name, "%s._codebook.cluster_size", when);
    return ok & cts_golden_near(g, name, entry(f, SIZE), cts_golden_need_tensor(g, "%s", name)->count, -1, 0);
}

/* Mean square of output - tokens: what the commitment loss of published models is, before they drop it. */
static float commitment(fixture *f, const cts_golden *g, const char *tokens)
{
    float *x = cts_golden_need_floats(g, "%s", tokens), *y = cts_test_read(&f->r, "y", NULL);
    double sum = 0.0;

    for (size_t i = 0; i < f->count; i++)
        sum += ((double)y[i] - x[i]) * ((double)y[i] - x[i]);
    free(x);
    free(y);
    return (float)(sum / (double)f->count);
}

/* Training: two forwards that move the code book, and the gradient of the first. */
static void test_train(void **state)
{
    cts_golden *g = cts_golden_need("vq.safetensors");
    fixture f = open_quantizer(g, "tokens", n_codes(g, "before._codebook.embed"), true, true);
    float *weight = cts_golden_need_floats(g, "train.loss_weight"), *dx, commit;
    bool ok;

    (void)state;
    load(&f, EMBED, g, "before._codebook.embed");
    load(&f, SIZE, g, "before._codebook.cluster_size");
    forward(&f, g, "tokens", CTS_RUN_UPDATE_STATE);
    ok = check(&f, g, "eval.indices", "train.quantized", -1);
    commit = commitment(&f, g, "tokens");
    ok &= cts_golden_near(g, "train.commit_loss", &commit, 1, -1, 0);
    MUST(cts_exec_write(f.r.e, f.dy, weight));
    MUST(cts_exec_backward(f.r.e));
    dx = cts_test_read(&f.r, "d.x", NULL);
    ok &= cts_golden_near(g, "train.grad.tokens", dx, f.count, 0, 0);
    ok &= check_book(&f, g, "after1");
    forward(&f, g, "train.tokens2", CTS_RUN_UPDATE_STATE);
    ok &= check(&f, g, "train.indices2", NULL, 0);
    ok &= check_book(&f, g, "after2");
    assert_true(ok);
    free(weight);
    free(dx);
    close_quantizer(&f);
    cts_golden_close(g);
}

/* A token of zeros, a row that occurs twice, a row of zeros. */
static void test_special(void **state)
{
    cts_golden *g = cts_golden_need("vq.safetensors");
    fixture f = open_quantizer(g, "special.tokens", n_codes(g, "special.codebook"), false, false);

    (void)state;
    load(&f, EMBED, g, "special.codebook");
    forward(&f, g, "special.tokens", 0);
    assert_true(check(&f, g, "special.indices", "special.quantized", 0));
    close_quantizer(&f);
    cts_golden_close(g);
}

/* ---- behind the encoder ---------------------------------------------------------------------------------------- */

static const cts_encoder_def *make_encoder(const cts_golden *g, void **config, int64_t v[4])
{
    json_t *model = cts_golden_need_meta_json(g, "model"), *j;
    const cts_encoder_def *def = NULL;

    for (int i = 0; i < 4; i++)
        v[i] = json_integer_value(json_array_get(json_object_get(model, "volume_shape"), (size_t)i));
    j = json_pack("{s:s, s:{s:O, s:O, s:[I,I,I], s:b, s:O}}", "encoder", "dcformer", "config", "num_blocks",
                  json_object_get(model, "num_blocks"), "channels", json_object_get(model, "channels"), "input_size",
                  (json_int_t)v[1], (json_int_t)v[2], (json_int_t)v[3], "quantize", 1, "codebook_size",
                  json_object_get(model, "codebook"));
    assert_non_null(j);
    MUST(cts_encoder_from_json(&def, config, j, CTS_KIND_IMAGE, "vq"));
    json_decref(j);
    json_decref(model);
    return def;
}

static void test_model(void **state)
{
    cts_golden *g = cts_golden_need("vq.safetensors");
    fixture f = {.b = cts_test_backend(NULL)};
    cts_encoder_outputs out = {0};
    void *config = NULL;
    int64_t v[4];
    const cts_encoder_def *def = make_encoder(g, &config, v);
    cts_encoder_inputs in;
    float *volume, *before;
    cts_build b;

    (void)state;
    MUST(cts_params_create(&f.params));
    MUST(cts_graph_create(&f.r.g, f.params));
    in = cts_encoder_image_inputs(f.r.g, v[0], v + 1);
    b = cts_build_make(f.r.g, false);
    b.trace = true;
    def->build(&b, config, &in, &out);
    cts_graph_output(f.r.g, out.tokens, "y");
    f.count = (size_t)cts_tensor_count(out.tokens);
    cts_test_weights(f.params, NULL, cts_golden_seed(g), "", "");
    load(&f, EMBED, g, "model.codebook");
    cts_test_plan(&f.r, f.b, NULL);
    volume = cts_test_alloc((size_t)(v[0] * v[1] * v[2] * v[3]) * sizeof *volume);
    cts_formula_volume(volume, cts_golden_seed(g), "input.volume", v, 0, 1);
    MUST(cts_exec_write(f.r.e, in.volume, volume));
    MUST(cts_exec_forward(f.r.e, 0));
    before = cts_test_read(&f.r, "stage4", NULL);
    assert_true(cts_golden_near(g, "model.tokens_before", before, f.count, -1, 0));
    assert_true(check(&f, g, "model.indices", "model.tokens_after", 0));
    free(volume);
    free(before);
    free(config);
    close_quantizer(&f);
    cts_golden_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_eval), cmocka_unit_test(test_train),
                                       cmocka_unit_test(test_special), cmocka_unit_test(test_model)};

    return cmocka_run_group_tests_name("golden vq", tests, NULL, NULL);
}
