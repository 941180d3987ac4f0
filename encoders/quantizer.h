/* The vector quantiser of DCFormer and CT-ViT: every token is replaced by the nearest row of a code book.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_QUANTIZER_H
#define CTS_ENCODERS_QUANTIZER_H

#include "encoders/encoder.h"

/* x [.., C] -> [.., C]; the rules are in kernels/ops.h (cts_op_vq) and kernels/ops/vq.c.
 * States, under the prefix of b: vq._codebook.embed [1, codes, C], vq._codebook.cluster_size [1, codes] and
 * vq._codebook.initted [1] (1 in all files; carried along, never read). A code book is state: it has no gradient and no
 * weight decay and counts as no parameter.
 * With b->batch_stats (training) gradients pass straight through and the code book moves with decay 0.8 when the run
 * updates states; otherwise rows are returned as they are and no gradient reaches x, unless b->straight_through asks
 * for it. The commitment loss, the mean square of output - x, is not here: published models compute it and throw it
 * away.
 * A new code book: rows uniform in a cube, then scaled to length 1; sizes 0.
 * With b->trace the codes are the graph output "vq_indices", I32 [..]. */
cts_tensor *cts_block_quantize(cts_build *b, cts_tensor *x, int64_t codes);

#endif
