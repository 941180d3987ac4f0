/* CT-Scroll (Di Piazza et al., "Imitating Radiological Scrolling: A Global-Local Attention Model for 3D Chest CT
 * Volumes Multi-Label Anomaly Classification", 2025), as its published code builds it.
 *
 *   volume [N, z, x, y], z = 3 T         T triplets of neighbouring slices, a triplet's slices are an image's channels
 *   trunk        ResNet-18 over every triplet, mean over the plane                              [N, T, 8 width]
 *   projection   linear, ReLU, dropout                                                          [N, T, E]
 *   block        global attention, then caudal to cranial (a token sees itself and the `window` - 1 before it; a
 *                window of 0 has no end), then cranial to caudal (the same behind it); each is
 *                  x = x + attention(LN(x));  x = x + GeGLU(LN(x)), value half first
 *   aggregate    layer norm, mean over the T tokens                                             [N, E]
 *   head         E -> 128, ReLU, dropout -> labels                                              [N, labels]
 *
 * The paper has no projection and sums the tokens: "projection": false and "aggregate": "sum" build that. Any number of
 * triplets works with the same weights; the published code is fixed to 80 and builds its masks for as many.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "encoders/blocks.h"
#include "encoders/models_internal.h"
#include "encoders/resnet18.h"
#include "kernels/base/check.h"
#include "kernels/base/json.h"

#define HEAD_HIDDEN 128

typedef struct {
    int64_t width, embed, heads, blocks, window, labels;
    int64_t volume[3]; /* z, x, y */
    bool projection, sum;
    double dropout, attention_dropout, head_dropout;
} ct_scroll;

static const cts_encoder_preset presets[] = {
    {"ct-scroll", "{\"width\": 64, \"embed_dim\": 512, \"window\": 16, \"input_size\": [240, 480, 480]}"},
};

static int parse_names(ct_scroll *c, const json_t *j, const char *file)
{
    const char *aggregate = "mean";
    int rc;

    if ((rc = cts_json_string(&aggregate, j, "aggregate", false, file)) != CTS_OK ||
        (rc = cts_json_bool(&c->projection, j, "projection", false, file)) != CTS_OK)
        return rc;
    if (strcmp(aggregate, "mean") != 0 && strcmp(aggregate, "sum") != 0)
        return cts_fail(CTS_E_INPUT, "%s: field \"aggregate\" is \"%s\", allowed mean, sum", file, aggregate);
    c->sum = !strcmp(aggregate, "sum");
    return CTS_OK;
}

static int parse_rates(ct_scroll *c, const json_t *j, const char *file)
{
    static const char *const keys[] = {"dropout", "attention_dropout", "head_dropout"};
    double *const to[] = {&c->dropout, &c->attention_dropout, &c->head_dropout};

    for (int i = 0; i < 3; i++) {
        int rc = cts_json_double(to[i], j, keys[i], false, file);

        if (rc != CTS_OK)
            return rc;
        if (!(*to[i] >= 0 && *to[i] < 1))
            return cts_fail(CTS_E_INPUT, "%s: field \"%s\" is %g, allowed 0 to below 1", file, keys[i], *to[i]);
    }
    return CTS_OK;
}

static int check(const ct_scroll *c, const char *file)
{
    if (c->volume[0] < 3 || c->volume[0] % 3 || c->volume[1] < 1 || c->volume[2] < 1 || c->volume[1] > 4096 ||
        c->volume[2] > 4096)
        return cts_fail(CTS_E_INPUT,
                        "%s: field \"input_size\" is %lld, %lld, %lld; allowed: slices in threes, planes to 4096", file,
                        (long long)c->volume[0], (long long)c->volume[1], (long long)c->volume[2]);
    if (c->embed % c->heads)
        return cts_fail(CTS_E_INPUT, "%s: embed_dim %lld is no multiple of heads %lld", file, (long long)c->embed,
                        (long long)c->heads);
    if (!c->projection && c->embed != 8 * c->width)
        return cts_fail(CTS_E_INPUT, "%s: without a projection embed_dim is 8 * width = %lld, not %lld", file,
                        (long long)(8 * c->width), (long long)c->embed);
    return CTS_OK;
}

