/* BERT (Devlin et al. 2019) for any Hugging Face config.json of a BertModel: CXR-BERT, MiniLM, self-made small ones.
 *
 * Post-norm encoder over packed tokens: no padding, sequences are told apart by offsets. Names are those of the Hugging
 * Face state dict; the pooler is not part of it, because the pair takes the hidden state of the first token ([CLS]) or,
 * with "pooling": "mean", the mean over the sequence.
 *   x = LN(word + position + type); layer: x = LN(x + dense(attention(x))); x = LN(x + dense(gelu(dense(x))))
 * Initial values as published: weights normal with initializer_range, biases 0. GELU is the erf form.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "encoders/blocks.h"
#include "encoders/models_internal.h"
#include "kernels/base/check.h"
#include "kernels/base/json.h"

typedef struct {
    int64_t vocab, hidden, layers, heads, intermediate, positions, types;
    double eps, hidden_dropout, attention_dropout, range;
    cts_act_kind act;
    bool mean; /* the vector is the mean of a sequence's tokens, not its first */
} bert;

#define SIZES(hidden, layers, heads, intermediate)                                                                     \
    "{\"model_type\": \"bert\", \"vocab_size\": 30522, \"hidden_size\": " #hidden ", \"num_hidden_layers\": " #layers  \
    ", \"num_attention_heads\": " #heads ", \"intermediate_size\": " #intermediate                                     \
    ", \"max_position_embeddings\": 512, \"type_vocab_size\": 2}"

static const cts_encoder_preset presets[] = {
    {"bert-base", SIZES(768, 12, 12, 3072)}, /* the shape of CXR-BERT */
    {"minilm", SIZES(384, 6, 12, 1536)},
    {"bert-mini", SIZES(256, 4, 4, 1024)},
    {"bert-tiny", SIZES(128, 2, 2, 512)},
};

/* Fields that change the model and that this file does not build. */
static int refuse_variants(const json_t *j, const char *file)
{
    const char *position = NULL;
    bool decoder = false, cross = false;
    int rc;

    if ((rc = cts_json_string(&position, j, "position_embedding_type", false, file)) != CTS_OK ||
        (rc = cts_json_bool(&decoder, j, "is_decoder", false, file)) != CTS_OK ||
        (rc = cts_json_bool(&cross, j, "add_cross_attention", false, file)) != CTS_OK)
        return rc;
    if (position && strcmp(position, "absolute") != 0)
        return cts_fail(CTS_E_UNSUPPORTED, "%s: field \"position_embedding_type\" is \"%s\", supported is absolute",
                        file, position);
    if (decoder || cross)
        return cts_fail(CTS_E_UNSUPPORTED, "%s: field \"%s\" is true; only encoders are supported", file,
                        decoder ? "is_decoder" : "add_cross_attention");
    return CTS_OK;
}

static int parse_act(cts_act_kind *out, const json_t *j, const char *file)
{
    const char *act = NULL;
    int rc = cts_json_string(&act, j, "hidden_act", false, file);

    if (rc != CTS_OK)
        return rc;
    *out = CTS_ACT_GELU;
    if (act && !strcmp(act, "relu"))
        *out = CTS_ACT_RELU;
    else if (act && strcmp(act, "gelu") != 0)
        return cts_fail(CTS_E_UNSUPPORTED, "%s: field \"hidden_act\" is \"%s\", supported are gelu and relu", file,
                        act);
    return CTS_OK;
}

/* "pooling" is ours: Hugging Face keeps it outside config.json. */
static int parse_pooling(bert *c, const json_t *j, const char *file)
{
    const char *pooling = "cls";
    int rc = cts_json_string(&pooling, j, "pooling", false, file);

    if (rc != CTS_OK)
        return rc;
    if (strcmp(pooling, "cls") != 0 && strcmp(pooling, "mean") != 0)
        return cts_fail(CTS_E_INPUT, "%s: field \"pooling\" is \"%s\", allowed are cls and mean", file, pooling);
    c->mean = !strcmp(pooling, "mean");
    return CTS_OK;
}

