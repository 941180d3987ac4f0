/* The cpu back end's kernels at the shapes of a DCFormer-nano training step (8 volumes of 64 x 96 x 96) and of a
 * small BERT, forward and backward.
 *
 * bench_ops [threads [repetitions [part of a name]]]
 *
 * Each case is first run on one sample against the reference back end and must agree within its limit. Then the full
 * shape is run; printed are the median and least milliseconds of each op kind and, at the median, GFLOP/s for
 * products and GB/s (inputs and outputs once) for the rest. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/cpu_features.h"
#include "tests/support/op_cases.h"

typedef struct {
    const char *name; /* of the op case whose builder is used */
    const char *label;
    int64_t arg[CTS_CASE_ARGS];
    int64_t small; /* first argument while verifying */
} bench_case;

static const bench_case cases[] = {
    {"tap_gemm/1x7x1", "stem 7/4, axis 0, 1->32", {8, 64, 96, 96, 1, 32, 7, 1, 1, 4, -1}, 1},
    {"tap_gemm/1x7x1", "stem 3, axis 0, 32->32", {8, 16, 24, 24, 32, 32, 3, 1, 1, 1, 0}, 1},
    {"tap_gemm/1x7x1", "stem 3, axis 1, 32->32", {8, 16, 24, 24, 32, 32, 1, 3, 1, 1, 0}, 1},
    {"tap_gemm/1x7x1", "stem 3, axis 2, 32->32", {8, 16, 24, 24, 32, 32, 1, 1, 3, 1, 0}, 1},
    {"linear/3d", "MLP [9216, 32]->128", {8, 8, 12, 12, 32, 128, 0, 1}, 1},
    {"linear/3d", "MLP [9216, 128]->32", {8, 8, 12, 12, 128, 32, 0, 1}, 1},
    {"linear/odd", "BERT [500, 128]->512", {0, 0, 0, 500, 128, 512, 0, 1}, 0},
    {"linear/odd", "BERT [500, 768]->3072", {0, 0, 0, 500, 768, 3072, 0, 1}, 0},
    {"dwconv/axis0_3", "13, axis 0", {8, 8, 12, 12, 32, 0, 0, 13, 1}, 1},
    {"dwconv/axis0_3", "13, axis 1", {8, 8, 12, 12, 32, 0, 1, 13, 1}, 1},
    {"dwconv/axis0_3", "13, axis 2", {8, 8, 12, 12, 32, 0, 2, 13, 1}, 1},
    {"batch_norm/5d", "stem", {8, 16, 24, 24, 32, 0, 0}, 1},
    {"layer_norm/rows", "BERT", {0, 0, 8, 500, 768}, 0},
    {"act/gelu", "MLP", {0, 0, 0, 9216, 128, 0, CTS_ACT_GELU}, 0},
    {"add/odd", "stem", {8, 16, 24, 24, 32}, 1},
    {"max_pool/3_2_1", "stem", {8, 16, 24, 24, 32, 0, 3, 2, 1}, 1},
    {"attention/packed", "500 tokens, 4 heads of 32", {500, 4, 32, 1, 0, -1, -1}, 0},
    {"attention/band", "2048 tokens, band 16", {2048, 4, 64, 0, 0, 16, 16}, 0},
    {"attention/band", "2048 tokens, band 64", {2048, 4, 64, 0, 0, 64, 64}, 0},
    {"attention/band", "2048 tokens, band 256", {2048, 4, 64, 0, 0, 256, 256}, 0},
    {"attention/band", "2048 tokens, all", {2048, 4, 64, 0, 0, -1, -1}, 0},
    {"dropout/half", "BERT", {0, 0, 8, 500, 768, 0, 10}, 0},
};

static void fail_bench(const char *what, const char *detail)
{
    fprintf(stderr, "bench_ops: %s: %s\n", what, detail);
    exit(1);
}

static cts_op_case shaped(const bench_case *c, bool small)
{
    cts_op_case def = *cts_op_case_find(c->name);

    memcpy(def.arg, c->arg, sizeof def.arg);
    if (small && c->small)
        def.arg[0] = c->small;
    return def;
}

