/* Heat maps over scans: the map of a known grid, and `explain` and `eval pointing` through the program with models made
 * by hand whose heat is where the scan is bright. SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "data/findings.h"
#include "data/nifti.h"
#include "encoders/model_dir.h"
#include "kernels/base/file.h"
#include "query/explain/heat.h"
#include "query/explain/palette.h"
#include "query/thresholds.h"
#include "tests/support/program.h"

/* ---- a grid over a scan ----------------------------------------------------------------------------------------- */

static cts_volume *scan_of(const char *codes, const int64_t dim[3], const double mm[3], cts_voxel_type type)
{
    cts_volume *v = NULL;

    assert_int_equal(cts_volume_create(&v, dim, mm, type), CTS_OK);
    v->has_affine = true;
    v->affine[0][3] = -30;
    v->affine[1][3] = 12;
    v->affine[2][3] = 500;
    assert_int_equal(cts_volume_reorient(v, codes, NULL), CTS_OK);
    return v;
}

static cts_recipe recipe_of(const double mm[3], const int64_t size[3])
{
    static const double window[2] = {-1000, 1000};
    cts_recipe r;

    assert_int_equal(cts_recipe_free(&r, "test", mm, size, window), CTS_OK);
    r.out[0] = r.pad = 0; /* air is nothing */
    r.hu = CTS_HU_POLICY_HEADER;
    return r;
}

/* One hot cell: the map is 1 at its centre, falls to 0 at its neighbours', and is 0 where the recipe cropped. */
static void heat_of_a_cell(void **state)
{
    static const int64_t dim[3] = {40, 30, 36}, size[3] = {24, 32, 32};
    static const double mm[3] = {1.0, 1.5, 2.0}, target[3] = {2.0, 1.0, 1.5};
    const char *const codes[] = {"RAS", "LPS", "PIR", "ILA"};
    float grid[6 * 4 * 4] = {0};
    cts_cam_info cam = {.volume = {24, 32, 32}, .grid = {6, 4, 4}, .step = {4, 8, 8}, .origin = {1.5, 0, 3.5}};
    cts_recipe r = recipe_of(target, size);

    (void)state;
    grid[(4 * 4 + 2) * 4 + 1] = 5;
    for (size_t c = 0; c < sizeof codes / sizeof codes[0]; c++) {
        cts_volume *v = scan_of(codes[c], dim, mm, CTS_VOXEL_I16);
        const double centre[3] = {1.5 + 4 * 4, 2 * 8, 3.5 + 8}, next[3] = {1.5 + 4 * 4, 3 * 8, 3.5 + 8};
        double ijk[3], ras[3], sum = 0, largest = 0;
        int64_t top[3], at[3];
        cts_geometry g;
        cts_heat h;
        const float *p;

        assert_int_equal(cts_geometry_make(&g, v, &r, NULL), CTS_OK);
        assert_int_equal(cts_heat_make(&h, v, &g, &cam, grid, NULL), CTS_OK);
        assert_true(h.peak == 5);
        assert_memory_equal(h.volume->dim, v->dim, sizeof v->dim);
        assert_memory_equal(h.volume->affine, v->affine, sizeof v->affine);
        cts_geometry_to_scan(&g, centre, ijk);
        cts_volume_world(v, ijk, ras); /* the same millimetres however it is stored */
        assert_true(fabs(ras[2] - (500 + 2.0 * ((1.5 + 16 + 0.5 + 6) - 0.5))) <= 1e-6);
        for (int a = 0; a < 3; a++) {
            assert_true(fabs(ijk[a] - (double)h.hottest[a]) <= 0.5 + 1e-9);
            assert_true(fabs(h.centre[a] - ijk[a]) <= 1);
            assert_true(h.half_cell[a] > 0);
        }
        p = h.volume->voxels;
        assert_true(p[h.hottest[0] + v->dim[0] * (h.hottest[1] + v->dim[1] * h.hottest[2])] > 0.7f);
        cts_geometry_to_scan(&g, next, ijk);
        for (int a = 0; a < 3; a++)
            at[a] = llrint(ijk[a]);
        assert_true(p[at[0] + v->dim[0] * (at[1] + v->dim[1] * at[2])] < 0.15f);
        for (at[2] = 0; at[2] < v->dim[2]; at[2]++)
            for (at[1] = 0; at[1] < v->dim[1]; at[1]++)
                for (at[0] = 0; at[0] < v->dim[0]; at[0]++, p++) {
                    const double voxel[3] = {(double)at[0], (double)at[1], (double)at[2]};
                    double zxy[3];

                    cts_geometry_to_tensor(&g, voxel, zxy);
                    for (int a = 0; a < 3; a++)
                        if (zxy[a] < -0.5 || zxy[a] > (double)size[a] - 0.5)
                            assert_true(*p == 0); /* cropped away */
                    assert_true(*p >= 0 && *p <= 1);
                    sum += (double)*p;
                    largest = fmax(largest, (double)*p);
                }
        for (int64_t s = 0; s < h.slices; s++)
            sum -= h.mean[s] * (double)cts_volume_count(v) / (double)h.slices;
        assert_true(fabs(sum) <= 1e-6 * (double)cts_volume_count(v));
        assert_int_equal(h.slices, 36);
        assert_int_equal(h.body, strchr(codes[c], 'S') ? 2 : strchr(codes[c], 'I') - codes[c]);
        assert_int_equal(h.head_first, strchr(codes[c], 'I') != NULL);
        assert_in_range(cts_heat_top(&h, 3, top), 1, 3);
        assert_true(llabs((long long)(top[0] - h.hottest[h.body])) <= 1);
        assert_true(h.max[top[0]] >= largest - 0.2);
        assert_true(fabs(cts_heat_position(&h, top[0]) - (h.head_first ? 35 - (double)top[0] : (double)top[0]) / 35) <=
                    1e-12);
        cts_heat_clear(&h);
        cts_volume_destroy(v);
    }
}

