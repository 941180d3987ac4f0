/* Fill one table from the templates: CTS_ISA_TABLE(cts_isa_avx2, "avx2"). SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_ISA_TABLE_TEMPLATE_H
#define CTS_KERNELS_ISA_TABLE_TEMPLATE_H

#include "kernels/cpu/attention_template.h"
#include "kernels/cpu/dwconv_template.h"
#include "kernels/cpu/elementwise_template.h"
#include "kernels/cpu/gemm_template.h"
#include "kernels/cpu/norm_template.h"
#include "kernels/cpu/pool_template.h"

#define CTS_ISA_TABLE(symbol, text)                                                                                    \
    const cts_isa symbol = {.name = text,                                                                              \
                            .mr = MR,                                                                                  \
                            .nr = NR,                                                                                  \
                            .gemm_nn = gemm_nn,                                                                        \
                            .gemm_tn = gemm_tn,                                                                        \
                            .epilogue = epilogue,                                                                      \
                            .copy_rows = copy_rows,                                                                    \
                            .act = act,                                                                                \
                            .act_grad = act_grad,                                                                      \
                            .add = add,                                                                                \
                            .geglu = geglu,                                                                            \
                            .geglu_grad = geglu_grad,                                                                  \
                            .scale = scale,                                                                            \
                            .dropout = dropout,                                                                        \
                            .to_f16 = to_f16,                                                                          \
                            .from_f16 = from_f16,                                                                      \
                            .to_bf16 = to_bf16,                                                                        \
                            .from_bf16 = from_bf16,                                                                    \
                            .normalize = normalize,                                                                    \
                            .affine = affine,                                                                          \
                            .sums = sums,                                                                              \
                            .dots = dots,                                                                              \
                            .moments = moments,                                                                        \
                            .bn_grad_sums = bn_grad_sums,                                                              \
                            .bn_grad_apply = bn_grad_apply,                                                            \
                            .layer_norm = layer_norm,                                                                  \
                            .layer_norm_grad = layer_norm_grad,                                                        \
                            .dot = dot,                                                                                \
                            .dw_run = dw_run,                                                                          \
                            .dw_taps = dw_taps,                                                                        \
                            .dw_dot = dw_dot,                                                                          \
                            .pool_max = pool_max,                                                                      \
                            .pool_max_grad = pool_max_grad,                                                            \
                            .max = max_of,                                                                             \
                            .exp_sum = exp_sum,                                                                        \
                            .softmax_grad = softmax_grad}

#endif
