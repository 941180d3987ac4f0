/* DCFormer nano, naive and tiny at published widths with formula weights (dcformer_full), on a small volume and on 256
 * x 512 x 512: stages and encoder output; without the quantiser the mean over the grid; with it the codes, and for
 * every reduction the vector and the latent. SPDX-License-Identifier: MIT */
#include <math.h>

#include "encoders/clip.h"
#include "kernels/base/str.h"
#include "tests/support/model_run.h"

#define TINY_MARGIN 2e-5 /* a token this near to a border may take either code in fp32 */

typedef struct {
    const cts_golden *g;
    const char *model, *size, *reduction; /* reduction NULL = no quantiser, channel */
    const int64_t *v;
    const float *volume;
} full_case;

/* "<model>.<size>.<what>", with ".<reduction>" behind it where asked; malloc'd */
static char *name_of(const full_case *c, const char *what, bool reduction)
{
    char *s = reduction ? cts_asprintf("%s.%s.%s.%s", c->model, c->size, what, c->reduction)
                        : cts_asprintf("%s.%s.%s", c->model, c->size, what);

    assert_non_null(s);
    return s;
}

/* -1 = the rule of tolerances.json; where it has no row, the stored value is an fp32 run itself: its deviation and
 * ours. */
static double full_limit(const char *name)
{
    double row[4];

    return cts_golden_tolerance("dcformer_full", name, row) ? -1 : 5e-6;
}

static const cts_encoder_def *make_encoder(const full_case *c, void **config)
{
    char *preset = cts_asprintf("dcformer-%s", c->model);
    json_t *j = json_pack("{s:s, s:{s:[I,I,I], s:b, s:s}}", "preset", preset, "config", "input_size",
                          (json_int_t)c->v[1], (json_int_t)c->v[2], (json_int_t)c->v[3], "quantize",
                          c->reduction != NULL, "reduction", c->reduction ? c->reduction : "channel");
    const cts_encoder_def *def = NULL;

    assert_non_null(j);
    MUST(cts_encoder_from_json(&def, config, j, CTS_KIND_IMAGE, preset));
    json_decref(j);
    free(preset);
    return def;
}

/* The code book by formula, under the name with the model's salt. */
static void fill_codebook(const full_case *c, cts_params *params)
{
    json_t *salts = cts_golden_need_meta_json(c->g, "codebook_salt");
    cts_param *p = cts_params_at(params, cts_params_find(params, "vq._codebook.embed"));
    int64_t salt = json_integer_value(json_object_get(salts, c->model));
    double shift, scale;
    char name[64];

    snprintf(name, sizeof name, salt ? "%s#%lld" : "%s", p->name, (long long)salt);
    cts_formula_rule(&shift, &scale, p->name, p->shape, p->ndim);
    cts_formula_fill(p->data, (size_t)p->count, cts_golden_seed(c->g), name, shift, scale);
    json_decref(salts);
}

/* Share of the tokens whose code differs; only such may whose margin is tiny. */
static double other_codes(const full_case *c, model_run *run)
{
    char *codes_name = name_of(c, "vq_indices", false), *margin_name = name_of(c, "vq_margin", false);
    int64_t *want = cts_golden_need_ints(c->g, "%s", codes_name);
    float *margin = cts_golden_need_floats(c->g, "%s", margin_name);
    size_t n = cts_golden_need_tensor(c->g, "%s", codes_name)->count, other = 0;
    int32_t *codes = cts_test_alloc(n * sizeof *codes);

    assert_int_equal(cts_golden_need_tensor(c->g, "%s", margin_name)->count, n);
    assert_int_equal(cts_tensor_count(cts_graph_find(run->g, "vq_indices")), n);
    MUST(cts_exec_read(run->e, cts_graph_find(run->g, "vq_indices"), codes));
    for (size_t i = 0; i < n; i++) {
        if (codes[i] == want[i])
            continue;
        other++;
        if (!(margin[i] < TINY_MARGIN))
            fail_msg("%s[%zu]: code %d, wanted %lld by a margin of %g", codes_name, i, codes[i], (long long)want[i],
                     (double)margin[i]);
    }
    free(codes_name);
    free(margin_name);
    free(want);
    free(margin);
    free(codes);
    return (double)other / (double)n;
}

static bool check_stages(const full_case *c, model_run *run)
{
    char stage[24];
    bool ok = true;

    for (int s = 0; s <= 5; s++) { /* 5 = the encoder's output, which is stage 4 */
        snprintf(stage, sizeof stage, "stage%d", s < 5 ? s : 4);
        char *at = name_of(c, s < 5 ? stage : "encoder", false);

        if (cts_golden_has(c->g, "%s", at))
            ok &= cts_test_grid_near(run, stage, c->g, at, full_limit(at), 0);
        free(at);
    }
    return ok;
}

