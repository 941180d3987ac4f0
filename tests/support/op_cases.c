/* SPDX-License-Identifier: MIT */
#include "tests/support/op_cases.h"

#include <math.h>
#include <string.h>

#include "kernels/base/check.h"

#define WEIGHT cts_uniform(0.0, 0.5)
#define UNIT cts_uniform(0.0, 1.0)

static cts_tensor *vec(cts_case_graph *c, int64_t n, double shift, double scale)
{
    return cts_case_param(c, 1, &n, cts_uniform(shift, scale));
}

/* An input of up to five dimensions: leading zeros of the five arguments are left out. `part`: extent of dimension 0 in
 * the run, 0 = the planned one. */
static cts_tensor *in5(cts_case_graph *c, const int64_t *arg, int64_t part, cts_sym sym, cts_fill fill)
{
    int skip = 0;

    while (skip < 4 && !arg[skip])
        skip++;
    if (part)
        c->extent[sym] = part;
    return cts_case_x(c, 5 - skip, arg + skip, part ? sym : CTS_SYM_NONE, fill);
}

/* ---- shape ---- */

/* arg: five extents */
static void build_reshape(cts_case_graph *c, const int64_t *arg)
{
    cts_tensor *x = in5(c, arg, 0, CTS_SYM_NONE, UNIT);
    int64_t flat[2] = {cts_tensor_rows(x), cts_tensor_channels(x)}, one = cts_tensor_count(x);
    cts_tensor *y = cts_op_channel_scale(c->g, cts_op_reshape(c->g, x, 2, flat), vec(c, flat[1], 1.0, 0.5));

    cts_case_out(c, cts_op_scale(c->g, cts_op_reshape(c->g, y, 1, &one), 2.0f));
}

/* arg: N D0 D1 D2 C, part, first, n */
static void build_slice(cts_case_graph *c, const int64_t *arg)
{
    cts_tensor *x = in5(c, arg, arg[5], CTS_SYM_BATCH, UNIT);

    cts_case_out(c, cts_op_slice(c->g, x, arg[6], arg[7]));
}

/* arg: five extents, part, then the permutation of the present dimensions */
static void build_permute(cts_case_graph *c, const int64_t *arg)
{
    cts_tensor *x = in5(c, arg, arg[5], CTS_SYM_BATCH, UNIT);
    int perm[CTS_MAX_DIMS] = {0};

    for (int d = 0; d < x->ndim; d++)
        perm[d] = (int)arg[6 + d];
    cts_case_out(c, cts_op_permute(c->g, x, perm));
}

/* arg: five extents, part, type */
static void build_cast(cts_case_graph *c, const int64_t *arg)
{
    cts_tensor *x = in5(c, arg, arg[5], CTS_SYM_BATCH, cts_uniform(0.0, 4.0));

    cts_case_out(c,
                 cts_op_cast(c->g, cts_op_cast(c->g, cts_op_scale(c->g, x, 1.0f / 3.0f), (cts_dtype)arg[6]), CTS_F32));
}

/* ---- dense arithmetic ---- */

/* arg: N D0 D1 D2 Cin, Cout, k0 k1 k2, stride, part (batch; -1 = no bias), pad: padding along the taps is k / 2 for 0,
 * none for 1 */
static void build_conv(cts_case_graph *c, const int64_t *arg)
{
    const int64_t *k = arg + 6, w_shape[5] = {arg[5], arg[4], k[0], k[1], k[2]};
    int64_t n_taps = k[0] * k[1] * k[2], out[3], pad[3], part = arg[10] > 0 ? arg[10] : 0;
    int32_t stride[3] = {(int32_t)arg[9], (int32_t)arg[9], (int32_t)arg[9]};
    cts_tap *tap = cts_graph_alloc(c->g, (size_t)n_taps * sizeof(*tap));
    cts_tensor *x = in5(c, arg, part, CTS_SYM_BATCH, UNIT), *w = cts_case_param(c, 5, w_shape, WEIGHT);

    for (int d = 0; d < 3; d++) {
        pad[d] = arg[11] ? 0 : k[d] / 2;
        out[d] = (arg[1 + d] + 2 * pad[d] - k[d]) / arg[9] + 1;
    }
    for (int64_t t = 0; t < n_taps; t++)
        tap[t] = (cts_tap){
            {(int32_t)(t / (k[1] * k[2]) - pad[0]), (int32_t)(t / k[2] % k[1] - pad[1]), (int32_t)(t % k[2] - pad[2])}};
    cts_case_out(
        c, cts_op_tap_gemm(c->g, x, w, arg[10] < 0 ? NULL : vec(c, arg[5], 0.0, 0.5), (int)n_taps, tap, stride, out));
}

/* arg: five extents, Cout, part (tokens), bias */
static void build_linear(cts_case_graph *c, const int64_t *arg)
{
    const int64_t w_shape[2] = {arg[5], arg[4]};
    cts_tensor *x = in5(c, arg, arg[6], CTS_SYM_TOKENS, UNIT), *w = cts_case_param(c, 2, w_shape, WEIGHT);

    cts_case_out(c, cts_op_linear(c->g, x, w, arg[7] ? vec(c, arg[5], 0.0, 0.5) : NULL));
}

