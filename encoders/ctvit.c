/* CT-ViT (Hamamci et al., "GenerateCT", 2023), the image encoder of CT-CLIP (Hamamci et al. 2024), as its published
 * code builds it.
 *
 *   volume [N, z, x, y]
 *   patches       pt x p1 x p2 voxels, y fastest; layer norm, linear to D, layer norm      [N, t, h, w, D]
 *   spatial       layers over the h * w tokens of a slab, with a continuous position bias that all layers share
 *   temporal      layers over the t tokens of a column
 *   quantiser     every token becomes a row of the code book
 *   reduction     depth: mean over t, flatten h, w, D (CT-CLIP since 2024-10); none: flatten all (before)   [N, vector]
 *
 * A layer is three residual steps: PEG (a depthwise 3 x 3 x 3 convolution that sees the two slabs before, none behind),
 * cosine attention and a GEGLU feed-forward. What a port must keep, because the weights were trained so:
 *   - queries come from the normed tokens, keys and values from the tokens themselves;
 *   - the PEG of the temporal layers reads their buffer [h, w, t, D] as if it were [t, h, w, D]: a reshape, no
 *     permutation. True neighbours get mixed up, whole volumes never do.
 * The published state dict also holds parts that no forward pass reads (first-frame embedding, pixel decoders, context
 * norms, null keys without elements): they are not declared here.
 * The norms of attention and output have a learned gamma and a buffer beta of zeros, which is a state here.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "encoders/blocks.h"
#include "encoders/models_internal.h"
#include "encoders/quantizer.h"
#include "kernels/base/check.h"
#include "kernels/base/json.h"

#define EPS 1e-5   /* of all norms */
#define SCALE 8.0f /* of the cosines before the softmax */
#define MIN_NORM 1e-12f
#define PEG_TAPS (3 * 3 * 3)

typedef enum { REDUCE_DEPTH, REDUCE_NONE, REDUCE_COUNT } reduction;

static const char *const reduction_names[REDUCE_COUNT] = {"depth", "none"};

typedef struct {
    int64_t dim, codes;
    int64_t volume[3]; /* z, x, y */
    int64_t patch[3];  /* pt, p1, p2 */
    int64_t spatial_depth, temporal_depth;
    int64_t heads, dim_head;
    reduction reduce;
    bool quantize;
} ctvit;

#define RELEASED(patch, temporal_patch, reduction)                                                                     \
    "{\"dim\": 512, \"codebook_size\": 8192, \"image_size\": [480, 480], \"depth_size\": 240, \"patch_size\": " patch  \
    ", \"temporal_patch_size\": " temporal_patch ", \"spatial_depth\": 4, \"temporal_depth\": 4, \"dim_head\": 32, "   \
    "\"heads\": 8, \"reduction\": \"" reduction "\", \"quantize\": true}"

static const cts_encoder_preset presets[] = {
    {"ctvit", RELEASED("[20, 20]", "10", "depth")},
    {"ctvit-v1", RELEASED("[30, 30]", "15", "none")},
};

/* ---- configuration --------------------------------------------------------------------------------------------- */

/* A pair of numbers, or one number for both as published configurations write it. */
static int read_pair(int64_t out[2], const json_t *j, const char *key, const char *file)
{
    int64_t both = 0;
    int rc;

    if (!json_is_integer(json_object_get(j, key)))
        rc = cts_json_ints(out, 2, j, key, true, file);
    else if ((rc = cts_json_int(&both, j, key, true, 1, 65536, file)) == CTS_OK)
        out[0] = out[1] = both;
    for (int i = 0; rc == CTS_OK && i < 2; i++)
        if (out[i] < 1 || out[i] > 65536)
            rc = cts_fail(CTS_E_INPUT, "%s: field \"%s\" is %lld, allowed 1 to 65536", file, key, (long long)out[i]);
    return rc;
}

static int read_reduction(reduction *out, const json_t *j, const char *file)
{
    const char *name = reduction_names[REDUCE_DEPTH];
    int rc = cts_json_string(&name, j, "reduction", false, file);

    for (int r = 0; rc == CTS_OK && r < REDUCE_COUNT; r++)
        if (!strcmp(name, reduction_names[r])) {
            *out = (reduction)r;
            return CTS_OK;
        }
    return rc ? rc : cts_fail(CTS_E_INPUT, "%s: field \"reduction\" is \"%s\", allowed depth, none", file, name);
}

static int check_patches(const ctvit *c, const char *file)
{
    static const char *const size[3] = {"depth_size", "image_size", "image_size"};
    static const char *const patch[3] = {"temporal_patch_size", "patch_size", "patch_size"};

    for (int i = 0; i < 3; i++)
        if (c->volume[i] % c->patch[i] != 0)
            return cts_fail(CTS_E_INPUT, "%s: field \"%s\" is %lld, allowed are multiples of \"%s\", %lld", file,
                            size[i], (long long)c->volume[i], patch[i], (long long)c->patch[i]);
    return CTS_OK;
}

