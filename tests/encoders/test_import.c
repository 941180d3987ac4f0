/* Import of state dicts of every family, made here from models of ours: the imported folder has the same values, and
 * what is unknown, missing, of another shape or different under two names is refused by name.
 * SPDX-License-Identifier: MIT */
#include "tests/support/state_dict.h"

#include <math.h>

#include "kernels/base/file.h"
#include "kernels/base/signal.h"
#include "kernels/base/str.h"

#define BERT                                                                                                           \
    "{\"encoder\": \"bert\", \"config\": {\"vocab_size\": 50, \"hidden_size\": 16, \"num_hidden_layers\": 2, "         \
    "\"num_attention_heads\": 2, \"intermediate_size\": 24, \"max_position_embeddings\": 12}}"
#define DCFORMER(reduction, quantize)                                                                                  \
    "{\"encoder\": \"dcformer\", \"config\": {\"num_blocks\": [1, 2, 1, 1, 1], \"channels\": [4, 4, 8, 8, 8], "        \
    "\"kernel_sizes\": [5, 3, 3, 3], \"input_size\": [128, 160, 96], \"reduction\": \"" reduction                      \
    "\", \"quantize\": " quantize ", \"codebook_size\": 16}}"
#define CTVIT(reduction)                                                                                               \
    "{\"encoder\": \"ctvit\", \"config\": {\"dim\": 12, \"codebook_size\": 16, \"image_size\": [8, 12], "              \
    "\"depth_size\": 6, \"patch_size\": [4, 4], \"temporal_patch_size\": 2, \"spatial_depth\": 2, "                    \
    "\"temporal_depth\": 1, \"dim_head\": 4, \"heads\": 2, \"reduction\": \"" reduction "\", \"quantize\": true}}"
#define PAIR(image, text, more) "{\"image\": " image ", \"text\": " text ", \"latent_dim\": 6" more "}"
#define LEARNED ", \"temperature\": {\"kind\": \"learned\", \"value\": 0.5}"

static const cts_import_options heads = {.text_heads = 2};
static const int64_t one = 1;

/* Twice the name of every batch norm, and its counter, as DCFormer's code registers them. */
static void double_norms(cts_dict *d, bool keep_first)
{
    int n = d->n;

    for (int i = 0; i < n; i++) {
        char *at = strstr(d->name[i], "norm."), *name;

        if (!at || !strstr(d->name[i], "encoder.s"))
            continue;
        name = cts_asprintf("%.*sc%d.1%s", (int)(at - d->name[i]), d->name[i], at[5] - '0' + 1, at + 6);
        if (keep_first)
            cts_dict_add(d, name, CTS_ST_F32, d->t[i].ndim, d->t[i].shape, (const float *)(const void *)d->t[i].data);
        else
            cts_dict_set_name(d, i, cts_strdup(name));
        if (strstr(name, "running_var")) {
            char *counter = cts_asprintf("%.*snum_batches_tracked", (int)(strstr(name, "running") - name), name);

            cts_dict_add(d, counter, CTS_ST_I64, 0, NULL, NULL);
            free(counter);
        }
        free(name);
    }
}

/* Import d, which holds m's values, and compare. */
static void same_model(const cts_dict *d, const cts_clip *m, const cts_import_options *o, const char *family)
{
    char path[256], dir[256];
    cts_import_plan *p = NULL;
    cts_weights *w = NULL;
    cts_model *r;

    snprintf(path, sizeof path, "%s", cts_scratch("dict.safetensors"));
    snprintf(dir, sizeof dir, "%s", cts_scratch("imported"));
    cts_dict_write(d, path);
    MUST(cts_dict_plan(&p, &w, path, o));
    assert_string_equal(cts_import_plan_family(p)->name, family);
    cts_import_plan_destroy(p);
    cts_weights_close(w);
    r = cts_dict_load(path, o, dir);
    assert_true(cts_same_params(m->params, r->clip->params));
    cts_model_destroy(r);
    MUST(cts_remove_tree(dir));
}

