/* SPDX-License-Identifier: MIT */
#include "encoders/resnet18.h"

#include <math.h>

#include "kernels/base/check.h"

/* Square convolution of odd size k without bias over the planes of [N, T, H, W, C], zero padding k / 2. */
static cts_tensor *conv(cts_build *b, cts_tensor *x, const char *name, int64_t cout, int k, int stride)
{
    int64_t cin = cts_tensor_channels(x), out_dim[3] = {x->shape[1]};
    int32_t step[3] = {1, stride, stride};
    cts_tap *tap = cts_graph_alloc(b->graph, (size_t)(k * k) * sizeof *tap);
    size_t mark = cts_build_push(b, "%s.", name);
    /* He et al.'s normal with the fan of the output, as torchvision draws it */
    cts_init init = {CTS_INIT_NORMAL, sqrt(2.0 / (double)(cout * k * k))};
    cts_tensor *w = cts_build_param(b, "weight", init, 4, (int64_t[]){cout, cin, k, k});

    cts_build_pop(b, mark);
    for (int t = 0; t < k * k; t++) {
        tap[t].d[0] = 0;
        tap[t].d[1] = t / k - k / 2;
        tap[t].d[2] = t % k - k / 2;
    }
    for (int i = 1; i < 3; i++)
        out_dim[i] = (x->shape[1 + i] + stride - 1) / stride;
    return cts_op_tap_gemm(b->graph, x, w, NULL, k * k, tap, step, out_dim);
}

static cts_tensor *conv_norm(cts_build *b, cts_tensor *x, const char *conv_name, const char *norm_name, int64_t cout,
                             int k, int stride)
{
    return cts_build_recompute(b, cts_block_batch_norm(b, conv(b, x, conv_name, cout, k, stride), norm_name));
}

static cts_tensor *relu(cts_build *b, cts_tensor *x)
{
    return cts_op_act(b->graph, x, CTS_ACT_RELU);
}

/* relu(x' + norm(conv(relu(norm(conv(x)))))), x' = x or its strided projection */
static cts_tensor *basic_block(cts_build *b, cts_tensor *x, int64_t cout, int stride)
{
    cts_tensor *y = relu(b, conv_norm(b, x, "conv1", "bn1", cout, 3, stride));

    y = conv_norm(b, y, "conv2", "bn2", cout, 3, 1);
    if (stride != 1 || cout != cts_tensor_channels(x))
        x = conv_norm(b, x, "downsample.0", "downsample.1", cout, 1, stride);
    return relu(b, cts_build_recompute(b, cts_op_add(b->graph, y, x)));
}

cts_tensor *cts_block_resnet18(cts_build *b, cts_tensor *x, int64_t width)
{
    CTS_ASSERT(x->ndim == 5, "resnet18: %s has %d axes", x->name, x->ndim);
    x = relu(b, conv_norm(b, x, "0", "1", width, 7, 2));
    x = cts_op_max_pool_plane(b->graph, x, 3, 2, 1);
    for (int layer = 0; layer < 4; layer++) {
        for (int i = 0; i < 2; i++) {
            size_t mark = cts_build_push(b, "%d.%d.", 4 + layer, i);

            x = basic_block(b, x, width << layer, i == 0 && layer > 0 ? 2 : 1);
            cts_build_pop(b, mark);
        }
        if (layer < 3) /* the last one is the caller's to name */
            cts_build_trace(b, x, "layer%d", layer + 1);
    }
    return x;
}
