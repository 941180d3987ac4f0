/* The spread of a position bias over all pairs and its gradient. SPDX-License-Identifier: MIT */
#include "kernels/cpu/cpu_kernels.h"

typedef struct {
    int64_t h, w, heads;
    const float *from;
    float *to;
} spread;

/* Row (head, p) of the result: along q the row of the table moves back by one. */
static int rel_bias_task(void *ctx, int ith, int nth)
{
    const spread *s = ctx;
    int64_t n = s->h * s->w, across = 2 * s->w - 1, lo, hi;

    cts_split(s->heads * n, 1, ith, nth, &lo, &hi);
    for (int64_t r = lo; r < hi; r++) {
        int64_t head = r / n, p = r % n;

        for (int64_t q0 = 0; q0 < s->h; q0++) {
            int64_t row = (p / s->w - q0 + s->h - 1) * across + p % s->w + s->w - 1;
            float *y = s->to + r * n + q0 * s->w;

            for (int64_t q1 = 0; q1 < s->w; q1++)
                y[q1] = s->from[(row - q1) * s->heads + head];
        }
    }
    return CTS_OK;
}

int cts_cpu_rel_bias(const cts_cpu *cpu, const cts_call *c)
{
    const cts_rel_pos_attr *a = c->node->attr;
    spread s = {a->h, a->w, c->in[0].shape[1], c->in[0].data, c->out[0].data};

    (void)cpu;
    return cts_cpu_for(c, cts_view_count(&c->out[0]), rel_bias_task, &s);
}

/* The pairs p, q = p - d of one difference and head, in the order of p. */
static float sum_pairs(const spread *s, int64_t d0, int64_t d1, int64_t head)
{
    int64_t n = s->h * s->w, step = (n + 1);
    double sum = 0.0;

    for (int64_t p0 = cts_max_i64(0, d0); p0 < cts_min_i64(s->h, s->h + d0); p0++) {
        int64_t p1 = cts_max_i64(0, d1), last = cts_min_i64(s->w, s->w + d1);
        const float *d = s->from + (head * n + p0 * s->w + p1) * n + (p0 - d0) * s->w + p1 - d1;

        for (; p1 < last; p1++, d += step)
            sum += *d;
    }
    return (float)sum;
}

static int rel_bias_grad_task(void *ctx, int ith, int nth)
{
    const spread *s = ctx;
    int64_t across = 2 * s->w - 1, lo, hi;

    cts_split((2 * s->h - 1) * across, 1, ith, nth, &lo, &hi);
    for (int64_t r = lo; r < hi; r++)
        for (int64_t head = 0; head < s->heads; head++)
            s->to[r * s->heads + head] = sum_pairs(s, r / across - (s->h - 1), r % across - (s->w - 1), head);
    return CTS_OK;
}

int cts_cpu_rel_bias_grad(const cts_cpu *cpu, const cts_call *c)
{
    const cts_rel_pos_attr *a = c->node->attr;
    spread s = {a->h, a->w, c->out[0].shape[1], c->in[0].data, c->out[0].data};

    (void)cpu;
    return cts_cpu_for(c, cts_view_count(&c->in[0]), rel_bias_grad_task, &s);
}
