/* SPDX-License-Identifier: MIT */
#include "tests/support/op_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/autodiff.h"
#include "kernels/base/check.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "kernels/base/str.h"

#define RUN_SEED 20250301u
#define RUN_STEP 7u
#define NOISE 2e-3 /* of arrays that are zero but for rounding, beside terms of the order of 1 */

static void must(int rc, const char *what)
{
    if (rc)
        fail_msg("%s: %s", what, cts_error());
}

/* ---- numbers ---- */

static float on_grid(double x)
{
    return (float)(rint(x * 1024.0) / 1024.0);
}

static void fill_distinct(float *p, int64_t n, cts_fill fill, uint64_t key)
{
    for (int64_t i = 0; i < n; i++)
        p[i] = on_grid(fill.shift + fill.scale * (double)(i - n / 2));
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)(cts_rng_at(key, (uint64_t)i) % (uint64_t)(i + 1));
        float t = p[i];

        p[i] = p[j];
        p[j] = t;
    }
}

static void fill_floats(float *p, int64_t n, cts_fill fill, uint64_t key)
{
    if (fill.kind == CTS_FILL_DISTINCT) {
        fill_distinct(p, n, fill, key);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        double x = 2.0 * cts_rng_unit_at(key, (uint64_t)i) - 1.0;

        if (fill.kind == CTS_FILL_TIES)
            x = rint(1.5 * x);
        x *= fill.scale;
        if (fill.kind == CTS_FILL_AWAY)
            x += x < 0.0 ? -0.125 : 0.125;
        p[i] = on_grid(fill.shift + x);
    }
}

/* ---- leaves ---- */

static cts_case_leaf *new_leaf(cts_case_graph *c, int64_t n)
{
    cts_case_leaf *l = &c->leaf[c->n_leaf];

    CTS_ASSERT(c->n_leaf < CTS_CASE_LEAVES, "a case with more than %d leaves", CTS_CASE_LEAVES);
    *l = (cts_case_leaf){.param = -1, .n = n};
    c->n_leaf++;
    return l;
}

static uint64_t leaf_key(const cts_case_graph *c, const cts_case_leaf *l)
{
    return cts_rng_split(c->seed, (uint64_t)(l - c->leaf));
}

static int64_t product(int ndim, const int64_t *shape)
{
    int64_t n = 1;

    for (int d = 0; d < ndim; d++)
        n *= shape[d];
    return n;
}

static cts_tensor *float_input(cts_case_graph *c, int ndim, const int64_t *shape, cts_sym sym, cts_fill fill, bool grad)
{
    cts_case_leaf *l = new_leaf(c, product(ndim, shape));
    char name[16];

    snprintf(name, sizeof(name), "x%d", c->n_leaf - 1);
    l->input = cts_graph_input(c->g, name, CTS_F32, ndim, shape, sym);
    l->input->want_grad = l->grad = grad;
    l->name = l->input->name;
    l->f = malloc((size_t)l->n * sizeof(float));
    assert_non_null(l->f);
    fill_floats(l->f, l->n, fill, leaf_key(c, l));
    return l->input;
}

cts_tensor *cts_case_x(cts_case_graph *c, int ndim, const int64_t *shape, cts_sym sym, cts_fill fill)
{
    return cts_op_scale(c->g, float_input(c, ndim, shape, sym, fill, true), 1.0f);
}

cts_tensor *cts_case_const(cts_case_graph *c, int ndim, const int64_t *shape, cts_sym sym, cts_fill fill)
{
    return float_input(c, ndim, shape, sym, fill, false);
}

cts_tensor *cts_case_ids(cts_case_graph *c, int64_t n, cts_sym sym, int32_t below, const int32_t *values)
{
    cts_case_leaf *l = new_leaf(c, n);
    char name[16];

    snprintf(name, sizeof(name), "x%d", c->n_leaf - 1);
    l->input = cts_graph_input(c->g, name, CTS_I32, 1, &n, sym);
    l->name = l->input->name;
    l->i = malloc((size_t)n * sizeof(int32_t));
    assert_non_null(l->i);
    for (int64_t k = 0; k < n; k++)
        l->i[k] = values ? values[k] : (int32_t)(cts_rng_at(leaf_key(c, l), (uint64_t)k) % (uint64_t)below);
    return l->input;
}