static void verify(const bench_case *c, cts_backend *cpu)
{
    cts_op_case def = shaped(c, true);
    cts_backend *ref = NULL;
    cts_case_run *want, *got;
    char where[96];

    if (cts_backend_create(&ref, "ref", NULL))
        fail_bench("ref", "no back end");
    want = cts_case_open(&def, ref, true);
    got = cts_case_open(&def, cpu, true);
    if (cts_case_go(want) || cts_case_go(got))
        fail_bench(c->label, "a run failed");
    if (!(cts_case_compare(want, got, def.limit, where) <= 1.0))
        fail_bench(c->label, where);
    cts_case_close(want);
    cts_case_close(got);
    cts_backend_destroy(ref);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double bytes_of(const cts_node *n)
{
    double sum = 0.0;

    for (int i = 0; i < n->n_in; i++)
        if (n->in[i])
            sum += (double)cts_tensor_count(n->in[i]) * (double)cts_dtype_bytes(n->in[i]->dtype);
    for (int i = 0; i < n->n_out; i++)
        sum += (double)cts_tensor_count(n->out[i]) * (double)cts_dtype_bytes(n->out[i]->dtype);
    return sum;
}

/* Counted work of the case's one dense product; the backward products cost the same. */
static double product_flop(const cts_graph *g)
{
    for (int i = 0; i < cts_graph_n_nodes(g); i++)
        if (cts_graph_node_at(g, i)->op == CTS_OP_TAP_GEMM)
            return 2.0 * (double)cts_op_def_of(CTS_OP_TAP_GEMM)->macs(cts_graph_node_at(g, i));
    return 0.0;
}

static void print_op(const bench_case *c, const cts_graph *g, int op, double *t, int reps)
{
    double bytes = 0.0, ms;
    int nodes = 0;
    bool dense = op == CTS_OP_TAP_GEMM || op == CTS_OP_TAP_DGRAD || op == CTS_OP_TAP_WGRAD;

    for (int i = 0; i < cts_graph_n_nodes(g); i++)
        if (!cts_graph_node_at(g, i)->dead && (int)cts_graph_node_at(g, i)->op == op) {
            bytes += bytes_of(cts_graph_node_at(g, i));
            nodes++;
        }
    qsort(t, (size_t)reps, sizeof *t, ascending);
    ms = 1e3 * t[reps / 2];
    if (!nodes || op == CTS_OP_SCALE || op == CTS_OP_ACCUMULATE ||
        (op == CTS_OP_ADD && strncmp(c->name, "add/", 4) != 0))
        return; /* the case's scaffolding */
    printf("%-28s %-18s %9.3f ms  fastest %9.3f  %8.1f %s\n", c->label, cts_op_def_of((cts_op_kind)op)->name, ms,
           1e3 * t[0], 1e-6 * (dense ? product_flop(g) : bytes) / ms, dense ? "GFLOP/s" : "GB/s");
}

static void measure(const bench_case *c, cts_backend *cpu, int reps)
{
    cts_op_case def = shaped(c, false);
    cts_case_run *r = cts_case_open(&def, cpu, true);
    double *t = calloc((size_t)CTS_OP_COUNT * (size_t)reps, sizeof *t);

    for (int i = -1; t && i < reps; i++) {
        cts_exec_profile(r->exec, true);
        if (cts_case_go(r))
            fail_bench(c->label, "a run failed");
        for (int k = 0; i >= 0 && k < CTS_OP_COUNT; k++)
            t[k * reps + i] = cts_exec_seconds(r->exec)[k];
    }
    for (int k = 0; t && k < CTS_OP_COUNT; k++)
        print_op(c, r->c.g, k, t + k * reps, reps);
    free(t);
    cts_case_close(r);
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 0, reps = argc > 2 && atoi(argv[2]) > 0 ? atoi(argv[2]) : 15;
    cts_pool *pool = NULL;
    cts_backend *cpu = NULL;

    if (cts_pool_create(&pool, threads) || cts_backend_create(&cpu, "cpu", pool))
        fail_bench("cpu", "no back end");
    printf("%d threads, %s\n", cts_pool_size(pool), cts_cpu_features_text());
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (argc > 3 && !strstr(cases[i].name, argv[3]) && !strstr(cases[i].label, argv[3]))
            continue;
        verify(&cases[i], cpu);
        measure(&cases[i], cpu, reps);
    }
    cts_backend_destroy(cpu);
    cts_pool_destroy(pool);
    return 0;
}