static int parse(void **config, const json_t *j, const char *file)
{
    ct_scroll c = {.width = 64,
                   .embed = 512,
                   .heads = 8,
                   .blocks = 1,
                   .window = 16,
                   .labels = 18,
                   .volume = {240, 480, 480},
                   .projection = true,
                   .dropout = 0.2,
                   .attention_dropout = 0.1,
                   .head_dropout = 0.5};
    int rc;

    if ((rc = cts_json_int(&c.width, j, "width", false, 1, 4096, file)) != CTS_OK ||
        (rc = cts_json_int(&c.embed, j, "embed_dim", false, 1, 65536, file)) != CTS_OK ||
        (rc = cts_json_int(&c.heads, j, "heads", false, 1, 1024, file)) != CTS_OK ||
        (rc = cts_json_int(&c.blocks, j, "num_blocks", false, 1, 256, file)) != CTS_OK ||
        (rc = cts_json_int(&c.window, j, "window", false, 0, 1 << 20, file)) != CTS_OK ||
        (rc = cts_json_int(&c.labels, j, "n_labels", false, 1, 4096, file)) != CTS_OK ||
        (rc = cts_json_ints(c.volume, 3, j, "input_size", false, file)) != CTS_OK ||
        (rc = parse_names(&c, j, file)) != CTS_OK || (rc = parse_rates(&c, j, file)) != CTS_OK ||
        (rc = check(&c, file)) != CTS_OK)
        return rc;
    return cts_config_keep(config, &c, sizeof c, file);
}

static json_t *write(const void *config)
{
    const ct_scroll *c = config;

    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:[III], s:b, s:s, s:f, s:f, s:f}", "width", (json_int_t)c->width,
                     "embed_dim", (json_int_t)c->embed, "heads", (json_int_t)c->heads, "num_blocks",
                     (json_int_t)c->blocks, "window", (json_int_t)c->window, "n_labels", (json_int_t)c->labels,
                     "input_size", (json_int_t)c->volume[0], (json_int_t)c->volume[1], (json_int_t)c->volume[2],
                     "projection", c->projection, "aggregate", c->sum ? "sum" : "mean", "dropout", c->dropout,
                     "attention_dropout", c->attention_dropout, "head_dropout", c->head_dropout);
}

static void info(const void *config, cts_encoder_info *out)
{
    const ct_scroll *c = config;

    memset(out, 0, sizeof *out);
    memcpy(out->volume, c->volume, sizeof out->volume);
    out->token_dim = out->vector_dim = c->embed;
    out->n_logits = c->labels;
    out->any_volume = true;
    out->view = (cts_encoder_view){.layer = "trunk", .slab = 3, .strided = {false, true, true}};
}

static cts_tensor *dropout(cts_build *b, cts_tensor *x, double p)
{
    return b->dropout ? cts_op_dropout(b->graph, x, (float)p) : x;
}

/* Multi-head attention as torch.nn.MultiheadAttention names it; x [N, T, E], a token sees T - back .. T + ahead. */
static cts_tensor *attention(cts_build *b, const ct_scroll *c, cts_tensor *x, int back, int ahead)
{
    int64_t e = c->embed;
    cts_init in = {CTS_INIT_UNIFORM, sqrt(6.0 / (double)(4 * e))}, zero = cts_init_const(0.0); /* Xavier */
    size_t mark = cts_build_push(b, "attention.");
    cts_tensor *w = cts_build_param(b, "in_proj_weight", in, 2, (int64_t[]){3 * e, e});
    cts_tensor *qkv = cts_op_linear(b->graph, x, w, cts_build_vector(b, "in_proj_bias", zero, 3 * e)), *part[3], *y;
    cts_tensor *wo, *bo;

    for (int i = 0; i < 3; i++)
        part[i] = cts_op_slice(b->graph, qkv, i * e, e);
    y = cts_op_attention_uniform(b->graph, part[0], part[1], part[2], NULL, x->shape[1], (int)c->heads,
                                 (float)(1.0 / sqrt((double)e / (double)c->heads)), back, ahead,
                                 b->dropout ? (float)c->attention_dropout : 0.0f);
    wo = cts_build_param(b, "out_proj.weight", cts_init_fan_in(e), 2, (int64_t[]){e, e});
    bo = cts_build_vector(b, "out_proj.bias", zero, e);
    cts_build_pop(b, mark);
    return cts_op_linear(b->graph, y, wo, bo);
}

