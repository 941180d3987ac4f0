/* Weight files that PyTorch wrote: all kinds of tensors, wrappers and protocols give the expected values; every hostile
 * file is refused with a sentence that names it, or read right where that is allowed, and nothing in it was run.
 * SPDX-License-Identifier: MIT */
#include <sys/resource.h>
#include <unistd.h>

#include "kernels/base/file.h"
#include "kernels/base/log.h"
#include "tests/support/weight_compare.h"

/* What a hostile file, none larger than 100 KB, may cost; without sanitizers it is some milliseconds and 8 MB. */
#define MAX_SECONDS 2.0
#define MAX_KB (64 << 10)

static cts_weights *open_golden(const char *file)
{
    char *path = cts_golden_need_path(file);
    cts_weights *w = NULL;

    MUST(cts_weights_open(&w, path));
    assert_string_equal(cts_weights_path(w), path);
    free(path);
    return w;
}

/* checkpoints/FILE holds what checkpoints/STEM.expected.safetensors does, under key. */
static void check_file(const char *file, const char *stem, const char *key)
{
    char name[256], *expected;
    cts_weights *w;

    snprintf(name, sizeof name, "checkpoints/%s.expected.safetensors", stem);
    expected = cts_golden_need_path(name);
    snprintf(name, sizeof name, "checkpoints/%s", file);
    w = open_golden(name);
    assert_string_equal(cts_weights_key(w), key);
    assert_string_equal(cts_weights_format(w), strstr(file, ".safetensors") ? "safetensors" : "pytorch");
    cts_test_weights_equal(w, expected);
    cts_weights_close(w);
    free(expected);
}

static void test_kinds(void **state)
{
    (void)state;
    check_file("kinds.pth", "kinds", "");
    check_file("kinds_wrapped.pth", "kinds_wrapped", "state_dict");
    check_file("kinds.safetensors", "kinds", "");
    check_file("handmade.pth", "handmade", "");
    check_file("handmade.safetensors", "handmade", "");
}

/* The other pickle protocols hold some of the tensors of kinds. */
static void test_protocols(void **state)
{
    cts_weights *kinds = open_golden("checkpoints/kinds.safetensors");

    (void)state;
    for (int protocol = 3; protocol <= 5; protocol++) {
        char name[64];
        cts_weights *w;

        snprintf(name, sizeof name, "checkpoints/protocol%d.pth", protocol);
        w = open_golden(name);
        assert_true(cts_weights_n(w) > 0);
        for (int i = 0; i < cts_weights_n(w); i++) {
            const cts_weight *t = cts_weights_at(w, i), *k = cts_weights_find(kinds, t->name);
            float *a = cts_test_alloc((size_t)t->count * sizeof *a), *b = cts_test_alloc((size_t)t->count * sizeof *b);

            assert_non_null(k);
            assert_int_equal(t->dtype, k->dtype);
            assert_int_equal(t->count, k->count);
            cts_weight_to_f32(a, t);
            cts_weight_to_f32(b, k);
            assert_memory_equal(a, b, (size_t)t->count * sizeof *a);
            free(a);
            free(b);
        }
        cts_weights_close(w);
    }
    cts_weights_close(kinds);
}

static void test_legacy(void **state)
{
    char *path = cts_golden_need_path("checkpoints/kinds_legacy.pth");
    cts_weights *w = NULL;

    (void)state;
    assert_int_equal(cts_weights_open(&w, path), CTS_E_UNSUPPORTED);
    assert_null(w);
    assert_non_null(strstr(cts_error(), path));
    assert_non_null(strstr(cts_error(), "torch.save(torch.load("));
    free(path);
}

/* A training checkpoint: the model beside optimiser, epoch and a pickled argparse.Namespace; every batch norm twice. */
static void test_training_checkpoint(void **state)
{
    char *expected = cts_golden_need_path("checkpoints/dcformer_checkpoint-3.expected.safetensors");
    cts_weights *w = open_golden("checkpoints/dcformer_checkpoint-3.pth");
    cts_safetensors *e = NULL;
    json_t *aliases, *of;
    const char *name;

    (void)state;
    assert_string_equal(cts_weights_key(w), "model");
    cts_test_weights_equal(w, expected);
    MUST(cts_safetensors_open(&e, expected));
    assert_non_null(cts_safetensors_meta(e, "aliases"));
    assert_non_null(aliases = json_loads(cts_safetensors_meta(e, "aliases"), 0, NULL));
    json_object_foreach(aliases, name, of)
    {
        const cts_weight *a = cts_weights_find(w, name), *b = cts_weights_find(w, json_string_value(of));

        assert_non_null(a);
        assert_non_null(b);
        assert_ptr_equal(a->data, b->data);
    }
    json_decref(aliases);
    cts_safetensors_close(e);
    cts_weights_close(w);
    free(expected);
}