/* arg: five extents, Cout, part, activation, bias, scale, residual */
static void build_fused(cts_case_graph *c, const int64_t *arg)
{
    const int64_t w_shape[2] = {arg[5], arg[4]}, r_shape[5] = {arg[0], arg[1], arg[2], arg[3], arg[5]};
    cts_tensor *x = in5(c, arg, arg[6], CTS_SYM_TOKENS, UNIT), *w = cts_case_param(c, 2, w_shape, WEIGHT);
    cts_tensor *bias = arg[8] ? vec(c, arg[5], 0.0, 0.5) : NULL, *scale = arg[9] ? vec(c, arg[5], 0.5, 0.5) : NULL;
    cts_tensor *residual = arg[10] ? in5(c, r_shape, arg[6], CTS_SYM_TOKENS, UNIT) : NULL;

    cts_case_out(c, cts_op_linear_fused(c->g, x, w, bias, (cts_act_kind)arg[7], scale, residual));
}

/* arg: N D0 D1 D2 C, part, axis, k, bias */
static void build_dwconv(cts_case_graph *c, const int64_t *arg)
{
    int64_t w_shape[5] = {arg[4], 1, 1, 1, 1};
    cts_tensor *x = in5(c, arg, arg[5], CTS_SYM_BATCH, UNIT), *w;

    w_shape[2 + arg[6]] = arg[7];
    w = cts_case_param(c, 5, w_shape, WEIGHT);
    cts_case_out(c, cts_op_dwconv(c->g, x, w, arg[8] ? vec(c, arg[4], 0.0, 0.5) : NULL, (int)arg[6]));
}

/* arg: N D0 D1 D2 C, k0 k1 k2, padding in front of each axis, bias (2 = and only two voxels of the batch) */
static void build_dwconv3d(cts_case_graph *c, const int64_t *arg)
{
    const int64_t w_shape[5] = {arg[4], 1, arg[5], arg[6], arg[7]};
    const int before[3] = {(int)arg[8], (int)arg[9], (int)arg[10]};
    cts_tensor *x = in5(c, arg, arg[11] == 2 ? 2 : 0, CTS_SYM_BATCH, UNIT), *w = cts_case_param(c, 5, w_shape, WEIGHT);

    cts_case_out(c, cts_op_dwconv3d(c->g, x, w, arg[11] ? vec(c, arg[4], 0.0, 0.5) : NULL, before));
}

/* ---- normalisation ---- */

/* arg: five extents, part, evaluation form */
static void build_batch_norm(cts_case_graph *c, const int64_t *arg)
{
    cts_tensor *x = in5(c, arg, arg[5], CTS_SYM_BATCH, cts_uniform(0.5, 2.0));
    cts_tensor *w = vec(c, arg[4], 1.0, 0.5), *b = vec(c, arg[4], 0.0, 0.5);
    cts_tensor *rm = cts_case_state(c, 1, &arg[4], UNIT), *rv = cts_case_state(c, 1, &arg[4], cts_uniform(1.5, 1.0));

    cts_case_out(c, arg[6] ? cts_op_batch_norm_eval(c->g, x, w, b, rm, rv, 1e-5f)
                           : cts_op_batch_norm(c->g, x, w, b, rm, rv, 1e-5f, 0.1f));
}

/* arg: five extents, part (tokens) */
static void build_layer_norm(cts_case_graph *c, const int64_t *arg)
{
    cts_tensor *x = in5(c, arg, arg[5], CTS_SYM_TOKENS, cts_uniform(0.5, 2.0));
    cts_tensor *w = vec(c, arg[4], 1.0, 0.5), *b = vec(c, arg[4], 0.0, 0.5);

    cts_case_out(c, cts_op_layer_norm(c->g, x, w, b, 1e-5f));
}

/* arg: five extents, part (batch), all zero */
static void build_l2_norm(cts_case_graph *c, const int64_t *arg)
{
    cts_tensor *x = in5(c, arg, arg[5], CTS_SYM_BATCH, cts_uniform(0.0, arg[6] ? 0.0 : 2.0));

    cts_case_out(c, cts_op_l2_norm(c->g, x, 1e-12f));
}

/* ---- element-wise ---- */

/* arg: five extents, part, kind, range */
static void build_act(cts_case_graph *c, const int64_t *arg)
{
    cts_fill fill = {CTS_FILL_AWAY, 0.0, arg[7] ? (double)arg[7] : 3.0};

    cts_case_out(c, cts_op_act(c->g, in5(c, arg, arg[5], CTS_SYM_TOKENS, fill), (cts_act_kind)arg[6]));
}

/* arg: five extents, part, range */
static void build_geglu(cts_case_graph *c, const int64_t *arg)
{
    cts_case_out(
        c, cts_op_geglu(c->g, in5(c, arg, arg[5], CTS_SYM_BATCH, cts_uniform(0.0, arg[6] ? (double)arg[6] : 2.0))));
}

/* arg: h, w, heads */
static void build_rel_bias(cts_case_graph *c, const int64_t *arg)
{
    const int64_t shape[2] = {arg[2], 2};
    cts_tensor *x = cts_op_linear(c->g, cts_op_rel_pos(c->g, arg[0], arg[1]), cts_case_param(c, 2, shape, WEIGHT),
                                  vec(c, arg[2], 0.0, 0.5));

    cts_case_out(c, cts_op_rel_bias(c->g, x, arg[0], arg[1]));
}

