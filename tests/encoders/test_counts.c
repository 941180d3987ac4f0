/* Parameters and multiply-adds of every preset, built from the graph, against the published figures (see
 * docs/DESIGN.md): fvcore's count of the DCFormer code at 1 x 256 x 512 x 512 with batch norms as 5 operations an
 * element. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "encoders/blocks.h"
#include "encoders/clip.h"
#include "encoders/describe.h"

static cts_description described(const char *preset)
{
    cts_description d;

    for (int i = 0; i < cts_describe_count(); i++) {
        assert_int_equal(cts_describe(&d, i, 512), CTS_OK);
        if (!strcmp(d.name, preset))
            return d;
    }
    fail_msg("no preset %s", preset);
    return d;
}

/* printed: giga multiply-adds, `digits` of them behind the point */
static void check(const char *preset, int64_t params, int64_t projected, double printed, int digits)
{
    cts_description d = described(preset);
    double unit = digits == 3 ? 1e6 : 1e7;

    print_message("%-18s %9lld %9lld %13lld\n", preset, (long long)d.params, (long long)d.params_projected,
                  (long long)d.macs);
    assert_int_equal(d.params, params);
    if (projected)
        assert_int_equal(d.params_projected, projected);
    assert_int_equal((int64_t)((double)d.macs / unit + 0.5), (int64_t)(printed * 1e9 / unit + 0.5));
    assert_int_equal(d.n_input, 4);
    assert_int_equal(d.input[1] * d.input[2] * d.input[3], 256 * 512 * 512);
}

static void test_published_counts(void **state)
{
    (void)state;
    check("dcformer-nano", 789216, 920288, 34.205, 3);
    check("dcformer-naive", 5851680, 6113824, 49.479, 3);
    check("dcformer-tiny", 14657472, 15050688, 168.145, 3);
    check("dcformer-nano-k7", 787104, 0, 34.12, 2);
    check("dcformer-naive-k7", 5843232, 0, 49.12, 2);
    check("dcformer-tiny-k7", 14640192, 0, 167.57, 2);
}

static void test_ct_scroll_count(void **state)
{
    (void)state;
    assert_int_equal(described("ct-scroll").params, 16239058);
}

static void test_bert_counts(void **state)
{
    cts_description d = described("bert-base");
    const int64_t h = 768, pooler = h * h + h;

    (void)state;
    /* transformers counts 109,482,240 with the pooler, which we leave out */
    assert_int_equal(d.params, 109482240 - pooler);
    /* 12 layers of 4 H^2 + 2 * 4 H^2 a token and two products of attention */
    assert_true(d.macs >= 12 * (12 * h * h * 512 + 2 * 512 * 512 * h));
    assert_int_equal(d.input[0], 512);
}

static int64_t count_under(const cts_params *p, const char *prefix)
{
    int64_t n = 0;

    for (int i = 0; i < cts_params_n(p); i++) {
        const cts_param *e = cts_params_get(p, i);

        if (!e->state && !strncmp(e->name, prefix, strlen(prefix)))
            n += e->count;
    }
    return n;
}

/* The released CT-CLIP has 438,148,761 parameters; its forward pass reads these, and these we declare. */
static void test_ctclip_counts(void **state)
{
    static const struct {
        const char *prefix;
        int64_t params;
    } parts[] = {
        {"visual_transformer.", 23421768},
        {"visual_transformer.to_patch_emb.", 2057536},
        {"visual_transformer.spatial_rel_pos_bias.", 268296},
        {"visual_transformer.enc_spatial_transformer.", 10550016 - 4 * 512}, /* four context norms that nobody reads */
        {"visual_transformer.enc_temporal_transformer.", 10550016 - 4 * 512},
        {"visual_transformer.vq.", 0},
        {"text_transformer.", 108891648},
        {"to_visual_latent.weight", 512 * 294912},
        {"to_text_latent.weight", 512 * 768},
        {"temperature", 1},
        {"", 283701577},
    };
    json_t *j = json_loads("{\"image\": {\"preset\": \"ctvit\"}, \"text\": {\"preset\": \"bert-base\"}, "
                           "\"temperature\": {\"kind\": \"learned\"}}",
                           0, NULL);
    cts_clip_config c;
    cts_clip *m = NULL;

    (void)state;
    assert_int_equal(cts_clip_config_parse(&c, j, "test"), CTS_OK);
    assert_int_equal(cts_clip_create(&m, &c), CTS_OK); /* declared only: no memory for the numbers */
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (count_under(m->params, parts[i].prefix) != parts[i].params)
            fail_msg("%s: %lld parameters, published %lld", parts[i].prefix,
                     (long long)count_under(m->params, parts[i].prefix), (long long)parts[i].params);
    cts_clip_destroy(m);
    json_decref(j);
    assert_int_equal(described("ctvit").info.vector_dim, 294912);
    assert_int_equal(described("ctvit-v1").info.vector_dim, 2097152);
    assert_int_equal(described("ctvit").params, 23421768);
}