static int parse_rates(bert *c, const json_t *j, const char *file)
{
    int rc;

    if ((rc = cts_json_double(&c->eps, j, "layer_norm_eps", false, file)) != CTS_OK ||
        (rc = cts_json_double(&c->hidden_dropout, j, "hidden_dropout_prob", false, file)) != CTS_OK ||
        (rc = cts_json_double(&c->attention_dropout, j, "attention_probs_dropout_prob", false, file)) != CTS_OK ||
        (rc = cts_json_double(&c->range, j, "initializer_range", false, file)) != CTS_OK)
        return rc;
    if (!(c->hidden_dropout >= 0 && c->hidden_dropout < 1) || !(c->attention_dropout >= 0 && c->attention_dropout < 1))
        return cts_fail(CTS_E_INPUT, "%s: dropout is %g (hidden) and %g (attention), allowed 0 to below 1", file,
                        c->hidden_dropout, c->attention_dropout);
    if (!(c->eps > 0 && c->eps < 1) || !(c->range >= 0 && c->range < 100))
        return cts_fail(CTS_E_INPUT, "%s: layer_norm_eps %g or initializer_range %g out of range", file, c->eps,
                        c->range);
    return CTS_OK;
}

static int parse(void **config, const json_t *j, const char *file)
{
    bert c = {.types = 2, .eps = 1e-12, .hidden_dropout = 0.1, .attention_dropout = 0.1, .range = 0.02};
    int rc;

    if ((rc = cts_json_int(&c.vocab, j, "vocab_size", true, 1, 16 << 20, file)) != CTS_OK ||
        (rc = cts_json_int(&c.hidden, j, "hidden_size", true, 1, 65536, file)) != CTS_OK ||
        (rc = cts_json_int(&c.layers, j, "num_hidden_layers", true, 1, 1024, file)) != CTS_OK ||
        (rc = cts_json_int(&c.heads, j, "num_attention_heads", true, 1, 1024, file)) != CTS_OK ||
        (rc = cts_json_int(&c.intermediate, j, "intermediate_size", true, 1, 1 << 20, file)) != CTS_OK ||
        (rc = cts_json_int(&c.positions, j, "max_position_embeddings", true, 1, 1 << 20, file)) != CTS_OK ||
        (rc = cts_json_int(&c.types, j, "type_vocab_size", false, 1, 1024, file)) != CTS_OK ||
        (rc = parse_rates(&c, j, file)) != CTS_OK || (rc = parse_act(&c.act, j, file)) != CTS_OK ||
        (rc = parse_pooling(&c, j, file)) != CTS_OK || (rc = refuse_variants(j, file)) != CTS_OK)
        return rc;
    if (c.hidden % c.heads != 0)
        return cts_fail(CTS_E_INPUT, "%s: hidden_size %lld is no multiple of num_attention_heads %lld", file,
                        (long long)c.hidden, (long long)c.heads);
    return cts_config_keep(config, &c, sizeof c, file);
}

static json_t *write(const void *config)
{
    const bert *c = config;

    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:f, s:f, s:f, s:f, s:s}", "model_type", "bert",
                     "vocab_size", (json_int_t)c->vocab, "hidden_size", (json_int_t)c->hidden, "num_hidden_layers",
                     (json_int_t)c->layers, "num_attention_heads", (json_int_t)c->heads, "intermediate_size",
                     (json_int_t)c->intermediate, "max_position_embeddings", (json_int_t)c->positions,
                     "type_vocab_size", (json_int_t)c->types, "hidden_act", c->act == CTS_ACT_RELU ? "relu" : "gelu",
                     "layer_norm_eps", c->eps, "hidden_dropout_prob", c->hidden_dropout, "attention_probs_dropout_prob",
                     c->attention_dropout, "initializer_range", c->range, "pooling", c->mean ? "mean" : "cls");
}

static void info(const void *config, cts_encoder_info *out)
{
    const bert *c = config;

    memset(out, 0, sizeof *out);
    out->max_tokens = c->positions;
    out->vocab = c->vocab;
    out->token_dim = out->vector_dim = c->hidden;
}

