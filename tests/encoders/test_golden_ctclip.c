/* CT-CLIP as one model against the published code (ctclip_mini): CT-ViT, BERT, both projections, the learned
 * temperature, latents, similarities, zero-shot scores, the loss and every gradient; and the first release, whose
 * vector keeps all tokens. Configuration and shapes come from the file, tolerances from section 9 of its description.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "encoders/tower.h"
#include "tests/support/ctclip_run.h"
#include "tests/support/text_batch.h"

#define ACTIVATION 1e-4 /* of the rms */
#define SCORE 5e-6      /* absolute: latents, logits, loss */
#define GRADIENT 1e-4   /* of the tensor's largest value */

typedef struct {
    cts_golden *g;
    uint64_t seed;
    int64_t v[4], grid[5], latent; /* volumes, tokens, width of the space */
    float *video;
    cts_backend *b;
} fixture;

static int set_up(void **state)
{
    fixture *f = cts_test_alloc(sizeof *f);
    json_t *j;

    f->g = cts_golden_need("ctclip_mini.safetensors");
    f->seed = cts_golden_seed(f->g);
    f->b = cts_test_backend(NULL);
    f->latent = cts_golden_need_meta_int(f->g, "dim_latent");
    assert_int_equal(cts_golden_need_meta_ints(f->g, "grid", f->grid, 4), 4);
    j = cts_golden_need_meta_json(f->g, "config");
    f->grid[4] = json_integer_value(json_object_get(j, "dim"));
    f->v[0] = f->grid[0];
    f->v[1] = f->grid[1] * json_integer_value(json_object_get(j, "temporal_patch_size"));
    for (size_t i = 0; i < 2; i++)
        f->v[2 + i] = json_integer_value(json_array_get(json_object_get(j, "image_size"), i));
    json_decref(j);
    f->video = cts_golden_find(f->g, "input.video") ? cts_ctclip_need_volume(f->g, "input.video", f->v)
                                                    : cts_ctclip_need_volume(f->g, "input.clip", f->v);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    cts_backend_destroy(f->b);
    cts_golden_close(f->g);
    free(f->video);
    free(f);
    return 0;
}

static cts_clip *make_model(const fixture *f, const char *reduction)
{
    json_t *j = json_pack("{s:{s:s, s:o}, s:{s:s, s:o}, s:I, s:{s:s, s:f}}", "image", "encoder", "ctvit", "config",
                          cts_ctclip_config(f->g, f->v[1], reduction), "text", "encoder", "bert", "config",
                          cts_golden_need_meta_json(f->g, "bert"), "latent_dim", (json_int_t)f->latent, "temperature",
                          "kind", "learned", "value", 1.0);
    cts_clip_config c = {0};
    cts_clip *m = NULL;

    assert_non_null(j);
    MUST(cts_clip_config_parse(&c, j, "ctclip_mini"));
    MUST(cts_clip_create(&m, &c));
    cts_ctclip_weights(m->params, f->g, f->seed, "weight.", "");
    json_decref(j);
    return m;
}

static text_batch read_texts(const fixture *f, const char *ids_name, const char *mask_name)
{
    int64_t *ids = cts_golden_need_ints(f->g, "%s", ids_name), *mask = cts_golden_need_ints(f->g, "%s", mask_name);
    int64_t s[8];
    text_batch t;

    assert_int_equal(cts_golden_need_shape(f->g, s, "%s", ids_name), 2);
    t = cts_text_pack(ids, mask, NULL, s[0], s[1], false);
    free(ids);
    free(mask);
    return t;
}

static float *text_latents(const fixture *f, const cts_clip *m, const text_batch *t)
{
    cts_tower_spec spec = cts_clip_tower_spec(m, CTS_SIDE_TEXT);
    cts_tower_options o = {.max_batch = t->n_seq};
    cts_token_batch batch = {t->n_seq, t->ids, t->offsets};
    float *z = cts_test_alloc((size_t)(t->n_seq * f->latent) * sizeof *z);
    cts_tower *tower = NULL;

    MUST(cts_tower_create(&tower, &spec, &o, f->b, NULL));
    MUST(cts_tower_tokens(tower, &batch, 0, z));
    cts_tower_destroy(tower);
    return z;
}

