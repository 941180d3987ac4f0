/* SPDX-License-Identifier: MIT */
#include "train/adamw.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/base/arena.h"
#include "kernels/base/status.h"

int cts_adamw_create(cts_adamw **out, const cts_params *p, const cts_adamw_config *config)
{
    cts_adamw *a = calloc(1, sizeof *a);
    int n = cts_params_n(p);

    if (!a)
        return cts_fail(CTS_E_NOMEM, "out of memory for the optimiser");
    a->config = *config;
    a->n = n;
    a->m = calloc((size_t)n + 1, sizeof *a->m);
    a->v = calloc((size_t)n + 1, sizeof *a->v);
    for (int i = 0; a->m && a->v && i < n; i++) {
        const cts_param *e = cts_params_get(p, i);

        if (e->state || e->frozen)
            continue;
        a->m[i] = cts_aligned_alloc((size_t)(e->count + 1) * sizeof(float));
        a->v[i] = cts_aligned_alloc((size_t)(e->count + 1) * sizeof(float));
        if (!a->m[i] || !a->v[i])
            goto nomem;
    }
    if (!a->m || !a->v)
        goto nomem;
    *out = a;
    return CTS_OK;
nomem:
    cts_adamw_destroy(a);
    return cts_fail(CTS_E_NOMEM, "out of memory for the optimiser's moments (2 x %lld values)",
                    (long long)cts_params_count(p));
}

void cts_adamw_destroy(cts_adamw *a)
{
    if (!a)
        return;
    for (int i = 0; i < a->n; i++) {
        if (a->m)
            cts_aligned_free(a->m[i]);
        if (a->v)
            cts_aligned_free(a->v[i]);
    }
    free(a->m);
    free(a->v);
    free(a);
}

static double squared_norm(const float *g, int64_t n)
{
    double sum = 0.0;

    for (int64_t i = 0; i < n; i++)
        sum += (double)g[i] * g[i];
    return sum;
}

typedef struct {
    cts_adamw *a;
    cts_params *p;
    const cts_grads *g;
    float scale, lr, b1, b2, eps, bias1, root2;
} step_task;

static void update(const step_task *s, cts_param *e, const float *g, float *m, float *v, int64_t lo, int64_t hi)
{
    float keep = e->decay ? (float)(1.0 - (double)s->lr * s->a->config.weight_decay) : 1.0f;
    float b1 = s->b1, b2 = s->b2, step = s->lr / s->bias1;

    for (int64_t i = lo; i < hi; i++) {
        float gi = g[i] * s->scale;

        m[i] = b1 * m[i] + (1.0f - b1) * gi;
        v[i] = b2 * v[i] + (1.0f - b2) * gi * gi;
        e->data[i] = e->data[i] * keep - step * m[i] / (sqrtf(v[i]) / s->root2 + s->eps);
    }
}

static int step_part(void *ctx, int ith, int nth)
{
    const step_task *s = ctx;

    for (int k = 0; k < s->a->n; k++) {
        cts_param *e = cts_params_at(s->p, k);
        int64_t lo, hi;

        if (!s->a->m[k] || !s->g->data[k])
            continue;
        cts_split(e->count, 16, ith, nth, &lo, &hi);
        update(s, e, s->g->data[k], s->a->m[k], s->a->v[k], lo, hi);
    }
    return CTS_OK;
}

int cts_adamw_step(cts_adamw *a, cts_params *p, const cts_grads *g, double lr, double grad_scale, cts_pool *pool,
                   double *norm)
{
    const cts_adamw_config *c = &a->config;
    double sum = 0.0, total, scale = grad_scale;
    step_task s;

    for (int i = 0; i < a->n; i++)
        if (a->m[i] && g->data[i])
            sum += squared_norm(g->data[i], g->count[i]);
    total = sqrt(sum) * grad_scale;
    if (!isfinite(total))
        return cts_fail(
            CTS_E_INPUT,
            "training step %lld: the gradient norm is %g, not a number; the step was not applied (lower --lr?)",
            (long long)a->t + 1, total);
    if (c->clip > 0.0 && c->clip / (total + 1e-6) < 1.0)
        scale *= c->clip / (total + 1e-6);
    a->t++;
    s = (step_task){a,
                    p,
                    g,
                    (float)scale,
                    (float)lr,
                    (float)c->beta1,
                    (float)c->beta2,
                    (float)c->eps,
                    (float)(1.0 - pow(c->beta1, (double)a->t)),
                    (float)sqrt(1.0 - pow(c->beta2, (double)a->t))};
    *norm = total;
    return cts_parallel_for(pool, step_part, &s);
}