static int parse(void **config, const json_t *j, const char *file)
{
    ctvit c = {.quantize = true};
    int rc;

    if ((rc = cts_json_int(&c.dim, j, "dim", true, 1, 65536, file)) != CTS_OK ||
        (rc = cts_json_int(&c.codes, j, "codebook_size", true, 1, 1 << 24, file)) != CTS_OK ||
        (rc = read_pair(&c.volume[1], j, "image_size", file)) != CTS_OK ||
        (rc = cts_json_int(&c.volume[0], j, "depth_size", true, 1, 65536, file)) != CTS_OK ||
        (rc = read_pair(&c.patch[1], j, "patch_size", file)) != CTS_OK ||
        (rc = cts_json_int(&c.patch[0], j, "temporal_patch_size", true, 1, 65536, file)) != CTS_OK ||
        (rc = cts_json_int(&c.spatial_depth, j, "spatial_depth", true, 0, 256, file)) != CTS_OK ||
        (rc = cts_json_int(&c.temporal_depth, j, "temporal_depth", true, 0, 256, file)) != CTS_OK ||
        (rc = cts_json_int(&c.dim_head, j, "dim_head", true, 1, 1024, file)) != CTS_OK ||
        (rc = cts_json_int(&c.heads, j, "heads", true, 1, 1024, file)) != CTS_OK ||
        (rc = read_reduction(&c.reduce, j, file)) != CTS_OK ||
        (rc = cts_json_bool(&c.quantize, j, "quantize", false, file)) != CTS_OK ||
        (rc = check_patches(&c, file)) != CTS_OK)
        return rc;
    return cts_config_keep(config, &c, sizeof c, file);
}

static json_t *write(const void *config)
{
    const ctvit *c = config;

    return json_pack("{s:I, s:I, s:[I,I], s:I, s:[I,I], s:I, s:I, s:I, s:I, s:I, s:s, s:b}", "dim", (json_int_t)c->dim,
                     "codebook_size", (json_int_t)c->codes, "image_size", (json_int_t)c->volume[1],
                     (json_int_t)c->volume[2], "depth_size", (json_int_t)c->volume[0], "patch_size",
                     (json_int_t)c->patch[1], (json_int_t)c->patch[2], "temporal_patch_size", (json_int_t)c->patch[0],
                     "spatial_depth", (json_int_t)c->spatial_depth, "temporal_depth", (json_int_t)c->temporal_depth,
                     "dim_head", (json_int_t)c->dim_head, "heads", (json_int_t)c->heads, "reduction",
                     reduction_names[c->reduce], "quantize", c->quantize);
}

static void info(const void *config, cts_encoder_info *out)
{
    const ctvit *c = config;
    int64_t per_slab = c->volume[1] / c->patch[1] * (c->volume[2] / c->patch[2]) * c->dim;

    memset(out, 0, sizeof *out);
    memcpy(out->volume, c->volume, sizeof out->volume);
    out->token_dim = c->dim;
    out->vector_dim = c->reduce == REDUCE_DEPTH ? per_slab : c->volume[0] / c->patch[0] * per_slab;
}

/* ---- parts ----------------------------------------------------------------------------------------------------- */

/* [N, z, x, y] -> [N, t, h, w, pt * p1 * p2] */
static cts_tensor *patches(cts_build *b, cts_tensor *volume, const int64_t patch[3])
{
    cts_graph *g = b->graph;
    const int64_t *v = volume->shape;
    const int64_t t = v[1] / patch[0], h = v[2] / patch[1], w = v[3] / patch[2];
    static const int order[7] = {0, 1, 3, 5, 2, 4, 6};
    cts_tensor *x;

    CTS_ASSERT(t * patch[0] == v[1] && h * patch[1] == v[2] && w * patch[2] == v[3],
               "ctvit: %lld x %lld x %lld voxels are no whole patches", (long long)v[1], (long long)v[2],
               (long long)v[3]);
    x = cts_op_reshape(g, volume, 7, (int64_t[]){v[0], t, patch[0], h, patch[1], w, patch[2]});
    x = cts_build_recompute(b, cts_op_permute(g, x, order));
    return cts_op_reshape(g, x, 5, (int64_t[]){v[0], t, h, w, patch[0] * patch[1] * patch[2]});
}