static void dcformer_dict(cts_dict *d, const cts_clip *m)
{
    cts_dict_of(d, m->params);
    double_norms(d, true);
    cts_dict_zeros(d, "text_transformer.pooler.dense.weight", 2, (int64_t[]){16, 16});
    cts_dict_add(d, "text_transformer.embeddings.position_ids", CTS_ST_I64, 2, (int64_t[]){1, 12}, NULL);
    cts_dict_zeros(d, "to_text_latent_extra.weight", 2, (int64_t[]){6, 16});
    cts_dict_remove(d, "temperature");
}

static void test_dcformer(void **state)
{
    static const char *const configs[] = {PAIR(DCFORMER("channel", "true"), BERT, ""),
                                          PAIR(DCFORMER("depth", "true"), BERT, ""),
                                          PAIR(DCFORMER("none", "false"), BERT, "")};
    static const char *const reductions[] = {"channel", "depth", "none"};
    static const char *const wrappers[] = {"", "module.", "model.module."};
    cts_import_options o = {.text_heads = 2, .input_size = {128, 160, 96}};
    cts_dict *d = cts_test_alloc(sizeof *d);

    (void)state;
    for (int i = 0; i < 3; i++) {
        cts_clip *m = cts_dict_model(configs[i]);
        cts_import_plan *p = NULL;
        cts_weights *w = NULL;
        const char *reduction;

        dcformer_dict(d, m);
        cts_dict_prefix(d, wrappers[i]);
        same_model(d, m, &o, "dcformer");
        MUST(cts_dict_plan(&p, &w, cts_scratch("dict.safetensors"), &o));
        reduction = json_string_value(json_object_get(
            json_object_get(json_object_get(cts_import_plan_draft(p)->config, "image"), "config"), "reduction"));
        assert_string_equal(reduction, reductions[i]);
        assert_string_equal(cts_import_plan_draft(p)->recipe, "dcformer-512");
        assert_string_equal(cts_import_plan_model(p)->config.report_text, "dcformer_infer");
        cts_import_plan_destroy(p);
        cts_weights_close(w);
        cts_dict_clear(d);
        cts_clip_destroy(m);
    }
    free(d);
}

/* The encoder alone: its vector is the embedding. */
static void test_dcformer_alone(void **state)
{
    cts_clip *m = cts_dict_model("{\"image\": " DCFORMER("channel", "true") ", \"text\": null, \"latent_dim\": 8, "
                                                                            "\"projection\": {\"image\": \"none\"}}");
    cts_dict *d = cts_test_alloc(sizeof *d);

    (void)state;
    cts_dict_of(d, m->params);
    double_norms(d, true);
    cts_dict_keep(d, "visual_transformer.");
    same_model(d, m, &heads, "dcformer");
    cts_dict_clear(d);
    free(d);
    cts_clip_destroy(m);
}

/* The volume decides what the width of the projection means. */
static void test_reduction_needs_size(void **state)
{
    cts_clip *m = cts_dict_model(PAIR(DCFORMER("depth", "true"), BERT, ""));
    cts_import_options o = {.text_heads = 2, .input_size = {128, 256, 256}};
    cts_dict *d = cts_test_alloc(sizeof *d);

    (void)state;
    dcformer_dict(d, m);
    cts_dict_write(d, cts_scratch("size.safetensors"));
    cts_dict_refused(cts_scratch("size.safetensors"), &heads, CTS_E_INPUT, "to_visual_latent.weight", "--input-size");
    cts_dict_refused(cts_scratch("size.safetensors"), &o, CTS_E_INPUT, "128x256x256", "check --input-size");
    cts_dict_clear(d);
    free(d);
    cts_clip_destroy(m);
}

