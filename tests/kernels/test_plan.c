/* Graph, autodiff, plan and exec: liveness never overlaps live tensors, in-place and recompute change nothing,
 * extents, states, a back end with memory of its own.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/autodiff.h"
#include "kernels/base/arena.h"
#include "kernels/base/rng.h"
#include "kernels/base/status.h"
#include "kernels/exec.h"
#include "kernels/ops.h"

#define SEED 7u
#define ROWS 12
#define WIDTH 6

/* x -> linear -> gelu -> linear -> + x -> batch norm -> y, twice; weights w0.. */
typedef struct {
    cts_params *params;
    cts_graph *g;
    cts_tensor *x, *y, *dy;
    cts_plan *plan;
    cts_backend *b;
    cts_grads *grads;
    cts_exec *e;
} net;

static cts_tensor *param(net *n, const char *name, bool state, double init, int ndim, int64_t d0, int64_t d1)
{
    int64_t shape[2] = {d0, d1};
    int i = cts_params_declare(n->params, name, state, ndim > 1,
                               ndim > 1 ? (cts_init){CTS_INIT_NORMAL, init} : cts_init_const(init), ndim, shape);

    assert_true(i >= 0);
    return cts_graph_param(n->g, i);
}

static cts_tensor *layer(net *n, cts_tensor *x, int k, bool recompute)
{
    char name[5][16];
    cts_tensor *h, *y;
    static const char *const what[5] = {"w%d.a", "w%d.b", "bn%d.w", "bn%d.b", "bn%d.m"};
    char var[16];

    for (int i = 0; i < 5; i++)
        snprintf(name[i], sizeof name[i], what[i], k);
    snprintf(var, sizeof var, "bn%d.v", k);
    h = cts_op_linear(n->g, x, param(n, name[0], false, 0.5, 2, 4 * WIDTH, WIDTH), NULL);
    if (recompute)
        cts_graph_recompute(h);
    h = cts_op_act(n->g, h, CTS_ACT_GELU);
    if (recompute)
        cts_graph_recompute(h);
    y = cts_op_add(n->g, x, cts_op_linear(n->g, h, param(n, name[1], false, 0.5, 2, WIDTH, 4 * WIDTH), NULL));
    return cts_op_batch_norm(n->g, y, param(n, name[2], false, 1, 1, WIDTH, 0),
                             param(n, name[3], false, 0, 1, WIDTH, 0), param(n, name[4], true, 0, 1, WIDTH, 0),
                             param(n, var, true, 1, 1, WIDTH, 0), 1e-5f, 0.1f);
}

static void make(net *n, const char *backend, cts_backend *given, bool backward, bool recompute)
{
    const int64_t shape[2] = {ROWS, WIDTH};

    memset(n, 0, sizeof *n);
    assert_int_equal(cts_params_create(&n->params), CTS_OK);
    assert_int_equal(cts_graph_create(&n->g, n->params), CTS_OK);
    n->x = cts_graph_input(n->g, "x", CTS_F32, 2, shape, CTS_SYM_BATCH);
    n->x->want_grad = true;
    n->y = layer(n, layer(n, n->x, 0, recompute), 1, recompute);
    cts_graph_output(n->g, n->y, "y");
    if (backward)
        assert_int_equal(cts_backward(n->g, 1, &n->y, &n->dy), CTS_OK);
    assert_int_equal(cts_params_init(n->params, SEED), CTS_OK);
    assert_int_equal(cts_grads_create(&n->grads, n->params), CTS_OK);
    if (given)
        n->b = given;
    else
        assert_int_equal(cts_backend_create(&n->b, backend, NULL), CTS_OK);
    assert_int_equal(cts_plan_create(&n->plan, n->g, n->b), CTS_OK);
    assert_int_equal(cts_exec_create(&n->e, n->plan, n->b, n->grads), CTS_OK);
}

static void end(net *n)
{
    cts_exec_destroy(n->e);
    cts_plan_destroy(n->plan);
    cts_backend_destroy(n->b);
    cts_grads_destroy(n->grads);
    cts_graph_destroy(n->g);
    cts_params_destroy(n->params);
}

static void fill(float *v, int n, uint64_t key)
{
    for (int i = 0; i < n; i++)
        v[i] = (float)(2 * cts_rng_unit_at(key, (uint64_t)i) - 1);
}