static cts_tensor *embed_patches(cts_build *b, const ctvit *c, cts_tensor *volume)
{
    cts_tensor *x = patches(b, volume, c->patch);
    size_t mark = cts_build_push(b, "to_patch_emb.");

    x = cts_build_recompute(b, cts_block_layer_norm(b, x, "1", EPS));
    x = cts_block_linear(b, x, "2", c->dim, true, NULL);
    x = cts_block_layer_norm(b, x, "3", EPS);
    cts_build_pop(b, mark);
    return x;
}

/* [heads, h * w, h * w] of a grid h x w; the network is evaluated once for every difference of positions. */
static cts_tensor *position_bias(cts_build *b, const ctvit *c, int64_t h, int64_t w)
{
    size_t mark = cts_build_push(b, "spatial_rel_pos_bias.net.");
    cts_tensor *x = cts_op_rel_pos(b->graph, h, w);

    x = cts_block_linear_act(b, x, "0.0", c->dim, CTS_ACT_LEAKY, NULL, NULL, NULL);
    x = cts_block_linear_act(b, x, "1.0", c->dim, CTS_ACT_LEAKY, NULL, NULL, NULL);
    x = cts_block_linear(b, x, "2", c->heads, true, NULL);
    cts_build_pop(b, mark);
    return cts_op_rel_bias(b->graph, x, h, w);
}

/* <name>.gamma and the buffer <name>.beta, which no published model ever changed from zero. */
static cts_tensor *gamma_norm(cts_build *b, cts_tensor *x, const char *name)
{
    int64_t d = cts_tensor_channels(x);
    size_t mark = cts_build_push(b, "%s.", name);
    cts_tensor *gamma = cts_build_vector(b, "gamma", cts_init_const(1.0), d);
    cts_tensor *beta = cts_build_state(b, "beta", cts_init_const(0.0), 1, &d);

    cts_build_pop(b, mark);
    return cts_op_layer_norm(b->graph, x, gamma, beta, (float)EPS);
}

/* The two slabs before a token and its neighbours in a slab. x [N, .., D], read as the grid [N, t, h, w, D]. */
static cts_tensor *peg(cts_build *b, cts_tensor *x, const int64_t grid[5])
{
    static const int before[3] = {2, 1, 1};
    int64_t d = grid[4];
    size_t mark = cts_build_push(b, "0.dsconv.");
    cts_tensor *w = cts_build_param(b, "weight", cts_init_fan_in(PEG_TAPS), 5, (int64_t[]){d, 1, 3, 3, 3});
    cts_tensor *bias = cts_build_vector(b, "bias", cts_init_fan_in(PEG_TAPS), d);
    cts_tensor *y = cts_op_dwconv3d(b->graph, cts_op_reshape(b->graph, x, 5, grid), w, bias, before);

    cts_build_pop(b, mark);
    return cts_op_reshape(b->graph, y, x->ndim, x->shape);
}

/* Unit length in every head, times the learned scale: [.., heads * dim_head] */
static cts_tensor *unit_heads(cts_build *b, const ctvit *c, cts_tensor *x, const char *scale)
{
    const int64_t *s = x->shape;
    cts_tensor *y = cts_op_reshape(b->graph, x, 6, (int64_t[]){s[0], s[1], s[2], s[3], c->heads, c->dim_head});

    y = cts_build_recompute(b, cts_op_l2_norm(b->graph, y, MIN_NORM));
    y = cts_op_channel_scale(b->graph, y, cts_build_vector(b, scale, cts_init_const(1.0), c->dim_head));
    return cts_op_reshape(b->graph, cts_build_recompute(b, y), x->ndim, s);
}

/* x W^T, plus the residual at inference, where it costs nothing; *sum says whether it was added. */
static cts_tensor *linear_out(cts_build *b, cts_tensor *x, const char *name, cts_tensor *residual, bool *sum)
{
    int64_t in = cts_tensor_channels(x), out = cts_tensor_channels(residual);
    cts_tensor *w = cts_build_param(b, name, cts_init_fan_in(in), 2, (int64_t[]){out, in});

    *sum = !b->grad && !b->trace;
    return *sum ? cts_op_linear_fused(b->graph, x, w, NULL, CTS_ACT_NONE, NULL, residual)
                : cts_op_linear(b->graph, x, w, NULL);
}

