/* Published weight files import with the expected values: the checkpoints of the golden folder, and the key list of the
 * released CT-CLIP as a file without data.
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <unistd.h>

#include "encoders/import/sources.h"
#include "tests/support/state_dict.h"

/* Every entry of m against the tensors of `expected` named prefix + the entry's name without `strip`. Entries that the
 * file made are left out. */
static void same_values(const cts_clip *m, const cts_golden *g, const char *prefix, const char *strip)
{
    int compared = 0;

    for (int i = 0; i < cts_params_n(m->params); i++) {
        const cts_param *e = cts_params_get(m->params, i);
        const char *name = !strncmp(e->name, strip, strlen(strip)) ? e->name + strlen(strip) : e->name;
        float *want;

        if (!m->config.learned_temperature && !strcmp(e->name, "temperature"))
            continue;
        if (!getenv("CTS_GOLDEN_DIR") && !cts_golden_has(g, "%s%s", prefix, name)) {
            print_message("imported; the expected values are not in the project (set CTS_GOLDEN_DIR)\n");
            return;
        }
        want = cts_golden_need_floats(g, "%s%s", prefix, name);
        assert_int_equal(cts_golden_need_tensor(g, "%s%s", prefix, name)->count, e->count);
        for (int64_t k = 0; k < e->count; k++)
            if (!(want[k] == e->data[k]))
                fail_msg("%s[%lld] is %g, expected %g", e->name, (long long)k, e->data[k], want[k]);
        free(want);
        compared++;
    }
    assert_true(compared > 10);
}

/* The project keeps some of the files; a golden folder must have them all. */
static bool absent(const char *file)
{
    char *path = cts_path_join(cts_golden_dir(), file);
    bool gone = !getenv("CTS_GOLDEN_DIR") && !cts_file_exists(path);

    if (gone)
        print_message("%s: not in the project (set CTS_GOLDEN_DIR)\n", file);
    free(path);
    return gone;
}

/* Import a golden file by its name and compare. */
static void import_golden(const char *file, const cts_import_options *o, const char *expected, const char *prefix,
                          const char *strip)
{
    cts_golden *g;
    cts_model *m;
    char *path;

    if (absent(file))
        return;
    path = cts_golden_need_path(file);
    g = cts_golden_need(expected);
    m = cts_dict_load(path, o, cts_scratch("golden"));
    print_message("%s: %d entries\n", file, cts_params_n(m->clip->params));
    same_values(m->clip, g, prefix, strip);
    if (strstr(file, "lipro")) { /* the probe comes along, with its 18 names */
        assert_int_equal(m->clip->config.classifier.head, CTS_HEAD_LINEAR);
        assert_int_equal(m->clip->config.classifier.n, 18);
        assert_int_equal(cts_classifier_find(&m->clip->config.classifier, "emphysema"), 7);
        assert_true(cts_params_find(m->clip->params, CTS_CLASSIFIER_BIAS) >= 0);
    }
    cts_model_destroy(m);
    cts_golden_close(g);
    free(path);
}

/* The number of heads is in no shape and no matter here: any divisor does. */
static void test_dcformer(void **state)
{
    (void)state;
    import_golden("checkpoints/dcformer_checkpoint-3.pth", &(cts_import_options){.text_heads = 1},
                  "checkpoints/dcformer_checkpoint-3.expected.safetensors", "", "");
}

