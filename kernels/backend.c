/* The factory, and the `ref` back end: every op by its plain reference, on host memory, one thread.
 * SPDX-License-Identifier: MIT */
#include "kernels/backend.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/base/arena.h"
#include "kernels/base/status.h"

static int host_alloc(cts_backend *b, void **p, size_t bytes)
{
    void *m = cts_aligned_alloc(bytes ? bytes : 1);

    if (!m)
        return cts_fail(CTS_E_NOMEM,
                        "back end %s: out of memory for %.1f MB of activations; lower --batch or the input size",
                        b->name, (double)bytes / 1e6);
    *p = m;
    return CTS_OK;
}

static void host_free(cts_backend *b, void *p)
{
    (void)b;
    cts_aligned_free(p);
}

static int host_copy(cts_backend *b, void *dst, const void *src, size_t bytes)
{
    (void)b;
    memcpy(dst, src, bytes);
    return CTS_OK;
}

static int ref_run(cts_backend *b, const cts_call *c)
{
    (void)b;
    return cts_op_def_of(c->node->op)->ref(c);
}

static int ref_sync(cts_backend *b)
{
    (void)b;
    return CTS_OK;
}

static void ref_destroy(cts_backend *b)
{
    free(b);
}

int cts_backend_ref(cts_backend **out, cts_pool *pool)
{
    cts_backend *b = calloc(1, sizeof *b);

    if (!b)
        return cts_fail(CTS_E_NOMEM, "out of memory for a back end");
    cts_backend_host_memory(b);
    b->name = "ref";
    b->pool = pool;
    b->run = ref_run;
    b->sync = ref_sync;
    b->destroy = ref_destroy;
    *out = b;
    return CTS_OK;
}

void cts_backend_host_memory(cts_backend *b)
{
    b->host = true;
    b->alloc = host_alloc;
    b->free = host_free;
    b->upload = b->download = b->copy = host_copy;
}

int cts_backend_create(cts_backend **out, const char *name, cts_pool *pool)
{
    static const struct {
        const char *name;
        int (*create)(cts_backend **, cts_pool *);
    } kinds[] = {{"ref", cts_backend_ref}, {"cpu", cts_backend_cpu}, {"cuda", cts_backend_cuda}};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (!strcmp(kinds[i].name, name))
            return kinds[i].create(out, pool);
    return cts_fail(CTS_E_USAGE, "--device: got %s, allowed: cpu, cuda, ref", name);
}

void cts_backend_destroy(cts_backend *b)
{
    if (b)
        b->destroy(b);
}