/* Output `name` against golden `at`; other = share of tokens with another code. */
static bool check_vector(const full_case *c, model_run *run, const char *name, const char *at, double other)
{
    const cts_tensor *t;
    float *v = cts_test_read(run, name, &t);
    bool ok =
        cts_golden_near(c->g, at, v, (size_t)cts_tensor_count(t), other > 0 ? 2 * sqrt(other) : full_limit(at), 0);

    free(v);
    return ok;
}

static void run_case(const full_case *c)
{
    cts_encoder_outputs out = {0};
    cts_params *params = NULL;
    cts_backend *be = cts_test_backend(NULL);
    void *config = NULL;
    const cts_encoder_def *def = make_encoder(c, &config);
    char *vector = c->reduction ? name_of(c, "enc_image", true) : name_of(c, "pooled_without_vq", false);
    char *latent = c->reduction ? name_of(c, "image_latents", true) : NULL;
    bool projected = latent && cts_golden_has(c->g, "%s", latent), ok;
    cts_encoder_inputs in;
    cts_plan_info info;
    model_run run = {0};
    double other = 0;
    cts_build b;

    MUST(cts_params_create(&params));
    MUST(cts_graph_create(&run.g, params));
    in = cts_encoder_image_inputs(run.g, c->v[0], c->v + 1);
    b = cts_build_make(run.g, false);
    b.trace = true;
    def->build(&b, config, &in, &out);
    cts_graph_output(run.g, out.vector, "vector");
    if (projected) {
        int64_t shape[8];

        cts_golden_need_shape(c->g, shape, "%s", latent);
        cts_graph_output(run.g, cts_clip_project(&b, out.vector, NULL, "to_visual_latent.weight", NULL, shape[1]),
                         "latent");
    }
    cts_test_weights(params, NULL, cts_golden_seed(c->g), "", "");
    if (c->reduction)
        fill_codebook(c, params);
    cts_test_plan(&run, be, NULL);
    info = cts_plan_get_info(run.plan);
    print_message("%s.%s, %s: %lld parameters, %.1f MB planned\n", c->model, c->size,
                  c->reduction ? c->reduction : "no quantiser", (long long)cts_params_count(params),
                  (double)(info.arena_bytes + info.scratch_bytes) / 1e6);
    MUST(cts_exec_write(run.e, in.volume, c->volume));
    MUST(cts_exec_forward(run.e, 0));
    ok = c->reduction ? true : check_stages(c, &run);
    if (c->reduction)
        other = other_codes(c, &run);
    ok &= check_vector(c, &run, "vector", vector, other);
    if (projected)
        ok &= check_vector(c, &run, "latent", latent, other);
    assert_true(ok);
    cts_test_end(&run);
    cts_params_destroy(params);
    cts_backend_destroy(be);
    free(config);
    free(vector);
    free(latent);
}

/* All models of metadata "params" with values of this size: how many runs. */
static int full_cases(const cts_golden *g, const char *size, const char *shape_key, const char *input)
{
    static const char *const reductions[] = {"channel", "depth", "none"};
    json_t *models = cts_golden_need_meta_json(g, "params");
    const char *model;
    json_t *count;
    int64_t v[4];
    float *volume;
    int n = 0;

    assert_int_equal(cts_golden_need_meta_ints(g, shape_key, v, 4), 4);
    volume = cts_test_alloc((size_t)(v[0] * v[1] * v[2] * v[3]) * sizeof *volume);
    cts_formula_volume(volume, cts_golden_seed(g), input, v, 0, 1);
    json_object_foreach(models, model, count)
    {
        full_case c = {g, model, size, NULL, v, volume};

        if (cts_golden_has(g, "%s.%s.pooled_without_vq", model, size)) {
            run_case(&c);
            n++;
        }
        for (int r = 0; r < 3; r++) {
            c.reduction = reductions[r];
            if (!cts_golden_has(g, "%s.%s.enc_image.%s", model, size, c.reduction))
                continue;
            run_case(&c);
            n++;
        }
    }
    json_decref(models);
    free(volume);
    return n;
}

static void test_sizes(const char *size, const char *shape_key, const char *input)
{
    cts_golden *g = cts_golden_need("dcformer_full.safetensors");
    int n = full_cases(g, size, shape_key, input);

    cts_golden_close(g);
    assert_true(n > 1);
}

static void test_small(void **state)
{
    (void)state;
    test_sizes("small", "small_shape", "input.volume");
}

static void test_full(void **state)
{
    (void)state;
    test_sizes("full", "full_shape", "input.full");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_small), cmocka_unit_test(test_full)};

    return cmocka_run_group_tests_name("golden dcformer full", tests, NULL, NULL);
}