static void test_ctclip(void **state)
{
    static const char *const files[] = {"ctclip_mini.pt", "ctclip_mini_ddp.pt", "ctclip_mini_lipro.pt"};
    cts_golden *g = cts_golden_need("ctclip_mini.safetensors");
    json_t *c = cts_golden_need_meta_json(g, "config"), *bert = cts_golden_need_meta_json(g, "bert");
    const json_t *patch = json_object_get(c, "patch_size"), *image = json_object_get(c, "image_size");
    int64_t grid[4], pt = json_integer_value(json_object_get(c, "temporal_patch_size"));
    cts_import_options o = {.text_heads = json_integer_value(json_object_get(bert, "num_attention_heads"))};

    (void)state;
    assert_int_equal(cts_golden_need_meta_ints(g, "grid", grid, 4), 4);
    o.patch[0] = pt;
    o.input_size[0] = grid[1] * pt;
    for (int i = 0; i < 2; i++) {
        o.patch[1 + i] = json_integer_value(json_is_array(patch) ? json_array_get(patch, (size_t)i) : patch);
        o.input_size[1 + i] = json_integer_value(json_is_array(image) ? json_array_get(image, (size_t)i) : image);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        import_golden(files[i], &o, "ctclip_mini.safetensors", "weight.", "");
    json_decref(c);
    json_decref(bert);
    cts_golden_close(g);
}

static void test_bert(void **state)
{
    char *folder = cts_golden_need_path("bert_mini");
    char *config = cts_golden_need_path("bert_mini/config.json");
    const char *legacy[] = {cts_golden_need_path("bert_mini/pytorch_model_legacy.bin"), config};
    const char *const folders[] = {folder};
    cts_import_sources s = {0}, l = {0};
    cts_import_options o = {0};

    (void)state;
    MUST(cts_import_sources_find(&s, folders, 1));
    assert_non_null(strstr(s.tokenizer, "vocab.txt"));
    o.config = s.config_json;
    o.config_path = s.config;
    import_golden("bert_mini", &o, "bert_mini/model.safetensors", "", "text_transformer.");
    import_golden("bert_mini/pytorch_model.bin", &o, "bert_mini/model.safetensors", "", "text_transformer.");
    MUST(cts_import_sources_find(&l, legacy, 2));
    assert_string_equal(l.config, config);
    import_golden("bert_mini/pytorch_model_legacy.bin", &o, "bert_mini/model.safetensors", "", "text_transformer.");
    cts_import_sources_clear(&s);
    cts_import_sources_clear(&l);
    free(folder);
    free(config);
    free((char *)legacy[0]);
}

static void test_ct_scroll(void **state)
{
    cts_golden *g = cts_golden_need("ct_scroll_mini.safetensors");
    int64_t volume[5];
    json_t *config = json_pack("{s:I, s:I}", "window", (json_int_t)cts_golden_need_meta_int(g, "window"), "heads",
                               (json_int_t)cts_golden_need_meta_int(g, "heads"));
    cts_import_options o = {.config = config, .config_path = "metadata"};

    (void)state;
    assert_int_equal(cts_golden_need_meta_ints(g, "volume", volume, 5), 5);
    memcpy(o.input_size, volume + 2, sizeof o.input_size);
    import_golden("checkpoints/ct_scroll_narrow.pt", &o, "ct_scroll_mini.safetensors", "weight.",
                  "visual_transformer.");
    json_decref(config);
    cts_golden_close(g);
}

/* A safetensors file of the released size whose data is a hole. */
static void write_sparse(const char *path, const json_t *tensors)
{
    json_t *header = json_object(), *t;
    uint64_t at = 0, length;
    char *text;
    size_t i;
    int fd;

    json_array_foreach(tensors, i, t)
    {
        bool wide = !strcmp(json_string_value(json_object_get(t, "dtype")), "int64");
        uint64_t bytes = wide ? 8 : 4;
        const json_t *d;
        size_t k;

        json_array_foreach(json_object_get(t, "shape"), k, d) bytes *= (uint64_t)json_integer_value(d);
        json_object_set_new(header, json_string_value(json_object_get(t, "name")),
                            json_pack("{s:s, s:O, s:[I,I]}", "dtype", wide ? "I64" : "F32", "shape",
                                      json_object_get(t, "shape"), "data_offsets", (json_int_t)at,
                                      (json_int_t)(at + bytes)));
        at += bytes;
    }
    text = json_dumps(header, JSON_COMPACT);
    length = strlen(text);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(fd >= 0 && write(fd, &length, 8) == 8 && write(fd, text, length) == (ssize_t)length);
    assert_int_equal(ftruncate(fd, (off_t)(8 + length + at)), 0);
    close(fd);
    free(text);
    json_decref(header);
}

/* All keys of the release map or drop with nothing left, and what is used is what the list says is used. */
static void test_ctclip_release(void **state)
{
    json_t *list = cts_golden_need_json("ctclip_v2_keys.json"), *tensors = json_object_get(list, "tensors"), *t;
    const json_t *total = json_object_get(list, "total"), *config = json_object_get(list, "config");
    cts_import_plan *p = NULL;
    cts_weights *w = NULL;
    int64_t used = 0, bytes = 0;
    json_t *image;
    size_t i;

    (void)state;
    write_sparse(cts_scratch("release.safetensors"), tensors);
    MUST(cts_dict_plan(&p, &w, cts_scratch("release.safetensors"), &(cts_import_options){0}));
    assert_int_equal(cts_import_plan_rows(p), json_array_size(tensors));
    assert_int_equal(cts_import_plan_rows(p), json_integer_value(json_object_get(total, "tensors")));
    for (int r = 0; r < cts_import_plan_rows(p); r++) {
        cts_import_row row;

        cts_import_plan_row(&row, p, r);
        assert_true(row.source && (row.target || row.note));
        bytes += row.bytes;
        json_array_foreach(tensors, i, t)
        {
            bool parameter = !strcmp(json_string_value(json_object_get(t, "kind")), "parameter");

            if (strcmp(json_string_value(json_object_get(t, "name")), row.source) != 0)
                continue;
            if (parameter && json_is_true(json_object_get(t, "used")) != (row.target != NULL))
                fail_msg("%s is %s, the release's forward says otherwise", row.source, row.target ? "used" : "dropped");
            if (parameter && row.target)
                used += row.bytes / 4;
        }
    }
    assert_int_equal(bytes, json_integer_value(json_object_get(total, "bytes")));
    assert_int_equal(used, json_integer_value(json_object_get(total, "used_parameters")));
    image = json_object_get(json_object_get(cts_import_plan_draft(p)->config, "image"), "config");
    for (const char *const *k = (const char *const[]){"dim", "codebook_size", "temporal_patch_size", "spatial_depth",
                                                      "temporal_depth", "dim_head", "heads", NULL};
         *k; k++)
        assert_int_equal(json_integer_value(json_object_get(image, *k)),
                         json_integer_value(json_object_get(config, *k)));
    for (size_t k = 0; k < 2; k++) {
        assert_int_equal(json_integer_value(json_array_get(json_object_get(image, "image_size"), k)),
                         json_integer_value(json_object_get(config, "image_size")));
        assert_int_equal(json_integer_value(json_array_get(json_object_get(image, "patch_size"), k)),
                         json_integer_value(json_object_get(config, "patch_size")));
    }
    assert_string_equal(cts_import_plan_draft(p)->variant, "v2");
    cts_import_plan_destroy(p);
    cts_weights_close(w);
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dcformer),  cmocka_unit_test(test_ctclip),         cmocka_unit_test(test_bert),
        cmocka_unit_test(test_ct_scroll), cmocka_unit_test(test_ctclip_release),
    };

    return cmocka_run_group_tests_name("golden import", tests, cts_scratch_make, cts_scratch_remove);
}