static void test_med3dvlm(void **state)
{
    cts_clip *m = cts_dict_model(PAIR(DCFORMER("channel", "false"), BERT,
                                      ", \"projection\": {\"image\": \"affine\", \"text\": \"affine\"}, "
                                      "\"temperature\": {\"kind\": \"learned\", \"value\": 0.5, \"bias\": -3}"));
    cts_dict *d = cts_test_alloc(sizeof *d);

    (void)state;
    cts_dict_of(d, m->params);
    double_norms(d, false);
    assert_true(cts_dict_rename(d, ".gamma", ".scale") > 0);
    cts_dict_rename(d, "visual_transformer.", "vision_encoder.");
    cts_dict_rename(d, "text_transformer.", "language_encoder.");
    cts_dict_rename(d, "to_visual_latent.", "mm_vision_proj.");
    cts_dict_rename(d, "to_text_latent.", "mm_language_proj.");
    cts_dict_rename(d, "temperature", "t_prime");
    cts_dict_rename(d, "logit_bias", "bias");
    same_model(d, m, &heads, "med3dvlm");
    cts_dict_clear(d);
    cts_clip_destroy(m);

    /* its tower inside the language model */
    m = cts_dict_model("{\"image\": " DCFORMER("channel", "false") ", \"latent_dim\": 8, "
                                                                   "\"projection\": {\"image\": \"none\"}}");
    cts_dict_of(d, m->params);
    double_norms(d, false);
    cts_dict_rename(d, ".gamma", ".scale");
    cts_dict_rename(d, "visual_transformer.", "model.vision_tower.vision_tower.");
    cts_dict_zeros(d, "model.layers.0.self_attn.q_proj.weight", 2, (int64_t[]){3, 3});
    cts_dict_zeros(d, "lm_head.weight", 2, (int64_t[]){3, 3});
    same_model(d, m, &heads, "med3dvlm");
    cts_dict_clear(d);
    cts_clip_destroy(m);
    free(d);
}

static void ctclip_dict(cts_dict *d, const cts_clip *m)
{
    static const char *const unused[] = {"to_patch_emb_first_frame.2.weight", "to_pixels.0.weight",
                                         "enc_spatial_transformer.layers.0.1.context_norm.gamma"};

    cts_dict_of(d, m->params);
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++) {
        char *name = cts_asprintf("visual_transformer.%s", unused[i]);

        cts_dict_zeros(d, name, 1, (int64_t[]){12});
        free(name);
    }
    cts_dict_zeros(d, "visual_transformer.to_patch_emb_first_frame.1.weight", 1, (int64_t[]){16});
    cts_dict_zeros(d, "visual_transformer.enc_spatial_transformer.layers.0.1.null_kv", 3, (int64_t[]){2, 0, 4});
    cts_dict_zeros(d, "to_visual_latent_extra.weight", 2, (int64_t[]){6, 2});
    cts_dict_zeros(d, "text_transformer.pooler.dense.bias", 1, (int64_t[]){16});
}

static void test_ctclip(void **state)
{
    static const char *const configs[] = {PAIR(CTVIT("depth"), BERT, LEARNED), PAIR(CTVIT("none"), BERT, LEARNED)};
    cts_import_options o = {.text_heads = 2, .input_size = {6, 8, 12}};
    cts_dict *d = cts_test_alloc(sizeof *d);

    (void)state;
    for (int i = 0; i < 2; i++) {
        cts_clip *m = cts_dict_model(configs[i]);
        cts_import_plan *p = NULL;
        cts_weights *w = NULL;

        ctclip_dict(d, m);
        same_model(d, m, &o, "ctclip");
        MUST(cts_dict_plan(&p, &w, cts_scratch("dict.safetensors"), &o));
        assert_string_equal(cts_import_plan_draft(p)->variant, i ? "v1" : "v2");
        assert_string_equal(cts_import_plan_draft(p)->recipe, i ? "ctclip-v1" : "ctclip-v2-infer");
        cts_import_plan_destroy(p);
        cts_weights_close(w);
        /* wrapped, a probe beside it: of labels nobody can name it stays out, of CT-RATE's it comes along */
        cts_dict_prefix(d, "trained_model.");
        for (int64_t labels = 17; labels <= 18; labels++) {
            cts_dict_zeros(d, "classifier.weight", 2, (int64_t[]){labels, 6});
            cts_dict_zeros(d, "classifier.bias", 1, &labels);
            if (labels == 17)
                same_model(d, m, &o, "ctclip");
            else
                cts_dict_write(d, cts_scratch("dict.safetensors"));
            MUST(cts_dict_plan(&p, &w, cts_scratch("dict.safetensors"), &o));
            assert_int_equal(cts_import_plan_model(p)->config.classifier.n, labels == 18 ? 18 : 0);
            cts_import_plan_destroy(p);
            cts_weights_close(w);
            cts_dict_remove(d, "classifier.weight");
            cts_dict_remove(d, "classifier.bias");
        }
        cts_dict_refused(cts_scratch("dict.safetensors"), &heads, CTS_E_INPUT, "to_visual_latent.weight",
                         "--input-size");
        o.patch[0] = o.patch[1] = o.patch[2] = 3;
        cts_dict_refused(cts_scratch("dict.safetensors"), &o, CTS_E_INPUT, "--patch 3,3,3", "27");
        memset(o.patch, 0, sizeof o.patch);
        cts_dict_clear(d);
        cts_clip_destroy(m);
    }
    free(d);
}