static void run(net *n, int64_t rows, float *y, float *dx)
{
    float x[ROWS * WIDTH], dy[ROWS * WIDTH];

    fill(x, ROWS * WIDTH, 1);
    fill(dy, ROWS * WIDTH, 2);
    cts_exec_set_extent(n->e, CTS_SYM_BATCH, rows);
    assert_int_equal(cts_exec_write(n->e, n->x, x), CTS_OK);
    assert_int_equal(cts_exec_forward(n->e, CTS_RUN_UPDATE_STATE), CTS_OK);
    assert_int_equal(cts_exec_read(n->e, n->y, y), CTS_OK);
    if (!n->dy)
        return;
    cts_grads_zero(n->grads);
    assert_int_equal(cts_exec_write(n->e, n->dy, dy), CTS_OK);
    assert_int_equal(cts_exec_backward(n->e), CTS_OK);
    assert_int_equal(cts_exec_read(n->e, cts_graph_find(n->g, "d.x"), dx), CTS_OK);
}

static void same(const net *a, const net *b)
{
    for (int i = 0; i < cts_params_n(a->params); i++) {
        const cts_param *p = cts_params_get(a->params, i), *q = cts_params_get(b->params, i);
        size_t bytes = (size_t)p->count * sizeof(float);

        assert_memory_equal(p->data, q->data, bytes); /* running statistics included */
        if (a->grads->data[i])
            assert_memory_equal(a->grads->data[i], b->grads->data[i], bytes);
    }
}

/* Every byte range that is live at a node is disjoint from every other one there. */
static void test_live_tensors_never_overlap(void **state)
{
    net n;

    (void)state;
    make(&n, "ref", NULL, true, false);
    for (int i = 0; i < cts_graph_n_nodes(n.g); i++) {
        const cts_node *a = cts_graph_node_at(n.g, i);

        for (int k = 0; !a->dead && k < a->n_out; k++) {
            const cts_tensor *o = a->out[k];
            size_t lo = cts_plan_offset(n.plan, o), hi = lo + (size_t)cts_tensor_count(o) * 4;

            if (o->base)
                continue;
            for (int j = 0; j < a->n_in; j++) { /* an input overlaps only when it is taken over whole */
                const cts_tensor *t = a->in[j];
                size_t at = t ? cts_plan_offset(n.plan, t) : SIZE_MAX;

                if (at == SIZE_MAX || (at == lo && cts_op_def_of(a->op)->inplace == j))
                    continue;
                assert_true(at + (size_t)cts_tensor_count(t) * 4 <= lo || at >= hi);
            }
        }
    }
    assert_true(cts_plan_get_info(n.plan).n_inplace > 0);
    assert_true(cts_plan_get_info(n.plan).arena_bytes < cts_plan_get_info(n.plan).sum_bytes);
    end(&n);
}

/* Recomputing makes the same numbers to the bit, with less memory. */
static void test_recompute_changes_memory_only(void **state)
{
    float ya[ROWS * WIDTH], yb[ROWS * WIDTH], da[ROWS * WIDTH], db[ROWS * WIDTH];
    net a, b;

    (void)state;
    make(&a, "ref", NULL, true, false);
    make(&b, "ref", NULL, true, true);
    run(&a, ROWS, ya, da);
    run(&b, ROWS, yb, db);
    assert_memory_equal(ya, yb, sizeof ya);
    assert_memory_equal(da, db, sizeof da);
    same(&a, &b);
    assert_true(cts_plan_get_info(b.plan).n_recomputed >= 4);
    assert_true(cts_plan_get_info(b.plan).arena_bytes < cts_plan_get_info(a.plan).arena_bytes);
    printf("arena %zu -> %zu bytes\n", cts_plan_get_info(a.plan).arena_bytes, cts_plan_get_info(b.plan).arena_bytes);
    end(&a);
    end(&b);
}

/* A smaller extent on a large plan equals a run again on the same plan, and differs from the full batch. */
static void test_extents(void **state)
{
    float y[ROWS * WIDTH], again[ROWS * WIDTH], d[ROWS * WIDTH];
    net a, b;

    (void)state;
    make(&a, "ref", NULL, true, false);
    make(&b, "ref", NULL, true, false);
    run(&a, 5, y, d);
    run(&b, ROWS, again, d); /* leaves other values in the arena */
    memcpy(cts_params_at(b.params, cts_params_find(b.params, "bn0.m"))->data,
           cts_params_get(a.params, cts_params_find(a.params, "bn0.m"))->data, 4 * WIDTH);
    run(&b, 5, again, d);
    assert_memory_equal(y, again, 5 * WIDTH * sizeof *y);
    end(&a);
    end(&b);
}