/* 0, 1, 2, ... */
static void check_counting(const cts_weight *t)
{
    int64_t *v = cts_test_alloc(((size_t)t->count + 1) * sizeof *v);

    assert_int_equal(t->dtype, CTS_ST_I64);
    cts_weight_to_i64(v, t);
    for (int64_t i = 0; i < t->count; i++)
        assert_int_equal(v[i], i);
    free(v);
}

/* A weight the golden file was stripped of: it is the formula's. */
static void check_formula(const cts_weight *t, const char *bare, const cts_golden *g)
{
    float *got = cts_test_alloc(((size_t)t->count + 1) * sizeof *got);
    float *want = cts_test_alloc(((size_t)t->count + 1) * sizeof *want);

    cts_weight_to_f32(got, t);
    cts_formula_weight(want, cts_golden_seed(g), bare, t->shape, t->ndim);
    for (int64_t i = 0; i < t->count; i++)
        if (!(got[i] == want[i]))
            fail_msg("%s[%lld] is %.9g, expected %.9g", t->name, (long long)i, got[i], want[i]);
    free(got);
    free(want);
}

/* Every tensor of FILE, without the prefix that data-parallel training or a probe put before it, is weight.NAME of
 * GOLDEN. */
static void check_against(const char *file, const char *golden)
{
    static const char *const prefixes[] = {"module.", "trained_model."};
    char *path = cts_golden_need_path(golden);
    cts_safetensors *e = NULL;
    cts_golden *g;
    cts_weights *w;

    free(path);
    free(cts_golden_need_path(file)); /* both or neither: a test that is skipped half-way leaves memory behind */
    path = cts_golden_need_path(golden);
    MUST(cts_safetensors_open(&e, path));
    g = cts_golden_need(golden);
    w = open_golden(file);
    assert_true(cts_weights_n(w) > 0);
    for (int i = 0; i < cts_weights_n(w); i++) {
        const cts_weight *t = cts_weights_at(w, i);
        const char *bare = t->name;
        const cts_st_tensor *want;
        char name[512];

        for (size_t k = 0; k < sizeof prefixes / sizeof *prefixes; k++)
            if (!strncmp(bare, prefixes[k], strlen(prefixes[k])))
                bare += strlen(prefixes[k]);
        snprintf(name, sizeof name, "weight.%s", bare);
        if ((want = cts_safetensors_find(e, name)))
            cts_test_weight_equals(t, want, false);
        else if (t->dtype == CTS_ST_I64)
            check_counting(t); /* position_ids, and how many batches a norm has seen: none */
        else
            check_formula(t, bare, g);
    }
    cts_weights_close(w);
    cts_golden_close(g);
    cts_safetensors_close(e);
    free(path);
}

static void test_ct_scroll(void **state)
{
    (void)state;
    check_against("checkpoints/ct_scroll_narrow.pt", "ct_scroll_mini.safetensors");
}

static void test_ctclip(void **state)
{
    (void)state;
    check_against("ctclip_mini.pt", "ctclip_mini.safetensors");
    check_against("ctclip_mini_ddp.pt", "ctclip_mini.safetensors");
    check_against("ctclip_mini_lipro.pt", "ctclip_mini.safetensors");
}

/* The file is kinds.pth but for the mark that says big endian: its values are those of the same bytes turned round. */
static void check_swapped(const cts_weights *w)
{
    cts_weights *kinds = open_golden("checkpoints/kinds.pth");

    assert_int_equal(cts_weights_n(w), cts_weights_n(kinds));
    for (int i = 0; i < cts_weights_n(w); i++) {
        const cts_weight *got = cts_weights_at(w, i);
        cts_weight want = *cts_weights_find(kinds, got->name);
        float *a = cts_test_alloc(((size_t)got->count + 1) * sizeof *a);
        float *b = cts_test_alloc(((size_t)got->count + 1) * sizeof *b);

        assert_true(got->swapped && !want.swapped);
        want.swapped = true;
        cts_weight_to_f32(a, got);
        cts_weight_to_f32(b, &want);
        assert_memory_equal(a, b, (size_t)got->count * sizeof *a);
        free(a);
        free(b);
    }
    cts_weights_close(kinds);
}

