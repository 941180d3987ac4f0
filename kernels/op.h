/* What an op is: one row in ops.def, one struct cts_op_def in ops/<op>.c (builder, reference, gradient, cost).
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_OP_H
#define CTS_KERNELS_OP_H

#include "kernels/base/thread.h"
#include "kernels/tensor.h"

#define CTS_MAX_IN 10
#define CTS_MAX_OUT 6

struct cts_graph;

typedef enum {
#define CTS_OP(id, symbol) CTS_OP_##id,
#include "kernels/ops.def"
#undef CTS_OP
    CTS_OP_COUNT
} cts_op_kind;

typedef struct cts_node {
    cts_op_kind op;
    int id; /* position in the graph */
    int n_in, n_out;
    cts_tensor *in[CTS_MAX_IN]; /* NULL = optional input left out */
    cts_tensor *out[CTS_MAX_OUT];
    const void *attr; /* the op's own struct (ops.h), owned by the graph's arena; NULL when it has none */
    bool dead;        /* removed by cts_graph_prune() */
} cts_node;

/* One execution of one node. Views carry the extents of this run; an absent optional input has data == NULL. */
typedef struct {
    const cts_node *node;
    cts_view in[CTS_MAX_IN];
    cts_view out[CTS_MAX_OUT];
    void *scratch; /* as many bytes as the back end asked for, 64-byte aligned */
    cts_pool *pool;
    uint64_t seed; /* of the run: dropout mixes it with the node's stream and the step */
    uint64_t step;
} cts_call;

struct cts_op_def {
    const char *name;
    /* Plain scalar C, double sums, single-threaded: the oracle. Returns a status (only for impossible data, e.g. an
     * id out of range). */
    int (*ref)(const cts_call *c);
    /* Append backward nodes. dout[i] is NULL when no gradient reaches output i; need[i] says whether input i wants
     * one. Fill din[i] (same shape as in[i]) or leave NULL. NULL function: not differentiable (integers, backward ops).
     * */
    void (*grad)(struct cts_graph *g, const cts_node *n, cts_tensor *const *dout, const bool *need, cts_tensor **din);
    /* Multiply-accumulates as fvcore counts them (0 = not counted): convolution and linear = taps * Cin * Cout *
     * voxels, batch norm = 5 * elements, attention = both products. NULL = 0. */
    int64_t (*macs)(const cts_node *n);
    /* out[0] may overwrite in[inplace]'s memory when that input dies here; -1 = never. Element-wise ops only. */
    int inplace;
};

const struct cts_op_def *cts_op_def_of(cts_op_kind op);

#endif