static cts_tensor *entry(cts_case_graph *c, int ndim, const int64_t *shape, cts_fill fill, bool state)
{
    cts_case_leaf *l = new_leaf(c, product(ndim, shape));
    char name[16];

    snprintf(name, sizeof(name), "%s%d", state ? "s" : "w", c->n_leaf - 1);
    l->param = cts_params_declare(c->params, name, state, false, cts_init_const(0.0), ndim, shape);
    assert_true(l->param >= 0);
    l->name = cts_params_get(c->params, l->param)->name;
    l->fill = fill;
    l->grad = !state;
    return cts_graph_param(c->g, l->param);
}

cts_tensor *cts_case_param(cts_case_graph *c, int ndim, const int64_t *shape, cts_fill fill)
{
    return entry(c, ndim, shape, fill, false);
}

cts_tensor *cts_case_state(cts_case_graph *c, int ndim, const int64_t *shape, cts_fill fill)
{
    return entry(c, ndim, shape, fill, true);
}

void cts_case_out(cts_case_graph *c, cts_tensor *t)
{
    char name[16];

    CTS_ASSERT(c->n_out < CTS_CASE_OUTS, "a case with more than %d outputs", CTS_CASE_OUTS);
    snprintf(name, sizeof(name), "y%d", c->n_out);
    cts_graph_output(c->g, t, name);
    c->out[c->n_out++] = t;
}

int64_t cts_case_extent(const cts_case_graph *c, const cts_tensor *t)
{
    int64_t n = cts_tensor_count(t);

    if (t->sym != CTS_SYM_NONE && c->extent[t->sym])
        n = n / t->shape[0] * c->extent[t->sym];
    return n;
}

/* ---- execution ---- */

static void add_value(cts_case_run *r, const char *prefix, const char *name, int64_t n, bool gradient, int leaf)
{
    cts_case_value *v = &r->value[r->n_value++];

    snprintf(v->name, sizeof(v->name), "%s%s", prefix, name);
    v->n = n;
    v->gradient = gradient;
    v->leaf = leaf;
    v->v = calloc((size_t)n, sizeof(float));
    assert_non_null(v->v);
}

static void list_values(cts_case_run *r, bool backward)
{
    cts_case_graph *c = &r->c;

    for (int k = 0; k < c->n_out; k++)
        add_value(r, "", c->out[k]->name, cts_case_extent(c, c->out[k]), false, -1);
    for (int k = 0; k < c->n_leaf; k++)
        if (c->leaf[k].param >= 0 && !c->leaf[k].grad)
            add_value(r, "", c->leaf[k].name, c->leaf[k].n, false, k);
    for (int k = 0; k < c->n_leaf && backward; k++)
        if (c->leaf[k].grad) {
            const cts_tensor *t = c->leaf[k].input;

            add_value(r, "d.", c->leaf[k].name, t ? cts_case_extent(c, t) : c->leaf[k].n, true, k);
        }
}

/* Parameters get their numbers, and the leaves learn where they are. */
static void fill_params(cts_case_graph *c)
{
    must(cts_params_alloc(c->params), "parameters");
    for (int k = 0; k < c->n_leaf; k++) {
        cts_case_leaf *l = &c->leaf[k];

        if (l->param < 0)
            continue;
        l->f = cts_params_at(c->params, l->param)->data;
        fill_floats(l->f, l->n, l->fill, leaf_key(c, l));
    }
}

cts_case_run *cts_case_open(const cts_op_case *def, cts_backend *b, bool backward)
{
    cts_case_run *r = calloc(1, sizeof(*r));
    cts_case_graph *c;

    assert_non_null(r);
    r->def = def;
    c = &r->c;
    c->seed = cts_fnv1a64(def->name, strlen(def->name));
    must(cts_params_create(&c->params), def->name);
    must(cts_graph_create(&c->g, c->params), def->name);
    def->build(c, def->arg);
    for (int k = 0; k < c->n_out; k++) {
        r->weight[k] = malloc((size_t)cts_tensor_count(c->out[k]) * sizeof(float));
        assert_non_null(r->weight[k]);
        fill_floats(r->weight[k], cts_tensor_count(c->out[k]), cts_uniform(0.0, 1.0),
                    cts_rng_split(c->seed, 1000 + (uint64_t)k));
    }
    backward = backward && def->differentiable;
    if (backward)
        must(cts_backward(c->g, c->n_out, c->out, r->dout), def->name);
    fill_params(c);
    must(cts_grads_create(&r->grads, c->params), def->name);
    must(cts_plan_create(&r->plan, c->g, b), def->name);
    must(cts_exec_create(&r->exec, r->plan, b, r->grads), def->name);
    for (int s = 1; s < CTS_SYM_COUNT; s++)
        if (c->extent[s])
            cts_exec_set_extent(r->exec, (cts_sym)s, c->extent[s]);
    cts_exec_set_step(r->exec, RUN_SEED, RUN_STEP);
    list_values(r, backward);
    return r;
}