static void test_ct_scroll(void **state)
{
    cts_clip *m =
        cts_dict_model("{\"image\": {\"encoder\": \"ct_scroll\", \"config\": {\"width\": 4, \"embed_dim\": 32, "
                       "\"heads\": 8, \"window\": 2, \"n_labels\": 18, \"input_size\": [12, 32, 32]}}, "
                       "\"latent_dim\": 32, \"projection\": {\"image\": \"none\"}}");
    json_t *config = json_pack("{s:i, s:[i,i,i]}", "window", 2, "input_size", 12, 32, 32);
    cts_import_options o = {.config = config, .config_path = "config.json"};
    cts_dict *d = cts_test_alloc(sizeof *d);

    (void)state;
    cts_dict_of(d, m->params);
    cts_dict_keep(d, "visual_transformer.");
    cts_dict_add(d, "features.1.num_batches_tracked", CTS_ST_I64, 0, NULL, NULL);
    same_model(d, m, &o, "ct_scroll");
    cts_dict_clear(d);
    free(d);
    json_decref(config);
    cts_clip_destroy(m);
}

static cts_clip *text_model(const char *pooling)
{
    char *json =
        cts_asprintf("{\"text\": {\"encoder\": \"bert\", \"config\": {\"vocab_size\": 50, \"hidden_size\": 16, "
                     "\"num_hidden_layers\": 2, \"num_attention_heads\": 2, \"intermediate_size\": 24, "
                     "\"max_position_embeddings\": 12, \"pooling\": \"%s\"}}, \"latent_dim\": 16, "
                     "\"projection\": {\"text\": \"none\"}}",
                     pooling);
    cts_clip *m = cts_dict_model(json);

    free(json);
    return m;
}

static void test_bert(void **state)
{
    cts_import_sentence sentence = {.mean = true, .max_tokens = 9};
    cts_import_options o = {.text_heads = 2, .sentence = &sentence};
    cts_clip *m = text_model("cls");
    cts_dict *d = cts_test_alloc(sizeof *d);
    cts_model *r;

    (void)state;
    cts_dict_of(d, m->params);
    cts_dict_keep(d, "text_transformer.");
    same_model(d, m, &heads, "bert");
    same_model(d, m, &o, "sentence-transformer");
    cts_dict_write(d, cts_scratch("sentence.safetensors"));
    r = cts_dict_load(cts_scratch("sentence.safetensors"), &o, cts_scratch("sentence"));
    assert_int_equal(cts_clip_config_max_length(&r->clip->config), 9);
    cts_model_destroy(r);
    /* CXR-BERT, and the older spelling */
    cts_dict_prefix(d, "bert.");
    while (cts_dict_rename(d, "LayerNorm.weight", "LayerNorm.gamma") +
           cts_dict_rename(d, "LayerNorm.bias", "LayerNorm.beta"))
        ;
    cts_dict_zeros(d, "cls.predictions.bias", 1, (int64_t[]){50});
    cts_dict_zeros(d, "cls_projection_head.dense.bias", 1, (int64_t[]){50});
    same_model(d, m, &heads, "bert");
    cts_dict_clear(d);
    free(d);
    cts_clip_destroy(m);
}

