/* SPDX-License-Identifier: MIT */
#include "tests/support/model_run.h"

#include "kernels/base/check.h"

void cts_test_must(int rc, const char *what)
{
    if (rc != CTS_OK)
        fail_msg("%s: %s: %s", what, cts_status_name(rc), cts_error());
}

void *cts_test_alloc(size_t n)
{
    void *p = calloc(n ? n : 1, 1);

    assert_non_null(p);
    return p;
}

cts_backend *cts_test_backend(const char *name)
{
    static cts_pool *pool;
    cts_backend *b = NULL;

    if (!name)
        name = getenv("CTS_TEST_BACKEND") ? getenv("CTS_TEST_BACKEND") : "cpu";
    if (!pool)
        MUST(cts_pool_create(&pool, 2));
    MUST(cts_backend_create(&b, name, pool));
    return b;
}

void cts_test_weights(cts_params *p, const cts_golden *g, uint64_t seed, const char *stored, const char *formula)
{
    char name[512];

    MUST(cts_params_init(p, 1));
    for (int i = 0; i < cts_params_n(p); i++) {
        cts_param *e = cts_params_at(p, i);

        if (!strcmp(e->name, "temperature"))
            continue;
        snprintf(name, sizeof name, "%s%s", stored, e->name);
        if (g && cts_golden_find(g, "%s", name)) {
            float *v = cts_golden_need_floats(g, "%s", name);

            /* the projection's width follows the reduction, and a file holds that of one */
            if (cts_golden_need_tensor(g, "%s", name)->count == (size_t)e->count)
                memcpy(e->data, v, (size_t)e->count * sizeof *v);
            else if (strcmp(e->name, "to_visual_latent.weight"))
                fail_msg("%s: %zu values, wanted %lld", name, cts_golden_need_tensor(g, "%s", name)->count,
                         (long long)e->count);
            free(v);
        } else {
            snprintf(name, sizeof name, "%s%s", formula, e->name);
            cts_formula_weight(e->data, seed, name, e->shape, e->ndim);
        }
    }
}

float *cts_test_published(const float *in, const int64_t s[5], int64_t shape[5])
{
    float *out = cts_test_alloc((size_t)(s[0] * s[1] * s[2] * s[3] * s[4]) * sizeof *out);
    int64_t at = 0;

    for (int64_t b = 0; b < s[0]; b++)
        for (int64_t c = 0; c < s[4]; c++)
            for (int64_t x = 0; x < s[2]; x++)
                for (int64_t y = 0; y < s[3]; y++)
                    for (int64_t z = 0; z < s[1]; z++)
                        out[at++] = in[(((b * s[1] + z) * s[2] + x) * s[3] + y) * s[4] + c];
    memcpy(shape, (int64_t[]){s[0], s[4], s[2], s[3], s[1]}, 5 * sizeof *shape);
    return out;
}

float *cts_test_ours(const float *in, const int64_t s[5])
{
    float *out = cts_test_alloc((size_t)(s[0] * s[1] * s[2] * s[3] * s[4]) * sizeof *out);
    int64_t at = 0;

    for (int64_t b = 0; b < s[0]; b++)
        for (int64_t c = 0; c < s[1]; c++)
            for (int64_t x = 0; x < s[2]; x++)
                for (int64_t y = 0; y < s[3]; y++)
                    for (int64_t z = 0; z < s[4]; z++)
                        out[(((b * s[4] + z) * s[2] + x) * s[3] + y) * s[1] + c] = in[at++];
    return out;
}

void cts_test_plan(model_run *r, cts_backend *b, cts_grads *grads)
{
    MUST(cts_graph_status(r->g));
    MUST(cts_plan_create(&r->plan, r->g, b));
    MUST(cts_exec_create(&r->e, r->plan, b, grads));
}

void cts_test_end(model_run *r)
{
    cts_exec_destroy(r->e);
    cts_plan_destroy(r->plan);
    cts_graph_destroy(r->g);
    memset(r, 0, sizeof *r);
}

void cts_test_net_begin(model_net *n, const char *backend)
{
    memset(n, 0, sizeof *n);
    n->b = cts_test_backend(backend);
    MUST(cts_params_create(&n->params));
    MUST(cts_graph_create(&n->run.g, n->params));
}

void cts_test_net_plan(model_net *n, cts_tensor *target)
{
    if (target) {
        MUST(cts_backward(n->run.g, 1, &target, &n->d_target));
        MUST(cts_grads_create(&n->grads, n->params));
    }
    cts_test_plan(&n->run, n->b, n->grads);
}

void cts_test_net_end(model_net *n)
{
    cts_test_end(&n->run);
    cts_grads_destroy(n->grads);
    cts_params_destroy(n->params);
    cts_backend_destroy(n->b);
}

float *cts_test_read(model_run *r, const char *name, const cts_tensor **t)
{
    const cts_tensor *o = cts_graph_find(r->g, name);
    float *v;

    if (!o)
        fail_msg("the graph has no output %s", name);
    v = cts_test_alloc((size_t)cts_tensor_count(o) * sizeof *v);
    MUST(cts_exec_read(r->e, o, v));
    if (t)
        *t = o;
    return v;
}

bool cts_test_grid_near(model_run *r, const char *name, const cts_golden *g, const char *golden, double relative,
                        double absolute)
{
    const cts_tensor *t;
    float *v = cts_test_read(r, name, &t), *p;
    int64_t shape[8], want[8];
    bool ok;

    assert_int_equal(t->ndim, 5);
    p = cts_test_published(v, t->shape, shape);
    assert_int_equal(cts_golden_need_shape(g, want, "%s", golden), 5);
    assert_memory_equal(shape, want, 5 * sizeof *shape);
    ok = cts_golden_near(g, golden, p, (size_t)cts_tensor_count(t), relative, absolute);
    free(v);
    free(p);
    return ok;
}

double cts_test_dot(const float *a, const float *b, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++)
        s += (double)a[i] * b[i];
    return s;
}

double cts_test_largest(const cts_golden *g, const char *prefix)
{
    double top = 0;

    for (size_t i = 0; i < cts_golden_count(g); i++) {
        const cts_golden_tensor *t = cts_golden_at(g, i);
        size_t n = strlen(t->name);
        bool part = n > 4 && (!strcmp(t->name + n - 4, ".idx") || !strcmp(t->name + n - 4, "hape") ||
                              !strcmp(t->name + n - 4, "stat"));
        float *v;

        if (part || strncmp(t->name, prefix, strlen(prefix)) != 0)
            continue;
        v = cts_golden_need_floats(g, "%s", t->name);
        for (size_t k = 0; k < t->count; k++)
            top = v[k] > top ? v[k] : -v[k] > top ? -v[k] : top;
        free(v);
    }
    assert_true(top > 0);
    return top;
}
