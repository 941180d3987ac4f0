/* Mean over the rows of each packed sequence: a text tower's mean pooling.
 * SPDX-License-Identifier: MIT */
#include "kernels/ops/ops_internal.h"

cts_tensor *cts_op_segment_mean(cts_graph *g, cts_tensor *x, cts_tensor *offsets, cts_tensor *first)
{
    cts_tensor *in[2] = {x, offsets};
    int64_t shape[2];

    need_f32("segment_mean", x);
    CTS_ASSERT(x->ndim == 2 && offsets->ndim == 1 && offsets->dtype == CTS_I32 && first->ndim == 1 &&
                   first->shape[0] == offsets->shape[0] - 1,
               "segment_mean: %s, %s, %s do not fit", x->name, offsets->name, first->name);
    shape[0] = first->shape[0];
    shape[1] = x->shape[1];
    return cts_node_out(g, cts_graph_node(g, CTS_OP_SEGMENT_MEAN, 2, in, NULL, 0), "segment_mean", CTS_F32, 2, shape,
                        first->sym);
}

/* Rows [lo, hi) of sequence s; offsets are data, so they are checked. */
static int bounds(const cts_view *offsets, int64_t s, int64_t n_rows, int64_t *lo, int64_t *hi)
{
    const int32_t *o = offsets->data;
    int64_t step = offsets->stride[0];

    *lo = o[s * step];
    *hi = o[(s + 1) * step];
    if (*lo < 0 || *hi < *lo || *hi > n_rows)
        return cts_fail(CTS_E_INPUT, "segment_mean: sequence %lld is rows %lld to %lld of %lld", (long long)s,
                        (long long)*lo, (long long)*hi, (long long)n_rows);
    return CTS_OK;
}

static int segment_mean_ref(const cts_call *c)
{
    const cts_view *x = &c->in[0], *y = &c->out[0];
    int64_t lo, hi, C = cts_view_channels(x);

    for (int64_t s = 0; s < y->shape[0]; s++) {
        float *out = row_at(y, s);
        int rc = bounds(&c->in[1], s, x->shape[0], &lo, &hi);

        if (rc)
            return rc;
        for (int64_t k = 0; k < C; k++) {
            double sum = 0.0;

            for (int64_t r = lo; r < hi; r++)
                sum += row_at(x, r)[k * chan_stride(x)];
            out[k * chan_stride(y)] = hi > lo ? (float)(sum / (double)(hi - lo)) : 0.0f;
        }
    }
    return CTS_OK;
}

/* inputs (dy [n_seq, C], offsets) -> dx [n_tokens, C]; rows of no sequence get 0 */
static int segment_mean_grad_ref(const cts_call *c)
{
    const cts_view *dy = &c->in[0], *dx = &c->out[0];
    int64_t lo, hi, C = cts_view_channels(dx);

    for (int64_t r = 0; r < dx->shape[0]; r++)
        for (int64_t k = 0; k < C; k++)
            row_at(dx, r)[k * chan_stride(dx)] = 0.0f;
    for (int64_t s = 0; s < dy->shape[0]; s++) {
        int rc = bounds(&c->in[1], s, dx->shape[0], &lo, &hi);

        if (rc)
            return rc;
        for (int64_t r = lo; r < hi; r++)
            for (int64_t k = 0; k < C; k++)
                row_at(dx, r)[k * chan_stride(dx)] =
                    (float)((double)row_at(dy, s)[k * chan_stride(dy)] / (double)(hi - lo));
    }
    return CTS_OK;
}

static void segment_mean_grad(cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need,
                              cts_tensor **din)
{
    cts_tensor *in[2] = {dout[0], n->in[1]};

    if (dout[0] && need[0])
        din[0] = cts_node_out_like(g, cts_graph_node(g, CTS_OP_SEGMENT_MEAN_GRAD, 2, in, NULL, 0), "segment_mean.dx",
                                   n->in[0]);
}

const struct cts_op_def cts_opdef_segment_mean = {"segment_mean", segment_mean_ref, segment_mean_grad, NULL, -1};
const struct cts_op_def cts_opdef_segment_mean_grad = {"segment_mean_grad", segment_mean_grad_ref, NULL, NULL, -1};