static void no_heat(void **state)
{
    static const int64_t dim[3] = {8, 8, 8}, size[3] = {8, 8, 8};
    static const double mm[3] = {1, 1, 1};
    float grid[8] = {0};
    cts_cam_info cam = {.volume = {8, 8, 8}, .grid = {2, 2, 2}, .step = {4, 4, 4}, .origin = {1.5, 1.5, 1.5}};
    cts_recipe r = recipe_of(mm, size);
    cts_volume *v = scan_of("LPS", dim, mm, CTS_VOXEL_I16);
    cts_geometry g;
    cts_heat h;
    int64_t top[3];

    (void)state;
    assert_int_equal(cts_geometry_make(&g, v, &r, NULL), CTS_OK);
    assert_int_equal(cts_heat_make(&h, v, &g, &cam, grid, NULL), CTS_OK);
    assert_true(h.peak == 0);
    assert_int_equal(cts_heat_top(&h, 3, top), 0);
    for (int a = 0; a < 3; a++)
        assert_true(h.centre[a] == 3.5);
    cts_heat_clear(&h);
    cts_volume_destroy(v);
}

/* Lightness rises; the cover too, and is nothing without heat. */
static void colours(void **state)
{
    double last = -1, covered = -1;

    (void)state;
    for (int i = 0; i <= 100; i++) {
        uint8_t c[3];
        double light;

        cts_palette(i / 100.0, c);
        light = 0.2126 * pow(c[0] / 255.0, 2.2) + 0.7152 * pow(c[1] / 255.0, 2.2) + 0.0722 * pow(c[2] / 255.0, 2.2);
        assert_true(light >= last - 1e-3);
        assert_true(cts_palette_cover(i / 100.0) >= covered);
        last = fmax(light, last);
        covered = cts_palette_cover(i / 100.0);
    }
    assert_true(cts_palette_cover(0) == 0 && covered < 0.8);
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

#define DCFORMER                                                                                                       \
    "{\"image\": {\"encoder\": \"dcformer\", \"config\": {\"num_blocks\": [1,1,1,1,1], \"channels\": [4,4,8,8,8], "    \
    "\"kernel_sizes\": [5,3,3,3], \"input_size\": [32, 64, 64]}}, \"text\": null, \"latent_dim\": 8, \"classifier\": " \
    "{\"labels\": [\"Lung nodule\", \"Pleural effusion\", \"Fish bone\"], \"head\": \"linear\", \"input\": "           \
    "\"vector\"}}"
#define SCROLL                                                                                                         \
    "{\"image\": {\"encoder\": \"ct_scroll\", \"config\": {\"width\": 2, \"embed_dim\": 16, \"heads\": 2, "            \
    "\"window\": 2, \"n_labels\": 2, \"input_size\": [24, 64, 64]}}, \"text\": null, \"latent_dim\": 8, "              \
    "\"classifier\": {\"labels\": [\"Lung nodule\", \"Pleural effusion\"], \"head\": \"encoder\"}}"
#define HEADLESS                                                                                                       \
    "{\"image\": {\"encoder\": \"dcformer\", \"config\": {\"num_blocks\": [1,1,1,1,1], \"channels\": [4,4,8,8,8], "    \
    "\"kernel_sizes\": [5,3,3,3], \"input_size\": [32, 64, 64]}}, \"text\": null, \"latent_dim\": 8}"

/* The entry whose name ends so. */
static cts_param *entry(cts_clip *m, const char *end)
{
    size_t n = strlen(end);

    for (int i = 0; i < cts_params_n(m->params); i++) {
        cts_param *p = cts_params_at(m->params, i);
        size_t len = strlen(p->name);

        if (len >= n && !strcmp(p->name + len - n, end))
            return p;
    }
    fail_msg("no entry %s", end);
    return NULL;
}

/* All weights positive, norms that do nothing: features are how bright the scan is around; the first label likes it,
 * the second does not. */
static void bright_dcformer(cts_clip *m)
{
    for (int i = 0; i < cts_params_n(m->params); i++) {
        cts_param *p = cts_params_at(m->params, i);
        float value = strstr(p->name, "bias") || strstr(p->name, "running_mean") ? 0.0f
                      : strstr(p->name, "running_var")                           ? 1.0f
                      : strstr(p->name, "norm.")                                 ? 1.0f
                      : strstr(p->name, "gamma")                                 ? 0.01f
                                                                                 : 0.1f;

        for (int64_t k = 0; k < p->count; k++)
            p->data[k] = value;
    }
    for (int64_t k = 0; k < 8; k++) {
        entry(m, "classifier.weight")->data[k] = 1;
        entry(m, "classifier.weight")->data[8 + k] = -1;
    }
}

/* Convolutions that average, norms that do nothing: channel 0 of a token is how bright its triplet is, channel 1 is
 * one; attention and GeGLU add nothing. The first label likes bright triplets. */
static void bright_scroll(cts_clip *m)
{
    for (int i = 0; i < cts_params_n(m->params); i++) {
        cts_param *p = cts_params_at(m->params, i);
        bool scale = strstr(p->name, "running_var") || strstr(p->name, "layer_norm_out.weight");
        float value = p->ndim == 4 ? 1.0f / (float)(p->count / p->shape[0])
                      : scale || (strstr(p->name, "features.") && strstr(p->name, "weight")) ? 1.0f
                                                                                             : 0.0f;

        for (int64_t k = 0; k < p->count; k++)
            p->data[k] = value;
    }
    for (int64_t k = 0; k < 16; k++) /* eight residual blocks double what they get */
        entry(m, "projection_gap.0.weight")->data[k] = 0.1f / (16 * 256);
    entry(m, "projection_gap.0.bias")->data[1] = 1;
    entry(m, "classifier.0.weight")->data[0] = entry(m, "classifier.0.bias")->data[0] = 1;
    entry(m, "classifier.3.weight")->data[0] = 1;
}

static void save(const char *name, const char *json, void (*weights)(cts_clip *m), const cts_recipe *r)
{
    json_t *j = json_loads(json, 0, NULL), *recipe;
    char *path = cts_path_join(cts_program_dir(), name), *text = NULL;
    cts_clip_config c = {0};
    cts_clip *m = NULL;

    assert_non_null(j);
    assert_int_equal(cts_clip_config_parse(&c, j, name), CTS_OK);
    assert_int_equal(cts_clip_create_init(&m, &c, 7), CTS_OK);
    if (weights)
        weights(m);
    assert_int_equal(cts_recipe_text(r, &text), CTS_OK);
    recipe = json_loads(text, 0, NULL);
    assert_int_equal(cts_model_dir_save(path, m, NULL, recipe), CTS_OK);
    cts_clip_destroy(m);
    json_decref(recipe);
    json_decref(j);
    free(text);
    free(path);
}

static const int64_t scan_dim[3] = {44, 40, 36};
static const double scan_mm[3] = {1.4, 1.4, 2.0};

/* Air, a body of water with a bright cube, the cube's voxels in the mask as finding `bit`. In L-P-S the cube is at
 * [20, 28) x [24, 32) x [10, 16). */
static void save_scan(const char *folder, const char *name, const char *codes, int bit)
{
    char path[512];
    cts_volume *v = NULL, *mask = NULL;

    assert_int_equal(cts_volume_create(&v, scan_dim, scan_mm, CTS_VOXEL_I16), CTS_OK);
    assert_int_equal(cts_volume_create(&mask, scan_dim, scan_mm, CTS_VOXEL_F32), CTS_OK);
    for (int64_t k = 0; k < scan_dim[2]; k++)
        for (int64_t j = 0; j < scan_dim[1]; j++)
            for (int64_t i = 0; i < scan_dim[0]; i++) {
                int64_t at = i + scan_dim[0] * (j + scan_dim[1] * k);
                bool body = i >= 4 && i < 40 && j >= 4 && j < 36;
                bool cube = i >= 20 && i < 28 && j >= 24 && j < 32 && k >= 10 && k < 16;

                ((int16_t *)v->voxels)[at] = cube ? 1000 : body ? -200 : -1000;
                ((float *)mask->voxels)[at] = cube ? (float)(1 << bit) : 0.0f;
            }
    for (int w = 0; w < 2; w++) {
        cts_volume *x = w ? mask : v;

        x->has_affine = true;
        x->affine[0][0] = -scan_mm[0];
        x->affine[1][1] = -scan_mm[1];
        assert_int_equal(cts_volume_reorient(x, codes, NULL), CTS_OK);
        snprintf(path, sizeof path, "%s/%s%s", cts_program_dir(), folder, w ? "/masks" : "/volumes");
        assert_int_equal(cts_mkdir_p(path), CTS_OK);
        snprintf(path + strlen(path), sizeof path - strlen(path), "/%s.nii.gz", name);
        assert_int_equal(cts_nifti_save(x, path, 0), CTS_OK);
        cts_volume_destroy(x);
    }
}

static int setup(void **state)
{
    static const double mm[3] = {2.0, 1.2, 1.2}, thick[3] = {2.0, 1.2, 1.2};
    static const int64_t size[3] = {32, 64, 64}, triplets[3] = {24, 64, 64};
    cts_recipe r, t;

    if (cts_program_setup(state))
        return -1;
    r = recipe_of(mm, size);
    t = recipe_of(thick, triplets);
    save("bright", DCFORMER, bright_dcformer, &r);
    save("scroll", SCROLL, bright_scroll, &t);
    save("headless", HEADLESS, NULL, &r);
    save_scan("set", "valid_1_a_1", "LPS", 9);
    save_scan("set", "valid_2_a_1", "RAS", 9);
    save_scan("set", "valid_3_a_1", "PIR", 9);
    return 0;
}

/* Is voxel i, j, k of the scan stored as `codes` in the cube, give or take `slack` voxels? */
static bool in_cube(const json_t *voxel, const char *file, double slack)
{
    static const double lps[3][2] = {{20, 27}, {24, 31}, {10, 15}};
    char path[512];
    cts_volume *v = NULL;
    double ijk[3], ras[3];
    bool in = true;

    snprintf(path, sizeof path, "%s/%s", cts_program_dir(), file);
    assert_int_equal(cts_nifti_peek(&v, path), CTS_OK);
    for (size_t a = 0; a < 3; a++)
        ijk[a] = json_number_value(json_array_get(voxel, a));
    cts_volume_world(v, ijk, ras);
    for (int w = 0; w < 3; w++) { /* affine of the L-P-S scan: -1.4, -1.4, 2.0, no offset */
        double at = ras[w] / (w < 2 ? -scan_mm[w] : scan_mm[w]);

        in &= at >= lps[w][0] - slack && at <= lps[w][1] + slack;
    }
    cts_volume_destroy(v);
    return in;
}

static void explains_the_bright_place(void **state)
{
    static const char *const files[] = {"set/volumes/valid_1_a_1.nii.gz", "set/volumes/valid_2_a_1.nii.gz",
                                        "set/volumes/valid_3_a_1.nii.gz"};

    (void)state;
    for (int f = 0; f < 3; f++) {
        char words[256], path[512];
        cts_volume *heat = NULL, *scan = NULL;
        const json_t *one;
        json_t *j, *saved;
        double largest = 0;
        uint8_t *png = NULL;
        size_t n;

        snprintf(words, sizeof words,
                 "explain --model bright -f \"Lung nodule\" -f \"pleural_effusion\" --layer stage0 "
                 "%s --out why%d --json",
                 files[f], f);
        j = cts_program_json_of(0, words);
        cts_json_keys(j, "volume model kind prompts layer weights grid findings orientation warnings");
        assert_int_equal(json_array_size(cts_json_at(j, "findings")), 2);
        one = cts_json_at(j, "findings.0");
        cts_json_keys(one, "name probability logit threshold verdict peak hottest centre half_cell top_slices profile "
                           "nifti png");
        assert_string_equal(json_string_value(cts_json_at(one, "name")), "Lung nodule");
        assert_true(in_cube(cts_json_at(one, "hottest.voxel"), files[f], 0));
        assert_true(json_number_value(cts_json_at(one, "peak")) > 0);
        assert_int_equal(json_array_size(cts_json_at(one, "profile.mean")), 36);
        assert_true(json_is_null(cts_json_at(one, "threshold")));
        assert_true(json_is_null(cts_json_at(j, "findings.1.hottest"))); /* dislikes what is bright */
        assert_true(json_number_value(cts_json_at(j, "findings.1.peak")) == 0);
        /* the heat map lies where the scan lies */
        snprintf(path, sizeof path, "%s/%s", cts_program_dir(), json_string_value(cts_json_at(one, "nifti")));
        assert_int_equal(cts_nifti_load(&heat, path, 0), CTS_OK);
        snprintf(path, sizeof path, "%s/%s", cts_program_dir(), files[f]);
        assert_int_equal(cts_nifti_peek(&scan, path), CTS_OK);
        assert_memory_equal(heat->dim, scan->dim, sizeof scan->dim);
        for (int a = 0; a < 12; a++)
            assert_true(fabs(heat->affine[a / 4][a % 4] - scan->affine[a / 4][a % 4]) <= 1e-4);
        assert_int_equal(heat->type, CTS_VOXEL_F32);
        for (size_t i = 0; i < cts_volume_count(heat); i++)
            largest = fmax(largest, (double)((const float *)heat->voxels)[i]);
        assert_true(largest > 0.7 && largest <= 1);
        cts_volume_destroy(heat);
        cts_volume_destroy(scan);
        snprintf(path, sizeof path, "%s/%s", cts_program_dir(), json_string_value(cts_json_at(one, "png")));
        assert_int_equal(cts_file_read((char **)&png, &n, path, 1 << 24), CTS_OK);
        assert_true(n > 1000 && !memcmp(png, "\x89PNG", 4));
        free(png);
        snprintf(path, sizeof path, "%s/why%d/explain.json", cts_program_dir(), f);
        saved = json_load_file(path, 0, NULL);
        assert_true(json_equal(cts_json_at(saved, "findings.0.hottest.voxel"), cts_json_at(one, "hottest.voxel")));
        assert_true(json_equal(cts_json_at(saved, "findings.0.nifti"), cts_json_at(one, "nifti")));
        json_decref(saved);
        json_decref(j);
    }
    cts_program_runs(0, "explain --model bright -f all --layer stage0 set/volumes/valid_1_a_1.nii.gz");
    assert_non_null(strstr(cts_program_out(), "hottest cell"));
    assert_non_null(strstr(cts_program_out(), "head to feet"));
    assert_non_null(strstr(cts_program_out(), "no place of the scan speaks for it"));
    cts_program_runs(0, "explain --model bright -f all --out bare --png off set/volumes/valid_1_a_1.nii.gz");
    assert_int_equal(cts_program_shell("test $(ls bare/*.nii.gz | wc -l) = 3 && ! ls bare/*.png 2>/dev/null"), 0);
}

static void thresholds(void **state)
{
    cts_label_threshold label[3] = {{.name = "Lung nodule", .threshold = 1e-9, .auroc = 1, .a = 1},
                                    {.name = "Pleural effusion", .threshold = 1.0, .auroc = 1, .a = 1},
                                    {.name = "Fish bone", .threshold = 0.5, .auroc = NAN, .a = 1}};
    cts_thresholds t = {.rule = "f1-max", .n = 3, .patients = 3, .n_labels = 3, .label = label};
    char path[512];
    json_t *j;

    (void)state;
    snprintf(path, sizeof path, "%s/bright", cts_program_dir());
    assert_int_equal(cts_thresholds_save(&t, path), CTS_OK);
    j = cts_program_json_of(0, "explain --model bright --positive set/volumes/valid_1_a_1.nii.gz --json");
    assert_string_equal(json_string_value(cts_json_at(j, "findings.0.name")), "Lung nodule");
    assert_string_equal(json_string_value(cts_json_at(j, "findings.0.verdict")), "present");
    for (size_t i = 0; i < json_array_size(cts_json_at(j, "findings")); i++)
        assert_string_not_equal(json_string_value(cts_json_at(json_array_get(cts_json_at(j, "findings"), i), "name")),
                                "Pleural effusion");
    json_decref(j);
    assert_int_equal(cts_program_shell("rm bright/thresholds.json"), 0);
}

static void refused(void **state)
{
    (void)state;
    cts_program_refuses(4, "explain --model bright -f \"Cardiomegaly\" set/volumes/valid_1_a_1.nii.gz",
                        "allowed for this model: Lung nodule, Pleural effusion, Fish bone");
    cts_program_refuses(2, "explain --model bright -f \"Fish bone\" --layer stage7 set/volumes/valid_1_a_1.nii.gz",
                        "stage0, stage1, stage2, stage3, stage4, tokens");
    cts_program_refuses(4, "explain --model headless -f \"Lung nodule\" set/volumes/valid_1_a_1.nii.gz",
                        "the model answers for no finding");
    cts_program_refuses(1, "explain --model bright set/volumes/valid_1_a_1.nii.gz", "--finding NAME");
    cts_program_refuses(1, "explain --model bright -f a b c", "one VOLUME at a time");
    cts_program_refuses(1, "explain --model bright -f a --weights some x", "auto, all, slab, cell");
    cts_program_refuses(3, "explain --model bright -f \"Fish bone\" nosuch.nii.gz", "nosuch.nii.gz");
    assert_int_equal(cts_program_shell("head -c 200 set/volumes/valid_1_a_1.nii.gz >short.nii.gz; : >file"), 0);
    cts_program_refuses(2, "explain --model bright -f \"Fish bone\" --out none short.nii.gz", "short.nii.gz");
    assert_int_equal(cts_program_shell("! test -e none"), 0);
    cts_program_refuses(3, "explain --model bright -f \"Fish bone\" --out file/x set/volumes/valid_1_a_1.nii.gz",
                        "file");
    /* one file cannot be written: what was written before goes as well */
    assert_int_equal(cts_program_shell("mkdir -p half/pleural_effusion.nii.gz"), 0);
    cts_program_refuses(3, "explain --model bright -f all --out half set/volumes/valid_1_a_1.nii.gz", "half/");
    assert_int_equal(cts_program_shell("test \"$(ls half)\" = pleural_effusion.nii.gz"), 0);
}

static void few_slices(void **state)
{
    static const int64_t dim[3] = {40, 40, 2};
    cts_volume *v = scan_of("LPS", dim, scan_mm, CTS_VOXEL_I16);
    char path[512];
    json_t *j;

    (void)state;
    ((int16_t *)v->voxels)[5] = 700;
    snprintf(path, sizeof path, "%s/two.nii.gz", cts_program_dir());
    assert_int_equal(cts_nifti_save(v, path, 0), CTS_OK);
    cts_volume_destroy(v);
    cts_program_refuses(2, "explain --model scroll -f \"Lung nodule\" two.nii.gz", "has 2 slices, allowed: at least 3");
    j = cts_program_json_of(0, "explain --model scroll -f \"Lung nodule\" set/volumes/valid_1_a_1.nii.gz --json");
    assert_string_equal(json_string_value(cts_json_at(j, "layer")), "trunk");
    assert_string_equal(json_string_value(cts_json_at(j, "weights")), "slab");
    assert_int_equal(json_integer_value(cts_json_at(j, "grid.cells_zxy.0")), 8);
    assert_true(in_cube(cts_json_at(j, "findings.0.hottest.voxel"), "set/volumes/valid_1_a_1.nii.gz", 12));
    assert_in_range(json_integer_value(cts_json_at(j, "findings.0.top_slices.0.index")), 9,
                    16); /* 10 to 15, in threes */
    json_decref(j);
}

static void write_labels(void)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/set/labels.csv", cts_program_dir());
    f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "VolumeName");
    for (int i = 0; i < CTS_FINDINGS; i++)
        fprintf(f, ",%s", cts_findings[i].name);
    for (int v = 1; v <= 3; v++) {
        fprintf(f, "\nvalid_%d_a_1.nii.gz", v);
        for (int i = 0; i < CTS_FINDINGS; i++) /* the nodule everywhere; the effusion is in no mask */
            fprintf(f, ",%d", i == cts_finding_find("Lung nodule") || i == cts_finding_find("Pleural effusion"));
    }
    fprintf(f, "\n");
    assert_int_equal(fclose(f), 0);
}

