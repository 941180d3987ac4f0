/* config.json of a model: one-sided models, projections, names and the longest text; old files keep their bytes.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "encoders/model_dir.h"
#include "encoders/tower.h"
#include "tests/support/scratch.h"

#define IMAGE                                                                                                          \
    "{\"encoder\": \"dcformer\", \"config\": {\"num_blocks\": [1, 1, 1, 1, 1], \"channels\": [4, 4, 8, 8, 8], "        \
    "\"kernel_sizes\": [5, 3, 3, 3], \"input_size\": [16, 32, 24]}}"
#define TEXT                                                                                                           \
    "{\"encoder\": \"bert\", \"config\": {\"vocab_size\": 50, \"hidden_size\": 8, \"num_hidden_layers\": 2, "          \
    "\"num_attention_heads\": 2, \"intermediate_size\": 16, \"max_position_embeddings\": 12, \"pooling\": \"mean\"}}"
#define OPEN(image, text, rest) "{\"image\": " image ", \"text\": " text ", " rest
#define MODEL(image, text, rest) OPEN(image, text, rest) "}"

static int parse(cts_clip_config *c, const char *text)
{
    json_t *j = json_loads(text, 0, NULL);
    int rc;

    if (!j)
        fail_msg("the test's own JSON is bad: %s", text);
    rc = cts_clip_config_parse(c, j, "config.json");
    json_decref(j);
    return rc;
}

static void refused(const char *text, int want, const char *word)
{
    cts_clip_config c = {0};

    cts_assert_refused(parse(&c, text), want, word);
    assert_null(c.config[0]);
    assert_null(c.config[1]);
}

static void test_defaults(void **state)
{
    cts_clip_config c;

    (void)state;
    MUST(parse(&c, MODEL(IMAGE, TEXT, "\"latent_dim\": 6")));
    assert_int_equal(c.projection[CTS_SIDE_IMAGE], CTS_PROJECTION_LINEAR);
    assert_int_equal(c.projection[CTS_SIDE_TEXT], CTS_PROJECTION_LINEAR);
    assert_string_equal(c.report_text, "clean");
    assert_string_equal(c.prompts, "ctclip");
    assert_int_equal(c.max_length, 0);
    assert_int_equal(cts_clip_config_max_length(&c), 12);
    MUST(cts_clip_config_need(&c, CTS_SIDE_IMAGE));
    MUST(cts_clip_config_need(&c, CTS_SIDE_TEXT));
    cts_clip_config_clear(&c);
}

/* The canonical text of a configuration as this program wrote it before the new fields existed, and its SHA-256. */
static void test_old_bytes(void **state)
{
    static const char old[] =
        "{\"format\":\"ctsearch-clip\",\"image\":@,\"latent_dim\":6,\"projection_norm\":\"batch\",\"temperature\":"
        "{\"kind\":\"constant\",\"value\":1.0},\"text\":@,\"version\":1}";
    cts_clip_config c = {0};
    json_t *j;
    char *got;
    const char *p = old, *g;

    (void)state;
    MUST(parse(&c, MODEL(IMAGE, TEXT, "\"latent_dim\": 6, \"projection_norm\": \"batch\"")));
    assert_non_null(j = cts_clip_config_write(&c));
    assert_non_null(g = got = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS));
    for (; *p; p++) { /* @ = the encoder's own object, which is its file's affair */
        if (*p != '@') {
            if (*p != *g)
                fail_msg("\"%.40s\", wanted \"%.40s\"", g, p);
            g++;
            continue;
        }
        assert_true(*g == '{');
        for (int depth = 0;; g++) {
            depth += (*g == '{') - (*g == '}');
            if (!depth)
                break;
        }
        g++;
    }
    assert_true(*g == '\0');
    free(got);
    json_decref(j);
    cts_clip_config_clear(&c);
}

/* write(parse(x)) parses to the same again, and holds what was set. */
static void round_trip(const char *text, const char *wanted)
{
    cts_clip_config c = {0}, d = {0};
    json_t *j, *k, *w = json_loads(wanted, 0, NULL), *v;
    const char *key;

    MUST(parse(&c, text));
    assert_non_null(j = cts_clip_config_write(&c));
    MUST(cts_clip_config_parse(&d, j, "again"));
    assert_non_null(k = cts_clip_config_write(&d));
    assert_true(json_equal(j, k));
    json_object_foreach(w, key, v)
    {
        if (!json_equal(json_object_get(j, key), v))
            fail_msg("field %s is not as wanted", key);
    }
    json_decref(j);
    json_decref(k);
    json_decref(w);
    cts_clip_config_clear(&c);
    cts_clip_config_clear(&d);
}

