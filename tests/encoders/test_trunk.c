/* A published ResNet-18 as the trunk of a CT-Scroll: names, values, what is refused; and heads over vectors computed
 * before.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "encoders/features.h"
#include "encoders/import/trunk.h"
#include "encoders/safetensors.h"
#include "kernels/base/rng.h"
#include "tests/support/scratch.h"

#define TRUNK "visual_transformer.features."

static cts_clip *model(int width)
{
    json_t *j = json_pack("{s:{s:s, s:{s:i, s:i, s:i, s:[i,i,i]}}, s:i, s:{s:s}}", "image", "encoder", "ct_scroll",
                          "config", "width", width, "embed_dim", 8, "heads", 2, "input_size", 6, 16, 16, "latent_dim",
                          8, "projection", "image", "none");
    cts_clip_config c = {0};
    cts_clip *m = NULL;

    MUST(cts_clip_config_parse(&c, j, "test"));
    MUST(cts_clip_create_init(&m, &c, 5));
    json_decref(j);
    return m;
}

/* features.0.weight -> conv1.weight, features.4.1.bn2.bias -> layer1.1.bn2.bias */
static void torch_name(char *out, size_t n, const char *name)
{
    static const char *const tops[] = {"conv1", "bn1", NULL, NULL, "layer1", "layer2", "layer3", "layer4"};
    const char *rest = name + strlen(TRUNK);

    snprintf(out, n, "%s%s", tops[*rest - '0'], rest + 1);
}

/* The trunk of m as torchvision writes it, entry `without` left out and `extra` put in; values are those of m plus 1.
 */
static const char *write_file(const cts_clip *m, const char *without, const char *extra)
{
    static char names[160][96];
    static cts_st_tensor t[160];
    static float counter[1];
    float *values[160];
    int n = 0, own = 0;
    const char *path = cts_scratch("resnet18.safetensors");

    for (int i = 0; i < cts_params_n(m->params); i++) {
        const cts_param *e = cts_params_get(m->params, i);

        if (strncmp(e->name, TRUNK, strlen(TRUNK)) != 0)
            continue;
        torch_name(names[n], sizeof names[n], e->name);
        if (without && !strcmp(names[n], without))
            continue;
        values[own] = cts_test_alloc((size_t)e->count * sizeof(float));
        for (int64_t k = 0; k < e->count; k++)
            values[own][k] = e->data[k] + 1;
        t[n] = (cts_st_tensor){.name = names[n],
                               .dtype = CTS_ST_F32,
                               .ndim = e->ndim,
                               .count = e->count,
                               .data = (const uint8_t *)values[own++]};
        memcpy(t[n].shape, e->shape, sizeof t[n].shape);
        n++;
    }
    for (int k = 0; k < 3; k++) {
        static const char *const more[] = {"fc.weight", "layer1.0.bn1.num_batches_tracked", NULL};
        const char *name = more[k] ? more[k] : extra;

        if (!name)
            continue;
        snprintf(names[n], sizeof names[n], "%s", name);
        t[n] = (cts_st_tensor){.name = names[n],
                               .dtype = CTS_ST_F32,
                               .ndim = 1,
                               .shape = {1},
                               .count = 1,
                               .data = (const uint8_t *)counter};
        n++;
    }
    MUST(cts_safetensors_write(path, n, t, NULL));
    while (own)
        free(values[--own]);
    return path;
}

static void test_trunk(void **state)
{
    cts_clip *m = model(4), *before = model(4), *wide = model(8);
    int n = 0;

    (void)state;
    cts_assert_refused(cts_import_trunk(m, write_file(m, "layer3.0.bn2.bias", NULL)), CTS_E_MISMATCH,
                       "features.6.0.bn2.bias");
    cts_assert_refused(cts_import_trunk(m, write_file(m, NULL, "layer5.0.conv1.weight")), CTS_E_MISMATCH, "layer5");
    cts_assert_refused(cts_import_trunk(m, write_file(wide, NULL, NULL)), CTS_E_MISMATCH, "--width");
    assert_true(cts_same_params(m->params, before->params)); /* refused: nothing changed */
    MUST(cts_import_trunk(m, write_file(m, NULL, NULL)));
    for (int i = 0; i < cts_params_n(m->params); i++) {
        const cts_param *a = cts_params_get(m->params, i), *b = cts_params_get(before->params, i);
        float d = strncmp(a->name, TRUNK, strlen(TRUNK)) ? 0.0f : 1.0f;

        n += d > 0;
        for (int64_t k = 0; k < a->count; k++)
            assert_true(a->data[k] == b->data[k] + d);
    }
    assert_int_equal(n, 100); /* 20 convolutions, 20 norms of four entries */
    cts_clip_destroy(m);
    cts_clip_destroy(before);
    cts_clip_destroy(wide);
}

static void test_features(void **state)
{
    json_t *j = json_pack("{s:[s,s], s:s, s:s, s:b, s:f}", "labels", "a", "b", "head", "linear", "input", "embedding",
                          "relu", 1, "dropout", 0.5);
    cts_clip *m = cts_scratch_pair(3, true, 8), *k;
    cts_backend *backend = cts_test_backend(NULL);
    cts_classifier head = {0};
    cts_features *f = NULL, *g = NULL;
    cts_clip_config c;
    cts_tower_spec spec;
    cts_tower *t = NULL;
    float x[12], z[4];
    json_t *config;

    (void)state;
    MUST(cts_classifier_parse(&head, j, "test"));
    MUST(cts_features_create(&f, &head, 6, 1));
    MUST(cts_features_create(&g, &head, 6, 2));
    assert_int_equal(cts_params_count(f->params), 14);
    assert_false(cts_same_params(f->params, g->params));
    cts_assert_refused(cts_features_put(f, m->params), CTS_E_MISMATCH, "classifier.weight");
    assert_non_null(config = cts_clip_config_write(&m->config));
    MUST(cts_clip_config_parse(&c, config, "test"));
    MUST(cts_clip_config_classify(&c, &head, "test"));
    MUST(cts_clip_create_init(&k, &c, 9));
    MUST(cts_features_put(f, k->params));
    MUST(cts_features_get(g, k->params));
    assert_true(cts_same_params(f->params, g->params));
    spec = cts_features_spec(f);
    MUST(cts_tower_create(&t, &spec, &(cts_tower_options){.max_batch = 4}, backend, NULL));
    for (int i = 0; i < 12; i++)
        x[i] = (float)(2 * cts_rng_unit_at(8, (uint64_t)i) - 1);
    MUST(cts_tower_volumes(t, 2, x, 0, z));
    for (int i = 0; i < 4; i++) {
        double want = cts_params_get(f->params, 1)->data[i % 2];

        for (int d = 0; d < 6; d++)
            want += fmax(0, (double)x[i / 2 * 6 + d]) * (double)cts_params_get(f->params, 0)->data[i % 2 * 6 + d];
        if (!(fabs(want - (double)z[i]) <= 1e-6))
            fail_msg("logit %d is %g, wanted %g", i, (double)z[i], want);
    }
    cts_tower_destroy(t);
    cts_features_destroy(f);
    cts_features_destroy(g);
    cts_clip_destroy(k);
    cts_clip_destroy(m);
    cts_backend_destroy(backend);
    json_decref(j);
    json_decref(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trunk),
        cmocka_unit_test(test_features),
    };

    return cmocka_run_group_tests_name("trunk", tests, cts_scratch_make, cts_scratch_remove);
}
