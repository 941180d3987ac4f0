/* The CLIP pair against the published CTCLIP class of DCFormer (clip_mini), quantiser included: for every reduction the
 * codes, latents, logits, loss and zero-shot numbers in evaluation, and one training step with all its gradients,
 * running statistics and the moved code book. SPDX-License-Identifier: MIT */
#include <math.h>

#include "encoders/tower.h"
#include "tests/support/text_batch.h"

#define CODEBOOK "visual_transformer.vq._codebook.embed"

typedef struct {
    cts_golden *g, *w;
    uint64_t seed;
    int64_t v[4];   /* volumes */
    int64_t latent; /* width of the space */
    int64_t codes;
    cts_backend *b;
} fixture;

static int set_up(void **state)
{
    fixture *f = cts_test_alloc(sizeof *f);
    int64_t s[8];

    f->g = cts_golden_need("clip_mini.safetensors");
    f->w = cts_golden_need("clip_mini.weights.safetensors");
    f->seed = cts_golden_seed(f->g);
    f->b = cts_test_backend(NULL);
    assert_int_equal(cts_golden_need_shape(f->g, s, "eval.text_latents"), 2);
    f->latent = s[1];
    assert_int_equal(cts_golden_need_shape(f->w, s, CODEBOOK), 3);
    f->codes = s[1];
    json_t *j = cts_golden_need_meta_json(f->g, "config");
    for (int i = 0; i < 4; i++)
        f->v[i] = json_integer_value(json_array_get(json_object_get(j, "shape"), (size_t)i));
    json_decref(j);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    cts_backend_destroy(f->b);
    cts_golden_close(f->g);
    cts_golden_close(f->w);
    free(f);
    return 0;
}

/* The model of the file with this reduction; its weights by name. */
static cts_clip *make_model(const fixture *f, const char *reduction)
{
    json_t *j = cts_golden_need_meta_json(f->g, "config"), *channels = json_object_get(j, "channels");
    json_t *blocks = json_object_get(j, "num_blocks"), *ours;
    cts_clip_config c = {0};
    cts_clip *m = NULL;
    char name[64];
    int i;

    ours =
        json_pack("{s:{s:s, s:{s:O, s:[I,I,I], s:s, s:b, s:I}}, s:{s:s, s:O}, s:I}", "image", "encoder", "dcformer",
                  "config", "channels", channels, "input_size", (json_int_t)f->v[1], (json_int_t)f->v[2],
                  (json_int_t)f->v[3], "reduction", reduction, "quantize", 1, "codebook_size", (json_int_t)f->codes,
                  "text", "encoder", "bert", "config", json_object_get(j, "bert"), "latent_dim", (json_int_t)f->latent);
    assert_non_null(ours);
    json_t *image = json_object_get(json_object_get(ours, "image"), "config");
    if (blocks)
        json_object_set(image, "num_blocks", blocks);
    else
        json_object_set_new(image, "num_blocks", json_pack("[i,i,i,i,i]", 1, 1, 1, 1, 1));
    if (json_object_get(j, "kernel_sizes"))
        json_object_set(image, "kernel_sizes", json_object_get(j, "kernel_sizes"));
    MUST(cts_clip_config_parse(&c, ours, "clip_mini"));
    MUST(cts_clip_create(&m, &c));
    cts_test_weights(m->params, f->w, f->seed, "", "");
    snprintf(name, sizeof name, "%s.weight.to_visual_latent.weight", reduction);
    assert_true(!strcmp(reduction, "channel") || cts_golden_has(f->g, "%s", name));
    if (cts_golden_has(f->g, "%s", name)) {
        float *v = cts_golden_need_floats(f->g, "%s", name);
        cts_param *p = cts_params_at(m->params, i = cts_params_find(m->params, "to_visual_latent.weight"));

        assert_int_equal(cts_golden_need_tensor(f->g, "%s", name)->count, p->count);
        memcpy(p->data, v, (size_t)p->count * sizeof *v);
        free(v);
    }
    json_decref(ours);
    json_decref(j);
    return m;
}

static text_batch read_texts(const fixture *f)
{
    int64_t *ids = cts_golden_need_ints(f->g, "input_ids"), *mask = cts_golden_need_ints(f->g, "attention_mask"), s[8];
    text_batch t;

    assert_int_equal(cts_golden_need_shape(f->g, s, "input_ids"), 2);
    t = cts_text_pack(ids, mask, NULL, s[0], s[1], false);
    free(ids);
    free(mask);
    return t;
}