static void test_distilbert(void **state)
{
    static const char *const names[][2] = {{"attention.self.query", "attention.q_lin"},
                                           {"attention.self.key", "attention.k_lin"},
                                           {"attention.self.value", "attention.v_lin"},
                                           {"attention.output.dense", "attention.out_lin"},
                                           {"attention.output.LayerNorm", "sa_layer_norm"},
                                           {"intermediate.dense", "ffn.lin1"},
                                           {"output.dense", "ffn.lin2"},
                                           {"output.LayerNorm", "output_layer_norm"},
                                           {"encoder.layer", "transformer.layer"}};
    cts_clip *m =
        cts_dict_model("{\"text\": {\"encoder\": \"bert\", \"config\": {\"vocab_size\": 50, \"hidden_size\": 16, "
                       "\"num_hidden_layers\": 2, \"num_attention_heads\": 2, \"intermediate_size\": 24, "
                       "\"max_position_embeddings\": 12, \"type_vocab_size\": 1}}, \"latent_dim\": 16, "
                       "\"projection\": {\"text\": \"none\"}}");
    const char *types = "text_transformer.embeddings.token_type_embeddings.weight";
    cts_dict *d = cts_test_alloc(sizeof *d);

    (void)state;
    memset(cts_params_at(m->params, cts_params_find(m->params, types))->data, 0, 16 * sizeof(float));
    cts_dict_of(d, m->params);
    cts_dict_keep(d, "text_transformer.");
    cts_dict_remove(d, "embeddings.token_type_embeddings.weight");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cts_dict_rename(d, names[i][0], names[i][1]);
    cts_dict_prefix(d, "distilbert.");
    cts_dict_zeros(d, "vocab_projector.bias", 1, &one);
    same_model(d, m, &heads, "bert");
    cts_dict_clear(d);
    free(d);
    cts_clip_destroy(m);
}

/* ---- what is refused ------------------------------------------------------------------------------------------- */

static void test_unknown_and_missing(void **state)
{
    cts_clip *m = text_model("cls");
    cts_dict *d = cts_test_alloc(sizeof *d);
    char path[256];

    (void)state;
    snprintf(path, sizeof path, "%s", cts_scratch("bad.safetensors"));
    cts_dict_of(d, m->params);
    cts_dict_keep(d, "text_transformer.");
    cts_dict_zeros(d, "adapter.weight", 1, &one);
    cts_dict_write(d, path);
    cts_dict_refused(path, &heads, CTS_E_MISMATCH, "bad.safetensors", "1 tensor is neither used by bert");
    cts_dict_refused(path, &heads, CTS_E_MISMATCH, "adapter.weight", "droppable");
    for (int i = 0; i < 40; i++) {
        char name[64];

        snprintf(name, sizeof name, "adapter.layer.%d.a_rather_long_name.weight", i);
        cts_dict_zeros(d, name, 1, &one);
    }
    cts_dict_write(d, path);
    cts_dict_refused(path, &heads, CTS_E_MISMATCH, "41 tensors are neither", "...");
    assert_null(strstr(cts_error(), "layer.30."));
    cts_dict_remove(d, "encoder.layer.1.output.dense.bias");
    cts_dict_write(d, path);
    cts_dict_refused(path, &heads, CTS_E_MISMATCH, "41 tensors are neither", "1 it needs are missing");
    cts_dict_clear(d);

    cts_dict_of(d, m->params);
    cts_dict_keep(d, "text_transformer.");
    cts_dict_remove(d, "encoder.layer.1.output.dense.bias");
    cts_dict_write(d, path);
    cts_dict_refused(path, &heads, CTS_E_MISMATCH, "1 tensor is missing", "encoder.layer.1.output.dense.bias");
    cts_dict_clear(d);
    free(d);
    cts_clip_destroy(m);
}