static void test_round_trip(void **state)
{
    (void)state;
    round_trip(MODEL(IMAGE, "null", "\"latent_dim\": 6"), "{\"text\": null}");
    round_trip("{\"text\": " TEXT ", \"latent_dim\": 8, \"projection\": {\"text\": \"none\"}, \"max_length\": 7}",
               "{\"image\": null, \"projection\": {\"image\": \"linear\", \"text\": \"none\"}, \"max_length\": 7}");
    round_trip(MODEL(IMAGE, TEXT,
                     "\"latent_dim\": 8, \"projection\": {\"text\": \"none\"}, \"report_text\": \"ctclip_infer\", "
                     "\"prompts\": \"merlin\""),
               "{\"report_text\": \"ctclip_infer\", \"prompts\": \"merlin\"}");
}

static void test_refused(void **state)
{
    (void)state;
    refused("{\"latent_dim\": 6}", CTS_E_FORMAT, "image");
    refused(MODEL("null", "null", "\"latent_dim\": 6"), CTS_E_FORMAT, "text");
    refused(MODEL("null", TEXT, "\"latent_dim\": 6, \"projection\": {\"text\": \"none\"}"), CTS_E_MISMATCH,
            "latent_dim");
    refused(MODEL(IMAGE, TEXT, "\"projection\": {\"image\": \"mlp\"}"), CTS_E_INPUT, "projection.image");
    refused(MODEL(IMAGE, TEXT, "\"projection\": \"none\""), CTS_E_FORMAT, "projection");
    refused(MODEL(IMAGE, TEXT, "\"report_text\": \"\""), CTS_E_INPUT, "report_text");
    refused(MODEL(IMAGE, TEXT, "\"report_text\": 3"), CTS_E_FORMAT, "report_text");
    refused(MODEL(IMAGE, TEXT, "\"prompts\": \"a/b\""), CTS_E_INPUT, "prompts");
    refused(MODEL(IMAGE, TEXT, "\"prompts\": \"a123456789b123456789c123456789de\""), CTS_E_INPUT, "prompts");
    refused(MODEL(IMAGE, TEXT, "\"max_length\": 2"), CTS_E_INPUT, "max_length");
    refused(MODEL(IMAGE, TEXT, "\"max_length\": \"256\""), CTS_E_FORMAT, "max_length");
}

static cts_clip *model(const char *text)
{
    cts_clip_config c = {0};
    cts_clip *m = NULL;

    MUST(parse(&c, text));
    MUST(cts_clip_create_init(&m, &c, 41));
    return m;
}

/* A text-only model declares its own encoder alone; without projection its result is the unit vector of the encoder. */
static void test_text_only(void **state)
{
    cts_clip *m = model(
                 MODEL("null", TEXT, "\"latent_dim\": 8, \"projection\": {\"text\": \"none\"}, \"max_length\": 7")),
             *r = model(MODEL(IMAGE, TEXT, "\"latent_dim\": 6, \"max_length\": 700"));
    cts_tower_spec spec = cts_clip_tower_spec(m, CTS_SIDE_TEXT), vector = spec;
    cts_tower_options o = {.max_batch = 2};
    const int32_t ids[] = {2, 7, 8, 3, 2, 9, 3}, offsets[] = {0, 4, 7};
    const cts_token_batch batch = {2, ids, offsets};
    float a[16], b[16];
    cts_backend *backend = cts_test_backend(NULL);
    cts_tower *t = NULL;

    (void)state;
    for (int i = 0; i < cts_params_n(m->params); i++)
        assert_true(!strncmp(cts_params_get(m->params, i)->name, "text_transformer.", 17));
    cts_assert_refused(cts_clip_config_need(&m->config, CTS_SIDE_IMAGE), CTS_E_MISMATCH, "text encoder only");
    assert_int_equal(cts_clip_config_max_length(&m->config), 7);
    assert_int_equal(cts_clip_config_max_length(&r->config), 12);

    MUST(cts_tower_create(&t, &spec, &o, backend, NULL));
    assert_int_equal(cts_tower_max_length(t), 7);
    assert_int_equal(cts_tower_dim(t), 8);
    MUST(cts_tower_tokens(t, &batch, 0, a));
    cts_tower_destroy(t);
    vector.result = CTS_RESULT_VECTOR;
    MUST(cts_tower_create(&t, &vector, &o, backend, NULL));
    MUST(cts_tower_tokens(t, &batch, 0, b));
    cts_tower_destroy(t);
    for (int s = 0; s < 2; s++) {
        double norm = 0.0;

        for (int i = 0; i < 8; i++)
            norm += (double)b[8 * s + i] * b[8 * s + i];
        for (int i = 0; i < 8; i++)
            if (!(fabs((double)a[8 * s + i] - (double)b[8 * s + i] / sqrt(norm)) <= 1e-6))
                fail_msg("text %d, value %d: %g, wanted %g", s, i, (double)a[8 * s + i],
                         (double)b[8 * s + i] / sqrt(norm));
    }
    spec = cts_clip_tower_spec(m, CTS_SIDE_IMAGE);
    t = NULL;
    cts_assert_refused(cts_tower_create(&t, &spec, &o, backend, NULL), CTS_E_MISMATCH, "no encoder");
    cts_clip_loss *loss = NULL;
    cts_assert_refused(cts_clip_loss_create(&loss, m, CTS_LOSS_INFONCE, 2, backend, NULL), CTS_E_MISMATCH, "volumes");
    assert_null(t);
    cts_backend_destroy(backend);
    cts_clip_destroy(m);
    cts_clip_destroy(r);
}

