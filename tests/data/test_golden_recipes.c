/* The recipes merlin, hlip and fvlm against tensors of tools/gen_golden_recipes.py (numpy, and for merlin MONAI).
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

#include "data/preprocess.h"
#include "kernels/base/json.h"
#include "kernels/base/status.h"
#include "tests/support/golden.h"

#define FOLDER CTS_SOURCE_DIR "/tests/golden/recipes/"

/* Voxels [k][j][i] and affine of a golden volume. */
static cts_volume *volume(const cts_golden *g, const char *name, const double mm[3])
{
    const cts_golden_tensor *t = cts_golden_need_tensor(g, "%s.voxels", name);
    double *affine = cts_golden_need_doubles(g, "%s.affine", name);
    cts_volume *v = NULL;

    assert_int_equal(cts_volume_create(&v, (int64_t[]){t->shape[2], t->shape[1], t->shape[0]}, mm, CTS_VOXEL_I16),
                     CTS_OK);
    memcpy(v->voxels, t->data, t->count * sizeof(int16_t));
    memcpy(v->affine, affine, sizeof v->affine);
    v->has_affine = true;
    free(affine);
    return v;
}

static void numbers(double *out, const json_t *j)
{
    assert_int_equal(json_array_size(j), 3);
    for (size_t a = 0; a < 3; a++)
        out[a] = json_number_value(json_array_get(j, a));
}

/* One case; returns the largest difference. */
static double run_case(const cts_golden *g, const json_t *c, double limit)
{
    const char *name = json_string_value(json_object_get(c, "volume")),
               *recipe = json_string_value(json_object_get(c, "recipe"));
    double mm[3], target[3], published[3], resampled[3], worst = 0;
    cts_preprocess_info info;
    cts_recipe r;
    cts_volume *v;
    float *out, *want = cts_golden_need_floats(g, "%s.%s", name, recipe);

    numbers(mm, json_object_get(c, "spacing"));
    numbers(target, json_object_get(c, "target"));
    numbers(published, json_object_get(c, "published"));
    numbers(resampled, json_object_get(c, "resampled"));
    v = volume(g, name, mm);
    assert_int_equal(cts_recipe_find(&r, recipe), CTS_OK);
    for (int a = 0; a < 3; a++) {
        assert_int_equal(r.size_zxy[a], (int64_t)published[a]);
        r.size_zxy[a] = (int64_t)target[a];
    }
    r.hu = CTS_HU_POLICY_HEADER;
    assert_non_null(out = malloc(cts_recipe_elements(&r) * sizeof *out));
    if (cts_preprocess(v, &r, NULL, NULL, NULL, out, &info))
        fail_msg("%s", cts_error());
    for (int a = 0; a < 3; a++)
        assert_int_equal(info.resampled_zxy[a], (int64_t)resampled[a]);
    assert_string_equal(info.stored_codes, json_string_value(json_object_get(c, "codes")));
    assert_true(fabs(info.oblique_deg - json_number_value(json_object_get(c, "tilt"))) < 1e-6);
    for (size_t i = 0; i < cts_recipe_elements(&r); i++) {
        double err = fabs((double)out[i] - (double)want[i]);

        if (!(err <= limit))
            fail_msg("%s by %s: value %zu is %.9g, expected %.9g", name, recipe, i, (double)out[i], (double)want[i]);
        worst = err > worst ? err : worst;
    }
    cts_volume_destroy(v);
    free(out);
    free(want);
    return worst;
}

static void published_recipes(void **state)
{
    json_t *j = NULL;
    const json_t *c;
    cts_golden *g = NULL;
    double worst = 0, limit;
    size_t i;

    (void)state;
    assert_int_equal(cts_json_load(&j, FOLDER "recipes.json", 1 << 20), CTS_OK);
    assert_int_equal(cts_golden_open_path(&g, FOLDER "recipes.safetensors"), CTS_OK);
    limit = json_number_value(json_object_get(j, "tolerance"));
    assert_true(json_array_size(json_object_get(j, "cases")) >= 3);
    json_array_foreach(json_object_get(j, "cases"), i, c)
    {
        double err = run_case(g, c, limit);

        worst = err > worst ? err : worst;
    }
    printf("%zu cases, largest difference %.2g of %.2g allowed\n", i, worst, limit);
    cts_golden_close(g);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(published_recipes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