/* ---- text side ------------------------------------------------------------------------------------------------- */

static void test_text_latents(void **state)
{
    const fixture *f = *state;
    cts_clip *m = make_model(f, "channel");
    cts_tower_spec spec = cts_clip_tower_spec(m, CTS_SIDE_TEXT);
    text_batch t = read_texts(f);
    cts_tower_options o = {.max_batch = t.n_seq};
    cts_token_batch batch = {t.n_seq, t.ids, t.offsets};
    const int32_t **ids = cts_test_alloc((size_t)t.n_seq * sizeof *ids);
    int32_t *n_ids = cts_test_alloc((size_t)t.n_seq * sizeof *n_ids);
    float *a = cts_test_alloc((size_t)(t.n_seq * f->latent) * sizeof *a);
    cts_tower *tower = NULL;

    MUST(cts_tower_create(&tower, &spec, &o, f->b, NULL));
    MUST(cts_tower_tokens(tower, &batch, 0, a));
    assert_true(cts_golden_near(f->g, "eval.text_latents", a, (size_t)(t.n_seq * f->latent), -1, 0));
    cts_tower_destroy(tower);

    /* the same in many small runs */
    o = (cts_tower_options){.max_batch = 2, .max_tokens = t.width};
    for (int64_t s = 0; s < t.n_seq; s++) {
        ids[s] = t.ids + t.offsets[s];
        n_ids[s] = t.offsets[s + 1] - t.offsets[s];
    }
    memset(a, 0, (size_t)(t.n_seq * f->latent) * sizeof *a);
    MUST(cts_tower_create(&tower, &spec, &o, f->b, NULL));
    MUST(cts_tower_encode_texts(tower, t.n_seq, ids, n_ids, a));
    assert_true(cts_golden_near(f->g, "eval.text_latents", a, (size_t)(t.n_seq * f->latent), -1, 0));
    cts_tower_destroy(tower);
    free(ids);
    free(n_ids);
    free(a);
    cts_text_free(&t);
    cts_clip_destroy(m);
}

/* ---- both sides ------------------------------------------------------------------------------------------------ */

/* "<reduction>.<what>" against the n values of v */
static bool near(const fixture *f, const char *reduction, const char *what, const float *v, int64_t n, double absolute)
{
    char name[64];

    snprintf(name, sizeof name, "%s.%s", reduction, what);
    return cts_golden_near(f->g, name, v, (size_t)n, -1, absolute);
}

static float *read_volumes(const fixture *f)
{
    float *v = cts_test_alloc((size_t)(f->v[0] * f->v[1] * f->v[2] * f->v[3]) * sizeof *v);

    cts_formula_volume(v, f->seed, "input.volume", f->v, 0, 1);
    return v;
}

/* The codes of all volumes in this mode; the file's margins say that none is a matter of rounding. */
static void check_codes(const fixture *f, cts_clip *m, bool train, const float *volumes)
{
    const char *name = train ? "train.vq_indices" : "vq_indices";
    int64_t *want = cts_golden_need_ints(f->g, "%s", name);
    size_t n = cts_golden_need_tensor(f->g, "%s", name)->count;
    int32_t *codes = cts_test_alloc(n * sizeof *codes);
    cts_encoder_inputs in;
    model_run r = {0};
    cts_build b;

    MUST(cts_graph_create(&r.g, m->params));
    in = cts_encoder_image_inputs(r.g, f->v[0], f->v + 1);
    b = cts_build_make(r.g, train);
    b.trace = true;
    cts_graph_output(r.g, cts_clip_build_tower(&b, &m->config, CTS_SIDE_IMAGE, &in, NULL), "latent");
    cts_test_plan(&r, f->b, NULL);
    MUST(cts_exec_write(r.e, in.volume, volumes));
    MUST(cts_exec_forward(r.e, 0));
    assert_int_equal(cts_tensor_count(cts_graph_find(r.g, "vq_indices")), n);
    MUST(cts_exec_read(r.e, cts_graph_find(r.g, "vq_indices"), codes));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(codes[i], want[i]);
    cts_test_end(&r);
    free(want);
    free(codes);
}