/* arg: five extents, part */
static void build_add(cts_case_graph *c, const int64_t *arg)
{
    cts_tensor *a = in5(c, arg, arg[5], CTS_SYM_TOKENS, UNIT), *b = in5(c, arg, arg[5], CTS_SYM_TOKENS, UNIT);

    cts_case_out(c, cts_op_add(c->g, cts_op_add(c->g, a, b), a));
}

static void build_scale(cts_case_graph *c, const int64_t *arg)
{
    cts_case_out(c, cts_op_scale(c->g, in5(c, arg, arg[5], CTS_SYM_TOKENS, UNIT), -1.75f));
}

static void build_channel_scale(cts_case_graph *c, const int64_t *arg)
{
    cts_tensor *x = in5(c, arg, arg[5], CTS_SYM_TOKENS, UNIT);

    cts_case_out(c, cts_op_channel_scale(c->g, x, vec(c, arg[4], 0.0, 1.0)));
}

/* arg: five extents, part, percent dropped */
static void build_dropout(cts_case_graph *c, const int64_t *arg)
{
    cts_tensor *x = in5(c, arg, arg[5], CTS_SYM_TOKENS, UNIT), *y = cts_op_dropout(c->g, x, (float)arg[6] / 100.0f);

    cts_case_out(c, cts_op_dropout(c->g, y, (float)arg[6] / 100.0f)); /* twice: two streams */
}

/* ---- pooling, rows ---- */

/* arg: N D0 D1 D2 C, part, k, s, p, ties, planes only */
static void build_max_pool(cts_case_graph *c, const int64_t *arg)
{
    cts_fill fill = {arg[9] ? CTS_FILL_TIES : CTS_FILL_DISTINCT, 0.0, arg[9] ? 1.0 : 0.125};

    cts_tensor *x = in5(c, arg, arg[5], CTS_SYM_BATCH, fill);
    cts_tensor *(*pool)(cts_graph *, cts_tensor *, int, int, int) = arg[10] ? cts_op_max_pool_plane : cts_op_max_pool;

    cts_case_out(c, pool(c->g, x, (int)arg[6], (int)arg[7], (int)arg[8]));
}

/* arg: five extents, part, first, last */
static void build_mean(cts_case_graph *c, const int64_t *arg)
{
    cts_case_out(c, cts_op_mean(c->g, in5(c, arg, arg[5], CTS_SYM_BATCH, UNIT), (int)arg[6], (int)arg[7]));
}

/* arg: V, C, n, part */
static void build_embedding(cts_case_graph *c, const int64_t *arg)
{
    cts_tensor *table = cts_case_param(c, 2, arg, UNIT), *ids;

    c->extent[CTS_SYM_TOKENS] = arg[3];
    ids = cts_case_ids(c, arg[2], arg[3] ? CTS_SYM_TOKENS : CTS_SYM_NONE, (int32_t)arg[0], NULL);
    cts_case_out(c, cts_op_embedding(c->g, table, ids));
}

/* arg: n, C, m, part of m, part of n (indices stay below it) */
static void build_gather(cts_case_graph *c, const int64_t *arg)
{
    cts_tensor *x, *idx;

    c->extent[CTS_SYM_TOKENS] = arg[4];
    c->extent[CTS_SYM_BATCH] = arg[3];
    x = cts_case_x(c, 2, arg, arg[4] ? CTS_SYM_TOKENS : CTS_SYM_NONE, UNIT);
    idx = cts_case_ids(c, arg[2], arg[3] ? CTS_SYM_BATCH : CTS_SYM_NONE, (int32_t)(arg[4] ? arg[4] : arg[0]), NULL);
    cts_case_out(c, cts_op_gather_rows(c->g, x, idx));
}

/* ---- attention ---- */

/* The offsets of the packed cases. Layouts: 0 = one sequence; 1 = uneven ones, one of a single row, an empty one at the
 * end; 2 = the same, rows left over. *n = sequences. */
static cts_tensor *packed_offsets(cts_case_graph *c, int64_t rows, int64_t layout, int64_t *n)
{
    int32_t one[2] = {0, (int32_t)rows},
            many[5] = {0, (int32_t)(rows / 2), (int32_t)(rows / 2 + 1), (int32_t)rows, (int32_t)rows};

    if (layout == 2)
        many[3] = many[4] = (int32_t)(rows - 2);
    *n = layout ? 4 : 1;
    return layout ? cts_case_ids(c, 5, CTS_SYM_NONE, 0, many) : cts_case_ids(c, 2, CTS_SYM_NONE, 0, one);
}

/* arg: planned rows, C, sequence layout, part */
static void build_segment_mean(cts_case_graph *c, const int64_t *arg)
{
    int64_t n;
    cts_tensor *x, *offsets;

    c->extent[CTS_SYM_TOKENS] = arg[3];
    x = cts_case_x(c, 2, arg, arg[3] ? CTS_SYM_TOKENS : CTS_SYM_NONE, UNIT);
    offsets = packed_offsets(c, arg[3] ? arg[3] : arg[0], arg[2], &n);
    cts_case_out(c, cts_op_segment_mean(c->g, x, offsets, cts_case_ids(c, n, CTS_SYM_NONE, 1, NULL)));
}