void cts_case_close(cts_case_run *r)
{
    if (!r)
        return;
    cts_exec_destroy(r->exec);
    cts_plan_destroy(r->plan);
    cts_grads_destroy(r->grads);
    for (int k = 0; k < r->c.n_leaf; k++) {
        if (r->c.leaf[k].input)
            free(r->c.leaf[k].f);
        free(r->c.leaf[k].i);
    }
    cts_graph_destroy(r->c.g);
    cts_params_destroy(r->c.params);
    for (int k = 0; k < CTS_CASE_OUTS; k++)
        free(r->weight[k]);
    for (int k = 0; k < r->n_value; k++)
        free(r->value[k].v);
    free(r);
}

static void write_leaves(cts_case_run *r)
{
    for (int k = 0; k < r->c.n_leaf; k++) {
        const cts_case_leaf *l = &r->c.leaf[k];

        if (l->input)
            must(cts_exec_write(r->exec, l->input, l->i ? (const void *)l->i : (const void *)l->f), r->def->name);
    }
    must(cts_exec_params_changed(r->exec), r->def->name);
}

static void read_value(cts_case_run *r, cts_case_value *v)
{
    const cts_case_leaf *l = v->leaf >= 0 ? &r->c.leaf[v->leaf] : NULL;
    const float *host = NULL;

    if (l && l->param >= 0)
        host = v->gradient ? r->grads->data[l->param] : l->f;
    if (host)
        memcpy(v->v, host, (size_t)v->n * sizeof(float));
    else
        must(cts_exec_read(r->exec, cts_graph_find(r->c.g, v->name), v->v), v->name);
}

int cts_case_go(cts_case_run *r)
{
    bool backward = r->dout[0] != NULL;
    int rc;

    fill_params(&r->c); /* the last run may have moved states */
    write_leaves(r);
    cts_grads_zero(r->grads);
    if ((rc = cts_exec_forward(r->exec, CTS_RUN_UPDATE_STATE)))
        return rc;
    for (int k = 0; k < r->c.n_out && backward; k++)
        must(cts_exec_write(r->exec, r->dout[k], r->weight[k]), r->def->name);
    if (backward && (rc = cts_exec_backward(r->exec)))
        return rc;
    for (int k = 0; k < r->n_value; k++)
        read_value(r, &r->value[k]);
    return CTS_OK;
}

double cts_case_loss(cts_case_run *r, double *rms)
{
    double sum = 0.0, sq = 0.0;

    write_leaves(r);
    must(cts_exec_forward(r->exec, 0), r->def->name);
    for (int k = 0; k < r->c.n_out; k++) {
        must(cts_exec_read(r->exec, r->c.out[k], r->value[k].v), r->def->name);
        for (int64_t i = 0; i < r->value[k].n; i++) {
            double term = (double)r->weight[k][i] * r->value[k].v[i];

            sum += term;
            sq += term * term;
        }
    }
    if (rms)
        *rms = sqrt(sq);
    return sum;
}

/* ---- comparison ---- */

double cts_case_compare(const cts_case_run *want, const cts_case_run *got, double limit, char *where)
{
    double worst = 0.0;

    snprintf(where, 96, "equal");
    CTS_ASSERT(want->n_value == got->n_value, "two runs of different cases");
    for (int k = 0; k < want->n_value; k++) {
        const cts_case_value *a = &want->value[k], *b = &got->value[k];
        double rms = 0.0;

        for (int64_t i = 0; i < a->n; i++)
            rms += (double)a->v[i] * a->v[i];
        rms = sqrt(rms / (double)a->n);
        for (int64_t i = 0; i < a->n; i++) {
            double part = fabs((double)a->v[i] - b->v[i]) / (limit * (rms + fabs((double)a->v[i]) + NOISE));

            if (a->v[i] == b->v[i] || part <= worst)
                continue;
            snprintf(where, 96, "%s[%lld] %.8g, wanted %.8g", a->name, (long long)i, (double)b->v[i], (double)a->v[i]);
            if (!(part <= HUGE_VAL))
                return NAN;
            worst = part;
        }
    }
    return worst;
}

bool cts_case_same_bits(const cts_case_run *a, const cts_case_run *b)
{
    for (int k = 0; k < a->n_value; k++)
        if (memcmp(a->value[k].v, b->value[k].v, (size_t)a->value[k].n * sizeof(float)))
            return false;
    return true;
}
