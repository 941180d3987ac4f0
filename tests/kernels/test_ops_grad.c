/* Every differentiable op: the gradient functions on the ref back end against finite differences of the references.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernels/base/status.h"
#include "tests/support/gradcheck.h"
#include "tests/support/op_cases.h"

static void check_case(void **state)
{
    const cts_op_case *def = *state;
    cts_backend *b = NULL;
    double used = 0.0;
    int misses;

    assert_int_equal(cts_backend_create(&b, "ref", NULL), CTS_OK);
    misses = cts_gradcheck(def, b, 24, &used);
    printf("%-32s %5.1f%% of the limit\n", def->name, used);
    cts_backend_destroy(b);
    assert_int_equal(misses, 0);
}

/* Ops whose gradient function exists but which no smooth case reaches: each is named with its reason. */
static const cts_op_kind not_by_differences[] = {
    CTS_OP_CAST, /* a staircase; test_ops_ref.c checks that its gradient is passed through */
    CTS_OP_VQ,   /* a staircase too; the same */
};

/* The table must reach every op that has a gradient. */
static void test_all_reached(void **state)
{
    bool reached[CTS_OP_COUNT] = {false};
    cts_backend *b = NULL;

    (void)state;
    assert_int_equal(cts_backend_create(&b, "ref", NULL), CTS_OK);
    for (size_t k = 0; k < sizeof(not_by_differences) / sizeof(not_by_differences[0]); k++)
        reached[not_by_differences[k]] = true;
    for (int i = 0; i < cts_n_op_cases; i++) {
        cts_case_run *r;

        if (!cts_op_cases[i].differentiable || !cts_op_cases[i].smooth)
            continue;
        r = cts_case_open(&cts_op_cases[i], b, false);
        for (int k = 0; k < cts_graph_n_nodes(r->c.g); k++)
            reached[cts_graph_node_at(r->c.g, k)->op] = true;
        cts_case_close(r);
    }
    for (int op = 0; op < CTS_OP_COUNT; op++)
        if (cts_op_def_of((cts_op_kind)op)->grad && !reached[op])
            fail_msg("%s has a gradient and no smooth case in op_cases.c", cts_op_def_of((cts_op_kind)op)->name);
    cts_backend_destroy(b);
}

int main(void)
{
    struct CMUnitTest *test = calloc((size_t)cts_n_op_cases + 1, sizeof(*test));
    int n = 0, rc;

    if (!test)
        return 1;
    test[n++] = (struct CMUnitTest)cmocka_unit_test(test_all_reached);
    for (int i = 0; i < cts_n_op_cases; i++)
        if (cts_op_cases[i].differentiable && cts_op_cases[i].smooth)
            test[n++] = (struct CMUnitTest){cts_op_cases[i].name, check_case, NULL, NULL, (void *)&cts_op_cases[i]};
    rc = _cmocka_run_group_tests("ops_grad", test, (size_t)n, NULL, NULL);
    free(test);
    return rc;
}
