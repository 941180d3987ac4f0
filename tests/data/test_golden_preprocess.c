/* The built-in recipes against tensors of the published loaders.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/ct_rate.h"
#include "data/nifti.h"
#include "data/preprocess.h"
#include "kernels/base/json.h"
#include "tests/support/golden.h"

static cts_golden *golden;
static json_t *cases;
static cts_pool *pool;

static int setup(void **state)
{
    (void)state;
    return cts_pool_create(&pool, 2);
}

static int teardown(void **state)
{
    (void)state;
    cts_pool_destroy(pool);
    cts_golden_close(golden);
    json_decref(cases);
    return 0;
}

static void need_files(void)
{
    if (!cases)
        cases = cts_golden_need_json("preprocess.json");
    if (!golden)
        golden = cts_golden_need("preprocess.safetensors");
}

static void ints(int64_t out[3], const json_t *j)
{
    assert_int_equal(json_array_size(j), 3);
    for (size_t a = 0; a < 3; a++)
        out[a] = json_integer_value(json_array_get(j, a));
}

/* The tensor of one case and recipe, published manner: axes as stored, header and CSV maps both. */
static float *compute(cts_recipe *r, cts_preprocess_info *info, const json_t *c, const char *recipe,
                      const int64_t *target)
{
    const char *file = json_string_value(json_object_get(c, "file"));
    char *path = !strncmp(file, "preprocess/", 11) ? cts_golden_need_path(file) : cts_golden_need_data_path(file);
    double spacing[3], rescale[2];
    cts_volume *v = NULL;
    float *out;

    assert_int_equal(cts_recipe_find(r, recipe), CTS_OK);
    snprintf(r->orientation, sizeof r->orientation, "stored");
    r->hu = CTS_HU_POLICY_CSV;
    if (target)
        memcpy(r->size_zxy, target, sizeof r->size_zxy);
    assert_int_equal(cts_xy_spacing_parse(&spacing[0], json_string_value(json_object_get(c, "XYSpacing"))), CTS_OK);
    spacing[1] = spacing[0];
    spacing[2] = json_number_value(json_object_get(c, "ZSpacing"));
    rescale[0] = json_number_value(json_object_get(c, "slope"));
    rescale[1] = json_number_value(json_object_get(c, "intercept"));
    if (cts_nifti_load(&v, path, 0))
        fail_msg("%s", cts_error());
    free(path);
    out = malloc(cts_recipe_elements(r) * sizeof *out);
    assert_non_null(out);
    memset(out, 0xff, cts_recipe_elements(r) * sizeof *out); /* NaN: nothing may stay unwritten */
    if (cts_preprocess(v, r, spacing, rescale, pool, out, info))
        fail_msg("%s", cts_error());
    cts_volume_destroy(v);
    return out;
}

static void check_geometry(const json_t *want, const cts_preprocess_info *info)
{
    int64_t size[3];

    ints(size, json_object_get(want, "resampled"));
    for (size_t a = 0; a < 3; a++) {
        const json_t *range = json_array_get(json_object_get(want, "content"), a);

        assert_int_equal(info->resampled_zxy[a], size[a]);
        assert_int_equal(info->content_zxy[a][0], json_integer_value(json_array_get(range, 0)));
        assert_int_equal(info->content_zxy[a][1], json_integer_value(json_array_get(range, 1)));
    }
}

/* Everything outside the content box is the pad value exactly; the box itself goes to `box`, packed. */
static size_t check_padding(float *box, const float *out, const cts_recipe *r, const cts_preprocess_info *info)
{
    size_t n = 0;

    for (int64_t z = 0; z < r->size_zxy[0]; z++)
        for (int64_t x = 0; x < r->size_zxy[1]; x++)
            for (int64_t y = 0; y < r->size_zxy[2]; y++) {
                const int64_t at[3] = {z, x, y};
                float value = *out++;
                bool inside = true;

                for (int a = 0; a < 3; a++)
                    inside = inside && at[a] >= info->content_zxy[a][0] && at[a] < info->content_zxy[a][1];
                if (inside)
                    box[n++] = value;
                else
                    assert_true(value == (float)r->pad);
            }
    return n;
}

/* Small files: results in full, or as their content box. */
static void small_files(void **state)
{
    const char *name, *recipe;
    json_t *c, *want;
    size_t done = 0;

    (void)state;
    need_files();
    json_object_foreach(cases, name, c)
    {
        if (!json_object_get(c, "stored_shape_xyz"))
            continue;
        json_object_foreach(json_object_get(c, "recipes"), recipe, want)
        {
            bool whole = !strcmp(json_string_value(json_object_get(want, "stored")), "whole");
            char tensor[128];
            cts_preprocess_info info;
            cts_recipe r;
            int64_t target[3];
            size_t n;
            float *out, *box;

            ints(target, json_object_get(want, "target"));
            out = compute(&r, &info, c, recipe, target);
            check_geometry(want, &info);
            box = malloc(cts_recipe_elements(&r) * sizeof *box);
            assert_non_null(box);
            n = check_padding(box, out, &r, &info);
            snprintf(tensor, sizeof tensor, "%s.%s", name, recipe);
            assert_true(cts_golden_near(golden, tensor, whole ? out : box, whole ? cts_recipe_elements(&r) : n, -1, 0));
            free(out);
            free(box);
            done++;
        }
    }
    assert_true(done > 0);
}