static float *image_latents(const fixture *f, const cts_clip *m)
{
    cts_tower_spec spec = cts_clip_tower_spec(m, CTS_SIDE_IMAGE);
    cts_tower_options o = {.max_batch = f->v[0] + 1}; /* a larger plan than the batch */
    float *z = cts_test_alloc((size_t)(f->v[0] * f->latent) * sizeof *z);
    cts_tower *tower = NULL;

    MUST(cts_tower_create(&tower, &spec, &o, f->b, NULL));
    MUST(cts_tower_volumes(tower, f->v[0], f->video, 0, z));
    cts_tower_destroy(tower);
    return z;
}

/* ---- scores ---------------------------------------------------------------------------------------------------- */

static double temperature(const cts_clip *m)
{
    const cts_param *e = cts_params_get(m->params, cts_params_find(m->params, "temperature"));

    assert_false(e->state);
    return exp((double)e->data[0]);
}

/* [n, m] = scale * rows of a times rows of b */
static float *similarities(const float *a, int64_t n, const float *b, int64_t m, int64_t d, double scale)
{
    float *s = cts_test_alloc((size_t)(n * m) * sizeof *s);

    for (int64_t i = 0; i < n * m; i++)
        s[i] = (float)(scale * cts_test_dot(a + i / m * d, b + i % m * d, (size_t)d));
    return s;
}

static bool score(const fixture *f, const char *name, const float *got, int64_t n)
{
    return cts_ctclip_max_near(f->g, name, got, (size_t)n, 0, SCORE);
}

static void softmax_pairs(float *s, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++) {
        double p = 1.0 / (1.0 + exp((double)s[2 * i + 1] - s[2 * i]));

        s[2 * i] = (float)p;
        s[2 * i + 1] = (float)(1.0 - p);
    }
}

static bool check_loss(const fixture *f, const cts_clip *m, const char *name, const float *image, const float *text,
                       cts_grads *grads, float *d_image, float *d_text)
{
    cts_clip_loss *l = NULL;
    double loss;
    float value;

    MUST(cts_clip_loss_create(&l, m, CTS_LOSS_DCFORMER, f->v[0], f->b, grads));
    MUST(cts_clip_loss_run(l, f->v[0], image, text, 1.0, &loss, d_image, d_text));
    cts_clip_loss_destroy(l);
    value = (float)loss;
    return score(f, name, &value, 1);
}

static void test_scores(void **state)
{
    const fixture *f = *state;
    cts_clip *m = make_model(f, "depth");
    text_batch t = read_texts(f, "input.ids", "input.mask"), p = read_texts(f, "input.prompt_ids", "input.prompt_mask");
    int64_t n = f->v[0], d = f->latent;
    float *zi = image_latents(f, m), *zt = text_latents(f, m, &t), *zp = text_latents(f, m, &p), *sim, *zero;
    float *diagonal = cts_test_alloc((size_t)n * sizeof *diagonal);
    bool ok;

    assert_int_equal(t.n_seq, n);
    ok = score(f, "out.image_latents", zi, n * d);
    ok &= score(f, "out.text_latents", zt, n * d);
    ok &= score(f, "out.prompt_latents", zp, p.n_seq * d);
    sim = similarities(zt, n, zi, n, d, temperature(m)); /* rows are texts */
    ok &= score(f, "out.sim", sim, n * n);
    for (int64_t i = 0; i < n; i++)
        diagonal[i] = sim[i * n + i];
    ok &= score(f, "out.pair_logits", diagonal, n);
    zero = similarities(zi, n, zp, p.n_seq, d, temperature(m));
    ok &= score(f, "out.zeroshot_logits", zero, n * p.n_seq);
    assert_int_equal(p.n_seq, 2);
    softmax_pairs(zero, n);
    ok &= score(f, "out.zeroshot_softmax", zero, n * 2);
    ok &= check_loss(f, m, "out.loss_eval", zi, zt, NULL, NULL, NULL);
    assert_true(ok);
    cts_text_free(&t);
    cts_text_free(&p);
    cts_clip_destroy(m);
    free(zi);
    free(zt);
    free(zp);
    free(sim);
    free(zero);
    free(diagonal);
}

