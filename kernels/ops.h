/* Builders of all ops and the attributes their nodes carry. Builders check shapes (CTS_ASSERT: a builder's mistake)
 * and append one node.
 * Rows x channels below means: all dimensions but the last flattened. All floats are fp32 unless a cast was put in
 * between.
 * `sym` of dimension 0 is carried from the first input to outputs whose dimension 0 is the same.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_OPS_H
#define CTS_KERNELS_OPS_H

#include "kernels/graph.h"

/* ---- shape ------------------------------------------------------------------------------------------------------- */

/* View with another shape of equal count; x must be dense. Dimension 0 keeps its symbol only when shape[0] is
 * unchanged. */
cts_tensor *cts_op_reshape(cts_graph *g, cts_tensor *x, int ndim, const int64_t *shape);
/* Dense copy with dimension i of the result = dimension perm[i] of x. Dimension 0 must stay when x has a symbol. */
typedef struct {
    int perm[CTS_MAX_DIMS];
} cts_permute_attr;
cts_tensor *cts_op_permute(cts_graph *g, cts_tensor *x, const int *perm);
/* Columns [first, first + n) of the last axis, a dense copy. slice_grad: dy -> dx, zero outside them. */
typedef struct {
    int64_t first;
} cts_slice_attr;
cts_tensor *cts_op_slice(cts_graph *g, cts_tensor *x, int64_t first, int64_t n);
cts_tensor *cts_op_cast(cts_graph *g, cts_tensor *x, cts_dtype to); /* F32 <-> BF16, F16 */

/* ---- dense arithmetic -------------------------------------------------------------------------------------------- */

typedef enum {
    CTS_ACT_NONE,
    CTS_ACT_GELU /* erf */,
    CTS_ACT_RELU,
    CTS_ACT_TANH,
    CTS_ACT_LEAKY /* slope 0.1 */
} cts_act_kind;

typedef struct {
    int32_t d[3]; /* offset on the three spatial axes, in input voxels */
} cts_tap;

/* out[n, o, :] = epilogue( sum over taps t of in[n, o * stride + tap[t].d, :] * W[:, :, t]^T ); voxels outside the
 * input count as 0.
 * x [N, D0, D1, D2, Cin] (or [rows, Cin] / any rows x channels with one tap at 0, stride 1), w [Cout, Cin, ...] whose
 * trailing axes hold n_taps elements in tap order, out [N, O0, O1, O2, Cout] (or x's shape with Cout last for the
 * linear form).
 * epilogue: + bias [Cout], activation, * scale [Cout], + residual (shape of out). Only bias may be set in a graph that
 * is differentiated. */
typedef struct {
    int n_taps;
    const cts_tap *tap; /* in the graph's arena */
    int32_t stride[3];
    int64_t out_dim[3]; /* O0 O1 O2; linear form: 1, 1, 1 and `linear` */
    int64_t in_dim[3];  /* D0 D1 D2 */
    bool linear;
    cts_act_kind act;
    bool has_bias, has_scale, has_residual; /* inputs: x, w, bias, scale, residual */
} cts_tap_gemm_attr;
cts_tensor *cts_op_tap_gemm(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *bias, int n_taps,
                            const cts_tap *tap, const int32_t stride[3], const int64_t out_dim[3]);
/* One tap: x [.., Cin], w [Cout, Cin], bias [Cout] or NULL. */
cts_tensor *cts_op_linear(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *bias);
/* The same with the whole epilogue, for inference graphs; any of bias, scale, residual may be NULL. */
cts_tensor *cts_op_linear_fused(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *bias, cts_act_kind act,
                                cts_tensor *scale, cts_tensor *residual);
/* Backward (attr: cts_tap_gemm_attr of the forward): inputs (dy, w) -> dx with the shape of x_like; (x, dy) -> dw
 * [shape of w_like], db [Cout] or none. */
cts_tensor *cts_op_tap_dgrad(cts_graph *g, cts_tensor *dy, cts_tensor *w, const cts_tensor *x_like,
                             const cts_tap_gemm_attr *a);
void cts_op_tap_wgrad(cts_graph *g, cts_tensor *x, cts_tensor *dy, const cts_tensor *w_like, bool bias,
                      const cts_tap_gemm_attr *a, cts_tensor **dw, cts_tensor **db);