static void test_shapes(void **state)
{
    cts_clip *m = text_model("cls");
    cts_dict *d = cts_test_alloc(sizeof *d);
    char path[256];
    int i;

    (void)state;
    snprintf(path, sizeof path, "%s", cts_scratch("shape.safetensors"));
    cts_dict_of(d, m->params);
    cts_dict_keep(d, "text_transformer.");
    i = cts_dict_find(d, "encoder.layer.0.attention.self.key.bias");
    d->t[i].ndim = 2;
    d->t[i].shape[0] = 4;
    d->t[i].shape[1] = 4;
    cts_dict_write(d, path);
    cts_dict_refused(path, &heads, CTS_E_MISMATCH, "[4, 4]", "[16]");
    /* axes of length 1 in front are no other shape */
    d->t[i].shape[0] = 1;
    d->t[i].shape[1] = 16;
    same_model(d, m, &heads, "bert");
    cts_dict_clear(d);
    free(d);
    cts_clip_destroy(m);
}

/* Values no model computes with: found while they are copied, and no folder is left; integers where floats belong. */
static void test_values(void **state)
{
    const char *name = "encoder.layer.1.output.dense.weight";
    cts_clip *m = text_model("cls");
    cts_dict *d = cts_test_alloc(sizeof *d);
    char path[256], dir[256];
    float bad[16 * 24] = {0};
    double huge[16 * 24] = {0};
    int i;

    (void)state;
    snprintf(path, sizeof path, "%s", cts_scratch("value.safetensors"));
    snprintf(dir, sizeof dir, "%s", cts_scratch("value"));
    cts_dict_of(d, m->params);
    cts_dict_keep(d, "text_transformer.");
    i = cts_dict_find(d, name);
    assert_int_equal(d->t[i].count, 16 * 24);
    bad[300] = -INFINITY;
    bad[301] = NAN;
    huge[383] = 1e300;
    for (int k = 0; k < 2; k++) {
        cts_import_extras extras = {NULL, NULL, NULL};
        cts_import_plan *p = NULL;
        cts_weights *w = NULL;

        d->t[i].dtype = k ? CTS_ST_F64 : CTS_ST_F32;
        d->t[i].data = k ? (const uint8_t *)huge : (const uint8_t *)bad;
        cts_dict_write(d, path);
        MUST(cts_dict_plan(&p, &w, path, &heads));
        assert_int_equal(cts_import_write(p, dir, &extras), CTS_E_INPUT);
        assert_non_null(strstr(cts_error(), "value.safetensors: tensor encoder.layer.1.output.dense.weight holds"));
        assert_non_null(strstr(cts_error(), k ? "inf as a float of 4 bytes" : "holds -inf,"));
        assert_false(cts_file_exists(dir));
        cts_import_plan_destroy(p);
        cts_weights_close(w);
    }
    d->t[i].dtype = CTS_ST_I8;
    cts_dict_write(d, path);
    cts_dict_refused(path, &heads, CTS_E_UNSUPPORTED, name, "I8, allowed are floats");
    cts_dict_clear(d);
    free(d);
    cts_clip_destroy(m);
}

static void test_aliases(void **state)
{
    cts_clip *m = cts_dict_model(PAIR(DCFORMER("channel", "true"), BERT, ""));
    const char *first = "visual_transformer.encoder.s1.1.dwconv.norm.2.weight";
    const char *second = "visual_transformer.encoder.s1.1.dwconv.c3.1.weight";
    cts_dict *d = cts_test_alloc(sizeof *d);
    char path[256];
    float other[4];
    int i;

    (void)state;
    snprintf(path, sizeof path, "%s", cts_scratch("alias.safetensors"));
    dcformer_dict(d, m);
    i = cts_dict_find(d, second);
    memcpy(other, d->t[i].data, sizeof other);
    other[2] += 1.0f;
    d->t[i].data = (const uint8_t *)other;
    cts_dict_write(d, path);
    cts_dict_refused(path, &heads, CTS_E_MISMATCH, first, second);
    assert_non_null(strstr(cts_error(), "different values"));
    i = cts_dict_find(d, first);
    d->t[i].shape[0] = 2;
    d->t[i].count = 2;
    cts_dict_write(d, path);
    cts_dict_refused(path, &heads, CTS_E_MISMATCH, "different shapes", second);
    cts_dict_clear(d);

    /* two names that no rule calls twins */
    cts_dict_of(d, m->params);
    cts_dict_add(d, "text_transformer.embeddings.LayerNorm.gamma", CTS_ST_F32, 1, (int64_t[]){16}, NULL);
    cts_dict_write(d, path);
    cts_dict_refused(path, &heads, CTS_E_MISMATCH, "LayerNorm.gamma", "would both become");
    /* a wrapper around a part of the names hides no collision */
    cts_dict_add(d, "module.temperature", CTS_ST_F32, 0, NULL, NULL);
    cts_dict_write(d, path);
    cts_dict_refused(path, &heads, CTS_E_FORMAT, "module.temperature", "are both temperature");
    cts_dict_clear(d);
    free(d);
    cts_clip_destroy(m);
}