/* A config survives write and parse, and every preset is found by name. */
static void test_presets_round_trip(void **state)
{
    (void)state;
    for (int e = 0; e < cts_encoder_count(); e++) {
        const cts_encoder_def *def = cts_encoder_at(e), *found = NULL;

        assert_ptr_equal(cts_encoder_find(def->name), def);
        for (int i = 0; i < def->n_presets; i++) {
            void *a = NULL, *b = NULL;
            json_t *j, *k;

            assert_int_equal(cts_encoder_preset_find(&found, &a, def->presets[i].name), CTS_OK);
            assert_ptr_equal(found, def);
            j = cts_encoder_to_json(def, a);
            assert_int_equal(cts_encoder_from_json(&found, &b, j, def->kind, "test"), CTS_OK);
            k = cts_encoder_to_json(def, b);
            assert_true(json_equal(j, k));
            json_decref(j);
            json_decref(k);
            free(a);
            free(b);
        }
    }
}

static void refused(const char *text, int want, const char *word)
{
    json_error_t error;
    json_t *j = json_loads(text, 0, &error);
    cts_clip_config c = {0};

    assert_non_null(j);
    assert_int_equal(cts_clip_config_parse(&c, j, "config.json"), want);
    assert_non_null(strstr(cts_error(), word));
    assert_null(c.config[0]);
    json_decref(j);
}

#define PAIR(image, text) "{\"image\": " image ", \"text\": " text "}"
#define TINY_BERT "{\"preset\": \"bert-tiny\"}"
#define NANO_WITH(x) "{\"preset\": \"dcformer-nano\", \"config\": {" x "}}"

static void test_bad_configs(void **state)
{
    (void)state;
    refused(PAIR(NANO_WITH("\"quantize\": 1"), TINY_BERT), CTS_E_FORMAT, "quantize");
    refused(PAIR(NANO_WITH("\"codebook_size\": 0"), TINY_BERT), CTS_E_INPUT, "codebook_size");
    refused(PAIR(NANO_WITH("\"reduction\": \"sum\""), TINY_BERT), CTS_E_INPUT, "reduction");
    refused(PAIR(NANO_WITH("\"kernel_sizes\": [13, 11, 9, 8]"), TINY_BERT), CTS_E_INPUT, "kernel_sizes");
    refused(PAIR(NANO_WITH("\"channels\": [32, 32, 64, 128]"), TINY_BERT), CTS_E_FORMAT, "channels");
    refused(PAIR("{\"preset\": \"dcformer-giant\"}", TINY_BERT), CTS_E_NOTFOUND, "dcformer-nano");
    refused(PAIR(TINY_BERT, TINY_BERT), CTS_E_MISMATCH, "bert-tiny");
    refused(PAIR("{\"encoder\": \"resnet\"}", TINY_BERT), CTS_E_NOTFOUND, "resnet");
    refused("{\"latent_dim\": 8}", CTS_E_FORMAT, "image");
    refused(PAIR(NANO_WITH(""), "{\"preset\": \"bert-tiny\", \"config\": {\"hidden_size\": 127}}"), CTS_E_INPUT,
            "num_attention_heads");
    refused(PAIR(NANO_WITH(""), "{\"preset\": \"bert-tiny\", \"config\": {\"hidden_act\": \"gelu_new\"}}"),
            CTS_E_UNSUPPORTED, "hidden_act");
}