/* Depthwise convolution along one spatial axis (0, 1, 2 of [N, D0, D1, D2, C]), odd k, stride 1, zero padding k / 2.
 * w [C, 1, ..] with k elements a channel, bias [C] or NULL. flip = use the kernel reversed: the gradient to x is the
 * flipped convolution of dy. */
typedef struct {
    int axis, k;
    bool flip, has_bias;
} cts_dwconv_attr;
cts_tensor *cts_op_dwconv(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *bias, int axis);
/* inputs (x, dy) -> dw (shape of w), db [C] */

/* Depthwise convolution over all three axes of [N, D0, D1, D2, C] at once, stride 1: w [C, 1, k0, k1, k2], bias [C] or
 * NULL, before[d] zeros in front of axis d and k - 1 - before[d] behind it, so that the grid keeps its size. flip = the
 * kernel reversed, as the gradient to x needs it. At most CTS_DWCONV3D_TAPS taps.
 * dwconv3d_wgrad: (x, dy) -> dw (shape of w), db [C] */
enum { CTS_DWCONV3D_TAPS = 343 };
typedef struct {
    int k[3], before[3];
    bool flip, has_bias;
} cts_dwconv3d_attr;
cts_tensor *cts_op_dwconv3d(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *bias, const int before[3]);

/* ---- normalisation ----------------------------------------------------------------------------------------------- */

/* Batch norm over rows, channels last. Training form: statistics of this batch (biased variance); new running = (1 -
 * momentum) * old + momentum * batch, with the unbiased variance, handed to cts_graph_update_state(). inputs x, w, b,
 * rm, rv [C] -> y, mean, rstd, new rm, new rv. */
typedef struct {
    float eps, momentum;
} cts_batch_norm_attr;
cts_tensor *cts_op_batch_norm(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *b, cts_tensor *rm, cts_tensor *rv,
                              float eps, float momentum);
/* batch_norm_grad: inputs (dy, x, w, mean, rstd) -> dx, dw, db */
/* Evaluation form: y = (x - rm) / sqrt(rv + eps) * w + b. batch_norm_eval_grad: (dy, x, w, rm, rv) -> dx, dw, db */
cts_tensor *cts_op_batch_norm_eval(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *b, cts_tensor *rm,
                                   cts_tensor *rv, float eps);
typedef struct {
    float eps;
} cts_layer_norm_attr;
/* Over the last axis; outputs y, mean [rows], rstd [rows]. layer_norm_grad: (dy, x, w, mean, rstd) -> dx, dw, db */
cts_tensor *cts_op_layer_norm(cts_graph *g, cts_tensor *x, cts_tensor *w, cts_tensor *b, float eps);
/* y = x / max(|x|, eps) over the last axis; outputs y, rnorm [rows] = 1 / max(|x|, eps). l2_norm_grad: (dy, y,
 * rnorm) -> dx. attr: cts_layer_norm_attr */
cts_tensor *cts_op_l2_norm(cts_graph *g, cts_tensor *x, float eps);

/* ---- element-wise ------------------------------------------------------------------------------------------------ */

typedef struct {
    cts_act_kind kind;
} cts_act_attr;
cts_tensor *cts_op_act(cts_graph *g, cts_tensor *x, cts_act_kind kind); /* act_grad: (dy, x) -> dx */
cts_tensor *cts_op_add(cts_graph *g, cts_tensor *a, cts_tensor *b);     /* same shape */
typedef struct {
    float s;
} cts_scale_attr;
cts_tensor *cts_op_scale(cts_graph *g, cts_tensor *x, float s);
/* y[r, c] = x[r, c] * gamma[c] (layer scale). channel_dot: (dy, x) -> [C], sum over rows of dy * x: the gradient to
 * gamma. */
cts_tensor *cts_op_channel_scale(cts_graph *g, cts_tensor *x, cts_tensor *gamma);
/* y[r, c] = x[r, c] * gelu(x[r, n + c]), x [.., 2n] -> [.., n]: the value half first, gelu by erf on the gate half
 * (Shazeer 2020, "GLU Variants Improve Transformer"). geglu_grad: (dy, x) -> dx */
cts_tensor *cts_op_geglu(cts_graph *g, cts_tensor *x);
/* Inverted dropout: element i survives with probability 1 - p and is divided by it. Decision i is a pure function of
 * (run seed, step, stream, i):
 * key = cts_rng_split(cts_rng_split(seed, step), stream); survives when cts_rng_unit_at(key, i) >= p. p = 0 returns x.
 * Gradient: the same op on dy. */
