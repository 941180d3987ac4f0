/* SPDX-License-Identifier: MIT */
#include "encoders/quantizer.h"

#include "encoders/blocks.h"

#define DECAY 0.8

cts_tensor *cts_block_quantize(cts_build *b, cts_tensor *x, int64_t codes)
{
    size_t mark = cts_build_push(b, "vq._codebook.");
    cts_tensor *embed, *size, *index, *y;

    embed =
        cts_build_state(b, "embed", (cts_init){CTS_INIT_UNIT, 1.0}, 3, (int64_t[]){1, codes, cts_tensor_channels(x)});
    size = cts_build_state(b, "cluster_size", cts_init_const(0.0), 2, (int64_t[]){1, codes});
    cts_build_state(b, "initted", cts_init_const(1.0), 1, (int64_t[]){1});
    cts_build_pop(b, mark);
    y = cts_op_vq(b->graph, x, embed, b->batch_stats || b->straight_through, &index);
    if (b->batch_stats)
        cts_op_vq_update(b->graph, x, index, embed, size, DECAY);
    cts_build_trace(b, index, "vq_indices");
    return y;
}
