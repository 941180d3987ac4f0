/* CT-CLIP at released size with formula weights (ctclip_full): one volume of 240 x 480 x 480 and two texts through both
 * towers. Patch embedding, position bias, both transformers, codes, tokens, the vector, latents and scores against the
 * published code in float64; prints time, memory and the share of equal codes. Tolerances from section 9 of the file's
 * description. SPDX-License-Identifier: MIT */
#include <math.h>

#include "encoders/tower.h"
#include "kernels/base/log.h"
#include "tests/support/ctclip_run.h"
#include "tests/support/text_batch.h"

#define ACTIVATION 1e-4 /* absolute */
#define TIE 2e-5        /* two codes may change places where their cosines are nearer than this */
#define SCORE 1e-5      /* absolute: text latents; logits: that and what the image latent is off, times the scale */

typedef struct {
    cts_golden *g;
    uint64_t seed;
    int64_t v[4];
    float *video;
    cts_clip *m;
    cts_backend *b;
} fixture;

static int set_up(void **state)
{
    fixture *f = cts_test_alloc(sizeof *f);
    cts_clip_config c = {0};
    json_t *j;

    f->g = cts_golden_need("ctclip_full.safetensors");
    f->seed = cts_golden_seed(f->g);
    f->b = cts_test_backend(NULL);
    assert_int_equal(cts_golden_need_meta_ints(f->g, "volume_shape", f->v, 4), 4);
    f->video = cts_ctclip_need_volume(f->g, "input.full", f->v);
    j = json_pack("{s:{s:s, s:o}, s:{s:s, s:o}, s:I, s:{s:s, s:f}}", "image", "encoder", "ctvit", "config",
                  cts_ctclip_config(f->g, f->v[1], "depth"), "text", "encoder", "bert", "config",
                  cts_golden_need_meta_json(f->g, "text"), "latent_dim",
                  (json_int_t)cts_golden_need_tensor(f->g, "out.image_latents")->shape[1], "temperature", "kind",
                  "learned", "value", 1.0);
    MUST(cts_clip_config_parse(&c, j, "ctclip_full"));
    MUST(cts_clip_create(&f->m, &c));
    cts_ctclip_weights(f->m->params, NULL, f->seed, "", "");
    json_decref(j);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    cts_clip_destroy(f->m);
    cts_backend_destroy(f->b);
    cts_golden_close(f->g);
    free(f->video);
    free(f);
    return 0;
}

/* The formula's volume is the file's: its first voxels, and mean and deviation of all. */
static void test_volume(void **state)
{
    const fixture *f = *state;
    double *stat = cts_golden_need_doubles(f->g, "input.stat"), sum = 0, sq = 0, mean;
    float *corner = cts_golden_need_floats(f->g, "input.corner");
    int64_t s[8], n = f->v[0] * f->v[1] * f->v[2] * f->v[3];

    assert_int_equal(cts_golden_need_shape(f->g, s, "input.corner"), 3);
    for (int64_t i = 0; i < s[0] * s[1] * s[2]; i++) {
        int64_t at = (i / (s[1] * s[2]) * f->v[2] + i / s[2] % s[1]) * f->v[3] + i % s[2];

        assert_true(corner[i] == f->video[at]);
    }
    for (int64_t i = 0; i < n; i++)
        sum += f->video[i];
    mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++)
        sq += (f->video[i] - mean) * (f->video[i] - mean);
    assert_true(fabs(mean - stat[0]) <= 1e-7 && fabs(sqrt(sq / (double)n) - stat[1]) <= 1e-7);
    free(stat);
    free(corner);
}

/* ---- inside the encoder ---------------------------------------------------------------------------------------- */

static bool inside(model_run *r, const cts_golden *g, const char *output, const char *golden)
{
    const cts_tensor *t;
    float *v = cts_test_read(r, output, &t);
    bool ok = cts_golden_near(g, golden, v, (size_t)cts_tensor_count(t), 0, ACTIVATION);

    free(v);
    return ok;
}

/* How many codes differ; -1 where one does that is no near tie. */
static int64_t different_codes(model_run *r, const cts_golden *g)
{
    const cts_tensor *t = cts_graph_find(r->g, "vq_indices");
    int64_t n = cts_tensor_count(t), *want = cts_golden_need_ints(g, "out.indices"), differ = 0, wrong = 0;
    int32_t *got = cts_test_alloc((size_t)n * sizeof *got);
    float *gap = cts_golden_need_floats(g, "out.gap");

    assert_int_equal(n, cts_golden_need_tensor(g, "out.indices")->count);
    MUST(cts_exec_read(r->e, t, got));
    for (int64_t i = 0; i < n; i++) {
        differ += got[i] != want[i];
        wrong += got[i] != want[i] && !(gap[i] < TIE);
    }
    print_message("%lld of %lld codes equal (%.4f %%), %lld differ without being tied\n", (long long)(n - differ),
                  (long long)n, 100.0 * (double)(n - differ) / (double)n, (long long)wrong);
    free(want);
    free(got);
    free(gap);
    return wrong ? -1 : differ;
}