typedef struct {
    float p;
    uint64_t stream;
} cts_dropout_attr;
cts_tensor *cts_op_dropout(cts_graph *g, cts_tensor *x, float p);
/* dst (GRAD tensor) += src; used by autodiff only. */
void cts_op_accumulate(cts_graph *g, cts_tensor *grad, cts_tensor *src);

/* ---- pooling, rows ----------------------------------------------------------------------------------------------- */

/* [N, D0, D1, D2, C], cubic window k, stride s, padding p with -inf; out = (n + 2p - k) / s + 1. Outputs y and the
 * winner's place in the window, U8 ((a*k + b)*k + c; first maximum in scan order). max_pool_grad: (dy, winner) -> dx. k
 * <= 6. The plane form pools D1 and D2 of every D0 alone: 2-D pooling of a stack of images. */
typedef struct {
    int k[3], s[3], p[3];
    int64_t in_dim[3];
} cts_max_pool_attr;
cts_tensor *cts_op_max_pool(cts_graph *g, cts_tensor *x, int k, int s, int p);
cts_tensor *cts_op_max_pool_plane(cts_graph *g, cts_tensor *x, int k, int s, int p);
/* Mean over dimensions [first, last] (0 < first): they vanish. mean_grad: dy -> dx of the wider shape, each dy /
 * count. */
typedef struct {
    int64_t outer, n, inner; /* x seen as [outer, n, inner]; outer is the full extent, the run-time extent scales it */
} cts_mean_attr;
cts_tensor *cts_op_mean(cts_graph *g, cts_tensor *x, int first, int last);
/* table [V, C], ids I32 [n] -> [n, C]. An id outside [0, V) is CTS_E_INPUT at run time. embedding_grad: (ids, dy) ->
 * [V, C], rows summed in order. */
cts_tensor *cts_op_embedding(cts_graph *g, cts_tensor *table, cts_tensor *ids);
/* x [n, C], idx I32 [m] -> [m, C]. scatter_rows: (dy [m, C], idx) -> [n, C], zero elsewhere, added in order. */
cts_tensor *cts_op_gather_rows(cts_graph *g, cts_tensor *x, cts_tensor *idx);

/* Mean over the rows of each packed sequence: x [n_tokens, C], offsets I32 [n_seq + 1], first I32 [n_seq] (its
 * extent and symbol are the result's) -> [n_seq, C]; an empty sequence gives 0. segment_mean_grad: (dy, offsets) -> dx.
 * */
cts_tensor *cts_op_segment_mean(cts_graph *g, cts_tensor *x, cts_tensor *offsets, cts_tensor *first);

/* ---- attention --------------------------------------------------------------------------------------------------- */

/* Packed multi-head attention: q, k, v [n_tokens, heads * dh]; offsets I32 [n_seq_max + 1], sequence s = rows
 * [offsets[s], offsets[s+1]); unused trailing entries repeat the last offset (empty sequences). key_mask I32 [n_tokens]
 * or NULL: 0 hides a key from every query.
 * Query i sees keys
 * i - back .. i + ahead (negative = unlimited): banded attention costs the band. Probabilities are dropped out with
 * probability p (stream as in cts_op_dropout, element = ((head * n_tokens_max + query row) * n_tokens_max + key row),
 * n_tokens_max = planned rows).
 * A query with no visible key gives 0 (lse 0 too).
 * Outputs: o [n_tokens, heads * dh], lse [n_tokens, heads] (log of the softmax denominator, for backward).
 * attention_grad: (do, q, k, v, o, lse, offsets, key_mask, bias) -> dq, dk, dv, dbias. */
typedef struct {
    int heads, back, ahead;
    float scale, p;
    uint64_t stream;
    int64_t seq_len; /* all sequences have this length and there are no offsets; 0 = offsets */
} cts_attention_attr;
cts_tensor *cts_op_attention(cts_graph *g, cts_tensor *q, cts_tensor *k, cts_tensor *v, cts_tensor *offsets,
                             cts_tensor *key_mask, int heads, float scale, int back, int ahead, float p);
/* The same where every sequence has seq_len tokens, so that no host input is needed: q, k, v [.., heads * dh] of any
 * rank, rows back to back (a symbol of dimension 0 must count whole sequences). bias [heads, seq_len, seq_len] or NULL
 * is added to the scaled scores of every sequence, entry [head][query][key]; its gradient is summed over the sequences
 * in order. lse [.., heads]. */