static void test_image_only(void **state)
{
    cts_clip *m = model(MODEL(IMAGE, "null", "\"latent_dim\": 6"));
    cts_model *r = NULL;

    (void)state;
    assert_true(cts_params_find(m->params, "to_visual_latent.weight") >= 0);
    assert_true(cts_params_find(m->params, "to_text_latent.weight") < 0);
    assert_true(cts_params_find(m->params, "temperature") < 0);
    cts_assert_refused(cts_clip_config_need(&m->config, CTS_SIDE_TEXT), CTS_E_MISMATCH, "image encoder only");
    assert_int_equal(cts_clip_config_max_length(&m->config), 0);
    MUST(cts_model_dir_save(cts_scratch("image-only"), m, NULL, NULL));
    MUST(cts_model_dir_load(&r, cts_scratch("image-only")));
    assert_true(cts_same_params(m->params, r->clip->params));
    assert_null(r->clip->config.encoder[CTS_SIDE_TEXT]);
    cts_model_destroy(r);
    cts_clip_destroy(m);
}

#define SCROLL                                                                                                         \
    "{\"encoder\": \"ct_scroll\", \"config\": {\"width\": 4, \"embed_dim\": 8, \"heads\": 2, \"n_labels\": 2, "        \
    "\"input_size\": [6, 16, 16]}}"
#define HEAD(fields) "\"classifier\": {\"labels\": [\"Cyst\", \"Emphysema\"], " fields "}"

static void test_classifier_config(void **state)
{
    cts_clip_config c;

    (void)state;
    round_trip(OPEN(SCROLL, "null", "\"latent_dim\": 8, \"projection\": {\"image\": \"none\"}, ")
                   HEAD("\"head\": \"encoder\"") "}",
               "{" HEAD("\"head\": \"encoder\"") "}");
    round_trip(OPEN(IMAGE, TEXT, "\"latent_dim\": 6, ")
                   HEAD("\"head\": \"linear\", \"input\": \"embedding\", \"relu\": true, \"dropout\": 0.3") "}",
               "{" HEAD("\"head\": \"linear\", \"input\": \"embedding\", \"relu\": true, \"dropout\": 0.3") "}");
    MUST(parse(&c, OPEN(IMAGE, TEXT, "\"latent_dim\": 6, ") HEAD("\"head\": \"linear\"") "}"));
    assert_int_equal(c.classifier.head, CTS_HEAD_LINEAR);
    assert_int_equal(c.classifier.input, CTS_HEAD_VECTOR);
    assert_false(c.classifier.relu);
    assert_int_equal(c.classifier.n, 2);
    assert_int_equal(cts_classifier_find(&c.classifier, "EMPHYSEMA"), 1);
    assert_int_equal(cts_classifier_find(&c.classifier, "emphysem"), -1);
    assert_int_equal(cts_clip_config_head_width(&c, CTS_HEAD_VECTOR), 8);
    assert_int_equal(cts_clip_config_head_width(&c, CTS_HEAD_EMBEDDING), 6);
    cts_clip_config_clear(&c);
}

