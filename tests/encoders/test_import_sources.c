/* What the FILEs of an import are taken for: folders, tokenizers, configurations, sentence-transformers modules.
 * SPDX-License-Identifier: MIT */
#include "encoders/import/sources.h"

#include "tests/support/scratch.h"

static void put(const char *name, const char *text)
{
    cts_scratch_write(cts_scratch(name), text, strlen(text));
}

/* Sources of up to three names in the scratch folder. */
static int find(cts_import_sources *s, const char *a, const char *b, const char *c)
{
    const char *names[3] = {a, b, c}, *paths[3];
    char keep[3][256];
    int n = 0;

    for (; n < 3 && names[n]; n++) {
        snprintf(keep[n], sizeof keep[n], "%s", cts_scratch(names[n]));
        paths[n] = keep[n];
    }
    memset(s, 0, sizeof *s);
    return cts_import_sources_find(s, paths, n);
}

static bool ends(const char *s, const char *end)
{
    return s && strlen(s) >= strlen(end) && !strcmp(s + strlen(s) - strlen(end), end);
}

static void test_files(void **state)
{
    cts_import_sources s;

    (void)state;
    put("w.pt", "x");
    put("v.txt", "x");
    put("t.model", "x");
    put("c.json", "{\"hidden_size\": 4}");
    put("w.bin.index.json", "{}");
    MUST(find(&s, "v.txt", "w.pt", "c.json"));
    assert_true(ends(s.weights, "w.pt") && ends(s.tokenizer, "v.txt") && ends(s.config, "c.json"));
    assert_int_equal(json_integer_value(json_object_get(s.config_json, "hidden_size")), 4);
    assert_false(s.is_sentence);
    cts_import_sources_clear(&s);
    MUST(find(&s, "w.bin.index.json", "t.model", NULL));
    assert_true(ends(s.weights, "w.bin.index.json") && ends(s.tokenizer, "t.model") && !s.config);
    cts_import_sources_clear(&s);
    cts_assert_refused(find(&s, "v.txt", NULL, NULL), CTS_E_USAGE, "no file of weights");
    cts_assert_refused(find(&s, "w.pt", "v.txt", "t.model"), CTS_E_USAGE, "both tokenizers");
    cts_assert_refused(find(&s, "w.pt", "w.bin.index.json", NULL), CTS_E_USAGE, "both weights");
    cts_assert_refused(find(&s, "w.pt", "c.json", "c.json"), CTS_E_USAGE, "both configurations");
    cts_assert_refused(find(&s, "nothing.pt", NULL, NULL), CTS_E_NOTFOUND, "nothing.pt");
    put("bad.json", "{");
    cts_assert_refused(find(&s, "w.pt", "bad.json", NULL), CTS_E_FORMAT, "bad.json");
}

static void test_folders(void **state)
{
    cts_import_sources s;

    (void)state;
    MUST(cts_mkdir_p(cts_scratch("hf")));
    MUST(cts_mkdir_p(cts_scratch("words")));
    MUST(cts_mkdir_p(cts_scratch("empty")));
    put("hf/model.safetensors", "x");
    put("hf/config.json", "{}");
    put("hf/vocab.txt", "x");
    put("words/vocab.txt", "y");
    put("own.txt", "z");
    MUST(find(&s, "hf", NULL, NULL));
    assert_true(ends(s.weights, "/hf") && ends(s.tokenizer, "hf/vocab.txt") && ends(s.config, "hf/config.json"));
    cts_import_sources_clear(&s);
    /* what is given by name goes before what lies beside the weights */
    MUST(find(&s, "own.txt", "hf", NULL));
    assert_true(ends(s.tokenizer, "own.txt") && ends(s.config, "hf/config.json"));
    cts_import_sources_clear(&s);
    MUST(find(&s, "hf", "words", NULL));
    assert_true(ends(s.tokenizer, "words/vocab.txt"));
    cts_import_sources_clear(&s);
    cts_assert_refused(find(&s, "empty", NULL, NULL), CTS_E_NOTFOUND, "neither weights");
    cts_assert_refused(find(&s, "hf", "words", "own.txt"), CTS_E_USAGE, "both tokenizers");
    put("hf/tokenizer_config.json", "{\"do_lower_case\": false}");
    cts_assert_refused(find(&s, "hf", NULL, NULL), CTS_E_UNSUPPORTED, "do_lower_case");
    put("hf/tokenizer_config.json", "{\"do_lower_case\": true}");
    MUST(find(&s, "hf", NULL, NULL));
    cts_import_sources_clear(&s);
}

