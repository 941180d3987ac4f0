/* Reverse mode: append to the graph the nodes that turn gradients of outputs into gradients of parameters and inputs.
 * Every parameter that is not frozen and is reached gets its gradient added to a GRAD tensor by an accumulate node;
 * inputs with want_grad get an output "d.<name>". Tensors marked by cts_graph_recompute() are made again by clones of
 * their producers.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_AUTODIFF_H
#define CTS_KERNELS_AUTODIFF_H

#include "kernels/graph.h"

/* For each out[i], dout[i] is its gradient: an INPUT of the same shape (towers), or NULL = an input named "d.<name
 * of out>" is made and put there. CTS_E_INPUT with a hint when nothing differentiable is reached. Call once per graph.
 * */
int cts_backward(cts_graph *g, int n, cts_tensor *const *out, cts_tensor **dout);
/* The same for the inputs with want_grad alone: parameters count as constants, frozen or not, and a run needs no
 * cts_grads. */
int cts_backward_inputs(cts_graph *g, int n, cts_tensor *const *out, cts_tensor **dout);

#endif
