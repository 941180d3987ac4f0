/* SPDX-License-Identifier: MIT */
#include "encoders/blocks.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernels/base/check.h"

#define NAME_BYTES (CTS_PREFIX_BYTES + 128)

cts_build cts_build_make(cts_graph *g, bool train)
{
    cts_build b = {.graph = g, .grad = train, .batch_stats = train, .dropout = train};

    return b;
}

size_t cts_build_push(cts_build *b, const char *fmt, ...)
{
    size_t mark = strlen(b->prefix);
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(b->prefix + mark, CTS_PREFIX_BYTES - mark, fmt, ap);
    va_end(ap);
    CTS_ASSERT(n >= 0 && (size_t)n < CTS_PREFIX_BYTES - mark, "prefix too long: %s", b->prefix);
    return mark;
}

void cts_build_pop(cts_build *b, size_t mark)
{
    CTS_ASSERT(mark <= strlen(b->prefix), "prefix \"%s\" is shorter than %zu", b->prefix, mark);
    b->prefix[mark] = '\0';
}

void cts_build_trace(cts_build *b, cts_tensor *t, const char *fmt, ...)
{
    char name[64];
    va_list ap;

    if (!b->trace)
        return;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    if (b->trace_only && strcmp(name, b->trace_only) != 0)
        return;
    cts_graph_output(b->graph, t, name);
}

cts_tensor *cts_build_recompute(cts_build *b, cts_tensor *t)
{
    if (b->grad && b->recompute)
        cts_graph_recompute(t);
    return t;
}

static cts_tensor *entry(cts_build *b, bool state, const char *name, cts_init init, int ndim, const int64_t *shape)
{
    char full[NAME_BYTES];
    int n = snprintf(full, sizeof full, "%s%s", b->prefix, name);

    CTS_ASSERT(n >= 0 && (size_t)n < sizeof full, "parameter name too long: %s", full);
    return cts_graph_param(
        b->graph, cts_params_declare(cts_graph_params(b->graph), full, state, !state && ndim >= 2, init, ndim, shape));
}

cts_tensor *cts_build_param(cts_build *b, const char *name, cts_init init, int ndim, const int64_t *shape)
{
    return entry(b, false, name, init, ndim, shape);
}

cts_tensor *cts_build_state(cts_build *b, const char *name, cts_init init, int ndim, const int64_t *shape)
{
    return entry(b, true, name, init, ndim, shape);
}

cts_tensor *cts_build_vector(cts_build *b, const char *name, cts_init init, int64_t n)
{
    return entry(b, false, name, init, 1, &n);
}

cts_init cts_init_fan_in(int64_t fan_in)
{
    return (cts_init){CTS_INIT_UNIFORM, 1.0 / sqrt((double)fan_in)};
}

/* <name>.weight and, when bias is not NULL, <name>.bias */
static cts_tensor *linear_weight(cts_build *b, const char *name, int64_t in, int64_t out, const cts_init *init,
                                 cts_tensor **bias)
{
    cts_init first = init ? *init : cts_init_fan_in(in);
    size_t mark = cts_build_push(b, "%s.", name);
    cts_tensor *w = cts_build_param(b, "weight", first, 2, (int64_t[]){out, in});

    if (bias)
        *bias = cts_build_vector(b, "bias", init ? cts_init_const(0.0) : first, out);
    cts_build_pop(b, mark);
    return w;
}

cts_tensor *cts_block_linear(cts_build *b, cts_tensor *x, const char *name, int64_t out, bool bias,
                             const cts_init *init)
{
    cts_tensor *v = NULL;
    cts_tensor *w = linear_weight(b, name, cts_tensor_channels(x), out, init, bias ? &v : NULL);

    return cts_op_linear(b->graph, x, w, v);
}

cts_tensor *cts_block_linear_act(cts_build *b, cts_tensor *x, const char *name, int64_t out, cts_act_kind act,
                                 cts_tensor *scale, cts_tensor *residual, const cts_init *init)
{
    cts_tensor *v = NULL;
    cts_tensor *w = linear_weight(b, name, cts_tensor_channels(x), out, init, &v);
    cts_tensor *y;

    if (!b->grad)
        return cts_op_linear_fused(b->graph, x, w, v, act, scale, residual);
    y = cts_op_linear(b->graph, x, w, v);
    if (act != CTS_ACT_NONE) {
        cts_build_recompute(b, y);
        y = cts_op_act(b->graph, y, act);
    }
    if (act != CTS_ACT_NONE || scale) /* a plain sum needs nothing of y in backward */
        cts_build_recompute(b, y);
    if (scale)
        y = cts_op_channel_scale(b->graph, y, scale);
    return residual ? cts_op_add(b->graph, residual, y) : y;
}

