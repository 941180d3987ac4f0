/* A tiny graph with its data: what one op case builds, and its execution on any back end.
 *
 * A case's build function makes leaves (inputs, parameters, states) with numbers from the case's name and says which
 * tensors are outputs. The runner then appends the backward pass (for differentiable cases; every output gets random
 * output gradients), plans, runs, and reads every output, state, parameter gradient and input gradient into one list of
 * named arrays, so that two back ends can be compared value by value. All numbers are multiples of 2^-10: x + h is
 * exact for the steps of finite differences. Ends the running cmocka test on any failure of the runtime. One thread.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_SUPPORT_OP_RUN_H
#define CTS_TESTS_SUPPORT_OP_RUN_H

#include "kernels/exec.h"
#include "kernels/ops.h"

#define CTS_CASE_LEAVES 16
#define CTS_CASE_OUTS 6
#define CTS_CASE_ARGS 12

typedef enum {
    CTS_FILL_UNIFORM,  /* shift + [-scale, scale) */
    CTS_FILL_AWAY,     /* the same, but at least 1/8 from shift: for functions with a kink there */
    CTS_FILL_DISTINCT, /* shift + a shuffled grid of step scale: no two alike, for maxima */
    CTS_FILL_TIES      /* shift + scale * {-1, 0, 1} */
} cts_fill_kind;

typedef struct {
    cts_fill_kind kind;
    double shift, scale;
} cts_fill;

static inline cts_fill cts_uniform(double shift, double scale)
{
    return (cts_fill){CTS_FILL_UNIFORM, shift, scale};
}

/* One leaf; exactly one of f and i is set. n counts the full shape. */
typedef struct {
    const char *name;
    cts_tensor *input; /* NULL for parameters and states */
    int param;         /* -1 for inputs */
    bool grad;         /* takes part in the gradient check */
    cts_fill fill;
    float *f; /* inputs: [n], ours; parameters: the cts_params entry's memory */
    int32_t *i;
    int64_t n;
} cts_case_leaf;

typedef struct {
    cts_graph *g;
    cts_params *params;
    uint64_t seed;
    int n_leaf, n_out;
    cts_case_leaf leaf[CTS_CASE_LEAVES];
    cts_tensor *out[CTS_CASE_OUTS];
    int64_t extent[CTS_SYM_COUNT]; /* of the run; 0 = the planned one */
} cts_case_graph;

typedef struct {
    const char *name; /* "<op>/<what>" */
    void (*build)(cts_case_graph *c, const int64_t *arg);
    int64_t arg[CTS_CASE_ARGS];
    bool differentiable; /* false: forward only, as for ops of inference */
    bool smooth;         /* finite differences make sense at its numbers */
    double limit;        /* cpu against ref: |a - b| <= limit * (rms(tensor) + |b| + 2e-3); 0 = equal */
} cts_op_case;

/* ---- leaves ---- */

/* f32 input whose gradient is asked for; what comes back is a copy of it (scale by 1), so that the op under test may
 * work in place. */
cts_tensor *cts_case_x(cts_case_graph *c, int ndim, const int64_t *shape, cts_sym sym, cts_fill fill);
/* f32 input without gradient. */
cts_tensor *cts_case_const(cts_case_graph *c, int ndim, const int64_t *shape, cts_sym sym, cts_fill fill);
/* i32 input of n values in [0, below), or those of `values` when it is not NULL. */
cts_tensor *cts_case_ids(cts_case_graph *c, int64_t n, cts_sym sym, int32_t below, const int32_t *values);
cts_tensor *cts_case_param(cts_case_graph *c, int ndim, const int64_t *shape, cts_fill fill);
cts_tensor *cts_case_state(cts_case_graph *c, int ndim, const int64_t *shape, cts_fill fill);
void cts_case_out(cts_case_graph *c, cts_tensor *t);

/* ---- execution ---- */

typedef struct {
    char name[48];
    int64_t n; /* elements of the run */
    float *v;
    bool gradient;
    int leaf; /* whose gradient it is; -1 */
} cts_case_value;

typedef struct {
    const cts_op_case *def;
    cts_case_graph c;
    cts_plan *plan;
    cts_exec *exec;
    cts_grads *grads;
    cts_tensor *dout[CTS_CASE_OUTS];
    float *weight[CTS_CASE_OUTS]; /* the output gradients */
    int n_value;
    cts_case_value value[CTS_CASE_OUTS + 2 * CTS_CASE_LEAVES];
} cts_case_run;

/* The back end must outlive the run. backward false leaves the backward pass out. */
cts_case_run *cts_case_open(const cts_op_case *def, cts_backend *b, bool backward);
void cts_case_close(cts_case_run *r);
/* Write the leaves, run forward and (where built) backward from zeroed gradients, read all values. Returns the status
 * of the run. */
int cts_case_go(cts_case_run *r);
/* Forward only; the sum over outputs of weight * out in double. *rms, when asked: root of the sum of squares of the
 * terms. */
double cts_case_loss(cts_case_run *r, double *rms);
/* The largest part of limit * (rms of the wanted array + |wanted| + 2e-3) that any value uses, 0 when all are
 * equal, NaN or infinite where nothing can pass; where, at least 96 bytes: array, place, both values. */
double cts_case_compare(const cts_case_run *want, const cts_case_run *got, double limit, char *where);
/* True when all values agree to the bit. */
bool cts_case_same_bits(const cts_case_run *a, const cts_case_run *b);
int64_t cts_case_extent(const cts_case_graph *c, const cts_tensor *t); /* elements of t in this run */

#endif
