/* The graph: builders append nodes in execution order; autodiff appends the backward nodes as ordinary nodes.
 * A graph holds shapes and names only, never data. Lists that cannot grow are recorded: cts_graph_status() is asked
 * once at the end; out of memory for a node itself asserts (a graph is a few hundred KB). One thread per graph; a
 * finished graph may be read by many.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_GRAPH_H
#define CTS_KERNELS_GRAPH_H

#include "kernels/base/arena.h"
#include "kernels/op.h"
#include "kernels/params.h"

typedef struct cts_graph cts_graph;

typedef struct {
    cts_tensor *state; /* STATE tensor to be replaced ... */
    cts_tensor *value; /* ... by this after a successful training run */
} cts_state_update;

int cts_graph_create(cts_graph **out, cts_params *params /* borrowed; may be NULL when no parameters are declared */);
void cts_graph_destroy(cts_graph *g); /* NULL allowed; ends all tensors and nodes */
cts_params *cts_graph_params(const cts_graph *g);

/* Leaves. */
cts_tensor *cts_graph_input(cts_graph *g, const char *name, cts_dtype dtype, int ndim, const int64_t *shape,
                            cts_sym sym);
/* The PARAM or STATE tensor of entry `param` of the graph's cts_params; one tensor per entry and graph. */
cts_tensor *cts_graph_param(cts_graph *g, int param);
/* The GRAD tensor of entry `param`, one per entry and graph (used by autodiff). */
cts_tensor *cts_graph_grad(cts_graph *g, int param);
/* Keep t after a run, readable under `name`. Names are unique. */
void cts_graph_output(cts_graph *g, cts_tensor *t, const char *name);
/* After a run with CTS_RUN_UPDATE_STATE, state takes the value of `value`. */
void cts_graph_update_state(cts_graph *g, cts_tensor *state, cts_tensor *value);
/* Cut the graph at the intermediate t: it becomes an INPUT `name` (no output any more), and what only served to make it
 * is pruned. Before
 * backward. What reads around t (its producer's other outputs, the tensor it is a view of) still does. */
void cts_graph_cut(cts_graph *g, cts_tensor *t, const char *name);
/* Mark an intermediate to be made again in backward instead of being kept. */
void cts_graph_recompute(cts_tensor *t);
/* Layout of a tensor that is not a view, for kernels that read past rows or suffer from strides of 4,096 bytes: at
 * least `before` and `behind` elements of zeroed guard, and rows and planes further apart than dense. stride [ndim] in
 * elements (NULL = dense), not smaller than dense ones, the last one 1. What lies in gaps and guards is zero before the
 * first run and nobody writes it. Several calls: the larger guard wins. */
void cts_graph_layout(cts_tensor *t, int64_t before, int64_t behind, const int64_t *stride);
/* Input or output by name; NULL = none. */
cts_tensor *cts_graph_find(const cts_graph *g, const char *name);

/* For op builders: a node with n_in inputs (copied, NULLs allowed), attr copied. Outputs are added with
 * cts_node_out(). */
cts_node *cts_graph_node(cts_graph *g, cts_op_kind op, int n_in, cts_tensor *const *in, const void *attr,
                         size_t attr_bytes);
cts_tensor *cts_node_out(cts_graph *g, cts_node *n, const char *name, cts_dtype dtype, int ndim, const int64_t *shape,
                         cts_sym sym);
cts_tensor *cts_node_out_like(cts_graph *g, cts_node *n, const char *name, const cts_tensor *like);
/* A view of t with another shape of the same count, used by the reshape builder. */
cts_tensor *cts_node_out_view(cts_graph *g, cts_node *n, const char *name, cts_tensor *t, int ndim,
                              const int64_t *shape, cts_sym sym);
void *cts_graph_alloc(cts_graph *g, size_t n); /* arena memory of the graph; never NULL (see status) */
/* A number no other node of this graph has: the random stream of a dropout. Kept by recompute. */
uint64_t cts_graph_stream(cts_graph *g);

int cts_graph_status(const cts_graph *g);
int cts_graph_n_nodes(const cts_graph *g);
cts_node *cts_graph_node_at(const cts_graph *g, int i);
int cts_graph_n_tensors(const cts_graph *g);
cts_tensor *cts_graph_tensor_at(const cts_graph *g, int i);
int cts_graph_n_updates(const cts_graph *g);
cts_state_update cts_graph_update_at(const cts_graph *g, int i);
/* Nodes [0, n_forward) are the forward pass; equal to n_nodes without backward. */
int cts_graph_n_forward(const cts_graph *g);
void cts_graph_set_forward(cts_graph *g, int n);
/* Mark nodes dead whose outputs reach no pinned output, state update or accumulate. */
void cts_graph_prune(cts_graph *g);
/* Sum of macs over live forward nodes. */
int64_t cts_graph_macs(const cts_graph *g);

#endif
