/* Heat maps of tiny models: the gradient at the layer against finite differences of the network behind it, every weight
 * rule against its formula, all families and heads; a model whose map is known; the mapping of cells; bad input.
 * SPDX-License-Identifier: MIT */
#include "encoders/cam.h"

#include <math.h>

#include "kernels/base/rng.h"
#include "tests/support/scratch.h"

/* A model of images: encoder, a classifier or not, weights that make every branch matter. */
static cts_clip *model(const char *image, const char *classifier, int latent)
{
    json_t *j = json_pack("{s:n, s:i}", "text", "latent_dim", latent), *side = json_loads(image, 0, NULL);
    cts_clip_config c = {0};
    cts_clip *m = NULL;

    assert_non_null(side);
    json_object_set_new(j, "image", side);
    if (classifier)
        json_object_set_new(j, "classifier", json_loads(classifier, 0, NULL));
    MUST(cts_clip_config_parse(&c, j, "test"));
    MUST(cts_clip_create_init(&m, &c, 3));
    json_decref(j);
    for (int i = 0; i < cts_params_n(m->params); i++) {
        cts_param *p = cts_params_at(m->params, i);

        for (int64_t k = 0; k < p->count; k++)
            if (strstr(p->name, "gamma") || strstr(p->name, "running_var"))
                p->data[k] = (float)(0.5 + 0.4 * cts_rng_unit_at((uint64_t)i, (uint64_t)k));
            else if (strstr(p->name, "running_mean") || strstr(p->name, "bias"))
                p->data[k] = (float)(0.3 * cts_rng_unit_at((uint64_t)i, (uint64_t)k) - 0.15);
    }
    return m;
}

static const char dcformer[] = "{\"encoder\": \"dcformer\", \"config\": {\"num_blocks\": [1,1,1,1,1], \"channels\": "
                               "[4,4,8,8,8], \"kernel_sizes\": [5,3,3,3], \"input_size\": [64, 128, 64]}}";
static const char quantised[] = "{\"encoder\": \"dcformer\", \"config\": {\"num_blocks\": [1,1,1,1,1], \"channels\": "
                                "[4,4,8,8,8], \"kernel_sizes\": [5,3,3,3], \"input_size\": [64, 128, 64], "
                                "\"quantize\": true, \"codebook_size\": 16}}";
static const char ctvit[] = "{\"encoder\": \"ctvit\", \"config\": {\"dim\": 8, \"codebook_size\": 16, \"image_size\": "
                            "[12, 8], \"depth_size\": 6, \"patch_size\": [4, 4], \"temporal_patch_size\": 2, "
                            "\"spatial_depth\": 1, \"temporal_depth\": 1, \"dim_head\": 4, \"heads\": 2}}";
static const char scroll[] = "{\"encoder\": \"ct_scroll\", \"config\": {\"width\": 4, \"embed_dim\": 16, \"heads\": 4, "
                             "\"window\": 2, \"n_labels\": 3, \"input_size\": [12, 64, 96]}}";
static const char scroll_labels[] = "{\"labels\": [\"a\", \"b\", \"c\"], \"head\": \"encoder\"}";
static const char probe[] = "{\"labels\": [\"a\", \"b\"], \"head\": \"linear\", \"input\": \"vector\"}";
static const char relu_probe[] =
    "{\"labels\": [\"a\", \"b\"], \"head\": \"linear\", \"input\": \"embedding\", \"relu\": true, \"dropout\": 0.3}";

static float *random_floats(size_t n, uint64_t seed)
{
    float *v = cts_test_alloc(n * sizeof *v);

    for (size_t i = 0; i < n; i++)
        v[i] = (float)(2 * cts_rng_unit_at(seed, i) - 1);
    return v;
}

/* What lies behind the layer, forward only, with plain ops: built here once more, cut, run with given features. */
typedef struct {
    model_run r;
    cts_tensor *layer, *result;
} tail;