static void test_beta(void **state)
{
    cts_clip *m = cts_dict_model(PAIR(CTVIT("depth"), BERT, LEARNED));
    const char *beta = "visual_transformer.enc_spatial_transformer.layers.0.1.extra.beta";
    cts_import_options o = {.text_heads = 2, .input_size = {6, 8, 12}};
    cts_dict *d = cts_test_alloc(sizeof *d);
    char path[256];

    (void)state;
    snprintf(path, sizeof path, "%s", cts_scratch("beta.safetensors"));
    ctclip_dict(d, m);
    cts_dict_zeros(d, beta, 1, (int64_t[]){12});
    same_model(d, m, &o, "ctclip");
    d->own[d->n - 1][3] = 0.25f;
    cts_dict_write(d, path);
    cts_dict_refused(path, &o, CTS_E_MISMATCH, beta, "not zero");
    cts_dict_clear(d);
    free(d);
    cts_clip_destroy(m);
}

static void test_options(void **state)
{
    cts_clip *m = text_model("cls");
    json_t *config = json_pack("{s:s, s:i}", "model_type", "bert", "num_attention_heads", 4);
    cts_import_options o = {.config = config, .config_path = "c/config.json"};
    cts_dict *d = cts_test_alloc(sizeof *d);
    cts_import_plan *p = NULL;
    cts_weights *w = NULL;
    char path[256];

    (void)state;
    snprintf(path, sizeof path, "%s", cts_scratch("options.safetensors"));
    cts_dict_of(d, m->params);
    cts_dict_keep(d, "text_transformer.");
    cts_dict_write(d, path);
    cts_dict_refused(path, &(cts_import_options){0}, CTS_E_INPUT, "--text-heads", "16 wide");
    cts_dict_refused(path, &(cts_import_options){.text_heads = 3}, CTS_E_INPUT, "3 attention heads", "16");
    cts_dict_refused(path, &(cts_import_options){.family = "gpt"}, CTS_E_NOTFOUND, "\"gpt\"", "ct_scroll");
    cts_dict_refused(path, &(cts_import_options){.family = "dcformer"}, CTS_E_MISMATCH, "is missing", "encoder.s0");
    cts_dict_refused(path, &(cts_import_options){.text_heads = 2, .tokenizer_size = 51}, CTS_E_MISMATCH, "51 ids",
                     "50 rows");
    MUST(cts_dict_plan(&p, &w, path, &o));
    assert_int_equal(json_array_size(cts_import_plan_draft(p)->notes), 1); /* no tokenizer */
    cts_import_plan_destroy(p);
    cts_weights_close(w);
    o.tokenizer_size = 49;
    MUST(cts_dict_plan(&p, &w, path, &o));
    assert_non_null(strstr(json_string_value(json_array_get(cts_import_plan_draft(p)->notes, 0)), "spare"));
    cts_import_plan_destroy(p);
    cts_weights_close(w);
    json_object_set_new(config, "hidden_size", json_integer(32));
    cts_dict_refused(path, &o, CTS_E_MISMATCH, "c/config.json", "the weights have 16");
    json_object_del(config, "hidden_size");
    json_object_set_new(config, "model_type", json_string("roberta"));
    cts_dict_refused(path, &o, CTS_E_UNSUPPORTED, "c/config.json", "roberta");
    cts_dict_clear(d);
    cts_dict_zeros(d, "wte.weight", 1, &one);
    cts_dict_write(d, path);
    cts_dict_refused(path, &heads, CTS_E_NOTFOUND, "wte.weight", "no known family");
    cts_dict_clear(d);
    free(d);
    json_decref(config);
    cts_clip_destroy(m);
}

