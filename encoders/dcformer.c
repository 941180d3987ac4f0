/* DCFormer (Ates, Gong and Marsden, "DCFormer: Efficient 3D Vision-Language Modeling with Decomposed Convolutions",
 * 2025), as its published code builds it.
 *
 *   volume [N, z, x, y]
 *   stem s0.0    decomposed convolutions 7 stride 4, then 3, 3, 3 of stride 1: dense 1-D kernels, no activation
 *                [N, z/4, x/4, y/4, C0]
 *   stages 1..4  before the first block a max-pool 3/2/1 and a 1x1x1 projection; halves the grid, C(i-1) -> Ci
 *     block      x + gamma * MLP(sum over axes of BN(depthwise k)), MLP = C -> 4C, erf GELU, 4C -> C
 *   quantiser    optional: every token becomes a row of a code book (encoders/quantizer.h)
 *   reduction    channel: mean over the grid; depth: mean over z, flatten; none: flatten      [N, vector]
 *
 * A published tensor is (b, c, x, y, z) inside the encoder and tokens come out as t, h, w = z, x, y; ours stays
 * [N, z, x, y, C] throughout, which is the token order, so nothing is transposed. Sizes are ceil(n / 4), then
 * ceil(n / 2) four times: any volume from one voxel on works. The paper's text says kernel 7 in all stages, the
 * published code and counts say 13, 11, 9, 7; both are presets.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "encoders/blocks.h"
#include "encoders/models_internal.h"
#include "encoders/quantizer.h"
#include "kernels/base/check.h"
#include "kernels/base/json.h"

#define N_STAGES 4

typedef enum { REDUCE_CHANNEL, REDUCE_DEPTH, REDUCE_NONE, REDUCE_COUNT } reduction;

static const char *const reduction_names[REDUCE_COUNT] = {"channel", "depth", "none"};

typedef struct {
    int64_t blocks[N_STAGES + 1]; /* [0] is the stem: 1 */
    int64_t channels[N_STAGES + 1];
    int64_t kernels[N_STAGES];
    int64_t volume[3]; /* z, x, y */
    reduction reduce;
    double layer_scale; /* initial gamma */
    bool quantize;
    int64_t codes; /* of the quantiser */
} dcformer;

#define SIZES(blocks, channels, kernels)                                                                               \
    "{\"num_blocks\": " blocks ", \"channels\": " channels ", \"kernel_sizes\": " kernels "}"
#define K_CODE "[13, 11, 9, 7]"
#define K_PAPER "[7, 7, 7, 7]"
#define NANO(k) SIZES("[1, 1, 1, 1, 1]", "[32, 32, 64, 128, 256]", k)
#define NAIVE(k) SIZES("[1, 2, 2, 2, 2]", "[32, 64, 128, 256, 512]", k)
#define TINY(k) SIZES("[1, 2, 3, 3, 2]", "[64, 96, 192, 384, 768]", k)
#define SMALL(k) SIZES("[1, 2, 3, 6, 2]", "[64, 96, 192, 384, 768]", k)

static const cts_encoder_preset presets[] = {
    {"dcformer-nano", NANO(K_CODE)},     {"dcformer-naive", NAIVE(K_CODE)},     {"dcformer-tiny", TINY(K_CODE)},
    {"dcformer-small", SMALL(K_CODE)},   {"dcformer-nano-k7", NANO(K_PAPER)},   {"dcformer-naive-k7", NAIVE(K_PAPER)},
    {"dcformer-tiny-k7", TINY(K_PAPER)}, {"dcformer-small-k7", SMALL(K_PAPER)},
};

/* Range check of an array that was read. */
static int check_range(const int64_t *v, int n, int64_t lo, int64_t hi, const char *key, const char *file)
{
    for (int i = 0; i < n; i++)
        if (v[i] < lo || v[i] > hi)
            return cts_fail(CTS_E_INPUT, "%s: field \"%s\"[%d] is %lld, allowed %lld to %lld", file, key, i,
                            (long long)v[i], (long long)lo, (long long)hi);
    return CTS_OK;
}