#define MODULE(type, path) "{\"type\": \"sentence_transformers.models." type "\", \"path\": \"" path "\"}"

static void test_sentence_transformers(void **state)
{
    cts_import_sources s;

    (void)state;
    MUST(cts_mkdir_p(cts_scratch("st/1_Pooling")));
    put("st/model.safetensors", "x");
    put("st/config.json", "{}");
    put("st/vocab.txt", "x");
    put("st/sentence_bert_config.json", "{\"max_seq_length\": 77, \"do_lower_case\": false}");
    put("st/1_Pooling/config.json", "{\"pooling_mode_cls_token\": false, \"pooling_mode_mean_tokens\": true}");
    put("st/modules.json",
        "[" MODULE("Transformer", "") ", " MODULE("Pooling", "1_Pooling") ", " MODULE("Normalize", "2_Normalize") "]");
    MUST(find(&s, "st", NULL, NULL));
    assert_true(s.is_sentence && s.sentence.mean && s.sentence.normalize && s.sentence.max_tokens == 77);
    assert_true(ends(s.weights, "/st") && ends(s.tokenizer, "st/vocab.txt"));
    cts_import_sources_clear(&s);
    /* the newer spelling, and weights in a folder of their own */
    MUST(cts_mkdir_p(cts_scratch("st/0_Transformer")));
    put("st/0_Transformer/pytorch_model.bin", "x");
    put("st/0_Transformer/vocab.txt", "x");
    put("st/1_Pooling/config.json", "{\"pooling_mode\": \"cls\"}");
    put("st/modules.json", "[" MODULE("Transformer", "0_Transformer") ", " MODULE("Pooling", "1_Pooling") "]");
    MUST(find(&s, "st", NULL, NULL));
    assert_true(s.is_sentence && !s.sentence.mean && !s.sentence.normalize && !s.sentence.max_tokens);
    assert_true(ends(s.weights, "st/0_Transformer"));
    cts_import_sources_clear(&s);

    put("st/1_Pooling/config.json", "{\"pooling_mode_max_tokens\": true}");
    cts_assert_refused(find(&s, "st", NULL, NULL), CTS_E_UNSUPPORTED, "pooling_mode_max_tokens");
    put("st/1_Pooling/config.json", "{\"pooling_mode_cls_token\": true, \"pooling_mode_mean_tokens\": true}");
    cts_assert_refused(find(&s, "st", NULL, NULL), CTS_E_UNSUPPORTED, "cls and mean together");
    put("st/1_Pooling/config.json", "{\"pooling_mode\": \"cls\"}");
    put("st/modules.json",
        "[" MODULE("Transformer", "") ", " MODULE("Pooling", "1_Pooling") ", " MODULE("Dense", "2_Dense") "]");
    cts_assert_refused(find(&s, "st", NULL, NULL), CTS_E_UNSUPPORTED, "Dense");
    put("st/modules.json", "[" MODULE("Transformer", "") "]");
    cts_assert_refused(find(&s, "st", NULL, NULL), CTS_E_UNSUPPORTED, "no module of type Pooling");
    put("st/modules.json", "[" MODULE("Transformer", "../st") ", " MODULE("Pooling", "1_Pooling") "]");
    cts_assert_refused(find(&s, "st", NULL, NULL), CTS_E_FORMAT, "a folder inside");
    put("st/modules.json", "{}");
    cts_assert_refused(find(&s, "st", NULL, NULL), CTS_E_FORMAT, "no list");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_sentence_transformers),
    };

    return cmocka_run_group_tests_name("import sources", tests, cts_scratch_make, cts_scratch_remove);
}