/* A stopped or refused writing leaves the older model and nothing beside it. */
static void test_interrupted(void **state)
{
    cts_clip *m = text_model("cls"), *older = cts_scratch_pair(3, false, 8);
    cts_import_extras extras = {0};
    cts_dict *d = cts_test_alloc(sizeof *d);
    cts_import_plan *p = NULL;
    cts_weights *w = NULL;
    cts_model *r = NULL;
    char **names = NULL;
    size_t n = 0;

    (void)state;
    cts_dict_of(d, m->params);
    cts_dict_keep(d, "text_transformer.");
    cts_dict_write(d, cts_scratch("i.safetensors"));
    MUST(cts_dict_plan(&p, &w, cts_scratch("i.safetensors"), &heads));
    MUST(cts_mkdir_p(cts_scratch("stop")));
    MUST(cts_model_dir_save(cts_scratch("stop/m"), older, NULL, NULL));
    cts_interrupt();
    cts_assert_refused(cts_import_write(p, cts_scratch("stop/m"), &extras), CTS_E_INTERRUPTED, "no model");
    cts_interrupt_clear();
    extras.tokenizer_path = cts_scratch("nowhere.txt");
    assert_int_equal(cts_import_write(p, cts_scratch("stop/m"), &extras), CTS_E_IO);
    MUST(cts_dir_list(&names, &n, cts_scratch("stop")));
    assert_int_equal(n, 1);
    cts_list_free(names, n);
    MUST(cts_model_dir_load(&r, cts_scratch("stop/m")));
    assert_true(cts_same_params(older->params, r->clip->params));
    cts_model_destroy(r);
    cts_import_plan_destroy(p);
    cts_weights_close(w);
    cts_dict_clear(d);
    free(d);
    cts_clip_destroy(m);
    cts_clip_destroy(older);
}

static void test_patterns(void **state)
{
    static const cts_import_rule rules[] = {{"a.*.b#.*", "x.$3.$1.$2", NULL, 0}, {"drop.*", NULL, "why", 0}};
    cts_import_section s = {"in.", "out.", rules, 2};
    const cts_import_rule *rule = NULL;
    char *target = NULL;

    (void)state;
    assert_true(cts_import_match("*.c#.1.*", "s0.0.dwconv.c12.1.weight"));
    assert_false(cts_import_match("*.c#.1.*", "s0.0.dwconv.cx.1.weight"));
    assert_false(cts_import_match("a*", "a"));
    assert_true(cts_import_match("abc", "abc"));
    assert_false(cts_import_match("abc", "abcd"));
    assert_false(cts_import_match("#", ""));
    MUST(cts_import_apply(&target, &rule, &s, 1, "in.a.q.r.b7.z"));
    assert_string_equal(target, "out.x.z.q.r.7");
    free(target);
    MUST(cts_import_apply(&target, &rule, &s, 1, "in.drop.z"));
    assert_true(!target && rule == &rules[1]);
    MUST(cts_import_apply(&target, &rule, &s, 1, "drop.z"));
    assert_true(!target && !rule);
    MUST(cts_import_keep(&target, &s, "in.y"));
    assert_string_equal(target, "out.y");
    free(target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),       cmocka_unit_test(test_dcformer),
        cmocka_unit_test(test_dcformer_alone), cmocka_unit_test(test_reduction_needs_size),
        cmocka_unit_test(test_med3dvlm),       cmocka_unit_test(test_ctclip),
        cmocka_unit_test(test_ct_scroll),      cmocka_unit_test(test_bert),
        cmocka_unit_test(test_distilbert),     cmocka_unit_test(test_unknown_and_missing),
        cmocka_unit_test(test_shapes),         cmocka_unit_test(test_values),
        cmocka_unit_test(test_aliases),        cmocka_unit_test(test_beta),
        cmocka_unit_test(test_options),        cmocka_unit_test(test_interrupted),
    };

    return cmocka_run_group_tests_name("import", tests, cts_scratch_make, cts_scratch_remove);
}