/* The linear probe: relu and a layer on the embedding; its rows are the 18 findings. */
static void test_probe(void **state)
{
    const fixture *f = *state;
    json_t *labels = json_array();
    cts_classifier k = {0};
    cts_clip *m, *probed = NULL;
    cts_clip_config c;
    cts_tower_spec spec;
    cts_tower *tower = NULL;
    float *z, *p;
    int64_t shape[CTS_MAX_DIMS], n = f->v[0];
    json_t *j, *config;
    bool ok;

    assert_int_equal(cts_golden_need_shape(f->g, shape, "out.lipro_logits"), 2);
    for (int64_t i = 0; i < shape[1]; i++) {
        char name[32];

        snprintf(name, sizeof name, "label %lld", (long long)i);
        json_array_append_new(labels, json_string(name));
    }
    j = json_pack("{s:o, s:s, s:s, s:b, s:f}", "labels", labels, "head", "linear", "input", "embedding", "relu", 1,
                  "dropout", 0.3);
    m = make_model(f, "depth");
    assert_non_null(config = cts_clip_config_write(&m->config));
    cts_clip_destroy(m);
    MUST(cts_clip_config_parse(&c, config, "ctclip_mini"));
    MUST(cts_classifier_parse(&k, j, "test"));
    MUST(cts_clip_config_classify(&c, &k, "test"));
    MUST(cts_clip_create(&probed, &c));
    cts_ctclip_weights(probed->params, f->g, f->seed, "weight.", "");
    spec = cts_clip_logits_spec(probed);
    MUST(cts_tower_create(&tower, &spec, &(cts_tower_options){.max_batch = n}, f->b, NULL));
    assert_int_equal(cts_tower_dim(tower), shape[1]);
    z = cts_test_alloc((size_t)(n * shape[1]) * sizeof *z);
    p = cts_test_alloc((size_t)(n * shape[1]) * sizeof *p);
    MUST(cts_tower_volumes(tower, n, f->video, 0, z));
    for (int64_t i = 0; i < n * shape[1]; i++)
        p[i] = (float)(1.0 / (1.0 + exp(-(double)z[i])));
    ok = score(f, "out.lipro_logits", z, n * shape[1]);
    ok &= score(f, "out.lipro_prob", p, n * shape[1]);
    assert_true(ok);
    cts_tower_destroy(tower);
    cts_clip_destroy(probed);
    json_decref(config);
    json_decref(j);
    free(z);
    free(p);
}

/* The first release has no mean over t. */
static void test_first_release(void **state)
{
    const fixture *f = *state;
    cts_clip *m = make_model(f, "none");
    const char *name = "v1.to_visual_latent.weight";
    cts_param *e = cts_params_at(m->params, cts_params_find(m->params, "to_visual_latent.weight"));
    float *z;

    assert_int_equal(e->shape[1], f->grid[1] * f->grid[2] * f->grid[3] * f->grid[4]);
    if (cts_golden_find(f->g, "weight.%s", name)) {
        float *w = cts_golden_need_floats(f->g, "weight.%s", name);

        assert_int_equal(cts_golden_need_tensor(f->g, "weight.%s", name)->count, e->count);
        memcpy(e->data, w, (size_t)e->count * sizeof *w);
        free(w);
    } else {
        cts_formula_fill(e->data, (size_t)e->count, f->seed, name, 0, sqrt(3.0 / (double)e->shape[1]));
    }
    z = image_latents(f, m);
    assert_true(score(f, "out.v1_image_latents", z, f->v[0] * f->latent));
    cts_clip_destroy(m);
    free(z);
}

/* ---- one side as a graph --------------------------------------------------------------------------------------- */

typedef struct {
    model_run run;
    cts_encoder_inputs in;
    cts_encoder_outputs enc;
    cts_tensor *z, *dz;
} side_graph;

static void make_side(side_graph *s, const fixture *f, const cts_clip *m, cts_side side, const text_batch *t,
                      cts_grads *grads)
{
    cts_build b;

    memset(s, 0, sizeof *s);
    MUST(cts_graph_create(&s->run.g, m->params));
    s->in = side == CTS_SIDE_IMAGE ? cts_encoder_image_inputs(s->run.g, f->v[0], f->v + 1)
                                   : cts_encoder_text_inputs(s->run.g, t->n_seq, t->n_tokens, false);
    if (grads && side == CTS_SIDE_IMAGE)
        s->in.volume->want_grad = true;
    b = cts_build_make(s->run.g, grads != NULL);
    b.trace = side == CTS_SIDE_IMAGE && !grads;
    s->z = cts_clip_build_tower(&b, &m->config, side, &s->in, &s->enc);
    cts_graph_output(s->run.g, s->z, "z");
    cts_graph_output(s->run.g, s->enc.tokens, "tokens");
    cts_graph_output(s->run.g, s->enc.vector, "vector");
    if (grads)
        MUST(cts_backward(s->run.g, 1, &s->z, &s->dz));
    cts_test_plan(&s->run, f->b, grads);
    if (side == CTS_SIDE_IMAGE)
        MUST(cts_exec_write(s->run.e, s->in.volume, f->video));
    else
        cts_text_write(s->run.e, &s->in, t);
}