static void make_tail(tail *t, const cts_tower_spec *spec, const cts_cam_info *i, cts_backend *b)
{
    cts_encoder_outputs o = {0};
    cts_build build;
    cts_encoder_inputs in;

    MUST(cts_graph_create(&t->r.g, spec->params));
    in = cts_encoder_image_inputs(t->r.g, 1, i->volume);
    build = cts_build_make(t->r.g, false);
    build.grad = build.trace = true;
    t->result = cts_tower_build(&build, spec, &in, &o);
    t->layer = strcmp(i->layer, "tokens") ? cts_graph_find(t->r.g, i->layer) : o.tokens;
    cts_graph_cut(t->r.g, t->layer, "cut");
    cts_graph_output(t->r.g, t->result, "result");
    cts_test_plan(&t->r, b, NULL);
}

static double ask(tail *t, const float *features, const float *d, int64_t dim)
{
    float *out = cts_test_alloc((size_t)dim * sizeof *out);
    double s;

    MUST(cts_exec_write(t->r.e, t->layer, features));
    MUST(cts_exec_forward(t->r.e, 0));
    MUST(cts_exec_read(t->r.e, t->result, out));
    s = cts_test_dot(out, d, (size_t)dim);
    free(out);
    return s;
}

/* The features themselves: the whole tower, traced. */
static float *features_of(const cts_tower_spec *spec, const cts_cam_info *i, const float *volume, cts_backend *b)
{
    cts_encoder_outputs o = {0};
    cts_encoder_inputs in;
    model_run r = {0};
    cts_build build;
    float *f;

    MUST(cts_graph_create(&r.g, spec->params));
    in = cts_encoder_image_inputs(r.g, 1, i->volume);
    build = cts_build_make(r.g, false);
    build.trace = true;
    cts_tower_build(&build, spec, &in, &o);
    if (!strcmp(i->layer, "tokens"))
        cts_graph_output(r.g, o.tokens, "tokens");
    cts_test_plan(&r, b, NULL);
    MUST(cts_exec_write(r.e, in.volume, volume));
    MUST(cts_exec_forward(r.e, 0));
    f = cts_test_read(&r, i->layer, NULL);
    cts_test_end(&r);
    return f;
}

/* heat by the formula of cam.h from a gradient */
static void by_formula(double *heat, const cts_cam_info *i, const float *a, const double *g)
{
    int64_t plane = i->grid[1] * i->grid[2], n = plane * i->grid[0], C = i->channels;

    for (int64_t r = 0; r < n; r++) {
        int64_t from = i->weights == CTS_CAM_ALL ? 0 : i->weights == CTS_CAM_SLAB ? r / plane * plane : r;
        int64_t to = i->weights == CTS_CAM_ALL ? n : i->weights == CTS_CAM_SLAB ? from + plane : r + 1;

        heat[r] = 0;
        for (int64_t c = 0; c < C; c++) {
            double w = 0;

            for (int64_t k = from; k < to; k++)
                w += g[k * C + c] / (double)(to - from);
            heat[r] += w * (double)a[r * C + c];
        }
        heat[r] = heat[r] > 0 ? heat[r] : 0;
    }
}

typedef struct {
    const char *image, *classifier, *layer;
    cts_cam_weights weights;
    const char *chosen; /* layer that is taken */
    int64_t grid[3];
    double step; /* of the finite differences, a part of the largest feature: small where max-pooling has kinks */
} cam_case;

