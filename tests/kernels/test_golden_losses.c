/* Loss values and gradients of losses.safetensors on the ref and the cpu back end: the published DCFormer loss (scale
 * e, eps 1e-20), InfoNCE and SigLIP with learned scales, binary cross entropy plain and weighted.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/autodiff.h"
#include "kernels/exec.h"
#include "kernels/ops.h"
#include "tests/support/golden.h"

#define FILE_NAME "losses.safetensors"

static cts_golden *golden;

static void must(int rc)
{
    if (rc)
        fail_msg("%s", cts_error());
}

/* ---- a graph of inputs named like the file's arrays, and one loss ---- */

typedef struct {
    cts_graph *g;
    cts_tensor *in[4], *loss, *dloss;
    float *data[4];
    bool wants[4];
    int n_in;
} loss_graph;

static cts_tensor *add_input(loss_graph *l, const char *array, const float *constant, bool wants)
{
    int64_t shape[8] = {1};
    int ndim = 1;

    if (constant) {
        l->data[l->n_in] = malloc(sizeof(float));
        assert_non_null(l->data[l->n_in]);
        *l->data[l->n_in] = *constant;
    } else {
        ndim = cts_golden_need_shape(golden, shape, "%s", array);
        l->data[l->n_in] = cts_golden_need_floats(golden, "%s", array);
    }
    l->in[l->n_in] = cts_graph_input(l->g, array, CTS_F32, ndim, shape, CTS_SYM_NONE);
    l->in[l->n_in]->want_grad = l->wants[l->n_in] = wants;
    return l->in[l->n_in++];
}

/* Compare the loss, and d.<input> with <prefix>.grad.<last part of the input's name>. */
static void check_values(const loss_graph *l, cts_exec *e, const char *prefix)
{
    char name[96];
    float loss;

    must(cts_exec_read(e, l->loss, &loss));
    snprintf(name, sizeof(name), "%s.loss", prefix);
    assert_true(cts_golden_near(golden, name, &loss, 1, -1.0, 0.0));
    for (int k = 0; k < l->n_in; k++) {
        const char *array = l->in[k]->name, *last = strrchr(array, '.') ? strrchr(array, '.') + 1 : array;
        int64_t n = cts_tensor_count(l->in[k]);
        float *got;

        if (!l->wants[k])
            continue;
        got = malloc((size_t)n * sizeof(float));
        assert_non_null(got);
        snprintf(name, sizeof(name), "d.%s", array);
        must(cts_exec_read(e, cts_graph_find(l->g, name), got));
        snprintf(name, sizeof(name), "%s.grad.%s", prefix, last);
        assert_true(cts_golden_near(golden, name, got, (size_t)n, -1.0, 0.0));
        free(got);
    }
}

static void run_on(const loss_graph *l, const char *backend, const char *prefix)
{
    cts_backend *b = NULL;
    cts_plan *plan = NULL;
    cts_exec *e = NULL;
    float one = 1.0f;

    must(cts_backend_create(&b, backend, NULL));
    must(cts_plan_create(&plan, l->g, b));
    must(cts_exec_create(&e, plan, b, NULL));
    for (int k = 0; k < l->n_in; k++)
        must(cts_exec_write(e, l->in[k], l->data[k]));
    must(cts_exec_forward(e, 0));
    must(cts_exec_write(e, l->dloss, &one));
    must(cts_exec_backward(e));
    check_values(l, e, prefix);
    cts_exec_destroy(e);
    cts_plan_destroy(plan);
    cts_backend_destroy(b);
}

/* Ends the graph. */
static void check_loss(loss_graph *l, const char *prefix)
{
    cts_graph_output(l->g, l->loss, "loss");
    must(cts_backward(l->g, 1, &l->loss, &l->dloss));
    run_on(l, "ref", prefix);
    run_on(l, "cpu", prefix);
    for (int k = 0; k < l->n_in; k++)
        free(l->data[k]);
    cts_graph_destroy(l->g);
}

/* ---- the losses ---- */

static void test_dcformer(void **state)
{
    loss_graph l = {0};
    cts_tensor *a, *b;
    float one = 1.0f;

    (void)state;
    must(cts_graph_create(&l.g, NULL));
    a = add_input(&l, "image", NULL, true);
    b = add_input(&l, "text", NULL, true);
    l.loss = cts_op_infonce(l.g, a, b, add_input(&l, "log_scale", &one, false), 1e-20f);
    check_loss(&l, "dcformer");
}

static void test_infonce(void **state)
{
    loss_graph l = {0};
    cts_tensor *a, *b;

    (void)state;
    must(cts_graph_create(&l.g, NULL));
    a = add_input(&l, "image", NULL, true);
    b = add_input(&l, "text", NULL, true);
    l.loss = cts_op_infonce(l.g, a, b, add_input(&l, "infonce.logit_scale", NULL, true), 0.0f);
    check_loss(&l, "infonce");
}

static void test_siglip(void **state)
{
    loss_graph l = {0};
    cts_tensor *a, *b, *scale;

    (void)state;
    must(cts_graph_create(&l.g, NULL));
    a = add_input(&l, "image", NULL, true);
    b = add_input(&l, "text", NULL, true);
    scale = add_input(&l, "siglip.logit_scale", NULL, true);
    l.loss = cts_op_siglip(l.g, a, b, scale, add_input(&l, "siglip.logit_bias", NULL, true));
    check_loss(&l, "siglip");
}

static void check_bce(bool weighted)
{
    loss_graph l = {0};
    cts_tensor *x, *y;

    must(cts_graph_create(&l.g, NULL));
    x = add_input(&l, "bce.logits", NULL, true);
    y = add_input(&l, "bce.labels", NULL, false);
    l.loss = cts_op_sigmoid_bce(l.g, x, y, weighted ? add_input(&l, "bce.pos_weight", NULL, false) : NULL);
    check_loss(&l, weighted ? "bce.weighted" : "bce.plain");
}

static void test_bce(void **state)
{
    (void)state;
    check_bce(false);
    check_bce(true);
}

static int open_golden(void **state)
{
    (void)state;
    golden = cts_golden_need(FILE_NAME);
    return 0;
}

static int close_golden(void **state)
{
    (void)state;
    cts_golden_close(golden);
    golden = NULL;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dcformer, open_golden, close_golden),
        cmocka_unit_test_setup_teardown(test_infonce, open_golden, close_golden),
        cmocka_unit_test_setup_teardown(test_siglip, open_golden, close_golden),
        cmocka_unit_test_setup_teardown(test_bce, open_golden, close_golden),
    };

    return cmocka_run_group_tests_name("golden_losses", tests, NULL, NULL);
}