#define POINTING                                                                                                       \
    "eval pointing --model bright --labels set/labels.csv --volumes set/volumes --masks set/masks --layer stage0"

static void pointing(void **state)
{
    const double cube = 8 * 8 * 6, body = 36 * 32 * 36;
    const json_t *nodule;
    json_t *j;

    (void)state;
    write_labels();
    assert_int_equal(cts_finding_find("Lung nodule"), 9); /* the bit of the masks */
    j = cts_program_json_of(0, POINTING " --json");
    assert_int_equal(json_integer_value(cts_json_at(j, "volumes")), 3);
    assert_int_equal(json_array_size(cts_json_at(j, "findings")), 2);
    nodule = cts_json_at(j, "findings.0");
    assert_string_equal(json_string_value(cts_json_at(nodule, "name")), "Lung nodule");
    assert_true(json_is_true(cts_json_at(nodule, "focal")));
    assert_int_equal(json_integer_value(cts_json_at(nodule, "asked")), 3);
    assert_true(json_number_value(cts_json_at(nodule, "point.strict")) == 1);
    assert_true(json_number_value(cts_json_at(nodule, "point.tolerant")) == 1);
    assert_true(json_number_value(cts_json_at(nodule, "slice.strict")) == 1);
    assert_true(fabs(json_number_value(cts_json_at(nodule, "point.chance")) - cube / body) <= 1e-9);
    assert_true(fabs(json_number_value(cts_json_at(nodule, "slice.chance")) - 6.0 / 36) <= 1e-9);
    /* half a cell: 2 voxels of 1.2 mm of the tensor are 1 whole voxel of 1.4 mm, 2 of 2 mm are 2 */
    assert_true(fabs(json_number_value(cts_json_at(nodule, "point.tolerant_chance")) - 10 * 10 * 10 / body) <= 1e-9);
    assert_true(fabs(json_number_value(cts_json_at(nodule, "slice.tolerant_chance")) - 10.0 / 36) <= 1e-9);
    assert_int_equal(json_integer_value(cts_json_at(j, "findings.1.unplaced")), 3);
    assert_true(json_is_null(cts_json_at(j, "findings.1.point.strict")));
    assert_true(json_number_value(cts_json_at(j, "focal.point.strict")) == 1);
    json_decref(j);
    cts_program_runs(0, POINTING);
    assert_non_null(strstr(cts_program_out(), "mean of the focal findings"));
    /* the same voxels as the mask of what the model dislikes: it has no heat, and misses */
    assert_int_equal(cts_program_shell("mkdir -p cold && cp -r set/volumes cold/ && cp set/labels.csv cold/"), 0);
    save_scan("cold", "valid_1_a_1", "LPS", cts_finding_find("Pleural effusion"));
    j = cts_program_json_of(0, "eval pointing --model bright --labels cold/labels.csv --volumes cold/volumes --masks "
                               "cold/masks --layer stage0 --limit 1 --json");
    assert_int_equal(json_integer_value(cts_json_at(j, "findings.1.cold")), 1);
    assert_true(json_number_value(cts_json_at(j, "findings.1.point.strict")) == 0);
    json_decref(j);
    /* a mask that is not there, and one of another place */
    cts_program_warns(5,
                      "eval pointing --model bright --labels cold/labels.csv --volumes cold/volumes --masks "
                      "cold/masks",
                      "valid_2_a_1.nii.gz");
    assert_int_equal(cts_program_shell("mkdir -p wrong && for i in 1 2 3; do cp set/masks/valid_2_a_1.nii.gz "
                                       "wrong/valid_${i}_a_1.nii.gz; done"),
                     0);
    cts_program_warns(5, "eval pointing --model bright --labels set/labels.csv --volumes set/volumes --masks wrong",
                      "mask: ");
    cts_program_refuses(2, "eval pointing --model bright --labels set/labels.csv --volumes set/volumes --masks nosuch",
                        "no such folder of masks");
    cts_program_refuses(1, "eval pointing --model bright --volumes set/volumes --masks set/masks", "--labels CSV");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(heat_of_a_cell), cmocka_unit_test(no_heat),
                                       cmocka_unit_test(colours),        cmocka_unit_test(explains_the_bright_place),
                                       cmocka_unit_test(thresholds),     cmocka_unit_test(refused),
                                       cmocka_unit_test(few_slices),     cmocka_unit_test(pointing)};

    return cmocka_run_group_tests_name("explain", tests, setup, cts_program_teardown);
}
