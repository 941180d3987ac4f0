/* AdamW (Loshchilov and Hutter 2019, decoupled decay) over a cts_params list, with global-norm clipping, in
 * PyTorch's order of operations:
 *   p *= 1 - lr * wd (entries with decay);  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;
 *   p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
 * States are fp32, one m and one v per parameter. One thread at a time. SPDX-License-Identifier: MIT */
#ifndef CTS_TRAIN_ADAMW_H
#define CTS_TRAIN_ADAMW_H

#include "kernels/base/thread.h"
#include "kernels/params.h"

typedef struct {
    double beta1, beta2, eps, weight_decay;
    double clip; /* global gradient norm is scaled down to it; 0 = no clipping */
} cts_adamw_config;

typedef struct {
    cts_adamw_config config;
    int64_t t;      /* steps taken */
    int n;          /* entries of the parameter list */
    float **m, **v; /* NULL for states and frozen entries */
} cts_adamw;

int cts_adamw_create(cts_adamw **out, const cts_params *p, const cts_adamw_config *config);
void cts_adamw_destroy(cts_adamw *a); /* NULL allowed */

/* One step: gradients are multiplied by grad_scale (1 / accumulated micro-batches), clipped, applied. *norm = global
 * norm before clipping, summed in double in a fixed order. A norm that is not finite leaves everything unchanged:
 * CTS_E_INPUT. */
int cts_adamw_step(cts_adamw *a, cts_params *p, const cts_grads *g, double lr, double grad_scale, cts_pool *pool,
                   double *norm);

#endif
