/* BERT and what keeps its names: BERT of Hugging Face, CXR-BERT ("bert." in front, language-model heads beside it), the
 * older spelling of LayerNorm (gamma, beta), and DistilBERT, which is a BERT without token types under other names.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "encoders/import/families_internal.h"
#include "kernels/base/check.h"
#include "kernels/base/json.h"

#define MAX_LAYERS 1024
#define TEXT "text_transformer."
#define DISTIL "transformer.layer.#."
#define LAYER "encoder.layer.$1."

static const cts_import_rule bert_rules[] = {
    {"embeddings.position_ids", NULL, "the numbers 0, 1, 2, ...", 0},
    {"embeddings.token_type_ids", NULL, "zeros", 0},
    {"pooler.*", NULL, "the vector is taken before the pooler", 0},
    {"*.LayerNorm.gamma", "$1.LayerNorm.weight", NULL, 0},
    {"*.LayerNorm.beta", "$1.LayerNorm.bias", NULL, 0},
    /* DistilBERT */
    {DISTIL "attention.q_lin.*", LAYER "attention.self.query.$2", NULL, 0},
    {DISTIL "attention.k_lin.*", LAYER "attention.self.key.$2", NULL, 0},
    {DISTIL "attention.v_lin.*", LAYER "attention.self.value.$2", NULL, 0},
    {DISTIL "attention.out_lin.*", LAYER "attention.output.dense.$2", NULL, 0},
    {DISTIL "sa_layer_norm.*", LAYER "attention.output.LayerNorm.$2", NULL, 0},
    {DISTIL "ffn.lin1.*", LAYER "intermediate.dense.$2", NULL, 0},
    {DISTIL "ffn.lin2.*", LAYER "output.dense.$2", NULL, 0},
    {DISTIL "output_layer_norm.*", LAYER "output.LayerNorm.$2", NULL, 0},
};

/* Beside a BERT that stands alone. */
static const cts_import_rule head_rules[] = {
    {"cls.*", NULL, "a language-model head", 0},
    {"vocab_*", NULL, "a language-model head", 0},
    {"cls_projection_head.*", NULL, "the head of another pair", 0},
    {"classifier.*", NULL, "a classifier", 0},
};

static bool distil(const cts_import_keys *k, const char *prefix)
{
    return cts_import_find(k, "%stransformer.layer.0.attention.q_lin.weight", prefix) != NULL;
}

bool cts_import_has_bert(const cts_import_keys *k, const char *prefix)
{
    return cts_import_find(k, "%sembeddings.word_embeddings.weight", prefix) &&
           (cts_import_find(k, "%sencoder.layer.0.attention.self.query.weight", prefix) || distil(k, prefix));
}

/* ---- configuration --------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t vocab, hidden, layers, heads, intermediate, positions, types;
} sizes;

static bool has_layer(const cts_import_keys *k, const char *prefix, bool is_distil, int64_t i)
{
    return is_distil
               ? cts_import_find(k, "%stransformer.layer.%lld.attention.q_lin.weight", prefix, (long long)i) != NULL
               : cts_import_find(k, "%sencoder.layer.%lld.attention.self.query.weight", prefix, (long long)i) != NULL;
}

static int read_sizes(sizes *s, const cts_import_keys *k, const char *prefix, bool is_distil)
{
    const cts_weight *word, *position, *type, *inner;
    const char *up = is_distil ? "transformer.layer.0.ffn.lin1" : "encoder.layer.0.intermediate.dense";
    int rc;

    if ((rc = cts_import_need(&word, k, 2, "%sembeddings.word_embeddings.weight", prefix)) != CTS_OK ||
        (rc = cts_import_need(&position, k, 2, "%sembeddings.position_embeddings.weight", prefix)) != CTS_OK ||
        (rc = cts_import_need(&inner, k, 2, "%s%s.weight", prefix, up)) != CTS_OK)
        return rc;
    s->types = 1;
    if (!is_distil) {
        if ((rc = cts_import_need(&type, k, 2, "%sembeddings.token_type_embeddings.weight", prefix)) != CTS_OK)
            return rc;
        s->types = type->shape[0];
    }
    s->vocab = word->shape[0];
    s->hidden = word->shape[1];
    s->positions = position->shape[0];
    s->intermediate = inner->shape[0];
    while (s->layers < MAX_LAYERS && has_layer(k, prefix, is_distil, s->layers))
        s->layers++;
    return CTS_OK;
}

/* A field of config.json under its two spellings against what the weights have. */
static int check_field(int64_t have, const cts_import_options *o, const char *key, const char *other)
{
    int64_t v = have;
    const char *used = json_object_get(o->config, key) ? key : other;
    int rc = cts_json_int(&v, o->config, used, false, 0, INT64_MAX, o->config_path);

    if (rc == CTS_OK && v != have)
        rc = cts_fail(CTS_E_MISMATCH, "%s: field \"%s\" is %lld, the weights have %lld", o->config_path, used,
                      (long long)v, (long long)have);
    return rc;
}