/* Everything the evaluation says about the latents zi, zt [n, d]. */
static bool check_scores(const fixture *f, const char *reduction, cts_clip *m, int64_t n, const float *zi,
                         const float *zt)
{
    float *logits = cts_test_alloc((size_t)(n * n) * sizeof *logits);
    float *own = cts_test_alloc((size_t)n * sizeof *own), value;
    cts_clip_loss *l = NULL;
    double loss;
    bool ok;

    for (int64_t i = 0; i < n * n; i++)
        logits[i] = (float)(exp(1.0) * cts_test_dot(zi + i / n * f->latent, zt + i % n * f->latent, (size_t)f->latent));
    for (int64_t i = 0; i < n; i++)
        own[i] = logits[i * n + i];
    ok = near(f, reduction, "eval.logits_i2t", logits, n * n, 0) & near(f, reduction, "eval.validation", own, n, 0) &
         near(f, reduction, "eval.zeroshot_logits", logits, 2, 0);
    value = (float)(1.0 / (1.0 + exp((double)logits[1] - logits[0])));
    ok &= near(f, reduction, "eval.zeroshot_probability", &value, 1, 0);
    MUST(cts_clip_loss_create(&l, m, CTS_LOSS_DCFORMER, n, f->b, NULL));
    MUST(cts_clip_loss_run(l, n, zi, zt, 1.0, &loss, NULL, NULL));
    cts_clip_loss_destroy(l);
    value = (float)loss;
    ok &= near(f, reduction, "eval.loss", &value, 1, 1e-6);
    free(logits);
    free(own);
    return ok;
}

static void evaluate(const fixture *f, const char *reduction)
{
    cts_clip *m = make_model(f, reduction);
    cts_tower_spec image = cts_clip_tower_spec(m, CTS_SIDE_IMAGE), text = cts_clip_tower_spec(m, CTS_SIDE_TEXT);
    text_batch t = read_texts(f);
    int64_t n = t.n_seq, d = f->latent;
    cts_tower_options io = {.max_batch = n, .volume = {f->v[1], f->v[2], f->v[3]}}, to = {.max_batch = n};
    cts_token_batch batch = {n, t.ids, t.offsets};
    float *volumes = read_volumes(f);
    float *zi = cts_test_alloc((size_t)(n * d) * sizeof *zi), *zt = cts_test_alloc((size_t)(n * d) * sizeof *zt);
    cts_tower *it = NULL, *tt = NULL;
    bool ok;

    MUST(cts_tower_create(&it, &image, &io, f->b, NULL));
    MUST(cts_tower_create(&tt, &text, &to, f->b, NULL));
    check_codes(f, m, false, volumes);
    MUST(cts_tower_volumes(it, n, volumes, 0, zi));
    MUST(cts_tower_tokens(tt, &batch, 0, zt));
    ok = near(f, reduction, "eval.image_latents", zi, n * d, 0);
    ok &= check_scores(f, reduction, m, n, zi, zt);
    assert_true(ok);
    cts_tower_destroy(it);
    cts_tower_destroy(tt);
    cts_clip_destroy(m);
    cts_text_free(&t);
    free(volumes);
    free(zi);
    free(zt);
}

static bool check_loss(const fixture *f, const char *reduction, cts_clip *m, cts_grads *grads, int64_t n,
                       const float *image, const float *text, float *d_image, float *d_text)
{
    cts_clip_loss *l = NULL;
    double loss;
    float value;

    MUST(cts_clip_loss_create(&l, m, CTS_LOSS_DCFORMER, n + 3, f->b, grads)); /* a larger plan than the batch */
    MUST(cts_clip_loss_run(l, n, image, text, 1.0, &loss, d_image, d_text));
    cts_clip_loss_destroy(l);
    value = (float)loss;
    return near(f, reduction, "train.loss", &value, 1, 1e-6);
}

static bool check_gradients(const fixture *f, const char *reduction, const cts_clip *m, const cts_grads *grads)
{
    char prefix[64], name[256];
    double top;
    int seen = 0;
    bool ok = true;

    snprintf(prefix, sizeof prefix, "%s.train.grad.", reduction);
    top = cts_test_largest(f->g, prefix);
    for (int i = 0; i < cts_params_n(m->params); i++) {
        const cts_param *p = cts_params_get(m->params, i);
        bool image = strstr(p->name, "visual_transformer.") != NULL;
        bool zero = strstr(p->name, "key.bias") ||
                    (image && strstr(p->name, ".0.bias") && !strstr(p->name, "norm.") && !strstr(p->name, "mlp."));

        snprintf(name, sizeof name, "%s%s", prefix, p->name);
        if (p->state || !cts_golden_has(f->g, "%s", name))
            continue;
        seen++;
        ok &= cts_golden_near(f->g, name, grads->data[i], (size_t)p->count,
                              zero    ? 0
                              : image ? 5e-4
                                      : 1e-5,
                              zero ? 5e-5 * top : 1e-6 * top);
    }
    print_message("%s: %d gradients\n", reduction, seen);
    assert_true(seen > 2);
    return ok;
}