static bool tensor_near(side_graph *s, const fixture *f, const char *output, const char *golden)
{
    const cts_tensor *t;
    float *v = cts_test_read(&s->run, output, &t);
    bool ok = cts_golden_near(f->g, golden, v, (size_t)cts_tensor_count(t), ACTIVATION, 0);

    free(v);
    return ok;
}

static bool same_codes(side_graph *s, const fixture *f)
{
    const cts_tensor *t = cts_graph_find(s->run.g, "vq_indices");
    int64_t *want = cts_golden_need_ints(f->g, "out.indices"), differ = 0;
    int32_t *got = cts_test_alloc((size_t)cts_tensor_count(t) * sizeof *got);

    MUST(cts_exec_read(s->run.e, t, got));
    assert_int_equal(cts_tensor_count(t), cts_golden_need_tensor(f->g, "out.indices")->count);
    for (int64_t i = 0; i < cts_tensor_count(t); i++)
        differ += got[i] != want[i];
    print_message("%lld codes differ\n", (long long)differ);
    free(want);
    free(got);
    return differ == 0;
}

/* Hidden states of the real tokens; what a padded row holds beside them nobody reads. */
static bool hidden_near(side_graph *s, const fixture *f, const text_batch *t)
{
    const cts_tensor *tokens;
    float *v = cts_test_read(&s->run, "tokens", &tokens), *want = cts_golden_need_floats(f->g, "out.text_hidden");
    int64_t c = cts_tensor_channels(tokens);
    double rms = cts_golden_rms(want, cts_golden_need_tensor(f->g, "out.text_hidden")->count);
    bool ok = true;

    for (int64_t i = 0; i < t->n_tokens; i++)
        ok &= cts_golden_rms_diff(v + i * c, want + t->row[i] * c, (size_t)c) <= ACTIVATION * rms;
    free(v);
    free(want);
    return ok;
}

static void test_tokens(void **state)
{
    const fixture *f = *state;
    cts_clip *m = make_model(f, "depth");
    text_batch t = read_texts(f, "input.ids", "input.mask");
    side_graph image, text;
    bool ok;

    make_side(&image, f, m, CTS_SIDE_IMAGE, NULL, NULL);
    MUST(cts_exec_forward(image.run.e, 0));
    ok = tensor_near(&image, f, "tokens", "out.image_tokens");
    ok &= tensor_near(&image, f, "vector", "out.image_pooled");
    ok &= same_codes(&image, f);
    make_side(&text, f, m, CTS_SIDE_TEXT, &t, NULL);
    MUST(cts_exec_forward(text.run.e, 0));
    ok &= hidden_near(&text, f, &t);
    assert_true(ok);
    cts_test_end(&image.run);
    cts_test_end(&text.run);
    cts_text_free(&t);
    cts_clip_destroy(m);
}

/* ---- training -------------------------------------------------------------------------------------------------- */