cts_tensor *cts_op_attention_uniform(cts_graph *g, cts_tensor *q, cts_tensor *k, cts_tensor *v, cts_tensor *bias,
                                     int64_t seq_len, int heads, float scale, int back, int ahead, float p);

/* Continuous position bias on a grid of h x w positions (Liu et al. 2022, "Swin Transformer V2"): a network reads the
 * offset of two positions and gives one number a head. The offset of p and q depends on their difference alone, so the
 * network runs over the (2h - 1)(2w - 1) distinct differences and rel_bias spreads its results over all pairs.
 * rel_pos: no input -> [(2h - 1)(2w - 1), 2], row (d0 + h - 1)(2w - 1) + d1 + w - 1 = sign(d) ln(|d| + 1) of d0, d1.
 * rel_bias: x [(2h - 1)(2w - 1), heads] -> [heads, h * w, h * w], entry [head][p][q] = x[row of p - q][head].
 * rel_bias_grad: dy -> dx, sums over the pairs in the order of p. */
typedef struct {
    int64_t h, w;
} cts_rel_pos_attr;
cts_tensor *cts_op_rel_pos(cts_graph *g, int64_t h, int64_t w);
cts_tensor *cts_op_rel_bias(cts_graph *g, cts_tensor *x, int64_t h, int64_t w);

/* ---- vector quantiser -------------------------------------------------------------------------------------------- */

/* Nearest row of a code book by cosine: x [.., C], embed [1, K, C] (usually a state) -> y [.., C], the rows as they are
 * stored, and *codes I32 [..], the first of equal ones; a token of zeros, or one with a NaN, takes code 0.
 * straight_through (training): y = x + (row - x) in that float order, and the gradient to y is the gradient to x.
 * Without it nothing is passed back. The code book takes no gradient in either form. */
typedef struct {
    bool straight_through;
} cts_vq_attr;
cts_tensor *cts_op_vq(cts_graph *g, cts_tensor *x, cts_tensor *embed, bool straight_through, cts_tensor **codes);
/* The code book after a training forward, from the tokens and codes of a cts_op_vq() node: the states embed and
 * cluster_size [1, K] take the values stated in kernels/ops/vq.c by cts_graph_update_state(). */
typedef struct {
    double decay;
} cts_vq_update_attr;
void cts_op_vq_update(cts_graph *g, cts_tensor *x, cts_tensor *codes, cts_tensor *embed, cts_tensor *cluster_size,
                      double decay);

/* ---- losses: outputs a loss [1]; their gradients take dloss [1] as first input ----------------------------------- */

/* Symmetric InfoNCE over the n pairs of a, b [n, d] (unit rows): s_ij = exp(log_scale) * <a_i, b_j>;
 * loss = mean over i of ((log(sum_j exp s_ij + eps) - log(exp s_ii + eps)) + the same over columns) / 2. eps 0 = the
 * exact log-sum-exp form, 1e-20 = the published DCFormer loss. log_scale [1] is a parameter (learned) or a state
 * (constant). Outputs loss, lse_row [n], lse_col [n] (log(sum + eps)).
 * infonce_grad: (dloss, a, b, log_scale, lse_row, lse_col) -> da, db, dlog_scale. attr: cts_layer_norm_attr (eps). */
cts_tensor *cts_op_infonce(cts_graph *g, cts_tensor *a, cts_tensor *b, cts_tensor *log_scale, float eps);
/* -sum over i, j of log sigmoid(z_ij * (exp(log_scale) * <a_i, b_j> + bias)) / n, z = +1 on the diagonal, -1 elsewhere.
 * siglip_grad: (dloss, a, b, log_scale, bias) -> da, db, dlog_scale, dbias */
cts_tensor *cts_op_siglip(cts_graph *g, cts_tensor *a, cts_tensor *b, cts_tensor *log_scale, cts_tensor *bias);
/* Mean over all cells of the binary cross entropy of logits [n, c] against labels [n, c] in [0, 1]; pos_weight [c]
 * or NULL multiplies the positive term.
 * sigmoid_bce_grad: (dloss, logits, labels, pos_weight) -> dlogits */
cts_tensor *cts_op_sigmoid_bce(cts_graph *g, cts_tensor *logits, cts_tensor *labels, cts_tensor *pos_weight);

#endif
