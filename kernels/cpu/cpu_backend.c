/* The cpu back end: picks the table of inner loops once and sends each node to its kernel, or to the reference where
 * none exists or a view is not dense. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"
#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/cpu_kernels.h"

typedef struct {
    cts_backend b; /* first: the handle is this struct */
    cts_cpu cpu;
} cpu_backend;

typedef struct {
    cts_cpu_kernel_fn run;
    cts_cpu_scratch_fn scratch; /* NULL = none */
} cpu_kernel;

#define PLAIN(name)                                                                                                    \
    {                                                                                                                  \
        cts_cpu_##name, NULL                                                                                           \
    }
#define WITH_SCRATCH(name)                                                                                             \
    {                                                                                                                  \
        cts_cpu_##name, cts_cpu_##name##_scratch                                                                       \
    }

static const cpu_kernel kernels[CTS_OP_COUNT] = {
    [CTS_OP_TAP_GEMM] = WITH_SCRATCH(tap_gemm),
    [CTS_OP_TAP_DGRAD] = WITH_SCRATCH(tap_dgrad),
    [CTS_OP_TAP_WGRAD] = WITH_SCRATCH(tap_wgrad),
    [CTS_OP_DWCONV] = WITH_SCRATCH(dwconv),
    [CTS_OP_DWCONV_WGRAD] = WITH_SCRATCH(dwconv_wgrad),
    [CTS_OP_DWCONV3D] = WITH_SCRATCH(dwconv3d),
    [CTS_OP_DWCONV3D_WGRAD] = WITH_SCRATCH(dwconv3d_wgrad),
    [CTS_OP_BATCH_NORM] = WITH_SCRATCH(batch_norm),
    [CTS_OP_BATCH_NORM_GRAD] = WITH_SCRATCH(batch_norm_grad),
    [CTS_OP_BATCH_NORM_EVAL] = WITH_SCRATCH(batch_norm_eval),
    [CTS_OP_BATCH_NORM_EVAL_GRAD] = WITH_SCRATCH(batch_norm_eval_grad),
    [CTS_OP_LAYER_NORM] = PLAIN(layer_norm),
    [CTS_OP_LAYER_NORM_GRAD] = WITH_SCRATCH(layer_norm_grad),
    [CTS_OP_L2_NORM] = PLAIN(l2_norm),
    [CTS_OP_L2_NORM_GRAD] = PLAIN(l2_norm_grad),
    [CTS_OP_ACT] = PLAIN(act),
    [CTS_OP_ACT_GRAD] = PLAIN(act_grad),
    [CTS_OP_ADD] = PLAIN(add),
    [CTS_OP_SCALE] = PLAIN(scale),
    [CTS_OP_ACCUMULATE] = PLAIN(accumulate),
    [CTS_OP_DROPOUT] = PLAIN(dropout),
    [CTS_OP_CAST] = PLAIN(cast),
    [CTS_OP_CHANNEL_SCALE] = PLAIN(channel_scale),
    [CTS_OP_CHANNEL_DOT] = WITH_SCRATCH(channel_dot),
    [CTS_OP_PERMUTE] = PLAIN(permute),
    [CTS_OP_SLICE] = PLAIN(slice),
    [CTS_OP_SLICE_GRAD] = PLAIN(slice_grad),
    [CTS_OP_MAX_POOL] = PLAIN(max_pool),
    [CTS_OP_MAX_POOL_GRAD] = PLAIN(max_pool_grad),
    [CTS_OP_MEAN] = WITH_SCRATCH(mean),
    [CTS_OP_MEAN_GRAD] = PLAIN(mean_grad),
    [CTS_OP_EMBEDDING] = PLAIN(embedding),
    [CTS_OP_EMBEDDING_GRAD] = PLAIN(embedding_grad),
    [CTS_OP_GATHER_ROWS] = PLAIN(gather_rows),
    [CTS_OP_SCATTER_ROWS] = PLAIN(scatter_rows),
    [CTS_OP_GEGLU] = PLAIN(geglu),
    [CTS_OP_GEGLU_GRAD] = PLAIN(geglu_grad),
    [CTS_OP_REL_BIAS] = PLAIN(rel_bias),
    [CTS_OP_REL_BIAS_GRAD] = PLAIN(rel_bias_grad),
    [CTS_OP_ATTENTION] = WITH_SCRATCH(attention),
    [CTS_OP_ATTENTION_GRAD] = WITH_SCRATCH(attention_grad),
    [CTS_OP_VQ] = WITH_SCRATCH(vq),
    [CTS_OP_VQ_UPDATE] = WITH_SCRATCH(vq_update),
    [CTS_OP_INFONCE] = WITH_SCRATCH(infonce),
    [CTS_OP_INFONCE_GRAD] = WITH_SCRATCH(infonce_grad),
    [CTS_OP_SIGLIP] = WITH_SCRATCH(siglip),
    [CTS_OP_SIGLIP_GRAD] = WITH_SCRATCH(siglip_grad),
};

static bool all_dense(const cts_call *c)
{
    for (int i = 0; i < c->node->n_in; i++)
        if (c->in[i].data && !cts_view_dense(&c->in[i]))
            return false;
    for (int i = 0; i < c->node->n_out; i++)
        if (!cts_view_dense(&c->out[i]))
            return false;
    return true;
}

static int cpu_run(cts_backend *b, const cts_call *c)
{
    const cpu_backend *be = (const cpu_backend *)b;
    cts_cpu_kernel_fn run = kernels[c->node->op].run;

    return run && all_dense(c) ? run(&be->cpu, c) : cts_op_def_of(c->node->op)->ref(c);
}

static size_t cpu_scratch_bytes(const cts_backend *b, const cts_node *n)
{
    const cpu_backend *be = (const cpu_backend *)b;

    return kernels[n->op].scratch ? kernels[n->op].scratch(&be->cpu, n) : 0;
}

static int cpu_sync(cts_backend *b)
{
    (void)b;
    return CTS_OK;
}

static void cpu_destroy(cts_backend *b)
{
    free(b);
}

static const cts_isa *pick_isa(const cts_cpu_features *f)
{
#if defined(__x86_64__)
    if (cts_cpu_has(f, CTS_CPU_AVX512))
        return &cts_isa_avx512;
    if (cts_cpu_has(f, CTS_CPU_AVX2))
        return &cts_isa_avx2;
#else
    (void)f;
#endif
    return &cts_isa_generic;
}

int cts_backend_cpu(cts_backend **out, cts_pool *pool)
{
    cts_cpu_features f;
    cpu_backend *be;
    int rc = cts_cpu_features_get(&f);

    if (rc)
        return rc;
    if (!(be = calloc(1, sizeof *be)))
        return cts_fail(CTS_E_NOMEM, "out of memory for a back end");
    cts_backend_host_memory(&be->b);
    be->b.name = "cpu";
    be->b.pool = pool;
    be->b.scratch_bytes = cpu_scratch_bytes;
    be->b.run = cpu_run;
    be->b.sync = cpu_sync;
    be->b.destroy = cpu_destroy;
    be->cpu.isa = pick_isa(&f);
    be->cpu.n_threads = cts_pool_size(pool);
    *out = &be->b;
    return CTS_OK;
}
