/* Tensors of a graph and views of memory.
 *
 * Shapes are outermost first, as the papers write them; activations are channels-last ([N, D, H, W, C]; rows x
 * channels).
 * Strides count elements and are free: a kernel reads them from its view and never assumes shape[i + 1] * ....
 * Dimension 0 may carry a symbol (tokens, batch): the shape then states the largest extent, for which the plan reserves
 * memory, and cts_exec_set_extent() gives the extent of the run, so that packed text needs no padding and no second
 * plan.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_TENSOR_H
#define CTS_KERNELS_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CTS_MAX_DIMS 8

typedef enum { CTS_F32, CTS_BF16, CTS_F16, CTS_I32, CTS_U8, CTS_DTYPE_COUNT } cts_dtype;

size_t cts_dtype_bytes(cts_dtype t);
const char *cts_dtype_name(cts_dtype t);

typedef enum { CTS_SYM_NONE, CTS_SYM_TOKENS, CTS_SYM_BATCH, CTS_SYM_COUNT } cts_sym;

typedef enum {
    CTS_ROLE_ACT,   /* made by a node; memory by the plan */
    CTS_ROLE_INPUT, /* written before a run */
    CTS_ROLE_PARAM, /* bound to a cts_params entry, read only */
    CTS_ROLE_STATE, /* same, but not trained: running statistics, codebooks */
    CTS_ROLE_GRAD   /* bound to a cts_grads buffer, accumulated */
} cts_role;

struct cts_node;

typedef struct cts_tensor {
    int id;           /* index in the graph's tensor list */
    const char *name; /* never NULL; unique only for inputs, parameters and outputs */
    cts_dtype dtype;
    cts_role role;
    int ndim;
    int64_t shape[CTS_MAX_DIMS];
    int64_t stride[CTS_MAX_DIMS]; /* elements */
    int64_t guard[2];             /* elements of readable, zeroed memory before the first and behind the last one */
    cts_sym sym;                  /* symbol of dimension 0 */
    int param;                    /* index in cts_params for PARAM, STATE, GRAD; -1 otherwise */
    struct cts_tensor *base;      /* a view (reshape): memory is base's, at element 0; NULL = own memory */
    struct cts_node *producer;    /* NULL for inputs, parameters, states, gradients */
    bool pinned;                  /* an output: kept until the next run */
    bool recompute;               /* backward makes it again instead of keeping it */
    bool recompute_clone;         /* made by autodiff as such a copy */
    bool want_grad;               /* an INPUT whose gradient is asked for */
} cts_tensor;

/* Elements for the full shape. */
int64_t cts_tensor_count(const cts_tensor *t);
/* Elements from the first to the last one, gaps of padded strides included. */
int64_t cts_tensor_span(const cts_tensor *t);
/* Row count when all dimensions but the last are flattened, and the last dimension (1 and count for 0-d). */
int64_t cts_tensor_rows(const cts_tensor *t);
int64_t cts_tensor_channels(const cts_tensor *t);
/* "f32 [2, 64, 64, 3]" into buf; returns buf. */
const char *cts_shape_text(char buf[96], int ndim, const int64_t *shape);

/* Memory as a kernel sees it: extents of this run, element strides. */
typedef struct {
    void *data;
    cts_dtype dtype;
    int ndim;
    int64_t shape[CTS_MAX_DIMS];
    int64_t stride[CTS_MAX_DIMS];
} cts_view;

int64_t cts_view_count(const cts_view *v);
int64_t cts_view_rows(const cts_view *v);
int64_t cts_view_channels(const cts_view *v);
/* True when elements lie back to back in row-major order. */
bool cts_view_dense(const cts_view *v);

#endif
