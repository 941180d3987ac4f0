/* Named parameters and states of a model, fp32 masters in host memory, and their gradients.
 *
 * A model's build function declares each entry by name (the published state-dict name) on first use; the same function
 * then serves counting, initialising, loading and running. Entries keep the order of declaration. Layouts are
 * PyTorch's:
 * linear [out, in], convolution [out, in, k0, k1, k2].
 * Not thread-safe while entries are added; afterwards any number of readers.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_PARAMS_H
#define CTS_KERNELS_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/tensor.h"

typedef enum {
    CTS_INIT_CONST,   /* a */
    CTS_INIT_UNIFORM, /* [-a, a) */
    CTS_INIT_NORMAL,  /* mean 0, standard deviation a */
    CTS_INIT_TRUNC,   /* the same, redrawn beyond two standard deviations */
    CTS_INIT_UNIT     /* uniform, then every row (last axis) scaled to length a: a code book */
} cts_init_kind;

typedef struct {
    cts_init_kind kind;
    double a;
} cts_init;

static inline cts_init cts_init_const(double a)
{
    return (cts_init){CTS_INIT_CONST, a};
}

typedef struct {
    char *name;
    bool state;  /* not trained: running statistics and the like */
    bool decay;  /* weight decay applies */
    bool frozen; /* no gradient is computed */
    cts_init init;
    int ndim;
    int64_t shape[CTS_MAX_DIMS];
    int64_t count;
    float *data;   /* [count], NULL until cts_params_alloc(); 4-byte aligned at least */
    bool borrowed; /* data is somebody else's memory: cts_params_bind() */
} cts_param;

typedef struct cts_params cts_params;

int cts_params_create(cts_params **out);
void cts_params_destroy(cts_params *p); /* NULL allowed */
/* Index of `name`, added when new (data follows at the next cts_params_alloc). A known name with another shape
 * asserts. -1 = out of memory. */
int cts_params_declare(cts_params *p, const char *name, bool state, bool decay, cts_init init, int ndim,
                       const int64_t *shape);
int cts_params_find(const cts_params *p, const char *name); /* -1 = none */
int cts_params_n(const cts_params *p);
cts_param *cts_params_at(cts_params *p, int i);
const cts_param *cts_params_get(const cts_params *p, int i);
/* Parameters (not states) in elements. */
int64_t cts_params_count(const cts_params *p);
/* Memory for every entry that has none, zeroed. */
int cts_params_alloc(cts_params *p);
/* Let entry i lie at data [count], in place of memory of its own: a private map of a weight file. It may be written to
 * like any other. The memory must live as long as p: see cts_params_keep(). */
void cts_params_bind(cts_params *p, int i, float *data);
/* End `owner` by end(owner) when p is destroyed. One owner. */
void cts_params_keep(cts_params *p, void *owner, void (*end)(void *owner));
/* Allocate and fill every entry from its init; each entry's stream is split from seed by its name, so order does not
 * matter. */
int cts_params_init(cts_params *p, uint64_t seed);
/* Freeze or thaw all entries whose name starts with prefix; returns how many. */
int cts_params_freeze(cts_params *p, const char *prefix, bool frozen);

/* One fp32 gradient buffer per parameter (NULL for states). */
typedef struct {
    int n;
    float **data;
    int64_t *count;
} cts_grads;
int cts_grads_create(cts_grads **out, const cts_params *p);
void cts_grads_zero(cts_grads *g);
void cts_grads_destroy(cts_grads *g);

#endif