/* Gradients are added: a second backward run without zeroing doubles them. */
static void test_gradients_accumulate(void **state)
{
    float y[ROWS * WIDTH], d[ROWS * WIDTH], dy[ROWS * WIDTH], x[ROWS * WIDTH], first[4 * WIDTH * WIDTH];
    net n;
    int w;

    (void)state;
    make(&n, "ref", NULL, true, false);
    run(&n, ROWS, y, d);
    w = cts_params_find(n.params, "w0.a");
    memcpy(first, n.grads->data[w], sizeof first);
    fill(x, ROWS * WIDTH, 1);
    fill(dy, ROWS * WIDTH, 2);
    assert_int_equal(cts_exec_write(n.e, n.x, x), CTS_OK);
    assert_int_equal(cts_exec_forward(n.e, 0), CTS_OK);
    assert_int_equal(cts_exec_write(n.e, n.dy, dy), CTS_OK);
    assert_int_equal(cts_exec_backward(n.e), CTS_OK);
    for (int i = 0; i < 4 * WIDTH * WIDTH; i++)
        assert_true(n.grads->data[w][i] == 2 * first[i]);
    end(&n);
}

/* A frozen parameter gets no gradient; a graph in which everything is frozen is refused with a hint. */
static void test_frozen(void **state)
{
    const int64_t shape[2] = {3, WIDTH};
    cts_params *p = NULL;
    cts_graph *g = NULL;
    cts_tensor *x, *y, *dy = NULL;
    int64_t ws[2] = {WIDTH, WIDTH};

    (void)state;
    assert_int_equal(cts_params_create(&p), CTS_OK);
    assert_int_equal(cts_graph_create(&g, p), CTS_OK);
    x = cts_graph_input(g, "x", CTS_F32, 2, shape, CTS_SYM_NONE);
    y = cts_op_linear(g, x, cts_graph_param(g, cts_params_declare(p, "w", false, true, cts_init_const(1), 2, ws)),
                      NULL);
    cts_graph_output(g, y, "y");
    assert_int_equal(cts_params_freeze(p, "w", true), 1);
    assert_int_equal(cts_backward(g, 1, &y, &dy), CTS_E_INPUT);
    assert_non_null(strstr(cts_error(), "frozen"));
    cts_graph_destroy(g);
    cts_params_destroy(p);
}

/* Two inputs that share one gradient tensor, and one whose gradient is the given output gradient itself. */
static void test_shared_input_gradient(void **state)
{
    const int64_t shape[2] = {2, 3};
    cts_graph *g = NULL;
    cts_tensor *a, *b, *y, *dy = NULL;
    cts_plan *plan = NULL;
    cts_backend *be = NULL;
    cts_exec *e = NULL;
    float va[6], vb[6], got[6], d[6];

    (void)state;
    assert_int_equal(cts_graph_create(&g, NULL), CTS_OK);
    a = cts_graph_input(g, "a", CTS_F32, 2, shape, CTS_SYM_NONE);
    b = cts_graph_input(g, "b", CTS_F32, 2, shape, CTS_SYM_NONE);
    a->want_grad = b->want_grad = true;
    y = cts_op_add(g, a, b);
    cts_graph_output(g, y, "y");
    assert_int_equal(cts_backward(g, 1, &y, &dy), CTS_OK);
    assert_int_equal(cts_backend_create(&be, "ref", NULL), CTS_OK);
    assert_int_equal(cts_plan_create(&plan, g, be), CTS_OK);
    assert_int_equal(cts_exec_create(&e, plan, be, NULL), CTS_OK);
    fill(va, 6, 1);
    fill(vb, 6, 2);
    fill(d, 6, 3);
    assert_int_equal(cts_exec_write(e, a, va), CTS_OK);
    assert_int_equal(cts_exec_write(e, b, vb), CTS_OK);
    assert_int_equal(cts_exec_forward(e, 0), CTS_OK);
    assert_int_equal(cts_exec_write(e, dy, d), CTS_OK);
    assert_int_equal(cts_exec_backward(e), CTS_OK);
    assert_int_equal(cts_exec_read(e, cts_graph_find(g, "d.a"), got), CTS_OK);
    assert_memory_equal(got, d, sizeof d);
    assert_int_equal(cts_exec_read(e, cts_graph_find(g, "d.b"), got), CTS_OK);
    assert_memory_equal(got, d, sizeof d);
    cts_exec_destroy(e);
    cts_plan_destroy(plan);
    cts_backend_destroy(be);
    cts_graph_destroy(g);
}