/* Mean over the other two axes. */
static void profile(float *out, const float *t, const int64_t size[3], int axis)
{
    double *sum = calloc((size_t)size[axis], sizeof *sum);

    assert_non_null(sum);
    for (int64_t z = 0; z < size[0]; z++)
        for (int64_t x = 0; x < size[1]; x++)
            for (int64_t y = 0; y < size[2]; y++)
                sum[axis == 0 ? z : axis == 1 ? x : y] += *t++;
    for (int64_t i = 0; i < size[axis]; i++)
        out[i] = (float)(sum[i] * (double)size[axis] / ((double)size[0] * (double)size[1] * (double)size[2]));
    free(sum);
}

static void check_chest(const char *name, const char *recipe, const float *out, const cts_recipe *r)
{
    static const char *const tail[3] = {"profile_z", "profile_x", "profile_y"};
    int64_t step[3], offset[3], n = 0;
    float *sample = malloc(cts_recipe_elements(r) * sizeof *sample);
    char tensor[160];

    assert_non_null(sample);
    cts_golden_need_meta_ints(golden, "step", step, 3);
    cts_golden_need_meta_ints(golden, "offset", offset, 3);
    for (int64_t z = offset[0]; z < r->size_zxy[0]; z += step[0])
        for (int64_t x = offset[1]; x < r->size_zxy[1]; x += step[1])
            for (int64_t y = offset[2]; y < r->size_zxy[2]; y += step[2])
                sample[n++] = out[(z * r->size_zxy[1] + x) * r->size_zxy[2] + y];
    snprintf(tensor, sizeof tensor, "%s.%s.sample", name, recipe);
    assert_true(cts_golden_near(golden, tensor, sample, (size_t)n, -1, 0));
    for (int a = 0; a < 3; a++) {
        profile(sample, out, r->size_zxy, a);
        snprintf(tensor, sizeof tensor, "%s.%s.%s", name, recipe, tail[a]);
        assert_true(cts_golden_near(golden, tensor, sample, (size_t)r->size_zxy[a], -1, 0));
    }
    free(sample);
}

/* A real chest at full size; skipped where the data folder is not. */
static void chest(void **state)
{
    const char *name, *recipe;
    json_t *c, *want;

    (void)state;
    need_files();
    json_object_foreach(cases, name, c)
    {
        if (strncmp(name, "chest", 5))
            continue;
        json_object_foreach(json_object_get(c, "recipes"), recipe, want)
        {
            cts_preprocess_info info;
            cts_recipe r;
            float *out = compute(&r, &info, c, recipe, NULL);
            double mean = json_number_value(json_object_get(want, "mean")), sum = 0;

            check_geometry(want, &info);
            check_chest(name, recipe, out, &r);
            for (size_t i = 0; i < cts_recipe_elements(&r); i++)
                sum += out[i];
            assert_true(fabs(sum / (double)cts_recipe_elements(&r) - mean) <= 1e-6);
            assert_true(fabs((double)info.min - json_number_value(json_object_get(want, "min"))) <= 1e-6);
            assert_true(fabs((double)info.max - json_number_value(json_object_get(want, "max"))) <= 1e-6);
            free(out);
        }
    }
}

static void resampled_sizes(void **state)
{
    json_t *row;
    size_t i;

    (void)state;
    need_files();
    json_array_foreach(json_object_get(json_object_get(cases, "resample_sizes"), "rows"), i, row) assert_int_equal(
        cts_resampled_size(json_integer_value(json_array_get(row, 0)), json_number_value(json_array_get(row, 1)),
                           json_number_value(json_array_get(row, 2))),
        json_integer_value(json_array_get(row, 3)));
    assert_true(i > 0);
}

static void xy_spacing(void **state)
{
    const char *cell;
    json_t *want;
    size_t done = 0;

    (void)state;
    need_files();
    json_object_foreach(json_object_get(cases, "xyspacing_parse"), cell, want)
    {
        double mm = -1;

        if (!json_is_number(want))
            continue;
        assert_int_equal(cts_xy_spacing_parse(&mm, cell), CTS_OK);
        assert_true(mm == json_number_value(want));
        done++;
    }
    assert_true(done > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_files),
        cmocka_unit_test(chest),
        cmocka_unit_test(resampled_sizes),
        cmocka_unit_test(xy_spacing),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