/* The gradient of the vector, by a graph that begins there; every token of a column has a share of it. */
static bool token_gradients(const fixture *f, const cts_clip *m, const float *vector, const float *d_latent)
{
    int64_t slab = f->grid[2] * f->grid[3] * f->grid[4], t = f->grid[1], n = f->grid[0];
    float *d, *tokens = cts_test_alloc((size_t)(n * t * slab) * sizeof *tokens);
    model_run r = {0};
    cts_tensor *x, *z, *dz = NULL;
    cts_grads *unused = NULL;
    cts_build b;
    bool ok;

    MUST(cts_grads_create(&unused, m->params));
    MUST(cts_graph_create(&r.g, m->params));
    x = cts_graph_input(r.g, "x", CTS_F32, 2, (int64_t[]){n, slab}, CTS_SYM_NONE);
    x->want_grad = true;
    b = cts_build_make(r.g, true);
    z = cts_clip_project(&b, x, NULL, cts_clip_projection(&m->config, CTS_SIDE_IMAGE), NULL, f->latent);
    cts_graph_output(r.g, z, "z");
    MUST(cts_backward(r.g, 1, &z, &dz));
    cts_test_plan(&r, f->b, unused);
    MUST(cts_exec_write(r.e, x, vector));
    MUST(cts_exec_forward(r.e, 0));
    MUST(cts_exec_write(r.e, dz, d_latent));
    MUST(cts_exec_backward(r.e));
    d = cts_test_read(&r, "d.x", NULL);
    for (int64_t i = 0; i < n * t * slab; i++)
        tokens[i] = d[i / (t * slab) * slab + i % slab] / (float)t;
    ok = cts_ctclip_max_near(f->g, "grad.image_tokens", tokens, (size_t)(n * t * slab), GRADIENT, 0);
    free(d);
    free(tokens);
    cts_grads_destroy(unused);
    cts_test_end(&r);
    return ok;
}

static bool code_book(const fixture *f, const cts_clip *m)
{
    static const char *const entry[2] = {"embed", "cluster_size"};
    char name[96], golden[64];
    bool ok = true;

    for (int i = 0; i < 2; i++) {
        const cts_param *e;

        snprintf(name, sizeof name, "visual_transformer.vq._codebook.%s", entry[i]);
        snprintf(golden, sizeof golden, "train.%s_after", entry[i]);
        e = cts_params_get(m->params, cts_params_find(m->params, name));
        ok &= cts_ctclip_max_near(f->g, golden, e->data, (size_t)e->count, 1e-5, 0);
    }
    return ok;
}

static void test_train(void **state)
{
    const fixture *f = *state;
    cts_clip *m = make_model(f, "depth");
    text_batch t = read_texts(f, "input.ids", "input.mask");
    size_t n = (size_t)(f->v[0] * f->latent);
    float *di = cts_test_alloc(n * sizeof *di), *dt = cts_test_alloc(n * sizeof *dt), *zi, *zt, *vector, *d_video;
    side_graph image, text;
    cts_grads *grads = NULL;
    bool ok;

    MUST(cts_grads_create(&grads, m->params));
    make_side(&image, f, m, CTS_SIDE_IMAGE, NULL, grads);
    make_side(&text, f, m, CTS_SIDE_TEXT, &t, grads);
    MUST(cts_exec_forward(image.run.e, CTS_RUN_UPDATE_STATE));
    MUST(cts_exec_forward(text.run.e, CTS_RUN_UPDATE_STATE));
    zi = cts_test_read(&image.run, "z", NULL);
    zt = cts_test_read(&text.run, "z", NULL);
    vector = cts_test_read(&image.run, "vector", NULL);
    ok = check_loss(f, m, "train.loss", zi, zt, grads, di, dt);
    ok &= code_book(f, m);
    MUST(cts_exec_write(image.run.e, image.dz, di));
    MUST(cts_exec_backward(image.run.e));
    MUST(cts_exec_write(text.run.e, text.dz, dt));
    MUST(cts_exec_backward(text.run.e));
    ok &= cts_ctclip_grads_near(f->g, "grad.", m->params, grads, GRADIENT);
    ok &= token_gradients(f, m, vector, di);
    d_video = cts_test_read(&image.run, "d.volume", NULL);
    if (cts_golden_has(f->g, "grad.input.video")) /* the project's own copy leaves it out */
        ok &= cts_ctclip_max_near(f->g, "grad.input.video", d_video, (size_t)cts_tensor_count(image.in.volume),
                                  GRADIENT, 0);
    assert_true(ok);
    cts_test_end(&image.run);
    cts_test_end(&text.run);
    cts_grads_destroy(grads);
    cts_text_free(&t);
    cts_clip_destroy(m);
    free(di);
    free(dt);
    free(zi);
    free(zt);
    free(vector);
    free(d_video);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores), cmocka_unit_test(test_first_release), cmocka_unit_test(test_probe),
        cmocka_unit_test(test_tokens), cmocka_unit_test(test_train),
    };

    return cmocka_run_group_tests_name("golden ctclip", tests, set_up, tear_down);
}