static cts_tensor *attention(cts_build *b, const ctvit *c, cts_tensor *x, cts_tensor *bias, int64_t seq_len, bool *sum)
{
    int64_t inner = c->heads * c->dim_head;
    size_t mark = cts_build_push(b, "1.");
    cts_tensor *normed = cts_build_recompute(b, gamma_norm(b, x, "norm"));
    cts_tensor *q = cts_build_recompute(b, cts_block_linear(b, normed, "to_q", inner, false, NULL));
    cts_tensor *kv = cts_build_recompute(b, cts_block_linear(b, x, "to_kv", 2 * inner, false, NULL));
    cts_tensor *k = cts_build_recompute(b, cts_op_slice(b->graph, kv, 0, inner));
    cts_tensor *v = cts_build_recompute(b, cts_op_slice(b->graph, kv, inner, inner)), *y;

    q = unit_heads(b, c, q, "q_scale");
    k = unit_heads(b, c, k, "k_scale");
    y = cts_op_attention_uniform(b->graph, q, k, v, bias, seq_len, (int)c->heads, SCALE, -1, -1, 0.0f);
    y = linear_out(b, y, "to_out.weight", x, sum);
    cts_build_pop(b, mark);
    return y;
}

static cts_tensor *feed_forward(cts_build *b, cts_tensor *x, bool *sum)
{
    int64_t inner = cts_tensor_channels(x) * 4 * 2 / 3; /* 2/3 of the usual 4: a gated network has a third matrix */
    size_t mark = cts_build_push(b, "3.");
    cts_tensor *y = cts_build_recompute(b, cts_block_layer_norm(b, x, "0", EPS));

    y = cts_build_recompute(b, cts_block_linear(b, y, "1", 2 * inner, false, NULL));
    y = cts_build_recompute(b, cts_op_geglu(b->graph, y));
    y = linear_out(b, y, "4.weight", x, sum);
    cts_build_pop(b, mark);
    return y;
}

static cts_tensor *residual(cts_build *b, cts_tensor *x, cts_tensor *f, bool summed)
{
    return summed ? f : cts_op_add(b->graph, f, x);
}

/* Layers and the norm behind them; `name` is the transformer's in the traces. x [N, .., .., .., D], sequences of
 * seq_len tokens back to back; grid is what the PEG takes a sample's buffer for. */
static cts_tensor *transformer(cts_build *b, const ctvit *c, cts_tensor *x, const char *name, int64_t depth,
                               cts_tensor *bias, int64_t seq_len, const int64_t grid[5])
{
    size_t top = cts_build_push(b, "enc_%s_transformer.", name);

    for (int64_t i = 0; i < depth; i++) {
        size_t mark = cts_build_push(b, "layers.%lld.", (long long)i);
        bool sum = false;
        cts_tensor *f = peg(b, x, grid);

        cts_build_trace(b, f, "%s.%lld.peg", name, (long long)i);
        x = residual(b, x, f, false);
        f = attention(b, c, x, bias, seq_len, &sum);
        cts_build_trace(b, f, "%s.%lld.attn", name, (long long)i);
        x = residual(b, x, f, sum);
        f = feed_forward(b, x, &sum);
        cts_build_trace(b, f, "%s.%lld.ff", name, (long long)i);
        x = residual(b, x, f, sum);
        cts_build_pop(b, mark);
    }
    x = gamma_norm(b, x, "norm_out");
    cts_build_pop(b, top);
    return x;
}

static void build(cts_build *b, const void *config, const cts_encoder_inputs *in, cts_encoder_outputs *out)
{
    static const int columns[5] = {0, 2, 3, 1, 4}, slabs[5] = {0, 3, 1, 2, 4};
    const ctvit *c = config;
    cts_tensor *x = embed_patches(b, c, in->volume), *bias;
    const int64_t n = x->shape[0], t = x->shape[1], h = x->shape[2], w = x->shape[3];
    const int64_t grid[5] = {n, t, h, w, c->dim};

    cts_build_trace(b, x, "patch");
    bias = position_bias(b, c, h, w);
    cts_build_trace(b, bias, "bias");
    x = transformer(b, c, x, "spatial", c->spatial_depth, bias, h * w, grid);
    cts_build_trace(b, x, "spatial");
    x = cts_op_permute(b->graph, x, columns); /* [N, h, w, t, D] */
    x = transformer(b, c, x, "temporal", c->temporal_depth, NULL, t, grid);
    x = cts_op_permute(b->graph, x, slabs);
    cts_build_trace(b, x, "temporal");
    if (c->quantize)
        x = cts_block_quantize(b, x, c->codes);
    out->tokens = x;
    if (c->reduce == REDUCE_DEPTH)
        x = cts_op_mean(b->graph, x, 1, 1);
    out->vector = cts_op_reshape(b->graph, x, 2, (int64_t[]){n, cts_tensor_count(x) / n});
    out->logits = NULL;
}

const cts_encoder_def cts_encoder_ctvit = {
    .name = "ctvit",
    .about = "CT-ViT: factorised transformer over patches of a volume, the encoder of CT-CLIP (Hamamci et al. 2024)",
    .kind = CTS_KIND_IMAGE,
    .presets = presets,
    .n_presets = (int)CTS_COUNT(presets),
    .parse = parse,
    .write = write,
    .info = info,
    .build = build,
};