/* One of the three attention blocks; the last one calls its norms norm1 and norm2. */
static cts_tensor *scroll_block(cts_build *b, const ct_scroll *c, cts_tensor *x, const char *name, bool numbered,
                                int back, int ahead)
{
    size_t mark = cts_build_push(b, "%s.", name);
    cts_tensor *y = cts_block_layer_norm(b, x, numbered ? "norm1" : "norm_in", 1e-5);

    x = cts_op_add(b->graph, x, attention(b, c, y, back, ahead));
    y = cts_block_layer_norm(b, x, numbered ? "norm2" : "norm_out", 1e-5);
    y = cts_op_geglu(b->graph, cts_block_linear(b, y, "mlp.mlp.gated_layers", 2 * c->embed, false, NULL));
    cts_build_pop(b, mark);
    return cts_op_add(b->graph, x, y);
}

static cts_tensor *tokens(cts_build *b, const ct_scroll *c, const cts_encoder_inputs *in)
{
    static const int channels_last[5] = {0, 1, 3, 4, 2};
    const int64_t *v = in->volume->shape;
    cts_tensor *x;
    size_t mark;

    CTS_ASSERT(v[1] % 3 == 0, "ct_scroll: %lld slices do not make triplets", (long long)v[1]);
    x = cts_op_reshape(b->graph, in->volume, 5, (int64_t[]){v[0], v[1] / 3, 3, v[2], v[3]});
    x = cts_op_permute(b->graph, x, channels_last);
    mark = cts_build_push(b, "features.");
    x = cts_block_resnet18(b, x, c->width);
    cts_build_pop(b, mark);
    cts_build_trace(b, x, "trunk");
    x = cts_op_mean(b->graph, x, 2, 3);
    cts_build_trace(b, x, "gap");
    if (c->projection) {
        x = cts_block_linear_act(b, x, "projection_gap.0", c->embed, CTS_ACT_RELU, NULL, NULL, NULL);
        x = dropout(b, x, c->dropout);
    }
    cts_build_trace(b, x, "projection");
    return x;
}

static void build(cts_build *b, const void *config, const cts_encoder_inputs *in, cts_encoder_outputs *out)
{
    const ct_scroll *c = config;
    int reach = c->window > 0 ? (int)c->window - 1 : -1;
    cts_tensor *x = tokens(b, c, in), *y;

    for (int64_t i = 0; i < c->blocks; i++) {
        size_t mark = cts_build_push(b, "blocks.%lld.", (long long)i);

        x = scroll_block(b, c, x, "global_block", false, -1, -1);
        cts_build_trace(b, x, i ? "global.%lld" : "global", (long long)i);
        x = scroll_block(b, c, x, "caudal_cranial_block", false, reach, 0);
        cts_build_trace(b, x, i ? "caudal_cranial.%lld" : "caudal_cranial", (long long)i);
        x = scroll_block(b, c, x, "cranial_caudal_block", true, 0, reach);
        cts_build_trace(b, x, i ? "cranial_caudal.%lld" : "cranial_caudal", (long long)i);
        cts_build_pop(b, mark);
    }
    out->tokens = cts_block_layer_norm(b, x, "layer_norm_out", 1e-5);
    cts_build_trace(b, out->tokens, "norm_out");
    y = cts_op_mean(b->graph, out->tokens, 1, 1);
    out->vector = c->sum ? cts_op_scale(b->graph, y, (float)out->tokens->shape[1]) : y;
    y = cts_block_linear_act(b, out->vector, "classifier.0", HEAD_HIDDEN, CTS_ACT_RELU, NULL, NULL, NULL);
    out->logits = cts_block_linear(b, dropout(b, y, c->head_dropout), "classifier.3", c->labels, true, NULL);
    cts_build_trace(b, out->logits, "logits");
}

const cts_encoder_def cts_encoder_ct_scroll = {
    .name = "ct_scroll",
    .about = "CT-Scroll: triplets of slices, global and windowed attention (Di Piazza et al. 2025)",
    .kind = CTS_KIND_IMAGE,
    .presets = presets,
    .n_presets = (int)CTS_COUNT(presets),
    .parse = parse,
    .write = write,
    .info = info,
    .build = build,
};
