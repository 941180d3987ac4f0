/* The two contrastive losses. The n x n similarities of a batch are one small product; what follows them is done in
 * rows on the calling thread, with double sums. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "kernels/cpu/gemm.h"

typedef struct {
    const cts_isa *isa;
    const float *a, *b;
    int64_t n, d;
    double scale;
    float *s;    /* [n, n] scale * <a_i, b_j> */
    float *g;    /* [n, n] gradient, or rows of work */
    float *work; /* of the products */
} pairs;

static int64_t pairs_floats(const cts_isa *isa, int64_t n, int64_t d)
{
    int64_t forward = cts_gemm_small_floats(isa, n, d), backward = cts_gemm_small_floats(isa, d, n);

    return 2 * cts_cpu_pad(n * n) + 4 * cts_cpu_pad(n) + cts_max_i64(forward, backward);
}

static pairs pairs_of(const cts_cpu *cpu, const cts_call *c, const cts_view *in)
{
    pairs p = {
        .isa = cpu->isa, .a = in[0].data, .b = in[1].data, .n = in[0].shape[0], .d = in[0].shape[1], .s = c->scratch};
    double scale = exp((double)*cts_cpu_f32(&in[2]));

    p.scale = scale;
    p.g = p.s + cts_cpu_pad(p.n * p.n);
    p.work = p.g + cts_cpu_pad(p.n * p.n) + 4 * cts_cpu_pad(p.n);
    cts_gemm_small(p.isa, p.s, p.a, p.b, p.n, p.n, p.d, p.d, 1, 1, p.d, p.work);
    for (int64_t i = 0; i < p.n * p.n; i++)
        p.s[i] = (float)(scale * p.s[i]);
    return p;
}

/* da = scale * g b, db = scale * g^T a */
static void pairs_grad(const pairs *p, float *da, float *db)
{
    cts_gemm_small(p->isa, da, p->g, p->b, p->n, p->d, p->n, p->n, 1, p->d, 1, p->work);
    p->isa->scale(da, da, (float)p->scale, p->n * p->d);
    cts_gemm_small(p->isa, db, p->g, p->a, p->n, p->d, p->n, 1, p->n, p->d, 1, p->work);
    p->isa->scale(db, db, (float)p->scale, p->n * p->d);
}

/* ---- InfoNCE ---- */

static double log_with_eps(double s, double log_eps)
{
    double max = fmax(s, log_eps);

    return max + log(exp(s - max) + exp(log_eps - max));
}

/* log(sum over the n values of exp + eps); eps is one more term, log_eps -inf where it is 0. e: n floats of work. */
static double log_sum(const cts_isa *isa, float *e, const float *s, int64_t n, double log_eps)
{
    double max = isa->max(s, n), sum;

    max = (float)(max < log_eps ? log_eps : max); /* the same number on both sides of the float loop */
    sum = exp(log_eps - max) + isa->exp_sum(e, s, n, 1.0f, (float)max);
    return max + log(sum);
}

size_t cts_cpu_infonce_scratch(const cts_cpu *cpu, const cts_node *n)
{
    return (size_t)pairs_floats(cpu->isa, n->in[0]->shape[0], n->in[0]->shape[1]) * sizeof(float);
}

int cts_cpu_infonce(const cts_cpu *cpu, const cts_call *c)
{
    pairs p = pairs_of(cpu, c, c->in);
    double log_eps = log((double)((const cts_layer_norm_attr *)c->node->attr)->eps), sum = 0.0;
    float *col = p.g, *e = p.g + cts_cpu_pad(p.n * p.n);

    for (int64_t i = 0; i < p.n; i++)
        for (int64_t j = 0; j < p.n; j++)
            col[j * p.n + i] = p.s[i * p.n + j];
    for (int64_t i = 0; i < p.n; i++) {
        double row_sum = log_sum(p.isa, e, p.s + i * p.n, p.n, log_eps),
               col_sum = log_sum(p.isa, e, col + i * p.n, p.n, log_eps);

        cts_cpu_f32(&c->out[1])[i] = (float)row_sum;
        cts_cpu_f32(&c->out[2])[i] = (float)col_sum;
        sum += 0.5 * (row_sum + col_sum) - log_with_eps(p.s[i * p.n + i], log_eps);
    }
    *cts_cpu_f32(&c->out[0]) = (float)(sum / (double)p.n);
    return CTS_OK;
}