/* arg: planned rows, heads, width of a head, sequence layout, mask, back, ahead, percent dropped, part */
static void build_attention(cts_case_graph *c, const int64_t *arg)
{
    int64_t shape[2] = {arg[0], arg[1] * arg[2]}, rows = arg[8] ? arg[8] : arg[0], n;
    cts_sym sym = arg[8] ? CTS_SYM_TOKENS : CTS_SYM_NONE;
    cts_tensor *q, *k, *v, *offsets, *mask;

    c->extent[CTS_SYM_TOKENS] = arg[8];
    q = cts_case_x(c, 2, shape, sym, UNIT);
    k = cts_case_x(c, 2, shape, sym, UNIT);
    v = cts_case_x(c, 2, shape, sym, UNIT);
    offsets = packed_offsets(c, rows, arg[3], &n);
    mask = arg[4] ? cts_case_ids(c, arg[0], sym, 2, NULL) : NULL;
    cts_case_out(c, cts_op_attention(c->g, q, k, v, offsets, mask, (int)arg[1], (float)(1.0 / sqrt((double)arg[2])),
                                     (int)arg[5], (int)arg[6], (float)arg[7] / 100.0f));
}

/* arg: five extents, codes, part, straight through, ties (values of -1, 0, 1: rows occur twice, some are zero) */
static void build_vq(cts_case_graph *c, const int64_t *arg)
{
    cts_fill fill = arg[8] ? (cts_fill){CTS_FILL_TIES, 0.0, 1.0} : UNIT;
    int64_t book[3] = {1, arg[5], arg[4]}, size[2] = {1, arg[5]};
    cts_tensor *x = in5(c, arg, arg[6], CTS_SYM_BATCH, fill), *embed = cts_case_state(c, 3, book, fill), *codes;

    cts_case_out(c, cts_op_vq(c->g, x, embed, arg[7], &codes));
    if (arg[7])
        cts_op_vq_update(c->g, x, codes, embed, cts_case_state(c, 2, size, UNIT), 0.8);
}

/* arg: samples, sequences a sample, tokens a sequence, heads, width of a head, bias, back, ahead, percent dropped,
 * part (samples) */
static void build_uniform(cts_case_graph *c, const int64_t *arg)
{
    const int64_t shape[4] = {arg[0], arg[1], arg[2], arg[3] * arg[4]}, square[3] = {arg[3], arg[2], arg[2]};
    cts_sym sym = arg[9] ? CTS_SYM_BATCH : CTS_SYM_NONE;
    cts_tensor *q, *k, *v, *bias;

    c->extent[CTS_SYM_BATCH] = arg[9];
    q = cts_case_x(c, 4, shape, sym, UNIT);
    k = cts_case_x(c, 4, shape, sym, UNIT);
    v = cts_case_x(c, 4, shape, sym, UNIT);
    bias = arg[5] ? cts_case_param(c, 3, square, UNIT) : NULL;
    cts_case_out(c,
                 cts_op_attention_uniform(c->g, q, k, v, bias, arg[2], (int)arg[3], (float)(1.0 / sqrt((double)arg[4])),
                                          (int)arg[6], (int)arg[7], (float)arg[8] / 100.0f));
}

/* ---- losses ---- */

/* Unit rows, as both contrastive losses get them. */
static cts_tensor *unit_rows(cts_case_graph *c, const int64_t *shape, int64_t part)
{
    c->extent[CTS_SYM_BATCH] = part;
    return cts_op_l2_norm(c->g, cts_case_x(c, 2, shape, part ? CTS_SYM_BATCH : CTS_SYM_NONE, UNIT), 1e-12f);
}

/* arg: n, d, part, published (eps 1e-20, constant scale e), log scale in hundredths */
static void build_infonce(cts_case_graph *c, const int64_t *arg)
{
    cts_tensor *a = unit_rows(c, arg, arg[2]), *b = unit_rows(c, arg, arg[2]), *scale;
    cts_fill fill = cts_uniform((double)arg[4] / 100.0, 0.0);
    int64_t one = 1;

    scale = arg[3] ? cts_case_state(c, 1, &one, fill) : cts_case_param(c, 1, &one, fill);
    cts_case_out(c, cts_op_infonce(c->g, a, b, scale, arg[3] ? 1e-20f : 0.0f));
}

/* arg: n, d, part, log scale in hundredths, bias in hundredths */
static void build_siglip(cts_case_graph *c, const int64_t *arg)
{
    cts_tensor *a = unit_rows(c, arg, arg[2]), *b = unit_rows(c, arg, arg[2]);
    cts_tensor *scale = vec(c, 1, (double)arg[3] / 100.0, 0.0), *bias = vec(c, 1, (double)arg[4] / 100.0, 0.0);

    cts_case_out(c, cts_op_siglip(c->g, a, b, scale, bias));
}