/* Padded rows and planes and guards around an input and an intermediate: same numbers, zeros stay in the gaps,
 * copies go element for element. */
static void test_layout(void **state)
{
    const int64_t shape[5] = {2, 3, 4, 5, 2}, padded[5] = {300, 80, 16, 2, 1};
    float x[240], y[2][240];

    (void)state;
    for (int pad = 0; pad < 2; pad++) {
        cts_graph *g = NULL;
        cts_tensor *in, *mid, *out;
        cts_plan *plan = NULL;
        cts_backend *b = NULL;
        cts_exec *e = NULL;

        assert_int_equal(cts_graph_create(&g, NULL), CTS_OK);
        in = cts_graph_input(g, "x", CTS_F32, 5, shape, CTS_SYM_BATCH);
        mid = cts_op_scale(g, in, 2.0f);
        out = cts_op_max_pool(g, mid, 3, 1, 1);
        cts_graph_output(g, mid, "mid");
        cts_graph_output(g, out, "y");
        if (pad) {
            cts_graph_layout(in, 7, 9, padded);
            cts_graph_layout(mid, 33, 5, padded);
        }
        assert_int_equal(cts_backend_create(&b, "ref", NULL), CTS_OK);
        assert_int_equal(cts_plan_create(&plan, g, b), CTS_OK);
        assert_int_equal(cts_exec_create(&e, plan, b, NULL), CTS_OK);
        fill(x, 240, 5);
        assert_int_equal(cts_exec_write(e, in, x), CTS_OK);
        assert_int_equal(cts_exec_forward(e, 0), CTS_OK);
        assert_int_equal(cts_exec_read(e, out, y[pad]), CTS_OK);
        if (pad) {
            float back[240];

            assert_int_equal(cts_exec_read(e, mid, back), CTS_OK);
            for (int i = 0; i < 240; i++)
                assert_true(back[i] == 2.0f * x[i]);
            assert_true(cts_plan_offset(plan, mid) % 64 == 0);
            assert_int_equal(cts_tensor_span(mid), 1 + 300 + 2 * 80 + 3 * 16 + 4 * 2 + 1);
        }
        cts_exec_destroy(e);
        cts_plan_destroy(plan);
        cts_backend_destroy(b);
        cts_graph_destroy(g);
    }
    assert_memory_equal(y[0], y[1], sizeof y[0]);
}

static int counted_copy(cts_backend *b, void *dst, const void *src, size_t bytes)
{
    (void)b;
    memcpy(dst, src, bytes);
    return CTS_OK;
}

/* `ref` that claims memory of its own, as a device has: parameters, states and gradients travel, the numbers stay. */
static void test_back_end_with_its_own_memory(void **state)
{
    float ya[ROWS * WIDTH], yb[ROWS * WIDTH], da[ROWS * WIDTH], db[ROWS * WIDTH];
    cts_backend *device = NULL;
    net a, b;

    (void)state;
    assert_int_equal(cts_backend_create(&device, "ref", NULL), CTS_OK);
    device->host = false;
    device->upload = device->download = device->copy = counted_copy;
    make(&a, "ref", NULL, true, false);
    make(&b, NULL, device, true, false);
    for (int i = 0; i < 2; i++) { /* twice: states updated on the device are used there */
        run(&a, ROWS, ya, da);
        run(&b, ROWS, yb, db);
    }
    assert_memory_equal(ya, yb, sizeof ya);
    assert_memory_equal(da, db, sizeof da);
    same(&a, &b);
    end(&a);
    end(&b);
}

static void test_backend_names(void **state)
{
    cts_backend *b = NULL;

    (void)state;
    assert_int_equal(cts_backend_create(&b, "abacus", NULL), CTS_E_USAGE);
    assert_non_null(strstr(cts_error(), "abacus"));
    assert_null(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_tensors_never_overlap),
        cmocka_unit_test(test_recompute_changes_memory_only),
        cmocka_unit_test(test_extents),
        cmocka_unit_test(test_gradients_accumulate),
        cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_shared_input_gradient),
        cmocka_unit_test(test_back_end_with_its_own_memory),
        cmocka_unit_test(test_backend_names),
        cmocka_unit_test(test_layout),
    };

    printf("seed %u\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
