/* DCFormer nano, naive and tiny at published widths with formula weights (dcformer_full), on a small volume and on 256
 * x 512 x 512: stages, encoder output, and the mean over the grid, which is what the published model gives without its
 * quantiser. SPDX-License-Identifier: MIT */
#include "kernels/base/str.h"
#include "tests/support/model_run.h"

/* -1 = the rule of tolerances.json; where it has no row, the stored value is an fp32 run itself: its deviation and
 * ours. */
static double full_limit(const char *name)
{
    double row[4];

    return cts_golden_tolerance("dcformer_full", name, row) ? -1 : 5e-6;
}

static void full_case(const cts_golden *g, const char *model, const char *size, const int64_t v[4], const float *volume)
{
    const cts_encoder_def *def = NULL;
    cts_encoder_outputs out = {0};
    cts_encoder_inputs in;
    cts_params *params = NULL;
    cts_backend *be = cts_test_backend(NULL);
    void *config = NULL;
    cts_plan_info info;
    model_run run = {0};
    char name[160], stage[24];
    bool ok = true;
    cts_build b;
    float *mean;

    snprintf(name, sizeof name, "dcformer-%s", model);
    MUST(cts_encoder_preset_find(&def, &config, name));
    MUST(cts_params_create(&params));
    MUST(cts_graph_create(&run.g, params));
    in = cts_encoder_image_inputs(run.g, v[0], v + 1);
    b = cts_build_make(run.g, false);
    b.trace = true;
    def->build(&b, config, &in, &out);
    cts_graph_output(run.g, out.vector, "vector");
    cts_test_weights(params, NULL, cts_golden_seed(g), "", "");
    cts_test_plan(&run, be, NULL);
    info = cts_plan_get_info(run.plan);
    print_message("%s.%s: %lld parameters, %.1f MB planned\n", model, size, (long long)cts_params_count(params),
                  (double)(info.arena_bytes + info.scratch_bytes) / 1e6);
    MUST(cts_exec_write(run.e, in.volume, volume));
    MUST(cts_exec_forward(run.e, 0));
    for (int s = 0; s <= 5; s++) { /* 5 = the encoder's output, which is stage 4 */
        snprintf(stage, sizeof stage, "stage%d", s < 5 ? s : 4);
        char *at = cts_asprintf("%s.%s.%s", model, size, s < 5 ? stage : "encoder");

        assert_non_null(at);
        if (cts_golden_has(g, "%s", at))
            ok &= cts_test_grid_near(&run, stage, g, at, full_limit(at), 0);
        free(at);
    }
    mean = cts_test_read(&run, "vector", NULL);
    snprintf(name, sizeof name, "%s.%s.pooled_without_vq", model, size);
    ok &= cts_golden_near(g, name, mean, (size_t)cts_tensor_count(out.vector), full_limit(name), 0);
    assert_true(ok);
    free(mean);
    cts_test_end(&run);
    cts_params_destroy(params);
    cts_backend_destroy(be);
    free(config);
}

/* All models of metadata "params" with values of this size: how many. */
static int full_cases(const cts_golden *g, const char *size, const char *shape_key, const char *input)
{
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
        if (!cts_golden_has(g, "%s.%s.pooled_without_vq", model, size))
            continue;
        full_case(g, model, size, v, volume);
        n++;
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
    assert_true(n > 0);
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