static void test_inside(void **state)
{
    static const char *const names[] = {"patch", "bias", "spatial", "temporal"};
    const fixture *f = *state;
    cts_encoder_inputs in;
    cts_encoder_outputs out = {0};
    model_run r = {0};
    char golden[64];
    int64_t differ;
    bool ok = true;
    cts_build b;

    MUST(cts_graph_create(&r.g, f->m->params));
    in = cts_encoder_image_inputs(r.g, f->v[0], f->v + 1);
    b = cts_build_make(r.g, false);
    b.trace = true;
    cts_build_push(&b, "%s", cts_clip_prefix(CTS_SIDE_IMAGE));
    f->m->config.encoder[CTS_SIDE_IMAGE]->build(&b, f->m->config.config[CTS_SIDE_IMAGE], &in, &out);
    cts_graph_output(r.g, out.tokens, "tokens");
    cts_graph_output(r.g, out.vector, "vector");
    cts_test_plan(&r, f->b, NULL);
    MUST(cts_exec_write(r.e, in.volume, f->video));
    MUST(cts_exec_forward(r.e, 0));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(golden, sizeof golden, "out.%s", names[i]);
        ok &= inside(&r, f->g, names[i], golden);
    }
    differ = different_codes(&r, f->g);
    ok &= differ >= 0;
    if (differ == 0) {
        ok &= inside(&r, f->g, "tokens", "out.tokens");
        ok &= inside(&r, f->g, "vector", "out.image_pooled");
    }
    assert_true(ok);
    cts_test_end(&r);
}

/* ---- both towers ------------------------------------------------------------------------------------------------- */

static float *text_latents(const fixture *f, int64_t *n)
{
    cts_tower_spec spec = cts_clip_tower_spec(f->m, CTS_SIDE_TEXT);
    int64_t *ids = cts_golden_need_ints(f->g, "input.ids"), *mask = cts_golden_need_ints(f->g, "input.mask"), s[8];
    text_batch t;
    cts_tower_options o = {0};
    cts_tower *tower = NULL;
    float *z;

    assert_int_equal(cts_golden_need_shape(f->g, s, "input.ids"), 2);
    t = cts_text_pack(ids, mask, NULL, s[0], s[1], false);
    o.max_batch = t.n_seq;
    z = cts_test_alloc((size_t)(t.n_seq * f->m->config.latent_dim) * sizeof *z);
    MUST(cts_tower_create(&tower, &spec, &o, f->b, NULL));
    MUST(cts_tower_tokens(tower, &(cts_token_batch){t.n_seq, t.ids, t.offsets}, 0, z));
    cts_tower_destroy(tower);
    *n = t.n_seq;
    cts_text_free(&t);
    free(ids);
    free(mask);
    return z;
}

static void print_profile(cts_exec *e)
{
    const double *s = cts_exec_seconds(e);

    for (int op = 0; op < CTS_OP_COUNT; op++)
        if (s[op] > 0.02)
            print_message("  %-20s %.2f s\n", cts_op_def_of((cts_op_kind)op)->name, s[op]);
}

static float *image_latent(const fixture *f)
{
    cts_tower_spec spec = cts_clip_tower_spec(f->m, CTS_SIDE_IMAGE);
    cts_tower_options o = {.max_batch = f->v[0]};
    float *z = cts_test_alloc((size_t)(f->v[0] * f->m->config.latent_dim) * sizeof *z);
    cts_tower *tower = NULL;
    cts_plan_info info;
    double start;

    MUST(cts_tower_create(&tower, &spec, &o, f->b, NULL));
    info = cts_tower_plan_info(tower);
    cts_exec_profile(cts_tower_exec(tower), true);
    start = cts_now();
    MUST(cts_tower_volumes(tower, f->v[0], f->video, 0, z));
    print_message("image tower: %.2f s, %.0f MB planned, %.1f G multiply-adds\n", cts_now() - start,
                  (double)(info.arena_bytes + info.scratch_bytes) / 1e6, (double)cts_tower_macs(tower) / 1e9);
    print_profile(cts_tower_exec(tower));
    cts_tower_destroy(tower);
    return z;
}

/* 1 - cosine of the image latent: 1e-6, and 1e-4 for every code that a near tie gives away. *distance: between the
 * latents. */
static bool latent_near(const fixture *f, const float *z, int64_t d, double *distance)
{
    float *want = cts_golden_need_floats(f->g, "out.image_latents"), *gap = cts_golden_need_floats(f->g, "out.gap");
    size_t ties = 0, n = cts_golden_need_tensor(f->g, "out.gap")->count;
    double off = 1.0 - cts_test_dot(z, want, (size_t)d) / sqrt(cts_test_dot(z, z, (size_t)d)) /
                           sqrt(cts_test_dot(want, want, (size_t)d));

    for (size_t i = 0; i < n; i++)
        ties += gap[i] < TIE;
    print_message("1 - cosine of the image latent: %.3g (%zu near ties)\n", off, ties);
    *distance = sqrt(2.0 * fmax(off, 0.0));
    free(want);
    free(gap);
    return off <= 1e-6 + 1e-4 * (double)ties;
}

static void test_towers(void **state)
{
    const fixture *f = *state;
    int64_t d = f->m->config.latent_dim, n;
    float *zi = image_latent(f), *zt = text_latents(f, &n), *logits = cts_test_alloc((size_t)n * sizeof *logits);
    double off,
        scale = exp((double)cts_params_get(f->m->params, cts_params_find(f->m->params, "temperature"))->data[0]);
    bool ok = latent_near(f, zi, d, &off);

    ok &= cts_ctclip_max_near(f->g, "out.text_latents", zt, (size_t)(n * d), 0, SCORE);
    for (int64_t i = 0; i < n; i++)
        logits[i] = (float)(scale * cts_test_dot(zt + i * d, zi, (size_t)d));
    ok &= cts_ctclip_max_near(f->g, "out.pair_logits", logits, (size_t)n, 0, scale * (SCORE + off));
    assert_true(ok);
    free(zi);
    free(zt);
    free(logits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volume),
        cmocka_unit_test(test_inside),
        cmocka_unit_test(test_towers),
    };

#if defined(__SANITIZE_ADDRESS__)
    printf("skipped: 800 G multiply-adds under a sanitizer take a quarter of an hour; ctvit_mini runs the same code\n");
    return 77;
#endif
    return cmocka_run_group_tests_name("golden ctclip full", tests, set_up, tear_down);
}
