/* safetensors files made by other programs: all dtypes convert to the expected values, and every hostile file is
 * refused with a sentence that names it. SPDX-License-Identifier: MIT */
#include "encoders/safetensors.h"
#include "kernels/base/file.h"
#include "tests/support/model_run.h"

/* expected values are stored as F32 and I64 */
static void compare(const char *stem)
{
    cts_safetensors *got = NULL, *want = NULL;
    char *path;
    char name[256];

    snprintf(name, sizeof name, "checkpoints/%s.safetensors", stem);
    path = cts_golden_need_path(name);
    MUST(cts_safetensors_open(&got, path));
    assert_string_equal(cts_safetensors_path(got), path);
    free(path);
    snprintf(name, sizeof name, "checkpoints/%s.expected.safetensors", stem);
    path = cts_golden_need_path(name);
    MUST(cts_safetensors_open(&want, path));
    free(path);
    assert_int_equal(cts_safetensors_n(got), cts_safetensors_n(want));
    for (int i = 0; i < cts_safetensors_n(want); i++) {
        const cts_st_tensor *w = cts_safetensors_at(want, i), *g = cts_safetensors_find(got, w->name);
        float *a, *b;

        if (!g)
            fail_msg("%s: no tensor %s", stem, w->name);
        assert_int_equal(g->ndim, w->ndim);
        assert_memory_equal(g->shape, w->shape, sizeof w->shape);
        a = cts_test_alloc((size_t)w->count * sizeof *a);
        b = cts_test_alloc((size_t)w->count * sizeof *b);
        cts_st_to_f32(a, g);
        cts_st_to_f32(b, w);
        for (int64_t k = 0; k < w->count; k++)
            if (!(a[k] == b[k] || (a[k] != a[k] && b[k] != b[k])))
                fail_msg("%s: %s[%lld] is %g, expected %g", stem, w->name, (long long)k, a[k], b[k]);
        free(a);
        free(b);
    }
    cts_safetensors_close(got);
    cts_safetensors_close(want);
}

static void test_kinds(void **state)
{
    (void)state;
    compare("kinds");
    compare("handmade");
}

static void test_hostile(void **state)
{
    char *dir = cts_golden_need_path("checkpoints/hostile"), **names = NULL;
    size_t n = 0, seen = 0;

    (void)state;
    MUST(cts_dir_list(&names, &n, dir));
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(names[i]);
        cts_safetensors *s = NULL;
        char *path;
        int rc;

        if (len < 12 || strcmp(names[i] + len - 12, ".safetensors"))
            continue;
        path = cts_path_join(dir, names[i]);
        rc = cts_safetensors_open(&s, path);
        print_message("%s: %s\n", names[i], rc ? cts_error() : "ACCEPTED");
        assert_true(rc == CTS_E_FORMAT || rc == CTS_E_LIMIT || rc == CTS_E_UNSUPPORTED);
        assert_non_null(strstr(cts_error(), names[i]));
        assert_null(s);
        free(path);
        seen++;
    }
    assert_true(seen > 0);
    cts_list_free(names, n);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinds), cmocka_unit_test(test_hostile)};

    return cmocka_run_group_tests_name("golden checkpoints", tests, NULL, NULL);
}