static cts_clip *model_of(const char *text)
{
    json_error_t error;
    json_t *j = json_loads(text, 0, &error);
    cts_clip_config c = {0};
    cts_clip *m = NULL;

    assert_non_null(j);
    assert_int_equal(cts_clip_config_parse(&c, j, "config.json"), CTS_OK);
    assert_int_equal(cts_clip_create_init(&m, &c, 5), CTS_OK);
    json_decref(j);
    return m;
}

/* A code book adds states and no parameter; a new one has rows of unit length. */
static void test_quantiser_is_state(void **state)
{
    cts_clip *plain = model_of(PAIR(NANO_WITH(""), TINY_BERT));
    cts_clip *with = model_of(PAIR(NANO_WITH("\"quantize\": true, \"codebook_size\": 48"), TINY_BERT));
    const cts_param *embed, *size, *made;

    (void)state;
    assert_int_equal(cts_params_count(with->params), cts_params_count(plain->params));
    assert_int_equal(cts_params_n(with->params), cts_params_n(plain->params) + 3);
    embed = cts_params_get(with->params, cts_params_find(with->params, "visual_transformer.vq._codebook.embed"));
    size = cts_params_get(with->params, cts_params_find(with->params, "visual_transformer.vq._codebook.cluster_size"));
    made = cts_params_get(with->params, cts_params_find(with->params, "visual_transformer.vq._codebook.initted"));
    assert_true(embed->state && size->state && made->state && !embed->decay);
    assert_int_equal(embed->count, 48 * 256);
    assert_int_equal(size->count, 48);
    assert_true(size->data[47] == 0.0f && made->data[0] == 1.0f);
    for (int64_t k = 0; k < 48; k++) {
        double sq = 0.0;

        for (int64_t i = 0; i < 256; i++)
            sq += (double)embed->data[k * 256 + i] * embed->data[k * 256 + i];
        assert_true(sq > 1.0 - 1e-6 && sq < 1.0 + 1e-6);
    }
    cts_clip_destroy(plain);
    cts_clip_destroy(with);
}

/* Published names of a whole pair, aliases left out, decay on tensors of two or more axes only. */
static void test_names_and_decay(void **state)
{
    static const char *const present[] = {
        "visual_transformer.encoder.s0.0.0.c1.0.weight",
        "visual_transformer.encoder.s0.0.3.norm.2.running_var",
        "visual_transformer.encoder.s1.0.proj.weight",
        "visual_transformer.encoder.s4.0.gamma",
        "visual_transformer.encoder.s2.0.mlp.mlp.3.bias",
        "text_transformer.embeddings.LayerNorm.weight",
        "text_transformer.encoder.layer.1.attention.output.dense.bias",
        "to_visual_latent.weight",
        "to_text_latent.weight",
        "temperature",
    };
    json_t *j = json_loads(PAIR(NANO_WITH(""), TINY_BERT), 0, NULL);
    cts_clip_config c;
    cts_clip *m = NULL;

    (void)state;
    assert_int_equal(cts_clip_config_parse(&c, j, "test"), CTS_OK);
    assert_int_equal(cts_clip_create_init(&m, &c, 7), CTS_OK);
    for (size_t i = 0; i < sizeof present / sizeof *present; i++)
        if (cts_params_find(m->params, present[i]) < 0)
            fail_msg("%s is not declared", present[i]);
    for (int i = 0; i < cts_params_n(m->params); i++) {
        const cts_param *p = cts_params_get(m->params, i);

        assert_null(strstr(p->name, "c1.1."));
        assert_null(strstr(p->name, "pooler"));
        assert_int_equal(p->decay, !p->state && p->ndim >= 2);
        assert_non_null(p->data);
    }
    assert_true(cts_params_get(m->params, cts_params_find(m->params, "temperature"))->state);
    assert_true(
        cts_params_get(m->params, cts_params_find(m->params, "visual_transformer.encoder.s1.0.gamma"))->data[0] ==
        1e-6f);
    cts_clip_destroy(m);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_counts),   cmocka_unit_test(test_ct_scroll_count),
        cmocka_unit_test(test_ctclip_counts),      cmocka_unit_test(test_bert_counts),
        cmocka_unit_test(test_presets_round_trip), cmocka_unit_test(test_bad_configs),
        cmocka_unit_test(test_quantiser_is_state), cmocka_unit_test(test_names_and_decay),
    };

    return cmocka_run_group_tests_name("counts", tests, NULL, NULL);
}