/* Fields no shape shows: copied for encoders/bert.c to judge. */
static int copy_fields(json_t *c, const json_t *from)
{
    static const char *const names[][2] = {
        {"hidden_act", "activation"},
        {"layer_norm_eps", NULL},
        {"hidden_dropout_prob", "dropout"},
        {"attention_probs_dropout_prob", "attention_dropout"},
        {"initializer_range", NULL},
        {"position_embedding_type", NULL},
        {"is_decoder", NULL},
        {"add_cross_attention", NULL},
    };

    for (size_t i = 0; i < CTS_COUNT(names); i++) {
        json_t *v = json_object_get(from, names[i][0]);

        if (!v && names[i][1])
            v = json_object_get(from, names[i][1]);
        if (v && json_object_set(c, names[i][0], v) != 0)
            return cts_fail(CTS_E_NOMEM, "out of memory for a configuration");
    }
    return CTS_OK;
}

/* RoBERTa and others keep BERT's names and count positions differently: only what is known to be BERT passes. */
static int check_type(const cts_import_options *o)
{
    static const char *const known[] = {"bert", "cxr-bert", "distilbert"};
    const char *type = NULL;
    int rc = cts_json_string(&type, o->config, "model_type", false, o->config_path);

    if (rc != CTS_OK || !type)
        return rc;
    for (size_t i = 0; i < CTS_COUNT(known); i++)
        if (!strcmp(type, known[i]))
            return CTS_OK;
    return cts_fail(CTS_E_UNSUPPORTED, "%s: field \"model_type\" is \"%s\", supported are bert, cxr-bert, distilbert",
                    o->config_path, type);
}

static int apply_config(json_t *c, sizes *s, const cts_import_options *o)
{
    const char *heads = json_object_get(o->config, "n_heads") ? "n_heads" : "num_attention_heads";
    int rc;

    if ((rc = check_type(o)) != CTS_OK || (rc = check_field(s->hidden, o, "hidden_size", "dim")) != CTS_OK ||
        (rc = check_field(s->layers, o, "num_hidden_layers", "n_layers")) != CTS_OK ||
        (rc = check_field(s->intermediate, o, "intermediate_size", "hidden_dim")) != CTS_OK ||
        (rc = check_field(s->positions, o, "max_position_embeddings", "max_position_embeddings")) != CTS_OK ||
        (rc = cts_json_int(&s->heads, o->config, heads, false, 1, 1024, o->config_path)) != CTS_OK)
        return rc;
    return copy_fields(c, o->config);
}

/* The widths of the BERTs that were published with heads 64 wide. MiniLM's 384 is none: it has 12 heads of 32. */
static int64_t known_heads(int64_t hidden)
{
    static const int64_t widths[] = {128, 256, 512, 768, 1024};

    for (size_t i = 0; i < CTS_COUNT(widths); i++)
        if (hidden == widths[i])
            return hidden / 64;
    return 0;
}

static int choose_heads(sizes *s, cts_import_draft *d, const cts_import_options *o)
{
    if (o->text_heads)
        s->heads = o->text_heads;
    if (s->heads == 0) {
        if ((s->heads = known_heads(s->hidden)) == 0)
            return cts_fail(CTS_E_INPUT,
                            "the text encoder is %lld wide, which does not tell its number of attention heads: say it "
                            "with --text-heads or give its config.json",
                            (long long)s->hidden);
        return cts_import_note(d,
                               "%lld attention heads in the text encoder: assumed from its width of %lld; another "
                               "number needs --text-heads or config.json",
                               (long long)s->heads, (long long)s->hidden);
    }
    if (s->hidden % s->heads != 0)
        return cts_fail(CTS_E_INPUT, "%lld attention heads do not divide the width %lld of the text encoder",
                        (long long)s->heads, (long long)s->hidden);
    return CTS_OK;
}