cts_tensor *cts_block_layer_norm(cts_build *b, cts_tensor *x, const char *name, double eps)
{
    int64_t c = cts_tensor_channels(x);
    size_t mark = cts_build_push(b, "%s.", name);
    cts_tensor *w = cts_build_vector(b, "weight", cts_init_const(1.0), c);
    cts_tensor *v = cts_build_vector(b, "bias", cts_init_const(0.0), c);

    cts_build_pop(b, mark);
    return cts_op_layer_norm(b->graph, x, w, v, (float)eps);
}

cts_tensor *cts_block_batch_norm(cts_build *b, cts_tensor *x, const char *name)
{
    const float eps = 1e-5f, momentum = 0.1f;
    int64_t c = cts_tensor_channels(x);
    size_t mark = cts_build_push(b, "%s.", name);
    cts_tensor *w = cts_build_vector(b, "weight", cts_init_const(1.0), c);
    cts_tensor *v = cts_build_vector(b, "bias", cts_init_const(0.0), c);
    cts_tensor *rm = cts_build_state(b, "running_mean", cts_init_const(0.0), 1, &c);
    cts_tensor *rv = cts_build_state(b, "running_var", cts_init_const(1.0), 1, &c);

    cts_build_pop(b, mark);
    return b->batch_stats ? cts_op_batch_norm(b->graph, x, w, v, rm, rv, eps, momentum)
                          : cts_op_batch_norm_eval(b->graph, x, w, v, rm, rv, eps);
}

/* One branch: taps along spatial axis `axis` of [N, D0, D1, D2, C], branch `index` of the published
 * order x, y, z, whose weight has its k elements on that axis. */
static cts_tensor *branch(cts_build *b, cts_tensor *x, int index, int axis, int64_t cout, int k, int stride,
                          bool depthwise)
{
    int64_t cin = cts_tensor_channels(x), in = depthwise ? 1 : cin;
    int64_t shape[5] = {cout, in, 1, 1, 1}, out_dim[3];
    int32_t step[3] = {stride, stride, stride};
    cts_init init = cts_init_fan_in(in * k);
    size_t mark;
    cts_tensor *w, *v;

    shape[2 + index] = k;
    mark = cts_build_push(b, "c%d.0.", index + 1);
    w = cts_build_param(b, "weight", init, 5, shape);
    v = cts_build_vector(b, "bias", init, cout);
    cts_build_pop(b, mark);
    if (depthwise)
        return cts_op_dwconv(b->graph, x, w, v, axis);
    cts_tap *tap = cts_graph_alloc(b->graph, (size_t)k * sizeof *tap);
    for (int t = 0; t < k; t++)
        tap[t].d[axis] = t - k / 2;
    for (int i = 0; i < 3; i++)
        out_dim[i] = (x->shape[1 + i] + stride - 1) / stride;
    return cts_op_tap_gemm(b->graph, x, w, v, k, tap, step, out_dim);
}

cts_tensor *cts_block_decomp_conv(cts_build *b, cts_tensor *x, int64_t cout, int k, int stride, bool depthwise)
{
    static const int axis_of[3] = {1, 2, 0}; /* published order x, y, z; our tensors are [N, z, x, y, C] */
    cts_tensor *sum = NULL;

    CTS_ASSERT(x->ndim == 5 && k % 2 == 1 && (!depthwise || (stride == 1 && cout == cts_tensor_channels(x))),
               "decomposed convolution of %d axes, kernel %d, stride %d", x->ndim, k, stride);
    for (int i = 0; i < 3; i++) {
        cts_tensor *y = cts_build_recompute(b, branch(b, x, i, axis_of[i], cout, k, stride, depthwise));
        size_t mark = cts_build_push(b, "norm.");
        char name[16];

        snprintf(name, sizeof name, "%d", i);
        y = cts_block_batch_norm(b, y, name);
        cts_build_pop(b, mark);
        sum = sum ? cts_op_add(b->graph, sum, y) : y;
    }
    return sum;
}