static cts_tensor *table(cts_build *b, const bert *c, const char *name, int64_t rows, cts_tensor *ids)
{
    cts_init init = {CTS_INIT_NORMAL, c->range};

    return cts_op_embedding(b->graph, cts_build_param(b, name, init, 2, (int64_t[]){rows, c->hidden}), ids);
}

static cts_tensor *embeddings(cts_build *b, const bert *c, const cts_encoder_inputs *in)
{
    size_t mark = cts_build_push(b, "embeddings.");
    cts_tensor *x = table(b, c, "word_embeddings.weight", c->vocab, in->ids);

    x = cts_op_add(b->graph, x, table(b, c, "token_type_embeddings.weight", c->types, in->types));
    x = cts_op_add(b->graph, x, table(b, c, "position_embeddings.weight", c->positions, in->positions));
    x = cts_block_layer_norm(b, x, "LayerNorm", c->eps);
    cts_build_pop(b, mark);
    return b->dropout ? cts_op_dropout(b->graph, x, (float)c->hidden_dropout) : x;
}

/* LN(x + dropout(dense(y))), under `name`.dense and `name`.LayerNorm */
static cts_tensor *add_norm(cts_build *b, const bert *c, const char *name, cts_tensor *x, cts_tensor *y)
{
    cts_init init = {CTS_INIT_NORMAL, c->range};
    size_t mark = cts_build_push(b, "%s.", name);

    if (b->dropout && c->hidden_dropout > 0) {
        y = cts_block_linear(b, y, "dense", c->hidden, true, &init);
        y = cts_op_add(b->graph, x, cts_op_dropout(b->graph, y, (float)c->hidden_dropout));
    } else {
        y = cts_block_linear_act(b, y, "dense", c->hidden, CTS_ACT_NONE, NULL, x, &init);
    }
    y = cts_block_layer_norm(b, y, "LayerNorm", c->eps);
    cts_build_pop(b, mark);
    return y;
}

static cts_tensor *layer(cts_build *b, const bert *c, cts_tensor *x, const cts_encoder_inputs *in)
{
    cts_init init = {CTS_INIT_NORMAL, c->range};
    cts_tensor *q = cts_block_linear(b, x, "attention.self.query", c->hidden, true, &init);
    cts_tensor *k = cts_block_linear(b, x, "attention.self.key", c->hidden, true, &init);
    cts_tensor *v = cts_block_linear(b, x, "attention.self.value", c->hidden, true, &init);
    float scale = (float)(1.0 / sqrt((double)(c->hidden / c->heads)));
    cts_tensor *y = cts_op_attention(b->graph, q, k, v, in->offsets, in->key_mask, (int)c->heads, scale, -1, -1,
                                     b->dropout ? (float)c->attention_dropout : 0.0f);

    x = add_norm(b, c, "attention.output", x, y);
    y = cts_block_linear_act(b, x, "intermediate.dense", c->intermediate, c->act, NULL, NULL, &init);
    return add_norm(b, c, "output", x, y);
}

static void build(cts_build *b, const void *config, const cts_encoder_inputs *in, cts_encoder_outputs *out)
{
    const bert *c = config;
    cts_tensor *x = embeddings(b, c, in);

    cts_build_trace(b, x, "hidden0");
    for (int64_t i = 0; i < c->layers; i++) {
        size_t mark = cts_build_push(b, "encoder.layer.%lld.", (long long)i);

        x = layer(b, c, x, in);
        cts_build_pop(b, mark);
        cts_build_trace(b, x, "hidden%lld", (long long)i + 1);
    }
    out->tokens = x;
    out->vector =
        c->mean ? cts_op_segment_mean(b->graph, x, in->offsets, in->first) : cts_op_gather_rows(b->graph, x, in->first);
    out->logits = NULL;
}

const cts_encoder_def cts_encoder_bert = {
    .name = "bert",
    .about = "BERT: post-norm transformer over packed tokens (Devlin et al. 2019)",
    .kind = CTS_KIND_TEXT,
    .presets = presets,
    .n_presets = (int)CTS_COUNT(presets),
    .parse = parse,
    .write = write,
    .info = info,
    .build = build,
};
