/* The memory plan of a graph: every tensor gets an offset in one arena by liveness (in place where the last reader
 * allows).
 * Immutable after creation. SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_PLAN_H
#define CTS_KERNELS_PLAN_H

#include "kernels/backend.h"

typedef struct cts_plan cts_plan;

typedef struct {
    size_t arena_bytes;   /* activations, inputs, outputs at their worst case: the peak */
    size_t scratch_bytes; /* largest scratch of a node */
    size_t sum_bytes;     /* what it would be without reuse */
    int n_nodes, n_forward, n_inplace, n_recomputed;
} cts_plan_info;

/* Prunes g, then plans it for the back end (scratch). The graph must outlive the plan. */
int cts_plan_create(cts_plan **out, cts_graph *g, const cts_backend *b);
void cts_plan_destroy(cts_plan *p);
cts_plan_info cts_plan_get_info(const cts_plan *p);
cts_graph *cts_plan_graph(const cts_plan *p);
/* Arena offset of a tensor's memory (of its base for views); SIZE_MAX for parameters, states, gradients and dead
 * tensors. */
size_t cts_plan_offset(const cts_plan *p, const cts_tensor *t);

#endif
