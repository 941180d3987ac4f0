/* Back ends: ref (plain C oracle, one thread), cpu, cuda. A vtable of memory and execution; no globals.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_BACKEND_H
#define CTS_KERNELS_BACKEND_H

#include "kernels/graph.h"

typedef struct cts_backend cts_backend;

struct cts_backend {
    const char *name;
    cts_pool *pool; /* borrowed; may be NULL */
    bool host;      /* memory is host memory: parameters are used where they lie */
    int (*alloc)(cts_backend *b, void **p, size_t bytes); /* zeroed, 64-byte aligned */
    void (*free)(cts_backend *b, void *p);
    int (*upload)(cts_backend *b, void *dst, const void *src, size_t bytes);
    int (*download)(cts_backend *b, void *dst, const void *src, size_t bytes);
    int (*copy)(cts_backend *b, void *dst, const void *src, size_t bytes);
    /* Scratch this node wants at its largest shape. */
    size_t (*scratch_bytes)(const cts_backend *b, const cts_node *n);
    bool (*supports)(const cts_backend *b, const cts_node *n);
    int (*run)(cts_backend *b, const cts_call *c);
    int (*sync)(cts_backend *b);
    void (*destroy)(cts_backend *b);
};

/* "ref", "cpu" or "cuda" ("cuda": CTS_E_UNSUPPORTED where it was not built or no device is present). The pool
 * outlives the back end. */
int cts_backend_create(cts_backend **out, const char *name, cts_pool *pool);
void cts_backend_destroy(cts_backend *b); /* NULL allowed */

/* Fill alloc, free, upload, download, copy and host with the host's own. */
void cts_backend_host_memory(cts_backend *b);

/* The three constructors behind the factory. */
int cts_backend_ref(cts_backend **out, cts_pool *pool);
int cts_backend_cpu(cts_backend **out, cts_pool *pool);
int cts_backend_cuda(cts_backend **out, cts_pool *pool);

#endif