static void test_classifier_refused(void **state)
{
    (void)state;
    refused(MODEL(IMAGE, TEXT, "\"classifier\": 3"), CTS_E_FORMAT, "classifier");
    refused(MODEL(IMAGE, TEXT, "\"classifier\": {\"head\": \"linear\"}"), CTS_E_FORMAT, "classifier.labels");
    refused(MODEL(IMAGE, TEXT, "\"classifier\": {\"head\": \"linear\", \"labels\": [\"a\", \"A\"]}"), CTS_E_INPUT,
            "twice");
    refused(MODEL(IMAGE, TEXT, "\"classifier\": {\"head\": \"linear\", \"labels\": [\"a\", 3]}"), CTS_E_INPUT,
            "entry 1");
    refused(OPEN(IMAGE, TEXT, "") HEAD("\"head\": \"mlp\"") "}", CTS_E_INPUT, "classifier.head");
    refused(OPEN(IMAGE, TEXT, "") HEAD("\"head\": \"linear\", \"input\": \"token\"") "}", CTS_E_INPUT,
            "classifier.input");
    refused(OPEN(IMAGE, TEXT, "") HEAD("\"head\": \"linear\", \"dropout\": 1") "}", CTS_E_INPUT, "classifier.dropout");
    refused(OPEN(IMAGE, TEXT, "") HEAD("\"head\": \"encoder\"") "}", CTS_E_MISMATCH, "0 logits");
    refused(OPEN("null", TEXT, "") HEAD("\"head\": \"linear\"") "}", CTS_E_MISMATCH, "image encoder");
}

/* The linear head equals its formula on the vector and on the embedding; the encoder's own logits come through too. */
static void test_classifier_runs(void **state)
{
    static const char *const kinds[] = {"vector", "embedding"};
    float *v = cts_test_alloc(16 * 32 * 24 * sizeof *v);
    cts_backend *backend = cts_test_backend(NULL);
    cts_tower_options o = {.max_batch = 1};
    cts_tower *t = NULL;

    (void)state;
    for (int i = 0; i < 16 * 32 * 24; i++)
        v[i] = (float)sin(0.01 * i);
    for (int k = 0; k < 2; k++) {
        char text[1024];
        float x[8], z[2];
        cts_tower_spec spec, from;
        cts_clip *m;

        snprintf(text, sizeof text,
                 OPEN(IMAGE, "null", "\"latent_dim\": 6, ")
                     HEAD("\"head\": \"linear\", \"input\": \"%s\", \"relu\": true, \"dropout\": 0.5") "}",
                 kinds[k]);
        m = model(text);
        from = cts_clip_tower_spec(m, CTS_SIDE_IMAGE);
        from.result = k ? CTS_RESULT_EMBEDDING : CTS_RESULT_VECTOR;
        spec = cts_clip_logits_spec(m);
        MUST(cts_tower_create(&t, &from, &o, backend, NULL));
        MUST(cts_tower_volumes(t, 1, v, 0, x));
        cts_tower_destroy(t);
        MUST(cts_tower_create(&t, &spec, &o, backend, NULL));
        assert_int_equal(cts_tower_dim(t), 2);
        MUST(cts_tower_volumes(t, 1, v, 0, z));
        cts_tower_destroy(t);
        for (int i = 0; i < 2; i++) {
            const cts_param *w = cts_params_get(m->params, cts_params_find(m->params, CTS_CLASSIFIER_WEIGHT));
            const cts_param *b = cts_params_get(m->params, cts_params_find(m->params, CTS_CLASSIFIER_BIAS));
            double want = b->data[i];

            for (int64_t c = 0; c < w->shape[1]; c++)
                want += (x[c] > 0 ? (double)x[c] : 0) * (double)w->data[i * w->shape[1] + c];
            if (!(fabs(want - (double)z[i]) <= 1e-5))
                fail_msg("%s, logit %d: %g, wanted %g", kinds[k], i, (double)z[i], want);
        }
        cts_clip_destroy(m);
    }
    cts_backend_destroy(backend);
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),          cmocka_unit_test(test_old_bytes),
        cmocka_unit_test(test_round_trip),        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_text_only),         cmocka_unit_test(test_image_only),
        cmocka_unit_test(test_classifier_config), cmocka_unit_test(test_classifier_refused),
        cmocka_unit_test(test_classifier_runs),
    };

    return cmocka_run_group_tests_name("clip config", tests, cts_scratch_make, cts_scratch_remove);
}