static int check_config(const dcformer *c, const char *file)
{
    int rc;

    if (c->blocks[0] != 1)
        return cts_fail(CTS_E_UNSUPPORTED, "%s: field \"num_blocks\"[0] is %lld; the stem is one block", file,
                        (long long)c->blocks[0]);
    if ((rc = check_range(c->blocks, N_STAGES + 1, 1, 256, "num_blocks", file)) != CTS_OK ||
        (rc = check_range(c->channels, N_STAGES + 1, 1, 65536, "channels", file)) != CTS_OK ||
        (rc = check_range(c->kernels, N_STAGES, 1, 255, "kernel_sizes", file)) != CTS_OK ||
        (rc = check_range(c->volume, 3, 1, 4096, "input_size", file)) != CTS_OK)
        return rc;
    for (int i = 0; i < N_STAGES; i++)
        if (c->kernels[i] % 2 == 0)
            return cts_fail(CTS_E_INPUT, "%s: field \"kernel_sizes\"[%d] is %lld, allowed are odd numbers", file, i,
                            (long long)c->kernels[i]);
    return CTS_OK;
}

static int parse(void **config, const json_t *j, const char *file)
{
    dcformer c = {.kernels = {13, 11, 9, 7},
                  .volume = {256, 512, 512},
                  .reduce = REDUCE_CHANNEL,
                  .layer_scale = 1e-6,
                  .codes = 8192};
    const char *reduce = NULL;
    int rc;

    if ((rc = cts_json_ints(c.blocks, N_STAGES + 1, j, "num_blocks", true, file)) != CTS_OK ||
        (rc = cts_json_ints(c.channels, N_STAGES + 1, j, "channels", true, file)) != CTS_OK ||
        (rc = cts_json_ints(c.kernels, N_STAGES, j, "kernel_sizes", false, file)) != CTS_OK ||
        (rc = cts_json_ints(c.volume, 3, j, "input_size", false, file)) != CTS_OK ||
        (rc = cts_json_string(&reduce, j, "reduction", false, file)) != CTS_OK ||
        (rc = cts_json_double(&c.layer_scale, j, "layer_scale_init", false, file)) != CTS_OK ||
        (rc = cts_json_bool(&c.quantize, j, "quantize", false, file)) != CTS_OK ||
        (rc = cts_json_int(&c.codes, j, "codebook_size", false, 1, 1 << 20, file)) != CTS_OK ||
        (rc = check_config(&c, file)) != CTS_OK)
        return rc;
    if (reduce) {
        for (c.reduce = 0; c.reduce < REDUCE_COUNT && strcmp(reduce, reduction_names[c.reduce]) != 0; c.reduce++)
            ;
        if (c.reduce == REDUCE_COUNT)
            return cts_fail(CTS_E_INPUT, "%s: field \"reduction\" is \"%s\", allowed channel, depth, none", file,
                            reduce);
    }
    return cts_config_keep(config, &c, sizeof c, file);
}

static json_t *write(const void *config)
{
    const dcformer *c = config;

    return json_pack("{s:o, s:o, s:o, s:o, s:s, s:b, s:I, s:f}", "num_blocks",
                     cts_json_from_ints(c->blocks, N_STAGES + 1), "channels",
                     cts_json_from_ints(c->channels, N_STAGES + 1), "kernel_sizes",
                     cts_json_from_ints(c->kernels, N_STAGES), "input_size", cts_json_from_ints(c->volume, 3),
                     "reduction", reduction_names[c->reduce], "quantize", c->quantize, "codebook_size",
                     (json_int_t)c->codes, "layer_scale_init", c->layer_scale);
}

static void info(const void *config, cts_encoder_info *out)
{
    const dcformer *c = config;
    int64_t d[3];

    for (int i = 0; i < 3; i++) {
        d[i] = (c->volume[i] + 3) / 4;
        for (int s = 0; s < N_STAGES; s++)
            d[i] = (d[i] + 1) / 2;
    }
    memset(out, 0, sizeof *out);
    memcpy(out->volume, c->volume, sizeof out->volume);
    out->token_dim = c->channels[N_STAGES];
    out->vector_dim =
        c->channels[N_STAGES] * (c->reduce == REDUCE_CHANNEL ? 1 : d[1] * d[2] * (c->reduce == REDUCE_NONE ? d[0] : 1));
    out->any_volume = c->reduce == REDUCE_CHANNEL;
    out->view = (cts_encoder_view){.strided = {true, true, true}};
}