int cts_import_bert_side(json_t **out, cts_import_draft *d, const cts_import_keys *k, const char *prefix,
                         const cts_import_options *o)
{
    bool is_distil = distil(k, prefix);
    json_t *c = json_object();
    sizes s = {0};
    int rc = c ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for a configuration");

    if (rc != CTS_OK || (rc = read_sizes(&s, k, prefix, is_distil)) != CTS_OK ||
        (o->config && (rc = apply_config(c, &s, o)) != CTS_OK) || (rc = choose_heads(&s, d, o)) != CTS_OK)
        goto out;
    if (json_object_update_new(c,
                               json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "model_type", "bert", "vocab_size",
                                         (json_int_t)s.vocab, "hidden_size", (json_int_t)s.hidden, "num_hidden_layers",
                                         (json_int_t)s.layers, "num_attention_heads", (json_int_t)s.heads,
                                         "intermediate_size", (json_int_t)s.intermediate, "max_position_embeddings",
                                         (json_int_t)s.positions, "type_vocab_size", (json_int_t)s.types)) != 0) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for a configuration");
        goto out;
    }
    cts_import_section_add(d, prefix, TEXT, bert_rules, (int)CTS_COUNT(bert_rules));
    if (is_distil)
        d->fill = (cts_import_fill){TEXT "embeddings.token_type_embeddings.weight", 0.0f,
                                    "zeros: DistilBERT has no token types"};
    *out = json_pack("{s:s, s:O}", "encoder", "bert", "config", c);
    rc = *out ? CTS_OK : cts_fail(CTS_E_NOMEM, "out of memory for a configuration");
out:
    json_decref(c);
    return rc;
}

/* ---- the families ---------------------------------------------------------------------------------------------- */

static const char *find_prefix(const cts_import_keys *k)
{
    static const char *const prefixes[] = {"", "bert.", "distilbert."};

    for (size_t i = 0; i < CTS_COUNT(prefixes); i++)
        if (cts_import_has_bert(k, prefixes[i]))
            return prefixes[i];
    return NULL;
}

static int detect_bert(const cts_import_keys *k, const cts_import_options *o)
{
    (void)o;
    return find_prefix(k) ? 10 : 0;
}

static int detect_sentence(const cts_import_keys *k, const cts_import_options *o)
{
    return o->sentence && find_prefix(k) ? 20 : 0;
}

static int plan_text(cts_import_draft *d, const cts_import_keys *k, const cts_import_options *o,
                     const cts_import_sentence *sentence)
{
    const char *prefix = find_prefix(k);
    cts_import_pair p = {0};
    const cts_weight *word;
    json_t *c;
    int rc;

    if (!prefix)
        return cts_fail(CTS_E_MISMATCH, "no BERT: tensor embeddings.word_embeddings.weight or its first layer is "
                                        "missing");
    if ((rc = cts_import_bert_side(&p.text, d, k, prefix, o)) != CTS_OK ||
        (rc = cts_import_need(&word, k, 2, "%sembeddings.word_embeddings.weight", prefix)) != CTS_OK)
        goto out;
    cts_import_section_add(d, "", TEXT, head_rules, (int)CTS_COUNT(head_rules));
    c = json_object_get(p.text, "config");
    if (json_object_set_new(c, "pooling", json_string(sentence && sentence->mean ? "mean" : "cls")) != 0) {
        rc = cts_fail(CTS_E_NOMEM, "out of memory for a configuration");
        goto out;
    }
    p.latent_dim = word->shape[1];
    p.max_length = sentence ? sentence->max_tokens : 0;
    d->tokenizer = "the vocab.txt or tokenizer.model that was published with these weights";
    return cts_import_pair_config(d, &p);
out:
    cts_import_pair_drop(&p);
    return rc;
}

static int plan_bert(cts_import_draft *d, const cts_import_keys *k, const cts_import_options *o)
{
    return plan_text(d, k, o, NULL);
}

static int plan_sentence(cts_import_draft *d, const cts_import_keys *k, const cts_import_options *o)
{
    int rc;

    if (!o->sentence)
        return cts_fail(CTS_E_INPUT, "family sentence-transformer needs the folder with modules.json");
    if (!o->sentence->normalize &&
        (rc = cts_import_note(d, "the published model gives vectors of any length, ours have length 1: cosines are the "
                                 "same, dot products are not")) != CTS_OK)
        return rc;
    return plan_text(d, k, o, o->sentence);
}

const cts_import_family cts_import_bert = {
    .name = "bert",
    .about = "BERT, CXR-BERT, DistilBERT: a text encoder alone",
    .detect = detect_bert,
    .plan = plan_bert,
};

const cts_import_family cts_import_sentence_transformer = {
    .name = "sentence-transformer",
    .about = "a sentence-transformers folder around a BERT: MiniLM and the like",
    .detect = detect_sentence,
    .plan = plan_sentence,
};
