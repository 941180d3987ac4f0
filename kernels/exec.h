/* Run a plan on a back end. Running allocates nothing. One thread per exec; execs that share parameters may run side
 * by side as long as nobody changes the parameters meanwhile.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_EXEC_H
#define CTS_KERNELS_EXEC_H

#include "kernels/plan.h"

typedef struct cts_exec cts_exec;

enum { CTS_RUN_UPDATE_STATE = 1 };

/* grads may be NULL for graphs without backward; otherwise created from the same params. Allocates the arena once.
 * Borrowed: plan, backend, grads. */
int cts_exec_create(cts_exec **out, cts_plan *plan, cts_backend *b, cts_grads *grads);
void cts_exec_destroy(cts_exec *e);

/* Extent of a symbol for the next runs; default = the planned maximum. Asserts 0 < n <= maximum. */
void cts_exec_set_extent(cts_exec *e, cts_sym sym, int64_t n);
/* Key of the random streams of the next runs. */
void cts_exec_set_step(cts_exec *e, uint64_t seed, uint64_t step);
/* Copy the host array src, dense, of the tensor's run-time extent. t is an INPUT; one that no live node reads has no
 * memory, and nothing is done. */
int cts_exec_write(cts_exec *e, const cts_tensor *t, const void *src);
/* Copy an output (pinned tensor) or GRAD into the dense host array dst of its run-time extent. */
int cts_exec_read(cts_exec *e, const cts_tensor *t, void *dst);

/* Run the forward nodes / the backward nodes. Inputs of backward (output gradients) are written in between. With
 * CTS_RUN_UPDATE_STATE forward replaces the states after all its nodes succeeded. */
int cts_exec_forward(cts_exec *e, int flags);
int cts_exec_backward(cts_exec *e);
/* Parameters in host memory changed (optimiser step, load): needed once before the next run on devices; free on host
 * back ends. */
int cts_exec_params_changed(cts_exec *e);

/* Seconds per op kind since creation or the last reset, [CTS_OP_COUNT]; measured only when enabled. */
void cts_exec_profile(cts_exec *e, bool on);
const double *cts_exec_seconds(const cts_exec *e);

#endif