static cts_tensor *stem(cts_build *b, cts_tensor *x, int64_t channels)
{
    static const int kernel[4] = {7, 3, 3, 3};
    size_t mark;

    for (int i = 0; i < 4; i++) {
        mark = cts_build_push(b, "s0.0.%d.", i);
        x = cts_block_decomp_conv(b, x, channels, kernel[i], i ? 1 : 4, false);
        cts_build_pop(b, mark);
    }
    return x;
}

static cts_tensor *down(cts_build *b, cts_tensor *x, int64_t channels)
{
    int64_t cin = cts_tensor_channels(x);
    cts_tensor *w = cts_build_param(b, "proj.weight", cts_init_fan_in(cin), 5, (int64_t[]){channels, cin, 1, 1, 1});

    return cts_op_linear(b->graph, cts_op_max_pool(b->graph, x, 3, 2, 1), w, NULL);
}

static cts_tensor *block(cts_build *b, cts_tensor *x, int kernel, double layer_scale)
{
    int64_t c = cts_tensor_channels(x);
    cts_tensor *gamma = cts_build_vector(b, "gamma", cts_init_const(layer_scale), c);
    size_t mark = cts_build_push(b, "dwconv.");
    cts_tensor *y = cts_block_decomp_conv(b, x, c, kernel, 1, true);

    cts_build_pop(b, mark);
    y = cts_block_linear_act(b, y, "mlp.mlp.0", 4 * c, CTS_ACT_GELU, NULL, NULL, NULL);
    return cts_block_linear_act(b, y, "mlp.mlp.3", c, CTS_ACT_NONE, gamma, x, NULL);
}

static cts_tensor *reduce_grid(cts_graph *g, cts_tensor *x, reduction r)
{
    int64_t n = x->shape[0];

    if (r == REDUCE_CHANNEL)
        return cts_op_mean(g, x, 1, 3);
    if (r == REDUCE_DEPTH)
        x = cts_op_mean(g, x, 1, 1);
    return cts_op_reshape(g, x, 2, (int64_t[]){n, cts_tensor_count(x) / n});
}

static void build(cts_build *b, const void *config, const cts_encoder_inputs *in, cts_encoder_outputs *out)
{
    const dcformer *c = config;
    const int64_t *v = in->volume->shape;
    cts_tensor *x = cts_op_reshape(b->graph, in->volume, 5, (int64_t[]){v[0], v[1], v[2], v[3], 1});
    size_t top = cts_build_push(b, "encoder.");

    x = stem(b, x, c->channels[0]);
    cts_build_trace(b, x, "stage0");
    for (int s = 1; s <= N_STAGES; s++) {
        for (int64_t i = 0; i < c->blocks[s]; i++) {
            size_t mark = cts_build_push(b, "s%d.%lld.", s, (long long)i);

            if (i == 0)
                x = down(b, x, c->channels[s]);
            x = block(b, x, (int)c->kernels[s - 1], c->layer_scale);
            cts_build_pop(b, mark);
        }
        cts_build_trace(b, x, "stage%d", s);
    }
    cts_build_pop(b, top);
    if (c->quantize)
        x = cts_block_quantize(b, x, c->codes);
    out->tokens = x;
    out->vector = reduce_grid(b->graph, x, c->reduce);
    out->logits = NULL;
}

const cts_encoder_def cts_encoder_dcformer = {
    .name = "dcformer",
    .about = "DCFormer: decomposed 3-D convolutions (Ates et al. 2025)",
    .kind = CTS_KIND_IMAGE,
    .presets = presets,
    .n_presets = (int)CTS_COUNT(presets),
    .parse = parse,
    .write = write,
    .info = info,
    .build = build,
};