static void check_case(const cam_case *k, uint64_t seed)
{
    cts_backend *b = cts_test_backend(NULL);
    cts_clip *m = model(k->image, k->classifier, 6);
    cts_tower_spec spec = k->classifier ? cts_clip_logits_spec(m) : cts_clip_tower_spec(m, CTS_SIDE_IMAGE);
    cts_cam_options o = {.layer = k->layer, .weights = k->weights};
    cts_cam *cam = NULL;
    const cts_cam_info *i;
    float *volume, *result, *d, *heat, *a;
    double *g, *want, largest = 0, worst = 0, step = 0;
    int64_t n, cells;
    tail t = {0};

    MUST(cts_cam_create(&cam, &spec, &o, b));
    i = cts_cam_describe(cam);
    assert_string_equal(i->layer, k->chosen);
    for (int x = 0; x < 3; x++)
        assert_int_equal(i->grid[x], k->grid[x]);
    cells = i->grid[0] * i->grid[1] * i->grid[2];
    n = cells * i->channels;
    volume = random_floats((size_t)(i->volume[0] * i->volume[1] * i->volume[2]), seed);
    d = random_floats((size_t)i->dim, seed + 1);
    result = cts_test_alloc((size_t)i->dim * sizeof *result);
    heat = cts_test_alloc((size_t)cells * sizeof *heat);
    g = cts_test_alloc((size_t)n * sizeof *g);
    want = cts_test_alloc((size_t)cells * sizeof *want);
    MUST(cts_cam_see(cam, volume, result));
    a = features_of(&spec, i, volume, b);
    for (int64_t x = 0; x < n; x++)
        step = fmax(step, k->step * fabs((double)a[x]));
    make_tail(&t, &spec, i, b);
    { /* the tower's result is the tower's */
        cts_tower *tower = NULL;
        float *plain = cts_test_alloc((size_t)i->dim * sizeof *plain);

        MUST(cts_tower_create(&tower, &spec, &(cts_tower_options){0}, b, NULL));
        MUST(cts_tower_volumes(tower, 1, volume, 0, plain));
        for (int64_t x = 0; x < i->dim; x++)
            assert_true(fabsf(plain[x] - result[x]) <= 1e-4f);
        cts_tower_destroy(tower);
        free(plain);
    }
    for (int64_t x = 0; x < n; x++) {
        float kept = a[x];
        double up, down;

        a[x] = kept + (float)step;
        up = ask(&t, a, d, i->dim);
        a[x] = kept - (float)step;
        down = ask(&t, a, d, i->dim);
        a[x] = kept;
        g[x] = (up - down) / (2 * step);
    }
    for (int ask_no = 0; ask_no < 4; ask_no++) { /* for, against, and both again: a volume answers many questions */
        by_formula(want, i, a, g);
        MUST(cts_cam_map(cam, d, heat));
        for (int64_t x = 0; x < cells; x++)
            largest = fmax(largest, want[x]);
        for (int64_t x = 0; x < cells; x++)
            worst = fmax(worst, fabs(want[x] - (double)heat[x]));
        for (int64_t x = 0; x < i->dim; x++)
            d[x] = -d[x];
        for (int64_t x = 0; x < n; x++)
            g[x] = -g[x];
    }
    printf("%-22.22s %-10s %-4s cells %3lld, step %.2g, largest heat %.4g, worst difference %.2g\n", k->image + 13,
           i->layer, cts_cam_weights_name(i->weights), (long long)cells, step, largest, worst);
    assert_true(largest > 1e-4);
    if (!(worst <= 4e-2 * largest))
        fail_msg("heat differs by %g of %g", worst, largest);
    cts_test_end(&t.r);
    free(volume), free(result), free(d), free(heat), free(a), free(g), free(want);
    cts_cam_destroy(cam);
    cts_clip_destroy(m);
    cts_backend_destroy(b);
}

