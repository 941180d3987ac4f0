/* Building blocks of the encoders: named parameters and the layers that several models share.
 * Parameter names are relative to the prefix of cts_build. All functions append nodes and cannot fail (see
 * cts_graph_status()). Initial values are PyTorch's defaults unless said otherwise: weights and biases of linear and
 * convolution layers uniform in +-1/sqrt(fan_in) (He et al. 2015 with a = sqrt 5), norms 1 and 0.
 * Weight decay applies to tensors of two or more axes only.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_BLOCKS_H
#define CTS_ENCODERS_BLOCKS_H

#include "encoders/encoder.h"
#include "kernels/base/status.h"
#include "kernels/ops.h"

/* Append to the prefix ("encoder.layer.%d."); returns the length before, for cts_build_pop(). */
size_t cts_build_push(cts_build *b, const char *fmt, ...) CTS_PRINTF(2, 3);
void cts_build_pop(cts_build *b, size_t mark);
/* With b->trace, make t the graph output `name` (not prefixed), unless b->trace_only is another name. */
void cts_build_trace(cts_build *b, cts_tensor *t, const char *fmt, ...) CTS_PRINTF(3, 4);
/* With b->grad and b->recompute, have backward make t again. Returns t. */
cts_tensor *cts_build_recompute(cts_build *b, cts_tensor *t);

/* Declare (when new) and fetch a parameter or a state. */
cts_tensor *cts_build_param(cts_build *b, const char *name, cts_init init, int ndim, const int64_t *shape);
cts_tensor *cts_build_state(cts_build *b, const char *name, cts_init init, int ndim, const int64_t *shape);
cts_tensor *cts_build_vector(cts_build *b, const char *name, cts_init init, int64_t n); /* parameter [n] */
/* uniform +-1/sqrt(fan_in) */
cts_init cts_init_fan_in(int64_t fan_in);

/* <name>.weight [out, C], <name>.bias [out] or none: x [.., C] -> [.., out]. init: both entries; NULL = the default. */
cts_tensor *cts_block_linear(cts_build *b, cts_tensor *x, const char *name, int64_t out, bool bias,
                             const cts_init *init);
/* y = x W^T + bias, activation, times scale [out], plus residual: one fused node at inference, plain nodes in a graph
 * with grad. scale, residual NULL allowed. The output before scale and residual is recomputed where recompute is on. */
cts_tensor *cts_block_linear_act(cts_build *b, cts_tensor *x, const char *name, int64_t out, cts_act_kind act,
                                 cts_tensor *scale, cts_tensor *residual, const cts_init *init);
/* <name>.weight, <name>.bias over the last axis. */
cts_tensor *cts_block_layer_norm(cts_build *b, cts_tensor *x, const char *name, double eps);
/* <name>.weight, .bias, .running_mean, .running_var over the last axis; eps 1e-5, momentum 0.1. */
cts_tensor *cts_block_batch_norm(cts_build *b, cts_tensor *x, const char *name);

/* Decomposed convolution (DCFormer): three 1-D convolutions of length k along the axes, each with a bias and a batch
 * norm, summed. x [N, z, x, y, Cin] -> [N, ceil(z / stride), ceil(x / stride), ceil(y / stride), cout].
 * Padding is k / 2 along the long axis only; the stride acts on all axes of a branch. Published order: c1 along x,
 * c2 along y, c3 along z. Names: c{1,2,3}.0.weight, c{1,2,3}.0.bias, norm.{0,1,2}.*
 * depthwise: one filter a channel, cout = Cin, stride 1. k is odd. */
cts_tensor *cts_block_decomp_conv(cts_build *b, cts_tensor *x, int64_t cout, int k, int stride, bool depthwise);

#endif