/* Running statistics and the code book after the step. */
static bool check_statistics(const fixture *f, const cts_clip *m)
{
    char name[256];
    bool ok = cts_golden_has(f->g, "train.after." CODEBOOK);

    for (int i = 0; i < cts_params_n(m->params); i++) {
        const cts_param *p = cts_params_get(m->params, i);

        snprintf(name, sizeof name, "train.after.%s", p->name);
        if (p->state && cts_golden_has(f->g, "%s", name))
            ok &= cts_golden_near(f->g, name, p->data, (size_t)p->count, -1, 0);
    }
    return ok;
}

static void train_step(const fixture *f, const char *reduction)
{
    cts_clip *m = make_model(f, reduction);
    cts_tower_spec image = cts_clip_tower_spec(m, CTS_SIDE_IMAGE), text = cts_clip_tower_spec(m, CTS_SIDE_TEXT);
    text_batch t = read_texts(f);
    int64_t n = t.n_seq, d = f->latent;
    cts_tower_options io = {.train = true, .max_batch = n, .volume = {f->v[1], f->v[2], f->v[3]}};
    cts_tower_options to = {.train = true, .recompute = true, .max_batch = n};
    cts_token_batch batch = {n, t.ids, t.offsets};
    float *volumes = read_volumes(f);
    float *zi = cts_test_alloc((size_t)(n * d) * sizeof *zi), *zt = cts_test_alloc((size_t)(n * d) * sizeof *zt);
    float *di = cts_test_alloc((size_t)(n * d) * sizeof *di), *dt = cts_test_alloc((size_t)(n * d) * sizeof *dt);
    cts_tower *it = NULL, *tt = NULL;
    cts_grads *grads = NULL;
    bool ok;

    assert_int_equal(n, f->v[0]);
    check_codes(f, m, true, volumes);
    MUST(cts_grads_create(&grads, m->params));
    MUST(cts_tower_create(&it, &image, &io, f->b, grads));
    MUST(cts_tower_create(&tt, &text, &to, f->b, grads));
    MUST(cts_tower_volumes(it, n, volumes, CTS_RUN_UPDATE_STATE, zi));
    MUST(cts_tower_tokens(tt, &batch, 0, zt));
    ok = near(f, reduction, "train.image_latents", zi, n * d, 0);
    ok &= near(f, reduction, "train.text_latents", zt, n * d, 0);
    ok &= check_loss(f, reduction, m, grads, n, zi, zt, di, dt);
    MUST(cts_tower_backward(tt, dt));
    MUST(cts_tower_backward(it, di));
    ok &= check_gradients(f, reduction, m, grads);
    ok &= check_statistics(f, m);
    assert_true(ok);

    cts_tower_destroy(it);
    cts_tower_destroy(tt);
    cts_grads_destroy(grads);
    cts_clip_destroy(m);
    cts_text_free(&t);
    free(volumes);
    free(zi);
    free(zt);
    free(di);
    free(dt);
}

static void test_eval_channel(void **state)
{
    evaluate(*state, "channel");
}

static void test_eval_depth(void **state)
{
    evaluate(*state, "depth");
}

static void test_eval_none(void **state)
{
    evaluate(*state, "none");
}

static void test_train_channel(void **state)
{
    train_step(*state, "channel");
}

static void test_train_depth(void **state)
{
    train_step(*state, "depth");
}

static void test_train_none(void **state)
{
    train_step(*state, "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_latents), cmocka_unit_test(test_eval_channel),  cmocka_unit_test(test_eval_depth),
        cmocka_unit_test(test_eval_none),    cmocka_unit_test(test_train_channel), cmocka_unit_test(test_train_depth),
        cmocka_unit_test(test_train_none),
    };

    return cmocka_run_group_tests_name("golden clip", tests, set_up, tear_down);
}