static void test_gradient(void **state)
{
    static const cam_case cases[] = {
        {dcformer, NULL, NULL, CTS_CAM_AUTO, "tokens", {1, 2, 1}, 1e-3},
        {dcformer, NULL, "stage3", CTS_CAM_ALL, "stage3", {2, 4, 2}, 1e-3},
        {dcformer, NULL, "stage3", CTS_CAM_CELL, "stage3", {2, 4, 2}, 1e-3},
        {dcformer, NULL, "stage3", CTS_CAM_SLAB, "stage3", {2, 4, 2}, 1e-3},
        {dcformer, probe, "stage3", CTS_CAM_AUTO, "stage3", {2, 4, 2}, 1e-3},
        {dcformer, relu_probe, NULL, CTS_CAM_AUTO, "tokens", {1, 2, 1}, 1e-3},
        {quantised, probe, NULL, CTS_CAM_AUTO, "tokens", {1, 2, 1}, 1e-3},
        {ctvit, NULL, NULL, CTS_CAM_AUTO, "tokens", {3, 3, 2}, 1e-3},
        {ctvit, relu_probe, "tokens", CTS_CAM_ALL, "tokens", {3, 3, 2}, 1e-3},
        {scroll, scroll_labels, NULL, CTS_CAM_AUTO, "trunk", {4, 2, 3}, 2e-3},
        {scroll, scroll_labels, NULL, CTS_CAM_ALL, "trunk", {4, 2, 3}, 2e-3},
        {scroll, scroll_labels, "projection", CTS_CAM_CELL, "projection", {4, 1, 1}, 1e-3},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_case(&cases[i], 100 + 10 * (uint64_t)i);
}

/* A quantiser has no gradient; before it, the gradient is the one behind it. */
static void test_straight_through(void **state)
{
    cts_backend *b = cts_test_backend(NULL);
    cts_clip *m = model(quantised, NULL, 6);
    cts_tower_spec spec = cts_clip_tower_spec(m, CTS_SIDE_IMAGE);
    float *volume = random_floats((size_t)64 * 128 * 64, 8), *d = random_floats(6, 9), result[2][6], heat[2][2];
    float sum[2] = {0};

    (void)state;
    for (int i = 0; i < 2; i++) {
        cts_cam *cam = NULL;

        MUST(cts_cam_create(&cam, &spec, &(cts_cam_options){.layer = i ? "stage4" : "tokens"}, b));
        MUST(cts_cam_see(cam, volume, result[i]));
        for (int sign = 0; sign < 2; sign++) { /* one of the two questions has heat */
            MUST(cts_cam_map(cam, d, heat[i]));
            sum[i] += heat[i][0] + heat[i][1];
            for (int k = 0; k < 6; k++)
                d[k] = -d[k];
        }
        cts_cam_destroy(cam);
    }
    for (int k = 0; k < 6; k++)
        assert_true(fabsf(result[0][k] - result[1][k]) <= 1e-5f);
    assert_true(sum[0] > 0 && sum[1] > 0);
    free(volume), free(d);
    cts_clip_destroy(m);
    cts_backend_destroy(b);
}

static void set_all(cts_params *p, const char *name, float value)
{
    int i = cts_params_find(p, name);

    assert_true(i >= 0);
    for (int64_t k = 0; k < cts_params_get(p, i)->count; k++)
        cts_params_at(p, i)->data[k] = value;
}

/* Bright triplets of a CT-Scroll are hot, where they are bright; what is made of dark ones is not. */
static void test_place(void **state)
{
    cts_backend *b = cts_test_backend(NULL);
    cts_clip *m = model(dcformer, probe, 6);
    cts_tower_spec spec = cts_clip_logits_spec(m);
    float *volume = cts_test_alloc((size_t)64 * 128 * 64 * sizeof *volume), result[2], heat[16 * 32 * 16];
    const float d[2] = {1, 0};
    const cts_cam_info *i;
    cts_cam *cam = NULL;
    int64_t best = 0;

    (void)state;
    /* the stem as a sum of what it sees: positive weights, no norm to speak of */
    for (int k = 0; k < cts_params_n(m->params); k++) {
        cts_param *p = cts_params_at(m->params, k);

        for (int64_t e = 0; e < p->count; e++)
            if (strstr(p->name, "running_mean") || strstr(p->name, "bias"))
                p->data[e] = 0;
            else if (!strstr(p->name, "running_var") && !strstr(p->name, "num_batches"))
                p->data[e] = 0.1f;
    }
    set_all(m->params, "classifier.weight", 1);
    for (int64_t z = 36; z < 44; z++)
        for (int64_t x = 92; x < 100; x++)
            for (int64_t y = 12; y < 20; y++)
                volume[(z * 128 + x) * 64 + y] = 1;
    MUST(cts_cam_create(&cam, &spec, &(cts_cam_options){.layer = "stage0"}, b));
    i = cts_cam_describe(cam);
    for (int a = 0; a < 3; a++) {
        assert_true(i->step[a] == 4 && i->origin[a] == 0);
        assert_int_equal(i->grid[a], i->volume[a] / 4);
    }
    MUST(cts_cam_see(cam, volume, result));
    MUST(cts_cam_map(cam, d, heat));
    for (int64_t k = 0; k < 16 * 32 * 16; k++)
        if (heat[k] > heat[best])
            best = k;
    assert_in_range(best / 16 / 32 * 4, 36, 43);
    assert_in_range(best / 16 % 32 * 4, 92, 99);
    assert_in_range(best % 16 * 4, 12, 19);
    cts_cam_destroy(cam);
    free(volume);
    cts_clip_destroy(m);
    cts_backend_destroy(b);
}

/* Cells of tiles and of strides. */
static void test_cells(void **state)
{
    cts_backend *b = cts_test_backend(NULL);
    cts_clip *m = model(scroll, scroll_labels, 6);
    cts_tower_spec spec = cts_clip_logits_spec(m);
    const cts_cam_info *i;
    cts_cam *cam = NULL;

    (void)state;
    MUST(cts_cam_create(&cam, &spec, &(cts_cam_options){.volume = {15, 70, 33}}, b));
    i = cts_cam_describe(cam);
    assert_true(i->grid[0] == 5 && i->step[0] == 3 && i->origin[0] == 1);  /* the middle slice of a triplet */
    assert_true(i->grid[1] == 3 && i->step[1] == 32 && i->origin[1] == 0); /* ceil(70 / 32), on voxels 0, 32, 64 */
    assert_true(i->grid[2] == 2 && i->step[2] == 32 && i->origin[2] == 0);
    cts_cam_destroy(cam);
    cts_clip_destroy(m);
    m = model(ctvit, NULL, 6);
    spec = cts_clip_tower_spec(m, CTS_SIDE_IMAGE);
    MUST(cts_cam_create(&cam, &spec, &(cts_cam_options){0}, b));
    i = cts_cam_describe(cam);
    assert_true(i->step[0] == 2 && i->origin[0] == 0.5 && i->step[1] == 4 && i->origin[1] == 1.5);
    assert_int_equal(i->weights, CTS_CAM_CELL);
    cts_cam_destroy(cam);
    cts_clip_destroy(m);
    cts_backend_destroy(b);
}

static void test_refused(void **state)
{
    cts_backend *b = cts_test_backend(NULL);
    cts_clip *m = model(scroll, scroll_labels, 6);
    cts_tower_spec spec = cts_clip_logits_spec(m);
    cts_cam_weights w = CTS_CAM_ALL;
    cts_cam *cam = NULL;

    (void)state;
    cts_assert_refused(cts_cam_create(&cam, &spec, &(cts_cam_options){.layer = "stage9"}, b), CTS_E_NOTFOUND,
                       "trunk, gap, projection");
    cts_assert_refused(cts_cam_create(&cam, &spec, &(cts_cam_options){.layer = "logits"}, b), CTS_E_NOTFOUND, "trunk");
    cts_assert_refused(cts_cam_create(&cam, &spec, &(cts_cam_options){.volume = {13, 64, 64}}, b), CTS_E_MISMATCH,
                       "multiples of 3");
    cts_assert_refused(cts_cam_create(&cam, &spec, &(cts_cam_options){.volume = {2, 64, 64}}, b), CTS_E_MISMATCH,
                       "multiples of 3");
    cts_assert_refused(cts_cam_weights_parse(&w, "some"), CTS_E_INPUT, "auto, all, slab, cell");
    assert_int_equal(w, CTS_CAM_ALL);
    cts_clip_destroy(m);
    m = model(ctvit, NULL, 6);
    spec = cts_clip_tower_spec(m, CTS_SIDE_IMAGE);
    /* axes inside the temporal layers are permuted: no grid to lay over a scan */
    cts_assert_refused(cts_cam_create(&cam, &spec, &(cts_cam_options){.layer = "temporal.0.ff"}, b), CTS_E_NOTFOUND,
                       "spatial, temporal, tokens");
    cts_assert_refused(cts_cam_create(&cam, &spec, &(cts_cam_options){.volume = {8, 12, 8}}, b), CTS_E_MISMATCH,
                       "6 x 12 x 8");
    spec.encoder = NULL;
    cts_assert_refused(cts_cam_create(&cam, &spec, &(cts_cam_options){0}, b), CTS_E_MISMATCH, "no image encoder");
    assert_null(cam);
    cts_clip_destroy(m);
    cts_backend_destroy(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradient), cmocka_unit_test(test_straight_through),
                                       cmocka_unit_test(test_place), cmocka_unit_test(test_cells),
                                       cmocka_unit_test(test_refused)};

    return cmocka_run_group_tests_name("cam", tests, NULL, NULL);
}