size_t cts_cpu_infonce_grad_scratch(const cts_cpu *cpu, const cts_node *n)
{
    return (size_t)pairs_floats(cpu->isa, n->in[1]->shape[0], n->in[1]->shape[1]) * sizeof(float);
}

/* inputs (dloss, a, b, log_scale, lse_row, lse_col) */
int cts_cpu_infonce_grad(const cts_cpu *cpu, const cts_call *c)
{
    pairs p = pairs_of(cpu, c, c->in + 1);
    const float *lse_row = c->in[4].data, *lse_col = c->in[5].data;
    double log_eps = log((double)((const cts_layer_norm_attr *)c->node->attr)->eps), dscale = 0.0;
    double share = *cts_cpu_f32(&c->in[0]) / (2.0 * (double)p.n);
    float *e = p.g + cts_cpu_pad(p.n * p.n), *f = e + cts_cpu_pad(p.n);

    for (int64_t i = 0; i < p.n; i++) {
        const float *s = p.s + i * p.n;
        float *g = p.g + i * p.n;

        for (int64_t j = 0; j < p.n; j++)
            f[j] = s[j] - lse_col[j];
        p.isa->exp_sum(f, f, p.n, 1.0f, 0.0f);
        p.isa->exp_sum(e, s, p.n, 1.0f, lse_row[i]);
        for (int64_t j = 0; j < p.n; j++) {
            double d = (double)e[j] + f[j];

            if (i == j)
                d -= 2.0 * exp(s[j] - log_with_eps(s[j], log_eps));
            g[j] = (float)(d * share);
            dscale += d * share * s[j];
        }
    }
    pairs_grad(&p, c->out[0].data, c->out[1].data);
    *cts_cpu_f32(&c->out[2]) = (float)dscale;
    return CTS_OK;
}

/* ---- SigLIP: u_ij = z_ij (s_ij + bias), z = 1 on the diagonal and -1 elsewhere ---- */

size_t cts_cpu_siglip_scratch(const cts_cpu *cpu, const cts_node *n)
{
    return (size_t)pairs_floats(cpu->isa, n->in[0]->shape[0], n->in[0]->shape[1]) * sizeof(float);
}

int cts_cpu_siglip(const cts_cpu *cpu, const cts_call *c)
{
    pairs p = pairs_of(cpu, c, c->in);
    double bias = *cts_cpu_f32(&c->in[3]), sum = 0.0;

    for (int64_t i = 0; i < p.n; i++)
        for (int64_t j = 0; j < p.n; j++) {
            double u = (p.s[i * p.n + j] + bias) * (i == j ? 1.0 : -1.0);

            sum += (u < 0.0 ? -u : 0.0) + log1p(exp(-fabs(u)));
        }
    *cts_cpu_f32(&c->out[0]) = (float)(sum / (double)p.n);
    return CTS_OK;
}

size_t cts_cpu_siglip_grad_scratch(const cts_cpu *cpu, const cts_node *n)
{
    return (size_t)pairs_floats(cpu->isa, n->in[1]->shape[0], n->in[1]->shape[1]) * sizeof(float);
}

/* inputs (dloss, a, b, log_scale, bias) */
int cts_cpu_siglip_grad(const cts_cpu *cpu, const cts_call *c)
{
    pairs p = pairs_of(cpu, c, c->in + 1);
    double bias = *cts_cpu_f32(&c->in[4]), share = *cts_cpu_f32(&c->in[0]) / (double)p.n, dscale = 0.0, dbias = 0.0;

    for (int64_t i = 0; i < p.n; i++)
        for (int64_t j = 0; j < p.n; j++) {
            double s = p.s[i * p.n + j], u = (s + bias) * (i == j ? 1.0 : -1.0), e = exp(-fabs(u));
            double d = (u < 0.0 ? 1.0 : e) / (1.0 + e) * (i == j ? -share : share);

            p.g[i * p.n + j] = (float)d;
            dscale += d * s;
            dbias += d;
        }
    pairs_grad(&p, c->out[0].data, c->out[1].data);
    *cts_cpu_f32(&c->out[2]) = (float)dscale;
    *cts_cpu_f32(&c->out[3]) = (float)dbias;
    return CTS_OK;
}