/* arg: n, c, part, weighted, range of the logits */
static void build_bce(cts_case_graph *c, const int64_t *arg)
{
    cts_sym sym = arg[2] ? CTS_SYM_BATCH : CTS_SYM_NONE;
    cts_tensor *x, *y, *w;

    c->extent[CTS_SYM_BATCH] = arg[2];
    x = cts_case_x(c, 2, arg, sym, cts_uniform(0.0, (double)arg[4]));
    y = cts_case_const(c, 2, arg, sym, cts_uniform(0.5, 0.5));
    w = arg[3] ? cts_case_const(c, 1, &arg[1], CTS_SYM_NONE, cts_uniform(8.0, 7.0)) : NULL;
    cts_case_out(c, cts_op_sigmoid_bce(c->g, x, y, w));
}

/* ---- the table ---- */

#define NEAR 3e-6      /* fp32 sums in another order; sharper or looser where a row says so */
#define D true, true   /* differentiable, and differences make sense */
#define K true, false  /* differentiable, but with a kink or a constant at these numbers */
#define F false, false /* forward only */

const cts_op_case cts_op_cases[] = {
    {"reshape/5d", build_reshape, {2, 3, 1, 4, 5}, D, 1e-6},
    {"reshape/ones", build_reshape, {0, 0, 0, 1, 1}, D, 1e-6},
    {"slice/first", build_slice, {2, 3, 1, 5, 6, 0, 0, 2}, D, 0.0},
    {"slice/middle", build_slice, {3, 1, 7, 2, 35, 2, 17, 17}, D, 0.0},
    {"slice/one", build_slice, {1, 1, 1, 1, 3, 0, 2, 1}, D, 0.0},
    {"permute/transpose", build_permute, {0, 0, 0, 37, 19, 0, 1, 0}, D, 0.0},
    {"permute/heads", build_permute, {0, 2, 5, 3, 4, 0, 0, 2, 1, 3}, D, 0.0},
    {"permute/channels_last", build_permute, {2, 3, 4, 1, 5, 0, 0, 2, 3, 4, 1}, D, 0.0},
    {"permute/part", build_permute, {5, 3, 1, 2, 7, 3, 0, 4, 1, 2, 3}, D, 0.0},
    {"cast/bf16", build_cast, {0, 0, 3, 5, 7, 0, CTS_BF16}, K, 0.0},
    {"cast/f16_part", build_cast, {0, 0, 4, 3, 11, 2, CTS_F16}, K, 0.0},

    {"tap_gemm/3x3x3", build_conv, {2, 3, 5, 4, 3, 5, 3, 3, 3, 1}, D, NEAR},
    {"tap_gemm/stem_13_stride_4", build_conv, {1, 9, 6, 7, 1, 6, 13, 1, 1, 4}, D, NEAR},
    {"tap_gemm/1x7x1", build_conv, {2, 2, 9, 3, 5, 4, 1, 7, 1, 1}, D, NEAR},
    {"tap_gemm/1x1x9_stride_2", build_conv, {2, 3, 5, 7, 4, 3, 1, 1, 9, 2}, D, NEAR},
    {"tap_gemm/patch_2_no_bias", build_conv, {2, 4, 6, 2, 5, 7, 2, 2, 2, 2, -1, 1}, D, NEAR},
    {"tap_gemm/stride_skips_input", build_conv, {1, 7, 5, 6, 2, 3, 1, 1, 1, 3}, D, NEAR},
    {"tap_gemm/pointwise", build_conv, {2, 3, 1, 5, 7, 17, 1, 1, 1, 1}, D, NEAR},
    {"tap_gemm/one_voxel", build_conv, {1, 1, 1, 1, 1, 1, 3, 3, 3, 1}, D, NEAR},
    {"tap_gemm/part", build_conv, {4, 3, 4, 3, 3, 4, 3, 1, 3, 1, 3}, D, NEAR},
    {"tap_gemm/tiles", build_conv, {1, 6, 7, 9, 35, 70, 3, 3, 1, 1}, D, NEAR},
    {"tap_gemm/deep", build_conv, {1, 3, 3, 3, 300, 33, 3, 1, 1, 1}, D, NEAR},
    {"linear/1x1", build_linear, {0, 0, 0, 1, 1, 1, 0, 1}, D, NEAR},
    {"linear/odd", build_linear, {0, 0, 0, 7, 13, 17, 0, 1}, D, NEAR},
    {"linear/tiles_no_bias", build_linear, {0, 0, 0, 67, 129, 131, 0, 0}, D, NEAR},
    {"linear/one_row_wide", build_linear, {0, 0, 0, 1, 515, 259, 0, 1}, D, NEAR},
    {"linear/one_output", build_linear, {0, 0, 0, 41, 33, 1, 0, 1}, D, NEAR},
    {"linear/tall", build_linear, {0, 0, 0, 1501, 9, 5, 0, 1}, D, NEAR},
    {"linear/3d", build_linear, {0, 0, 2, 5, 16, 8, 0, 1}, D, NEAR},
    {"linear/part", build_linear, {0, 0, 0, 29, 24, 20, 11, 1}, D, NEAR},
    {"linear/few_rows_deep", build_linear, {0, 0, 0, 1, 66001, 67, 0, 0}, F, NEAR},
    {"linear/few_rows_deep_part", build_linear, {0, 0, 0, 4, 42003, 101, 3, 1}, F, NEAR},
    {"linear_fused/few_rows_deep", build_fused, {0, 0, 0, 2, 54321, 79, 0, CTS_ACT_GELU, 1, 1, 1}, F, NEAR},
    {"linear_fused/gelu_all", build_fused, {0, 0, 0, 19, 23, 21, 0, CTS_ACT_GELU, 1, 1, 1}, F, NEAR},
    {"linear_fused/relu", build_fused, {0, 0, 0, 5, 64, 48, 0, CTS_ACT_RELU, 1, 0, 0}, F, NEAR},
    {"linear_fused/tanh_part", build_fused, {0, 0, 0, 9, 31, 33, 4, CTS_ACT_TANH, 1, 0, 1}, F, NEAR},
    {"linear_fused/scale_only", build_fused, {2, 3, 1, 4, 7, 5, 0, CTS_ACT_NONE, 0, 1, 0}, F, NEAR},
    {"dwconv/axis0_3", build_dwconv, {2, 5, 3, 2, 5, 0, 0, 3, 1}, D, NEAR},
    {"dwconv/axis1_7", build_dwconv, {1, 3, 9, 4, 33, 0, 1, 7, 1}, D, NEAR},
    {"dwconv/axis2_13_short", build_dwconv, {2, 2, 3, 5, 8, 0, 2, 13, 0}, D, NEAR},
    {"dwconv/one_channel", build_dwconv, {1, 4, 1, 6, 1, 0, 2, 3, 1}, D, NEAR},
    {"dwconv/one_tap", build_dwconv, {1, 3, 2, 2, 3, 0, 0, 1, 1}, D, NEAR},
    {"dwconv/large", build_dwconv, {1, 9, 10, 11, 19, 0, 0, 7, 1}, D, NEAR},
    {"dwconv/part", build_dwconv, {4, 3, 2, 5, 7, 3, 1, 3, 1}, D, NEAR},
    {"dwconv3d/peg", build_dwconv3d, {2, 4, 3, 5, 6, 3, 3, 3, 2, 1, 1, 1}, D, NEAR},
    {"dwconv3d/no_bias", build_dwconv3d, {1, 3, 4, 6, 5, 3, 3, 3, 1, 1, 1, 0}, D, NEAR},
    {"dwconv3d/kernels", build_dwconv3d, {1, 5, 4, 7, 3, 2, 1, 5, 0, 0, 4, 1}, D, NEAR},
    {"dwconv3d/larger_than_grid", build_dwconv3d, {1, 1, 2, 1, 4, 3, 5, 3, 2, 2, 1, 1}, D, NEAR},
    {"dwconv3d/part_wide", build_dwconv3d, {3, 3, 3, 4, 70, 3, 3, 3, 2, 1, 1, 2}, D, NEAR},
    {"dwconv3d/one", build_dwconv3d, {1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1}, D, NEAR},

    {"batch_norm/5d", build_batch_norm, {2, 3, 4, 5, 7}, D, NEAR},
    {"batch_norm/one_channel", build_batch_norm, {0, 0, 0, 9, 1}, D, NEAR},
    {"batch_norm/two_rows", build_batch_norm, {0, 0, 0, 2, 5}, K, 3e-4},
    {"batch_norm/wide", build_batch_norm, {0, 0, 3, 11, 67}, D, NEAR},
    {"batch_norm/many_rows", build_batch_norm, {2, 9, 10, 11, 3}, D, NEAR},
    {"batch_norm/part", build_batch_norm, {4, 2, 3, 1, 5, 3}, D, NEAR},
    {"batch_norm_eval/5d", build_batch_norm, {2, 3, 4, 5, 7, 0, 1}, D, NEAR},
    {"batch_norm_eval/one_row", build_batch_norm, {0, 0, 0, 1, 33, 0, 1}, D, NEAR},
    {"batch_norm_eval/part", build_batch_norm, {4, 2, 3, 1, 5, 3, 1}, D, NEAR},
    {"layer_norm/rows", build_layer_norm, {0, 0, 0, 5, 8}, D, NEAR},
    {"layer_norm/odd", build_layer_norm, {0, 0, 0, 7, 33}, D, NEAR},
    {"layer_norm/4d", build_layer_norm, {0, 2, 3, 1, 17}, D, NEAR},
    {"layer_norm/bert", build_layer_norm, {0, 0, 0, 3, 768}, D, NEAR},
    {"layer_norm/many_rows", build_layer_norm, {0, 0, 0, 301, 19}, D, NEAR},
    {"layer_norm/part", build_layer_norm, {0, 0, 0, 13, 12, 5}, D, NEAR},
    {"l2_norm/rows", build_l2_norm, {0, 0, 0, 5, 16}, D, NEAR},
    {"l2_norm/odd", build_l2_norm, {0, 0, 2, 3, 7}, D, NEAR},
    {"l2_norm/zero_rows", build_l2_norm, {0, 0, 0, 3, 9, 0, 1}, K, NEAR},
    {"l2_norm/part", build_l2_norm, {0, 0, 0, 6, 19, 4}, D, NEAR},

    {"act/gelu", build_act, {0, 2, 3, 5, 7, 0, CTS_ACT_GELU}, D, NEAR},
    {"act/gelu_far", build_act, {0, 0, 0, 31, 33, 0, CTS_ACT_GELU, 30}, D, NEAR},
    {"act/relu", build_act, {0, 0, 0, 9, 13, 0, CTS_ACT_RELU}, D, 0.0},
    {"act/tanh", build_act, {0, 0, 0, 1, 1037, 0, CTS_ACT_TANH}, D, NEAR},
    {"act/leaky", build_act, {0, 0, 3, 5, 37, 0, CTS_ACT_LEAKY}, D, NEAR},
    {"act/leaky_part", build_act, {0, 0, 0, 9, 33, 4, CTS_ACT_LEAKY}, D, NEAR},
    {"geglu/odd", build_geglu, {0, 0, 3, 5, 14, 0}, D, NEAR},
    {"geglu/one", build_geglu, {0, 0, 0, 1, 2, 0}, D, NEAR},
    {"geglu/wide_part", build_geglu, {5, 2, 3, 4, 170, 3}, D, NEAR},
    {"geglu/far", build_geglu, {0, 0, 0, 7, 66, 0, 9}, D, NEAR},
    {"act/tanh_far", build_act, {0, 0, 0, 3, 35, 0, CTS_ACT_TANH, 90}, D, NEAR},
    {"act/gelu_part", build_act, {0, 0, 0, 9, 5, 4, CTS_ACT_GELU}, D, NEAR},
    {"act/one", build_act, {0, 0, 0, 1, 1, 0, CTS_ACT_GELU}, D, NEAR},
    {"add/odd", build_add, {0, 2, 3, 5, 7}, D, 1e-6},
    {"add/part", build_add, {0, 0, 0, 9, 5, 4}, D, 1e-6},
    {"scale/odd", build_scale, {0, 0, 0, 13, 5}, D, 1e-6},
    {"scale/part", build_scale, {0, 0, 0, 13, 5, 3}, D, 1e-6},
    {"channel_scale/one_channel", build_channel_scale, {0, 0, 0, 23, 1}, D, NEAR},
    {"channel_scale/5d", build_channel_scale, {2, 1, 3, 4, 33}, D, NEAR},
    {"channel_scale/many_rows", build_channel_scale, {0, 0, 0, 2003, 3}, D, NEAR},
    {"channel_scale/part", build_channel_scale, {0, 0, 0, 21, 5, 17}, D, NEAR},
    {"dropout/half", build_dropout, {0, 0, 3, 11, 17, 0, 50}, D, 1e-6},
    {"dropout/tenth_part", build_dropout, {0, 0, 0, 31, 17, 9, 10}, D, 1e-6},

    {"max_pool/3_2_1", build_max_pool, {2, 5, 6, 7, 3, 0, 3, 2, 1}, D, 0.0},
    {"max_pool/2_2_0", build_max_pool, {1, 4, 5, 6, 17, 0, 2, 2, 0}, D, 0.0},
    {"max_pool/thin", build_max_pool, {1, 1, 3, 1, 2, 0, 3, 2, 1}, D, 0.0},
    {"max_pool/wide", build_max_pool, {1, 5, 6, 7, 35, 0, 3, 2, 1}, D, 0.0},
    {"max_pool/6_3_2", build_max_pool, {1, 7, 6, 8, 2, 0, 6, 3, 2}, D, 0.0},
    {"max_pool/3_1_1_overlap", build_max_pool, {1, 4, 3, 5, 5, 0, 3, 1, 1}, D, 1e-6},
    {"max_pool/ties", build_max_pool, {2, 5, 4, 6, 9, 0, 3, 2, 1, 1}, K, 1e-6},
    {"max_pool/plane", build_max_pool, {2, 3, 7, 6, 5, 0, 3, 2, 1, 0, 1}, D, 0.0},
    {"max_pool/part", build_max_pool, {4, 3, 4, 5, 3, 2, 3, 2, 1}, D, 0.0},
    {"mean/space", build_mean, {2, 3, 4, 5, 7, 0, 1, 3}, D, NEAR},
    {"mean/middle", build_mean, {2, 3, 4, 5, 6, 0, 2, 2}, D, NEAR},
    {"mean/last", build_mean, {0, 0, 0, 3, 35, 0, 1, 1}, D, NEAR},
    {"mean/one", build_mean, {0, 0, 3, 1, 5, 0, 1, 1}, D, NEAR},
    {"mean/many", build_mean, {2, 9, 10, 23, 3, 0, 1, 3}, D, NEAR},
    {"mean/part", build_mean, {5, 3, 2, 4, 6, 3, 1, 3}, D, NEAR},

    {"embedding/repeats", build_embedding, {11, 5, 37}, D, 1e-6},
    {"embedding/wide", build_embedding, {7, 259, 3}, D, 1e-6},
    {"embedding/part", build_embedding, {13, 8, 21, 9}, D, 1e-6},
    {"embedding/one", build_embedding, {1, 1, 1}, D, 1e-6},
    {"gather_rows/repeats", build_gather, {9, 5, 14}, D, 1e-6},
    {"gather_rows/few", build_gather, {23, 33, 3}, D, 1e-6},
    {"gather_rows/part", build_gather, {19, 7, 6, 4, 11}, D, 1e-6},

    {"segment_mean/packed", build_segment_mean, {14, 5, 1}, D, 1e-6},
    {"segment_mean/one", build_segment_mean, {9, 1, 0}, D, 1e-6},
    {"segment_mean/part_left_over", build_segment_mean, {20, 3, 2, 13}, D, 1e-6},
    {"attention/one_sequence", build_attention, {9, 2, 4, 0, 0, -1, -1}, D, NEAR},
    {"attention/packed", build_attention, {14, 3, 5, 1, 0, -1, -1}, D, NEAR},
    {"attention/masked", build_attention, {14, 2, 8, 1, 1, -1, -1}, D, NEAR},
    {"attention/band", build_attention, {17, 2, 3, 1, 0, 2, 1}, D, NEAR},
    {"attention/band_masked", build_attention, {17, 2, 3, 1, 1, 1, 1}, D, NEAR},
    {"attention/causal", build_attention, {11, 1, 6, 0, 0, -1, 0}, D, NEAR},
    {"attention/dropout", build_attention, {13, 2, 4, 1, 0, -1, -1, 30}, D, NEAR},
    {"attention/part_left_over", build_attention, {20, 2, 4, 2, 1, -1, -1, 0, 13}, D, NEAR},
    {"attention/part_dropout", build_attention, {20, 2, 4, 1, 0, -1, -1, 20, 13}, D, NEAR},
    {"attention/bert", build_attention, {103, 3, 64, 1, 0, -1, -1}, D, NEAR},
    {"attention/one_row", build_attention, {1, 1, 1, 0, 0, -1, -1}, D, NEAR},
    {"attention_uniform/plain", build_uniform, {2, 3, 5, 2, 4, 0, -1, -1}, D, NEAR},
    {"attention_uniform/bias", build_uniform, {2, 3, 7, 3, 5, 1, -1, -1}, D, NEAR},
    {"attention_uniform/bias_band_dropout", build_uniform, {1, 3, 9, 2, 4, 1, 3, 2, 25}, D, NEAR},
    {"attention_uniform/bias_part", build_uniform, {4, 2, 6, 2, 3, 1, -1, -1, 0, 3}, D, NEAR},
    {"attention_uniform/bias_tiles", build_uniform, {1, 2, 301, 2, 16, 1, -1, -1}, D, NEAR},
    {"attention_uniform/one_token", build_uniform, {3, 1, 1, 2, 3, 1, -1, -1}, D, NEAR},

    {"rel_bias/3x5", build_rel_bias, {3, 5, 4}, D, NEAR},
    {"rel_bias/one", build_rel_bias, {1, 1, 1}, D, NEAR},
    {"rel_bias/line", build_rel_bias, {1, 7, 2}, D, NEAR},
    {"rel_bias/wide", build_rel_bias, {9, 8, 5}, D, NEAR},

    {"vq/one", build_vq, {0, 0, 0, 1, 1, 1, 0, 1}, K, NEAR},
    {"vq/odd", build_vq, {0, 0, 0, 37, 19, 13, 0, 1}, K, NEAR},
    {"vq/many_codes", build_vq, {0, 0, 0, 131, 9, 1031, 0, 1}, K, NEAR},
    {"vq/deep", build_vq, {0, 0, 0, 23, 515, 67, 0, 1}, K, NEAR},
    {"vq/5d_part", build_vq, {4, 3, 2, 5, 16, 21, 3, 1}, K, NEAR},
    {"vq/ties", build_vq, {0, 0, 0, 97, 2, 29, 0, 1, 1}, K, NEAR},
    {"vq/lookup_only", build_vq, {0, 2, 3, 7, 12, 40, 0, 0}, F, 0.0},

    {"infonce/exact", build_infonce, {6, 16, 0, 0, 100}, D, NEAR},
    {"infonce/published", build_infonce, {6, 16, 0, 1, 100}, D, NEAR},
    {"infonce/hot", build_infonce, {7, 5, 0, 0, 460}, D, 1e-4},
    {"infonce/one_pair", build_infonce, {1, 8, 0, 0, 100}, K, 2e-5},
    {"infonce/many", build_infonce, {33, 70, 0, 0, 265}, D, NEAR},
    {"infonce/part", build_infonce, {9, 12, 5, 0, 150}, D, NEAR},
    {"siglip/few", build_siglip, {6, 16, 0, 230, -300}, D, NEAR},
    {"siglip/many", build_siglip, {33, 70, 0, 230, -1000}, D, NEAR},
    {"siglip/part", build_siglip, {9, 12, 5, 100, -100}, D, NEAR},
    {"sigmoid_bce/plain", build_bce, {6, 18, 0, 0, 3}, D, NEAR},
    {"sigmoid_bce/weighted", build_bce, {5, 7, 0, 1, 3}, D, NEAR},
    {"sigmoid_bce/far", build_bce, {4, 9, 0, 1, 95}, D, NEAR},
    {"sigmoid_bce/part", build_bce, {8, 5, 3, 1, 2}, D, NEAR},
};

const int cts_n_op_cases = (int)CTS_COUNT(cts_op_cases);

const cts_op_case *cts_op_case_find(const char *name)
{
    for (int i = 0; i < cts_n_op_cases; i++)
        if (!strcmp(cts_op_cases[i].name, name))
            return &cts_op_cases[i];
    CTS_ASSERT(false, "no op case %s", name);
    return NULL;
}
