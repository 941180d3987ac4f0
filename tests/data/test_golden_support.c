/* The formula numbers and the golden reader itself, before anything is judged by them.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/base/file.h"
#include "tests/support/golden.h"

static uint64_t hex(const json_t *j)
{
    return strtoull(json_string_value(j), NULL, 16);
}

static void formula_vectors(void **state)
{
    json_t *j = cts_golden_need_json("formula.json"), *v;
    const char *set_seed = json_string_value(json_object_get(j, "set_seed"));
    size_t i, k;

    (void)state;
    json_array_foreach(json_object_get(j, "vectors"), i, v)
    {
        const char *name = json_string_value(json_object_get(v, "name"));
        const json_t *shape = json_object_get(v, "shape"), *bits = json_object_get(v, "bits"),
                     *mix = json_object_get(v, "splitmix");
        uint64_t seed = cts_formula_seed(strtoull(set_seed, NULL, 10), name);
        int64_t dims[8];
        int n_dims = (int)json_array_size(shape);
        double shift, scale;
        float x[16];

        for (int a = 0; a < n_dims; a++)
            dims[a] = json_integer_value(json_array_get(shape, (size_t)a));
        assert_int_equal(seed, hex(json_object_get(v, "seed")));
        cts_formula_rule(&shift, &scale, name, dims, n_dims);
        assert_true(shift == json_number_value(json_object_get(v, "shift")));
        assert_true(scale == json_number_value(json_object_get(v, "scale")));
        assert_in_range(json_array_size(bits), 1, 16);
        cts_formula_fill(x, json_array_size(bits), strtoull(set_seed, NULL, 10), name, shift, scale);
        for (k = 0; k < json_array_size(bits); k++) {
            uint32_t u;

            memcpy(&u, &x[k], sizeof u);
            assert_int_equal(u, hex(json_array_get(bits, k)));
        }
        for (k = 0; k < json_array_size(mix); k++)
            assert_int_equal(cts_formula_bits(seed, k), hex(json_array_get(mix, k)));
    }
    assert_true(i > 0);
    json_decref(j);
}

/* Every weight of the set's mini model is stored and computed. */
static void formula_weights(void **state)
{
    cts_golden *g = cts_golden_need("dcformer_mini.safetensors");
    size_t compared = 0;

    (void)state;
    for (size_t i = 0; i < cts_golden_count(g); i++) {
        const cts_golden_tensor *t = cts_golden_at(g, i);
        float *want, *have;

        if (strncmp(t->name, "weight.", 7) || strcmp(t->dtype, "F32"))
            continue;
        want = cts_golden_need_floats(g, "%s", t->name);
        have = malloc(t->count * sizeof *have);
        assert_non_null(have);
        cts_formula_weight(have, cts_golden_seed(g), t->name + 7, t->shape, t->n_dims);
        assert_memory_equal(have, want, t->count * sizeof *have);
        free(have);
        free(want);
        compared++;
    }
    cts_golden_close(g);
    if (!compared) { /* the project's own copy leaves out what the formula can make */
        fprintf(stderr, "golden: skipped, dcformer_mini.safetensors stores no weights to compare with\n");
        skip();
    }
}

static void write_file(char *path, const char *header, uint64_t length, const char *data, size_t n)
{
    char buf[1024];
    size_t h = strlen(header);

    memcpy(buf, &length, 8);
    memcpy(buf + 8, header, h);
    memcpy(buf + 8 + h, data, n);
    assert_int_equal(cts_file_write_atomic(path, buf, 8 + h + n), CTS_OK);
}

/* A reader that trusted its file would make every golden test unsafe. */
static void damaged_files(void **state)
{
    static const char *const bad[] = {
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}",
        "{\"a\":{\"dtype\":\"F99\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}",
        "{\"a\":7}",
        "[]x",
    };
    char dir[] = "/tmp/cts_golden_XXXXXX", path[64];
    const char *good =
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"__metadata__\":{\"set_seed\":\"5\"}}";
    float values[2] = {1.5f, -2}, off[2] = {1.5f, -2.1f}, nan[2] = {1.5f, 0.0f / 0.0f};
    cts_golden *g = NULL;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/x.safetensors", dir);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file(path, bad[i], strlen(bad[i]), (const char *)values, 8);
        assert_int_not_equal(cts_golden_open_path(&g, path), CTS_OK);
        assert_null(g);
    }
    write_file(path, good, UINT64_MAX, (const char *)values, 8);
    assert_int_not_equal(cts_golden_open_path(&g, path), CTS_OK);
    write_file(path, good, strlen(good), (const char *)values, 8);
    assert_int_equal(cts_golden_open_path(&g, path), CTS_OK);
    assert_true(cts_golden_near(g, "a", values, 2, 1e-6, 0));
    assert_false(cts_golden_near(g, "a", off, 2, 1e-3, 0));
    assert_false(cts_golden_near(g, "a", nan, 2, 1e30, 1e30));
    assert_int_equal(cts_golden_seed(g), 5);
    cts_golden_close(g);
    assert_int_equal(cts_remove_tree(dir), CTS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formula_vectors),
        cmocka_unit_test(formula_weights),
        cmocka_unit_test(damaged_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