/* Most memory this process ever had. */
static long peak_kb(void)
{
    struct rusage u;

    assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
    return u.ru_maxrss;
}

/* "must" of the verdict: a refusal, or also the values of kinds. */
static void check_hostile(const char *dir, const char *name, const char *must)
{
    char *path = cts_path_join(dir, name);
    cts_weights *w = NULL;
    long before = peak_kb();
    double start = cts_now();
    int rc = cts_weights_open(&w, path);

    if (!(cts_now() - start < MAX_SECONDS) || peak_kb() - before > MAX_KB)
        fail_msg("%s took %.1f s and %ld KB", name, cts_now() - start, peak_kb() - before);
    print_message("%s: %s\n", name, rc ? cts_error() : "read");
    if (rc) {
        assert_true(rc == CTS_E_FORMAT || rc == CTS_E_LIMIT || rc == CTS_E_UNSUPPORTED);
        assert_non_null(strstr(cts_error(), name));
        assert_null(w);
    } else if (!strstr(must, "read")) {
        fail_msg("%s was read; it must be: %s", name, must);
    } else if (strstr(must, "swapped")) {
        check_swapped(w);
    } else {
        char *expected = cts_golden_need_path("checkpoints/kinds.expected.safetensors");

        cts_test_weights_equal(w, expected);
        free(expected);
    }
    cts_weights_close(w);
    free(path);
}

/* The payloads would leave a file "pwned" in the working folder. */
static void test_hostile(void **state)
{
    char *relative = cts_golden_need_path("checkpoints/hostile"), *dir = realpath(relative, NULL), before[4096];
    json_t *verdicts = cts_golden_need_json("checkpoints/hostile/verdicts.json"), *v;
    char scratch[] = "/tmp/cts-hostile-XXXXXX", **left = NULL;
    const char *name;
    size_t n = 0, seen = 0;

    (void)state;
    assert_non_null(dir);
    assert_non_null(getcwd(before, sizeof before));
    assert_non_null(mkdtemp(scratch));
    assert_int_equal(chdir(scratch), 0);
    json_object_foreach(verdicts, name, v)
    {
        const char *must = json_string_value(json_object_get(v, "must"));

        assert_non_null(must);
        check_hostile(dir, name, must);
        seen++;
    }
    assert_int_equal(chdir(before), 0);
    MUST(cts_dir_list(&left, &n, scratch));
    if (n)
        fail_msg("a hostile file left %s behind", left[0]);
    cts_list_free(left, n);
    MUST(cts_remove_tree(scratch));
    assert_true(seen > 0);

    /* and no file without a verdict */
    MUST(cts_dir_list(&left, &n, dir));
    assert_int_equal(n, seen + 1);
    cts_list_free(left, n);
    json_decref(verdicts);
    free(dir);
    free(relative);
}

/* What a refusal has to say, for those whose file tells. */
static void test_sentences(void **state)
{
    static const struct {
        const char *file, *says;
    } cases[] = {
        {"calls_os_system.pth", "posix.system"},
        {"calls_eval.pth", ".eval"},
        {"op_stack_global.pth", "os.system"},
        {"op_inst.pth", "os.system"},
        {"op_obj.pth", "os.system"},
        {"valid_then_os_system.pth", "no code was run"},
        {"legacy_os_system.pth", "no code was run"},
        {"missing_storage.pth", "not in the archive"},
        {"numel_mismatch.pth", "28 bytes"},
        {"truncated_tail.pth", "cut short"},
        {"storage_key_traversal.pth", "no plain name"},
        {"traversal.pth", "\"..\""},
        {"pickle_deep.pth", "deeper"},
        {"empty.pth", "empty"},
    };
    char *dir = cts_golden_need_path("checkpoints/hostile");

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = cts_path_join(dir, cases[i].file);
        cts_weights *w = NULL;

        assert_int_not_equal(cts_weights_open(&w, path), CTS_OK);
        if (!strstr(cts_error(), cases[i].says))
            fail_msg("%s does not say %s", cts_error(), cases[i].says);
        free(path);
    }
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),     cmocka_unit_test(test_protocols),
        cmocka_unit_test(test_legacy),    cmocka_unit_test(test_training_checkpoint),
        cmocka_unit_test(test_ct_scroll), cmocka_unit_test(test_ctclip),
        cmocka_unit_test(test_hostile),   cmocka_unit_test(test_sentences),
    };

    return cmocka_run_group_tests_name("golden checkpoint files", tests, NULL, NULL);
}
